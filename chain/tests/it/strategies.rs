//! Arbitrary values of every type that is sent or stored, for proptest.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tandem_chain::block::{Block, Certificate, Commit, CommitSig, Header};
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::{PublicKey, Signature};
use tandem_chain::liveness::{LivenessRecord, Observation, SignedRecord};
use tandem_chain::modules::consortium::{Change, Policy, Threshold, UserRole};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::rights::{self, Grantee, Range, Right};
use tandem_chain::modules::{Call, consortium, records, standby};
use tandem_chain::permit::{Part, Permit, PermitBody};
use tandem_chain::roles::{NodeEntry, Register, RoleTable, Seat};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{
    Address, ChainId, ContentType, DataSetName, Hash, Height, OrgName, Power, Round, Term,
    Timestamp,
};
use tandem_chain::vote::{Vote, VoteKind};

use crate::samples::secret;

fn chain_id() -> impl Strategy<Value = ChainId> {
    "[A-Za-z0-9._-]{1,50}".prop_map(|text| text.parse().expect("a chain id"))
}

fn org_name() -> impl Strategy<Value = OrgName> {
    "[a-z0-9-]{1,32}".prop_map(|text| text.parse().expect("a name"))
}

fn data_set_name() -> impl Strategy<Value = DataSetName> {
    "[a-z0-9._-]{1,32}".prop_map(|text| text.parse().expect("a name"))
}

fn content_type() -> impl Strategy<Value = ContentType> {
    let name = "[A-Za-z0-9][A-Za-z0-9.+-]{0,9}";
    let value = "([a-z0-9]{1,9}|\"[a-z0-9 ;=/]{0,9}\")";
    let text = proptest::string::string_regex(&format!("{name}/{name}( ?; ?a={value})?"));
    text.expect("a pattern").prop_map(|text| text.parse().expect("a content type"))
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn public_key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address)
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<[u8; 32]>().prop_map(|half| {
        let mut bytes = [7; 64];
        bytes[..32].copy_from_slice(&half);
        Signature(bytes)
    })
}

fn height() -> impl Strategy<Value = Height> {
    any::<u64>().prop_map(Height)
}

fn round() -> impl Strategy<Value = Round> {
    any::<u32>().prop_map(Round)
}

fn power() -> impl Strategy<Value = Power> {
    (1..1_u64 << 40).prop_map(Power)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

pub fn observation() -> impl Strategy<Value = Observation> {
    (vec(any::<bool>(), 0..40), signature())
        .prop_map(|(seen, signature)| Observation { seen: seen.into_iter().collect(), signature })
}

pub fn vote() -> impl Strategy<Value = Vote> {
    let kind = prop_oneof![Just(VoteKind::Prevote), Just(VoteKind::Precommit)];
    let who = (any::<u16>(), address(), signature());
    let what = (height(), round(), option::of(hash()), time());
    (kind, what, who, option::of(observation())).prop_map(
        |(kind, (height, round, block, timestamp), who, observation)| Vote {
            kind,
            height,
            round,
            block,
            timestamp,
            validator_index: who.0,
            validator_address: who.1,
            signature: who.2,
            observation,
        },
    )
}

pub fn evidence() -> impl Strategy<Value = Evidence> {
    (vote(), vote(), public_key(), power(), power(), time())
        .prop_map(|(a, b, key, total, power, time)| Evidence::new(&a, &b, key, total, power, time))
}

fn commit() -> impl Strategy<Value = Commit> {
    let sig = (address(), time(), signature())
        .prop_map(|(address, timestamp, signature)| CommitSig { address, timestamp, signature });
    let signatures = vec(option::of(sig), 0..6);
    (height(), round(), option::of(hash()), signatures)
        .prop_map(|(height, round, block, signatures)| Commit { height, round, block, signatures })
}

pub fn certificate() -> impl Strategy<Value = Certificate> {
    (commit(), vec(option::of(observation()), 0..6))
        .prop_map(|(commit, observations)| Certificate { commit, observations })
}

pub fn record() -> impl Strategy<Value = SignedRecord> {
    let observations = vec(option::of(observation()), 0..6);
    (height(), vec(any::<bool>(), 0..40), observations, signature()).prop_map(
        |(height, alive, observations, signature)| SignedRecord {
            record: LivenessRecord { height, alive: alive.into_iter().collect(), observations },
            signature,
        },
    )
}

fn addresses() -> impl Strategy<Value = Vec<String>> {
    vec(any::<String>(), 0..4)
}

fn parameters() -> impl Strategy<Value = Parameters> {
    (any::<[u64; 4]>()).prop_map(|n| Parameters {
        idle_block_interval_ms: n[0],
        network_bound_ms: n[1],
        failover_blocks: n[2],
        block_max_bytes: n[3],
        ..Parameters::lan()
    })
}

fn invitation() -> impl Strategy<Value = consortium::Invitation> {
    use consortium::InvitedAs;
    let part = prop_oneof![
        Just(InvitedAs::Standby),
        Just(InvitedAs::Observer),
        public_key().prop_map(|lost| InvitedAs::Replacement { lost }),
    ];
    (chain_id(), org_name(), public_key(), part, time(), signature()).prop_map(
        |(chain_id, org, claim, part, valid_until, signature)| {
            let body = consortium::InvitationBody { chain_id, org, claim, part, valid_until };
            consortium::Invitation { body, signature }
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    use consortium::Call as C;
    use records::Call as R;
    let bytes = || vec(any::<u8>(), 0..50);
    let expected = || option::of(any::<u64>());
    prop_oneof![
        (public_key(), signature(), any::<bool>(), addresses()).prop_map(
            |(node, proof, pair, addresses)| Call::Consortium(C::RegisterNode {
                node,
                proof,
                pair,
                addresses
            })
        ),
        public_key().prop_map(|node| Call::Consortium(C::RemoveNode { node })),
        public_key().prop_map(|node| Call::Consortium(C::SetPartner { node })),
        addresses().prop_map(|addresses| Call::Consortium(C::SetAddresses { addresses })),
        (public_key(), role(), signature())
            .prop_map(|(user, role, proof)| { Call::Consortium(C::AddUser { user, role, proof }) }),
        (public_key(), role()).prop_map(|(user, role)| Call::Consortium(C::SetRole { user, role })),
        public_key().prop_map(|user| Call::Consortium(C::RemoveUser { user })),
        (org_name(), public_key(), any::<u64>()).prop_map(|(seat, target, term)| {
            Call::Standby(standby::Call::Switch { seat, target, term: Term(term) })
        }),
        (change(), any::<bool>(), time()).prop_map(|(change, force, expires)| {
            Call::Consortium(C::Propose { change, force, expires })
        }),
        any::<u64>().prop_map(|motion| Call::Consortium(C::Vote { motion })),
        (public_key(), signature())
            .prop_map(|(key, proof)| Call::Consortium(C::SetAdminKey { key, proof })),
        (invitation(), signature(), addresses()).prop_map(|(invitation, claim, addresses)| {
            Call::Consortium(C::RegisterInvited { invitation, claim, addresses })
        }),
        data_set_name().prop_map(|data_set| Call::Records(R::Create { data_set })),
        (data_set_name(), bytes(), option::of(content_type()), bytes(), expected()).prop_map(
            |(data_set, key, content_type, value, expected)| Call::Records(R::Put {
                data_set,
                key,
                content_type,
                value,
                expected
            })
        ),
        (data_set_name(), bytes(), expected()).prop_map(|(data_set, key, expected)| {
            Call::Records(R::Delete { data_set, key, expected })
        }),
        (data_set_name(), grantee(), range(), right()).prop_map(|(data_set, to, range, right)| {
            Call::Rights(rights::Call::Grant { data_set, to, range, right })
        }),
        (data_set_name(), grantee(), range()).prop_map(|(data_set, to, range)| {
            Call::Rights(rights::Call::Revoke { data_set, to, range })
        }),
    ]
}

fn role() -> impl Strategy<Value = UserRole> {
    prop::sample::select(UserRole::ALL.to_vec())
}

fn right() -> impl Strategy<Value = Right> {
    prop::sample::select(Right::ALL.to_vec())
}

fn grantee() -> impl Strategy<Value = Grantee> {
    prop_oneof![
        Just(Grantee::Members),
        org_name().prop_map(Grantee::Org),
        (org_name(), public_key()).prop_map(|(org, key)| Grantee::User { org, key }),
    ]
}

fn range() -> impl Strategy<Value = Range> {
    let key = || vec(any::<u8>(), 0..9);
    (key(), key()).prop_map(|(from, until)| Range { from, until })
}

pub fn permit() -> impl Strategy<Value = Permit> {
    let node = option::of(public_key());
    let part = (data_set_name(), range()).prop_map(|(data_set, range)| Part { data_set, range });
    let only = option::of(part);
    (chain_id(), node, option::of(hash()), time(), only).prop_map(
        |(chain_id, node, request, ends, only)| {
            let key = secret(1);
            let reader = key.public();
            Permit::sign(PermitBody { chain_id, reader, node, request, ends, only }, &key)
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let threshold = || prop::sample::select(Threshold::ALL.to_vec());
    (threshold(), threshold(), threshold()).prop_map(|(add, remove, policy)| Policy {
        add,
        remove,
        policy,
        ..Policy::default()
    })
}

pub fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (org_name(), public_key(), power()).prop_map(|(name, admin_key, power)| Change::AddOrg {
            name,
            admin_key,
            power
        }),
        org_name().prop_map(|name| Change::RemoveOrg { name }),
        org_name().prop_map(|name| Change::SuspendOrg { name }),
        org_name().prop_map(|name| Change::RestoreOrg { name }),
        (org_name(), power()).prop_map(|(name, power)| Change::SetPower { name, power }),
        (org_name(), public_key()).prop_map(|(name, key)| Change::ReplaceAdminKey { name, key }),
        parameters().prop_map(Change::SetParameters),
        policy().prop_map(Change::SetPolicy),
    ]
}

pub fn tx() -> impl Strategy<Value = Tx> {
    (chain_id(), any::<u64>(), height(), call()).prop_map(|(chain_id, nonce, valid_until, call)| {
        let key = secret(1);
        let sender = key.public();
        Tx::sign(TxBody { chain_id, sender, nonce, valid_until, call }, &key)
    })
}

fn header() -> impl Strategy<Value = Header> {
    let hashes = proptest::array::uniform8(hash());
    (chain_id(), height(), time(), option::of(hash()), hashes, address()).prop_map(
        |(chain_id, height, time, last_block_id, hashes, proposer_address)| Header {
            chain_id,
            height,
            time,
            last_block_id,
            last_commit_hash: hashes[0],
            data_hash: hashes[1],
            validators_hash: hashes[2],
            next_validators_hash: hashes[3],
            consensus_hash: hashes[4],
            app_hash: hashes[5],
            last_results_hash: hashes[6],
            evidence_hash: hashes[7],
            proposer_address,
        },
    )
}

pub fn block() -> impl Strategy<Value = Block> {
    (header(), record(), vec(tx(), 0..4), vec(evidence(), 0..3), commit()).prop_map(
        |(header, record, txs, evidence, last_commit)| Block {
            header,
            record,
            txs,
            evidence,
            last_commit,
        },
    )
}

pub fn role_table() -> impl Strategy<Value = RoleTable> {
    let seat = (public_key(), power(), any::<u64>()).prop_map(|(holder, power, term)| Seat {
        holder,
        power,
        term: Term(term),
    });
    btree_map(org_name(), seat, 0..6).prop_map(RoleTable::from)
}

pub fn register() -> impl Strategy<Value = Register> {
    let node = (org_name(), any::<bool>(), addresses())
        .prop_map(|(org, pair, addresses)| NodeEntry { org, pair, addresses });
    btree_map(public_key(), node, 0..6).prop_map(|nodes| Register { nodes })
}
