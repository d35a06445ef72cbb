//! Data sets and their records, a line each.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use tandem_chain::limits::MAX_LIST;
use tandem_chain::modules::records::{self, DataSet, Record};
use tandem_chain::types::{ContentType, DataSetName, Hash, OrgName};

use super::lines::Kind;
use super::{ExportError, Exported, begin};
use crate::decode::content;
use crate::rpc::shapes::text;
use crate::storage::Reader;

/// A line.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    /// A data set; its records follow.
    DataSet { data_set: &'a DataSetName, owner: &'a OrgName },
    /// A record that exists.
    Record {
        data_set: &'a DataSetName,
        /// In hex.
        key: String,
        #[serde(with = "text")]
        version: u64,
        /// What the value is, as its writer said; left out where it said nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<&'a ContentType>,
        /// In base64.
        value: String,
        sha256: Hash,
        /// Key and value for people; it may be left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Shown>,
    },
}

#[derive(Serialize)]
struct Shown {
    key: Value,
    value: Value,
}

/// Writes all data sets and records, as they are at the reader's height. With `is_compact`, without
/// what is for people.
///
/// # Errors
/// [`ExportError`].
pub fn export(reader: &Reader, is_compact: bool, out: impl Write) -> Result<Exported, ExportError> {
    let height = reader.height();
    let mut writer = begin(reader, Kind::Records, (height, height), out)?;
    for DataSet { name, owner } in records::data_sets(reader)? {
        let line = || Line::DataSet { data_set: &name, owner: &owner };
        writer.line(&line(), line)?;
        let mut after = None;
        loop {
            let page = records::list(reader, &name, b"", after.as_deref(), MAX_LIST)?;
            for Record { key, version, content_type, value, digest } in page.records {
                let (Some(value), Some(sha256)) = (value, digest) else { continue };
                let content_type = content_type.as_ref();
                let line = |content| Line::Record {
                    data_set: &name,
                    key: hex::encode_upper(&key),
                    version,
                    content_type,
                    value: STANDARD.encode(&value),
                    sha256,
                    content,
                };
                let shown = || Shown {
                    key: content::show(&key, None),
                    value: content::show(&value, content_type),
                };
                writer.line(&line((!is_compact).then(shown)), || line(None))?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(Exported { lines: writer.finish()?, from: height, to: height })
}
