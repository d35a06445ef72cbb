//! Connections as they come and go, and who lets whom in: the node's `network/gate`.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::tip::Tip;
use tandem_consensus::Input;

use super::net;
use super::world::{Event, World};

/// Age of the newest block from which on a node takes itself to be far behind, as in the node's driver.
const FRESH: Duration = Duration::from_secs(30);

impl World {
    /// Whether a connection of two nodes can be made, by either.
    fn can_connect(&self, a: usize, b: usize) -> bool {
        // Two copies of one node are one to the others, and do not know of each other.
        let are_two = self.nodes[a].key != self.nodes[b].key;
        let are_up = self.nodes[a].is_up() && self.nodes[b].is_up();
        are_two
            && are_up
            && !self.net.is_broken(a, b)
            && (self.can_dial(a, b) || self.can_dial(b, a))
    }

    /// Whether one node dials another and is let in: who is dialled lets in whom it has registered. A
    /// node that is not registered as far as it knows, or far behind, dials whomever its operator
    /// told it of.
    fn can_dial(&self, from: usize, to: usize) -> bool {
        let has = |node: usize, other: usize| {
            let process = self.nodes[node].process.as_ref();
            let key = &self.nodes[other].key;
            process.is_some_and(|p| p.ledger.tip().register.nodes.contains_key(key))
        };
        let is_old = |node: usize| {
            let process = self.nodes[node].process.as_ref();
            process.is_some_and(|p| self.wall(node).since(p.ledger.tip().time) > FRESH)
        };
        has(to, from) && (has(from, to) || !has(from, from) || is_old(from))
    }

    /// The register has changed: removed nodes lose their connections to this one, new ones get some.
    pub(super) fn registered(&mut self, node: usize, before: &Tip, after: &Tip) {
        if Arc::ptr_eq(&before.register, &after.register) {
            return;
        }
        for peer in 0..self.nodes.len() {
            let key = &self.nodes[peer].key;
            let was_registered = before.register.nodes.contains_key(key);
            if !was_registered || after.register.nodes.contains_key(key) {
                continue;
            }
            let connection = self.net.connection(node, peer);
            connection.is_up = false;
            let epoch = connection.epoch;
            for (node, peer) in [(node, peer), (peer, node)] {
                self.queue.after(0, Event::Gone { node, peer, epoch });
            }
        }
        self.connect_all(node);
    }

    /// Makes the connections of a node that are missing and can be made.
    pub(super) fn connect_all(&mut self, node: usize) {
        for peer in 0..self.nodes.len() {
            if !self.can_connect(node, peer) {
                continue;
            }
            let connection = self.net.connection(node, peer);
            if !connection.is_up && !connection.is_coming {
                connection.is_coming = true;
                let delay = net::connect_time(&mut self.random);
                self.queue.after(delay, Event::Connect { a: node, b: peer });
            }
        }
    }

    /// A connection is made.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        let can_connect = self.can_connect(a, b);
        let connection = self.net.connection(a, b);
        connection.is_coming = false;
        if connection.is_up || !can_connect {
            return;
        }
        connection.is_up = true;
        connection.epoch += 1;
        let epoch = connection.epoch;
        let ends = if self.random.chance(500) { [(a, b), (b, a)] } else { [(b, a), (a, b)] };
        for (node, peer) in ends {
            if self.net.sees(node, peer).is_some() {
                self.net.set_sees(node, peer, None);
                self.lost(node, peer);
            }
            self.net.set_sees(node, peer, Some(epoch));
        }
        for (node, peer) in ends {
            // The end of one may come while the other is told.
            if self.net.sees(node, peer) == Some(epoch) {
                self.handle(node, Input::Connected(self.nodes[peer].key));
            }
        }
    }

    /// A connection over which nothing was heard for long is given up by both ends.
    pub(super) fn silent(&mut self, a: usize, b: usize, epoch: u64) {
        let is_silent = self.net.is_broken(a, b) || self.nodes[a].paused || self.nodes[b].paused;
        let connection = self.net.connection(a, b);
        if connection.epoch != epoch || !connection.is_up || !is_silent {
            return;
        }
        connection.is_up = false;
        for (node, peer) in [(a, b), (b, a)] {
            self.queue.after(0, Event::Gone { node, peer, epoch });
        }
    }

    /// A node learns that a connection has ended.
    pub(super) fn gone(&mut self, node: usize, peer: usize, epoch: u64) {
        if self.net.sees(node, peer) == Some(epoch) {
            self.net.set_sees(node, peer, None);
            self.lost(node, peer);
            self.connect_all(node);
        }
    }

    /// Tells a node that a connection has ended, unless it has one to the same node's other copy.
    fn lost(&mut self, node: usize, peer: usize) {
        let key = self.nodes[peer].key;
        if self.machines(&key).all(|machine| self.net.sees(node, machine).is_none()) {
            self.handle(node, Input::Disconnected(key));
        }
    }

    /// Whoever waits for a sign of life over this link gives up after a while.
    pub(super) fn fall_silent(&mut self, a: usize, b: usize) {
        let connection = self.net.connection(a, b);
        if connection.is_up {
            let epoch = connection.epoch;
            let delay = net::silence_time(&mut self.random);
            self.queue.after(delay, Event::Silent { a, b, epoch });
        }
    }
}
