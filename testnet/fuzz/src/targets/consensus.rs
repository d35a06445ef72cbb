//! Decoders of consensus.

use std::sync::LazyLock;

use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, Signature, Strict, Verifier};
use tandem_consensus::journal::{Journal, Valid};
use tandem_consensus::message::Proposal;
use tandem_consensus::verify::Keys;

use super::chain::decoded;
use crate::seeds;
use crate::world::World;

/// Takes every signature: as if all keys were in the fuzzer's hands.
pub struct Any;

impl Verifier for Any {
    fn verifies(&self, _key: &PublicKey, _message: &[u8], _signature: &Signature) -> bool {
        true
    }
}

/// A message between replicas, up to the point where one would take it.
pub fn message(bytes: &[u8]) {
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::of(World::new(&[1; 4]).ledger().tip()));
    let Ok(message) = Keys::decode(bytes) else { return };
    assert_eq!(codec::encode(&message), bytes);
    let _ = (message.claims(), KEYS.triage(&message));
    let _ = KEYS.verify(&Strict, message.clone(), &|_| false);
    let _ = KEYS.verify(&Any, message, &|_| true);
}

pub fn message_seeds() -> Vec<Vec<u8>> {
    let names = ["proposal", "prevote", "precommit", "follow", "status", "lost"];
    seeds::of_consensus(&names)
}

/// What a replica finds on its disk; the first byte chooses.
pub fn journal(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => drop(decoded::<Journal>(bytes)),
        1 => drop(decoded::<Valid>(bytes)),
        _ => drop(decoded::<Proposal>(bytes)),
    }
}

pub fn journal_seeds() -> Vec<Vec<u8>> {
    let slots = ["journal", "valid", "proposal"].into_iter().zip(0..);
    let seeds = slots.flat_map(|(name, kind): (&str, u8)| {
        seeds::of_consensus(&[name]).into_iter().map(move |bytes| [vec![kind], bytes].concat())
    });
    seeds.collect()
}
