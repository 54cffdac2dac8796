//! Buffers that a worker lends to its sessions while they have octets to hold. An idle session holds none.

use crate::limits::OUT_CHUNK_BYTES;

/// Keeps returned chunks for reuse, up to a bound.
#[derive(Debug)]
pub struct ChunkPool {
    free: Vec<Vec<u8>>,
    keep_max: usize,
    /// Octets of the chunks that are lent.
    lent_bytes: u64,
}

impl ChunkPool {
    /// A pool that starts with `preallocate` chunks and keeps at most `keep_max`.
    pub fn new(preallocate: usize, keep_max: usize) -> Self {
        let mut free = Vec::with_capacity(keep_max);
        free.extend((0..preallocate.min(keep_max)).map(|_| Vec::with_capacity(OUT_CHUNK_BYTES)));
        Self { free, keep_max, lent_bytes: 0 }
    }

    /// An empty chunk with room for at least `len` octets.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        let chunk = if len > OUT_CHUNK_BYTES {
            // One large PDU: its own chunk, bounded by the largest PDU, not kept.
            Vec::with_capacity(len)
        } else {
            self.free.pop().unwrap_or_else(|| Vec::with_capacity(OUT_CHUNK_BYTES))
        };
        self.lent_bytes += chunk.capacity() as u64;
        chunk
    }

    /// Takes a chunk back.
    pub fn give_back(&mut self, mut chunk: Vec<u8>) {
        debug_assert!(
            self.lent_bytes >= chunk.capacity() as u64,
            "a chunk of another pool, or one that has grown"
        );
        self.lent_bytes = self.lent_bytes.saturating_sub(chunk.capacity() as u64);
        if chunk.capacity() == OUT_CHUNK_BYTES && self.free.len() < self.keep_max {
            chunk.clear();
            self.free.push(chunk);
        }
    }

    /// Octets of the chunks that are lent.
    pub const fn lent_bytes(&self) -> u64 {
        self.lent_bytes
    }

    /// Chunks ready for use.
    pub fn available(&self) -> usize {
        self.free.len()
    }
}
