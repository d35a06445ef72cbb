mod closed;
mod motions;
mod paper;
mod taken;

use crate::keys::{PublicKey, Signature};
use crate::ledger::state::State;
use crate::ledger::tests::kit::*;
use crate::limits::{MAX_NODES_PER_ORG, MAX_USERS_PER_ORG};
use crate::modules::Call;
use crate::modules::consortium::state::{delete_key, key_entry, put_key};
use crate::modules::consortium::{
    self, KeyEntry, KeyRole, User, UserRole, organization, organizations, registration_proof, user,
    users,
};
use crate::store::MemoryStore;
use crate::types::Height;

fn call(call: consortium::Call) -> Call {
    Call::Consortium(call)
}

fn set_addresses(addresses: &[&str]) -> Call {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    call(consortium::Call::SetAddresses { addresses })
}

fn register_with(node: PublicKey, proof: Signature, addresses: &[&str]) -> Call {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    call(consortium::Call::RegisterNode { node, proof, pair: false, addresses })
}

#[test]
fn calls_are_checked_and_leave_nothing_when_they_fail() {
    use UserRole::{Operator, Reader, Writer};
    let chain_id = genesis().chain_id;
    let other_chain = "other".parse().unwrap();
    let proof = |org_name| registration_proof(&chain_id, &org(org_name), &secret("a4"));
    let mut weak = [0; 32];
    weak[0] = 1;
    let cases = [
        // A node is registered by the admin key, with a proof, once in the whole chain.
        ("register", "a-admin", register_with(key("a4"), proof("a"), &["/ip4/1.2.3.4/tcp/5"]), 0),
        ("without address", "a-admin", register_with(key("a4"), proof("a"), &[]), 0),
        ("by a node", "a1", register("a", "a4", false), 12),
        ("by a user", "a-user", register("a", "a4", false), 12),
        ("proof for another", "a-admin", register_with(key("a4"), proof("b"), &[]), 2),
        ("proof by another", "a-admin", register_with(key("a5"), proof("a"), &[]), 2),
        (
            "proof for another chain",
            "a-admin",
            register_with(
                key("a4"),
                registration_proof(&other_chain, &org("a"), &secret("a4")),
                &[],
            ),
            2,
        ),
        ("weak key", "a-admin", register_with(PublicKey(weak), proof("a"), &[]), 18),
        ("bad address", "a-admin", register_with(key("a4"), proof("a"), &["/ip4/1/tcp/5"]), 1),
        ("own validator again", "a-admin", register("a", "a1", false), 11),
        ("own observer again", "a-admin", register("a", "a3", false), 11),
        ("another's node", "a-admin", register("a", "b2", false), 11),
        ("another's admin key", "a-admin", register("a", "b-admin", false), 11),
        ("another's user", "a-admin", register("a", "b-user", false), 11),
        ("a full pair", "a-admin", register("a", "a4", true), 17),
        // A node leaves when it holds no seat.
        ("remove an observer", "a-admin", remove("a3"), 0),
        ("remove a standby", "a-admin", remove("a2"), 0),
        ("remove the holder", "a-admin", remove("a1"), 17),
        ("remove another's", "a-admin", remove("b3"), 10),
        ("remove a stranger", "a-admin", remove("stranger"), 10),
        ("remove by a node", "a1", remove("a3"), 12),
        // Partners.
        ("observer as partner", "a-admin", set_partner("a3"), 0),
        ("holder as partner", "a-admin", set_partner("a1"), 17),
        ("partner as partner", "a-admin", set_partner("a2"), 17),
        ("another's as partner", "a-admin", set_partner("b3"), 10),
        ("partner by a user", "a-user", set_partner("a3"), 12),
        // Addresses are the node's own to set.
        ("addresses", "a2", set_addresses(&["/dns6/x/tcp/1"]), 0),
        ("addresses by the admin key", "a-admin", set_addresses(&[]), 12),
        ("addresses by a user", "a-user", set_addresses(&[]), 12),
        ("bad addresses", "a2", set_addresses(&["x"]), 1),
        ("too many addresses", "a2", set_addresses(&["/ip4/1.2.3.4/tcp/5"; 9]), 19),
        // Users.
        ("add a user", "a-admin", add_user("a", "new", Reader), 0),
        (
            "add a weak user",
            "a-admin",
            call(consortium::Call::AddUser {
                user: PublicKey(weak),
                role: Reader,
                proof: registration_proof(&chain_id, &org("a"), &secret("new")),
            }),
            18,
        ),
        (
            "add a key that another holds",
            "a-admin",
            call(consortium::Call::AddUser {
                user: key("new"),
                role: Reader,
                proof: registration_proof(&chain_id, &org("b"), &secret("new")),
            }),
            2,
        ),
        ("add a node as user", "a-admin", add_user("a", "a1", Writer), 11),
        ("add another's user", "a-admin", add_user("a", "b-user", Writer), 11),
        ("add a user again", "a-admin", add_user("a", "a-user", Reader), 11),
        ("add by a user", "a-user", add_user("a", "new", Writer), 12),
        ("remove a user", "a-admin", remove_user("a-user"), 0),
        ("remove another's user", "a-admin", remove_user("b-user"), 10),
        ("remove a node as user", "a-admin", remove_user("a1"), 10),
        ("remove the admin key as user", "a-admin", remove_user("a-admin"), 10),
        ("a role for another's user", "a-admin", set_role("b-user", Reader), 10),
        ("a role for a node", "a-admin", set_role("a2", Operator), 10),
        ("a role for a stranger", "a-admin", set_role("stranger", Reader), 10),
        ("the role that it has", "a-admin", set_role("a-user", Writer), 17),
    ];
    let started = Chain::new();
    for (name, sender, call, code) in cases {
        let mut chain = started.clone();
        let before = organizations(chain.store()).unwrap();
        let receipt = chain.send(sender, call);
        assert_eq!(receipt.code, code, "{name}: {receipt:?}");
        let after = organizations(chain.store()).unwrap();
        assert_eq!(after == before, code != 0, "{name}");
    }
}

#[test]
fn a_barred_key_is_never_forgotten() {
    let store = MemoryStore::default();
    let mut state = State::new(&store);
    let a1 = key("a1");
    for (role, left) in [(KeyRole::Node, None), (KeyRole::Barred, Some(KeyRole::Barred))] {
        put_key(&mut state, &a1, &org("a"), role);
        delete_key(&mut state, &a1).unwrap();
        let entry = key_entry(&mut state, &a1).unwrap();
        assert_eq!(entry.map(|entry| entry.role), left);
    }
}

#[test]
fn a_register_s_changes_are_seen_in_roles_pairs_and_keys() {
    let mut chain = Chain::new();
    let role = |chain: &Chain, name: &str| {
        consortium::key(chain.store(), &key(name)).unwrap().map(|entry| entry.role)
    };
    let receipt = chain.send("a-admin", set_partner("a3"));
    assert_eq!(number(&receipt.data), 3);
    let names = |nodes: &std::collections::BTreeMap<PublicKey, consortium::Node>| {
        let all = ["a1", "a2", "a3", "a4"].into_iter();
        all.filter(|name| nodes.contains_key(&key(name))).collect::<Vec<_>>().join(" ")
    };
    let of_a = |chain: &Chain| {
        let org = organization(chain.store(), &org("a")).unwrap().unwrap();
        (names(&org.pair), names(&org.observers))
    };
    let expect = |pair: &str, observers: &str| (pair.to_owned(), observers.to_owned());
    assert_eq!(of_a(&chain), expect("a1 a3", "a2"));
    assert_eq!(chain.seat("a").partner, Some(key("a3")));
    assert!(chain.send("a-admin", remove("a3")).is_ok());
    assert_eq!(of_a(&chain), expect("a1", "a2"));
    assert_eq!((chain.seat("a").partner, role(&chain, "a3")), (None, None));
    // What has left may come back, to another organisation too.
    assert!(chain.send("b-admin", register("b", "a3", false)).is_ok());
    assert_eq!(
        consortium::key(chain.store(), &key("a3")).unwrap(),
        Some(KeyEntry { org: org("b"), role: KeyRole::Node })
    );
    let receipt = chain.send("a-admin", register("a", "a4", true));
    assert_eq!(number(&receipt.data), chain.height() + 2);
    assert_eq!(of_a(&chain), expect("a1 a4", "a2"));
    let kinds: Vec<_> = receipt.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["node_registered", "pair_changed"]);
    assert!(chain.send("a4", set_addresses(&["/ip4/9.9.9.9/tcp/9"])).is_ok());
    assert_eq!(chain.ledger.tip().register.nodes[&key("a4")].addresses, ["/ip4/9.9.9.9/tcp/9"]);
    assert_eq!(organization(chain.store(), &org("x")).unwrap(), None);
}

#[test]
fn a_key_is_rotated_by_registration_and_a_planned_switch() {
    let mut chain = Chain::new();
    assert!(chain.send("a-admin", remove("a2")).is_ok());
    assert!(chain.send("a-admin", register("a", "a4", true)).is_ok());
    // The record of the next block has no bit for the node yet.
    assert_eq!(chain.send("a-admin", switch("a", "a4", 0)).code, 15);
    assert!(chain.send("a-admin", switch("a", "a4", 0)).is_ok());
    // The old one still holds the seat in the next block, for which it signs.
    assert_eq!(chain.holder_at("a", chain.height() + 1).unwrap(), "a1");
    let tx = chain.tx("a-admin", remove("a1"));
    assert!(chain.run(&Next::default().tx(tx)).receipts[1].is_ok());
    assert_eq!(chain.holders(), "a4/1 b1/0 c1/0 d1/0");
}

#[test]
fn a_node_that_signs_for_the_next_height_is_not_removed() {
    let mut chain = Chain::new();
    chain.run(&Next::default());
    let first = chain.tx("a-admin", switch("a", "a2", 0));
    let second = chain.tx("a-admin", remove("a1"));
    let receipts = chain.run(&Next::default().tx(first).tx(second)).receipts;
    assert_eq!((receipts[1].code, receipts[2].code), (0, 17));
}

#[test]
fn nodes_and_users_of_an_organisation_are_bounded() {
    let mut chain = Chain::new();
    chain.is_checked = false;
    for i in 4..=MAX_NODES_PER_ORG {
        assert!(chain.send("a-admin", register("a", &format!("a{i}"), false)).is_ok());
    }
    assert_eq!(chain.send("a-admin", register("a", "one-more", false)).code, 19);
    assert!(chain.send("b-admin", register("b", "one-more", false)).is_ok());

    let mut next = Next::default();
    for i in 1..=MAX_USERS_PER_ORG {
        next = next.tx(chain.tx("a-admin", add_user("a", &format!("user-{i}"), UserRole::Writer)));
    }
    let receipts = chain.run(&next).receipts;
    let (last, rest) = receipts.split_last().unwrap();
    assert!(rest.iter().all(crate::ledger::Receipt::is_ok));
    assert_eq!(last.code, 19, "one user is of genesis");
    let count = organization(chain.store(), &org("a")).unwrap().unwrap().users;
    assert_eq!(count, MAX_USERS_PER_ORG as u64);
    assert!(chain.send("a-admin", remove_user("user-7")).is_ok());
    assert!(chain.send("a-admin", add_user("a", "another", UserRole::Reader)).is_ok());

    let all = users(chain.store(), &org("a"), None, usize::MAX).unwrap();
    assert_eq!(all.len(), MAX_USERS_PER_ORG);
    let of = |name: &str| all.iter().find(|(found, _)| *found == key(name)).map(|(_, user)| *user);
    let since = Height(chain.height());
    assert_eq!(of("another"), Some(User { role: UserRole::Reader, since }));
    assert_eq!(of("user-7"), None);
    let first = users(chain.store(), &org("a"), None, 10).unwrap();
    let second = users(chain.store(), &org("a"), first.last().map(|(key, _)| key), 5).unwrap();
    assert_eq!([first, second].concat(), all[..15]);
    let of_genesis = User { role: UserRole::Writer, since: Height(0) };
    assert_eq!(users(chain.store(), &org("b"), None, 9).unwrap(), [(key("b-user"), of_genesis)]);
    chain.is_checked = true;
    chain.run(&Next::default());
}

#[test]
fn a_user_s_role_is_changed_by_who_may_give_both() {
    use UserRole::{Admin, Auditor, Operator, Reader, Writer};
    let mut chain = Chain::new();
    let mut role_of = {
        let mut since = None;
        move |chain: &Chain, name: &str| {
            let user = user(chain.store(), &org("a"), &key(name)).unwrap()?;
            assert_eq!(*since.get_or_insert(user.since), user.since, "that of its registration");
            Some(user.role)
        }
    };
    assert!(chain.send("a-admin", add_user("a", "boss", Admin)).is_ok());
    let receipt = chain.send("boss", add_user("a", "u", Reader));
    assert!(receipt.is_ok());
    assert_eq!(receipt.events[0].kind, "user_added");
    assert_eq!(receipt.events[0].attribute("role"), Some("reader"));
    // Sender, role that is to be, code, role that is.
    for (sender, role, code, is) in [
        ("boss", Auditor, 0, Auditor),
        ("boss", Operator, 12, Auditor),
        ("boss", Admin, 12, Auditor),
        ("u", Writer, 12, Auditor),
        ("a-user", Writer, 12, Auditor),
        ("b-admin", Writer, 10, Auditor),
        ("a-admin", Operator, 0, Operator),
        ("boss", Writer, 12, Operator),
        ("a-admin", Admin, 0, Admin),
        ("u", Reader, 12, Admin),
        ("boss", Reader, 12, Admin),
        ("a-admin", Reader, 0, Reader),
        ("boss", Writer, 0, Writer),
    ] {
        let receipt = chain.send(sender, set_role("u", role));
        assert_eq!(receipt.code, code, "{sender}, {role}: {receipt:?}");
        assert_eq!(role_of(&chain, "u"), Some(is), "{sender}, {role}");
    }
    assert_eq!(chain.send("boss", remove_user("boss")).code, 12);
    assert_eq!(chain.send("a-user", remove_user("u")).code, 12);
    assert!(chain.send("boss", remove_user("u")).is_ok());
    assert_eq!(role_of(&chain, "u"), None);
}
