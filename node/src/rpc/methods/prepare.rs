//! Transactions for programs that have ed25519 and no code of ours: what to sign, and what was signed as a
//! transaction. Neither method sees a private key or sends anything.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::Error;
use tandem_chain::keys::{Signature, Strict};
use tandem_chain::mempool::check_validity;
use tandem_chain::modules::Call;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::Height;

use super::own::public_key;
use super::storage::signature;
use crate::client::VALID_FOR;
use crate::decode::{readable, typed};
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;

/// What is wrong with a parameter, in the chain's words.
fn wrong(name: &'static str) -> impl Fn(Error) -> RpcError {
    move |error| RpcError::params(format!("parameter {name}: {error}"))
}

/// `tx_prepare`: the bytes that the sender of a call signs, and the call as it is understood.
pub async fn tx_prepare(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let call: Value = params.json("call")?.ok_or_else(|| missing("call"))?;
    let sender = public_key(&params, "sender")?;
    sender.check().map_err(wrong("sender"))?;
    let nonce = params.integer("nonce")?.unwrap_or_else(rand::random);
    let valid_until = params.integer("valid_until")?.map(Height);
    state
        .read(move |state| {
            let call: Call = typed("call", &call)
                .map_err(|fault| RpcError::params(format!("parameter {fault}")))?;
            let tip = state.tip();
            let valid_until = valid_until.unwrap_or_else(|| tip.height.plus(VALID_FOR));
            check_validity(valid_until, tip.height.next()).map_err(wrong("valid_until"))?;
            let chain_id = state.genesis.chain_id.clone();
            let body = TxBody { chain_id, sender, nonce, valid_until, call };
            let sign_bytes = body.sign_bytes();
            let shown = readable(&body);
            // Whatever its signature will be.
            Tx::assemble(body, Signature([0; Signature::LEN])).map_err(wrong("call"))?;
            Ok(json!({
                "sign_bytes": comet::base64(&sign_bytes),
                "sign_bytes_hex": hex::encode_upper(&sign_bytes),
                "body": shown,
            }))
        })
        .await
}

/// `tx_assemble`: the transaction that the answer of `tx_prepare` and a signature over it make.
pub async fn tx_assemble(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let sign_bytes = params.base64("sign_bytes")?.ok_or_else(|| missing("sign_bytes"))?;
    let signature = signature(&params)?;
    state
        .read(move |state| {
            let body = TxBody::of_sign_bytes(&sign_bytes).map_err(wrong("sign_bytes"))?;
            let tx = Tx::assemble(body, signature).map_err(wrong("sign_bytes"))?;
            tx.verify(&Strict, &state.genesis.chain_id).map_err(|error| {
                let name = if matches!(error, Error::BadSignature { .. }) {
                    "signature"
                } else {
                    "sign_bytes"
                };
                wrong(name)(error)
            })?;
            Ok(json!({ "tx": comet::base64(tx.bytes()), "hash": tx.hash() }))
        })
        .await
}
