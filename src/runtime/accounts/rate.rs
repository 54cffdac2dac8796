//! How fast an account may send, over all of its sessions and workers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::Time;

/// A rate over all sessions and workers of an account: the generic cell rate algorithm on one atomic, the time at which
/// the bucket will be full again, in 64ths of a nanosecond so that a message's share of a second is nearly exact.
#[derive(Debug)]
pub(super) struct Rate {
    /// What one message is worth; 0 = unlimited.
    ticks_per_message: u64,
    burst_ticks: u64,
}

const TICKS_PER_NANO: u64 = 64;

impl Rate {
    pub(super) fn new(rate_per_s: u32, burst: u32) -> Self {
        let burst = if burst == 0 { rate_per_s } else { burst };
        let ticks_per_message =
            if rate_per_s == 0 { 0 } else { 1_000_000_000 * TICKS_PER_NANO / u64::from(rate_per_s) };
        Self { ticks_per_message, burst_ticks: ticks_per_message.saturating_mul(u64::from(burst.max(1))) }
    }

    /// Takes `n` messages, if they fit in.
    #[inline]
    pub(super) fn take(&self, n: u64, now: Time, full_at: &AtomicU64) -> bool {
        if self.ticks_per_message == 0 {
            return true;
        }
        let now = now.as_nanos().saturating_mul(TICKS_PER_NANO);
        let cost = self.ticks_per_message.saturating_mul(n);
        full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let next = full_at.max(now).saturating_add(cost);
                (next <= now.saturating_add(self.burst_ticks)).then_some(next)
            })
            .is_ok()
    }

    /// Whether there is none.
    pub(super) const fn is_unlimited(&self) -> bool {
        self.ticks_per_message == 0
    }

    /// When the next `n` messages fit in.
    pub(super) fn allows_at(&self, n: u16, now: Time, full_at: &AtomicU64) -> Time {
        let cost = self.ticks_per_message.saturating_mul(u64::from(n));
        let next = full_at.load(Ordering::Acquire).saturating_add(cost);
        let at = next.saturating_sub(self.burst_ticks).div_ceil(TICKS_PER_NANO);
        Time::from_nanos(at).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_exact_over_time_and_over_threads_and_zero_is_unlimited() {
        for rate in [3, 100, 7_919, 3_000_000] {
            let (limiter, full_at) = (Rate::new(rate, 20), AtomicU64::new(0));
            // A hundred thousand messages' time, looked at every five.
            let (mut nanos, mut taken) = (0, 0u64);
            let expected = 100_000;
            while nanos < expected * 1_000_000_000 / u64::from(rate) {
                while limiter.take(1, Time::from_nanos(nanos), &full_at) {
                    taken += 1;
                }
                nanos += 5_000_000_000 / u64::from(rate);
            }
            assert!((expected - 30..=expected + 30).contains(&taken), "{rate}: {taken}");
        }
        let unlimited = Rate::new(0, 0);
        assert!((0..100_000).all(|_| unlimited.take(1, Time::ZERO, &AtomicU64::new(0))));

        let (limiter, full_at) = (Rate::new(1_000, 500), AtomicU64::new(0));
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if limiter.take(1, Time::from_millis(1_000_000), &full_at) {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 500, "the burst, once, over all threads");
    }

    #[test]
    fn a_quiet_account_may_burst_and_no_more() {
        let (limiter, full_at) = (Rate::new(10, 5), AtomicU64::new(0));
        let now = Time::from_millis(60_000);
        assert_eq!((0..100).filter(|_| limiter.take(1, now, &full_at)).count(), 5);
    }
}
