use serde_json::Value;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::codec;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::{Round, Term};
use tandem_consensus::journal::{Journal, KeyState, Place, Signing, VoteGuard};

use super::*;
use crate::export::{blocks, records};
use crate::home::{KeyArrival, MoveId};
use crate::storage::{self, Reader, StorageConfig};
use crate::testing::{self, Chain, key, validator};

/// A chain of four blocks, and its export.
struct Source {
    chain: Chain,
    file: String,
}

impl Source {
    fn new() -> Self {
        let mut chain = Chain::new();
        let create = chain.create(1);
        chain.commit(vec![create]);
        let put = chain.put_as(2, "oil", Some("application/json"), b"81.2");
        chain.commit(vec![put]);
        chain.commit(Vec::new());
        let put = chain.put(3, "gas", b"\x1b[2J");
        chain.commit(vec![put]);
        let file = export(&chain, None, false);
        Self { chain, file }
    }

    /// The file with one line changed; `end` is made anew, so that only the line itself is wrong.
    fn with(&self, line: usize, change: impl FnOnce(&mut Value)) -> String {
        let mut lines: Vec<String> = self.file.lines().map(str::to_owned).collect();
        let mut value = serde_json::from_str(&lines[line - 1]).unwrap();
        change(&mut value);
        lines[line - 1] = value.to_string();
        lines.pop();
        ended(&lines)
    }

    /// As [`Self::with`], of the block in a line.
    fn with_block(&self, line: usize, change: impl FnOnce(&mut CertifiedBlock)) -> String {
        self.with(line, |value| {
            let parsed: BlockLine = serde_json::from_value(value.take()).unwrap();
            let mut certified = parsed.check().unwrap();
            change(&mut certified);
            let bytes = codec::encode(&certified);
            *value = serde_json::json!({
                "height": certified.block.header.height.to_string(),
                "block": certified.block.id(),
                "certified": crate::rpc::shapes::comet::base64(&bytes),
            });
        })
    }
}

/// A file of these lines and the last, which is made for them.
fn ended(lines: &[String]) -> String {
    let text = lines.join("\n") + "\n";
    let (count, digest) = (lines.len() - 1, Hash::of(text.as_bytes()));
    format!("{text}{{\"end\":{{\"lines\":\"{count}\",\"sha256\":\"{digest}\"}}}}\n")
}

fn of_home(home: &Home) -> Result<Reader, storage::Error> {
    let genesis = load_genesis(home, None).unwrap().0.hash();
    Reader::open(&home.data_path(), genesis, &StorageConfig::default())
}

fn reader(chain: &Chain) -> Reader {
    of_home(&chain.home).unwrap()
}

fn export(chain: &Chain, heights: Option<(u64, u64)>, is_compact: bool) -> String {
    let mut out = Vec::new();
    let (from, to) = heights.map(|(from, to)| (Height(from), Height(to))).unzip();
    blocks::export(&reader(chain), (from, to), is_compact, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A home of the chain, with this key.
struct Copy {
    home: Home,
    key: SecretKey,
    _dir: tempfile::TempDir,
}

impl Copy {
    fn new(source: &Source, key: SecretKey) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        home.init(&Config::default(), &key, None).unwrap();
        std::fs::write(home.genesis_path(), source.chain.genesis.to_json()).unwrap();
        Self { home, key, _dir: dir }
    }

    fn import(&self, file: &str) -> Result<Imported, ImportError> {
        import(&self.home, file.as_bytes(), |_| {})
    }

    fn error(&self, file: &str) -> String {
        self.import(file).unwrap_err().to_string()
    }

    fn height(&self) -> Height {
        of_home(&self.home).map_or(Height::ZERO, |reader| reader.height())
    }

    fn guard(&self) -> GuardState {
        self.home.guard().unwrap().unwrap().state
    }
}

#[test]
fn an_export_makes_a_home_with_the_same_chain_and_a_second_import_adds_nothing() {
    let source = Source::new();
    for file in [source.file.clone(), export(&source.chain, None, true)] {
        let copy = Copy::new(&source, key(90));
        let imported = copy.import(&file).unwrap();
        let tip = source.chain.tip();
        let app_hash = tip.app_hash;
        let expected =
            Imported { known: 0, added: 4, height: Height(4), app_hash, key_is_lost: false };
        assert_eq!(imported, expected);
        assert_eq!(copy.import(&file).unwrap(), Imported { known: 4, added: 0, ..expected });
        assert_eq!(copy.guard(), GuardState::New, "a key that never held a seat is as before");
        let there = of_home(&copy.home).unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        blocks::export(&there, (None, None), false, &mut ours).unwrap();
        assert_eq!(String::from_utf8(ours).unwrap(), source.file);
        records::export(&there, false, &mut theirs).unwrap();
        let mut of_source = Vec::new();
        records::export(&reader(&source.chain), false, &mut of_source).unwrap();
        assert_eq!(theirs, of_source);
        for height in 1..=4 {
            let results = reader(&source.chain).results(Height(height)).unwrap();
            assert_eq!(there.results(Height(height)).unwrap(), results);
        }
    }
}

#[test]
fn an_import_goes_on_where_it_stopped() {
    let source = Source::new();
    let copy = Copy::new(&source, key(90));
    let lines: Vec<&str> = source.file.split_inclusive('\n').collect();
    let error = copy.error(&lines[..3].concat());
    assert_eq!(error, "line 4: the file is cut off here: get the whole file");
    assert_eq!(copy.height(), Height(2), "what was whole is there");
    let imported = copy.import(&source.file).unwrap();
    assert_eq!((imported.known, imported.added), (2, 2));
    // A part of the chain is enough for who has what is before it, and for nobody else.
    let part = export(&source.chain, Some((3, 4)), true);
    assert_eq!(copy.import(&part).unwrap().known, 2);
    let error = Copy::new(&source, key(90)).error(&part);
    assert!(error.contains("line 2: the file begins at height 3") && error.contains("begins at 1"));
}

#[test]
fn a_file_that_was_tampered_with_is_refused_at_its_line() {
    let source = Source::new();
    let text = |text: &str| Value::from(text);
    let cases = [
        (source.with(1, |line| line["genesis"] = text(&"AB".repeat(32))), 1, "another home"),
        (source.with(1, |line| line["chain_id"] = text("other")), 1, "is of chain other"),
        (source.with(1, |line| line["tandem_export"] = text("records")), 1, "holds records"),
        (source.with(1, |line| line["from"] = text("0")), 1, "no heights 0 to 4"),
        (source.with(1, |line| line["to"] = text("9")), 6, "the first line says 9"),
        (source.with(1, |line| line["from"] = text("2")), 2, "height 1 stands where 2 belongs"),
        (source.with(3, |line| line["height"] = text("3")), 3, "it says height 3"),
        (source.with(3, |line| line["block"] = text(&"AB".repeat(32))), 3, "certified is block"),
        (source.with(3, |line| line["certified"] = text("!")), 3, "is not base64"),
        (source.with(3, |line| line["certified"] = text("AAAA")), 3, "cannot be decoded"),
        (source.with(3, |line| line["more"] = text("")), 3, "unknown field"),
        (
            source.with_block(3, |block| block.certificate.commit.signatures[0] = None),
            3,
            "not one observation per signature",
        ),
        (
            source.with_block(3, |block| {
                let certificate = &mut block.certificate;
                for i in 0..2 {
                    certificate.commit.signatures[i] = None;
                    certificate.observations[i] = None;
                }
            }),
            3,
            "not more than 2/3 of the power",
        ),
        (
            source.with_block(3, |block| {
                let signatures = &mut block.certificate.commit.signatures;
                signatures[0].as_mut().unwrap().signature.0[0] ^= 1;
            }),
            3,
            "the signature is not that of key",
        ),
        (source.with_block(3, |block| Arc::make_mut(&mut block.block).txs.clear()), 3, "data_hash"),
        (
            source.with_block(3, |block| {
                Arc::make_mut(&mut block.block).header.app_hash = Hash([1; 32]);
            }),
            3,
            "certificate is of another block",
        ),
    ];
    for (file, line, words) in cases {
        let copy = Copy::new(&source, key(90));
        let error = copy.error(&file);
        assert!(
            error.starts_with(&format!("line {line}: ")) && error.contains(words),
            "{words}: {error}"
        );
        assert!(copy.height().0 < line.max(2), "nothing of a wrong line is stored: {error}");
    }
    let lines: Vec<&str> = source.file.split_inclusive('\n').collect();
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4], lines[5]].concat();
    assert!(
        Copy::new(&source, key(90)).error(&swapped).starts_with("line 2: height 2 stands where 1")
    );
}

#[test]
fn what_the_file_has_for_people_is_not_read() {
    let mut source = Source::new();
    // JSON so deep that a line with it would be too deep for readers with a common limit.
    let deep = "[".repeat(120) + &"]".repeat(120);
    let put = source.chain.put(4, "deep", deep.as_bytes());
    source.chain.commit(vec![put]);
    let file = export(&source.chain, None, false);
    for line in file.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(Copy::new(&source, key(90)).import(&file).unwrap().added, 5);

    let content = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    let mut lines: Vec<_> = export(&source.chain, None, true).lines().map(str::to_owned).collect();
    lines.pop();
    for line in &mut lines[1..] {
        *line = line.replace("\"}", &format!("\",\"content\":{content}}}"));
    }
    assert_eq!(Copy::new(&source, key(90)).import(&ended(&lines)).unwrap().added, 5);
}

#[test]
fn another_block_than_the_homes_own_is_refused() {
    let source = Source::new();
    let copy = Copy::new(&source, key(90));
    copy.import(&source.file).unwrap();
    let other = source.with_block(3, |block| {
        Arc::make_mut(&mut block.block).header.time = tandem_chain::types::Timestamp(1);
    });
    assert!(copy.error(&other).contains("line 3: this home has another block at height 2"));
}

/// What a node that starts in the home would take its key for.
fn stored_journal(copy: &Copy, journal: &Journal) {
    let genesis = load_genesis(&copy.home, None).unwrap().0.hash();
    let db = Database::open(&copy.home.data_path(), genesis, &StorageConfig::default()).unwrap();
    driver::store_journal(&db, journal).unwrap();
}

#[test]
fn a_key_that_held_a_seat_or_is_given_one_counts_as_lost() {
    let source = Source::new();
    let copy = Copy::new(&source, validator(1));
    let cut: String = source.file.split_inclusive('\n').take(2).collect();
    copy.error(&cut);
    assert_eq!(
        (copy.guard(), copy.height()),
        (GuardState::Restored, Height(1)),
        "from the first block on"
    );
    assert!(copy.import(&source.file).unwrap().key_is_lost);
    assert_eq!(copy.home.guard().unwrap().unwrap().public_key, copy.key.public());

    // One that is given a seat by the last block, from two heights later on.
    let mut source = Source::new();
    let target = testing::standby(2).public();
    let call = standby::Call::Switch { seat: "gamma".parse().unwrap(), target, term: Term(0) };
    let switch = source.chain.sign(&testing::admin(2), 1, Call::Standby(call));
    source.chain.commit(vec![switch]);
    let before = Copy::new(&source, testing::standby(2));
    assert!(!before.import(&export(&source.chain, Some((1, 4)), true)).unwrap().key_is_lost);
    assert_eq!(before.guard(), GuardState::New);
    assert!(before.import(&export(&source.chain, None, true)).unwrap().key_is_lost);
    assert_eq!(before.guard(), GuardState::Restored);
}

#[test]
fn a_home_whose_key_is_not_here_yet_is_refused() {
    let source = Source::new();
    let copy = Copy::new(&source, validator(1));
    let arrival = KeyArrival { id: MoveId::random(), claim: MoveId::random() };
    let state = GuardState::Coming(arrival);
    let guard = GuardFile { public_key: copy.key.public(), state: state.clone() };
    guard.store(&copy.home.guard_path()).unwrap();
    let error = copy.error(&source.file);
    assert!(error.contains("give the same `tandem keys import` again"), "{error}");
    assert_eq!((copy.height(), copy.guard()), (Height(0), state));
}

#[test]
fn a_key_that_has_signed_here_is_refused() {
    let source = Source::new();
    let mut guard = VoteGuard::new(KeyState::Good);
    let height = Height(7);
    assert!(guard.admit(Place { height, round: Round(0), step: Signing::Prevote }));
    let signed = Copy::new(&source, key(90));
    stored_journal(&signed, &Journal { guard, ..Journal::new(KeyState::Good) });
    let error = signed.error(&source.file);
    assert!(error.contains("has signed votes, as far as height 7"), "{error}");
    assert_eq!(
        (signed.height(), signed.guard()),
        (Height(0), GuardState::New),
        "nothing was changed"
    );

    // A node that has only followed.
    let followed = Copy::new(&source, key(90));
    stored_journal(&followed, &Journal::new(KeyState::Good));
    assert_eq!(followed.import(&source.file).unwrap().added, 4);
}

#[test]
fn heights_that_are_not_there_are_no_export() {
    let source = Source::new();
    for (from, to) in [(0, 4), (3, 2), (1, 5), (5, 9)] {
        let heights = (Some(Height(from)), Some(Height(to)));
        let error = blocks::export(&reader(&source.chain), heights, true, Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("heights {from} to {to} are asked for, and there are 1 to 4")
        );
    }
    let error = blocks::export(&reader(&Chain::new()), (None, None), true, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("there are 1 to 0"), "{error}");
}

#[test]
fn golden_lines_of_blocks() {
    let block = "AB".repeat(32);
    let line = |content| BlockLine {
        height: Height(7),
        block: Hash([0xab; 32]),
        certified: "AQID".to_owned(),
        content,
    };
    let text = |line| serde_json::to_string(&line).unwrap();
    let compact = format!("{{\"height\":\"7\",\"block\":\"{block}\",\"certified\":\"AQID\"}}");
    assert_eq!(text(line(None)), compact);
    let whole = compact.replace("AQID\"}", "AQID\",\"content\":{\"a\":1}}");
    assert_eq!(text(line(Some(serde_json::json!({ "a": 1 })))), whole);
}

/// Lines of records; the frame of a file is frozen in [`crate::export::lines`].
#[test]
fn golden_lines_of_records() {
    let mut out = Vec::new();
    records::export(&reader(&Source::new().chain), false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "{\"data_set\":\"set\",\"owner\":\"alpha\"}");
    let gas = concat!(
        "{\"data_set\":\"set\",\"key\":\"676173\",\"version\":\"1\",\"value\":\"G1sySg==\",",
        "\"sha256\":\"05704E8A84C06017AF3105C9536C4F0A8396A079988A10374146D7F747E3B705\",",
        "\"content\":{\"key\":{\"bytes\":\"3\",\"text\":\"gas\"},",
        "\"value\":{\"base64\":\"G1sySg==\",\"bytes\":\"4\",\"hex\":\"1B5B324A\"}}}",
    );
    assert_eq!(lines[2], gas);
    let oil = format!(
        concat!(
            "{{\"data_set\":\"set\",\"key\":\"6F696C\",\"version\":\"1\",",
            "\"content_type\":\"application/json\",\"value\":\"ODEuMg==\",\"sha256\":\"{}\",",
            "\"content\":{{\"key\":{{\"bytes\":\"3\",\"text\":\"oil\"}},",
            "\"value\":{{\"bytes\":\"4\",\"json\":81.2}}}}}}",
        ),
        Hash::of(b"81.2"),
    );
    assert_eq!(lines[3], oil);
    assert_eq!(lines.len(), 5);
}
