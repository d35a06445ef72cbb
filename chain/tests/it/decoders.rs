//! Decoders under arbitrary, cut, lengthened and changed bytes.

use std::sync::LazyLock;

use proptest::prelude::*;
use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, Header};
use tandem_chain::evidence::Evidence;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::Signature;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::limits::{MAX_ENCODED_BYTES, MAX_ORGS, MAX_TX_BYTES};
use tandem_chain::liveness::{Bits, Observation, SignedRecord};
use tandem_chain::modules::consortium::{
    Closed, Decision, Docket, Motion, Opened, Outcome, Policy, User, UserRole,
};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::records::Stored;
use tandem_chain::modules::rights::{Grant, Range, Right};
use tandem_chain::modules::standby::{Reason, Run, SeatState, Switch};
use tandem_chain::permit::Permit;
use tandem_chain::roles::{Register, RoleTable};
use tandem_chain::snapshot::{Chunk, Manifest};
use tandem_chain::tree::Proof;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Address, ChainId, DataSetName, Hash, Height, OrgName, Round, Term};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_chain::{Error, codec};

use crate::kinds::{self, Kind, round_trip};
use crate::{samples, strategies};

/// Made once: making them takes many signatures.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(kinds);

fn kinds() -> Vec<Kind> {
    let block = samples::block();
    let precommit = samples::vote(VoteKind::Precommit, Some(samples::hash(9)));
    let observation = precommit.observation.clone().expect("an observation");
    let events = vec![Event::new("switch", [("seat", "alpha".to_owned())])];
    let receipt = Receipt { code: 1, data: vec![1], log: "log".to_owned(), events };
    let (holder, effective) = (Some(samples::public(1)), Height(9));
    let run = Run { count: 3, sum_ns: 4 };
    let (term, leaving) = (Term(2), Some(samples::public(2)));
    let (vacant, closed) = (Some(Reason::Membership), true);
    let seat = SeatState { holder, barred: true, vacant, closed, leaving, term, effective, run };
    let (height, seat_name, reason) = (Height(7), samples::org("alpha"), Reason::Barred);
    let switch =
        Switch { height, effective, seat: seat_name, from: holder, to: None, term, reason };
    let motion = Motion {
        made_by: samples::org("alpha"),
        height: Height(5),
        expires: samples::time(400),
        change: samples::changes().remove(0).1,
        force: true,
        votes: [samples::org("alpha"), samples::org("beta")].into(),
        outcome: Some(Outcome::Carried { height: Height(7), effective }),
    };
    let opened = Opened { made_by: samples::org("alpha"), expires: samples::time(400) };
    let docket = Docket { next: 8, open: [(7, opened)].into() };
    let closed_org = Closed { is_removed: true, last: holder };
    let decision = Decision { motion: 7, effective: Some(effective) };
    let grants = [Right::Read, Right::Admin].map(|right| {
        let range = Range::prefix(right.to_string().as_bytes());
        Grant { range, right, height: Height(7) }
    });
    let grants = grants.to_vec();
    let content_type = Some("text/csv; charset=utf-8".parse().expect("a content type"));
    let stored = Stored { version: 3, is_deleted: false, content_type, value: b"42".to_vec() };
    let leaf = Some((samples::hash(3), samples::hash(4)));
    let proof = Proof { siblings: vec![samples::hash(1), samples::hash(2)], leaf };
    let mut kinds = vec![
        Kind::new::<Bits>("bits", &observation.seen),
        Kind::new::<Observation>("observation", &observation),
        Kind::new::<Vote>("precommit", &precommit),
        Kind::new::<Vote>("prevote for nil", &samples::vote(VoteKind::Prevote, None)),
        Kind::new::<Commit>("commit", &block.last_commit),
        Kind::new::<Certificate>("certificate", &samples::certificate(7, samples::hash(7))),
        Kind::new::<SignedRecord>("signed record", &block.record),
        Kind::new::<Header>("header", &block.header),
        Kind::new::<Block>("block", &block),
        Kind::new::<Block>("block 1", &samples::first_block()),
        Kind::new::<CertifiedBlock>("certified block", &samples::certified_block()),
        Kind::new::<RoleTable>("role table", &samples::sample_table()),
        Kind::new::<Register>("register", &samples::sample_register()),
        Kind::new::<Parameters>("parameters", &Parameters::wan()),
        Kind::new::<Receipt>("receipt", &receipt),
        Kind::new::<Genesis>("genesis", &samples::genesis()),
        Kind::new::<Proof>("proof", &proof),
        Kind::new::<Evidence>("evidence", &samples::evidence()),
        Kind::new::<SeatState>("seat", &seat),
        Kind::new::<Manifest>("manifest of a snapshot", &samples::snapshot().0),
        Kind::new::<Chunk>("chunk of a snapshot", &samples::snapshot().1),
        Kind::new::<Switch>("switch", &switch),
        Kind::new::<Motion>("motion", &motion),
        Kind::new::<Docket>("docket", &docket),
        Kind::new::<Closed>("closed organisation", &closed_org),
        Kind::new::<Decision>("decision", &decision),
        Kind::new::<Policy>("policy", &Policy::default()),
        Kind::new::<User>("user", &User { role: UserRole::Auditor, since: Height(7) }),
        Kind::new::<Vec<Grant>>("grants", &grants),
        Kind::new::<Stored>("record", &stored),
        Kind::new::<Permit>("permit", &samples::permits()[0]),
        Kind::new::<Permit>("token", &samples::permits()[1]),
    ];
    for (name, call) in samples::calls() {
        // A transaction keeps the bytes that it came in: what was read from them must be them.
        let again = |bytes: &[u8]| {
            let tx = Tx::decode(bytes.to_vec()).ok()?;
            let signature = bytes.last_chunk::<{ Signature::LEN }>().expect("it is signed");
            let again = [codec::encode(tx.body()), signature.to_vec()].concat();
            assert_eq!(again, bytes, "a transaction has one encoding");
            Some(again)
        };
        kinds.push(Kind { name, bytes: samples::tx(call).bytes().to_vec(), again });
    }
    kinds
}

#[test]
fn a_value_has_one_encoding_and_nothing_may_stand_behind_it() {
    kinds::check_ends(&KINDS);
}

#[test]
fn a_changed_byte_or_length_gives_another_value_or_is_refused() {
    kinds::check_changes(&KINDS);
}

#[test]
fn a_huge_claimed_length_is_refused_before_memory_is_taken() {
    for claim in [MAX_ENCODED_BYTES as u64 + 1, 8 << 20, 1_025] {
        let claim = claim.to_le_bytes();
        for error in [
            codec::decode::<String>("text", &claim, 100).unwrap_err(),
            codec::decode::<ChainId>("name", &claim, 100).unwrap_err(),
            codec::decode::<Tx>("transaction", &claim, 100).unwrap_err(),
        ] {
            assert!(error.to_string().contains("claims to hold more"), "{error}");
        }
        assert!(codec::decode::<Vec<u8>>("list", &claim, 100).is_err());
    }
}

#[test]
fn what_is_claimed_takes_at_most_64_bytes_of_memory_for_each_that_is_there() {
    // One byte above each limit on what may be claimed: up to the next is.
    for (len, limit) in [(1_025, 65_536), (65_537, 1 << 20), ((1 << 20) + 1, MAX_ENCODED_BYTES)] {
        let there = codec::encode(&"x".repeat(len - 16));
        let claiming = |claim: usize| {
            let bytes = [there.as_slice(), &(claim as u64).to_le_bytes()].concat();
            let mut error = String::new();
            let memory = allocation_counter::measure(|| {
                let decoded = codec::decode::<(String, String)>("texts", &bytes, usize::MAX);
                error = decoded.unwrap_err().to_string();
            });
            (memory.bytes_max, error)
        };
        let (taken, error) = claiming(limit - len);
        assert!(error.contains("more bytes belong"), "{len} bytes: {error}");
        assert!(taken <= 64 * len as u64, "{taken} bytes of memory for {len}");
        let (_, error) = claiming(limit - len + 1);
        assert!(error.contains("claims to hold more"), "{len} bytes: {error}");
    }
}

#[test]
fn no_limit_on_what_is_claimed_is_below_what_there_is() {
    for len in
        [1_023, 1_024, 1_025, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, MAX_ENCODED_BYTES]
    {
        let text = "x".repeat(len - 8);
        let bytes = codec::encode(&text);
        assert_eq!((bytes.len(), codec::decode("text", &bytes, len)), (len, Ok(text)));
        let list = vec![7_u8; len - 8];
        assert_eq!(codec::decode("list", &codec::encode(&list), len), Ok(list));
    }
}

#[test]
fn input_over_its_limit_is_refused_unread() {
    let long = vec![0; MAX_TX_BYTES + 1];
    let expected = Error::TooLong { what: "transaction", max: MAX_TX_BYTES, got: MAX_TX_BYTES + 1 };
    assert_eq!(Tx::decode(long).unwrap_err(), expected);
    let error = codec::decode::<u8>("value", &vec![0; MAX_ENCODED_BYTES + 1], usize::MAX);
    let (max, got) = (MAX_ENCODED_BYTES, MAX_ENCODED_BYTES + 1);
    assert_eq!(error.unwrap_err(), Error::TooLong { what: "value", max, got });
}

#[test]
fn a_map_out_of_order_or_with_a_key_twice_is_refused_where_it_counts() {
    let entry = |name: &str| {
        let seat = samples::table(&[(name, 1, 1, 0)]);
        codec::encode(&seat)[8..].to_vec()
    };
    let list = |names: &[&str]| {
        let count = (names.len() as u64).to_le_bytes().to_vec();
        names.iter().fold(count, |bytes, name| [bytes, entry(name)].concat())
    };
    let decode = |names: &[&str]| {
        codec::decode_canonical::<RoleTable>("role table", &list(names), MAX_ENCODED_BYTES)
    };
    assert!(decode(&["a", "b"]).is_ok());
    let error = Error::NotCanonical { what: "role table" };
    assert_eq!(decode(&["b", "a"]).unwrap_err(), error);
    assert_eq!(decode(&["a", "a"]).unwrap_err(), error);
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let text = |text: &[u8]| [&(text.len() as u64).to_le_bytes(), text].concat();
    let refused: [(&str, bool); 10] = [
        ("a bool of 2", codec::decode::<bool>("b", &[2], 9).is_err()),
        ("an option of 2", codec::decode::<Option<u8>>("o", &[2, 0], 9).is_err()),
        ("a step that is none", codec::decode::<VoteKind>("v", &[2, 0, 0, 0], 9).is_err()),
        ("a round of 2 bytes", codec::decode::<Round>("r", &[0, 0], 9).is_err()),
        ("an address of 19 bytes", codec::decode::<Address>("a", &[0; 19], 99).is_err()),
        ("a hash of 33 bytes", codec::decode::<Hash>("h", &[0; 33], 99).is_err()),
        ("no UTF-8", codec::decode::<String>("s", &text(&[0xff]), 99).is_err()),
        ("an empty name", codec::decode::<OrgName>("n", &text(b""), 99).is_err()),
        ("a name in capitals", codec::decode::<DataSetName>("n", &text(b"A"), 99).is_err()),
        ("a long chain id", codec::decode::<ChainId>("n", &text(&[b'a'; 51]), 99).is_err()),
    ];
    for (name, refused) in refused {
        assert!(refused, "{name}");
    }
}

#[test]
fn a_block_with_a_broken_transaction_is_refused_and_the_error_names_it() {
    let Block { header, record, txs, evidence, last_commit } = samples::block();
    let block = |txs: &[Vec<u8>]| codec::encode(&(&header, &record, txs, &evidence, &last_commit));
    let whole: Vec<Vec<u8>> = txs.iter().map(|tx| tx.bytes().to_vec()).collect();
    assert_eq!(block(&whole), codec::encode(&samples::block()));
    let certificate = codec::encode(&samples::certificate(8, samples::hash(8)));

    // Transaction 2 puts a record: from its end, the signature and what version is expected.
    let put = &whole[1];
    let changed = |from_end: usize, byte: u8| {
        let mut tx = put.clone();
        let at = tx.len() - from_end;
        assert_ne!(std::mem::replace(&mut tx[at], byte), byte);
        tx
    };
    let call = codec::encode(&(samples::chain_id(), samples::public(21), 0_u64, 0_u64)).len();
    let broken = [
        ("empty", Vec::new(), "more bytes belong"),
        ("cut", put[..put.len() - 1].to_vec(), "more bytes belong"),
        ("with a byte behind it", [put.as_slice(), &[0]].concat(), "1 bytes behind the value"),
        ("with a call that is none", changed(put.len() - call, 9), "variant"),
        ("with an option of 2", changed(64 + 9, 2), "transaction cannot be decoded"),
        ("too long", vec![0; MAX_TX_BYTES + 1], "transaction: "),
    ];
    for (name, tx, expected) in broken {
        let block = block(&[whole[0].clone(), tx]);
        let refused = [
            codec::decode::<Block>("block", &block, MAX_ENCODED_BYTES).err(),
            codec::decode_canonical::<Block>("block", &block, MAX_ENCODED_BYTES).err(),
            codec::decode::<CertifiedBlock>(
                "block",
                &[block.as_slice(), &certificate].concat(),
                MAX_ENCODED_BYTES,
            )
            .err(),
        ];
        for error in refused {
            let Some(Error::Undecodable { what: "block", reason }) = error else {
                panic!("{name}: {error:?}");
            };
            assert!(
                reason.contains("transaction") && reason.contains(expected),
                "{name}: {reason}"
            );
        }
    }
}

#[test]
#[should_panic(expected = "over the limit of our own values")]
fn a_value_that_no_decoder_would_take_is_not_encoded() {
    let text = |len: usize| "x".repeat(len - 8);
    assert_eq!(codec::encode(&text(MAX_ENCODED_BYTES)).len(), MAX_ENCODED_BYTES);
    let _ = codec::encode(&text(MAX_ENCODED_BYTES + 1));
}

#[test]
fn errors_hold_no_control_characters_of_what_was_sent() {
    let name = format!("\u{1b}[31m{}\n", "x".repeat(200));
    let error = name.parse::<ChainId>().unwrap_err().to_string();
    assert!(error.chars().all(|c| !c.is_control()), "{error}");
    assert!(error.len() < 200, "{error}");
    let sent = codec::encode(&name);
    let error = codec::decode::<ChainId>("chain id", &sent, 1_000).unwrap_err().to_string();
    assert!(error.chars().all(|c| !c.is_control()), "{error}");
    assert!(error.len() < 300, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_make_a_decoder_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        for kind in KINDS.iter() {
            kind.read(&bytes);
        }
        let _ = Bits::from_extension(&bytes).map(|seen| assert_eq!(seen.to_extension(), bytes));
        let _ = Genesis::from_json(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn spoilt_bytes_never_make_a_decoder_panic((kind, bytes) in kinds::spoilt(&KINDS)) {
        KINDS[kind].read(&bytes);
    }

    #[test]
    fn a_spoilt_genesis_is_refused_or_comes_back_from_its_json(
        at in any::<prop::sample::Index>(),
        taken in 0..9_usize,
        added in "[-0-9a-z{}\\[\\],:\"]{0,9}",
    ) {
        let mut json = samples::genesis().to_json();
        let at = at.index(json.len());
        json.replace_range(at..(at + taken).min(json.len()), &added);
        if let Ok(genesis) = Genesis::from_json(&json) {
            let _ = genesis.validate();
            prop_assert_eq!(Genesis::from_json(&genesis.to_json()), Ok(genesis));
        }
    }

    #[test]
    fn texts_are_refused_or_come_back(text in "\\PC{0,70}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}") {
        let _ = text.parse::<ChainId>().map(|id| assert_eq!(id.as_str(), text));
        let _ = text.parse::<OrgName>().map(|name| assert_eq!(name.as_str(), text));
        let _ = text.parse::<DataSetName>().map(|name| assert_eq!(name.as_str(), text));
        let _ = text.parse::<Hash>().map(|hash| assert_eq!(hash.to_string().parse(), Ok(hash)));
        let _ = text.parse::<Address>().map(|a| assert_eq!(a.to_string().parse(), Ok(a)));
    }

    #[test]
    fn votes_come_back(vote in strategies::vote()) {
        round_trip(&vote)?;
    }

    #[test]
    fn evidence_comes_back(evidence in strategies::evidence()) {
        round_trip(&evidence)?;
    }

    #[test]
    fn certificates_come_back(certificate in strategies::certificate()) {
        round_trip(&certificate)?;
    }

    #[test]
    fn records_come_back(record in strategies::record()) {
        round_trip(&record)?;
    }

    #[test]
    fn transactions_come_back(tx in strategies::tx()) {
        prop_assert_eq!(Tx::decode(tx.bytes().to_vec()), Ok(tx.clone()));
        round_trip(&tx)?;
    }

    #[test]
    fn blocks_come_back_and_are_hashed_whatever_is_in_them(block in strategies::block()) {
        round_trip(&block)?;
        let _ = (block.id(), block.check_hashes());
    }

    #[test]
    fn permits_come_back(permit in strategies::permit()) {
        prop_assert_eq!(permit.to_string().parse(), Ok(permit.clone()));
        round_trip(&permit)?;
    }

    #[test]
    fn tables_come_back(table in strategies::role_table(), register in strategies::register()) {
        round_trip(&table)?;
        round_trip(&register)?;
    }

    #[test]
    fn observations_come_back_as_extensions(observation in strategies::observation()) {
        let bytes = observation.seen.to_extension();
        prop_assert_eq!(Bits::from_extension(&bytes), Ok(observation.seen));
    }
}

#[test]
fn a_list_of_absent_entries_is_refused_before_it_is_read() {
    // One byte an entry in the encoding, a hundred in memory.
    let long = |count: usize| Commit { signatures: vec![None; count], ..Commit::default() };
    let decoded = |count| codec::decode::<Commit>("commit", &codec::encode(&long(count)), 1 << 20);
    assert_eq!(decoded(MAX_ORGS).unwrap(), long(MAX_ORGS));
    for count in [MAX_ORGS + 1, 1_000_000] {
        let Err(Error::Undecodable { reason, .. }) = decoded(count) else { panic!("{count}") };
        assert!(reason.contains("at most 100 items"), "{reason}");
    }
}
