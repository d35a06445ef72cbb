//! Values that several tests use: fixed keys, tables, votes and blocks.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, CommitSig, Header};
use tandem_chain::comet;
use tandem_chain::evidence::Evidence;
use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use tandem_chain::keys::{Domain, PublicKey, SecretKey, Signature};
use tandem_chain::liveness::{Bits, LivenessRecord, Observation, SignedRecord};
use tandem_chain::modules::consortium::{Change, Policy, UserRole};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::rights::{self, Grantee, Range, Right};
use tandem_chain::modules::{Call, consortium, records, standby};
use tandem_chain::permit::{Part, Permit, PermitBody};
use tandem_chain::roles::{NodeEntry, Register, RoleTable, Seat};
use tandem_chain::snapshot::{self, Chunk, Item, Manifest};
use tandem_chain::tree;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{ChainId, Hash, Height, OrgName, Power, Round, Term, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};

/// The chain that samples are of.
pub fn chain_id() -> ChainId {
    "tandem-golden-1".parse().expect("a chain id")
}

/// Key number `n`.
pub fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// Public key number `n`.
pub fn public(n: u8) -> PublicKey {
    secret(n).public()
}

/// The secret of a key number.
pub fn secret_of(key: &PublicKey) -> SecretKey {
    static NUMBERS: LazyLock<BTreeMap<PublicKey, u8>> =
        LazyLock::new(|| (0..=255).map(|n| (public(n), n)).collect());
    secret(NUMBERS[key])
}

/// A hash of the bytes `n`.
pub fn hash(n: u8) -> Hash {
    Hash([n; 32])
}

/// An organisation's name.
pub fn org(name: &str) -> OrgName {
    name.parse().expect("a name")
}

/// 14 November 2023, 22:13:20 UTC, and `ms` milliseconds and one nanosecond.
pub fn time(ms: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000_001 + ms * 1_000_000)
}

/// A table of seats: name, key number of the holder, power, term.
pub fn table(seats: &[(&str, u8, u64, u64)]) -> RoleTable {
    let seats = seats.iter().map(|(name, key, power, term)| {
        (org(name), Seat { holder: public(*key), power: Power(*power), term: Term(*term) })
    });
    RoleTable::from(seats.collect::<BTreeMap<_, _>>())
}

/// Four seats, one of double power, one after a switch.
pub fn sample_table() -> RoleTable {
    table(&[("alpha", 1, 1, 0), ("beta", 2, 2, 0), ("gamma", 13, 1, 1), ("delta", 4, 1, 0)])
}

/// Three nodes: a pair and an observer.
pub fn sample_register() -> Register {
    let node = |n: u8, name: &str, pair, addresses: &[&str]| {
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        (public(n), NodeEntry { org: org(name), pair, addresses })
    };
    let nodes = [
        node(1, "alpha", true, &["/ip4/192.0.2.1/tcp/26656", "/dns4/alpha.example/tcp/26656"]),
        node(11, "alpha", true, &["/ip4/192.0.2.11/tcp/26656"]),
        node(2, "beta", false, &[]),
    ];
    Register { nodes: nodes.into() }
}

/// Four organisations of three nodes: validator n, standby 10 + n, observer 20 + n, admin key
/// 100 + n, user 30 + n.
pub fn genesis() -> Genesis {
    let node = |n: u8, role| GenesisNode {
        key: public(n),
        role,
        addresses: vec![format!("/ip4/192.0.2.{n}/tcp/26656")],
    };
    let org = |name: &str, n: u8| GenesisOrg {
        name: org(name),
        admin_key: public(100 + n),
        power: Power(1),
        nodes: vec![
            node(n, GenesisRole::Validator),
            node(10 + n, GenesisRole::Standby),
            node(20 + n, GenesisRole::Observer),
        ],
        users: vec![public(30 + n)],
    };
    Genesis {
        chain_id: chain_id(),
        genesis_time: time(0),
        parameters: Parameters::wan(),
        policy: Policy::default(),
        organizations: vec![org("alpha", 1), org("beta", 2), org("gamma", 3), org("delta", 4)],
    }
}

/// What a validator saw at a height and round.
pub fn observation_by(
    key: &SecretKey,
    height: u64,
    round: u32,
    seen: impl IntoIterator<Item = bool>,
) -> Observation {
    let seen: Bits = seen.into_iter().collect();
    let (height, round) = (Height(height), Round(round));
    let bytes = comet::extension_sign_bytes(&chain_id(), height, round, &seen.to_extension());
    Observation { signature: key.sign(&bytes), seen }
}

/// What key `n` saw at a height and round.
pub fn observation(n: u8, height: u64, round: u32, seen: &[bool]) -> Observation {
    observation_by(&secret(n), height, round, seen.iter().copied())
}

/// A vote of key 1 at height 7, round 2.
pub fn vote(kind: VoteKind, block: Option<Hash>) -> Vote {
    let seen = [true, false, true, true, true, true, true, false, true];
    let wants = kind == VoteKind::Precommit && block.is_some();
    let mut vote = Vote {
        kind,
        height: Height(7),
        round: Round(2),
        block,
        timestamp: time(70),
        validator_index: 3,
        validator_address: public(1).address(),
        signature: Signature([0; 64]),
        observation: wants.then(|| observation(1, 7, 2, &seen)),
    };
    vote.signature = secret(1).sign(&vote.sign_bytes(&chain_id()));
    vote
}

/// Two precommits of key 1, one for nil.
pub fn evidence() -> Evidence {
    let (one, other) = (vote(VoteKind::Precommit, Some(hash(9))), vote(VoteKind::Precommit, None));
    Evidence::new(&one, &other, public(1), Power(5), Power(1), time(60))
}

/// A certificate for `block` at a height, by all of [`sample_table`] but the last in its order.
pub fn certificate(height: u64, block: Hash) -> Certificate {
    let table = sample_table();
    let mut commit = Commit {
        height: Height(height),
        round: Round(1),
        block: Some(block),
        signatures: Vec::new(),
    };
    let mut observations = Vec::new();
    for validator in &table.validators()[..3] {
        let secret = secret_of(&validator.key);
        let address = validator.address;
        let mut sig = CommitSig { address, timestamp: time(80), signature: Signature([0; 64]) };
        sig.signature = secret.sign(&commit.sign_bytes(&chain_id(), &sig));
        commit.signatures.push(Some(sig));
        observations.push(Some(observation_by(&secret, height, 1, [true, true, false])));
    }
    commit.signatures.push(None);
    observations.push(None);
    Certificate { commit, observations }
}

/// The record of block 8, signed by key 2.
pub fn record() -> SignedRecord {
    let observations = certificate(7, hash(7)).observations;
    LivenessRecord::derive(Height(8), &sample_table(), &sample_register(), observations)
        .sign(&chain_id(), &secret(2))
}

/// An invitation by alpha.
pub fn invitation(part: consortium::InvitedAs) -> consortium::Invitation {
    let body = consortium::InvitationBody {
        chain_id: chain_id(),
        org: org("alpha"),
        claim: public(120),
        part,
        valid_until: time(86_400_000),
    };
    consortium::Invitation::sign(body, &secret(101))
}

/// Every call, by name.
pub fn calls() -> Vec<(&'static str, Call)> {
    use consortium::Call as C;
    use records::Call as R;
    let node = public(14);
    let addresses = vec!["/ip4/192.0.2.14/tcp/26656".to_owned()];
    let (places, invitation) = (addresses.clone(), invitation(consortium::InvitedAs::Standby));
    let claim = invitation.claim(&secret(120), &public(21));
    let data_set = || "prices.eu".parse().expect("a name");
    let key = b"2026-11-22".to_vec();
    let register = C::RegisterNode {
        node,
        proof: secret(14).sign(b"a proof"),
        pair: true,
        addresses: addresses.clone(),
    };
    let switch = standby::Call::Switch { seat: org("gamma"), target: public(3), term: Term(1) };
    let (force, expires) = (false, time(400));
    let changes = changes().into_iter();
    let mut all: Vec<_> = changes
        .map(|(name, change)| (name, Call::Consortium(C::Propose { change, force, expires })))
        .collect();
    all.extend([
        ("consortium.vote", Call::Consortium(C::Vote { motion: 7 })),
        (
            "consortium.set_admin_key",
            Call::Consortium(C::SetAdminKey { key: node, proof: secret(14).sign(b"a proof") }),
        ),
        (
            "consortium.register_invited",
            Call::Consortium(C::RegisterInvited { invitation, claim, addresses: places }),
        ),
        (
            "consortium.set_role",
            Call::Consortium(C::SetRole { user: public(15), role: UserRole::Auditor }),
        ),
    ]);
    let user = Grantee::User { org: org("beta"), key: public(32) };
    let grantees = [
        ("rights.grant to members", Grantee::Members, Right::Read),
        ("rights.grant to an organisation", Grantee::Org(org("beta")), Right::Write),
        ("rights.grant to a user", user, Right::Admin),
    ];
    let range = || Range::prefix(b"2026-");
    all.extend(grantees.into_iter().map(|(name, to, right)| {
        let grant = rights::Call::Grant { data_set: data_set(), to, range: range(), right };
        (name, Call::Rights(grant))
    }));
    let revoke =
        rights::Call::Revoke { data_set: data_set(), to: Grantee::Members, range: range() };
    all.push(("rights.revoke", Call::Rights(revoke)));
    let mut calls = vec![
        ("consortium.register_node", Call::Consortium(register)),
        ("consortium.remove_node", Call::Consortium(C::RemoveNode { node })),
        ("consortium.set_partner", Call::Consortium(C::SetPartner { node })),
        ("consortium.set_addresses", Call::Consortium(C::SetAddresses { addresses })),
        (
            "consortium.add_user",
            Call::Consortium(C::AddUser {
                user: public(15),
                role: UserRole::Reader,
                proof: secret(15).sign(b"a proof"),
            }),
        ),
        ("consortium.remove_user", Call::Consortium(C::RemoveUser { user: public(15) })),
        ("standby.switch", Call::Standby(switch)),
        ("records.create", Call::Records(R::Create { data_set: data_set() })),
        (
            "records.put",
            Call::Records(R::Put {
                data_set: data_set(),
                key: key.clone(),
                content_type: None,
                value: b"42".to_vec(),
                expected: Some(3),
            }),
        ),
        (
            "records.put with a content type",
            Call::Records(R::Put {
                data_set: data_set(),
                key: key.clone(),
                content_type: Some("text/csv; charset=utf-8".parse().expect("a content type")),
                value: b"42".to_vec(),
                expected: None,
            }),
        ),
        ("records.delete", Call::Records(R::Delete { data_set: data_set(), key, expected: None })),
    ];
    calls.extend(all);
    calls
}

/// Every change that a motion may propose, by name of its call.
pub fn changes() -> Vec<(&'static str, Change)> {
    let name = || org("epsilon");
    let add = Change::AddOrg { name: name(), admin_key: public(105), power: Power(1) };
    let key = Change::ReplaceAdminKey { name: name(), key: public(106) };
    vec![
        ("consortium.propose add", add),
        ("consortium.propose remove", Change::RemoveOrg { name: name() }),
        ("consortium.propose suspend", Change::SuspendOrg { name: name() }),
        ("consortium.propose restore", Change::RestoreOrg { name: name() }),
        ("consortium.propose power", Change::SetPower { name: name(), power: Power(2) }),
        ("consortium.propose admin_key", key),
        ("consortium.propose parameters", Change::SetParameters(Parameters::wan())),
        ("consortium.propose policy", Change::SetPolicy(Policy::default())),
    ]
}

/// A transaction of key 21.
pub fn tx(call: Call) -> Tx {
    Tx::sign(tx_body(call), &secret(21))
}

/// What [`tx`] signs.
pub fn tx_body(call: Call) -> TxBody {
    let (chain_id, sender) = (chain_id(), public(21));
    TxBody { chain_id, sender, nonce: 0x0123_4567_89ab_cdef, valid_until: Height(500), call }
}

/// Block 8 of a chain, with two transactions and evidence.
pub fn block() -> Block {
    let (record, evidence) = (record(), vec![evidence()]);
    let txs: Vec<Tx> = calls().into_iter().skip(7).take(2).map(|(_, call)| tx(call)).collect();
    let last_commit = certificate(7, hash(7)).commit;
    let table = sample_table();
    let header = Header {
        chain_id: chain_id(),
        height: Height(8),
        time: time(90),
        last_block_id: last_commit.block,
        last_commit_hash: comet::commit_hash(&last_commit),
        data_hash: comet::data_hash(&record, &txs),
        validators_hash: comet::validators_hash(&table),
        next_validators_hash: comet::validators_hash(&table),
        consensus_hash: comet::consensus_hash(2 * 1024 * 1024),
        app_hash: hash(5),
        last_results_hash: comet::results_hash([(0, &[][..]), (10, b"x")]),
        evidence_hash: comet::evidence_hash(&evidence),
        proposer_address: public(2).address(),
    };
    Block { header, record, txs, evidence, last_commit }
}

/// Block 1: no parent, an empty record and certificate.
pub fn first_block() -> Block {
    let record = LivenessRecord { height: Height(1), ..LivenessRecord::default() };
    let record = record.sign(&chain_id(), &secret(1));
    let block = block();
    let header = Header {
        height: Height(1),
        last_block_id: None,
        last_commit_hash: Hash::EMPTY,
        data_hash: comet::data_hash(&record, &[]),
        last_results_hash: Hash::EMPTY,
        evidence_hash: Hash::EMPTY,
        ..block.header
    };
    let (txs, evidence, last_commit) = (Vec::new(), Vec::new(), Commit::default());
    Block { header, record, txs, evidence, last_commit }
}

/// [`block`] with a certificate for it.
pub fn certified_block() -> CertifiedBlock {
    let block = block();
    let certificate = certificate(8, block.id());
    CertifiedBlock { block: block.into(), certificate }
}

/// A snapshot of a state of two entries: its one chunk, and the manifest.
pub fn snapshot() -> (Manifest, Chunk) {
    let item = |key: &str, value: &str| Item { key: key.into(), value: value.into() };
    let chunk = Chunk::new(vec![item("records/a", "1"), item("records/b", "22")]);
    let whole = snapshot::Range { path: Vec::new(), first: 0, count: 16 };
    let state = chunk.items().iter().map(|item| (item.key.as_slice(), item.value.as_slice()));
    let (app_hash, tile) = (tree::root_of(state), chunk.tile(&whole).expect("of the whole"));
    let manifest = Manifest::new(chain_id(), Height(8), app_hash, vec![tile]);
    (manifest.expect("all of the state"), chunk)
}

/// A permit of key 31 for one request at node 2, a token of it for any node, and one for a part of the
/// records.
pub fn permits() -> [Permit; 3] {
    let body = PermitBody {
        chain_id: chain_id(),
        reader: public(31),
        node: Some(public(2)),
        request: Some(hash(3)),
        ends: time(300_000),
        only: None,
    };
    let token = PermitBody { node: None, request: None, ..body.clone() };
    let data_set = "prices.eu".parse().unwrap();
    let only = Some(Part { data_set, range: Range::prefix(b"2026-") });
    let part = PermitBody { only, ..token.clone() };
    [body, token, part].map(|body| Permit::sign(body, &secret(31)))
}

/// What key 21 signs in each domain but those of follow messages, which `consensus` has, and of
/// visits, which `node` has.
pub fn domain_sign_bytes() -> Vec<(&'static str, Vec<u8>)> {
    let (id, call) = (chain_id(), calls().remove(0).1);
    let invited = invitation(consortium::InvitedAs::Standby);
    vec![
        ("transaction", Domain::Transaction.sign_bytes(&id, &tx_body(call))),
        ("liveness record", Domain::LivenessRecord.sign_bytes(&id, &record().record)),
        ("registration", Domain::Registration.sign_bytes(&id, &(org("alpha"), public(14)))),
        ("invitation", Domain::Invitation.sign_bytes(&id, &invited.body)),
        ("claim", Domain::Claim.sign_bytes(&id, &(org("alpha"), public(14)))),
        ("permit", Domain::Permit.sign_bytes(&id, &permits()[0].body)),
    ]
}
