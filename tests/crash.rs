//! kill -9 in the middle of load, over and over on one data folder: nothing acknowledged is lost, nothing settled comes
//! again, nothing unknown appears (promises 2, 3 and 5 of the design).
//!
//! Knobs: `SMSCD_CRASH_ROUNDS` (20) and `SMSCD_CRASH_SEED`.

mod support;

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::esme::{DELIVER_SM, ESME_ROK, Mode, RESP, SUBMIT_SM, Sm, bind_body, pdu};
use support::{DEADLINE, Daemon, Layout};

/// Submissions of one session that may be unanswered.
const WINDOW: usize = 64;
const SESSIONS: usize = 3;

const CONFIG: &str = r#"
[store]
durability = "sync"

[network]
seed = 7

[[network.profile]]
prefix = ""
delay = { distribution = "exponential", mean_ms = 60, max_ms = 1000 }
delivered_per_mille = 800
undeliverable_per_mille = 100
absent_per_mille = 50
rejected_per_mille = 50
expired_per_mille = 0
absent_ms = 200

[[account]]
system_id = "demo"
password = "demo"
deliver_window = 100
"#;

/// One sighting of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Receipt {
    round: u64,
    stat: String,
}

/// What the ESMEs know.
#[derive(Default)]
struct Ledger {
    /// Numbers sent, whatever came of them.
    sent: HashSet<u64>,
    /// Message id by number, for those answered with status 0.
    acked: HashMap<u64, String>,
    receipts: HashMap<String, Vec<Receipt>>,
    numbers: HashMap<String, u64>,
}

struct Shared {
    ledger: Mutex<Ledger>,
    next_number: AtomicU64,
    /// Acknowledgements and receipts so far: what a round's end waits for.
    events: AtomicU64,
    submitting: AtomicBool,
    stop: AtomicBool,
}

/// One ESME on one connection, until the daemon is gone or it is told to stop.
fn esme(addr: SocketAddr, round: u64, shared: &Shared) {
    let Ok(mut stream) = TcpStream::connect(addr) else { return };
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
    let bind = pdu(Mode::Transceiver.command_id(), 0, 1, &bind_body("demo", "demo", 0x34, ""));
    if stream.write_all(&bind).is_err() {
        return;
    }
    let mut sequence = 1u32;
    let mut open: HashMap<u32, u64> = HashMap::new();
    let mut unread = Vec::new();
    let mut bound = false;
    while !shared.stop.load(Ordering::Relaxed) {
        let mut out = Vec::new();
        while bound && shared.submitting.load(Ordering::Relaxed) && open.len() < WINDOW {
            sequence += 1;
            let number = shared.next_number.fetch_add(1, Ordering::Relaxed);
            // Many subscribers: a line in front of one of them is not what is tested here.
            let dest = format!("4477009{:05}", number % 90_000);
            let sm = Sm::with_receipt("smscd", &dest, &format!("n{number:012}"));
            shared.ledger.lock().expect("no ESME panics").sent.insert(number);
            open.insert(sequence, number);
            out.extend(pdu(SUBMIT_SM, 0, sequence, &sm.encode()));
        }
        if stream.write_all(&out).is_err() {
            return;
        }
        let mut chunk = [0; 16 * 1024];
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(len) => unread.extend_from_slice(&chunk[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => return,
        }
        let mut answers = Vec::new();
        let mut at = 0;
        while let Some(head) = unread.get(at..at + 16) {
            let word = |from: usize| u32::from_be_bytes(head[from..from + 4].try_into().expect("four"));
            let (len, id, status, number) = (word(0) as usize, word(4), word(8), word(12));
            let Some(body) = unread.get(at + 16..at + len) else { break };
            at += len;
            if id == Mode::Transceiver.command_id() | RESP {
                assert_eq!(status, ESME_ROK);
                bound = true;
            } else if id == SUBMIT_SM | RESP {
                let message = open.remove(&number).expect("answered once");
                // Full is an answer; it promises nothing.
                if status == ESME_ROK {
                    let id = String::from_utf8(body[..body.len() - 1].to_vec()).expect("hex digits");
                    let mut ledger = shared.ledger.lock().expect("no ESME panics");
                    assert_eq!(ledger.acked.insert(message, id.clone()), None);
                    assert_eq!(ledger.numbers.insert(id, message), None, "an id was given twice");
                    shared.events.fetch_add(1, Ordering::Relaxed);
                }
            } else if id == DELIVER_SM {
                let receipt = Sm::decode(body);
                note(&receipt, round, shared);
                answers.extend(pdu(DELIVER_SM | RESP, 0, number, &[0]));
            }
        }
        unread.drain(..at);
        if stream.write_all(&answers).is_err() {
            return;
        }
    }
}

/// Enters a receipt. Its text names the message that it is about, so that nothing unknown goes unnoticed.
fn note(receipt: &Sm, round: u64, shared: &Shared) {
    let text = receipt.text();
    let number = text.split("text:n").nth(1).and_then(|n| n.get(..12)).and_then(|n| n.parse().ok());
    let number: u64 = number.unwrap_or_else(|| panic!("a receipt for no message of ours: {text}"));
    let stat = text.split("stat:").nth(1).expect("a state")[..7].to_owned();
    let id = receipt.receipted_id();
    let mut ledger = shared.ledger.lock().expect("no ESME panics");
    assert!(ledger.sent.contains(&number), "unknown: {text}");
    // A submission whose response the kill swallowed is known by its number only.
    let known = *ledger.numbers.entry(id.clone()).or_insert(number);
    assert_eq!(known, number, "one id for two messages: {text}");
    ledger.receipts.entry(id).or_default().push(Receipt { round, stat });
    shared.events.fetch_add(1, Ordering::Relaxed);
}

/// A small generator, so that a failing run can be repeated.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn knob(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn kill_9_loses_nothing_and_repeats_nothing_settled() {
    let rounds = knob("SMSCD_CRASH_ROUNDS", 20);
    let mut random = knob("SMSCD_CRASH_SEED", 1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let shared = Arc::new(Shared {
        ledger: Mutex::default(),
        next_number: AtomicU64::new(0),
        events: AtomicU64::new(0),
        submitting: AtomicBool::new(true),
        stop: AtomicBool::new(false),
    });

    for round in 0..rounds {
        if round % 4 == 3 {
            // Killed while it recovers, at whatever point it has reached.
            Daemon::start_and_kill(&data, CONFIG, Duration::from_micros(draw(&mut random, 60_000)));
        }
        let mut daemon = Daemon::start_on(Some(&data), CONFIG, Layout::AUTOMATIC);
        let esmes = start_esmes(daemon.smpp.addr, round, &shared);
        let target = shared.events.load(Ordering::Relaxed) + 200 + draw(&mut random, 4_000);
        let start = Instant::now();
        while shared.events.load(Ordering::Relaxed) < target {
            assert!(start.elapsed() < DEADLINE, "round {round}: no progress, stderr:\n{}", daemon.stderr());
            thread::yield_now();
        }
        daemon.kill();
        for esme in esmes {
            esme.join().expect("an ESME does not panic");
        }
    }

    // The last run takes nothing new in, and everything owed arrives.
    shared.submitting.store(false, Ordering::Relaxed);
    let daemon = Daemon::start_on(Some(&data), CONFIG, Layout::AUTOMATIC);
    let esmes = start_esmes(daemon.smpp.addr, rounds, &shared);
    let start = Instant::now();
    let missing = || {
        let ledger = shared.ledger.lock().expect("no ESME panics");
        ledger.acked.values().filter(|id| !ledger.receipts.contains_key(*id)).count()
    };
    loop {
        // To count takes the ledger from the ESMEs: not again before so many more receipts can have come.
        let before = shared.events.load(Ordering::Relaxed);
        let count = missing() as u64;
        let enough = before + count;
        while shared.events.load(Ordering::Relaxed) < enough {
            let stderr = daemon.stderr();
            assert!(start.elapsed() < DEADLINE, "{count} receipts or less are missing, stderr:\n{stderr}");
            thread::yield_now();
        }
        if count == 0 {
            break;
        }
    }
    daemon.await_stats(&[("/messages/pending", 0), ("/messages/receipts_pending", 0)]);
    shared.stop.store(true, Ordering::Relaxed);
    for esme in esmes {
        esme.join().expect("an ESME does not panic");
    }
    judge(&shared.ledger.lock().expect("no ESME panics"), rounds);
}

fn start_esmes(addr: SocketAddr, round: u64, shared: &Arc<Shared>) -> Vec<thread::JoinHandle<()>> {
    (0..SESSIONS)
        .map(|_| {
            let shared = Arc::clone(shared);
            thread::spawn(move || esme(addr, round, &shared))
        })
        .collect()
}

fn judge(ledger: &Ledger, rounds: u64) {
    let mut again = 0;
    for (id, receipts) in &ledger.receipts {
        let first = &receipts[0];
        assert!(receipts.iter().all(|r| r.stat == first.stat), "{id} has several final states: {receipts:?}");
        let mut seen = HashSet::new();
        // In flight at a kill it may come again in a later run, never twice in one.
        assert!(receipts.iter().all(|r| seen.insert(r.round)), "{id} twice in one run: {receipts:?}");
        again += receipts.len() - 1;
    }
    println!(
        "{rounds} kills: {} sent, {} acknowledged, {} receipts, of which {again} again after a kill",
        ledger.sent.len(),
        ledger.acked.len(),
        ledger.receipts.values().map(Vec::len).sum::<usize>(),
    );
    // Per kill at most what was in flight: each session's deliver_window.
    assert!(again as u64 <= rounds * (SESSIONS as u64) * 100, "{again} receipts came again");
    assert!(ledger.acked.len() as u64 > rounds * 50, "the load was too light to prove anything");
}
