//! A message as its shard holds it, and the lists that messages stand in. The body is in the store; this is what the
//! shard needs at hand, small enough for two cache lines.

use crate::base::mobile::Outcome;
use crate::base::{AccountId, MessageId, Now, SessionHandle, Slab, Time, WallTime};
use crate::smpp::{MessageState, RegisteredDelivery};
use crate::store::{Location, Lsn, Record};

/// Ends a list or chain; never a slot.
pub(super) const NONE: u32 = u32::MAX;

/// What a message is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Role {
    /// From an ESME, to the network or to another ESME.
    Mt = 0,
    /// From the network, to an ESME.
    Mo = 1,
    /// An MT message that is final and whose receipt is owed.
    Receipt = 2,
    /// An intermediate notification: a message of its own, with the id and a copy of the body of the one it tells of.
    Notification = 3,
}

/// What a message waits for. It is on the wheel in exactly the stages that say so, and in a list in exactly those
/// that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For nothing: the code that runs has it in hand. In no list and not on the wheel.
    Held,
    /// For its log entry to become durable. In the list of such messages.
    AwaitingDurable { lsn: Lsn },
    /// For the next turn. In the work list.
    Ready,
    /// For its schedule_delivery_time. On the wheel.
    Scheduled,
    /// For the network's report. On the wheel, or in the work list when the report is there already.
    Attempting { outcome: Outcome },
    /// For its next attempt or the end of its validity. On the wheel.
    Waiting,
    /// For a session that can take it. In that queue, and on the wheel for the end of its validity.
    Queued { queue: Queue },
    /// For the outcome of its delivery. In the in-flight list of this entry of the session table.
    HandedOut { session: u32 },
}

/// A queue of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// For any receiving session of the account.
    Account(AccountId),
    /// For this entry of the session table: the one that submitted, while it is bound but has no credit.
    Session(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) location: Location,
    pub(super) stage: Stage,
    pub(super) accepted: Time,
    /// Its schedule, until it is opened; then meaningless until it is that of the final state.
    pub(super) milestone: Time,
    /// End of validity: of the message, or once it is final of its receipt.
    pub(super) expires: Time,
    /// Unix time in seconds; 0 = not yet.
    pub(super) accepted_s: u32,
    pub(super) finished_s: u32,
    pub(super) submitter: SessionHandle,
    pub(super) sequence_number: u32,
    /// Links of the list it stands in.
    pub(super) next: u32,
    pub(super) previous: u32,
    /// Next message in the same bucket of the id index.
    pub(super) chain: u32,
    /// Number of the last hand-out to a session, shard-wide; 0 = none yet. Part of its token.
    pub(super) delivery: u32,
    pub(super) attempts: u16,
    pub(super) error: u16,
    pub(super) account: AccountId,
    /// The account whose sessions get it, or [`NETWORK`].
    pub(super) target: AccountId,
    pub(super) role: Role,
    pub(super) state: MessageState,
    pub(super) registered_delivery: RegisteredDelivery,
    pub(super) version: u8,
    /// Datagram mode: a single attempt.
    pub(super) single_attempt: bool,
    /// An intermediate notification has been made.
    pub(super) notified: bool,
}

// With its generation, a slot of the slab is two cache lines.
const _: () = assert!(size_of::<Message>() <= 120);

/// The target of a message that goes to the mobile network; never an account.
pub(super) const NETWORK: AccountId = AccountId(u16::MAX);

/// Unix time in whole seconds, as messages keep it.
pub(super) fn seconds_of(wall: WallTime) -> u32 {
    u32::try_from(wall.unix_seconds()).unwrap_or(u32::MAX)
}

/// The wall time of such a number of seconds.
pub(super) const fn wall_of(seconds: u32) -> WallTime {
    WallTime::from_unix_millis(seconds as u64 * 1_000)
}

impl Message {
    /// What a restart must know of it, if it is to be acted on next at `due`.
    #[inline]
    pub(super) fn record(&self, due: Time, now: Now) -> Record {
        Record {
            id: self.id,
            account: self.account,
            target: (self.target != NETWORK).then_some(self.target),
            stage: self.role as u8,
            state: self.state.octet(),
            version: self.version,
            error: self.error,
            attempts: self.attempts,
            accepted: wall_of(self.accepted_s),
            due: now.wall_at(due),
            expires: now.wall_at(self.expires),
            finished: wall_of(self.finished_s),
        }
    }
}

/// A first-in-first-out list through the slab: no memory of its own, and any member can leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) head: u32,
    tail: u32,
    pub(super) len: u32,
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
    pub(super) fn push_back(&mut self, messages: &mut Slab<Message>, slot: u32) {
        self.insert_after(messages, self.tail, slot);
    }

    /// Puts `slot` behind `previous`, a member; at the front when that is [`NONE`].
    #[inline]
    pub(super) fn insert_after(&mut self, messages: &mut Slab<Message>, previous: u32, slot: u32) {
        let next = match messages.get_mut(previous) {
            Some(before) => std::mem::replace(&mut before.next, slot),
            None => std::mem::replace(&mut self.head, slot),
        };
        match messages.get_mut(next) {
            Some(after) => after.previous = slot,
            None => self.tail = slot,
        }
        if let Some(message) = messages.get_mut(slot) {
            (message.previous, message.next) = (previous, next);
        }
        self.len += 1;
    }

    /// Takes a member out.
    #[inline]
    pub(super) fn remove(&mut self, messages: &mut Slab<Message>, slot: u32) {
        let Some(&Message { previous, next, .. }) = messages.get(slot) else { return };
        match messages.get_mut(previous) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        match messages.get_mut(next) {
            Some(after) => after.previous = previous,
            None => self.tail = previous,
        }
        self.len -= 1;
    }

    #[inline]
    pub(super) fn pop_front(&mut self, messages: &mut Slab<Message>) -> Option<u32> {
        let slot = self.head;
        if slot == NONE {
            return None;
        }
        self.remove(messages, slot);
        Some(slot)
    }
}
