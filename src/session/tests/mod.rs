//! Tests of both session cores: each drives a core through a port that records everything.

mod answers;
mod compat;
mod deliveries;
mod esme;
mod esme_host;
mod pipe;
mod properties;
mod timers;
mod unbind;
mod vectors;

use super::harness::{
    ACCOUNT, HANDLE, Host, MESSAGE_ID, OK, Sent, bind, header_only, pdus_of, request, submission, submit,
    submit_body, token, with_body,
};
use super::{Authentication, BindMode, CloseReason, DeliveryResult, Disposition, Fact, Grant, Stop};
use crate::base::{DeliveryToken, MessageId, Time};
use crate::smpp::{Bind, CommandId, CommandStatus, InterfaceVersion, PduBody};
