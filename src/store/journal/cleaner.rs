//! Copying forward: what is still pending in the oldest segment is entered again, a little at each commit, until the
//! segment holds nothing and its file can be used again.
//!
//! The segment is read in order by the keeper, and every message in it is looked up in the index: it is pending if the
//! index says that it is exactly there. That needs no list of what a segment holds, and no memory for one.

use super::entry::{Entries, Entry};
use super::frame::{self, HEADER_BYTES};
use super::segments::RESERVE;
use super::{Failure, Journal, Link, Request};

/// Octets read at once; more than any frame.
const READ_BYTES: usize = 1 << 20;
const FRAME_BYTES_MAX: usize = frame::padded(HEADER_BYTES + frame::PAYLOAD_BYTES_MAX);
/// Octets looked through at a commit, beyond twice what was entered since the last one.
const STEP_BYTES: usize = 64 * 1024;

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
    /// The last entry at the last step.
    lsn: u64,
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
        let budget = STEP_BYTES + (entered as usize).saturating_mul(512).min(READ_BYTES);
        let before = self.lsn;
        self.copy_live(oldest, &buffer, budget);
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
        let wanted = u64::from(self.settings.segments_kept).max(3 * live_bytes.div_ceil(segment_bytes));
        // Copying what is nearly all live gains nothing.
        in_use > wanted || (is_short && live_bytes < (in_use - 1) * segment_bytes / 10 * 9)
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
                self.segments.remove_live(oldest, super::put_bytes(length));
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
