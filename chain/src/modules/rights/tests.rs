mod model;
mod tables;

use super::*;
use crate::ledger::tests::kit::*;
use crate::ledger::{Receipt, may_send};
use crate::limits::{MAX_GRANTEES_PER_DATA_SET, MAX_GRANTS_PER_GRANTEE, MAX_RECORD_KEY_BYTES};
use crate::modules::consortium::{Change, UserRole};
use crate::modules::records::{self, list_within};
use crate::modules::rights::Right::{Admin, Read, Write};
use crate::types::{DataSetName, Power};

fn set(name: &str) -> DataSetName {
    name.parse().unwrap()
}

fn range(from: &str, until: &str) -> Range {
    Range { from: from.into(), until: until.into() }
}

/// A chain some blocks old in which organisation a has a user of each role: `a-boss`, `a-oper`,
/// `a-user`, `a-read` and `a-audit`.
fn started() -> Chain {
    let mut chain = Chain::new();
    chain.run(&Next::default());
    for (name, role) in [
        ("a-boss", UserRole::Admin),
        ("a-oper", UserRole::Operator),
        ("a-read", UserRole::Reader),
        ("a-audit", UserRole::Auditor),
    ] {
        assert!(chain.send("a-admin", add_user("a", name, role)).is_ok());
    }
    chain
}

/// As [`started`], with data set `set` of organisation b.
fn with_set() -> Chain {
    let mut chain = started();
    assert!(chain.send("b-user", create("set")).is_ok());
    chain
}

fn done(chain: &mut Chain, sender: &str, call: crate::modules::Call) -> Receipt {
    let receipt = chain.send(sender, call);
    assert!(receipt.is_ok(), "{sender}: {receipt:?}");
    receipt
}

fn reads(chain: &Chain, name: &str, record: &str) -> bool {
    may_read(chain.store(), &key(name), &set("set"), record.as_bytes()).unwrap()
}

/// The grants in `set`, as people would write them; those that are void in brackets.
fn listed(chain: &Chain) -> Vec<String> {
    let found = grants(chain.store(), &set("set"), None, usize::MAX).unwrap();
    let text = found.iter().map(|Granted { to, grant, is_void }| {
        let to = match to {
            Grantee::Members => "*".to_owned(),
            Grantee::Org(org) => org.to_string(),
            Grantee::User { org, .. } => format!("{org}/user"),
        };
        let text = format!("{to} {} {}", grant.range, grant.right);
        if *is_void { format!("({text})") } else { text }
    });
    text.collect()
}

#[test]
fn a_data_set_begins_with_its_owner_s_grant_and_goes_on_as_is_granted() {
    let mut chain = with_set();
    assert_eq!(listed(&chain), ["b all keys write"]);
    let prefix = Range::prefix(b"a/");
    let receipt = done(&mut chain, "b-admin", grant("set", &to_org("a"), &prefix, Write));
    let event = &receipt.events[0];
    assert_eq!(event.kind, "right_granted");
    for (name, value) in
        [("data_set", "set"), ("org", "a"), ("user", ""), ("from", "a/"), ("until", "a0")]
    {
        assert_eq!(event.attribute(name), Some(value), "{name}");
    }
    done(&mut chain, "b-admin", grant("set", &Grantee::Members, &range("x", ""), Read));
    done(&mut chain, "b-admin", grant("set", &to_user("a-read"), &range("", "b"), Read));
    let all = ["* x.. read", "a a/..a0 write", "a/user ..b read", "b all keys write"];
    assert_eq!(listed(&chain), all);
    assert!(chain.send("a-user", put("set", "a/1", "v", None)).is_ok());
    assert_eq!(chain.send("a-user", put("set", "a0", "v", None)).code, 12);
    // The same range again: in the place of what was there.
    done(&mut chain, "b-admin", grant("set", &to_org("a"), &prefix, Read));
    assert_eq!(listed(&chain)[1], "a a/..a0 read");
    let receipt = chain.send("a-user", put("set", "a/1", "v", None));
    assert_eq!(receipt.code, 12);
    assert!(receipt.log.contains("or who was granted to write this key there"), "{}", receipt.log);
    let receipt = done(&mut chain, "b-admin", revoke("set", &to_org("a"), &prefix));
    assert_eq!(receipt.events[0].kind, "right_revoked");
    assert_eq!(receipt.events[0].attribute("right"), Some("read"));
    assert!(!reads(&chain, "a-user", "a/1") && reads(&chain, "a-read", "a/1"));
}

#[test]
fn calls_are_checked_and_leave_nothing_when_they_fail() {
    let started = with_set();
    let (a, all) = (to_org("a"), Range::all());
    let long = Range::prefix(&[b'k'; MAX_RECORD_KEY_BYTES + 1]);
    let node = Grantee::User { org: org("a"), key: key("a1") };
    let of_another = Grantee::User { org: org("c"), key: key("a-read") };
    let cases = [
        ("a grant", grant("set", &a, &all, Read), 0),
        ("in no data set", grant("sett", &a, &all, Read), 10),
        ("to no organisation", grant("set", &to_org("x"), &all, Read), 10),
        ("to a stranger", grant("set", &to_user("a-new"), &all, Read), 10),
        ("to a node as a user", grant("set", &node, &all, Read), 10),
        ("to a user as another's", grant("set", &of_another, &all, Read), 10),
        ("on no key", grant("set", &a, &range("b", "b"), Read), 17),
        ("on keys backwards", grant("set", &a, &range("b", "a"), Read), 17),
        ("on longer keys than there are", grant("set", &a, &long, Read), 1),
        ("revoked", revoke("set", &to_org("b"), &all), 0),
        ("revoked in no data set", revoke("sett", &to_org("b"), &all), 10),
        ("revoked from another", revoke("set", &a, &all), 10),
        ("revoked in part", revoke("set", &to_org("b"), &range("a", "")), 10),
    ];
    for (name, call, code) in cases {
        let mut chain = started.clone();
        let receipt = chain.send("b-admin", call);
        assert_eq!(receipt.code, code, "{name}: {receipt:?}");
        assert_eq!(listed(&chain) == listed(&started), code != 0, "{name}");
    }
    let receipt = started.clone().send("b-admin", revoke("set", &a, &all));
    assert_eq!(receipt.log, "grant on all keys in set to organisation a does not exist");
}

#[test]
fn who_was_granted_admin_grants_within_that_range_what_is_less() {
    let mut chain = with_set();
    let (c, d) = (to_org("c"), to_org("d"));
    done(&mut chain, "b-admin", grant("set", &to_org("a"), &range("m", "p"), Admin));
    done(&mut chain, "b-admin", grant("set", &to_org("a"), &range("f", "m"), Admin));
    done(&mut chain, "b-admin", grant("set", &d, &range("g", "h"), Admin));
    assert_eq!(listed(&chain)[..2], ["a f..m admin", "a m..p admin"], "by range");
    let steps = [
        ("a-boss", grant("set", &c, &range("f", "m"), Write), 0),
        ("a-admin", grant("set", &c, &range("g", "h"), Read), 0),
        ("a-boss", grant("set", &c, &range("e", "g"), Read), 12),
        ("a-boss", grant("set", &c, &range("g", "n"), Read), 12),
        ("a-boss", grant("set", &c, &range("g", ""), Read), 12),
        ("a-boss", grant("set", &c, &Range::all(), Read), 12),
        ("a-boss", grant("set", &c, &range("g", "h"), Admin), 12),
        // Another's admin is the owner's to lower and to take.
        ("a-boss", grant("set", &d, &range("g", "h"), Read), 12),
        ("a-boss", revoke("set", &d, &range("g", "h")), 12),
        ("a-boss", revoke("set", &c, &range("f", "m")), 0),
        ("a-user", revoke("set", &c, &range("g", "h")), 12),
        // Nor is its own for it to keep.
        ("b-admin", revoke("set", &to_org("a"), &range("f", "m")), 0),
        ("a-boss", revoke("set", &c, &range("g", "h")), 12),
        ("a-boss", grant("set", &c, &range("m", "n"), Read), 0),
    ];
    for (i, (sender, call, code)) in steps.into_iter().enumerate() {
        let receipt = chain.send(sender, call);
        assert_eq!(receipt.code, code, "step {i}: {receipt:?}");
    }
    let left = ["a m..p admin", "b all keys write", "c g..h read", "c m..n read", "d g..h admin"];
    assert_eq!(listed(&chain), left);
}

#[test]
fn a_user_that_comes_back_has_nothing_of_what_it_had() {
    let mut chain = with_set();
    let (user, all) = (to_user("a-read"), Range::all());
    done(&mut chain, "b-admin", grant("set", &user, &all, Read));
    assert!(reads(&chain, "a-read", "k"));
    // Under another role it sleeps, and wakes with it.
    done(&mut chain, "a-admin", set_role("a-read", UserRole::Operator));
    assert!(!reads(&chain, "a-read", "k"));
    done(&mut chain, "a-admin", set_role("a-read", UserRole::Reader));
    assert!(reads(&chain, "a-read", "k"));
    done(&mut chain, "a-admin", remove_user("a-read"));
    assert_eq!(may_send(chain.store(), &key("a-read")).unwrap_err().code(), 7);
    assert_eq!(may_read(chain.store(), &key("a-read"), &set("set"), b"k").unwrap_err().code(), 7);
    assert_eq!(listed(&chain), ["(a/user all keys read)", "b all keys write"]);
    // In the block in which it comes back nothing can be granted to it.
    let back = chain.tx("a-admin", add_user("a", "a-read", UserRole::Reader));
    let too_early = chain.tx("b-admin", grant("set", &user, &all, Read));
    let receipts = chain.run(&Next::default().tx(back).tx(too_early)).receipts;
    assert_eq!((receipts[1].code, receipts[2].code), (0, 17));
    assert!(receipts[2].log.contains("came in this very block"), "{}", receipts[2].log);
    assert!(!reads(&chain, "a-read", "k"));
    assert_eq!(listed(&chain)[0], "(a/user all keys read)");
    // What is granted anew counts, and clears away what is void.
    done(&mut chain, "b-admin", grant("set", &user, &range("k", "l"), Read));
    assert!(reads(&chain, "a-read", "k") && !reads(&chain, "a-read", "l"));
    assert_eq!(listed(&chain), ["a/user k..l read", "b all keys write"]);
    // Nor does it keep what it was granted in the block in which it left and came back.
    let calls = [
        ("b-admin", grant("set", &user, &all, Read)),
        ("a-admin", remove_user("a-read")),
        ("a-admin", add_user("a", "a-read", UserRole::Reader)),
    ];
    let next =
        calls.into_iter().fold(Next::default(), |next, (by, call)| next.tx(chain.tx(by, call)));
    assert!(chain.run(&next).receipts.iter().all(Receipt::is_ok));
    assert!(!reads(&chain, "a-read", "k"));
    assert_eq!(listed(&chain)[0], "(a/user all keys read)");
    done(&mut chain, "b-admin", revoke("set", &user, &all));
    done(&mut chain, "b-admin", grant("set", &user, &range("k", "l"), Read));
    // The key may become another's: it is another user then.
    done(&mut chain, "a-admin", remove_user("a-read"));
    done(&mut chain, "c-admin", add_user("c", "a-read", UserRole::Reader));
    assert!(!reads(&chain, "a-read", "k"));
    done(&mut chain, "b-admin", revoke("set", &user, &range("k", "l")));
    assert_eq!(listed(&chain), ["b all keys write"]);
}

/// Carries a change of organisation d out by the others' votes: by all, or while d has none by two.
fn change_d(chain: &mut Chain, change: Change) {
    let is_open = matches!(change, Change::RemoveOrg { .. } | Change::SuspendOrg { .. });
    let admins = &["a-admin", "b-admin", "c-admin"][..if is_open { 3 } else { 2 }];
    let receipts = chain.carry(change, admins, Next::default());
    assert!(receipts.iter().all(Receipt::is_ok), "{receipts:?}");
    chain.run(&Next::default());
}

#[test]
fn an_organisation_that_comes_back_has_nothing_of_what_it_had() {
    let mut chain = with_set();
    let (d, all) = (to_org("d"), Range::all());
    done(&mut chain, "b-admin", grant("set", &d, &all, Admin));
    done(&mut chain, "b-admin", grant("set", &to_user("d-user"), &all, Write));
    assert!(chain.send("d-user", put("set", "k", "v", None)).is_ok());
    // Suspended it may do nothing, and what it was granted waits.
    change_d(&mut chain, Change::SuspendOrg { name: org("d") });
    assert_eq!(chain.send("d-user", put("set", "k", "v", None)).code, 9);
    assert_eq!(may_read(chain.store(), &key("d-user"), &set("set"), b"k").unwrap_err().code(), 9);
    change_d(&mut chain, Change::RestoreOrg { name: org("d") });
    assert!(chain.send("d-user", put("set", "k", "v", None)).is_ok());
    change_d(&mut chain, Change::RemoveOrg { name: org("d") });
    let void = ["b all keys write", "(d all keys admin)", "(d/user all keys write)"];
    assert_eq!(listed(&chain), void);
    assert_eq!(chain.send("b-admin", grant("set", &d, &all, Read)).code, 10);
    let add = Change::AddOrg { name: org("d"), admin_key: key("d-admin"), power: Power(1) };
    change_d(&mut chain, add);
    done(&mut chain, "d-admin", add_user("d", "d-user", UserRole::Writer));
    assert_eq!(listed(&chain), void);
    assert_eq!(chain.send("d-user", put("set", "k", "v", None)).code, 12);
    assert_eq!(chain.send("d-admin", grant("set", &to_org("c"), &all, Read)).code, 12);
    done(&mut chain, "b-admin", grant("set", &d, &all, Write));
    assert!(chain.send("d-user", put("set", "k", "v", None)).is_ok());
}

#[test]
fn an_organisation_that_joins_may_create_and_grant_at_once() {
    let mut chain = with_set();
    let add = Change::AddOrg { name: org("e"), admin_key: key("e-admin"), power: Power(1) };
    let admins = ["a-admin", "b-admin", "c-admin"];
    let mut next = Next::default();
    for (i, admin) in admins.iter().enumerate() {
        let call = if i == 0 { propose(add.clone()) } else { vote(1) };
        next = next.tx(chain.tx(admin, call));
    }
    // All in the block in which it joins: its first grant is its own, and counts.
    for call in [
        create("e"),
        put("e", "k", "v", None),
        add_user("e", "e-user", UserRole::Writer),
        grant("e", &to_org("e"), &Range::prefix(b"k"), Read),
    ] {
        next = next.tx(chain.tx("e-admin", call));
    }
    next = next.tx(chain.tx("e-user", put("e", "k", "w", None)));
    next = next.tx(chain.tx("b-admin", grant("set", &to_org("e"), &Range::all(), Read)));
    let codes: Vec<_> = chain.run(&next).receipts[1..].iter().map(|r| r.code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 0, 0, 17]);
    let own = grants(chain.store(), &set("e"), None, 9).unwrap();
    assert!(own.len() == 2 && own.iter().all(|granted| !granted.is_void), "{own:?}");
}

#[test]
fn data_sets_of_one_that_was_removed_stay_as_they_were_granted() {
    let mut chain = started();
    let part_of_a = Range::prefix(b"a/");
    done(&mut chain, "d-admin", create("set"));
    done(&mut chain, "d-admin", grant("set", &to_org("a"), &part_of_a, Admin));
    change_d(&mut chain, Change::RemoveOrg { name: org("d") });
    assert_eq!(listed(&chain), ["a a/..a0 admin", "(d all keys write)"]);
    assert_eq!(chain.send("a-boss", grant("set", &to_org("d"), &part_of_a, Read)).code, 10);
    assert!(chain.send("a-user", put("set", "a/1", "v", None)).is_ok());
    done(&mut chain, "a-boss", grant("set", &to_org("c"), &Range::prefix(b"a/1"), Read));
    assert!(reads(&chain, "c-user", "a/1") && !reads(&chain, "c-user", "a/2"));
    assert_eq!(chain.send("a-boss", grant("set", &to_org("c"), &Range::all(), Read)).code, 12);
    assert_eq!(chain.send("b-admin", revoke("set", &to_org("c"), &Range::prefix(b"a/1"))).code, 12);
    // Nobody comes into them by its name.
    let add = Change::AddOrg { name: org("d"), admin_key: key("d-heir"), power: Power(1) };
    let receipt = chain.send("a-admin", propose(add));
    assert_eq!(receipt.code, 17);
    assert!(receipt.log.contains("owned by an earlier organisation named d"), "{}", receipt.log);
}

#[test]
fn a_user_that_is_barred_has_no_rights() {
    let mut chain = with_set();
    // A key that held a seat is a user later, and what it signed twice comes out then.
    done(&mut chain, "a-admin", switch("a", "a2", 0));
    chain.run_many(2, &Next::default());
    let height = chain.height() - 2;
    done(&mut chain, "a-admin", remove("a1"));
    done(&mut chain, "a-admin", add_user("a", "a1", UserRole::Admin));
    done(&mut chain, "b-admin", grant("set", &to_user("a1"), &Range::all(), Admin));
    assert!(reads(&chain, "a1", "k"));
    let evidence = chain.evidence("a1", height).expect("it held the seat");
    chain.run(&Next::default().evidence(evidence));
    assert_eq!(may_read(chain.store(), &key("a1"), &set("set"), b"k").unwrap_err().code(), 7);
    assert_eq!(listed(&chain), ["(a/user all keys admin)", "b all keys write"]);
}

#[test]
fn grants_are_bounded() {
    let mut chain = with_set();
    chain.is_checked = false;
    let part = |i: usize| range(&format!("k{i:02}"), &format!("k{i:02}x"));
    let mut next = Next::default();
    for i in 0..=MAX_GRANTS_PER_GRANTEE {
        next = next.tx(chain.tx("b-admin", grant("set", &to_org("a"), &part(i), Read)));
    }
    // One more is none more where its range is there already.
    next = next.tx(chain.tx("b-admin", grant("set", &to_org("a"), &part(3), Write)));
    let codes: Vec<_> = chain.run(&next).receipts[1..].iter().map(|r| r.code).collect();
    let expected = [vec![0; MAX_GRANTS_PER_GRANTEE], vec![19, 0]].concat();
    assert_eq!(codes, expected);
    assert_eq!(listed(&chain).len(), MAX_GRANTS_PER_GRANTEE + 1);

    let mut next = Next::default();
    for i in 0..MAX_GRANTEES_PER_DATA_SET {
        next = next.tx(chain.tx("c-admin", add_user("c", &format!("c-{i}"), UserRole::Reader)));
    }
    // c has one of genesis.
    next.txs.pop();
    chain.run(&next);
    let mut next = Next::default();
    for i in 0..MAX_GRANTEES_PER_DATA_SET - 1 {
        let call = grant("set", &to_user(&format!("c-{i}")), &Range::all(), Read);
        next = next.tx(chain.tx("b-admin", call));
    }
    let receipts = chain.run(&next).receipts;
    // a and b are grantees, too.
    let refused: Vec<_> = receipts[1..].iter().enumerate().filter(|(_, r)| !r.is_ok()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].0, refused[0].1.code), (MAX_GRANTEES_PER_DATA_SET - 2, 19));
    assert!(refused[0].1.log.contains("grantees of a data set: 1001 items"));
    done(&mut chain, "b-admin", revoke("set", &to_user("c-7"), &Range::all()));
    done(&mut chain, "b-admin", grant("set", &to_org("d"), &Range::all(), Read));
    assert_eq!(
        chain.send("b-admin", grant("set", &Grantee::Members, &Range::all(), Read)).code,
        19
    );

    // A listing goes on where it stopped, and is bounded.
    let (mut found, mut after, mut parts) = (0, None::<Grantee>, 0);
    loop {
        let page = grants(chain.store(), &set("set"), after.as_ref(), usize::MAX).unwrap();
        assert!(page.len() <= crate::limits::MAX_LIST);
        let Some(last) = page.last() else { break };
        found += page.len();
        after = Some(last.to.clone());
        parts += 1;
    }
    assert_eq!(found, MAX_GRANTS_PER_GRANTEE + MAX_GRANTEES_PER_DATA_SET - 1);
    assert_eq!(parts, MAX_GRANTEES_PER_DATA_SET.div_ceil(62));
    chain.is_checked = true;
    chain.run(&Next::default());
}

#[test]
fn questions_about_what_is_not_there_are_answered_with_errors() {
    let chain = with_set();
    let (store, none) = (chain.store(), set("none"));
    assert_eq!(may_read(store, &key("a-user"), &none, b"k").unwrap_err().code(), 10);
    assert_eq!(reach(store, &key("a-user"), &none).unwrap_err().code(), 10);
    assert_eq!(grants(store, &none, None, 9).unwrap_err().code(), 10);
    assert_eq!(reach(store, &key("stranger"), &set("set")).unwrap_err().code(), 7);
    // A record need not be there, nor its key be one that a record can have.
    assert!(reads(&chain, "b-user", "") && reads(&chain, "b-user", &"k".repeat(1_000)));
}

#[test]
fn a_listing_shows_what_is_within_reach_alone() {
    let mut chain = with_set();
    chain.is_checked = false;
    let names: Vec<String> = (0..60).map(|i| format!("k{i:02}")).collect();
    let mut next = Next::default();
    for name in &names {
        next = next.tx(chain.tx("b-user", put("set", name, "v", None)));
    }
    for (from, until) in [("k03", "k05"), ("k07", "k08"), ("k10", "k40x"), ("k58", "")] {
        let call = grant("set", &to_org("a"), &range(from, until), Read);
        next = next.tx(chain.tx("b-admin", call));
    }
    assert!(chain.run(&next).receipts.iter().all(Receipt::is_ok));
    let reach = reach(chain.store(), &key("a-read"), &set("set")).unwrap();
    assert_eq!(reach.ranges().len(), 4);
    for prefix in ["", "k", "k0", "k1", "k58", "k06", "x"] {
        let expected: Vec<&String> = names
            .iter()
            .filter(|name| name.starts_with(prefix) && reach.contains(name.as_bytes()))
            .collect();
        for limit in [1, 2, 16, 33, 100] {
            let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
            loop {
                let page = list_within(
                    chain.store(),
                    &reach,
                    &set("set"),
                    prefix.as_bytes(),
                    after.as_deref(),
                    limit,
                );
                let page: records::Page = page.unwrap();
                assert!(page.records.len() <= limit);
                let keys = page.records.into_iter().map(|record| record.key);
                found.extend(keys.map(|key| String::from_utf8(key).unwrap()));
                after = page.next;
                let Some(after) = &after else { break };
                assert!(reach.contains(after), "what stands there may be read");
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{prefix}, {limit}");
        }
    }
    let nothing = list_within(chain.store(), &Reach::default(), &set("set"), b"", None, 9).unwrap();
    assert_eq!(nothing, records::Page::default());
}
