//! Shapes of Tandem's own methods about motions and the policy.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_chain::Error as ChainError;
use tandem_chain::modules::consortium::{
    Change, MotionStatus, MotionView, Numbers, Outcome, Policy, Weighed,
};
use tandem_chain::types::{Height, OrgName, Power};

use super::text;

/// Answer of `policy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInfo {
    /// The threshold of each kind of change.
    pub policy: Policy,
    /// Organisations that have a vote: the members that are not suspended.
    #[serde(with = "text")]
    pub members: u64,
    /// Votes that each kind of change takes of them, by its name in the policy.
    #[serde(with = "text::map")]
    pub needed: BTreeMap<String, u64>,
}

impl PolicyInfo {
    /// Kinds of changes that are about one of the members: see [`Change::about`].
    const ABOUT_ONE: [&'static str; 4] = ["remove", "suspend", "power", "admin_key"];

    /// What a policy means for so many members.
    #[must_use]
    pub fn new(policy: Policy, members: u64) -> Self {
        let needed = policy.by_name().map(|(name, threshold)| {
            (name.to_owned(), threshold.needed(members, Self::ABOUT_ONE.contains(&name)))
        });
        Self { policy, members, needed: needed.into() }
    }
}

/// Answer of `motions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Motions {
    /// The newest first.
    pub motions: Vec<MotionEntry>,
}

/// A motion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MotionEntry {
    /// Its number.
    #[serde(with = "text")]
    pub motion: u64,
    /// Where it stands.
    pub status: MotionStatus,
    /// The organisation that made it.
    pub made_by: OrgName,
    /// The block in which it was made.
    #[serde(with = "text")]
    pub height: Height,
    /// The last block time at which it can be voted on.
    pub expires: String,
    /// What it proposes.
    pub change: Change,
    /// Whether it is to be carried out though fewer seats than a quorum would be online after it.
    pub force: bool,
    /// The organisations that voted for it.
    pub votes: Vec<OrgName>,
    /// How many of these votes count: those of members that are not suspended.
    #[serde(with = "text")]
    pub counted: u64,
    /// Votes that it takes, by the policy and the members of now: those of then are forgotten when it
    /// is closed.
    #[serde(with = "text")]
    pub needed: u64,
    /// Organisations that have a vote.
    #[serde(with = "text")]
    pub members: u64,
    /// Height from which its change is in effect, when it was carried.
    #[serde(with = "text::option")]
    pub effective: Option<Height>,
}

impl From<MotionView> for MotionEntry {
    fn from(view: MotionView) -> Self {
        let MotionView { number, motion, status, tally } = view;
        let effective = match motion.outcome {
            Some(Outcome::Carried { effective, .. }) => Some(effective),
            Some(Outcome::Dropped { .. }) | None => None,
        };
        Self {
            motion: number,
            status,
            made_by: motion.made_by,
            height: motion.height,
            expires: motion.expires.to_rfc3339(),
            change: motion.change,
            force: motion.force,
            votes: motion.votes.into_iter().collect(),
            counted: tally.votes,
            needed: tally.needed,
            members: tally.members,
            effective,
        }
    }
}

/// Answer of `motion`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MotionInfo {
    /// The motion.
    pub motion: MotionEntry,
    /// What its change would do now, while it is open.
    pub tried: Option<Tried>,
}

/// Answer of `try_change`: a change on paper, by the newest record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Such as `seats 4 -> 5, quorum 3 -> 4, online after this 4`; none where the change cannot be
    /// made as the consortium is.
    pub summary: Option<String>,
    /// The seats now.
    pub before: Option<NumbersEntry>,
    /// The seats after it.
    pub after: Option<NumbersEntry>,
    /// The values that it replaces by others: parameters, thresholds of the policy, an admin key, a
    /// power.
    #[serde(default)]
    pub changes: Vec<Changed>,
    /// What is allowed, and should be known.
    pub warnings: Vec<String>,
    /// Why the ledger refuses it unless it is forced.
    pub unsafe_because: Option<String>,
    /// Why the ledger refuses it in any case.
    pub impossible_because: Option<String>,
}

impl Tried {
    /// From the ledger's answer, and what the change replaces.
    ///
    /// # Errors
    /// Those of the store.
    pub fn new(
        tried: Result<Weighed, ChainError>,
        changes: Vec<Changed>,
    ) -> Result<Self, ChainError> {
        match tried {
            Ok(weighed) => Ok(Self {
                summary: Some(weighed.to_string()),
                before: Some(weighed.before.into()),
                after: Some(weighed.after.into()),
                changes,
                warnings: weighed.warnings,
                unsafe_because: weighed.unsafe_because,
                impossible_because: weighed.impossible_because,
            }),
            Err(error) if error.is_of_store() => Err(error),
            Err(error) => Ok(Self {
                summary: None,
                before: None,
                after: None,
                changes,
                warnings: Vec::new(),
                unsafe_because: None,
                impossible_because: Some(error.to_string()),
            }),
        }
    }
}

/// A value that a change replaces by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Name of the parameter or threshold, or such as `power of beta`.
    pub name: String,
    /// The value now.
    pub old: String,
    /// The value after the change.
    pub new: String,
}

/// Such as `failover_blocks 10 -> 20`.
impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, old, new } = self;
        write!(f, "{name} {old} -> {new}")
    }
}

/// The seats at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumbersEntry {
    /// Seats that are filled.
    #[serde(with = "text")]
    pub seats: u64,
    /// Their power together.
    #[serde(with = "text")]
    pub power: Power,
    /// The least power that makes a certificate.
    #[serde(with = "text")]
    pub quorum: Power,
    /// Power that may fail while the chain goes on.
    #[serde(with = "text")]
    pub f: Power,
    /// Power of the seats whose holder is alive.
    #[serde(with = "text")]
    pub online: Power,
    /// Those seats.
    pub live: Vec<OrgName>,
}

impl From<Numbers> for NumbersEntry {
    fn from(numbers: Numbers) -> Self {
        let Numbers { seats, power, quorum, f, online, live } = numbers;
        Self { seats, power, quorum, f, online, live }
    }
}
