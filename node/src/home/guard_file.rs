//! The marker beside a node's key that says whether the key may have signed already.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::escaped;

use super::{HomeError, files};

/// Bytes that a guard file may have.
const MAX_BYTES: u64 = 4096;

/// Name of a move of a key, or of an import: 16 random bytes, 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MoveId([u8; 16]);

impl MoveId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl From<MoveId> for String {
    fn from(id: MoveId) -> Self {
        hex::encode_upper(id.0)
    }
}

impl TryFrom<String> for MoveId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "a move is named by 32 hex digits")?;
        Ok(Self(bytes))
    }
}

/// A move of a key to another home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyMove {
    /// Its name.
    pub id: MoveId,
    /// The file that the key moves in.
    pub file: PathBuf,
    /// When it was begun, RFC 3339.
    pub time: String,
}

/// The other end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyArrival {
    /// The move.
    pub id: MoveId,
    /// Name of this import, by which it is known in the file.
    pub claim: MoveId,
}

/// What is known of a key's past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The key is leaving for another home, and may be in the file: nothing is signed here any more.
    Leaving(KeyMove),
    /// The key has left: it signs where the file was imported.
    Moved(KeyMove),
    /// The key is coming from another home, and its record may not be here yet.
    Coming(KeyArrival),
}

impl GuardState {
    /// Why a key of this state is not used in its home; none when it is. `path` is that of the guard file.
    #[must_use]
    pub fn away(&self, path: &Path) -> Option<HomeError> {
        let reason = match self {
            Self::New | Self::Used | Self::Restored => return None,
            Self::Leaving(KeyMove { file, time, .. }) => format!(
                "an export of the node's key was begun at {time} and not finished, so that it signs \
                 nothing here: finish it with `tandem keys export {}`",
                escaped(&file.display().to_string())
            ),
            Self::Moved(KeyMove { file, time, .. }) => format!(
                "the node's key has moved away at {time}, with {}: it signs where that was imported, and \
                 nothing here; `tandem keys import` brings a key back from such a file",
                escaped(&file.display().to_string())
            ),
            Self::Coming(_) => {
                "an import of the node's key was begun and not finished: give the same \
                                `tandem keys import` again"
                    .to_owned()
            }
        };
        Some(HomeError::Moved { path: path.to_owned(), reason })
    }
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
        let (id, claim) = (MoveId::random(), MoveId::random());
        let key_move =
            KeyMove { id, file: "/media/key".into(), time: "2027-01-15T08:00:00Z".to_owned() };
        for state in [
            GuardState::New,
            GuardState::Used,
            GuardState::Restored,
            GuardState::Leaving(key_move.clone()),
            GuardState::Moved(key_move),
            GuardState::Coming(KeyArrival { id, claim }),
        ] {
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
        let (id, time) = (MoveId([0xab; 16]), "2027-01-15T08:00:00Z".to_owned());
        let key_move = KeyMove { id, file: "/media/key".into(), time };
        let id = "AB".repeat(16);
        let left = format!(
            "{{\n      \"id\": \"{id}\",\n      \"file\": \"/media/key\",\n      \"time\": \
             \"2027-01-15T08:00:00Z\"\n    }}"
        );
        let came = format!("{{\n      \"id\": \"{id}\",\n      \"claim\": \"{id}\"\n    }}");
        let arrival = KeyArrival { id: key_move.id, claim: key_move.id };
        for (state, name, value) in [
            (GuardState::Leaving(key_move.clone()), "leaving", &left),
            (GuardState::Moved(key_move), "moved", &left),
            (GuardState::Coming(arrival), "coming", &came),
        ] {
            GuardFile { public_key, state }.store(&path).unwrap();
            let state = format!("{{\n    \"{name}\": {value}\n  }}");
            let expected =
                format!("{{\n  \"public_key\": \"{digits}\",\n  \"state\": {state}\n}}\n");
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
