//! The rule against a second way of putting it: no counters, but all of the history looked at
//! again in every block. Every short history there is, in the rule alone and through the ledger.

use std::time::Duration;

use crate::ledger::tests::kit::*;
use crate::modules::parameters::Parameters;
use crate::modules::standby::{Run, Step};
use crate::types::{Height, Power};

/// A block as the oracle sees it for one seat: block k is the k-th of a history. Nodes 0 and 1 are the
/// pair; node 0 holds the seat at first.
#[derive(Clone, Copy, Debug)]
struct Seen {
    alive: [bool; 2],
    ms: u64,
    is_planned: bool,
}

fn seen(alive: [bool; 2], ms: u64) -> Seen {
    Seen { alive, ms, is_planned: false }
}

struct Limits {
    blocks: usize,
    min_us: u64,
    idle_ms: u64,
}

/// The nodes of the pair in the order in which they have held the seat: each change of holder by the
/// height from which it is in effect.
type Changes = Vec<usize>;

/// Whether the last block of a history moves the seat from node `changes.len() % 2` to the other.
fn moves(history: &[Seen], changes: &[usize], limits: &Limits) -> bool {
    let (k, holder) = (history.len(), changes.len() % 2);
    let e = changes.last().copied().unwrap_or(0);
    // Block 1 has an empty record.
    let alive = |node: usize, i: usize| i >= 2 && history[i - 1].alive[node];
    let counts = |i: usize| i > e && i >= 2 && !alive(holder, i) && alive(1 - holder, i);
    let first = (1..=k).rev().take_while(|i| counts(*i)).last();
    let is_due = first.is_some_and(|first| {
        let us: u64 = (first + 1..=k).map(|i| 1_000 * history[i - 1].ms.min(limits.idle_ms)).sum();
        k + 1 - first >= limits.blocks && us >= limits.min_us
    });
    (history[k - 1].is_planned && alive(1 - holder, k)) || is_due
}

/// A seat by the rule alone, as the ledger keeps it.
#[derive(Clone, Copy, Default)]
struct Alone {
    changes: usize,
    effective: u64,
    run: Run,
}

impl Alone {
    fn step(mut self, k: u64, seen: &Seen, limits: &Limits, power: Power) -> Self {
        let holder = self.changes % 2;
        let [holder_is_alive, partner_is_alive] = [holder, 1 - holder].map(|n| seen.alive[n]);
        let mut switches = seen.is_planned && k >= 2 && partner_is_alive;
        if switches {
            self.effective = k + 2;
        }
        let (run, is_over) = self.run.step(&Step {
            height: Height(k),
            effective: Height(self.effective),
            holder_is_dead: k >= 2 && !holder_is_alive,
            partner_is_alive: k >= 2 && partner_is_alive,
            power,
            f: Power(1),
            interval: Duration::from_millis(seen.ms),
            idle_block_interval: Duration::from_millis(limits.idle_ms),
            failover_blocks: limits.blocks as u64,
            failover_min: Duration::from_micros(limits.min_us),
        });
        assert!(!(switches && is_over), "one change a block");
        switches |= is_over;
        if switches {
            return Self { changes: self.changes + 1, effective: k + 2, run: Run::default() };
        }
        Self { run, ..self }
    }
}

/// Follows every history of `depth` more blocks of these kinds; the most that a seat has moved.
fn follow(
    history: &mut Vec<Seen>,
    changes: &mut Changes,
    alone: Alone,
    kinds: &[Seen],
    limits: &Limits,
    depth: usize,
) -> usize {
    let mut most = changes.len();
    for kind in kinds.iter().filter(|_| depth > 0) {
        history.push(*kind);
        let k = history.len();
        let after = alone.step(k as u64, kind, limits, Power(1));
        let is_moved = moves(history, changes, limits);
        if is_moved {
            changes.push(k + 2);
        }
        assert_eq!(after.changes, changes.len(), "{history:?}");
        most = most.max(follow(history, changes, after, kinds, limits, depth - 1));
        if is_moved {
            changes.pop();
        }
        history.pop();
    }
    most
}

#[test]
fn the_rule_agrees_with_the_oracle_on_every_short_history() {
    let [both, second, first, none] = [[true, true], [false, true], [true, false], [false, false]];
    let planned = |alive| Seen { is_planned: true, ..seen(alive, 1_000) };
    // What the record says of either node, with an interval that is capped and one that is short.
    let mut all: Vec<Seen> =
        [both, second, first, none].iter().flat_map(|a| [seen(*a, 40), seen(*a, 1_000)]).collect();
    all.extend([planned(both), planned(second)]);
    let two = Limits { blocks: 2, min_us: 60_000, idle_ms: 100 };
    let most = follow(&mut Vec::new(), &mut Vec::new(), Alone::default(), &all, &two, 7);
    assert_eq!(most, 6, "planned in every block but the first");
    let all: Vec<Seen> = all.into_iter().filter(|seen| !seen.is_planned).collect();
    let most = follow(&mut Vec::new(), &mut Vec::new(), Alone::default(), &all, &two, 8);
    assert_eq!(most, 2, "at heights 3 and 7");
    // With more blocks than the time takes, and an interval that counts whole.
    let kinds = [
        seen(both, 100),
        seen(none, 100),
        seen(second, 100),
        seen(second, 40),
        seen(second, 1_000),
        seen(first, 100),
    ];
    let three = Limits { blocks: 3, min_us: 150_000, idle_ms: 100 };
    let most = follow(&mut Vec::new(), &mut Vec::new(), Alone::default(), &kinds, &three, 9);
    assert_eq!(most, 2, "at heights 4 and 9");
}

#[test]
fn a_seat_with_more_than_f_power_is_never_switched_by_the_rule() {
    let limits = Limits { blocks: 2, min_us: 0, idle_ms: 100 };
    let dead = seen([false, true], 100);
    for (power, moved) in [(0, true), (1, true), (2, false), (u64::MAX, false)] {
        let mut alone = Alone::default();
        for k in 1..=3 {
            alone = alone.step(k, &dead, &limits, Power(power));
        }
        assert_eq!(alone.changes == 1, moved, "{power}");
    }
}

/// So many equal blocks, as each pair sees them.
struct Symbol {
    name: String,
    count: usize,
    seen: Vec<Seen>,
}

/// Histories of pairs through the ledger.
struct Ledgers {
    symbols: Vec<Symbol>,
    limits: Limits,
    /// Nodes that every record calls dead.
    dead: &'static [&'static str],
    /// Names of the organisations whose pairs are looked at.
    pairs: &'static [&'static str],
    /// How the other seats read.
    others: &'static str,
}

impl Ledgers {
    /// Follows every history of `depth` more symbols; how many ended with every pair's seat moved.
    fn follow(
        &self,
        chain: &Chain,
        history: &mut Vec<Vec<Seen>>,
        changes: &[Changes],
        path: &mut Vec<String>,
        depth: usize,
    ) -> usize {
        let mut moved = 0;
        for symbol in &self.symbols {
            let (mut chain, mut changes) = (chain.clone(), changes.to_vec());
            path.push(symbol.name.clone());
            for _ in 0..symbol.count {
                self.run(&mut chain, &symbol.seen);
                let mut expected = Vec::new();
                for (pair, name) in self.pairs.iter().enumerate() {
                    history[pair].push(symbol.seen[pair]);
                    if moves(&history[pair], &changes[pair], &self.limits) {
                        changes[pair].push(history[pair].len() + 2);
                    }
                    let term = changes[pair].len();
                    expected.push(format!("{name}{}/{term}", term % 2 + 1));
                }
                expected.push(self.others.to_owned());
                let expected = expected.join(" ");
                assert_eq!(chain.holders(), expected, "{path:?} at height {}", chain.height());
            }
            moved += usize::from(changes.iter().all(|changes| !changes.is_empty()));
            if depth > 1 {
                moved += self.follow(&chain, history, &changes, path, depth - 1);
            }
            for seen in history.iter_mut() {
                seen.truncate(seen.len() - symbol.count);
            }
            path.pop();
        }
        moved
    }

    fn run(&self, chain: &mut Chain, seen: &[Seen]) {
        let mut names: Vec<String> = self.dead.iter().map(ToString::to_string).collect();
        for (name, seen) in self.pairs.iter().zip(seen) {
            names.extend((0..2).filter(|n| !seen.alive[*n]).map(|n| format!("{name}{}", n + 1)));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut next = dead(&names).after_ms(seen[0].ms);
        for (name, _) in self.pairs.iter().zip(seen).filter(|(_, seen)| seen.is_planned) {
            let seat = chain.seat(name);
            let [one, other] = [1, 2].map(|n| format!("{name}{n}"));
            let target = if seat.holder == Some(key(&one)) { other } else { one };
            let call = switch(name, &target, seat.term.0);
            next = next.tx(chain.tx(&format!("{name}-admin"), call));
        }
        chain.run(&next);
    }

    fn count(&self, orgs: &[(&str, u64)], depth: usize) -> usize {
        let mut genesis = genesis_with(orgs);
        genesis.parameters = Parameters {
            failover_blocks: 1,
            max_clock_ahead_ms: 1,
            network_bound_ms: 1,
            ..Parameters::lan()
        };
        let mut chain = Chain::with(genesis);
        chain.is_checked = false;
        let mut history = vec![Vec::new(); self.pairs.len()];
        let changes = vec![Changes::new(); self.pairs.len()];
        self.follow(&chain, &mut history, &changes, &mut Vec::new(), depth)
    }
}

/// 4/3 (1 + 2 * 100 + 1) ms.
const FAILOVER_MIN_US: u64 = 269_333;

#[test]
fn the_ledger_agrees_with_the_oracle_on_every_short_history_of_a_pair() {
    let (alive, a1_dead, a2_dead) =
        (seen([true; 2], 100), seen([false, true], 100), seen([true, false], 100));
    let symbols = [
        ("all alive", 1, alive),
        ("a1 dead", 1, a1_dead),
        ("a1 dead for 4", 4, a1_dead),
        ("a1 dead for 4 fast", 4, Seen { ms: 45, ..a1_dead }),
        ("a2 dead for 4", 4, a2_dead),
        ("a2 dead for 3 slow", 3, Seen { ms: 900, ..a2_dead }),
        ("both dead", 1, seen([false; 2], 100)),
        ("planned", 1, Seen { is_planned: true, ..alive }),
        ("planned, a1 dead", 1, Seen { is_planned: true, ..a1_dead }),
    ];
    let symbols = symbols.map(|(name, count, seen)| {
        let name = name.to_owned();
        Symbol { name, count, seen: vec![seen] }
    });
    let ledgers = Ledgers {
        symbols: symbols.into(),
        // N = n + 1.
        limits: Limits { blocks: 5, min_us: FAILOVER_MIN_US, idle_ms: 100 },
        dead: &[],
        pairs: &["a"],
        others: "b1/0 c1/0 d1/0",
    };
    let moved = ledgers.count(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)], 4);
    assert!(moved > 1_000, "most of these histories move the seat: {moved}");
}

#[test]
fn the_ledger_agrees_with_the_oracle_on_every_short_history_of_two_pairs() {
    let [both, second, first] = [[true, true], [false, true], [true, false]];
    let kinds = [
        (both, both),
        (second, both),
        (both, second),
        (second, second),
        (first, both),
        (first, second),
    ];
    let symbol = |(a, b): ([bool; 2], [bool; 2]), count| Symbol {
        name: format!("{a:?} {b:?} for {count}"),
        count,
        seen: vec![seen(a, 100), seen(b, 100)],
    };
    let symbols = kinds.iter().flat_map(|kind| [symbol(*kind, 1), symbol(*kind, 4)]);
    let ledgers = Ledgers {
        symbols: symbols.collect(),
        // N = n + 1.
        limits: Limits { blocks: 4, min_us: FAILOVER_MIN_US, idle_ms: 100 },
        // The third seat has more than f power: it stays, however long its holder is dead.
        dead: &["c1"],
        pairs: &["a", "b"],
        others: "c1/0",
    };
    let moved = ledgers.count(&[("a", 1), ("b", 1), ("c", 2)], 4);
    assert!(moved > 1_000, "many of these histories move both seats: {moved}");
}
