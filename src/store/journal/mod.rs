//! The durable store: a journal in segments. Every put, update and remove is an entry; the entries of a turn travel
//! as one frame to disk (group commit); an index in memory knows where each pending message is; segments in which
//! nothing is pending are used again. `docs/store-format.md` describes what is on disk.
//!
//! This is logic only. It never waits and never touches a device, save to read an old body: a [`Link`] carries
//! batches to the committer and requests to the keeper, and [`Journal::poll`] and [`commit`](MessageStore::commit)
//! take in what they have done. A simulated disk runs the very same code.
//!
//! Reclaim is strictly oldest first, and that makes it simple: when the oldest segment holds no pending message (the
//! last ones are copied forward), every other entry in it is about messages that have ended, or that are held with
//! their latest record further on. A remove is thus never dropped before the put it ends.

mod accounts;
mod append;
mod assembly;
mod batch;
mod cleaner;
mod close;
pub mod disk;
mod endings;
pub mod entry;
mod failure;
mod files;
pub mod frame;
mod image;
mod link;
mod message_store;
mod packed;
mod recovery;
mod replay;
mod report;
mod ring;
mod saved;
mod segments;
mod settings;
mod slots;
mod stats;
mod torn_end;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;

pub use accounts::AccountNumbers;
pub use batch::Batch;
pub use disk::{Disk, SegmentFile};
pub use failure::{Doing, Failure};
pub use link::{Answer, Keeper, Link, Progress, Request, Stopped, Writer};
pub use recovery::{Access, OpenError, Recovered, open};
pub use report::{Damage, RecoveryReport};
pub use settings::JournalSettings;
pub use stats::StoreStats;

use crate::base::Time;
#[cfg(doc)]
use crate::store::MessageStore;
use cleaner::Cleaner;
use close::IndexSaving;
use endings::Endings;
use entry::{BODY_BYTES_MAX, PUT_HEAD_BYTES};
use frame::{FRAME_ALIGN, HEADER_BYTES};
use ring::BodyRing;
use segments::{RESERVE, Segment, Segments};
use slots::Slots;
use stats::Tally;
use walk::Walk;

/// Smallest and largest segment. A frame must fit well, and offsets have 32 bits.
pub const SEGMENT_BYTES_MIN: u32 = 2 << 20;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// Batches made at the start: one open, one that waits, one at the disk, and one on its way back.
const BATCHES: usize = 4;
/// Empty ones that are kept.
const BATCHES_MAX: usize = 64;

/// The durable store of one shard.
#[derive(Debug)]
pub struct Journal<L: Link> {
    settings: JournalSettings,
    link: L,
    progress: Arc<Progress>,
    slots: Slots,
    ring: BodyRing,
    segments: Segments<L::File>,
    /// The last entry made.
    lsn: u64,
    /// Where in the current segment the next batch begins, while none is open.
    next_offset: u32,
    /// The batch that is being filled.
    open: Option<Box<Batch<L::File>>>,
    /// Full ones that the committer had no room for.
    waiting: VecDeque<Box<Batch<L::File>>>,
    /// Empty ones.
    #[allow(clippy::vec_box, reason = "they travel as boxes, and come back as such")]
    spare: Vec<Box<Batch<L::File>>>,
    /// Octets submitted or waiting, and not back yet.
    backlog_bytes: usize,
    /// As of the last [`Journal::poll`].
    written: u64,
    synced: u64,
    now: Time,
    cleaner: Cleaner,
    next_number: u32,
    /// Requests to the keeper that are open.
    creating: bool,
    filling: bool,
    /// When another file may be asked for.
    create_at: Time,
    /// For bodies read from disk.
    scratch: Vec<u8>,
    /// Where the last of them was damaged, until it is told.
    damage: Option<Damage>,
    tally: Tally,
    failure: Option<Failure>,
    is_closed: bool,
    recovered: RecoveryReport,
    /// On the way through what was recovered.
    walk: Option<Walk>,
    /// Where the last frame begins.
    last_frame: u32,
    saving: Option<IndexSaving>,
    /// As recovered, until they are taken.
    endings: Endings,
}

impl<L: Link> Journal<L> {
    /// A journal that goes on where `recovered` has ended. `progress` begins at [`Recovered::lsn`].
    pub fn new(
        settings: JournalSettings,
        recovered: Recovered<L::File>,
        link: L,
        progress: Arc<Progress>,
    ) -> Self {
        let Recovered { slots, segments, lsn, next_offset, next_number, endings, report } = recovered;
        let mut tally = Tally::default();
        for (_, _, gist) in slots.iter() {
            tally.add(gist.stage);
        }
        let mut spare = Vec::with_capacity(BATCHES_MAX);
        if let Some(file) = segments.get(segments.current()).and_then(Segment::file) {
            let batch = || Box::new(Batch::new(Arc::clone(file), batch_capacity(&settings)));
            spare.extend(std::iter::repeat_with(batch).take(BATCHES));
        }
        Self {
            ring: BodyRing::new(settings.memory_bytes),
            settings,
            link,
            progress,
            slots,
            segments,
            lsn,
            next_offset,
            open: None,
            waiting: VecDeque::with_capacity(BATCHES_MAX),
            spare,
            backlog_bytes: 0,
            written: lsn,
            synced: lsn,
            now: Time::ZERO,
            cleaner: Cleaner::default(),
            next_number,
            creating: false,
            filling: false,
            create_at: Time::ZERO,
            scratch: Vec::new(),
            damage: None,
            tally,
            failure: None,
            is_closed: false,
            recovered: report,
            walk: None,
            last_frame: 0,
            saving: None,
            endings,
        }
    }

    /// Begins a turn: takes in what has become durable. `commit_nanos` is called with the time from append to durable
    /// of each batch that somebody waited for, and the number of messages in it.
    pub fn poll(&mut self, now: Time, mut commit_nanos: impl FnMut(u64, u32)) {
        self.now = now;
        self.heed_failure();
        // What is written is looked at first: it is never behind what is synced.
        self.synced = self.progress.synced();
        self.written = self.progress.written();
        while let Some(batch) = self.link.returned() {
            self.backlog_bytes -= batch.bytes.len();
            if batch.puts > 0 {
                commit_nanos(batch.done.nanos_since(batch.opened), batch.puts);
            }
            self.tally.batch(batch.entries, batch.bytes.len());
            if self.spare.len() < BATCHES_MAX {
                self.spare.push(batch);
            }
        }
    }

    /// Takes over that the disk has failed.
    fn heed_failure(&mut self) {
        if self.failure.is_none() {
            self.failure = self.progress.failure().cloned();
        }
    }

    /// The place of the last body that was not what was written, if one was found so since the last call.
    pub const fn take_damage(&mut self) -> Option<Damage> {
        self.damage.take()
    }

    /// Accounts have these numbers from now on: the ones that they had, and those of new accounts.
    pub fn set_account_numbers(&mut self, numbers: AccountNumbers) {
        self.settings.accounts = numbers;
    }

    /// Whether there is news for [`Journal::poll`]; to be asked between announcing sleep and sleeping.
    pub fn has_news(&self) -> bool {
        self.progress.synced() != self.synced
            || self.progress.written() != self.written
            || (self.failure.is_none() && self.progress.failure().is_some())
    }

    /// Why nothing becomes durable any more, if so.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Its way to committer and keeper.
    pub const fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// What recovery found.
    pub const fn recovery(&self) -> &RecoveryReport {
        &self.recovered
    }

    /// Figures of this moment.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            pending: self.tally.pending,
            live_bytes: self.segments.live_bytes(),
            memory_bytes: self.slots.bytes() + self.ring.bytes(),
            segments: self.segments.in_use() as u64,
            files: self.segments.files() as u64 + u64::from(self.creating) + u64::from(self.filling),
            file_bytes: self.segments.file_bytes(),
            batches: self.tally.batches,
            entries: self.tally.entries,
            frame_bytes: self.tally.frame_bytes,
            batch_sizes: self.tally.batch_sizes,
            copied: self.tally.copied,
            refused: self.tally.refused,
            disk_reads: self.tally.disk_reads,
            damaged_reads: self.tally.damaged_reads,
            is_full: self.segments.available() < RESERVE,
            oldest_accepted_ms: self.segments.accepted_min(),
            recovery: self.recovered.figures(),
        }
    }
}

/// Octets of the largest frame.
fn batch_capacity(settings: &JournalSettings) -> usize {
    frame::padded(settings.batch_bytes_max.max(HEADER_BYTES + PUT_HEAD_BYTES + BODY_BYTES_MAX))
}

/// Octets that a message of so many octets of body counts for.
#[inline]
const fn put_bytes(length: u32) -> u64 {
    PUT_HEAD_BYTES as u64 + length as u64
}

const _: () = assert!(SEGMENT_BYTES_MIN as usize >= 2 * (frame::PAYLOAD_BYTES_MAX + HEADER_BYTES));
const _: () = assert!((SEGMENT_BYTES_MIN as usize).is_multiple_of(FRAME_ALIGN));
const _: () = assert!(crate::limits::PDU_BYTES_MAX <= BODY_BYTES_MAX);
