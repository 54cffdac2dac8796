//! kill -9 over and over on one data folder: nothing acknowledged is lost, nothing settled comes again, nothing unknown
//! appears. The kills come in the middle of load, again while the next start recovers, and, as the segments are as small
//! as they may be, while those go round.
//!
//! Knobs: `SMSCD_CRASH_ROUNDS` (20) and `SMSCD_CRASH_SEED`.

mod support;

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use support::esme::{DELIVER_SM, ESME_ROK, Mode, RESP, SUBMIT_SM, Sm, bind_body, pdu};
use support::{DEADLINE, Daemon, Layout};

/// Submissions of one session that may be unanswered.
const WINDOW: usize = 64;
const SESSIONS: usize = 3;
/// As the configuration says: the least.
const SEGMENT_BYTES: u64 = 2_097_152;
/// A TLV of no meaning, of which there is so much that segments fill up.
const BALLAST: u16 = 0x1401;
/// Few enough that each has a line of messages at every kill, and the lines go on over it.
const SUBSCRIBERS: u64 = 1_000;

const CONFIG: &str = r#"
[store]
durability = "sync"
segment_bytes = 2097152

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
    /// Submissions so far, whatever came of them; they are numbered from 0.
    sent: u64,
    /// Message id by number, for those answered with status 0.
    acked: HashMap<u64, String>,
    /// Those of them whose receipt has not come yet.
    owed: HashSet<String>,
    receipts: HashMap<String, Vec<Receipt>>,
    numbers: HashMap<String, u64>,
    /// Acknowledgements and receipts so far: what a round's end waits for.
    events: u64,
}

struct Shared {
    ledger: Mutex<Ledger>,
    /// The ledger has a new entry.
    entered: Condvar,
    submitting: AtomicBool,
    stop: AtomicBool,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no ESME panics")
    }

    /// Waits until the ledger is as `is_enough` says. Asleep: who looks without a pause keeps the ESMEs from writing.
    fn wait(&self, daemon: &Daemon, is_enough: impl Fn(&Ledger) -> bool) {
        let (ledger, timed_out) = self
            .entered
            .wait_timeout_while(self.ledger(), DEADLINE, |ledger| !is_enough(ledger))
            .expect("no ESME panics");
        let owed = ledger.owed.len();
        assert!(!timed_out.timed_out(), "no progress, {owed} receipts owed, stderr:\n{}", daemon.stderr());
    }
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
            let number = {
                let mut ledger = shared.ledger();
                ledger.sent += 1;
                ledger.sent - 1
            };
            let dest = format!("4477009{:05}", number % SUBSCRIBERS);
            let mut sm = Sm::with_receipt("smscd", &dest, &format!("n{number:012}"));
            sm.tlvs.push((BALLAST, vec![0x5A; 1_500]));
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
                    let mut ledger = shared.ledger();
                    assert_eq!(ledger.acked.insert(message, id.clone()), None);
                    assert_eq!(ledger.numbers.insert(id.clone(), message), None, "an id was given twice");
                    ledger.owed.insert(id);
                    ledger.events += 1;
                    shared.entered.notify_one();
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
    let mut ledger = shared.ledger();
    assert!(number < ledger.sent, "unknown: {text}");
    // A submission whose response the kill swallowed is known by its number only.
    let known = *ledger.numbers.entry(id.clone()).or_insert(number);
    assert_eq!(known, number, "one id for two messages: {text}");
    ledger.owed.remove(&id);
    ledger.receipts.entry(id).or_default().push(Receipt { round, stat });
    ledger.events += 1;
    shared.entered.notify_one();
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
        entered: Condvar::new(),
        submitting: AtomicBool::new(true),
        stop: AtomicBool::new(false),
    });

    let mut frame_bytes = 0;
    for round in 0..rounds {
        if round % 2 == 1 {
            // Killed while it recovers, at whatever point it has reached, and now and then once more.
            for _ in 0..=draw(&mut random, 3) {
                Daemon::start_and_kill(&data, CONFIG, Duration::from_micros(draw(&mut random, 60_000)));
            }
        }
        let mut daemon = Daemon::start_on(Some(&data), CONFIG, Layout::AUTOMATIC);
        let esmes = start_esmes(daemon.smpp.addr, round, &shared);
        let target = shared.ledger().events + 200 + draw(&mut random, 8_000);
        shared.wait(&daemon, |ledger| ledger.events >= target);
        frame_bytes += daemon.stat("/store/frame_bytes");
        daemon.kill();
        for esme in esmes {
            esme.join().expect("an ESME does not panic");
        }
    }

    // The last run takes nothing new in, and everything owed arrives.
    shared.submitting.store(false, Ordering::Relaxed);
    let daemon = Daemon::start_on(Some(&data), CONFIG, Layout::AUTOMATIC);
    let esmes = start_esmes(daemon.smpp.addr, rounds, &shared);
    let (start, owed) = (Instant::now(), shared.ledger().owed.len());
    shared.wait(&daemon, |ledger| ledger.owed.is_empty());
    println!("the {owed} receipts owed at the end came within {:?}", start.elapsed());
    daemon.await_stats(&[("/messages/pending", 0), ("/messages/receipts_pending", 0)]);
    frame_bytes += daemon.stat("/store/frame_bytes");
    let files = daemon.stat("/store/segment_files");
    shared.stop.store(true, Ordering::Relaxed);
    for esme in esmes {
        esme.join().expect("an ESME does not panic");
    }
    let segments = frame_bytes / SEGMENT_BYTES;
    println!("{segments} segments were written into {files} files");
    assert!(rounds < 20 || segments > 2 * files, "the segments hardly went round");
    judge(&shared.ledger(), rounds);
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
        ledger.sent,
        ledger.acked.len(),
        ledger.receipts.values().map(Vec::len).sum::<usize>(),
    );
    // Per kill at most what was in flight: each session's deliver_window.
    assert!(again as u64 <= rounds * (SESSIONS as u64) * 100, "{again} receipts came again");
    assert!(ledger.acked.len() as u64 > rounds * 50, "the load was too light to prove anything");
}
