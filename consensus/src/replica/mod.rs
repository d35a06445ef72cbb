//! The replica: one entry, one deadline.

mod commit;
mod debug;
mod height;
mod peers;
mod rounds;
mod signing;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::block::{Block, Certificate};
use tandem_chain::keys::{PublicKey, Signer};
use tandem_chain::tip::Tip;
use tandem_chain::types::{Address, BlockId, Height, OrgName, Round};
use tandem_chain::vote::Vote;

pub use self::height::Step;
use self::height::{Candidate, HeightState};
pub use self::standing::{Ballot, RoundStanding, Standing};
use crate::catchup::CatchUp;
use crate::effect::{Effect, Role};
use crate::input::Input;
use crate::journal::{Durable, Journal, Slot, Valid};
use crate::liveness::Shown;
use crate::lost::Recovery;
use crate::message::{Message, Proposal};
use crate::time::{Instant, Now};
use crate::validate::Fixed;
use crate::verify::Fault;
use crate::votes::HeightVotes;

/// Everything that a replica starts from.
pub struct Setup {
    /// Makes this node's signatures.
    pub signer: Arc<dyn Signer>,
    /// The state after the newest stored block.
    pub tip: Arc<Tip>,
    /// That block's certificate; the default one at genesis.
    pub certificate: Certificate,
    /// What was durable when the process ended.
    pub durable: Durable,
}

/// Messages for the next height, kept until it begins.
#[derive(Clone, Debug, Default)]
struct Early {
    /// By voter, each with the peer that it came from.
    votes: BTreeMap<Address, Vec<(PublicKey, Vote)>>,
    /// By proposer, with the peer that it came from.
    proposals: BTreeMap<PublicKey, (PublicKey, Proposal)>,
}

/// Whether this node owes the others a follow message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwedFollow {
    /// It does not.
    No,
    /// It does, as soon as the pause between two is over.
    Yes,
    /// It does, when it is no longer far behind, or was for a grace. Since when it is.
    Held(Instant),
}

/// A follow message that has gone out.
#[derive(Clone, Copy, Debug)]
struct Followed {
    at: Instant,
    /// Whether the block that it named was old: see [`crate::limits::FOLLOW_BEHIND`].
    was_old: bool,
    /// When the last one went out without a pause, since the one before was of an old block.
    hurried: Option<Instant>,
}

/// One node's part in consensus, as a pure state machine. See the crate's front page.
#[derive(Clone)]
pub struct Replica {
    signer: Arc<dyn Signer>,
    me: PublicKey,
    address: Address,
    tip: Arc<Tip>,
    fixed: Fixed,
    certificate: Certificate,
    journal: Journal,
    /// What was durable of a height that has not come yet.
    ahead: Option<Box<Durable>>,
    valid: Option<Valid>,
    state: HeightState,
    /// The votes of the height before: late ones show that their senders follow.
    previous: Option<HeightVotes>,
    early: Early,
    shown: Shown,
    /// The last follow message, and whether one is owed.
    followed: Option<Followed>,
    owed: OwedFollow,
    catch_up: CatchUp,
    recovery: Recovery,
    has_work: bool,
    clock_offset_ms: Option<i64>,
    clock_off_ms: Option<i64>,
    clocks_ahead: Vec<OrgName>,
    role: Option<Role>,
    halted: bool,
}

/// What a replica shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The height it works on.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// Its step.
    pub step: Step,
    /// Its role at this height.
    pub role: Role,
    /// Milliseconds that this node's clock seemed ahead of the others' (behind is negative) at the last
    /// height, with the time that their votes took; none when too few were heard to tell.
    pub clock_offset_ms: Option<i64>,
    /// Milliseconds that this node's clock was ahead of the others' (behind is negative) at the last
    /// height, if by more than the bound: then its proposals, or theirs, are refused.
    pub clock_off_ms: Option<i64>,
    /// Seats whose holders' clocks were ahead of this node's by more than the bound at the last height.
    pub clocks_ahead: Vec<OrgName>,
    /// Whether its key is lost and signs nothing yet.
    pub key_lost: bool,
    /// The height at and below which its key signs nothing.
    pub silent_through: Height,
}

impl Replica {
    /// A replica that goes on from where the process ended. Its first input is [`Input::Start`].
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup { signer, tip, certificate, durable } = setup;
        let me = signer.public();
        let shown = Shown::new(me, &tip);
        let fixed = Fixed::of(&tip);
        let state = HeightState::new(&tip, Instant::default());
        let journal = Journal {
            guard: durable.journal.guard.clone(),
            height: state.height,
            round: Round::ZERO,
            locked: None,
            votes: Vec::new(),
        };
        let mut replica = Self {
            signer,
            me,
            address: me.address(),
            fixed,
            certificate,
            journal,
            ahead: Some(Box::new(durable)),
            valid: None,
            state,
            previous: None,
            early: Early::default(),
            shown,
            followed: None,
            owed: OwedFollow::Yes,
            catch_up: CatchUp::default(),
            recovery: Recovery::default(),
            has_work: false,
            clock_offset_ms: None,
            clock_off_ms: None,
            clocks_ahead: Vec::new(),
            role: None,
            halted: false,
            tip,
        };
        replica.take_up();
        replica
    }

    /// Handles one input: appends what is to be done to `effects`.
    ///
    /// # Panics
    /// When a rule of the protocol that no peer can break is broken: a bug, or memory gone bad.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        if self.halted {
            return;
        }
        let first = effects.len();
        match input {
            Input::Start => self.start(now, effects),
            Input::Message { from, message } => {
                self.on_message(now, from, message.into_inner(), effects);
            }
            Input::Claim { from, height } => self.catch_up.claim(&from, height),
            Input::Connected(peer) => self.on_connected(now, peer, effects),
            Input::Disconnected(peer) => self.catch_up.disconnected(&peer),
            Input::Work(has_work) => self.on_work(now, has_work),
            Input::Built { height, round, txs, evidence } => {
                // While a block is being committed, the certificate here is that block's already.
                let is_wanted = (height, round) == (self.state.height, self.state.round);
                if is_wanted && self.state.committing.is_none() {
                    self.propose_fresh(now, txs, evidence, effects);
                }
            }
            Input::Checked { height, block, verdict } => {
                self.on_checked(height, block, verdict, effects);
            }
            Input::Executed { tip } => self.on_executed(now, tip, effects),
            Input::Fetched { from, first, blocks } => {
                if !self.catch_up.fetched(from, first, blocks, now.instant) {
                    self.catch_up.failed(&from, now.instant);
                    let what = "the answer is not what was asked for";
                    effects.push(report(from, Fault::Fetch { from: first, what }));
                }
            }
            Input::Lacks { from, first, lowest } => self.catch_up.lacks(&from, first, lowest),
            Input::BlockVerified { height, verdict } => {
                self.on_block_verified(now, height, verdict, effects);
            }
            Input::Wakeup => {}
        }
        self.advance(now, effects);
        if !self.halted {
            self.follow_if_due(now, effects);
            self.catch_up(now, effects);
            self.recover_key(now, effects);
            self.resend_if_due(now, effects);
        }
        merge_persists(effects, first);
    }

    /// When [`Input::Wakeup`] is next wanted, if no other input comes before.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Instant> {
        if self.halted {
            return None;
        }
        let HeightState { timers, committing, entered, resend_at, .. } = &self.state;
        let fetch = committing.is_none().then(|| self.catch_up.next_wakeup(&self.tip, *entered));
        let query = self.journal.guard.is_lost().then(|| self.recovery.next_query());
        let deadlines = [
            timers.idle,
            timers.propose,
            timers.prevote,
            timers.precommit,
            fetch.flatten(),
            Some(*resend_at),
            self.follow_due(),
            query,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// What it shows of itself.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            height: self.state.height,
            round: self.state.round,
            step: self.state.step,
            role: self.role_now(),
            clock_offset_ms: self.clock_offset_ms,
            clock_off_ms: self.clock_off_ms,
            clocks_ahead: self.clocks_ahead.clone(),
            key_lost: self.journal.guard.is_lost(),
            silent_through: self.journal.guard.silent_through(),
        }
    }

    /// The height, round and step that it works on: a part of [`Self::view`] that costs nothing.
    #[must_use]
    pub fn place(&self) -> (Height, Round, Step) {
        (self.state.height, self.state.round, self.state.step)
    }

    /// The highest height that organisations with more than a third of the power claim to have
    /// committed.
    #[must_use]
    pub fn best_claim(&self) -> Height {
        self.catch_up.best_claim(&self.tip)
    }

    /// The lowest block that a peer still has, where this node lacks blocks and all who claim to have the
    /// next one have said that they have it no more.
    #[must_use]
    pub fn out_of_reach(&self) -> Option<Height> {
        self.catch_up.out_of_reach(&self.tip)
    }

    /// The state after the newest block that it has committed.
    #[must_use]
    pub fn tip(&self) -> &Arc<Tip> {
        &self.tip
    }

    /// Takes up what was durable for the height after the tip. Where that is of a later height, as in a home
    /// that a key was moved to and that has yet to catch up, it waits.
    fn take_up(&mut self) {
        let height = self.state.height;
        let durable = self.ahead.take_if(|durable| durable.journal.height <= height);
        let Some(durable) = durable.filter(|durable| durable.journal.height == height) else {
            return;
        };
        let Durable { journal: Journal { round, locked, votes, .. }, valid, proposal } = *durable;
        self.journal = Journal { round, locked, votes, ..self.journal.clone() };
        let state = &mut self.state;
        state.round = self.journal.round;
        for vote in &self.journal.votes {
            // Own votes of this very height: a table that has no place for them would be another
            // chain's, and they would count for nothing.
            let added = state.votes.add(vote, state.round);
            state.voted |= added.is_ok() && vote.block.is_some();
            if vote.round == state.round {
                let step = match vote.kind {
                    tandem_chain::vote::VoteKind::Prevote => Step::Prevote,
                    tandem_chain::vote::VoteKind::Precommit => Step::Precommit,
                };
                state.step = state.step.max(step);
            }
        }
        self.valid = valid.filter(|valid| valid.height == state.height);
        let blocks = self.valid.iter().map(|valid| (valid.block_id, Arc::clone(&valid.block)));
        for (id, block) in blocks {
            state.candidates.insert(id, Candidate { block, asked: false, valid: None });
        }
        if let Some(valid) = &self.valid {
            for vote in &valid.prevotes {
                let _known_good = state.votes.add(vote, state.round);
            }
        }
        let proposal = proposal.filter(|p| (p.height, p.round) == (state.height, state.round));
        if let Some(proposal) = proposal {
            self.accept_proposal(proposal, true);
        }
    }

    fn start(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.state.entered = now.instant;
        self.state.resend_at = now.instant.plus(self.state.resend_every);
        self.begin(now, effects);
    }

    /// Begins the height, where it was when the process ended.
    fn begin(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let candidates: Vec<BlockId> = self.state.candidates.keys().copied().collect();
        for id in candidates {
            self.check(id, effects);
        }
        self.announce_role(effects);
        if self.state.step == Step::Propose {
            self.start_round(now, self.state.round, effects);
        }
    }

    /// The role at the height that the replica works on.
    fn role_now(&self) -> Role {
        let Some(entry) = self.tip.register.nodes.get(&self.me) else { return Role::Unregistered };
        if let Some((_, validator)) = self.tip.next_table.by_key(&self.me) {
            return Role::Validator { seat: validator.org.clone(), term: validator.term };
        }
        if entry.pair {
            Role::Standby { seat: entry.org.clone() }
        } else {
            Role::Observer { org: entry.org.clone() }
        }
    }

    fn announce_role(&mut self, effects: &mut Vec<Effect>) {
        let role = self.role_now();
        if self.role.as_ref() != Some(&role) {
            effects.push(Effect::RoleChanged { height: self.state.height, role: role.clone() });
            self.role = Some(role);
        }
    }

    fn halt(&mut self, reason: String, effects: &mut Vec<Effect>) {
        self.halted = true;
        effects.push(Effect::Halt { reason });
    }

    fn broadcast(effects: &mut Vec<Effect>, message: Message) {
        effects.push(Effect::Broadcast(message));
    }
}

fn report(peer: PublicKey, fault: Fault) -> Effect {
    Effect::Report { peer, fault }
}

/// Makes one write of all persists of one input, in the place of the first: everything is durable
/// no later than it must be, by one fsync.
fn merge_persists(effects: &mut Vec<Effect>, first: usize) {
    let mut merged: BTreeMap<Slot, Vec<u8>> = BTreeMap::new();
    let mut place = None;
    let mut index = first;
    while index < effects.len() {
        if let Effect::Persist(values) = &mut effects[index] {
            merged.extend(std::mem::take(values));
            if place.is_some() {
                effects.remove(index);
                continue;
            }
            place = Some(index);
        }
        index += 1;
    }
    if let Some(place) = place {
        effects[place] = Effect::Persist(merged.into_iter().collect());
    }
}

fn shared(block: &Arc<Block>) -> Arc<Block> {
    Arc::clone(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persist(slot: Slot, byte: u8) -> Effect {
        Effect::Persist(vec![(slot, vec![byte])])
    }

    fn status(height: u64) -> Effect {
        Effect::Broadcast(Message::Status { committed: Height(height) })
    }

    #[test]
    fn the_persists_of_one_input_are_one_write_in_the_place_of_the_first() {
        let mut effects = vec![
            persist(Slot::Journal, 0),
            status(1),
            persist(Slot::Journal, 1),
            persist(Slot::Proposal, 2),
            status(2),
            persist(Slot::Journal, 3),
            persist(Slot::Valid, 4),
            status(3),
        ];
        merge_persists(&mut effects, 1);
        // What was there before this input is left as it is.
        let expected = [
            persist(Slot::Journal, 0),
            status(1),
            Effect::Persist(vec![
                (Slot::Journal, vec![3]),
                (Slot::Valid, vec![4]),
                (Slot::Proposal, vec![2]),
            ]),
            status(2),
            status(3),
        ];
        assert_eq!(format!("{effects:?}"), format!("{expected:?}"));
    }

    #[test]
    fn without_a_persist_nothing_is_changed() {
        let mut effects = vec![status(1), status(2)];
        merge_persists(&mut effects, 0);
        assert_eq!(effects.len(), 2);
    }
}
