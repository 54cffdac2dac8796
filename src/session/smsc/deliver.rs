//! What is delivered to the ESME: within its window, behind the submit_multi that it must not overtake, and settled by the
//! ESME's response.

use super::{Session, State};
use crate::base::{DeliveryToken, Time};
use crate::session::port::{DataSmUse, DeliveryResult, Fact, Output, Port};
use crate::session::window::Open;
use crate::smpp::{CommandId, Header};

/// A delivery that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    token: DeliveryToken,
    body_len: u32,
    by: CommandId,
    /// Behind which submit_multi.
    mark: u32,
}

impl Session {
    /// Sends a delivery by `by`, deliver_sm or data_sm, or holds it until the window has room and no submit_multi is under
    /// way that it must not overtake. `body_len` octets come from `write`. False: this session takes no deliveries (any
    /// more).
    pub fn deliver(
        &mut self,
        token: DeliveryToken,
        by: CommandId,
        body_len: usize,
        now: Time,
        port: &mut impl Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if !self.takes_deliveries() {
            return false;
        }
        if self.held.is_empty() && self.multis.is_empty() {
            let open = Open { token, sequence_number: self.next_sequence, sent_at: now };
            if self.window.insert(open) {
                self.send_request(by, body_len, port, write);
                self.delivered += 1;
                return true;
            }
        }
        // Rare: more shards than window, or a submit_multi. The credit of each shard bounds what can be held.
        let mut body = Vec::with_capacity(body_len);
        write(&mut body);
        let held = Held { token, body_len: body.len() as u32, by, mark: self.multis.mark() };
        self.held.push_back(held);
        self.held_bytes.extend(body);
        true
    }

    /// Sends an alert_notification, which has no response, if this session takes such (any more). `body_len` octets come
    /// from `write`.
    pub fn alert(
        &mut self,
        body_len: usize,
        port: &mut impl Output,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let takes = self.takes_deliveries() && self.version.has_tlvs();
        if takes {
            self.send_request(CommandId::ALERT_NOTIFICATION, body_len, port, write);
        }
        takes
    }

    /// Whether anything is delivered by data_sm here.
    pub const fn uses_data_sm(&self) -> bool {
        (self.compat.data_sm.messages || self.compat.data_sm.receipts) && self.version.has_tlvs()
    }

    /// By which request a message is delivered here, or a receipt.
    pub const fn delivers_by(&self, is_receipt: bool) -> CommandId {
        let DataSmUse { messages, receipts } = self.compat.data_sm;
        let data_sm = if is_receipt { receipts } else { messages };
        if data_sm && self.version.has_tlvs() { CommandId::DATA_SM } else { CommandId::DELIVER_SM }
    }

    pub(super) fn deliver_resp(&mut self, header: &Header, now: Time, port: &mut impl Port) {
        let Some(open) = self.window.remove(header.sequence_number) else {
            port.fact(Fact::UnmatchedResponse);
            return;
        };
        port.fact(Fact::DeliverAnswered { nanos: now.nanos_since(open.sent_at) });
        port.delivery_result(open.token, DeliveryResult::Answered(header.command_status));
        self.send_held(now, port);
    }

    pub(super) fn send_held(&mut self, now: Time, port: &mut impl Output) {
        while self.window.has_room() && self.takes_deliveries() {
            let Some(&held) = self.held.front() else { return };
            let open = Open { token: held.token, sequence_number: self.next_sequence, sent_at: now };
            if !self.multis.is_past(held.mark) || !self.window.insert(open) {
                return;
            }
            self.held.pop_front();
            let body: Vec<u8> = self.held_bytes.drain(..held.body_len as usize).collect();
            self.send_request(held.by, body.len(), port, |out| out.extend_from_slice(&body));
            self.delivered += 1;
        }
    }

    /// From here on the session takes no deliveries; those sent may still be answered.
    pub(super) fn stop_deliveries(&mut self, port: &mut impl Port) {
        if self.mode.receives() {
            port.deliveries_off();
        }
        self.return_held(port);
    }

    /// Gives back what was held and never sent.
    pub(super) fn return_held(&mut self, port: &mut impl Port) {
        for held in self.held.drain(..) {
            port.delivery_result(held.token, DeliveryResult::NotSent);
        }
        self.held_bytes.clear();
    }

    /// Whether deliver_sm may be handed to it.
    pub const fn takes_deliveries(&self) -> bool {
        matches!(self.state, State::Bound) && self.mode.receives()
    }
}
