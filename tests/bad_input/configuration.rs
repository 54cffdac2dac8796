//! Configurations and flags that can't be: exit code 2 naming file, line and key, or the flag; and surroundings that
//! can't be: exit code 1 naming what.

use std::net::TcpListener;

use crate::support::{Daemon, Layout, run};

#[test]
fn errors_in_the_file_name_its_line_and_key() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("bad.toml");
    let name = file.to_str().expect("a name");
    // (text, where, what is said)
    let cases = [
        ("[smpp]\nlissen = []\n", ":2: smpp.lissen", "unknown field"),
        ("\n\n[store]\nmessages_max = 7\n", ":4: store.messages_max", "out of range"),
        ("[smpp]\nsystem_id = 5\n", ":2: smpp.system_id", "invalid type"),
        ("[smpp\n", ":1", ""),
        ("[[account]]\npassword = \"x\"\n", ":1: account[0].system_id", ""),
        ("[[account]]\nsystem_id = \"a\"\n", ":1: account[0].password", "password"),
        (
            "[[account]]\nsystem_id = \"a\"\npassword = \"p\"\n[[account]]\nsystem_id = \"a\"\npassword = \"p\"\n",
            ":5: account[1].system_id",
            "already",
        ),
        (
            "[[network.profile]]\nprefix = \"\"\ndelivered_per_mille = 7\n",
            ":3: network.profile[0]",
            "sum to 7",
        ),
        ("[retry.absent]\nfirst = 1\n", ":2: retry.absent.first", "unknown field"),
        ("[engine]\nnode = 32\n", ":2: engine.node", "out of range"),
        ("[log]\nlevel = \"loud\"\n", ":2: log.level", "loud"),
        ("[smpp]\nlisten = [\"0.0.0.0:0\"]\n", "account[0].password", "reachable from other machines"),
        ("[http]\nlisten = \"0.0.0.0:0\"\n", "http.", "token"),
    ];
    for (text, place, what) in cases {
        std::fs::write(&file, text).expect("written");
        for command in ["run", "check"] {
            let (code, stdout, stderr) = run(&[command, "--config", name]);
            assert_eq!(code, Some(2), "{text}: {stderr}");
            assert_eq!(stdout, "", "{text}");
            assert!(stderr.contains("bad.toml") || !place.starts_with(':'), "{text}: {stderr}");
            assert!(stderr.contains(place) && stderr.contains(what), "{text}: {stderr}");
        }
    }
}

#[test]
fn errors_in_flags_name_the_flag() {
    // (flags, what is said)
    let cases: [(&[&str], &str); 7] = [
        (&["--workers", "9999"], "--workers"),
        (&["--shards", "-1"], "--shards"),
        (&["--listen", "localhost:2775"], "--listen"),
        (&["--http", "nowhere"], "--http"),
        (&["--durability", "disk"], "--durability"),
        (&["--config", "no/such/file.toml"], "no/such/file.toml"),
        (&["--frobnicate"], "--frobnicate"),
    ];
    for (flags, what) in cases {
        let (code, stdout, stderr) = run(flags);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{flags:?}: {stderr}");
        assert!(stderr.contains(what), "{flags:?}: {stderr}");
    }
}

#[test]
fn an_address_in_use_exits_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data = dir.path().to_str().expect("a name");
    for (taken, free) in [("--listen", "--http"), ("--http", "--listen")] {
        let (code, stdout, stderr) = run(&[taken, &address, free, "127.0.0.1:0", "--data-dir", data]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(&address), "{stderr}");
    }
}

#[test]
fn a_data_folder_that_is_none_exits_1_and_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "no folder").expect("written");
    let file = file.to_str().expect("a name");
    let addresses = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"];
    let (code, stdout, stderr) = run(&[&addresses[..], &[file]].concat());
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(file), "{stderr}");

    // What an earlier run has written is there, and it is not what we write.
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("made");
    std::fs::write(data.join("message-ids"), "nonsense").expect("written");
    let data = data.to_str().expect("a name");
    let (code, _, stderr) = run(&[&addresses[..], &[data]].concat());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("message-ids"), "{stderr}");
}

#[test]
fn secrets_do_not_show() {
    let config = "[[account]]\nsystem_id = \"acme\"\npassword = \"hush-hush\"\n\n[http]\nadmin_token = \"very-secret-token\"\n\n[log]\nlevel = \"trace\"\n";
    let daemon = Daemon::start(config, Layout::AUTOMATIC);
    let mut esme = crate::support::esme::RawEsme::connect(daemon.smpp);
    esme.try_bind(crate::support::esme::Mode::Transceiver, "acme", "wrong-guess", 0x34, "");
    esme.expect_end();
    crate::support::esme::RawEsme::bind(
        daemon.smpp,
        crate::support::esme::Mode::Transceiver,
        "acme",
        "hush-hush",
    )
    .unbind();
    let stats = daemon.get("/stats").body;
    for secret in ["hush-hush", "wrong-guess", "very-secret-token"] {
        assert!(!daemon.stderr().contains(secret), "{secret} is in the log");
        assert!(!stats.contains(secret), "{secret} is in /stats");
    }
}
