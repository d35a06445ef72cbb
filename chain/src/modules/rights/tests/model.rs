//! Rights as a plain model says what they are: a list of grants to those who were there, each place
//! with a number of its own, and ranges as numbers of keys.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{done, set};
use crate::ledger::state::State;
use crate::ledger::tests::kit::*;
use crate::limits::MAX_GRANTS_PER_GRANTEE;
use crate::modules::consortium::{self, Change, UserRole};
use crate::modules::rights::check::{self, Owned};
use crate::modules::rights::{Grantee, Range, Right, grants, reach};
use crate::types::Power;

/// Keys k0 to k5, of which ranges are from one and before another, or before 6: the end.
const KEYS: u8 = 6;
const USERS: [&str; 3] = ["a-x", "b-x", "b-y"];
const SENDERS: [&str; 8] = ["a-admin", "a-x", "a1", "b-admin", "b-x", "b-y", "c-admin", "c-user"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Grant {
        by: usize,
        to: usize,
        range: (u8, u8),
        right: Right,
    },
    Revoke {
        by: usize,
        which: usize,
    },
    Add(usize, UserRole),
    Remove(usize),
    SetRole(usize, UserRole),
    /// Organisation b leaves, or comes back.
    TurnB,
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..KEYS, 1..=KEYS).prop_map(|(i, j)| (i.min(j - 1), j.max(i + 1)));
    let role = || prop::sample::select(UserRole::ALL.to_vec());
    let right = prop::sample::select(Right::ALL.to_vec());
    let by = || 0..SENDERS.len();
    let user = || 0..USERS.len();
    prop_oneof![
        6 => (by(), 0..GRANTEES, range(), right)
            .prop_map(|(by, to, range, right)| Step::Grant { by, to, range, right }),
        2 => (by(), any::<usize>()).prop_map(|(by, which)| Step::Revoke { by, which }),
        2 => (user(), role()).prop_map(|(user, role)| Step::Add(user, role)),
        1 => user().prop_map(Step::Remove),
        1 => (user(), role()).prop_map(|(user, role)| Step::SetRole(user, role)),
        1 => Just(Step::TurnB),
    ]
}

/// All members, organisations a to c, and the users.
const GRANTEES: usize = 4 + USERS.len();

fn grantee(to: usize) -> Grantee {
    match to {
        0 => Grantee::Members,
        1..=3 => to_org(["a", "b", "c"][to - 1]),
        _ => to_user(USERS[to - 4]),
    }
}

fn range((i, j): (u8, u8)) -> Range {
    let at = |n: u8| format!("k{n}").into_bytes();
    let from = if i == 0 { Vec::new() } else { at(i) };
    Range { from, until: if j == KEYS { Vec::new() } else { at(j) } }
}

/// A grant: to whom, to which of those who had that name, from and before which keys.
#[derive(Clone, Debug)]
struct Given {
    to: usize,
    place: u64,
    range: (u8, u8),
    right: Right,
}

struct Model {
    places: u64,
    /// The place of each grantee that there is.
    there: BTreeMap<usize, u64>,
    roles: BTreeMap<&'static str, UserRole>,
    given: Vec<Given>,
}

impl Model {
    /// Organisation a has created the data set.
    fn new() -> Self {
        let there = (0..4).map(|to| (to, 0)).collect();
        let given = vec![Given { to: 1, place: 0, range: (0, KEYS), right: Right::Write }];
        Self { places: 0, there, roles: BTreeMap::from([("c-user", UserRole::Writer)]), given }
    }

    fn is_there(&self, name: &str) -> bool {
        let is_member = self.there.contains_key(&org_of(name));
        let is_user = !name.ends_with("admin") && name != "a1";
        is_member && (!is_user || self.roles.contains_key(name))
    }

    /// Whether a key has a right on all keys of a range.
    fn has(&self, name: &str, right: Right, (i, j): (u8, u8)) -> bool {
        let role = self.roles.get(name);
        let (most, own) = match role {
            Some(UserRole::Admin) => (Some(Right::Admin), Some(Right::Admin)),
            Some(UserRole::Operator) => (None, None),
            Some(UserRole::Writer) => (Some(Right::Write), None),
            Some(UserRole::Reader) => (Some(Right::Read), None),
            Some(UserRole::Auditor) => (Some(Right::Read), Some(Right::Read)),
            None if name == "a1" => (Some(Right::Write), None),
            None => (Some(Right::Admin), Some(Right::Admin)),
        };
        let names = [Some(0), Some(org_of(name)), user_of(name)];
        let is_granted = self.given.iter().any(|given| {
            names.contains(&Some(given.to))
                && self.there.get(&given.to) == Some(&given.place)
                && given.right >= right
                && given.range.0 <= i
                && j <= given.range.1
        });
        let is_own = org_of(name) == 1 && own >= Some(right);
        most >= Some(right) && (is_own || is_granted)
    }

    fn may_grant(&self, name: &str, right: Right, range: (u8, u8)) -> bool {
        let is_admin = name.ends_with("admin") || self.roles.get(name) == Some(&UserRole::Admin);
        let is_owner = org_of(name) == 1 && is_admin;
        is_owner || (right < Right::Admin && self.has(name, Right::Admin, range))
    }

    /// Does what a step does to the model; whether it can be done.
    fn grant(&mut self, by: &str, to: usize, range: (u8, u8), right: Right) -> bool {
        let Some(place) = self.there.get(&to).copied() else { return false };
        let is_old = |given: &&Given| given.to == to && given.place == place;
        let of_grantee: Vec<_> = self.given.iter().filter(is_old).cloned().collect();
        let same = of_grantee.iter().find(|given| given.range == range);
        let count = of_grantee.len() + usize::from(same.is_none());
        let may = self.may_grant(by, right, range)
            && same.is_none_or(|same| self.may_grant(by, same.right, range));
        if !may || count > MAX_GRANTS_PER_GRANTEE {
            return false;
        }
        self.given.retain(|g| g.to != to || (g.place == place && g.range != range));
        self.given.push(Given { to, place, range, right });
        true
    }

    fn arrive(&mut self, to: usize) {
        self.places += 1;
        self.there.insert(to, self.places);
    }
}

/// The grantee that is a name's organisation, that one of users.
fn org_of(name: &str) -> usize {
    1 + usize::from(name.as_bytes()[0] - b'a')
}

fn user_of(name: &str) -> Option<usize> {
    USERS.iter().position(|user| *user == name).map(|at| 4 + at)
}

fn play(chain: &mut Chain, model: &mut Model, step: Step) {
    let admin_of = |user: usize| format!("{}-admin", &USERS[user][..1]);
    let (sender, call, is_done) = match step {
        Step::Grant { by, to, range: keys, right } => {
            let by = SENDERS[by];
            let is_done = model.is_there(by) && model.grant(by, to, keys, right);
            (by.to_owned(), grant("set", &grantee(to), &range(keys), right), is_done)
        }
        Step::Revoke { by, which } => {
            if model.given.is_empty() {
                return;
            }
            let (by, at) = (SENDERS[by], which % model.given.len());
            let given = model.given[at].clone();
            let is_done = model.is_there(by) && model.may_grant(by, given.right, given.range);
            if is_done {
                model.given.remove(at);
            }
            (by.to_owned(), revoke("set", &grantee(given.to), &range(given.range)), is_done)
        }
        Step::Add(user, role) => {
            let is_done = model.is_there(&admin_of(user)) && !model.roles.contains_key(USERS[user]);
            if is_done {
                model.roles.insert(USERS[user], role);
                model.arrive(4 + user);
            }
            (admin_of(user), add_user(&USERS[user][..1], USERS[user], role), is_done)
        }
        Step::Remove(user) => {
            model.there.remove(&(4 + user));
            let is_done = model.roles.remove(USERS[user]).is_some();
            (admin_of(user), remove_user(USERS[user]), is_done)
        }
        Step::SetRole(user, role) => {
            let old = model.roles.get_mut(USERS[user]);
            let is_done = old.is_some_and(|old| std::mem::replace(old, role) != role);
            (admin_of(user), set_role(USERS[user], role), is_done)
        }
        Step::TurnB => {
            let name = org("b");
            if model.there.remove(&2).is_some() {
                model.there.retain(|to, _| *to != 5 && *to != 6);
                model.roles.retain(|user, _| !user.starts_with('b'));
                let admins = ["a-admin", "c-admin", "d-admin"];
                chain.carry(Change::RemoveOrg { name }, &admins, Next::default());
            } else {
                model.arrive(2);
                let change = Change::AddOrg { name, admin_key: key("b-admin"), power: Power(1) };
                chain.carry(change, &["a-admin", "c-admin"], Next::default());
            }
            chain.run(&Next::default());
            return;
        }
    };
    let receipt = chain.send(&sender, call);
    assert_eq!(receipt.is_ok(), is_done, "{step:?}: {receipt:?}");
}

fn compare(chain: &Chain, model: &Model) {
    let (data_set, owner) = (&set("set"), &org("a"));
    let state = &mut State::new(chain.store());
    for name in SENDERS {
        let who = consortium::sender(state, &key(name));
        assert_eq!(who.is_ok(), model.is_there(name), "{name}");
        let Ok(who) = who else { continue };
        let reach = reach(chain.store(), &key(name), data_set).unwrap();
        for k in 0..KEYS {
            let record = format!("k{k}").into_bytes();
            let only = Range::only(&record);
            for right in Right::ALL {
                let of = Owned { data_set, owner };
                let has = check::has(state, &who, of, right, &only).unwrap();
                assert_eq!(has, model.has(name, right, (k, k + 1)), "{name}, {right} on k{k}");
            }
            assert_eq!(reach.contains(&record), model.has(name, Right::Read, (k, k + 1)), "{name}");
        }
    }
    let listed = grants(chain.store(), data_set, None, usize::MAX).unwrap();
    let is_void = |given: &&Given| model.there.get(&given.to) != Some(&given.place);
    let void = model.given.iter().filter(is_void).count();
    assert_eq!(listed.len(), model.given.len());
    assert_eq!(listed.iter().filter(|granted| granted.is_void).count(), void);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rights_are_those_of_the_model_whatever_happens(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut chain = Chain::new();
        chain.is_checked = false;
        chain.run(&Next::default());
        done(&mut chain, "a-admin", create("set"));
        let mut model = Model::new();
        for step in steps {
            play(&mut chain, &mut model, step);
            compare(&chain, &model);
        }
        chain.is_checked = true;
        chain.run(&Next::default());
    }
}
