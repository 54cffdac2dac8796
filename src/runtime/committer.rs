//! The threads that wait for the disk in a shard's place: a committer, which writes and syncs what it finds when the
//! last sync has returned, and a keeper for whole segments. They do nothing else, and everything that they do to a
//! segment is in `store::journal`.
//!
//! A shard's thread that has nothing else to do commits a small batch itself: two threads that wake each other cost as
//! much as the disk. It goes back to the committer for a while when the disk is slow.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use parking_lot::Mutex;

use super::clock::Clock;
use super::segment_folder::SegmentOnDisk;
use crate::base::Time;
use crate::control_lane::Wake;
use crate::store::journal::{
    Answer, Batch, Disk, Doing, Failure, Keeper, Link, Progress, Request, SegmentFile, Stopped, Writer,
};

/// What nobody waits for to be synced (final states, messages of which only the write was promised) is synced with the
/// next batch that somebody does wait for, or this long after it was written: files come free only behind a sync.
const SYNC_INTERVAL: Duration = Duration::from_millis(20);
/// Entries of a batch up to which the shard's thread may commit it itself: more come when there is much to do.
const HERE_ENTRIES_MAX: u32 = 16;
/// A commit that takes longer holds up what else the shard's thread has to do, so the next ones are left to the committer.
const HERE_NANOS_MAX: u64 = 2_000_000;
/// For so many times as long: a disk that is slow now and then, as disks are, costs its thread no more than that share, and
/// one that always is has the committer.
const HERE_PAUSE_FACTOR: u64 = 10;
/// Rests between the parts of a spare segment that is being filled: 256 KiB each, so at most 100 MiB/s.
const FILL_PAUSE: Duration = Duration::from_micros(2_500);
/// Batches on their way back. Never full while the shard lives: it submits fewer than this between two looks.
const RETURNED_MAX: usize = 64;
/// Requests to the keeper; the journal has at most one of each kind open, and a few deletions.
const REQUESTS_MAX: usize = 1_024;

/// The waker of the shard's thread, once there is one.
#[derive(Clone, Default)]
pub struct LateWaker(Arc<OnceLock<Arc<dyn Wake>>>);

impl LateWaker {
    /// From now on this is what is woken.
    pub fn set(&self, waker: Arc<dyn Wake>) {
        let was_set = self.0.set(waker).is_err();
        debug_assert!(!was_set, "a shard has one thread");
    }

    fn wake(&self) {
        if let Some(waker) = self.0.get() {
            waker.wake();
        }
    }

    fn rouse(&self) {
        if let Some(waker) = self.0.get() {
            waker.rouse();
        }
    }
}

impl fmt::Debug for LateWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LateWaker").field(&self.0.get().is_some()).finish()
    }
}

/// What both threads that commit have in hand, in turn.
#[derive(Debug)]
struct Shared<F> {
    writer: Writer<F>,
    /// The committer syncs what is written within [`SYNC_INTERVAL`], whether more batches come to it or not.
    is_sync_due: bool,
}

impl<F> Shared<F> {
    /// Whether the shard's thread may write `batch`: it syncs it, or the committer will without being told.
    const fn may_be_written_here(&self, batch: &Batch<F>) -> bool {
        batch.wants_sync || self.is_sync_due
    }
}

/// The journal's end.
#[derive(Debug)]
pub struct ChannelLink<F = SegmentOnDisk> {
    batches: Sender<Box<Batch<F>>>,
    /// The same channel, to take back what has not been begun.
    not_begun: Receiver<Box<Batch<F>>>,
    returned: Receiver<Box<Batch<F>>>,
    requests: Sender<Request<F>>,
    answers: Receiver<Answer<F>>,
    /// The committer's. Only tried for here, and held by the committer only while it is at the disk.
    shared: Arc<Mutex<Shared<F>>>,
    progress: Arc<Progress>,
    clock: Clock,
    /// Whether small batches are kept for the end of the turn.
    keeps: bool,
    /// The one that is, until [`ChannelLink::send_off`].
    kept: Option<Box<Batch<F>>>,
    /// The one that was committed here.
    committed: Option<Box<Batch<F>>>,
    /// The disk was slow: none is committed here before this.
    here_at: Time,
}

impl<F: SegmentFile> ChannelLink<F> {
    /// From now on small batches are kept for [`ChannelLink::send_off`], which must then follow every commit; or no longer.
    pub const fn keep_small(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    /// Ends a turn: a batch that was kept is committed here if this thread `is_idle`, and goes to the committer if not.
    /// True: somebody waits for what is done.
    pub fn send_off(&mut self, is_idle: bool) -> bool {
        let Some(mut batch) = self.kept.take() else { return false };
        let started = self.clock.time();
        if is_idle
            && started >= self.here_at
            && let Some(mut shared) = self.shared.try_lock()
            && shared.may_be_written_here(&batch)
        {
            let is_waited_for = batch.wants_sync || batch.wants_write;
            let writer = &mut shared.writer;
            let mut done = writer.write(&mut batch);
            if batch.wants_sync {
                done = done.and_then(|()| writer.sync());
            }
            // A failure shows in the progress, as everything does.
            if done.is_ok() {
                batch.done = self.clock.time();
                let taken_nanos = batch.done.nanos_since(started);
                if taken_nanos > HERE_NANOS_MAX {
                    let pause_nanos = taken_nanos.saturating_mul(HERE_PAUSE_FACTOR);
                    self.here_at = Time::from_nanos(batch.done.as_nanos().saturating_add(pause_nanos));
                }
                self.committed = Some(batch);
            }
            return is_waited_for || done.is_err() || self.progress.take_wants_wake();
        }
        // It was kept because the channel was empty, and only this end sends.
        let sent = self.batches.try_send(batch);
        debug_assert!(!matches!(sent, Err(TrySendError::Full(_))), "the channel has filled by itself");
        false
    }

    /// Whether `batch` is worth keeping: nothing is before it, it is small, and this thread may write it.
    fn is_for_here(&self, batch: &Batch<F>) -> bool {
        self.keeps
            && !batch.is_clean_stop
            && batch.entries <= HERE_ENTRIES_MAX
            && self.batches.is_empty()
            && self.committed.is_none()
            && self
                .shared
                .try_lock()
                .is_some_and(|shared| shared.writer.is_next(batch) && shared.may_be_written_here(batch))
    }
}

impl<F: SegmentFile> Link for ChannelLink<F> {
    type File = F;

    fn has_room(&self) -> bool {
        self.kept.is_none() && self.batches.is_empty()
    }

    fn submit(&mut self, batch: Box<Batch<F>>) -> Result<(), Box<Batch<F>>> {
        if self.kept.is_some() {
            return Err(batch);
        }
        if self.is_for_here(&batch) {
            self.kept = Some(batch);
            return Ok(());
        }
        self.batches.try_send(batch).map_err(TrySendError::into_inner)
    }

    fn take_back(&mut self) -> Option<Box<Batch<F>>> {
        self.kept.take().or_else(|| self.not_begun.try_recv().ok())
    }

    fn returned(&mut self) -> Option<Box<Batch<F>>> {
        self.committed.take().or_else(|| self.returned.try_recv().ok())
    }

    fn ask(&mut self, request: Request<F>) {
        let sent = self.requests.try_send(request);
        debug_assert!(
            !matches!(sent, Err(TrySendError::Full(_))),
            "more requests to the keeper than can be open"
        );
    }

    fn answer(&mut self) -> Option<Answer<F>> {
        self.answers.try_recv().ok()
    }
}

/// The two threads of one shard's store. They end when its link is dropped, or when the disk fails.
#[derive(Debug)]
pub struct StoreThreads {
    threads: [JoinHandle<()>; 2],
    progress: Arc<Progress>,
}

impl StoreThreads {
    /// Waits until everything is on disk. The link must be gone.
    ///
    /// # Errors
    /// When not everything is: the disk has failed, or a thread panicked.
    pub fn join(self) -> Result<(), String> {
        for thread in self.threads {
            thread.join().map_err(|_| "a thread of the store panicked".to_owned())?;
        }
        self.progress.failure().map_or(Ok(()), |failure| Err(failure.to_string()))
    }
}

/// Starts the threads of shard `shard`'s store on `disk`.
///
/// # Errors
/// When a thread can't be started.
pub fn start<D: Disk>(
    shard: u16,
    disk: D,
    store_id: u64,
    progress: &Arc<Progress>,
    clock: Clock,
    waker: LateWaker,
) -> io::Result<(ChannelLink<D::File>, StoreThreads)> {
    let (batches, not_begun) = bounded(1);
    let (returned_tx, returned) = bounded(RETURNED_MAX);
    let (requests, requests_rx) = bounded(REQUESTS_MAX);
    let (answers_tx, answers) = bounded(REQUESTS_MAX);
    let writer = Writer::new(store_id, Arc::clone(progress));
    let shared = Arc::new(Mutex::new(Shared { writer, is_sync_due: false }));
    let committer = Committer {
        shared: Arc::clone(&shared),
        progress: Arc::clone(progress),
        batches: not_begun.clone(),
        returned: returned_tx,
        sync_at: None,
        clock,
        waker: waker.clone(),
    };
    let keeper_progress = Arc::clone(progress);
    let threads = [
        thread::Builder::new().name(format!("smscd-commit-{shard}")).spawn(move || committer.run())?,
        thread::Builder::new().name(format!("smscd-keep-{shard}")).spawn(move || {
            keep(Keeper::new(disk), &requests_rx, &answers_tx, &keeper_progress, &waker);
        })?,
    ];
    let link = ChannelLink {
        batches,
        not_begun,
        returned,
        requests,
        answers,
        shared,
        progress: Arc::clone(progress),
        clock,
        keeps: false,
        kept: None,
        committed: None,
        here_at: Time::ZERO,
    };
    Ok((link, StoreThreads { threads, progress: Arc::clone(progress) }))
}

struct Committer<F> {
    shared: Arc<Mutex<Shared<F>>>,
    progress: Arc<Progress>,
    batches: Receiver<Box<Batch<F>>>,
    returned: Sender<Box<Batch<F>>>,
    /// When what is written and not synced is to be, if there is any.
    sync_at: Option<Instant>,
    clock: Clock,
    waker: LateWaker,
}

/// What a committer does next.
enum Next<F> {
    Commit(Box<Batch<F>>),
    Sync,
    Leave,
}

impl<F: SegmentFile> Committer<F> {
    fn run(mut self) {
        if self.commit_all().is_err() {
            // The shard sees it and tells control, which stops the daemon.
            self.waker.wake();
        }
    }

    fn commit_all(&mut self) -> Result<(), Stopped> {
        loop {
            match self.next() {
                Next::Commit(batch) => self.commit(batch)?,
                Next::Sync => {
                    self.sync()?;
                    // Segments may have become free with it.
                    self.waker.wake();
                }
                Next::Leave => return self.sync(),
            }
        }
    }

    fn next(&self) -> Next<F> {
        let Some(sync_at) = self.sync_at else {
            return self.batches.recv().map_or(Next::Leave, Next::Commit);
        };
        // However many batches wait.
        if Instant::now() >= sync_at {
            return Next::Sync;
        }
        match self.batches.recv_deadline(sync_at) {
            Ok(batch) => Next::Commit(batch),
            Err(RecvTimeoutError::Timeout) => Next::Sync,
            Err(RecvTimeoutError::Disconnected) => Next::Leave,
        }
    }

    fn commit(&mut self, mut batch: Box<Batch<F>>) -> Result<(), Stopped> {
        let (wants_write, wants_sync) = (batch.wants_write, batch.wants_sync);
        let mut shared = self.shared.lock();
        shared.writer.write(&mut batch)?;
        if wants_write && wants_sync {
            self.waker.wake();
        }
        if wants_sync {
            self.sync_at = None;
            shared.writer.sync()?;
        } else if self.sync_at.is_none() {
            self.sync_at = Some(Instant::now() + SYNC_INTERVAL);
        }
        shared.is_sync_due = self.sync_at.is_some();
        drop(shared);
        batch.done = self.clock.time();
        // The shard may have left; then nobody needs the batch.
        drop(self.returned.send(batch));
        if self.progress.take_wants_wake() {
            self.waker.rouse();
        } else if wants_write || wants_sync {
            self.waker.wake();
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Stopped> {
        self.sync_at = None;
        let mut shared = self.shared.lock();
        shared.is_sync_due = false;
        shared.writer.sync()
    }
}

fn keep<D: Disk>(
    mut keeper: Keeper<D>,
    requests: &Receiver<Request<D::File>>,
    answers: &Sender<Answer<D::File>>,
    progress: &Progress,
    waker: &LateWaker,
) {
    let mut wake_at = None;
    loop {
        let request = match wake_at {
            None => requests.recv().map_err(RecvTimeoutError::from),
            Some(at) => requests.recv_deadline(at),
        };
        let request = match request {
            Ok(Request::Wake { after_ms }) => {
                wake_at = Some(Instant::now() + Duration::from_millis(after_ms));
                continue;
            }
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                wake_at = None;
                waker.rouse();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let fills = matches!(request, Request::Fill { .. });
        match keeper.run(request) {
            Ok(Some(answer)) => {
                if fills {
                    thread::sleep(FILL_PAUSE);
                }
                if answers.send(answer).is_err() {
                    return;
                }
                waker.rouse();
            }
            Ok(None) => {}
            Err(error) => {
                progress.fail(Failure::disk(Doing::Reading, &error));
                return waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
