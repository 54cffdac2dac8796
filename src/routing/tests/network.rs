//! What the network says, and the final states that follow.

use super::*;

#[test]
fn a_message_without_receipt_leaves_nothing_but_its_state() {
    let mut bench = bench();
    bench.shard.network.then(250, Outcome::Delivered);
    let id = bench.submit(session(0), sm(0));
    let view = bench.shard.query(id, bench.now).unwrap();
    let held = view.held.unwrap();
    assert_eq!((view.state, held.account, held.attempts), (MessageState::Enroute, ALICE, 1));
    assert_eq!(held.addresses, Some((b"ACME".to_vec(), b"447700900123".to_vec())));
    bench.pass(249);
    assert!(bench.out.finals().is_empty());
    bench.pass(1);
    let finished = Fact::Finished { account: ALICE, state: MessageState::Delivered, nanos: 250_000_000 };
    assert_eq!(bench.out.facts, [Fact::Attempt, finished]);
    bench.assert_drained();
    let view = bench.shard.query(id, bench.now).unwrap();
    assert_eq!((view.state, view.error, view.held), (MessageState::Delivered, 0, None));
    assert_eq!(view.finished.unwrap().unix_seconds(), NOON_MS / 1_000);
    assert_eq!(bench.shard.query(MessageId::from_u64(1), bench.now), None);
}

#[test]
fn each_outcome_has_its_state_and_error() {
    for (outcome, state, error) in [
        (Outcome::Delivered, MessageState::Delivered, 0),
        (Outcome::Undeliverable { error: 1 }, MessageState::Undeliverable, 1),
        (Outcome::Rejected { error: 69 }, MessageState::Rejected, 69),
        (Outcome::Expired, MessageState::Expired, 0),
    ] {
        let mut bench = bench();
        bench.shard.network.then(0, outcome);
        let id = bench.submit(session(0), sm(0));
        bench.turn();
        assert_eq!(bench.out.finals(), [state]);
        assert_eq!(
            bench.shard.query(id, bench.now).map(|view| (view.state, view.error)),
            Some((state, error))
        );
        bench.assert_drained();
    }
}

#[test]
fn an_absent_subscriber_is_tried_again_with_backoff() {
    let mut bench = bench();
    for _ in 0..3 {
        bench.shard.network.then(0, NEVER_BACK);
    }
    bench.submit(session(0), sm(0));
    bench.turn();
    // 1 s, 2 s, 4 s after the failures.
    for (wait_ms, attempts) in [(999, 1), (1, 2), (1_999, 2), (1, 3), (3_999, 3), (1, 4)] {
        bench.pass(wait_ms);
        assert_eq!(bench.shard.network.attempts.len(), attempts);
    }
    assert_eq!(bench.shard.network.attempts[3], (b"447700900123".to_vec(), 4));
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    assert_eq!(bench.out.facts.iter().filter(|fact| **fact == Fact::Retry).count(), 3);
    bench.assert_drained();
}

#[test]
fn a_subscriber_who_is_back_is_tried_at_once() {
    let mut bench = bench();
    bench.shard.network.then(0, Outcome::Absent { back_after_nanos: 300_000_000, error: 27 });
    bench.submit(session(0), sm(0));
    bench.turn();
    bench.pass(299);
    assert!(bench.out.finals().is_empty());
    bench.pass(1);
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
}

#[test]
fn the_validity_ends_the_tries_with_the_last_error() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.shard.network.verdicts.extend([Verdict { after_nanos: 0, outcome: NEVER_BACK }; 10]);
    let id = bench.submit(session(0), SubmitSm { validity_period: b"000000000010000R", ..sm(1) });
    bench.turn();
    bench.pass(9_999);
    assert!(bench.out.finals().is_empty());
    bench.pass(1);
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
    assert_eq!(bench.shard.query(id, bench.now).unwrap().error, 27);
    let receipt = bench.delivery();
    assert!(receipt.text().contains("stat:EXPIRED err:027"), "{}", receipt.text());
    bench.accept(&receipt);
    bench.assert_drained();
}

#[test]
fn a_report_after_the_validity_still_counts() {
    let mut bench = bench();
    bench.shard.network.then(20_000, Outcome::Delivered);
    bench.submit(session(0), SubmitSm { validity_period: b"000000000010000R", ..sm(0) });
    bench.pass(19_000);
    assert!(bench.out.finals().is_empty());
    bench.pass(1_000);
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
}

#[test]
fn next_deadline_leads_to_the_report() {
    let mut bench = bench();
    assert_eq!(bench.shard.next_deadline(), None);
    bench.shard.network.then(100, Outcome::Delivered);
    bench.submit(session(0), sm(0));
    let report_at = bench.now.mono.plus_millis(100);
    // The wheel may ask to be looked at before, but not often.
    let mut looks = 0;
    while bench.out.finals().is_empty() {
        let deadline = bench.shard.next_deadline().unwrap();
        bench.pass((deadline.nanos_since(bench.now.mono)) / 1_000_000);
        looks += 1;
    }
    assert_eq!((bench.now.mono, looks <= 2), (report_at, true));
    bench.submit(session(0), sm(0));
    assert_eq!(bench.shard.next_deadline(), Some(Time::ZERO), "a report that is there already");
}

#[test]
fn records_tell_a_restart_how_far_a_message_has_come() {
    let mut bench = bench();
    bench.shard.network.then(0, NEVER_BACK);
    bench.shard.network.then(0, Outcome::Rejected { error: 69 });
    bench.submit(session(0), sm(2));
    bench.turn();
    bench.pass(1_000);
    let [accepted, retried, finished] = bench.shard.store.records[..] else { panic!() };
    assert_eq!((accepted.state, accepted.stage, accepted.target), (1, 0, None));
    assert_eq!((retried.attempts, retried.error), (1, 27));
    assert_eq!(retried.due.unix_millis(), NOON_MS + 1_000);
    assert_eq!(accepted.expires.unix_millis(), NOON_MS + 3_600_000);
    // Final with a receipt owed: a stage of its own, addressed to the account.
    assert_eq!((finished.state, finished.stage, finished.target), (8, 2, Some(ALICE)));
    assert_eq!((finished.attempts, finished.error), (0, 69));
    assert_eq!(finished.expires.unix_millis(), NOON_MS + 1_000 + 7_200_000);
}
