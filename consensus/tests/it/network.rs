//! Eight replicas or so, a virtual clock, and links that a test cuts.

use std::collections::{BTreeMap, BTreeSet};

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Hash, Height};
use tandem_consensus::message::Message;
use tandem_consensus::time::Now;
use tandem_consensus::{Effect, Input, Role};

use crate::node::Node;
use crate::world::{World, at};

/// Time that a message takes.
const LATENCY_MS: u64 = 1;

enum Delivery {
    Message { from: usize, to: usize, message: Message },
    Fetched { from: usize, to: usize, first: Height, blocks: Vec<CertifiedBlock> },
}

/// Nodes `0..n` are the organisations' validators at genesis, `n..2n` their standbys.
pub struct Network {
    pub world: World,
    pub nodes: Vec<Node>,
    up: Vec<bool>,
    cut: BTreeSet<(usize, usize)>,
    deliveries: BTreeMap<(u64, u64), Delivery>,
    sent: u64,
    ms: u64,
    /// The first block and state at each height that any node has committed.
    agreed: BTreeMap<Height, (BlockId, Hash)>,
    /// What happened beside messages, by node: changes of role, reports, halts.
    pub told: Vec<Vec<Effect>>,
}

impl Network {
    /// All nodes of organisations with these powers, connected and started.
    pub fn new(powers: &[u64]) -> Self {
        let world = World::new(powers);
        let orgs = powers.len();
        let keys = (0..orgs).map(|o| world.validator(o)).chain((0..orgs).map(|o| world.standby(o)));
        let nodes: Vec<Node> = keys.map(|key| Node::new(&world, key)).collect();
        let count = nodes.len();
        let mut network = Self {
            world,
            nodes,
            up: vec![false; count],
            cut: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            sent: 0,
            ms: 0,
            agreed: BTreeMap::new(),
            told: (0..count).map(|_| Vec::new()).collect(),
        };
        (0..count).for_each(|node| network.boot(node));
        network
    }

    pub fn now(&self) -> Now {
        at(self.ms)
    }

    pub fn ms(&self) -> u64 {
        self.ms
    }

    pub fn height(&self, node: usize) -> u64 {
        self.nodes[node].tip().height.0
    }

    pub fn tip(&self, node: usize) -> &Tip {
        self.nodes[node].tip()
    }

    pub fn role(&self, node: usize) -> Role {
        self.nodes[node].replica.view().role
    }

    /// Kills a process.
    pub fn kill(&mut self, node: usize) {
        for peer in self.linked(node) {
            self.unlink(peer, node);
        }
        self.up[node] = false;
    }

    /// Starts a killed process from its disk.
    pub fn start(&mut self, node: usize) {
        self.nodes[node].restart();
        self.boot(node);
    }

    /// Starts a killed process with an empty disk; its key has its record.
    pub fn start_wiped(&mut self, node: usize) {
        let key = self.nodes[node].key;
        self.nodes[node] = Node::new(&self.world, key);
        self.boot(node);
    }

    /// Starts a killed process whose key's record is lost.
    pub fn start_lost(&mut self, node: usize) {
        self.nodes[node].restart_lost();
        self.boot(node);
    }

    fn boot(&mut self, node: usize) {
        self.up[node] = true;
        self.feed(node, Input::Start);
        for peer in self.linked(node) {
            self.link(node, peer);
        }
    }

    /// Cuts every link between the two groups.
    pub fn cut(&mut self, one: &[usize], other: &[usize]) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            if self.is_linked(a, b) {
                self.unlink(a, b);
                self.unlink(b, a);
            }
            self.cut.insert((a.min(b), a.max(b)));
        }
    }

    /// Mends all links.
    pub fn heal(&mut self) {
        for (a, b) in std::mem::take(&mut self.cut) {
            if self.is_linked(a, b) {
                self.link(a, b);
            }
        }
    }

    fn link(&mut self, a: usize, b: usize) {
        self.feed(a, Input::Connected(self.nodes[b].key));
        self.feed(b, Input::Connected(self.nodes[a].key));
    }

    fn unlink(&mut self, a: usize, b: usize) {
        self.feed(a, Input::Disconnected(self.nodes[b].key));
    }

    fn is_linked(&self, a: usize, b: usize) -> bool {
        a != b && self.up[a] && self.up[b] && !self.cut.contains(&(a.min(b), a.max(b)))
    }

    fn linked(&self, node: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|peer| self.is_linked(node, *peer)).collect()
    }

    /// Gives every node work for the next blocks.
    pub fn submit(&mut self, tx: &tandem_chain::tx::Tx) {
        for node in 0..self.nodes.len() {
            self.nodes[node].mempool.push(tx.clone());
            if self.up[node] {
                self.feed(node, Input::Work(true));
            }
        }
    }

    /// Hands a node an input, and carries out what comes of it.
    pub fn feed(&mut self, node: usize, input: Input) {
        let before = self.nodes[node].tip().height;
        let now = self.now();
        let effects = self.nodes[node].feed(now, input);
        for effect in effects {
            self.carry_out(node, effect);
        }
        let tip = self.nodes[node].tip().clone();
        if tip.height > before {
            self.check_agreement(&tip);
            let has_work = !self.nodes[node].mempool.is_empty();
            self.feed(node, Input::Work(has_work));
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Broadcast(message) => {
                for to in self.linked(node) {
                    self.send(Delivery::Message { from: node, to, message: message.clone() });
                }
            }
            Effect::Send { to, message } => {
                let to = self.index(&to);
                self.send(Delivery::Message { from: node, to, message });
            }
            Effect::Fetch { from, first, count } => {
                let from = self.index(&from);
                let served = self.nodes[from].blocks.iter();
                let blocks = served
                    .skip_while(|b| b.block.header.height < first)
                    .take(usize::try_from(count).expect("small"))
                    .cloned()
                    .collect();
                self.send(Delivery::Fetched { from, to: node, first, blocks });
            }
            Effect::RoleChanged { .. }
            | Effect::Report { .. }
            | Effect::DoubleSign { .. }
            | Effect::Halt { .. } => self.told[node].push(effect),
            _ => {}
        }
    }

    fn send(&mut self, delivery: Delivery) {
        self.sent += 1;
        self.deliveries.insert((self.ms + LATENCY_MS, self.sent), delivery);
    }

    fn index(&self, key: &PublicKey) -> usize {
        self.nodes.iter().position(|node| node.key == *key).expect("a node of the network")
    }

    /// No two nodes commit different blocks or states at a height.
    fn check_agreement(&mut self, tip: &Tip) {
        let own = (tip.block.expect("a block"), tip.app_hash);
        let first = *self.agreed.entry(tip.height).or_insert(own);
        assert_eq!(own, first, "two blocks or states at height {}", tip.height);
    }

    /// Does what is next; false when nothing ever is.
    fn step(&mut self) -> bool {
        let wakeups = (0..self.nodes.len()).filter(|node| self.up[*node]).filter_map(|node| {
            let wanted = self.nodes[node].replica.next_wakeup()?;
            Some((wanted.0.div_ceil(1_000_000).max(self.ms), node))
        });
        let wakeup = wakeups.min();
        let delivery = self.deliveries.first_key_value().map(|((ms, _), _)| *ms);
        match (delivery, wakeup) {
            (Some(ms), wakeup) if wakeup.is_none_or(|(at, _)| ms <= at) => {
                self.ms = ms;
                let (_, delivery) = self.deliveries.pop_first().expect("there is one");
                self.deliver(delivery);
            }
            (_, Some((ms, node))) => {
                self.ms = ms;
                self.feed(node, Input::Wakeup);
                let next = self.nodes[node].replica.next_wakeup();
                assert!(next > Some(self.now().instant), "a wake-up leaves nothing due");
            }
            _ => return false,
        }
        true
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Message { from, to, message } if self.is_linked(from, to) => {
                let sender = self.nodes[from].key;
                match self.nodes[to].verified(sender, &message) {
                    Ok(Some(input)) => self.feed(to, input),
                    Ok(None) => {}
                    Err(fault) => self.told[to].push(Effect::Report { peer: sender, fault }),
                }
            }
            Delivery::Fetched { from, to, first, blocks } if self.is_linked(from, to) => {
                self.feed(to, Input::Fetched { from: self.nodes[from].key, first, blocks });
            }
            _ => {}
        }
    }

    /// Goes on for a time.
    pub fn pass(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end && self.step() {}
    }

    /// Goes on until something holds.
    pub fn until(&mut self, what: &str, limit_ms: u64, holds: impl Fn(&Self) -> bool) {
        let end = self.ms + limit_ms;
        while !holds(self) {
            assert!(self.ms <= end && self.step(), "not in {limit_ms} ms: {what}\n{self:?}");
        }
    }

    /// Goes on until these nodes have committed a height.
    pub fn until_height(&mut self, nodes: &[usize], height: u64, limit_ms: u64) {
        self.until(&format!("{nodes:?} at height {height}"), limit_ms, |network| {
            nodes.iter().all(|node| network.height(*node) >= height)
        });
    }

    /// Rounds above 0 that the blocks after a height took.
    pub fn rounds_above_zero(&self, node: usize, after: u64) -> u64 {
        let blocks = &self.nodes[node].blocks;
        let later = blocks.iter().filter(|b| b.block.header.height.0 > after);
        later.map(|b| u64::from(b.certificate.commit.round.0)).sum()
    }

    /// Heights at which any certificate has a node's signature.
    pub fn signed_by(&self, node: usize) -> BTreeSet<u64> {
        let address = self.nodes[node].key.address();
        let certificates = self.nodes.iter().flat_map(|n| &n.blocks).map(|b| &b.certificate.commit);
        let signed = certificates
            .filter(|commit| commit.signatures.iter().flatten().any(|sig| sig.address == address));
        signed.map(|commit| commit.height.0).collect()
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "at {} ms", self.ms)?;
        for (i, node) in self.nodes.iter().enumerate() {
            writeln!(f, "node {i}, up {}: {:?}", self.up[i], node.replica.view())?;
        }
        Ok(())
    }
}
