//! What comes in requests: sequence numbers, sizes, junk, TLVs, bodies, addresses, data_coding (quirks 8, 19 to 27, 31,
//! 32).

use std::time::{Duration, Instant};

use super::support::esme::*;
use super::{bind_as, daemon};

#[test]
fn quirk_08_a_refusal_is_a_header_alone() {
    let daemon = daemon();
    for version in [0x33, 0x34, 0x50] {
        let mut esme = bind_as(&daemon, version);
        // `submit_refused` checks that there is no body.
        assert_eq!(esme.submit_refused(&Sm::new("12345", "", "hi")), 0x0B);
        esme.enquire();
    }
}

#[test]
fn quirk_19_any_sequence_number_is_echoed() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for sequence in [0, 1, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] {
        esme.send(&pdu(SUBMIT_SM, 0, sequence, &Sm::new("12345", "4470", "hi").encode()));
        assert_eq!(esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence, sequence);
        esme.send(&pdu(ENQUIRE_LINK, 0, sequence, &[]));
        assert_eq!(esme.expect(ENQUIRE_LINK | RESP, ESME_ROK).sequence, sequence);
    }
}

#[test]
fn quirk_20_a_payload_of_64_kb_fits_and_no_larger_pdu_is_taken() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let payload = |len| Sm { tlvs: vec![(0x0424, vec![b'x'; len])], ..Sm::new("12345", "4470", "") };
    esme.submit(&payload(65_535));
    // Only the header is sent: the body is not waited for, and nothing reserved for it.
    let header_of = |len: u32| [&len.to_be_bytes()[..], &pdu(SUBMIT_SM, 0, 77, &[])[4..]].concat();
    esme.send(&header_of(70_001));
    assert_eq!(esme.expect(GENERIC_NACK, ESME_RINVCMDLEN).sequence, 77);
    esme.expect_end();
    let mut unbound = RawEsme::connect(daemon.smpp);
    unbound.send(&header_of(1_025));
    unbound.expect(GENERIC_NACK, ESME_RINVCMDLEN);
    unbound.expect_end();
}

#[test]
fn quirk_21_an_impossible_length_is_answered_and_closed() {
    let daemon = daemon();
    for len in [0u32, 1, 15, u32::MAX] {
        let mut esme = daemon.bind(Mode::Transceiver);
        esme.send(&len.to_be_bytes());
        assert_eq!(esme.expect(GENERIC_NACK, ESME_RINVCMDLEN).sequence, 0, "{len}");
        esme.expect_end();
    }
    // A browser and a TLS client get nothing that they could not read anyhow.
    for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0, 0, 0, 0, 0, 0]] {
        let mut esme = RawEsme::connect(daemon.smpp);
        esme.send(junk);
        esme.expect_end();
    }
    daemon.await_stats(&[("/counters/foreign_protocols", 2)]);
}

#[test]
fn quirk_22_an_unknown_command_is_nacked_and_the_session_stays() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    // Vendor's, 3.3's, nobody's.
    for id in [0x0001_0200, 0x22, 0x23, 0x24, 0x0100_0001, 0x7777_7777] {
        let sequence = esme.request(id, b"whatever");
        let nack = esme.expect(GENERIC_NACK, 0x03);
        assert_eq!((nack.sequence, nack.body.len()), (sequence, 0), "{id:#x}");
    }
    esme.submit(&Sm::new("12345", "4470", "still here"));
}

#[test]
fn quirk_23_the_wrong_direction_is_refused_and_the_session_stays() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let body = Sm::new("12345", "4470", "hi").encode();
    esme.request(DELIVER_SM, &body);
    assert!(esme.expect(DELIVER_SM | RESP, ESME_RINVBNDSTS).body.is_empty());
    let mut receiver = daemon.bind(Mode::Receiver);
    receiver.request(SUBMIT_SM, &body);
    receiver.expect(SUBMIT_SM | RESP, ESME_RINVBNDSTS);
    receiver.enquire();
    esme.submit(&Sm::new("12345", "4470", "still here"));
}

#[test]
fn quirk_24_tlvs_unknown_doubled_or_misplaced_do_no_harm() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let tlvs: Vec<Tlv> = vec![
        (0x1403, b"infobip".to_vec()),
        (0x1701, vec![]),
        (0x1403, b"again".to_vec()),
        // Of a bind response, of a receipt, of a broadcast.
        (SC_INTERFACE_VERSION, vec![0x34]),
        (RECEIPTED_MESSAGE_ID, b"1\0".to_vec()),
        (0x0606, vec![0]),
        (0xFFFF, vec![1, 2, 3]),
    ];
    let sm = Sm { tlvs, ..Sm::new("999", "12345", "hi") };
    esme.submit(&sm);
    assert_eq!(esme.take_delivery().tlvs, sm.tlvs, "all go along in their order");
    // One that runs past the end has its status, and the session stays.
    let mut body = Sm::new("12345", "4470", "hi").encode();
    body.extend([0x14, 0x03, 0x00, 0x0A, 1, 2]);
    esme.request(SUBMIT_SM, &body);
    esme.expect(SUBMIT_SM | RESP, 0xC0);
    esme.submit(&Sm::new("12345", "4470", "still here"));
}

#[test]
fn quirk_25_a_text_in_short_message_or_payload_or_nowhere_but_not_in_both() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let with = |text: &str, tlvs| Sm { tlvs, ..Sm::new("999", "12345", text) };
    let payload = || vec![(0x0424, b"in the payload".to_vec())];
    assert_eq!(esme.submit_refused(&with("in the message", payload())), ESME_RINVMSGLEN);
    for (sm, excerpt) in [
        (with("in the message", vec![(0x0424, vec![])]), "in the message"),
        (with("", payload()), "in the payload"),
        (with("", vec![]), ""),
    ] {
        let sm = Sm { registered_delivery: 1, dest: "4470".to_owned(), ..sm };
        esme.submit(&sm);
        let mut text = String::new();
        // The source is an address of nobody's: the receipt comes to the session all the same.
        let receipt = esme.take_delivery();
        text.push_str(receipt.text().split_once(" text:").expect("a text").1);
        assert_eq!(text, excerpt);
    }
    // A UDH at the front of a payload.
    let udh = [&[5, 0, 3, 7, 2, 1][..], b"part"].concat();
    esme.submit(&Sm { esm_class: 0x40, tlvs: vec![(0x0424, udh.clone())], ..with("", vec![]) });
    let delivered = esme.take_delivery();
    assert_eq!((delivered.esm_class, delivered.tlv(0x0424)), (0x40, Some(udh.as_slice())));
    // sm_length 255: one more than 3.4 has, legal in 5.0.
    let long = Sm { text: vec![b'x'; 255], ..Sm::new("12345", "4470", "") };
    assert_eq!(esme.submit_refused(&long), 0x01);
    bind_as(&daemon, 0x50).submit(&long);
}

/// Part `part` of two, in each of the three ways.
fn parts(part: u8) -> [Sm; 3] {
    let udh = |octets: &[u8]| Sm {
        esm_class: 0x40,
        text: [octets, b"text"].concat(),
        ..Sm::with_receipt("12345", "4470", "")
    };
    let sar = vec![(0x020C, vec![0, 9]), (0x020E, vec![2]), (0x020F, vec![part])];
    [
        udh(&[5, 0, 3, 7, 2, part]),
        udh(&[6, 8, 4, 1, 7, 2, part]),
        Sm { tlvs: sar, ..Sm::with_receipt("12345", "4470", "text") },
    ]
}

#[test]
fn quirk_26_each_part_is_answered_before_the_next_comes() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for way in 0..3 {
        // The second part is not sent before the first has its response and its receipt: nothing waits for the group.
        for part in [1, 2] {
            let id = esme.submit(&parts(part)[way]);
            assert_eq!(esme.take_delivery().receipted_id(), id, "way {way}, part {part}");
        }
    }
}

#[test]
fn quirk_27_a_window_of_one_is_answered_at_once() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transmitter);
    let quickest = (0..100)
        .map(|n| {
            let start = Instant::now();
            esme.submit(&Sm::new("12345", &format!("4470{n}"), "hi"));
            start.elapsed()
        })
        .min();
    // A delayed acknowledgement or a batching timer would be in each of them: 40 ms, or whatever the timer has.
    assert!(quickest.is_some_and(|quickest| quickest < Duration::from_millis(10)), "{quickest:?}");
}

#[test]
fn quirk_31_addresses_of_any_kind_are_taken() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for (source_ton, source_npi, source) in
        [(5, 0, "ACME"), (5, 1, "ACME"), (0, 0, ""), (3, 9, "12345"), (1, 1, "+12345"), (7, 19, "x@y")]
    {
        for (dest_ton, dest_npi, dest) in [(1, 1, "4470"), (0, 0, "004470"), (5, 0, "+4470")] {
            let sm = Sm { source_ton, source_npi, dest_ton, dest_npi, ..Sm::new(source, dest, "hi") };
            esme.submit(&sm);
        }
    }
}

#[test]
fn quirk_32_every_data_coding_is_taken_and_its_octets_kept() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let octets = vec![0x00, 0x60, 0x5F, 0xC2, 0xA4, 0xFF, 0x20, 0xAC];
    for data_coding in [0, 1, 2, 3, 4, 5, 8, 0x0E, 0x10, 0x18, 0xC8, 0xF0, 0xF4, 0xFF] {
        esme.submit(&Sm { data_coding, text: octets.clone(), ..Sm::new("999", "12345", "") });
        let sm = esme.take_delivery();
        assert_eq!((sm.data_coding, sm.text.as_slice()), (data_coding, octets.as_slice()));
    }
}
