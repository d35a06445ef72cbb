//! A chain of four organisations in one database, without consensus: real blocks, executed by the
//! real ledger, each with the signatures of all four holders.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, CommitSig};
use tandem_chain::comet;
use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::ledger::Ledger;
use tandem_chain::liveness::{Bits, Observation};
use tandem_chain::modules::consortium::Policy;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Power, Round, Timestamp};
use tandem_chain::vote::VoteKind;
use tandem_consensus::validate::{Fixed, build};
use tandem_node::storage::{Database, StorageConfig};

const ORGS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// The chain at its newest block.
pub struct Chain {
    pub db: Database,
    ledger: Ledger<Database>,
    last: Certificate,
    keys: BTreeMap<PublicKey, SecretKey>,
}

/// The key that sends all transactions.
pub fn user() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

/// Four organisations, each with a validator; the first has the user.
pub fn genesis() -> Genesis {
    let orgs = (1u8..).zip(ORGS).map(|(number, name)| GenesisOrg {
        name: name.parse().expect("a name"),
        admin_key: SecretKey::from_seed(&[100 + number; 32]).public(),
        power: Power(1),
        nodes: vec![GenesisNode {
            key: SecretKey::from_seed(&[number; 32]).public(),
            role: GenesisRole::Validator,
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 4_000 + u16::from(number))],
        }],
        users: if number == 1 { vec![user().public()] } else { Vec::new() },
    });
    Genesis {
        chain_id: "disk-1".parse().expect("a chain id"),
        genesis_time: Timestamp::from_millis(1_800_000_000_000),
        parameters: Parameters::lan(),
        policy: Policy::default(),
        organizations: orgs.collect(),
    }
}

impl Chain {
    /// At height 0, in a new database in `folder`.
    pub fn new(folder: &Path, config: &StorageConfig) -> Result<Self> {
        let genesis = genesis();
        let db = Database::open(folder, genesis.hash(), config)?;
        db.initialise(&Ledger::<Database>::genesis(&genesis))?;
        let ledger = Ledger::open(db.clone(), &genesis).context("a new chain")?;
        let keys = (1u8..=4).map(|number| SecretKey::from_seed(&[number; 32]));
        let keys = keys.map(|key| (key.public(), key)).collect();
        Ok(Self { db, ledger, last: Certificate::default(), keys })
    }

    /// Commits a block with these transactions.
    pub fn commit(&mut self, txs: Vec<Tx>) -> Result<()> {
        let block = self.block(txs);
        let certificate = self.certify(&block);
        let certified = CertifiedBlock { block: block.into(), certificate };
        let execution = self.ledger.execute(&certified.block)?;
        let refused = execution.receipts.iter().find(|receipt| receipt.code != 0);
        if let Some(refused) = refused {
            anyhow::bail!("a transaction was refused: {}", refused.log);
        }
        self.db.commit(&certified, &execution)?;
        self.last = certified.certificate;
        self.ledger.apply(execution.tip);
        Ok(())
    }

    fn block(&self, txs: Vec<Tx>) -> Block {
        let tip = self.ledger.tip();
        let proposer = &self.keys[&tip.next_table.validators()[0].key];
        let time = tip.time.plus(tip.parameters.idle_block_interval());
        build(tip, &Fixed::of(tip), &self.last, time, (txs, Vec::new()), proposer)
    }

    fn certify(&self, block: &Block) -> Certificate {
        let tip = self.ledger.tip();
        let (height, round, id) = (block.header.height, Round::ZERO, block.id());
        let seen: Bits = tip.register.nodes.keys().map(|_| true).collect();
        let mut certificate = Certificate {
            commit: Commit { height, round, block: Some(id), signatures: Vec::new() },
            observations: Vec::new(),
        };
        for validator in tip.next_table.validators() {
            let key = &self.keys[&validator.key];
            let timestamp = block.header.time;
            let kind = VoteKind::Precommit;
            let bytes =
                comet::vote_sign_bytes(&tip.chain_id, kind, height, round, Some(id), timestamp);
            let signature = key.sign(&bytes);
            let signature = CommitSig { address: validator.address, timestamp, signature };
            certificate.commit.signatures.push(Some(signature));
            let extension = seen.to_extension();
            let bytes = comet::extension_sign_bytes(&tip.chain_id, height, round, &extension);
            let observation = Observation { seen: seen.clone(), signature: key.sign(&bytes) };
            certificate.observations.push(Some(observation));
        }
        certificate
    }
}
