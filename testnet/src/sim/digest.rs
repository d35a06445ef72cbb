//! Digest of a history. Not a cryptographic hash: what it must do is to differ when anything does.

/// A digest under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// The digest of nothing, in a history of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Mixes a number into it.
    pub fn mix(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// Mixes bytes into it, and how many there are.
    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.mix(u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64);
    }

    /// What it is by now.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// That of some bytes by themselves.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::new(0);
        digest.mix_bytes(bytes);
        digest.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_differ_when_anything_does() {
        let texts: [&[u8]; 7] =
            [b"", b"\0", b"\0\0", b"12345678", b"12345678\0", b"12345679", b"8123456712345678"];
        for (i, one) in texts.iter().enumerate() {
            for other in &texts[..i] {
                assert_ne!(Digest::of(one), Digest::of(other), "{one:?} {other:?}");
            }
        }
        let mut digests = [Digest::new(1), Digest::new(2)];
        digests.iter_mut().for_each(|digest| digest.mix(7));
        assert_ne!(digests[0], digests[1]);
    }
}
