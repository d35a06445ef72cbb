//! A chain of four organisations for the tests of this crate: real blocks, executed by the real
//! ledger, in a real database. Consensus is left out: every holder signs every block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, CommitSig};
use tandem_chain::comet;
use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::ledger::Ledger;
use tandem_chain::liveness::Observation;
use tandem_chain::modules::consortium::Policy;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::{Call, records};
use tandem_chain::roles::{Register, RoleTable};
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Power, Round, Timestamp};
use tandem_chain::vote::VoteKind;
use tandem_consensus::validate::{Fixed, build};

use crate::config::Config;
use crate::decode::readable;
use crate::driver;
use crate::home::Home;
use crate::network::{NetworkConfig, Rates};
use crate::snapshots::{Shelf, Source, take};
use crate::storage::{Database, StorageConfig};
use crate::view::Committed;

/// The organisations' names.
pub const ORGS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// Configuration of a node's network on a loopback port that the system chooses, with nobody to dial.
pub fn network_config(secret: SecretKey, genesis: &Genesis) -> NetworkConfig {
    NetworkConfig {
        secret,
        listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
        chain_id: genesis.chain_id.clone(),
        genesis: genesis.hash(),
        dial: BTreeMap::new(),
        bootstrap: BTreeMap::new(),
        rates: Rates::default(),
    }
}

/// The key made of a number.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// Admin key of an organisation.
pub fn admin(org: u8) -> SecretKey {
    key(100 + org)
}

/// Key of an organisation's validator at genesis.
pub fn validator(org: u8) -> SecretKey {
    key(1 + org)
}

/// Key of an organisation's standby at genesis.
pub fn standby(org: u8) -> SecretKey {
    key(11 + org)
}

/// A key that may send transactions for the first organisation.
pub fn user() -> SecretKey {
    key(200)
}

/// A transaction with every kind of call, by name: those that the chain's golden file freezes.
pub fn golden_txs() -> Vec<(&'static str, Tx)> {
    let file = include_str!("../../chain/tests/it/golden.txt");
    let (_, part) = file.split_once("# Transactions\n").expect("the file has transactions");
    let samples = part.lines().take_while(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, bytes) = line.split_once(": ")?;
        // Behind them stand parts of calls, and among them the hashes.
        let (_, digits) = bytes.split_once(" bytes ").filter(|_| name.contains('.'))?;
        let bytes = hex::decode(digits).expect("hex digits");
        Some((name, Tx::decode(bytes).expect("a transaction")))
    });
    let samples: Vec<_> = samples.collect();
    assert!(samples.len() > 25, "{} transactions", samples.len());
    samples
}

/// A call as [`readable`] shows it, but for a value, whose bytes are given as they are.
pub fn call_json(call: &Call) -> Value {
    let mut shown = readable(call);
    if let Call::Records(records::Call::Put { value, .. }) = call {
        shown["Records"]["Put"]["value"] = json!({ "hex": hex::encode(value) });
    }
    shown
}

/// Four organisations, each with a validator and a standby.
pub fn genesis() -> Genesis {
    let node = |key: SecretKey, role, port: u16| GenesisNode {
        key: key.public(),
        role,
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{port}")],
    };
    let orgs = (0..).zip(ORGS).map(|(i, name)| GenesisOrg {
        name: name.parse().expect("a name"),
        admin_key: admin(i).public(),
        power: Power(1),
        nodes: vec![
            node(validator(i), GenesisRole::Validator, 4_000 + u16::from(i)),
            node(standby(i), GenesisRole::Standby, 4_100 + u16::from(i)),
        ],
        users: if i == 0 { vec![user().public()] } else { Vec::new() },
    });
    Genesis {
        chain_id: "testing".parse().expect("a chain id"),
        genesis_time: Timestamp::from_millis(1_800_000_000_000),
        parameters: Parameters::lan(),
        policy: Policy::default(),
        organizations: orgs.collect(),
    }
}

/// A chain and the folder that it lies in.
pub struct Chain {
    /// Its genesis.
    pub genesis: Genesis,
    /// The home of the first organisation's validator.
    pub home: Home,
    /// Its database.
    pub db: Database,
    ledger: Ledger<Database>,
    last: Certificate,
    keys: BTreeMap<PublicKey, SecretKey>,
    _dir: tempfile::TempDir,
}

impl Chain {
    /// The chain at height 0.
    pub fn new() -> Self {
        let genesis = genesis();
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::new(dir.path().join("home"));
        home.init(&Config::default(), &validator(0), None).expect("a home");
        std::fs::write(home.genesis_path(), genesis.to_json()).expect("a genesis file");
        let config = StorageConfig::default();
        let db = Database::open(&home.data_path(), genesis.hash(), &config).expect("a database");
        db.initialise(&Ledger::<Database>::genesis(&genesis)).expect("genesis is written");
        let ledger = Ledger::open(db.clone(), &genesis).expect("a ledger");
        let nodes = (0..4).flat_map(|i| [validator(i), standby(i)]);
        let keys = nodes.map(|key| (key.public(), key)).collect();
        Self { genesis, home, db, ledger, last: Certificate::default(), keys, _dir: dir }
    }

    /// What is known after the newest block.
    pub fn tip(&self) -> Arc<Tip> {
        self.ledger.tip().clone()
    }

    /// Signs a call with a nonce; it is valid for a hundred heights.
    pub fn sign(&self, sender: &SecretKey, nonce: u64, call: Call) -> Tx {
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: sender.public(),
            nonce,
            valid_until: self.tip().height.plus(100),
            call,
        };
        Tx::sign(body, sender)
    }

    /// A user's transaction that writes a record.
    pub fn put(&self, nonce: u64, key: &str, value: &[u8]) -> Tx {
        self.put_as(nonce, key, None, value)
    }

    /// As [`Chain::put`], with a content type.
    pub fn put_as(&self, nonce: u64, key: &str, content_type: Option<&str>, value: &[u8]) -> Tx {
        let call = records::Call::Put {
            data_set: "set".parse().expect("a name"),
            key: key.into(),
            content_type: content_type.map(|text| text.parse().expect("a content type")),
            value: value.to_vec(),
            expected: None,
        };
        self.sign(&user(), nonce, Call::Records(call))
    }

    /// A user's transaction that creates the data set of [`Chain::put`].
    pub fn create(&self, nonce: u64) -> Tx {
        let data_set = "set".parse().expect("a name");
        self.sign(&user(), nonce, Call::Records(records::Call::Create { data_set }))
    }

    /// Commits a block with these transactions, in which all see `alive`.
    pub fn commit_seen(&mut self, txs: Vec<Tx>, seen: impl Fn(&PublicKey) -> bool) -> Committed {
        let block = self.block(txs);
        let tip = self.tip();
        let certificate = self.certify(&block, &tip.next_table, &tip.register, seen);
        let certified = Arc::new(CertifiedBlock { block: block.into(), certificate });
        self.last = certified.certificate.clone();
        driver::commit(&mut self.ledger, &self.db, &certified).expect("the store works")
    }

    /// Commits a block with these transactions, in which all nodes are seen alive.
    pub fn commit(&mut self, txs: Vec<Tx>) -> Committed {
        self.commit_seen(txs, |_| true)
    }

    /// Takes a snapshot after the newest block, and commits the one above it, which is returned.
    pub fn snapshot(&mut self, shelf: &Shelf) -> Committed {
        let (db, height) = (self.db.clone(), self.db.height());
        let view = db.snapshot();
        let above = self.commit(Vec::new());
        let (genesis, stop) = (&self.genesis, AtomicBool::new(false));
        let source = Source { db: &db, view: &view, genesis, stop: &stop };
        assert_eq!(take(&source, shelf, Duration::ZERO).expect("it is taken"), height);
        above
    }

    fn block(&self, txs: Vec<Tx>) -> Block {
        let tip = self.ledger.tip();
        let proposer = &self.keys[&tip.next_table.validators()[0].key];
        let time = tip.time.plus(tip.parameters.idle_block_interval());
        build(tip, &Fixed::of(tip), &self.last, time, (txs, Vec::new()), proposer)
    }

    fn certify(
        &self,
        block: &Block,
        table: &RoleTable,
        register: &Register,
        seen: impl Fn(&PublicKey) -> bool,
    ) -> Certificate {
        let (height, round, id) = (block.header.height, Round::ZERO, block.id());
        let chain_id = &self.genesis.chain_id;
        let mut certificate = Certificate {
            commit: Commit { height, round, block: Some(id), signatures: Vec::new() },
            observations: Vec::new(),
        };
        for validator in table.validators() {
            let key = &self.keys[&validator.key];
            let timestamp = block.header.time;
            let kind = VoteKind::Precommit;
            let bytes = comet::vote_sign_bytes(chain_id, kind, height, round, Some(id), timestamp);
            let sig =
                CommitSig { address: validator.address, timestamp, signature: key.sign(&bytes) };
            certificate.commit.signatures.push(Some(sig));
            let bits: tandem_chain::liveness::Bits = register.nodes.keys().map(&seen).collect();
            let extension = bits.to_extension();
            let bytes = comet::extension_sign_bytes(chain_id, height, round, &extension);
            let observation = Observation { seen: bits, signature: key.sign(&bytes) };
            certificate.observations.push(Some(observation));
        }
        certificate
    }
}
