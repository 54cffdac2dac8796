//! The control thread over a real loopback socket, with threads that answer the control lane as the engine would.

mod access;
mod figures;
mod lifecycle;
mod mo;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, unbounded};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::base::{AccountId, MessageId};
use crate::config::{AccountConfig, Secret};
use crate::control_lane::{
    ControlEnd, ControlRequest, HeldInfo, MessageInfo, MoMessage, MoRefused, SessionInfo, Wake,
};
use crate::stats::{AccountCounter, Counter, Latency, LatencySet};

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}

    fn rouse(&self) {}
}

/// Finds every file wrong.
struct NoReload;

impl Reload for NoReload {
    fn reload(&self, apply: bool) -> Result<Reloaded, ReloadError> {
        if apply {
            let problem = crate::config::Problem {
                place: Some("f.toml:3".to_owned()),
                key: "account[0].window".to_owned(),
                what: "0 is out of range".to_owned(),
            };
            return Err(ReloadError::Config(vec![problem]));
        }
        let changes = vec![crate::config::Change::AccountAdded { system_id: "new".to_owned() }];
        Ok(Reloaded { config: Arc::default(), changes })
    }
}

const THREADS: usize = 2;
/// The message that thread 1 knows.
const KNOWN: u64 = 0x0123_4567_89AB_CDEF;

/// A control thread with its fake engine.
struct Control {
    http: SocketAddr,
    counters: Vec<Arc<ThreadCounters>>,
    injected: Arc<Mutex<Vec<(usize, MoMessage)>>>,
    snapshots: Arc<AtomicU64>,
    accepting: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    /// Lets thread 1 leave after a shutdown.
    leave: crossbeam_channel::Sender<()>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Control {
    fn start(config: Config) -> Self {
        Self::start_with(config, true)
    }

    /// `alive`: whether the hot threads answer at all.
    fn start_with(config: Config, alive: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = listener.local_addr().unwrap();
        let accounts = config.accounts.len();
        let notify = Arc::new(Notify::new());
        let (reply_sender, replies) = unbounded();
        let injected = Arc::new(Mutex::new(Vec::new()));
        let snapshots = Arc::new(AtomicU64::new(0));
        let accepting = Arc::new(AtomicBool::new(true));
        let (leave, may_leave) = unbounded();
        let mut ports = Vec::new();
        for thread in 0..THREADS {
            let (sender, requests) = unbounded();
            ports.push(ControlPort { requests: sender, waker: Arc::new(NoWake) });
            let notify = Arc::clone(&notify);
            let end = ControlEnd {
                requests,
                replies: reply_sender.clone(),
                notify: Arc::new(move || notify.notify_one()),
            };
            let (injected, snapshots) = (Arc::clone(&injected), Arc::clone(&snapshots));
            let may_leave = (thread == 1).then(|| may_leave.clone());
            std::thread::spawn(move || {
                hot_thread(thread, alive, &end, &injected, &snapshots, may_leave.as_ref())
            });
        }
        let counters: Vec<_> = (0..THREADS).map(|_| Arc::new(ThreadCounters::new(accounts))).collect();
        let stop_accepting = Arc::clone(&accepting);
        let setup = ControlSetup {
            http: listener,
            config: Arc::new(config),
            ports,
            replies,
            reply_notify: notify,
            counters: counters.clone(),
            shard_ports: vec![0, 1],
            shard_of: |address, shards| u16::from(*address.last().unwrap()) % shards,
            shards: 2,
            started: Instant::now(),
            reload: Arc::new(NoReload),
            stop_accepting: Box::new(move || stop_accepting.store(false, Ordering::SeqCst)),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let stop = async {
                let _ = stopped.await;
            };
            runtime.block_on(serve(setup, stop, None, Duration::ZERO))
        });
        Self { http, counters, injected, snapshots, accepting, stop: Some(stop), leave, thread: Some(thread) }
    }

    /// One request on its own connection: status, head and body.
    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        self.request_to("127.0.0.1", method, path, headers, body)
    }

    /// The same by another Host header.
    fn request_to(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.request("GET", path, "", "");
        (status, body)
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn post(&self, body: &str) -> (u16, Value) {
        let (status, _, body) = self.request("POST", "/mo", "", body);
        (status, serde_json::from_str(&body).unwrap())
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    fn join(&mut self) -> anyhow::Result<()> {
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Answers as a runtime thread does, and records into its counters nothing by itself.
fn hot_thread(
    thread: usize,
    alive: bool,
    end: &ControlEnd,
    injected: &Mutex<Vec<(usize, MoMessage)>>,
    snapshots: &AtomicU64,
    may_leave: Option<&Receiver<()>>,
) {
    while let Ok(request) = end.requests.recv() {
        if !alive && !matches!(request, ControlRequest::Shutdown) {
            continue;
        }
        match request {
            ControlRequest::Snapshot { request, spare } => {
                assert!(Latency::ALL.iter().all(|latency| spare.histogram(*latency).is_empty()));
                snapshots.fetch_add(1, Ordering::SeqCst);
                let mut latencies = Box::new(LatencySet::new());
                latencies.record_n(Latency::SubmitResp, 50_000, 10);
                end.reply(ControlReply::Snapshot { request, thread, latencies, store: None });
            }
            ControlRequest::Sessions { request } => {
                end.reply(ControlReply::Sessions { request, thread, sessions: vec![session(thread)] });
            }
            ControlRequest::InjectMo { request, message } => {
                let result = match message.destination_addr.as_slice() {
                    b"404" => Err(MoRefused::NoOwner),
                    b"503" => Err(MoRefused::Full),
                    _ => Ok(MessageId::from_u64(KNOWN)),
                };
                injected.lock().push((thread, *message));
                end.reply(ControlReply::InjectMo { request, result });
            }
            ControlRequest::Notify { request, message, .. } => {
                injected.lock().push((thread, *message));
                end.reply(ControlReply::InjectMo { request, result: Ok(MessageId::from_u64(KNOWN)) });
            }
            ControlRequest::QueryMessage { request, message_id } => {
                let known = thread == 1 && message_id.as_u64() == KNOWN;
                end.reply(ControlReply::Message { request, thread, message: known.then(message) });
            }
            ControlRequest::Shutdown => {
                if let Some(may_leave) = may_leave {
                    let _ = may_leave.recv();
                }
                return end.reply(ControlReply::Left { thread });
            }
        }
    }
}

fn session(thread: usize) -> SessionInfo {
    SessionInfo {
        account: AccountId(0),
        bind: "transceiver",
        peer: SocketAddr::from(([127, 0, 0, 1], 4000 + thread as u16)),
        interface_version: 0x34,
        worker: thread as u16,
        bound_for_ms: 5,
        idle_ms: 1,
        window: (3, 10),
        deliver_window: (0, 10),
        submitted: 7,
        delivered: 2,
        queued_bytes: 0,
        throttled_by: (thread == 1).then_some("window"),
        tls: None,
    }
}

fn message() -> MessageInfo {
    MessageInfo {
        message_id: MessageId::from_u64(KNOWN),
        message_state: 1,
        error_code: 27,
        final_unix_ms: 0,
        held: Some(HeldInfo {
            account: AccountId(0),
            role: "mt",
            waits_for: "retry",
            priority: 2,
            attempts: 1,
            accepted_unix_ms: 1_700_000_000_000,
            scheduled_unix_ms: 0,
            next_attempt_unix_ms: 1_700_000_005_000,
            expires_unix_ms: 1_700_000_600_000,
            addresses: Some(("100".to_owned(), "200".to_owned())),
        }),
    }
}
