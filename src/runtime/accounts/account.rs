//! One account: its rules, what is charged to it, and what all tables share of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::attempt::{Attempt, Settled};
use super::places::{Places, Taken};
use super::rate::Rate;
use crate::base::{AccountId, Now, SessionHandle, Time};
use crate::config::password::{Seal, Sealer};
use crate::config::{
    AccountConfig, AddressRangeRule, BindType, CompatSettings, DeliverBy, DistributionListConfig, Unanswered,
};
use crate::runtime::daily_counts::{DailyCount, DailyCounts};
use crate::runtime::message_policy::MessagePolicy;
use crate::session::{BindMode, Compat, DataSmUse, Grant};
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
    /// An account by its configuration. It goes on from what it was `before` a reload, else from the count of the day.
    pub(super) fn new(config: &AccountConfig, before: Option<&Self>, daily: &DailyCounts) -> Self {
        let is_same = before.is_some_and(|before| {
            before.config.password == config.password && before.config.password_hash == config.password_hash
        });
        let settings = config.compat.settings();
        let fresh = || Arc::new(Live { today: daily.of(&config.system_id), ..Live::default() });
        Self {
            config: config.clone(),
            compat: compat(&settings),
            settings,
            rate: Rate::new(config.rate_per_s, config.burst),
            policy: MessagePolicy::new(config),
            distribution_lists: config.distribution_lists.iter().map(list).collect(),
            revision: before.map_or(0, |before| before.revision.wrapping_add(u32::from(!is_same))),
            live: before.map_or_else(fresh, |before| Arc::clone(&before.live)),
        }
    }

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
        !self.rate.is_unlimited() || self.policy.is_some()
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
    pub(super) fn may_serve(&self, address_range: &[u8]) -> bool {
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
    pub(super) fn admit(&self, id: AccountId, attempt: &Attempt) -> Settled {
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

    /// A session of it has ended. Whether it still had its place.
    pub(super) fn give_back_place(&self, session: SessionHandle) -> bool {
        self.live.places.give_back(session)
    }

    /// How many places are taken.
    pub(super) fn places_taken(&self) -> u32 {
        self.live.places.taken()
    }

    /// Changes with its credentials: a verdict on older ones is void.
    pub(super) const fn revision(&self) -> u32 {
        self.revision
    }

    /// Remembers the password that was found right.
    pub(super) fn remember(&self, seal: Seal) {
        self.live.credentials.lock().seal = Some(seal);
    }

    /// Remembers where it was let in from.
    pub(super) fn let_in_from(&self, address: IpAddr) {
        self.live.credentials.lock().last_address = Some(address);
    }

    /// Whether that is where it was last let in from.
    pub(super) fn was_last_let_in_from(&self, address: IpAddr) -> bool {
        self.live.credentials.lock().last_address == Some(address)
    }

    /// Whether this password is the one that was last found right.
    pub(super) fn is_sealed(&self, sealer: Option<&Sealer>, hash: &str, password: &[u8]) -> bool {
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
