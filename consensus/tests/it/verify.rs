//! The rule of verification: every signature, and consistency, before the replica sees a message.

use std::sync::Arc;

use tandem_chain::Error;
use tandem_chain::block::{Block, Certificate, CertifiedBlock};
use tandem_chain::codec;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::{SecretKey, Signature, Strict};
use tandem_chain::limits::{MAX_BLOCK_BYTES, MAX_BLOCK_EVIDENCE, MAX_ROUND};
use tandem_chain::modules::{Call, consortium};
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, Height, Power, Round, Timestamp};
use tandem_chain::vote::Vote;
use tandem_consensus::limits::{MAX_MESSAGE_BYTES, MAX_PREVOTES, RECENT_BLOCKS};
use tandem_consensus::message::{FollowBody, Message, Proposal};
use tandem_consensus::verify::{Fault, Keys, Triage, certified_block};

use crate::solo::{Precommit, Prevote};
use crate::world::{World, at, chain_id, commit, rehash};

const BAD: Signature = Signature([7; 64]);

/// A chain of three blocks, and a proposal of the fourth by b.
struct Fixture {
    world: World,
    tip: Arc<Tip>,
    blocks: Vec<CertifiedBlock>,
}

impl Fixture {
    fn new() -> Self {
        let world = World::new(&[1; 4]);
        let blocks = world.chain(3, &[0, 1, 2]);
        let mut ledger = world.ledger();
        blocks.iter().for_each(|certified| commit(&mut ledger, &certified.block));
        Self { tip: Arc::clone(ledger.tip()), world, blocks }
    }

    fn last(&self) -> &Certificate {
        &self.blocks.last().expect("blocks").certificate
    }

    fn tx(&self) -> Tx {
        let call = Call::Consortium(consortium::Call::SetAddresses { addresses: Vec::new() });
        self.world.tx(&self.world.validator(0), 1, 10, call)
    }

    fn evidence(&self) -> Evidence {
        let key = self.world.validator(3);
        let [one, other] = self.world.double_prevotes(&self.tip, &key);
        Evidence::new(&one, &other, key, Power(4), Power(1), Timestamp(1))
    }

    /// A proposal of a block with a transaction, changed and then signed again.
    fn proposal(&self, change: impl FnOnce(&mut Proposal)) -> Proposal {
        let b = self.world.validator(1);
        let block = self.world.block_with(&self.tip, &b, at(100), self.last(), vec![self.tx()]);
        let mut proposal = self.world.proposal(&b, 0, &block, None);
        change(&mut proposal);
        proposal
    }

    /// A proposal of a block that was changed; its header and the proposal are right again after.
    fn proposal_of(&self, change: impl FnOnce(&mut Block)) -> Proposal {
        let b = self.world.validator(1);
        let mut block = self.world.block_with(&self.tip, &b, at(100), self.last(), vec![self.tx()]);
        change(&mut block);
        rehash(&mut block);
        self.world.proposal(&b, 0, &block, None)
    }

    /// A proposal with a valid round.
    fn again(&self, change: impl FnOnce(&mut Vec<Vote>)) -> Proposal {
        let b = self.world.validator(1);
        let block = self.world.block(&self.tip, &b, at(100), self.last());
        let mut prevotes = self.world.prevotes(&self.tip, &[0, 1, 2], 1, block.id());
        change(&mut prevotes);
        self.world.proposal(&b, 4, &block, Some((1, prevotes)))
    }

    fn verify(&self, message: Message) -> Result<(), Fault> {
        Keys::of(&self.tip).verify(&Strict, message, &|_| false).map(|_| ())
    }

    fn verify_proposal(&self, proposal: Proposal) -> Result<(), Fault> {
        self.verify(Message::Proposal(Box::new(proposal)))
    }

    fn verify_vote(&self, vote: Vote) -> Result<(), Fault> {
        self.verify(Message::Vote(Box::new(vote)))
    }
}

fn is_bad_signature(result: &Result<(), Fault>, of: &str) -> bool {
    matches!(result, Err(Fault::Chain(Error::BadSignature { what, .. })) if *what == of)
}

#[test]
fn what_is_right_is_verified() {
    let fixture = Fixture::new();
    let (world, tip) = (&fixture.world, &fixture.tip);
    assert_eq!(fixture.verify_proposal(fixture.proposal(|_| ())), Ok(()));
    assert_eq!(fixture.verify_proposal(fixture.proposal_of(|_| ())), Ok(()));
    assert_eq!(fixture.verify_proposal(fixture.again(|_| ())), Ok(()));
    let with_evidence = fixture.proposal_of(|b| b.evidence = vec![fixture.evidence()]);
    assert_eq!(fixture.verify_proposal(with_evidence), Ok(()));
    for (kind, block) in [(Prevote, None), (Precommit, None), (Precommit, Some(Hash([1; 32])))] {
        let vote = world.vote(tip, &world.validator(2), kind, 3, block);
        assert_eq!(fixture.verify_vote(vote), Ok(()));
    }
    assert_eq!(fixture.verify(world.follow(&world.standby(2), tip)), Ok(()));
    assert_eq!(fixture.verify(Message::LostQuery), Ok(()));
}

#[test]
fn who_is_not_registered_is_not_heard() {
    let fixture = Fixture::new();
    let stranger = World::new(&[1; 5]);
    let key = stranger.validator(4);
    let vote = stranger.vote(&fixture.tip, &key, Prevote, 0, None);
    assert!(matches!(fixture.verify_vote(vote), Err(Fault::UnknownNode { what: "vote", .. })));
    let follow = stranger.follow(&key, &fixture.tip);
    let verdict = fixture.verify(follow);
    assert!(matches!(verdict, Err(Fault::UnknownNode { what: "follow message", .. })));
    let block = stranger.block(&fixture.tip, &key, at(100), fixture.last());
    let proposal = stranger.proposal(&key, 0, &block, None);
    assert!(matches!(fixture.verify_proposal(proposal), Err(Fault::NoSeat { .. })));
}

#[test]
fn a_proposal_by_a_node_without_a_seat_costs_no_signature() {
    struct Never;
    impl tandem_chain::keys::Verifier for Never {
        fn verifies(&self, _: &tandem_chain::keys::PublicKey, _: &[u8], _: &Signature) -> bool {
            panic!("a signature is checked");
        }
    }
    let fixture = Fixture::new();
    let standby = fixture.world.standby(1);
    let block = fixture.world.block(&fixture.tip, &standby, at(100), fixture.last());
    let crowded = fixture.proposal_of(|block| {
        block.evidence = vec![fixture.evidence(); MAX_BLOCK_EVIDENCE + 1];
    });
    for (proposal, what) in
        [(fixture.world.proposal(&standby, 0, &block, None), "no seat"), (crowded, "items")]
    {
        let message = Message::Proposal(Box::new(proposal));
        let verdict = Keys::of(&fixture.tip).verify(&Never, message, &|_| false);
        let fault = verdict.expect_err("refused").to_string();
        assert!(fault.contains(what), "{fault}");
    }
}

#[test]
fn a_bad_signature_is_found_in_every_place_of_a_proposal() {
    let fixture = Fixture::new();
    let other = fixture.world.validator(0);
    let cases: [(&str, Proposal); 9] = [
        ("proposal", fixture.proposal(|p| p.signature = BAD)),
        ("proposal", fixture.proposal(|p| p.proposer = other)),
        ("proposal", fixture.proposal(|p| p.round = Round(1))),
        ("liveness record", fixture.proposal_of(|b| b.record.signature = BAD)),
        ("liveness record", fixture.proposal_of(|b| b.header.proposer_address = other.address())),
        (
            "certificate",
            fixture.proposal_of(|b| {
                b.last_commit.signatures.iter_mut().flatten().last().expect("a signer").signature =
                    BAD;
            }),
        ),
        ("certificate", fixture.proposal_of(|b| b.last_commit.round = Round(1))),
        (
            "evidence",
            fixture.proposal_of(|b| {
                let mut evidence = fixture.evidence();
                evidence.vote_b.signature = BAD;
                b.evidence = vec![evidence];
            }),
        ),
        ("vote", fixture.again(|prevotes| prevotes[2].signature = BAD)),
    ];
    for (i, (of, proposal)) in cases.into_iter().enumerate() {
        let verdict = fixture.verify_proposal(proposal);
        assert!(is_bad_signature(&verdict, of), "case {i}, {of}: {verdict:?}");
    }
    // An observation in the record: signed again by the proposer, to get past its own signature.
    let secret = fixture.world.secret(&fixture.world.validator(1));
    let proposal = fixture.proposal_of(|b| {
        let mut record = b.record.record.clone();
        record.observations.iter_mut().flatten().last().expect("one").signature = BAD;
        b.record = record.sign(&chain_id(), secret);
    });
    assert!(is_bad_signature(&fixture.verify_proposal(proposal), "observation"));
}

#[test]
fn a_transaction_is_checked_unless_it_was_before() {
    let fixture = Fixture::new();
    let mut bytes = fixture.tx().bytes().to_vec();
    *bytes.last_mut().expect("bytes") ^= 1;
    let tx = Tx::decode(bytes).expect("still a transaction");
    let proposal = fixture.proposal_of(|b| b.txs = vec![tx.clone()]);
    let message = Message::Proposal(Box::new(proposal));
    let keys = Keys::of(&fixture.tip);
    let verdict = keys.verify(&Strict, message.clone(), &|_| false).map(|_| ());
    assert!(is_bad_signature(&verdict, "transaction"));
    assert!(keys.verify(&Strict, message, &|known| *known == tx).is_ok());
}

#[test]
fn content_that_the_header_does_not_name_is_refused() {
    let fixture = Fixture::new();
    let changes: [(&str, fn(&mut Block)); 3] = [
        ("data_hash", |b| b.txs.clear()),
        ("evidence_hash", |b| b.header.evidence_hash = Hash([1; 32])),
        ("last_commit_hash", |b| b.last_commit.signatures.iter_mut().for_each(|s| *s = None)),
    ];
    for (name, change) in changes {
        let b = fixture.world.validator(1);
        let mut block =
            fixture.world.block_with(&fixture.tip, &b, at(100), fixture.last(), vec![fixture.tx()]);
        change(&mut block);
        let proposal = fixture.world.proposal(&b, 0, &block, None);
        match fixture.verify_proposal(proposal) {
            Err(Fault::Chain(Error::Header { field, .. })) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_proposal_that_contradicts_itself_is_refused() {
    let fixture = Fixture::new();
    let tip = &fixture.tip;
    let prevote = |org, round, block| {
        fixture.world.vote(tip, &fixture.world.validator(org), Prevote, round, block)
    };
    let many = |prevotes: &mut Vec<Vote>| {
        *prevotes = vec![prevotes[0].clone(); MAX_PREVOTES + 1];
    };
    let cases: [(&str, Proposal); 9] = [
        ("another block's id", fixture.proposal(|p| p.block_id = Hash([1; 32]))),
        ("another height", fixture.proposal(|p| p.height = p.height.next())),
        ("a round never reached", fixture.proposal(|p| p.round = Round(MAX_ROUND + 1))),
        ("a prevote of another round", fixture.again(|p| p[0].round = Round(2))),
        ("a prevote of another height", fixture.again(|p| p[0].height = Height(3))),
        ("a prevote for another block", fixture.again(|p| p[0].block = Some(Hash([1; 32])))),
        ("a prevote for nil", fixture.again(|p| p[0] = prevote(0, 1, None))),
        ("a precommit", fixture.again(|p| p[0].kind = Precommit)),
        ("too many prevotes", fixture.again(many)),
    ];
    let secret = fixture.world.secret(&fixture.world.validator(1));
    for (name, mut proposal) in cases {
        proposal.signature = secret.sign(&proposal.sign_bytes(&chain_id()));
        let verdict = fixture.verify_proposal(proposal);
        let named = matches!(verdict, Err(Fault::Inconsistent { .. } | Fault::TooMany { .. }));
        assert!(named, "{name}: {verdict:?}");
    }
}

#[test]
fn the_prevotes_in_a_proposal_are_of_a_round_before_it() {
    let fixture = Fixture::new();
    let b = fixture.world.validator(1);
    let block = fixture.world.block(&fixture.tip, &b, at(100), fixture.last());
    for (valid, fault) in [
        (Some(3), None),
        (Some(4), Some("valid round is not before the round")),
        (Some(5), Some("valid round is not before the round")),
        (None, Some("a fresh proposal carries prevotes")),
    ] {
        let of = valid.unwrap_or(3);
        let prevotes = fixture.world.prevotes(&fixture.tip, &[0, 1, 2], of, block.id());
        let mut proposal = fixture.world.proposal(&b, 4, &block, Some((of, prevotes)));
        proposal.valid_round = valid.map(Round);
        proposal.signature = fixture.world.secret(&b).sign(&proposal.sign_bytes(&chain_id()));
        let found = fixture.verify_proposal(proposal).err().map(|fault| fault.to_string());
        assert_eq!(found.as_deref(), fault);
    }
}

#[test]
fn record_and_certificate_name_the_same_signers() {
    let fixture = Fixture::new();
    let secret: &SecretKey = fixture.world.secret(&fixture.world.validator(1));
    let changes: [fn(&mut Vec<Option<tandem_chain::liveness::Observation>>); 3] = [
        |observations| observations.push(None),
        |observations| *observations.iter_mut().find(|o| o.is_some()).expect("one") = None,
        Vec::clear,
    ];
    for change in changes {
        let proposal = fixture.proposal_of(|b| {
            let mut record = b.record.record.clone();
            change(&mut record.observations);
            b.record = record.sign(&chain_id(), secret);
        });
        assert!(matches!(fixture.verify_proposal(proposal), Err(Fault::Inconsistent { .. })));
    }
}

#[test]
fn an_empty_certificate_names_nothing() {
    let world = World::new(&[1; 4]);
    let tip = Arc::clone(world.ledger().tip());
    let b = world.validator(1);
    for good in [true, false] {
        let mut block = world.block(&tip, &b, at(100), &Certificate::default());
        if !good {
            block.last_commit.round = Round(3);
        }
        let message = Message::Proposal(Box::new(world.proposal(&b, 0, &block, None)));
        assert_eq!(Keys::of(&tip).verify(&Strict, message, &|_| false).is_ok(), good);
    }
}

#[test]
fn votes_and_follow_messages_with_a_bad_signature_are_refused() {
    let fixture = Fixture::new();
    let (world, tip) = (&fixture.world, &fixture.tip);
    let key = world.validator(0);
    let good = world.vote(tip, &key, Precommit, 0, Some(Hash([1; 32])));
    let changes: [fn(&mut Vote); 6] = [
        |v| v.signature = BAD,
        |v| v.round = Round(1),
        |v| v.height = v.height.next(),
        |v| v.block = Some(Hash([2; 32])),
        |v| v.timestamp = Timestamp(1),
        |v| v.kind = Prevote,
    ];
    for change in changes {
        let mut vote = good.clone();
        change(&mut vote);
        if vote.kind == Prevote {
            vote.observation = None;
        }
        assert!(is_bad_signature(&fixture.verify_vote(vote), "vote"));
    }
    let mut vote = good.clone();
    vote.observation.as_mut().expect("one").signature = BAD;
    assert!(is_bad_signature(&fixture.verify_vote(vote), "observation"));
    // An observation belongs to each precommit for a block, and to nothing else.
    let naked = Vote { observation: None, ..good.clone() };
    let dressed =
        Vote { observation: good.observation, ..world.vote(tip, &key, Precommit, 0, None) };
    for vote in [naked, dressed] {
        let verdict = fixture.verify_vote(vote);
        assert!(matches!(verdict, Err(Fault::Chain(Error::Certificate { .. }))));
    }
    let Message::Follow(mut follow) = world.follow(&key, tip) else { panic!("a follow message") };
    follow.body.app_hash = Hash([1; 32]);
    assert!(is_bad_signature(&fixture.verify(Message::Follow(follow)), "follow message"));
    let far = world.vote(tip, &key, Prevote, MAX_ROUND + 1, None);
    assert!(matches!(fixture.verify_vote(far), Err(Fault::Inconsistent { .. })));
}

#[test]
fn what_is_signed_for_another_chain_is_refused() {
    let fixture = Fixture::new();
    let mut other = Tip::clone(&fixture.tip);
    other.chain_id = "another-chain".parse().expect("a chain id");
    let keys = Keys::of(&other);
    let key = fixture.world.validator(0);
    let messages = [
        Message::Vote(Box::new(fixture.world.vote(&fixture.tip, &key, Prevote, 0, None))),
        fixture.world.follow(&key, &fixture.tip),
        Message::Proposal(Box::new(fixture.proposal(|_| ()))),
    ];
    for message in messages {
        assert!(matches!(
            keys.verify(&Strict, message, &|_| false),
            Err(Fault::Chain(Error::BadSignature { .. }))
        ));
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let fixture = Fixture::new();
    let good = codec::encode(&Message::Proposal(Box::new(fixture.proposal(|_| ()))));
    assert!(Keys::decode(&good).is_ok());
    for cut in [0, 1, 4, good.len() / 2, good.len() - 1] {
        assert!(Keys::decode(&good[..cut]).is_err(), "cut to {cut}");
    }
    let trailing = [good.as_slice(), &[0]].concat();
    assert!(matches!(Keys::decode(&trailing), Err(Fault::Chain(Error::Undecodable { .. }))));
    let long = vec![0; MAX_MESSAGE_BYTES + 1];
    assert!(matches!(Keys::decode(&long), Err(Fault::Chain(Error::TooLong { .. }))));
    // A list that claims more than there is takes no memory for it.
    let mut vote = codec::encode(&Message::LostQuery);
    vote[0] = 99;
    assert!(Keys::decode(&vote).is_err(), "no such message");
}

#[test]
fn what_is_just_within_a_bound_is_taken() {
    let fixture = Fixture::new();
    let evidence = vec![fixture.evidence(); MAX_BLOCK_EVIDENCE];
    assert_eq!(fixture.verify_proposal(fixture.proposal_of(|b| b.evidence = evidence)), Ok(()));
    let again = fixture.again(|prevotes| *prevotes = vec![prevotes[0].clone(); MAX_PREVOTES]);
    assert_eq!(fixture.verify_proposal(again), Ok(()));
    let key = fixture.world.validator(0);
    let last = fixture.world.vote(&fixture.tip, &key, Prevote, MAX_ROUND, None);
    assert_eq!(fixture.verify_vote(last), Ok(()));
}

#[test]
fn the_largest_block_with_all_prevotes_fits_into_a_message() {
    let fixture = Fixture::new();
    let proposal = fixture.again(|prevotes| {
        *prevotes = vec![prevotes[0].clone(); MAX_PREVOTES];
    });
    let block = codec::encode(proposal.block.as_ref()).len();
    let rest = codec::encode(&Message::Proposal(Box::new(proposal))).len() - block;
    assert!(MAX_BLOCK_BYTES + rest <= MAX_MESSAGE_BYTES, "{rest} bytes beside the block");
}

#[test]
fn messages_are_sorted_by_their_height() {
    let fixture = Fixture::new();
    let (world, keys) = (&fixture.world, Keys::of(&fixture.tip));
    let key = world.validator(0);
    let vote = |height, block| {
        let mut vote = world.vote(&fixture.tip, &key, Prevote, 0, block);
        vote.height = Height(height);
        Message::Vote(Box::new(vote))
    };
    let block = Some(Hash([1; 32]));
    let follow_of = |node, height| {
        let (block, app_hash) = (Hash([1; 32]), Hash([1; 32]));
        let body = FollowBody { node, height: Height(height), block, app_hash };
        Message::Follow(Box::new(body.sign(&chain_id(), world.secret(&key))))
    };
    let follow = |height| follow_of(key, height);
    let stranger = SecretKey::from_seed(&[77; 32]).public();
    let proposal =
        |height| Message::Proposal(Box::new(fixture.proposal(|p| p.height = Height(height))));
    let cases = [
        ("nil vote long past", vote(2, None), Triage::Drop),
        ("late vote for a block", vote(2, block), Triage::Verify),
        ("vote at the tip", vote(3, None), Triage::Verify),
        ("vote two ahead", vote(5, None), Triage::Verify),
        ("vote three ahead", vote(6, None), Triage::Claim(Height(5))),
        ("old follow message", follow(1), Triage::Verify),
        // An observer that is a little behind on a fast chain would else take the others for dead.
        ("follow message far ahead", follow(60), Triage::Verify),
        ("that of an unknown node", follow_of(stranger, 60), Triage::Claim(Height(60))),
        ("that of an unknown node at the tip", follow_of(stranger, 4), Triage::Verify),
        ("proposal of the tip's height", proposal(3), Triage::Drop),
        ("proposal of the next height", proposal(4), Triage::Verify),
        ("proposal too far ahead", proposal(6), Triage::Claim(Height(5))),
        ("status", Message::Status { committed: Height(9) }, Triage::Claim(Height(9))),
    ];
    for (name, message, expected) in cases {
        assert_eq!(keys.triage(&message), expected, "{name}");
    }
    let mut far = Tip::clone(&fixture.tip);
    far.height = Height(3 + RECENT_BLOCKS as u64);
    assert_eq!(Keys::of(&far).triage(&vote(3, block)), Triage::Verify);
    assert_eq!(Keys::of(&far).triage(&vote(2, block)), Triage::Drop);
}

#[test]
fn a_certificate_of_another_block_or_height_is_refused_though_its_signatures_are_good() {
    let fixture = Fixture::new();
    let (world, tip) = (&fixture.world, Tip::clone(&fixture.tip));
    let b = world.validator(1);
    let block = world.block(&tip, &b, at(100), fixture.last());
    let other = world.block(&tip, &b, at(101), fixture.last());
    let before = Tip { height: tip.height.back(1), ..tip.clone() };
    let mut of_another_height = world.certificate(&before, &[0, 2, 3], 0, &block);
    of_another_height.commit.height = before.height.next();
    for (name, certificate, good) in [
        ("its own", world.certificate(&tip, &[0, 2, 3], 0, &block), true),
        ("another block's", world.certificate(&tip, &[0, 2, 3], 0, &other), false),
        ("another height's", of_another_height, false),
    ] {
        let keys = Keys::of(&tip);
        certificate.check_signatures(&Strict, &chain_id(), &tip.next_table).expect("good ones");
        let certified = CertifiedBlock { block: Arc::new(block.clone()), certificate };
        let verdict = certified_block(&Strict, &keys, &tip.next_table, &certified);
        assert_eq!(verdict.is_ok(), good, "{name}: {verdict:?}");
    }
}

fn inner(certified: &mut CertifiedBlock) -> &mut Block {
    Arc::make_mut(&mut certified.block)
}

#[test]
fn a_fetched_block_is_verified_whole() {
    let fixture = Fixture::new();
    let world = &fixture.world;
    let b = world.validator(1);
    let mut block = world.block(&fixture.tip, &b, at(100), fixture.last());
    block.evidence = vec![fixture.evidence()];
    block.header.evidence_hash = tandem_chain::comet::evidence_hash(&block.evidence);
    let certificate = world.certificate(&fixture.tip, &[0, 2, 3], 0, &block);
    let good = CertifiedBlock { block: block.into(), certificate };
    let verify = |certified: &CertifiedBlock| {
        certified_block(&Strict, &Keys::of(&fixture.tip), &fixture.tip.next_table, certified)
    };
    assert_eq!(verify(&good), Ok(()));
    let changes: [(&str, fn(&mut CertifiedBlock)); 13] = [
        ("another block", |c| c.certificate.commit.block = Some(Hash([1; 32]))),
        ("another height", |c| c.certificate.commit.height = Height(9)),
        ("another round", |c| c.certificate.commit.round = Round(1)),
        ("too little power", |c| {
            c.certificate.commit.signatures.fill(None);
            c.certificate.observations.fill(None);
        }),
        ("a bad last signature", |c| {
            let last = c.certificate.commit.signatures.iter_mut().flatten().last();
            last.expect("a signer").signature = BAD;
        }),
        ("a bad observation", |c| {
            let last = c.certificate.observations.iter_mut().flatten().last();
            last.expect("a signer").signature = BAD;
        }),
        ("a changed header", |c| inner(c).header.time = Timestamp(1)),
        ("changed content", |c| inner(c).record.signature = BAD),
        ("a changed certificate inside", |c| inner(c).last_commit.round = Round(1)),
        // What the header's hash of evidence does not cover.
        ("another key accused", |c| {
            inner(c).evidence[0].key = SecretKey::from_seed(&[77; 32]).public();
        }),
        ("evidence at another index", |c| inner(c).evidence[0].vote_a.validator_index = 9),
        ("an observation in evidence", |c| {
            let observation = c.certificate.observations.iter().flatten().next().cloned();
            inner(c).evidence[0].vote_a.observation = observation;
        }),
        ("evidence of another round", |c| inner(c).evidence[0].vote_a.round = Round(7)),
    ];
    for (name, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(verify(&bad).is_err(), "{name}");
    }
}
