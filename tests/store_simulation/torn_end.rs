//! A log with a torn end, and damage in front of it: what the first recovery keeps, every later one keeps, whichever of
//! them is cut off and wherever.

use smscd::base::{AccountId, MessageId, WallTime};
use smscd::store::journal::entry::{SlotName, encode_record, push_put};
use smscd::store::journal::frame::{FRAME_ALIGN, HEADER_BYTES, Header, seal};
use smscd::store::journal::{Access, JournalSettings, open};
use smscd::store::{Durability, MessageStore, Record};

use super::disk::SimDisk;
use super::world::{Pending, World, read, settings};
use super::{for_seeds, frames, step};
use rand_xoshiro::rand_core::Rng;

/// A segment file, frame by frame.
struct Frames<'a> {
    settings: &'a JournalSettings,
    segment: u32,
    bytes: Vec<u8>,
}

impl<'a> Frames<'a> {
    fn new(settings: &'a JournalSettings, segment: u32) -> Self {
        Self { settings, segment, bytes: Vec::new() }
    }

    /// A frame that puts one message, whose id is the entry's number; every other one takes more than a sector. `synced` is as
    /// it was known when it was written.
    fn put(mut self, lsn: u64, synced: u64) -> Self {
        let at = WallTime::from_unix_millis(lsn);
        let record = Record {
            id: MessageId::from_u64(lsn),
            account: AccountId(lsn as u16),
            target: None,
            stage: 0,
            state: 1,
            version: 0x34,
            error: lsn as u16,
            attempts: 0,
            accepted: at,
            due: at,
            expires: at,
            finished: WallTime::from_unix_millis(0),
        };
        let mut frame = vec![0; HEADER_BYTES];
        let name = SlotName { slot: lsn as u32, generation: 0 };
        push_put(
            &mut frame,
            name,
            &encode_record(&record),
            &b"what it says".repeat(1 + lsn as usize % 2 * 100),
        );
        let header = Header {
            store_id: self.settings.store_id,
            segment: self.segment,
            offset: self.bytes.len() as u32,
            payload_len: (frame.len() - HEADER_BYTES) as u32,
            entries: 1,
            first_lsn: lsn,
            synced_lsn: synced,
            oldest: 1,
            ..Header::default()
        };
        seal(&mut frame, &header);
        self.bytes.append(&mut frame);
        self
    }

    /// A frame that can't be read.
    fn unreadable(mut self) -> Self {
        self.bytes.resize(self.bytes.len() + FRAME_ALIGN, 0xEE);
        self
    }

    /// The whole file; `is_full`: there is no more room in it.
    fn file(mut self, is_full: bool) -> Vec<u8> {
        if !is_full {
            self.bytes.resize(self.settings.segment_bytes as usize, 0);
        }
        self.bytes
    }
}

/// Opens the store to go on with it: the ids of what is pending, and whether places are damaged.
fn reopen(disk: &mut SimDisk, settings: &JournalSettings) -> (Vec<u64>, u64) {
    let recovered = open(disk, settings, Access::Write).expect("a store");
    let mut ids = Vec::new();
    recovered.visit(&settings.accounts, &mut |_, record, _| ids.push(record.id.as_u64()));
    (ids, recovered.report().damaged)
}

/// Cuts recovery off after each of its calls to the disk, by a kill, and by so many power cuts; then as often again as it takes.
fn cut_off_everywhere(disk: &SimDisk, settings: &JournalSettings, expected: &(Vec<u64>, u64), cuts: u64) {
    for calls in 0.. {
        for seed in 0..=cuts {
            let mut disk = disk.copy_seeded(seed);
            let mut is_done = false;
            for _ in 0..2 {
                disk.die_after(Some(calls));
                is_done = open(&mut disk, settings, Access::Write).is_ok();
                if seed > 0 {
                    disk.cut_power();
                }
            }
            disk.die_after(None);
            assert_eq!(reopen(&mut disk, settings), *expected, "cut off after {calls}, seed {seed}");
            assert_eq!(reopen(&mut disk, settings), *expected, "and once more");
            if is_done && seed == cuts {
                return;
            }
        }
    }
}

#[test]
fn damage_in_front_of_a_torn_end_stays_damage() {
    let settings = settings(Durability::Buffered);
    // 1 to 3 were synced together, and only what was discarded says so. 2 was damaged later.
    let disk = SimDisk::new(1);
    let log = Frames::new(&settings, 1).put(1, 0).unreadable().put(3, 0).unreadable().put(5, 3).put(6, 3);
    disk.set_segment(1, &log.file(false));
    let expected = (vec![1, 3], 1);
    assert_eq!(reopen(&mut disk.copy(), &settings), expected);
    cut_off_everywhere(&disk, &settings, &expected, 11);
}

#[test]
fn so_it_does_where_the_discarded_part_fills_segments() {
    let settings = settings(Durability::Buffered);
    // With room behind the last frame that counts and without; with files for use and without.
    for (is_full, has_spare) in [(false, false), (true, false), (false, true), (true, true)] {
        let disk = SimDisk::new(1);
        let mut log = Frames::new(&settings, 1).put(1, 0).unreadable().put(3, 0);
        if !is_full {
            log = log.unreadable();
        }
        disk.set_segment(1, &log.file(is_full));
        disk.set_segment(2, &Frames::new(&settings, 2).unreadable().put(5, 3).put(6, 3).file(true));
        disk.set_segment(3, &Frames::new(&settings, 3).put(7, 3).file(false));
        if has_spare {
            disk.set_segment(4, &vec![0; settings.segment_bytes as usize]);
        }
        let expected = (vec![1, 3], 1);
        assert_eq!(reopen(&mut disk.copy(), &settings), expected);
        cut_off_everywhere(&disk, &settings, &expected, 11);
    }
}

#[test]
fn what_an_earlier_recovery_did_not_get_to_is_no_damage() {
    let settings = settings(Durability::Buffered);
    let disk = SimDisk::new(1);
    disk.set_segment(1, &Frames::new(&settings, 1).put(8, 7).put(9, 8).put(3, 0).put(4, 0).file(false));
    let expected = (vec![8, 9], 0);
    assert_eq!(reopen(&mut disk.copy(), &settings), expected);
    cut_off_everywhere(&disk, &settings, &expected, 11);
}

/// Logs of any shape: frames that were synced or not, some of each that can't be read, over several segments, with room at
/// their ends or without.
#[test]
fn so_it_does_whatever_the_log_looks_like() {
    for_seeds(60, |seed, _| {
        let settings = settings(Durability::Buffered);
        let mut rng = World::new(seed, Durability::Buffered).rng;
        let mut below = |n: u64| rng.next_u64() % n;
        let disk = SimDisk::new(seed);
        let (mut lsn, mut synced) = (1, 0);
        let synced_max = below(8);
        for segment in 1..=2 + below(4) as u32 {
            let mut log = Frames::new(&settings, segment);
            for _ in 0..1 + below(3) {
                log = if below(4) == 0 { log.unreadable() } else { log.put(lsn, synced) };
                synced = (synced + below(3)).min(synced_max).min(lsn);
                lsn += 1;
            }
            disk.set_segment(segment, &log.file(below(2) == 0));
        }
        if below(2) == 0 {
            disk.set_segment(9, &vec![0; settings.segment_bytes as usize]);
        }
        let expected = reopen(&mut disk.copy(), &settings);
        cut_off_everywhere(&disk, &settings, &expected, 4);
    });
}

#[test]
fn the_log_goes_on_behind_it() {
    for_seeds(60, |seed, steps| {
        let settings = settings(Durability::Buffered);
        let disk = SimDisk::new(seed);
        let log = Frames::new(&settings, 1).put(1, 0).put(2, 1).unreadable().put(4, 2).put(5, 2);
        disk.set_segment(1, &log.file(false));
        let (pending, _) = read(&mut disk.copy(), &settings);
        assert_eq!(pending.keys().copied().collect::<Vec<_>>(), [1, 2]);
        let rng = World::new(seed, Durability::Buffered).rng;
        let mut world = World::open(disk, rng, settings, 1_000, pending);
        for _ in 0..2 {
            for _ in 0..steps / 4 {
                step(&mut world, 30, 10);
            }
            let is_power_cut = world.rng.next_u64().is_multiple_of(2);
            world = world.crash(is_power_cut);
        }
    });
}

/// The power is cut while frames wait for their sync, and frames that had been synced shortly before are damaged: what can
/// be read is the same however recovery is cut off.
#[test]
fn recovery_says_the_same_however_often_it_is_cut_off() {
    for_seeds(150, |seed, steps| {
        let mut world = World::new(seed, Durability::Buffered);
        for _ in 0..steps / 2 {
            step(&mut world, 35, 12);
        }
        world.settle();
        let from = world.journal.lsn_at(Durability::Sync).0;
        for _ in 0..2 {
            // Synced together.
            while world.is_dirty() {
                world.committer();
            }
            for _ in 0..4 {
                world.update();
                world.turn();
                world.committer();
                world.committer();
            }
        }
        let synced = world.journal.lsn_at(Durability::Sync).0;
        world.disk.cut_power();
        let mut disk = world.disk.copy_seeded(seed);
        for (number, frame, header) in frames(&world) {
            if header.first_lsn > from && header.first_lsn <= synced && world.below(3) == 0 {
                disk.tamper(number, |content| content[frame.start] ^= 1);
            }
        }
        let expected: Pending = read(&mut disk.copy(), &world.settings).0;
        for _ in 0..4 {
            disk.die_after(Some(world.below(12)));
            drop(open(&mut disk, &world.settings, Access::Write));
            if world.below(2) == 0 {
                disk.cut_power();
            }
            let (found, recovered) = read(&mut disk.copy(), &world.settings);
            let report = recovered.report();
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{report:?}");
            assert!(found == expected, "a record or a body differs");
        }
    });
}
