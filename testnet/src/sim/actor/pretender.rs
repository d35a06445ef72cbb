//! Claims heights that it does not have, and has no answer, an empty one, or invented blocks for
//! those who ask for them.

use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::types::Height;
use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene};

/// Blocks that it makes up for one answer.
const INVENTED: usize = 5;

#[derive(Default)]
pub(super) struct Pretender {
    /// A block of the chain, to make others after.
    last: Option<CertifiedBlock>,
}

impl Pretender {
    /// Blocks from a height on, each on the one before, with the signatures of an older one.
    fn invented(&self, first: Height) -> Vec<CertifiedBlock> {
        let mut blocks: Vec<CertifiedBlock> = Vec::new();
        for height in (first.0..).take(INVENTED) {
            let Some(before) = blocks.last().or(self.last.as_ref()) else { break };
            let mut next = before.clone();
            let block = Arc::make_mut(&mut next.block);
            block.header.height = Height(height);
            block.header.last_block_id = Some(before.block.id());
            block.last_commit = before.certificate.commit.clone();
            next.certificate.commit.height = Height(height);
            next.certificate.commit.block = Some(next.block.id());
            blocks.push(next);
        }
        blocks
    }
}

impl Actor for Pretender {
    fn acts(&mut self, scene: &mut Scene) {
        let ahead = scene.random.pick(&[1, 3, 30, 1_000, u64::MAX]);
        let committed = Height(scene.tip.height.0.saturating_add(ahead));
        scene.sends_all(Deed::Claims, &Message::Status { committed });
    }

    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let Message::LostAnswer { committed } = message else { return vec![message.clone()] };
        let ahead = scene.random.pick(&[1, 3, 30, u64::MAX]);
        let lies = [Height(committed.0.saturating_add(ahead)), committed.back(ahead)];
        let committed = scene.random.pick(&lies);
        scene.did(Deed::MisleadsLost);
        vec![Message::LostAnswer { committed }]
    }

    fn answers(
        &mut self,
        scene: &mut Scene,
        first: Height,
        mut blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        self.last = blocks.last().cloned().or(self.last.take());
        match scene.random.below(4) {
            0 => {
                scene.did(Deed::LeavesOpen);
                return None;
            }
            1 if !blocks.is_empty() => {
                scene.did(Deed::AnswersNothing);
                blocks.clear();
            }
            2 if self.last.is_some() => {
                scene.did(Deed::Invents);
                let after = first.plus(blocks.len() as u64);
                blocks.extend(self.invented(after));
            }
            _ => {}
        }
        Some(blocks)
    }
}
