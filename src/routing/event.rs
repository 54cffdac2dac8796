//! The end of a message, and the attempts before it, as facts of their own, for whoever keeps a record of each: stated only
//! where somebody does.

use super::message::{Message, Role, wall_of};
use super::{Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, WallTime};
use crate::smpp::{MessageState, PduBody, SmFields};
use crate::store::MessageStore;

/// A message that has come to its end; or one of whose attempts nothing has come yet.
#[derive(Clone, Copy, Debug)]
pub struct MessageEnd<'a> {
    /// Its id.
    pub message_id: MessageId,
    /// Whose: the submitter, or the owner of an MO message's destination.
    pub account: AccountId,
    /// Whether it is an MO message.
    pub is_mo: bool,
    /// Its final state; of an MO message DELIVERED, or what else became of it. After an attempt that failed for now, ENROUTE.
    pub state: MessageState,
    /// Error code of the last attempt; 0 = none.
    pub error: u16,
    /// Attempts made.
    pub attempts: u16,
    /// When it was accepted.
    pub accepted: WallTime,
    /// When it came to its end; or when the attempt failed.
    pub finished: WallTime,
    /// What was submitted.
    pub sm: SmFields<'a>,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// States the end of an MT or MO message, if anybody keeps records.
    #[inline]
    pub(super) fn state_end(
        &mut self,
        slot: u32,
        state: MessageState,
        error: u16,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        if self.settings.event_records
            && let Some(end) = self.event(slot, state, error, now)
        {
            out.message_end(&end);
        }
    }

    /// States that an attempt for an MT or MO message has failed for now, if anybody keeps records of those.
    #[inline]
    pub(super) fn state_attempt(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        if self.settings.attempt_records
            && let Some(&Message { role: Role::Mt | Role::Mo, error, .. }) = self.messages.get(slot)
            && let Some(attempt) = self.event(slot, MessageState::Enroute, error, now)
        {
            out.message_attempt(&attempt);
        }
    }

    #[cold]
    fn event(&mut self, slot: u32, state: MessageState, error: u16, now: Now) -> Option<MessageEnd<'_>> {
        let message = *self.messages.get(slot)?;
        let body = self.store.body(message.location).unwrap_or_default();
        let sm = SmFields::decode(body).unwrap_or_default();
        // To the millisecond; of a message of an earlier run, to the second.
        let (exact, rough) = (now.wall_at(message.accepted), wall_of(message.accepted_s));
        let is_of_this_run = exact.unix_millis().abs_diff(rough.unix_millis()) < 2_000;
        Some(MessageEnd {
            message_id: message.id,
            account: message.account,
            is_mo: message.role == Role::Mo,
            state,
            error,
            attempts: message.attempts,
            accepted: if is_of_this_run { exact } else { rough },
            finished: now.wall,
            sm,
        })
    }
}
