//! `[store]`: where messages are kept, for how long, and how many.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Findings;

/// Longest time for which anything may be kept, in seconds: a year.
pub(super) const VALIDITY_S_MAX: u64 = 366 * 86_400;

/// What submit_sm_resp with status 0 promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The message is in memory; it is lost with the process.
    None,
    /// The message is written to the kernel; it is lost with the machine.
    Buffered,
    /// The message is on disk.
    #[default]
    Sync,
}

impl Durability {
    /// Every setting, strongest first.
    pub const ALL: [Self; 3] = [Self::Sync, Self::Buffered, Self::None];

    /// Its name, as the file and the flag spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Buffered => "buffered",
            Self::Sync => "sync",
        }
    }
}

/// The message store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Folder of what outlives the process.
    pub data_dir: PathBuf,
    /// What an accepted message survives.
    pub durability: Durability,
    /// Octets of one segment file of the store.
    pub segment_bytes: u64,
    /// Octets on disk over all shards, but at least 8 segments for each. Beyond: ESME_RMSGQFUL.
    pub disk_bytes_max: u64,
    /// Octets of memory, over all shards, for the bodies of young messages; older ones are read back from disk.
    pub body_cache_bytes: u64,
    /// Pending messages (MT, MO and receipts) over all shards. Beyond: ESME_RMSGQFUL.
    pub messages_max: u64,
    /// Final states remembered for GET /messages/ID and query_sm; the oldest goes first.
    pub final_history_records: u64,
    /// How long they are remembered at most.
    pub final_history_s: u64,
    /// validity_period of a message that gives none.
    pub validity_default_s: u64,
    /// Longest validity_period and farthest schedule. Beyond: ESME_RINVEXPIRY, ESME_RINVSCHED.
    pub validity_max_s: u64,
    /// How long a receipt is offered to its ESME, from the final state.
    pub receipt_validity_s: u64,
    /// Longest validity of a message in transaction mode, whose response waits for its delivery.
    pub transaction_validity_s: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./smscd-data"),
            durability: Durability::default(),
            segment_bytes: 32 << 20,
            disk_bytes_max: 16 << 30,
            body_cache_bytes: 64 << 20,
            messages_max: 4_000_000,
            final_history_records: 1_000_000,
            final_history_s: 3_600,
            validity_default_s: 86_400,
            validity_max_s: 604_800,
            receipt_validity_s: 86_400,
            transaction_validity_s: 30,
        }
    }
}

impl StoreConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        if self.data_dir.as_os_str().is_empty() {
            findings.add("store.data_dir", "needs a folder");
        }
        findings.in_range("store.segment_bytes", self.segment_bytes, (2 << 20, 1 << 30));
        if !self.segment_bytes.is_multiple_of(4096) {
            findings.add("store.segment_bytes", "needs a multiple of 4096");
        }
        findings.in_range("store.disk_bytes_max", self.disk_bytes_max, (16 << 20, 1 << 50));
        findings.in_range("store.body_cache_bytes", self.body_cache_bytes, (2 << 20, 1 << 40));
        findings.in_range("store.messages_max", self.messages_max, (1_000, 1_000_000_000));
        findings.in_range("store.final_history_records", self.final_history_records, (0, 1_000_000_000));
        findings.in_range("store.final_history_s", self.final_history_s, (0, VALIDITY_S_MAX));
        findings.in_range("store.validity_max_s", self.validity_max_s, (1, VALIDITY_S_MAX));
        findings.in_range(
            "store.validity_default_s",
            self.validity_default_s,
            (1, self.validity_max_s.max(1)),
        );
        findings.in_range("store.receipt_validity_s", self.receipt_validity_s, (1, VALIDITY_S_MAX));
        findings.in_range("store.transaction_validity_s", self.transaction_validity_s, (1, 3_600));
    }
}
