//! When each message of an open loop is meant to be sent. Fixed before the run: nothing that the target does moves it,
//! which is what keeps the latencies free of coordinated omission.

/// How messages are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Even,
    /// As independent callers would: exponentially distributed gaps of the same mean.
    Poisson,
}

/// The intended send times of one thread, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: u64,
    /// Messages a second of the whole run.
    rate: f64,
    arrivals: Arrivals,
    /// This thread sends every `stride`th message of the run, beginning with number `number`.
    number: u64,
    stride: u64,
    next: u64,
    /// Poisson: the exact time of the next message after `start`, and the generator's state.
    elapsed: f64,
    random: u64,
}

impl Schedule {
    /// The schedule of thread `thread` of `threads` for `rate` messages a second in all.
    pub(crate) fn new(start: u64, rate: f64, arrivals: Arrivals, thread: u64, threads: u64) -> Self {
        let mut schedule = Self {
            start,
            rate,
            arrivals,
            number: thread,
            stride: threads,
            next: start,
            elapsed: 0.0,
            random: 0x9E37_79B9_7F4A_7C15 ^ (thread + 1).wrapping_mul(0xD1B5_4A32_D192_ED03),
        };
        schedule.next = match arrivals {
            Arrivals::Even => schedule.even(),
            Arrivals::Poisson => schedule.poisson(),
        };
        schedule
    }

    /// The intended time of the next message.
    #[inline]
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Takes the next message.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.number += self.stride;
        self.next = match self.arrivals {
            Arrivals::Even => self.even(),
            Arrivals::Poisson => self.poisson(),
        };
    }

    /// Computed from the number each time, so that rounding never adds up. Exact to 0.1 µs for 10^9 messages.
    fn even(&self) -> u64 {
        self.start + (self.number as f64 * (1e9 / self.rate)) as u64
    }

    fn poisson(&mut self) -> u64 {
        // splitmix64: seeded, so that two runs have the same arrivals.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let unit = ((z >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        self.elapsed += -unit.ln() * 1e9 * self.stride as f64 / self.rate;
        self.start + self.elapsed as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: &mut Schedule, n: usize) -> Vec<u64> {
        std::iter::repeat_with(|| {
            let next = schedule.next();
            schedule.advance();
            next
        })
        .take(n)
        .collect()
    }

    #[test]
    fn even_times_do_not_drift() {
        let mut schedule = Schedule::new(5, 3.0, Arrivals::Even, 0, 1);
        assert_eq!(times(&mut schedule, 4), [5, 333_333_338, 666_666_671, 1_000_000_005]);
        let mut schedule = Schedule::new(0, 200_000.0, Arrivals::Even, 0, 1);
        let last = times(&mut schedule, 1_000_001)[1_000_000];
        assert_eq!(last, 5_000_000_000);
    }

    #[test]
    fn threads_interleave_into_one_even_schedule() {
        let mut all: Vec<u64> =
            (0..3).flat_map(|t| times(&mut Schedule::new(0, 1000.0, Arrivals::Even, t, 3), 100)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..300).map(|n| n * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn poisson_has_the_mean_and_the_spread() {
        let times = times(&mut Schedule::new(0, 1e6, Arrivals::Poisson, 1, 2), 100_000);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean - 2000.0).abs() < 40.0, "{mean}");
        // Exponential: as wide as its mean.
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((deviation / mean - 1.0).abs() < 0.05, "{deviation}");
        assert_eq!(times[..50], self::times(&mut Schedule::new(0, 1e6, Arrivals::Poisson, 1, 2), 50));
    }
}
