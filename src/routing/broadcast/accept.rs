//! broadcast_sm: checked against the areas that the network has, stored, and sent on its way. Areas that are refused are
//! named in the answer, beside those that are served.

use super::super::accept::{Times, times};
use super::super::message::{Message, NETWORK, Role, seconds_of};
use super::super::operations::OperationRequest;
use super::super::{Shard, ShardOutput};
use super::Broadcast;
use super::answers::Awaits;
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, Time};
use crate::limits::BROADCASTS_MAX;
use crate::smpp::area::AreaIdentifier;
use crate::smpp::{
    BroadcastSm, CommandStatus, InterfaceVersion, OperationAnswer, PduBody, RegisteredDelivery, SmFields,
    TlvTag, push_tlv,
};
use crate::store::MessageStore;

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Takes a broadcast in; its answer follows with a body.
    ///
    /// # Errors
    /// What else there is to answer.
    pub(in super::super) fn broadcast_sm(
        &mut self,
        request: &OperationRequest<'_>,
        broadcast: &BroadcastSm<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Result<(), OperationAnswer> {
        let account = request.account;
        let refused = OperationAnswer::Refused;
        let replaced = match broadcast.replace_if_present_flag {
            0 => None,
            _ => Some(self.replaced_by(account, broadcast).ok_or(OperationAnswer::NotFound)?),
        };
        let mut failed = Vec::new();
        self.check_areas(broadcast, &mut failed).map_err(refused)?;
        let sm = SmFields {
            service_type: broadcast.service_type,
            source_addr_ton: broadcast.source_addr_ton,
            source_addr_npi: broadcast.source_addr_npi,
            source_addr: broadcast.source_addr,
            priority_flag: broadcast.priority_flag,
            schedule_delivery_time: broadcast.schedule_delivery_time,
            validity_period: broadcast.validity_period,
            // The request has no field for it.
            registered_delivery: if self.accounts.get(account).broadcast_receipts {
                RegisteredDelivery::FINAL
            } else {
                RegisteredDelivery::NONE
            },
            data_coding: broadcast.data_coding,
            sm_default_msg_id: broadcast.sm_default_msg_id,
            tlvs: broadcast.tlvs,
            ..SmFields::default()
        };
        let known = Broadcast::of(account, &sm).map_err(refused)?;
        let times = self.broadcast_times(account, &sm, &known, now).map_err(refused)?;
        let mut body = std::mem::take(&mut self.scratch.body);
        body.clear();
        sm.encode_body(&mut body);
        let entered = match replaced {
            Some((id, slot)) => self.replace_broadcast(id, slot, &sm, times, &body, now),
            None => self.new_broadcast(account, &sm, times, &body, now, out),
        };
        self.scratch.body = body;
        let (id, awaits) = entered.map_err(refused)?;
        self.broadcasts.known.insert(id, known);
        let form = self.accounts.get(account).ids.response;
        let mut answer = form.text(id).as_bytes().to_vec();
        answer.push(0);
        answer.extend(failed);
        self.bodies.push(request.asker, awaits, answer);
        Ok(())
    }

    /// Looks each area up; those that the network has not are written to `failed` as the TLVs that say so.
    ///
    /// # Errors
    /// Where it has none of them.
    fn check_areas(&self, broadcast: &BroadcastSm<'_>, failed: &mut Vec<u8>) -> Result<(), CommandStatus> {
        let mut served = 0;
        let mut first = None;
        let areas = broadcast.tlvs.iter().filter(|tlv| tlv.tag == TlvTag::BROADCAST_AREA_IDENTIFIER);
        for area in areas {
            let status = match AreaIdentifier::decode(area.value) {
                Ok(_) if self.network.has_area(area.value) => {
                    served += 1;
                    continue;
                }
                Ok(AreaIdentifier::Alias(_)) => CommandStatus::ESME_RINVBCASTALIAS_NAME,
                // Nothing that the network has lies in it.
                Ok(_) => CommandStatus::ESME_RBCASTFAIL,
                Err(status) => status,
            };
            first.get_or_insert(status);
            push_tlv(failed, TlvTag::BROADCAST_AREA_IDENTIFIER, area.value);
            push_tlv(failed, TlvTag::BROADCAST_ERROR_STATUS, &status.0.to_be_bytes());
        }
        match first {
            Some(status) if served == 0 => Err(status),
            _ => Ok(()),
        }
    }

    /// Schedule and expiry. Without a validity_period it is valid until all rounds have been made, if the account may have
    /// it that long.
    fn broadcast_times(
        &self,
        account: AccountId,
        sm: &SmFields<'_>,
        known: &Broadcast,
        now: Now,
    ) -> Result<Times, CommandStatus> {
        let policy = self.accounts.get(account);
        let mut times = times(sm, policy, now)?;
        if sm.validity_period.is_empty() && known.rounds > 0 {
            let rounds_ms = known.interval_ms.saturating_mul(u64::from(known.rounds));
            let begin = times.schedule.unwrap_or(now.mono);
            let latest = now.mono.plus_millis(policy.validity_max_ms);
            times.expires = times.expires.max(begin.plus_millis(rounds_ms).min(latest));
        }
        Ok(times)
    }

    fn new_broadcast(
        &mut self,
        account: AccountId,
        sm: &SmFields<'_>,
        times: Times,
        body: &[u8],
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Result<(MessageId, Awaits), CommandStatus> {
        const FULL: CommandStatus = CommandStatus::ESME_RMSGQFUL;
        if !self.accounts.is_configured(account) {
            return Err(CommandStatus::ESME_RSYSERR);
        }
        if self.messages.is_full() || self.broadcasts.pending() >= BROADCASTS_MAX {
            return Err(FULL);
        }
        let id = self.ids.next_long();
        let mut message = Message {
            target: NETWORK,
            milestone: times.schedule.unwrap_or(Time::ZERO),
            expires: times.expires,
            version: InterfaceVersion::V50.octet(),
            ..Message::blank(id, account, Role::Broadcast, now)
        };
        message.set_fields(sm, self.names);
        let due = times.schedule.unwrap_or(now.mono);
        let (slot, is_durable) = self.enter(message, due, body, now).ok_or(FULL)?;
        if is_durable {
            self.state_acceptance(slot, now, out);
            self.open_broadcast(slot, now);
            return Ok((id, Awaits::Nothing));
        }
        Ok((id, Awaits::Release(id)))
    }

    /// The broadcast under way that this one is to take the place of, with its slot: named by its id or by its
    /// user_message_reference.
    fn replaced_by(&self, account: AccountId, broadcast: &BroadcastSm<'_>) -> Option<(MessageId, u32)> {
        let reference = broadcast.tlvs.u16(TlvTag::USER_MESSAGE_REFERENCE);
        let named = self.named(account, broadcast.source_addr, broadcast.message_id, reference);
        let id = named.into_iter().filter(|id| self.can_change_broadcast(*id).is_some()).max()?;
        Some((id, self.can_change_broadcast(id)?))
    }

    fn replace_broadcast(
        &mut self,
        id: MessageId,
        slot: u32,
        sm: &SmFields<'_>,
        times: Times,
        body: &[u8],
        now: Now,
    ) -> Result<(MessageId, Awaits), CommandStatus> {
        let Some(&message) = self.messages.get(slot) else { return Err(CommandStatus::ESME_RBCASTFAIL) };
        let account = message.account;
        let mut replaced = Message {
            accepted_s: seconds_of(now.wall),
            milestone: times.schedule.unwrap_or(Time::ZERO),
            expires: times.expires,
            attempts: 0,
            ..message
        };
        replaced.set_fields(sm, self.names);
        let durability = self.accounts.get(account).durability;
        let record = replaced.record(times.schedule.unwrap_or(now.mono), now);
        let stored = self
            .store
            .replace_as(message.location, &record, body, durability)
            .map_err(|_| CommandStatus::ESME_RMSGQFUL)?;
        self.take_out(slot);
        if let Some(message) = self.messages.get_mut(slot) {
            message.location = stored.location;
            message.accepted_s = replaced.accepted_s;
            message.milestone = replaced.milestone;
            message.expires = replaced.expires;
            message.attempts = 0;
            message.registered_delivery = replaced.registered_delivery;
            message.priority = replaced.priority;
        }
        self.answers.note_replaced(account);
        self.open_broadcast(slot, now);
        Ok((id, Awaits::Entry(durability, stored.lsn)))
    }
}
