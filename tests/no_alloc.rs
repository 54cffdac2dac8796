//! Zero allocations per message: once warm, the threads that host workers and shards take in, route, deliver and
//! receipt messages without a single call of the allocator; over TLS, with a few for each record.
//!
//! The daemon runs in this process, so that its allocations can be counted: by all threads but this one, which plays
//! the ESMEs. There is no test harness around it (`harness = false`), whose own threads would be counted too.

// A global allocator can't be written without unsafe. It hands everything on to the system's, and counts.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use smscd::config::Config;
use smscd::server::reload::ConfigSource;
use smscd::server::run::Daemon;

/// Messages of the measured stretch, each with its receipt.
const MESSAGES: usize = 100_000;
/// Messages before it: more than the history of final states holds, so that every table has grown to its size.
const WARM_UP_MESSAGES: usize = 40_000;
/// Messages on their way at once, over all sessions; more while warming up, so that no queue grows afterwards.
const BATCH: usize = 400;
const WARM_UP_BATCH: usize = 1_600;
const SESSIONS: usize = 4;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Backtraces still to be printed.
static BACKTRACES: AtomicU64 = AtomicU64::new(3);

thread_local! {
    /// Whether this thread's allocations are its own business.
    static IS_EXEMPT: Cell<bool> = const { Cell::new(false) };
}

impl Counting {
    fn count() {
        if !COUNTS.load(Ordering::Relaxed) || IS_EXEMPT.get() {
            return;
        }
        // A store's keeper makes a file for each new segment, some 300,000 messages: its name and its handle. No message passes
        // through that thread.
        if std::thread::current().name().is_some_and(|name| name.starts_with("smscd-keep-")) {
            return IS_EXEMPT.set(true);
        }
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        if BACKTRACES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            // Taking a backtrace allocates, and that is not what we look for.
            IS_EXEMPT.set(true);
            eprintln!(
                "an allocation of {:?}:\n{}",
                std::thread::current().name(),
                Backtrace::force_capture()
            );
            IS_EXEMPT.set(false);
        }
    }
}

// SAFETY: every call goes to the system's allocator unchanged, so its guarantees are ours; counting touches no memory
// that is being handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's obligations are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

fn main() {
    IS_EXEMPT.set(true);
    // Worker and shard on one thread (as on a machine with few cores), apart, and with lanes between two of each; with
    // everything on disk; and over TLS, where rustls allocates for each record, so for a whole turn's messages at once.
    for (workers, shards, tls, durability, allocations_max) in [
        (0, 0, false, "none", 0),
        (1, 1, false, "none", 0),
        (2, 2, false, "none", 0),
        (1, 1, false, "sync", 0),
        (2, 2, false, "buffered", 0),
        (0, 0, true, "none", MESSAGES as u64 / 8),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "[smpp]\nlisten = [\"127.0.0.1:0\"]\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [engine]\nworkers = {workers}\nshards = {shards}\npin = false\n\
             [store]\ndata_dir = {:?}\ndurability = {durability:?}\nmessages_max = 100000\nfinal_history_records = 20000\n\
             [[network.profile]]\nprefix = \"\"\n\
             delay = {{ distribution = \"fixed\", mean_ms = 1, max_ms = 1 }}\n",
            dir.path().join("data")
        );
        let (certificate, section) = certificate(dir.path());
        let text = if tls { text + &section } else { text };
        let config = Config::from_toml(&text, "no_alloc").expect("a configuration");
        let daemon = Daemon::start(config, ConfigSource::default(), Vec::new()).expect("the daemon starts");
        let connect = || -> Box<dyn Stream> {
            if tls {
                Box::new(over_tls(tcp(daemon.tls_addresses()[0]), &certificate))
            } else {
                Box::new(tcp(daemon.smpp_addresses()[0]))
            }
        };
        let mut sessions: Vec<Esme> = (0..SESSIONS).map(|_| Esme::bind(connect())).collect();
        converse(&mut sessions, WARM_UP_MESSAGES, WARM_UP_BATCH);

        BACKTRACES.store(if allocations_max == 0 { 3 } else { 0 }, Ordering::SeqCst);
        COUNTS.store(true, Ordering::SeqCst);
        converse(&mut sessions, MESSAGES, BATCH);
        COUNTS.store(false, Ordering::SeqCst);

        let allocations = ALLOCATIONS.swap(0, Ordering::SeqCst);
        let what = format!(
            "workers {workers}, shards {shards}, TLS {tls}, {durability}: {MESSAGES} messages with receipts"
        );
        assert!(allocations <= allocations_max, "{what}: {allocations} allocations");
        println!("{what}, {allocations} allocations");
    }
    // That the counting works, and on threads that it has not seen before.
    COUNTS.store(true, Ordering::SeqCst);
    BACKTRACES.store(0, Ordering::SeqCst);
    std::thread::spawn(|| drop(std::hint::black_box(vec![0u8; 10]))).join().expect("no panic");
    COUNTS.store(false, Ordering::SeqCst);
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > 0, "an allocation is not counted");
}

/// A certificate for localhost, and the `[tls]` section that names it.
fn certificate(dir: &Path) -> (CertificateDer<'static>, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (dir.join("own.pem"), dir.join("own.key"));
    std::fs::write(&chain, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let listen = "[tls]\nlisten = [\"127.0.0.1:0\"]\n";
    let section = format!("{listen}[[tls.certificate]]\nchain = {chain:?}\nkey = {key:?}\n");
    (made.cert.der().clone(), section)
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("SMPP listens");
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

fn over_tls(
    stream: TcpStream,
    certificate: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("an authority");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut client =
        ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name")).expect("a client");
    // What is submitted together leaves together.
    client.set_buffer_limit(None);
    StreamOwned::new(client, stream)
}

/// Submits `messages` over all sessions, `batch` at a time, and takes every response and receipt.
fn converse(sessions: &mut [Esme], messages: usize, batch: usize) {
    let share = batch / sessions.len();
    for _ in 0..messages / batch {
        for esme in sessions.iter_mut() {
            esme.submit(share);
        }
        for esme in sessions.iter_mut() {
            esme.take_all();
        }
    }
}

/// An ESME with buffers made once.
struct Esme {
    stream: Box<dyn Stream>,
    out: Vec<u8>,
    input: Vec<u8>,
    filled: usize,
    submitted: u32,
    responses: usize,
    receipts: usize,
    expected: usize,
}

impl Esme {
    fn bind(stream: Box<dyn Stream>) -> Self {
        let mut esme = Self {
            stream,
            out: Vec::with_capacity(1 << 20),
            input: vec![0; 1 << 20],
            filled: 0,
            submitted: 0,
            responses: 0,
            receipts: 0,
            expected: 0,
        };
        esme.push(0x0000_0009, 1, b"demo\0demo\0\0\x34\0\0\0");
        esme.flush();
        let mut response = [0; 16 + 6 + 5];
        esme.stream.read_exact(&mut response).expect("a response");
        assert_eq!(response[4..12], [0x80, 0, 0, 9, 0, 0, 0, 0], "{response:02x?}");
        esme
    }

    fn push(&mut self, id: u32, sequence: u32, body: &[u8]) {
        for word in [16 + body.len() as u32, id, 0, sequence] {
            self.out.extend_from_slice(&word.to_be_bytes());
        }
        self.out.extend_from_slice(body);
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.out).expect("the daemon takes octets");
        self.stream.flush().expect("the daemon takes octets");
        self.out.clear();
    }

    fn submit(&mut self, messages: usize) {
        for _ in 0..messages {
            // A destination of its own for each message; registered_delivery asks for the receipt.
            let mut body =
                *b"\0\x01\x0112345\0\x01\x014400000000\0\0\0\0\0\0\x01\0\0\0\x14twenty octets of it.";
            let mut number = self.submitted;
            for digit in body[13..21].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
            self.submitted += 1;
            self.push(0x0000_0004, self.submitted, &body);
        }
        self.flush();
        self.expected = messages;
        (self.responses, self.receipts) = (0, 0);
    }

    /// Reads until every message has its response and its receipt, and answers the receipts.
    fn take_all(&mut self) {
        while self.responses < self.expected || self.receipts < self.expected {
            let read = match self.stream.read(&mut self.input[self.filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.expect("more within the time"),
            };
            assert!(read > 0, "the daemon has closed the connection");
            self.filled += read;
            let mut at = 0;
            while let Some(header) = self.input[at..self.filled].first_chunk::<16>() {
                let word = |index: usize| {
                    u32::from_be_bytes([
                        header[index],
                        header[index + 1],
                        header[index + 2],
                        header[index + 3],
                    ])
                };
                let (len, id, status, sequence) = (word(0) as usize, word(4), word(8), word(12));
                if self.filled - at < len {
                    break;
                }
                at += len;
                match (id, status) {
                    (0x8000_0004, 0) => self.responses += 1,
                    (0x0000_0005, 0) => {
                        self.receipts += 1;
                        self.push(0x8000_0005, sequence, b"\0");
                    }
                    _ => panic!("command_id {id:#x}, command_status {status:#x}"),
                }
            }
            self.input.copy_within(at..self.filled, 0);
            self.filled -= at;
            if !self.out.is_empty() {
                self.flush();
            }
        }
    }
}
