//! The saved index: what an orderly stop leaves beside the segments, so that the next start need not read them. It is
//! good for exactly the log that it was written for, and removed before that is gone on with; whatever is wrong with it,
//! the segments say the same. A checksum says only that it is as it was written: what the journal relies on (each body within
//! a segment that is there, as many of them as the segment counts) is looked at as well, in the one pass that reads it.
//!
//! ```text
//! block   SMX3 | crc:4 | store_id:8 | lsn:8 | number:4 | length:4 | payload:length
//! first   last_frame:4 | next_offset:4 | oldest:4 | touched:4 | blocks:4 | then of each segment in use:
//!         file:4 | end:4 | last_lsn:8 | damaged:1 | live:4 | live_bytes:8        file 0 = it is missing
//! slots   first slot:4 | count:4 | count times 44 octets | records that are not packed: slot:4 | record:43
//! endings of messages that have ended, 17 octets each; a block without any is the last
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::accounts::AccountNumbers;
use super::disk::{SegmentFile, read_full};
use super::endings::{self, Endings};
use super::entry::{BODY_BYTES_MAX, PUT_HEAD_BYTES};
use super::image::Found;
use super::segments::{Segment, Segments};
use super::slots::{SAVED_SLOT_BYTES, Slots};
use super::{JournalSettings, frame, put_bytes};
use crate::store::Ended;

const MAGIC: &[u8; 4] = b"SMX3";
/// The checksum begins behind itself.
const CHECKED_FROM: usize = 8;
const HEADER_BYTES: usize = 32;
/// Octets of a segment in the first block.
const SEGMENT_BYTES: usize = 29;
const FIRST_BYTES: usize = 20;
/// Slots of a block.
const BLOCK_SLOTS: u32 = 16_384;
/// Endings of a block.
const BLOCK_ENDINGS: usize = 65_536;
/// A body lies behind the header of a frame and the head of its put.
const BODY_OFFSET_MIN: u32 = (frame::HEADER_BYTES + PUT_HEAD_BYTES) as u32;
/// Longest block that is read.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Writes an index block by block.
#[derive(Debug)]
pub(super) struct Saving {
    store_id: u64,
    /// The last entry.
    lsn: u64,
    /// Where the last frame begins and ends.
    last_frame: u32,
    next_offset: u32,
    number: u32,
    is_complete: bool,
}

impl Saving {
    /// Of a log that ends with the entry `lsn`, in a frame that begins and ends at these offsets.
    pub(super) const fn new(store_id: u64, lsn: u64, last_frame: u32, next_offset: u32) -> Self {
        Self { store_id, lsn, last_frame, next_offset, number: 0, is_complete: false }
    }

    /// How many blocks there are before those of endings.
    const fn blocks(slots: &Slots) -> u32 {
        1 + slots.touched().div_ceil(BLOCK_SLOTS)
    }

    /// Puts the next block into `block`; `false`: there are no more. `endings` goes on where the last call has left it.
    pub(super) fn next<F>(
        &mut self,
        slots: &Slots,
        segments: &Segments<F>,
        endings: &mut dyn Iterator<Item = Ended>,
        accounts: &AccountNumbers,
        block: &mut Vec<u8>,
    ) -> bool {
        if self.is_complete {
            return false;
        }
        block.clear();
        block.resize(HEADER_BYTES, 0);
        if self.number == 0 {
            let (oldest, touched) = (segments.oldest(), slots.touched());
            for number in [self.last_frame, self.next_offset, oldest, touched, Self::blocks(slots)] {
                block.extend_from_slice(&number.to_le_bytes());
            }
            for segment in segments.iter() {
                block.extend_from_slice(&segment.number().to_le_bytes());
                block.extend_from_slice(&segment.end.to_le_bytes());
                block.extend_from_slice(&segment.last_lsn.to_le_bytes());
                block.push(u8::from(segment.is_damaged));
                block.extend_from_slice(&segment.live.to_le_bytes());
                block.extend_from_slice(&segment.live_bytes.to_le_bytes());
            }
        } else if self.number < Self::blocks(slots) {
            slots.save((self.number - 1) * BLOCK_SLOTS, BLOCK_SLOTS, block);
        } else {
            endings::save(endings.take(BLOCK_ENDINGS), accounts, block);
            self.is_complete = block.len() == HEADER_BYTES;
        }
        let length = (block.len() - HEADER_BYTES) as u32;
        block[..4].copy_from_slice(MAGIC);
        block[8..16].copy_from_slice(&self.store_id.to_le_bytes());
        block[16..24].copy_from_slice(&self.lsn.to_le_bytes());
        block[24..28].copy_from_slice(&self.number.to_le_bytes());
        block[28..32].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32c::crc32c(&block[CHECKED_FROM..]);
        block[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.number += 1;
        true
    }
}

/// What a saved index says.
pub(super) struct Loaded<F> {
    pub(super) slots: Slots,
    pub(super) endings: Endings,
    pub(super) oldest: u32,
    pub(super) in_use: VecDeque<Segment<F>>,
    pub(super) lsn: u64,
    pub(super) bytes: u64,
}

/// Reads a saved index, if it is whole and that of the log in `found`, which are the files by segment. `None`: it is not.
pub(super) fn load<F: SegmentFile>(
    file: &F,
    settings: &JournalSettings,
    found: &[Found<F>],
) -> Option<Loaded<F>> {
    let JournalSettings { store_id, messages_max, endings_max, .. } = *settings;
    let mut reader = Reader { file, store_id, lsn: None, number: 0, offset: 0, block: Vec::new() };
    let first = reader.next()?;
    let u32_at = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (last_frame, next_offset, oldest) = (u32_at(first, 0)?, u32_at(first, 4)?, u32_at(first, 8)?);
    let (touched, blocks) = (u32_at(first, 12)?, u32_at(first, 16)?);
    let newest = found.last()?;
    let saved = first.get(FIRST_BYTES..)?.chunks(SEGMENT_BYTES);
    // None is behind the newest, which is the one to go on in.
    if u64::from(oldest) + saved.len() as u64 != u64::from(newest.segment) + 1 {
        return None;
    }
    let mut in_use = VecDeque::with_capacity(saved.len());
    let mut counts = Vec::with_capacity(saved.len());
    for (segment, saved) in (oldest..=newest.segment).zip(saved) {
        let (segment, count) = load_segment(saved, segment, found)?;
        in_use.push_back(segment);
        counts.push(count);
    }
    let lsn = reader.lsn?;
    let current = in_use.back()?;
    if touched > messages_max
        || current.end != next_offset
        || current.file().is_none()
        || in_use.iter().any(|segment| segment.last_lsn > lsn)
        || !ends_with(newest, last_frame, next_offset, lsn)
    {
        return None;
    }
    let mut slots = Slots::new(messages_max);
    let segments = in_use.make_contiguous();
    for _ in 1..blocks {
        slots.load(reader.next()?, |place, accepted| {
            let segment = segments.get_mut(place.segment.checked_sub(oldest)? as usize)?;
            let is_inside = place.offset >= BODY_OFFSET_MIN
                && place.length <= BODY_BYTES_MAX as u32
                && place.offset + place.length <= segment.end
                && segment.file().is_some();
            is_inside.then(|| segment.add_live(put_bytes(place.length), accepted))
        })?;
    }
    let is_even =
        segments.iter().zip(counts).all(|(segment, count)| (segment.live, segment.live_bytes) == count);
    if slots.touched() != touched || !is_even {
        return None;
    }
    let mut endings = Endings::new(endings_max);
    loop {
        match reader.next()? {
            [] => break,
            saved => endings.load(saved)?,
        }
    }
    let bytes = u64::from(reader.offset);
    Some(Loaded { slots, endings, oldest, in_use, lsn, bytes })
}

/// A segment as the first block has it, nothing counted in it yet; and how many messages should be there, of how many octets.
fn load_segment<F: SegmentFile>(
    saved: &[u8],
    segment: u32,
    found: &[Found<F>],
) -> Option<(Segment<F>, (u32, u64))> {
    let saved: &[u8; SEGMENT_BYTES] = saved.first_chunk()?;
    let u32_at = |at: usize| u32::from_le_bytes([saved[at], saved[at + 1], saved[at + 2], saved[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let (number, end) = (u32_at(0), u32_at(4));
    let at = found.binary_search_by_key(&segment, |found| found.segment);
    let mut read = match at.ok().and_then(|at| found.get(at)) {
        None if number == 0 => Segment::missing(),
        Some(one) if one.number == number && one.file.len() >= end => {
            Segment::new(number, Arc::clone(&one.file))
        }
        _ => return None,
    };
    (read.end, read.last_lsn, read.is_damaged) = (end, u64_at(8), saved[16] != 0);
    Some((read, (u32_at(17), u64_at(21))))
}

/// Whether the log's last frame is that of an orderly stop with the entry `lsn`, lies there, and nothing is behind it.
fn ends_with<F: SegmentFile>(newest: &Found<F>, last_frame: u32, end: u32, lsn: u64) -> bool {
    let Found { store_id, segment, ref file, .. } = *newest;
    let length = end.saturating_sub(last_frame) as usize;
    if length > frame::padded(frame::HEADER_BYTES + frame::PAYLOAD_BYTES_MAX) {
        return false;
    }
    let mut bytes = vec![0; length];
    let is_last = read_full(&**file, &mut bytes, last_frame).is_ok_and(|read| read == length)
        && frame::parse(&bytes, store_id, last_frame).is_some_and(|(header, payload)| {
            header.segment == segment
                && header.is_clean_stop
                && header.next_lsn().checked_sub(1) == Some(lsn)
                && frame::padded(frame::HEADER_BYTES + payload.len()) == length
        });
    let mut behind = [0; frame::HEADER_BYTES];
    is_last
        && read_full(&**file, &mut behind, end).is_ok()
        && frame::peek(&behind, store_id, end).is_none_or(|header| header.segment != segment)
}

struct Reader<'a, F> {
    file: &'a F,
    store_id: u64,
    /// As the first block says.
    lsn: Option<u64>,
    number: u32,
    offset: u32,
    block: Vec<u8>,
}

impl<F: SegmentFile> Reader<'_, F> {
    /// The payload of the next block, if it is sound.
    fn next(&mut self) -> Option<&[u8]> {
        let mut header = [0; HEADER_BYTES];
        if read_full(self.file, &mut header, self.offset).ok()? != HEADER_BYTES {
            return None;
        }
        let u32_at =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let lsn = u64_at(16);
        let is_next = header.starts_with(MAGIC)
            && u64_at(8) == self.store_id
            && self.lsn.is_none_or(|first| first == lsn)
            && u32_at(24) == self.number;
        let length = u32_at(28) as usize;
        if !is_next || length > BLOCK_BYTES_MAX {
            return None;
        }
        self.block.resize(length, 0);
        let offset = self.offset.checked_add(HEADER_BYTES as u32)?;
        if read_full(self.file, &mut self.block, offset).ok()? != length {
            return None;
        }
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[CHECKED_FROM..]), &self.block);
        if checksum != u32_at(4) {
            return None;
        }
        self.lsn = Some(lsn);
        self.number += 1;
        self.offset = offset.checked_add(length as u32)?;
        Some(&self.block)
    }
}

const _: () = assert!(HEADER_BYTES + BLOCK_ENDINGS * endings::SAVED_BYTES < BLOCK_BYTES_MAX);
const _: () = assert!(HEADER_BYTES + 8 + BLOCK_SLOTS as usize * SAVED_SLOT_BYTES < BLOCK_BYTES_MAX);
