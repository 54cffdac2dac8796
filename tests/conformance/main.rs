//! The conformance page, docs/conformance.md: what the running daemon answers to each operation in each state and
//! interface_version, asked with octets that owe nothing to this crate's codec. The page that the run gives must be the
//! one that is checked in. The same conversations, as a capture file, are for decoders written elsewhere (`decode`).

#[path = "../support/mod.rs"]
mod support;

mod capture;
mod operations;
mod page;
mod sequences;
mod talk;

use operations::OPERATIONS;
use page::{Outcome, Page};
use support::esme::*;
use support::{Daemon, Layout};
use talk::Talk;

/// Set to anything, the page is written instead of compared.
const WRITE: &str = "SMSCD_WRITE_CONFORMANCE";
/// Names the capture file to write.
const CAPTURE: &str = "SMSCD_CAPTURE";
/// The interface_version bytes asked with: 3.3, 3.4 and 5.0.
const VERSIONS: [u8; 3] = [0x33, 0x34, 0x50];

#[test]
fn the_page_says_what_the_daemon_does() {
    let daemon = Daemon::start("", Layout::ONE_BY_ONE);
    let mut talks = Vec::new();
    let mut page = Page::default();
    for operation in &OPERATIONS {
        let mut talk = Talk::connect(daemon.smpp.addr);
        page.unbound(operation.name, &ask(&mut talk, operation, ""));
        talks.push(talk);
        for version in VERSIONS {
            let outcomes = Mode::ALL.map(|mode| {
                let about_broadcast = version >= 0x50 && operation.name.contains("_broadcast_");
                let id = if about_broadcast {
                    broadcast(&daemon, &mut talks)
                } else {
                    waiting_message(&daemon, version, &mut talks)
                };
                let mut talk = Talk::bind(daemon.smpp.addr, mode, version);
                let outcome = ask(&mut talk, operation, &id);
                talks.push(talk);
                outcome
            });
            page.bound(version, operation.name, &outcomes);
        }
    }
    // On its own: the sessions above are bound still, and would be given what is delivered.
    let daemon = Daemon::start("", Layout::ONE_BY_ONE);
    for version in VERSIONS {
        talks.push(receipt_and_mo(&daemon, version));
    }
    talks.extend(called_and_alerted());
    if let Some(path) = std::env::var_os(CAPTURE) {
        std::fs::write(&path, capture::pcap(&talks)).expect("the capture can be written");
    }
    page.compare_or_write(std::env::var_os(WRITE).is_some());
}

/// Sends the operation, then an enquire_link, and takes the answers.
fn ask(talk: &mut Talk, operation: &operations::Operation, message_id: &str) -> Outcome {
    let sequence = talk.send(operation.command_id, &(operation.body)(message_id));
    let mut outcome = Outcome { request: operation.command_id, answers: Vec::new(), closed: false };
    // Behind an unbind that is granted nothing may follow.
    let ends = operation.command_id == UNBIND;
    if !ends {
        talk.send(ENQUIRE_LINK, &[]);
    }
    // The answer to a submission may come behind that of the enquire_link: requests are waited for until answered.
    let mut owed = operation.is_answered();
    let mut is_alive = ends;
    while owed || !is_alive || ends {
        let Some(pdu) = talk.receive() else {
            outcome.closed = true;
            break;
        };
        if pdu.sequence != sequence {
            assert!(
                !is_alive && pdu.id == ENQUIRE_LINK | RESP,
                "one answer to each request, nothing else: {pdu:?}"
            );
            is_alive = true;
            continue;
        }
        assert!(std::mem::replace(&mut owed, false), "not to be answered, or answered twice: {pdu:?}");
        outcome.answers.push((pdu.id, pdu.status));
        if ends && pdu.status != ESME_ROK {
            break;
        }
    }
    outcome
}

/// The id of a message that waits for a day, from 12345, for those who ask about one.
fn waiting_message(daemon: &Daemon, version: u8, talks: &mut Vec<Talk>) -> String {
    let mut talk = Talk::bind(daemon.smpp.addr, Mode::Transmitter, version);
    let sm = Sm { schedule: "000001000000000R".to_owned(), ..Sm::new("12345", "447012345678", "waits") };
    talk.send(SUBMIT_SM, &sm.encode());
    let response = talk.receive().expect("an answer");
    assert_eq!((response.id, response.status), (SUBMIT_SM | RESP, ESME_ROK));
    talks.push(talk);
    Fields(&response.body).text()
}

/// An ESME that is called by an outbind and binds for what waits; and one that is told by an alert_notification that a
/// subscriber is back.
fn called_and_alerted() -> [Talk; 2] {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = format!(
        "[[network.profile]]\nprefix = \"\"\n[[network.profile]]\nprefix = \"444\"\ndelivered_per_mille = 0\n\
         absent_per_mille = 1000\nabsent_ms = 50\n[[account]]\nsystem_id = \"demo\"\npassword = \"demo\"\n\
         addresses = [\"12345\"]\n[account.outbind]\naddress = \"{}\"\npassword = \"knock\"\n",
        listener.local_addr().expect("bound")
    );
    let daemon = Daemon::start(&config, Layout::ONE_BY_ONE);
    daemon.inject_mo("491701", "12345", "hello");
    let (stream, _) = listener.accept().expect("a call");
    let mut called = Talk::over(stream);
    assert_eq!(called.receive().map(|pdu| (pdu.id, pdu.body)), Some((0x0B, b"smscd\0knock\0".to_vec())));
    called.send(BIND_RECEIVER, &bind_body("demo", "demo", 0x34, ""));
    assert_eq!(called.receive().map(|pdu| (pdu.id, pdu.status)), Some((BIND_RECEIVER | RESP, ESME_ROK)));
    let mo = called.receive().expect("the message");
    called.respond(&mo);
    called.send(UNBIND, &[]);
    assert_eq!(called.receive().map(|pdu| pdu.id), Some(UNBIND | RESP));
    assert_eq!(called.receive(), None);

    let mut alerted = Talk::bind(daemon.smpp.addr, Mode::Transceiver, 0x34);
    let body = b"\0\x01\x0112345\0\x01\x014441\0\0\0\0\x04\x24\0\x02hi\x04\x21\0\x01\x01";
    alerted.send(0x103, body);
    assert_eq!(alerted.receive().map(|pdu| (pdu.id, pdu.status)), Some((0x103 | RESP, ESME_ROK)));
    assert_eq!(alerted.receive().map(|pdu| pdu.id), Some(0x102));
    [called, alerted]
}

/// The id of a broadcast from 12345 that is not over soon.
fn broadcast(daemon: &Daemon, talks: &mut Vec<Talk>) -> String {
    let mut talk = Talk::bind(daemon.smpp.addr, Mode::Transmitter, 0x50);
    let body = [
        b"\0\x01\x0112345\0\0\0\0\0\0\0\0\x06\x06\0\x0b\0everywhere\x06\x01\0\x03\0\0\x30".as_slice(),
        b"\x06\x04\0\x02\0\x09\x06\x05\0\x03\x0a\0\x01\x04\x24\0\x05hello",
    ];
    talk.send(0x111, &body.concat());
    let response = talk.receive().expect("an answer");
    assert_eq!((response.id, response.status), (0x111 | RESP, ESME_ROK));
    talks.push(talk);
    Fields(&response.body).text()
}

/// A receipt and a mobile-originated message, both in deliver_sm.
fn receipt_and_mo(daemon: &Daemon, version: u8) -> Talk {
    let mut talk = Talk::bind(daemon.smpp.addr, Mode::Transceiver, version);
    let sm = Sm::with_receipt("12345", "447012345678", "with a receipt");
    talk.send(SUBMIT_SM, &sm.encode());
    assert_eq!(talk.receive().map(|pdu| (pdu.id, pdu.status)), Some((SUBMIT_SM | RESP, ESME_ROK)));
    let receipt = talk.receive().expect("a receipt");
    talk.respond(&receipt);
    assert!(Sm::decode(&receipt.body).text().contains("stat:DELIVRD"));
    assert_eq!(Sm::decode(&receipt.body).tlvs.is_empty(), version < 0x34, "TLVs only to who knows of them");
    daemon.inject_mo("491701", "12345", "hello");
    let mo = talk.receive().expect("the message");
    talk.respond(&mo);
    assert_eq!(Sm::decode(&mo.body).text(), "hello");
    talk.send(UNBIND, &[]);
    assert_eq!(talk.receive().map(|pdu| pdu.id), Some(UNBIND | RESP));
    assert_eq!(talk.receive(), None);
    talk
}
