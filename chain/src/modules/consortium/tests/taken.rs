//! Names, keys and addresses that somebody has already: who has them is told, and nothing changes.

use super::closed::{done, started};
use super::motions::{add, remove_org, suspend};
use super::*;
use crate::ledger::Receipt;
use crate::modules::consortium::{Change, InvitedAs};
use crate::types::Power;

/// A registration by the organisation's admin key, of the node at these addresses.
fn register_at(org_name: &str, node: &str, addresses: &[String]) -> Call {
    let proof = registration_proof(&genesis().chain_id, &org(org_name), &secret(node));
    let addresses = addresses.to_vec();
    call(consortium::Call::RegisterNode { node: key(node), proof, pair: false, addresses })
}

/// A registration of the node `new` by an invitation of `a`.
fn join_at(part: InvitedAs, addresses: &[String]) -> Call {
    let it = invitation("a", 1, part, 99);
    let (claim, addresses) = (claim("new", &it), addresses.to_vec());
    call(consortium::Call::RegisterInvited { invitation: it, claim, addresses })
}

fn move_to(addresses: &[String]) -> Call {
    call(consortium::Call::SetAddresses { addresses: addresses.to_vec() })
}

fn set_admin_key(of: &str, admin: &str) -> Call {
    let proof = registration_proof(&genesis().chain_id, &org(of), &secret(admin));
    call(consortium::Call::SetAdminKey { key: key(admin), proof })
}

#[test]
fn who_has_a_name_or_key_is_told_and_nothing_changes() {
    let org_with =
        |admin: &str| Change::AddOrg { name: org("e"), admin_key: key(admin), power: Power(1) };
    let replaced = Change::ReplaceAdminKey { name: org("b"), key: key("c-user") };
    let invited = |node| invited(node, &invitation("a", 1, InvitedAs::Observer, 99));
    let cases = [
        ("a member's name", "a-admin", propose(add("b")), "organisation b exists already"),
        (
            "an admin key for a member",
            "a-admin",
            propose(org_with("c-admin")),
            "the admin key of c",
        ),
        ("a node's for a member", "a-admin", propose(org_with("b1")), "a node of b"),
        ("a user's for a member", "a-admin", propose(org_with("d-user")), "a user of d"),
        ("a user's as another's", "a-admin", propose(replaced), "a user of c"),
        ("a node's as the own admin key", "a-admin", set_admin_key("a", "a2"), "a node of a"),
        ("the own node", "a-admin", register("a", "a1", false), "a node of a"),
        ("another's node", "a-admin", register("a", "b2", false), "a node of b"),
        ("another's admin key", "a-admin", register("a", "b-admin", false), "the admin key of b"),
        ("another's user", "a-admin", register("a", "b-user", false), "a user of b"),
        ("the own node, invited", "a3", invited("a3"), "a node of a"),
        ("another's node, invited", "b3", invited("b3"), "a node of b"),
        ("a node as user", "a-admin", add_user("a", "a1", UserRole::Writer), "a node of a"),
        ("a user again", "a-admin", add_user("a", "a-user", UserRole::Reader), "a user of a"),
    ];
    let started = started();
    for (name, sender, call, words) in cases {
        let mut chain = started.clone();
        let before = organizations(chain.store()).unwrap();
        let receipt = chain.send(sender, call);
        assert_eq!(receipt.code, 11, "{name}: {receipt:?}");
        assert!(receipt.log.contains(words), "{name}: {}", receipt.log);
        let what_to_do = receipt.log.contains("make another");
        assert_eq!(what_to_do, receipt.log.starts_with("key "), "{name}: {}", receipt.log);
        assert_eq!(organizations(chain.store()).unwrap(), before, "{name}");
    }
}

#[test]
fn an_address_of_another_node_is_refused_and_says_whose_it_is() {
    let of = |names: &[&str]| names.iter().map(|name| address(name)).collect::<Vec<_>>();
    let replacement = |lost: &str| InvitedAs::Replacement { lost: key(lost) };
    let cases = [
        ("a new node at another's", "a-admin", register_at("a", "new", &of(&["b1"])), Some("b1")),
        ("at one of the own", "a-admin", register_at("a", "new", &of(&["x", "a3"])), Some("a3")),
        ("a node that moves", "a2", move_to(&of(&["x", "c3"])), Some("c3")),
        ("to its partner's", "a2", move_to(&of(&["a1"])), Some("a1")),
        ("that joins", "new", join_at(InvitedAs::Observer, &of(&["d2"])), Some("d2")),
        ("that replaces another", "new", join_at(replacement("a3"), &of(&["a2"])), Some("a2")),
        ("in the place of what it replaces", "new", join_at(replacement("a3"), &of(&["a3"])), None),
        ("its own once more", "a2", move_to(&of(&["a2", "x"])), None),
        ("nobody's", "a-admin", register_at("a", "new", &of(&["x"])), None),
    ];
    let started = started();
    for (name, sender, call, whose) in cases {
        let mut chain = started.clone();
        let before = organizations(chain.store()).unwrap();
        let receipt = chain.send(sender, call);
        let Some(node) = whose else {
            assert!(receipt.is_ok(), "{name}: {receipt:?}");
            continue;
        };
        assert_eq!(receipt.code, 11, "{name}: {receipt:?}");
        let words = format!("address {} is that of node {} of ", address(node), key(node));
        assert!(receipt.log.contains(&words), "{name}: {}", receipt.log);
        assert!(receipt.log.contains("give another, or have that node moved or removed first"));
        assert_eq!(organizations(chain.store()).unwrap(), before, "{name}");
    }
}

#[test]
fn an_address_is_free_when_its_node_has_moved_or_left() {
    let taken = |receipt: &Receipt| receipt.log.contains("is that of node");
    let mut chain = started();
    let of = |name: &str| [address(name)];
    // In one block, the second of two is refused, and takes what the first gave up.
    let calls = [
        ("a2", move_to(&of("x")), false),
        ("b2", move_to(&of("x")), true),
        ("b2", move_to(&of("a2")), false),
        ("a-admin", remove("a3"), false),
        ("c3", move_to(&of("a3")), false),
    ];
    let next = calls
        .iter()
        .fold(Next::default(), |next, (sender, call, _)| next.tx(chain.tx(sender, call.clone())));
    let receipts = chain.run(&next).receipts;
    for ((sender, _, refused), receipt) in calls.iter().zip(&receipts[1..]) {
        assert_eq!(
            (taken(receipt), receipt.is_ok()),
            (*refused, !refused),
            "{sender}: {receipt:?}"
        );
    }
    // Who is suspended comes back to its own; who is removed does not.
    for (change, refused) in [(suspend("d"), true), (remove_org("d"), false)] {
        done(&mut chain, change);
        chain.run_many(2, &Next::default());
        for node in ["d1", "d3"] {
            let receipt = chain.send("a2", move_to(&of(node)));
            assert_eq!((taken(&receipt), receipt.is_ok()), (refused, !refused), "{receipt:?}");
        }
    }
}
