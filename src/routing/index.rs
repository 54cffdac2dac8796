//! From a message id to its slot, for what comes in by id (query, and later cancel and replace).
//!
//! Ids of a shard are consecutive, so they are mapped straight onto the table: the entries of the messages under way
//! lie side by side, in few cache lines and fewer pages. Entries with the same place are chained through the messages
//! themselves, newest first, so the table never grows and removing leaves no tombstones; a message that stays for days
//! stands behind at most one newer one for each time that the ids have gone round the table.

use super::message::{Message, NONE};
use super::messages::{Messages, Table, parked_at};
use crate::base::MessageId;
use crate::base::prefetch::prefetch;
use crate::store::MessageStore;

/// How many ids ahead the table's memory is fetched.
const PREFETCHED_AHEAD: usize = 64;

/// Heads of the chains: link + 1, or 0 for none, so that fresh memory is an empty table.
#[derive(Debug)]
pub(super) struct IdIndex {
    heads: Box<[u32]>,
    mask: u64,
}

impl IdIndex {
    /// An index for `messages_max` messages: one place each, rounded up to a power of two.
    pub(super) fn new(messages_max: u32) -> Self {
        let places = (messages_max as usize).next_power_of_two().max(16);
        Self { heads: vec![0; places].into_boxed_slice(), mask: places as u64 - 1 }
    }

    #[inline]
    fn place(&self, id: MessageId) -> usize {
        (id.as_u64() & self.mask) as usize
    }

    /// Enters the message in `slot`.
    #[inline]
    pub(super) fn insert(&mut self, messages: &mut Messages, slot: u32) {
        let Some(message) = messages.get_mut(slot) else { return };
        let place = self.place(message.id);
        prefetch(&self.heads[(place + PREFETCHED_AHEAD) & self.mask as usize]);
        let head = &mut self.heads[place];
        message.chain = head.wrapping_sub(1);
        *head = slot + 1;
    }

    /// Enters a parked message.
    pub(super) fn insert_parked(&mut self, messages: &mut Messages, id: MessageId, link: u32) {
        let place = self.place(id);
        messages.set_next_in(Table::Ids, link, self.heads[place].wrapping_sub(1));
        self.heads[place] = link + 1;
    }

    /// Removes the message in `slot`.
    #[inline]
    pub(super) fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let Some(&Message { id, chain, .. }) = messages.get(slot) else { return };
        self.set(messages, id, slot, chain);
    }

    /// Puts the message `to` into the place in the chain that `from` has, which is the same message parked or not.
    pub(super) fn replace(&mut self, messages: &mut Messages, id: MessageId, from: u32, to: u32) {
        let next = messages.next_in(Table::Ids, from);
        messages.set_next_in(Table::Ids, to, next);
        self.set(messages, id, from, to);
    }

    /// Has whatever leads to `link` lead to `next`.
    #[inline]
    fn set(&mut self, messages: &mut Messages, id: MessageId, link: u32, next: u32) {
        let place = self.place(id);
        let mut at = self.heads[place].wrapping_sub(1);
        if at == link {
            self.heads[place] = next.wrapping_add(1);
            return;
        }
        while at != NONE {
            let chain = messages.next_in(Table::Ids, at);
            if chain == link {
                messages.set_next_in(Table::Ids, at, next);
                return;
            }
            at = chain;
        }
        debug_assert!(false, "message {id} was not in the index");
    }

    /// The link to the message with this id. The ids of parked messages are in the store's records.
    pub(super) fn find<S: MessageStore>(&self, messages: &Messages, store: &S, id: MessageId) -> Option<u32> {
        let mut at = self.heads[self.place(id)].wrapping_sub(1);
        while at != NONE {
            let (found, next) = match parked_at(at) {
                Some(place) => {
                    let entry = messages.parked.get(place)?;
                    (store.id(entry.location())?, entry.chain)
                }
                None => {
                    let message = messages.get(at)?;
                    (message.id, message.chain)
                }
            };
            if found == id {
                return Some(at);
            }
            at = next;
        }
        None
    }
}
