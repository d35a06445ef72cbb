//! Whole blocks, executed by the real ledger and signed by the holders that its role tables name.

use std::collections::BTreeSet;

use tandem_chain::block::{Block, Certificate, Commit, CommitSig, Header};
use tandem_chain::comet;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::{PublicKey, Strict};
use tandem_chain::ledger::{Ledger, Receipt};
use tandem_chain::liveness::LivenessRecord;
use tandem_chain::modules::consortium::{Change, UserRole};
use tandem_chain::modules::rights::{self, Grantee, Range, Right};
use tandem_chain::modules::{Call, consortium, parameters, records, standby};
use tandem_chain::roles::RoleTable;
use tandem_chain::store::MemoryStore;
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Height, Power, Round, Term};
use tandem_chain::vote::{Vote, VoteKind};

use crate::light_client::{Signed, check_all_pairs};
use crate::samples::{
    self, chain_id, genesis, hash, observation_by, org, public, secret, secret_of, time,
};

/// A chain in memory whose nodes are alive or dead as a test says.
pub struct Chain {
    ledger: Ledger<MemoryStore>,
    /// Certificate of the last block; the empty one before block 1.
    certificate: Certificate,
    pub dead: BTreeSet<PublicKey>,
    pub headers: Vec<Signed>,
}

impl Chain {
    pub fn new() -> Self {
        let mut store = MemoryStore::default();
        store.apply(&Ledger::<MemoryStore>::genesis(&genesis()));
        let ledger = Ledger::open(store, &genesis()).expect("a ledger");
        let (certificate, headers) = (Certificate::default(), Vec::new());
        Self { ledger, certificate, dead: BTreeSet::new(), headers }
    }

    pub fn tip(&self) -> &Tip {
        self.ledger.tip()
    }

    pub fn store(&self) -> &MemoryStore {
        self.ledger.store()
    }

    /// Executes a block with `txs` and has the living holders sign it; gives the receipts.
    pub fn grow(&mut self, txs: Vec<Tx>) -> Vec<Receipt> {
        self.grow_with(txs, Vec::new())
    }

    fn grow_with(&mut self, txs: Vec<Tx>, evidence: Vec<Evidence>) -> Vec<Receipt> {
        let (block, table) = (self.block(txs, evidence), self.tip().next_table.clone());
        let next = self.tip().next_next_table.clone();
        block.check_hashes().expect("hashes");
        self.ledger.check(&block).expect("a good block");
        let certificate = self.certify(&block, &table);
        certificate.check_power(&table).expect("power");
        certificate.check_signatures(&Strict, &chain_id(), &table).expect("signatures");
        let execution = self.ledger.execute(&block).expect("memory does not fail");
        self.ledger.store_mut().apply(&execution.batch);
        let receipts = execution.receipts.clone();
        self.ledger.apply(execution.tip);
        self.headers.push(Signed {
            header: block.header,
            commit: certificate.commit.clone(),
            table: table.as_ref().clone(),
            next: next.as_ref().clone(),
        });
        self.certificate = certificate;
        receipts
    }

    pub fn grow_by(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.grow(Vec::new());
        }
    }

    fn block(&self, txs: Vec<Tx>, evidence: Vec<Evidence>) -> Block {
        let tip = self.tip();
        let height = tip.height.next();
        let mut living = tip.next_table.validators().iter().filter(|v| !self.dead.contains(&v.key));
        let proposer = living.next().expect("a living holder");
        let record = if height == Height(1) {
            LivenessRecord { height, ..LivenessRecord::default() }
        } else {
            let observations = self.certificate.observations.clone();
            LivenessRecord::derive(height, &tip.table, &tip.previous_register, observations)
        };
        let record = record.sign(&chain_id(), &secret_of(&proposer.key));
        let last_commit = self.certificate.commit.clone();
        let header = Header {
            chain_id: chain_id(),
            height,
            time: time(height.0 * 1_000),
            last_block_id: tip.block,
            last_commit_hash: comet::commit_hash(&last_commit),
            data_hash: comet::data_hash(&record, &txs),
            validators_hash: comet::validators_hash(&tip.next_table),
            next_validators_hash: comet::validators_hash(&tip.next_next_table),
            consensus_hash: comet::consensus_hash(tip.parameters.block_max_bytes),
            app_hash: tip.app_hash,
            last_results_hash: tip.results_hash,
            evidence_hash: comet::evidence_hash(&evidence),
            proposer_address: proposer.address,
        };
        Block { header, record, txs, evidence, last_commit }
    }

    /// The certificate of the holders of `table` that live, each of which sees who lives.
    fn certify(&self, block: &Block, table: &RoleTable) -> Certificate {
        let height = block.header.height;
        let round = Round(u32::from(height.0.is_multiple_of(7)));
        let mut commit = Commit { height, round, block: Some(block.id()), signatures: Vec::new() };
        let mut observations = Vec::new();
        for validator in table.validators() {
            if self.dead.contains(&validator.key) {
                commit.signatures.push(None);
                observations.push(None);
                continue;
            }
            let key = secret_of(&validator.key);
            let timestamp = block.header.time;
            let address = validator.address;
            let mut sig = CommitSig { address, timestamp, signature: key.sign(&[]) };
            sig.signature = key.sign(&commit.sign_bytes(&chain_id(), &sig));
            commit.signatures.push(Some(sig));
            let seen = self.tip().register.nodes.keys().map(|node| !self.dead.contains(node));
            observations.push(Some(observation_by(&key, height.0, round.0, seen)));
        }
        Certificate { commit, observations }
    }

    /// Two prevotes of a holder at the last height, as evidence.
    fn double_vote(&self, key: &PublicKey) -> Evidence {
        let (secret, height) = (secret_of(key), self.tip().height);
        let (index, validator) = self.tip().table.by_key(key).expect("a holder");
        let vote = |block| {
            let mut vote = Vote {
                kind: VoteKind::Prevote,
                height,
                round: Round(0),
                block,
                timestamp: time(0),
                validator_index: u16::try_from(index).expect("an index"),
                validator_address: validator.address,
                signature: secret.sign(&[]),
                observation: None,
            };
            vote.signature = secret.sign(&vote.sign_bytes(&chain_id()));
            vote
        };
        let complete = self.ledger.evidence(&vote(None), &vote(Some(hash(1))), *key);
        complete.expect("memory does not fail").expect("evidence")
    }

    /// A transaction of key `sender` that is valid for some blocks.
    pub fn tx(&self, sender: u8, call: Call) -> Tx {
        let (chain_id, valid_until) = (chain_id(), self.tip().height.plus(100));
        let body = TxBody { chain_id, sender: public(sender), nonce: 1, valid_until, call };
        Tx::sign(body, &secret(sender))
    }

    /// The holder of a seat and its term by the header of a height.
    pub fn holder(&self, seat: &str, height: u64) -> (PublicKey, Term) {
        let index = usize::try_from(height - 1).expect("a height");
        let seat = &self.headers[index].table.seats()[&org(seat)];
        (seat.holder, seat.term)
    }
}

/// A chain with an automatic switch of alpha's seat at height 18 and a planned one of beta's at 24,
/// 30 blocks long.
pub fn with_switches() -> Chain {
    let mut chain = Chain::new();
    chain.grow_by(5);
    chain.dead.insert(public(1));
    chain.grow_by(16);
    chain.dead.clear();
    let switch = standby::Call::Switch { seat: org("beta"), target: public(12), term: Term(0) };
    let tx = chain.tx(102, Call::Standby(switch));
    let receipts = chain.grow(vec![tx]);
    assert!(receipts.iter().all(Receipt::is_ok), "{receipts:?}");
    chain.grow_by(8);
    chain
}

/// A chain whose blocks hold every kind of call, evidence included, so that its state holds every
/// kind of value.
pub fn with_every_call() -> Chain {
    use consortium::Call as C;
    use records::Call as R;
    let mut chain = Chain::new();
    let data_set = || "prices.eu".parse().expect("a name");
    let (key, expected) = (b"2026-11-22".to_vec(), None);
    let put = |content_type: Option<&str>, value: &[u8]| R::Put {
        data_set: data_set(),
        key: key.clone(),
        content_type: content_type.map(|text| text.parse().expect("a content type")),
        value: value.to_vec(),
        expected,
    };
    let proof = consortium::registration_proof(&chain_id(), &org("alpha"), &secret(41));
    let at = |n: u8| vec![format!("/ip4/192.0.2.{n}/tcp/26656")];
    let switch = standby::Call::Switch { seat: org("delta"), target: public(14), term: Term(0) };
    let parameters = parameters::Parameters { failover_blocks: 12, ..genesis().parameters };
    let (force, expires) = (false, time(86_400_000));
    let propose = |change| (101, Call::Consortium(C::Propose { change, force, expires }));
    let vote = |by: u8, motion| (by, Call::Consortium(C::Vote { motion }));
    let new = |name: &str, n: u8| Change::AddOrg {
        name: org(name),
        admin_key: public(n),
        power: Power(1),
    };
    let (epsilon, zeta) = (|| org("epsilon"), || org("zeta"));
    let add = C::AddUser {
        user: public(51),
        role: UserRole::Reader,
        proof: consortium::registration_proof(&chain_id(), &org("alpha"), &secret(51)),
    };
    let grant = |to, range, right| {
        (101, Call::Rights(rights::Call::Grant { data_set: data_set(), to, range, right }))
    };
    let user = || Grantee::User { org: org("delta"), key: public(34) };
    let owner = Grantee::Org(org("alpha"));
    let revoke = rights::Call::Revoke { data_set: data_set(), to: owner, range: Range::all() };
    let proof_of_admin = consortium::registration_proof(&chain_id(), &org("beta"), &secret(112));
    let invitation = samples::invitation(consortium::InvitedAs::Replacement { lost: public(21) });
    let claim = invitation.claim(&secret(120), &public(42));
    let blocks: [Vec<(u8, Call)>; 5] = [
        vec![
            (101, Call::Records(R::Create { data_set: data_set() })),
            (101, Call::Records(put(None, b"41"))),
            (31, Call::Records(put(None, b"42"))),
            (101, Call::Consortium(add)),
            (101, Call::Consortium(C::RemoveUser { user: public(31) })),
        ],
        vec![
            (
                101,
                Call::Consortium(C::RegisterNode {
                    node: public(41),
                    proof,
                    pair: false,
                    addresses: at(41),
                }),
            ),
            (102, Call::Consortium(C::RemoveNode { node: public(22) })),
            (103, Call::Consortium(C::SetPartner { node: public(23) })),
            (1, Call::Consortium(C::SetAddresses { addresses: at(51) })),
        ],
        vec![
            (104, Call::Standby(switch)),
            (101, Call::Records(R::Delete { data_set: data_set(), key: key.clone(), expected })),
            (101, Call::Records(put(Some("text/plain"), b"43"))),
            (101, Call::Consortium(C::SetRole { user: public(51), role: UserRole::Auditor })),
            grant(Grantee::Members, Range::all(), Right::Read),
            grant(Grantee::Org(org("beta")), Range::prefix(b"2026-"), Right::Write),
            grant(Grantee::Org(org("beta")), Range::prefix(b"2027-"), Right::Admin),
            grant(user(), Range::prefix(b"2026-11-"), Right::Admin),
            (101, Call::Rights(revoke)),
        ],
        vec![
            propose(new("epsilon", 105)),
            vote(102, 1),
            vote(103, 1),
            propose(new("zeta", 106)),
            vote(102, 2),
            vote(103, 2),
        ],
        vec![
            propose(Change::RemoveOrg { name: epsilon() }),
            vote(102, 3),
            vote(103, 3),
            vote(104, 3),
            propose(Change::SuspendOrg { name: zeta() }),
            vote(102, 4),
            vote(103, 4),
            propose(Change::SetParameters(parameters)),
            (102, Call::Consortium(C::SetAdminKey { key: public(112), proof: proof_of_admin })),
            (42, Call::Consortium(C::RegisterInvited { invitation, claim, addresses: Vec::new() })),
        ],
    ];
    for calls in blocks {
        let txs = calls.into_iter().map(|(sender, call)| chain.tx(sender, call)).collect();
        let receipts = chain.grow(txs);
        assert!(receipts.iter().all(Receipt::is_ok), "{receipts:?}");
    }
    let evidence = chain.double_vote(&public(2));
    chain.grow_with(Vec::new(), vec![evidence]);
    chain.grow_by(2);
    chain
}

#[test]
fn a_light_client_follows_switches_of_the_real_ledger() {
    let chain = with_switches();
    // Dead from height 6 on, recorded from 7 on; the tenth such record fixes table(16 + 2).
    assert_eq!(chain.holder("alpha", 17), (public(1), Term(0)));
    assert_eq!(chain.holder("alpha", 18), (public(11), Term(1)));
    // The planned one is in block 22.
    assert_eq!(chain.holder("beta", 23), (public(2), Term(0)));
    assert_eq!(chain.holder("beta", 24), (public(12), Term(1)));
    assert_eq!(chain.holder("alpha", 30), (public(11), Term(1)), "no switch back");
    let skipped = check_all_pairs(&chain.headers);
    assert_eq!(skipped, 30 * 29 / 2 - 29, "half of the seats stay: any header can be skipped to");
}

#[test]
fn a_light_client_follows_the_loss_of_a_seat_by_double_signing() {
    let mut chain = Chain::new();
    chain.grow_by(4);
    let evidence = chain.double_vote(&public(3));
    chain.grow_with(Vec::new(), vec![evidence]);
    chain.grow_by(4);
    assert_eq!(chain.holder("gamma", 6), (public(3), Term(0)));
    assert_eq!(chain.holder("gamma", 7), (public(13), Term(1)));
    check_all_pairs(&chain.headers);
}

#[test]
fn a_light_client_refuses_the_old_holder_after_a_switch_of_the_real_ledger() {
    use tendermint_light_client_verifier::Verdict;
    let chain = with_switches();
    let (announcing, mut forged) = (&chain.headers[16], chain.headers[17].clone());
    forged.table = announcing.table.clone();
    forged.header.validators_hash = comet::validators_hash(&forged.table);
    forged.sign(&chain_id(), Round(0), &[]);
    assert!(forged.commit.check_signatures(&Strict, &chain_id(), &forged.table).is_ok());
    let verdict = crate::light_client::verdict(announcing, &forged);
    assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict:?}");
}
