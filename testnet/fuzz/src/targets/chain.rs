//! Decoders of the chain.

use std::collections::BTreeMap;

use multiaddr::Multiaddr;
use tandem_chain::block::{Block, Certificate, CertifiedBlock, Commit, Header};
use tandem_chain::codec;
use tandem_chain::evidence::Evidence;
use tandem_chain::genesis::{Genesis, GenesisOrg};
use tandem_chain::keys::{PublicKey, Signature, Strict};
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::liveness::{Bits, Observation, SignedRecord};
use tandem_chain::modules::consortium::{
    Closed, Docket, KeyEntry, Motion, Org, Policy, User, UserRole, check_addresses,
};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::rights::{Grant, Right};
use tandem_chain::modules::standby::{SeatState, Switch};
use tandem_chain::permit::Permit;
use tandem_chain::roles::{Register, RoleTable};
use tandem_chain::tree::Proof;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{
    Address, ChainId, ContentType, DataSetName, Hash, OrgName, Timestamp, escaped,
};
use tandem_chain::vote::{Vote, VoteKind};

use crate::decoded::decoded;
use crate::{samples, seeds};

/// A transaction, and the checks that come before it is admitted.
pub fn tx(bytes: &[u8]) {
    let Ok(tx) = Tx::decode(bytes.to_vec()) else { return };
    assert_eq!(tx.bytes(), bytes);
    assert_eq!(tx.hash(), Hash::of(bytes));
    let _ = tx.verify(&Strict, &samples::chain_id());
    let _ = tx.verify(&Strict, &tx.body().chain_id);
    assert_eq!(decoded::<Tx>(&codec::encode(&tx)), Some(tx));
}

/// A block, and what is worked out of it.
pub fn block(bytes: &[u8]) {
    let Some(block) = decoded::<Block>(bytes) else { return };
    let _ = block.check_hashes();
    assert_eq!(block.id(), block.header.id());
    let chain_id = &block.header.chain_id;
    for sig in block.last_commit.signatures.iter().flatten() {
        let _ = block.last_commit.sign_bytes(chain_id, sig);
    }
    let _ = block.last_commit.check_power(&samples::sample_table());
    for evidence in &block.evidence {
        let _ = evidence.verify(&Strict, chain_id);
    }
    let _ = block.record.record.alive_nodes(&samples::sample_register());
}

/// Any other value that is sent or stored; the first byte chooses.
pub fn value(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 29 {
        0 => drop(decoded::<Vote>(bytes)),
        1 => drop(decoded::<Evidence>(bytes)),
        2 => drop(decoded::<Commit>(bytes)),
        3 => drop(decoded::<Certificate>(bytes)),
        4 => drop(decoded::<CertifiedBlock>(bytes)),
        5 => drop(decoded::<SignedRecord>(bytes)),
        6 => drop(decoded::<Observation>(bytes)),
        7 => drop(decoded::<Bits>(bytes)),
        8 => drop(decoded::<Header>(bytes)),
        9 => drop(decoded::<RoleTable>(bytes)),
        10 => drop(decoded::<Register>(bytes)),
        11 => {
            let Some(parameters) = decoded::<Parameters>(bytes) else { return };
            if parameters.faults().is_empty() {
                let table = samples::sample_table();
                let _ = parameters.liveness_grace(&table);
                let _ = (parameters.failover_min(&table), parameters.failover_blocks(&table));
            }
        }
        12 => drop(decoded::<Receipt>(bytes)),
        13 => drop(decoded::<Vec<Event>>(bytes)),
        14 => {
            let Some(genesis) = decoded::<Genesis>(bytes) else { return };
            let _ = genesis.validate();
        }
        15 => {
            let Some(proof) = decoded::<Proof>(bytes) else { return };
            assert!(!proof.verify(&samples::hash(1), b"key", Some(b"value")));
            let _ = proof.verify(&samples::hash(1), b"key", None);
        }
        16 => drop(decoded::<TxBody>(bytes)),
        17 => drop(decoded::<SeatState>(bytes)),
        18 => drop(decoded::<Switch>(bytes)),
        19 => drop(decoded::<Org>(bytes)),
        20 => drop(decoded::<KeyEntry>(bytes)),
        21 => drop(decoded::<Motion>(bytes)),
        22 => drop(decoded::<Docket>(bytes)),
        23 => {
            let Some(policy) = decoded::<Policy>(bytes) else { return };
            let _ = policy.faults();
        }
        24 => drop(decoded::<BTreeMap<OrgName, Closed>>(bytes)),
        25 => drop(decoded::<User>(bytes)),
        26 => drop(decoded::<Vec<Grant>>(bytes)),
        27 => {
            let Some(permit) = decoded::<Permit>(bytes) else { return };
            assert_eq!(permit.to_string().parse(), Ok(permit));
        }
        _ => {
            if let Ok(seen) = Bits::from_extension(bytes) {
                assert_eq!(seen.to_extension(), bytes);
            }
        }
    }
}

pub fn value_seeds() -> Vec<Vec<u8>> {
    let block = samples::block();
    let vote = samples::vote(VoteKind::Precommit, Some(samples::hash(9)));
    let observation = vote.observation.clone().expect("a precommit for a block has one");
    let receipt = Receipt { code: 1, data: vec![1], log: "log".to_owned(), events: Vec::new() };
    let siblings = vec![samples::hash(1), samples::hash(2)];
    let proof = Proof { siblings, leaf: Some((samples::hash(3), samples::hash(4))) };
    let seeds: Vec<(u8, Vec<u8>)> = vec![
        (0, codec::encode(&vote)),
        (1, codec::encode(&samples::evidence())),
        (2, codec::encode(&block.last_commit)),
        (3, codec::encode(&samples::certificate(7, samples::hash(7)))),
        (4, codec::encode(&samples::certified_block())),
        (5, codec::encode(&block.record)),
        (6, codec::encode(&observation)),
        (7, codec::encode(&observation.seen)),
        (8, codec::encode(&block.header)),
        (9, codec::encode(&samples::sample_table())),
        (10, codec::encode(&samples::sample_register())),
        (11, codec::encode(&Parameters::wan())),
        (12, codec::encode(&receipt)),
        (14, codec::encode(&samples::genesis())),
        (15, codec::encode(&proof)),
        (16, codec::encode(&samples::tx_body(samples::calls().remove(8).1))),
        (27, codec::encode(&samples::permits()[0])),
        (27, codec::encode(&samples::permits()[2])),
        (28, observation.seen.to_extension()),
    ];
    let stored = seeds::of_chain(&["standby/", "consortium/", "rights/"]).into_iter();
    let stored = stored.flat_map(|bytes| (17..27).map(move |kind| (kind, bytes.clone())));
    seeds.into_iter().chain(stored).map(|(kind, bytes)| [vec![kind], bytes].concat()).collect()
}

/// What stands as text in files, requests and arguments.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(escaped(text).chars().all(|c| !c.is_control()));
    if let Ok(genesis) = Genesis::from_json(text) {
        let _ = genesis.validate();
        assert_eq!(Genesis::from_json(&genesis.to_json()), Ok(genesis));
    }
    if let Ok(part) = serde_json::from_str::<GenesisOrg>(text) {
        let json = serde_json::to_string(&part).expect("strings, numbers and lists");
        assert_eq!(serde_json::from_str(&json).ok().as_ref(), Some(&part));
        let _ = Genesis { organizations: vec![part], ..samples::genesis() }.validate();
    }
    if check_addresses(&[text.to_owned()]).is_ok() {
        let address = text.parse::<Multiaddr>().expect("what stands on the chain can be dialled");
        assert_eq!(address.iter().count(), 2, "a host and a port");
    }
    if let Ok(id) = text.parse::<ChainId>() {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(name) = text.parse::<OrgName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(name) = text.parse::<DataSetName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(content_type) = text.parse::<ContentType>() {
        assert_eq!(content_type.as_str(), text);
        assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        assert!(!text.contains(['<', '>', '\'', '`', '\\']));
        assert!(content_type.media_type().parse::<ContentType>().is_ok());
    }
    if let Ok(hash) = text.parse::<Hash>() {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
        let _ = key.check();
    }
    if let Ok(signature) = text.parse::<Signature>() {
        assert_eq!(signature.to_string().parse(), Ok(signature));
    }
    if let Ok(role) = text.parse::<UserRole>() {
        assert_eq!(role.to_string(), text);
    }
    if let Ok(right) = text.parse::<Right>() {
        assert_eq!(right.to_string(), text);
    }
    if let Ok(permit) = text.parse::<Permit>() {
        assert_eq!(permit.to_string().parse(), Ok(permit));
    }
    if let Ok(time) = Timestamp::from_rfc3339(text) {
        assert_eq!(Timestamp::from_rfc3339(&time.to_rfc3339()), Ok(time));
    }
}

pub fn text_seeds() -> Vec<Vec<u8>> {
    let genesis = samples::genesis();
    let part = serde_json::to_string(&genesis.organizations[0]);
    let texts = [
        genesis.to_json(),
        part.expect("strings, numbers and lists"),
        "/ip4/192.0.2.1/tcp/26656".to_owned(),
        "/ip6/2001:db8::ffff:192.0.2.1/tcp/1".to_owned(),
        "/dns4/node-1.example.com/tcp/65535".to_owned(),
        "/dns6/a_b/tcp/80".to_owned(),
        genesis.chain_id.to_string(),
        samples::hash(7).to_string(),
        samples::public(1).to_string(),
        samples::public(1).address().to_string(),
        Signature([7; 64]).to_string(),
        samples::time(7).to_rfc3339(),
        UserRole::Auditor.to_string(),
        Right::Admin.to_string(),
        samples::permits()[1].to_string(),
        "prices.eu-1_x".to_owned(),
        "Text/csv; charset=\"UTF-8\" ;header=absent".to_owned(),
        "\u{1b}[31m\u{202e}".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}
