//! Tables for people: the nodes of a network, its seats.

use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;
use tandem_chain::types::{Height, Term};
use tandem_node::rpc::shapes::tandem::Nodes;

use crate::control::{Command, State};
use crate::network::Network;

/// What is known of one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeRow {
    /// Its name.
    pub node: String,
    /// What its process does.
    pub process: String,
    /// What it answers; none when it does not.
    pub status: Option<NodeStatus>,
    /// Whether the newest record that any node knows calls it alive; none before there is one.
    pub alive: Option<bool>,
    /// Address of its RPC.
    pub rpc: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// `validator`, `standby` or `observer`.
    pub role: String,
    /// Its seat's term, of a validator.
    pub term: Option<Term>,
    /// Its newest block.
    pub height: Height,
    /// Nodes that it is connected to.
    pub peers: usize,
    /// Whether it fetches blocks that others have already.
    pub catching_up: bool,
}

/// Asks every node of a network.
///
/// # Errors
/// When the supervisor does not answer.
pub async fn nodes(network: &Network) -> Result<Vec<NodeRow>> {
    let mut asked = Vec::new();
    for process in network.tell(Command::Nodes).await? {
        let rpc = network.rpc(&process.name).clone();
        let up = process.state == State::Up;
        // All at once: one that does not answer must not keep the others waiting.
        let answer = tokio::spawn(async move {
            if !up {
                return None;
            }
            let status = rpc.status().await.ok()?;
            let register: Option<Nodes> = rpc.call("nodes", Value::Null).await.ok();
            Some((status, register))
        });
        asked.push((process, answer));
    }
    let mut rows = Vec::new();
    let mut newest: Option<Nodes> = None;
    for (process, answer) in asked {
        let state = match process.state {
            State::Up => "up".to_owned(),
            State::Paused => "paused".to_owned(),
            State::Down => "down".to_owned(),
            State::Exited(status) => format!("ended: {status}"),
        };
        let (status, register) = answer.await?.unzip();
        newest = newest.into_iter().chain(register.flatten()).max_by_key(|nodes| nodes.height);
        let status = status.map(|status| NodeStatus {
            role: status.tandem.role,
            term: status.tandem.term,
            height: status.sync_info.latest_block_height,
            peers: status.tandem.peers,
            catching_up: status.sync_info.catching_up,
        });
        let rpc = network.layout().node(&process.name)?.rpc_url();
        rows.push(NodeRow { node: process.name, process: state, status, alive: None, rpc });
    }
    for row in &mut rows {
        let key = network.layout().node(&row.node)?.key;
        let entry = newest.iter().flat_map(|nodes| &nodes.nodes).find(|entry| entry.key == key);
        row.alive = entry.and_then(|entry| entry.alive);
    }
    Ok(rows)
}

/// The nodes as a table.
#[must_use]
pub fn render(rows: &[NodeRow]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "node",
        "process",
        "role",
        "term",
        "height",
        "alive",
        "peers",
        "catching up",
        "RPC",
    ]);
    for row in rows {
        let field =
            |text: &dyn Fn(&NodeStatus) -> String| row.status.as_ref().map_or("-".to_owned(), text);
        let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        table.add_row([
            row.node.clone(),
            row.process.clone(),
            field(&|status| status.role.clone()),
            field(&|status| status.term.map_or("-".to_owned(), |term| term.to_string())),
            field(&|status| status.height.to_string()),
            row.alive.map_or("-".to_owned(), yes),
            field(&|status| status.peers.to_string()),
            field(&|status| yes(status.catching_up)),
            row.rpc.clone(),
        ]);
    }
    table.trim_fmt()
}
