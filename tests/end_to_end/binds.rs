//! Binding: modes, versions, refusals, limits, and PDUs that come glued or split.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

on_every_layout! {
    every_mode_binds_and_may_do_what_it_says,
    versions_are_negotiated,
    wrong_credentials_and_modes_are_refused,
    a_second_bind_is_refused_and_the_first_stays,
    a_dropped_connection_frees_its_place_at_once,
    an_unbind_frees_its_place_at_once,
    the_first_request_may_come_with_the_bind,
    pdus_may_be_split_anywhere,
    requests_before_the_bind_are_refused,
}

fn every_mode_binds_and_may_do_what_it_says(daemon: &Daemon) {
    let mut sessions = Vec::new();
    for mode in Mode::ALL {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(mode, "demo", "demo", 0x34, "");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, ESME_ROK));
        let mut fields = Fields(&response.body);
        assert_eq!(fields.text(), "smscd");
        assert_eq!(fields.tlvs(), [(SC_INTERFACE_VERSION, vec![0x34])]);
        sessions.push(esme);
    }
    daemon.await_stats(&[
        ("/sessions/bound", 3),
        ("/sessions/transmitter", 1),
        ("/sessions/receiver", 1),
        ("/sessions/transceiver", 1),
        ("/accounts/demo/sessions", 3),
    ]);
    let sm = Sm::new("12345", "4470", "hi");
    let mut sessions = sessions.into_iter();
    let (mut tx, mut rx, mut trx) =
        (sessions.next().expect("tx"), sessions.next().expect("rx"), sessions.next().expect("trx"));
    tx.submit(&sm);
    trx.submit(&sm);
    assert_eq!(rx.submit_refused(&sm), ESME_RINVBNDSTS, "a receiver may not submit");
    rx.enquire();
    for esme in [tx, rx, trx] {
        esme.unbind();
    }
    daemon.await_stats(&[
        ("/sessions/bound", 0),
        ("/sessions/transmitter", 0),
        ("/sessions/receiver", 0),
        ("/sessions/transceiver", 0),
        ("/accounts/demo/sessions", 0),
        ("/messages/accepted", 2),
        ("/counters/wrong_state", 1),
    ]);
}

fn versions_are_negotiated(daemon: &Daemon) {
    // (interface_version, TLVs of the response, digits of a message id)
    let cases = [(0x33, None, 8), (0x34, Some(0x34), 16), (0x50, Some(0x50), 16), (0x00, None, 8)];
    for (version, announced, digits) in cases {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(Mode::Transceiver, "demo", "demo", version, "");
        assert_eq!(response.status, ESME_ROK, "{version:#x}");
        let mut fields = Fields(&response.body);
        assert_eq!(fields.text(), "smscd");
        let tlvs: Vec<Tlv> = announced.map(|octet| (SC_INTERFACE_VERSION, vec![octet])).into_iter().collect();
        assert_eq!(fields.tlvs(), tlvs, "{version:#x}");
        let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
        assert_eq!(id.len(), digits, "{version:#x}: {id}");
        assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        let receipt = esme.take_delivery();
        assert_eq!(receipt.receipted_id(), id);
        assert_eq!(receipt.tlvs.is_empty(), version < 0x34, "{version:#x}: {receipt:?}");
        esme.unbind();
    }
}

fn wrong_credentials_and_modes_are_refused(daemon: &Daemon) {
    let cases = [
        ("demo", "wrong", Mode::Transceiver, ESME_RBINDFAIL),
        ("nobody", "demo", Mode::Transceiver, ESME_RBINDFAIL),
        ("closed", "secret", Mode::Transceiver, ESME_RBINDFAIL),
        ("", "", Mode::Transmitter, ESME_RBINDFAIL),
        // bind type not offered: invalid command id (3.4 section 4.1)
        ("sender", "secret", Mode::Receiver, 0x03),
    ];
    for (system_id, password, mode, status) in cases {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(mode, system_id, password, 0x34, "");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, status), "{system_id}");
        assert_eq!(response.body, b"", "a refusal has no body");
        esme.expect_end();
    }
    daemon.await_stats(&[("/counters/binds_refused", cases.len() as u64), ("/sessions/bound", 0)]);
    RawEsme::bind(daemon.smpp, Mode::Transmitter, "sender", "secret").unbind();
}

fn a_second_bind_is_refused_and_the_first_stays(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    for mode in Mode::ALL {
        let response = esme.try_bind(mode, "demo", "demo", 0x34, "");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, ESME_RALYBND));
    }
    esme.submit(&Sm::new("12345", "4470", "hi"));
    daemon.await_stats(&[("/sessions/bound", 1), ("/sessions/transceiver", 1)]);
}

fn a_dropped_connection_frees_its_place_at_once(daemon: &Daemon) {
    for round in 0..20 {
        let mut first = RawEsme::bind(daemon.smpp, Mode::Transceiver, "single", "secret");
        first.enquire();
        let mut second = RawEsme::connect(daemon.smpp);
        let response = second.try_bind(Mode::Transceiver, "single", "secret", 0x34, "");
        assert_eq!(response.status, ESME_RALYBND, "round {round}");
        second.expect_end();
        first.vanish();
        // No wait for a timer: as soon as the daemon has seen the end of the connection.
        daemon.await_stats(&[("/accounts/single/sessions", 0), ("/sessions/bound", 0)]);
    }
    RawEsme::bind(daemon.smpp, Mode::Transceiver, "single", "secret").unbind();
}

fn an_unbind_frees_its_place_at_once(daemon: &Daemon) {
    for _ in 0..20 {
        // Once unbind_resp and the end of the stream are there, so is the place: no waiting, no second try.
        RawEsme::bind(daemon.smpp, Mode::Transceiver, "single", "secret").unbind();
    }
}

fn the_first_request_may_come_with_the_bind(daemon: &Daemon) {
    let mut esme = RawEsme::connect(daemon.smpp);
    let mut octets = pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("demo", "demo", 0x34, ""));
    for sequence in 2..50 {
        octets.extend(pdu(
            SUBMIT_SM,
            0,
            sequence,
            &Sm::new("12345", &format!("4470{sequence}"), "hi").encode(),
        ));
    }
    octets.extend(pdu(ENQUIRE_LINK, 0, 50, &[]));
    esme.send(&octets);
    assert_eq!(esme.expect(BIND_TRANSCEIVER | RESP, ESME_ROK).sequence, 1);
    let mut answered: Vec<u32> = (2..=50)
        .map(|_| esme.receive())
        .inspect(|pdu| assert_eq!(pdu.status, 0))
        .map(|pdu| pdu.sequence)
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (2..=50).collect::<Vec<u32>>(), "each is answered exactly once");
}

fn pdus_may_be_split_anywhere(daemon: &Daemon) {
    let mut octets = pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("demo", "demo", 0x34, ""));
    octets.extend(pdu(SUBMIT_SM, 0, 2, &Sm::new("12345", "4470", "split me").encode()));
    octets.extend(pdu(ENQUIRE_LINK, 0, 3, &[]));
    for at in 1..octets.len() {
        let mut esme = RawEsme::connect(daemon.smpp);
        let (head, tail) = octets.split_at(at);
        esme.send(head);
        if at % 7 == 0 {
            // The daemon has certainly handled the head alone: it has answered on another connection since.
            assert_eq!(daemon.get("/health").status, 200);
        }
        esme.send(tail);
        expect_three(&mut esme);
    }
    let mut esme = RawEsme::connect(daemon.smpp);
    for octet in &octets {
        esme.send(std::slice::from_ref(octet));
    }
    expect_three(&mut esme);
}

/// The answers to a bind, a submit_sm and an enquire_link; the last two in either order.
fn expect_three(esme: &mut RawEsme) {
    assert_eq!(esme.expect(BIND_TRANSCEIVER | RESP, ESME_ROK).sequence, 1);
    let mut answers = [esme.receive(), esme.receive()];
    answers.sort_by_key(|pdu| pdu.sequence);
    assert_eq!(
        answers.each_ref().map(|pdu| (pdu.id, pdu.status, pdu.sequence)),
        [(SUBMIT_SM | RESP, ESME_ROK, 2), (ENQUIRE_LINK | RESP, ESME_ROK, 3)]
    );
}

fn requests_before_the_bind_are_refused(daemon: &Daemon) {
    let mut esme = RawEsme::connect(daemon.smpp);
    // enquire_link is answered before a bind too (reference section 1.4).
    esme.enquire();
    let status = esme.submit_refused(&Sm::new("12345", "4470", "hi"));
    assert_eq!(status, ESME_RINVBNDSTS);
    let sequence = esme.request(UNBIND, &[]);
    assert_eq!(esme.expect(UNBIND | RESP, ESME_RINVBNDSTS).sequence, sequence);
    // Still open: it may bind.
    let response = esme.try_bind(Mode::Transceiver, "demo", "demo", 0x34, "");
    assert_eq!(response.status, ESME_ROK);
    esme.submit(&Sm::new("12345", "4470", "hi"));
}
