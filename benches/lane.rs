//! A lane between two threads: what an item costs in a full block, and how long one hop takes.
//! `cargo bench --bench lane`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use smscd::limits::{LANE_BLOCK_ITEMS, LANE_BLOCKS};
use smscd::runtime::lane::{LaneReceiver, LaneSender, lane};

fn main() {
    divan::main();
}

/// Sends every item back on another lane until told to stop.
fn echo() -> (LaneSender<u64>, LaneReceiver<u64>, Arc<AtomicBool>, thread::JoinHandle<()>) {
    let (to_echo, from_caller) = lane::<u64>(LANE_BLOCKS);
    let (mut to_caller, from_echo) = lane::<u64>(LANE_BLOCKS);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let Some(mut block) = from_caller.take() else {
                std::hint::spin_loop();
                continue;
            };
            for (item, _) in block.drain() {
                to_caller.push_reply(item);
            }
            from_caller.give_back(block);
            to_caller.publish();
        }
    });
    (to_echo, from_echo, stop, thread)
}

/// One item there and back: two hops, both threads awake.
#[divan::bench]
fn round_trip(bencher: Bencher<'_, '_>) {
    let (mut sender, receiver, stop, thread) = echo();
    bencher.bench_local(|| {
        assert!(sender.push_request(1, 0, |_| ()));
        sender.publish();
        loop {
            if let Some(mut block) = receiver.take() {
                let count = block.drain().count();
                receiver.give_back(block);
                break count;
            }
            std::hint::spin_loop();
        }
    });
    stop.store(true, Ordering::Relaxed);
    thread.join().expect("the echo ends");
}

/// A block of items with bodies of a 60-character submit_sm there and back.
#[divan::bench(args = [1, 16, LANE_BLOCK_ITEMS])]
fn batch_round_trip(bencher: Bencher<'_, '_>, items: usize) {
    let body = [7u8; 110];
    let (mut sender, receiver, stop, thread) = echo();
    bencher.counter(ItemsCount::new(items)).bench_local(|| {
        for item in 0..items {
            assert!(sender.push_request(item as u64, body.len(), |out| out.extend_from_slice(&body)));
        }
        sender.publish();
        let mut seen = 0;
        while seen < items {
            if let Some(mut block) = receiver.take() {
                seen += block.drain().count();
                receiver.give_back(block);
            } else {
                std::hint::spin_loop();
            }
        }
    });
    stop.store(true, Ordering::Relaxed);
    thread.join().expect("the echo ends");
}
