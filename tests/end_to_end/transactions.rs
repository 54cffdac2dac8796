//! Transaction mode: the response says what came of the message, octet by octet.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

const ESME_RDELIVERYFAILURE: u32 = 0xFE;

on_every_layout! {
    a_failure_is_told_with_its_reason,
    success_is_told_when_it_is_one,
    a_submit_sm_has_the_mode_from_5_0_on,
    another_esme_answers_for_the_message,
    a_window_of_them_settles_and_a_drop_leaves_nothing,
}

/// A data_sm body from 12345 in transaction mode, with `tlvs` behind its text.
fn data_sm(dest: &str, tlvs: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x01\x0112345\0\x01\x01".to_vec();
    body.extend(dest.as_bytes());
    body.extend([0, 0x02, 0, 0]);
    body.extend(b"\x04\x24\0\x02hi");
    body.extend(tlvs);
    body
}

fn submit_sm(dest: &str) -> Sm {
    Sm { esm_class: 0x02, ..Sm::new("12345", dest, "hi") }
}

fn bind(daemon: &Daemon, version: u8) -> RawEsme {
    let mut esme = RawEsme::connect(daemon.smpp);
    assert_eq!(esme.try_bind(Mode::Transceiver, "demo", "demo", version, "").status, ESME_ROK);
    esme
}

/// What follows the message id, which is asked after by HTTP.
fn behind_id<'a>(daemon: &Daemon, response: &'a Pdu, state: &str) -> &'a [u8] {
    let (id, rest) = response.body.split_at(16);
    let id = std::str::from_utf8(id).expect("hex digits");
    let message = daemon.get(&format!("/messages/{id}")).json();
    assert_eq!(message["message_state"], state, "{message}");
    rest
}

fn a_failure_is_told_with_its_reason(daemon: &Daemon) {
    let mut esme = bind(daemon, 0x34);
    // delivery_failure_reason, network_error_code, additional_status_info_text, dpf_result.
    let cases: [(&str, &[u8], &str, &[u8]); 5] = [
        ("4411", b"", "UNDELIVERABLE", b"\0\x04\x25\0\x01\x02\x04\x23\0\x03\x03\0\x0b\0\x1d\0\x13can't be delivered\0"),
        ("4421", b"", "REJECTED", b"\0\x04\x25\0\x01\x02\x04\x23\0\x03\x03\0\x45\0\x1d\0\x09rejected\0"),
        ("4431", b"", "EXPIRED", b"\0\x04\x25\0\x01\x03\0\x1d\0\x08expired\0"),
        ("4451", b"", "UNDELIVERABLE", b"\0\x04\x25\0\x01\x03\x04\x23\0\x03\x03\0\x1b\0\x1d\0\x17can't be delivered now\0"),
        (
            "4451",
            b"\x04\x21\0\x01\x01",
            "UNDELIVERABLE",
            b"\0\x04\x25\0\x01\x03\x04\x23\0\x03\x03\0\x1b\0\x1d\0\x17can't be delivered now\0\x04\x20\0\x01\x01",
        ),
    ];
    for (dest, tlvs, state, expected) in cases {
        let sequence = esme.request(DATA_SM, &data_sm(dest, tlvs));
        let response = esme.expect(DATA_SM | RESP, ESME_RDELIVERYFAILURE);
        assert_eq!(response.sequence, sequence);
        assert_eq!(behind_id(daemon, &response, state), expected, "{dest}");
    }
    daemon.await_stats(&[
        ("/messages/accepted", 5),
        ("/messages/rejected", 0),
        ("/messages/undeliverable", 3),
        ("/messages/expired", 1),
        ("/messages/rejected_by_network", 1),
        ("/messages/pending", 0),
    ]);
    esme.unbind();
}

fn success_is_told_when_it_is_one(daemon: &Daemon) {
    let mut esme = bind(daemon, 0x34);
    esme.request(DATA_SM, &data_sm("4491", b""));
    // 400 ms later: other requests are answered first.
    esme.enquire();
    let response = esme.expect(DATA_SM | RESP, ESME_ROK);
    assert_eq!(behind_id(daemon, &response, "DELIVERED"), b"\0");
    esme.unbind();
}

fn a_submit_sm_has_the_mode_from_5_0_on(daemon: &Daemon) {
    let mut esme = bind(daemon, 0x50);
    esme.request(SUBMIT_SM, &submit_sm("4411").encode());
    let response = esme.expect(SUBMIT_SM | RESP, ESME_RDELIVERYFAILURE);
    let rest = behind_id(daemon, &response, "UNDELIVERABLE");
    assert_eq!(rest, b"\0\x04\x25\0\x01\x02\x04\x23\0\x03\x03\0\x0b\0\x1d\0\x13can't be delivered\0");
    // With a receipt, which comes behind.
    let sm = Sm { registered_delivery: 1, ..submit_sm("4470") };
    let id = esme.submit(&sm);
    assert_eq!(esme.take_delivery().receipted_id(), id);
    // In 3.4 it is data_sm's alone: a submit_sm is answered when it is taken in.
    let mut older = bind(daemon, 0x34);
    let id = older.submit(&submit_sm("4491"));
    assert_eq!(daemon.get(&format!("/messages/{id}")).json()["message_state"], "ENROUTE");
}

fn another_esme_answers_for_the_message(daemon: &Daemon) {
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    let mut esme = bind(daemon, 0x34);
    for (answer, status) in [(ESME_ROK, ESME_ROK), (ESME_RX_T_APPN, ESME_RDELIVERYFAILURE)] {
        esme.request(DATA_SM, &data_sm("777", b""));
        let (delivery, sm) = bank.delivery();
        assert_eq!(sm.esm_class, 0);
        esme.enquire();
        bank.respond(&delivery, answer);
        esme.expect(DATA_SM | RESP, status);
    }
    bank.enquire();
}

fn a_window_of_them_settles_and_a_drop_leaves_nothing(daemon: &Daemon) {
    let mut esme = bind(daemon, 0x34);
    let mut owed: std::collections::BTreeSet<u32> =
        (0..50).map(|n| esme.request(DATA_SM, &data_sm(&format!("449{n}"), b""))).collect();
    while !owed.is_empty() {
        let response = esme.expect(DATA_SM | RESP, ESME_ROK);
        assert!(owed.remove(&response.sequence), "{response:02x?}");
    }
    for n in 0..50 {
        esme.request(DATA_SM, &data_sm(&format!("449{n}"), b""));
    }
    esme.enquire();
    esme.vanish();
    daemon.await_stats(&[
        ("/sessions/bound", 0),
        ("/messages/accepted", 100),
        ("/messages/delivered", 100),
        ("/messages/pending", 0),
    ]);
    bind(daemon, 0x34).unbind();
}
