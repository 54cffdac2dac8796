//! Peers that are no ESMEs, or bad ones: other protocols, health checks, silence, dribble, deafness, crowds.

use super::Healthy;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

/// A daemon with this `[smpp]` section, and a healthy session beside.
fn daemon(smpp: &str) -> (Daemon, Healthy) {
    let daemon = Daemon::start(&format!("[smpp]\n{smpp}\n"), Layout::TWO_BY_TWO);
    let healthy = Healthy::beside(&daemon);
    (daemon, healthy)
}

#[test]
fn other_protocols_are_closed_without_an_answer() {
    let (daemon, healthy) = daemon("");
    let foreign: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /mo HTTP/1.1\r\n\r\n",
        // A TLS ClientHello's first octets.
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, 0x00],
        b"EHLO mail\r\n",
    ];
    for octets in foreign {
        let mut esme = RawEsme::connect(daemon.smpp);
        esme.send(octets);
        esme.expect_end();
    }
    daemon.await_stats(&[("/counters/foreign_protocols", 4), ("/counters/frames_broken", 0)]);
    healthy.finish();
}

#[test]
fn the_same_octets_from_a_bound_session_are_a_broken_frame() {
    let (daemon, healthy) = daemon("");
    let mut esme = daemon.bind(Mode::Transceiver);
    esme.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(esme.expect(GENERIC_NACK, ESME_RINVCMDLEN).sequence, 0);
    esme.expect_end();
    daemon.await_stats(&[("/counters/foreign_protocols", 0), ("/counters/frames_broken", 1)]);
    healthy.finish();
}

#[test]
fn health_checks_are_counted_and_leave_nothing() {
    let (daemon, healthy) = daemon("");
    for _ in 0..200 {
        RawEsme::connect(daemon.smpp).vanish();
    }
    daemon.await_stats(&[("/counters/connections_empty", 200), ("/counters/connections_closed", 200)]);
    healthy.finish();
    // Nothing about them in the log: a health check once a second would fill it.
    assert!(daemon.stderr().lines().count() < 10, "{}", daemon.stderr());
}

#[test]
fn a_peer_that_never_binds_is_closed() {
    let (daemon, healthy) = daemon("session_init_timeout_ms = 200");
    let mut silent = RawEsme::connect(daemon.smpp);
    let mut half = RawEsme::connect(daemon.smpp);
    half.send(&pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("demo", "demo", 0x34, ""))[..20]);
    silent.expect_end();
    half.expect_end();
    daemon.await_stats(&[("/counters/session_init_timeouts", 2), ("/sessions/bound", 1)]);
    healthy.finish();
}

#[test]
fn half_a_pdu_and_silence_is_closed() {
    let (daemon, healthy) = daemon("pdu_timeout_ms = 200");
    for len in [1, 4, 16, 30] {
        let mut esme = daemon.bind(Mode::Transceiver);
        esme.send(&pdu(SUBMIT_SM, 0, 9, &Sm::new("12345", "4470", "half").encode())[..len]);
        esme.expect_end();
    }
    daemon.await_stats(&[("/counters/pdu_timeouts", 4), ("/sessions/bound", 1)]);
    healthy.finish();
}

#[test]
fn octet_by_octet_gets_no_more_time() {
    let (daemon, healthy) = daemon("pdu_timeout_ms = 200");
    let mut esme = daemon.bind(Mode::Transceiver);
    let sm = Sm { tlvs: vec![(0x0424, vec![b'x'; 60_000])], ..Sm::new("12345", "4470", "") };
    let octets = pdu(SUBMIT_SM, 0, 9, &sm.encode());
    let mut sent = 0;
    // One octet for each answer of the HTTP side: too slow for so large a PDU, and never silent.
    while esme.send_some(&octets[sent..=sent]) {
        sent += 1;
        assert!(sent < octets.len(), "the whole PDU was taken");
        if daemon.stat("/counters/pdu_timeouts") == 1 {
            break;
        }
    }
    esme.expect_end();
    daemon.await_stats(&[("/counters/pdu_timeouts", 1), ("/sessions/bound", 1)]);
    healthy.finish();
}

#[test]
fn a_peer_that_never_reads_is_closed_and_holds_up_only_itself() {
    let (daemon, healthy) = daemon("write_timeout_ms = 500");
    let mut deaf = RawEsme::connect_deaf(daemon.smpp);
    deaf.send(&pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("demo", "demo", 0x34, "")));
    let mut octets = Vec::new();
    for sequence in 0..1_000 {
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &[]));
    }
    // Until nothing more is taken: the answers are not read, so the daemon has stopped reading the requests.
    while deaf.send_some(&octets) {}
    daemon.await_stats(&[("/counters/write_timeouts", 1), ("/sessions/bound", 1)]);
    assert!(daemon.stat("/counters/reads_paused") > 0);
    healthy.finish();
}

#[test]
fn a_flood_from_one_session_does_not_starve_another() {
    let (daemon, healthy) = daemon("");
    let mut flood = daemon.bind(Mode::Transceiver);
    let mut octets = Vec::new();
    for sequence in 0..5_000 {
        octets.extend(pdu(
            SUBMIT_SM,
            0,
            sequence,
            &Sm::new("12345", &format!("4470{sequence}"), "x").encode(),
        ));
    }
    for _ in 0..5 {
        flood.send(&octets);
        for _ in 0..5_000 {
            flood.expect(SUBMIT_SM | RESP, ESME_ROK);
        }
    }
    healthy.finish();
}

#[test]
fn a_crowd_is_turned_away_at_the_door() {
    let config = "[limits]\nconnections_max = 8\nsessions_max = 2\n";
    let daemon = Daemon::start(config, Layout::AUTOMATIC);
    let mut inside: Vec<RawEsme> = (0..8).map(|_| RawEsme::connect(daemon.smpp)).collect();
    inside.iter_mut().for_each(RawEsme::enquire);
    RawEsme::connect(daemon.smpp).expect_end();
    daemon.await_stats(&[("/counters/connections_refused", 1)]);
    for (index, esme) in inside.iter_mut().enumerate().take(3) {
        let answer = esme.try_bind(Mode::Transceiver, "demo", "demo", 0x34, "");
        assert_eq!(answer.status, if index < 2 { ESME_ROK } else { ESME_RBINDFAIL }, "{index}");
    }
    // The refused one is closed: so there is a place again, for a connection and, after an unbind, for a session.
    inside[2].expect_end();
    inside.remove(0).unbind();
    daemon.await_stats(&[("/counters/connections_closed", 2)]);
    daemon.bind(Mode::Transceiver).unbind();
}

#[test]
fn a_crowd_from_one_address_is_turned_away() {
    let daemon = Daemon::start("[limits]\nconnections_per_address_max = 3\n", Layout::AUTOMATIC);
    let mut inside: Vec<RawEsme> = (0..3).map(|_| RawEsme::connect(daemon.smpp)).collect();
    inside.iter_mut().for_each(RawEsme::enquire);
    RawEsme::connect(daemon.smpp).expect_end();
    inside.clear();
    daemon.await_stats(&[("/counters/connections_refused", 1), ("/counters/connections_closed", 3)]);
    daemon.bind(Mode::Transceiver).unbind();
}
