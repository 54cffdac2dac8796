//! The threads that wait for the disk in a shard's place: a committer, which writes and syncs what it finds when the
//! last sync has returned, and a keeper for whole segments. They do nothing else, and everything that they do to a
//! segment is in `store::journal`.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use tracing::error;

use super::clock::Clock;
use super::segment_folder::{SegmentFolder, SegmentOnDisk};
use crate::control_lane::Wake;
use crate::store::journal::{Answer, Batch, Keeper, Link, Progress, Request, Writer};

/// Entries that nobody waits for (final states) are synced with the next batch that somebody does wait for, or after
/// this long.
const IDLE_SYNC: Duration = Duration::from_millis(20);
/// Rests between the parts of a spare segment that is being filled: 256 KiB each, so at most 100 MiB/s.
const FILL_PAUSE: Duration = Duration::from_micros(2_500);
/// Batches on their way back. Never full while the shard lives: it submits fewer than this between two looks.
const RETURNED_MAX: usize = 64;
/// Requests to the keeper; the journal has at most one of each kind open, and a few deletions.
const REQUESTS_MAX: usize = 1_024;
/// Exit code of a daemon that failed at run time.
const EXIT_FAILED: i32 = 1;

type SegmentBatch = Box<Batch<SegmentOnDisk>>;

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
}

impl fmt::Debug for LateWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LateWaker").field(&self.0.get().is_some()).finish()
    }
}

/// The journal's end.
#[derive(Debug)]
pub struct ChannelLink {
    batches: Sender<SegmentBatch>,
    /// The same channel, to take back what has not been begun.
    not_begun: Receiver<SegmentBatch>,
    returned: Receiver<SegmentBatch>,
    requests: Sender<Request<SegmentOnDisk>>,
    answers: Receiver<Answer<SegmentOnDisk>>,
}

impl Link for ChannelLink {
    type File = SegmentOnDisk;

    fn has_room(&self) -> bool {
        self.batches.is_empty()
    }

    fn submit(&mut self, batch: SegmentBatch) -> Result<(), SegmentBatch> {
        self.batches.try_send(batch).map_err(TrySendError::into_inner)
    }

    fn take_back(&mut self) -> Option<SegmentBatch> {
        self.not_begun.try_recv().ok()
    }

    fn returned(&mut self) -> Option<SegmentBatch> {
        self.returned.try_recv().ok()
    }

    fn ask(&mut self, request: Request<SegmentOnDisk>) {
        let sent = self.requests.try_send(request);
        debug_assert!(sent.is_ok(), "more requests to the keeper than can be open");
    }

    fn answer(&mut self) -> Option<Answer<SegmentOnDisk>> {
        self.answers.try_recv().ok()
    }
}

/// The two threads of one shard's store. They end when its link is dropped.
#[derive(Debug)]
pub struct StoreThreads {
    threads: [JoinHandle<()>; 2],
}

impl StoreThreads {
    /// Waits until everything is on disk. The link must be gone.
    ///
    /// # Errors
    /// When a thread panicked.
    pub fn join(self) -> Result<(), &'static str> {
        for thread in self.threads {
            thread.join().map_err(|_| "a thread of the store panicked")?;
        }
        Ok(())
    }
}

/// Starts the threads of shard `shard`'s store in `folder`.
///
/// # Errors
/// When a thread can't be started.
pub fn start(
    shard: u16,
    folder: SegmentFolder,
    store_id: u64,
    progress: &Arc<Progress>,
    clock: Clock,
    waker: LateWaker,
) -> io::Result<(ChannelLink, StoreThreads)> {
    let (batches, not_begun) = bounded(1);
    let (returned_tx, returned) = bounded(RETURNED_MAX);
    let (requests, requests_rx) = bounded(REQUESTS_MAX);
    let (answers_tx, answers) = bounded(REQUESTS_MAX);
    let committer = Committer {
        shard,
        writer: Writer::new(store_id, Arc::clone(progress)),
        progress: Arc::clone(progress),
        batches: not_begun.clone(),
        returned: returned_tx,
        clock,
        waker: waker.clone(),
    };
    let committer =
        thread::Builder::new().name(format!("smscd-commit-{shard}")).spawn(move || committer.run())?;
    let keeper = thread::Builder::new().name(format!("smscd-keep-{shard}")).spawn(move || {
        keep(shard, Keeper::new(folder), &requests_rx, &answers_tx, &waker);
    })?;
    let link = ChannelLink { batches, not_begun, returned, requests, answers };
    Ok((link, StoreThreads { threads: [committer, keeper] }))
}

struct Committer {
    shard: u16,
    writer: Writer<SegmentOnDisk>,
    progress: Arc<Progress>,
    batches: Receiver<SegmentBatch>,
    returned: Sender<SegmentBatch>,
    clock: Clock,
    waker: LateWaker,
}

impl Committer {
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(batch) => self.commit(batch),
                Err(RecvTimeoutError::Timeout) => {
                    self.sync();
                    // Segments may have become free with it.
                    self.waker.wake();
                }
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
        }
    }

    fn next(&self) -> Result<SegmentBatch, RecvTimeoutError> {
        match self.batches.try_recv() {
            Ok(batch) => Ok(batch),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) if self.writer.is_dirty() => self.batches.recv_timeout(IDLE_SYNC),
            Err(TryRecvError::Empty) => self.batches.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn commit(&mut self, mut batch: SegmentBatch) {
        let (wants_write, wants_sync) = (batch.wants_write, batch.wants_sync);
        if let Err(error) = self.writer.write(&mut batch) {
            stop(self.shard, "writing to", &error);
        }
        if wants_write && wants_sync {
            self.waker.wake();
        }
        if wants_sync {
            self.sync();
        }
        batch.done = self.clock.time();
        // The shard may have left; then nobody needs the batch.
        drop(self.returned.send(batch));
        if wants_write || wants_sync || self.progress.take_wants_wake() {
            self.waker.wake();
        }
    }

    fn sync(&mut self) {
        if let Err(error) = self.writer.sync() {
            stop(self.shard, "syncing", &error);
        }
    }
}

fn keep(
    shard: u16,
    mut keeper: Keeper<SegmentFolder>,
    requests: &Receiver<Request<SegmentOnDisk>>,
    answers: &Sender<Answer<SegmentOnDisk>>,
    waker: &LateWaker,
) {
    while let Ok(request) = requests.recv() {
        let fills = matches!(request, Request::Fill { .. });
        match keeper.run(request) {
            Ok(Some(answer)) => {
                if fills {
                    thread::sleep(FILL_PAUSE);
                }
                if answers.send(answer).is_err() {
                    return;
                }
                waker.wake();
            }
            Ok(None) => {}
            Err(error) => stop(shard, "reading from", &error),
        }
    }
}

/// Ends the process: what a failed call has left on disk is unknown, and only a new start can tell. Nothing that was
/// not durable has been promised to anybody.
fn stop(shard: u16, doing: &str, error: &io::Error) -> ! {
    error!(
        "stopping: {doing} the store of shard {shard} failed: {error}. Nothing is tried again; the next start recovers what is on disk"
    );
    std::process::exit(EXIT_FAILED);
}
