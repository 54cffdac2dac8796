//! More than can be: what is over is refused with a status that says so, what is accepted is kept, and the moment the load
//! goes everything is as before.

use crate::support::esme::*;
use crate::support::{Daemon, Layout};

/// Sends `count` submit_sm at once; how many were accepted and how many refused, all of them with `refusal`.
fn flood(esme: &mut RawEsme, source: &str, count: usize, refusal: u32) -> (u64, u64) {
    let mut octets = Vec::new();
    for _ in 0..count {
        let sequence = esme.sequence();
        octets.extend(pdu(SUBMIT_SM, 0, sequence, &Sm::new(source, &format!("447{sequence}"), "x").encode()));
    }
    esme.send(&octets);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..count {
        let response = esme.receive();
        match response.status {
            ESME_ROK => accepted += 1,
            status => {
                assert_eq!(status, refusal, "{response:?}");
                refused += 1;
            }
        }
    }
    (accepted, refused)
}

#[test]
fn a_full_store_recovers_as_its_messages_end_and_loses_none() {
    let config = "
[store]
durability = \"none\"
messages_max = 1000

[[network.profile]]
prefix = \"\"
delay = { distribution = \"fixed\", mean_ms = 500, max_ms = 500 }
";
    for layout in [Layout::ONE_BY_ONE, Layout::TWO_BY_TWO] {
        let daemon = Daemon::start(config, layout);
        let mut sessions: Vec<RawEsme> = (0..3).map(|_| daemon.bind(Mode::Transmitter)).collect();
        let (mut accepted, mut refused) = (0, 0);
        // Each round offers three times what there is room for.
        for _ in 0..10 {
            for esme in &mut sessions {
                let (more, less) = flood(esme, "1", 1_000, ESME_RMSGQFUL);
                accepted += more;
                refused += less;
            }
        }
        assert!(accepted >= 1_000 && refused > 0, "{accepted} accepted, {refused} refused");
        daemon.await_stats(&[("/messages/pending", 0)]);
        daemon.await_stats(&[("/messages/delivered", accepted), ("/messages/throttled", refused)]);
        for esme in &mut sessions {
            assert_eq!(flood(esme, "1", 100, ESME_RMSGQFUL), (100, 0), "there is room again");
        }
    }
}

#[test]
fn an_account_over_its_rate_costs_another_nothing() {
    let config = "
[store]
durability = \"none\"

[[account]]
system_id = \"demo\"
password = \"demo\"

[[account]]
system_id = \"slow\"
password = \"slow\"
rate_per_s = 1
burst = 10
";
    let daemon = Daemon::start(config, Layout::TWO_BY_TWO);
    let mut over: Vec<RawEsme> =
        (0..4).map(|_| RawEsme::bind(daemon.smpp, Mode::Transmitter, "slow", "slow")).collect();
    let mut within = daemon.bind(Mode::Transmitter);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..5 {
        for esme in &mut over {
            let (more, less) = flood(esme, "1", 500, ESME_RTHROTTLED);
            accepted += more;
            refused += less;
        }
        assert_eq!(flood(&mut within, "1", 100, ESME_RTHROTTLED), (100, 0));
    }
    // The burst, and one for each second that this has taken.
    assert!((10..100).contains(&accepted), "{accepted}");
    daemon.await_stats(&[
        ("/accounts/slow/accepted", accepted),
        ("/accounts/slow/throttled", refused),
        ("/accounts/demo/throttled", 0),
    ]);
    over.iter_mut().for_each(RawEsme::enquire);
}
