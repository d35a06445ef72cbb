//! Whole catch-ups: a node that is far behind, among peers of every kind, in a time of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Height, Round};
use tandem_consensus::catchup::{CatchUp, Request};
use tandem_consensus::limits::{
    FETCH_REST, FETCH_SLOW, FETCH_TIMEOUT, MAX_FETCH_BLOCKS, MAX_FETCHED_BLOCKS,
};
use tandem_consensus::time::Instant;

use crate::world::World;

/// Blocks that the node lacks.
const BLOCKS: u64 = 2_000;
/// Time in which a node verifies and executes a block, if the test says nothing else.
const EXECUTION: Duration = Duration::from_millis(1);
/// Time in which a good peer answers.
const QUICK: Duration = Duration::from_millis(20);
/// A height that may be found nowhere.
const LOST: u64 = 700;
/// The round in certificates that do not hold.
const FORGED: Round = Round(9);

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&[1; 4]));
static BLOCK: LazyLock<CertifiedBlock> = LazyLock::new(|| WORLD.chain(1, &[0, 1, 2]).remove(0));

/// What a peer does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It answers after so long.
    After(Duration),
    /// It answers quickly, with one block.
    Cuts,
    /// It never answers.
    Silent,
    /// It answers quickly and never, by turns.
    ByTurns,
    /// It answers quickly, and the last block of each answer is forged.
    Forges,
    /// It claims what nobody has, and answers with nothing.
    Boasts,
    /// It answers quickly, and has not the block at [`LOST`].
    Lost,
}

use Kind::{After, Boasts, ByTurns, Cuts, Forges, Lost, Silent};

const GOOD: Kind = After(QUICK);
const FAR: Kind = After(Duration::from_millis(100));
/// Just within the time for an answer.
const LATE: Kind = After(Duration::from_millis(4_900));

const _: () = assert!(4_900 < FETCH_TIMEOUT.as_millis());

/// Key of peer number `n`: a validator each, then their standbys.
fn key(n: usize) -> PublicKey {
    if n < 4 { WORLD.validator(n) } else { WORLD.standby(n - 4) }
}

/// The block at a height, by its number alone: nothing else of it is looked at here.
fn block(height: u64) -> CertifiedBlock {
    let mut block = BLOCK.clone();
    Arc::make_mut(&mut block.block).header.height = Height(height);
    block
}

struct Node {
    catch_up: CatchUp,
    tip: Tip,
    now: Instant,
    entered: Instant,
    /// Time that it takes to execute a block, and when the present one is done.
    execution: Duration,
    executing: Option<Instant>,
    peers: BTreeMap<PublicKey, Kind>,
    /// What is on its way, by when it comes and in the order of the questions.
    answers: BTreeMap<(Instant, usize), (PublicKey, Height, Vec<CertifiedBlock>)>,
    asked: Vec<(Instant, Request)>,
    blamed: BTreeSet<PublicKey>,
}

impl Node {
    fn among(kinds: &[Kind]) -> Self {
        let peers: BTreeMap<_, _> = kinds.iter().enumerate().map(|(n, k)| (key(n), *k)).collect();
        let mut catch_up = CatchUp::default();
        peers.keys().for_each(|peer| catch_up.connected(*peer));
        Self {
            catch_up,
            tip: Tip::clone(WORLD.ledger().tip()),
            now: Instant(0),
            entered: Instant(0),
            execution: EXECUTION,
            executing: None,
            peers,
            answers: BTreeMap::new(),
            asked: Vec::new(),
            blamed: BTreeSet::new(),
        }
    }

    /// Goes on until a height is reached; the time then.
    fn reach(&mut self, height: u64) -> Duration {
        while self.tip.height < Height(height) {
            self.turn();
            self.pass();
        }
        for peer in &self.blamed {
            let kind = self.peers.get(peer);
            assert!(!matches!(kind, Some(After(_) | Cuts)), "{kind:?} has done nothing wrong");
        }
        self.now.since(Instant(0))
    }

    /// What a replica does after each input.
    fn turn(&mut self) {
        for (peer, kind) in &self.peers {
            let claimed = if *kind == Boasts { u64::MAX } else { BLOCKS };
            self.catch_up.claim(peer, Height(claimed));
        }
        if self.executing.is_some() {
            return;
        }
        while let Some((peer, _)) = self.catch_up.expired(self.now) {
            self.blamed.insert(peer);
        }
        let next = self.tip.height.next();
        while let Some((from, block)) = self.catch_up.next_block(self.tip.height) {
            assert!(self.catch_up.verified(next).is_some());
            if block.certificate.commit.round != FORGED {
                self.catch_up.made_good(&from);
                self.executing = Some(self.now.plus(self.execution));
                break;
            }
            self.blame(from);
        }
        while let Some(request) = self.catch_up.request(&self.tip, self.entered, self.now) {
            self.ask(request);
        }
    }

    fn blame(&mut self, peer: PublicKey) {
        self.catch_up.failed(&peer, self.now);
        self.blamed.insert(peer);
    }

    fn ask(&mut self, request: Request) {
        let Request { peer, first, count } = request;
        assert!((1..=MAX_FETCH_BLOCKS).contains(&count), "{request:?}");
        let end = first.plus(count);
        let most = self.tip.height.next().plus(MAX_FETCHED_BLOCKS);
        assert!(end <= most, "{request:?} at {}", self.tip.height);
        self.asked.push((self.now, request));
        let times = self.asked.iter().filter(|(_, asked)| asked.peer == peer).count();
        let up_to = |end: u64| (first.0..end).map(block).collect::<Vec<_>>();
        let whole = end.0.min(BLOCKS + 1);
        let (after, blocks) = match self.peers[&peer] {
            After(time) => (time, up_to(whole)),
            Cuts => (QUICK, up_to(first.0 + 1)),
            Silent => return,
            ByTurns if times.is_multiple_of(2) => return,
            ByTurns => (QUICK, up_to(whole)),
            Forges => {
                let mut blocks = up_to(whole);
                blocks.last_mut().expect("a block").certificate.commit.round = FORGED;
                (QUICK, blocks)
            }
            Boasts => (QUICK, Vec::new()),
            Lost if (first.0..whole).contains(&LOST) => (QUICK, up_to(LOST)),
            Lost => (QUICK, up_to(whole)),
        };
        let place = (self.now.plus(after), self.asked.len());
        self.answers.insert(place, (peer, first, blocks));
    }

    /// Goes on to what is next: an answer, the end of an execution, or a wake-up.
    fn pass(&mut self) {
        let answer = self.answers.first_key_value().map(|((at, _), _)| *at);
        let wakeup = match self.executing {
            Some(_) => None,
            None => self.catch_up.next_wakeup(&self.tip, self.entered),
        };
        assert!(wakeup.is_none_or(|at| at > self.now), "a wake-up leaves nothing due");
        let next = answer.into_iter().chain(self.executing).chain(wakeup).min();
        self.now = next.expect("something is due while blocks are lacking");
        if self.executing.is_some_and(|at| at <= self.now) {
            self.executing = None;
            self.entered = self.now;
            self.tip.height = self.tip.height.next();
        }
        while let Some(entry) = self.answers.first_entry().filter(|e| e.key().0 <= self.now) {
            let (from, first, blocks) = entry.remove();
            if !self.catch_up.fetched(from, first, blocks, self.now) {
                self.blame(from);
            }
        }
    }

    fn disconnect(&mut self, n: usize) {
        self.catch_up.disconnected(&key(n));
        self.peers.remove(&key(n));
        self.answers.retain(|_, (from, ..)| *from != key(n));
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_few_bad_peers_hold_up_a_catch_up_for_a_moment_each_and_then_no_more() {
    let cases: [(&[Kind], f64); 12] = [
        (&[GOOD], 2.1),
        (&[GOOD, GOOD, GOOD], 2.1),
        (&[GOOD, GOOD, Silent], 3.2),
        (&[GOOD, GOOD, LATE], 3.2),
        (&[GOOD, LATE, LATE], 3.5),
        (&[GOOD, Silent, Silent], 3.5),
        (&[GOOD, Forges, Forges], 2.3),
        (&[GOOD, Boasts, Boasts], 2.3),
        (&[GOOD, Cuts, Cuts], 2.5),
        (&[GOOD, GOOD, ByTurns, ByTurns, ByTurns], 4.5),
        // All places may be taken by peers that do not answer.
        (&[GOOD, GOOD, GOOD, GOOD, Silent, Silent, Silent, Silent], 5.0),
        (&[Silent, Silent, Silent, Silent, GOOD, GOOD, GOOD, GOOD], 5.0),
    ];
    for (kinds, most) in cases {
        let time = Node::among(kinds).reach(BLOCKS);
        assert!(time <= seconds(most), "{time:?} with {kinds:?}");
    }
}

/// A node that executes faster than blocks come has room for ever more answers, and would give a place to
/// every peer.
#[test]
fn so_do_they_when_the_node_waits_for_its_peers() {
    let late = After(FETCH_SLOW * 2);
    let cases: [(&[Kind], f64); 4] = [
        (&[FAR, FAR, FAR], 1.2),
        (&[FAR, FAR, Silent], 2.8),
        (&[FAR, late, late], 4.5),
        (&[FAR, FAR, FAR, ByTurns, Silent, late], 4.5),
    ];
    for (kinds, most) in cases {
        let mut node = Node::among(kinds);
        node.execution = EXECUTION / 20;
        let time = node.reach(BLOCKS);
        assert!(time <= seconds(most), "{time:?} with {kinds:?}");
    }
}

#[test]
fn slow_peers_are_asked_together_when_there_are_no_others() {
    // Three answers one after another, each of three at once: not seven.
    let time = Node::among(&[LATE; 3]).reach(400);
    assert!(time <= FETCH_TIMEOUT * 3 + seconds(1.0), "{time:?}");
    let time = Node::among(&[Cuts; 3]).reach(300);
    assert!(time <= seconds(4.0), "{time:?}");
}

#[test]
fn who_was_slow_once_is_asked_again_after_a_while() {
    let mut node = Node::among(&[FAR, FAR, After(FETCH_SLOW * 2)]);
    node.execution = EXECUTION / 20;
    node.reach(1_000);
    let asked = |node: &Node| node.asked.iter().filter(|(_, r)| r.peer == key(2)).count();
    assert_eq!(asked(&node), 1);
    // A block that takes a minute.
    node.turn();
    node.executing = Some(node.now.plus(FETCH_REST));
    node.peers.insert(key(2), GOOD);
    node.reach(BLOCKS);
    assert!(asked(&node) > 2, "and quick again");
}

#[test]
fn peers_that_go_leave_no_gap() {
    let mut node = Node::among(&[GOOD, GOOD, GOOD]);
    node.reach(500);
    node.disconnect(0);
    node.reach(1_000);
    node.disconnect(2);
    let time = node.reach(BLOCKS);
    assert!(time <= seconds(2.3), "{time:?}");
}

#[test]
fn a_block_that_nobody_has_is_asked_for_ever_more_seldom_and_the_rest_comes_when_someone_has_it() {
    let mut node = Node::among(&[Lost, Lost, Lost]);
    node.reach(LOST - 1);
    let (before, begun) = (node.asked.len(), node.now);
    while node.now.since(begun) < Duration::from_secs(600) {
        node.turn();
        node.pass();
    }
    assert_eq!(node.tip.height, Height(LOST - 1));
    let first = |(_, request): &&(Instant, Request)| request.first == Height(LOST);
    let asked = node.asked[before..].iter().filter(first).count();
    assert!(asked <= 3 * (5 + 10), "{asked} times");
    node.blamed.clear();
    node.peers.insert(key(0), GOOD);
    let time = node.reach(BLOCKS);
    assert!(time <= seconds(600.0 + 60.0 + 10.0), "{time:?}");
}

#[test]
fn the_same_history_is_the_same_questions() {
    let asked = || {
        let mut node = Node::among(&[GOOD, Cuts, ByTurns, Forges, Silent, GOOD, Boasts]);
        node.reach(BLOCKS);
        node.asked
    };
    assert_eq!(asked(), asked());
}
