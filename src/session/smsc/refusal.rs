//! Refusals of requests on a bound session: a header alone, or with the body that some clients can't do without.

use super::Session;
use crate::limits::HEADER_LEN;
use crate::session::port::Output;
use crate::session::wire::{header, send_header};
use crate::smpp::{CommandId, CommandStatus};

impl Session {
    /// Answers a request with an error, as the version has it.
    pub(super) fn refuse(
        &self,
        response: CommandId,
        status: CommandStatus,
        sequence_number: u32,
        port: &mut impl Output,
    ) {
        let status = status.for_version(self.version);
        if !self.compat.error_body {
            return send_header(response, status, sequence_number, port);
        }
        let body = empty_body(response);
        let len = HEADER_LEN + body.len();
        port.send(len, |out| {
            out.extend_from_slice(&header(response, status, sequence_number, len).encode());
            out.extend_from_slice(body);
        });
    }
}

/// The mandatory fields of a response, all empty.
const fn empty_body(response: CommandId) -> &'static [u8] {
    match response {
        // message_id.
        CommandId::SUBMIT_SM_RESP
        | CommandId::DATA_SM_RESP
        | CommandId::BROADCAST_SM_RESP
        | CommandId::QUERY_BROADCAST_SM_RESP => &[0],
        // message_id, no_unsuccess.
        CommandId::SUBMIT_MULTI_RESP => &[0, 0],
        // message_id, final_date, message_state, error_code.
        CommandId::QUERY_SM_RESP => &[0, 0, 0, 0],
        _ => &[],
    }
}
