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

use super::disk::{Disk, SegmentFile, read_full, write_all};
use super::endings::Endings;
use super::entry::{Entries, Entry};
use super::frame::{self, FRAME_ALIGN, HEADER_BYTES, Header};
use super::saved::{self, Loaded};
use super::segments::{SPARES, Segment, Segments, Spare};
use super::slots::{Place, Slots};
use super::stats::RecoveryFigures;
use super::torn_end::Discarded;
use super::{JournalSettings, SEGMENT_BYTES_MAX};

/// Damaged places that are listed; more are counted.
const DAMAGE_LISTED_MAX: usize = 1_000;
/// Consecutive segments that may be missing. More: this is no store of ours.
const MISSING_MAX: u32 = 65_536;

/// Octets of a new store's first segment that are written before it is used.
const FIRST_FILL_BYTES: u32 = 16 << 20;

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

/// A place that had been synced and can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment's file; that of the one before when the file is missing.
    pub file: u32,
    /// The segment.
    pub segment: u32,
    /// Octets from the segment's start.
    pub offset: u32,
    /// Entries lost.
    pub lost_entries: u64,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Messages pending.
    pub messages: u64,
    /// Segments read.
    pub segments: u32,
    /// Frames read.
    pub frames: u64,
    /// Octets read.
    pub bytes: u64,
    /// The last run was stopped in order.
    pub is_clean_stop: bool,
    /// The index that it saved was read, and not the segments.
    pub is_from_index: bool,
    /// Where the log was cut off, if a frame was half written: file and offset. Nothing of it was promised.
    pub torn_tail: Option<(u32, u32)>,
    /// What can't be read though it was synced; at most a thousand places.
    pub damage: Vec<Damage>,
    /// How many there are.
    pub damaged: u64,
    /// Entries lost there.
    pub lost_entries: u64,
    /// How long it took; set by who has a clock.
    pub nanos: u64,
}

impl RecoveryReport {
    /// In numbers.
    pub const fn figures(&self) -> RecoveryFigures {
        RecoveryFigures {
            messages: self.messages,
            bytes: self.bytes,
            damaged: self.damaged,
            lost_entries: self.lost_entries,
            nanos: self.nanos,
        }
    }

    fn add(&mut self, damage: Damage) {
        self.damaged += 1;
        self.lost_entries += damage.lost_entries;
        if self.damage.len() < DAMAGE_LISTED_MAX {
            self.damage.push(damage);
        }
    }
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
    found.dedup_by_key(|found| found.segment);
    if access == Access::Write
        && let Some(loaded) = take_index(disk, settings, &found)?
    {
        let first_live = found.partition_point(|found| found.segment < loaded.oldest);
        spares.extend(found.drain(..first_live).map(Found::spare));
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

fn failed(what: impl Into<String>, error: io::Error) -> OpenError {
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
struct Replay<F> {
    slots: Slots,
    /// The next entry's number, once there was one.
    expected: Option<u64>,
    /// Everything up to this entry was synced.
    synced: u64,
    report: RecoveryReport,
    /// Frames that could be read and do not count.
    discarded: Discarded<F>,
    /// What became of messages that have ended.
    endings: Endings,
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
            if has_ended {
                // Behind the torn end: nothing in it counts.
                self.discard_all(one, &image);
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

    fn discard_all(&mut self, found: &Found<F>, image: &Image) {
        for (offset, header) in &image.frames {
            self.discarded.push(&found.file, *offset, header);
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

/// Putting the parts together.
struct Assembly<'a, D: Disk> {
    disk: &'a mut D,
    settings: &'a JournalSettings,
    access: Access,
    next_number: u32,
    spares: VecDeque<Spare<D::File>>,
}

impl<D: Disk> Assembly<'_, D> {
    fn finish(
        mut self,
        oldest: u32,
        read: VecDeque<Option<Segment<D::File>>>,
        mut replay: Replay<D::File>,
    ) -> Result<Recovered<D::File>, OpenError> {
        let mut in_use = VecDeque::with_capacity(read.len() + 1);
        in_use.extend(read.into_iter().map(|segment| segment.unwrap_or_else(Segment::missing)));
        let mut last_lsn = replay.expected.map_or(0, |expected| expected - 1);
        if self.access == Access::Write {
            // A process may have died between writing and syncing: from here on all of it counts as synced.
            for file in in_use.iter().filter_map(Segment::file) {
                file.sync().map_err(|error| failed("syncing what was recovered", error))?;
            }
            if in_use.is_empty() {
                in_use.push_back(self.fresh_segment()?);
            } else if !replay.discarded.is_empty() {
                last_lsn = self.end_log(&mut in_use, oldest, last_lsn, &replay.discarded)?;
            }
        }
        for (_, place, gist) in replay.slots.iter() {
            let index = place.segment.wrapping_sub(oldest) as usize;
            if let Some(segment) = in_use.get_mut(index) {
                segment.live += 1;
                segment.live_bytes += super::put_bytes(place.length);
                segment.accepted_min = segment.accepted_min.min(gist.accepted);
            }
        }
        if self.access == Access::Write {
            while self.spares.len() < SPARES
                && in_use.len() + self.spares.len() < self.settings.segments_max as usize
            {
                // A disk that is full now may have room later; until then what there is must do.
                let Ok(spare) = self.create() else { break };
                self.spares.push_back(spare);
            }
            replay.slots.link_free();
        }
        replay.report.messages = u64::from(replay.slots.live());
        Ok(Recovered {
            slots: replay.slots,
            next_offset: in_use.back().map_or(0, |current| current.end),
            segments: Segments::new(oldest, in_use, self.spares),
            lsn: last_lsn,
            next_number: self.next_number,
            endings: replay.endings,
            report: replay.report,
        })
    }

    /// As after replay, from a saved index.
    fn go_on_from(self, loaded: Loaded<D::File>) -> Result<Recovered<D::File>, OpenError> {
        let Loaded { slots, endings, oldest, in_use, lsn, bytes } = loaded;
        let report = RecoveryReport {
            segments: in_use.len() as u32,
            bytes,
            is_clean_stop: true,
            is_from_index: true,
            ..RecoveryReport::default()
        };
        let replay = Replay {
            slots,
            expected: Some(lsn + 1),
            synced: lsn,
            report,
            discarded: Discarded::default(),
            endings,
        };
        self.finish(oldest, in_use.into_iter().map(Some).collect(), replay)
    }

    /// Ends the log behind its last frame, so that no recovery sees what is discarded. The last entry then.
    fn end_log(
        &mut self,
        in_use: &mut VecDeque<Segment<D::File>>,
        oldest: u32,
        last_lsn: u64,
        discarded: &Discarded<D::File>,
    ) -> Result<u64, OpenError> {
        let has_room = |segment: &Segment<D::File>| {
            segment.file().is_some_and(|file| file.len().saturating_sub(segment.end) >= FRAME_ALIGN as u32)
        };
        if !in_use.back().is_some_and(has_room) {
            in_use.push_back(self.fresh_segment()?);
        }
        let number = oldest + in_use.len() as u32 - 1;
        let Some(current) = in_use.back_mut() else { return Ok(last_lsn) };
        discarded
            .end_log(self.settings.store_id, oldest, number, current, last_lsn)
            .map_err(|error| failed("ending the log at its torn end", error))
    }

    fn fresh_segment(&mut self) -> Result<Segment<D::File>, OpenError> {
        let is_large_enough = |spare: &Spare<D::File>| spare.file.len() >= self.settings.segment_bytes;
        let found = self.spares.iter().position(is_large_enough);
        let spare = match found.and_then(|index| self.spares.remove(index)) {
            Some(spare) => spare,
            None => self.create().map_err(|error| failed("making a segment", error))?,
        };
        let filled_to = if spare.is_filled {
            u32::MAX
        } else {
            fill_first(&*spare.file).map_err(|error| failed("writing a segment for the first time", error))?
        };
        let mut segment = Segment::new(spare.number, spare.file);
        segment.filled_to = filled_to;
        Ok(segment)
    }

    fn create(&mut self) -> io::Result<Spare<D::File>> {
        let number = self.next_number;
        self.next_number += 1;
        let file = self.disk.create(number, self.settings.segment_bytes)?;
        Ok(Spare { number, file, is_filled: false })
    }
}

/// Writes zeros into the first part of a new store's first segment; up to where. That is what it goes on with until a whole
/// file has been filled.
fn fill_first<F: SegmentFile>(file: &F) -> io::Result<u32> {
    let zeros = vec![0; FIRST_FILL_BYTES.min(file.len()) as usize];
    write_all(file, &zeros, 0)?;
    file.sync()?;
    Ok(zeros.len() as u32)
}
