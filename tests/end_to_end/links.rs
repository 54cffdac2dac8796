//! enquire_link from either side, unbind by the ESME with work under way, and the end of connections.

use std::time::Instant;

use crate::CONFIG;
use crate::on_every_layout;
use crate::support::esme::*;
use crate::support::{DEADLINE, Daemon, Layout};

on_every_layout! {
    an_unbind_waits_for_the_answers,
    a_half_closed_connection_gets_its_answers,
    unmatched_responses_are_ignored,
    late_and_doubled_answers_change_nothing,
}

fn an_unbind_waits_for_the_answers(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transmitter);
    let mut octets = Vec::new();
    let sequences: Vec<u32> = (0..200).map(|_| esme.sequence()).collect();
    for sequence in &sequences {
        octets.extend(pdu(
            SUBMIT_SM,
            0,
            *sequence,
            &Sm::new("12345", &format!("4470{sequence}"), "hi").encode(),
        ));
    }
    let unbind = esme.sequence();
    octets.extend(pdu(UNBIND, 0, unbind, &[]));
    esme.send(&octets);
    let mut answered: Vec<u32> =
        sequences.iter().map(|_| esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence).collect();
    answered.sort_unstable();
    assert_eq!(answered, sequences);
    assert_eq!(esme.expect(UNBIND | RESP, ESME_ROK).sequence, unbind);
    esme.expect_end();
    daemon.await_stats(&[("/sessions/bound", 0), ("/messages/accepted", 200), ("/messages/delivered", 200)]);
}

fn a_half_closed_connection_gets_its_answers(daemon: &Daemon) {
    let mut esme = RawEsme::connect(daemon.smpp);
    let mut octets = pdu(BIND_TRANSMITTER, 0, 1, &bind_body("demo", "demo", 0x34, ""));
    octets.extend(pdu(ENQUIRE_LINK, 0, 2, &[]));
    esme.send(&octets);
    esme.finish_sending();
    assert_eq!(esme.expect(BIND_TRANSMITTER | RESP, ESME_ROK).sequence, 1);
    assert_eq!(esme.expect(ENQUIRE_LINK | RESP, ESME_ROK).sequence, 2);
    esme.expect_end();
    daemon.await_stats(&[("/sessions/bound", 0)]);
}

fn unmatched_responses_are_ignored(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    for id in [DELIVER_SM | RESP, ENQUIRE_LINK | RESP, SUBMIT_SM | RESP, UNBIND | RESP, GENERIC_NACK] {
        esme.send(&pdu(id, 0, 4711, &[]));
    }
    esme.enquire();
    daemon.await_stats(&[("/counters/unmatched_responses", 5), ("/sessions/bound", 1)]);
    // With a request outstanding, the answers to others: one behind, one ahead, and rings of any size ahead.
    esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    let (request, _) = esme.delivery();
    for other in [request.sequence - 1, request.sequence + 1, request.sequence + 64, request.sequence + 4096]
    {
        esme.send(&pdu(DELIVER_SM | RESP, 0, other, &[0]));
    }
    esme.enquire();
    daemon.await_stats(&[("/counters/unmatched_responses", 9), ("/messages/receipts_pending", 1)]);
    esme.respond(&request, ESME_ROK);
    daemon.await_stats(&[("/messages/receipts_sent", 1), ("/messages/receipts_pending", 0)]);
}

fn late_and_doubled_answers_change_nothing(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    for _ in 0..3 {
        let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
        let (pdu, receipt) = esme.delivery();
        assert_eq!(receipt.receipted_id(), id);
        esme.respond(&pdu, ESME_ROK);
        esme.respond(&pdu, ESME_RX_T_APPN);
        esme.respond(&pdu, ESME_ROK);
    }
    esme.enquire();
    daemon.await_stats(&[
        ("/messages/receipts_sent", 3),
        ("/messages/receipts_pending", 0),
        ("/counters/unmatched_responses", 6),
        ("/counters/delivery_retries", 0),
    ]);
}

/// A session that leaves with answers on their way across threads, and one that may get its place: the answers are
/// dropped, not handed to the newcomer (promise 10).
#[test]
fn answers_for_a_session_that_has_left_reach_no_other() {
    for layout in Layout::MOST {
        let daemon = Daemon::start(CONFIG, layout);
        let mut octets = pdu(BIND_TRANSMITTER, 0, 1, &bind_body("demo", "demo", 0x34, ""));
        for sequence in 2..300 {
            let sm = Sm::new("12345", &format!("4470{sequence}"), "hi");
            octets.extend(pdu(SUBMIT_SM, 0, sequence, &sm.encode()));
        }
        let start = Instant::now();
        // Until it has happened, and often enough for a place to be taken anew in between.
        while daemon.stat("/counters/stale_session_handles") < 1_000 {
            assert!(start.elapsed() < DEADLINE, "{layout:?}: no answer came late");
            for _ in 0..20 {
                let mut leaving = RawEsme::connect(daemon.smpp);
                leaving.send(&octets);
                leaving.reset();
                let mut newcomer = daemon.bind(Mode::Transmitter);
                newcomer.enquire();
                newcomer.unbind();
            }
        }
    }
}

/// Timers short enough to wait for.
fn with_timers(timers: &str) -> String {
    CONFIG.replacen("unbind_timeout_ms = 5000", timers, 1)
}

#[test]
fn a_silent_session_is_asked_and_an_answer_keeps_it() {
    let config = with_timers(
        "enquire_link_interval_ms = 50\ninactivity_timeout_ms = 30000\nresponse_timeout_ms = 20000",
    );
    for layout in [Layout::AUTOMATIC, Layout::TWO_BY_TWO] {
        let daemon = Daemon::start(&config, layout);
        let mut esme = daemon.bind(Mode::Receiver);
        let mut last = 0;
        for _ in 0..5 {
            let question = esme.expect(ENQUIRE_LINK, 0);
            assert!(question.sequence > last && question.body.is_empty());
            last = question.sequence;
            esme.respond(&question, ESME_ROK);
        }
        daemon.await_stats(&[("/sessions/bound", 1), ("/counters/inactivity_timeouts", 0)]);
    }
}

#[test]
fn an_unanswered_enquire_link_ends_the_session() {
    let config = with_timers(
        "enquire_link_interval_ms = 50\ninactivity_timeout_ms = 30000\nresponse_timeout_ms = 200",
    );
    let daemon = Daemon::start(&config, Layout::AUTOMATIC);
    let mut esme = daemon.bind(Mode::Receiver);
    esme.expect(ENQUIRE_LINK, 0);
    esme.expect_end();
    daemon.await_stats(&[("/sessions/bound", 0), ("/counters/inactivity_timeouts", 1)]);
}

#[test]
fn silence_ends_the_session() {
    let config = with_timers("enquire_link_interval_ms = 0\ninactivity_timeout_ms = 200");
    let daemon = Daemon::start(&config, Layout::AUTOMATIC);
    let mut esme = daemon.bind(Mode::Receiver);
    esme.expect_end();
    daemon.await_stats(&[("/sessions/bound", 0), ("/counters/inactivity_timeouts", 1)]);
}

#[test]
fn an_unanswered_delivery_comes_again_with_another_number() {
    let config = with_timers("response_timeout_ms = 100");
    let daemon = Daemon::start(&config, Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Receiver);
    daemon.inject_mo("491701", "12345", "hello");
    let (first, _) = esme.delivery();
    let (second, sm) = esme.delivery();
    assert_ne!(first.sequence, second.sequence);
    assert_eq!(sm.text(), "hello");
    esme.respond(&second, ESME_ROK);
    daemon.await_stats(&[("/messages/mo_delivered", 1), ("/messages/mo_pending", 0)]);
    assert!(daemon.stat("/counters/response_timeouts") >= 1);
}
