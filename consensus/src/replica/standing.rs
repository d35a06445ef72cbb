//! What a replica shows of the rounds of its height, for those who watch.

use std::sync::Arc;

use tandem_chain::keys::{PublicKey, Signature};
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{BlockId, Height, Round, Timestamp};
use tandem_chain::vote::VoteKind;

use super::{Replica, Step};

/// Rounds that are shown, the newest of those with votes.
const SHOWN_ROUNDS: usize = 4;

/// Where a height stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The height.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// The step of the round.
    pub step: Step,
    /// Whose turn it is to propose.
    pub proposer: PublicKey,
    /// The block that is proposed in the round.
    pub proposed: Option<BlockId>,
    /// The block that this replica is locked on.
    pub locked: Option<BlockId>,
    /// The valid value.
    pub valid: Option<BlockId>,
    /// Who may vote.
    pub table: Arc<RoleTable>,
    /// The last rounds that have votes, the newest at the end.
    pub rounds: Vec<RoundStanding>,
}

/// The votes of a round, by index in [`RoleTable::validators`]; none where none has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundStanding {
    /// The round.
    pub round: Round,
    /// First votes.
    pub prevotes: Vec<Option<Ballot>>,
    /// Second votes.
    pub precommits: Vec<Option<Ballot>>,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The block, or nil.
    pub block: Option<BlockId>,
    /// The voter's clock.
    pub timestamp: Timestamp,
    /// The voter's signature.
    pub signature: Signature,
}

impl Replica {
    /// Where the height stands that it works on. It copies all votes of the last rounds: it is for now
    /// and then.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = &self.state;
        let table = Arc::clone(state.votes.table());
        let ballots = |kind, round| -> Vec<Option<Ballot>> {
            let ballot = |index: usize| {
                let index = u16::try_from(index).ok()?;
                let vote = state.votes.vote_of(kind, round, index)?;
                let (block, timestamp, signature) = (vote.block, vote.timestamp, vote.signature);
                Some(Ballot { block, timestamp, signature })
            };
            (0..table.validators().len()).map(ballot).collect()
        };
        let mut rounds: Vec<RoundStanding> = state
            .votes
            .rounds()
            .rev()
            .take(SHOWN_ROUNDS)
            .map(|round| RoundStanding {
                round,
                prevotes: ballots(VoteKind::Prevote, round),
                precommits: ballots(VoteKind::Precommit, round),
            })
            .collect();
        rounds.reverse();
        let is_of_height = self.journal.height == state.height;
        let locked = self.journal.locked.filter(|_| is_of_height).map(|lock| lock.block);
        let valid = self.valid.as_ref().filter(|valid| valid.height == state.height);
        Standing {
            height: state.height,
            round: state.round,
            step: state.step,
            proposer: self.proposer_of(state.round),
            proposed: state.proposals.get(&state.round).map(|proposed| proposed.block),
            locked,
            valid: valid.map(|valid| valid.block_id),
            table,
            rounds,
        }
    }
}
