//! The process's clocks, read once per batch of work and handed to the cores as [`Now`].

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::{Now, Time, WallTime};

/// Reads the monotonic clock relative to one start that all threads share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose zero is now. Make one per process.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The monotonic clock alone: one vDSO call.
    #[inline]
    pub fn time(&self) -> Time {
        let elapsed = self.start.elapsed();
        Time::from_nanos(elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos()))
    }

    /// Both clocks.
    #[inline]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Now { mono: self.time(), wall: WallTime::from_unix_millis(u64::try_from(wall).unwrap_or(u64::MAX)) }
    }
}
