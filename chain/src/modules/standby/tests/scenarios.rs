//! Automatic switches. With four seats of power 1 and the `lan` preset: f = 1, N = 10, blocks
//! 100 ms apart, failover_min 666.7 ms; the first record is in block 2.

use crate::genesis::Genesis;
use crate::ledger::tests::kit::*;
use crate::modules::parameters::Parameters;
use crate::modules::standby::{Reason, history};
use crate::types::Height;

/// A step of a scenario.
enum Step {
    /// So many blocks, 100 ms apart, in whose records these nodes are dead.
    Blocks(u64, &'static [&'static str]),
    /// The same with so many milliseconds between them.
    Every(u64, u64, &'static [&'static str]),
    /// Now these hold the seats in the newest table, in these terms.
    Holders(&'static str),
}
use Step::{Blocks, Every, Holders};

struct Scenario {
    name: &'static str,
    genesis: Genesis,
    steps: &'static [Step],
}

/// Organisations a, b, c, ... with these powers.
fn powers(powers: &[u64]) -> Genesis {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    genesis_with(&NAMES.into_iter().zip(powers.iter().copied()).collect::<Vec<_>>())
}

fn four_with(change: impl FnOnce(&mut Parameters)) -> Genesis {
    let mut genesis = genesis();
    change(&mut genesis.parameters);
    genesis
}

fn without_standby(mut genesis: Genesis) -> Genesis {
    genesis.organizations[0].nodes.remove(1);
    genesis
}

const FOUR: &str = "a1/0 b1/0 c1/0 d1/0";
const MOVED: &str = "a2/1 b1/0 c1/0 d1/0";

#[test]
fn automatic_switches_follow_the_rule() {
    let scenarios = [
        Scenario {
            name: "a dead holder with a live partner is replaced after N blocks, not one sooner",
            genesis: genesis(),
            steps: &[
                Blocks(1, &[]),
                Blocks(9, &["a1"]),
                Holders(FOUR),
                Blocks(1, &["a1"]),
                Holders(MOVED),
            ],
        },
        Scenario {
            name: "block 1 has no record and counts nothing",
            genesis: genesis(),
            steps: &[Blocks(10, &["a1"]), Holders(FOUR), Blocks(1, &["a1"]), Holders(MOVED)],
        },
        Scenario {
            name: "all alive: nothing moves",
            genesis: genesis(),
            steps: &[Blocks(50, &[]), Holders(FOUR)],
        },
        Scenario {
            name: "both nodes of a pair dead: the seat keeps its holder",
            genesis: genesis(),
            steps: &[Blocks(50, &["a1", "a2"]), Holders(FOUR)],
        },
        Scenario {
            name: "a partner that comes alive again has a full run before it",
            genesis: genesis(),
            steps: &[
                Blocks(50, &["a1", "a2"]),
                Blocks(9, &["a1"]),
                Holders(FOUR),
                Blocks(1, &["a1"]),
                Holders(MOVED),
            ],
        },
        Scenario {
            name: "a partner that is behind counts as dead, and one such block cuts the run",
            genesis: genesis(),
            steps: &[
                Blocks(10, &["a1"]),
                Blocks(1, &["a1", "a2"]),
                Blocks(9, &["a1"]),
                Holders(FOUR),
                Blocks(1, &["a1"]),
                Holders(MOVED),
            ],
        },
        Scenario {
            name: "one block in which the holder is alive cuts the run",
            genesis: genesis(),
            steps: &[
                Blocks(10, &["a1"]),
                Blocks(1, &[]),
                Blocks(9, &["a1"]),
                Holders(FOUR),
                Blocks(1, &["a1"]),
                Holders(MOVED),
            ],
        },
        Scenario {
            name: "a flapping holder that is seen once in nine blocks stays",
            genesis: genesis(),
            steps: &[
                Blocks(9, &["a1"]),
                Blocks(1, &[]),
                Blocks(9, &["a1"]),
                Blocks(1, &[]),
                Blocks(9, &["a1"]),
                Blocks(1, &[]),
                Holders(FOUR),
            ],
        },
        Scenario {
            name: "the old holder that returns is the standby; nothing moves back",
            genesis: genesis(),
            steps: &[Blocks(11, &["a1"]), Holders(MOVED), Blocks(50, &[]), Holders(MOVED)],
        },
        Scenario {
            // Decided in block 11, in effect from 13: block 14 is the first that counts again.
            name: "the window starts anew after a switch",
            genesis: genesis(),
            steps: &[
                Blocks(11, &["a1"]),
                Blocks(2 + 9, &["a2"]),
                Holders(MOVED),
                Blocks(1, &["a2"]),
                Holders("a1/2 b1/0 c1/0 d1/0"),
            ],
        },
        Scenario {
            name: "a pair with one node is never switched",
            genesis: without_standby(genesis()),
            steps: &[Blocks(50, &["a1"]), Holders(FOUR)],
        },
        Scenario {
            name: "a seat with more than f power is never switched",
            genesis: powers(&[2, 1, 1, 1]),
            steps: &[Blocks(50, &["a1"]), Holders(FOUR)],
        },
        Scenario {
            name: "a seat with exactly f power is",
            genesis: powers(&[2, 2, 2, 1]),
            steps: &[Blocks(11, &["a1"]), Holders(MOVED)],
        },
        Scenario {
            name: "with three seats f is 0 and nothing is switched",
            genesis: powers(&[1, 1, 1]),
            steps: &[Blocks(50, &["a1"]), Holders("a1/0 b1/0 c1/0")],
        },
        Scenario {
            name: "two seats are switched in one block",
            genesis: powers(&[1; 7]),
            steps: &[
                Blocks(1, &[]),
                Blocks(10, &["a1", "c1"]),
                Holders("a2/1 b1/0 c2/1 d1/0 e1/0 f1/0 g1/0"),
            ],
        },
        Scenario {
            name: "so are all of them, when the run of each has advanced in each block",
            genesis: genesis(),
            steps: &[
                Blocks(1, &[]),
                Blocks(9, &["a1", "b1", "c1", "d1"]),
                Holders(FOUR),
                Blocks(1, &["a1", "b1", "c1", "d1"]),
                Holders("a2/1 b2/1 c2/1 d2/1"),
            ],
        },
        Scenario {
            name: "N is at least the number of seats and one: 9 seats, 10 blocks",
            genesis: powers(&[1; 9]),
            steps: &[
                Blocks(10, &["a1"]),
                Holders("a1/0 b1/0 c1/0 d1/0 e1/0 f1/0 g1/0 h1/0 i1/0"),
                Blocks(1, &["a1"]),
                Holders("a2/1 b1/0 c1/0 d1/0 e1/0 f1/0 g1/0 h1/0 i1/0"),
            ],
        },
        Scenario {
            name: "N is at least the number of seats and one: 10 seats, 11 blocks",
            genesis: powers(&[1; 10]),
            steps: &[
                Blocks(11, &["a1"]),
                Holders("a1/0 b1/0 c1/0 d1/0 e1/0 f1/0 g1/0 h1/0 i1/0 j1/0"),
                Blocks(1, &["a1"]),
                Holders("a2/1 b1/0 c1/0 d1/0 e1/0 f1/0 g1/0 h1/0 i1/0 j1/0"),
            ],
        },
        Scenario {
            name: "failover_blocks below n + 1 does not shorten the run",
            genesis: four_with(|p| {
                (p.failover_blocks, p.max_clock_ahead_ms, p.network_bound_ms) = (1, 1, 1);
            }),
            steps: &[Blocks(5, &["a1"]), Holders(FOUR), Blocks(1, &["a1"]), Holders(MOVED)],
        },
        Scenario {
            // 10 intervals of 100 ms after the first block of the run.
            name: "failover_min at its boundary: the first block of a run adds no time",
            genesis: four_with(|p| p.failover_min_ms = 1_000),
            steps: &[Blocks(11, &["a1"]), Holders(FOUR), Blocks(1, &["a1"]), Holders(MOVED)],
        },
        Scenario {
            name: "failover_min one millisecond more takes one more block",
            genesis: four_with(|p| p.failover_min_ms = 1_001),
            steps: &[Blocks(12, &["a1"]), Holders(FOUR), Blocks(1, &["a1"]), Holders(MOVED)],
        },
        Scenario {
            // 666.666 ms need 67 intervals of 10 ms, so 68 blocks; block 1 has no record.
            name: "fast blocks must take failover_min",
            genesis: genesis(),
            steps: &[Every(10, 68, &["a1"]), Holders(FOUR), Every(10, 1, &["a1"]), Holders(MOVED)],
        },
        Scenario {
            name: "an hour between blocks counts as one idle interval",
            genesis: four_with(|p| p.failover_min_ms = 1_000),
            steps: &[
                Every(3_600_000, 11, &["a1"]),
                Holders(FOUR),
                Every(3_600_000, 1, &["a1"]),
                Holders(MOVED),
            ],
        },
        Scenario {
            name: "a holder and a partner of different seats make no run",
            genesis: genesis(),
            steps: &[Blocks(50, &["a1", "a2", "b2"]), Holders(FOUR)],
        },
    ];
    for Scenario { name, genesis, steps } in scenarios {
        let mut chain = Chain::with(genesis);
        for step in steps {
            match step {
                Blocks(count, names) => drop(chain.run_many(*count, &dead(names))),
                Every(ms, count, names) => {
                    drop(chain.run_many(*count, &dead(names).after_ms(*ms)));
                }
                Holders(expected) => {
                    assert_eq!(chain.holders(), *expected, "{name}, height {}", chain.height());
                }
            }
        }
    }
}

#[test]
fn a_switch_decided_in_block_k_is_in_effect_from_k_plus_2() {
    let mut chain = Chain::new();
    chain.run_many(10, &dead(&["a1"]));
    let events = chain.run(&dead(&["a1"])).events;
    let tip = chain.ledger.tip();
    assert_eq!(tip.height, Height(11));
    let holder = |table: &crate::roles::RoleTable| table.seats()[&org("a")].holder;
    assert_eq!(holder(&tip.table), key("a1"));
    assert_eq!(holder(&tip.next_table), key("a1"));
    assert_eq!(holder(&tip.next_next_table), key("a2"));
    assert_eq!(
        (chain.holder_at("a", 12).unwrap(), chain.holder_at("a", 13).unwrap()),
        ("a1".to_owned(), "a2".to_owned())
    );
    let switch = &history(chain.store(), 0, 10).unwrap()[0];
    assert_eq!((switch.height, switch.effective), (Height(11), Height(13)));
    assert_eq!((switch.from, switch.to), (Some(key("a1")), Some(key("a2"))));
    assert_eq!(switch.reason, Reason::Automatic);
    assert_eq!(events.len(), 1);
    for (name, value) in [
        ("seat", "a"),
        ("from", &key("a1").to_string()),
        ("to", &key("a2").to_string()),
        ("term", "1"),
        ("effective_height", "13"),
        ("reason", "automatic"),
    ] {
        assert_eq!(events[0].attribute(name), Some(value));
    }
    chain.run_many(2, &Next::default());
    assert_eq!(holder(&chain.ledger.tip().table), key("a2"));
}

#[test]
fn changes_of_the_pair_restart_the_window() {
    let cases = [
        ("a new partner", remove("a2"), register("a", "a4", true), "a4/1"),
        ("an observer as partner", set_partner("a3"), create("x"), "a3/1"),
        ("the old partner again", set_partner("a3"), set_partner("a2"), "a2/1"),
    ];
    for (name, first, second, expected) in cases {
        let mut chain = Chain::new();
        chain.run_many(9, &dead(&["a1"]));
        for call in [first, second] {
            let tx = chain.tx("a-admin", call);
            let receipt = chain.run(&dead(&["a1"]).tx(tx)).receipts[1].clone();
            assert!(receipt.is_ok(), "{name}: {receipt:?}");
        }
        // In effect two blocks after the last change, and ten blocks count after that.
        let last = chain.seat("a").effective.0;
        while chain.height() < last + 9 {
            assert!(chain.run(&dead(&["a1"])).events.is_empty(), "{name}");
        }
        chain.run(&dead(&["a1"]));
        assert!(chain.holders().starts_with(expected), "{name}: {}", chain.holders());
    }
}

#[test]
fn a_node_that_was_registered_in_the_run_is_counted_from_its_first_record_on() {
    let mut chain = Chain::with(without_standby(genesis()));
    chain.run_many(9, &dead(&["a1"]));
    let tx = chain.tx("a-admin", register("a", "a4", true));
    chain.run(&dead(&["a1"]).tx(tx));
    // Registered in block 10; the record of block 12 is the first with a bit for it.
    assert_eq!(chain.seat("a").effective, Height(12));
    chain.run_many(11, &dead(&["a1"]));
    assert_eq!((chain.height(), chain.holders().as_str()), (21, FOUR));
    chain.run(&dead(&["a1"]));
    assert_eq!(chain.holders(), "a4/1 b1/0 c1/0 d1/0");
}

#[test]
fn parameters_that_change_in_a_run_count_from_the_next_block_on() {
    use crate::modules::consortium::Change;
    let mut chain = Chain::new();
    chain.run_many(6, &dead(&["a1"]));
    let longer = Parameters { failover_blocks: 12, ..Parameters::lan() };
    let motion = chain.tx("a-admin", propose(Change::SetParameters(longer)));
    let mut next = dead(&["a1"]).tx(motion);
    for admin in ["b-admin", "c-admin"] {
        next = next.tx(chain.tx(admin, vote(1)));
    }
    chain.run(&next);
    // Block 7 had the sixth record of the run; the tenth, in block 11, is not enough any more.
    chain.run_many(5, &dead(&["a1"]));
    assert_eq!((chain.height(), chain.holders().as_str()), (12, FOUR));
    chain.run(&dead(&["a1"]));
    assert_eq!(chain.holders(), MOVED);
}

#[test]
fn the_blocks_until_a_switch_are_told_as_they_are() {
    for (ms, failover_min_ms) in [(100, 0), (100, 1_550), (100, 5_000), (10, 0)] {
        let mut chain = Chain::with(four_with(|p| p.failover_min_ms = failover_min_ms));
        chain.is_checked = false;
        assert_eq!(chain.seat("a").blocks_until_switch, None);
        assert_eq!(chain.seat("a").holder_alive, None);
        chain.run(&Next::default());
        chain.run_many(4, &dead(&["a1"]).after_ms(ms));
        let seat = chain.seat("a");
        assert_eq!((seat.holder_alive, seat.partner_alive), (Some(false), Some(true)));
        assert_eq!((seat.run.count, seat.failover_blocks), (4, 10));
        let left = seat.blocks_until_switch.unwrap();
        chain.run_many(left - 1, &dead(&["a1"]));
        assert_eq!(
            (chain.holders().as_str(), chain.seat("a").blocks_until_switch),
            (FOUR, Some(1))
        );
        chain.run(&dead(&["a1"]));
        assert_eq!((chain.holders().as_str(), chain.seat("a").blocks_until_switch), (MOVED, None));
    }
}

#[test]
fn seats_that_are_never_switched_say_why() {
    let never = |genesis| Chain::with(genesis).seat("a").never_automatic;
    assert_eq!(never(genesis()), None);
    assert_eq!(never(without_standby(genesis())), Some("it has no partner".to_owned()));
    assert_eq!(never(powers(&[2, 1, 1, 1])), Some("its power 2 is more than f = 1".to_owned()));
}

#[test]
fn the_history_is_bounded_and_newest_first() {
    use crate::limits::MAX_SWITCH_HISTORY;
    let mut chain = Chain::new();
    chain.is_checked = false;
    chain.run(&Next::default());
    let total = MAX_SWITCH_HISTORY + 3;
    for term in 0..total {
        let target = if term % 2 == 0 { "a2" } else { "a1" };
        let tx = chain.tx("a-admin", switch("a", target, term));
        assert!(chain.run(&Next::default().tx(tx)).receipts[1].is_ok());
    }
    let terms = |skip, limit| {
        let found = history(chain.store(), skip, limit).unwrap();
        found.iter().map(|switch| switch.term.0).collect::<Vec<_>>()
    };
    assert_eq!(terms(0, 3), [total, total - 1, total - 2]);
    assert_eq!(terms(2, 2), [total - 2, total - 3]);
    assert_eq!(terms(MAX_SWITCH_HISTORY - 1, 5), [4]);
    assert!(terms(MAX_SWITCH_HISTORY, 5).is_empty());
    assert!(terms(u64::MAX, usize::MAX).is_empty());
    assert_eq!(terms(0, usize::MAX).len() as u64, MAX_SWITCH_HISTORY);
}
