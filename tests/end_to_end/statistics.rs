//! Statistics in band, as an ESME gets them: parsed by what docs/statistics-message.md says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::esme::*;
use crate::support::{Daemon, Layout};

const INTERVAL: &str = "[account.statistics]\ninterval_ms = 100\n";

const NETWORK: &str = include_str!("../support/network.toml");

/// An account that owns `address`.
fn account(system_id: &str, address: &str, rest: &str) -> String {
    format!("[[account]]\nsystem_id = \"{system_id}\"\npassword = \"x\"\naddresses = [\"{address}\"]\n{rest}")
}

fn bind(daemon: &Daemon, mode: Mode, system_id: &str) -> RawEsme {
    RawEsme::bind(daemon.smpp, mode, system_id, "x")
}

/// The words of a text, by key.
fn words(text: &str) -> BTreeMap<String, String> {
    let word = |word: &str| {
        let (key, value) = word.split_once(':').expect("a key and a value");
        (key.to_owned(), value.to_owned())
    };
    text.split(' ').map(word).collect()
}

/// Takes one as the address that it is sent to has it.
fn take(esme: &mut RawEsme, dest: &str) -> BTreeMap<String, String> {
    let sm = esme.take_delivery();
    assert_eq!((sm.source.as_str(), sm.source_ton, sm.dest.as_str()), ("smscd-stats", 5, dest));
    assert_eq!((sm.esm_class, sm.data_coding, sm.registered_delivery), (0, 0, 0));
    let words = words(sm.text());
    assert_eq!(words["smscd-stats"], "1");
    assert!(words["at"].len() == 12 && words["at"].bytes().all(|octet| octet.is_ascii_digit()), "{words:?}");
    words
}

/// Some intervals pass: an account that takes all its messages gets `count` of them.
fn pass(clock: &mut RawEsme, count: usize) {
    for _ in 0..count {
        take(clock, "777");
    }
}

#[test]
fn the_counts_are_those_of_stats() {
    for layout in Layout::WITHOUT_TLS {
        let config = NETWORK.to_owned() + &account("acme", "12345", INTERVAL);
        let daemon = Daemon::start(&config, layout);
        let mut esme = bind(&daemon, Mode::Transmitter, "acme");
        for dest in ["4470", "4471", "4472", "4410"] {
            esme.submit(&Sm::new("1", dest, "hi"));
        }
        esme.submit(&Sm { schedule: "000000010000000R".to_owned(), ..Sm::new("1", "4470", "later") });
        for _ in 0..2 {
            esme.submit_refused(&Sm::new("1", "", "nobody"));
        }
        let of_acme = |key: &str| format!("/accounts/acme/{key}");
        daemon.await_stats(&[(&of_acme("delivered"), 3), (&of_acme("undeliverable"), 1)]);
        let mut receiver = bind(&daemon, Mode::Receiver, "acme");
        let words = take(&mut receiver, "12345");
        let stats = daemon.stats();
        let stat = |key: &str| stats.pointer(&of_acme(key)).and_then(Value::as_u64).expect("a number");
        let number = |key: &str| words[key].parse::<u64>().expect("a number");
        for key in ["submitted", "accepted", "delivered", "pending"] {
            assert_eq!(number(key), stat(key), "{key}, {layout:?}");
        }
        assert_eq!((number("submitted"), number("pending")), (7, 1));
        assert_eq!(number("refused"), stat("rejected") + stat("throttled"));
        assert_eq!(number("failed"), stat("undeliverable") + stat("expired") + stat("deleted"));
        let ratio = stats.pointer(&of_acme("success_ratio")).and_then(Value::as_f64).expect("a ratio");
        assert_eq!((words["ratio"].as_str(), ratio), ("0.7500", 0.75));
        // And again, for as long as it is taken.
        take(&mut receiver, "12345");
        take(&mut receiver, "12345");
        esme.enquire();
    }
}

#[test]
fn none_is_made_for_nobody_and_one_at_most_waits() {
    for layout in Layout::WITHOUT_TLS {
        let config = account("clock", "777", INTERVAL) + &account("acme", "12345", INTERVAL);
        let daemon = Daemon::start(&config, layout);
        let mut clock = bind(&daemon, Mode::Receiver, "clock");
        let mut transmitter = bind(&daemon, Mode::Transmitter, "acme");
        pass(&mut clock, 4);
        assert_eq!(daemon.stat("/accounts/acme/mo_accepted"), 0, "{layout:?}");
        let mut receiver = bind(&daemon, Mode::Receiver, "acme");
        let (unanswered, _) = receiver.delivery();
        pass(&mut clock, 4);
        assert_eq!(daemon.stat("/accounts/acme/mo_accepted"), 1, "{layout:?}");
        receiver.respond(&unanswered, ESME_ROK);
        take(&mut receiver, "12345");
        // It goes without a word, and one at most is left for nobody.
        receiver.vanish();
        daemon.await_stats(&[("/accounts/acme/sessions", 1)]);
        pass(&mut clock, 4);
        assert!(daemon.stat("/accounts/acme/mo_pending") <= 1, "{layout:?}");
        transmitter.enquire();
    }
}

#[test]
fn a_reload_switches_them_on_changes_and_ends_them() {
    let clock = account("clock", "777", INTERVAL);
    let off = clock.clone() + &account("acme", "12345", "");
    let daemon = Daemon::start(&off, Layout::TWO_BY_TWO);
    let mut clock_esme = bind(&daemon, Mode::Receiver, "clock");
    let mut esme = bind(&daemon, Mode::Transceiver, "acme");
    pass(&mut clock_esme, 3);
    esme.enquire();
    let answer = daemon.reload(&(clock.clone() + &account("acme", "12345", INTERVAL)));
    let change = serde_json::json!({
        "change": "account_changed", "account": "acme", "key": "statistics.interval_ms", "takes_effect": "now"
    });
    assert_eq!(answer["changes"], serde_json::json!([change]));
    take(&mut esme, "12345");
    let elsewhere = INTERVAL.to_owned() + "source_addr = \"4999\"\ndestination_addr = \"ops\"\n";
    daemon.reload(&(clock + &account("acme", "12345", &elsewhere)));
    // One may have been on its way.
    let sm = loop {
        let sm = esme.take_delivery();
        if sm.dest != "12345" {
            break sm;
        }
    };
    assert_eq!((sm.source.as_str(), sm.source_ton), ("4999", 1));
    assert_eq!((sm.dest.as_str(), sm.dest_ton), ("ops", 5));
    daemon.reload(&off);
    // One may have been in the making.
    pass(&mut clock_esme, 2);
    let accepted = daemon.stat("/accounts/acme/mo_accepted");
    pass(&mut clock_esme, 4);
    assert_eq!(daemon.stat("/accounts/acme/mo_accepted"), accepted);
}
