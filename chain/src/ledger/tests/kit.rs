//! A chain in memory without consensus: blocks are made up and executed.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::block::{Block, Commit, Header};
use crate::codec;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use crate::keys::{PublicKey, SecretKey, Signature};
use crate::ledger::{Event, Execution, Ledger, Receipt};
use crate::limits::MAX_MOTION_LIFE;
use crate::liveness::{LivenessRecord, SignedRecord};
use crate::modules::consortium::{Change, UserRole};
use crate::modules::rights::{Grantee, Range, Right};
use crate::modules::{Call, consortium, parameters::Parameters, records, rights, standby};
use crate::store::MemoryStore;
use crate::tree;
use crate::tx::{Tx, TxBody};
use crate::types::{Address, Hash, Height, OrgName, Power, Round, Term, Timestamp};
use crate::vote::{Vote, VoteKind};

/// Time of every genesis here.
pub(crate) const GENESIS_TIME: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// The secret key of a name, such as `a1`.
pub(crate) fn secret(name: &str) -> SecretKey {
    SecretKey::from_seed(&Hash::of(name.as_bytes()).0)
}

pub(crate) fn key(name: &str) -> PublicKey {
    secret(name).public()
}

/// Where the node of a name is.
pub(crate) fn address(name: &str) -> String {
    format!("/dns4/{name}.example.com/tcp/26656")
}

pub(crate) fn org(name: &str) -> OrgName {
    name.parse().unwrap()
}

/// Organisations with these names and powers: nodes `a1` (validator), `a2` (standby), `a3`
/// (observer), admin key `a-admin`, user `a-user`.
pub(crate) fn genesis_with(orgs: &[(&str, u64)]) -> Genesis {
    let node =
        |name: String, role| GenesisNode { key: key(&name), role, addresses: vec![address(&name)] };
    let organizations = orgs.iter().map(|(name, power)| GenesisOrg {
        name: org(name),
        admin_key: key(&format!("{name}-admin")),
        power: Power(*power),
        nodes: vec![
            node(format!("{name}1"), GenesisRole::Validator),
            node(format!("{name}2"), GenesisRole::Standby),
            node(format!("{name}3"), GenesisRole::Observer),
        ],
        users: vec![key(&format!("{name}-user"))],
    });
    Genesis {
        chain_id: "test-1".parse().unwrap(),
        genesis_time: GENESIS_TIME,
        parameters: Parameters::lan(),
        policy: consortium::Policy::default(),
        organizations: organizations.collect(),
    }
}

/// Four organisations, a to d, with power 1 each: f = 1, N = 10, failover_min = 666 ms.
pub(crate) fn genesis() -> Genesis {
    genesis_with(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)])
}

/// What the next block is to be; at first an empty one, 100 ms later, in which all are alive.
#[derive(Clone, Default)]
pub(crate) struct Next {
    /// Names of nodes that the record calls dead.
    pub(crate) dead: Vec<String>,
    pub(crate) txs: Vec<Tx>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) after: Option<Duration>,
}

pub(crate) fn dead(names: &[&str]) -> Next {
    Next { dead: names.iter().map(ToString::to_string).collect(), ..Next::default() }
}

impl Next {
    pub(crate) fn tx(mut self, tx: Tx) -> Self {
        self.txs.push(tx);
        self
    }

    pub(crate) fn evidence(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    pub(crate) fn after_ms(mut self, ms: u64) -> Self {
        self.after = Some(Duration::from_millis(ms));
        self
    }
}

/// A chain in memory.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) ledger: Ledger<MemoryStore>,
    /// Whether every block is followed by a comparison with a ledger that is opened anew and with
    /// the state commitment from scratch.
    pub(crate) is_checked: bool,
    nonce: u64,
    /// Names of the nodes that may be met, by key.
    names: Rc<BTreeMap<PublicKey, String>>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::with(genesis())
    }

    pub(crate) fn with(genesis: Genesis) -> Self {
        let mut store = MemoryStore::default();
        store.apply(&Ledger::<MemoryStore>::genesis(&genesis));
        let ledger = Ledger::open(store, &genesis).unwrap();
        // Those of genesis, and such as may join.
        let orgs = genesis.organizations.iter().map(|org| org.name.to_string());
        let orgs = orgs.chain(["e", "f"].map(str::to_owned));
        let names = orgs.flat_map(|org| (1..=9).map(move |i| format!("{org}{i}")));
        let names = Rc::new(names.map(|name| (key(&name), name)).collect());
        let chain = Self { genesis, ledger, is_checked: true, nonce: 0, names };
        chain.check_restart();
        chain
    }

    pub(crate) fn store(&self) -> &MemoryStore {
        self.ledger.store()
    }

    /// Time of the newest block.
    pub(crate) fn time(&self) -> Timestamp {
        self.ledger.tip().time
    }

    pub(crate) fn height(&self) -> u64 {
        self.ledger.tip().height.0
    }

    pub(crate) fn block(&self, next: &Next) -> Block {
        let tip = self.ledger.tip();
        let height = tip.height.next();
        let zero = Hash([0; 32]);
        let dead: Vec<PublicKey> = next.dead.iter().map(|name| key(name)).collect();
        let alive = if height == Height(1) {
            Vec::new()
        } else {
            tip.previous_register.nodes.keys().map(|node| !dead.contains(node)).collect()
        };
        let record =
            LivenessRecord { height, alive: alive.into_iter().collect(), observations: vec![] };
        Block {
            header: Header {
                chain_id: tip.chain_id.clone(),
                height,
                time: tip.time.plus(next.after.unwrap_or(Duration::from_millis(100))),
                last_block_id: tip.block,
                last_commit_hash: zero,
                data_hash: zero,
                validators_hash: zero,
                next_validators_hash: zero,
                consensus_hash: zero,
                app_hash: tip.app_hash,
                last_results_hash: tip.results_hash,
                evidence_hash: zero,
                proposer_address: Address([0; 20]),
            },
            record: SignedRecord { record, signature: Signature([0; 64]) },
            txs: next.txs.clone(),
            evidence: next.evidence.clone(),
            last_commit: Commit::default(),
        }
    }

    pub(crate) fn check(&self, next: &Next) -> Result<(), Error> {
        self.ledger.check(&self.block(next))
    }

    /// Checks, executes and applies a block.
    pub(crate) fn run(&mut self, next: &Next) -> Execution {
        let block = self.block(next);
        self.ledger.check(&block).unwrap();
        let execution = self.ledger.execute(&block).unwrap();
        self.ledger.store_mut().apply(&execution.batch);
        self.ledger.apply(execution.tip.clone());
        if self.is_checked {
            self.check_restart();
        }
        execution
    }

    pub(crate) fn run_many(&mut self, blocks: u64, next: &Next) -> Vec<Event> {
        (0..blocks).flat_map(|_| self.run(next).events).collect()
    }

    /// Executes one transaction in a block of its own.
    pub(crate) fn send(&mut self, sender: &str, call: Call) -> Receipt {
        let tx = self.tx(sender, call);
        let execution = self.run(&Next::default().tx(tx));
        assert_eq!(execution.receipts.len(), 2);
        execution.receipts[1].clone()
    }

    pub(crate) fn tx(&mut self, sender: &str, call: Call) -> Tx {
        self.tx_until(sender, call, self.height() + 100)
    }

    pub(crate) fn tx_until(&mut self, sender: &str, call: Call, valid_until: u64) -> Tx {
        self.nonce += 1;
        let secret = secret(sender);
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: secret.public(),
            nonce: self.nonce,
            valid_until: Height(valid_until),
            call,
        };
        Tx::sign(body, &secret)
    }

    /// A block in which the first of `admins` makes a motion and the others vote for it; the receipts
    /// of these.
    pub(crate) fn carry(&mut self, change: Change, admins: &[&str], next: Next) -> Vec<Receipt> {
        let motions = consortium::motions(self.store(), false, None, 1).unwrap();
        let number = motions.first().map_or(1, |view| view.number + 1);
        let mut next = next.tx(self.tx(admins[0], propose(change)));
        for admin in &admins[1..] {
            next = next.tx(self.tx(admin, vote(number)));
        }
        self.run(&next).receipts[1..].to_vec()
    }

    /// Evidence of two prevotes at a height by the node of this name.
    pub(crate) fn evidence(&self, node: &str, height: u64) -> Option<Evidence> {
        let table = standby::table_at(self.store(), Height(height)).unwrap()?;
        let index = table.by_key(&key(node)).map_or(0, |(index, _)| index);
        let vote = |block| self.vote(node, height, index, block);
        self.ledger.evidence(&vote(None), &vote(Some(Hash([1; 32]))), key(node)).unwrap()
    }

    pub(crate) fn vote(&self, node: &str, height: u64, index: usize, block: Option<Hash>) -> Vote {
        let mut vote = Vote {
            kind: VoteKind::Prevote,
            height: Height(height),
            round: Round(0),
            block,
            timestamp: Timestamp(0),
            validator_index: u16::try_from(index).unwrap(),
            validator_address: key(node).address(),
            signature: Signature([0; 64]),
            observation: None,
        };
        vote.signature = secret(node).sign(&vote.sign_bytes(&self.genesis.chain_id));
        vote
    }

    /// Holders of all seats in table(k+2) with their terms: `a1/0`, or `-/1` for one left out.
    pub(crate) fn holders(&self) -> String {
        let seats = standby::seats(self.store()).unwrap();
        let holders = seats.iter().map(|seat| {
            let holder = seat.holder.map_or("-", |key| self.names[&key].as_str());
            format!("{holder}/{}", seat.term)
        });
        holders.collect::<Vec<_>>().join(" ")
    }

    /// The holder of a seat in the table of a height.
    pub(crate) fn holder_at(&self, seat: &str, height: u64) -> Option<String> {
        let table = standby::table_at(self.store(), Height(height)).unwrap()?;
        table.seats().get(&org(seat)).map(|seat| self.names[&seat.holder].clone())
    }

    pub(crate) fn seat(&self, name: &str) -> standby::SeatView {
        let seats = standby::seats(self.store()).unwrap();
        seats.into_iter().find(|seat| seat.seat == org(name)).unwrap()
    }

    /// A ledger opened now knows what this one knows, and the commitment is that of the state.
    fn check_restart(&self) {
        let opened = Ledger::open(self.store(), &self.genesis).unwrap();
        assert_eq!(opened.tip(), self.ledger.tip());
        let state = self.store().entries(crate::store::Column::State);
        assert_eq!(tree::root_of(state), self.ledger.tip().app_hash);
        self.check_addresses();
    }

    /// Each address of a node leads to that node alone, and no other leads anywhere.
    fn check_addresses(&self) {
        let under = |prefix: &'static str| {
            let state = self.store().entries(crate::store::Column::State).iter();
            state.filter_map(|(key, value)| Some((key.strip_prefix(prefix.as_bytes())?, value)))
        };
        let mut expected = BTreeMap::new();
        for (_, bytes) in under("consortium/org/") {
            let org: consortium::Org = codec::decode("organisation", bytes, bytes.len()).unwrap();
            for (key, node) in org.nodes {
                for address in node.addresses {
                    let before = expected.insert(address.into_bytes(), key);
                    assert_eq!(before, None, "two nodes are at one address");
                }
            }
        }
        let found = under("consortium/address/").map(|(address, bytes)| {
            (address.to_vec(), codec::decode("node at an address", bytes, bytes.len()).unwrap())
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    }
}

pub(crate) fn switch(seat: &str, target: &str, term: u64) -> Call {
    Call::Standby(standby::Call::Switch { seat: org(seat), target: key(target), term: Term(term) })
}

pub(crate) fn register(org_name: &str, node: &str, pair: bool) -> Call {
    let chain_id = genesis().chain_id;
    Call::Consortium(consortium::Call::RegisterNode {
        node: key(node),
        proof: consortium::registration_proof(&chain_id, &org(org_name), &secret(node)),
        pair,
        addresses: vec![address(node)],
    })
}

pub(crate) fn add_user(org_name: &str, user: &str, role: UserRole) -> Call {
    let proof = consortium::registration_proof(&genesis().chain_id, &org(org_name), &secret(user));
    Call::Consortium(consortium::Call::AddUser { user: key(user), role, proof })
}

/// Time of a block of this height, if each is 100 ms after the one before.
pub(crate) fn time_of(height: u64) -> Timestamp {
    GENESIS_TIME.plus(Duration::from_millis(100 * height))
}

/// The one-time key of an [`invitation`].
pub(crate) fn one_time(number: u8) -> SecretKey {
    secret(&format!("one-time-{number}"))
}

/// An invitation by an organisation's admin key; its number tells it from others. It is good up to a
/// block of [`time_of`] a height.
pub(crate) fn invitation(
    org_name: &str,
    number: u8,
    part: consortium::InvitedAs,
    valid_until: u64,
) -> consortium::Invitation {
    let body = consortium::InvitationBody {
        chain_id: genesis().chain_id,
        org: org(org_name),
        claim: one_time(number).public(),
        part,
        valid_until: time_of(valid_until),
    };
    consortium::Invitation::sign(body, &secret(&format!("{org_name}-admin")))
}

/// A registration of a node by an invitation, which is claimed for it.
pub(crate) fn invited(node: &str, invitation: &consortium::Invitation) -> Call {
    Call::Consortium(consortium::Call::RegisterInvited {
        invitation: invitation.clone(),
        claim: claim(node, invitation),
        addresses: vec![address(node)],
    })
}

/// An invitation of here claimed for a node.
pub(crate) fn claim(node: &str, it: &consortium::Invitation) -> Signature {
    let mut keys = (0..=u8::MAX).map(one_time);
    let one_time = keys.find(|key| key.public() == it.body.claim).expect("an invitation of here");
    it.claim(&one_time, &key(node))
}

pub(crate) fn remove(node: &str) -> Call {
    Call::Consortium(consortium::Call::RemoveNode { node: key(node) })
}

pub(crate) fn set_partner(node: &str) -> Call {
    Call::Consortium(consortium::Call::SetPartner { node: key(node) })
}

pub(crate) fn remove_user(user: &str) -> Call {
    Call::Consortium(consortium::Call::RemoveUser { user: key(user) })
}

pub(crate) fn set_role(user: &str, role: UserRole) -> Call {
    Call::Consortium(consortium::Call::SetRole { user: key(user), role })
}

pub(crate) fn to_org(name: &str) -> Grantee {
    Grantee::Org(org(name))
}

/// The user of this name, whose organisation is the name's first letter.
pub(crate) fn to_user(name: &str) -> Grantee {
    Grantee::User { org: org(&name[..1]), key: key(name) }
}

pub(crate) fn grant(data_set: &str, to: &Grantee, range: &Range, right: Right) -> Call {
    let (to, range) = (to.clone(), range.clone());
    Call::Rights(rights::Call::Grant { data_set: data_set.parse().unwrap(), to, range, right })
}

pub(crate) fn revoke(data_set: &str, to: &Grantee, range: &Range) -> Call {
    let (to, range) = (to.clone(), range.clone());
    Call::Rights(rights::Call::Revoke { data_set: data_set.parse().unwrap(), to, range })
}

/// A motion that never expires within a test.
pub(crate) fn motion(change: Change, force: bool) -> Call {
    let expires = GENESIS_TIME.plus(MAX_MOTION_LIFE);
    Call::Consortium(consortium::Call::Propose { change, force, expires })
}

pub(crate) fn propose(change: Change) -> Call {
    motion(change, false)
}

pub(crate) fn vote(motion: u64) -> Call {
    Call::Consortium(consortium::Call::Vote { motion })
}

pub(crate) fn create(data_set: &str) -> Call {
    Call::Records(records::Call::Create { data_set: data_set.parse().unwrap() })
}

pub(crate) fn put(data_set: &str, key: &str, value: &str, expected: Option<u64>) -> Call {
    put_as(data_set, key, None, value, expected)
}

pub(crate) fn put_as(
    data_set: &str,
    key: &str,
    content_type: Option<&str>,
    value: &str,
    expected: Option<u64>,
) -> Call {
    Call::Records(records::Call::Put {
        data_set: data_set.parse().unwrap(),
        key: key.into(),
        content_type: content_type.map(|text| text.parse().unwrap()),
        value: value.into(),
        expected,
    })
}

pub(crate) fn delete(data_set: &str, key: &str, expected: Option<u64>) -> Call {
    let data_set = data_set.parse().unwrap();
    Call::Records(records::Call::Delete { data_set, key: key.into(), expected })
}

/// The number that an encoded u64 or height is.
pub(crate) fn number(data: &[u8]) -> u64 {
    crate::codec::decode("number", data, 8).unwrap()
}
