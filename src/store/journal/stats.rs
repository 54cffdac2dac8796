//! The store's figures.

/// Groups of records by stage that are told apart.
pub(super) const STAGES: usize = 8;
/// Batches are counted by the power of two of their entries; the last group has all larger ones.
pub(super) const BATCH_SIZES: usize = 14;

/// What recovery found, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryFigures {
    /// Messages pending at the start.
    pub messages: u64,
    /// Octets read.
    pub bytes: u64,
    /// Places on disk that could not be read though they had been synced.
    pub damaged: u64,
    /// Entries lost there.
    pub lost_entries: u64,
    /// How long it took.
    pub nanos: u64,
}

/// Figures of one shard's store at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Messages held, by the stage of their record.
    pub pending: [u64; STAGES],
    /// Octets that they take in segments.
    pub live_bytes: u64,
    /// Memory of index and young bodies.
    pub memory_bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Segment files.
    pub files: u64,
    /// Octets of the files.
    pub file_bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Entries in them.
    pub entries: u64,
    /// Octets of their frames.
    pub frame_bytes: u64,
    /// Batches of 1, 2, up to 4, up to 8 ... entries.
    pub batch_sizes: [u64; BATCH_SIZES],
    /// Messages copied forward.
    pub copied: u64,
    /// Messages refused for want of room.
    pub refused: u64,
    /// Bodies read back from disk.
    pub disk_reads: u64,
    /// Those of them that were not what was written.
    pub damaged_reads: u64,
    /// No new message is taken in for want of disk.
    pub is_full: bool,
    /// Unix milliseconds before which no pending message was accepted.
    pub oldest_accepted_ms: Option<u64>,
    /// The recovery at the start.
    pub recovery: RecoveryFigures,
}

impl StoreStats {
    /// Adds another shard's figures.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.pending.iter_mut().zip(other.pending) {
            *mine += theirs;
        }
        for (mine, theirs) in self.batch_sizes.iter_mut().zip(other.batch_sizes) {
            *mine += theirs;
        }
        self.live_bytes += other.live_bytes;
        self.memory_bytes += other.memory_bytes;
        self.segments += other.segments;
        self.files += other.files;
        self.file_bytes += other.file_bytes;
        self.batches += other.batches;
        self.entries += other.entries;
        self.frame_bytes += other.frame_bytes;
        self.copied += other.copied;
        self.refused += other.refused;
        self.disk_reads += other.disk_reads;
        self.damaged_reads += other.damaged_reads;
        self.is_full |= other.is_full;
        self.oldest_accepted_ms =
            [self.oldest_accepted_ms, other.oldest_accepted_ms].into_iter().flatten().min();
        self.recovery.messages += other.recovery.messages;
        self.recovery.bytes += other.recovery.bytes;
        self.recovery.damaged += other.recovery.damaged;
        self.recovery.lost_entries += other.recovery.lost_entries;
        // Shards are recovered side by side.
        self.recovery.nanos = self.recovery.nanos.max(other.recovery.nanos);
    }
}

/// What the journal counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) pending: [u64; STAGES],
    pub(super) batches: u64,
    pub(super) entries: u64,
    pub(super) frame_bytes: u64,
    pub(super) batch_sizes: [u64; BATCH_SIZES],
    pub(super) copied: u64,
    pub(super) refused: u64,
    pub(super) disk_reads: u64,
    pub(super) damaged_reads: u64,
}

impl Tally {
    #[inline]
    pub(super) fn add(&mut self, stage: u8) {
        self.pending[usize::from(stage).min(STAGES - 1)] += 1;
    }

    #[inline]
    pub(super) fn sub(&mut self, stage: u8) {
        self.pending[usize::from(stage).min(STAGES - 1)] -= 1;
    }

    pub(super) fn batch(&mut self, entries: u32, bytes: usize) {
        self.batches += 1;
        self.entries += u64::from(entries);
        self.frame_bytes += bytes as u64;
        let size = entries.max(1).next_power_of_two().trailing_zeros() as usize;
        self.batch_sizes[size.min(BATCH_SIZES - 1)] += 1;
    }
}
