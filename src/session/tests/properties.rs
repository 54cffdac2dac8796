//! Properties over any sequence of octets, results and clock jumps: each request is answered exactly once or the
//! session is closed (promise 1), no octets panic (promise 9), and how the stream is cut changes nothing.

use proptest::prelude::*;

use super::esme_host::EsmeHost;
use super::*;
use crate::base::SubmitOperation;
use crate::session::StallReason;
use crate::session::esme::DeliverDisposition;
use crate::session::harness::{Event, Shell, drive, submission};
use crate::smpp::{CancelSm, PduBody, QuerySm, ReplaceSm};

/// Few numbers, so that they repeat and match.
fn sequence_number() -> impl Strategy<Value = u32> {
    prop_oneof![1..6u32, Just(0), Just(u32::MAX)]
}

fn pdu() -> impl Strategy<Value = Vec<u8>> {
    let mode = prop::sample::select(vec![BindMode::Transmitter, BindMode::Receiver, BindMode::Transceiver]);
    let any_id = prop_oneof![
        4 => prop::sample::select(CommandId::ALL.to_vec()),
        1 => any::<u32>().prop_map(CommandId),
    ];
    let status = prop::sample::select(vec![OK, CommandStatus::ESME_RSYSERR]);
    let body = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        3 => (mode, sequence_number(), any::<u8>()).prop_map(|(mode, number, version)| bind(mode, number, version)),
        6 => (submit_operation(), sequence_number()).prop_map(|(operation, number)| submission(operation, number)),
        2 => sequence_number().prop_map(|number| request(CommandId::DELIVER_SM_RESP, number)),
        4 => (operation_id(), sequence_number()).prop_map(|(id, number)| operation(id, number)),
        1 => sequence_number().prop_map(|number| request(CommandId::ENQUIRE_LINK, number)),
        1 => sequence_number().prop_map(|number| request(CommandId::UNBIND, number)),
        3 => (any_id.clone(), status, sequence_number()).prop_map(|(id, status, number)| header_only(id, status, number)),
        3 => (any_id, sequence_number(), body).prop_map(|(id, number, body)| with_body(id, number, &body)),
    ]
}

fn submit_operation() -> impl Strategy<Value = SubmitOperation> {
    prop_oneof![
        2 => Just(SubmitOperation::SubmitSm),
        1 => Just(SubmitOperation::SubmitMulti),
        1 => Just(SubmitOperation::DataSm),
    ]
}

fn operation_id() -> impl Strategy<Value = CommandId> {
    prop::sample::select(vec![CommandId::QUERY_SM, CommandId::CANCEL_SM, CommandId::REPLACE_SM])
}

/// A well-formed operation on a stored message.
fn operation(id: CommandId, sequence_number: u32) -> Vec<u8> {
    let (message_id, source_addr) = (&b"0123456789ABCDEF"[..], &b"ACME"[..]);
    let mut body = Vec::new();
    match id {
        CommandId::QUERY_SM => {
            QuerySm { message_id, source_addr, ..QuerySm::default() }.encode_body(&mut body);
        }
        CommandId::CANCEL_SM => {
            CancelSm { message_id, source_addr, ..CancelSm::default() }.encode_body(&mut body);
        }
        _ => ReplaceSm { message_id, source_addr, ..ReplaceSm::default() }.encode_body(&mut body),
    }
    with_body(id, sequence_number, &body)
}

fn disposition() -> impl Strategy<Value = Disposition> {
    prop::sample::select(vec![
        Disposition::Answered(Ok(MESSAGE_ID)),
        Disposition::Answered(Err(CommandStatus::ESME_RTHROTTLED)),
        Disposition::InFlight,
        Disposition::InFlight,
        Disposition::Stall(StallReason::Lane),
        Disposition::OverRate { until: Time::ZERO },
    ])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => pdu().prop_map(Event::Write),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Event::Write),
        20 => (1..150usize).prop_map(Event::Arrive),
        5 => disposition().prop_map(Event::Disposition),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Event::Decide(which, ok)),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Event::DecideOther(which, ok)),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, found)| Event::Answer(which, found)),
        3 => prop::bool::weighted(0.8).prop_map(Event::Judge),
        4 => Just(Event::Deliver),
        3 => prop::sample::select(vec![1, 1_000, 5_000, 20_000, 60_000]).prop_map(Event::Pass),
        1 => Just(Event::Unbind),
    ]
}

/// What a peer, a shard and a log could tell two runs apart by.
type Trace = (Vec<u8>, Vec<Fact>, Vec<u32>, Vec<(DeliveryToken, DeliveryResult)>, Option<CloseReason>);

fn trace(stream: &[u8], cuts: &[usize], disposition: Disposition, pending: bool) -> Trace {
    let mut shell = Shell::new(pending);
    shell.host.port.disposition = disposition;
    shell.wire = stream.to_vec();
    for cut in cuts {
        shell.handle(&Event::Arrive(*cut));
    }
    shell.handle(&Event::Arrive(usize::MAX));
    // The delivery and its answer find each other in both runs.
    shell.settle();
    let port = shell.host.port;
    (port.sent, port.facts, port.submitted, port.results, shell.ended)
}

proptest! {
    #[test]
    fn each_request_is_answered_exactly_once_or_the_session_is_closed(
        first in prop::option::weighted(0.9, (any::<u8>(), 1..4u32)),
        pending in any::<bool>(),
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut shell = Shell::new(pending);
        if let Some((version, sequence_number)) = first {
            shell.wire = bind(BindMode::Transceiver, sequence_number, version);
        }
        for event in &events {
            shell.handle(event);
        }
        shell.settle();
        shell.finish();
    }

    #[test]
    fn any_script_of_the_fuzz_target_keeps_the_promises(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        drive(&octets);
    }

    #[test]
    fn cutting_the_stream_changes_nothing(
        glued_bind in any::<bool>(),
        pdus in prop::collection::vec(pdu(), 0..30),
        rest in prop::collection::vec(any::<u8>(), 0..30),
        cuts in prop::collection::vec(1..60usize, 0..200),
        disposition in disposition(),
        pending in any::<bool>(),
    ) {
        let mut stream = if glued_bind { bind(BindMode::Transceiver, 1, 0x34) } else { Vec::new() };
        stream.extend(pdus.concat());
        stream.extend(rest);
        let whole = trace(&stream, &[], disposition, pending);
        prop_assert_eq!(&trace(&stream, &cuts, disposition, pending), &whole);
        let octets = vec![1; stream.len()];
        prop_assert_eq!(&trace(&stream, &octets, disposition, pending), &whole);
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..400), state in 0..4u8) {
        let mut host = if state == 0 { Host::open() } else { Host::trx() };
        if state == 2 {
            host.unbind();
        }
        host.feed(&octets);
        host.feed(&octets);
        let mut esme = EsmeHost::open();
        esme.port.disposition = DeliverDisposition::InFlight;
        if state > 0 {
            esme.bind(BindMode::Transceiver);
        }
        if state > 1 {
            esme.feed(&with_body(CommandId::BIND_TRANSCEIVER_RESP, 1, b"x\0"));
        }
        if state > 2 {
            esme.unbind();
        }
        esme.feed(&octets);
        esme.feed(&octets);
    }

    #[test]
    fn each_submission_of_an_esme_has_one_outcome(
        pdus in prop::collection::vec((0..6u8, sequence_number()), 0..60),
    ) {
        let mut esme = EsmeHost::open();
        esme.settings.deliver_window = 100;
        esme.port.disposition = DeliverDisposition::InFlight;
        esme.bind(BindMode::Transceiver);
        esme.feed(&with_body(CommandId::BIND_TRANSCEIVER_RESP, 1, b"x\0"));
        let (mut handed, mut delivered) = (0u32, 0usize);
        for (what, number) in pdus {
            match what {
                0 | 1 => handed += u32::from(esme.submit(handed).is_ok()),
                2 => drop(esme.feed(&with_body(CommandId::SUBMIT_SM_RESP, number, b"1\0"))),
                3 => drop(esme.feed(&header_only(CommandId::GENERIC_NACK, OK, number))),
                4 => drop(esme.feed(&with_body(CommandId::DELIVER_SM, number, &submit_body()))),
                _ => drop(esme.pass_ms(u64::from(number % 6) * 1_000)),
            }
            prop_assert!(esme.session.window().0 <= esme.settings.window);
        }
        for (number, _) in esme.port.delivered.clone() {
            esme.result(number, OK);
            delivered += 1;
        }
        let answers = esme.sent().iter().filter(|pdu| pdu.id == CommandId::DELIVER_SM_RESP).count();
        prop_assert!(answers <= delivered);
        esme.closed(CloseReason::PeerGone);
        let mut slots: Vec<u32> = esme.port.outcomes.iter().map(|(token, _)| token.slot).collect();
        slots.sort_unstable();
        prop_assert_eq!(slots, (0..handed).collect::<Vec<_>>());
    }
}
