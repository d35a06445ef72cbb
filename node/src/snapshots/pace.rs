//! What works beside the node, such as taking a snapshot, must not slow it: it rests as long as it works,
//! behind all other threads, and leaves room on the disk.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::SnapshotError;
use crate::home::files::io_error;

/// The longest rest, in which the disk may catch up.
const MAX_REST: Duration = Duration::from_secs(1);
/// Steps by which such a thread stands back behind others (`nice`).
const NICENESS: i32 = 10;
/// Bytes that stay free on the disk: a node that cannot write stops.
const LEAST_ROOM: u64 = 512 << 20;

/// Work in parts of some milliseconds, each followed by a rest.
#[derive(Debug)]
pub struct Pace(Instant);

impl Pace {
    /// The work begins.
    #[must_use]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Rests for as long as was worked since the last rest.
    pub fn rest(&mut self) {
        thread::sleep(self.0.elapsed().min(MAX_REST));
        self.0 = Instant::now();
    }
}

/// Has this thread stand back behind all others.
pub fn stand_back() {
    // On Linux this is the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        warn!(%error, "a thread that works beside the node keeps its priority");
    }
}

/// Checks that there is room on the disk on which `path` is.
pub(super) fn check_room(path: &Path) -> Result<(), SnapshotError> {
    let found = rustix::fs::statvfs(path);
    let found = found.map_err(|error| io_error("look at the disk of", path)(error.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < LEAST_ROOM {
        return Err(SnapshotError::Room { path: path.to_owned(), least: LEAST_ROOM });
    }
    Ok(())
}
