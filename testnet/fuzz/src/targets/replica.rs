//! A replica among seats whose keys are all in the fuzzer's hands: messages of any content, as if every
//! signature were good, deaths of the process, and time. That what it signs is durable before it
//! leaves, and never contradicts itself, is held by [`Node`].

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tandem_chain::block::{Block, Certificate, CertifiedBlock};
use tandem_chain::keys::Signature;
use tandem_chain::liveness::Observation;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Hash, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::{Follow, FollowBody, Message, Proposal};
use tandem_consensus::time::Now;
use tandem_consensus::validate::{self, Fixed};
use tandem_consensus::verify::{Keys, Triage, certified_block};
use tandem_consensus::{Effect, Input};

use crate::bytes::Bytes;
use crate::node::Node;
use crate::seeds;
use crate::world::{AnySignature, World, at, commit, rehash};

/// Things that happen in one history.
const MAX_STEPS: usize = 96;
const SEATS: usize = 4;
const NO_SIGNATURE: Signature = Signature([0; 64]);

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&[1; SEATS]));
static START: LazyLock<Node> = LazyLock::new(|| Node::new(&WORLD, WORLD.validator(0)));

struct Run<'b> {
    bytes: Bytes<'b>,
    node: Node,
    ms: u64,
    is_over: bool,
    /// What the replica asked a peer for.
    fetch: Option<(usize, Height)>,
}

/// A history: a byte of what happens next, then its choices.
pub fn run(bytes: &[u8]) {
    let mut run =
        Run { bytes: Bytes(bytes), node: START.clone(), ms: 0, is_over: false, fetch: None };
    run.feed(Input::Start);
    run.feed(Input::Work(true));
    for _ in 0..MAX_STEPS {
        if run.bytes.is_empty() || run.is_over {
            return;
        }
        run.step();
    }
}

impl Run<'_> {
    fn now(&self) -> Now {
        at(self.ms)
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = self.node.handle(self.now(), input);
            for effect in &effects {
                match effect {
                    Effect::Halt { .. } => self.is_over = true,
                    Effect::Fetch { from, first, .. } => {
                        let seat = (0..SEATS).find(|seat| WORLD.validator(*seat) == *from);
                        self.fetch = Some((seat.unwrap_or_default(), *first));
                    }
                    _ => {}
                }
            }
            inputs.extend(effects.iter().rev().filter_map(|effect| self.answer(effect)));
        }
    }

    /// As [`Node::answer`], but in fetched blocks every signature is good, too.
    fn answer(&mut self, effect: &Effect) -> Option<Input> {
        let Effect::Verify { block, table } = effect else { return self.node.answer(effect) };
        let height = block.block.header.height;
        let verdict = certified_block(&AnySignature, &Keys::of(self.node.tip()), table, block);
        Some(Input::BlockVerified { height, verdict })
    }

    fn step(&mut self) {
        match self.bytes.u8() % 12 {
            0 => self.wake_up(),
            1 => {
                self.ms += 10 * u64::from(self.bytes.u8());
                self.feed(Input::Wakeup);
            }
            2 => {
                self.node.restart();
                self.feed(Input::Start);
                self.feed(Input::Work(true));
            }
            3 => {
                let has_work = self.bytes.below(2) == 0;
                self.feed(Input::Work(has_work));
            }
            4 => {
                let peer = WORLD.validator(self.bytes.below(SEATS));
                let is_up = self.bytes.below(2) == 0;
                self.feed(if is_up { Input::Connected(peer) } else { Input::Disconnected(peer) });
            }
            5..=7 => {
                let vote = self.vote();
                self.receive(Message::Vote(Box::new(vote)));
            }
            8 => {
                let proposal = self.proposal();
                self.receive(Message::Proposal(Box::new(proposal)));
            }
            9 => {
                let message = self.other();
                self.receive(message);
            }
            10 => {
                if let Ok(message) = Keys::decode(self.bytes.slice()) {
                    self.receive(message);
                }
            }
            _ => self.answer_fetch(),
        }
    }

    fn wake_up(&mut self) {
        if let Some(wanted) = self.node.replica.next_wakeup() {
            self.ms = self.ms.max(wanted.0.div_ceil(1_000_000));
            self.feed(Input::Wakeup);
        }
    }

    /// A message, as it comes from some seat. The replica's own key is in no other hands: it takes a
    /// proposal of its own, sent back, for what it signed.
    fn receive(&mut self, message: Message) {
        if matches!(&message, Message::Proposal(p) if p.proposer == self.node.key) {
            return;
        }
        let from = WORLD.validator(1 + self.bytes.below(SEATS - 1));
        let keys = Keys::of(self.node.tip());
        match keys.triage(&message) {
            Triage::Verify => {
                if let Ok(message) = keys.verify(&AnySignature, message, &|_| false) {
                    self.feed(Input::Message { from, message });
                }
            }
            Triage::Claim(height) => self.feed(Input::Claim { from, height }),
            Triage::Drop => {}
        }
    }

    /// The height after the tip, mostly.
    fn height(&mut self) -> Height {
        let next = self.node.tip().height.next();
        match self.bytes.u8() {
            0..200 => next,
            200..225 => next.next(),
            225..250 => next.back(1),
            _ => Height(self.bytes.u64()),
        }
    }

    fn round(&mut self) -> Round {
        match self.bytes.u8() {
            255 => Round(self.bytes.u64() as u32),
            round => Round(u32::from(round % 8)),
        }
    }

    /// A block on the tip, or the replica's own.
    fn block(&mut self) -> Block {
        let choice = self.bytes.u8();
        if choice == 255
            && let Some(proposal) = self.node.durable().proposal
        {
            return proposal.block.as_ref().clone();
        }
        let tip = Arc::clone(self.node.ledger.tip());
        let last = self.last();
        self.block_on(&tip, &last, choice)
    }

    /// The certificate of the last block.
    fn last(&self) -> Certificate {
        self.node.blocks.last().map_or_else(Certificate::default, |b| b.certificate.clone())
    }

    /// A block on a tip by some seat, in one way or another not what it should be.
    fn block_on(&mut self, tip: &Tip, last: &Certificate, choice: u8) -> Block {
        let author = WORLD.validator(usize::from(choice) % SEATS);
        let mut now = self.now();
        now.wall = tip.time.plus(Duration::from_millis(1 + u64::from(choice / 4 % 2)));
        let mut block = WORLD.block(tip, &author, now, last);
        match choice / 8 {
            1 => block.header.app_hash = Hash([7; 32]),
            2 => block.header.height = Height(self.bytes.u64()),
            3 => block.header.time.0 = self.bytes.u64(),
            4 => block.record.record.alive = (0..self.bytes.u8()).map(|i| i % 2 == 0).collect(),
            5 => block.last_commit.signatures.clear(),
            6 => block.header.proposer_address.0[0] ^= 1,
            _ => {}
        }
        rehash(&mut block);
        block
    }

    fn id(&mut self) -> Option<BlockId> {
        match self.bytes.u8() {
            0..100 => None,
            100..120 => Some(Hash([7; 32])),
            _ => Some(self.block().id()),
        }
    }

    fn observation(&mut self) -> Observation {
        let nodes = self.node.tip().register.nodes.len();
        let bits = self.bytes.u8();
        let length = if bits == 255 { usize::from(self.bytes.u8()) } else { nodes };
        let seen = (0..length).map(|i| bits >> (i % 8) & 1 == 1).collect();
        Observation { seen, signature: NO_SIGNATURE }
    }

    fn vote(&mut self) -> Vote {
        let kind = if self.bytes.below(2) == 0 { VoteKind::Prevote } else { VoteKind::Precommit };
        let seat = self.bytes.u8();
        let key = WORLD.validator(usize::from(seat) % SEATS);
        let table = Arc::clone(&self.node.tip().next_table);
        let index = table.by_key(&key).map_or(0, |(index, _)| index);
        let block = self.id();
        let observes = kind == VoteKind::Precommit && block.is_some();
        Vote {
            kind,
            height: self.height(),
            round: self.round(),
            block,
            timestamp: self.now().wall,
            validator_index: if seat >= 250 { u16::from(seat) } else { index as u16 },
            validator_address: key.address(),
            signature: NO_SIGNATURE,
            observation: observes.then(|| self.observation()),
        }
    }

    fn proposal(&mut self) -> Proposal {
        let block = self.block();
        let (seat, round) = (self.bytes.u8(), self.round());
        let valid_round = (self.bytes.u8() % 2 == 1).then(|| self.round());
        let mut prevotes = Vec::new();
        if let Some(valid_round) = valid_round {
            for _ in 0..self.bytes.below(5) {
                let vote = self.vote();
                prevotes.push(Vote {
                    kind: VoteKind::Prevote,
                    height: block.header.height,
                    round: valid_round,
                    block: Some(block.id()),
                    observation: None,
                    ..vote
                });
            }
        }
        Proposal {
            height: block.header.height,
            round,
            valid_round,
            block_id: block.id(),
            proposer: WORLD.validator(usize::from(seat) % SEATS),
            signature: NO_SIGNATURE,
            block: Arc::new(block),
            prevotes,
        }
    }

    fn other(&mut self) -> Message {
        let height = self.height();
        match self.bytes.below(4) {
            0 => Message::Status { committed: height },
            1 => Message::LostQuery,
            2 => Message::LostAnswer { committed: height },
            _ => {
                let seat = self.bytes.below(2 * SEATS);
                let node =
                    if seat < SEATS { WORLD.validator(seat) } else { WORLD.standby(seat - SEATS) };
                let tip = self.node.tip();
                let (block, app_hash) = (tip.block.unwrap_or(Hash([7; 32])), tip.app_hash);
                let body = FollowBody { node, height, block, app_hash };
                Message::Follow(Box::new(Follow { body, signature: NO_SIGNATURE }))
            }
        }
    }

    /// Blocks, each on the one before if that is right, whether or not they were asked for; or the word
    /// that the peer does not have them.
    fn answer_fetch(&mut self) {
        let mut ledger = self.node.ledger.as_ref().clone();
        let mut last = self.last();
        let first = ledger.tip().height.next();
        let (seat, first) = self.fetch.take().unwrap_or((1, first));
        let mut blocks = Vec::new();
        for _ in 0..self.bytes.below(3) {
            let tip = Arc::clone(ledger.tip());
            let choice = self.bytes.u8();
            let block = self.block_on(&tip, &last, choice);
            // Not by the replica's own key, which is in no other hands.
            let orgs: Vec<usize> = (1..SEATS).filter(|_| self.bytes.below(8) != 0).collect();
            let certificate = WORLD.certificate(&tip, &orgs, self.round().0, &block);
            if validate::check(&tip, &Fixed::of(&tip), &block).is_ok() {
                commit(&mut ledger, &block);
                last = certificate.clone();
            }
            blocks.push(CertifiedBlock { block: block.into(), certificate });
        }
        let from = WORLD.validator(seat);
        let input = if blocks.is_empty() && self.bytes.below(2) == 1 {
            Input::Lacks { from, first, lowest: self.height() }
        } else {
            Input::Fetched { from, first, blocks }
        };
        self.feed(input);
    }
}

/// Histories in which blocks are decided, and some of each kind of message.
pub fn seeds() -> Vec<Vec<u8>> {
    // The first block of the second seat, whose turn it is at height 1, and votes for it.
    let (proposal, block) = ([8, 1, 1, 0, 0, 0], [120, 1]);
    let vote = |kind: u8, seat: u8, from: u8| {
        let mut vote = vec![5, kind, seat];
        vote.extend(block);
        vote.extend([0, 0]);
        vote.extend((kind == 1).then_some(254));
        vote.push(from);
        vote
    };
    let nil = |kind: u8, seat: u8| vec![5, kind, seat, 0, 0, 0, 0];
    let votes =
        |kind| (1..SEATS as u8).flat_map(move |seat| vote(kind, seat, 0)).collect::<Vec<u8>>();
    let nils = |kind| (1..SEATS as u8).flat_map(move |seat| nil(kind, seat)).collect::<Vec<u8>>();
    let mut seeds = vec![
        [proposal.to_vec(), votes(0), votes(1)].concat(),
        [proposal.to_vec(), votes(0), vec![2], votes(1), vec![0, 0]].concat(),
        [proposal.to_vec(), vote(0, 1, 0), vote(0, 2, 0), nils(1), vec![0, 0, 0, 0]].concat(),
        [nils(0), nils(1), vec![0, 0, 0, 2, 4, 1, 0]].concat(),
    ];
    // Seat 1 connects and claims height 9, and answers with one block and with two.
    let claim = [4, 1, 0, 9, 255, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 50, 0];
    let fetched = [1, 1, 1, 1, 0];
    seeds.push([&claim[..], &[11, 1], &fetched].concat());
    seeds.push([&claim[..], &[11, 2], &fetched, &fetched, &[0, 0]].concat());
    // The same after a block that votes without good signatures have decided.
    let decided = [proposal.to_vec(), votes(0), votes(1)].concat();
    seeds.push([&decided[..], &claim, &[11, 2], &fetched, &fetched, &[0, 0]].concat());
    for message in seeds::of_consensus(&["proposal", "precommit", "follow"]) {
        let length = u16::try_from(message.len()).expect("short messages").to_be_bytes();
        seeds.push([vec![10], length.to_vec(), message, vec![0]].concat());
    }
    seeds
}
