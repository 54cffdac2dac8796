//! `[limits]`: how many peers are let in at once.

use serde::{Deserialize, Serialize};

use super::error::Findings;
use crate::limits::CONNECTIONS_MAX;

/// Octets that can be asked for as buffers: at least a queue's worth for a few dozen sessions.
const BUFFER_BYTES: (u64, u64) = (16 * 1024 * 1024, 1 << 46);

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
    /// Octets of memory for what is queued for peers and half-read from them, over all workers. Beyond: peers that take
    /// nothing are closed, the one that has for longest first.
    pub buffer_bytes_max: u64,
    /// Binds with a wrong system_id or password from one address in `failed_binds_window_s`. Beyond: binds from there are
    /// answered ESME_RBINDFAIL unseen. 0 = no limit.
    pub failed_binds_per_address: u32,
    /// The same for one system_id, whether there is such an account or not. From the address that an account last bound from,
    /// only both together hold it back.
    pub failed_binds_per_system_id: u32,
    /// The time in which a whole such number is forgotten, one by one, in seconds.
    pub failed_binds_window_s: u64,
    /// Whether a password that has been found right is remembered, as a keyed digest in memory, so that the next bind with
    /// it costs no argon2id.
    pub remember_passwords: bool,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            connections_per_address_max: 16_384,
            sessions_max: 16_384,
            buffer_bytes_max: 1 << 30,
            failed_binds_per_address: 30,
            failed_binds_per_system_id: 30,
            failed_binds_window_s: 60,
            remember_passwords: true,
        }
    }
}

impl LimitsConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        for (key, value) in [
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("sessions_max", self.sessions_max),
        ] {
            findings.in_range(format!("limits.{key}"), u64::from(value), (1, u64::from(CONNECTIONS_MAX)));
        }
        findings.in_range("limits.buffer_bytes_max", self.buffer_bytes_max, BUFFER_BYTES);
        findings.in_range("limits.failed_binds_window_s", self.failed_binds_window_s, (1, 86_400));
    }
}
