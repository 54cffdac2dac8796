//! The store for `durability = "none"`: bodies in memory, everything durable the moment it is entered, nothing left
//! after the process. Records are not kept, for there is no restart that would read them.
//!
//! Bodies lie in slots of 128 octets to 128 KiB (powers of two) inside chunks of 1 MiB. A chunk serves one size; one
//! that has become empty may serve any other, so a change in the traffic's sizes strands no memory. Chunks are made
//! as they are needed, up to the bound, and then reused: after warm-up a message allocates nothing.

use super::{Durability, Location, Lsn, MessageStore, Record, StoreFull, Stored};
use crate::base::prefetch::{CACHE_LINE_BYTES, prefetch};

const CHUNK_BYTES: usize = 1 << 20;
/// The smallest slot is 2^7 octets ...
const SLOT_BITS_MIN: u32 = 7;
/// ... and the largest 2^17, above any PDU (`limits::PDU_BYTES_MAX`).
const SLOT_BITS_MAX: u32 = 17;
const CLASSES: usize = (SLOT_BITS_MAX - SLOT_BITS_MIN + 1) as usize;
const NONE: u32 = u32::MAX;
/// How many bodies ahead the memory of a free slot is fetched: it has left the caches since it was written last, and a core
/// waits for what it writes once enough of it is on its way.
const PREFETCHED_AHEAD: usize = 8;

/// A [`Location`] here is `chunk:32 | slot:14 | length:18`.
const LENGTH_BITS: u32 = 18;
const SLOT_INDEX_BITS: u32 = 14;

#[derive(Debug)]
struct Chunk {
    memory: Box<[u8]>,
    slot_bits: u32,
    live: u32,
    /// Slots below this have been used since the chunk last was empty.
    fresh: u32,
    /// Freed slots, the last one first. Beside the slots and not in them: a free one is not in any cache.
    free: Vec<u16>,
    /// Neighbours in the list of chunks of this class with room; `next` also links the list of empty chunks.
    next: u32,
    previous: u32,
}

/// Message bodies in memory, bounded in octets and count.
#[derive(Debug)]
pub struct MemoryStore {
    chunks: Vec<Chunk>,
    chunks_max: usize,
    /// Per class: first chunk with room.
    with_room: [u32; CLASSES],
    /// First chunk that holds nothing.
    empty: u32,
    count: u32,
    count_max: u32,
    lsn: u64,
}

impl MemoryStore {
    /// An empty store for at most `messages_max` messages in `bytes_max` octets (rounded up to whole MiB, at least
    /// one). Memory is taken as it is needed.
    pub fn new(messages_max: u32, bytes_max: u64) -> Self {
        let chunks_max = usize::try_from(bytes_max.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX);
        let chunks_max = chunks_max.clamp(1, NONE as usize);
        Self {
            chunks: Vec::with_capacity(chunks_max.min(1 << 16)),
            chunks_max,
            with_room: [NONE; CLASSES],
            empty: NONE,
            count: 0,
            count_max: messages_max,
            lsn: 0,
        }
    }

    /// Messages held.
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets of memory taken so far, whether in use or not.
    pub fn bytes_taken(&self) -> u64 {
        (self.chunks.len() * CHUNK_BYTES) as u64
    }

    const fn next_lsn(&mut self) -> Lsn {
        self.lsn += 1;
        Lsn(self.lsn)
    }

    /// A chunk of this class with room: one that has some, an empty one, or a new one.
    fn chunk_with_room(&mut self, class: usize) -> Option<u32> {
        if self.with_room[class] != NONE {
            return Some(self.with_room[class]);
        }
        let index = if self.empty != NONE {
            let index = self.empty;
            self.empty = self.chunks[index as usize].next;
            index
        } else if self.chunks.len() < self.chunks_max {
            self.chunks.push(Chunk {
                memory: vec![0; CHUNK_BYTES].into_boxed_slice(),
                slot_bits: 0,
                live: 0,
                fresh: 0,
                free: Vec::with_capacity(CHUNK_BYTES >> SLOT_BITS_MIN),
                next: NONE,
                previous: NONE,
            });
            (self.chunks.len() - 1) as u32
        } else {
            return None;
        };
        let chunk = &mut self.chunks[index as usize];
        (chunk.slot_bits, chunk.fresh) = (SLOT_BITS_MIN + class as u32, 0);
        chunk.free.clear();
        self.link(class, index);
        Some(index)
    }

    /// Copies a body into a slot of its size.
    #[inline]
    fn put_body(&mut self, body: &[u8]) -> Result<Stored, StoreFull> {
        if self.count == self.count_max {
            return Err(StoreFull);
        }
        let class = class_of(body.len()).ok_or(StoreFull)?;
        let index = self.chunk_with_room(class).ok_or(StoreFull)?;
        let chunk = &mut self.chunks[index as usize];
        let slot = chunk.take_slot();
        let start = (slot as usize) << chunk.slot_bits;
        chunk.memory[start..start + body.len()].copy_from_slice(body);
        if chunk.is_full() {
            self.unlink(class, index);
        }
        self.count += 1;
        let location = (u64::from(index) << (LENGTH_BITS + SLOT_INDEX_BITS))
            | (u64::from(slot) << LENGTH_BITS)
            | body.len() as u64;
        Ok(Stored { location: Location(location), lsn: self.next_lsn() })
    }

    fn link(&mut self, class: usize, index: u32) {
        let head = std::mem::replace(&mut self.with_room[class], index);
        if let Some(head) = self.chunks.get_mut(head as usize) {
            head.previous = index;
        }
        let chunk = &mut self.chunks[index as usize];
        (chunk.next, chunk.previous) = (head, NONE);
    }

    fn unlink(&mut self, class: usize, index: u32) {
        let Chunk { next, previous, .. } = self.chunks[index as usize];
        match self.chunks.get_mut(previous as usize) {
            Some(chunk) => chunk.next = next,
            None => self.with_room[class] = next,
        }
        if let Some(chunk) = self.chunks.get_mut(next as usize) {
            chunk.previous = previous;
        }
    }
}

impl Chunk {
    const fn slots(&self) -> u32 {
        (CHUNK_BYTES >> self.slot_bits) as u32
    }

    const fn is_full(&self) -> bool {
        self.live == self.slots()
    }

    fn class(&self) -> usize {
        (self.slot_bits - SLOT_BITS_MIN) as usize
    }

    /// Takes a free slot of a chunk that is not full.
    fn take_slot(&mut self) -> u32 {
        self.live += 1;
        // Whoever puts in one message mostly puts in more.
        if let Some(soon) = self.free.len().checked_sub(PREFETCHED_AHEAD) {
            let start = usize::from(self.free[soon]) << self.slot_bits;
            prefetch(&self.memory[start]);
            prefetch(&self.memory[start + CACHE_LINE_BYTES]);
        }
        if let Some(slot) = self.free.pop() {
            return u32::from(slot);
        }
        self.fresh += 1;
        self.fresh - 1
    }

    fn give_slot_back(&mut self, slot: u32) {
        self.free.push(slot as u16);
        self.live -= 1;
    }
}

/// The size class for a body of `len` octets; `None` when it is too large for any.
const fn class_of(len: usize) -> Option<usize> {
    if len > 1 << SLOT_BITS_MAX {
        return None;
    }
    let bits = usize::BITS - len.saturating_sub(1).leading_zeros();
    Some(bits.saturating_sub(SLOT_BITS_MIN) as usize)
}

/// Chunk, slot and length that a location names.
const fn unpack(location: Location) -> (usize, u32, usize) {
    let length = (location.0 & ((1 << LENGTH_BITS) - 1)) as usize;
    let slot = ((location.0 >> LENGTH_BITS) & ((1 << SLOT_INDEX_BITS) - 1)) as u32;
    ((location.0 >> (LENGTH_BITS + SLOT_INDEX_BITS)) as usize, slot, length)
}

impl MessageStore for MemoryStore {
    #[inline]
    fn put_as(&mut self, _: &Record, body: &[u8], _: Durability) -> Result<Stored, StoreFull> {
        self.put_body(body)
    }

    #[inline]
    fn put_with(
        &mut self,
        _: impl FnOnce() -> Record,
        body: &[u8],
        _: Durability,
    ) -> Result<Stored, StoreFull> {
        self.put_body(body)
    }

    #[inline]
    fn body(&mut self, location: Location) -> Option<&[u8]> {
        let (chunk, slot, length) = unpack(location);
        let chunk = self.chunks.get(chunk)?;
        let start = (slot as usize) << chunk.slot_bits;
        chunk.memory.get(start..start + length)
    }

    #[inline]
    fn update_as(&mut self, _: Location, _: &Record, _: Durability) -> Lsn {
        self.next_lsn()
    }

    fn replace_as(
        &mut self,
        location: Location,
        record: &Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull> {
        let stored = self.put_as(record, body, durability)?;
        self.remove(location);
        Ok(stored)
    }

    #[inline]
    fn remove_as(&mut self, location: Location, _: Durability) -> Lsn {
        let (index, slot, _) = unpack(location);
        let Some(chunk) = self.chunks.get_mut(index) else { return self.next_lsn() };
        debug_assert!(slot < chunk.fresh && chunk.live > 0, "removed twice, or never put");
        let was_full = chunk.is_full();
        chunk.give_slot_back(slot);
        let (class, is_empty) = (chunk.class(), chunk.live == 0);
        let index = index as u32;
        match (was_full, is_empty) {
            // The slots are so large that a chunk has only a few: never both at once while it has more than one.
            (true, false) => self.link(class, index),
            (false, true) => {
                self.unlink(class, index);
                self.chunks[index as usize].next = self.empty;
                self.empty = index;
            }
            (false, false) | (true, true) => {}
        }
        self.count -= 1;
        self.next_lsn()
    }

    fn durability(&self) -> Durability {
        Durability::None
    }

    /// Nothing here survives the process, so nobody is made to wait for it.
    #[inline]
    fn lsn_at(&self, _: Durability) -> Lsn {
        Lsn(self.lsn)
    }

    fn recovered(&mut self) -> Option<(Location, Record, &[u8])> {
        None
    }

    fn commit(&mut self) {}
}

// A chunk has at least eight slots, so that it can't go from full to empty in one step.
const _: () = assert!(CHUNK_BYTES >> SLOT_BITS_MAX >= 8);
const _: () = assert!(CHUNK_BYTES >> SLOT_BITS_MIN <= 1 << SLOT_INDEX_BITS);
const _: () = assert!((1 << SLOT_BITS_MAX) < (1 << LENGTH_BITS));
const _: () = assert!(crate::limits::PDU_BYTES_MAX <= 1 << SLOT_BITS_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{AccountId, MessageId, WallTime};
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            id: MessageId::from_u64(1 << 40),
            account: AccountId(0),
            target: None,
            stage: 0,
            state: 1,
            version: 0x34,
            error: 0,
            attempts: 0,
            accepted: WallTime::default(),
            due: WallTime::default(),
            expires: WallTime::default(),
            finished: WallTime::default(),
        }
    }

    #[test]
    fn every_length_has_a_class_that_holds_it() {
        for len in (0..=1 << SLOT_BITS_MAX).step_by(61).chain([1, 127, 128, 129, 1 << SLOT_BITS_MAX]) {
            let class = class_of(len).unwrap();
            assert!(len <= 1 << (SLOT_BITS_MIN + class as u32));
            assert!(class == 0 || len > 1 << (SLOT_BITS_MIN + class as u32 - 1));
        }
        assert_eq!(class_of((1 << SLOT_BITS_MAX) + 1), None);
    }

    #[test]
    fn is_bounded_in_count_and_octets() {
        let mut store = MemoryStore::new(2, u64::MAX);
        let first = store.put(&record(), b"a").unwrap();
        store.put(&record(), b"b").unwrap();
        assert_eq!(store.put(&record(), b"c"), Err(StoreFull));
        store.remove(first.location);
        assert!(store.put(&record(), b"c").is_ok());

        let mut store = MemoryStore::new(u32::MAX, 1);
        let body = [7; 100_000];
        let stored: Vec<_> = std::iter::from_fn(|| store.put(&record(), &body).ok()).collect();
        assert_eq!((stored.len(), store.bytes_taken()), (8, CHUNK_BYTES as u64));
        assert_eq!(store.put(&record(), b"small"), Err(StoreFull));
        // An empty chunk serves any size.
        for stored in stored {
            store.remove(stored.location);
        }
        assert!(store.is_empty());
        assert_eq!(std::iter::from_fn(|| store.put(&record(), b"small").ok()).count(), CHUNK_BYTES / 128);
        assert_eq!(store.bytes_taken(), CHUNK_BYTES as u64);
    }

    #[test]
    fn everything_is_durable_at_once() {
        let mut store = MemoryStore::new(10, 1);
        let stored = store.put(&record(), b"x").unwrap();
        assert_eq!(stored.lsn, Lsn(1));
        assert_eq!(store.update(stored.location, &record()), Lsn(2));
        assert_eq!(store.remove(stored.location), Lsn(3));
        store.commit();
        assert_eq!(store.lsn_at(Durability::Sync), Lsn(3));
        assert_eq!(store.recovered(), None);
    }

    proptest! {
        /// Bodies come back as they were put whatever is put and removed around them, and no two share memory.
        #[test]
        fn keeps_bodies_apart(steps in prop::collection::vec((0u32..3, 0u32..18, any::<u16>()), 1..400)) {
            let mut store = MemoryStore::new(64, 4 << 20);
            let mut model: Vec<(Location, Vec<u8>)> = Vec::new();
            for (step, &(kind, size_bits, pick)) in steps.iter().enumerate() {
                if kind == 0 && !model.is_empty() {
                    let (location, body) = model.swap_remove(usize::from(pick) % model.len());
                    prop_assert_eq!(store.body(location), Some(&body[..]));
                    store.remove(location);
                } else {
                    let len = (usize::from(pick) * 3) & ((1 << size_bits) - 1);
                    let body = vec![step as u8; len];
                    match store.put(&record(), &body) {
                        Ok(stored) => model.push((stored.location, body)),
                        Err(StoreFull) => prop_assert!(model.len() == 64 || store.bytes_taken() == 4 << 20),
                    }
                }
                prop_assert_eq!(store.len() as usize, model.len());
            }
            for (location, body) in &model {
                prop_assert_eq!(store.body(*location), Some(&body[..]));
            }
        }
    }
}
