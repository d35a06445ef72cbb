use super::*;
use crate::keys::SecretKey;
use crate::ledger::Receipt;
use crate::ledger::tests::kit::{register, *};
use crate::limits::{MAX_ADDRESSES_PER_NODE, MAX_NODES_PER_ORG};
use crate::modules::consortium::Change;
use crate::modules::{Call, consortium};
use crate::tx::{Tx, TxBody};
use crate::types::{Height, Power};

/// What the chain keeps of an organisation's used invitations.
fn used(chain: &Chain, name: &str) -> Vec<UsedInvitation> {
    used_invitations(&mut State::new(chain.store()), &org(name)).unwrap()
}

fn resigned(mut it: Invitation, change: impl Fn(&mut InvitationBody), by: &str) -> Invitation {
    change(&mut it.body);
    Invitation::sign(it.body, &secret(by))
}

/// A registration of the node `new`.
fn at(it: &Invitation, addresses: &[&str]) -> Call {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    let (invitation, claim) = (it.clone(), claim("new", it));
    Call::Consortium(consortium::Call::RegisterInvited { invitation, claim, addresses })
}

/// A registration by an invitation with whatever claim.
fn claimed(it: &Invitation, claim: Signature) -> Call {
    let (invitation, addresses) = (it.clone(), Vec::new());
    Call::Consortium(consortium::Call::RegisterInvited { invitation, claim, addresses })
}

fn replaces(node: &str) -> InvitedAs {
    InvitedAs::Replacement { lost: key(node) }
}

#[test]
fn a_registration_is_checked_and_leaves_nothing_when_it_fails() {
    let mut started = Chain::new();
    started.run(&Next::default());
    assert!(started.send("b-admin", remove("b2")).is_ok());
    let height = started.height();
    let latest = height + u64::try_from(MAX_INVITATION_LIFE.as_millis() / 100).unwrap();
    let observer = |until| invitation("a", 1, InvitedAs::Observer, until);
    let good = observer(height + 1);
    let other_chain = "other".parse::<ChainId>().unwrap();
    let no_org = resigned(good.clone(), |body| body.org = org("none"), "a-admin");
    let changed = {
        let mut it = good.clone();
        it.body.valid_until = time_of(height + 2);
        it
    };
    let many = ["/ip4/1.2.3.4/tcp/5"; MAX_ADDRESSES_PER_NODE + 1];
    let of_other_chain = {
        let it = resigned(good.clone(), |body| body.chain_id = other_chain.clone(), "a-admin");
        claim("new", &it)
    };
    let cases = [
        ("an observer", "new", invited("new", &good), 0),
        ("without address", "new", at(&good, &[]), 0),
        (
            "a free place in the pair",
            "new",
            invited("new", &invitation("b", 1, InvitedAs::Standby, 99)),
            0,
        ),
        ("a full pair", "new", invited("new", &invitation("a", 1, InvitedAs::Standby, 99)), 17),
        (
            "in place of an observer",
            "new",
            invited("new", &invitation("a", 1, replaces("a3"), 99)),
            0,
        ),
        (
            "in place of the standby",
            "new",
            invited("new", &invitation("a", 1, replaces("a2"), 99)),
            0,
        ),
        (
            "in place of the holder",
            "new",
            invited("new", &invitation("a", 1, replaces("a1"), 99)),
            17,
        ),
        (
            "in place of another's",
            "new",
            invited("new", &invitation("a", 1, replaces("b3"), 99)),
            10,
        ),
        ("in place of none", "new", invited("new", &invitation("a", 1, replaces("a9"), 99)), 10),
        ("expired", "new", invited("new", &observer(height)), 4),
        ("the latest", "new", invited("new", &observer(latest)), 0),
        ("too late", "new", invited("new", &observer(latest + 2)), 5),
        (
            "for another chain",
            "new",
            invited(
                "new",
                &resigned(good.clone(), |body| body.chain_id = other_chain.clone(), "a-admin"),
            ),
            3,
        ),
        ("for an organisation that is none", "new", invited("new", &no_org), 10),
        (
            "signed by another's admin key",
            "new",
            invited("new", &resigned(good.clone(), |_| (), "b-admin")),
            2,
        ),
        ("signed by a node", "new", invited("new", &resigned(good.clone(), |_| (), "a1")), 2),
        ("signed by a user", "new", invited("new", &resigned(good.clone(), |_| (), "a-user")), 2),
        ("changed", "new", invited("new", &changed), 2),
        (
            "another's name",
            "new",
            invited("new", &{
                let mut it = good.clone();
                it.body.org = org("b");
                it
            }),
            2,
        ),
        ("claimed for another", "new", claimed(&good, claim("newer", &good)), 2),
        ("claimed by its node", "new", claimed(&good, good.claim(&secret("new"), &key("new"))), 2),
        (
            "claimed by the admin",
            "new",
            claimed(&good, good.claim(&secret("a-admin"), &key("new"))),
            2,
        ),
        ("claimed of another chain", "new", claimed(&good, of_other_chain), 2),
        ("own node again", "a3", invited("a3", &good), 11),
        ("another's node", "b3", invited("b3", &good), 11),
        ("an admin key", "a-admin", invited("a-admin", &good), 11),
        ("a user", "b-user", invited("b-user", &good), 11),
        ("bad address", "new", at(&good, &["/ip4/1.2.3.4/tcp/5", "/ip4/1/tcp/5"]), 1),
        ("too many addresses", "new", at(&good, &many), 19),
    ];
    for (name, sender, call, code) in cases {
        let mut chain = started.clone();
        let Call::Consortium(consortium::Call::RegisterInvited { invitation, claim, addresses }) =
            &call
        else {
            unreachable!("all cases are registrations")
        };
        let tip = chain.ledger.tip().clone();
        let before = check_invited(chain.store(), &tip, &key(sender), invitation, claim, addresses);
        // All of it is found before a block carries it.
        assert_eq!(before.map_or_else(|error| error.code(), |()| 0), code, "{name}");
        let organizations = consortium::organizations(chain.store()).unwrap();
        let receipt = chain.send(sender, call);
        assert_eq!(receipt.code, code, "{name}: {receipt:?}");
        let after = consortium::organizations(chain.store()).unwrap();
        assert_eq!(after == organizations, code != 0, "{name}");
        let uses = used(&chain, "a").len() + used(&chain, "b").len();
        assert_eq!(uses, usize::from(code == 0), "{name}");
    }
}

#[test]
fn a_weak_key_is_refused_before_its_signature_is_looked_at() {
    let chain = Chain::new();
    let mut weak = [0; 32];
    weak[0] = 1;
    let it = invitation("a", 1, InvitedAs::Observer, 10);
    let refused = check_invited(
        chain.store(),
        chain.ledger.tip(),
        &PublicKey(weak),
        &it,
        &claim("new", &it),
        &[],
    );
    assert!(matches!(refused, Err(Error::WeakKey { .. })), "{refused:?}");
}

#[test]
fn an_invitation_is_good_for_one_node() {
    let mut chain = Chain::new();
    let it = invitation("a", 1, InvitedAs::Observer, 50);
    let standing_of = |chain: &Chain, it| standing(chain.store(), chain.ledger.tip(), it);
    assert_eq!(standing_of(&chain, &it), Ok(Standing::Open));
    let [one, two] = ["new", "newer"].map(|node| chain.tx(node, invited(node, &it)));
    let receipts = chain.run(&Next::default().tx(one).tx(two)).receipts;
    assert_eq!((receipts[1].code, receipts[2].code), (0, 17), "in one block");
    assert_eq!(standing_of(&chain, &it), Ok(Standing::Used { by: key("new") }));
    let again = chain.send("newest", invited("newest", &it));
    assert_eq!(again.code, 17);
    assert!(again.log.contains("was used by node"), "{}", again.log);
    // Also when the node that it was used for has left.
    assert!(chain.send("a-admin", remove("new")).is_ok());
    assert_eq!(chain.send("new", invited("new", &it)).code, 17);
    // Another organisation's of the same number is another, and so is one of another number.
    let others =
        [invitation("b", 1, InvitedAs::Observer, 50), invitation("a", 2, it.body.part, 50)];
    for (node, it) in ["b9", "a9"].into_iter().zip(&others) {
        assert!(chain.send(node, invited(node, it)).is_ok());
    }
    // Nobody but who has one that the admin key signed is told how it stands.
    let forged = resigned(it.clone(), |_| (), "b-admin");
    assert!(matches!(standing_of(&chain, &forged), Err(Error::BadSignature { .. })));
}

#[test]
fn used_invitations_are_remembered_until_they_expire_and_are_bounded() {
    let mut chain = Chain::new();
    let first = invitation("a", 1, InvitedAs::Observer, 3);
    assert!(chain.send("new", invited("new", &first)).is_ok());
    assert!(chain.send("a-admin", remove("new")).is_ok());
    assert_eq!(chain.send("new", invited("new", &first)).code, 17, "at its last height");
    assert_eq!(chain.send("new", invited("new", &first)).code, 4, "behind it");
    assert_eq!(used(&chain, "a").len(), 1);
    let second = invitation("a", 2, InvitedAs::Observer, 10);
    assert!(chain.send("new", invited("new", &second)).is_ok());
    let node = key("new");
    let kept = UsedInvitation { claim: second.body.claim, valid_until: time_of(10), node };
    assert_eq!(used(&chain, "a"), [kept]);

    // As many as are remembered, in one organisation: one more is refused until they expire.
    let full = vec![kept; MAX_USED_INVITATIONS_PER_ORG];
    let state = &mut State::new(chain.store());
    put_used_invitations(state, &org("a"), &full);
    let third = invitation("a", 3, InvitedAs::Observer, 20);
    let id = &chain.genesis.chain_id;
    let claim = claim("newer", &third);
    let mut admitted =
        |height| admit(state, id, time_of(height), &key("newer"), &third, &claim, &[]);
    assert!(matches!(admitted(10), Err(Error::TooMany { .. })));
    assert_eq!(admitted(11).unwrap().used.len(), 1);
}

#[test]
fn the_invited_node_is_what_the_invitation_says() {
    let mut chain = Chain::new();
    chain.run(&Next::default());
    let kinds = |receipt: &Receipt| -> Vec<String> {
        receipt.events.iter().map(|event| event.kind.clone()).collect()
    };
    // In the place of the standby it is of the pair, from the height that the receipt names.
    let receipt = chain.send("a4", invited("a4", &invitation("a", 1, replaces("a2"), 50)));
    assert_eq!(kinds(&receipt), ["node_removed", "node_registered", "pair_changed"]);
    assert_eq!(number(&receipt.data), chain.height() + 2);
    assert_eq!(chain.seat("a").partner, Some(key("a4")));
    assert_eq!(consortium::key(chain.store(), &key("a2")).unwrap(), None);
    let entry = chain.ledger.tip().register.nodes[&key("a4")].clone();
    assert_eq!((entry.org, entry.pair), (org("a"), true));
    assert_eq!(entry.addresses, [address("a4")]);
    // In the place of an observer it is one.
    let receipt = chain.send("a5", invited("a5", &invitation("a", 2, replaces("a3"), 50)));
    assert_eq!(
        (kinds(&receipt), receipt.data.len()),
        (vec!["node_removed".into(), "node_registered".into()], 0)
    );
    // It may send, and do no more than a node.
    assert_eq!(chain.send("a5", remove("a4")).code, 12);
    assert!(chain.send("a-admin", remove("a4")).is_ok());
    let receipt = chain.send("a6", invited("a6", &invitation("a", 3, InvitedAs::Standby, 50)));
    assert_eq!(kinds(&receipt), ["node_registered", "pair_changed"]);
    assert_eq!(chain.seat("a").partner, Some(key("a6")));
    chain.run_many(12, &Next::default());
    assert!(chain.send("a-admin", switch("a", "a6", 0)).is_ok());
}

#[test]
fn an_organisation_has_a_bounded_number_of_nodes_however_they_come() {
    let mut chain = Chain::new();
    chain.is_checked = false;
    for i in 4..=MAX_NODES_PER_ORG {
        assert!(chain.send("a-admin", register("a", &format!("a{i}"), false)).is_ok());
    }
    let observer = invitation("a", 1, InvitedAs::Observer, 500);
    assert_eq!(chain.send("new", invited("new", &observer)).code, 19);
    assert!(chain.send("new", invited("new", &invitation("a", 2, replaces("a7"), 500))).is_ok());
}

#[test]
fn a_sender_has_signed_its_registration_for_this_chain() {
    let it = invitation("a", 1, InvitedAs::Observer, 50);
    let (mine, others): (SecretKey, SecretKey) = (secret("new"), secret("other"));
    let chain_id: ChainId = genesis().chain_id;
    let body = TxBody {
        chain_id: chain_id.clone(),
        sender: mine.public(),
        nonce: 1,
        valid_until: Height(50),
        call: invited("new", &it),
    };
    let tx = Tx::sign(body.clone(), &mine);
    assert_eq!(tx.verify(&crate::keys::Strict, &chain_id), Ok(()));
    let stolen = Tx::sign(TxBody { sender: others.public(), ..body }, &others);
    let bytes = [
        crate::codec::encode(tx.body()).as_slice(),
        &stolen.bytes()[stolen.bytes().len() - Signature::LEN..],
    ]
    .concat();
    let forged = Tx::decode(bytes).unwrap();
    let verified = forged.verify(&crate::keys::Strict, &chain_id);
    assert!(matches!(verified, Err(Error::BadSignature { .. })));
}

#[test]
fn who_sees_an_invitation_before_it_is_in_a_block_cannot_use_it() {
    // The pair has no place at first, so that the registration fails in a block, where all can read
    // the invitation and its claim.
    let mut chain = Chain::new();
    let it = invitation("a", 1, InvitedAs::Standby, 50);
    let fails = chain.tx("new", invited("new", &it));
    let receipt = chain.run(&Next::default().tx(fails)).receipts[1].clone();
    assert_eq!(receipt.code, 17, "{receipt:?}");
    assert!(chain.send("a-admin", remove("a2")).is_ok());
    // Another takes both and puts its own registration first, in the same block.
    let seen = claim("new", &it);
    let thief = chain.tx("thief", claimed(&it, seen));
    let before = check_invited(chain.store(), chain.ledger.tip(), &key("thief"), &it, &seen, &[]);
    assert!(matches!(before, Err(Error::BadSignature { what: "claim of an invitation", .. })));
    let own = chain.tx("new", invited("new", &it));
    let receipts = chain.run(&Next::default().tx(thief).tx(own)).receipts;
    assert_eq!((receipts[1].code, receipts[2].code), (2, 0), "{receipts:?}");
    assert_eq!(chain.seat("a").partner, Some(key("new")));
}

/// Carries a change by these.
fn carried(chain: &mut Chain, change: Change, admins: &[&str]) {
    let receipts = chain.carry(change, admins, Next::default());
    assert!(receipts.iter().all(Receipt::is_ok), "{receipts:?}");
}

#[test]
fn who_is_suspended_or_removed_invites_nobody_and_what_it_signed_before_counts_no_more() {
    let it = invitation("d", 1, InvitedAs::Observer, 50);
    let forged = resigned(it.clone(), |_| (), "a-admin");
    let most = ["a-admin", "b-admin", "c-admin"];
    let name = || org("d");
    for (change, code, code_of_forged) in [
        (Change::SuspendOrg { name: name() }, 9, 2),
        // Nobody can sign for what is no member.
        (Change::RemoveOrg { name: name() }, 10, 10),
    ] {
        let mut chain = Chain::new();
        chain.run(&Next::default());
        carried(&mut chain, change, &most);
        // At first its holder still signs, then all of it has left the register.
        for _ in 0..2 {
            let tip = chain.ledger.tip().clone();
            let stands = |it| standing(chain.store(), &tip, it).map_err(|error| error.code());
            assert_eq!((stands(&it), stands(&forged)), (Err(code), Err(code_of_forged)));
            let before =
                check_invited(chain.store(), &tip, &key("d5"), &it, &claim("d5", &it), &[]);
            assert_eq!(before.unwrap_err().code(), code);
            assert_eq!(chain.send("d5", invited("d5", &it)).code, code);
            assert!(!chain.ledger.tip().register.nodes.contains_key(&key("d5")));
        }
        if code == 9 {
            carried(&mut chain, Change::RestoreOrg { name: name() }, &most[..2]);
            assert!(chain.send("d5", invited("d5", &it)).is_ok(), "it counts again");
        }
    }
}

#[test]
fn a_used_invitation_stays_used_when_its_organisation_comes_again() {
    let mut chain = Chain::new();
    let (it, most) =
        (invitation("d", 1, InvitedAs::Observer, 50), ["a-admin", "b-admin", "c-admin"]);
    assert!(chain.send("d5", invited("d5", &it)).is_ok());
    carried(&mut chain, Change::RemoveOrg { name: org("d") }, &most);
    chain.run_many(2, &Next::default());
    let (name, admin_key, power) = (org("d"), key("d-admin"), Power(1));
    carried(&mut chain, Change::AddOrg { name, admin_key, power }, &most[..2]);
    assert_eq!(chain.send("d5", invited("d5", &it)).code, 17);
    // Its first node may come by an invitation, and takes the seat like one that is registered.
    let first = chain.send("d6", invited("d6", &invitation("d", 2, InvitedAs::Standby, 50)));
    assert!(first.is_ok(), "{first:?}");
    let effective = number(&first.data);
    assert_eq!(chain.holder_at("d", effective).unwrap(), "d6");
}

#[test]
fn an_invitation_counts_while_the_key_that_signed_it_is_the_admin_key() {
    let mut chain = Chain::new();
    chain.run_many(3, &Next::default());
    assert!(chain.send("a-admin", switch("a", "a2", 0)).is_ok());
    chain.run(&Next::default());
    assert!(chain.send("a-admin", remove("a1")).is_ok());
    let proof = consortium::registration_proof(&genesis().chain_id, &org("a"), &secret("a1"));
    let set = consortium::Call::SetAdminKey { key: key("a1"), proof };
    assert!(chain.send("a-admin", Call::Consortium(set)).is_ok());
    let by = |admin: &str, number| {
        resigned(invitation("a", number, InvitedAs::Observer, 99), |_| (), admin)
    };
    assert_eq!(chain.send("a5", invited("a5", &by("a-admin", 1))).code, 2);
    assert!(chain.send("a5", invited("a5", &by("a1", 2))).is_ok());
    // A key that signed twice when it was a validator's.
    let evidence = chain.evidence("a1", 2).unwrap();
    chain.run(&Next::default().evidence(evidence));
    let receipt = chain.send("a6", invited("a6", &by("a1", 3)));
    assert!(receipt.code == 17 && receipt.log.contains("is barred"), "{receipt:?}");
    let stands = standing(chain.store(), chain.ledger.tip(), &by("a1", 3));
    assert_eq!(stands.map_err(|error| error.code()), Err(17));
}
