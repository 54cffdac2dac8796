//! The index that an orderly stop saves: it says what the segments say, and whatever is wrong with it goes unnoticed by
//! everything but the time that the start takes. That holds of damage, and of content that can't be true under checksums that are
//! right.

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

/// Octets of a block's header; the length of the block is at its end, and the checksum is of all behind itself.
const HEADER_BYTES: usize = 32;
/// Of the first block, up to the segments; and of each of these.
const FIRST_BYTES: usize = 20;
const SEGMENT_BYTES: usize = 29;
/// Of a slot, and of its packed record, which is in front.
const SLOT_BYTES: usize = 44;
const RECORD_BYTES: usize = 32;

/// The blocks of an index.
fn blocks(index: &[u8]) -> Vec<Vec<u8>> {
    let (mut blocks, mut rest) = (Vec::new(), index);
    while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([header[28], header[29], header[30], header[31]]) as usize;
        let (block, behind) = rest.split_at(HEADER_BYTES + length);
        blocks.push(block.to_vec());
        rest = behind;
    }
    blocks
}

/// An index of these, with lengths and checksums that are right.
fn sealed(mut blocks: Vec<Vec<u8>>) -> Vec<u8> {
    for block in &mut blocks {
        let length = (block.len() - HEADER_BYTES) as u32;
        block[28..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32c::crc32c(&block[8..]);
        block[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
    blocks.concat()
}

fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(block[at..at + 4].try_into().expect("four octets"))
}

fn set(block: &mut [u8], at: usize, value: u32) {
    block[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn one_that_can_not_be_true_is_not_used_whatever_its_checksums_say() {
    for_seeds(8, |seed, steps| {
        let mut world = closed_store(seed, steps / 2);
        world.put();
        let mut world = world.crash(false);
        world.close();
        let expected = world.pending_at(u64::MAX);
        assert!(world.save_index(1_000));
        let index = blocks(&world.disk.index_content().expect("an index"));
        let segments = (index[0].len() - HEADER_BYTES - FIRST_BYTES) / SEGMENT_BYTES;
        let oldest = u32_at(&index[0], HEADER_BYTES + 8);
        let newest = oldest + segments as u32 - 1;
        // What may be different: the block, where in it, and what it says there.
        let mut wrong: Vec<(usize, usize, u32)> = Vec::new();
        for segment in [0, segments - 1] {
            let at = HEADER_BYTES + FIRST_BYTES + segment * SEGMENT_BYTES;
            wrong.extend([(0, at, 0), (0, at + 4, u32::MAX), (0, at + 12, u32::MAX)]);
            wrong.extend([17, 21].map(|field| (0, at + field, u32_at(&index[0], at + field) + 1)));
        }
        wrong.extend(
            [0, oldest.wrapping_sub(1), oldest + 1, u32::MAX].map(|other| (0, HEADER_BYTES + 8, other)),
        );
        let slots = u32_at(&index[1], HEADER_BYTES + 4) as usize;
        let first_slot = HEADER_BYTES + 8;
        let is_free =
            |slot: &usize| index[1][first_slot + slot * SLOT_BYTES + RECORD_BYTES + 4..][..6] == [0xFF; 6];
        let taken: Vec<usize> = (0..slots).filter(|slot| !is_free(slot)).collect();
        assert!(taken.len() > 1 && taken.len() == expected.len());
        let slot = taken[world.below(taken.len() as u64) as usize];
        let at = first_slot + slot * SLOT_BYTES + RECORD_BYTES;
        wrong.extend([0, oldest.wrapping_sub(1), newest + 1, newest + 1_000].map(|segment| (1, at, segment)));
        // In front of any body, and behind what is used of its segment, the length as it is.
        let high = u32_at(&index[1], at + 4) & !0x3FFF_FFFF;
        wrong.extend([(1, at + 4, high | 120), (1, at + 4, high | 0x3FFF_FFFF)]);
        // Longer by some 64 KiB.
        wrong.push((1, at + 6, u32_at(&index[1], at + 6) ^ 1 << 30));
        // Its record said to be elsewhere, and no such record.
        wrong.push((1, at - RECORD_BYTES + 18, 7 << 2 | u32_at(&index[1], at - RECORD_BYTES + 18)));
        let is_used = |blocks: Vec<Vec<u8>>| {
            let disk = world.disk.copy();
            disk.set_index(&sealed(blocks));
            reopen(&world, &disk, &expected)
        };
        assert!(is_used(index.clone()), "as it is");
        for (block, at, value) in wrong {
            let mut changed = index.clone();
            if u32_at(&changed[block], at) == value {
                continue;
            }
            set(&mut changed[block], at, value);
            assert!(!is_used(changed), "{value:#x} at {at} of block {block}");
        }
        // A record that no slot waits for; a segment too many, and one too few.
        let mut changed = index.clone();
        changed[1].extend_from_slice(&(slot as u32).to_le_bytes());
        changed[1].extend_from_slice(&[0; 43]);
        assert!(!is_used(changed), "a slot that is named twice");
        let mut changed = index.clone();
        changed[0].extend_from_slice(&[0; SEGMENT_BYTES]);
        assert!(!is_used(changed), "one that is missing behind the newest");
        let mut changed = index.clone();
        changed[0].truncate(HEADER_BYTES + FIRST_BYTES + (segments - 1) * SEGMENT_BYTES);
        assert!(!is_used(changed), "no newest");
    });
}
