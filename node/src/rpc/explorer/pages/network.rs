//! Who is connected to this node, and who sees whom by the newest record.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{Markup, html};
use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Height;

use super::{Asked, Nav, Page, block, members};
use crate::rpc::error::RpcError;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::live;
use crate::rpc::explorer::parts::{self, Tone, badge, foreign, panel};
use crate::rpc::shapes::tandem::{NodeEntry, Nodes};
use crate::rpc::state::{Peer, RpcState};

/// Nodes in the table of who sees whom.
const MAX_SEEN: usize = 40;
/// Nodes and connections that are listed.
const MAX_LISTED: usize = 200;

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let rpc = visit.rpc();
    let all: Nodes = visit.ask("nodes", json!({})).await?;
    // As `net_info` tells them.
    visit.reader("net_info").await?;
    let peers = rpc.network.peers();
    let (tip, me) = (rpc.tip(), rpc.me);
    let newest = tip.height;
    let sight = if newest == Height::ZERO {
        html! { p.empty { "There is no block yet." } }
    } else {
        visit.read(move |_, rpc| sight(rpc, newest)).await?
    };
    let orgs: BTreeMap<PublicKey, &NodeEntry> = all.nodes.iter().map(|n| (n.key, n)).collect();
    let rows: Vec<Vec<Markup>> =
        peers.iter().take(MAX_LISTED).map(|peer| row(peer, &orgs)).collect();
    let listed: Vec<&NodeEntry> = all.nodes.iter().take(MAX_LISTED).collect();
    let more = |count: usize| {
        html! {
            @if count > MAX_LISTED { p.muted { "The first " (MAX_LISTED) " of " (count) "." } }
        }
    };
    let here = orgs.get(&me);
    let body = html! {
        (parts::heading("Network", Some(html! {
            "As this node knows it: " (parts::key(&me))
            @if let Some(node) = here { ", a " (node.role) " of " (parts::org(&node.organization)) }
            ". Other nodes see it their own way."
        })))
        (panel("Connections of this node", None, live("peers", html! {
            (parts::table("Connections", &["Organisation", "Node", "Direction", "For", "Round trip", "Received", "Sent", "Address"], &rows))
            (more(peers.len()))
        })))
        (panel("Who sees whom", None, live("sight", sight)))
        (panel("Registered nodes", None, live("nodes", html! { (members::nodes(&listed, true)) (more(all.nodes.len())) })))
    };
    Ok(Page { title: "Network".to_owned(), nav: Nav::Network, poll: Some(2_000), body })
}

fn row(peer: &Peer, orgs: &BTreeMap<PublicKey, &NodeEntry>) -> Vec<Markup> {
    // Behind it stands the key in another form.
    let address = peer.address.split("/p2p/").next().unwrap_or_default();
    let seconds = u64::try_from(peer.connected_for.as_millis()).unwrap_or(u64::MAX);
    vec![
        html! {
            @if let Some(node) = orgs.get(&peer.key) {
                (parts::org(&node.organization)) " " span.muted { (node.role) }
            } @else { span.muted { "not registered" } }
        },
        parts::key(&peer.key),
        badge(Tone::Plain, if peer.is_outbound { "from here" } else { "to here" }),
        html! { span.num { (parts::millis(seconds)) } },
        html! { span.num { @if let Some(time) = peer.round_trip { (in_millis(time)) } @else { "–" } } },
        html! { span.num { (parts::bytes(peer.received)) } },
        html! { span.num { (parts::bytes(peer.sent)) } },
        html! { span.address { (foreign(address)) } },
    ]
}

/// With as many digits as mean something.
fn in_millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// For each validator that signed the newest record, which nodes it had seen.
fn sight(rpc: &RpcState, height: Height) -> Result<Markup, RpcError> {
    let tip = rpc.tip();
    let Some(certified) = rpc.db.block(height)? else { return Err(rpc.not_available(height)) };
    let (commit, record) = (&certified.block.last_commit, &certified.block.record.record);
    let Some(nodes) = block::nodes_of(rpc, &certified.block) else {
        return Ok(
            html! { p.empty { "The newest record has no names here: the register is changing, or it is the first block." } },
        );
    };
    let org_of = |key: &PublicKey| tip.register.nodes.get(key).map(|node| node.org.to_string());
    let observers: Vec<(String, &tandem_chain::liveness::Observation)> =
        (commit.signatures.iter().zip(&record.observations))
            .filter_map(|(sig, seen)| {
                let address = sig.as_ref()?.address;
                let key = nodes.iter().find(|key| key.address() == address);
                let name =
                    key.and_then(&org_of).unwrap_or_else(|| parts::short(&address.to_string()));
                Some((name, seen.as_ref()?))
            })
            .take(MAX_SEEN)
            .collect();
    let mut heads = vec!["Node", "Record"];
    heads.extend(observers.iter().map(|(name, _)| name.as_str()));
    let rows: Vec<Vec<Markup>> = (nodes.iter().enumerate().take(MAX_SEEN))
        .map(|(i, key)| {
            let mut row = vec![
                html! { (org_of(key).unwrap_or_default()) " " (parts::key(key)) },
                parts::alive(Some(record.alive.get(i))),
            ];
            row.extend(observers.iter().map(|(_, seen)| {
                html! {
                    @if seen.seen.get(i) { span.sees { "✓" span.hidden { " sees it" } } }
                    @else { span.sees.not { "✕" span.hidden { " does not see it" } } }
                }
            }));
            row
        })
        .collect();
    Ok(html! {
        p.muted {
            @if nodes.len() > MAX_SEEN { "The first " (MAX_SEEN) " of " (nodes.len()) " nodes. " }
            "Signed observations in block " (parts::height(height)) ", one column for each validator that signed: whether it had seen the node follow the chain."
        }
        (parts::table("Which validator sees which node", &heads, &rows))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_mean_something() {
        for (micros, text) in [(234, "0.23 ms"), (9_870, "9.87 ms"), (48_600, "49 ms")] {
            assert_eq!(in_millis(Duration::from_micros(micros)), text);
        }
    }
}
