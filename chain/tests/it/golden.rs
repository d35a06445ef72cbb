//! Every type of the chain that is signed, sent or stored, frozen: a change of a single byte fails
//! here. What replicas sign, send and make durable stands in the golden file of `tandem-consensus`.
//!
//! The bytes stand in `golden.txt`, which a person can read. After a change that is meant (and that
//! says so in its version numbers), write the file anew and look at the difference:
//!
//! ```text
//! TANDEM_WRITE_GOLDEN=1 cargo test --release -p tandem-chain golden
//! git diff chain/tests/it/golden.txt
//! ```

use std::fmt::Write as _;

use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::modules::consortium::InvitedAs;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::store::Column;
use tandem_chain::types::{Height, Round, Timestamp};
use tandem_chain::vote::VoteKind;
use tandem_chain::{Error, codec, comet, stored, tree};

use crate::{executed, samples};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden.txt");
/// Longer values stand in the file as their length and SHA-256.
const MAX_HEX: usize = 700;

/// Lines of the golden file, in sections.
struct Golden(String);

impl Golden {
    fn section(&mut self, title: &str) {
        let _ = write!(self.0, "\n# {title}\n");
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let len = bytes.len();
        let _ = if len == 0 {
            writeln!(self.0, "{name}: 0 bytes")
        } else if len <= MAX_HEX {
            writeln!(self.0, "{name}: {len} bytes {}", hex::encode(bytes))
        } else {
            writeln!(
                self.0,
                "{name}: {len} bytes, SHA-256 {}",
                tandem_chain::types::Hash::of(bytes)
            )
        };
    }

    fn encoded<T: serde::Serialize>(&mut self, name: &str, value: &T) {
        self.bytes(name, &codec::encode(value));
    }

    fn text(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}: {value}");
    }
}

/// A key of the state: text, with hex digits behind its last slash where that part is no text.
fn key_text(key: &[u8]) -> String {
    let text = key.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    if text == key.len() {
        return key.escape_ascii().to_string();
    }
    let slash = key[..text].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    format!("{}{}", key[..slash].escape_ascii(), hex::encode(&key[slash..]))
}

fn golden() -> String {
    let mut out = Golden(
        "Bytes of what the chain signs, sends or stores. Test `golden` compares them, and\n\
         TANDEM_WRITE_GOLDEN=1 cargo test --release -p tandem-chain golden\n\
         writes this file. Values are made in samples.rs.\n"
            .to_owned(),
    );
    let id = samples::chain_id();

    out.section("Keys (SHA-256 over a public key, cut to 20 bytes, is its address)");
    out.bytes("public key 1", &samples::public(1).0);
    out.bytes("address 1", &samples::public(1).address().0);

    out.section("Sign bytes (CometBFT 0.38)");
    for (name, kind, block) in [
        ("prevote", VoteKind::Prevote, Some(samples::hash(9))),
        ("prevote for nil", VoteKind::Prevote, None),
        ("precommit", VoteKind::Precommit, Some(samples::hash(9))),
        ("precommit for nil", VoteKind::Precommit, None),
    ] {
        out.bytes(name, &samples::vote(kind, block).sign_bytes(&id));
    }
    let seen = samples::observation(1, 7, 2, &[true, false, true]).seen;
    let extension = |content: &[u8]| comet::extension_sign_bytes(&id, Height(7), Round(2), content);
    out.bytes("vote extension", &extension(&seen.to_extension()));
    out.bytes("empty vote extension", &extension(&[]));
    for (name, valid_round) in [("proposal", None), ("re-proposal", Some(Round(1)))] {
        let (height, round, block) = (Height(7), Round(2), samples::hash(9));
        let time = samples::time(70);
        let bytes = comet::proposal_sign_bytes(&id, height, round, valid_round, block, time);
        out.bytes(name, &bytes);
    }

    out.section("Sign bytes (Tandem's domains)");
    for (name, bytes) in samples::domain_sign_bytes() {
        out.bytes(name, &bytes);
    }

    out.section("Hashes (CometBFT 0.38)");
    let (block, first) = (samples::block(), samples::first_block());
    out.text("header of block 1", first.id());
    out.text("header of block 8", block.id());
    out.text("validators", comet::validators_hash(&samples::sample_table()));
    out.text("commit", comet::commit_hash(&block.last_commit));
    out.text("empty commit", comet::commit_hash(&first.last_commit));
    out.text("data", comet::data_hash(&block.record, &block.txs));
    out.text("evidence", comet::evidence_hash(&block.evidence));
    out.text("no evidence", comet::evidence_hash(&[]));
    out.text("block limits", comet::consensus_hash(2 * 1024 * 1024));
    out.text("results", comet::results_hash([(0, &[][..]), (10, b"x")]));
    out.text("no results", comet::results_hash([]));

    out.section("Votes and evidence");
    out.encoded("prevote", &samples::vote(VoteKind::Prevote, Some(samples::hash(9))));
    out.encoded("prevote for nil", &samples::vote(VoteKind::Prevote, None));
    out.encoded("precommit", &samples::vote(VoteKind::Precommit, Some(samples::hash(9))));
    out.encoded("evidence", &samples::evidence());

    out.section("Liveness");
    out.encoded("bits", &seen);
    out.encoded("no bits", &tandem_chain::liveness::Bits::default());
    out.encoded("observation", &samples::observation(1, 7, 2, &[true, false, true]));
    out.encoded("signed record", &samples::record());
    out.encoded("signed record of block 1", &first.record);

    out.section("Blocks");
    out.encoded("header", &block.header);
    out.encoded("header of block 1", &first.header);
    out.encoded("commit", &block.last_commit);
    out.encoded("empty commit", &first.last_commit);
    out.encoded("certificate", &samples::certificate(7, samples::hash(7)));
    out.encoded("block", &block);
    out.encoded("block 1", &first);
    out.encoded("certified block", &samples::certified_block());

    out.section("Transactions");
    for (name, call) in samples::calls() {
        let tx = samples::tx(call);
        out.bytes(name, tx.bytes());
        out.text(&format!("{name}, hash"), tx.hash());
    }
    let lost = samples::public(11);
    for (name, part) in [
        ("invited as standby", InvitedAs::Standby),
        ("invited as observer", InvitedAs::Observer),
        ("invited as replacement", InvitedAs::Replacement { lost }),
    ] {
        out.encoded(name, &part);
    }

    out.section("Permits");
    let [request, token, part] = samples::permits();
    out.encoded("permit for one request", &request);
    out.encoded("token", &token);
    out.text("token, text", &token);
    out.encoded("token for a part of the records", &part);

    out.section("State and genesis");
    out.encoded("role table", &samples::sample_table());
    out.encoded("register", &samples::sample_register());
    out.encoded("parameters wan", &Parameters::wan());
    out.encoded("parameters lan", &Parameters::lan());
    out.encoded("genesis", &samples::genesis());
    out.text("genesis, hash", samples::genesis().hash());
    out.bytes("genesis, JSON", samples::genesis().to_json().as_bytes());
    let part = &samples::genesis().organizations[0];
    out.text("part of an organisation, JSON", serde_json::to_string(part).expect("plain values"));

    out.section("The state of a chain whose blocks held every kind of call");
    let chain = executed::with_every_call();
    for (key, value) in chain.store().entries(Column::State) {
        out.bytes(&key_text(key), value);
    }
    out.text("state commitment of genesis", executed::Chain::new().tip().app_hash);
    out.text("state commitment", chain.tip().app_hash);
    out.text("state commitment after two switches", executed::with_switches().tip().app_hash);

    out.section("Its tree: pages (0 and a path), recent transactions (1 and a hash), a proof");
    for (key, value) in chain.store().entries(Column::Tree) {
        out.bytes(&hex::encode(key), value);
    }
    let data_set = "prices.eu".parse().expect("a name");
    let key = tandem_chain::modules::records::state_key(&data_set, b"2026-11-22");
    out.encoded("proof of a record", &tree::prove(chain.store(), &key).expect("a proof"));

    out.section("Snapshots");
    let (manifest, chunk) = samples::snapshot();
    out.bytes("manifest", &manifest.encode());
    out.text("manifest, hash", manifest.hash());
    out.bytes("chunk", &chunk.encode());

    out.section("Results");
    let event = Event::new("switch", [("seat", "gamma".to_owned()), ("term", "2".to_owned())]);
    out.encoded("event", &event);
    let (data, log) = (b"x".to_vec(), "refused".to_owned());
    out.encoded("receipt", &Receipt { code: 10, data, log, events: vec![event] });

    out.section("Codes of errors in receipts");
    for (name, error) in errors() {
        out.text(name, error.code());
    }
    out.0
}

/// The errors that a receipt or an answer to a client may have.
fn errors() -> Vec<(&'static str, Error)> {
    let (what, name, got, expected) = ("", String::new, 0, 0);
    let sender = samples::public(1);
    vec![
        ("Length", Error::Length { what, expected: 0, got: 0 }),
        ("NotHex", Error::NotHex { what }),
        ("TooLong", Error::TooLong { what, max: 0, got: 0 }),
        ("Undecodable", Error::Undecodable { what, reason: name() }),
        ("NotCanonical", Error::NotCanonical { what }),
        ("Name", Error::Name { what, rule: "", got: name() }),
        ("BadSignature", Error::BadSignature { what, key: sender }),
        (
            "OtherChain",
            Error::OtherChain { what, expected: samples::chain_id(), got: samples::chain_id() },
        ),
        ("PermitEnded", Error::PermitEnded { ends: samples::time(0), now: samples::time(1) }),
        (
            "PermitTooLong",
            Error::PermitTooLong { ends: samples::time(1), latest: samples::time(0) },
        ),
        ("PermitElsewhere", Error::PermitElsewhere { what, expected: name(), got: name() }),
        ("Expired", Error::Expired { valid_until: Height(0), height: Height(0) }),
        ("TooFar", Error::TooFar { valid_until: Height(0), latest: Height(0) }),
        ("Repeated", Error::Repeated { hash: samples::hash(0) }),
        ("UnknownSender", Error::UnknownSender { sender }),
        ("MempoolFull", Error::MempoolFull { what, max: 0 }),
        ("Suspended", Error::Suspended { org: samples::org("alpha") }),
        ("NotFound", Error::NotFound { what, name: name() }),
        ("Exists", Error::Exists { what, name: name() }),
        ("KeyTaken", Error::KeyTaken { key: sender, role: "", org: samples::org("alpha") }),
        (
            "AddressTaken",
            Error::AddressTaken { address: name(), node: sender, org: samples::org("alpha") },
        ),
        ("NotAllowed", Error::NotAllowed { sender, needed: "" }),
        ("Version", Error::Version { expected, got }),
        (
            "Term",
            Error::Term {
                expected: tandem_chain::types::Term(0),
                got: tandem_chain::types::Term(0),
            },
        ),
        ("NoSwitch", Error::NoSwitch { reason: "" }),
        (
            "InvitationExpired",
            Error::InvitationExpired { valid_until: Timestamp(0), time: Timestamp(0) },
        ),
        (
            "InvitationTooFar",
            Error::InvitationTooFar { valid_until: Timestamp(0), latest: Timestamp(0) },
        ),
        ("InvitationUsed", Error::InvitationUsed { node: sender }),
        ("Parameter", Error::Parameter { name: "", rule: name(), got }),
        ("Refused", Error::Refused { reason: name() }),
        ("WeakKey", Error::WeakKey { key: sender }),
        ("TooMany", Error::TooMany { what, max: 0, got: 0 }),
        ("Storage", Error::Storage { reason: name() }),
    ]
}

#[test]
fn encodings_are_the_golden_ones() {
    let now = golden();
    if std::env::var_os("TANDEM_WRITE_GOLDEN").is_some() {
        std::fs::write(FILE, &now).expect("the golden file can be written");
    }
    let frozen = std::fs::read_to_string(FILE).expect("the golden file can be read");
    for (now, frozen) in now.lines().zip(frozen.lines()) {
        assert_eq!(now, frozen, "left is what the code gives, right is frozen");
    }
    assert_eq!(now.lines().count(), frozen.lines().count(), "lines of the golden file");
}

/// Takes a value of the state as JSON, if it has any.
struct Json;

impl stored::Visitor for Json {
    type Out = serde_json::Value;

    fn visit<T: serde::Serialize>(self, what: &'static str, value: &T) -> serde_json::Value {
        serde_json::to_value(value).unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

#[test]
fn every_entry_of_the_state_is_known_by_its_key() {
    let mut kinds = std::collections::BTreeSet::new();
    for chain in [executed::with_every_call(), executed::with_switches()] {
        for (key, value) in chain.store().entries(Column::State) {
            let text = stored::key_text(key);
            assert!(!text.starts_with("0x"), "{text}");
            assert_eq!(stored::key_of_text(&text).as_ref(), Ok(key));
            stored::visit(key, value, Json).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(stored::place_of_end(key, value), Ok(value.len()), "{text}");
            let slash = text.match_indices('/').nth(1).map_or(text.len(), |(at, _)| at);
            kinds.insert(text[..slash].to_owned());
        }
    }
    assert!(kinds.len() >= 18, "{kinds:?}");
}

#[test]
fn every_page_of_the_tree_is_shown() {
    let chain = executed::with_every_call();
    let pages = chain.store().entries(Column::Tree).iter().filter(|(key, _)| key[0] == 0);
    for (key, page) in pages {
        let subtrees = tree::subtrees(page).expect("a page");
        let leaves = subtrees.iter().filter(|subtree| subtree.key.is_some()).count();
        assert_eq!(page.len(), 4 + 32 * (subtrees.len() + leaves), "{}", hex::encode(key));
    }
}

proptest::proptest! {
    #[test]
    fn any_key_of_the_state_comes_back_from_its_text(key: Vec<u8>, prefix in 0usize..7) {
        let prefixes = ["", "recent/", "consortium/key/", "consortium/user/a/", "consortium/address/", "records/data/a/", "records/set/"];
        let key = [prefixes[prefix].as_bytes(), &key].concat();
        proptest::prop_assert_eq!(stored::key_of_text(&stored::key_text(&key)), Ok(key));
    }
}

#[test]
fn sample_blocks_and_evidence_are_whole() {
    let id = samples::chain_id();
    let block = samples::certified_block();
    block.block.check_hashes().expect("hashes");
    samples::first_block().check_hashes().expect("hashes");
    block.certificate.check_power(&samples::sample_table()).expect("power");
    samples::evidence().verify(&tandem_chain::keys::Strict, &id).expect("evidence");
    samples::genesis().validate().expect("a genesis");
}
