//! What correct nodes have signed, by node. What one signs just before its process dies may be lost
//! with it, and signed otherwise by its next process: nobody has it. What has left, or is found on
//! the disk, stands.

use std::collections::BTreeMap;

use tandem_chain::types::BlockId;
use tandem_chain::vote::VoteKind;

/// A vote of a node's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub block: Option<BlockId>,
    /// Which process of the node signed it or found it on the disk.
    life: u64,
    /// Whether it has left.
    left: bool,
}

/// A proposal of a node's own.
#[derive(Clone, Copy, Debug)]
struct OwnProposal {
    block: BlockId,
    valid_round: Option<u32>,
    left: bool,
}

/// All that one node has signed.
#[derive(Debug, Default)]
pub(super) struct Signed {
    /// Counts the node's processes.
    life: u64,
    /// By height: few at each.
    votes: Vec<Vec<(Step, Own)>>,
    proposals: BTreeMap<(u64, u32), OwnProposal>,
}

/// Round and kind of a vote.
type Step = (u32, VoteKind);

/// What becomes of something that a node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signing {
    New,
    /// It stood already, and is sent again.
    Again,
    /// Something else stands in its place.
    Contradicts,
}

impl Signed {
    /// The node has a new process.
    pub fn started(&mut self) {
        self.life += 1;
    }

    /// A vote is found on the disk: whether the node has ever signed it.
    pub fn found(&mut self, place: (u64, u32, VoteKind), block: Option<BlockId>) -> bool {
        let life = self.life;
        let own = self.own_mut(place).filter(|own| own.block == block);
        own.map(|own| own.life = life).is_some()
    }

    fn at(&self, height: u64) -> &[(Step, Own)] {
        let index = usize::try_from(height).expect("heights of a history are few");
        self.votes.get(index).map_or(&[], Vec::as_slice)
    }

    fn own(&self, (height, round, kind): (u64, u32, VoteKind)) -> Option<&Own> {
        let mut votes = self.at(height).iter();
        votes.find(|(step, _)| *step == (round, kind)).map(|(_, own)| own)
    }

    fn own_mut(&mut self, (height, round, kind): (u64, u32, VoteKind)) -> Option<&mut Own> {
        let index = usize::try_from(height).expect("heights of a history are few");
        let mut votes = self.votes.get_mut(index)?.iter_mut();
        votes.find(|(step, _)| *step == (round, kind)).map(|(_, own)| own)
    }

    /// The node signs a vote.
    pub fn vote(&mut self, place: (u64, u32, VoteKind), block: Option<BlockId>) -> Signing {
        let life = self.life;
        let new = Own { block, life, left: false };
        match self.own_mut(place) {
            Some(own) if own.stands(life) && own.block == block => return Signing::Again,
            Some(own) if own.stands(life) => return Signing::Contradicts,
            Some(own) => *own = new,
            None => {
                let (height, round, kind) = place;
                let index = usize::try_from(height).expect("heights of a history are few");
                if self.votes.len() <= index {
                    self.votes.resize(index + 1, Vec::new());
                }
                self.votes[index].push(((round, kind), new));
            }
        }
        Signing::New
    }

    /// The node signs a proposal.
    pub fn proposal(
        &mut self,
        place: (u64, u32),
        block: BlockId,
        valid_round: Option<u32>,
    ) -> Signing {
        match self.proposals.get(&place) {
            Some(own) if (own.block, own.valid_round) == (block, valid_round) => {
                return Signing::Again;
            }
            Some(own) if own.left => return Signing::Contradicts,
            _ => {}
        }
        self.proposals.insert(place, OwnProposal { block, valid_round, left: false });
        Signing::New
    }

    /// A vote leaves the node.
    pub fn vote_left(&mut self, place: (u64, u32, VoteKind)) {
        if let Some(own) = self.own_mut(place) {
            own.left = true;
        }
    }

    /// A proposal leaves the node.
    pub fn proposal_left(&mut self, place: (u64, u32)) {
        if let Some(own) = self.proposals.get_mut(&place) {
            own.left = true;
        }
    }

    /// Whether this vote of the node has left it.
    pub fn has_sent(&self, place: (u64, u32, VoteKind), block: Option<BlockId>) -> bool {
        self.own(place).is_some_and(|own| own.left && own.block == block)
    }

    /// Whether this proposal of the node has left it.
    pub fn has_proposed(&self, place: (u64, u32), block: BlockId) -> bool {
        self.proposals.get(&place).is_some_and(|own| own.left && own.block == block)
    }

    /// Whether a vote of the node stands at this place.
    pub fn has_voted(&self, place: (u64, u32, VoteKind)) -> bool {
        self.own(place).is_some_and(|own| own.stands(self.life))
    }

    /// The highest round of a height in which something that it signed has left it.
    pub fn last_round(&self, height: u64) -> u32 {
        let left = self.at(height).iter().filter(|(_, own)| own.left);
        let voted = left.map(|((round, _), _)| *round);
        let proposals = self.proposals.range((height, 0)..(height + 1, 0));
        let proposed = proposals.filter(|(_, own)| own.left).map(|((_, round), _)| *round);
        voted.chain(proposed).max().unwrap_or(0)
    }

    /// The lock: round and block of the newest precommit for a block that stands at a height.
    pub fn lock(&self, height: u64) -> Option<(u32, BlockId)> {
        let precommits = self
            .at(height)
            .iter()
            .filter(|((_, kind), own)| *kind == VoteKind::Precommit && own.stands(self.life));
        let locks = precommits.filter_map(|((round, _), own)| Some((*round, own.block?)));
        locks.max_by_key(|(round, _)| *round)
    }
}

impl Own {
    fn stands(&self, life: u64) -> bool {
        self.left || self.life == life
    }
}
