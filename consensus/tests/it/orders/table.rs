//! The seats, blocks and messages of an order of events.

use tandem_chain::block::Block;
use tandem_chain::types::BlockId;
use tandem_chain::vote::VoteKind;
use tandem_consensus::Input;
use tandem_consensus::message::Message;

use super::words::{Heard, PREVOTE, SEATS};
use crate::solo::Solo;
use crate::world::{World, at};

/// Four seats at height 1, one of them the replica's.
pub struct Table {
    pub solo: Solo,
    pub me: usize,
    pub ids: Vec<BlockId>,
    pub blocks: Vec<Block>,
    /// The bad ones, as bits.
    pub bad: u8,
    /// Whether the ledger's answers are events of their own.
    pub has_slow_ledger: bool,
}

impl Table {
    /// `me` is the replica's seat; `is_good` says of each block whether it is valid, and `round` in
    /// whose turn it is made.
    pub fn new(me: usize, blocks: &[(u32, bool)], has_slow_ledger: bool) -> Self {
        let solo = Solo::new(me);
        let salt = |i: usize| blocks[..i].iter().filter(|(round, _)| *round == blocks[i].0).count();
        let made = blocks.iter().enumerate();
        let blocks: Vec<Block> = made
            .map(|(i, (round, is_good))| block(&solo, *round, salt(i) as u64, *is_good))
            .collect();
        let bad = (0..).zip(blocks.iter()).filter(|(_, block)| !block.txs.is_empty());
        let bad = bad.map(|(i, _): (u8, _)| 1 << i).sum();
        let ids = blocks.iter().map(Block::id).collect();
        Self { solo, me, ids, blocks, bad, has_slow_ledger }
    }

    /// What an event is to the replica; none when it is no message.
    pub fn input(&self, heard: Heard) -> Input {
        let (from, message) = match heard {
            Heard::Vote { seat, kind, round, value } => {
                let kind = if kind == PREVOTE { VoteKind::Prevote } else { VoteKind::Precommit };
                let round = u32::try_from(round).expect("few rounds");
                let block = value.map(|block| self.ids[usize::from(block)]);
                let vote = self.solo.vote_of(seat, kind, round, block);
                (seat, Message::Vote(Box::new(vote)))
            }
            Heard::Proposal { round, block, valid_round, carried } => {
                let number = |round| u32::try_from(round).expect("few rounds");
                let block = &self.blocks[usize::from(block)];
                let valid = valid_round.map(|valid_round| {
                    let (tip, others) = (self.solo.tip(), self.solo.others());
                    let (round, seats) = (number(valid_round), &others[..carried]);
                    (round, self.solo.world.prevotes(&tip, seats, round, block.id()))
                });
                let proposal = self.solo.proposal(number(round), block, valid);
                (self.solo.turn(number(round)), Message::Proposal(Box::new(proposal)))
            }
        };
        let from = self.solo.world.validator(from);
        let input = self.solo.node.verified(from, &message).expect("what is sent is well signed");
        input.expect("it is of this height")
    }

    pub fn number(&self, id: BlockId) -> u8 {
        let index = self.ids.iter().position(|known| *known == id).expect("one of the blocks");
        u8::try_from(index).expect("few blocks")
    }
}

/// Whose vote it is.
pub fn seat(world: &World, vote: &tandem_chain::vote::Vote) -> usize {
    let is_voter = |seat: &usize| world.validator(*seat).address() == vote.validator_address;
    (0..SEATS).find(is_voter).expect("one of the seats")
}

/// A block by whose turn it is in `round`. A bad one holds a transaction that has expired.
fn block(solo: &Solo, round: u32, salt: u64, is_good: bool) -> Block {
    if is_good {
        return solo.block(round, salt);
    }
    let admin = solo.world.admin(0);
    let call = tandem_chain::modules::Call::Consortium(
        tandem_chain::modules::consortium::Call::SetAddresses { addresses: Vec::new() },
    );
    let expired = solo.world.tx(&admin, 1, 0, call);
    let author = solo.world.validator(solo.turn(round));
    solo.world.block_with(&solo.tip(), &author, at(0), &solo.certificate(), vec![expired])
}
