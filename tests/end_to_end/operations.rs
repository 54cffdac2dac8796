//! query_sm, cancel_sm and replace_sm, octet by octet: with binds of 3.3, 3.4 and 5.0, over all shards, another account's
//! ids, the wrong state, and over a kill.

use std::time::Instant;

use crate::support::esme::*;
use crate::support::{DEADLINE, Daemon, Layout};
use crate::{CONFIG, on_every_layout};

const SOURCE: &str = "12345";
/// In an hour.
const LATER: &str = "000000010000000R";

on_every_layout!(
    a_query_tells_each_version_what_it_may_know,
    a_cancelled_message_is_deleted,
    a_group_is_cancelled,
    a_replaced_message_goes_out_with_its_new_text,
    a_submit_replaces_what_is_present,
    nobody_learns_of_another_accounts_messages,
    a_receiver_may_not_and_a_short_body_is_refused,
);

fn scheduled(dest: &str) -> Sm {
    Sm { schedule: LATER.to_owned(), ..Sm::with_receipt(SOURCE, dest, "hi") }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

fn address(out: &mut Vec<u8>, addr: &str) {
    out.extend([1, 1]);
    text(out, addr);
}

fn ask(esme: &mut RawEsme, id: u32, body: &[u8]) -> Pdu {
    let sequence = esme.request(id, body);
    let answer = esme.receive();
    assert_eq!((answer.id, answer.sequence), (id | RESP, sequence), "{answer:02x?}");
    assert!(answer.status == ESME_ROK || answer.body.is_empty(), "{answer:02x?}");
    answer
}

fn query(esme: &mut RawEsme, id: &str, source: &str) -> Pdu {
    let mut body = Vec::new();
    text(&mut body, id);
    address(&mut body, source);
    ask(esme, QUERY_SM, &body)
}

/// final_date, message_state and error_code.
fn state(esme: &mut RawEsme, id: &str) -> (String, u8, u8) {
    let answer = query(esme, id, SOURCE);
    assert_eq!(answer.status, ESME_ROK);
    let mut fields = Fields(&answer.body);
    assert_eq!(fields.text(), id);
    let told = (fields.text(), fields.octet(), fields.octet());
    assert!(fields.0.is_empty(), "{answer:02x?}");
    told
}

fn cancel(esme: &mut RawEsme, id: &str, source: &str, dest: &str) -> u32 {
    let mut body = Vec::new();
    text(&mut body, "");
    text(&mut body, id);
    address(&mut body, source);
    address(&mut body, dest);
    let answer = ask(esme, CANCEL_SM, &body);
    assert!(answer.body.is_empty(), "{answer:02x?}");
    answer.status
}

fn replace(esme: &mut RawEsme, id: &str, schedule: &str, new_text: &[u8], payload: Option<&[u8]>) -> u32 {
    let mut body = Vec::new();
    text(&mut body, id);
    address(&mut body, SOURCE);
    text(&mut body, schedule);
    text(&mut body, "");
    body.extend([1, 0, u8::try_from(new_text.len()).expect("short")]);
    body.extend(new_text);
    if let Some(payload) = payload {
        body.extend(MESSAGE_PAYLOAD.to_be_bytes());
        body.extend(u16::try_from(payload.len()).expect("a length").to_be_bytes());
        body.extend(payload);
    }
    let answer = ask(esme, REPLACE_SM, &body);
    assert!(answer.body.is_empty(), "{answer:02x?}");
    answer.status
}

fn bind_as(daemon: &Daemon, version: u8) -> RawEsme {
    let mut esme = RawEsme::connect(daemon.smpp);
    let response = esme.try_bind(Mode::Transceiver, "demo", "demo", version, "");
    assert_eq!(response.status, ESME_ROK);
    esme
}

fn a_query_tells_each_version_what_it_may_know(daemon: &Daemon) {
    for (version, scheduled_state, id_len) in [(0x33, 1, 8), (0x34, 1, 16), (0x50, 0, 16)] {
        let mut esme = bind_as(daemon, version);
        for dest in ["44600", "44601", "44602"] {
            let id = esme.submit(&scheduled(dest));
            assert_eq!(id.len(), id_len);
            assert_eq!(state(&mut esme, &id), (String::new(), scheduled_state, 0));
        }
        let id = esme.submit(&Sm::with_receipt(SOURCE, "441", "undeliverable"));
        esme.take_delivery();
        let (final_date, state, error) = state(&mut esme, &id);
        assert_eq!((final_date.len(), state, error), (16, 5, 11));
        assert!(final_date.ends_with("00+"), "{final_date}");
        for unknown in ["", "0", "00000000", "7FFFFFFFFFFFFFFF", "no such message"] {
            assert_eq!(query(&mut esme, unknown, SOURCE).status, ESME_RINVMSGID, "{unknown}");
        }
        esme.unbind();
    }
}

fn a_cancelled_message_is_deleted(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    for dest in ["44600", "44601", "44602", "777"] {
        let id = esme.submit(&scheduled(dest));
        assert_eq!(cancel(&mut esme, &id, "999", ""), ESME_RINVMSGID);
        assert_eq!(cancel(&mut esme, &id, SOURCE, ""), ESME_ROK);
        let receipt = esme.take_delivery();
        assert_eq!((receipt.receipted_id(), receipt.tlv(MESSAGE_STATE)), (id.clone(), Some(&[4][..])));
        assert_eq!(state(&mut esme, &id).1, 4);
        assert_eq!(cancel(&mut esme, &id, SOURCE, ""), ESME_RCANCELFAIL);
        assert_eq!(replace(&mut esme, &id, "", b"late", None), ESME_RREPLACEFAIL);
    }
    daemon.await_stats(&[("/messages/deleted", 4), ("/messages/pending", 0)]);
}

fn a_group_is_cancelled(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let group: Vec<String> =
        (0..3).map(|_| esme.submit(&Sm { registered_delivery: 0, ..scheduled("44600") })).collect();
    let other = esme.submit(&scheduled("44601"));
    assert_eq!(cancel(&mut esme, "", SOURCE, "44602"), ESME_RCANCELFAIL);
    assert_eq!(cancel(&mut esme, "", "999", "44600"), ESME_RCANCELFAIL);
    assert_eq!(cancel(&mut esme, "", SOURCE, "44600"), ESME_ROK);
    for id in &group {
        assert_eq!(state(&mut esme, id).1, 4);
    }
    assert_eq!(state(&mut esme, &other).1, 1);
    assert_eq!(cancel(&mut esme, "", SOURCE, "44600"), ESME_RCANCELFAIL);
}

fn a_replaced_message_goes_out_with_its_new_text(daemon: &Daemon) {
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    let mut esme = bind_as(daemon, 0x50);
    let id = esme.submit(&scheduled("777"));
    assert_eq!(replace(&mut esme, &id, "", b"another text", None), ESME_ROK);
    let payload = [b'p'; 1_000];
    // An absolute time that is past: now.
    assert_eq!(replace(&mut esme, &id, "240101000000000+", b"", Some(&payload)), ESME_ROK);
    let sm = bank.take_delivery();
    assert_eq!((sm.text.len(), sm.tlv(MESSAGE_PAYLOAD)), (0, Some(&payload[..])));
    let receipt = esme.take_delivery();
    assert_eq!((receipt.receipted_id(), receipt.tlv(MESSAGE_STATE)), (id.clone(), Some(&[2][..])));
    assert_eq!(replace(&mut esme, &id, "", b"late", None), ESME_RREPLACEFAIL);
    assert_eq!(replace(&mut esme, "0123", "", b"text", None), ESME_RINVMSGID);
    esme.enquire();
}

fn a_submit_replaces_what_is_present(daemon: &Daemon) {
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    let mut esme = daemon.bind(Mode::Transmitter);
    let flagged = Sm { replace_if_present: 1, registered_delivery: 0, ..scheduled("777") };
    let first = esme.submit(&flagged);
    let now = Sm { schedule: String::new(), text: b"now".to_vec(), ..flagged };
    assert_eq!(esme.submit(&now), first);
    assert_eq!(bank.take_delivery().text(), "now");
    daemon.await_stats(&[("/messages/pending", 0), ("/messages/delivered", 1), ("/messages/deleted", 1)]);
}

fn nobody_learns_of_another_accounts_messages(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transmitter);
    let pending = esme.submit(&scheduled("44600"));
    let done = esme.submit(&Sm::new(SOURCE, "44601", "hi"));
    daemon.await_stats(&[("/messages/delivered", 1)]);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    for id in [&pending, &done] {
        assert_eq!(query(&mut bank, id, SOURCE).status, ESME_RINVMSGID);
        assert_eq!(cancel(&mut bank, id, SOURCE, ""), ESME_RINVMSGID);
        assert_eq!(replace(&mut bank, id, "", b"theirs", None), ESME_RINVMSGID);
    }
    assert_eq!(cancel(&mut bank, "", SOURCE, "44600"), ESME_RCANCELFAIL);
    daemon.await_stats(&[("/counters/unknown_messages", 6)]);
    assert_eq!((state(&mut esme, &pending).1, state(&mut esme, &done).1), (1, 2));
}

fn a_receiver_may_not_and_a_short_body_is_refused(daemon: &Daemon) {
    let mut receiver = daemon.bind(Mode::Receiver);
    assert_eq!(query(&mut receiver, "0123456789ABCDEF", SOURCE).status, ESME_RINVBNDSTS);
    assert_eq!(cancel(&mut receiver, "0123456789ABCDEF", SOURCE, ""), ESME_RINVBNDSTS);
    assert_eq!(replace(&mut receiver, "0123456789ABCDEF", "", b"", None), ESME_RINVBNDSTS);
    let mut esme = daemon.bind(Mode::Transceiver);
    for id in [QUERY_SM, CANCEL_SM, REPLACE_SM] {
        assert_eq!(ask(&mut esme, id, b"0").status, ESME_RINVCMDLEN);
    }
    esme.enquire();
}

#[test]
fn congestion_state_goes_to_5_0_peers_where_it_is_switched_on() {
    let config = CONFIG.replacen("[smpp]", "[smpp]\ncongestion_state = true", 1);
    let daemon = Daemon::start(&config, Layout::ONE_BY_THREE);
    for (version, tlv) in [(0x33, &b""[..]), (0x34, b""), (0x50, &[0x04, 0x28, 0, 1, 0])] {
        let mut esme = bind_as(&daemon, version);
        let sm = Sm { registered_delivery: 0, ..scheduled("44600") };
        let response = ask(&mut esme, SUBMIT_SM, &sm.encode());
        let mut fields = Fields(&response.body);
        let id = fields.text();
        assert_eq!(fields.0, tlv, "{version:x}");
        let mut body = Vec::new();
        text(&mut body, "");
        text(&mut body, &id);
        address(&mut body, SOURCE);
        address(&mut body, "");
        assert_eq!(ask(&mut esme, CANCEL_SM, &body).body, tlv, "{version:x}");
        assert_eq!(cancel(&mut esme, &id, SOURCE, ""), ESME_RCANCELFAIL);
        esme.unbind();
    }
}

#[test]
fn congestion_state_is_how_full_the_fullest_shard_is() {
    let config = CONFIG.replacen("[smpp]", "[smpp]\ncongestion_state = true", 1).replacen(
        "messages_max = 20000",
        "messages_max = 1000",
        1,
    );
    for (layout, percent) in [(Layout::ONE_BY_ONE, 25), (Layout::TWO_BY_TWO, 50)] {
        let daemon = Daemon::start(&config, layout);
        let mut esme = bind_as(&daemon, 0x50);
        let sm = Sm { registered_delivery: 0, ..scheduled("44600") };
        let octets: Vec<u8> = (1..=250).flat_map(|n| pdu(SUBMIT_SM, 0, n, &sm.encode())).collect();
        esme.send(&octets);
        for _ in 0..250 {
            esme.expect(SUBMIT_SM | RESP, ESME_ROK);
        }
        // A shard says so at the end of its turn.
        let await_state = |esme: &mut RawEsme, expected: u8| {
            let start = Instant::now();
            loop {
                let told = ask(esme, SUBMIT_SM, &Sm { schedule: String::new(), ..sm.clone() }.encode()).body;
                let (_, tlv) = told.split_at(17);
                assert_eq!(tlv[..4], [0x04, 0x28, 0, 1], "{told:02x?}");
                if tlv[4..] == [expected] {
                    return;
                }
                assert!(start.elapsed() < DEADLINE, "{tlv:02x?}");
            }
        };
        await_state(&mut esme, percent);
        let group = [b"\0\0\x01\x01".as_slice(), SOURCE.as_bytes(), b"\0\x01\x0144600\0"].concat();
        assert_eq!(ask(&mut esme, CANCEL_SM, &group).status, ESME_ROK);
        await_state(&mut esme, 0);
    }
}

#[test]
fn a_kill_undoes_neither_a_cancellation_nor_a_replacement() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut daemon = Daemon::start_on(Some(folder.path()), CONFIG, Layout::ONE_BY_THREE);
    let mut esme = daemon.bind(Mode::Transmitter);
    let dests = ["777", "44600", "44601", "44602"];
    let cancelled: Vec<String> =
        dests.iter().map(|dest| esme.submit(&Sm { registered_delivery: 0, ..scheduled(dest) })).collect();
    let with_receipt = esme.submit(&scheduled("44603"));
    let replaced = esme.submit(&scheduled("777"));
    for id in cancelled.iter().chain([&with_receipt]) {
        assert_eq!(cancel(&mut esme, id, SOURCE, ""), ESME_ROK);
    }
    assert_eq!(replace(&mut esme, &replaced, "", b"replaced", None), ESME_ROK);
    daemon.kill();

    // With another number of shards: ids no longer name the shards that have the messages.
    let daemon = Daemon::start_on(Some(folder.path()), CONFIG, Layout::TWO_BY_TWO);
    daemon.await_stats(&[("/messages/pending", 1), ("/messages/receipts_pending", 1)]);
    let mut esme = daemon.bind(Mode::Transceiver);
    let receipt = esme.take_delivery();
    assert_eq!((receipt.receipted_id(), receipt.tlv(MESSAGE_STATE)), (with_receipt, Some(&[4][..])));
    assert_eq!(state(&mut esme, &replaced), (String::new(), 1, 0));
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    assert_eq!(replace(&mut esme, &replaced, "240101000000000+", b"replaced again", None), ESME_ROK);
    assert_eq!(bank.take_delivery().text(), "replaced again");
    assert_eq!(esme.take_delivery().receipted_id(), replaced);
    for id in &cancelled {
        assert_eq!(query(&mut esme, id, SOURCE).status, ESME_RINVMSGID);
    }
    daemon.await_stats(&[("/messages/pending", 0), ("/messages/receipts_pending", 0)]);
}
