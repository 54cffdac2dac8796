//! submit_sm: taken in through the port, answered at once or when the shard has decided (3.4 section 4.4).

use super::{Session, State};
use crate::base::{MessageId, SubmitOperation, Time};
use crate::limits::HEADER_LEN;
use crate::session::port::{
    CloseReason, Disposition, Fact, Origin, Output, Port, StallReason, SubmitRequest,
};
use crate::session::received::Flow;
use crate::session::wire::header;
use crate::smpp::frame::Frame;
use crate::smpp::{CommandId, CommandStatus, DecodeError, PduBody, SubmitSm};

impl Session {
    pub(super) fn submit_sm(&mut self, frame: &Frame<'_>, now: Time, port: &mut impl Port) -> Flow {
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
        // Looked at where they are: what a function has just written is slow to copy.
        let decoded = SubmitSm::decode(frame.body);
        let sm = match &decoded {
            Ok(sm) => sm,
            Err(error) => return self.malformed(operation, sequence_number, *error, port),
        };
        if let Err(error) = crate::smpp::validate_submit(sm, self.version) {
            return self.malformed(operation, sequence_number, error, port);
        }
        let origin = Origin { session: self.handle, sequence_number, operation, received_at: now };
        let request =
            SubmitRequest { origin, account: self.account, version: self.version, sm, body: frame.body };
        let mut disposition = port.submit(&request);
        self.throttled(&mut disposition, now);
        self.submitted(operation, sequence_number, &disposition, port)
    }

    /// Answers a submission whose body is not one.
    pub(super) fn malformed(
        &mut self,
        operation: SubmitOperation,
        sequence_number: u32,
        error: DecodeError,
        port: &mut impl Port,
    ) -> Flow {
        port.fact(Fact::MalformedPdu);
        self.submitted(operation, sequence_number, &Disposition::Answered(Err(error.status)), port)
    }

    /// Counts a submission, and answers it if it is decided. One that stalls comes again.
    #[inline]
    pub(super) fn submitted(
        &mut self,
        operation: SubmitOperation,
        sequence_number: u32,
        disposition: &Disposition,
        port: &mut impl Port,
    ) -> Flow {
        match *disposition {
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

    pub(super) fn answer_submit(
        &self,
        operation: SubmitOperation,
        sequence_number: u32,
        result: Result<MessageId, CommandStatus>,
        port: &mut impl Output,
    ) {
        let command_id = response_to(operation);
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
}

/// The response to a submission that is no submit_multi.
pub(super) const fn response_to(operation: SubmitOperation) -> CommandId {
    match operation {
        SubmitOperation::SubmitSm | SubmitOperation::SubmitMulti => CommandId::SUBMIT_SM_RESP,
        SubmitOperation::DataSm => CommandId::DATA_SM_RESP,
    }
}
