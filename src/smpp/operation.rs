//! Requests about stored messages, query_sm, cancel_sm and replace_sm (3.4 sections 4.8 to 4.10), and those about broadcasts
//! (5.0 sections 4.4 and 4.6), as one value, and what there is to answer to them.

use super::command_id::CommandId;
use super::command_status::CommandStatus;
use super::error::DecodeError;
use super::message_state::MessageState;
use super::pdu::{BroadcastSm, CancelBroadcastSm, CancelSm, PduBody, QueryBroadcastSm, QuerySm, ReplaceSm};
use super::validate::{validate_broadcast_sm, validate_replace_sm};
use super::version::InterfaceVersion;
use crate::base::{MessageId, WallTime};

/// One such request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// query_sm.
    Query(QuerySm<'a>),
    /// cancel_sm.
    Cancel(CancelSm<'a>),
    /// replace_sm.
    Replace(ReplaceSm<'a>),
    /// broadcast_sm.
    Broadcast(BroadcastSm<'a>),
    /// query_broadcast_sm.
    QueryBroadcast(QueryBroadcastSm<'a>),
    /// cancel_broadcast_sm.
    CancelBroadcast(CancelBroadcastSm<'a>),
}

impl<'a> Operation<'a> {
    /// Reads and checks the body of a request from a peer of this version. `None`: it is none of these, or none that this
    /// version has.
    pub fn decode(
        command_id: CommandId,
        body: &'a [u8],
        version: InterfaceVersion,
    ) -> Option<Result<Self, DecodeError>> {
        match command_id {
            CommandId::QUERY_SM => Some(QuerySm::decode(body).map(Self::Query)),
            CommandId::CANCEL_SM => Some(CancelSm::decode(body).map(Self::Cancel)),
            CommandId::REPLACE_SM => Some(ReplaceSm::decode(body).and_then(|sm| {
                validate_replace_sm(&sm, version)?;
                Ok(Self::Replace(sm))
            })),
            _ if version < InterfaceVersion::V50 => None,
            CommandId::BROADCAST_SM => Some(BroadcastSm::decode(body).and_then(|sm| {
                validate_broadcast_sm(&sm)?;
                Ok(Self::Broadcast(sm))
            })),
            CommandId::QUERY_BROADCAST_SM => Some(QueryBroadcastSm::decode(body).map(Self::QueryBroadcast)),
            CommandId::CANCEL_BROADCAST_SM => {
                Some(CancelBroadcastSm::decode(body).map(Self::CancelBroadcast))
            }
            _ => None,
        }
    }

    /// The message_id that it names; empty where it names none.
    pub const fn message_id(&self) -> &'a [u8] {
        match self {
            Self::Query(query) => query.message_id,
            Self::Cancel(cancel) => cancel.message_id,
            Self::Replace(replace) => replace.message_id,
            Self::Broadcast(broadcast) => broadcast.message_id,
            Self::QueryBroadcast(query) => query.message_id,
            Self::CancelBroadcast(cancel) => cancel.message_id,
        }
    }

    /// The address that says which place it is for: destination_addr of a cancel_sm that names no message, source_addr of a
    /// new broadcast. `None`: any place may have what it is about.
    pub const fn only_at(&self) -> Option<&'a [u8]> {
        match self {
            Self::Cancel(cancel) if cancel.message_id.is_empty() => Some(cancel.destination_addr),
            Self::Broadcast(sm) if sm.replace_if_present_flag == 0 => Some(sm.source_addr),
            _ => None,
        }
    }

    /// The status when the message is nobody's, or somebody else's: the two must not be told apart.
    pub const fn not_found(&self) -> CommandStatus {
        if !self.message_id().is_empty() {
            return CommandStatus::ESME_RINVMSGID;
        }
        match self {
            Self::Cancel(_) => CommandStatus::ESME_RCANCELFAIL,
            Self::Query(_) | Self::Replace(_) => CommandStatus::ESME_RINVMSGID,
            Self::Broadcast(_) => CommandStatus::ESME_RBCASTFAIL,
            Self::QueryBroadcast(_) => CommandStatus::ESME_RBCASTQUERYFAIL,
            Self::CancelBroadcast(_) => CommandStatus::ESME_RBCASTCANCELFAIL,
        }
    }
}

/// What a query_sm is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueriedState {
    /// Its id.
    pub message_id: MessageId,
    /// Its state.
    pub state: MessageState,
    /// The network's error code, as far as one octet holds it.
    pub error_code: u8,
    /// When it became final.
    pub final_date: Option<WallTime>,
}

/// The answer to an [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationAnswer {
    /// There is no such message here.
    NotFound,
    /// It can't be done.
    Refused(CommandStatus),
    /// It is done.
    Done,
    /// What was asked for.
    State(QueriedState),
    /// It is done, and the response's body is given beside this.
    Body,
}

impl OperationAnswer {
    /// The answer of two places that were asked: a message is in one at most.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match self {
            Self::NotFound => other,
            found => found,
        }
    }
}
