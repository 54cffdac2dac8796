//! Recovery: from whatever a disk holds to the index of what is pending, and to a log that can be gone on with.
//!
//! The frames of the segments in use are read in log order. Each says the number of its first entry, so a gap shows;
//! and the last one says up to which entry everything was synced when it was written. A gap below that is damage: it
//! is reported, and reading goes on behind it (`replay.rs`). A gap above it is the torn end of a run that was cut off:
//! nothing from there on was promised to anybody, so the log ends there, and the frames behind the gap are done away
//! with (`torn_end.rs`).

use std::collections::VecDeque;
use std::io;

use super::assembly::Assembly;
use super::disk::{Disk, SegmentFile};
use super::endings::Endings;
use super::frame::Header;
use super::image::{Found, Image, identify};
use super::replay::Replay;
use super::report::RecoveryReport;
use super::saved::{self, Loaded};
use super::segments::{Segments, Spare};
use super::slots::Slots;
use super::torn_end::Discarded;
use super::{JournalSettings, SEGMENT_BYTES_MAX};

/// Times that a store is read at most before it is given up. A run that was cut off anywhere needs two.
const PASSES_MAX: usize = 8;

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

/// What reading a store once has come to.
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub(super) enum Pass<F> {
    /// It can be gone on from.
    Whole(Recovered<F>),
    /// Frames that do not count have been made unreadable.
    StruckOut(RecoveryReport),
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

/// Reads a shard's store. Where frames had to be struck out it is read once more, so that what is gone on from is what the
/// next recovery finds, whatever the frames said.
///
/// # Errors
/// When the disk refuses, or what it holds is not a store. Damage is no error: it is reported.
pub fn open<D: Disk>(
    disk: &mut D,
    settings: &JournalSettings,
    access: Access,
) -> Result<Recovered<D::File>, OpenError> {
    let mut first_report = None;
    for _ in 0..PASSES_MAX {
        match pass(disk, settings, access)? {
            Pass::StruckOut(report) => {
                first_report.get_or_insert(report);
            }
            Pass::Whole(mut recovered) => {
                if let Some(report) = first_report {
                    recovered.report = RecoveryReport { messages: recovered.report.messages, ..report };
                }
                return Ok(recovered);
            }
        }
    }
    Err(OpenError::NotOurs("the frames of the segments contradict each other".to_owned()))
}

/// Reads it once.
fn pass<D: Disk>(
    disk: &mut D,
    settings: &JournalSettings,
    access: Access,
) -> Result<Pass<D::File>, OpenError> {
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
        let mut image = Image::default();
        for one in outdone {
            image.read(&one);
            replay.discard_all(oldest, &one, &image);
            spares.push_back(one.spare());
        }
    }
    Assembly { disk, settings, access, next_number, spares }.finish(oldest, in_use, replay)
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
