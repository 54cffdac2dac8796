//! The journal as the message store of its shard.

use super::disk::read_full;
use super::entry::{
    END_BYTES, PUT_HEAD_BYTES, REMOVE_BYTES, SlotName, UPDATE_BYTES, body_of_put, push_end, push_remove,
    push_update,
};
use super::slots::Place;
use super::walk::Walk;
use super::{Damage, Journal, Link, put_bytes};
use crate::base::MessageId;
use crate::store::{Durability, Ended, Ending, Location, Lsn, MessageStore, Record, StoreFull, Stored};

impl<L: Link> MessageStore for Journal<L> {
    #[inline]
    fn put_as(&mut self, record: &Record, body: &[u8], durability: Durability) -> Result<Stored, StoreFull> {
        let has_room = self.takes(body.len());
        let bytes = self.settings.accounts.encode(record);
        let name = if has_room { self.slots.insert(&bytes) } else { None };
        let Some(name) = name else {
            self.tally.refused += 1;
            return Err(StoreFull);
        };
        if !self.append_put(name, &bytes, body, Some(durability)) {
            self.slots.remove(name);
            return Err(StoreFull);
        }
        self.tally.add(record.stage);
        Ok(Stored { location: location_of(name), lsn: Lsn(self.lsn) })
    }

    #[inline]
    fn body(&mut self, location: Location) -> Option<&[u8]> {
        let name = name_of(location);
        let place = self.slots.place(name)?;
        // Looked up twice because a result of the first look would be borrowed to the end of the function.
        if self.ring.get(place.ring, name, place.length).is_some() {
            return self.ring.get(place.ring, name, place.length);
        }
        self.read_back(name, place)
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn record(&self, location: Location) -> Option<Record> {
        self.slots.record(name_of(location)).map(|bytes| self.settings.accounts.decode(&bytes))
    }

    fn id(&self, location: Location) -> Option<MessageId> {
        self.slots.id(name_of(location)).map(MessageId::from_u64)
    }

    #[inline]
    fn update_as(&mut self, location: Location, record: &Record, durability: Durability) -> Lsn {
        let (name, bytes) = (name_of(location), self.settings.accounts.encode(record));
        let Some(before) = self.slots.set_record(name, &bytes) else { return Lsn(self.lsn) };
        self.tally.sub(before);
        self.tally.add(record.stage);
        let lsn = self.lsn + 1;
        if let Some(batch) = self.room(UPDATE_BYTES) {
            push_update(&mut batch.bytes, name, &bytes);
            batch.entries += 1;
            batch.wants_sync |= durability == Durability::Sync;
            batch.wants_write |= durability == Durability::Buffered;
            self.lsn = lsn;
        }
        Lsn(lsn)
    }

    /// A put of the same name, which replay takes in place of the one before.
    fn replace_as(
        &mut self,
        location: Location,
        record: &Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull> {
        let (name, bytes) = (name_of(location), self.settings.accounts.encode(record));
        let place = self.slots.place(name).ok_or(StoreFull)?;
        if !self.takes(body.len()) || !self.append_put(name, &bytes, body, Some(durability)) {
            self.tally.refused += 1;
            return Err(StoreFull);
        }
        if let Some(before) = self.slots.set_record(name, &bytes) {
            self.tally.sub(before);
            self.tally.add(record.stage);
        }
        self.segments.remove_live(place.segment, put_bytes(place.length));
        let lsn = self.lsn;
        if let Some(segment) = self.segments.get_mut(place.segment) {
            // As for a copy: the old one is needed until this is on disk.
            segment.copied_lsn = lsn;
        }
        Ok(Stored { location, lsn: Lsn(lsn) })
    }

    #[inline]
    fn remove_as(&mut self, location: Location, durability: Durability) -> Lsn {
        self.let_go(location, durability, REMOVE_BYTES, push_remove)
    }

    #[inline]
    fn end_as(&mut self, location: Location, ending: &Ending, durability: Durability) -> Lsn {
        self.let_go(location, durability, END_BYTES, |out, name| push_end(out, name, ending))
    }

    fn durability(&self) -> Durability {
        self.settings.durability
    }

    #[inline]
    fn lsn_at(&self, durability: Durability) -> Lsn {
        Lsn(match durability {
            Durability::None => self.lsn,
            Durability::Buffered => self.written,
            Durability::Sync => self.synced,
        })
    }

    fn commit(&mut self) {
        self.heed_failure();
        if self.failure.is_some() {
            return;
        }
        self.keep_files();
        // Nothing is to come behind the mark of an orderly end.
        if !self.is_closed {
            self.clean();
            self.ask_for_turn();
            if self.segments.has_unannounced() && self.open.is_none() {
                self.note();
            }
        }
        self.hand_over();
        if !self.is_flushed() {
            self.progress.want_wake();
            // The committer may have made room before it could see that.
            self.hand_over();
        }
    }

    fn recovered_count(&self) -> u32 {
        self.slots.live()
    }

    fn recovered_ending(&mut self) -> Option<Ended> {
        self.endings.take(&self.settings.accounts)
    }

    fn recovered(&mut self) -> Option<(Location, Record, &[u8])> {
        let walk = self.walk.get_or_insert_with(|| Walk::new(&self.slots));
        if walk.is_over() {
            // It stays over, and lets go of its memory.
            *walk = Walk::default();
            return None;
        }
        walk.next(&self.slots, &self.segments, &self.settings.accounts)
    }
}

impl<L: Link> Journal<L> {
    /// Reads a body from disk. `None`: what is there is not what was written; that is counted and told.
    fn read_back(&mut self, name: SlotName, place: Place) -> Option<&[u8]> {
        self.tally.disk_reads += 1;
        let segment = self.segments.get(place.segment)?;
        let (number, file) = (segment.number(), segment.file()?);
        self.scratch.resize(PUT_HEAD_BYTES + place.length as usize, 0);
        let offset = place.offset.checked_sub(PUT_HEAD_BYTES as u32)?;
        let read = read_full(&**file, &mut self.scratch, offset).unwrap_or(0);
        let body = self.scratch.get(..read).and_then(|entry| body_of_put(entry, name));
        if body.is_none_or(|body| body.len() != place.length as usize) {
            self.tally.damaged_reads += 1;
            self.damage = Some(Damage { file: number, segment: place.segment, offset, lost_entries: 1 });
            return None;
        }
        body
    }
}

#[inline]
pub(super) const fn location_of(name: SlotName) -> Location {
    Location(name.slot as u64 | (name.generation as u64) << 32)
}

#[inline]
pub(super) const fn name_of(location: Location) -> SlotName {
    SlotName { slot: location.0 as u32, generation: (location.0 >> 32) as u16 }
}
