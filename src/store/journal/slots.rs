//! The index: 48 octets for each pending message, by slot. It says where the body is, on disk and perhaps in memory, and
//! holds the latest record, so that copying a message forward needs no second place on disk.

use std::collections::HashMap;

use super::entry::{BODY_BYTES_MAX, RECORD_BYTES, RecordBytes, SlotName, accepted_of, id_of, stage_of};
use super::packed::{ELSEWHERE, PACKED_BYTES, PackedRecord};

const CHUNK_BITS: u32 = 12;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const CHUNK_MASK: u32 = (CHUNK_SLOTS - 1) as u32;
/// Ends the list of free slots.
const NONE: u32 = u32::MAX;
/// Octets of a slot in a saved index: record 32, segment 4, place 6, generation 2.
pub(super) const SAVED_SLOT_BYTES: usize = PACKED_BYTES + 4 + 6 + 2;
/// Of a place in a slot: the offset in the segment, and above it the length of the body.
const OFFSET_BITS: u32 = 30;
/// The place of no body: the slot is free.
const FREE: [u8; 6] = [0xFF; 6];

const _: () = assert!(super::SEGMENT_BYTES_MAX as u64 <= 1 << OFFSET_BITS);
const _: () = assert!((BODY_BYTES_MAX as u64) < (1 << (48 - OFFSET_BITS)) - 1);

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
    pub(super) ring: u32,
}

/// Of a record, what a look at all messages wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gist {
    pub(super) id: u64,
    pub(super) stage: u8,
    /// Unix milliseconds.
    pub(super) accepted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    record: PackedRecord,
    /// In a free slot: the next free one.
    segment: u32,
    ring: u32,
    offset_and_length: [u8; 6],
    generation: u16,
}

const _: () = assert!(size_of::<Slot>() == 48);

impl Slot {
    const EMPTY: Self =
        Self { record: PackedRecord::NONE, segment: NONE, ring: 0, offset_and_length: FREE, generation: 0 };

    #[inline]
    fn is_free(&self) -> bool {
        self.offset_and_length == FREE
    }

    #[inline]
    fn place(&self) -> Place {
        let mut le = [0; 8];
        le[..6].copy_from_slice(&self.offset_and_length);
        let both = u64::from_le_bytes(le);
        Place {
            segment: self.segment,
            offset: (both & ((1 << OFFSET_BITS) - 1)) as u32,
            length: (both >> OFFSET_BITS) as u32,
            ring: self.ring,
        }
    }

    #[inline]
    fn set_place(&mut self, place: Place) {
        let both = u64::from(place.length) << OFFSET_BITS | u64::from(place.offset);
        (self.segment, self.ring) = (place.segment, place.ring);
        self.offset_and_length.copy_from_slice(&both.to_le_bytes()[..6]);
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
    /// Records that can't be packed, by slot.
    elsewhere: HashMap<u32, RecordBytes>,
}

impl Slots {
    /// No slots yet, at most `maximum`.
    pub(super) fn new(maximum: u32) -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            touched: 0,
            live: 0,
            maximum: maximum.min(NONE - 1),
            elsewhere: HashMap::new(),
        }
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
        let record = self.pack(slot, record);
        let held = self.at_mut(slot)?;
        let next = held.segment;
        held.offset_and_length = [0; 6];
        held.record = record;
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
    pub(super) fn record(&self, name: SlotName) -> Option<RecordBytes> {
        self.get(name).map(|held| self.unpack(name.slot, held))
    }

    /// The id of a message.
    #[inline]
    pub(super) fn id(&self, name: SlotName) -> Option<u64> {
        let held = self.get(name)?;
        Some(match held.record.stage() {
            ELSEWHERE => id_of(&self.unpack(name.slot, held)),
            _ => held.record.id(),
        })
    }

    /// Replaces the record of a message; the stage of the one before. `None` for a name that is no longer good.
    #[inline]
    pub(super) fn set_record(&mut self, name: SlotName, record: &RecordBytes) -> Option<u8> {
        let before = self.take_stage(name)?;
        let record = self.pack(name.slot, record);
        self.at_mut(name.slot)?.record = record;
        Some(before)
    }

    /// Frees a slot: where its body was, and the stage of its last record. `None` for a name that is no longer good.
    #[inline]
    pub(super) fn remove(&mut self, name: SlotName) -> Option<(Place, u8)> {
        let stage = self.take_stage(name)?;
        let free = self.free;
        let slot = self.at_mut(name.slot)?;
        let place = slot.place();
        slot.offset_and_length = FREE;
        slot.segment = free;
        slot.generation = slot.generation.wrapping_add(1);
        self.free = name.slot;
        self.live -= 1;
        Some((place, stage))
    }

    /// The stage of a record that is about to go.
    #[inline]
    fn take_stage(&mut self, name: SlotName) -> Option<u8> {
        match self.get(name)?.record.stage() {
            ELSEWHERE => self.elsewhere.remove(&name.slot).map(|record| stage_of(&record)),
            stage => Some(stage),
        }
    }

    #[inline]
    fn pack(&mut self, slot: u32, record: &RecordBytes) -> PackedRecord {
        PackedRecord::pack(record).unwrap_or_else(|| {
            self.elsewhere.insert(slot, *record);
            PackedRecord::elsewhere()
        })
    }

    #[inline]
    fn unpack(&self, slot: u32, held: &Slot) -> RecordBytes {
        match held.record.stage() {
            ELSEWHERE => self.elsewhere.get(&slot).copied().unwrap_or_else(|| held.record.unpack()),
            _ => held.record.unpack(),
        }
    }

    /// The message that a slot holds.
    pub(super) fn occupant(&self, slot: u32) -> Option<(SlotName, Place, RecordBytes)> {
        let held = self.at(slot).filter(|held| !held.is_free())?;
        Some((SlotName { slot, generation: held.generation }, held.place(), self.unpack(slot, held)))
    }

    /// Every message held, by slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotName, Place, Gist)> {
        self.chunks.iter().zip(0u32..).filter_map(|(chunk, index)| Some((chunk.as_deref()?, index))).flat_map(
            move |(chunk, index)| {
                chunk.iter().zip(index << CHUNK_BITS..).filter(|(slot, _)| !slot.is_free()).map(
                    move |(held, slot)| {
                        (SlotName { slot, generation: held.generation }, held.place(), self.gist(slot, held))
                    },
                )
            },
        )
    }

    #[inline]
    fn gist(&self, slot: u32, held: &Slot) -> Gist {
        match held.record.stage() {
            ELSEWHERE => {
                let record = self.unpack(slot, held);
                Gist { id: id_of(&record), stage: stage_of(&record), accepted: accepted_of(&record) }
            }
            stage => Gist { id: held.record.id(), stage, accepted: held.record.accepted() },
        }
    }

    /// Replay: the message `name` is at `place` with `record`, whatever was in its slot. False: there is no such slot.
    pub(super) fn replay_put(&mut self, name: SlotName, place: Place, record: &RecordBytes) -> bool {
        if name.slot >= self.maximum {
            return false;
        }
        self.grow(name.slot);
        self.touched = self.touched.max(name.slot + 1);
        if !self.elsewhere.is_empty() {
            self.elsewhere.remove(&name.slot);
        }
        let record = self.pack(name.slot, record);
        let Some(slot) = self.at_mut(name.slot) else { return false };
        let was_free = slot.is_free();
        slot.set_place(place);
        slot.generation = name.generation;
        slot.record = record;
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
            slot.offset_and_length = FREE;
            slot.generation = name.generation.wrapping_add(1);
            self.live -= 1;
            self.elsewhere.remove(&name.slot);
        }
    }

    /// The record of a message, if it says that the message is final.
    #[inline]
    pub(super) fn final_record(&self, name: SlotName) -> Option<RecordBytes> {
        let held = self.get(name)?;
        (held.record.stage() == ELSEWHERE || held.record.is_finished()).then(|| self.unpack(name.slot, held))
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

    /// Slots ever used.
    pub(super) const fn touched(&self) -> u32 {
        self.touched
    }

    /// Writes the slots from `first` on, at most `count`, as [`Slots::load`] reads them.
    pub(super) fn save(&self, first: u32, count: u32, out: &mut Vec<u8>) {
        let slots = first..self.touched.min(first.saturating_add(count));
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&(slots.len() as u32).to_le_bytes());
        for slot in slots.clone() {
            let held = self.at(slot).unwrap_or(&Slot::EMPTY);
            out.extend_from_slice(&held.record.to_bytes());
            out.extend_from_slice(&held.segment.to_le_bytes());
            out.extend_from_slice(&held.offset_and_length);
            out.extend_from_slice(&held.generation.to_le_bytes());
        }
        if !self.elsewhere.is_empty() {
            for slot in slots {
                if let Some(record) = self.elsewhere.get(&slot) {
                    out.extend_from_slice(&slot.to_le_bytes());
                    out.extend_from_slice(record);
                }
            }
        }
    }

    /// Reads what [`Slots::save`] has written, part by part in order. Each message's place and acceptance go to `check`.
    /// `None`: it is nothing of the kind, or `check` says so.
    pub(super) fn load(
        &mut self,
        part: &[u8],
        mut check: impl FnMut(Place, u64) -> Option<()>,
    ) -> Option<()> {
        let (first, rest) = part.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (first, count) = (u32::from_le_bytes(*first), u32::from_le_bytes(*count));
        if first != self.touched || count > self.maximum - self.touched {
            return None;
        }
        let (slots, elsewhere) = rest.split_at_checked(count as usize * SAVED_SLOT_BYTES)?;
        let mut awaited = 0;
        for saved in slots.chunks_exact(SAVED_SLOT_BYTES) {
            let (record, rest) = saved.split_first_chunk()?;
            let (segment, rest) = rest.split_first_chunk()?;
            let (offset_and_length, generation) = rest.split_first_chunk()?;
            let slot = self.touched;
            self.grow(slot);
            let held = Slot {
                record: PackedRecord::from_bytes(record),
                segment: u32::from_le_bytes(*segment),
                ring: 0,
                offset_and_length: *offset_and_length,
                generation: u16::from_le_bytes(*generation.first_chunk()?),
            };
            if !held.is_free() {
                self.live += 1;
                match held.record.stage() {
                    ELSEWHERE => awaited += 1,
                    _ => check(held.place(), held.record.accepted())?,
                }
            }
            *self.at_mut(slot)? = held;
            self.touched += 1;
        }
        // In order, and of just those slots that want one.
        let mut next = first;
        for saved in elsewhere.chunks(4 + RECORD_BYTES) {
            let (slot, record) = saved.split_first_chunk()?;
            let (slot, record) = (u32::from_le_bytes(*slot), record.first_chunk()?);
            let wants_one = |held: &&Slot| !held.is_free() && held.record.stage() == ELSEWHERE;
            let place = self.at(slot).filter(|held| slot >= next && wants_one(held))?.place();
            check(place, accepted_of(record))?;
            self.elsewhere.insert(slot, *record);
            (next, awaited) = (slot + 1, awaited - 1);
        }
        (awaited == 0).then_some(())
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
    fn at(&self, slot: u32) -> Option<&Slot> {
        let chunk = self.chunks.get((slot >> CHUNK_BITS) as usize)?.as_deref()?;
        chunk.get((slot & CHUNK_MASK) as usize)
    }

    #[inline]
    fn get(&self, name: SlotName) -> Option<&Slot> {
        let slot = self.at(name.slot)?;
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

    /// One that can be packed; it is accepted at the epoch.
    const RECORD: RecordBytes = [0; RECORD_BYTES];

    #[test]
    fn stale_names_reach_nothing() {
        let mut slots = Slots::new(2);
        let first = slots.insert(&RECORD).unwrap();
        let place = Place { segment: 1, offset: 2, length: BODY_BYTES_MAX as u32, ring: 9 };
        slots.set_place(first, place);
        assert_eq!(slots.place(first), Some(place));
        assert!(slots.insert(&RECORD).is_some() && slots.insert(&RECORD).is_none());
        assert_eq!(slots.remove(first), Some((place, 0)));
        assert_eq!((slots.remove(first), slots.place(first), slots.live()), (None, None, 1));
        let again = slots.insert(&RECORD).unwrap();
        assert_eq!((again.slot, again.generation), (first.slot, first.generation + 1));
        assert_eq!((slots.set_record(first, &RECORD), slots.record(again)), (None, Some(RECORD)));
    }

    #[test]
    fn a_record_that_can_not_be_packed_is_kept_all_the_same() {
        let odd = [0xEE; RECORD_BYTES];
        let mut slots = Slots::new(1);
        let name = slots.insert(&odd).unwrap();
        slots.set_place(name, Place { segment: 1, offset: 2, length: 3, ring: 0 });
        assert_eq!((slots.record(name), slots.id(name)), (Some(odd), Some(id_of(&odd))));
        let gist = Gist { id: id_of(&odd), stage: 0xEE, accepted: accepted_of(&odd) };
        assert_eq!(slots.iter().map(|(_, _, gist)| gist).collect::<Vec<_>>(), [gist]);
        assert_eq!((slots.set_record(name, &RECORD), slots.record(name)), (Some(0xEE), Some(RECORD)));
        assert_eq!(slots.set_record(name, &odd), Some(0));
        assert_eq!(slots.remove(name).map(|(_, stage)| stage), Some(0xEE));
        assert!(slots.elsewhere.is_empty());
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
