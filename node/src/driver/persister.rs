//! The thread that makes the replica's values durable, so that the loop never waits for an fsync.

use std::sync::mpsc as std_mpsc;
use std::thread;

use serde::de::DeserializeOwned;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::{Error, codec};
use tandem_consensus::journal::{Durable, Journal, Slot};
use tokio::sync::mpsc;

use super::{Done, Fatal};
use crate::storage::Database;

/// Values by name, written as one.
pub(super) type Values = Vec<(&'static str, Vec<u8>)>;

/// Its thread ends when it is dropped.
pub(super) struct Persister(pub(super) std_mpsc::Sender<Values>);

impl Persister {
    pub fn start(db: Database, done: mpsc::Sender<Done>) -> Self {
        let (sender, receiver) = std_mpsc::channel::<Values>();
        thread::Builder::new()
            .name("persister".to_owned())
            .spawn(move || {
                for values in receiver {
                    if done.blocking_send(Done::Persisted(db.persist(&values))).is_err() {
                        return;
                    }
                }
            })
            .expect("the system gives a thread");
        Self(sender)
    }

    /// Hands over one write. The loop never hands over a second before the answer to the first.
    pub fn persist(&self, values: Vec<(Slot, Vec<u8>)>) -> Result<(), Fatal> {
        let values = values.into_iter().map(|(slot, bytes)| (name(slot), bytes)).collect();
        self.0.send(values).map_err(|_| Fatal::Gone("persister thread"))
    }
}

fn name(slot: Slot) -> &'static str {
    match slot {
        Slot::Journal => "journal",
        Slot::Valid => "valid",
        Slot::Proposal => "proposal",
    }
}

fn load<T: DeserializeOwned>(db: &Database, slot: Slot) -> Result<Option<T>, Error> {
    let Some(bytes) = db.load(name(slot))? else { return Ok(None) };
    let value = codec::decode(name(slot), &bytes, MAX_ENCODED_BYTES);
    value.map(Some).map_err(|error| Error::Damaged { what: name(slot), reason: error.to_string() })
}

/// What the database holds of the replica; none when it has never held a journal.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn load_durable(db: &Database) -> Result<Option<Durable>, Error> {
    let Some(journal) = load(db, Slot::Journal)? else { return Ok(None) };
    Ok(Some(Durable {
        journal,
        valid: load(db, Slot::Valid)?,
        proposal: load(db, Slot::Proposal)?,
    }))
}

/// Makes a journal durable before the replica starts.
///
/// # Errors
/// [`Error::Storage`].
pub fn store_journal(db: &Database, journal: &Journal) -> Result<(), Error> {
    db.persist(&[(name(Slot::Journal), codec::encode(journal))])
}

/// Makes all that consensus has made durable elsewhere durable here, in one write.
///
/// # Errors
/// [`Error::Storage`].
pub fn store_durable(db: &Database, durable: &Durable) -> Result<(), Error> {
    let Durable { journal, valid, proposal } = durable;
    let mut values = vec![(name(Slot::Journal), codec::encode(journal))];
    values.extend(valid.iter().map(|valid| (name(Slot::Valid), codec::encode(valid))));
    values.extend(proposal.iter().map(|proposal| (name(Slot::Proposal), codec::encode(proposal))));
    db.persist(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of keys in the database; the values are frozen in `consensus/tests/it/golden.txt`.
    #[test]
    fn golden_names() {
        let names = [Slot::Journal, Slot::Valid, Slot::Proposal].map(name);
        assert_eq!(names, ["journal", "valid", "proposal"]);
    }
}
