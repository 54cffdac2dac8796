//! Replay: the frames of the segments in use are applied in log order, each held against where the log stands. What is
//! missing, and had been synced, is damage; where what had not is missing, the log ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::disk::{Disk, SegmentFile};
use super::endings::Endings;
use super::entry::{Entries, Entry};
use super::frame::{self, HEADER_BYTES, Header};
use super::image::{Found, Image, frames_anywhere};
use super::recovery::OpenError;
use super::report::{Damage, RecoveryReport};
use super::segments::{Segment, Spare};
use super::slots::{Place, Slots};
use super::torn_end::Discarded;

/// Consecutive segments that may be missing. More: this is no store of ours.
const MISSING_MAX: u32 = 65_536;

/// Replay in progress.
pub(super) struct Replay<F> {
    pub(super) slots: Slots,
    /// The next entry's number, once there was one.
    pub(super) expected: Option<u64>,
    /// Everything up to this entry was synced.
    pub(super) synced: u64,
    pub(super) report: RecoveryReport,
    /// Frames that could be read and do not count.
    pub(super) discarded: Discarded<F>,
    /// What became of messages that have ended.
    pub(super) endings: Endings,
}

impl<F: SegmentFile> Replay<F> {
    /// Replays the segments that are needed, while those after are read and checked.
    pub(super) fn run<D: Disk<File = F>>(
        &mut self,
        oldest: u32,
        live: &[Found<F>],
        in_use: &mut VecDeque<Option<Segment<F>>>,
        spares: &mut VecDeque<Spare<F>>,
    ) -> Result<(), OpenError> {
        let (read, images) = sync_channel(0);
        let (done, free) = channel::<Image>();
        let read_ahead = move || {
            for one in live {
                let mut image = free.try_recv().unwrap_or_default();
                image.read(one);
                if read.send(image).is_err() {
                    return;
                }
            }
        };
        let mut result = Ok(());
        D::side_by_side(read_ahead, || {
            result = self.replay(oldest, live, images, &done, in_use, spares);
        });
        result
    }

    /// Replays the images of these segments.
    fn replay(
        &mut self,
        oldest: u32,
        live: &[Found<F>],
        images: Receiver<Image>,
        done: &Sender<Image>,
        in_use: &mut VecDeque<Option<Segment<F>>>,
        spares: &mut VecDeque<Spare<F>>,
    ) -> Result<(), OpenError> {
        let mut next = oldest;
        let mut has_ended = false;
        for (one, image) in live.iter().zip(images) {
            if has_ended || self.discarded.are_known(&image.frames) {
                // Behind the torn end: nothing in it counts. The next segment of the log may get the same number.
                self.discard_all(oldest, one, &image);
                let (number, file) = (one.number, Arc::clone(&one.file));
                spares.push_back(Spare { number, file, is_filled: true });
                continue;
            }
            if one.segment - next > MISSING_MAX {
                let last = one.segment - 1;
                return Err(OpenError::NotOurs(format!("segments {next} to {last} are missing")));
            }
            for segment in next..one.segment {
                let damage = Damage { file: one.number, segment, offset: 0, lost_entries: 0 };
                self.report.add(damage);
                in_use.push_back(None);
            }
            next = one.segment + 1;
            let (segment, ended) = self.read(one, &image);
            has_ended = ended;
            in_use.push_back(Some(segment));
            // Its memory serves for the next one but one.
            drop(done.send(image));
        }
        Ok(())
    }

    /// The last frame of the newest segment, which knows most. Behind it may lie what a recovery has discarded.
    pub(super) fn last_frame(&mut self, newest: &Image) -> Header {
        let frames = newest.frames.iter().map(|(_, header)| *header);
        let last = frames.max_by_key(|header| header.first_lsn).unwrap_or_default();
        self.synced = last.synced_lsn;
        self.report.is_clean_stop = last.is_clean_stop;
        last
    }

    /// Replays a segment. True: the log ends in it, before its last readable frame.
    fn read(&mut self, found: &Found<F>, image: &Image) -> (Segment<F>, bool) {
        self.report.segments += 1;
        self.report.bytes += image.bytes.len() as u64;
        let mut segment = Segment::new(found.number, Arc::clone(&found.file));
        let mut has_ended = false;
        for &(offset, header) in &image.frames {
            let payload = image.payload(offset, &header);
            // Up to its first entry the log should be whole, but for what a recovery has left out.
            let whole_to = if header.is_after_torn_end { header.synced_lsn + 1 } else { header.first_lsn };
            let expected = self.expected.unwrap_or(whole_to);
            let is_torn = whole_to > expected && expected > self.synced;
            // A file whose first frame an earlier recovery has discarded, and which came into use again before the others were.
            let is_left_over = whole_to < expected && header.next_lsn() <= expected;
            if has_ended || is_torn || is_left_over || self.discarded.is_known(&header) {
                has_ended |= is_torn;
                self.discarded.push(&found.file, offset, &header);
                self.report.is_clean_stop = false;
                continue;
            }
            let damage = |lost_entries| Damage {
                file: found.number,
                segment: found.segment,
                offset: segment.end,
                lost_entries,
            };
            if whole_to < expected {
                // No run writes that; it is nobody's.
                segment.is_damaged = true;
                self.report.add(damage(0));
                continue;
            }
            if whole_to > expected {
                segment.is_damaged = true;
                self.report.add(damage(whole_to - expected));
            } else if self.expected.is_none() && offset > 0 {
                // The oldest segment lacks its beginning; how much was in it nobody knows.
                segment.is_damaged = true;
                self.report.add(damage(1));
            }
            let mut entries = Entries::new(payload);
            let mut count = 0;
            for entry in entries.by_ref() {
                count += 1;
                self.apply(entry, found.segment, offset + HEADER_BYTES as u32);
            }
            if count != header.entries || !entries.is_clean() {
                segment.is_damaged = true;
                self.report.add(damage(u64::from(header.entries.saturating_sub(count))));
            }
            if header.is_after_torn_end {
                self.discarded.up_to(header.first_lsn);
            }
            self.report.frames += 1;
            self.expected = Some(header.next_lsn());
            segment.end = offset + frame::padded(HEADER_BYTES + payload.len()) as u32;
        }
        let rest = image.bytes.get(segment.end as usize..).unwrap_or_default();
        let torn = frame::peek(rest, found.store_id, segment.end);
        if torn.is_some_and(|header| header.segment == found.segment) {
            self.report.torn_tail = Some((found.number, segment.end));
        } else if !self.discarded.is_empty() {
            self.report.torn_tail.get_or_insert((found.number, segment.end));
        }
        (segment, has_ended)
    }

    /// Discards what a file holds, frames of other segments that count as well: without its own it would pass for one of
    /// them.
    pub(super) fn discard_all(&mut self, oldest: u32, found: &Found<F>, image: &Image) {
        for (offset, header) in frames_anywhere(&image.bytes, found.store_id) {
            if header.segment >= oldest {
                self.discarded.push(&found.file, offset, &header);
            }
        }
    }

    #[inline]
    fn apply(&mut self, entry: Entry<'_>, segment: u32, payload_offset: u32) {
        match entry {
            Entry::Put { name, record, body: (start, length) } => {
                let place = Place { segment, offset: payload_offset + start, length, ring: 0 };
                if !self.slots.replay_put(name, place, record) {
                    // The index is sized by the configuration, which opening checks against the store's.
                    self.report.add(Damage { file: 0, segment, offset: place.offset, lost_entries: 1 });
                }
            }
            Entry::Update { name, record } => {
                self.slots.set_record(name, record);
            }
            Entry::Remove { name } => {
                if self.endings.is_wanted()
                    && let Some(record) = self.slots.final_record(name)
                {
                    self.endings.push_of(&record, None);
                }
                self.slots.replay_remove(name);
            }
            Entry::End { name, ending } => {
                if self.endings.is_wanted()
                    && let Some(record) = self.slots.record(name)
                {
                    self.endings.push_of(&record, Some(ending));
                }
                self.slots.replay_remove(name);
            }
            Entry::Note => {}
        }
    }
}
