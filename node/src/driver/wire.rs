//! What block sync sends: a question for certified blocks, and its answer.

use serde::{Deserialize, Serialize};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::types::Height;
use tandem_chain::{Error, codec};
use tandem_consensus::limits::MAX_FETCH_BLOCKS;

/// "Send me the blocks from this height on."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The first height.
    pub first: Height,
    /// How many at most.
    pub count: u64,
}

impl Question {
    /// Bytes of an encoded question.
    pub const BYTES: usize = 16;

    /// Decodes a question.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode("fetch", bytes, Self::BYTES)
    }
}

/// Blocks in an answer.
pub const MAX_BLOCKS: usize = 64;

const _: () = assert!(MAX_BLOCKS as u64 == MAX_FETCH_BLOCKS);

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Blocks from the height asked for on, as many as the server sees fit.
    #[serde(deserialize_with = "codec::list::<MAX_BLOCKS, _, _>")]
    pub blocks: Vec<CertifiedBlock>,
    /// The lowest height of which the server has the block. It has taken away those below, or never had
    /// them: when that is why there are no blocks in the answer, it is no fault.
    pub lowest: Height,
}

impl Answer {
    /// Decodes an answer.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode("answer to a fetch", bytes, MAX_ENCODED_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Chain;

    /// A block of a chain.
    static BLOCK: LazyLock<CertifiedBlock> =
        LazyLock::new(|| Chain::new().commit(Vec::new()).block.as_ref().clone());

    fn of(blocks: Vec<CertifiedBlock>) -> Answer {
        Answer { blocks, lowest: Height(1) }
    }

    #[test]
    fn an_answer_of_too_many_blocks_is_refused() {
        let answer = |count| codec::encode(&of(vec![BLOCK.clone(); count]));
        assert_eq!(Answer::decode(&answer(MAX_BLOCKS)).unwrap().blocks.len(), MAX_BLOCKS);
        let error = Answer::decode(&answer(MAX_BLOCKS + 1)).unwrap_err();
        assert!(error.to_string().contains("at most 64 items"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_come_back(bytes in vec(any::<u8>(), 0..400), edit in any::<u8>()) {
            if let Ok(answer) = Answer::decode(&bytes) {
                prop_assert_eq!(codec::encode(&answer), bytes.clone());
            }
            if let Ok(question) = Question::decode(&bytes) {
                prop_assert_eq!(codec::encode(&question), bytes.clone());
            }
            let mut answer = codec::encode(&of(vec![BLOCK.clone()]));
            let at = usize::from(edit) * answer.len() / 256;
            let end = (at + bytes.len()).min(answer.len());
            answer[at..end].copy_from_slice(&bytes[..end - at]);
            if let Ok(decoded) = Answer::decode(&answer) {
                prop_assert_eq!(codec::encode(&decoded), answer);
            }
        }
    }
}
