//! Coverage: which rules of the round table and which rows of the switch table histories went
//! through, and where in their effects nodes crashed. Everything is found out from outside: from what
//! a correct node's replica was given and what came out of it, and from blocks, tables and receipts
//! of the chain. What cannot be told apart for sure is not counted.
//!
//! | table | rows | found out in |
//! |---|---|---|
//! | rounds | `rules` | `rounds`, from the votes that `ballots` counts |
//! | switches | `cases` | `switches` |
//! | crashes | `crashes` | `crashes` |
//! | invitations | `entries` | the world's `guests` and `thieves`, from receipts |
//!
//! `tandem-testnet sim` prints the tables and, when it lived through [`ENOUGH_SEEDS`], fails if a
//! row was never hit: then a rule is dead, or the histories are too tame to reach it.

mod ballots;
mod cases;
pub mod crashes;
mod entries;
mod part;
mod rounds;
mod rules;
mod switches;
mod votes;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tandem_consensus::{Effect, Input, Replica};

pub use self::cases::Case;
use self::crashes::{Kind, Point, When};
pub use self::entries::Entry;
use self::part::Part;
pub use self::rules::Rule;
use self::switches::Switches;
pub use self::switches::{Doing, NewBlock};
use super::node::Process;
use super::queue::Time;

/// Seeds from which on a row that was never hit is a failure.
pub const ENOUGH_SEEDS: u64 = 1_000;

/// A row of a table of coverage.
pub trait Row: Copy + Ord + fmt::Display {
    /// All rows in order.
    fn all() -> Vec<Self>;
}

/// Makes an enumeration of rows with a text each.
macro_rules! rows {
    ($(#[$meta:meta])* $name:ident { $($row:ident: $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $text] $row,)+
        }

        impl $crate::sim::coverage::Row for $name {
            fn all() -> Vec<Self> {
                vec![$(Self::$row),+]
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$row => $text,)+ })
            }
        }
    };
}
use rows;

/// How often each row was hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<R>(BTreeMap<R, u64>);

impl<R> Default for Tally<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Row> Tally<R> {
    /// A row was hit.
    pub fn hit(&mut self, row: R) {
        *self.0.entry(row).or_default() += 1;
    }

    /// How often a row was hit.
    #[must_use]
    pub fn count(&self, row: R) -> u64 {
        self.0.get(&row).copied().unwrap_or(0)
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (row, count) in &other.0 {
            *self.0.entry(*row).or_default() += count;
        }
    }

    /// The rows that were never hit.
    pub fn never(&self) -> impl Iterator<Item = R> {
        R::all().into_iter().filter(|row| self.count(*row) == 0)
    }
}

impl<R: Row> Serialize for Tally<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(R::all().into_iter().map(|row| (row.to_string(), self.count(row))))
    }
}

impl<R: Row> fmt::Display for Tally<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in R::all() {
            write!(f, "\n{:>10}  {row}", self.count(row))?;
        }
        Ok(())
    }
}

/// How often each row of each table was hit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Rules of the round table, at correct nodes.
    pub rounds: Tally<Rule>,
    /// Rows of the switch table.
    pub switches: Tally<Case>,
    /// Where correct nodes crashed.
    pub crashes: Tally<Point>,
    /// Rows of the table of invitations.
    pub entries: Tally<Entry>,
}

impl Coverage {
    /// Adds another history's.
    pub fn add(&mut self, other: &Self) {
        self.rounds.add(&other.rounds);
        self.switches.add(&other.switches);
        self.crashes.add(&other.crashes);
        self.entries.add(&other.entries);
    }

    /// The rows that were never hit.
    #[must_use]
    pub fn never(&self) -> Vec<String> {
        let rounds = self.rounds.never().map(|row| format!("rounds: {row}"));
        let switches = self.switches.never().map(|row| format!("switches: {row}"));
        let crashes = self.crashes.never().map(|row| format!("crashes: {row}"));
        let entries = self.entries.never().map(|row| format!("invitations: {row}"));
        rounds.chain(switches).chain(crashes).chain(entries).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules of the round table:{}", self.rounds)?;
        write!(f, "\nrows of the switch table:{}", self.switches)?;
        write!(f, "\nrows of the table of invitations:{}", self.entries)?;
        write!(f, "\ncrashes:\n{:>10}{:>10}{:>10}", "before", "during", "after")?;
        for kind in Kind::all() {
            f.write_str("\n")?;
            for when in [When::Before, When::During, When::After] {
                let point = Point { kind, when };
                if point.exists() {
                    write!(f, "{:>10}", self.crashes.count(point))?;
                } else {
                    write!(f, "{:>10}", "-")?;
                }
            }
            write!(f, "  {kind}")?;
        }
        Ok(())
    }
}

/// What is watched in one history.
pub struct Watch {
    parts: Vec<Option<Part>>,
    switches: Switches,
    seen: Coverage,
}

impl Watch {
    /// Of a network with so many nodes, none of which runs.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            parts: (0..nodes).map(|_| None).collect(),
            switches: Switches::default(),
            seen: Coverage::default(),
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> &Coverage {
        &self.seen
    }

    /// A correct node's process starts: for the first time, or again.
    pub fn started(&mut self, node: usize, part: Start) {
        self.parts[node] = Some(Part::new(part, &mut self.seen.rounds));
    }

    /// A node's process dies.
    pub fn crashed(&mut self, node: usize, process: &Process) {
        if self.parts[node].take().is_some() {
            crashes::points(process).into_iter().for_each(|point| self.seen.crashes.hit(point));
        }
    }

    /// A replica is about to be given an input, at this time of its node's clock.
    pub fn given(&mut self, node: usize, wall: Timestamp, input: &Input) {
        if let Some(part) = &mut self.parts[node] {
            part.given(wall, input, &mut self.seen.rounds);
        }
    }

    /// A replica has handled the input.
    pub fn gave(&mut self, node: usize, effects: &[Effect], replica: &Replica) {
        if let Some(part) = &mut self.parts[node] {
            part.gave(effects, replica, &mut self.seen.rounds);
        }
    }

    /// A message to a node was refused before its replica saw it.
    pub fn refused(&mut self, node: usize) {
        if self.parts[node].is_some() {
            self.seen.rounds.hit(Rule::Unverified);
        }
    }

    /// A row of the table of invitations was gone through.
    pub fn entry(&mut self, row: Entry) {
        self.seen.entries.hit(row);
    }

    /// Whose processes run has changed: those of holders with so much power do.
    pub fn power(&mut self, now: Time, up: u64, total: u64) {
        self.switches.power(now, up, total);
    }

    /// The chain has a new block.
    pub fn extended(&mut self, new: &NewBlock) {
        self.switches.extended(new, &self.parts, &mut self.seen.switches);
    }
}

/// What a process starts from, as its replica does.
pub struct Start {
    /// The node's key.
    pub key: PublicKey,
    /// The state after the newest stored block.
    pub tip: std::sync::Arc<tandem_chain::tip::Tip>,
    /// What was durable.
    pub durable: tandem_consensus::journal::Durable,
    /// Counts the node's processes, from 1.
    pub incarnation: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_never_hit_are_named_with_their_table() {
        let mut coverage = Coverage::default();
        let all = Rule::all().len() + Case::all().len() + Point::all().len();
        let all = all + Entry::all().len();
        assert_eq!(coverage.never().len(), all);
        Rule::all().into_iter().for_each(|row| coverage.rounds.hit(row));
        Point::all().into_iter().for_each(|row| coverage.crashes.hit(row));
        Entry::all().into_iter().for_each(|row| coverage.entries.hit(row));
        let cases = Case::all().into_iter().filter(|row| *row != Case::Returns);
        cases.for_each(|row| coverage.switches.hit(row));
        assert_eq!(coverage.never(), [format!("switches: {}", Case::Returns)]);
        let mut other = Coverage::default();
        other.switches.hit(Case::Returns);
        coverage.add(&other);
        assert!(coverage.never().is_empty());
    }

    #[test]
    fn no_two_rows_of_a_table_have_the_same_text() {
        fn texts<R: Row>() -> Vec<String> {
            R::all().into_iter().map(|row| row.to_string()).collect()
        }
        for mut texts in [texts::<Rule>(), texts::<Case>(), texts::<Point>(), texts::<Entry>()] {
            let count = texts.len();
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), count);
        }
    }
}
