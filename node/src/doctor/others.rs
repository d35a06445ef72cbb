//! The other nodes: whether they are reached, and what their clocks say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};

use super::{Finding, Known};
use crate::client::{Client, Status};
use crate::config::Config;

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
    const CHECK: &str = "clock";
    const ADVICE: &str = "set it, and keep it set by NTP";
    let is_own = |status: &Status| Some(status.tandem.public_key) == node;
    let own = asked.iter().map(|(_, status)| status).find(|status| is_own(status));
    let alarm = own.and_then(|s| s.tandem.alarms.iter().find(|alarm| alarm.starts_with("clock")));
    if let Some(alarm) = alarm {
        return Finding::fail(CHECK, alarm.clone(), ADVICE);
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
            CHECK,
            format!("{}, before the genesis time", now().to_rfc3339()),
            &format!("the chain begins at {}: {ADVICE}", genesis.genesis_time.to_rfc3339()),
        );
    }
    let service = SERVICES.iter().find(|(file, _)| std::path::Path::new(file).exists());
    match service {
        Some((_, what)) => Finding::ok(CHECK, format!("{}: {what}", now().to_rfc3339())),
        None => Finding::warn(
            CHECK,
            format!(
                "{}: no node that makes blocks answers, to compare it with, and no service that sets it is \
                 seen",
                now().to_rfc3339()
            ),
            ADVICE,
        ),
    }
}

/// What a block's time and the moment in which it was first seen say of the clock.
pub(super) fn offset(block: Timestamp, seen: Timestamp, ahead: Duration, url: &str) -> Finding {
    const CHECK: &str = "clock";
    const ADVICE: &str = "set it, and keep it set by NTP";
    let (behind, late) = (block.since(seen), seen.since(block));
    let millis = |time: Duration| time.as_millis();
    if behind > ahead {
        let found = format!("at least {} ms behind that of a block at {url}", millis(behind));
        return Finding::fail(CHECK, found, ADVICE);
    }
    if late > CARRIED {
        let found = format!("up to {} ms ahead of that of a new block at {url}", millis(late));
        return Finding::warn(CHECK, found, ADVICE);
    }
    Finding::ok(
        CHECK,
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
    const CHECK: &str = "peers";
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
        return reached(CHECK, others.len(), &away, "connected with");
    }
    let addresses = addresses(known);
    if addresses.is_empty() {
        return Finding::warn(
            CHECK,
            "no other node's address is known here",
            "the genesis, p2p.bootstrap or p2p.dial have them; or the others have to dial this node",
        );
    }
    let tried = stream::iter(&addresses).map(|(key, places)| async move {
        let mut reason = String::new();
        for place in places {
            match connect(place).await {
                Ok(()) => return None,
                Err(error) => reason = format!("{key} at {place}: {error}"),
            }
        }
        Some(reason)
    });
    let away: Vec<String> =
        tried.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    reached(CHECK, addresses.len(), &away, "reached")
}

fn reached(check: &'static str, all: usize, away: &[String], how: &str) -> Finding {
    const ADVICE: &str =
        "are their nodes up? does a firewall let their peer port through, and yours?";
    let found = format!("{how} {} of {all} other nodes", all - away.len());
    if away.is_empty() {
        return Finding::ok(check, found);
    }
    let mut names: Vec<String> = away.iter().take(NAMED).cloned().collect();
    if away.len() > NAMED {
        names.push(format!("and {} more", away.len() - NAMED));
    }
    let named = names.join(", ");
    let found = format!("{found}; not {named}");
    if away.len() == all {
        Finding::fail(check, found, ADVICE)
    } else {
        Finding::warn(check, found, ADVICE)
    }
}

/// Where the others listen, as far as the home's files say.
fn addresses(known: &Known) -> BTreeMap<PublicKey, Vec<String>> {
    let Known { config, genesis, node } = known;
    let mut all: BTreeMap<PublicKey, Vec<String>> = BTreeMap::new();
    for node in genesis.iter().flat_map(|genesis| &genesis.organizations).flat_map(|org| &org.nodes)
    {
        all.entry(node.key).or_default().extend(node.addresses.iter().cloned());
    }
    for (key, places) in &config.p2p.bootstrap {
        all.entry(*key).or_default().extend(places.iter().cloned());
    }
    for (key, places) in &config.p2p.dial {
        all.insert(*key, places.clone());
    }
    all.retain(|key, places| Some(*key) != *node && !places.is_empty());
    all.into_iter().take(NODES_MAX).collect()
}

/// Opens a connection and closes it.
async fn connect(place: &str) -> Result<(), String> {
    let address: Multiaddr = place.parse().map_err(|_| "no multiaddress".to_owned())?;
    let (mut host, mut port) = (None, None);
    for part in &address {
        match part {
            Protocol::Ip4(ip) => host = Some(ip.to_string()),
            Protocol::Ip6(ip) => host = Some(ip.to_string()),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                host = Some(name.to_string());
            }
            Protocol::Tcp(number) => port = Some(number),
            _ => {}
        }
    }
    let Some((host, port)) = host.zip(port) else {
        return Err("no /ip4/…/tcp/… or /dns4/…/tcp/…".to_owned());
    };
    let attempt = async {
        let found: Vec<SocketAddr> =
            lookup_host((host.as_str(), port)).await.map_err(|error| error.to_string())?.collect();
        let mut last = "the name has no address".to_owned();
        for address in found {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    };
    let in_time = timeout(PATIENCE, attempt).await;
    in_time.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}
