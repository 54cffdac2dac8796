//! The journal on a simulated disk, against a model of what the log says.
//!
//! Knobs: `SMSCD_SIM_SEED` (the first seed), `SMSCD_SIM_SEEDS` (how many), `SMSCD_SIM_STEPS` (steps of each). A
//! failure names its seed.

mod disk;
mod link;
mod saved_index;
mod world;

use disk::Faults;
use rand_xoshiro::rand_core::Rng;
use smscd::store::Durability;
use smscd::store::journal::{Access, open};
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
    for_seeds(80, |seed, steps| {
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
    for_seeds(4, |seed, steps| {
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

#[test]
fn a_full_disk_refuses_messages_takes_final_states_and_recovers() {
    for_seeds(8, |seed, _| {
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
                assert_eq!(world.journal.failure(), None);
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
                assert_eq!(world.journal.failure(), None);
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

/// A store with a few segments of history, stopped in order.
pub(crate) fn closed_store(seed: u64, steps: u64) -> World {
    let mut world = World::new(seed, Durability::Sync);
    for _ in 0..steps * 2 {
        step(&mut world, 35, 12);
    }
    world.close();
    world
}

#[test]
fn a_frame_cut_off_at_any_octet_is_a_torn_tail() {
    for_seeds(2, |seed, _| {
        let mut world = closed_store(seed, 60);
        let before = world.pending_at(u64::MAX);
        let contents = |world: &World| -> Vec<(u32, Vec<u8>)> {
            world.disk.numbers().into_iter().map(|number| (number, world.disk.content(number))).collect()
        };
        let earlier = contents(&world);
        for _ in 0..2 {
            world.put();
        }
        world.settle();
        let after = world.pending_at(u64::MAX);
        let (number, old, new) = contents(&world)
            .into_iter()
            .find_map(|(number, new)| {
                let old = &earlier.iter().find(|(earlier, _)| *earlier == number)?.1;
                (*old != new).then(|| (number, old.clone(), new))
            })
            .expect("the frame went somewhere");
        let first = (0..new.len()).find(|&at| old[at] != new[at]).expect("it differs");
        let last = (0..new.len()).rfind(|&at| old[at] != new[at]).expect("it differs");
        assert_eq!(first / 4096 * 4096, first, "one frame at a page's start");
        // Every octet of a frame of two small messages; of a large one, enough.
        for end in (first..=last + 1).step_by(1 + (last - first) / 600) {
            let mut disk = world.disk.copy();
            disk.tamper(number, |content| {
                content[first..].copy_from_slice(&old[first..]);
                content[first..end].copy_from_slice(&new[first..end]);
            });
            let (found, recovered) = read(&mut disk, &world.settings);
            assert!(found == if end > last { after.clone() } else { before.clone() }, "cut at {end}");
            assert_eq!(recovered.report().damaged, 0);
            // And the log goes on behind it as if nothing had been there.
            drop(open(&mut disk, &world.settings, Access::Write).expect("a store"));
            assert!(read(&mut disk, &world.settings).0 == found);
        }
    });
}

#[test]
fn damage_is_reported_and_the_rest_is_kept() {
    for_seeds(50, |seed, steps| {
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
fn what_is_not_a_store_is_not_taken_for_one() {
    for_seeds(10, |seed, steps| {
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
