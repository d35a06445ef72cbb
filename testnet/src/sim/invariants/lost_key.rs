//! A lost key (design, section 4): a node whose signing record is lost signs nothing before holders
//! with at least 2/3 of the power, itself left out, have told it how far the chain is, with heights
//! that it has caught up with; and nothing at or below the highest of them and 2. While it cannot
//! sign it sends no follow message either, so that it counts as dead.

use std::collections::BTreeMap;

use tandem_chain::keys::PublicKey;
use tandem_consensus::journal::Journal;

use super::seats::Holder;
use super::{Verdict, broken};

const RULE: &str = "lost key";

/// The key of one node, as follows from what happened to it and from what it has heard.
#[derive(Debug, Default)]
pub(super) struct LostKey {
    is_lost: bool,
    /// Whether the answers were enough, in this process or an earlier one.
    was_resolved: bool,
    /// First answers to the process that runs.
    answers: BTreeMap<PublicKey, u64>,
    /// It signs nothing at or below the first for certain; the second is the node's own bound, from
    /// its own height when the answers were enough.
    silent: (u64, u64),
}

impl LostKey {
    /// The record is lost, with the disk or since that was restored from a copy.
    pub fn lose(&mut self) {
        *self = Self { is_lost: true, silent: self.silent, ..Self::default() };
    }

    /// A process starts with what the disk holds.
    pub fn started(&mut self, journal: Option<&Journal>, who: &str) -> Verdict {
        self.answers.clear();
        let knows = journal.is_some_and(|journal| !journal.guard.is_lost());
        if self.is_lost && knows {
            return broken(RULE, format!("{who} takes its key for good, and was not told so"));
        }
        // What it was told last may have been lost with the process.
        self.is_lost |= self.was_resolved && !knows;
        Ok(())
    }

    /// A peer tells how far its chain is.
    pub fn answer(&mut self, peer: PublicKey, height: u64) {
        if self.is_lost {
            self.answers.entry(peer).or_insert(height);
        }
    }

    /// Whether the answers are enough now, at this tip.
    pub fn look(&mut self, order: &[Holder], me: &PublicKey, tip: u64) {
        if !self.is_lost {
            return;
        }
        let others = || order.iter().filter(|holder| holder.holder != *me);
        let told = |holder: &Holder| {
            self.answers.get(&holder.holder).copied().filter(|height| *height <= tip)
        };
        let all: u64 = others().map(|holder| holder.power).sum();
        let heard =
            || others().filter_map(|holder| told(holder).map(|height| (holder.power, height)));
        if all > 0 && heard().map(|(power, _)| power).sum::<u64>() * 3 >= all * 2 {
            let most = heard().map(|(_, height)| height).max().unwrap_or(0);
            let (certain, own) = self.silent;
            self.silent = (certain.max(most + 2), own.max(tip + 2));
            (self.is_lost, self.was_resolved) = (false, true);
        }
    }

    /// Whether the key may sign at a height.
    pub fn may_sign(&self, height: u64) -> bool {
        !self.is_lost && height > self.silent.0
    }

    /// Whether the key surely signs at a height.
    pub fn signs(&self, height: u64) -> bool {
        !self.is_lost && height > self.silent.1
    }

    /// The node signs something that shows that it takes part at a height.
    pub fn check(&self, height: u64, who: &str) -> Verdict {
        if self.may_sign(height) {
            return Ok(());
        }
        broken(RULE, format!("{who} signs at {height}, and its key may not"))
    }
}
