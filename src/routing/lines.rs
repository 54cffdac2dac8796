//! The lines of those who wait for their turn with a subscriber: by priority, and then first come, first served. In most of
//! them all have one priority, and such a line takes few octets; a line exists only while somebody stands in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::list::{Lanes, List};
use super::message::{NONE, PRIORITY_MAX};
use super::messages::Messages;

/// Every line, by subscriber. Who stands in one may be parked.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Those in which all have the priority of the first.
    plain: HashMap<u32, List>,
    /// Those in which two have not had the same since there was somebody in them.
    mixed: HashMap<u32, Lanes>,
}

/// One line.
enum Line<'a> {
    Plain(&'a mut List),
    Mixed(&'a mut Lanes),
}

impl Lines {
    /// Puts a message at the end of a line, behind all of its priority.
    pub(super) fn join(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) {
        match self.line_for(messages, slot, subscriber) {
            Line::Plain(list) => list.push_back(messages, slot),
            Line::Mixed(lanes) => lanes.push_back(messages, slot),
        }
    }

    /// Puts a message at the front of a line, before all of its priority.
    pub(super) fn head(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) {
        match self.line_for(messages, slot, subscriber) {
            Line::Plain(list) => list.insert_after(messages, NONE, slot),
            Line::Mixed(lanes) => lanes.insert_after(messages, NONE, slot),
        }
    }

    /// The line that a message is to join, which has several priorities from then on if it must.
    fn line_for(&mut self, messages: &Messages, slot: u32, subscriber: u32) -> Line<'_> {
        if !self.mixed.is_empty() && self.mixed.contains_key(&subscriber) {
            return Line::Mixed(self.mixed.entry(subscriber).or_insert(Lanes::EMPTY));
        }
        match self.plain.entry(subscriber) {
            Entry::Vacant(place) => Line::Plain(place.insert(List::EMPTY)),
            Entry::Occupied(place) => match messages.priority(place.get().head) {
                Some(others) if messages.priority(slot) != Some(others) => {
                    let lanes = Lanes::of(others, place.remove());
                    Line::Mixed(self.mixed.entry(subscriber).or_insert(lanes))
                }
                _ => Line::Plain(place.into_mut()),
            },
        }
    }

    /// Takes a message that is not parked out of its line. Whether others are left in it.
    pub(super) fn leave(&mut self, messages: &mut Messages, slot: u32, subscriber: u32) -> bool {
        if let Entry::Occupied(mut line) = self.plain.entry(subscriber) {
            line.get_mut().remove(messages, slot);
            let others = !line.get().is_empty();
            if !others {
                line.remove();
            }
            return others;
        }
        let Some(lanes) = self.mixed.get_mut(&subscriber) else { return false };
        lanes.remove(messages, slot);
        let others = !lanes.is_empty();
        if !others {
            self.mixed.remove(&subscriber);
        }
        others
    }

    /// Puts the link `to` into the place of `from`, which is the same message parked or not.
    pub(super) fn replace(
        &mut self,
        messages: &mut Messages,
        subscriber: u32,
        priority: u8,
        from: u32,
        to: u32,
    ) {
        if let Some(list) = self.plain.get_mut(&subscriber) {
            list.replace(messages, from, to);
        } else if let Some(lanes) = self.mixed.get_mut(&subscriber) {
            lanes.replace(messages, priority, from, to);
        }
    }

    /// Whether anybody stands in a line.
    pub(super) fn has(&self, subscriber: u32) -> bool {
        self.plain.contains_key(&subscriber)
            || (!self.mixed.is_empty() && self.mixed.contains_key(&subscriber))
    }

    /// The link to whoever is next in a line.
    pub(super) fn next(&self, subscriber: u32) -> Option<u32> {
        let plain = self.plain.get(&subscriber).map(|list| list.head);
        plain.or_else(|| self.mixed.get(&subscriber).map(Lanes::head))
    }

    /// The links to the last of each priority, where there is one.
    pub(super) fn tails(&self, subscriber: u32) -> impl Iterator<Item = u32> + use<> {
        let plain = self.plain.get(&subscriber).map(List::tail);
        let mixed = self.mixed.get(&subscriber);
        let tail = |priority| mixed.map_or(NONE, |lanes| lanes.lane(priority).tail());
        let tails: [u32; PRIORITY_MAX as usize + 1] = std::array::from_fn(|priority| tail(priority as u8));
        plain.into_iter().chain(tails).filter(|&tail| tail != NONE)
    }

    /// Appends links to those in a line, in order.
    pub(super) fn collect(&self, messages: &Messages, subscriber: u32, found: &mut Vec<u32>) {
        if let Some(list) = self.plain.get(&subscriber) {
            list.collect(messages, found);
        } else if let Some(lanes) = self.mixed.get(&subscriber) {
            lanes.collect(messages, found);
        }
    }

    /// In whose line this link stands: a search through all lines, for a message whose body is lost.
    #[cold]
    pub(super) fn find(&self, messages: &Messages, link: u32) -> Option<u32> {
        let (mut head, priority) = (link, messages.priority(link)?);
        while let Some((before, _)) = messages.neighbours(head).filter(|&(before, _)| before != NONE) {
            head = before;
        }
        let plain = self.plain.iter().find(|(_, list)| list.head == head);
        let mixed = || self.mixed.iter().find(|(_, lanes)| lanes.lane(priority).head == head);
        plain.map(|(&subscriber, _)| subscriber).or_else(|| mixed().map(|(&subscriber, _)| subscriber))
    }

    /// Every line in which all have one priority, by subscriber.
    pub(super) fn plain(&self) -> impl Iterator<Item = (u32, &List)> {
        self.plain.iter().map(|(&subscriber, list)| (subscriber, list))
    }

    /// Every other line, by subscriber.
    pub(super) fn mixed(&self) -> impl Iterator<Item = (u32, &Lanes)> {
        self.mixed.iter().map(|(&subscriber, lanes)| (subscriber, lanes))
    }
}
