//! A journal with its committer and keeper on a simulated disk, one step at a time, beside a model that knows what
//! the log says.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use smscd::base::{AccountId, MessageId, Time, WallTime};
use smscd::store::journal::{
    Access, Batch, Failure, Journal, JournalSettings, Keeper, Progress, Recovered, Request, Writer, open,
};
use smscd::store::{Durability, Ended, Ending, Location, MessageStore, Record, Stored};

use super::disk::{SimDisk, SimFile};
use super::link::SimLink;

/// What is pending, by id.
pub(crate) type Pending = BTreeMap<u64, (Record, Vec<u8>)>;

/// What the journal is to tell of messages that have ended.
pub(crate) const ENDINGS_MAX: u32 = 100;
/// The first id that no message has.
pub(crate) const NO_MESSAGE: u64 = 1 << 40;

/// What becomes of this message, unless it just goes.
pub(crate) fn ended(id: u64) -> Ended {
    let ending = Ending { state: 2 + (id % 7) as u8, error: id as u16, finished_s: 1 + id as u32 };
    Ended { id: MessageId::from_u64(id), account: AccountId((id % 7) as u16), ending }
}

/// An entry of the log, as the model sees it.
#[derive(Clone, Debug)]
enum Change {
    Put(Record, Vec<u8>),
    Update(Record),
    Remove(u64),
}

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) settings: JournalSettings,
    pub(crate) journal: Journal<SimLink>,
    link: SimLink,
    progress: Arc<Progress>,
    writer: Writer<SimFile>,
    keeper: Keeper<SimDisk>,
    /// Written and waiting for its sync.
    in_hand: Option<Box<Batch<SimFile>>>,
    pub(crate) rng: Xoshiro256PlusPlus,
    now: Time,
    /// When the journal is woken if nothing else does that.
    wake_at: Option<Time>,
    next_id: u64,
    /// What was pending when the journal was opened, and what was entered since.
    base: Pending,
    log: Vec<(u64, Change)>,
    /// What is pending now, with where the store says it is.
    pub(crate) live: BTreeMap<u64, (Location, Record, Vec<u8>)>,
    /// What the journal said when it was opened of messages that had ended, by id.
    pub(crate) ended: BTreeMap<u64, Ended>,
    /// Of ids that never were: what the next saved index is to hold beside the messages.
    pub(crate) endings: Range<u64>,
    /// A call to the disk has failed: the process would be gone.
    pub(crate) has_failed: bool,
    pub(crate) refused: u64,
    pub(crate) largest_batch: u32,
}

pub(crate) fn settings(durability: Durability) -> JournalSettings {
    JournalSettings {
        durability,
        messages_max: 3_000,
        segment_bytes: 64 * 1024,
        segments_max: 24,
        segments_kept: 3,
        batch_bytes_max: 8 * 1024,
        memory_bytes: 0,
        endings_max: ENDINGS_MAX,
        ..JournalSettings::new(0x5EED)
    }
}

impl World {
    pub(crate) fn new(seed: u64, durability: Durability) -> Self {
        Self::keeping(seed, durability, 3)
    }

    /// As [`World::new`], with nothing copied forward while it is busy below so many segments.
    pub(crate) fn keeping(seed: u64, durability: Durability, segments_kept: u32) -> Self {
        let disk = SimDisk::new(seed ^ 0xD15C);
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let settings = JournalSettings { segments_kept, ..settings(durability) };
        Self::open(disk, rng, settings, 1, Pending::new())
    }

    /// Opens what is on the disk and holds it against `expected`.
    pub(crate) fn open(
        mut disk: SimDisk,
        rng: Xoshiro256PlusPlus,
        settings: JournalSettings,
        next_id: u64,
        expected: Pending,
    ) -> Self {
        let recovered = open(&mut disk, &settings, Access::Write).expect("a store");
        assert_eq!(recovered.report().damaged, 0, "{:?}", recovered.report());
        let lsn = recovered.lsn();
        let link = SimLink::default();
        let progress = Arc::new(Progress::from(lsn));
        let writer = Writer::new(settings.store_id, Arc::clone(&progress));
        let mut journal = Journal::new(settings.clone(), recovered, link.clone(), Arc::clone(&progress));
        let mut live = BTreeMap::new();
        while let Some((location, record, body)) = journal.recovered() {
            let twice = live.insert(record.id.as_u64(), (location, record, body.to_vec()));
            assert!(twice.is_none(), "handed out twice: {record:?}");
        }
        let mut ended_before = BTreeMap::new();
        while let Some(ended) = journal.recovered_ending() {
            ended_before.insert(ended.id.as_u64(), ended);
        }
        assert!(ended_before.len() <= ENDINGS_MAX as usize);
        for (&id, told) in &ended_before {
            // That of one that just went is in its record.
            let Ending { state, error, .. } = told.ending;
            let is_right = if state == 1 { error == id as u16 } else { *told == ended(id) };
            assert!(is_right && told.account == ended(id).account, "{told:?}");
            assert!(!live.contains_key(&id) && (id < next_id || id >= NO_MESSAGE), "{told:?}");
        }
        let found: Pending =
            live.iter().map(|(id, (_, record, body))| (*id, (*record, body.clone()))).collect();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(found == expected, "a record or a body differs");
        Self {
            keeper: Keeper::new(disk.clone()),
            disk,
            settings,
            journal,
            link,
            progress,
            writer,
            in_hand: None,
            rng,
            now: Time::ZERO,
            wake_at: None,
            next_id,
            base: found,
            log: Vec::new(),
            live,
            ended: ended_before,
            endings: NO_MESSAGE..NO_MESSAGE,
            has_failed: false,
            refused: 0,
            largest_batch: 0,
        }
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n
    }

    fn record(&mut self, id: u64) -> Record {
        let mut wall = || WallTime::from_unix_millis(self.rng.next_u64() >> 24);
        Record {
            id: MessageId::from_u64(id),
            account: AccountId((id % 7) as u16),
            target: id.is_multiple_of(3).then_some(AccountId(2)),
            stage: (id % 4) as u8,
            state: 1,
            version: 0x34,
            error: id as u16,
            attempts: 0,
            accepted: WallTime::from_unix_millis(id * 10),
            due: wall(),
            expires: wall(),
            finished: wall(),
        }
    }

    pub(crate) fn put(&mut self) -> bool {
        let id = self.next_id;
        let record = self.record(id);
        let len = match self.below(20) {
            0 => self.below(12_000),
            _ => self.below(300),
        };
        let body: Vec<u8> = (0..len).map(|i| (id + i) as u8).collect();
        let durability = [Durability::Sync, Durability::Buffered, Durability::None][self.below(3) as usize];
        match self.journal.put_as(&record, &body, durability) {
            Ok(Stored { location, lsn }) => {
                self.next_id += 1;
                self.log.push((lsn.0, Change::Put(record, body.clone())));
                self.live.insert(id, (location, record, body));
                true
            }
            Err(_) => {
                self.refused += 1;
                false
            }
        }
    }

    fn any(&mut self) -> Option<u64> {
        let len = self.live.len() as u64;
        if len == 0 {
            return None;
        }
        // Mostly the young ones, as in life.
        let back = if self.below(3) == 0 { self.below(len) } else { self.below(len.min(8)) };
        self.live.keys().rev().nth(back as usize).copied()
    }

    pub(crate) fn update(&mut self) {
        let Some(id) = self.any() else { return };
        let changed = Record { attempts: self.below(100) as u16, ..self.record(id) };
        let Some((location, record, _)) = self.live.get_mut(&id) else { return };
        *record = changed;
        let lsn = self.journal.update(*location, &changed);
        self.log.push((lsn.0, Change::Update(changed)));
    }

    /// The submitter replaces a message: record and body.
    pub(crate) fn replace(&mut self) {
        let Some(id) = self.any() else { return };
        let changed = self.record(id);
        let len = self.below(600);
        let body: Vec<u8> = (0..len).map(|i| (id * 31 + i) as u8).collect();
        let durability = [Durability::Sync, Durability::Buffered, Durability::None][self.below(3) as usize];
        let Some((location, record, old)) = self.live.get_mut(&id) else { return };
        match self.journal.replace_as(*location, &changed, &body, durability) {
            Ok(Stored { location: new, lsn }) => {
                (*location, *record) = (new, changed);
                old.clone_from(&body);
                // A put under an id that is there takes its place.
                self.log.push((lsn.0, Change::Put(changed, body)));
            }
            Err(_) => {
                self.refused += 1;
                assert_eq!(self.journal.body(*location), Some(&old[..]), "a refusal changes nothing");
            }
        }
    }

    pub(crate) fn remove(&mut self) {
        if let Some(id) = self.any() {
            self.remove_id(id);
        }
    }

    pub(crate) fn remove_id(&mut self, id: u64) {
        let Some((location, ..)) = self.live.remove(&id) else { return };
        let lsn = match self.below(2) {
            0 => self.journal.remove(location),
            _ => self.journal.end_as(location, &ended(id).ending, Durability::None),
        };
        self.log.push((lsn.0, Change::Remove(id)));
        assert_eq!(self.journal.body(location), None, "an ended message is gone");
    }

    pub(crate) fn look(&mut self) {
        let Some(id) = self.any() else { return };
        let (location, _, body) = &self.live[&id];
        assert_eq!(self.journal.body(*location), Some(&body[..]));
    }

    /// A turn of the shard.
    pub(crate) fn turn(&mut self) {
        self.now = self.now.plus_millis(self.rng.next_u64() % 300);
        self.journal.poll(self.now, |_, _| {});
        self.journal.commit();
    }

    /// The committer does its next thing. Once a call has failed, it makes no other.
    pub(crate) fn committer(&mut self) {
        let (had_failed, calls) = (self.has_failed, self.disk.calls());
        self.committer_step();
        assert!(!had_failed || calls == self.disk.calls(), "tried again after a failure");
    }

    fn committer_step(&mut self) {
        if let Some(mut batch) = self.in_hand.take() {
            if batch.wants_sync {
                self.has_failed |= self.writer.sync().is_err();
            }
            batch.done = self.now;
            self.link.0.borrow_mut().returned.push_back(batch);
            return;
        }
        let batch = self.link.0.borrow_mut().batch.take();
        match batch {
            Some(mut batch) => {
                self.largest_batch = self.largest_batch.max(batch.entries);
                self.has_failed |= self.writer.write(&mut batch).is_err();
                self.in_hand = Some(batch);
            }
            None if self.writer.is_dirty() => self.has_failed |= self.writer.sync().is_err(),
            None => {}
        }
    }

    /// Nothing is entered any more: turns are made only as somebody wakes the shard, until nobody does.
    pub(crate) fn sleep(&mut self) {
        for _ in 0..10_000 {
            self.turn();
            for _ in 0..2 {
                self.committer();
            }
            self.keeper();
            let queues = self.link.0.borrow();
            let is_awake =
                queues.batch.is_some() || !queues.requests.is_empty() || !queues.answers.is_empty();
            drop(queues);
            if is_awake || self.in_hand.is_some() || self.is_dirty() || self.journal.has_news() {
                continue;
            }
            let Some(wake_at) = self.wake_at.take() else { return };
            self.now = self.now.max(wake_at);
        }
        panic!("it never sleeps: {:?}", self.journal.stats());
    }

    /// Whether something is written and not synced.
    pub(crate) fn is_dirty(&self) -> bool {
        self.writer.is_dirty()
    }

    /// The keeper does its next thing.
    pub(crate) fn keeper(&mut self) {
        let Some(request) = self.link.0.borrow_mut().requests.pop_front() else { return };
        if let Request::Wake { after_ms } = request {
            self.wake_at = Some(self.now.plus_millis(after_ms));
            return;
        }
        match self.keeper.run(request) {
            Ok(Some(answer)) => self.link.0.borrow_mut().answers.push_back(answer),
            Ok(None) => {}
            Err(_) => self.has_failed = true,
        }
    }

    /// After a call to the disk has failed: the journal says so, and nothing counts as durable that did not before,
    /// whatever is done.
    pub(crate) fn assert_stopped(&mut self) {
        let before = (self.progress.written(), self.progress.synced());
        for _ in 0..5 {
            self.put();
            self.remove();
            self.turn();
            self.committer();
            self.committer();
        }
        assert!(matches!(self.journal.failure(), Some(Failure::Disk { .. })), "{:?}", self.journal.failure());
        assert_eq!((self.progress.written(), self.progress.synced()), before);
        let lsn_at = |durability| self.journal.lsn_at(durability).0;
        assert_eq!((lsn_at(Durability::Buffered), lsn_at(Durability::Sync)), before);
    }

    /// Lets everything settle: all on disk, nothing asked for.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            self.turn();
            self.committer();
            self.keeper();
            let queues = self.link.0.borrow();
            let is_quiet = queues.batch.is_none() && queues.requests.is_empty() && queues.answers.is_empty();
            if is_quiet && self.in_hand.is_none() && self.journal.is_flushed() && !self.writer.is_dirty() {
                return;
            }
            drop(queues);
            assert!(!self.has_failed && self.journal.failure().is_none(), "{:?}", self.journal.failure());
        }
        panic!("it never settles");
    }

    pub(crate) fn close(&mut self) {
        self.journal.close();
        self.settle();
    }

    /// Saves the index of a closed log; the keeper is gone after `steps` of its steps. Whether it was done before.
    pub(crate) fn save_index(&mut self, steps: usize) -> bool {
        for _ in 0..steps {
            if self.journal.save_index(&mut self.endings.by_ref().map(ended)) {
                return true;
            }
            self.keeper();
        }
        self.journal.save_index(&mut self.endings.by_ref().map(ended))
    }

    /// What is pending after the first entries of the log, up to `lsn`.
    pub(crate) fn pending_at(&self, lsn: u64) -> Pending {
        let mut pending = self.base.clone();
        for (_, change) in self.log.iter().filter(|(at, _)| *at <= lsn) {
            match change {
                Change::Put(record, body) => {
                    pending.insert(record.id.as_u64(), (*record, body.clone()));
                }
                Change::Update(record) => {
                    if let Some(held) = pending.get_mut(&record.id.as_u64()) {
                        held.0 = *record;
                    }
                }
                Change::Remove(id) => {
                    pending.remove(id);
                }
            }
        }
        pending
    }

    /// Every record and every body that any message ever had.
    pub(crate) fn ever(&self) -> BTreeMap<u64, (Vec<Record>, Vec<Vec<u8>>)> {
        let mut ever: BTreeMap<u64, (Vec<Record>, Vec<Vec<u8>>)> =
            self.base.iter().map(|(id, (record, body))| (*id, (vec![*record], vec![body.clone()]))).collect();
        for (_, change) in &self.log {
            match change {
                Change::Put(record, body) => {
                    let (records, bodies) = ever.entry(record.id.as_u64()).or_default();
                    records.push(*record);
                    bodies.push(body.clone());
                }
                Change::Update(record) => {
                    ever.entry(record.id.as_u64()).and_modify(|(records, _)| records.push(*record));
                }
                Change::Remove(_) => {}
            }
        }
        ever
    }

    /// The process is killed, or the power fails; then a new one opens the store. What was promised must be there,
    /// and all that is there must be what the log said at one moment.
    pub(crate) fn crash(self, is_power_cut: bool) -> Self {
        let promised = if is_power_cut { self.progress.synced() } else { self.progress.written() };
        if is_power_cut {
            self.disk.cut_power();
        } else {
            self.disk.kill();
        }
        self.disk.set_faults(super::disk::Faults::default());
        let mut disk = self.disk.clone();
        let seen = open(&mut disk.copy(), &self.settings, Access::ReadOnly).expect("a store");
        let lsn = seen.lsn();
        assert!(lsn >= promised, "promised up to {promised}, found up to {lsn}");
        let expected = self.pending_at(lsn);
        // Recovery itself is cut off now and then.
        let mut rng = self.rng.clone();
        if rng.next_u64().is_multiple_of(4) {
            drop(open(&mut disk, &self.settings, Access::Write).expect("a store"));
            if is_power_cut {
                disk.cut_power();
            }
        }
        Self::open(disk, rng, self.settings, self.next_id, expected)
    }
}

/// What a store on `disk` hands out, and what it says about it.
pub(crate) fn read(disk: &mut SimDisk, settings: &JournalSettings) -> (Pending, Recovered<SimFile>) {
    let recovered = open(disk, settings, Access::ReadOnly).expect("a store");
    let mut pending = Pending::new();
    recovered.visit(&settings.accounts, &mut |_, record, body| {
        pending.insert(record.id.as_u64(), (*record, body.to_vec()));
    });
    (pending, recovered)
}
