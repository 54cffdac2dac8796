//! A shell for tests and fuzzing: an SMSC session with a port that records everything, and [`drive`], which puts it
//! through any sequence of events and checks the promises that hold whatever happens.

mod shell;
mod versions;

pub use shell::drive;
#[cfg(test)]
pub(super) use shell::{Event, Shell};
pub use versions::drive_versions;

use std::collections::{BTreeMap, VecDeque};

use crate::base::{AccountId, DeliveryToken, MessageId, SessionHandle, SubmitOperation, Time};
use crate::session::{
    Authentication, BindMode, BindRequest, CloseReason, Compat, DeliveryResult, Disposition, Fact, Grant,
    MultiRequest, OperationDisposition, OperationRequest, Origin, Output, Port, Received, Session,
    SessionSettings, Stop, SubmitRequest,
};
use crate::smpp::{
    Bind, CommandId, CommandStatus, Frame, FrameStep, InterfaceVersion, OperationAnswer, PduBody, SubmitSm,
    encode_header_only, encode_pdu, next_frame,
};

pub(super) const OK: CommandStatus = CommandStatus::ESME_ROK;
pub(super) const HANDLE: SessionHandle = SessionHandle { slot: 3, generation: 1, worker: 0 };
pub(super) const ACCOUNT: AccountId = AccountId(7);
pub(super) const MESSAGE_ID: MessageId = MessageId::from_u64(0x0123_4567_89AB_CDEF);

/// One PDU that a core sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) id: CommandId,
    pub(super) status: CommandStatus,
    pub(super) sequence_number: u32,
    pub(super) body: Vec<u8>,
}

/// The PDUs in octets that a core sent; they must be whole.
pub(super) fn pdus_of(octets: &[u8]) -> Vec<Sent> {
    let mut rest = octets;
    let mut pdus = Vec::new();
    while !rest.is_empty() {
        let Ok(FrameStep::Complete { frame, consumed }) = next_frame(rest, usize::MAX) else {
            panic!("a core sent what is no PDU: {rest:02x?}")
        };
        let Frame { header, body } = frame;
        pdus.push(Sent {
            id: header.command_id,
            status: header.command_status,
            sequence_number: header.sequence_number,
            body: body.to_vec(),
        });
        rest = &rest[consumed..];
    }
    pdus
}

pub(super) fn header_only(id: CommandId, status: CommandStatus, sequence_number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    encode_header_only(&mut out, id, status, sequence_number);
    out
}

pub(super) fn request(id: CommandId, sequence_number: u32) -> Vec<u8> {
    header_only(id, OK, sequence_number)
}

pub(super) fn submit_body() -> Vec<u8> {
    let mut out = Vec::new();
    let sm = SubmitSm { destination_addr: b"447700900123", short_message: b"Hello", ..SubmitSm::default() };
    sm.encode_body(&mut out);
    out
}

pub(super) fn with_body(id: CommandId, sequence_number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = request(id, sequence_number);
    out.extend_from_slice(body);
    let len = out.len() as u32;
    out[..4].copy_from_slice(&len.to_be_bytes());
    out
}

pub(super) fn submit(sequence_number: u32) -> Vec<u8> {
    with_body(CommandId::SUBMIT_SM, sequence_number, &submit_body())
}

/// A well-formed request by one of the operations that submit.
pub(super) fn submission(operation: SubmitOperation, sequence_number: u32) -> Vec<u8> {
    let body: &[u8] = match operation {
        SubmitOperation::SubmitSm => return submit(sequence_number),
        SubmitOperation::SubmitMulti => {
            b"\0\0\0ACME\0\x02\x01\x01\x014477\0\x02staff\0\0\0\0\0\0\0\0\0\0\x05Hello"
        }
        SubmitOperation::DataSm => b"\0\0\0ACME\0\x01\x014477\0\0\0\0\x04\x24\0\x05Hello",
    };
    let id = match operation {
        SubmitOperation::SubmitMulti => CommandId::SUBMIT_MULTI,
        _ => CommandId::DATA_SM,
    };
    with_body(id, sequence_number, body)
}

pub(super) fn bind(mode: BindMode, sequence_number: u32, interface_version: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let bind = Bind {
        system_id: b"acme",
        password: b"s3cret",
        interface_version,
        address_range: b"^4477",
        ..Bind::default()
    };
    encode_pdu(&mut out, mode.command_id(), OK, sequence_number, &bind);
    out
}

pub(super) fn token(slot: u32) -> DeliveryToken {
    DeliveryToken { slot, generation: 1, shard: 0 }
}

pub(super) fn settings() -> SessionSettings {
    SessionSettings {
        system_id: b"SMSC01".to_vec(),
        version_max: InterfaceVersion::V50,
        session_init_timeout_ms: 10_000,
        enquire_link_interval_ms: 30_000,
        inactivity_timeout_ms: 100_000,
        response_timeout_ms: 20_000,
        unbind_timeout_ms: 5_000,
        pdu_bytes_max: 70_000,
        enquire_link_before_bind: true,
    }
}

/// A port that notes what it is told and answers as it was set.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) sent: Vec<u8>,
    pub(super) facts: Vec<Fact>,
    pub(super) authentication: Authentication,
    pub(super) binds: Vec<(Vec<u8>, Vec<u8>, BindMode)>,
    pub(super) bound: Vec<(BindMode, InterfaceVersion, Vec<u8>)>,
    /// What the next submissions get; then `disposition`.
    pub(super) dispositions: VecDeque<Disposition>,
    pub(super) disposition: Disposition,
    /// sequence_number of each submission taken in (not of those that stalled).
    pub(super) submitted: Vec<u32>,
    /// Those of them that wait for [`Host::result`].
    pub(super) in_flight: Vec<u32>,
    /// data_sm and submit_multi get what submit_sm gets; else `at_once`.
    pub(super) all_alike: bool,
    /// The data_sm and submit_multi in flight, of those that are treated alike.
    pub(super) others_in_flight: Vec<(SubmitOperation, u32)>,
    /// Tickets of the operations that wait for an answer, once for each answer.
    pub(super) asked: Vec<u32>,
    /// Which operation each ticket was for.
    pub(super) operations: BTreeMap<u32, CommandId>,
    pub(super) results: Vec<(DeliveryToken, DeliveryResult)>,
    pub(super) deliveries_off: u32,
    pub(super) congestion_state: Option<u8>,
    /// The TLVs of each data_sm.
    pub(super) fields: Vec<Vec<u8>>,
    /// What data_sm and submit_multi get; accepted without.
    pub(super) at_once: Option<Disposition>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let grant = Grant { account: ACCOUNT, window: 4, deliver_window: 2, compat: Compat::default() };
        Self {
            sent: Vec::new(),
            facts: Vec::new(),
            authentication: Authentication::Accepted(grant),
            binds: Vec::new(),
            bound: Vec::new(),
            dispositions: VecDeque::new(),
            disposition: Disposition::Answered(Ok(MESSAGE_ID)),
            submitted: Vec::new(),
            in_flight: Vec::new(),
            all_alike: false,
            others_in_flight: Vec::new(),
            asked: Vec::new(),
            operations: BTreeMap::new(),
            results: Vec::new(),
            deliveries_off: 0,
            congestion_state: None,
            fields: Vec::new(),
            at_once: None,
        }
    }
}

impl Recorder {
    fn other(&mut self, operation: SubmitOperation, sequence_number: u32) -> Disposition {
        if !self.all_alike {
            return self.at_once.unwrap_or(Disposition::Answered(Ok(MESSAGE_ID)));
        }
        if self.disposition == Disposition::InFlight {
            self.others_in_flight.push((operation, sequence_number));
        }
        self.disposition
    }
}

impl Output for Recorder {
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.sent.len();
        write(&mut self.sent);
        assert_eq!(self.sent.len() - before, len, "announced and written octets differ");
    }

    fn congestion_state(&self) -> Option<u8> {
        self.congestion_state
    }

    fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}

impl Port for Recorder {
    fn authenticate(&mut self, bind: &BindRequest<'_>) -> Authentication {
        self.binds.push((bind.system_id.to_vec(), bind.password.to_vec(), bind.mode));
        self.authentication
    }

    fn bound(&mut self, grant: &Grant, mode: BindMode, version: InterfaceVersion, address_range: &[u8]) {
        assert_eq!(grant.account, ACCOUNT);
        self.bound.push((mode, version, address_range.to_vec()));
    }

    fn submit(&mut self, submit: &SubmitRequest<'_>) -> Disposition {
        assert_eq!((submit.origin.session, submit.account), (HANDLE, ACCOUNT));
        assert_eq!(SubmitSm::decode(submit.body).as_ref(), Ok(submit.sm));
        let disposition = self.dispositions.pop_front().unwrap_or(self.disposition);
        if !matches!(disposition, Disposition::Stall(_)) {
            self.submitted.push(submit.origin.sequence_number);
        }
        if disposition == Disposition::InFlight {
            self.in_flight.push(submit.origin.sequence_number);
        }
        disposition
    }

    fn operate(&mut self, request: &OperationRequest<'_>) -> OperationDisposition {
        assert_eq!((request.session, request.account), (HANDLE, ACCOUNT));
        if let Disposition::Stall(reason) = self.disposition {
            return OperationDisposition::Stall(reason);
        }
        let awaited = if self.disposition == Disposition::InFlight { 2 } else { 0 };
        for _ in 0..awaited {
            self.asked.push(request.ticket);
        }
        self.operations.insert(request.ticket, request.command_id);
        OperationDisposition::Asked { awaited, answer: OperationAnswer::NotFound }
    }

    fn submit_fields(
        &mut self,
        origin: Origin,
        account: AccountId,
        _: InterfaceVersion,
        sm: &SubmitSm<'_>,
    ) -> Disposition {
        assert_eq!((origin.session, origin.operation, account), (HANDLE, SubmitOperation::DataSm, ACCOUNT));
        self.fields.push(sm.tlvs.as_bytes().to_vec());
        self.other(origin.operation, origin.sequence_number)
    }

    fn submit_multi(&mut self, multi: &MultiRequest<'_>) -> Disposition {
        assert_eq!((multi.origin.session, multi.account), (HANDLE, ACCOUNT));
        self.other(SubmitOperation::SubmitMulti, multi.origin.sequence_number)
    }

    fn delivery_result(&mut self, token: DeliveryToken, result: DeliveryResult) {
        self.results.push((token, result));
    }

    fn deliveries_off(&mut self) {
        self.deliveries_off += 1;
    }
}

/// An SMSC session with its shell: keeps what is left unread, as a connection does.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) session: Session,
    pub(super) port: Recorder,
    pub(super) settings: SessionSettings,
    pub(super) now: Time,
    pub(super) unread: Vec<u8>,
    /// Octets that the session has taken.
    pub(super) taken: Vec<u8>,
}

impl Host {
    pub(super) fn open() -> Self {
        Self {
            session: Session::new(HANDLE, Time::ZERO),
            port: Recorder::new(),
            settings: settings(),
            now: Time::ZERO,
            unread: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// A session that is bound, its bind forgotten by the recorder.
    pub(super) fn bound(mode: BindMode, interface_version: u8) -> Self {
        let mut host = Self::open();
        host.feed(&bind(mode, 1, interface_version));
        assert!(host.session.is_bound());
        host.forget();
        host
    }

    pub(super) fn trx() -> Self {
        Self::bound(BindMode::Transceiver, 0x34)
    }

    pub(super) fn forget(&mut self) {
        self.port.sent.clear();
        self.port.facts.clear();
    }

    /// Hands over what is unread and `octets`, and keeps what is not taken.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Stop {
        self.unread.extend_from_slice(octets);
        loop {
            let Received { consumed, stop, .. } =
                self.session.receive(&self.unread, 3, self.now, &self.settings, &mut self.port);
            self.taken.extend(self.unread.drain(..consumed));
            if stop != Stop::Budget {
                return stop;
            }
        }
    }

    pub(super) fn result(
        &mut self,
        sequence_number: u32,
        result: Result<MessageId, CommandStatus>,
    ) -> Option<CloseReason> {
        self.session.submit_result(SubmitOperation::SubmitSm, sequence_number, result, &mut self.port)
    }

    pub(super) fn deliver(&mut self, slot: u32) -> bool {
        let body = submit_body();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&body);
        self.session.deliver(token(slot), CommandId::DELIVER_SM, body.len(), self.now, &mut self.port, write)
    }

    pub(super) fn unbind(&mut self) -> Option<CloseReason> {
        self.session.unbind(self.now, &self.settings, &mut self.port)
    }

    pub(super) fn closed(&mut self, reason: CloseReason) {
        self.session.closed(reason, &mut self.port);
    }

    /// Moves the clock and runs the timers if one is due, as a shell does.
    pub(super) fn pass_ms(&mut self, ms: u64) -> Option<CloseReason> {
        self.now = self.now.plus_millis(ms);
        self.run_timers()
    }

    pub(super) fn run_timers(&mut self) -> Option<CloseReason> {
        if self.session.next_deadline(&self.settings) > self.now {
            return None;
        }
        self.session.on_timer(self.now, &self.settings, &mut self.port)
    }

    /// What was sent since the last look.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        pdus_of(&std::mem::take(&mut self.port.sent))
    }

    /// The same, as (command_id, command_status, sequence_number).
    pub(super) fn heads(&mut self) -> Vec<(CommandId, CommandStatus, u32)> {
        self.sent().into_iter().map(|sent| (sent.id, sent.status, sent.sequence_number)).collect()
    }

    pub(super) fn count(&self, fact: Fact) -> usize {
        self.port.facts.iter().filter(|&&told| told == fact).count()
    }
}
