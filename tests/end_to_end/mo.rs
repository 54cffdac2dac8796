//! Messages towards ESMEs: from subscribers (POST /mo) and from other ESMEs.

use crate::on_every_layout;
use crate::support::esme::*;
use crate::support::{Daemon, http};

on_every_layout! {
    to_the_owner_of_the_address_or_prefix,
    to_an_address_range_of_a_bind,
    held_until_a_receiver_binds,
    spread_over_the_receivers,
    from_one_esme_to_another,
    texts_keep_their_alphabet,
    what_nobody_owns_is_refused,
}

fn to_the_owner_of_the_address_or_prefix(daemon: &Daemon) {
    let mut demo = daemon.bind(Mode::Transceiver);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    for (dest, esme) in [("12345", &mut demo), ("777", &mut bank)] {
        daemon.inject_mo("491701", dest, "hello");
        let sm = esme.take_delivery();
        assert_eq!((sm.source.as_str(), sm.dest.as_str(), sm.text()), ("491701", dest, "hello"));
        assert_eq!((sm.esm_class, sm.registered_delivery, sm.data_coding), (0, 0, 0));
    }
    daemon.inject_mo("491701", "5550099", "by prefix");
    assert_eq!(demo.take_delivery().dest, "5550099");
    daemon.await_stats(&[
        ("/messages/mo_accepted", 3),
        ("/messages/mo_delivered", 3),
        ("/accounts/bank/mo_delivered", 1),
        ("/messages/mo_pending", 0),
    ]);
    demo.enquire();
    bank.enquire();
}

fn to_an_address_range_of_a_bind(daemon: &Daemon) {
    let body = br#"{"source_addr":"491701","destination_addr":"6001234","text":"hi"}"#;
    assert_eq!(http::request(daemon.http, "POST", "/mo", &[], body).status, 404, "nobody's yet");
    let mut esme = RawEsme::connect(daemon.smpp);
    let response = esme.try_bind(Mode::Transceiver, "claimer", "secret", 0x34, "^600");
    assert_eq!(response.status, ESME_ROK);
    esme.enquire();
    daemon.await_stats(&[("/accounts/claimer/sessions", 1)]);
    daemon.inject_mo("491701", "6001234", "hi");
    assert_eq!(esme.take_delivery().dest, "6001234");
}

fn held_until_a_receiver_binds(daemon: &Daemon) {
    let mut tx = daemon.bind(Mode::Transmitter);
    for n in 0..5 {
        daemon.inject_mo(&format!("49170{n}"), "12345", "hello");
    }
    daemon.await_stats(&[("/messages/mo_accepted", 5), ("/messages/mo_pending", 5)]);
    tx.enquire();
    let mut rx = daemon.bind(Mode::Receiver);
    // One destination, so one shard: they come in the order in which they were sent.
    let sources: Vec<String> = (0..5).map(|_| rx.take_delivery().source).collect();
    assert_eq!(sources, ["491700", "491701", "491702", "491703", "491704"]);
    daemon.await_stats(&[("/messages/mo_delivered", 5), ("/messages/mo_pending", 0)]);
    rx.enquire();
}

fn spread_over_the_receivers(daemon: &Daemon) {
    let mut sessions = [0; 2].map(|_| daemon.bind(Mode::Receiver));
    sessions.iter_mut().for_each(RawEsme::enquire);
    for n in 0..10 {
        daemon.inject_mo(&format!("49170{n}"), "12345", "hello");
    }
    daemon.await_stats(&[("/messages/mo_accepted", 10)]);
    for esme in &mut sessions {
        for _ in 0..5 {
            esme.take_delivery();
        }
        esme.enquire();
    }
    daemon.await_stats(&[("/messages/mo_delivered", 10)]);
}

fn from_one_esme_to_another(daemon: &Daemon) {
    let mut demo = daemon.bind(Mode::Transceiver);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    let sm = Sm {
        data_coding: 4,
        text: vec![0, 1, 2, 0xFF],
        tlvs: vec![(USER_MESSAGE_REFERENCE, vec![0, 7]), (0x1400, b"vendor".to_vec())],
        ..Sm::with_receipt("12345", "777", "")
    };
    let id = demo.submit(&sm);
    let (pdu, delivered) = bank.delivery();
    assert_eq!(delivered, Sm { registered_delivery: 0, ..sm }, "unknown TLVs go along");
    bank.respond(&pdu, ESME_ROK);
    let receipt = demo.take_delivery();
    assert_eq!(receipt.receipted_id(), id);
    assert!(receipt.text().contains("stat:DELIVRD"), "{receipt:?}");

    // Refused for good by the other ESME: the sender learns of it.
    let id = demo.submit(&Sm::with_receipt("12345", "777", "hi"));
    let (pdu, _) = bank.delivery();
    bank.respond(&pdu, ESME_RX_P_APPN);
    let receipt = demo.take_delivery();
    assert_eq!(receipt.receipted_id(), id);
    assert!(receipt.text().contains("stat:REJECTD"), "{receipt:?}");
    demo.enquire();
    bank.enquire();
}

fn texts_keep_their_alphabet(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Receiver);
    // The smallest alphabet that has the text: GSM 7-bit (one octet a septet) or UCS-2.
    let cases: [(&str, u8, Vec<u8>); 3] =
        [("plain", 0, b"plain".to_vec()), ("h\u{e9}", 0, vec![b'h', 0x05]), ("\u{17c}", 8, vec![0x01, 0x7C])];
    for (text, data_coding, octets) in cases {
        daemon.inject_mo("491701", "12345", text);
        let sm = esme.take_delivery();
        assert_eq!((sm.data_coding, sm.text), (data_coding, octets), "{text}");
    }
}

fn what_nobody_owns_is_refused(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let body = br#"{"source_addr":"491701","destination_addr":"31337","text":"hi"}"#;
    let response = http::request(daemon.http, "POST", "/mo", &[], body);
    assert_eq!(response.status, 404);
    assert_eq!(response.json()["field"], "destination_addr");
    daemon.await_stats(&[("/messages/mo_accepted", 0)]);
    esme.enquire();
}
