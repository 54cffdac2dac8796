//! Areas to broadcast in: each has cells, of which some don't send a round.

use std::collections::HashMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::base::mobile::Reach;

/// An area of the simulated network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastArea {
    /// What a broadcast_area_identifier calls it.
    pub name: Vec<u8>,
    /// How many cells it has.
    pub cells: u32,
    /// Share of them that send a message in each round, in per mille.
    pub success_permille: u16,
}

/// All areas of one shard's network. Their draws are apart from those of attempts.
#[derive(Debug)]
pub(super) struct Areas {
    rng: Xoshiro256PlusPlus,
    by_name: HashMap<Vec<u8>, BroadcastArea>,
}

impl Areas {
    pub(super) fn new(seed: u64, shard: u16, areas: Vec<BroadcastArea>) -> Self {
        let mut new = Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(!seed ^ u64::from(shard)),
            by_name: HashMap::new(),
        };
        new.set(areas);
        new
    }

    pub(super) fn set(&mut self, areas: Vec<BroadcastArea>) {
        self.by_name = areas.into_iter().map(|area| (area.name.clone(), area)).collect();
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// One round: each cell on its own.
    pub(super) fn broadcast(&mut self, name: &[u8]) -> Option<Reach> {
        let area = self.by_name.get(name)?;
        let (cells, share) = (area.cells, u64::from(area.success_permille));
        let sends = |rng: &mut Xoshiro256PlusPlus| ((rng.next_u64() >> 32) * 1_000) >> 32 < share;
        let reached = (0..cells).filter(|_| sends(&mut self.rng)).count();
        Some(Reach { cells, reached: u32::try_from(reached).unwrap_or(cells) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_send_by_their_share() {
        let area = |name: &[u8], success_permille| BroadcastArea {
            name: name.to_vec(),
            cells: 1_000,
            success_permille,
        };
        let areas = vec![area(b"all", 1_000), area(b"none", 0), area(b"most", 900)];
        let mut areas = Areas::new(1, 0, areas);
        let reached = |areas: &mut Areas, name: &[u8]| areas.broadcast(name).map(|reach| reach.reached);
        assert_eq!(reached(&mut areas, b"all"), Some(1_000));
        assert_eq!(reached(&mut areas, b"none"), Some(0));
        assert!(reached(&mut areas, b"most").is_some_and(|reached| reached.abs_diff(900) < 50));
        assert_eq!(reached(&mut areas, b"elsewhere"), None);
        assert!(areas.has(b"all") && !areas.has(b"elsewhere"));
        areas.set(vec![area(b"elsewhere", 1)]);
        assert!(!areas.has(b"all") && areas.has(b"elsewhere"));
    }
}
