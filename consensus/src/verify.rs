//! The rule of verification: what is checked of a message, away from the replica, before the
//! replica sees it. All that needs no state but keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::block::{CertifiedBlock, Commit};
use tandem_chain::codec;
use tandem_chain::keys::{Domain, PublicKey, Strict, Verifier};
use tandem_chain::limits::{MAX_BLOCK_EVIDENCE, MAX_BLOCK_TXS, MAX_ROUND};
use tandem_chain::liveness::SignedRecord;
use tandem_chain::roles::RoleTable;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Address, ChainId, Height, Round};
use tandem_chain::vote::{VoteKind, verify_observation};

use crate::limits::{MAX_MESSAGE_BYTES, MAX_PREVOTES, RECENT_BLOCKS};
use crate::message::{Follow, Message, Proposal};

/// What a peer did wrong. Such a message has no effect; the peer is reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is wrong in itself.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// It is signed with a key that is not, or not any more, on the chain.
    #[error("{what} by {address}, which is no registered node")]
    UnknownNode {
        /// The kind of message.
        what: &'static str,
        /// The address that it names.
        address: Address,
    },
    /// A vote by a node that does not hold the seat at that index and height.
    #[error("vote at height {height} by {address}, which holds no seat at index {index}")]
    NotHolder {
        /// The vote's height.
        height: Height,
        /// The vote's validator index.
        index: u16,
        /// The vote's validator address.
        address: Address,
    },
    /// A message that only holders of seats send, by a node that holds none.
    #[error("{what} for height {height} by {address}, which holds no seat")]
    NoSeat {
        /// The kind of message.
        what: &'static str,
        /// The message's height.
        height: Height,
        /// Who sent it.
        address: Address,
    },
    /// A proposal by a node whose turn it is not.
    #[error("proposal for height {height} by {got}, it is the turn of {expected}")]
    NotProposer {
        /// The proposal's height.
        height: Height,
        /// Whose turn it is.
        expected: Address,
        /// Who proposed.
        got: Address,
    },
    /// Something is inconsistent in a message.
    #[error("{what}")]
    Inconsistent {
        /// What.
        what: &'static str,
    },
    /// A header's time is too far ahead of this node's clock.
    #[error("header time is {ahead_ms} ms ahead of this node's clock, {max_ms} ms is allowed")]
    ClockAhead {
        /// By how much it is ahead, in milliseconds.
        ahead_ms: u64,
        /// What is allowed, in milliseconds.
        max_ms: u64,
    },
    /// More messages than a correct node would send.
    #[error("too many {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// A fetch was not answered, or not with the blocks asked for.
    #[error("fetch from height {from}: {what}")]
    Fetch {
        /// The first height asked for.
        from: Height,
        /// What was wrong.
        what: &'static str,
    },
}

/// A value whose signatures have been checked. Made in this module alone.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What the driver does with a message that has been decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triage {
    /// Verify it, then hand it to the replica.
    Verify,
    /// It is of a height that cannot be judged yet: hand the replica the claim alone
    /// ([`crate::Input::Claim`]).
    Claim(Height),
    /// It is of a height long past: nothing.
    Drop,
}

/// The keys that messages may be signed with at a tip.
#[derive(Clone, Debug)]
pub struct Keys {
    chain_id: ChainId,
    height: Height,
    by_address: BTreeMap<Address, PublicKey>,
    /// Role tables of the next two heights.
    next: [Arc<RoleTable>; 2],
}

impl Keys {
    /// Those of the registers and role tables that the tip knows.
    #[must_use]
    pub fn of(tip: &Tip) -> Self {
        let registered = tip.register.nodes.keys().chain(tip.previous_register.nodes.keys());
        let tables = [&tip.table, &tip.next_table, &tip.next_next_table];
        let seated = tables.into_iter().flat_map(|t| t.validators()).map(|v| &v.key);
        let by_address = registered.chain(seated).map(|key| (key.address(), *key)).collect();
        let next = [Arc::clone(&tip.next_table), Arc::clone(&tip.next_next_table)];
        Self { chain_id: tip.chain_id.clone(), height: tip.height, by_address, next }
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`].
    pub fn decode(bytes: &[u8]) -> Result<Message, Fault> {
        Ok(codec::decode_canonical("message", bytes, MAX_MESSAGE_BYTES)?)
    }

    /// What to do with a message, by its height.
    #[must_use]
    pub fn triage(&self, message: &Message) -> Triage {
        let (height, oldest) = match message {
            Message::Proposal(proposal) => (proposal.height, self.height.next()),
            // A late vote for a block still shows that its sender follows.
            Message::Vote(vote) if vote.block.is_some() => {
                (vote.height, self.height.back(RECENT_BLOCKS as u64))
            }
            Message::Vote(vote) => (vote.height, self.height),
            Message::Follow(follow) => (follow.body.height, Height::ZERO),
            Message::Status { committed } => return Triage::Claim(*committed),
            Message::LostQuery | Message::LostAnswer { .. } => return Triage::Verify,
        };
        let is_kept = |follow: &Follow| self.by_address.contains_key(&follow.body.node.address());
        if height < oldest {
            Triage::Drop
        } else if matches!(message, Message::Follow(follow) if is_kept(follow)) {
            // It is kept until this node is there, by the one key that it can be of.
            Triage::Verify
        } else if height > self.height.plus(2) {
            message.claims().map_or(Triage::Drop, Triage::Claim)
        } else {
            Triage::Verify
        }
    }

    /// Verifies a message: every signature in it, and that it is consistent in itself.
    ///
    /// `tx_verified` tells the transactions whose signature was checked before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        &self,
        verifier: &dyn Verifier,
        message: Message,
        tx_verified: &dyn Fn(&Tx) -> bool,
    ) -> Result<Verified<Message>, Fault> {
        match &message {
            Message::Proposal(proposal) => self.proposal(verifier, proposal, tx_verified)?,
            Message::Vote(vote) => {
                check_round(vote.round)?;
                let key = self.key("vote", vote.validator_address)?;
                vote.verify(verifier, &self.chain_id, key)?;
            }
            Message::Follow(follow) => self.follow(verifier, follow)?,
            Message::Status { .. } | Message::LostQuery | Message::LostAnswer { .. } => {}
        }
        Ok(Verified(message))
    }

    fn key(&self, what: &'static str, address: Address) -> Result<&PublicKey, Fault> {
        self.by_address.get(&address).ok_or(Fault::UnknownNode { what, address })
    }

    fn follow(&self, verifier: &dyn Verifier, follow: &Follow) -> Result<(), Fault> {
        let key = self.key("follow message", follow.body.node.address())?;
        let bytes = Domain::Follow.sign_bytes(&self.chain_id, &follow.body);
        if verifier.verifies(key, &bytes, &follow.signature) {
            Ok(())
        } else {
            Err(tandem_chain::Error::BadSignature { what: "follow message", key: *key }.into())
        }
    }

    fn proposal(
        &self,
        verifier: &dyn Verifier,
        proposal: &Proposal,
        tx_verified: &dyn Fn(&Tx) -> bool,
    ) -> Result<(), Fault> {
        let block = &proposal.block;
        if block.header.height != proposal.height || block.id() != proposal.block_id {
            return Err(Fault::Inconsistent { what: "proposal names another block than it has" });
        }
        check_round(proposal.round)?;
        self.check_cheap(proposal)?;
        let proposer = self.key("proposal", proposal.proposer.address())?;
        if !verifier.verifies(proposer, &proposal.sign_bytes(&self.chain_id), &proposal.signature) {
            let what = "proposal";
            return Err(tandem_chain::Error::BadSignature { what, key: *proposer }.into());
        }
        self.prevotes(verifier, proposal)?;
        block.check_hashes()?;
        let author = self.key("block", block.header.proposer_address)?;
        block.record.verify(verifier, &self.chain_id, author)?;
        self.last_commit(verifier, &block.last_commit, &block.record)?;
        for tx in block.txs.iter().filter(|tx| !tx_verified(tx)) {
            tx.verify(&Strict, &self.chain_id)?;
        }
        for evidence in &block.evidence {
            evidence.verify(verifier, &self.chain_id)?;
        }
        Ok(())
    }

    /// What is cheap to find out before the signatures in a proposal are checked: its proposer holds
    /// a seat at its height, and it is no larger than any block may be.
    fn check_cheap(&self, proposal: &Proposal) -> Result<(), Fault> {
        let Proposal { height, proposer, block, .. } = proposal;
        let ahead = height.0.checked_sub(self.height.next().0);
        let table = ahead.and_then(|ahead| self.next.get(usize::try_from(ahead).ok()?));
        if table.is_some_and(|table| table.by_key(proposer).is_none()) {
            let address = proposer.address();
            return Err(Fault::NoSeat { what: "proposal", height: *height, address });
        }
        let counts = [
            ("transactions of a block", block.txs.len(), MAX_BLOCK_TXS),
            ("evidence", block.evidence.len(), MAX_BLOCK_EVIDENCE),
        ];
        match counts.into_iter().find(|(_, got, max)| got > max) {
            Some((what, got, max)) => Err(tandem_chain::Error::TooMany { what, max, got }.into()),
            None => Ok(()),
        }
    }

    fn prevotes(&self, verifier: &dyn Verifier, proposal: &Proposal) -> Result<(), Fault> {
        let Proposal { valid_round, round, prevotes, .. } = proposal;
        if prevotes.len() > MAX_PREVOTES {
            return Err(Fault::TooMany { what: "prevotes in a proposal" });
        }
        match valid_round {
            None if !prevotes.is_empty() => {
                return Err(Fault::Inconsistent { what: "a fresh proposal carries prevotes" });
            }
            Some(valid) if valid >= round => {
                return Err(Fault::Inconsistent { what: "valid round is not before the round" });
            }
            _ => {}
        }
        for vote in prevotes {
            let of = (vote.kind, vote.height, Some(vote.round), vote.block);
            let block = Some(proposal.block_id);
            if of != (VoteKind::Prevote, proposal.height, *valid_round, block) {
                return Err(Fault::Inconsistent { what: "a prevote in a proposal is of another" });
            }
            let key = self.key("prevote", vote.validator_address)?;
            vote.verify(verifier, &self.chain_id, key)?;
        }
        Ok(())
    }

    /// Signatures of a block's certificate and of the observations that came with it.
    fn last_commit(
        &self,
        verifier: &dyn Verifier,
        commit: &Commit,
        record: &SignedRecord,
    ) -> Result<(), Fault> {
        let observations = &record.record.observations;
        // With no signature that binds them to the header, its other fields could be anything.
        if commit.signatures.is_empty() && *commit != Commit::default() {
            return Err(Fault::Inconsistent {
                what: "a certificate without entries names a block",
            });
        }
        if observations.len() != commit.signatures.len() {
            return Err(Fault::Inconsistent { what: "not one observation per signature" });
        }
        for (sig, observation) in commit.signatures.iter().zip(observations) {
            let (sig, observation) = match (sig, observation) {
                (None, None) => continue,
                (Some(sig), Some(observation)) => (sig, observation),
                _ => return Err(Fault::Inconsistent { what: "not one observation per signature" }),
            };
            let key = self.key("certificate", sig.address)?;
            let bytes = commit.sign_bytes(&self.chain_id, sig);
            if !verifier.verifies(key, &bytes, &sig.signature) {
                let what = "certificate";
                return Err(tandem_chain::Error::BadSignature { what, key: *key }.into());
            }
            let Commit { height, round, .. } = *commit;
            verify_observation(verifier, &self.chain_id, height, round, observation, key)?;
        }
        Ok(())
    }
}

fn check_round(round: Round) -> Result<(), Fault> {
    if round.0 > MAX_ROUND {
        return Err(Fault::Inconsistent { what: "its round is above any that is reached" });
    }
    Ok(())
}

/// Verifies a block that was fetched: its certificate by `table`, the role table of its height,
/// its content by its header, and every signature of consensus in it. Its transactions are covered
/// by the certificate, whose signers have checked them.
///
/// # Errors
/// What is wrong with it.
pub fn certified_block(
    verifier: &dyn Verifier,
    keys: &Keys,
    table: &RoleTable,
    certified: &CertifiedBlock,
) -> Result<(), Fault> {
    let CertifiedBlock { block, certificate } = certified;
    if certificate.commit.block != Some(block.id())
        || certificate.commit.height != block.header.height
    {
        return Err(Fault::Inconsistent { what: "certificate is of another block" });
    }
    certificate.check_power(table)?;
    certificate.check_signatures(verifier, &keys.chain_id, table)?;
    block.check_hashes()?;
    let author = keys.key("block", block.header.proposer_address)?;
    block.record.verify(verifier, &keys.chain_id, author)?;
    // The header's hash of evidence does not cover the key that it is about: its signatures do.
    for evidence in &block.evidence {
        evidence.verify(verifier, &keys.chain_id)?;
    }
    keys.last_commit(verifier, &block.last_commit, &block.record)
}
