//! How long an attempt takes: a distribution, sampled through a table of its quantiles so that a draw is one look-up.

/// Bits of the random draw that pick the quantile.
const QUANTILE_BITS: u32 = 10;
const QUANTILES: usize = 1 << QUANTILE_BITS;

/// Distribution of the time from an attempt to the network's report. All values in microseconds, at most
/// `u32::MAX` (71 minutes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Always the same.
    Fixed {
        /// That time.
        us: u32,
    },
    /// Evenly between two bounds.
    Uniform {
        /// The least.
        min_us: u32,
        /// The most.
        max_us: u32,
    },
    /// Exponential: independent events.
    Exponential {
        /// The mean, before the bound.
        mean_us: u32,
        /// Longer ones are cut to this.
        max_us: u32,
    },
    /// Log-normal: what latencies of real networks look like.
    LogNormal {
        /// The mean, before the bound.
        mean_us: u32,
        /// Standard deviation of the logarithm, in percent: 50 is narrow, 100 has a long tail.
        sigma_percent: u32,
        /// Longer ones are cut to this.
        max_us: u32,
    },
}

/// A [`Delay`] ready to draw from.
#[derive(Debug)]
pub(super) enum DelayTable {
    Fixed { nanos: u64 },
    Quantiles(Box<[u32; QUANTILES]>),
}

impl DelayTable {
    pub(super) fn new(delay: Delay) -> Self {
        let quantile_us: Box<dyn Fn(f64) -> f64> = match delay {
            Delay::Fixed { us } => return Self::Fixed { nanos: u64::from(us) * 1_000 },
            Delay::Uniform { min_us, max_us } => {
                let (min, max) = (f64::from(min_us.min(max_us)), f64::from(max_us));
                Box::new(move |p| min + p * (max - min))
            }
            Delay::Exponential { mean_us, max_us } => {
                Box::new(move |p| (-f64::from(mean_us) * (1.0 - p).ln()).min(f64::from(max_us)))
            }
            Delay::LogNormal { mean_us, sigma_percent, max_us } => {
                let sigma = f64::from(sigma_percent) / 100.0;
                let mu = f64::from(mean_us).max(1.0).ln() - sigma * sigma / 2.0;
                Box::new(move |p| (mu + sigma * normal_quantile(p)).exp().min(f64::from(max_us)))
            }
        };
        let mut table = Box::new([0u32; QUANTILES]);
        for (index, entry) in table.iter_mut().enumerate() {
            // The middle of the quantile's share.
            *entry = quantile_us((index as f64 + 0.5) / QUANTILES as f64).round() as u32;
        }
        Self::Quantiles(table)
    }

    /// The delay for a random draw, of which the lowest bits are used.
    #[inline]
    pub(super) fn nanos(&self, draw: u64) -> u64 {
        match self {
            Self::Fixed { nanos } => *nanos,
            Self::Quantiles(table) => u64::from(table[draw as usize % QUANTILES]) * 1_000,
        }
    }
}

/// The standard normal distribution's quantile for `p` in (0, 1), by Acklam's rational approximation (relative error
/// below 1.2e-9, far finer than the table).
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    const TAIL: f64 = 0.024_25;
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < TAIL {
        tail(p)
    } else if p > 1.0 - TAIL {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        q * polynomial(&A, r) / (polynomial(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(delay: Delay) -> Vec<u64> {
        let table = DelayTable::new(delay);
        (0..QUANTILES as u64).map(|draw| table.nanos(draw) / 1_000).collect()
    }

    fn mean(values: &[u64]) -> u64 {
        values.iter().sum::<u64>() / values.len() as u64
    }

    #[test]
    fn distributions_have_their_mean_and_bounds() {
        assert_eq!(DelayTable::new(Delay::Fixed { us: 70 }).nanos(u64::MAX), 70_000);
        let uniform = all(Delay::Uniform { min_us: 1_000, max_us: 3_000 });
        assert!(mean(&uniform).abs_diff(2_000) <= 1 && uniform.iter().all(|us| (1_000..=3_000).contains(us)));
        let exponential = all(Delay::Exponential { mean_us: 10_000, max_us: 1_000_000 });
        assert!(mean(&exponential).abs_diff(10_000) < 50, "{}", mean(&exponential));
        assert_eq!(
            all(Delay::Exponential { mean_us: 10_000, max_us: 20_000 }).into_iter().max(),
            Some(20_000)
        );
        let log_normal = all(Delay::LogNormal { mean_us: 10_000, sigma_percent: 100, max_us: u32::MAX });
        assert!(mean(&log_normal).abs_diff(10_000) < 300, "{}", mean(&log_normal));
        assert!(log_normal.is_sorted());
    }

    #[test]
    fn bounds_the_wrong_way_round_do_no_harm() {
        assert!(all(Delay::Uniform { min_us: 9, max_us: 5 }).iter().all(|&us| us == 5));
        assert!(all(Delay::LogNormal { mean_us: 0, sigma_percent: 0, max_us: 7 }).iter().all(|&us| us == 1));
    }

    #[test]
    fn the_normal_quantile_matches_known_points() {
        for (p, z) in [(0.5, 0.0), (0.841_344_746, 1.0), (0.022_750_132, -2.0), (0.998_650_102, 3.0)] {
            assert!((normal_quantile(p) - z).abs() < 1e-6, "{p}");
        }
    }
}
