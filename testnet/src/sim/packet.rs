//! A message on its way: its bytes, and what they decode to and whether that is good, which is the
//! same for all who get it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use tandem_chain::codec;
use tandem_chain::keys::Verifier;
use tandem_chain::tx::Tx;
use tandem_consensus::message::Message;
use tandem_consensus::verify::{Fault, Keys, Verified};

use super::digest::Digest;

type Verdict = Result<Verified<Message>, Fault>;

/// A message on its way.
pub struct Packet {
    bytes: Vec<u8>,
    digest: u64,
    decoded: OnceCell<Result<Message, Fault>>,
    /// The last keys that it was verified with, and what came of it.
    verified: RefCell<Option<(Rc<Keys>, Verdict)>>,
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
        Self {
            digest: Digest::of(&bytes),
            bytes,
            decoded: OnceCell::new(),
            verified: RefCell::default(),
        }
    }

    /// As it is read.
    pub fn decode(&self) -> Result<Message, Fault> {
        self.decoded.get_or_init(|| Keys::decode(&self.bytes)).clone()
    }

    /// What [`Keys::verify`] makes of it. Who comes after another with the same keys is told the same.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        &self,
        message: Message,
        keys: &Rc<Keys>,
        verifier: &dyn Verifier,
        is_good: &dyn Fn(&Tx) -> bool,
    ) -> Result<Verified<Message>, Fault> {
        let mut last = self.verified.borrow_mut();
        if let Some((of, verdict)) = &*last
            && Rc::ptr_eq(of, keys)
        {
            return verdict.clone();
        }
        let verdict = keys.verify(verifier, message, is_good);
        *last = Some((Rc::clone(keys), verdict.clone()));
        verdict
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
