//! Named data sets of records: key -> value with a version.
//!
//! A record's version is 1 when it is first written and rises by one each time it is written again,
//! also after it was deleted. A record that does not exist, or was deleted, counts as version 0
//! where a call names the version that it expects.
//!
//! A value is any bytes. Its writer may say with a content type what they are; nobody checks that, and a
//! value that is written without one has none. A record's digest is of its value alone, as
//! `sha256sum` gives it; version, content type and value are all under the state commitment.
//!
//! Who may write where is the business of [`crate::modules::rights`].
//!
//! | state key | value |
//! |---|---|
//! | `records/sets/ORG` | number of data sets that the organisation owns |
//! | `records/set/NAME` | the organisation that owns the data set |
//! | `records/data/NAME/KEY` | [`Stored`] |

mod calls;
mod queries;
mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::types::{ContentType, DataSetName};

pub(crate) use calls::execute;
pub use queries::{DataSet, Page, Record, data_sets, get, list, list_within};
pub use state::state_key;
pub(crate) use state::{count, must_be_owned};

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Creates a data set; the sender's organisation owns it, and writes to it until it grants
    /// otherwise. It owns up to [`crate::limits::MAX_DATA_SETS_PER_ORG`].
    Create {
        /// Its name.
        data_set: DataSetName,
    },
    /// Writes a record.
    Put {
        /// The data set.
        data_set: DataSetName,
        /// The record's key: 1 to [`crate::limits::MAX_RECORD_KEY_BYTES`] bytes.
        #[serde(with = "codec::bytes")]
        key: Vec<u8>,
        /// What the value is, as its writer says.
        content_type: Option<ContentType>,
        /// Its new value: up to [`crate::limits::MAX_RECORD_VALUE_BYTES`] bytes.
        #[serde(with = "codec::bytes")]
        value: Vec<u8>,
        /// The version it must have: 0 when it must not exist. None writes whatever is there.
        expected: Option<u64>,
    },
    /// Deletes a record. Its version goes on from where it was if it is ever written again.
    Delete {
        /// The data set.
        data_set: DataSetName,
        /// The record's key.
        #[serde(with = "codec::bytes")]
        key: Vec<u8>,
        /// The version it must have. None deletes whatever is there.
        expected: Option<u64>,
    },
}

/// A record in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How often it was written.
    pub version: u64,
    /// Whether it was deleted since: what is left is its version.
    pub is_deleted: bool,
    /// What its value is, as who wrote it said; none when it was deleted.
    pub content_type: Option<ContentType>,
    /// Its value; empty when it was deleted.
    #[serde(with = "codec::bytes")]
    pub value: Vec<u8>,
}
