//! A private key that is encrypted with a passphrase: Argon2id makes a key of it, XChaCha20-Poly1305
//! encrypts. Why these, and by which parameters, stands in `docs/decisions/0019-keys-at-rest.md`.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tandem_chain::keys::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::passphrase::Passphrase;

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const SEED_BYTES: usize = 32;
const SEALED_BYTES: usize = SEED_BYTES + TAG_BYTES;
const TAG_BYTES: usize = 16;
/// Bytes by which damage is told from a wrong passphrase.
const CHECK_BYTES: usize = 8;
/// Begins what the encryption is bound to.
const DOMAIN: &[u8] = b"tandem/key-file/1\0";

/// KiB of memory that Argon2id may be told to fill: below, passphrases are guessed too cheaply; above, whoever
/// reads the file might not have it.
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 8 * 1024..=256 * 1024;
/// How often it may be told to pass over that memory.
const PASSES: std::ops::RangeInclusive<u32> = 1..=16;
/// Lanes that it may be told to fill the memory by.
const LANES: std::ops::RangeInclusive<u32> = 1..=16;
/// KiB of memory, times passes: a few seconds of one processor.
const WORK_KIB_MAX: u32 = 1024 * 1024;

/// What Argon2id is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Cost {
    /// The second choice of RFC 9106, section 4: for where 2 GiB of memory cannot be counted on.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The least that is taken.
    #[cfg(test)]
    pub const LEAST: Self = Self { memory_kib: 8 * 1024, passes: 1, lanes: 1 };

    /// Refuses what nobody would have chosen.
    fn check(self) -> Result<(), String> {
        let Self { memory_kib, passes, lanes } = self;
        let within = |name, value, range: std::ops::RangeInclusive<u32>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (least, most) = range.into_inner();
            Err(format!("{name} is {value}, {least} to {most} are allowed"))
        };
        within("memory_kib", memory_kib, MEMORY_KIB)?;
        within("passes", passes, PASSES)?;
        within("lanes", lanes, LANES)?;
        if memory_kib * passes > WORK_KIB_MAX {
            return Err(format!(
                "{passes} passes over {memory_kib} KiB are too much: memory_kib times passes may be \
                 {WORK_KIB_MAX}"
            ));
        }
        Ok(())
    }
}

/// How the key of the encryption is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kdf {
    Argon2id,
}

/// An encrypted key, as it stands in a key file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedKey {
    kdf: Kdf,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// 16 bytes in hex, as are the others.
    salt: String,
    /// 24 bytes.
    nonce: String,
    /// The seed's 32 bytes, encrypted, and the tag's 16.
    sealed: String,
    /// 8 bytes of the SHA-256 of all before it.
    check: String,
}

/// Why an encrypted key is not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SealFault {
    /// The file is not what was written.
    Damaged(String),
    /// Another passphrase.
    Passphrase,
    /// The system has not the memory that it takes.
    Memory,
}

impl SealedKey {
    /// Encrypts the key of a file, under a new salt and nonce.
    pub fn seal(key: &SecretKey, passphrase: &Passphrase, cost: Cost) -> Result<Self, SealFault> {
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
        for bytes in [&mut salt[..], &mut nonce[..]] {
            SysRng.try_fill_bytes(bytes).expect("the system gives random bytes");
        }
        Self::seal_with(key, passphrase, cost, salt, nonce)
    }

    fn seal_with(
        key: &SecretKey,
        passphrase: &Passphrase,
        cost: Cost,
        salt: [u8; SALT_BYTES],
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Self, SealFault> {
        let bound = bound(&key.public(), cost, &salt);
        let cipher = cipher(passphrase, cost, &salt)?;
        let mut sealed = Zeroizing::new([0; SEALED_BYTES]);
        sealed[..SEED_BYTES].copy_from_slice(&*Zeroizing::new(key.seed()));
        let tag = cipher
            .encrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                &bound,
                &mut sealed[..SEED_BYTES],
            )
            .expect("a message of 32 bytes");
        sealed[SEED_BYTES..].copy_from_slice(&tag);
        let check = check(&bound, &nonce, &sealed[..]);
        let Cost { memory_kib, passes, lanes } = cost;
        Ok(Self {
            kdf: Kdf::Argon2id,
            memory_kib,
            passes,
            lanes,
            salt: hex::encode_upper(salt),
            nonce: hex::encode_upper(nonce),
            sealed: hex::encode_upper(&sealed[..]),
            check: hex::encode_upper(check),
        })
    }

    /// The key of a file whose public key is `public`, by its passphrase. What is wrong with the file is found
    /// before any memory is taken.
    pub fn open(
        &self,
        public: &PublicKey,
        passphrase: &Passphrase,
    ) -> Result<SecretKey, SealFault> {
        let Self { kdf: Kdf::Argon2id, memory_kib, passes, lanes, .. } = *self;
        let cost = Cost { memory_kib, passes, lanes };
        let salt: [u8; SALT_BYTES] = bytes("salt", &self.salt)?;
        let nonce: [u8; NONCE_BYTES] = bytes("nonce", &self.nonce)?;
        let mut sealed = Zeroizing::new(bytes::<SEALED_BYTES>("sealed", &self.sealed)?);
        let expected: [u8; CHECK_BYTES] = bytes("check", &self.check)?;
        let bound = bound(public, cost, &salt);
        if check(&bound, &nonce, &sealed[..]) != expected {
            return Err(SealFault::Damaged("its fields and their check do not agree".to_owned()));
        }
        cost.check().map_err(SealFault::Damaged)?;
        let cipher = cipher(passphrase, cost, &salt)?;
        let (seed, tag) = sealed.split_at_mut(SEED_BYTES);
        cipher
            .decrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                &bound,
                seed,
                Tag::from_slice(tag),
            )
            .map_err(|_| SealFault::Passphrase)?;
        let seed: &[u8; SEED_BYTES] = (&*seed).try_into().expect("32 bytes");
        Ok(SecretKey::from_seed(seed))
    }
}

/// What the encryption is bound to: it opens beside no other public key, and by no other parameters.
fn bound(public: &PublicKey, cost: Cost, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    let Cost { memory_kib, passes, lanes } = cost;
    let numbers = [memory_kib, passes, lanes].map(u32::to_le_bytes).concat();
    [DOMAIN, &public.0, &numbers, salt].concat()
}

fn check(bound: &[u8], nonce: &[u8], sealed: &[u8]) -> [u8; CHECK_BYTES] {
    let hash =
        Sha256::new().chain_update(bound).chain_update(nonce).chain_update(sealed).finalize();
    hash[..CHECK_BYTES].try_into().expect("32 bytes have 8")
}

fn cipher(
    passphrase: &Passphrase,
    cost: Cost,
    salt: &[u8; SALT_BYTES],
) -> Result<XChaCha20Poly1305, SealFault> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len()));
    let params = params.expect("the cost is within its bounds, which are Argon2's, too");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.bytes(), salt, key.as_mut())
        .map_err(|error| match error {
            argon2::Error::OutOfMemory => SealFault::Memory,
            error => panic!("passphrase, salt and key have lengths that Argon2 takes: {error}"),
        })?;
    Ok(XChaCha20Poly1305::new((&*key).into()))
}

fn bytes<const N: usize>(name: &str, digits: &str) -> Result<[u8; N], SealFault> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes)
        .map_err(|_| SealFault::Damaged(format!("{name} is not {} hex digits", 2 * N)))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text).unwrap()
    }

    fn sealed() -> (SecretKey, SealedKey) {
        let key = SecretKey::from_seed(&[7; 32]);
        let sealed = SealedKey::seal(&key, &passphrase("correct horse"), Cost::LEAST).unwrap();
        (key, sealed)
    }

    #[test]
    fn it_opens_with_its_passphrase_and_beside_its_public_key_alone() {
        let (key, sealed) = sealed();
        let open = |public: &PublicKey, text| sealed.open(public, &passphrase(text));
        assert_eq!(open(&key.public(), "correct horse").unwrap().seed(), key.seed());
        for wrong in ["correct hors", "Correct horse", "correct horse "] {
            assert_eq!(open(&key.public(), wrong).unwrap_err(), SealFault::Passphrase);
        }
        let other = SecretKey::from_seed(&[8; 32]).public();
        assert!(matches!(open(&other, "correct horse").unwrap_err(), SealFault::Damaged(_)));
        let again = SealedKey::seal(&key, &passphrase("correct horse"), Cost::LEAST).unwrap();
        assert!(again.salt != sealed.salt && again.nonce != sealed.nonce);
        assert_ne!(again.sealed, sealed.sealed);
    }

    /// A check that was made anew beside a field that was changed does not help: the encryption is bound to all.
    #[test]
    fn what_was_changed_with_its_check_does_not_open() {
        let (key, good) = sealed();
        let mut last = hex::decode(&good.sealed).unwrap();
        last[SEALED_BYTES - 1] ^= 1;
        let changed = [
            SealedKey { passes: 2, ..good.clone() },
            SealedKey { lanes: 2, ..good.clone() },
            SealedKey { memory_kib: 9 * 1024, ..good.clone() },
            SealedKey { salt: hex::encode([1; SALT_BYTES]), ..good.clone() },
            SealedKey { nonce: hex::encode([1; NONCE_BYTES]), ..good.clone() },
            SealedKey { sealed: hex::encode(last), ..good },
        ];
        for mut bad in changed {
            bad.check = checked(&key.public(), &bad);
            let opened = bad.open(&key.public(), &passphrase("correct horse"));
            assert_eq!(opened.unwrap_err(), SealFault::Passphrase, "{bad:?}");
        }
    }

    fn checked(public: &PublicKey, of: &SealedKey) -> String {
        let SealedKey { memory_kib, passes, lanes, .. } = *of;
        let cost = Cost { memory_kib, passes, lanes };
        let bound = bound(public, cost, &bytes("", &of.salt).unwrap());
        let digits = [&of.nonce, &of.sealed].map(|digits| hex::decode(digits).unwrap());
        hex::encode(check(&bound, &digits[0], &digits[1]))
    }

    /// A file that asks for a terabyte, or for a year, is refused before anything is done for it.
    #[test]
    fn silly_parameters_are_refused_at_once() {
        let (key, good) = sealed();
        for (memory_kib, passes, lanes, word) in [
            (0, 1, 1, "memory_kib is 0, 8192 to 262144 are allowed"),
            (8 * 1024 - 1, 1, 1, "memory_kib"),
            (u32::MAX, 1, 1, "memory_kib"),
            (8 * 1024, 0, 1, "passes is 0"),
            (8 * 1024, u32::MAX, 1, "passes"),
            (8 * 1024, 1, 0, "lanes is 0"),
            (8 * 1024, 1, u32::MAX, "lanes"),
            (256 * 1024, 5, 1, "too much"),
        ] {
            let mut bad = SealedKey { memory_kib, passes, lanes, ..good.clone() };
            bad.check = checked(&key.public(), &bad);
            match bad.open(&key.public(), &passphrase("correct horse")) {
                Err(SealFault::Damaged(reason)) => assert!(reason.contains(word), "{reason}"),
                other => panic!("{memory_kib} {passes} {lanes}: {other:?}"),
            }
        }
        assert_eq!(Cost::DEFAULT.check(), Ok(()));
        assert_eq!(Cost::LEAST.check(), Ok(()));
        let most = Cost { memory_kib: *MEMORY_KIB.end(), passes: 4, lanes: *LANES.end() };
        assert_eq!(most.check(), Ok(()));
    }

    #[test]
    fn fields_of_another_length_are_named() {
        let (key, good) = sealed();
        for (bad, word) in [
            (SealedKey { salt: "AB".to_owned(), ..good.clone() }, "salt is not 32 hex digits"),
            (SealedKey { nonce: "Z".repeat(48), ..good.clone() }, "nonce is not 48 hex digits"),
            (SealedKey { sealed: String::new(), ..good.clone() }, "sealed is not 96 hex digits"),
            (SealedKey { check: "AB".repeat(9), ..good }, "check is not 16 hex digits"),
        ] {
            let fault = bad.open(&key.public(), &passphrase("correct horse")).unwrap_err();
            assert_eq!(fault, SealFault::Damaged(word.to_owned()));
        }
    }

    /// With the first key pair of RFC 8032, section 7.1.
    #[test]
    fn golden_bytes() {
        let mut seed = [0; 32];
        let digits = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        hex::decode_to_slice(digits, &mut seed).unwrap();
        let key = SecretKey::from_seed(&seed);
        let (salt, nonce) = ([1; SALT_BYTES], [2; NONCE_BYTES]);
        let passphrase = passphrase("correct horse");
        let sealed = SealedKey::seal_with(&key, &passphrase, Cost::LEAST, salt, nonce).unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        assert_eq!(text, GOLDEN);
        let read: SealedKey = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(read.open(&key.public(), &passphrase).unwrap().seed(), seed);
    }

    const GOLDEN: &str = concat!(
        r#"{"kdf":"argon2id","memory_kib":8192,"passes":1,"lanes":1,"salt":"0101010101010"#,
        r#"1010101010101010101","nonce":"020202020202020202020202020202020202020202020202","sealed":"CA6B"#,
        r#"C9816698D9DF36C85C3AD119F92359C90EE0748A157927A352D7B09C888B2CA97AB23DBE7E34273890A3ADFEC2CB","check":"F2CAAD5DCA9BA458"}"#,
    );
}
