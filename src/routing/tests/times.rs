//! Schedule and validity arithmetic, against a calendar that counts days one by one.

use proptest::prelude::*;

use super::*;

/// A date and time of day in UTC, counted the slow way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Date {
    fn unix_s(self) -> u64 {
        let months = (1970..self.year).flat_map(|year| (1..=12).map(move |month| month_days(year, month)));
        let days =
            months.sum::<u64>() + (1..self.month).map(|m| month_days(self.year, m)).sum::<u64>() + self.day
                - 1;
        ((days * 24 + self.hour) * 60 + self.minute) * 60 + self.second
    }

    fn of(unix_s: u64) -> Self {
        let (mut days, rest) = (unix_s / 86_400, unix_s % 86_400);
        let (mut year, mut month) = (1970, 1);
        while days >= month_days(year, month) {
            days -= month_days(year, month);
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        Self { year, month, day: days + 1, hour: rest / 3_600, minute: rest / 60 % 60, second: rest % 60 }
    }

    /// The 16 characters for this point as a clock shows it that is `quarters` quarter hours ahead of UTC.
    fn text(self, tenths: u64, quarters: i64) -> Vec<u8> {
        let local = Self::of(self.unix_s().saturating_add_signed(quarters * 900));
        let sign = if quarters < 0 { '-' } else { '+' };
        format!(
            "{:02}{:02}{:02}{:02}{:02}{:02}{tenths}{:02}{sign}",
            local.year % 100,
            local.month,
            local.day,
            local.hour,
            local.minute,
            local.second,
            quarters.abs()
        )
        .into_bytes()
    }
}

/// Points around year ends as often as anywhere, up to the end of what the form can say.
fn point() -> impl Strategy<Value = u64> {
    let year_end = (2025u64..2036, 0u64..200_000).prop_map(|(year, second)| {
        Date { year, month: 12, day: 31, hour: 0, minute: 0, second: 0 }.unix_s() + second
    });
    let leap_day = (2024u64..2036, 0u64..300_000).prop_map(|(year, second)| {
        Date { year, month: 2, day: 27, hour: 0, minute: 0, second: 0 }.unix_s() + second
    });
    prop_oneof![year_end, leap_day, 1_735_689_600u64..2_082_758_400]
}

const DAY_S: u64 = 86_400;

/// A shard of which the clock stands at this second.
fn bench_at(unix_s: u64) -> Bench {
    let mut bench = bench();
    bench.now.wall = WallTime::from_unix_millis(unix_s * 1_000);
    bench
}

fn submit(bench: &mut Bench, schedule: &[u8], validity: &[u8]) -> Result<HeldMessage, CommandStatus> {
    bench.shard.network.then(1_000_000_000, Outcome::Delivered);
    let sm = SubmitSm { schedule_delivery_time: schedule, validity_period: validity, ..sm(0) };
    match bench.try_submit(session(0), InterfaceVersion::V34, sm) {
        SubmitOutcome::Accepted(id) => Ok(bench.shard.query(id, bench.now).unwrap().held.unwrap()),
        SubmitOutcome::Refused(status) => Err(status),
        SubmitOutcome::Later => panic!("not durable"),
    }
}

#[test]
fn the_slow_calendar_is_one() {
    let date = Date { year: 2024, month: 2, day: 29, hour: 23, minute: 59, second: 58 };
    assert_eq!(Date::of(date.unix_s()), date);
    assert_eq!(date.unix_s(), 1_709_251_198);
    assert_eq!(date.text(7, 5), b"240301011458705+");
    assert_eq!(date.text(0, -48), b"240229115958048-");
}

proptest! {
    /// A point in time is the same point whatever the offset that it is stated with.
    #[test]
    fn an_absolute_validity_ends_then(now_s in point(), ahead_s in 1..=DAY_S, tenths in 0u64..10, quarters in -48i64..=48) {
        let mut bench = bench_at(now_s);
        let text = Date::of(now_s + ahead_s).text(tenths, quarters);
        let held = submit(&mut bench, b"", &text);
        if ahead_s * 10 + tenths > DAY_S * 10 {
            prop_assert_eq!(held, Err(CommandStatus::ESME_RINVEXPIRY));
        } else {
            prop_assert_eq!(held.unwrap().expires.unix_millis(), (now_s + ahead_s) * 1_000 + tenths * 100);
        }
    }

    #[test]
    fn an_absolute_validity_that_is_past_or_too_far_is_refused(
        now_s in point(), past_s in 0..10 * DAY_S, beyond_s in 1..10 * DAY_S, quarters in -48i64..=48,
    ) {
        let mut bench = bench_at(now_s);
        for at in [now_s - past_s, now_s + DAY_S + beyond_s] {
            let text = Date::of(at).text(0, quarters);
            prop_assert_eq!(submit(&mut bench, b"", &text), Err(CommandStatus::ESME_RINVEXPIRY));
        }
        prop_assert_eq!(bench.shard.pending(), 0);
    }

    /// A schedule that is past means now; one that is ahead is kept, with the default validity from there.
    #[test]
    fn an_absolute_schedule(now_s in point(), offset_s in -10 * DAY_S as i64..2 * DAY_S as i64, quarters in -48i64..=48) {
        let mut bench = bench_at(now_s);
        let at_s = now_s.saturating_add_signed(offset_s);
        let held = submit(&mut bench, &Date::of(at_s).text(0, quarters), b"");
        if offset_s > DAY_S as i64 {
            prop_assert_eq!(held, Err(CommandStatus::ESME_RINVSCHED));
        } else {
            let held = held.unwrap();
            let from_s = at_s.max(now_s);
            prop_assert_eq!(held.scheduled.map(|at| at.unix_seconds()), (offset_s > 0).then_some(at_s));
            prop_assert_eq!(held.expires.unix_seconds(), from_s + 3_600);
        }
    }

    /// A relative time is a calendar sum from now on.
    #[test]
    fn relative_times(now_s in point(), months in 0u64..=12, days in 0u64..=31, seconds in 0u64..DAY_S) {
        let mut bench = bench_at(now_s);
        let max_s = 40 * DAY_S;
        bench.shard = {
            let settings = ShardSettings { validity_max_s: max_s, ..settings() };
            Shard::new(settings, SlowStore::new(100), ScriptedNetwork::default(), bench.now.wall).unwrap()
        };
        let now = Date::of(now_s);
        let month = now.month - 1 + months;
        let (year, month) = (now.year + month / 12, month % 12 + 1);
        let shifted = Date { year, month, day: now.day.min(month_days(year, month)), ..now };
        let at_s = shifted.unix_s() + days * DAY_S + seconds;
        let text = format!(
            "00{months:02}{days:02}{:02}{:02}{:02}000R", seconds / 3_600, seconds / 60 % 60, seconds % 60
        );
        let ahead_s = at_s - now_s;
        let validity = submit(&mut bench, b"", text.as_bytes());
        let schedule = submit(&mut bench, text.as_bytes(), b"");
        if ahead_s > max_s {
            prop_assert_eq!(validity, Err(CommandStatus::ESME_RINVEXPIRY));
            prop_assert_eq!(schedule, Err(CommandStatus::ESME_RINVSCHED));
        } else {
            let validity = validity.map(|held| held.expires.unix_seconds());
            prop_assert_eq!(validity, if ahead_s == 0 { Err(CommandStatus::ESME_RINVEXPIRY) } else { Ok(at_s) });
            let scheduled = schedule.unwrap().scheduled.map(|at| at.unix_seconds());
            prop_assert_eq!(scheduled, (ahead_s > 0).then_some(at_s));
        }
    }

    /// A schedule at or behind the end of the validity is refused, any other pair is kept.
    #[test]
    fn a_schedule_lies_within_the_validity(now_s in point(), schedule_s in 1..=DAY_S, validity_s in 1..=DAY_S) {
        let mut bench = bench_at(now_s);
        let text = |ahead_s: u64, quarters| Date::of(now_s + ahead_s).text(0, quarters);
        let held = submit(&mut bench, &text(schedule_s, 8), &text(validity_s, -13));
        if schedule_s >= validity_s {
            prop_assert_eq!(held, Err(CommandStatus::ESME_RINVSCHED));
        } else {
            let held = held.unwrap();
            prop_assert_eq!(held.scheduled.unwrap().unix_seconds(), now_s + schedule_s);
            prop_assert_eq!(held.expires.unix_seconds(), now_s + validity_s);
        }
    }
}

#[test]
fn accounts_have_their_own_validity() {
    let alice = AccountRouting {
        validity_default_s: Some(60),
        validity_max_s: Some(600),
        ..AccountRouting::default()
    };
    // A maximum below the default of all accounts bounds it.
    let bob = AccountRouting {
        validity_max_s: Some(30),
        addresses: vec![b"7000".to_vec()],
        ..AccountRouting::default()
    };
    let mut bench = Bench::new(ShardSettings { accounts: vec![alice, bob], ..settings() });
    let after_s = |bench: &mut Bench, schedule: &[u8], validity: &[u8]| {
        submit(bench, schedule, validity).map(|held| held.expires.unix_seconds() - NOON_MS / 1_000)
    };
    assert_eq!(after_s(&mut bench, b"", b""), Ok(60));
    assert_eq!(after_s(&mut bench, b"000000000100000R", b""), Ok(120));
    assert_eq!(after_s(&mut bench, b"", b"000000001000000R"), Ok(600));
    assert_eq!(after_s(&mut bench, b"", b"000000001001000R"), Err(CommandStatus::ESME_RINVEXPIRY));
    assert_eq!(after_s(&mut bench, b"000000001001000R", b""), Err(CommandStatus::ESME_RINVSCHED));
    let mo = Mo {
        source_addr: b"1",
        destination_addr: b"7000",
        data_coding: 0,
        esm_class: 0,
        short_message: b"x",
    };
    bench.shard.inject_mo(&mo, bench.now, &mut bench.out).unwrap();
    bench.pass(29_999);
    assert!(!bench.out.facts.contains(&Fact::MoFailed { account: BOB }));
    bench.pass(1);
    assert!(bench.out.facts.contains(&Fact::MoFailed { account: BOB }));
}
