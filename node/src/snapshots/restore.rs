//! Restoring a state to a database, step by step; wherever its chunks come from.

use std::collections::BTreeSet;
use std::sync::mpsc;

use tandem_chain::Error as ChainError;
use tandem_chain::block::{CertifiedBlock, Header};
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::Strict;
use tandem_chain::ledger::Ledger;
use tandem_chain::modules::standby::table_at;
use tandem_chain::snapshot::{Chunk, Manifest};
use tandem_chain::store::{Column, Entry};
use tandem_chain::tree::{self, Leaves};
use tandem_chain::types::{Hash, Height};
use tandem_consensus::light::check_restored;
use tandem_consensus::validate::{Fixed, check_header};
use tracing::info;

use super::SnapshotError;
use crate::storage::{Database, Restoring};

/// Bytes of the state that are read as one, and how many such parts may wait to be hashed.
const PART_BYTES: usize = 256 * 1024;
/// See [`PART_BYTES`].
const READ_AHEAD: usize = 8;

/// A restore under way. All of it stands in the database: it may be dropped, or the process killed, at
/// any moment.
pub struct Restore {
    db: Database,
    of: Restoring,
}

impl Restore {
    /// Begins: throws away what the database has of the chain. `above` is the header of the block after
    /// the snapshot's, and trusted.
    ///
    /// # Errors
    /// [`SnapshotError::Unfit`] when the manifest is not of the state that the header names; then nothing
    /// has changed. [`SnapshotError::Chain`].
    pub fn begin(db: Database, manifest: Manifest, above: Header) -> Result<Self, SnapshotError> {
        let is_of = (&above.chain_id, above.app_hash, above.height)
            == (manifest.chain_id(), manifest.app_hash(), manifest.height().next());
        if !is_of {
            let what = format!(
                "the snapshot is of another state than the header of block {} names",
                above.height
            );
            return Err(SnapshotError::Unfit { what });
        }
        let of = Restoring { manifest, above };
        db.begin_restore(&of)?;
        Ok(Self { db, of })
    }

    /// Goes on with what was begun, if anything was.
    ///
    /// # Errors
    /// [`SnapshotError::Chain`].
    pub fn resume(db: Database) -> Result<Option<Self>, SnapshotError> {
        Ok(db.restoring()?.map(|of| Self { db, of }))
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.of.manifest
    }

    /// The header of the next block.
    #[must_use]
    pub fn above(&self) -> &Header {
        &self.of.above
    }

    /// The chunks that are not there yet.
    ///
    /// # Errors
    /// [`SnapshotError::Chain`].
    pub fn missing(&self) -> Result<BTreeSet<u32>, SnapshotError> {
        Ok(self.db.missing_chunks(&self.of)?)
    }

    /// Checks a chunk and writes it; one that is there already is written again.
    ///
    /// # Errors
    /// [`SnapshotError::Chain`]: [`ChainError::Snapshot`] when it is not the chunk of this index, else
    /// the store's.
    pub fn put(&self, index: u32, chunk: &Chunk) -> Result<(), SnapshotError> {
        let tile = self.of.manifest.tiles().get(index as usize);
        let tile = tile.ok_or(ChainError::Snapshot { what: "it has no chunk of this index" })?;
        Ok(self.db.restore_chunk(index, &chunk.check(tile)?)?)
    }

    /// Checks the whole state, which all chunks have been written of, and the block of its height, and
    /// makes them the database's.
    ///
    /// # Errors
    /// [`SnapshotError::Trust`] when the block is not the one that the header names: another peer may
    /// have it. [`ChainError::Storage`]: a disk that fails may be mended, and what is there stays. Else
    /// the state is not what it must be, though the chunks were right when they came: the restore is given
    /// up, and the database empty.
    pub fn finish(
        &self,
        genesis: &Genesis,
        certified: &CertifiedBlock,
    ) -> Result<Height, SnapshotError> {
        let finished = self.try_finish(genesis, certified);
        match &finished {
            Ok(_)
            | Err(SnapshotError::Trust(_) | SnapshotError::Chain(ChainError::Storage { .. })) => {}
            Err(_) => self.db.abandon_restore()?,
        }
        finished
    }

    fn try_finish(
        &self,
        genesis: &Genesis,
        certified: &CertifiedBlock,
    ) -> Result<Height, SnapshotError> {
        assert!(self.missing()?.is_empty(), "all chunks are there");
        info!("all chunks are there: the whole state is checked");
        self.db.restore_top(&self.of.manifest.pages())?;
        let expected = self.of.manifest.app_hash();
        if root_of_state(&self.db)? != expected || tree::root(&self.db)? != expected {
            let reason = "it does not hash to the certified state commitment".to_owned();
            return Err(ChainError::Damaged { what: "restored state", reason }.into());
        }
        let tip = Ledger::open(self.db.clone(), genesis)?.tip().clone();
        if let Err(fault) = check_header(&tip, &Fixed::of(&tip), &self.of.above) {
            let what = format!("the restored state is not that before the trusted header: {fault}");
            return Err(SnapshotError::Unfit { what });
        }
        let before = match tip.height {
            Height(1) => None,
            height => table_at(&self.db, height.back(1))?,
        };
        check_restored(&Strict, &tip, before.as_ref(), &self.of.above, certified)?;
        self.db.finish_restore(certified, &tip)?;
        Ok(tip.height)
    }
}

/// The root over all of the state, from scratch: while one thread reads, another hashes.
fn root_of_state(db: &Database) -> Result<Hash, ChainError> {
    std::thread::scope(|scope| {
        let (read, to_hash) = mpsc::sync_channel::<Vec<Entry>>(READ_AHEAD);
        let hashed = scope.spawn(move || {
            let mut leaves = Leaves::default();
            to_hash.iter().flatten().for_each(|(key, value)| leaves.add(&key, &value));
            leaves.root()
        });
        let (mut part, mut bytes) = (Vec::new(), 0);
        // Who hashes takes all of it.
        let pass = |part| read.send(part).expect("nothing that is read is unfit to be hashed");
        db.snapshot().sweep(Column::State, |key, value| -> Result<(), ChainError> {
            bytes += key.len() + value.len();
            part.push((key.to_vec(), value.to_vec()));
            if bytes >= PART_BYTES {
                bytes = 0;
                pass(std::mem::take(&mut part));
            }
            Ok(())
        })?;
        pass(part);
        drop(read);
        Ok(hashed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
