//! What goes between a journal, which never waits, and those who wait for the disk in its place: the committer, which
//! writes and syncs batches, and the keeper, which makes, fills, reads and deletes whole segments in the background.

use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::batch::Batch;
use super::disk::{Disk, SegmentFile, read_full, write_all};
use super::failure::{Doing, Failure};

/// How the journal reaches the two. The shell has threads and channels behind it, a simulation its schedule.
pub trait Link: Debug {
    /// The segments' files.
    type File: SegmentFile;

    /// Hands a batch to the committer, which takes them in order.
    ///
    /// # Errors
    /// Gives it back when one is waiting there already.
    fn submit(&mut self, batch: Box<Batch<Self::File>>) -> Result<(), Box<Batch<Self::File>>>;

    /// Whether it would take one.
    fn has_room(&self) -> bool;

    /// Takes the batch back that was submitted last, if the committer has not begun it.
    fn take_back(&mut self) -> Option<Box<Batch<Self::File>>>;

    /// A batch that the committer is done with.
    fn returned(&mut self) -> Option<Box<Batch<Self::File>>>;

    /// Asks the keeper for something. There are never more than a few open requests.
    fn ask(&mut self, request: Request<Self::File>);

    /// What the keeper has done.
    fn answer(&mut self) -> Option<Answer<Self::File>>;
}

/// How far the committer has got; written by it, read by the journal.
#[derive(Debug, Default)]
pub struct Progress {
    written: AtomicU64,
    synced: AtomicU64,
    /// The journal has more than it could submit.
    wants_wake: AtomicBool,
    /// Why it gets no further.
    failure: OnceLock<Failure>,
}

impl Progress {
    /// Everything up to `lsn` is there already.
    pub fn from(lsn: u64) -> Self {
        Self { written: AtomicU64::new(lsn), synced: AtomicU64::new(lsn), ..Self::default() }
    }

    /// The last entry written.
    #[inline]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The last entry synced.
    #[inline]
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Nothing becomes durable from now on. The first reason stands.
    pub fn fail(&self, failure: Failure) {
        // Later ones follow from the first.
        let _ = self.failure.set(failure);
    }

    /// Why nothing becomes durable any more, if so.
    #[inline]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Asks to be woken after the next batch.
    pub fn want_wake(&self) {
        self.wants_wake.store(true, Ordering::SeqCst);
    }

    /// Whether the journal has asked to be woken since the last call.
    pub fn take_wants_wake(&self) -> bool {
        self.wants_wake.load(Ordering::SeqCst) && self.wants_wake.swap(false, Ordering::SeqCst)
    }
}

/// The committer's part: writes batches and syncs what is written. A call to the disk that fails is the end: what it left
/// there is unknown, so it is never tried again, and nothing is reported as done any more.
#[derive(Debug)]
pub struct Writer<F> {
    store_id: u64,
    progress: Arc<Progress>,
    /// Files with writes that are not synced, by segment.
    dirty: Vec<(u32, Arc<F>)>,
    /// Of these, the last one has no more than its first frame.
    is_opening: bool,
    written: u64,
    synced: u64,
}

/// The disk has failed; [`Progress::failure`] says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl<F: SegmentFile> Writer<F> {
    /// For the store whose progress is published in `progress`.
    pub fn new(store_id: u64, progress: Arc<Progress>) -> Self {
        let (written, synced) = (progress.written(), progress.synced());
        Self { store_id, progress, dirty: Vec::with_capacity(4), is_opening: false, written, synced }
    }

    /// Whether `batch` is the one that comes next in the log.
    pub const fn is_next(&self, batch: &Batch<F>) -> bool {
        batch.first_lsn == self.written + 1
    }

    /// Writes a batch as the next frame.
    ///
    /// # Errors
    /// When the disk fails, or has failed before.
    pub fn write(&mut self, batch: &mut Batch<F>) -> Result<(), Stopped> {
        debug_assert!(self.is_next(batch));
        if batch.offset == 0 {
            self.is_opening = true;
        } else if self.is_opening && self.is_dirty() {
            // A file whose first frame is not there has no other: recovery need not look for one.
            self.sync()?;
        }
        if batch.is_clean_stop && self.is_dirty() {
            // The mark says that all before it is on disk.
            self.sync()?;
        }
        self.go_on()?;
        if self.dirty.last().is_none_or(|(segment, _)| *segment != batch.segment) {
            self.dirty.push((batch.segment, Arc::clone(&batch.file)));
        }
        batch.seal(self.store_id, self.synced);
        let done = write_all(&*batch.file, &batch.bytes, batch.offset);
        self.heed(Doing::Writing, done)?;
        self.written = batch.last_lsn();
        self.progress.written.store(self.written, Ordering::Release);
        Ok(())
    }

    /// Syncs what is written.
    ///
    /// # Errors
    /// When the disk fails, or has failed before.
    pub fn sync(&mut self) -> Result<(), Stopped> {
        self.go_on()?;
        let done = self.dirty.iter().try_for_each(|(_, file)| file.sync());
        self.heed(Doing::Syncing, done)?;
        self.dirty.clear();
        self.is_opening = false;
        self.synced = self.written;
        self.progress.synced.store(self.synced, Ordering::Release);
        Ok(())
    }

    fn go_on(&self) -> Result<(), Stopped> {
        if self.progress.failure().is_some() { Err(Stopped) } else { Ok(()) }
    }

    fn heed(&self, doing: Doing, done: io::Result<()>) -> Result<(), Stopped> {
        done.map_err(|error| {
            self.progress.fail(Failure::disk(doing, &error));
            Stopped
        })
    }

    /// Whether something is written and not synced.
    pub const fn is_dirty(&self) -> bool {
        self.synced < self.written
    }
}

/// What the journal wants from the keeper.
#[derive(Debug)]
pub enum Request<F> {
    /// Another file.
    Create {
        /// Its number.
        number: u32,
        /// Its octets.
        bytes: u32,
    },
    /// Zeros into the next part of a spare file, so that writing it later allocates nothing.
    Fill {
        /// Its number.
        number: u32,
        /// The file.
        file: Arc<F>,
        /// Where to go on.
        from: u32,
    },
    /// A file is no longer wanted.
    Delete {
        /// Its number.
        number: u32,
    },
    /// The journal wants another turn, even if nothing else happens.
    Wake {
        /// After so many milliseconds.
        after_ms: u64,
    },
    /// A part of a segment.
    Read {
        /// The segment's file.
        file: Arc<F>,
        /// Octets from its start.
        offset: u32,
        /// Where to put it; filled to its length, or to the file's end.
        buffer: Vec<u8>,
    },
    /// The next part of a saved index.
    SaveIndex {
        /// Its octets.
        block: Vec<u8>,
    },
    /// That was all of the index.
    PublishIndex,
}

/// What the keeper has done.
#[derive(Debug)]
pub enum Answer<F> {
    /// There is a new file.
    Created {
        /// Its number.
        number: u32,
        /// The file.
        file: Arc<F>,
    },
    /// There is no new file: the disk is full, or refuses.
    NotCreated,
    /// A part of a spare file is filled; up to where.
    Filled {
        /// Its number.
        number: u32,
        /// The file.
        file: Arc<F>,
        /// Where to go on; the file's length: it is complete.
        to: u32,
    },
    /// Filling a spare file failed, and it is gone.
    Lost {
        /// Its number.
        number: u32,
    },
    /// The part asked for.
    Read {
        /// It.
        buffer: Vec<u8>,
    },
    /// A part of an index is written.
    Saved {
        /// Its memory.
        block: Vec<u8>,
    },
    /// All of the index is written.
    Published,
    /// An index can't be saved, and there is none.
    NotSaved,
}

/// Octets of zeros written at once, and synced at once: what somebody else's sync may have to wait for.
const FILL_BYTES: usize = 1 << 18;

/// The keeper's part.
#[derive(Debug)]
pub struct Keeper<D: Disk> {
    disk: D,
    zeros: Vec<u8>,
    /// The index that is being saved, and its octets so far.
    index: Option<(Arc<D::File>, u32)>,
}

impl<D: Disk> Keeper<D> {
    /// For the segments on `disk`.
    pub const fn new(disk: D) -> Self {
        Self { disk, zeros: Vec::new(), index: None }
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// When a segment can't be read. Everything else that fails is an answer.
    pub fn run(&mut self, request: Request<D::File>) -> io::Result<Option<Answer<D::File>>> {
        Ok(Some(match request {
            Request::Create { number, bytes } => match self.disk.create(number, bytes) {
                Ok(file) => Answer::Created { number, file },
                Err(_) => Answer::NotCreated,
            },
            Request::Fill { number, file, from } => {
                self.zeros.resize(FILL_BYTES, 0);
                let bytes = FILL_BYTES.min((file.len() - from) as usize);
                let to = from + bytes as u32;
                // Synced part by part: all of it at once would hold up the syncs of messages.
                match write_all(&*file, &self.zeros[..bytes], from).and_then(|()| file.sync()) {
                    Ok(()) => Answer::Filled { number, file, to },
                    Err(_) => {
                        // What is left of it is found at the next start.
                        drop(self.disk.delete(number));
                        Answer::Lost { number }
                    }
                }
            }
            Request::Delete { number } => {
                drop(self.disk.delete(number));
                return Ok(None);
            }
            // Up to who has a clock.
            Request::Wake { .. } => return Ok(None),
            Request::Read { file, offset, mut buffer } => {
                let read = read_full(&*file, &mut buffer, offset)?;
                buffer.truncate(read);
                Answer::Read { buffer }
            }
            Request::SaveIndex { block } => match self.save_index(&block) {
                Ok(()) => Answer::Saved { block },
                Err(_) => self.give_index_up(),
            },
            Request::PublishIndex => match self.publish_index() {
                Ok(()) => Answer::Published,
                Err(_) => self.give_index_up(),
            },
        }))
    }

    fn save_index(&mut self, block: &[u8]) -> io::Result<()> {
        let (file, at) = match self.index.take() {
            Some(begun) => begun,
            None => (self.disk.create_index()?, 0),
        };
        write_all(&*file, block, at)?;
        let end = u32::try_from(block.len()).ok().and_then(|length| at.checked_add(length));
        self.index = Some((file, end.ok_or(io::ErrorKind::FileTooLarge)?));
        Ok(())
    }

    fn publish_index(&mut self) -> io::Result<()> {
        // It is not synced: a stop is not to wait for whatever else the disk has to do.
        self.index.take().ok_or(io::ErrorKind::NotFound)?;
        self.disk.publish_index()
    }

    /// The next start does without.
    fn give_index_up(&mut self) -> Answer<D::File> {
        self.index = None;
        drop(self.disk.remove_index());
        Answer::NotSaved
    }
}
