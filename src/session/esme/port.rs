//! What an ESME session asks of the shell that hosts it, and the values that go both ways.

use std::fmt;

use crate::base::DeliveryToken;
use crate::session::link::LinkTimers;
use crate::session::port::{BindMode, Origin, Output, StallReason};
use crate::smpp::{CommandStatus, DeliverSm, InterfaceVersion};

/// How one upstream SMSC is spoken to. Times are in milliseconds; 0 switches a timer off where said so.
#[derive(Clone)]
pub struct EsmeSettings {
    /// Who we are to the SMSC; at most 15 octets.
    pub system_id: Vec<u8>,
    /// Our proof. Never logged.
    pub password: Vec<u8>,
    /// What some SMSCs want to know; at most 12 octets.
    pub system_type: Vec<u8>,
    /// Type of number of address_range.
    pub addr_ton: u8,
    /// Numbering plan of address_range.
    pub addr_npi: u8,
    /// The addresses that we serve; at most 40 octets.
    pub address_range: Vec<u8>,
    /// The version that we ask for, and the highest that we then speak.
    pub version: InterfaceVersion,
    /// Submissions that may await the SMSC's response.
    pub window: u32,
    /// Deliveries that may await our response. Beyond it nothing is read.
    pub deliver_window: u32,
    /// From our bind to its response.
    pub bind_timeout_ms: u64,
    /// Silence after which we send enquire_link; 0 = never.
    pub enquire_link_interval_ms: u64,
    /// Silence after which the session is closed; 0 = never.
    pub inactivity_timeout_ms: u64,
    /// From a request of ours to its response, and the longest that our unbind waits for open ones.
    pub response_timeout_ms: u64,
    /// From our unbind to unbind_resp, and from the SMSC's unbind to ours if something is still open.
    pub unbind_timeout_ms: u64,
    /// Largest command_length once bound.
    pub pdu_bytes_max: usize,
}

impl EsmeSettings {
    pub(super) const fn link_timers(&self) -> LinkTimers {
        LinkTimers {
            enquire_link_interval_ms: self.enquire_link_interval_ms,
            inactivity_timeout_ms: self.inactivity_timeout_ms,
            response_timeout_ms: self.response_timeout_ms,
        }
    }
}

impl fmt::Debug for EsmeSettings {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EsmeSettings")
            .field("system_id", &self.system_id.escape_ascii().to_string())
            .field("version", &self.version)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// What a bind led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundTo<'a> {
    /// The SMSC's name.
    pub system_id: &'a [u8],
    /// As what we are bound.
    pub mode: BindMode,
    /// The version that both speak.
    pub version: InterfaceVersion,
}

/// A deliver_sm that is well-formed and allowed in the session's state.
#[derive(Clone, Copy, Debug)]
pub struct DeliverRequest<'a> {
    /// Where the answer goes.
    pub origin: Origin,
    /// The session's effective version.
    pub version: InterfaceVersion,
    /// The decoded body.
    pub sm: &'a DeliverSm<'a>,
    /// The body as it came.
    pub body: &'a [u8],
}

/// What became of a deliver_sm at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverDisposition {
    /// Decided.
    Answered(CommandStatus),
    /// The answer comes through [`super::EsmeSession::deliver_result`].
    InFlight,
    /// There is no room: the request stays unread, and so does everything after it.
    Stall(StallReason),
}

/// Why a submission was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitRefusal {
    /// As many await their response as the window allows.
    WindowFull,
    /// The session may not submit: not bound (any more), or bound as receiver.
    NotBound,
}

/// The outcome of a submission that was sent. Each gets exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitOutcome<'a> {
    /// The SMSC answered.
    Answered {
        /// Its verdict.
        status: CommandStatus,
        /// The SMSC's id of the message; empty if it gave none.
        message_id: &'a [u8],
        /// From written to answered, in nanoseconds.
        nanos: u64,
    },
    /// It did not answer within the response timer.
    TimedOut,
    /// The session ended before the answer: the SMSC may have taken the message or not.
    Unknown,
}

/// All that an ESME session asks of its shell.
pub trait EsmePort: Output {
    /// The SMSC accepted the bind.
    fn bound(&mut self, bound: &BoundTo<'_>);
    /// Takes a delivery in.
    fn deliver(&mut self, deliver: &DeliverRequest<'_>) -> DeliverDisposition;
    /// Reports the outcome of a submission.
    fn submit_outcome(&mut self, token: DeliveryToken, outcome: SubmitOutcome<'_>);
    /// The session takes no more submissions; what is under way may still be answered.
    fn submissions_off(&mut self);
}
