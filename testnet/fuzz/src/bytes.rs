//! Choices from the fuzzer's bytes.

/// What is left of the bytes. When nothing is, everything is 0.
pub struct Bytes<'b>(pub &'b [u8]);

impl<'b> Bytes<'b> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, count: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.u8()) % count
    }

    pub fn u64(&mut self) -> u64 {
        self.take(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Mostly a small number; behind 255, any.
    pub fn number(&mut self) -> u64 {
        match self.u8() {
            255 => self.u64(),
            small => u64::from(small),
        }
    }

    /// As many bytes as two bytes say.
    pub fn slice(&mut self) -> &'b [u8] {
        let length = usize::from(self.u8()) << 8 | usize::from(self.u8());
        self.take(length)
    }
}
