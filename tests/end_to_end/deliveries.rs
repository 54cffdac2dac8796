//! Accepting and refusing submissions: each is answered once, with its own number; and messages by id over HTTP.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

on_every_layout! {
    every_submission_is_answered_once_with_its_number,
    refused_submissions_never_get_a_receipt,
    several_sessions_at_once,
    a_message_is_found_by_its_id,
    long_texts_come_as_payload,
}

fn every_submission_is_answered_once_with_its_number(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    // Numbers in any order, also ones that the specification reserves: each is echoed.
    let numbers = [7, 3, 0x7FFF_FFFF, 1, 0, 0x8000_0000, 0xFFFF_FFFF, 3];
    for number in numbers {
        let sm = Sm::new("12345", &format!("4470{number}"), "hi");
        esme.send(&pdu(SUBMIT_SM, 0, number, &sm.encode()));
    }
    let mut answered: Vec<u32> =
        numbers.iter().map(|_| esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence).collect();
    answered.sort_unstable();
    let mut expected = numbers;
    expected.sort_unstable();
    assert_eq!(answered, expected);
    esme.enquire();
    daemon.await_stats(&[("/messages/accepted", 8), ("/messages/submitted", 8), ("/messages/pending", 0)]);
}

fn refused_submissions_never_get_a_receipt(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let good = Sm::with_receipt("12345", "4470", "hi");
    // (what is wrong, status)
    let cases = [
        (Sm { dest: String::new(), ..good.clone() }, 0x0B),
        (Sm { priority: 9, ..good.clone() }, 0x06),
        (Sm { replace_if_present: 2, ..good.clone() }, 0x54),
        (Sm { schedule: "261332400000000+".to_owned(), ..good.clone() }, 0x61),
        (Sm { validity: "yesterday".to_owned(), ..good.clone() }, 0x62),
    ];
    for (sm, status) in &cases {
        assert_eq!(esme.submit_refused(sm), *status, "{sm:?}");
    }
    let id = esme.submit(&good);
    assert_eq!(esme.take_delivery().receipted_id(), id);
    daemon.await_stats(&[
        ("/messages/submitted", cases.len() as u64 + 1),
        ("/messages/rejected", cases.len() as u64),
        ("/messages/accepted", 1),
        ("/messages/receipts_sent", 1),
        ("/messages/receipts_pending", 0),
        ("/messages/pending", 0),
    ]);
    esme.enquire();
}

fn several_sessions_at_once(daemon: &Daemon) {
    let mut sessions: Vec<RawEsme> = (0..8).map(|_| daemon.bind(Mode::Transceiver)).collect();
    let sequences: Vec<u32> = (100..150).collect();
    for (index, esme) in sessions.iter_mut().enumerate() {
        let mut octets = Vec::new();
        for sequence in &sequences {
            let sm = Sm::with_receipt("12345", &format!("44{index}{sequence}0"), &format!("session {index}"));
            let dest = Sm { dest: format!("470{index}{sequence}"), ..sm };
            octets.extend(pdu(SUBMIT_SM, 0, *sequence, &dest.encode()));
        }
        esme.send(&octets);
    }
    for (index, esme) in sessions.iter_mut().enumerate() {
        let mut answered = Vec::new();
        let mut receipts = 0;
        while receipts < sequences.len() {
            let pdu = esme.receive();
            if pdu.id == DELIVER_SM {
                let receipt = Sm::decode(&pdu.body);
                assert!(receipt.text().ends_with(&format!("text:session {index}")), "{receipt:?}");
                esme.respond(&pdu, ESME_ROK);
                receipts += 1;
            } else {
                answered.push(pdu.sequence);
            }
        }
        answered.sort_unstable();
        assert_eq!(answered, sequences);
        esme.enquire();
    }
    daemon.await_stats(&[("/messages/accepted", 400), ("/messages/receipts_sent", 400)]);
}

fn a_message_is_found_by_its_id(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transmitter);
    let waiting = esme.submit(&Sm::new("12345", "4451", "hi"));
    let message = daemon.get(&format!("/messages/{waiting}")).json();
    assert_eq!(message["message_id"], waiting.as_str());
    assert_eq!(message["message_state"], "ENROUTE");
    assert_eq!(message["account"], "demo");
    assert_eq!((&message["source_addr"], &message["destination_addr"]), (&"12345".into(), &"4451".into()));
    assert!(message["accepted_unix_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000), "{message}");
    assert!(message["final_unix_ms"].is_null());

    let done = esme.submit(&Sm::new("12345", "4470", "hi"));
    daemon.await_stats(&[("/messages/delivered", 1)]);
    let message = daemon.get(&format!("/messages/{done}")).json();
    assert_eq!(message["message_state"], "DELIVERED");
    assert!(message["final_unix_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000), "{message}");
    assert_eq!(daemon.get("/messages/0123456789ABCDEF").status, 404);
    assert_eq!(daemon.get("/messages/nonsense").status, 400);
}

fn long_texts_come_as_payload(daemon: &Daemon) {
    let mut demo = daemon.bind(Mode::Transceiver);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    for len in [255, 1_000, 30_000, 60_000] {
        let payload: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let sm = Sm { tlvs: vec![(0x0424, payload)], data_coding: 4, ..Sm::new("12345", "777", "") };
        demo.submit(&sm);
        assert_eq!(bank.take_delivery(), sm, "{len}");
    }
}
