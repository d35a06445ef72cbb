//! The rule against a second way of putting it: no counters, but all of the history looked at
//! again in every block. Every short history there is, in the rule alone and through the ledger.

use std::time::Duration;

use crate::ledger::tests::kit::*;
use crate::modules::parameters::Parameters;
use crate::modules::standby::{Run, Step};
use crate::types::{Height, Power};

/// A block as the oracle sees it: block k is the k-th of a history.
#[derive(Clone, Copy, Debug)]
struct Seen {
    a1_is_alive: bool,
    a2_is_alive: bool,
    ms: u64,
    is_planned: bool,
}

struct Limits {
    blocks: usize,
    min_us: u64,
    idle_ms: u64,
}

/// Which of the two nodes, 0 or 1, holds the seat in table(k+2) after the last block, and its term.
fn oracle(history: &[Seen], limits: &Limits) -> (usize, usize) {
    // Effective heights of all changes of holder.
    let mut changes: Vec<usize> = Vec::new();
    for k in 1..=history.len() {
        let holder = changes.len() % 2;
        let e = changes.last().copied().unwrap_or(0);
        let seen = |i: usize| history[i - 1];
        let alive = |node: usize, i: usize| {
            i >= 2 && if node == 0 { seen(i).a1_is_alive } else { seen(i).a2_is_alive }
        };
        let counts = |i: usize| i > e && i >= 2 && !alive(holder, i) && alive(1 - holder, i);
        let first = (1..=k).rev().take_while(|i| counts(*i)).last();
        let is_due = first.is_some_and(|first| {
            let us: u64 = (first + 1..=k).map(|i| 1_000 * seen(i).ms.min(limits.idle_ms)).sum();
            k + 1 - first >= limits.blocks && us >= limits.min_us
        });
        if (seen(k).is_planned && alive(1 - holder, k)) || is_due {
            changes.push(k + 2);
        }
    }
    (changes.len() % 2, changes.len())
}

#[test]
fn the_rule_agrees_with_the_oracle_on_every_history_of_nine_blocks() {
    let limits = Limits { blocks: 3, min_us: 150_000, idle_ms: 100 };
    let block =
        |a1_is_alive, ms| Seen { a1_is_alive, a2_is_alive: !a1_is_alive, ms, is_planned: false };
    // Either node dead with an interval that counts whole, the first also with shorter and longer.
    let kinds = [block(false, 100), block(true, 100), block(false, 40), block(false, 1_000)];
    for code in 0..4usize.pow(9) {
        let history: Vec<Seen> = (0..9).map(|i| kinds[code >> (2 * i) & 3]).collect();
        let (mut holder, mut term, mut effective, mut run) = (0, 0, 0, Run::default());
        for (i, seen) in history.iter().enumerate() {
            let k = i as u64 + 1;
            let holder_is_alive = if holder == 0 { seen.a1_is_alive } else { seen.a2_is_alive };
            let (after, switches) = run.step(&Step {
                height: Height(k),
                effective: Height(effective),
                holder_is_dead: k >= 2 && !holder_is_alive,
                partner_is_alive: k >= 2 && !holder_is_alive,
                power: Power(1),
                f: Power(1),
                interval: Duration::from_millis(seen.ms),
                idle_block_interval: Duration::from_millis(limits.idle_ms),
                failover_blocks: limits.blocks as u64,
                failover_min: Duration::from_micros(limits.min_us),
            });
            run = after;
            if switches {
                (holder, term, effective, run) = (1 - holder, term + 1, k + 2, Run::default());
            }
        }
        assert_eq!((holder, term), oracle(&history, &limits), "{history:?}");
    }
}

/// So many equal blocks.
struct Symbol {
    name: &'static str,
    count: usize,
    block: Seen,
}

#[test]
fn the_ledger_agrees_with_the_oracle_on_every_short_history() {
    let alive = Seen { a1_is_alive: true, a2_is_alive: true, ms: 100, is_planned: false };
    let a1_dead = Seen { a1_is_alive: false, ..alive };
    let a2_dead = Seen { a2_is_alive: false, ..alive };
    let symbols = [
        Symbol { name: "all alive", count: 1, block: alive },
        Symbol { name: "a1 dead", count: 1, block: a1_dead },
        Symbol { name: "a1 dead for 4", count: 4, block: a1_dead },
        Symbol { name: "a1 dead for 4 fast", count: 4, block: Seen { ms: 45, ..a1_dead } },
        Symbol { name: "a2 dead for 4", count: 4, block: a2_dead },
        Symbol { name: "a2 dead for 3 slow", count: 3, block: Seen { ms: 900, ..a2_dead } },
        Symbol { name: "both dead", count: 1, block: Seen { a2_is_alive: false, ..a1_dead } },
        Symbol { name: "planned", count: 1, block: Seen { is_planned: true, ..alive } },
        Symbol { name: "planned, a1 dead", count: 1, block: Seen { is_planned: true, ..a1_dead } },
    ];
    let mut genesis = genesis();
    // N = n + 1 = 5; failover_min = 4/3 (1 + 2 * 100 + 1) ms = 269.333 ms.
    genesis.parameters = Parameters {
        failover_blocks: 1,
        max_clock_ahead_ms: 1,
        network_bound_ms: 1,
        ..Parameters::lan()
    };
    let limits = Limits { blocks: 5, min_us: 269_333, idle_ms: 100 };
    let mut chain = Chain::with(genesis);
    chain.is_checked = false;
    let mut path = Vec::new();
    let mut switched = 0;
    explore(&chain, &symbols, &limits, &mut Vec::new(), &mut path, 4, &mut switched);
    assert!(switched > 1_000, "most of these histories move the seat");
}

fn explore(
    chain: &Chain,
    symbols: &[Symbol],
    limits: &Limits,
    history: &mut Vec<Seen>,
    path: &mut Vec<&'static str>,
    depth: usize,
    switched: &mut usize,
) {
    for symbol in symbols {
        let mut chain = chain.clone();
        path.push(symbol.name);
        for _ in 0..symbol.count {
            history.push(symbol.block);
            run(&mut chain, &symbol.block);
            let (holder, term) = oracle(history, limits);
            let expected = format!("a{}/{term} b1/0 c1/0 d1/0", holder + 1);
            assert_eq!(chain.holders(), expected, "{path:?} at height {}", chain.height());
        }
        *switched += usize::from(!chain.holders().starts_with("a1/0"));
        if depth > 1 {
            explore(&chain, symbols, limits, history, path, depth - 1, switched);
        }
        history.truncate(history.len() - symbol.count);
        path.pop();
    }
}

fn run(chain: &mut Chain, seen: &Seen) {
    let mut names = Vec::new();
    names.extend((!seen.a1_is_alive).then_some("a1"));
    names.extend((!seen.a2_is_alive).then_some("a2"));
    let mut next = dead(&names).after_ms(seen.ms);
    if seen.is_planned {
        let seat = chain.seat("a");
        let target = if seat.holder == Some(key("a1")) { "a2" } else { "a1" };
        next = next.tx(chain.tx("a-admin", switch("a", target, seat.term.0)));
    }
    chain.run(&next);
}
