//! Own proposals and votes: each through the guard, durable before it leaves.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::block::Commit;
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::Signature;
use tandem_chain::liveness::Observation;
use tandem_chain::tx::Tx;
use tandem_chain::types::{BlockId, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};

use super::height::{HeightState, Step};
use super::{Replica, shared};
use crate::effect::Effect;
use crate::journal::{Place, Signing, Slot, Valid};
use crate::limits::MAX_OWN_VOTES;
use crate::message::{Message, Proposal};
use crate::time::Now;
use crate::validate;

impl Replica {
    /// Proposes a new block in the current round (paper, line 19).
    pub(super) fn propose_fresh(
        &mut self,
        now: Now,
        txs: Vec<Tx>,
        evidence: Vec<Evidence>,
        effects: &mut Vec<Effect>,
    ) {
        if self.state.step != Step::Propose || !self.is_my_turn() || self.valid.is_some() {
            return;
        }
        // The height is decided already: a proposal would only burden everyone.
        if self.catch_up.has(self.state.height) {
            return;
        }
        // Later than the parent, even when this node's clock is behind.
        let time = now.wall.max(Timestamp(self.tip.time.0 + 1));
        let block = validate::build(
            &self.tip,
            &self.fixed,
            &self.certificate,
            time,
            (txs, evidence),
            self.signer.as_ref(),
        );
        let id = block.id();
        self.propose(Arc::new(block), id, None, Vec::new(), effects);
    }

    /// Proposes the valid value again (paper, lines 15 and 16).
    pub(super) fn propose_again(&mut self, effects: &mut Vec<Effect>) {
        let Some(valid) = self.valid.clone() else { return };
        let Valid { round, block_id, block, prevotes, .. } = valid;
        self.propose(block, block_id, Some(round), prevotes, effects);
    }

    fn propose(
        &mut self,
        block: Arc<tandem_chain::block::Block>,
        block_id: BlockId,
        valid_round: Option<Round>,
        prevotes: Vec<Vote>,
        effects: &mut Vec<Effect>,
    ) {
        let (height, round) = (self.state.height, self.state.round);
        if !self.journal.guard.admit(Place { height, round, step: Signing::Proposal }) {
            return;
        }
        let mut proposal = Proposal {
            height,
            round,
            valid_round,
            block_id,
            proposer: self.me,
            signature: Signature([0; Signature::LEN]),
            block: shared(&block),
            prevotes,
        };
        proposal.signature = self.signer.sign(&proposal.sign_bytes(&self.tip.chain_id));
        effects.push(Effect::Persist(vec![
            (Slot::Journal, self.encoded_journal()),
            (Slot::Proposal, codec::encode(&proposal)),
        ]));
        Self::broadcast(effects, Message::Proposal(Box::new(proposal.clone())));
        self.accept_proposal(proposal, true);
        // Made from what the ledger chose, or certified valid by 2/3: no need to ask again.
        if let Some(candidate) = self.state.candidates.get_mut(&block_id) {
            candidate.valid = Some(true);
        }
    }

    pub(super) fn encoded_journal(&mut self) -> Vec<u8> {
        self.journal.height = self.state.height;
        self.journal.round = self.state.round;
        codec::encode(&self.journal)
    }

    /// The grace at the height that the replica works on.
    pub(super) fn grace(&self) -> Duration {
        self.tip.parameters.liveness_grace(&self.tip.next_table)
    }

    /// Votes, if this node holds a seat at this height and the guard allows it. The step moves on in
    /// any case.
    pub(super) fn vote(
        &mut self,
        now: Now,
        kind: VoteKind,
        block: Option<BlockId>,
        effects: &mut Vec<Effect>,
    ) {
        self.state.step = match kind {
            VoteKind::Prevote => Step::Prevote,
            VoteKind::Precommit => Step::Precommit,
        };
        let Some((index, _)) = self.state.votes.table().by_key(&self.me) else { return };
        let (height, round) = (self.state.height, self.state.round);
        if !self.journal.guard.admit(Place { height, round, step: kind.into() }) {
            return;
        }
        let observation = match (kind, block) {
            (VoteKind::Precommit, Some(_)) => Some(self.observe(round)),
            _ => None,
        };
        let timestamp = now.wall;
        let bytes =
            comet::vote_sign_bytes(&self.tip.chain_id, kind, height, round, block, timestamp);
        let vote = Vote {
            kind,
            height,
            round,
            block,
            timestamp,
            validator_index: u16::try_from(index).expect("at most MAX_ORGS seats"),
            validator_address: self.address,
            signature: self.signer.sign(&bytes),
            observation,
        };
        self.state.voted |= block.is_some();
        self.journal.votes.retain(|own| is_worth_keeping(own, round));
        if self.journal.votes.len() >= MAX_OWN_VOTES {
            self.journal.votes.remove(0);
        }
        self.journal.votes.push(vote.clone());
        let mut values = vec![(Slot::Journal, self.encoded_journal())];
        if kind == VoteKind::Precommit
            && let Some(valid) = self.valid.as_ref().filter(|valid| Some(valid.block_id) == block)
        {
            values.push((Slot::Valid, codec::encode(valid)));
        }
        effects.push(Effect::Persist(values));
        let added = self.state.votes.add(&vote, round);
        assert!(added.is_ok(), "an own vote fits the table it was made from");
        Self::broadcast(effects, Message::Vote(Box::new(vote)));
    }

    /// The observation that goes with a precommit for a block, signed.
    fn observe(&mut self, round: Round) -> Observation {
        self.note_voters();
        let height = self.state.height;
        let seen = self.shown.observe(&self.tip.register, height, self.grace());
        let bytes =
            comet::extension_sign_bytes(&self.tip.chain_id, height, round, &seen.to_extension());
        Observation { seen, signature: self.signer.sign(&bytes) }
    }

    /// Everyone who voted for a valid block of this height has shown the tip.
    pub(super) fn note_voters(&mut self) {
        let candidates = self.state.candidates.iter();
        let valid = candidates.filter(|(_, candidate)| candidate.valid == Some(true));
        let valid: Vec<BlockId> = valid.map(|(id, _)| *id).collect();
        valid.into_iter().for_each(|id| self.note_voters_for(id));
    }

    /// Everyone who voted for this block, which is valid.
    pub(super) fn note_voters_for(&mut self, block: BlockId) {
        let HeightState { votes, .. } = &self.state;
        let validators = votes.table().validators();
        for index in votes.voters_for(block) {
            if let Some(validator) = validators.get(usize::from(index)) {
                self.shown.show(&validator.key, self.tip.height);
            }
        }
    }

    /// So has everyone who signed a certificate of this height.
    pub(super) fn note_signers(&mut self, commit: &Commit) {
        let validators = self.state.votes.table().validators();
        for (_, validator) in
            commit.signatures.iter().zip(validators).filter(|(signature, _)| signature.is_some())
        {
            self.shown.show(&validator.key, self.tip.height);
        }
    }
}

/// Own votes that a peer may still need in `round`: precommits for a block may complete a
/// certificate in any round; anything else matters in its own round and the next.
fn is_worth_keeping(vote: &Vote, round: Round) -> bool {
    let decides = vote.kind == VoteKind::Precommit && vote.block.is_some();
    decides || vote.round.plus(1) >= round
}
