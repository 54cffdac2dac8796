//! The orderly end: SIGTERM and SIGINT unbind every session, let answers drain and exit 0.

use rustix::process::Signal;

use crate::CONFIG;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

#[test]
fn sessions_are_unbound_and_the_daemon_exits_0() {
    for layout in Layout::ALL {
        for signal in [Signal::TERM, Signal::INT] {
            let mut daemon = Daemon::start(CONFIG, layout);
            let mut sessions: Vec<RawEsme> = Mode::ALL.map(|mode| daemon.bind(mode)).into();
            // One that never bound is simply closed.
            let mut unbound = RawEsme::connect(daemon.smpp);
            unbound.enquire();
            daemon.signal(signal);
            for esme in &mut sessions {
                let unbind = esme.expect(UNBIND, 0);
                assert!(unbind.body.is_empty());
                esme.respond(&unbind, ESME_ROK);
                esme.expect_end();
            }
            unbound.expect_end();
            drop((sessions, unbound));
            assert_eq!(daemon.wait().code(), Some(0), "{layout:?}: {}", daemon.stderr());
        }
    }
}

#[test]
fn answers_under_way_drain_before_the_end() {
    for layout in Layout::ALL {
        let mut daemon = Daemon::start(CONFIG, layout);
        let mut esme = daemon.bind(Mode::Transceiver);
        let mut octets = Vec::new();
        let sequences: Vec<u32> = (0..500).map(|_| esme.sequence()).collect();
        for sequence in &sequences {
            let sm = Sm::new("12345", &format!("4470{sequence}"), "hi");
            octets.extend(pdu(SUBMIT_SM, 0, *sequence, &sm.encode()));
        }
        esme.send(&octets);
        daemon.signal(Signal::TERM);
        // Requests that were on their way are answered, the unbind is somewhere among the answers.
        let mut answered = Vec::new();
        while answered.len() < sequences.len() {
            let pdu =
                esme.receive_or_end().unwrap_or_else(|| panic!("{layout:?}: {} answers", answered.len()));
            if pdu.id == UNBIND {
                continue;
            }
            assert_eq!(pdu.id, SUBMIT_SM | RESP);
            answered.push((pdu.sequence, pdu));
        }
        answered.sort_by_key(|(sequence, _)| *sequence);
        assert!(answered.iter().map(|(sequence, _)| sequence).eq(&sequences));
        // And so is an unbind of ours, sent before theirs is answered.
        let sequence = esme.request(UNBIND, &[]);
        while let Some(pdu) = esme.receive_or_end() {
            assert!(pdu.id == UNBIND || (pdu.id, pdu.sequence) == (UNBIND | RESP, sequence), "{pdu:?}");
        }
        // A peer that closes its end too is not waited for.
        esme.vanish();
        assert_eq!(daemon.wait().code(), Some(0), "{layout:?}: {}", daemon.stderr());
    }
}

#[test]
fn a_peer_that_does_not_answer_holds_the_end_up_for_the_timeout_only() {
    let config = CONFIG.replacen("unbind_timeout_ms = 5000", "unbind_timeout_ms = 200", 1);
    let mut daemon = Daemon::start(&config, Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    daemon.signal(Signal::TERM);
    esme.expect(UNBIND, 0);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.stderr());
}

#[test]
fn a_hangup_does_not_end_it() {
    let daemon = Daemon::start(CONFIG, Layout::AUTOMATIC);
    let mut esme = daemon.bind(Mode::Transceiver);
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.get("/ready").status, 200);
    esme.enquire();
}

#[test]
fn ids_do_not_repeat_over_a_restart() {
    // Two daemons, one after the other, on the same clock and with data folders of their own: the worst case, since
    // nothing but the clock keeps them apart.
    let mut ids = std::collections::HashSet::new();
    for _ in 0..2 {
        let daemon = Daemon::start(CONFIG, Layout::TWO_BY_TWO);
        let mut esme = daemon.bind(Mode::Transmitter);
        for n in 0..100 {
            assert!(ids.insert(esme.submit(&Sm::new("12345", &format!("4470{n}"), "hi"))));
        }
    }
}
