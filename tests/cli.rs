//! The binary's command line as scripts use it: output streams and exit codes.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn smscd(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_smscd"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A child that needs no input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn default_config_passes_check() {
    let printed = smscd(&["default-config"], "");
    assert_eq!(printed.status.code(), Some(0));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("smscd.toml");
    std::fs::write(&path, &printed.stdout).expect("written");
    let checked = smscd(&["check", "--config", path.to_str().expect("a name"), "--workers", "3"], "");
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let out = text(&checked.stdout);
    assert!(out.contains("workers = 3") && out.contains("password = \"(redacted)\""), "{out}");
    assert!(out.contains("# thread 0: worker 0"), "{out}");
    smscd::config::Config::from_toml(out, "check").expect("what check prints is a configuration");
}

#[test]
fn a_bad_configuration_exits_2_naming_file_line_and_key() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, "[smpp]\nsystem_id = \"x\"\nlissen = []\n").expect("written");
    for command in ["check", "run"] {
        let out = smscd(&[command, "--config", path.to_str().expect("a name")], "");
        assert_eq!(out.status.code(), Some(2));
        assert!(
            text(&out.stderr).contains("bad.toml:3: smpp.lissen: unknown field"),
            "{}",
            text(&out.stderr)
        );
        assert!(out.stdout.is_empty());
    }
}

#[test]
fn every_durability_is_accepted_and_sync_is_the_default() {
    for durability in ["sync", "buffered", "none"] {
        let out = smscd(&["check", "--durability", durability], "");
        assert_eq!(out.status.code(), Some(0));
        assert!(text(&out.stdout).contains(&format!("durability = \"{durability}\"")));
    }
    assert!(text(&smscd(&["check"], "").stdout).contains("durability = \"sync\""));
}

#[test]
fn hash_password_prints_a_hash_that_the_config_takes() {
    let out = smscd(&["hash-password"], "s3cret\n");
    assert_eq!(out.status.code(), Some(0));
    let hash = text(&out.stdout).trim_end();
    let config = format!("[[account]]\nsystem_id = \"a\"\npassword_hash = \"{hash}\"\n");
    let config = smscd::config::Config::from_toml(&config, "f").expect("accepted");
    assert!(config.accounts[0].accepts(b"s3cret"));
    assert!(hash.contains("$m=19456,t=2,p=1$"), "what OWASP recommends: {hash}");
    assert_eq!(smscd(&["hash-password"], "\n").status.code(), Some(2), "an empty password");
    let out = smscd(&["hash-password", "--memory-kib", "1024", "--passes", "3"], "s3cret\n");
    assert!(text(&out.stdout).contains("$m=1024,t=3,p=1$"));
    for flags in [["--memory-kib", "7"], ["--memory-kib", "300000"], ["--passes", "0"], ["--passes", "17"]] {
        let out = smscd(&[&["hash-password"], &flags[..]].concat(), "s3cret\n");
        assert_eq!(out.status.code(), Some(2), "{flags:?}");
        assert!(text(&out.stderr).contains(flags[0]), "{flags:?}");
    }
}

#[test]
fn usage_errors_exit_2_and_help_exits_0() {
    assert_eq!(smscd(&["--nonsense"], "").status.code(), Some(2));
    let help = smscd(&["--help"], "");
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("--durability"));
}
