//! How far a session got with the octets that it was given. The same in both roles.

use super::port::{CloseReason, StallReason};

/// Why a session stopped taking octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What is left is not a whole PDU; it becomes one with this many octets (a lower bound).
    NeedMore(usize),
    /// The turn's budget of PDUs is used up; whole PDUs may be left.
    Budget,
    /// What is left can't be taken now.
    Stalled(StallReason),
    /// Nothing more is taken from this session: flush, then close.
    Close(CloseReason),
}

/// What a session did with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets handled; the rest comes again.
    pub consumed: usize,
    /// PDUs handled.
    pub pdus: u32,
    /// Why it stopped.
    pub stop: Stop,
}

/// What one PDU led to.
pub(super) enum Flow {
    Next,
    Stall(StallReason),
    Close(CloseReason),
}
