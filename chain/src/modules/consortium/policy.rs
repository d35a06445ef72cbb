//! The policy: how many organisations must agree to a change of the consortium.
//!
//! Votes are counted by organisation, whatever power its seat has, over the members that are not
//! suspended: their number is n below.
//!
//! | threshold | votes that it takes |
//! |---|---|
//! | any one | 1 |
//! | more than half | n / 2 + 1 |
//! | more than two thirds | 2n / 3 + 1 |
//! | all | n |
//!
//! Of three members or more, what is about one of them never takes more than the n - 1 others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::modules::consortium::Change;
use crate::types::escaped;

/// How many organisations must agree; a later one never takes fewer than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// Whichever wants it.
    AnyOne,
    /// More than half of the members.
    MoreThanHalf,
    /// More than two thirds of the members.
    MoreThanTwoThirds,
    /// Every member.
    All,
}

impl Threshold {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] =
        [Self::AnyOne, Self::MoreThanHalf, Self::MoreThanTwoThirds, Self::All];

    /// Votes that it takes of so many members; whether the change is about one of them. Two members
    /// can never do without each other above [`Threshold::AnyOne`]: else each could remove the other.
    #[must_use]
    pub fn needed(self, members: u64, is_about_one: bool) -> u64 {
        let votes = match self {
            Self::AnyOne => 1,
            Self::MoreThanHalf => members / 2 + 1,
            Self::MoreThanTwoThirds => members * 2 / 3 + 1,
            Self::All => members,
        };
        if is_about_one && members > 2 { votes.min(members - 1) } else { votes }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AnyOne => "any-one",
            Self::MoreThanHalf => "more-than-half",
            Self::MoreThanTwoThirds => "more-than-two-thirds",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|threshold| threshold.name() == text);
        found.ok_or_else(|| Error::Name {
            what: "threshold",
            rule: "any-one, more-than-half, more-than-two-thirds or all",
            got: escaped(text),
        })
    }
}

/// The threshold of each kind of change. As JSON, what is left out is `more-than-half`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// To add an organisation.
    pub add: Threshold,
    /// To remove one.
    pub remove: Threshold,
    /// To suspend one.
    pub suspend: Threshold,
    /// To end a suspension.
    pub restore: Threshold,
    /// To change a seat's voting power.
    pub power: Threshold,
    /// To give an organisation another admin key when it cannot do so itself.
    pub admin_key: Threshold,
    /// To change the chain's parameters.
    pub parameters: Threshold,
    /// To change the policy; at least as high as every other, for those would protect nothing
    /// else. It is also what a change takes that is forced.
    pub policy: Threshold,
}

impl Default for Policy {
    fn default() -> Self {
        Self::uniform(Threshold::MoreThanHalf)
    }
}

impl Policy {
    /// One threshold for everything.
    #[must_use]
    pub fn uniform(threshold: Threshold) -> Self {
        Self {
            add: threshold,
            remove: threshold,
            suspend: threshold,
            restore: threshold,
            power: threshold,
            admin_key: threshold,
            parameters: threshold,
            policy: threshold,
        }
    }

    /// The thresholds by name, that of the policy itself last.
    #[must_use]
    pub fn by_name(&self) -> [(&'static str, Threshold); 8] {
        [
            ("add", self.add),
            ("remove", self.remove),
            ("suspend", self.suspend),
            ("restore", self.restore),
            ("power", self.power),
            ("admin_key", self.admin_key),
            ("parameters", self.parameters),
            ("policy", self.policy),
        ]
    }

    /// What is wrong with it, for people; empty when it is good.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let above = self.by_name().into_iter().filter(|(_, threshold)| *threshold > self.policy);
        above
            .map(|(name, threshold)| {
                format!(
                    "the policy's threshold for {name} is {threshold}, above that for policy, {}, \
                     by which it could be lowered: set policy to {threshold} at least",
                    self.policy
                )
            })
            .collect()
    }

    /// What is allowed, and should be known, for people: ways around the threshold for the policy.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let about_votes = [
            ("add", self.add),
            ("remove", self.remove),
            ("suspend", self.suspend),
            ("admin_key", self.admin_key),
        ];
        let below = about_votes.into_iter().filter(|(_, threshold)| *threshold < self.policy);
        below
            .map(|(name, threshold)| {
                format!(
                    "the policy's threshold for {name} is {threshold}, below that for policy, {}: \
                     who changes the number of votes by it can change the policy then",
                    self.policy
                )
            })
            .collect()
    }

    /// The threshold of a change, and the highest there is for one that is forced. A new organisation
    /// with more power than 1 takes that of power, too.
    #[must_use]
    pub fn threshold(&self, change: &Change, is_forced: bool) -> Threshold {
        if is_forced {
            return self.policy;
        }
        match change {
            Change::AddOrg { power, .. } if power.0 > 1 => self.add.max(self.power),
            Change::AddOrg { .. } => self.add,
            Change::RemoveOrg { .. } => self.remove,
            Change::SuspendOrg { .. } => self.suspend,
            Change::RestoreOrg { .. } => self.restore,
            Change::SetPower { .. } => self.power,
            Change::ReplaceAdminKey { .. } => self.admin_key,
            Change::SetParameters(_) => self.parameters,
            Change::SetPolicy(_) => self.policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_takes_so_many_votes() {
        // Members, and votes for any one, more than half, more than two thirds, all; the same about one.
        let table = [
            (1, [1, 1, 1, 1], [1, 1, 1, 1]),
            (2, [1, 2, 2, 2], [1, 2, 2, 2]),
            (3, [1, 2, 3, 3], [1, 2, 2, 2]),
            (4, [1, 3, 3, 4], [1, 3, 3, 3]),
            (5, [1, 3, 4, 5], [1, 3, 4, 4]),
            (6, [1, 4, 5, 6], [1, 4, 5, 5]),
            (7, [1, 4, 5, 7], [1, 4, 5, 6]),
            (100, [1, 51, 67, 100], [1, 51, 67, 99]),
        ];
        for (members, expected, about_one) in table {
            assert_eq!(Threshold::ALL.map(|t| t.needed(members, false)), expected, "{members}");
            assert_eq!(Threshold::ALL.map(|t| t.needed(members, true)), about_one, "{members}");
            for about in [false, true] {
                let needed = Threshold::ALL.map(|t| t.needed(members, about));
                assert!(needed.is_sorted(), "a later one never takes fewer");
                assert!(needed.iter().all(|n| (1..=members).contains(n)));
            }
        }
    }

    #[test]
    fn a_policy_that_is_easier_to_change_than_what_it_protects_is_refused() {
        for threshold in Threshold::ALL {
            assert_eq!(Policy::uniform(threshold).faults(), [""; 0]);
            assert_eq!(threshold.to_string().parse(), Ok(threshold));
        }
        let policy = Policy { remove: Threshold::All, ..Policy::default() };
        let faults = policy.faults();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("remove is all, above that for policy, more-than-half"));
        assert_eq!(policy.warnings(), [""; 0]);
        let policy = Policy { suspend: Threshold::AnyOne, ..Policy::uniform(Threshold::All) };
        assert_eq!(policy.faults(), [""; 0]);
        let warnings = policy.warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("suspend is any-one, below that for policy, all"));
        let error = "most".parse::<Threshold>().unwrap_err().to_string();
        assert!(error.contains("any-one, more-than-half") && error.contains("\"most\""));
    }
}
