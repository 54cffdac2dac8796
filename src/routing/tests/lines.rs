//! Priorities, and the order of messages to one subscriber.

use super::*;

pub(super) fn to(destination_addr: &'static [u8], priority_flag: u8) -> SubmitSm<'static> {
    SubmitSm { destination_addr, priority_flag, ..sm(1) }
}

/// Submits to one subscriber with these priorities.
fn submit_all(bench: &mut Bench, priorities: &[u8]) -> Vec<MessageId> {
    priorities.iter().map(|&priority| bench.submit(session(0), to(b"447", priority))).collect()
}

/// The ids of the receipts that are waiting to be handed out, in the order in which their messages became final.
pub(super) fn receipts(bench: &mut Bench) -> Vec<MessageId> {
    let id = |delivery: &Delivery| MessageId::parse(&delivery.text().as_bytes()[3..19]).unwrap();
    let deliveries = bench.deliveries();
    for delivery in &deliveries {
        bench.accept(delivery);
    }
    deliveries.iter().map(id).collect()
}

#[test]
fn one_subscriber_has_one_attempt_at_a_time_in_order_of_acceptance() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    for after_ms in [10, 15, 10, 10] {
        bench.shard.network.then(after_ms, Outcome::Delivered);
    }
    let ids = submit_all(&mut bench, &[0; 3]);
    let other = bench.submit(session(0), to(b"448", 0));
    assert_eq!(bench.shard.network.attempts.len(), 2);
    for (pass_ms, done) in
        [(9, vec![]), (1, vec![ids[0]]), (5, vec![other]), (5, vec![ids[1]]), (10, vec![ids[2]])]
    {
        bench.pass(pass_ms);
        assert_eq!(receipts(&mut bench), done);
    }
    assert_eq!(bench.shard.network.attempts.len(), 4);
    bench.assert_drained();
}

#[test]
fn nobody_passes_one_that_waits_for_its_next_attempt() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(0, NEVER_BACK);
    let ids = submit_all(&mut bench, &[1, 1, 0]);
    bench.turn();
    bench.pass(999);
    assert_eq!(bench.shard.network.attempts.len(), 1);
    bench.pass(1);
    assert_eq!(receipts(&mut bench), ids);
    bench.assert_drained();
}

#[test]
fn a_message_of_higher_priority_goes_ahead_in_line_and_of_one_that_waits_for_its_next_attempt() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(10, NEVER_BACK);
    // The first is being attempted, so the others line up.
    let ids = submit_all(&mut bench, &[1, 0, 3, 2, 3, 1]);
    bench.shard.network.then(0, Outcome::Delivered);
    bench.shard.network.then(0, Outcome::Delivered);
    bench.shard.network.then(0, NEVER_BACK);
    bench.pass(10);
    // What is above the first goes while that waits; then the 2 waits itself, and the first behind it.
    assert_eq!(receipts(&mut bench), [ids[2], ids[4]]);
    bench.pass(999);
    assert!(receipts(&mut bench).is_empty());
    bench.pass(1);
    assert_eq!(receipts(&mut bench), [ids[3], ids[0], ids[5], ids[1]]);
    bench.assert_drained();
}

#[test]
fn an_urgent_message_takes_the_turn_of_one_that_waits_but_not_of_one_that_is_attempted() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(5, NEVER_BACK);
    bench.shard.network.then(2_000, Outcome::Delivered);
    let bulk = submit_all(&mut bench, &[0, 0]);
    bench.pass(5);
    let urgent = submit_all(&mut bench, &[3]);
    assert_eq!(bench.shard.network.attempts.len(), 2, "at once");
    let view = bench.shard.query(bulk[0], bench.now).unwrap().held.unwrap();
    assert_eq!((view.waits_for, view.attempts), ("subscriber", 1));
    assert_eq!(view.next_attempt.unwrap().unix_millis(), NOON_MS + 1_005);
    // Its time comes while the urgent one is being attempted.
    bench.pass(1_500);
    assert_eq!(bench.shard.network.attempts.len(), 2);
    bench.pass(500);
    assert_eq!(receipts(&mut bench), [urgent[0], bulk[0], bulk[1]]);
    bench.assert_drained();
}

#[test]
fn one_that_stepped_back_keeps_its_retry_time() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(0, NEVER_BACK);
    let bulk = submit_all(&mut bench, &[0, 0]);
    bench.turn();
    let urgent = submit_all(&mut bench, &[1]);
    bench.turn();
    assert_eq!(receipts(&mut bench), urgent);
    bench.pass(999);
    assert!(receipts(&mut bench).is_empty());
    bench.pass(1);
    assert_eq!(receipts(&mut bench), bulk);
}

#[test]
fn validity_ends_to_the_millisecond_in_line_and_others_go_on() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(60_000, Outcome::Delivered);
    let first = submit_all(&mut bench, &[0]);
    let short = SubmitSm { validity_period: b"000000000020000R", ..to(b"447", 0) };
    let short = bench.submit(session(0), short);
    let last = submit_all(&mut bench, &[0]);
    bench.pass(19_999);
    assert!(bench.out.finals().is_empty());
    bench.pass(1);
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
    assert_eq!(receipts(&mut bench), [short]);
    bench.pass(40_000);
    assert_eq!(receipts(&mut bench), [first[0], last[0]]);
    bench.assert_drained();
}

#[test]
fn a_scheduled_message_lines_up_when_its_time_comes() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    let later = SubmitSm { schedule_delivery_time: b"000000000100000R", ..to(b"447", 0) };
    let later = bench.submit(session(0), later);
    let subscriber = bench.shard.names.name(b"447");
    let holder = bench.shard.subscribers.holder(&bench.shard.messages, subscriber);
    assert_eq!(holder, None, "it has no turn before its time");
    let view = bench.shard.query(later, bench.now).unwrap().held.unwrap();
    assert_eq!((view.waits_for, view.scheduled.unwrap().unix_millis()), ("schedule", NOON_MS + 60_000));
    let now = submit_all(&mut bench, &[0]);
    bench.turn();
    assert_eq!(receipts(&mut bench), now);
    bench.shard.network.then(120_000, Outcome::Delivered);
    let slow = submit_all(&mut bench, &[0]);
    bench.pass(60_000);
    assert_eq!(bench.shard.query(later, bench.now).unwrap().held.unwrap().waits_for, "subscriber");
    bench.pass(60_000);
    assert_eq!(receipts(&mut bench), [slow[0], later]);
}

#[test]
fn a_line_is_as_long_as_it_gets_and_many_subscribers_crowd_nobody() {
    let count = 1_500;
    let mut bench = Bench::new(ShardSettings { messages_max: 2 * count, ..settings() });
    for number in 0..count {
        bench.shard.network.then(10, Outcome::Delivered);
        let destination = format!("44770{number:06}");
        bench.submit(session(0), SubmitSm { destination_addr: destination.as_bytes(), ..sm(0) });
    }
    for _ in 0..count {
        bench.shard.network.then(10, Outcome::Delivered);
        let mut body = Vec::new();
        SubmitSm { destination_addr: b"44770000007", ..sm(0) }.encode_body(&mut body);
        let sm = SubmitSm::decode(&body).unwrap();
        let origin = Origin {
            session: session(0),
            sequence_number: 7,
            received_at: bench.now.mono,
            operation: crate::base::SubmitOperation::SubmitSm,
        };
        let submit = Submit { origin, account: ALICE, version: InterfaceVersion::V34, sm: &sm, body: &body };
        assert!(matches!(bench.shard.submit(&submit, bench.now, &mut bench.out), SubmitOutcome::Accepted(_)));
    }
    assert_eq!(bench.shard.network.attempts.len(), count as usize);
    assert_eq!(bench.shard.subscribers.len(), count);
    bench.pass(10);
    assert_eq!((bench.out.finals().len(), bench.shard.subscribers.len()), (count as usize, 1));
    for _ in 0..count {
        bench.now.mono = bench.now.mono.plus_millis(10);
        while bench.shard.turn(bench.now, 64, &mut bench.out) {}
    }
    bench.assert_drained();
    assert_eq!(bench.shard.subscribers.len(), 0);
}

#[test]
fn an_urgent_message_overtakes_bulk_in_every_queue() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 1);
    let submit = |bench: &mut Bench, number: u8, priority_flag| {
        let destination_addr = [b'4', b'0' + number];
        let sm = SubmitSm { destination_addr: &destination_addr, priority_flag, ..sm(1) };
        bench.submit(session(0), sm)
    };
    // In the work list: all of these report at once, in the next turn.
    let ids: Vec<_> = [0, 9, 1, 3, 0].iter().zip(0..).map(|(&p, n)| submit(&mut bench, n, p)).collect();
    bench.shard.turn(bench.now, 2, &mut bench.out);
    assert_eq!(bench.shard.query(ids[1], bench.now).unwrap().state, MessageState::Delivered);
    assert_eq!(bench.shard.query(ids[3], bench.now).unwrap().state, MessageState::Delivered);
    assert_eq!(bench.shard.query(ids[0], bench.now).unwrap().state, MessageState::Enroute);
    // In the session's queue: one receipt at a time fits. A priority above 3 counts as 3.
    bench.turn();
    let mut order = Vec::new();
    while let Some(receipt) = bench.deliveries().pop() {
        order.push(MessageId::parse(&receipt.text().as_bytes()[3..19]).unwrap());
        bench.accept(&receipt);
        bench.turn();
    }
    assert_eq!(order, [ids[1], ids[3], ids[2], ids[0], ids[4]]);
    // In the account's queue, also when a session's comes back to it.
    let ids: Vec<_> = [1, 2, 0, 2].iter().zip(0..).map(|(&p, n)| submit(&mut bench, n, p)).collect();
    bench.turn();
    assert_eq!(bench.deliveries().len(), 1);
    bench.unbind(session(0));
    bench.bind(session(1), ALICE, 10);
    bench.turn();
    let order: Vec<_> = bench
        .deliveries()
        .iter()
        .map(|receipt| MessageId::parse(&receipt.text().as_bytes()[3..19]).unwrap())
        .collect();
    assert_eq!(order, [ids[1], ids[3], ids[0], ids[2]]);
}
