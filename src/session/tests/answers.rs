//! What each request gets in each state (5.0 table 2-1, and the policy for errors), binds, and the submit window.

use super::*;
use crate::base::{SubmitOperation, WallTime};
use crate::session::StallReason;
use crate::smpp::{MessageState, OperationAnswer, PduBody, QueriedState, QuerySm};

/// Columns of [`TABLE`].
const STATES: [&str; 6] = ["open", "tx", "rx", "trx", "unbinding", "draining"];

/// Per command_id, the answer in each state: `ok`, the command_status in hex, `nack` (generic_nack ESME_RINVCMDID), or
/// `-` for none. The sessions are of 3.4; the draining one has a submission in flight. Operations on stored messages have
/// no body here, which is too short a one.
const TABLE: &[(CommandId, [&str; 6])] = &[
    (CommandId::BIND_RECEIVER, ["ok", "05", "05", "05", "05", "05"]),
    (CommandId::BIND_TRANSMITTER, ["ok", "05", "05", "05", "05", "05"]),
    (CommandId::BIND_TRANSCEIVER, ["ok", "05", "05", "05", "05", "05"]),
    (CommandId::OUTBIND, ["-", "-", "-", "-", "-", "-"]),
    (CommandId::UNBIND, ["04", "ok", "ok", "ok", "ok", "04"]),
    (CommandId::ENQUIRE_LINK, ["ok", "ok", "ok", "ok", "ok", "ok"]),
    (CommandId::SUBMIT_SM, ["04", "ok", "04", "ok", "ok", "04"]),
    (CommandId::DELIVER_SM, ["04", "04", "04", "04", "04", "04"]),
    (CommandId::DATA_SM, ["04", "02", "02", "02", "02", "04"]),
    (CommandId::QUERY_SM, ["04", "02", "04", "02", "02", "04"]),
    (CommandId::CANCEL_SM, ["04", "02", "04", "02", "02", "04"]),
    (CommandId::REPLACE_SM, ["04", "02", "04", "02", "02", "04"]),
    (CommandId::SUBMIT_MULTI, ["04", "02", "04", "02", "02", "04"]),
    (CommandId::BROADCAST_SM, ["04", "03", "04", "03", "03", "04"]),
    (CommandId::QUERY_BROADCAST_SM, ["04", "03", "04", "03", "03", "04"]),
    (CommandId::CANCEL_BROADCAST_SM, ["04", "03", "04", "03", "03", "04"]),
    (CommandId::ALERT_NOTIFICATION, ["-", "-", "-", "-", "-", "-"]),
    // Not in either specification: unassigned, 3.3's param_retrieve, a vendor's.
    (CommandId(0x10), ["nack", "nack", "nack", "nack", "nack", "nack"]),
    (CommandId(0x22), ["nack", "nack", "nack", "nack", "nack", "nack"]),
    (CommandId(0x0001_0200), ["nack", "nack", "nack", "nack", "nack", "nack"]),
    (CommandId(0), ["nack", "nack", "nack", "nack", "nack", "nack"]),
];

fn host_in(state: &str) -> Host {
    let mut host = match state {
        "open" => Host::open(),
        "tx" => Host::bound(BindMode::Transmitter, 0x34),
        "rx" => Host::bound(BindMode::Receiver, 0x34),
        _ => Host::trx(),
    };
    if state == "unbinding" {
        assert_eq!(host.unbind(), None);
    } else if state == "draining" {
        host.port.dispositions.push_back(Disposition::InFlight);
        host.feed(&submit(900));
        host.feed(&request(CommandId::UNBIND, 901));
    }
    host.forget();
    host
}

fn pdu_of(id: CommandId, sequence_number: u32) -> Vec<u8> {
    match (BindMode::of_command(id), id) {
        (Some(mode), _) => bind(mode, sequence_number, 0x34),
        (None, CommandId::SUBMIT_SM) => submit(sequence_number),
        _ => request(id, sequence_number),
    }
}

#[test]
fn each_request_has_its_answer_in_each_state() {
    for (id, answers) in TABLE {
        for (state, answer) in STATES.iter().zip(answers) {
            let mut host = host_in(state);
            let stop = host.feed(&pdu_of(*id, 77));
            let (response, status) = match *answer {
                "-" => {
                    assert_eq!(host.heads(), [], "{id} in {state}");
                    continue;
                }
                "ok" => (id.response(), 0),
                "nack" => (CommandId::GENERIC_NACK, 3),
                hex => (id.response(), u32::from_str_radix(hex, 16).expect("a status")),
            };
            assert_eq!(host.heads(), [(response, CommandStatus(status), 77)], "{id} in {state}");
            let closes = *id == CommandId::UNBIND && *answer == "ok";
            assert_eq!(matches!(stop, Stop::Close(_)), closes, "{id} in {state}: {stop:?}");
        }
    }
}

fn query(sequence_number: u32) -> Vec<u8> {
    let mut body = Vec::new();
    QuerySm { message_id: b"0123456789ABCDEF", source_addr: b"ACME", ..QuerySm::default() }
        .encode_body(&mut body);
    with_body(CommandId::QUERY_SM, sequence_number, &body)
}

#[test]
fn an_operation_is_answered_by_the_shard_that_has_the_message() {
    let mut host = Host::trx();
    host.port.disposition = Disposition::InFlight;
    host.feed(&query(4));
    let ticket = host.port.asked[0];
    // None has it: all must have said so.
    host.session.operation_result(ticket, OperationAnswer::NotFound, &mut host.port);
    assert_eq!(host.heads(), []);
    host.session.operation_result(ticket, OperationAnswer::NotFound, &mut host.port);
    let refused = (CommandId::QUERY_SM_RESP, CommandStatus::ESME_RINVMSGID, 4);
    assert_eq!(host.heads(), [refused]);
    host.port.asked.clear();
    host.feed(&query(5));
    assert_eq!((host.heads(), host.session.in_flight()), (vec![], (1, 4)));
    let ticket = host.port.asked[0];
    let state = QueriedState {
        message_id: MESSAGE_ID,
        state: MessageState::Delivered,
        error_code: 0,
        final_date: Some(WallTime::from_unix_millis(1_763_899_200_000)),
    };
    host.session.operation_result(ticket, OperationAnswer::State(state), &mut host.port);
    // At once: a receipt that the same shard sends next must not overtake it.
    let sent = host.sent();
    assert_eq!((sent[0].id, sent[0].status, sent[0].sequence_number), (CommandId::QUERY_SM_RESP, OK, 5));
    assert_eq!(sent[0].body, b"0123456789ABCDEF\x00251123120000000+\x00\x02\x00");
    assert_eq!(host.session.in_flight(), (0, 4));
    // What comes later means nothing: one who does not know the message does not make it unknown.
    host.session.operation_result(ticket, OperationAnswer::NotFound, &mut host.port);
    host.session.operation_result(ticket, OperationAnswer::Done, &mut host.port);
    assert_eq!(host.heads(), []);
}

#[test]
fn congestion_state_is_told_to_5_0_peers_only() {
    for (version, tlv) in [(0x33, &b""[..]), (0x34, b""), (0x50, &[0x04, 0x28, 0x00, 0x01, 85])] {
        let mut host = Host::bound(BindMode::Transceiver, version);
        host.port.congestion_state = Some(85);
        host.feed(&submit(3));
        assert_eq!(host.sent()[0].body, [b"0123456789ABCDEF\0", tlv].concat(), "{version:x}");
        host.feed(&submission(SubmitOperation::SubmitMulti, 3));
        assert_eq!(host.sent()[0].body, [b"0123456789ABCDEF\0\0", tlv].concat(), "{version:x}");
        host.port.disposition = Disposition::InFlight;
        for answer in [OperationAnswer::Done, OperationAnswer::NotFound] {
            host.feed(&query(4));
            for ticket in std::mem::take(&mut host.port.asked) {
                host.session.operation_result(ticket, answer, &mut host.port);
            }
            // A refusal stays without a body.
            let expected = if answer == OperationAnswer::Done { tlv } else { b"" };
            assert_eq!(host.sent()[0].body, expected, "{version:x}");
        }
    }
}

#[test]
fn an_unbind_waits_for_operations_and_the_window_holds_them() {
    let mut host = Host::trx();
    host.port.disposition = Disposition::InFlight;
    for sequence_number in 1..=4 {
        host.feed(&query(sequence_number));
    }
    assert_eq!(host.feed(&query(9)), Stop::Stalled(StallReason::Window));
    host.unread.clear();
    host.feed(&request(CommandId::UNBIND, 10));
    for ticket in std::mem::take(&mut host.port.asked) {
        assert!(!host.heads().contains(&(CommandId::UNBIND_RESP, OK, 10)));
        host.session.operation_result(ticket, OperationAnswer::NotFound, &mut host.port);
    }
    let last = host.heads();
    assert_eq!(last.last(), Some(&(CommandId::UNBIND_RESP, OK, 10)), "{last:?}");
}

#[test]
fn the_table_has_every_request_that_the_specifications_name() {
    for id in CommandId::ALL.iter().filter(|id| !id.is_response()) {
        assert!(TABLE.iter().any(|(listed, _)| listed == id), "{id} is missing");
    }
}

#[test]
fn no_response_is_ever_answered() {
    let unknown = [CommandId(0x8000_0010), CommandId(0xFFFF_FFFF)];
    for id in CommandId::ALL.iter().filter(|id| id.is_response()).chain(&unknown) {
        for state in STATES {
            let mut host = host_in(state);
            let stop = host.feed(&header_only(*id, CommandStatus::ESME_RSYSERR, 77));
            assert_eq!(host.heads(), [], "{id} in {state}");
            let ours = state == "unbinding" && *id == CommandId::UNBIND_RESP;
            assert_eq!(matches!(stop, Stop::Close(_)), ours, "{id} in {state}: {stop:?}");
            assert_eq!(host.count(Fact::UnmatchedResponse), usize::from(!ours), "{id} in {state}");
        }
    }
}

#[test]
fn a_receiver_of_5_0_may_not_send_data_sm() {
    let mut host = Host::bound(BindMode::Receiver, 0x50);
    host.feed(&request(CommandId::DATA_SM, 4));
    assert_eq!(host.heads(), [(CommandId::DATA_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 4)]);
}

#[test]
fn an_unbound_peer_that_keeps_asking_is_closed() {
    let mut host = Host::open();
    for sequence_number in 1..5 {
        assert_eq!(host.feed(&submit(sequence_number)), Stop::NeedMore(4));
    }
    assert_eq!(host.feed(&request(CommandId(0x10), 5)), Stop::Close(CloseReason::TooManyErrors));
    assert_eq!(host.sent().len(), 5, "the last one is answered too");

    let mut bound = Host::trx();
    for sequence_number in 1..50 {
        assert_eq!(bound.feed(&request(CommandId(0x10), sequence_number)), Stop::NeedMore(4));
    }
}

#[test]
fn a_bind_agrees_on_the_version() {
    // (interface_version, version of the session, TLVs of the bind_resp)
    let cases: [(u8, InterfaceVersion, &[u8]); 6] = [
        (0x00, InterfaceVersion::V33, b""),
        (0x33, InterfaceVersion::V33, b""),
        (0x34, InterfaceVersion::V34, b"\x02\x10\x00\x01\x34"),
        (0x40, InterfaceVersion::V34, b"\x02\x10\x00\x01\x34"),
        (0x50, InterfaceVersion::V50, b"\x02\x10\x00\x01\x50"),
        (0xFF, InterfaceVersion::V50, b"\x02\x10\x00\x01\x50"),
    ];
    for (octet, version, tlvs) in cases {
        let mut host = Host::open();
        host.feed(&bind(BindMode::Receiver, 0xFFFF_FFFF, octet));
        let body = [b"SMSC01\0", tlvs].concat();
        let sent = Sent { id: CommandId::BIND_RECEIVER_RESP, status: OK, sequence_number: 0xFFFF_FFFF, body };
        assert_eq!(host.sent(), [sent], "{octet:#x}");
        assert_eq!(host.port.bound, [(BindMode::Receiver, version, b"^4477".to_vec())]);
        assert_eq!((host.session.version(), host.session.interface_version()), (version, octet));
    }
    let mut host = Host::open();
    host.settings.version_max = InterfaceVersion::V34;
    host.feed(&bind(BindMode::Transceiver, 1, 0x50));
    assert_eq!(host.session.version(), InterfaceVersion::V34);
    assert!(host.sent()[0].body.ends_with(&[0x34]));
}

#[test]
fn the_id_in_a_response_is_the_text_of_the_message_id() {
    let mut host = Host::trx();
    host.feed(&submit(5));
    assert_eq!(host.sent()[0].body, b"0123456789ABCDEF\0");
    let mut old = Host::bound(BindMode::Transmitter, 0x33);
    old.port.disposition = Disposition::Answered(Ok(MessageId::from_u64(0xABCD)));
    old.feed(&submit(5));
    assert_eq!(old.sent()[0].body, b"0000ABCD\0");
}

#[test]
fn statuses_of_5_0_are_told_to_5_0_only() {
    for (octet, status) in [(0x34, 0x45), (0x50, 0x101)] {
        let mut host = Host::bound(BindMode::Transceiver, octet);
        host.port.disposition = Disposition::Answered(Err(CommandStatus::ESME_RPROHIBITED));
        host.feed(&submit(5));
        assert_eq!(host.heads(), [(CommandId::SUBMIT_SM_RESP, CommandStatus(status), 5)]);
    }
}

#[test]
fn a_refused_bind_is_answered_and_closed() {
    let refused = CommandStatus::ESME_RBINDFAIL;
    let mut host = Host::open();
    host.port.authentication = Authentication::Refused(refused);
    let stop = host.feed(&[bind(BindMode::Transmitter, 9, 0x34), submit(10)].concat());
    assert_eq!(stop, Stop::Close(CloseReason::BindRefused));
    assert_eq!(host.heads(), [(CommandId::BIND_TRANSMITTER_RESP, refused, 9)], "and nothing after it");
    assert_eq!(host.port.facts, [Fact::BindRefused(refused)]);
    assert_eq!(host.session.account(), None);
}

#[test]
fn what_is_glued_to_a_bind_waits_for_its_verdict() {
    let glued =
        [bind(BindMode::Transceiver, 1, 0x34), submit(2), request(CommandId::ENQUIRE_LINK, 3)].concat();
    let grant =
        Grant { account: ACCOUNT, window: 4, deliver_window: 2, compat: crate::session::Compat::default() };

    let mut at_once = Host::open();
    at_once.feed(&glued);
    let ids = [CommandId::BIND_TRANSCEIVER_RESP, CommandId::SUBMIT_SM_RESP, CommandId::ENQUIRE_LINK_RESP];
    let expected = [(ids[0], OK, 1), (ids[1], OK, 2), (ids[2], OK, 3)];
    assert_eq!(at_once.heads(), expected);

    let mut pending = Host::open();
    pending.port.authentication = Authentication::Pending;
    assert_eq!(pending.feed(&glued), Stop::Stalled(StallReason::Authentication));
    assert_eq!(pending.feed(&[]), Stop::Stalled(StallReason::Authentication));
    assert!(pending.session.is_authenticating() && pending.heads().is_empty());
    let verdict = pending.session.authenticated(Ok(grant), pending.now, &pending.settings, &mut pending.port);
    assert_eq!(verdict, None);
    pending.feed(&[]);
    assert_eq!(pending.heads(), expected);
    assert_eq!(pending.port.binds.len(), 1);

    let mut refused = Host::open();
    refused.port.authentication = Authentication::Pending;
    refused.feed(&glued);
    let status = CommandStatus::ESME_RBINDFAIL;
    let verdict =
        refused.session.authenticated(Err(status), refused.now, &refused.settings, &mut refused.port);
    assert_eq!(verdict, Some(CloseReason::BindRefused));
    assert_eq!(refused.feed(&[]), Stop::Close(CloseReason::BindRefused));
    assert_eq!(refused.heads(), [(ids[0], status, 1)]);
    let again = refused.session.authenticated(Ok(grant), refused.now, &refused.settings, &mut refused.port);
    assert_eq!((again, refused.heads().len()), (None, 0), "a second verdict is of no effect");
}

#[test]
fn a_full_window_stalls_and_each_answer_takes_one_more() {
    let mut host = Host::trx();
    host.port.disposition = Disposition::InFlight;
    let stream: Vec<u8> = (1..=9).flat_map(submit).collect();
    assert_eq!(host.feed(&stream), Stop::Stalled(StallReason::Window));
    assert_eq!(host.port.submitted, [1, 2, 3, 4]);
    assert_eq!(host.session.in_flight(), (4, 4));
    assert_eq!(host.feed(&[]), Stop::Stalled(StallReason::Window), "nothing is taken twice");
    assert_eq!(host.port.submitted.len(), 4);
    // Answers in any order; the window opens by one each time.
    for (answered, next) in [(3, 5), (1, 6), (4, 7), (2, 8)] {
        assert_eq!(host.result(answered, Ok(MESSAGE_ID)), None);
        host.feed(&[]);
        assert_eq!(host.port.submitted.last(), Some(&next));
    }
    for sequence_number in 5..=9 {
        host.result(sequence_number, Err(CommandStatus::ESME_RMSGQFUL));
        host.feed(&[]);
    }
    let mut answered: Vec<u32> =
        host.heads().iter().map(|(_, _, sequence_number)| *sequence_number).collect();
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!((host.session.in_flight().0, host.count(Fact::Submitted)), (0, 9));
}

#[test]
fn a_full_lane_leaves_the_request_unread() {
    let mut host = Host::trx();
    host.port.dispositions = [Disposition::Stall(StallReason::Lane); 2].into();
    let octets = [submit(1), request(CommandId::ENQUIRE_LINK, 2)].concat();
    for _ in 0..2 {
        assert_eq!(host.feed(&[]), Stop::NeedMore(4));
        if host.unread.is_empty() {
            host.unread.clone_from(&octets);
        }
        assert_eq!(host.feed(&[]), Stop::Stalled(StallReason::Lane));
        assert_eq!((host.unread.len(), host.heads().len()), (octets.len(), 0));
        assert_eq!(host.count(Fact::Submitted), 0, "a request that comes again is counted once");
        host.unread.clear();
    }
    host.feed(&octets);
    assert_eq!(host.heads().len(), 2);
    assert_eq!((host.port.submitted.len(), host.count(Fact::Submitted)), (1, 1));
}

#[test]
fn a_turn_takes_no_more_pdus_than_it_may() {
    let mut host = Host::trx();
    let stream: Vec<u8> = (1..=5).flat_map(submit).collect();
    let received = host.session.receive(&stream, 2, host.now, &host.settings, &mut host.port);
    assert_eq!((received.pdus, received.stop), (2, Stop::Budget));
    assert_eq!(received.consumed, 2 * submit(1).len());
    assert_eq!(host.sent().len(), 2);
}

#[test]
fn foreign_protocols_are_closed_without_a_word() {
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"SSH-2.0-x\r\n"]
    {
        let mut host = Host::open();
        assert_eq!(host.feed(octets), Stop::Close(CloseReason::ForeignProtocol));
        assert!(host.port.sent.is_empty());
    }
    let mut bound = Host::trx();
    assert_eq!(bound.feed(b"GET /"), Stop::Close(CloseReason::BrokenFrame), "not from one that spoke SMPP");
    assert_eq!(bound.heads(), [(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 0)]);
}

#[test]
fn an_unbound_peer_may_not_send_large_pdus() {
    let large = with_body(CommandId::SUBMIT_SM, 6, &[0; 2_000]);
    let mut host = Host::open();
    assert_eq!(host.feed(&large[..16]), Stop::Close(CloseReason::BrokenFrame), "judged by its header");
    assert_eq!(host.heads(), [(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 6)]);
    let mut bound = Host::trx();
    assert_eq!(bound.feed(&large[..16]), Stop::NeedMore(large.len()));
}

#[test]
fn a_session_that_does_not_bind_gets_few_answers() {
    use crate::limits::UNBOUND_PDUS_MAX;
    let mut host = Host::open();
    for number in 0..UNBOUND_PDUS_MAX {
        host.feed(&request(CommandId::ENQUIRE_LINK, number));
    }
    assert_eq!(host.heads().len(), UNBOUND_PDUS_MAX as usize);
    host.forget();
    let stop = host.feed(&request(CommandId::ENQUIRE_LINK, 99));
    assert_eq!((stop, host.heads().len()), (Stop::Close(CloseReason::TooManyErrors), 0));
    // Once bound, it may ask as often as it likes.
    let mut host = Host::trx();
    for number in 0..10 * UNBOUND_PDUS_MAX {
        assert!(!matches!(host.feed(&request(CommandId::ENQUIRE_LINK, number)), Stop::Close(_)));
    }
}
