//! Files with a private key: a node's, an organisation's admin key, a user's.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_chain::keys::{PublicKey, SecretKey};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::passphrase::{Passphrase, Passphrases};
use super::sealed_key::{Cost, SealFault, SealedKey};
use super::{HomeError, files};

/// Bytes that a key file may have.
const MAX_BYTES: u64 = 4096;
/// Permission bits of a key file.
pub(super) const MODE: u32 = 0o600;

/// Content of a key file: an ed25519 key as hex digits, or encrypted with a passphrase. Wiped from memory when it
/// is dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    #[zeroize(skip)]
    public_key: PublicKey,
    /// The seed's 32 bytes. Either this or the next is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    #[zeroize(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encrypted_key: Option<SealedKey>,
}

impl KeyFile {
    /// A file for `key`, which is not encrypted.
    #[must_use]
    pub fn new(key: &SecretKey) -> Self {
        let secret_key = Some(hex::encode_upper(Zeroizing::new(key.seed())));
        Self { public_key: key.public(), secret_key, encrypted_key: None }
    }

    /// A file for `key`, encrypted with a passphrase where one is given. It takes some tenths of a second and
    /// 64 MiB of memory then. `path` is where it is to be, for the error.
    ///
    /// # Errors
    /// [`HomeError::Locked`] when the system has not the memory.
    pub fn made(
        path: &Path,
        key: &SecretKey,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, HomeError> {
        let Some(passphrase) = passphrase else { return Ok(Self::new(key)) };
        let sealed = SealedKey::seal(key, passphrase, Cost::DEFAULT);
        let sealed = sealed.map_err(|fault| seal_error(path, fault))?;
        Ok(Self { public_key: key.public(), secret_key: None, encrypted_key: Some(sealed) })
    }

    /// Writes the file, durably, readable by the owner alone.
    ///
    /// # Errors
    /// [`HomeError::Exists`]: a key is never overwritten.
    pub fn create(&self, path: &Path) -> Result<(), HomeError> {
        files::create_atomic(path, self.to_json().as_bytes(), MODE)
    }

    /// As [`KeyFile::create`], in the place of a file of the same key, such as one that is not encrypted.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn replace(&self, path: &Path) -> Result<(), HomeError> {
        files::write_atomic(path, self.to_json().as_bytes(), MODE)
    }

    fn to_json(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(serde_json::to_string_pretty(self).expect("a plain struct"));
        text.push('\n');
        text
    }

    /// Reads a file and leaves its key encrypted.
    ///
    /// # Errors
    /// [`HomeError::Missing`]; [`HomeError::Permissions`] when others may read the file;
    /// [`HomeError::Content`] when it is no key file or its two keys are no pair.
    pub fn read(path: &Path) -> Result<Self, HomeError> {
        let hint = "run `tandem init` for a node, or `tandem keys new` for another key";
        let text = files::read_private(path, MAX_BYTES, hint)?;
        // The parser's message is left out: it may quote the secret.
        let file: Self = serde_json::from_str(&text).map_err(|_| content(path, NO_KEY_FILE))?;
        file.check(path)?;
        Ok(file)
    }

    /// Refuses one that does not hold one key, or whose two keys are no pair. `path` is where it lies.
    pub(crate) fn check(&self, path: &Path) -> Result<(), HomeError> {
        match (&self.secret_key, &self.encrypted_key) {
            (Some(_), None) => self.plain(path).map(drop),
            (None, Some(_)) => Ok(()),
            _ => Err(content(path, NO_KEY_FILE)),
        }
    }

    /// The public key. Of an encrypted file it is what the file says; that it is the private key's is known once
    /// that is opened.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Whether the key is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted_key.is_some()
    }

    /// The key, for which an encrypted file's passphrase is got. `path` is where the file lies.
    ///
    /// # Errors
    /// [`HomeError::Locked`] without the right passphrase; [`HomeError::Content`] when the file is damaged.
    pub fn open(&self, path: &Path, passphrases: &Passphrases) -> Result<SecretKey, HomeError> {
        let Some(sealed) = &self.encrypted_key else { return self.plain(path) };
        let passphrase = passphrases.of(path)?;
        sealed.open(&self.public_key, &passphrase).map_err(|fault| seal_error(path, fault))
    }

    /// The key of a file that is not encrypted.
    fn plain(&self, path: &Path) -> Result<SecretKey, HomeError> {
        let digits = self.secret_key.as_deref().unwrap_or_default();
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, seed.as_mut())
            .map_err(|_| content(path, "secret_key is not 64 hex digits"))?;
        let key = SecretKey::from_seed(&seed);
        if key.public() != self.public_key {
            return Err(content(path, "public_key is not that of secret_key: the file is damaged"));
        }
        Ok(key)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// Those of [`KeyFile::read`] and [`KeyFile::open`].
    pub fn load(path: &Path, passphrases: &Passphrases) -> Result<SecretKey, HomeError> {
        Self::read(path)?.open(path, passphrases)
    }

    /// Reads the public key, for which no passphrase is needed.
    ///
    /// # Errors
    /// Those of [`KeyFile::read`].
    pub fn load_public(path: &Path) -> Result<PublicKey, HomeError> {
        Ok(Self::read(path)?.public_key)
    }
}

const NO_KEY_FILE: &str = "no key file: expected {\"public_key\": hex, \"secret_key\": hex}, or \
                           {\"public_key\": hex, \"encrypted_key\": {...}}";

fn content(path: &Path, reason: &str) -> HomeError {
    HomeError::Content { path: path.to_owned(), reason: reason.to_owned() }
}

fn seal_error(path: &Path, fault: SealFault) -> HomeError {
    let locked = |reason: &str| HomeError::Locked {
        path: path.to_owned(),
        state: "is encrypted",
        reason: reason.to_owned(),
    };
    match fault {
        SealFault::Damaged(reason) => {
            content(path, &format!("encrypted_key: {reason}; use a copy of the file"))
        }
        SealFault::Passphrase => locked("the passphrase is not the one that it was encrypted with"),
        SealFault::Memory => locked("the system has not the memory that the passphrase takes"),
    }
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
        assert_eq!(KeyFile::load(&path, &Passphrases::none()).unwrap().public(), key.public());

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            KeyFile::load(&path, &Passphrases::none()),
            Err(HomeError::Permissions { mode: 0o640, .. })
        ));
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
        assert_eq!(KeyFile::load(&path, &Passphrases::none()).unwrap().public(), key.public());
    }

    #[test]
    fn bad_files_are_named_and_do_not_quote_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        assert!(matches!(
            KeyFile::load(&path, &Passphrases::none()),
            Err(HomeError::Missing { .. })
        ));
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
            let error = KeyFile::load(&path, &Passphrases::none()).unwrap_err();
            assert!(matches!(error, HomeError::Content { .. }), "{text}");
            assert!(!error.to_string().contains(&secret), "{error}");
        }
    }

    const WORDS: &str = "correct horse";

    fn given(words: &str) -> Passphrases {
        Passphrases::given(Passphrase::new(words).unwrap())
    }

    fn encrypted(path: &Path) -> SecretKey {
        let key = SecretKey::from_seed(&[9; 32]);
        let sealed = SealedKey::seal(&key, &Passphrase::new(WORDS).unwrap(), Cost::LEAST).unwrap();
        let file =
            KeyFile { public_key: key.public(), secret_key: None, encrypted_key: Some(sealed) };
        file.create(path).unwrap();
        key
    }

    #[test]
    fn an_encrypted_file_opens_with_its_passphrase_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let key = encrypted(&path);
        assert_eq!(KeyFile::load(&path, &given(WORDS)).unwrap().seed(), key.seed());
        assert_eq!(KeyFile::load_public(&path).unwrap(), key.public());
        let text = std::fs::read_to_string(&path).unwrap().to_uppercase();
        assert!(!text.contains(&hex::encode_upper(key.seed())));
        for (passphrases, word) in [
            (given("another one"), "is not the one"),
            (Passphrases::none(), "no passphrase is given"),
        ] {
            let error = KeyFile::load(&path, &passphrases).unwrap_err();
            assert!(matches!(error, HomeError::Locked { .. }), "{error}");
            let error = error.to_string();
            assert!(error.contains("key.json is encrypted") && error.contains(word), "{error}");
            assert!(!error.contains("another one"), "{error}");
        }
    }

    #[test]
    fn a_file_is_encrypted_and_decrypted_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let key = SecretKey::from_seed(&[9; 32]);
        KeyFile::new(&key).create(&path).unwrap();
        let passphrase = Passphrase::new(WORDS).unwrap();
        KeyFile::made(&path, &key, Some(&passphrase)).unwrap().replace(&path).unwrap();
        let file = KeyFile::read(&path).unwrap();
        assert!(file.is_encrypted());
        assert_eq!(file.open(&path, &given(WORDS)).unwrap().seed(), key.seed());
        KeyFile::made(&path, &key, None).unwrap().replace(&path).unwrap();
        assert!(!KeyFile::read(&path).unwrap().is_encrypted());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// Every byte of the file, changed in three ways: it is refused as what it is, and never for its passphrase.
    #[test]
    fn a_flipped_byte_of_an_encrypted_file_is_named_as_damage_or_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let key = encrypted(&path);
        let good = std::fs::read(&path).unwrap();
        let (mut damaged, mut harmless) = (0, 0);
        for place in 0..good.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[place] ^= flip;
                std::fs::write(&path, bad).unwrap();
                match KeyFile::load(&path, &given(WORDS)) {
                    Ok(found) => {
                        harmless += 1;
                        assert_eq!(found.seed(), key.seed());
                    }
                    Err(error) => {
                        damaged += 1;
                        let text = error.to_string();
                        assert!(!matches!(error, HomeError::Locked { .. }), "{place}: {text}");
                        assert!(text.contains("key.json"), "{place}: {text}");
                    }
                }
            }
        }
        // Capital and small hex digits are the same, and so is white space.
        assert!(damaged > 900 && harmless > 50, "{damaged} {harmless}");
    }

    #[test]
    fn a_file_with_both_keys_or_neither_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let key = encrypted(&path);
        let both = std::fs::read_to_string(&path).unwrap().replacen(
            '{',
            &format!("{{\"secret_key\": \"{}\",", hex::encode_upper(key.seed())),
            1,
        );
        let neither = format!("{{\"public_key\": \"{}\"}}", key.public());
        for text in [both, neither] {
            std::fs::write(&path, text).unwrap();
            let error = KeyFile::load(&path, &given(WORDS)).unwrap_err();
            assert!(matches!(error, HomeError::Content { .. }), "{error}");
            assert!(!error.to_string().contains(&hex::encode_upper(key.seed())), "{error}");
        }
    }
}
