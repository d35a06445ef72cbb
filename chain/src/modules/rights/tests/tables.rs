//! Executes the tables of `docs/rights.md`, cell by cell.

use std::collections::BTreeSet;

use super::{range, started};
use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::may_send;
use crate::ledger::tests::kit::*;
use crate::limits::{
    MAX_GRANTEES_PER_DATA_SET, MAX_GRANTS_PER_GRANTEE, MAX_REQUEST_PERMIT_TIME, MAX_TOKEN_TIME,
};
use crate::modules::consortium::{Change, InvitedAs, UserRole, registration_proof};
use crate::modules::rights::{self, Grantee, Range, Right, may_read, may_read_blocks, reach};
use crate::modules::{Call, consortium, records, standby};
use crate::types::Power;

/// The row about keys that have no role yet.
const BY_INVITATION: &str = "register itself by an invitation";

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rights.md");

/// A table of the page, by the title of its first column: titles, and rows of cells.
fn table(first: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let page = std::fs::read_to_string(PAGE).expect("the page can be read");
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    let titles = cells(lines.next().expect("the table is there"));
    let rows: Vec<_> = lines.skip(1).take_while(|l| l.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == titles.len()), "{first}");
    (titles, rows)
}

/// The keys of a column.
fn keys(column: &str) -> &'static [&'static str] {
    match column {
        "admin key" => &["a-admin"],
        "node" => &["a1", "a2", "a3"],
        "admin" => &["a-boss"],
        "operator" => &["a-oper"],
        "writer" => &["a-user"],
        "reader" => &["a-read"],
        "auditor" => &["a-audit"],
        "suspended" => &["d-admin", "d1", "d-user"],
        "stranger" => &["stranger"],
        other => panic!("no such column: {other}"),
    }
}

/// A range of one key of the data sets in [`scene`].
fn part(number: u8) -> Range {
    Range::prefix(format!("k{number}").as_bytes())
}

/// What the tables of calls and reading are about: organisation d is suspended, a has users to be
/// managed, a data set `own` and admin in b's `other`, and motion 2 is open.
fn scene() -> Chain {
    use UserRole::{Admin, Auditor, Operator, Reader, Writer};
    let mut chain = started();
    chain.is_checked = false;
    let suspend = Change::SuspendOrg { name: org("d") };
    let receipts = chain.carry(suspend, &["a-admin", "b-admin", "c-admin"], Next::default());
    assert!(receipts.iter().all(crate::ledger::Receipt::is_ok), "{receipts:?}");
    let mut send = |sender: &str, call: Call| {
        let receipt = chain.send(sender, call);
        assert!(receipt.is_ok(), "{receipt:?}");
    };
    for (name, role) in [
        ("t-write", Writer),
        ("t-read", Reader),
        ("t-audit", Auditor),
        ("t-oper", Operator),
        ("t-boss", Admin),
    ] {
        send("a-admin", add_user("a", name, role));
    }
    send("b-admin", propose(Change::SetPower { name: org("c"), power: Power(2) }));
    send("a-admin", create("own"));
    send("b-admin", create("other"));
    send("b-admin", grant("other", &to_org("a"), &Range::all(), Right::Admin));
    for (owner, data_set) in [("a-admin", "own"), ("b-admin", "other")] {
        for (number, right) in [(1, Right::Read), (2, Right::Write), (3, Right::Admin)] {
            send(owner, grant(data_set, &to_org("c"), &part(number), right));
        }
    }
    chain
}

/// The calls of a row, each of which is either allowed or not.
fn calls(row: &str) -> Vec<Call> {
    use UserRole::{Admin, Auditor, Operator, Reader, Writer};
    let (c, chain_id) = (to_org("c"), genesis().chain_id);
    let power = Change::SetPower { name: org("c"), power: Power(3) };
    // The right anew, less of it in the place of what was granted, and that taken back.
    let of_admin = |data_set: &str| {
        vec![
            grant(data_set, &c, &part(7), Right::Admin),
            grant(data_set, &c, &part(3), Right::Read),
            revoke(data_set, &c, &part(3)),
        ]
    };
    match row {
        "register a node" => vec![register("a", "a4", false)],
        BY_INVITATION => {
            vec![invited("stranger", &invitation("a", 1, InvitedAs::Observer, 999))]
        }
        "remove a node" => vec![remove("a3")],
        "set the partner" => vec![set_partner("a3")],
        "set the own addresses" => {
            vec![Call::Consortium(consortium::Call::SetAddresses { addresses: vec![] })]
        }
        "switch the own seat" => vec![switch("a", "a2", 0)],
        "switch another's seat" => vec![switch("b", "b2", 0)],
        "add a writer, reader or auditor" => {
            [Writer, Reader, Auditor].map(|role| add_user("a", "new", role)).into()
        }
        "add an admin or operator" => {
            [Admin, Operator].map(|role| add_user("a", "new", role)).into()
        }
        "remove a writer, reader or auditor" => {
            ["t-write", "t-read", "t-audit"].map(remove_user).into()
        }
        "remove an admin or operator" => ["t-boss", "t-oper"].map(remove_user).into(),
        "change a role among writer, reader and auditor" => {
            [("t-write", Auditor), ("t-read", Writer), ("t-audit", Reader)]
                .map(|(user, role)| set_role(user, role))
                .into()
        }
        "change a role from or to admin or operator" => [
            ("t-write", Admin),
            ("t-read", Operator),
            ("t-oper", Auditor),
            ("t-boss", Reader),
            ("t-oper", Admin),
        ]
        .map(|(user, role)| set_role(user, role))
        .into(),
        "propose a change of the consortium" => vec![propose(power)],
        "vote on a motion" => vec![vote(2)],
        "set the own admin key" => {
            let (key, proof) =
                (key("new"), registration_proof(&chain_id, &org("a"), &secret("new")));
            vec![Call::Consortium(consortium::Call::SetAdminKey { key, proof })]
        }
        "create a data set" => vec![create("new")],
        "grant and revoke read or write in an own data set" => {
            let new = [Right::Read, Right::Write].map(|right| grant("own", &c, &part(7), right));
            let old = grant("own", &c, &part(2), Right::Read);
            [new.into(), vec![old], [1, 2].map(|n| revoke("own", &c, &part(n))).into()].concat()
        }
        "grant and revoke admin in an own data set" => of_admin("own"),
        "grant and revoke admin where admin was granted" => of_admin("other"),
        other => panic!("no test executes this row: {other}"),
    }
}

/// A call that is not here belongs into a table.
fn name(call: &Call) -> &'static str {
    use consortium::Call as C;
    match call {
        Call::Consortium(C::RegisterNode { .. }) => "register node",
        Call::Consortium(C::RemoveNode { .. }) => "remove node",
        Call::Consortium(C::SetPartner { .. }) => "set partner",
        Call::Consortium(C::SetAddresses { .. }) => "set addresses",
        Call::Consortium(C::AddUser { .. }) => "add user",
        Call::Consortium(C::RemoveUser { .. }) => "remove user",
        Call::Consortium(C::Propose { .. }) => "propose",
        Call::Consortium(C::Vote { .. }) => "vote",
        Call::Consortium(C::SetAdminKey { .. }) => "set admin key",
        Call::Consortium(C::RegisterInvited { .. }) => "register invited",
        Call::Consortium(C::SetRole { .. }) => "set role",
        Call::Standby(standby::Call::Switch { .. }) => "switch",
        Call::Records(records::Call::Create { .. }) => "create",
        Call::Records(records::Call::Put { .. }) => "put, in the table of records",
        Call::Records(records::Call::Delete { .. }) => "delete, in the table of records",
        Call::Rights(rights::Call::Grant { .. }) => "grant",
        Call::Rights(rights::Call::Revoke { .. }) => "revoke",
    }
}

#[test]
fn each_call_is_allowed_to_whom_the_page_says() {
    let started = scene();
    let (titles, rows) = table("call");
    let mut seen = BTreeSet::new();
    for row in &rows {
        let calls = calls(&row[0]);
        seen.extend(calls.iter().map(name));
        for (column, cell) in titles.iter().zip(row).skip(1) {
            for sender in keys(column) {
                let code = match (cell.as_str(), column.as_str()) {
                    ("yes", _) => 0,
                    ("the holder", _) => {
                        if *sender == "a1" {
                            0
                        } else {
                            12
                        }
                    }
                    ("no", _) if row[0] == BY_INVITATION => 11,
                    ("no", "suspended") => 9,
                    ("no", "stranger") => 7,
                    ("no", _) => 12,
                    other => panic!("no such cell: {other:?}"),
                };
                for call in &calls {
                    let receipt = started.clone().send(sender, call.clone());
                    assert_eq!(receipt.code, code, "{}, {sender}: {call:?}: {receipt:?}", row[0]);
                }
            }
        }
    }
    // All but putting and deleting.
    assert_eq!(seen.len(), 15, "{seen:?}");
}

/// A row of the table of records, as far as it is not about what is allowed.
struct Case<'a> {
    is_own: bool,
    granted: &'a str,
    to: &'a str,
}

impl Case<'_> {
    /// The chain in which organisation a is granted this, or its key.
    fn chain(&self, started: &Chain, sender: &str) -> Chain {
        let owner = if self.is_own { "a" } else { "b" };
        let admin = format!("{owner}-admin");
        let mut chain = started.clone();
        let mut next = Next::default().tx(chain.tx(&admin, create("set")));
        for record in ["k2", "k7"] {
            next = next.tx(chain.tx(&admin, put("set", record, "v", None)));
            let only = Range::prefix(record.as_bytes());
            next = next.tx(chain.tx(&admin, grant("set", &to_org("c"), &only, Right::Read)));
        }
        if self.granted != "as created" {
            next = next.tx(chain.tx(&admin, revoke("set", &to_org(owner), &Range::all())));
        }
        let to = match (self.to, self.granted) {
            ("organisation", _) => Some(to_org("a")),
            ("all members", _) => Some(Grantee::Members),
            ("the key", _) => Some(to_user(sender)),
            ("", "as created" | "nothing") => None,
            other => panic!("no such grant: {other:?}"),
        };
        if let Some(to) = to {
            let right = self.granted.parse().expect("a right");
            next = next.tx(chain.tx(&admin, grant("set", &to, &range("k1", "k5"), right)));
        }
        let receipts = chain.run(&next).receipts;
        assert!(receipts.iter().all(crate::ledger::Receipt::is_ok), "{receipts:?}");
        chain
    }
}

/// What a key may do with a record of data set `set`, in the words of the page.
fn allowed(chain: &Chain, sender: &str, record: &str) -> String {
    let (set, key): (_, PublicKey) = ("set".parse().unwrap(), key(sender));
    let reads = may_read(chain.store(), &key, &set, record.as_bytes()).unwrap();
    let reach = reach(chain.store(), &key, &set).unwrap();
    assert_eq!(reach.contains(record.as_bytes()), reads, "{sender}, {record}");
    let mut chain = chain.clone();
    let (c, only) = (to_org("c"), Range::prefix(record.as_bytes()));
    let next = [
        put("set", record, "w", None),
        delete("set", record, None),
        grant("set", &c, &only, Right::Read),
        grant("set", &c, &only, Right::Write),
        revoke("set", &c, &only),
    ];
    let next = next.into_iter().fold(Next::default(), |next, call| next.tx(chain.tx(sender, call)));
    let codes: Vec<u32> = chain.run(&next).receipts.iter().skip(1).map(|r| r.code).collect();
    let is_done = |codes: &[u32]| {
        assert!(codes == vec![0; codes.len()] || codes == vec![12; codes.len()], "{codes:?}");
        codes[0] == 0
    };
    let words = [("read", reads), ("write", is_done(&codes[..2])), ("grant", is_done(&codes[2..]))];
    let words: Vec<_> = words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

#[test]
fn each_record_is_open_to_whom_the_page_says() {
    let mut started = started();
    started.is_checked = false;
    let (titles, rows) = table("data set");
    assert_eq!(titles[..4], ["data set", "granted", "to", "record"]);
    let mut cases = BTreeSet::new();
    for row in &rows {
        let [data_set, granted, to, place] = [0, 1, 2, 3].map(|i| row[i].as_str());
        assert!(["own", "another's"].contains(&data_set), "{data_set}");
        let records: &[&str] = match place {
            "inside" => &["k2"],
            "outside" => &["k7"],
            "any" => &["k2", "k7"],
            other => panic!("no such place: {other}"),
        };
        let each = Right::ALL.map(|right| right.to_string());
        let each: Vec<&str> = if granted == "each" {
            each.iter().map(String::as_str).collect()
        } else {
            vec![granted]
        };
        for granted in each {
            let case = Case { is_own: data_set == "own", granted, to };
            for (column, cell) in titles.iter().zip(row).skip(4) {
                if cell == "n/a" {
                    assert!(to == "the key" && ["admin key", "node"].contains(&column.as_str()));
                    continue;
                }
                for sender in keys(column) {
                    let chain = case.chain(&started, sender);
                    for record in records {
                        cases.insert((data_set, granted.to_owned(), to, *record));
                        let got = allowed(&chain, sender, record);
                        assert_eq!(&got, cell, "{row:?}, {granted}, {column}, {record}");
                    }
                }
            }
        }
    }
    // Two data sets, each as created, without a grant, and with three rights to three kinds of grantee.
    assert_eq!(cases.len(), 2 * (2 + 3 * 3) * 2, "every combination has its row");
}

#[test]
fn each_answer_is_for_whom_the_page_says() {
    let chain = scene();
    let store = chain.store();
    let (titles, rows) = table("what is read");
    for row in &rows {
        for (column, cell) in titles.iter().zip(row).skip(1) {
            for sender in keys(column) {
                let key = key(sender);
                let word = |may: bool| if may { "yes" } else { "no" };
                let got = match row[0].split(':').next() {
                    Some("what the chain is") => may_send(store, &key).map(|_| "yes"),
                    Some("records") => {
                        may_read(store, &key, &"own".parse().unwrap(), b"k").map(|_| "as above")
                    }
                    Some("whole blocks and transactions at a node of the own organisation") => {
                        may_read_blocks(store, &key, &org("a")).map(word)
                    }
                    Some("whole blocks and transactions at another's node") => {
                        may_read_blocks(store, &key, &org("b")).map(word)
                    }
                    other => panic!("no test executes this row: {other:?}"),
                };
                let code = match column.as_str() {
                    "suspended" => Some(9),
                    "stranger" => Some(7),
                    _ => None,
                };
                assert_eq!(got.as_ref().err().map(Error::code), code, "{}, {sender}", row[0]);
                assert_eq!(got.unwrap_or("no"), cell, "{}, {sender}", row[0]);
            }
        }
    }
    assert_eq!(rows.len(), 4);
}

#[test]
fn limits_are_those_of_the_page() {
    let cell = |first: &str, row: &str, column: usize| {
        let (_, rows) = table(first);
        rows.into_iter().find(|cells| cells[0] == row).expect("a row").remove(column)
    };
    let ranges = cell("of what", "ranges of one data set granted to one grantee", 1);
    assert_eq!(ranges, MAX_GRANTS_PER_GRANTEE.to_string());
    let grantees = cell("of what", "grantees in one data set", 1).replace(',', "");
    assert_eq!(grantees, MAX_GRANTEES_PER_DATA_SET.to_string());
    let minutes = MAX_REQUEST_PERMIT_TIME.as_secs() / 60;
    assert_eq!(cell("permit", "signed request", 2), format!("{minutes} minutes ahead"));
    let days = MAX_TOKEN_TIME.as_secs() / 86_400;
    assert_eq!(cell("permit", "token", 2), format!("{days} days ahead"));
}
