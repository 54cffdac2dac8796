//! Restart: what was accepted goes on where it was, and nothing that was settled comes again.

use super::*;

fn restart(bench: &mut Bench, ms: u64) {
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, ms, 0);
}

fn recovered(bench: &Bench) -> Vec<(AccountId, RecoveredAs)> {
    let recovered = |fact: &Fact| match *fact {
        Fact::Recovered { account, recovered_as } => Some((account, recovered_as)),
        _ => None,
    };
    bench.out.facts.iter().filter_map(recovered).collect()
}

#[test]
fn a_schedule_a_retry_and_a_first_attempt_go_on() {
    let mut bench = bench();
    let scheduled = SubmitSm { schedule_delivery_time: b"000000000100000R", destination_addr: b"1", ..sm(0) };
    let scheduled = bench.submit(session(0), scheduled);
    for _ in 0..2 {
        bench.shard.network.then(0, NEVER_BACK);
    }
    let retried = bench.submit(session(0), SubmitSm { destination_addr: b"2", ..sm(0) });
    bench.pass(0);
    bench.pass(1_000);
    bench.shard.network.then(90_000, Outcome::Delivered);
    let open = bench.submit(session(0), SubmitSm { destination_addr: b"3", ..sm(0) });
    let attempted: Vec<u32> = bench.shard.network.attempts.iter().map(|attempt| attempt.1).collect();
    assert_eq!(attempted, [1, 2, 1]);
    bench.shard.network.attempts.clear();

    // The next attempt is 2 s after the second, of which one is left.
    restart(&mut bench, 1_000);
    assert_eq!(recovered(&bench), [(ALICE, RecoveredAs::Mt); 3]);
    let view = |bench: &mut Bench, id| bench.shard.query(id, bench.now).unwrap().held.unwrap();
    assert_eq!(view(&mut bench, scheduled).waits_for, "schedule");
    let held = view(&mut bench, retried);
    assert_eq!((held.waits_for, held.attempts, held.accepted.unix_millis()), ("retry", 2, NOON_MS));
    assert_eq!(held.next_attempt.unwrap().unix_millis(), NOON_MS + 3_000);
    assert_eq!(held.expires.unix_millis(), NOON_MS + 3_600_000);
    bench.turn();
    let attempts = |bench: &mut Bench| std::mem::take(&mut bench.shard.network.attempts);
    // Its report is lost, so the attempt counts for nothing.
    assert_eq!(attempts(&mut bench), [(b"3".to_vec(), 1)]);
    assert_eq!(bench.shard.query(open, bench.now).unwrap().state, MessageState::Delivered);
    bench.pass(999);
    assert!(attempts(&mut bench).is_empty());
    bench.pass(1);
    assert_eq!(attempts(&mut bench), [(b"2".to_vec(), 3)]);
    bench.pass(56_999);
    assert!(attempts(&mut bench).is_empty());
    bench.pass(1);
    assert_eq!(attempts(&mut bench), [(b"1".to_vec(), 1)]);
    bench.assert_drained();
}

#[test]
fn a_receipt_owed_comes_again_until_it_is_settled_and_its_message_never() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    let id = bench.submit(session(0), sm(1));
    bench.turn();
    let first = bench.delivery().text();
    restart(&mut bench, 5_000);
    assert_eq!(recovered(&bench), [(ALICE, RecoveredAs::Receipt)]);
    assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Delivered);
    bench.turn();
    assert_eq!(bench.shard.query(id, bench.now).unwrap().held.unwrap().waits_for, "session");
    // On another session of the account, and word for word.
    bench.bind(session(3), ALICE, 10);
    bench.turn();
    let again = bench.delivery();
    assert_eq!((again.to, again.text()), (session(3), first));
    bench.accept(&again);
    assert_eq!(bench.shard.network.attempts.len(), 1);
    assert!(matches!(bench.out.facts.last(), Some(Fact::ReceiptSettled { account: ALICE, .. })));
    restart(&mut bench, 0);
    assert!(recovered(&bench).is_empty());
    bench.assert_drained();
}

#[test]
fn a_refused_receipt_keeps_its_backoff_and_its_validity() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.submit(session(0), sm(1));
    bench.turn();
    let receipt = bench.delivery();
    bench.result(&receipt, DeliveryResult::TimedOut);
    restart(&mut bench, 400);
    bench.bind(session(0), ALICE, 10);
    bench.pass(599);
    assert!(bench.deliveries().is_empty());
    bench.pass(1);
    let receipt = bench.delivery();
    bench.result(&receipt, DeliveryResult::TimedOut);
    restart(&mut bench, 7_200_000);
    bench.bind(session(0), ALICE, 10);
    bench.turn();
    assert!(bench.deliveries().is_empty());
    assert!(bench.out.facts.contains(&Fact::ReceiptFailed { account: ALICE }));
    bench.assert_drained();
}

#[test]
fn mo_messages_and_notifications_go_on_and_are_not_made_twice() {
    let owner = AccountRouting { addresses: vec![b"7000".to_vec()], ..AccountRouting::default() };
    let settings = ShardSettings { accounts: vec![AccountRouting::default(), owner], ..settings() };
    let mut bench = Bench::new(settings.clone());
    bench.shard.network.then(0, NEVER_BACK);
    bench.shard.network.then(0, NEVER_BACK);
    bench.submit(session(0), sm(0x11));
    bench.turn();
    let mo = Mo {
        source_addr: b"447",
        destination_addr: b"7000",
        data_coding: 0,
        esm_class: 0,
        short_message: b"m",
    };
    bench.shard.inject_mo(&mo, bench.now, &mut bench.out).unwrap();
    bench.turn();
    let kept = bench.shard.store.newest();
    bench.restart(settings, kept, 0, 0);
    let expected = [(ALICE, RecoveredAs::Mt), (ALICE, RecoveredAs::Receipt), (BOB, RecoveredAs::Mo)];
    assert_eq!(recovered(&bench), expected);
    bench.bind(session(0), ALICE, 10);
    bench.bind(session(1), BOB, 10);
    bench.pass(1_000);
    let deliveries = bench.deliveries();
    assert_eq!(deliveries.len(), 2);
    assert!(deliveries[0].sm().esm_class.is_intermediate() && deliveries[1].text() == "m");
    for delivery in &deliveries {
        bench.accept(delivery);
    }
    // The second attempt failed too, and a notification is made once.
    bench.pass(2_000);
    let receipt = bench.delivery();
    assert!(receipt.sm().esm_class.is_receipt());
    bench.accept(&receipt);
    bench.assert_drained();
}

#[test]
fn what_expired_meanwhile_is_told() {
    let mut bench = bench();
    bench.shard.network.then(0, NEVER_BACK);
    bench.submit(session(0), SubmitSm { validity_period: b"000000000500000R", ..sm(1) });
    bench.turn();
    restart(&mut bench, 300_000);
    bench.bind(session(0), ALICE, 10);
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
    assert!(bench.delivery().text().contains("stat:EXPIRED"));
    assert_eq!(bench.shard.network.attempts.len(), 1);
}

#[test]
fn a_clock_that_was_set_back_lengthens_no_life() {
    let validity = || SubmitSm { validity_period: b"000000000500000R", ..sm(1) };
    for back_ms in [1_000, 86_400_000, NOON_MS as i64] {
        let mut bench = bench();
        bench.shard.network.then(0, NEVER_BACK);
        let id = bench.submit(session(0), validity());
        bench.turn();
        let kept = bench.shard.store.newest();
        bench.restart(settings(), kept, 0, -back_ms);
        bench.shard.network.verdicts.extend([Verdict { after_nanos: 0, outcome: NEVER_BACK }; 100]);
        bench.pass(299_999);
        assert!(bench.out.finals().is_empty());
        bench.pass(1);
        assert_eq!(bench.out.finals(), [MessageState::Expired], "{back_ms}");
        // Nor do ids repeat.
        assert!(bench.submit(session(0), validity()) > id);
    }
}

#[test]
fn a_clock_that_was_set_forward_is_believed() {
    let mut bench = bench();
    bench.submit(session(0), SubmitSm { schedule_delivery_time: b"000001000000000R", ..sm(0) });
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, 0, 86_400_000);
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Delivered], "its validity began with its schedule");
    bench.submit(session(0), sm(0));
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, 0, i64::MAX / 4);
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
    bench.assert_drained();
}

/// Within a run, deadlines go by the monotonic clock: steps of the wall clock change nothing.
#[test]
fn a_step_of_the_clock_moves_no_deadline() {
    for stepped_ms in [0, NOON_MS * 2] {
        let mut bench = bench();
        bench.submit(session(0), SubmitSm { schedule_delivery_time: b"000000000100000R", ..sm(0) });
        bench.now.wall = WallTime::from_unix_millis(stepped_ms);
        bench.pass(59_999);
        assert!(bench.out.finals().is_empty());
        bench.pass(1);
        assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    }
}

#[test]
fn subscribers_keep_their_order_over_a_restart() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(0, NEVER_BACK);
    let submit =
        |bench: &mut Bench, priority_flag| bench.submit(session(0), SubmitSm { priority_flag, ..sm(1) });
    let mut ids: Vec<_> = [0, 0, 0].map(|priority| submit(&mut bench, priority)).to_vec();
    bench.turn();
    restart(&mut bench, 0);
    // One that comes before the shard has had a turn does not get ahead either.
    ids.push(submit(&mut bench, 0));
    bench.bind(session(0), ALICE, 100);
    bench.pass(999);
    assert_eq!(bench.shard.network.attempts.len(), 1);
    bench.pass(1);
    let got: Vec<_> = bench
        .deliveries()
        .iter()
        .map(|receipt| MessageId::parse(&receipt.text().as_bytes()[3..19]).unwrap())
        .collect();
    assert_eq!(got, ids);
}

#[test]
fn messages_of_a_former_account_run_on_and_what_is_owed_to_it_waits() {
    let mut bench = bench();
    bench.shard.network.then(50, Outcome::Delivered);
    bench.submit(session(0), sm(1));
    // As the store numbers it: behind all that are configured.
    bench.shard.store.records.clear();
    let kept = bench.shard.store.newest();
    let mut store = bench.shard.store.after_crash(kept, 100);
    store.left[0].1.account = AccountId(2);
    bench.shard = Shard::new(settings(), store, ScriptedNetwork::default(), bench.now.wall).unwrap();
    bench.shard.recover(bench.now, &mut bench.out).unwrap();
    bench.bind(session(0), ALICE, 10);
    bench.bind(session(1), BOB, 10);
    bench.bind(session(2), AccountId(2), 10);
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    bench.pass(7_199_999);
    assert_eq!((bench.shard.pending(), recovered(&bench)), (1, vec![(AccountId(2), RecoveredAs::Mt)]));
    let last = bench.shard.store.records.last().unwrap();
    assert_eq!((last.stage, last.account, last.target), (2, AccountId(2), Some(AccountId(2))));
}

#[test]
fn records_that_make_no_sense_are_stated_and_left() {
    let mut bench = bench();
    bench.shard.network.then(50, Outcome::Delivered);
    bench.submit(session(0), sm(1));
    let kept = bench.shard.store.newest();
    let damage: [fn(&mut Record); 8] = [
        |record| record.stage = 4,
        |record| record.stage = 2,
        |record| record.state = 99,
        |record| record.state = 2,
        |record| record.account = AccountId(u16::MAX),
        |record| record.target = Some(AccountId(u16::MAX - 1)),
        |record| (record.stage, record.target) = (1, None),
        |record| (record.stage, record.target) = (1, Some(BOB)),
    ];
    for damage in damage {
        let mut store = bench.shard.store.after_crash(kept, 100);
        damage(&mut store.left[0].1);
        let id = store.left[0].1.id;
        let mut shard = Shard::new(settings(), store, ScriptedNetwork::default(), bench.now.wall).unwrap();
        let mut out = Recorder::default();
        assert_eq!(shard.recover(bench.now, &mut out), Ok(0));
        assert_eq!(out.facts, [Fact::Unrecoverable { message_id: id }]);
        assert!(shard.pending() == 0 && !shard.store.is_empty());
        shard.check_invariants();
    }
    // An id that is there already.
    let mut store = bench.shard.store.after_crash(kept, 100);
    let twin = store.left[0];
    store.left.push_back(twin);
    let mut shard = Shard::new(settings(), store, ScriptedNetwork::default(), bench.now.wall).unwrap();
    assert_eq!(shard.recover(bench.now, &mut bench.out), Ok(1));
    shard.check_invariants();
}

#[test]
fn more_than_may_be_held_is_an_error() {
    let mut bench = bench();
    for _ in 0..3 {
        bench.shard.network.then(50, Outcome::Delivered);
        bench.submit(session(0), sm(1));
    }
    let store = bench.shard.store.after_crash(bench.shard.store.newest(), 100);
    let settings = ShardSettings { messages_max: 2, ..settings() };
    let mut shard = Shard::new(settings, store, ScriptedNetwork::default(), bench.now.wall).unwrap();
    assert_eq!(shard.recover(bench.now, &mut bench.out), Err(TooManyMessages { messages_max: 2 }));
}

/// Nothing but the network's own delays lies between the messages in a subscriber's line, over a restart too.
#[test]
fn lines_go_on_as_fast_as_the_network_reports() {
    const SUBSCRIBERS: u64 = 100;
    const EACH: u64 = 20;
    let settings = ShardSettings { messages_max: 4_000, ..settings() };
    let mut bench = Bench::new(settings.clone());
    for number in 0..SUBSCRIBERS * EACH {
        let destination_addr = (447_700_900_000 + number % SUBSCRIBERS).to_string();
        bench.shard.network.then(3_600_000, Outcome::Delivered);
        bench.submit(session(0), SubmitSm { destination_addr: destination_addr.as_bytes(), ..sm(1) });
    }
    let kept = bench.shard.store.newest();
    bench.restart(settings, kept, 1_000, 0);
    bench.bind(session(0), ALICE, u32::MAX);
    // Each report takes 60 ms; every tenth finds the subscriber away, for 200 ms.
    bench.shard.network.verdicts.clear();
    for number in 0..SUBSCRIBERS * EACH * 2 {
        let absent = Outcome::Absent { back_after_nanos: 200_000_000, error: 27 };
        bench.shard.network.then(60, if number % 10 == 0 { absent } else { Outcome::Delivered });
    }
    let mut elapsed_ms = 0;
    while bench.out.finals().len() < (SUBSCRIBERS * EACH) as usize {
        bench.pass(10);
        elapsed_ms += 10;
        assert!(elapsed_ms < 20 * (60 + 10) * 2 + 20 * 260, "{} are final", bench.out.finals().len());
    }
    // What the attempts of a line take, and no line has had more than a few absences above its share.
    assert!((1_200..4_000).contains(&elapsed_ms), "{elapsed_ms} ms");
    assert_eq!(bench.deliveries().len() as u64, SUBSCRIBERS * EACH);
}
