//! The running daemon's data folder: what `smscd store` says of it, other numbers of shards, folders that can't be used,
//! damage, and a store that is full.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::esme::{ESME_RMSGQFUL, Mode, Sm};
use support::{Daemon, Layout, run};

/// Segments as small as may be, and 8 of them in all.
const SMALL: &str = r#"
[store]
segment_bytes = 2097152
disk_bytes_max = 16777216
"#;

fn tool(command: &str, data: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let data = data.to_str().expect("a name");
    run(&[&["store", command, "--data-dir", data], flags].concat())
}

/// Every file below, with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).expect("readable"));
        }
    }
    files
}

/// A daemon that was killed with so many messages scheduled an hour ahead; their ids.
fn killed_with(data: &Path, messages: usize, layout: Layout) -> Vec<String> {
    let mut daemon = Daemon::start_on(Some(data), SMALL, layout);
    let mut esme = daemon.bind(Mode::Transmitter);
    let ids = (0..messages)
        .map(|number| {
            let sm = Sm::with_receipt("12345", &format!("4477009{number:05}"), "secret");
            esme.submit(&Sm { schedule: "000000010000000R".to_owned(), ..sm })
        })
        .collect();
    daemon.kill();
    ids
}

/// The first segment of shard 0 that holds something.
fn segment(data: &Path) -> PathBuf {
    let used = |(_, bytes): &(&PathBuf, &Vec<u8>)| bytes.starts_with(b"SMJ1");
    content(&data.join("layout-1/shard-0")).iter().find(used).expect("a segment in use").0.clone()
}

#[test]
fn the_tools_tell_what_is_there_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ids = killed_with(folder.path(), 20, Layout::ONE_BY_ONE);
    let before = content(folder.path());
    let (code, stdout, stderr) = tool("check", folder.path(), &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for line in ["pending in all: 20", "no damage", "shard 0: 20 messages"] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    let (code, stdout, stderr) = tool("dump", folder.path(), &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let dumped: Vec<&str> = lines.iter().map(|line| line["message_id"].as_str().expect("an id")).collect();
    assert_eq!(dumped, ids);
    assert!(lines.iter().all(|line| line["account"] == "demo" && line["kind"] == "mt"));
    assert!(!stdout.contains("body") && !stdout.contains("destination_addr"), "{stdout}");
    let (code, stdout, _) = tool("dump", folder.path(), &["--bodies"]);
    assert_eq!(code, Some(0));
    // "secret" in hexadecimal.
    assert_eq!(stdout.matches("736563726574").count(), 20, "{stdout}");
    let (code, stdout, _) = tool("stats", folder.path(), &[]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("shard 0: 20 messages in "), "{stdout}");
    assert!(content(folder.path()) == before, "only to be read");
}

#[test]
fn damage_is_told_with_its_place_and_the_daemon_keeps_the_rest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ids = killed_with(folder.path(), 20, Layout::ONE_BY_ONE);
    let path = segment(folder.path());
    let mut bytes = fs::read(&path).expect("readable");
    // In the third frame: frames are a page each, with one message, since each submission waited for its answer.
    bytes[2 * 4096 + 100] ^= 0x10;
    fs::write(&path, &bytes).expect("written");
    let (code, stdout, stderr) = tool("check", folder.path(), &[]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let place = format!("DAMAGE in {name} (segment ");
    assert!(stdout.contains(&place) && stdout.contains(") at 8192: 1 entries lost"), "{stdout}");
    assert!(stdout.contains("pending in all: 19") && stdout.contains("the store is damaged"), "{stdout}");

    let daemon = Daemon::start_on(Some(folder.path()), SMALL, Layout::ONE_BY_ONE);
    daemon.await_stats(&[("/messages/pending", 19)]);
    assert!(daemon.stderr().contains("the store is damaged"), "{}", daemon.stderr());
    let known = |id: &&String| daemon.get(&format!("/messages/{id}")).status == 200;
    assert_eq!(ids.iter().filter(known).count(), 19);
}

#[test]
fn a_body_that_is_damaged_behind_a_running_daemons_back_is_told_and_never_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ids = killed_with(folder.path(), 3, Layout::ONE_BY_ONE);
    // After a start bodies are in no memory; they are read when they are wanted.
    let daemon = Daemon::start_on(Some(folder.path()), SMALL, Layout::ONE_BY_ONE);
    daemon.await_stats(&[("/messages/pending", 3), ("/store/damaged_reads", 0)]);
    let path = segment(folder.path());
    let body = fs::read(&path).expect("readable").windows(6).position(|octets| octets == b"secret");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("writable");
    file.write_all_at(b"SECRET", body.expect("the first message's text") as u64).expect("written");
    let message = |id: &str| daemon.get(&format!("/messages/{id}")).json();
    assert_eq!(message(&ids[1])["destination_addr"], "447700900001");
    assert_eq!(message(&ids[0])["destination_addr"], serde_json::Value::Null);
    daemon.await_stats(&[("/store/damaged_reads", 1), ("/store/disk_reads", 2)]);
    daemon.await_log("a message here could not be read back");
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let number = name.trim_start_matches("segment-").trim_start_matches('0');
    assert!(daemon.stderr().contains(&format!("file={number} ")), "{}", daemon.stderr());
}

#[test]
fn another_number_of_shards_finds_every_message() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ids = killed_with(folder.path(), 30, Layout::ONE_BY_ONE);
    for layout in [Layout::TWO_BY_TWO, Layout::ONE_BY_THREE, Layout::ONE_BY_ONE] {
        let mut daemon = Daemon::start_on(Some(folder.path()), SMALL, layout);
        daemon.await_stats(&[("/messages/pending", 30)]);
        for id in &ids {
            let response = daemon.get(&format!("/messages/{id}"));
            assert_eq!(response.status, 200, "{id} with {layout:?}");
            assert_eq!(response.json()["waits_for"], "schedule");
        }
        daemon.kill();
        let (code, stdout, _) = tool("check", folder.path(), &[]);
        assert_eq!(code, Some(0), "{stdout}");
        assert!(stdout.contains("pending in all: 30"), "{stdout}");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_by_name() {
    let refused = |data: &Path, what: &str| {
        let data = data.to_str().expect("a name");
        let (code, stdout, stderr) =
            run(&["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-pin", "--data-dir", data]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(what) && stderr.contains(data), "{what}: {stderr}");
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    {
        // In use: by another daemon, and by one while the tools are to look.
        let _daemon = Daemon::start_on(Some(&data), SMALL, Layout::ONE_BY_ONE);
        refused(&data, "in use by another smscd");
        for command in ["check", "dump", "stats"] {
            let (code, _, stderr) = tool(command, &data, &[]);
            assert_eq!(code, Some(1));
            assert!(stderr.contains("in use by another smscd"), "{stderr}");
        }
    }
    // Of an older and of a newer version.
    let manifest = data.join("store.toml");
    let text = fs::read_to_string(&manifest).expect("readable");
    for format in ["2", "4"] {
        fs::write(&manifest, text.replace("format = 3", &format!("format = {format}"))).expect("written");
        refused(&data, &format!("the store has format {format}, this version of smscd reads format 3 only"));
        assert_eq!(tool("check", &data, &[]).0, Some(1));
    }
    // A file where the shard's folder should be: not to be written, whoever asks.
    fs::write(&manifest, &text).expect("written");
    fs::remove_dir_all(data.join("layout-1")).expect("removed");
    fs::write(data.join("layout-1"), "a file").expect("written");
    refused(&data, "the store in ");
    // Somebody else's.
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).expect("made");
    fs::write(foreign.join("thesis.doc"), "precious").expect("written");
    refused(&foreign, "no data folder of smscd: it holds thesis.doc");
    assert_eq!(fs::read(foreign.join("thesis.doc")).expect("still there"), b"precious");
    // A file.
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    refused(&file, "creating the data folder");
}

/// What a daemon on `data` says and how it ends, where `mount` has been run on the folder first, seen by it alone. `None`: this
/// machine lets nobody mount anything.
fn run_mounted(mount: &str, data: &Path) -> Option<(Option<i32>, String)> {
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-ec", script, env!("CARGO_BIN_EXE_smscd")])
            .arg(data);
        command.stdin(Stdio::null()).output().ok()
    };
    shell("mount -t tmpfs none \"$1\"").filter(|output| output.status.success())?;
    let script =
        format!("{mount}; exec \"$0\" --listen 127.0.0.1:0 --http 127.0.0.1:0 --no-pin --data-dir \"$1\"");
    let output = shell(&script)?;
    assert!(output.stdout.is_empty());
    Some((output.status.code(), String::from_utf8(output.stderr).expect("text")))
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    killed_with(data, 3, Layout::ONE_BY_ONE);
    let before = content(data);
    let read_only = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";
    let full = "mount -t tmpfs -o size=1m none \"$1\"";
    for (mount, says) in [(read_only, "Read-only file system"), (full, "No space left on device")] {
        let Some((code, stderr)) = run_mounted(mount, data) else {
            eprintln!("not tried: nothing can be mounted here");
            return;
        };
        assert!(code == Some(1) && stderr.contains(says), "{code:?} {stderr}");
        assert!(stderr.contains(data.to_str().expect("a name")), "{stderr}");
    }
    assert!(content(data) == before, "nothing was changed");
}

#[test]
fn a_full_store_refuses_and_takes_again_when_there_is_room() {
    let daemon = Daemon::start(SMALL, Layout::ONE_BY_ONE);
    let mut esme = daemon.bind(Mode::Transmitter);
    let large = Sm {
        // Due so late that the store fills up before, and then all goes.
        schedule: "000000000008000R".to_owned(),
        tlvs: vec![(0x1401, vec![0x5A; 30_000])],
        ..Sm::new("12345", "447700900000", "large")
    };
    let mut taken = 0;
    let request = |esme: &mut support::esme::RawEsme| {
        let sequence = esme.request(support::esme::SUBMIT_SM, &large.encode());
        let response = esme.receive();
        assert_eq!(response.sequence, sequence);
        response.status
    };
    loop {
        match request(&mut esme) {
            0 => taken += 1,
            status => break assert_eq!(status, ESME_RMSGQFUL),
        }
        assert!(taken < 2_000, "16 MiB take no 60 MB");
    }
    assert!(taken > 100, "{taken}");
    // They are due after eight seconds, and delivered; until then there is no room.
    let start = Instant::now();
    while request(&mut esme) != 0 {
        assert!(start.elapsed() < support::DEADLINE, "no room again: {}", daemon.stats());
        std::thread::yield_now();
    }
    assert_eq!(daemon.stat("/messages/undeliverable"), 0);
}

#[test]
fn a_store_that_becomes_unreadable_stops_the_daemon() {
    let mut daemon = Daemon::start(SMALL, Layout::ONE_BY_ONE);
    let mut esme = daemon.bind(Mode::Transmitter);
    let kept = Sm { schedule: "000000010000000R".to_owned(), ..Sm::new("12345", "447700900000", "kept") };
    esme.submit(&kept);
    esme.submit(&kept);
    // The disk turns bits under a message that stays, so that it must be copied out of the way of the others.
    let path = segment(daemon.data_dir());
    let file = fs::OpenOptions::new().write(true).open(path).expect("writable");
    file.write_all_at(&[0xFF; 8], 100).expect("written");
    let large = Sm { tlvs: vec![(0x1401, vec![0x5A; 30_000])], ..Sm::new("12345", "447700900001", "large") };
    let octets = support::esme::pdu(support::esme::SUBMIT_SM, 0, 100, &large.encode());
    let answered = (0..2_000).take_while(|_| esme.send_some(&octets) && esme.receive_or_end().is_some());
    let answered = answered.count();
    assert!(answered < 2_000, "the segments went round over the damage");
    assert_eq!(daemon.wait().code(), Some(1));
    let stderr = daemon.stderr();
    assert!(stderr.contains("has become unreadable") && stderr.contains("stopping: "), "{stderr}");
}

/// How many messages a daemon on `data` takes up, and whether it went by the index that the last one had saved.
fn taken_up(daemon: &Daemon) -> (u64, bool) {
    daemon.await_log("store opened");
    let from_index = daemon.stderr().contains("is_from_index=true");
    assert!(!daemon.data_dir().join("layout-1/shard-0/index").exists(), "it is good for one start");
    (daemon.stat("/messages/pending"), from_index)
}

#[test]
fn an_orderly_stop_saves_an_index_and_the_next_start_goes_by_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    killed_with(data, 50, Layout::ONE_BY_ONE);
    let index = data.join("layout-1/shard-0/index");
    let stop = |expected: (u64, bool)| {
        let mut daemon = Daemon::start_on(Some(data), SMALL, Layout::ONE_BY_ONE);
        assert_eq!(taken_up(&daemon), expected);
        daemon.signal(Signal::TERM);
        assert!(daemon.wait().success());
        fs::read(&index).expect("an index")
    };
    let saved = stop((50, false));
    // The tools read the segments, and leave it.
    let (code, stdout, _) = tool("check", data, &[]);
    assert!(code == Some(0) && stdout.contains("pending in all: 50") && index.exists(), "{stdout}");
    let again = stop((50, true));
    assert_ne!(saved, again, "it is of another moment of the log");
    // Of an earlier stop, cut off, damaged: as if there were none.
    fs::write(&index, &saved).expect("written");
    let again = stop((50, false));
    fs::write(&index, &again[..again.len() - 1]).expect("written");
    let mut damaged = stop((50, false));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(&index, &damaged).expect("written");
    stop((50, false));
    stop((50, true));
}

#[test]
fn a_kill_while_the_daemon_stops_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    killed_with(folder.path(), 300, Layout::ONE_BY_ONE);
    let mut saved = 0;
    for round in 0..16 {
        let mut daemon = Daemon::start_on(Some(folder.path()), SMALL, Layout::ONE_BY_ONE);
        let (pending, from_index) = taken_up(&daemon);
        assert_eq!(pending, 300, "round {round}");
        saved += u32::from(from_index);
        daemon.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(round * 1_000) {
            std::thread::yield_now();
        }
        daemon.kill();
    }
    println!("{saved} of 15 stops were done before the kill");
}
