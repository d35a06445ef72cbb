//! Files with a private key: a node's, an organisation's admin key, a user's.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_chain::keys::{PublicKey, SecretKey};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{HomeError, files};

/// Bytes that a key file may have.
const MAX_BYTES: u64 = 4096;
/// Permission bits of a key file.
pub(super) const MODE: u32 = 0o600;

/// Content of a key file: an ed25519 key as hex digits. Wiped from memory when it is dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    #[zeroize(skip)]
    public_key: PublicKey,
    /// The seed's 32 bytes.
    secret_key: String,
}

impl KeyFile {
    /// A file for `key`.
    #[must_use]
    pub fn new(key: &SecretKey) -> Self {
        Self { public_key: key.public(), secret_key: hex::encode_upper(key.seed()) }
    }

    /// Writes the file, durably, readable by the owner alone.
    ///
    /// # Errors
    /// [`HomeError::Exists`]: a key is never overwritten.
    pub fn create(&self, path: &Path) -> Result<(), HomeError> {
        let mut text = Zeroizing::new(serde_json::to_string_pretty(self).expect("a plain struct"));
        text.push('\n');
        files::create_atomic(path, text.as_bytes(), MODE)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`HomeError::Missing`]; [`HomeError::Permissions`] when others may read the file;
    /// [`HomeError::Content`] when it is no key file or its two keys are no pair.
    pub fn load(path: &Path) -> Result<SecretKey, HomeError> {
        let hint = "run `tandem init` for a node, or `tandem keys new` for another key";
        let text = read_private(path, MAX_BYTES, hint)?;
        // The parser's message is left out: it may quote the secret.
        let content =
            |reason: &str| HomeError::Content { path: path.to_owned(), reason: reason.to_owned() };
        let file: Self = serde_json::from_str(&text).map_err(|_| {
            content("no key file: expected {\"public_key\": hex, \"secret_key\": hex}")
        })?;
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(&file.secret_key, seed.as_mut())
            .map_err(|_| content("secret_key is not 64 hex digits"))?;
        let key = SecretKey::from_seed(&seed);
        if key.public() != file.public_key {
            return Err(content("public_key is not that of secret_key: the file is damaged"));
        }
        Ok(key)
    }
}

/// The text of a file with a secret, which must be there and be readable by its owner alone.
pub(super) fn read_private(
    path: &Path,
    max: u64,
    hint: &'static str,
) -> Result<Zeroizing<String>, HomeError> {
    use std::os::unix::fs::PermissionsExt;
    let Some(text) = files::read(path, max)? else {
        return Err(HomeError::Missing { path: path.to_owned(), hint });
    };
    let text = Zeroizing::new(text);
    let metadata = std::fs::metadata(path).map_err(|source| HomeError::Io {
        action: "read the permissions of",
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Permissions { path: path.to_owned(), mode });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn round_trip_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let key = SecretKey::from_seed(&[9; 32]);
        KeyFile::new(&key).create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KeyFile::load(&path).unwrap().public(), key.public());

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(KeyFile::load(&path), Err(HomeError::Permissions { mode: 0o640, .. })));
    }

    /// With the first key pair of RFC 8032, section 7.1.
    #[test]
    fn golden_bytes() {
        const FILE: &str = r#"{
  "public_key": "D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A",
  "secret_key": "9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60"
}
"#;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let mut seed = [0; 32];
        let digits = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        hex::decode_to_slice(digits, &mut seed).unwrap();
        let key = SecretKey::from_seed(&seed);
        KeyFile::new(&key).create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FILE);
        assert_eq!(KeyFile::load(&path).unwrap().public(), key.public());
    }

    #[test]
    fn bad_files_are_named_and_do_not_quote_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        assert!(matches!(KeyFile::load(&path), Err(HomeError::Missing { .. })));
        let other = SecretKey::from_seed(&[1; 32]).public();
        let secret = "AB".repeat(32);
        for text in [
            String::new(),
            format!("{{\"secret_key\":\"{secret}\"}}"),
            format!("{{\"public_key\":\"{other}\",\"secret_key\":\"{secret}\",\"x\":1}}"),
            format!("{{\"public_key\":\"{other}\",\"secret_key\":\"{secret}\"}}"),
            format!("{{\"public_key\":\"{other}\",\"secret_key\":\"{secret}0\"}}"),
        ] {
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let error = KeyFile::load(&path).unwrap_err();
            assert!(matches!(error, HomeError::Content { .. }), "{text}");
            assert!(!error.to_string().contains(&secret), "{error}");
        }
    }
}
