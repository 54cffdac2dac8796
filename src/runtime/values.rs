//! The values that cross threads: exactly the inputs and outputs of the session and routing cores.

use crate::base::{AccountId, DeliveryToken, MessageId, SessionHandle};
use crate::session::{DeliveryResult, Origin};
use crate::smpp::{CommandId, CommandStatus, DeliveryOutcome, InterfaceVersion, OperationAnswer};

/// From a worker to a routing shard. The body beside a `Submit` or an `Operate` is the request's.
#[derive(Clone, Copy, Debug)]
pub enum ToShard {
    /// A submission to decide.
    Submit {
        /// Where the answer goes.
        origin: Origin,
        /// Whose message.
        account: AccountId,
        /// The session's effective version.
        version: InterfaceVersion,
    },
    /// An operation on stored messages, whose body is beside it.
    Operate {
        /// Which session waits for the answer.
        session: SessionHandle,
        /// How it calls the operation.
        ticket: u32,
        /// Whose messages it is about.
        account: AccountId,
        /// The session's effective version.
        version: InterfaceVersion,
        /// Which operation.
        command_id: CommandId,
    },
    /// What a submit_multi has for the shard; the body is a [`crate::routing::MultiBatch`].
    SubmitMulti {
        /// Where the answers go.
        origin: Origin,
        /// Whose messages.
        account: AccountId,
        /// The session's effective version.
        version: InterfaceVersion,
        /// What the request is answered with.
        message_id: MessageId,
        /// Whether the first destination goes by that id.
        names_first: bool,
    },
    /// The outcome of a delivery.
    DeliveryResult {
        /// Which delivery.
        token: DeliveryToken,
        /// What came of it.
        result: DeliveryResult,
    },
    /// A session has bound.
    Bound {
        /// Addresses that it asks to serve.
        address_range: AddressRange,
        /// Its handle.
        session: SessionHandle,
        /// Whose.
        account: AccountId,
        /// Its effective version.
        version: InterfaceVersion,
        /// Whether deliveries may be handed to it.
        receives: bool,
        /// Deliveries that this shard may have open with it.
        deliver_credit: u32,
    },
    /// A session takes no more deliveries, but may still answer those it has.
    DeliveriesOff {
        /// Its handle.
        session: SessionHandle,
    },
    /// A session's peer does not read: it takes nothing more for now. To be answered by [`ToWorker::PauseHeard`].
    Paused {
        /// Its handle.
        session: SessionHandle,
    },
    /// A session that was paused takes deliveries again.
    Resumed {
        /// Its handle.
        session: SessionHandle,
    },
    /// A session is gone.
    Unbound {
        /// Its handle, from now on stale.
        session: SessionHandle,
    },
}

/// From a routing shard to a worker. The body beside a `Deliver` is the deliver_sm's body.
#[derive(Clone, Copy, Debug)]
pub enum ToWorker {
    /// A submission has been decided.
    SubmitResult {
        /// Whose answer.
        origin: Origin,
        /// The id it was accepted under, or the status it is refused with.
        result: Result<MessageId, CommandStatus>,
    },
    /// The message of a submission in transaction mode is final.
    Outcome {
        /// Whose answer.
        origin: Origin,
        /// What came of it.
        outcome: DeliveryOutcome,
    },
    /// The answer to an operation.
    OperationResult {
        /// Whose answer.
        session: SessionHandle,
        /// To which of its operations.
        ticket: u32,
        /// What it is.
        answer: OperationAnswer,
    },
    /// The same where it is the body of the response, which is beside it.
    OperationBody {
        /// Whose answer.
        session: SessionHandle,
        /// To which of its operations.
        ticket: u32,
    },
    /// So many destinations of a submit_multi are held.
    MultiAccepted {
        /// The worker's name for the request.
        request: u32,
        /// How many.
        count: u16,
    },
    /// A destination of a submit_multi is refused.
    MultiRefused {
        /// The worker's name for the request.
        request: u32,
        /// Which.
        index: u16,
        /// Why.
        status: CommandStatus,
    },
    /// A deliver_sm to send.
    Deliver {
        /// To which session.
        session: SessionHandle,
        /// How its outcome is reported.
        token: DeliveryToken,
    },
    /// An alert_notification to send, whose body is beside it.
    Alert {
        /// To which session.
        session: SessionHandle,
    },
    /// The shard has heard of a pause, and hands out nothing more to that session until it is resumed.
    PauseHeard {
        /// Which session.
        session: SessionHandle,
    },
}

/// A bind's address_range by value: at most 40 octets (3.4 section 5.2.7).
#[derive(Clone, Copy, Debug)]
pub struct AddressRange {
    octets: [u8; 40],
    len: u8,
}

impl AddressRange {
    /// The text of an address_range; the codec has bounded its length.
    pub fn new(text: &[u8]) -> Self {
        let mut octets = [0; 40];
        let len = text.len().min(octets.len());
        for (to, from) in octets.iter_mut().zip(text) {
            *to = *from;
        }
        Self { octets, len: len as u8 }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}
