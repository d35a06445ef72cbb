//! Decoders under arbitrary, cut, lengthened and changed bytes: messages, and what a replica finds on
//! its disk.

use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_chain::block::CommitSig;
use tandem_chain::codec;
use tandem_chain::evidence::Evidence;
use tandem_chain::limits::MAX_ROUND;
use tandem_chain::modules::{Call, consortium};
use tandem_chain::tip::Tip;
use tandem_chain::types::{Hash, Height, Power, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::journal::{Journal, KeyState, Lock, Place, Signing, Valid, VoteGuard};
use tandem_consensus::limits::{MAX_MESSAGE_BYTES, MAX_PREVOTES};
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::validate::{self, Fixed};
use tandem_consensus::verify::Keys;

use crate::decoded::decoded;
use crate::golden;
use crate::kinds::{self, Kind, round_trip};
use crate::world::{AnySignature, World, name_content};

/// Made once: making them takes signatures.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let of_message = |(name, message): (&'static str, Message)| {
        let again = |bytes: &[u8]| {
            let again = decoded::<Message>(bytes).map(|message| codec::encode(&message));
            let is_encoding = again.as_ref().is_some_and(|again| again == bytes);
            assert_eq!(Keys::decode(bytes).is_ok(), is_encoding, "a message has one encoding");
            again
        };
        Kind { name, bytes: codec::encode(&message), again }
    };
    let mut kinds: Vec<Kind> = golden::messages().into_iter().map(of_message).collect();
    kinds.extend([
        Kind::new("journal", &golden::journal()),
        Kind::new("journal of a new key", &Journal::new(KeyState::Good)),
        Kind::new("valid", &golden::valid()),
        Kind::new("stored proposal", &golden::proposal(true)),
        Kind::new("light block", &golden::light_block()),
    ]);
    kinds
});

#[test]
fn a_value_has_one_encoding_and_nothing_may_stand_behind_it() {
    kinds::check_ends(&KINDS);
}

#[test]
fn a_changed_byte_or_length_gives_another_value_or_is_refused() {
    kinds::check_changes(&KINDS);
}

#[test]
fn a_message_over_its_limit_is_refused_unread() {
    let error = Keys::decode(&vec![0; MAX_MESSAGE_BYTES + 1]).expect_err("it is too long");
    assert!(error.to_string().contains(&MAX_MESSAGE_BYTES.to_string()), "{error}");
}

fn vote() -> impl Strategy<Value = Vote> {
    let votes: Vec<Vote> =
        golden::journal().votes.into_iter().chain(golden::valid().prevotes).collect();
    let numbers = (any::<u64>(), any::<u32>(), any::<u16>());
    let block = proptest::option::of(any::<[u8; 32]>().prop_map(Hash));
    (proptest::sample::select(votes), numbers, block).prop_map(|(vote, numbers, block)| Vote {
        height: Height(numbers.0),
        round: Round(numbers.1),
        validator_index: numbers.2,
        block,
        ..vote
    })
}

fn journal() -> impl Strategy<Value = Journal> {
    let guard = (any::<bool>(), any::<(u64, u64, u32)>()).prop_map(|(is_lost, numbers)| {
        let mut guard = VoteGuard::new(KeyState::Lost);
        if !is_lost {
            guard.recover(Height(numbers.0));
            let (height, round) = (Height(numbers.1), Round(numbers.2));
            let _ = guard.admit(Place { height, round, step: Signing::Prevote });
        }
        guard
    });
    let lock = proptest::option::of((any::<u32>(), any::<[u8; 32]>()));
    (guard, any::<(u64, u32)>(), lock, vec(vote(), 0..6)).prop_map(
        |(guard, (height, round), lock, votes)| Journal {
            guard,
            height: Height(height),
            round: Round(round),
            locked: lock.map(|(round, block)| Lock { round: Round(round), block: Hash(block) }),
            votes,
        },
    )
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (any::<(u64, u32)>(), proptest::option::of(any::<u32>()), vec(vote(), 0..6)).prop_map(
        |((height, round), valid_round, prevotes)| Proposal {
            height: Height(height),
            round: Round(round),
            valid_round: valid_round.map(Round),
            prevotes,
            ..golden::proposal(false)
        },
    )
}

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&[1; 4]));
static TIP: LazyLock<Arc<Tip>> = LazyLock::new(|| Arc::clone(WORLD.ledger().tip()));

/// A proposal with a transaction and evidence, whose hashes are those of its content, and whether it
/// has no fault: its certificate's entries and observations, and its prevotes, may be any.
fn judged() -> impl Strategy<Value = (Proposal, bool)> {
    let call = Call::Consortium(consortium::Call::SetAddresses { addresses: Vec::new() });
    let tx = WORLD.tx(&WORLD.validator(0), 1, 10, call);
    let key = WORLD.validator(3);
    let [one, other] = WORLD.double_prevotes(&TIP, &key);
    let evidence = Evidence::new(&one, &other, key, Power(4), Power(1), Timestamp(1));
    let precommit = WORLD.vote(&TIP, &key, VoteKind::Precommit, 0, Some(Hash([1; 32])));
    let entries = vec((any::<bool>(), any::<bool>()), 1..5);
    (proposal(), 0..=MAX_ROUND, entries, any::<bool>()).prop_map(
        move |(mut proposal, round, mut entries, is_right)| {
            let block = Arc::make_mut(&mut proposal.block);
            block.header.height = proposal.height;
            (block.txs, block.evidence) = (vec![tx.clone()], vec![evidence.clone()]);
            if is_right {
                entries.iter_mut().for_each(|(signature, observation)| *observation = *signature);
            }
            for (signature, observation) in entries {
                let signature = signature.then_some(CommitSig {
                    address: precommit.validator_address,
                    timestamp: precommit.timestamp,
                    signature: precommit.signature,
                });
                let observation = precommit.observation.clone().filter(|_| observation);
                block.last_commit.signatures.push(signature);
                block.record.record.observations.push(observation);
            }
            name_content(&mut proposal);
            if is_right {
                proposal.round = Round(round);
                proposal.valid_round = round.checked_sub(1).map(Round);
                proposal.prevotes.truncate(if round == 0 { 0 } else { MAX_PREVOTES });
                let (height, valid) = (proposal.height, proposal.valid_round.unwrap_or_default());
                for vote in &mut proposal.prevotes {
                    (vote.kind, vote.height, vote.round) = (VoteKind::Prevote, height, valid);
                    (vote.block, vote.observation) = (Some(proposal.block_id), None);
                }
            }
            (proposal, is_right)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_are_refused_or_are_a_value(bytes in vec(any::<u8>(), 0..600)) {
        for kind in KINDS.iter() {
            kind.read(&bytes);
        }
    }

    #[test]
    fn spoilt_bytes_are_refused_or_are_a_value((kind, bytes) in kinds::spoilt(&KINDS)) {
        KINDS[kind].read(&bytes);
    }

    #[test]
    fn journals_come_back(journal in journal()) {
        round_trip(&journal)?;
    }

    #[test]
    fn proposals_and_valid_values_come_back(proposal in proposal()) {
        round_trip(&proposal)?;
        let Proposal { height, round, block_id, block, prevotes, .. } = proposal.clone();
        round_trip(&Valid { height, round, block_id, block: Arc::clone(&block), prevotes })?;
        round_trip(&Message::Proposal(Box::new(proposal)))?;
    }

    /// What is decoded is sorted, and refused or not, whatever is in it and as if all signatures were
    /// good. Without a fault it is taken.
    #[test]
    fn whatever_is_decoded_is_judged((proposal, is_right) in judged(), vote in vote()) {
        let keys = Keys::of(&TIP);
        let prevote = Vote { kind: VoteKind::Prevote, ..vote.clone() };
        for vote in [vote, prevote] {
            let message = Message::Vote(Box::new(vote));
            let _ = (message.claims(), keys.triage(&message));
            let _ = keys.verify(&AnySignature, message, &|_| false);
        }
        let block = Arc::clone(&proposal.block);
        let message = Message::Proposal(Box::new(proposal));
        let _ = (message.claims(), keys.triage(&message));
        let verdict = keys.verify(&AnySignature, message, &|_| false);
        prop_assert!(verdict.is_ok() || !is_right, "{verdict:?}");
        let _ = validate::check(&TIP, &Fixed::of(&TIP), &block);
    }
}
