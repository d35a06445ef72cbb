//! The snapshots that a node keeps: one folder each, named after its height.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_chain::types::Height;

use super::{Folder, SnapshotError};
use crate::home::StorageKey;
use crate::home::files::{io_error, remove_folder, sync_folder};

/// Begins the name of a folder that is being written.
const UNFINISHED: &str = "unfinished-";
/// Begins the name of a folder that is being removed: one that was cut off is never taken for a whole one.
const REMOVED: &str = "removed-";

/// The folder of a node's snapshots. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// Of the database, when that is encrypted: so are its snapshots.
    key: Option<StorageKey>,
    /// Held by a [`Pen`].
    pen: Mutex<()>,
}

impl Shelf {
    /// In this folder, which need not be there, encrypted with `key` if there is one.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, key: Option<StorageKey>) -> Self {
        Self(Arc::new(Inner { path: path.into(), key, pen: Mutex::default() }))
    }

    /// The folder of a height.
    #[must_use]
    pub fn path(&self, height: Height) -> PathBuf {
        self.0.path.join(height.to_string())
    }

    /// The snapshot of a height.
    ///
    /// # Errors
    /// Those of [`Folder::open`].
    pub fn open(&self, height: Height) -> Result<Folder, SnapshotError> {
        Folder::open(&self.path(height), self.key())
    }

    /// Where the snapshot of a height is written before it is whole.
    #[must_use]
    pub fn unfinished(&self, height: Height) -> PathBuf {
        self.0.path.join(format!("{UNFINISHED}{height}"))
    }

    pub(super) fn key(&self) -> Option<&StorageKey> {
        self.0.key.as_ref()
    }

    /// The right to change the folder; waits until nobody else has it.
    pub(super) fn pen(&self) -> Pen<'_> {
        let alone = self.0.pen.lock().unwrap_or_else(PoisonError::into_inner);
        Pen { shelf: self, _alone: alone }
    }

    /// The heights of all whole snapshots, the newest first.
    ///
    /// # Errors
    /// [`SnapshotError::Home`].
    pub fn heights(&self) -> Result<Vec<Height>, SnapshotError> {
        let names = self.names()?.into_iter();
        // Only a number as it is written: another name is none of ours.
        let height = |name: String| name.parse().ok().filter(|n: &u64| n.to_string() == name);
        let mut heights: Vec<Height> = names.filter_map(height).map(Height).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        Ok(heights)
    }

    /// The lowest height of a snapshot that is here whole, or is being written: who restores it needs the
    /// blocks above, and who writes it that block itself.
    ///
    /// # Errors
    /// [`SnapshotError::Home`].
    pub fn lowest(&self) -> Result<Option<Height>, SnapshotError> {
        // In this order: one that is finished in between is seen as whole.
        let names = self.names()?;
        let begun = names.iter().filter_map(|name| name.strip_prefix(UNFINISHED)?.parse().ok());
        let begun = begun.map(Height).min();
        Ok(begun.into_iter().chain(self.heights()?).min())
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let path: &Path = &self.0.path;
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error("read", path))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io_error("read", path))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }
}

/// The right to change a shelf's folder, which one has at a time: what another is writing is taken away by
/// nobody.
pub(super) struct Pen<'a> {
    shelf: &'a Shelf,
    _alone: MutexGuard<'a, ()>,
}

impl Pen<'_> {
    /// What is written for a height is whole: it takes its name, in the place of an older one.
    pub(super) fn finish(&self, height: Height) -> Result<(), SnapshotError> {
        self.take_away(height)?;
        let (from, to) = (self.shelf.unfinished(height), self.shelf.path(height));
        fs::rename(&from, &to).map_err(io_error("rename", &from))?;
        sync_folder(&self.shelf.0.path)?;
        Ok(())
    }

    /// Takes away all but the newest `keep`.
    ///
    /// # Errors
    /// [`SnapshotError::Home`].
    pub fn keep(&self, keep: usize) -> Result<(), SnapshotError> {
        self.shelf.heights()?.into_iter().skip(keep).try_for_each(|height| self.take_away(height))
    }

    /// Takes away what was not finished, or not removed whole.
    ///
    /// # Errors
    /// [`SnapshotError::Home`].
    pub fn clean(&self) -> Result<(), SnapshotError> {
        let is_left = |name: &String| name.starts_with(UNFINISHED) || name.starts_with(REMOVED);
        let names = self.shelf.names()?.into_iter().filter(is_left);
        names
            .map(|name| self.shelf.0.path.join(name))
            .try_for_each(|path| Ok(remove_folder(&path)?))
    }

    fn take_away(&self, height: Height) -> Result<(), SnapshotError> {
        let (from, to) =
            (self.shelf.path(height), self.shelf.0.path.join(format!("{REMOVED}{height}")));
        remove_folder(&to)?;
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(io_error("rename", &from))?,
        }
        remove_folder(&to)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_stays_and_what_is_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path(), None);
        let heights = [5, 7].map(Height);
        heights.iter().for_each(|height| fs::create_dir_all(shelf.unfinished(*height)).unwrap());
        let pen = shelf.pen();
        pen.finish(Height(7)).unwrap();
        pen.clean().unwrap();
        assert_eq!(shelf.heights().unwrap(), [Height(7)]);
        assert!(heights.iter().all(|height| !shelf.unfinished(*height).exists()));
    }
}
