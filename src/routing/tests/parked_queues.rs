//! Messages that wait in an account's queue are parked behind the first few, and nobody can tell.

use super::*;
use crate::smpp::{CancelSm, Operation, OperationAnswer, QuerySm, ReplaceSm};

/// All but the first two of each priority are parked.
fn two_at_hand() -> ShardSettings {
    ShardSettings { queued_at_hand: 2, ..settings() }
}

/// A shard where Bob, who is not bound, has messages waiting with these texts and priorities.
fn waiting(settings: ShardSettings, texts: &[(&str, u8)]) -> (Bench, Vec<MessageId>) {
    let mut bench = Bench::new(settings);
    bench.shard.owners.insert_exact(b"8001", BOB);
    let ids = texts.iter().map(|(text, priority)| submit_to_bob(&mut bench, text, *priority)).collect();
    bench.turn();
    (bench, ids)
}

fn submit_to_bob(bench: &mut Bench, text: &str, priority_flag: u8) -> MessageId {
    let sm = sm(1);
    let short_message = text.as_bytes();
    bench.submit(session(0), SubmitSm { destination_addr: b"8001", priority_flag, short_message, ..sm })
}

/// Parked messages that wait for a session.
fn parked(bench: &Bench) -> u32 {
    bench.shard.parked_messages().in_queues
}

/// What a session that can take everything gets, in order.
fn texts(bench: &mut Bench) -> Vec<String> {
    bench.turn();
    bench.deliveries().iter().map(Delivery::text).collect()
}

fn answer(bench: &mut Bench, operation: Operation<'_>) -> OperationAnswer {
    let asker = Asker { session: session(0), ticket: 3 };
    let request = OperationRequest { asker, account: ALICE, version: InterfaceVersion::V50, operation };
    let outcome = bench.shard.operate(&request, bench.now, &mut bench.out);
    bench.shard.check_invariants();
    match outcome {
        OperationOutcome::Answered(answer) => answer,
        OperationOutcome::Later => panic!("not durable"),
    }
}

fn cancel(bench: &mut Bench, id: MessageId) {
    let text = id.text();
    let cancel = CancelSm { message_id: text.as_bytes(), source_addr: b"ACME", ..CancelSm::default() };
    assert_eq!(answer(bench, Operation::Cancel(cancel)), OperationAnswer::Done);
}

#[test]
fn they_go_out_in_order_whoever_leaves_from_between_them() {
    let texts_in = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|text| (text, 0));
    // The first one parked, one in the middle, the last; the last one at hand before the parked ones.
    for gone in [vec![2], vec![4], vec![7], vec![1], vec![1, 2, 3], vec![7, 6, 5], vec![3, 4, 2]] {
        let (mut bench, ids) = waiting(two_at_hand(), &texts_in);
        assert_eq!((parked(&bench), bench.shard.pending()), (6, 8));
        for &index in &gone {
            cancel(&mut bench, ids[index]);
        }
        let late = submit_to_bob(&mut bench, "late", 0);
        bench.turn();
        assert_ne!(late, ids[0]);
        bench.bind(session(1), BOB, 20);
        let expected: Vec<&str> = (0..8)
            .filter(|index| !gone.contains(index))
            .map(|index| texts_in[index].0)
            .chain(["late"])
            .collect();
        assert_eq!(texts(&mut bench), expected, "without {gone:?}");
        let receipts = gone.len() as u32;
        assert_eq!(parked(&bench), receipts.saturating_sub(2), "only receipts, which Alice is not there for");
    }
}

#[test]
fn each_priority_has_its_few_at_hand_and_its_order() {
    let texts_in = [("a", 0), ("A", 3), ("b", 0), ("B", 3), ("c", 0), ("C", 3), ("m", 1)];
    let (mut bench, _) = waiting(two_at_hand(), &texts_in);
    assert_eq!(parked(&bench), 2, "the third of two priorities");
    bench.bind(session(1), BOB, 3);
    assert_eq!(texts(&mut bench), ["A", "B", "C"]);
    bench.bind(session(2), BOB, 9);
    assert_eq!(texts(&mut bench), ["m", "a", "b", "c"]);
    assert_eq!(parked(&bench), 0);
}

#[test]
fn what_comes_back_from_a_lost_session_goes_in_front_of_them() {
    let (mut bench, _) = waiting(
        ShardSettings { queued_at_hand: 0, ..settings() },
        &["a", "b", "c", "d"].map(|text| (text, 0)),
    );
    assert_eq!(parked(&bench), 4);
    bench.bind(session(1), BOB, 2);
    assert_eq!(texts(&mut bench), ["a", "b"]);
    // One more is taken out of its parking place to be ready, and that is all.
    assert!(parked(&bench) >= 1);
    bench.unbind(session(1));
    submit_to_bob(&mut bench, "e", 0);
    bench.turn();
    bench.bind(session(2), BOB, 9);
    assert_eq!(texts(&mut bench), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_look_leaves_them_where_they_are_and_says_the_same() {
    let (mut bench, ids) = waiting(two_at_hand(), &["a", "b", "c"].map(|text| (text, 2)));
    for &id in &ids {
        let held = bench.shard.query(id, bench.now).expect("known").held.expect("pending");
        assert_eq!((held.waits_for, held.priority, held.attempts), ("session", 2, 0));
        assert_eq!(held.accepted.unix_millis(), NOON_MS);
        assert_eq!(held.expires.unix_millis(), NOON_MS + 3_600_000);
        assert_eq!((held.scheduled, held.next_attempt), (None, None));
        let text = id.text();
        let query = QuerySm { message_id: text.as_bytes(), source_addr: b"ACME", ..QuerySm::default() };
        let OperationAnswer::State(state) = answer(&mut bench, Operation::Query(query)) else { panic!() };
        assert_eq!(state.state, MessageState::Enroute);
    }
    assert_eq!(parked(&bench), 1);
}

#[test]
fn they_expire_when_they_would_have() {
    let (mut bench, _) = waiting(two_at_hand(), &["a", "b", "c", "d"].map(|text| (text, 0)));
    assert_eq!(parked(&bench), 2);
    // A clock that is set changes nothing.
    bench.now.wall = WallTime::from_unix_millis(NOON_MS + 50_000_000);
    bench.pass(3_599_999);
    assert_eq!(bench.out.finals(), []);
    bench.pass(1);
    assert_eq!(bench.out.finals(), [MessageState::Expired; 4]);
    // Their receipts wait for Alice, and then for no longer than receipts do.
    assert_eq!(bench.shard.pending(), 4);
    assert_eq!(parked(&bench), 2);
    bench.pass(7_199_999);
    assert_eq!(bench.shard.pending(), 4);
    bench.pass(1);
    bench.assert_drained();
    let failed = bench.out.facts.iter().filter(|fact| matches!(fact, Fact::ReceiptFailed { .. })).count();
    assert_eq!(failed, 4);
}

#[test]
fn receipts_notifications_and_mo_messages_say_what_they_would_have() {
    let mut bench = Bench::new(ShardSettings { queued_at_hand: 0, ..settings() });
    bench.shard.owners.insert_exact(b"8001", ALICE);
    bench.shard.network.then(0, Outcome::Absent { back_after_nanos: u64::MAX, error: 27 });
    bench.shard.network.then(0, Outcome::Undeliverable { error: 34 });
    let id = bench.submit(session(0), sm(0x11));
    bench.turn();
    bench.pass(1_000);
    let mo = Mo {
        source_addr: b"447700900123",
        destination_addr: b"8001",
        data_coding: 0,
        esm_class: 0,
        short_message: b"mo",
    };
    let mo = bench.shard.inject_mo(&mo, bench.now, &mut bench.out).unwrap().message_id();
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.pending()), (3, 3));
    assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Undeliverable);
    assert_eq!(bench.shard.query(mo, bench.now).unwrap().held.unwrap().role, "mo");
    bench.pass(60_000);
    bench.bind(session(1), ALICE, 9);
    bench.turn();
    let deliveries = bench.deliveries();
    let [notification, receipt, mo] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert!(notification.sm().esm_class.is_intermediate());
    assert!(receipt.text().contains("stat:UNDELIV err:034"), "{}", receipt.text());
    assert!(receipt.text().contains("submit date:2511231200 done date:2511231200"), "{}", receipt.text());
    assert_eq!((mo.text().as_str(), mo.to), ("mo", session(1)));
    bench.pass(500);
    deliveries.iter().for_each(|delivery| bench.accept(delivery));
    bench.assert_drained();
    let settled = |fact: &Fact| match fact {
        Fact::ReceiptSettled { nanos, .. } | Fact::MoDelivered { nanos, .. } => Some(*nanos / 1_000_000),
        _ => None,
    };
    let waited_ms: Vec<u64> = bench.out.facts.iter().filter_map(settled).collect();
    // To the second from the final state, to some milliseconds from acceptance.
    for (waited_ms, expected, uncertain) in
        [(waited_ms[0], 61_500, 1_000), (waited_ms[1], 60_500, 1_000), (waited_ms[2], 60_500, 4)]
    {
        assert!((expected..expected + uncertain).contains(&waited_ms), "{waited_ms} ms, not {expected}");
    }
}

#[test]
fn a_receipt_goes_to_the_session_that_submitted_if_that_comes_to_receive() {
    let mut bench = Bench::new(ShardSettings { queued_at_hand: 0, ..settings() });
    // It submits, but does not receive: what it is owed waits for any session of the account.
    let transmitter = Bound {
        session: session(0),
        account: ALICE,
        version: InterfaceVersion::V34,
        receives: false,
        deliver_credit: 0,
        address_range: b"",
    };
    bench.bind_as(transmitter);
    bench.submit(session(0), sm(1));
    bench.turn();
    assert_eq!(parked(&bench), 1);
    let place = bench.shard.messages.parked.iter().next().map(|(place, _)| place).unwrap();
    assert_eq!(bench.shard.parked_message(place).unwrap().submitter, session(0));
    bench.bind(session(2), ALICE, 1);
    bench.turn();
    assert_eq!(bench.delivery().to, session(2));
}

#[test]
fn one_that_is_replaced_goes_by_its_address_again() {
    let (mut bench, ids) = waiting(two_at_hand(), &["a", "b", "c", "d"].map(|text| (text, 0)));
    let text = ids[2].text();
    let replace = ReplaceSm {
        message_id: text.as_bytes(),
        source_addr: b"ACME",
        schedule_delivery_time: b"000000000500000R",
        short_message: b"C",
        ..ReplaceSm::default()
    };
    assert_eq!(answer(&mut bench, Operation::Replace(replace)), OperationAnswer::Done);
    // It waits for its schedule now, where all messages to one address are found.
    let cancel = CancelSm { source_addr: b"ACME", destination_addr: b"8001", ..CancelSm::default() };
    assert_eq!(answer(&mut bench, Operation::Cancel(cancel)), OperationAnswer::Done);
    assert_eq!(bench.out.finals(), [MessageState::Deleted; 4]);
}

#[test]
fn what_can_not_be_told_from_its_record_is_not_parked() {
    let mut bench = Bench::new(ShardSettings { queued_at_hand: 0, ..settings() });
    bench.shard.owners.insert_exact(b"8001", BOB);
    let datagram = SubmitSm { esm_class: crate::smpp::EsmClass(1), destination_addr: b"8001", ..sm(0) };
    bench.submit(session(0), datagram);
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.pending()), (0, 1));
    bench.submit(session(0), SubmitSm { destination_addr: b"8001", ..sm(0) });
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.pending()), (1, 2));
    bench.bind(session(1), BOB, 9);
    assert_eq!(texts(&mut bench).len(), 2);
}

#[test]
fn a_restart_parks_them_at_once_and_in_order() {
    let accounts = vec![
        AccountRouting::default(),
        AccountRouting { addresses: vec![b"8001".to_vec()], ..AccountRouting::default() },
    ];
    let settings = ShardSettings { accounts, ..two_at_hand() };
    let (mut bench, _) = waiting(settings.clone(), &["a", "b", "c", "d", "e"].map(|text| (text, 0)));
    // Receipts beside them, in Alice's queue.
    for _ in 0..4 {
        bench.submit(session(0), sm(1));
    }
    bench.turn();
    assert_eq!((parked(&bench), bench.shard.pending()), (3 + 2, 9));
    let newest = bench.shard.store.newest();
    bench.restart(settings, newest, 60_000, 0);
    assert_eq!((parked(&bench), bench.shard.pending()), (3 + 2, 9), "before the first turn");
    submit_to_bob(&mut bench, "f", 0);
    bench.bind(session(1), BOB, 20);
    assert_eq!(texts(&mut bench), ["a", "b", "c", "d", "e", "f"]);
    bench.bind(session(2), ALICE, 20);
    assert_eq!(texts(&mut bench).len(), 4);
    assert_eq!(parked(&bench), 0);
}
