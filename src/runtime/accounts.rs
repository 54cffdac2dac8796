//! The accounts as the workers use them: who may bind, how often, and how fast.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::base::{AccountId, Time};
use crate::config::{AccountConfig, BindType, DeliverBy, DistributionListConfig};
use crate::session::{Authentication, BindMode, BindRequest, DataSmUse, Grant};
use crate::smpp::CommandStatus;

/// One account. Shared by all workers; what changes is atomic.
#[derive(Debug)]
pub struct Account {
    config: AccountConfig,
    sessions: AtomicU32,
    rate: RateLimiter,
    distribution_lists: HashMap<Vec<u8>, Vec<ListMember>>,
}

/// TON, NPI and address of a distribution list's member.
pub type ListMember = (u8, u8, Vec<u8>);

impl Account {
    /// Its configuration.
    pub const fn config(&self) -> &AccountConfig {
        &self.config
    }

    /// Takes `n` messages out of the account's rate. False: ESME_RTHROTTLED.
    pub fn take_rate(&self, n: u64, now: Time) -> bool {
        self.rate.take(n, now)
    }

    /// Whether it has a rate at all.
    pub const fn has_rate(&self) -> bool {
        self.rate.nanos_per_message > 0
    }

    /// The members of one of its distribution lists.
    ///
    /// # Errors
    /// ESME_RCNTSUBDL where it has none at all, ESME_RINVDLNAME where it has not this one.
    pub fn distribution_list(&self, dl_name: &[u8]) -> Result<&[ListMember], CommandStatus> {
        match self.distribution_lists.get(dl_name) {
            Some(members) => Ok(members),
            None if self.distribution_lists.is_empty() => Err(CommandStatus::ESME_RCNTSUBDL),
            None => Err(CommandStatus::ESME_RINVDLNAME),
        }
    }

    /// Whether `password` is the account's. With a hash this takes tens of milliseconds.
    pub fn accepts(&self, password: &[u8]) -> bool {
        self.config.accepts(password)
    }

    /// Reserves a place for one more session.
    ///
    /// # Errors
    /// The status to refuse the bind with.
    fn admit(&self, id: AccountId, mode: BindMode) -> Result<Grant, CommandStatus> {
        let bind = match mode {
            BindMode::Transmitter => BindType::Transmitter,
            BindMode::Receiver => BindType::Receiver,
            BindMode::Transceiver => BindType::Transceiver,
        };
        if !self.config.may_bind(bind) {
            return Err(CommandStatus::ESME_RINVCMDID);
        }
        reserve(&self.sessions, self.config.sessions_max).ok_or(CommandStatus::ESME_RALYBND)?;
        Ok(Grant {
            account: id,
            window: self.config.window,
            deliver_window: self.config.deliver_window,
            data_sm: DataSmUse { messages: self.config.deliver_by == DeliverBy::DataSm, receipts: false },
        })
    }
}

/// Takes one of `max` places. `None`: all are taken.
fn reserve(taken: &AtomicU32, max: u32) -> Option<u32> {
    taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1)).ok()
}

/// Gives a place back.
fn release(taken: &AtomicU32) {
    let before = taken.fetch_sub(1, Ordering::AcqRel);
    debug_assert!(before > 0, "a session was released twice");
}

/// All accounts, indexed by [`AccountId`].
#[derive(Debug)]
pub struct AccountTable {
    accounts: Vec<Account>,
    sessions: AtomicU32,
    sessions_max: u32,
    by_system_id: HashMap<Vec<u8>, AccountId>,
}

/// The first judgement of a bind.
#[derive(Debug)]
pub enum Judgement {
    /// Decided.
    Now(Authentication),
    /// The password must be checked against a hash, off the worker.
    Verify(AccountId),
}

impl AccountTable {
    /// The accounts of a validated configuration, which may have `sessions_max` sessions bound in all.
    pub fn new(configs: &[AccountConfig], sessions_max: u32) -> Self {
        let accounts: Vec<Account> = configs
            .iter()
            .map(|config| Account {
                config: config.clone(),
                sessions: AtomicU32::new(0),
                rate: RateLimiter::new(config.rate_per_s, config.burst),
                distribution_lists: config.distribution_lists.iter().map(list).collect(),
            })
            .collect();
        let by_system_id = configs
            .iter()
            .zip(0u16..)
            .map(|(config, index)| (config.system_id.clone().into_bytes(), AccountId(index)))
            .collect();
        Self { accounts, sessions: AtomicU32::new(0), sessions_max, by_system_id }
    }

    /// The account with this id.
    pub fn get(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.index())
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Judges a bind. Unknown, disabled and wrong password look the same from outside.
    pub fn judge(&self, bind: &BindRequest<'_>) -> Judgement {
        let refused = Judgement::Now(Authentication::Refused(CommandStatus::ESME_RBINDFAIL));
        let Some(id) = self.by_system_id.get(bind.system_id) else { return refused };
        let Some(account) = self.get(*id).filter(|account| account.config.enabled) else { return refused };
        if account.config.password_hash.is_some() {
            return Judgement::Verify(*id);
        }
        if !account.accepts(bind.password) {
            return refused;
        }
        Judgement::Now(match self.admit(*id, bind.mode) {
            Ok(grant) => Authentication::Accepted(grant),
            Err(status) => Authentication::Refused(status),
        })
    }

    /// Reserves a place for one more session of the account, whose password has been accepted.
    ///
    /// # Errors
    /// The status to refuse the bind with.
    pub fn admit(&self, id: AccountId, mode: BindMode) -> Result<Grant, CommandStatus> {
        let account = self.get(id).ok_or(CommandStatus::ESME_RBINDFAIL)?;
        reserve(&self.sessions, self.sessions_max).ok_or(CommandStatus::ESME_RBINDFAIL)?;
        account.admit(id, mode).inspect_err(|_| release(&self.sessions))
    }

    /// A session of the account has ended: its place is free at once.
    pub fn release_session(&self, id: AccountId) {
        if let Some(account) = self.get(id) {
            release(&account.sessions);
            release(&self.sessions);
        }
    }
}

/// A distribution list by its name. A member in digits is an international ISDN number.
fn list(config: &DistributionListConfig) -> (Vec<u8>, Vec<ListMember>) {
    let member = |address: &String| {
        let (ton, npi) = if address.bytes().all(|octet| octet.is_ascii_digit()) { (1, 1) } else { (5, 0) };
        (ton, npi, address.clone().into_bytes())
    };
    (config.name.clone().into_bytes(), config.members.iter().map(member).collect())
}

/// A rate over all sessions and workers of an account, as one atomic (the generic cell rate algorithm: the time
/// at which the bucket will be full again).
#[derive(Debug)]
struct RateLimiter {
    full_at_nanos: AtomicU64,
    /// Nanoseconds that one message is worth; 0 = unlimited.
    nanos_per_message: u64,
    burst_nanos: u64,
}

impl RateLimiter {
    fn new(rate_per_s: u32, burst: u32) -> Self {
        let burst = if burst == 0 { rate_per_s } else { burst };
        let nanos_per_message = if rate_per_s == 0 { 0 } else { 1_000_000_000 / u64::from(rate_per_s) };
        Self {
            full_at_nanos: AtomicU64::new(0),
            nanos_per_message,
            burst_nanos: nanos_per_message * u64::from(burst.max(1)),
        }
    }

    fn take(&self, n: u64, now: Time) -> bool {
        if self.nanos_per_message == 0 {
            return true;
        }
        let cost = n * self.nanos_per_message;
        self.full_at_nanos
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let next = full_at.max(now.as_nanos()) + cost;
                (next <= now.as_nanos() + self.burst_nanos).then_some(next)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_exact_over_time_and_zero_is_unlimited() {
        let limiter = RateLimiter::new(100, 10);
        let mut taken = 0;
        for ms in 0..10_000 {
            while limiter.take(1, Time::from_millis(ms)) {
                taken += 1;
            }
        }
        assert!((1_000..=1_010).contains(&taken), "{taken}");
        let unlimited = RateLimiter::new(0, 0);
        assert!((0..100_000).all(|_| unlimited.take(1, Time::ZERO)));
    }

    #[test]
    fn a_quiet_account_may_burst_and_no_more() {
        let limiter = RateLimiter::new(10, 5);
        let now = Time::from_millis(60_000);
        assert_eq!((0..100).filter(|_| limiter.take(1, now)).count(), 5);
    }
}
