//! Tandem's own methods: seats, switches, members, nodes, parameters.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::{consortium, parameters as chain_parameters, standby};
use tandem_chain::types::Height;

use crate::rpc::alive::{AliveBlock, MAX_BLOCKS};
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::tandem::{
    KeyInfo, NodeEntry, NodeRole, Nodes, Organizations, ParametersInfo, Seat, Seats, SnapshotEntry,
    Snapshots, Switches,
};
use crate::rpc::state::RpcState;
use crate::snapshots::Folder;

/// Blocks of the grid when no number is given.
const GRID_BLOCKS: u64 = 60;
/// Switches in one answer when no number is given, and at most.
const SWITCHES: u64 = 30;
const MAX_SWITCHES: u64 = 100;

pub(super) fn to_json(value: &impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| RpcError::internal(error.to_string()))
}

/// `seats`.
pub async fn seats(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let blocks = params.integer("blocks")?.unwrap_or(GRID_BLOCKS);
    let blocks = match usize::try_from(blocks) {
        Ok(blocks) if (1..=MAX_BLOCKS).contains(&blocks) => blocks,
        _ => return Err(RpcError::params(format!("blocks must be 1 to {MAX_BLOCKS}"))),
    };
    state
        .read(move |state| {
            // What is remembered of blocks is in the snapshot: it comes after they are committed.
            let last = state.alive.last(blocks);
            let snapshot = state.db.snapshot();
            let height = snapshot.height()?;
            let from = Height((height.0 + 1).saturating_sub(blocks as u64).max(1));
            let seats = standby::seats(&snapshot)?;
            let entries = seats.into_iter().map(|view| {
                let grid = |key: Option<PublicKey>| grid(&last, from, height, key);
                let (holder, partner) = (grid(view.holder), grid(view.partner));
                Seat::new(view, holder, partner)
            });
            to_json(&Seats { height, grid_from: from, seats: entries.collect() })
        })
        .await
}

/// One character for each of the blocks `from` to `to`.
fn grid(blocks: &[AliveBlock], from: Height, to: Height, key: Option<PublicKey>) -> String {
    let mut known = blocks.iter().skip_while(|block| block.height < from).peekable();
    (from.0..=to.0)
        .map(|height| {
            let block = known.next_if(|block| block.height.0 == height);
            match block.and_then(|block| block.alive.as_ref()).zip(key) {
                Some((alive, key)) if alive.contains(&key) => '1',
                Some(_) => '0',
                None => '?',
            }
        })
        .collect()
}

/// `switches`.
pub async fn switches(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let skip = params.integer("skip")?.unwrap_or(0);
    let limit = params.integer("limit")?.unwrap_or(SWITCHES);
    if !(1..=MAX_SWITCHES).contains(&limit) {
        return Err(RpcError::params(format!("limit must be 1 to {MAX_SWITCHES}")));
    }
    state
        .read(move |state| {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let found = standby::history(&state.db.snapshot(), skip, limit)?;
            to_json(&Switches { switches: found.into_iter().map(Into::into).collect() })
        })
        .await
}

/// `snapshots`.
pub async fn snapshots(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    state
        .read(|state| {
            let folders = state.snapshots.folders();
            let entry = |folder: &Arc<Folder>| SnapshotEntry {
                height: folder.manifest().height(),
                manifest: folder.hash(),
                chunks: folder.chunks(),
                above: folder.proof().hash,
            };
            to_json(&Snapshots { snapshots: folders.iter().map(entry).collect() })
        })
        .await
}

/// `organizations`.
pub async fn organizations(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    state
        .read(|state| {
            let found = consortium::organizations(&state.db.snapshot())?.into_iter();
            to_json(&Organizations { organizations: found.map(Into::into).collect() })
        })
        .await
}

/// `nodes`.
pub async fn nodes(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let tip = state.tip();
    let mut connected: BTreeSet<PublicKey> =
        state.network.peers().into_iter().map(|peer| peer.key).collect();
    connected.insert(state.me);
    let mut nodes: Vec<NodeEntry> = tip
        .register
        .nodes
        .iter()
        .map(|(key, node)| NodeEntry {
            key: *key,
            address: key.address(),
            organization: node.org.clone(),
            role: match tip.next_table.by_key(key) {
                Some(_) => NodeRole::Validator,
                None if node.pair => NodeRole::Standby,
                None => NodeRole::Observer,
            },
            alive: tip.alive.as_ref().map(|alive| alive.contains(key)),
            connected: connected.contains(key),
            addresses: node.addresses.clone(),
        })
        .collect();
    nodes.sort_by(|a, b| (&a.organization, a.role).cmp(&(&b.organization, b.role)));
    to_json(&Nodes { height: tip.height, nodes })
}

/// `parameters`.
pub async fn parameters(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let tip = state.tip();
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            let parameters = chain_parameters::current(&snapshot)?;
            let table = &tip.next_table;
            let ms = |duration: std::time::Duration| {
                u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
            };
            to_json(&ParametersInfo {
                liveness_grace_ms: ms(parameters.liveness_grace(table)),
                failover_blocks: parameters.failover_blocks(table),
                failover_min_ms: ms(parameters.failover_min(table)),
                parameters,
            })
        })
        .await
}

/// A parameter that is a public key.
pub(super) fn public_key(params: &Params, name: &'static str) -> Result<PublicKey, RpcError> {
    let bytes = params.hex(name)?.ok_or_else(|| missing(name))?;
    PublicKey::from_slice(&bytes)
        .map_err(|error| RpcError::params(format!("parameter {name}: {error}")))
}

/// `key`.
pub async fn key(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let key = public_key(&params, "key")?;
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            let Some(entry) = consortium::key(&snapshot, &key)? else {
                return to_json(&KeyInfo::default());
            };
            let user = consortium::user(&snapshot, &entry.org, &key)?;
            to_json(&KeyInfo {
                organization: Some(entry.org),
                role: Some(KeyInfo::role_name(entry.role).to_owned()),
                user_role: user.map(|user| user.role),
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;

    use super::*;

    #[test]
    fn grids_have_a_mark_for_every_block() {
        let [one, two] = [1, 2].map(|i| SecretKey::from_seed(&[i; 32]).public());
        let block = |height, alive: Option<&[PublicKey]>| AliveBlock {
            height: Height(height),
            alive: alive.map(|keys| Arc::new(keys.iter().copied().collect())),
        };
        let blocks = [
            block(1, None),
            block(2, Some(&[one, two])),
            block(3, Some(&[two])),
            block(5, Some(&[one])),
        ];
        let grid = |from, key| grid(&blocks, Height(from), Height(6), key);
        assert_eq!(grid(1, Some(one)), "?10?1?");
        assert_eq!(grid(1, Some(two)), "?11?0?");
        assert_eq!(grid(3, Some(two)), "1?0?");
        assert_eq!(grid(4, None), "???");
    }
}
