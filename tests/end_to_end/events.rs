//! Event records: one line for each event of a message that is asked for, whole and in time, and none when the disk is full.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::esme::*;
use crate::support::{DEADLINE, Daemon, Layout, run};

const ACCOUNTS: &str = "
[[account]]
system_id = \"demo\"
password = \"demo\"
addresses = [\"12345\"]

[[network.profile]]
prefix = \"\"
delay = { distribution = \"fixed\", mean_ms = 0, max_ms = 0 }

[[network.profile]]
prefix = \"4999\"
delivered_per_mille = 0
undeliverable_per_mille = 1000
undeliverable_error = 27
";

fn config(path: &Path, keys: &str) -> String {
    format!("[edr]\npath = \"{}\"\n{keys}\n{ACCOUNTS}", path.display())
}

#[test]
fn each_message_has_one_record_with_what_became_of_it() {
    for layout in [Layout::ONE_BY_ONE, Layout::TWO_BY_TWO] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("edr.jsonl");
        let mut daemon = Daemon::start(&config(&path, "format = \"jsonl\"\nbodies = true"), layout);
        let mut esme = daemon.bind(Mode::Transceiver);
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(esme.submit(&Sm::new("12345", &format!("4470{n}"), "hello")));
        }
        let failed = esme.submit(&Sm::new("12345", "49991", "nobody"));
        let to_esme = esme.submit(&Sm { data_coding: 4, ..Sm::new("99", "12345", "\u{1}\n\"") });
        esme.take_delivery();
        let mo = daemon.inject_mo("491701", "12345", "from a subscriber");
        esme.take_delivery();
        // A refused one is none: it never was a message.
        esme.submit_refused(&Sm { priority: 9, ..Sm::new("1", "4470", "x") });
        daemon.await_stats(&[("/counters/event_records_written", 23)]);
        daemon.signal(Signal::TERM);
        esme.expect(UNBIND, 0);
        drop(esme);
        assert!(daemon.wait().success());

        let text = std::fs::read_to_string(&path).expect("records");
        let records: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
        assert_eq!(records.len(), 23);
        let of = |id: &str| -> &Value {
            let mut found = records.iter().filter(|record| record["message_id"] == id);
            let record = found.next().unwrap_or_else(|| panic!("no {id} in {text}"));
            assert_eq!(found.next(), None, "a second record of {id}");
            record
        };
        for id in &ids {
            let record = of(id);
            assert_eq!((&record["message_state"], &record["kind"]), (&"DELIVERED".into(), &"mt".into()));
            assert_eq!((&record["account"], &record["source_addr"]), (&"demo".into(), &"12345".into()));
            assert_eq!((&record["octets"], &record["message_hex"]), (&5.into(), &"68656C6C6F".into()));
            assert_eq!(record["attempts"], 1);
            assert!(record["accepted"].as_str() <= record["time"].as_str(), "{record}");
        }
        let record = of(&failed);
        assert_eq!((&record["message_state"], &record["error_code"]), (&"UNDELIVERABLE".into(), &27.into()));
        assert_eq!(of(&to_esme)["message_hex"], "010A22");
        let record = of(&mo);
        assert_eq!((&record["kind"], &record["message_state"]), (&"mo".into(), &"DELIVERED".into()));
        assert_eq!(
            (&record["source_addr"], &record["destination_addr"]),
            (&"491701".into(), &"12345".into())
        );
    }
}

#[test]
fn attempts_that_fail_for_now_have_records_if_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("edr.jsonl");
    let retries = "[retry.absent]\nfirst_ms = 20\nfactor = 1\nmax_ms = 20\njitter_percent = 0\n";
    let absent = "[[network.profile]]\nprefix = \"4998\"\ndelivered_per_mille = 0\nabsent_per_mille = 1000\n\
        absent_ms = 3600000\ndelay = { distribution = \"fixed\", mean_ms = 0, max_ms = 0 }\n";
    let keys = "format = \"jsonl\"\nevents = [\"attempt\", \"final\"]";
    let daemon = Daemon::start(&(config(&path, keys) + absent + retries), Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transmitter);
    let fine = esme.submit(&Sm::new("12345", "4470", "hello"));
    let expired =
        esme.submit(&Sm { validity: "000000000001000R".to_owned(), ..Sm::new("12345", "49981", "x") });
    daemon.await_stats(&[("/messages/expired", 1), ("/messages/delivered", 1)]);
    let records = || -> Vec<Value> {
        let text = std::fs::read_to_string(&path).expect("records");
        // The last line may be half-written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let of = |id: &str| -> Vec<Value> {
        let since = std::time::Instant::now();
        loop {
            let found: Vec<Value> =
                records().into_iter().filter(|record| record["message_id"] == id).collect();
            if found.last().is_some_and(|record| record["event"] == "final") {
                return found;
            }
            assert!(since.elapsed() < DEADLINE, "{found:?}");
        }
    };
    assert_eq!(of(&fine).len(), 1);
    let expired = of(&expired);
    let (end, attempts) = expired.split_last().expect("records");
    assert_eq!(
        (&end["message_state"], end["attempts"].as_u64()),
        (&"EXPIRED".into(), Some(attempts.len() as u64))
    );
    assert!(attempts.len() > 2, "{}", attempts.len());
    for (n, attempt) in (1..).zip(attempts) {
        assert_eq!((&attempt["event"], &attempt["message_state"]), (&"attempt".into(), &"ENROUTE".into()));
        assert_eq!(
            (attempt["attempts"].as_u64(), attempt["error_code"].as_u64()),
            (Some(n), Some(27)),
            "{attempt}"
        );
        // Each time of acceptance is rounded to the millisecond by itself.
        let times = [&attempt["accepted"], &attempt["time"], &end["time"]].map(Value::as_str);
        assert!(times.is_sorted(), "{attempt} {end}");
    }
}

/// However a message comes in, and however long the store takes to hold it: its acceptance is one line, before all others.
#[test]
fn acceptance_has_a_record_if_asked_for() {
    const BROADCAST: &[u8] =
        b"\0\x01\x0112345\0\0\0\0\0\0\0\0\x06\x06\0\x07\0Dublin\x06\x01\0\x03\0\0\x01\x06\x04\0\x02\0\x01\
        \x06\x05\0\x03\x08\0\x01\x04\x24\0\x02hi";
    for (durability, layout) in [("none", Layout::ONE_BY_ONE), ("sync", Layout::TWO_BY_TWO)] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("edr.jsonl");
        let keys = "format = \"jsonl\"\nevents = [\"final\", \"accepted\"]";
        let rest = format!(
            "[[network.area]]\nname = \"Dublin\"\ncells = 2\n[store]\ndurability = \"{durability}\"\n"
        );
        let mut daemon = Daemon::start(&(config(&path, keys) + &rest), layout);
        let mut esme = RawEsme::connect(daemon.smpp);
        assert_eq!(esme.try_bind(Mode::Transceiver, "demo", "demo", 0x50, "").status, ESME_ROK);
        let fine = esme.submit(&Sm::new("12345", "4470", "hello"));
        let later = esme.submit(&Sm { schedule: "000000010000000R".to_owned(), ..Sm::new("1", "4470", "x") });
        let multi = [
            &b"\0\x01\x0112345\0\x02\x01\x01\x014470\0\x01\x01\x014471\0"[..],
            b"\0\0\0\0\0\0\0\0\0\x05hello",
        ];
        esme.request(SUBMIT_MULTI, &multi.concat());
        esme.expect(SUBMIT_MULTI | RESP, ESME_ROK);
        esme.request(BROADCAST_SM, BROADCAST);
        esme.expect(BROADCAST_SM | RESP, ESME_ROK);
        let mo = daemon.inject_mo("491701", "12345", "from a subscriber");
        esme.take_delivery();
        esme.submit_refused(&Sm { priority: 9, ..Sm::new("1", "4470", "x") });
        // All six are accepted, and all but the scheduled one come to their end.
        daemon.await_stats(&[("/counters/event_records_written", 11)]);
        daemon.signal(Signal::TERM);
        esme.expect(UNBIND, 0);
        drop(esme);
        assert!(daemon.wait().success());

        let text = std::fs::read_to_string(&path).expect("records");
        let mut events = std::collections::BTreeMap::<String, Vec<String>>::new();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).expect("a JSON object");
            let word = |name: &str| record[name].as_str().expect("text").to_owned();
            events.entry(word("message_id")).or_default().push(word("event"));
            if record["event"] == "accepted" {
                assert_eq!((word("message_state"), &record["attempts"]), ("ENROUTE".to_owned(), &0.into()));
            }
        }
        assert_eq!(events.len(), 6, "{text}");
        for (id, events) in &events {
            let expected: &[&str] = if *id == later { &["accepted"] } else { &["accepted", "final"] };
            assert_eq!(events, expected, "{id}: {text}");
        }
        assert!(events.contains_key(&fine) && events.contains_key(&mo));
    }
}

#[test]
fn csv_files_rotate_and_lose_nothing_under_load() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("edr.csv");
    let daemon = Daemon::start(
        &(config(&path, "rotate_bytes = 65536") + "[store]\ndurability = \"none\"\n"),
        Layout::TWO_BY_TWO,
    );
    let mut esme = daemon.bind(Mode::Transmitter);
    const MESSAGES: u64 = 3_000;
    let mut octets = Vec::new();
    for sequence in 0..MESSAGES as u32 {
        let sm = Sm::new("12345", &format!("4470{sequence}"), "a secret text");
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &sm.encode()));
    }
    esme.send(&octets);
    for _ in 0..MESSAGES {
        esme.expect(SUBMIT_SM | RESP, ESME_ROK);
    }
    daemon.await_stats(&[("/counters/event_records_written", MESSAGES), ("/counters/event_records_lost", 0)]);
    let (mut files, mut records) = (0, 0);
    let mut seen = std::collections::HashSet::new();
    for entry in std::fs::read_dir(dir.path()).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
        let mut lines = text.lines();
        let header = lines.next().expect("a header");
        assert!(header.starts_with("event,message_id,kind,account,"), "{header}");
        for line in lines {
            assert_eq!(line.split(',').count(), header.split(',').count(), "{line}");
            assert!(seen.insert(line.split(',').nth(1).expect("an id").to_owned()));
            records += 1;
        }
        assert!(text.len() <= 65_536 && !text.contains("secret"), "bodies are written only if asked for");
        files += 1;
    }
    assert_eq!(records, MESSAGES);
    assert!(files > 3, "{files}");
}

#[test]
fn a_file_that_can_not_be_opened_is_named_at_the_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("smscd.toml");
    std::fs::write(&file, config(&dir.path().join("no/such/folder/edr.csv"), "")).expect("written");
    let data = dir.path().join("data");
    let flags = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"];
    let (code, _, stderr) =
        run(&[&flags[..], &[data.to_str().expect("a name"), "--config", file.to_str().expect("a name")]]
            .concat());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("edr.path") && stderr.contains("no/such/folder/edr.csv"), "{stderr}");
}

#[test]
fn traffic_goes_on_when_records_can_not_be_written() {
    // A device that takes nothing.
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let daemon = Daemon::start(&config(full, "format = \"jsonl\""), Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    for n in 0..50 {
        let id = esme.submit(&Sm::with_receipt("12345", &format!("4470{n}"), "x"));
        assert_eq!(esme.take_delivery().receipted_id(), id);
    }
    daemon.await_log("event records can't be written");
    daemon.await_stats(&[("/counters/event_records_lost", 50), ("/counters/event_records_written", 0)]);
}
