//! What a session asks of the shell that hosts it, and the values that go both ways.

use super::compat::Compat;
use crate::base::{AccountId, DeliveryToken, MessageId, SessionHandle, SubmitOperation, Time};
use crate::smpp::{
    CommandId, CommandStatus, InterfaceVersion, Operation, OperationAnswer, SubmitMulti, SubmitSm,
    UnsuccessSmes,
};

/// The three kinds of bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// May submit.
    Transmitter,
    /// May receive.
    Receiver,
    /// Both.
    Transceiver,
}

impl BindMode {
    /// Whether deliver_sm may be sent to it.
    pub const fn receives(self) -> bool {
        matches!(self, Self::Receiver | Self::Transceiver)
    }

    /// Whether it may send submit_sm.
    pub const fn transmits(self) -> bool {
        matches!(self, Self::Transmitter | Self::Transceiver)
    }

    /// The word for it in `/sessions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transmitter => "transmitter",
            Self::Receiver => "receiver",
            Self::Transceiver => "transceiver",
        }
    }

    /// The bind request that asks for it.
    pub const fn command_id(self) -> CommandId {
        match self {
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    /// The mode that a bind request asks for.
    pub fn of_command(command_id: CommandId) -> Option<Self> {
        match command_id {
            CommandId::BIND_TRANSMITTER => Some(Self::Transmitter),
            CommandId::BIND_RECEIVER => Some(Self::Receiver),
            CommandId::BIND_TRANSCEIVER => Some(Self::Transceiver),
            _ => None,
        }
    }
}

/// A bind request to be judged.
#[derive(Clone, Copy, Debug)]
pub struct BindRequest<'a> {
    /// Who claims to bind.
    pub system_id: &'a [u8],
    /// The claim's proof. Never logged.
    pub password: &'a [u8],
    /// As what.
    pub mode: BindMode,
    /// Addresses that a receiving bind wants to serve.
    pub address_range: &'a [u8],
    /// interface_version as given.
    pub interface_version: u8,
}

/// What an accepted bind is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The account behind the system_id.
    pub account: AccountId,
    /// Requests of the ESME that may await our response. Beyond it nothing is read from the session.
    pub window: u32,
    /// Requests of ours that may await the ESME's response.
    pub deliver_window: u32,
    /// How it is spoken to.
    pub compat: Compat,
}

/// What is delivered by data_sm instead of deliver_sm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSmUse {
    /// Messages.
    pub messages: bool,
    /// Receipts and intermediate notifications.
    pub receipts: bool,
}

/// The judgement of a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Let in.
    Accepted(Grant),
    /// Answered with this status, then closed.
    Refused(CommandStatus),
    /// The answer comes through [`super::Session::authenticated`]; nothing is read meanwhile.
    Pending,
}

/// Where the answer to a submission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The submitting session.
    pub session: SessionHandle,
    /// sequence_number of the request.
    pub sequence_number: u32,
    /// With which operation; for a part of a submit_multi, `sequence_number` is the worker's name for the request.
    pub operation: SubmitOperation,
    /// When it was read from the socket.
    pub received_at: Time,
}

/// A submit_sm that is well-formed and allowed in the session's state.
#[derive(Clone, Copy, Debug)]
pub struct SubmitRequest<'a> {
    /// Where the answer goes.
    pub origin: Origin,
    /// Whose message.
    pub account: AccountId,
    /// The session's effective version.
    pub version: InterfaceVersion,
    /// The decoded body.
    pub sm: &'a SubmitSm<'a>,
    /// The body as it came.
    pub body: &'a [u8],
}

/// A query_sm, cancel_sm or replace_sm that is well-formed and allowed in the session's state.
#[derive(Clone, Copy, Debug)]
pub struct OperationRequest<'a> {
    /// The session that waits for the answers.
    pub session: SessionHandle,
    /// Names the operation in its answers.
    pub ticket: u32,
    /// Whose messages it is about.
    pub account: AccountId,
    /// The session's effective version.
    pub version: InterfaceVersion,
    /// Which of them it is.
    pub command_id: CommandId,
    /// The decoded body.
    pub operation: &'a Operation<'a>,
    /// The body as it came.
    pub body: &'a [u8],
}

/// What became of an operation at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationDisposition {
    /// Everybody who may have the message has been asked.
    Asked {
        /// How many answers come through [`super::Session::operation_result`].
        awaited: u16,
        /// What the others have answered.
        answer: OperationAnswer,
    },
    /// There is no room: the request stays unread, and so does everything after it.
    Stall(StallReason),
}

/// A submit_multi that is well-formed and allowed in the session's state.
#[derive(Clone, Copy, Debug)]
pub struct MultiRequest<'a> {
    /// Where the answer goes.
    pub origin: Origin,
    /// Whose messages.
    pub account: AccountId,
    /// The session's effective version.
    pub version: InterfaceVersion,
    /// The decoded body.
    pub sm: &'a SubmitMulti<'a>,
    /// Whether it may wait for its account's rate: then [`Disposition::OverRate`] says that the rate does not allow all of
    /// its destinations now. Else those that it does not allow are refused.
    pub may_wait: bool,
}

/// What became of a submit_multi: the id it was accepted under and the destinations that were not, or why none was.
pub type MultiResult<'a> = Result<(MessageId, UnsuccessSmes<'a>), CommandStatus>;

/// What became of a submission at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Decided.
    Answered(Result<MessageId, CommandStatus>),
    /// The answer comes through [`super::Session::submit_result`], [`super::Session::multi_result`] or
    /// [`super::Session::outcome`].
    InFlight,
    /// There is no room: the request stays unread, and so does everything after it.
    Stall(StallReason),
    /// It is over its account's rate, until then.
    OverRate {
        /// When the rate allows it, if nobody else comes first.
        until: Time,
    },
}

/// Why nothing more is taken from a session for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallReason {
    /// As many requests await our response as its window allows.
    Window,
    /// The lane to a shard is full.
    Lane,
    /// This turn has taken in as many destinations of submit_multi as it may; the next one goes on.
    Turn,
    /// Its bind is being judged.
    Authentication,
    /// It does not read what is queued for it.
    PeerNotReading,
    /// Its submission waits for the account's rate.
    Rate,
}

impl StallReason {
    /// The word for it in `/sessions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Lane => "lane",
            Self::Turn => "turn",
            Self::Authentication => "authentication",
            Self::PeerNotReading => "peer_not_reading",
            Self::Rate => "rate",
        }
    }
}

/// The outcome of a delivery handed to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The ESME answered.
    Answered(CommandStatus),
    /// It did not answer within the response timer.
    TimedOut,
    /// The delivery never left: the session is closing, or can't receive.
    NotSent,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// unbind and unbind_resp were exchanged.
    Unbound,
    /// The bind was refused.
    BindRefused,
    /// command_length out of range.
    BrokenFrame,
    /// The first octets belong to another protocol.
    ForeignProtocol,
    /// No bind in time.
    SessionInitTimeout,
    /// Our bind was not answered in time.
    BindTimeout,
    /// Nothing received for too long, or an enquire_link unanswered.
    Inactive,
    /// The peer kept sending what an unbound session may not.
    TooManyErrors,
    /// Our unbind was not answered in time.
    UnbindTimeout,
    /// The peer closed or reset the connection.
    PeerGone,
    /// A PDU stayed half-read for too long.
    PduTimeout,
    /// The peer took nothing off its socket for too long.
    WriteTimeout,
    /// The peer took nothing off its socket, or left a PDU half-read, while memory for buffers was short.
    OverMemory,
    /// A TLS handshake that failed, or a TLS record that could not be opened.
    TlsFailed,
    /// The TLS handshake was not finished in time.
    TlsHandshakeTimeout,
    /// Another bind of its kind came, and it did not say that it is still there.
    Replaced,
    /// It left a delivery unanswered, and its account asks for the end over that.
    Unanswered,
}

/// What happened, for the shell to count and record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A bind was accepted.
    Bound(BindMode),
    /// A bound session ended.
    Unbound(BindMode),
    /// A bind was refused with this status.
    BindRefused(CommandStatus),
    /// A submission arrived.
    Submitted,
    /// A submission was answered with this status.
    SubmitAnswered(CommandStatus),
    /// A broadcast_sm was answered with this status.
    BroadcastAnswered(CommandStatus),
    /// A submit_multi was answered; its destinations are counted where they are decided.
    MultiAnswered,
    /// A request came that the state does not allow.
    WrongState,
    /// A request with an unknown command_id came.
    UnknownCommand,
    /// A request with a malformed body came.
    MalformedPdu,
    /// An operation named a message that is nobody's, or another account's.
    UnknownMessage,
    /// A response came that matches no request.
    UnmatchedResponse,
    /// A request of ours was answered after this many nanoseconds.
    DeliverAnswered {
        /// From written to answered.
        nanos: u64,
    },
    /// A request of ours was not answered in time.
    ResponseTimeout,
}

/// Where a session's PDUs and facts go. Monomorphised: a call costs what it does.
pub trait Output {
    /// Queues a PDU of `len` octets that `write` encodes.
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>));
    /// How congested the SMSC is, 0 to 100; `None`: peers are not told.
    #[inline]
    fn congestion_state(&self) -> Option<u8> {
        None
    }
    /// Reports what happened.
    fn fact(&mut self, fact: Fact);
}

/// All that a session asks of its shell.
pub trait Port: Output {
    /// Judges a bind.
    fn authenticate(&mut self, bind: &BindRequest<'_>) -> Authentication;
    /// The session is bound: make it known to the shards.
    fn bound(&mut self, grant: &Grant, mode: BindMode, version: InterfaceVersion, address_range: &[u8]);
    /// Takes a submission in.
    fn submit(&mut self, submit: &SubmitRequest<'_>) -> Disposition;
    /// Takes an operation on stored messages in.
    fn operate(&mut self, request: &OperationRequest<'_>) -> OperationDisposition;
    /// Takes in a submission that is no submit_sm, as the submit_sm that says the same.
    fn submit_fields(
        &mut self,
        origin: Origin,
        account: AccountId,
        version: InterfaceVersion,
        sm: &SubmitSm<'_>,
    ) -> Disposition;
    /// Takes a submit_multi in.
    fn submit_multi(&mut self, multi: &MultiRequest<'_>) -> Disposition;
    /// Reports the outcome of a delivery.
    fn delivery_result(&mut self, token: DeliveryToken, result: DeliveryResult);
    /// The session takes no more deliveries; what is under way may still be answered.
    fn deliveries_off(&mut self);
}
