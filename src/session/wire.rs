//! What both roles put on the wire in the same way: headers, requests with the next sequence_number, answers
//! without a body, and the last word to a peer whose octets make no frames.

use super::port::{CloseReason, Output};
use super::window::next_sequence;
use crate::limits::HEADER_LEN;
use crate::smpp::frame::{self, Frame, FrameError};
use crate::smpp::{CommandId, CommandStatus, Header};

pub(super) fn header(
    command_id: CommandId,
    command_status: CommandStatus,
    sequence_number: u32,
    len: usize,
) -> Header {
    Header { command_length: len as u32, command_id, command_status, sequence_number }
}

/// Sends a PDU without a body.
pub(super) fn send_header(
    command_id: CommandId,
    status: CommandStatus,
    sequence_number: u32,
    port: &mut impl Output,
) {
    port.send(HEADER_LEN, |out| {
        out.extend_from_slice(&header(command_id, status, sequence_number, HEADER_LEN).encode());
    });
}

/// Sends a request with the next sequence_number and returns that number. `body_len` octets come from `write`.
pub(super) fn send_request(
    sequence: &mut u32,
    command_id: CommandId,
    body_len: usize,
    port: &mut impl Output,
    write: impl FnOnce(&mut Vec<u8>),
) -> u32 {
    let sequence_number = *sequence;
    *sequence = next_sequence(sequence_number);
    let len = HEADER_LEN + body_len;
    port.send(len, |out| {
        out.extend_from_slice(&header(command_id, CommandStatus::ESME_ROK, sequence_number, len).encode());
        write(out);
    });
    sequence_number
}

/// Answers a request with a header-only response of its own kind.
pub(super) fn respond(frame: &Frame<'_>, status: CommandStatus, port: &mut impl Output) {
    send_header(frame.header.command_id.response(), status, frame.header.sequence_number, port);
}

/// Answers octets that can't be followed any further, and says why the session closes.
pub(super) fn answer_broken_frame(
    octets: &[u8],
    error: FrameError,
    bound: bool,
    port: &mut impl Output,
) -> CloseReason {
    if !bound && frame::looks_foreign(octets).is_some() {
        // A browser, a TLS client or a scanner: a PDU would tell it nothing.
        return CloseReason::ForeignProtocol;
    }
    let FrameError::CommandLength { sequence_number, .. } = error;
    let sequence_number = sequence_number.unwrap_or(0);
    send_header(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, sequence_number, port);
    CloseReason::BrokenFrame
}
