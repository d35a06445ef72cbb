//! `abci_query`: records of data sets.
//!
//! | path | value of the answer |
//! |---|---|
//! | `/records` | JSON: the data sets |
//! | `/records/SET` | JSON: a part of its records whose keys start with `data` |
//! | `/records/SET/KEY` | the record's value |
//!
//! SET's part takes `?after=HEX&limit=N` behind the path. KEY is percent-encoded where it is not
//! plain text.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tandem_chain::Error as ChainError;
use tandem_chain::limits::MAX_LIST;
use tandem_chain::modules::records;
use tandem_chain::store::Store;
use tandem_chain::types::{DataSetName, Height, escaped};

use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::comet;
use crate::rpc::shapes::tandem::{DataSetEntry, DataSets, RecordEntry, RecordsPage};
use crate::rpc::state::RpcState;

/// Records of a listing when no limit is given.
const DEFAULT_LIMIT: usize = 100;
/// Characters of a path.
const MAX_PATH: usize = 4_096;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    DataSets,
    List { data_set: DataSetName, after: Option<Vec<u8>>, limit: usize },
    Get { data_set: DataSetName, key: Vec<u8> },
}

/// What is found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    key: Vec<u8>,
    value: Vec<u8>,
    /// The record's version; 0 for other answers.
    version: u64,
}

/// `abci_query`.
pub async fn abci_query(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let path = params.text("path")?.ok_or_else(|| missing("path"))?;
    let question = parse(&path)?;
    let data = params.hex("data")?.unwrap_or_default();
    if params.flag("prove")? {
        return Err(RpcError::params("proofs of the state are not served: leave out prove"));
    }
    let asked = params.height_or_newest("height")?.filter(|asked| *asked != Height::ZERO);
    let (height, answer) = state
        .read(move |state| {
            // Height and value are of one moment.
            let snapshot = state.db.snapshot();
            let height = snapshot.height()?;
            match asked {
                Some(asked) if asked != height => Err(RpcError::internal(format!(
                    "the state of height {asked} is not kept: leave height out for the newest, \
                     {height}"
                ))),
                _ => Ok((height, answer(&snapshot, &question, &data))),
            }
        })
        .await?;
    let (code, log, answer) = match answer {
        Ok(answer) => (0, String::new(), answer),
        Err(error @ (ChainError::Storage { .. } | ChainError::Damaged { .. })) => {
            return Err(error.into());
        }
        Err(error) => (error.code(), error.to_string(), Answer::default()),
    };
    let base64 = |bytes: &[u8]| (!bytes.is_empty()).then(|| comet::base64(bytes));
    Ok(json!({
        "response": {
            "code": code,
            "log": log,
            "info": "",
            "index": "0",
            "key": base64(&answer.key),
            "value": base64(&answer.value),
            "version": comet::number(answer.version),
            "proofOps": null,
            "height": comet::number(height),
            "codespace": comet::codespace(code),
        },
    }))
}

fn answer(store: &dyn Store, question: &Question, prefix: &[u8]) -> Result<Answer, ChainError> {
    match question {
        Question::DataSets => {
            let found = records::data_sets(store)?.into_iter();
            let entry = |set: records::DataSet| DataSetEntry { name: set.name, owner: set.owner };
            Ok(listing(&DataSets { data_sets: found.map(entry).collect() }))
        }
        Question::List { data_set, after, limit } => {
            let page = records::list(store, data_set, prefix, after.as_deref(), *limit)?;
            let entries = page.records.into_iter().filter_map(|record| {
                let size = record.value.as_ref()?.len() as u64;
                let (key, digest) = (hex::encode_upper(&record.key), record.digest?);
                Some(RecordEntry { key, version: record.version, size, digest })
            });
            let next = page.next.map(hex::encode_upper);
            Ok(listing(&RecordsPage { records: entries.collect(), next }))
        }
        Question::Get { data_set, key } => {
            let found = records::get(store, data_set, key)?;
            let Some(records::Record { version, value: Some(value), .. }) = found else {
                let name = escaped(&format!("{data_set}/{}", String::from_utf8_lossy(key)));
                return Err(ChainError::NotFound { what: "record", name });
            };
            Ok(Answer { key: key.clone(), value, version })
        }
    }
}

fn listing(value: &impl Serialize) -> Answer {
    let value = serde_json::to_vec(value).expect("strings, numbers and lists");
    Answer { value, ..Answer::default() }
}

fn parse(path: &str) -> Result<Question, RpcError> {
    const RULE: &str = "/records, /records/SET or /records/SET/KEY";
    let bad = |reason: String| RpcError::params(format!("path {}: {reason}", escaped(path)));
    if path.len() > MAX_PATH {
        return Err(RpcError::params(format!("path is over {MAX_PATH} characters")));
    }
    let (path_part, query) = path.split_once('?').unwrap_or((path, ""));
    let Some(rest) = path_part.strip_prefix("/records") else {
        return Err(bad(format!("there are {RULE}")));
    };
    let (name, key) = match rest.strip_prefix('/') {
        None if rest.is_empty() => return Ok(Question::DataSets),
        None => return Err(bad(format!("there are {RULE}"))),
        Some(rest) => match rest.split_once('/') {
            Some((name, key)) => (name, Some(key)),
            None => (rest, None),
        },
    };
    let data_set: DataSetName = name.parse().map_err(|e: ChainError| bad(e.to_string()))?;
    if let Some(key) = key {
        if path_part.len() < path.len() {
            return Err(bad("write ? in a key as %3F".to_owned()));
        }
        let key = percent_decoded(key).ok_or_else(|| bad("% needs two hex digits".to_owned()))?;
        return Ok(Question::Get { data_set, key });
    }
    let (mut after, mut limit) = (None, DEFAULT_LIMIT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", digits)) => {
                let bytes = hex::decode(digits);
                after = Some(bytes.map_err(|_| bad("after must be hex digits".to_owned()))?);
            }
            Some(("limit", number)) => {
                limit = match number.parse() {
                    Ok(number) if (1..=MAX_LIST).contains(&number) => number,
                    _ => return Err(bad(format!("limit must be 1 to {MAX_LIST}"))),
                };
            }
            _ => return Err(bad("behind ? there are after=HEX and limit=N".to_owned())),
        }
    }
    Ok(Question::List { data_set, after, limit })
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut one = [0];
            hex::decode_to_slice(digits, &mut one).ok()?;
            decoded.push(one[0]);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let data_set: DataSetName = "prices".parse().unwrap();
        let get = |key: &[u8]| Question::Get { data_set: data_set.clone(), key: key.to_vec() };
        let list = |after: Option<&[u8]>, limit| Question::List {
            data_set: data_set.clone(),
            after: after.map(<[u8]>::to_vec),
            limit,
        };
        for (path, expected) in [
            ("/records", Question::DataSets),
            ("/records/prices", list(None, DEFAULT_LIMIT)),
            ("/records/prices?limit=5", list(None, 5)),
            ("/records/prices?after=6162&limit=1000", list(Some(b"ab"), 1_000)),
            ("/records/prices/oil", get(b"oil")),
            ("/records/prices/a/b", get(b"a/b")),
            ("/records/prices/%00%fF%3f", get(&[0, 255, b'?'])),
            ("/records/prices/", get(b"")),
        ] {
            assert_eq!(parse(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn bad_paths_say_what_there_is() {
        let long = format!("/records/prices/{}", "x".repeat(MAX_PATH));
        for path in [
            "",
            "records",
            "/recordsx",
            "/state",
            "/records/",
            "/records/Big",
            "/records/prices/%",
            "/records/prices/%4",
            "/records/prices/%zz",
            "/records/prices?after=x",
            "/records/prices?limit=0",
            "/records/prices?limit=1001",
            "/records/prices?lim=1",
            "/records/prices/a?b",
            &long,
        ] {
            assert_eq!(parse(path).unwrap_err().code, -32602, "{path}");
        }
    }
}
