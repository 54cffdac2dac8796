//! A batch: the entries that become one frame, and where it goes. It travels to the committer and comes back, so that
//! its memory is used again.

use std::sync::Arc;

use super::frame::{HEADER_BYTES, Header, padded, seal};
use crate::base::Time;

/// Entries on their way to disk.
#[derive(Debug)]
pub struct Batch<F> {
    /// The segment's file.
    pub file: Arc<F>,
    /// Its segment.
    pub segment: u32,
    /// Octets from the segment's start to the frame's.
    pub offset: u32,
    /// Room for the header, then the entries.
    pub bytes: Vec<u8>,
    /// Log sequence number of the first entry.
    pub first_lsn: u64,
    /// Number of entries.
    pub entries: u32,
    /// Messages put, copies not counted.
    pub puts: u32,
    /// Segments before this one are no longer needed.
    pub oldest: u32,
    /// Somebody waits for it to be on disk.
    pub wants_sync: bool,
    /// Somebody waits for it to be written.
    pub wants_write: bool,
    /// The last one of this run.
    pub is_clean_stop: bool,
    /// The turn of its first entry.
    pub opened: Time,
    /// When what its entries waited for was done; set by the committer's shell.
    pub done: Time,
}

impl<F> Batch<F> {
    /// An empty batch for some place, with memory for `capacity` octets, which it takes as it is first used.
    pub fn new(file: Arc<F>, capacity: usize) -> Self {
        Self {
            file,
            segment: 0,
            offset: 0,
            bytes: Vec::with_capacity(capacity),
            first_lsn: 0,
            entries: 0,
            puts: 0,
            oldest: 0,
            wants_sync: false,
            wants_write: false,
            is_clean_stop: false,
            opened: Time::ZERO,
            done: Time::ZERO,
        }
    }

    /// Empties it for this place.
    pub fn renew(&mut self, file: Arc<F>, segment: u32, offset: u32, first_lsn: u64, opened: Time) {
        self.file = file;
        (self.segment, self.offset, self.first_lsn, self.opened) = (segment, offset, first_lsn, opened);
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        (self.entries, self.puts, self.oldest) = (0, 0, 0);
        (self.wants_sync, self.wants_write, self.is_clean_stop) = (false, false, false);
    }

    /// Log sequence number of the last entry; of the one before the first when there is none.
    pub const fn last_lsn(&self) -> u64 {
        self.first_lsn + self.entries as u64 - 1
    }

    /// Octets from the segment's start to the end of the frame, if `more` octets were added.
    pub fn end_with(&self, more: usize) -> u64 {
        u64::from(self.offset) + padded(self.bytes.len() + more) as u64
    }

    /// Makes the frame of it. Everything up to `synced_lsn` is on disk.
    pub(super) fn seal(&mut self, store_id: u64, synced_lsn: u64) {
        let header = Header {
            store_id,
            segment: self.segment,
            offset: self.offset,
            payload_len: (self.bytes.len() - HEADER_BYTES) as u32,
            entries: self.entries,
            first_lsn: self.first_lsn,
            synced_lsn,
            oldest: self.oldest,
            is_clean_stop: self.is_clean_stop,
            is_after_torn_end: false,
        };
        seal(&mut self.bytes, &header);
    }
}
