//! The durable store alone, on a real disk: rate, CPU time and write amplification of accepting and finishing messages
//! in groups, at several numbers pending; then recovery. Prints CSV.
//!
//! `cargo bench --bench store -- [--dir DIR] [--messages N] [--group N] [--pending N,N,...] [--buffered]`

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use smscd::base::{AccountId, MessageId, WallTime};
use smscd::control_lane::Wake;
use smscd::runtime::clock::Clock;
use smscd::runtime::committer::{self, ChannelLink, LateWaker, StoreThreads};
use smscd::runtime::segment_folder::SegmentFolder;
use smscd::store::journal::{self, Access, JournalSettings, Progress};
use smscd::store::{Durability, Journal, Location, Lsn, MessageStore, Record, StoreFull};

/// Octets of a submit_sm with a text of 60 characters.
const BODY_BYTES: usize = 120;
/// Groups in flight: while one is synced the next is filled.
const GROUPS_IN_FLIGHT: usize = 2;

struct Args {
    dir: Option<PathBuf>,
    messages: u64,
    group: u64,
    pending: Vec<u64>,
    durability: Durability,
}

fn args() -> Args {
    let mut args = Args {
        dir: None,
        messages: 3_000_000,
        group: 256,
        pending: vec![0, 1_000_000],
        durability: Durability::Sync,
    };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let mut value = || given.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match &*flag {
            "--dir" => args.dir = Some(value().into()),
            "--messages" => args.messages = value().parse().expect("a number"),
            "--group" => args.group = value().parse().expect("a number"),
            "--pending" => {
                args.pending = value().split(',').map(|number| number.parse().expect("a number")).collect();
            }
            "--buffered" => args.durability = Durability::Buffered,
            "--bench" => {}
            _ => panic!("unknown flag {flag}"),
        }
    }
    args
}

/// Wakes the bench's thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(&self) {
        self.0.unpark();
    }

    fn rouse(&self) {
        self.0.unpark();
    }
}

struct Store {
    journal: Journal<ChannelLink>,
    threads: StoreThreads,
    clock: Clock,
    recovered_in: f64,
    next_id: u64,
    durability: Durability,
}

fn settings(durability: Durability, messages_max: u64) -> JournalSettings {
    JournalSettings { durability, messages_max: messages_max as u32, ..JournalSettings::new(0xBE7C) }
}

impl Store {
    fn open(dir: &Path, durability: Durability, messages_max: u64) -> Self {
        let mut folder = SegmentFolder::create(dir).expect("a folder");
        let settings = settings(durability, messages_max);
        let started = Instant::now();
        let recovered = journal::open(&mut folder, &settings, Access::Write).expect("a store");
        let recovered_in = started.elapsed().as_secs_f64();
        assert_eq!(recovered.report().damaged, 0);
        let progress = Arc::new(Progress::from(recovered.lsn()));
        let clock = Clock::start();
        let waker = LateWaker::default();
        waker.set(Arc::new(Unpark(std::thread::current())));
        let (link, threads) =
            committer::start(0, folder, settings.store_id, &progress, clock, waker).expect("threads");
        let journal = Journal::new(settings, recovered, link, progress);
        Self { journal, threads, clock, recovered_in, next_id: 1, durability }
    }

    fn put(&mut self, body: &[u8]) -> (Location, Lsn) {
        // In whole seconds, as routing has it: a million messages in each.
        let accepted = WallTime::from_unix_millis((1_800_000_000 + self.next_id / 1_000_000) * 1_000);
        let record = Record {
            id: MessageId::from_u64(self.next_id << 20),
            account: AccountId(0),
            target: None,
            stage: 0,
            state: 1,
            version: 0x34,
            error: 0,
            attempts: 0,
            accepted,
            due: accepted,
            expires: WallTime::from_unix_millis(accepted.unix_millis() + 86_400_000),
            finished: WallTime::default(),
        };
        loop {
            match self.journal.put(&record, body) {
                Ok(stored) => {
                    self.next_id += 1;
                    return (stored.location, stored.lsn);
                }
                Err(StoreFull) => self.turn(),
            }
        }
    }

    fn turn(&mut self) {
        self.journal.poll(self.clock.time(), |_, _| {});
        self.journal.commit();
    }

    /// Waits until `lsn` is as durable as asked.
    fn wait(&mut self, lsn: Lsn) {
        self.turn();
        while self.journal.lsn_at(self.durability) < lsn {
            // Woken by the committer; the limit is for a wake-up between the look and the rest.
            std::thread::park_timeout(Duration::from_millis(1));
            self.turn();
        }
    }

    /// Accepts and finishes messages in groups: each is finished one group after it has become durable.
    fn run(&mut self, messages: u64, group: u64, body: &[u8]) {
        let mut open: VecDeque<(Lsn, Vec<Location>)> = VecDeque::new();
        let mut spare: Vec<Vec<Location>> = Vec::new();
        for _ in 0..messages / group {
            let mut locations = spare.pop().unwrap_or_default();
            let mut last = Lsn(0);
            for _ in 0..group {
                let (location, lsn) = self.put(body);
                locations.push(location);
                last = lsn;
            }
            open.push_back((last, locations));
            self.turn();
            if open.len() > GROUPS_IN_FLIGHT
                && let Some((lsn, mut locations)) = open.pop_front()
            {
                self.wait(lsn);
                for location in locations.drain(..) {
                    self.journal.remove(location);
                }
                spare.push(locations);
            }
        }
        for (lsn, locations) in open {
            self.wait(lsn);
            for location in locations {
                self.journal.remove(location);
            }
        }
        self.turn();
    }

    fn close(mut self) {
        self.journal.close();
        self.journal.commit();
        while !self.journal.is_flushed() {
            std::thread::yield_now();
            self.turn();
        }
        drop(self.journal);
        self.threads.join().expect("threads");
    }
}

fn proc_field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// CPU seconds of all threads so far.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|&i: &usize| fields.get(i)?.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn main() {
    let args = args();
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = args.dir.unwrap_or_else(|| temporary.path().to_owned()).join("bench-store");
    let body = vec![b'x'; BODY_BYTES];
    println!(
        "pending,messages_per_s,cpu_us_per_message,write_amplification,batch_mean,disk_mib,resident_mib,\
         recovered_pending,recovery_s"
    );
    let mut pending = 0;
    let messages_max = args.pending.iter().max().copied().unwrap_or(0) + 1_000_000;
    for target in args.pending {
        let mut store = Store::open(&dir, args.durability, messages_max);
        let (recovered, recovery_s) = (pending, store.recovered_in);
        while pending < target {
            store.put(&body);
            pending += 1;
            if pending.is_multiple_of(1_024) {
                store.turn();
            }
        }
        // A warm start: the first segments have been written once.
        store.run(args.messages / 4, args.group, &body);
        let before = store.journal.stats();
        let (cpu, started) = (cpu_s(), Instant::now());
        store.run(args.messages, args.group, &body);
        let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu_s() - cpu);
        let after = store.journal.stats();
        // An accepted and finished message is a put and a remove.
        let entry_bytes = args.messages * (53 + BODY_BYTES as u64 + 7);
        println!(
            "{target},{:.0},{:.3},{:.2},{:.0},{},{},{recovered},{recovery_s:.3}",
            args.messages as f64 / elapsed,
            cpu * 1e6 / args.messages as f64,
            (after.frame_bytes - before.frame_bytes) as f64 / entry_bytes as f64,
            (after.entries - before.entries) as f64 / (after.batches - before.batches).max(1) as f64,
            after.file_bytes >> 20,
            proc_field("/proc/self/status", "VmRSS:") >> 10,
        );
        store.close();
    }
    let started = Instant::now();
    let mut folder = SegmentFolder::create(&dir).expect("a folder");
    let found = journal::open(&mut folder, &settings(args.durability, messages_max), Access::ReadOnly)
        .expect("a store");
    let mut bytes = 0;
    let index_s = started.elapsed().as_secs_f64();
    found.visit(&journal::AccountNumbers::default(), &mut |_, _, body| bytes += body.len());
    println!(
        "# recovery of {} pending: index {index_s:.3} s, with {bytes} octets of bodies {:.3} s, resident {} MiB",
        found.report().messages,
        started.elapsed().as_secs_f64(),
        proc_field("/proc/self/status", "VmRSS:") >> 10
    );
    drop(std::fs::remove_dir_all(&dir));
}
