//! The journal on a simulated disk, against a model of what the log says.
//!
//! Knobs: `SMSCD_SIM_SEED` (the first seed), `SMSCD_SIM_SEEDS` (how many), `SMSCD_SIM_STEPS` (steps of each). A
//! failure names its seed.

mod disk;
mod link;
mod saved_index;
mod torn_end;
mod world;

use std::ops::Range;

use disk::Faults;
use rand_xoshiro::rand_core::Rng;
use smscd::store::journal::frame::{self, Header};
use smscd::store::journal::{Access, open};
use smscd::store::{Durability, MessageStore};
use world::{World, read};

fn knob(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// Runs `test` for each seed, naming the one that fails.
pub(crate) fn for_seeds(default: u64, test: impl Fn(u64, u64)) {
    let (first, steps) = (knob("SMSCD_SIM_SEED", 1), knob("SMSCD_SIM_STEPS", 400));
    for seed in first..first + knob("SMSCD_SIM_SEEDS", default) {
        let named = std::panic::AssertUnwindSafe(|| test(seed, steps));
        if let Err(panic) = std::panic::catch_unwind(named) {
            eprintln!("failed with SMSCD_SIM_SEED={seed} SMSCD_SIM_SEEDS=1 SMSCD_SIM_STEPS={steps}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn durability_of(seed: u64) -> Durability {
    if seed.is_multiple_of(2) { Durability::Sync } else { Durability::Buffered }
}

/// One random step. `puts` and `removes` of 100 steps are of that kind.
pub(crate) fn step(world: &mut World, puts: u64, removes: u64) {
    match world.below(100) {
        n if n < puts => drop(world.put()),
        n if n < puts + removes => world.remove(),
        n if n < puts + removes + 10 => world.update(),
        n if n < puts + removes + 13 => world.replace(),
        n if n < puts + removes + 17 => world.look(),
        n if n < 75 => world.turn(),
        n if n < 92 => world.committer(),
        _ => world.keeper(),
    }
}

#[test]
fn nothing_promised_is_lost_and_nothing_is_invented() {
    for_seeds(300, |seed, steps| {
        let mut world = World::new(seed, durability_of(seed));
        for _ in 0..3 {
            let faults = Faults {
                short_write: world.below(2) * 100,
                failed_write: world.below(3) / 2 * 10,
                failed_sync: world.below(3) / 2 * 10,
                full: world.below(2) * 300,
            };
            world.disk.set_faults(faults);
            let (puts, removes) = (20 + world.below(25), 5 + world.below(20));
            for _ in 0..steps {
                step(&mut world, puts, removes);
                if world.has_failed || world.journal.failure().is_some() {
                    break;
                }
            }
            if world.has_failed {
                world.assert_stopped();
            }
            let is_power_cut = !world.rng.next_u64().is_multiple_of(3);
            world = world.crash(is_power_cut);
        }
        world.close();
        let everything = world.pending_at(u64::MAX);
        let (found, recovered) = read(&mut world.disk.copy(), &world.settings);
        assert!(found == everything && recovered.report().is_clean_stop);
    });
}

#[test]
fn segments_go_round_and_the_disk_stays_small() {
    for_seeds(60, |seed, steps| {
        let mut world = World::new(seed, durability_of(seed));
        let kept = 40;
        for round in 0..steps * 4 {
            world.put();
            if world.live.len() > kept {
                // Nearly all go soon, a few stay for long.
                let id = world.live.keys().rev().nth((round % 5) as usize).copied();
                world.remove_id(id.expect("some are there"));
            }
            if round % 3 == 0 {
                world.turn();
                world.committer();
                world.committer();
                world.keeper();
            }
        }
        world.settle();
        let stats = world.journal.stats();
        assert!(stats.copied > 0 && world.refused == 0, "{stats:?}");
        assert!(stats.files <= 12, "{stats:?}");
        assert!(
            stats.frame_bytes > 12 * u64::from(world.settings.segment_bytes),
            "nothing went round: {stats:?}"
        );
        let ids: Vec<u64> = world.live.keys().copied().collect();
        for id in ids {
            world.remove_id(id);
        }
        world.settle();
        world.settle();
        assert!(world.journal.stats().files <= 7, "{:?}", world.journal.stats());
    });
}

/// Of messages that stay a fifth of an octet is copied forward for each that is written; the disk's use grows with them.
#[test]
fn what_stays_is_passed_at_little_cost() {
    for_seeds(8, |seed, steps| {
        let mut world = World::new(seed, durability_of(seed));
        while world.live.len() < 350 {
            world.put();
            world.settle();
        }
        let mut pass = |messages: u64| {
            for round in 0..messages {
                world.put();
                if let Some(newest) = world.live.keys().next_back().copied() {
                    world.remove_id(newest);
                }
                if round % 8 == 0 {
                    world.settle();
                }
            }
            world.journal.stats()
        };
        // Once round, so that the store has the size that it keeps.
        let before = pass(12_000);
        let after = pass(steps.max(6_000));
        let copied_bytes = (after.copied - before.copied) * after.live_bytes / world.live.len() as u64;
        let written_bytes = after.frame_bytes - before.frame_bytes;
        assert!(copied_bytes > 0 && copied_bytes * 4 <= written_bytes, "{copied_bytes} copied: {after:?}");
        let live = after.live_bytes.div_ceil(world.settings.segment_bytes.into());
        assert!(after.segments <= 6 * live + 2, "{after:?}");
        assert_eq!(world.refused, 0);
    });
}

#[test]
fn an_idle_store_gives_back_what_is_dead() {
    for_seeds(40, |seed, steps| {
        let mut world = World::keeping(seed, durability_of(seed), 8);
        // Far apart, so that what stays keeps many segments.
        for round in 0..steps * 3 {
            world.put();
            let newest = world.live.keys().next_back().copied().expect("one was put");
            if round % 50 > 0 {
                world.remove_id(newest);
            }
            if round % 3 == 0 {
                world.turn();
                world.committer();
                world.committer();
                world.keeper();
            }
        }
        let busy = world.journal.stats();
        assert!(world.live.len() >= 20 && world.refused == 0 && busy.segments >= 7, "{busy:?}");
        world.sleep();
        let stats = world.journal.stats();
        // The current one, one more, and twice what is live; and what waits for use.
        let needed = 2 + (2 * stats.live_bytes).div_ceil(world.settings.segment_bytes.into());
        assert!(stats.segments <= needed && stats.files <= needed + 4, "{stats:?} after {busy:?}");
        let world = world.crash(true);
        assert!(world.live.len() >= 20);
    });
}

#[test]
fn an_idle_store_leaves_what_is_live_where_it_is() {
    for_seeds(20, |seed, steps| {
        let mut world = World::new(seed, durability_of(seed));
        // Many in a frame: what pads frames is as dead as anything.
        for round in 0..steps * 2 {
            world.put();
            if round % 40 == 0 {
                world.settle();
            }
        }
        world.settle();
        let busy = world.journal.stats();
        world.sleep();
        let stats = world.journal.stats();
        assert!(stats.segments > 3 && stats.copied == busy.copied, "{stats:?} after {busy:?}");
    });
}

#[test]
fn a_full_disk_refuses_messages_takes_final_states_and_recovers() {
    for_seeds(60, |seed, _| {
        let mut world = World::new(seed, durability_of(seed));
        world.settle();
        world.disk.set_faults(Faults { full: 1_000, ..Faults::default() });
        for _ in 0..3 {
            let mut refused_in_a_row = 0;
            while refused_in_a_row < 50 {
                refused_in_a_row = if world.put() { 0 } else { refused_in_a_row + 1 };
                world.turn();
                world.committer();
                world.committer();
                world.keeper();
                assert_eq!(world.journal.failure(), None, "{:?}", world.journal.stats());
            }
            for _ in 0..200 {
                world.update();
            }
            while world.live.len() > 5 {
                world.remove();
                world.turn();
                world.committer();
                world.committer();
                world.keeper();
                assert_eq!(world.journal.failure(), None, "{:?}", world.journal.stats());
            }
            // What is left is copied forward a little at each turn.
            let has_room = (0..200).any(|_| {
                world.settle();
                world.put()
            });
            assert!(has_room, "there is room again: {:?}", world.journal.stats());
        }
        let everything = world.pending_at(u64::MAX);
        world.close();
        assert!(read(&mut world.disk.copy(), &world.settings).0 == everything);
    });
}

#[test]
fn what_became_of_messages_is_known_after_a_crash() {
    for_seeds(40, |seed, _| {
        let mut world = World::new(seed, durability_of(seed));
        // All in one segment, for one in which nothing is pending is used for something else.
        for _ in 0..8 {
            world.put();
        }
        let ids: Vec<u64> = world.live.keys().copied().collect();
        for &id in &ids {
            world.remove_id(id);
        }
        world.settle();
        let world = world.crash(true);
        assert_eq!(world.ended.keys().copied().collect::<Vec<_>>(), ids);
    });
}

/// A store with a few segments of history, stopped in order.
pub(crate) fn closed_store(seed: u64, steps: u64) -> World {
    let mut world = World::new(seed, Durability::Sync);
    for _ in 0..steps * 2 {
        step(&mut world, 35, 12);
    }
    world.close();
    world
}

/// Every frame on the disk: the file that it is in, and where there, padding left out.
pub(crate) fn frames(world: &World) -> Vec<(u32, Range<usize>, Header)> {
    let each = world.disk.numbers().into_iter().flat_map(|number| {
        let content = world.disk.content(number);
        let store_id = world.settings.store_id;
        let pages = (0..content.len()).step_by(frame::FRAME_ALIGN);
        let parsed = pages.filter_map(|at| {
            let (header, payload) = frame::parse(&content[at..], store_id, at as u32)?;
            Some((number, at..at + frame::HEADER_BYTES + payload.len(), header))
        });
        parsed.collect::<Vec<_>>()
    });
    each.collect()
}

/// The last frame of the log.
fn last_frame(world: &World) -> (u32, Range<usize>, Header) {
    frames(world).into_iter().max_by_key(|(.., header)| header.first_lsn).expect("a frame")
}

#[test]
fn a_frame_cut_off_at_any_octet_is_a_torn_tail() {
    for_seeds(150, |seed, _| {
        let mut world = closed_store(seed, 60);
        let earlier = world.disk.copy();
        for _ in 0..2 {
            world.put();
        }
        world.settle();
        // A large body has a frame of its own, and one that frees a segment may follow: the last one is cut.
        let (number, frame, header) = last_frame(&world);
        let before = world.pending_at(header.first_lsn - 1);
        let after = world.pending_at(u64::MAX);
        let new = world.disk.content(number);
        let old =
            if earlier.numbers().contains(&number) { earlier.content(number) } else { vec![0; new.len()] };
        let padded_end = frame.end.next_multiple_of(frame::FRAME_ALIGN);
        // Every octet now and then; else a few of them, and its ends.
        let mut ends = vec![frame.start, frame.start + 1, frame.end - 1, frame.end, padded_end];
        if seed % 50 == 1 {
            ends.extend(frame.start..frame.end.min(frame.start + 1_000));
        }
        ends.extend((0..8).map(|_| frame.start + world.below(frame.len() as u64) as usize));
        for end in ends {
            let mut disk = world.disk.copy();
            disk.tamper(number, |content| {
                content[frame.start..].copy_from_slice(&old[frame.start..]);
                content[frame.start..end].copy_from_slice(&new[frame.start..end]);
            });
            // What was there before may end in the same octets.
            let is_whole = disk.content(number)[frame.clone()] == new[frame.clone()];
            let (found, recovered) = read(&mut disk, &world.settings);
            assert!(found == if is_whole { after.clone() } else { before.clone() }, "cut at {end}");
            assert_eq!(recovered.report().damaged, 0);
            // And the log goes on behind it as if nothing had been there.
            drop(open(&mut disk, &world.settings, Access::Write).expect("a store"));
            assert!(read(&mut disk, &world.settings).0 == found);
        }
    });
}

#[test]
fn damage_is_reported_and_the_rest_is_kept() {
    for_seeds(400, |seed, steps| {
        let mut world = closed_store(seed, steps);
        let (before, ever) = (world.pending_at(u64::MAX), world.ever());
        let mut disk = world.disk.copy();
        let numbers = disk.numbers();
        let number = numbers[world.below(numbers.len() as u64) as usize];
        let whole_sector = world.below(2) == 0;
        let at = world.below(disk.content(number).len() as u64) as usize;
        let bit = world.below(8);
        disk.tamper(number, |content| {
            if whole_sector {
                let start = at / 512 * 512;
                content[start..start + 512].fill(0);
            } else {
                content[at] ^= 1 << bit;
            }
        });
        let (found, recovered) = read(&mut disk, &world.settings);
        let report = recovered.report();
        let is_told = report.damaged > 0 || !report.is_clean_stop;
        for (id, (record, body)) in &found {
            let (records, bodies) = ever.get(id).expect("a message that never was");
            let was = records.contains(record) && bodies.contains(body);
            assert!(was, "a record or body that never was: {id}");
        }
        let missing = before.keys().filter(|id| !found.contains_key(id)).count();
        let wrong = found != before;
        assert!(!wrong || is_told, "silent damage: {missing} missing, {report:?}");
        assert!(missing <= world.largest_batch as usize, "more lost than one frame held: {missing}");
        // What is left can be gone on with.
        let mut again = disk.clone();
        let reopened = open(&mut again, &world.settings, Access::Write).expect("a store");
        assert_eq!(reopened.report().messages, found.len() as u64);
    });
}

#[test]
fn a_body_damaged_after_recovery_is_never_handed_out() {
    for_seeds(40, |seed, steps| {
        let before = closed_store(seed, steps / 2);
        let pending = before.pending_at(u64::MAX);
        let World { disk, rng, settings, .. } = before;
        // Bodies are in no memory after this.
        let mut world = World::open(disk, rng, settings, u64::MAX, pending);
        for number in world.disk.numbers() {
            let first = world.below(64) as usize;
            world.disk.tamper(number, |content| {
                for octet in content.iter_mut().skip(first).step_by(64) {
                    *octet ^= 1 << (seed % 8);
                }
            });
        }
        let mut damaged = 0;
        for (location, _, body) in world.live.values() {
            match world.journal.body(*location) {
                Some(found) => assert!(found == body && body.len() < 64, "damaged, and handed out"),
                None => {
                    damaged += 1;
                    let place = world.journal.take_damage().expect("it is told");
                    assert!(world.disk.numbers().contains(&place.file), "{place:?}");
                }
            }
        }
        let stats = world.journal.stats();
        assert!(damaged > 0 && stats.damaged_reads == damaged, "{damaged}, {stats:?}");
        assert_eq!(stats.disk_reads, world.live.len() as u64);
    });
}

#[test]
fn what_is_not_a_store_is_not_taken_for_one() {
    for_seeds(40, |seed, steps| {
        let mut world = closed_store(seed, steps / 4);
        // Another store's segments, and noise.
        let mut settings = world.settings.clone();
        settings.store_id ^= 1;
        let (found, recovered) = read(&mut world.disk.copy(), &settings);
        assert!(found.is_empty() && recovered.lsn() == 0);
        let disk = world.disk.copy();
        for number in disk.numbers() {
            disk.tamper(number, |content| {
                for octet in content {
                    *octet = world.rng.next_u64() as u8;
                }
            });
        }
        assert!(read(&mut disk.copy(), &world.settings).0.is_empty());
    });
}
