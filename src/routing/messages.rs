//! All messages of a shard: those that something may happen to at any moment, whole and by slot; and those that wait long,
//! parked in a fraction of the room. Both are named by one kind of link, so that the tables which lead to messages need
//! not care: a link to a parked one has a bit set that no slot has.

use super::message::{Message, NONE};
use super::parked::{Entry, Parked};
use super::traits::Waits;
use crate::base::Slab;
use crate::base::slab::CacheLine;

/// Set in a link to a parked message.
const PARKED: u32 = 1 << 31;

/// A table whose places are chains of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Of messages by id.
    Ids,
    /// Of those that have, or had when they were parked, their subscriber's turn.
    Subscribers,
}

/// The messages.
#[derive(Debug)]
pub(super) struct Messages {
    active: Slab<Message, CacheLine>,
    /// Those that wait long.
    pub(super) parked: Parked,
}

/// The link to the parked message `place`.
pub(super) const fn link_to(place: u32) -> u32 {
    place | PARKED
}

/// Which parked message a link leads to, if to one.
#[inline]
pub(super) const fn parked_at(link: u32) -> Option<u32> {
    if link & PARKED != 0 && link != NONE { Some(link & !PARKED) } else { None }
}

impl Messages {
    /// At most `maximum` messages, whether parked or not.
    ///
    /// # Panics
    /// When `maximum` is 2^30 or more.
    pub(super) fn new(maximum: u32) -> Self {
        assert!(maximum < 1 << 30);
        Self { active: Slab::new(maximum), parked: Parked::default() }
    }

    /// Messages held, those parked too.
    pub(super) const fn len(&self) -> u32 {
        self.active.len() + self.parked.len()
    }

    /// The most that may be held.
    pub(super) const fn maximum(&self) -> u32 {
        self.active.maximum()
    }

    /// Whether none may be put in.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len() >= self.active.maximum()
    }

    /// Puts a message in; its slot. `None`: there are as many as may be.
    #[inline(always)]
    pub(super) fn insert(&mut self, message: Message) -> Option<u32> {
        if self.is_full() { None } else { self.active.insert(message) }
    }

    /// Puts a message in that is among those parked until it is taken out there.
    pub(super) fn insert_unparked(&mut self, message: Message) -> Option<u32> {
        self.active.insert(message)
    }

    /// The message in `slot`; none for a link to a parked one.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&Message> {
        self.active.get(slot)
    }

    /// The message in `slot`; none for a link to a parked one.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Message> {
        self.active.get_mut(slot)
    }

    /// Takes the message out of `slot`.
    #[inline]
    pub(super) fn remove(&mut self, slot: u32) -> Option<Message> {
        self.active.remove(slot)
    }

    /// Has the memory of the message in `slot` fetched.
    #[inline]
    pub(super) fn prefetch(&self, slot: u32) {
        self.active.prefetch(slot);
    }

    /// Every message that is not parked, by slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Message)> {
        self.active.iter()
    }

    /// The next link in the same place of a table; [`NONE`] at its end.
    #[inline(always)]
    pub(super) fn next_in(&self, table: Table, link: u32) -> u32 {
        let next = match (parked_at(link), table) {
            (Some(place), Table::Ids) => self.parked.get(place).map(|entry| entry.chain),
            (Some(place), Table::Subscribers) => self.parked.get(place).map(Entry::peer),
            (None, Table::Ids) => self.get(link).map(|message| message.chain),
            (None, Table::Subscribers) => self.get(link).map(|message| message.peer),
        };
        next.unwrap_or(NONE)
    }

    /// Sets it.
    pub(super) fn set_next_in(&mut self, table: Table, link: u32, next: u32) {
        if let Some(place) = parked_at(link) {
            match (self.parked.get_mut(place), table) {
                (Some(entry), Table::Ids) => entry.chain = next,
                (Some(entry), Table::Subscribers) => entry.set_peer(next),
                (None, _) => {}
            }
            return;
        }
        match (self.get_mut(link), table) {
            (Some(message), Table::Ids) => message.chain = next,
            (Some(message), Table::Subscribers) => message.peer = next,
            (None, _) => {}
        }
    }

    /// The links before and behind this one in its list.
    pub(super) fn neighbours(&self, link: u32) -> Option<(u32, u32)> {
        match parked_at(link) {
            Some(place) => self.parked.get(place)?.neighbours(),
            None => self.get(link).map(|message| (message.previous, message.next)),
        }
    }

    /// As [`Messages::neighbours`], to be changed.
    pub(super) fn neighbours_mut(&mut self, link: u32) -> Option<(&mut u32, &mut u32)> {
        match parked_at(link) {
            Some(place) => self.parked.get_mut(place)?.neighbours_mut(),
            None => self.get_mut(link).map(|message| (&mut message.previous, &mut message.next)),
        }
    }

    /// The link behind this one in its list.
    #[inline]
    pub(super) fn behind_mut(&mut self, link: u32) -> Option<&mut u32> {
        if link & PARKED == 0 {
            return self.get_mut(link).map(|message| &mut message.next);
        }
        if link == NONE { None } else { self.parked_neighbours_mut(link).map(|(_, behind)| behind) }
    }

    /// The link before this one in its list.
    #[inline]
    pub(super) fn before_mut(&mut self, link: u32) -> Option<&mut u32> {
        if link & PARKED == 0 {
            return self.get_mut(link).map(|message| &mut message.previous);
        }
        if link == NONE { None } else { self.parked_neighbours_mut(link).map(|(before, _)| before) }
    }

    #[cold]
    fn parked_neighbours_mut(&mut self, link: u32) -> Option<(&mut u32, &mut u32)> {
        self.neighbours_mut(link)
    }

    /// Its priority.
    pub(super) fn priority(&self, link: u32) -> Option<u8> {
        match parked_at(link) {
            Some(place) => self.parked.get(place).map(|entry| entry.traits().priority),
            None => self.get(link).map(|message| message.priority),
        }
    }

    /// Its subscriber's name, of one that has a place in that table.
    #[inline]
    pub(super) fn subscriber(&self, link: u32) -> Option<u32> {
        match parked_at(link) {
            Some(place) => self.parked.get(place)?.subscriber(),
            None => self.get(link).map(|message| message.subscriber),
        }
    }

    /// Whether it has, or had when it was parked, its subscriber's turn.
    #[inline]
    pub(super) fn has_turn(&self, link: u32) -> bool {
        match parked_at(link) {
            Some(place) => {
                self.parked.get(place).is_some_and(|entry| matches!(entry.waits(), Waits::Attempt { .. }))
            }
            None => true,
        }
    }
}
