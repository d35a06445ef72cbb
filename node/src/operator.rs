//! What an operator may ask of a running node, and how the node knows that it is its operator: the
//! request is signed with the node's own key, which only who may read the node's home has. An open
//! RPC port, a proxy in front of it or a page in a browser gives nobody else these methods.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_chain::keys::{Domain, PublicKey, SecretKey, Signature};
use tandem_chain::types::{ChainId, Timestamp};

/// How far the clock of who asks may be from the node's: both are of one machine.
const CLOCK_BOUND: Duration = Duration::from_secs(60);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorCall {
    /// Make a backup below `storage.backup_dir`.
    Backup {
        /// Its name.
        name: String,
        /// Whether the node's private key goes in.
        with_key: bool,
    },
    /// Compact the database.
    Compact,
    /// Tell the database's figures, and the job that was asked for last.
    Storage {
        /// Whether the answer waits until no job is under way, for half of `rpc.request_timeout` at
        /// most.
        wait: bool,
    },
    /// Take a snapshot of the state.
    Snapshot,
    /// Take away old blocks.
    Prune {
        /// The last blocks that stay; 0 when it is not by number.
        keep_blocks: u64,
        /// Days for which blocks stay; 0 when it is not by age.
        keep_days: u64,
        /// Whether to say what would go, and take nothing away.
        dry_run: bool,
    },
}

/// A call with the proof that it is the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorRequest {
    /// What is asked.
    pub call: OperatorCall,
    /// When: each request that does something must be later than the one before.
    pub time: Timestamp,
    /// The node's signature over time and call, in [`Domain::Operator`].
    pub signature: Signature,
}

impl OperatorRequest {
    /// Signs a call with the node's key.
    #[must_use]
    pub fn sign(call: OperatorCall, now: Timestamp, chain_id: &ChainId, key: &SecretKey) -> Self {
        let signature = key.sign(&sign_bytes(chain_id, now, &call));
        Self { call, time: now, signature }
    }
}

fn sign_bytes(chain_id: &ChainId, time: Timestamp, call: &OperatorCall) -> Vec<u8> {
    Domain::Operator.sign_bytes(chain_id, &(time, call))
}

/// A call that a [`Gate`] has let in.
#[derive(Debug)]
pub struct Admitted {
    pub(crate) call: OperatorCall,
    /// When it was let in, by the node's clock.
    pub(crate) time: Timestamp,
}

/// Tells the operator's requests from others, and, of those that do something, new ones from repeated
/// ones.
#[derive(Debug)]
pub struct Gate {
    /// Not later than this is what may have been taken before.
    last: Mutex<Timestamp>,
}

impl Gate {
    /// Of a node that starts now, and may have taken anything before.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { last: Mutex::new(now) }
    }

    /// Whether the request is the operator's, of now, and, unless it only reads, was not taken before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn admit(
        &self,
        request: OperatorRequest,
        now: Timestamp,
        chain_id: &ChainId,
        node: &PublicKey,
    ) -> Result<Admitted, String> {
        let bytes = sign_bytes(chain_id, request.time, &request.call);
        if !node.verifies(&bytes, &request.signature) {
            return Err(format!(
                "the request is not signed with the key of this node ({node}): ask with --home of \
                 this node, and --node with its rpc.listen"
            ));
        }
        let off = now.since(request.time).max(request.time.since(now));
        if off > CLOCK_BOUND {
            return Err(format!(
                "the request is of another time than this machine's (off by {} s): make it anew",
                off.as_secs()
            ));
        }
        let admitted = Admitted { call: request.call, time: now };
        if let OperatorCall::Storage { .. } = admitted.call {
            return Ok(admitted);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if request.time <= *last {
            return Err("the request, or a later one, was taken already: make it anew".to_owned());
        }
        *last = request.time;
        Ok(admitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000 * 1_000_000);

    fn chain_id() -> ChainId {
        "test-1".parse().unwrap()
    }

    fn backup() -> OperatorCall {
        OperatorCall::Backup { name: "monday".to_owned(), with_key: true }
    }

    #[test]
    fn golden_bytes() {
        let head = concat!(
            "74616e64656d2f6f70657261746f722f3100", // domain
            "0600000000000000746573742d31",         // chain id
            "0000b49376e2fa18",                     // time
        );
        let tail = concat!(
            "00000000",                     // backup
            "06000000000000006d6f6e646179", // name
            "01",                           // with key
        );
        let bytes = |call| hex::encode(sign_bytes(&chain_id(), NOW, &call));
        assert_eq!(bytes(backup()), format!("{head}{tail}"));
        assert_eq!(bytes(OperatorCall::Compact), format!("{head}01000000"));
        let storage = |wait| bytes(OperatorCall::Storage { wait });
        assert_eq!(storage(false), format!("{head}0200000000"));
        assert_eq!(storage(true), format!("{head}0200000001"));
        assert_eq!(bytes(OperatorCall::Snapshot), format!("{head}03000000"));
        let tail = concat!(
            "04000000",         // prune
            "204e000000000000", // keep blocks
            "1e00000000000000", // keep days
            "01",               // dry run
        );
        let prune = OperatorCall::Prune { keep_blocks: 20_000, keep_days: 30, dry_run: true };
        assert_eq!(bytes(prune), format!("{head}{tail}"));
    }

    #[test]
    fn only_the_operators_request_of_now_is_taken_and_once() {
        let key = SecretKey::from_seed(&[1; 32]);
        let gate = Gate::new(Timestamp(0));
        let at = |after: Duration| NOW.plus(after);
        let sign = |call, now| OperatorRequest::sign(call, now, &chain_id(), &key);
        let admit = |request: &OperatorRequest| {
            gate.admit(request.clone(), NOW, &chain_id(), &key.public()).err().unwrap_or_default()
        };
        let good = sign(backup(), NOW);

        let stranger = SecretKey::from_seed(&[2; 32]);
        let other = OperatorRequest::sign(backup(), NOW, &chain_id(), &stranger);
        assert!(admit(&other).contains("not signed"));
        let other = OperatorRequest::sign(backup(), NOW, &"test-2".parse().unwrap(), &key);
        assert!(admit(&other).contains("not signed"));
        let changed = [
            OperatorRequest { call: OperatorCall::Compact, ..good.clone() },
            OperatorRequest { time: at(Duration::from_nanos(1)), ..good.clone() },
        ];
        assert!(changed.iter().all(|changed| admit(changed).contains("not signed")));
        let early = OperatorRequest::sign(backup(), Timestamp(0), &chain_id(), &key);
        assert!(admit(&early).contains("another time"));
        assert!(
            admit(&sign(backup(), at(CLOCK_BOUND + Duration::from_nanos(1))))
                .contains("another time")
        );

        let started = Gate::new(NOW).admit(good.clone(), NOW, &chain_id(), &key.public());
        assert!(started.unwrap_err().contains("taken already"), "perhaps before the start");
        assert_eq!(admit(&good), "");
        assert!(admit(&good).contains("taken already"));
        assert_eq!(admit(&sign(OperatorCall::Compact, at(Duration::from_nanos(1)))), "");
        assert!(admit(&good).contains("taken already"));
        assert_eq!(admit(&sign(backup(), at(CLOCK_BOUND))), "");

        // What only reads is nobody else's either, and is in nobody's way.
        let look = OperatorCall::Storage { wait: true };
        let read = sign(look.clone(), NOW);
        assert_eq!((admit(&read).as_str(), admit(&read).as_str()), ("", ""));
        let stranger = OperatorRequest::sign(look.clone(), NOW, &chain_id(), &stranger);
        assert!(admit(&stranger).contains("not signed"));
        let late = CLOCK_BOUND + Duration::from_nanos(1);
        assert!(admit(&sign(look, at(late))).contains("another time"));
    }
}
