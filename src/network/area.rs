//! Areas to broadcast in: each has cells, of which some don't send a round.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::base::mobile::Reach;
use crate::smpp::area::{AreaIdentifier, Point};

/// An area of the simulated network.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastArea {
    /// What a broadcast_area_identifier calls it.
    pub name: Vec<u8>,
    /// Where it is, for the shapes that a broadcast_area_identifier may have instead of a name.
    pub centre: Option<Point>,
    /// How many cells it has.
    pub cells: u32,
    /// Share of them that send a message in each round, in per mille.
    pub success_permille: u16,
}

/// All areas of one shard's network. Their draws are apart from those of attempts.
#[derive(Debug)]
pub(super) struct Areas {
    rng: Xoshiro256PlusPlus,
    areas: Vec<BroadcastArea>,
}

impl Areas {
    pub(super) fn new(seed: u64, shard: u16, areas: Vec<BroadcastArea>) -> Self {
        let mut new =
            Self { rng: Xoshiro256PlusPlus::seed_from_u64(!seed ^ u64::from(shard)), areas: Vec::new() };
        new.set(areas);
        new
    }

    pub(super) fn set(&mut self, areas: Vec<BroadcastArea>) {
        self.areas = areas;
    }

    /// Whether it means any of them.
    pub(super) fn has(&self, identifier: &[u8]) -> bool {
        self.meant(identifier).next().is_some()
    }

    /// One round in all that it means: each cell on its own.
    pub(super) fn broadcast(&mut self, identifier: &[u8]) -> Option<Reach> {
        let meant: Vec<(u32, u64)> =
            self.meant(identifier).map(|area| (area.cells, u64::from(area.success_permille))).collect();
        let mut sum = Reach::default();
        for &(cells, share) in &meant {
            let sends = |rng: &mut Xoshiro256PlusPlus| ((rng.next_u64() >> 32) * 1_000) >> 32 < share;
            let reached = (0..cells).filter(|_| sends(&mut self.rng)).count();
            sum.cells += cells;
            sum.reached += u32::try_from(reached).unwrap_or(cells);
        }
        (!meant.is_empty()).then_some(sum)
    }

    fn meant(&self, identifier: &[u8]) -> impl Iterator<Item = &BroadcastArea> {
        let meaning = AreaIdentifier::decode(identifier).ok();
        self.areas.iter().filter(move |area| meaning.is_some_and(|it| it.means(&area.name, area.centre)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_send_by_their_share() {
        let area = |name: &[u8], success_permille| BroadcastArea {
            name: name.to_vec(),
            centre: None,
            cells: 1_000,
            success_permille,
        };
        let areas = vec![area(b"all", 1_000), area(b"none", 0), area(b"most", 900)];
        let mut areas = Areas::new(1, 0, areas);
        let reached = |areas: &mut Areas, name: &[u8]| {
            areas.broadcast(&[b"\0", name].concat()).map(|reach| reach.reached)
        };
        assert_eq!(reached(&mut areas, b"all"), Some(1_000));
        assert_eq!(reached(&mut areas, b"none"), Some(0));
        assert!(reached(&mut areas, b"most").is_some_and(|reached| reached.abs_diff(900) < 50));
        assert_eq!(reached(&mut areas, b"elsewhere"), None);
        assert!(areas.has(b"\0all") && !areas.has(b"\0elsewhere"));
        areas.set(vec![area(b"elsewhere", 1)]);
        assert!(!areas.has(b"\0all") && areas.has(b"\0elsewhere"));
    }

    #[test]
    fn a_shape_means_all_areas_that_lie_in_it() {
        let at = |name: &[u8], longitude, cells| BroadcastArea {
            name: name.to_vec(),
            centre: Some(Point { latitude: 0.5, longitude }),
            cells,
            success_permille: 1_000,
        };
        let mut areas = Areas::new(1, 0, vec![at(b"a", 10.5, 3), at(b"b", 11.5, 4), at(b"c", 12.5, 5)]);
        // A polygon from 0 North, 9.84 East to 1.41 North, 11.25 East.
        let corner = |north: u8, east: u8| [north, 0, 0, east, 0, 0];
        let points = [corner(0, 7), corner(2, 7), corner(2, 8), corner(0, 8)].concat();
        let polygon = [&[2, 0x54][..], &points].concat();
        assert!(areas.has(&polygon));
        let reach = areas.broadcast(&polygon);
        assert_eq!(reach, Some(Reach { cells: 3, reached: 3 }), "{reach:?}");
        assert_eq!(areas.broadcast(b"\0b"), Some(Reach { cells: 4, reached: 4 }));
        assert_eq!(areas.broadcast(b"\x02nonsense"), None);
    }
}
