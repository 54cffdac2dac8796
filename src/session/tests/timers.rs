//! session_init, enquire_link and inactivity. Response and unbind timers are tested with what they time.

use super::*;
use crate::session::StallReason;

const ENQUIRE_LINK: (CommandId, CommandStatus, u32) = (CommandId::ENQUIRE_LINK, OK, 1);

#[test]
fn no_bind_in_time_and_enquire_link_is_no_bind() {
    let mut host = Host::open();
    for sequence_number in 1..=9 {
        assert_eq!(host.pass_ms(1_000), None);
        host.feed(&request(CommandId::ENQUIRE_LINK, sequence_number));
    }
    assert_eq!(host.sent().len(), 9);
    assert_eq!(host.session.next_deadline(&host.settings), Time::from_millis(10_000));
    assert_eq!(host.pass_ms(1_000), Some(CloseReason::SessionInitTimeout));
}

#[test]
fn a_verdict_on_the_bind_must_come_in_time_too() {
    let mut host = Host::open();
    host.port.authentication = Authentication::Pending;
    host.feed(&bind(BindMode::Transceiver, 1, 0x34));
    assert_eq!(host.pass_ms(9_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::SessionInitTimeout));
}

#[test]
fn a_silent_peer_is_asked_and_stays_if_it_answers() {
    let mut host = Host::trx();
    assert_eq!(host.pass_ms(29_999), None);
    assert!(host.heads().is_empty());
    assert_eq!(host.pass_ms(1), None);
    assert_eq!(host.heads(), [ENQUIRE_LINK]);
    host.feed(&request(CommandId::ENQUIRE_LINK_RESP, 1));
    assert_eq!(host.count(Fact::UnmatchedResponse), 0);
    assert_eq!(host.pass_ms(29_999), None);
    assert!(host.heads().is_empty(), "silence counts from its answer");
    assert_eq!(host.pass_ms(1), None);
    assert_eq!(host.heads(), [(CommandId::ENQUIRE_LINK, OK, 2)]);
}

#[test]
fn an_answer_to_enquire_link_may_bring_the_next_deadline_nearer() {
    for id in [CommandId::ENQUIRE_LINK_RESP, CommandId::GENERIC_NACK] {
        let mut host = Host::trx();
        host.settings.enquire_link_interval_ms = 5_000;
        host.pass_ms(5_000);
        let asked = host.session.next_deadline(&host.settings);
        host.session.take_deadline_moved();
        host.feed(&header_only(id, OK, 1));
        assert!(host.session.next_deadline(&host.settings) < asked);
        assert!(host.session.take_deadline_moved(), "{id}: the shell must hear of it");
    }
}

#[test]
fn an_unanswered_enquire_link_ends_the_session() {
    let mut host = Host::trx();
    host.pass_ms(30_000);
    assert_eq!(host.pass_ms(19_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::Inactive));
}

#[test]
fn a_nack_or_any_other_pdu_answers_an_enquire_link() {
    for answer in [header_only(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, 1), submit(9)] {
        let mut host = Host::trx();
        host.pass_ms(30_000);
        host.now = host.now.plus_millis(5_000);
        host.feed(&answer);
        assert_eq!(host.pass_ms(15_000), None, "the session stays");
        assert_eq!(host.count(Fact::UnmatchedResponse), 0);
    }
}

#[test]
fn inactivity_ends_a_session_that_is_never_asked() {
    let mut host = Host::trx();
    host.settings.enquire_link_interval_ms = 0;
    assert_eq!(host.pass_ms(99_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::Inactive));
    assert!(host.port.sent.is_empty());
    let mut patient = Host::trx();
    patient.settings.enquire_link_interval_ms = 0;
    patient.settings.inactivity_timeout_ms = 0;
    assert_eq!(patient.session.next_deadline(&patient.settings), Time::NEVER);
}

#[test]
fn half_a_pdu_is_no_sign_of_life() {
    let mut host = Host::trx();
    host.settings.enquire_link_interval_ms = 0;
    for octet in &submit(1)[..10] {
        host.now = host.now.plus_millis(9_000);
        host.feed(&[*octet]);
    }
    assert_eq!(host.pass_ms(10_000), Some(CloseReason::Inactive));
}

#[test]
fn a_peer_that_we_do_not_read_is_not_silent() {
    let mut host = Host::trx();
    host.port.disposition = Disposition::InFlight;
    host.pass_ms(30_000);
    assert_eq!(host.heads(), [ENQUIRE_LINK]);
    let answer = request(CommandId::ENQUIRE_LINK_RESP, 1);
    let stream: Vec<u8> = (1..=5).flat_map(submit).chain(answer).collect();
    assert_eq!(host.feed(&stream), Stop::Stalled(StallReason::Window));
    for _ in 0..20 {
        assert_eq!(host.pass_ms(30_000), None, "its answer is among what we have not taken");
    }
    host.result(1, Ok(MESSAGE_ID));
    assert_eq!(host.feed(&[]), Stop::NeedMore(4));
    assert_eq!(host.pass_ms(100_000), Some(CloseReason::Inactive), "from here on it is its own silence");
}
