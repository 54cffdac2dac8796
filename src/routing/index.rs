//! From a message id to its slot, for what comes in by id (query, and later cancel and replace).
//!
//! Ids of a shard are consecutive, so the table keeps 16 of them in one cache line: a message's entry is almost always
//! in cache when it is made, and often still when it is removed. Which line is decided by a mixer over the rest of
//! the id, so that old messages that stay for days (an ESME that never binds) crowd nobody: with consecutive ids
//! mapped straight onto the table, a wrap-around would walk the whole backlog. Entries with the same place are
//! chained through the messages themselves, so the table never grows, and removing leaves no tombstones. What it costs
//! is part of every figure of `benches/routing.rs`.

use super::message::{Message, NONE};
use crate::base::{MessageId, Slab};

const LINE_BITS: u32 = 4;

/// Heads of the chains: slot + 1, or 0 for none, so that fresh memory is an empty table.
#[derive(Debug)]
pub(super) struct IdIndex {
    heads: Box<[u32]>,
    line_mask: u64,
}

impl IdIndex {
    /// An index for `messages_max` messages: one place each, rounded up to a power of two.
    pub(super) fn new(messages_max: u32) -> Self {
        let places = (messages_max as usize).next_power_of_two().max(1 << LINE_BITS);
        Self { heads: vec![0; places].into_boxed_slice(), line_mask: (places >> LINE_BITS) as u64 - 1 }
    }

    #[inline]
    fn place(&self, id: MessageId) -> usize {
        let id = id.as_u64();
        let line = (id >> LINE_BITS).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (((line & self.line_mask) << LINE_BITS) | (id & ((1 << LINE_BITS) - 1))) as usize
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
