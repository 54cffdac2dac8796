//! deliver_sm: the window towards the ESME, what is held beyond it, and responses that are late, double or unknown.

use super::*;
use crate::session::window::SEQUENCE_MAX;

fn answer(sequence_number: u32) -> Vec<u8> {
    with_body(CommandId::DELIVER_SM_RESP, sequence_number, &[0])
}

#[test]
fn each_delivery_has_its_number_and_its_outcome() {
    let mut host = Host::trx();
    assert!(host.deliver(10) && host.deliver(11));
    let sent = host.sent();
    assert_eq!(sent.iter().map(|pdu| pdu.sequence_number).collect::<Vec<_>>(), [1, 2]);
    assert!(sent.iter().all(|pdu| pdu.id == CommandId::DELIVER_SM && pdu.body == submit_body()));
    host.now = host.now.plus_millis(3);
    host.feed(&header_only(CommandId::DELIVER_SM_RESP, CommandStatus::ESME_RX_T_APPN, 2));
    host.feed(&answer(1));
    let expected = [
        (token(11), DeliveryResult::Answered(CommandStatus::ESME_RX_T_APPN)),
        (token(10), DeliveryResult::Answered(OK)),
    ];
    assert_eq!(host.port.results, expected);
    assert_eq!(host.count(Fact::DeliverAnswered { nanos: 3_000_000 }), 2);
}

#[test]
fn double_unknown_and_foreign_responses_have_no_effect() {
    let mut host = Host::trx();
    host.deliver(10);
    host.feed(&[answer(1), answer(1), answer(2), answer(0), answer(u32::MAX)].concat());
    assert_eq!(host.port.results, [(token(10), DeliveryResult::Answered(OK))]);
    assert_eq!(host.count(Fact::UnmatchedResponse), 4);
    let mut never_bound = Host::open();
    never_bound.feed(&answer(1));
    assert_eq!(never_bound.count(Fact::UnmatchedResponse), 1);
}

#[test]
fn a_nack_is_the_answer_to_the_delivery_with_its_number() {
    let mut host = Host::trx();
    host.deliver(10);
    host.deliver(11);
    host.feed(&header_only(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, 2));
    host.feed(&header_only(CommandId::GENERIC_NACK, OK, 1));
    host.feed(&header_only(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 0));
    let expected = [
        (token(11), DeliveryResult::Answered(CommandStatus::ESME_RINVCMDID)),
        (token(10), DeliveryResult::Answered(CommandStatus::ESME_RSYSERR)),
    ];
    assert_eq!(host.port.results, expected, "a nack never means success");
    assert_eq!(host.count(Fact::UnmatchedResponse), 1);
}

#[test]
fn an_unanswered_delivery_times_out_exactly_once() {
    let mut host = Host::trx();
    host.settings.enquire_link_interval_ms = 0;
    host.deliver(10);
    host.now = host.now.plus_millis(1);
    host.deliver(11);
    assert_eq!(host.pass_ms(19_998), None);
    assert!(host.port.results.is_empty());
    host.pass_ms(1);
    assert_eq!(host.port.results, [(token(10), DeliveryResult::TimedOut)]);
    host.pass_ms(0);
    host.feed(&answer(1));
    assert_eq!(host.port.results.len(), 1, "its late answer finds nothing");
    host.pass_ms(1);
    assert_eq!(host.port.results.get(1..), Some(&[(token(11), DeliveryResult::TimedOut)][..]));
    assert_eq!((host.count(Fact::ResponseTimeout), host.count(Fact::UnmatchedResponse)), (2, 1));
    assert_eq!(host.session.deliver_window().0, 0);
}

#[test]
fn what_exceeds_the_window_is_held_in_order_and_sent_as_it_opens() {
    let mut host = Host::trx();
    for slot in 10..15 {
        assert!(host.deliver(slot));
    }
    assert_eq!((host.sent().len(), host.session.deliver_window()), (2, (2, 2)));
    host.feed(&answer(1));
    assert_eq!(host.heads(), [(CommandId::DELIVER_SM, OK, 3)]);
    assert!(host.deliver(15), "a later one queues up behind");
    host.feed(&[answer(2), answer(3), answer(4), answer(5), answer(6)].concat());
    let slots: Vec<u32> = host.port.results.iter().map(|(token, _)| token.slot).collect();
    assert_eq!(slots, [10, 11, 12, 13, 14, 15]);
    assert_eq!(host.sent().last().map(|pdu| pdu.body.clone()), Some(submit_body()));
    assert_eq!(host.session.totals().1, 6);
}

#[test]
fn what_was_held_goes_out_when_a_timeout_opens_the_window() {
    let mut host = Host::trx();
    host.settings.enquire_link_interval_ms = 0;
    for slot in 10..13 {
        host.deliver(slot);
    }
    host.forget();
    host.pass_ms(20_000);
    assert_eq!(host.heads(), [(CommandId::DELIVER_SM, OK, 3)]);
}

#[test]
fn what_was_held_is_handed_back_when_the_session_ends() {
    let endings: [fn(&mut Host); 3] = [
        |host| {
            host.unbind();
        },
        |host| {
            host.feed(&request(CommandId::UNBIND, 1));
        },
        |host| host.closed(CloseReason::PeerGone),
    ];
    for end in endings {
        let mut host = Host::trx();
        for slot in 10..14 {
            host.deliver(slot);
        }
        end(&mut host);
        let back = [(token(12), DeliveryResult::NotSent), (token(13), DeliveryResult::NotSent)];
        assert_eq!(host.port.results, back, "each once, and not what was sent");
        assert!(!host.deliver(14), "no more are taken");
        host.closed(CloseReason::PeerGone);
        assert_eq!(host.port.results.len(), 2);
    }
}

#[test]
fn answers_still_count_while_we_wait_for_unbind_resp() {
    let mut host = Host::trx();
    host.deliver(10);
    host.unbind();
    host.feed(&answer(1));
    assert_eq!(host.port.results, [(token(10), DeliveryResult::Answered(OK))]);
}

#[test]
fn a_transmitter_takes_no_deliveries() {
    let mut host = Host::bound(BindMode::Transmitter, 0x34);
    assert!(!host.deliver(10) && host.port.sent.is_empty());
    host.feed(&request(CommandId::UNBIND, 1));
    assert_eq!(host.port.deliveries_off, 0, "there were none to switch off");
    assert!(!Host::open().deliver(10));
}

#[test]
fn the_number_after_the_last_is_one() {
    let mut host = Host::trx();
    host.session.set_next_sequence(SEQUENCE_MAX - 1);
    for slot in 10..14 {
        host.deliver(slot);
        let sequence_number = host.sent()[0].sequence_number;
        host.feed(&answer(sequence_number));
    }
    assert!(host.deliver(14));
    assert_eq!(host.heads(), [(CommandId::DELIVER_SM, OK, 3)]);
    let slots: Vec<u32> = host.port.results.iter().map(|(token, _)| token.slot).collect();
    assert_eq!((slots, host.count(Fact::UnmatchedResponse)), (vec![10, 11, 12, 13], 0));
}
