//! Entries of a node's database: keys as text, values by the type that their key says.
//!
//! | column family | keys as text |
//! |---|---|
//! | `state` | [`stored::key_text`], such as `standby/table/7` or `records/data/prices/oil` |
//! | `tree` | `page/` and the path in hex digits, one a step; `recent/` and a transaction's hash |
//! | `blocks`, `results`, `validators` | the height |
//! | `index` | `block/` and a block's id, `transaction/` and a transaction's hash |
//! | `events` | `transactions/HEIGHT`; `write/` and a record's hash, height and place; `event/` and `block-event/`, each with `NAME=VALUE/HEIGHT/PLACE/EVENT` |
//! | `consensus`, `meta` | the name |
//!
//! Any key can be given as hex digits after `0x`, and one that is of none of these forms is shown so.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::types::{Hash, Height, escaped};
use tandem_chain::{Error, codec, stored, tree};
use tandem_consensus::journal::{Journal, Valid};
use tandem_consensus::light::ValidatorSet;
use tandem_consensus::message::Proposal;

use super::readable;
use crate::storage::{BlockResults, EventKind, EventsKey, FamilyName, Place, attribute_start};

/// A value of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What it is.
    pub kind: &'static str,
    /// What it holds.
    pub value: Value,
}

/// First bytes of keys, and the word for each: of `tree`, of `events` and of `index`.
const TREE_KEYS: [(u8, &str); 2] = [(0, "page/"), (1, "recent/")];
const EVENTS_KEYS: [(u8, &str); 4] =
    [(b't', "event/"), (b'b', "block-event/"), (b'r', "write/"), (b'h', "transactions/")];
const INDEX_KEYS: [(u8, &str); 2] = [(b'b', "block/"), (b't', "transaction/")];

/// A key as text.
#[must_use]
pub fn key_text(family: FamilyName, key: &[u8]) -> String {
    let text = match family {
        FamilyName::State => Some(stored::key_text(key)),
        FamilyName::Blocks | FamilyName::Results | FamilyName::Validators => {
            height_of(key).map(|height| height.to_string())
        }
        FamilyName::Tree => match key {
            [0, path @ ..] if path.iter().all(|step| *step < 16) => {
                Some(path.iter().fold("page/".to_owned(), |text, step| format!("{text}{step:x}")))
            }
            [1, ..] => tagged(&TREE_KEYS, key),
            _ => None,
        },
        FamilyName::Index => tagged(&INDEX_KEYS, key),
        FamilyName::Events => EventsKey::decode(key).and_then(|key| events_text(&key)),
        FamilyName::Consensus | FamilyName::Meta => {
            let is_name = !key.is_empty() && key.iter().all(u8::is_ascii_lowercase);
            is_name.then(|| String::from_utf8_lossy(key).into_owned())
        }
    };
    text.unwrap_or_else(|| format!("0x{}", hex::encode(key)))
}

/// The key that [`key_text`] writes as `text`.
///
/// # Errors
/// [`Error::Name`], [`Error::NotHex`]: what is expected.
pub fn key_of_text(family: FamilyName, text: &str) -> Result<Vec<u8>, Error> {
    if let Some(digits) = text.strip_prefix("0x") {
        return hex::decode(digits).map_err(|_| Error::NotHex { what: "key" });
    }
    let wrong = |rule| Error::Name { what: "key", rule, got: escaped(text) };
    let hash = |table: &[(u8, &str)], rule| {
        let found = table.iter().find_map(|(tag, word)| {
            let hash: Hash = text.strip_prefix(word)?.parse().ok()?;
            Some([&[*tag][..], &hash.0].concat())
        });
        found.ok_or_else(|| wrong(rule))
    };
    match family {
        FamilyName::State => stored::key_of_text(text),
        FamilyName::Blocks | FamilyName::Results | FamilyName::Validators => {
            let height = text.parse::<u64>().map_err(|_| wrong("a height"))?;
            Ok(height.to_be_bytes().to_vec())
        }
        FamilyName::Tree => match text.strip_prefix("page/") {
            Some(path) => path
                .chars()
                .map(|digit| digit.to_digit(16).and_then(|step| u8::try_from(step).ok()))
                .collect::<Option<Vec<u8>>>()
                .map(|path| [&[0][..], &path].concat())
                .ok_or_else(|| wrong("page/ and hex digits")),
            None => hash(&TREE_KEYS[1..], "page/ and a path, or recent/ and a transaction's hash"),
        },
        FamilyName::Index => {
            hash(&INDEX_KEYS, "block/ and a block's id, or transaction/ and a transaction's hash")
        }
        FamilyName::Events => {
            let key = events_key(text).ok_or_else(|| wrong(EVENTS_RULE))?;
            Ok(key.encode())
        }
        FamilyName::Consensus | FamilyName::Meta => Ok(text.as_bytes().to_vec()),
    }
}

/// What the keys of `events` look like.
const EVENTS_RULE: &str = "transactions/HEIGHT, write/HASH/HEIGHT/PLACE, or event/ or block-event/ and \
                           NAME=VALUE/HEIGHT/PLACE/EVENT";

fn events_text(key: &EventsKey) -> Option<String> {
    Some(match key {
        EventsKey::Count(height) => format!("transactions/{height}"),
        EventsKey::Write { record, height, tx } => format!("write/{record}/{height}/{tx}"),
        // Such a name would be taken for another with another value.
        EventsKey::Attribute { name, .. } if name.contains('=') => return None,
        EventsKey::Attribute { kind, name, value, place: Place { height, tx, event } } => {
            let of = if *kind == EventKind::Block { "block-event" } else { "event" };
            format!("{of}/{name}={value}/{height}/{tx}/{event}")
        }
    })
}

fn events_key(text: &str) -> Option<EventsKey> {
    let (of, rest) = text.split_once('/')?;
    let height = |text: &str| text.parse().ok().map(Height);
    let kind = match of {
        "transactions" => return Some(EventsKey::Count(height(rest)?)),
        "write" => {
            let [record, at, tx] = rest.split('/').collect::<Vec<_>>().try_into().ok()?;
            let (record, height, tx) = (record.parse().ok()?, height(at)?, tx.parse().ok()?);
            return Some(EventsKey::Write { record, height, tx });
        }
        "block-event" => EventKind::Block,
        "event" => EventKind::Transaction,
        _ => return None,
    };
    let (name, rest) = rest.split_once('=')?;
    // A value may hold slashes.
    let [event, tx, at, value] = rest.rsplitn(4, '/').collect::<Vec<_>>().try_into().ok()?;
    let place = Place { height: height(at)?, tx: tx.parse().ok()?, event: event.parse().ok()? };
    Some(EventsKey::Attribute { kind, name: name.to_owned(), value: value.to_owned(), place })
}

/// What the keys start with that are listed as starting with `text`.
///
/// # Errors
/// [`Error::Name`], [`Error::NotHex`]: what is expected.
pub fn prefix_of_text(family: FamilyName, text: &str) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let tags = match family {
        _ if text.starts_with("0x") => return key_of_text(family, text),
        FamilyName::State | FamilyName::Consensus | FamilyName::Meta => {
            return Ok(text.as_bytes().to_vec());
        }
        FamilyName::Blocks | FamilyName::Results | FamilyName::Validators => [].as_slice(),
        FamilyName::Tree if text.starts_with(TREE_KEYS[0].1) => return key_of_text(family, text),
        FamilyName::Tree => &TREE_KEYS[1..],
        FamilyName::Events => &EVENTS_KEYS,
        FamilyName::Index => &INDEX_KEYS,
    };
    let found = tags.iter().find_map(|(tag, word)| {
        let rest = text.strip_prefix(word)?;
        if matches!(tag, b'b' | b't') && family == FamilyName::Events {
            let kind = if *tag == b'b' { EventKind::Block } else { EventKind::Transaction };
            return Some(attribute_start(kind, rest));
        }
        let hash = hex::decode(rest).ok()?;
        // Heights are no hex digits.
        let is_known = *tag != b'h' || hash.is_empty();
        is_known.then(|| [&[*tag][..], &hash].concat())
    });
    found.ok_or_else(|| {
        let rule = match family {
            FamilyName::Blocks | FamilyName::Results | FamilyName::Validators => {
                "hex digits after 0x: keys are heights"
            }
            FamilyName::Events => {
                "event/ or block-event/ and NAME or NAME=VALUE or their beginnings; write/ and pairs of hex \
                 digits; transactions/"
            }
            FamilyName::Tree => "page/ or recent/, and pairs of hex digits",
            _ => "block/ or transaction/, and pairs of hex digits",
        };
        Error::Name { what: "prefix", rule, got: escaped(text) }
    })
}

fn tagged(table: &[(u8, &str)], key: &[u8]) -> Option<String> {
    let (tag, hash) = key.split_first()?;
    let (_, word) = table.iter().find(|(known, _)| known == tag)?;
    Some(format!("{word}{}", Hash::from_slice(hash).ok()?))
}

fn height_of(key: &[u8]) -> Option<Height> {
    Some(Height(u64::from_be_bytes(key.try_into().ok()?)))
}

/// A value, by its key.
///
/// # Errors
/// [`Error::NotFound`] for a key that is none of the family's; [`Error::Damaged`] for a page, else
/// those of [`codec::decode_canonical`].
pub fn show(family: FamilyName, key: &[u8], value: &[u8]) -> Result<Shown, Error> {
    let unknown = || Error::NotFound { what: "kind of key", name: key_text(family, key) };
    match family {
        FamilyName::State => stored::visit(key, value, Showing),
        FamilyName::Blocks if height_of(key).is_some() => {
            shown::<CertifiedBlock>("certified block", value)
        }
        FamilyName::Results if height_of(key).is_some() => shown::<BlockResults>("results", value),
        FamilyName::Validators if height_of(key).is_some() => {
            shown::<ValidatorSet>("validators from a height on", value)
        }
        FamilyName::Tree => match key {
            [0, ..] => {
                Ok(Shown { kind: "page of the tree", value: readable(&tree::subtrees(value)?) })
            }
            [1, ..] => shown::<()>("transaction of a recent block", value),
            _ => Err(unknown()),
        },
        FamilyName::Events => match EventsKey::decode(key) {
            Some(EventsKey::Count(_)) => {
                shown::<(u32, u64)>("number of transactions, and of those up to it", value)
            }
            Some(EventsKey::Write { .. }) => shown::<u64>("version of a record", value),
            Some(EventsKey::Attribute { .. }) => shown::<()>("place of an event", value),
            None => Err(unknown()),
        },
        FamilyName::Index => match key {
            [b'b', ..] => shown::<Height>("height of a block", value),
            [b't', ..] => shown::<(Height, u32)>("height and place of a transaction", value),
            _ => Err(unknown()),
        },
        FamilyName::Consensus => match key {
            b"journal" => shown::<Journal>("journal", value),
            b"valid" => shown::<Valid>("valid value", value),
            b"proposal" => shown::<Proposal>("last own proposal", value),
            _ => Err(unknown()),
        },
        FamilyName::Meta => match key {
            b"format" => shown::<u32>("format of the database", value),
            b"genesis" => shown::<Hash>("genesis hash", value),
            b"height" => shown::<Height>("height of the last block", value),
            b"first" => shown::<Height>("height of the lowest block", value),
            b"indexed" => shown::<Height>("height up to which the index of events reaches", value),
            _ => Err(unknown()),
        },
        FamilyName::Blocks | FamilyName::Results | FamilyName::Validators => Err(unknown()),
    }
}

fn shown<T: Serialize + DeserializeOwned>(
    kind: &'static str,
    value: &[u8],
) -> Result<Shown, Error> {
    let value: T = codec::decode_canonical(kind, value, MAX_ENCODED_BYTES)?;
    Ok(Shown { kind, value: readable(&value) })
}

struct Showing;

impl stored::Visitor for Showing {
    type Out = Shown;

    fn visit<T: Serialize>(self, kind: &'static str, value: &T) -> Shown {
        Shown { kind, value: readable(value) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tandem_chain::ledger::Ledger;
    use tandem_consensus::journal::KeyState;

    use super::*;
    use crate::home::StorageKey;
    use crate::storage::{Database, Error as StorageError, Reader, StorageConfig};
    use crate::testing::Chain;

    fn open(chain: &Chain) -> Result<Reader, StorageError> {
        Reader::open(&chain.home.data_path(), chain.genesis.hash(), &StorageConfig::default())
    }

    /// Every entry is shown under a key that finds it again; how many there are in each family.
    fn check_all(reader: &Reader) -> Vec<usize> {
        let count = |family: FamilyName| {
            let mut count = 0;
            let more = reader.visit(family, b"", 1_000, |key, value| {
                count += 1;
                let text = key_text(family, key);
                assert!(!text.starts_with("0x"), "{} {text}", family.as_str());
                assert_eq!(key_of_text(family, &text).as_deref(), Ok(key), "{text}");
                assert_eq!(reader.value(family, key).unwrap().as_deref(), Some(value), "{text}");
                show(family, key, value).map(drop)
            });
            assert_eq!(more, Ok(false));
            count
        };
        FamilyName::ALL.map(count).to_vec()
    }

    fn journal() -> [(&'static str, Vec<u8>); 1] {
        [("journal", codec::encode(&Journal::new(KeyState::Good)))]
    }

    #[test]
    fn every_entry_of_a_database_in_use_is_shown_under_a_key_that_finds_it_again() {
        let mut chain = Chain::new();
        let create = chain.create(1);
        chain.commit(vec![create.clone()]);
        let put = chain.put(2, "oil", b"[81.20, 1]");
        chain.commit(vec![put.clone()]);
        while chain.db.index_next(None).unwrap() {}
        chain.db.persist(&journal()).unwrap();
        let reader = open(&chain).unwrap();
        assert_eq!(reader.height(), Height(2));
        // The validators of genesis have no entry.
        let empty: Vec<_> = FamilyName::ALL.into_iter().zip(check_all(&reader)).collect();
        let empty = empty.iter().filter(|(_, count)| *count == 0).map(|(family, _)| *family);
        assert_eq!(empty.collect::<Vec<_>>(), [FamilyName::Validators]);
        let validators = codec::encode(&ValidatorSet::from(&*chain.tip().next_table));
        let validators = show(FamilyName::Validators, &9u64.to_be_bytes(), &validators).unwrap();
        assert!(validators.value.to_string().contains("power"), "{validators:?}");
        let of = |family, text: &str| {
            let key = key_of_text(family, text).unwrap();
            show(family, &key, &reader.value(family, &key).unwrap().unwrap()).unwrap().value
        };
        assert_eq!(of(FamilyName::Meta, "height"), json!("2"));
        assert_eq!(of(FamilyName::Meta, "indexed"), json!("2"));
        assert_eq!(of(FamilyName::Events, "transactions/2"), json!([2, "4"]));
        of(FamilyName::Events, "event/record_put.key=oil/2/1/0");
        assert_eq!(of(FamilyName::Index, &format!("transaction/{}", put.hash())), json!(["2", 1]));
        assert_eq!(of(FamilyName::Blocks, "1")["block"]["txs"][0]["hash"], json!(create.hash()));
        let record = of(FamilyName::State, "records/data/set/oil");
        assert_eq!(
            (&record["version"], &record["value"]["text"]),
            (&json!("1"), &json!("[81.20, 1]"))
        );
        // What is committed later is not seen.
        chain.commit(Vec::new());
        assert_eq!(reader.value(FamilyName::Blocks, &3u64.to_be_bytes()), Ok(None));
        assert_eq!(open(&chain).unwrap().height(), Height(3));
        assert_eq!(
            reader.visit(FamilyName::State, b"standby/", 1, |_, _| Ok::<_, Error>(())),
            Ok(true)
        );
    }

    #[test]
    fn a_prefix_is_written_as_the_keys_are_listed() {
        for (family, text, expected) in [
            (FamilyName::State, "standby/", &b"standby/"[..]),
            (FamilyName::State, "0x00ff", b"\x00\xff"),
            (FamilyName::Blocks, "", b""),
            (FamilyName::Blocks, "0x00", b"\0"),
            (FamilyName::Tree, "page/", b"\0"),
            (FamilyName::Tree, "page/a3f", b"\0\x0a\x03\x0f"),
            (FamilyName::Tree, "recent/00", b"\x01\0"),
            (FamilyName::Index, "block/", b"b"),
            (FamilyName::Index, "transaction/AB", b"t\xab"),
            (FamilyName::Meta, "h", b"h"),
            (FamilyName::Events, "event/record_put.k", b"trecord_put.k"),
            (FamilyName::Events, "block-event/a.b=c", b"ba.b\0\x01c"),
            (FamilyName::Events, "write/AB", b"r\xab"),
            (FamilyName::Events, "transactions/", b"h"),
        ] {
            assert_eq!(prefix_of_text(family, text).as_deref(), Ok(expected), "{text}");
        }
        for (family, text) in [
            (FamilyName::Blocks, "12"),
            (FamilyName::Tree, "page/g"),
            (FamilyName::Tree, "other"),
            (FamilyName::Index, "transaction/A"),
            (FamilyName::Index, "tx/"),
            (FamilyName::State, "0x0"),
            (FamilyName::Events, "transactions/12"),
            (FamilyName::Events, "events/"),
        ] {
            assert!(prefix_of_text(family, text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_and_values_that_nobody_writes_are_errors() {
        for (family, text) in [
            (FamilyName::Blocks, "one"),
            (FamilyName::Index, "block/12"),
            (FamilyName::Tree, "page/xyz"),
            (FamilyName::Tree, "other"),
            (FamilyName::Meta, "0xz"),
            (FamilyName::Events, "event/a.b/1/2/3"),
            (FamilyName::Events, "event/a.b=c/1/2"),
            (FamilyName::Events, "write/AB/1/2"),
        ] {
            assert!(key_of_text(family, text).is_err(), "{text}");
        }
        for family in FamilyName::ALL {
            assert!(show(family, b"\x1bother", b"").is_err(), "{}", family.as_str());
            assert_eq!(family.as_str().parse(), Ok(family));
        }
        assert!(show(FamilyName::Meta, b"height", b"1").is_err());
        assert!("stat".parse::<FamilyName>().unwrap_err().contains("state, tree"));
        let dir = tempfile::tempdir().unwrap();
        let config = StorageConfig::default();
        let missing = Reader::open(dir.path(), Hash::EMPTY, &config).err().unwrap();
        assert_eq!(missing, StorageError::None { path: dir.path().to_owned() });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made");
    }

    #[test]
    fn an_encrypted_database_is_shown_to_who_has_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let genesis = crate::testing::genesis();
        let config = |key| StorageConfig { key, ..StorageConfig::default() };
        let key = config(Some(StorageKey::new([1; 32])));
        let db = Database::open(dir.path(), genesis.hash(), &key).unwrap();
        db.initialise(&Ledger::<Database>::genesis(&genesis)).unwrap();
        db.persist(&journal()).unwrap();
        let reader = Reader::open(dir.path(), genesis.hash(), &key).unwrap();
        let counts = check_all(&reader);
        assert!(counts[0] > 10 && counts[1] > 0 && counts[7..] == [1, 3], "{counts:?}");
        let count = |prefix: &[u8], limit| {
            let mut keys = Vec::new();
            let more = reader.visit(FamilyName::State, prefix, limit, |key, _| {
                keys.push(key.to_vec());
                Ok::<_, Error>(())
            });
            assert!(keys.is_sorted() && keys.iter().all(|key| key.starts_with(prefix)));
            (keys.len(), more.unwrap())
        };
        assert_eq!(count(b"consortium/org/", 9), (4, false));
        assert_eq!(count(b"consortium/org/", 3), (3, true));
        let error = Reader::open(dir.path(), genesis.hash(), &config(None)).err().unwrap();
        assert!(matches!(error, StorageError::KeyMissing { .. }), "{error}");
        let other = config(Some(StorageKey::new([2; 32])));
        let error = Reader::open(dir.path(), genesis.hash(), &other).err().unwrap();
        assert!(matches!(error, StorageError::KeyWrong { .. }), "{error}");
        let error = Reader::open(dir.path(), Hash::EMPTY, &key).err().unwrap();
        assert!(matches!(error, StorageError::OtherGenesis { .. }), "{error}");
    }
}
