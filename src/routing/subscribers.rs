//! The table of turns: each subscriber has at most one message being attempted, or waiting for its next attempt, at a time.
//! Those that come meanwhile stand in line behind it, by priority and then in order of arrival. Who gets a turn, and when it
//! ends, is decided in `turns.rs`.
//!
//! Nearly every subscriber has a single message, so that is the case to be cheap: one look at a hash table of the
//! messages that have their subscriber's turn, four octets each, chained through the messages themselves. Numbers that
//! differ in their last digit only share a cache line, as lists of them are mostly sorted. Those who wait for a turn stand
//! elsewhere (`lines`). The table grows bit by bit (linear hashing): small enough for the caches
//! while little is pending, and never a pause to rehash. What it costs is part of every figure of
//! `benches/routing.rs`.

use std::collections::HashMap;

use super::lines::Lines;
use super::list::List;
use super::message::NONE;
use super::messages::{Messages, Table, parked_at};
use crate::base::prefetch::prefetch;

/// Places of one cache line of the table.
pub(super) const PLACE_BITS: u32 = 4;
const PLACES: usize = 1 << PLACE_BITS;
pub(super) const PLACE_MASK: u32 = PLACES as u32 - 1;
/// Lines at the start; a power of two.
const LINES_MIN: usize = 1 << 6;
/// A place with no message.
const EMPTY: u32 = u32::MAX;
/// Set in a place that has further messages: most look-ups then end without touching a message.
const MORE: u32 = 1 << 31;
/// Places for each message, as long as they are few: two at one place lead to each other through memory that is far off.
/// There is one for each beyond that.
const ROOM: usize = 4;
const ROOMY_PLACES_MAX: usize = 1 << 18;

/// Places that so many messages should have.
#[inline]
fn places_for(messages: u32) -> usize {
    (messages as usize * ROOM).min(ROOMY_PLACES_MAX).max(messages as usize + 1)
}

/// Messages at one place from which on those that wait for their schedule are not parked there.
const CROWD: usize = 16;

/// Whose turn it is with each subscriber, and who stands in line.
#[derive(Debug)]
pub(super) struct Subscribers {
    /// By place: the link to the first message there, above it as much of its subscriber's name as there is room for,
    /// above that [`MORE`]. Of those that are parked, the ones that wait for their schedule are here too; they have no
    /// turn.
    places: Vec<u32>,
    /// The lines of the table are between `mask + 1` and twice as many.
    mask: u32,
    lines_max: usize,
    /// Bits of a link here: those of a slot, and one for those parked.
    slot_bits: u32,
    /// Messages in the table.
    len: u32,
    /// Who waits for a turn.
    pub(super) lines: Lines,
    /// Those whose schedule is still to come.
    scheduled: HashMap<u32, List>,
}

impl Subscribers {
    /// For at most `messages_max` messages. Memory is reserved and used as it is needed.
    ///
    /// # Panics
    /// When `messages_max` is 2^30 or more.
    pub(super) fn new(messages_max: u32) -> Self {
        assert!(messages_max < 1 << 30);
        let lines_max = (messages_max as usize / PLACES + 1).next_power_of_two().max(LINES_MIN);
        let mut places = Vec::with_capacity(lines_max * PLACES);
        places.resize(LINES_MIN * PLACES, EMPTY);
        Self {
            places,
            mask: LINES_MIN as u32 - 1,
            lines_max,
            slot_bits: u32::BITS - messages_max.leading_zeros() + 1,
            len: 0,
            lines: Lines::default(),
            scheduled: HashMap::new(),
        }
    }

    /// Makes room for so many messages at once. The table must be empty.
    pub(super) fn expect(&mut self, count: u32) {
        debug_assert_eq!(self.len, 0);
        let lines = (places_for(count) / PLACES + 1).clamp(LINES_MIN, self.lines_max);
        if lines * PLACES > self.places.len() {
            self.places.resize(lines * PLACES, EMPTY);
            self.mask = (1 << lines.ilog2()) - 1;
        }
    }

    /// Messages that have a turn, and parked ones that wait for their schedule.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    const fn place_of(&self, subscriber: u32) -> usize {
        let hash = subscriber >> PLACE_BITS;
        let line = (hash & (self.mask << 1 | 1)) as usize;
        let line = if line < self.places.len() / PLACES { line } else { (hash & self.mask) as usize };
        line * PLACES + (subscriber & PLACE_MASK) as usize
    }

    /// What a place holds of a message, without [`MORE`].
    #[inline]
    const fn entry(&self, link: u32, subscriber: u32) -> u32 {
        let parked_at = self.slot_bits - 1;
        let slot = (link & ((1 << parked_at) - 1)) | (link >> 31) << parked_at;
        // The highest bits of the name: the lowest say where the place is.
        let name = ((subscriber as u64) >> (self.slot_bits + 1)) << self.slot_bits;
        (name as u32 | slot) & !MORE
    }

    #[inline]
    const fn slot_of(&self, entry: u32) -> u32 {
        let parked_at = self.slot_bits - 1;
        (entry & ((1 << parked_at) - 1)) | (entry >> parked_at & 1) << 31
    }

    /// The message that has the subscriber's turn.
    #[inline]
    pub(super) fn holder(&self, messages: &Messages, subscriber: u32) -> Option<u32> {
        self.holder_at(messages, subscriber, self.place_of(subscriber))
    }

    #[inline]
    fn holder_at(&self, messages: &Messages, subscriber: u32, place: usize) -> Option<u32> {
        let first = *self.places.get(place)?;
        let unlike = (first ^ self.entry(self.slot_of(first), subscriber)) & !MORE != 0;
        if first == EMPTY || (unlike && first & MORE == 0) {
            return None;
        }
        self.find(messages, subscriber, self.slot_of(first))
    }

    /// The message of this subscriber among those chained from `at` on.
    fn find(&self, messages: &Messages, subscriber: u32, mut at: u32) -> Option<u32> {
        while at != NONE {
            if messages.subscriber(at)? == subscriber && messages.has_turn(at) {
                return Some(at);
            }
            at = messages.next_in(Table::Subscribers, at);
        }
        None
    }

    /// Gives a message its subscriber's turn unless another has it: that one then.
    #[inline]
    pub(super) fn claim(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) -> Option<u32> {
        let place = self.place_of(subscriber);
        if let Some(holder) = self.holder_at(messages, subscriber, place) {
            return Some(holder);
        }
        self.add_at(messages, slot, subscriber, place);
        None
    }

    #[inline]
    fn add_at(&mut self, messages: &mut Messages, link: u32, subscriber: u32, place: usize) {
        self.push(messages, link, subscriber, place);
        self.len += 1;
        if self.places.len() < places_for(self.len).min(self.lines_max * PLACES) {
            self.grow(messages);
        }
    }

    /// Adds a parked message that waits for its schedule.
    pub(super) fn add(&mut self, messages: &mut Messages, link: u32, subscriber: u32) {
        let place = self.place_of(subscriber);
        self.add_at(messages, link, subscriber, place);
    }

    /// Has the memory of this subscriber's place fetched.
    #[inline]
    pub(super) fn prefetch(&self, subscriber: u32) {
        if let Some(place) = self.places.get(self.place_of(subscriber)) {
            prefetch(place);
        }
    }

    /// Takes out what was added.
    pub(super) fn forget(&mut self, messages: &mut Messages, link: u32, subscriber: u32) {
        self.remove(messages, link, subscriber);
    }

    /// Whether so many messages have the place of this subscriber that another would be long looked for.
    pub(super) fn is_crowded(&self, messages: &Messages, subscriber: u32) -> bool {
        let first = self.places.get(self.place_of(subscriber)).copied().unwrap_or(EMPTY);
        let mut at = if first == EMPTY { NONE } else { self.slot_of(first) };
        for _ in 0..CROWD {
            if at == NONE {
                return false;
            }
            at = messages.next_in(Table::Subscribers, at);
        }
        true
    }

    /// Puts the message `to` into the place that `from` has, which is the same message parked or not.
    pub(super) fn replace(&mut self, messages: &mut Messages, from: u32, to: u32, subscriber: u32) {
        let peer = messages.next_in(Table::Subscribers, from);
        messages.set_next_in(Table::Subscribers, to, peer);
        let place = self.place_of(subscriber);
        let first = self.places[place];
        let mut at = self.slot_of(first);
        if at == from {
            self.places[place] = self.entry(to, subscriber) | (first & MORE);
            return;
        }
        while at != NONE {
            let next = messages.next_in(Table::Subscribers, at);
            if next == from {
                messages.set_next_in(Table::Subscribers, at, to);
                return;
            }
            at = next;
        }
        debug_assert!(false, "a turn was not in its place");
    }

    /// Puts a message, which has no peer, into its place.
    #[inline]
    fn push(&mut self, messages: &mut Messages, slot: u32, subscriber: u32, place: usize) {
        let entry = self.entry(slot, subscriber);
        let first = std::mem::replace(&mut self.places[place], entry);
        if first != EMPTY {
            self.places[place] |= MORE;
            messages.set_next_in(Table::Subscribers, slot, self.slot_of(first));
        }
    }

    /// Takes the turn of this subscriber from the message that has it.
    #[inline]
    pub(super) fn remove(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) {
        self.len -= 1;
        let place = self.place_of(subscriber);
        let first = self.places[place];
        if first & !MORE == first && self.slot_of(first) == slot {
            self.places[place] = EMPTY;
        } else {
            self.unchain(messages, slot, place);
        }
    }

    /// Takes a message out of a place that has others.
    fn unchain(&mut self, messages: &mut Messages, slot: u32, place: usize) {
        let peer = messages.next_in(Table::Subscribers, slot);
        messages.set_next_in(Table::Subscribers, slot, NONE);
        let first = self.slot_of(self.places[place]);
        if first == slot {
            self.places[place] = messages.subscriber(peer).map_or(EMPTY, |subscriber| {
                self.entry(peer, subscriber)
                    | if messages.next_in(Table::Subscribers, peer) == NONE { 0 } else { MORE }
            });
            return;
        }
        let mut at = first;
        while at != NONE {
            let next = messages.next_in(Table::Subscribers, at);
            if next == slot {
                messages.set_next_in(Table::Subscribers, at, peer);
                if at == first && peer == NONE {
                    self.places[place] &= !MORE;
                }
                return;
            }
            at = next;
        }
        debug_assert!(false, "a turn was not in its place");
    }

    /// Adds a line, and moves there what belongs there from the one that it splits off.
    #[cold]
    fn grow(&mut self, messages: &mut Messages) {
        let lines = self.places.len() / PLACES;
        let split = (lines & self.mask as usize) * PLACES;
        self.places.resize((lines + 1) * PLACES, EMPTY);
        for place in split..split + PLACES {
            let first = std::mem::replace(&mut self.places[place], EMPTY);
            let mut at = if first == EMPTY { NONE } else { self.slot_of(first) };
            while let Some(subscriber) = messages.subscriber(at) {
                let next = messages.next_in(Table::Subscribers, at);
                messages.set_next_in(Table::Subscribers, at, NONE);
                let place = self.place_of(subscriber);
                self.push(messages, at, subscriber, place);
                at = next;
            }
        }
        if lines + 1 == (self.mask as usize + 1) * 2 {
            self.mask = self.mask << 1 | 1;
        }
    }

    /// Notes that a message waits for its schedule.
    pub(super) fn schedule(&mut self, messages: &mut Messages, slot: u32) {
        let Some(subscriber) = messages.get(slot).map(|message| message.subscriber) else { return };
        self.scheduled.entry(subscriber).or_insert(List::EMPTY).push_back(messages, slot);
    }

    /// Notes that it does so no longer.
    pub(super) fn unschedule(&mut self, messages: &mut Messages, slot: u32) {
        let Some(subscriber) = messages.get(slot).map(|message| message.subscriber) else { return };
        let Some(list) = self.scheduled.get_mut(&subscriber) else { return };
        list.remove(messages, slot);
        if list.is_empty() {
            self.scheduled.remove(&subscriber);
        }
    }

    /// Those who wait for their schedule, by subscriber.
    pub(super) fn scheduled(&self) -> impl Iterator<Item = &List> {
        self.scheduled.values()
    }

    /// Appends links to the messages to a subscriber: the one that has the turn, those in line, those that wait for their
    /// schedule.
    pub(super) fn collect(&self, messages: &Messages, subscriber: u32, found: &mut Vec<u32>) {
        found.extend(self.holder(messages, subscriber));
        self.lines.collect(messages, subscriber, found);
        if let Some(list) = self.scheduled.get(&subscriber) {
            list.collect(messages, found);
        }
        self.collect_parked(messages, subscriber, found);
    }

    /// Appends links to the parked ones that wait for their schedule, in order.
    pub(super) fn collect_parked(&self, messages: &Messages, subscriber: u32, found: &mut Vec<u32>) {
        let parked = found.len();
        let first = self.places.get(self.place_of(subscriber)).copied().unwrap_or(EMPTY);
        let mut at = if first == EMPTY { NONE } else { self.slot_of(first) };
        while at != NONE {
            let is_scheduled = parked_at(at).is_some() && !messages.has_turn(at);
            if is_scheduled && messages.subscriber(at) == Some(subscriber) {
                found.push(at);
            }
            at = messages.next_in(Table::Subscribers, at);
        }
        // The newest stand first in a place.
        found[parked..].reverse();
    }

    /// Takes a message out of its line. Whether others are left in it.
    pub(super) fn leave_line(&mut self, messages: &mut Messages, slot: u32) -> bool {
        let subscriber = messages.get(slot).map(|message| message.subscriber);
        subscriber.is_some_and(|subscriber| self.lines.leave(messages, slot, subscriber))
    }
}
