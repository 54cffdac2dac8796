//! The timer wheel: what a timer costs from being set to firing or being cancelled.
//! `cargo bench --bench wheel`

use divan::Bencher;
use divan::counter::ItemsCount;
use smscd::base::{Time, Wheel};

const TIMERS: u32 = 10_000;

fn main() {
    divan::main();
}

/// A steady stream: 10,000 timers at a time, each set `delay_ms` ahead and fired.
#[divan::bench(args = [5, 300, 30_000])]
fn schedule_and_fire(bencher: Bencher<'_, '_>, delay_ms: u64) {
    let mut wheel = Wheel::new();
    let mut now_ms = 0;
    bencher.counter(ItemsCount::new(TIMERS)).bench_local(move || {
        for key in 0..TIMERS {
            wheel.schedule(key, Time::from_millis(now_ms + delay_ms + u64::from(key % 64)));
        }
        now_ms += delay_ms + 64;
        let mut fired = 0;
        while wheel.pop_due(Time::from_millis(now_ms)).is_some() {
            fired += 1;
        }
        assert_eq!(fired, TIMERS);
    });
}

/// What response timers do: set, and cancelled long before they fire.
#[divan::bench]
fn schedule_and_cancel(bencher: Bencher<'_, '_>) {
    let mut wheel = Wheel::new();
    let mut now_ms = 0;
    bencher.counter(ItemsCount::new(TIMERS)).bench_local(move || {
        for key in 0..TIMERS {
            wheel.schedule(key, Time::from_millis(now_ms + 10_000));
        }
        for key in 0..TIMERS {
            wheel.cancel(key);
        }
        now_ms += 1;
    });
}

/// An idle wheel with one timer far ahead: what looking costs.
#[divan::bench]
fn next_deadline(bencher: Bencher<'_, '_>) {
    let mut wheel = Wheel::new();
    wheel.schedule(0, Time::from_millis(86_400_000));
    bencher.bench_local(move || divan::black_box(&wheel).next_deadline());
}
