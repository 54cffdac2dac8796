//! A bounded table of values by slot. Memory comes in chunks that never move, so growth copies nothing and costs
//! the same at the first and at the millionth entry; freed slots are reused last in, first out (the warmest first).

use super::prefetch::{CACHE_LINE_BYTES, prefetch};

const CHUNK_BITS: u32 = 12;
/// Slots of one chunk.
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const CHUNK_MASK: u32 = (CHUNK_SLOTS - 1) as u32;
/// How many insertions ahead the memory of a free slot is fetched.
const PREFETCHED_AHEAD: u32 = 8;
/// Ends the list of free slots; never a slot.
const NONE: u32 = u32::MAX;

/// Slots with this alignment begin with a cache line: for values that fill whole ones, so that none has a part in one more.
#[derive(Debug)]
#[repr(align(64))]
pub struct CacheLine;

const _: () = assert!(align_of::<CacheLine>() == CACHE_LINE_BYTES);

#[derive(Debug)]
struct Slot<T, A> {
    generation: u32,
    value: Option<T>,
    _alignment: [A; 0],
}

/// The freed slots, the last one first. Beside the slots and not in them: to take one for a new value must not wait
/// for memory that has left the caches meanwhile.
#[derive(Debug, Default)]
struct FreeSlots {
    chunks: Vec<Box<[u32]>>,
    len: u32,
}

impl FreeSlots {
    #[inline]
    fn push(&mut self, slot: u32) {
        let (chunk, at) = ((self.len >> CHUNK_BITS) as usize, (self.len & CHUNK_MASK) as usize);
        if chunk == self.chunks.len() {
            self.chunks.push(vec![NONE; CHUNK_SLOTS].into_boxed_slice());
        }
        self.chunks[chunk][at] = slot;
        self.len += 1;
    }

    #[inline]
    fn last(&self) -> Option<u32> {
        self.ahead(0)
    }

    /// The slot that is popped after so many others.
    #[inline]
    fn ahead(&self, others: u32) -> Option<u32> {
        let last = self.len.checked_sub(1 + others)?;
        self.chunks.get((last >> CHUNK_BITS) as usize)?.get((last & CHUNK_MASK) as usize).copied()
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        let slot = self.last()?;
        self.len -= 1;
        Some(slot)
    }
}

/// A bounded slab. Slots are dense from 0; `u32::MAX` is never one. They are aligned as a value is, or as `A`.
#[derive(Debug)]
pub struct Slab<T, A = ()> {
    /// Each is reserved in full and then filled slot by slot: untouched slots cost no resident memory, and no push
    /// ever moves one.
    chunks: Vec<Vec<Slot<T, A>>>,
    free: FreeSlots,
    len: u32,
    /// Slots ever used.
    touched: u32,
    maximum: u32,
}

impl<T, A> Slab<T, A> {
    /// An empty slab for at most `maximum` entries. Allocates nothing yet.
    ///
    /// # Panics
    /// When `maximum` is `u32::MAX`: that many slots have no names.
    pub fn new(maximum: u32) -> Self {
        assert!(maximum < NONE);
        Self { chunks: Vec::new(), free: FreeSlots::default(), len: 0, touched: 0, maximum }
    }

    /// Entries held.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether [`Slab::insert`] would refuse.
    pub const fn is_full(&self) -> bool {
        self.len == self.maximum
    }

    /// The most entries it may hold.
    pub const fn maximum(&self) -> u32 {
        self.maximum
    }

    /// Puts `value` into a slot and names it; `None` (and the value dropped) when full.
    #[inline(always)]
    pub fn insert(&mut self, value: T) -> Option<u32> {
        if self.len == self.maximum {
            return None;
        }
        let Some(slot) = self.free.pop() else { return Some(self.insert_fresh(value)) };
        // Whoever puts in one mostly puts in more.
        if let Some(soon) = self.free.ahead(PREFETCHED_AHEAD) {
            self.prefetch(soon);
        }
        self.place_mut(slot)?.value = Some(value);
        self.len += 1;
        Some(slot)
    }

    /// As [`Slab::insert`] for a value that must know its slot and generation.
    pub fn insert_with(&mut self, make: impl FnOnce(u32, u32) -> T) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let slot = self.free.last().unwrap_or(self.touched);
        let value = make(slot, self.generation(slot));
        self.insert(value)
    }

    #[cold]
    fn insert_fresh(&mut self, value: T) -> u32 {
        let slot = self.touched;
        if slot & CHUNK_MASK == 0 {
            let left = (self.maximum - slot) as usize;
            self.chunks.push(Vec::with_capacity(left.min(CHUNK_SLOTS)));
        }
        self.chunks[(slot >> CHUNK_BITS) as usize].push(Slot {
            generation: 0,
            value: Some(value),
            _alignment: [],
        });
        self.touched += 1;
        self.len += 1;
        slot
    }

    /// The value in `slot`, if it holds one.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.place(slot)?.value.as_ref()
    }

    /// The value in `slot`, if it holds one.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.place_mut(slot)?.value.as_mut()
    }

    /// Takes the value out of `slot` and makes every handle with the slot's present generation stale.
    #[inline]
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.place_mut(slot)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        self.len -= 1;
        Some(value)
    }

    /// Has the memory of the value in `slot` fetched.
    #[inline]
    pub fn prefetch(&self, slot: u32) {
        if let Some(place) = self.place(slot) {
            prefetch(place);
            // Its end may be in the next line.
            prefetch(&place.generation);
        }
    }

    /// How often `slot` has been vacated; 0 for one never used. A handle made while this was another number is stale.
    #[inline]
    pub fn generation(&self, slot: u32) -> u32 {
        self.place(slot).map_or(0, |place| place.generation)
    }

    /// Every entry with its slot, by slot. Walks all slots ever used: for sweeps, not for hot paths.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.chunks
            .iter()
            .flatten()
            .zip(0u32..)
            .filter_map(|(place, slot)| place.value.as_ref().map(|value| (slot, value)))
    }

    #[inline]
    fn place(&self, slot: u32) -> Option<&Slot<T, A>> {
        self.chunks.get((slot >> CHUNK_BITS) as usize)?.get((slot & CHUNK_MASK) as usize)
    }

    #[inline]
    fn place_mut(&mut self, slot: u32) -> Option<&mut Slot<T, A>> {
        self.chunks.get_mut((slot >> CHUNK_BITS) as usize)?.get_mut((slot & CHUNK_MASK) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn is_bounded_and_reuses_the_last_freed_slot() {
        let mut slab: Slab<_> = Slab::new(3);
        assert_eq!([slab.insert('a'), slab.insert('b'), slab.insert('c')], [Some(0), Some(1), Some(2)]);
        assert!(slab.is_full());
        assert_eq!(slab.insert('d'), None);
        assert_eq!((slab.remove(0), slab.remove(2), slab.remove(2)), (Some('a'), Some('c'), None));
        assert_eq!([slab.insert('e'), slab.insert('f')], [Some(2), Some(0)]);
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(0, &'f'), (1, &'b'), (2, &'e')]);
        assert_eq!((slab.remove(3), slab.get(3), slab.get(u32::MAX)), (None, None, None));
    }

    #[test]
    fn growth_moves_nothing() {
        let mut slab: Slab<_> = Slab::new(3 * CHUNK_SLOTS as u32);
        let first = slab.insert(1u64).unwrap();
        let before: *const u64 = slab.get(first).unwrap();
        while slab.insert(2).is_some() {}
        let after: *const u64 = slab.get(first).unwrap();
        assert_eq!(before, after);
        assert_eq!(slab.len(), slab.maximum());
    }

    proptest! {
        /// Against a map from slot to value: contents, count and generations agree after any sequence of steps.
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..12), 1..200)) {
            let mut slab: Slab<_> = Slab::new(8);
            let mut model: HashMap<u32, usize> = HashMap::new();
            let mut vacated: HashMap<u32, u32> = HashMap::new();
            for (step, &(insert, slot)) in steps.iter().enumerate() {
                if insert {
                    match slab.insert(step) {
                        Some(slot) => prop_assert!(model.insert(slot, step).is_none()),
                        None => prop_assert_eq!(model.len(), 8),
                    }
                } else {
                    let removed = slab.remove(slot);
                    prop_assert_eq!(removed, model.remove(&slot));
                    *vacated.entry(slot).or_default() += u32::from(removed.is_some());
                }
                prop_assert_eq!(slab.len() as usize, model.len());
                for slot in 0..12 {
                    prop_assert_eq!(slab.get(slot), model.get(&slot));
                    prop_assert_eq!(slab.generation(slot), vacated.get(&slot).copied().unwrap_or(0));
                }
            }
        }
    }
}
