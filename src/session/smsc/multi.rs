//! submit_multi: one request, one answer, many messages (3.4 section 4.5).
//!
//! The destinations go to several shards, so one of them may have a receipt ready before another has even answered. No
//! receipt may overtake the response: what is to be delivered meanwhile waits until every submit_multi that was under way
//! before it has its answer.

use std::collections::VecDeque;

use super::{Session, State};
use crate::base::Time;
use crate::limits::HEADER_LEN;
use crate::session::port::{
    CloseReason, Disposition, Fact, MultiRequest, MultiResult, Origin, Output, Port, StallReason,
};
use crate::session::received::Flow;
use crate::session::wire::header;
use crate::smpp::validate::validate_submit_multi;
use crate::smpp::{CommandId, CommandStatus, Frame, PduBody, SubmitMulti, UnsuccessSmes, is_miscounted};

/// The submit_multi under way, oldest first; no more than the window.
#[derive(Debug, Default)]
pub(super) struct OpenMultis {
    /// sequence_number of each, and whether it has been answered while an older one has not.
    open: VecDeque<(u32, bool)>,
    /// How many there were that are answered, and all older ones too; wraps.
    closed: u32,
}

impl OpenMultis {
    /// None is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Names this moment, for [`OpenMultis::is_past`].
    pub(super) fn mark(&self) -> u32 {
        self.closed.wrapping_add(self.open.len() as u32)
    }

    /// Whether all that were under way at a moment have been answered.
    pub(super) const fn is_past(&self, mark: u32) -> bool {
        mark.wrapping_sub(self.closed) as i32 <= 0
    }

    fn begin(&mut self, sequence_number: u32) {
        self.open.push_back((sequence_number, false));
    }

    fn end(&mut self, sequence_number: u32) {
        if let Some(found) = self.open.iter_mut().find(|open| **open == (sequence_number, false)) {
            found.1 = true;
        }
        while let Some((_, true)) = self.open.front() {
            self.open.pop_front();
            self.closed = self.closed.wrapping_add(1);
        }
        if self.open.is_empty() {
            self.open = VecDeque::new();
        }
    }
}

impl Session {
    pub(super) fn submit_multi(&mut self, frame: &Frame<'_>, now: Time, port: &mut impl Port) -> Flow {
        if self.in_flight >= self.in_flight_max {
            return Flow::Stall(StallReason::Window);
        }
        let sequence_number = frame.header.sequence_number;
        let decoded = SubmitMulti::decode(frame.body)
            .and_then(|sm| validate_submit_multi(&sm, self.version).map(|()| sm));
        let sm = match decoded {
            Ok(sm) => sm,
            Err(error) => {
                port.fact(Fact::MalformedPdu);
                let status =
                    if is_miscounted(frame.body) { CommandStatus::ESME_RINVNUMDESTS } else { error.status };
                self.refuse_multi(sequence_number, status, port);
                return Flow::Next;
            }
        };
        let origin = Origin {
            session: self.handle,
            sequence_number,
            operation: crate::base::SubmitOperation::SubmitMulti,
            received_at: now,
        };
        let may_wait = self.may_wait(now);
        let request =
            MultiRequest { origin, account: self.account, version: self.version, sm: &sm, may_wait };
        let mut disposition = port.submit_multi(&request);
        self.throttled(&mut disposition, now);
        match disposition {
            Disposition::Answered(Ok(message_id)) => {
                let result = Ok((message_id, UnsuccessSmes::default()));
                self.answer_multi(sequence_number, &result, port);
            }
            Disposition::Answered(Err(status)) => self.refuse_multi(sequence_number, status, port),
            Disposition::InFlight => {
                self.in_flight += 1;
                self.multis.begin(sequence_number);
            }
            Disposition::Stall(reason) => return Flow::Stall(reason),
            Disposition::OverRate { .. } => {
                self.refuse_multi(sequence_number, CommandStatus::ESME_RTHROTTLED, port);
            }
        }
        self.submitted += 1;
        Flow::Next
    }

    /// All destinations of a submit_multi in flight have been decided. Returns why to close, if that was all a drain
    /// waited for.
    pub fn multi_result(
        &mut self,
        sequence_number: u32,
        result: &MultiResult<'_>,
        now: Time,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        if let State::Closing(_) = self.state {
            return None;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answer_multi(sequence_number, result, port);
        self.multis.end(sequence_number);
        self.send_held(now, port);
        self.finish_drain(port)
    }

    /// Refuses a request of which no destination was looked at.
    fn refuse_multi(&self, sequence_number: u32, status: CommandStatus, port: &mut impl Output) {
        port.fact(Fact::Submitted);
        self.refuse(CommandId::SUBMIT_MULTI_RESP, status, sequence_number, port);
        port.fact(Fact::SubmitAnswered(status.for_version(self.version)));
    }

    fn answer_multi(&self, sequence_number: u32, result: &MultiResult<'_>, port: &mut impl Output) {
        match result {
            Ok((message_id, unsuccess)) => {
                let text = self.compat.ids.response.text(*message_id);
                let octets = unsuccess.as_bytes();
                let congestion = self.congestion_tlv(port);
                let len = HEADER_LEN + text.as_bytes().len() + 2 + octets.len() + congestion.as_bytes().len();
                port.send(len, |out| {
                    let status = CommandStatus::ESME_ROK;
                    let header = header(CommandId::SUBMIT_MULTI_RESP, status, sequence_number, len);
                    out.extend_from_slice(&header.encode());
                    out.extend_from_slice(text.as_bytes());
                    out.extend_from_slice(&[0, unsuccess.no_unsuccess()]);
                    out.extend_from_slice(octets);
                    out.extend_from_slice(congestion.as_bytes());
                });
            }
            Err(status) => self.refuse(CommandId::SUBMIT_MULTI_RESP, *status, sequence_number, port),
        }
        port.fact(Fact::MultiAnswered);
    }
}
