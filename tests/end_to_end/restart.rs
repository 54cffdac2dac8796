//! Killed, with -9, and started again on the same data folder: what was accepted goes on where it was.

use crate::CONFIG;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};
use rustix::process::Signal;

const QUERY_SM: u32 = 0x03;
/// Of message_state.
const DELIVERED: u8 = 2;
const UNDELIVERABLE: u8 = 5;

const LAYOUT: Layout = Layout::ONE_BY_THREE;

#[test]
fn it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut daemon = Daemon::start_on(Some(folder.path()), CONFIG, LAYOUT);
    let mut esme = daemon.bind(Mode::Transmitter);
    // Nobody is there to take its receipt, nor an MO message; another is scheduled.
    let delivered = esme.submit(&Sm::with_receipt("12345", "44600", "hi"));
    let scheduled =
        Sm { schedule: "000000010000000R".to_owned(), ..Sm::with_receipt("12345", "44601", "hi") };
    let scheduled = esme.submit(&scheduled);
    daemon.inject_mo("447", "12345", "an MO message");
    daemon.await_stats(&[("/messages/receipts_pending", 1), ("/messages/pending", 1)]);
    let message = |daemon: &Daemon, id: &str| daemon.get(&format!("/messages/{id}")).json();
    let before = message(&daemon, &scheduled);
    daemon.kill();

    let daemon = Daemon::start_on(Some(folder.path()), CONFIG, LAYOUT);
    daemon.await_stats(&[
        ("/messages/receipts_pending", 1),
        ("/messages/mo_pending", 1),
        ("/messages/pending", 1),
        ("/messages/accepted", 0),
    ]);
    let now = message(&daemon, &scheduled);
    for key in ["account", "role", "waits_for", "accepted_unix_ms", "destination_addr", "message_state"] {
        assert_eq!(now[key], before[key], "{key}: {now}");
    }
    for key in ["scheduled_unix_ms", "expires_unix_ms"] {
        let (now_ms, before_ms) = (now[key].as_i64(), before[key].as_i64());
        assert!((now_ms.expect("a time") - before_ms.expect("a time")).abs() < 1_000, "{now} {before}");
    }
    let mut esme = daemon.bind(Mode::Transceiver);
    let (first, second) = (esme.take_delivery(), esme.take_delivery());
    let (receipt, mo) = if first.esm_class == 0x04 { (first, second) } else { (second, first) };
    assert_eq!((receipt.receipted_id(), mo.text()), (delivered, "an MO message"));
    let fresh = esme.submit(&Sm::new("12345", "44602", "hi"));
    assert!(fresh != scheduled && fresh != receipt.receipted_id());
    daemon.await_stats(&[("/messages/receipts_pending", 0), ("/messages/mo_pending", 0)]);
}

/// final_date, message_state and error_code, as query_sm tells them.
fn query(esme: &mut RawEsme, id: &str) -> (String, u8, u8) {
    // The id; ton, npi and address of the source.
    let body = [id.as_bytes(), &[0, 0, 0], b"12345", &[0]].concat();
    esme.request(QUERY_SM, &body);
    let answer = esme.expect(QUERY_SM | RESP, ESME_ROK);
    let mut fields = Fields(&answer.body);
    assert_eq!(fields.text(), id);
    (fields.text(), fields.octet(), fields.octet())
}

/// Nothing is owed for these any more, and still they are known: the journal says what became of them as long as it has not used
/// their segment again, and an orderly stop hands on everything that is remembered.
#[test]
fn what_became_of_a_message_is_known_afterwards() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // On one shard the log has an order: behind an answer all that came before is on disk.
    let start = || Daemon::start_on(Some(folder.path()), CONFIG, Layout::ONE_BY_ONE);
    let mut daemon = start();
    let mut esme = daemon.bind(Mode::Transceiver);
    let plain = |dest: &str| Sm { registered_delivery: 0, ..Sm::new("12345", dest, "hi") };
    let mut known = vec![
        (esme.submit(&plain("44600")), DELIVERED),
        (esme.submit(&plain("44100")), UNDELIVERABLE),
        (esme.submit(&Sm::with_receipt("12345", "44600", "hi")), DELIVERED),
    ];
    assert_eq!(esme.take_delivery().receipted_id(), known[2].0);
    known.push((daemon.inject_mo("447", "12345", "an MO message"), DELIVERED));
    esme.take_delivery();
    daemon.await_stats(&[
        ("/messages/pending", 0),
        ("/messages/receipts_pending", 0),
        ("/messages/mo_pending", 0),
    ]);
    let told = |daemon: &Daemon, esme: &mut RawEsme, (id, state): &(String, u8)| {
        let json = daemon.get(&format!("/messages/{id}")).json();
        let queried = query(esme, id);
        assert_eq!(queried.1, *state, "{json}");
        (json, queried)
    };
    let before: Vec<_> = known.iter().map(|one| told(&daemon, &mut esme, one)).collect();
    for kills in [true, true, false, false, true] {
        // A scheduled one, so that the segment stays in use.
        esme.submit(&Sm { schedule: "000000010000000R".to_owned(), ..plain("44601") });
        end(&mut daemon, esme, kills);
        daemon = start();
        esme = daemon.bind(Mode::Transceiver);
        let now: Vec<_> = known.iter().map(|one| told(&daemon, &mut esme, one)).collect();
        assert_eq!(now, before);
    }
}

/// Ends a run by a kill, or in order.
fn end(daemon: &mut Daemon, esme: RawEsme, kills: bool) {
    if kills {
        daemon.kill();
    } else {
        esme.unbind();
        daemon.signal(Signal::TERM);
        assert!(daemon.wait().success());
    }
}

/// As fast as they can be had, more than the clock would make up for.
#[test]
fn eight_digit_ids_go_on_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut given = std::collections::HashSet::new();
    for kills in [true, false, true, false] {
        let mut daemon = Daemon::start_on(Some(folder.path()), CONFIG, LAYOUT);
        let mut esme = RawEsme::connect(daemon.smpp);
        esme.request(Mode::Transmitter.command_id(), &bind_body("demo", "demo", 0x33, ""));
        esme.expect(Mode::Transmitter.command_id() | RESP, ESME_ROK);
        for number in 0..300 {
            let id = esme.submit(&Sm::new("12345", &format!("44600{number}"), "hi"));
            assert!(id.len() == 8 && given.insert(id), "given twice");
        }
        end(&mut daemon, esme, kills);
    }
}
