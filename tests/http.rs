//! The HTTP side of the running daemon: the paths, keys and names that other people's scripts rely on, and that the
//! figures move with the traffic.

mod support;

use std::collections::{BTreeSet, HashMap};

use rustix::process::Signal;
use serde_json::Value;

use support::esme::*;
use support::{Daemon, Layout, http};

/// The message counts that `/stats` has at least, in all and per account.
const MESSAGES: [&str; 13] = [
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

const LATENCIES: [&str; 5] = ["submit_resp", "commit", "deliver_resp", "end_to_end", "receipt"];

const FIGURES: [&str; 9] =
    ["count", "min_us", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us"];

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

fn assert_has(value: &Value, expected: &[&str]) {
    let found = keys(value);
    for key in expected {
        assert!(found.contains(key), "no {key} in {found:?}");
    }
}

/// Some traffic of every kind: 10 submissions with receipts, one refused, 3 MO messages.
fn traffic(daemon: &Daemon) -> RawEsme {
    let mut esme = daemon.bind(Mode::Transceiver);
    for n in 0..10 {
        esme.submit(&Sm::with_receipt("12345", &format!("4470{n}"), "hi"));
        esme.take_delivery();
    }
    esme.submit_refused(&Sm { priority: 9, ..Sm::new("12345", "4470", "hi") });
    for _ in 0..3 {
        daemon.inject_mo("491701", "12345", "hello");
        esme.take_delivery();
    }
    daemon.await_stats(&[("/messages/receipts_sent", 10), ("/messages/mo_delivered", 3)]);
    esme
}

#[test]
fn stats_have_the_contracts_keys_and_move_with_the_traffic() {
    let daemon = Daemon::start("", Layout::TWO_BY_TWO);
    let before = daemon.stats();
    assert_has(&before, &["version", "uptime_s", "sessions", "messages", "latency", "accounts"]);
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert_has(&before["sessions"], &["bound", "transmitter", "receiver", "transceiver"]);
    assert_has(&before["messages"], &MESSAGES);
    assert_eq!(keys(&before["latency"]), LATENCIES.into());
    for name in LATENCIES {
        assert_eq!(keys(&before["latency"][name]), FIGURES.into());
        assert_eq!(before["latency"][name]["count"], 0);
    }
    let account = &before["accounts"]["demo"];
    assert_has(account, &MESSAGES);
    assert_has(account, &["success_ratio", "sessions", "window", "throttled_by"]);
    assert!(account["success_ratio"].is_null(), "nothing is final yet");
    for key in MESSAGES {
        assert_eq!((&before["messages"][key], &account[key]), (&0.into(), &0.into()), "{key}");
    }

    let esme = traffic(&daemon);
    let counts = [
        ("/latency/submit_resp/count", 11),
        ("/latency/deliver_resp/count", 13),
        ("/latency/end_to_end/count", 10),
        ("/latency/receipt/count", 10),
    ];
    // Latencies are fetched from the hot threads at most every 100 ms.
    daemon.await_stats(&counts);
    let after = daemon.stats();
    assert!(after["uptime_s"].as_f64() > before["uptime_s"].as_f64());
    assert_eq!((&after["sessions"]["bound"], &after["sessions"]["transceiver"]), (&1.into(), &1.into()));
    let expected = HashMap::from([
        ("submitted", 11),
        ("accepted", 10),
        ("rejected", 1),
        ("delivered", 10),
        ("mo_accepted", 3),
        ("mo_delivered", 3),
        ("receipts_sent", 10),
    ]);
    for key in MESSAGES {
        let value = Value::from(*expected.get(key).unwrap_or(&0));
        assert_eq!((&after["messages"][key], &after["accounts"]["demo"][key]), (&value, &value), "{key}");
    }
    assert_eq!(after["accounts"]["demo"]["success_ratio"], 1.0);
    assert_eq!(after["accounts"]["demo"]["sessions"], 1);
    for (pointer, _) in counts {
        let name = pointer.trim_start_matches("/latency/").trim_end_matches("/count");
        let figures = &after["latency"][name];
        let at = |key: &str| figures[key].as_f64().expect("a number");
        let quantiles = ["min_us", "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us"].map(at);
        assert!(quantiles.is_sorted() && at("max_us") > 0.0, "{name}: {figures}");
        assert!((at("min_us")..=at("max_us")).contains(&at("mean_us")), "{name}: {figures}");
    }
    drop(esme);
}

#[test]
fn latencies_come_as_hgrm() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let _esme = traffic(&daemon);
    daemon.await_stats(&[("/latency/submit_resp/count", 11), ("/latency/receipt/count", 10)]);
    for name in LATENCIES {
        let response = daemon.get(&format!("/stats/latency/{name}"));
        assert_eq!(response.status, 200);
        let mut lines = response.body.lines();
        let head: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
        assert_eq!(head, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        let rows: Vec<Vec<f64>> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|cell| cell.parse().expect("a number")).collect())
            .collect();
        let footer: Vec<&str> = response.body.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(footer.len(), 3, "{}", response.body);
        assert!(footer[0].starts_with("#[Mean") && footer[1].starts_with("#[Max"), "{footer:?}");
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
        let count = daemon.stat(&format!("/latency/{name}/count"));
        if let Some(last) = rows.last() {
            assert_eq!((last[1], last[2] as u64), (1.0, count), "{name}: {last:?}");
        } else {
            assert_eq!(count, 0, "{name}");
        }
    }
    let unknown = daemon.get("/stats/latency/nonsense");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("end_to_end"), "it names those that there are: {}", unknown.body);
}

/// The samples of the Prometheus text, by name with labels, each belonging to a described metric.
fn samples(text: &str) -> HashMap<String, f64> {
    let mut types = HashMap::new();
    let mut samples = HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(name.starts_with("smscd_"), "{name}");
            assert!(types.insert(name, kind).is_none(), "{name} is described twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            let bare = name.split('{').next().expect("a name");
            let metric = ["_total", "_bucket", "_count", "_sum", ""]
                .iter()
                .filter_map(|suffix| bare.strip_suffix(suffix))
                .find_map(|base| types.get(base));
            assert!(metric.is_some(), "{line} belongs to no metric");
            assert!(samples.insert(name.to_owned(), value.parse().expect("a value")).is_none(), "{line}");
        }
    }
    assert_eq!(text.lines().last(), Some("# EOF"));
    samples
}

#[test]
fn metrics_parse_and_agree_with_stats() {
    let daemon = Daemon::start("", Layout::TWO_BY_TWO);
    let _esme = traffic(&daemon);
    daemon.await_stats(&[("/latency/submit_resp/count", 11), ("/latency/receipt/count", 10)]);
    let response = daemon.get("/metrics");
    assert_eq!(response.status, 200);
    assert!(
        response.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")),
        "{response:?}"
    );
    let samples = samples(&response.body);
    let sample = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name}:\n{}", response.body));
    let stats = daemon.stats();
    for (name, pointer) in [
        ("smscd_submitted_total{account=\"demo\"}", "/messages/submitted"),
        ("smscd_accepted_total{account=\"demo\"}", "/messages/accepted"),
        ("smscd_rejected_total{account=\"demo\"}", "/messages/rejected"),
        ("smscd_delivered_total{account=\"demo\"}", "/messages/delivered"),
        ("smscd_mo_delivered_total{account=\"demo\"}", "/messages/mo_delivered"),
        ("smscd_receipts_sent_total{account=\"demo\"}", "/messages/receipts_sent"),
        ("smscd_sessions{account=\"demo\"}", "/sessions/bound"),
        ("smscd_bound_sessions{bind=\"transceiver\"}", "/sessions/transceiver"),
        ("smscd_submit_resp_seconds_count", "/latency/submit_resp/count"),
        ("smscd_receipt_seconds_bucket{le=\"+Inf\"}", "/latency/receipt/count"),
        ("smscd_malformed_pdus_total", "/counters/malformed_pdus"),
    ] {
        assert_eq!(Some(sample(name)), stats.pointer(pointer).and_then(Value::as_f64), "{name}");
    }
    assert_eq!(sample("smscd_ready"), 1.0);
}

#[test]
fn sessions_are_listed() {
    let daemon = Daemon::start("", Layout::TWO_BY_TWO);
    assert_eq!(daemon.get("/sessions").json(), serde_json::json!({ "sessions": [] }));
    let mut sessions: Vec<RawEsme> = Mode::ALL.map(|mode| daemon.bind(mode)).into();
    sessions[0].submit(&Sm::new("12345", "4470", "hi"));
    let listed = daemon.get("/sessions").json();
    let rows = listed["sessions"].as_array().expect("a list");
    assert_eq!(rows.len(), 3);
    for (esme, bind) in sessions.iter().zip(["transmitter", "receiver", "transceiver"]) {
        let row =
            rows.iter().find(|row| row["bind"] == bind).unwrap_or_else(|| panic!("no {bind}: {listed}"));
        assert_eq!(row["account"], "demo");
        assert_eq!(row["peer"], esme.local_addr().to_string());
        assert_eq!(row["interface_version"], "0x34");
        assert_eq!(row["submitted"], u64::from(bind == "transmitter"));
        assert_eq!(row["window"]["max"], 1000);
        assert!(row["throttled_by"].is_null());
    }
}

#[test]
fn errors_in_mo_name_the_field() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    // (body, field to blame, part of what is said)
    let cases = [
        ("", None, "not a JSON object"),
        ("[]", None, "not a JSON object"),
        ("{\"source_addr\":", None, "not a JSON object"),
        (r#"{}"#, Some("source_addr"), "missing"),
        (r#"{"source_addr":"1","text":"x"}"#, Some("destination_addr"), "missing"),
        (r#"{"source_addr":"1","destination_addr":"12345"}"#, Some("text"), "missing"),
        (r#"{"source_addr":1,"destination_addr":"12345","text":"x"}"#, Some("source_addr"), "string"),
        (r#"{"source_addr":"","destination_addr":"12345","text":"x"}"#, Some("source_addr"), "1 to 20"),
        (
            r#"{"source_addr":"1","destination_addr":"123456789012345678901","text":"x"}"#,
            Some("destination_addr"),
            "1 to 20",
        ),
        (r#"{"source_addr":"\u0001","destination_addr":"12345","text":"x"}"#, Some("source_addr"), "ASCII"),
        (r#"{"source_addr":"1","destination_addr":"12345","text":""}"#, Some("text"), "1 to 254"),
        (r#"{"source_addr":"1","destination_addr":"12345","text":"x","txt":1}"#, None, "txt"),
    ];
    let octets = [
        (r#""text":"x","short_message_hex":"00""#, None, "text"),
        (r#""text":"x","data_coding":4"#, Some("data_coding"), "short_message_hex"),
        (r#""text":"x","esm_class":64"#, Some("esm_class"), "short_message_hex"),
        (r#""short_message_hex":"00","esm_class":4"#, Some("esm_class"), "64"),
        (r#""short_message_hex":"00","esm_class":"64""#, Some("esm_class"), "0 to 255"),
        (r#""short_message_hex":"00","data_coding":256"#, Some("data_coding"), "0 to 255"),
        (r#""short_message_hex":"00","data_coding":-1"#, Some("data_coding"), "0 to 255"),
        (r#""short_message_hex":"0""#, Some("short_message_hex"), "hex digits"),
        (r#""short_message_hex":"+0""#, Some("short_message_hex"), "hex digits"),
        (r#""short_message_hex":7"#, Some("short_message_hex"), "hex digits"),
        (r#""short_message_hex":"""#, Some("short_message_hex"), "1 to 254"),
        (r#""short_message_hex":"0500","esm_class":64"#, Some("short_message_hex"), "UDH"),
    ]
    .map(|(rest, field, what)| {
        (format!(r#"{{"source_addr":"1","destination_addr":"12345",{rest}}}"#), field, what)
    });
    let cases = cases.into_iter().map(|(body, field, what)| (body.to_owned(), field, what)).chain(octets);
    for (body, field, what) in cases {
        let response = http::request(daemon.http, "POST", "/mo", &[], body.as_bytes());
        assert_eq!(response.status, 400, "{body}: {response:?}");
        let error = response.json();
        assert_eq!(error["field"].as_str(), field, "{body}: {error}");
        let said = error["error"].as_str().expect("an error");
        assert!(said.contains(what) && field.is_none_or(|field| said.contains(field)), "{body}: {said}");
    }
    let long = format!(r#"{{"source_addr":"1","destination_addr":"12345","text":"{}"}}"#, "x".repeat(255));
    let response = http::request(daemon.http, "POST", "/mo", &[], long.as_bytes());
    assert_eq!((response.status, &response.json()["field"]), (400, &"text".into()));
    let huge = vec![b'x'; 100_000];
    assert_eq!(http::request(daemon.http, "POST", "/mo", &[], &huge).status, 413);
    daemon.await_stats(&[("/messages/mo_accepted", 0)]);
}

#[test]
fn a_phones_octets_arrive_as_they_are() {
    let daemon = Daemon::start("", Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    for part in 1..=2u8 {
        let mut octets = vec![5, 0, 3, 0xA7, 2, part];
        octets.resize(254, part);
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let body = serde_json::json!({
            "source_addr": "491701", "destination_addr": "12345",
            "esm_class": 0x40, "data_coding": 4, "short_message_hex": hex
        });
        assert_eq!(daemon.post("/mo", &[], &body.to_string()).status, 202);
        let sm = esme.take_delivery();
        assert_eq!((sm.esm_class, sm.data_coding, sm.text), (0x40, 4, octets));
    }
    let longer = format!(
        r#"{{"source_addr":"1","destination_addr":"12345","short_message_hex":"{}"}}"#,
        "00".repeat(255)
    );
    let response = daemon.post("/mo", &[], &longer);
    assert_eq!((response.status, &response.json()["field"]), (400, &"short_message_hex".into()));
}

#[test]
fn what_changes_state_needs_the_token() {
    let daemon = Daemon::start("[http]\nadmin_token = \"a-token-of-some-length\"\n", Layout::AUTOMATIC);
    let body = br#"{"source_addr":"1","destination_addr":"12345","text":"x"}"#;
    let post = |headers: &[(&str, &str)]| http::request(daemon.http, "POST", "/mo", headers, body).status;
    assert_eq!(post(&[]), 401);
    assert_eq!(post(&[("authorization", "Bearer wrong")]), 401);
    assert_eq!(post(&[("authorization", "a-token-of-some-length")]), 401);
    assert_eq!(post(&[("authorization", "Bearer a-token-of-some-length")]), 202);
    assert_eq!(daemon.get("/stats").status, 200, "reading needs none");
}

#[test]
fn health_readiness_page_and_wrong_paths() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    assert_eq!((daemon.get("/health").status, daemon.get("/ready").status), (200, 200));
    let page = daemon.get("/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert_eq!(daemon.get("/nonsense").status, 404);
    assert_eq!(daemon.get("/mo").status, 405);
    assert_eq!(http::request(daemon.http, "POST", "/stats", &[], b"").status, 405);
}

#[test]
fn not_ready_while_shutting_down() {
    let mut daemon = Daemon::start("", Layout::AUTOMATIC);
    let mut esme = daemon.bind(Mode::Transceiver);
    daemon.signal(Signal::TERM);
    let unbind = esme.expect(UNBIND, 0);
    // Our answer is outstanding, so the daemon is still there.
    assert_eq!((daemon.get("/ready").status, daemon.get("/health").status), (503, 200));
    assert_eq!(daemon.get("/stats").json()["ready"], false);
    let body = br#"{"source_addr":"1","destination_addr":"12345","text":"x"}"#;
    assert_eq!(http::request(daemon.http, "POST", "/mo", &[], body).status, 503);
    assert!(std::net::TcpStream::connect(daemon.smpp.addr).is_err(), "no more connections are accepted");
    esme.respond(&unbind, ESME_ROK);
    esme.expect_end();
    drop(esme);
    assert_eq!(daemon.wait().code(), Some(0));
}

/// Requests one after the other on one connection, as scrapers send them.
#[test]
fn a_connection_is_kept_alive() {
    use std::io::{Read, Write};
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let mut stream = std::net::TcpStream::connect(daemon.http).expect("HTTP listens");
    stream.set_read_timeout(Some(support::DEADLINE)).expect("a timeout");
    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).expect("an answer");
            answer.push(octet[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}
