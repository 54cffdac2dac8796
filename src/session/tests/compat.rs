//! What an account's compatibility settings change in the session itself.

use super::*;
use crate::session::{Compat, StallReason};

fn host(compat: Compat) -> Host {
    let mut host = Host::trx();
    host.session.set_compat(compat);
    host
}

fn over_rate_until(ms: u64) -> Disposition {
    Disposition::OverRate { until: Time::from_millis(ms) }
}

#[test]
fn over_the_rate_a_submission_is_refused_at_once_unless_it_may_wait() {
    let mut host = host(Compat::default());
    host.port.dispositions = [over_rate_until(50)].into();
    host.feed(&submit(1));
    assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RTHROTTLED, 1)]);
}

#[test]
fn a_submission_that_may_wait_is_tried_when_the_rate_allows_it_and_refused_when_it_waited_for_long() {
    let compat = Compat { throttle_delay_ms: 100, ..Compat::default() };
    // It comes again at the time that was named, and is taken.
    let mut host = host(compat);
    let begun = host.now;
    host.port.dispositions = [Disposition::OverRate { until: begun.plus_millis(40) }].into();
    let waits = Stop::Stalled(StallReason::Rate);
    assert_eq!(host.feed(&[submit(1), submit(2)].concat()), waits);
    assert_eq!(host.session.next_deadline(&host.settings), begun.plus_millis(40));
    assert!(host.session.take_deadline_moved(), "the shell must hear of it");
    assert_eq!(host.pass_ms(40), None);
    assert!(host.session.next_deadline(&host.settings) > begun.plus_millis(100), "it is tried once");
    host.feed(&[]);
    assert_eq!(host.heads().len(), 2);

    // Each time somebody else was first, until its own time is over; the next one has its own.
    for sequence_number in [3, 4] {
        let begun = host.now;
        let until = |ms| Disposition::OverRate { until: begun.plus_millis(ms) };
        host.port.dispositions = [until(40), until(80)].into();
        host.port.disposition = until(500);
        assert_eq!(host.feed(&submit(sequence_number)), waits);
        for _ in 0..2 {
            host.pass_ms(40);
            assert_eq!(host.feed(&[]), waits);
        }
        assert_eq!(host.session.next_deadline(&host.settings), begun.plus_millis(100));
        host.pass_ms(19);
        assert_eq!(host.feed(&[]), waits);
        assert!(host.heads().is_empty(), "not before its time");
        host.pass_ms(1);
        host.feed(&[]);
        let refused = CommandStatus::ESME_RTHROTTLED;
        assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, refused, sequence_number)]);
    }
    assert_eq!(host.count(Fact::Submitted), 4);
}

#[test]
fn an_unanswered_delivery_may_end_the_session() {
    let mut host = host(Compat { closes_unanswered: true, ..Compat::default() });
    assert!(host.deliver(1));
    assert_eq!(host.pass_ms(19_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::Unanswered));
    assert_eq!(host.count(Fact::ResponseTimeout), 1);
}

#[test]
fn an_esme_is_asked_once_and_whatever_it_sends_is_an_answer() {
    let mut host = Host::trx();
    host.pass_ms(10);
    let asked_at = host.now;
    for _ in 0..2 {
        host.session.enquire(host.now, &mut host.port);
    }
    assert_eq!(host.heads(), [(CommandId::ENQUIRE_LINK, OK, 1)]);
    assert!(!host.session.is_heard_since(asked_at));
    host.pass_ms(1);
    host.feed(&submit(1));
    assert!(host.session.is_heard_since(asked_at));
    // One whose PDU we leave unread can't say more.
    host.port.disposition = Disposition::InFlight;
    host.feed(&(2..=6).flat_map(submit).collect::<Vec<u8>>());
    host.pass_ms(1_000);
    assert!(host.session.is_heard_since(host.now));
}

#[test]
fn a_late_response_may_be_the_answer_once() {
    let mut host = host(Compat { takes_late_responses: true, ..Compat::default() });
    host.settings.enquire_link_interval_ms = 0;
    for n in 10..=11 {
        host.deliver(n);
    }
    host.pass_ms(20_000);
    let timed_out = |slot| (token(slot), DeliveryResult::TimedOut);
    assert_eq!(host.port.results, [timed_out(10), timed_out(11)]);
    let answer = |sequence_number| {
        header_only(CommandId::DELIVER_SM_RESP, CommandStatus::ESME_RX_T_APPN, sequence_number)
    };
    for sequence_number in [2, 2, 1, 3] {
        host.feed(&answer(sequence_number));
    }
    let late = |slot| (token(slot), DeliveryResult::Answered(CommandStatus::ESME_RX_T_APPN));
    assert_eq!(host.port.results[2..], [late(11), late(10)]);
    assert_eq!(host.count(Fact::UnmatchedResponse), 2);
    // No more are remembered than fit the window.
    let window = host.session.deliver_window().1;
    for n in 0..=window {
        host.deliver(20 + n);
        host.pass_ms(20_000);
    }
    host.port.results.clear();
    host.feed(&answer(3));
    assert_eq!(host.port.results, []);
    host.feed(&answer(4));
    assert_eq!(host.port.results, [late(21)]);
}
