//! What says that a database is encrypted, and with which key: a small file beside RocksDB's own,
//! read before anything is opened.

use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

use super::Error;
use super::cipher::{CHECK_BYTES, Root, SALT_BYTES};
use crate::home::{HomeError, StorageKey, files};

/// Its name in the database's folder.
pub const ENCRYPTION_FILE: &str = "encryption.json";

/// Ciphers and layout of encrypted entries: AES-256-SIV for keys, XChaCha20-Poly1305 for values.
const VERSION: u32 = 1;
/// Bytes that the file may have.
const MAX_BYTES: u64 = 4096;

/// Content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    /// Hex digits of the salt.
    salt: String,
    /// Hex digits of [`Root::check`].
    check: String,
}

/// What the ciphers of the database in folder `path` are derived from; none when it is not
/// encrypted. For a database that is yet to be made, with a key, `make` writes the file.
pub(super) fn root(
    path: &Path,
    key: Option<&StorageKey>,
    make: bool,
) -> Result<Option<Root>, Error> {
    let open =
        |source: HomeError| Error::Open { path: path.to_owned(), reason: source.to_string() };
    let file = path.join(ENCRYPTION_FILE);
    match (files::read(&file, MAX_BYTES).map_err(open)?, key) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::KeyMissing { path: path.to_owned() }),
        (Some(text), Some(key)) => read(path, &text, key).map(Some),
        (None, Some(key)) if make && !holds_database(path) => {
            let mut salt = [0; SALT_BYTES];
            SysRng.try_fill_bytes(&mut salt).expect("the system gives random bytes");
            let root = Root::new(key, &salt);
            files::create_dir(path).map_err(open)?;
            let text = text(&salt, &root.check());
            files::write_atomic(&file, text.as_bytes(), 0o600).map_err(open)?;
            Ok(Some(root))
        }
        (None, Some(_)) => Err(Error::KeyUnexpected { path: path.to_owned() }),
    }
}

fn text(salt: &[u8; SALT_BYTES], check: &[u8; CHECK_BYTES]) -> String {
    let marker = Marker { version: VERSION, salt: hex::encode(salt), check: hex::encode(check) };
    format!("{}\n", serde_json::to_string_pretty(&marker).expect("a plain struct"))
}

fn read(path: &Path, text: &str, key: &StorageKey) -> Result<Root, Error> {
    let damaged = |reason: String| Error::Damaged {
        path: path.to_owned(),
        reason: format!("{ENCRYPTION_FILE} in it {reason}"),
    };
    let marker: Marker =
        serde_json::from_str(text).map_err(|error| damaged(format!("cannot be read: {error}")))?;
    if marker.version > VERSION {
        let (path, known, got) = (path.to_owned(), VERSION, marker.version);
        return Err(Error::NewerFormat { path, known, got });
    }
    let (mut salt, mut check) = ([0; SALT_BYTES], [0; CHECK_BYTES]);
    hex::decode_to_slice(&marker.salt, &mut salt)
        .and_then(|()| hex::decode_to_slice(&marker.check, &mut check))
        .map_err(|_| {
            damaged("has other than hex digits, or not as many as belong there".to_owned())
        })?;
    let root = Root::new(key, &salt);
    if root.check() == check { Ok(root) } else { Err(Error::KeyWrong { path: path.to_owned() }) }
}

/// Whether files of RocksDB with entries lie in the folder.
pub(super) fn holds_database(path: &Path) -> bool {
    let Ok(files) = std::fs::read_dir(path) else { return false };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name == "CURRENT" || is_with_entries(&name)
    })
}

/// Whether this is the name of a table or log.
pub(super) fn is_with_entries(name: &str) -> bool {
    let number = name.strip_suffix(".sst").or_else(|| name.strip_suffix(".log"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let expected = format!(
            "{{\n  \"version\": 1,\n  \"salt\": \"{}\",\n  \"check\": \"{}\"\n}}\n",
            "02".repeat(32),
            "03".repeat(16)
        );
        assert_eq!(text(&[2; SALT_BYTES], &[3; CHECK_BYTES]), expected);
    }

    #[test]
    fn a_key_fits_or_is_refused_and_the_file_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let key = StorageKey::new([1; 32]);
        assert!(matches!(root(&path, None, true), Ok(None)));
        let refused = |key, make| root(&path, key, make).map(|_| ()).unwrap_err();
        assert!(matches!(refused(Some(&key), false), Error::KeyUnexpected { .. }));
        assert!(!path.exists());

        let made = root(&path, Some(&key), true).unwrap().unwrap();
        let again = root(&path, Some(&key), true).unwrap().unwrap();
        assert_eq!(made.check(), again.check());
        assert!(matches!(refused(None, true), Error::KeyMissing { .. }));
        let other = StorageKey::new([2; 32]);
        assert!(matches!(refused(Some(&other), true), Error::KeyWrong { .. }));

        let file = path.join(ENCRYPTION_FILE);
        let good = std::fs::read_to_string(&file).unwrap();
        for (text, newer) in [
            (String::new(), false),
            (good.replace("\"salt\": \"", "\"salt\": \"0"), false),
            (good.replace("check", "chekc"), false),
            (good.replace("1,", "2,"), true),
        ] {
            std::fs::write(&file, text).unwrap();
            match refused(Some(&key), true) {
                Error::NewerFormat { .. } => assert!(newer),
                Error::Damaged { reason, .. } => {
                    assert!(!newer && reason.contains(ENCRYPTION_FILE), "{reason}");
                }
                other => panic!("{other}"),
            }
        }
        std::fs::remove_file(&file).unwrap();
        std::fs::write(path.join("000012.log"), b"").unwrap();
        assert!(matches!(refused(Some(&key), true), Error::KeyUnexpected { .. }));
    }
}
