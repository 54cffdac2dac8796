//! A rate limit as a value: so many per second, with a burst. Exact over any length of time, because it counts in
//! billionths of a token: one nanosecond at a rate of one per second.

use super::Time;

const NANO: i64 = 1_000_000_000;

/// A token bucket. Starts full.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate_per_s: u32,
    burst: u32,
    /// Billionths of a token; negative after more than `burst` was taken at once.
    level: i64,
    filled_at: Time,
}

impl TokenBucket {
    /// A bucket that refills `rate_per_s` tokens per second (0 = unlimited) and holds at most `burst` (at least 1).
    pub fn new(rate_per_s: u32, burst: u32, now: Time) -> Self {
        let burst = burst.max(1);
        Self { rate_per_s, burst, level: i64::from(burst) * NANO, filled_at: now }
    }

    /// Whether it never refuses.
    pub const fn is_unlimited(&self) -> bool {
        self.rate_per_s == 0
    }

    /// Takes `n` tokens. More than `burst` at once needs a full bucket and leaves a debt, so that a request which
    /// counts for many is delayed, not refused for ever.
    ///
    /// # Errors
    /// The nanoseconds after which the same call succeeds, if nothing else is taken until then.
    #[inline]
    pub fn try_take(&mut self, n: u32, now: Time) -> Result<(), u64> {
        if self.rate_per_s == 0 {
            return Ok(());
        }
        self.refill(now);
        let missing = i64::from(n.min(self.burst)) * NANO - self.level;
        if missing > 0 {
            return Err((missing as u64).div_ceil(u64::from(self.rate_per_s)));
        }
        self.level -= i64::from(n) * NANO;
        Ok(())
    }

    fn refill(&mut self, now: Time) {
        let elapsed_nanos = now.nanos_since(self.filled_at);
        if elapsed_nanos == 0 {
            return;
        }
        self.filled_at = now;
        let full = i64::from(self.burst) * NANO;
        let added = u128::from(elapsed_nanos) * u128::from(self.rate_per_s);
        let room = full.abs_diff(self.level);
        self.level = if added >= u128::from(room) { full } else { self.level + added as i64 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_exact_over_an_hour_at_a_rate_that_divides_nothing() {
        let mut bucket = TokenBucket::new(7, 2, Time::ZERO);
        let (mut now, mut taken) = (0u64, 0u64);
        loop {
            match bucket.try_take(1, Time::from_nanos(now)) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait,
            }
            if now > 3_600 * 1_000_000_000 {
                break;
            }
        }
        // The burst at once, then one per 1/7 s; each wait is rounded up to a nanosecond, and the level keeps the rest.
        assert_eq!(taken, 2 + 3_600 * 7);
    }

    #[test]
    fn the_wait_is_what_it_takes() {
        let mut bucket = TokenBucket::new(1_000, 10, Time::ZERO);
        assert_eq!(bucket.try_take(10, Time::ZERO), Ok(()));
        let wait = bucket.try_take(3, Time::ZERO).unwrap_err();
        assert_eq!(wait, 3_000_000);
        assert!(bucket.try_take(3, Time::from_nanos(wait - 1)).is_err());
        assert_eq!(bucket.try_take(3, Time::from_nanos(wait)), Ok(()));
    }

    #[test]
    fn never_holds_more_than_the_burst() {
        let mut bucket = TokenBucket::new(u32::MAX, 5, Time::ZERO);
        let late = Time::from_nanos(u64::MAX - 1);
        assert_eq!(bucket.try_take(5, late), Ok(()));
        assert!(bucket.try_take(1, late).is_err());
    }

    #[test]
    fn more_than_the_burst_leaves_a_debt() {
        let mut bucket = TokenBucket::new(10, 10, Time::ZERO);
        assert_eq!(bucket.try_take(30, Time::ZERO), Ok(()));
        assert_eq!(bucket.try_take(1, Time::ZERO), Err(2_100_000_000));
        assert_eq!(bucket.try_take(30, Time::from_millis(3_000)), Ok(()));
    }

    #[test]
    fn zero_is_unlimited_and_time_never_runs_backwards() {
        let mut unlimited = TokenBucket::new(0, 1, Time::ZERO);
        assert!(unlimited.is_unlimited());
        assert_eq!(unlimited.try_take(u32::MAX, Time::ZERO), Ok(()));
        let mut bucket = TokenBucket::new(1, 1, Time::from_millis(500));
        assert_eq!(bucket.try_take(1, Time::ZERO), Ok(()));
        assert!(bucket.try_take(1, Time::from_millis(1_499)).is_err());
        assert_eq!(bucket.try_take(1, Time::from_millis(1_500)), Ok(()));
    }
}
