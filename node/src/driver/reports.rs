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

/// What a log line about a peer tells: faults since the last line, and all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    faults: u64,
    total: u64,
}

impl Reports {
    pub fn report(&mut self, now: Instant, peer: PublicKey, fault: &Fault) {
        if let Some(Tally { faults, total }) = self.count(now, peer) {
            warn!(%peer, faults, total, %fault, "a peer sent something wrong; it had no effect");
        }
    }

    /// Counts a fault. A tally when it is time for a line about this peer.
    fn count(&mut self, now: Instant, peer: PublicKey) -> Option<Tally> {
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            self.0.clear();
        }
        let Peer { faults: total, told } = self.0.entry(peer).or_default();
        *total += 1;
        if told.is_some_and(|(at, _)| now.duration_since(at) < PAUSE) {
            return None;
        }
        let before = told.map_or(0, |(_, faults)| faults);
        *told = Some((now, *total));
        Some(Tally { faults: *total - before, total: *total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PublicKey = PublicKey([1; 32]);
    const OTHER: PublicKey = PublicKey([2; 32]);

    #[test]
    fn every_fault_counts_and_a_peer_has_one_line_a_second() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let cases = [
            ("the first", 0, PEER, Some((1, 1))),
            ("at once again", 0, PEER, None),
            ("another peer's first", 1, OTHER, Some((1, 1))),
            ("just before the second is over", 999, PEER, None),
            ("after it", 1_000, PEER, Some((3, 4))),
            ("the pause begins anew", 1_999, PEER, None),
            ("each peer's is its own", 1_999, OTHER, Some((1, 2))),
            ("much later", 60_000, PEER, Some((2, 6))),
        ];
        for (name, millis, peer, line) in cases {
            let now = start + Duration::from_millis(millis);
            let line = line.map(|(faults, total)| Tally { faults, total });
            assert_eq!(reports.count(now, peer), line, "{name}");
        }
    }

    #[test]
    fn a_flood_of_faults_is_a_line_a_second_and_none_is_left_out() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let times = (0..10_000).map(|millis| start + Duration::from_millis(millis));
        let lines: Vec<_> = times.filter_map(|now| reports.count(now, PEER)).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines.last(), Some(&Tally { faults: 1_000, total: 9_001 }));
        assert_eq!(reports.0[&PEER].faults, 10_000);
    }

    #[test]
    fn peers_are_bounded() {
        let mut reports = Reports::default();
        let now = Instant::now();
        for number in 0..3 * MAX_PEERS as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            assert!(reports.count(now, PublicKey(key)).is_some(), "a new peer's first is told");
            assert!(reports.0.len() <= MAX_PEERS);
        }
    }
}
