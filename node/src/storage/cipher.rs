//! Encryption of the entries of one column family.
//!
//! A key is encrypted by AES-SIV (RFC 5297), which gives the same bytes for the same key, so that an
//! entry is found by encrypting what is looked for. A value is encrypted by XChaCha20-Poly1305 with
//! a random nonce, bound to its key and column family, so that values that were exchanged on the
//! disk are noticed. Why it is so stands in `docs/decisions/0015-encryption-at-rest.md`.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::atomic::{self, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes_siv::siv::Aes256Siv;
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use zeroize::Zeroizing;

use crate::home::StorageKey;

/// Bytes of a database's salt.
pub(super) const SALT_BYTES: usize = 32;
/// Bytes by which a key is known again.
pub(super) const CHECK_BYTES: usize = 16;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Bytes by which a value is longer that is not compressed.
pub(super) const ADDED_BYTES: usize = NONCE_BYTES + 1 + TAG_BYTES;
/// Values below this many bytes are not compressed: what LZ4 adds outweighs what it saves.
const COMPRESSED_BYTES_MIN: usize = 96;
/// Threads that encrypt or decrypt keys at once without waiting for each other.
const LANES: usize = 8;

/// How a value stands inside its encryption.
const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// What the keys of a database are derived from: its key, and a salt of its own, so that two
/// databases with one key have nothing in common.
pub(super) struct Root(Hkdf<Sha256>);

impl Root {
    pub fn new(key: &StorageKey, salt: &[u8; SALT_BYTES]) -> Self {
        Self(Hkdf::new(Some(salt), key.bytes()))
    }

    /// What tells this key and salt from others, and nothing else about them.
    pub fn check(&self) -> [u8; CHECK_BYTES] {
        let mut check = [0; CHECK_BYTES];
        self.expand("check", &mut check);
        check
    }

    /// The cipher of a column family; `compresses`: whether its values are worth compressing, which
    /// nothing can do once they are encrypted.
    pub fn cipher(&self, family: &str, compresses: bool) -> Cipher {
        let mut keys = Zeroizing::new([0; 64]);
        self.expand(&format!("keys of {family}"), keys.as_mut());
        let mut values = Zeroizing::new([0; 32]);
        self.expand(&format!("values of {family}"), values.as_mut());
        Cipher {
            id: NEXT_ID.fetch_add(1, atomic::Ordering::Relaxed),
            lanes: std::array::from_fn(|_| Mutex::new(Aes256Siv::new((&*keys).into()))),
            values: XChaCha20Poly1305::new((&*values).into()),
            compresses,
        }
    }

    fn expand(&self, what: &str, bytes: &mut [u8]) {
        let info = ["tandem/database/1/", what];
        let info: Vec<&[u8]> = info.iter().map(|part| part.as_bytes()).collect();
        self.0.expand_multi_info(&info, bytes).expect("fewer bytes than HKDF can give");
    }
}

/// A key that a thread has decrypted for a comparison.
struct Recent {
    cipher: u64,
    stored: Box<[u8]>,
    key: Rc<[u8]>,
}

thread_local! {
    /// Those that this thread has compared last, by the first byte of what is stored.
    static RECENT: RefCell<Vec<Option<Recent>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers the ciphers of a process.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Encrypts and decrypts the keys and values of one column family.
pub(super) struct Cipher {
    id: u64,
    /// Alike; a thread takes the first that no other uses.
    lanes: [Mutex<Aes256Siv>; LANES],
    values: XChaCha20Poly1305,
    compresses: bool,
}

impl Cipher {
    /// A key as it is stored: always the same bytes for the same key.
    pub fn key(&self, key: &[u8]) -> Vec<u8> {
        self.lane().encrypt(NO_HEADERS, key).expect("no headers and a buffer that grows")
    }

    /// The key that is stored as `stored`; none when it is no key of this family.
    pub fn open_key(&self, stored: &[u8]) -> Option<Vec<u8>> {
        self.lane().decrypt(NO_HEADERS, stored).ok()
    }

    /// As [`Cipher::open_key`], for the same few keys again and again: a search compares what is
    /// looked for with one key after another, and every search begins at the same ones.
    fn recent_key(&self, stored: &[u8]) -> Option<Rc<[u8]>> {
        let place = usize::from(*stored.first()?);
        RECENT.with_borrow_mut(|recent| {
            if recent.is_empty() {
                recent.resize_with(usize::from(u8::MAX) + 1, || None);
            }
            if let Some(found) = &recent[place]
                && found.cipher == self.id
                && *found.stored == *stored
            {
                return Some(Rc::clone(&found.key));
            }
            let key: Rc<[u8]> = self.open_key(stored)?.into();
            let found = Recent { cipher: self.id, stored: stored.into(), key: Rc::clone(&key) };
            recent[place] = Some(found);
            Some(key)
        })
    }

    /// The order of two stored keys is that of the keys themselves; what is none comes last.
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        match (self.recent_key(a), self.recent_key(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => a.cmp(b),
        }
    }

    /// A value as it is stored beside the stored key.
    ///
    /// # Panics
    /// When the operating system gives no random bytes.
    pub fn seal(&self, stored_key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        SysRng.try_fill_bytes(&mut nonce).expect("the system gives random bytes");
        self.seal_with(&nonce, stored_key, value)
    }

    fn seal_with(&self, nonce: &[u8; NONCE_BYTES], stored_key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(NONCE_BYTES + 1 + value.len() + TAG_BYTES);
        sealed.extend_from_slice(nonce);
        if !(self.compresses && compress(value, &mut sealed)) {
            sealed.push(PLAIN);
            sealed.extend_from_slice(value);
        }
        let body = &mut sealed[NONCE_BYTES..];
        let tag =
            self.values.encrypt_in_place_detached(XNonce::from_slice(nonce), stored_key, body);
        sealed.extend_from_slice(&tag.expect("values are far below 256 GiB"));
        sealed
    }

    /// The value that [`Cipher::seal`] stored beside this key.
    ///
    /// # Errors
    /// What is wrong with it, when it is not.
    pub fn open(&self, stored_key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, &'static str> {
        const SHORT: &str = "it is too short to be an encrypted value";
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or(SHORT)?;
        let length = body.len().checked_sub(TAG_BYTES).ok_or(SHORT)?;
        let (body, tag) = body.split_at(length);
        let mut value = body.to_vec();
        self.values
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                stored_key,
                &mut value,
                Tag::from_slice(tag),
            )
            .map_err(|_| "its encryption is broken: it was changed, or belongs to another key")?;
        match value.first() {
            Some(&PLAIN) => {
                value.remove(0);
                Ok(value)
            }
            Some(&LZ4) => decompress(&value[1..]).ok_or("it cannot be decompressed"),
            _ => Err("it was written by a newer program"),
        }
    }

    fn lane(&self) -> MutexGuard<'_, Aes256Siv> {
        let free = self.lanes.iter().find_map(|lane| lane.try_lock().ok());
        // A lane holds no state between its uses.
        free.unwrap_or_else(|| self.lanes[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const NO_HEADERS: [&[u8]; 0] = [];

/// Appends the compressed value, unless that is no shorter.
fn compress(value: &[u8], to: &mut Vec<u8>) -> bool {
    if !(COMPRESSED_BYTES_MIN..=MAX_ENCODED_BYTES).contains(&value.len()) {
        return false;
    }
    let Ok(length) = u32::try_from(value.len()) else { return false };
    let start = to.len();
    to.push(LZ4);
    to.extend_from_slice(&length.to_le_bytes());
    let head = to.len();
    to.resize(head + lz4_flex::block::get_maximum_output_size(value.len()), 0);
    let written = lz4_flex::block::compress_into(value, &mut to[head..]);
    match written {
        Ok(written) if head - start + written <= value.len() => {
            to.truncate(head + written);
            true
        }
        _ => {
            to.truncate(start);
            false
        }
    }
}

fn decompress(from: &[u8]) -> Option<Vec<u8>> {
    let (length, body) = from.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > MAX_ENCODED_BYTES {
        return None;
    }
    let mut value = vec![0; length];
    let written = lz4_flex::block::decompress_into(body, &mut value).ok()?;
    (written == length).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root() -> Root {
        Root::new(&StorageKey::new([1; 32]), &[2; SALT_BYTES])
    }

    /// Made with Python's `cryptography`: HKDF-SHA256, AES-SIV and, with HChaCha20 written out,
    /// ChaCha20-Poly1305.
    #[test]
    fn golden_bytes() {
        let cipher = root().cipher("state", true);
        assert_eq!(hex::encode(root().check()), GOLDEN_CHECK);
        let key = cipher.key(b"records/data/prices/oil");
        assert_eq!(hex::encode(&key), GOLDEN_KEY);
        let nonce = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(hex::encode(cipher.seal_with(&nonce, &key, b"81.20")), GOLDEN_VALUE);
        let packed = cipher.seal_with(&nonce, &key, &[b'x'; 200]);
        assert_eq!(hex::encode(&packed), GOLDEN_PACKED);
        assert_eq!(cipher.open(&key, &packed), Ok(vec![b'x'; 200]));
    }
    const GOLDEN_CHECK: &str = "ea146c600c7d95539974b9c822cdfb87";
    const GOLDEN_KEY: &str =
        "158798c139b7112b0c35e0396fe1324269e27126b1f0dda3438a9457b4114b0a9e96efca7d6749";
    const GOLDEN_VALUE: &str = "000102030405060708090a0b0c0d0e0f1011121314151617e42df99307bec1c70f78da24ce27aa245f9d8f6f2127";
    const GOLDEN_PACKED: &str = "000102030405060708090a0b0c0d0e0f1011121314151617e5ddc8bd3591f1ad449f5d3dfd404ae28eef1581ac74fa2cb179ce179fd809b60e";

    #[test]
    fn nothing_opens_what_another_key_salt_or_family_has_sealed() {
        let cipher = root().cipher("state", true);
        let key = cipher.key(b"key");
        let sealed = cipher.seal(&key, b"value");
        assert_eq!(cipher.open(&key, &sealed), Ok(b"value".to_vec()));
        assert_eq!(cipher.open_key(&key), Some(b"key".to_vec()));
        let others = vec![
            root().cipher("tree", true),
            Root::new(&StorageKey::new([3; 32]), &[2; SALT_BYTES]).cipher("state", true),
            Root::new(&StorageKey::new([1; 32]), &[3; SALT_BYTES]).cipher("state", true),
        ];
        for other in others {
            assert_eq!(other.open_key(&key), None);
            assert_ne!(other.key(b"key"), key);
            assert!(other.open(&key, &sealed).is_err());
        }
        assert!(cipher.open(&cipher.key(b"other"), &sealed).is_err(), "it is bound to its key");
        assert_ne!(cipher.seal(&key, b"value"), sealed, "a nonce is never used twice");
    }

    #[test]
    fn one_bit_that_is_changed_is_noticed() {
        let cipher = root().cipher("state", true);
        let key = cipher.key(b"key");
        for value in [&b""[..], b"value", &[7; 300]] {
            let sealed = cipher.seal(&key, value);
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(cipher.open(&key, &changed).is_err());
            }
            for length in 0..sealed.len() {
                assert!(cipher.open(&key, &sealed[..length]).is_err());
            }
        }
        for bit in 0..key.len() * 8 {
            let mut changed = key.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cipher.open_key(&changed), None);
        }
    }

    #[test]
    fn values_are_compressed_where_it_pays() {
        let cipher = root().cipher("blocks", true);
        let key = cipher.key(b"1");
        let overhead = NONCE_BYTES + 1 + TAG_BYTES;
        assert!(cipher.seal(&key, &[9; 10_000]).len() < 200);
        let mut noise = vec![0; 10_000];
        SysRng.try_fill_bytes(&mut noise).unwrap();
        assert_eq!(cipher.seal(&key, &noise).len(), noise.len() + overhead);
        assert_eq!(root().cipher("tree", false).seal(&key, &[9; 500]).len(), 500 + overhead);
        // What would not be decompressed again is not compressed.
        for (length, is_compressed) in [(MAX_ENCODED_BYTES, true), (MAX_ENCODED_BYTES + 1, false)] {
            let sealed = cipher.seal(&key, &vec![9; length]);
            assert_eq!(sealed.len() < length, is_compressed);
            assert!(cipher.open(&key, &sealed).is_ok_and(|value| value == vec![9; length]));
        }
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory() {
        for length in [5u32, u32::MAX] {
            let body = [&length.to_le_bytes()[..], &lz4_flex::block::compress(&[7; 100])].concat();
            assert_eq!(decompress(&body), None);
        }
        assert_eq!(decompress(&[1, 2]), None);
    }

    proptest! {
        #[test]
        fn stored_keys_have_the_order_of_keys(a in ".{0,20}", b in ".{0,20}", junk in any::<[u8; 20]>()) {
            let cipher = root().cipher("state", true);
            let (x, y) = (cipher.key(a.as_bytes()), cipher.key(b.as_bytes()));
            prop_assert_eq!(cipher.compare(&x, &y), a.as_bytes().cmp(b.as_bytes()));
            prop_assert_eq!(cipher.compare(&x, &junk), Ordering::Less);
            prop_assert_eq!(cipher.compare(&junk, &x), Ordering::Greater);
            prop_assert_eq!(cipher.compare(&junk, &junk[1..]), junk[..].cmp(&junk[1..]));
        }

        #[test]
        fn what_is_sealed_is_opened(key in any::<Vec<u8>>(), value in any::<Vec<u8>>(), again in 1..20usize) {
            let cipher = root().cipher("state", true);
            let key = cipher.key(&key);
            let value = value.repeat(again);
            prop_assert_eq!(cipher.open(&key, &cipher.seal(&key, &value)), Ok(value));
        }
    }
}
