use std::path::Path;

use tandem_chain::block::CommitSig;
use tandem_chain::keys::Signature;
use tandem_chain::liveness::{LivenessRecord, SignedRecord};
use tandem_chain::roles::Seat;
use tandem_chain::types::{Power, Term, Timestamp};

use super::*;
use crate::layout::Spec;

fn hash(of: &str) -> TxHash {
    Hash::of(of.as_bytes())
}

/// A chain of blocks with these transactions, those of them that failed with code 13.
fn chain(blocks: &[&[&str]], failed: &[&str]) -> Chain {
    let block = |(i, txs): (usize, &&[&str])| BlockView {
        height: Height(i as u64 + 1),
        id: hash(&format!("block {i}")),
        parent: None,
        time: Timestamp::from_millis(i as u64),
        validators_hash: Hash::EMPTY,
        app_hash: hash(&format!("state {i}")),
        proposer: Address([0; 20]),
        record: SignedRecord {
            record: LivenessRecord::default(),
            signature: Signature::from_slice(&[0; 64]).unwrap(),
        },
        txs: txs.iter().map(|tx| hash(tx)).collect(),
        tx_bytes: 0,
        last_commit: Commit::default(),
        evidence: 0,
    };
    Chain {
        blocks: blocks.iter().enumerate().map(block).collect(),
        tables: BTreeMap::new(),
        registers: BTreeMap::new(),
        failed: failed.iter().map(|tx| (hash(tx), 13)).collect(),
    }
}

#[test]
fn a_receipt_that_the_chain_does_not_keep_is_found() {
    let receipts = |height: u64| HashMap::from([(hash("a"), Height(height))]);
    let cases: [(&str, Chain, Option<&str>); 5] = [
        ("kept", chain(&[&["x"], &["a"]], &["x"]), None),
        ("lost", chain(&[&["x"], &["y"]], &[]), Some("is not in the chain")),
        ("at another height", chain(&[&["a"], &[]], &[]), Some("stands at height 1")),
        ("twice", chain(&[&["a"], &["a"]], &[]), Some("stands 2 times")),
        ("twice in one block", chain(&[&[], &["a", "a"]], &[]), Some("stands 2 times")),
    ];
    for (name, chain, error) in cases {
        let got = chain.has_each_once(&receipts(2)).map_err(|error| error.to_string());
        match error {
            None => got.unwrap(),
            Some(part) => assert!(got.unwrap_err().contains(part), "{name}"),
        }
    }
    let failed = chain(&[&["a"]], &["a"]);
    let error = failed.has_each_once(&receipts(1)).unwrap_err().to_string();
    assert!(error.contains("ended with code 13, not 0"), "{error}");
    let receipt = |code| HashMap::from([(hash("a"), (Height(1), code))]);
    failed.has_each_receipt_once(&receipt(13)).unwrap();
    assert!(chain(&[&["a"]], &[]).has_each_receipt_once(&receipt(13)).is_err());
}

#[test]
fn another_block_or_state_at_a_height_is_found() {
    let chain = chain(&[&[], &[]], &[]);
    let block = &chain.blocks[1];
    let BlockView { id, app_hash, validators_hash, .. } = *block;
    let header = HeaderView { id, app_hash, validators_hash, commit: Commit::default() };
    same_header(block, &header).unwrap();
    let forked = HeaderView { id: chain.blocks[0].id, ..header.clone() };
    assert!(same_header(block, &forked).unwrap_err().to_string().contains("another block"));
    let diverged = HeaderView { app_hash: Hash::EMPTY, ..header };
    assert!(same_header(block, &diverged).unwrap_err().to_string().contains("another state"));
}

#[test]
fn two_signers_of_a_seat_at_a_height_are_found() {
    let (layout, _) = Layout::new(Path::new("/x"), Spec::default()).unwrap();
    let commit = |height: u64, names: &[&str]| Commit {
        height: Height(height),
        signatures: names
            .iter()
            .map(|name| {
                Some(CommitSig {
                    address: layout.node(name).unwrap().key.address(),
                    timestamp: Timestamp::from_millis(0),
                    signature: Signature::from_slice(&[0; 64]).unwrap(),
                })
            })
            .collect(),
        ..Commit::default()
    };
    let before = commit(7, &["alpha-a", "bravo-a"]);
    // Its seat moved: the partner signs at another height, or the same node once more.
    let after = commit(8, &["alpha-b", "bravo-a"]);
    one_signer_a_seat(&layout, [&before, &after, &before, &Commit::default()]).unwrap();
    let forged = commit(7, &["charlie-a", "alpha-b"]);
    let error = one_signer_a_seat(&layout, [&before, &after, &forged]).unwrap_err();
    assert_eq!(error.to_string(), "alpha-a and alpha-b both signed at height 7");
    let (other, _) = Layout::new(Path::new("/y"), Spec::default()).unwrap();
    assert!(one_signer_a_seat(&other, [&before]).is_err());
}

#[test]
fn a_certificate_of_another_block_or_of_others_than_the_holders_is_found() {
    let (layout, secrets) = Layout::new(Path::new("/x"), Spec::default()).unwrap();
    let holders = layout.nodes.iter().zip(&secrets).filter(|(node, _)| node.name.ends_with("-a"));
    let holders: Vec<_> = holders.collect();
    let seat = |node: &Node| Seat { holder: node.key, power: Power(1), term: Term(0) };
    let seats: BTreeMap<_, _> =
        holders.iter().map(|(node, _)| (node.org.clone(), seat(node))).collect();
    let table = RoleTable::from(seats);
    let mut chain = chain(&[&[], &[]], &[]);
    chain.tables.insert(Hash::EMPTY, table.clone());

    let signed_by = |block: Hash, names: &[&str]| {
        let timestamp = Timestamp::from_millis(7);
        let mut commit = Commit { height: Height(2), block: Some(block), ..Commit::default() };
        for validator in table.validators() {
            let of_seat = |node: &Node| node.org == validator.org && names.contains(&&*node.name);
            let place = layout.nodes.iter().position(of_seat).unwrap();
            let signature = Signature::from_slice(&[0; 64]).unwrap();
            let mut sig = CommitSig { address: validator.address, timestamp, signature };
            sig.signature = secrets[place].sign(&commit.sign_bytes(&layout.chain_id, &sig));
            commit.signatures.push(Some(sig));
        }
        commit
    };
    let (block, all) = (chain.blocks[1].id, ["alpha-a", "bravo-a", "charlie-a", "delta-a"]);
    chain.certifies(&layout, &signed_by(block, &all)).unwrap();
    let refused = |commit: &Commit| format!("{:#}", chain.certifies(&layout, commit).unwrap_err());
    assert!(refused(&signed_by(chain.blocks[0].id, &all)).contains("for another block"));
    // The standby's signature in the holder's place.
    let by_standby = ["alpha-b", "bravo-a", "charlie-a", "delta-a"];
    assert!(refused(&signed_by(block, &by_standby)).contains("signature"));
    let mut two = signed_by(block, &all);
    two.signatures[2..].fill(None);
    assert!(refused(&two).contains("2/3"));
    let mut ahead = signed_by(block, &all);
    ahead.height = Height(3);
    assert!(refused(&ahead).contains("no block 3"));
}
