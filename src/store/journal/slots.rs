//! The index: one cache line for each pending message, by slot. It says where the body is, on disk and perhaps in
//! memory, and holds the latest record, so that copying a message forward needs no second place on disk.

use super::entry::{RECORD_BYTES, RecordBytes, SlotName};

const CHUNK_BITS: u32 = 12;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const CHUNK_MASK: u32 = (CHUNK_SLOTS - 1) as u32;
/// Ends the list of free slots.
const NONE: u32 = u32::MAX;
/// The length of no body: the slot is free.
const FREE: [u8; 3] = [0xFF; 3];

/// Where a message's body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment of its put.
    pub(super) segment: u32,
    /// Octets from the segment's start to the body.
    pub(super) offset: u32,
    /// Octets of the body.
    pub(super) length: u32,
    /// Its place in the ring of young bodies, which tells whether it still has it.
    pub(super) ring: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// In a free slot: the next free one.
    segment: u32,
    offset: u32,
    ring_low: u32,
    ring_high: u16,
    generation: u16,
    length: [u8; 3],
    record: RecordBytes,
}

const _: () = assert!(size_of::<Slot>() <= 64);

impl Slot {
    const EMPTY: Self = Self {
        segment: NONE,
        offset: 0,
        ring_low: 0,
        ring_high: 0,
        generation: 0,
        length: FREE,
        record: [0; RECORD_BYTES],
    };

    #[inline]
    fn is_free(&self) -> bool {
        self.length == FREE
    }

    #[inline]
    fn place(&self) -> Place {
        Place {
            segment: self.segment,
            offset: self.offset,
            length: u32::from_le_bytes([self.length[0], self.length[1], self.length[2], 0]),
            ring: u64::from(self.ring_low) | u64::from(self.ring_high) << 32,
        }
    }

    #[inline]
    fn set_place(&mut self, place: Place) {
        let length = place.length.to_le_bytes();
        self.segment = place.segment;
        self.offset = place.offset;
        (self.ring_low, self.ring_high) = (place.ring as u32, (place.ring >> 32) as u16);
        self.length = [length[0], length[1], length[2]];
    }
}

/// The slots of all pending messages.
#[derive(Debug)]
pub(super) struct Slots {
    chunks: Vec<Option<Box<[Slot]>>>,
    free: u32,
    /// Slots below this have been used.
    touched: u32,
    live: u32,
    maximum: u32,
}

impl Slots {
    /// No slots yet, at most `maximum`.
    pub(super) fn new(maximum: u32) -> Self {
        Self { chunks: Vec::new(), free: NONE, touched: 0, live: 0, maximum: maximum.min(NONE - 1) }
    }

    /// Messages held.
    pub(super) const fn live(&self) -> u32 {
        self.live
    }

    /// Octets of memory taken.
    pub(super) fn bytes(&self) -> u64 {
        (self.chunks.iter().flatten().count() * CHUNK_SLOTS * size_of::<Slot>()) as u64
    }

    /// Takes a slot for a message; `None` when full. The slot that was freed last, for it is the warmest.
    #[inline]
    pub(super) fn insert(&mut self, record: &RecordBytes) -> Option<SlotName> {
        let slot = if self.free != NONE {
            self.free
        } else if self.touched < self.maximum {
            self.grow(self.touched);
            self.touched
        } else {
            return None;
        };
        let from_list = slot == self.free;
        let held = self.at_mut(slot)?;
        let next = held.segment;
        held.length = [0; 3];
        held.record = *record;
        let generation = held.generation;
        if from_list {
            self.free = next;
        } else {
            self.touched += 1;
        }
        self.live += 1;
        Some(SlotName { slot, generation })
    }

    /// Where the body of a message is; `None` for a name that is no longer good.
    #[inline]
    pub(super) fn place(&self, name: SlotName) -> Option<Place> {
        self.get(name).map(Slot::place)
    }

    /// Says where the body of a message is.
    #[inline]
    pub(super) fn set_place(&mut self, name: SlotName, place: Place) {
        if let Some(slot) = self.get_mut(name) {
            slot.set_place(place);
        }
    }

    /// The latest record of a message.
    #[inline]
    pub(super) fn record(&self, name: SlotName) -> Option<&RecordBytes> {
        self.get(name).map(|slot| &slot.record)
    }

    /// Replaces the record of a message; the one before. `None` for a name that is no longer good.
    #[inline]
    pub(super) fn set_record(&mut self, name: SlotName, record: &RecordBytes) -> Option<RecordBytes> {
        self.get_mut(name).map(|slot| std::mem::replace(&mut slot.record, *record))
    }

    /// Frees a slot: where its body was, and its last record. `None` for a name that is no longer good.
    #[inline]
    pub(super) fn remove(&mut self, name: SlotName) -> Option<(Place, RecordBytes)> {
        let free = self.free;
        let slot = self.get_mut(name)?;
        let held = (slot.place(), slot.record);
        slot.length = FREE;
        slot.segment = free;
        slot.generation = slot.generation.wrapping_add(1);
        self.free = name.slot;
        self.live -= 1;
        Some(held)
    }

    /// Every message held, by slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotName, Place, &RecordBytes)> {
        self.chunks.iter().zip(0u32..).filter_map(|(chunk, index)| Some((chunk.as_deref()?, index))).flat_map(
            |(chunk, index)| {
                chunk.iter().zip(index << CHUNK_BITS..).filter(|(slot, _)| !slot.is_free()).map(
                    |(held, slot)| {
                        (SlotName { slot, generation: held.generation }, held.place(), &held.record)
                    },
                )
            },
        )
    }

    /// Replay: the message `name` is at `place` with `record`, whatever was in its slot. False: there is no such slot.
    pub(super) fn replay_put(&mut self, name: SlotName, place: Place, record: &RecordBytes) -> bool {
        if name.slot >= self.maximum {
            return false;
        }
        self.grow(name.slot);
        self.touched = self.touched.max(name.slot + 1);
        let Some(slot) = self.at_mut(name.slot) else { return false };
        let was_free = slot.is_free();
        slot.set_place(place);
        slot.generation = name.generation;
        slot.record = *record;
        self.live += u32::from(was_free);
        true
    }

    /// Replay: the message `name` has ended. Nothing happens if it is not there, except that its slot is known to
    /// have had it.
    pub(super) fn replay_remove(&mut self, name: SlotName) {
        if name.slot >= self.maximum {
            return;
        }
        self.grow(name.slot);
        self.touched = self.touched.max(name.slot + 1);
        let Some(slot) = self.at_mut(name.slot) else { return };
        if slot.is_free() {
            // Later than any tenancy that the log still shows.
            slot.generation = name.generation.wrapping_add(1);
        } else if slot.generation == name.generation {
            slot.length = FREE;
            slot.generation = name.generation.wrapping_add(1);
            self.live -= 1;
        }
    }

    /// After replay: links the free slots, the lowest first in line.
    pub(super) fn link_free(&mut self) {
        self.free = NONE;
        for slot in (0..self.touched).rev() {
            self.grow(slot);
            let free = self.free;
            if let Some(held) = self.at_mut(slot).filter(|held| held.is_free()) {
                held.segment = free;
                self.free = slot;
            }
        }
    }

    fn grow(&mut self, slot: u32) {
        let index = (slot >> CHUNK_BITS) as usize;
        if index >= self.chunks.len() {
            self.chunks.resize_with(index + 1, || None);
        }
        if let Some(chunk @ None) = self.chunks.get_mut(index) {
            *chunk = Some(vec![Slot::EMPTY; CHUNK_SLOTS].into_boxed_slice());
        }
    }

    #[inline]
    fn get(&self, name: SlotName) -> Option<&Slot> {
        let chunk = self.chunks.get((name.slot >> CHUNK_BITS) as usize)?.as_deref()?;
        let slot = chunk.get((name.slot & CHUNK_MASK) as usize)?;
        (slot.generation == name.generation && !slot.is_free()).then_some(slot)
    }

    #[inline]
    fn get_mut(&mut self, name: SlotName) -> Option<&mut Slot> {
        let slot = self.at_mut(name.slot)?;
        (slot.generation == name.generation && !slot.is_free()).then_some(slot)
    }

    #[inline]
    fn at_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        let chunk = self.chunks.get_mut((slot >> CHUNK_BITS) as usize)?.as_deref_mut()?;
        chunk.get_mut((slot & CHUNK_MASK) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: RecordBytes = [5; RECORD_BYTES];

    #[test]
    fn stale_names_reach_nothing() {
        let mut slots = Slots::new(2);
        let first = slots.insert(&RECORD).unwrap();
        let place = Place { segment: 1, offset: 2, length: 3, ring: 1 << 40 | 9 };
        slots.set_place(first, place);
        assert_eq!(slots.place(first), Some(place));
        assert!(slots.insert(&RECORD).is_some() && slots.insert(&RECORD).is_none());
        assert_eq!(slots.remove(first), Some((place, RECORD)));
        assert_eq!((slots.remove(first), slots.place(first), slots.live()), (None, None, 1));
        let again = slots.insert(&RECORD).unwrap();
        assert_eq!((again.slot, again.generation), (first.slot, first.generation + 1));
        assert_eq!((slots.set_record(first, &RECORD), slots.record(again)), (None, Some(&RECORD)));
    }

    #[test]
    fn replay_rebuilds_what_was_there() {
        let mut slots = Slots::new(20_000);
        let name = |slot, generation| SlotName { slot, generation };
        let place = Place { segment: 7, offset: 64, length: 0, ring: 0 };
        assert!(slots.replay_put(name(3, 4), place, &RECORD));
        assert!(slots.replay_put(name(9_000, 0), place, &RECORD));
        assert!(!slots.replay_put(name(20_000, 0), place, &RECORD));
        slots.replay_remove(name(3, 3));
        assert_eq!(slots.live(), 2, "an older tenancy's end does not touch the present one");
        slots.replay_remove(name(3, 4));
        slots.replay_remove(name(5, 8));
        slots.link_free();
        assert_eq!(slots.iter().map(|(name, ..)| name).collect::<Vec<_>>(), [name(9_000, 0)]);
        let taken: Vec<_> = (0..6).map(|_| slots.insert(&RECORD).unwrap()).collect();
        assert_eq!(taken[3], name(3, 5));
        assert_eq!(taken[5], name(5, 9));
    }
}
