//! Transaction mode: the submission is answered with what comes of the message, once, and after one attempt.

use super::*;
use crate::base::SubmitOperation;
use crate::smpp::{DeliveryFailureReason, DeliveryOutcome, EsmClass, MessageState, Tlvs};

const AWAY: Outcome = Outcome::Absent { back_after_nanos: 60_000_000_000, error: 27 };

fn transaction(registered_delivery: u8) -> SubmitSm<'static> {
    SubmitSm { esm_class: EsmClass(0x02), ..sm(registered_delivery) }
}

fn submit(bench: &mut Bench, operation: SubmitOperation, version: InterfaceVersion, sm: SubmitSm<'_>) {
    let mut body = Vec::new();
    sm.encode_body(&mut body);
    let origin = Origin { session: session(0), sequence_number: 7, received_at: bench.now.mono, operation };
    let submit = Submit { origin, account: ALICE, version, sm: &sm, body: &body };
    assert_eq!(bench.shard.submit(&submit, bench.now, &mut bench.out), SubmitOutcome::Later);
    bench.shard.check_invariants();
}

fn data_sm(bench: &mut Bench, sm: SubmitSm<'_>) {
    submit(bench, SubmitOperation::DataSm, InterfaceVersion::V34, sm);
}

impl Bench {
    fn outcome(&mut self) -> DeliveryOutcome {
        let mut outcomes = std::mem::take(&mut self.out.outcomes);
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        let (origin, outcome) = outcomes.remove(0);
        assert_eq!((origin.session, origin.sequence_number), (session(0), 7));
        assert_eq!(self.out.results, []);
        outcome
    }

    fn is_unanswered(&self) -> bool {
        self.out.outcomes.is_empty() && self.out.results.is_empty()
    }
}

#[test]
fn the_answer_waits_for_the_outcome() {
    for (after_ms, outcome, state, error, reason) in [
        (500, Outcome::Delivered, MessageState::Delivered, 0, None),
        (0, Outcome::Undeliverable { error: 1 }, MessageState::Undeliverable, 1, Some(1)),
        (0, Outcome::Undeliverable { error: 9 }, MessageState::Undeliverable, 9, Some(2)),
        (0, Outcome::Rejected { error: 69 }, MessageState::Rejected, 69, Some(2)),
        (0, AWAY, MessageState::Undeliverable, 27, Some(3)),
        (700, Outcome::Congested { error: 42 }, MessageState::Undeliverable, 42, Some(3)),
    ] {
        let mut bench = bench();
        bench.shard.network.then(after_ms, outcome);
        data_sm(&mut bench, transaction(0));
        if after_ms > 0 {
            bench.pass(after_ms - 1);
            assert!(bench.is_unanswered());
        }
        bench.pass(1);
        let told = bench.outcome();
        assert_eq!((told.state, told.error, told.dpf_result), (state, error, None));
        if let Some(reason) = reason {
            assert_eq!(told.reason() as u8, reason);
        }
        assert!(bench.out.facts.contains(&Fact::TransactionAccepted { account: ALICE }));
        bench.pass(3_600_000);
        assert_eq!(bench.shard.network.attempts.len(), 1, "there is one attempt");
        assert!(bench.is_unanswered());
        bench.assert_drained();
    }
}

#[test]
fn only_data_sm_and_submit_sm_of_5_0_have_the_mode() {
    let mut bench = bench();
    submit(&mut bench, SubmitOperation::SubmitSm, InterfaceVersion::V50, transaction(0));
    bench.turn();
    assert_eq!(bench.outcome().state, MessageState::Delivered);
    // Of 3.4 it is a submit_sm like any other: it has its answer at once, and further attempts.
    bench.shard.network.then(0, AWAY);
    assert!(matches!(
        bench.try_submit(session(0), InterfaceVersion::V34, transaction(0)),
        SubmitOutcome::Accepted(_)
    ));
    bench.turn();
    bench.pass(1_000);
    assert_eq!((bench.out.finals().len(), bench.shard.network.attempts.len()), (2, 3));
    assert!(bench.is_unanswered());
}

#[test]
fn it_ends_with_the_limit_or_with_its_own_validity() {
    for (validity_period, after_ms) in [(&b""[..], 30_000), (b"000000000010000R", 10_000)] {
        let mut bench = bench();
        // Bob owns the address, and has no session: it waits in his queue.
        let owners = vec![
            AccountRouting::default(),
            AccountRouting { addresses: vec![b"7000".to_vec()], ..AccountRouting::default() },
        ];
        bench = Bench::new(ShardSettings { accounts: owners, ..bench.shard.settings });
        data_sm(&mut bench, SubmitSm { destination_addr: b"7000", validity_period, ..transaction(0) });
        bench.pass(after_ms - 1);
        assert!(bench.is_unanswered());
        bench.pass(1);
        let told = bench.outcome();
        assert_eq!((told.state, told.reason()), (MessageState::Expired, DeliveryFailureReason::Temporary));
        bench.assert_drained();
    }
}

#[test]
fn another_esme_decides_and_a_temporary_refusal_is_the_end() {
    let owners = vec![
        AccountRouting::default(),
        AccountRouting { addresses: vec![b"7000".to_vec()], ..AccountRouting::default() },
    ];
    for (answer, state) in [
        (CommandStatus::ESME_ROK, MessageState::Delivered),
        (CommandStatus::ESME_RX_T_APPN, MessageState::Undeliverable),
        (CommandStatus::ESME_RX_P_APPN, MessageState::Rejected),
    ] {
        let mut bench = Bench::new(ShardSettings { accounts: owners.clone(), ..settings() });
        bench.bind(session(1), BOB, 9);
        data_sm(&mut bench, SubmitSm { destination_addr: b"7000", ..transaction(0) });
        bench.turn();
        let delivery = bench.delivery();
        assert_eq!(delivery.sm().esm_class, EsmClass(0), "the mode is not the receiver's affair");
        assert!(bench.is_unanswered());
        bench.result(&delivery, DeliveryResult::Answered(answer));
        assert!(bench.is_unanswered(), "a session may be in the middle of something");
        bench.turn();
        assert_eq!(bench.outcome().state, state);
        bench.pass(3_600_000);
        bench.assert_drained();
    }
}

#[test]
fn a_receipt_that_was_asked_for_comes_behind_the_answer() {
    for durable in [true, false] {
        let mut bench = bench();
        bench.bind(session(0), ALICE, 9);
        bench.shard.store.durable = if durable { None } else { Some(Lsn(0)) };
        data_sm(&mut bench, transaction(1));
        if !durable {
            bench.turn();
        }
        bench.shard.store.durable = None;
        bench.turn();
        assert_eq!(bench.outcome().state, MessageState::Delivered);
        assert_eq!(bench.out.before_outcome, 0);
        let receipt = bench.delivery();
        assert!(receipt.sm().esm_class.is_receipt());
        bench.accept(&receipt);
        bench.assert_drained();
    }
}

#[test]
fn the_flag_that_it_asks_for_is_told_with_the_answer() {
    let tlvs = Tlvs::decode(&[0x04, 0x21, 0x00, 0x01, 0x01]).unwrap();
    for (outcome, dpf_result) in [(AWAY, true), (Outcome::Undeliverable { error: 1 }, false)] {
        let mut bench = bench();
        bench.bind(session(0), ALICE, 9);
        bench.shard.network.then(0, outcome);
        data_sm(&mut bench, SubmitSm { tlvs, ..transaction(0) });
        bench.turn();
        assert_eq!(bench.outcome().dpf_result, Some(dpf_result));
        bench.pass(60_000);
        assert_eq!(bench.out.alerts.len(), usize::from(dpf_result));
        bench.assert_drained();
    }
}

#[test]
fn a_cancelled_one_is_answered_and_nobody_is_after_a_restart() {
    let mut bench = bench();
    bench.shard.network.then(5_000, Outcome::Delivered);
    data_sm(&mut bench, transaction(0));
    // In line behind the first.
    data_sm(&mut bench, transaction(0));
    bench.turn();
    let cancel = crate::smpp::CancelSm {
        source_addr: b"ACME",
        destination_addr: b"447700900123",
        ..crate::smpp::CancelSm::default()
    };
    let asker = Asker { session: session(0), ticket: 1 };
    let request = OperationRequest {
        asker,
        account: ALICE,
        version: InterfaceVersion::V34,
        operation: crate::smpp::Operation::Cancel(cancel),
    };
    bench.shard.operate(&request, bench.now, &mut bench.out);
    bench.turn();
    let told = bench.outcome();
    assert_eq!((told.state, told.reason()), (MessageState::Deleted, DeliveryFailureReason::Unavailable));
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, 1_000, 0);
    bench.shard.network.then(0, AWAY);
    bench.pass(10_000);
    assert_eq!(bench.out.finals().len(), 1);
    assert!(bench.is_unanswered());
    bench.assert_drained();
}

#[test]
fn a_submission_neither_replaces_it_nor_is_replaced_by_it() {
    let mut bench = bench();
    bench.shard.network.then(5_000, Outcome::Delivered);
    let first = bench.submit(session(1), sm(0));
    data_sm(&mut bench, transaction(0));
    bench.turn();
    // Both wait for the subscriber.
    let replacing = SubmitSm { replace_if_present_flag: 1, short_message: b"Ho", ..sm(0) };
    let second = bench.submit(session(1), replacing);
    assert_ne!(first, second, "the first is being attempted");
    data_sm(&mut bench, SubmitSm { replace_if_present_flag: 1, ..transaction(0) });
    bench.pass(5_000);
    assert_eq!(bench.out.outcomes.len(), 2);
    assert_eq!(bench.shard.network.attempts.len(), 4);
    bench.assert_drained();
}

#[test]
fn a_repetition_is_told_the_same() {
    let alice = AccountRouting { duplicate_window_ms: 60_000, ..AccountRouting::default() };
    let mut bench =
        Bench::new(ShardSettings { accounts: vec![alice, AccountRouting::default()], ..settings() });
    bench.shard.network.then(1_000, Outcome::Undeliverable { error: 9 });
    data_sm(&mut bench, transaction(0));
    data_sm(&mut bench, transaction(0));
    bench.pass(1_000);
    let told = std::mem::take(&mut bench.out.outcomes);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
    data_sm(&mut bench, transaction(0));
    bench.turn();
    assert_eq!(bench.outcome(), told[0].1, "long final");
    assert_eq!(bench.shard.network.attempts.len(), 1);
    bench.assert_drained();
}
