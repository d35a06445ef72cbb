//! Answers those who are behind with blocks that are not the chain's, or not what was asked for.

use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::comet;
use tandem_chain::types::{Height, Timestamp};
use tandem_consensus::message::Message;

use super::{Actor, Scene};

pub(super) struct Forger;

impl Actor for Forger {
    fn sends(&mut self, _scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let more = message.claims().map(|height| Message::Status { committed: height.plus(9) });
        let more = more.filter(|_| matches!(message, Message::Follow(_)));
        std::iter::once(message.clone()).chain(more).collect()
    }

    fn answers(
        &mut self,
        scene: &mut Scene,
        _first: Height,
        mut blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        let Some(block) = blocks.first_mut() else { return Some(blocks) };
        match scene.random.below(7) {
            0 => blocks.clear(),
            1 => blocks.reverse(),
            2 => {
                // A block of its own, with only its own signature under it.
                let header = &mut Arc::make_mut(&mut block.block).header;
                header.time = Timestamp(header.time.0 + 1);
                let me = scene.signer.public().address();
                let commit = &mut block.certificate.commit;
                commit.block = Some(block.block.header.id());
                let bytes: Vec<Option<Vec<u8>>> = commit
                    .signatures
                    .iter()
                    .map(|sig| Some(commit.sign_bytes(scene.chain_id, sig.as_ref()?)))
                    .collect();
                for (index, sig) in commit.signatures.iter_mut().enumerate() {
                    if sig.as_ref().is_some_and(|sig| sig.address != me) {
                        *sig = None;
                        block.certificate.observations[index] = None;
                    }
                    if let (Some(sig), Some(bytes)) = (sig, &bytes[index]) {
                        sig.signature = scene.signer.sign(bytes);
                    }
                }
            }
            3 => {
                let block = Arc::make_mut(&mut block.block);
                block.txs.clear();
                block.header.data_hash = comet::data_hash(&block.record, &[]);
            }
            4 => block.certificate.observations.iter_mut().for_each(|o| *o = None),
            5 => block.certificate.commit.signatures.reverse(),
            _ => {}
        }
        Some(blocks)
    }
}
