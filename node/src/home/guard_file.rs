//! The marker beside a node's key that says whether the key may have signed already.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_chain::keys::PublicKey;

use super::{HomeError, files};

/// Bytes that a guard file may have.
const MAX_BYTES: u64 = 4096;

/// What is known of a key's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardState {
    /// `init` has just made the key: it has signed nothing, and an empty database is right.
    New,
    /// The key has signed; what it signed stands in the database. With an empty database the key
    /// is lost.
    Used,
    /// The folder was restored from a backup: the key may have signed more than the database
    /// knows, so it is lost.
    Restored,
}

/// Content of `config/guard.json`. A key without this file is *lost*: it signs nothing before the
/// other nodes have told how far it may have signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardFile {
    /// The key that this is about.
    pub public_key: PublicKey,
    /// What is known of its past.
    pub state: GuardState,
}

impl GuardFile {
    /// That of a key that has just been made.
    #[must_use]
    pub fn new(public_key: PublicKey) -> Self {
        Self { public_key, state: GuardState::New }
    }

    /// Reads the file; none when it is not there.
    ///
    /// # Errors
    /// [`HomeError::Content`] when it is not a guard file, [`HomeError::Io`].
    pub fn load(path: &Path) -> Result<Option<Self>, HomeError> {
        let Some(text) = files::read(path, MAX_BYTES)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| HomeError::Content {
            path: path.to_owned(),
            reason: format!(
                "no guard file: {error}. Without it the key is treated as lost: move the damaged \
                 file away and start again; the node then asks the others before it signs"
            ),
        })
    }

    /// Writes the file, durably.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn store(&self, path: &Path) -> Result<(), HomeError> {
        let text = serde_json::to_string_pretty(self).expect("a plain struct");
        files::write_atomic(path, format!("{text}\n").as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;

    use super::*;

    #[test]
    fn round_trip_of_every_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard.json");
        let public_key = SecretKey::from_seed(&[3; 32]).public();
        for state in [GuardState::New, GuardState::Used, GuardState::Restored] {
            let guard = GuardFile { public_key, state };
            guard.store(&path).unwrap();
            assert_eq!(GuardFile::load(&path).unwrap(), Some(guard));
        }
    }

    #[test]
    fn golden_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard.json");
        let public_key = PublicKey([0xab; 32]);
        let digits = "AB".repeat(32);
        for (state, name) in [
            (GuardState::New, "new"),
            (GuardState::Used, "used"),
            (GuardState::Restored, "restored"),
        ] {
            GuardFile { public_key, state }.store(&path).unwrap();
            let expected =
                format!("{{\n  \"public_key\": \"{digits}\",\n  \"state\": \"{name}\"\n}}\n");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[test]
    fn damaged_files_are_errors_and_not_lost_silently() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard.json");
        for text in ["", "{}", "{\"public_key\":\"00\",\"state\":\"new\"}", "[1]"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(GuardFile::load(&path), Err(HomeError::Content { .. })), "{text}");
        }
    }
}
