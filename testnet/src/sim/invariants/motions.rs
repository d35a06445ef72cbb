//! What motions of the consortium do, a second time: who may move and vote, which changes are refused,
//! and what those that are carried do to seats and nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::{MAX_MOTION_LIFE, MAX_OPEN_MOTIONS_PER_ORG, MAX_ORGS, MIN_MOTION_LIFE};
use tandem_chain::modules::consortium::{Change, Policy, Threshold};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::records;
use tandem_chain::modules::standby::Reason;

use super::calls::Scene;
use super::seats::{Seat, Seats, Standing};

/// A motion that can be voted on.
#[derive(Clone, Debug)]
struct Open {
    made_by: String,
    expires: u64,
    change: Change,
    is_forced: bool,
    votes: BTreeSet<String>,
}

/// What a motion or a vote comes to.
pub(super) enum Counted {
    /// More votes are needed.
    TooFew,
    /// Its change is made; the parameters that it sets.
    Carried(Option<Parameters>),
}

/// What motions hang on.
#[derive(Debug)]
pub(super) struct Motions {
    next: u64,
    open: BTreeMap<u64, Open>,
    policy: Policy,
    /// Users with their organisations.
    users: BTreeMap<PublicKey, String>,
    /// Data sets with their owners: a name that owns some is not used again.
    data_sets: BTreeMap<String, String>,
    /// Terms of the seats of those that were removed.
    past_terms: BTreeMap<String, u64>,
}

impl Motions {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let orgs = genesis.organizations.iter();
        let users = orgs.flat_map(|org| org.users.iter().map(|user| (*user, org.name.to_string())));
        Self {
            next: 1,
            open: BTreeMap::new(),
            policy: genesis.policy.clone(),
            users: users.collect(),
            data_sets: BTreeMap::new(),
            past_terms: BTreeMap::new(),
        }
    }

    /// Whether a key is a user's.
    pub(super) fn is_user(&self, key: &PublicKey) -> bool {
        self.users.contains_key(key)
    }

    /// Whether a change can be voted on in a block of a time.
    pub(super) fn has(&self, change: &Change, time: u64) -> bool {
        let mut open = self.open.values().filter(|motion| time <= motion.expires);
        open.any(|motion| motion.change == *change)
    }

    /// Numbers of the motions that can be voted on in a block of a time.
    pub(super) fn open(&self, time: u64) -> Vec<u64> {
        let open = self.open.iter().filter(|(_, motion)| time <= motion.expires);
        open.map(|(number, _)| *number).collect()
    }
}

impl Motions {
    /// What an organisation moved and voted for is not its will any more.
    fn forget_will_of(&mut self, name: &str) {
        self.open.retain(|_, motion| motion.made_by != name);
        for motion in self.open.values_mut() {
            motion.votes.remove(name);
        }
    }

    /// What replaces all parameters, or the policy, drops the others that would.
    fn drop_kind(&mut self, change: &Change) {
        let kind = std::mem::discriminant(change);
        self.open.retain(|_, motion| std::mem::discriminant(&motion.change) != kind);
    }
}

/// Votes that a threshold takes of so many members, counted by what it means.
fn takes(threshold: Threshold, members: u64, is_about_one: bool) -> u64 {
    let is_enough = |votes: u64| match threshold {
        Threshold::AnyOne => votes >= 1,
        Threshold::MoreThanHalf => 2 * votes > members,
        Threshold::MoreThanTwoThirds => 3 * votes > 2 * members,
        Threshold::All => votes >= members,
    };
    // Of more than two, the one that it is about can be done without.
    let most = if is_about_one && members > 2 { members - 1 } else { members };
    (0..=most).find(|votes| is_enough(*votes)).unwrap_or(most)
}

impl Seats {
    /// The organisation whose admin key this is, while it may send.
    pub(super) fn admin_of(&self, sender: PublicKey) -> Option<String> {
        let found = self.seats.iter().find(|(_, seat)| seat.admin == sender && !seat.is_closed());
        found.map(|(name, _)| name.clone())
    }

    pub(super) fn propose(
        &mut self,
        scene: &mut Scene,
        sender: PublicKey,
        change: &Change,
        is_forced: bool,
        expires: u64,
    ) -> Option<Counted> {
        let made_by = self.admin_of(sender)?;
        let open = self.motions.open(scene.time);
        let own = open.iter().filter(|number| self.motions.open[number].made_by == made_by);
        let is_full = own.count() >= MAX_OPEN_MOTIONS_PER_ORG;
        let after = |life: Duration| scene.time + u64::try_from(life.as_nanos()).expect("90 days");
        let is_in_time = (after(MIN_MOTION_LIFE)..=after(MAX_MOTION_LIFE)).contains(&expires);
        if is_full || !is_in_time || !self.may_be(scene, change, is_forced) {
            return None;
        }
        let votes = BTreeSet::from([made_by.clone()]);
        let motion = Open { made_by, expires, change: change.clone(), is_forced, votes };
        let carried = self.count_votes(scene, &motion)?;
        let number = self.motions.next;
        self.motions.next += 1;
        if matches!(carried, Counted::TooFew) {
            self.motions.open.insert(number, motion);
        }
        Some(carried)
    }

    pub(super) fn vote(
        &mut self,
        scene: &mut Scene,
        sender: PublicKey,
        number: u64,
    ) -> Option<Counted> {
        let voter = self.admin_of(sender)?;
        let mut motion = self.motions.open.get(&number)?.clone();
        if scene.time > motion.expires {
            return None;
        }
        let is_new = motion.votes.insert(voter);
        // Its own change must not drop it while it is made.
        let before = self.motions.open.remove(&number);
        let counted = self.count_votes(scene, &motion);
        match counted {
            None => self.motions.open.extend(before.map(|motion| (number, motion))),
            Some(Counted::TooFew) => {
                self.motions.open.insert(number, motion);
            }
            Some(Counted::Carried(_)) => {}
        }
        counted.filter(|counted| is_new || matches!(counted, Counted::Carried(_)))
    }

    /// Carries a motion out if there are enough votes; none when that is refused.
    fn count_votes(&mut self, scene: &mut Scene, motion: &Open) -> Option<Counted> {
        let voters: Vec<&String> =
            self.seats.iter().filter(|(_, s)| !s.is_closed()).map(|(n, _)| n).collect();
        let policy = &self.motions.policy;
        let threshold = match &motion.change {
            _ if motion.is_forced => policy.policy,
            Change::AddOrg { power, .. } if power.0 > 1 => policy.add.max(policy.power),
            Change::AddOrg { .. } => policy.add,
            Change::RemoveOrg { .. } => policy.remove,
            Change::SuspendOrg { .. } => policy.suspend,
            Change::RestoreOrg { .. } => policy.restore,
            Change::SetPower { .. } => policy.power,
            Change::ReplaceAdminKey { .. } => policy.admin_key,
            Change::SetParameters(_) => policy.parameters,
            Change::SetPolicy(_) => policy.policy,
        };
        let is_about_one =
            motion.change.about().is_some_and(|name| voters.iter().any(|v| *v == name.as_str()));
        let votes = voters.iter().filter(|name| motion.votes.contains(**name)).count() as u64;
        if votes < takes(threshold, voters.len() as u64, is_about_one) {
            return Some(Counted::TooFew);
        }
        if !self.may_be(scene, &motion.change, motion.is_forced) {
            return None;
        }
        self.carry(scene, &motion.change)
    }

    /// Whether a key has no role and may have one.
    pub(super) fn is_free(&self, key: &PublicKey) -> bool {
        let has_role = self.seats.values().any(|seat| seat.admin == *key && !seat.is_removed())
            || self.members.contains_key(key)
            || self.seats.values().any(|seat| seat.shelved.contains(key))
            || self.motions.is_user(key);
        !has_role && !self.barred.contains(key) && key.check().is_ok()
    }

    /// An organisation replaces its admin key: what it moved and voted for stays.
    pub(super) fn set_admin_key(&mut self, sender: PublicKey, key: PublicKey) -> Option<()> {
        let name = self.admin_of(sender)?;
        if !self.is_free(&key) {
            return None;
        }
        self.seats.get_mut(&name)?.admin = key;
        self.changes.admin_keys += 1;
        Some(())
    }

    /// Whether a change can be made, and leaves a quorum online unless it is forced.
    fn may_be(&self, scene: &Scene, change: &Change, is_forced: bool) -> bool {
        let seat = |name: &tandem_chain::types::OrgName| {
            self.seats.get(name.as_str()).filter(|seat| !seat.is_removed())
        };
        match change {
            Change::AddOrg { name, admin_key, power } => {
                let owns = self.motions.data_sets.values().any(|owner| owner == name.as_str());
                let is_new = !self.seats.contains_key(name.as_str());
                is_new
                    && !owns
                    && self.seats.len() < MAX_ORGS
                    && self.is_free(admin_key)
                    && power.0 > 0
            }
            Change::RestoreOrg { name } => seat(name).is_some_and(Seat::is_closed),
            Change::ReplaceAdminKey { name, key } => seat(name).is_some() && self.is_free(key),
            Change::SetParameters(parameters) => parameters.faults().is_empty(),
            Change::SetPolicy(policy) => policy.faults().is_empty(),
            Change::RemoveOrg { name } => {
                seat(name).is_some() && self.stays_up(scene, name.as_str(), 0, is_forced)
            }
            Change::SuspendOrg { name } => {
                seat(name).is_some_and(|seat| !seat.is_closed())
                    && self.stays_up(scene, name.as_str(), 0, is_forced)
            }
            Change::SetPower { name, power } => {
                seat(name).is_some_and(|seat| seat.power != power.0)
                    && power.0 > 0
                    && self.stays_up(scene, name.as_str(), power.0, is_forced)
            }
        }
    }

    /// Whether the chain goes on with a seat of another power; without it where that is 0.
    fn stays_up(&self, scene: &Scene, name: &str, power: u64, is_forced: bool) -> bool {
        let (mut total, mut online) = (0, 0);
        for (other, seat) in &self.seats {
            let Some(holder) = seat.holder else { continue };
            let power = if other == name { power } else { seat.power };
            total += power;
            online += if (scene.is_alive)(&holder) || !scene.has_record { power } else { 0 };
        }
        let others = self.seats.iter().filter(|(other, seat)| *other != name && !seat.is_closed());
        let is_voted_on = power > 0 || others.count() > 0;
        let is_over = power == 0 && total == 0;
        is_voted_on && !is_over && (is_forced || 3 * online > 2 * total)
    }

    /// Makes a change: none when a seat changes for the second time in a block.
    fn carry(&mut self, scene: &mut Scene, change: &Change) -> Option<Counted> {
        let k = scene.k;
        let is_first = |name: &str| self.seats.get(name).is_some_and(|s| s.effective != k + 2);
        match change {
            Change::AddOrg { name, admin_key, power } => {
                let term = self.motions.past_terms.remove(name.as_str()).unwrap_or(0);
                let seat = Seat::vacant(*admin_key, power.0, term, k + 2);
                self.seats.insert(name.to_string(), seat);
                self.changes.joined += 1;
            }
            Change::RemoveOrg { name } | Change::SuspendOrg { name } => {
                self.close(scene, name.as_str(), matches!(change, Change::RemoveOrg { .. }));
            }
            Change::RestoreOrg { name } => {
                if !is_first(name.as_str()) {
                    return None;
                }
                let seat = self.seats.get_mut(name.as_str())?;
                (seat.standing, seat.joining) = (Standing::Member, true);
                (seat.effective, seat.count) = (k + 2, 0);
                let nodes = std::mem::take(&mut seat.shelved);
                self.members.extend(nodes.into_iter().map(|key| (key, name.to_string())));
                self.changes.restored += 1;
            }
            Change::SetPower { name, power } => {
                let seat = self.seats.get_mut(name.as_str())?;
                (seat.power, seat.effective, seat.count) = (power.0, k + 2, 0);
                self.changes.powers += 1;
            }
            Change::ReplaceAdminKey { name, key } => {
                self.seats.get_mut(name.as_str())?.admin = *key;
                self.motions.forget_will_of(name.as_str());
                self.changes.admin_keys += 1;
            }
            Change::SetPolicy(policy) => {
                self.motions.policy = policy.clone();
                self.motions.drop_kind(change);
                self.changes.policies += 1;
            }
            Change::SetParameters(parameters) => {
                self.motions.drop_kind(change);
                self.changes.parameters += 1;
                return Some(Counted::Carried(Some(parameters.clone())));
            }
        }
        Some(Counted::Carried(None))
    }

    /// An organisation is suspended or removed. The holder of the next height alone stays reachable
    /// for a block.
    fn close(&mut self, scene: &mut Scene, name: &str, is_removed: bool) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        let last = scene.next.get(name).map(|seat| seat.holder);
        if seat.holder.is_some() {
            scene.moved.push(seat.give(scene.k, name, None, Reason::Membership));
        }
        seat.leaving = last;
        (seat.effective, seat.count) = (scene.k + 2, 0);
        seat.standing = if is_removed { Standing::Removed } else { Standing::Suspended };
        let of_org = self.members.iter().filter(|(key, org)| *org == name && last != Some(**key));
        let of_org: Vec<PublicKey> = of_org.map(|(key, _)| *key).collect();
        for key in &of_org {
            self.members.remove(key);
        }
        if !is_removed {
            seat.shelved.extend(of_org);
            self.changes.suspended += 1;
            return;
        }
        seat.shelved.clear();
        seat.pair.clear();
        self.motions.users.retain(|_, org| org != name);
        let is_about =
            |motion: &Open| motion.change.about().is_some_and(|about| about.as_str() == name);
        self.motions.open.retain(|_, motion| !is_about(motion));
        self.motions.forget_will_of(name);
        self.changes.left += 1;
        if last.is_none() {
            self.forget(name);
        }
    }

    /// An organisation that was removed is no more.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(seat) = self.seats.remove(name) {
            self.motions.past_terms.insert(name.to_owned(), seat.term);
        }
    }

    /// The organisation of a user, while it may send.
    pub(super) fn user_org(&self, user: &PublicKey) -> Option<&String> {
        let org = self.motions.users.get(user)?;
        self.seats.get(org).is_some_and(|seat| !seat.is_closed()).then_some(org)
    }

    /// A data set is created, by whoever is first.
    pub(super) fn record_call(&mut self, sender: PublicKey, call: &records::Call) {
        let records::Call::Create { data_set } = call else { return };
        if let Some(org) = self.user_org(&sender).cloned() {
            self.motions.data_sets.entry(data_set.to_string()).or_insert(org);
        }
    }
}
