//! Whole PDUs with nonsense in them: answered, each exactly once, and the session stays up.

use super::Healthy;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

/// Every request that has a response, but unbind.
const REQUESTS: [u32; 14] = [
    BIND_RECEIVER,
    BIND_TRANSMITTER,
    0x03,
    SUBMIT_SM,
    DELIVER_SM,
    0x07,
    0x08,
    BIND_TRANSCEIVER,
    0x21,
    0x103,
    0x111,
    0x112,
    0x113,
    ENQUIRE_LINK,
];

/// Numbers without pattern, the same in every run.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn every_request_is_answered_once_whatever_its_body() {
    for layout in [Layout::AUTOMATIC, Layout::TWO_BY_TWO] {
        let daemon = Daemon::start("", layout);
        let healthy = Healthy::beside(&daemon);
        let mut esme = daemon.bind(Mode::Transceiver);
        let mut draws = Draws(0x9E37_79B9_7F4A_7C15);
        let valid = Sm::new("12345", "4470", "almost right").encode();
        for round in 0..200 {
            let mut expected = Vec::new();
            let mut octets = Vec::new();
            for id in REQUESTS {
                let body: Vec<u8> = match round % 4 {
                    0 => Vec::new(),
                    1 => (0..draws.next() % 200).map(|_| draws.next() as u8).collect(),
                    // Something valid, cut short or changed in one place.
                    2 => valid[..draws.next() as usize % valid.len()].to_vec(),
                    _ => {
                        let mut body = valid.clone();
                        let at = draws.next() as usize % body.len();
                        body[at] = draws.next() as u8;
                        body
                    }
                };
                let sequence = esme.sequence();
                octets.extend(pdu(id, 0, sequence, &body));
                expected.push((sequence, id | RESP));
            }
            // Without a response: ignored. Unknown: a generic_nack.
            octets.extend(pdu(0x102, 0, 0, &valid));
            octets.extend(pdu(0x0B, 0, 0, &valid));
            let sequence = esme.sequence();
            octets.extend(pdu(0x0000_0200 + round, 0, sequence, &valid));
            expected.push((sequence, GENERIC_NACK));
            esme.send(&octets);
            let mut answered: Vec<(u32, u32)> = expected
                .iter()
                .map(|_| {
                    loop {
                        let pdu = esme.receive();
                        // A changed octet may have asked for a receipt.
                        if pdu.id == DELIVER_SM {
                            esme.respond(&pdu, ESME_ROK);
                        } else {
                            return (pdu.sequence, pdu.id);
                        }
                    }
                })
                .collect();
            answered.sort_unstable();
            assert_eq!(answered, expected, "{layout:?}, round {round}");
        }
        assert!(daemon.stat("/counters/malformed_pdus") > 100);
        assert_eq!(daemon.stat("/counters/frames_broken"), 0);
        healthy.finish();
    }
}

#[test]
fn an_unbound_peer_that_keeps_erring_is_closed() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let healthy = Healthy::beside(&daemon);
    let mut esme = RawEsme::connect(daemon.smpp);
    let mut octets = Vec::new();
    for sequence in 0..50 {
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &[]));
    }
    esme.send(&octets);
    let mut answers = 0;
    while let Some(answer) = esme.receive_or_end() {
        assert_eq!((answer.id, answer.status, answer.sequence), (SUBMIT_SM | RESP, ESME_RINVBNDSTS, answers));
        answers += 1;
    }
    assert_eq!(answers, 5);
    daemon.await_stats(&[("/counters/wrong_state", 5)]);
    healthy.finish();
}

#[test]
fn overlong_fields_are_refused_with_their_own_status() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let mut esme = daemon.bind(Mode::Transceiver);
    let good = Sm::new("12345", "4470", "hi");
    let long = "1".repeat(21);
    let cases = [
        (Sm { service_type: "ABCDEF".to_owned(), ..good.clone() }, 0x15),
        (Sm { source: long.clone(), ..good.clone() }, 0x0A),
        (Sm { dest: long, ..good.clone() }, 0x0B),
        (Sm { schedule: "2613".to_owned(), ..good.clone() }, 0x61),
        (Sm { validity: "0".repeat(17), ..good.clone() }, 0x62),
        // One more than 3.4 allows in short_message.
        (Sm { text: vec![b'x'; 255], ..good.clone() }, 0x01),
    ];
    for (sm, status) in &cases {
        assert_eq!(esme.submit_refused(sm), *status, "{sm:?}");
    }
    esme.submit(&good);
    daemon.await_stats(&[("/messages/rejected", cases.len() as u64), ("/messages/accepted", 1)]);
}
