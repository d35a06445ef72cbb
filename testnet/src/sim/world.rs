//! One history: one thread, virtual time, one queue.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::ledger::Ledger;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Height, OrgName, Timestamp, TxHash};
use tandem_consensus::Input;
use tandem_consensus::journal::KeyState;

use super::actor::{Byzantine, Keyring, Peer};
use super::clock::Clock;
use super::coverage::crashes::Kind;
use super::coverage::{Entry, Start, Watch};
use super::crypto::Memo;
use super::digest::Digest;
use super::disk::{Disk, Image};
use super::faults::Growth;
use super::guests::{Answer, Guest};
use super::invariants::progress::Healing;
use super::invariants::{Invariants, Member, Verdict, Violation};
use super::liars;
use super::load::Client;
use super::members::{Members, members};
use super::net::{self, Net};
use super::node::{Node, Process, Slow};
use super::packet::Packet;
use super::plan::{CrashPoint, Links, Plan, Shape};
use super::queue::{Queue, S, Time};
use super::random::Random;
use super::report::Counts;
use super::states::{Executed, State, States};

/// Wall-clock time at which every history begins.
pub(super) const GENESIS_TIME: Timestamp = Timestamp(1_800_000_000_000_000_000);

/// Something that happens.
pub enum Event {
    /// A message arrives.
    Packet { from: usize, to: usize, epoch: u64, packet: Rc<Packet> },
    /// A transaction arrives, forwarded by a node.
    Forwarded { from: usize, to: usize, epoch: u64, tx: Tx },
    /// A client hands in a transaction.
    Submitted { to: usize, tx: Tx },
    /// A connection is made, if both ends can still be reached.
    Connect { a: usize, b: usize },
    /// A connection has been silent for so long that it is given up.
    Silent { a: usize, b: usize, epoch: u64 },
    /// A node learns that a connection has ended.
    Gone { node: usize, peer: usize, epoch: u64 },
    /// A part of a process is done.
    Done { node: usize, incarnation: u64, done: Done },
    /// A question for blocks arrives.
    Asked { from: usize, incarnation: u64, to: usize, first: Height, count: u64, id: u64 },
    /// A process starts.
    Start(usize),
    /// A process goes on.
    Resume(usize),
    /// Cuts of a partition end.
    Mend(Vec<(usize, usize)>),
    /// A disk is replaced by an earlier copy; whether it is marked as such.
    Restore { node: usize, image: Box<Image>, is_marked: bool },
    /// A disk has room again.
    Room(usize),
    /// A machine and its disk are as fast as they were.
    Fast(usize),
    /// The holder of a seat dies, while its standby is behind.
    Lagging { standby: usize, holder: usize },
    /// The next fault.
    Fault,
    /// A node that was given a seat dies.
    Hunt(usize),
    /// A client does something.
    Client(usize),
    /// The faults stop.
    Heal,
    /// Whether everything that is demanded after the faults is there.
    Look,
    /// A Byzantine node does something by itself.
    Act(usize),
    /// Members vote on the motions that there are.
    Ballot,
    /// A machine with an invitation calls on a member.
    Guest(usize),
    /// Its registration arrives there.
    Visit { guest: usize, to: usize, tx: Tx },
    /// The answer arrives.
    Answered { guest: usize, by: usize, answer: Answer },
    /// The next step of a network that grows and shrinks.
    Grow,
    /// A vote by a key of no node arrives.
    Strange { from: usize, to: usize, packet: Rc<Packet> },
}

/// What a part of a process has to tell.
pub enum Done {
    /// An input for the replica.
    Input(Box<Input>),
    /// An answer to a fetch.
    Fetched { id: u64, input: Box<Input> },
    /// An fsync: so many writes of the log are durable.
    Synced(usize, Kind),
    /// A block is executed.
    Executed(Arc<CertifiedBlock>, Rc<Executed>),
    /// The deadline that the replica asked for.
    Wakeup(Time),
}

/// Which half of a history it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Faults are injected.
    Faults,
    /// They have stopped.
    Healed {
        /// When.
        at: Time,
        /// Height of the one chain then.
        height: Height,
    },
}

/// A history.
pub struct World {
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) queue: Queue<Event>,
    pub(super) genesis: Genesis,
    /// Names of all organisations, those to come among them.
    pub(super) names: Vec<OrgName>,
    pub(super) genesis_state: State,
    pub(super) states: States,
    pub(super) admins: Vec<[SecretKey; 3]>,
    /// Of the nodes, by index.
    pub(super) secrets: Vec<SecretKey>,
    /// Those of genesis come first.
    pub(super) nodes: Vec<Node>,
    /// How many are of genesis.
    pub(super) at_genesis: usize,
    pub(super) by_key: BTreeMap<PublicKey, usize>,
    pub(super) net: Net,
    pub(super) links: Links,
    pub(super) memo: Memo,
    pub(super) clients: Vec<Client>,
    /// Machines with invitations.
    pub(super) guests: Vec<Guest>,
    /// What was tried with invitations.
    pub(super) thefts: BTreeMap<TxHash, Entry>,
    pub(super) growth: Growth,
    pub(super) good_txs: BTreeSet<TxHash>,
    pub(super) invariants: Invariants,
    pub(super) phase: Phase,
    /// What was so when the faults stopped, or nodes, partners or parameters changed after that.
    pub(super) healing: Option<Healing>,
    /// When nodes, partners or parameters of the one chain last changed.
    pub(super) last_change: Time,
    /// Until when a standby is kept behind.
    pub(super) lags_until: Time,
    pub(super) violation: Option<Violation>,
    pub(super) is_over: bool,
    pub(super) counts: Counts,
    pub(super) fetches: u64,
    pub(super) watch: Watch,
    /// The signers of the Byzantine nodes.
    pub(super) liars: Keyring,
    /// What the Byzantine know of all nodes.
    pub(super) peers: Vec<Peer>,
    pub(super) digest: Digest,
    story: Option<Vec<String>>,
}

impl World {
    /// The beginning of a seed's history.
    #[must_use]
    pub fn new(seed: u64, with_story: bool) -> Self {
        Self::shaped(seed, Shape::default(), with_story)
    }

    /// The beginning of a seed's history, in the shape that is asked for.
    #[must_use]
    pub fn shaped(seed: u64, shape: Shape, with_story: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::new(seed, shape, &mut random);
        let Members { genesis, names, machines, mut secrets, admins, users } = members(&plan);
        let mut states = States::default();
        let genesis_state = states.of(&Ledger::<State>::genesis(&genesis));
        let bound_ns = plan.parameters.max_clock_ahead_ms * 1_000_000;
        let mut nodes = Vec::new();
        for (machine, secret) in machines.into_iter().zip(&secrets) {
            let liar = plan.byzantine.iter().find(|liar| liar.org == machine.org);
            let number = nodes.iter().filter(|node: &&Node| node.org == machine.org).count();
            let kind = liar.and_then(|liar| liar.kinds.get(number).copied().flatten());
            nodes.push(Node {
                name: machine.name,
                org: machine.org,
                key: secret.public(),
                signer: plan.scheme.signer(secret),
                disk: Disk::new(genesis_state.clone()),
                key_was_lost: false,
                rolled_back: false,
                disk_is_full: false,
                lowest: 0,
                machine: plan.machine.one(&mut random),
                slow: Slow::NOT,
                clock: Clock::kept(&mut random, bound_ns, 0),
                byzantine: kind.map(|kind| Byzantine::new(kind, &mut random)),
                twin: None,
                is_installed: machine.role.is_some(),
                process: None,
                incarnation: 0,
                paused: false,
                held: std::collections::VecDeque::new(),
                doom: None,
                stays_dead: false,
                halted: false,
            });
        }
        let at_genesis = nodes.iter().filter(|node| node.is_installed).count();
        let by_key = nodes.iter().enumerate().map(|(i, node)| (node.key, i)).collect();
        let first_copies = liars::add_twins(&mut nodes, &genesis_state, &mut random);
        secrets.extend(first_copies.into_iter().map(|i| secrets[i].clone()).collect::<Vec<_>>());
        let signer = |key: &SecretKey| plan.scheme.signer(key);
        let clients = users.iter().map(|(org, key)| Client::new(*org, signer(key))).collect();
        let members: Vec<Member> = nodes
            .iter()
            .map(|node| Member {
                name: node.name.as_str().into(),
                key: node.key,
                address: node.key.address(),
                is_correct: node.is_correct(),
            })
            .collect();
        let mut world = Self {
            random,
            queue: Queue::default(),
            by_key,
            net: Net::new(nodes.len()),
            watch: Watch::new(nodes.len()),
            links: plan.links,
            memo: Memo::new(plan.scheme),
            invariants: Invariants::new(&genesis, &members, plan.beyond_f),
            liars: liars::keyring(&nodes),
            peers: liars::peers(&nodes),
            genesis,
            names,
            genesis_state,
            states,
            admins,
            secrets,
            at_genesis,
            nodes,
            clients,
            guests: Vec::new(),
            thefts: BTreeMap::new(),
            growth: Growth::default(),
            good_txs: BTreeSet::new(),
            phase: Phase::Faults,
            healing: None,
            last_change: 0,
            lags_until: 0,
            violation: None,
            is_over: false,
            counts: Counts::default(),
            fetches: 0,
            digest: Digest::new(seed),
            story: with_story.then(Vec::new),
            plan,
        };
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        for node in 0..self.nodes.len() {
            let delay = self.random.below(S / 5);
            self.queue.after(delay, Event::Start(node));
            if self.nodes[node].byzantine.is_some() {
                self.queue.after(S / 2, Event::Act(node));
            }
        }
        for client in 0..self.clients.len() {
            self.queue.after(S / 2, Event::Client(client));
        }
        if !self.plan.faults.is_empty() {
            self.queue.after(S, Event::Fault);
        }
        if self.plan.grows() {
            self.queue.after(S, Event::Grow);
        }
        self.queue.after(self.plan.fault_time, Event::Heal);
    }

    /// Lives through the whole history.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn run(&mut self) -> Verdict {
        while !self.is_over && self.violation.is_none() {
            let Some(event) = self.queue.pop() else { break };
            self.counts.events += 1;
            self.dispatch(event);
        }
        self.counts.blocks = self.invariants.height().0;
        self.counts.txs = self.invariants.exactly_once.count() as u64;
        self.counts.changes = self.invariants.changes();
        let is_barred = |node: &&Node| node.rolled_back && self.invariants.is_barred(&node.key);
        self.counts.rolled_back_barred = self.nodes.iter().filter(is_barred).count() as u64;
        self.counts.virtual_seconds = self.queue.now() / S;
        self.counts.judged = self.invariants.counts().into_iter().collect();
        self.counts.coverage = self.watch.seen().clone();
        self.counts.beyond_f = u64::from(self.plan.beyond_f);
        self.counts.forks = u64::from(self.invariants.has_forked());
        self.violation.clone().map_or(Ok(()), Err)
    }

    fn dispatch(&mut self, event: Event) {
        let Some(event) = self.hold(event) else { return };
        match event {
            Event::Packet { from, to, epoch, packet } => self.packet(from, to, epoch, &packet),
            Event::Forwarded { from, to, epoch, tx } => {
                if self.can_arrive(from, to, epoch) {
                    self.admit(to, tx, false);
                }
            }
            Event::Submitted { to, tx } => self.admit(to, tx, true),
            Event::Connect { a, b } => self.connect(a, b),
            Event::Silent { a, b, epoch } => self.silent(a, b, epoch),
            Event::Gone { node, peer, epoch } => self.gone(node, peer, epoch),
            Event::Done { node, incarnation, done } => {
                if self.nodes[node].incarnation == incarnation && self.nodes[node].process.is_some()
                {
                    self.done(node, done);
                }
            }
            Event::Asked { from, incarnation, to, first, count, id } => {
                self.asked(from, incarnation, to, first, count, id);
            }
            Event::Start(node) => self.start(node),
            Event::Resume(node) => self.resume(node),
            Event::Mend(cuts) => self.mend(&cuts),
            Event::Restore { node, image, is_marked } => self.restored(node, *image, is_marked),
            Event::Room(node) => self.room(node),
            Event::Fast(node) => self.fast(node),
            Event::Lagging { standby, holder } => self.lagging(standby, holder),
            Event::Fault => self.fault(),
            Event::Hunt(node) => self.hunted(node),
            Event::Client(client) => self.client(client),
            Event::Heal if self.still_grows() => self.queue.after(S, Event::Heal),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
            Event::Act(node) => self.act(node),
            Event::Ballot => self.ballot(),
            Event::Guest(guest) => self.guest(guest),
            Event::Visit { guest, to, tx } => self.visited(guest, to, tx),
            Event::Answered { guest, by, answer } => self.answered(guest, by, answer),
            Event::Grow => self.grow(),
            Event::Strange { from, to, packet } => self.strange(from, to, &packet),
        }
    }

    /// Keeps what is for a process that stands still.
    fn hold(&mut self, event: Event) -> Option<Event> {
        let node = match &event {
            Event::Packet { to, .. } | Event::Forwarded { to, .. } | Event::Asked { to, .. } => *to,
            Event::Submitted { to, .. } => *to,
            Event::Gone { node, .. } | Event::Done { node, .. } => *node,
            _ => return Some(event),
        };
        let node = &mut self.nodes[node];
        if !node.paused {
            return Some(event);
        }
        node.held.push_back(event);
        None
    }

    /// Starts a process, from whatever its disk holds.
    pub(super) fn start(&mut self, index: usize) {
        let now = self.queue.now();
        let node = &mut self.nodes[index];
        if node.process.is_some() || node.stays_dead || !node.is_installed {
            return;
        }
        if node.disk_is_full {
            // Its first write, of the journal, fails.
            self.queue.after(S, Event::Start(index));
            return;
        }
        node.incarnation += 1;
        node.halted = false;
        let key = if node.key_was_lost { KeyState::Lost } else { KeyState::Good };
        let image = node.disk.synced();
        let process = Process::start(image, Arc::clone(&node.signer), &self.genesis, key, now);
        let tip = Arc::clone(process.ledger.tip());
        if node.is_correct() {
            let (durable, incarnation) = (image.durable(key), node.incarnation);
            let start = Start { key: node.key, tip: Arc::clone(&tip), durable, incarnation };
            self.watch.started(index, start);
        }
        node.process = Some(process);
        self.tell(|w| format!("{} starts at height {}", w.nodes[index].name, tip.height));
        if self.nodes[index].is_correct() {
            self.find_unknown(index, &tip);
            let (at, disk) = (self.moment(index), self.nodes[index].disk.synced());
            let verdict = self.invariants.started(index, at, &tip, disk);
            self.verdict(verdict);
        }
        self.handle(index, Input::Start);
        if self.dies_at(index, CrashPoint::AtStart) {
            return;
        }
        self.connect_all(index);
        self.look_at_health();
    }

    /// Ends a process at once, and its machine with it. What was not synced is lost but for a first
    /// part of it; the write after that part may have been torn.
    pub(super) fn crash(&mut self, index: usize) {
        if self.nodes[index].process.is_none() {
            return;
        }
        let unsynced = self.nodes[index].disk.unsynced();
        let kept = self.random.index(unsynced + 1);
        self.counts.crashes += 1;
        self.counts.lost_writes += (unsynced - kept) as u64;
        self.counts.torn_writes += u64::from(kept < unsynced && self.random.chance(500));
        self.tell(|w| {
            format!("{} dies; {kept} of {unsynced} unsynced writes are kept", w.nodes[index].name)
        });
        self.end(index, kept);
    }

    /// Ends a process, with the first `kept` writes that were not synced.
    pub(super) fn end(&mut self, index: usize, kept: usize) {
        let node = &mut self.nodes[index];
        if let Some(process) = node.process.take() {
            self.watch.crashed(index, &process);
        }
        node.disk.crash(kept, &mut self.digest);
        node.paused = false;
        node.held.clear();
        node.doom = None;
        for peer in 0..self.nodes.len() {
            self.net.set_sees(index, peer, None);
            let connection = self.net.connection(index, peer);
            connection.is_up = false;
            if let Some(epoch) = self.net.sees(peer, index) {
                let delay = if self.net.is_broken(index, peer) {
                    net::silence_time(&mut self.random)
                } else {
                    net::reset_time(&mut self.random)
                };
                self.queue.after(delay, Event::Gone { node: peer, peer: index, epoch });
            }
        }
        self.look_at_health();
    }

    /// Remembers the first invariant that did not hold.
    pub(super) fn verdict(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict
            && self.violation.is_none()
        {
            self.tell(|_| format!("VIOLATED {violation}"));
            for node in 0..self.nodes.len() {
                self.tell(|w| w.nodes[node].state());
            }
            self.violation = Some(violation);
        }
    }

    /// Adds a line to the story, and in any case something to the digest.
    pub(super) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        self.digest.mix(self.queue.now());
        if self.story.is_some() {
            let now = self.queue.now();
            let text = format!("{:>4}.{:06} {}", now / S, now % S / 1000, line(self));
            self.story.iter_mut().for_each(|story| story.push(text.clone()));
        }
    }

    /// The story so far.
    #[must_use]
    pub fn story(&self) -> &[String] {
        self.story.as_deref().unwrap_or_default()
    }

    /// A digest of everything that happened: every message that was sent, every question for blocks and
    /// its answer, every write that became durable, every block, and when.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// What happened, in numbers.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the seed picked.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The chain's parameters by now.
    pub(super) fn parameters(&self) -> &Parameters {
        self.invariants.parameters()
    }

    /// What a node's wall clock shows.
    pub(super) fn wall(&self, node: usize) -> Timestamp {
        Timestamp(self.truth().0.saturating_add_signed(self.clock_offset(node)))
    }

    /// Nanoseconds that a node's wall clock is ahead of the truth.
    pub(super) fn clock_offset(&self, node: usize) -> i64 {
        self.nodes[node].clock.offset(self.queue.now())
    }

    /// What a wall clock shows that is right.
    pub(super) fn truth(&self) -> Timestamp {
        Timestamp(GENESIS_TIME.0 + S + self.queue.now())
    }
}
