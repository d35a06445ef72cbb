//! The files of a snapshot.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use tandem_chain::limits::{MAX_CHUNK_BYTES, MAX_CHUNKS};
use tandem_chain::types::{Hash, Height};

use super::*;
use crate::decode::text::{NoItem, decode};
use crate::home::StorageKey;
use crate::snapshots::Shelf;
use crate::testing::Chain;

/// The files of a snapshot, and the kind of each.
const FILES: [(&str, &str); 4] = [
    ("blocks", "snapshot-blocks"),
    ("chunk-00000", "packed-chunk"),
    ("manifest", "manifest"),
    ("sums", "snapshot-sums"),
];

/// The files of a snapshot after block 2, by name.
fn files(key: Option<StorageKey>) -> BTreeMap<String, Vec<u8>> {
    let mut chain = Chain::new();
    let create = chain.create(1);
    chain.commit(vec![create]);
    let put = chain.put(2, "oil", b"81.20");
    chain.commit(vec![put]);
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path().join("snapshots"), key);
    chain.snapshot(&shelf);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(shelf.path(Height(2))).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        files.insert(name, fs::read(entry.path()).unwrap());
    }
    files
}

#[test]
fn every_file_of_a_snapshot_is_decoded_as_its_kind_and_as_no_other() {
    let files = files(None);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, FILES.map(|(name, _)| name));
    let mut values = BTreeMap::new();
    for (name, kind) in FILES {
        let mut found = decode(&files[name], true, None).unwrap();
        assert_eq!(found["read_as"], "bytes");
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!(found["items"][0]["kind"], kind);
        values.insert(name, found["items"][0]["value"].take());
        for other in KINDS.iter().filter(|other| other.name != kind) {
            let refused = decode(&files[name], true, Some(other));
            assert!(matches!(refused, Err(NoItem::NoFit(_))), "{name} as {}", other.name);
        }
    }
    let packed = &files["chunk-00000"];
    assert_eq!(values["sums"], json!([Hash::of(packed)]));
    let blocks = &values["blocks"];
    assert_eq!(blocks["block"]["block"]["header"]["height"], "2");
    assert_eq!(blocks["above"]["header"]["height"], "3");
    let chunk = unpack(packed).unwrap();
    assert!(chunk.items().len() > 10);
    assert_eq!(find("chunk").unwrap().read(&chunk.encode()), Ok(values["chunk-00000"].clone()));
}

#[test]
fn a_file_of_a_snapshot_that_is_cut_or_too_long_is_refused() {
    let files = files(None);
    let longest = vec![0; MAX_ENCODED_BYTES + 1];
    for (name, kind) in FILES {
        let (kind, bytes) = (find(kind).unwrap(), &files[name]);
        assert!(kind.read(bytes).is_ok());
        for length in [0, 3, 4, bytes.len() / 2, bytes.len() - 1] {
            assert!(kind.read(&bytes[..length]).is_err(), "{name}, cut to {length}");
        }
        assert!(kind.read(&[&bytes[..], &[0]].concat()).is_err(), "{name}, a byte behind it");
        let refused = kind.read(&longest);
        assert!(matches!(refused, Err(Error::TooLong { .. })), "{name}: {refused:?}");
    }

    // How long a chunk claims to be is bounded, and it is as long as it claims.
    let packed = &files["chunk-00000"][4..];
    let claims = |length: usize| {
        let length = u32::try_from(length).unwrap().to_le_bytes();
        find("packed-chunk").unwrap().read(&[&length[..], packed].concat())
    };
    let refused = claims(MAX_CHUNK_BYTES + 1);
    assert!(matches!(refused, Err(Error::TooLong { max: MAX_CHUNK_BYTES, .. })), "{refused:?}");
    for length in [8, MAX_CHUNK_BYTES] {
        let refused = claims(length);
        assert!(matches!(refused, Err(Error::Undecodable { .. })), "{length}: {refused:?}");
    }
    let many = codec::encode(&Sums(vec![Hash::EMPTY; MAX_CHUNKS + 1]));
    let error = find("snapshot-sums").unwrap().read(&many).unwrap_err().to_string();
    assert!(error.contains("at most 65536 items"), "{error}");
}

#[test]
fn a_file_of_an_encrypted_snapshot_is_refused_with_what_to_do() {
    let files = files(Some(StorageKey::new([1; 32])));
    let told = ["encryption.json", "tandem snapshot restore", "--family"];
    for (name, kind) in FILES {
        for kind in [None, find(kind).ok()] {
            let error = decode(&files[name], true, kind).unwrap_err().to_string();
            assert!(told.iter().all(|word| error.contains(word)), "{name}: {error}");
        }
        // Digits are no file.
        let error = decode(hex::encode(&files[name]).as_bytes(), false, None).unwrap_err();
        assert!(!error.to_string().contains(told[0]), "{name}: {error}");
    }
}
