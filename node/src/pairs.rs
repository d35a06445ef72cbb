//! What is wrong with the pairs of the chain, by the newest liveness record: a standby that nobody
//! misses until it is needed is told of here.

use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::OrgName;

/// One text for each seat that is down, about to move, or without a standby that could take it, none
/// before the first record; and for each whose validator's clock is ahead.
#[must_use]
pub fn troubles(tip: &Tip, clocks_ahead: &[OrgName]) -> Vec<String> {
    let mut troubles = pairs(tip);
    troubles.extend(clocks_ahead.iter().map(|org| {
        format!(
            "seat {org}: its validator's clock is ahead by more than max_clock_ahead, so its proposals \
             are refused"
        )
    }));
    troubles
}

fn pairs(tip: &Tip) -> Vec<String> {
    let Some(alive) = &tip.alive else { return Vec::new() };
    let mut orgs: Vec<_> = tip.register.nodes.values().filter(|n| n.pair).map(|n| &n.org).collect();
    orgs.sort_unstable();
    orgs.dedup();
    let trouble = |org| {
        let holder = tip.next_table.seats().get(org).map(|seat| seat.holder);
        let nodes = tip.register.nodes.iter();
        let mut pair = nodes.filter(|(_, n)| n.pair && n.org == *org).map(|(key, _)| *key);
        let partner: Option<PublicKey> = pair.find(|key| Some(*key) != holder);
        let lives = |key: Option<PublicKey>| key.map(|key| alive.contains(&key));
        match (lives(holder), lives(partner)) {
            (Some(true), Some(true) | None) => None,
            (Some(true), Some(false)) => {
                Some(format!("seat {org}: its standby is dead, so nobody would take it over"))
            }
            (Some(false), Some(true)) => Some(format!(
                "seat {org}: its validator is dead; its standby is due to take it over"
            )),
            (Some(false), Some(false)) => {
                Some(format!("seat {org}: it is down, since both of its nodes are dead"))
            }
            (Some(false), None) => {
                Some(format!("seat {org}: it is down, since its only node is dead"))
            }
            (None, _) => {
                Some(format!("seat {org}: it is left out until a node of its pair is alive"))
            }
        }
    };
    orgs.into_iter().filter_map(trouble).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use tandem_chain::ledger::Ledger;
    use tandem_chain::roles::RoleTable;
    use tandem_chain::store::MemoryStore;

    use super::*;
    use crate::testing;

    fn tip(dead: &[PublicKey]) -> Tip {
        let genesis = testing::genesis();
        let mut store = MemoryStore::default();
        store.apply(&Ledger::<MemoryStore>::genesis(&genesis));
        let ledger = Ledger::open(store, &genesis).unwrap();
        let tip = Tip::clone(ledger.tip());
        let keys = tip.register.nodes.keys().copied();
        let alive: BTreeSet<PublicKey> = keys.filter(|key| !dead.contains(key)).collect();
        Tip { alive: Some(Arc::new(alive)), ..tip }
    }

    #[test]
    fn each_seat_that_could_fail_is_named() {
        let (alpha, beta) = (testing::validator(0).public(), testing::validator(1).public());
        let standby = testing::standby(0).public();
        for (dead, words) in [
            (vec![], vec![]),
            (vec![standby], vec!["seat alpha: its standby is dead"]),
            (vec![alpha], vec!["seat alpha: its validator is dead"]),
            (vec![alpha, standby], vec!["seat alpha: it is down"]),
            (vec![standby, beta], vec!["seat alpha: its standby", "seat beta: its validator"]),
        ] {
            let got = troubles(&tip(&dead), &[]);
            assert_eq!(got.len(), words.len(), "{got:?}");
            assert!(got.iter().zip(&words).all(|(got, word)| got.starts_with(word)), "{got:?}");
        }
    }

    #[test]
    fn a_seat_that_is_left_out_is_named_and_before_the_first_record_nothing_is() {
        let whole = tip(&[]);
        let mut seats = whole.next_table.seats().clone();
        seats.retain(|org, _| org.as_str() != "alpha");
        let left_out = Tip { next_table: Arc::new(RoleTable::from(seats)), ..whole.clone() };
        assert!(troubles(&left_out, &[])[0].starts_with("seat alpha: it is left out"));
        assert!(troubles(&Tip { alive: None, ..left_out }, &[]).is_empty());
    }

    #[test]
    fn a_validator_whose_clock_is_ahead_is_named() {
        let got = troubles(&tip(&[]), &["beta".parse().unwrap()]);
        assert!(got[0].starts_with("seat beta: its validator's clock is ahead"), "{got:?}");
        assert_eq!(got.len(), 1);
    }
}
