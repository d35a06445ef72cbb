//! The table of bad input in `docs/testing.md` names tests that there are.

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SECTION: &str = "## Bad input, case by case";

/// The files that a cell names, each with what it names in it: "`path`: `name`, `name`; `path`: …".
fn named(cell: &str) -> Vec<(&str, Vec<&str>)> {
    let parts = cell.split("; ").map(|part| part.split_once(": ").expect("a file and names"));
    parts.map(|(path, names)| (unquoted(path), names.split(", ").map(unquoted).collect())).collect()
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
    inner.unwrap_or_else(|| panic!("{text} is not between backquotes"))
}

#[test]
fn each_case_of_bad_input_has_the_tests_that_the_table_names() {
    let read = |path: &str| {
        let text = std::fs::read_to_string(format!("{ROOT}/{path}"));
        text.unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let page = read("docs/testing.md");
    let (_, section) = page.split_once(SECTION).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let mut cases = 0;
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let &[case, told, tests] = cells.as_slice() else { panic!("three cells: {row}") };
        assert!(!case.is_empty() && !told.is_empty(), "{row}");
        for (path, names) in named(tests) {
            let source = read(path);
            for name in names {
                let (before, _) = source
                    .split_once(&format!("fn {name}("))
                    .unwrap_or_else(|| panic!("{case}: {path} has no {name}"));
                // What a story plays is no test by itself.
                let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                let is_test =
                    attributes.contains("#[test]") || attributes.contains("#[tokio::test");
                assert!(is_test || path.starts_with("testnet/src/story/"), "{case}: {name}");
            }
        }
        cases += 1;
    }
    assert!(cases > 30, "{cases} cases");
}
