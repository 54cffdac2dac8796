//! The lists that messages stand in. They run through the messages themselves, so they take no memory of their own, and
//! any member can leave at any time. A member of an account's queue or of a subscriber's line may be parked: its link stands in
//! the list then.

use super::message::{Message, NONE, PRIORITY_MAX};
use super::messages::Messages;

/// A first-in-first-out list.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) head: u32,
    tail: u32,
    pub(super) len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE, len: 0 };

    pub(super) const fn is_empty(&self) -> bool {
        self.head == NONE
    }

    pub(super) const fn tail(&self) -> u32 {
        self.tail
    }

    #[inline]
    pub(super) fn push_back(&mut self, messages: &mut Messages, slot: u32) {
        self.insert_after(messages, self.tail, slot);
    }

    /// Puts `slot` behind `previous`, a member; at the front when that is [`NONE`].
    #[inline]
    pub(super) fn insert_after(&mut self, messages: &mut Messages, previous: u32, slot: u32) {
        let next = match messages.behind_mut(previous) {
            Some(behind) => std::mem::replace(behind, slot),
            None => std::mem::replace(&mut self.head, slot),
        };
        match messages.before_mut(next) {
            Some(before) => *before = slot,
            None => self.tail = slot,
        }
        if let Some(message) = messages.get_mut(slot) {
            (message.previous, message.next) = (previous, next);
        }
        self.len += 1;
    }

    /// Takes a member out.
    #[inline]
    pub(super) fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let Some(&Message { previous, next, .. }) = messages.get(slot) else { return };
        match messages.behind_mut(previous) {
            Some(behind) => *behind = next,
            None => self.head = next,
        }
        match messages.before_mut(next) {
            Some(before) => *before = previous,
            None => self.tail = previous,
        }
        self.len -= 1;
    }

    /// Puts the link `to` into the place of `from`, a member: they are the same message, parked or not.
    pub(super) fn replace(&mut self, messages: &mut Messages, from: u32, to: u32) {
        let Some((before, behind)) = messages.neighbours(from) else { return };
        if let Some(neighbours) = messages.neighbours_mut(to) {
            (*neighbours.0, *neighbours.1) = (before, behind);
        }
        *messages.behind_mut(before).unwrap_or(&mut self.head) = to;
        *messages.before_mut(behind).unwrap_or(&mut self.tail) = to;
    }

    /// Appends links to the members in order.
    pub(super) fn collect(&self, messages: &Messages, found: &mut Vec<u32>) {
        let mut at = self.head;
        while let Some((_, behind)) = messages.neighbours(at) {
            found.push(at);
            at = behind;
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self, messages: &mut Messages) -> Option<u32> {
        let slot = self.head;
        if slot == NONE {
            return None;
        }
        self.remove(messages, slot);
        Some(slot)
    }
}

const LANES: usize = PRIORITY_MAX as usize + 1;

/// One list per priority: whatever is of a higher one goes first, and within one it is first in, first out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    lanes: [List; LANES],
    /// Which of them have members.
    occupied: u8,
}

/// For each priority, the member that the next one goes behind; [`NONE`]: to the front.
pub(super) type Places = [u32; LANES];
pub(super) const IN_FRONT: Places = [NONE; LANES];

impl Lanes {
    pub(super) const EMPTY: Self = Self { lanes: [List::EMPTY; LANES], occupied: 0 };

    /// With these members, which have this priority.
    pub(super) fn of(priority: u8, members: List) -> Self {
        let lane = usize::from(priority.min(PRIORITY_MAX));
        let mut lanes = Self { occupied: u8::from(!members.is_empty()) << lane, ..Self::EMPTY };
        lanes.lanes[lane] = members;
        lanes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    pub(super) fn len(&self) -> u32 {
        self.lanes.iter().map(|lane| lane.len).sum()
    }

    /// The first of the highest priority.
    #[inline]
    pub(super) const fn head(&self) -> u32 {
        if self.occupied == 0 { NONE } else { self.lanes[self.occupied.ilog2() as usize].head }
    }

    /// Puts the link `to` into the place of `from`, a member of this priority: they are the same message, parked or not.
    pub(super) fn replace(&mut self, messages: &mut Messages, priority: u8, from: u32, to: u32) {
        self.lanes[usize::from(priority.min(PRIORITY_MAX))].replace(messages, from, to);
    }

    /// Appends links to the members, those of the highest priority first.
    pub(super) fn collect(&self, messages: &Messages, found: &mut Vec<u32>) {
        for lane in self.lanes.iter().rev() {
            lane.collect(messages, found);
        }
    }

    /// The members of one priority.
    pub(super) fn lane(&self, priority: u8) -> &List {
        &self.lanes[usize::from(priority.min(PRIORITY_MAX))]
    }

    #[inline]
    pub(super) fn push_back(&mut self, messages: &mut Messages, slot: u32) {
        let Some(message) = messages.get(slot) else { return };
        let lane = usize::from(message.priority.min(PRIORITY_MAX));
        self.lanes[lane].push_back(messages, slot);
        self.occupied |= 1 << lane;
    }

    /// Puts `slot` behind `previous`, a member of its priority; in front of those when that is [`NONE`].
    pub(super) fn insert_after(&mut self, messages: &mut Messages, previous: u32, slot: u32) {
        let Some(message) = messages.get(slot) else { return };
        let lane = usize::from(message.priority.min(PRIORITY_MAX));
        self.lanes[lane].insert_after(messages, previous, slot);
        self.occupied |= 1 << lane;
    }

    /// Takes a member out.
    #[inline]
    pub(super) fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let Some(message) = messages.get(slot) else { return };
        let lane = usize::from(message.priority.min(PRIORITY_MAX));
        self.lanes[lane].remove(messages, slot);
        if self.lanes[lane].is_empty() {
            self.occupied &= !(1 << lane);
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self, messages: &mut Messages) -> Option<u32> {
        let slot = self.head();
        if slot == NONE {
            return None;
        }
        self.remove(messages, slot);
        Some(slot)
    }
}
