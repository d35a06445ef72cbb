//! The key that a database is encrypted with: a file of its own, outside the database's folder.

use std::fmt;
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::{HomeError, files, key_file};

/// Bytes that the file may have.
const MAX_BYTES: u64 = 4096;

/// 32 random bytes, wiped from memory when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageKey(Zeroizing<[u8; Self::LEN]>);

impl StorageKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// From its bytes.
    #[must_use]
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one, of random bytes from the operating system.
    ///
    /// # Panics
    /// When the system gives none.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        SysRng.try_fill_bytes(bytes.as_mut()).expect("the system gives random bytes");
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Writes the file, durably, readable by the owner alone.
    ///
    /// # Errors
    /// [`HomeError::Exists`]: a key is never overwritten. [`HomeError::Io`].
    pub fn create(&self, path: &Path) -> Result<(), HomeError> {
        let mut text = Zeroizing::new(hex::encode(self.bytes()));
        text.push('\n');
        files::create_atomic(path, text.as_bytes(), key_file::MODE)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`HomeError::Missing`]; [`HomeError::Permissions`] when others may read the file;
    /// [`HomeError::Content`] when it is no such file.
    pub fn load(path: &Path) -> Result<Self, HomeError> {
        let hint = "it is the key that the database is encrypted with: put it back where \
                    storage.key_file says, or make one for a new database with `tandem db key`";
        let text = files::read_private(path, MAX_BYTES, hint)?;
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        hex::decode_to_slice(text.trim_end(), bytes.as_mut()).map_err(|_| HomeError::Content {
            path: path.to_owned(),
            reason: "no key of a database: 64 hex digits belong there".to_owned(),
        })?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn golden_bytes_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("storage.key");
        let key = StorageKey::new([0xab; 32]);
        key.create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", "ab".repeat(32)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(StorageKey::load(&path).unwrap(), key);
        assert!(matches!(StorageKey::random().create(&path), Err(HomeError::Exists { .. })));
        assert_ne!(StorageKey::random(), StorageKey::random());

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(StorageKey::load(&path), Err(HomeError::Permissions { .. })));
    }

    #[test]
    fn bad_files_are_named_and_do_not_quote_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("storage.key");
        assert!(matches!(StorageKey::load(&path), Err(HomeError::Missing { .. })));
        let digits = "ab".repeat(32);
        for text in [String::new(), format!("{digits}0"), digits[2..].to_owned(), "g".repeat(64)] {
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let error = StorageKey::load(&path).unwrap_err();
            assert!(matches!(error, HomeError::Content { .. }), "{text}");
            assert!(!error.to_string().contains(&digits[2..]), "{error}");
        }
        assert_eq!(format!("{:?}", StorageKey::random()), "StorageKey");
    }
}
