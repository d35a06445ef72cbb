//! Makes messages that are wrong in one thing alone: it follows the chain as a node does, and has
//! the keys of nodes whose processes are stopped.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tandem_chain::block::{Block, Certificate, CertifiedBlock};
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey, Signature};
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::modules::{Call, records};
use tandem_chain::store::MemoryStore;
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{BlockId, Hash, Height, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::limits::MAX_FETCH_BLOCKS;
use tandem_consensus::message::{FollowBody, Message, Proposal};
use tandem_consensus::proposer::proposer;
use tandem_consensus::validate::{self, Fixed};

use super::super::scene::wall_clock;
use super::rogue::Rogue;

/// See the module.
pub struct Liar {
    /// Holds a seat.
    pub holder: SecretKey,
    /// Is registered, and holds none.
    pub other: SecretKey,
    /// May send transactions.
    pub user: SecretKey,
    /// Stands in the chain.
    pub committed: Tx,
    ledger: Ledger<MemoryStore>,
    /// For the newest block, and for the one before.
    pub certificate: Certificate,
    pub certificate_before: Certificate,
}

impl Liar {
    /// At genesis.
    pub fn new(
        genesis: &Genesis,
        holder: SecretKey,
        other: SecretKey,
        user: SecretKey,
        committed: Tx,
    ) -> Result<Self> {
        let mut store = MemoryStore::default();
        store.apply(&Ledger::<MemoryStore>::genesis(genesis));
        let ledger = Ledger::open(store, genesis)?;
        let (certificate, certificate_before) = (Certificate::default(), Certificate::default());
        Ok(Self { holder, other, user, committed, ledger, certificate, certificate_before })
    }

    /// Fetches and executes what a node has.
    pub async fn catch_up(&mut self, by: &Rogue, node: &PublicKey) -> Result<()> {
        loop {
            let question = codec::encode(&(self.height(), MAX_FETCH_BLOCKS));
            let answer = by.ask(node, &question).await.context("a fetch by the liar")?;
            let (blocks, _): (Vec<CertifiedBlock>, Height) =
                codec::decode("answer to a fetch", &answer, MAX_ENCODED_BYTES)?;
            if blocks.is_empty() {
                return Ok(());
            }
            for CertifiedBlock { block, certificate } in blocks {
                let execution = self.ledger.execute(&block)?;
                self.ledger.store_mut().apply(&execution.batch);
                self.ledger.apply(execution.tip);
                self.certificate_before = std::mem::replace(&mut self.certificate, certificate);
            }
        }
    }

    /// The state after the newest block.
    pub fn tip(&self) -> &Tip {
        self.ledger.tip()
    }

    /// The height that is being decided.
    pub fn height(&self) -> Height {
        self.tip().height.next()
    }

    /// Whether it is the holder's turn in a round of that height.
    pub fn is_turn(&self, round: Round) -> bool {
        let tip = self.tip();
        let turn = proposer(&tip.next_table, tip.alive.as_deref(), self.height(), round);
        turn.holder == self.holder.public()
    }

    /// A round above 0 of that height in which it is, or is not, the turn of the holder.
    pub fn round(&self, its_turn: bool) -> Round {
        let found = (1..=1_000).map(Round).find(|round| self.is_turn(*round) == its_turn);
        found.expect("turns come again")
    }

    /// What shows that the holder follows the chain, signed by `signer`.
    pub fn follow(&self, signer: &SecretKey) -> Vec<u8> {
        let (tip, node) = (self.tip(), self.holder.public());
        let (height, block) = (tip.height, tip.block.unwrap_or_else(no_block));
        let body = FollowBody { node, height, block, app_hash: tip.app_hash };
        encoded(&Message::Follow(Box::new(body.sign(&tip.chain_id, signer))))
    }

    /// The holder's index.
    pub fn index(&self) -> u16 {
        let found = self.tip().next_table.by_key(&self.holder.public());
        found.and_then(|(index, _)| u16::try_from(index).ok()).expect("it holds a seat")
    }

    /// A prevote for nil in round 0, signed by `signer`, after `change`.
    pub fn vote(&self, signer: &SecretKey, change: impl FnOnce(&mut Vote)) -> Vote {
        let mut vote = Vote {
            kind: VoteKind::Prevote,
            height: self.height(),
            round: Round::ZERO,
            block: None,
            timestamp: wall_clock(),
            validator_index: self.index(),
            validator_address: signer.public().address(),
            signature: Signature([0; Signature::LEN]),
            observation: None,
        };
        change(&mut vote);
        vote.signature = signer.sign(&vote.sign_bytes(&self.tip().chain_id));
        vote
    }

    /// The next block by the holder, as it should be.
    pub fn block(&self, txs: Vec<Tx>) -> Block {
        let tip = self.tip();
        let time = wall_clock().max(Timestamp(tip.time.0 + 1));
        let content = (txs, Vec::new());
        validate::build(tip, &Fixed::of(tip), &self.certificate, time, content, &self.holder)
    }

    /// That block after a change, its record signed and its content hashed anew.
    pub fn changed(&self, change: impl FnOnce(&mut Block)) -> Block {
        let mut block = self.block(Vec::new());
        change(&mut block);
        block.record = block.record.record.sign(&self.tip().chain_id, &self.holder);
        block.header.data_hash = comet::data_hash(&block.record, &block.txs);
        block.header.evidence_hash = comet::evidence_hash(&block.evidence);
        block.header.last_commit_hash = comet::commit_hash(&block.last_commit);
        block
    }

    /// A proposal of a block by the holder in its turn.
    pub fn proposal(&self, block: Block) -> Proposal {
        self.signed(block, &self.holder, |_| ())
    }

    /// A proposal of a block in the holder's turn, signed by `signer`, after `change`.
    pub fn signed(
        &self,
        block: Block,
        signer: &SecretKey,
        change: impl FnOnce(&mut Proposal),
    ) -> Proposal {
        let mut proposal = Proposal {
            height: block.header.height,
            round: self.round(true),
            valid_round: None,
            block_id: block.id(),
            proposer: signer.public(),
            signature: Signature([0; Signature::LEN]),
            block: Arc::new(block),
            prevotes: Vec::new(),
        };
        change(&mut proposal);
        proposal.signature = signer.sign(&proposal.sign_bytes(&self.tip().chain_id));
        proposal
    }

    /// A good transaction of the user, after `change`.
    pub fn tx(&self, change: impl FnOnce(&mut TxBody)) -> Tx {
        let call = records::Call::Create { data_set: "liar".parse().expect("a good name") };
        let mut body = TxBody {
            chain_id: self.tip().chain_id.clone(),
            sender: self.user.public(),
            nonce: rand::random(),
            valid_until: self.height().plus(100),
            call: Call::Records(call),
        };
        change(&mut body);
        Tx::sign(body, &self.user)
    }

    /// A block of height `first` with a certificate in which all is as in the newest but what it is
    /// for: its signatures are for that.
    pub fn fetched(&self, first: Height) -> CertifiedBlock {
        let block = self.changed(|block| block.header.height = first);
        let mut certificate = self.certificate.clone();
        (certificate.commit.height, certificate.commit.block) = (first, Some(block.id()));
        CertifiedBlock { block: block.into(), certificate }
    }
}

/// The certificate with its first signer at the place of the second, too.
pub fn repeated(mut certificate: Certificate) -> Certificate {
    let mut places = (0..).zip(&certificate.commit.signatures).filter(|(_, sig)| sig.is_some());
    let first = places.next().map_or(0, |(place, _)| place);
    let second = first + 1;
    certificate.commit.signatures[second] = certificate.commit.signatures[first].clone();
    certificate.observations[second] = certificate.observations[first].clone();
    certificate
}

/// The certificate with no more than two signers.
pub fn weak(mut certificate: Certificate) -> Certificate {
    let signers = certificate.commit.signatures.iter().flatten().count();
    let entries = certificate.commit.signatures.iter_mut().zip(&mut certificate.observations);
    let entries = entries.filter(|(sig, _)| sig.is_some());
    for (sig, observation) in entries.take(signers.saturating_sub(2)) {
        (*sig, *observation) = (None, None);
    }
    certificate
}

/// The certificate with a bit of its first signature flipped.
pub fn flipped(mut certificate: Certificate) -> Certificate {
    if let Some(sig) = certificate.commit.signatures.iter_mut().flatten().next() {
        sig.signature.0[5] ^= 1;
    }
    certificate
}

/// The id of no block.
pub fn no_block() -> BlockId {
    Hash([7; 32])
}

/// The bytes of a message.
pub fn encoded(message: &Message) -> Vec<u8> {
    codec::encode(message)
}

/// The bytes of a vote as a message.
pub fn vote_bytes(vote: Vote) -> Vec<u8> {
    encoded(&Message::Vote(Box::new(vote)))
}

/// The bytes of a proposal as a message.
pub fn proposal_bytes(proposal: Proposal) -> Vec<u8> {
    encoded(&Message::Proposal(Box::new(proposal)))
}
