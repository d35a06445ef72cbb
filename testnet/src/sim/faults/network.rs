//! Links that are cut.

use crate::sim::queue::Time;
use crate::sim::world::{Event, World};

/// Directions of links: from, to.
type Cuts = Vec<(usize, usize)>;

impl World {
    /// Cuts links for as long as a fault lasts; false when there are none.
    fn cut(&mut self, cuts: Cuts) -> bool {
        let length = self.fault_length();
        self.cut_for(cuts, length)
    }

    pub(super) fn cut_for(&mut self, cuts: Cuts, length: Time) -> bool {
        if cuts.is_empty() {
            return false;
        }
        for (from, to) in &cuts {
            self.net.cut(*from, *to);
            self.fall_silent(*from, *to);
        }
        self.tell(|w| {
            let names: Vec<String> = cuts
                .iter()
                .map(|(from, to)| format!("{}>{}", w.nodes[*from].name, w.nodes[*to].name))
                .collect();
            format!("links are cut: {}", names.join(" "))
        });
        self.queue.after(length, Event::Mend(cuts));
        true
    }

    /// Links are whole again.
    pub(in crate::sim) fn mend(&mut self, cuts: &[(usize, usize)]) {
        for (from, to) in cuts {
            self.net.mend(*from, *to);
        }
        self.tell(|_| "links are mended".to_owned());
        for node in 0..self.nodes.len() {
            self.connect_all(node);
        }
        self.look_at_health();
    }

    pub(super) fn partition(&mut self) -> bool {
        let groups = self.random.between(2, 3);
        let sides: Vec<u64> = (0..self.nodes.len()).map(|_| self.random.below(groups)).collect();
        let all = self.all_links();
        let cuts = all.into_iter().filter(|(from, to)| sides[*from] != sides[*to]);
        self.cut(cuts.collect())
    }

    /// One group goes on hearing the other, and is not heard by it.
    pub(super) fn asymmetric(&mut self) -> bool {
        let deaf: Vec<bool> = (0..self.nodes.len()).map(|_| self.random.chance(500)).collect();
        let all = self.all_links();
        let cuts = all.into_iter().filter(|(from, to)| !deaf[*from] && deaf[*to]);
        self.cut(cuts.collect())
    }

    /// The nodes stand in a ring in a random order, and each hears those within some places of it: a
    /// window that overlaps with those of its neighbours. What all must know goes from one to the next.
    pub(super) fn ring(&mut self) -> bool {
        let nodes = self.nodes.len();
        let mut places: Vec<usize> = (0..nodes).collect();
        self.random.shuffle(&mut places);
        let reach = 1 + self.random.index((nodes / 2).saturating_sub(1));
        let all = self.all_links();
        let cuts = all.into_iter().filter(|(from, to)| {
            let apart = places[*from].abs_diff(places[*to]);
            apart.min(nodes - apart) > reach
        });
        self.cut(cuts.collect())
    }

    pub(super) fn isolate(&mut self, node: usize) -> bool {
        let cuts = self.links_of(node);
        self.cut(cuts)
    }

    pub(super) fn links_of(&self, node: usize) -> Cuts {
        let all = self.all_links();
        all.into_iter().filter(|(from, to)| *from == node || *to == node).collect()
    }

    pub(super) fn one_way(&mut self) -> bool {
        let share = self.random.pick(&[30, 100, 300]);
        let all = self.all_links();
        let cuts = all.into_iter().filter(|_| self.random.chance(share)).collect();
        self.cut(cuts)
    }

    fn all_links(&self) -> Cuts {
        let nodes = 0..self.nodes.len();
        let links = nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b)));
        links.filter(|(a, b)| a != b && (self.may_fail(*a) || self.may_fail(*b))).collect()
    }
}
