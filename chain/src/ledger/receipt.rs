//! What a transaction or a block leaves behind for those who watch.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;

/// Something that happened, for indexes and subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened, such as `switch` or `record_put`.
    pub kind: String,
    /// Names and values; values may hold text of users, which is escaped where it is shown.
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// An event with its attributes.
    #[must_use]
    pub fn new<const N: usize>(kind: &str, attributes: [(&str, String); N]) -> Self {
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        Self { kind: kind.to_owned(), attributes: attributes.into() }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// The result of a transaction. Code and data are under the next header's results hash; log and
/// events are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// 0 for success, else [`Error::code`]; a call that failed changed nothing.
    pub code: u32,
    /// What the call returns, in the encoding of [`crate::codec`]; empty when it failed.
    #[serde(with = "codec::bytes")]
    pub data: Vec<u8>,
    /// Why it failed, for people; empty on success.
    pub log: String,
    /// What it did.
    pub events: Vec<Event>,
}

impl Receipt {
    /// Whether the call succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    pub(crate) fn failed(error: &Error) -> Self {
        Self { code: error.code(), log: error.to_string(), ..Self::default() }
    }
}
