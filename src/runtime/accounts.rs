//! The accounts as the workers use them: who may bind, from where, how often, and what they may send how fast.
//!
//! A table is immutable; a reload makes a new one, which shares with the old one what is counted: places taken, rates,
//! quotas, failed binds. Each worker has the table it was last told of, so nothing on the hot path takes a lock.

mod places;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::warn;

use places::{Places, Taken};

use super::daily_counts::{DailyCount, DailyCounts};
use super::failed_binds::{Culprit, FailedBinds, Leniency};
use super::message_policy::MessagePolicy;
use crate::base::{AccountId, Now, SessionHandle, Time};
use crate::config::password::{self, Seal, Sealer};
use crate::config::{
    AccountConfig, AddressRangeRule, BindType, CompatSettings, Config, DeliverBy, DistributionListConfig,
    Unanswered,
};
use crate::session::{BindMode, BindRequest, Compat, DataSmUse, Grant};
use crate::smpp::{BroadcastSm, CommandStatus, SubmitSm, TlvTag};

/// One account: its rules, and what all tables share of it.
#[derive(Debug)]
pub struct Account {
    config: AccountConfig,
    settings: CompatSettings,
    compat: Compat,
    rate: Rate,
    policy: Option<Box<MessagePolicy>>,
    distribution_lists: HashMap<Vec<u8>, Vec<ListMember>>,
    /// Changes with its credentials: a verdict on older ones is void.
    revision: u32,
    live: Arc<Live>,
}

/// What is counted of an account, over all workers and reloads.
#[derive(Debug, Default)]
struct Live {
    places: Places,
    /// When its bucket of messages is full again; see [`Rate`].
    full_at: AtomicU64,
    today: Arc<DailyCount>,
    /// Touched by binds only.
    credentials: Mutex<Credentials>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Credentials {
    /// The password that was last found right.
    seal: Option<Seal>,
    last_address: Option<IpAddr>,
}

/// TON, NPI and address of a distribution list's member.
pub type ListMember = (u8, u8, Vec<u8>);

impl Account {
    /// Its configuration.
    pub const fn config(&self) -> &AccountConfig {
        &self.config
    }

    /// Whether one more submit_sm is within all its rules and its rate, of which it takes one.
    ///
    /// # Errors
    /// The status to refuse it with.
    #[inline]
    pub fn charge(&self, sm: &SubmitSm<'_>, now: Now) -> Result<(), CommandStatus> {
        if self.policy.is_none() {
            return self.charge_rate(1, now.mono);
        }
        let source = (sm.source_addr_ton, sm.source_addr);
        self.charge_all(source, &[sm.destination_addr], sm.user_data().len(), now)
    }

    /// [`Account::charge`] for a message from `source` (source_addr_ton and source_addr) of so many octets to each of these
    /// destinations: all of them, or none.
    ///
    /// # Errors
    /// As there.
    pub fn charge_all(
        &self,
        source: (u8, &[u8]),
        destinations: &[&[u8]],
        octets: usize,
        now: Now,
    ) -> Result<(), CommandStatus> {
        let n = destinations.len() as u64;
        let Some(policy) = &self.policy else { return self.charge_rate(n, now.mono) };
        policy.check_source(source.0, source.1)?;
        destinations.iter().try_for_each(|destination| policy.check_destination(destination))?;
        policy.check_size(octets)?;
        self.charge_rate(n, now.mono)?;
        policy.take_quota(n, &self.live.today, now.wall)
    }

    /// [`Account::charge`] for a broadcast, which is one message however many it reaches.
    ///
    /// # Errors
    /// As there.
    pub fn charge_broadcast(&self, sm: &BroadcastSm<'_>, now: Now) -> Result<(), CommandStatus> {
        if let Some(policy) = &self.policy {
            policy.check_source(sm.source_addr_ton, sm.source_addr)?;
            policy.check_size(sm.tlvs.find(TlvTag::MESSAGE_PAYLOAD).map_or(0, <[u8]>::len))?;
        }
        self.charge_one(now)
    }

    /// Takes `n` messages out of the account's rate.
    ///
    /// # Errors
    /// ESME_RTHROTTLED.
    #[inline]
    pub fn charge_rate(&self, n: u64, now: Time) -> Result<(), CommandStatus> {
        if self.rate.take(n, now, &self.live.full_at) { Ok(()) } else { Err(CommandStatus::ESME_RTHROTTLED) }
    }

    /// Its rules for messages, if it has any.
    pub fn policy(&self) -> Option<&MessagePolicy> {
        self.policy.as_deref()
    }

    /// `n` messages that were charged have been refused after all: they don't count against the quota.
    #[inline]
    pub fn refused(&self, n: u64) {
        if let Some(policy) = &self.policy {
            policy.give_back_quota(n, &self.live.today);
        }
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

    /// Whether messages of it need be charged one by one.
    pub const fn is_limited(&self) -> bool {
        self.rate.ticks_per_message > 0 || self.policy.is_some()
    }

    /// Takes one message, whose addresses and size are within its rules, out of its rate and its quota.
    ///
    /// # Errors
    /// The status to refuse it with.
    pub fn charge_one(&self, now: Now) -> Result<(), CommandStatus> {
        self.charge_rate(1, now.mono)?;
        self.charge_quota(now)
    }

    /// Takes one message out of its quota.
    ///
    /// # Errors
    /// The status to refuse it with.
    pub fn charge_quota(&self, now: Now) -> Result<(), CommandStatus> {
        self.policy.as_ref().map_or(Ok(()), |policy| policy.take_quota(1, &self.live.today, now.wall))
    }

    /// When the rate allows the next `n` messages at once, if nobody else comes first.
    #[cold]
    pub fn rate_allows_at(&self, n: u16, now: Time) -> Time {
        self.rate.allows_at(n, now, &self.live.full_at)
    }

    /// Its compatibility settings.
    pub const fn settings(&self) -> &CompatSettings {
        &self.settings
    }

    /// What a bind is refused with for which it has no place.
    pub const fn too_many_status(&self) -> CommandStatus {
        self.settings.too_many_sessions_status.status()
    }

    /// Whether a bind may have this address_range.
    fn may_serve(&self, address_range: &[u8]) -> bool {
        let range = address_range.strip_prefix(b"^").unwrap_or(address_range);
        let range = range.strip_suffix(b"$").unwrap_or(range);
        let mut own = self.config.addresses.iter().chain(&self.config.prefixes);
        range.is_empty()
            || self.settings.address_range == AddressRangeRule::Any
            || own.any(|own| own.as_bytes() == range)
    }

    /// How its sessions are spoken to.
    pub const fn compat(&self) -> Compat {
        self.compat
    }

    /// Whether a session that is bound so, from there, may stay.
    pub fn may_stay(&self, mode: BindMode, address: IpAddr) -> bool {
        self.config.enabled && self.config.may_bind(bind_type(mode)) && self.config.may_bind_from(address)
    }

    /// Reserves a place for one more session, and says who has lost theirs to it.
    fn admit(&self, id: AccountId, attempt: &Attempt) -> Settled {
        if !self.config.may_bind(bind_type(attempt.mode)) {
            return Settled::Refused(CommandStatus::ESME_RINVCMDID);
        }
        if !attempt.is_in_range {
            return Settled::Refused(CommandStatus::ESME_RBINDFAIL);
        }
        let (policy, max) = (self.settings.duplicate_bind, self.config.sessions_max);
        match self.live.places.take(attempt.session, attempt.mode, policy, max) {
            Taken::Granted(replaced) => {
                let (window, deliver_window) = (self.config.window, self.config.deliver_window);
                let grant = Grant { account: id, window, deliver_window, compat: self.compat };
                Settled::Granted { grant, replaced }
            }
            Taken::Ask(older) => Settled::Ask(older),
            Taken::Refused => Settled::Refused(self.too_many_status()),
        }
    }

    /// Whether this password is the one that was last found right.
    fn is_sealed(&self, sealer: Option<&Sealer>, hash: &str, password: &[u8]) -> bool {
        let seal = self.live.credentials.lock().seal;
        match (sealer, seal) {
            (Some(sealer), Some(seal)) => sealer.seal(hash, password).matches(&seal),
            _ => false,
        }
    }
}

const fn bind_type(mode: BindMode) -> BindType {
    match mode {
        BindMode::Transmitter => BindType::Transmitter,
        BindMode::Receiver => BindType::Receiver,
        BindMode::Transceiver => BindType::Transceiver,
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

/// A bind that was attempted: all that is needed to settle it later.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The account, if there is one that this peer may have.
    pub account: Option<AccountId>,
    /// As what it binds.
    pub mode: BindMode,
    /// From where.
    pub address: IpAddr,
    /// Which session.
    pub session: SessionHandle,
    revision: u32,
    /// Whether the account lets a bind have its address_range.
    is_in_range: bool,
    /// What it is refused with if it is not right.
    refusal: CommandStatus,
    /// The address and the system_id, to hold a failure against.
    culprits: [Culprit; 2],
    system_id: [u8; SYSTEM_ID_OCTETS_MAX],
    system_id_len: u8,
}

/// Longest system_id (3.4 section 5.2.1), less its NUL.
const SYSTEM_ID_OCTETS_MAX: usize = 15;

impl Attempt {
    /// system_id as the peer gave it.
    pub fn system_id(&self) -> &[u8] {
        self.system_id.get(..usize::from(self.system_id_len)).unwrap_or(&self.system_id)
    }
}

/// What became of a bind whose password has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Let in; these sessions have lost their places to it.
    Granted {
        /// What it may do.
        grant: Grant,
        /// To be unbound.
        replaced: Vec<SessionHandle>,
    },
    /// This session has to be asked first whether it is still there.
    Ask(SessionHandle),
    /// Answered with this status.
    Refused(CommandStatus),
}

/// The first judgement of a bind.
#[derive(Debug)]
pub enum Judgement {
    /// Decided.
    Now(Attempt, Settled),
    /// The password must be checked against a hash, off the worker.
    Verify(Attempt),
    /// Too many binds have failed lately: answered without a look at the password.
    Limited,
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
        let live_account = |config: &AccountConfig| {
            Arc::new(Live { today: live.daily.of(&config.system_id), ..Live::default() })
        };
        let account = |config: &AccountConfig| {
            let before = before.next();
            let same = before.is_some_and(|before| {
                before.config.password == config.password
                    && before.config.password_hash == config.password_hash
            });
            Account {
                config: config.clone(),
                settings: config.compat.settings(),
                compat: compat(&config.compat.settings()),
                rate: Rate::new(config.rate_per_s, config.burst),
                policy: MessagePolicy::new(config),
                distribution_lists: config.distribution_lists.iter().map(list).collect(),
                revision: before.map_or(0, |before| before.revision.wrapping_add(u32::from(!same))),
                live: before.map_or_else(|| live_account(config), |before| Arc::clone(&before.live)),
            }
        };
        let accounts: Vec<Account> = config.accounts.iter().map(account).collect();
        let by_system_id = (0..)
            .map(AccountId)
            .zip(&accounts)
            .map(|(id, account)| (account.config.system_id.clone().into_bytes(), id))
            .collect();
        let hashes = accounts.iter().filter_map(|account| account.config.password_hash.as_ref());
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
        let known = known.and_then(|id| Some((id, self.get(id)?))).filter(|(_, it)| !it.config.removed);
        let refusal = known.map_or(self.unknown_status, |(_, it)| it.settings.wrong_password_status.status());
        let open = known.filter(|(_, it)| {
            it.config.enabled
                && it.config.may_bind_from(address)
                && bind.password.len() <= usize::from(it.settings.password_octets_max)
        });
        let open = open.map(|(id, _)| id);
        let account = open.and_then(|id| self.get(id));
        let revision = account.map_or(0, |account| account.revision);
        let mut system_id = [0; SYSTEM_ID_OCTETS_MAX];
        for (to, from) in system_id.iter_mut().zip(bind.system_id) {
            *to = *from;
        }
        let system_id_len = bind.system_id.len().min(SYSTEM_ID_OCTETS_MAX) as u8;
        let attempt = Attempt {
            account: open,
            mode: bind.mode,
            address,
            session,
            revision,
            is_in_range: account.is_none_or(|account| account.may_serve(bind.address_range)),
            refusal,
            culprits,
            system_id,
            system_id_len,
        };
        if self.is_limited(&attempt, now) {
            return Judgement::Limited;
        }
        let right = match account.map(|account| (account, &account.config.password_hash)) {
            Some((account, Some(hash))) => {
                if !account.is_sealed(self.live.sealer.as_ref(), hash.expose(), bind.password) {
                    return Judgement::Verify(attempt);
                }
                true
            }
            Some((account, None)) => account.config.accepts(bind.password),
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
        let is_last_good =
            || account.is_some_and(|it| it.live.credentials.lock().last_address == Some(attempt.address));
        (by_address || by_system_id) && !is_last_good()
    }

    /// Checks a password against its account's hash, or against the decoy. Takes tens of milliseconds and megabytes unless
    /// another bind has just shown that it is right: not for a worker.
    pub fn verify(&self, attempt: &Attempt, password: &[u8]) -> bool {
        let account = attempt.account.and_then(|id| self.get(id));
        let hash = account.and_then(|account| account.config.password_hash.as_ref());
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
        let right = account.config.accepts(password);
        if right && let Some(sealer) = sealer {
            account.live.credentials.lock().seal = Some(sealer.seal(hash.expose(), password));
        }
        right
    }

    /// Ends an attempt whose password was found right or wrong: reserves a place for one more session, or holds the failure
    /// against whoever made it.
    pub fn settle(&self, attempt: &Attempt, right: bool, now: Time) -> Settled {
        let account = attempt.account.and_then(|id| Some((id, self.get(id)?)));
        // A reload may have come between: what was checked must still hold.
        let still = account.filter(|(_, account)| {
            account.revision == attempt.revision
                && account.config.enabled
                && account.config.may_bind_from(attempt.address)
        });
        let (Some((id, account)), true) = (still, right) else {
            let [address, system_id] = attempt.culprits;
            self.live.failed.note(address, self.per_address, now);
            self.live.failed.note(system_id, self.per_system_id, now);
            return Settled::Refused(attempt.refusal);
        };
        account.live.credentials.lock().last_address = Some(attempt.address);
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
        if self.get(id).is_some_and(|account| account.live.places.give_back(session)) {
            release(&self.live.sessions);
        }
    }

    /// Sessions bound, in all and of one account.
    pub fn sessions(&self, id: AccountId) -> (u32, u32) {
        let own = self.get(id).map_or(0, |account| account.live.places.taken());
        (self.live.sessions.load(Ordering::Acquire), own)
    }
}

fn compat(settings: &CompatSettings) -> Compat {
    Compat {
        ids: settings.id_forms(),
        data_sm: DataSmUse {
            messages: settings.deliver_by == DeliverBy::DataSm,
            receipts: settings.receipts_by == DeliverBy::DataSm,
        },
        error_body: settings.error_response_body,
        throttle_delay_ms: settings.throttle_delay_ms,
        closes_unanswered: settings.unanswered_delivery == Unanswered::Close,
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

/// A rate over all sessions and workers of an account: the generic cell rate algorithm on one atomic, the time at which
/// the bucket will be full again, in 64ths of a nanosecond so that a message's share of a second is nearly exact.
#[derive(Debug)]
struct Rate {
    /// What one message is worth; 0 = unlimited.
    ticks_per_message: u64,
    burst_ticks: u64,
}

const TICKS_PER_NANO: u64 = 64;

impl Rate {
    fn new(rate_per_s: u32, burst: u32) -> Self {
        let burst = if burst == 0 { rate_per_s } else { burst };
        let ticks_per_message =
            if rate_per_s == 0 { 0 } else { 1_000_000_000 * TICKS_PER_NANO / u64::from(rate_per_s) };
        Self { ticks_per_message, burst_ticks: ticks_per_message.saturating_mul(u64::from(burst.max(1))) }
    }

    #[inline]
    fn take(&self, n: u64, now: Time, full_at: &AtomicU64) -> bool {
        if self.ticks_per_message == 0 {
            return true;
        }
        let now = now.as_nanos().saturating_mul(TICKS_PER_NANO);
        let cost = self.ticks_per_message.saturating_mul(n);
        full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let next = full_at.max(now).saturating_add(cost);
                (next <= now.saturating_add(self.burst_ticks)).then_some(next)
            })
            .is_ok()
    }

    /// When the next `n` messages fit in.
    fn allows_at(&self, n: u16, now: Time, full_at: &AtomicU64) -> Time {
        let cost = self.ticks_per_message.saturating_mul(u64::from(n));
        let next = full_at.load(Ordering::Acquire).saturating_add(cost);
        let at = next.saturating_sub(self.burst_ticks).div_ceil(TICKS_PER_NANO);
        Time::from_nanos(at).max(now)
    }
}

#[cfg(test)]
mod tests;
