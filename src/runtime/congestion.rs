//! How full the shards are, as every worker may tell its 5.0 peers: congestion_state (5.0 section 4.8.4.18). One octet for
//! each shard, written by it at the end of a turn.

use std::sync::atomic::{AtomicU8, Ordering};

/// congestion_state of a shard that takes nothing more.
const CONGESTED: u8 = 100;

/// The fill of every shard.
#[derive(Debug)]
pub struct Congestion {
    shards: Vec<AtomicU8>,
}

impl Congestion {
    /// So many empty shards.
    pub fn new(shards: u16) -> Self {
        Self { shards: (0..shards).map(|_| AtomicU8::new(0)).collect() }
    }

    /// Notes that a shard holds so many messages of those that it may.
    pub fn note(&self, shard: u16, held: u32, maximum: u32) {
        let percent = u64::from(held) * u64::from(CONGESTED) / u64::from(maximum.max(1));
        let state = u8::try_from(percent).unwrap_or(CONGESTED).min(CONGESTED);
        if let Some(noted) = self.shards.get(usize::from(shard))
            && noted.load(Ordering::Relaxed) != state
        {
            noted.store(state, Ordering::Relaxed);
        }
    }

    /// That of the fullest shard: a peer can't know which one its next message goes to.
    pub fn state(&self) -> u8 {
        self.shards.iter().map(|noted| noted.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_shard_counts_and_full_is_a_hundred() {
        let congestion = Congestion::new(2);
        assert_eq!(congestion.state(), 0);
        congestion.note(0, 199, 1_000);
        congestion.note(1, 850, 1_000);
        congestion.note(7, 1_000, 1_000);
        assert_eq!(congestion.state(), 85);
        congestion.note(1, 0, 1_000);
        assert_eq!(congestion.state(), 19);
        congestion.note(1, u32::MAX, u32::MAX - 1);
        assert_eq!(congestion.state(), 100);
        congestion.note(1, 5, 0);
        assert_eq!(congestion.state(), 100);
    }
}
