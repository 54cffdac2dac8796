//! The control thread over a real loopback socket, with threads that answer the control lane as the engine would.

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

#[test]
fn stats_has_the_keys_of_the_contract() {
    let control = Control::start(Config::default());
    let stats = control.json("/stats");
    let has = |at: &str, keys: &[&str]| {
        let object = stats.pointer(at).unwrap_or_else(|| panic!("no {at} in {stats}"));
        for key in keys {
            assert!(object.get(key).is_some(), "no {at}/{key} in {stats}");
        }
    };
    let messages = [
        "submitted",
        "accepted",
        "rejected",
        "throttled",
        "pending",
        "delivered",
        "undeliverable",
        "expired",
        "deleted",
        "mo_accepted",
        "mo_delivered",
        "receipts_sent",
        "receipts_pending",
    ];
    has("", &["version", "uptime_s"]);
    has("/sessions", &["bound", "transmitter", "receiver", "transceiver"]);
    has("/messages", &messages);
    for latency in Latency::ALL {
        has(
            &format!("/latency/{}", latency.name()),
            &["count", "min_us", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us"],
        );
    }
    has("/accounts/demo", &messages);
    has("/accounts/demo", &["success_ratio", "sessions", "window", "throttled_by"]);
    assert_eq!(stats["accounts"]["demo"]["throttled_by"], serde_json::json!(["window"]));
    assert_eq!(stats["accounts"]["demo"]["window"], 1000);
}

#[test]
fn stats_and_metrics_move_with_traffic() {
    let control = Control::start(Config::default());
    let before = control.json("/stats");
    assert_eq!(before["messages"]["accepted"], 0);
    assert_eq!(before["accounts"]["demo"]["success_ratio"], Value::Null);
    let demo = AccountId(0);
    control.counters[0].add(Counter::BoundTransceiver, 2);
    control.counters[0].add_account(demo, AccountCounter::Accepted, 10);
    control.counters[1].add_account(demo, AccountCounter::Accepted, 5);
    control.counters[1].add_account(demo, AccountCounter::Delivered, 9);
    control.counters[0].add_account(demo, AccountCounter::Expired, 3);
    control.counters[0].add_account(demo, AccountCounter::ReceiptsCreated, 4);
    control.counters[1].add_account(demo, AccountCounter::ReceiptsSent, 1);
    let after = control.json("/stats");
    for messages in [&after["messages"], &after["accounts"]["demo"]] {
        assert_eq!((&messages["accepted"], &messages["pending"]), (&Value::from(15), &Value::from(3)));
        assert_eq!(messages["receipts_pending"], 3);
    }
    assert_eq!(after["accounts"]["demo"]["success_ratio"], 0.75);
    assert_eq!(after["sessions"]["bound"], 2);
    let (status, head, text) = control.request("GET", "/metrics", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text"));
    assert!(text.contains("\nsmscd_accepted_total{account=\"demo\"} 15\n"), "{text}");
    assert!(text.contains("\nsmscd_messages_pending{account=\"demo\"} 3\n"));
}

#[test]
fn latencies_add_up_and_a_storm_shares_one_fetch() {
    let control = Control::start(Config::default());
    let count = |stats: &Value| stats["latency"]["submit_resp"]["count"].as_u64().unwrap();
    let first = control.json("/stats");
    assert_eq!(count(&first), 20, "ten of each thread");
    let p50 = first["latency"]["submit_resp"]["p50_us"].as_f64().unwrap();
    assert!((49.0..52.0).contains(&p50), "{p50}");
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| control.json("/stats"));
        }
    });
    let fetches = control.snapshots.load(Ordering::SeqCst) / THREADS as u64;
    let allowed = 2 + (began.elapsed().as_millis() / 100) as u64;
    assert!(fetches <= allowed, "{fetches} fetches, {allowed} allowed");
    // Past the refresh interval, what was recorded meanwhile is added.
    let deadline = Instant::now() + Duration::from_secs(10);
    while count(&control.json("/stats")) < 60 {
        assert!(Instant::now() < deadline);
    }
    let (status, text) = control.get("/stats/latency/submit_resp");
    assert_eq!(status, 200);
    assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"), "{text}");
    let (status, text) = control.get("/stats/latency/nope");
    assert_eq!(status, 404);
    assert!(text.contains("submit_resp, commit, deliver_resp, end_to_end, receipt"), "{text}");
}

#[test]
fn the_page_health_and_sessions() {
    let control = Control::start(Config::default());
    let (status, head, page) = control.request("GET", "/", "", "");
    assert!(status == 200 && head.contains("text/html") && head.contains("content-security-policy"));
    assert!(page.contains("fetch(\"stats\")") && !page.contains("http://") && !page.contains("https://"));
    assert_eq!(control.get("/health").0, 200);
    assert_eq!(control.get("/ready").0, 200);
    let sessions = control.json("/sessions");
    let rows = sessions["sessions"].as_array().unwrap();
    assert_eq!(rows.len(), THREADS);
    assert_eq!((&rows[0]["account"], &rows[0]["bind"]), (&"demo".into(), &"transceiver".into()));
    assert_eq!(rows[1]["window"], serde_json::json!({"used": 3, "max": 10}));
    assert_eq!(control.get("/nope").0, 404);
    assert_eq!(control.request("DELETE", "/stats", "", "").0, 405);
}

#[test]
fn mo_goes_to_the_shard_of_its_destination() {
    let control = Control::start(Config::default());
    let body = |to: &str, text: &str| {
        serde_json::json!({"source_addr": "491", "destination_addr": to, "text": text}).to_string()
    };
    let (status, answer) = control.post(&body("121", "Hello [world]"));
    assert_eq!((status, &answer["message_id"]), (202, &"0123456789ABCDEF".into()));
    assert_eq!(control.post(&body("120", "Привет")).0, 202);
    let injected = control.injected.lock().clone();
    assert_eq!(injected[0].0, 1, "the last digit is odd");
    assert_eq!(
        (injected[0].1.data_coding, injected[0].1.short_message.as_slice()),
        (0, &b"Hello \x1b<world\x1b>"[..])
    );
    assert_eq!((injected[1].0, injected[1].1.data_coding), (0, 8));
    assert_eq!(&injected[1].1.short_message[..2], [0x04, 0x1F]);
    let (status, answer) = control.post(&body("404", "x"));
    assert_eq!((status, &answer["field"]), (404, &"destination_addr".into()));
    assert_eq!(control.post(&body("503", "x")).0, 503);
}

#[test]
fn bad_mo_bodies_name_the_field() {
    let control = Control::start(Config::default());
    let long = |n| format!(r#"{{"source_addr":"1","destination_addr":"2","text":"{}"}}"#, "a".repeat(n));
    assert_eq!(control.post(&long(254)).0, 202);
    for (body, field, error) in [
        (String::new(), Value::Null, "not a JSON object"),
        ("[]".to_owned(), Value::Null, "not a JSON object"),
        ("{\"a\":".to_owned(), Value::Null, "not a JSON object"),
        ("{}".to_owned(), "source_addr".into(), "is missing"),
        (r#"{"source_addr":5}"#.to_owned(), "source_addr".into(), "must be a string"),
        (r#"{"source_addr":"1"}"#.to_owned(), "destination_addr".into(), "is missing"),
        (r#"{"source_addr":"012345678901234567890"}"#.to_owned(), "source_addr".into(), "has 21 octets"),
        (
            r#"{"source_addr":"1","destination_addr":"\u0007"}"#.to_owned(),
            "destination_addr".into(),
            "printable",
        ),
        (r#"{"source_addr":"1","destination_addr":"2"}"#.to_owned(), "text".into(), "is missing"),
        (long(0), "text".into(), "takes 0 octets"),
        (long(255), "text".into(), "takes 255 octets"),
        (long(1).replace("{", r#"{"to":"1","#), Value::Null, "unknown field `to`"),
    ] {
        let (status, answer) = control.post(&body);
        assert_eq!((status, &answer["field"]), (400, &field), "{body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(error), "{body}: {answer}");
    }
    assert_eq!(control.request("POST", "/mo", "", &long(70_000)).0, 413);
    assert_eq!(control.injected.lock().len(), 1);
}

#[test]
fn messages_are_found_on_whichever_thread_has_them() {
    let control = Control::start(Config::default());
    let message = control.json("/messages/0123456789abcdef");
    assert_eq!((&message["message_state"], &message["account"]), (&"ENROUTE".into(), &"demo".into()));
    assert_eq!((&message["role"], &message["waits_for"]), (&"mt".into(), &"retry".into()));
    assert_eq!((&message["attempts"], &message["error_code"]), (&1.into(), &27.into()));
    assert_eq!((&message["scheduled_unix_ms"], &message["priority_flag"]), (&Value::Null, &2.into()));
    assert_eq!(message["next_attempt_unix_ms"], 1_700_000_005_000u64);
    assert_eq!(message["expires_unix_ms"], 1_700_000_600_000u64);
    assert_eq!((&message["destination_addr"], &message["final_unix_ms"]), (&"200".into(), &Value::Null));
    // In every form that an ESME may know it by, its answer has the hex one.
    for form in crate::base::IdForm::ALL {
        let text = form.text(MessageId::from_u64(0x0123_4567_89AB_CDEF));
        let path = format!("/messages/{}", std::str::from_utf8(text.as_bytes()).unwrap());
        assert_eq!(control.json(&path)["message_id"], "0123456789ABCDEF", "{path}");
    }
    for unknown in ["FFFFFFFFFFFFFFFF", "12345678", "81985529216486896", "00081985529216486896"] {
        let (status, answer) = control.get(&format!("/messages/{unknown}"));
        assert_eq!(status, 404, "{unknown}: {answer}");
        assert!(answer.contains("no such message"), "{answer}");
    }
    for wrong in [
        "12",
        "xyzxyzxy",
        "081985529216486895",
        "01234567-89ab-8cde-bc00-000000000000",
        "99999999999999999999",
    ] {
        let (status, answer) = control.get(&format!("/messages/{wrong}"));
        assert_eq!(status, 400, "{wrong}: {answer}");
        assert!(answer.contains("not a message id in any form"), "{answer}");
    }
}

#[test]
fn a_token_guards_what_changes_state() {
    let mut config = Config::default();
    config.http.admin_token = Secret::new("s3cret");
    let control = Control::start(config);
    let body = r#"{"source_addr":"1","destination_addr":"2","text":"x"}"#;
    for headers in
        ["", "Authorization: Bearer wrong!\r\n", "Authorization: s3cret\r\n", "Authorization: Bearer \r\n"]
    {
        assert_eq!(control.request("POST", "/mo", headers, body).0, 401, "{headers}");
    }
    assert_eq!(control.request("POST", "/mo", "Authorization: Bearer s3cret\r\n", body).0, 202);
    let counters = control.json("/stats")["counters"].clone();
    assert_eq!((&counters["http_unauthorized"], &counters["http_refused"]), (&4.into(), &0.into()));
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let control = Control::start(Config::default());
    let body = r#"{"source_addr":"1","destination_addr":"2","text":"x"}"#;
    for origin in ["https://example.com", "http://127.0.0.1:81", "null"] {
        assert_eq!(control.request("POST", "/mo", &format!("Origin: {origin}\r\n"), body).0, 403, "{origin}");
    }
    assert_eq!(control.request("POST", "/mo", "Origin: http://127.0.0.1\r\n", body).0, 202);
    assert_eq!(control.json("/stats")["counters"]["http_refused"], 3);
}

/// A page whose own name has come to mean 127.0.0.1 is of the same origin to its browser (DNS rebinding).
#[test]
fn on_loopback_without_a_token_it_answers_to_no_other_name() {
    let body = r#"{"source_addr":"1","destination_addr":"2","text":"x"}"#;
    let control = Control::start(Config::default());
    for name in ["example.com:2780", "example.com", "127.0.0.1.example.com", "localhost.example.com:80", ""] {
        let origin = format!("Origin: http://{name}\r\n");
        assert_eq!(control.request_to(name, "POST", "/mo", &origin, body).0, 403, "{name}");
        assert_eq!(control.request_to(name, "GET", "/sessions", "", "").0, 403, "{name}");
    }
    for name in ["127.0.0.1:2780", "localhost:2780", "LocalHost", "[::1]:2780", "[::1]", "192.0.2.7:80"] {
        assert_eq!(control.request_to(name, "GET", "/sessions", "", "").0, 200, "{name}");
    }
    let mut config = Config::default();
    config.http.admin_token = Secret::new("s3cret");
    let control = Control::start(config);
    assert_eq!(control.request_to("smscd.example.com", "GET", "/stats", "", "").0, 200);
    assert_eq!(control.request_to("smscd.example.com", "POST", "/mo", "", body).0, 401);
}

#[test]
fn a_stuck_engine_is_a_503_and_not_a_hang() {
    let mut config = Config::default();
    config.accounts.push(AccountConfig { system_id: "other".to_owned(), ..AccountConfig::default() });
    let control = Control::start_with(config, false);
    std::thread::scope(|scope| {
        for path in ["/stats", "/metrics", "/sessions", "/messages/0123456789ABCDEF"] {
            scope.spawn(|| assert_eq!(control.get(path).0, 503));
        }
        scope.spawn(|| assert_eq!(control.get("/health").0, 200));
    });
}

#[test]
fn shutdown_stops_accepting_then_waits_for_the_threads() {
    let mut control = Control::start(Config::default());
    assert!(control.accepting.load(Ordering::SeqCst));
    control.stop();
    let deadline = Instant::now() + Duration::from_secs(10);
    while control.get("/ready").0 != 503 {
        assert!(Instant::now() < deadline);
    }
    assert!(!control.accepting.load(Ordering::SeqCst));
    // Thread 1 still drains: the figures stay readable, nothing new is taken in.
    assert_eq!(control.json("/stats")["ready"], false);
    assert!(!control.thread.as_ref().unwrap().is_finished());
    control.leave.send(()).unwrap();
    control.join().unwrap();
    assert!(TcpStream::connect(control.http).is_err(), "HTTP is closed");
}

#[test]
fn a_thread_that_stays_is_named() {
    let mut config = Config::default();
    config.smpp.unbind_timeout_ms = 50;
    let mut control = Control::start(config);
    control.stop();
    let error = control.join().unwrap_err().to_string();
    assert!(error.contains("[1]"), "{error}");
}

#[test]
fn reload_and_config_need_the_token_where_there_is_one() {
    let mut config = Config::default();
    config.http.admin_token = Secret::new("t0ken");
    let control = Control::start(config);
    for (method, path) in
        [("POST", "/reload"), ("POST", "/reload?dry_run=true"), ("GET", "/config"), ("POST", "/mo")]
    {
        for headers in [
            "",
            "Authorization: Bearer t0kem\r\n",
            "Authorization: Basic t0ken\r\n",
            "Authorization: Bearer \r\n",
        ] {
            let (status, _, body) = control.request(method, path, headers, "");
            assert_eq!(status, 401, "{method} {path} {headers}");
            assert!(!body.contains("t0ken"));
        }
    }
    let bearer = "Authorization: Bearer t0ken\r\n";
    let (status, _, body) = control.request("GET", "/config", bearer, "");
    assert_eq!(status, 200);
    assert!(body.contains("admin_token = \"(redacted)\"") && !body.contains("t0ken"), "{body}");
    let (status, _, _) =
        control.request("POST", "/reload", &format!("{bearer}Origin: http://elsewhere\r\n"), "");
    assert_eq!(status, 403, "another site's page, with the operator's browser");
}

#[test]
fn a_reload_that_fails_says_where_and_one_that_is_tried_changes_nothing() {
    let control = Control::start(Config::default());
    let (status, _, body) = control.request("POST", "/reload", "", "");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, body["error"].as_str()),
        (422, Some("f.toml:3: account[0].window: 0 is out of range"))
    );
    assert_eq!(body["problems"][0]["place"], "f.toml:3");
    assert_eq!(body["problems"][0]["key"], "account[0].window");
    let (status, _, body) = control.request("POST", "/reload?dry_run=true", "", "");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &body["applied"], &body["changes"][0]["account"]),
        (200, &false.into(), &"new".into())
    );
    let (status, _, _) = control.request("GET", "/reload", "", "");
    assert_eq!(status, 405);
}
