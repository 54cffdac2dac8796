//! What a journal is opened with.

use super::AccountNumbers;
use super::frame::BATCH_BYTES_MAX;
use crate::store::Durability;

/// What a journal is opened with.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// What [`MessageStore::put`](crate::store::MessageStore::put) promises: `Buffered` or `Sync`.
    pub durability: Durability,
    /// Random number of this store and shard: tells its frames from any others.
    pub store_id: u64,
    /// Most pending messages.
    pub messages_max: u32,
    /// Octets of a new segment.
    pub segment_bytes: u32,
    /// Most segment files; at least 6.
    pub segments_max: u32,
    /// Segments in use below which nothing is copied forward.
    pub segments_kept: u32,
    /// Octets that a batch may have before another begins; at most [`BATCH_BYTES_MAX`].
    pub batch_bytes_max: usize,
    /// Octets of memory for the bodies of young messages.
    pub memory_bytes: usize,
    /// Most messages that have ended of which recovery hands out what became of them.
    pub endings_max: u32,
    /// How accounts are numbered on disk.
    pub accounts: AccountNumbers,
}

impl JournalSettings {
    /// Settings for a store with this id, in which everything else has its default.
    pub fn new(store_id: u64) -> Self {
        Self {
            durability: Durability::Sync,
            store_id,
            messages_max: 4_000_000,
            segment_bytes: 32 << 20,
            segments_max: 256,
            segments_kept: 6,
            batch_bytes_max: BATCH_BYTES_MAX,
            memory_bytes: 64 << 20,
            endings_max: 0,
            accounts: AccountNumbers::default(),
        }
    }
}
