//! How the subscribers behind one destination prefix behave.

use super::delay::{Delay, DelayTable};
use crate::base::mobile::Outcome;

/// How the subscribers behind one destination prefix behave. The six shares are in per mille and sum to 1000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkProfile {
    /// Destination addresses that start with this; empty: all that have no profile of their own.
    pub prefix: Vec<u8>,
    /// Time from attempt to report.
    pub delay: Delay,
    /// Share that is delivered.
    pub delivered_permille: u16,
    /// Share that never can be.
    pub undeliverable_permille: u16,
    /// Error code reported with it.
    pub undeliverable_error: u16,
    /// Share whose subscriber is absent for a while.
    pub absent_permille: u16,
    /// Error code reported with it.
    pub absent_error: u16,
    /// How long the subscriber stays absent, in milliseconds.
    pub absent_ms: u32,
    /// Share that meets congestion: each attempt anew.
    pub congested_permille: u16,
    /// Error code reported with it.
    pub congested_error: u16,
    /// Share that the network refuses.
    pub rejected_permille: u16,
    /// Error code reported with it.
    pub rejected_error: u16,
    /// Share that runs out in the network.
    pub expired_permille: u16,
}

impl Default for NetworkProfile {
    /// Everybody is there and gets every message at once. The error codes are GSM 03.40's for the cases that
    /// have one: 1 unknown subscriber, 27 absent subscriber, 42 congestion; 69 (TP-FCS service rejected) otherwise.
    fn default() -> Self {
        Self {
            prefix: Vec::new(),
            delay: Delay::Fixed { us: 0 },
            delivered_permille: 1_000,
            undeliverable_permille: 0,
            undeliverable_error: 1,
            absent_permille: 0,
            absent_error: 27,
            absent_ms: 60_000,
            congested_permille: 0,
            congested_error: 42,
            rejected_permille: 0,
            rejected_error: 69,
            expired_permille: 0,
        }
    }
}

/// Why a set of profiles was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The shares of one profile do not sum to 1000.
    #[error("network profile \"{prefix}\": the shares sum to {sum} per mille, not 1000")]
    Shares {
        /// Which profile.
        prefix: String,
        /// What they sum to.
        sum: u32,
    },
    /// Two profiles have the same prefix.
    #[error("network profile \"{0}\" is there twice")]
    PrefixTwice(String),
    /// More profiles than 65,536.
    #[error("too many network profiles")]
    TooMany,
}

impl NetworkProfile {
    pub(super) fn prefix_text(&self) -> String {
        String::from_utf8_lossy(&self.prefix).into_owned()
    }

    pub(super) fn prepare(&self) -> Result<PreparedProfile, ProfileError> {
        let shares = [
            self.delivered_permille,
            self.undeliverable_permille,
            self.absent_permille,
            self.congested_permille,
            self.rejected_permille,
            self.expired_permille,
        ];
        let sum = shares.iter().map(|&share| u32::from(share)).sum();
        if sum != 1_000 {
            return Err(ProfileError::Shares { prefix: self.prefix_text(), sum });
        }
        let mut below = [0; 5];
        let mut so_far = 0;
        for (bound, share) in below.iter_mut().zip(shares) {
            so_far += u32::from(share);
            *bound = so_far;
        }
        Ok(PreparedProfile { delay: DelayTable::new(self.delay), below, profile: self.clone() })
    }
}

/// What the draw says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Undeliverable,
    Absent,
    Congested,
    Rejected,
    Expired,
}

/// A profile ready to draw from.
#[derive(Debug)]
pub(super) struct PreparedProfile {
    delay: DelayTable,
    /// Per mille below which the draw means delivered, undeliverable, absent, congested, rejected; expired
    /// above.
    below: [u32; 5],
    profile: NetworkProfile,
}

impl PreparedProfile {
    #[inline]
    pub(super) fn delay_nanos(&self, draw: u64) -> u64 {
        self.delay.nanos(draw)
    }

    /// The fate by the upper half of the draw; the delay uses the lower one.
    #[inline]
    pub(super) fn fate(&self, draw: u64) -> Fate {
        let permille = (((draw >> 32) * 1_000) >> 32) as u32;
        let [delivered, undeliverable, absent, congested, rejected] = self.below;
        if permille < delivered {
            Fate::Delivered
        } else if permille < undeliverable {
            Fate::Undeliverable
        } else if permille < absent {
            Fate::Absent
        } else if permille < congested {
            Fate::Congested
        } else if permille < rejected {
            Fate::Rejected
        } else {
            Fate::Expired
        }
    }

    #[inline]
    pub(super) fn outcome(&self, fate: Fate) -> Outcome {
        match fate {
            Fate::Delivered => Outcome::Delivered,
            Fate::Undeliverable => Outcome::Undeliverable { error: self.profile.undeliverable_error },
            Fate::Absent => self.absent_until(self.absent_ms() * 1_000_000),
            Fate::Congested => Outcome::Congested { error: self.profile.congested_error },
            Fate::Rejected => Outcome::Rejected { error: self.profile.rejected_error },
            Fate::Expired => Outcome::Expired,
        }
    }

    pub(super) const fn has_absent(&self) -> bool {
        self.profile.absent_permille > 0
    }

    pub(super) fn absent_ms(&self) -> u64 {
        u64::from(self.profile.absent_ms)
    }

    pub(super) const fn absent_until(&self, back_after_nanos: u64) -> Outcome {
        Outcome::Absent { back_after_nanos, error: self.profile.absent_error }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Network;
    use super::*;

    #[test]
    fn shares_must_sum_to_1000_and_prefixes_differ() {
        let short =
            NetworkProfile { delivered_permille: 999, prefix: b"44".to_vec(), ..NetworkProfile::default() };
        let refused = Network::new(1, 0, &[short]).unwrap_err();
        assert_eq!(refused, ProfileError::Shares { prefix: "44".into(), sum: 999 });
        let twice = [NetworkProfile::default(), NetworkProfile::default()];
        assert_eq!(Network::new(1, 0, &twice).unwrap_err(), ProfileError::PrefixTwice(String::new()));
    }
}
