//! One bound connection: what it has in flight, what is half read and half written, and the fast path through the
//! responses that come back.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Instant;

use mio::net::TcpStream;
use smscd::smpp::CommandStatus;

use crate::flight::{Answer, Flight};
use crate::link::{Buffers, Got, Link};
use crate::matching::Matching;
use crate::message_key::MessageKey;
use crate::receipt::{self, Delivery};
use crate::tally::Tally;
use crate::template::Template;
use crate::wire::{
    BadLength, DELIVER_SM, DELIVER_SM_RESP, ENQUIRE_LINK, Frames, GENERIC_NACK, HEADER_LEN, Pdu, RESPONSE,
    SUBMIT_MULTI_RESP, SUBMIT_SM_RESP, UNBIND, UNBIND_RESP, header,
};

/// Octets of answers waiting for a peer that does not read, above which it is not read either.
const CONTROL_MAX: usize = 256 * 1024;
/// First and longest pause after a throttled message, in nanoseconds.
const BACKOFF_NS: (u64, u64) = (1_000_000, 256_000_000);
/// The sequence_number of an unbind.
const UNBIND_SEQUENCE: u32 = 0x7FFF_FFFE;

/// Nanoseconds since the run began, plus one: zero stands for "no time".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(pub(crate) Instant);

impl Clock {
    /// Now.
    #[inline]
    pub(crate) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64 + 1
    }
}

/// Why a session ended early.
#[derive(Debug)]
pub(crate) enum Lost {
    /// FIN from the target.
    Closed,
    /// unbind from the target.
    Unbound,
    /// A frame that can't be SMPP.
    Broken(BadLength),
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the target closed the connection"),
            Self::Unbound => f.write_str("the target sent unbind"),
            Self::Broken(BadLength(length)) => write!(f, "the target sent command_length {length}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What the sessions of one thread share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) template: Template,
    pub(crate) scratch: Box<[u8]>,
    pub(crate) buffers: Buffers,
    pub(crate) tally: Tally,
    pub(crate) matching: Matching,
    /// Messages sent before this time are not measured.
    pub(crate) measure_from: u64,
    /// submit_sm unanswered a session.
    pub(crate) window: u64,
    /// Whether a freed place of the window is filled at once; otherwise the schedule decides.
    pub(crate) closed_loop: bool,
    /// Messages still to be assigned.
    pub(crate) quota: u64,
    pub(crate) retry_throttled: bool,
    /// When something expected arrived last.
    pub(crate) last_progress: u64,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Bound,
    /// unbind sent, unbind_resp not yet here.
    Unbinding,
    Ended,
}

/// One bound connection.
pub(crate) struct Session {
    pub(crate) link: Link<TcpStream>,
    pub(crate) state: State,
    /// Whether it sends messages: not so the receiver of a `tx+rx` pair.
    pub(crate) sends: bool,
    pub(crate) flight: Flight,
    /// Whether it is already in the list of those to flush.
    pub(crate) dirty: bool,
    /// After a throttled message nothing is sent before this time.
    pub(crate) paused_until: u64,
    /// Send times of throttled messages, to be sent again.
    pub(crate) retries: VecDeque<u64>,
    backoff: u64,
    destination_offset: u64,
    /// Octets already written of the first unwritten message.
    offset: usize,
    /// Answers to the target's requests, waiting to be written.
    control: Vec<u8>,
    /// What came behind the bind's response, until it is looked at.
    early: Vec<u8>,
    half_read: Vec<u8>,
    writable: bool,
    /// Reading stopped because the target does not take our answers.
    read_held: bool,
}

impl Session {
    /// A session on a bound, non-blocking connection, that has brought `early` behind the bind's response.
    pub(crate) fn new(
        link: Link<TcpStream>,
        early: Vec<u8>,
        sends: bool,
        flight_capacity: usize,
        destination_offset: u64,
    ) -> Self {
        Self {
            link,
            state: State::Bound,
            sends,
            flight: Flight::new(if sends { flight_capacity } else { 1 }),
            dirty: false,
            paused_until: 0,
            retries: VecDeque::new(),
            backoff: BACKOFF_NS.0,
            destination_offset,
            offset: 0,
            control: Vec::new(),
            early,
            half_read: Vec::new(),
            writable: true,
            read_held: false,
        }
    }

    /// Whether messages may be assigned to it now.
    pub(crate) fn available(&self, now: u64) -> bool {
        self.sends && self.state == State::Bound && self.paused_until <= now
    }

    /// Closed loop: fills the freed part of the window.
    pub(crate) fn refill(&mut self, shared: &mut Shared, now: u64) {
        if !shared.closed_loop || !self.available(now) {
            return;
        }
        let free = shared.window - self.flight.open();
        let again = self.flight.assign(free.min(self.retries.len() as u64), now);
        self.retries.drain(..again as usize);
        shared.tally.retried += again;
        shared.quota -= self.flight.assign((free - again).min(shared.quota), now);
    }

    /// Open loop: sends throttled messages again, with the time they were first meant for.
    pub(crate) fn resume_retries(&mut self, shared: &mut Shared, now: u64) {
        while self.available(now)
            && let Some(&time) = self.retries.front()
            && self.flight.assign(1, time) == 1
        {
            self.retries.pop_front();
            shared.tally.retried += 1;
        }
    }

    /// The socket takes octets again.
    pub(crate) fn set_writable(&mut self) {
        self.writable = true;
    }

    /// Asks to end the session.
    pub(crate) fn unbind(&mut self) {
        if self.state == State::Bound {
            self.state = State::Unbinding;
            self.control.extend_from_slice(&header(HEADER_LEN, UNBIND, 0, UNBIND_SEQUENCE));
        }
    }

    /// Writes answers and messages until there are none, the window is full or the socket takes no more.
    pub(crate) fn flush(&mut self, shared: &mut Shared) -> Result<(), Lost> {
        while self.writable {
            let window_left = shared.window.saturating_sub(self.flight.unanswered());
            let n = self.flight.unwritten().min(window_left).min(shared.template.capacity() as u64);
            if n == 0 && self.control.is_empty() {
                self.writable = self.link.flush_sealed()?;
                return Ok(());
            }
            let run = shared.template.fill(self.flight.written(), n as usize, self.destination_offset);
            let run = &run[self.offset.min(run.len())..];
            shared.tally.system_calls += 1;
            // A message begun must be finished before an answer may follow it.
            let control = if self.offset > 0 && !run.is_empty() { &[][..] } else { &self.control };
            let wrote = self.link.write(control, run, &mut shared.buffers).map(|wrote| {
                let control = wrote.min(control.len());
                (control, wrote - control)
            });
            let (control, messages) = match wrote {
                Ok(wrote) => wrote,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.control.drain(..control);
            let octets = self.offset + messages;
            let whole = (octets / shared.template.pdu_len()) as u64;
            self.offset = octets % shared.template.pdu_len();
            self.flight.wrote(whole);
            shared.tally.submitted += whole;
        }
        Ok(())
    }

    /// Reads what has come and handles it. What it freed or what it answers is written by the next [`Session::flush`].
    pub(crate) fn read(&mut self, shared: &mut Shared) -> Result<(), Lost> {
        // Taken out for the time that its PDUs are looked at.
        let mut scratch = std::mem::take(&mut shared.scratch);
        let result = self.read_into(&mut scratch, shared);
        shared.scratch = scratch;
        result
    }

    /// Whether reading was held back and may go on.
    pub(crate) fn take_held(&mut self) -> bool {
        self.read_held && self.control.len() < CONTROL_MAX && std::mem::take(&mut self.read_held)
    }

    fn read_into(&mut self, scratch: &mut [u8], shared: &mut Shared) -> Result<(), Lost> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            let now = shared.clock.now();
            self.handle(&early, shared, now)?;
        }
        loop {
            if self.control.len() >= CONTROL_MAX {
                self.read_held = true;
                return Ok(());
            }
            let kept = self.half_read.len();
            scratch[..kept].copy_from_slice(&self.half_read);
            shared.tally.system_calls += 1;
            let Got { len: read, more } = match self.link.read(&mut scratch[kept..], &mut shared.buffers) {
                Ok(Got { len: 0, .. }) => return Err(Lost::Closed),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let now = shared.clock.now();
            self.half_read.clear();
            self.handle(&scratch[..kept + read], shared, now)?;
            // A stream that gave less than was asked for is empty: the next octet makes a new event.
            if !more {
                return Ok(());
            }
        }
    }

    /// Handles all whole PDUs of `bytes` and keeps the rest.
    fn handle(&mut self, bytes: &[u8], shared: &mut Shared, now: u64) -> Result<(), Lost> {
        // Responses to messages of the same send time are measured together.
        let mut run = Run { sent: 0, messages: 0 };
        let accepted_before = shared.tally.accepted;
        let mut frames = Frames::new(bytes);
        for pdu in frames.by_ref() {
            let pdu = pdu.map_err(Lost::Broken)?;
            if pdu.command_id != SUBMIT_SM_RESP && pdu.command_id != SUBMIT_MULTI_RESP {
                self.other(&pdu, shared, now)?;
                continue;
            }
            match self.flight.answer(pdu.sequence) {
                Answer::To(sent) if pdu.status == 0 => {
                    if run.sent != sent {
                        run.measure(shared, now);
                        run = Run { sent, messages: 0 };
                    }
                    run.messages += 1;
                    match &mut shared.matching {
                        Matching::Off => {}
                        Matching::Table(table) => {
                            if let Some(key) = MessageKey::from_body(pdu.body)
                                && let Some((sent, at)) = table.accepted(key, sent)
                            {
                                shared.tally.matched(sent, at, shared.measure_from);
                            }
                        }
                        Matching::Log(log) => match MessageKey::from_body(pdu.body) {
                            Some(key) => log.accepted.push((key, sent)),
                            None => log.without_id += 1,
                        },
                    }
                }
                answer => self.not_accepted(answer, pdu.status, shared, now),
            }
        }
        run.measure(shared, now);
        if shared.tally.accepted != accepted_before && self.paused_until <= now {
            self.backoff = BACKOFF_NS.0;
        }
        self.half_read.extend_from_slice(frames.rest());
        Ok(())
    }

    /// A response that is not the first one with status 0 to a message of ours.
    #[cold]
    fn not_accepted(&mut self, answer: Answer, status: u32, shared: &mut Shared, now: u64) {
        match answer {
            Answer::To(sent) => {
                shared.tally.refuse(status);
                shared.tally.last_response = now;
                shared.last_progress = now;
                if shared.retry_throttled
                    && matches!(
                        CommandStatus(status),
                        CommandStatus::ESME_RMSGQFUL | CommandStatus::ESME_RTHROTTLED
                    )
                {
                    self.retries.push_back(sent);
                    if self.paused_until <= now {
                        self.paused_until = now + self.backoff;
                        self.backoff = (self.backoff * 2).min(BACKOFF_NS.1);
                    }
                }
            }
            Answer::Twice => shared.tally.repeated_responses += 1,
            Answer::Unknown => shared.tally.unknown_responses += 1,
        }
    }

    /// Everything but a submit_sm_resp.
    fn other(&mut self, pdu: &Pdu<'_>, shared: &mut Shared, now: u64) -> Result<(), Lost> {
        match pdu.command_id {
            DELIVER_SM => self.deliver(pdu, shared, now),
            GENERIC_NACK => {
                let answer = self.flight.answer(pdu.sequence);
                self.not_accepted(answer, pdu.status, shared, now);
            }
            ENQUIRE_LINK => {
                shared.tally.enquire_links += 1;
                self.respond(pdu, 0);
            }
            UNBIND => {
                self.respond(pdu, 0);
                self.flush(shared)?;
                return Err(Lost::Unbound);
            }
            UNBIND_RESP if self.state == State::Unbinding => self.state = State::Ended,
            // Responses to what we never sent are nobody's.
            id if id & RESPONSE != 0 => {}
            _ => {
                shared.tally.foreign_requests += 1;
                let nack = header(HEADER_LEN, GENERIC_NACK, CommandStatus::ESME_RINVCMDID.0, pdu.sequence);
                self.control.extend_from_slice(&nack);
            }
        }
        Ok(())
    }

    fn deliver(&mut self, pdu: &Pdu<'_>, shared: &mut Shared, now: u64) {
        let mut response = [0; HEADER_LEN + 1]; // and an empty message_id
        response[..HEADER_LEN].copy_from_slice(&header(HEADER_LEN + 1, DELIVER_SM_RESP, 0, pdu.sequence));
        self.control.extend_from_slice(&response);
        let tally = &mut shared.tally;
        match receipt::parse(pdu.body) {
            Some(Delivery::Receipt(id)) => {
                tally.receipts += 1;
                tally.receipts_measured += u64::from(now >= shared.measure_from);
                tally.last_receipt = now;
                shared.last_progress = now;
                let Some(key) = MessageKey::new(id) else {
                    tally.receipts_without_id += 1;
                    return;
                };
                match &mut shared.matching {
                    Matching::Off => {}
                    Matching::Table(table) => {
                        if let Some((sent, at)) = table.receipt(key, now) {
                            tally.matched(sent, at, shared.measure_from);
                        }
                    }
                    Matching::Log(log) => log.receipts.push((key, now)),
                }
            }
            Some(Delivery::ReceiptWithoutId) => {
                tally.receipts += 1;
                tally.receipts_without_id += 1;
            }
            Some(Delivery::Intermediate) => tally.intermediate += 1,
            Some(Delivery::Mobile) => tally.mobile += 1,
            None => tally.malformed += 1,
        }
    }

    /// Answers a request that has no body with a response that has none.
    fn respond(&mut self, pdu: &Pdu<'_>, status: u32) {
        let response = header(HEADER_LEN, pdu.command_id | RESPONSE, status, pdu.sequence);
        self.control.extend_from_slice(&response);
    }
}

/// Accepted messages with one send time.
struct Run {
    sent: u64,
    messages: u64,
}

impl Run {
    #[inline]
    fn measure(&self, shared: &mut Shared, now: u64) {
        if self.messages == 0 {
            return;
        }
        let tally = &mut shared.tally;
        tally.accepted += self.messages;
        tally.last_response = now;
        shared.last_progress = now;
        if self.sent >= shared.measure_from {
            tally.submit_response.saturating_record_n(now.saturating_sub(self.sent), self.messages);
        }
    }
}
