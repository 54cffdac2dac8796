//! Deterministic simulation of the whole engine without sockets, clocks or threads: session cores on two workers, two
//! routing shards over the simulated network and journals on simulated disks, lanes that hold one value, and ESMEs of
//! every manner. A shadow model checks the promises of ARCHITECTURE.md as things happen and at the end.
//!
//! The shells between the cores are this test's own (`worker`, `shard`); they mirror the runtime's.
//!
//! Knobs: `SMSCD_SIM_SEED` (the first seed), `SMSCD_SIM_SEEDS` (how many), `SMSCD_SIM_STEPS` (steps of each). A
//! failure names its seed.

#[path = "../store_simulation/disk.rs"]
#[allow(dead_code, reason = "the store's own simulation uses more of it")]
mod disk;
mod esme;
mod lane;
mod model;
mod shard;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod worker;
mod world;

use world::World;

fn knob(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

fn run(seed: u64, steps: u64) -> World {
    let mut world = World::new(seed);
    let mut at = 0;
    let named = std::panic::AssertUnwindSafe(|| {
        while at < steps {
            world.step();
            at += 1;
        }
        world.finish();
    });
    if let Err(panic) = std::panic::catch_unwind(named) {
        eprintln!("failed at step {at} with SMSCD_SIM_SEED={seed} SMSCD_SIM_SEEDS=1 SMSCD_SIM_STEPS={steps}");
        std::panic::resume_unwind(panic);
    }
    world
}

#[test]
fn every_promise_holds() {
    let (first, seeds) = (knob("SMSCD_SIM_SEED", 1), knob("SMSCD_SIM_SEEDS", 32));
    let steps = knob("SMSCD_SIM_STEPS", 3_000);
    let mut totals = [0; 9];
    for seed in first..first + seeds {
        let World { model, crashes, .. } = run(seed, steps);
        let seen = [
            model.submitted() as u64,
            model.receipts,
            model.forwarded,
            model.stale,
            model.refused,
            model.recovered,
            model.paused,
            model.timed_out,
            u64::from(crashes),
        ];
        totals.iter_mut().zip(seen).for_each(|(total, seen)| *total += seen);
    }
    println!(
        "submitted, receipts, forwarded, stale outcomes, refused, recovered, paused, timed out, crashes: {totals:?}"
    );
    // A simulation in which nothing happens finds nothing.
    assert!(seeds < 10 || steps < 1_000 || totals.iter().all(|&total| total > 0), "{totals:?}");
}

#[test]
fn one_seed_is_one_run() {
    let trace = |seed| run(seed, 1_500).model.trace;
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
