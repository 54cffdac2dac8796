//! `[engine]`: threads, pinning, and the budgets of a turn.

use serde::{Deserialize, Serialize};

use super::error::Findings;
use crate::base::message_id::NODE_MAX;
use crate::limits;

/// The engine's threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Workers, which host sessions; 0 = by the number of cores.
    pub workers: u16,
    /// Routing shards; 0 = by the number of cores.
    pub shards: u16,
    /// Whether each thread is pinned to a core.
    pub pin: bool,
    /// How long at most a thread that gets work piece by piece looks for the next before it sleeps, in microseconds; 0: never.
    pub spin_us: u64,
    /// This node's number, part of every message id: 0 to 31.
    pub node: u8,
    /// Threads that check passwords against hashes, beside the workers and at a lower priority, at most 64; 0 = half as many as
    /// there are cores, 1 to 8.
    pub authenticators: u16,
    /// PDUs of one session handled before the other ready ones have their go.
    pub turn_pdus_max: u32,
    /// Octets of one session handled before the other ready ones have their go.
    pub turn_bytes_max: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            shards: 0,
            pin: true,
            spin_us: 1_000,
            node: 0,
            authenticators: 0,
            turn_pdus_max: limits::TURN_PDUS_MAX as u32,
            turn_bytes_max: limits::TURN_BYTES_MAX as u32,
        }
    }
}

impl EngineConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        let threads = (0, limits::THREADS_MAX as u64);
        findings.in_range("engine.workers", u64::from(self.workers), threads);
        findings.in_range("engine.shards", u64::from(self.shards), threads);
        findings.in_range("engine.spin_us", self.spin_us, (0, 1_000_000));
        findings.in_range("engine.node", u64::from(self.node), (0, u64::from(NODE_MAX)));
        findings.in_range("engine.authenticators", u64::from(self.authenticators), (0, 64));
        findings.in_range("engine.turn_pdus_max", u64::from(self.turn_pdus_max), (1, 65_536));
        // A turn has to be able to take in the largest PDU.
        let turn_bytes = (limits::PDU_BYTES_MAX as u64, 64 << 20);
        findings.in_range("engine.turn_bytes_max", u64::from(self.turn_bytes_max), turn_bytes);
    }
}
