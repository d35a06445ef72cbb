//! A new machine, from the invitation to a node that follows: one command a side.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use tandem_chain::modules::{Call, records};
use tandem_node::client::{Client, prepare};
use tandem_node::home::{KeyFile, Passphrases};

use crate::support::{Desk, Node};

const ADMIN: &str = "--admin-key alpha-admin.json";

/// Loopback ports that nobody listens on now, below those that the system gives to whoever asks for
/// any.
fn free_ports<const N: usize>() -> [u16; N] {
    let free = || {
        let ports = std::iter::repeat_with(|| rand::random_range(10_000..32_000));
        ports.map(|port: u16| TcpListener::bind(("127.0.0.1", port))).find_map(Result::ok)
    };
    // All are held until the last is found.
    let held = [(); N].map(|()| free().expect("there are thousands"));
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn at(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}")
}

/// A network of one validator, which is reached at this port, and says so on the chain.
async fn member(desk: &Desk, port: u16) -> Node<'_> {
    desk.network(&["alpha"]).await;
    let config = desk.read("alpha/config/config.toml");
    desk.write("alpha/config/config.toml", &config.replace("/tcp/0\"", &format!("/tcp/{port}\"")));
    let node = desk.start("alpha", "").await;
    let set = format!("node address set {} --key alpha/config/node_key.json", at(port));
    node.run(&set).await.done();
    node
}

async fn token(node: &Node<'_>, options: &str) -> String {
    let answer = node.run(&format!("node invite {ADMIN} {options} --json")).await.json();
    assert_eq!(answer["genesis_hash"].as_str().map(str::len), Some(64));
    answer["token"].as_str().unwrap().to_owned()
}

async fn height(node: &Node<'_>) -> u64 {
    let status = node.run("status --json").await.json();
    status["sync_info"]["latest_block_height"].as_str().unwrap().parse().unwrap()
}

/// The entry of a node in the list of a node, by its key.
async fn entry(node: &Node<'_>, key: &str) -> Option<Value> {
    let found = node.run("node list --json").await.json();
    let nodes = found["nodes"].as_array().unwrap().clone();
    nodes.into_iter().find(|node| node["key"] == key)
}

/// Asks again and again until the answer is as wanted.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("{what}: it does not hold in time"));
}

fn json_log(desk: &Desk, home: &str) {
    let config = format!("{home}/config/config.toml");
    let plain = desk.read(&config);
    desk.write(&config, &plain.replace("format = \"plain\"", "format = \"json\""));
}

#[tokio::test]
async fn a_machine_joins_by_one_command_a_side_and_follows() {
    let desk = Desk::new();
    let [own, other, third] = free_ports();
    let node = member(&desk, own).await;
    let token = token(&node, "").await;
    let join = |home: &str, port| {
        let at = at(port);
        format!("join {token} {at} --rpc-listen 127.0.0.1:0 --no-start --json --home {home}")
    };
    let joined = desk.run(&join("a2", other)).await.json();
    assert_eq!(joined["organization"], "alpha");
    assert_eq!(desk.read("a2/config/genesis.json"), desk.read("genesis.json"));
    let key = joined["public_key"].as_str().unwrap();
    let standby = entry(&node, key).await.expect("it is in the register");
    assert_eq!(
        (&standby["role"], &standby["addresses"][0]),
        (&"standby".into(), &at(other).into())
    );

    json_log(&desk, "a2");
    let second = desk.start("a2", "").await;
    until("it is recorded alive", async || {
        entry(&node, key).await.is_some_and(|entry| entry["alive"] == true)
    })
    .await;
    let status = second.run("status --json").await.json();
    assert_eq!(status["tandem"]["role"], "standby");
    node.run("switch alpha --key alpha-admin.json").await.done();
    until("it holds the seat", async || {
        second.run("status --json").await.json()["tandem"]["role"] == "validator"
    })
    .await;

    // What the token was good for has been done.
    let error = desk.run(&join("a3", third)).await.failed_json(3);
    assert!(error.contains("was used by node") && error.contains(key), "{error}");
    // Its join is over: the same command starts it, or would.
    assert!(!desk.path("a2/config/join.json").exists());
    second.stop().await;
    let again = desk.run(&join("a2", other)).await.json();
    assert_eq!(again["public_key"], key);
}

#[tokio::test]
async fn a_join_goes_on_where_it_was_stopped_and_the_node_may_start_at_once() {
    let desk = Desk::new();
    let [own, other] = free_ports();
    let node = member(&desk, own).await;
    let token = token(&node, "--observer").await;
    desk.write("token", &token);
    let options = format!("@token {} --rpc-listen 127.0.0.1:0 --home a2", at(other));
    let text = desk.run(&format!("join {options} --no-start")).await.stderr(0);
    for word in ["node key made", "received by member", "genesis fetched", "registration sent"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // It has not started yet, and asks again.
    assert!(desk.path("a2/config/join.json").exists());
    let text = desk.run(&format!("join {options} --no-start")).await.stderr(0);
    assert!(text.contains("going on with node key") && text.contains("in the register"), "{text}");
    assert!(!text.contains("registration sent"), "{text}");
    assert_eq!(desk.read("a2/config/genesis.json"), desk.read("genesis.json"));

    let key = desk.run("keys show --home a2").await.done();
    json_log(&desk, "a2");
    let second = desk.start("a2", "").await;
    until("it is connected", async || {
        entry(&node, key.trim()).await.is_some_and(|entry| entry["connected"] == true)
    })
    .await;
    // Removed, it loses its connection, and the chain goes on.
    node.run(&format!("node remove {} --key alpha-admin.json", key.trim())).await.done();
    until("it has no peer", async || {
        second.run("status --json").await.json()["tandem"]["peers"] == 0
    })
    .await;
    assert_eq!(entry(&node, key.trim()).await, None);
    second.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_named() {
    let desk = Desk::new();
    let [own, nobody] = free_ports();
    let node = member(&desk, own).await;
    node.fail(&format!("node invite {ADMIN} --replace {}", "AB".repeat(32)), 1, &["none of alpha"])
        .await;
    let other = format!("node invite {ADMIN} --genesis-hash {}", "AB".repeat(32));
    node.fail(&other, 1, &["has genesis", "ask one of this chain"]).await;
    node.fail("node invite --admin-key alpha-user.json", 1, &["no organisation's admin key"]).await;
    let good = token(&node, "--observer").await;
    let cut = &good[..good.len() - 3];
    for (token, words) in [
        ("hello", &["tandem1_", "tandem node invite"][..]),
        (cut, &["checksum", "copy it whole"]),
        ("tandem1_@@", &["'@'", "place 9"]),
    ] {
        desk.fail(&format!("join {token} --no-start --home a2"), 2, words).await;
        assert!(!desk.path("a2").exists(), "{token}");
    }
    desk.fail(&format!("join {good} 127.0.0.1:1 --no-start --home a2"), 1, &["/tcp/PORT"]).await;
    assert!(!desk.path("a2").exists());

    // An address that nobody listens on, when the member has gone.
    let late = token(&node, "--observer --valid 100ms").await;
    let invited_at = height(&node).await;
    // Blocks of an idle chain are 100 ms apart at least.
    until("it has expired", async || height(&node).await > invited_at + 3).await;
    let line = format!("join {late} {} --rpc-listen 127.0.0.1:0 --no-start --home a3", at(nobody));
    let error = desk.run(&format!("{line} --json")).await.failed_json(3);
    assert!(error.contains("invitation expired at 2"), "{error}");
    let text = desk.run(&line).await.stderr(3);
    assert!(
        text.contains("going on with node key") && text.contains("ask for a new one"),
        "{text}"
    );
    node.stop().await;
    let quick = "--rpc-listen 127.0.0.1:0 --no-start --timeout 300ms";
    let line = format!("join {good} {} {quick} --home a4", at(nobody));
    let error = desk.run(&format!("{line} --json")).await.failed_json(4);
    assert!(error.contains("no member of the token"), "{error}");
    assert!(error.contains("is not reachable"), "{error}");
    // That nobody will dial it is told.
    let line = format!("join {good} --listen /ip4/127.0.0.1/tcp/0 {quick} --home a5");
    let text = desk.run(&line).await.stderr(4);
    assert!(text.contains("no ADDRESS is given"), "{text}");
}

/// Has blocks made, one after another, until there are so many: of an idle chain that would take long.
async fn grow(desk: &Desk, node: &Node<'_>, blocks: u64) {
    let key = KeyFile::load(&desk.path("alpha-user.json"), &Passphrases::none()).unwrap();
    let client = Client::new(node.url()).unwrap();
    let data_set = || "grown".parse().unwrap();
    let prepare = |call| prepare(&client, &key, Call::Records(call), 5_000);
    let create = prepare(records::Call::Create { data_set: data_set() }).await.unwrap();
    client.broadcast_tx_sync(create.bytes()).await.unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(120);
    for number in 0_u32.. {
        let (key, value) = (number.to_be_bytes().to_vec(), b"small".to_vec());
        let put = records::Call::Put {
            data_set: data_set(),
            key,
            content_type: None,
            value,
            expected: None,
        };
        let tx = prepare(put).await.unwrap();
        assert_eq!(client.broadcast_tx_sync(tx.bytes()).await.unwrap().code, 0);
        if number.is_multiple_of(32)
            && client.status().await.unwrap().sync_info.latest_block_height.0 >= blocks
        {
            return;
        }
        assert!(std::time::Instant::now() < until, "blocks are not made in time");
    }
}

#[tokio::test]
async fn a_machine_that_joins_a_long_chain_restores_a_snapshot_and_follows() {
    let desk = Desk::new();
    let [own, other, rpc] = free_ports();
    let node = member(&desk, own).await;
    let put = "tx record put grown oil 81.20 --key alpha-user.json --json";
    grow(&desk, &node, 1_010).await;
    assert_eq!(node.run(put).await.json()["code"], 0);
    let taken = node.run("snapshot create --home alpha --json").await.json();
    // The token names the block above it.
    let invited = node.run(&format!("node invite {ADMIN} --json")).await.json();
    assert_eq!(invited["trust"], taken["proof"]);
    let token = invited["token"].as_str().unwrap();
    let options = format!("--rpc-listen 127.0.0.1:{rpc} --no-start --json --home a2");
    desk.run(&format!("join {token} {} {options}", at(other))).await.json();
    assert!(desk.read("a2/config/config.toml").contains(taken["proof"].as_str().unwrap()));
    json_log(&desk, "a2");
    // On a full disk it ends in the midst of the restore, and goes on when there is room.
    let error = desk.run_bounded("start --home a2", 128).await.stderr(1);
    for word in ["the restore has stopped", "File too large", "make room", "goes on"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    desk.fail("db stats --home a2", 1, &["a part of the state"]).await;
    let newcomer = desk.start("a2", "").await;
    let height: u64 = taken["height"].as_str().unwrap().parse().unwrap();
    // It is gone for a moment, while it restores.
    let earliest = async || {
        let client = Client::new(newcomer.url()).unwrap();
        let status: Value = client.call("status", Value::Null).await.ok()?;
        status["sync_info"]["earliest_block_height"].as_str()?.parse::<u64>().ok()
    };
    until("the state is restored", async || earliest().await == Some(height)).await;
    assert_eq!(newcomer.run("query record grown oil").await.done(), "81.20");
    let tip = self::height(&node).await;
    until("it follows", async || self::height(&newcomer).await > tip).await;
    until("its join is over", async || !desk.path("a2/config/join.json").exists()).await;
    let listed = desk.run("snapshot list --home a2 --json").await.json();
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(0), "it has taken none");
    let log = newcomer.stop().await;
    assert!(log.contains("a snapshot is restored"), "{log}");
    node.stop().await;
}
