//! Parking: a message that waits long for its schedule or its next attempt leaves the slab for a fraction of the room
//! (`parked`), and comes back when it is due or somebody asks for it. Nothing else tells the two apart: its place in the
//! id index and its subscriber's turn stay its own, and what it is when it comes back is what it was.
//!
//! What is not kept at hand comes from the store's record, so only a store that keeps records in memory has parked
//! messages. Messages in line behind others, and those in an ESME's queue, are not parked.

use super::Shard;
use super::message::{Message, NETWORK, NONE, OnFailure, Role, Stage, Turn, seconds_of};
use super::messages::{Table, link_to, parked_at};
use super::parked::Traits;
use super::sessions::Sessions;
use crate::base::mobile::MobileNetwork;
use crate::base::{MessageId, Now, SessionHandle, Time, WallTime};
use crate::smpp::MessageState;
use crate::store::{MessageStore, Record};

/// Of a packed submitter: the entry of the session table. The rest is the low part of its generation.
const ENTRY_BITS: u32 = 20;
const ENTRY_MASK: u32 = (1 << ENTRY_BITS) - 1;

impl Sessions {
    /// A session's handle in 32 bits, as long as it is bound; [`NONE`] else.
    fn pack(&self, handle: SessionHandle) -> u32 {
        match self.find(handle) {
            Some(entry) if entry < ENTRY_MASK => self.entries.generation(entry) << ENTRY_BITS | entry,
            _ => NONE,
        }
    }

    /// The handle that was packed, if that session is still bound. After 4,096 tenancies of its place it may be another
    /// one's, which then gets receipts for its account that any of the account's sessions might have got.
    fn unpack(&self, packed: u32) -> SessionHandle {
        let entry = packed & ENTRY_MASK;
        let is_same = self.entries.generation(entry) << ENTRY_BITS == packed & !ENTRY_MASK;
        let session = self.entries.get(entry).filter(|_| is_same && packed != NONE);
        session.map_or(SessionHandle::NONE, |session| session.handle)
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Parks a message that has just begun to wait, if it waits long.
    pub(super) fn park(&mut self, slot: u32, now: Now) {
        let Some(&message) = self.messages.get(slot) else { return };
        let is_scheduled = match (message.stage, message.turn) {
            (Stage::Scheduled, Turn::No) => true,
            (Stage::Waiting, Turn::Yes | Turn::Followed) => false,
            _ => return,
        };
        let Message { location, milestone: due, .. } = message;
        if !can_be_parked(&message)
            || !self.store.keeps_records()
            || !self.messages.parked.takes(location, due, now)
        {
            return;
        }
        if is_scheduled && self.subscribers.is_crowded(&self.messages, message.subscriber) {
            self.line_up(slot, &message);
            return;
        }
        let Some(record) = self.store.record(location) else { return };
        let traits = traits_of(&message, is_scheduled, &record);
        let submitter = self.sessions.pack(message.submitter);
        let place = self.messages.parked.insert(location, due, message.subscriber, submitter, traits);
        let link = link_to(place);
        self.index.replace(&mut self.messages, message.id, slot, link);
        if is_scheduled {
            self.subscribers.unschedule(&mut self.messages, slot);
            self.subscribers.add(&mut self.messages, link, message.subscriber);
        } else {
            self.subscribers.replace(&mut self.messages, slot, link, message.subscriber);
        }
        self.wheel.cancel(slot);
        self.messages.remove(slot);
        debug_assert!(self.is_same(&message, place), "what was parked is not what comes back");
    }

    /// Parks a recovered message, which is in no table yet, if it waits long and is its subscriber's first. `true`: that
    /// is all there is to do.
    pub(super) fn park_recovered(
        &mut self,
        message: &Message,
        record: &Record,
        is_scheduled: bool,
        now: Now,
    ) -> bool {
        let Message { id, location, milestone: due, subscriber, .. } = *message;
        let is_first = || match is_scheduled {
            true => !self.subscribers.is_crowded(&self.messages, subscriber),
            false => {
                message.target == NETWORK && self.subscribers.holder(&self.messages, subscriber).is_none()
            }
        };
        if !can_be_parked(message) || !self.store.keeps_records() || !is_first() {
            return false;
        }
        if self.messages.is_full() || !self.messages.parked.takes(location, due, now) {
            return false;
        }
        let traits = traits_of(message, is_scheduled, record);
        let place = self.messages.parked.insert(location, due, subscriber, NONE, traits);
        self.index.insert_parked(&mut self.messages, id, link_to(place));
        self.subscribers.add(&mut self.messages, link_to(place), subscriber);
        let (stage, turn) =
            if is_scheduled { (Stage::Scheduled, Turn::No) } else { (Stage::Waiting, Turn::Yes) };
        debug_assert!(self.is_same(&Message { stage, turn, ..*message }, place));
        true
    }

    /// Leaves a message that waits for its schedule where it is, and brings the parked ones to its subscriber back before
    /// it: of those that are due at one moment, none may overtake the others.
    #[cold]
    fn line_up(&mut self, slot: u32, message: &Message) {
        let mut parked = Vec::new();
        self.subscribers.collect_parked(&self.messages, message.subscriber, &mut parked);
        self.subscribers.unschedule(&mut self.messages, slot);
        for link in parked {
            self.awake(link);
        }
        self.subscribers.schedule(&mut self.messages, slot);
        self.wheel.schedule(slot, message.milestone);
    }

    /// Brings a message back that may be parked; its slot.
    #[inline]
    pub(super) fn awake(&mut self, link: u32) -> Option<u32> {
        match parked_at(link) {
            Some(place) => self.unpark(place),
            None => Some(link),
        }
    }

    #[cold]
    fn unpark(&mut self, place: u32) -> Option<u32> {
        let message = self.parked_message(place)?;
        let link = link_to(place);
        let slot = self.messages.insert_unparked(message)?;
        self.index.replace(&mut self.messages, message.id, link, slot);
        if message.stage == Stage::Scheduled {
            self.subscribers.forget(&mut self.messages, link, message.subscriber);
            // It stands in no place any more, so it has no neighbour there.
            self.messages.set_next_in(Table::Subscribers, slot, NONE);
            self.subscribers.schedule(&mut self.messages, slot);
        } else {
            self.subscribers.replace(&mut self.messages, link, slot, message.subscriber);
        }
        self.messages.parked.remove(place);
        self.wheel.schedule(slot, message.milestone);
        Some(slot)
    }

    /// Brings back the parked messages whose time has come, at most `budget`. `true`: there are more.
    pub(super) fn wake_due(&mut self, now: Now, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(place) = self.messages.parked.next_due(now) else { return false };
            if self.unpark(place).is_none() {
                debug_assert!(false, "the store does not know a parked message");
                return false;
            }
        }
        true
    }

    /// The link to the message with this id, be it parked or not.
    #[inline]
    pub(super) fn find(&self, id: MessageId) -> Option<u32> {
        self.index.find(&self.messages, &self.store, id)
    }

    /// A message as it is, be it parked or not.
    pub(super) fn look_at(&self, link: u32) -> Option<Message> {
        match parked_at(link) {
            Some(place) => self.parked_message(place),
            None => self.messages.get(link).copied(),
        }
    }

    /// The message that is parked at `place`, as it was and will be.
    pub(super) fn parked_message(&self, place: u32) -> Option<Message> {
        let entry = self.messages.parked.get(place)?;
        let record = self.store.record(entry.location())?;
        let traits = entry.traits();
        let due = self.messages.parked.due(place);
        let role = Role::from_octet(record.stage)?;
        let accepted = accepted_second(&record, due).plus_millis(traits.accepted_ms);
        let now = Now { mono: accepted, wall: record.accepted };
        Some(Message {
            location: entry.location(),
            stage: if traits.is_scheduled { Stage::Scheduled } else { Stage::Waiting },
            milestone: due,
            expires: due.plus_millis(millis_between(record.due, record.expires)),
            finished_s: seconds_of(record.finished),
            submitter: self.sessions.unpack(entry.submitter),
            chain: entry.chain,
            subscriber: entry.subscriber,
            peer: entry.peer,
            attempts: record.attempts,
            error: record.error,
            target: record.target.unwrap_or(NETWORK),
            state: MessageState::from_octet(record.state)?,
            registered_delivery: traits.registered_delivery,
            version: record.version,
            priority: traits.priority,
            turn: match traits {
                Traits { is_scheduled: true, .. } => Turn::No,
                Traits { is_followed: true, .. } => Turn::Followed,
                _ => Turn::Yes,
            },
            on_failure: if traits.is_notified { OnFailure::RetryNotified } else { OnFailure::Retry },
            ..Message::blank(record.id, record.account, role, now)
        })
    }

    /// Whether what comes back will be what was parked, as far as anybody can tell.
    fn is_same(&self, before: &Message, place: u32) -> bool {
        let is_near = |a: Time, b: Time, ms: u64| a.as_millis().abs_diff(b.as_millis()) <= ms;
        self.parked_message(place).is_some_and(|after| {
            let flags = |m: &Message| (m.role, m.state, m.version, m.priority, m.turn, m.on_failure, m.stage);
            let numbers =
                |m: &Message| (m.id, m.location, m.account, m.target, m.attempts, m.error, m.accepted_s);
            flags(&after) == flags(before)
                && numbers(&after) == numbers(before)
                && is_near(after.milestone, before.milestone, 1)
                && is_near(after.expires, before.expires, 1)
        })
    }
}

/// Whether nothing is lost of a message if only what a parked one has is kept.
fn can_be_parked(message: &Message) -> bool {
    message.role == Role::Mt
        && message.on_failure != OnFailure::GiveUp
        && message.milestone <= message.expires
        && message.first_delivery == 0
        && message.parts_settled == 0
}

fn traits_of(message: &Message, is_scheduled: bool, record: &Record) -> Traits {
    let second = accepted_second(record, message.milestone);
    Traits {
        is_scheduled,
        is_followed: message.turn == Turn::Followed,
        is_notified: message.on_failure == OnFailure::RetryNotified,
        priority: message.priority,
        registered_delivery: message.registered_delivery,
        accepted_ms: message.accepted.as_millis().saturating_sub(second.as_millis()),
    }
}

/// The begin of the second in which a message was accepted that is due at `due`, by the two times of its record: the wall
/// clock may have been set since that was made.
fn accepted_second(record: &Record, due: Time) -> Time {
    let age_ms = millis_between(record.accepted, record.due);
    Time::from_millis(due.as_millis().saturating_sub(age_ms))
}

const fn millis_between(from: WallTime, to: WallTime) -> u64 {
    to.unix_millis().saturating_sub(from.unix_millis())
}
