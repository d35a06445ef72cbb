//! A block by which a snapshot is trusted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tandem_chain::types::{BlockId, Height};

/// A block that somebody who is trusted has named: `HEIGHT:HASH` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedBlock {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockId,
}

impl FromStr for TrustedBlock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "a trusted block is HEIGHT:HASH, the hash as 64 hex digits".to_owned();
        let (height, hash) = text.split_once(':').ok_or_else(rule)?;
        let height = height.parse().ok().filter(|height| *height > 0).ok_or_else(rule)?;
        Ok(Self { height: Height(height), hash: hash.parse().map_err(|_| rule())? })
    }
}

impl fmt::Display for TrustedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.hash)
    }
}
