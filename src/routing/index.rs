//! From a message id to its slot, for what comes in by id (query, and later cancel and replace).
//!
//! Ids of a shard are consecutive, so they are mapped straight onto the table: the entries of the messages under way
//! lie side by side, in few cache lines and fewer pages. Entries with the same place are chained through the messages
//! themselves, newest first, so the table never grows and removing leaves no tombstones; a message that stays for days
//! stands behind at most one newer one for each time that the ids have gone round the table.

use super::message::{Message, NONE};
use crate::base::{MessageId, Slab};

/// Heads of the chains: slot + 1, or 0 for none, so that fresh memory is an empty table.
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
    pub(super) fn insert(&mut self, messages: &mut Slab<Message>, slot: u32) {
        let Some(message) = messages.get_mut(slot) else { return };
        let head = &mut self.heads[self.place(message.id)];
        message.chain = head.wrapping_sub(1);
        *head = slot + 1;
    }

    /// Removes the message in `slot`.
    #[inline]
    pub(super) fn remove(&mut self, messages: &mut Slab<Message>, slot: u32) {
        let Some(&Message { id, chain, .. }) = messages.get(slot) else { return };
        let place = self.place(id);
        let mut at = self.heads[place].wrapping_sub(1);
        if at == slot {
            self.heads[place] = chain.wrapping_add(1);
            return;
        }
        while let Some(message) = messages.get_mut(at) {
            if message.chain == slot {
                message.chain = chain;
                return;
            }
            at = message.chain;
        }
        debug_assert!(false, "message {id} was not in the index");
    }

    /// The slot of the message with this id.
    pub(super) fn find(&self, messages: &Slab<Message>, id: MessageId) -> Option<u32> {
        let mut at = self.heads[self.place(id)].wrapping_sub(1);
        while at != NONE {
            let message = messages.get(at)?;
            if message.id == id {
                return Some(at);
            }
            at = message.chain;
        }
        None
    }
}
