//! The accounts as the workers use them: who may bind, from where, how often, and what they may send how fast.
//!
//! A table is immutable; a reload makes a new one, which shares with the old one what is counted: places taken, rates,
//! quotas, failed binds. Each worker has the table it was last told of, so nothing on the hot path takes a lock.

mod account;
mod attempt;
mod places;
mod rate;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tracing::warn;

pub use account::{Account, ListMember};
use attempt::SystemId;
pub use attempt::{Attempt, Judgement, Settled};

use super::daily_counts::DailyCounts;
use super::failed_binds::{FailedBinds, Leniency};
use crate::base::{AccountId, SessionHandle, Time};
use crate::config::password::{self, Sealer};
use crate::config::{AccountConfig, Config};
use crate::session::BindRequest;
use crate::smpp::CommandStatus;

/// All accounts, indexed by [`AccountId`].
#[derive(Debug)]
pub struct AccountTable {
    accounts: Vec<Account>,
    by_system_id: HashMap<Vec<u8>, AccountId>,
    sessions_max: u32,
    /// What a bind with a system_id that is no account's is refused with.
    unknown_status: CommandStatus,
    per_address: Leniency,
    per_system_id: Leniency,
    /// What a bind is checked against that names no account it may have, so that this takes as long as for one that it
    /// may. The dearest hash of all; `None` when no account has one.
    decoy_hash: Option<String>,
    live: Arc<TableLive>,
}

/// What all tables share.
#[derive(Debug)]
struct TableLive {
    sessions: AtomicU32,
    failed: FailedBinds,
    daily: Arc<DailyCounts>,
    /// `None`: right passwords are not remembered.
    sealer: Option<Sealer>,
}

impl AccountTable {
    /// The accounts of a validated configuration, which go on from these counts of the day.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new(config: &Config, daily: Arc<DailyCounts>) -> Result<Self, String> {
        let sealer = if config.limits.remember_passwords { Some(Sealer::new()?) } else { None };
        let live = TableLive { sessions: AtomicU32::new(0), failed: FailedBinds::default(), daily, sealer };
        Ok(Self::build(config, Arc::new(live), &[]))
    }

    /// The table after a reload. The accounts have kept their numbers.
    #[must_use]
    pub fn after(&self, config: &Config) -> Self {
        Self::build(config, Arc::clone(&self.live), &self.accounts)
    }

    fn build(config: &Config, live: Arc<TableLive>, before: &[Account]) -> Self {
        let limits = &config.limits;
        let mut before = before.iter();
        let account = |config: &AccountConfig| Account::new(config, before.next(), &live.daily);
        let accounts: Vec<Account> = config.accounts.iter().map(account).collect();
        let by_system_id = (0..)
            .map(AccountId)
            .zip(&accounts)
            .map(|(id, account)| (account.config().system_id.clone().into_bytes(), id))
            .collect();
        let hashes = accounts.iter().filter_map(|account| account.config().password_hash.as_ref());
        let hashes: Vec<&str> = hashes.map(|hash| hash.expose()).collect();
        let costs = hashes.iter().map(|hash| password::cost(hash));
        if costs.clone().min() != costs.max() {
            warn!(
                "the accounts' password hashes have different parameters: how long a wrong password takes tells them apart"
            );
        }
        let decoy_hash = hashes.into_iter().max_by_key(|hash| password::cost(hash));
        let leniency = |failures| Leniency {
            failures,
            window_nanos: limits.failed_binds_window_s.saturating_mul(1_000_000_000),
        };
        Self {
            by_system_id,
            sessions_max: limits.sessions_max,
            unknown_status: config.smpp.unknown_system_id_status.status(),
            per_address: leniency(limits.failed_binds_per_address),
            per_system_id: leniency(limits.failed_binds_per_system_id),
            decoy_hash: decoy_hash.map(str::to_owned),
            accounts,
            live,
        }
    }

    /// The account with this id.
    #[inline]
    pub fn get(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.index())
    }

    /// How many there are, removed ones included.
    pub const fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Judges a bind from `address`. Unknown, disabled, from elsewhere than allowed, and wrong password look the same from
    /// outside, in their answer and in the time it takes.
    pub fn judge(
        &self,
        bind: &BindRequest<'_>,
        session: SessionHandle,
        address: IpAddr,
        now: Time,
    ) -> Judgement {
        let failed = &self.live.failed;
        let culprits = [failed.address(address), failed.system_id(bind.system_id)];
        let known = self.by_system_id.get(bind.system_id).copied();
        let known = known.and_then(|id| Some((id, self.get(id)?))).filter(|(_, it)| !it.config().removed);
        let refusal =
            known.map_or(self.unknown_status, |(_, it)| it.settings().wrong_password_status.status());
        let open = known.filter(|(_, it)| {
            it.config().enabled
                && it.config().may_bind_from(address)
                && bind.password.len() <= usize::from(it.settings().password_octets_max)
        });
        let open = open.map(|(id, _)| id);
        let account = open.and_then(|id| self.get(id));
        let revision = account.map_or(0, Account::revision);
        let attempt = Attempt {
            account: open,
            mode: bind.mode,
            address,
            session,
            revision,
            is_in_range: account.is_none_or(|account| account.may_serve(bind.address_range)),
            refusal,
            culprits,
            system_id: SystemId::new(bind.system_id),
        };
        if self.is_limited(&attempt, now) {
            return Judgement::Limited;
        }
        let right = match account.map(|account| (account, &account.config().password_hash)) {
            Some((account, Some(hash))) => {
                if !account.is_sealed(self.live.sealer.as_ref(), hash.expose(), bind.password) {
                    return Judgement::Verify(attempt);
                }
                true
            }
            Some((account, None)) => account.config().accepts(bind.password),
            None => false,
        };
        if !right && self.decoy_hash.is_some() {
            return Judgement::Verify(Attempt { account: None, ..attempt });
        }
        Judgement::Now(attempt, self.settle(&attempt, right, now))
    }

    /// Whether too many binds like this one have failed lately. Where an account was last let in from, either limit alone does
    /// not hold it back: nobody can lock it out from elsewhere, nor by guessing at others from behind the same gateway.
    pub fn is_limited(&self, attempt: &Attempt, now: Time) -> bool {
        let [address, system_id] = attempt.culprits;
        let failed = &self.live.failed;
        let by_address = failed.is_limited(address, self.per_address, now);
        let by_system_id = failed.is_limited(system_id, self.per_system_id, now);
        if by_address && by_system_id {
            return true;
        }
        let account = attempt.account.and_then(|id| self.get(id));
        let is_last_good = || account.is_some_and(|it| it.was_last_let_in_from(attempt.address));
        (by_address || by_system_id) && !is_last_good()
    }

    /// Checks a password against its account's hash, or against the decoy. Takes tens of milliseconds and megabytes unless
    /// another bind has just shown that it is right: not for a worker.
    pub fn verify(&self, attempt: &Attempt, password: &[u8]) -> bool {
        let account = attempt.account.and_then(|id| self.get(id));
        let hash = account.and_then(|account| account.config().password_hash.as_ref());
        let (Some(account), Some(hash)) = (account, hash) else {
            if let Some(decoy) = &self.decoy_hash {
                // Whatever comes of it: only its time counts.
                std::hint::black_box(password::matches_hash(decoy, password));
            }
            return false;
        };
        let sealer = self.live.sealer.as_ref();
        if account.is_sealed(sealer, hash.expose(), password) {
            return true;
        }
        let right = account.config().accepts(password);
        if right && let Some(sealer) = sealer {
            account.remember(sealer.seal(hash.expose(), password));
        }
        right
    }

    /// Ends an attempt whose password was found right or wrong: reserves a place for one more session, or holds the failure
    /// against whoever made it.
    pub fn settle(&self, attempt: &Attempt, right: bool, now: Time) -> Settled {
        let account = attempt.account.and_then(|id| Some((id, self.get(id)?)));
        // A reload may have come between: what was checked must still hold.
        let still = account.filter(|(_, account)| {
            account.revision() == attempt.revision
                && account.config().enabled
                && account.config().may_bind_from(attempt.address)
        });
        let (Some((id, account)), true) = (still, right) else {
            let [address, system_id] = attempt.culprits;
            self.live.failed.note(address, self.per_address, now);
            self.live.failed.note(system_id, self.per_system_id, now);
            return Settled::Refused(attempt.refusal);
        };
        account.let_in_from(attempt.address);
        if reserve(&self.live.sessions, self.sessions_max).is_none() {
            return Settled::Refused(CommandStatus::ESME_RBINDFAIL);
        }
        let settled = account.admit(id, attempt);
        match &settled {
            Settled::Granted { replaced, .. } => replaced.iter().for_each(|_| release(&self.live.sessions)),
            Settled::Ask(_) | Settled::Refused(_) => release(&self.live.sessions),
        }
        settled
    }

    /// A session of the account has ended: its place is free at once, unless another one had it already.
    pub fn release_session(&self, id: AccountId, session: SessionHandle) {
        if self.get(id).is_some_and(|account| account.give_back_place(session)) {
            release(&self.live.sessions);
        }
    }

    /// Sessions bound, in all and of one account.
    pub fn sessions(&self, id: AccountId) -> (u32, u32) {
        let own = self.get(id).map_or(0, Account::places_taken);
        (self.live.sessions.load(Ordering::Acquire), own)
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

#[cfg(test)]
mod tests;
