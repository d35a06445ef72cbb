//! The methods: CometBFT's, and Tandem's own.

mod blocks;
mod consensus;
mod evidence;
mod genesis;
mod headers;
mod history;
mod liveness;
mod mempool;
mod motions;
pub(super) mod node;
mod own;
mod prepare;
mod query;
mod records;
mod rights;
mod search;
mod storage;
mod submit;

use std::sync::Arc;

use serde_json::Value;

use super::error::RpcError;
use super::params::Params;
use super::reading::{Asking, Needs, Reader};
use super::state::RpcState;
use super::websocket;

/// A method by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, in the order that an array gives them.
    pub params: &'static [&'static str],
    /// What it needs where reading is limited.
    pub needs: Needs,
    /// What it answers, for people.
    pub about: &'static str,
}

/// A call of a method: most take its parameters alone.
struct Call {
    params: Params,
    reader: Reader,
}

impl From<Call> for Params {
    fn from(call: Call) -> Self {
        call.params
    }
}

macro_rules! methods {
    ($($name:literal ($($param:literal),*) $needs:ident $about:literal => $call:path;)*) => {
        /// All methods.
        pub const METHODS: &[Method] = &[
            $(Method {
                name: $name,
                params: &[$($param),*],
                needs: Needs::$needs,
                about: $about,
            },)*
        ];

        /// Answers one call, where who asks may have the answer.
        ///
        /// # Errors
        /// Those of JSON-RPC, with the detail.
        pub async fn call(
            state: &Arc<RpcState>,
            asking: &Asking,
            method: &'static Method,
            params: Params,
        ) -> Result<Value, RpcError> {
            let counted = state.requests.begin(method.name);
            let reader = asking.reader(state, method).await?;
            let call = Call { params, reader };
            let result = match method.name {
                $($name => $call(state, call.into()).await,)*
                name => Err(RpcError::unknown_method(name)),
            };
            if result.is_ok() {
                counted.succeeded();
            }
            result
        }
    };
}

methods! {
    "health" () Nothing "whether this node is well" => node::health;
    "status" () Nothing "this node, its newest block, its part" => node::status;
    "net_info" () Member "connections to other nodes" => node::net_info;
    "genesis" () Member "the chain's genesis" => genesis::genesis;
    "genesis_chunked" ("chunk") Member "the genesis in parts" => genesis::chunked;
    "abci_info" () Nothing "the ledger's height and state commitment" => node::abci_info;
    "num_unconfirmed_txs" () Member "transactions that wait for a block" => mempool::num_unconfirmed_txs;
    "unconfirmed_txs" ("limit") Blocks "transactions that wait for a block, the longest-waiting first" => mempool::unconfirmed_txs;
    "blockchain" ("minHeight", "maxHeight") Member "up to 20 headers, the newest first" => headers::blockchain;
    "header" ("height") Member "a block's header" => headers::header;
    "header_by_hash" ("hash") Member "the header with a hash" => headers::header_by_hash;
    "consensus_state" () Member "the round that is being decided, with its votes" => consensus::consensus_state;
    "consensus_params" ("height") Member "limits of blocks and evidence" => headers::consensus_params;
    "block" ("height") Blocks "a block; transaction 0 is its liveness record" => blocks::block;
    "block_by_hash" ("hash") Blocks "the block with a hash" => blocks::block_by_hash;
    "block_results" ("height") Blocks "what a block's transactions did" => blocks::block_results;
    "commit" ("height") Member "a block's header and certificate" => blocks::commit;
    "validators" ("height", "page", "per_page") Member "the role table of a height" => blocks::validators;
    "tx" ("hash", "prove") Member "a committed transaction and its result" => blocks::tx;
    "tx_search" ("query", "prove", "page", "per_page", "order_by") Blocks "transactions that a query asks for" => search::tx_search;
    "block_search" ("query", "page", "per_page", "order_by") Blocks "blocks that a query asks for" => search::block_search;
    "broadcast_tx_async" ("tx") Nothing "send a transaction, wait for nothing" => submit::broadcast_async;
    "broadcast_tx_sync" ("tx") Nothing "send a transaction, wait for its checks" => submit::broadcast_sync;
    "broadcast_tx_commit" ("tx") Nothing "send a transaction, wait for its block" => submit::broadcast_commit;
    "check_tx" ("tx") Nothing "the checks of a transaction that is not sent" => mempool::check_tx;
    "tx_prepare" ("call", "sender", "nonce", "valid_until") Nothing "the bytes to sign of a call" => prepare::tx_prepare;
    "tx_assemble" ("sign_bytes", "signature") Nothing "a transaction, of what was signed and its signature" => prepare::tx_assemble;
    "broadcast_evidence" ("evidence") Nothing "two votes of one key that contradict each other" => evidence::broadcast;
    "abci_query" ("path", "data", "height", "prove") Member "records: /records/SET/KEY" => query::abci_query;
    "data_sets" () Member "the data sets and their owners" => records::data_sets;
    "records" ("data_set", "prefix", "after", "limit") Member "records of a data set" => records::records;
    "proof" ("data_set", "key") Blocks "a record, or that there is none, with its proof" => records::proof;
    "record_history" ("data_set", "key", "before", "limit") Member "what was written under a record's key" => history::record_history;
    "liveness" ("from", "to") Member "the liveness records of some blocks" => liveness::liveness;
    "seats" ("blocks") Member "who holds what, who is alive, blocks until a switch" => own::seats;
    "switches" ("skip", "limit") Member "changes of holders, the newest first" => own::switches;
    "organizations" () Member "the members" => own::organizations;
    "nodes" () Member "the registered nodes" => own::nodes;
    "parameters" () Member "the chain's parameters" => own::parameters;
    "policy" () Member "how many members must agree to a change" => motions::policy;
    "motions" ("open", "before", "limit") Member "proposed changes, the newest first" => motions::motions;
    "motion" ("motion") Member "a proposed change, and what it would do now" => motions::motion;
    "try_change" ("change") Member "what a change would do, on paper" => motions::try_change;
    "users" ("organization") Member "the users of a member, and their roles" => rights::users;
    "rights" ("data_set", "after", "limit") Member "what is granted in a data set" => rights::rights;
    "may_read" ("key", "data_set", "record") Member "what a key may read" => rights::may_read;
    "snapshots" () Member "snapshots of the state that this node has" => own::snapshots;
    "key" ("key") Member "what a public key is in the chain" => own::key;
    "storage" ("wait", "time", "signature") Nothing "the database's figures, the last job; for the operator alone" => storage::storage;
    "backup" ("name", "with_key", "time", "signature") Nothing "make a backup; for the operator alone" => storage::backup;
    "compact" ("time", "signature") Nothing "compact the database; for the operator alone" => storage::compact;
    "take_snapshot" ("time", "signature") Nothing "take a snapshot of the state; for the operator alone" => storage::take_snapshot;
    "prune" ("keep_blocks", "keep_days", "dry_run", "time", "signature") Nothing "take away old blocks; for the operator alone" => storage::prune;
}

/// The method with this name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Method, RpcError> {
    METHODS.iter().find(|m| m.name == name).ok_or_else(|| {
        let mut of_websocket = websocket::METHODS.iter();
        match of_websocket.find(|method| method.name == name) {
            Some(method) => RpcError::for_websocket(method.name),
            None => RpcError::unknown_method(name),
        }
    })
}
