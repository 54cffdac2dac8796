//! Any sequence of events on a session, and what must hold all the while.

use std::collections::BTreeMap;

use super::{ACCOUNT, Host, MESSAGE_ID, bind, header_only, pdus_of, submission, submit, with_body};
use crate::base::{SubmitOperation, Time, WallTime};
use crate::session::{Authentication, BindMode, CloseReason, Disposition, Grant, StallReason, Stop};
use crate::smpp::{
    CommandId, CommandStatus, DeliveryOutcome, MessageState, OperationAnswer, QueriedState, UnsuccessSmes,
};

/// One thing that happens to a session.
#[derive(Clone, Debug)]
pub(in crate::session) enum Event {
    /// The peer puts octets on the wire.
    Write(Vec<u8>),
    /// So many octets of them arrive.
    Arrive(usize),
    /// What submissions get from here on.
    Disposition(Disposition),
    /// One of the submissions in flight is decided.
    Decide(usize, bool),
    /// One of the data_sm and submit_multi.
    DecideOther(usize, bool),
    /// One of the answers to an operation that are due.
    Answer(usize, bool),
    /// The pending bind is judged.
    Judge(bool),
    Deliver,
    Pass(u64),
    Unbind,
}

/// A shell that does what the core says, and keeps account of it.
pub(in crate::session) struct Shell {
    pub(in crate::session) host: Host,
    pub(in crate::session) wire: Vec<u8>,
    pub(in crate::session) ended: Option<CloseReason>,
    pub(in crate::session) deliveries: usize,
    /// What the session's one timer is set to: as in a worker, a deadline that moves away finds that out on firing.
    armed: Time,
}

impl Shell {
    pub(in crate::session) fn new(pending: bool) -> Self {
        let mut host = Host::open();
        if pending {
            host.port.authentication = Authentication::Pending;
        }
        // Less than the response timer, so that an answer to enquire_link brings a deadline nearer.
        host.settings.enquire_link_interval_ms = 8_000;
        host.port.all_alike = true;
        let armed = host.session.next_deadline(&host.settings);
        Self { host, wire: Vec::new(), ended: None, deliveries: 0, armed }
    }

    pub(in crate::session) fn handle(&mut self, event: &Event) {
        let close = match event {
            Event::Write(octets) => {
                self.wire.extend_from_slice(octets);
                None
            }
            Event::Arrive(octets) => self.arrive(*octets),
            Event::Disposition(disposition) => {
                self.host.port.disposition = *disposition;
                None
            }
            Event::Decide(_, _) if self.host.port.in_flight.is_empty() => None,
            Event::Decide(which, ok) => self.decide(which % self.host.port.in_flight.len(), *ok),
            Event::DecideOther(_, _) if self.host.port.others_in_flight.is_empty() => None,
            Event::DecideOther(which, ok) => {
                self.decide_other(which % self.host.port.others_in_flight.len(), *ok)
            }
            Event::Answer(_, _) if self.host.port.asked.is_empty() => None,
            Event::Answer(which, found) => self.answer(which % self.host.port.asked.len(), *found),
            Event::Judge(accepted) => self.judge(*accepted),
            Event::Deliver => {
                self.deliveries += usize::from(self.host.deliver(self.deliveries as u32));
                None
            }
            Event::Pass(ms) => self.pass(*ms),
            Event::Unbind => self.host.unbind(),
        };
        self.note(close);
        self.arm(matches!(event, Event::Deliver | Event::Judge(_) | Event::Unbind));
        self.check();
    }

    pub(in crate::session) fn note(&mut self, close: Option<CloseReason>) {
        if let (Some(reason), None) = (close, self.ended) {
            self.ended = Some(reason);
            self.host.closed(reason);
        }
    }

    /// Sets the timer if the session says that it must, or if the shell knows from what it just did.
    fn arm(&mut self, known: bool) {
        let Host { session, settings, .. } = &mut self.host;
        let first = session.next_deadline(settings);
        if session.take_deadline_moved() || known {
            self.armed = self.armed.min(first);
        }
        assert!(self.armed <= first, "a deadline came nearer and nobody was told");
    }

    fn pass(&mut self, ms: u64) -> Option<CloseReason> {
        self.host.now = self.host.now.plus_millis(ms);
        let mut close = None;
        if self.armed <= self.host.now {
            let Host { session, settings, now, port, .. } = &mut self.host;
            close = session.on_timer(*now, settings, port);
            self.armed = session.next_deadline(settings);
        }
        close
    }

    fn arrive(&mut self, octets: usize) -> Option<CloseReason> {
        let octets: Vec<u8> = self.wire.drain(..octets.min(self.wire.len())).collect();
        match self.host.feed(&octets) {
            Stop::Close(reason) => Some(reason),
            _ => None,
        }
    }

    fn decide(&mut self, at: usize, ok: bool) -> Option<CloseReason> {
        let sequence_number = self.host.port.in_flight.remove(at);
        let result = if ok { Ok(MESSAGE_ID) } else { Err(CommandStatus::ESME_RINVDSTADR) };
        self.host.result(sequence_number, result)
    }

    fn decide_other(&mut self, at: usize, ok: bool) -> Option<CloseReason> {
        let Host { session, port, now, .. } = &mut self.host;
        let (operation, sequence_number) = port.others_in_flight.remove(at);
        let status = CommandStatus::ESME_RINVDSTADR;
        match operation {
            SubmitOperation::SubmitMulti => {
                let result = if ok { Ok((MESSAGE_ID, UnsuccessSmes::default())) } else { Err(status) };
                session.multi_result(sequence_number, &result, *now, port)
            }
            // Decided by what came of the message.
            _ if sequence_number % 2 == 1 => {
                let outcome = DeliveryOutcome {
                    message_id: MESSAGE_ID,
                    state: if ok { MessageState::Delivered } else { MessageState::Undeliverable },
                    error: 27,
                    is_temporary: true,
                    dpf_result: Some(true),
                };
                session.outcome(operation, sequence_number, &outcome, port)
            }
            _ => {
                let result = if ok { Ok(MESSAGE_ID) } else { Err(status) };
                session.submit_result(operation, sequence_number, result, port)
            }
        }
    }

    fn answer(&mut self, at: usize, found: bool) -> Option<CloseReason> {
        let ticket = self.host.port.asked.remove(at);
        let Host { session, port, .. } = &mut self.host;
        let answer = match port.operations.get(&ticket) {
            _ if !found => OperationAnswer::NotFound,
            Some(&CommandId::QUERY_SM) => OperationAnswer::State(QueriedState {
                message_id: MESSAGE_ID,
                state: MessageState::Delivered,
                error_code: 0,
                final_date: Some(WallTime::from_unix_millis(0)),
            }),
            Some(&(CommandId::BROADCAST_SM | CommandId::QUERY_BROADCAST_SM)) => {
                return session.operation_body(ticket, b"0123456789ABCDEF\0", port);
            }
            _ => OperationAnswer::Done,
        };
        session.operation_result(ticket, answer, port)
    }

    fn judge(&mut self, accepted: bool) -> Option<CloseReason> {
        let grant = Grant {
            account: ACCOUNT,
            window: 4,
            deliver_window: 2,
            compat: crate::session::Compat::default(),
        };
        let verdict = if accepted { Ok(grant) } else { Err(CommandStatus::ESME_RBINDFAIL) };
        let host = &mut self.host;
        host.session.authenticated(verdict, host.now, &host.settings, &mut host.port)
    }

    /// Everything arrives and everything is decided.
    pub(in crate::session) fn settle(&mut self) {
        self.host.port.disposition = Disposition::Answered(Ok(MESSAGE_ID));
        loop {
            let before = (self.host.taken.len(), self.host.port.sent.len(), self.wire.len());
            let close = self.judge(true);
            self.note(close);
            while !self.host.port.in_flight.is_empty() {
                let close = self.decide(0, true);
                self.note(close);
            }
            while !self.host.port.others_in_flight.is_empty() {
                let close = self.decide_other(0, true);
                self.note(close);
            }
            while !self.host.port.asked.is_empty() {
                let close = self.answer(0, false);
                self.note(close);
            }
            let close = self.arrive(usize::MAX);
            self.note(close);
            self.check();
            if before == (self.host.taken.len(), self.host.port.sent.len(), self.wire.len()) {
                return;
            }
        }
    }

    /// Promise 1, as far as it holds at any time.
    pub(in crate::session) fn check(&self) {
        let answers = self.answers();
        let requests = self.requests();
        for (key, count) in &answers {
            let asked = requests.get(key).copied().unwrap_or(0);
            assert!(*count <= asked, "{key:x?} answered {count} times, asked {asked} times");
        }
        assert!(self.host.port.results.len() <= self.deliveries);
        let (in_flight, max) = self.host.session.in_flight();
        assert!(in_flight <= max, "window exceeded");
    }

    /// Responses due for what the session has taken, by command_id and sequence_number.
    pub(in crate::session) fn requests(&self) -> BTreeMap<(u32, u32), usize> {
        let mut due = BTreeMap::new();
        let mut rest = &self.host.taken[..];
        while !rest.is_empty() {
            let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            let (len, id, number) = (word(0) as usize, CommandId(word(4)), word(12));
            if !id.is_response() && (id.has_response() || !id.is_known()) {
                let answer = if id.is_known() { id.response().0 } else { 0x8000_0000 };
                *due.entry((answer, number)).or_default() += 1;
            }
            rest = &rest[len..];
        }
        due
    }

    /// Responses sent, without the last word to a broken frame, which was never taken.
    pub(in crate::session) fn answers(&self) -> BTreeMap<(u32, u32), usize> {
        let mut sent = pdus_of(&self.host.port.sent);
        if self.ended == Some(CloseReason::BrokenFrame) {
            let last = sent.iter().rposition(|pdu| pdu.status == CommandStatus::ESME_RINVCMDLEN);
            sent.truncate(last.expect("a broken frame is answered"));
        }
        let mut answers = BTreeMap::new();
        for pdu in sent.iter().filter(|pdu| pdu.id.is_response()) {
            *answers.entry((pdu.id.0, pdu.sequence_number)).or_default() += 1;
        }
        answers
    }

    /// Settles, closes, and checks what must hold at the end.
    pub(in crate::session) fn finish(mut self) {
        self.settle();
        if self.ended.is_none() {
            assert_eq!(self.requests(), self.answers(), "each request is answered exactly once");
            let stop = self.host.feed(&[]);
            assert!(matches!(stop, Stop::NeedMore(_)), "stuck: {stop:?}");
            self.note(Some(CloseReason::PeerGone));
        }
        let results = &self.host.port.results;
        let open = self.host.session.deliver_window().0 as usize;
        assert_eq!(self.deliveries, results.len() + open, "each delivery has one outcome");
        let mut slots: Vec<u32> = results.iter().map(|(token, _)| token.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), results.len(), "and none has two");
        let sent = self.host.port.sent.len();
        self.host.feed(&submit(1));
        self.host.result(1, Ok(MESSAGE_ID));
        assert_eq!(self.host.port.sent.len(), sent, "nothing follows the end");
    }
}

/// Puts a session through events read from `octets`, and panics where a promise does not hold. For the fuzz target.
pub fn drive(octets: &[u8]) {
    let mut input = octets.iter().copied();
    let mut shell = Shell::new(input.next().is_some_and(|octet| octet & 1 == 1));
    while let Some(event) = next_event(&mut input) {
        shell.handle(&event);
    }
    shell.finish();
}

/// Reads one event: an octet for its kind, and some for what it needs.
fn next_event(input: &mut impl Iterator<Item = u8>) -> Option<Event> {
    let kind = input.next()?;
    let mut octet = || input.next().unwrap_or_default();
    Some(match kind % 16 {
        0 => Event::Write(bind(BindMode::Transceiver, octet().into(), octet())),
        1 => Event::Write(bind(BindMode::Receiver, octet().into(), octet())),
        2..=4 => {
            let operation = match octet() % 4 {
                0 => SubmitOperation::SubmitMulti,
                1 => SubmitOperation::DataSm,
                _ => SubmitOperation::SubmitSm,
            };
            Event::Write(submission(operation, u32::from(octet()) % 8))
        }
        5 | 6 => {
            let id = CommandId::ALL[usize::from(octet()) % CommandId::ALL.len()];
            Event::Write(header_only(id, CommandStatus(u32::from(octet()) % 2), u32::from(octet()) % 8))
        }
        7 => {
            let id = CommandId::ALL[usize::from(octet()) % CommandId::ALL.len()];
            let body: Vec<u8> = (0..octet() % 64).map(|_| octet()).collect();
            Event::Write(with_body(id, 5, &body))
        }
        8 => Event::Write((0..octet() % 32).map(|_| octet()).collect()),
        9 | 10 => Event::Arrive(octet().into()),
        11 => Event::Disposition(match octet() % 4 {
            0 => Disposition::Answered(Ok(MESSAGE_ID)),
            1 => Disposition::Answered(Err(CommandStatus::ESME_RTHROTTLED)),
            2 => Disposition::InFlight,
            _ => Disposition::Stall(StallReason::Lane),
        }),
        12 if octet() & 1 == 0 => Event::DecideOther(octet().into(), octet() & 1 == 0),
        12 => Event::Decide(octet().into(), octet() & 1 == 0),
        13 if octet() & 1 == 0 => Event::Answer(octet().into(), octet() & 1 == 0),
        13 => Event::Judge(octet() & 3 != 0),
        14 => Event::Deliver,
        _ if octet() < 250 => Event::Pass(u64::from(octet()) * 500),
        _ => Event::Unbind,
    })
}
