//! What is not well with this node, and whether clients should be sent to it.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tokio::sync::watch;

use crate::run::wall_clock;
use crate::view::NodeView;

/// The parts of a node of which something may be told; each text begins with one and a colon.
pub const PARTS: [&str; 6] = ["chain", "clock", "driver", "key", "peers", "sync"];

/// Every part that is not well, for people.
pub fn faults(view: &watch::Receiver<Arc<NodeView>>, tip: &Tip) -> Vec<String> {
    let driver_has_ended = view.has_changed().is_err();
    let view = view.borrow().clone();
    let mut faults = view.alarms.clone();
    if driver_has_ended {
        faults.push("driver: it has stopped".to_owned());
    }
    if let Some(quiet) = quiet_for(tip) {
        faults.push(format!("chain: no block for {} s", quiet.as_secs()));
    }
    if view.catching_up {
        let height = tip.height;
        faults.push(format!("sync: at height {height}, fetching what the others have"));
    }
    if !view.key_lost && view.silent_through >= view.height {
        faults.push(format!("key: it signs nothing up to height {}", view.silent_through));
    }
    faults
}

/// Why clients should not be sent to this node, for people: what is not well, and whether it stands
/// alone, so that what they send would reach nobody.
pub fn not_ready(
    view: &watch::Receiver<Arc<NodeView>>,
    tip: &Tip,
    me: &PublicKey,
    peers: usize,
) -> Vec<String> {
    let mut reasons = faults(view, tip);
    let has_others = tip.register.nodes.keys().any(|key| key != me);
    if peers == 0 && has_others {
        reasons.push("peers: no other node is connected".to_owned());
    }
    reasons
}

/// Whether a fault is of this part.
pub fn is_of(fault: &str, part: &str) -> bool {
    fault.strip_prefix(part).is_some_and(|rest| rest.starts_with(':'))
}

/// Time since the newest block, when it is longer than a few of the longest rounds.
fn quiet_for(tip: &Tip) -> Option<Duration> {
    let parameters = &tip.parameters;
    let longest = parameters.idle_block_interval_ms + 4 * parameters.timeout_max_ms;
    let quiet = wall_clock().since(tip.time);
    (quiet > Duration::from_millis(longest)).then_some(quiet)
}

#[cfg(test)]
mod tests {
    use tandem_chain::types::{Height, Timestamp};

    use super::*;
    use crate::testing;

    #[test]
    fn a_node_is_not_ready_for_each_reason_and_names_its_part() {
        let chain = testing::Chain::new();
        let me = testing::validator(0).public();
        let now = Tip { time: wall_clock(), ..Tip::clone(&chain.tip()) };
        let old = Tip { time: Timestamp::from_millis(1), ..now.clone() };
        let mut alone = now.clone();
        let own = now.register.nodes.iter().filter(|(key, _)| **key == me);
        let nodes = own.map(|(key, entry)| (*key, entry.clone())).collect();
        alone.register = Arc::new(tandem_chain::roles::Register { nodes });
        let good = NodeView { catching_up: false, ..NodeView::default() };
        let syncing = NodeView { catching_up: true, ..good.clone() };
        let alarmed = NodeView { alarms: vec!["clock: it is off".to_owned()], ..good.clone() };
        let silent = NodeView { silent_through: Height(7), ..good.clone() };
        let cases = [
            ("well", &good, &now, 1, vec![]),
            ("the only node of its chain", &good, &alone, 0, vec![]),
            ("alone", &good, &now, 0, vec!["peers"]),
            ("behind", &syncing, &now, 1, vec!["sync"]),
            ("no block for long", &good, &old, 1, vec!["chain"]),
            ("an alarm", &alarmed, &now, 1, vec!["clock"]),
            ("a key that signs nothing", &silent, &now, 1, vec!["key"]),
            ("all at once", &syncing, &old, 0, vec!["chain", "sync", "peers"]),
        ];
        for (name, view, tip, peers, parts) in cases {
            let (_view, watched) = watch::channel(Arc::new(view.clone()));
            let reasons = not_ready(&watched, tip, &me, peers);
            assert_eq!(reasons.len(), parts.len(), "{name}: {reasons:?}");
            for (reason, part) in reasons.iter().zip(&parts) {
                assert!(is_of(reason, part) && PARTS.contains(part), "{name}: {reasons:?}");
            }
        }
        let (view, watched) = watch::channel(Arc::new(good));
        drop(view);
        assert!(is_of(&faults(&watched, &now)[0], "driver"));
    }
}
