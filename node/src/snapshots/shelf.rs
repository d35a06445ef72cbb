//! The snapshots that a node keeps: one folder each, named after its height.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tandem_chain::types::Height;

use super::SnapshotError;
use super::folder::remove;

/// Begins the name of a folder that is being written.
const UNFINISHED: &str = "unfinished-";

/// The folder of a node's snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// In this folder, which need not be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder of a height.
    #[must_use]
    pub fn path(&self, height: Height) -> PathBuf {
        self.0.join(height.to_string())
    }

    /// Where the snapshot of a height is written before it is whole.
    #[must_use]
    pub fn unfinished(&self, height: Height) -> PathBuf {
        self.0.join(format!("{UNFINISHED}{height}"))
    }

    /// The heights of all whole snapshots, the newest first.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn heights(&self) -> Result<Vec<Height>, SnapshotError> {
        let names = self.names()?.into_iter();
        // Only a number as it is written: another name is none of ours.
        let height = |name: String| name.parse().ok().filter(|n: &u64| n.to_string() == name);
        let mut heights: Vec<Height> = names.filter_map(height).map(Height).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        Ok(heights)
    }

    /// Takes away all but the newest `keep`.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn keep(&self, keep: usize) -> Result<(), SnapshotError> {
        self.heights()?.into_iter().skip(keep).try_for_each(|height| remove(&self.path(height)))
    }

    /// Takes away what was not finished.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn clean(&self) -> Result<(), SnapshotError> {
        let names = self.names()?.into_iter().filter(|name| name.starts_with(UNFINISHED));
        names.map(|name| self.0.join(name)).try_for_each(|path| remove(&path))
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let path: &Path = &self.0;
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(SnapshotError::io("read", path))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(SnapshotError::io("read", path))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }
}
