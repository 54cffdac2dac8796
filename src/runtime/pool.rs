//! Buffers that a worker lends to its sessions while they have octets to hold. An idle session holds none.

use crate::limits::OUT_CHUNK_BYTES;

/// Keeps returned chunks for reuse, up to a bound.
#[derive(Debug)]
pub struct ChunkPool {
    free: Vec<Vec<u8>>,
    keep_max: usize,
}

impl ChunkPool {
    /// A pool that starts with `preallocate` chunks and keeps at most `keep_max`.
    pub fn new(preallocate: usize, keep_max: usize) -> Self {
        let mut free = Vec::with_capacity(keep_max);
        free.extend((0..preallocate.min(keep_max)).map(|_| Vec::with_capacity(OUT_CHUNK_BYTES)));
        Self { free, keep_max }
    }

    /// An empty chunk with room for at least `len` octets.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        if len > OUT_CHUNK_BYTES {
            // One large PDU: its own chunk, bounded by the largest PDU, not kept.
            return Vec::with_capacity(len);
        }
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(OUT_CHUNK_BYTES))
    }

    /// Takes a chunk back.
    pub fn give_back(&mut self, mut chunk: Vec<u8>) {
        if chunk.capacity() == OUT_CHUNK_BYTES && self.free.len() < self.keep_max {
            chunk.clear();
            self.free.push(chunk);
        }
    }

    /// Chunks ready for use.
    pub fn available(&self) -> usize {
        self.free.len()
    }
}
