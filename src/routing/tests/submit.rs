//! Accepting and refusing; validity and schedule; when the answer may go out.

use super::*;
use crate::base::{MessageIdSource, ShortIds};
use crate::smpp::EsmClass;

fn times<'a>(schedule_delivery_time: &'a [u8], validity_period: &'a [u8]) -> SubmitSm<'a> {
    SubmitSm { schedule_delivery_time, validity_period, ..sm(1) }
}

fn refusal(sm: SubmitSm<'_>) -> CommandStatus {
    let mut bench = bench();
    match bench.try_submit(session(0), InterfaceVersion::V34, sm) {
        SubmitOutcome::Refused(status) => {
            bench.turn();
            bench.assert_drained();
            assert!(bench.out.facts.is_empty());
            status
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_have_the_form_of_the_version() {
    let mut bench = bench();
    for (version, is_short) in
        [(InterfaceVersion::V33, true), (InterfaceVersion::V34, false), (InterfaceVersion::V50, false)]
    {
        let SubmitOutcome::Accepted(id) = bench.try_submit(session(0), version, sm(0)) else { panic!() };
        assert_eq!(id.is_short(), is_short);
    }
}

#[test]
fn a_short_id_of_a_pending_message_is_passed_over() {
    let mut bench = bench();
    bench.shard.network.then(5_000, Outcome::Delivered);
    let submit = |bench: &mut Bench| match bench.try_submit(session(0), InterfaceVersion::V33, sm(0)) {
        SubmitOutcome::Accepted(id) => id,
        other => panic!("{other:?}"),
    };
    let first = submit(&mut bench);
    // The ids come round again.
    bench.shard.ids = MessageIdSource::new(0, 0, ShortIds::default(), WallTime::from_unix_millis(NOON_MS), 0);
    assert_ne!(submit(&mut bench), first);
}

#[test]
fn full_is_an_answer_and_ends() {
    let mut bench = Bench::new(ShardSettings { messages_max: 2, ..settings() });
    for _ in 0..2 {
        bench.shard.network.then(1_000, Outcome::Delivered);
        bench.submit(session(0), sm(0));
    }
    let full = SubmitOutcome::Refused(CommandStatus::ESME_RMSGQFUL);
    assert_eq!(bench.try_submit(session(0), InterfaceVersion::V34, sm(0)), full);
    assert_eq!(bench.try_submit(session(0), InterfaceVersion::V33, sm(0)), full);
    bench.pass(1_000);
    bench.submit(session(0), sm(0));
}

#[test]
fn an_account_that_does_not_exist_is_refused() {
    let mut bench = bench();
    let mut body = Vec::new();
    sm(1).encode_body(&mut body);
    let origin = Origin {
        session: session(0),
        sequence_number: 1,
        received_at: Time::ZERO,
        operation: crate::base::SubmitOperation::SubmitSm,
    };
    let submit =
        Submit { origin, account: AccountId(9), version: InterfaceVersion::V34, sm: &sm(1), body: &body };
    let outcome = bench.shard.submit(&submit, bench.now, &mut bench.out);
    assert_eq!(outcome, SubmitOutcome::Refused(CommandStatus::ESME_RSYSERR));
}

#[test]
fn validity_and_schedule_that_make_no_sense_are_refused() {
    // Past, now, beyond the maximum (a day here), and not a time.
    for validity in
        [&b"251123115959000+"[..], b"000000000000000R", b"000002000000000R", b"251125120000000+", b"tomorrow"]
    {
        assert_eq!(refusal(times(b"", validity)), CommandStatus::ESME_RINVEXPIRY, "{validity:?}");
    }
    for schedule in [&b"000002000000000R"[..], b"251125120000000+", b"soon"] {
        assert_eq!(refusal(times(schedule, b"")), CommandStatus::ESME_RINVSCHED, "{schedule:?}");
    }
    // To be sent when it is over.
    assert_eq!(refusal(times(b"000000020000000R", b"000000010000000R")), CommandStatus::ESME_RINVSCHED);
}

#[test]
fn a_scheduled_message_waits_for_its_time() {
    let mut bench = bench();
    bench.submit(session(0), times(b"000000001000000R", b""));
    bench.pass(599_000);
    assert!(bench.shard.network.attempts.is_empty());
    bench.pass(1_000);
    assert_eq!(bench.shard.network.attempts, [(b"447700900123".to_vec(), 1)]);
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
}

#[test]
fn an_absolute_schedule_in_the_past_means_now() {
    let mut bench = bench();
    bench.submit(session(0), times(b"251123110000000+", b""));
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
}

#[test]
fn the_default_validity_starts_at_the_schedule() {
    let mut bench = bench();
    bench.shard.network.then(0, Outcome::Absent { back_after_nanos: u64::MAX, error: 27 });
    bench.submit(session(0), times(b"000000120000000R", b""));
    bench.pass(12 * 3_600_000);
    bench.shard.network.verdicts.extend(
        [Verdict { after_nanos: 0, outcome: Outcome::Absent { back_after_nanos: u64::MAX, error: 27 } }; 200],
    );
    bench.pass(3_599_000);
    assert!(bench.out.finals().is_empty());
    bench.pass(1_000);
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
}

#[test]
fn datagram_mode_is_one_attempt_without_schedule_or_receipt() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.shard.network.then(0, Outcome::Absent { back_after_nanos: 1, error: 27 });
    let sm = SubmitSm { esm_class: EsmClass(0x01), ..times(b"000000001000000R", b"") };
    bench.submit(session(0), sm);
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Undeliverable]);
    assert_eq!(bench.shard.network.attempts.len(), 1);
    assert!(bench.deliveries().is_empty());
    bench.assert_drained();
}

#[test]
fn nothing_is_answered_or_tried_before_it_is_durable() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.shard.store.durable = Some(Lsn(0));
    let submit = |bench: &mut Bench| bench.try_submit(session(0), InterfaceVersion::V34, sm(1));
    assert_eq!([submit(&mut bench), submit(&mut bench)], [SubmitOutcome::Later; 2]);
    bench.pass(1_000);
    assert!(bench.out.results.is_empty() && bench.shard.network.attempts.is_empty());

    bench.shard.store.durable = Some(Lsn(1));
    bench.turn();
    assert_eq!(bench.out.results.len(), 1);
    let (origin, result) = bench.out.results[0];
    assert_eq!((origin.session, origin.sequence_number), (session(0), 7));
    // Its final state is not on disk yet: nobody is told.
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    bench.pass(1_000);
    assert!(bench.deliveries().is_empty());

    bench.shard.store.durable = Some(Lsn(3));
    bench.turn();
    // The result was stated before the receipt was handed out, which a recorder of both would show by order; here by
    // the id that the receipt repeats.
    let receipt = bench.delivery();
    assert!(receipt.text().starts_with(&format!("id:{} ", result.unwrap())));

    bench.shard.store.durable = Some(Lsn(100));
    bench.turn();
    assert_eq!((bench.out.results.len(), bench.deliveries().len()), (2, 1));
}

/// Submits with each durability, on accounts of their own, to a store where nothing has reached anything yet.
#[test]
fn each_account_waits_for_its_own_durability() {
    let account = |name: &[u8], durability| AccountRouting {
        durability,
        addresses: vec![name.to_vec()],
        ..AccountRouting::default()
    };
    let accounts = vec![
        account(b"default", None),
        account(b"buffered", Some(Durability::Buffered)),
        account(b"none", Some(Durability::None)),
    ];
    let mut bench = Bench::new(ShardSettings { accounts, ..settings() });
    (bench.shard.store.durable, bench.shard.store.written) = (Some(Lsn(0)), Some(Lsn(0)));
    let submit = |bench: &mut Bench, account: u16, sequence_number: u32| {
        let mut body = Vec::new();
        let destination_addr = sequence_number.to_string();
        SubmitSm { destination_addr: destination_addr.as_bytes(), ..sm(0) }.encode_body(&mut body);
        let sm = SubmitSm::decode(&body).unwrap();
        let origin = Origin {
            session: session(0),
            sequence_number,
            received_at: bench.now.mono,
            operation: crate::base::SubmitOperation::SubmitSm,
        };
        let account = AccountId(account);
        let submit = Submit { origin, account, version: InterfaceVersion::V34, sm: &sm, body: &body };
        bench.shard.submit(&submit, bench.now, &mut bench.out)
    };
    let answered = |bench: &mut Bench| -> Vec<u32> {
        bench.turn();
        bench.out.results.drain(..).map(|(origin, _)| origin.sequence_number).collect()
    };
    for (account, sequence_number) in [(0, 1), (1, 2), (0, 3), (1, 4)] {
        assert_eq!(submit(&mut bench, account, sequence_number), SubmitOutcome::Later);
    }
    assert!(
        matches!(submit(&mut bench, 2, 5), SubmitOutcome::Accepted(_)),
        "none: at once, on the same store"
    );
    assert!(answered(&mut bench).is_empty());
    bench.shard.store.written = Some(Lsn(3));
    assert_eq!(answered(&mut bench), [2]);
    bench.shard.store.durable = Some(Lsn(2));
    assert_eq!(answered(&mut bench), [1]);
    bench.shard.store.durable = Some(Lsn(4));
    assert_eq!(answered(&mut bench), [4, 3], "what is on disk is in the kernel too");
    bench.turn();
    bench.assert_drained();

    // An MO message is held as the account that owns its destination wants it.
    let inject = |bench: &mut Bench, destination_addr: &'static [u8]| {
        let mo =
            Mo { source_addr: b"447", destination_addr, data_coding: 0, esm_class: 0, short_message: b"x" };
        bench.shard.inject_mo(&mo, bench.now, &mut bench.out).unwrap()
    };
    bench.bind(session(0), AccountId(0), 10);
    let MoOutcome::Later(slow) = inject(&mut bench, b"default") else { panic!("held at once") };
    assert!(matches!(inject(&mut bench, b"none"), MoOutcome::Accepted(_)));
    bench.turn();
    assert!(bench.out.held_mo.is_empty() && bench.deliveries().is_empty());
    bench.shard.store.durable = None;
    bench.turn();
    assert_eq!((bench.out.held_mo.clone(), bench.deliveries().len()), (vec![slow], 1));
}

#[test]
fn nothing_is_handed_out_during_a_submit() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.submit(session(0), sm(1));
    assert!(bench.out.deliveries.is_empty() && bench.out.facts.is_empty());
    bench.turn();
    assert_eq!(bench.deliveries().len(), 1);
}
