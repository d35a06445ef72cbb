//! Every golden sample is decoded as what it is.

use tandem_node::decode::kinds;

/// Parts of a golden file by a word of their titles, names of lines in it, and the kind that each is.
/// A name that ends with a star stands for all that begin so. Samples that stand there by their digest
/// alone are left out, and so are parts that are neither stored nor sent by themselves.
type Table = &'static [(&'static str, &'static str, &'static str)];

const OF_CHAIN: Table = &[
    ("Votes and evidence", "prevote*", "vote"),
    ("Votes and evidence", "precommit*", "vote"),
    ("Votes and evidence", "evidence", "evidence"),
    ("Liveness", "observation", "observation"),
    ("Liveness", "signed record*", "liveness-record"),
    ("Blocks", "header*", "header"),
    ("Blocks", "commit", "commit"),
    ("Blocks", "empty commit", "commit"),
    ("Blocks", "certificate", "certificate"),
    ("Blocks", "block 1", "block"),
    ("Transactions", "consortium.*", "transaction"),
    ("Transactions", "standby.*", "transaction"),
    ("Transactions", "records.*", "transaction"),
    ("Transactions", "rights.*", "transaction"),
    ("Permits", "*", "permit"),
    ("Snapshots", "manifest", "manifest"),
    ("Snapshots", "chunk", "chunk"),
    ("State and genesis", "role table", "role-table"),
    ("State and genesis", "register", "register"),
    ("State and genesis", "parameters *", "parameters"),
    ("The state", "consortium/policy", "policy"),
    ("The state", "parameters/current", "parameters"),
    ("The state", "records/data/*", "record"),
    ("The state", "standby/table/*", "role-table"),
    ("Its tree", "proof of a record", "proof"),
    ("Results", "event", "event"),
    ("Results", "receipt", "receipt"),
];
const OF_CONSENSUS: Table = &[
    ("The block", "block", "block"),
    ("Messages", "*", "message"),
    ("What a header far away", "*", "light-block"),
    ("Durable", "journal*", "journal"),
    ("Durable", "valid", "valid"),
    ("Durable", "proposal", "proposal"),
];

/// Samples of a golden file: title of the part, name, bytes.
fn samples(file: &'static str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut samples = Vec::new();
    let mut title = "";
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            title = name;
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        let Some((_, digits)) = value.split_once(" bytes ") else { continue };
        samples.push((title, name, hex::decode(digits).expect("hex digits")));
    }
    samples
}

fn check(file: &'static str, table: Table) {
    let samples = samples(file);
    for (part, pattern, kind) in table {
        let is_meant = |name: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        };
        let of_part = samples.iter().filter(|(title, ..)| title.starts_with(part));
        let meant: Vec<_> = of_part.filter(|(_, name, _)| is_meant(name)).collect();
        assert!(!meant.is_empty(), "no sample {part}, {pattern}");
        for (_, name, bytes) in meant {
            let (found, _) = kinds::fits(kinds::KINDS, bytes);
            let kinds: Vec<&str> = found.iter().map(|(kind, _)| *kind).collect();
            assert!(kinds.contains(kind), "{name}: {kinds:?}");
            // A few bytes may be the encoding of something else, too.
            assert!(bytes.len() <= 100 || kinds.len() == 1, "{name}: {kinds:?}");
            // Its beginning is not taken for it.
            let cut = &bytes[..bytes.len() - 1];
            let (found, tried) = kinds::fits([kinds::find(kind).expect("a kind")], cut);
            assert!(found.is_empty() && tried[0].end <= cut.len(), "{name}, cut");
        }
    }
}

#[test]
fn every_golden_sample_is_decoded_as_the_kind_that_it_is() {
    check(include_str!("../../../chain/tests/it/golden.txt"), OF_CHAIN);
    check(include_str!("../../../consensus/tests/it/golden.txt"), OF_CONSENSUS);
}
