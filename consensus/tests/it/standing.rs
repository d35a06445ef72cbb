//! What a replica shows of the rounds of its height.

use tandem_chain::types::{BlockId, Height, Round};
use tandem_consensus::{Ballot, RoundStanding, Step};

use crate::solo::{Precommit, Prevote, Solo};

/// The block that a seat's vote is for; none for nil.
fn voted(ballots: &[Option<Ballot>], index: usize) -> Option<BlockId> {
    ballots[index].as_ref().expect("a vote has come").block
}

fn count(ballots: &[Option<Ballot>]) -> usize {
    ballots.iter().flatten().count()
}

#[test]
fn votes_lock_and_valid_value_are_shown_and_gone_with_their_height() {
    let mut solo = Solo::new(0);
    let standing = solo.node.replica.standing();
    assert_eq!(
        (standing.height, standing.round, standing.step),
        (Height(1), Round(0), Step::Propose)
    );
    assert_eq!(standing.proposer, solo.world.validator(solo.turn(0)));
    assert_eq!((standing.proposed, standing.locked, standing.valid), (None, None, None));
    assert_eq!(standing.rounds, []);

    let block = solo.block(0, 0);
    let id = Some(block.id());
    solo.propose(0, &block, None);
    solo.vote(1, Prevote, 0, None);
    let standing = solo.node.replica.standing();
    assert_eq!((standing.step, standing.proposed, standing.locked), (Step::Prevote, id, None));
    let [round] = &standing.rounds[..] else { panic!("one round: {standing:?}") };
    let RoundStanding { prevotes, precommits, .. } = round;
    assert_eq!((prevotes.len(), count(prevotes), count(precommits)), (4, 2, 0));
    let index = |org: usize| {
        let key = solo.world.validator(org);
        standing.table.by_key(&key).expect("a seat").0
    };
    assert_eq!(voted(prevotes, index(0)), id, "its own");
    assert_eq!(voted(prevotes, index(1)), None);

    solo.votes(&[2, 3], Prevote, 0, id);
    let standing = solo.node.replica.standing();
    assert_eq!((standing.step, standing.locked, standing.valid), (Step::Precommit, id, id));
    assert_eq!(count(&standing.rounds[0].precommits), 1);
    solo.votes(&[1, 2], Precommit, 0, id);
    assert_eq!(solo.tip().height, Height(1));
    let standing = solo.node.replica.standing();
    assert_eq!((standing.height, standing.proposed), (Height(2), None));
    assert_eq!((standing.locked, standing.valid), (None, None));
}

#[test]
fn the_last_four_rounds_are_shown() {
    let mut solo = Solo::new(0);
    for _ in 0..6 {
        solo.next_round();
    }
    let standing = solo.node.replica.standing();
    let rounds: Vec<u32> = standing.rounds.iter().map(|round| round.round.0).collect();
    assert_eq!(rounds.len(), 4);
    assert!(rounds.is_sorted() && rounds[3] >= 5, "{rounds:?}");
}
