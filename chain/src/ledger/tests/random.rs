//! Random blocks: what must hold whatever happens. The kit compares a restarted ledger and the
//! state commitment from scratch after every block.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::kit::*;
use crate::keys::PublicKey;
use crate::ledger::{Ledger, may_send};
use crate::modules::consortium::{self, InvitedAs, KeyRole};
use crate::modules::{Call, standby};

/// One thing to do; numbers choose among few names, so that calls meet.
type Step = (u8, u8, u8, u8);
/// A block to be made: its calls, the nodes that are dead, and who signed twice how far back.
type Planned = (Vec<Step>, Vec<u8>, Option<(u8, u8)>);

fn letter(number: u8) -> &'static str {
    ["a", "b", "c", "d"][usize::from(number % 4)]
}

fn call(chain: &mut Chain, (kind, one, two, three): Step) -> (String, Call) {
    let org_name = letter(one);
    let node = format!("{}{}", letter(if three < 200 { one } else { three }), 1 + two % 6);
    let admin = format!("{org_name}-admin");
    // At times a node's key, that it may come to be a user's.
    let user =
        if two >= 200 { node.clone() } else { format!("{}-user-{}", letter(three), two % 3) };
    let expected = [None, Some(0), Some(1), Some(2)][usize::from(three % 4)];
    let data_set = format!("set-{}", two % 2);
    let record = format!("k{}", three % 5);
    match kind % 14 {
        0 => (admin, register(org_name, &node, two % 2 == 0)),
        1 => (admin, remove(&node)),
        2 => (admin, set_partner(&node)),
        3 => (node, Call::Consortium(consortium::Call::SetAddresses { addresses: vec![] })),
        4 => (admin, Call::Consortium(consortium::Call::AddUser { user: key(&user) })),
        5 => (admin, Call::Consortium(consortium::Call::RemoveUser { user: key(&user) })),
        6..=8 => {
            let term = chain.seat(org_name).term.0;
            (admin, switch(org_name, &node, term))
        }
        9 if three % 2 == 0 => {
            let part = match two % 3 {
                0 => InvitedAs::Standby,
                1 => InvitedAs::Observer,
                _ => InvitedAs::Replacement { lost: key(&format!("{org_name}{}", 1 + three % 6)) },
            };
            let until = chain.height() + u64::from(three % 16);
            (node, invited(&invitation(org_name, three % 5, part, until)))
        }
        9 => (user, create(&data_set)),
        10 => (admin, create(&data_set)),
        11 | 12 => (admin, put(&data_set, &record, &user, expected)),
        _ => (admin, delete(&data_set, &record, expected)),
    }
}

/// `barred` are the keys that were barred so far.
fn check_invariants(chain: &Chain, barred: &BTreeSet<PublicKey>) {
    for key in barred {
        let entry = consortium::key(chain.store(), key).unwrap();
        assert_eq!(entry.map(|entry| entry.role), Some(KeyRole::Barred), "for ever");
        assert_eq!(may_send(chain.store(), key).unwrap(), None);
    }
    let tip = chain.ledger.tip();
    let seats = standby::seats(chain.store()).unwrap();
    assert!(!tip.next_next_table.seats().is_empty(), "the last seat is never left out");
    for seat in &seats {
        let in_table = tip.next_next_table.seats().get(&seat.seat);
        assert_eq!(in_table.map(|s| (s.holder, s.term)), seat.holder.map(|h| (h, seat.term)));
    }
    // Whoever may sign for a height to come is registered.
    for table in [&tip.next_table, &tip.next_next_table] {
        for validator in table.validators() {
            assert_eq!(tip.register.nodes[&validator.key].org, validator.org);
        }
    }
    // Every registered node has its one role, every pair at most two nodes.
    for (node, entry) in &tip.register.nodes {
        let known = consortium::key(chain.store(), node).unwrap().unwrap();
        assert_eq!(known.org, entry.org);
        assert!(known.role == KeyRole::Node || (known.role == KeyRole::Barred && !entry.pair));
    }
    for organization in consortium::organizations(chain.store()).unwrap() {
        assert!(organization.pair.len() <= 2);
        let users = consortium::users(chain.store(), &organization.name, None, 1_000).unwrap();
        assert_eq!(users.len() as u64, organization.users);
        for user in users {
            assert_eq!(may_send(chain.store(), &user).unwrap(), Some(organization.name.clone()));
        }
    }
    // Terms rise by one with each switch.
    let history = standby::history(chain.store(), 0, 1_000).unwrap();
    for seat in &seats {
        let of_seat = history.iter().rev().filter(|switch| switch.seat == seat.seat);
        let terms: Vec<u64> = of_seat.map(|switch| switch.term.0).collect();
        assert_eq!(terms, (1..=seat.term.0).collect::<Vec<_>>());
    }
}

fn play(chain: &mut Chain, blocks: &[Planned]) {
    let mut barred = BTreeSet::new();
    for (steps, dead, evidence) in blocks {
        let mut next = Next::default();
        for step in steps {
            let (sender, call) = call(chain, *step);
            next = next.tx(chain.tx(&sender, call));
        }
        next.dead = dead.iter().map(|n| format!("{}{}", letter(*n), 1 + n / 4 % 6)).collect();
        if let Some((node, back)) = evidence {
            let name = format!("{}{}", letter(*node), 1 + node / 4 % 6);
            let height = chain.height().saturating_sub(u64::from(back % 8));
            next.evidence.extend(chain.evidence(&name, height));
        }
        barred.extend(next.evidence.iter().map(|evidence| evidence.key));
        chain.run(&next);
        check_invariants(chain, &barred);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_blocks_keep_the_invariants(
        blocks in prop::collection::vec(
            (
                prop::collection::vec(any::<Step>(), 0..6),
                prop::collection::vec(any::<u8>(), 0..8),
                prop::option::weighted(0.2, any::<(u8, u8)>()),
            ),
            1..40,
        ),
    ) {
        let mut chain = Chain::new();
        play(&mut chain, &blocks);
        // Played again it gives the same state, whatever was restarted in between.
        let mut again = Chain::new();
        again.is_checked = false;
        for half in blocks.chunks(blocks.len().div_ceil(2)) {
            play(&mut again, half);
            let store = again.store().clone();
            again.ledger = Ledger::open(store, &again.genesis).unwrap();
        }
        prop_assert_eq!(again.store(), chain.store());
    }

    /// A dead partner and a run that is cut by anything never lead to a switch; see the module's
    /// own tests for the rule itself. Here: no seat ever goes to a node that is not of its
    /// organisation's pair.
    #[test]
    fn seats_stay_in_their_pairs(dead in prop::collection::vec(any::<u8>(), 20..60)) {
        let mut chain = Chain::new();
        chain.is_checked = false;
        let mut held = BTreeSet::new();
        for bits in dead {
            let names = ["a1", "a2", "b1", "b2"].iter().enumerate();
            let dead: Vec<&str> =
                names.filter(|(i, _)| bits >> i & 1 == 1).map(|(_, name)| *name).collect();
            chain.run_many(3, &super::kit::dead(&dead));
            held.extend(chain.holders().split(' ').map(|holder| holder[..2].to_owned()));
        }
        let allowed = ["a1", "a2", "b1", "b2", "c1", "d1"];
        prop_assert!(held.iter().all(|name| allowed.contains(&name.as_str())), "{held:?}");
    }
}
