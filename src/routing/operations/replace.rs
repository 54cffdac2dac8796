//! replace_sm (3.4 section 4.10), and submit_sm with replace_if_present_flag (3.4 section 5.2.18). The message keeps its
//! id, and stands at the end of the line again.

use super::super::accept::{Times, ahead_ms};
use super::super::message::{Message, OnFailure, Stage, seconds_of, version_of};
use super::super::{Shard, Submit, SubmitOutcome};
use super::find::Group;
use super::{Decided, Unanswered, can_be_changed};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, Time};
use crate::smpp::{CommandStatus, OperationAnswer, PduBody, ReplaceSm, SmFields, TlvTag, Tlvs, push_tlv};
use crate::store::{Lsn, MessageStore};

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    pub(super) fn replace_sm(&mut self, account: AccountId, replace: &ReplaceSm<'_>, now: Now) -> Decided {
        let refused = |status| (OperationAnswer::Refused(status), None);
        let Some(id) = self.meant(account, replace.message_id, now) else {
            return (OperationAnswer::NotFound, None);
        };
        let Some(link) = self.find_own(account, id, replace.source_addr) else {
            let is_final = self.find(id).is_none()
                && self.history.find(id, now).is_some_and(|record| record.account == account);
            let failed = refused(CommandStatus::ESME_RREPLACEFAIL);
            return if is_final { failed } else { (OperationAnswer::NotFound, None) };
        };
        let Some(message) = self.look_at(link).filter(can_be_changed) else {
            return refused(CommandStatus::ESME_RREPLACEFAIL);
        };
        let times = match self.replaced_times(&message, replace, now) {
            Ok(times) => times,
            Err(status) => return refused(status),
        };
        let mut body = Vec::new();
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        let Some(stored) = stored else { return refused(CommandStatus::ESME_RSYSERR) };
        encode_replaced(&stored, replace, &mut body);
        let Some(slot) = self.awake(link) else { return refused(CommandStatus::ESME_RSYSERR) };
        match self.put_in_place(slot, &body, times, None, now) {
            Ok(lsn) => (OperationAnswer::Done, Some(lsn)),
            Err(status) => refused(status),
        }
    }

    /// Carries out a submit_sm that replaces a pending message with the same addresses and service_type. `None`: there is
    /// no such message, so it is one of its own.
    #[cold]
    pub(in super::super) fn submit_in_place(
        &mut self,
        submit: &Submit<'_>,
        times: Times,
        now: Now,
    ) -> Option<SubmitOutcome> {
        let group = Group {
            account: submit.account,
            source_addr: submit.sm.source_addr,
            destination_addr: submit.sm.destination_addr,
            service_type: Some(submit.sm.service_type),
        };
        let found = self.find_group(&group);
        let is_awaited =
            |slot| self.messages.get(slot).is_some_and(|message| message.on_failure.is_awaited());
        let slot = found.into_iter().find(|&slot| !is_awaited(slot))?;
        let id: MessageId = self.messages.get(slot)?.id;
        let lsn = match self.put_in_place(slot, submit.body, times, Some(submit), now) {
            Ok(lsn) => lsn,
            Err(status) => return Some(SubmitOutcome::Refused(status)),
        };
        self.answers.replaced.push(submit.account);
        let durability = self.accounts.get(submit.account).durability;
        if self.is_held(durability, lsn) {
            return Some(SubmitOutcome::Accepted(id));
        }
        self.answer_later(durability, lsn, Unanswered::Submit(submit.origin, id));
        Some(SubmitOutcome::Later)
    }

    /// Schedule and expiry by a replace_sm; what it leaves out stays.
    fn replaced_times(
        &self,
        message: &Message,
        replace: &ReplaceSm<'_>,
        now: Now,
    ) -> Result<Times, CommandStatus> {
        let max_ms = self.accounts.get(message.account).validity_max_ms;
        let at = |text, refusal| Ok(now.mono.plus_millis(ahead_ms(text, max_ms, now, refusal)?));
        let kept = Some(message.milestone).filter(|&milestone| milestone > now.mono);
        let schedule = match replace.schedule_delivery_time {
            b"" => kept,
            text => Some(at(text, CommandStatus::ESME_RINVSCHED)?),
        };
        let expires = match replace.validity_period {
            b"" => message.expires,
            text => at(text, CommandStatus::ESME_RINVEXPIRY)?,
        };
        if expires <= now.mono {
            return Err(CommandStatus::ESME_RINVEXPIRY);
        }
        let is_stated = !replace.schedule_delivery_time.is_empty();
        match schedule {
            Some(schedule) if schedule >= expires && is_stated => Err(CommandStatus::ESME_RINVSCHED),
            Some(schedule) if schedule >= expires && message.stage == Stage::Scheduled => {
                Err(CommandStatus::ESME_RINVEXPIRY)
            }
            schedule => Ok(Times { schedule, expires }),
        }
    }

    /// Puts `body` in the place of a message that can be changed, and sends that on its way again; it may be that of
    /// another session from now on.
    fn put_in_place(
        &mut self,
        slot: u32,
        body: &[u8],
        times: Times,
        submit: Option<&Submit<'_>>,
        now: Now,
    ) -> Result<Lsn, CommandStatus> {
        let sm = SmFields::decode(body).map_err(|error| error.status)?;
        let Some(&message) = self.messages.get(slot) else { return Err(CommandStatus::ESME_RSYSERR) };
        // A receipt's submit date is that of the replacement, and no attempt has been made with it.
        let mut replaced = Message {
            accepted_s: seconds_of(now.wall),
            attempts: 0,
            on_failure: OnFailure::Retry,
            milestone: times.schedule.map_or(Time::ZERO, |schedule| schedule.min(times.expires)),
            expires: times.expires,
            ..message
        };
        if let Some(Submit { origin, version, .. }) = submit {
            replaced.submitter = origin.session;
            replaced.version = version_of(*version, origin.operation);
        }
        replaced.set_fields(&sm, self.names);
        let due = times.schedule.unwrap_or(now.mono);
        let durability = self.accounts.get(message.account).durability;
        let stored = self
            .store
            .replace_as(message.location, &replaced.record(due, now), body, durability)
            .map_err(|_| CommandStatus::ESME_RMSGQFUL)?;
        self.take_out(slot);
        self.give_up_turn(slot, now);
        if let Some(message) = self.messages.get_mut(slot) {
            message.location = stored.location;
            message.accepted_s = replaced.accepted_s;
            message.milestone = replaced.milestone;
            message.expires = replaced.expires;
            message.registered_delivery = replaced.registered_delivery;
            message.on_failure = replaced.on_failure;
            message.priority = replaced.priority;
            message.attempts = 0;
            message.parts_settled = 0;
            message.submitter = replaced.submitter;
            message.version = replaced.version;
        }
        if due > now.mono || self.is_held(durability, stored.lsn) {
            self.open(slot, now);
        } else {
            if let Some(message) = self.messages.get_mut(slot) {
                message.stage = Stage::AwaitingReplacement { lsn: stored.lsn };
            }
            self.answers.replacements.push_back(&mut self.messages, slot);
        }
        Ok(stored.lsn)
    }
}

/// Writes the stored message with what a replace_sm changes in it.
fn encode_replaced(stored: &SmFields<'_>, replace: &ReplaceSm<'_>, body: &mut Vec<u8>) {
    let mut tlvs = Vec::new();
    for tlv in stored.tlvs.iter().filter(|tlv| tlv.tag != TlvTag::MESSAGE_PAYLOAD) {
        push_tlv(&mut tlvs, tlv.tag, tlv.value);
    }
    if replace.short_message.is_empty() && !replace.user_data().is_empty() {
        push_tlv(&mut tlvs, TlvTag::MESSAGE_PAYLOAD, replace.user_data());
    }
    let stated = |new, old| if <[u8]>::is_empty(new) { old } else { new };
    let replaced = SmFields {
        schedule_delivery_time: stated(replace.schedule_delivery_time, stored.schedule_delivery_time),
        validity_period: stated(replace.validity_period, stored.validity_period),
        registered_delivery: replace.registered_delivery,
        sm_default_msg_id: replace.sm_default_msg_id,
        short_message: replace.short_message,
        tlvs: Tlvs::decode_lenient(&tlvs),
        ..*stored
    };
    replaced.encode_body(body);
}
