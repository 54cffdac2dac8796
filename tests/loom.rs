//! Every interleaving of a lane's sleep and wake, by loom. Needs its own build:
//! `RUSTFLAGS="--cfg smscd_loom" cargo test --release --test loom --no-default-features`
#![cfg(smscd_loom)]
#![allow(unreachable_pub, reason = "a module of the crate is included by its path")]

#[path = "../src/runtime/sleeper.rs"]
mod sleeper;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use sleeper::Sleeper;

/// The lane as far as sleeping is concerned: how much was published, and the poll that a waker interrupts.
struct Shared {
    published: AtomicUsize,
    sleeper: Sleeper,
    poll: Notify,
}

impl Shared {
    fn publish(&self) {
        // A channel publishes with release and reads with acquire, no more.
        self.published.fetch_add(1, Ordering::Release);
        if self.sleeper.take_wake() {
            self.poll.notify();
        }
    }
}

/// The consumer sleeps until everything has been published. A lost wake-up is a deadlock, which loom reports.
fn consume(shared: &Shared, expected: usize) {
    loop {
        let taken = shared.published.load(Ordering::Acquire);
        if taken == expected {
            return;
        }
        shared.sleeper.announce();
        if shared.published.load(Ordering::Acquire) == taken {
            shared.poll.wait();
        }
        shared.sleeper.awake();
    }
}

#[test]
fn one_producer_never_loses_a_wake_up() {
    loom::model(|| {
        let shared =
            Arc::new(Shared { published: AtomicUsize::new(0), sleeper: Sleeper::new(), poll: Notify::new() });
        let producer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.publish();
                shared.publish();
            })
        };
        consume(&shared, 2);
        producer.join().expect("the producer ends");
    });
}

#[test]
fn two_producers_never_lose_a_wake_up() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared =
            Arc::new(Shared { published: AtomicUsize::new(0), sleeper: Sleeper::new(), poll: Notify::new() });
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.publish())
            })
            .collect();
        consume(&shared, 2);
        for producer in producers {
            producer.join().expect("the producer ends");
        }
    });
}
