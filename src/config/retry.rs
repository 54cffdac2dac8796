//! `[retry]`: when a delivery that failed for now is tried again.

use serde::{Deserialize, Deserializer, Serialize};

use super::error::Findings;

/// The schedules, one per class of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// The network says that the subscriber can't be reached at present.
    #[serde(deserialize_with = "absent")]
    pub absent: RetrySchedule,
    /// An ESME refused a deliver_sm for now, or did not answer it.
    #[serde(deserialize_with = "refused")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// A schedule as the file gives it; what it leaves out depends on which schedule it is.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenSchedule {
    first_ms: Option<u64>,
    factor: Option<u32>,
    max_ms: Option<u64>,
    jitter_percent: Option<u32>,
}

impl GivenSchedule {
    fn or(self, default: RetrySchedule) -> RetrySchedule {
        RetrySchedule {
            first_ms: self.first_ms.unwrap_or(default.first_ms),
            factor: self.factor.unwrap_or(default.factor),
            max_ms: self.max_ms.unwrap_or(default.max_ms),
            jitter_percent: self.jitter_percent.unwrap_or(default.jitter_percent),
        }
    }
}

fn absent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RetrySchedule, D::Error> {
    GivenSchedule::deserialize(deserializer).map(|given| given.or(RetryConfig::default().absent))
}

fn refused<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RetrySchedule, D::Error> {
    GivenSchedule::deserialize(deserializer).map(|given| given.or(RetryConfig::default().refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_left_out_keeps_its_default() {
        let given: RetryConfig = toml::from_str("[absent]\nfirst_ms = 7\n[refused]\nfactor = 3\n").unwrap();
        let default = RetryConfig::default();
        assert_eq!(given.absent, RetrySchedule { first_ms: 7, ..default.absent });
        assert_eq!(given.refused, RetrySchedule { factor: 3, ..default.refused });
        assert_eq!(toml::from_str(&toml::to_string(&given).unwrap()), Ok(given));
        assert!(toml::from_str::<RetryConfig>("[absent]\nfirst = 7\n").is_err());
    }
}
