//! Encryption of files beside an encrypted database, with its key: each as a value whose key is the
//! file's name.

use std::path::Path;

use super::Error;
use super::cipher::{ADDED_BYTES, Cipher, Root, SALT_BYTES};
use super::encryption;
use crate::home::StorageKey;

/// What tells the keys of files from those of column families.
const FILES: &str = "files";

/// Encrypts and decrypts the files of one folder.
pub struct Sealer(Cipher);

impl Sealer {
    /// Bytes by which an encrypted file is longer.
    pub const ADDED_BYTES: usize = ADDED_BYTES;

    /// For a new folder, in which `encryption.json` is written.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn make(folder: &Path, key: &StorageKey) -> Result<Self, Error> {
        Self::of(folder, Some(key), true)
    }

    /// For the files in a folder that has `encryption.json`.
    ///
    /// # Errors
    /// [`Error::KeyWrong`], [`Error::KeyMissing`], [`Error::Damaged`], [`Error::NewerFormat`],
    /// [`Error::Open`].
    pub fn open(folder: &Path, key: Option<&StorageKey>) -> Result<Self, Error> {
        Self::of(folder, key, false)
    }

    /// For files that only this process reads, by a key that it keeps in memory.
    ///
    /// # Panics
    /// When the operating system gives no random bytes.
    #[must_use]
    pub fn of_memory() -> Self {
        Self(Root::new(&StorageKey::random(), &[0; SALT_BYTES]).cipher(FILES, false))
    }

    fn of(folder: &Path, key: Option<&StorageKey>, make: bool) -> Result<Self, Error> {
        let root = encryption::root(folder, key, make)?;
        let missing = || Error::KeyMissing { path: folder.to_owned() };
        Ok(Self(root.ok_or_else(missing)?.cipher(FILES, false)))
    }

    /// The bytes of a file as they are stored.
    #[must_use]
    pub fn seal(&self, name: &str, bytes: &[u8]) -> Vec<u8> {
        self.0.seal(name.as_bytes(), bytes)
    }

    /// The bytes of a file that was stored under this name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_sealed(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, &'static str> {
        self.0.open(name.as_bytes(), sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_with_its_key_and_name_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (key, other) = (StorageKey::new([1; 32]), StorageKey::new([2; 32]));
        let sealed = Sealer::make(dir.path(), &key).unwrap().seal("a", b"secret");
        assert_eq!(sealed.len(), 6 + Sealer::ADDED_BYTES);
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        let sealer = Sealer::open(dir.path(), Some(&key)).unwrap();
        assert_eq!(sealer.open_sealed("a", &sealed).as_deref(), Ok(b"secret".as_slice()));
        assert!(sealer.open_sealed("b", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open_sealed("a", &changed).is_err(), "byte {at}");
        }
        assert!(matches!(Sealer::open(dir.path(), Some(&other)), Err(Error::KeyWrong { .. })));
        assert!(matches!(Sealer::open(dir.path(), None), Err(Error::KeyMissing { .. })));
        assert!(Sealer::of_memory().open_sealed("a", &sealed).is_err());
    }
}
