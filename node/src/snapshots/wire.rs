//! What nodes ask each other about snapshots, and the answers.
//!
//! A request is one of these when it does not have the 16 bytes of a question for blocks: none of these
//! has as many.

use serde::{Deserialize, Serialize};
use tandem_chain::snapshot::HEIGHTS;
use tandem_chain::types::{Hash, Height};
use tandem_chain::{Error, codec};
use tandem_consensus::light::LightBlock;

/// Snapshots in one list.
pub const MAX_OFFERS: usize = 16;
/// Bytes of an encoded question.
pub const MAX_QUESTION_BYTES: usize = 40;
/// Bytes of an encoded list.
const MAX_LIST_BYTES: usize = 8 + MAX_OFFERS * 44;
/// Bytes of an encoded header with its certificate and validators.
const MAX_LIGHT_BYTES: usize = 64 * 1024;

/// A question. The answer to one that a node cannot answer is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Which snapshots it has: [`Offers`].
    List,
    /// The header of a height with its certificate and validators: [`LightBlock`].
    Light(Height),
    /// The manifest with this hash, as its bytes.
    Manifest(Hash),
    /// A chunk of the snapshot whose manifest has this hash, compressed.
    Chunk(Hash, u32),
}

impl Question {
    /// Decodes a question.
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode_canonical("question about snapshots", bytes, MAX_QUESTION_BYTES)
    }
}

/// A snapshot that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offer {
    /// The block after which the state is.
    pub height: Height,
    /// Hash of the manifest.
    pub manifest: Hash,
    /// How many chunks it has.
    pub chunks: u32,
}

/// The snapshots of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers(#[serde(deserialize_with = "codec::list::<MAX_OFFERS, _, _>")] pub Vec<Offer>);

impl Offers {
    /// Decodes a list.
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`]; [`Error::Undecodable`] for a height of which there is no
    /// snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let what = "list of snapshots";
        let offers: Self = codec::decode_canonical(what, bytes, MAX_LIST_BYTES)?;
        if offers.0.iter().all(|offer| HEIGHTS.contains(&offer.height)) {
            return Ok(offers);
        }
        let reason = "it has one of a height that no state is of".to_owned();
        Err(Error::Undecodable { what, reason })
    }
}

/// Decodes a header with its certificate and validators.
///
/// # Errors
/// Those of [`codec::decode_canonical`].
pub fn decode_light(bytes: &[u8]) -> Result<LightBlock, Error> {
    codec::decode_canonical("header with its certificate", bytes, MAX_LIGHT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let hash = Hash([7; 32]);
        let cases = [
            (Question::List, "00000000".to_owned()),
            (Question::Light(Height(0x0102)), "010000000201000000000000".to_owned()),
            (Question::Manifest(hash), format!("02000000{}", "07".repeat(32))),
            (Question::Chunk(hash, 3), format!("03000000{}03000000", "07".repeat(32))),
        ];
        for (question, expected) in cases {
            let bytes = codec::encode(&question);
            assert_eq!(hex::encode(&bytes), expected);
            assert_eq!(Question::decode(&bytes), Ok(question));
            assert_ne!(bytes.len(), 16, "it is no question for blocks");
            assert!(bytes.len() <= MAX_QUESTION_BYTES);
            assert!(Question::decode(&bytes[1..]).is_err());
        }
        let offers = Offers(vec![Offer { height: Height(9), manifest: hash, chunks: 2 }]);
        let bytes = codec::encode(&offers);
        let expected =
            format!("0100000000000000{}{}{}", "0900000000000000", "07".repeat(32), "02000000");
        assert_eq!(hex::encode(&bytes), expected);
        assert_eq!(Offers::decode(&bytes), Ok(offers.clone()));
        for height in [0, u64::MAX - 1, u64::MAX] {
            let offer = Offer { height: Height(height), ..offers.0[0] };
            let bytes = codec::encode(&Offers(vec![offers.0[0], offer]));
            assert!(Offers::decode(&bytes).is_err(), "{height}");
        }
        let many = codec::encode(&Offers(vec![offers.0[0]; MAX_OFFERS + 1]));
        assert!(Offers::decode(&many).is_err());
    }
}
