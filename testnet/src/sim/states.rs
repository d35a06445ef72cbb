//! States of the ledger: one for each block that was executed, shared by all nodes that are there.
//!
//! Nodes that execute the same block on the same state must come to the same end, so that it is
//! executed once for all, once more by the second node, and by every [`AGAIN`]th after that: then both
//! outcomes must be equal in every byte. States share what did not change, so that copies of disks cost
//! nothing.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use imbl::OrdMap;
use tandem_chain::Error;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::ledger::{Execution, Ledger};
use tandem_chain::store::{Batch, Column, Entry, Store, scan_ordered};
use tandem_consensus::verify::Keys;

use super::digest::Digest;
use super::invariants::{Verdict, broken};

/// Of so many executions of a block after the first, one is done in earnest, beginning with the next.
const AGAIN: u64 = 8;

type Map = OrdMap<Rc<[u8]>, Rc<[u8]>>;

/// A state of the ledger. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Equal in states with the same entries, in one history: 0 is the empty one.
    number: u64,
    state: Map,
    tree: Map,
}

impl State {
    fn column(&self, column: Column) -> &Map {
        match column {
            Column::State => &self.state,
            Column::Tree => &self.tree,
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for (column, key, value) in &batch.0 {
            let map = match column {
                Column::State => &mut self.state,
                Column::Tree => &mut self.tree,
            };
            match value {
                Some(value) => map.insert(key.as_slice().into(), value.as_slice().into()),
                None => map.remove(key.as_slice()),
            };
        }
    }
}

impl Store for State {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.column(column).get(key).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let from = |start| self.column(column).range::<_, [u8]>((start, Bound::Unbounded));
        Ok(scan_ordered(from, prefix, after, limit))
    }
}

/// What a block made of a state.
#[derive(Debug)]
pub struct Executed {
    /// Number of the state before.
    before: u64,
    /// What executing it gave.
    pub execution: Execution,
    /// The state after it.
    pub after: State,
    /// Digest of what changed.
    pub digest: u64,
    /// Keys of messages at its tip.
    pub keys: Rc<Keys>,
}

impl Executed {
    /// The state after it.
    ///
    /// # Panics
    /// When it was executed on another state than `before`.
    #[must_use]
    pub fn on(&self, before: &State) -> State {
        assert_eq!(
            self.before, before.number,
            "what a block changed is written to the state before it"
        );
        self.after.clone()
    }
}

/// All states of a history but the empty one.
#[derive(Debug, Default)]
pub struct States {
    made: u64,
    /// By the number of the state before: more than one only where the chain forks.
    executed: BTreeMap<u64, Vec<Known>>,
}

/// A block that was executed, and how often it was asked for since.
#[derive(Debug)]
struct Known {
    block: Arc<CertifiedBlock>,
    executed: Rc<Executed>,
    times: u64,
}

impl States {
    /// A new state: the empty one with some changes.
    pub fn of(&mut self, batch: &Batch) -> State {
        let mut state = State::default();
        state.apply(batch);
        self.made += 1;
        state.number = self.made;
        state
    }

    /// Executes a block on a ledger's state; what comes of it is not the ledger's yet.
    pub fn execute(
        &mut self,
        ledger: &Ledger<State>,
        block: &Arc<CertifiedBlock>,
    ) -> (Rc<Executed>, Verdict) {
        let execute = || ledger.execute(&block.block).expect("memory does not fail");
        let before = ledger.store().number;
        let all = self.executed.entry(before).or_default();
        if let Some(known) = all.iter_mut().find(|known| known.block.block == block.block) {
            known.times += 1;
            let is_due = known.times % AGAIN == 1;
            let executed = Rc::clone(&known.executed);
            let verdict = if is_due { same(&executed.execution, &execute()) } else { Ok(()) };
            return (executed, verdict);
        }
        let execution = execute();
        let mut after = ledger.store().clone();
        after.apply(&execution.batch);
        self.made += 1;
        after.number = self.made;
        let digest = digest_of(&execution.batch);
        let keys = Rc::new(Keys::of(&execution.tip));
        let executed = Rc::new(Executed { before, execution, after, digest, keys });
        let block = Arc::clone(block);
        all.push(Known { block, executed: Rc::clone(&executed), times: 0 });
        (executed, Ok(()))
    }
}

fn same(one: &Execution, other: &Execution) -> Verdict {
    if one == other {
        return Ok(());
    }
    let what =
        format!("block {} executed again on the same state changes it otherwise", one.tip.height);
    broken("execution is deterministic", what)
}

fn digest_of(batch: &Batch) -> u64 {
    let mut digest = Digest::new(0);
    for (column, key, value) in &batch.0 {
        digest.mix(*column as u64);
        digest.mix_bytes(key);
        digest.mix_bytes(value.as_deref().unwrap_or_default());
    }
    digest.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(changes: &[(&str, Option<&str>)]) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in changes {
            let key = key.as_bytes().to_vec();
            match value {
                Some(value) => batch.put(Column::State, key, value.as_bytes().to_vec()),
                None => batch.delete(Column::State, key),
            }
        }
        batch
    }

    #[test]
    fn a_state_reads_as_a_store_in_memory_does() {
        let first =
            batch(&[("a", Some("1")), ("b/1", Some("2")), ("b/2", Some("3")), ("c", Some("4"))]);
        let second = batch(&[("b/2", Some("5")), ("c", None), ("b/3", Some("6"))]);
        let before = States::default().of(&first);
        let mut after = before.clone();
        after.apply(&second);
        let mut memory = tandem_chain::store::MemoryStore::default();
        memory.apply(&first);
        for (state, change) in [(&before, Batch::default()), (&after, second)] {
            memory.apply(&change);
            for key in ["a", "b/1", "b/2", "b/3", "c", "d"] {
                let get = |store: &dyn Store| store.get(Column::State, key.as_bytes()).unwrap();
                assert_eq!(get(state), get(&memory), "{key}");
            }
            for (prefix, after, limit) in [
                ("", None, 9),
                ("b/", None, 9),
                ("b/", Some("b/1"), 1),
                ("b/", Some("a"), 9),
                ("x", None, 1),
            ] {
                let scan = |store: &dyn Store| {
                    let after = after.map(str::as_bytes);
                    store.scan(Column::State, prefix.as_bytes(), after, limit).unwrap()
                };
                assert_eq!(scan(state), scan(&memory), "{prefix} {after:?}");
            }
        }
        assert!(after.scan(Column::Tree, b"", None, 1).unwrap().is_empty());
    }
}
