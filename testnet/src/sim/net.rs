//! Links and connections between nodes.
//!
//! A link has two directions that can be cut by themselves, by several faults at a time. Over it runs one connection, as TCP's:
//! it is made when both ends run and hear each other, it lasts until one end dies or has heard
//! nothing for a while, and each end learns of both in its own time.

use super::queue::{MS, S, Time};
use super::random::Random;

/// A connection of two nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    /// Whether it is there.
    pub is_up: bool,
    /// Counts the connections of this link.
    pub epoch: u64,
    /// Whether one is being made.
    pub is_coming: bool,
}

/// All links.
#[derive(Clone, Debug)]
pub struct Net {
    nodes: usize,
    /// How many faults cut each direction, by `from * nodes + to`.
    cuts: Vec<u32>,
    /// What `from` believes to be its connection to `to`.
    sees: Vec<Option<u64>>,
    /// Latest arrival so far.
    last: Vec<Time>,
    connections: Vec<Connection>,
}

impl Net {
    /// Whole links without connections.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let links = nodes * nodes;
        Self {
            nodes,
            cuts: vec![0; links],
            sees: vec![None; links],
            last: vec![0; links],
            connections: vec![Connection::default(); links],
        }
    }

    fn at(&self, from: usize, to: usize) -> usize {
        from * self.nodes + to
    }

    /// A fault cuts one direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        let at = self.at(from, to);
        self.cuts[at] += 1;
    }

    /// A fault that cut one direction is over; nothing when all have been already.
    pub fn mend(&mut self, from: usize, to: usize) {
        let at = self.at(from, to);
        self.cuts[at] = self.cuts[at].saturating_sub(1);
    }

    /// Whether one direction is cut.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[self.at(from, to)] > 0
    }

    /// Whether either direction is cut.
    #[must_use]
    pub fn is_broken(&self, a: usize, b: usize) -> bool {
        self.is_cut(a, b) || self.is_cut(b, a)
    }

    /// Makes all links whole.
    pub fn heal(&mut self) {
        self.cuts.fill(0);
    }

    /// The connection of two nodes.
    pub fn connection(&mut self, a: usize, b: usize) -> &mut Connection {
        let at = self.at(a.min(b), a.max(b));
        &mut self.connections[at]
    }

    /// What `from` believes to be its connection to `to`.
    #[must_use]
    pub fn sees(&self, from: usize, to: usize) -> Option<u64> {
        self.sees[self.at(from, to)]
    }

    /// `from` learns of a connection to `to`, or of its end.
    pub fn set_sees(&mut self, from: usize, to: usize, epoch: Option<u64>) {
        let at = self.at(from, to);
        self.sees[at] = epoch;
    }

    /// When all that was sent in order over a link has arrived.
    pub fn clear_at(&self, from: usize, to: usize) -> Time {
        self.last[self.at(from, to)]
    }

    /// When something sent now arrives, given its time on the way; `ordered` keeps it behind what
    /// was sent before.
    pub fn arrival(&mut self, from: usize, to: usize, at: Time, ordered: bool) -> Time {
        let link = self.at(from, to);
        if ordered {
            self.last[link] = self.last[link].max(at);
            self.last[link]
        } else {
            at
        }
    }
}

/// Time until a connection to a node that can be reached is there again.
pub fn connect_time(random: &mut Random) -> Time {
    random.between(20 * MS, 300 * MS)
}

/// Time until the death of a process is seen at the other end.
pub fn reset_time(random: &mut Random) -> Time {
    random.between(MS / 10, 15 * MS)
}

/// Time until silence is taken for death.
pub fn silence_time(random: &mut Random) -> Time {
    random.between(2 * S, 5 * S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_whole_again_when_every_fault_that_cut_it_is_over() {
        let mut net = Net::new(2);
        net.cut(0, 1);
        net.cut(0, 1);
        net.mend(0, 1);
        assert!(net.is_cut(0, 1) && !net.is_cut(1, 0) && net.is_broken(1, 0));
        net.mend(0, 1);
        assert!(!net.is_broken(0, 1));
        net.cut(1, 0);
        net.heal();
        net.mend(1, 0);
        assert!(!net.is_broken(0, 1), "what is over twice is over");
    }
}
