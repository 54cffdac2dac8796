//! Sleep and wake of one hot thread: a producer pays a syscall only when the thread is really asleep, and no
//! wake-up is ever lost.
//!
//! The consumer announces that it will sleep, *then* looks at its lanes once more, then polls. A producer
//! publishes, *then* looks at the announcement. The two sequentially consistent fences order each side's write
//! before its read, so at least one of them sees the other (store-buffer litmus test); the loom test in
//! `tests/loom.rs` tries every interleaving. It holds for what the consumer does look at; for other news the producer
//! pays the syscall whether the consumer sleeps or not (`Wake::rouse`).

#[cfg(smscd_loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(smscd_loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// The announcement that a thread is asleep or about to be.
#[derive(Debug)]
pub struct Sleeper {
    sleeping: AtomicBool,
}

impl Default for Sleeper {
    fn default() -> Self {
        Self::new()
    }
}

impl Sleeper {
    /// An awake thread.
    pub fn new() -> Self {
        Self { sleeping: AtomicBool::new(false) }
    }

    /// Consumer: announces sleep. Look at every lane once more after this and before blocking.
    pub fn announce(&self) {
        // A swap, so that it is ordered after the swap of a producer that was late for the sleep before.
        self.sleeping.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// Consumer: back from the poll, or decided not to sleep.
    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Producer: call after publishing. True: the caller must wake the thread (and no other producer will).
    #[must_use]
    pub fn take_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        // Load first: while the consumer is busy its cache line stays shared.
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel)
    }
}

#[cfg(all(test, not(smscd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_producer_wakes_a_sleeper() {
        let sleeper = Sleeper::new();
        assert!(!sleeper.take_wake(), "awake: no syscall");
        sleeper.announce();
        assert!(sleeper.take_wake());
        assert!(!sleeper.take_wake(), "already being woken");
        sleeper.announce();
        sleeper.awake();
        assert!(!sleeper.take_wake());
    }
}
