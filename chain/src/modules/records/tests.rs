use std::collections::BTreeSet;

use crate::ledger::Receipt;
use crate::ledger::tests::kit::*;
use crate::limits::{
    MAX_CONTENT_TYPE_BYTES, MAX_DATA_SETS_PER_ORG, MAX_LIST, MAX_LIST_BYTES, MAX_RECORD_KEY_BYTES,
    MAX_RECORD_VALUE_BYTES,
};
use crate::modules::Call;
use crate::modules::records::{self, DataSet, data_sets, get, list, state_key};
use crate::tree;
use crate::tx::Tx;
use crate::types::{DataSetName, Hash};

fn set(name: &str) -> DataSetName {
    name.parse().unwrap()
}

fn with_set() -> Chain {
    let mut chain = Chain::new();
    assert!(chain.send("a-user", create("set")).is_ok());
    chain
}

#[test]
fn a_record_s_version_rises_with_every_write_and_outlives_deletion() {
    let mut chain = with_set();
    // Code, and version where it succeeds.
    let steps = [
        (put("set", "k", "one", Some(1)), (13, 0)),
        (delete("set", "k", None), (10, 0)),
        (put("set", "k", "one", Some(0)), (0, 1)),
        (put("set", "k", "two", Some(0)), (13, 0)),
        (put("set", "k", "two", Some(2)), (13, 0)),
        (put("set", "k", "two", Some(1)), (0, 2)),
        (put("set", "k", "three", None), (0, 3)),
        (delete("set", "k", Some(2)), (13, 0)),
        (delete("set", "k", Some(0)), (13, 0)),
        (delete("set", "k", Some(3)), (0, 3)),
        (delete("set", "k", None), (10, 0)),
        (delete("set", "k", Some(3)), (10, 0)),
        (put("set", "k", "four", Some(3)), (13, 0)),
        (put("set", "k", "four", Some(0)), (0, 4)),
        (delete("set", "k", None), (0, 4)),
        (put("set", "k", "", None), (0, 5)),
    ];
    for (i, (call, (code, version))) in steps.into_iter().enumerate() {
        let receipt = chain.send("a-user", call);
        assert_eq!(receipt.code, code, "step {i}: {receipt:?}");
        if code == 0 {
            assert_eq!(number(&receipt.data), version, "step {i}");
        }
    }
    let record = get(chain.store(), &set("set"), b"k").unwrap().unwrap();
    assert_eq!((record.version, record.value), (5, Some(vec![])));
    assert_eq!(record.digest, Some(Hash::EMPTY));
    assert_eq!(get(chain.store(), &set("set"), b"other").unwrap(), None);
    assert!(chain.send("a-user", delete("set", "k", None)).is_ok());
    let record = get(chain.store(), &set("set"), b"k").unwrap().unwrap();
    assert_eq!((record.version, record.value, record.digest), (5, None, None));
}

#[test]
fn a_data_set_belongs_to_the_organisation_that_created_it() {
    let mut chain = with_set();
    let cases = [
        ("the creator", "a-user", put("set", "k", "v", None), 0),
        ("its admin key", "a-admin", put("set", "k", "v", None), 0),
        ("its nodes", "a3", put("set", "k", "v", None), 0),
        ("another's user", "b-user", put("set", "k", "v", None), 12),
        ("another's admin key", "b-admin", delete("set", "k", None), 12),
        ("a stranger", "stranger", put("set", "k", "v", None), 7),
        ("no such set", "a-user", put("sett", "k", "v", None), 10),
        ("no such set to delete from", "a-user", delete("sett", "k", None), 10),
        ("created again", "a-user", create("set"), 11),
        ("created again by another", "b-user", create("set"), 11),
        ("another's own", "b-user", create("b"), 0),
    ];
    for (name, sender, call, code) in cases {
        assert_eq!(chain.send(sender, call).code, code, "{name}");
    }
    let expected = [("b", "b"), ("set", "a")]
        .map(|(name, owner)| DataSet { name: set(name), owner: org(owner) });
    assert_eq!(data_sets(chain.store()).unwrap(), expected);
    assert_eq!(get(chain.store(), &set("x"), b"k").unwrap_err().code(), 10);
    assert_eq!(list(chain.store(), &set("x"), b"", None, 9).unwrap_err().code(), 10);
}

#[test]
fn keys_and_values_are_bounded() {
    let mut chain = with_set();
    let put = |key: usize, value: usize| put("set", &"k".repeat(key), &"v".repeat(value), None);
    for (key, value, code) in [
        (1, MAX_RECORD_VALUE_BYTES, 0),
        (1, MAX_RECORD_VALUE_BYTES + 1, 1),
        (MAX_RECORD_KEY_BYTES, 0, 0),
        (MAX_RECORD_KEY_BYTES + 1, 0, 1),
        (0, 1, 17),
    ] {
        assert_eq!(chain.send("a-user", put(key, value)).code, code, "{key} {value}");
    }
}

#[test]
fn an_organisation_can_take_no_more_names_than_its_share() {
    let mut chain = with_set();
    let mut next = Next::default();
    for i in 1..=MAX_DATA_SETS_PER_ORG {
        next = next.tx(chain.tx("a-user", create(&format!("s{i}"))));
    }
    let receipts = chain.run(&next).receipts;
    let (last, rest) = receipts.split_last().unwrap();
    assert!(rest.iter().all(Receipt::is_ok));
    assert_eq!(last.code, 19);
    assert!(last.log.contains("data sets of the organisation: 101 items"), "{}", last.log);
    assert_eq!(chain.send("a-admin", create("other")).code, 19, "whichever of its keys asks");
    assert_eq!(chain.send("a-user", create("s1")).code, 11);
    assert_eq!(data_sets(chain.store()).unwrap().len(), MAX_DATA_SETS_PER_ORG);
    // The others have theirs, and what was refused left no owner.
    assert!(chain.send("b-user", create("other")).is_ok());
    let sets = data_sets(chain.store()).unwrap();
    assert_eq!(sets.len(), MAX_DATA_SETS_PER_ORG + 1);
    assert_eq!(sets[0], DataSet { name: set("other"), owner: org("b") });
}

#[test]
fn events_name_the_record_readably() {
    let mut chain = with_set();
    let receipt = chain.send("a-user", put("set", "price/eur", "1", None));
    assert_eq!(receipt.events.len(), 1);
    assert_eq!(receipt.events[0].kind, "record_put");
    assert_eq!(receipt.events[0].attribute("data_set"), Some("set"));
    assert_eq!(receipt.events[0].attribute("key"), Some("price/eur"));
    assert_eq!(receipt.events[0].attribute("version"), Some("1"));
    for (key, shown) in
        [("\u{1b}[31m", "0x1b5b33316d"), ("0xff", "0x30786666"), ("a b", "0x612062")]
    {
        let receipt = chain.send("a-user", put("set", key, "1", None));
        assert_eq!(receipt.events[0].attribute("key"), Some(shown));
        let receipt = chain.send("a-user", delete("set", key, None));
        assert_eq!(receipt.events[0].kind, "record_deleted");
    }
}

fn keys_of(page: &records::Page) -> Vec<String> {
    page.records.iter().map(|record| String::from_utf8(record.key.clone()).unwrap()).collect()
}

#[test]
fn a_listing_goes_on_where_it_stopped() {
    let mut chain = with_set();
    assert!(chain.send("a-user", create("set2")).is_ok());
    let mut next = Next::default();
    let names: Vec<String> = (0..40).map(|i| format!("k{i:02}")).collect();
    for name in &names {
        next = next.tx(chain.tx("a-user", put("set", name, "v", None)));
    }
    next = next.tx(chain.tx("a-user", put("set", "other", "v", None)));
    next = next.tx(chain.tx("a-user", put("set2", "k", "v", None)));
    next = next.tx(chain.tx("a-user", delete("set", "k05", None)));
    assert!(chain.run(&next).receipts.iter().all(Receipt::is_ok));
    let expected: Vec<String> = names.into_iter().filter(|name| name != "k05").collect();

    for limit in [1, 7, 16, 39, 40, usize::MAX] {
        let (mut found, mut after, mut parts) = (Vec::new(), None::<Vec<u8>>, 0);
        loop {
            let page = list(chain.store(), &set("set"), b"k", after.as_deref(), limit).unwrap();
            assert!(page.records.len() <= limit);
            found.extend(keys_of(&page));
            parts += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
        assert_eq!(parts, expected.len().div_ceil(limit), "limit {limit}");
    }
    let all = list(chain.store(), &set("set"), b"", Some(b"k38"), 9).unwrap();
    assert_eq!((keys_of(&all), all.next), (vec!["k39".to_owned(), "other".to_owned()], None));
    let none = list(chain.store(), &set("set"), b"k", Some(b"z"), 9).unwrap();
    assert_eq!(none, records::Page::default());
    assert_eq!(keys_of(&list(chain.store(), &set("set2"), b"", None, 9).unwrap()), ["k"]);
}

#[test]
fn a_listing_s_answer_is_bounded_in_bytes_and_in_what_it_looks_at() {
    let mut chain = with_set();
    chain.is_checked = false;
    let value = "v".repeat(MAX_RECORD_VALUE_BYTES);
    for i in 0..30 {
        let receipt = chain.send("a-user", put("set", &format!("k{i:02}"), &value, None));
        assert!(receipt.is_ok());
    }
    let page = list(chain.store(), &set("set"), b"", None, usize::MAX).unwrap();
    let bytes: usize = page.records.iter().map(|r| r.value.as_ref().unwrap().len()).sum();
    assert!(bytes <= MAX_LIST_BYTES + MAX_RECORD_VALUE_BYTES, "{bytes}");
    assert_eq!(page.next, page.records.last().map(|record| record.key.clone()));

    // Deleted records are passed over, but not without end.
    let mut next = Next::default();
    for i in 0..=MAX_LIST {
        next = next.tx(chain.tx("a-user", put("set", &format!("d{i:04}"), "v", None)));
        next = next.tx(chain.tx("a-user", delete("set", &format!("d{i:04}"), None)));
    }
    assert!(chain.run(&next).receipts.iter().all(Receipt::is_ok));
    let page = list(chain.store(), &set("set"), b"d", None, 5).unwrap();
    assert_eq!((page.records.len(), page.next), (0, Some(b"d0999".to_vec())));
    let page = list(chain.store(), &set("set"), b"", Some(b"d0999"), 1).unwrap();
    assert_eq!(keys_of(&page), ["k00"]);
}

#[test]
fn records_are_proved_against_the_state_commitment() {
    let mut chain = with_set();
    assert!(chain.send("a-user", put("set", "k", "v", None)).is_ok());
    let root = chain.ledger.tip().app_hash;
    let key = state_key(&set("set"), b"k");
    let (content_type, value) = (None, b"v".to_vec());
    let stored = records::Stored { version: 1, is_deleted: false, content_type, value };
    let bytes = crate::codec::encode(&stored);
    assert!(tree::prove(chain.store(), &key).unwrap().verify(&root, &key, Some(&bytes)));
    let absent = state_key(&set("set"), b"l");
    assert!(tree::prove(chain.store(), &absent).unwrap().verify(&root, &absent, None));
}

#[test]
fn a_content_type_stays_with_its_value_and_is_under_the_state_commitment() {
    let mut chain = with_set();
    let found = |chain: &Chain| {
        let record = get(chain.store(), &set("set"), b"k").unwrap().unwrap();
        let listed = list(chain.store(), &set("set"), b"k", None, 1).unwrap().records;
        assert!(record.value.is_none() || listed == [record.clone()]);
        record.content_type.map(|content_type| content_type.to_string())
    };
    let mut commitments = BTreeSet::new();
    // Each write says anew what it writes; one that says nothing leaves nothing.
    let writes = [(1, None), (2, Some("text/csv")), (3, Some("Text/CSV")), (4, None)];
    for (version, content_type) in writes {
        assert!(chain.send("a-user", put_as("set", "k", content_type, "v", None)).is_ok());
        assert_eq!(found(&chain).as_deref(), content_type);
        let record = get(chain.store(), &set("set"), b"k").unwrap().unwrap();
        assert_eq!(record.digest, Some(Hash::of(b"v")), "of the value alone");

        let root = chain.ledger.tip().app_hash;
        let key = state_key(&set("set"), b"k");
        let proof = tree::prove(chain.store(), &key).unwrap();
        let proves = |content_type: Option<&str>| {
            let content_type = content_type.map(|text| text.parse().unwrap());
            let value = b"v".to_vec();
            let stored = records::Stored { version, is_deleted: false, content_type, value };
            proof.verify(&root, &key, Some(&crate::codec::encode(&stored)))
        };
        for other in [None, Some("text/csv"), Some("Text/CSV"), Some("text/plain")] {
            assert_eq!(proves(other), other == content_type, "{content_type:?} {other:?}");
        }
        commitments.insert(root);
    }
    assert_eq!(commitments.len(), writes.len());
    assert!(chain.send("a-user", put_as("set", "k", Some("text/csv"), "v", None)).is_ok());
    assert!(chain.send("a-user", delete("set", "k", None)).is_ok());
    assert_eq!(found(&chain), None, "nothing is left of a deleted record but its version");
}

/// The longest key, content type and value go into a transaction; one that is no content type does not.
#[test]
fn a_transaction_with_a_content_type_that_is_none_is_refused_as_a_whole() {
    let mut chain = with_set();
    let content_type = format!("text/{}", "x".repeat(MAX_CONTENT_TYPE_BYTES - 5));
    let (key, value) = ("k".repeat(MAX_RECORD_KEY_BYTES), "v".repeat(MAX_RECORD_VALUE_BYTES));
    let tx = chain.tx("a-user", put_as("set", &key, Some(&content_type), &value, Some(0)));
    assert!(Tx::decode(tx.bytes().to_vec()).is_ok());
    let at = tx.bytes().windows(5).position(|bytes| bytes == b"text/").unwrap();
    let changed = |to: &[u8]| {
        let mut bytes = tx.bytes().to_vec();
        bytes.splice(at..at + content_type.len(), to.iter().copied());
        bytes[at - 8..at].copy_from_slice(&(to.len() as u64).to_le_bytes());
        bytes
    };
    assert_eq!(changed(content_type.as_bytes()), tx.bytes());
    let longer = format!("{content_type}x");
    let rule = "content type must be a media type";
    for (to, reason) in [
        (longer.as_bytes(), rule),
        (b"", rule),
        (b"text", rule),
        (b"text/\x1b[2J", rule),
        (b"text/html; a=\"<b>\"", rule),
        ("text/\u{fc}".as_bytes(), rule),
        (b"text/\xff", "not UTF-8"),
    ] {
        let error = Tx::decode(changed(to)).unwrap_err();
        assert_eq!(error.code(), 1);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn calls_are_encoded_as_lists_of_bytes_are() {
    // The fast way of writing bytes gives what bincode gives for a Vec<u8>.
    #[derive(serde::Serialize)]
    struct Put {
        data_set: &'static str,
        key: Vec<u8>,
        content_type: Option<&'static str>,
        value: Vec<u8>,
        expected: Option<u64>,
    }
    let (content_type, expected) = (Some("text/csv"), Some(7));
    let Call::Records(call) = put_as("set", "key", content_type, "value", expected) else {
        unreachable!()
    };
    let (key, value) = (b"key".to_vec(), b"value".to_vec());
    let slow = Put { data_set: "set", key, content_type, value, expected };
    let slow = [&1u32.to_le_bytes()[..], &crate::codec::encode(&slow)].concat();
    assert_eq!(crate::codec::encode(&call), slow);
    assert_eq!(crate::codec::decode::<records::Call>("call", &slow, 1_000), Ok(call));
}
