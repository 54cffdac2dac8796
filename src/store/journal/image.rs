//! A segment's file as recovery reads it: which segment it holds, and the frames of that.

use std::sync::Arc;

use super::disk::{SegmentFile, read_full};
use super::frame::{self, FRAME_ALIGN, HEADER_BYTES, Header};
use super::segments::Spare;

/// A file with the segment that it holds.
pub(super) struct Found<F> {
    pub(super) store_id: u64,
    pub(super) segment: u32,
    /// The first entry of the frame that says so.
    pub(super) first_lsn: u64,
    pub(super) number: u32,
    pub(super) file: Arc<F>,
}

impl<F> Found<F> {
    /// The file for another use.
    pub(super) fn spare(self) -> Spare<F> {
        Spare { number: self.number, file: self.file, is_filled: true }
    }
}

/// The frame that says which segment a file holds: its first; any when the first can't be read. `None`: it holds none.
pub(super) fn identify<F: SegmentFile>(file: &F, store_id: u64, image: &mut Vec<u8>) -> Option<Header> {
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
    frames_anywhere(image, store_id).map(|(_, header)| header).max_by_key(|header| header.segment)
}

/// Every frame of a store in a file, of whatever segment, with the offset of each.
pub(super) fn frames_anywhere(image: &[u8], store_id: u64) -> impl Iterator<Item = (u32, Header)> {
    (0..image.len()).step_by(FRAME_ALIGN).filter_map(move |at| {
        let offset = at as u32;
        frame::parse(image.get(at..)?, store_id, offset).map(|(header, _)| (offset, header))
    })
}

/// Reads a segment as far as it was ever written. What the device refuses to read is zeros, and so no frame.
fn read_image<F: SegmentFile>(file: &F, image: &mut Vec<u8>) {
    let len = file.written_bytes() as usize;
    if image.capacity() < len {
        // Comes zeroed from the system, and is made once for all segments.
        *image = vec![0; len.max(file.len() as usize)];
    }
    image.resize(len, 0);
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
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    /// Its frames in order, with the offset of each.
    pub(super) frames: Vec<(u32, Header)>,
}

impl Image {
    pub(super) fn read<F: SegmentFile>(&mut self, found: &Found<F>) {
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
    pub(super) fn payload(&self, offset: u32, header: &Header) -> &[u8] {
        let start = offset as usize + HEADER_BYTES;
        self.bytes.get(start..start + header.payload_len as usize).unwrap_or_default()
    }
}
