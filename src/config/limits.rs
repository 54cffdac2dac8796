//! `[limits]`: how many peers are let in at once.

use serde::{Deserialize, Serialize};

use super::error::Findings;

/// Most connections that can be asked for; file descriptors end sooner on most machines.
const CONNECTIONS_MAX: u64 = 1 << 20;

/// Bounds over the whole daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Open connections, bound or not. Beyond: closed at accept.
    pub connections_max: u32,
    /// Open connections from one IP address. Beyond: closed at accept.
    pub connections_per_address_max: u32,
    /// Bound sessions over all accounts. Beyond: ESME_RBINDFAIL.
    pub sessions_max: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { connections_max: 16_384, connections_per_address_max: 16_384, sessions_max: 16_384 }
    }
}

impl LimitsConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        for (key, value) in [
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("sessions_max", self.sessions_max),
        ] {
            findings.in_range(format!("limits.{key}"), u64::from(value), (1, CONNECTIONS_MAX));
        }
    }
}
