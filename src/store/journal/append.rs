//! The end of the log that grows: entries go into the open batch, and batches to the committer.

use std::sync::Arc;

use super::batch::Batch;
use super::disk::SegmentFile;
use super::entry::{BODY_BYTES_MAX, PUT_HEAD_BYTES, RecordBytes, SlotName, accepted_of, push_note, push_put};
use super::frame::{self, FRAME_ALIGN, HEADER_BYTES};
use super::message_store::name_of;
use super::segments::{RESERVE, Segment};
use super::slots::Place;
use super::{Failure, Journal, Link, batch_capacity, put_bytes};
use crate::store::{Durability, Location, Lsn};

impl<L: Link> Journal<L> {
    /// Whether a put of so many octets leaves the reserve alone.
    #[inline]
    fn has_disk_room(&self, len: usize) -> bool {
        let available = self.segments.available();
        if available != RESERVE {
            return available > RESERVE;
        }
        let frame = frame::padded(HEADER_BYTES + PUT_HEAD_BYTES + len) as u64;
        let (end, capacity) = match &self.open {
            Some(open) => (open.end_with(0), open.file.len()),
            None => {
                let current = self.segments.get(self.segments.current());
                (u64::from(self.next_offset), current.and_then(Segment::file).map_or(0, |file| file.len()))
            }
        };
        end + frame <= u64::from(capacity)
    }

    /// Whether a put of so many octets is taken in, as far as disk and memory go.
    #[inline]
    pub(super) fn takes(&self, len: usize) -> bool {
        self.has_disk_room(len)
            && self.segments.live_bytes() < self.live_bytes_max()
            && self.backlog_bytes < self.backlog_max()
            && len <= BODY_BYTES_MAX.min(self.settings.segment_bytes as usize / 4)
            && self.failure.is_none()
    }

    /// Whether the open batch is better filled further: nobody waits for it, and disk is too short for a page with
    /// next to nothing on it.
    pub(super) fn is_better_kept(&self, open: &Batch<L::File>) -> bool {
        let is_short = self.segments.available() <= RESERVE;
        is_short
            && !(open.wants_sync || open.wants_write || self.is_closed || self.segments.has_unannounced())
            && open.bytes.len() < FRAME_ALIGN * 7 / 8
    }

    /// Octets of live entries above which no message is taken in: segments full of pending messages could not be
    /// cleaned any more.
    fn live_bytes_max(&self) -> u64 {
        let usable = u64::from(self.settings.segments_max).saturating_sub(RESERVE as u64 + 1);
        usable * u64::from(self.settings.segment_bytes) / 4 * 3
    }

    /// Octets on their way to disk above which no message is taken in: the bodies must still be in the ring.
    pub(super) const fn backlog_max(&self) -> usize {
        (self.ring.bytes() / 2) as usize
    }

    /// The batch that takes `len` more octets, opened if need be. `None`: there is no room on disk.
    #[inline]
    pub(super) fn room(&mut self, len: usize) -> Option<&mut Batch<L::File>> {
        let fits = self.open.as_ref().is_some_and(|open| self.fits(open, len));
        if !fits {
            self.begin(len)?;
        }
        self.open.as_deref_mut()
    }

    #[inline]
    fn fits(&self, open: &Batch<L::File>, len: usize) -> bool {
        let capacity = u64::from(open.file.len());
        (open.bytes.len() + len <= self.settings.batch_bytes_max || open.entries == 0)
            && open.end_with(len) <= capacity
    }

    /// Opens a batch that takes `len` octets: the one that waits for the committer, or a new one behind it.
    #[cold]
    fn begin(&mut self, len: usize) -> Option<()> {
        if self.failure.is_some() {
            return None;
        }
        if self.open.is_some() {
            self.shut();
        } else if self.waiting.is_empty()
            && let Some(batch) = self.link.take_back()
        {
            if self.fits(&batch, len) && !batch.is_clean_stop {
                self.backlog_bytes -= frame::padded(batch.bytes.len());
                self.next_offset = batch.offset;
                self.open = Some(batch);
                return Some(());
            }
            if let Err(batch) = self.link.submit(batch) {
                self.waiting.push_back(batch);
            }
        }
        let needed = u64::from(self.next_offset) + frame::padded(HEADER_BYTES + len) as u64;
        let has_filled = self.segments.has_filled();
        let takes = |segment: &Segment<L::File>| {
            let has_room = segment.file().is_some_and(|file| needed <= u64::from(file.len()));
            // Each sync of a frame in blocks that were never written takes twice as long.
            has_room && (needed <= u64::from(segment.filled_to) || !has_filled)
        };
        if !self.segments.get(self.segments.current()).is_some_and(takes) {
            if !self.segments.roll_over() {
                self.failure = Some(Failure::NoRoom);
                return None;
            }
            self.next_offset = 0;
        }
        let current = self.segments.current();
        let file = Arc::clone(self.segments.get(current)?.file()?);
        let (offset, first_lsn) = (self.next_offset, self.lsn + 1);
        // More are under way than ever before if there is none; it stays.
        let spare = self.spare.pop();
        let mut batch =
            spare.unwrap_or_else(|| Box::new(Batch::new(Arc::clone(&file), batch_capacity(&self.settings))));
        batch.renew(file, current, offset, first_lsn, self.now);
        self.open = Some(batch);
        Some(())
    }

    /// Ends the open batch: it waits for the committer now.
    fn shut(&mut self) {
        let Some(mut batch) = self.open.take() else { return };
        batch.oldest = self.segments.oldest();
        self.segments.announced(batch.last_lsn());
        (self.last_frame, self.next_offset) = (batch.offset, batch.end_with(0) as u32);
        if let Some(segment) = self.segments.get_mut(batch.segment) {
            segment.end = self.next_offset;
            segment.last_lsn = batch.last_lsn();
        }
        self.backlog_bytes += frame::padded(batch.bytes.len());
        self.waiting.push_back(batch);
    }

    /// Hands over what waits, and the open batch if the committer takes it.
    pub(super) fn hand_over(&mut self) {
        loop {
            while let Some(batch) = self.waiting.pop_front() {
                if let Err(batch) = self.link.submit(batch) {
                    self.waiting.push_front(batch);
                    break;
                }
            }
            if !self.waiting.is_empty() {
                return;
            }
            match &self.open {
                // A batch that can't go yet is better filled further.
                Some(open) if open.entries > 0 && self.link.has_room() && !self.is_better_kept(open) => {
                    self.shut()
                }
                _ => return,
            }
        }
    }

    /// An entry that says nothing.
    pub(super) fn note(&mut self) {
        let lsn = self.lsn + 1;
        let Some(batch) = self.room(1) else { return };
        push_note(&mut batch.bytes);
        batch.entries += 1;
        debug_assert_eq!(batch.last_lsn(), lsn);
        self.lsn = lsn;
    }

    /// Appends a put of `name` and says where its body is.
    #[inline]
    pub(super) fn append_put(
        &mut self,
        name: SlotName,
        record: &RecordBytes,
        body: &[u8],
        wants: Option<Durability>,
    ) -> bool {
        let lsn = self.lsn + 1;
        let Some(batch) = self.room(PUT_HEAD_BYTES + body.len()) else { return false };
        push_put(&mut batch.bytes, name, record, body);
        batch.entries += 1;
        batch.puts += u32::from(wants.is_some());
        batch.wants_sync |= wants == Some(Durability::Sync);
        batch.wants_write |= wants == Some(Durability::Buffered);
        let offset = batch.offset + (batch.bytes.len() - body.len()) as u32;
        let segment = batch.segment;
        debug_assert_eq!(batch.last_lsn(), lsn);
        self.lsn = lsn;
        let place = Place { segment, offset, length: body.len() as u32, ring: self.ring.push(name, body) };
        self.slots.set_place(name, place);
        self.segments.add_live(segment, put_bytes(place.length), accepted_of(record));
        true
    }

    /// Lets go of a message with an entry of `len` octets, which `push` writes.
    #[inline]
    pub(super) fn let_go(
        &mut self,
        location: Location,
        durability: Durability,
        len: usize,
        push: impl FnOnce(&mut Vec<u8>, SlotName),
    ) -> Lsn {
        let name = name_of(location);
        let Some((place, stage)) = self.slots.remove(name) else { return Lsn(self.lsn) };
        self.tally.sub(stage);
        self.segments.remove_live(place.segment, put_bytes(place.length));
        let lsn = self.lsn + 1;
        if let Some(batch) = self.room(len) {
            push(&mut batch.bytes, name);
            batch.entries += 1;
            batch.wants_sync |= durability == Durability::Sync;
            batch.wants_write |= durability == Durability::Buffered;
            self.lsn = lsn;
        }
        Lsn(lsn)
    }
}
