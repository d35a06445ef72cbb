//! Decision, execution, and the step to the next height; blocks that were fetched.

use std::sync::Arc;

use tandem_chain::block::{CertifiedBlock, Commit};
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};

use super::height::HeightState;
use super::{OwedFollow, Replica, report};
use crate::effect::Effect;
use crate::journal::{Place, Signing};
use crate::time::Now;
use crate::validate;
use crate::verify::Fault;
use crate::votes::HeightVotes;

impl Replica {
    /// Line 49: a certificate. False while the block is not here, or not checked yet.
    pub(super) fn decide(&mut self, round: Round, id: BlockId, effects: &mut Vec<Effect>) -> bool {
        let Some(candidate) = self.state.candidates.get(&id) else { return false };
        match candidate.valid {
            None => {
                self.check(id, effects);
                return false;
            }
            Some(false) => {
                self.halt_as_different(id, "it was refused when it was proposed", effects);
                return true;
            }
            Some(true) => {}
        }
        let block = Arc::clone(&candidate.block);
        let certificate = self.state.votes.certificate(round, id);
        self.commit(Arc::new(CertifiedBlock { block, certificate }), id, effects);
        true
    }

    /// Stops: what more than 2/3 of the power has certified is invalid here.
    fn halt_as_different(&mut self, id: BlockId, why: &str, effects: &mut Vec<Effect>) {
        let height = self.state.height;
        let reason = format!(
            "block {id} at height {height} is certified by more than 2/3 of the power, but invalid \
             here ({why}): this node's state or program differs from theirs. Restore its data from \
             another node, and compare versions"
        );
        self.halt(reason, effects);
    }

    fn commit(&mut self, certified: Arc<CertifiedBlock>, id: BlockId, effects: &mut Vec<Effect>) {
        assert_eq!(certified.block.header.height, self.state.height, "commits have no gaps");
        assert!(self.state.committing.is_none(), "one commit at a time");
        self.note_voters();
        self.note_signers(&certified.certificate.commit);
        self.state.committing = Some(id);
        self.state.timers = super::height::Timers::default();
        self.certificate = certified.certificate.clone();
        effects.push(Effect::Commit(certified));
    }

    /// The block is executed and stored: on to the next height.
    pub(super) fn on_executed(&mut self, now: Now, tip: Arc<Tip>, effects: &mut Vec<Effect>) {
        assert_eq!(tip.height, self.state.height, "blocks are executed one after another");
        assert_eq!(tip.block, self.state.committing, "the block that was decided is executed");
        // Votes for it that came while it was executed show something, too.
        if let Some(block) = self.state.committing {
            self.note_voters_for(block);
        }
        let cap = self.tip.parameters.idle_block_interval();
        let before = std::mem::replace(&mut self.tip, tip);
        self.fixed = self.fixed.next(&before, &self.tip);
        self.shown.committed(&self.tip, cap);
        let old = std::mem::replace(&mut self.state, HeightState::new(&self.tip, now.instant));
        if !old.voted && self.owed == OwedFollow::No {
            self.owed = OwedFollow::Yes;
        }
        let (table, parameters) = (old.votes.table(), &self.tip.parameters);
        self.clock_offset_ms = old.clocks.offset_ms(table);
        self.clock_off_ms = old.clocks.off_ms(table, parameters);
        self.clocks_ahead = old.clocks.ahead(table, parameters);
        self.previous = Some(old.votes);
        self.valid = None;
        self.journal.locked = None;
        self.journal.votes.clear();
        self.journal.round = Round::ZERO;
        self.journal.height = self.state.height;
        self.take_up();
        self.begin(now, effects);
        self.take_early(now, effects);
    }

    /// Looks for blocks to fetch, and for the next fetched one.
    pub(super) fn catch_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.state.committing.is_some() {
            return;
        }
        while let Some((peer, first)) = self.catch_up.expired(now.instant) {
            let what = "no answer in time";
            effects.push(report(peer, Fault::Fetch { from: first, what }));
        }
        let height = self.tip.height;
        if let Some((from, certified)) = self.catch_up.next_block(height) {
            match validate::check_certificate(&self.tip, &certified.certificate) {
                Ok(()) => effects.push(Effect::Verify {
                    block: certified,
                    table: Arc::clone(&self.tip.next_table),
                }),
                Err(error) => {
                    let _ = self.catch_up.verified(height.next());
                    self.catch_up.failed(&from, now.instant);
                    effects.push(report(from, error.into()));
                }
            }
        }
        let entered = self.state.entered;
        while let Some(request) = self.catch_up.request(&self.tip, entered, now.instant) {
            let crate::catchup::Request { peer, first, count } = request;
            effects.push(Effect::Fetch { from: peer, first, count });
        }
    }

    /// A fetched block's signatures have been checked.
    pub(super) fn on_block_verified(
        &mut self,
        now: Now,
        height: Height,
        verdict: Result<(), Fault>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((from, certified)) = self.catch_up.verified(height) else { return };
        if let Err(fault) = verdict {
            self.catch_up.failed(&from, now.instant);
            effects.push(report(from, fault));
            self.propose_if_due(effects);
            return;
        }
        self.catch_up.made_good(&from);
        if height != self.state.height || self.state.committing.is_some() {
            return;
        }
        let id = certified.certificate.commit.block.expect("a verified certificate names a block");
        if let Err(fault) = validate::check(&self.tip, &self.fixed, &certified.block) {
            self.halt_as_different(id, &fault.to_string(), effects);
            return;
        }
        self.check_own_signature(&certified.certificate.commit, effects);
        if self.halted {
            return;
        }
        self.accuse_by_commit(&certified.certificate.commit, effects);
        self.commit(certified, id, effects);
    }

    /// Stops when a certificate holds a signature of this node's key that its guard knows nothing
    /// of: the key runs twice, or the disk was rolled back.
    pub(super) fn check_own_signature(&mut self, commit: &Commit, effects: &mut Vec<Effect>) {
        if commit.signatures.iter().flatten().any(|sig| sig.address == self.address) {
            let Commit { height, round, .. } = *commit;
            self.check_own_place(Place { height, round, step: Signing::Precommit }, effects);
        }
    }

    pub(super) fn check_own_place(&mut self, place: Place, effects: &mut Vec<Effect>) {
        let guard = &self.journal.guard;
        let known = guard.last().is_some_and(|last| place <= last);
        if known || !guard.may_sign_at(place.height) {
            return;
        }
        self.halt_as_doubled(place.height, place.round, effects);
    }

    pub(super) fn halt_as_doubled(
        &mut self,
        height: Height,
        round: Round,
        effects: &mut Vec<Effect>,
    ) {
        let reason = format!(
            "a signature of this node's own key at height {height} round {round} has come, and this \
             node never made it: the key runs on another machine too, or the data folder was rolled \
             back. Stop the other one, delete this node's data folder, and start again: the key counts \
             as lost then, and signs nothing before the others have told how far the chain is"
        );
        self.halt(reason, effects);
    }

    /// Compares a certificate with the precommits of its height that came by themselves.
    pub(super) fn accuse_by_commit(&mut self, commit: &Commit, effects: &mut Vec<Effect>) {
        let found = self.votes_of(commit.height).map(|votes| double_signers(votes, commit));
        for (index, one, other) in found.into_iter().flatten() {
            self.accuse(index, &one, &other, effects);
        }
    }

    /// The votes of this height or the one before.
    fn votes_of(&self, height: Height) -> Option<&HeightVotes> {
        let known = [Some(&self.state.votes), self.previous.as_ref()];
        known.into_iter().flatten().find(|votes| votes.height() == height)
    }

    /// Hands on a double signing, once a key while the replica works on a height.
    pub(super) fn accuse(
        &mut self,
        index: u16,
        one: &Vote,
        other: &Vote,
        effects: &mut Vec<Effect>,
    ) {
        let Some(votes) = self.votes_of(one.height) else { return };
        let Some(holder) = votes.table().validators().get(usize::from(index)) else { return };
        let key = holder.key;
        if self.state.accused.insert(key) {
            let (one, other) = (Box::new(one.clone()), Box::new(other.clone()));
            effects.push(Effect::DoubleSign { key, one, other });
        }
    }
}

/// Precommits in a certificate that contradict those that were received, by validator index.
fn double_signers(votes: &HeightVotes, commit: &Commit) -> Vec<(u16, Vote, Vote)> {
    let indexed = (0u16..).zip(&commit.signatures);
    indexed
        .filter_map(|(index, sig)| {
            let sig = sig.as_ref()?;
            let known = votes.vote_of(VoteKind::Precommit, commit.round, index)?;
            let differs = known.block != commit.block && known.validator_address == sig.address;
            differs.then(|| {
                let other = Vote {
                    block: commit.block,
                    timestamp: sig.timestamp,
                    signature: sig.signature,
                    observation: None,
                    ..known.clone()
                };
                (index, known.clone(), other)
            })
        })
        .collect()
}
