//! A message on its way: its bytes, and what they decode to, which is the same for all who get it.

use std::cell::OnceCell;

use tandem_chain::codec;
use tandem_consensus::message::Message;
use tandem_consensus::verify::{Fault, Keys};

use super::digest::Digest;

/// A message on its way.
pub struct Packet {
    bytes: Vec<u8>,
    digest: u64,
    decoded: OnceCell<Result<Message, Fault>>,
}

impl Packet {
    /// As it is sent.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self::of_bytes(codec::encode(message))
    }

    /// As bytes that may be anything.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes, decoded: OnceCell::new() }
    }

    /// As it is read.
    pub fn decode(&self) -> Result<Message, Fault> {
        self.decoded.get_or_init(|| Keys::decode(&self.bytes)).clone()
    }

    /// Digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Its size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}
