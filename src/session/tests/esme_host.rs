//! An ESME session with its shell, for tests of that role and of both roles together.

use std::collections::VecDeque;

use super::{HANDLE, Sent, pdus_of, submit_body, token};
use crate::base::{DeliveryToken, Time};
use crate::session::esme::{
    BoundTo, DeliverDisposition, DeliverRequest, EsmePort, EsmeSession, EsmeSettings, SubmitOutcome,
    SubmitRefusal,
};
use crate::session::{BindMode, CloseReason, Fact, Output, Received, Stop};
use crate::smpp::{CommandId, CommandStatus, DeliverSm, InterfaceVersion, PduBody};

pub(super) fn settings() -> EsmeSettings {
    EsmeSettings {
        system_id: b"acme".to_vec(),
        password: b"s3cret".to_vec(),
        system_type: b"VMS".to_vec(),
        addr_ton: 1,
        addr_npi: 1,
        address_range: b"^4477".to_vec(),
        version: InterfaceVersion::V50,
        window: 3,
        deliver_window: 2,
        bind_timeout_ms: 10_000,
        enquire_link_interval_ms: 30_000,
        inactivity_timeout_ms: 100_000,
        response_timeout_ms: 20_000,
        unbind_timeout_ms: 5_000,
        pdu_bytes_max: 70_000,
    }
}

/// A [`SubmitOutcome`] that owns its message_id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(CommandStatus, Vec<u8>, u64),
    TimedOut,
    Unknown,
}

/// A port that notes what it is told and answers as it was set.
#[derive(Debug)]
pub(super) struct EsmeRecorder {
    pub(super) sent: Vec<u8>,
    pub(super) facts: Vec<Fact>,
    pub(super) bound: Vec<(Vec<u8>, BindMode, InterfaceVersion)>,
    /// What the next deliveries get; then `disposition`.
    pub(super) dispositions: VecDeque<DeliverDisposition>,
    pub(super) disposition: DeliverDisposition,
    /// sequence_number and short_message of each delivery taken in.
    pub(super) delivered: Vec<(u32, Vec<u8>)>,
    pub(super) outcomes: Vec<(DeliveryToken, Outcome)>,
    pub(super) submissions_off: u32,
}

impl Output for EsmeRecorder {
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.sent.len();
        write(&mut self.sent);
        assert_eq!(self.sent.len() - before, len, "announced and written octets differ");
    }

    fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}

impl EsmePort for EsmeRecorder {
    fn bound(&mut self, bound: &BoundTo<'_>) {
        self.bound.push((bound.system_id.to_vec(), bound.mode, bound.version));
    }

    fn deliver(&mut self, deliver: &DeliverRequest<'_>) -> DeliverDisposition {
        assert_eq!(deliver.origin.session, HANDLE);
        assert_eq!(DeliverSm::decode(deliver.body).as_ref(), Ok(deliver.sm));
        let disposition = self.dispositions.pop_front().unwrap_or(self.disposition);
        if !matches!(disposition, DeliverDisposition::Stall(_)) {
            self.delivered.push((deliver.origin.sequence_number, deliver.sm.short_message.to_vec()));
        }
        disposition
    }

    fn submit_outcome(&mut self, token: DeliveryToken, outcome: SubmitOutcome<'_>) {
        let outcome = match outcome {
            SubmitOutcome::Answered { status, message_id, nanos } => {
                Outcome::Answered(status, message_id.to_vec(), nanos)
            }
            SubmitOutcome::TimedOut => Outcome::TimedOut,
            SubmitOutcome::Unknown => Outcome::Unknown,
        };
        self.outcomes.push((token, outcome));
    }

    fn submissions_off(&mut self) {
        self.submissions_off += 1;
    }
}

/// The session and its shell.
#[derive(Debug)]
pub(super) struct EsmeHost {
    pub(super) session: EsmeSession,
    pub(super) port: EsmeRecorder,
    pub(super) settings: EsmeSettings,
    pub(super) now: Time,
    pub(super) unread: Vec<u8>,
}

impl EsmeHost {
    pub(super) fn open() -> Self {
        let port = EsmeRecorder {
            sent: Vec::new(),
            facts: Vec::new(),
            bound: Vec::new(),
            dispositions: VecDeque::new(),
            disposition: DeliverDisposition::Answered(CommandStatus::ESME_ROK),
            delivered: Vec::new(),
            outcomes: Vec::new(),
            submissions_off: 0,
        };
        let session = EsmeSession::new(HANDLE, Time::ZERO);
        Self { session, port, settings: settings(), now: Time::ZERO, unread: Vec::new() }
    }

    pub(super) fn bind(&mut self, mode: BindMode) -> bool {
        self.session.bind(mode, self.now, &self.settings, &mut self.port)
    }

    pub(super) fn feed(&mut self, octets: &[u8]) -> Stop {
        self.unread.extend_from_slice(octets);
        loop {
            let Received { consumed, stop, .. } =
                self.session.receive(&self.unread, 3, self.now, &self.settings, &mut self.port);
            self.unread.drain(..consumed);
            if stop != Stop::Budget {
                return stop;
            }
        }
    }

    pub(super) fn submit(&mut self, slot: u32) -> Result<(), SubmitRefusal> {
        let body = submit_body();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&body);
        self.session.submit_sm(token(slot), body.len(), self.now, &mut self.port, write)
    }

    pub(super) fn result(&mut self, sequence_number: u32, status: CommandStatus) -> Option<CloseReason> {
        self.session.deliver_result(sequence_number, status, self.now, &self.settings, &mut self.port)
    }

    pub(super) fn unbind(&mut self) -> Option<CloseReason> {
        self.session.unbind(self.now, &self.settings, &mut self.port)
    }

    pub(super) fn closed(&mut self, reason: CloseReason) {
        self.session.closed(reason, &mut self.port);
    }

    pub(super) fn pass_ms(&mut self, ms: u64) -> Option<CloseReason> {
        self.now = self.now.plus_millis(ms);
        if self.session.next_deadline(&self.settings) > self.now {
            return None;
        }
        self.session.on_timer(self.now, &self.settings, &mut self.port)
    }

    pub(super) fn sent(&mut self) -> Vec<Sent> {
        pdus_of(&std::mem::take(&mut self.port.sent))
    }

    pub(super) fn heads(&mut self) -> Vec<(CommandId, CommandStatus, u32)> {
        self.sent().into_iter().map(|sent| (sent.id, sent.status, sent.sequence_number)).collect()
    }
}
