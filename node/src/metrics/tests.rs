//! Scrapes of a node with a real chain, over real sockets.

#![expect(clippy::float_cmp, reason = "a scrape tells whole numbers and quarters, which are exact")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::MetricType;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::{Call, standby as standby_calls};
use tandem_chain::tip::Tip;
use tandem_chain::types::{Height, Term};
use tandem_consensus::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::timeout;

use super::blocks::{Blocks, Counts};
use super::table::{self as metric, ALL, Metric};
use super::{Setup, Sources, sample, serve};
use crate::admission::{self, Admission, Forward};
use crate::config::Instrumentation;
use crate::rpc::{Peer, Peers, Requests, bind};
use crate::testing::{self, Chain};
use crate::view::{Committed, NodeView};

struct Network;

impl Forward for Network {
    fn forward(&self, _: &[PublicKey], _: Arc<[u8]>) {}
}

impl Peers for Network {
    fn peers(&self) -> Vec<Peer> {
        let peer = |n: u8| Peer {
            key: testing::validator(n).public(),
            address: "/ip4/10.0.0.2/tcp/26656".to_owned(),
            ip: [10, 0, 0, 2].into(),
            is_outbound: true,
            connected_for: Duration::from_secs(10),
            round_trip: Some(Duration::from_micros(1_234)),
            received: 1_000 + u64::from(n),
            sent: 2_000,
        };
        vec![peer(1), peer(2)]
    }

    fn counters(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("stalls", 3),
            ("consensus_bytes_received", 10),
            ("consensus_bytes_sent", 11),
            ("transactions_bytes_received", 12),
            ("transactions_bytes_sent", 13),
        ])
    }
}

/// The first organisation's validator, with what its parts publish.
struct Node {
    chain: Chain,
    tip: watch::Sender<Arc<Tip>>,
    view: watch::Sender<Arc<NodeView>>,
    commits: broadcast::Sender<Arc<Committed>>,
    sources: Sources,
}

impl Node {
    fn new() -> Self {
        let chain = Chain::new();
        let me = testing::validator(0).public();
        let (tip, tip_receiver) = watch::channel(chain.tip());
        let role = Role::Validator { seat: "alpha".parse().unwrap(), term: Term(0) };
        let view = NodeView { role, catching_up: false, ..NodeView::default() };
        let (view, view_receiver) = watch::channel(Arc::new(view));
        let (commits, _) = broadcast::channel(2);
        let sources = Sources {
            me,
            db: chain.db.clone(),
            tip: tip_receiver.clone(),
            view: view_receiver,
            admission: Admission::start(admission::Setup {
                me,
                store: Arc::new(chain.db.clone()),
                tip: tip_receiver,
                threads: 1,
                network: Arc::new(Network),
            }),
            network: Arc::new(Network),
            requests: Arc::<Requests>::default(),
            roles: None,
            sink: None,
        };
        Self { chain, tip, view, commits, sources }
    }

    /// Commits a block in which the nodes that `seen` names are alive.
    fn commit_seen(&mut self, seen: impl Fn(&PublicKey) -> bool) {
        let committed = self.chain.commit_seen(Vec::new(), seen);
        self.tip.send_replace(committed.tip.clone());
        let _ = self.commits.send(Arc::new(committed));
    }

    fn scrape(&self, blocks: &Blocks) -> Scrape {
        let page = sample::take(&self.sources, blocks).unwrap();
        Scrape(page.text("tandem", "testing"))
    }
}

/// The text of a scrape.
struct Scrape(String);

impl Scrape {
    /// The values of a metric by its labels beside `chain_id`, as they stand there.
    fn values(&self, metric: &Metric) -> BTreeMap<String, f64> {
        let name = metric.full_name("tandem");
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(&format!("{name}{{")));
        let value = |line: &str| {
            let (labels, value) = line.split_once("} ").expect("labels and a value");
            let labels = labels.strip_prefix("chain_id=\"testing\"").expect("the chain is named");
            let labels = labels.strip_prefix(',').unwrap_or(labels);
            (labels.to_owned(), value.parse().expect("a number"))
        };
        lines.map(value).collect()
    }

    /// The value of a metric that has one.
    fn value(&self, metric: &Metric) -> f64 {
        let values = self.values(metric);
        assert_eq!(values.len(), 1, "{}: {values:?}", metric.name);
        values.into_values().next().unwrap()
    }
}

/// Waits until the follower has counted a block.
async fn counted(blocks: &Blocks, height: Height) {
    let mut counts = blocks.follow_counts();
    let is_there = |counts: &Counts| {
        counts.newest.as_ref().is_some_and(|newest| newest.block.header.height == height)
    };
    let counted = timeout(Duration::from_secs(30), counts.wait_for(is_there)).await;
    drop(counted.expect("it is counted in time").expect("there is a follower"));
}

#[tokio::test]
async fn every_metric_of_the_table_is_there_with_its_kind_and_its_labels() {
    let mut node = Node::new();
    (0..3).for_each(|_| node.commit_seen(|_| true));
    let scrape = node.scrape(&Blocks::new());
    let mut names = BTreeSet::new();
    for metric in ALL {
        let name = metric.full_name("tandem");
        let name = if metric.kind == MetricType::Info { format!("{name}_info") } else { name };
        assert!(names.insert(name.clone()), "{name} stands there twice");
        let kind = match metric.kind {
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
            _ => "gauge",
        };
        let lines: Vec<&str> = scrape.0.lines().collect();
        assert!(lines.contains(&format!("# TYPE {name} {kind}").as_str()), "{name}");
        assert!(lines.contains(&format!("# HELP {name} {}", metric.help).as_str()), "{name}");
        for labels in scrape.values(metric).into_keys().filter(|_| kind != "histogram") {
            let found: Vec<&str> = labels
                .split(',')
                .filter_map(|label| label.split_once('=').map(|(name, _)| name))
                .collect();
            assert_eq!(found, metric.labels, "{name}");
        }
    }
    let typed = scrape.0.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(typed, ALL.len(), "nothing but what is in the table");
}

#[tokio::test]
async fn seats_and_their_nodes_are_told_by_the_newest_record() {
    let mut node = Node::new();
    let scrape = node.scrape(&Blocks::new());
    for metric in [&metric::SEAT_TERM, &metric::ALIVE, &metric::STANDBY_ELIGIBLE] {
        assert!(scrape.values(metric).is_empty(), "no block yet: {}", metric.name);
    }
    let (validator, standby) = (testing::validator(0).public(), testing::standby(1).public());
    (0..5).for_each(|_| node.commit_seen(|key| *key != validator && *key != standby));
    let scrape = node.scrape(&Blocks::new());
    let of =
        |metric, org: &str| scrape.values(metric).get(&format!("organization=\"{org}\"")).copied();
    assert_eq!(of(&metric::STANDBY_ELIGIBLE, "alpha"), Some(1.0));
    assert_eq!(of(&metric::STANDBY_ELIGIBLE, "beta"), Some(0.0));
    assert!(of(&metric::RUN_BLOCKS, "alpha").unwrap() >= 3.0);
    assert!(of(&metric::BLOCKS_UNTIL_SWITCH, "alpha").unwrap() >= 1.0);
    assert_eq!(of(&metric::BLOCKS_UNTIL_SWITCH, "beta"), None, "no run is under way");
    assert_eq!(of(&metric::SEAT_DOWN, "alpha"), Some(0.0), "its standby will take it");
    assert_eq!(of(&metric::SEAT_TERM, "gamma"), Some(0.0));
    let alive = scrape.values(&metric::ALIVE);
    assert_eq!((alive.len(), alive.values().sum::<f64>()), (8, 6.0));
    let id = hex::encode(standby.address().as_bytes());
    assert_eq!(alive[&format!("organization=\"beta\",node_id=\"{id}\"")], 0.0);
    assert_eq!(scrape.value(&metric::HEIGHT), 5.0);
    assert_eq!(scrape.values(&metric::PEER_RECEIVED).len(), 2);
    assert_eq!(scrape.values(&metric::RECEIVED)["message_type=\"transactions\""], 12.0);
    assert_eq!(
        scrape.values(&metric::NETWORK_EVENTS),
        [("event=\"stalls\"".to_owned(), 3.0)].into()
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_by_part() {
    let node = Node::new();
    let view = NodeView {
        catching_up: true,
        alarms: vec!["clock: it is off".to_owned()],
        clock_offset_ms: Some(-250),
        clocks_ahead: vec!["delta".parse().unwrap()],
        role: Role::Unregistered,
        ..NodeView::default()
    };
    node.view.send_replace(Arc::new(view));
    let scrape = node.scrape(&Blocks::new());
    assert_eq!(scrape.value(&metric::HEALTHY), 0.0);
    let faults = scrape.values(&metric::FAULTS);
    for (part, n) in [("sync", 1.0), ("clock", 1.0), ("key", 0.0), ("driver", 0.0)] {
        assert_eq!(faults[&format!("part=\"{part}\"")], n, "{part}");
    }
    assert_eq!(scrape.value(&metric::CLOCK_OFFSET), -0.25);
    let ahead = scrape.values(&metric::SEAT_CLOCK_AHEAD);
    assert_eq!(ahead["organization=\"delta\""], 1.0);
    assert_eq!(ahead.values().sum::<f64>(), 1.0);
    let roles = scrape.values(&metric::ROLE);
    assert_eq!((roles["role=\"unregistered\""], roles.values().sum::<f64>()), (1.0, 1.0));
    assert_eq!(scrape.value(&metric::SYNCING), 1.0);
}

#[tokio::test]
async fn blocks_are_counted_once_each_also_those_that_the_follower_missed() {
    let mut node = Node::new();
    let blocks = Arc::new(Blocks::new());
    // Before it begins to follow: the channel holds two blocks, the others are to be read.
    let commits = node.commits.subscribe();
    node.commit_seen(|_| true);
    let follow = Arc::clone(&blocks).follow(node.sources.me, node.chain.db.clone(), commits);
    let follower = tokio::spawn(follow);
    counted(&blocks, Height(1)).await;
    let tx = node.chain.create(1);
    let committed = node.chain.commit(vec![tx]);
    // Nobody is told of block 2, and of those behind it while the follower has no turn to run.
    drop(committed);
    (0..6).for_each(|_| node.commit_seen(|_| true));
    counted(&blocks, Height(8)).await;
    let scrape = node.scrape(&blocks);
    assert_eq!(scrape.value(&metric::TOTAL_TXS), 1.0);
    assert!(scrape.0.contains("consensus_block_interval_seconds_count{chain_id=\"testing\"} 7\n"));
    assert_eq!(scrape.value(&metric::MISSING_VALIDATORS), 0.0);
    assert_eq!(scrape.values(&metric::LAST_SIGNED_HEIGHT).into_values().next(), Some(7.0));
    assert!(scrape.value(&metric::BLOCK_SIZE) > 500.0);
    assert_eq!(scrape.value(&metric::NUM_TXS), 0.0);

    let call = standby_calls::Call::Switch {
        seat: "alpha".parse().unwrap(),
        target: testing::standby(0).public(),
        term: Term(0),
    };
    let tx = node.chain.sign(&testing::admin(0), 9, Call::Standby(call));
    let committed = node.chain.commit(vec![tx]);
    assert!(committed.receipts[1].is_ok(), "{:?}", committed.receipts);
    node.tip.send_replace(committed.tip.clone());
    node.commits.send(Arc::new(committed)).unwrap();
    counted(&blocks, Height(9)).await;
    let switches = node.scrape(&blocks).values(&metric::SWITCHES);
    assert_eq!((switches["reason=\"planned\""], switches.values().sum::<f64>()), (1.0, 1.0));
    let Node { commits, .. } = node;
    drop(commits);
    follower.await.unwrap();
}

/// A server of one connection at a time, and its address.
fn served(node: Node) -> (String, oneshot::Sender<()>) {
    let listener = bind(([127, 0, 0, 1], 0).into(), "key").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = Instrumentation {
        max_open_connections: 1,
        namespace: "cometbft".to_owned(),
        ..Instrumentation::default()
    };
    let chain_id = node.chain.genesis.chain_id.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let Node { commits, sources, chain: _chain, tip: _tip, view: _view } = node;
        let setup = Setup { config, chain_id, commits: commits.subscribe(), sources };
        serve(listener, setup, async {
            let _ = stopped.await;
        })
        .await;
    });
    (address, stop)
}

#[tokio::test]
async fn a_scrape_is_in_prometheus_format_and_who_sits_on_a_connection_keeps_others_waiting() {
    let (address, stop) = served(Node::new());
    let idle = TcpStream::connect(&address).await.unwrap();
    let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut second = TcpStream::connect(&address).await.unwrap();
    second.write_all(ask).await.unwrap();
    // The first has the only place, until it goes.
    drop(idle);
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("\ncometbft_consensus_height{chain_id=\"testing\"} 0"), "{answer}");
    let other = reqwest::get(format!("http://{address}/other")).await.unwrap();
    assert_eq!(other.status(), 404);
    let root = reqwest::get(format!("http://{address}/")).await.unwrap();
    assert!(root.text().await.unwrap().contains("/metrics"));
    stop.send(()).unwrap();
}

/// A file of `docs/operations`.
fn document(name: &str) -> String {
    let path = format!("{}/../docs/operations/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn dashboard_and_rules_ask_for_metrics_that_there_are_by_labels_that_they_have() {
    let known: BTreeMap<String, &Metric> =
        ALL.iter().map(|metric| (metric.full_name("tandem"), metric)).collect();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let of_all = ["chain_id", "instance", "job", "le"];
    for file in ["dashboard.json", "alerts.yml", "alerts.test.yml"] {
        let text = document(file);
        let mut found = 0;
        for (at, _) in text.match_indices("tandem_") {
            // In the middle of a name, as of `tandem_tandem_x`, or of a uid.
            if text[..at].ends_with(is_of_name) {
                continue;
            }
            let rest = &text[at..];
            let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            if name == "tandem_" {
                continue;
            }
            let parts = ["_bucket", "_count", "_sum"].map(|part| name.strip_suffix(part));
            let name = parts
                .into_iter()
                .flatten()
                .find(|name| known.get(*name).is_some_and(|m| m.kind == MetricType::Histogram))
                .unwrap_or(name);
            let metric = known.get(name).unwrap_or_else(|| panic!("{file}: there is no {name}"));
            found += 1;
            let Some(labels) = rest.strip_prefix('{').and_then(|rest| rest.split('}').next())
            else {
                continue;
            };
            for label in labels.split(", ").filter_map(|label| label.split(['=', '!']).next()) {
                let label = label.trim();
                let is_there = metric.labels.contains(&label) || of_all.contains(&label);
                assert!(is_there, "{file}: {name} has no label {label}");
            }
        }
        assert!(found > 10, "{file}: {found} names are found");
    }
}

#[test]
fn the_page_for_operators_has_every_metric_and_every_alert() {
    let page = document("monitoring.md");
    for metric in ALL {
        let (kind, suffix) = match metric.kind {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Info => ("gauge", "_info"),
            MetricType::Histogram => ("histogram", ""),
            _ => ("gauge", ""),
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels, help) = (metric.name, labels.join(", "), metric.help);
        let line = format!("| `{name}{suffix}` | {kind} | {labels} | {help} |");
        assert!(
            page.lines().any(|found| found == line),
            "docs/operations/monitoring.md lacks\n{line}"
        );
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, ALL.len(), "a metric that is none any more");
    let alerts = document("alerts.yml");
    let alerts: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let is_explained =
            page.lines().filter_map(|line| line.strip_prefix("| Tandem")).any(|row| {
                row.split(" | ").next().is_some_and(|cell| {
                    format!("Tandem{cell}").split(", ").any(|name| name == alert)
                })
            });
        assert!(is_explained, "docs/operations/monitoring.md does not explain {alert}");
    }
}
