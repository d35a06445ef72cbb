//! Hooks with real programs, and a real server that takes what is posted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::post;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use tandem_chain::roles::Seat;
use tandem_chain::types::{Power, Term};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::record::MAX_WAITING;
use super::*;
use crate::testing;
use crate::view::Part::{Observer, Standby, Unregistered, Validator};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

fn key() -> PublicKey {
    testing::validator(0).public()
}

fn chain_id() -> ChainId {
    "testing".parse().unwrap()
}

fn table(term: u64) -> RoleTable {
    let seat = Seat { holder: key(), power: Power(1), term: Term(term) };
    BTreeMap::from([("alpha".parse().unwrap(), seat)]).into()
}

fn validator(term: u64) -> Role {
    Role::Validator { seat: "alpha".parse().unwrap(), term: Term(term) }
}

fn standby() -> Role {
    Role::Standby { seat: "alpha".parse().unwrap() }
}

/// A home, whose hook writes the change into a file there.
struct Place {
    home: Home,
    config: config::Hooks,
    since: Option<Height>,
    dir: tempfile::TempDir,
}

impl Place {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        std::fs::create_dir(dir.path().join("config")).unwrap();
        let role_change = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let config = config::Hooks { role_change, ..config::Hooks::default() };
        Self { home, config, since: None, dir }
    }

    /// That writes a line for each change.
    fn with_lines() -> Self {
        Self::new(
            "echo $TANDEM_HEIGHT $TANDEM_OLD_ROLE $TANDEM_NEW_ROLE $TANDEM_TERM $TANDEM_AGAIN >> lines",
        )
    }

    fn start(&self) -> Hooks {
        let started = Hooks::start(&self.config, &self.home, key(), chain_id(), self.since);
        started.unwrap().expect("one is configured")
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("lines")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What a program writes there is read here.
    fn pipe(&self, name: &str) -> pipe::Receiver {
        let path = self.dir.path().join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        pipe::OpenOptions::new().open_receiver(path).unwrap()
    }

    fn record(&self) -> Record {
        Record::load(&self.home.roles_path()).unwrap()
    }
}

/// Waits until a hook was told of so many changes, those of which it could not be told included.
async fn told(roles: &Roles, count: u64) -> Figures {
    let mut told = roles.0.told.0.subscribe();
    let hook = roles.0.state().hooks[0];
    let is_enough = |told: &[[u64; 2]; 2]| told[hook as usize].iter().sum::<u64>() >= count;
    let enough = timeout(LIMIT, told.wait_for(is_enough)).await;
    drop(enough.expect("the hook is told in time").unwrap());
    let figures = roles.figures()[0];
    assert_eq!(figures.waiting, 0);
    figures
}

#[tokio::test]
async fn each_change_is_told_once_and_in_order_over_restarts() {
    let place = Place::with_lines();
    let hooks = place.start();
    let roles = hooks.roles();
    roles.changed(Height(1), &validator(0), &table(0));
    assert_eq!(roles.figures()[0].waiting, 0, "nothing before it has caught up");
    roles.caught_up(true);
    roles.changed(Height(10), &standby(), &table(1));
    roles.changed(Height(20), &validator(2), &table(2));
    told(&roles, 3).await;
    hooks.stop().await;
    let mut lines = vec![
        "1 unregistered validator 0 0".to_owned(),
        "10 validator standby 1 0".to_owned(),
        "20 standby validator 2 0".to_owned(),
    ];
    assert_eq!(place.lines(), lines);

    // At a start the driver tells of the role that the node has at the height where it goes on.
    let hooks = place.start();
    let roles = hooks.roles();
    roles.changed(Height(26), &validator(2), &table(2));
    roles.caught_up(true);
    roles.changed(Height(40), &validator(4), &table(4));
    told(&roles, 1).await;
    hooks.stop().await;
    lines.push("40 validator validator 4 0".to_owned());
    assert_eq!(place.lines(), lines);

    // An empty database: roles of long ago are no news, and what was over before it had caught up is not.
    let hooks = place.start();
    let roles = hooks.roles();
    roles.changed(Height(1), &validator(0), &table(0));
    roles.caught_up(true);
    roles.caught_up(false);
    roles.changed(Height(10), &standby(), &table(1));
    roles.changed(Height(20), &validator(2), &table(2));
    roles.changed(Height(40), &validator(4), &table(4));
    roles.changed(Height(50), &standby(), &table(5));
    roles.changed(Height(60), &validator(6), &table(6));
    roles.changed(Height(70), &standby(), &table(7));
    roles.caught_up(true);
    told(&roles, 1).await;
    hooks.stop().await;
    lines.push("70 validator standby 7 0".to_owned());
    assert_eq!(place.lines(), lines);
}

#[tokio::test]
async fn a_change_that_no_hook_was_told_of_before_a_kill_is_told_with_its_height() {
    let mut place = Place::with_lines();
    // Heights of the last change at each start, and the first one that the node works on.
    for (since, height, role) in [
        (Some(0), 1, validator(0)),
        (Some(7), 9, standby()),
        // It was told already.
        (Some(7), 20, standby()),
        // It comes to be in effect later, or is not known.
        (None, 30, validator(2)),
    ] {
        place.since = since.map(Height);
        let hooks = place.start();
        let roles = hooks.roles();
        let before = place.record();
        roles.changed(Height(height), &role, &table(height));
        roles.caught_up(true);
        let is_news = before != roles.0.state().record;
        told(&roles, u64::from(is_news)).await;
        hooks.stop().await;
    }
    assert_eq!(
        place.lines(),
        ["1 unregistered validator 1 0", "7 validator standby 9 0", "30 standby validator 30 0"]
    );
}

#[tokio::test]
async fn a_change_that_was_being_told_when_the_process_was_killed_is_told_again_and_marked() {
    let place = Place::with_lines();
    // As the file is left behind by a kill: one is being told, one waits.
    let mut record = Record::default();
    for (height, role) in [(5, validator(0)), (9, standby())] {
        record.note(&Standing::new(Height(height), &role, &table(0)), &[Hook::Program]);
    }
    record.begin(Hook::Program).unwrap();
    record.store(&place.home.roles_path()).unwrap();
    let hooks = place.start();
    told(&hooks.roles(), 2).await;
    hooks.stop().await;
    assert_eq!(place.lines(), ["5 unregistered validator 0 1", "9 validator standby 0 0"]);
    assert_eq!(place.record().waiting(Hook::Program), 0);
}

#[tokio::test]
async fn what_is_to_be_told_is_durable_while_a_hook_runs_and_a_stop_does_not_wait_for_it() {
    let place = Place::new("echo > begun; sleep 600");
    let begun = place.pipe("begun");
    let hooks = place.start();
    let roles = hooks.roles();
    roles.caught_up(true);
    roles.changed(Height(1), &validator(0), &table(0));
    timeout(LIMIT, begun.readable()).await.expect("the program runs").unwrap();
    let mut written = roles.0.written.subscribe();
    roles.changed(Height(9), &standby(), &table(1));
    let both = written.wait_for(|record| record.waiting(Hook::Program) == 2);
    drop(timeout(LIMIT, both).await.expect("both are written down").unwrap());
    assert_eq!(place.record().waiting(Hook::Program), 2);
    let start = std::time::Instant::now();
    hooks.stop().await;
    assert!(start.elapsed() < LIMIT);
    let again = place.record().begin(Hook::Program).unwrap();
    assert!(again.again && again.new.height == Height(1), "{again:?}");
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_what_it_started_and_the_next_change_is_told() {
    let mut place = Place::new(
        "echo $TANDEM_HEIGHT >> lines; [ $TANDEM_HEIGHT = 9 ] || { exec 3> alive; sleep 600 & echo begun >&3; sleep 600; }",
    );
    place.config.timeout = Duration::from_secs(3);
    let mut alive = place.pipe("alive");
    let hooks = place.start();
    let roles = hooks.roles();
    roles.caught_up(true);
    roles.changed(Height(1), &validator(0), &table(0));
    roles.changed(Height(9), &standby(), &table(1));
    let figures = told(&roles, 2).await;
    assert_eq!((figures.done, figures.failed), (1, 1));
    hooks.stop().await;
    assert_eq!(place.lines(), ["1", "9"]);
    // It ends once nobody has the other end any more.
    let mut said = String::new();
    let gone = timeout(LIMIT, alive.read_to_string(&mut said)).await;
    gone.expect("what the program started is killed, too").unwrap();
    assert_eq!(said, "begun\n");
}

#[tokio::test]
async fn programs_that_fail_or_are_not_there_are_no_more_than_failures() {
    for (command, words) in [
        (vec!["/nonexistent/program"], "cannot be started"),
        (vec!["/bin/sh", "-c", "echo 'why: \u{1b}[31m' >&2; exit 3"], "exit status: 3: why: \\u"),
        (vec!["/bin/sh", "-c", "kill -9 $$"], "signal: 9"),
        (vec!["/bin/sh", "-c", "head -c 1000000 /dev/zero >&2; exit 1"], "exit status: 1"),
    ] {
        let mut place = Place::with_lines();
        place.config.role_change = command.iter().map(|part| (*part).to_owned()).collect();
        place.config.timeout = LIMIT;
        let node = Node { key: key(), chain_id: chain_id() };
        let program = Program::new(&place.config, &place.home, node).unwrap();
        let (old, new) = (Role::Unregistered, validator(0));
        let change = Change {
            old: Standing::new(Height(0), &old, &table(0)),
            new: Standing::new(Height(1), &new, &table(0)),
            again: false,
        };
        let error = program.run(&change).await.unwrap_err();
        assert!(error.contains(words), "{command:?}: {error}");
        assert!(!error.contains('\u{1b}') && error.len() < 20_000, "{error}");
    }
}

#[tokio::test]
async fn a_program_sees_what_it_needs_and_none_of_the_nodes_own_environment() {
    let place = Place::new("env > lines");
    let hooks = place.start();
    let roles = hooks.roles();
    roles.caught_up(true);
    roles.changed(Height(7), &validator(3), &table(3));
    told(&roles, 1).await;
    hooks.stop().await;
    let lines = place.lines();
    for line in [
        "TANDEM_OLD_ROLE=unregistered",
        "TANDEM_NEW_ROLE=validator",
        "TANDEM_TERM=3",
        "TANDEM_HEIGHT=7",
        "TANDEM_ORGANIZATION=alpha",
        "TANDEM_CHAIN_ID=testing",
        "TANDEM_AGAIN=0",
        &format!("TANDEM_NODE={}", key()),
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
    }
    // Cargo gives a test many of its own.
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:#?}");
}

/// What was posted, with the status that it was answered with.
type Posted = Arc<StdMutex<Vec<(u16, Value)>>>;

/// A server that refuses each change so many times before it takes it; its address.
async fn server(refusals: usize) -> (String, Posted) {
    let posted = Posted::default();
    let take = async move |Shared(posted): Shared<Posted>, body: String| {
        let body: Value = serde_json::from_str(&body).unwrap();
        let mut posted = posted.lock().unwrap();
        let before = posted.iter().filter(|(_, other)| other["id"] == body["id"]).count();
        let status = if before < refusals {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::NO_CONTENT
        };
        posted.push((status.as_u16(), body));
        status
    };
    let router = Router::new().route("/role", post(take)).with_state(posted.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/role?token=secret", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, posted)
}

#[tokio::test]
async fn a_webhook_gets_each_change_again_until_it_takes_it_and_in_order() {
    let (url, posted) = server(2).await;
    let mut place = Place::with_lines();
    place.config.role_change_webhook = url;
    let node = Node { key: key(), chain_id: chain_id() };
    let webhook = Webhook::new(&place.config, node).unwrap().impatient();
    let mut record = Record::default();
    for (height, role) in [(5, validator(0)), (9, standby())] {
        record.note(&Standing::new(Height(height), &role, &table(0)), &[Hook::Webhook]);
    }
    for _ in 0..2 {
        let change = record.begin(Hook::Webhook).unwrap();
        webhook.post(&change).await.unwrap();
        record.end(Hook::Webhook);
    }
    let posted = posted.lock().unwrap();
    let seen: Vec<(u16, &str)> =
        posted.iter().map(|(status, body)| (*status, body["height"].as_str().unwrap())).collect();
    assert_eq!(seen, [(503, "5"), (503, "5"), (204, "5"), (503, "9"), (503, "9"), (204, "9")]);
    let expected = serde_json::json!({
        "id": format!("testing-{}-9", key()),
        "chain_id": "testing",
        "node": key(),
        "organization": "alpha",
        "old_role": "validator",
        "new_role": "standby",
        "term": "0",
        "height": "9",
        "again": false,
    });
    assert_eq!(posted[5].1, expected);
}

#[tokio::test]
async fn a_webhook_that_is_not_there_is_given_up_and_its_url_stays_out_of_the_log() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config::Hooks {
        role_change_webhook: format!("http://{free}/x?token=secret"),
        ..config::Hooks::default()
    };
    let node = Node { key: key(), chain_id: chain_id() };
    let webhook = Webhook::new(&config, node).unwrap();
    let at = Standing::new(Height(1), &validator(0), &table(0));
    let change = Change { old: at.clone(), new: at, again: false };
    let error = webhook.impatient().post(&change).await.unwrap_err();
    assert!(error.contains("given up after 12 attempts"), "{error}");
    assert!(error.contains("refused") && !error.contains("secret"), "{error}");
}

#[test]
fn what_is_a_change() {
    let standing = |height, role: &Role| Standing::new(Height(height), role, &table(height));
    let other = Role::Observer { org: "beta".parse().unwrap() };
    let mut record = Record::default();
    let cases = [
        ("not registered, as it was before", 1, Role::Unregistered, false),
        ("the first role", 5, validator(5), true),
        ("another term", 6, validator(6), true),
        ("a height that is past", 6, standby(), false),
        ("another role", 8, standby(), true),
        ("a standby's term is none of its business", 9, standby(), false),
        ("another organisation", 10, other, true),
        ("removed", 11, Role::Unregistered, true),
    ];
    for (name, height, role, is_change) in cases {
        assert_eq!(record.note(&standing(height, &role), &[Hook::Program]), is_change, "{name}");
    }
    let mut found = Vec::new();
    while let Some(change) = record.begin(Hook::Program) {
        found.push((change.old.role, change.new.role, change.new.height.0));
        record.end(Hook::Program);
    }
    let expected = [
        (Unregistered, Validator, 5),
        (Validator, Validator, 6),
        (Validator, Standby, 8),
        (Standby, Observer, 10),
        (Observer, Unregistered, 11),
    ];
    assert_eq!(found, expected);
    assert_eq!(record.waiting(Hook::Webhook), 0);
}

#[test]
fn what_waits_is_bounded_and_what_is_being_told_is_not_given_up() {
    let mut record = Record::default();
    let note = |record: &mut Record, height: u64| {
        record.note(
            &Standing::new(Height(height), &validator(height), &table(height)),
            &[Hook::Program],
        );
    };
    note(&mut record, 1);
    record.begin(Hook::Program).unwrap();
    (2..=MAX_WAITING as u64 + 10).for_each(|height| note(&mut record, height));
    assert_eq!(record.waiting(Hook::Program), MAX_WAITING);
    let first = record.begin(Hook::Program).unwrap();
    assert_eq!((first.new.height, first.again), (Height(1), true));
    record.end(Hook::Program);
    assert_eq!(record.begin(Hook::Program).unwrap().new.height, Height(12));
}

/// Golden: what a node wrote is read by its next versions.
#[test]
fn the_file_is_as_it_is_described_and_one_that_is_none_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roles.json");
    assert_eq!(Record::load(&path).unwrap(), Record::default());
    let mut record = Record::default();
    record.note(&Standing::new(Height(7), &validator(3), &table(3)), &[Hook::Webhook]);
    record.begin(Hook::Webhook);
    record.store(&path).unwrap();
    let golden = serde_json::json!({
        "told": { "height": 7, "role": "validator", "organization": "alpha", "term": 3 },
        "program": [],
        "webhook": [{
            "old": { "height": 0, "role": "unregistered", "organization": null, "term": null },
            "new": { "height": 7, "role": "validator", "organization": "alpha", "term": 3 },
            "begun": true,
        }],
    });
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), golden);
    assert_eq!(Record::load(&path).unwrap(), record);
    for text in ["", "{}x", "{\"told\":7}", "{\"colour\":1}"] {
        std::fs::write(&path, text).unwrap();
        let error = Record::load(&path).unwrap_err().to_string();
        assert!(error.contains("roles.json") && error.contains("move it away"), "{error}");
    }
    let mut both = record.clone();
    both.note(&Standing::new(Height(9), &standby(), &table(4)), &[Hook::Program, Hook::Webhook]);
    both.keep(&[Hook::Program]);
    assert_eq!((both.waiting(Hook::Program), both.waiting(Hook::Webhook)), (1, 0));
}
