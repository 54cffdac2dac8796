//! A message as its shard holds it. The body is in the store; this is what the shard needs at hand, small enough for two
//! cache lines.

use super::subscriber_names::SubscriberNames;
use super::transaction::is_transaction;
use crate::base::mobile::Outcome;
use crate::base::{AccountId, MessageId, Now, SessionHandle, SubmitOperation, Time, WallTime};
use crate::smpp::{InterfaceVersion, MessageState, PduBody, RegisteredDelivery, SmFields};
use crate::store::{Location, Lsn, Record};

/// The highest priority_flag that has a lane of its own; a higher one shares it.
pub(super) const PRIORITY_MAX: u8 = 3;

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
    /// A delivery pending flag, then the alert_notification that it has asked for: a message of its own, with the id and the
    /// addresses of the one that set it.
    Alert = 4,
    /// From an ESME, to everybody in some areas.
    Broadcast = 5,
}

impl Role {
    /// What people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mt => "mt",
            Self::Mo => "mo",
            Self::Receipt => "receipt",
            Self::Notification => "notification",
            Self::Alert => "alert",
            Self::Broadcast => "broadcast",
        }
    }

    /// The role that a record states.
    pub(super) const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Mt),
            1 => Some(Self::Mo),
            2 => Some(Self::Receipt),
            3 => Some(Self::Notification),
            4 => Some(Self::Alert),
            5 => Some(Self::Broadcast),
            _ => None,
        }
    }

    /// Whether it has a final state of its own still to come.
    pub(super) const fn has_an_end(self) -> bool {
        matches!(self, Self::Mt | Self::Broadcast)
    }

    /// Whether its id is its own.
    pub(super) const fn has_own_id(self) -> bool {
        !matches!(self, Self::Notification | Self::Alert)
    }
}

/// Whether it is a message's turn with its subscriber: only then is it attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is not, or the message does not go to the network.
    No,
    /// It is, and nobody waits for it to end.
    Yes,
    /// It is, and others may be in line behind.
    Followed,
}

/// What follows when an attempt fails for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// No more than one attempt: datagram mode.
    GiveUp,
    /// The same, and the submission is answered with what comes of it: transaction mode.
    Answer,
    /// The same, and that attempt has failed for now.
    AnswerTemporary,
    /// Another attempt, and an intermediate notification if one is asked for.
    Retry,
    /// Another attempt; the notification has been made.
    RetryNotified,
}

impl OnFailure {
    /// Whether its submission is not answered yet.
    #[inline]
    pub(super) const fn is_awaited(self) -> bool {
        matches!(self, Self::Answer | Self::AnswerTemporary)
    }

    /// Whether the one attempt has failed for now.
    pub(super) const fn was_temporary(self) -> bool {
        matches!(self, Self::AnswerTemporary)
    }
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
    /// For its schedule_delivery_time. On the wheel, and in the subscriber's list of such messages.
    Scheduled,
    /// For the network's report. On the wheel, or in the work list when the report is there already.
    Attempting { outcome: Outcome },
    /// For its next attempt or the end of its validity. On the wheel.
    Waiting,
    /// For its turn with the subscriber. In the subscriber's line, and on the wheel for its next attempt if that is
    /// still to come, else for the end of its validity.
    Behind,
    /// For a session that can take it. In that queue, and on the wheel for the end of its validity.
    Queued { queue: Queue },
    /// For the receipts of the other parts. In the list of that group, and on the wheel for the end of the wait unless the
    /// group's carrier is on its way; [`NONE`]: on the wheel only, to go out by itself.
    Gathering { group: u32 },
    /// For the outcome of its delivery. In the in-flight list of this entry of the session table.
    HandedOut {
        session: u32,
        /// Number of that hand-out, shard-wide: the generation of its token.
        delivery: u32,
        /// How many parts are to come after this one, if it went out as a part.
        parts_after: u8,
    },
}

impl Stage {
    /// What it waits for, in a word for people.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Held | Self::Ready => "turn",
            Self::AwaitingDurable { .. } => "store",
            Self::Scheduled => "schedule",
            Self::Attempting { .. } => "network",
            Self::Waiting => "retry",
            Self::Behind => "subscriber",
            Self::Queued { .. } => "session",
            Self::Gathering { .. } => "parts",
            Self::HandedOut { .. } => "response",
        }
    }
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
    /// No attempt before: its schedule, then its next attempt. Once it is final: since when.
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
    /// Names the subscriber: by the hash of its address.
    pub(super) subscriber: u32,
    /// Next message in the same bucket of those that have their subscriber's turn.
    pub(super) peer: u32,
    /// Number of its first hand-out since it last came to the end of a queue; 0 = none. Those that come back unseen, however
    /// often, line up by it. While it waits to be repeated, since nobody has answered: number of that hand-out.
    pub(super) first_delivery: u32,
    pub(super) attempts: u16,
    pub(super) error: u16,
    pub(super) account: AccountId,
    /// The account whose sessions get it, or [`NETWORK`].
    pub(super) target: AccountId,
    pub(super) role: Role,
    pub(super) state: MessageState,
    pub(super) registered_delivery: RegisteredDelivery,
    /// What the submitter speaks, and in bits that no version uses with which operation the message came.
    pub(super) version: u8,
    /// Which lane it takes in every queue: 0 to 3, higher ones first.
    pub(super) priority: u8,
    pub(super) turn: Turn,
    pub(super) on_failure: OnFailure,
    /// Where it goes out in parts: how many of them its ESME has accepted. A restart begins with the first again. Where it
    /// is a part itself, and so never goes out in parts: the number of its group, whose receipts go out as one; 0 = none.
    pub(super) parts_settled: u8,
}

// With its generation, a slot of the slab is two cache lines.
const _: () = assert!(size_of::<Message>() <= 120);

/// In the version of a message: it came by data_sm.
const BY_DATA_SM: u8 = 0x08;
/// It is part of a submit_multi, and has that request's id for its own.
pub(super) const NAMES_MULTI: u8 = 0x88;
/// It is part of a submit_multi, whose id stands at the end of its body.
pub(super) const PART_OF_MULTI: u8 = 0x80;
const OPERATION_MASK: u8 = 0x88;
const _: () = assert!(
    (InterfaceVersion::V33.octet() | InterfaceVersion::V34.octet() | InterfaceVersion::V50.octet())
        & OPERATION_MASK
        == 0
);

/// The version of a message that came with this operation, other than a part of a submit_multi.
pub(super) const fn version_of(version: InterfaceVersion, operation: SubmitOperation) -> u8 {
    match operation {
        SubmitOperation::DataSm => version.octet() | BY_DATA_SM,
        SubmitOperation::SubmitSm | SubmitOperation::SubmitMulti => version.octet(),
    }
}

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
    /// A message with nothing set that depends on how it came in.
    #[inline(always)]
    pub(super) fn blank(id: MessageId, account: AccountId, role: Role, now: Now) -> Self {
        Self {
            id,
            location: Location(0),
            stage: Stage::Held,
            accepted: now.mono,
            milestone: Time::ZERO,
            expires: Time::NEVER,
            accepted_s: seconds_of(now.wall),
            finished_s: 0,
            submitter: SessionHandle::NONE,
            sequence_number: 0,
            next: NONE,
            previous: NONE,
            chain: NONE,
            subscriber: 0,
            peer: NONE,
            first_delivery: 0,
            attempts: 0,
            error: 0,
            account,
            target: NETWORK,
            role,
            state: MessageState::Enroute,
            registered_delivery: RegisteredDelivery::NONE,
            version: InterfaceVersion::V34.octet(),
            priority: 0,
            turn: Turn::No,
            on_failure: OnFailure::Retry,
            parts_settled: 0,
        }
    }

    /// What its submission is answered with.
    pub(super) const fn operation(&self) -> SubmitOperation {
        match self.version & OPERATION_MASK {
            0 => SubmitOperation::SubmitSm,
            BY_DATA_SM => SubmitOperation::DataSm,
            _ => SubmitOperation::SubmitMulti,
        }
    }

    /// Whether its submitter speaks this version.
    pub(super) const fn speaks(&self, version: InterfaceVersion) -> bool {
        self.version & !OPERATION_MASK == version.octet()
    }

    #[cold]
    fn is_transaction(&self, sm: &SmFields<'_>) -> bool {
        let version =
            if self.speaks(InterfaceVersion::V50) { InterfaceVersion::V50 } else { InterfaceVersion::V34 };
        is_transaction(sm, self.operation(), version)
    }

    /// Whether it goes by the id of a submit_multi, which stands at the end of its body.
    pub(super) const fn is_part_of_multi(&self) -> bool {
        self.version & OPERATION_MASK == PART_OF_MULTI
    }

    /// What a restart must know of it beside its body, if it is to be acted on next at `due`.
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

    /// Sets what follows from the fields of its submit_sm.
    #[inline(always)]
    pub(super) fn set_fields(&mut self, sm: &SmFields<'_>, names: SubscriberNames) {
        // Datagram mode: a single attempt, and no receipt (5.0 section 4.2.10.4).
        let datagram = sm.esm_class.is_datagram();
        self.on_failure = match self.on_failure {
            _ if datagram => OnFailure::GiveUp,
            _ if sm.esm_class.is_transaction() && self.is_transaction(sm) => OnFailure::Answer,
            OnFailure::RetryNotified => OnFailure::RetryNotified,
            _ => OnFailure::Retry,
        };
        self.registered_delivery = if datagram { RegisteredDelivery::NONE } else { sm.registered_delivery };
        self.priority = sm.priority_flag.min(PRIORITY_MAX);
        self.subscriber = names.name(sm.destination_addr);
    }

    /// The message that a record and a body tell of, and when it is to be acted on next. Points of the wall clock are taken
    /// as that far from now, or from when the message was accepted or final if the clock says that this is still to
    /// come: no clock that was set back makes it live longer than it ever might have. What was before the process
    /// started is taken as its start. `None`: they tell of none.
    pub(super) fn restored(
        record: &Record,
        body: &[u8],
        names: SubscriberNames,
        now: Now,
    ) -> Option<(Self, Time)> {
        let role = Role::from_octet(record.stage)?;
        let state = MessageState::from_octet(record.state)?;
        let sm = SmFields::decode(body).ok()?;
        let now = Now { wall: now.wall.max(record.accepted).max(record.finished), ..now };
        let due = now.time_at(record.due);
        let mut message = Self {
            accepted: now.time_at(record.accepted),
            milestone: if role.has_an_end() { due } else { now.time_at(record.finished) },
            expires: now.time_at(record.expires),
            accepted_s: seconds_of(record.accepted),
            finished_s: seconds_of(record.finished),
            attempts: record.attempts,
            error: record.error,
            target: record.target.unwrap_or(NETWORK),
            state,
            version: record.version,
            ..Self::blank(record.id, record.account, role, now)
        };
        if role != Role::Mo {
            message.set_fields(&sm, names);
            // Kept for the receipt of the whole message, of which nothing is known any more.
            if role == Role::Receipt
                && !message.registered_delivery.wants_receipt(state == MessageState::Delivered)
            {
                message.expires = now.mono;
            }
            // A receipt or notification is tried as any other, and one that asks for an alert has failed for now.
            if role != Role::Mt {
                message.on_failure = OnFailure::Retry;
            }
            // It is made when the first attempt fails, so it was.
            if record.attempts > 0 && message.on_failure == OnFailure::Retry {
                message.on_failure = OnFailure::RetryNotified;
            }
        }
        // Only MT messages go to the network, all else to the account that it belongs to; only receipts outlive a
        // final state.
        let makes_sense = state.is_final() == (role == Role::Receipt)
            && (role == Role::Mt
                || message.target == if role == Role::Broadcast { NETWORK } else { message.account });
        makes_sense.then_some((message, due))
    }
}
