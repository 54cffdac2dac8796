//! The generator as its users run it: the binary against its own floor, and against an SMSC that misbehaves.
#![allow(missing_docs, unreachable_pub)]

mod support;

use support::{Floor, Script, loadgen, not_an_smsc, run, smsc};

#[test]
fn closed_loop_against_the_floor_is_clean() {
    let floor = Floor::start(&[]);
    let (code, result, text) =
        run(&floor.address, &["--count", "100003", "--verify", "--sessions", "3", "--window", "50"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(result["submitted"], 100_003);
    assert_eq!(result["accepted"], 100_003);
    assert_eq!(result["submit_resp"]["count"], 100_003);
    assert_eq!(result["verification"]["passed"], true);
    assert!(result["accepted_per_s"].as_f64().unwrap() > 0.0);
    assert!(text.contains("submit to response"), "{text}");
}

#[test]
fn receipts_are_matched_with_and_without_verification() {
    let floor = Floor::start(&["--receipts"]);
    for extra in [&["--verify"][..], &[]] {
        let flags =
            [&["--count", "20000", "--receipts", "--threads", "2", "--sessions", "4"], extra].concat();
        let (code, result, text) = run(&floor.address, &flags);
        assert_eq!(code, 0, "{text}");
        assert_eq!(result["receipts"], 20_000);
        assert_eq!(result["submit_receipt"]["count"], 20_000);
    }
}

#[test]
fn windows_larger_than_the_sockets_buffers_lose_nothing() {
    let floor = Floor::start(&["--receipts"]);
    let flags = ["--count", "200000", "--receipts", "--verify", "--window", "50000", "--sessions", "2"];
    let (code, result, text) = run(&floor.address, &flags);
    assert_eq!(code, 0, "{text}");
    assert_eq!(result["verification"]["receipts_matched"], 200_000);
}

#[test]
fn open_loop_keeps_the_rate_and_says_how_late_it_was() {
    let floor = Floor::start(&[]);
    for arrivals in ["even", "poisson"] {
        let flags = ["--rate", "20000", "--arrivals", arrivals, "--duration", "500ms", "--warmup", "100ms"];
        let (code, result, text) = run(&floor.address, &flags);
        assert_eq!(code, 0, "{text}");
        // 600 ms at 20,000/s, of which 100 ms are not measured; Poisson arrivals spread a little around that.
        let (submitted, measured) =
            (result["submitted"].as_f64().unwrap(), result["submit_resp"]["count"].as_f64().unwrap());
        let spread = if arrivals == "even" { 1.0 } else { 500.0 };
        assert!((submitted - 12_000.0).abs() <= spread, "{arrivals}: {submitted}");
        assert!((measured - 10_000.0).abs() <= spread, "{arrivals}: {measured}");
        assert_eq!(result["open_loop"]["asked_per_s"], 20_000.0);
        assert!(result["open_loop"]["generator_lag"]["count"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_full_window_counts_as_lateness_in_the_open_loop() {
    // One response is never given: with a window of one, all later messages of that session wait for ever.
    let (address, _) = smsc(Script { no_response: Some(3), ..Script::default() });
    let flags = ["--rate", "1000", "--window", "1", "--sessions", "1", "--count", "20"];
    let (code, result, _) = run(&address.to_string(), &flags);
    assert_eq!(code, 1);
    assert_eq!(result["accepted"], 2);
    assert_eq!(result["submitted"], 3);
    assert_eq!(result["unanswered"], 18);
}

#[test]
fn transmitter_and_receiver_pairs_match_receipts_that_overtake() {
    let (address, answers) = smsc(Script { receipts_first_to_receiver: true, ..Script::default() });
    for extra in [&["--verify"][..], &["--threads", "1"]] {
        let flags = [&["--bind", "tx+rx", "--sessions", "2", "--count", "500", "--receipts"], extra].concat();
        let (code, result, text) = run(&address.to_string(), &flags);
        assert_eq!(code, 0, "{text}");
        assert_eq!(result["submit_receipt"]["count"], 500);
    }
    let answers = answers.lock().unwrap();
    assert_eq!((answers.deliver_sm_resp, answers.unbind), (1000, 8));
}

#[test]
fn each_fault_fails_verification() {
    let script = Script::default();
    for (script, fault) in [
        (Script { no_response: Some(5), ..script }, "unanswered"),
        (Script { second_response: Some(5), ..script }, "repeated_responses"),
        (Script { stray_response: Some(5), ..script }, "unknown_responses"),
        (Script { same_id: Some(5), ..script }, "repeated_ids"),
        (Script { no_receipt: Some(5), ..script }, "receipts_missing"),
        (Script { second_receipt: Some(5), ..script }, "receipts_repeated"),
        (Script { unknown_receipt: Some(5), ..script }, "receipts_unknown"),
    ] {
        let (address, _) = smsc(script);
        let flags = ["--count", "50", "--sessions", "1", "--receipts", "--verify"];
        let (code, result, text) = run(&address.to_string(), &flags);
        assert_eq!(code, 1, "{fault}: {text}");
        assert_eq!(result["verification"]["passed"], false, "{fault}");
        assert_eq!(result["verification"][fault], 1, "{fault}: {text}");
    }
    let (address, _) = smsc(script);
    let flags = ["--count", "50", "--sessions", "1", "--receipts", "--verify"];
    assert_eq!(run(&address.to_string(), &flags).0, 0, "and without a fault it passes");
}

#[test]
fn throttling_is_counted_and_on_request_repeated() {
    let (address, _) = smsc(Script { throttle_every: Some(3), ..Script::default() });
    let target = address.to_string();
    let flags = ["--count", "30", "--sessions", "1", "--window", "5"];
    let (code, result, text) = run(&target, &flags);
    assert_eq!(code, 0, "{text}");
    assert_eq!((&result["accepted"], &result["refused"]), (&20.into(), &10.into()));
    assert_eq!(result["errors"]["ESME_RTHROTTLED (0x00000058)"], 10);
    assert!(text.contains("ESME_RTHROTTLED (0x00000058)"), "{text}");
    for extra in [&["--retry-throttled"][..], &["--retry-throttled", "--rate", "2000"]] {
        let (code, result, text) = run(&target, &[&flags[..], extra].concat());
        assert_eq!(code, 0, "{text}");
        // 30 messages are accepted after 44 attempts, of which every third was throttled.
        let wanted = (&30.into(), &14.into(), &14.into(), &44.into());
        assert_eq!(
            (&result["accepted"], &result["refused"], &result["retried"], &result["submitted"]),
            wanted
        );
    }
}

#[test]
fn the_targets_own_requests_are_answered() {
    let (address, answers) = smsc(Script { chatty: true, ..Script::default() });
    let (code, result, text) =
        run(&address.to_string(), &["--count", "100", "--sessions", "2", "--receipts"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!((&result["mo_messages"], &result["enquire_links"]), (&100.into(), &100.into()));
    let answers = answers.lock().unwrap();
    assert_eq!((answers.deliver_sm_resp, answers.enquire_link_resp, answers.unbind), (200, 100, 2));
}

#[test]
fn a_lost_session_fails_the_run_and_says_why() {
    let (address, _) = smsc(Script { unbind: Some(5), ..Script::default() });
    let (code, result, text) =
        run(&address.to_string(), &["--count", "50", "--sessions", "1", "--window", "1"]);
    assert_eq!(code, 1);
    assert_eq!(result["sessions_lost"], 1);
    assert!(text.contains("the target sent unbind"), "{text}");
}

#[test]
fn idle_sessions_are_held_and_released() {
    let floor = Floor::start(&[]);
    let (code, result, text) = run(&floor.address, &["--idle", "50", "--duration", "300ms"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("idle ready sessions=50\n"), "{text}");
    assert_eq!((&result["sessions"], &result["sessions_lost"]), (&50.into(), &0.into()));
}

#[test]
fn what_is_no_smsc_is_named() {
    let (refusing, _) = smsc(Script { refuse_bind: Some(0x0E), ..Script::default() });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, sentence) in [
        (refusing, "refused bind_transceiver as \"demo\": ESME_RINVPASWD (0x0000000E)"),
        (closed, "connection refused"),
        (
            not_an_smsc(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "does not speak SMPP: it answered \"HTTP/1.1 400 Bad",
        ),
        (not_an_smsc(b""), "is it an SMPP port?"),
    ] {
        let output = loadgen(&address.to_string(), &["--count", "1"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(sentence), "{text}");
    }
}

#[test]
fn bad_usage_exits_with_2() {
    for flags in [&["--rate", "-1"][..], &["--no-such-flag"], &["--threads", "200"]] {
        let output = loadgen("127.0.0.1:1", flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn the_distribution_is_written_for_hdrhistograms_tools() {
    let (floor, folder) = (Floor::start(&["--receipts"]), tempfile::tempdir().unwrap());
    let path = folder.path().join("run.hgrm");
    let flags = ["--count", "1000", "--receipts", "--hgrm", path.to_str().unwrap()];
    assert_eq!(loadgen(&floor.address, &flags).status.code(), Some(0));
    for name in ["run.hgrm", "run.receipt.hgrm"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(head, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        let last: Vec<&str> =
            text.lines().rfind(|line| !line.starts_with('#')).unwrap().split_whitespace().collect();
        assert_eq!(last[1..], ["1.000000000000", "1000"]);
        assert!(text.contains("Total count    =         1000"), "{text}");
    }
}
