//! What the rules of a height allow and demand (arXiv 1807.04938, algorithm 1, with this chain's
//! own: rounds that end for nil, and no round left without votes in it), on seats, rounds and block
//! numbers alone. It keeps what was heard and cast and asks of each signature what licensed it; it
//! never works out what the replica will do next.

use super::words::{Done, Heard, PRECOMMIT, PREVOTE, ROUNDS, SEATS, Value};

const QUORUM: usize = 3;
const MORE_THAN_A_THIRD: usize = 2;

/// Lengths of the timeouts in milliseconds.
fn propose_timeout(round: usize) -> u64 {
    500 + 200 * round as u64
}

fn vote_timeout(round: usize) -> u64 {
    200 + 200 * round as u64
}

/// Blocks as a set of bits.
fn bit(block: u8) -> u8 {
    1 << block
}

/// The same with nil as bit 7.
fn value_bit(value: Value) -> u8 {
    value.map_or(1 << 7, bit)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paper {
    me: usize,
    /// Blocks that the ledger refuses.
    bad: u8,
    /// In all lives: what each seat voted for, by round, kind and seat, as bits.
    ever: [[[u8; SEATS]; 2]; ROUNDS],
    /// In all lives: own votes, by round and kind.
    cast: [[Option<Value>; 2]; ROUNDS],
    /// In all lives: own proposals.
    proposed: [Option<(u8, Option<usize>)>; ROUNDS],
    /// In this life: the first vote of each seat.
    heard: [[[Option<Value>; SEATS]; 2]; ROUNDS],
    /// In this life: the first proposal of each round that carries the quorum of prevotes for its valid
    /// round, if it names one.
    offer: [Option<(u8, Option<usize>)>; ROUNDS],
    /// In this life: blocks that the ledger was asked about, and those that it has answered for.
    asked: u8,
    judged: u8,
    /// In this life: seats that were accused, and those that must be.
    accused: u8,
    contradicted: u8,
    round: usize,
    /// When the round began, and when more than 2/3 had voted in each step of it.
    began: u64,
    voted: [Option<u64>; 2],
    /// Where the round that the input ends in may be entered.
    may_go: bool,
    pub committed: bool,
    pub halted: bool,
}

impl Paper {
    pub fn new(me: usize, bad: u8) -> Self {
        Self {
            me,
            bad,
            ever: Default::default(),
            cast: Default::default(),
            proposed: Default::default(),
            heard: Default::default(),
            offer: Default::default(),
            asked: 0,
            judged: 0,
            accused: 0,
            contradicted: 0,
            round: 0,
            began: 0,
            voted: [None; 2],
            may_go: false,
            committed: false,
            halted: false,
        }
    }

    /// The own lock, from the last own precommit for a block.
    pub fn lock(&self) -> Option<(usize, u8)> {
        let mut rounds = self.cast.iter().enumerate().rev();
        rounds.find_map(|(round, cast)| cast[PRECOMMIT].flatten().map(|block| (round, block)))
    }

    /// Something came.
    pub fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Vote { seat, kind, round, value } => self.hear_vote(seat, kind, round, value),
            Heard::Proposal { round, block, valid_round, carried } => {
                // Line 28. What is refused counts for nothing, nor do the prevotes in it.
                let is_proven = valid_round.is_none() || carried >= QUORUM;
                if !is_proven || self.offer[round].is_some() {
                    return;
                }
                let me = self.me;
                let voters = (0..SEATS).filter(|seat| *seat != me).take(carried);
                if let Some(valid_round) = valid_round {
                    voters.for_each(|seat| self.hear_vote(seat, PREVOTE, valid_round, Some(block)));
                }
                self.offer[round] = Some((block, valid_round));
            }
        }
    }

    fn hear_vote(&mut self, seat: usize, kind: usize, round: usize, value: Value) {
        self.ever[round][kind][seat] |= value_bit(value);
        let first = *self.heard[round][kind][seat].get_or_insert(value);
        if first != value {
            self.contradicted |= 1 << seat;
        }
    }

    /// The process has ended, and a new one begun in the round of the last signature, with its own
    /// votes and nothing else.
    pub fn restart(&mut self, now: u64) {
        self.heard = Default::default();
        self.offer = Default::default();
        (self.asked, self.judged, self.accused, self.contradicted) = (0, 0, 0, 0);
        self.voted = [None; 2];
        self.began = now;
        self.round = 0;
        for round in 0..ROUNDS {
            for kind in [PREVOTE, PRECOMMIT] {
                self.heard[round][kind][self.me] = self.cast[round][kind];
            }
            if self.cast[round][PREVOTE].is_some() || self.proposed[round].is_some() {
                self.round = round;
            }
        }
        // The last own proposal is kept for its round.
        self.offer[self.round] = self.proposed[self.round];
    }

    /// The ledger has answered.
    pub fn answered(&mut self, block: u8) {
        self.judged |= bit(block);
    }

    /// Blocks that the ledger was asked about and has not answered for.
    pub fn unanswered(&self) -> u8 {
        self.asked & !self.judged
    }

    /// Whether two seats have voted alike, in all lives and in this one.
    pub fn is_alike(&self, one: usize, other: usize) -> bool {
        let ever = self.ever.iter().flatten().all(|seats| seats[one] == seats[other]);
        let heard = self.heard.iter().flatten().all(|seats| seats[one] == seats[other]);
        let bits = [self.accused, self.contradicted];
        ever && heard && bits.iter().all(|bits| bits >> one & 1 == bits >> other & 1)
    }

    fn seats(&self, round: usize, kind: usize, of: impl Fn(Value) -> bool) -> usize {
        self.heard[round][kind].iter().flatten().filter(|value| of(**value)).count()
    }

    fn has_quorum(&self, round: usize, kind: usize, value: Value) -> bool {
        self.seats(round, kind, |v| v == value) >= QUORUM
    }

    /// Seats that voted for this, whatever else they voted for.
    fn ever(&self, round: usize, kind: usize, value: Value) -> u8 {
        let seats = self.ever[round][kind].iter().enumerate();
        seats.filter(|(_, values)| **values & value_bit(value) != 0).map(|(i, _)| 1 << i).sum()
    }

    fn had_quorum(&self, round: usize, kind: usize, value: Value) -> bool {
        self.ever(round, kind, value).count_ones() as usize >= QUORUM
    }

    fn is_valid(&self, block: u8) -> bool {
        self.judged & !self.bad & bit(block) != 0
    }

    /// Line 55.
    fn may_join(&self, round: usize) -> bool {
        let later = |seat: &usize| {
            self.heard[round..].iter().any(|r| r.iter().any(|kind| kind[*seat].is_some()))
        };
        (0..SEATS).filter(later).count() >= MORE_THAN_A_THIRD
    }

    fn is_ripe(&self, kind: usize, now: u64) -> bool {
        self.voted[kind].is_some_and(|since| now >= since + vote_timeout(self.round))
    }

    /// Whether the rules lead to `round` from the current one.
    fn may_enter(&self, round: usize, now: u64) -> bool {
        let mut at = self.round;
        while at < round {
            if self.may_join(round) {
                return true;
            }
            let is_over = self.has_quorum(at, PRECOMMIT, None)
                || (at == self.round && self.is_ripe(PRECOMMIT, now));
            if !is_over {
                return false;
            }
            at += 1;
        }
        true
    }

    /// Before what was done is looked at: the input ends in this round.
    pub fn begin(&mut self, now: u64, end: usize) {
        assert!(end >= self.round, "a round is never gone back to");
        self.may_go = self.may_enter(end, now);
    }

    /// The replica did this, while handling an input that ends in round `end`.
    pub fn check(&mut self, done: Done, now: u64, end: usize) {
        match done {
            Done::Vote { kind, round, value } => {
                if let Some(earlier) = self.cast[round][kind] {
                    assert_eq!(earlier, value, "one vote a round and step");
                    return;
                }
                self.check_place(round, kind);
                let licensed = match kind {
                    PREVOTE => self.may_prevote(round, value, now),
                    _ => self.may_precommit(round, value, now),
                };
                // Or nil, in a round that is left without a vote.
                let passing = value.is_none() && round < end && self.may_go;
                assert!(licensed || passing, "{done:?} has no licence");
                self.cast[round][kind] = Some(value);
                self.ever[round][kind][self.me] |= value_bit(value);
                self.heard[round][kind][self.me] = Some(value);
                if licensed {
                    self.may_go |= self.may_enter(end, now);
                }
            }
            Done::Proposal { round, block, valid_round, carried } => {
                if let Some(earlier) = self.proposed[round] {
                    assert_eq!(earlier, (block, valid_round), "one proposal a round");
                    return;
                }
                self.check_place(round, PREVOTE);
                let lock = self.lock();
                if let Some(valid_round) = valid_round {
                    assert!(
                        valid_round < round && self.had_quorum(valid_round, PREVOTE, Some(block))
                    );
                    let voters = self.ever(valid_round, PREVOTE, Some(block));
                    assert_eq!(carried & !voters, 0, "prevotes that nobody cast");
                    assert!(carried.count_ones() as usize >= QUORUM, "it carries a quorum");
                    assert!(lock.is_none_or(|(locked, _)| locked <= valid_round), "line 16");
                } else {
                    assert_eq!(lock, None, "line 16: what is locked is proposed again");
                }
                self.proposed[round] = Some((block, valid_round));
                self.offer[round].get_or_insert((block, valid_round));
                self.asked |= bit(block);
                self.judged |= bit(block);
            }
            Done::Asked(block) => self.asked |= bit(block),
            Done::Commit { round, block, signers } => {
                let voters = self.ever(round, PRECOMMIT, Some(block));
                assert_eq!(signers & !voters, 0, "precommits that nobody cast");
                assert!(signers.count_ones() as usize >= QUORUM, "line 49");
                assert!(self.is_valid(block), "what is decided is valid");
                self.committed = true;
            }
            Done::Accused(seat) => {
                let voted = self.ever.iter().flatten().map(|kind| kind[seat]);
                assert!(voted.into_iter().any(|values| values.count_ones() > 1), "it is innocent");
                assert_eq!(self.accused & (1 << seat), 0, "once a height");
                self.accused |= 1 << seat;
            }
            Done::Halted => {
                let certified = |block: u8| {
                    (0..ROUNDS).any(|round| self.had_quorum(round, PRECOMMIT, Some(block)))
                };
                let is_wrong = (0..7).any(|block| self.bad & bit(block) != 0 && certified(block));
                assert!(is_wrong, "nothing invalid is certified");
                self.halted = true;
            }
        }
    }

    /// Signatures are made in order: nothing was signed at this place or after it.
    fn check_place(&self, round: usize, kind: usize) {
        let later = self.cast[round + 1..].iter().any(|cast| cast.iter().any(Option::is_some));
        let after = self.cast[round][kind..].iter().any(Option::is_some);
        assert!(!later && !after, "a signature in round {round} comes late");
    }

    /// Lines 22, 28 and 57.
    fn may_prevote(&self, round: usize, value: Value, now: u64) -> bool {
        let Some((block, valid_round)) = self.offer[round] else {
            return value.is_none()
                && round == self.round
                && now >= self.began + propose_timeout(round);
        };
        let lock = self.lock();
        let is_free = match valid_round {
            None => lock.is_none_or(|(_, locked)| locked == block),
            Some(valid_round) => lock.is_none_or(|(locked_round, locked)| {
                locked_round <= valid_round || locked == block
            }),
        };
        let is_good = is_free && self.is_valid(block);
        if let Some(value) = value {
            return value == block && is_good;
        }
        let is_judged = self.judged & bit(block) != 0;
        let is_late = round == self.round && now >= self.began + propose_timeout(round);
        (is_judged && !is_good) || is_late
    }

    /// Lines 36, 44 and 61.
    fn may_precommit(&self, round: usize, value: Value, now: u64) -> bool {
        let has_prevoted = self.cast[round][PREVOTE].is_some();
        let is_late = value.is_none() && round == self.round && self.is_ripe(PREVOTE, now);
        let is_good = value.is_none_or(|block| self.is_valid(block));
        has_prevoted && ((is_good && self.had_quorum(round, PREVOTE, value)) || is_late)
    }

    /// The input has been handled, and the replica is in this round: nothing that a rule demands is
    /// left undone, and it wants to be woken when a timeout ends. In a round that is not looked at any
    /// more, that it was entered by a rule is all that is held.
    pub fn settle(&mut self, now: u64, round: usize, wakeup: Option<u64>) {
        if self.committed || self.halted {
            return;
        }
        if round != self.round {
            assert!(self.may_go, "round {round} has no licence");
            (self.round, self.began, self.voted) = (round, now, [None; 2]);
        }
        assert_eq!(self.accused & self.contradicted, self.contradicted, "two votes are evidence");
        for r in 0..ROUNDS {
            for block in (0..7).filter(|block| self.has_quorum(r, PRECOMMIT, Some(*block))) {
                let is_here = self.offer.iter().flatten().any(|(offered, _)| *offered == block);
                assert!(!is_here || self.asked & bit(block) != 0, "line 49: it asks the ledger");
                assert_eq!(self.judged & bit(block), 0, "line 49: block {block} is decided");
            }
        }
        if round >= ROUNDS {
            return;
        }
        assert!(!(round + 1..ROUNDS).any(|later| self.may_join(later)), "line 55");
        assert!(!self.has_quorum(round, PRECOMMIT, None), "a round for nil is left");
        let [prevoted, precommitted] = self.cast[round].map(|vote| vote.is_some());
        if let Some((block, _)) = self.offer[round]
            && !prevoted
        {
            assert_ne!(self.asked & bit(block), 0, "the round's block is checked");
            assert_eq!(self.judged & bit(block), 0, "lines 22 and 28: it prevotes");
        }
        if prevoted && !precommitted {
            assert!(!self.has_quorum(round, PREVOTE, None), "line 44");
            let valid = (0..7).filter(|block| self.is_valid(*block));
            for block in valid {
                assert!(!self.has_quorum(round, PREVOTE, Some(block)), "line 36");
            }
        }
        for (kind, step) in [(PREVOTE, prevoted), (PRECOMMIT, true)] {
            if step && self.seats(round, kind, |_| true) >= QUORUM {
                self.voted[kind].get_or_insert(now);
            }
        }
        let deadlines = [
            (!prevoted).then(|| self.began + propose_timeout(round)),
            self.voted[PREVOTE].filter(|_| !precommitted).map(|at| at + vote_timeout(round)),
            self.voted[PRECOMMIT].map(|at| at + vote_timeout(round)),
        ];
        for deadline in deadlines.into_iter().flatten() {
            assert!(now < deadline, "lines 57, 61, 65: a timeout has ended");
            assert!(wakeup.is_some_and(|at| at <= deadline), "it wants to be woken then");
        }
    }
}
