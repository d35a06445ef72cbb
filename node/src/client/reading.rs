//! As whom a client reads at nodes whose reading is limited.
//!
//! A permit goes with a request only when the node has asked for one: nodes that are open are shown none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::permit::{Permit, PermitBody};
use tandem_chain::types::{ChainId, Hash};
use tokio::sync::OnceCell;

use crate::rpc::error::{NOT_TO_READ, PERMIT_NEEDED};
use crate::run::wall_clock;

/// Time for which a request is signed: clocks may differ by some of it.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// As whom a client reads.
#[derive(Clone)]
pub enum As {
    /// By a permit that is there already, such as a token.
    Permit(Permit),
    /// By a key that signs each request, for the node that is asked and for a minute.
    Key(SecretKey),
}

/// What a client does about permits. Clones share what they know of the node.
#[derive(Clone, Default)]
pub struct Reading {
    reads_as: Option<As>,
    is_asked_for: Arc<AtomicBool>,
    /// Chain and node, for which requests are signed.
    place: Arc<OnceCell<(ChainId, PublicKey)>>,
}

// Neither key nor token is shown.
impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match &self.reads_as {
            None => "nobody",
            Some(As::Permit(_)) => "a permit",
            Some(As::Key(_)) => "a key",
        };
        f.debug_tuple("Reading").field(&name).finish()
    }
}

impl Reading {
    pub fn new(reads_as: As) -> Self {
        Self { reads_as: Some(reads_as), ..Self::default() }
    }

    /// Whether the next request goes with a permit at once: the node has asked for one before.
    pub fn is_asked_for(&self) -> bool {
        self.is_asked_for.load(Ordering::Relaxed)
    }

    /// Whether to ask again, with a permit: an answer to a request without, or one of a batch, says
    /// that it needs one.
    pub fn must_ask_again(&self, answer: &Value) -> bool {
        let needs = |answer: &Value| {
            answer["error"]["code"] == NOT_TO_READ && answer["error"]["message"] == PERMIT_NEEDED
        };
        let answers = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
        let must = self.reads_as.is_some() && answers.iter().any(needs);
        if must {
            self.is_asked_for.store(true, Ordering::Relaxed);
        }
        must
    }

    /// The permit for a request's body. `place` asks the node for chain and key, where that
    /// is not known yet.
    pub async fn permit<E>(
        &self,
        body: &[u8],
        place: impl Future<Output = Result<(ChainId, PublicKey), E>>,
    ) -> Result<Option<Permit>, E> {
        let key = match &self.reads_as {
            None => return Ok(None),
            Some(As::Permit(permit)) => return Ok(Some(permit.clone())),
            Some(As::Key(key)) => key,
        };
        let (chain_id, node) = self.place.get_or_try_init(|| place).await?.clone();
        let body = PermitBody {
            chain_id,
            reader: key.public(),
            node: Some(node),
            request: Some(Hash::of(body)),
            ends: wall_clock().plus(SIGNED_FOR),
            only: None,
        };
        Ok(Some(Permit::sign(body, key)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_needs_a_permit_is_asked_again() {
        let key = SecretKey::from_seed(&[1; 32]);
        let error = |code, message: &str| json!({ "error": { "code": code, "message": message } });
        let needs = error(NOT_TO_READ, PERMIT_NEEDED);
        for (answer, expected) in [
            (needs.clone(), true),
            (json!([{ "result": {} }, needs]), true),
            (error(NOT_TO_READ, "Not permitted"), false),
            (error(-32603, PERMIT_NEEDED), false),
            (json!({ "result": {} }), false),
            (json!([]), false),
            (json!(7), false),
        ] {
            let reading = Reading::new(As::Key(key.clone()));
            assert_eq!(reading.must_ask_again(&answer), expected, "{answer}");
            assert_eq!(reading.is_asked_for(), expected);
            assert!(!Reading::default().must_ask_again(&answer), "there is nothing to show");
        }
        let shown = format!("{:?}", Reading::new(As::Key(key)));
        assert_eq!(shown, "Reading(\"a key\")");
    }
}
