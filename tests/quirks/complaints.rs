//! What users of other SMSCs and libraries have complained of, as far as no other test has it already.

use super::support::esme::*;
use super::{bind_as, daemon, daemon_with};

#[test]
fn complaint_04_a_rate_allows_its_burst_and_zero_is_no_limit() {
    let daemon = daemon_with("", "rate_per_s = 100\nburst = 50");
    let mut esme = daemon.bind(Mode::Transmitter);
    let sm = Sm::new("12345", "4470", "hi");
    for _ in 0..50 {
        esme.submit(&sm);
    }
    let daemon = daemon_with("", "rate_per_s = 0");
    let mut esme = daemon.bind(Mode::Transmitter);
    for _ in 0..500 {
        esme.submit(&sm);
    }
}

#[test]
fn complaint_07_each_part_has_the_receipt_that_it_asked_for() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for asking in [1, 2, 3] {
        let mut asked = String::new();
        for part in [1, 2, 3] {
            let text = [&[5, 0, 3, asking, 3, part][..], b"text"].concat();
            let registered_delivery = u8::from(part == asking);
            let sm = Sm { esm_class: 0x40, text, registered_delivery, ..Sm::new("12345", "4470", "") };
            let sequence = esme.request(SUBMIT_SM, &sm.encode());
            // The receipt of an earlier part may come meanwhile.
            loop {
                let pdu = esme.receive();
                if pdu.id == DELIVER_SM {
                    assert_eq!(Sm::decode(&pdu.body).receipted_id(), asked);
                    esme.respond(&pdu, ESME_ROK);
                    asked.clear();
                    continue;
                }
                assert_eq!((pdu.id, pdu.sequence), (SUBMIT_SM | RESP, sequence));
                if part == asking {
                    asked = message_id(&pdu);
                }
                break;
            }
        }
        if !asked.is_empty() {
            assert_eq!(esme.take_delivery().receipted_id(), asked);
        }
    }
    daemon.await_stats(&[("/messages/delivered", 9), ("/messages/receipts_sent", 3)]);
    esme.enquire();
}

#[test]
fn complaint_08_receipts_are_final_and_come_as_deliver_sm_unless_asked_otherwise() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    // `take_delivery` takes a deliver_sm only.
    let receipt = esme.take_delivery();
    assert_eq!((receipt.esm_class, receipt.tlv(MESSAGE_STATE)), (0x04, Some(&[2][..])));
    daemon.await_stats(&[("/messages/receipts_sent", 1), ("/messages/receipts_pending", 0)]);
    esme.enquire();
}

#[test]
fn complaint_11_places_are_counted_right_through_binds_and_drops() {
    let daemon = daemon_with("", "sessions_max = 2");
    for round in 0..20 {
        let first = daemon.bind(Mode::Transceiver);
        let second = daemon.bind(Mode::ALL[round % 3]);
        let mut third = RawEsme::connect(daemon.smpp);
        assert_eq!(third.try_bind(Mode::Transceiver, "demo", "demo", 0x34, "").status, ESME_RALYBND);
        first.unbind();
        match round % 2 {
            0 => second.vanish(),
            _ => second.reset(),
        }
        daemon.await_stats(&[("/accounts/demo/sessions", 0)]);
    }
}

#[test]
fn complaint_16_validity_periods_are_read_to_the_letter() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for (validity, status) in [
        ("000002000000000R", 0),
        ("000000000001000R", 0),
        ("000000000000000R", 0x62),
        ("001300000000000R", 0x62),
        ("000001000000000", 0x62),
        ("200101000000000+", 0x62),
    ] {
        let sm = Sm { validity: validity.to_owned(), ..Sm::with_receipt("12345", "4470", "hi") };
        if status == 0 {
            let id = esme.submit(&sm);
            let receipt = esme.take_delivery();
            assert_eq!(receipt.receipted_id(), id, "{validity}");
            assert!(receipt.text().contains("stat:DELIVRD"), "{validity}");
        } else {
            assert_eq!(esme.submit_refused(&sm), status, "{validity}");
        }
    }
}

#[test]
fn complaint_22_an_sm_length_that_is_one_off_has_an_answer() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let sm = Sm::new("12345", "4470", "hello");
    // One too small: the text's NUL is left over, and no harm.
    let mut octets = sm.encode();
    octets.push(0);
    esme.request(SUBMIT_SM, &octets);
    esme.expect(SUBMIT_SM | RESP, ESME_ROK);
    // One too large: the body ends early.
    let mut octets = sm.encode();
    let at = octets.len() - 6;
    octets[at] += 1;
    esme.request(SUBMIT_SM, &octets);
    esme.expect(SUBMIT_SM | RESP, ESME_RINVCMDLEN);
    esme.submit(&sm);
}

#[test]
fn complaint_26_every_octet_of_the_default_alphabet_arrives() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    // The euro sign and the rest of the extension table, and all plain septets.
    let text: Vec<u8> = (0..128).chain([0x1B, 0x65, 0x1B, 0x28, 0x1B, 0x0A]).collect();
    esme.submit(&Sm { text: text.clone(), ..Sm::new("999", "12345", "") });
    assert_eq!(esme.take_delivery().text, text);
    daemon.inject_mo("491701", "12345", "5 \u{20ac} {[~]}!$");
    let sm = esme.take_delivery();
    assert_eq!(sm.data_coding, 0);
    assert_eq!(sm.text, b"5 \x1B\x65 \x1B\x28\x1B\x3C\x1B\x3D\x1B\x3E\x1B\x29!\x02");
}

#[test]
fn complaint_27_what_was_refused_has_no_receipt() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for _ in 0..5 {
        esme.submit_refused(&Sm { priority: 9, ..Sm::with_receipt("12345", "4470", "hi") });
        esme.submit_refused(&Sm::with_receipt("12345", "", "hi"));
    }
    daemon.await_stats(&[
        ("/messages/rejected", 10),
        ("/messages/pending", 0),
        ("/messages/receipts_pending", 0),
        ("/messages/receipts_sent", 0),
    ]);
    esme.enquire();
}

#[test]
fn complaint_34_the_mistakes_of_a_young_library_are_not_made_here() {
    let daemon = daemon();
    let mut esme = bind_as(&daemon, 0x34);
    // One read is not one PDU: half of one, then the rest with two more.
    let whole = pdu(ENQUIRE_LINK, 0, 7, &[]);
    esme.send(&whole[..9]);
    esme.send(&[&whole[9..], &whole, &whole].concat());
    for _ in 0..3 {
        assert_eq!(esme.expect(ENQUIRE_LINK | RESP, ESME_ROK).sequence, 7);
    }
    // A response with a status that nobody knows; a data_sm without TLVs; an alert_notification.
    esme.send(&pdu(DELIVER_SM | RESP, 0x1234_5678, 99, &[]));
    esme.request(0x103, &[0, 1, 1, b'1', 0, 1, 1, b'2', 0, 0, 0, 0]);
    let answer = esme.receive();
    assert_eq!(answer.id, 0x8000_0103);
    assert_ne!(answer.status, ESME_ROK);
    esme.request(0x102, &[0; 6]);
    esme.submit(&Sm::new("12345", "4470", "still here"));
}
