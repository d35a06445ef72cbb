//! The Byzantine nodes in a history: their actors' parts, and what becomes of them after the faults
//! where more than f power lied.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::codec;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::MAX_ROUND;
use tandem_chain::types::Height;
use tandem_consensus::message::Message;

use super::actor::{Actor, Byzantine, Deed, Keyring, Kind, Peer, Scene};
use super::disk::Disk;
use super::invariants::f;
use super::node::Node;
use super::packet::Packet;
use super::queue::MS;
use super::random::Random;
use super::states::State;
use super::world::{Event, World};

/// The signers of the Byzantine nodes.
pub fn keyring(nodes: &[Node]) -> Keyring {
    let liars = nodes.iter().filter(|node| node.byzantine.is_some());
    liars.map(|node| (node.key, Arc::clone(&node.signer))).collect()
}

/// Adds the second copy of each node that runs twice; gives the indexes of the first ones, in order.
pub fn add_twins(nodes: &mut Vec<Node>, genesis: &State, random: &mut Random) -> Vec<usize> {
    let is_twin = |node: &Node| node.byzantine.as_ref().is_some_and(|b| b.kind == Kind::Twin);
    let firsts: Vec<usize> = (0..nodes.len()).filter(|node| is_twin(&nodes[*node])).collect();
    for &first in &firsts {
        let node = &nodes[first];
        let second = Node {
            name: format!("{}'", node.name),
            signer: Arc::clone(&node.signer),
            disk: Disk::new(genesis.clone()),
            byzantine: Some(Byzantine::new(Kind::Twin, random)),
            twin: None,
            process: None,
            held: VecDeque::new(),
            ..*node
        };
        nodes[first].twin = Some(nodes.len());
        nodes.push(second);
    }
    firsts
}

/// What the Byzantine know of all nodes.
pub fn peers(nodes: &[Node]) -> Vec<Peer> {
    nodes.iter().map(|node| Peer { key: node.key, org: node.org }).collect()
}

/// A message as it leaves an actor.
fn garbled(actor: &mut dyn Actor, scene: &mut Scene, message: &Message) -> Packet {
    let mut bytes = codec::encode(message);
    actor.garbles(scene, &mut bytes);
    Packet::of_bytes(bytes)
}

impl World {
    /// The nodes that run with a key: one, or both copies of a node that runs twice.
    pub(super) fn machines(&self, key: &PublicKey) -> impl Iterator<Item = usize> + use<> {
        let first = self.by_key.get(key).copied();
        let second = first.and_then(|first| self.nodes[first].twin);
        first.into_iter().chain(second)
    }

    /// Lets the actor in a node act, counts its deeds, and sends what it has to say besides. None when
    /// the node is correct, has turned honest, or does not run.
    fn with_actor<T>(
        &mut self,
        node: usize,
        act: impl FnOnce(&mut dyn Actor, &mut Scene) -> T,
    ) -> Option<T> {
        let wall = self.wall(node);
        let entry = &mut self.nodes[node];
        let tip = Arc::clone(entry.process.as_ref()?.ledger.tip());
        let mut byzantine = entry.byzantine.take_if(|byzantine| !byzantine.reformed)?;
        let mut scene = Scene {
            random: &mut self.random,
            me: node,
            signer: &entry.signer,
            liars: &self.liars,
            chain_id: &self.genesis.chain_id,
            peers: &self.peers,
            tip,
            wall,
            more: Vec::new(),
            deeds: Vec::new(),
        };
        let actor = byzantine.actor.as_mut();
        let result = act(actor, &mut scene);
        let (more, deeds) = (std::mem::take(&mut scene.more), std::mem::take(&mut scene.deeds));
        deeds.into_iter().for_each(|deed| self.counts.deeds.hit(deed));
        let more = more.into_iter().map(|(to, deed, message)| {
            let packet = garbled(actor, &mut scene, &message);
            (to, scene.deeds.pop().or(deed), packet)
        });
        let more: Vec<(usize, Option<Deed>, Packet)> = more.collect();
        self.nodes[node].byzantine = Some(byzantine);
        for (to, deed, packet) in more {
            if let Some(epoch) = self.net.sees(node, to) {
                deed.into_iter().for_each(|deed| self.counts.deeds.hit(deed));
                self.transmit(node, to, epoch, &packet.into());
            }
        }
        Some(result)
    }

    /// What a Byzantine node sends in the place of a message; none when a correct one sends it.
    pub(super) fn falsified(
        &mut self,
        from: usize,
        to: usize,
        message: &Message,
    ) -> Option<Vec<Packet>> {
        self.with_actor(from, |actor, scene| {
            let messages = actor.sends(scene, to, message);
            messages.iter().map(|message| garbled(actor, scene, message)).collect()
        })
    }

    /// Whether a node takes notice of a message.
    pub(super) fn hears(&mut self, node: usize, from: usize, message: &Message) -> bool {
        let heard = self.with_actor(node, |actor, scene| actor.hears(scene, from, message));
        heard.unwrap_or(true)
    }

    /// A node's answer to a question for blocks: those that it has, or what its actor makes of them.
    pub(super) fn answer(
        &mut self,
        node: usize,
        first: Height,
        blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        let mut blocks = Some(blocks);
        let taken = &mut blocks;
        let answer = self.with_actor(node, |actor, scene| {
            actor.answers(scene, first, taken.take().unwrap_or_default())
        });
        answer.unwrap_or(blocks)
    }

    /// A Byzantine node does something by itself, and again some time later.
    pub(super) fn act(&mut self, node: usize) {
        if self.nodes[node].is_up() {
            self.with_actor(node, |actor, scene| actor.acts(scene));
        }
        let idle = self.parameters().idle_block_interval_ms;
        let delay = self.random.between(idle / 2, 2 * idle) * MS + MS;
        self.queue.after(delay, Event::Act(node));
    }

    /// In a history with more than f lying power the liars change when the faults stop: some, with at
    /// most f power, fall silent for good, the others turn honest. Of what runs twice one goes on.
    pub(super) fn reform(&mut self) {
        if !self.plan.beyond_f {
            return;
        }
        let f = f(self.invariants.newest_table());
        let mut room = if self.random.chance(500) { f } else { 0 };
        for org in self.plan.byzantine.iter().map(|liar| liar.org) {
            let power = self.plan.orgs[org].power;
            let falls_silent = power <= room;
            room -= if falls_silent { power } else { 0 };
            for node in self.nodes.iter_mut().filter(|node| node.org == org) {
                if let Some(byzantine) = &mut node.byzantine {
                    byzantine.reformed = true;
                    node.stays_dead = falls_silent;
                }
            }
        }
        let copies: Vec<usize> = self.nodes.iter().filter_map(|node| node.twin).collect();
        copies.into_iter().for_each(|copy| self.nodes[copy].stays_dead = true);
        self.tell(|w| {
            let names = |silent: bool| {
                let liars = w.nodes.iter().filter(|n| !n.is_correct() && n.stays_dead == silent);
                liars.map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
            };
            format!("these turn honest: {}; these fall silent: {}", names(false), names(true))
        });
    }

    /// Whether a chain with more than f lying power may stand still even after the liars have changed:
    /// it has forked, or more than f power of the next heights is silent, or was stopped by what
    /// its key had signed, or a correct node is in a round that no message may name.
    pub(super) fn may_stand_still(&self) -> bool {
        let is_away = |key| {
            let node = &self.nodes[self.by_key[key]];
            node.stays_dead || node.halted
        };
        let is_stopped = self.invariants.tables_to_come().any(|table| {
            let away = table.values().filter(|seat| is_away(&seat.holder));
            away.map(|seat| seat.power).sum::<u64>() > f(table)
        });
        let processes =
            self.nodes.iter().filter(|n| n.is_correct()).filter_map(|n| n.process.as_ref());
        let mut rounds = processes.map(|process| process.replica.view().round.0);
        let is_lost = rounds.any(|round| round > MAX_ROUND);
        self.plan.beyond_f && (is_stopped || is_lost || self.invariants.has_forked())
    }
}
