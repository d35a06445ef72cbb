//! The state in the order of the tree's places: sorted through files, since the database has it in the
//! order of keys.
//!
//! All entries are dealt out to 256 files by the first byte of their places. What is kept in memory is
//! place, size and position of each entry of one file at a time.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tandem_chain::Error as ChainError;
use tandem_chain::snapshot::{Item, Range, Sizes, Sorted, entry_bytes};
use tandem_chain::store::{Column, Store};
use tandem_chain::types::Hash;

use super::SnapshotError;

const FILES: usize = 256;
/// Entries that are read from the database at a time.
const PAGE: usize = 64;
/// Bytes that are kept of each file before they are written.
const BUFFER_BYTES: usize = 16 * 1024;
/// Bytes before the key of an entry: its length and that of the value.
const HEAD_BYTES: usize = 8;

/// All entries of a state, in files.
pub(super) struct Spill {
    folder: PathBuf,
    /// [`entry_bytes`] of all entries of each file.
    bytes: Vec<u64>,
    loaded: Option<Loaded>,
}

struct Loaded {
    number: usize,
    file: File,
    /// Places and sizes, in order; and where each begins, with the lengths of key and value.
    sizes: Vec<(Hash, u64)>,
    positions: Vec<(u64, usize, usize)>,
}

impl Spill {
    /// Deals out all of the state.
    pub fn write(
        store: &dyn Store,
        folder: PathBuf,
        stop: &AtomicBool,
    ) -> Result<Self, SnapshotError> {
        crate::home::files::create_dir(&folder)?;
        let mut spill = Self { folder, bytes: vec![0; FILES], loaded: None };
        let mut writers = Vec::with_capacity(FILES);
        for number in 0..FILES {
            let path = spill.path(number);
            let file = File::create(&path).map_err(SnapshotError::io("create", &path))?;
            writers.push(BufWriter::with_capacity(BUFFER_BYTES, file));
        }
        let mut last: Option<Vec<u8>> = None;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(SnapshotError::Stopped);
            }
            let page = store.scan(Column::State, &[], last.as_deref(), PAGE)?;
            for (key, value) in &page {
                let number = usize::from(Hash::of(key).0[0]);
                spill.bytes[number] += entry_bytes(key.len(), value.len());
                let writer = &mut writers[number];
                let lengths = [key.len(), value.len()]
                    .map(|length| u32::try_from(length).expect("values are bounded").to_le_bytes());
                let written = writer
                    .write_all(&lengths.concat())
                    .and_then(|()| writer.write_all(key))
                    .and_then(|()| writer.write_all(value));
                written.map_err(SnapshotError::io("write", &spill.path(number)))?;
            }
            match page.into_iter().nth(PAGE - 1) {
                Some((key, _)) => last = Some(key),
                None => break,
            }
        }
        for (number, mut writer) in writers.into_iter().enumerate() {
            writer.flush().map_err(SnapshotError::io("write", &spill.path(number)))?;
        }
        Ok(spill)
    }

    /// All entries of a range.
    pub fn items(&mut self, range: &Range) -> Result<Vec<Item>, SnapshotError> {
        let places = range.places();
        let mut items = Vec::new();
        for number in usize::from(places.start().0[0])..=usize::from(places.end().0[0]) {
            let path = self.path(number);
            let loaded = self.load(number)?;
            let from = loaded.sizes.partition_point(|(place, _)| place < places.start());
            let to = loaded.sizes.partition_point(|(place, _)| place <= places.end());
            for (position, key_length, value_length) in &loaded.positions[from..to] {
                let (mut key, mut value) = (vec![0; *key_length], vec![0; *value_length]);
                let file = &mut loaded.file;
                file.seek(SeekFrom::Start(*position))
                    .and_then(|_| file.read_exact(&mut key))
                    .and_then(|()| file.read_exact(&mut value))
                    .map_err(SnapshotError::io("read", &path))?;
                items.push(Item { key, value });
            }
        }
        Ok(items)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("part-{number:03}"))
    }

    fn load(&mut self, number: usize) -> Result<&mut Loaded, SnapshotError> {
        if self.loaded.as_ref().is_none_or(|loaded| loaded.number != number) {
            self.loaded = None;
            let path = self.path(number);
            let loaded = Loaded::read(number, &path).map_err(SnapshotError::io("read", &path))?;
            self.loaded = Some(loaded);
        }
        Ok(self.loaded.as_mut().expect("it was loaded just now"))
    }
}

impl Loaded {
    fn read(number: usize, path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut reader = std::io::BufReader::with_capacity(4 * BUFFER_BYTES, &file);
        let mut found = Vec::new();
        let mut position = 0;
        let mut key = Vec::new();
        while position < end {
            let mut head = [0; HEAD_BYTES];
            reader.read_exact(&mut head)?;
            let length = |at: usize| {
                let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
                u32::from_le_bytes(bytes) as usize
            };
            let (key_length, value_length) = (length(0), length(4));
            key.resize(key_length, 0);
            reader.read_exact(&mut key)?;
            reader.seek_relative(i64::try_from(value_length).expect("values are bounded"))?;
            let start = position + HEAD_BYTES as u64;
            position = start + (key_length + value_length) as u64;
            let bytes = entry_bytes(key_length, value_length);
            found.push((Hash::of(&key), bytes, (start, key_length, value_length)));
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
