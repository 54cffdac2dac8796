//! The SMSC's side of a session: states, the bind, dispatch of what an ESME sends, windows, timers, unbind.
//!
//! ```text
//!   Open ──bind──▶ Authenticating ──▶ Bound ──our unbind──▶ Unbinding ──unbind_resp──┐
//!     └──────────────(at once)─────────▲ └──ESME's unbind──────────────────────▶ Draining ──nothing open──▶ Closing
//! ```
//!
//! *Closing* means that what is queued still goes out, then the socket is shut down. Only a broken frame, a refused
//! bind, a timer or too many errors before a bind lead there from any state (promise 8).

mod congestion;
mod data_sm;
mod multi;
mod operations;
mod refusal;
mod throttle;

use std::collections::VecDeque;

use operations::OpenOperation;

use super::compat::Compat;
use super::link::{Link, LinkTimers, Verdict};
use super::port::{
    Authentication, BindMode, BindRequest, CloseReason, DataSmUse, DeliveryResult, Disposition, Fact, Grant,
    Origin, Output, Port, StallReason, SubmitRequest,
};
use super::received::{Flow, Received, Stop};
use super::window::{Open, Window};
use super::wire::{self, header, respond, send_header};
use crate::base::{AccountId, DeliveryToken, MessageId, SessionHandle, SubmitOperation, Time};
use crate::limits::{HEADER_LEN, PDU_BYTES_MAX_UNBOUND, UNBOUND_ERRORS_MAX, UNBOUND_PDUS_MAX};
use crate::smpp::frame::{self, Frame, FrameStep};
use multi::OpenMultis;
use throttle::Throttle;

use crate::smpp::{
    Bind, CommandId, CommandStatus, DecodeError, Header, InterfaceVersion, Outbind, PduBody, SubmitSm, Tlvs,
};

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

/// A delivery that waits.
#[derive(Clone, Copy, Debug)]
struct Held {
    token: DeliveryToken,
    body_len: u32,
    by: CommandId,
    /// Behind which submit_multi.
    mark: u32,
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

    /// A pending bind has been judged. Returns why to close, if it was refused.
    pub fn authenticated(
        &mut self,
        verdict: Result<Grant, CommandStatus>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        let State::Authenticating { mode, sequence_number } = self.state else { return None };
        match verdict {
            Ok(grant) => {
                self.bind(&grant, mode, sequence_number, now, settings, port);
                None
            }
            Err(status) => {
                self.refuse_bind(mode, sequence_number, status, port);
                self.state = State::Closing(CloseReason::BindRefused);
                Some(CloseReason::BindRefused)
            }
        }
    }

    /// A submission that was in flight has been decided. Returns why to close, if that was all a drain waited for.
    pub fn submit_result(
        &mut self,
        operation: SubmitOperation,
        sequence_number: u32,
        result: Result<MessageId, CommandStatus>,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        if let State::Closing(_) = self.state {
            // The last word has been said.
            return None;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answer_submit(operation, sequence_number, result, port);
        self.finish_drain(port)
    }

    /// Sends a delivery by `by`, deliver_sm or data_sm, or holds it until the window has room and no submit_multi is under
    /// way that it must not overtake. `body_len` octets come from `write`. False: this session takes no deliveries (any
    /// more).
    pub fn deliver(
        &mut self,
        token: DeliveryToken,
        by: CommandId,
        body_len: usize,
        now: Time,
        port: &mut impl Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if !self.takes_deliveries() {
            return false;
        }
        if self.held.is_empty() && self.multis.is_empty() {
            let open = Open { token, sequence_number: self.next_sequence, sent_at: now };
            if self.window.insert(open) {
                self.send_request(by, body_len, port, write);
                self.delivered += 1;
                return true;
            }
        }
        // Rare: more shards than window, or a submit_multi. The credit of each shard bounds what can be held.
        let mut body = Vec::with_capacity(body_len);
        write(&mut body);
        let held = Held { token, body_len: body.len() as u32, by, mark: self.multis.mark() };
        self.held.push_back(held);
        self.held_bytes.extend(body);
        true
    }

    /// Sends an alert_notification, which has no response, if this session takes such (any more). `body_len` octets come
    /// from `write`.
    pub fn alert(
        &mut self,
        body_len: usize,
        port: &mut impl Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let takes = self.takes_deliveries() && self.version.has_tlvs();
        if takes {
            self.send_request(CommandId::ALERT_NOTIFICATION, body_len, port, write);
        }
        takes
    }

    /// Whether anything is delivered by data_sm here.
    pub const fn uses_data_sm(&self) -> bool {
        (self.compat.data_sm.messages || self.compat.data_sm.receipts) && self.version.has_tlvs()
    }

    /// By which request a message is delivered here, or a receipt.
    pub const fn delivers_by(&self, is_receipt: bool) -> CommandId {
        let DataSmUse { messages, receipts } = self.compat.data_sm;
        let data_sm = if is_receipt { receipts } else { messages };
        if data_sm && self.version.has_tlvs() { CommandId::DATA_SM } else { CommandId::DELIVER_SM }
    }

    /// Its account has changed: from now on it is spoken to like this.
    pub const fn set_compat(&mut self, compat: Compat) {
        self.compat = compat;
    }

    /// Asks the ESME to unbind (shutdown, or an administrator). Returns why to close at once if it isn't bound.
    pub fn unbind(
        &mut self,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        match self.state {
            State::Bound => {
                self.state = State::Unbinding { deadline: now.plus_millis(settings.unbind_timeout_ms) };
                self.send_request(CommandId::UNBIND, 0, port, |_| ());
                self.stop_deliveries(port);
                None
            }
            State::Unbinding { .. } | State::Draining { .. } => None,
            State::Open | State::Authenticating { .. } => {
                self.state = State::Closing(CloseReason::Unbound);
                Some(CloseReason::Unbound)
            }
            State::Closing(reason) => Some(reason),
        }
    }

    /// The connection is gone or given up: tells the port that the bind has ended. What was delivered and not
    /// answered is the shards' to redeliver once they learn of it.
    pub fn closed(&mut self, reason: CloseReason, port: &mut impl Port) {
        self.return_held(port);
        // Not the state: a session that has unbound in order is on its way out already.
        if self.account().is_some() {
            port.fact(Fact::Unbound(self.mode));
        }
        self.account = AccountId(u16::MAX);
        self.state = State::Closing(reason);
    }

    /// The first timer that can fire.
    pub fn next_deadline(&mut self, settings: &SessionSettings) -> Time {
        match self.state {
            State::Open | State::Authenticating { .. } => {
                self.opened_at.plus_millis(settings.session_init_timeout_ms)
            }
            State::Unbinding { deadline } => deadline.min(self.throttle.retry_at()),
            State::Draining { deadline, .. } => deadline,
            State::Closing(_) => Time::NEVER,
            State::Bound => {
                let mut first = self.link.next_deadline(&settings.link_timers());
                first = first.min(self.throttle.retry_at());
                if let Some(open) = self.window.oldest() {
                    first = first.min(open.sent_at.plus_millis(settings.response_timeout_ms));
                }
                first
            }
        }
    }

    /// Whether a deadline has come nearer since this was asked last: the shell's timer may be set too late. One that
    /// has only moved away is found out when that timer fires.
    pub const fn take_deadline_moved(&mut self) -> bool {
        std::mem::replace(&mut self.deadline_moved, false)
    }

    /// Runs the timers that are due. Returns why to close, if one says so.
    pub fn on_timer(
        &mut self,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        self.throttle.run_timer(now);
        match self.state {
            State::Open | State::Authenticating { .. } => (now
                >= self.opened_at.plus_millis(settings.session_init_timeout_ms))
            .then_some(CloseReason::SessionInitTimeout),
            State::Unbinding { deadline } => (now >= deadline).then_some(CloseReason::UnbindTimeout),
            State::Draining { deadline, .. } => {
                if now >= deadline {
                    // What is still open has an unknown outcome for the ESME, but it gets its unbind_resp.
                    self.in_flight = 0;
                    self.operations.clear();
                }
                self.finish_drain(port)
            }
            State::Closing(reason) => Some(reason),
            State::Bound => self.bound_timers(now, settings, port),
        }
    }

    /// Whether it has passed a bind and not ended.
    pub const fn is_bound(&self) -> bool {
        matches!(self.state, State::Bound | State::Unbinding { .. } | State::Draining { .. })
    }

    /// Whether a bind is being judged.
    pub const fn is_authenticating(&self) -> bool {
        matches!(self.state, State::Authenticating { .. })
    }

    /// Whether deliver_sm may be handed to it.
    pub const fn takes_deliveries(&self) -> bool {
        matches!(self.state, State::Bound) && self.mode.receives()
    }

    /// Whose session, once bound.
    pub fn account(&self) -> Option<AccountId> {
        (self.account.0 != u16::MAX).then_some(self.account)
    }

    /// As what it is bound.
    pub const fn mode(&self) -> BindMode {
        self.mode
    }

    /// The effective version.
    pub const fn version(&self) -> InterfaceVersion {
        self.version
    }

    /// interface_version as the ESME gave it.
    pub const fn interface_version(&self) -> u8 {
        self.interface_version
    }

    /// When it bound, and when it last sent an octet that made a PDU.
    pub const fn times(&self) -> (Time, Time) {
        (self.bound_at, self.link.last_received_at())
    }

    /// Submissions that await our response, and the most allowed.
    pub const fn in_flight(&self) -> (u32, u32) {
        (self.in_flight, self.in_flight_max)
    }

    /// Requests of ours that await a response, and the most allowed.
    pub const fn deliver_window(&self) -> (u32, u32) {
        (self.window.open(), self.window.max())
    }

    /// Submissions received and deliveries sent.
    pub const fn totals(&self) -> (u64, u64) {
        (self.submitted, self.delivered)
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

    fn submit_sm(&mut self, frame: &Frame<'_>, now: Time, port: &mut impl Port) -> Flow {
        let may_submit =
            matches!(self.state, State::Bound | State::Unbinding { .. }) && self.mode.transmits();
        if !may_submit {
            return self.wrong_state(frame, port);
        }
        if self.in_flight >= self.in_flight_max {
            return Flow::Stall(StallReason::Window);
        }
        let operation = SubmitOperation::SubmitSm;
        let sequence_number = frame.header.sequence_number;
        let decoded = SubmitSm::decode(frame.body)
            .and_then(|sm| crate::smpp::validate_submit(&sm, self.version).map(|()| sm));
        let sm = match decoded {
            Ok(sm) => sm,
            Err(error) => return self.malformed(operation, sequence_number, error, port),
        };
        let origin = Origin { session: self.handle, sequence_number, operation, received_at: now };
        let request =
            SubmitRequest { origin, account: self.account, version: self.version, sm: &sm, body: frame.body };
        let disposition = port.submit(&request);
        let disposition = self.throttled(disposition, now);
        self.submitted(operation, sequence_number, disposition, port)
    }

    /// Answers a submission whose body is not one.
    fn malformed(
        &mut self,
        operation: SubmitOperation,
        sequence_number: u32,
        error: DecodeError,
        port: &mut impl Port,
    ) -> Flow {
        port.fact(Fact::MalformedPdu);
        self.submitted(operation, sequence_number, Disposition::Answered(Err(error.status)), port)
    }

    /// Counts a submission, and answers it if it is decided. One that stalls comes again.
    #[inline]
    fn submitted(
        &mut self,
        operation: SubmitOperation,
        sequence_number: u32,
        disposition: Disposition,
        port: &mut impl Port,
    ) -> Flow {
        match disposition {
            Disposition::Answered(result) => self.answer_submit(operation, sequence_number, result, port),
            Disposition::InFlight => self.in_flight += 1,
            Disposition::Stall(reason) => return Flow::Stall(reason),
            Disposition::OverRate { .. } => {
                let result = Err(CommandStatus::ESME_RTHROTTLED);
                self.answer_submit(operation, sequence_number, result, port);
            }
        }
        port.fact(Fact::Submitted);
        self.submitted += 1;
        Flow::Next
    }

    fn answer_submit(
        &self,
        operation: SubmitOperation,
        sequence_number: u32,
        result: Result<MessageId, CommandStatus>,
        port: &mut impl Output,
    ) {
        let command_id = match operation {
            SubmitOperation::SubmitSm | SubmitOperation::SubmitMulti => CommandId::SUBMIT_SM_RESP,
            SubmitOperation::DataSm => CommandId::DATA_SM_RESP,
        };
        match result {
            Ok(message_id) => {
                let text = self.compat.ids.response.text(message_id);
                let congestion = self.congestion_tlv(port);
                let len = HEADER_LEN + text.as_bytes().len() + 1 + congestion.as_bytes().len();
                port.send(len, |out| {
                    let header = header(command_id, CommandStatus::ESME_ROK, sequence_number, len);
                    out.extend_from_slice(&header.encode());
                    out.extend_from_slice(text.as_bytes());
                    out.push(0);
                    out.extend_from_slice(congestion.as_bytes());
                });
                port.fact(Fact::SubmitAnswered(CommandStatus::ESME_ROK));
            }
            Err(status) => {
                self.refuse(command_id, status, sequence_number, port);
                port.fact(Fact::SubmitAnswered(status.for_version(self.version)));
            }
        }
    }

    fn peer_bind(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Flow {
        let Some(mode) = BindMode::of_command(frame.header.command_id) else { return Flow::Next };
        if self.state != State::Open {
            port.fact(Fact::WrongState);
            respond(frame, CommandStatus::ESME_RALYBND, port);
            return Flow::Next;
        }
        let sequence_number = frame.header.sequence_number;
        let bind = match Bind::decode(frame.body) {
            Ok(bind) => bind,
            Err(error) => {
                port.fact(Fact::MalformedPdu);
                self.refuse_bind(mode, sequence_number, error.status, port);
                return Flow::Close(CloseReason::BindRefused);
            }
        };
        self.mode = mode;
        self.interface_version = bind.interface_version;
        self.version = InterfaceVersion::from_octet(bind.interface_version).min(settings.version_max);
        self.address_range = bind.address_range.into();
        let request = BindRequest {
            system_id: bind.system_id,
            password: bind.password,
            mode,
            address_range: bind.address_range,
            interface_version: bind.interface_version,
        };
        match port.authenticate(&request) {
            Authentication::Accepted(grant) => {
                self.bind(&grant, mode, sequence_number, now, settings, port);
                Flow::Next
            }
            Authentication::Refused(status) => {
                self.refuse_bind(mode, sequence_number, status, port);
                Flow::Close(CloseReason::BindRefused)
            }
            Authentication::Pending => {
                self.state = State::Authenticating { mode, sequence_number };
                Flow::Next
            }
        }
    }

    fn bind(
        &mut self,
        grant: &Grant,
        mode: BindMode,
        sequence_number: u32,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) {
        self.state = State::Bound;
        self.account = grant.account;
        self.in_flight_max = grant.window;
        self.window = Window::new(grant.deliver_window);
        self.compat = grant.compat;
        self.bound_at = now;
        self.deadline_moved = true;
        // Below 3.4 no TLV may be sent; from there on sc_interface_version says what was agreed.
        let tlv: &[u8] =
            if self.version.has_tlvs() { &[0x02, 0x10, 0x00, 0x01, self.version.octet()] } else { &[] };
        let len = HEADER_LEN + settings.system_id.len() + 1 + tlv.len();
        port.send(len, |out| {
            let command_id = mode.command_id().response();
            out.extend_from_slice(
                &header(command_id, CommandStatus::ESME_ROK, sequence_number, len).encode(),
            );
            out.extend_from_slice(&settings.system_id);
            out.push(0);
            out.extend_from_slice(tlv);
        });
        let address_range = std::mem::take(&mut self.address_range);
        port.bound(grant, mode, self.version, &address_range);
        self.address_range = address_range;
        // After the port knows whose session it is: it counts this for the account too.
        port.fact(Fact::Bound(mode));
    }

    fn refuse_bind(
        &self,
        mode: BindMode,
        sequence_number: u32,
        status: CommandStatus,
        port: &mut impl Output,
    ) {
        send_header(mode.command_id().response(), status, sequence_number, port);
        port.fact(Fact::BindRefused(status));
    }

    fn peer_unbind(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Flow {
        match self.state {
            State::Bound | State::Unbinding { .. } => {
                self.stop_deliveries(port);
                let deadline = now.plus_millis(settings.unbind_timeout_ms);
                self.state = State::Draining { unbind: Some(frame.header.sequence_number), deadline };
                self.deadline_moved = true;
                self.finish_drain(port).map_or(Flow::Next, Flow::Close)
            }
            _ => self.wrong_state(frame, port),
        }
    }

    /// Ends a drain once every submission is answered.
    fn finish_drain(&mut self, port: &mut impl Output) -> Option<CloseReason> {
        let State::Draining { unbind, .. } = self.state else { return None };
        if self.in_flight > 0 {
            return None;
        }
        if let Some(sequence_number) = unbind {
            send_header(CommandId::UNBIND_RESP, CommandStatus::ESME_ROK, sequence_number, port);
        }
        self.state = State::Closing(CloseReason::Unbound);
        Some(CloseReason::Unbound)
    }

    fn deliver_resp(&mut self, header: &Header, now: Time, port: &mut impl Port) {
        let Some(open) = self.window.remove(header.sequence_number) else {
            port.fact(Fact::UnmatchedResponse);
            return;
        };
        port.fact(Fact::DeliverAnswered { nanos: now.nanos_since(open.sent_at) });
        port.delivery_result(open.token, DeliveryResult::Answered(header.command_status));
        self.send_held(now, port);
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

    fn bound_timers(
        &mut self,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        let verdict = self.link.check(now, &settings.link_timers());
        if verdict == Verdict::Gone {
            return Some(CloseReason::Inactive);
        }
        while let Some(open) = self.window.oldest() {
            if now < open.sent_at.plus_millis(settings.response_timeout_ms) {
                break;
            }
            port.fact(Fact::ResponseTimeout);
            if self.compat.closes_unanswered {
                return Some(CloseReason::Unanswered);
            }
            self.window.remove(open.sequence_number);
            port.delivery_result(open.token, DeliveryResult::TimedOut);
        }
        self.send_held(now, port);
        if verdict == Verdict::Enquire {
            self.enquire(now, port);
            self.window.release_if_idle();
        }
        None
    }

    /// Asks the ESME whether it is still there, unless it has been asked already.
    pub fn enquire(&mut self, now: Time, port: &mut impl Output) {
        if self.state == State::Bound && !self.link.is_asked() {
            let sequence_number = self.send_request(CommandId::ENQUIRE_LINK, 0, port, |_| ());
            self.link.enquired(sequence_number, now);
            self.deadline_moved = true;
        }
    }

    /// Whether the ESME has sent anything since then, or waits for us to read what it has sent.
    pub fn is_heard_since(&self, at: Time) -> bool {
        self.link.is_heard_since(at)
    }

    fn send_held(&mut self, now: Time, port: &mut impl Output) {
        while self.window.has_room() && self.takes_deliveries() {
            let Some(&held) = self.held.front() else { return };
            let open = Open { token: held.token, sequence_number: self.next_sequence, sent_at: now };
            if !self.multis.is_past(held.mark) || !self.window.insert(open) {
                return;
            }
            self.held.pop_front();
            let body: Vec<u8> = self.held_bytes.drain(..held.body_len as usize).collect();
            self.send_request(held.by, body.len(), port, |out| out.extend_from_slice(&body));
            self.delivered += 1;
        }
    }

    /// From here on the session takes no deliveries; those sent may still be answered.
    fn stop_deliveries(&mut self, port: &mut impl Port) {
        if self.mode.receives() {
            port.deliveries_off();
        }
        self.return_held(port);
    }

    /// Gives back what was held and never sent.
    fn return_held(&mut self, port: &mut impl Port) {
        for held in self.held.drain(..) {
            port.delivery_result(held.token, DeliveryResult::NotSent);
        }
        self.held_bytes.clear();
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
