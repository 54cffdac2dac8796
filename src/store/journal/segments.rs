//! The segments in use, oldest first, and the files that wait for use.
//!
//! The life of a file: *available*; the *current* segment, which is written; *in use* while it holds a message that
//! is pending; *retired* once nothing in it is needed; *available* again when a synced frame says so, because only
//! then will no recovery look for what was in it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::disk::SegmentFile;

/// Files without which no new message is taken in: they are left to final states and to copying forward.
pub(super) const RESERVE: usize = 2;
/// Available files wanted.
pub(super) const SPARES: usize = 4;
/// Of those, files wanted that have been written before. More would only keep the disk busy: used ones come back.
const FILLED_SPARES: usize = 2;

/// Of each kind, beyond those there were at the start: more take memory while they come, which no message waits for as a rule.
const SEGMENTS_EXPECTED: usize = 32;

/// A segment in use.
#[derive(Debug)]
pub(super) struct Segment<F> {
    /// Its file and that file's number; `None`: it was not there when the store was opened.
    held: Option<(u32, Arc<F>)>,
    /// Messages whose body is here.
    pub(super) live: u32,
    /// Octets of their entries.
    pub(super) live_bytes: u64,
    /// Octets used, up to the end of the last frame.
    pub(super) end: u32,
    /// Octets from its start that had been written before it came into use: to write those again allocates nothing.
    pub(super) filled_to: u32,
    /// The last entry here.
    pub(super) last_lsn: u64,
    /// Earliest acceptance of a message put here, in Unix milliseconds.
    pub(super) accepted_min: u64,
    /// The last entry that copies a message of this segment forward; 0 = none yet.
    pub(super) copied_lsn: u64,
    /// Recovery could not read all of it.
    pub(super) is_damaged: bool,
}

impl<F> Segment<F> {
    /// A segment about to be written.
    pub(super) const fn new(number: u32, file: Arc<F>) -> Self {
        Self::of(Some((number, file)))
    }

    /// A segment that should be there and is not. It holds nothing.
    pub(super) const fn missing() -> Self {
        Self::of(None)
    }

    const fn of(held: Option<(u32, Arc<F>)>) -> Self {
        Self {
            held,
            live: 0,
            live_bytes: 0,
            end: 0,
            filled_to: u32::MAX,
            last_lsn: 0,
            accepted_min: u64::MAX,
            copied_lsn: 0,
            is_damaged: false,
        }
    }

    /// A message of so many octets is here from now on.
    #[inline]
    pub(super) fn add_live(&mut self, bytes: u64, accepted: u64) {
        self.live += 1;
        self.live_bytes += bytes;
        self.accepted_min = self.accepted_min.min(accepted);
    }

    /// Number of its file; 0 when there is none.
    pub(super) fn number(&self) -> u32 {
        self.held.as_ref().map_or(0, |(number, _)| *number)
    }

    /// Its file, if there is one.
    #[inline]
    pub(super) fn file(&self) -> Option<&Arc<F>> {
        self.held.as_ref().map(|(_, file)| file)
    }
}

/// A file that waits for use.
#[derive(Debug)]
pub(super) struct Spare<F> {
    /// Its number.
    pub(super) number: u32,
    /// The file.
    pub(super) file: Arc<F>,
    /// All of it has been written before, so that writing it allocates nothing.
    pub(super) is_filled: bool,
}

/// A file that is no longer needed and not yet free.
#[derive(Debug)]
struct Retired<F> {
    number: u32,
    file: Arc<F>,
    /// As of a spare.
    is_filled: bool,
    /// It is free once this entry, the last of a frame that says so, is synced; `None`: no such frame yet.
    free_at: Option<u64>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Segments<F> {
    /// Sequence number of the oldest in use.
    oldest: u32,
    in_use: VecDeque<Segment<F>>,
    retired: VecDeque<Retired<F>>,
    available: VecDeque<Spare<F>>,
    live_bytes: u64,
}

impl<F> Segments<F> {
    /// With these in use, of which the first has the sequence number `oldest` and the last is the current one.
    pub(super) fn new(
        oldest: u32,
        mut in_use: VecDeque<Segment<F>>,
        mut available: VecDeque<Spare<F>>,
    ) -> Self {
        let live_bytes = in_use.iter().map(|segment| segment.live_bytes).sum();
        in_use.reserve(SEGMENTS_EXPECTED);
        available.reserve(SEGMENTS_EXPECTED);
        Self { oldest, in_use, retired: VecDeque::with_capacity(SEGMENTS_EXPECTED), available, live_bytes }
    }

    /// Sequence number of the oldest in use.
    pub(super) const fn oldest(&self) -> u32 {
        self.oldest
    }

    /// Sequence number of the current one.
    pub(super) fn current(&self) -> u32 {
        self.oldest + self.in_use.len() as u32 - 1
    }

    /// The segments in use, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment<F>> {
        self.in_use.iter()
    }

    /// Segments in use, the current one included.
    pub(super) fn in_use(&self) -> usize {
        self.in_use.len()
    }

    /// Files available.
    pub(super) fn available(&self) -> usize {
        self.available.len()
    }

    /// Files that come free soon.
    pub(super) fn retired(&self) -> usize {
        self.retired.len()
    }

    /// Files in use, retired and available.
    pub(super) fn files(&self) -> usize {
        self.in_use.len() + self.retired.len() + self.available.len()
    }

    /// Octets of all those files.
    pub(super) fn file_bytes(&self) -> u64
    where
        F: SegmentFile,
    {
        let in_use = self.in_use.iter().filter_map(Segment::file);
        let retired = self.retired.iter().map(|retired| &retired.file);
        let available = self.available.iter().map(|spare| &spare.file);
        in_use.chain(retired).chain(available).map(|file| u64::from(file.len())).sum()
    }

    /// Octets of the entries of pending messages.
    pub(super) const fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Earliest acceptance in any segment that holds a message: no pending message is older.
    pub(super) fn accepted_min(&self) -> Option<u64> {
        self.in_use.iter().filter(|segment| segment.live > 0).map(|segment| segment.accepted_min).min()
    }

    /// A segment in use.
    #[inline]
    pub(super) fn get(&self, segment: u32) -> Option<&Segment<F>> {
        self.in_use.get(segment.checked_sub(self.oldest)? as usize)
    }

    /// A segment in use.
    #[inline]
    pub(super) fn get_mut(&mut self, segment: u32) -> Option<&mut Segment<F>> {
        self.in_use.get_mut(segment.checked_sub(self.oldest)? as usize)
    }

    /// A message of so many octets is in `segment` from now on.
    #[inline]
    pub(super) fn add_live(&mut self, segment: u32, bytes: u64, accepted: u64) {
        if let Some(segment) = self.get_mut(segment) {
            segment.add_live(bytes, accepted);
            self.live_bytes += bytes;
        }
    }

    /// A message of so many octets is in `segment` no longer. Counts that are wrong stop at nothing: they are figures, and say
    /// when a segment may go.
    #[inline]
    pub(super) fn remove_live(&mut self, segment: u32, bytes: u64) {
        if let Some(segment) = self.get_mut(segment) {
            segment.live = segment.live.saturating_sub(1);
            segment.live_bytes = segment.live_bytes.saturating_sub(bytes);
            self.live_bytes = self.live_bytes.saturating_sub(bytes);
        }
    }

    /// Makes the next available file the current segment: filled ones first. False: there is none.
    pub(super) fn roll_over(&mut self) -> bool {
        let filled = self.available.iter().position(|spare| spare.is_filled).unwrap_or(0);
        let Some(spare) = self.available.remove(filled) else { return false };
        let mut segment = Segment::new(spare.number, spare.file);
        if !spare.is_filled {
            segment.filled_to = 0;
        }
        self.in_use.push_back(segment);
        true
    }

    /// Retires the oldest segments that hold nothing and whose copies are on disk. True: there were such.
    pub(super) fn retire(&mut self, synced: u64) -> bool
    where
        F: SegmentFile,
    {
        let before = self.oldest;
        while self.in_use.len() > 1 {
            let Some(front) = self.in_use.front() else { break };
            if front.live > 0 || front.copied_lsn > synced {
                break;
            }
            let Some(Segment { held, filled_to, end, .. }) = self.in_use.pop_front() else { break };
            self.oldest += 1;
            if let Some((number, file)) = held {
                // What no frame had room in at its end is not worth another round.
                let is_filled = filled_to.max(end) >= file.len() - file.len() / 8;
                self.retired.push_back(Retired { number, file, is_filled, free_at: None });
            }
        }
        self.oldest > before
    }

    /// A frame that ends with `last_lsn` says which segment is the oldest now.
    pub(super) fn announced(&mut self, last_lsn: u64) {
        for retired in self.retired.iter_mut().rev() {
            if retired.free_at.is_some() {
                break;
            }
            retired.free_at = Some(last_lsn);
        }
    }

    /// Whether a retired file waits for a frame that says so.
    pub(super) fn has_unannounced(&self) -> bool {
        self.retired.back().is_some_and(|retired| retired.free_at.is_none())
    }

    /// Takes the next retired file that has become free.
    pub(super) fn take_free(&mut self, synced: u64) -> Option<Spare<F>> {
        self.retired.front().filter(|retired| retired.free_at.is_some_and(|lsn| lsn <= synced))?;
        let Retired { number, file, is_filled, .. } = self.retired.pop_front()?;
        Some(Spare { number, file, is_filled })
    }

    /// Takes a file out that waits for use: one that was never written if there is one.
    pub(super) fn take_spare(&mut self) -> Option<Spare<F>> {
        let index = self.available.iter().position(|spare| !spare.is_filled).unwrap_or(0);
        self.available.remove(index)
    }

    /// Makes a file available.
    pub(super) fn add_spare(&mut self, spare: Spare<F>) {
        self.available.push_back(spare);
    }

    /// Whether there are more than the reserve, and one of them has been written before.
    pub(super) fn has_filled(&self) -> bool {
        self.available.len() > RESERVE && self.available.iter().any(|spare| spare.is_filled)
    }

    /// Takes a file out that is not filled, if one should be and enough others are left.
    pub(super) fn take_unfilled(&mut self) -> Option<Spare<F>> {
        let filled = self.available.iter().filter(|spare| spare.is_filled).count();
        if self.available.len() <= RESERVE || filled >= FILLED_SPARES {
            return None;
        }
        let index = self.available.iter().position(|spare| !spare.is_filled)?;
        self.available.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_wrong_stop_at_nothing() {
        let mut segment = Segment::<()>::missing();
        segment.add_live(100, 5);
        let mut segments = Segments::new(7, VecDeque::from([segment]), VecDeque::new());
        segments.remove_live(8, 100);
        segments.remove_live(7, 101);
        segments.remove_live(7, 1);
        let only = segments.get(7).expect("it is in use");
        assert_eq!((only.live, only.live_bytes, segments.live_bytes()), (0, 0, 0));
    }
}
