//! The parts of concatenated messages: answered one by one, in order to one subscriber, and with one receipt for all where
//! the account asks for that.

use crate::support::esme::*;
use crate::support::{Daemon, Layout};

const CONFIG: &str = concat!(
    include_str!("../support/network.toml"),
    r#"
[[account]]
system_id = "demo"
password = "demo"
receipts_for_parts = "one"
receipt_parts_wait_ms = 3600000

[[account]]
system_id = "each"
password = "x"

[[account]]
system_id = "phone"
password = "x"
addresses = ["777"]
"#
);

/// Part `part` of three, marked in one of the three ways.
fn part(way: usize, dest: &str, part: u8, registered_delivery: u8) -> Sm {
    let udh = |octets: &[u8]| Sm {
        esm_class: 0x40,
        text: [octets, &[b'0' + part]].concat(),
        ..Sm::new("12345", dest, "")
    };
    let sm = match way {
        0 => udh(&[5, 0, 3, 7, 3, part]),
        1 => udh(&[6, 8, 4, 1, 7, 3, part]),
        _ => {
            let tlvs = vec![(0x020C, vec![0, 9]), (0x020E, vec![3]), (0x020F, vec![part])];
            Sm { tlvs, ..Sm::new("12345", dest, &part.to_string()) }
        }
    };
    Sm { registered_delivery, ..sm }
}

/// What a receipt says between `id:` and the dates, and its state.
fn said(receipt: &Sm) -> (String, String, String) {
    let text = receipt.text();
    let counts = text.split_once(" sub:").and_then(|(_, rest)| rest.split_once(" submit")).expect("counts").0;
    let stat = text.split_once(" stat:").and_then(|(_, rest)| rest.split_once(" err")).expect("a state").0;
    (receipt.receipted_id(), counts.to_owned(), stat.to_owned())
}

#[test]
fn one_receipt_for_all_parts_however_they_are_marked() {
    for layout in Layout::WITHOUT_TLS {
        let daemon = Daemon::start(CONFIG, layout);
        let mut esme = daemon.bind(Mode::Transceiver);
        for way in 0..3 {
            // Never is a response held back until the message is whole.
            let ids = [1, 2, 3].map(|n| esme.submit(&part(way, "4470", n, 1)));
            let (id, counts, stat) = said(&esme.take_delivery());
            assert_eq!((counts.as_str(), stat.as_str()), ("003 dlvrd:003", "DELIVRD"), "{layout:?}, {way}");
            assert_eq!(id, ids[0]);
            // Only the last asks: the receipt names it, and is about all.
            let ids = [(1, 0), (2, 0), (3, 1)].map(|(n, asks)| esme.submit(&part(way, "4470", n, asks)));
            let (id, counts, _) = said(&esme.take_delivery());
            assert_eq!((id.as_str(), counts.as_str()), (ids[2].as_str(), "003 dlvrd:003"));
        }
        esme.enquire();
        daemon.await_stats(&[
            ("/messages/delivered", 18),
            ("/messages/receipts_sent", 6),
            ("/messages/receipts_pending", 0),
        ]);
        // Another account has one for each that asks.
        let mut each = RawEsme::bind(daemon.smpp, Mode::Transceiver, "each", "x");
        for (n, asks) in [(1, 1), (2, 0), (3, 1)] {
            let id = each.submit(&part(2, "4470", n, asks));
            if asks == 1 {
                let (told, counts, _) = said(&each.take_delivery());
                assert_eq!((&told, counts.as_str()), (&id, "001 dlvrd:001"));
            }
        }
        each.enquire();
    }
}

#[test]
fn a_part_that_is_cancelled_is_one_that_failed() {
    let daemon = Daemon::start(CONFIG, Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    let delivered = [1, 2].map(|n| esme.submit(&part(1, "4450", n, 1)));
    let later = Sm { schedule: "000000010000000R".to_owned(), ..part(1, "4450", 3, 1) };
    let cancelled = esme.submit(&later);
    daemon.await_stats(&[("/messages/delivered", 2), ("/messages/receipts_pending", 0)]);
    let body = [b"\0", cancelled.as_bytes(), b"\0\x01\x0112345\0\0\0\0"].concat();
    esme.request(0x08, &body);
    esme.expect(0x08 | RESP, ESME_ROK);
    let (id, counts, stat) = said(&esme.take_delivery());
    assert_eq!((id, counts.as_str(), stat.as_str()), (delivered[0].clone(), "003 dlvrd:002", "DELETED"));
    esme.enquire();
}

#[test]
fn the_wait_for_parts_that_never_come_is_bounded() {
    let config = CONFIG.replace("receipt_parts_wait_ms = 3600000", "receipt_parts_wait_ms = 100");
    let daemon = Daemon::start(&config, Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    let id = esme.submit(&part(0, "4470", 2, 1));
    let (told, counts, stat) = said(&esme.take_delivery());
    assert_eq!((told, counts.as_str(), stat.as_str()), (id, "001 dlvrd:001", "DELIVRD"));
    esme.enquire();
}

#[test]
fn a_kill_in_between_loses_no_part() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut daemon = Daemon::start_on(Some(folder.path()), CONFIG, Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut ids: Vec<String> = [1, 2].map(|n| esme.submit(&part(0, "4470", n, 1))).to_vec();
    daemon.await_stats(&[("/messages/delivered", 2)]);
    daemon.kill();
    let daemon = Daemon::start_on(Some(folder.path()), CONFIG, Layout::AUTOMATIC);
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut told: Vec<String> = [0, 1].map(|_| said(&esme.take_delivery()).0).to_vec();
    ids.sort();
    told.sort();
    assert_eq!(told, ids);
    esme.enquire();
}

#[test]
fn parts_reach_one_subscriber_in_their_order() {
    for layout in Layout::WITHOUT_TLS {
        let daemon = Daemon::start(CONFIG, layout);
        let mut phone = RawEsme::bind(daemon.smpp, Mode::Receiver, "phone", "x");
        let mut esme = daemon.bind(Mode::Transmitter);
        // Many messages at once, none waiting for the one before it.
        let mut octets = Vec::new();
        for _ in 0..30 {
            for way in 0..3 {
                for n in 1..=3 {
                    octets.extend(pdu(SUBMIT_SM, 0, esme.sequence(), &part(way, "777", n, 0).encode()));
                }
            }
        }
        esme.send(&octets);
        for message in 0..90 {
            for n in 1..=3 {
                let sm = phone.take_delivery();
                let expected = part(message % 3, "777", n, 0);
                assert_eq!(
                    (sm.text, sm.tlvs),
                    (expected.text, expected.tlvs),
                    "{layout:?}, message {message}"
                );
            }
        }
    }
}
