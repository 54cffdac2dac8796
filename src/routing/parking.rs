//! Parking: a message that waits long leaves the slab for a fraction of the room (`parked`), be it for its schedule, its next
//! attempt, its turn with its subscriber or a session of its ESME. It comes back when it is due (in line or in a queue: when
//! it is called or expires) or somebody asks for it. Nothing else tells the two apart: its place in the id index, its
//! subscriber's turn and its place in a list stay its own, and what it is when it comes back is what it was.
//!
//! What is not kept at hand comes from the store's record, so only a store that keeps records in memory has parked
//! messages; of one in a list its subscriber's name comes from the stored body, for its own place in the entry is taken by
//! the list. Those in line are parked when the one that has the turn is, and in an account's queue the first few of
//! each priority stay whole (`queued_at_hand` of the settings): so nobody is parked whose turn may come in a moment. What
//! waits for credit of one session is not parked, nor what a part of it has gone out of, or whose outcome somebody waits for.

use super::Shard;
use super::message::{Message, NETWORK, NONE, OnFailure, Queue, Role, Stage, Turn, seconds_of};
use super::messages::{Table, link_to, parked_at};
use super::sessions::Sessions;
use super::traits::{Traits, Waits};
use crate::base::mobile::MobileNetwork;
use crate::base::{MessageId, Now, SessionHandle, Time, WallTime};
use crate::limits::LINE_PARKED_AT_ONCE;
use crate::smpp::{MessageState, PduBody, SmFields};
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
        let Some(waits) = Waits::of(&message) else { return };
        let Message { location, .. } = message;
        let due = due_of(&message, waits);
        if !can_be_parked(&message, waits, now)
            || !self.store.keeps_records()
            || !self.messages.parked.takes(location, due, now)
        {
            return;
        }
        if waits == Waits::Schedule && self.subscribers.is_crowded(&self.messages, message.subscriber) {
            self.line_up(slot, &message);
            return;
        }
        let Some(record) = self.store.record(location) else { return };
        let traits = traits_of(&message, waits, &record);
        let submitter = self.sessions.pack(message.submitter);
        let place = self.messages.parked.insert(location, due, message.subscriber, submitter, traits);
        let link = link_to(place);
        if message.role.has_own_id() {
            self.index.replace(&mut self.messages, message.id, slot, link);
        }
        if waits == Waits::Schedule {
            self.subscribers.unschedule(&mut self.messages, slot);
            self.subscribers.add(&mut self.messages, link, message.subscriber);
        } else {
            self.replace(&message, slot, link);
        }
        self.wheel.cancel(slot);
        self.messages.remove(slot);
        debug_assert!(self.is_same(&message, place), "what was parked is not what comes back");
        if message.turn == Turn::Followed {
            self.park_line(message.subscriber, now);
        }
    }

    /// Parks those in line behind a message that has begun to wait long: the last ones, who came while it was attempted.
    #[cold]
    fn park_line(&mut self, subscriber: u32, now: Now) {
        for mut at in self.subscribers.lines.tails(subscriber) {
            for _ in 0..LINE_PARKED_AT_ONCE {
                // Those before a parked one are too, or can't be.
                let Some(&Message { previous, .. }) = self.messages.get(at) else { break };
                self.park(at, now);
                at = previous;
            }
        }
    }

    /// Puts the link `to` where `from` stands, which is the same message parked or not: in its list, or in the place where it
    /// has its subscriber's turn.
    fn replace(&mut self, message: &Message, from: u32, to: u32) {
        match message.stage {
            Stage::Queued { queue } => {
                if let Some(lanes) = self.sessions.queue_mut(queue) {
                    lanes.replace(&mut self.messages, message.priority, from, to);
                }
            }
            Stage::Behind => {
                let Message { subscriber, priority, .. } = *message;
                self.subscribers.lines.replace(&mut self.messages, subscriber, priority, from, to);
            }
            _ => self.subscribers.replace(&mut self.messages, from, to, message.subscriber),
        }
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
        let waits = if is_scheduled { Waits::Schedule } else { Waits::Attempt { is_followed: false } };
        if !can_be_parked(message, waits, now) || !self.store.keeps_records() || !is_first() {
            return false;
        }
        if self.messages.is_full() || !self.messages.parked.takes(location, due, now) {
            return false;
        }
        let traits = traits_of(message, waits, record);
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
            Some(place) => self.unpark(place, None),
            None => Some(link),
        }
    }

    /// As [`Self::awake`] for a message in this subscriber's line.
    pub(super) fn awake_in_line(&mut self, link: u32, subscriber: u32) -> Option<u32> {
        match parked_at(link) {
            Some(place) => self.unpark(place, Some(subscriber)),
            None => Some(link),
        }
    }

    /// Brings a parked message back. `subscriber`: that of a message in line, where it is known.
    #[cold]
    fn unpark(&mut self, place: u32, subscriber: Option<u32>) -> Option<u32> {
        let mut message = self.parked_message(place)?;
        if message.role == Role::Mt && matches!(message.stage, Stage::Queued { .. } | Stage::Behind) {
            message.subscriber = subscriber.or_else(|| self.subscriber_of(&message, place))?;
        }
        let link = link_to(place);
        let slot = self.messages.insert_unparked(message)?;
        if message.role.has_own_id() {
            self.index.replace(&mut self.messages, message.id, link, slot);
        }
        if message.stage == Stage::Scheduled {
            self.subscribers.forget(&mut self.messages, link, message.subscriber);
            // It stands in no place any more, so it has no neighbour there.
            self.messages.set_next_in(Table::Subscribers, slot, NONE);
            self.subscribers.schedule(&mut self.messages, slot);
        } else {
            self.replace(&message, link, slot);
        }
        self.wheel.schedule(slot, self.messages.parked.due(place));
        self.messages.parked.remove(place);
        Some(slot)
    }

    /// The subscriber of a parked message in a list, by its body; if that is lost, by where it stands.
    fn subscriber_of(&mut self, message: &Message, place: u32) -> Option<u32> {
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        match stored {
            Some(sm) => Some(self.names.name(sm.destination_addr)),
            None if message.stage == Stage::Behind => {
                self.subscribers.lines.find(&self.messages, link_to(place))
            }
            // Nobody asks for it in a queue.
            None => Some(0),
        }
    }

    /// Brings back the parked messages whose time has come, at most `budget`. `true`: there are more.
    pub(super) fn wake_due(&mut self, now: Now, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(place) = self.messages.parked.next_due(now) else { return false };
            if self.unpark(place, None).is_none() {
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

    /// The message that is parked at `place`, as it was and will be; but of one in a list not its subscriber, which stands in
    /// its body.
    pub(super) fn parked_message(&self, place: u32) -> Option<Message> {
        let entry = self.messages.parked.get(place)?;
        let record = self.store.record(entry.location())?;
        let traits = entry.traits();
        let due = self.messages.parked.due(place);
        let role = Role::from_octet(record.stage)?;
        let target = record.target.unwrap_or(NETWORK);
        let told = Told { record: &record, due, waits: traits.waits };
        let accepted = told.time(record.accepted).plus_millis(traits.accepted_ms);
        let now = Now { mono: accepted, wall: record.accepted };
        let (stage, turn) = match traits.waits {
            Waits::Schedule => (Stage::Scheduled, Turn::No),
            Waits::Attempt { is_followed: false } => (Stage::Waiting, Turn::Yes),
            Waits::Attempt { is_followed: true } => (Stage::Waiting, Turn::Followed),
            Waits::InList if target == NETWORK => (Stage::Behind, Turn::No),
            Waits::InList => (Stage::Queued { queue: Queue::Account(target) }, Turn::No),
        };
        Some(Message {
            location: entry.location(),
            stage,
            milestone: match role {
                Role::Receipt | Role::Notification => told.time(record.finished),
                // What it has waited for is over.
                _ if traits.waits.is_in_list() => Time::ZERO,
                _ => due,
            },
            expires: told.time(record.expires),
            finished_s: seconds_of(record.finished),
            submitter: self.sessions.unpack(entry.submitter),
            chain: entry.chain,
            subscriber: entry.subscriber().unwrap_or_default(),
            peer: entry.peer(),
            attempts: record.attempts,
            error: record.error,
            target,
            state: MessageState::from_octet(record.state)?,
            registered_delivery: traits.registered_delivery,
            version: record.version,
            priority: traits.priority,
            turn,
            on_failure: traits.on_failure(),
            ..Message::blank(record.id, record.account, role, now)
        })
    }

    /// Whether what comes back will be what was parked, as far as anybody can tell.
    fn is_same(&self, before: &Message, place: u32) -> bool {
        let is_near = |a: Time, b: Time| a.as_millis().abs_diff(b.as_millis()) <= 1;
        self.parked_message(place).is_some_and(|after| {
            let flags = |m: &Message| (m.role, m.state, m.version, m.priority, m.turn, m.on_failure, m.stage);
            let numbers =
                |m: &Message| (m.id, m.location, m.account, m.target, m.attempts, m.error, m.accepted_s);
            // Whether that is past is all that matters of one in a list, but for how long a receipt took.
            let is_over = matches!(before.stage, Stage::Queued { .. } | Stage::Behind);
            flags(&after) == flags(before)
                && numbers(&after) == numbers(before)
                && (is_over || is_near(after.milestone, before.milestone))
                && is_near(after.expires, before.expires)
        })
    }
}

/// When a message is due that waits for this.
const fn due_of(message: &Message, waits: Waits) -> Time {
    if waits.is_in_list() { message.expires } else { message.milestone }
}

/// Whether nothing is lost of a message if only what a parked one has is kept.
fn can_be_parked(message: &Message, waits: Waits, now: Now) -> bool {
    let is_in_time = match waits {
        // One that has stepped back in its line is called for its next attempt.
        Waits::InList => message.milestone <= now.mono,
        _ => message.role == Role::Mt && message.milestone <= message.expires,
    };
    matches!(message.on_failure, OnFailure::Retry | OnFailure::RetryNotified)
        && is_in_time
        && message.first_delivery == 0
        && message.parts_settled == 0
}

fn traits_of(message: &Message, waits: Waits, record: &Record) -> Traits {
    let second = Told { record, due: due_of(message, waits), waits }.time(record.accepted);
    Traits {
        waits,
        is_notified: message.on_failure == OnFailure::RetryNotified,
        priority: message.priority,
        registered_delivery: message.registered_delivery,
        accepted_ms: message.accepted.as_millis().saturating_sub(second.as_millis()),
    }
}

/// What a record tells of a message that is due at `due`.
struct Told<'a> {
    record: &'a Record,
    due: Time,
    waits: Waits,
}

impl Told<'_> {
    /// A point of the record's wall clock, by how far it is from that of `due`: the clock may have been set since the record was
    /// made.
    fn time(&self, wall: WallTime) -> Time {
        let due = if self.waits.is_in_list() { self.record.expires } else { self.record.due };
        let (wall_ms, due_ms) = (wall.unix_millis(), due.unix_millis());
        if wall_ms > due_ms {
            return self.due.plus_millis(wall_ms - due_ms);
        }
        Time::from_millis(self.due.as_millis().saturating_sub(due_ms - wall_ms))
    }
}
