//! Finding the messages that an operation means: by id, or by their addresses.

use super::super::Shard;
use super::super::accept::owner_of;
use super::super::message::{Queue, Role};
use super::can_be_changed;
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now};
use crate::smpp::{PduBody, SmFields};
use crate::store::MessageStore;

/// What the messages of a group have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) account: AccountId,
    pub(super) source_addr: &'a [u8],
    pub(super) destination_addr: &'a [u8],
    /// `None`: any.
    pub(super) service_type: Option<&'a [u8]>,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// The id that an ESME means: of all that the text may mean, one that names something of the account's.
    pub(in super::super) fn meant(&self, account: AccountId, text: &[u8], now: Now) -> Option<MessageId> {
        let mut meanings = self.accounts.get(account).ids.meanings(text);
        let first = meanings.next()?;
        let Some(second) = meanings.next() else { return Some(first) };
        [first, second].into_iter().chain(meanings).find(|&id| self.is_of(account, id, now))
    }

    fn is_of(&self, account: AccountId, id: MessageId, now: Now) -> bool {
        match self.find(id) {
            Some(link) => self.look_at(link).is_some_and(|message| message.account == account),
            None => self.history.find(id, now).is_some_and(|record| record.account == account),
        }
    }

    /// The link to the account's MT message with this id and source address, be it final or not. A part of a submit_multi
    /// goes by that request's id, and by its own for nobody outside.
    pub(super) fn find_own(&mut self, account: AccountId, id: MessageId, source_addr: &[u8]) -> Option<u32> {
        let link = self.find(id)?;
        let message = self.look_at(link)?;
        let is_mt = matches!(message.role, Role::Mt | Role::Receipt) && !message.is_part_of_multi();
        if message.account != account || !is_mt {
            return None;
        }
        let stored = SmFields::decode(self.store.body(message.location)?).ok()?;
        (stored.source_addr == source_addr).then_some(link)
    }

    /// The messages of a group that can be changed, those that come first in line first. Those for an ESME that wait to
    /// be repeated count as being attempted.
    pub(super) fn find_group(&mut self, group: &Group<'_>) -> Vec<u32> {
        let mut found = Vec::new();
        self.subscribers.collect(&self.messages, self.names.name(group.destination_addr), &mut found);
        if let Some(owner) = owner_of(&self.owners, &mut self.sessions, group.destination_addr)
            && let Some(lanes) = self.sessions.queue_mut(Queue::Account(owner))
        {
            lanes.collect(&self.messages, &mut found);
        }
        found.retain(|&link| {
            let Some(message) = self.look_at(link) else { return false };
            if message.account != group.account || !can_be_changed(&message) {
                return false;
            }
            let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
            stored.is_some_and(|sm| {
                sm.source_addr == group.source_addr
                    && sm.destination_addr == group.destination_addr
                    && group.service_type.is_none_or(|service_type| service_type == sm.service_type)
            })
        });
        found.into_iter().filter_map(|link| self.awake(link)).collect()
    }
}
