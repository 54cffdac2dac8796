//! A changed configuration takes effect without a restart, and without a session that is still allowed noticing.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::esme::*;
use crate::support::{Daemon, Layout};

const LAYOUTS: [Layout; 5] = [
    Layout::AUTOMATIC,
    Layout::TWO_BY_TWO,
    Layout::ONE_BY_THREE,
    Layout::TLS_AUTOMATIC,
    Layout::TLS_TWO_BY_TWO,
];

fn account(system_id: &str, rest: &str) -> String {
    format!("[[account]]\nsystem_id = \"{system_id}\"\npassword = \"{system_id}\"\n{rest}\n")
}

fn bind(daemon: &Daemon, system_id: &str) -> RawEsme {
    RawEsme::bind(daemon.smpp, Mode::Transceiver, system_id, system_id)
}

fn status_of_bind(daemon: &Daemon, system_id: &str, password: &str) -> u32 {
    let mut esme = RawEsme::connect(daemon.smpp);
    let status = esme.try_bind(Mode::Transceiver, system_id, password, 0x34, "").status;
    if status == ESME_ROK {
        esme.unbind();
    } else {
        esme.expect_end();
    }
    status
}

/// The changes as one line each: kind, account, key, when.
fn lines(answer: &Value) -> Vec<String> {
    let word = |change: &Value, key: &str| change[key].as_str().unwrap_or("-").to_owned();
    let line =
        |change: &Value| ["change", "account", "key", "takes_effect"].map(|key| word(change, key)).join(" ");
    answer["changes"].as_array().expect("changes").iter().map(line).collect()
}

#[test]
fn accounts_come_go_and_change_while_others_carry_traffic() {
    for layout in LAYOUTS {
        let stays = account("stays", "addresses = [\"777\"]");
        let before = stays.clone() + &account("goes", "") + &account("off", "") + &account("slow", "");
        let daemon = Daemon::start(&before, layout);
        let mut steady = bind(&daemon, "stays");
        let mut goes = bind(&daemon, "goes");
        let mut off = bind(&daemon, "off");
        let mut slow = bind(&daemon, "slow");
        for esme in [&mut steady, &mut goes, &mut off, &mut slow] {
            esme.submit(&Sm::new("1", "4470", "before"));
        }
        let after = stays
            + &account("new", "addresses = [\"888\"]")
            + &account("slow", "rate_per_s = 1\nburst = 1\nsource_addresses = [\"49*\"]")
            + &account("off", "enabled = false");
        let answer = daemon.reload(&after);
        assert_eq!(answer["applied"], true);
        assert_eq!(
            lines(&answer),
            [
                "account_removed goes - now",
                "account_disabled off - now",
                "account_changed slow burst now",
                "account_changed slow rate_per_s now",
                "account_changed slow source_addresses now",
                "account_added new - now",
            ]
        );
        // Those that may not stay are unbound in order.
        for esme in [&mut goes, &mut off] {
            let unbind = esme.expect(UNBIND, 0);
            esme.respond(&unbind, ESME_ROK);
            esme.expect_end();
        }
        assert_eq!(status_of_bind(&daemon, "goes", "goes"), ESME_RBINDFAIL);
        assert_eq!(status_of_bind(&daemon, "off", "off"), ESME_RBINDFAIL);

        // Those that may have noticed nothing, and go by the new rules.
        steady.enquire();
        assert_eq!(slow.submit_refused(&Sm::new("1", "4470", "x")), ESME_RINVSRCADR);
        slow.submit(&Sm::new("4917", "4470", "x"));
        assert_eq!(slow.submit_refused(&Sm::new("4917", "4470", "x")), ESME_RTHROTTLED);

        // The new one owns its address on every shard, and its messages are counted as its own.
        let mut new = bind(&daemon, "new");
        let receipt = Sm::with_receipt("888", "777", "to a session that was there before");
        let id = new.submit(&receipt);
        assert_eq!(steady.take_delivery().text(), "to a session that was there before");
        assert_eq!(new.take_delivery().receipted_id(), id);
        for n in 0..10 {
            steady.submit(&Sm::new("777", "888", &n.to_string()));
            assert_eq!(new.take_delivery().text(), n.to_string());
        }
        daemon.await_stats(&[("/accounts/new/accepted", 1), ("/accounts/new/receipts_sent", 1)]);
        daemon.await_stats(&[("/accounts/stays/accepted", 11), ("/sessions/bound", 3)]);

        // And back: who is back is who he was.
        daemon.reload(&before);
        assert_eq!(status_of_bind(&daemon, "goes", "goes"), ESME_ROK);
        new.expect(UNBIND, 0);
        daemon.await_stats(&[("/accounts/goes/accepted", 1)]);
        steady.unbind();
        slow.submit(&Sm::new("1", "4470", "x"));
    }
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_is_told_why() {
    let good = account("a", "");
    let daemon = Daemon::start(&good, Layout::TWO_BY_TWO);
    let mut esme = bind(&daemon, "a");
    for (text, place, key) in [
        (account("a", "window = 0"), "smscd.toml:4", "account[0].window"),
        (account("a", "allow_from = [\"10.0.0.0/99\"]"), "smscd.toml:4", "account[0].allow_from"),
        (account("b", "") + "[limits]\nsessions_max = \"many\"\n", "smscd.toml:6", "limits.sessions_max"),
        ("[smpp\n".to_owned(), "smscd.toml:1", "smpp"),
    ] {
        daemon.rewrite_config(&text);
        let response = daemon.post("/reload", &[], "");
        assert_eq!(response.status, 422, "{text}: {response:?}");
        let problem = &response.json()["problems"][0];
        assert!(problem["place"].as_str().is_some_and(|found| found.ends_with(place)), "{text}: {problem}");
        assert_eq!(problem["key"], key, "{text}");
        assert!(problem["what"].as_str().is_some_and(|what| !what.is_empty()), "{text}");
        daemon.await_log(&format!("{place}: "));
        esme.submit(&Sm::new("1", "4470", "still here"));
        assert_eq!(status_of_bind(&daemon, "b", "b"), ESME_RBINDFAIL);
    }
    assert!(daemon.stderr().contains("the configuration stays as it is"));
    assert_eq!(lines(&daemon.reload(&good)), Vec::<String>::new());
}

#[test]
fn a_dry_run_says_what_would_change_and_a_restart_is_named_where_it_is_needed() {
    let daemon = Daemon::start(&account("a", ""), Layout::AUTOMATIC);
    let new = "[engine]\nnode = 5\n[log]\nlevel = \"debug\"\n".to_owned() + &account("b", "");
    daemon.rewrite_config(&new);
    let expected = [
        "account_removed a - now",
        "account_added b - now",
        "key_changed - engine.node at_restart",
        "key_changed - log.level now",
    ];
    let dry = daemon.post("/reload?dry_run=true", &[], "").json();
    assert_eq!((&dry["applied"], lines(&dry)), (&false.into(), expected.map(str::to_owned).to_vec()));
    assert_eq!(status_of_bind(&daemon, "a", "a"), ESME_ROK);
    assert_eq!(daemon.post("/reload?dry_run=maybe", &[], "").status, 400);

    let applied = daemon.reload(&new);
    assert_eq!(lines(&applied), expected);
    assert_eq!(status_of_bind(&daemon, "b", "b"), ESME_ROK);
    let in_effect = daemon.get("/config").body;
    assert!(in_effect.contains("level = \"debug\"") && in_effect.contains("node = 0"), "{in_effect}");
    assert!(in_effect.contains("password = \"(redacted)\"") && !in_effect.contains("\"a\""), "{in_effect}");
    // What waits for the restart is still said to be different, and nothing else.
    assert_eq!(lines(&daemon.reload(&new)), ["key_changed - engine.node at_restart"]);
}

#[test]
fn sighup_reloads() {
    let daemon = Daemon::start(&account("a", ""), Layout::TWO_BY_TWO);
    let mut esme = bind(&daemon, "a");
    daemon.rewrite_config(&(account("a", "") + &account("b", "")));
    daemon.signal(Signal::HUP);
    daemon.await_log("configuration: account_added b");
    daemon.await_log("configuration reloaded");
    bind(&daemon, "b").unbind();
    daemon.rewrite_config("nonsense");
    daemon.signal(Signal::HUP);
    daemon.await_log("smscd.toml:1: ");
    bind(&daemon, "b").unbind();
    esme.enquire();
}

#[test]
fn a_message_of_an_account_that_goes_and_comes_back_keeps_its_owner_over_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let slow_network = "[[network.profile]]\nprefix = \"\"\ndelay = { distribution = \"fixed\", mean_ms = 600000, max_ms = 600000 }\n";
    let scheduled = Sm { schedule: "000001000000000R".to_owned(), ..Sm::with_receipt("1", "4470", "later") };
    let with = |names: &[&str]| -> String {
        slow_network.to_owned() + &names.iter().map(|name| account(name, "")).collect::<String>()
    };
    let mut daemon = Daemon::start_on(Some(dir.path()), &with(&["a"]), Layout::ONE_BY_ONE);
    daemon.reload(&with(&["a", "b"]));
    let id = bind(&daemon, "b").submit(&scheduled);
    // Killed after the response: the store knows whose it is, by the number that the reload gave.
    daemon.kill();
    drop(daemon);
    let daemon = Daemon::start_on(Some(dir.path()), &with(&["c", "a"]), Layout::ONE_BY_ONE);
    let message = daemon.get(&format!("/messages/{id}")).json();
    assert_eq!(message["account"], "b", "{message}");
    daemon.reload(&with(&["c", "a", "b", "d"]));
    bind(&daemon, "d").submit(&scheduled);
    let message = daemon.get(&format!("/messages/{id}")).json();
    assert_eq!(message["account"], "b", "{message}");
    daemon.await_stats(&[("/accounts/b/pending", 1), ("/accounts/d/pending", 1)]);
}

#[test]
fn a_session_that_is_not_in_the_allow_list_any_more_is_unbound() {
    let daemon = Daemon::start(&account("a", "allow_from = [\"127.0.0.0/8\"]"), Layout::AUTOMATIC);
    let mut esme = bind(&daemon, "a");
    daemon.reload(&account("a", "allow_from = [\"127.0.0.1\", \"10.0.0.0/8\"]"));
    esme.enquire();
    daemon.reload(&account("a", "allow_from = [\"10.0.0.0/8\"]"));
    esme.expect(UNBIND, 0);
    assert_eq!(status_of_bind(&daemon, "a", "a"), ESME_RBINDFAIL);
}
