//! The ESME role: bind, window, deliveries, unbind, timers, and PDUs that an ESME does not expect.

use super::esme_host::{EsmeHost, Outcome};
use super::*;
use crate::session::StallReason;
use crate::session::esme::{DeliverDisposition, SubmitRefusal};

const MODES: [BindMode; 3] = [BindMode::Transmitter, BindMode::Receiver, BindMode::Transceiver];

fn bind_resp(mode: BindMode, tlvs: &[u8]) -> Vec<u8> {
    with_body(mode.command_id().response(), 1, &[b"SMSC01\0", tlvs].concat())
}

fn bound(mode: BindMode) -> EsmeHost {
    let mut host = EsmeHost::open();
    assert!(host.bind(mode));
    host.feed(&bind_resp(mode, b"\x02\x10\x00\x01\x34"));
    assert_eq!(host.session.mode(), Some(mode));
    host.port.sent.clear();
    host.port.facts.clear();
    host
}

fn deliver(sequence_number: u32) -> Vec<u8> {
    with_body(CommandId::DELIVER_SM, sequence_number, &submit_body())
}

fn submit_resp(sequence_number: u32) -> Vec<u8> {
    with_body(CommandId::SUBMIT_SM_RESP, sequence_number, b"0123\0")
}

fn answered(nanos: u64) -> Outcome {
    Outcome::Answered(OK, b"0123".to_vec(), nanos)
}

#[test]
fn it_binds_in_each_of_the_three_ways() {
    for mode in MODES {
        let mut host = EsmeHost::open();
        assert!(host.bind(mode) && !host.bind(mode), "once");
        let sent = host.sent();
        assert_eq!((sent.len(), sent[0].id, sent[0].sequence_number), (1, mode.command_id(), 1));
        let expected = Bind {
            system_id: b"acme",
            password: b"s3cret",
            system_type: b"VMS",
            interface_version: 0x50,
            addr_ton: 1,
            addr_npi: 1,
            address_range: b"^4477",
            ..Bind::default()
        };
        assert_eq!(Bind::decode(&sent[0].body), Ok(expected));
        assert_eq!(host.submit(1), Err(SubmitRefusal::NotBound), "not before the answer");
        host.feed(&bind_resp(mode, b"\x02\x10\x00\x01\x50"));
        assert_eq!(host.port.bound, [(b"SMSC01".to_vec(), mode, InterfaceVersion::V50)]);
        assert_eq!(host.port.facts, [Fact::Bound(mode)]);
        let may_submit = if mode.transmits() { Ok(()) } else { Err(SubmitRefusal::NotBound) };
        assert_eq!(host.submit(1), may_submit);
    }
}

#[test]
fn the_smscs_answer_settles_the_version() {
    let cases: [(&[u8], InterfaceVersion); 5] = [
        (b"", InterfaceVersion::V33),
        (b"\x02\x10\x00\x01\x33", InterfaceVersion::V33),
        (b"\x02\x10\x00\x01\x34", InterfaceVersion::V34),
        (b"\x02\x10\x00\x01\x50", InterfaceVersion::V50),
        (b"\x02\x10\x00\x01", InterfaceVersion::V33),
    ];
    for (tlvs, version) in cases {
        let mut host = EsmeHost::open();
        host.bind(BindMode::Transceiver);
        host.feed(&bind_resp(BindMode::Transceiver, tlvs));
        assert_eq!(host.session.version(), version, "{tlvs:02x?}");
    }
    let mut host = EsmeHost::open();
    host.settings.version = InterfaceVersion::V34;
    host.bind(BindMode::Transceiver);
    host.feed(&bind_resp(BindMode::Transceiver, b"\x02\x10\x00\x01\x50"));
    assert_eq!(host.session.version(), InterfaceVersion::V34, "never above what we asked for");
    let mut bare = EsmeHost::open();
    bare.bind(BindMode::Receiver);
    // The wrong kind of bind_resp, without a body: some SMSCs do either.
    bare.feed(&header_only(CommandId::BIND_TRANSMITTER_RESP, OK, 1));
    assert_eq!(bare.port.bound, [(Vec::new(), BindMode::Receiver, InterfaceVersion::V33)]);
}

#[test]
fn a_refused_or_unanswered_bind_ends_the_session() {
    let refused = CommandStatus::ESME_RBINDFAIL;
    let answers = [
        header_only(CommandId::BIND_TRANSCEIVER_RESP, refused, 1),
        header_only(CommandId::GENERIC_NACK, refused, 1),
        header_only(CommandId::GENERIC_NACK, refused, 0),
    ];
    for answer in answers {
        let mut host = EsmeHost::open();
        host.bind(BindMode::Transceiver);
        assert_eq!(host.feed(&answer), Stop::Close(CloseReason::BindRefused));
        assert_eq!(host.port.facts, [Fact::BindRefused(refused)]);
        host.closed(CloseReason::BindRefused);
        assert_eq!(host.port.facts.len(), 1, "what was never bound is not unbound");
    }
    let mut host = EsmeHost::open();
    host.bind(BindMode::Transceiver);
    host.feed(&header_only(CommandId::BIND_TRANSCEIVER_RESP, OK, 2));
    assert_eq!((host.session.mode(), &host.port.facts[..]), (None, &[Fact::UnmatchedResponse][..]));
    assert_eq!(host.pass_ms(9_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::BindTimeout));
}

#[test]
fn the_first_deliveries_may_be_glued_to_the_bind_resp() {
    let mut host = EsmeHost::open();
    host.bind(BindMode::Receiver);
    host.port.sent.clear();
    let stream = [bind_resp(BindMode::Receiver, b""), deliver(1), deliver(2)].concat();
    for octet in stream {
        host.feed(&[octet]);
    }
    let resp = CommandId::DELIVER_SM_RESP;
    assert_eq!(host.heads(), [(resp, OK, 1), (resp, OK, 2)]);
}

#[test]
fn the_window_bounds_submissions_and_each_has_one_outcome() {
    let mut host = bound(BindMode::Transceiver);
    for slot in 10..13 {
        assert_eq!(host.submit(slot), Ok(()));
    }
    assert_eq!(host.submit(13), Err(SubmitRefusal::WindowFull));
    let numbers: Vec<u32> = host.sent().iter().map(|pdu| pdu.sequence_number).collect();
    assert_eq!((numbers, host.session.window()), (vec![2, 3, 4], (3, 3)), "the bind had number 1");
    host.now = host.now.plus_millis(7);
    host.feed(&[submit_resp(3), submit_resp(3), submit_resp(99)].concat());
    assert_eq!(host.port.outcomes, [(token(11), answered(7_000_000))]);
    assert_eq!(host.port.facts, [Fact::UnmatchedResponse; 2]);
    assert_eq!(host.submit(14), Ok(()));
    host.feed(&header_only(CommandId::SUBMIT_SM_RESP, CommandStatus(0x412), 2));
    host.feed(&header_only(CommandId::GENERIC_NACK, OK, 4));
    let failed = |status| Outcome::Answered(status, Vec::new(), 7_000_000);
    assert_eq!(
        host.port.outcomes[1..],
        [(token(10), failed(CommandStatus(0x412))), (token(12), failed(CommandStatus::ESME_RSYSERR))]
    );
}

#[test]
fn an_id_that_can_not_be_read_does_not_undo_the_acceptance() {
    let mut host = bound(BindMode::Transmitter);
    host.submit(10).expect("room");
    host.feed(&with_body(CommandId::SUBMIT_SM_RESP, 2, &[b'x'; 80]));
    assert_eq!(host.port.outcomes, [(token(10), Outcome::Answered(OK, Vec::new(), 0))]);
    assert_eq!(host.port.facts, [Fact::MalformedPdu]);
}

#[test]
fn an_unanswered_submission_times_out_once() {
    let mut host = bound(BindMode::Transmitter);
    host.settings.enquire_link_interval_ms = 0;
    host.submit(10).expect("room");
    assert_eq!(host.pass_ms(19_999), None);
    assert!(host.port.outcomes.is_empty());
    assert_eq!(host.pass_ms(1), None);
    host.feed(&submit_resp(2));
    host.closed(CloseReason::PeerGone);
    assert_eq!(host.port.outcomes, [(token(10), Outcome::TimedOut)]);
    assert_eq!(host.port.facts[..2], [Fact::ResponseTimeout, Fact::UnmatchedResponse]);
}

#[test]
fn what_is_open_when_the_session_ends_has_an_unknown_outcome() {
    let mut host = bound(BindMode::Transmitter);
    for slot in 10..13 {
        host.submit(slot).expect("room");
    }
    host.feed(&submit_resp(3));
    host.closed(CloseReason::PeerGone);
    host.closed(CloseReason::PeerGone);
    host.feed(&submit_resp(2));
    let mut unknown = host.port.outcomes.split_off(1);
    unknown.sort_by_key(|(token, _)| token.slot);
    assert_eq!(unknown, [(token(10), Outcome::Unknown), (token(12), Outcome::Unknown)]);
    assert_eq!(host.port.facts, [Fact::Unbound(BindMode::Transmitter)]);
    assert_eq!(host.submit(14), Err(SubmitRefusal::NotBound));
}

#[test]
fn deliveries_are_answered_now_or_later_and_never_beyond_the_window() {
    let mut host = bound(BindMode::Receiver);
    host.port.dispositions =
        [DeliverDisposition::Answered(CommandStatus::ESME_RX_P_APPN), DeliverDisposition::Answered(OK)]
            .into();
    host.port.disposition = DeliverDisposition::InFlight;
    let stream: Vec<u8> = (1..=5).flat_map(deliver).collect();
    assert_eq!(host.feed(&stream), Stop::Stalled(StallReason::Window));
    let resp = CommandId::DELIVER_SM_RESP;
    let sent = host.sent();
    assert_eq!((sent[0].status, &sent[0].body[..]), (CommandStatus::ESME_RX_P_APPN, &[][..]));
    assert_eq!((sent[1].status, &sent[1].body[..]), (OK, &[0][..]), "message_id is one NUL");
    assert_eq!((sent.len(), host.session.delivering()), (2, 2));
    assert_eq!(host.result(4, OK), None);
    host.feed(&[]);
    assert_eq!(host.result(3, CommandStatus::ESME_RX_T_APPN), None);
    assert_eq!(host.result(5, OK), None);
    assert_eq!(host.result(5, OK), None, "there is none to answer");
    let expected = [(resp, OK, 4), (resp, CommandStatus::ESME_RX_T_APPN, 3), (resp, OK, 5)];
    assert_eq!(host.heads(), expected);
    assert_eq!(host.port.delivered.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    host.port.dispositions = [DeliverDisposition::Stall(StallReason::Lane)].into();
    assert_eq!(host.feed(&deliver(6)), Stop::Stalled(StallReason::Lane));
    assert_eq!(host.unread, deliver(6));
}

#[test]
fn what_an_esme_does_not_expect_has_its_answer_and_the_session_stays() {
    let requests = CommandId::ALL.iter().filter(|id| !id.is_response());
    for &id in requests {
        let mut host = bound(BindMode::Transceiver);
        let stop = host.feed(&request(id, 77));
        let status = match id {
            CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => {
                assert_eq!(host.heads(), [], "{id} has no response");
                continue;
            }
            CommandId::ENQUIRE_LINK | CommandId::UNBIND => OK,
            CommandId::DELIVER_SM => CommandStatus::ESME_RINVCMDLEN,
            CommandId::DATA_SM => CommandStatus::ESME_RINVCMDID,
            _ => CommandStatus::ESME_RINVBNDSTS,
        };
        assert_eq!(host.heads(), [(id.response(), status, 77)], "{id}");
        assert_eq!(matches!(stop, Stop::Close(_)), id == CommandId::UNBIND, "{id}");
    }
    let mut host = bound(BindMode::Transmitter);
    host.feed(&[deliver(1), request(CommandId(0x10), 2), request(CommandId(0x8000_0010), 3)].concat());
    let expected = [
        (CommandId::DELIVER_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 1),
        (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, 2),
    ];
    assert_eq!(host.heads(), expected, "a transmitter takes no deliveries; a response is never answered");
    assert_eq!(host.feed(&[0, 0, 0, 15]), Stop::Close(CloseReason::BrokenFrame));
    assert_eq!(host.heads(), [(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 0)]);
}

#[test]
fn our_unbind_waits_for_what_is_open_in_both_directions() {
    let mut host = bound(BindMode::Transceiver);
    host.port.disposition = DeliverDisposition::InFlight;
    host.submit(10).expect("room");
    host.feed(&deliver(1));
    host.port.sent.clear();
    assert_eq!(host.unbind(), None);
    assert_eq!(host.unbind(), None);
    assert_eq!((host.submit(11), host.port.submissions_off), (Err(SubmitRefusal::NotBound), 1));
    host.feed(&submit_resp(2));
    assert!(host.port.sent.is_empty(), "a delivery is still open");
    host.result(1, OK);
    assert_eq!(host.heads(), [(CommandId::DELIVER_SM_RESP, OK, 1), (CommandId::UNBIND, OK, 3)]);
    host.feed(&deliver(2));
    host.result(2, OK);
    assert_eq!(host.heads(), [(CommandId::DELIVER_SM_RESP, OK, 2)], "it crossed our unbind on the wire");
    assert_eq!(host.feed(&request(CommandId::UNBIND_RESP, 3)), Stop::Close(CloseReason::Unbound));
}

#[test]
fn our_unbind_waits_no_longer_than_for_a_response() {
    let mut host = bound(BindMode::Transceiver);
    host.port.disposition = DeliverDisposition::InFlight;
    host.feed(&deliver(1));
    host.submit(10).expect("room");
    host.port.sent.clear();
    host.unbind();
    assert_eq!(host.pass_ms(20_000), None);
    assert_eq!(host.heads(), [(CommandId::UNBIND, OK, 3)]);
    assert_eq!(host.port.outcomes, [(token(10), Outcome::TimedOut)]);
    assert_eq!(host.pass_ms(4_999), None);
    assert_eq!(host.pass_ms(1), Some(CloseReason::UnbindTimeout));
}

#[test]
fn the_smscs_unbind_is_answered_once_nothing_is_open() {
    let mut host = bound(BindMode::Transceiver);
    host.submit(10).expect("room");
    host.port.sent.clear();
    assert_eq!(host.feed(&request(CommandId::UNBIND, 40)), Stop::NeedMore(4));
    assert_eq!((host.submit(11), host.port.submissions_off), (Err(SubmitRefusal::NotBound), 1));
    assert!(host.port.sent.is_empty());
    assert_eq!(host.feed(&submit_resp(2)), Stop::Close(CloseReason::Unbound));
    assert_eq!(host.heads(), [(CommandId::UNBIND_RESP, OK, 40)]);

    let mut stuck = bound(BindMode::Transceiver);
    stuck.submit(10).expect("room");
    stuck.port.sent.clear();
    stuck.feed(&request(CommandId::UNBIND, 40));
    assert_eq!(stuck.pass_ms(4_999), None);
    assert_eq!(stuck.pass_ms(1), Some(CloseReason::Unbound));
    assert_eq!(stuck.heads(), [(CommandId::UNBIND_RESP, OK, 40)]);
    stuck.closed(CloseReason::Unbound);
    assert_eq!(stuck.port.outcomes, [(token(10), Outcome::Unknown)]);
}

#[test]
fn a_session_that_is_not_bound_has_nothing_to_unbind() {
    let mut host = EsmeHost::open();
    assert_eq!(host.unbind(), Some(CloseReason::Unbound));
    assert!(!host.bind(BindMode::Transceiver) && host.port.sent.is_empty());
    let mut early = EsmeHost::open();
    early.bind(BindMode::Transceiver);
    early.port.sent.clear();
    early.feed(&request(CommandId::UNBIND, 9));
    assert_eq!(early.heads(), [(CommandId::UNBIND_RESP, CommandStatus::ESME_RINVBNDSTS, 9)]);
}

#[test]
fn it_asks_a_silent_smsc_whether_it_is_there() {
    let mut host = bound(BindMode::Receiver);
    assert_eq!(host.pass_ms(30_000), None);
    assert_eq!(host.heads(), [(CommandId::ENQUIRE_LINK, OK, 2)]);
    host.feed(&request(CommandId::ENQUIRE_LINK_RESP, 2));
    assert_eq!(host.pass_ms(30_000), None);
    assert_eq!(host.heads(), [(CommandId::ENQUIRE_LINK, OK, 3)]);
    assert_eq!(host.pass_ms(20_000), Some(CloseReason::Inactive));
}

#[test]
fn a_deadline_that_comes_nearer_is_told() {
    let first = |host: &mut EsmeHost| host.session.next_deadline(&host.settings);
    let mut host = EsmeHost::open();
    assert_eq!(first(&mut host), Time::NEVER);
    host.bind(BindMode::Transceiver);
    assert!(host.session.take_deadline_moved() && !host.session.take_deadline_moved());
    host.feed(&bind_resp(BindMode::Transceiver, b""));
    assert!(host.session.take_deadline_moved());

    host.settings.enquire_link_interval_ms = 5_000;
    host.pass_ms(5_000);
    let asked = first(&mut host);
    host.feed(&request(CommandId::ENQUIRE_LINK_RESP, 2));
    assert!(first(&mut host) < asked && host.session.take_deadline_moved());

    host.settings.enquire_link_interval_ms = 50_000;
    host.port.disposition = DeliverDisposition::InFlight;
    host.feed(&deliver(1));
    assert!(!host.session.take_deadline_moved());
    let bound = first(&mut host);
    host.feed(&request(CommandId::UNBIND, 3));
    assert!(first(&mut host) < bound && host.session.take_deadline_moved());
}

#[test]
fn the_password_is_in_no_debug_output() {
    let shown = format!("{:?}", esme_host::settings());
    assert!(shown.contains("acme") && !shown.contains("s3cret"), "{shown}");
}
