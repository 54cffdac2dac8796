//! Turns: who is attempted next with a subscriber. A message's turn ends with its final state. While it only waits for its
//! next attempt, a message of higher priority takes the turn from it; it then stands at the front of the line, its retry
//! time kept.

use super::Shard;
use super::message::{Message, Stage, Turn};
use super::messages::{link_to, parked_at};
use crate::base::mobile::MobileNetwork;
use crate::base::{Now, Time};
use crate::store::MessageStore;

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Gets a message in hand its subscriber's turn, if it has not got it. `false`: it stands in line now.
    #[inline]
    pub(super) fn take_turn(&mut self, slot: u32, now: Now) -> bool {
        let Some(message) = self.messages.get_mut(slot) else { return false };
        if message.turn != Turn::No {
            return true;
        }
        let subscriber = message.subscriber;
        self.take_first_turn(slot, subscriber, now)
    }

    /// As [`Self::take_turn`] for one that has not got it.
    #[inline]
    pub(super) fn take_first_turn(&mut self, slot: u32, subscriber: u32, now: Now) -> bool {
        if let Some(message) = self.messages.get_mut(slot) {
            message.turn = Turn::Yes;
        }
        match self.subscribers.claim(&mut self.messages, slot, subscriber) {
            None => true,
            Some(holder) => match parked_at(holder) {
                None => self.contend(slot, holder, now),
                Some(place) => self.contend_with_parked(slot, place, now),
            },
        }
    }

    /// As [`Self::contend`] with a parked message, which stays there unless the one in hand goes first.
    #[cold]
    fn contend_with_parked(&mut self, slot: u32, place: u32, now: Now) -> bool {
        let priority = self.messages.get(slot).map_or(0, |message| message.priority);
        match self.messages.parked.get_mut(place) {
            Some(holder) if holder.traits().priority >= priority => {
                holder.follow();
                self.stand_in_line(slot, now);
                self.park(slot, now);
                false
            }
            _ => self.awake(link_to(place)).is_some_and(|holder| self.contend(slot, holder, now)),
        }
    }

    /// Decides between a message in hand and the one that has the turn. `true`: the one in hand has it now.
    #[cold]
    fn contend(&mut self, slot: u32, holder: u32, now: Now) -> bool {
        let (Some(message), Some(other)) = (self.messages.get(slot), self.messages.get(holder)) else {
            return false;
        };
        if other.stage == Stage::Waiting && message.priority > other.priority {
            self.step_back(holder);
            self.give_turn(slot);
            return true;
        }
        if let Some(other) = self.messages.get_mut(holder) {
            other.turn = Turn::Followed;
        }
        self.stand_in_line(slot, now);
        false
    }

    /// Puts a message in hand at the end of its subscriber's line.
    fn stand_in_line(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        (message.turn, message.stage) = (Turn::No, Stage::Behind);
        let (subscriber, at) = (message.subscriber, wake_up(message, now));
        self.subscribers.lines.join(&mut self.messages, slot, subscriber);
        self.wheel.schedule(slot, at);
    }

    /// Moves a message that waits for its next attempt from its turn to the front of the line. Its timer stays.
    fn step_back(&mut self, slot: u32) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        (message.turn, message.stage) = (Turn::No, Stage::Behind);
        let subscriber = message.subscriber;
        self.subscribers.remove(&mut self.messages, slot, subscriber);
        self.subscribers.lines.head(&mut self.messages, slot, subscriber);
    }

    /// Gives a message in hand a turn that nobody has.
    fn give_turn(&mut self, slot: u32) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let followed = self.subscribers.lines.has(message.subscriber);
        message.turn = if followed { Turn::Followed } else { Turn::Yes };
        let subscriber = message.subscriber;
        let holder = self.subscribers.claim(&mut self.messages, slot, subscriber);
        debug_assert_eq!(holder, None, "a turn that somebody has was given away");
    }

    /// Ends the turn that a message has had: the next in line gets it.
    #[inline]
    pub(super) fn end_turn(&mut self, slot: u32, turn: Turn, subscriber: u32, now: Now) {
        if turn != Turn::No {
            self.subscribers.remove(&mut self.messages, slot, subscriber);
            if turn == Turn::Followed {
                self.call_next(subscriber, now);
            }
        }
    }

    /// A message that has a turn has begun to wait for its next attempt: one of higher priority goes meanwhile.
    #[inline]
    pub(super) fn lend_turn(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get(slot).filter(|message| message.turn == Turn::Followed) else {
            return;
        };
        let (subscriber, priority) = (message.subscriber, message.priority);
        let next = self.subscribers.lines.next(subscriber).and_then(|next| self.messages.priority(next));
        if next.is_some_and(|next| next > priority) {
            self.step_back(slot);
            self.call_next(subscriber, now);
        }
    }

    /// Gives a turn that nobody has to the next in line: it is attempted in the next turn of the shard, or waits on for
    /// its next attempt.
    fn call_next(&mut self, subscriber: u32, now: Now) {
        let Some(next) = self.subscribers.lines.next(subscriber) else { return };
        let Some(slot) = self.awake_in_line(next, subscriber) else { return };
        self.subscribers.leave_line(&mut self.messages, slot);
        self.give_turn(slot);
        let Some(message) = self.messages.get_mut(slot) else { return };
        if message.milestone > now.mono {
            message.stage = Stage::Waiting;
        } else {
            message.stage = Stage::Ready;
            self.wheel.cancel(slot);
            self.work.push_back(&mut self.messages, slot);
        }
    }

    /// The timer of a message in line has fired, and it is in hand: out of the line if its validity is over (`true`),
    /// else back there until then.
    pub(super) fn woke_in_line(&mut self, slot: u32, now: Now) -> bool {
        let Some(message) = self.messages.get_mut(slot) else { return false };
        if now.mono >= message.expires {
            self.subscribers.leave_line(&mut self.messages, slot);
            return true;
        }
        message.stage = Stage::Behind;
        let at = message.expires;
        self.wheel.schedule(slot, at);
        false
    }
}

/// When a message in line is to be looked at: at its next attempt if that is still to come, else when it expires.
fn wake_up(message: &Message, now: Now) -> Time {
    if message.milestone > now.mono { message.milestone.min(message.expires) } else { message.expires }
}
