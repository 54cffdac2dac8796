//! Random traffic against a shadow model: binds and unbinds, lost and late answers, full lanes, a store that lags, an
//! unreliable network, priorities, messages cancelled and replaced. Whatever happens, every accepted message reaches
//! exactly one final state, exactly the receipts asked for arrive, at the right sessions and after their responses, no
//! subscriber has two attempts open, and in the end nothing is left.
//!
//! Seeds that are odd crash the process too, anywhere between what is durable and what is written, with clocks that step.
//! Then what was answered is still there, no id is given twice, and a receipt may come again but never says another state.
//!
//! `SMSCD_SIM_SEED` runs one seed, `SMSCD_SIM_SEEDS` and `SMSCD_SIM_STEPS` widen the sweep.

use std::collections::HashMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::*;
use crate::smpp::{CancelSm, Operation, ReplaceSm};

const SESSIONS: u32 = 6;

fn knob(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn every_promise_holds_under_random_traffic() {
    let steps = knob("SMSCD_SIM_STEPS", 600);
    match knob("SMSCD_SIM_SEED", u64::MAX) {
        u64::MAX => {
            let (mut queued, mut in_line) = (0, 0);
            for seed in 0..knob("SMSCD_SIM_SEEDS", 48) {
                let mut simulation = Simulation::new(seed);
                simulation.run(steps);
                queued += simulation.queued;
                in_line += simulation.in_line;
            }
            assert!(queued > 0 && in_line > 0, "nothing was ever parked in a queue, or in line");
        }
        seed => Simulation::new(seed).run(steps),
    }
}

#[test]
fn one_seed_is_one_run() {
    let trace = |seed| {
        let mut simulation = Simulation::new(seed);
        simulation.run(300);
        simulation.world.trace
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

/// Every kind of outcome, with and without delay.
#[derive(Debug)]
struct RandomNetwork {
    rng: Xoshiro256PlusPlus,
    /// When the last attempt at each subscriber is over.
    open_until: HashMap<Vec<u8>, Time>,
}

impl MobileNetwork for RandomNetwork {
    fn attempt(&mut self, destination_addr: &[u8], _attempt: u32, now: Time) -> Verdict {
        let draw = self.rng.next_u64();
        let outcome = match draw % 9 {
            0 => Outcome::Undeliverable { error: 1 },
            1 => Outcome::Rejected { error: 69 },
            2 => Outcome::Expired,
            3 => Outcome::Congested { error: 42 },
            4 | 5 => Outcome::Absent { back_after_nanos: (draw >> 32) % 40_000_000_000, error: 27 },
            _ => Outcome::Delivered,
        };
        let after_nanos = [0, 1, 5_000_000, 700_000_000][(draw >> 8) as usize % 4];
        let until = Time::from_nanos(now.as_nanos() + after_nanos);
        let before = self.open_until.insert(destination_addr.to_vec(), until).unwrap_or_default();
        assert!(before <= now, "a second attempt while one is open");
        Verdict { after_nanos, outcome }
    }

    fn next_mo(&self) -> Option<Time> {
        None
    }

    fn poll_mo(&mut self, _now: Time) -> Option<MoArrival<'_>> {
        None
    }
}

/// What the model knows of an accepted message.
#[derive(Debug)]
struct Shadow {
    submitter: SessionHandle,
    registered_delivery: RegisteredDelivery,
    is_datagram: bool,
    /// One of several parts, whose receipts may go out as one.
    is_part: bool,
    /// Receipts accepted or refused for good.
    receipts_settled: u32,
    /// What its receipts say.
    told: Option<MessageState>,
}

impl Shadow {
    fn new(submitter: SessionHandle, sm: &SubmitSm<'_>) -> Self {
        Self {
            submitter,
            registered_delivery: sm.registered_delivery,
            is_datagram: sm.esm_class.is_datagram(),
            is_part: !sm.tlvs.is_empty(),
            receipts_settled: 0,
            told: None,
        }
    }
}

#[derive(Debug)]
struct Handed {
    to: SessionHandle,
    token: DeliveryToken,
    receipt_of: Option<MessageId>,
    /// How many messages it tells of.
    sub: u64,
}

/// The world around the shard: it checks each output as it comes.
#[derive(Debug, Default)]
struct World {
    accepted: HashMap<MessageId, Shadow>,
    /// Submits whose answer is due, by sequence_number.
    unanswered: HashMap<u32, Shadow>,
    bound: HashMap<SessionHandle, (AccountId, bool, u32)>,
    /// Bound sessions that have reported a loss: nothing may go there any more.
    lost: Vec<SessionHandle>,
    handed: Vec<Handed>,
    full_lane: Option<u16>,
    finals: usize,
    crashes: u32,
    mo_open: i64,
    /// Messages that settled receipts of parts have told of.
    parts_told: u64,
    trace: u64,
    /// Outcomes that came for deliveries that were not open.
    stale: u64,
}

impl World {
    /// A delivery's ESME has said that it has it, or does not want it.
    fn settled(&mut self, handed: &Handed) {
        let Some(id) = handed.receipt_of else { return };
        let shadow = self.accepted.get_mut(&id).unwrap();
        shadow.receipts_settled += 1;
        self.parts_told += if shadow.is_part { handed.sub } else { 0 };
        let most = 1 + self.crashes;
        assert!(shadow.receipts_settled <= most, "the receipt of {id} was settled twice");
    }

    fn trace(&mut self, value: u64) {
        self.trace = (self.trace ^ value).wrapping_mul(0x0100_0000_01B3);
    }

    fn answered(&mut self, sequence_number: u32, id: MessageId) {
        let shadow = self.unanswered.remove(&sequence_number).expect("a submit is answered once");
        assert!(self.accepted.insert(id, shadow).is_none(), "the id {id} was given twice");
    }
}

impl ShardOutput for World {
    fn submit_result(&mut self, origin: Origin, result: Result<MessageId, CommandStatus>) {
        self.answered(origin.sequence_number, result.expect("durable means accepted"));
    }

    fn mo_held(&mut self, _: MessageId) {}

    fn operation_result(&mut self, _: Asker, _: OperationAnswer) {}

    fn deliver(&mut self, to: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool {
        if self.full_lane == Some(to.worker) {
            return false;
        }
        self.trace(u64::from(token.slot) << 32 | u64::from(token.generation));
        let &(account, receives, credit) = self.bound.get(&to).expect("only bound sessions get deliveries");
        assert!(receives && !self.lost.contains(&to));
        let open = self.handed.iter().filter(|handed| handed.to == to).count();
        assert!(open < credit as usize, "more than the session's credit");
        let is_receipt = deliver_sm.esm_class.is_receipt();
        let (mut receipt_of, mut sub) = (None, 1);
        if is_receipt || deliver_sm.esm_class.is_intermediate() {
            let text = std::str::from_utf8(deliver_sm.short_message).unwrap();
            let id = text.strip_prefix("id:").and_then(|text| text.split(' ').next()).unwrap();
            let id = MessageId::parse(id.as_bytes()).unwrap();
            // Promise 4: the id is known to the ESME already.
            let shadow = self.accepted.get(&id).expect("no receipt before its response");
            assert_eq!(account, ALICE, "only Alice submits");
            let submitter = self.bound.get(&shadow.submitter);
            if submitter.is_some_and(|submitter| submitter.1) && !self.lost.contains(&shadow.submitter) {
                assert_eq!(to, shadow.submitter, "promise 5: the submitter is there");
            }
            receipt_of = is_receipt.then_some(id);
            sub = text.split_once(" sub:").and_then(|(_, text)| text[..3].parse().ok()).unwrap();
            assert!(sub == 1 || shadow.is_part);
            if is_receipt && !shadow.is_part {
                let state = deliver_sm.tlvs.find(crate::smpp::TlvTag::MESSAGE_STATE).unwrap()[0];
                let state = MessageState::from_octet(state).unwrap();
                let told = self.accepted.get_mut(&id).and_then(|shadow| shadow.told.replace(state));
                assert!(told.is_none_or(|told| told == state), "{id} was {told:?} and is {state:?}");
            }
        } else {
            assert_eq!(account, BOB, "only Bob owns addresses");
        }
        self.handed.push(Handed { to, token, receipt_of, sub });
        true
    }

    fn fact(&mut self, fact: Fact) {
        match fact {
            Fact::Finished { account, .. } => {
                assert_eq!(account, ALICE);
                self.finals += 1;
            }
            Fact::MoAccepted { .. } => self.mo_open += 1,
            Fact::StaleToken => self.stale += 1,
            Fact::MoDelivered { .. } | Fact::MoFailed { .. } => self.mo_open -= 1,
            Fact::BodyMissing { message_id } => panic!("the body of {message_id} is gone"),
            _ => {}
        }
    }
}

struct Simulation {
    seed: u64,
    rng: Xoshiro256PlusPlus,
    shard: Shard<SlowStore, RandomNetwork>,
    world: World,
    now: Now,
    generation: u32,
    sequence_number: u32,
    /// Deliveries that have had an outcome, and whether that was none in time.
    stale: Vec<(Handed, bool)>,
    /// Messages parked in queues, seen after each step.
    queued: u64,
    /// Messages parked in line, seen after each step.
    in_line: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let now = Now { mono: Time::from_millis(5), wall: WallTime::from_unix_millis(NOON_MS) };
        let bob = AccountRouting { prefixes: vec![b"80".to_vec()], ..AccountRouting::default() };
        // Every third gathers the receipts of parts.
        let parts_wait_ms = if seed.is_multiple_of(3) { 5_000 } else { 0 };
        let alice = AccountRouting { parts_wait_ms, ..AccountRouting::default() };
        let settings = ShardSettings {
            seed,
            messages_max: 60,
            final_history_records: 1 << 16,
            final_history_s: u32::MAX,
            // For ever, for these tests, and yet near enough for receipts to be parked.
            receipt_validity_s: 1_500_000,
            queued_at_hand: [0, 1, 5, u32::MAX][seed as usize / 2 % 4],
            accounts: vec![alice, bob],
            ..settings()
        };
        let network =
            RandomNetwork { rng: Xoshiro256PlusPlus::seed_from_u64(!seed), open_until: HashMap::new() };
        Self {
            seed,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            shard: Shard::new(settings, SlowStore::new(60), network, now.wall).unwrap(),
            world: World::default(),
            now,
            generation: 0,
            sequence_number: 0,
            stale: Vec::new(),
            queued: 0,
            in_line: 0,
        }
    }

    fn run(&mut self, steps: u64) {
        for step in 0..steps {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.step()));
            if let Err(panic) = result {
                eprintln!("SMSCD_SIM_SEED={} step {step}", self.seed);
                std::panic::resume_unwind(panic);
            }
        }
        self.drain();
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn step(&mut self) {
        if self.crashes() && self.below(80) == 0 {
            self.crash();
        }
        match self.below(22) {
            20 | 21 => self.operate(),
            0..=5 => self.submit(),
            6 => self.bind(),
            7 => self.unbind(),
            8..=11 => self.settle(),
            12 => self.pass(),
            13 => self.world.full_lane = [None, Some(0), Some(1)][self.below(3) as usize],
            14 => {
                let lag = self.below(6);
                let newest = self.shard.store.newest().0;
                let before = self.shard.store.durable_lsn();
                self.shard.store.durable = Some(Lsn(newest.saturating_sub(lag)).max(before.min(Lsn(newest))));
            }
            15 => self.inject_mo(),
            16 => {
                // One that has timed out counts until it is repeated, any other is stale.
                if let Some((handed, has_timed_out)) = self.stale.pop() {
                    let result = DeliveryResult::Answered(CommandStatus::ESME_ROK);
                    let before = self.world.stale;
                    self.shard.delivery_result(handed.token, result, self.now, &mut self.world);
                    let is_stale = self.world.stale > before;
                    assert!(is_stale || has_timed_out, "{handed:?}");
                    if !is_stale {
                        self.world.settled(&handed);
                    }
                    self.stale.push((handed, false));
                }
            }
            _ => {
                let budget = self.below(5) as usize;
                self.shard.turn(self.now, budget, &mut self.world);
            }
        }
        self.shard.check_invariants();
        let parked = self.shard.parked_messages();
        self.queued += u64::from(parked.in_queues);
        self.in_line += u64::from(parked.in_line);
    }

    const fn crashes(&self) -> bool {
        self.seed % 2 == 1
    }

    /// The process is killed and starts again.
    fn crash(&mut self) {
        let durable = self.shard.store.durable_lsn().0;
        let kept = Lsn(durable + self.below(self.shard.store.newest().0 - durable + 1));
        let mut store = self.shard.store.after_crash(kept, 60);
        store.durable = Some(store.newest());
        let wall_ms = self.now.wall.unix_millis();
        let wall_ms =
            [wall_ms, wall_ms + 5_000, wall_ms - 5_000, wall_ms - 90_000_000][self.below(4) as usize];
        self.now = Now { mono: Time::from_millis(2), wall: WallTime::from_unix_millis(wall_ms) };
        let rng = Xoshiro256PlusPlus::seed_from_u64(self.rng.next_u64());
        let network = RandomNetwork { rng, open_until: HashMap::new() };
        let world = &mut self.world;
        world.crashes += 1;
        world.mo_open = 0;
        (world.full_lane, world.bound, world.handed) = (None, HashMap::new(), Vec::new());
        (world.lost, self.stale) = (Vec::new(), Vec::new());
        world.unanswered.clear();
        for index in 0..store.left.len() {
            let (location, record) = store.left[index];
            world.mo_open += i64::from(record.stage == 1);
            let sm = SubmitSm::decode(store.body(location).unwrap()).unwrap();
            // One that was never answered may be there all the same.
            if record.stage == 0 {
                let shadow = Shadow::new(SessionHandle::NONE, &sm);
                world.accepted.entry(record.id).or_insert(shadow);
            }
        }
        let left = store.left.len() as u64;
        // What a lease on disk tells the next run.
        let id_high_water = self.shard.id_counter();
        let settings = ShardSettings { id_high_water, ..self.shard.settings.clone() };
        self.shard = Shard::new(settings, store, network, self.now.wall).unwrap();
        assert_eq!(self.shard.recover(self.now, &mut self.world), Ok(left));
    }

    fn handle(&self, slot: u32) -> Option<SessionHandle> {
        self.world.bound.keys().copied().find(|handle| handle.slot == slot)
    }

    fn submit(&mut self) {
        let slot = self.below(u64::from(SESSIONS)) as u32;
        let Some(submitter) = self.handle(slot).filter(|handle| self.world.bound[handle].0 == ALICE) else {
            return;
        };
        let choice = self.below(1 << 20);
        let validity: &[u8] = [&b""[..], b"000000000005000R", b"000000001000000R"][choice as usize % 3];
        let schedule: &[u8] = if choice & 0x700 == 0 { b"000000000002000R" } else { b"" };
        let is_part = self.seed.is_multiple_of(3) && self.below(2) == 0;
        let is_datagram = choice & 0xF000 == 0 && !is_part;
        let (reference, part) = (self.below(2) as u8, 1 + self.below(3) as u8);
        let sar = [2, 0x0C, 0, 2, 0, reference, 2, 0x0E, 0, 1, 3, 2, 0x0F, 0, 1, part];
        let sar = crate::smpp::Tlvs::decode(if is_part { &sar } else { &[] }).unwrap();
        let registered = [0x00, 0x01, 0x02, 0x03, 0x11, 0x10][(choice >> 16) as usize % 6];
        let sm = SubmitSm {
            tlvs: sar,
            destination_addr: [&b"8001"[..], b"447700900123", b"447700900124", b"447"]
                [choice as usize >> 4 & 3],
            priority_flag: [0, 0, 1, 3][(choice >> 6) as usize & 3],
            esm_class: crate::smpp::EsmClass(u8::from(is_datagram)),
            validity_period: validity,
            schedule_delivery_time: schedule,
            ..sm(if is_part { 0x01 } else { registered })
        };
        // Short ids come round again, and after a crash they may do so at once.
        let is_short = choice & 0x8_0000 != 0 && !self.crashes();
        let version = if is_short { InterfaceVersion::V33 } else { InterfaceVersion::V34 };
        let mut body = Vec::new();
        sm.encode_body(&mut body);
        self.sequence_number += 1;
        let sequence_number = self.sequence_number;
        let origin = Origin {
            session: submitter,
            sequence_number,
            received_at: self.now.mono,
            operation: crate::base::SubmitOperation::SubmitSm,
        };
        let shadow = Shadow::new(submitter, &sm);
        self.world.unanswered.insert(sequence_number, shadow);
        let submit = Submit { origin, account: ALICE, version, sm: &sm, body: &body };
        match self.shard.submit(&submit, self.now, &mut self.world) {
            SubmitOutcome::Accepted(id) => self.world.answered(sequence_number, id),
            SubmitOutcome::Refused(status) => {
                assert_eq!(status, CommandStatus::ESME_RMSGQFUL);
                assert_eq!(self.shard.pending(), 60);
                self.world.unanswered.remove(&sequence_number);
            }
            SubmitOutcome::Later => {}
        }
    }

    /// Cancels or replaces one of the messages, whatever it is doing.
    fn operate(&mut self) {
        let mut ids: Vec<MessageId> = self.world.accepted.keys().copied().collect();
        ids.sort_unstable();
        let newest = ids.len().min(10) as u64;
        if newest == 0 {
            return;
        }
        let id = ids[ids.len() - 1 - self.below(newest) as usize];
        let text = id.text();
        let (message_id, source_addr) = (text.as_bytes(), &b"ACME"[..]);
        let registered_delivery = self.world.accepted[&id].registered_delivery;
        let operation = if self.below(2) == 0 {
            Operation::Cancel(CancelSm { message_id, source_addr, ..CancelSm::default() })
        } else {
            let schedule_delivery_time = if self.below(2) == 0 { &b""[..] } else { b"000000000001000R" };
            Operation::Replace(ReplaceSm {
                message_id,
                source_addr,
                schedule_delivery_time,
                registered_delivery,
                short_message: b"replaced",
                ..ReplaceSm::default()
            })
        };
        let asker = Asker { session: SessionHandle::NONE, ticket: 0 };
        let request = OperationRequest { asker, account: ALICE, version: InterfaceVersion::V34, operation };
        self.shard.operate(&request, self.now, &mut self.world);
    }

    fn bind(&mut self) {
        let slot = self.below(u64::from(SESSIONS)) as u32;
        if self.handle(slot).is_some() {
            return;
        }
        self.generation += 1;
        let handle = SessionHandle { slot, generation: self.generation, worker: (slot % 2) as u16 };
        let account = if slot < 4 { ALICE } else { BOB };
        let (receives, deliver_credit) = (self.below(4) != 0, 1 + self.below(3) as u32);
        self.world.bound.insert(handle, (account, receives, deliver_credit));
        let version = InterfaceVersion::V34;
        let bound = Bound { session: handle, account, version, receives, deliver_credit, address_range: b"" };
        self.shard.session_bound(&bound, &mut self.world);
    }

    fn unbind(&mut self) {
        let slot = self.below(u64::from(SESSIONS)) as u32;
        if let Some(handle) = self.handle(slot) {
            self.end(handle);
        }
    }

    fn end(&mut self, handle: SessionHandle) {
        self.world.bound.remove(&handle);
        self.world.lost.retain(|&lost| lost != handle);
        let (ended, open) = std::mem::take(&mut self.world.handed).into_iter().partition(|h| h.to == handle);
        self.world.handed = open;
        let ended: Vec<Handed> = ended;
        self.stale.extend(ended.into_iter().map(|handed| (handed, false)));
        self.shard.session_unbound(handle);
    }

    fn settle(&mut self) {
        if self.world.handed.is_empty() {
            return;
        }
        let index = self.below(self.world.handed.len() as u64) as usize;
        let result = match self.below(10) {
            0 => DeliveryResult::TimedOut,
            1 => DeliveryResult::NotSent,
            2 => DeliveryResult::SessionLost,
            3 => DeliveryResult::Answered(CommandStatus::ESME_RX_T_APPN),
            4 => DeliveryResult::Answered(CommandStatus::ESME_RX_P_APPN),
            _ => DeliveryResult::Answered(CommandStatus::ESME_ROK),
        };
        self.settle_with(index, result);
    }

    fn settle_with(&mut self, index: usize, result: DeliveryResult) {
        let handed = self.world.handed.remove(index);
        let is_settled = matches!(
            result,
            DeliveryResult::Answered(CommandStatus::ESME_ROK | CommandStatus::ESME_RX_P_APPN)
        );
        if is_settled {
            self.world.settled(&handed);
        }
        if result == DeliveryResult::SessionLost {
            self.world.lost.push(handed.to);
        }
        self.shard.delivery_result(handed.token, result, self.now, &mut self.world);
        self.stale.push((handed, result == DeliveryResult::TimedOut));
    }

    fn pass(&mut self) {
        let ms = [1, 17, 900, 20_000, 4_000_000][self.below(5) as usize];
        self.now.mono = self.now.mono.plus_millis(ms);
        self.now.wall = WallTime::from_unix_millis(self.now.wall.unix_millis() + ms);
    }

    fn inject_mo(&mut self) {
        let mo = Mo {
            source_addr: b"447",
            destination_addr: b"8002",
            data_coding: 0,
            esm_class: 0,
            short_message: b"mo",
        };
        let result = self.shard.inject_mo(&mo, self.now, &mut self.world);
        assert!(result.is_ok() || self.shard.pending() == 60);
    }

    /// The faults stop: everything comes to its end.
    fn drain(&mut self) {
        self.world.full_lane = None;
        self.shard.store.durable = None;
        for slot in 0..SESSIONS {
            if let Some(handle) = self.handle(slot) {
                self.end(handle);
            }
        }
        for (slot, account) in [(0, ALICE), (5, BOB)] {
            self.generation += 1;
            let session = SessionHandle { slot, generation: self.generation, worker: 0 };
            self.world.bound.insert(session, (account, true, 100));
            let version = InterfaceVersion::V50;
            let bound =
                Bound { session, account, version, receives: true, deliver_credit: 100, address_range: b"" };
            self.shard.session_bound(&bound, &mut self.world);
        }
        let mut turns = 0;
        while self.shard.pending() > 0 {
            while self.shard.turn(self.now, 1_000, &mut self.world) {}
            while !self.world.handed.is_empty() {
                self.settle_with(0, DeliveryResult::Answered(CommandStatus::ESME_ROK));
            }
            self.shard.check_invariants();
            if let Some(deadline) = self.shard.next_deadline() {
                let ms = deadline.nanos_since(self.now.mono).div_ceil(1_000_000);
                self.now.mono = self.now.mono.plus_millis(ms);
            }
            turns += 1;
            assert!(turns < 100_000, "seed {}: {} messages never end", self.seed, self.shard.pending());
        }
        self.check_end();
    }

    fn check_end(&mut self) {
        let seed = self.seed;
        assert!(
            self.shard.store.is_empty() && self.shard.wheel.is_empty() && self.world.unanswered.is_empty()
        );
        assert_eq!(self.world.mo_open, 0, "seed {seed}");
        let parts = self.world.accepted.values().filter(|shadow| shadow.is_part).count() as u64;
        assert!(self.world.parts_told >= parts, "seed {seed}: nobody was told of some parts");
        if self.crashes() {
            self.check_end_after_crashes();
            return;
        }
        assert_eq!(self.world.finals, self.world.accepted.len(), "seed {seed}: one final state each");
        assert_eq!(self.world.parts_told, parts, "seed {seed}: each part is told of once");
        for (&id, shadow) in &self.world.accepted {
            let view = self
                .shard
                .query(id, self.now)
                .unwrap_or_else(|| panic!("seed {seed}: {id} has no final state"));
            assert!(view.state.is_final());
            if shadow.is_part {
                continue;
            }
            let delivered = view.state == MessageState::Delivered;
            let asked = !shadow.is_datagram && shadow.registered_delivery.wants_receipt(delivered);
            assert_eq!(shadow.receipts_settled, u32::from(asked), "seed {seed}: {id} in {:?}", view.state);
        }
    }

    /// Final states of earlier runs are not remembered, and a message whose end was not durable may have had another one.
    /// But nobody was told of that, and whoever asked for a receipt has got it.
    fn check_end_after_crashes(&self) {
        for (&id, shadow) in &self.world.accepted {
            let Shadow { is_datagram, receipts_settled, is_part, .. } = *shadow;
            if is_part {
                continue;
            }
            let wants = |delivered| !is_datagram && shadow.registered_delivery.wants_receipt(delivered);
            match (wants(true), wants(false)) {
                (true, true) => assert!(receipts_settled > 0, "seed {}: {id} is lost", self.seed),
                (false, false) => assert_eq!(receipts_settled, 0, "seed {}: {id}", self.seed),
                (delivered, _) => {
                    let fits = |told| (told == MessageState::Delivered) == delivered;
                    assert!(shadow.told.is_none_or(fits), "seed {}: {id}", self.seed);
                }
            }
        }
    }
}
