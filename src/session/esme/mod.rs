//! The other role: this daemon as an ESME of an upstream SMSC.
//!
//! ```text
//!   Open ──bind──▶ Binding ──bind_resp──▶ Bound ──our unbind──▶ Draining ──nothing open──▶ Unbinding ──unbind_resp──┐
//!                                           └──SMSC's unbind──▶ Draining ──nothing open, unbind_resp──▶ Closing ◀──┘
//! ```
//!
//! Nothing open means: every submission answered or timed out, and every delivery answered. What a deadline cuts off
//! is reported as of unknown outcome when the session is closed.

mod port;

use super::link::{Link, Verdict};
use super::port::{BindMode, CloseReason, Fact, Origin, Output, StallReason};
use super::received::{Flow, Received, Stop};
use super::window::{Open, Window};
use super::wire::{self, header, respond, send_header};
use crate::base::{DeliveryToken, SessionHandle, Time};
use crate::limits::{HEADER_LEN, PDU_BYTES_MAX_UNBOUND};
use crate::smpp::frame::{self, Frame, FrameStep};
use crate::smpp::{
    Bind, BindResp, CommandId, CommandStatus, DeliverSm, Header, InterfaceVersion, PduBody, SubmitSmResp,
};

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
        self.state = State::Binding { mode, sequence_number, deadline };
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
                    self.state = State::Closing(reason);
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
                    self.state = State::Closing(reason);
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
                self.state = State::Draining { unbind: None, deadline };
                self.finish_drain(now, settings, port)
            }
            State::Draining { .. } | State::Unbinding { .. } => None,
            State::Open | State::Binding { .. } => {
                self.state = State::Closing(CloseReason::Unbound);
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
        self.state = State::Closing(reason);
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

    fn pdu(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        match frame.header.command_id {
            CommandId::SUBMIT_SM_RESP => return self.submit_resp(frame, now, settings, port),
            CommandId::DELIVER_SM => return self.deliver_sm(frame, now, settings, port),
            CommandId::ENQUIRE_LINK => respond(frame, CommandStatus::ESME_ROK, port),
            CommandId::ENQUIRE_LINK_RESP if self.link.answered(frame.header.sequence_number) => (),
            CommandId::GENERIC_NACK => return self.generic_nack(&frame.header, now, settings, port),
            // Any of the three: some SMSCs answer a bind_receiver with a bind_transmitter_resp.
            CommandId::BIND_TRANSMITTER_RESP
            | CommandId::BIND_RECEIVER_RESP
            | CommandId::BIND_TRANSCEIVER_RESP => {
                return self.bind_resp(frame, settings, port);
            }
            CommandId::UNBIND => return self.peer_unbind(frame, now, settings, port),
            CommandId::UNBIND_RESP if matches!(self.state, State::Unbinding { .. }) => {
                return Flow::Close(CloseReason::Unbound);
            }
            // Without a response, and nothing waits for it.
            CommandId::ALERT_NOTIFICATION if self.takes_deliveries() => (),
            CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => port.fact(Fact::WrongState),
            id if id.is_response() => port.fact(Fact::UnmatchedResponse),
            id if !id.is_known() => {
                port.fact(Fact::UnknownCommand);
                let sequence_number = frame.header.sequence_number;
                send_header(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, sequence_number, port);
            }
            CommandId::DATA_SM if self.takes_deliveries() => {
                port.fact(Fact::UnknownCommand);
                respond(frame, CommandStatus::ESME_RINVCMDID, port);
            }
            _ => wrong_state(frame, port),
        }
        Flow::Next
    }

    fn bind_resp(&mut self, frame: &Frame<'_>, settings: &EsmeSettings, port: &mut impl EsmePort) -> Flow {
        let State::Binding { mode, sequence_number: asked, .. } = self.state else {
            return unmatched(port);
        };
        if frame.header.sequence_number != asked {
            return unmatched(port);
        }
        if !frame.header.command_status.is_ok() {
            port.fact(Fact::BindRefused(frame.header.command_status));
            return Flow::Close(CloseReason::BindRefused);
        }
        // We are let in: a body that can't be read costs its name and its version only.
        let resp = BindResp::decode(frame.body).unwrap_or_else(|_| {
            port.fact(Fact::MalformedPdu);
            BindResp::default()
        });
        self.version = settings.version.min(resp.sc_interface_version());
        self.state = State::Bound;
        self.mode = Some(mode);
        self.window = Window::new(settings.window);
        port.fact(Fact::Bound(mode));
        port.bound(&BoundTo { system_id: resp.system_id, mode, version: self.version });
        Flow::Next
    }

    fn submit_resp(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let resp = SubmitSmResp::decode(frame.body).unwrap_or_else(|_| {
            port.fact(Fact::MalformedPdu);
            SubmitSmResp::default()
        });
        self.submission_answered(&frame.header, resp.message_id, now, settings, port)
    }

    fn submission_answered(
        &mut self,
        header: &Header,
        message_id: &[u8],
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let Some(open) = self.window.remove(header.sequence_number) else { return unmatched(port) };
        let nanos = now.nanos_since(open.sent_at);
        let outcome = SubmitOutcome::Answered { status: header.command_status, message_id, nanos };
        port.submit_outcome(open.token, outcome);
        self.finish_drain(now, settings, port).map_or(Flow::Next, Flow::Close)
    }

    fn generic_nack(
        &mut self,
        header: &Header,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let status =
            if header.command_status.is_ok() { CommandStatus::ESME_RSYSERR } else { header.command_status };
        match self.state {
            // Nothing else of ours is open, so a number of 0 means the bind too.
            State::Binding { sequence_number, .. }
                if [0, sequence_number].contains(&header.sequence_number) =>
            {
                port.fact(Fact::BindRefused(status));
                Flow::Close(CloseReason::BindRefused)
            }
            _ if self.link.answered(header.sequence_number) => Flow::Next,
            _ => {
                let header = Header { command_status: status, ..*header };
                self.submission_answered(&header, &[], now, settings, port)
            }
        }
    }

    fn deliver_sm(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        if !self.takes_deliveries() {
            wrong_state(frame, port);
            return Flow::Next;
        }
        if self.delivering >= settings.deliver_window {
            return Flow::Stall(StallReason::Window);
        }
        let sequence_number = frame.header.sequence_number;
        let sm = match DeliverSm::decode(frame.body) {
            Ok(sm) => sm,
            Err(error) => {
                port.fact(Fact::MalformedPdu);
                self.answer_deliver(sequence_number, error.status, port);
                return Flow::Next;
            }
        };
        let origin = Origin { session: self.handle, sequence_number, received_at: now };
        let request = DeliverRequest { origin, version: self.version, sm: &sm, body: frame.body };
        match port.deliver(&request) {
            DeliverDisposition::Answered(status) => self.answer_deliver(sequence_number, status, port),
            DeliverDisposition::InFlight => self.delivering += 1,
            DeliverDisposition::Stall(reason) => return Flow::Stall(reason),
        }
        Flow::Next
    }

    fn answer_deliver(&self, sequence_number: u32, status: CommandStatus, port: &mut impl Output) {
        if !status.is_ok() {
            let status = status.for_version(self.version);
            return send_header(CommandId::DELIVER_SM_RESP, status, sequence_number, port);
        }
        // message_id is one NUL: some SMSCs drop the link over anything else.
        let len = HEADER_LEN + 1;
        port.send(len, |out| {
            let header = header(CommandId::DELIVER_SM_RESP, CommandStatus::ESME_ROK, sequence_number, len);
            out.extend_from_slice(&header.encode());
            out.push(0);
        });
    }

    fn peer_unbind(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let sequence_number = frame.header.sequence_number;
        let deadline = now.plus_millis(settings.unbind_timeout_ms);
        match self.state {
            State::Bound => port.submissions_off(),
            State::Draining { unbind: None, .. } => (),
            State::Unbinding { .. } => {
                // Both asked at once: ours still gets its answer.
                send_header(CommandId::UNBIND_RESP, CommandStatus::ESME_ROK, sequence_number, port);
                return Flow::Next;
            }
            _ => {
                wrong_state(frame, port);
                return Flow::Next;
            }
        }
        self.state = State::Draining { unbind: Some(sequence_number), deadline };
        self.finish_drain(now, settings, port).map_or(Flow::Next, Flow::Close)
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
            self.state = State::Closing(CloseReason::Unbound);
            return Some(CloseReason::Unbound);
        }
        self.send_request(CommandId::UNBIND, 0, port, |_| ());
        self.state = State::Unbinding { deadline: now.plus_millis(settings.unbind_timeout_ms) };
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

    /// Whether deliver_sm is expected: the SMSC's own unbind ends that, ours does not until it is answered.
    fn takes_deliveries(&self) -> bool {
        let state = matches!(
            self.state,
            State::Bound | State::Draining { unbind: None, .. } | State::Unbinding { .. }
        );
        state && self.mode.is_some_and(BindMode::receives)
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

fn wrong_state(frame: &Frame<'_>, port: &mut impl Output) {
    port.fact(Fact::WrongState);
    respond(frame, CommandStatus::ESME_RINVBNDSTS, port);
}

fn unmatched(port: &mut impl Output) -> Flow {
    port.fact(Fact::UnmatchedResponse);
    Flow::Next
}
