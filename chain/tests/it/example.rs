//! The transaction that `docs/formats.md` shows field by field is the frozen one.

const PAGE: &str = include_str!("../../../docs/formats.md");
const GOLDEN: &str = include_str!("golden.txt");

#[test]
fn the_transaction_in_the_docs_is_the_golden_one() {
    let golden = GOLDEN.lines().find_map(|line| line.strip_prefix("records.put: 198 bytes "));
    let (_, example) =
        PAGE.split_once("\nJSON. A transaction, field by field").expect("it is there");
    let lines = example.lines().skip(2).map_while(|line| line.strip_prefix("    "));
    let fields = lines.map(|line| line.split_once("  ").expect("bytes, and what they are").0);
    let bytes: String = fields.map(|field| field.replace(' ', "")).collect();
    assert_eq!(Some(bytes.as_str()), golden);
}
