//! What happens to a message, as facts of their own, for whoever keeps a record of each: that it was accepted, that an attempt
//! failed for now, that it has come to its end. Stated only where somebody keeps records of that kind.

use super::message::{Message, Role, wall_of};
use super::{Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, WallTime};
use crate::smpp::{MessageState, PduBody, SmFields};
use crate::store::MessageStore;

/// What has happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is held as its account's durability says.
    Accepted,
    /// An attempt has failed for now.
    Attempt,
    /// It has come to its end.
    Final,
}

/// Which kinds are stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventKinds {
    /// [`EventKind::Accepted`]
    pub accepted: bool,
    /// [`EventKind::Attempt`]
    pub attempt: bool,
    /// [`EventKind::Final`]
    pub end: bool,
}

/// Something that has happened to a message.
#[derive(Clone, Copy, Debug)]
pub struct MessageEvent<'a> {
    /// What.
    pub kind: EventKind,
    /// Its id.
    pub message_id: MessageId,
    /// Whose: the submitter, or the owner of an MO message's destination.
    pub account: AccountId,
    /// Whether it is an MO message.
    pub is_mo: bool,
    /// Its final state; of an MO message DELIVERED, or what else became of it. ENROUTE before that.
    pub state: MessageState,
    /// Error code of the last attempt; 0 = none.
    pub error: u16,
    /// Attempts made.
    pub attempts: u16,
    /// When it was accepted.
    pub accepted: WallTime,
    /// When this happened.
    pub at: WallTime,
    /// What was submitted.
    pub sm: SmFields<'a>,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// States that a message is held now, if anybody keeps records of that.
    #[inline]
    pub(super) fn state_acceptance(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        if self.settings.events.accepted
            && let Some(event) = self.event(slot, EventKind::Accepted, MessageState::Enroute, 0, now)
        {
            out.message_event(&event);
        }
    }

    /// States the end of a message, if anybody keeps records of that.
    #[inline]
    pub(super) fn state_end(
        &mut self,
        slot: u32,
        state: MessageState,
        error: u16,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        if self.settings.events.end
            && let Some(event) = self.event(slot, EventKind::Final, state, error, now)
        {
            out.message_event(&event);
        }
    }

    /// States that an attempt for an MT or MO message has failed for now, if anybody keeps records of those.
    #[inline]
    pub(super) fn state_attempt(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        if self.settings.events.attempt
            && let Some(&Message { role: Role::Mt | Role::Mo, error, .. }) = self.messages.get(slot)
            && let Some(event) = self.event(slot, EventKind::Attempt, MessageState::Enroute, error, now)
        {
            out.message_event(&event);
        }
    }

    #[cold]
    fn event(
        &mut self,
        slot: u32,
        kind: EventKind,
        state: MessageState,
        error: u16,
        now: Now,
    ) -> Option<MessageEvent<'_>> {
        let message = *self.messages.get(slot)?;
        let body = self.store.body(message.location).unwrap_or_default();
        let sm = SmFields::decode(body).unwrap_or_default();
        // To the millisecond; of a message of an earlier run, to the second.
        let (exact, rough) = (now.wall_at(message.accepted), wall_of(message.accepted_s));
        let is_of_this_run = exact.unix_millis().abs_diff(rough.unix_millis()) < 2_000;
        Some(MessageEvent {
            kind,
            message_id: message.id,
            account: message.account,
            is_mo: message.role == Role::Mo,
            state,
            error,
            attempts: message.attempts,
            accepted: if is_of_this_run { exact } else { rough },
            at: now.wall,
            sm,
        })
    }
}
