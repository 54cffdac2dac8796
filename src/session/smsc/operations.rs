//! query_sm, cancel_sm and replace_sm, and the broadcast operations: asked of every place where the message may be, answered
//! once the place that has it has answered, or all have.

use super::{Session, State};
use crate::limits::HEADER_LEN;
use crate::session::port::{
    CloseReason, Fact, OperationDisposition, OperationRequest, Output, Port, StallReason,
};
use crate::session::received::Flow;
use crate::session::wire::header;
use crate::smpp::frame::Frame;
use crate::smpp::{
    CommandId, CommandStatus, InterfaceVersion, Operation, OperationAnswer, PduBody, QueriedState,
    QuerySmResp, SmppTime, Tlvs,
};

/// An operation that awaits answers.
#[derive(Clone, Debug)]
pub(super) struct OpenOperation {
    ticket: u32,
    sequence_number: u32,
    command_id: CommandId,
    not_found: CommandStatus,
    /// It names its message, so the place that has it decides, and its receipt follows the response.
    names_one: bool,
    /// How many answers are still to come.
    awaited: u16,
    /// The best so far.
    answer: OperationAnswer,
    /// The response's body, where that was the answer.
    body: Box<[u8]>,
}

impl OpenOperation {
    /// Whether answers that are still to come can change nothing.
    fn is_decided(&self) -> bool {
        self.awaited == 0 || (self.names_one && self.answer != OperationAnswer::NotFound)
    }
}

impl Session {
    /// A request that [`Operation::decode`] knows, in a state that allows it.
    pub(super) fn operation(&mut self, frame: &Frame<'_>, port: &mut impl Port) -> Flow {
        if self.in_flight >= self.in_flight_max {
            return Flow::Stall(StallReason::Window);
        }
        let (command_id, sequence_number) = (frame.header.command_id, frame.header.sequence_number);
        let operation = match Operation::decode(command_id, frame.body, self.version) {
            Some(Ok(operation)) => operation,
            Some(Err(error)) => {
                port.fact(Fact::MalformedPdu);
                if command_id == CommandId::BROADCAST_SM {
                    port.fact(Fact::Submitted);
                }
                self.refuse_operation(command_id, sequence_number, error.status, port);
                return Flow::Next;
            }
            None => {
                self.refuse_operation(command_id, sequence_number, CommandStatus::ESME_RINVCMDID, port);
                return Flow::Next;
            }
        };
        let ticket = self.next_ticket;
        let request = OperationRequest {
            session: self.handle,
            ticket,
            account: self.account,
            version: self.version,
            command_id,
            operation: &operation,
            body: frame.body,
        };
        let (awaited, answer) = match port.operate(&request) {
            OperationDisposition::Asked { awaited, answer } => (awaited, answer),
            OperationDisposition::Stall(reason) => return Flow::Stall(reason),
        };
        self.next_ticket = ticket.wrapping_add(1);
        if command_id == CommandId::BROADCAST_SM {
            port.fact(Fact::Submitted);
            self.submitted += 1;
        }
        let not_found = operation.not_found();
        let open = OpenOperation {
            ticket,
            sequence_number,
            command_id,
            not_found,
            names_one: !operation.message_id().is_empty(),
            awaited,
            answer,
            body: Box::default(),
        };
        if open.is_decided() {
            self.answer_operation(&open, port);
        } else {
            self.in_flight += 1;
            self.operations.push(open);
        }
        Flow::Next
    }

    /// Whether that operation, under way, is a broadcast_sm: a message of the account.
    pub fn is_broadcast(&self, ticket: u32) -> bool {
        let broadcast =
            |open: &OpenOperation| open.ticket == ticket && open.command_id == CommandId::BROADCAST_SM;
        self.operations.iter().any(broadcast)
    }

    /// One of the answers to an operation that was asked for. Returns why to close, if that was all a drain waited for.
    pub fn operation_result(
        &mut self,
        ticket: u32,
        answer: OperationAnswer,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        self.operation_answered(ticket, answer, &[], port)
    }

    /// The same where the answer is the body of the response.
    pub fn operation_body(
        &mut self,
        ticket: u32,
        body: &[u8],
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        self.operation_answered(ticket, OperationAnswer::Body, body, port)
    }

    fn operation_answered(
        &mut self,
        ticket: u32,
        answer: OperationAnswer,
        body: &[u8],
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        if let State::Closing(_) = self.state {
            return None;
        }
        let index = self.operations.iter().position(|open| open.ticket == ticket)?;
        let open = self.operations.get_mut(index)?;
        if answer == OperationAnswer::Body {
            open.body = body.into();
        }
        open.answer = open.answer.or(answer);
        open.awaited = open.awaited.saturating_sub(1);
        if !open.is_decided() {
            return None;
        }
        let open = self.operations.swap_remove(index);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answer_operation(&open, port);
        self.finish_drain(port)
    }

    fn answer_operation(&self, open: &OpenOperation, port: &mut impl Output) {
        let OpenOperation { command_id, sequence_number, .. } = *open;
        if command_id == CommandId::BROADCAST_SM && open.answer == OperationAnswer::Body {
            port.fact(Fact::BroadcastAnswered(CommandStatus::ESME_ROK));
        }
        match open.answer {
            OperationAnswer::NotFound => {
                if open.names_one {
                    port.fact(Fact::UnknownMessage);
                }
                self.refuse_operation(command_id, sequence_number, open.not_found, port);
            }
            OperationAnswer::Refused(status) => {
                self.refuse_operation(command_id, sequence_number, status, port);
            }
            OperationAnswer::Done | OperationAnswer::Body => {
                let congestion = self.congestion_tlv(port);
                let len = HEADER_LEN + open.body.len() + congestion.as_bytes().len();
                port.send(len, |out| {
                    let head = header(command_id.response(), CommandStatus::ESME_ROK, sequence_number, len);
                    out.extend_from_slice(&head.encode());
                    out.extend_from_slice(&open.body);
                    out.extend_from_slice(congestion.as_bytes());
                });
            }
            OperationAnswer::State(state) => {
                let congestion = self.congestion_tlv(port);
                let id = self.compat.ids.response.text(state.message_id);
                send_state(&state, id.as_bytes(), sequence_number, congestion.as_bytes(), port);
            }
        }
    }

    fn refuse_operation(
        &self,
        command_id: CommandId,
        sequence_number: u32,
        status: CommandStatus,
        port: &mut impl Output,
    ) {
        if command_id == CommandId::BROADCAST_SM && self.version >= InterfaceVersion::V50 {
            port.fact(Fact::BroadcastAnswered(status));
        }
        self.refuse(command_id.response(), status, sequence_number, port);
    }
}

/// query_sm_resp (3.4 section 4.8.2).
fn send_state(
    state: &QueriedState,
    message_id: &[u8],
    sequence_number: u32,
    tlvs: &[u8],
    port: &mut impl Output,
) {
    let date = state
        .final_date
        .map(|at| SmppTime::Absolute(i64::try_from(at.unix_millis()).unwrap_or(i64::MAX)).format());
    let response = QuerySmResp {
        message_id,
        final_date: date.as_ref().map_or(b"", |date| date.as_slice()),
        message_state: state.state.octet(),
        error_code: state.error_code,
        tlvs: Tlvs::decode_lenient(tlvs),
    };
    let len = HEADER_LEN + response.body_len();
    port.send(len, |out| {
        let header = header(CommandId::QUERY_SM_RESP, CommandStatus::ESME_ROK, sequence_number, len);
        out.extend_from_slice(&header.encode());
        response.encode_body(out);
    });
}
