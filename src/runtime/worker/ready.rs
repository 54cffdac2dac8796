//! Whose turn it is to be read. Light sessions come before the rest, those that flood and those that are not bound, so that a
//! light ESME does not wait for what others have in flight; and of either kind each has its go before one has a second.

use std::collections::VecDeque;

use crate::base::Time;
use crate::limits::{LIGHT_PDUS_MAX, LIGHT_WINDOW_NANOS};

/// Slots with something to read or take, each once.
#[derive(Debug, Default)]
pub(super) struct Ready {
    light: VecDeque<u32>,
    rest: VecDeque<u32>,
}

impl Ready {
    /// Adds a slot behind the others of its kind.
    #[inline]
    pub(super) fn push(&mut self, slot: u32, goes_last: bool) {
        let line = if goes_last { &mut self.rest } else { &mut self.light };
        line.push_back(slot);
    }

    /// The first of the light ones.
    #[inline]
    pub(super) fn pop_light(&mut self) -> Option<u32> {
        self.light.pop_front()
    }

    /// The first of the rest.
    #[inline]
    pub(super) fn pop_rest(&mut self) -> Option<u32> {
        self.rest.pop_front()
    }

    /// How many there are beside the light ones.
    pub(super) fn rest(&self) -> usize {
        self.rest.len()
    }

    /// Whether there is none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.light.is_empty() && self.rest.is_empty()
    }
}

/// How much a session has asked for lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    /// When the present window began.
    since: Time,
    /// Taken in the present window, and in the one before it if that has just ended; in PDUs, or 256 octets each.
    taken: u32,
    before: u32,
}

impl Demand {
    /// Notes a go that took so much, at `now`. Whether that leaves the session light.
    #[inline]
    pub(super) fn note(&mut self, pdus: u32, bytes: usize, now: Time) -> bool {
        let elapsed = now.nanos_since(self.since);
        if elapsed >= LIGHT_WINDOW_NANOS {
            self.before = if elapsed < 2 * LIGHT_WINDOW_NANOS { self.taken } else { 0 };
            self.taken = 0;
            self.since = now;
        }
        self.taken = self.taken.saturating_add(pdus.max((bytes / 256) as u32));
        self.taken.max(self.before) <= LIGHT_PDUS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_is_who_has_asked_little_in_this_window_and_the_last() {
        let mut demand = Demand::default();
        let mut at = |windows: u64, pdus, bytes| {
            demand.note(pdus, bytes, Time::from_nanos(windows * LIGHT_WINDOW_NANOS + 1))
        };
        assert!(at(5, LIGHT_PDUS_MAX, 100));
        assert!(!at(5, 1, 100), "over the window, not the go");
        assert!(!at(6, 1, 100), "the window before counts");
        assert!(at(7, 1, 100));
        assert!(!at(8, 1, 256 * (LIGHT_PDUS_MAX as usize + 1)), "octets count as PDUs do");
        assert!(at(20, 1, 100), "long ago");
    }

    #[test]
    fn each_kind_has_its_own_line() {
        let mut ready = Ready::default();
        for (slot, goes_last) in [(1, true), (2, false), (3, true), (4, false)] {
            ready.push(slot, goes_last);
        }
        assert!(!ready.is_empty());
        assert_eq!([ready.pop_light(), ready.pop_light(), ready.pop_light()], [Some(2), Some(4), None]);
        assert_eq!([ready.pop_rest(), ready.pop_rest(), ready.pop_rest()], [Some(1), Some(3), None]);
        assert!(ready.is_empty());
    }
}
