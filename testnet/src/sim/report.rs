//! What happened in histories, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tandem_chain::modules::standby::Reason;

use super::actor::{Deed, Kind};
use super::coverage::{Coverage, Row as _, Tally};
use super::invariants::Changes;
use super::plan::{CrashPoint, Fault};

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
    /// Answers that the block asked for was taken away.
    pub lacked: u64,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Processes that died, for whatever fault.
    pub crashes: u64,
    /// Of these, those that died at a chosen point, by point.
    pub crash_points: BTreeMap<CrashPoint, u64>,
    /// Writes that were lost with a process, since they were not synced.
    pub lost_writes: u64,
    /// Of these, writes in the middle of which a process died.
    pub torn_writes: u64,
    /// Writes that failed for want of room.
    pub failed_writes: u64,
    /// Disks that were restored, and marked so.
    pub restored: u64,
    /// Disks that were rolled back behind their nodes' backs.
    pub rolled_back: u64,
    /// How often a node stopped over that: it saw a signature of its own that it did not know.
    pub rolled_back_stopped: u64,
    /// Nodes with such disks that are barred at the end, for signing twice.
    pub rolled_back_barred: u64,
    /// Holders that died while their standby was behind.
    pub died_before_laggard: u64,
    /// Seats given to nodes that were not registered at genesis.
    pub late_holders: u64,
    /// Invitations that were issued.
    pub invitations: u64,
    /// Votes by keys that are no registered node's, for what was proposed.
    pub strangers_votes: u64,
    /// What the calls of organisations changed.
    pub changes: Changes,
    /// Automatic switches.
    pub automatic: u64,
    /// Planned switches.
    pub planned: u64,
    /// Changes of a seat whose holder signed twice.
    pub barred: u64,
    /// Seats that were opened or closed by motions, and filled after that.
    pub membership: u64,
    /// Double signings seen, by all nodes together.
    pub double_signs: u64,
    /// Pieces of evidence in blocks.
    pub evidence: u64,
    /// What Byzantine nodes did that no correct node does.
    pub deeds: Tally<Deed>,
    /// Histories with more than f lying power.
    pub beyond_f: u64,
    /// Those of them in which the chain forked.
    pub forks: u64,
    /// Those of them in which the chain was not demanded to go on at the end.
    pub stood_still: u64,
    /// Virtual seconds.
    pub virtual_seconds: u64,
    /// Longest time that the second half of a history took, in milliseconds.
    pub healed_ms_max: u64,
    /// Of the bound on progress after the faults, in percent, the most that was needed.
    pub progress_percent_max: u64,
    /// Of the bound on switches after the faults, in percent, the most that was needed.
    pub switch_percent_max: u64,
    /// What invariants had to judge.
    pub judged: BTreeMap<&'static str, u64>,
    /// Which rules and cases were gone through.
    pub coverage: Coverage,
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
            Reason::Membership => self.membership += 1,
        }
    }

    /// Kinds of actors that never did anything.
    #[must_use]
    pub fn idle_kinds(&self) -> Vec<Kind> {
        let mut done = Deed::all();
        done.retain(|deed| self.deeds.count(*deed) > 0);
        let is_idle = |kind: &Kind| done.iter().all(|deed| deed.kind() != *kind);
        Kind::ALL.into_iter().filter(is_idle).collect()
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
            (&mut self.lacked, other.lacked),
            (&mut self.crashes, other.crashes),
            (&mut self.lost_writes, other.lost_writes),
            (&mut self.torn_writes, other.torn_writes),
            (&mut self.failed_writes, other.failed_writes),
            (&mut self.restored, other.restored),
            (&mut self.rolled_back, other.rolled_back),
            (&mut self.rolled_back_stopped, other.rolled_back_stopped),
            (&mut self.rolled_back_barred, other.rolled_back_barred),
            (&mut self.late_holders, other.late_holders),
            (&mut self.invitations, other.invitations),
            (&mut self.strangers_votes, other.strangers_votes),
            (&mut self.died_before_laggard, other.died_before_laggard),
            (&mut self.automatic, other.automatic),
            (&mut self.planned, other.planned),
            (&mut self.barred, other.barred),
            (&mut self.membership, other.membership),
            (&mut self.double_signs, other.double_signs),
            (&mut self.evidence, other.evidence),
            (&mut self.beyond_f, other.beyond_f),
            (&mut self.forks, other.forks),
            (&mut self.stood_still, other.stood_still),
            (&mut self.virtual_seconds, other.virtual_seconds),
        ];
        for (sum, count) in pairs {
            *sum += count;
        }
        self.healed_ms_max = self.healed_ms_max.max(other.healed_ms_max);
        self.coverage.add(&other.coverage);
        self.changes.add(&other.changes);
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (point, count) in &other.crash_points {
            *self.crash_points.entry(*point).or_default() += count;
        }
        for (most, other) in [
            (&mut self.progress_percent_max, other.progress_percent_max),
            (&mut self.switch_percent_max, other.switch_percent_max),
        ] {
            *most = (*most).max(other);
        }
        for (what, count) in &other.judged {
            *self.judged.entry(what).or_default() += count;
        }
        self.deeds.add(&other.deeds);
        for (what, count) in &other.reports {
            *self.reports.entry(what.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} histories, {} virtual seconds, {} events; slowest recovery {} ms; at most {}% of the \
             bound on progress and {}% of that on switches were needed",
            self.seeds,
            self.virtual_seconds,
            self.events,
            self.healed_ms_max,
            self.progress_percent_max,
            self.switch_percent_max
        )?;
        writeln!(
            f,
            "{} blocks, {} commits, {} rounds above 0, {} transactions",
            self.blocks, self.commits, self.rounds, self.txs
        )?;
        writeln!(
            f,
            "{} messages of {} MB, {} durable writes, {} fetches, {} of them for blocks that were taken away",
            self.messages,
            self.bytes / 1_000_000,
            self.persists,
            self.fetches,
            self.lacked
        )?;
        let blocks = self.blocks.max(1);
        writeln!(f, "a block: {} messages, {} bytes", self.messages / blocks, self.bytes / blocks)?;
        writeln!(f, "faults: {}", listed(&self.faults))?;
        writeln!(f, "{} crashes, of these {}", self.crashes, listed(&self.crash_points))?;
        writeln!(
            f,
            "{} writes lost, {} of them torn, {} failed; {} disks restored, {} rolled back \
             (nodes stopped over it {} times, {} were barred); {} holders died before a standby that \
             was behind",
            self.lost_writes,
            self.torn_writes,
            self.failed_writes,
            self.restored,
            self.rolled_back,
            self.rolled_back_stopped,
            self.rolled_back_barred,
            self.died_before_laggard
        )?;
        let Changes { registered, removed, partners, parameters, refused, .. } = self.changes;
        writeln!(
            f,
            "{registered} nodes registered, {removed} removed, {partners} partners named, parameters \
             set {parameters} times; {refused} such calls refused; {} seats given to nodes that came \
             later",
            self.late_holders
        )?;
        let Changes { invited, addresses, .. } = self.changes;
        writeln!(
            f,
            "{} nodes invited, {invited} of them came; {addresses} addresses changed; {} votes by keys \
             of no node",
            self.invitations, self.strangers_votes
        )?;
        let Changes { joined, left, suspended, restored, powers, .. } = self.changes;
        let Changes { admin_keys, policies, .. } = self.changes;
        writeln!(
            f,
            "{joined} organisations joined, {left} removed, {suspended} suspended, {restored} \
             restored; {powers} powers, {admin_keys} admin keys and {policies} policies changed; {} \
             seats opened, closed or filled by that",
            self.membership
        )?;
        let judged: Vec<String> =
            self.judged.iter().map(|(what, count)| format!("{count} {what}")).collect();
        writeln!(f, "judged: {}", judged.join(", "))?;
        writeln!(
            f,
            "switches: {} automatic, {} planned, {} barred; {} double signings seen, {} in blocks",
            self.automatic, self.planned, self.barred, self.double_signs, self.evidence
        )?;
        writeln!(
            f,
            "beyond f: {} histories, of which {} forked, {} need not have gone on",
            self.beyond_f, self.forks, self.stood_still
        )?;
        write!(f, "Byzantine deeds:{}", self.deeds)
    }
}

/// Counts by kind.
fn listed<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let listed: Vec<String> =
        counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    listed.join(", ")
}
