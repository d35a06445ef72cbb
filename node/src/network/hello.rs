//! The first frame of a connection, both ways: are we of one chain, and do we speak one protocol?

use serde::{Deserialize, Serialize};
use tandem_chain::codec;
use tandem_chain::types::{ChainId, Hash};

use super::counters::Counters;
use super::error::HelloError;
use super::limits::MAX_HELLO_BYTES;

/// Version of everything that nodes send to each other.
pub const PROTOCOL_VERSION: u32 = 1;

/// The content of the first frame. The version comes first, so that it can be read whatever the
/// rest of a later version looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub protocol: u32,
    /// The sender's chain.
    pub chain_id: ChainId,
    /// Hash of the sender's genesis.
    pub genesis: Hash,
}

impl Hello {
    /// Compares with the encoded hello of a peer.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check(&self, theirs: &[u8]) -> Result<(), HelloError> {
        if let Some(version) = theirs.first_chunk() {
            let theirs = u32::from_le_bytes(*version);
            if theirs != self.protocol {
                return Err(HelloError::Protocol { ours: self.protocol, theirs });
            }
        }
        let theirs: Self = codec::decode_canonical("hello", theirs, MAX_HELLO_BYTES)
            .map_err(|source| HelloError::Unreadable { reason: source.to_string() })?;
        if theirs.chain_id != self.chain_id {
            let ours = self.chain_id.clone();
            return Err(HelloError::Chain { ours, theirs: theirs.chain_id });
        }
        if theirs.genesis != self.genesis {
            return Err(HelloError::Genesis { ours: self.genesis, theirs: theirs.genesis });
        }
        Ok(())
    }
}

impl HelloError {
    pub(super) fn count(&self, counters: &Counters) {
        match self {
            Self::Protocol { .. } => counters.hello_protocol.count(),
            Self::Chain { .. } => counters.hello_chain.count(),
            Self::Genesis { .. } => counters.hello_genesis.count(),
            Self::Unreadable { .. } => counters.hello_unreadable.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        let chain_id = "test-1".parse().unwrap();
        Hello { protocol: PROTOCOL_VERSION, chain_id, genesis: Hash([3; 32]) }
    }

    #[test]
    fn each_difference_has_its_name() {
        let ours = hello();
        let other: ChainId = "test-2".parse().unwrap();
        let cases = [
            (hello(), Ok(())),
            (Hello { protocol: 2, ..hello() }, Err(HelloError::Protocol { ours: 1, theirs: 2 })),
            (
                Hello { chain_id: other.clone(), ..hello() },
                Err(HelloError::Chain { ours: ours.chain_id.clone(), theirs: other }),
            ),
            (
                Hello { genesis: Hash([4; 32]), ..hello() },
                Err(HelloError::Genesis { ours: Hash([3; 32]), theirs: Hash([4; 32]) }),
            ),
        ];
        for (theirs, expected) in cases {
            assert_eq!(ours.check(&codec::encode(&theirs)), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let ours = hello();
        let good = codec::encode(&ours);
        let mut version_2 = 2u32.to_le_bytes().to_vec();
        version_2.extend(b"whatever comes then");
        assert_eq!(ours.check(&version_2), Err(HelloError::Protocol { ours: 1, theirs: 2 }));
        for bytes in [&good[..0], &good[..3], &good[..good.len() - 1], &[&good[..], b"x"].concat()]
        {
            assert!(matches!(ours.check(bytes), Err(HelloError::Unreadable { .. })), "{bytes:?}");
        }
        assert!(good.len() <= MAX_HELLO_BYTES);
    }

    #[test]
    fn golden_bytes() {
        let mut expected = vec![1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0];
        expected.extend(b"test-1");
        expected.extend([3; 32]);
        assert_eq!(codec::encode(&hello()), expected);
    }

    proptest! {
        #[test]
        fn any_other_bytes_are_refused(
            other in prop::collection::vec(any::<u8>(), 0..80),
            at in any::<prop::sample::Index>(),
        ) {
            let ours = hello();
            let mut bytes = codec::encode(&ours);
            prop_assert!(ours.check(&other).is_err() || other == bytes);
            let at = at.index(bytes.len());
            let end = (at + other.len()).min(bytes.len());
            let is_same = bytes[at..end] == other;
            bytes.splice(at..end, other);
            prop_assert_eq!(ours.check(&bytes).is_ok(), is_same);
        }
    }
}
