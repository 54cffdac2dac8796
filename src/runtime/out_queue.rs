//! Octets queued for one socket, in chunks from the worker's pool. PDUs are encoded straight into the last chunk
//! and leave in one vectored write per turn.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use super::pool::ChunkPool;
use crate::limits::OUT_CHUNK_BYTES;

/// Slices handed to one vectored write.
const IO_SLICES: usize = 16;

/// The queue. Holds no chunk while it is empty.
#[derive(Debug, Default)]
pub struct OutQueue {
    chunks: VecDeque<Vec<u8>>,
    /// Octets of the first chunk that are written already.
    head: usize,
    len: usize,
}

impl OutQueue {
    /// Octets queued.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `len` octets that `write` encodes.
    #[inline]
    pub fn append(&mut self, len: usize, pool: &mut ChunkPool, write: impl FnOnce(&mut Vec<u8>)) {
        let fits = self.chunks.back().is_some_and(|chunk| chunk.capacity() - chunk.len() >= len);
        if !fits {
            self.chunks.push_back(pool.take(len));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let before = chunk.len();
            write(chunk);
            debug_assert_eq!(chunk.len() - before, len, "an encoder announced another length");
            self.len += chunk.len() - before;
        }
    }

    /// Writes as much as `to` takes. Returns the octets written; fewer than queued means that it would block.
    ///
    /// # Errors
    /// Whatever the write reports, except `WouldBlock` and `Interrupted`.
    pub fn flush(&mut self, to: &mut impl Write, pool: &mut ChunkPool) -> io::Result<usize> {
        let mut total = 0;
        while self.len > 0 {
            let attempt = if let [only] = self.chunks.make_contiguous() {
                to.write(only.get(self.head..).unwrap_or_default())
            } else {
                let mut slices = [IoSlice::new(&[]); IO_SLICES];
                let mut used = 0;
                for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
                    let from = if used == 0 { self.head } else { 0 };
                    *slot = IoSlice::new(chunk.get(from..).unwrap_or_default());
                    used += 1;
                }
                to.write_vectored(slices.get(..used).unwrap_or_default())
            };
            match attempt {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    total += written;
                    self.consume(written, pool);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Drops everything queued and gives the chunks back.
    pub fn clear(&mut self, pool: &mut ChunkPool) {
        for chunk in self.chunks.drain(..) {
            pool.give_back(chunk);
        }
        self.head = 0;
        self.len = 0;
    }

    /// The octets at its front that lie together.
    pub fn front(&self) -> &[u8] {
        self.chunks.front().and_then(|chunk| chunk.get(self.head..)).unwrap_or_default()
    }

    /// Appends octets, over as many chunks as they take.
    pub fn extend(&mut self, octets: &[u8], pool: &mut ChunkPool) {
        for part in octets.chunks(OUT_CHUNK_BYTES) {
            self.append(part.len(), pool, |chunk| chunk.extend_from_slice(part));
        }
    }

    /// Drops octets at its front; chunks that are done with go back.
    pub fn consume(&mut self, mut written: usize, pool: &mut ChunkPool) {
        self.len -= written;
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.head;
            if written < left {
                self.head += written;
                return;
            }
            written -= left;
            self.head = 0;
            if let Some(chunk) = self.chunks.pop_front() {
                pool.give_back(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `step` octets per write and blocks after `limit`.
    struct Throttled {
        taken: Vec<u8>,
        step: usize,
        limit: usize,
    }

    impl Write for Throttled {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let n = buf.len().min(self.step).min(self.limit - self.taken.len());
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.taken.extend_from_slice(&buf[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn survives_partial_writes_over_chunk_borders() {
        let mut pool = ChunkPool::new(0, 8);
        let mut queue = OutQueue::default();
        let mut expected = Vec::new();
        for i in 0..5_000u32 {
            let pdu = vec![i as u8; 16 + (i as usize % 40)];
            queue.append(pdu.len(), &mut pool, |out| out.extend_from_slice(&pdu));
            expected.extend_from_slice(&pdu);
        }
        let large = vec![9u8; 2 * OUT_CHUNK_BYTES];
        queue.append(large.len(), &mut pool, |out| out.extend_from_slice(&large));
        expected.extend_from_slice(&large);
        assert_eq!(queue.len(), expected.len());

        let mut sink = Throttled { taken: Vec::new(), step: 777, limit: 0 };
        while !queue.is_empty() {
            sink.limit += 50_000;
            sink.limit = sink.limit.min(expected.len());
            queue.flush(&mut sink, &mut pool).expect("no error");
            assert_eq!(queue.len(), expected.len() - sink.taken.len());
        }
        assert_eq!(sink.taken, expected);
        assert!(pool.available() > 0, "chunks come back");
        assert!(queue.chunks.is_empty(), "an empty queue holds no chunk");
    }

    #[test]
    fn clear_gives_everything_back() {
        let mut pool = ChunkPool::new(1, 4);
        let mut queue = OutQueue::default();
        queue.append(3, &mut pool, |out| out.extend_from_slice(b"abc"));
        assert_eq!(pool.available(), 0);
        queue.clear(&mut pool);
        assert!(queue.is_empty());
        assert_eq!(pool.available(), 1);
    }
}
