//! The end of a session, from both sides and with submissions in flight.

use super::*;

fn with_in_flight(count: u32) -> Host {
    let mut host = Host::trx();
    host.port.disposition = Disposition::InFlight;
    for sequence_number in 1..=count {
        host.feed(&submit(sequence_number));
    }
    host
}

const UNBIND_RESP: (CommandId, CommandStatus, u32) = (CommandId::UNBIND_RESP, OK, 40);

#[test]
fn the_esme_unbinds_with_nothing_open() {
    let mut host = Host::trx();
    let stop = host.feed(&[request(CommandId::UNBIND, 40), submit(41)].concat());
    assert_eq!(stop, Stop::Close(CloseReason::Unbound));
    assert_eq!(host.heads(), [UNBIND_RESP]);
    assert_eq!(
        (host.port.deliveries_off, host.unread.len()),
        (1, submit(41).len()),
        "nothing after unbind counts"
    );
}

#[test]
fn the_esmes_unbind_waits_for_what_is_in_flight() {
    let mut host = with_in_flight(2);
    assert_eq!(host.feed(&request(CommandId::UNBIND, 40)), Stop::NeedMore(4));
    assert_eq!(host.port.deliveries_off, 1);
    assert_eq!(host.feed(&submit(41)), Stop::NeedMore(4));
    assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 41)]);
    assert_eq!(host.result(2, Ok(MESSAGE_ID)), None);
    assert_eq!(host.result(1, Ok(MESSAGE_ID)), Some(CloseReason::Unbound));
    let resp = CommandId::SUBMIT_SM_RESP;
    assert_eq!(host.heads(), [(resp, OK, 2), (resp, OK, 1), UNBIND_RESP], "unbind_resp is the last word");
    assert_eq!(host.feed(&[]), Stop::Close(CloseReason::Unbound));
}

#[test]
fn a_drain_ends_at_its_deadline_and_once() {
    let mut host = with_in_flight(2);
    host.feed(&request(CommandId::UNBIND, 40));
    assert_eq!(host.pass_ms(4_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::Unbound));
    assert_eq!(host.heads(), [UNBIND_RESP]);
    assert_eq!(host.result(1, Ok(MESSAGE_ID)), None, "too late");
    assert_eq!(host.result(2, Ok(MESSAGE_ID)), None);
    assert_eq!(host.pass_ms(10_000), None);
    assert!(host.port.sent.is_empty());
}

#[test]
fn our_unbind_still_takes_submissions_and_answers_them_before_the_end() {
    let mut host = with_in_flight(1);
    assert_eq!(host.unbind(), None);
    assert_eq!(host.unbind(), None, "asking twice asks once");
    assert_eq!(host.heads(), [(CommandId::UNBIND, OK, 1)]);
    assert_eq!(host.feed(&submit(2)), Stop::NeedMore(4), "it crossed our unbind on the wire");
    assert_eq!(host.feed(&request(CommandId::UNBIND_RESP, 1)), Stop::NeedMore(4));
    host.feed(&submit(3));
    assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 3)]);
    assert_eq!(host.result(1, Ok(MESSAGE_ID)), None);
    assert_eq!(host.result(2, Ok(MESSAGE_ID)), Some(CloseReason::Unbound));
    assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, OK, 1), (CommandId::SUBMIT_SM_RESP, OK, 2)]);
}

#[test]
fn our_unbind_is_answered_at_once() {
    let mut host = Host::trx();
    host.unbind();
    assert_eq!(host.feed(&request(CommandId::UNBIND_RESP, 1)), Stop::Close(CloseReason::Unbound));
}

#[test]
fn our_unbind_is_not_answered() {
    let mut host = Host::trx();
    host.unbind();
    assert_eq!(host.pass_ms(4_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::UnbindTimeout));
}

#[test]
fn both_unbind_at_once() {
    let mut host = with_in_flight(1);
    host.unbind();
    host.forget();
    host.feed(&[request(CommandId::UNBIND, 40), request(CommandId::UNBIND_RESP, 1)].concat());
    assert_eq!(host.result(1, Ok(MESSAGE_ID)), Some(CloseReason::Unbound));
    assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, OK, 1), UNBIND_RESP]);
}

#[test]
fn a_session_that_never_bound_is_simply_closed() {
    let mut host = Host::open();
    assert_eq!(host.unbind(), Some(CloseReason::Unbound));
    let mut pending = Host::open();
    pending.port.authentication = Authentication::Pending;
    pending.feed(&bind(BindMode::Transceiver, 1, 0x34));
    assert_eq!(pending.unbind(), Some(CloseReason::Unbound));
    pending.closed(CloseReason::Unbound);
    assert!(pending.port.sent.is_empty() && pending.port.facts.is_empty());
}

/// A way for a session to end, and its name.
type Ending = (&'static str, fn(&mut Host));

#[test]
fn every_bound_is_matched_by_one_unbound_however_it_ends() {
    let endings: [Ending; 5] = [
        ("the ESME unbinds", |host| {
            host.feed(&request(CommandId::UNBIND, 40));
        }),
        ("we unbind", |host| {
            host.unbind();
            host.feed(&request(CommandId::UNBIND_RESP, 1));
        }),
        ("a broken frame", |host| {
            host.feed(&[0; 4]);
        }),
        ("silence", |host| {
            host.pass_ms(100_000);
        }),
        ("a drop", |_| ()),
    ];
    for (name, end) in endings {
        let mut host = Host::open();
        host.feed(&bind(BindMode::Transmitter, 1, 0x34));
        end(&mut host);
        assert_eq!(
            host.count(Fact::Unbound(BindMode::Transmitter)),
            0,
            "{name}: not before the shell closes it"
        );
        host.closed(CloseReason::PeerGone);
        host.closed(CloseReason::PeerGone);
        assert_eq!(host.count(Fact::Bound(BindMode::Transmitter)), 1, "{name}");
        assert_eq!(host.count(Fact::Unbound(BindMode::Transmitter)), 1, "{name}");
        assert_eq!(host.session.account(), None, "{name}");
    }
}
