//! A bind on its way from its first judgement to its end.

use std::net::IpAddr;

use crate::base::{AccountId, SessionHandle};
use crate::runtime::failed_binds::Culprit;
use crate::session::{BindMode, Grant};
use crate::smpp::CommandStatus;

/// A bind that was attempted: all that is needed to settle it later.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The account, if there is one that this peer may have.
    pub account: Option<AccountId>,
    /// As what it binds.
    pub mode: BindMode,
    /// From where.
    pub address: IpAddr,
    /// Which session.
    pub session: SessionHandle,
    pub(super) revision: u32,
    /// Whether the account lets a bind have its address_range.
    pub(super) is_in_range: bool,
    /// What it is refused with if it is not right.
    pub(super) refusal: CommandStatus,
    /// The address and the system_id, to hold a failure against.
    pub(super) culprits: [Culprit; 2],
    pub(super) system_id: SystemId,
}

/// Longest system_id (3.4 section 5.2.1), less its NUL.
const SYSTEM_ID_OCTETS_MAX: usize = 15;

/// A system_id by value.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemId {
    octets: [u8; SYSTEM_ID_OCTETS_MAX],
    len: u8,
}

impl SystemId {
    pub(super) fn new(system_id: &[u8]) -> Self {
        let mut octets = [0; SYSTEM_ID_OCTETS_MAX];
        for (to, from) in octets.iter_mut().zip(system_id) {
            *to = *from;
        }
        Self { octets, len: system_id.len().min(SYSTEM_ID_OCTETS_MAX) as u8 }
    }
}

impl Attempt {
    /// system_id as the peer gave it.
    pub fn system_id(&self) -> &[u8] {
        let SystemId { octets, len } = &self.system_id;
        octets.get(..usize::from(*len)).unwrap_or(octets)
    }
}

/// What became of a bind whose password has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Let in; these sessions have lost their places to it.
    Granted {
        /// What it may do.
        grant: Grant,
        /// To be unbound.
        replaced: Vec<SessionHandle>,
    },
    /// This session has to be asked first whether it is still there.
    Ask(SessionHandle),
    /// Answered with this status.
    Refused(CommandStatus),
}

/// The first judgement of a bind.
#[derive(Debug)]
pub enum Judgement {
    /// Decided.
    Now(Attempt, Settled),
    /// The password must be checked against a hash, off the worker.
    Verify(Attempt),
    /// Too many binds have failed lately: answered without a look at the password.
    Limited,
}
