//! Turns: each subscriber has at most one message being attempted, or waiting for its next attempt, at a time. Those that
//! come meanwhile stand in line behind it, by priority and then in order of arrival.
//!
//! Nearly every subscriber has a single message, so that is the case to be cheap: one look at a hash table of the
//! messages that have their subscriber's turn, chained through the messages themselves. A line exists only while somebody
//! stands in it. The table grows bucket by bucket (linear hashing): small enough for the caches while little is
//! pending, and never a pause to rehash.
//!
//! A message's turn ends with its final state. While it only waits for its next attempt, a message of higher priority
//! takes the turn from it; it then stands at the front of the line, its retry time kept.

use std::collections::HashMap;

use super::Shard;
use super::list::Lanes;
use super::message::{Message, NONE, Stage, Turn};
use crate::base::mobile::MobileNetwork;
use crate::base::{Now, Slab};
use crate::store::MessageStore;

/// Set in a link when the message's bucket has further ones: most look-ups then end without touching a message.
const MORE: u32 = 1 << 31;
/// Buckets at the start; a power of two.
const BUCKETS_MIN: usize = 1 << 10;

/// The first message of a bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Its subscriber.
    subscriber: u32,
    /// Its slot, with [`MORE`]; or [`NONE`].
    first: u32,
}

const EMPTY: Bucket = Bucket { subscriber: 0, first: NONE };

/// Whose turn it is with each subscriber, and who stands in line.
#[derive(Debug)]
pub(super) struct Subscribers {
    /// Between `mask + 1` and twice as many.
    buckets: Vec<Bucket>,
    mask: u32,
    buckets_max: usize,
    /// Messages that have a turn.
    len: u32,
    /// Odd and secret: whoever does not know it can't choose addresses that crowd one bucket.
    multiplier: u64,
    lines: HashMap<u32, Lanes>,
}

impl Subscribers {
    /// For at most `messages_max` messages. Memory is reserved and used as it is needed.
    ///
    /// # Panics
    /// When `messages_max` is above 2^30.
    pub(super) fn new(messages_max: u32, hash_key: u64) -> Self {
        assert!(messages_max <= 1 << 30);
        let buckets_max = (2 * messages_max as usize).next_power_of_two().max(BUCKETS_MIN);
        let mut buckets = Vec::with_capacity(buckets_max);
        buckets.resize(BUCKETS_MIN, EMPTY);
        Self {
            buckets,
            mask: BUCKETS_MIN as u32 - 1,
            buckets_max,
            len: 0,
            // The constant only makes a poor key do.
            multiplier: (hash_key ^ 0x9E37_79B9_7F4A_7C15) | 1,
            lines: HashMap::new(),
        }
    }

    /// Messages that have a turn.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Every line, by subscriber.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u32, &Lanes)> {
        self.lines.iter().map(|(&subscriber, line)| (subscriber, line))
    }

    #[inline]
    fn bucket_of(&self, subscriber: u32) -> usize {
        let hash = (u64::from(subscriber).wrapping_mul(self.multiplier) >> 32) as u32;
        let bucket = (hash & (self.mask << 1 | 1)) as usize;
        if bucket < self.buckets.len() { bucket } else { (hash & self.mask) as usize }
    }

    /// The message that has the subscriber's turn.
    #[inline]
    pub(super) fn holder(&self, messages: &Slab<Message>, subscriber: u32) -> Option<u32> {
        let Bucket { subscriber: first_subscriber, first } = *self.buckets.get(self.bucket_of(subscriber))?;
        if first == NONE {
            return None;
        }
        if first_subscriber == subscriber {
            return Some(first & !MORE);
        }
        if first & MORE == 0 {
            return None;
        }
        let mut at = messages.get(first & !MORE)?.peer;
        while at != NONE {
            let message = messages.get(at)?;
            if message.subscriber == subscriber {
                return Some(at);
            }
            at = message.peer;
        }
        None
    }

    /// Gives a message its subscriber's turn, which nobody has.
    #[inline]
    fn insert(&mut self, messages: &mut Slab<Message>, slot: u32) {
        if self.len as usize * 2 >= self.buckets.len() && self.buckets.len() < self.buckets_max {
            self.grow(messages);
        }
        self.len += 1;
        self.push(messages, slot);
    }

    #[inline]
    fn push(&mut self, messages: &mut Slab<Message>, slot: u32) {
        let Some(message) = messages.get_mut(slot) else { return };
        let bucket = self.bucket_of(message.subscriber);
        let bucket = &mut self.buckets[bucket];
        let (peer, more) = if bucket.first == NONE { (NONE, 0) } else { (bucket.first & !MORE, MORE) };
        message.peer = peer;
        *bucket = Bucket { subscriber: message.subscriber, first: slot | more };
    }

    /// Takes the turn from a message that has it.
    #[inline]
    fn remove(&mut self, messages: &mut Slab<Message>, slot: u32) {
        let Some(&Message { subscriber, peer, .. }) = messages.get(slot) else { return };
        self.len -= 1;
        let bucket = self.bucket_of(subscriber);
        let bucket = &mut self.buckets[bucket];
        let first = bucket.first & !MORE;
        if first == slot {
            *bucket = messages.get(peer).map_or(EMPTY, |next| Bucket {
                subscriber: next.subscriber,
                first: peer | if next.peer == NONE { 0 } else { MORE },
            });
            return;
        }
        let mut at = first;
        while let Some(message) = messages.get_mut(at) {
            if message.peer == slot {
                message.peer = peer;
                if at == first && peer == NONE {
                    bucket.first = first;
                }
                return;
            }
            at = message.peer;
        }
        debug_assert!(false, "a turn was not in its bucket");
    }

    /// Adds a bucket, and moves there what belongs there from the one that it splits off.
    fn grow(&mut self, messages: &mut Slab<Message>) {
        let split = self.buckets.len() & self.mask as usize;
        self.buckets.push(EMPTY);
        let old = std::mem::replace(&mut self.buckets[split], EMPTY);
        let mut at = if old.first == NONE { NONE } else { old.first & !MORE };
        while let Some(message) = messages.get(at) {
            let next = message.peer;
            self.push(messages, at);
            at = next;
        }
        if self.buckets.len() == (self.mask as usize + 1) * 2 {
            self.mask = self.mask << 1 | 1;
        }
    }

    /// Takes a message out of its line. Whether others are left in it.
    fn leave_line(&mut self, messages: &mut Slab<Message>, slot: u32) -> bool {
        let Some(subscriber) = messages.get(slot).map(|message| message.subscriber) else { return false };
        let Some(line) = self.lines.get_mut(&subscriber) else { return false };
        line.remove(messages, slot);
        let others = !line.is_empty();
        if !others {
            self.lines.remove(&subscriber);
        }
        others
    }

    /// Who is next in the subscriber's line.
    fn next_in_line(&self, subscriber: u32) -> Option<u32> {
        self.lines.get(&subscriber).map(Lanes::head)
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Gets a message in hand its subscriber's turn, if it has not got it. `false`: it stands in line now.
    #[inline]
    pub(super) fn take_turn(&mut self, slot: u32, now: Now) -> bool {
        let Some(message) = self.messages.get_mut(slot) else { return false };
        if message.turn != Turn::No {
            return true;
        }
        let subscriber = message.subscriber;
        match self.subscribers.holder(&self.messages, subscriber) {
            Some(holder) => self.contend(slot, holder, now),
            None => {
                if let Some(message) = self.messages.get_mut(slot) {
                    message.turn = Turn::Yes;
                }
                self.subscribers.insert(&mut self.messages, slot);
                true
            }
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
        let (subscriber, at) = (message.subscriber, wake_up(message, now));
        if let Some(other) = self.messages.get_mut(holder) {
            other.turn = Turn::Followed;
        }
        if let Some(message) = self.messages.get_mut(slot) {
            message.stage = Stage::Behind;
        }
        self.subscribers.lines.entry(subscriber).or_insert(Lanes::EMPTY).push_back(&mut self.messages, slot);
        self.wheel.schedule(slot, at);
        false
    }

    /// Moves a message that waits for its next attempt from its turn to the front of the line. Its timer stays.
    fn step_back(&mut self, slot: u32) {
        self.subscribers.remove(&mut self.messages, slot);
        let Some(message) = self.messages.get_mut(slot) else { return };
        (message.turn, message.stage) = (Turn::No, Stage::Behind);
        let line = self.subscribers.lines.entry(message.subscriber).or_insert(Lanes::EMPTY);
        line.insert_after(&mut self.messages, NONE, slot);
    }

    /// Gives a message in hand a turn that nobody has.
    fn give_turn(&mut self, slot: u32) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let followed = self.subscribers.lines.contains_key(&message.subscriber);
        message.turn = if followed { Turn::Followed } else { Turn::Yes };
        self.subscribers.insert(&mut self.messages, slot);
    }

    /// Ends a message's turn, if it has it: the next in line gets it.
    #[inline]
    pub(super) fn end_turn(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let subscriber = message.subscriber;
        match std::mem::replace(&mut message.turn, Turn::No) {
            Turn::No => {}
            Turn::Yes => self.subscribers.remove(&mut self.messages, slot),
            Turn::Followed => {
                self.subscribers.remove(&mut self.messages, slot);
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
        let next = self.subscribers.next_in_line(subscriber).and_then(|next| self.messages.get(next));
        if next.is_some_and(|next| next.priority > priority) {
            self.step_back(slot);
            self.call_next(subscriber, now);
        }
    }

    /// Gives a turn that nobody has to the next in line: it is attempted in the next turn of the shard, or waits on for
    /// its next attempt.
    fn call_next(&mut self, subscriber: u32, now: Now) {
        let Some(slot) = self.subscribers.next_in_line(subscriber) else { return };
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
fn wake_up(message: &Message, now: Now) -> crate::base::Time {
    if message.milestone > now.mono { message.milestone.min(message.expires) } else { message.expires }
}
