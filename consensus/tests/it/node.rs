//! One replica with the production ledger and a disk in memory: what a driver does, without time
//! of its own. Holds the replica's signatures against the rules at every step.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tandem_chain::block::{Certificate, CertifiedBlock};
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey, Signature, Signer, Strict, Verifier};
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::store::MemoryStore;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{BlockId, Hash, Height, Round};
use tandem_chain::vote::Vote;
use tandem_consensus::journal::{Durable, Journal, KeyState, Signing, Slot, Valid};
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::time::Now;
use tandem_consensus::verify::{Fault, Keys, Triage, certified_block};
use tandem_consensus::{Effect, Input, Replica, Setup};

use crate::world::World;

/// What is durable of consensus.
pub type Disk = BTreeMap<Slot, Vec<u8>>;

#[derive(Clone)]
pub struct Node {
    pub key: PublicKey,
    secret: SecretKey,
    pub replica: Replica,
    /// Copies of the node share it until they commit.
    pub ledger: Arc<Ledger<MemoryStore>>,
    pub blocks: Vec<CertifiedBlock>,
    pub disk: Disk,
    pub mempool: Vec<Tx>,
    /// Whether checks of blocks are answered at once.
    pub answers_checks: bool,
    /// Whether blocks are built at once.
    pub answers_builds: bool,
    /// What every signature that has left was for.
    signed: BTreeMap<(Height, Round, Signing), Option<BlockId>>,
}

impl Node {
    /// A node at genesis that has never signed.
    pub fn new(world: &World, key: PublicKey) -> Self {
        Self::with_key(world, key, KeyState::Good)
    }

    pub fn with_key(world: &World, key: PublicKey, state: KeyState) -> Self {
        let secret = world.secret(&key).clone();
        let ledger = Arc::new(world.ledger());
        let durable = Durable::new(state);
        let replica = replica(&secret, ledger.tip(), &[], durable);
        Self {
            key,
            secret,
            replica,
            ledger,
            blocks: Vec::new(),
            disk: Disk::new(),
            mempool: Vec::new(),
            answers_checks: true,
            answers_builds: true,
            signed: BTreeMap::new(),
        }
    }

    pub fn tip(&self) -> &Tip {
        self.replica.tip()
    }

    /// A new process from what is on disk. Feed it [`Input::Start`].
    pub fn restart(&mut self) {
        let durable = self.durable();
        self.replica = replica(&self.secret, self.ledger.tip(), &self.blocks, durable);
    }

    /// A new process whose key's record is lost.
    pub fn restart_lost(&mut self) {
        let durable = Durable::new(KeyState::Lost);
        self.replica = replica(&self.secret, self.ledger.tip(), &self.blocks, durable);
    }

    pub fn durable(&self) -> Durable {
        let mut durable = Durable::new(KeyState::Good);
        durable.journal = self.journal();
        durable.valid = self.disk.get(&Slot::Valid).map(|bytes| decode::<Valid>(bytes));
        durable.proposal = self.disk.get(&Slot::Proposal).map(|bytes| decode::<Proposal>(bytes));
        durable
    }

    pub fn journal(&self) -> Journal {
        let journal = self.disk.get(&Slot::Journal).map(|bytes| decode::<Journal>(bytes));
        journal.unwrap_or_else(|| Journal::new(KeyState::Good))
    }

    /// Hands the replica one input; what it asks for is not answered.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.handle(now, input, &mut effects);
        for effect in &effects {
            match effect {
                Effect::Persist(values) => self.disk.extend(values.iter().cloned()),
                Effect::Broadcast(message) | Effect::Send { message, .. } => self.on_sent(message),
                _ => {}
            }
        }
        effects
    }

    /// Hands the replica an input, and answers what it asks for until it asks no more; all effects
    /// in their order.
    pub fn feed(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut all = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = self.handle(now, input);
            inputs.extend(effects.iter().rev().filter_map(|effect| self.answer(effect)));
            all.extend(effects);
        }
        all
    }

    /// What the driver gives back for an effect at once.
    pub fn answer(&mut self, effect: &Effect) -> Option<Input> {
        match effect {
            Effect::Build { height, round } if self.answers_builds => {
                let txs = self.ledger.select(self.mempool.clone()).expect("memory does not fail");
                Some(Input::Built { height: *height, round: *round, txs, evidence: Vec::new() })
            }
            Effect::Check { id, block } if self.answers_checks => {
                let verdict = self.ledger.check(block);
                Some(Input::Checked { height: block.header.height, block: *id, verdict })
            }
            Effect::Commit(certified) => Some(self.commit(certified)),
            Effect::Verify { block, table } => {
                let height = block.block.header.height;
                let verdict = certified_block(&Memo, &Keys::of(self.tip()), table, block);
                Some(Input::BlockVerified { height, verdict })
            }
            _ => None,
        }
    }

    fn commit(&mut self, certified: &CertifiedBlock) -> Input {
        let expected = self.blocks.len() as u64 + 1;
        assert_eq!(certified.block.header.height, Height(expected), "commits have no gaps");
        crate::world::commit(Arc::make_mut(&mut self.ledger), &certified.block);
        self.blocks.push(certified.clone());
        self.mempool.retain(|tx| !certified.block.txs.contains(tx));
        Input::Executed { tip: Arc::clone(self.ledger.tip()) }
    }

    /// Hands over a message as the driver does: encoded, decoded, sorted and verified.
    pub fn receive(&mut self, now: Now, from: PublicKey, message: &Message) -> Vec<Effect> {
        match self.verified(from, message) {
            Ok(Some(input)) => self.feed(now, input),
            Ok(None) => Vec::new(),
            Err(fault) => vec![Effect::Report { peer: from, fault }],
        }
    }

    /// The input that a message becomes; none when it is of a height long past.
    pub fn verified(&self, from: PublicKey, message: &Message) -> Result<Option<Input>, Fault> {
        let keys = Keys::of(self.tip());
        let message = Keys::decode(&codec::encode(message))?;
        Ok(match keys.triage(&message) {
            Triage::Verify => {
                let message = keys.verify(&Memo, message, &|_| false)?;
                Some(Input::Message { from, message })
            }
            Triage::Claim(height) => Some(Input::Claim { from, height }),
            Triage::Drop => None,
        })
    }

    /// What leaves is durable, and contradicts nothing that has left before.
    fn on_sent(&mut self, message: &Message) {
        let (place, block) = match message {
            Message::Vote(vote) if vote.validator_address == self.key.address() => {
                let journal = self.journal();
                assert!(journal.votes.contains(vote), "a vote leaves before it is durable");
                let step = Signing::from(vote.kind);
                assert!(
                    journal.guard.last() >= Some(place_of(vote)),
                    "a vote leaves before the guard's record of it is durable"
                );
                ((vote.height, vote.round, step), vote.block)
            }
            Message::Proposal(proposal) if proposal.proposer == self.key => {
                let bytes = self.disk.get(&Slot::Proposal).expect("a proposal is durable");
                assert_eq!(decode::<Proposal>(bytes), **proposal, "before it leaves");
                let Proposal { height, round, block_id, .. } = **proposal;
                ((height, round, Signing::Proposal), Some(block_id))
            }
            _ => return,
        };
        let first = *self.signed.entry(place).or_insert(block);
        assert_eq!(first, block, "two signatures at {place:?} contradict each other");
    }
}

fn place_of(vote: &Vote) -> tandem_consensus::journal::Place {
    let Vote { height, round, kind, .. } = *vote;
    tandem_consensus::journal::Place { height, round, step: kind.into() }
}

fn replica(
    secret: &SecretKey,
    tip: &Arc<Tip>,
    blocks: &[CertifiedBlock],
    durable: Durable,
) -> Replica {
    let last = blocks.last().map_or_else(Certificate::default, |b| b.certificate.clone());
    Replica::new(Setup {
        signer: Arc::new(Once(secret.clone())),
        tip: Arc::clone(tip),
        certificate: last,
        durable,
    })
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    codec::decode("durable value", bytes, MAX_ENCODED_BYTES).expect("what was stored")
}

/// A key with a memory of its signatures: the same over the same bytes.
struct Once(SecretKey);

thread_local! {
    static SIGNED: RefCell<BTreeMap<Hash, Signature>> = const { RefCell::new(BTreeMap::new()) };
}

impl Signer for Once {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let id = Hash::of(&[self.public().as_bytes().as_slice(), message].concat());
        SIGNED.with_borrow_mut(|signed| *signed.entry(id).or_insert_with(|| self.0.sign(message)))
    }
}

/// [`Strict`], with a memory of good verdicts that the nodes of a test share.
struct Memo;

thread_local! {
    static GOOD: RefCell<BTreeSet<Hash>> = const { RefCell::new(BTreeSet::new()) };
}

impl Verifier for Memo {
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let id = Hash::of(&[key.as_bytes().as_slice(), signature.as_bytes(), message].concat());
        let known = GOOD.with_borrow(|good| good.contains(&id));
        let good = known || Strict.verifies(key, message, signature);
        if good && !known {
            GOOD.with_borrow_mut(|memory| memory.insert(id));
        }
        good
    }
}
