//! The times of the protocol against a calendar written elsewhere (the `time` crate): all of the range that 16 characters
//! can say, in every zone, and most often around the ends of months, years and Februaries.

use proptest::prelude::*;
use smscd::base::WallTime;
use smscd::smpp::time_format::{DateDigits, SmppTime, format_receipt_date, parse_receipt_date};
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// The first year that two digits name, and the first that they don't.
const YEARS: std::ops::Range<i32> = 1938..2038;

fn month(number: i64) -> Month {
    u8::try_from(number).ok().and_then(|number| Month::try_from(number).ok()).expect("1 to 12")
}

fn date(year: i32, month: Month, day: u8) -> Date {
    Date::from_calendar_date(year, month, day).expect("a day of that month")
}

fn any_time() -> impl Strategy<Value = Time> {
    let near_midnight =
        prop_oneof![Just((23u8, 59u8, 59u8)), Just((0, 0, 0)), Just((23, 45, 0)), Just((0, 14, 59))];
    prop_oneof![1 => near_midnight, 2 => (0..24u8, 0..60u8, 0..60u8)]
        .prop_map(|(hour, minute, second)| Time::from_hms(hour, minute, second).expect("in range"))
}

/// A point in UTC within `years`; more often than not next to where a calendar has its corners.
fn point(years: std::ops::Range<i32>) -> impl Strategy<Value = PrimitiveDateTime> {
    let first = years.start;
    let month_end = (years.clone(), 1..=12i64).prop_map(|(year, number)| {
        let month = month(number);
        date(year, month, month.length(year))
    });
    let year_end = years.clone().prop_map(|year| date(year, Month::December, 31));
    // The day before 1 March: 28 or 29 February.
    let leap_day =
        years.clone().prop_map(|year| date(year, Month::March, 1).previous_day().expect("not the first"));
    let anywhere =
        (years, 1..=365u16).prop_map(|(year, day)| Date::from_ordinal_date(year, day).expect("a day"));
    let day = prop_oneof![2 => month_end, 1 => year_end, 2 => leap_day, 2 => anywhere];
    (day, -1..=1i64, any_time()).prop_map(move |(day, beside, time)| {
        let day = day.checked_add(Duration::days(beside)).expect("far from the ends");
        let day = if day.year() < first { date(first, Month::January, 1) } else { day };
        PrimitiveDateTime::new(day, time)
    })
}

/// `YYMMDDhhmmsstnnp` for this point as clocks show it that are `quarters` quarter hours ahead of UTC.
fn text(at: PrimitiveDateTime, tenths: u8, quarters: i32) -> String {
    let offset = UtcOffset::from_whole_seconds(quarters * 900).expect("within a day");
    let local = at.assume_utc().to_offset(offset);
    format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}{tenths}{:02}{}",
        local.year() % 100,
        u8::from(local.month()),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        quarters.abs(),
        if quarters < 0 { '-' } else { '+' },
    )
}

fn unix_ms(at: PrimitiveDateTime) -> i64 {
    at.assume_utc().unix_timestamp() * 1_000
}

/// Years and months as a calendar adds them (the last day of a shorter month stands for a missing one), then the rest.
fn plus(at: PrimitiveDateTime, years: i64, months: i64, rest: Duration) -> PrimitiveDateTime {
    let count = i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1 + years * 12 + months;
    let (year, month) = (i32::try_from(count / 12).expect("a year"), month(count % 12 + 1));
    let day = at.day().min(month.length(year));
    PrimitiveDateTime::new(date(year, month, day), at.time()) + rest
}

/// What two digits of a year say depends on nothing else: the first and the last second of each year of the range.
#[test]
fn two_digits_name_a_hundred_years() {
    for year in YEARS {
        let (first, last) = (date(year, Month::January, 1), date(year, Month::December, 31));
        for at in [PrimitiveDateTime::new(first, Time::MIDNIGHT), last.with_hms(23, 59, 59).expect("a time")]
        {
            let parsed = SmppTime::parse(text(at, 0, 0).as_bytes());
            assert_eq!(parsed, Some(SmppTime::Absolute(unix_ms(at))), "{at}");
        }
    }
}

#[test]
fn a_day_is_one_exactly_when_the_calendar_has_it() {
    for year in YEARS {
        for month in 0..=13u8 {
            for day in 0..=32u8 {
                let exists = Month::try_from(month)
                    .is_ok_and(|month| Date::from_calendar_date(year, month, day).is_ok());
                let text = format!("{:02}{month:02}{day:02}120000000+", year % 100);
                assert_eq!(SmppTime::parse(text.as_bytes()).is_some(), exists, "{text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The same point, whatever the zone it is stated in: also where the zone's day, month or year is another one.
    #[test]
    fn absolute_times(at in point(1939..2037), tenths in 0..10u8, quarters in -48..=48i32) {
        let text = text(at, tenths, quarters);
        let expected = unix_ms(at) + i64::from(tenths) * 100;
        prop_assert_eq!(SmppTime::parse(text.as_bytes()), Some(SmppTime::Absolute(expected)), "{}", text);
        let resolved = SmppTime::Absolute(expected).resolve(WallTime::default());
        prop_assert_eq!(resolved.unix_millis(), u64::try_from(expected).unwrap_or(0));
    }

    /// Written in UTC, to the tenth.
    #[test]
    fn absolute_times_are_written_in_utc(at in point(YEARS), ms in 0..1_000i64) {
        let written = SmppTime::Absolute(unix_ms(at) + ms).format();
        let expected = text(at, u8::try_from(ms / 100).expect("a digit"), 0);
        prop_assert_eq!(std::str::from_utf8(&written), Ok(expected.as_str()));
    }

    /// A period from now on, of up to a hundred years.
    #[test]
    fn relative_times(
        now in point(1971..2120), years in prop_oneof![Just(0i64), Just(1), Just(4), 0..100i64], months in 0..=12i64,
        days in 0..=31i64, (hours, minutes, seconds) in (0..24i64, 0..60i64, 0..60i64), ms in 0..1_000u64,
    ) {
        let text = format!("{years:02}{months:02}{days:02}{hours:02}{minutes:02}{seconds:02}000R");
        let rest = Duration::days(days) + Duration::seconds(hours * 3_600 + minutes * 60 + seconds);
        let expected = u64::try_from(unix_ms(plus(now, years, months, rest))).expect("after 1970") + ms;
        let now = WallTime::from_unix_millis(u64::try_from(unix_ms(now)).expect("after 1970") + ms);
        let parsed = SmppTime::parse(text.as_bytes()).expect("a period");
        prop_assert_eq!(parsed.resolve(now).unix_millis(), expected, "{} from {:?}", text, now);
    }

    /// The dates of receipts.
    #[test]
    fn receipt_dates(at in point(1970..2037), ms in 0..1_000u64) {
        let seconds = u64::try_from(unix_ms(at) / 1_000).expect("after 1970");
        let wall = WallTime::from_unix_millis(seconds * 1_000 + ms);
        let text = text(at, 0, 0);
        let (minute, second) = (&text.as_bytes()[..10], &text.as_bytes()[..12]);
        let written = [DateDigits::Ten, DateDigits::Twelve].map(|digits| format_receipt_date(wall, digits));
        prop_assert_eq!([written[0].as_bytes(), written[1].as_bytes()], [minute, second]);
        let whole = WallTime::from_unix_millis(seconds * 1_000);
        prop_assert_eq!(parse_receipt_date(second), Some(whole));
        let back = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).expect("small")).expect("in range");
        prop_assert_eq!(PrimitiveDateTime::new(back.date(), back.time()), at);
    }
}
