//! Killed, with -9, and started again on the same data folder: what was accepted goes on where it was.

use crate::CONFIG;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

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
