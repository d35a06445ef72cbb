//! Changes on paper: what a change would do, before anyone votes on it.
//!
//! A pure function of the members, their seats and which of these the last record calls alive. The
//! ledger asks it before a motion is made and again before it is carried out; people ask it through
//! [`super::try_change`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::state::State;
use crate::modules::consortium::state::{org, org_names};
use crate::modules::consortium::{Change, closed};
use crate::modules::standby;
use crate::roles::{RoleTable, Seat};
use crate::types::{OrgName, Power, Term};

/// An organisation as far as its seat goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Voting power of its seat.
    pub(crate) power: Power,
    /// Who holds its seat; none while it is left out.
    pub(crate) holder: Option<PublicKey>,
    /// Whether the last record calls the holder alive, or there is none yet.
    pub(crate) is_live: bool,
    /// Whether it has a vote: not when it is suspended.
    pub(crate) is_voter: bool,
}

/// All organisations as they are: those that were removed are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet(pub(crate) BTreeMap<OrgName, Member>);

/// The seats at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Seats that are filled.
    pub seats: u64,
    /// Their power together.
    pub power: Power,
    /// The least power that makes a certificate.
    pub quorum: Power,
    /// Power that may fail while the chain goes on.
    pub f: Power,
    /// Power of the seats whose holder is alive.
    pub online: Power,
    /// Those seats.
    pub live: Vec<OrgName>,
}

/// What a change would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    /// The seats now.
    pub before: Numbers,
    /// The seats after the change. A seat that it opens counts as filled, and its node as not yet
    /// alive.
    pub after: Numbers,
    /// What is allowed, and should be known.
    pub warnings: Vec<String>,
    /// Why the ledger refuses it unless it is forced.
    pub unsafe_because: Option<String>,
    /// Why the ledger refuses it in any case.
    pub impossible_because: Option<String>,
}

impl Sheet {
    /// From the state; `alive` is what the last record calls alive, none when there is none yet.
    pub(crate) fn read(
        state: &mut State,
        alive: Option<&BTreeSet<PublicKey>>,
    ) -> Result<Self, Error> {
        let closed = closed::all(state)?;
        let holders = standby::holders(state)?;
        let mut members = BTreeMap::new();
        for name in org_names(state)? {
            let is_removed = closed.get(&name).is_some_and(|closed| closed.is_removed);
            if is_removed {
                continue;
            }
            let holder = holders.get(&name).copied().flatten();
            let member = Member {
                power: org(state, &name)?.power,
                holder,
                is_live: holder.is_some_and(|key| alive.is_none_or(|alive| alive.contains(&key))),
                is_voter: !closed.contains_key(&name),
            };
            members.insert(name, member);
        }
        Ok(Self(members))
    }

    fn table(&self) -> RoleTable {
        let filled = self.0.iter().filter_map(|(name, member)| {
            let seat = Seat { holder: member.holder?, power: member.power, term: Term::ZERO };
            Some((name.clone(), seat))
        });
        filled.collect::<BTreeMap<_, _>>().into()
    }

    fn numbers(&self) -> Numbers {
        let table = self.table();
        let live = self.0.iter().filter(|(_, member)| member.is_live);
        Numbers {
            seats: table.seats().len() as u64,
            power: table.total_power(),
            quorum: table.quorum(),
            f: table.f(),
            online: Power(live.clone().map(|(_, member)| member.power.0).sum()),
            live: live.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The members after a change; an organisation that is not there is not changed.
    fn after(&self, change: &Change) -> Self {
        let mut after = self.clone();
        let opened = |power| Member {
            power,
            holder: Some(PublicKey([0; 32])),
            is_live: false,
            is_voter: true,
        };
        match change {
            Change::AddOrg { name, power, .. } => {
                after.0.insert(name.clone(), opened(*power));
            }
            Change::RemoveOrg { name } => {
                after.0.remove(name);
            }
            Change::SuspendOrg { name } => {
                if let Some(member) = after.0.get_mut(name) {
                    (member.holder, member.is_live, member.is_voter) = (None, false, false);
                }
            }
            Change::RestoreOrg { name } => {
                if let Some(member) = after.0.get_mut(name) {
                    *member = opened(member.power);
                }
            }
            Change::SetPower { name, power } => {
                if let Some(member) = after.0.get_mut(name) {
                    member.power = *power;
                }
            }
            Change::ReplaceAdminKey { .. } | Change::SetParameters(_) | Change::SetPolicy(_) => {}
        }
        after
    }
}

/// What a change would do to the members as they are.
pub(crate) fn weigh(sheet: &Sheet, change: &Change) -> Weighed {
    let paper = sheet.after(change);
    let (before, after) = (sheet.numbers(), paper.numbers());
    let mut weighed = Weighed {
        warnings: paper.table().warnings(),
        unsafe_because: None,
        impossible_because: None,
        before,
        after,
    };
    let is_short = weighed.after.online < weighed.after.quorum;
    match change {
        Change::AddOrg { name, .. } | Change::RestoreOrg { name } => {
            let live = paper.0.values().filter(|member| member.is_live);
            let lightest = live.map(|member| member.power.0).min().unwrap_or_default();
            if is_short {
                weighed.warnings.push(format!(
                    "the seat of {name} stays left out until its node is alive: the {} that are \
                     online are fewer than the quorum of {} with it",
                    weighed.after.online, weighed.after.quorum
                ));
            } else if weighed.after.online.0 - lightest < weighed.after.quorum.0 {
                weighed.warnings.push(format!(
                    "until the node of {name} is alive, the chain stops while one of the seats that \
                     are online now is down"
                ));
            }
        }
        Change::RemoveOrg { .. } | Change::SuspendOrg { .. } | Change::SetPower { .. } => {
            if is_short {
                weighed.unsafe_because = Some(format!(
                    "{weighed}: fewer than a quorum, so the chain would stop; wait until more \
                     seats are alive, or have it forced by the policy's highest threshold"
                ));
            }
        }
        Change::SetPolicy(policy) => weighed.warnings.extend(policy.warnings()),
        Change::ReplaceAdminKey { .. } | Change::SetParameters(_) => {}
    }
    if matches!(change, Change::RemoveOrg { .. } | Change::SuspendOrg { .. }) {
        weighed.impossible_because = if !paper.0.values().any(|member| member.is_voter) {
            Some("no organisation with a vote would be left".to_owned())
        } else if weighed.after.seats == 0 {
            Some(format!("{weighed}: no seat would be left, and the chain could never go on"))
        } else {
            None
        };
    }
    weighed
}

impl Weighed {
    /// Why the ledger refuses it, forced or not; none when it does not.
    #[must_use]
    pub fn refusal(&self, force: bool) -> Option<String> {
        let unless_forced = self.unsafe_because.as_ref().filter(|_| !force);
        self.impossible_because.as_ref().or(unless_forced).cloned()
    }
}

/// Such as `seats 4 -> 5, quorum 3 -> 4, online after this 4`. Quorum and online are power, which is
/// the number of seats where each has 1.
impl fmt::Display for Weighed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, .. } = self;
        write!(
            f,
            "seats {} -> {}, quorum {} -> {}, online after this {}",
            before.seats, after.seats, before.quorum, after.quorum, after.online
        )
    }
}
