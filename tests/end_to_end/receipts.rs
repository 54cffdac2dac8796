//! Receipts: their text field by field, their TLVs, when they are sent, to whom, and never before the response.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

on_every_layout! {
    all_eight_fields_and_the_tlvs,
    registered_delivery_decides,
    never_before_the_response,
    to_the_receiver_of_a_split_pair,
    to_the_session_that_submitted_while_it_is_there,
    held_until_a_receiver_binds,
    in_flight_at_a_drop_go_to_another_bind,
    refused_for_now_come_again_and_for_good_do_not,
}

fn all_eight_fields_and_the_tlvs(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let before = unix_minute();
    let sm = Sm {
        service_type: "CMT".to_owned(),
        tlvs: vec![(USER_MESSAGE_REFERENCE, vec![0x12, 0x34])],
        ..Sm::with_receipt("12345", "447012", "The quick brown fox jumps over the lazy dog")
    };
    let id = esme.submit(&sm);
    let receipt = esme.take_delivery();
    let minutes = before..=unix_minute();

    let (submit_date, done_date) = check_text(&receipt, &id, "DELIVRD", "001", "000", "The quick brown fox ");
    for date in [submit_date, done_date] {
        assert!(minutes.clone().any(|minute| date == utc_date(minute)), "{date}");
    }
    assert_eq!(receipt.tlv(RECEIPTED_MESSAGE_ID), Some([id.as_bytes(), b"\0"].concat().as_slice()));
    assert_eq!(receipt.tlv(MESSAGE_STATE), Some([2].as_slice()));
    assert_eq!(receipt.tlv(NETWORK_ERROR_CODE), None, "there was none");
    assert_eq!(receipt.tlv(USER_MESSAGE_REFERENCE), Some([0x12, 0x34].as_slice()));
    // Addresses change places, with their TON and NPI; everything else is as the specification has it for a receipt.
    let expected = Sm {
        service_type: "CMT".to_owned(),
        source: "447012".to_owned(),
        dest: "12345".to_owned(),
        esm_class: 0x04,
        text: receipt.text.clone(),
        tlvs: receipt.tlvs.clone(),
        ..Sm::new("", "", "")
    };
    assert_eq!(receipt, expected);
    daemon.await_stats(&[
        ("/messages/accepted", 1),
        ("/messages/delivered", 1),
        ("/messages/receipts_sent", 1),
        ("/messages/receipts_pending", 0),
        ("/messages/pending", 0),
    ]);
}

/// Takes a receipt's text apart strictly; the two dates.
pub(crate) fn check_text<'a>(
    receipt: &'a Sm,
    id: &str,
    stat: &str,
    dlvrd: &str,
    err: &str,
    text: &str,
) -> (&'a str, &'a str) {
    let all = receipt.text();
    let front = format!("id:{id} sub:001 dlvrd:{dlvrd} submit date:");
    let rest = all.strip_prefix(&front).unwrap_or_else(|| panic!("{all:?} does not start with {front:?}"));
    let (submit_date, rest) = rest.split_at(10);
    let rest = rest.strip_prefix(" done date:").unwrap_or_else(|| panic!("{all:?}"));
    let (done_date, rest) = rest.split_at(10);
    assert_eq!(rest, format!(" stat:{stat} err:{err} text:{text}"));
    (submit_date, done_date)
}

fn unix_minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 60
}

/// YYMMDDhhmm of a minute since 1970, by walking the calendar.
fn utc_date(minute: u64) -> String {
    let (mut days, minute) = (minute / 1440, minute % 1440);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{:02}{:02}{:02}{:02}{:02}", year % 100, month + 1, days + 1, minute / 60, minute % 60)
}

fn registered_delivery_decides(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    // (registered_delivery, receipt on success, receipt on failure)
    let cases = [(0x00, false, false), (0x01, true, true), (0x02, false, true)];
    let (mut messages, mut receipts) = (0, 0);
    for (registered_delivery, on_success, on_failure) in cases {
        for (dest, stat, wanted) in [("4470", "DELIVRD", on_success), ("4410", "UNDELIV", on_failure)] {
            let id = esme.submit(&Sm { registered_delivery, ..Sm::new("12345", dest, "hi") });
            messages += 1;
            if wanted {
                receipts += 1;
                let receipt = esme.take_delivery();
                assert_eq!(receipt.receipted_id(), id, "{registered_delivery:#x} {stat}");
                assert!(receipt.text().contains(stat), "{receipt:?}");
            }
            let final_states = daemon.stat("/messages/delivered") + daemon.stat("/messages/undeliverable");
            assert!(final_states <= messages);
        }
    }
    daemon.await_stats(&[
        ("/messages/delivered", 3),
        ("/messages/undeliverable", 3),
        ("/messages/pending", 0),
        ("/messages/receipts_sent", receipts),
        ("/messages/receipts_pending", 0),
    ]);
    // Every message is final, no receipt is owed, and the socket has nothing more.
    esme.enquire();
}

fn never_before_the_response(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut octets = Vec::new();
    let sequences: Vec<u32> = (0..500).map(|_| esme.sequence()).collect();
    for sequence in &sequences {
        let sm = Sm::with_receipt("12345", &format!("4470{sequence}"), "hi");
        octets.extend(pdu(SUBMIT_SM, 0, *sequence, &sm.encode()));
    }
    esme.send(&octets);
    let mut ids = std::collections::HashSet::new();
    let mut receipted = std::collections::HashSet::new();
    while receipted.len() < sequences.len() {
        let pdu = esme.receive();
        if pdu.id == SUBMIT_SM | RESP {
            assert_eq!(pdu.status, ESME_ROK);
            assert!(ids.insert(message_id(&pdu)), "an id twice");
            continue;
        }
        assert_eq!(pdu.id, DELIVER_SM);
        let id = Sm::decode(&pdu.body).receipted_id();
        assert!(ids.contains(&id), "the receipt of {id} came before its response");
        assert!(receipted.insert(id), "a receipt twice");
        esme.respond(&pdu, ESME_ROK);
    }
    assert_eq!(ids.len(), sequences.len());
    esme.enquire();
}

fn to_the_receiver_of_a_split_pair(daemon: &Daemon) {
    let mut rx = daemon.bind(Mode::Receiver);
    let mut tx = daemon.bind(Mode::Transmitter);
    for n in 0..20 {
        let id = tx.submit(&Sm::with_receipt("12345", &format!("4470{n}"), "hi"));
        assert_eq!(rx.take_delivery().receipted_id(), id);
    }
    tx.enquire();
    rx.enquire();
}

fn to_the_session_that_submitted_while_it_is_there(daemon: &Daemon) {
    let mut sessions = [0; 4].map(|_| daemon.bind(Mode::Transceiver));
    for n in 0..40 {
        let esme = &mut sessions[n % 4];
        let id = esme.submit(&Sm::with_receipt("12345", &format!("4470{n}"), "hi"));
        assert_eq!(esme.take_delivery().receipted_id(), id);
    }
    sessions.iter_mut().for_each(RawEsme::enquire);
}

fn held_until_a_receiver_binds(daemon: &Daemon) {
    let mut tx = daemon.bind(Mode::Transmitter);
    let mut ids: Vec<String> =
        (0..10).map(|n| tx.submit(&Sm::with_receipt("12345", &format!("4470{n}"), "hi"))).collect();
    daemon.await_stats(&[
        ("/messages/delivered", 10),
        ("/messages/receipts_sent", 0),
        ("/messages/receipts_pending", 10),
    ]);
    tx.unbind();
    // Another account's receiver gets none of them.
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    bank.enquire();
    let mut rx = daemon.bind(Mode::Receiver);
    let mut receipted: Vec<String> = (0..10).map(|_| rx.take_delivery().receipted_id()).collect();
    ids.sort();
    receipted.sort();
    assert_eq!(receipted, ids);
    daemon.await_stats(&[("/messages/receipts_sent", 10), ("/messages/receipts_pending", 0)]);
    bank.enquire();
}

fn in_flight_at_a_drop_go_to_another_bind(daemon: &Daemon) {
    let mut first = daemon.bind(Mode::Transceiver);
    for n in 0..10 {
        first.request(SUBMIT_SM, &Sm::with_receipt("12345", &format!("4470{n}"), "hi").encode());
    }
    // A receipt may come before another's response.
    let (in_flight, responses): (Vec<Pdu>, Vec<Pdu>) =
        (0..20).map(|_| first.receive()).partition(|pdu| pdu.id == DELIVER_SM);
    let mut ids: Vec<String> = responses.iter().map(message_id).collect();
    assert_eq!((ids.len(), in_flight.len()), (10, 10));
    // Three are answered, and the daemon has read that.
    for pdu in &in_flight[..3] {
        first.respond(pdu, ESME_ROK);
    }
    daemon.await_stats(&[("/messages/receipts_sent", 3), ("/messages/receipts_pending", 7)]);
    let mut second = daemon.bind(Mode::Transceiver);
    second.enquire();
    first.vanish();
    let mut again: Vec<String> = (0..7).map(|_| second.take_delivery().receipted_id()).collect();
    for pdu in &in_flight[..3] {
        let answered = Sm::decode(&pdu.body).receipted_id();
        assert!(!again.contains(&answered), "{answered} was answered");
        ids.retain(|id| *id != answered);
    }
    ids.sort();
    again.sort();
    assert_eq!(again, ids);
    daemon.await_stats(&[("/messages/receipts_sent", 10), ("/messages/receipts_pending", 0)]);
    second.enquire();
}

fn refused_for_now_come_again_and_for_good_do_not(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    for _ in 0..3 {
        let (pdu, receipt) = esme.delivery();
        assert_eq!(receipt.receipted_id(), id);
        esme.respond(&pdu, ESME_RX_T_APPN);
    }
    assert_eq!(esme.take_delivery().receipted_id(), id);
    daemon.await_stats(&[("/messages/receipts_sent", 1), ("/counters/delivery_retries", 3)]);

    esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    let (pdu, _) = esme.delivery();
    esme.respond(&pdu, ESME_RX_P_APPN);
    daemon.await_stats(&[("/messages/receipts_failed", 1), ("/messages/receipts_pending", 0)]);
    esme.enquire();
}
