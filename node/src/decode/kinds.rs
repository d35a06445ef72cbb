//! The kinds of items that are told by their bytes alone.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, Header};
use tandem_chain::evidence::Evidence;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::Signature;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::liveness::{Observation, SignedRecord};
use tandem_chain::modules::consortium::{Change, Invitation, Policy};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::records::Stored;
use tandem_chain::permit::Permit;
use tandem_chain::roles::{Register, RoleTable};
use tandem_chain::snapshot::{Chunk, Manifest};
use tandem_chain::tree::Proof;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::escaped;
use tandem_chain::vote::Vote;
use tandem_chain::{Error, codec};
use tandem_consensus::journal::{Journal, Valid};
use tandem_consensus::light::LightBlock;
use tandem_consensus::message::{Message, Proposal};

use super::readable;
use crate::driver::wire;
use crate::join::wire::{Answer, Greeting, GuestHello, Question};
use crate::network::Hello;
use crate::snapshots::wire::{self as snapshots, Offers};
use crate::snapshots::{Blocks, Sums, unpack};
use crate::storage::BlockResults;

/// A kind of item.
pub struct Kind {
    /// Its name, for `--kind`.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    read: fn(&'static str, &[u8]) -> Result<Value, Error>,
    end: fn(&[u8]) -> usize,
}

impl Kind {
    const fn of<T: Serialize + DeserializeOwned>(name: &'static str, what: &'static str) -> Self {
        Self { name, what, read: canonical::<T>, end: codec::place_of_end::<T> }
    }

    /// The item whose encoding is all of `bytes`.
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`] and of [`unpack`].
    pub fn read(&self, bytes: &[u8]) -> Result<Value, Error> {
        (self.read)(self.name, bytes)
    }
}

fn canonical<T: Serialize + DeserializeOwned>(
    name: &'static str,
    bytes: &[u8],
) -> Result<Value, Error> {
    let value: T = codec::decode_canonical(name, bytes, MAX_ENCODED_BYTES)?;
    Ok(readable(&value))
}

/// A transaction stands in no list here: its bytes are those of its envelope.
fn transaction(_: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    Ok(readable(&Tx::decode(bytes.to_vec())?))
}

/// What is in it is shown as that of a chunk.
fn packed_chunk(_: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    Ok(readable(&unpack(bytes)?))
}

/// All kinds, those first that are asked for most.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "transaction",
        what: "a transaction, as it is signed and sent",
        read: transaction,
        end: codec::place_of_end::<(TxBody, Signature)>,
    },
    Kind::of::<Block>("block", "a block"),
    Kind::of::<CertifiedBlock>("certified-block", "a block with its certificate, as it is stored"),
    Kind::of::<Header>("header", "a block's header"),
    Kind::of::<Certificate>("certificate", "a certificate with its observations"),
    Kind::of::<Commit>("commit", "a certificate, as the next block carries it"),
    Kind::of::<SignedRecord>("liveness-record", "a signed liveness record, transaction 0"),
    Kind::of::<Receipt>("receipt", "the result of a transaction"),
    Kind::of::<Event>("event", "something that a transaction or block did"),
    Kind::of::<BlockResults>("results", "what a block left behind"),
    Kind::of::<Vote>("vote", "a vote"),
    Kind::of::<Evidence>("evidence", "evidence of double signing"),
    Kind::of::<Observation>("observation", "what a validator saw"),
    Kind::of::<Message>("message", "a message between replicas"),
    Kind::of::<Proposal>("proposal", "a proposal, as a replica keeps its own"),
    Kind::of::<Journal>("journal", "what a replica makes durable"),
    Kind::of::<Valid>("valid", "a replica's valid value"),
    Kind::of::<Invitation>("invitation", "an invitation of a node"),
    Kind::of::<Permit>("permit", "a permit to read"),
    Kind::of::<Genesis>("genesis", "a genesis"),
    Kind::of::<RoleTable>("role-table", "who holds which seat"),
    Kind::of::<Register>("register", "the registered nodes"),
    Kind::of::<Parameters>("parameters", "the chain's parameters"),
    Kind::of::<Policy>("policy", "how many must agree to what"),
    Kind::of::<Change>("change", "what a motion proposes"),
    Kind::of::<Stored>("record", "a record, as the state has it"),
    Kind::of::<Proof>("proof", "a proof of an entry of the state"),
    Kind::of::<Vec<Tx>>("transactions", "a frame of transactions"),
    Kind::of::<Hello>("hello", "the first frame of a connection"),
    Kind::of::<wire::Question>("fetch", "a question for blocks"),
    Kind::of::<wire::Answer>("fetched", "the answer to it"),
    Kind::of::<LightBlock>("light-block", "a header with its certificate and validators"),
    Kind::of::<Manifest>("manifest", "what a snapshot consists of"),
    Kind::of::<Chunk>("chunk", "a part of a snapshot"),
    Kind {
        name: "packed-chunk",
        what: "a part of a snapshot, compressed, as it is stored and sent",
        read: packed_chunk,
        // LZ4 does not tell how far it came behind the length.
        end: codec::place_of_end::<u32>,
    },
    Kind::of::<Sums>("snapshot-sums", "the sums of a snapshot's chunks"),
    Kind::of::<Blocks>("snapshot-blocks", "a snapshot's block, and the header above it"),
    Kind::of::<snapshots::Question>("snapshot-question", "a question about snapshots"),
    Kind::of::<Offers>("snapshot-offers", "the snapshots that a node has"),
    Kind::of::<GuestHello>("guest-hello", "the first frame of a guest"),
    Kind::of::<Greeting>("greeting", "the answer to it"),
    Kind::of::<Question>("guest-question", "a guest's question"),
    Kind::of::<Answer>("guest-answer", "the answer to it"),
];

/// The kind with a name.
///
/// # Errors
/// [`Error::NotFound`], with the names that there are.
pub fn find(name: &str) -> Result<&'static Kind, Error> {
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let name = format!("{}; there are {}", escaped(name), names.join(", "));
        Error::NotFound { what: "kind of item", name }
    })
}

/// A kind that bytes were tried as, and did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What does not fit; it names the kind.
    pub error: Error,
    /// Bytes that were read before decoding ended.
    pub end: usize,
}

/// The items that `bytes` are the encoding of, each with the name of its kind; and what was tried
/// besides, that which read most first.
#[must_use]
pub fn fits<'a>(
    kinds: impl IntoIterator<Item = &'a Kind>,
    bytes: &[u8],
) -> (Vec<(&'static str, Value)>, Vec<Tried>) {
    let (mut found, mut tried) = (Vec::new(), Vec::new());
    for kind in kinds {
        match kind.read(bytes) {
            Ok(value) => found.push((kind.name, value)),
            Err(error) => tried.push(Tried { error, end: (kind.end)(bytes) }),
        }
    }
    tried.sort_by_key(|tried| std::cmp::Reverse(tried.end));
    (found, tried)
}

#[cfg(test)]
mod tests;
