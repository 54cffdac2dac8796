//! Peers that guess passwords: answered alike whatever is wrong, limited, and never told or shown a secret.

use std::time::Instant;

use crate::support::esme::*;
use crate::support::{DEADLINE, Daemon, Layout};

const HASHED_PASSWORD: &str = "replace-me";

/// An account with the hash of [`HASHED_PASSWORD`]: dear enough to be told from none, and cheap enough for a debug build.
fn hashed() -> String {
    let hash = smscd::config::password::hash(HASHED_PASSWORD.as_bytes(), 8_192, 1).expect("a hash");
    format!("[[account]]\nsystem_id = \"hashed\"\npassword_hash = \"{hash}\"\n")
}

const PLAIN: &str = "[[account]]\nsystem_id = \"plain\"\npassword = \"right\"\n";

/// How a bind that must fail is answered.
fn refused(daemon: &Daemon, system_id: &str, password: &str) -> u32 {
    let mut esme = RawEsme::connect(daemon.smpp);
    let answer = esme.try_bind(Mode::Transceiver, system_id, password, 0x34, "");
    assert_eq!(answer.body, b"");
    esme.expect_end();
    answer.status
}

/// Processor time that the authenticators have had once they sleep, in nanoseconds. It is what tells a bind that was looked at
/// from one that was not, and other than the time that the answer takes it does not depend on what else the machine does.
fn checking_nanos(daemon: &Daemon) -> u64 {
    let start = Instant::now();
    loop {
        let (mut nanos, mut are_asleep) = (0, true);
        for task in std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("Linux") {
            let task = task.expect("a thread").path();
            let read = |name| std::fs::read_to_string(task.join(name)).expect("the daemon runs");
            let stat = read("stat");
            if stat.contains("(smscd-auth") {
                are_asleep &= stat.contains(") S ");
                nanos +=
                    read("schedstat").split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a time");
            }
        }
        if are_asleep {
            assert!(nanos > 0, "no authenticator");
            return nanos;
        }
        assert!(start.elapsed() < DEADLINE, "the authenticators are busy");
        std::thread::yield_now();
    }
}

#[test]
fn an_unknown_system_id_costs_as_much_as_a_wrong_password() {
    let disabled = "[[account]]\nsystem_id = \"disabled\"\npassword = \"right\"\nenabled = false\n";
    let elsewhere =
        "[[account]]\nsystem_id = \"elsewhere\"\npassword = \"right\"\nallow_from = [\"10.0.0.1\"]\n";
    let limits = "[limits]\nfailed_binds_per_address = 0\nfailed_binds_per_system_id = 0\n";
    let daemon = Daemon::start(&(hashed() + PLAIN + disabled + elsewhere + limits), Layout::AUTOMATIC);
    let kinds = [
        ("hashed", "wrong"),
        ("plain", "wrong"),
        ("nobody", "wrong"),
        ("disabled", "right"),
        ("elsewhere", "right"),
    ];
    const ROUNDS: usize = 15;
    // All of them cost one check of a hash before they are answered, and those without would cost nothing. Caches and clock
    // rates are the same for all of one round, more or less.
    let mut costs = [[0; ROUNDS]; 5];
    for round in 0..ROUNDS {
        for ((system_id, password), costs) in kinds.iter().zip(&mut costs) {
            let before = checking_nanos(&daemon);
            assert_eq!(refused(&daemon, system_id, password), ESME_RBINDFAIL, "{system_id}");
            costs[round] = checking_nanos(&daemon) - before;
        }
    }
    let medians = costs.map(|mut costs| {
        costs.sort_unstable();
        costs[ROUNDS / 2]
    });
    let (least, most) = (medians.iter().min().expect("some"), medians.iter().max().expect("some"));
    assert!(*least > 0 && *most < *least * 2, "{medians:?}");
    let binds = (kinds.len() * ROUNDS) as u64;
    daemon.await_stats(&[("/counters/binds_refused", binds), ("/counters/binds_limited", 0)]);
}

#[test]
fn guessing_is_limited_and_the_owner_is_not_locked_out() {
    let limits = "[limits]\nfailed_binds_per_address = 0\nfailed_binds_per_system_id = 5\nfailed_binds_window_s = 3600\n";
    let daemon = Daemon::start(&(PLAIN.to_owned() + limits), Layout::TWO_BY_TWO);
    let owner = RawEsme::bind(daemon.smpp, Mode::Transceiver, "plain", "right");
    for _ in 0..20 {
        assert_eq!(refused(&daemon, "plain", "guess"), ESME_RBINDFAIL);
        assert_eq!(refused(&daemon, "nobody", "guess"), ESME_RBINDFAIL);
    }
    // From where it last bound, each is looked at; an unknown one has no such place.
    daemon.await_stats(&[("/counters/binds_refused", 40), ("/counters/binds_limited", 15)]);
    RawEsme::bind(daemon.smpp, Mode::Transceiver, "plain", "right").unbind();
    owner.unbind();
}

#[test]
fn an_address_that_guesses_is_answered_unseen() {
    let limits = "[limits]\nfailed_binds_per_address = 5\nfailed_binds_window_s = 3600\n";
    let other = PLAIN.replace("plain", "other");
    let daemon = Daemon::start(&(PLAIN.to_owned() + &other + limits), Layout::TWO_BY_TWO);
    let mut owner = RawEsme::bind(daemon.smpp, Mode::Transceiver, "plain", "right");
    for n in 0..10 {
        assert_eq!(refused(&daemon, &format!("guess{n}"), "x"), ESME_RBINDFAIL);
    }
    daemon.await_stats(&[("/counters/binds_limited", 5)]);
    assert_eq!(refused(&daemon, "other", "right"), ESME_RBINDFAIL, "this address has lost its credit");
    // But for who was let in from there before: it may be a gateway. And who is bound stays bound.
    RawEsme::bind(daemon.smpp, Mode::Transceiver, "plain", "right").unbind();
    owner.enquire();
    let log = daemon.stderr();
    assert!(log.contains("too many from that address"), "{log}");
}

#[test]
fn a_right_password_is_checked_against_its_hash_once_and_binds_in_a_storm() {
    let daemon = Daemon::start(&hashed(), Layout::TWO_BY_TWO);
    let sessions: Vec<RawEsme> = std::thread::scope(|scope| {
        let bind = || RawEsme::bind(daemon.smpp, Mode::Transceiver, "hashed", HASHED_PASSWORD);
        let mut threads = Vec::new();
        for _ in 0..50 {
            threads.push(scope.spawn(bind));
        }
        threads.into_iter().map(|thread| thread.join().expect("bound")).collect()
    });
    daemon.await_stats(&[("/accounts/hashed/sessions", 50)]);
    assert_eq!(refused(&daemon, "hashed", "replace-mf"), ESME_RBINDFAIL);
    sessions.into_iter().for_each(RawEsme::unbind);
    daemon.await_stats(&[("/accounts/hashed/sessions", 0)]);
}

#[test]
fn no_password_reaches_log_metrics_stats_or_errors() {
    let secrets = ["hush-hush-1", "wrong-guess-2", "other-secret-3", "token-secret-4"];
    let hashed = hashed();
    let config = |password: &str| {
        format!(
            "[[account]]\nsystem_id = \"acme\"\npassword = \"{password}\"\n{hashed}[http]\nadmin_token = \"{}\"\n[log]\nlevel = \"trace\"\n",
            secrets[3]
        )
    };
    let daemon = Daemon::start(&config(secrets[0]), Layout::TWO_BY_TWO);
    let bearer = format!("Bearer {}", secrets[3]);
    let authorized = [("authorization", bearer.as_str())];
    RawEsme::bind(daemon.smpp, Mode::Transceiver, "acme", secrets[0]).unbind();
    RawEsme::bind(daemon.smpp, Mode::Transceiver, "hashed", HASHED_PASSWORD).unbind();
    for system_id in ["acme", "hashed", "nobody"] {
        refused(&daemon, system_id, secrets[1]);
    }
    // A password where a system_id should be is a peer's mistake; one behind a broken bind is, too.
    let mut broken = RawEsme::connect(daemon.smpp);
    broken.send(&pdu(BIND_TRANSCEIVER, 0, 1, &[&b"acme\0"[..], secrets[0].as_bytes()].concat()));
    broken.receive_or_end();
    // A new password, a wrong file with a password in it, and a wrong token.
    daemon.rewrite_config(&config(secrets[2]));
    let mut texts = vec![daemon.post("/reload", &authorized, "").body];
    daemon.rewrite_config(&(config(secrets[2]) + "sessions = 5\n"));
    texts.push(daemon.post("/reload", &authorized, "").body);
    daemon.rewrite_config(&config(&format!("{}\\u0001", secrets[2])));
    texts.push(daemon.post("/reload", &authorized, "").body);
    let wrong_token = format!("Bearer {}x", secrets[3]);
    texts.push(daemon.post("/reload", &[("authorization", &wrong_token)], "").body);
    for path in ["/stats", "/metrics", "/sessions", "/config", "/"] {
        texts.push(daemon.get(path).body);
        texts.push(crate::support::http::request(daemon.http, "GET", path, &authorized, b"").body);
    }
    texts.push(daemon.stderr());
    for text in &texts {
        for secret in secrets.into_iter().chain([HASHED_PASSWORD, "$argon2id$"]) {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
    }
    assert!(daemon.stderr().contains("bind refused"), "{}", daemon.stderr());
}
