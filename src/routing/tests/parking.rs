//! Messages that wait long are parked, and nobody can tell.

use super::*;
use crate::smpp::RegisteredDelivery;

/// In five minutes.
const IN_5_MIN: &[u8] = b"000000000500000R";

fn to(destination_addr: &'static [u8], priority_flag: u8) -> SubmitSm<'static> {
    SubmitSm { destination_addr, priority_flag, ..sm(1) }
}

fn scheduled(destination_addr: &'static [u8]) -> SubmitSm<'static> {
    SubmitSm { schedule_delivery_time: IN_5_MIN, ..to(destination_addr, 0) }
}

/// Those that wait for a time, and not for a session or their turn.
fn parked(bench: &Bench) -> u32 {
    let ParkedMessages { all, in_queues, in_line } = bench.shard.parked_messages();
    all - in_queues - in_line
}

/// The numbers attempted so far.
fn attempted(bench: &Bench) -> Vec<&[u8]> {
    bench.shard.network.attempts.iter().map(|(destination, _)| &destination[..]).collect()
}

#[test]
fn a_message_that_waits_for_its_next_attempt_is_parked_and_comes_back_as_it_was() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(0, NEVER_BACK);
    bench.shard.network.then(0, NEVER_BACK);
    let id =
        bench.submit(session(0), SubmitSm { registered_delivery: RegisteredDelivery(0x11), ..to(b"447", 2) });
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.pending()), (1, 2), "it, and its notification beside it");
    let notification = bench.delivery();
    bench.accept(&notification);
    let view = bench.shard.query(id, bench.now).expect("known");
    let held = view.held.expect("pending");
    assert_eq!((held.waits_for, held.priority, held.attempts), ("retry", 2, 1));
    assert_eq!(held.next_attempt.map(|at| at.unix_millis()), Some(NOON_MS + 1_000));
    assert_eq!(held.expires.unix_millis(), NOON_MS + 3_600_000);
    assert_eq!(parked(&bench), 1, "a look does not bring it back");
    bench.pass(999);
    assert_eq!(bench.shard.network.attempts.len(), 1, "not before its time");
    bench.pass(1);
    assert_eq!((bench.shard.network.attempts.len(), parked(&bench)), (2, 1));
    bench.pass(2_000);
    let receipt = bench.delivery();
    assert_eq!(receipt.to, session(0));
    assert!(receipt.text().contains("stat:DELIVRD"), "{}", receipt.text());
    bench.accept(&receipt);
    bench.assert_drained();
    let latency = bench.out.facts.iter().find_map(|fact| match fact {
        Fact::Finished { nanos, .. } => Some(*nanos / 1_000_000),
        _ => None,
    });
    assert!(latency.is_some_and(|ms| ms.abs_diff(3_000) < 4), "{latency:?} ms from acceptance");
}

#[test]
fn a_clock_that_is_set_moves_nothing_that_is_parked() {
    for step_ms in [-7_200_000i64, 7_200_000] {
        let mut bench = bench();
        bench.shard.network.then(0, NEVER_BACK);
        bench.submit(session(0), to(b"447", 0));
        bench.submit(session(0), scheduled(b"448"));
        bench.turn();
        assert_eq!(parked(&bench), 2);
        let wall_ms = bench.now.wall.unix_millis().saturating_add_signed(step_ms);
        bench.now.wall = WallTime::from_unix_millis(wall_ms);
        bench.pass(999);
        assert_eq!(attempted(&bench), [b"447"]);
        bench.shard.network.then(0, NEVER_BACK);
        bench.pass(1);
        assert_eq!(attempted(&bench), [b"447", b"447"]);
        bench.pass(298_999);
        bench.pass(1);
        assert_eq!(attempted(&bench).last(), Some(&&b"448"[..]), "at five minutes");
    }
}

#[test]
fn the_validity_of_a_parked_message_ends_when_it_would_have() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    (0..9).for_each(|_| bench.shard.network.then(0, NEVER_BACK));
    let validity = SubmitSm { validity_period: b"000000000230000R", ..to(b"447", 0) };
    bench.submit(session(0), validity);
    bench.turn();
    bench.now.wall = WallTime::from_unix_millis(NOON_MS + 50_000_000);
    for _ in 0..149 {
        bench.pass(1_000);
        assert_eq!(bench.out.finals(), []);
    }
    bench.pass(1_000);
    assert_eq!(bench.out.finals(), [MessageState::Expired], "after two and a half minutes");
}

#[test]
fn order_and_priority_hold_for_parked_ones() {
    let mut bench = bench();
    bench.shard.network.then(0, NEVER_BACK);
    bench.submit(session(0), to(b"447", 1));
    bench.turn();
    assert_eq!(parked(&bench), 1);
    // Of the same priority: behind it. It stays parked.
    bench.submit(session(0), to(b"447", 1));
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.network.attempts.len()), (1, 1));
    // An urgent one goes meanwhile.
    bench.submit(session(0), to(b"447", 3));
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.network.attempts.len(), bench.out.finals().len()), (0, 2, 1));
    bench.pass(1_000);
    assert_eq!(
        bench.shard.network.attempts.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(),
        [1, 1, 2, 1]
    );
    assert_eq!(bench.out.finals().len(), 3);
}

#[test]
fn those_scheduled_for_one_moment_go_in_order_however_many() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    // More to one subscriber than stand at one place, the last ones when the first are about to come back.
    let mut ids: Vec<MessageId> = (0..40).map(|_| bench.submit(session(0), scheduled(b"447"))).collect();
    let at_once = parked(&bench);
    assert!((1..40).contains(&at_once), "{at_once} are parked");
    let others: Vec<MessageId> = (0..20).map(|_| bench.submit(session(0), scheduled(b"448"))).collect();
    assert!(parked(&bench) > at_once);
    bench.pass(299_400);
    let late = SubmitSm { schedule_delivery_time: b"251123120500000+", ..to(b"447", 0) };
    ids.push(bench.submit(session(0), late));
    bench.pass(300);
    ids.push(bench.submit(session(0), late));
    bench.pass(299);
    assert_eq!(bench.shard.network.attempts, []);
    bench.pass(1);
    bench.pass(60_000);
    let mut seen: Vec<MessageId> = Vec::new();
    for delivery in bench.deliveries() {
        seen.push(MessageId::parse(&delivery.text().as_bytes()[3..19]).unwrap());
        bench.accept(&delivery);
    }
    let of = |ids: &[MessageId]| seen.iter().filter(|id| ids.contains(id)).copied().collect::<Vec<_>>();
    assert_eq!(of(&ids), ids);
    assert_eq!(of(&others), others);
    bench.assert_drained();
}

#[test]
fn a_restart_parks_what_waits_and_a_store_without_records_parks_nothing() {
    let mut bench = bench();
    bench.submit(session(0), scheduled(b"447"));
    bench.shard.network.then(0, NEVER_BACK);
    bench.submit(session(0), to(b"448", 0));
    bench.turn();
    let newest = bench.shard.store.newest();
    bench.restart(settings(), newest, 0, 0);
    assert_eq!((parked(&bench), bench.shard.pending()), (2, 2));
    bench.pass(300_000);
    bench.pass(1);
    assert_eq!(bench.out.finals().len(), 2);

    let network = ScriptedNetwork::default();
    let store = MemoryStore::new(10, 1 << 20);
    let mut shard = Shard::new(settings(), store, network, bench.now.wall).unwrap();
    let mut body = Vec::new();
    scheduled(b"447").encode_body(&mut body);
    let sm = SubmitSm::decode(&body).unwrap();
    let operation = crate::base::SubmitOperation::SubmitSm;
    let origin = Origin { session: session(0), sequence_number: 1, received_at: bench.now.mono, operation };
    let submit = Submit { origin, account: ALICE, version: InterfaceVersion::V34, sm: &sm, body: &body };
    assert!(matches!(shard.submit(&submit, bench.now, &mut bench.out), SubmitOutcome::Accepted(_)));
    assert_eq!((shard.messages.parked.len(), shard.pending()), (0, 1));
}
