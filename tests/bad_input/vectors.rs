//! The malformed vectors: the stated answer, octet for octet, and then the stated end.

use serde_json::Value;

use super::Healthy;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

/// Octets as hex.
fn octets(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex");
    let octet = |pair| u8::from_str_radix(&hex[pair..pair + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(octet).collect()
}

#[test]
fn malformed_pdus_get_the_stated_answer() {
    let daemon = Daemon::start("", Layout::TWO_BY_TWO);
    let healthy = Healthy::beside(&daemon);
    let vectors: Value = serde_json::from_str(include_str!("../smpp-vectors.json")).expect("JSON");
    let malformed: Vec<&Value> =
        vectors.as_array().expect("a list").iter().filter(|vector| vector["kind"] == "malformed").collect();
    assert!(malformed.len() >= 12);
    for vector in &malformed {
        let name = vector["name"].as_str().expect("a name");
        let sent = octets(&vector["hex"]);
        let is_bind = sent.get(4..8).is_some_and(|id| id == BIND_TRANSCEIVER.to_be_bytes());
        let mut esme = if is_bind { RawEsme::connect(daemon.smpp) } else { daemon.bind(Mode::Transceiver) };
        esme.send(&sent);
        let expected = &vector["expected"];
        if !expected["send"].is_null() {
            let answer = esme.receive();
            let answer = pdu(answer.id, answer.status, answer.sequence, &answer.body);
            assert_eq!(answer, octets(&expected["send"]), "{name}");
        }
        match expected["then"].as_str() {
            Some("close") => esme.expect_end(),
            Some("stay open") => esme.enquire(),
            then => panic!("{name}: {then:?}"),
        }
    }
    // Each counted as what it is.
    daemon.await_stats(&[
        ("/counters/frames_broken", 3),
        ("/counters/unknown_commands", 1),
        ("/counters/unmatched_responses", 1),
        ("/counters/malformed_pdus", 7),
        ("/counters/binds_refused", 1),
    ]);
    healthy.finish();
}

#[test]
fn broken_frames_before_a_bind_close_too() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    // (command_length, answered with the sequence_number 7)
    let cases = [(0u32, false), (15, false), (1_025, true), (70_000, true), (0x7FFF_FFFF, false)];
    for (command_length, readable) in cases {
        let mut sent = pdu(BIND_TRANSCEIVER, 0, 7, &[]);
        sent[..4].copy_from_slice(&command_length.to_be_bytes());
        let mut esme = RawEsme::connect(daemon.smpp);
        esme.send(&sent);
        let nack = esme.expect(GENERIC_NACK, ESME_RINVCMDLEN);
        assert_eq!(nack.sequence, if readable { 7 } else { 0 }, "{command_length}");
        esme.expect_end();
    }
    daemon.await_stats(&[("/counters/frames_broken", cases.len() as u64)]);
}

#[test]
fn an_oversized_pdu_closes_and_the_largest_does_not() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let healthy = Healthy::beside(&daemon);
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut sm = Sm { tlvs: vec![(0x0424, vec![b'x'; 65_000])], ..Sm::new("12345", "4470", "") };
    let missing = 70_000 - 16 - sm.encode().len();
    // An unknown TLV fills the rest.
    sm.tlvs.push((0x3FFF, vec![0; missing - 4]));
    assert_eq!(sm.encode().len() + 16, 70_000);
    esme.submit(&sm);
    sm.tlvs[1].1.push(0);
    let sequence = esme.sequence();
    esme.send(&pdu(SUBMIT_SM, 0, sequence, &sm.encode())[..16]);
    assert_eq!(esme.expect(GENERIC_NACK, ESME_RINVCMDLEN).sequence, sequence, "judged by its header alone");
    esme.expect_end();
    daemon.await_stats(&[("/counters/frames_broken", 1)]);
    healthy.finish();
}
