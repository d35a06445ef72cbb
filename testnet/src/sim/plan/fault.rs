//! The kinds of faults.

use std::fmt;

use serde::Serialize;

use crate::sim::coverage::crashes::{Kind, Point, When};

/// A kind of fault, or of change, that is injected from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A process ends at once, and starts again later.
    Crash,
    /// A process ends at one of the [`CrashPoint`]s.
    CrashAtPoint,
    /// All processes end at once.
    Blackout,
    /// A process stands still.
    Pause,
    /// A machine is slow for a while, and its timers fire late.
    SlowMachine,
    /// A disk takes long for each fsync for a while.
    SlowDisk,
    /// A disk has no room for a while: the first write that fails ends the process.
    FullDisk,
    /// The nodes fall into groups that do not hear each other.
    Partition,
    /// One group hears the other, which does not hear it.
    Asymmetric,
    /// The nodes stand in a ring, and each hears its neighbours only: no two of these groups are
    /// the same, and all overlap.
    Ring,
    /// One node is cut off from all others.
    Isolate,
    /// Some links fail, each in one direction.
    OneWay,
    /// A disk is lost with everything on it.
    Wipe,
    /// A disk is replaced by a copy of itself from some time ago, and marked so: the key is lost.
    Restore,
    /// The same behind the node's back: its key is a faulty validator's from then on.
    Rollback,
    /// A wall clock jumps.
    ClockJump,
    /// A wall clock runs too fast or too slow.
    ClockDrift,
    /// A standby falls behind, and then its holder dies.
    Lag,
    /// An organisation orders a planned switch.
    Switch,
    /// Someone orders a switch that is to be refused; or the holder itself one.
    OddSwitch,
    /// An organisation registers or removes a node, or takes another partner.
    Members,
    /// The consortium votes on other parameters.
    Parameters,
    /// Members propose that organisations join, leave, are suspended or restored, or that powers
    /// change, and vote on it.
    Motions,
    /// A node has other addresses.
    Addresses,
    /// A node takes its oldest blocks away.
    Prune,
}

impl Fault {
    /// Those of any history: [`Fault::Motions`] is for some, see [`super::Focus::Motions`].
    pub const ALL: [Self; 24] = [
        Self::Crash,
        Self::CrashAtPoint,
        Self::Blackout,
        Self::Pause,
        Self::SlowMachine,
        Self::SlowDisk,
        Self::FullDisk,
        Self::Partition,
        Self::Asymmetric,
        Self::Ring,
        Self::Isolate,
        Self::OneWay,
        Self::Wipe,
        Self::Restore,
        Self::Rollback,
        Self::ClockJump,
        Self::ClockDrift,
        Self::Lag,
        Self::Switch,
        Self::OddSwitch,
        Self::Members,
        Self::Parameters,
        Self::Addresses,
        Self::Prune,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crashes",
            Self::CrashAtPoint => "crashes at a point",
            Self::Blackout => "blackouts",
            Self::Pause => "pauses",
            Self::SlowMachine => "slow machines",
            Self::SlowDisk => "slow disks",
            Self::FullDisk => "full disks",
            Self::Partition => "partitions",
            Self::Asymmetric => "asymmetric partitions",
            Self::Ring => "rings",
            Self::Isolate => "isolations",
            Self::OneWay => "one-way cuts",
            Self::Wipe => "wiped disks",
            Self::Restore => "restored disks",
            Self::Rollback => "disks rolled back",
            Self::ClockJump => "clock jumps",
            Self::ClockDrift => "clock drifts",
            Self::Lag => "lagging standbys",
            Self::Switch => "switches ordered",
            Self::OddSwitch => "odd switches ordered",
            Self::Members => "membership changes ordered",
            Self::Parameters => "parameter changes ordered",
            Self::Motions => "changes of the consortium moved",
            Self::Addresses => "addresses changed",
            Self::Prune => "old blocks taken away",
        })
    }
}

/// A point in the work of a process at which it may die: before and after everything that a crash
/// can separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashPoint {
    /// It has just started.
    AtStart,
    /// The replica's values are about to be written.
    BeforePersist,
    /// They are in the log, and their fsync has not ended.
    DuringPersist,
    /// They are durable, and nothing behind them has left.
    AfterPersist,
    /// A message is about to leave.
    BeforeSend,
    /// A broadcast has left for some of the peers.
    DuringBroadcast,
    /// A block is about to be executed.
    BeforeCommit,
    /// A block is in the log, not synced, and the replica has not been told.
    AfterCommit,
    /// A block is being executed.
    DuringCommit,
    /// Any other effect is about to begin: to build, check, verify, fetch, report.
    BeforeOther,
    /// Any other effect, or a send, is over.
    AfterOther,
}

impl CrashPoint {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AtStart,
        Self::BeforePersist,
        Self::DuringPersist,
        Self::AfterPersist,
        Self::BeforeSend,
        Self::DuringBroadcast,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::DuringCommit,
        Self::BeforeOther,
        Self::AfterOther,
    ];

    /// The point to which a place in the table of crashes belongs.
    #[must_use]
    pub fn of(place: Point) -> Self {
        match (place.kind, place.when) {
            (Kind::Commit, When::Before) => Self::BeforeCommit,
            (Kind::Commit, When::During) => Self::DuringCommit,
            (Kind::Commit, When::After) => Self::AfterCommit,
            (kind, When::Before) if kind.is_persist() => Self::BeforePersist,
            (kind, When::During) if kind.is_persist() => Self::DuringPersist,
            (kind, When::After) if kind.is_persist() => Self::AfterPersist,
            (kind, When::Before) if kind.is_message() => Self::BeforeSend,
            (_, When::Before) => Self::BeforeOther,
            (_, When::During) => Self::DuringBroadcast,
            (_, When::After) => Self::AfterOther,
        }
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtStart => "at start",
            Self::BeforePersist => "before a persist",
            Self::DuringPersist => "between write and fsync",
            Self::AfterPersist => "between persist and send",
            Self::BeforeSend => "before a send",
            Self::DuringBroadcast => "in a broadcast",
            Self::BeforeCommit => "before a commit",
            Self::AfterCommit => "between a commit and its fsync",
            Self::DuringCommit => "in the execution of a block",
            Self::BeforeOther => "before another effect",
            Self::AfterOther => "after another effect",
        })
    }
}
