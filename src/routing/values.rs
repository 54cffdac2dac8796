//! What goes into a routing shard and what comes out of it: plain values, which is all that crosses threads.

use super::{Asker, MessageEvent, RecoveredAs};
use crate::base::{AccountId, DeliveryToken, MessageId, SessionHandle, SubmitOperation, Time, WallTime};
use crate::smpp::{
    AlertNotification, CommandStatus, DeliverSm, DeliveryOutcome, InterfaceVersion, MessageState,
    OperationAnswer, SubmitSm,
};

/// Which request a message came in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session it came from.
    pub session: SessionHandle,
    /// Of the request, echoed in its response.
    pub sequence_number: u32,
    /// With which operation; for a part of a submit_multi, `sequence_number` is the worker's name for the request.
    pub operation: SubmitOperation,
    /// When it was read from the socket.
    pub received_at: Time,
}

/// A submit_sm that its session has found sound.
#[derive(Clone, Copy, Debug)]
pub struct Submit<'a> {
    /// Where it came from.
    pub origin: Origin,
    /// Whose it is.
    pub account: AccountId,
    /// What the submitting bind speaks; it decides the form of the id.
    pub version: InterfaceVersion,
    /// The decoded fields.
    pub sm: &'a SubmitSm<'a>,
    /// The octets that `sm` was decoded from: they are what is stored, and decoded again when needed.
    pub body: &'a [u8],
}

/// What became of a submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It is held as the durability setting says.
    Accepted(MessageId),
    /// It is not held, and never will be heard of again.
    Refused(CommandStatus),
    /// [`ShardOutput::submit_result`] tells once it is durable, or in transaction mode [`ShardOutput::outcome`] once it is
    /// final.
    Later,
}

/// A session that has bound.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The session.
    pub session: SessionHandle,
    /// Whose it is.
    pub account: AccountId,
    /// What it speaks.
    pub version: InterfaceVersion,
    /// Whether it takes deliver_sm (bound as receiver or transceiver).
    pub receives: bool,
    /// How many deliveries of this shard it may hold unsettled.
    pub deliver_credit: u32,
    /// address_range of the bind: empty, a prefix (with or without `^`), or a regular expression.
    pub address_range: &'a [u8],
}

/// What became of a delivery that was handed to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The ESME answered.
    Answered(CommandStatus),
    /// The ESME did not answer in time.
    TimedOut,
    /// The session ended with the answer outstanding: the ESME may have seen it. Nothing more is handed to that
    /// session; [`super::Shard::session_unbound`] must follow.
    SessionLost,
    /// It never went out on the session, and may at once go out on this or another one.
    NotSent,
}

/// An MO message to take in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mo<'a> {
    /// The subscriber's address (at most 20 octets; more are cut).
    pub source_addr: &'a [u8],
    /// The application's address (at most 20 octets; more are cut).
    pub destination_addr: &'a [u8],
    /// data_coding of `short_message`.
    pub data_coding: u8,
    /// esm_class: 0x40 when `short_message` starts with a UDH.
    pub esm_class: u8,
    /// At most 254 octets; more are cut.
    pub short_message: &'a [u8],
}

/// What became of an MO message that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoOutcome {
    /// It is held as the durability of its account says.
    Accepted(MessageId),
    /// It has this id, and will be held: [`ShardOutput::mo_held`] tells.
    Later(MessageId),
}

impl MoOutcome {
    /// The message's id.
    pub const fn message_id(self) -> MessageId {
        match self {
            Self::Accepted(id) | Self::Later(id) => id,
        }
    }
}

/// Why an MO message was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoRefused {
    /// No account owns the destination address, by configuration or by a bind's address_range.
    #[error("no account owns the destination address")]
    NoOwner,
    /// It is for the receiving sessions of an account that has none.
    #[error("no session of the account receives")]
    NobodyReceives,
    /// As many messages are held as may be.
    #[error("as many messages are held as may be")]
    Full,
}

/// What happened in a shard. Cores don't count: the shell does, from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An MT message reached its final state.
    Finished {
        /// Whose.
        account: AccountId,
        /// That state.
        state: MessageState,
        /// Nanoseconds since it was accepted.
        nanos: u64,
    },
    /// A submit_sm has taken the place of an MT message that was pending; the two share an id, and the final state that
    /// is still to come.
    Replaced {
        /// Whose.
        account: AccountId,
    },
    /// A message in transaction mode was taken in; its submission is answered when it is final.
    TransactionAccepted {
        /// Whose.
        account: AccountId,
    },
    /// A receipt or an intermediate notification is owed.
    ReceiptCreated {
        /// To whom.
        account: AccountId,
    },
    /// An ESME has accepted a receipt.
    ReceiptSettled {
        /// Whose.
        account: AccountId,
        /// Nanoseconds since the final state.
        nanos: u64,
    },
    /// A receipt was given up: its validity ran out, or the ESME refused it for good.
    ReceiptFailed {
        /// Whose.
        account: AccountId,
    },
    /// An intermediate notification could not be made: as many messages are held as may be.
    NotificationSkipped {
        /// Whose.
        account: AccountId,
    },
    /// An alert_notification was handed to a session.
    AlertSent {
        /// Whose.
        account: AccountId,
    },
    /// An alert_notification was given up: no session that knows it has taken it in time, or there was no room to set the
    /// flag.
    AlertDropped {
        /// Whose.
        account: AccountId,
    },
    /// An MO message was taken in.
    MoAccepted {
        /// For whom.
        account: AccountId,
    },
    /// An MO message from the network was refused.
    MoRefused(MoRefused),
    /// An ESME has accepted an MO message.
    MoDelivered {
        /// Whose.
        account: AccountId,
        /// Nanoseconds since it was taken in.
        nanos: u64,
    },
    /// An MO message was given up.
    MoFailed {
        /// Whose.
        account: AccountId,
    },
    /// A delivery attempt was made: the network has reported on one, or a session was handed a delivery.
    Attempt,
    /// An attempt failed for now and will be repeated.
    Retry,
    /// An outcome came for a delivery that is no longer open.
    StaleToken,
    /// A bind's address_range is no regular expression that we take; the bind has no range.
    BadAddressRange {
        /// Whose.
        account: AccountId,
    },
    /// A message of an earlier run goes on.
    Recovered {
        /// Whose.
        account: AccountId,
        /// What it is.
        recovered_as: RecoveredAs,
    },
    /// The store has a message of an earlier run that makes no sense: it is left there.
    Unrecoverable {
        /// Which message.
        message_id: MessageId,
    },
    /// The store had no body where one was put: a damaged store. The message is given up.
    BodyMissing {
        /// Which message.
        message_id: MessageId,
    },
}

/// What a shard does to the world; implemented by its shell.
pub trait ShardOutput {
    /// The answer to a submit for which [`SubmitOutcome::Later`] was returned.
    fn submit_result(&mut self, origin: Origin, result: Result<MessageId, CommandStatus>);

    /// The answer to a submit in transaction mode: what has come of the message.
    fn outcome(&mut self, origin: Origin, outcome: &DeliveryOutcome) {
        let status = outcome.status();
        let result = if status.is_ok() { Ok(outcome.message_id) } else { Err(status) };
        self.submit_result(origin, result);
    }

    /// The answer to an operation for which [`super::OperationOutcome::Later`] was returned.
    fn operation_result(&mut self, asker: Asker, answer: OperationAnswer);

    /// The answer to such an operation where it is the body of the response. `false`: no room towards that thread now.
    fn operation_body(&mut self, asker: Asker, body: &[u8]) -> bool {
        let _ = (asker, body);
        false
    }

    /// An MO message for which [`MoOutcome::Later`] was returned is held.
    fn mo_held(&mut self, message_id: MessageId);

    /// Hands a deliver_sm to a session's thread, which owes a [`DeliveryResult`] for `token` or the end of the
    /// session. `false`: no room towards that thread now; the shard keeps the message and tries again next turn.
    fn deliver(&mut self, to: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool;

    /// Hands an alert_notification to a session's thread, of which nothing more is heard. `false`: no room towards that
    /// thread now.
    fn alert(&mut self, to: SessionHandle, alert: &AlertNotification<'_>) -> bool {
        let _ = (to, alert);
        false
    }

    /// Whether a session that has just been handed a delivery takes no more, until [`super::Shard::session_resumed`]: it
    /// does not read what it has. One on another thread says so by [`super::Shard::session_paused`].
    fn is_full(&mut self, session: SessionHandle) -> bool {
        let _ = session;
        false
    }

    /// Something has happened to a message; only what [`super::ShardSettings::events`] asks for.
    fn message_event(&mut self, event: &MessageEvent<'_>) {
        let _ = event;
    }

    /// Something happened.
    fn fact(&mut self, fact: Fact);
}

/// What a shard knows of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// Its id.
    pub message_id: MessageId,
    /// Its state.
    pub state: MessageState,
    /// Error code of the last attempt or of the final state; 0 = none.
    pub error: u16,
    /// When it became final.
    pub finished: Option<WallTime>,
    /// The rest, unless only the final state is remembered.
    pub held: Option<HeldMessage>,
}

/// What is known of a message while it is held: until its final state, and until its receipt is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldMessage {
    /// Whose: the submitter, or the owner of an MO message's destination.
    pub account: AccountId,
    /// `mt`, `mo`, or `receipt`: an MT message that is final and whose receipt is owed.
    pub role: &'static str,
    /// What it waits for: `store`, `schedule`, `turn`, `subscriber`, `network`, `retry`, `session` or `response`.
    pub waits_for: &'static str,
    /// priority_flag, at most 3.
    pub priority: u8,
    /// Attempts made: of the message, or once it is final of its receipt.
    pub attempts: u32,
    /// When it was accepted.
    pub accepted: WallTime,
    /// When it will be sent, if that is still to come.
    pub scheduled: Option<WallTime>,
    /// When it will be attempted again, if it waits for that.
    pub next_attempt: Option<WallTime>,
    /// When it expires; once it is final: when its receipt does.
    pub expires: WallTime,
    /// source_addr and destination_addr.
    pub addresses: Option<(Vec<u8>, Vec<u8>)>,
}
