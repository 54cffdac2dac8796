//! What it tells: statistics, metrics, latencies, health, sessions, messages.

use super::*;

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
