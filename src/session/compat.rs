//! What of a session depends on the client it is with rather than on the protocol: resolved when it binds, and again when
//! its account changes.

use super::port::DataSmUse;
use crate::base::IdForms;

/// How one account is spoken to. The default is plain SMPP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// How message ids are written and read.
    pub ids: IdForms,
    /// What is delivered by data_sm; not to peers below 3.4, which have none.
    pub data_sm: DataSmUse,
    /// Whether the response to a submission or query that is refused has a body, with empty fields (3.4 section 4.4.2 has
    /// none).
    pub error_body: bool,
    /// How long a submit_sm or data_sm over the account's rate waits, unread, before ESME_RTHROTTLED; 0: not at all.
    pub throttle_delay_ms: u32,
    /// Whether a response that comes after its timer, but before the delivery is repeated, is taken as the answer.
    pub takes_late_responses: bool,
    /// Whether a delivery that is not answered in time ends the session.
    pub closes_unanswered: bool,
}
