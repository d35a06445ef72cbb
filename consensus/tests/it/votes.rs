//! The votes of a height: which count, for how much, and how many are kept.

use std::sync::Arc;

use tandem_chain::keys::Strict;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Hash, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::limits::{KEPT_ROUNDS, MAX_VOTES_PER_VALIDATOR};
use tandem_consensus::verify::Fault;
use tandem_consensus::votes::{Added, HeightVotes};

use crate::solo::{Precommit, Prevote};
use crate::world::{World, chain_id};

const A: Option<BlockId> = Some(Hash([0xa; 32]));
const B: Option<BlockId> = Some(Hash([0xb; 32]));

struct Fixture {
    world: World,
    tip: Arc<Tip>,
    votes: HeightVotes,
}

impl Fixture {
    fn new(powers: &[u64]) -> Self {
        let world = World::new(powers);
        let tip = Arc::clone(world.ledger().tip());
        let table = Arc::clone(&tip.next_table);
        let votes = HeightVotes::new(Height(1), table, tip.register.nodes.len());
        Self { world, tip, votes }
    }

    fn vote(&self, org: usize, kind: VoteKind, round: u32, block: Option<BlockId>) -> Vote {
        self.world.vote(&self.tip, &self.world.validator(org), kind, round, block)
    }

    fn add(&mut self, org: usize, kind: VoteKind, round: u32, block: Option<BlockId>) -> Added {
        self.add_at(org, kind, round, block, 0)
    }

    fn add_at(
        &mut self,
        org: usize,
        kind: VoteKind,
        round: u32,
        block: Option<BlockId>,
        current: u32,
    ) -> Added {
        let vote = self.vote(org, kind, round, block);
        self.votes.add(&vote, Round(current)).expect("a holder's vote")
    }

    fn has(&self, org: usize, kind: VoteKind, round: u32) -> bool {
        let index = self.vote(org, kind, round, None).validator_index;
        self.votes.vote_of(kind, Round(round), index).is_some()
    }
}

#[test]
fn a_vote_by_another_than_the_holder_at_its_index_is_refused() {
    let mut fixture = Fixture::new(&[1; 4]);
    let good = fixture.vote(0, Prevote, 0, A);
    let standby = fixture.world.standby(0);
    let of_standby = fixture.world.vote(&fixture.tip, &standby, Prevote, 0, A);
    let bad = [
        ("index out of range", Vote { validator_index: 4, ..good.clone() }),
        ("largest index", Vote { validator_index: u16::MAX, ..good.clone() }),
        ("another's index", Vote { validator_index: good.validator_index ^ 1, ..good.clone() }),
        ("the standby's", Vote { validator_index: good.validator_index, ..of_standby }),
    ];
    for (name, vote) in bad {
        let added = fixture.votes.add(&vote, Round::ZERO);
        assert!(matches!(added, Err(Fault::NotHolder { .. })), "{name}");
    }
    assert_eq!(fixture.votes.add(&good, Round::ZERO), Ok(Added::New));
}

#[test]
fn an_observation_with_too_few_or_too_many_bits_is_refused() {
    let mut fixture = Fixture::new(&[1; 4]);
    let key = fixture.world.validator(0);
    for (bits, good) in [(7, false), (9, false), (0, false), (8, true)] {
        let seen = vec![true; bits];
        let vote = fixture.world.vote_seeing(&fixture.tip, &key, Precommit, 0, A, &seen);
        assert_eq!(fixture.votes.add(&vote, Round::ZERO).is_ok(), good, "{bits} bits");
    }
}

#[test]
fn of_votes_that_contradict_each_other_the_first_counts() {
    let mut fixture = Fixture::new(&[1; 4]);
    assert_eq!(fixture.add(0, Prevote, 0, A), Added::New);
    assert_eq!(fixture.add(0, Prevote, 0, A), Added::Ignored);
    let first = fixture.vote(0, Prevote, 0, A);
    assert_eq!(fixture.add(0, Prevote, 0, B), Added::Conflict(Box::new(first.clone())));
    assert_eq!(fixture.add(0, Prevote, 0, None), Added::Conflict(Box::new(first)));
    for (kind, round) in [(Precommit, 0), (Prevote, 1)] {
        assert_eq!(fixture.add(0, kind, round, B), Added::New, "another step is no conflict");
    }
    fixture.add(1, Prevote, 0, B);
    fixture.add(2, Prevote, 0, B);
    assert!(!fixture.votes.quorum_for(Prevote, Round(0), B));
}

#[test]
fn more_than_two_thirds_is_a_quorum_and_exactly_two_thirds_is_not() {
    // Total 9: two thirds are 6.
    let mut fixture = Fixture::new(&[3, 2, 2, 2]);
    for org in 1..4 {
        fixture.add(org, Precommit, 0, A);
    }
    assert!(!fixture.votes.quorum_for(Precommit, Round(0), A));
    assert!(!fixture.votes.quorum_of_any(Precommit, Round(0)));
    assert_eq!(fixture.votes.decided(), None);
    fixture.add(0, Precommit, 0, None);
    assert!(fixture.votes.quorum_of_any(Precommit, Round(0)));
    assert_eq!(fixture.votes.quorum_block(Precommit, Round(0)), None);

    let mut fixture = Fixture::new(&[3, 2, 2, 2]);
    for org in 0..3 {
        fixture.add(org, Precommit, 3, A);
    }
    assert_eq!(fixture.votes.quorum_block(Precommit, Round(3)), A);
    assert_eq!(fixture.votes.decided(), A.map(|block| (Round(3), block)));
}

#[test]
fn more_than_one_third_ahead_is_joined_and_exactly_one_third_is_not() {
    // Total 9: one third is 3.
    let mut fixture = Fixture::new(&[3, 2, 2, 2]);
    fixture.add(0, Prevote, 9, None);
    assert_eq!(fixture.votes.round_to_join(Round(0)), None);
    fixture.add(1, Precommit, 6, None);
    assert_eq!(fixture.votes.round_to_join(Round(0)), Some(Round(6)), "both are at 6 or above");
    assert_eq!(fixture.votes.round_to_join(Round(5)), Some(Round(6)));
    assert_eq!(fixture.votes.round_to_join(Round(6)), None);

    let mut fixture = Fixture::new(&[3, 2, 2, 2]);
    fixture.add(1, Prevote, 2, None);
    fixture.add(1, Precommit, 2, None);
    assert_eq!(fixture.votes.round_to_join(Round(0)), None, "one voter counts once");
    fixture.add(2, Prevote, 2, None);
    assert_eq!(fixture.votes.round_to_join(Round(0)), Some(Round(2)));
}

#[test]
fn of_rounds_ahead_a_voters_two_highest_are_kept() {
    let mut fixture = Fixture::new(&[1; 4]);
    for round in [4, 2, 7] {
        assert_eq!(fixture.add_at(0, Prevote, round, None, 1), Added::New);
    }
    let kept: Vec<u32> = (0..9).filter(|round| fixture.has(0, Prevote, *round)).collect();
    assert_eq!(kept, [4, 7]);
    assert_eq!(fixture.add_at(0, Prevote, 3, None, 1), Added::Ignored);
    assert_eq!(fixture.add_at(0, Precommit, 7, None, 1), Added::New);
    assert_eq!(fixture.add_at(0, Prevote, 1, None, 1), Added::New, "the current one is not ahead");
    // Another voter has its own two.
    assert_eq!(fixture.add_at(1, Prevote, 3, None, 1), Added::New);
}

#[test]
fn old_votes_for_nil_are_forgotten_and_those_for_a_block_are_kept() {
    let mut fixture = Fixture::new(&[1; 4]);
    let current = KEPT_ROUNDS + 2;
    for round in 0..current {
        fixture.add_at(0, Prevote, round, None, current);
        fixture.add_at(0, Precommit, round, A, current);
    }
    assert!(!fixture.has(0, Prevote, 1), "too old to be kept at all");
    assert!(fixture.has(0, Prevote, 2));
    fixture.votes.prune(Round(current + 1));
    assert!(!fixture.has(0, Prevote, 2));
    assert!(fixture.has(0, Prevote, 3));
    assert!((0..current).all(|round| fixture.has(0, Precommit, round)));
}

#[test]
fn nothing_is_left_of_a_round_whose_votes_are_all_forgotten() {
    let mut fixture = Fixture::new(&[1; 4]);
    let empty = format!("{:?}", fixture.votes);
    fixture.add_at(0, Prevote, 1, None, 1);
    fixture.votes.prune(Round(1 + KEPT_ROUNDS));
    assert_ne!(format!("{:?}", fixture.votes), empty);
    fixture.votes.prune(Round(2 + KEPT_ROUNDS));
    assert_eq!(format!("{:?}", fixture.votes), empty);

    // And of a round ahead that its one voter has moved on from.
    let ahead = |rounds: &[u32]| {
        let mut fixture = Fixture::new(&[1; 4]);
        for round in rounds {
            fixture.add(0, Precommit, *round, None);
        }
        format!("{:?}", fixture.votes)
    };
    assert_eq!(ahead(&[1, 2, 3]), ahead(&[2, 3]));
    // What another voter has there stays.
    let mut fixture = Fixture::new(&[1; 4]);
    fixture.add(1, Precommit, 1, None);
    for round in [1, 2, 3] {
        fixture.add(0, Prevote, round, None);
    }
    assert!(fixture.has(1, Precommit, 1) && !fixture.has(0, Prevote, 1));
}

#[test]
fn one_voter_fills_no_more_than_its_share() {
    let mut fixture = Fixture::new(&[1; 4]);
    let (mut vote, current) = (fixture.vote(0, Prevote, 0, A), Round(100_000));
    let mut kept = 0;
    for round in 0..MAX_VOTES_PER_VALIDATOR + 10 {
        vote.round = Round(u32::try_from(round).expect("few rounds"));
        kept += usize::from(fixture.votes.add(&vote, current) == Ok(Added::New));
    }
    assert_eq!(kept, MAX_VOTES_PER_VALIDATOR);
    assert_eq!(fixture.add_at(1, Prevote, 9, A, current.0), Added::New);
}

#[test]
fn a_certificate_holds_the_precommits_for_the_block_at_their_places() {
    let mut fixture = Fixture::new(&[1; 4]);
    for (org, kind, round, block) in [
        (0, Precommit, 1, A),
        (1, Precommit, 1, A),
        (2, Precommit, 1, B),
        (3, Precommit, 1, A),
        (3, Prevote, 1, A),
        (2, Precommit, 0, A),
    ] {
        fixture.add_at(org, kind, round, block, 1);
    }
    let certificate = fixture.votes.certificate(Round(1), A.expect("a block"));
    let table = &fixture.tip.next_table;
    certificate.check_power(table).expect("three of four");
    certificate.check_signatures(&Strict, &chain_id(), table).expect("their signatures");
    let absent = usize::from(fixture.vote(2, Precommit, 1, A).validator_index);
    assert!(certificate.commit.signatures[absent].is_none());
    assert_eq!(certificate.commit.signatures.iter().flatten().count(), 3);
    assert_eq!(certificate.observations.iter().flatten().count(), 3);
}

#[test]
fn a_quorum_of_given_votes_counts_each_holder_once() {
    let fixture = Fixture::new(&[1; 4]);
    let votes = fixture.world.prevotes(&fixture.tip, &[0, 1, 2], 0, A.expect("a block"));
    assert!(fixture.votes.is_quorum_of(&votes));
    assert!(!fixture.votes.is_quorum_of(&votes[..2]));
    assert!(!fixture.votes.is_quorum_of(&[votes[0].clone(), votes[1].clone(), votes[1].clone()]));
    let mut foreign = votes;
    foreign[2].validator_index = 9;
    assert!(!fixture.votes.is_quorum_of(&foreign));
    assert!(!fixture.votes.is_quorum_of(&[]));
}
