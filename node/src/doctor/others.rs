//! The other nodes: whether they are reached, and what their clocks say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use libp2p::Multiaddr;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Finding, Known};
use crate::client::{Client, Status};
use crate::config::Config;
use crate::network::{Configured, resolve, socket};

const CLOCK: &str = "clock";
const PEERS: &str = "peers";
/// What to do about a clock that is wrong.
const SET_IT: &str = "set it, and keep it set by NTP";
/// Time for one answer, or one connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time in which a chain that runs makes a block, and between two looks for it.
const BLOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// Connections that are tried at once, and nodes that are tried at all.
const AT_ONCE: usize = 16;
const NODES_MAX: usize = 256;
/// Nodes that are named.
const NAMED: usize = 5;
/// How much older a block may be, when it comes, than its time: proposing, voting, carrying it here.
const CARRIED: Duration = Duration::from_secs(3);
/// Files by which services that keep the clock show that they run.
const SERVICES: [(&str, &str); 4] = [
    ("/run/systemd/timesync/synchronized", "systemd-timesyncd has set it"),
    ("/run/chrony/chronyd.pid", "chrony runs"),
    ("/run/chronyd.pid", "chrony runs"),
    ("/run/ntpd.pid", "ntpd runs"),
];

/// The nodes that answer, each once; the home's own is tried where its configuration says.
pub(super) async fn ask(clients: &[Client], config: &Config) -> Vec<(Client, Status)> {
    let mut listen = config.rpc.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let own = (listen.port() != 0).then(|| Client::new(&listen.to_string()).ok()).flatten();
    let mut found: Vec<(Client, Status)> = Vec::new();
    for client in clients.iter().chain(&own) {
        let Ok(Ok(status)) = timeout(PATIENCE, client.status()).await else { continue };
        let key = status.tandem.public_key;
        if found.iter().all(|(_, other)| other.tandem.public_key != key) {
            found.push((client.clone(), status));
        }
    }
    found
}

/// This machine's clock, by that of the others where one is reached.
pub(super) async fn clock(
    asked: &[(Client, Status)],
    node: Option<PublicKey>,
    genesis: Option<&Genesis>,
    now: fn() -> Timestamp,
) -> Finding {
    let is_own = |status: &Status| Some(status.tandem.public_key) == node;
    let own = asked.iter().map(|(_, status)| status).find(|status| is_own(status));
    let alarm = own.and_then(|s| s.tandem.alarms.iter().find(|alarm| alarm.starts_with("clock")));
    if let Some(alarm) = alarm {
        return Finding::fail(CLOCK, alarm.clone(), SET_IT);
    }
    // Other nodes first: one's own tells its own time in its turns.
    let mut order: Vec<&(Client, Status)> = asked.iter().collect();
    order.sort_by_key(|(_, status)| is_own(status));
    for (client, status) in order {
        if let Some((block, seen)) = next_block(client, status, now).await {
            let ahead = genesis
                .map_or(Duration::from_millis(500), |genesis| genesis.parameters.max_clock_ahead());
            return offset(block, seen, ahead, client.url());
        }
    }
    if let Some(genesis) = genesis.filter(|genesis| genesis.genesis_time > now()) {
        return Finding::warn(
            CLOCK,
            format!("{}, before the genesis time", now().to_rfc3339()),
            &format!("the chain begins at {}: {SET_IT}", genesis.genesis_time.to_rfc3339()),
        );
    }
    let service = SERVICES.iter().find(|(file, _)| std::path::Path::new(file).exists());
    match service {
        Some((_, what)) => Finding::ok(CLOCK, format!("{}: {what}", now().to_rfc3339())),
        None => Finding::warn(
            CLOCK,
            format!(
                "{}: no node that makes blocks answers, to compare it with, and no service that sets it is \
                 seen",
                now().to_rfc3339()
            ),
            SET_IT,
        ),
    }
}

/// What a block's time and the moment in which it was first seen say of the clock.
pub(super) fn offset(block: Timestamp, seen: Timestamp, ahead: Duration, url: &str) -> Finding {
    let (behind, late) = (block.since(seen), seen.since(block));
    let millis = |time: Duration| time.as_millis();
    if behind > ahead {
        let found = format!("at least {} ms behind that of a block at {url}", millis(behind));
        return Finding::fail(CLOCK, found, SET_IT);
    }
    if late > CARRIED {
        let found = format!("up to {} ms ahead of that of a new block at {url}", millis(late));
        return Finding::warn(CLOCK, found, SET_IT);
    }
    Finding::ok(
        CLOCK,
        format!("as that of a new block at {url}, which came within {} ms", millis(late)),
    )
}

/// Time of a node's next block, and the moment in which it is there.
async fn next_block(
    client: &Client,
    status: &Status,
    now: fn() -> Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let before = status.sync_info.latest_block_height;
    // Blocks that are fetched are old.
    if status.sync_info.catching_up {
        return None;
    }
    let end = Instant::now() + BLOCK_PATIENCE;
    while Instant::now() < end {
        let status = timeout(PATIENCE, client.status()).await.ok()?.ok()?;
        if status.sync_info.latest_block_height > before {
            return Some((status.sync_info.time().ok()?, now()));
        }
        sleep(LOOK).await;
    }
    None
}

/// Whether the others are reached: as the node that runs says, else by trying where they listen.
pub(super) async fn peers(known: &Known, own: Option<&Client>) -> Finding {
    if let Some(client) = own
        && let Ok(Ok(nodes)) = timeout(PATIENCE, client.nodes()).await
    {
        let others: Vec<_> =
            nodes.nodes.into_iter().filter(|other| Some(other.key) != known.node).collect();
        let away: Vec<String> = others
            .iter()
            .filter(|other| !other.connected)
            .map(|other| format!("{} of {}", other.key, other.organization))
            .collect();
        return reached(others.len(), &away, "connected with");
    }
    let addresses = addresses(known);
    if addresses.is_empty() {
        return Finding::warn(
            PEERS,
            "no other node's address is known here",
            "the genesis, p2p.bootstrap or p2p.dial have them; or the others have to dial this node",
        );
    }
    let all = addresses.len();
    let tried = stream::iter(addresses).map(|(key, places)| async move {
        connect(places).await.err().map(|reason| format!("{key}: {reason}"))
    });
    let away: Vec<String> =
        tried.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    reached(all, &away, "reached")
}

fn reached(all: usize, away: &[String], how: &str) -> Finding {
    const ADVICE: &str =
        "are their nodes up? does a firewall let their peer port through, and yours?";
    let found = format!("{how} {} of {all} other nodes", all - away.len());
    if away.is_empty() {
        return Finding::ok(PEERS, found);
    }
    let mut names: Vec<String> = away.iter().take(NAMED).cloned().collect();
    if away.len() > NAMED {
        names.push(format!("and {} more", away.len() - NAMED));
    }
    let named = names.join(", ");
    let found = format!("{found}; not {named}");
    if away.len() == all {
        Finding::fail(PEERS, found, ADVICE)
    } else {
        Finding::warn(PEERS, found, ADVICE)
    }
}

/// Where the others listen, as far as the home's files say.
fn addresses(known: &Known) -> BTreeMap<PublicKey, Vec<Multiaddr>> {
    let Known { config, genesis, node } = known;
    let p2p = &config.p2p;
    let configured = Configured { dial: p2p.dial.clone(), bootstrap: p2p.bootstrap.clone() };
    let nodes =
        genesis.iter().flat_map(|genesis| &genesis.organizations).flat_map(|org| &org.nodes);
    let in_genesis: BTreeMap<&PublicKey, &[String]> =
        nodes.map(|node| (&node.key, &node.addresses[..])).collect();
    let keys: BTreeSet<&PublicKey> = in_genesis.keys().copied().chain(configured.nodes()).collect();
    let others = keys.into_iter().filter(|key| Some(**key) != *node).map(|key| {
        let in_genesis = in_genesis.get(key).copied().unwrap_or_default();
        (*key, configured.addresses_of(key, in_genesis))
    });
    others.filter(|(_, places)| !places.is_empty()).take(NODES_MAX).collect()
}

/// Opens a connection to one of a node's addresses, and closes it.
async fn connect(places: Vec<Multiaddr>) -> Result<(), String> {
    let late = || format!("no answer within {} s", PATIENCE.as_secs());
    let resolved = timeout(PATIENCE, resolve(places)).await;
    let resolved = resolved.map_err(|_| format!("the names of its addresses: {}", late()))?;
    let mut reason = "the names of its addresses are unknown".to_owned();
    for place in resolved {
        // Behind them may stand whose address it is.
        let start: Multiaddr = place.iter().take(2).collect();
        let Some(socket) = socket(&start) else {
            reason = format!("{place} is no address of TCP");
            continue;
        };
        match timeout(PATIENCE, TcpStream::connect(socket)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => reason = format!("{place}: {error}"),
            Err(_) => reason = format!("{place}: {}", late()),
        }
    }
    Err(reason)
}
