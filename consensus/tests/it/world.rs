//! A consortium with known keys: its genesis, and whatever its nodes sign.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, CommitSig};
use tandem_chain::comet;
use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use tandem_chain::keys::{PublicKey, SecretKey, Signature, Verifier};
use tandem_chain::ledger::Ledger;
use tandem_chain::liveness::{Bits, Observation};
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::Policy;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::roles::RoleTable;
use tandem_chain::store::MemoryStore;
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{BlockId, ChainId, Hash, Height, OrgName, Power, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::{FollowBody, Message, Proposal};
use tandem_consensus::time::{Instant, Now};
use tandem_consensus::validate::{self, Fixed};

/// Wall-clock time, in milliseconds, at which the clocks of all tests begin.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// Both clocks, `ms` milliseconds after the beginning.
pub fn at(ms: u64) -> Now {
    Now { instant: Instant(ms * 1_000_000), wall: Timestamp::from_millis(BEGIN_MS + ms) }
}

/// Organisations a, b, c, ..., each with a validator and a standby, on `lan` parameters.
pub struct World {
    pub genesis: Genesis,
    secrets: BTreeMap<PublicKey, SecretKey>,
}

impl World {
    /// As many organisations as powers.
    pub fn new(powers: &[u64]) -> Self {
        let mut secrets = BTreeMap::new();
        let mut key = |n: usize| {
            let secret = SecretKey::from_seed(&[u8::try_from(n).expect("few keys"); 32]);
            let public = secret.public();
            secrets.insert(public, secret);
            public
        };
        let orgs = powers.iter().enumerate().map(|(i, power)| {
            let mut node = |n, role| GenesisNode { key: key(n), role, addresses: Vec::new() };
            let nodes =
                vec![node(i + 1, GenesisRole::Validator), node(i + 101, GenesisRole::Standby)];
            let (admin_key, power) = (key(i + 201), Power(*power));
            GenesisOrg { name: org(i), admin_key, power, nodes, users: Vec::new() }
        });
        let genesis = Genesis {
            chain_id: chain_id(),
            genesis_time: Timestamp::from_millis(BEGIN_MS - 1),
            parameters: Parameters::lan(),
            policy: Policy::default(),
            organizations: orgs.collect(),
        };
        Self { genesis, secrets }
    }

    pub fn secret(&self, key: &PublicKey) -> &SecretKey {
        &self.secrets[key]
    }

    /// Key of an organisation's validator at genesis.
    pub fn validator(&self, org: usize) -> PublicKey {
        self.genesis.organizations[org].nodes[0].key
    }

    /// Key of an organisation's standby at genesis.
    pub fn standby(&self, org: usize) -> PublicKey {
        self.genesis.organizations[org].nodes[1].key
    }

    pub fn admin(&self, org: usize) -> PublicKey {
        self.genesis.organizations[org].admin_key
    }

    /// The ledger at genesis.
    pub fn ledger(&self) -> Ledger<MemoryStore> {
        let mut store = MemoryStore::default();
        store.apply(&Ledger::<MemoryStore>::genesis(&self.genesis));
        Ledger::open(store, &self.genesis).expect("a ledger at genesis")
    }

    /// A transaction with a call.
    pub fn tx(&self, sender: &PublicKey, nonce: u64, valid_until: u64, call: Call) -> Tx {
        let valid_until = Height(valid_until);
        let body = TxBody { chain_id: chain_id(), sender: *sender, nonce, valid_until, call };
        Tx::sign(body, self.secret(sender))
    }

    /// A vote with the table and register of the height after `tip`; the observation of a precommit
    /// calls everyone alive.
    pub fn vote(
        &self,
        tip: &Tip,
        key: &PublicKey,
        kind: VoteKind,
        round: u32,
        block: Option<BlockId>,
    ) -> Vote {
        let seen = vec![true; tip.register.nodes.len()];
        self.vote_seeing(tip, key, kind, round, block, &seen)
    }

    pub fn vote_seeing(
        &self,
        tip: &Tip,
        key: &PublicKey,
        kind: VoteKind,
        round: u32,
        block: Option<BlockId>,
        seen: &[bool],
    ) -> Vote {
        let secret = self.secret(key);
        let (height, round) = (tip.height.next(), Round(round));
        let observe = kind == VoteKind::Precommit && block.is_some();
        let mut vote = Vote {
            kind,
            height,
            round,
            block,
            timestamp: at(0).wall,
            validator_index: index(&tip.next_table, key),
            validator_address: key.address(),
            signature: Signature([0; Signature::LEN]),
            observation: observe.then(|| observation(secret, height, round, seen)),
        };
        vote.signature = secret.sign(&vote.sign_bytes(&chain_id()));
        vote
    }

    /// Prevotes of several organisations' validators.
    pub fn prevotes(&self, tip: &Tip, orgs: &[usize], round: u32, block: BlockId) -> Vec<Vote> {
        let prevote = |org: &usize| {
            self.vote(tip, &self.validator(*org), VoteKind::Prevote, round, Some(block))
        };
        orgs.iter().map(prevote).collect()
    }

    /// Prevotes of a key for nil and for a block, at the height after `tip`.
    pub fn double_prevotes(&self, tip: &Tip, key: &PublicKey) -> [Vote; 2] {
        [None, Some(Hash([1; 32]))].map(|block| self.vote(tip, key, VoteKind::Prevote, 0, block))
    }

    /// An empty block on a tip.
    pub fn block(&self, tip: &Tip, author: &PublicKey, now: Now, last: &Certificate) -> Block {
        self.block_with(tip, author, now, last, Vec::new())
    }

    /// A block on a tip, with transactions.
    pub fn block_with(
        &self,
        tip: &Tip,
        author: &PublicKey,
        now: Now,
        last: &Certificate,
        txs: Vec<Tx>,
    ) -> Block {
        let content = (txs, Vec::new());
        validate::build(tip, &Fixed::of(tip), last, now.wall, content, self.secret(author))
    }

    /// A proposal, signed by `proposer`.
    pub fn proposal(
        &self,
        proposer: &PublicKey,
        round: u32,
        block: &Block,
        valid: Option<(u32, Vec<Vote>)>,
    ) -> Proposal {
        let (valid_round, prevotes) =
            valid.map_or((None, Vec::new()), |(r, p)| (Some(Round(r)), p));
        let mut proposal = Proposal {
            height: block.header.height,
            round: Round(round),
            valid_round,
            block_id: block.id(),
            proposer: *proposer,
            signature: Signature([0; Signature::LEN]),
            block: Arc::new(block.clone()),
            prevotes,
        };
        proposal.signature = self.secret(proposer).sign(&proposal.sign_bytes(&chain_id()));
        proposal
    }

    /// The certificate of a block by the validators of some organisations.
    pub fn certificate(&self, tip: &Tip, orgs: &[usize], round: u32, block: &Block) -> Certificate {
        let id = block.id();
        let count = tip.next_table.validators().len();
        let mut signatures = vec![None; count];
        let mut observations = vec![None; count];
        for org in orgs {
            let key = self.validator(*org);
            let vote = self.vote(tip, &key, VoteKind::Precommit, round, Some(id));
            let place = usize::from(vote.validator_index);
            signatures[place] = Some(CommitSig {
                address: vote.validator_address,
                timestamp: vote.timestamp,
                signature: vote.signature,
            });
            observations[place] = vote.observation;
        }
        let (height, round, block) = (block.header.height, Round(round), Some(id));
        Certificate { commit: Commit { height, round, block, signatures }, observations }
    }

    /// Empty blocks from genesis on, certified by the validators of some organisations.
    pub fn chain(&self, length: u64, orgs: &[usize]) -> Vec<CertifiedBlock> {
        let mut ledger = self.ledger();
        let mut blocks: Vec<CertifiedBlock> = Vec::new();
        for height in 1..=length {
            let tip = Arc::clone(ledger.tip());
            let last = blocks.last().map_or_else(Certificate::default, |b| b.certificate.clone());
            let author = self.validator(0);
            let block = self.block(&tip, &author, at(height * 10), &last);
            let certificate = self.certificate(&tip, orgs, 0, &block);
            commit(&mut ledger, &block);
            blocks.push(CertifiedBlock { block: block.into(), certificate });
        }
        blocks
    }

    /// A follow message of a node that has committed what `tip` says.
    pub fn follow(&self, node: &PublicKey, tip: &Tip) -> Message {
        let body = FollowBody {
            node: *node,
            height: tip.height,
            block: tip.block.expect("a block"),
            app_hash: tip.app_hash,
        };
        Message::Follow(Box::new(body.sign(&chain_id(), self.secret(node))))
    }
}

/// Takes every signature: as if all keys were in the hands of who sends.
pub struct AnySignature;

impl Verifier for AnySignature {
    fn verifies(&self, _: &PublicKey, _: &[u8], _: &Signature) -> bool {
        true
    }
}

/// Executes a block on a ledger.
pub fn commit(ledger: &mut Ledger<MemoryStore>, block: &Block) {
    let execution = ledger.execute(block).expect("memory does not fail");
    ledger.store_mut().apply(&execution.batch);
    ledger.apply(execution.tip);
}

/// Writes the hashes of a block's content to its header.
pub fn rehash(block: &mut Block) {
    block.header.data_hash = comet::data_hash(&block.record, &block.txs);
    block.header.evidence_hash = comet::evidence_hash(&block.evidence);
    block.header.last_commit_hash = comet::commit_hash(&block.last_commit);
}

/// Has a proposal and its prevotes name the block that is in it, and the block its content.
pub fn name_content(proposal: &mut Proposal) {
    let block = Arc::make_mut(&mut proposal.block);
    rehash(block);
    let (named, id) = (Some(proposal.block_id), block.id());
    (proposal.height, proposal.block_id) = (block.header.height, id);
    for vote in proposal.prevotes.iter_mut().filter(|vote| vote.block == named) {
        vote.block = Some(id);
    }
}

pub fn chain_id() -> ChainId {
    "tandem-test".parse().expect("a chain id")
}

/// Name of organisation number `i`.
pub fn org(i: usize) -> OrgName {
    let letter = char::from(b'a' + u8::try_from(i).expect("few organisations"));
    letter.to_string().parse().expect("a name")
}

fn index(table: &RoleTable, key: &PublicKey) -> u16 {
    let index = table.by_key(key).map_or(0, |(index, _)| index);
    u16::try_from(index).expect("few seats")
}

pub fn observation(secret: &SecretKey, height: Height, round: Round, seen: &[bool]) -> Observation {
    let seen: Bits = seen.iter().copied().collect();
    let bytes = comet::extension_sign_bytes(&chain_id(), height, round, &seen.to_extension());
    Observation { signature: secret.sign(&bytes), seen }
}
