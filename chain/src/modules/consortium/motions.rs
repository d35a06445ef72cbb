//! Motions: changes of the consortium that its members vote on.
//!
//! A motion is carried out in the block in which the votes for it reach the threshold of the policy.
//! What counts is the policy and the members of that moment: each vote is weighed against them when
//! it comes in. Each organisation has one vote, that of who is suspended does not count, and making
//! a motion is a vote for it. A vote that was given before and is enough by now is sent once more. Where the change cannot be made at that moment the vote fails with the
//! reason, and can be sent again later.
//!
//! | state key | value |
//! |---|---|
//! | `consortium/policy` | [`super::Policy`] |
//! | `consortium/docket` | [`Docket`]; not there before the first motion |
//! | `consortium/motion/NUMBER` | [`Motion`], the open ones and those of the last [`MAX_MOTION_HISTORY`] numbers |

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::ledger::state::{State, key_of, missing};
use crate::limits::{
    MAX_MOTION_HISTORY, MAX_MOTION_LIFE, MAX_OPEN_MOTIONS_PER_ORG, MIN_MOTION_LIFE,
};
use crate::modules::Sender;
use crate::modules::consortium::change::refused;
use crate::modules::consortium::state::read_policy;
use crate::modules::consortium::weigh::{Sheet, weigh};
use crate::modules::consortium::{Change, closed};
use crate::types::{Height, OrgName, Timestamp};

const DOCKET: &str = "consortium/docket";
const MOTION: &str = "consortium/motion/";

/// A motion in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Motion {
    /// The organisation that made it.
    pub made_by: OrgName,
    /// The block in which it was made.
    pub height: Height,
    /// The last block time at which it can be voted on.
    pub expires: Timestamp,
    /// What it proposes.
    pub change: Change,
    /// Whether it is to be carried out though fewer seats than a quorum would be online after it.
    pub force: bool,
    /// The organisations that voted for it.
    pub votes: BTreeSet<OrgName>,
    /// How it was closed; none while it is open or when it has expired.
    pub outcome: Option<Outcome>,
}

/// How a motion was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its change was made.
    Carried {
        /// The block that did it.
        height: Height,
        /// Height from which it is in effect.
        effective: Height,
    },
    /// The organisation that made it, or that it is about, was removed; or that which made it was
    /// given another admin key; or other parameters or another policy were set, which it would undo.
    Dropped {
        /// The block that did it.
        height: Height,
    },
}

/// The open motions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Docket {
    /// Number of the next motion; the first is 1.
    pub next: u64,
    /// By number.
    pub open: BTreeMap<u64, Opened>,
}

/// An open motion in the docket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The organisation that made it.
    pub made_by: OrgName,
    /// The last block time at which it can be voted on; the next motion clears it away after that.
    pub expires: Timestamp,
}

/// What the receipt of a motion or a vote returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Number of the motion.
    pub motion: u64,
    /// Height from which its change is in effect; none while more votes are needed.
    pub effective: Option<Height>,
}

/// How a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Votes that count.
    pub votes: u64,
    /// Votes that it takes.
    pub needed: u64,
    /// Members that have a vote.
    pub members: u64,
}

impl Tally {
    /// Whether it takes no more votes.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.votes >= self.needed
    }
}

impl Docket {
    pub(super) fn read(state: &mut State) -> Result<Self, Error> {
        let found = state.read("docket", DOCKET.as_bytes())?;
        Ok(found.unwrap_or(Self { next: 1, open: BTreeMap::new() }))
    }

    fn write(&self, state: &mut State) {
        state.write(DOCKET.into(), self);
    }

    /// Whether a closed motion's number is one of too long ago to be remembered.
    fn is_old(&self, number: u64) -> bool {
        number + MAX_MOTION_HISTORY < self.next
    }

    /// Takes off what has expired before a block of that time.
    fn clear(&mut self, state: &mut State, time: Timestamp) {
        let is_over = |opened: &Opened| opened.expires < time;
        let over: Vec<u64> =
            self.open.iter().filter(|(_, o)| is_over(o)).map(|(number, _)| *number).collect();
        for number in over {
            self.open.remove(&number);
            if self.is_old(number) {
                state.delete(motion_key(number));
            }
        }
    }

    /// Takes the next number; the closed motion that goes out of the history for it is forgotten.
    fn open(&mut self, state: &mut State, opened: Opened) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some(old) = number.checked_sub(MAX_MOTION_HISTORY)
            && !self.open.contains_key(&old)
        {
            state.delete(motion_key(old));
        }
        self.open.insert(number, opened);
        number
    }
}

fn motion_key(number: u64) -> Vec<u8> {
    key_of(MOTION, &number.to_be_bytes())
}

pub(super) fn find(state: &mut State, number: u64) -> Result<Option<Motion>, Error> {
    state.read("motion", &motion_key(number))
}

/// Writes a motion down, or forgets one that is closed and old.
fn put(state: &mut State, docket: &Docket, number: u64, motion: &Motion) {
    if motion.outcome.is_some() && docket.is_old(number) {
        state.delete(motion_key(number));
    } else {
        state.write(motion_key(number), motion);
    }
}

/// How the vote on a motion stands by the policy and the members of now.
pub(super) fn tally(state: &mut State, motion: &Motion) -> Result<Tally, Error> {
    let threshold = read_policy(state)?.threshold(&motion.change, motion.force);
    let voters = closed::voters(state)?;
    let is_about_one = motion.change.about().is_some_and(|name| voters.contains(name));
    let members = voters.len() as u64;
    Ok(Tally {
        votes: voters.iter().filter(|name| motion.votes.contains(name)).count() as u64,
        needed: threshold.needed(members, is_about_one),
        members,
    })
}

/// Tries a change on paper, and refuses what may not be.
fn check(ctx: &mut Context, change: &Change, force: bool) -> Result<(), Error> {
    change.check(&mut ctx.state)?;
    let sheet = Sheet::read(&mut ctx.state, ctx.alive.as_ref())?;
    let weighed = weigh(&sheet, change);
    match weighed.refusal(force) {
        Some(reason) => Err(refused(reason)),
        None => Ok(()),
    }
}

pub(super) fn propose(
    ctx: &mut Context,
    sender: &Sender,
    change: &Change,
    force: bool,
    expires: Timestamp,
) -> Result<Vec<u8>, Error> {
    let (first, last) = (ctx.time.plus(MIN_MOTION_LIFE), ctx.time.plus(MAX_MOTION_LIFE));
    if !(first..=last).contains(&expires) {
        let [time, first, last, expires] =
            [ctx.time, first, last, expires].map(Timestamp::to_rfc3339);
        return Err(refused(format!(
            "a motion made at {time} can expire at {first} to {last}, not at {expires}"
        )));
    }
    let mut docket = Docket::read(&mut ctx.state)?;
    docket.clear(&mut ctx.state, ctx.time);
    let of_org = docket.open.values().filter(|opened| opened.made_by == sender.org).count();
    if of_org >= MAX_OPEN_MOTIONS_PER_ORG {
        let (what, max) = ("open motions of one organisation", MAX_OPEN_MOTIONS_PER_ORG);
        return Err(Error::TooMany { what, max, got: of_org + 1 });
    }
    check(ctx, change, force)?;
    let opened = Opened { made_by: sender.org.clone(), expires };
    let number = docket.open(&mut ctx.state, opened);
    docket.write(&mut ctx.state);
    let motion = Motion {
        made_by: sender.org.clone(),
        height: ctx.height,
        expires,
        change: change.clone(),
        force,
        votes: BTreeSet::new(),
        outcome: None,
    };
    count(ctx, sender, number, motion)
}

pub(super) fn vote(ctx: &mut Context, sender: &Sender, number: u64) -> Result<Vec<u8>, Error> {
    let motion = find(&mut ctx.state, number)?
        .ok_or_else(|| Error::NotFound { what: "motion", name: number.to_string() })?;
    match motion.outcome {
        Some(Outcome::Carried { height, .. }) => {
            return Err(refused(format!("motion {number} was carried in block {height}")));
        }
        Some(Outcome::Dropped { height }) => {
            return Err(refused(format!(
                "motion {number} was dropped in block {height}, by what was carried then"
            )));
        }
        None if motion.expires < ctx.time => {
            let reason = format!("motion {number} expired at {}", motion.expires.to_rfc3339());
            return Err(refused(reason));
        }
        None => {}
    }
    // Fewer votes may be enough by now: then whoever has voted already carries it by saying so again.
    if motion.votes.contains(&sender.org) && !tally(&mut ctx.state, &motion)?.is_enough() {
        let name = format!("of {} for motion {number}", sender.org);
        return Err(Error::Exists { what: "vote", name });
    }
    count(ctx, sender, number, motion)
}

/// Counts a vote, and carries the motion out when it is the one that was missing.
fn count(
    ctx: &mut Context,
    sender: &Sender,
    number: u64,
    mut motion: Motion,
) -> Result<Vec<u8>, Error> {
    motion.votes.insert(sender.org.clone());
    let tally = tally(&mut ctx.state, &motion)?;
    ctx.events.push(Event::new(
        "motion_vote",
        [
            ("motion", number.to_string()),
            ("org", sender.org.to_string()),
            ("change", motion.change.kind().to_owned()),
            ("about", motion.change.about().map(ToString::to_string).unwrap_or_default()),
            ("votes", format!("{} of {}", tally.votes, tally.needed)),
        ],
    ));
    let mut effective = None;
    if tally.is_enough() {
        let mut docket = Docket::read(&mut ctx.state)?;
        docket.open.remove(&number);
        docket.write(&mut ctx.state);
        effective = Some(carry_out(ctx, number, &mut motion)?);
    }
    let docket = Docket::read(&mut ctx.state)?;
    put(&mut ctx.state, &docket, number, &motion);
    Ok(codec::encode(&Decision { motion: number, effective }))
}

fn carry_out(ctx: &mut Context, number: u64, motion: &mut Motion) -> Result<Height, Error> {
    check(ctx, &motion.change, motion.force)?;
    let effective = motion.change.carry_out(ctx)?;
    match &motion.change {
        Change::RemoveOrg { name } => drop_of(ctx, name, true)?,
        Change::ReplaceAdminKey { name, .. } => drop_of(ctx, name, false)?,
        Change::SetParameters(_) | Change::SetPolicy(_) => {
            let kind = motion.change.kind();
            close_open(ctx, |other| other.change.kind() == kind, |_| false)?;
        }
        Change::AddOrg { .. }
        | Change::SuspendOrg { .. }
        | Change::RestoreOrg { .. }
        | Change::SetPower { .. } => {}
    }
    motion.outcome = Some(Outcome::Carried { height: ctx.height, effective });
    let attributes = [("motion", number.to_string()), ("effective_height", effective.to_string())];
    ctx.events.push(Event::new("motion_carried", attributes));
    Ok(effective)
}

/// An organisation is removed, or its admin key was in other hands: open motions that it made are
/// dropped, and it has voted for none; with it, those about it, too.
fn drop_of(ctx: &mut Context, name: &OrgName, is_removed: bool) -> Result<(), Error> {
    let is_about = |motion: &Motion| is_removed && motion.change.about() == Some(name);
    let is_dropped = |motion: &Motion| motion.made_by == *name || is_about(motion);
    close_open(ctx, is_dropped, |motion| motion.votes.remove(name))
}

/// Drops open motions, and changes others; `change` says whether it did.
fn close_open(
    ctx: &mut Context,
    is_dropped: impl Fn(&Motion) -> bool,
    change: impl Fn(&mut Motion) -> bool,
) -> Result<(), Error> {
    let mut docket = Docket::read(&mut ctx.state)?;
    for number in docket.open.clone().into_keys() {
        let motion = find(&mut ctx.state, number)?;
        let mut motion = motion.ok_or_else(|| missing("open motion"))?;
        if is_dropped(&motion) {
            motion.outcome = Some(Outcome::Dropped { height: ctx.height });
            docket.open.remove(&number);
        } else if !change(&mut motion) {
            continue;
        }
        put(&mut ctx.state, &docket, number, &motion);
    }
    docket.write(&mut ctx.state);
    Ok(())
}
