//! `abci_query`: records of data sets.
//!
//! | path | value of the answer |
//! |---|---|
//! | `/records` | JSON: the data sets |
//! | `/records/SET` | JSON: a part of its records whose keys start with `data` |
//! | `/records/SET/KEY` | the record's value |

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tandem_chain::Error as ChainError;
use tandem_chain::modules::records;
use tandem_chain::modules::rights::Reach;
use tandem_chain::store::Store;
use tandem_chain::types::{ContentType, DataSetName, Height, escaped};

use super::Call;
use crate::rpc::error::RpcError;
use crate::rpc::params::missing;
use crate::rpc::path::{self, Question};
use crate::rpc::reading::Reader;
use crate::rpc::shapes::comet;
use crate::rpc::shapes::tandem::{DataSetEntry, DataSets, RecordEntry, RecordsPage};
use crate::rpc::state::RpcState;

/// What is found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    key: Vec<u8>,
    value: Vec<u8>,
    /// The record's version; 0 for other answers.
    version: u64,
    /// What the record's value is, as who wrote it said.
    content_type: Option<ContentType>,
}

/// `abci_query`.
pub(super) async fn abci_query(state: &Arc<RpcState>, call: Call) -> Result<Value, RpcError> {
    let Call { params, reader } = call;
    let path = params.text("path")?.ok_or_else(|| missing("path"))?;
    let question = path::parse(&path)?;
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
                _ => {
                    let reach = allowed(&snapshot, &reader, &question)?;
                    Ok((height, answer(&snapshot, &question, &data, &reach)))
                }
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
            "content_type": answer.content_type,
            "proofOps": null,
            "height": comet::number(height),
            "codespace": comet::codespace(code),
        },
    }))
}

/// The records that the answer may be about; an error where it may be about none.
fn allowed(store: &dyn Store, reader: &Reader, question: &Question) -> Result<Reach, RpcError> {
    let Some(data_set) = question.data_set() else { return Ok(Reach::default()) };
    let reach = reader.reach(store, data_set)?;
    match question {
        Question::Get { key, .. } if !reach.contains(key) => {
            Err(reader.no_records(&record_name(data_set, key)))
        }
        _ if reach.ranges().is_empty() => {
            Err(reader.no_records(&format!("records of data set {data_set}")))
        }
        _ => Ok(reach),
    }
}

pub(super) fn record_name(data_set: &DataSetName, key: &[u8]) -> String {
    escaped(&format!("{data_set}/{}", String::from_utf8_lossy(key)))
}

fn answer(
    store: &dyn Store,
    question: &Question,
    prefix: &[u8],
    reach: &Reach,
) -> Result<Answer, ChainError> {
    match question {
        Question::DataSets => Ok(listing(&data_sets(store)?)),
        Question::List { data_set, after, limit } => {
            let after = after.as_deref();
            let page = records::list_within(store, reach, data_set, prefix, after, *limit)?;
            let next = page.next.map(hex::encode_upper);
            Ok(listing(&RecordsPage { records: entries(page.records).collect(), next }))
        }
        Question::Get { data_set, key } => {
            let found = records::get(store, data_set, key)?;
            let Some(records::Record { version, content_type, value: Some(value), .. }) = found
            else {
                let name = record_name(data_set, key);
                return Err(ChainError::NotFound { what: "record", name });
            };
            Ok(Answer { key: key.clone(), value, version, content_type })
        }
    }
}

/// The data sets.
pub(super) fn data_sets(store: &dyn Store) -> Result<DataSets, ChainError> {
    let found = records::data_sets(store)?.into_iter();
    let entry = |set: records::DataSet| DataSetEntry { name: set.name, owner: set.owner };
    Ok(DataSets { data_sets: found.map(entry).collect() })
}

/// Records as a listing shows them.
pub(super) fn entries(found: Vec<records::Record>) -> impl Iterator<Item = RecordEntry> {
    found.into_iter().filter_map(|record| {
        let size = record.value.as_ref()?.len() as u64;
        let (key, digest) = (hex::encode_upper(&record.key), record.digest?);
        let records::Record { version, content_type, .. } = record;
        Some(RecordEntry { key, version, content_type, size, digest })
    })
}

fn listing(value: &impl Serialize) -> Answer {
    let value = serde_json::to_vec(value).expect("strings, numbers and lists");
    Answer { value, ..Answer::default() }
}
