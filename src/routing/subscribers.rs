//! Turns: each subscriber has at most one message being attempted, or waiting for its next attempt, at a time. Those that
//! come meanwhile stand in line behind it, by priority and then in order of arrival.
//!
//! Nearly every subscriber has a single message, so that is the case to be cheap: one look at a hash table of the
//! messages that have their subscriber's turn, four octets each, chained through the messages themselves. Numbers that
//! differ in their last digit only share a cache line, as lists of them are mostly sorted. A line of waiting messages
//! exists only while somebody stands in it. The table grows bit by bit (linear hashing): small enough for the caches
//! while little is pending, and never a pause to rehash. What it costs is part of every figure of
//! `benches/routing.rs`.
//!
//! A message's turn ends with its final state. While it only waits for its next attempt, a message of higher priority
//! takes the turn from it; it then stands at the front of the line, its retry time kept.

use std::collections::HashMap;

use super::Shard;
use super::list::{Lanes, List};
use super::message::{Message, NONE, Stage, Turn};
use super::messages::{Messages, Table, link_to, parked_at};
use crate::base::Now;
use crate::base::mobile::MobileNetwork;
use crate::base::prefetch::prefetch;
use crate::store::MessageStore;

/// Names subscribers in few octets, differently in every process: whoever does not know the key can't choose addresses
/// that crowd one place of the table. Two subscribers that share a name wait for each other, no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriberNames {
    key: u64,
}

impl SubscriberNames {
    pub(super) const fn new(key: u64) -> Self {
        Self { key }
    }

    /// The name of the subscriber with this address. Those of addresses that differ in the last digit only differ in
    /// their lowest four bits only.
    #[inline]
    pub(super) fn name(self, destination_addr: &[u8]) -> u32 {
        let Some((&last, rest)) = destination_addr.split_last() else { return 0 };
        let (head, tail) = match (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
            // Octets in the middle of a longer one: addresses have at most 20.
            (Some(head), Some(tail)) if rest.len() <= 16 => {
                (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
            }
            (Some(head), Some(tail)) => {
                let middle = rest.get(8..).and_then(<[u8]>::first_chunk::<8>).copied().unwrap_or_default();
                let middle = u64::from_le_bytes(middle).rotate_left(29);
                (u64::from_le_bytes(*head) ^ middle, u64::from_le_bytes(*tail).wrapping_add(middle))
            }
            _ => (rest.iter().fold(0, |word, &octet| (word << 8) | u64::from(octet)), 0),
        };
        let length = (rest.len() as u64) << 56 | u64::from(last >> 4) << 48;
        let product = u128::from(head ^ self.key)
            * u128::from(tail ^ length ^ self.key.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15);
        let hash = (product as u64) ^ ((product >> 64) as u64);
        ((hash >> 32) as u32 & !PLACE_MASK) | ((hash as u32).wrapping_add(u32::from(last)) & PLACE_MASK)
    }
}

/// Places of one cache line of the table.
const PLACE_BITS: u32 = 4;
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_MASK: u32 = PLACES as u32 - 1;
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
    lines: HashMap<u32, Lanes>,
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
            lines: HashMap::new(),
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

    /// Every line, by subscriber.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u32, &Lanes)> {
        self.lines.iter().map(|(&subscriber, line)| (subscriber, line))
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
    fn claim(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) -> Option<u32> {
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
    fn remove(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) {
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
        if let Some(line) = self.lines.get(&subscriber) {
            line.collect(messages, found);
        }
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
        let Some(subscriber) = messages.get(slot).map(|message| message.subscriber) else { return false };
        let Some(line) = self.lines.get_mut(&subscriber) else { return false };
        line.remove(messages, slot);
        let others = !line.is_empty();
        if !others {
            self.lines.remove(&subscriber);
        }
        others
    }

    /// Who is next in the subscriber's line.
    fn next_in_line(&self, subscriber: u32) -> Option<u32> {
        self.lines.get(&subscriber).map(Lanes::head)
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Gets a message in hand its subscriber's turn, if it has not got it. `false`: it stands in line now.
    #[inline]
    pub(super) fn take_turn(&mut self, slot: u32, now: Now) -> bool {
        let Some(message) = self.messages.get_mut(slot) else { return false };
        if message.turn != Turn::No {
            return true;
        }
        let subscriber = message.subscriber;
        self.take_first_turn(slot, subscriber, now)
    }

    /// As [`Self::take_turn`] for one that has not got it.
    #[inline]
    pub(super) fn take_first_turn(&mut self, slot: u32, subscriber: u32, now: Now) -> bool {
        if let Some(message) = self.messages.get_mut(slot) {
            message.turn = Turn::Yes;
        }
        match self.subscribers.claim(&mut self.messages, slot, subscriber) {
            None => true,
            Some(holder) => match parked_at(holder) {
                None => self.contend(slot, holder, now),
                Some(place) => self.contend_with_parked(slot, place, now),
            },
        }
    }

    /// As [`Self::contend`] with a parked message, which stays there unless the one in hand goes first.
    #[cold]
    fn contend_with_parked(&mut self, slot: u32, place: u32, now: Now) -> bool {
        let priority = self.messages.get(slot).map_or(0, |message| message.priority);
        match self.messages.parked.get_mut(place) {
            Some(holder) if holder.traits().priority >= priority => {
                holder.follow();
                self.stand_in_line(slot, now);
                false
            }
            _ => self.awake(link_to(place)).is_some_and(|holder| self.contend(slot, holder, now)),
        }
    }

    /// Decides between a message in hand and the one that has the turn. `true`: the one in hand has it now.
    #[cold]
    fn contend(&mut self, slot: u32, holder: u32, now: Now) -> bool {
        let (Some(message), Some(other)) = (self.messages.get(slot), self.messages.get(holder)) else {
            return false;
        };
        if other.stage == Stage::Waiting && message.priority > other.priority {
            self.step_back(holder);
            self.give_turn(slot);
            return true;
        }
        if let Some(other) = self.messages.get_mut(holder) {
            other.turn = Turn::Followed;
        }
        self.stand_in_line(slot, now);
        false
    }

    /// Puts a message in hand at the end of its subscriber's line.
    fn stand_in_line(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        (message.turn, message.stage) = (Turn::No, Stage::Behind);
        let (subscriber, at) = (message.subscriber, wake_up(message, now));
        self.subscribers.lines.entry(subscriber).or_insert(Lanes::EMPTY).push_back(&mut self.messages, slot);
        self.wheel.schedule(slot, at);
    }

    /// Moves a message that waits for its next attempt from its turn to the front of the line. Its timer stays.
    fn step_back(&mut self, slot: u32) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        (message.turn, message.stage) = (Turn::No, Stage::Behind);
        let subscriber = message.subscriber;
        self.subscribers.remove(&mut self.messages, slot, subscriber);
        let line = self.subscribers.lines.entry(subscriber).or_insert(Lanes::EMPTY);
        line.insert_after(&mut self.messages, NONE, slot);
    }

    /// Gives a message in hand a turn that nobody has.
    fn give_turn(&mut self, slot: u32) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let followed = self.subscribers.lines.contains_key(&message.subscriber);
        message.turn = if followed { Turn::Followed } else { Turn::Yes };
        let subscriber = message.subscriber;
        let holder = self.subscribers.claim(&mut self.messages, slot, subscriber);
        debug_assert_eq!(holder, None, "a turn that somebody has was given away");
    }

    /// Ends the turn that a message has had: the next in line gets it.
    #[inline]
    pub(super) fn end_turn(&mut self, slot: u32, turn: Turn, subscriber: u32, now: Now) {
        if turn != Turn::No {
            self.subscribers.remove(&mut self.messages, slot, subscriber);
            if turn == Turn::Followed {
                self.call_next(subscriber, now);
            }
        }
    }

    /// A message that has a turn has begun to wait for its next attempt: one of higher priority goes meanwhile.
    #[inline]
    pub(super) fn lend_turn(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get(slot).filter(|message| message.turn == Turn::Followed) else {
            return;
        };
        let (subscriber, priority) = (message.subscriber, message.priority);
        let next = self.subscribers.next_in_line(subscriber).and_then(|next| self.messages.get(next));
        if next.is_some_and(|next| next.priority > priority) {
            self.step_back(slot);
            self.call_next(subscriber, now);
        }
    }

    /// Gives a turn that nobody has to the next in line: it is attempted in the next turn of the shard, or waits on for
    /// its next attempt.
    fn call_next(&mut self, subscriber: u32, now: Now) {
        let Some(slot) = self.subscribers.next_in_line(subscriber) else { return };
        self.subscribers.leave_line(&mut self.messages, slot);
        self.give_turn(slot);
        let Some(message) = self.messages.get_mut(slot) else { return };
        if message.milestone > now.mono {
            message.stage = Stage::Waiting;
        } else {
            message.stage = Stage::Ready;
            self.wheel.cancel(slot);
            self.work.push_back(&mut self.messages, slot);
        }
    }

    /// The timer of a message in line has fired, and it is in hand: out of the line if its validity is over (`true`),
    /// else back there until then.
    pub(super) fn woke_in_line(&mut self, slot: u32, now: Now) -> bool {
        let Some(message) = self.messages.get_mut(slot) else { return false };
        if now.mono >= message.expires {
            self.subscribers.leave_line(&mut self.messages, slot);
            return true;
        }
        message.stage = Stage::Behind;
        let at = message.expires;
        self.wheel.schedule(slot, at);
        false
    }
}

/// When a message in line is to be looked at: at its next attempt if that is still to come, else when it expires.
fn wake_up(message: &Message, now: Now) -> crate::base::Time {
    if message.milestone > now.mono { message.milestone.min(message.expires) } else { message.expires }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_differ_and_neighbours_share_a_line() {
        let names = SubscriberNames::new(0x0123_4567_89AB_CDEF);
        let mut seen = HashSet::new();
        for number in 0..100_000u64 {
            let name = names.name((447_700_900_000 + number).to_string().as_bytes());
            assert!(seen.insert(name), "{number}: one in 2^32 / 100,000 could be");
            let first = names.name((447_700_900_000 + number / 10 * 10).to_string().as_bytes());
            assert_eq!(name >> PLACE_BITS, first >> PLACE_BITS);
        }
        // All lengths, each octet counts, and so does the key.
        let address = b"abcdefghijklmnopqrst";
        for length in 1..=address.len() {
            assert!(seen.insert(names.name(&address[..length])));
            for position in 0..length {
                let mut other = address[..length].to_vec();
                other[position] ^= 0x10;
                assert!(seen.insert(names.name(&other)), "octet {position} of {length}");
            }
        }
        assert_eq!(names.name(b""), 0);
        assert_ne!(names.name(b"447"), SubscriberNames::new(1).name(b"447"));
    }
}
