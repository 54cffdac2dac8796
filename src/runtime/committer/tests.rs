//! The threads of a store on a disk in memory whose calls are counted and fail on request.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::base::{AccountId, MessageId, WallTime};
use crate::store::journal::{Access, Journal, JournalSettings, open};
use crate::store::{Durability, MessageStore, Record};

const DEADLINE: Duration = Duration::from_secs(30);
const SEGMENT_BYTES: u32 = 128 * 1024;
const SEGMENTS_MAX: u32 = 12;

#[derive(Debug, Default)]
struct State {
    files: Mutex<Vec<(u32, Arc<MemoryFile>)>>,
    fails_write: AtomicBool,
    fails_sync: AtomicBool,
    /// Who has written.
    writers: Mutex<HashSet<thread::ThreadId>>,
}

#[derive(Clone, Debug, Default)]
struct MemoryDisk(Arc<State>);

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    bytes: Mutex<Vec<u8>>,
    len: u32,
}

impl SegmentFile for MemoryFile {
    fn len(&self) -> u32 {
        self.len
    }

    fn write_at(&self, bytes: &[u8], offset: u32) -> io::Result<usize> {
        if self.disk.0.fails_write.load(Ordering::SeqCst) {
            return Err(io::Error::other("the device is gone"));
        }
        self.disk.0.writers.lock().unwrap().insert(thread::current().id());
        let start = offset as usize;
        self.bytes.lock().unwrap()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u32) -> io::Result<usize> {
        let held = self.bytes.lock().unwrap();
        let rest = &held[offset as usize..];
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.0.fails_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the device is gone"));
        }
        Ok(())
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create(&mut self, number: u32, bytes: u32) -> io::Result<Arc<MemoryFile>> {
        let file = MemoryFile { disk: self.clone(), bytes: Mutex::new(vec![0; bytes as usize]), len: bytes };
        let file = Arc::new(file);
        self.0.files.lock().unwrap().push((number, Arc::clone(&file)));
        Ok(file)
    }

    fn delete(&mut self, number: u32) -> io::Result<()> {
        self.0.files.lock().unwrap().retain(|(other, _)| *other != number);
        Ok(())
    }

    fn files(&mut self) -> io::Result<Vec<(u32, Arc<MemoryFile>)>> {
        Ok(self.0.files.lock().unwrap().clone())
    }

    fn side_by_side(ahead: impl FnOnce() + Send, here: impl FnOnce()) {
        thread::scope(|scope| {
            scope.spawn(ahead);
            here();
        });
    }
}

struct Store {
    disk: MemoryDisk,
    journal: Journal<ChannelLink<MemoryFile>>,
    threads: StoreThreads,
    progress: Arc<Progress>,
    started: Instant,
    next_id: u64,
}

impl Store {
    fn new() -> Self {
        Self::with_segments_of(SEGMENT_BYTES)
    }

    fn with_segments_of(segment_bytes: u32) -> Self {
        let mut disk = MemoryDisk::default();
        let settings = JournalSettings {
            messages_max: 10_000,
            segment_bytes,
            segments_max: SEGMENTS_MAX,
            batch_bytes_max: 16 * 1024,
            ..JournalSettings::new(7)
        };
        let recovered = open(&mut disk, &settings, Access::Write).unwrap();
        let progress = Arc::new(Progress::from(recovered.lsn()));
        let (link, threads) =
            start(0, disk.clone(), 7, &progress, Clock::start(), LateWaker::default()).unwrap();
        let journal = Journal::new(settings, recovered, link, Arc::clone(&progress));
        disk.0.writers.lock().unwrap().clear();
        Self { disk, journal, threads, progress, started: Instant::now(), next_id: 1 }
    }

    /// A message that is accepted with this promise; whether there was room.
    fn put(&mut self, durability: Durability) -> bool {
        let now = WallTime::from_unix_millis(self.next_id);
        let record = Record {
            id: MessageId::from_u64(self.next_id),
            account: AccountId(0),
            target: None,
            stage: 0,
            state: 1,
            version: 0x34,
            error: 0,
            attempts: 0,
            accepted: now,
            due: now,
            expires: now,
            finished: now,
        };
        let Ok(stored) = self.journal.put_as(&record, &[7; 1_000], durability) else { return false };
        self.next_id += 1;
        // It ends at once, which nobody waits for.
        self.journal.remove_as(stored.location, Durability::None);
        true
    }

    fn turn(&mut self) {
        let nanos = self.started.elapsed().as_nanos() as u64;
        self.journal.poll(Time::from_nanos(nanos), |_, _| {});
        self.journal.commit();
        self.journal.link_mut().send_off(true);
    }

    fn has_written_itself(&self) -> bool {
        self.disk.0.writers.lock().unwrap().contains(&thread::current().id())
    }

    fn until(&mut self, mut is_enough: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_enough(self) {
            assert!(Instant::now() < deadline, "never: {:?}", self.journal.stats());
            self.turn();
            thread::yield_now();
        }
    }
}

#[test]
fn what_is_only_written_is_synced_soon_when_nothing_follows() {
    let mut store = Store::new();
    assert!(store.put(Durability::Buffered));
    store.until(|store| store.progress.synced() > 0);
}

#[test]
fn what_the_shards_thread_has_only_written_is_synced_soon_too() {
    let mut store = Store::new();
    store.journal.link_mut().keep_small(true);
    store.until(|store| {
        assert!(store.put(Durability::Buffered));
        store.has_written_itself()
    });
    store.turn();
    let written = store.progress.written();
    assert!(written > 0);
    store.until(|store| store.progress.synced() >= written);
}

#[test]
fn a_small_batch_to_be_synced_is_committed_by_the_shards_thread() {
    let mut store = Store::new();
    store.journal.link_mut().keep_small(true);
    assert!(store.put(Durability::Sync));
    store.turn();
    assert!(store.has_written_itself());
    assert_eq!(store.progress.synced(), store.progress.written());
}

#[test]
fn what_is_only_written_is_synced_soon_however_many_batches_come() {
    // No disk in memory takes as much in the interval.
    const SEGMENT_BYTES: u32 = 64 << 20;
    const FRAME_BYTES_MAX: u64 = SEGMENT_BYTES as u64 / 2;
    let mut store = Store::with_segments_of(SEGMENT_BYTES);
    let mut frame_bytes = 0;
    // The first sync comes with the second frame: a segment's first is synced before anything follows.
    let mut synced = Vec::new();
    store.until(|store| {
        store.put(Durability::Buffered);
        synced.push(store.progress.synced());
        synced.dedup();
        frame_bytes = store.journal.stats().frame_bytes;
        synced.len() > 3 || frame_bytes > FRAME_BYTES_MAX
    });
    assert!(synced.len() > 3, "{frame_bytes} octets are written, and what is synced was {synced:?}");
}

#[test]
fn a_store_that_nobody_waits_for_goes_round_its_segments() {
    let mut store = Store::new();
    // Far more than all segments hold.
    let mut refused = 0;
    store.until(|store| {
        for _ in 0..4 {
            refused += u64::from(!store.put(Durability::Buffered));
        }
        store.journal.stats().frame_bytes > u64::from(2 * SEGMENTS_MAX * SEGMENT_BYTES)
    });
    let stats = store.journal.stats();
    assert!(
        store.progress.synced() > 0 && stats.files <= u64::from(SEGMENTS_MAX),
        "{stats:?}, {refused} refused"
    );
    let Store { journal, threads, .. } = store;
    drop(journal);
    threads.join().unwrap();
}

#[test]
fn after_a_failed_call_nothing_is_tried_and_nothing_is_durable() {
    for fails_sync in [false, true] {
        let mut store = Store::new();
        assert!(store.put(Durability::Sync));
        store.until(|store| store.progress.synced() > 0);
        fails_of(&store.disk, fails_sync).store(true, Ordering::SeqCst);
        let synced = store.progress.synced();
        assert!(store.put(Durability::Sync));
        store.until(|store| store.journal.failure().is_some());
        // The disk is well again: too late.
        fails_of(&store.disk, fails_sync).store(false, Ordering::SeqCst);
        assert!(!store.put(Durability::Sync), "taken in after a failure");
        store.turn();
        let Store { disk, mut journal, threads, progress, .. } = store;
        journal.close();
        journal.commit();
        assert!(journal.is_flushed(), "who closes it must not wait for ever");
        drop(journal);
        let what = threads.join().unwrap_err();
        let doing = if fails_sync { "syncing the store" } else { "writing to the store" };
        assert!(
            what.starts_with(&format!("{doing} failed: the device is gone. Nothing is tried again")),
            "{what}"
        );
        assert_eq!(progress.synced(), synced);
        drop(disk);
    }
}

fn fails_of(disk: &MemoryDisk, fails_sync: bool) -> &AtomicBool {
    if fails_sync { &disk.0.fails_sync } else { &disk.0.fails_write }
}

/// Counts.
#[derive(Default)]
struct Roused(AtomicU32);

impl Wake for Roused {
    fn wake(&self) {}

    fn rouse(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_a_shards_thread_does_not_look_for_before_it_sleeps_rouses_it() {
    let progress = Arc::new(Progress::from(0));
    let (roused, waker) = (Arc::new(Roused::default()), LateWaker::default());
    waker.set(Arc::clone(&roused) as Arc<dyn Wake>);
    let (mut link, threads) = start(0, MemoryDisk::default(), 7, &progress, Clock::start(), waker).unwrap();
    let requests = [Request::Wake { after_ms: 1 }, Request::Create { number: 1, bytes: SEGMENT_BYTES }];
    let deadline = Instant::now() + DEADLINE;
    for (request, times) in requests.into_iter().zip(1..) {
        link.ask(request);
        while roused.0.load(Ordering::SeqCst) < times {
            assert!(Instant::now() < deadline, "{times}");
            thread::yield_now();
        }
    }
    drop(link);
    threads.join().unwrap();
}
