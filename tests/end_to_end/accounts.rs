//! What an account may do: from where it binds, what it sends, how much, and how fast over all its sessions.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::esme::*;
use crate::support::{DEADLINE, Daemon, Layout};

/// Account `a` with these keys, and account `b` without any.
fn daemon(keys: &str, layout: Layout) -> Daemon {
    Daemon::start(&accounts(keys), layout)
}

fn accounts(keys: &str) -> String {
    format!(
        "[[account]]\nsystem_id = \"a\"\npassword = \"a\"\n{keys}\n[[account]]\nsystem_id = \"b\"\npassword = \"b\"\n"
    )
}

fn bind(daemon: &Daemon, system_id: &str) -> RawEsme {
    RawEsme::bind(daemon.smpp, Mode::Transceiver, system_id, system_id)
}

#[test]
fn source_addresses_are_checked_exactly_by_prefix_and_by_name() {
    let keys = "source_addresses = [\"12345\", \"4917*\"]\nsource_names = [\"ACME\"]";
    let daemon = daemon(keys, Layout::TWO_BY_TWO);
    let mut esme = bind(&daemon, "a");
    let named = |name: &str| Sm { source_ton: 5, source_npi: 0, ..Sm::new(name, "4470", "x") };
    for sm in [Sm::new("12345", "4470", "x"), Sm::new("491701", "4470", "x"), named("ACME")] {
        esme.submit(&sm);
    }
    for sm in [Sm::new("123456", "4470", "x"), Sm::new("", "4470", "x"), named("ACM"), named("12345")] {
        assert_eq!(esme.submit_refused(&sm), ESME_RINVSRCADR, "{sm:?}");
    }
    bind(&daemon, "b").submit(&Sm::new("anything", "4470", "x"));
    daemon.await_stats(&[("/accounts/a/accepted", 3), ("/accounts/a/rejected", 4)]);
}

#[test]
fn destinations_and_sizes_are_checked() {
    let daemon =
        daemon("destination_prefixes = [\"44\", \"49\"]\nmessage_bytes_max = 10", Layout::ONE_BY_THREE);
    let mut esme = bind(&daemon, "a");
    esme.submit(&Sm::new("1", "4470", "0123456789"));
    assert_eq!(esme.submit_refused(&Sm::new("1", "3370", "x")), ESME_RINVDSTADR);
    assert_eq!(esme.submit_refused(&Sm::new("1", "4470", "0123456789a")), ESME_RINVMSGLEN);
    let payload = |len| Sm { tlvs: vec![(MESSAGE_PAYLOAD, vec![b'x'; len])], ..Sm::new("1", "4970", "") };
    esme.submit(&payload(10));
    assert_eq!(esme.submit_refused(&payload(11)), ESME_RINVMSGLEN);
}

#[test]
fn the_daily_quota_counts_what_was_accepted_over_all_sessions() {
    let daemon = daemon("messages_per_day = 5", Layout::TWO_BY_TWO);
    let mut sessions: Vec<RawEsme> = (0..2).map(|_| bind(&daemon, "a")).collect();
    for n in 0..5 {
        // What is refused for another reason costs nothing: here, a schedule too far ahead, as the shard finds.
        let late = Sm { schedule: "000100000000000R".to_owned(), ..Sm::new("1", &format!("4470{n}"), "x") };
        sessions[n % 2].submit_refused(&late);
        sessions[(n + 1) % 2].submit(&Sm::new("1", &format!("4471{n}"), "x"));
    }
    for esme in &mut sessions {
        assert_eq!(esme.submit_refused(&Sm::new("1", "4470", "x")), ESME_RSUBMITFAIL);
    }
    bind(&daemon, "b").submit(&Sm::new("1", "4470", "x"));
}

#[test]
fn a_broadcast_that_is_refused_does_not_count() {
    let config = accounts("messages_per_day = 1") + "[[network.area]]\nname = \"Dublin\"\ncells = 1\n";
    for layout in [Layout::ONE_BY_ONE, Layout::TWO_BY_TWO] {
        let daemon = Daemon::start(&config, layout);
        let mut esme = RawEsme::connect(daemon.smpp);
        assert_eq!(esme.try_bind(Mode::Transceiver, "a", "a", 0x50, "").status, ESME_ROK);
        let mut status = |source: u8, area: &[u8]| {
            let body = [
                &[0, 1, 1, source, 0, 0, 0, 0, 0, 0, 0, 0][..],
                &[0x06, 0x06, 0, area.len() as u8 + 1, 0],
                area,
                b"\x06\x01\0\x03\0\0\x30\x06\x04\0\x02\0\x01\x06\x05\0\x03\x09\0\x1f\x04\x24\0\x05hello",
            ]
            .concat();
            esme.request(0x111, &body);
            esme.receive().status
        };
        // Of sources whose broadcasts live on either shard.
        for source in b'1'..=b'6' {
            assert_eq!(status(source, b"Atlantis"), 0x108, "{layout:?}");
        }
        assert_eq!(status(b'1', b"Dublin"), ESME_ROK);
        assert_eq!(status(b'1', b"Dublin"), ESME_RSUBMITFAIL);
    }
}

#[test]
fn the_daily_quota_outlives_a_restart_at_every_durability() {
    for durability in ["sync", "none"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = accounts("messages_per_day = 5") + &format!("[store]\ndurability = \"{durability}\"\n");
        let start = || Daemon::start_on(Some(folder.path()), &config, Layout::TWO_BY_TWO);
        let submit = |esme: &mut RawEsme| esme.submit(&Sm::new("1", "4470", "x"));
        let mut daemon = start();
        let mut esme = bind(&daemon, "a");
        submit(&mut esme);
        submit(&mut esme);
        esme.unbind();
        daemon.signal(Signal::TERM);
        assert!(daemon.wait().success());
        // Killed, too, once a second has passed and been written down.
        let mut daemon = start();
        let mut esme = bind(&daemon, "a");
        submit(&mut esme);
        let written = || std::fs::read_to_string(folder.path().join("daily-counts")).unwrap_or_default();
        let since = Instant::now();
        while !written().ends_with(" 3 a\n") {
            assert!(since.elapsed() < DEADLINE, "{}", written());
            std::thread::yield_now();
        }
        daemon.kill();
        let daemon = start();
        let mut esme = bind(&daemon, "a");
        submit(&mut esme);
        submit(&mut esme);
        assert_eq!(esme.submit_refused(&Sm::new("1", "4470", "x")), ESME_RSUBMITFAIL, "{durability}");
    }
}

#[test]
fn the_rate_is_one_over_all_sessions_and_workers() {
    const RATE: usize = 200;
    let daemon = daemon(&format!("rate_per_s = {RATE}\nburst = 50"), Layout::TWO_BY_TWO);
    let start = Instant::now();
    let mut threads = Vec::new();
    for n in 0..4 {
        let mut esme = bind(&daemon, "a");
        threads.push(std::thread::spawn(move || {
            let mut accepted = 0usize;
            while start.elapsed() < Duration::from_secs(2) {
                let sequence = esme.request(SUBMIT_SM, &Sm::new("1", &format!("447{n}"), "x").encode());
                let response = esme.receive();
                assert_eq!((response.id, response.sequence), (SUBMIT_SM | RESP, sequence));
                assert!([ESME_ROK, ESME_RTHROTTLED].contains(&response.status), "{response:?}");
                accepted += usize::from(response.status == ESME_ROK);
            }
            accepted
        }));
    }
    let accepted: usize = threads.into_iter().map(|thread| thread.join().expect("a session")).sum();
    // From the first message to the last is no more than this; from below, the threads may have been slow to ask.
    let most = 50.0 + start.elapsed().as_secs_f64() * RATE as f64 + 1.0;
    assert!((accepted as f64) <= most, "{accepted} of at most {most}");
    assert!(accepted >= RATE, "{accepted}");
}

#[test]
fn an_account_binds_from_where_it_may_only_and_nobody_is_told_why() {
    let daemon = daemon("allow_from = [\"10.0.0.0/8\", \"2001:db8::/32\"]", Layout::AUTOMATIC);
    let mut answers = Vec::new();
    for (system_id, password) in [("a", "a"), ("a", "wrong"), ("b", "wrong"), ("nobody", "a")] {
        let mut esme = RawEsme::connect(daemon.smpp);
        let answer = esme.try_bind(Mode::Transceiver, system_id, password, 0x34, "");
        answers.push((answer.status, answer.body));
        esme.expect_end();
    }
    assert!(answers.iter().all(|answer| *answer == (ESME_RBINDFAIL, Vec::new())), "{answers:?}");
    daemon.reload(
        "[[account]]\nsystem_id = \"a\"\npassword = \"a\"\nallow_from = [\"127.0.0.0/8\"]\n[[account]]\nsystem_id = \"b\"\npassword = \"b\"\n",
    );
    bind(&daemon, "a").unbind();
}

#[test]
fn a_bind_type_that_is_not_allowed_and_too_many_sessions_have_their_own_status() {
    let daemon = daemon("bind = [\"receiver\"]\nsessions_max = 2", Layout::TWO_BY_TWO);
    let mut esme = RawEsme::connect(daemon.smpp);
    assert_eq!(esme.try_bind(Mode::Transmitter, "a", "a", 0x34, "").status, ESME_RINVCMDID);
    esme.expect_end();
    let receiver = || RawEsme::bind(daemon.smpp, Mode::Receiver, "a", "a");
    let (first, _second) = (receiver(), receiver());
    let mut third = RawEsme::connect(daemon.smpp);
    assert_eq!(third.try_bind(Mode::Receiver, "a", "a", 0x34, "").status, ESME_RALYBND);
    third.expect_end();
    first.unbind();
    receiver().unbind();
}
