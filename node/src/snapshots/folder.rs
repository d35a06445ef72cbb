//! A snapshot in files.
//!
//! | file | what |
//! |---|---|
//! | `manifest` | the manifest |
//! | `sums` | SHA-256 of each chunk's file, in order |
//! | `blocks` | the block of the height with its certificate, and the header above with its own |
//! | `chunk-00000` and on | the chunks, each compressed |
//!
//! A folder is written under another name and renamed when all of it is on the disk.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::limits::{MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_ENCODED_BYTES, MAX_MANIFEST_BYTES};
use tandem_chain::snapshot::{Chunk, Manifest};
use tandem_chain::types::Hash;
use tandem_chain::{Error as ChainError, codec};
use tandem_consensus::light::LightBlock;

use super::SnapshotError;

/// Bytes of a compressed chunk: its length, and what LZ4 makes of it, which grows a little where nothing
/// can be compressed.
pub(super) const MAX_PACKED_BYTES: usize = 4 + MAX_CHUNK_BYTES + MAX_CHUNK_BYTES / 128 + 1024;

const MANIFEST: &str = "manifest";
const SUMS: &str = "sums";
const BLOCKS: &str = "blocks";

/// Compresses a chunk: its length as a u32, low byte first, and one LZ4 block.
#[must_use]
pub fn pack(chunk: &Chunk) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(&chunk.encode())
}

/// The chunk that was compressed; no more than [`MAX_CHUNK_BYTES`] are ever decompressed.
///
/// # Errors
/// [`ChainError::Undecodable`], [`ChainError::TooLong`]; those of [`Chunk::decode`].
pub fn unpack(packed: &[u8]) -> Result<Chunk, ChainError> {
    let what = "chunk of a snapshot";
    let too_long = |max, got| Err(ChainError::TooLong { what, max, got });
    if packed.len() > MAX_PACKED_BYTES {
        return too_long(MAX_PACKED_BYTES, packed.len());
    }
    let undecodable = |reason: &str| ChainError::Undecodable { what, reason: reason.to_owned() };
    let Some((length, block)) = packed.split_first_chunk::<4>() else {
        return Err(undecodable("it has no length"));
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_CHUNK_BYTES {
        return too_long(MAX_CHUNK_BYTES, length);
    }
    let bytes = lz4_flex::block::decompress(block, length)
        .map_err(|source| undecodable(&source.to_string()))?;
    if bytes.len() != length {
        return Err(undecodable("it has another length than it says"));
    }
    Chunk::decode(&bytes)
}

#[derive(Serialize, Deserialize)]
struct Sums(#[serde(deserialize_with = "codec::list::<MAX_CHUNKS, _, _>")] Vec<Hash>);

#[derive(Serialize, Deserialize)]
struct Blocks {
    block: CertifiedBlock,
    above: LightBlock,
}

/// A snapshot in a folder. Its parts fit each other; the chunks are read, and checked, one by one.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    manifest: Manifest,
    hash: Hash,
    sums: Vec<Hash>,
    block: CertifiedBlock,
    above: LightBlock,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`SnapshotError::Io`]; [`SnapshotError::Content`], naming the file.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let bytes = read(&path.join(MANIFEST), MAX_MANIFEST_BYTES)?;
        let manifest =
            Manifest::decode(&bytes).map_err(|source| content(&path.join(MANIFEST), &source))?;
        let Sums(sums) = decoded(&path.join(SUMS))?;
        if sums.len() != manifest.tiles().len() {
            let reason = "it has not one sum for each chunk of the manifest".to_owned();
            return Err(SnapshotError::Content { path: path.join(SUMS), reason });
        }
        let Blocks { block, above } = decoded(&path.join(BLOCKS))?;
        let is_above = above.header.app_hash == manifest.app_hash()
            && above.header.chain_id == *manifest.chain_id()
            && above.header.height == manifest.height().next()
            && above.header.last_block_id == Some(block.block.id());
        if !is_above {
            let reason = "its header and block are not those of the manifest's state".to_owned();
            return Err(SnapshotError::Content { path: path.join(BLOCKS), reason });
        }
        let hash = Hash::of(&bytes);
        Ok(Self { path: path.to_owned(), manifest, hash, sums, block, above })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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
    /// [`SnapshotError::Io`]; [`SnapshotError::Content`] when they are not those that were written.
    pub fn packed(&self, index: u32) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path.join(chunk_name(index));
        let bytes = read(&path, MAX_PACKED_BYTES)?;
        if self.sums.get(index as usize) == Some(&Hash::of(&bytes)) {
            Ok(bytes)
        } else {
            let reason =
                "the file is damaged: its sum is another; take the snapshot again".to_owned();
            Err(SnapshotError::Content { path, reason })
        }
    }

    /// A chunk.
    ///
    /// # Errors
    /// Those of [`Folder::packed`]; [`SnapshotError::Content`] when it is no chunk. Whether it is that of
    /// the manifest is for [`Chunk::check`].
    pub fn chunk(&self, index: u32) -> Result<Chunk, SnapshotError> {
        let unpacked = unpack(&self.packed(index)?);
        unpacked.map_err(|source| content(&self.path.join(chunk_name(index)), &source))
    }

    /// Bytes of all chunks' files.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn bytes(&self) -> Result<u64, SnapshotError> {
        let mut bytes = 0;
        for index in 0..self.sums.len() {
            let path = self.path.join(chunk_name(u32::try_from(index).unwrap_or(u32::MAX)));
            bytes += fs::metadata(&path).map_err(SnapshotError::io("look at", &path))?.len();
        }
        Ok(bytes)
    }
}

/// Writes a folder: chunks as they come, then the rest.
pub(super) struct Writer {
    path: PathBuf,
    sums: Vec<Hash>,
}

impl Writer {
    /// Begins a folder, in the place of one that was left half-written.
    pub fn begin(path: &Path) -> Result<Self, SnapshotError> {
        remove(path)?;
        crate::home::files::create_dir(path)?;
        Ok(Self { path: path.to_owned(), sums: Vec::new() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn chunk(&mut self, chunk: &Chunk) -> Result<(), SnapshotError> {
        let packed = pack(chunk);
        let index = u32::try_from(self.sums.len()).expect("chunks are bounded");
        write(&self.path.join(chunk_name(index)), &packed)?;
        self.sums.push(Hash::of(&packed));
        Ok(())
    }

    /// Writes the rest and gives the folder its name, all or nothing.
    pub fn finish(
        self,
        manifest: &Manifest,
        block: CertifiedBlock,
        above: LightBlock,
        name: &Path,
    ) -> Result<(), SnapshotError> {
        write(&self.path.join(MANIFEST), &manifest.encode())?;
        write(&self.path.join(SUMS), &codec::encode(&Sums(self.sums)))?;
        write(&self.path.join(BLOCKS), &codec::encode(&Blocks { block, above }))?;
        sync(&self.path)?;
        remove(name)?;
        fs::rename(&self.path, name).map_err(SnapshotError::io("rename", &self.path))?;
        name.parent().map_or(Ok(()), sync)
    }
}

fn chunk_name(index: u32) -> String {
    format!("chunk-{index:05}")
}

/// Takes a folder away, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SnapshotError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut file = fs::File::create(path).map_err(SnapshotError::io("create", path))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(SnapshotError::io("write", path))
}

fn sync(folder: &Path) -> Result<(), SnapshotError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(SnapshotError::io("sync", folder))
}

fn read(path: &Path, max: usize) -> Result<Vec<u8>, SnapshotError> {
    let file = fs::File::open(path).map_err(SnapshotError::io("open", path))?;
    let mut bytes = Vec::new();
    let read = file.take(max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(SnapshotError::io("read", path))?;
    if bytes.len() > max {
        let reason = format!("longer than {max} bytes: this is no such file of a snapshot");
        return Err(SnapshotError::Content { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

fn decoded<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SnapshotError> {
    let bytes = read(path, MAX_ENCODED_BYTES)?;
    codec::decode("file of a snapshot", &bytes, MAX_ENCODED_BYTES)
        .map_err(|source| content(path, &source))
}

fn content(path: &Path, source: &ChainError) -> SnapshotError {
    SnapshotError::Content { path: path.to_owned(), reason: source.to_string() }
}
