//! Tests of the shard as a whole, with a scripted network and a recorder in place of the shell.

mod alerts;
mod broadcasts;
mod delivery;
mod duplicates;
mod lines;
mod mo;
mod network;
mod operations;
mod parked_lines;
mod parked_queues;
mod parking;
mod parts;
mod random;
mod receipts;
mod restart;
mod submit;
mod times;
mod transactions;

use std::collections::{HashMap, VecDeque};

use super::*;
use crate::base::mobile::{MoArrival, MobileNetwork, Outcome, Reach, Verdict};
use crate::base::{AccountId, DeliveryToken, MessageId, Now, SessionHandle, Time, WallTime};
use crate::smpp::{
    AlertNotification, CommandStatus, DeliverSm, DeliveryOutcome, InterfaceVersion, MessageState,
    OperationAnswer, PduBody, RegisteredDelivery, SubmitSm,
};
use crate::store::{Durability, Location, Lsn, MemoryStore, MessageStore, Record, StoreFull, Stored};

pub(super) const ALICE: AccountId = AccountId(0);
pub(super) const BOB: AccountId = AccountId(1);
/// 2025-11-23T12:00:00Z.
pub(super) const NOON_MS: u64 = 1_763_899_200_000;

/// A network that does as it is told: verdicts in the order given, then "delivered at once".
#[derive(Debug, Default)]
pub(super) struct ScriptedNetwork {
    pub(super) verdicts: VecDeque<Verdict>,
    pub(super) attempts: Vec<(Vec<u8>, u32)>,
    pub(super) areas: HashMap<Vec<u8>, Reach>,
    pub(super) arrivals: VecDeque<(Time, &'static str, &'static str, &'static str)>,
}

impl ScriptedNetwork {
    pub(super) fn then(&mut self, after_ms: u64, outcome: Outcome) {
        self.verdicts.push_back(Verdict { after_nanos: after_ms * 1_000_000, outcome });
    }
}

impl MobileNetwork for ScriptedNetwork {
    fn attempt(&mut self, destination_addr: &[u8], attempt: u32, _now: Time) -> Verdict {
        self.attempts.push((destination_addr.to_vec(), attempt));
        self.verdicts.pop_front().unwrap_or(Verdict { after_nanos: 0, outcome: Outcome::Delivered })
    }

    fn has_area(&self, identifier: &[u8]) -> bool {
        self.areas.contains_key(&identifier[1..])
    }

    fn broadcast(&mut self, identifier: &[u8]) -> Option<Reach> {
        self.areas.get(&identifier[1..]).copied()
    }

    fn next_mo(&self) -> Option<Time> {
        self.arrivals.front().map(|arrival| arrival.0)
    }

    fn poll_mo(&mut self, now: Time) -> Option<MoArrival<'_>> {
        let &(at, source, destination, text) = self.arrivals.front()?;
        if at > now {
            return None;
        }
        self.arrivals.pop_front();
        Some(MoArrival {
            source_addr: source.as_bytes(),
            destination_addr: destination.as_bytes(),
            short_message: text.as_bytes(),
        })
    }
}

/// An entry of the log of a [`SlowStore`].
#[derive(Clone, Debug)]
enum Entry {
    Put(Location, Record, Vec<u8>),
    Update(Location, Record),
    /// Where it was, and where it is now.
    Replace(Location, Location, Record, Vec<u8>),
    Remove(Location),
}

/// A memory store whose entries become durable only when the test says so, and which comes back after a crash with those
/// that had.
#[derive(Debug)]
pub(super) struct SlowStore {
    memory: MemoryStore,
    /// On disk, and in the kernel; `None`: at once.
    pub(super) durable: Option<Lsn>,
    pub(super) written: Option<Lsn>,
    /// The last record of each put and update.
    pub(super) records: Vec<Record>,
    log: Vec<Entry>,
    latest: HashMap<Location, Record>,
    /// What an earlier run has left.
    left: VecDeque<(Location, Record)>,
    /// No body can be read any more.
    pub(super) is_damaged: bool,
}

impl SlowStore {
    pub(super) fn new(messages_max: u32) -> Self {
        Self {
            memory: MemoryStore::new(messages_max, 64 << 20),
            durable: None,
            written: None,
            records: Vec::new(),
            log: Vec::new(),
            latest: HashMap::new(),
            left: VecDeque::new(),
            is_damaged: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    pub(super) fn newest(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// What a crash leaves if everything up to `kept` has survived it.
    pub(super) fn after_crash(&self, kept: Lsn, messages_max: u32) -> Self {
        let mut left: Vec<(Location, Record, &[u8])> = Vec::new();
        for entry in &self.log[..kept.0 as usize] {
            match entry {
                Entry::Put(location, record, body) => left.push((*location, *record, body)),
                Entry::Update(location, record) => {
                    let message = left.iter_mut().find(|message| message.0 == *location).unwrap();
                    message.1 = *record;
                }
                Entry::Replace(before, location, record, body) => {
                    let message = left.iter_mut().find(|message| message.0 == *before).unwrap();
                    *message = (*location, *record, body);
                }
                Entry::Remove(location) => left.retain(|message| message.0 != *location),
            }
        }
        let mut store = Self::new(messages_max);
        for (_, record, body) in left {
            let stored = store.put(&record, body).unwrap();
            store.left.push_back((stored.location, record));
        }
        store
    }
}

impl MessageStore for SlowStore {
    fn put_as(&mut self, record: &Record, body: &[u8], _: Durability) -> Result<Stored, StoreFull> {
        let stored = self.memory.put(record, body)?;
        self.latest.insert(stored.location, *record);
        self.records.push(*record);
        self.log.push(Entry::Put(stored.location, *record, body.to_vec()));
        Ok(Stored { lsn: self.newest(), ..stored })
    }

    fn body(&mut self, location: Location) -> Option<&[u8]> {
        if self.is_damaged { None } else { self.memory.body(location) }
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn record(&self, location: Location) -> Option<Record> {
        self.latest.get(&location).copied()
    }

    fn update_as(&mut self, location: Location, record: &Record, _: Durability) -> Lsn {
        self.latest.insert(location, *record);
        self.records.push(*record);
        self.log.push(Entry::Update(location, *record));
        self.memory.update(location, record);
        self.newest()
    }

    fn replace_as(
        &mut self,
        location: Location,
        record: &Record,
        body: &[u8],
        _: Durability,
    ) -> Result<Stored, StoreFull> {
        let stored = self.memory.put(record, body)?;
        self.memory.remove(location);
        self.latest.remove(&location);
        self.latest.insert(stored.location, *record);
        self.records.push(*record);
        self.log.push(Entry::Replace(location, stored.location, *record, body.to_vec()));
        Ok(Stored { lsn: self.newest(), ..stored })
    }

    fn remove_as(&mut self, location: Location, _: Durability) -> Lsn {
        self.latest.remove(&location);
        self.log.push(Entry::Remove(location));
        self.memory.remove(location);
        self.newest()
    }

    fn durability(&self) -> Durability {
        Durability::Sync
    }

    fn lsn_at(&self, durability: Durability) -> Lsn {
        assert_ne!(durability, Durability::None);
        let durable = self.durable.unwrap_or_else(|| self.newest());
        if durability == Durability::Sync {
            durable
        } else {
            self.written.unwrap_or_else(|| self.newest()).max(durable)
        }
    }

    fn recovered(&mut self) -> Option<(Location, Record, &[u8])> {
        let (location, record) = self.left.pop_front()?;
        Some((location, record, self.memory.body(location)?))
    }

    fn commit(&mut self) {
        self.memory.commit();
    }
}

/// A deliver_sm that the shard handed out, copied.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) to: SessionHandle,
    pub(super) token: DeliveryToken,
    body: Vec<u8>,
}

impl Delivery {
    pub(super) fn sm(&self) -> DeliverSm<'_> {
        DeliverSm::decode(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.sm().short_message.to_vec()).unwrap()
    }
}

/// What the shard has stated since the last look.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) results: Vec<(Origin, Result<MessageId, CommandStatus>)>,
    pub(super) outcomes: Vec<(Origin, DeliveryOutcome)>,
    /// Deliveries before the last outcome.
    pub(super) before_outcome: usize,
    pub(super) answers: Vec<(Asker, OperationAnswer)>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) facts: Vec<Fact>,
    pub(super) bodies: Vec<(Asker, Vec<u8>)>,
    pub(super) alerts: Vec<(SessionHandle, Vec<u8>)>,
    pub(super) held_mo: Vec<MessageId>,
    /// Workers whose lane is full.
    pub(super) full_lanes: Vec<u16>,
    /// Sessions that any delivery fills.
    pub(super) full: Vec<SessionHandle>,
}

impl ShardOutput for Recorder {
    fn submit_result(&mut self, origin: Origin, result: Result<MessageId, CommandStatus>) {
        self.results.push((origin, result));
    }

    fn outcome(&mut self, origin: Origin, outcome: &DeliveryOutcome) {
        self.outcomes.push((origin, *outcome));
        self.before_outcome = self.deliveries.len();
    }

    fn operation_result(&mut self, asker: Asker, answer: OperationAnswer) {
        self.answers.push((asker, answer));
    }

    fn operation_body(&mut self, asker: Asker, body: &[u8]) -> bool {
        if self.full_lanes.contains(&asker.session.worker) {
            return false;
        }
        self.bodies.push((asker, body.to_vec()));
        true
    }

    fn mo_held(&mut self, message_id: MessageId) {
        self.held_mo.push(message_id);
    }

    fn deliver(&mut self, to: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool {
        if self.full_lanes.contains(&to.worker) {
            return false;
        }
        let mut body = Vec::new();
        deliver_sm.encode_body(&mut body);
        self.deliveries.push(Delivery { to, token, body });
        true
    }

    fn alert(&mut self, to: SessionHandle, alert: &AlertNotification<'_>) -> bool {
        if self.full_lanes.contains(&to.worker) {
            return false;
        }
        let mut body = Vec::new();
        alert.encode_body(&mut body);
        self.alerts.push((to, body));
        true
    }

    fn is_full(&mut self, session: SessionHandle) -> bool {
        self.full.contains(&session)
    }

    fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}

impl Recorder {
    /// The final states stated so far.
    pub(super) fn finals(&self) -> Vec<MessageState> {
        let state = |fact: &Fact| match fact {
            Fact::Finished { state, .. } => Some(*state),
            _ => None,
        };
        self.facts.iter().filter_map(state).collect()
    }
}

/// A shard with two accounts, a clock, and everything it says on record.
pub(super) struct Bench {
    pub(super) shard: Shard<SlowStore, ScriptedNetwork>,
    pub(super) out: Recorder,
    pub(super) now: Now,
}

const RETRY: RetrySettings = RetrySettings { first_ms: 1_000, factor: 2, max_ms: 60_000, jitter_percent: 0 };

pub(super) fn settings() -> ShardSettings {
    ShardSettings {
        messages_max: 100,
        final_history_records: 64,
        final_history_s: 24 * 3_600,
        validity_default_s: 3_600,
        validity_max_s: 24 * 3_600,
        receipt_validity_s: 7_200,
        durability: Durability::Sync,
        retry_absent: RETRY,
        retry_congestion: RetrySettings { first_ms: 7_000, ..RETRY },
        retry_refused: RETRY,
        queued_at_hand: 0,
        accounts: vec![AccountRouting::default(), AccountRouting::default()],
        ..ShardSettings::default()
    }
}

/// Absent, until somebody says otherwise.
pub(super) const NEVER_BACK: Outcome = Outcome::Absent { back_after_nanos: u64::MAX, error: 27 };

pub(super) fn bench() -> Bench {
    Bench::new(settings())
}

impl Bench {
    pub(super) fn new(settings: ShardSettings) -> Self {
        let now = Now { mono: Time::from_millis(1_000), wall: WallTime::from_unix_millis(NOON_MS) };
        let store = SlowStore::new(settings.messages_max);
        let shard = Shard::new(settings, store, ScriptedNetwork::default(), now.wall).unwrap();
        Self { shard, out: Recorder::default(), now }
    }

    /// The process is killed with everything up to `kept` in the log, and one with these settings starts after `ms`, its
    /// clock `stepped_ms` off. Sessions and what was on its way are gone.
    pub(super) fn restart(&mut self, settings: ShardSettings, kept: Lsn, ms: u64, stepped_ms: i64) {
        let store = self.shard.store.after_crash(kept, settings.messages_max);
        let network = std::mem::take(&mut self.shard.network);
        let wall_ms = (self.now.wall.unix_millis() + ms).saturating_add_signed(stepped_ms);
        self.now = Now { mono: Time::from_millis(3), wall: WallTime::from_unix_millis(wall_ms) };
        self.shard = Shard::new(settings, store, network, self.now.wall).unwrap();
        self.out = Recorder::default();
        self.shard.recover(self.now, &mut self.out).unwrap();
        self.shard.check_invariants();
    }

    /// Lets time pass and the shard catch up with it.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_millis(ms);
        self.now.wall = WallTime::from_unix_millis(self.now.wall.unix_millis() + ms);
        self.turn();
    }

    /// Turns until nothing more is ready (a full lane stays so).
    pub(super) fn turn(&mut self) {
        for turns in 0..10_000 {
            let more = self.shard.turn(self.now, 64, &mut self.out);
            self.shard.check_invariants();
            if !more || (turns > 10 && !self.out.full_lanes.is_empty()) {
                return;
            }
        }
        panic!("the shard never comes to rest");
    }

    pub(super) fn try_submit(
        &mut self,
        session: SessionHandle,
        version: InterfaceVersion,
        sm: SubmitSm<'_>,
    ) -> SubmitOutcome {
        let mut body = Vec::new();
        sm.encode_body(&mut body);
        let sm = SubmitSm::decode(&body).unwrap();
        let origin = Origin {
            session,
            sequence_number: 7,
            received_at: self.now.mono,
            operation: crate::base::SubmitOperation::SubmitSm,
        };
        let submit = Submit { origin, account: ALICE, version, sm: &sm, body: &body };
        let outcome = self.shard.submit(&submit, self.now, &mut self.out);
        self.shard.check_invariants();
        outcome
    }

    pub(super) fn submit(&mut self, session: SessionHandle, sm: SubmitSm<'_>) -> MessageId {
        match self.try_submit(session, InterfaceVersion::V34, sm) {
            SubmitOutcome::Accepted(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Binds a transceiver.
    pub(super) fn bind(&mut self, session: SessionHandle, account: AccountId, deliver_credit: u32) {
        self.bind_as(Bound {
            session,
            account,
            version: InterfaceVersion::V34,
            receives: true,
            deliver_credit,
            address_range: b"",
        });
    }

    pub(super) fn bind_as(&mut self, bound: Bound<'_>) {
        self.shard.session_bound(&bound, &mut self.out);
        self.shard.check_invariants();
    }

    pub(super) fn unbind(&mut self, session: SessionHandle) {
        self.shard.session_unbound(session);
        self.shard.check_invariants();
    }

    pub(super) fn result(&mut self, delivery: &Delivery, result: DeliveryResult) {
        self.shard.delivery_result(delivery.token, result, self.now, &mut self.out);
        self.shard.check_invariants();
    }

    pub(super) fn accept(&mut self, delivery: &Delivery) {
        self.result(delivery, DeliveryResult::Answered(CommandStatus::ESME_ROK));
    }

    /// The deliveries since the last look.
    pub(super) fn deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.out.deliveries)
    }

    /// The one delivery since the last look.
    pub(super) fn delivery(&mut self) -> Delivery {
        let mut deliveries = self.deliveries();
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        deliveries.remove(0)
    }

    /// Nothing is held any more, anywhere.
    pub(super) fn assert_drained(&self) {
        assert_eq!(self.shard.pending(), 0);
        assert!(self.shard.store.is_empty() && self.shard.wheel.is_empty());
        assert_eq!(self.shard.next_deadline(), None);
    }
}

pub(super) fn session(slot: u32) -> SessionHandle {
    SessionHandle { slot, generation: 1, worker: (slot % 2) as u16 }
}

pub(super) fn sm(registered_delivery: u8) -> SubmitSm<'static> {
    SubmitSm {
        source_addr_ton: 5,
        source_addr: b"ACME",
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        destination_addr: b"447700900123",
        registered_delivery: RegisteredDelivery(registered_delivery),
        short_message: b"Hello",
        ..SubmitSm::default()
    }
}

#[test]
fn shards_are_stable_and_even() {
    assert_eq!(shard_of(b"447700900123", 1), 0);
    assert_eq!(shard_of(b"447700900123", 0), 0);
    for first in [447_700_000_000u64, 4_000_000, 10_000] {
        let mut counts = [0u32; 7];
        for number in first..first + 70_000 {
            counts[usize::from(shard_of(number.to_string().as_bytes(), 7))] += 1;
        }
        assert!(counts.iter().all(|&count| (9_000..11_000).contains(&count)), "{counts:?}");
    }
    // Ids and stored messages rely on it: these must never change.
    assert_eq!([shard_of(b"447700900123", 128), shard_of(b"", 128), shard_of(b"7001", 128)], [107, 0, 110]);
}
