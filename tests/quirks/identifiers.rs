//! Message ids, receipts, versions and TLVs (quirks 1 to 7 and 11, 12).

use super::support::esme::*;
use super::{bind_as, daemon, daemon_with};

#[test]
fn quirk_01_one_id_in_response_receipt_text_and_tlv() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for n in 0..20 {
        let id = esme.submit(&Sm::with_receipt("12345", &format!("4470{n}"), "hi"));
        let receipt = esme.take_delivery();
        assert_eq!(receipt.receipted_id(), id);
        assert_eq!(receipt.tlv(RECEIPTED_MESSAGE_ID), Some([id.as_bytes(), &[0]].concat().as_slice()));
    }
}

#[test]
fn quirk_02_ids_are_short_on_3_3_and_never_too_long() {
    let daemon = daemon();
    for (version, digits) in [(0x00, 8), (0x33, 8), (0x34, 16), (0x50, 16)] {
        let id = bind_as(&daemon, version).submit(&Sm::new("12345", "4470", "hi"));
        assert_eq!(id.len(), digits, "{version:#x}: {id}");
        assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}

#[test]
fn quirk_03_no_receipt_before_its_response() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut octets = Vec::new();
    for sequence in 1..=200 {
        let sm = Sm::with_receipt("12345", &format!("4470{sequence}"), "hi");
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &sm.encode()));
    }
    esme.send(&octets);
    let (mut answered, mut receipts) = (Vec::new(), 0);
    while receipts < 200 {
        let pdu = esme.receive();
        if pdu.id == SUBMIT_SM | RESP {
            answered.push(message_id(&pdu));
        } else {
            assert!(answered.contains(&Sm::decode(&pdu.body).receipted_id()), "a receipt came first");
            receipts += 1;
            esme.respond(&pdu, ESME_ROK);
        }
    }
}

#[test]
fn quirk_04_a_receipt_has_all_eight_fields() {
    for (account, digits) in
        [("", 10), ("compat.receipt_date_digits = 12", 12), ("compat.receipt_date_digits = 14", 14)]
    {
        let daemon = daemon_with("", account);
        let mut esme = daemon.bind(Mode::Transceiver);
        esme.submit(&Sm::with_receipt("12345", "4470", "hello"));
        let receipt = esme.take_delivery();
        let mut rest = receipt.text();
        for (key, len) in [
            ("id:", 16),
            (" sub:", 3),
            (" dlvrd:", 3),
            (" submit date:", digits),
            (" done date:", digits),
            (" stat:", 7),
            (" err:", 3),
        ] {
            rest = rest.strip_prefix(key).unwrap_or_else(|| panic!("no {key} in {receipt:?}"));
            assert!(!rest[..len].contains(' '), "{key} {receipt:?}");
            rest = &rest[len..];
        }
        assert_eq!(rest, " text:hello");
    }
}

#[test]
fn quirk_05_only_standard_words_of_seven_letters_go_downstream() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for (dest, stat) in [("4470", "DELIVRD"), ("4410", "UNDELIV"), ("4420", "REJECTD"), ("4430", "EXPIRED")] {
        esme.submit(&Sm::with_receipt("12345", dest, "hi"));
        let receipt = esme.take_delivery();
        assert!(receipt.text().contains(&format!(" stat:{stat} ")), "{receipt:?}");
        assert_eq!(receipt.esm_class, 0x04);
    }
}

#[test]
fn quirk_06_a_receipts_text_is_ascii_whatever_the_message_was() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for data_coding in [0, 3, 4, 8] {
        esme.submit(&Sm { data_coding, ..Sm::with_receipt("12345", "4470", "hihi") });
        let receipt = esme.take_delivery();
        assert_eq!(receipt.data_coding, 0);
        assert!(receipt.text.iter().all(|octet| (b' '..=b'~').contains(octet)), "{receipt:?}");
    }
}

#[test]
fn quirk_07_registered_delivery_is_read_bit_by_bit() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    // Final receipt and intermediate notification asked for: the final one must not be lost over the other bit.
    for registered_delivery in [0x01, 0x11, 0x05, 0x1D] {
        let id = esme.submit(&Sm { registered_delivery, ..Sm::new("12345", "4470", "hi") });
        let receipt = esme.take_delivery();
        assert_eq!((receipt.receipted_id(), receipt.esm_class), (id, 0x04), "{registered_delivery:#x}");
    }
    for registered_delivery in [0x00, 0x10, 0x02] {
        esme.submit(&Sm { registered_delivery, ..Sm::new("12345", "4470", "hi") });
    }
    daemon.await_stats(&[("/messages/delivered", 7), ("/messages/receipts_sent", 4)]);
    esme.enquire();
}

#[test]
fn quirk_11_any_interface_version_is_accepted() {
    let daemon = daemon();
    for (version, announced) in [
        (0x00, None),
        (0x01, None),
        (0x32, None),
        (0x33, None),
        (0x34, Some(0x34)),
        (0x35, Some(0x34)),
        (0x4F, Some(0x34)),
        (0x50, Some(0x50)),
        (0x51, Some(0x50)),
        (0xFF, Some(0x50)),
    ] {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(Mode::Transceiver, "demo", "demo", version, "");
        assert_eq!(response.status, ESME_ROK, "{version:#x}");
        let mut fields = Fields(&response.body);
        fields.text();
        let expected: Vec<Tlv> =
            announced.map(|octet| (SC_INTERFACE_VERSION, vec![octet])).into_iter().collect();
        assert_eq!(fields.tlvs(), expected, "{version:#x}");
        esme.unbind();
    }
}

#[test]
fn quirk_12_no_pdu_to_a_3_3_peer_has_a_tlv() {
    let daemon = daemon_with("[smpp]\nenquire_link_interval_ms = 200", "");
    let mut esme = RawEsme::connect(daemon.smpp);
    let bound = esme.try_bind(Mode::Transceiver, "demo", "demo", 0x33, "");
    assert_eq!((bound.status, bound.body.as_slice()), (ESME_ROK, &b"smscd\0"[..]));
    let reference = vec![(USER_MESSAGE_REFERENCE, vec![0, 7])];
    // Receipts of every outcome, a message from another ESME with TLVs, one with its text in a TLV, one from a subscriber.
    for dest in ["4470", "4410", "4420", "4430"] {
        esme.submit(&Sm { tlvs: reference.clone(), ..Sm::with_receipt("12345", dest, "hi") });
        assert_eq!(esme.take_delivery().tlvs, [], "{dest}");
    }
    let mut other = daemon.bind(Mode::Transmitter);
    other.submit(&Sm { tlvs: reference, ..Sm::new("999", "12345", "hi") });
    assert_eq!(esme.take_delivery().tlvs, []);
    other.submit(&Sm { tlvs: vec![(0x0424, b"payload".to_vec())], ..Sm::new("999", "12345", "") });
    let sm = esme.take_delivery();
    assert_eq!((sm.text(), sm.tlvs.as_slice()), ("payload", &[][..]));
    daemon.inject_mo("491701", "12345", "hello");
    assert_eq!(esme.take_delivery().tlvs, []);
    // Every other response, right or wrong.
    for id in
        [0x03, SUBMIT_SM, 0x05, 0x07, 0x08, 0x21, 0x103, 0x111, 0x112, 0x113, ENQUIRE_LINK, 0x09, 0x7777]
    {
        let sequence = esme.request(id, &[]);
        let answer = esme.receive();
        assert_eq!((answer.sequence, answer.body.as_slice()), (sequence, &[][..]), "{id:#x}");
    }
    let enquiry = esme.expect(ENQUIRE_LINK, 0);
    assert!(enquiry.body.is_empty());
    esme.respond(&enquiry, ESME_ROK);
}
