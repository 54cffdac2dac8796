//! The segments' files: what the keeper makes, fills and deletes.

use super::disk::SegmentFile;
use super::segments::{RESERVE, SPARES, Spare};
use super::{Answer, Journal, Link, Request};

/// How long after a file could not be made another is asked for.
const CREATE_RETRY_MS: u64 = 1_000;

impl<L: Link> Journal<L> {
    /// Takes in what the keeper has done, and asks it for what is needed next.
    pub(super) fn keep_files(&mut self) {
        while let Some(answer) = self.link.answer() {
            match answer {
                Answer::Created { number, file } => {
                    self.creating = false;
                    self.segments.add_spare(Spare { number, file, is_filled: false });
                }
                Answer::NotCreated => {
                    self.creating = false;
                    self.create_at = self.now.plus_millis(CREATE_RETRY_MS);
                }
                Answer::Filled { number, file, to } if to < file.len() => {
                    self.link.ask(Request::Fill { number, file, from: to });
                }
                Answer::Filled { number, file, .. } => {
                    self.filling = false;
                    self.segments.add_spare(Spare { number, file, is_filled: true });
                }
                Answer::Lost { .. } => {
                    self.filling = false;
                    self.create_at = self.now.plus_millis(CREATE_RETRY_MS);
                }
                Answer::Read { buffer } => self.cleaner.take(buffer),
                // Only of a log that is closed.
                Answer::Saved { .. } | Answer::Published | Answer::NotSaved => {}
            }
        }
        self.segments.retire(self.synced);
        let is_idle = self.is_idle();
        let spares_kept = if is_idle { SPARES } else { SPARES + 2 };
        if is_idle
            && self.segments.available() > SPARES
            && let Some(spare) = self.segments.take_spare()
        {
            self.link.ask(Request::Delete { number: spare.number });
        }
        while let Some(spare) = self.segments.take_free(self.synced) {
            let is_of_size = spare.file.len() == self.settings.segment_bytes;
            if is_of_size && self.segments.available() < spares_kept {
                self.segments.add_spare(spare);
            } else {
                self.link.ask(Request::Delete { number: spare.number });
            }
        }
        let files = self.segments.files() as u32 + u32::from(self.filling);
        // Those that come free soon count, unless that takes so long that messages would be refused.
        let spares = self.segments.available() + usize::from(self.filling);
        if !self.creating
            && (spares + self.segments.retired() < SPARES || spares <= RESERVE)
            && files < self.settings.segments_max
            && self.now >= self.create_at
        {
            self.creating = true;
            let number = self.next_number;
            self.next_number += 1;
            self.link.ask(Request::Create { number, bytes: self.settings.segment_bytes });
        }
        if !self.filling
            && !self.creating
            && let Some(Spare { number, file, .. }) = self.segments.take_unfilled()
        {
            self.filling = true;
            self.link.ask(Request::Fill { number, file, from: 0 });
        }
    }
}
