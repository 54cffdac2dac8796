//! Peers of the TLS port that do not speak TLS, or do so badly. What `openssl s_client` can do of it is in `tests/s_client`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::Healthy;
use crate::support::esme::*;
use crate::support::tls::{AUTHORITY, Authority, Certified, Octets, Valid, Version};
use crate::support::{DEADLINE, Daemon, Layout};

const LAYOUTS: [Layout; 2] = [Layout::TLS_AUTOMATIC, Layout::TLS_TWO_BY_TWO];

/// A daemon with these keys in `[tls]`, and a healthy session beside.
fn daemon(tls_keys: &str, layout: Layout) -> (Daemon, Healthy) {
    let daemon =
        Daemon::start_tls("[log]\nlevel = \"debug\"\n[smpp]\npdu_timeout_ms = 500\n", tls_keys, layout);
    let healthy = Healthy::beside(&daemon);
    (daemon, healthy)
}

/// A connection to the TLS port, without TLS.
fn raw(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect_timeout(&daemon.smpp.addr, DEADLINE).expect("TLS listens");
    set_up(&stream);
    stream
}

/// Reads to the end, however it comes; what came before it.
fn drain(stream: &mut impl Read) -> Vec<u8> {
    let (mut octets, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return octets,
            Ok(len) => octets.extend(&chunk[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the daemon does not close")
            }
            // With an alert, or without close_notify.
            Err(_) => return octets,
        }
    }
}

/// The first octets of a client's hello.
fn hello() -> Vec<u8> {
    let config = AUTHORITY.client_config(Version::V13, None);
    let mut client =
        rustls::ClientConnection::new(config, "localhost".try_into().expect("a name")).expect("a client");
    let mut octets = Vec::new();
    client.write_tls(&mut octets).expect("memory");
    octets
}

#[test]
fn what_is_not_tls_is_closed_without_an_answer() {
    for layout in LAYOUTS {
        let (daemon, healthy) = daemon("", layout);
        let bind = pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("demo", "demo", 0x34, ""));
        let foreign: [&[u8]; 4] = [&bind, b"GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x00\x02", &[0; 16]];
        for octets in foreign {
            let mut stream = raw(&daemon);
            stream.write_all(octets).expect("taken");
            assert_eq!(drain(&mut stream), b"");
        }
        daemon.await_stats(&[("/counters/foreign_protocols", 4), ("/counters/tls_handshakes", 1)]);
        daemon.await_log("connection ended without a bind reason=ForeignProtocol");
        healthy.finish();
    }
}

#[test]
fn a_broken_hello_is_answered_by_an_alert() {
    let (daemon, healthy) = daemon("", Layout::TLS_AUTOMATIC);
    let mut garbled = hello();
    // The length of its session id, behind record, message, version and random.
    garbled[43] = 0xFF;
    // A record of a length that none may have, one of no type, and a hello of nonsense.
    let broken: [&[u8]; 3] = [&[22, 3, 1, 0xFF, 0xFF, 1], &[22, 3, 1, 0, 4, 99, 0, 0, 0], &garbled];
    for (count, octets) in broken.iter().enumerate() {
        let mut stream = raw(&daemon);
        stream.write_all(octets).expect("taken");
        let answer = drain(&mut stream);
        assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
        daemon.await_stats(&[("/counters/tls_handshakes_broken", count as u64 + 1)]);
    }
    daemon.await_log("TLS handshake failed");
    healthy.finish();
}

#[test]
fn quirk_36_tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let (daemon, healthy) = daemon("", Layout::TLS_AUTOMATIC);
    for version in [Version::V12, Version::V13] {
        assert!(is_let_in(&daemon, None, version), "{version:?}");
    }
    for minor in 1..=2 {
        // A whole hello of TLS 1.0 or 1.1: version, random, no session id, two suites, no compression.
        let hello = [&[3, minor][..], &[7; 32], &[0, 0, 4, 0xC0, 0x09, 0, 0x2F, 1, 0]].concat();
        let len = hello.len() as u8;
        let mut stream = raw(&daemon);
        stream.write_all(&[&[22, 3, 1, 0, len + 4, 1, 0, 0, len][..], &hello].concat()).expect("taken");
        let answer = drain(&mut stream);
        // A fatal alert: handshake_failure, for it has no extensions, or protocol_version.
        assert!(answer[0] == 21 && matches!(answer[5..], [2, 40 | 70]), "{answer:?}");
        daemon.await_stats(&[("/counters/tls_nothing_in_common", u64::from(minor))]);
    }
    healthy.finish();
}

#[test]
fn an_unfinished_handshake_is_given_up() {
    for layout in LAYOUTS {
        let (daemon, healthy) = daemon("handshake_timeout_ms = 300", layout);
        let mut silent = raw(&daemon);
        let mut half = raw(&daemon);
        half.write_all(&hello()[..100]).expect("taken");
        // A whole hello is answered, and nothing follows.
        let mut alone = raw(&daemon);
        alone.write_all(&hello()).expect("taken");
        // Octet by octet gets no more time.
        let mut dribble = raw(&daemon);
        let hello = hello();
        for octet in hello.iter().cycle() {
            if dribble.write_all(&[*octet]).is_err() || daemon.stat("/counters/tls_handshake_timeouts") >= 4 {
                break;
            }
        }
        for stream in [&mut silent, &mut half, &mut alone, &mut dribble] {
            drain(stream);
        }
        daemon.await_stats(&[("/counters/tls_handshake_timeouts", 4), ("/sessions/bound", 1)]);
        daemon.await_log("reason=TlsHandshakeTimeout");
        healthy.finish();
    }
}

#[test]
fn a_handshake_that_the_peer_leaves_is_counted_and_health_checks_are_not_logged() {
    let (daemon, healthy) = daemon("", Layout::TLS_AUTOMATIC);
    for _ in 0..50 {
        drop(raw(&daemon));
    }
    let mut leaves = raw(&daemon);
    leaves.write_all(&hello()[..50]).expect("taken");
    drop(leaves);
    // One that does not trust us says so.
    let config = Authority::new("Another").client_config(Version::V13, None);
    assert!(Octets::tls(raw(&daemon), &config, "localhost").is_err());
    daemon.await_stats(&[("/counters/connections_empty", 50), ("/counters/tls_handshakes_aborted", 2)]);
    healthy.finish();
}

#[test]
fn as_many_handshakes_as_may_be_and_no_more() {
    let (daemon, healthy) =
        daemon("handshakes_max = 3\nhandshake_timeout_ms = 60000", Layout::TLS_TWO_BY_TWO);
    let open: Vec<TcpStream> = (0..3).map(|_| raw(&daemon)).collect();
    let mut refused = raw(&daemon);
    assert_eq!(drain(&mut refused), b"");
    daemon.await_stats(&[("/counters/tls_handshakes_refused", 1)]);
    daemon.await_log("connection refused: as many TLS handshakes are under way");
    // The session that is up goes on, and each that leaves makes room.
    drop(open);
    daemon.await_stats(&[("/counters/connections_closed", 3)]);
    daemon.bind(Mode::Transceiver).unbind();
    healthy.finish();
}

#[test]
fn a_record_that_can_not_be_opened_closes_its_session() {
    for layout in LAYOUTS {
        let (daemon, healthy) = daemon("", layout);
        // Sealed by nobody; above the largest length; of no type.
        let broken: [&[u8]; 3] = [
            &[
                23, 3, 3, 0, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
            ],
            &[23, 3, 3, 0x50, 0, 1],
            &[99, 3, 3, 0, 1, 1],
        ];
        for (count, octets) in broken.iter().enumerate() {
            let mut esme = daemon.bind(Mode::Transceiver);
            esme.octets().socket().write_all(octets).expect("taken");
            drain(esme.octets());
            let count = count as u64 + 1;
            daemon.await_stats(&[("/counters/tls_records_broken", count), ("/sessions/bound", 1)]);
        }
        daemon.await_log("TLS record refused");
        healthy.finish();
    }
}

#[test]
fn half_a_record_and_silence_is_closed() {
    for layout in LAYOUTS {
        let (daemon, healthy) = daemon("", layout);
        for octets in [&[23][..], &[23, 3, 3], &[23, 3, 3, 1, 0, 9]] {
            let mut esme = daemon.bind(Mode::Transceiver);
            esme.octets().socket().write_all(octets).expect("taken");
            drain(esme.octets());
        }
        daemon.await_stats(&[("/counters/pdu_timeouts", 3), ("/sessions/bound", 1)]);
        healthy.finish();
    }
}

#[test]
fn a_connection_that_ends_without_close_notify_is_counted() {
    for layout in LAYOUTS {
        let (daemon, healthy) = daemon("", layout);
        let esme = daemon.bind(Mode::Transceiver);
        esme.vanish();
        daemon.await_stats(&[("/counters/tls_truncations", 1), ("/sessions/bound", 1)]);
        daemon.await_log("TLS session ended without close_notify");
        // In order: not counted, and answered in order.
        let mut esme = daemon.bind(Mode::Transceiver);
        esme.finish_sending();
        let mut rest = Vec::new();
        assert_eq!(esme.octets().read_to_end(&mut rest).expect("a close_notify"), 0);
        daemon.await_stats(&[("/counters/tls_truncations", 1), ("/sessions/bound", 1)]);
        healthy.finish();
    }
}

/// Connects with this certificate and reads: whether the daemon has let it in.
fn is_let_in(daemon: &Daemon, own: Option<&Certified>, version: Version) -> bool {
    let config = AUTHORITY.client_config(version, own);
    let Ok(octets) = Octets::tls(raw(daemon), &config, "localhost") else { return false };
    // With TLS 1.3 the client is done before the daemon has looked at its certificate.
    let mut esme = RawEsme::over(octets);
    esme.octets().write_all(&pdu(ENQUIRE_LINK, 0, 1, &[])).is_ok()
        && esme.octets().read(&mut [0; 16]).is_ok_and(|len| len == 16)
}

#[test]
fn client_certificates_that_are_not_good_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = dir.path().join("clients.pem");
    let clients = Authority::new("Clients");
    std::fs::write(&ca, &clients.pem).expect("written");
    let good = clients.client("demo", None, Valid::Now);
    let expired = clients.client("demo", None, Valid::LongAgo);
    let foreign = Authority::new("Clients").client("demo", None, Valid::Now);
    let for_servers = clients.server(&["demo"]);
    for (auth, without) in [("required", false), ("optional", true)] {
        let keys = format!("client_auth = \"{auth}\"\nclient_ca = [{:?}]", ca.display().to_string());
        for version in [Version::V12, Version::V13] {
            let daemon = Daemon::start_tls("[log]\nlevel = \"debug\"\n", &keys, Layout::TLS_AUTOMATIC);
            assert!(is_let_in(&daemon, Some(&good), version));
            assert_eq!(is_let_in(&daemon, None, version), without, "{auth} {version:?}");
            for bad in [&expired, &foreign, &for_servers] {
                assert!(!is_let_in(&daemon, Some(bad), version), "{auth} {version:?}");
            }
            daemon.await_stats(&[("/counters/tls_certificates_refused", if without { 3 } else { 4 })]);
            daemon.await_log("client certificate refused");
        }
    }
}

#[test]
fn handshakes_do_not_hold_up_a_session() {
    let (daemon, healthy) = daemon("", Layout::TLS_AUTOMATIC);
    let hello = hello();
    let mut crowd = Vec::new();
    for round in 0..5 {
        crowd.extend((0..100).map(|_| raw(&daemon)));
        for stream in &mut crowd[round * 100..] {
            stream.write_all(&hello).expect("taken");
        }
    }
    for stream in &mut crowd {
        // A server's hello.
        let mut first = [0];
        stream.read_exact(&mut first).expect("an answer");
        assert_eq!(first, [22]);
    }
    healthy.finish();
}

#[test]
fn files_that_can_not_be_used_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let own = AUTHORITY.server(&["localhost"]).write(dir.path(), "own");
    let other = AUTHORITY.server(&["localhost"]).write(dir.path(), "other");
    let (chain, _) = own.split_once("key = ").expect("two keys");
    let (_, key) = other.split_once("key = ").expect("two keys");
    let file = dir.path().join("bad.toml");
    for (section, line, key, what) in [
        (
            format!("[[tls.certificate]]\n{chain}key = {key}"),
            3,
            "tls.certificate[0].key",
            "is not the key of",
        ),
        (
            format!("[[tls.certificate]]\nchain = \"/nowhere.pem\"\n{chain}")
                .replace("chain = \"/w", "key = \"/w")
                .replace("chain = \"/t", "key = \"/t"),
            2,
            "tls.certificate[0].chain",
            "/nowhere.pem",
        ),
        (
            format!(
                "[tls]\nclient_auth = \"required\"\nclient_ca = [\"/nowhere.pem\"]\n[[tls.certificate]]\n{own}"
            ),
            3,
            "tls.client_ca[0]",
            "/nowhere.pem",
        ),
    ] {
        std::fs::write(&file, &section).expect("written");
        let path = file.to_str().expect("a name");
        for command in ["check", "run"] {
            let (code, _, stderr) = crate::support::run(&[command, "--config", path]);
            assert_eq!(code, Some(2), "{stderr}");
            assert!(
                stderr.contains(&format!("bad.toml:{line}: {key}: ")) && stderr.contains(what),
                "{section}\n{stderr}"
            );
        }
    }
    assert!(Path::new(&file).exists());
}
