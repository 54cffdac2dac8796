//! outbind over TLS: the ESME that is called is the TLS server, and must prove who it is before it is told anything.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::support::esme::*;
use crate::support::tls::{AUTHORITY, Authority, Certified, Octets, Version};
use crate::support::{DEADLINE, Daemon, Layout, run};

const REFUSED: &str = "outbind: the certificate of the ESME that was called is refused";

/// An ESME that is called; `ca` is a file with what may have signed its certificate.
fn config(address: SocketAddr, ca: &Path, keys: &str) -> String {
    format!(
        "[[account]]\nsystem_id = \"demo\"\npassword = \"demo\"\naddresses = [\"12345\"]\n[account.outbind]\n\
         address = \"{address}\"\nsystem_id = \"center\"\npassword = \"knock\"\nretry_first_ms = 100\n\
         retry_max_ms = 100\ntls = true\ntls_ca = [{ca:?}]\n{keys}"
    )
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a mode");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// The connection of the next call.
fn called(listener: &TcpListener) -> TcpStream {
    let start = Instant::now();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("a mode");
            set_up(&stream);
            return stream;
        }
        assert!(start.elapsed() < DEADLINE, "nobody calls");
        std::thread::yield_now();
    }
}

/// Takes the next call with this certificate, binds, and gets the message.
fn answers(listener: &TcpListener, own: &Certified, version: Version, text: &str) -> RawEsme {
    let stream = Octets::serve(called(listener), own, version).expect("a handshake");
    let mut esme = RawEsme::over(stream);
    assert_eq!(esme.expect(OUTBIND, 0).body, b"center\0knock\0");
    let response = esme.try_bind(Mode::Transceiver, "demo", "demo", 0x34, "");
    assert_eq!((response.id, response.status), (BIND_TRANSCEIVER | RESP, ESME_ROK));
    assert_eq!(esme.take_delivery().text(), text);
    esme
}

fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, text).expect("written");
    file
}

#[test]
fn who_is_called_over_tls_binds_and_gets_what_waits() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ca = write(dir.path(), "ca.pem", &AUTHORITY.pem);
    for (layout, version, names, keys) in [
        (Layout::TWO_BY_TWO, Version::V13, "127.0.0.1", ""),
        (Layout::AUTOMATIC, Version::V12, "esme.example.com", "tls_server_name = \"esme.example.com\"\n"),
        (Layout::TLS_AUTOMATIC, Version::V13, "127.0.0.1", ""),
        (Layout::TLS_TWO_BY_TWO, Version::V12, "127.0.0.1", ""),
    ] {
        let (listener, address) = listen();
        let daemon = Daemon::start(&config(address, &ca, keys), layout);
        daemon.inject_mo("491701", "12345", "wake up");
        let mut esme = answers(&listener, &AUTHORITY.server(&[names]), version, "wake up");
        // An ordinary session from here on, in both directions and of any size.
        let long = Sm { tlvs: vec![(MESSAGE_PAYLOAD, vec![b'x'; 60_000])], ..Sm::new("1", "12345", "") };
        esme.submit(&long);
        assert_eq!(esme.take_delivery(), long);
        daemon.inject_mo("491701", "12345", "again");
        assert_eq!(esme.take_delivery().text(), "again");
        let sessions = daemon.get("/sessions").json();
        let tls = sessions.pointer("/sessions/0/tls").unwrap_or_else(|| panic!("{sessions}"));
        let name = if version == Version::V13 { "TLSv1.3" } else { "TLSv1.2" };
        assert_eq!((&tls["version"], &tls["identity"]), (&json!(name), &json!(null)));
        assert!(listener.accept().is_err(), "there is a session");
        daemon.await_stats(&[
            ("/counters/outbinds_sent", 1),
            ("/counters/tls_handshakes", 1),
            ("/messages/mo_pending", 0),
        ]);
        esme.unbind();
    }
}

#[test]
fn a_called_esme_with_a_wrong_certificate_is_told_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let stranger = Authority::new("Somebody else");
    for (own, new_ca) in [
        // Another authority's; until that is in the file, and the file is read again.
        (stranger.server(&["127.0.0.1"]), Some(&stranger.pem)),
        // For another name; a certificate for clients only.
        (AUTHORITY.server(&["esme.example.com"]), None),
        (AUTHORITY.client("127.0.0.1", None, crate::support::tls::Valid::Now), None),
    ] {
        let ca = write(dir.path(), "ca.pem", &AUTHORITY.pem);
        let (listener, address) = listen();
        let daemon = Daemon::start(&config(address, &ca, ""), Layout::TWO_BY_TWO);
        daemon.inject_mo("491701", "12345", "for you alone");
        for _ in 0..2 {
            let refused = Octets::serve(called(&listener), &own, Version::V13).and_then(|mut octets| {
                // In TLS 1.3 the server is through before the client has looked.
                octets.read(&mut [0; 100])
            });
            let error = refused.expect_err("refused").to_string();
            assert!(error.contains("alert"), "{error}");
        }
        daemon.await_log(REFUSED);
        daemon.await_log("messages wait: calling the ESME account=\"demo\"");
        let refusals = daemon.stat("/counters/tls_certificates_refused");
        assert!(refusals >= 2, "{refusals}");
        daemon.await_stats(&[("/counters/outbinds_sent", 0), ("/messages/mo_pending", 1)]);
        let good = AUTHORITY.server(&["127.0.0.1"]);
        let own = if let Some(pem) = new_ca {
            write(dir.path(), "ca.pem", pem);
            assert_eq!(daemon.post("/reload", &[], "").status, 200);
            &own
        } else {
            &good
        };
        // TLS 1.2: what is refused fails the handshake here. A call may have been under way by what was there before.
        let octets = loop {
            if let Ok(octets) = Octets::serve(called(&listener), own, Version::V12) {
                break octets;
            }
        };
        assert_eq!(RawEsme::over(octets).expect(OUTBIND, 0).body, b"center\0knock\0");
    }
}

#[test]
fn a_called_esme_without_tls_or_without_a_word_is_given_up() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ca = write(dir.path(), "ca.pem", &AUTHORITY.pem);
    let (listener, address) = listen();
    let keys = "[tls]\nhandshake_timeout_ms = 300\n";
    let daemon = Daemon::start(&config(address, &ca, keys), Layout::TWO_BY_TWO);
    daemon.inject_mo("491701", "12345", "for you alone");
    // Silent: a hello, and the end once the time is over.
    let mut octets = Vec::new();
    let _ = called(&listener).read_to_end(&mut octets);
    assert_eq!(octets[..2], [22, 3], "a handshake record");
    let told = |octets: &[u8], what: &[u8]| octets.windows(what.len()).any(|window| window == what);
    assert!(!told(&octets, b"center") && !told(&octets, b"knock"));
    daemon.await_stats(&[("/counters/tls_handshake_timeouts", 1)]);
    // Not TLS at all: it sends a bind.
    let mut esme = RawEsme::over(Octets::Plain(called(&listener)));
    esme.request(BIND_RECEIVER, &bind_body("demo", "demo", 0x34, ""));
    daemon.await_log("outbind: no TLS with the ESME that was called");
    daemon.await_stats(&[
        ("/counters/tls_handshakes_broken", 1),
        ("/counters/outbinds_sent", 0),
        ("/messages/mo_pending", 1),
    ]);
    answers(&listener, &AUTHORITY.server(&["127.0.0.1"]), Version::V13, "for you alone");
}

#[test]
fn what_a_called_esme_is_to_prove_is_checked_at_the_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ca = write(dir.path(), "ca.pem", &AUTHORITY.pem);
    let none = write(dir.path(), "none.pem", "nothing\n");
    let (_listener, address) = listen();
    for (ca, keys, error) in [
        (&dir.path().join("missing.pem"), "", ":12: account[0].outbind.tls_ca[0]: "),
        (&none, "", ":12: account[0].outbind.tls_ca[0]: "),
        (&ca, "tls_server_name = \"not a name\"\n", ":13: account[0].outbind.tls_server_name: "),
    ] {
        let file = write(dir.path(), "smscd.toml", &config(address, ca, keys));
        let (code, _, stderr) = run(&["check", "--config", file.to_str().expect("text")]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(error), "{stderr}");
    }
}
