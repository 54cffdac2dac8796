//! What a decoder says about a body that it can't accept.

use super::command_status::CommandStatus;

/// Why a body was refused, in the terms of its answer. The session stays up: the frame itself was sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {status}")]
pub struct DecodeError {
    /// The command_status for the response of the operation.
    pub status: CommandStatus,
    /// The field at fault, in the specification's spelling.
    pub field: &'static str,
}

impl DecodeError {
    /// An error about `field`.
    pub const fn new(status: CommandStatus, field: &'static str) -> Self {
        Self { status, field }
    }

    /// The body ends before or within `field`.
    pub(crate) const fn too_short(field: &'static str) -> Self {
        Self::new(CommandStatus::ESME_RINVCMDLEN, field)
    }
}
