//! Taking a snapshot: the whole state of one height, into a folder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tandem_chain::Error as ChainError;
use tandem_chain::genesis::Genesis;
use tandem_chain::snapshot::{Chunk, Manifest, cut};
use tandem_chain::tree;
use tandem_chain::types::Height;
use tandem_consensus::light::{LightBlock, ValidatorSet};
use tracing::warn;

use super::folder::Writer;
use super::pace::{Pace, check_room};
use super::spill::Spill;
use super::{Shelf, SnapshotError};
use crate::home::files::remove_folder;
use crate::storage::{Database, Snapshot};

/// Time between two looks whether the next block, whose header names the state, is there.
const LOOK: Duration = Duration::from_millis(50);

/// What a snapshot is taken of.
pub struct Source<'a> {
    /// The database.
    pub db: &'a Database,
    /// The database at one moment.
    pub view: &'a Snapshot<'a>,
    /// The chain's genesis.
    pub genesis: &'a Genesis,
    /// Ends the work when it becomes true.
    pub stop: &'a AtomicBool,
}

/// Writes the state of `source` to `shelf`, with the block of its height and the header above, for which
/// it waits up to `wait`. It gives the height. Until it is whole, nothing has its name; where one of that
/// height is, it stays. While another is being written to that shelf, it waits.
///
/// # Errors
/// [`SnapshotError`]. What was half-written is taken away.
pub fn take(source: &Source, shelf: &Shelf, wait: Duration) -> Result<Height, SnapshotError> {
    let height = source.view.height()?;
    if height == Height::ZERO {
        let what = "there is no block yet, so no header names the state: wait for some".to_owned();
        return Err(SnapshotError::Unfit { what });
    }
    let pen = shelf.pen();
    if shelf.heights()?.contains(&height) && shelf.open(height).is_ok() {
        return Ok(height);
    }
    if let Err(error) = write(source, shelf, height, wait) {
        if let Err(left) = remove_folder(&shelf.unfinished(height)) {
            warn!(error = %left, "what is left of an unfinished snapshot cannot be taken away");
        }
        return Err(error);
    }
    pen.finish(height)?;
    Ok(height)
}

fn write(
    source: &Source,
    shelf: &Shelf,
    height: Height,
    wait: Duration,
) -> Result<(), SnapshotError> {
    let mut writer = Writer::begin(&shelf.unfinished(height), shelf.key())?;
    // From here on the block stays: its folder is there. It may have waited long for another snapshot.
    if height < source.db.first_height() {
        let what = format!(
            "block {height} was taken away while another snapshot was written: try again, of a newer one"
        );
        return Err(SnapshotError::Unfit { what });
    }
    let manifest = write_chunks(source, shelf, &mut writer, height)?;
    let (block, above) = blocks(source, height, wait)?;
    if above.header.app_hash != manifest.app_hash() {
        let reason = "it is not what the next block's header says".to_owned();
        return Err(ChainError::Damaged { what: "state", reason }.into());
    }
    writer.finish(&manifest, block, above)
}

fn write_chunks(
    source: &Source,
    shelf: &Shelf,
    writer: &mut Writer,
    height: Height,
) -> Result<Manifest, SnapshotError> {
    let parts = writer.path().join("parts");
    check_room(writer.path())?;
    let mut spill = Spill::write(source.view, parts.clone(), shelf.key().is_some(), source.stop)?;
    let mut tiles = Vec::new();
    let mut pace = Pace::begin();
    for range in cut(&mut spill)? {
        if source.stop.load(Ordering::Relaxed) {
            return Err(SnapshotError::Stopped);
        }
        let chunk = Chunk::new(spill.items(&range)?);
        tiles.push(chunk.tile(&range)?);
        check_room(writer.path())?;
        writer.chunk(&chunk)?;
        pace.rest();
    }
    drop(spill);
    remove_folder(&parts)?;
    let root = tree::root(source.view)?;
    let chain_id = source.genesis.chain_id.clone();
    let manifest = Manifest::new(chain_id, height, root, tiles);
    manifest.map_err(|source| {
        let reason = format!("its tree is not that of its entries ({source})");
        ChainError::Damaged { what: "state", reason }.into()
    })
}

/// The block of a height, and the header above.
fn blocks(
    source: &Source,
    height: Height,
    wait: Duration,
) -> Result<(tandem_chain::block::CertifiedBlock, LightBlock), SnapshotError> {
    let until = Instant::now() + wait;
    while source.db.height() <= height {
        if source.stop.load(Ordering::Relaxed) {
            return Err(SnapshotError::Stopped);
        }
        if Instant::now() >= until {
            let what = format!(
                "block {}, whose header names the state after {height}, is not there: start the node \
                 until it is, then try again",
                height.next()
            );
            return Err(SnapshotError::Unfit { what });
        }
        thread::sleep(LOOK);
    }
    let missing = |what| ChainError::Damaged { what, reason: "it is missing".to_owned() };
    let block = source.db.block(height)?.ok_or_else(|| missing("block"))?;
    let above = light_block(source.db, source.genesis, height.next())?;
    Ok((block, above.ok_or_else(|| missing("header with its validators"))?))
}

/// The header of a height with certificate and validators; none where the block, or its validators, are
/// not known.
pub(super) fn light_block(
    db: &Database,
    genesis: &Genesis,
    height: Height,
) -> Result<Option<LightBlock>, ChainError> {
    let Some(certified) = db.block(height)? else { return Ok(None) };
    let header = certified.block.header.clone();
    let known = db.validators(height)?;
    let validators = known.unwrap_or_else(|| ValidatorSet::from(&genesis.role_table()));
    let is_right = validators.hash() == header.validators_hash;
    let commit = certified.certificate.commit;
    Ok(is_right.then_some(LightBlock { header, commit, validators }))
}
