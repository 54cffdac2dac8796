//! The other role: this daemon as an ESME of an upstream SMSC.
//!
//! ```text
//!   Open ──bind──▶ Binding ──bind_resp──▶ Bound ──our unbind──▶ Draining ──nothing open──▶ Unbinding ──unbind_resp──┐
//!                                           └──SMSC's unbind──▶ Draining ──nothing open, unbind_resp──▶ Closing ◀──┘
//! ```
//!
//! Nothing open means: every submission answered or timed out, and every delivery answered. What a deadline cuts off
//! is reported as of unknown outcome when the session is closed.

mod pdus;
mod port;

use super::link::{Link, Verdict};
use super::port::{BindMode, CloseReason, Fact, Output};
use super::received::{Flow, Received, Stop};
use super::window::{Open, Window};
use super::wire::{self, send_header};
use crate::base::{DeliveryToken, SessionHandle, Time};
use crate::limits::PDU_BYTES_MAX_UNBOUND;
use crate::smpp::frame::{self, FrameStep};
use crate::smpp::{Bind, CommandId, CommandStatus, InterfaceVersion, PduBody};

pub use port::{
    BoundTo, DeliverDisposition, DeliverRequest, EsmePort, EsmeSettings, SubmitOutcome, SubmitRefusal,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Binding {
        mode: BindMode,
        sequence_number: u32,
        deadline: Time,
    },
    Bound,
    /// What is open is waited for; then the SMSC's unbind is answered, or ours is sent.
    Draining {
        unbind: Option<u32>,
        deadline: Time,
    },
    Unbinding {
        deadline: Time,
    },
    Closing(CloseReason),
}

/// One session towards an SMSC. Its shell connects, calls [`EsmeSession::bind`], and then feeds it.
#[derive(Debug)]
pub struct EsmeSession {
    handle: SessionHandle,
    state: State,
    /// As what it is bound, from the bind_resp until it is closed.
    mode: Option<BindMode>,
    version: InterfaceVersion,
    next_sequence: u32,
    link: Link,
    /// A deadline has come nearer than [`EsmeSession::next_deadline`] said last.
    deadline_moved: bool,
    /// Submissions that await the SMSC's response.
    window: Window,
    /// Deliveries that await ours.
    delivering: u32,
}

impl EsmeSession {
    /// A session on a connection just made.
    pub const fn new(handle: SessionHandle, now: Time) -> Self {
        Self {
            handle,
            state: State::Open,
            mode: None,
            version: InterfaceVersion::V33,
            next_sequence: 1,
            link: Link::new(now),
            deadline_moved: false,
            window: Window::new(0),
            delivering: 0,
        }
    }

    /// Asks the SMSC to be let in. False: it has been asked already.
    pub fn bind(
        &mut self,
        mode: BindMode,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl Output,
    ) -> bool {
        if self.state != State::Open {
            return false;
        }
        let bind = Bind {
            system_id: &settings.system_id,
            password: &settings.password,
            system_type: &settings.system_type,
            interface_version: settings.version.octet(),
            addr_ton: settings.addr_ton,
            addr_npi: settings.addr_npi,
            address_range: &settings.address_range,
            ..Bind::default()
        };
        let sequence_number =
            self.send_request(mode.command_id(), bind.body_len(), port, |out| bind.encode_body(out));
        let deadline = now.plus_millis(settings.bind_timeout_ms);
        self.enter(State::Binding { mode, sequence_number, deadline });
        true
    }

    /// Handles as many whole PDUs of `buffer` as `pdus_max`, the window and the port allow.
    pub fn receive(
        &mut self,
        buffer: &[u8],
        pdus_max: u32,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Received {
        let mut consumed = 0;
        let mut pdus = 0;
        let stop = loop {
            if let State::Closing(reason) = self.state {
                break Stop::Close(reason);
            }
            if pdus == pdus_max {
                break Stop::Budget;
            }
            let rest = buffer.get(consumed..).unwrap_or_default();
            let bytes_max = if self.mode.is_some() {
                settings.pdu_bytes_max
            } else {
                settings.pdu_bytes_max.min(PDU_BYTES_MAX_UNBOUND)
            };
            let (frame, len) = match frame::next_frame(rest, bytes_max) {
                Ok(FrameStep::Complete { frame, consumed }) => (frame, consumed),
                Ok(FrameStep::Incomplete { needed }) => break Stop::NeedMore(needed),
                Err(error) => {
                    let reason = wire::answer_broken_frame(rest, error, self.mode.is_some(), port);
                    self.enter(State::Closing(reason));
                    break Stop::Close(reason);
                }
            };
            match self.pdu(&frame, now, settings, port) {
                Flow::Next => {
                    consumed += len;
                    pdus += 1;
                }
                Flow::Stall(reason) => break Stop::Stalled(reason),
                Flow::Close(reason) => {
                    consumed += len;
                    pdus += 1;
                    self.enter(State::Closing(reason));
                }
            }
        };
        let received = Received { consumed, pdus, stop };
        self.link.note(&received, now);
        received
    }

    /// Sends a submission whose `body_len` octets come from `write`. Its outcome comes under `token`.
    ///
    /// # Errors
    /// Nothing was sent, and no outcome will come.
    pub fn submit_sm(
        &mut self,
        token: DeliveryToken,
        body_len: usize,
        now: Time,
        port: &mut impl Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SubmitRefusal> {
        if !self.takes_submissions() {
            return Err(SubmitRefusal::NotBound);
        }
        if !self.window.insert(Open { token, sequence_number: self.next_sequence, sent_at: now }) {
            return Err(SubmitRefusal::WindowFull);
        }
        self.send_request(CommandId::SUBMIT_SM, body_len, port, write);
        Ok(())
    }

    /// A delivery that was in flight has been decided.
    pub fn deliver_result(
        &mut self,
        sequence_number: u32,
        status: CommandStatus,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        if self.delivering == 0 || matches!(self.state, State::Closing(_)) {
            return None;
        }
        self.delivering -= 1;
        self.answer_deliver(sequence_number, status, port);
        self.finish_drain(now, settings, port)
    }

    /// Leaves in order: what is open is waited for, then unbind is sent. Returns why to close at once if not bound.
    pub fn unbind(
        &mut self,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Option<CloseReason> {
        match self.state {
            State::Bound => {
                port.submissions_off();
                let deadline = now.plus_millis(settings.response_timeout_ms);
                self.enter(State::Draining { unbind: None, deadline });
                self.finish_drain(now, settings, port)
            }
            State::Draining { .. } | State::Unbinding { .. } => None,
            State::Open | State::Binding { .. } => {
                self.enter(State::Closing(CloseReason::Unbound));
                Some(CloseReason::Unbound)
            }
            State::Closing(reason) => Some(reason),
        }
    }

    /// The connection is gone or given up: the outcome of what is still open is unknown.
    pub fn closed(&mut self, reason: CloseReason, port: &mut impl EsmePort) {
        for open in self.window.drain() {
            port.submit_outcome(open.token, SubmitOutcome::Unknown);
        }
        if let Some(mode) = self.mode.take() {
            port.fact(Fact::Unbound(mode));
        }
        self.enter(State::Closing(reason));
    }

    /// The first timer that can fire.
    pub fn next_deadline(&mut self, settings: &EsmeSettings) -> Time {
        let own = match self.state {
            State::Open | State::Closing(_) => return Time::NEVER,
            State::Binding { deadline, .. } | State::Unbinding { deadline } => return deadline,
            State::Draining { deadline, .. } => deadline,
            State::Bound => self.link.next_deadline(&settings.link_timers()),
        };
        let oldest = self.window.oldest();
        oldest.map_or(own, |open| own.min(open.sent_at.plus_millis(settings.response_timeout_ms)))
    }

    /// As [`super::Session::take_deadline_moved`]; a submission brings a deadline nearer too, and the shell knows of that.
    pub const fn take_deadline_moved(&mut self) -> bool {
        std::mem::replace(&mut self.deadline_moved, false)
    }

    /// Runs the timers that are due. Returns why to close, if one says so.
    pub fn on_timer(
        &mut self,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Option<CloseReason> {
        match self.state {
            State::Open => None,
            State::Binding { deadline, .. } => (now >= deadline).then_some(CloseReason::BindTimeout),
            State::Unbinding { deadline } => (now >= deadline).then_some(CloseReason::UnbindTimeout),
            State::Closing(reason) => Some(reason),
            State::Draining { deadline, unbind } => {
                self.time_out_submissions(now, settings, port);
                if now >= deadline {
                    self.end_drain(unbind, now, settings, port)
                } else {
                    self.finish_drain(now, settings, port)
                }
            }
            State::Bound => {
                match self.link.check(now, &settings.link_timers()) {
                    Verdict::Gone => return Some(CloseReason::Inactive),
                    Verdict::Enquire => {
                        let sequence_number = self.send_request(CommandId::ENQUIRE_LINK, 0, port, |_| ());
                        self.link.enquired(sequence_number, now);
                        self.window.release_if_idle();
                    }
                    Verdict::Fine => (),
                }
                self.time_out_submissions(now, settings, port);
                None
            }
        }
    }

    /// Whether submit_sm may be handed to it, window permitting.
    pub fn takes_submissions(&self) -> bool {
        self.state == State::Bound && self.mode.is_some_and(BindMode::transmits)
    }

    /// As what it is bound; `None` before the bind_resp and once closed.
    pub const fn mode(&self) -> Option<BindMode> {
        self.mode
    }

    /// The version that both speak, once bound.
    pub const fn version(&self) -> InterfaceVersion {
        self.version
    }

    /// When the SMSC was last heard.
    pub const fn last_received_at(&self) -> Time {
        self.link.last_received_at()
    }

    /// Submissions that await the SMSC's response, and the most allowed.
    pub const fn window(&self) -> (u32, u32) {
        (self.window.open(), self.window.max())
    }

    /// Deliveries that await our response.
    pub const fn delivering(&self) -> u32 {
        self.delivering
    }

    /// Ends a drain once nothing is open.
    fn finish_drain(
        &mut self,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        match self.state {
            State::Draining { unbind, .. } if self.window.open() == 0 && self.delivering == 0 => {
                self.end_drain(unbind, now, settings, port)
            }
            _ => None,
        }
    }

    fn end_drain(
        &mut self,
        unbind: Option<u32>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        if let Some(sequence_number) = unbind {
            send_header(CommandId::UNBIND_RESP, CommandStatus::ESME_ROK, sequence_number, port);
            self.enter(State::Closing(CloseReason::Unbound));
            return Some(CloseReason::Unbound);
        }
        self.send_request(CommandId::UNBIND, 0, port, |_| ());
        self.enter(State::Unbinding { deadline: now.plus_millis(settings.unbind_timeout_ms) });
        None
    }

    fn time_out_submissions(&mut self, now: Time, settings: &EsmeSettings, port: &mut impl EsmePort) {
        while let Some(open) = self.window.oldest() {
            if now < open.sent_at.plus_millis(settings.response_timeout_ms) {
                break;
            }
            self.window.remove(open.sequence_number);
            port.fact(Fact::ResponseTimeout);
            port.submit_outcome(open.token, SubmitOutcome::TimedOut);
        }
    }

    const fn enter(&mut self, state: State) {
        self.state = state;
        self.deadline_moved = true;
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
}
