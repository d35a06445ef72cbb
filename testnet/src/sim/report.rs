//! What happened in histories, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tandem_chain::modules::standby::Reason;

/// Counts of what happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Histories.
    pub seeds: u64,
    /// Events handled.
    pub events: u64,
    /// Blocks of the chains.
    pub blocks: u64,
    /// Commits by all correct nodes together.
    pub commits: u64,
    /// Rounds above 0 that blocks took.
    pub rounds: u64,
    /// Transactions with a receipt.
    pub txs: u64,
    /// Messages sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Durable writes.
    pub persists: u64,
    /// Questions for blocks.
    pub fetches: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Processes that stood still.
    pub pauses: u64,
    /// Links that were cut, in groups.
    pub partitions: u64,
    /// Disks that were lost.
    pub wipes: u64,
    /// Clocks that jumped.
    pub clocks: u64,
    /// Automatic switches.
    pub automatic: u64,
    /// Planned switches.
    pub planned: u64,
    /// Changes of a seat whose holder signed twice.
    pub barred: u64,
    /// Double signings seen, by all nodes together.
    pub double_signs: u64,
    /// Pieces of evidence in blocks.
    pub evidence: u64,
    /// Virtual seconds.
    pub virtual_seconds: u64,
    /// Longest time that the second half of a history took, in milliseconds.
    pub healed_ms_max: u64,
    /// Reports about peers: whether both are correct, what, how often.
    #[serde(skip)]
    pub reports: BTreeMap<(bool, String), u64>,
}

impl Counts {
    /// A seat has changed its holder.
    pub fn moved(&mut self, reason: Reason) {
        match reason {
            Reason::Automatic => self.automatic += 1,
            Reason::Planned => self.planned += 1,
            Reason::Barred => self.barred += 1,
        }
    }

    /// Adds another history's.
    pub fn add(&mut self, other: &Self) {
        self.seeds += 1;
        let pairs = [
            (&mut self.events, other.events),
            (&mut self.blocks, other.blocks),
            (&mut self.commits, other.commits),
            (&mut self.rounds, other.rounds),
            (&mut self.txs, other.txs),
            (&mut self.messages, other.messages),
            (&mut self.bytes, other.bytes),
            (&mut self.persists, other.persists),
            (&mut self.fetches, other.fetches),
            (&mut self.crashes, other.crashes),
            (&mut self.pauses, other.pauses),
            (&mut self.partitions, other.partitions),
            (&mut self.wipes, other.wipes),
            (&mut self.clocks, other.clocks),
            (&mut self.automatic, other.automatic),
            (&mut self.planned, other.planned),
            (&mut self.barred, other.barred),
            (&mut self.double_signs, other.double_signs),
            (&mut self.evidence, other.evidence),
            (&mut self.virtual_seconds, other.virtual_seconds),
        ];
        for (sum, count) in pairs {
            *sum += count;
        }
        self.healed_ms_max = self.healed_ms_max.max(other.healed_ms_max);
        for (what, count) in &other.reports {
            *self.reports.entry(what.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} histories, {} virtual seconds, {} events; slowest recovery {} ms",
            self.seeds, self.virtual_seconds, self.events, self.healed_ms_max
        )?;
        writeln!(
            f,
            "{} blocks, {} commits, {} rounds above 0, {} transactions",
            self.blocks, self.commits, self.rounds, self.txs
        )?;
        writeln!(
            f,
            "{} messages of {} MB, {} durable writes, {} fetches",
            self.messages,
            self.bytes / 1_000_000,
            self.persists,
            self.fetches
        )?;
        writeln!(
            f,
            "{} crashes, {} pauses, {} partitions, {} wiped disks, {} clocks off",
            self.crashes, self.pauses, self.partitions, self.wipes, self.clocks
        )?;
        write!(
            f,
            "switches: {} automatic, {} planned, {} barred; {} double signings seen, {} in blocks",
            self.automatic, self.planned, self.barred, self.double_signs, self.evidence
        )
    }
}
