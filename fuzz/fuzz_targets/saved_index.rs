//! Any octets as the index beside a store that was stopped in order: as they are, or as changes to the index that belongs
//! there, with its checksums made right again, and its counts if wanted, so that what is behind them is reached. Opening
//! neither panics nor takes memory that the octets do not justify; where the index is not used, what is found is what the
//! segments say; and where it is, because its checksums are right, everything that it names can be asked for, and the store
//! goes on: messages come and go, segments are emptied and used again, what is counted comes out even, and what is left
//! opens again.
#![no_main]

mod memory_disk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

use memory_disk::{MemoryDisk, MemoryFile};
use smscd::base::{AccountId, MessageId, Time, WallTime};
use smscd::store::journal::{
    Access, Answer, Batch, Journal, JournalSettings, Keeper, Link, Progress, Request, Writer, open,
};
use smscd::store::{Durability, Ended, Ending, MessageStore, Record};

const STORE_ID: u64 = 1;
const MESSAGES: u64 = 24;
const ENDINGS: u64 = 5;
/// Puts after the start, and how many of them stay: enough for the log to go round.
const ROUNDS: u64 = 160;
const KEPT: usize = 8;
/// Octets of a block's header; its length stands at its end, and its checksum is of all from here on.
const HEADER_BYTES: usize = 32;
const CHECKED_FROM: usize = 8;
/// Of the first block: where it says the oldest segment, where the segments begin, and octets of each.
const OLDEST_AT: usize = HEADER_BYTES + 8;
const SEGMENTS_AT: usize = HEADER_BYTES + 20;
const SEGMENT_BYTES: usize = 29;
/// Of a block of slots: where these begin, and octets of each. Behind the record are segment, offset and length.
const SLOTS_AT: usize = HEADER_BYTES + 8;
const SLOT_BYTES: usize = 44;
const RECORD_BYTES: usize = 32;
/// Octets of a put without its body.
const PUT_HEAD_BYTES: u64 = 57;

/// A store of a few segments, stopped in order.
struct Saved {
    segments: Vec<Vec<u8>>,
    index: Vec<u8>,
    /// The bodies of what is pending, by id.
    pending: BTreeMap<u64, Vec<u8>>,
}

static SAVED: LazyLock<Saved> = LazyLock::new(|| {
    let disk = MemoryDisk::default();
    let mut store = Store::open(&disk);
    for id in 1..=MESSAGES {
        let body = vec![id as u8; 400 * (id as usize % 20)];
        let stored = store.journal.put(&record(id), &body).expect("there is room");
        store.turns(2);
        if id % 4 == 0 {
            store.journal.remove(stored.location);
        }
    }
    store.journal.close();
    store.turns(20);
    let ended = |id| Ended {
        id: MessageId::from_u64(id),
        account: AccountId(0),
        ending: Ending { state: 2, error: 0, finished_s: 1 },
    };
    let mut endings = (0..ENDINGS).map(ended);
    while !store.journal.save_index(&mut endings) {
        store.keeper();
    }
    let (segments, index) = disk.content();
    let (pending, is_from_index) = look(&disk);
    assert!(is_from_index && pending.len() as u64 == MESSAGES - MESSAGES / 4);
    let disk = MemoryDisk::holding(segments.iter().cloned(), index.clone());
    assert!(go_on(&disk) > 0, "nothing had to make room");
    Saved { segments, index: index.expect("an index"), pending }
});

/// Every seventh is one that can't be packed.
fn record(id: u64) -> Record {
    let at = WallTime::from_unix_millis(id * 1_000 + id % 7 / 6);
    Record {
        id: MessageId::from_u64(id),
        account: AccountId(0),
        target: None,
        stage: 0,
        state: 1,
        version: 0x34,
        error: 0,
        attempts: 0,
        accepted: at,
        due: at,
        expires: at,
        finished: WallTime::from_unix_millis(0),
    }
}

fn settings() -> JournalSettings {
    JournalSettings {
        durability: Durability::Buffered,
        messages_max: 64,
        segment_bytes: 32 * 1024,
        segments_max: 16,
        segments_kept: 4,
        batch_bytes_max: 4 * 1024,
        memory_bytes: 0,
        endings_max: 8,
        ..JournalSettings::new(STORE_ID)
    }
}

/// What opening finds, and whether it went by the index.
fn look(disk: &MemoryDisk) -> (BTreeMap<u64, Vec<u8>>, bool) {
    let settings = settings();
    let recovered = open(&mut disk.clone(), &settings, Access::Write).expect("nothing fails");
    let mut pending = BTreeMap::new();
    recovered.visit(&settings.accounts, &mut |_, record, body| {
        pending.insert(record.id.as_u64(), body.to_vec());
    });
    (pending, recovered.report().is_from_index)
}

/// What is between a journal and its disk.
#[derive(Debug, Default)]
struct Queues {
    batches: VecDeque<Box<Batch<MemoryFile>>>,
    returned: VecDeque<Box<Batch<MemoryFile>>>,
    requests: VecDeque<Request<MemoryFile>>,
    answers: VecDeque<Answer<MemoryFile>>,
}

impl Link for Queues {
    type File = MemoryFile;

    fn submit(&mut self, batch: Box<Batch<MemoryFile>>) -> Result<(), Box<Batch<MemoryFile>>> {
        if self.has_room() {
            self.batches.push_back(batch);
            return Ok(());
        }
        Err(batch)
    }

    fn has_room(&self) -> bool {
        self.batches.is_empty()
    }

    fn take_back(&mut self) -> Option<Box<Batch<MemoryFile>>> {
        self.batches.pop_back()
    }

    fn returned(&mut self) -> Option<Box<Batch<MemoryFile>>> {
        self.returned.pop_front()
    }

    fn ask(&mut self, request: Request<MemoryFile>) {
        self.requests.push_back(request);
    }

    fn answer(&mut self) -> Option<Answer<MemoryFile>> {
        self.answers.pop_front()
    }
}

/// A journal with its committer and keeper.
struct Store {
    journal: Journal<Queues>,
    writer: Writer<MemoryFile>,
    keeper: Keeper<MemoryDisk>,
}

impl Store {
    fn open(disk: &MemoryDisk) -> Self {
        let recovered = open(&mut disk.clone(), &settings(), Access::Write).expect("nothing fails");
        let progress = Arc::new(Progress::from(recovered.lsn()));
        Self {
            writer: Writer::new(STORE_ID, Arc::clone(&progress)),
            keeper: Keeper::new(disk.clone()),
            journal: Journal::new(settings(), recovered, Queues::default(), progress),
        }
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.journal.poll(Time::ZERO, |_, _| {});
            self.journal.commit();
            while let Some(mut batch) = self.journal.link_mut().batches.pop_front() {
                if self.writer.write(&mut batch).and_then(|()| self.writer.sync()).is_err() {
                    return;
                }
                self.journal.link_mut().returned.push_back(batch);
            }
            self.keeper();
        }
    }

    fn keeper(&mut self) {
        while let Some(request) = self.journal.link_mut().requests.pop_front() {
            let Ok(answer) = self.keeper.run(request) else { return };
            self.journal.link_mut().answers.extend(answer);
        }
    }
}

/// The index that the octets describe.
fn index(octets: &[u8]) -> Vec<u8> {
    let Some((&kind, octets)) = octets.split_first() else { return Vec::new() };
    if kind % 4 == 0 {
        return octets.to_vec();
    }
    let mut index = SAVED.index.clone();
    for change in octets.chunks(3) {
        let &[low, high, value] = change else { break };
        let at = usize::from(u16::from_le_bytes([low, high])) % index.len();
        // From there on, octet by octet or no further.
        if kind % 4 == 3 && value == 0xFF && at > 0 {
            index.truncate(at);
        } else {
            index[at] = value;
        }
    }
    if kind % 8 > 4 {
        recount(&mut index);
    }
    if kind % 4 > 1 {
        seal(&mut index);
    }
    index
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// Has each segment count what the slots of the second block, which holds them all, say of it. `None`: they say nothing.
fn recount(index: &mut [u8]) -> Option<()> {
    let length = HEADER_BYTES + u32_at(index, HEADER_BYTES - 4)? as usize;
    let (first, second) = index.split_at_mut_checked(length)?;
    let oldest = u32_at(first, OLDEST_AT)?;
    let count = u32_at(second, SLOTS_AT - 4)? as usize;
    let slots = second.get(SLOTS_AT..)?.chunks_exact(SLOT_BYTES).take(count);
    for (segment, counts) in
        (u64::from(oldest)..).zip(first.get_mut(SEGMENTS_AT..)?.chunks_exact_mut(SEGMENT_BYTES))
    {
        let (mut live, mut bytes) = (0u32, 0);
        for place in slots.clone().filter_map(|slot| slot.get(RECORD_BYTES..)) {
            let high = u64::from(u32_at(place, 6)?);
            if u64::from(u32_at(place, 0)?) == segment && place[4..10] != [0xFF; 6] {
                live += 1;
                bytes += PUT_HEAD_BYTES + (high >> 14);
            }
        }
        counts[17..21].copy_from_slice(&live.to_le_bytes());
        counts[21..].copy_from_slice(&bytes.to_le_bytes());
    }
    Some(())
}

/// Makes the checksum of each block right, as far as blocks go by their lengths.
fn seal(index: &mut [u8]) {
    let mut rest = index;
    while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([header[28], header[29], header[30], header[31]]) as usize;
        let Some((block, behind)) = rest.split_at_mut_checked(HEADER_BYTES + length) else { return };
        let checksum = crc32c::crc32c(&block[CHECKED_FROM..]);
        block[4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        rest = behind;
    }
}

/// Goes on with a store whose index was believed, until every segment that it began with has been emptied. How many messages
/// were copied forward for that.
fn go_on(disk: &MemoryDisk) -> u64 {
    let mut store = Store::open(disk);
    while store.journal.recovered_ending().is_some() {}
    let mut locations = VecDeque::new();
    while let Some((location, ..)) = store.journal.recovered() {
        locations.push_back(location);
    }
    for &location in &locations {
        store.journal.body(location);
        store.journal.record(location);
    }
    // Every third one that it named stays, and is copied forward.
    for location in &locations {
        if location.0 % 3 > 0 {
            store.journal.remove(*location);
        }
    }
    let mut kept: VecDeque<_> = locations.into_iter().filter(|location| location.0 % 3 == 0).collect();
    for id in 0..ROUNDS {
        if let Ok(stored) = store.journal.put(&record(MESSAGES + 1 + id), &[0xAA; 3_000]) {
            kept.push_back(stored.location);
        }
        if kept.len() > KEPT
            && let Some(location) = kept.remove(kept.len() - 2)
        {
            store.journal.remove(location);
        }
        store.turns(2);
        if store.journal.failure().is_some() {
            // The index named what is not there: that stops a store, and the next start reads the segments.
            return store.journal.stats().copied;
        }
    }
    for location in kept {
        store.journal.remove(location);
    }
    let stats = store.journal.stats();
    assert_eq!((stats.live_bytes, stats.pending), (0, Default::default()), "nothing is left");
    stats.copied
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let index = index(octets);
    let is_right = index == SAVED.index;
    let disk = MemoryDisk::holding(SAVED.segments.iter().cloned(), Some(index.clone()));
    let (pending, is_from_index) = look(&disk);
    assert!(disk.content().1.is_none(), "it is good for one start");
    if is_right || !is_from_index {
        assert_eq!(is_right, is_from_index);
        assert!(pending == SAVED.pending, "not what the segments say");
        return;
    }
    let disk = MemoryDisk::holding(SAVED.segments.iter().cloned(), Some(index));
    go_on(&disk);
    drop(open(&mut disk.clone(), &settings(), Access::Write));
});
