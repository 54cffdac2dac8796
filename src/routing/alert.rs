//! Delivery pending flags and the alert_notification that answers each (3.4 sections 4.12 and 5.3.2.29; 5.0 section
//! 4.7.3): an ESME has asked by set_dpf to be told, its message has met an absent subscriber, and the network has said
//! when that one is back.
//!
//! A flag is a message of its own in slab and store, so that a restart forgets none: it waits on the wheel until the
//! subscriber is back, then for a receiving session as a receipt does. Only its addresses are stored. There is one for
//! each account, source and subscriber at a time, however many messages wait.

use std::collections::HashSet;

use super::delivery::HandOut;
use super::message::{Message, NONE, OnFailure, Role, Stage, Turn};
use super::{Fact, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, Now, SubmitOperation, Time};
use crate::smpp::{AlertNotification, InterfaceVersion, PduBody, RegisteredDelivery, SmFields, TlvTag, Tlvs};
use crate::store::MessageStore;

/// Whose subscriber is awaited: account, source_addr, destination_addr.
pub(super) type Flag = (AccountId, Box<[u8]>, Box<[u8]>);

/// The delivery pending flags that are set.
#[derive(Debug, Default)]
pub(super) struct PendingFlags {
    set: HashSet<Flag>,
}

pub(super) fn flag_of(account: AccountId, sm: &SmFields<'_>) -> Flag {
    (account, sm.source_addr.into(), sm.destination_addr.into())
}

/// Whether a message may ask for the flag: in 3.4 only data_sm can, in 5.0 submit_sm too.
fn may_ask(message: &Message) -> bool {
    message.operation() == SubmitOperation::DataSm || message.speaks(InterfaceVersion::V50)
}

/// Whether a message asks for the flag.
pub(super) fn asks_for_flag(message: &Message, sm: &SmFields<'_>) -> bool {
    may_ask(message) && sm.tlvs.u8(TlvTag::SET_DPF) == Some(1)
}

impl PendingFlags {
    /// Whether the flag is set that a final message has asked for: dpf_result of its receipt, which has one in 5.0.
    /// `None`: it has asked for none.
    pub(super) fn dpf_result(&self, message: &Message, sm: &SmFields<'_>) -> Option<bool> {
        (!sm.tlvs.is_empty() && message.role == Role::Receipt && asks_for_flag(message, sm))
            .then(|| self.is_set(&flag_of(message.account, sm)))
    }

    /// Whether a flag is set.
    pub(super) fn is_set(&self, flag: &Flag) -> bool {
        self.set.contains(flag)
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// A message in hand has met an absent subscriber, who is back at `back_at`: sets the flag if it asks for that.
    pub(super) fn flag_absence(&mut self, slot: u32, back_at: Time, now: Now, out: &mut impl ShardOutput) {
        let Some(&original) = self.messages.get(slot) else { return };
        if may_ask(&original) {
            self.flag_if_asked(&original, back_at, now, out);
        }
    }

    #[cold]
    fn flag_if_asked(&mut self, original: &Message, back_at: Time, now: Now, out: &mut impl ShardOutput) {
        let account = original.account;
        let mut body = std::mem::take(&mut self.scratch.body);
        let stored = self.store.body(original.location).and_then(|body| SmFields::decode(body).ok());
        let flag = stored.filter(|sm| asks_for_flag(original, sm)).map(|sm| {
            let addresses = SmFields {
                source_addr_ton: sm.source_addr_ton,
                source_addr_npi: sm.source_addr_npi,
                source_addr: sm.source_addr,
                dest_addr_ton: sm.dest_addr_ton,
                dest_addr_npi: sm.dest_addr_npi,
                destination_addr: sm.destination_addr,
                ..SmFields::default()
            };
            body.clear();
            addresses.encode_body(&mut body);
            flag_of(account, &sm)
        });
        if let Some(flag) = flag.filter(|flag| !self.flags.set.contains(flag)) {
            // A subscriber who stays away for longer than any message may wait is not waited for.
            let wait_ms = self.accounts.get(account).validity_max_ms;
            let kept_ms = wait_ms.saturating_add(self.settings.receipt_validity_s.saturating_mul(1_000));
            let expires = now.mono.plus_millis(kept_ms);
            let alert = Message {
                stage: Stage::Waiting,
                role: Role::Alert,
                target: account,
                milestone: Time::ZERO,
                expires,
                registered_delivery: RegisteredDelivery::NONE,
                attempts: 0,
                error: 0,
                next: NONE,
                previous: NONE,
                chain: NONE,
                peer: NONE,
                turn: Turn::No,
                on_failure: OnFailure::Retry,
                first_delivery: 0,
                parts_settled: 0,
                ..*original
            };
            let at = back_at.min(expires);
            match self.enter_silently(alert, at, &body, now) {
                Some(slot) => {
                    self.flags.set.insert(flag);
                    self.wheel.schedule(slot, at);
                }
                None => out.fact(Fact::AlertDropped { account }),
            }
        }
        self.scratch.body = body;
    }

    /// Puts a message that nobody waits to hear of into store and slab; `None`: one of them is full.
    fn enter_silently(&mut self, message: Message, due: Time, body: &[u8], now: Now) -> Option<u32> {
        let slot = self.messages.insert(message)?;
        let durability = self.accounts.get(message.account).durability;
        let Ok(stored) = self.store.put_as(&message.record(due, now), body, durability) else {
            self.messages.remove(slot);
            return None;
        };
        if let Some(message) = self.messages.get_mut(slot) {
            message.location = stored.location;
        }
        Some(slot)
    }

    /// A flag of an earlier run is set again.
    pub(super) fn restore_flag(&mut self, message: &Message) {
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        if let Some(sm) = stored {
            self.flags.set.insert(flag_of(message.account, &sm));
        }
    }

    /// The subscriber of an alert in hand is back, or is awaited no longer: the flag is no longer set.
    pub(super) fn clear_flag(&mut self, slot: u32) {
        let Some(&Message { account, location, .. }) = self.messages.get(slot) else { return };
        if let Some(sm) = self.store.body(location).and_then(|body| SmFields::decode(body).ok()) {
            self.flags.set.remove(&flag_of(account, &sm));
        }
    }

    /// Hands an alert, in hand or queued, to a session of its account, which it then is no more of: it has no response.
    /// Where `entry` speaks 3.3, which has no alert_notification, to another one that can take it now, or to none.
    #[cold]
    pub(super) fn hand_alert(&mut self, slot: u32, entry: u32, out: &mut impl ShardOutput) -> HandOut {
        let Some(&message) = self.messages.get(slot) else { return HandOut::GivenUp };
        let session = self.sessions.entries.get(entry);
        let handle = match session.filter(|session| session.version.has_tlvs()) {
            Some(session) => Some(session.handle),
            None => self.sessions.receiving(message.account, InterfaceVersion::V34),
        };
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        let fact = match handle.zip(stored) {
            Some((handle, sm)) => {
                let alert = AlertNotification {
                    source_addr_ton: sm.dest_addr_ton,
                    source_addr_npi: sm.dest_addr_npi,
                    source_addr: sm.destination_addr,
                    esme_addr_ton: sm.source_addr_ton,
                    esme_addr_npi: sm.source_addr_npi,
                    esme_addr: sm.source_addr,
                    tlvs: Tlvs::decode_lenient(AVAILABLE),
                };
                if !out.alert(handle, &alert) {
                    self.sessions.block(handle.worker);
                    return HandOut::NoRoom;
                }
                Fact::AlertSent { account: message.account }
            }
            None => Fact::AlertDropped { account: message.account },
        };
        out.fact(fact);
        self.take(slot);
        self.release(slot);
        HandOut::Sent
    }
}

/// ms_availability_status: available.
const AVAILABLE: &[u8] = &[0x04, 0x22, 0x00, 0x01, 0x00];
