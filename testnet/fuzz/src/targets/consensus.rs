//! Decoders of consensus.

use std::sync::{Arc, LazyLock};

use tandem_chain::block::Certificate;
use tandem_chain::codec;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::Strict;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::Power;
use tandem_consensus::journal::{Journal, Valid};
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::validate::{self, Fixed};
use tandem_consensus::verify::{Keys, Verified};

use crate::decoded::decoded;
use crate::world::{AnySignature, World, at, commit, name_content, rehash};
use crate::{samples, seeds};

/// The tips on which blocks 1 and 2 stand, with their keys.
static TIPS: LazyLock<Vec<(Arc<Tip>, Keys, Fixed)>> = LazyLock::new(|| {
    let world = World::new(&[1; 4]);
    let mut ledger = world.ledger();
    let mut tips = vec![Arc::clone(ledger.tip())];
    for certified in world.chain(1, &[0, 1, 2]) {
        commit(&mut ledger, &certified.block);
        tips.push(Arc::clone(ledger.tip()));
    }
    tips.into_iter().map(|tip| (Arc::clone(&tip), Keys::of(&tip), Fixed::of(&tip))).collect()
});

/// A message between replicas, up to the point where one would take it.
pub fn message(bytes: &[u8]) {
    let Ok(message) = Keys::decode(bytes) else { return };
    assert_eq!(codec::encode(&message), bytes);
    let named = match message.clone() {
        Message::Proposal(mut proposal) => {
            // Hashes that no fuzzer finds.
            name_content(&mut proposal);
            Message::Proposal(proposal)
        }
        other => other,
    };
    for (tip, keys, fixed) in TIPS.iter() {
        let _ = (message.claims(), keys.triage(&message));
        let _ = keys.verify(&Strict, message.clone(), &|_| false);
        let verified = keys.verify(&AnySignature, named.clone(), &|_| false);
        if let Ok(Message::Proposal(proposal)) = verified.map(Verified::into_inner) {
            let _ = validate::check(tip, fixed, &proposal.block);
        }
    }
}

/// Every message, and proposals of blocks 1 and 2: fresh ones with transactions and evidence, and one
/// made again.
pub fn message_seeds() -> Vec<Vec<u8>> {
    let names = ["proposal", "prevote", "precommit", "follow", "status", "lost"];
    let world = World::new(&[1; 4]);
    let (author, voter) = (world.validator(0), world.validator(3));
    let txs = samples::calls().into_iter().take(2);
    let txs: Vec<Tx> = txs.map(|(_, call)| world.tx(&author, 1, 10, call)).collect();
    let first = world.chain(1, &[0, 1, 2]).remove(0);
    let mut proposals = Vec::new();
    for ((tip, ..), last) in TIPS.iter().zip([&Certificate::default(), &first.certificate]) {
        let mut block = world.block_with(tip, &author, at(100), last, txs.clone());
        let prevotes = world.prevotes(tip, &[0, 1, 2], 0, block.id());
        proposals.push(world.proposal(&author, 1, &block, Some((0, prevotes))));
        let [one, other] = world.double_prevotes(tip, &voter);
        let evidence =
            Evidence::new(&one, &other, voter, Power(4), Power(1), first.block.header.time);
        block.evidence.push(evidence);
        rehash(&mut block);
        proposals.push(world.proposal(&author, 0, &block, None));
    }
    let proposals = proposals.into_iter().map(|p| codec::encode(&Message::Proposal(Box::new(p))));
    seeds::of_consensus(&names).into_iter().chain(proposals).collect()
}

/// What a replica finds on its disk; the first byte chooses.
pub fn journal(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => drop(decoded::<Journal>(bytes)),
        1 => drop(decoded::<Valid>(bytes)),
        _ => drop(decoded::<Proposal>(bytes)),
    }
}

pub fn journal_seeds() -> Vec<Vec<u8>> {
    let slots = ["journal", "valid", "proposal"].into_iter().zip(0..);
    let seeds = slots.flat_map(|(name, kind): (&str, u8)| {
        seeds::of_consensus(&[name]).into_iter().map(move |bytes| [vec![kind], bytes].concat())
    });
    seeds.collect()
}
