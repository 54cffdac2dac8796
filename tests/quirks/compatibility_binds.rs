//! `[account.compat]` where it is about binds, rates and links: duplicate binds, statuses, passwords, address_range, waiting
//! for the rate, deliveries without a response (docs/compatibility.md).

use std::time::Instant;

use super::support::esme::*;
use super::support::{Daemon, Layout};
use super::{CONFIG, daemon_with};

/// Of "123456789".
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$L5fY3v5AGCbvZvLNXGLQeg$W7LgbDRSmIv+UTXWhuhK76iwWCS5IsDNAo7kKEqB1Yk";
const ESME_RINVPASWD: u32 = 0x0E;
const ESME_RINVSYSID: u32 = 0x0F;

/// On one worker, and on two: then the second connection is on another one than the first.
fn with_duplicates(policy: &str, script: impl Fn(&Daemon)) {
    for layout in [Layout::ONE_BY_ONE, Layout::TWO_BY_TWO] {
        let demo = "[[account]]\nsystem_id = \"demo\"\npassword = \"demo\"\naddresses = [\"12345\"]\n";
        let keys = format!("compat.duplicate_bind = \"{policy}\"\ncompat.duplicate_bind_probe_ms = 200\n");
        script(&Daemon::start(&format!("{CONFIG}\n{demo}{keys}"), layout));
    }
}

fn try_bind(daemon: &Daemon, mode: Mode, address_range: &str) -> (RawEsme, Pdu) {
    let mut esme = RawEsme::connect(daemon.smpp);
    let response = esme.try_bind(mode, "demo", "demo", 0x34, address_range);
    (esme, response)
}

#[test]
fn compat_a_duplicate_bind_is_refused_where_the_account_says_so() {
    with_duplicates("refuse", |daemon| {
        let mut older = daemon.bind(Mode::Transceiver);
        let (mut second, response) = try_bind(daemon, Mode::Transceiver, "");
        assert_eq!((response.status, response.body.as_slice()), (ESME_RALYBND, &[][..]));
        second.expect_end();
        // Another type is no duplicate, and the place is free once the older one is gone.
        let receiver = daemon.bind(Mode::Receiver);
        older.enquire();
        older.vanish();
        daemon.await_stats(&[("/sessions/bound", 1)]);
        daemon.bind(Mode::Transceiver).unbind();
        receiver.unbind();
    });
}

#[test]
fn compat_the_newest_of_duplicate_binds_wins_where_the_account_says_so() {
    with_duplicates("replace", |daemon| {
        let mut older = daemon.bind(Mode::Transceiver);
        let mut receiver = daemon.bind(Mode::Receiver);
        for _ in 0..3 {
            let mut newest = daemon.bind(Mode::Transceiver);
            let unbind = older.expect(UNBIND, 0);
            newest.submit(&Sm::new("12345", "4470", "hi"));
            older.respond(&unbind, ESME_ROK);
            older.expect_end();
            daemon.await_stats(&[("/sessions/bound", 2), ("/accounts/demo/sessions", 2)]);
            older = newest;
        }
        receiver.enquire();
        older.unbind();
        receiver.unbind();
        daemon.await_stats(&[("/sessions/bound", 0)]);
    });
}

#[test]
fn compat_an_older_bind_is_asked_and_keeps_its_place_only_if_it_answers() {
    with_duplicates("probe", |daemon| {
        // One that answers stays.
        let mut older = daemon.bind(Mode::Transceiver);
        let mut second = RawEsme::connect(daemon.smpp);
        second.request(BIND_TRANSCEIVER, &bind_body("demo", "demo", 0x34, ""));
        let enquiry = older.expect(ENQUIRE_LINK, 0);
        older.respond(&enquiry, ESME_ROK);
        assert_eq!(second.expect(BIND_TRANSCEIVER | RESP, ESME_RALYBND).body, b"");
        second.expect_end();
        older.submit(&Sm::new("12345", "4470", "hi"));

        // One that says nothing is closed, and the other is let in.
        let begun = Instant::now();
        let (mut second, response) = try_bind(daemon, Mode::Transceiver, "");
        assert_eq!(response.status, ESME_ROK);
        assert!(begun.elapsed().as_millis() >= 200, "it was not waited for");
        older.expect(ENQUIRE_LINK, 0);
        older.expect_end();
        second.submit(&Sm::new("12345", "4470", "hi"));
        daemon.await_stats(&[("/sessions/bound", 1), ("/accounts/demo/sessions", 1)]);

        // One that left while it was asked is not waited for, and one that gave up waiting takes no place.
        let mut third = RawEsme::connect(daemon.smpp);
        third.request(BIND_TRANSCEIVER, &bind_body("demo", "demo", 0x34, ""));
        second.expect(ENQUIRE_LINK, 0);
        second.vanish();
        third.expect(BIND_TRANSCEIVER | RESP, ESME_ROK);
        let mut fourth = RawEsme::connect(daemon.smpp);
        fourth.request(BIND_TRANSCEIVER, &bind_body("demo", "demo", 0x34, ""));
        let enquiry = third.expect(ENQUIRE_LINK, 0);
        fourth.vanish();
        third.respond(&enquiry, ESME_ROK);
        third.enquire();
        third.unbind();
        daemon.await_stats(&[("/sessions/bound", 0), ("/accounts/demo/sessions", 0)]);
        daemon.bind(Mode::Transceiver).unbind();
    });
}

#[test]
fn compat_refused_binds_have_the_status_that_the_account_says() {
    for (sections, account, statuses) in [
        ("", "", [ESME_RBINDFAIL, ESME_RBINDFAIL, ESME_RALYBND]),
        ("", "compat.preset = \"like_jasmin\"", [ESME_RINVPASWD, ESME_RBINDFAIL, ESME_RBINDFAIL]),
        (
            "[smpp]\nunknown_system_id_status = \"ESME_RINVSYSID\"",
            "compat.wrong_password_status = \"ESME_RINVPASWD\"",
            [ESME_RINVPASWD, ESME_RINVSYSID, ESME_RALYBND],
        ),
    ] {
        let elsewhere =
            "[[account]]\nsystem_id = \"far\"\npassword = \"demo\"\nallow_from = [\"192.0.2.1\"]\n";
        let daemon = daemon_with(sections, &format!("sessions_max = 1\n{account}\n{elsewhere}{account}"));
        let refused = |system_id, password| {
            let mut esme = RawEsme::connect(daemon.smpp);
            let response = esme.try_bind(Mode::Transceiver, system_id, password, 0x34, "");
            assert_eq!(response.body, b"");
            esme.expect_end();
            response.status
        };
        let [wrong, unknown, too_many] = statuses;
        assert_eq!(refused("demo", "wrong"), wrong, "{account}");
        assert_eq!(refused("far", "demo"), wrong, "from elsewhere: {account}");
        assert_eq!(refused("nobody", "demo"), unknown, "{account}");
        let _first = daemon.bind(Mode::Transceiver);
        assert_eq!(refused("demo", "demo"), too_many, "{account}");
    }
}

#[test]
fn compat_a_password_may_be_held_to_a_length() {
    // A plain one that is longer is refused by the configuration; of a hash nobody can tell.
    let account = |system_id, octets_max| {
        format!(
            "[[account]]\nsystem_id = \"{system_id}\"\npassword_hash = \"{HASH}\"\n\
             compat.password_octets_max = {octets_max}\n"
        )
    };
    // Time for the hash on a machine that does much at once.
    let slow = "[smpp]\nsession_init_timeout_ms = 60000";
    let daemon = daemon_with(slow, &(account("long", 8) + &account("fits", 9)));
    for (system_id, status) in [("long", ESME_RBINDFAIL), ("fits", ESME_ROK)] {
        let mut esme = RawEsme::connect(daemon.smpp);
        let response = esme.try_bind(Mode::Transceiver, system_id, "123456789", 0x34, "");
        assert_eq!(response.status, status, "{system_id}");
    }
}

#[test]
fn compat_the_address_range_may_be_held_to_the_account() {
    for (account, other) in [("", ESME_ROK), ("compat.address_range = \"own\"", ESME_RBINDFAIL)] {
        let daemon = daemon_with("", &format!("prefixes = [\"555\"]\n{account}"));
        for (range, status) in [
            ("", ESME_ROK),
            ("12345", ESME_ROK),
            ("^12345$", ESME_ROK),
            ("^555", ESME_ROK),
            ("5551", other),
            ("^44.*", other),
        ] {
            let (_esme, response) = try_bind(&daemon, Mode::Receiver, range);
            assert_eq!(response.status, status, "{range} {account}");
        }
    }
}

#[test]
fn compat_enquire_link_before_the_bind_may_be_refused() {
    let daemon = daemon_with("[smpp]\nenquire_link_before_bind = false", "");
    let mut esme = RawEsme::connect(daemon.smpp);
    esme.request(ENQUIRE_LINK, &[]);
    assert_eq!(esme.expect(ENQUIRE_LINK | RESP, ESME_RINVBNDSTS).body, b"");
    let response = esme.try_bind(Mode::Transceiver, "demo", "demo", 0x34, "");
    assert_eq!(response.status, ESME_ROK);
    esme.enquire();
}

#[test]
fn compat_a_submission_over_the_rate_waits_before_it_is_refused() {
    let sm = Sm::new("12345", "4470", "hi");
    let data_sm = b"\0\x01\x0112345\0\x01\x014473\0\0\0\0\x04\x24\x00\x01x";
    // Room comes every 100 ms, and that is waited for: nothing is refused, and the rate holds.
    let daemon = daemon_with("", "rate_per_s = 10\nburst = 2\ncompat.throttle_delay_ms = 5000");
    let mut esme = daemon.bind(Mode::Transceiver);
    let begun = Instant::now();
    let octets: Vec<u8> = (1..=6).flat_map(|n| pdu(SUBMIT_SM, 0, n, &sm.encode())).collect();
    esme.send(&octets);
    esme.send(&pdu(0x103, 0, 7, data_sm));
    for n in 1..=6 {
        assert_eq!(esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence, n);
    }
    esme.expect(0x103 | RESP, ESME_ROK);
    let took = begun.elapsed().as_millis();
    assert!((490..5_000).contains(&took), "five waits of 100 ms took {took} ms");
    daemon.await_stats(&[("/accounts/demo/accepted", 7), ("/accounts/demo/throttled", 0)]);

    // A submit_multi waits until there is room for all of its destinations.
    let multi = |dests: u8| {
        let dest = b"\x01\x01\x014470\0";
        [&b"\0\x01\x0112345\0"[..], &[dests], &dest.repeat(dests.into()), b"\0\0\0\0\0\0\0\0\0\x02hi"]
            .concat()
    };
    let begun = Instant::now();
    esme.request(0x21, &multi(2));
    esme.request(0x21, &multi(2));
    for _ in 0..2 {
        assert_eq!(esme.expect(0x21 | RESP, ESME_ROK).body[16..], [0, 0], "none refused");
    }
    let took = begun.elapsed().as_millis();
    assert!((290..5_000).contains(&took), "{took} ms");
    daemon.await_stats(&[("/accounts/demo/accepted", 11), ("/accounts/demo/throttled", 0)]);
    // With more than ever fit in at once it waits for as long as it may, and then those are refused.
    let daemon = daemon_with("", "rate_per_s = 1\nburst = 1\ncompat.throttle_delay_ms = 300");
    let mut esme = daemon.bind(Mode::Transceiver);
    let begun = Instant::now();
    esme.request(0x21, &multi(3));
    let response = esme.expect(0x21 | RESP, ESME_ROK);
    assert!(begun.elapsed().as_millis() >= 295, "{:?}", begun.elapsed());
    assert_eq!(response.body[16..18], [0, 2], "one is taken, two are not: {response:02x?}");
    assert_eq!(response.body[25..29], ESME_RTHROTTLED.to_be_bytes());

    // Room comes once in a hundred seconds: after its wait the submission is refused, and so is the next after its own.
    let daemon = daemon_with("", "rate_per_s = 1\nburst = 1\ncompat.throttle_delay_ms = 300");
    let mut esme = daemon.bind(Mode::Transceiver);
    esme.submit(&sm);
    for _ in 0..2 {
        let begun = Instant::now();
        let sequence = esme.request(SUBMIT_SM, &sm.encode());
        let answer = esme.receive();
        assert_eq!(answer.sequence, sequence);
        if answer.status == ESME_RTHROTTLED {
            assert!(begun.elapsed().as_millis() >= 295, "{:?}", begun.elapsed());
            return;
        }
    }
    panic!("the rate did not hold");
}

#[test]
fn compat_a_session_that_leaves_a_delivery_unanswered_may_be_closed() {
    for (account, is_closed) in [("", false), ("compat.unanswered_delivery = \"close\"", true)] {
        let daemon = daemon_with("[smpp]\nresponse_timeout_ms = 200", account);
        let mut esme = daemon.bind(Mode::Transceiver);
        daemon.inject_mo("491701", "12345", "hello");
        let (delivery, _) = esme.delivery();
        if is_closed {
            esme.expect_end();
            // What it had is delivered to the next one.
            assert_eq!(daemon.bind(Mode::Receiver).take_delivery().text(), "hello");
        } else {
            // It comes again; a response to the first is late, and ignored.
            let (again, _) = esme.delivery();
            assert_ne!(again.sequence, delivery.sequence);
            esme.respond(&delivery, ESME_ROK);
            esme.respond(&again, ESME_ROK);
            daemon.await_stats(&[("/counters/unmatched_responses", 1), ("/messages/mo_delivered", 1)]);
        }
    }
}
