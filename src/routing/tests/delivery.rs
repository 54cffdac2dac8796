//! Who gets a delivery, what waits, and what its outcome leads to.

use super::*;

fn answered(status: CommandStatus) -> DeliveryResult {
    DeliveryResult::Answered(status)
}

/// Submits `count` messages with receipts and lets the network deliver them; the ids.
fn finish(bench: &mut Bench, from: SessionHandle, count: usize) -> Vec<MessageId> {
    let ids = (0..count).map(|_| bench.submit(from, sm(1))).collect();
    bench.turn();
    ids
}

fn ids_of(deliveries: &[Delivery]) -> Vec<MessageId> {
    deliveries.iter().map(|d| MessageId::parse(&d.sm().short_message[3..19]).unwrap()).collect()
}

#[test]
fn a_receipt_goes_to_the_session_that_submitted() {
    let mut bench = bench();
    for slot in 0..4 {
        bench.bind(session(slot), ALICE, 10);
    }
    finish(&mut bench, session(2), 3);
    assert!(bench.deliveries().iter().all(|delivery| delivery.to == session(2)));
}

#[test]
fn otherwise_to_the_accounts_receiving_sessions_in_turn() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.bind(session(1), ALICE, 10);
    bench.bind(session(2), BOB, 10);
    bench.bind_as(Bound {
        session: session(3),
        account: ALICE,
        version: InterfaceVersion::V34,
        receives: false,
        deliver_credit: 10,
        address_range: b"",
    });
    // The transmitter can't take its own receipts; an earlier tenant of a slot is not its present one.
    let gone = SessionHandle { generation: 0, ..session(0) };
    finish(&mut bench, session(3), 2);
    finish(&mut bench, gone, 2);
    let slots: Vec<u32> = bench.deliveries().iter().map(|delivery| delivery.to.slot).collect();
    assert_eq!(slots, [0, 1, 0, 1]);
}

#[test]
fn it_waits_until_one_binds() {
    let mut bench = bench();
    let ids = finish(&mut bench, session(0), 3);
    bench.pass(60_000);
    assert!(bench.deliveries().is_empty());
    assert_eq!(bench.shard.next_deadline().map(|at| at > bench.now.mono), Some(true), "no busy waiting");
    bench.bind(session(5), ALICE, 2);
    bench.turn();
    let deliveries = bench.deliveries();
    assert_eq!(ids_of(&deliveries), ids[..2]);
    bench.accept(&deliveries[0]);
    bench.turn();
    assert_eq!(ids_of(&bench.deliveries()), ids[2..]);
}

#[test]
fn a_session_without_credit_holds_up_only_itself() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 1);
    bench.bind(session(1), ALICE, 5);
    let slow = finish(&mut bench, session(0), 3);
    let quick = finish(&mut bench, session(1), 2);
    let deliveries = bench.deliveries();
    assert_eq!(ids_of(&deliveries), [slow[0], quick[0], quick[1]]);
    bench.accept(&deliveries[0]);
    bench.turn();
    let next = bench.delivery();
    assert_eq!((next.to, ids_of(std::slice::from_ref(&next))), (session(0), vec![slow[1]]));
}

#[test]
fn what_an_ended_session_held_goes_to_the_next_in_order() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 2);
    let ids = finish(&mut bench, session(0), 4);
    let old = bench.deliveries();
    assert_eq!(old.len(), 2);
    bench.unbind(session(0));
    let later = finish(&mut bench, session(0), 1);
    bench.bind(session(1), ALICE, 10);
    bench.turn();
    let deliveries = bench.deliveries();
    assert_eq!(ids_of(&deliveries), [&ids[..], &later[..]].concat());
    // Outcomes that the ended session still reports change nothing.
    bench.out.facts.clear();
    bench.accept(&old[0]);
    assert_eq!(bench.out.facts, [Fact::StaleToken]);
    for delivery in &deliveries {
        bench.accept(delivery);
    }
    bench.assert_drained();
}

#[test]
fn lost_deliveries_go_to_another_session_in_order() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 4);
    let ids = finish(&mut bench, session(0), 5);
    let lost = bench.deliveries();
    for delivery in &lost {
        bench.result(delivery, DeliveryResult::SessionLost);
    }
    bench.turn();
    assert!(bench.deliveries().is_empty(), "a lost session gets nothing more");
    bench.bind(session(1), ALICE, 10);
    bench.turn();
    assert_eq!(ids_of(&bench.deliveries()), ids);
}

#[test]
fn a_closing_session_settles_what_it_has_and_gets_nothing_more() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 1);
    bench.bind(session(1), ALICE, 10);
    let ids = finish(&mut bench, session(0), 3);
    let held = bench.delivery();
    bench.shard.session_closing(session(0));
    bench.shard.check_invariants();
    bench.turn();
    let elsewhere = bench.deliveries();
    assert!(elsewhere.iter().all(|delivery| delivery.to == session(1)));
    assert_eq!(ids_of(&elsewhere), ids[1..]);
    bench.accept(&held);
    finish(&mut bench, session(0), 1);
    let last = bench.delivery();
    assert_eq!(last.to, session(1));
    bench.unbind(session(0));
    for delivery in elsewhere.iter().chain([&last]) {
        bench.accept(delivery);
    }
    bench.assert_drained();
}

#[test]
fn what_was_not_sent_goes_out_again_in_front_of_what_waits() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 3);
    let ids = finish(&mut bench, session(0), 5);
    let first = bench.deliveries();
    // Out of order, as results of different turns may come.
    for index in [1, 0, 2] {
        bench.result(&first[index], DeliveryResult::NotSent);
    }
    bench.turn();
    assert_eq!(ids_of(&bench.deliveries()), ids[..3]);
}

#[test]
fn a_refusal_for_good_drops_and_any_other_is_repeated_with_backoff() {
    for status in [CommandStatus::ESME_RX_P_APPN, CommandStatus::ESME_RX_R_APPN] {
        let mut bench = bench();
        bench.bind(session(0), ALICE, 1);
        finish(&mut bench, session(0), 1);
        let receipt = bench.delivery();
        bench.result(&receipt, answered(status));
        assert!(bench.out.facts.contains(&Fact::ReceiptFailed { account: ALICE }));
        bench.assert_drained();
    }
    let again = [
        (answered(CommandStatus::ESME_RX_T_APPN), [1_000, 2_000, 4_000]),
        (DeliveryResult::TimedOut, [1_000, 2_000, 4_000]),
        // Congestion has a schedule of its own.
        (answered(CommandStatus::ESME_RMSGQFUL), [7_000, 14_000, 28_000]),
        (answered(CommandStatus::ESME_RTHROTTLED), [7_000, 14_000, 28_000]),
    ];
    for (result, waits_ms) in again {
        let mut bench = bench();
        bench.bind(session(0), ALICE, 1);
        finish(&mut bench, session(0), 1);
        for wait_ms in waits_ms {
            let receipt = bench.delivery();
            bench.result(&receipt, result);
            bench.pass(wait_ms - 1);
            assert!(bench.deliveries().is_empty());
            bench.pass(1);
        }
        let receipt = bench.delivery();
        bench.accept(&receipt);
        bench.assert_drained();
    }
}

#[test]
fn an_outcome_counts_once() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 2);
    finish(&mut bench, session(0), 1);
    let receipt = bench.delivery();
    bench.result(&receipt, DeliveryResult::TimedOut);
    bench.pass(1_000);
    let second = bench.delivery();
    bench.out.facts.clear();
    // The late answer to the first attempt, then one for another shard, then one for a slot never used.
    bench.accept(&receipt);
    let mut elsewhere = second.clone();
    elsewhere.token.shard = 1;
    bench.accept(&elsewhere);
    elsewhere.token = DeliveryToken { slot: 77, ..second.token };
    bench.accept(&elsewhere);
    assert_eq!(bench.out.facts, [Fact::StaleToken; 3]);
    bench.accept(&second);
    bench.accept(&second);
    assert_eq!(bench.out.facts.len(), 5);
    bench.assert_drained();
}

#[test]
fn a_full_lane_delays_its_worker_only() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.bind(session(1), ALICE, 10);
    bench.out.full_lanes.push(session(0).worker);
    let stuck = finish(&mut bench, session(0), 2);
    let free = finish(&mut bench, session(1), 1);
    // A receipt of nobody in particular avoids the full lane.
    let anyones = finish(&mut bench, SessionHandle::NONE, 1);
    assert_eq!(ids_of(&bench.deliveries()), [free, anyones].concat());
    assert!(bench.shard.turn(bench.now, 64, &mut bench.out), "it is to be tried again");
    bench.out.full_lanes.clear();
    bench.turn();
    assert_eq!(ids_of(&bench.deliveries()), stuck);
}

#[test]
fn the_budget_bounds_a_turn() {
    let mut bench = bench();
    for _ in 0..10 {
        bench.submit(session(0), sm(1));
    }
    bench.turn();
    bench.bind(session(0), ALICE, 100);
    assert!(bench.shard.turn(bench.now, 4, &mut bench.out));
    assert_eq!(bench.deliveries().len(), 4);
    bench.turn();
    assert_eq!(bench.deliveries().len(), 6);
}

#[test]
fn a_new_tenant_of_a_slot_displaces_the_old() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 5);
    finish(&mut bench, session(0), 1);
    let held_by_the_first = bench.delivery();
    let second = SessionHandle { generation: 2, ..session(0) };
    bench.bind(second, BOB, 5);
    bench.turn();
    assert!(bench.deliveries().is_empty(), "another account's session gets nothing of it");
    bench.accept(&held_by_the_first);
    assert!(bench.out.facts.contains(&Fact::StaleToken));
    bench.unbind(session(0));
    assert!(bench.shard.sessions.find(second).is_some(), "a stale handle unbinds nobody");
}

#[test]
fn a_session_that_is_full_gets_nothing_until_it_is_resumed_and_holds_up_only_itself() {
    let mut bench = bench();
    let (full, other) = (session(1), session(2));
    bench.bind(full, ALICE, 10);
    bench.bind(other, ALICE, 10);
    bench.out.full.push(full);
    let first = finish(&mut bench, full, 3);
    // One went out, which filled it; the others wait for it though it has credit.
    let deliveries = bench.deliveries();
    assert_eq!(ids_of(&deliveries), first[..1]);
    let second = finish(&mut bench, other, 2);
    let others = bench.deliveries();
    assert_eq!((ids_of(&others), others[0].to), (second, other));
    // An answer gives credit back, and is no sign that there is room.
    bench.accept(&deliveries[0]);
    bench.turn();
    assert_eq!(bench.deliveries().len(), 0);

    bench.out.full.clear();
    bench.shard.session_resumed(full);
    bench.turn();
    let rest = bench.deliveries();
    assert_eq!(ids_of(&rest), first[1..]);
    for delivery in rest.iter().chain(&others) {
        bench.accept(delivery);
    }
    bench.turn();
    bench.assert_drained();
}

#[test]
fn what_was_on_its_way_to_a_session_that_pauses_waits_in_its_place() {
    let mut bench = bench();
    let slow = session(1);
    bench.bind(slow, ALICE, 10);
    let ids = finish(&mut bench, slow, 4);
    let deliveries = bench.deliveries();
    assert_eq!(ids_of(&deliveries), ids);
    // The worker has taken one and sends the others back: its pause comes first.
    bench.shard.session_paused(slow);
    for delivery in &deliveries[1..] {
        bench.result(delivery, DeliveryResult::NotSent);
    }
    bench.turn();
    assert_eq!(bench.deliveries().len(), 0, "not again and again");
    bench.shard.session_resumed(slow);
    bench.turn();
    let again = bench.deliveries();
    assert_eq!(ids_of(&again), ids[1..]);
    // A paused session that ends leaves nothing behind.
    bench.shard.session_paused(slow);
    bench.unbind(slow);
    bench.bind(session(2), ALICE, 10);
    bench.turn();
    assert_eq!(ids_of(&bench.deliveries()), ids);
}

#[test]
fn what_comes_back_again_and_again_keeps_its_order() {
    let mut bench = bench();
    let slow = session(1);
    bench.bind(slow, ALICE, 4);
    let ids = finish(&mut bench, slow, 6);
    let first = bench.deliveries();
    assert_eq!(ids_of(&first), ids[..4]);
    bench.shard.session_paused(slow);
    for delivery in &first[1..] {
        bench.result(delivery, DeliveryResult::NotSent);
    }
    bench.accept(&first[0]);
    // The next one goes out alone and comes back, while those behind it have been out and back before.
    bench.out.full.push(slow);
    bench.shard.session_resumed(slow);
    bench.turn();
    let second = bench.delivery();
    bench.result(&second, DeliveryResult::NotSent);
    bench.out.full.clear();
    bench.shard.session_resumed(slow);
    bench.turn();
    assert_eq!(ids_of(&bench.deliveries()), ids[1..5]);
}

#[test]
fn a_message_whose_body_the_store_has_lost_ends_as_undeliverable() {
    let mut bench = bench();
    let scheduled = SubmitSm { schedule_delivery_time: b"000000000100000R", destination_addr: b"1", ..sm(0) };
    let id = bench.submit(session(0), scheduled);
    bench.turn();
    bench.shard.store.is_damaged = true;
    bench.pass(60_000);
    assert!(bench.shard.network.attempts.is_empty(), "there is nothing to deliver");
    assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Undeliverable);
    assert_eq!(bench.out.finals(), [MessageState::Undeliverable]);
    bench.assert_drained();
}

#[test]
fn an_answer_that_comes_late_counts_until_the_delivery_is_repeated() {
    for (answer, mo_delivered, deliveries) in [
        (CommandStatus::ESME_ROK, true, 1),
        (CommandStatus::ESME_RX_P_APPN, false, 1),
        (CommandStatus::ESME_RX_T_APPN, true, 2),
    ] {
        let mut bench = bench_with_owner();
        bench.bind(session(1), BOB, 9);
        inject(&mut bench);
        let delivery = bench.delivery();
        bench.result(&delivery, DeliveryResult::TimedOut);
        bench.pass(999);
        bench.result(&delivery, DeliveryResult::Answered(answer));
        // Once, whatever it was.
        bench.out.facts.clear();
        bench.result(&delivery, DeliveryResult::Answered(CommandStatus::ESME_ROK));
        assert_eq!(bench.out.facts, [Fact::StaleToken]);
        bench.pass(60_000);
        for delivery in bench.deliveries() {
            bench.accept(&delivery);
        }
        let is_delivered = bench.out.facts.iter().any(|fact| matches!(fact, Fact::MoDelivered { .. }));
        assert_eq!(is_delivered || deliveries == 1, mo_delivered || deliveries == 1, "{answer:?}");
        bench.assert_drained();
    }
    // Not behind the repetition, in which it is open again.
    let mut bench = bench_with_owner();
    bench.bind(session(1), BOB, 9);
    inject(&mut bench);
    let first = bench.delivery();
    bench.result(&first, DeliveryResult::TimedOut);
    bench.pass(1_000);
    let second = bench.delivery();
    bench.out.facts.clear();
    bench.accept(&first);
    assert_eq!(bench.out.facts, [Fact::StaleToken]);
    bench.accept(&second);
    bench.assert_drained();
    // Nor while it waits for a session to be repeated on.
    let mut bench = bench_with_owner();
    bench.bind(session(1), BOB, 1);
    inject(&mut bench);
    let first = bench.delivery();
    bench.result(&first, DeliveryResult::TimedOut);
    bench.unbind(session(1));
    bench.pass(1_000);
    bench.out.facts.clear();
    bench.accept(&first);
    assert_eq!(bench.out.facts, [Fact::StaleToken]);
}

/// Bob owns 7000.
fn bench_with_owner() -> Bench {
    let bob = AccountRouting { addresses: vec![b"7000".to_vec()], ..AccountRouting::default() };
    Bench::new(ShardSettings { accounts: vec![AccountRouting::default(), bob], ..settings() })
}

fn inject(bench: &mut Bench) {
    let mo = Mo {
        source_addr: b"4470",
        destination_addr: b"7000",
        data_coding: 0,
        esm_class: 0,
        short_message: b"x",
    };
    bench.shard.inject_mo(&mo, bench.now, &mut bench.out).unwrap();
    bench.turn();
}
