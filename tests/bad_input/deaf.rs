//! Peers that do not read what they asked for: they hold up only themselves, and only so many octets of memory.

use super::Healthy;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

/// What one session may have queued for its socket, and one PDU more.
const QUEUE_BYTES_MAX: u64 = 256 * 1024 + 70_000;

/// Two ESMEs beside demo: one that is sent much, one that sends it.
const ACCOUNTS: &str = "
[[account]]
system_id = \"demo\"
password = \"demo\"
addresses = [\"12345\"]

[[account]]
system_id = \"deaf\"
password = \"deaf\"
addresses = [\"777\"]
deliver_window = 16000

[[account]]
system_id = \"sender\"
password = \"sender\"
";

/// Octets queued for the sessions of account deaf.
fn queued(daemon: &Daemon) -> u64 {
    let sessions = daemon.get("/sessions").json();
    let sessions = sessions["sessions"].as_array().expect("a list");
    let own = sessions.iter().filter(|session| session["account"] == "deaf");
    own.map(|session| session["queued_bytes"].as_u64().expect("octets")).sum()
}

fn large(n: usize) -> Sm {
    let mut text = vec![b'x'; 60_000];
    text[..6].copy_from_slice(format!("{n:06}").as_bytes());
    Sm { tlvs: vec![(MESSAGE_PAYLOAD, text)], ..Sm::new("1", "777", "") }
}

#[test]
fn deliveries_to_a_peer_that_does_not_read_wait_in_the_store() {
    const MESSAGES: usize = 200;
    for layout in Layout::MOST {
        let daemon = Daemon::start(&format!("{ACCOUNTS}[store]\ndurability = \"none\"\n"), layout);
        let healthy = Healthy::beside(&daemon);
        let mut deaf = RawEsme::connect_deaf(daemon.smpp);
        let answer = deaf.try_bind(Mode::Receiver, "deaf", "deaf", 0x34, "");
        assert_eq!(answer.status, ESME_ROK);
        let mut sender = RawEsme::bind(daemon.smpp, Mode::Transmitter, "sender", "sender");
        let mut most = 0;
        for n in 0..MESSAGES {
            sender.submit(&large(n));
            most = most.max(queued(&daemon));
        }
        assert!(daemon.stat("/counters/deliveries_paused") > 0);
        assert!((1..=QUEUE_BYTES_MAX).contains(&most), "{most} octets were queued");
        // Then it reads, and nothing is missing or out of order.
        for n in 0..MESSAGES {
            let sm = deaf.take_delivery();
            let payload = sm.tlv(MESSAGE_PAYLOAD).expect("a payload");
            assert_eq!(payload[..6], *format!("{n:06}").as_bytes());
        }
        daemon.await_stats(&[("/accounts/sender/delivered", MESSAGES as u64)]);
        healthy.finish();
    }
}

#[test]
fn one_deaf_session_does_not_keep_from_another_what_is_for_both() {
    let daemon = Daemon::start(&format!("{ACCOUNTS}[store]\ndurability = \"none\"\n"), Layout::TWO_BY_TWO);
    let mut deaf = RawEsme::connect_deaf(daemon.smpp);
    assert_eq!(deaf.try_bind(Mode::Receiver, "deaf", "deaf", 0x34, "").status, ESME_ROK);
    let mut sender = RawEsme::bind(daemon.smpp, Mode::Transmitter, "sender", "sender");
    // Until no more goes to it.
    let mut sent = 0;
    while daemon.stat("/counters/deliveries_paused") == 0 {
        sender.submit(&large(sent));
        sent += 1;
        assert!(sent < 500, "it never paused");
    }
    let mut reads = RawEsme::bind(daemon.smpp, Mode::Receiver, "deaf", "deaf");
    for n in 0..20 {
        sender.submit(&large(1_000 + n));
    }
    // Whatever else was waiting comes first.
    let last = loop {
        let sm = reads.take_delivery();
        let number: usize = std::str::from_utf8(&sm.tlv(MESSAGE_PAYLOAD).expect("a payload")[..6])
            .expect("digits")
            .parse()
            .expect("a number");
        if number == 1_019 {
            break number;
        }
    };
    assert_eq!(last, 1_019);
}

#[test]
fn when_memory_is_short_the_deafest_goes_first() {
    let config = format!("{ACCOUNTS}[store]\ndurability = \"none\"\n[limits]\nbuffer_bytes_max = 16777216\n");
    let daemon = Daemon::start(&config, Layout::ONE_BY_ONE);
    let healthy = Healthy::beside(&daemon);
    // 16 MiB are 56 full queues or so.
    let mut crowd = Vec::new();
    let mut sender = RawEsme::bind(daemon.smpp, Mode::Transmitter, "sender", "sender");
    let mut sent = 0;
    while daemon.stat("/counters/memory_evictions") == 0 {
        let mut deaf = RawEsme::connect_deaf(daemon.smpp);
        assert_eq!(deaf.try_bind(Mode::Receiver, "deaf", "deaf", 0x34, "").status, ESME_ROK);
        crowd.push(deaf);
        for _ in 0..30 {
            sender.submit(&large(sent));
            sent += 1;
        }
        assert!(crowd.len() < 200, "16 MiB never ran short");
    }
    assert!(crowd.len() > 20, "after {} already", crowd.len());
    daemon.await_log("OverMemory");
    healthy.finish();
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().expect("a temporary folder");
    // A pipe that is full already: whoever writes to it waits for ever.
    let (_unread, mut stderr) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut stderr, &[b'x'; 64 * 1024]).expect("a pipe holds so much");
    let mut child = Command::new(env!("CARGO_BIN_EXE_smscd"))
        .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-pin", "--durability", "none"])
        .arg("--data-dir")
        .arg(dir.path())
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("the ready line");
    let smpp = line.strip_prefix("smscd ready smpp=").and_then(|rest| rest.split(' ').next());
    let smpp: std::net::SocketAddr = smpp.expect("an address").parse().expect("an address");
    for _ in 0..100 {
        let mut esme = RawEsme::bind(smpp, Mode::Transceiver, "demo", "demo");
        esme.submit(&Sm::new("12345", "4470", "x"));
        esme.unbind();
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}
