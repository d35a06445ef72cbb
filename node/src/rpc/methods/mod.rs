//! The methods: CometBFT's, and Tandem's own.

mod blocks;
mod motions;
mod node;
mod own;
mod query;
mod storage;
mod submit;

use std::sync::Arc;

use serde_json::Value;

use super::error::RpcError;
use super::params::Params;
use super::state::RpcState;

/// A method by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, in the order that an array gives them.
    pub params: &'static [&'static str],
    /// What it answers, for people.
    pub about: &'static str,
}

macro_rules! methods {
    ($($name:literal ($($param:literal),*) $about:literal => $call:path;)*) => {
        /// All methods.
        pub const METHODS: &[Method] = &[
            $(Method { name: $name, params: &[$($param),*], about: $about },)*
        ];

        /// Answers one call.
        ///
        /// # Errors
        /// Those of JSON-RPC, with the detail.
        pub async fn call(
            state: &Arc<RpcState>,
            name: &str,
            params: Params,
        ) -> Result<Value, RpcError> {
            match name {
                $($name => $call(state, params).await,)*
                _ => Err(RpcError::unknown_method(name)),
            }
        }
    };
}

methods! {
    "health" () "whether this node is well" => node::health;
    "status" () "this node, its newest block, its part" => node::status;
    "net_info" () "connections to other nodes" => node::net_info;
    "genesis" () "the chain's genesis" => node::genesis;
    "abci_info" () "the ledger's height and state commitment" => node::abci_info;
    "num_unconfirmed_txs" () "transactions that wait for a block" => node::num_unconfirmed_txs;
    "block" ("height") "a block; transaction 0 is its liveness record" => blocks::block;
    "block_results" ("height") "what a block's transactions did" => blocks::block_results;
    "commit" ("height") "a block's header and certificate" => blocks::commit;
    "validators" ("height", "page", "per_page") "the role table of a height" => blocks::validators;
    "tx" ("hash", "prove") "a committed transaction and its result" => blocks::tx;
    "broadcast_tx_async" ("tx") "send a transaction, wait for nothing" => submit::broadcast_async;
    "broadcast_tx_sync" ("tx") "send a transaction, wait for its checks" => submit::broadcast_sync;
    "broadcast_tx_commit" ("tx") "send a transaction, wait for its block" => submit::broadcast_commit;
    "abci_query" ("path", "data", "height", "prove") "records: /records/SET/KEY" => query::abci_query;
    "seats" ("blocks") "who holds what, who is alive, blocks until a switch" => own::seats;
    "switches" ("skip", "limit") "changes of holders, the newest first" => own::switches;
    "organizations" () "the members" => own::organizations;
    "nodes" () "the registered nodes" => own::nodes;
    "parameters" () "the chain's parameters" => own::parameters;
    "policy" () "how many members must agree to a change" => motions::policy;
    "motions" ("open", "before", "limit") "proposed changes, the newest first" => motions::motions;
    "motion" ("motion") "a proposed change, and what it would do now" => motions::motion;
    "try_change" ("change") "what a change would do, on paper" => motions::try_change;
    "snapshots" () "snapshots of the state that this node has" => own::snapshots;
    "key" ("key") "what a public key is in the chain" => own::key;
    "storage" ("wait", "time", "signature") "the database's figures, the last job; for the operator alone" => storage::storage;
    "backup" ("name", "with_key", "time", "signature") "make a backup; for the operator alone" => storage::backup;
    "compact" ("time", "signature") "compact the database; for the operator alone" => storage::compact;
    "take_snapshot" ("time", "signature") "take a snapshot of the state; for the operator alone" => storage::take_snapshot;
    "prune" ("keep_blocks", "keep_days", "dry_run", "time", "signature") "take away old blocks; for the operator alone" => storage::prune;
}

/// The method with this name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Method, RpcError> {
    METHODS.iter().find(|m| m.name == name).ok_or_else(|| RpcError::unknown_method(name))
}
