//! The votes of one height as one node knows them, with its own count of their power.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::roles::RoleTable;
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};

/// By validator index: nothing yet, or the block or nil that was voted for first.
type Choices = Vec<Option<Option<BlockId>>>;

#[derive(Clone, Debug, Default)]
struct RoundBallots {
    prevotes: Choices,
    precommits: Choices,
}

impl RoundBallots {
    fn of(&self, kind: VoteKind) -> &Choices {
        match kind {
            VoteKind::Prevote => &self.prevotes,
            VoteKind::Precommit => &self.precommits,
        }
    }
}

/// The votes of one height.
#[derive(Clone, Debug)]
pub(super) struct Ballots {
    height: Height,
    table: Arc<RoleTable>,
    total: u64,
    rounds: BTreeMap<Round, RoundBallots>,
}

impl Ballots {
    /// No votes yet.
    pub fn new(height: Height, table: &Arc<RoleTable>) -> Self {
        let total = table.validators().iter().map(|validator| validator.power.0).sum();
        Self { height, table: Arc::clone(table), total, rounds: BTreeMap::new() }
    }

    pub fn height(&self) -> Height {
        self.height
    }

    pub fn table(&self) -> &RoleTable {
        &self.table
    }

    /// Adds a vote of this height, if its voter holds the seat at its index and it is its first.
    pub fn add(&mut self, vote: &Vote) {
        let index = usize::from(vote.validator_index);
        let holder = self.table.validators().get(index);
        if holder.is_none_or(|holder| holder.address != vote.validator_address) {
            return;
        }
        let seats = self.table.validators().len();
        let round = self.rounds.entry(vote.round).or_insert_with(|| RoundBallots {
            prevotes: vec![None; seats],
            precommits: vec![None; seats],
        });
        let choices = match vote.kind {
            VoteKind::Prevote => &mut round.prevotes,
            VoteKind::Precommit => &mut round.precommits,
        };
        choices[index].get_or_insert(vote.block);
    }

    fn power(&self, voted: impl Fn(usize) -> bool) -> u64 {
        let validators = self.table.validators().iter().enumerate();
        validators.filter(|(index, _)| voted(*index)).map(|(_, v)| v.power.0).sum()
    }

    fn is_quorum(&self, power: u64) -> bool {
        3 * power > 2 * self.total
    }

    /// Whether more than 2/3 of the power has voted for this block, or for nil.
    pub fn quorum(&self, kind: VoteKind, round: Round, choice: Option<BlockId>) -> bool {
        let Some(ballots) = self.rounds.get(&round) else { return false };
        let choices = ballots.of(kind);
        self.is_quorum(self.power(|index| choices[index] == Some(choice)))
    }

    /// Whether more than 2/3 of the power has voted, for whatever.
    pub fn quorum_of_any(&self, kind: VoteKind, round: Round) -> bool {
        let Some(ballots) = self.rounds.get(&round) else { return false };
        let choices = ballots.of(kind);
        self.is_quorum(self.power(|index| choices[index].is_some()))
    }

    /// Whether more than 1/3 of the power has voted in this round or later ones.
    pub fn third_from(&self, round: Round) -> bool {
        let voted = |ballots: &RoundBallots, index: usize| {
            ballots.prevotes[index].is_some() || ballots.precommits[index].is_some()
        };
        let power = self
            .power(|index| self.rounds.range(round..).any(|(_, ballots)| voted(ballots, index)));
        3 * power > self.total
    }

    /// Whether these are prevotes of more than 2/3 of the power, for one block in one round.
    pub fn prove(&self, prevotes: &[Vote], round: Round, block: BlockId) -> bool {
        let mut proof = Self { rounds: BTreeMap::new(), ..self.clone() };
        prevotes.iter().filter(|vote| vote.height == self.height).for_each(|vote| proof.add(vote));
        proof.quorum(VoteKind::Prevote, round, Some(block))
    }
}
