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
mod batch;
mod cleaner;
pub mod disk;
mod endings;
pub mod entry;
mod failure;
pub mod frame;
mod link;
mod packed;
mod recovery;
mod ring;
mod saved;
mod segments;
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
pub use recovery::{Access, Damage, OpenError, Recovered, RecoveryReport, open};
pub use stats::StoreStats;

use crate::base::{MessageId, Time};
use crate::store::{Durability, Ended, Ending, Location, Lsn, MessageStore, Record, StoreFull, Stored};
use cleaner::Cleaner;
use disk::read_full;
use endings::Endings;
use entry::{
    BODY_BYTES_MAX, END_BYTES, PUT_HEAD_BYTES, REMOVE_BYTES, RecordBytes, SlotName, UPDATE_BYTES,
    accepted_of, body_of_put, push_end, push_note, push_put, push_remove, push_update,
};
use frame::{BATCH_BYTES_MAX, FRAME_ALIGN, HEADER_BYTES};
use ring::BodyRing;
use saved::Saving;
use segments::{RESERVE, SPARES, Segment, Segments, Spare};
use slots::{Place, Slots};
use stats::Tally;
use walk::Walk;

/// Smallest and largest segment. A frame must fit well, and offsets have 32 bits.
pub const SEGMENT_BYTES_MIN: u32 = 2 << 20;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// How long after a file could not be made another is asked for.
const CREATE_RETRY_MS: u64 = 1_000;

/// Batches made at the start: one open, one that waits, one at the disk, and one on its way back.
const BATCHES: usize = 4;
/// Empty ones that are kept.
const BATCHES_MAX: usize = 64;

/// What a journal is opened with.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// What [`MessageStore::put`] promises: `Buffered` or `Sync`.
    pub durability: Durability,
    /// Random number of this store and shard: tells its frames from any others.
    pub store_id: u64,
    /// Most pending messages.
    pub messages_max: u32,
    /// Octets of a new segment.
    pub segment_bytes: u32,
    /// Most segment files; at least 6.
    pub segments_max: u32,
    /// Segments in use below which nothing is copied forward.
    pub segments_kept: u32,
    /// Octets that a batch may have before another begins; at most [`BATCH_BYTES_MAX`].
    pub batch_bytes_max: usize,
    /// Octets of memory for the bodies of young messages.
    pub memory_bytes: usize,
    /// Most messages that have ended of which recovery hands out what became of them.
    pub endings_max: u32,
    /// How accounts are numbered on disk.
    pub accounts: AccountNumbers,
}

impl JournalSettings {
    /// Settings for a store with this id, in which everything else has its default.
    pub fn new(store_id: u64) -> Self {
        Self {
            durability: Durability::Sync,
            store_id,
            messages_max: 4_000_000,
            segment_bytes: 64 << 20,
            segments_max: 256,
            segments_kept: 6,
            batch_bytes_max: BATCH_BYTES_MAX,
            memory_bytes: 64 << 20,
            endings_max: 0,
            accounts: AccountNumbers::default(),
        }
    }
}

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

/// On the way to a saved index.
#[derive(Debug)]
struct IndexSaving {
    saving: Saving,
    /// Blocks that are with the keeper.
    open: usize,
    is_complete: bool,
    is_over: bool,
}

/// Blocks that may be with the keeper at once.
const INDEX_BLOCKS_OPEN: usize = 4;

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

    /// Marks the log's end as an orderly one. Then [`commit`](MessageStore::commit) until [`Journal::is_flushed`].
    pub fn close(&mut self) {
        self.is_closed = true;
        self.note();
        if let Some(open) = &mut self.open {
            open.is_clean_stop = true;
            open.wants_sync = true;
        }
    }

    /// Whether everything that is to go has been handed to the committer.
    pub fn is_flushed(&self) -> bool {
        let may_stay = |open: &Batch<_>| open.entries == 0 || self.is_better_kept(open);
        self.failure.is_some() || (self.waiting.is_empty() && self.open.as_deref().is_none_or(may_stay))
    }

    /// Goes on with saving the index beside a log that has been closed and is on disk, for a quick start, and with it these
    /// endings, from which each call takes some. `true`: it is saved, or can't be; nothing else may be done before, and
    /// nothing at all after that.
    pub fn save_index(&mut self, endings: &mut dyn Iterator<Item = Ended>) -> bool {
        if !self.is_closed || self.failure.is_some() {
            return true;
        }
        if self.progress.synced() < self.lsn {
            return false;
        }
        let saving = self.saving.get_or_insert_with(|| IndexSaving {
            saving: Saving::new(self.settings.store_id, self.lsn, self.last_frame, self.next_offset),
            open: 0,
            is_complete: false,
            is_over: false,
        });
        let mut spare = Vec::new();
        while let Some(answer) = self.link.answer() {
            match answer {
                Answer::Saved { block } => {
                    saving.open -= 1;
                    spare = block;
                }
                Answer::Published | Answer::NotSaved => saving.is_over = true,
                // Files that nobody is going to use now.
                _ => {}
            }
        }
        while !saving.is_over && !saving.is_complete && saving.open < INDEX_BLOCKS_OPEN {
            let mut block = std::mem::take(&mut spare);
            let accounts = &self.settings.accounts;
            if saving.saving.next(&self.slots, &self.segments, endings, accounts, &mut block) {
                saving.open += 1;
                self.link.ask(Request::SaveIndex { block });
            } else {
                saving.is_complete = true;
                self.link.ask(Request::PublishIndex);
            }
        }
        saving.is_over
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

    /// Whether a put of so many octets leaves the reserve alone.
    #[inline]
    fn has_disk_room(&self, len: usize) -> bool {
        let available = self.segments.available();
        if available != RESERVE {
            return available > RESERVE;
        }
        let frame = frame::padded(HEADER_BYTES + PUT_HEAD_BYTES + len) as u64;
        let (end, capacity) = match &self.open {
            Some(open) => (open.end_with(0), open.file.len()),
            None => {
                let current = self.segments.get(self.segments.current());
                (u64::from(self.next_offset), current.and_then(Segment::file).map_or(0, |file| file.len()))
            }
        };
        end + frame <= u64::from(capacity)
    }

    /// Whether a put of so many octets is taken in, as far as disk and memory go.
    #[inline]
    fn takes(&self, len: usize) -> bool {
        self.has_disk_room(len)
            && self.segments.live_bytes() < self.live_bytes_max()
            && self.backlog_bytes < self.backlog_max()
            && len <= BODY_BYTES_MAX.min(self.settings.segment_bytes as usize / 4)
            && self.failure.is_none()
    }

    /// Whether the open batch is better filled further: nobody waits for it, and disk is too short for a page with
    /// next to nothing on it.
    fn is_better_kept(&self, open: &Batch<L::File>) -> bool {
        let is_short = self.segments.available() <= RESERVE;
        is_short
            && !(open.wants_sync || open.wants_write || self.is_closed || self.segments.has_unannounced())
            && open.bytes.len() < FRAME_ALIGN * 7 / 8
    }

    /// Octets of live entries above which no message is taken in: segments full of pending messages could not be
    /// cleaned any more.
    fn live_bytes_max(&self) -> u64 {
        let usable = u64::from(self.settings.segments_max).saturating_sub(RESERVE as u64 + 1);
        usable * u64::from(self.settings.segment_bytes) / 4 * 3
    }

    /// Octets on their way to disk above which no message is taken in: the bodies must still be in the ring.
    const fn backlog_max(&self) -> usize {
        (self.ring.bytes() / 2) as usize
    }

    /// The batch that takes `len` more octets, opened if need be. `None`: there is no room on disk.
    #[inline]
    fn room(&mut self, len: usize) -> Option<&mut Batch<L::File>> {
        let fits = self.open.as_ref().is_some_and(|open| self.fits(open, len));
        if !fits {
            self.begin(len)?;
        }
        self.open.as_deref_mut()
    }

    #[inline]
    fn fits(&self, open: &Batch<L::File>, len: usize) -> bool {
        let capacity = u64::from(open.file.len());
        (open.bytes.len() + len <= self.settings.batch_bytes_max || open.entries == 0)
            && open.end_with(len) <= capacity
    }

    /// Opens a batch that takes `len` octets: the one that waits for the committer, or a new one behind it.
    #[cold]
    fn begin(&mut self, len: usize) -> Option<()> {
        if self.failure.is_some() {
            return None;
        }
        if self.open.is_some() {
            self.shut();
        } else if self.waiting.is_empty()
            && let Some(batch) = self.link.take_back()
        {
            if self.fits(&batch, len) && !batch.is_clean_stop {
                self.backlog_bytes -= frame::padded(batch.bytes.len());
                self.next_offset = batch.offset;
                self.open = Some(batch);
                return Some(());
            }
            if let Err(batch) = self.link.submit(batch) {
                self.waiting.push_back(batch);
            }
        }
        let needed = u64::from(self.next_offset) + frame::padded(HEADER_BYTES + len) as u64;
        let has_filled = self.segments.has_filled();
        let takes = |segment: &Segment<L::File>| {
            let has_room = segment.file().is_some_and(|file| needed <= u64::from(file.len()));
            // Each sync of a frame in blocks that were never written takes twice as long.
            has_room && (needed <= u64::from(segment.filled_to) || !has_filled)
        };
        if !self.segments.get(self.segments.current()).is_some_and(takes) {
            if !self.segments.roll_over() {
                self.failure = Some(Failure::NoRoom);
                return None;
            }
            self.next_offset = 0;
        }
        let current = self.segments.current();
        let file = Arc::clone(self.segments.get(current)?.file()?);
        let (offset, first_lsn) = (self.next_offset, self.lsn + 1);
        // More are under way than ever before if there is none; it stays.
        let spare = self.spare.pop();
        let mut batch =
            spare.unwrap_or_else(|| Box::new(Batch::new(Arc::clone(&file), batch_capacity(&self.settings))));
        batch.renew(file, current, offset, first_lsn, self.now);
        self.open = Some(batch);
        Some(())
    }

    /// Ends the open batch: it waits for the committer now.
    fn shut(&mut self) {
        let Some(mut batch) = self.open.take() else { return };
        batch.oldest = self.segments.oldest();
        self.segments.announced(batch.last_lsn());
        (self.last_frame, self.next_offset) = (batch.offset, batch.end_with(0) as u32);
        if let Some(segment) = self.segments.get_mut(batch.segment) {
            segment.end = self.next_offset;
            segment.last_lsn = batch.last_lsn();
        }
        self.backlog_bytes += frame::padded(batch.bytes.len());
        self.waiting.push_back(batch);
    }

    /// Hands over what waits, and the open batch if the committer takes it.
    fn hand_over(&mut self) {
        loop {
            while let Some(batch) = self.waiting.pop_front() {
                if let Err(batch) = self.link.submit(batch) {
                    self.waiting.push_front(batch);
                    break;
                }
            }
            if !self.waiting.is_empty() {
                return;
            }
            match &self.open {
                // A batch that can't go yet is better filled further.
                Some(open) if open.entries > 0 && self.link.has_room() && !self.is_better_kept(open) => {
                    self.shut()
                }
                _ => return,
            }
        }
    }

    /// An entry that says nothing.
    fn note(&mut self) {
        let lsn = self.lsn + 1;
        let Some(batch) = self.room(1) else { return };
        push_note(&mut batch.bytes);
        batch.entries += 1;
        debug_assert_eq!(batch.last_lsn(), lsn);
        self.lsn = lsn;
    }

    /// Appends a put of `name` and says where its body is.
    #[inline]
    fn append_put(
        &mut self,
        name: SlotName,
        record: &RecordBytes,
        body: &[u8],
        wants: Option<Durability>,
    ) -> bool {
        let lsn = self.lsn + 1;
        let Some(batch) = self.room(PUT_HEAD_BYTES + body.len()) else { return false };
        push_put(&mut batch.bytes, name, record, body);
        batch.entries += 1;
        batch.puts += u32::from(wants.is_some());
        batch.wants_sync |= wants == Some(Durability::Sync);
        batch.wants_write |= wants == Some(Durability::Buffered);
        let offset = batch.offset + (batch.bytes.len() - body.len()) as u32;
        let segment = batch.segment;
        debug_assert_eq!(batch.last_lsn(), lsn);
        self.lsn = lsn;
        let place = Place { segment, offset, length: body.len() as u32, ring: self.ring.push(name, body) };
        self.slots.set_place(name, place);
        self.segments.add_live(segment, put_bytes(place.length), accepted_of(record));
        true
    }

    /// Lets go of a message with an entry of `len` octets, which `push` writes.
    #[inline]
    fn let_go(
        &mut self,
        location: Location,
        durability: Durability,
        len: usize,
        push: impl FnOnce(&mut Vec<u8>, SlotName),
    ) -> Lsn {
        let name = name_of(location);
        let Some((place, stage)) = self.slots.remove(name) else { return Lsn(self.lsn) };
        self.tally.sub(stage);
        self.segments.remove_live(place.segment, put_bytes(place.length));
        let lsn = self.lsn + 1;
        if let Some(batch) = self.room(len) {
            push(&mut batch.bytes, name);
            batch.entries += 1;
            batch.wants_sync |= durability == Durability::Sync;
            batch.wants_write |= durability == Durability::Buffered;
            self.lsn = lsn;
        }
        Lsn(lsn)
    }

    /// Reads a body from disk. `None`: what is there is not what was written; that is counted and told.
    fn read_back(&mut self, name: SlotName, place: Place) -> Option<&[u8]> {
        self.tally.disk_reads += 1;
        let segment = self.segments.get(place.segment)?;
        let (number, file) = (segment.number(), segment.file()?);
        self.scratch.resize(PUT_HEAD_BYTES + place.length as usize, 0);
        let offset = place.offset.checked_sub(PUT_HEAD_BYTES as u32)?;
        let read = read_full(&**file, &mut self.scratch, offset).unwrap_or(0);
        let body = self.scratch.get(..read).and_then(|entry| body_of_put(entry, name));
        if body.is_none_or(|body| body.len() != place.length as usize) {
            self.tally.damaged_reads += 1;
            self.damage = Some(Damage { file: number, segment: place.segment, offset, lost_entries: 1 });
            return None;
        }
        body
    }

    /// Takes in what the keeper has done, and asks it for what is needed next.
    fn keep_files(&mut self) {
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
        while let Some(spare) = self.segments.take_free(self.synced) {
            let is_of_size = spare.file.len() == self.settings.segment_bytes;
            if is_of_size && self.segments.available() < SPARES + 2 {
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

impl<L: Link> MessageStore for Journal<L> {
    #[inline]
    fn put_as(&mut self, record: &Record, body: &[u8], durability: Durability) -> Result<Stored, StoreFull> {
        let has_room = self.takes(body.len());
        let bytes = self.settings.accounts.encode(record);
        let name = if has_room { self.slots.insert(&bytes) } else { None };
        let Some(name) = name else {
            self.tally.refused += 1;
            return Err(StoreFull);
        };
        if !self.append_put(name, &bytes, body, Some(durability)) {
            self.slots.remove(name);
            return Err(StoreFull);
        }
        self.tally.add(record.stage);
        Ok(Stored { location: location_of(name), lsn: Lsn(self.lsn) })
    }

    #[inline]
    fn body(&mut self, location: Location) -> Option<&[u8]> {
        let name = name_of(location);
        let place = self.slots.place(name)?;
        // Looked up twice because a result of the first look would be borrowed to the end of the function.
        if self.ring.get(place.ring, name, place.length).is_some() {
            return self.ring.get(place.ring, name, place.length);
        }
        self.read_back(name, place)
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn record(&self, location: Location) -> Option<Record> {
        self.slots.record(name_of(location)).map(|bytes| self.settings.accounts.decode(&bytes))
    }

    fn id(&self, location: Location) -> Option<MessageId> {
        self.slots.id(name_of(location)).map(MessageId::from_u64)
    }

    #[inline]
    fn update_as(&mut self, location: Location, record: &Record, durability: Durability) -> Lsn {
        let (name, bytes) = (name_of(location), self.settings.accounts.encode(record));
        let Some(before) = self.slots.set_record(name, &bytes) else { return Lsn(self.lsn) };
        self.tally.sub(before);
        self.tally.add(record.stage);
        let lsn = self.lsn + 1;
        if let Some(batch) = self.room(UPDATE_BYTES) {
            push_update(&mut batch.bytes, name, &bytes);
            batch.entries += 1;
            batch.wants_sync |= durability == Durability::Sync;
            batch.wants_write |= durability == Durability::Buffered;
            self.lsn = lsn;
        }
        Lsn(lsn)
    }

    /// A put of the same name, which replay takes in place of the one before.
    fn replace_as(
        &mut self,
        location: Location,
        record: &Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull> {
        let (name, bytes) = (name_of(location), self.settings.accounts.encode(record));
        let place = self.slots.place(name).ok_or(StoreFull)?;
        if !self.takes(body.len()) || !self.append_put(name, &bytes, body, Some(durability)) {
            self.tally.refused += 1;
            return Err(StoreFull);
        }
        if let Some(before) = self.slots.set_record(name, &bytes) {
            self.tally.sub(before);
            self.tally.add(record.stage);
        }
        self.segments.remove_live(place.segment, put_bytes(place.length));
        let lsn = self.lsn;
        if let Some(segment) = self.segments.get_mut(place.segment) {
            // As for a copy: the old one is needed until this is on disk.
            segment.copied_lsn = lsn;
        }
        Ok(Stored { location, lsn: Lsn(lsn) })
    }

    #[inline]
    fn remove_as(&mut self, location: Location, durability: Durability) -> Lsn {
        self.let_go(location, durability, REMOVE_BYTES, push_remove)
    }

    #[inline]
    fn end_as(&mut self, location: Location, ending: &Ending, durability: Durability) -> Lsn {
        self.let_go(location, durability, END_BYTES, |out, name| push_end(out, name, ending))
    }

    fn durability(&self) -> Durability {
        self.settings.durability
    }

    #[inline]
    fn lsn_at(&self, durability: Durability) -> Lsn {
        Lsn(match durability {
            Durability::None => self.lsn,
            Durability::Buffered => self.written,
            Durability::Sync => self.synced,
        })
    }

    fn commit(&mut self) {
        self.heed_failure();
        if self.failure.is_some() {
            return;
        }
        self.keep_files();
        // Nothing is to come behind the mark of an orderly end.
        if !self.is_closed {
            self.clean();
            if self.segments.has_unannounced() && self.open.is_none() {
                self.note();
            }
        }
        self.hand_over();
        if !self.is_flushed() {
            self.progress.want_wake();
            // The committer may have made room before it could see that.
            self.hand_over();
        }
    }

    fn recovered_count(&self) -> u32 {
        self.slots.live()
    }

    fn recovered_ending(&mut self) -> Option<Ended> {
        self.endings.take(&self.settings.accounts)
    }

    fn recovered(&mut self) -> Option<(Location, Record, &[u8])> {
        let walk = self.walk.get_or_insert_with(|| Walk::new(&self.slots));
        if walk.is_over() {
            // It stays over, and lets go of its memory.
            *walk = Walk::default();
            return None;
        }
        walk.next(&self.slots, &self.segments, &self.settings.accounts)
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

#[inline]
const fn location_of(name: SlotName) -> Location {
    Location(name.slot as u64 | (name.generation as u64) << 32)
}

#[inline]
const fn name_of(location: Location) -> SlotName {
    SlotName { slot: location.0 as u32, generation: (location.0 >> 32) as u16 }
}

const _: () = assert!(SEGMENT_BYTES_MIN as usize >= 2 * (frame::PAYLOAD_BYTES_MAX + HEADER_BYTES));
const _: () = assert!((SEGMENT_BYTES_MIN as usize).is_multiple_of(FRAME_ALIGN));
const _: () = assert!(crate::limits::PDU_BYTES_MAX <= BODY_BYTES_MAX);
