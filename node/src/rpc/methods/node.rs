//! The node itself: health, status, connections.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::comet::{APP_VERSION, BLOCK_VERSION};
use tandem_chain::types::{Height, Power, Timestamp};
use tandem_consensus::Role;

use crate::health;
use crate::pairs::troubles;
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::shapes::comet;
use crate::rpc::shapes::tandem::OwnStatus;
use crate::rpc::state::{Peer, RpcState};
use crate::run::wall_clock;
use crate::view::{NodeView, Part};

/// CometBFT's p2p protocol number, which its clients want to see.
const P2P_VERSION: u64 = 8;
/// What CometBFT's clients choose their decoder by, with this program's version behind.
const COMET_VERSION: &str = concat!("0.38.0-tandem-", env!("CARGO_PKG_VERSION"));

/// `health`: nothing when all is well, else an error that names every part that is not.
pub async fn health(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let faults = faults(state);
    if faults.is_empty() { Ok(json!({})) } else { Err(RpcError::busy(faults.join("; "))) }
}

/// Every part of this node that is not well, for people.
pub fn faults(state: &RpcState) -> Vec<String> {
    health::faults(&state.view, &state.tip())
}

fn node_info(state: &RpcState, key: &tandem_chain::keys::PublicKey, listen: &str) -> Value {
    let id = hex::encode(key.address().as_bytes());
    let org = state.tip().register.nodes.get(key).map(|node| node.org.to_string());
    json!({
        "protocol_version": {
            "p2p": comet::number(P2P_VERSION),
            "block": comet::number(BLOCK_VERSION),
            "app": comet::number(APP_VERSION),
        },
        "id": id,
        "listen_addr": listen,
        "network": state.genesis.chain_id,
        "version": COMET_VERSION,
        "channels": "",
        "moniker": org.unwrap_or_else(|| id.clone()),
        "other": {
            // What another node has is not known here.
            "tx_index": if *key == state.me && state.config.index.enabled { "on" } else { "off" },
            "rpc_address": if *key == state.me {
                format!("tcp://{}", state.config.rpc.listen)
            } else {
                String::new()
            },
        },
        "public_key": key,
    })
}

/// The part of `status` about the lowest block.
async fn earliest(state: &Arc<RpcState>) -> Result<Value, RpcError> {
    loop {
        let lowest = state.db.first_height();
        let last = state.earliest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, earliest)) = last.filter(|(height, _)| *height == lowest) {
            return Ok(earliest);
        }
        let block = state.read(move |state| Ok(state.db.block(lowest)?)).await?;
        let Some(CertifiedBlock { block, .. }) = block else {
            // It was taken away in between.
            if state.db.first_height() > lowest {
                continue;
            }
            return Err(RpcError::internal(format!("block {lowest} is missing")));
        };
        let earliest = json!({
            "earliest_block_hash": block.id(),
            "earliest_app_hash": block.header.app_hash,
            "earliest_block_height": comet::number(lowest),
            "earliest_block_time": block.header.time.to_rfc3339(),
        });
        let mut last = state.earliest.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((lowest, earliest.clone()));
        return Ok(earliest);
    }
}

/// `status`.
pub async fn status(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let (tip, view) = (state.tip(), state.view());
    let earliest = if tip.height == Height::ZERO { json!({}) } else { earliest(state).await? };
    let mut sync = json!({
        // Of the state after the newest block, so that nodes can be compared at one height.
        "latest_block_hash": tip.block.map(|id| id.to_string()).unwrap_or_default(),
        "latest_app_hash": tip.app_hash,
        "latest_block_height": comet::number(tip.height),
        "latest_block_time": tip.time.to_rfc3339(),
        "earliest_block_hash": "",
        "earliest_app_hash": tip.app_hash,
        "earliest_block_height": "0",
        "earliest_block_time": state.genesis.genesis_time.to_rfc3339(),
        "catching_up": view.catching_up,
    });
    if let (Value::Object(sync), Value::Object(earliest)) = (&mut sync, earliest) {
        sync.extend(earliest);
    }
    let power = tip.next_table.by_key(&state.me).map_or(Power(0), |(_, v)| v.power);
    Ok(json!({
        "node_info": node_info(state, &state.me, &state.config.p2p.listen),
        "sync_info": sync,
        "validator_info": comet::own_validator(&state.me, power),
        "tandem": own_status(state, &view)?,
    }))
}

fn own_status(state: &RpcState, view: &NodeView) -> Result<Value, RpcError> {
    let (part, organization) = Part::of(&view.role);
    let term = match &view.role {
        Role::Validator { term, .. } => Some(*term),
        _ => None,
    };
    let status = OwnStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_key: state.me,
        organization: organization.cloned(),
        role: part.name().to_owned(),
        term,
        height: view.height,
        round: view.round.0,
        step: view.step.clone(),
        rounds_above_zero: view.rounds_above_zero,
        key_lost: view.key_lost,
        silent_through: view.silent_through,
        fsyncs: view.fsyncs,
        alarms: view
            .alarms
            .iter()
            .cloned()
            .chain(troubles(&state.tip(), &view.clocks_ahead))
            .collect(),
        peers: state.network.peers().len(),
        genesis_hash: state.genesis_hash,
        counters: counters(state),
    };
    serde_json::to_value(status).map_err(|error| RpcError::internal(error.to_string()))
}

/// What admission and network have counted, by name.
fn counters(state: &RpcState) -> BTreeMap<String, u64> {
    let admission =
        state.admission.counters().all().map(|(name, n)| (format!("admission_{name}"), n));
    let network = state.network.counters().into_iter();
    admission.chain(network.map(|(name, n)| (format!("network_{name}"), n))).collect()
}

fn entry(state: &RpcState, peer: &Peer) -> Value {
    let connected = peer.connected_for;
    let seconds = connected.as_secs().max(1);
    let start = wall_clock().since(Timestamp::default().plus(connected));
    let start = Timestamp::default().plus(start);
    let monitor = |bytes: u64| {
        let rate = comet::number(bytes / seconds);
        json!({
            "Active": true,
            "Start": start.to_rfc3339(),
            "Duration": comet::number(connected.as_nanos()),
            "Idle": "0",
            "Bytes": comet::number(bytes),
            "Samples": "0",
            "InstRate": rate,
            "CurRate": rate,
            "AvgRate": rate,
            "PeakRate": rate,
            "BytesRem": "0",
            "TimeRem": "0",
            "Progress": 0,
        })
    };
    json!({
        "node_info": node_info(state, &peer.key, &peer.address),
        "is_outbound": peer.is_outbound,
        "connection_status": {
            "Duration": comet::number(connected.as_nanos()),
            "SendMonitor": monitor(peer.sent),
            "RecvMonitor": monitor(peer.received),
            "Channels": [],
        },
        "remote_ip": peer.ip.to_string(),
    })
}

/// `net_info`.
pub async fn net_info(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let peers: Vec<Value> = state.network.peers().iter().map(|peer| entry(state, peer)).collect();
    Ok(json!({
        "listening": true,
        "listeners": [state.config.p2p.listen],
        "n_peers": comet::number(peers.len()),
        "peers": peers,
    }))
}

/// `abci_info`.
pub async fn abci_info(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let tip = state.tip();
    Ok(json!({
        "response": {
            "data": "tandem",
            "version": env!("CARGO_PKG_VERSION"),
            "app_version": comet::number(APP_VERSION),
            "last_block_height": comet::number(tip.height),
            "last_block_app_hash": comet::base64(tip.app_hash.as_bytes()),
        },
    }))
}
