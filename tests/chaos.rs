//! A crowd of bad peers, on and on, beside four ESMEs that carry traffic: of theirs nothing is lost and no session dropped,
//! and once the crowd is gone the daemon has the memory, the file descriptors and the sessions that it had before.
//!
//! The daemon touches what it has reserved when it first needs it, and keeps it: so most of that is needed once before memory is
//! compared, and some is left for chance. What grows beyond would grow for ever.
//!
//! Knobs: `SMSCD_CHAOS_S` (10) and `SMSCD_CHAOS_CONNECTIONS` (200), open at a time.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashSet;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use support::esme::*;
use support::{DEADLINE, Daemon, Layout};

const VERIFIED: u64 = 4;
const CROWD_THREADS: u64 = 2;
/// More messages than the chunks that the shards' stores begin with hold.
const FIRST_MESSAGES: u32 = 24_000;
/// More peers that do not read than it takes to fill the buffers that the workers begin with.
const FIRST_DEAF: u64 = 50;
/// The bad peer that floods and does not read.
const FLOOD: u64 = 7;
/// Submissions of a verified ESME that are under way at a time.
const BATCH: u64 = 10;
/// How much the resident memory may differ between the half and the end, in percent, and in KiB for what was reserved from the
/// start and never needed before.
const MEMORY_PERCENT: u64 = 5;
const MEMORY_KIB: u64 = 1024;

/// The verified ESMEs bind from 127.0.0.1 to an account of their own, the crowd comes from 127.0.0.2. The network is so quick
/// that nothing piles up, for what is pending takes memory as it should.
const CONFIG: &str = concat!(
    include_str!("support/network.toml"),
    r#"
[smpp]
session_init_timeout_ms = 1000
pdu_timeout_ms = 1000
write_timeout_ms = 1000
response_timeout_ms = 2000
inactivity_timeout_ms = 60000

[store]
durability = "none"
messages_max = 100000
final_history_records = 1000
# What the deaf among the crowd never take is given up soon.
receipt_validity_s = 3

[limits]
buffer_bytes_max = 16777216
failed_binds_per_address = 0
failed_binds_per_system_id = 0

[[account]]
system_id = "demo"
password = "demo"

[[account]]
system_id = "crowd"
password = "crowd"
rate_per_s = 500
"#
);

fn knob(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// A verified ESME: submissions, their receipts, the link, over and over on one session. How many submissions, all of them
/// accepted and with the one receipt.
fn verified(mut esme: RawEsme, index: usize, stop: &AtomicBool, progress: &AtomicU64) -> u64 {
    let mut settled = 0;
    while !stop.load(Ordering::Relaxed) {
        for n in 0..BATCH {
            esme.request(SUBMIT_SM, &Sm::with_receipt("12345", &format!("447{index}0{n}"), "chaos").encode());
        }
        // A receipt may come before another's response.
        let (mut accepted, mut receipts) = (HashSet::new(), HashSet::new());
        while (accepted.len() as u64) < BATCH || (receipts.len() as u64) < BATCH {
            let pdu = esme.receive();
            assert_eq!(pdu.status, ESME_ROK, "{pdu:02x?}");
            if pdu.id == DELIVER_SM {
                assert!(receipts.insert(Sm::decode(&pdu.body).receipted_id()), "a receipt came twice");
                esme.respond(&pdu, ESME_ROK);
            } else {
                assert_eq!(pdu.id, SUBMIT_SM | RESP);
                assert!(accepted.insert(message_id(&pdu)), "an id was given twice");
            }
        }
        assert_eq!(accepted, receipts);
        esme.enquire();
        settled += BATCH;
        progress.fetch_add(BATCH, Ordering::Relaxed);
    }
    esme.unbind();
    settled
}

/// A small generator, so that a run can be repeated.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Has the daemon touch all that it has reserved: twice the crowd's connections, full queues, full stores.
fn need_everything(daemon: &Daemon, connections: u64) {
    let mut random = 0;
    let mut peers: Vec<_> =
        (0..2 * connections).map(|_| bad_peer(daemon.smpp.addr, 1, &mut random)).collect();
    peers.extend((0..FIRST_DEAF).map(|_| bad_peer(daemon.smpp.addr, FLOOD, &mut random)));
    daemon.await_stats(&[("/accounts/crowd/sessions", FIRST_DEAF)]);
    let mut esme = daemon.bind(Mode::Transmitter);
    let body = |n: u32| Sm::new("12345", &format!("4478{n}"), "one of the first").encode();
    for first in (0..FIRST_MESSAGES).step_by(100) {
        let batch = first..first + 100;
        esme.send(&batch.flat_map(|n| pdu(SUBMIT_SM, 0, 1 + n, &body(n))).collect::<Vec<u8>>());
        for _ in 0..100 {
            esme.expect(SUBMIT_SM | RESP, ESME_ROK);
        }
    }
    esme.unbind();
    drop(peers);
    daemon.await_stats(&[("/accounts/crowd/sessions", 0), ("/sessions/bound", VERIFIED)]);
}

/// A new bad peer of one of ten kinds; what it has sent is all that it does until it goes. `None`: it has gone already.
fn bad_peer(addr: SocketAddr, kind: u64, random: &mut u64) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a size");
    socket
        .bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into())
        .expect("loopback is all of 127.0.0.0/8");
    socket.connect_timeout(&addr.into(), DEADLINE).expect("SMPP listens");
    // It goes with a reset, so that no port stays behind; those that end well say so below.
    socket.set_linger(Some(Duration::ZERO)).expect("a linger");
    socket.set_nonblocking(true).expect("a mode");
    let bind = |password| pdu(BIND_TRANSCEIVER, 0, 1, &bind_body("crowd", password, 0x34, ""));
    // One subscriber gets one message after the other, so there are many.
    let body = Sm::with_receipt("12345", &format!("4479{}", draw(random, 1_000)), "a flood").encode();
    let submits = |count: u32| {
        let body = body.clone();
        (2..2 + count).flat_map(move |sequence| pdu(SUBMIT_SM, 0, sequence, &body))
    };
    let mut stays = true;
    let octets: Vec<u8> = match kind {
        // A health check.
        0 => {
            socket.set_linger(None).expect("a linger");
            stays = false;
            Vec::new()
        }
        // Silence.
        1 => Vec::new(),
        2 => bind("wrong"),
        3 => bind("crowd").drain(..draw(random, 30) as usize).collect(),
        // Half a PDU from a bound session.
        4 => bind("crowd").into_iter().chain(submits(1).take(1 + draw(random, 40) as usize)).collect(),
        // A reset in the middle.
        5 => {
            stays = false;
            bind("crowd").into_iter().chain(submits(5)).collect()
        }
        // It never reads: neither responses nor receipts.
        6 => bind("crowd").into_iter().chain(submits(100)).collect(),
        // A flood beyond every window.
        FLOOD => bind("crowd").into_iter().chain(submits(2_000)).collect(),
        8 => [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03][..], &[0; 500]].concat(),
        _ => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    };
    let mut stream = TcpStream::from(socket);
    // What is not taken at once is never sent; nor is anything once the daemon has closed.
    let _ = stream.write(&octets);
    stays.then_some(stream)
}

/// Keeps `open` bad peers there, each soon replaced by another; how many there were.
fn crowd(addr: SocketAddr, open: u64, mut random: u64, stop: &AtomicBool) -> u64 {
    let mut peers: Vec<Option<TcpStream>> = Vec::new();
    peers.resize_with(open as usize, || None);
    let mut made = 0;
    while !stop.load(Ordering::Relaxed) {
        let place = (made % open) as usize;
        peers[place] = None;
        let kind = draw(&mut random, 10);
        peers[place] = bad_peer(addr, kind, &mut random);
        made += 1;
        // The verified ESMEs share these cores.
        if made % 8 == 0 {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    made
}

/// Resident memory of the daemon that is its own, in KiB: what is mapped of its program grows with each line that runs for the
/// first time.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon runs").count()
}

/// Lets the time go by as long as the verified ESMEs get on.
fn watch(until: Instant, progress: &AtomicU64, daemon: &Daemon) {
    let (mut last, mut moved) = (progress.load(Ordering::Relaxed), Instant::now());
    while Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(50));
        let now = progress.load(Ordering::Relaxed);
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < DEADLINE, "the verified ESMEs stand still:\n{}", daemon.stderr());
    }
}

#[test]
fn a_crowd_of_bad_peers_costs_the_others_nothing_and_leaves_nothing() {
    let time = Duration::from_secs(knob("SMSCD_CHAOS_S", 10));
    let connections = knob("SMSCD_CHAOS_CONNECTIONS", 200).max(CROWD_THREADS);
    let daemon = Daemon::start(CONFIG, Layout::TWO_BY_TWO);
    let (pid, addr) = (daemon.pid(), daemon.smpp.addr);
    let esmes: Vec<RawEsme> = (0..VERIFIED).map(|_| daemon.bind(Mode::Transceiver)).collect();
    daemon.await_stats(&[("/sessions/bound", VERIFIED)]);
    let files_before = open_files(pid);
    need_everything(&daemon, connections);
    let (calm, stop, progress) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let (calm, stop, progress) = (&calm, &stop, &progress);
    let mut settled = 0;
    std::thread::scope(|scope| {
        let verified: Vec<_> = esmes
            .into_iter()
            .enumerate()
            .map(|(index, esme)| scope.spawn(move || verified(esme, index, stop, progress)))
            .collect();
        let crowd: Vec<_> = (0..CROWD_THREADS)
            .map(|seed| scope.spawn(move || crowd(addr, connections / CROWD_THREADS, seed, calm)))
            .collect();
        // However this ends, the threads must.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let start = Instant::now();
            watch(start + time / 2, progress, &daemon);
            let kib_before = resident_kib(pid);
            watch(start + time, progress, &daemon);
            (kib_before, resident_kib(pid))
        }));
        calm.store(true, Ordering::Relaxed);
        let mut made = 0;
        for thread in crowd {
            made += thread.join().expect("the crowd goes on");
        }
        // The crowd is gone, they are still there.
        let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            daemon.await_stats(&[("/sessions/bound", VERIFIED), ("/accounts/crowd/sessions", 0)]);
            let start = Instant::now();
            while open_files(pid) > files_before {
                assert!(start.elapsed() < DEADLINE, "{} files, {files_before} before", open_files(pid));
                std::thread::yield_now();
            }
            resident_kib(pid)
        }));
        stop.store(true, Ordering::Relaxed);
        for thread in verified {
            settled += thread.join().expect("a verified ESME was disturbed");
        }
        let (kib_before, kib_crowded) = result.expect("they get on");
        let kib_after = left.expect("nothing is left");
        println!(
            "{made} bad peers, {connections} at a time, {time:?}; {settled} messages beside them; \
             resident {kib_before} KiB at the half, {kib_crowded} KiB at the end, {kib_after} KiB after it"
        );
        for kib in [kib_crowded, kib_after] {
            let most = kib_before + kib_before * MEMORY_PERCENT / 100 + MEMORY_KIB;
            assert!(kib <= most, "from {kib_before} to {kib} KiB");
        }
    });
    daemon.await_stats(&[
        ("/sessions/bound", 0),
        ("/accounts/demo/accepted", settled + u64::from(FIRST_MESSAGES)),
        ("/accounts/demo/rejected", 0),
        ("/accounts/demo/delivered", settled + u64::from(FIRST_MESSAGES)),
        ("/accounts/demo/receipts_sent", settled),
        ("/accounts/demo/receipts_pending", 0),
    ]);
}
