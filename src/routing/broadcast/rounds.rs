//! The rounds of a broadcast: each area once in each, until all have been made or the validity ends.

use super::super::message::{Role, Stage, seconds_of};
use super::super::{Fact, Shard, ShardOutput};
use super::Broadcast;
use crate::base::mobile::MobileNetwork;
use crate::base::{MessageId, Now};
use crate::smpp::{MessageState, PduBody, SmFields};
use crate::store::{Durability, Lsn, MessageStore};

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Sends a broadcast that has become durable on its way: onto the wheel, for its schedule or the next turn.
    pub(in super::super) fn open_broadcast(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        message.stage = Stage::Waiting;
        let at = message.milestone.max(now.mono).min(message.expires);
        self.wheel.schedule(slot, at);
    }

    /// Whether a broadcast is known of beside its message; for the invariants.
    pub(in super::super) fn knows_broadcast(&self, id: MessageId) -> bool {
        self.broadcasts.known.get(&id).is_some_and(|known| known.end.is_none())
    }

    /// What is known of a broadcast that an earlier run has left. How its areas have fared so far is not.
    pub(in super::super) fn restore_broadcast(&mut self, slot: u32) {
        let Some(&message) = self.messages.get(slot) else { return };
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        if let Some(known) = stored.and_then(|sm| Broadcast::of(message.account, &sm).ok()) {
            self.broadcasts.known.insert(message.id, known);
        }
    }

    /// Makes the next round of a broadcast in hand.
    pub(in super::super) fn next_round(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let Some(known) = self.broadcasts.known.get_mut(&message.id) else {
            self.end_broadcast(slot, MessageState::Undeliverable, Durability::None, now, out);
            return;
        };
        for area in &mut known.areas {
            // Of an area that the network has not: nothing is reached, of one cell as it were.
            let reach = self.network.broadcast(&area.identifier).unwrap_or_default();
            area.cells += u64::from(reach.cells.max(1));
            area.reached += u64::from(reach.reached);
        }
        out.fact(Fact::Attempt);
        message.attempts = message.attempts.saturating_add(1);
        if known.rounds > 0 && message.attempts >= known.rounds {
            let state = outcome(known);
            self.end_broadcast(slot, state, Durability::None, now, out);
            return;
        }
        let at = now.mono.plus_millis(known.interval_ms).min(message.expires);
        message.stage = Stage::Waiting;
        message.milestone = at;
        let record = message.record(at, now);
        self.store.update(message.location, &record);
        self.wheel.schedule(slot, at);
    }

    /// The validity of a broadcast in hand is over: that is its end if it was to go on until then.
    pub(in super::super) fn expire_broadcast(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get(slot) else { return };
        let known = self.broadcasts.known.get(&message.id);
        let state = match known.filter(|known| known.rounds == 0 && message.attempts > 0) {
            Some(known) => outcome(known),
            None => MessageState::Expired,
        };
        self.end_broadcast(slot, state, Durability::None, now, out);
    }

    /// Brings a broadcast in hand to its final state. Somebody waits until that has reached `awaited`.
    pub(super) fn end_broadcast(
        &mut self,
        slot: u32,
        state: MessageState,
        awaited: Durability,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Lsn {
        let Some(message) = self.messages.get(slot) else { return Lsn::default() };
        debug_assert_eq!(message.role, Role::Broadcast);
        self.broadcasts.end(message.id, state, seconds_of(now.wall));
        self.finish_as(slot, state, 0, awaited, now, out)
    }
}

/// The final state of a broadcast whose rounds have been made.
fn outcome(known: &Broadcast) -> MessageState {
    if known.has_reached_any() { MessageState::Delivered } else { MessageState::Undeliverable }
}
