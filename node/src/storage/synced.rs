//! How far the log is known to be on the medium.
//!
//! RocksDB ends the replay of its log where it finds it broken: it cannot tell what a crash cut off,
//! which nobody was promised, from what was damaged later. So the number of the last entry that was
//! made durable stands in a small file of its own. It is written after each durable write and not
//! made durable itself: whatever of it survives names an entry that was durable, and a database that
//! comes back with fewer has lost what it promised to keep, such as votes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tandem_chain::types::Hash;

use super::Error;
use crate::home::files;

/// Its name in the database's folder.
pub const SYNCED_FILE: &str = "synced";

const BYTES: usize = 16;

/// The open file.
pub(super) struct Synced(File);

impl Synced {
    /// Opens the file of the database in folder `path`, or makes it; `last` is the last entry that
    /// the database came back with.
    pub fn open(path: &Path, last: u64) -> Result<Self, Error> {
        let io = |action: &str, reason: String| Error::Open {
            path: path.to_owned(),
            reason: format!("cannot {action} {SYNCED_FILE} in it: {reason}"),
        };
        let file = path.join(SYNCED_FILE);
        if !check(path, last)? {
            files::write_atomic(&file, &bytes(last), 0o600)
                .map_err(|error| io("write", error.to_string()))?;
        }
        let open = OpenOptions::new().write(true).open(&file);
        open.map(Self).map_err(|error| io("open", error.to_string()))
    }

    /// Everything up to this entry is on the medium.
    pub fn reached(&self, sequence: u64) -> std::io::Result<()> {
        // In place and within one sector: it is never half written.
        self.0.write_all_at(&bytes(sequence), 0)
    }
}

/// Whether the file is there, and agrees with a database that came back with entries up to `last`.
pub(super) fn check(path: &Path, last: u64) -> Result<bool, Error> {
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let found = match std::fs::read(path.join(SYNCED_FILE)) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(damaged(format!("{SYNCED_FILE} in it cannot be read: {error}"))),
    };
    let sequence = found.first_chunk().map(|first| u64::from_le_bytes(*first));
    let Some(sequence) = sequence.filter(|sequence| found == bytes(*sequence)) else {
        return Err(damaged(format!("{SYNCED_FILE} in it is not what was written there")));
    };
    if sequence > last {
        return Err(damaged(format!(
            "its log ends at entry {last}, though everything up to entry {sequence} was on the disk"
        )));
    }
    Ok(true)
}

fn bytes(sequence: u64) -> [u8; BYTES] {
    let number = sequence.to_le_bytes();
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&Hash::of(&number).0[..8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        // SHA-256 of 05 00 00 00 00 00 00 00 begins so.
        assert_eq!(hex::encode(bytes(5)), "0500000000000000f13ee6ed54ea2aae");
    }

    #[test]
    fn a_database_that_comes_back_with_less_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let synced = Synced::open(dir.path(), 7).unwrap();
        synced.reached(9).unwrap();
        assert!(matches!(check(dir.path(), 9), Ok(true)));
        assert!(matches!(check(dir.path(), 10), Ok(true)));
        let error = check(dir.path(), 8).unwrap_err().to_string();
        assert!(error.contains("entry 8") && error.contains("entry 9"), "{error}");
        assert!(matches!(Synced::open(dir.path(), 8), Err(Error::Damaged { .. })));
        drop(synced);

        let file = dir.path().join(SYNCED_FILE);
        let good = std::fs::read(&file).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, bad).unwrap();
            assert!(matches!(check(dir.path(), u64::MAX), Err(Error::Damaged { .. })));
        }
        for bad in [&good[..15], &[]] {
            std::fs::write(&file, bad).unwrap();
            assert!(matches!(check(dir.path(), u64::MAX), Err(Error::Damaged { .. })));
        }
    }
}
