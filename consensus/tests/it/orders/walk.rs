//! A replica on its way through one order of events, held against the rules at each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tandem_chain::types::Round;
use tandem_chain::vote::VoteKind;
use tandem_consensus::journal::{Lock, Slot, Valid};
use tandem_consensus::message::Message;
use tandem_consensus::time::{Instant, Now};
use tandem_consensus::{Effect, Input};

use super::paper::Paper;
use super::table::{Table, seat};
use super::words::{Done, Heard, PRECOMMIT, PREVOTE, ROUNDS, SEATS, Value, text};
use crate::node::Node;
use crate::world::at;

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Heard(Heard),
    /// The ledger answers for a block.
    Answered(u8),
    /// Time passes until the replica wants to be woken.
    Time,
    /// The process dies, and a new one starts from what was durable. A death in the middle of an
    /// input's effects is this one before the input, if nothing of it was durable yet, or after it:
    /// its persists are one write, and what was sent to others is nothing to the replica.
    Crash,
}

#[derive(Clone)]
pub struct Walk {
    node: Node,
    paper: Paper,
    ms: u64,
    crashes: u8,
    /// What the last event led to.
    did: Vec<Done>,
}

impl Walk {
    /// Where every order begins: the process has started, and there is work.
    fn start(table: &Table) -> Self {
        let mut node = Node::new(&table.solo.world, table.solo.node.key);
        node.answers_checks = !table.has_slow_ledger;
        let paper = Paper::new(table.me, table.bad);
        let mut walk = Self { node, paper, ms: 0, crashes: 0, did: Vec::new() };
        walk.feed(table, Input::Start);
        walk.feed(table, Input::Work(true));
        walk
    }

    /// Time passes for timeouts alone: the wall clock, which stands in votes and blocks, stands still,
    /// so that the same vote is the same bytes in every order.
    fn now(&self) -> Now {
        Now { instant: Instant(self.ms * 1_000_000), wall: at(0).wall }
    }

    fn round(&self) -> usize {
        usize::try_from(self.node.replica.view().round.0).expect("few rounds")
    }

    fn is_over(&self) -> bool {
        self.paper.committed || self.paper.halted || self.round() >= ROUNDS
    }

    fn take(&mut self, table: &Table, event: Event, input: Option<&Input>) {
        self.did.clear();
        let input = match event {
            Event::Heard(heard) => {
                self.paper.hear(heard);
                input.cloned().expect("a message")
            }
            Event::Answered(block) => {
                let content = &table.blocks[usize::from(block)];
                let verdict = self.node.ledger.check(content);
                let (height, block) = (content.header.height, content.id());
                Input::Checked { height, block, verdict }
            }
            Event::Time => {
                let wanted = self.node.replica.next_wakeup().expect("it wants to be woken");
                assert!(wanted > self.now().instant, "a wake-up moves the next one on");
                self.ms = wanted.0.div_ceil(1_000_000);
                Input::Wakeup
            }
            Event::Crash => {
                self.crashes += 1;
                self.node.restart();
                self.paper.restart(self.ms);
                self.feed(table, Input::Start);
                Input::Work(true)
            }
        };
        self.feed(table, input);
    }

    fn feed(&mut self, table: &Table, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            if let Input::Checked { block, .. } = &input {
                self.paper.answered(table.number(*block));
            }
            let effects = self.node.handle(self.now(), input);
            self.check(table, &effects);
            if self.is_over() {
                return;
            }
            inputs.extend(effects.iter().rev().filter_map(|effect| self.node.answer(effect)));
        }
    }

    fn check(&mut self, table: &Table, effects: &[Effect]) {
        let (ms, round) = (self.ms, self.round());
        self.paper.begin(ms, round);
        for effect in effects {
            let done = self.done(table, effect);
            let is_followed = |done: &Done| done.round().is_none_or(|round| round < ROUNDS);
            let Some(done) = done.filter(is_followed) else { continue };
            self.paper.check(done, ms, round);
            self.did.push(done);
        }
        let wakeup = self.node.replica.next_wakeup().map(|at| at.0.div_ceil(1_000_000));
        self.paper.settle(ms, round, wakeup);
        if effects.iter().any(|effect| matches!(effect, Effect::Persist(_))) {
            self.check_disk(table);
        }
    }

    /// What an effect is to the rules. That own signatures are durable before they leave, and never
    /// contradict each other, is held by [`Node::handle`].
    fn done(&self, table: &Table, effect: &Effect) -> Option<Done> {
        let me = self.node.key;
        match effect {
            Effect::Broadcast(Message::Vote(vote)) => {
                assert_eq!(vote.validator_address, me.address());
                let kind = if vote.kind == VoteKind::Prevote { PREVOTE } else { PRECOMMIT };
                let value: Value = vote.block.map(|id| table.number(id));
                Some(Done::Vote { kind, round: index(vote.round), value })
            }
            Effect::Broadcast(Message::Proposal(proposal)) if proposal.proposer == me => {
                let seats = proposal.prevotes.iter().map(|vote| 1 << seat(&table.solo.world, vote));
                Some(Done::Proposal {
                    round: index(proposal.round),
                    block: table.number(proposal.block_id),
                    valid_round: proposal.valid_round.map(index),
                    carried: seats.fold(0, |all, seat| all | seat),
                })
            }
            Effect::Check { id, .. } => Some(Done::Asked(table.number(*id))),
            Effect::Commit(certified) => {
                let commit = &certified.certificate.commit;
                let signed = |seat: &usize| {
                    let address = table.solo.world.validator(*seat).address();
                    commit.signatures.iter().flatten().any(|sig| sig.address == address)
                };
                Some(Done::Commit {
                    round: index(commit.round),
                    block: table.number(commit.block?),
                    signers: (0..SEATS).filter(signed).map(|seat| 1 << seat).sum(),
                })
            }
            Effect::DoubleSign { one, .. } => Some(Done::Accused(seat(&table.solo.world, one))),
            Effect::Halt { .. } => Some(Done::Halted),
            _ => None,
        }
    }

    /// The lock is that of the last own precommit for a block, with the block and its prevotes.
    fn check_disk(&self, table: &Table) {
        let Some((round, block)) = self.paper.lock() else { return };
        if self.paper.committed {
            return;
        }
        let id = table.ids[usize::from(block)];
        let expected = Lock { round: Round(u32::try_from(round).expect("few rounds")), block: id };
        assert_eq!(self.node.journal().locked, Some(expected), "the lock is durable, and kept");
        let bytes = &self.node.disk[&Slot::Valid];
        let valid: Valid = tandem_chain::codec::decode("valid value", bytes, bytes.len())
            .expect("what was stored");
        assert!((valid.round, valid.block_id) == (expected.round, id) && valid.block.id() == id);
        let voters: BTreeSet<u16> = valid.prevotes.iter().map(|v| v.validator_index).collect();
        let are_for_it =
            valid.prevotes.iter().all(|v| (v.round, v.block) == (valid.round, Some(id)));
        assert!(voters.len() >= 3 && are_for_it, "with the prevotes for it");
    }

    /// A digest of the replica, its disk, its clock and what the rules know of it: all that what
    /// comes next depends on.
    fn digest(&self) -> u64 {
        struct Text(DefaultHasher);
        impl fmt::Write for Text {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        let mut text = Text(DefaultHasher::new());
        write!(text, "{:?}", self.node.replica).expect("nothing fails");
        let mut digest = text.0;
        self.node.disk.values().for_each(|bytes| bytes.hash(&mut digest));
        (&self.paper, self.ms, self.crashes).hash(&mut digest);
        digest.finish()
    }
}

fn index(round: Round) -> usize {
    usize::try_from(round.0).expect("few rounds")
}

/// All orders of some events.
pub struct Orders<'t> {
    table: &'t Table,
    /// Each with what it is to the replica.
    events: Vec<(Event, Option<Input>)>,
    max_crashes: u8,
    /// Events that may still follow where a state was last followed from.
    visited: BTreeMap<u64, usize>,
    path: Vec<Event>,
    pub steps: usize,
    /// Everything that the replica did in some order.
    pub seen: BTreeSet<String>,
}

impl<'t> Orders<'t> {
    pub fn new(table: &'t Table, events: &[Event], max_crashes: u8) -> Self {
        let mut orders = Self {
            table,
            events: Vec::new(),
            max_crashes,
            visited: BTreeMap::new(),
            path: Vec::new(),
            steps: 0,
            seen: BTreeSet::new(),
        };
        orders.events = events.iter().map(|event| (*event, orders.input(*event))).collect();
        orders
    }

    fn input(&self, event: Event) -> Option<Input> {
        if let Event::Heard(heard) = event { Some(self.table.input(heard)) } else { None }
    }

    /// Follows all orders of `depth` of the events behind `first`.
    pub fn explore(&mut self, first: &[Event], depth: usize) {
        let mut walk = Walk::start(self.table);
        for event in first {
            self.path.push(*event);
            let input = self.input(*event);
            self.take(&mut walk, *event, input.as_ref());
        }
        self.follow(&walk, depth);
        self.path.clear();
    }

    /// The states reached, but for those in which nothing more was to come.
    pub fn states(&self) -> usize {
        self.visited.len()
    }

    fn follow(&mut self, walk: &Walk, depth: usize) {
        if depth == 0 || walk.is_over() {
            return;
        }
        // The same state with as many events to come has been followed already.
        let followed = self.visited.entry(walk.digest()).or_default();
        if *followed >= depth {
            return;
        }
        *followed = depth;
        for i in 0..self.events.len() {
            let event = self.events[i].0;
            if !self.may_happen(walk, event) {
                continue;
            }
            let mut next = walk.clone();
            self.path.push(event);
            let input = self.events[i].1.take();
            self.take(&mut next, event, input.as_ref());
            self.events[i].1 = input;
            self.follow(&next, depth - 1);
            self.path.pop();
        }
    }

    /// Votes are counted by power, and all other seats have the same: of seats that have voted alike so
    /// far it does not matter which one votes next. It is the first of them.
    fn may_happen(&self, walk: &Walk, event: Event) -> bool {
        match event {
            Event::Heard(Heard::Vote { seat, .. }) => {
                let mut before = (0..seat).filter(|before| *before != self.table.me);
                before.all(|before| !walk.paper.is_alike(before, seat))
            }
            Event::Heard(Heard::Proposal { .. }) | Event::Time => true,
            Event::Answered(block) => walk.paper.unanswered() & (1 << block) != 0,
            Event::Crash => walk.crashes < self.max_crashes,
        }
    }

    fn take(&mut self, walk: &mut Walk, event: Event, input: Option<&Input>) {
        let _shown = Shown(&self.path);
        walk.take(self.table, event, input);
        self.steps += 1;
        for done in &walk.did {
            self.seen.insert(text(done));
        }
    }
}

/// Prints the order of events if the test panics.
struct Shown<'p>(&'p [Event]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.iter().for_each(|event| eprintln!("  {event:?}"));
        }
    }
}
