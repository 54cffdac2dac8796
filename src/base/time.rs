//! Time as a value: cores never read a clock, they are handed a [`Now`].

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the process's monotonic clock, in nanoseconds since the process started. Never goes backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The start of the process.
    pub const ZERO: Self = Self(0);
    /// Later than every real point: "no deadline".
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `millis` milliseconds later, saturating at [`Time::NEVER`].
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000_000)))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(rhs))
    }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z. May step in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// The point `millis` milliseconds after the Unix epoch.
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// The two clocks as read once per turn by a shell and handed to the cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers, ages and latencies.
    pub mono: Time,
    /// For dates that people and peers read.
    pub wall: WallTime,
}

impl Now {
    /// The wall time of a monotonic point near `self` (exact while the wall clock has not stepped in between).
    pub const fn wall_at(self, at: Time) -> WallTime {
        let now_ms = self.mono.as_millis();
        let at_ms = at.as_millis();
        if at_ms >= now_ms {
            WallTime(self.wall.0.saturating_add(at_ms - now_ms))
        } else {
            WallTime(self.wall.0.saturating_sub(now_ms - at_ms))
        }
    }

    /// The monotonic point of a wall time, as far from now as that is; not before the process started.
    pub const fn time_at(self, wall: WallTime) -> Time {
        if wall.0 >= self.wall.0 {
            self.mono.plus_millis(wall.0 - self.wall.0)
        } else {
            Time(self.mono.0.saturating_sub((self.wall.0 - wall.0).saturating_mul(1_000_000)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_at_maps_both_directions() {
        let now = Now { mono: Time::from_millis(5_000), wall: WallTime::from_unix_millis(1_000_000) };
        assert_eq!(now.wall_at(Time::from_millis(4_000)).unix_millis(), 999_000);
        assert_eq!(now.wall_at(Time::from_millis(7_500)).unix_millis(), 1_002_500);
        assert_eq!(now.time_at(WallTime::from_unix_millis(999_000)), Time::from_millis(4_000));
        assert_eq!(now.time_at(WallTime::from_unix_millis(1_002_500)), Time::from_millis(7_500));
        assert_eq!(now.time_at(WallTime::default()), Time::ZERO);
        assert_eq!(now.time_at(WallTime::from_unix_millis(u64::MAX)), Time::NEVER);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::NEVER.plus_millis(1), Time::NEVER);
        assert_eq!(Time::ZERO.nanos_since(Time::from_millis(1)), 0);
        assert_eq!(Time::from_millis(3) - Time::from_millis(1), Duration::from_millis(2));
    }
}
