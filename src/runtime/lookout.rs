//! Whether a thread without work looks for some a while, or sleeps at once.
//!
//! Sleep and wake-up cost tens of microseconds, which an ESME that waits for each response pays several times a message.
//! Looking costs a core, which others may need more. So a thread looks only where it can't be anything else that its peers
//! wait for: a request at a time, each after the one before was answered and soon after.

use crate::base::Time;
use crate::limits::LONE_TURNS_MIN;

/// What a thread has taken in and given out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// PDUs from peers.
    pub received: u64,
    /// PDUs to peers.
    pub sent: u64,
    /// Requests of other threads.
    pub requests: u64,
}

/// Watches how work comes to one thread.
#[derive(Debug)]
pub struct Lookout {
    /// The longest look, in nanoseconds; 0: never.
    max_nanos: u64,
    before: Handled,
    /// PDUs received less PDUs sent when the last one came: the same again when what came with it has been answered.
    open: u64,
    worked_at: Time,
    /// One more for each turn that did what a lone request needs, up to a bound; half for each other one.
    lone_turns: u32,
}

impl Lookout {
    /// One that looks for at most `max_nanos` nanoseconds at a time; 0: never.
    pub fn new(max_nanos: u64) -> Self {
        Self { max_nanos, before: Handled::default(), open: 0, worked_at: Time::ZERO, lone_turns: 0 }
    }

    /// A turn that began at `now` is over, and `so_far` has been handled.
    pub fn turned(&mut self, now: Time, so_far: Handled) {
        if so_far == self.before {
            return;
        }
        let received = so_far.received - self.before.received;
        let mut is_lone = received <= 1
            && so_far.sent - self.before.sent <= 1
            && so_far.requests - self.before.requests <= 1
            && now.nanos_since(self.worked_at) < self.max_nanos;
        if received > 0 {
            let open = self.before.received.wrapping_sub(self.before.sent);
            is_lone &= open == self.open;
            self.open = open;
        }
        self.lone_turns =
            if is_lone { (self.lone_turns + 1).min(2 * LONE_TURNS_MIN) } else { self.lone_turns / 2 };
        self.before = so_far;
        self.worked_at = now;
    }

    /// Whether to look on at `now` rather than sleep.
    pub fn looks(&self, now: Time) -> bool {
        self.lone_turns >= LONE_TURNS_MIN && now.nanos_since(self.worked_at) < self.max_nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_NANOS: u64 = 400_000;
    const SOON_NANOS: u64 = MAX_NANOS / 2;

    /// A thread's turns.
    struct Turns {
        lookout: Lookout,
        so_far: Handled,
        now: Time,
    }

    impl Turns {
        fn new(max_nanos: u64) -> Self {
            Self {
                lookout: Lookout::new(max_nanos),
                so_far: Handled::default(),
                now: Time::from_nanos(1 << 40),
            }
        }

        /// A turn after a rest that handles so many.
        fn turn(&mut self, rest_nanos: u64, (received, sent, requests): (u64, u64, u64)) {
            self.now = Time::from_nanos(self.now.as_nanos() + rest_nanos);
            self.so_far.received += received;
            self.so_far.sent += sent;
            self.so_far.requests += requests;
            self.lookout.turned(self.now, self.so_far);
        }

        /// A request that is answered in the next turn, `times` times.
        fn lone(&mut self, times: u32) {
            for _ in 0..times {
                self.turn(SOON_NANOS, (1, 0, 0));
                self.turn(SOON_NANOS, (0, 1, 0));
            }
        }

        fn looks_after(&self, nanos: u64) -> bool {
            self.lookout.looks(Time::from_nanos(self.now.as_nanos() + nanos))
        }
    }

    #[test]
    fn the_next_of_lone_requests_is_looked_for() {
        let mut turns = Turns::new(MAX_NANOS);
        turns.lone(LONE_TURNS_MIN / 2);
        assert!(!turns.looks_after(0), "too few to tell");
        turns.lone(1);
        assert!(turns.looks_after(MAX_NANOS - 1));
        assert!(!turns.looks_after(MAX_NANOS), "it gives up");
        turns.turn(SOON_NANOS, (0, 0, 0));
        assert!(turns.looks_after(SOON_NANOS - 1), "a turn without work changes nothing");
        assert!(!turns.looks_after(SOON_NANOS));
    }

    #[test]
    fn other_threads_requests_count_too() {
        let mut turns = Turns::new(MAX_NANOS);
        for _ in 0..=LONE_TURNS_MIN {
            turns.turn(SOON_NANOS, (0, 0, 1));
        }
        assert!(turns.looks_after(0));
        for _ in 0..2 {
            turns.turn(SOON_NANOS, (0, 0, 2));
        }
        assert!(!turns.looks_after(0), "two at a time");
    }

    #[test]
    fn requests_that_do_not_wait_for_each_other_are_not_looked_for() {
        let mut turns = Turns::new(MAX_NANOS);
        turns.lone(LONE_TURNS_MIN);
        // Two under way at any time.
        turns.turn(1, (1, 0, 0));
        turns.turn(1, (1, 0, 0));
        for _ in 0..LONE_TURNS_MIN {
            turns.turn(1, (0, 1, 0));
            turns.turn(1, (0, 1, 0));
            turns.turn(1, (1, 0, 0));
            turns.turn(1, (1, 0, 0));
        }
        assert!(!turns.looks_after(1));
    }

    #[test]
    fn crowds_and_long_rests_end_it() {
        for (rest_nanos, handled) in
            [(1, (2, 0, 0)), (1, (0, 2, 0)), (1, (0, 0, 2)), (MAX_NANOS, (1, 1, 0)), (MAX_NANOS, (0, 0, 1))]
        {
            let mut turns = Turns::new(MAX_NANOS);
            turns.lone(LONE_TURNS_MIN);
            assert!(turns.looks_after(0));
            turns.turn(rest_nanos, handled);
            turns.turn(rest_nanos, handled);
            assert!(!turns.looks_after(0), "{handled:?} after {rest_nanos} ns");
        }
    }

    #[test]
    fn a_single_other_turn_is_forgiven() {
        let mut turns = Turns::new(MAX_NANOS);
        turns.lone(2 * LONE_TURNS_MIN);
        turns.turn(MAX_NANOS, (1, 0, 0));
        assert!(turns.looks_after(0));
    }

    #[test]
    fn nothing_is_ever_looked_for_when_that_is_off() {
        let mut turns = Turns::new(0);
        turns.lone(100);
        assert!(!turns.looks_after(0));
    }
}
