//! Windows and rates: what is beyond them waits or is refused, and nothing is lost.

use crate::on_every_layout;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

on_every_layout! {
    deliveries_keep_to_the_window,
    the_rate_is_kept,
    a_full_store_refuses,
}

fn deliveries_keep_to_the_window(daemon: &Daemon) {
    let mut esme = RawEsme::bind(daemon.smpp, Mode::Receiver, "narrow", "secret");
    // Several destinations, so that every shard has something for the session.
    for n in 0..20 {
        daemon.inject_mo("491701", &format!("9990{n}"), "hello");
    }
    daemon.await_stats(&[("/messages/mo_accepted", 20)]);
    let mut destinations = std::collections::HashSet::new();
    for _ in 0..20 {
        let (pdu, sm) = esme.delivery();
        assert!(destinations.insert(sm.dest));
        // Its answer is outstanding: nothing else comes.
        esme.enquire();
        esme.respond(&pdu, ESME_ROK);
    }
    daemon.await_stats(&[("/messages/mo_delivered", 20)]);
    esme.enquire();
}

fn the_rate_is_kept(daemon: &Daemon) {
    let mut esme = RawEsme::bind(daemon.smpp, Mode::Transmitter, "limited", "secret");
    let sm = Sm::new("12345", "4470", "hi");
    let mut octets = Vec::new();
    for sequence in 1..=20 {
        octets.extend(pdu(SUBMIT_SM, 0, 1000 + sequence, &sm.encode()));
    }
    esme.send(&octets);
    let answers: Vec<Pdu> = (0..20).map(|_| esme.receive()).collect();
    let accepted = answers.iter().filter(|pdu| pdu.status == ESME_ROK).count();
    let throttled = answers.iter().filter(|pdu| pdu.status == ESME_RTHROTTLED).count();
    assert_eq!(accepted + throttled, 20, "{answers:?}");
    assert!((3..=6).contains(&accepted), "a burst of three, and one a second: {accepted}");
    daemon.await_stats(&[("/accounts/limited/throttled", throttled as u64), ("/messages/rejected", 0)]);
    esme.enquire();
}

fn a_full_store_refuses(daemon: &Daemon) {
    // messages_max is 20,000 over all shards, and these stay: they are for an hour from now.
    let mut esme = daemon.bind(Mode::Transmitter);
    let mut accepted = 0;
    let mut refused = 0;
    for batch in 0..50 {
        let mut octets = Vec::new();
        for n in 0..500 {
            let sequence = esme.sequence();
            let sm = Sm {
                schedule: "000000010000000R".to_owned(),
                ..Sm::new("12345", &format!("4470{batch}{n}"), "x")
            };
            octets.extend(pdu(SUBMIT_SM, 0, sequence, &sm.encode()));
        }
        esme.send(&octets);
        for _ in 0..500 {
            match esme.receive().status {
                ESME_ROK => accepted += 1,
                ESME_RMSGQFUL => refused += 1,
                status => panic!("status {status:#x}"),
            }
        }
    }
    assert!((19_000..=20_004).contains(&accepted), "{accepted}");
    assert_eq!(accepted + refused, 25_000);
    daemon.await_stats(&[("/messages/pending", accepted), ("/messages/throttled", refused)]);
    // Still in order, and what is refused owes nothing.
    esme.enquire();
}

/// Beyond its window a session is not read; when answers are written it goes on, and no request is lost. Answers wait
/// only where they cross threads, so the layouts are those that do.
#[test]
fn a_session_beyond_its_window_goes_on() {
    let config =
        format!("{}\n[[account]]\nsystem_id = \"two\"\npassword = \"two\"\nwindow = 2\n", crate::CONFIG);
    for layout in Layout::MOST {
        let daemon = Daemon::start(&config, layout);
        let mut esme = RawEsme::bind(daemon.smpp, Mode::Transmitter, "two", "two");
        let mut octets = Vec::new();
        let sequences: Vec<u32> = (0..1000).map(|_| esme.sequence()).collect();
        for sequence in &sequences {
            let sm = Sm::new("12345", &format!("4470{sequence}"), "hi");
            octets.extend(pdu(SUBMIT_SM, 0, *sequence, &sm.encode()));
        }
        esme.send(&octets);
        let mut answered: Vec<u32> =
            sequences.iter().map(|_| esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence).collect();
        answered.sort_unstable();
        assert_eq!(answered, sequences, "{layout:?}");
        let sessions = daemon.get("/sessions").json();
        assert_eq!(sessions["sessions"][0]["window"]["max"], 2, "{sessions}");
        assert!(daemon.stat("/counters/windows_full") > 0, "{layout:?}");
        esme.enquire();
    }
}
