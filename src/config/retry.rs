//! `[retry]`: when a delivery that failed for now is tried again.

use serde::{Deserialize, Serialize};

use super::error::Findings;

/// The schedules, one per class of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// The network says that the subscriber can't be reached at present.
    pub absent: RetrySchedule,
    /// An ESME refused a deliver_sm for now, or did not answer it.
    pub refused: RetrySchedule,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            absent: RetrySchedule { first_ms: 1_000, factor: 2, max_ms: 900_000, jitter_percent: 20 },
            refused: RetrySchedule { first_ms: 1_000, factor: 2, max_ms: 60_000, jitter_percent: 20 },
        }
    }
}

impl RetryConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        for (name, schedule) in [("absent", &self.absent), ("refused", &self.refused)] {
            let key = |key| format!("retry.{name}.{key}");
            findings.in_range(key("first_ms"), schedule.first_ms, (10, 86_400_000));
            findings.in_range(key("factor"), u64::from(schedule.factor), (1, 10));
            findings.in_range(key("max_ms"), schedule.max_ms, (schedule.first_ms, 7 * 86_400_000));
            findings.in_range(key("jitter_percent"), u64::from(schedule.jitter_percent), (0, 100));
        }
    }
}

/// Waits `first_ms` after the first failure, `factor` times longer after each further one, at most `max_ms`; each
/// wait is longer or shorter by up to `jitter_percent`. It ends with the message's validity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrySchedule {
    /// The first wait.
    pub first_ms: u64,
    /// Growth of the wait per failure.
    pub factor: u32,
    /// The longest wait.
    pub max_ms: u64,
    /// Spread around each wait, so that what failed together does not come back together.
    pub jitter_percent: u32,
}
