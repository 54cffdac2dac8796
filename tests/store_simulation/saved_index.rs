//! The index that an orderly stop saves: it says what the segments say, and whatever is wrong with it goes unnoticed by
//! everything but the time that the start takes.

use rand_xoshiro::rand_core::Rng;
use smscd::store::journal::{Access, open};

use super::disk::Faults;
use super::world::{ENDINGS_MAX, NO_MESSAGE, Pending, World, read};
use super::{closed_store, for_seeds};

/// Opens what is on the disk to go on with it, and holds it against `expected`. Whether the index was used.
fn reopen(world: &World, disk: &super::disk::SimDisk, expected: &Pending) -> bool {
    let mut disk = disk.clone();
    let recovered = open(&mut disk, &world.settings, Access::Write).expect("a store");
    let report = recovered.report();
    assert_eq!((report.damaged, report.messages), (0, expected.len() as u64), "{report:?}");
    let mut found = Pending::new();
    recovered.visit(&world.settings.accounts, &mut |_, record, body| {
        found.insert(record.id.as_u64(), (*record, body.to_vec()));
    });
    assert!(found == *expected, "a record or a body differs");
    assert_eq!(disk.index_content(), None, "it is good for one start only");
    report.is_from_index
}

#[test]
fn the_next_start_goes_by_it_and_finds_the_same() {
    for_seeds(20, |seed, steps| {
        let mut world = closed_store(seed, steps);
        let expected = world.pending_at(u64::MAX);
        let saved = NO_MESSAGE..NO_MESSAGE + world.below(2 * u64::from(ENDINGS_MAX));
        world.endings = saved.clone();
        assert!(world.save_index(1_000));
        assert!(reopen(&world, &world.disk.copy(), &expected));
        // A start that only looks reads the segments and leaves it.
        let (found, recovered) = read(&mut world.disk, &world.settings);
        assert!(found == expected && !recovered.report().is_from_index);
        // The log goes on from it as it does from the segments.
        let (disk, settings) = (world.disk.clone(), world.settings.clone());
        let next_id = 1_000_000;
        let mut world = World::open(disk, world.rng.clone(), settings, next_id, expected);
        let told = saved.end.saturating_sub(ENDINGS_MAX.into()).max(NO_MESSAGE)..saved.end;
        assert_eq!(world.ended.keys().copied().collect::<Vec<_>>(), told.collect::<Vec<_>>());
        for _ in 0..steps {
            super::step(&mut world, 35, 12);
        }
        world = world.crash(true);
        world.close();
        let expected = world.pending_at(u64::MAX);
        assert!(world.save_index(1_000));
        assert!(reopen(&world, &world.disk, &expected));
    });
}

#[test]
fn one_that_was_cut_off_is_not_used() {
    for_seeds(20, |seed, steps| {
        let mut world = closed_store(seed, steps / 4);
        let expected = world.pending_at(u64::MAX);
        for keeper_steps in 0..3 {
            let is_saved = world.save_index(keeper_steps);
            assert_eq!(is_saved, world.disk.index_content().is_some());
            let disk = world.disk.copy();
            disk.cut_power();
            assert_eq!(reopen(&world, &disk, &expected), is_saved);
        }
        // It is not synced: a power cut leaves any part of it.
        world.disk.cut_power();
        reopen(&world, &world.disk, &expected);
    });
}

#[test]
fn one_that_can_not_be_written_is_done_without() {
    for_seeds(40, |seed, steps| {
        let mut world = closed_store(seed, steps / 4);
        let expected = world.pending_at(u64::MAX);
        let full = world.below(2) * 500;
        world.disk.set_faults(Faults { short_write: 200, failed_write: 300, failed_sync: 300, full });
        assert!(world.save_index(1_000), "the stop goes on");
        world.disk.set_faults(Faults::default());
        let is_saved = world.disk.index_content().is_some();
        assert_eq!(reopen(&world, &world.disk, &expected), is_saved);
    });
}

#[test]
fn a_damaged_one_is_not_used() {
    for_seeds(5, |seed, steps| {
        let mut world = closed_store(seed, steps / 2);
        let expected = world.pending_at(u64::MAX);
        assert!(world.save_index(1_000));
        let index = world.disk.index_content().expect("an index");
        for _ in 0..60 {
            let mut damaged = index.clone();
            let at = world.below(index.len() as u64) as usize;
            match world.below(3) {
                0 => damaged.truncate(at),
                1 => damaged[at] ^= 1 << world.below(8),
                _ => damaged[at..].fill(0),
            }
            let disk = world.disk.copy();
            disk.set_index(&damaged);
            assert_eq!(reopen(&world, &disk, &expected), damaged == index);
        }
        let disk = world.disk.copy();
        let noise: Vec<u8> = (0..index.len()).map(|_| world.rng.next_u64() as u8).collect();
        disk.set_index(&noise);
        assert!(!reopen(&world, &disk, &expected));
    });
}

#[test]
fn one_of_an_earlier_stop_is_not_used() {
    for_seeds(20, |seed, steps| {
        let mut world = closed_store(seed, steps / 2);
        let before = world.pending_at(u64::MAX);
        assert!(world.save_index(1_000));
        let index = world.disk.index_content().expect("an index");
        let (disk, settings) = (world.disk.clone(), world.settings.clone());
        let mut world = World::open(disk, world.rng.clone(), settings, 1_000_000, before);
        // From a single entry on the log is another one.
        for _ in 0..=world.below(3) * 20 {
            super::step(&mut world, 40, 12);
        }
        world.put();
        world.settle();
        let killed = world.disk.copy();
        killed.set_index(&index);
        assert!(!reopen(&world, &killed, &world.pending_at(u64::MAX)));
        world.close();
        world.disk.set_index(&index);
        assert!(!reopen(&world, &world.disk, &world.pending_at(u64::MAX)));
    });
}
