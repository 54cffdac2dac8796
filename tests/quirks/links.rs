//! Binds, timers, the other direction, the end of a session (quirks 9, 10, 13 to 18, 28 to 30, 33 to 35, 37).

use super::support::esme::*;
use super::{daemon, daemon_with};

#[test]
fn quirk_09_any_body_of_a_deliver_sm_resp_is_taken() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    for body in [&b""[..], b"\0", b"0123456789ABCDEF\0", b"no NUL"] {
        esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
        let (delivery, _) = esme.delivery();
        esme.send(&pdu(DELIVER_SM | RESP, 0, delivery.sequence, body));
    }
    daemon.await_stats(&[("/messages/receipts_sent", 4), ("/messages/receipts_pending", 0)]);
    esme.enquire();
}

#[test]
fn quirk_10_requests_may_come_glued_to_the_bind() {
    let daemon = daemon();
    let mut esme = RawEsme::connect(daemon.smpp);
    let mut octets = pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("demo", "demo", 0x34, ""));
    for sequence in 2..10 {
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &Sm::new("12345", "4470", "hi").encode()));
    }
    esme.send(&octets);
    assert_eq!(esme.expect(BIND_TRANSCEIVER | RESP, ESME_ROK).sequence, 1);
    for sequence in 2..10 {
        assert_eq!(esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence, sequence);
    }
}

#[test]
fn quirk_13_long_passwords_and_any_system_type_bind() {
    let long = "a password of 40 characters, as some use";
    let account = format!("[[account]]\nsystem_id = \"long\"\npassword = \"{long}\"");
    let daemon = daemon_with("", &account);
    let mut esme = RawEsme::connect(daemon.smpp);
    // `bind_body` has the system_type "test".
    assert_eq!(esme.try_bind(Mode::Transceiver, "long", long, 0x34, "").status, ESME_ROK);
}

#[test]
fn quirk_14_an_address_range_that_is_no_pattern_is_no_reason_to_refuse() {
    let daemon = daemon_with("", "claims_by_address_range = true");
    for range in ["", "*", "((((", "[0-9", "^44[0-9]*$"] {
        let mut esme = RawEsme::connect(daemon.smpp);
        assert_eq!(esme.try_bind(Mode::Receiver, "demo", "demo", 0x34, range).status, ESME_ROK, "{range}");
        esme.enquire();
    }
    assert!(daemon.stat("/counters/bad_address_ranges") >= 3);
}

#[test]
fn quirk_15_a_wrong_password_and_an_unknown_system_id_look_the_same() {
    let daemon = daemon();
    let [wrong, unknown] = [("demo", "wrong"), ("nobody", "demo")].map(|(system_id, password)| {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(Mode::Transceiver, system_id, password, 0x34, "");
        esme.expect_end();
        (response.status, response.body)
    });
    assert_eq!(wrong, (ESME_RBINDFAIL, vec![]));
    assert_eq!(wrong, unknown);
}

#[test]
fn quirk_16_each_bind_gets_the_response_of_its_own_kind() {
    let daemon = daemon();
    for mode in Mode::ALL {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(mode, "demo", "demo", 0x34, "");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, ESME_ROK));
    }
}

#[test]
fn quirk_17_enquire_link_before_the_bind_is_answered_and_buys_no_time() {
    let daemon = daemon_with("[smpp]\nsession_init_timeout_ms = 300", "");
    let mut esme = RawEsme::connect(daemon.smpp);
    // Within what an unbound peer may send in all.
    for number in 0..10 {
        esme.send(&pdu(ENQUIRE_LINK, 0, number, &[]));
        let answer = esme.receive();
        assert_eq!((answer.id, answer.sequence), (ENQUIRE_LINK | RESP, number));
    }
    esme.expect_end();
    daemon.await_stats(&[("/counters/session_init_timeouts", 1)]);
}

#[test]
fn quirk_18_a_client_that_only_answers_enquire_link_stays() {
    let daemon = daemon_with("[smpp]\nenquire_link_interval_ms = 100\ninactivity_timeout_ms = 1000", "");
    let mut esme = daemon.bind(Mode::Transceiver);
    // Twice the inactivity timeout and more.
    for _ in 0..25 {
        let enquiry = esme.expect(ENQUIRE_LINK, 0);
        esme.respond(&enquiry, ESME_ROK);
    }
    esme.submit(&Sm::new("12345", "4470", "still here"));
}

#[test]
fn quirk_28_a_submission_repeated_after_a_lost_response_is_taken_once() {
    let daemon = daemon_with("", "duplicate_window_ms = 60000");
    let body = Sm::new("12345", "4470", "hi").encode();
    let ids = [0; 3].map(|_| {
        let mut esme = daemon.bind(Mode::Transceiver);
        esme.send(&pdu(SUBMIT_SM, 0, 4711, &body));
        let id = message_id(&esme.expect(SUBMIT_SM | RESP, ESME_ROK));
        esme.vanish();
        id
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    daemon.await_stats(&[("/messages/delivered", 1)]);
}

#[test]
fn quirk_29_over_its_rate_an_account_is_throttled_and_may_go_on() {
    let daemon = daemon_with("", "rate_per_s = 1\nburst = 3");
    let mut esme = daemon.bind(Mode::Transceiver);
    let sm = Sm::new("12345", "4470", "hi");
    for _ in 0..3 {
        esme.submit(&sm);
    }
    assert_eq!(esme.submit_refused(&sm), ESME_RTHROTTLED);
    esme.enquire();
}

#[test]
fn quirk_30_temporary_refusals_are_retried_and_permanent_ones_are_not() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    daemon.inject_mo("491701", "12345", "hello");
    for status in [ESME_RX_T_APPN, 0x08, 0x45] {
        let (delivery, sm) = esme.delivery();
        assert_eq!(sm.text(), "hello");
        esme.respond(&delivery, status);
    }
    esme.take_delivery();
    for status in [ESME_RX_P_APPN, 0x66] {
        daemon.inject_mo("491701", "12345", "unwanted");
        let (delivery, _) = esme.delivery();
        esme.respond(&delivery, status);
    }
    daemon.await_stats(&[("/messages/mo_delivered", 1), ("/messages/mo_failed", 2)]);
    esme.enquire();
}

#[test]
fn quirk_33_responses_and_unbind_resp_drain_before_the_end() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transmitter);
    let mut octets = Vec::new();
    for sequence in 1..=500 {
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &Sm::new("12345", "4470", "hi").encode()));
    }
    octets.extend(pdu(UNBIND, 0, 501, &[]));
    esme.send(&octets);
    for _ in 1..=500 {
        esme.expect(SUBMIT_SM | RESP, ESME_ROK);
    }
    assert_eq!(esme.expect(UNBIND | RESP, ESME_ROK).sequence, 501);
    esme.expect_end();
}

#[test]
fn quirk_34_receipts_go_to_any_receiver_of_the_account() {
    let daemon = daemon();
    let mut receiver = daemon.bind(Mode::Receiver);
    let mut transmitter = daemon.bind(Mode::Transmitter);
    let id = transmitter.submit(&Sm::with_receipt("12345", "4470", "hi"));
    assert_eq!(receiver.take_delivery().receipted_id(), id);
    transmitter.enquire();
}

#[test]
fn quirk_35_a_vendors_status_is_a_refusal_like_others() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    for status in [0x401, 0x412, 0x4FF, 0xFFFF_FFFF] {
        let (delivery, receipt) = esme.delivery();
        assert_eq!(receipt.receipted_id(), id);
        esme.respond(&delivery, status);
    }
    assert_eq!(esme.take_delivery().receipted_id(), id);
    esme.enquire();
}

#[test]
fn quirk_37_what_has_no_response_gets_none() {
    let daemon = daemon();
    let mut esme = daemon.bind(Mode::Transceiver);
    esme.request(0x102, &[1, 1, 0, 1, 1, 0]);
    esme.request(0x0B, b"smsc\0secret\0");
    // The next PDU is the answer to this.
    esme.enquire();
}
