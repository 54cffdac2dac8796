//! From what was read to a log that can be gone on with: its end, a segment to go on in, and files for the next ones.

use std::collections::VecDeque;
use std::io;

use super::disk::{Disk, SegmentFile, write_all};
use super::frame::FRAME_ALIGN;
use super::recovery::{Access, OpenError, Pass, Recovered, failed};
use super::replay::Replay;
use super::report::RecoveryReport;
use super::saved::Loaded;
use super::segments::{SPARES, Segment, Segments, Spare};
use super::torn_end::Discarded;
use super::{JournalSettings, put_bytes};

/// Octets of a new store's first segment that are written before it is used.
const FIRST_FILL_BYTES: u32 = 16 << 20;

/// Putting the parts together.
pub(super) struct Assembly<'a, D: Disk> {
    pub(super) disk: &'a mut D,
    pub(super) settings: &'a JournalSettings,
    pub(super) access: Access,
    pub(super) next_number: u32,
    pub(super) spares: VecDeque<Spare<D::File>>,
}

impl<D: Disk> Assembly<'_, D> {
    pub(super) fn finish(
        mut self,
        oldest: u32,
        read: VecDeque<Option<Segment<D::File>>>,
        mut replay: Replay<D::File>,
    ) -> Result<Pass<D::File>, OpenError> {
        let mut in_use = VecDeque::with_capacity(read.len() + 1);
        in_use.extend(read.into_iter().map(|segment| segment.unwrap_or_else(Segment::missing)));
        let last_lsn = replay.expected.map_or(0, |expected| expected - 1);
        if self.access == Access::Write {
            // A process may have died between writing and syncing: from here on all of it counts as synced.
            for file in in_use.iter().filter_map(Segment::file) {
                file.sync().map_err(|error| failed("syncing what was recovered", error))?;
            }
            if in_use.is_empty() {
                in_use.push_back(self.fresh_segment()?);
            } else if !replay.discarded.is_empty() {
                self.end_log(&mut in_use, oldest, last_lsn, &replay.discarded)?;
                return Ok(Pass::StruckOut(replay.report));
            }
        }
        if !replay.report.is_from_index {
            for (_, place, gist) in replay.slots.iter() {
                let index = place.segment.wrapping_sub(oldest) as usize;
                if let Some(segment) = in_use.get_mut(index) {
                    segment.add_live(put_bytes(place.length), gist.accepted);
                }
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
        Ok(Pass::Whole(Recovered {
            slots: replay.slots,
            next_offset: in_use.back().map_or(0, |current| current.end),
            segments: Segments::new(oldest, in_use, self.spares),
            lsn: last_lsn,
            next_number: self.next_number,
            endings: replay.endings,
            report: replay.report,
        }))
    }

    /// As after replay, from a saved index.
    pub(super) fn go_on_from(self, loaded: Loaded<D::File>) -> Result<Pass<D::File>, OpenError> {
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

    /// Ends the log behind its last frame, so that no recovery sees what is discarded.
    fn end_log(
        &mut self,
        in_use: &mut VecDeque<Segment<D::File>>,
        oldest: u32,
        last_lsn: u64,
        discarded: &Discarded<D::File>,
    ) -> Result<(), OpenError> {
        let has_room = |segment: &Segment<D::File>| {
            segment.file().is_some_and(|file| file.len().saturating_sub(segment.end) >= FRAME_ALIGN as u32)
        };
        if !in_use.back().is_some_and(has_room) {
            in_use.push_back(self.fresh_segment()?);
        }
        let number = oldest + in_use.len() as u32 - 1;
        let Some(current) = in_use.back() else { return Ok(()) };
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
