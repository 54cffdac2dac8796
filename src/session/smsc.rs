//! The SMSC's side of a session: states, the bind, dispatch of what an ESME sends, windows, timers, unbind.
//!
//! ```text
//!   Open ──bind──▶ Authenticating ──▶ Bound ──our unbind──▶ Unbinding ──unbind_resp──┐
//!     └──────────────(at once)─────────▲ └──ESME's unbind──────────────────────▶ Draining ──nothing open──▶ Closing
//! ```
//!
//! *Closing* means that what is queued still goes out, then the socket is shut down. Only a broken frame, a refused
//! bind, a timer or too many errors before a bind lead there from any state (promise 8).

mod bind;
mod congestion;
mod data_sm;
mod deliver;
mod end;
mod multi;
mod operations;
mod refusal;
mod submit;
mod throttle;
mod timers;
mod transaction;
mod view;

use std::collections::VecDeque;

use super::compat::Compat;
use super::link::{Link, LinkTimers};
use super::port::{BindMode, CloseReason, Fact, Output, Port, StallReason};
use super::received::{Flow, Received, Stop};
use super::window::Window;
use super::wire::{self, respond, send_header};
use crate::base::{AccountId, SessionHandle, Time};
use crate::limits::{PDU_BYTES_MAX_UNBOUND, UNBOUND_ERRORS_MAX, UNBOUND_PDUS_MAX};
use crate::smpp::frame::{self, Frame, FrameStep};
use crate::smpp::{CommandId, CommandStatus, Header, InterfaceVersion, Outbind, PduBody, Tlvs};
use deliver::Held;
use multi::OpenMultis;
use operations::OpenOperation;
use throttle::Throttle;

/// What all sessions of one listener share. Times are in milliseconds; 0 switches a timer off where said so.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Our system_id in bind responses; at most 15 octets.
    pub system_id: Vec<u8>,
    /// The highest version that we speak.
    pub version_max: InterfaceVersion,
    /// From connect to bind.
    pub session_init_timeout_ms: u64,
    /// Silence after which we send enquire_link; 0 = never.
    pub enquire_link_interval_ms: u64,
    /// Silence after which the session is closed; 0 = never.
    pub inactivity_timeout_ms: u64,
    /// From a request of ours to its response.
    pub response_timeout_ms: u64,
    /// From our unbind to unbind_resp, and from the ESME's unbind to ours if something is still open.
    pub unbind_timeout_ms: u64,
    /// Largest command_length once bound.
    pub pdu_bytes_max: usize,
    /// Whether an enquire_link before the bind is answered.
    pub enquire_link_before_bind: bool,
}

impl SessionSettings {
    const fn link_timers(&self) -> LinkTimers {
        LinkTimers {
            enquire_link_interval_ms: self.enquire_link_interval_ms,
            inactivity_timeout_ms: self.inactivity_timeout_ms,
            response_timeout_ms: self.response_timeout_ms,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Authenticating {
        mode: BindMode,
        sequence_number: u32,
    },
    Bound,
    Unbinding {
        deadline: Time,
    },
    /// Answers to submissions still go out, then the unbind_resp if the ESME's unbind asked for one.
    Draining {
        unbind: Option<u32>,
        deadline: Time,
    },
    Closing(CloseReason),
}

/// One session. Held by value in its worker's table.
#[derive(Debug)]
pub struct Session {
    handle: SessionHandle,
    state: State,
    mode: BindMode,
    version: InterfaceVersion,
    interface_version: u8,
    account: AccountId,
    /// Submissions that await our response.
    in_flight: u32,
    in_flight_max: u32,
    /// Those of them that are operations on stored messages.
    operations: Vec<OpenOperation>,
    next_ticket: u32,
    next_sequence: u32,
    opened_at: Time,
    bound_at: Time,
    link: Link,
    unbound_errors: u32,
    unbound_pdus: u32,
    /// A deadline has come nearer than [`Session::next_deadline`] said last.
    deadline_moved: bool,
    window: Window,
    multis: OpenMultis,
    compat: Compat,
    throttle: Throttle,
    /// Deliveries that wait for the window or behind a submit_multi, already encoded without a header.
    held: VecDeque<Held>,
    held_bytes: VecDeque<u8>,
    address_range: Box<[u8]>,
    submitted: u64,
    delivered: u64,
}

impl Session {
    /// A session on a connection just accepted.
    pub fn new(handle: SessionHandle, now: Time) -> Self {
        Self {
            handle,
            state: State::Open,
            mode: BindMode::Transmitter,
            version: InterfaceVersion::V33,
            interface_version: 0,
            account: AccountId(u16::MAX),
            in_flight: 0,
            in_flight_max: 0,
            operations: Vec::new(),
            next_ticket: 0,
            next_sequence: 1,
            opened_at: now,
            bound_at: now,
            link: Link::new(now),
            unbound_errors: 0,
            unbound_pdus: 0,
            deadline_moved: false,
            window: Window::new(0),
            multis: OpenMultis::default(),
            compat: Compat::default(),
            throttle: Throttle::new(),
            held: VecDeque::new(),
            held_bytes: VecDeque::new(),
            address_range: Box::default(),
            submitted: 0,
            delivered: 0,
        }
    }

    /// Asks the ESME at the other end to bind (3.4 section 4.1.7): on a connection that we have opened, before anything else.
    /// It has no response.
    pub fn outbind(&mut self, system_id: &[u8], password: &[u8], port: &mut impl Output) {
        let outbind = Outbind { system_id, password, tlvs: Tlvs::EMPTY };
        self.send_request(CommandId::OUTBIND, outbind.body_len(), port, |out| outbind.encode_body(out));
    }

    /// Handles as many whole PDUs of `buffer` as `pdus_max`, the windows and the port allow.
    pub fn receive(
        &mut self,
        buffer: &[u8],
        pdus_max: u32,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Received {
        let mut consumed = 0;
        let mut pdus = 0;
        let stop = loop {
            if let State::Closing(reason) = self.state {
                break Stop::Close(reason);
            }
            if let State::Authenticating { .. } = self.state {
                break Stop::Stalled(StallReason::Authentication);
            }
            if pdus == pdus_max {
                break Stop::Budget;
            }
            let rest = buffer.get(consumed..).unwrap_or_default();
            let is_bound = self.is_bound();
            let bytes_max = if is_bound {
                settings.pdu_bytes_max
            } else {
                settings.pdu_bytes_max.min(PDU_BYTES_MAX_UNBOUND)
            };
            let (frame, len) = match frame::next_frame(rest, bytes_max) {
                Ok(FrameStep::Complete { frame, consumed }) => (frame, consumed),
                Ok(FrameStep::Incomplete { needed }) => break Stop::NeedMore(needed),
                Err(error) => {
                    let reason = wire::answer_broken_frame(rest, error, self.is_bound(), port);
                    self.state = State::Closing(reason);
                    break Stop::Close(reason);
                }
            };
            if !is_bound {
                self.unbound_pdus += 1;
                if self.unbound_pdus > UNBOUND_PDUS_MAX {
                    self.state = State::Closing(CloseReason::TooManyErrors);
                    break Stop::Close(CloseReason::TooManyErrors);
                }
            }
            match self.pdu(&frame, now, settings, port) {
                Flow::Next => {
                    consumed += len;
                    pdus += 1;
                }
                Flow::Stall(reason) => break Stop::Stalled(reason),
                Flow::Close(reason) => {
                    consumed += len;
                    pdus += 1;
                    self.state = State::Closing(reason);
                }
            }
        };
        let received = Received { consumed, pdus, stop };
        self.link.note(&received, now);
        received
    }

    /// Its account has changed: from now on it is spoken to like this.
    pub const fn set_compat(&mut self, compat: Compat) {
        self.compat = compat;
    }

    /// Moves on to a number that a test would else need billions of requests to reach.
    #[cfg(test)]
    pub(super) const fn set_next_sequence(&mut self, sequence_number: u32) {
        self.next_sequence = sequence_number;
    }

    fn pdu(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Flow {
        match frame.header.command_id {
            CommandId::SUBMIT_SM => self.submit_sm(frame, now, port),
            CommandId::DELIVER_SM_RESP | CommandId::DATA_SM_RESP => {
                self.deliver_resp(&frame.header, now, port);
                Flow::Next
            }
            CommandId::ENQUIRE_LINK if !self.is_bound() && !settings.enquire_link_before_bind => {
                self.wrong_state(frame, port)
            }
            CommandId::ENQUIRE_LINK => {
                respond(frame, CommandStatus::ESME_ROK, port);
                Flow::Next
            }
            CommandId::ENQUIRE_LINK_RESP => {
                if !self.link.answered(frame.header.sequence_number) {
                    port.fact(Fact::UnmatchedResponse);
                }
                self.deadline_moved = true;
                Flow::Next
            }
            CommandId::GENERIC_NACK => {
                self.generic_nack(&frame.header, now, port);
                Flow::Next
            }
            CommandId::UNBIND => self.peer_unbind(frame, now, settings, port),
            CommandId::UNBIND_RESP => match self.state {
                State::Unbinding { deadline } => {
                    self.state = State::Draining { unbind: None, deadline };
                    self.finish_drain(port).map_or(Flow::Next, Flow::Close)
                }
                _ => {
                    port.fact(Fact::UnmatchedResponse);
                    Flow::Next
                }
            },
            CommandId::BIND_TRANSMITTER | CommandId::BIND_RECEIVER | CommandId::BIND_TRANSCEIVER => {
                self.peer_bind(frame, now, settings, port)
            }
            // MC to ESME only, and without a response: nothing to answer.
            CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => {
                port.fact(Fact::WrongState);
                Flow::Next
            }
            id if id.is_response() => {
                port.fact(Fact::UnmatchedResponse);
                Flow::Next
            }
            id if !id.is_known() => {
                port.fact(Fact::UnknownCommand);
                send_header(
                    CommandId::GENERIC_NACK,
                    CommandStatus::ESME_RINVCMDID,
                    frame.header.sequence_number,
                    port,
                );
                self.unbound_error()
            }
            _ if !matches!(self.state, State::Bound | State::Unbinding { .. }) => {
                self.wrong_state(frame, port)
            }
            id if !self.may_request(id) => self.wrong_state(frame, port),
            CommandId::QUERY_SM | CommandId::CANCEL_SM | CommandId::REPLACE_SM => self.operation(frame, port),
            CommandId::BROADCAST_SM | CommandId::QUERY_BROADCAST_SM | CommandId::CANCEL_BROADCAST_SM
                if self.version >= InterfaceVersion::V50 =>
            {
                self.operation(frame, port)
            }
            CommandId::SUBMIT_MULTI => self.submit_multi(frame, now, port),
            CommandId::DATA_SM => self.data_sm(frame, now, port),
            // Known operations that this version does not have: their own response.
            _ => {
                respond(frame, CommandStatus::ESME_RINVCMDID, port);
                port.fact(Fact::UnknownCommand);
                Flow::Next
            }
        }
    }

    /// Whether a bound ESME of this kind may send the request (5.0 table 2-1; 3.4 also lets a receiver send data_sm).
    fn may_request(&self, command_id: CommandId) -> bool {
        match command_id {
            CommandId::DELIVER_SM => false,
            CommandId::DATA_SM => self.mode.transmits() || self.version < InterfaceVersion::V50,
            _ => self.mode.transmits(),
        }
    }

    fn generic_nack(&mut self, header: &Header, now: Time, port: &mut impl Port) {
        // It answers one of our requests if the number matches; never answer it (reference section 9).
        if self.link.answered(header.sequence_number) {
            self.deadline_moved = true;
        } else {
            let status = if header.command_status.is_ok() {
                CommandStatus::ESME_RSYSERR
            } else {
                header.command_status
            };
            self.deliver_resp(&Header { command_status: status, ..*header }, now, port);
        }
    }

    fn send_request(
        &mut self,
        command_id: CommandId,
        body_len: usize,
        port: &mut impl Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> u32 {
        wire::send_request(&mut self.next_sequence, command_id, body_len, port, write)
    }

    fn wrong_state(&mut self, frame: &Frame<'_>, port: &mut impl Output) -> Flow {
        port.fact(Fact::WrongState);
        let Header { command_id, sequence_number, .. } = frame.header;
        self.refuse(command_id.response(), CommandStatus::ESME_RINVBNDSTS, sequence_number, port);
        self.unbound_error()
    }

    fn unbound_error(&mut self) -> Flow {
        if self.is_bound() {
            return Flow::Next;
        }
        self.unbound_errors += 1;
        if self.unbound_errors >= UNBOUND_ERRORS_MAX {
            Flow::Close(CloseReason::TooManyErrors)
        } else {
            Flow::Next
        }
    }
}
