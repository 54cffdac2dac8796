//! query_broadcast_sm and cancel_broadcast_sm (5.0 sections 4.6.1 and 4.6.3). An account sees its own broadcasts only.

use super::super::message::{Stage, wall_of};
use super::super::operations::{Decided, OperationRequest};
use super::super::{Shard, ShardOutput};
use super::answers::Awaits;
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now};
use crate::smpp::{
    CancelBroadcastSm, CommandStatus, MessageState, OperationAnswer, QueryBroadcastSm, SmppTime, TlvTag,
    push_tlv,
};
use crate::store::MessageStore;

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// The account's broadcasts from this source with this message_id, or where that is empty with this
    /// user_message_reference; without either, none.
    pub(super) fn named(
        &self,
        account: AccountId,
        source_addr: &[u8],
        message_id: &[u8],
        reference: Option<u16>,
    ) -> Vec<MessageId> {
        let ids = self.accounts.get(account).ids;
        let known = self
            .broadcasts
            .known
            .iter()
            .filter(|(_, known)| known.account == account && *known.source_addr == *source_addr);
        let named = known.filter(|(known_id, known)| match message_id {
            b"" => reference.is_some() && known.user_message_reference == reference,
            _ => ids.meanings(message_id).any(|id| id == **known_id),
        });
        named.map(|(&id, _)| id).collect()
    }

    /// The slot of a broadcast that can be changed: it has not ended, and is durable.
    pub(super) fn can_change_broadcast(&self, id: MessageId) -> Option<u32> {
        self.broadcasts.known.get(&id).filter(|known| known.end.is_none())?;
        let slot = self.find(id)?;
        self.messages.get(slot).filter(|message| message.stage == Stage::Waiting).map(|_| slot)
    }

    /// States what has become of a broadcast; of several with one reference, of the latest. The answer follows with a
    /// body.
    ///
    /// # Errors
    /// What else there is to answer.
    pub(in super::super) fn query_broadcast_sm(
        &mut self,
        request: &OperationRequest<'_>,
        query: &QueryBroadcastSm<'_>,
        now: Now,
    ) -> Result<(), OperationAnswer> {
        let reference = query.tlvs.u16(TlvTag::USER_MESSAGE_REFERENCE);
        let named = self.named(request.account, query.source_addr, query.message_id, reference);
        let id = named.into_iter().max().ok_or(OperationAnswer::NotFound)?;
        let known = self.broadcasts.known.get(&id).ok_or(OperationAnswer::NotFound)?;
        let message = self.find(id).and_then(|slot| self.messages.get(slot));
        let is_scheduled =
            message.is_some_and(|message| message.attempts == 0 && message.milestone > now.mono);
        let state = match known.end {
            Some((state, _)) => state,
            None if is_scheduled => MessageState::Scheduled,
            None => MessageState::Enroute,
        };
        let form = self.accounts.get(request.account).ids.response;
        let mut body = form.text(id).as_bytes().to_vec();
        body.push(0);
        push_tlv(&mut body, TlvTag::MESSAGE_STATE, &[state.octet()]);
        for area in &known.areas {
            push_tlv(&mut body, TlvTag::BROADCAST_AREA_IDENTIFIER, &area.identifier);
            push_tlv(&mut body, TlvTag::BROADCAST_AREA_SUCCESS, &[area.success()]);
        }
        if let Some((_, finished_s)) = known.end {
            let at = i64::try_from(wall_of(finished_s).unix_millis()).unwrap_or(i64::MAX);
            push_tlv(&mut body, TlvTag::BROADCAST_END_TIME, &SmppTime::Absolute(at).format());
        }
        if let Some(reference) = known.user_message_reference {
            push_tlv(&mut body, TlvTag::USER_MESSAGE_REFERENCE, &reference.to_be_bytes());
        }
        self.bodies.push(request.asker, Awaits::Nothing, body);
        Ok(())
    }

    /// Ends a broadcast, or all from a source that have the service_type, the broadcast_content_type and the
    /// user_message_reference that are given.
    pub(in super::super) fn cancel_broadcast_sm(
        &mut self,
        account: AccountId,
        cancel: &CancelBroadcastSm<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Decided {
        let ids = if cancel.message_id.is_empty() {
            self.broadcast_group(account, cancel)
        } else {
            self.named(account, cancel.source_addr, cancel.message_id, None)
        };
        let mut answer = OperationAnswer::NotFound;
        let mut last = None;
        let durability = self.accounts.get(account).durability;
        for id in ids {
            match self.can_change_broadcast(id) {
                Some(slot) => {
                    self.take_out(slot);
                    last = Some(self.end_broadcast(slot, MessageState::Deleted, durability, now, out));
                    answer = OperationAnswer::Done;
                }
                None if answer == OperationAnswer::NotFound => {
                    answer = OperationAnswer::Refused(CommandStatus::ESME_RBCASTCANCELFAIL);
                }
                None => {}
            }
        }
        (answer, last)
    }

    fn broadcast_group(&self, account: AccountId, cancel: &CancelBroadcastSm<'_>) -> Vec<MessageId> {
        let content_type = cancel.tlvs.find(TlvTag::BROADCAST_CONTENT_TYPE);
        let reference = cancel.tlvs.u16(TlvTag::USER_MESSAGE_REFERENCE);
        let group = self.broadcasts.known.iter().filter(|(_, known)| {
            known.end.is_none()
                && known.account == account
                && *known.source_addr == *cancel.source_addr
                && (cancel.service_type.is_empty() || *known.service_type == *cancel.service_type)
                && content_type.is_none_or(|content_type| known.content_type.as_deref() == Some(content_type))
                && (reference.is_none() || known.user_message_reference == reference)
        });
        let mut ids: Vec<MessageId> = group.map(|(&id, _)| id).collect();
        ids.sort_unstable();
        ids
    }
}
