//! The window of requests that we sent and whose responses are due: a ring indexed by sequence_number.
//!
//! Sequence numbers of one session are consecutive, so the slot of a response is found without a hash, and the
//! oldest request (the first to time out) is found by walking from the tail. Responses may come in any order.

use crate::base::{DeliveryToken, Time};

/// Highest sequence_number before the count starts again at 1 (3.4 section 3.2).
pub const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// The number after `sequence_number`.
pub const fn next_sequence(sequence_number: u32) -> u32 {
    if sequence_number >= SEQUENCE_MAX { 1 } else { sequence_number + 1 }
}

/// One open request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What it delivers.
    pub token: DeliveryToken,
    /// Its number.
    pub sequence_number: u32,
    /// When it was queued for the socket.
    pub sent_at: Time,
}

const START_SLOTS: usize = 64;

/// Open requests of one session.
#[derive(Debug, Default)]
pub struct Window {
    slots: Vec<Option<Open>>,
    /// Sequence number from which the search for the oldest starts.
    tail: u32,
    open: u32,
    max: u32,
}

impl Window {
    /// A window of at most `max` open requests. Holds no memory until the first.
    pub const fn new(max: u32) -> Self {
        Self { slots: Vec::new(), tail: 0, open: 0, max }
    }

    /// Requests open.
    pub const fn open(&self) -> u32 {
        self.open
    }

    /// The most that may be open.
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// Whether another may be opened.
    pub const fn has_room(&self) -> bool {
        self.open < self.max
    }

    /// Opens a request. False when the window is full, or when an old request still sits in the slot that this
    /// number needs (the peer left it unanswered while a whole ring went by).
    pub fn insert(&mut self, open: Open) -> bool {
        if !self.has_room() {
            return false;
        }
        loop {
            if let Some(slot @ None) = self.slot(open.sequence_number) {
                *slot = Some(open);
                break;
            }
            if !self.grow() {
                return false;
            }
        }
        if self.open == 0 {
            self.tail = open.sequence_number;
        }
        self.open += 1;
        true
    }

    /// Closes the request with this number.
    pub fn remove(&mut self, sequence_number: u32) -> Option<Open> {
        let found = self.slot(sequence_number)?.take_if(|open| open.sequence_number == sequence_number)?;
        self.open -= 1;
        Some(found)
    }

    /// The request that has been open longest.
    pub fn oldest(&mut self) -> Option<Open> {
        if self.open == 0 {
            return None;
        }
        let mask = self.slots.len().wrapping_sub(1);
        for _ in 0..=self.slots.len() {
            if let Some(Some(open)) = self.slots.get(self.tail as usize & mask) {
                // A slot may hold a later request while the tail passes over a closed number.
                if open.sequence_number == self.tail {
                    return Some(*open);
                }
            }
            self.tail = next_sequence(self.tail);
        }
        // The wrap from 0x7FFFFFFF to 1 can hide one behind the tail: look at all.
        let oldest = self.slots.iter().flatten().min_by_key(|open| open.sent_at).copied();
        if let Some(open) = oldest {
            self.tail = open.sequence_number;
        }
        oldest
    }

    /// Closes every request, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = Open> + use<> {
        self.open = 0;
        std::mem::take(&mut self.slots).into_iter().flatten()
    }

    /// Gives the ring's memory back if nothing is open.
    pub fn release_if_idle(&mut self) {
        if self.open == 0 && !self.slots.is_empty() {
            self.slots = Vec::new();
        }
    }

    /// Where a request with this number has its place; `None` while there is no ring.
    #[inline]
    fn slot(&mut self, sequence_number: u32) -> Option<&mut Option<Open>> {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get_mut(sequence_number as usize & mask)
    }

    /// Doubles the ring, up to twice the window. False: it is as large as it gets.
    fn grow(&mut self) -> bool {
        let limit = (self.max as usize).next_power_of_two() * 2;
        let len = if self.slots.is_empty() { START_SLOTS.min(limit) } else { self.slots.len() * 2 };
        if len > limit {
            return false;
        }
        let old = std::mem::replace(&mut self.slots, vec![None; len]);
        for open in old.into_iter().flatten() {
            if let Some(slot) = self.slots.get_mut(open.sequence_number as usize & (len - 1)) {
                *slot = Some(open);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(sequence_number: u32, at_ms: u64) -> Open {
        let token = DeliveryToken { slot: sequence_number, generation: 1, shard: 0 };
        Open { token, sequence_number, sent_at: Time::from_millis(at_ms) }
    }

    #[test]
    fn answers_in_any_order_exactly_once() {
        let mut window = Window::new(300);
        let mut sequence = SEQUENCE_MAX - 100;
        let mut numbers = Vec::new();
        for at in 0..300 {
            assert!(window.insert(open(sequence, at)));
            numbers.push(sequence);
            sequence = next_sequence(sequence);
        }
        assert!(!window.has_room() && !window.insert(open(sequence, 999)));
        for number in numbers.iter().rev() {
            assert_eq!(window.remove(*number).map(|o| o.token.slot), Some(*number));
            assert_eq!(window.remove(*number), None, "answered twice");
        }
        assert_eq!(window.open(), 0);
    }

    #[test]
    fn oldest_is_the_first_to_time_out_even_over_the_wrap() {
        let mut window = Window::new(8);
        let mut sequence = SEQUENCE_MAX - 2;
        for at in 0..6 {
            assert!(window.insert(open(sequence, at)));
            sequence = next_sequence(sequence);
        }
        for at in 0..6 {
            let oldest = window.oldest().expect("one is open");
            assert_eq!(oldest.sent_at, Time::from_millis(at));
            window.remove(oldest.sequence_number);
        }
        assert_eq!(window.oldest(), None);
    }

    #[test]
    fn an_unanswered_request_holds_its_slot_only() {
        let mut window = Window::new(4);
        assert!(window.insert(open(1, 0)));
        let mut sequence = 2;
        let mut passed = 0;
        while window.insert(open(sequence, 1)) {
            window.remove(sequence);
            sequence = next_sequence(sequence);
            passed += 1;
        }
        assert!(passed >= 6, "one stuck request must not stop the next ones at once: {passed}");
        assert_eq!(window.oldest().map(|o| o.sequence_number), Some(1));
        window.remove(1);
        assert!(window.insert(open(sequence, 2)));
        assert_eq!(window.oldest().map(|o| o.sequence_number), Some(sequence));
    }

    #[test]
    fn unknown_numbers_find_nothing() {
        let mut window = Window::new(4);
        assert_eq!(window.remove(5), None);
        window.insert(open(5, 0));
        assert_eq!(window.remove(5 + 64), None);
        assert_eq!(window.remove(0), None);
    }
}
