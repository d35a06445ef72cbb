//! Blocks with their certificates, a line each.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::types::{BlockId, Height};
use tandem_chain::{Error, codec};

use super::lines::{Kind, LineFault};
use super::{ExportError, Exported, begin};
use crate::decode::readable;
use crate::rpc::shapes::text;
use crate::storage::Reader;

/// The line of a block.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLine {
    /// Its height.
    #[serde(with = "text")]
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// The encoding of the [`CertifiedBlock`], in base64.
    pub certified: String,
    /// The same for people, as the program that wrote it shows it. It may be left out, and is not read.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "passed_over")]
    pub content: Option<Value>,
}

/// Whatever stands there: it takes no memory and no stack.
fn passed_over<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    IgnoredAny::deserialize(from).map(|_| None)
}

impl BlockLine {
    /// The line of a block, without what is for people.
    fn new(certified: &CertifiedBlock) -> Self {
        Self {
            height: certified.block.header.height,
            block: certified.block.id(),
            certified: STANDARD.encode(codec::encode(certified)),
            content: None,
        }
    }

    /// The block, when height and id in the line are its own.
    ///
    /// # Errors
    /// [`LineFault::Content`].
    pub fn check(&self) -> Result<CertifiedBlock, LineFault> {
        let wrong = |reason: String| LineFault::Content(reason);
        let bytes = STANDARD
            .decode(&self.certified)
            .map_err(|error| wrong(format!("certified is not base64: {error}")))?;
        let certified: CertifiedBlock =
            codec::decode_canonical("certified block", &bytes, MAX_ENCODED_BYTES)
                .map_err(|error| wrong(error.to_string()))?;
        let (height, id) = (certified.block.header.height, certified.block.id());
        if (self.height, self.block) != (height, id) {
            return Err(wrong(format!(
                "it says height {} and block {}, certified is block {id} of height {height}",
                self.height, self.block
            )));
        }
        Ok(certified)
    }
}

/// Writes the blocks of these heights; all that there are, where none are named. With `is_compact`,
/// without what is for people, which is most of a line.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    reader: &Reader,
    (from, to): (Option<Height>, Option<Height>),
    is_compact: bool,
    out: impl Write,
) -> Result<Exported, ExportError> {
    let (first, last) = (reader.first_height(), reader.height());
    let (from, to) = (from.unwrap_or(first), to.unwrap_or(last));
    if from < first || from > to || to > last {
        return Err(ExportError::Range { from, to, first, last });
    }
    let mut writer = begin(reader, Kind::Blocks, (from, to), out)?;
    for height in (from.0..=to.0).map(Height) {
        let certified = reader.block(height)?.ok_or_else(|| Error::Damaged {
            what: "block",
            reason: format!("block {height} is missing"),
        })?;
        let plain = || BlockLine::new(&certified);
        let content = (!is_compact).then(|| readable(&certified));
        writer.line(&BlockLine { content, ..plain() }, plain)?;
    }
    Ok(Exported { lines: writer.finish()?, from, to })
}
