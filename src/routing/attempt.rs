//! Attempts at the mobile network and what follows from them: retries, expiry, the one final state, the receipt.

use rand_xoshiro::rand_core::Rng;

use super::history::FinalRecord;
use super::message::{Message, NETWORK, OnFailure, Role, Stage, Turn, seconds_of};
use super::{Fact, RetrySettings, Shard, ShardOutput};
use crate::base::mobile::{MobileNetwork, Outcome};
use crate::base::{Now, Time};
use crate::smpp::{MessageState, PduBody, SmFields};
use crate::store::{Durability, Ending, Lsn, MessageStore};

/// What is at hand of a message that has just come in, and slow to read where it was written a moment ago.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh<'a> {
    pub(super) destination_addr: &'a [u8],
    pub(super) subscriber: u32,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Makes the next attempt for a message in hand.
    pub(super) fn start(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get(slot) else { return };
        match message.role {
            Role::Broadcast => self.next_round(slot, now, out),
            Role::Alert => {
                self.clear_flag(slot);
                self.offer(slot, now, out);
            }
            _ if message.target == NETWORK => self.attempt(slot, None, now),
            _ => self.offer(slot, now, out),
        }
    }

    /// Opens an attempt at the network for a message in hand, if it is its turn with the subscriber. There is never more
    /// than one open: the message leaves this stage only by the network's report, and its turn ends later still.
    /// `fresh`: of one that has just come in.
    #[inline]
    pub(super) fn attempt(&mut self, slot: u32, fresh: Option<Fresh<'_>>, now: Now) {
        let has_turn = match fresh {
            Some(Fresh { subscriber, .. }) => self.take_first_turn(slot, subscriber, now),
            None => self.take_turn(slot, now),
        };
        if !has_turn {
            return;
        }
        let Some(message) = self.messages.get_mut(slot) else { return };
        message.attempts = message.attempts.saturating_add(1);
        let destination_addr = fresh.map(|fresh| fresh.destination_addr).or_else(|| {
            let body = self.store.body(message.location)?;
            SmFields::decode(body).map(|sm| sm.destination_addr).ok()
        });
        let Some(destination_addr) = destination_addr else {
            // The store has lost its body: there is nothing to deliver.
            message.stage = Stage::Attempting { outcome: Outcome::Undeliverable { error: 0 } };
            return self.work.push_back(&mut self.messages, slot);
        };
        let verdict = self.network.attempt(destination_addr, u32::from(message.attempts), now.mono);
        message.stage = Stage::Attempting { outcome: verdict.outcome };
        if verdict.after_nanos == 0 {
            self.work.push_back(&mut self.messages, slot);
        } else {
            let at = Time::from_nanos(now.mono.as_nanos().saturating_add(verdict.after_nanos));
            self.wheel.schedule(slot, at);
        }
    }

    /// The network has reported. What it says of an attempt counts even if the validity ended meanwhile: the validity
    /// period limits how long the MC tries, not what came of a try.
    #[inline]
    pub(super) fn reported(&mut self, slot: u32, outcome: Outcome, now: Now, out: &mut impl ShardOutput) {
        out.fact(Fact::Attempt);
        match outcome {
            Outcome::Delivered => self.finish(slot, MessageState::Delivered, 0, now, out),
            Outcome::Undeliverable { error } => {
                self.finish(slot, MessageState::Undeliverable, error, now, out);
            }
            Outcome::Rejected { error } => self.finish(slot, MessageState::Rejected, error, now, out),
            Outcome::Expired => self.finish(slot, MessageState::Expired, 0, now, out),
            Outcome::Absent { back_after_nanos, error } => {
                let back_at = Time::from_nanos(now.mono.as_nanos().saturating_add(back_after_nanos));
                self.flag_absence(slot, back_at, now, out);
                self.retry(slot, error, back_at, self.settings.retry_absent, now, out);
            }
            Outcome::Congested { error } => {
                self.retry(slot, error, Time::NEVER, self.settings.retry_congestion, now, out);
            }
        }
    }

    /// An attempt has failed for now: the next one comes after the backoff, or when the reason for the failure is gone
    /// (`at_latest`), whichever is earlier; or the end of the validity comes first.
    pub(super) fn retry(
        &mut self,
        slot: u32,
        error: u16,
        at_latest: Time,
        schedule: RetrySettings,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        message.error = error;
        if message.on_failure == OnFailure::Answer {
            message.on_failure = OnFailure::AnswerTemporary;
        }
        if matches!(message.on_failure, OnFailure::GiveUp | OnFailure::AnswerTemporary) {
            self.finish(slot, MessageState::Undeliverable, error, now, out);
            return;
        }
        let wants_notification = message.role == Role::Mt
            && message.registered_delivery.intermediate()
            && message.on_failure == OnFailure::Retry;
        let wait_ms = schedule.wait_ms(u32::from(message.attempts), self.rng.next_u64());
        let at = now.mono.plus_millis(wait_ms).min(at_latest).min(message.expires);
        message.stage = Stage::Waiting;
        message.first_delivery = 0;
        if wants_notification {
            message.on_failure = OnFailure::RetryNotified;
        }
        if message.role == Role::Mt {
            message.milestone = at;
        }
        let record = message.record(at, now);
        self.store.update(message.location, &record);
        self.wheel.schedule(slot, at);
        self.state_attempt(slot, now, out);
        self.lend_turn(slot, now);
        out.fact(Fact::Retry);
        if wants_notification {
            self.notify(slot, now, out);
        }
        self.park(slot, now);
    }

    /// The validity of a message in hand is over.
    pub(super) fn expire(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get(slot) else { return };
        let error = message.error;
        match message.role {
            Role::Mt => self.finish(slot, MessageState::Expired, error, now, out),
            Role::Broadcast => self.expire_broadcast(slot, now, out),
            Role::Mo | Role::Receipt | Role::Notification | Role::Alert => {
                self.abandon(slot, MessageState::Expired, now, out);
            }
        }
    }

    /// Gives a message in hand up: an MT message gets its final state, anything else is dropped.
    pub(super) fn abandon(&mut self, slot: u32, state: MessageState, now: Now, out: &mut impl ShardOutput) {
        let Some(&Message { account, role, error, .. }) = self.messages.get(slot) else { return };
        match role {
            Role::Mt | Role::Broadcast => self.finish(slot, state, error, now, out),
            Role::Mo => {
                self.end_mo(slot, state, error, now);
                self.state_end(slot, state, error, now, out);
                out.fact(Fact::MoFailed { account });
                self.release(slot);
            }
            Role::Receipt | Role::Notification => {
                out.fact(Fact::ReceiptFailed { account });
                self.release(slot);
            }
            Role::Alert => {
                self.clear_flag(slot);
                out.fact(Fact::AlertDropped { account });
                self.release(slot);
            }
        }
    }

    /// An MO message in hand has ended so.
    pub(super) fn end_mo(&mut self, slot: u32, state: MessageState, error: u16, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        (message.state, message.error, message.finished_s) = (state, error, seconds_of(now.wall));
        let Message { id, account, finished_s, .. } = *message;
        self.history.remember(&FinalRecord { id, account, finished_s, error, state });
    }

    /// Brings an MT message in hand to its final state, the only place where that happens; then it is freed, or lives
    /// on as its receipt.
    #[inline]
    pub(super) fn finish(
        &mut self,
        slot: u32,
        state: MessageState,
        error: u16,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        self.finish_as(slot, state, error, Durability::None, now, out);
    }

    /// As [`Self::finish`] where somebody waits until that has reached `durability`: the log entry that says so.
    #[inline]
    pub(super) fn finish_as(
        &mut self,
        slot: u32,
        state: MessageState,
        error: u16,
        awaited: Durability,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Lsn {
        let Some(message) = self.messages.get_mut(slot) else { return Lsn::default() };
        // Promise 3: exactly one final state. Losing or doubling it would be silent, so this stays in release builds.
        assert!(message.role.has_an_end() && !message.state.is_final() && state.is_final());
        let (account, subscriber) = (message.account, message.subscriber);
        let turn = std::mem::replace(&mut message.turn, Turn::No);
        message.state = state;
        message.error = error;
        message.milestone = now.mono;
        message.finished_s = seconds_of(now.wall);
        let Message { id, finished_s, .. } = *message;
        self.history.remember(&FinalRecord { id, account, finished_s, error, state });
        out.fact(Fact::Finished { account, state, nanos: now.mono.nanos_since(message.accepted) });
        let Message { registered_delivery, parts_settled, on_failure, .. } = *message;
        let mut keeps_receipt = registered_delivery.wants_receipt(state == MessageState::Delivered);
        if on_failure.is_awaited() {
            self.note_outcome(slot);
        }
        self.state_end(slot, state, error, now, out);
        self.end_turn(slot, turn, subscriber, now);
        let group = if parts_settled == 0 { None } else { self.group_of(slot) };
        if let Some(group) = group {
            // It goes by what becomes of the whole.
            keeps_receipt = registered_delivery.wants_any_receipt();
            if !keeps_receipt {
                self.part_without_receipt(slot, group, now, out);
            }
        }
        if !keeps_receipt {
            return self.release_as(slot, awaited);
        }
        let Some(message) = self.messages.get_mut(slot) else { return Lsn::default() };
        if group.is_none() {
            message.parts_settled = 0;
        }
        message.role = Role::Receipt;
        message.target = account;
        message.attempts = 0;
        message.first_delivery = 0;
        message.on_failure = OnFailure::Retry;
        message.expires = now.mono.plus_millis(self.settings.receipt_validity_s.saturating_mul(1_000));
        let record = message.record(now.mono, now);
        // A receipt says that the state is final. So it goes out only when no restart can come to another one.
        let durability = self.accounts.get(account).durability;
        let lsn = self.store.update_as(message.location, &record, durability);
        if group.is_none() {
            out.fact(Fact::ReceiptCreated { account });
        }
        if !self.is_held(durability, lsn) {
            self.await_durable(slot, durability, lsn);
        } else if on_failure.is_awaited() {
            // Behind the answer, which the next turn gives.
            if let Some(message) = self.messages.get_mut(slot) {
                message.stage = Stage::Ready;
                self.work.push_back(&mut self.messages, slot);
            }
        } else {
            self.receipt_due(slot, now, out);
        }
        lsn
    }

    /// Forgets a message in hand of which nothing more is owed.
    #[inline]
    pub(super) fn release(&mut self, slot: u32) {
        self.release_as(slot, Durability::None);
    }

    #[inline]
    fn release_as(&mut self, slot: u32, awaited: Durability) -> Lsn {
        let Some(&Message { location, role, stage, parts_settled, state, error, finished_s, .. }) =
            self.messages.get(slot)
        else {
            return Lsn::default();
        };
        debug_assert_eq!(stage, Stage::Held);
        if parts_settled != 0 && role == Role::Receipt {
            self.carrier_released(slot);
        }
        if role.has_own_id() {
            self.index.remove(&mut self.messages, slot);
        }
        self.messages.remove(slot);
        if role == Role::Receipt || !state.is_final() {
            // That of a receipt is in its record.
            return self.store.remove_as(location, awaited);
        }
        let ending = Ending { state: state.octet(), error, finished_s };
        self.store.end_as(location, &ending, awaited)
    }
}
