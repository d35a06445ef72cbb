//! What a seed is mainly about. Most are about anything; some dwell on what is rare otherwise.

use super::fault::Fault;
use crate::sim::actor::Kind;
use crate::sim::queue::{S, Time};
use crate::sim::random::Random;

/// What a seed is mainly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Whatever it picks: any subset of the faults.
    Swarm,
    /// Nodes die as they are given a seat.
    Hunts,
    /// Groups that overlap.
    Rings,
    /// Old disks come back, marked as such or not.
    Restores,
    /// Nodes come and go, partners are replaced, parameters change.
    Churn,
    /// Standbys are behind when their holders die.
    Lags,
    /// Disks are slow, full and lost.
    Disks,
    /// Processes die wherever a write or a message could be lost.
    Points,
    /// Switches are ordered, rightly and wrongly, while holders sign twice or cling to their seats.
    Orders,
    /// Many messages are lost, so that nodes see different quorums.
    Loss,
    /// Organisations join, leave, are suspended and restored, and powers change. No node lies or
    /// loses its key: what is f at the time of a fault may be less later.
    Motions,
    /// A network of one seat grows to seven organisations and shrinks to four. No node lies or loses
    /// its key there either.
    Growth,
}

impl Focus {
    /// That of a seed: 20 of 32 dwell on one matter.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        match seed % 16 {
            12 if seed % 32 == 12 => Self::Motions,
            12 => Self::Growth,
            1 => Self::Hunts,
            3 => Self::Rings,
            5 => Self::Restores,
            7 => Self::Churn,
            9 => Self::Lags,
            11 => Self::Disks,
            13 => Self::Points,
            14 => Self::Loss,
            15 => Self::Orders,
            _ => Self::Swarm,
        }
    }

    /// The faults that it dwells on.
    const fn faults(self) -> &'static [Fault] {
        match self {
            Self::Swarm => &[],
            Self::Hunts => &[Fault::Crash, Fault::Switch],
            Self::Rings => &[Fault::Ring, Fault::Ring, Fault::Asymmetric],
            Self::Restores => &[Fault::Restore, Fault::Rollback, Fault::Rollback],
            Self::Churn => &[Fault::Members, Fault::Members, Fault::Switch, Fault::Parameters],
            Self::Lags => &[Fault::Lag, Fault::Lag, Fault::SlowMachine],
            Self::Disks => {
                &[Fault::FullDisk, Fault::SlowDisk, Fault::Wipe, Fault::Restore, Fault::Prune]
            }
            Self::Points => &[Fault::CrashAtPoint, Fault::CrashAtPoint, Fault::Restore],
            Self::Orders => &[Fault::OddSwitch, Fault::OddSwitch, Fault::Switch, Fault::Members],
            Self::Loss => &[Fault::Crash],
            Self::Motions => &[Fault::Motions, Fault::Motions, Fault::Members, Fault::Crash],
            Self::Growth => &[Fault::Crash, Fault::Partition, Fault::Isolate, Fault::Addresses],
        }
    }

    /// How many histories in a thousand are gentle: so few nodes fail that the chain goes on. What a
    /// switch needs is a chain that goes on.
    #[must_use]
    pub const fn gentleness(self) -> u64 {
        match self {
            Self::Hunts | Self::Lags => 1000,
            Self::Restores => 800,
            _ => 500,
        }
    }

    /// How many histories in a thousand have liars, which leave less room for victims.
    #[must_use]
    pub const fn liars(self) -> u64 {
        match self {
            Self::Swarm => 450,
            Self::Hunts | Self::Lags | Self::Restores => 150,
            Self::Points | Self::Loss => 600,
            Self::Orders => 800,
            Self::Motions | Self::Growth => 0,
            _ => 300,
        }
    }

    /// Whether disks may be lost or put back, and holders stay dead after the faults.
    #[must_use]
    pub const fn loses(self) -> bool {
        !matches!(self, Self::Motions | Self::Growth)
    }

    /// How many histories in a thousand hunt those who are given a seat.
    #[must_use]
    pub const fn hunts(self) -> u64 {
        match self {
            Self::Hunts => 1000,
            Self::Churn => 500,
            _ => 250,
        }
    }

    /// Time beyond that of others for which faults last: what it dwells on takes long.
    #[must_use]
    pub const fn more_time(self) -> Time {
        match self {
            Self::Hunts | Self::Lags => 12 * S,
            Self::Growth => 40 * S,
            _ => 0,
        }
    }

    /// How many histories in a thousand have links that lose and delay nothing.
    #[must_use]
    pub const fn whole_links(self) -> u64 {
        match self {
            Self::Swarm | Self::Rings | Self::Loss => 0,
            _ => 600,
        }
    }

    /// Longest times between two faults to pick from, in milliseconds.
    #[must_use]
    pub const fn intervals(self) -> &'static [u64] {
        match self {
            Self::Swarm => &[300, 1000, 3000, 8000],
            Self::Points => &[100, 300],
            Self::Churn | Self::Orders | Self::Motions => &[300, 1000],
            Self::Loss => &[3000],
            Self::Growth => &[3000, 8000],
            _ => &[1000, 3000],
        }
    }

    /// What liars it has; all kinds where it has none in particular.
    #[must_use]
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Points => &[Kind::DoubleVoter, Kind::TwoFaced],
            Self::Orders => &[Kind::DoubleVoter, Kind::Clinger, Kind::TwoFaced, Kind::Clinger],
            Self::Loss => &[Kind::DoubleProposer, Kind::TwoFaced, Kind::Withholder],
            _ => &Kind::ALL,
        }
    }

    /// The faults of a history: of a swarm, each with a chance; of any other focus its own, and each
    /// with a smaller one.
    #[must_use]
    pub fn pick(self, random: &mut Random) -> Vec<Fault> {
        let mut faults = self.faults().repeat(3);
        for fault in Fault::ALL {
            let is_rare = matches!(
                fault,
                Fault::Blackout | Fault::ClockJump | Fault::ClockDrift | Fault::Parameters
            );
            let chance = match (self, is_rare) {
                (Self::Swarm, false) => 350,
                (Self::Swarm, true) => 200,
                _ => 100,
            };
            if random.chance(chance) {
                let weight = if is_rare { 1 } else { random.between(1, 3) };
                faults.extend((0..weight).map(|_| fault));
            }
        }
        let is_loss =
            |fault: &Fault| matches!(fault, Fault::Wipe | Fault::Restore | Fault::Rollback);
        faults.retain(|fault| self.loses() || !is_loss(fault));
        // Whoever joins has all blocks to fetch.
        faults.retain(|fault| self != Self::Growth || *fault != Fault::Prune);
        faults
    }
}
