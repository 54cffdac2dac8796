//! What a session is at present, for its shell and for people.

use super::{Session, State};
use crate::base::{AccountId, Time};
use crate::session::port::BindMode;
use crate::smpp::InterfaceVersion;

impl Session {
    /// Whether it has passed a bind and not ended.
    pub const fn is_bound(&self) -> bool {
        matches!(self.state, State::Bound | State::Unbinding { .. } | State::Draining { .. })
    }

    /// Whether a bind is being judged.
    pub const fn is_authenticating(&self) -> bool {
        matches!(self.state, State::Authenticating { .. })
    }

    /// Whose session, once bound.
    pub fn account(&self) -> Option<AccountId> {
        (self.account.0 != u16::MAX).then_some(self.account)
    }

    /// As what it is bound.
    pub const fn mode(&self) -> BindMode {
        self.mode
    }

    /// The effective version.
    pub const fn version(&self) -> InterfaceVersion {
        self.version
    }

    /// interface_version as the ESME gave it.
    pub const fn interface_version(&self) -> u8 {
        self.interface_version
    }

    /// When it bound, and when it last sent an octet that made a PDU.
    pub const fn times(&self) -> (Time, Time) {
        (self.bound_at, self.link.last_received_at())
    }

    /// Submissions that await our response, and the most allowed.
    pub const fn in_flight(&self) -> (u32, u32) {
        (self.in_flight, self.in_flight_max)
    }

    /// Requests of ours that await a response, and the most allowed.
    pub const fn deliver_window(&self) -> (u32, u32) {
        (self.window.open(), self.window.max())
    }

    /// Submissions received and deliveries sent.
    pub const fn totals(&self) -> (u64, u64) {
        (self.submitted, self.delivered)
    }
}
