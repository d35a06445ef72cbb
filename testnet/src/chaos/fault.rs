//! The kinds of faults, and one fault at its time.

use std::fmt;
use std::time::Duration;

use crate::layout::ORGS;

/// The shortest fault, in milliseconds.
pub const SHORTEST_MS: u64 = 200;
/// Milliseconds for which an organisation counts as harmed after its fault is over: the node is back
/// at the tip by then and, where its disk was wiped, signs again.
const RECOVERY_MS: u64 = 4_000;
const RECOVERY_OF_WIPED_MS: u64 = 15_000;
/// Milliseconds between two planned switches at least.
const BETWEEN_SWITCHES_MS: u64 = 4_000;

/// A node that is named by its part when its turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The holder of an organisation's seat.
    Holder(usize),
    /// The other node of its pair.
    Standby(usize),
    /// The observer.
    Observer,
}

impl Target {
    fn org(self) -> Option<usize> {
        match self {
            Self::Holder(org) | Self::Standby(org) => Some(org),
            Self::Observer => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holder(org) => write!(f, "the holder of {}", ORGS[*org]),
            Self::Standby(org) => write!(f, "the standby of {}", ORGS[*org]),
            Self::Observer => f.write_str("the observer"),
        }
    }
}

/// What is done; all but a switch is undone when its time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// SIGKILL; started again.
    Kill(Target),
    /// SIGTERM; started again.
    Restart(Target),
    /// SIGSTOP.
    Pause(Target),
    /// SIGKILL, and its data folder is deleted: its key counts as lost when it is started again.
    Wipe(Target),
    /// SIGKILL of both nodes of a pair.
    KillPair(usize),
    /// One node hears nobody, and nobody it.
    CutOff(Target),
    /// The same with both nodes of a pair.
    CutOffPair(usize),
    /// Nobody hears one node, which hears all.
    Mute(Target),
    /// One node hears nobody, and all hear it.
    Deafen(Target),
    /// These nodes and the others do not hear each other.
    Split(Vec<Target>),
    /// Milliseconds are added to all that one node, or all when none, sends and gets.
    Slow(Option<Target>, u64),
    /// Segments in a hundred of what one node, or all when none, sends and gets are lost.
    Lossy(Option<Target>, u64),
    /// SIGKILL of all nodes at one moment.
    Blackout,
    /// A planned switch.
    Switch(usize),
}

/// Whom a fault may keep from taking part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nobody: the chain bears it.
    None,
    /// One organisation.
    Org(usize),
    /// More than may fail.
    All,
}

impl What {
    /// Its name among the figures.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kills",
            Self::Restart(_) => "restarts",
            Self::Pause(_) => "pauses",
            Self::Wipe(_) => "wiped_disks",
            Self::KillPair(_) => "killed_pairs",
            Self::CutOff(_) | Self::CutOffPair(_) => "cut_off",
            Self::Mute(_) | Self::Deafen(_) => "cut_off_one_way",
            Self::Split(_) => "splits",
            Self::Slow(..) => "slow_links",
            Self::Lossy(..) => "lossy_links",
            Self::Blackout => "blackouts",
            Self::Switch(_) => "switches_ordered",
        }
    }

    /// Whom it may keep from taking part.
    #[must_use]
    pub fn harm(&self) -> Harm {
        match self {
            Self::Kill(target)
            | Self::Restart(target)
            | Self::Pause(target)
            | Self::Wipe(target)
            | Self::CutOff(target)
            | Self::Mute(target)
            | Self::Deafen(target)
            | Self::Slow(Some(target), _)
            | Self::Lossy(Some(target), _) => target.org().map_or(Harm::None, Harm::Org),
            Self::KillPair(org) | Self::CutOffPair(org) => Harm::Org(*org),
            Self::Split(_) | Self::Blackout => Harm::All,
            Self::Slow(None, _) | Self::Lossy(None, _) | Self::Switch(_) => Harm::None,
        }
    }

    /// What there is one of at a time: partitions replace each other, and so do delay and loss; a
    /// switch takes some blocks.
    #[must_use]
    pub fn resource(&self) -> Option<Resource> {
        match self {
            Self::CutOff(_)
            | Self::CutOffPair(_)
            | Self::Mute(_)
            | Self::Deafen(_)
            | Self::Split(_) => Some(Resource::Partition),
            Self::Slow(..) | Self::Lossy(..) => Some(Resource::Quality),
            Self::Switch(_) => Some(Resource::Switch),
            _ => None,
        }
    }

    /// The longest time that it lasts, in milliseconds.
    #[must_use]
    pub fn longest_ms(&self) -> u64 {
        match self {
            Self::Switch(_) => BETWEEN_SWITCHES_MS,
            Self::Restart(_) | Self::Wipe(_) => 3_000,
            Self::Blackout => 5_000,
            Self::Slow(..) | Self::Lossy(..) => 12_000,
            _ => 8_000,
        }
    }
}

/// What there is one of at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Which links are cut.
    Partition,
    /// Delay and loss of links.
    Quality,
    /// The moment for a planned switch.
    Switch,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |target: &Option<Target>| match target {
            Some(target) => format!("the links of {target}"),
            None => "all links".to_owned(),
        };
        match self {
            Self::Kill(target) => write!(f, "kill -9 of {target}"),
            Self::Restart(target) => write!(f, "stop of {target}"),
            Self::Pause(target) => write!(f, "pause of {target}"),
            Self::Wipe(target) => write!(f, "kill -9 of {target}, and its disk wiped"),
            Self::KillPair(org) => write!(f, "kill -9 of both nodes of {}", ORGS[*org]),
            Self::CutOff(target) => write!(f, "{target} cut off"),
            Self::CutOffPair(org) => write!(f, "both nodes of {} cut off together", ORGS[*org]),
            Self::Mute(target) => write!(f, "what {target} sends is lost"),
            Self::Deafen(target) => write!(f, "what {target} is sent is lost"),
            Self::Split(side) => {
                let side: Vec<String> = side.iter().map(Target::to_string).collect();
                write!(f, "split between {} and the others", side.join(", "))
            }
            Self::Slow(target, ms) => write!(f, "{} slower by {ms} ms", all(target)),
            Self::Lossy(target, percent) => write!(f, "{} lose {percent} %", all(target)),
            Self::Blackout => f.write_str("kill -9 of all nodes at once"),
            Self::Switch(org) => write!(f, "planned switch of {}", ORGS[*org]),
        }
    }
}

/// A fault at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Milliseconds from the start of the campaign.
    pub at_ms: u64,
    /// Milliseconds until it is undone.
    pub lasts_ms: u64,
    /// What is done.
    pub what: What,
}

impl Fault {
    /// When it is undone, in milliseconds from the start.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.at_ms + self.lasts_ms
    }

    /// When those that it harms are well again, in milliseconds from the start.
    #[must_use]
    pub fn over_ms(&self) -> u64 {
        let is_wipe = matches!(self.what, What::Wipe(_));
        self.end_ms() + if is_wipe { RECOVERY_OF_WIPED_MS } else { RECOVERY_MS }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
        write!(f, "{:6.1} s  {}", seconds(self.at_ms), self.what)?;
        match self.what {
            What::Switch(_) => Ok(()),
            _ => write!(f, ", for {:.1} s", seconds(self.lasts_ms)),
        }
    }
}
