//! The SMPP session as a sans-IO state machine: octets, results and `now` in; PDUs, requests and facts out through
//! a [`Port`]. It owns no socket, no clock and no buffer beyond what waits for a window.
//!
//! [`smsc`] is our side towards an ESME. [`esme`] is the other role, for binding to an upstream SMSC. Both share
//! the [`window`] of requests that await a response.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod compat;
pub mod esme;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(test), allow(dead_code, reason = "tests use more of it than the fuzz target"))]
pub mod harness;
mod link;
pub mod port;
mod received;
pub mod smsc;
#[cfg(test)]
mod tests;
pub mod window;
mod wire;

pub use compat::Compat;
pub use port::{
    Authentication, BindMode, BindRequest, CloseReason, DataSmUse, DeliveryResult, Disposition, Fact, Grant,
    MultiRequest, MultiResult, OperationDisposition, OperationRequest, Origin, Output, Port, StallReason,
    SubmitRequest,
};
pub use received::{Received, Stop};
pub use smsc::{Session, SessionSettings};
