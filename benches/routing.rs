//! The routing shard on one core: a message from its submit to its end.
//! `cargo bench --bench routing`
//!
//! Each sample is a burst of messages through a warm shard, so that what a message costs includes the caches that
//! a backlog of that size needs. Each message of a burst goes to a subscriber of its own, unless said otherwise.

use divan::Bencher;
use divan::counter::ItemsCount;
use smscd::base::{AccountId, DeliveryToken, MessageId, Now, SessionHandle, Time, WallTime};
use smscd::network::{Delay, Network, NetworkProfile};
use smscd::routing::{
    AccountRouting, Asker, Bound, DeliveryResult, Fact, Origin, Shard, ShardOutput, ShardSettings, Submit,
    SubmitOutcome,
};
use smscd::smpp::{
    CommandStatus, DeliverSm, InterfaceVersion, OperationAnswer, PduBody, RegisteredDelivery, SubmitSm,
};
use smscd::store::MemoryStore;

const SESSION: SessionHandle = SessionHandle { slot: 3, generation: 1, worker: 0 };

fn main() {
    divan::main();
}

/// The shell's part at its cheapest: counts, and keeps the tokens.
#[derive(Default)]
struct Shell {
    tokens: Vec<DeliveryToken>,
    /// What a worker would put on the wire.
    encoded: Vec<u8>,
    finished: u64,
}

impl ShardOutput for Shell {
    fn submit_result(&mut self, _: Origin, _: Result<MessageId, CommandStatus>) {}

    fn mo_held(&mut self, _: MessageId) {}

    fn operation_result(&mut self, _: Asker, _: OperationAnswer) {}

    fn deliver(&mut self, _: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool {
        self.encoded.clear();
        deliver_sm.encode_body(&mut self.encoded);
        self.tokens.push(token);
        true
    }

    fn fact(&mut self, fact: Fact) {
        self.finished += u64::from(matches!(fact, Fact::Finished { .. }));
    }
}

struct World {
    shard: Shard<MemoryStore, Network>,
    shell: Shell,
    now: Now,
    /// Bodies of submits to different subscribers.
    bodies: Vec<Vec<u8>>,
}

impl World {
    fn new(registered_delivery: u8, delay: Delay, subscribers: usize) -> Self {
        let now = Now { mono: Time::from_millis(1), wall: WallTime::from_unix_millis(1_763_899_200_000) };
        let profile = NetworkProfile { delay, ..NetworkProfile::default() };
        let network = Network::new(1, 0, &[profile]).unwrap();
        let settings =
            ShardSettings { accounts: vec![AccountRouting::default()], ..ShardSettings::default() };
        let store = MemoryStore::new(settings.messages_max, 1 << 30);
        let mut shell = Shell::default();
        let mut shard = Shard::new(settings, store, network, now.wall).unwrap();
        let bound = Bound {
            session: SESSION,
            account: AccountId(0),
            version: InterfaceVersion::V34,
            receives: true,
            deliver_credit: 1_000_000,
            address_range: b"",
        };
        shard.session_bound(&bound, &mut shell);
        let bodies = (0..subscribers as u64).map(|number| body(registered_delivery, number)).collect();
        Self { shard, shell, now, bodies }
    }

    fn submit(&mut self, count: usize) {
        for body in self.bodies.iter().cycle().take(count) {
            let sm = SubmitSm::decode(body).unwrap();
            let origin = Origin {
                session: SESSION,
                sequence_number: 1,
                received_at: self.now.mono,
                operation: smscd::base::SubmitOperation::SubmitSm,
            };
            let submit =
                Submit { origin, account: AccountId(0), version: InterfaceVersion::V34, sm: &sm, body };
            let outcome = self.shard.submit(&submit, self.now, &mut self.shell);
            assert!(matches!(outcome, SubmitOutcome::Accepted(_)));
        }
    }

    /// Lets the network report, turn by turn, and answers what is handed out.
    fn finish(&mut self, step_ms: u64) {
        while self.shard.pending() > 0 {
            self.now.mono = self.now.mono.plus_millis(step_ms);
            while self.shard.turn(self.now, 1_024, &mut self.shell) {
                self.answer();
            }
            self.answer();
        }
    }

    fn answer(&mut self) {
        while let Some(token) = self.shell.tokens.pop() {
            let accepted = DeliveryResult::Answered(CommandStatus::ESME_ROK);
            self.shard.delivery_result(token, accepted, self.now, &mut self.shell);
        }
    }
}

fn body(registered_delivery: u8, number: u64) -> Vec<u8> {
    let destination = (447_700_900_000 + number).to_string();
    let sm = SubmitSm {
        source_addr_ton: 5,
        source_addr: b"ACME",
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        destination_addr: destination.as_bytes(),
        registered_delivery: RegisteredDelivery(registered_delivery),
        short_message: b"Sixty characters of text are what the issue measures with.  ",
        ..SubmitSm::default()
    };
    let mut body = Vec::new();
    sm.encode_body(&mut body);
    body
}

/// submit_sm decoded and accepted, the network's report through the wheel, the final state; no receipt.
#[divan::bench(args = [256, 10_000, 200_000])]
fn submit_to_final(bencher: Bencher<'_, '_>, burst: usize) {
    let mut world = World::new(0, Delay::Uniform { min_us: 1_000, max_us: 50_000 }, burst);
    bencher.counter(ItemsCount::new(burst)).bench_local(move || {
        world.submit(burst);
        world.finish(1);
    });
}

/// The same with the receipt built, encoded, handed out and acknowledged.
#[divan::bench(args = [256, 10_000, 200_000])]
fn submit_to_receipt_settled(bencher: Bencher<'_, '_>, burst: usize) {
    let mut world = World::new(1, Delay::Uniform { min_us: 1_000, max_us: 50_000 }, burst);
    bencher.counter(ItemsCount::new(burst)).bench_local(move || {
        world.submit(burst);
        world.finish(1);
    });
}

/// As the default network answers: at once, in the next turn.
#[divan::bench(args = [0, 1])]
fn submit_to_end_without_delay(bencher: Bencher<'_, '_>, registered_delivery: u8) {
    const BURST: usize = 256;
    let mut world = World::new(registered_delivery, Delay::Fixed { us: 0 }, BURST);
    bencher.counter(ItemsCount::new(BURST)).bench_local(move || {
        world.submit(BURST);
        world.finish(0);
    });
}
