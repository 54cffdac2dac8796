//! alert_notification: an ESME that has asked for it hears that an absent subscriber is back.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

const SET_DPF: u16 = 0x0421;
const DPF_RESULT: u16 = 0x0420;

on_every_layout! {
    who_asks_in_data_sm_is_told,
    who_asks_in_submit_sm_of_5_0_is_told,
    nobody_else_is_told,
}

/// A data_sm body from 12345 with set_dpf.
fn data_sm(dest: &str, esm_class: u8) -> Vec<u8> {
    let mut body = b"\0\x01\x0112345\0\x01\x01".to_vec();
    body.extend(dest.as_bytes());
    body.extend([0, esm_class, 0, 0]);
    body.extend(b"\x04\x24\0\x02hi\x04\x21\0\x01\x01");
    body
}

/// The alert's body, by hand from the table of 3.4 section 4.12.1.
fn alert(subscriber: &str) -> Vec<u8> {
    [b"\x01\x01", subscriber.as_bytes(), b"\0\x01\x0112345\0\x04\x22\0\x01\0"].concat()
}

fn bind(daemon: &Daemon, version: u8) -> RawEsme {
    let mut esme = RawEsme::connect(daemon.smpp);
    assert_eq!(esme.try_bind(Mode::Transceiver, "demo", "demo", version, "").status, ESME_ROK);
    esme
}

fn who_asks_in_data_sm_is_told(daemon: &Daemon) {
    let mut esme = bind(daemon, 0x34);
    esme.request(DATA_SM, &data_sm("4441", 0));
    esme.expect(DATA_SM | RESP, ESME_ROK);
    assert_eq!(esme.expect(ALERT_NOTIFICATION, 0).body, alert("4441"));
    // Datagram mode: a single attempt, which fails; the alert says when another is worth it.
    esme.request(DATA_SM, &data_sm("4442", 1));
    esme.expect(DATA_SM | RESP, ESME_ROK);
    assert_eq!(esme.expect(ALERT_NOTIFICATION, 0).body, alert("4442"));
    // It has no response; one that comes all the same is ignored.
    esme.send(&pdu(ALERT_NOTIFICATION | RESP, 0, 1, &[]));
    esme.enquire();
    daemon.await_stats(&[
        ("/messages/delivered", 1),
        ("/messages/undeliverable", 1),
        ("/counters/alerts_sent", 2),
        ("/counters/alerts_dropped", 0),
        ("/messages/pending", 0),
    ]);
}

fn who_asks_in_submit_sm_of_5_0_is_told(daemon: &Daemon) {
    let mut esme = bind(daemon, 0x50);
    let sm = Sm { tlvs: vec![(SET_DPF, vec![1])], ..Sm::with_receipt("12345", "4441", "hi") };
    esme.submit(&sm);
    let (mut alerts, mut receipts) = (0, 0);
    for _ in 0..2 {
        let pdu = esme.receive();
        if pdu.id == ALERT_NOTIFICATION {
            assert_eq!(pdu.body, alert("4441"));
            alerts += 1;
        } else {
            let receipt = Sm::decode(&pdu.body);
            assert!(receipt.tlv(DPF_RESULT).is_some(), "{receipt:?}");
            esme.respond(&pdu, ESME_ROK);
            receipts += 1;
        }
    }
    assert_eq!((alerts, receipts), (1, 1));
    // Still away when the validity ends: the receipt says that the flag is set.
    let sm = Sm {
        validity: "000000000001000R".to_owned(),
        tlvs: vec![(SET_DPF, vec![1])],
        ..Sm::with_receipt("12345", "4451", "hi")
    };
    esme.submit(&sm);
    let receipt = esme.take_delivery();
    assert!(receipt.text().contains("stat:EXPIRED"), "{receipt:?}");
    assert_eq!(receipt.tlv(DPF_RESULT), Some([1].as_slice()));
    esme.enquire();
}

fn nobody_else_is_told(daemon: &Daemon) {
    // 3.4 has no set_dpf in submit_sm; 3.3 has no alert_notification.
    let mut esme = bind(daemon, 0x34);
    let sm = Sm { tlvs: vec![(SET_DPF, vec![1])], ..Sm::with_receipt("12345", "4441", "hi") };
    esme.submit(&sm);
    assert_eq!(esme.take_delivery().tlv(DPF_RESULT), None);
    daemon.await_stats(&[("/messages/pending", 0)]);
    esme.enquire();
    esme.unbind();
    let mut old = bind(daemon, 0x33);
    old.request(DATA_SM, &data_sm("4442", 0));
    old.expect(DATA_SM | RESP, ESME_ROK);
    daemon.await_stats(&[
        ("/messages/delivered", 2),
        ("/messages/pending", 0),
        ("/counters/alerts_sent", 0),
        ("/counters/alerts_dropped", 1),
    ]);
    old.enquire();
}
