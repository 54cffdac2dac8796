//! Restart: what an earlier run has left in the store, back where it was. Schedules, attempts made, the next attempt, the
//! end of validity, receipts owed and MO messages not yet acknowledged go on; sessions and what was in their hands do
//! not: a delivery without its answer goes out again.

use super::Shard;
use super::message::{Message, NETWORK, Role, Stage};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, AccountKey, MessageId, Now};
use crate::limits::ACCOUNTS_MAX;
use crate::store::{Location, MessageStore, Record};

/// What was found in the store at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// MT messages without a final state.
    pub mt: u64,
    /// MO messages that no ESME has accepted yet.
    pub mo: u64,
    /// Receipts owed.
    pub receipts: u64,
    /// Intermediate notifications owed.
    pub notifications: u64,
    /// Of all these, how many belong to accounts that the configuration does not have.
    pub of_former_accounts: u64,
    /// Records that make no sense, or repeat an id. They stay in the store, untouched.
    pub unreadable: u64,
}

/// Why the shard can't go on with what is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// More than the settings allow to be held.
    #[error("the store holds more than {messages_max} messages: raise the maximum")]
    TooManyMessages {
        /// The settings' maximum.
        messages_max: u32,
    },
    /// Messages belong to too many accounts that the configuration does not have.
    #[error("the messages in the store belong to more than {ACCOUNTS_MAX} accounts that are not configured")]
    TooManyAccounts,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Takes up everything that the store has recovered. To be called once, before anything else.
    ///
    /// Times go by the wall clock: what fell due while nothing ran is due now, and what expired meanwhile expires in the
    /// next turns. A clock that was set back is taken to stand where it stood when the message was last written.
    ///
    /// # Errors
    /// [`RestoreError`]; the shard must not be used then, for it would not keep its promises.
    pub fn recover(&mut self, now: Now) -> Result<Recovered, RestoreError> {
        let mut recovered = Recovered::default();
        while let Some((location, record)) = self.store.recovered() {
            self.restore(location, &record, now, &mut recovered)?;
        }
        Ok(recovered)
    }

    fn restore(
        &mut self,
        location: Location,
        record: &Record,
        now: Now,
        recovered: &mut Recovered,
    ) -> Result<(), RestoreError> {
        let account = self.account_of(record.account)?;
        let target = record.target.map_or(Ok(NETWORK), |key| self.account_of(key))?;
        let message = Message::restored(record, account, target, now)
            .filter(|(message, _)| message.is_routable() && !self.is_known(message.id, message.role));
        let Some((message, due)) = message else {
            recovered.unreadable += 1;
            return Ok(());
        };
        let Some(slot) = self.messages.insert(Message { location, ..message }) else {
            return Err(RestoreError::TooManyMessages { messages_max: self.messages.maximum() });
        };
        self.ids.pass(message.id);
        if message.role != Role::Notification {
            self.index.insert(&mut self.messages, slot);
        }
        if message.state.is_final() {
            self.history.remember(message.id, message.state, message.error, message.finished_s);
        }
        let is_scheduled = message.role == Role::Mt && message.attempts == 0 && due > now.mono;
        // In line already, as their order was: nobody who comes later gets ahead of them.
        if is_scheduled || message.target != NETWORK || self.take_turn(slot, now) {
            self.resume(slot, due, is_scheduled, now);
        }
        *match message.role {
            Role::Mt => &mut recovered.mt,
            Role::Mo => &mut recovered.mo,
            Role::Receipt => &mut recovered.receipts,
            Role::Notification => &mut recovered.notifications,
        } += 1;
        recovered.of_former_accounts += u64::from(!self.accounts.is_configured(account));
        Ok(())
    }

    /// Lets a message in hand go on at `due`.
    fn resume(&mut self, slot: u32, due: crate::base::Time, is_scheduled: bool, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        if due > now.mono {
            message.stage = if is_scheduled { Stage::Scheduled } else { Stage::Waiting };
            let at = due.min(message.expires);
            self.wheel.schedule(slot, at);
        } else {
            message.stage = Stage::Ready;
            self.work.push_back(&mut self.messages, slot);
        }
    }

    fn account_of(&mut self, key: AccountKey) -> Result<AccountId, RestoreError> {
        let account = self.accounts.account_of(key).ok_or(RestoreError::TooManyAccounts)?;
        self.sessions.extend_accounts(self.accounts.len());
        Ok(account)
    }

    /// Whether there is a message with this id already; a notification shares the one of the message that it tells of.
    fn is_known(&self, id: MessageId, role: Role) -> bool {
        role != Role::Notification && self.index.find(&self.messages, id).is_some()
    }
}
