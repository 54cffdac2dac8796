//! Restart: what an earlier run has left in the store, back where it was. Schedules, attempts made, the next attempt, the
//! end of validity, receipts owed and MO messages not yet acknowledged go on; sessions and what was in their hands do
//! not: a delivery without its answer goes out again.

use super::duplicates::Fingerprint;
use super::history::FinalRecord;
use super::message::{Message, NETWORK, Role, Stage};
use super::{Fact, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, Now, Time};
use crate::limits::ACCOUNTS_MAX;
use crate::smpp::{PduBody, SmFields};
use crate::store::{MessageStore, Record};

/// Accounts of the configuration and former ones that messages may belong to, at most.
const ALL_ACCOUNTS_MAX: usize = 2 * ACCOUNTS_MAX;

/// What a recovered message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveredAs {
    /// An MT message or a broadcast without a final state.
    Mt,
    /// An MO message that no ESME has accepted yet.
    Mo,
    /// A receipt or an intermediate notification that is owed.
    Receipt,
    /// An alert_notification that an ESME has asked for.
    Alert,
}

/// The store holds more messages than the settings allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store holds more than the {messages_max} messages that a shard may hold: raise the maximum")]
pub struct TooManyMessages {
    /// The settings' maximum.
    pub messages_max: u32,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Takes up everything that the store has recovered, each stated as [`Fact::Recovered`]. To be called once, before
    /// anything else. How many messages there were. One that makes no sense, or repeats an id, is stated as
    /// [`Fact::Unrecoverable`] and stays in the store untouched.
    ///
    /// Times go by the wall clock: what fell due while nothing ran is due now, and what expired meanwhile expires in the
    /// next turns. The owed receipts of accounts that the configuration does not have any more wait for one that has.
    ///
    /// # Errors
    /// [`TooManyMessages`]; the shard must not be used then, for it would not keep its promises.
    pub fn recover(&mut self, now: Now, out: &mut impl ShardOutput) -> Result<u64, TooManyMessages> {
        let mut count = 0;
        while let Some(ended) = self.store.recovered_ending() {
            if let Some(record) = FinalRecord::of(&ended) {
                self.history.remember(&record);
            }
        }
        self.subscribers.expect(self.store.recovered_count().min(self.messages.maximum()));
        while let Some((location, record, body)) = self.store.recovered() {
            let restored = Message::restored(&record, body, self.names, now);
            let window_ms = self.accounts.get(record.account).duplicate_window_ms;
            let fingerprint = (window_ms > 0)
                .then(|| Fingerprint::of(record.account, &SmFields::decode(body).ok()?, None))
                .flatten();
            let restored = restored.filter(|(message, _)| self.can_restore(message));
            match restored {
                Some((message, due)) => {
                    if let Some(fingerprint) = fingerprint
                        .filter(|_| !matches!(message.role, Role::Mo | Role::Alert | Role::Broadcast))
                    {
                        let age_ms = now.wall.unix_millis().saturating_sub(record.accepted.unix_millis());
                        let until = now.mono.plus_millis(window_ms.saturating_sub(age_ms));
                        self.duplicates.remember(fingerprint, message.id, until);
                    }
                    self.restore(Message { location, ..message }, due, &record, now, out)?;
                    count += 1;
                }
                None => out.fact(Fact::Unrecoverable { message_id: record.id }),
            }
        }
        Ok(count)
    }

    /// Whether its accounts can be, and no other message has its id. (A notification shares that of the message that it
    /// tells of.)
    fn can_restore(&self, message: &Message) -> bool {
        let can_be = |account: AccountId| account.index() < ALL_ACCOUNTS_MAX;
        can_be(message.account)
            && (message.target == NETWORK || can_be(message.target))
            && (!message.role.has_own_id() || self.find(message.id).is_none())
    }

    fn restore(
        &mut self,
        message: Message,
        due: Time,
        record: &Record,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Result<(), TooManyMessages> {
        let Message { id, account, target, role, .. } = message;
        self.ids.pass(id);
        let highest = if target == NETWORK { account } else { account.max(target) };
        self.sessions.extend_accounts(highest.index() + 1);
        let is_scheduled = role == Role::Mt && message.attempts == 0 && due > now.mono;
        if role == Role::Mt && due > now.mono && self.park_recovered(&message, record, is_scheduled, now) {
            out.fact(Fact::Recovered { account, recovered_as: RecoveredAs::Mt });
            return Ok(());
        }
        let slot = self.messages.insert(message);
        let slot = slot.ok_or_else(|| TooManyMessages { messages_max: self.messages.maximum() })?;
        if role.has_own_id() {
            self.index.insert(&mut self.messages, slot);
        }
        if role == Role::Alert && due > now.mono {
            self.restore_flag(&message);
        }
        if role == Role::Broadcast {
            self.restore_broadcast(slot);
        }
        if message.state.is_final() {
            let Message { state, error, finished_s, .. } = message;
            self.history.remember(&FinalRecord { id, account, finished_s, error, state });
        }
        // They line up for their subscribers at once: nobody who comes later gets ahead of them.
        if is_scheduled || role == Role::Broadcast || target != NETWORK || self.take_turn(slot, now) {
            self.resume(slot, due, is_scheduled, now, out);
        } else {
            self.park(slot, now);
        }
        let recovered_as = match role {
            Role::Mt | Role::Broadcast => RecoveredAs::Mt,
            Role::Mo => RecoveredAs::Mo,
            Role::Receipt | Role::Notification => RecoveredAs::Receipt,
            Role::Alert => RecoveredAs::Alert,
        };
        out.fact(Fact::Recovered { account, recovered_as });
        Ok(())
    }

    /// Lets a message in hand go on at `due`.
    fn resume(&mut self, slot: u32, due: Time, is_scheduled: bool, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        if due > now.mono {
            message.stage = if is_scheduled { Stage::Scheduled } else { Stage::Waiting };
            let at = due.min(message.expires);
            self.wheel.schedule(slot, at);
            if is_scheduled {
                self.subscribers.schedule(&mut self.messages, slot);
            }
            self.park(slot, now);
        } else if message.target != NETWORK && now.mono < message.expires {
            // Into its account's queue, and not by way of the work list: there may be more of them than fit the slab.
            self.start(slot, now, out);
        } else {
            message.stage = Stage::Ready;
            self.work.push_back(&mut self.messages, slot);
        }
    }
}
