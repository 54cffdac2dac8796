//! What recovery tells of what it has found.

use super::stats::RecoveryFigures;

/// Damaged places that are listed; more are counted.
const DAMAGE_LISTED_MAX: usize = 1_000;
/// A place that had been synced and can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment's file; that of the one before when the file is missing.
    pub file: u32,
    /// The segment.
    pub segment: u32,
    /// Octets from the segment's start.
    pub offset: u32,
    /// Entries lost.
    pub lost_entries: u64,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Messages pending.
    pub messages: u64,
    /// Segments read.
    pub segments: u32,
    /// Frames read.
    pub frames: u64,
    /// Octets read.
    pub bytes: u64,
    /// The last run was stopped in order.
    pub is_clean_stop: bool,
    /// The index that it saved was read, and not the segments.
    pub is_from_index: bool,
    /// Where the log was cut off, if a frame was half written: file and offset. Nothing of it was promised.
    pub torn_tail: Option<(u32, u32)>,
    /// What can't be read though it was synced; at most a thousand places.
    pub damage: Vec<Damage>,
    /// How many there are.
    pub damaged: u64,
    /// Entries lost there.
    pub lost_entries: u64,
    /// How long it took; set by who has a clock.
    pub nanos: u64,
}

impl RecoveryReport {
    /// In numbers.
    pub const fn figures(&self) -> RecoveryFigures {
        RecoveryFigures {
            messages: self.messages,
            bytes: self.bytes,
            damaged: self.damaged,
            lost_entries: self.lost_entries,
            nanos: self.nanos,
        }
    }

    pub(super) fn add(&mut self, damage: Damage) {
        self.damaged += 1;
        self.lost_entries += damage.lost_entries;
        if self.damage.len() < DAMAGE_LISTED_MAX {
            self.damage.push(damage);
        }
    }
}
