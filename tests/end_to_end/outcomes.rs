//! What the simulated network makes of a message, as the receipts tell it.

use super::receipts::check_text;
use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

on_every_layout! {
    final_failures,
    absent_for_a_while,
    absent_until_the_validity_ends,
    the_counts_add_up,
}

fn final_failures(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    // (destination, stat, message_state, network error)
    let cases: [(&str, &str, u8, Option<u16>); 3] =
        [("4411", "UNDELIV", 5, Some(11)), ("4421", "REJECTD", 8, Some(69)), ("4431", "EXPIRED", 3, None)];
    for (dest, stat, state, error) in cases {
        let id = esme.submit(&Sm::with_receipt("12345", dest, "hi"));
        let receipt = esme.take_delivery();
        check_text(&receipt, &id, stat, "000", &format!("{:03}", error.unwrap_or(0)), "hi");
        assert_eq!(receipt.esm_class, 0x04);
        assert_eq!(receipt.tlv(MESSAGE_STATE), Some([state].as_slice()), "{dest}");
        let code = error.map(|error| {
            let [high, low] = error.to_be_bytes();
            vec![3, high, low]
        });
        assert_eq!(receipt.tlv(NETWORK_ERROR_CODE), code.as_deref(), "{dest}");
        let message = daemon.get(&format!("/messages/{id}")).json();
        assert_eq!(message["error_code"], error.unwrap_or(0), "{message}");
    }
    daemon.await_stats(&[
        ("/messages/undeliverable", 1),
        ("/messages/rejected_by_network", 1),
        ("/messages/expired", 1),
        ("/messages/delivered", 0),
        ("/messages/rejected", 0),
        ("/messages/pending", 0),
    ]);
    assert_eq!(daemon.stats()["accounts"]["demo"]["success_ratio"], 0.0);
}

fn absent_for_a_while(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    // With the bit for intermediate notifications: one, then the receipt.
    let id = esme.submit(&Sm { registered_delivery: 0x11, ..Sm::new("12345", "4441", "hi") });
    let notification = esme.take_delivery();
    assert_eq!(notification.esm_class, 0x20);
    assert_eq!(notification.receipted_id(), id);
    assert_eq!(notification.tlv(RECEIPTED_MESSAGE_ID), Some([id.as_bytes(), b"\0"].concat().as_slice()));
    assert_eq!(notification.tlv(MESSAGE_STATE), Some([1].as_slice()), "ENROUTE");
    assert!(notification.text().contains(" stat:ENROUTE err:027 "), "{notification:?}");
    let receipt = esme.take_delivery();
    check_text(&receipt, &id, "DELIVRD", "001", "000", "hi");
    assert_eq!((receipt.esm_class, receipt.tlv(MESSAGE_STATE)), (0x04, Some([2].as_slice())));

    // Without it: the receipt alone. And the notification alone, if no receipt is asked for.
    let id = esme.submit(&Sm::with_receipt("12345", "4442", "hi"));
    check_text(&esme.take_delivery(), &id, "DELIVRD", "001", "000", "hi");
    let id = esme.submit(&Sm { registered_delivery: 0x10, ..Sm::new("12345", "4443", "hi") });
    let notification = esme.take_delivery();
    assert_eq!((notification.esm_class, notification.receipted_id()), (0x20, id));
    daemon.await_stats(&[
        ("/messages/delivered", 3),
        ("/messages/pending", 0),
        ("/messages/receipts_pending", 0),
    ]);
    assert!(daemon.stat("/counters/delivery_retries") >= 3);
    esme.enquire();
}

fn absent_until_the_validity_ends(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    // Relative: one second.
    let sm = Sm { validity: "000000000001000R".to_owned(), ..Sm::with_receipt("12345", "4451", "hi") };
    let id = esme.submit(&sm);
    let message = daemon.get(&format!("/messages/{id}")).json();
    assert_eq!(message["message_state"], "ENROUTE", "{message}");
    let receipt = esme.take_delivery();
    check_text(&receipt, &id, "EXPIRED", "000", "027", "hi");
    assert_eq!(receipt.tlv(MESSAGE_STATE), Some([3].as_slice()));
    daemon.await_stats(&[("/messages/expired", 1), ("/messages/pending", 0)]);
}

fn the_counts_add_up(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut ids = Vec::new();
    for n in 0..50 {
        for prefix in ["440", "441", "442", "443", "444"] {
            ids.push(
                esme.request(SUBMIT_SM, &Sm::with_receipt("12345", &format!("{prefix}{n}"), "x").encode()),
            );
        }
    }
    let (mut responses, mut receipts) = (0, 0);
    while receipts < ids.len() {
        let pdu = esme.receive();
        if pdu.id == DELIVER_SM {
            receipts += 1;
            esme.respond(&pdu, ESME_ROK);
        } else {
            assert_eq!((pdu.id, pdu.status), (SUBMIT_SM | RESP, ESME_ROK));
            responses += 1;
        }
    }
    assert_eq!(responses, ids.len());
    daemon.await_stats(&[
        ("/messages/submitted", 250),
        ("/messages/accepted", 250),
        ("/messages/delivered", 100),
        ("/messages/undeliverable", 50),
        ("/messages/rejected_by_network", 50),
        ("/messages/expired", 50),
        ("/messages/pending", 0),
        ("/messages/receipts_sent", 250),
        ("/messages/receipts_pending", 0),
        ("/latency/submit_resp/count", 250),
        ("/latency/deliver_resp/count", 250),
        ("/latency/end_to_end/count", 250),
        ("/latency/receipt/count", 250),
    ]);
    esme.enquire();
}
