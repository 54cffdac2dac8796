//! Recovery: from whatever a disk holds to the index of what is pending, and to a log that can be gone on with.
//!
//! The frames of the segments in use are read in log order. Each says the number of its first entry, so a gap shows;
//! and the last one says up to which entry everything was synced when it was written. A gap below that is damage: it
//! is reported, and reading goes on behind it. A gap above it is the torn end of a run that was cut off: nothing
//! from there on was promised to anybody, so the log ends there, and the frames behind the gap are done away with
//! (`torn_end.rs`).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::assembly::Assembly;
use super::disk::{Disk, SegmentFile, read_full};
use super::endings::Endings;
use super::entry::{Entries, Entry};
use super::frame::{self, FRAME_ALIGN, HEADER_BYTES, Header};
use super::report::{Damage, RecoveryReport};
use super::saved::{self, Loaded};
use super::segments::{Segment, Segments, Spare};
use super::slots::{Place, Slots};
use super::torn_end::Discarded;
use super::{JournalSettings, SEGMENT_BYTES_MAX};

/// Consecutive segments that may be missing. More: this is no store of ours.
const MISSING_MAX: u32 = 65_536;

/// Whether the store may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only looked at.
    ReadOnly,
    /// Gone on with.
    Write,
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refuses.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// What the disk says.
        error: io::Error,
    },
    /// A file is larger than any segment, or half the segments are gone.
    #[error("{0}")]
    NotOurs(String),
}

/// What a journal goes on from.
#[derive(Debug)]
pub struct Recovered<F> {
    pub(super) slots: Slots,
    pub(super) segments: Segments<F>,
    pub(super) lsn: u64,
    pub(super) next_offset: u32,
    pub(super) next_number: u32,
    pub(super) endings: Endings,
    pub(super) report: RecoveryReport,
}

/// How large a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Octets of the entries of pending messages.
    pub live_bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Files that wait for use.
    pub spares: u64,
    /// Octets of all files.
    pub file_bytes: u64,
}

impl<F: SegmentFile> Recovered<F> {
    /// How large it is.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            live_bytes: self.segments.live_bytes(),
            segments: self.segments.in_use() as u64,
            spares: self.segments.available() as u64,
            file_bytes: self.segments.file_bytes(),
        }
    }
}

impl<F> Recovered<F> {
    /// The last entry of the log.
    pub const fn lsn(&self) -> u64 {
        self.lsn
    }

    /// What was found.
    pub const fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Notes how long it took.
    #[must_use]
    pub const fn took(mut self, nanos: u64) -> Self {
        self.report.nanos = nanos;
        self
    }
}

/// A file with the segment that it holds.
pub(super) struct Found<F> {
    pub(super) store_id: u64,
    pub(super) segment: u32,
    /// The first entry of the frame that says so.
    pub(super) first_lsn: u64,
    pub(super) number: u32,
    pub(super) file: Arc<F>,
}

/// Reads a shard's store.
///
/// # Errors
/// When the disk refuses, or what it holds is not a store. Damage is no error: it is reported.
pub fn open<D: Disk>(
    disk: &mut D,
    settings: &JournalSettings,
    access: Access,
) -> Result<Recovered<D::File>, OpenError> {
    let mut files = disk.files().map_err(|error| failed("listing the segments", error))?;
    files.sort_unstable_by_key(|(number, _)| *number);
    let next_number = files.last().map_or(1, |(number, _)| number + 1);
    let mut found = Vec::new();
    let mut spares = VecDeque::new();
    let mut image = Image::default();
    for (number, file) in files {
        if file.len() > SEGMENT_BYTES_MAX {
            return Err(OpenError::NotOurs(format!("segment file {number:08} is larger than any segment")));
        }
        match identify(&*file, settings.store_id, &mut image.bytes) {
            Some(Header { segment, first_lsn, .. }) => {
                found.push(Found { store_id: settings.store_id, segment, first_lsn, number, file });
            }
            None => spares.push_back(Spare { number, file, is_filled: true }),
        }
    }
    // Of two for one segment the later one counts: its frames were written when the other's had been discarded.
    found.sort_unstable_by_key(|found| (found.segment, u64::MAX - found.first_lsn));
    let mut last = None;
    let outdone: Vec<_> =
        found.extract_if(.., |found| last.replace(found.segment) == Some(found.segment)).collect();
    if access == Access::Write
        && let Some(loaded) = take_index(disk, settings, &found)?
    {
        let first_live = found.partition_point(|found| found.segment < loaded.oldest);
        spares.extend(found.drain(..first_live).chain(outdone).map(Found::spare));
        return Assembly { disk, settings, access, next_number, spares }.go_on_from(loaded);
    }
    let mut replay = Replay {
        slots: Slots::new(settings.messages_max),
        expected: None,
        synced: 0,
        report: RecoveryReport::default(),
        discarded: Discarded::default(),
        endings: Endings::new(settings.endings_max),
    };
    let mut in_use = VecDeque::new();
    let mut oldest = 0;
    if let Some(newest) = found.last() {
        image.read(newest);
        let last = replay.last_frame(&image);
        drop(image);
        oldest = last.oldest.min(newest.segment);
        let first_live = found.partition_point(|found| found.segment < oldest);
        let live = found.split_off(first_live);
        // What is before the oldest is not needed: a synced frame has said so.
        spares.extend(found.into_iter().map(Found::spare));
        replay.run::<D>(oldest, &live, &mut in_use, &mut spares)?;
        for one in outdone {
            let mut image = Image::default();
            image.read(&one);
            replay.discard_all(oldest, &one, &image);
            spares.push_back(one.spare());
        }
    }
    Assembly { disk, settings, access, next_number, spares }.finish(oldest, in_use, replay)
}

impl<F> Found<F> {
    /// The file for another use.
    fn spare(self) -> Spare<F> {
        Spare { number: self.number, file: self.file, is_filled: true }
    }
}

/// What the saved index says, if there is one and it is right. It is gone then: the log is about to go on without it.
fn take_index<D: Disk>(
    disk: &mut D,
    settings: &JournalSettings,
    found: &[Found<D::File>],
) -> Result<Option<Loaded<D::File>>, OpenError> {
    // What can't be read is as good as not there.
    let file = disk.index().unwrap_or_default();
    let loaded = file.and_then(|file| saved::load(&*file, settings, found));
    disk.remove_index().map_err(|error| failed("removing the saved index", error))?;
    Ok(loaded)
}

pub(super) fn failed(what: impl Into<String>, error: io::Error) -> OpenError {
    OpenError::Io { what: what.into(), error }
}

/// The frame that says which segment a file holds: its first; any when the first can't be read. `None`: it holds none.
fn identify<F: SegmentFile>(file: &F, store_id: u64, image: &mut Vec<u8>) -> Option<Header> {
    let mut head = [0; FRAME_ALIGN];
    if let Ok(FRAME_ALIGN) = read_full(file, &mut head, 0) {
        // Nothing is written behind the first frame before that is synced.
        if head == [0; FRAME_ALIGN] {
            return None;
        }
        if let Some(header) = frame::peek(&head, store_id, 0) {
            let mut first = vec![0; HEADER_BYTES + header.payload_len as usize];
            if read_full(file, &mut first, 0).is_ok() && frame::parse(&first, store_id, 0).is_some() {
                return Some(header);
            }
        }
    }
    read_image(file, image);
    let blocks = (0..image.len()).step_by(FRAME_ALIGN);
    blocks
        .filter_map(|at| frame::parse(image.get(at..)?, store_id, at as u32).map(|(header, _)| header))
        .max_by_key(|header| header.segment)
}

/// Reads a whole segment. What the device refuses to read is zeros, and so no frame.
fn read_image<F: SegmentFile>(file: &F, image: &mut Vec<u8>) {
    let len = file.len() as usize;
    if image.len() < len {
        // Comes zeroed from the system, and is made once for all segments.
        *image = vec![0; len];
    }
    image.truncate(len);
    match read_full(file, image, 0) {
        Ok(read) => image.truncate(read),
        Err(_) => {
            for (index, block) in image.chunks_mut(FRAME_ALIGN).enumerate() {
                if read_full(file, block, (index * FRAME_ALIGN) as u32).is_err() {
                    block.fill(0);
                }
            }
        }
    }
}

/// A segment in memory.
#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
    /// Its frames in order, with the offset of each.
    frames: Vec<(u32, Header)>,
}

impl Image {
    fn read<F: SegmentFile>(&mut self, found: &Found<F>) {
        let store_id = found.store_id;
        read_image(&*found.file, &mut self.bytes);
        self.frames.clear();
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let offset = at as u32;
            let header = frame::peek(rest, store_id, offset)
                .filter(|header| header.segment == found.segment)
                .and_then(|_| frame::parse(rest, store_id, offset));
            at += match header {
                Some((header, payload)) => {
                    self.frames.push((offset, header));
                    frame::padded(HEADER_BYTES + payload.len())
                }
                None => FRAME_ALIGN,
            };
        }
    }

    /// The payload of one of its frames.
    fn payload(&self, offset: u32, header: &Header) -> &[u8] {
        let start = offset as usize + HEADER_BYTES;
        self.bytes.get(start..start + header.payload_len as usize).unwrap_or_default()
    }
}

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
    fn run<D: Disk<File = F>>(
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
    fn last_frame(&mut self, newest: &Image) -> Header {
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
            if has_ended || is_torn || self.discarded.is_known(&header) {
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
    fn discard_all(&mut self, oldest: u32, found: &Found<F>, image: &Image) {
        for at in (0..image.bytes.len()).step_by(FRAME_ALIGN) {
            let frame = image.bytes.get(at..).and_then(|rest| frame::parse(rest, found.store_id, at as u32));
            if let Some((header, _)) = frame.filter(|(header, _)| header.segment >= oldest) {
                self.discarded.push(&found.file, at as u32, &header);
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
