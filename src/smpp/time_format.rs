//! The times of the protocol, `YYMMDDhhmmsstnnp` (3.4 section 7.1.1), and the dates of receipt texts. Calendar sums are
//! proleptic Gregorian and in UTC; "now" is always given.

use crate::base::WallTime;

const MS_PER_SECOND: i64 = 1_000;
const MS_PER_MINUTE: i64 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;
/// Two-digit years from here on are 19xx, those below are 20xx.
const FIRST_YEAR_OF_1900S: u8 = 38;
/// Octets of a time, without its NUL.
pub const TIME_LEN: usize = 16;

/// A time as a peer states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmppTime {
    /// Milliseconds since 1970-01-01T00:00:00Z, in steps of 100; negative before 1970.
    Absolute(i64),
    /// A period from when the MC got it.
    Relative {
        /// 0 to 99.
        years: u8,
        /// 0 to 12.
        months: u8,
        /// 0 to 31.
        days: u8,
        /// 0 to 23.
        hours: u8,
        /// 0 to 59.
        minutes: u8,
        /// 0 to 59.
        seconds: u8,
    },
}

impl SmppTime {
    /// Reads the 16 characters of a time. `None` for anything else: another length, no digit where one must be, a value
    /// out of its range, a day that its month does not have. (Empty means "not set": ask before.)
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; TIME_LEN] = text.try_into().ok()?;
        let [y1, y0, mo1, mo0, d1, d0, h1, h0, mi1, mi0, s1, s0, tenths, n1, n0, kind] = *text;
        let (year, month, day) = (two_digits(y1, y0)?, two_digits(mo1, mo0)?, two_digits(d1, d0)?);
        let (hour, minute, second) = (two_digits(h1, h0)?, two_digits(mi1, mi0)?, two_digits(s1, s0)?);
        let (tenths, quarters) = (two_digits(b'0', tenths)?, two_digits(n1, n0)?);
        if month > 12 || day > 31 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let ahead = match kind {
            // Tenths and quarter hours mean nothing here.
            b'R' => {
                let (years, months, days, hours) = (year, month, day, hour);
                return Some(Self::Relative { years, months, days, hours, minutes: minute, seconds: second });
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let century = if year >= FIRST_YEAR_OF_1900S { 1900 } else { 2000 };
        let year = century + i64::from(year);
        if month == 0 || day == 0 || day > days_in_month(year, month) || quarters > 48 {
            return None;
        }
        let local = days_from_civil(year, month, day) * MS_PER_DAY
            + i64::from(hour) * MS_PER_HOUR
            + i64::from(minute) * MS_PER_MINUTE
            + i64::from(second) * MS_PER_SECOND
            + i64::from(tenths) * 100;
        Some(Self::Absolute(local - ahead * i64::from(quarters) * 15 * MS_PER_MINUTE))
    }

    /// The 16 characters of this time; an absolute one in UTC (`00+`) and with the last two digits of its year.
    pub fn format(self) -> [u8; TIME_LEN] {
        let mut text = *b"000000000000000R";
        let fields = match self {
            Self::Relative { years, months, days, hours, minutes, seconds } => {
                [years, months, days, hours, minutes, seconds]
            }
            Self::Absolute(unix_ms) => {
                let at = Civil::from_unix_ms(unix_ms);
                let [.., tenths, _, _, kind] = &mut text;
                *tenths = b'0' + (unix_ms.rem_euclid(MS_PER_SECOND) / 100) as u8;
                *kind = b'+';
                [at.year_of_century, at.month, at.day, at.hour, at.minute, at.second]
            }
        };
        write_pairs(&mut text, &fields);
        text
    }

    /// The point that this time names, when it was received at `now`. A relative time is a calendar sum: years and months
    /// first (the last day of a shorter month stands for a missing one), then the rest. Never before 1970.
    pub fn resolve(self, now: WallTime) -> WallTime {
        let unix_ms = match self {
            Self::Absolute(unix_ms) => unix_ms,
            Self::Relative { years, months, days, hours, minutes, seconds } => {
                let now_ms = i64::try_from(now.unix_millis()).unwrap_or(i64::MAX).min(LATEST_NOW_MS);
                let shifted = add_months(now_ms, i64::from(years) * 12 + i64::from(months));
                shifted
                    + i64::from(days) * MS_PER_DAY
                    + i64::from(hours) * MS_PER_HOUR
                    + i64::from(minutes) * MS_PER_MINUTE
                    + i64::from(seconds) * MS_PER_SECOND
            }
        };
        WallTime::from_unix_millis(u64::try_from(unix_ms).unwrap_or(0))
    }
}

/// The wall clock is believed up to about the year 100,000, so that no calendar sum can overflow.
const LATEST_NOW_MS: i64 = 36_000_000 * MS_PER_DAY;

fn add_months(unix_ms: i64, months: i64) -> i64 {
    let (days, time_of_day) = (unix_ms.div_euclid(MS_PER_DAY), unix_ms.rem_euclid(MS_PER_DAY));
    let (year, month, day) = civil_from_days(days);
    let month_index = year * 12 + i64::from(month) - 1 + months;
    let (year, month) = (month_index.div_euclid(12), month_index.rem_euclid(12) as u8 + 1);
    days_from_civil(year, month, day.min(days_in_month(year, month))) * MS_PER_DAY + time_of_day
}

/// How a receipt text writes its dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateDigits {
    /// YYMMDDhhmm, as the specification has it.
    #[default]
    Ten,
    /// YYMMDDhhmmss.
    Twelve,
    /// YYYYMMDDhhmmss.
    Fourteen,
}

/// A date as it stands in a receipt text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptDate {
    /// With the century in front, and with the seconds.
    digits: [u8; 14],
    form: DateDigits,
}

impl ReceiptDate {
    /// The digits.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let digits = match self.form {
            DateDigits::Ten => self.digits.get(2..12),
            DateDigits::Twelve => self.digits.get(2..),
            DateDigits::Fourteen => self.digits.get(..),
        };
        digits.unwrap_or_default()
    }
}

/// The date of a receipt text for `at`, in UTC. No allocation; some twenty nanoseconds, which [`ReceiptDateCache`] mostly saves.
pub fn format_receipt_date(at: WallTime, form: DateDigits) -> ReceiptDate {
    let civil = Civil::from_unix_ms(i64::try_from(at.unix_millis()).unwrap_or(i64::MAX));
    let seconds = if form == DateDigits::Ten { 0 } else { civil.second };
    let mut digits = [0; 14];
    let fields =
        [civil.century, civil.year_of_century, civil.month, civil.day, civil.hour, civil.minute, seconds];
    write_pairs(&mut digits, &fields);
    ReceiptDate { digits, form }
}

/// Formats receipt dates for one thread and remembers the last minute: most receipts of a moment share theirs.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptDateCache {
    minute: u64,
    date: ReceiptDate,
}

impl ReceiptDateCache {
    /// A cache for dates of this form.
    pub fn new(form: DateDigits) -> Self {
        Self { minute: 0, date: format_receipt_date(WallTime::default(), form) }
    }

    /// As [`format_receipt_date`].
    #[inline]
    pub fn format(&mut self, at: WallTime) -> ReceiptDate {
        let (minute, second) = (at.unix_seconds() / 60, (at.unix_seconds() % 60) as u8);
        let form = self.date.form;
        if minute != self.minute {
            *self = Self { minute, date: format_receipt_date(at, form) };
        } else if form != DateDigits::Ten {
            let [.., tens, units] = &mut self.date.digits;
            (*tens, *units) = (b'0' + second / 10, b'0' + second % 10);
        }
        self.date
    }
}

/// Reads a receipt date of 10, 12 or 14 digits (the last with a four-digit year), taken as UTC.
pub fn parse_receipt_date(text: &[u8]) -> Option<WallTime> {
    let (year, rest) = match text.len() {
        10 | 12 => {
            let (&[a, b], rest) = text.split_first_chunk::<2>()?;
            let year = two_digits(a, b)?;
            (if year >= FIRST_YEAR_OF_1900S { 1900 } else { 2000 } + i64::from(year), rest)
        }
        14 => {
            let (&[a, b, c, d], rest) = text.split_first_chunk::<4>()?;
            (i64::from(two_digits(a, b)?) * 100 + i64::from(two_digits(c, d)?), rest)
        }
        _ => return None,
    };
    let (&[mo1, mo0, d1, d0, h1, h0, mi1, mi0], rest) = rest.split_first_chunk::<8>()?;
    let (month, day) = (two_digits(mo1, mo0)?, two_digits(d1, d0)?);
    let (hour, minute) = (two_digits(h1, h0)?, two_digits(mi1, mi0)?);
    let second = match *rest {
        [s1, s0] => two_digits(s1, s0)?,
        _ => 0,
    };
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400
        + i64::from(hour) * 3_600
        + i64::from(minute) * 60
        + i64::from(second);
    Some(WallTime::from_unix_millis(u64::try_from(seconds).ok()? * 1_000))
}

/// A point in UTC, by its two-digit fields.
struct Civil {
    century: u8,
    year_of_century: u8,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Civil {
    #[inline]
    fn from_unix_ms(unix_ms: i64) -> Self {
        let (year, month, day) = civil_from_days(unix_ms.div_euclid(MS_PER_DAY));
        let second_of_day = (unix_ms.rem_euclid(MS_PER_DAY) / MS_PER_SECOND) as u32;
        Self {
            century: year.div_euclid(100).rem_euclid(100) as u8,
            year_of_century: year.rem_euclid(100) as u8,
            month,
            day,
            hour: (second_of_day / 3_600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        }
    }
}

/// Writes each value (0 to 99) as two digits, side by side from the front.
#[inline]
fn write_pairs(text: &mut [u8], values: &[u8]) {
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, &value) in pairs.iter_mut().zip(values) {
        *pair = [b'0' + value / 10, b'0' + value % 10];
    }
}

/// The value of two digits; `None` if either is none.
#[inline]
const fn two_digits(tens: u8, units: u8) -> Option<u8> {
    let (tens, units) = (tens.wrapping_sub(b'0'), units.wrapping_sub(b'0'));
    if tens < 10 && units < 10 { Some(tens * 10 + units) } else { None }
}

const fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// The two conversions count in years that start in March, so that the leap day comes last, and in eras of 400 years.

/// Days from 1970-01-01 to a date.
const fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date (year, month, day) that many days after 1970-01-01.
#[inline]
const fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097) as u32;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u8;
    let year = year_of_era as i64 + era * 400 + (month <= 2) as i64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-24T08:30:00Z.
    const NOV_24_MS: i64 = 1_795_509_000_000;

    fn absolute(text: &[u8]) -> i64 {
        match SmppTime::parse(text) {
            Some(SmppTime::Absolute(unix_ms)) => unix_ms,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn absolute_times_with_their_offset() {
        assert_eq!(absolute(b"261124083000000+"), NOV_24_MS);
        assert_eq!(absolute(b"261124093000004+"), NOV_24_MS);
        assert_eq!(absolute(b"261124033000020-"), NOV_24_MS);
        assert_eq!(absolute(b"261124083000500+"), NOV_24_MS + 500);
        assert_eq!(absolute(b"700101000000000+"), 0);
        assert_eq!(absolute(b"380101000000000+"), -1_009_843_200_000);
        assert!(absolute(b"371231235959900+") > NOV_24_MS);
        assert_eq!(SmppTime::parse(b"380101000000000+").map(|time| time.resolve(WallTime::default())), {
            Some(WallTime::from_unix_millis(0))
        });
    }

    #[test]
    fn what_is_not_a_time() {
        for text in [
            &b""[..],
            b"00000200000000R",
            b"2611240830000000+",
            b"261324083000000+",
            b"260024083000000+",
            b"260230083000000+",
            b"260200083000000+",
            b"250229083000000+",
            b"261124243000000+",
            b"261124086000000+",
            b"261124083060000+",
            b"261124083000049+",
            b"261124083000000Z",
            b"261124083000000r",
            b"26112408300000a+",
            b"2611240830000/0+",
            b"001300000000000R",
            b"000032000000000R",
            b"000000240000000R",
        ] {
            assert_eq!(SmppTime::parse(text), None, "{}", String::from_utf8_lossy(text));
        }
        assert!(SmppTime::parse(b"240229083000048-").is_some());
        // Section 7.1.1.2's own example, and zeros everywhere.
        assert!(SmppTime::parse(b"020610233429000R").is_some());
        assert!(SmppTime::parse(b"000000000000000R").is_some());
    }

    #[test]
    fn relative_times_are_calendar_sums() {
        let sum = |now: &[u8], period: &[u8]| {
            let now = WallTime::from_unix_millis(absolute(now) as u64);
            let at = SmppTime::parse(period).expect("period").resolve(now);
            SmppTime::Absolute(at.unix_millis() as i64).format()
        };
        assert_eq!(&sum(b"261124083000000+", b"000002000000000R"), b"261126083000000+");
        assert_eq!(&sum(b"260131120000000+", b"000100000000000R"), b"260228120000000+");
        assert_eq!(&sum(b"231231235959900+", b"000200000001000R"), b"240301000000900+");
        assert_eq!(&sum(b"240229000000000+", b"010000000000000R"), b"250228000000000+");
        assert_eq!(&sum(b"261124083000000+", b"000000000000000R"), b"261124083000000+");
    }

    #[test]
    fn a_clock_gone_mad_does_not_overflow() {
        let longest = SmppTime::parse(b"991231235959900R").expect("period");
        assert!(longest.resolve(WallTime::from_unix_millis(u64::MAX)).unix_millis() > 0);
        format_receipt_date(WallTime::from_unix_millis(u64::MAX), DateDigits::Ten);
    }

    #[test]
    fn receipt_dates() {
        let at = WallTime::from_unix_millis(NOV_24_MS as u64 + 59_999);
        assert_eq!(format_receipt_date(at, DateDigits::Ten).as_bytes(), b"2611240830");
        assert_eq!(format_receipt_date(at, DateDigits::Twelve).as_bytes(), b"261124083059");
        assert_eq!(format_receipt_date(at, DateDigits::Fourteen).as_bytes(), b"20261124083059");
        let minute = WallTime::from_unix_millis(NOV_24_MS as u64);
        assert_eq!(parse_receipt_date(b"2611240830"), Some(minute));
        assert_eq!(parse_receipt_date(b"261124083000"), Some(minute));
        assert_eq!(parse_receipt_date(b"20261124083000"), Some(minute));
        for text in [&b""[..], b"26112408", b"2613240830", b"2602300830", b"2611242430", b"261124083x"] {
            assert_eq!(parse_receipt_date(text), None);
        }
    }

    /// The calendar the slow way, as the reference for the arithmetic.
    #[test]
    fn every_day_from_1938_to_2137_follows_the_day_before() {
        let mut days = days_from_civil(1938, 1, 1);
        for year in 1938..2138 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_from_civil(year, month, day), days);
                    assert_eq!(civil_from_days(days), (year, month, day));
                    days += 1;
                }
            }
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
    }

    proptest! {
        #[test]
        fn the_cache_changes_no_date(times in prop::collection::vec(0u64..200_000, 1..20), form in 0usize..3) {
            let digits = [DateDigits::Ten, DateDigits::Twelve, DateDigits::Fourteen][form];
            let mut cache = ReceiptDateCache::new(digits);
            for offset_ms in times {
                let at = WallTime::from_unix_millis(NOV_24_MS as u64 + offset_ms);
                prop_assert_eq!(cache.format(at), format_receipt_date(at, digits));
            }
        }

        #[test]
        fn absolute_times_round_trip(tenths in -10_098_432_000i64..21_459_167_990) {
            let time = SmppTime::Absolute(tenths * 100);
            prop_assert_eq!(SmppTime::parse(&time.format()), Some(time));
        }

        #[test]
        fn relative_times_round_trip(
            years in 0u8..100, months in 0u8..=12, days in 0u8..=31,
            hours in 0u8..24, minutes in 0u8..60, seconds in 0u8..60,
        ) {
            let time = SmppTime::Relative { years, months, days, hours, minutes, seconds };
            prop_assert_eq!(SmppTime::parse(&time.format()), Some(time));
        }

        #[test]
        fn any_octets_are_a_time_or_not(text in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(time) = SmppTime::parse(&text) {
                prop_assert_eq!(SmppTime::parse(&time.format()), Some(time));
            }
        }

        #[test]
        fn receipt_dates_round_trip(seconds in 0u64..2_145_916_800) {
            let at = WallTime::from_unix_millis(seconds * 1_000);
            for form in [DateDigits::Twelve, DateDigits::Fourteen] {
                let date = format_receipt_date(at, form);
                prop_assert_eq!(parse_receipt_date(date.as_bytes()), Some(at));
            }
        }
    }
}
