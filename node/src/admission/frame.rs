//! Frames of transactions between nodes: many at once, encoded once for all receivers.
//!
//! A frame is the bincode encoding of a list of byte strings, one per transaction.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tandem_chain::limits::{MAX_ENCODED_BYTES, MAX_TX_BYTES};
use tandem_chain::tx::Tx;
use tandem_chain::{Error, codec};

use crate::network::limits::MAX_TRANSACTIONS_FRAME;

/// Bytes of one frame.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// Transactions in one frame.
pub const MAX_FRAME_TXS: usize = 2_000;

/// Bytes of a length in the encoding.
const LENGTH_BYTES: usize = 8;

const _: () = assert!(2 * LENGTH_BYTES + MAX_TX_BYTES <= MAX_FRAME_BYTES);
const _: () = assert!(MAX_FRAME_BYTES <= MAX_ENCODED_BYTES);
const _: () = assert!(MAX_FRAME_BYTES <= MAX_TRANSACTIONS_FRAME);

/// A transaction whose bytes are not looked at yet: most of those that come twice are thrown away
/// by their hash alone.
struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the bytes of a transaction")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(bytes.to_vec()))
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Raw, E> {
                Ok(Raw(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Packs transactions into as few frames as they fit in, in their order.
pub fn encode(txs: &[Tx]) -> Vec<Arc<[u8]>> {
    let mut frames = Vec::new();
    let mut start = 0;
    let mut bytes = LENGTH_BYTES;
    for (i, tx) in txs.iter().enumerate() {
        let more = LENGTH_BYTES + tx.bytes().len();
        if bytes + more > MAX_FRAME_BYTES || i - start == MAX_FRAME_TXS {
            frames.push(codec::encode(&txs[start..i]).into());
            (start, bytes) = (i, LENGTH_BYTES);
        }
        bytes += more;
    }
    if start < txs.len() {
        frames.push(codec::encode(&txs[start..]).into());
    }
    frames
}

/// The transactions' bytes in a frame; the transactions themselves are not decoded.
pub fn decode(frame: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    const WHAT: &str = "frame of transactions";
    let txs: Vec<Raw> = codec::decode(WHAT, frame, MAX_FRAME_BYTES)?;
    if txs.len() > MAX_FRAME_TXS {
        return Err(Error::TooMany { what: WHAT, max: MAX_FRAME_TXS, got: txs.len() });
    }
    if let Some(long) = txs.iter().find(|tx| tx.0.len() > MAX_TX_BYTES) {
        let got = long.0.len();
        return Err(Error::TooLong { what: "transaction", max: MAX_TX_BYTES, got });
    }
    Ok(txs.into_iter().map(|tx| tx.0).collect())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tandem_chain::keys::SecretKey;
    use tandem_chain::modules::{Call, records};
    use tandem_chain::tx::TxBody;
    use tandem_chain::types::Height;

    use super::*;

    fn tx(nonce: u64, bytes: usize) -> Tx {
        let key = SecretKey::from_seed(&[1; 32]);
        let call = Call::Records(records::Call::Put {
            data_set: "set".parse().unwrap(),
            key: b"key".to_vec(),
            content_type: None,
            value: vec![0; bytes],
            expected: None,
        });
        let body = TxBody {
            chain_id: "test".parse().unwrap(),
            sender: key.public(),
            nonce,
            valid_until: Height(10),
            call,
        };
        Tx::sign(body, &key)
    }

    #[test]
    fn what_is_packed_comes_out_in_order_and_within_the_limits() {
        let mut txs: Vec<Tx> = (0..20).map(|i| tx(i, 150_000)).collect();
        txs.extend((0..2_500).map(|i| tx(100 + i, 1)));
        let frames = encode(&txs);
        assert!(frames.iter().all(|frame| frame.len() <= MAX_FRAME_BYTES));
        let unpacked: Vec<Vec<u8>> = frames.iter().flat_map(|f| decode(f).unwrap()).collect();
        let expected: Vec<Vec<u8>> = txs.iter().map(|tx| tx.bytes().to_vec()).collect();
        assert_eq!(unpacked, expected);
        assert!(encode(&[]).is_empty());
    }

    #[test]
    fn golden_bytes() {
        let mut frame = vec![2, 0, 0, 0, 0, 0, 0, 0];
        frame.extend([1, 0, 0, 0, 0, 0, 0, 0, 0xaa]);
        frame.extend([2, 0, 0, 0, 0, 0, 0, 0, 0xbb, 0xcc]);
        assert_eq!(decode(&frame).unwrap(), [vec![0xaa], vec![0xbb, 0xcc]]);

        let txs = [tx(1, 1), tx(2, 600)];
        let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0];
        for tx in &txs {
            expected.extend((tx.bytes().len() as u64).to_le_bytes());
            expected.extend(tx.bytes());
        }
        assert_eq!(encode(&txs).concat(), expected);
    }

    #[test]
    fn bad_frames_are_refused() {
        let raws = |count: usize, len: usize| {
            codec::encode(&(0..count).map(|_| Raw(vec![0; len])).collect::<Vec<_>>())
        };
        assert!(matches!(decode(&raws(2_001, 1)), Err(Error::TooMany { .. })));
        assert!(matches!(decode(&raws(1, MAX_TX_BYTES + 1)), Err(Error::TooLong { .. })));
        assert!(matches!(decode(&vec![0; MAX_FRAME_BYTES + 1]), Err(Error::TooLong { .. })));
        // Claims 2^60 transactions in ten bytes.
        let claim = [&(1_u64 << 60).to_le_bytes()[..], &[0, 0]].concat();
        assert!(matches!(decode(&claim), Err(Error::Undecodable { .. })));
        assert!(matches!(decode(&[1, 2, 3]), Err(Error::Undecodable { .. })));
        let mut trailing = raws(1, 1);
        trailing.push(0);
        assert!(matches!(decode(&trailing), Err(Error::Undecodable { .. })));
    }

    proptest! {
        #[test]
        fn any_frame_is_refused_or_comes_back(
            txs in vec(vec(any::<u8>(), 0..20), 0..5),
            foreign in vec(any::<u8>(), 0..80),
            claim in any::<u64>(),
            at in any::<prop::sample::Index>(),
        ) {
            let frame = codec::encode(&txs.iter().cloned().map(Raw).collect::<Vec<_>>());
            prop_assert_eq!(decode(&frame), Ok(txs));
            let mut claiming = frame;
            let at = at.index(claiming.len() - LENGTH_BYTES + 1);
            claiming[at..at + LENGTH_BYTES].copy_from_slice(&claim.to_le_bytes());
            for bytes in [claiming, foreign] {
                if let Ok(txs) = decode(&bytes) {
                    let again = codec::encode(&txs.into_iter().map(Raw).collect::<Vec<_>>());
                    prop_assert_eq!(again, bytes);
                }
            }
        }
    }
}
