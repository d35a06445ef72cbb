//! Named data sets of records: key -> value with a version.

use serde::{Deserialize, Serialize};

use crate::types::DataSetName;

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Creates a data set; the sender's organisation owns it and alone writes to it.
    Create {
        /// Its name.
        data_set: DataSetName,
    },
    /// Writes a record.
    Put {
        /// The data set.
        data_set: DataSetName,
        /// The record's key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
        /// The version it must have: 0 when it must not exist. None writes whatever is there.
        expected: Option<u64>,
    },
    /// Deletes a record. Its version goes on from where it was if it is ever written again.
    Delete {
        /// The data set.
        data_set: DataSetName,
        /// The record's key.
        key: Vec<u8>,
        /// The version it must have. None deletes whatever is there.
        expected: Option<u64>,
    },
}
