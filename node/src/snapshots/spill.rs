//! The state in the order of the tree's places: sorted through files, since the database has it in the
//! order of keys.
//!
//! All entries are dealt out to 256 files by the first byte of their places. What is kept in memory is
//! place, size and position of each entry of one file at a time. Beside an encrypted database the entries
//! are encrypted, with a key that is kept in memory alone.

use std::fs::File;
use std::io;
use std::io::{BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tandem_chain::Error as ChainError;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::snapshot::{Item, Range, Sizes, Sorted, entry_bytes};
use tandem_chain::store::Column;
use tandem_chain::types::Hash;

use super::SnapshotError;
use super::pace::{Pace, check_room};
use crate::home::files::{create_dir, io_error};
use crate::storage::{Sealer, Snapshot};

const FILES: usize = 256;
/// Bytes between two rests.
const PART_BYTES: usize = 1024 * 1024;
/// Bytes that are kept of each file before they are written.
const BUFFER_BYTES: usize = 16 * 1024;
/// Bytes before an entry: the key's length, and that of key and value together as they stand.
const HEAD_BYTES: usize = 8;
/// What the encryption of every entry is bound to.
const SEALED_AS: &str = "entry";

/// All entries of a state, in files.
pub(super) struct Spill {
    folder: PathBuf,
    /// [`entry_bytes`] of all entries of each file.
    bytes: Vec<u64>,
    sealer: Option<Sealer>,
    loaded: Option<Loaded>,
}

struct Loaded {
    number: usize,
    file: File,
    /// Places and sizes, in order; and where each begins.
    sizes: Vec<(Hash, u64)>,
    positions: Vec<u64>,
}

impl Spill {
    /// Deals out all of the state.
    pub fn write(
        view: &Snapshot<'_>,
        folder: PathBuf,
        is_encrypted: bool,
        stop: &AtomicBool,
    ) -> Result<Self, SnapshotError> {
        create_dir(&folder)?;
        let sealer = is_encrypted.then(Sealer::of_memory);
        let mut parts = Parts::create(&folder)?;
        let mut spill = Self { folder, bytes: vec![0; FILES], sealer, loaded: None };
        let mut pace = Pace::begin();
        let mut since_rest = 0;
        view.sweep(Column::State, |key, value| -> Result<(), SnapshotError> {
            if stop.load(Ordering::Relaxed) {
                return Err(SnapshotError::Stopped);
            }
            let number = usize::from(Hash::of(key).0[0]);
            spill.bytes[number] += entry_bytes(key.len(), value.len());
            let entry = spill.entry(key, value);
            parts.add(number, &entry)?;
            since_rest += entry.len();
            if since_rest >= PART_BYTES {
                since_rest = 0;
                check_room(&spill.folder)?;
                pace.rest();
            }
            Ok(())
        })?;
        parts.finish()?;
        Ok(spill)
    }

    fn entry(&self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let length =
            |length: usize| u32::try_from(length).expect("values are bounded").to_le_bytes();
        let mut entry = Vec::with_capacity(HEAD_BYTES + key.len() + value.len());
        entry.extend_from_slice(&length(key.len()));
        match &self.sealer {
            None => {
                entry.extend_from_slice(&length(key.len() + value.len()));
                entry.extend_from_slice(key);
                entry.extend_from_slice(value);
            }
            Some(sealer) => {
                let sealed = sealer.seal(SEALED_AS, &[key, value].concat());
                entry.extend_from_slice(&length(sealed.len()));
                entry.extend_from_slice(&sealed);
            }
        }
        entry
    }

    /// All entries of a range.
    pub fn items(&mut self, range: &Range) -> Result<Vec<Item>, SnapshotError> {
        let places = range.places();
        let mut items = Vec::new();
        for number in usize::from(places.start().0[0])..=usize::from(places.end().0[0]) {
            let path = path(&self.folder, number);
            self.load(number)?;
            let Some(loaded) = &mut self.loaded else { continue };
            let from = loaded.sizes.partition_point(|(place, _)| place < places.start());
            let to = loaded.sizes.partition_point(|(place, _)| place <= places.end());
            for position in &loaded.positions[from..to] {
                let file = &mut loaded.file;
                let read = file
                    .seek(SeekFrom::Start(*position))
                    .and_then(|_| read_entry(file, self.sealer.as_ref()));
                items.push(read.map_err(io_error("read", &path))?);
            }
        }
        Ok(items)
    }

    fn load(&mut self, number: usize) -> Result<&Loaded, SnapshotError> {
        if self.loaded.as_ref().is_none_or(|loaded| loaded.number != number) {
            self.loaded = None;
            let path = path(&self.folder, number);
            let loaded = Loaded::read(number, &path, self.sealer.as_ref());
            self.loaded = Some(loaded.map_err(io_error("read", &path))?);
        }
        Ok(self.loaded.as_ref().expect("it was loaded just now"))
    }
}

fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("part-{number:03}"))
}

/// Writes all files at once, of which none stays open: the node has other use for what the system lets it
/// open.
struct Parts {
    folder: PathBuf,
    /// What is not written yet of each.
    buffers: Vec<Vec<u8>>,
}

impl Parts {
    fn create(folder: &Path) -> Result<Self, SnapshotError> {
        for number in 0..FILES {
            let path = path(folder, number);
            File::create(&path).map_err(io_error("create", &path))?;
        }
        let buffers = (0..FILES).map(|_| Vec::with_capacity(BUFFER_BYTES)).collect();
        Ok(Self { folder: folder.to_owned(), buffers })
    }

    fn add(&mut self, number: usize, entry: &[u8]) -> Result<(), SnapshotError> {
        if self.buffers[number].len() + entry.len() > BUFFER_BYTES {
            self.append(number, entry)
        } else {
            self.buffers[number].extend_from_slice(entry);
            Ok(())
        }
    }

    /// Writes what waits, and `entry` behind it.
    fn append(&mut self, number: usize, entry: &[u8]) -> Result<(), SnapshotError> {
        let path = path(&self.folder, number);
        let buffer = &mut self.buffers[number];
        let file = File::options().append(true).open(&path);
        let mut file = file.map_err(io_error("open", &path))?;
        let written = file.write_all(buffer).and_then(|()| file.write_all(entry));
        written.map_err(io_error("write", &path))?;
        buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), SnapshotError> {
        (0..FILES).try_for_each(|number| self.append(number, &[]))
    }
}

/// The next entry of a file.
fn read_entry(from: &mut impl io::Read, sealer: Option<&Sealer>) -> io::Result<Item> {
    let damaged = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let mut lengths = [[0; 4]; 2];
    for length in &mut lengths {
        from.read_exact(length)?;
    }
    let [key, body] = lengths.map(|length| u32::from_le_bytes(length) as usize);
    if body > MAX_ENCODED_BYTES {
        return Err(damaged("an entry is longer than any"));
    }
    let mut entry = vec![0; body];
    from.read_exact(&mut entry)?;
    if let Some(sealer) = sealer {
        entry = sealer.open_sealed(SEALED_AS, &entry).map_err(damaged)?;
    }
    if key > entry.len() {
        return Err(damaged("a key is longer than its entry"));
    }
    let value = entry.split_off(key);
    Ok(Item { key: entry, value })
}

impl Loaded {
    fn read(number: usize, path: &Path, sealer: Option<&Sealer>) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(4 * BUFFER_BYTES, &file);
        let mut found = Vec::new();
        let mut position = 0;
        while position < end {
            let Item { key, value } = read_entry(&mut reader, sealer)?;
            found.push((Hash::of(&key), entry_bytes(key.len(), value.len()), position));
            position = reader.stream_position()?;
        }
        found.sort_unstable_by_key(|(place, ..)| *place);
        let sizes = found.iter().map(|(place, bytes, _)| (*place, *bytes)).collect();
        let positions = found.into_iter().map(|(.., position)| position).collect();
        Ok(Self { number, file, sizes, positions })
    }
}

impl Sizes for Spill {
    fn bytes(&mut self, path: &[u8]) -> Result<u64, ChainError> {
        match *path {
            [] => Ok(self.bytes.iter().sum()),
            [first] => Ok(self.bytes[usize::from(first) * 16..][..16].iter().sum()),
            [first, second] => Ok(self.bytes[usize::from(first) * 16 + usize::from(second)]),
            [first, second, ..] => {
                let number = usize::from(first) * 16 + usize::from(second);
                let loaded = self.load(number);
                let loaded =
                    loaded.map_err(|error| ChainError::Storage { reason: error.to_string() })?;
                Sorted(&loaded.sizes).bytes(path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dealt_out_is_in_the_files_in_order_and_none_of_them_stays_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = Parts::create(dir.path()).unwrap();
        let mut expected = vec![Vec::new(); FILES];
        for round in 0..5_u8 {
            for (number, expected) in expected.iter_mut().enumerate() {
                let length = number * usize::from(round) * BUFFER_BYTES / FILES;
                let entry = vec![round; length];
                parts.add(number, &entry).unwrap();
                expected.extend(entry);
            }
        }
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let open = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        assert_eq!(open.filter(|file| file.starts_with(dir.path())).count(), 0);
        parts.finish().unwrap();
        for (number, expected) in expected.iter().enumerate() {
            let path = path(dir.path(), number);
            assert!(std::fs::read(&path).unwrap() == *expected, "{}", path.display());
        }
    }
}
