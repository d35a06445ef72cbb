//! Chunks as they are stored and sent: compressed.

use tandem_chain::Error;
use tandem_chain::limits::MAX_CHUNK_BYTES;
use tandem_chain::snapshot::Chunk;

/// Bytes of a compressed chunk: its length, and what LZ4 makes of it, which grows a little where nothing
/// can be compressed.
pub const MAX_PACKED_BYTES: usize = 4 + MAX_CHUNK_BYTES + MAX_CHUNK_BYTES / 128 + 1024;

/// Compresses a chunk: its length as a u32, low byte first, and one LZ4 block.
#[must_use]
pub fn pack(chunk: &Chunk) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(&chunk.encode())
}

/// The chunk that was compressed; no more than [`MAX_CHUNK_BYTES`] are ever decompressed.
///
/// # Errors
/// [`Error::Undecodable`], [`Error::TooLong`]; those of [`Chunk::decode`].
pub fn unpack(packed: &[u8]) -> Result<Chunk, Error> {
    let what = "chunk of a snapshot";
    let too_long = |max, got| Err(Error::TooLong { what, max, got });
    if packed.len() > MAX_PACKED_BYTES {
        return too_long(MAX_PACKED_BYTES, packed.len());
    }
    let undecodable = |reason: &str| Error::Undecodable { what, reason: reason.to_owned() };
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
