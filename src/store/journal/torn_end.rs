//! The end of a log that was cut off: what lies behind it must never count, whatever becomes of the recovery that says so.
//!
//! First a frame is written behind the last one that counts, and synced. It says up to where the log is whole, because
//! that may stand nowhere else but in what is discarded; and its entry has a number above all of those, so that from now on
//! whatever is left of them is known by its numbers. Only then are they made unreadable, for the last frame of the newest
//! segment is to be one of the log.

use std::io;
use std::sync::Arc;

use super::disk::{SegmentFile, write_all};
use super::entry::push_note;
use super::frame::{FRAME_ALIGN, HEADER_BYTES, Header, seal};
use super::segments::Segment;

/// What stands where a frame began that does not count. Not zeros: a file that begins with a page of those has nothing behind.
const STRUCK_OUT: [u8; 4] = *b"SMJX";

/// Frames that can be read and do not count.
#[derive(Debug)]
pub(super) struct Discarded<F> {
    /// File and offset of each.
    frames: Vec<(Arc<F>, u32)>,
    /// The entry after the last of theirs.
    next_lsn: u64,
    /// A frame of the log has said that frames whose entries are below this are such, if they come after it.
    known_to: u64,
}

impl<F> Default for Discarded<F> {
    fn default() -> Self {
        Self { frames: Vec::new(), next_lsn: 0, known_to: 0 }
    }
}

impl<F: SegmentFile> Discarded<F> {
    /// A frame that does not count.
    pub(super) fn push(&mut self, file: &Arc<F>, offset: u32, header: &Header) {
        self.frames.push((Arc::clone(file), offset));
        self.next_lsn = self.next_lsn.max(header.next_lsn());
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// An earlier recovery has discarded what comes now and is below this entry.
    pub(super) const fn up_to(&mut self, lsn: u64) {
        self.known_to = lsn;
    }

    /// Whether that has been said of this frame.
    pub(super) const fn is_known(&self, header: &Header) -> bool {
        header.next_lsn() <= self.known_to
    }

    /// Whether that has been said of each of these frames, a whole segment's.
    pub(super) fn are_known(&self, frames: &[(u32, Header)]) -> bool {
        frames.iter().all(|(_, header)| self.is_known(header))
    }

    /// Ends a log, whose last entry is `last_lsn` and all of which is synced, in `current`, the segment `number`, and makes the
    /// frames unreadable.
    pub(super) fn end_log(
        &self,
        store_id: u64,
        oldest: u32,
        number: u32,
        current: &Segment<F>,
        last_lsn: u64,
    ) -> io::Result<()> {
        let Some(file) = current.file().map(Arc::clone) else { return Ok(()) };
        let offset = current.end;
        let mut frame = vec![0; HEADER_BYTES];
        push_note(&mut frame);
        let header = Header {
            store_id,
            segment: number,
            offset,
            payload_len: (frame.len() - HEADER_BYTES) as u32,
            entries: 1,
            first_lsn: self.next_lsn.max(last_lsn + 1),
            synced_lsn: last_lsn,
            oldest,
            is_clean_stop: false,
            is_after_torn_end: true,
        };
        seal(&mut frame, &header);
        // Less than a sector, so that it is there or what it takes the place of still is: a frame, perhaps, that alone says what
        // had been synced. What is left of that behind it is no part of any.
        frame.truncate(HEADER_BYTES + header.payload_len as usize);
        write_all(&*file, &frame, offset)?;
        file.sync()?;
        let mut struck_out = [0; FRAME_ALIGN];
        struck_out[..STRUCK_OUT.len()].copy_from_slice(&STRUCK_OUT);
        for (file, offset) in self.frames.iter().filter(|(of, at)| !(Arc::ptr_eq(of, &file) && *at == offset))
        {
            write_all(&**file, &struck_out, *offset)?;
            file.sync()?;
        }
        Ok(())
    }
}
