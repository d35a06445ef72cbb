//! What peers did wrong: counted by peer, and told in the log without filling it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tandem_chain::keys::PublicKey;
use tandem_consensus::verify::Fault;
use tracing::warn;

/// Time between two log lines about one peer.
const PAUSE: Duration = Duration::from_secs(1);
/// Peers that are remembered; far more than are registered at once.
const MAX_PEERS: usize = 4_096;

#[derive(Debug, Default)]
struct Peer {
    faults: u64,
    told: Option<(Instant, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<PublicKey, Peer>);

impl Reports {
    pub fn report(&mut self, peer: PublicKey, fault: &Fault) {
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            self.0.clear();
        }
        let entry = self.0.entry(peer).or_default();
        entry.faults += 1;
        let now = Instant::now();
        let due = entry.told.is_none_or(|(at, _)| now.duration_since(at) >= PAUSE);
        if due {
            let before = entry.told.map_or(0, |(_, faults)| faults);
            let since = entry.faults - before;
            entry.told = Some((now, entry.faults));
            warn!(%peer, faults = since, %fault, "a peer sent something wrong; it had no effect");
        }
    }
}
