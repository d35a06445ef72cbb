//! A snapshot in files.
//!
//! | file | what |
//! |---|---|
//! | `manifest` | the manifest |
//! | `sums` | SHA-256 of each chunk's file, in order |
//! | `blocks` | the block of the height with its certificate, and the header above with its own |
//! | `chunk-00000` and on | the chunks, each compressed |
//! | `encryption.json` | as in an encrypted database: there when the other files are encrypted |
//!
//! A folder is written under another name and renamed when all of it is on the disk. Beside an encrypted
//! database it is encrypted, too, each file as a value whose key is the file's name.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::limits::{MAX_CHUNKS, MAX_ENCODED_BYTES, MAX_MANIFEST_BYTES};
use tandem_chain::snapshot::{Chunk, Manifest};
use tandem_chain::types::Hash;
use tandem_chain::{Error as ChainError, codec};
use tandem_consensus::light::LightBlock;

use super::pack::{MAX_PACKED_BYTES, pack, unpack};
use super::{SnapshotError, TrustedBlock};
use crate::home::StorageKey;
use crate::home::files::{create_dir, io_error, remove_folder, sync_folder};
use crate::storage::{self, ENCRYPTION_FILE, Sealer};

const MANIFEST: &str = "manifest";
const SUMS: &str = "sums";
const BLOCKS: &str = "blocks";

#[derive(Serialize, Deserialize)]
pub(crate) struct Sums(
    #[serde(deserialize_with = "codec::list::<MAX_CHUNKS, _, _>")] pub(crate) Vec<Hash>,
);

#[derive(Serialize, Deserialize)]
pub(crate) struct Blocks {
    block: CertifiedBlock,
    above: LightBlock,
}

/// A snapshot in a folder. Its parts fit each other; the chunks are read, and checked, one by one.
pub struct Folder {
    files: Files,
    manifest: Manifest,
    hash: Hash,
    sums: Vec<Hash>,
    block: CertifiedBlock,
    above: LightBlock,
}

impl Folder {
    /// Opens a folder; `key` is what it is encrypted with, if it is.
    ///
    /// # Errors
    /// [`SnapshotError::Home`]; [`SnapshotError::Content`], naming the file; [`SnapshotError::Key`] when it
    /// is encrypted with another key.
    pub fn open(path: &Path, key: Option<&StorageKey>) -> Result<Self, SnapshotError> {
        let files = Files::open(path, key)?;
        let bytes = files.read(MANIFEST, MAX_MANIFEST_BYTES)?;
        let manifest =
            Manifest::decode(&bytes).map_err(|source| content(&path.join(MANIFEST), &source))?;
        let Sums(sums) = files.decoded(SUMS)?;
        if sums.len() != manifest.tiles().len() {
            let reason = "it has not one sum for each chunk of the manifest".to_owned();
            return Err(SnapshotError::Content { path: path.join(SUMS), reason });
        }
        let Blocks { block, above } = files.decoded(BLOCKS)?;
        let is_above = above.header.app_hash == manifest.app_hash()
            && above.header.chain_id == *manifest.chain_id()
            && above.header.height == manifest.height().next()
            && above.header.last_block_id == Some(block.block.id());
        if !is_above {
            let reason = "its header and block are not those of the manifest's state".to_owned();
            return Err(SnapshotError::Content { path: path.join(BLOCKS), reason });
        }
        let hash = Hash::of(&bytes);
        Ok(Self { files, manifest, hash, sums, block, above })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.files.path
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// How many chunks it has.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.sums.len()).expect("chunks are bounded")
    }

    /// The block above, whose hash proves the snapshot to who trusts it.
    #[must_use]
    pub fn proof(&self) -> TrustedBlock {
        let header = &self.above.header;
        TrustedBlock { height: header.height, hash: header.id() }
    }

    /// The block after which the state is. Whether it is to be trusted is another question.
    #[must_use]
    pub fn block(&self) -> &CertifiedBlock {
        &self.block
    }

    /// The header of the next block, with its certificate and validators. Whether it is to be trusted is
    /// another question.
    #[must_use]
    pub fn above(&self) -> &LightBlock {
        &self.above
    }

    /// A chunk's compressed bytes, as they were written.
    ///
    /// # Errors
    /// [`SnapshotError::Home`]; [`SnapshotError::Content`] when they are not those that were written.
    pub fn packed(&self, index: u32) -> Result<Vec<u8>, SnapshotError> {
        let name = chunk_name(index);
        let bytes = self.files.read(&name, MAX_PACKED_BYTES)?;
        if self.sums.get(index as usize) == Some(&Hash::of(&bytes)) {
            Ok(bytes)
        } else {
            let reason = "its sum is another than stands in the file sums: one of them is damaged"
                .to_owned();
            Err(SnapshotError::Content { path: self.files.path.join(name), reason })
        }
    }

    /// A chunk.
    ///
    /// # Errors
    /// Those of [`Folder::packed`]; [`SnapshotError::Content`] when it is no chunk. Whether it is that of
    /// the manifest is for [`Chunk::check`].
    pub fn chunk(&self, index: u32) -> Result<Chunk, SnapshotError> {
        let unpacked = unpack(&self.packed(index)?);
        unpacked.map_err(|source| content(&self.path().join(chunk_name(index)), &source))
    }

    /// Bytes of all chunks' files.
    ///
    /// # Errors
    /// [`SnapshotError::Home`].
    pub fn bytes(&self) -> Result<u64, SnapshotError> {
        let mut bytes = 0;
        for index in 0..self.chunks() {
            let path = self.path().join(chunk_name(index));
            bytes += fs::metadata(&path).map_err(io_error("look at", &path))?.len();
        }
        Ok(bytes)
    }
}

/// Writes a folder: chunks as they come, then the rest.
pub(super) struct Writer {
    files: Files,
    sums: Vec<Hash>,
}

impl Writer {
    /// Begins a folder, in the place of one that was left half-written, encrypted when there is a key.
    pub fn begin(path: &Path, key: Option<&StorageKey>) -> Result<Self, SnapshotError> {
        remove_folder(path)?;
        create_dir(path)?;
        let sealer = key.map(|key| Sealer::make(path, key)).transpose()?;
        Ok(Self { files: Files { path: path.to_owned(), sealer }, sums: Vec::new() })
    }

    pub fn path(&self) -> &Path {
        &self.files.path
    }

    pub fn chunk(&mut self, chunk: &Chunk) -> Result<(), SnapshotError> {
        let packed = pack(chunk);
        let index = u32::try_from(self.sums.len()).expect("chunks are bounded");
        self.files.write(&chunk_name(index), &packed)?;
        self.sums.push(Hash::of(&packed));
        Ok(())
    }

    /// Writes the rest; when it returns, all of it is on the disk.
    pub fn finish(
        self,
        manifest: &Manifest,
        block: CertifiedBlock,
        above: LightBlock,
    ) -> Result<(), SnapshotError> {
        let Self { files, sums } = self;
        files.write(MANIFEST, &manifest.encode())?;
        files.write(SUMS, &codec::encode(&Sums(sums)))?;
        files.write(BLOCKS, &codec::encode(&Blocks { block, above }))?;
        sync_folder(&files.path)?;
        Ok(())
    }
}

/// The files of a folder, plain or encrypted.
struct Files {
    path: PathBuf,
    sealer: Option<Sealer>,
}

impl Files {
    fn open(path: &Path, key: Option<&StorageKey>) -> Result<Self, SnapshotError> {
        let sealer = if path.join(ENCRYPTION_FILE).exists() {
            let opened = Sealer::open(path, key);
            let is_key = |error: &storage::Error| {
                matches!(error, storage::Error::KeyWrong { .. } | storage::Error::KeyMissing { .. })
            };
            Some(opened.map_err(|error| match error {
                error if is_key(&error) => SnapshotError::Key { path: path.to_owned() },
                error => error.into(),
            })?)
        } else {
            None
        };
        Ok(Self { path: path.to_owned(), sealer })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let path = self.path.join(name);
        let sealed = self.sealer.as_ref().map(|sealer| sealer.seal(name, bytes));
        let mut file = fs::File::create(&path).map_err(io_error("create", &path))?;
        let bytes = sealed.as_deref().unwrap_or(bytes);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        Ok(written.map_err(io_error("write", &path))?)
    }

    /// A file of at most `max` bytes, what its encryption adds left out.
    fn read(&self, name: &str, max: usize) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path.join(name);
        let file = fs::File::open(&path).map_err(io_error("open", &path))?;
        let max = if self.sealer.is_some() { max + Sealer::ADDED_BYTES } else { max };
        let mut bytes = Vec::new();
        let read = file.take(max as u64 + 1).read_to_end(&mut bytes);
        read.map_err(io_error("read", &path))?;
        if bytes.len() > max {
            let reason = format!("longer than {max} bytes: this is no such file of a snapshot");
            return Err(SnapshotError::Content { path, reason });
        }
        match &self.sealer {
            None => Ok(bytes),
            Some(sealer) => sealer
                .open_sealed(name, &bytes)
                .map_err(|reason| SnapshotError::Content { path, reason: reason.to_owned() }),
        }
    }

    fn decoded<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, SnapshotError> {
        let bytes = self.read(name, MAX_ENCODED_BYTES)?;
        codec::decode("file of a snapshot", &bytes, MAX_ENCODED_BYTES)
            .map_err(|source| content(&self.path.join(name), &source))
    }
}

fn chunk_name(index: u32) -> String {
    format!("chunk-{index:05}")
}

fn content(path: &Path, source: &ChainError) -> SnapshotError {
    SnapshotError::Content { path: path.to_owned(), reason: source.to_string() }
}
