//! Judging binds, counting places, charging messages.

use super::*;
use crate::base::Now;
use crate::config::{DuplicateBind, Secret};
use crate::session::{BindMode, Grant};
use crate::smpp::SubmitSm;

const NOW: Time = Time::from_millis(1_000_000);

fn config(accounts: Vec<AccountConfig>) -> Config {
    Config { accounts, ..Config::default() }
}

fn plain(system_id: &str) -> AccountConfig {
    AccountConfig {
        system_id: system_id.to_owned(),
        password: Some(Secret::new("right")),
        ..AccountConfig::default()
    }
}

/// With the cheapest hash that argon2id has.
fn hashed(system_id: &str) -> AccountConfig {
    let hash = password::hash(b"right", 8, 1).unwrap();
    AccountConfig { password: None, password_hash: Some(Secret::new(hash)), ..plain(system_id) }
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn bind<'a>(system_id: &'a str, password: &'a str) -> BindRequest<'a> {
    BindRequest {
        system_id: system_id.as_bytes(),
        password: password.as_bytes(),
        mode: BindMode::Transceiver,
        address_range: b"",
        interface_version: 0x34,
    }
}

fn session(slot: u32) -> SessionHandle {
    SessionHandle { slot, generation: 1, worker: 0 }
}

/// The whole way of a bind of this session, the authenticator's part included; and whether that was needed.
fn try_bind_as(
    table: &AccountTable,
    slot: u32,
    system_id: &str,
    password: &str,
    from: u8,
) -> (Result<Grant, CommandStatus>, bool) {
    let (settled, verified) = match table.judge(&bind(system_id, password), session(slot), address(from), NOW)
    {
        Judgement::Now(_, settled) => (settled, false),
        Judgement::Limited => return (Err(CommandStatus::ESME_RTHROTTLED), false),
        Judgement::Verify(attempt) => {
            let right = table.verify(&attempt, password.as_bytes());
            (table.settle(&attempt, right, NOW), true)
        }
    };
    let result = match settled {
        Settled::Granted { grant, .. } => Ok(grant),
        Settled::Refused(status) => Err(status),
        Settled::Ask(_) => unreachable!("no account here asks"),
    };
    (result, verified)
}

/// As [`try_bind_as`], of a session that nothing is said about later.
fn try_bind(
    table: &AccountTable,
    system_id: &str,
    password: &str,
    from: u8,
) -> (Result<Grant, CommandStatus>, bool) {
    try_bind_as(table, 0, system_id, password, from)
}

#[test]
fn unknown_disabled_from_elsewhere_and_wrong_password_take_the_same_way() {
    let disabled = AccountConfig { enabled: false, ..plain("disabled") };
    let elsewhere = AccountConfig { allow_from: vec!["10.0.0.0/8".parse().unwrap()], ..hashed("elsewhere") };
    let table = AccountTable::new(
        &config(vec![plain("plain"), hashed("hashed"), disabled, elsewhere]),
        Arc::default(),
    )
    .unwrap();
    for (system_id, password) in [
        ("unknown", "right"),
        ("disabled", "right"),
        ("elsewhere", "right"),
        ("plain", "wrong"),
        ("hashed", "wrong"),
        ("", ""),
    ] {
        let (result, verified) = try_bind(&table, system_id, password, 1);
        assert_eq!(result.unwrap_err(), CommandStatus::ESME_RBINDFAIL, "{system_id}");
        assert!(verified, "{system_id}: its answer came sooner than the others'");
    }
    assert_eq!(table.sessions(AccountId(0)), (0, 0));
    // Without any hash there is nothing to hide behind, nor to hide.
    let table = AccountTable::new(&config(vec![plain("plain")]), Arc::default()).unwrap();
    for (system_id, password) in [("unknown", "right"), ("plain", "wrong")] {
        let (result, verified) = try_bind(&table, system_id, password, 1);
        assert_eq!((result.unwrap_err(), verified), (CommandStatus::ESME_RBINDFAIL, false));
    }
}

#[test]
fn a_right_password_is_hashed_once_and_no_other_is_right_for_it() {
    let table = AccountTable::new(&config(vec![hashed("a")]), Arc::default()).unwrap();
    assert!(matches!(try_bind(&table, "a", "right", 1), (Ok(_), true)));
    assert!(matches!(try_bind(&table, "a", "right", 2), (Ok(_), false)));
    assert!(matches!(try_bind(&table, "a", "righu", 1), (Err(_), true)));
    assert!(matches!(try_bind(&table, "a", "right", 1), (Ok(_), false)));
    assert_eq!(table.sessions(AccountId(0)), (3, 3));

    // With another hash, what was found right before says nothing.
    let mut changed = config(vec![hashed("a")]);
    changed.accounts[0].password_hash = Some(Secret::new(password::hash(b"other", 8, 1).unwrap()));
    let table = table.after(&changed);
    assert!(matches!(try_bind(&table, "a", "right", 1), (Err(_), true)));
    assert!(matches!(try_bind(&table, "a", "other", 1), (Ok(_), true)));

    let mut forgetful = config(vec![hashed("a")]);
    forgetful.limits.remember_passwords = false;
    let table = AccountTable::new(&forgetful, Arc::default()).unwrap();
    for _ in 0..2 {
        assert!(matches!(try_bind(&table, "a", "right", 1), (Ok(_), true)));
    }
}

#[test]
fn guessing_is_limited_by_address_and_by_system_id_but_locks_nobody_out() {
    let table = AccountTable::new(&config(vec![plain("a"), plain("b")]), Arc::default()).unwrap();
    assert!(try_bind(&table, "a", "right", 1).0.is_ok());
    for _ in 0..30 {
        assert_eq!(try_bind(&table, "b", "wrong", 7).0.unwrap_err(), CommandStatus::ESME_RBINDFAIL);
    }
    let limited = Err(CommandStatus::ESME_RTHROTTLED);
    assert_eq!(
        try_bind(&table, "a", "right", 7).0.map(|_| ()),
        limited,
        "this address has guessed too often"
    );
    assert_eq!(try_bind(&table, "b", "right", 8).0.map(|_| ()), limited, "this system_id was guessed at");
    assert!(try_bind(&table, "a", "right", 8).0.is_ok(), "another one was not");
    // Guesses at `a` from everywhere don't keep it out of where it last was.
    for n in 0..60 {
        let _ = try_bind(&table, "a", "wrong", 100 + n);
    }
    assert_eq!(try_bind(&table, "a", "right", 9).0.map(|_| ()), limited);
    assert!(try_bind(&table, "a", "right", 8).0.is_ok());
    // But both do: it is guessed at, and from there it is that so many fail.
    for _ in 0..30 {
        let _ = try_bind(&table, "stranger", "x", 8);
    }
    assert_eq!(try_bind(&table, "a", "right", 8).0.map(|_| ()), limited);
    // Unknown ones are limited as known ones are.
    for n in 0..30 {
        let _ = try_bind(&table, "nobody", "x", 200 + (n % 50));
    }
    assert_eq!(try_bind(&table, "nobody", "x", 250).0.map(|_| ()), limited);
}

#[test]
fn a_reload_keeps_what_is_counted_and_voids_what_it_overtakes() {
    let before = config(vec![plain("a"), AccountConfig { sessions_max: 2, ..hashed("b") }]);
    let table = AccountTable::new(&before, Arc::default()).unwrap();
    assert!(try_bind(&table, "b", "right", 1).0.is_ok());
    let Judgement::Verify(attempt) = table.judge(&bind("b", "guess"), session(1), address(1), NOW) else {
        panic!()
    };

    let mut changed = before.clone();
    changed.accounts[1].enabled = false;
    let disabled = table.after(&changed);
    assert_eq!(disabled.sessions(AccountId(1)), (1, 1));
    assert_eq!(disabled.settle(&attempt, true, NOW), Settled::Refused(CommandStatus::ESME_RBINDFAIL));
    assert!(!disabled.get(AccountId(1)).unwrap().may_stay(BindMode::Receiver, address(1)));
    disabled.release_session(AccountId(1), session(0));

    let mut changed = before;
    changed.accounts[1].sessions_max = 1;
    changed.accounts.push(plain("c"));
    let table = table.after(&changed);
    assert_eq!(table.sessions(AccountId(1)), (0, 0));
    assert!(try_bind(&table, "b", "right", 1).0.is_ok());
    assert_eq!(try_bind(&table, "b", "right", 1).0.map(|_| ()), Err(CommandStatus::ESME_RALYBND));
    assert!(try_bind(&table, "c", "right", 1).0.is_ok());
}

#[test]
fn slots_equal_live_sessions_whatever_happens() {
    use proptest::prelude::*;
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Bind { account: usize, right: bool },
        Drop { which: usize },
        Reload { sessions_max: u32, disable: Option<usize> },
    }
    let step = prop_oneof![
        4 => (0..4usize, any::<bool>()).prop_map(|(account, right)| Step::Bind { account, right }),
        3 => any::<usize>().prop_map(|which| Step::Drop { which }),
        1 => (1..8u32, proptest::option::of(0..4usize))
            .prop_map(|(sessions_max, disable)| Step::Reload { sessions_max, disable }),
    ];
    let names = ["a", "b", "c", "d"];
    let steps = proptest::collection::vec(step, 1..120);
    let mut runner = proptest::test_runner::TestRunner::default();
    let checked = runner.run(&steps, |steps| {
        let mut base = config(names.iter().map(|name| plain(name)).collect());
        base.limits.sessions_max = 10;
        base.accounts[1].compat.duplicate_bind = Some(DuplicateBind::Replace);
        base.accounts[2].compat.duplicate_bind = Some(DuplicateBind::Refuse);
        base.accounts[3].compat.duplicate_bind = Some(DuplicateBind::Probe);
        base.limits.failed_binds_per_address = 0;
        base.limits.failed_binds_per_system_id = 0;
        let mut table = AccountTable::new(&base, Arc::default()).unwrap();
        let mut live: Vec<(AccountId, SessionHandle)> = Vec::new();
        let mut gone: Vec<(AccountId, SessionHandle)> = Vec::new();
        let mut slots = 0..;
        for step in steps {
            match step {
                Step::Bind { account, right } => {
                    let password = if right { "right" } else { "wrong" };
                    let slot = slots.next().unwrap();
                    let bind = bind(names[account], password);
                    let Judgement::Now(_, settled) = table.judge(&bind, session(slot), address(1), NOW)
                    else {
                        unreachable!("no hash and no limit")
                    };
                    if let Settled::Granted { grant, replaced } = settled {
                        live.retain(|(_, session)| !replaced.contains(session));
                        live.push((grant.account, session(slot)));
                        gone.extend(replaced.into_iter().map(|session| (grant.account, session)));
                    }
                }
                Step::Drop { which } => {
                    // Those that were replaced end too, and give nothing back.
                    gone.drain(..).for_each(|(account, session)| table.release_session(account, session));
                    if !live.is_empty() {
                        let (account, session) = live.swap_remove(which % live.len());
                        table.release_session(account, session);
                    }
                }
                Step::Reload { sessions_max, disable } => {
                    let mut next = base.clone();
                    for (i, account) in next.accounts.iter_mut().enumerate() {
                        account.sessions_max = sessions_max;
                        account.enabled = disable != Some(i);
                    }
                    table = table.after(&next);
                }
            }
            for i in 0..4 {
                let id = AccountId(i);
                let own = live.iter().filter(|(account, _)| *account == id).count() as u32;
                prop_assert_eq!(table.sessions(id), (live.len() as u32, own));
            }
        }
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn a_message_is_charged_by_every_rule() {
    let limited = AccountConfig {
        rate_per_s: 10,
        burst: 3,
        messages_per_day: 2,
        destination_prefixes: vec!["44".to_owned()],
        message_bytes_max: 5,
        ..plain("a")
    };
    let table = AccountTable::new(&config(vec![limited, plain("b")]), Arc::default()).unwrap();
    let account = table.get(AccountId(0)).unwrap();
    let now = Now { mono: NOW, ..Now::default() };
    let sm = SubmitSm { destination_addr: b"4470", short_message: b"short", ..SubmitSm::default() };
    let wrong = [
        (SubmitSm { destination_addr: b"4970", ..sm }, CommandStatus::ESME_RINVDSTADR),
        (SubmitSm { short_message: b"longer", ..sm }, CommandStatus::ESME_RINVMSGLEN),
    ];
    for (sm, status) in &wrong {
        for _ in 0..10 {
            assert_eq!(account.charge(sm, now), Err(*status), "and costs nothing of the rate");
        }
    }
    assert_eq!(account.charge(&sm, now), Ok(()));
    account.refused(1);
    assert_eq!(account.charge(&sm, now), Ok(()));
    let later = Now { mono: NOW.plus_millis(1_000), ..now };
    assert_eq!(account.charge(&sm, later), Ok(()));
    assert_eq!(account.charge(&sm, later), Err(CommandStatus::ESME_RSUBMITFAIL));
    assert_eq!(account.charge(&sm, later), Err(CommandStatus::ESME_RSUBMITFAIL));
    assert_eq!(account.charge(&sm, later), Err(CommandStatus::ESME_RTHROTTLED));
    let free = table.get(AccountId(1)).unwrap();
    assert!((0..1_000).all(|_| free.charge(&sm, now).is_ok()));
}
