//! Copying forward: what is still pending in the oldest segment is entered again, a little at each commit, until the
//! segment holds nothing and its file can be used again.
//!
//! The segment is read in order by the keeper, and every message in it is looked up in the index: it is pending if the
//! index says that it is exactly there. That needs no list of what a segment holds, and no memory for one.
//!
//! When nothing has been entered for a while more is done than must be: what is left in segments that are mostly dead goes
//! into few, and files that nobody is going to need soon go back to the file system, at a rate that a disk hardly notices.

use super::entry::{Entries, Entry};
use super::frame::{self, HEADER_BYTES};
use super::segments::{RESERVE, SPARES};
use super::{Failure, Journal, Link, Request};
use crate::base::Time;

/// Octets read at once; more than any frame.
const READ_BYTES: usize = 1 << 20;
const FRAME_BYTES_MAX: usize = frame::padded(HEADER_BYTES + frame::PAYLOAD_BYTES_MAX);
/// Octets looked through at a commit, beyond twice what was entered since the last one.
const STEP_BYTES: usize = 64 * 1024;
/// Segments for each that would be full of pending messages, before the oldest is emptied. So where messages that stay are
/// passed by others, half an octet at most is copied for each that is entered.
const SEGMENTS_TO_LIVE: u64 = 3;
/// As many again up to these octets: then it is a fifth. No more of them, for recovery reads them all.
const MORE_BYTES_MAX: u64 = 512 << 20;
/// Octets looked through at a commit when nothing else is to do.
const IDLE_STEP_BYTES: usize = READ_BYTES;
/// How long nothing must have been entered for that.
const IDLE_AFTER_MS: u64 = 1_000;
/// Between two steps then: at most some 100 MB/s are read.
const IDLE_REST_MS: u64 = 10;

/// Where it stands.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    /// The segment that is looked through.
    segment: Option<u32>,
    /// Octets from the segment's start to the part in memory.
    base: u32,
    /// The part in memory, if it is here and not with the keeper.
    buffer: Option<Vec<u8>>,
    asked: bool,
    /// Octets of the part that are done.
    at: usize,
    /// The last entry at the last step, those that it has made included.
    lsn: u64,
    /// When something else was entered last.
    busy_at: Time,
    /// Until then somebody sees to it that there is another turn.
    wake_at: Time,
}

impl Cleaner {
    /// The part that was asked for.
    pub(super) fn take(&mut self, buffer: Vec<u8>) {
        self.asked = false;
        self.at = 0;
        self.buffer = Some(buffer);
    }
}

impl<L: Link> Journal<L> {
    /// One step of copying forward, if the oldest segment is to go.
    pub(super) fn clean(&mut self) {
        let entered = self.lsn - self.cleaner.lsn;
        self.cleaner.lsn = self.lsn;
        if entered > 0 {
            self.cleaner.busy_at = self.now;
        }
        if self.cleaner.asked || self.backlog_bytes > self.backlog_max() / 2 {
            return;
        }
        let oldest = self.segments.oldest();
        if self.cleaner.segment != Some(oldest) {
            // The one before may have emptied by itself.
            self.cleaner.segment = None;
            if !self.is_cleaning_due() {
                return;
            }
            self.cleaner.segment = Some(oldest);
            self.cleaner.base = 0;
            self.cleaner.at = 0;
            self.read_part(0);
            return;
        }
        let Some(buffer) = self.cleaner.buffer.take() else { return };
        // An entry is at most a few hundred octets, as a rule.
        let step = if self.is_idle() { IDLE_STEP_BYTES } else { STEP_BYTES };
        let budget = step + (entered as usize).saturating_mul(512).min(READ_BYTES);
        let before = self.lsn;
        self.copy_live(oldest, &buffer, budget);
        self.cleaner.lsn = self.lsn;
        if self.lsn > before
            && self.segments.available() <= RESERVE
            && let Some(open) = &mut self.open
        {
            // Room is short: the copies are not to wait for somebody else's sync.
            open.wants_sync = true;
        }
        if !self.cleaner.asked {
            self.cleaner.buffer = Some(buffer);
        }
    }

    /// Whether nothing was entered for a while.
    pub(super) fn is_idle(&self) -> bool {
        self.now >= self.cleaner.busy_at.plus_millis(IDLE_AFTER_MS)
    }

    /// Whether there is something to do for which nothing else may wake this up.
    pub(super) fn has_idle_work(&self) -> bool {
        self.cleaner.segment.is_some() || self.is_mostly_dead() || self.segments.available() > SPARES
    }

    /// Sees to it that there is a turn for what is to be done without anything to do.
    pub(super) fn ask_for_turn(&mut self) {
        if self.now < self.cleaner.wake_at || !self.has_idle_work() {
            return;
        }
        let after_ms = if self.is_idle() { IDLE_REST_MS } else { IDLE_AFTER_MS };
        self.cleaner.wake_at = self.now.plus_millis(after_ms);
        self.link.ask(Request::Wake { after_ms });
    }

    /// Whether what is live would fit into less than half of the segments, the current one and one more aside, and there
    /// is no want of files to put it into.
    fn is_mostly_dead(&self) -> bool {
        let needed = 2 + (2 * self.segments.live_bytes()).div_ceil(u64::from(self.settings.segment_bytes));
        let oldest = self.segments.get(self.segments.oldest());
        self.segments.in_use() as u64 > needed
            && self.segments.available() > RESERVE
            && oldest.is_some_and(|oldest| oldest.live > 0)
    }

    /// Whether the oldest segment is to be emptied: there are many more than the pending messages need, or the disk
    /// has no more room. Never the current one.
    fn is_cleaning_due(&self) -> bool {
        let in_use = self.segments.in_use() as u64;
        let oldest = self.segments.oldest();
        let is_ready =
            |segment: &super::segments::Segment<_>| segment.live > 0 && segment.last_lsn <= self.written;
        if in_use < 3 || !self.segments.get(oldest).is_some_and(is_ready) {
            return false;
        }
        let segment_bytes = u64::from(self.settings.segment_bytes);
        let live_bytes = self.segments.live_bytes();
        let is_short = self.segments.available() <= RESERVE;
        if is_short && self.segments.retired() > 0 {
            // The file of the one before is about to come free; copies of the next one might take the last that is left.
            return false;
        }
        let to_live = SEGMENTS_TO_LIVE * live_bytes.div_ceil(segment_bytes);
        let wanted = (to_live + to_live.min(MORE_BYTES_MAX / segment_bytes))
            // A quarter of what the disk may be used for is left when it begins.
            .min(u64::from(self.settings.segments_max) / 4 * 3)
            .max(self.settings.segments_kept.into());
        // Copying what is nearly all live gains nothing.
        in_use > wanted
            || (self.is_idle() && self.is_mostly_dead())
            || (is_short && live_bytes < (in_use - 1) * segment_bytes / 10 * 9)
    }

    /// Asks for the part of the segment that begins at `base`.
    fn read_part(&mut self, base: u32) {
        let segment = self.cleaner.segment.and_then(|segment| self.segments.get(segment));
        let Some((segment, file)) = segment.and_then(|segment| Some((segment, segment.file()?))) else {
            return;
        };
        let file = std::sync::Arc::clone(file);
        let mut buffer = self.cleaner.buffer.take().unwrap_or_default();
        buffer.resize(READ_BYTES.min((segment.end.saturating_sub(base)) as usize), 0);
        self.cleaner.base = base;
        self.cleaner.asked = true;
        self.link.ask(Request::Read { file, offset: base, buffer });
    }

    /// Looks through at most `budget` octets of the part in memory.
    fn copy_live(&mut self, oldest: u32, buffer: &[u8], mut budget: usize) {
        while budget > 0 {
            let Some(segment) = self.segments.get(oldest) else { return };
            let offset = self.cleaner.base + self.cleaner.at as u32;
            if segment.live == 0 {
                self.cleaner.segment = None;
                return;
            }
            let rest = buffer.get(self.cleaner.at..).unwrap_or_default();
            let (file, is_damaged, end) = (segment.number(), segment.is_damaged, segment.end);
            let Some((header, payload)) = frame::parse(rest, self.settings.store_id, offset) else {
                let is_cut =
                    self.cleaner.at > 0 && rest.len() < FRAME_BYTES_MAX && offset + (rest.len() as u32) < end;
                if is_cut {
                    // The frame goes on behind the part.
                    return self.read_part(offset);
                }
                if is_damaged && offset < end {
                    // Recovery has passed it over and said so; nothing in the index points to it.
                    self.cleaner.at += frame::FRAME_ALIGN;
                    budget = budget.saturating_sub(frame::FRAME_ALIGN);
                    continue;
                }
                self.failure = Some(Failure::Unreadable { file, offset });
                return;
            };
            let payload_start = offset + HEADER_BYTES as u32;
            for entry in Entries::new(payload) {
                let Entry::Put { name, body: (start, length), .. } = entry else { continue };
                let Some(place) = self.slots.place(name) else { continue };
                if place.segment != oldest || place.offset != payload_start + start {
                    continue;
                }
                let (Some(record), Some(body)) =
                    (self.slots.record(name), payload.get(start as usize..(start + length) as usize))
                else {
                    continue;
                };
                // The new place is entered first: a failure must leave the old one in force.
                if !self.append_put(name, &record, body, None) {
                    return;
                }
                self.segments.remove_live(oldest, super::put_bytes(place.length));
                self.tally.copied += 1;
                let lsn = self.lsn;
                if let Some(segment) = self.segments.get_mut(oldest) {
                    segment.copied_lsn = lsn;
                }
            }
            let taken = frame::padded(HEADER_BYTES + header.payload_len as usize);
            self.cleaner.at += taken;
            budget = budget.saturating_sub(taken);
        }
    }
}
