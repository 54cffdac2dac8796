//! `[[account]]`: who may bind, how, and what it owns.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::alphabet::AlphabetName;
use super::compat::CompatConfig;
use super::error::Findings;
use super::ip_range::IpRange;
use super::outbind::OutbindConfig;
use super::password;
use super::secret::Secret;
use super::smpp::check_c_octet_string;
use super::statistics::StatisticsConfig;
use super::store::{Durability, StoreConfig, VALIDITY_S_MAX};
use crate::limits;

/// Most addresses and prefixes of one account.
const ADDRESSES_MAX: usize = 10_000;
/// Longest time over which duplicates are found, in milliseconds: ten minutes.
const DUPLICATE_WINDOW_MS_MAX: u64 = 600_000;
/// Longest wait of a receipt for those of other parts, in milliseconds: an hour.
const RECEIPT_PARTS_WAIT_MS_MAX: u64 = 3_600_000;
/// Longest password that a bind may carry; the specification allows 8 characters, the field uses more.
pub(super) const PASSWORD_OCTETS_MAX: usize = 64;

/// A way to bind (3.4 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BindType {
    /// bind_transmitter: submits only.
    Transmitter,
    /// bind_receiver: receives only.
    Receiver,
    /// bind_transceiver: both.
    Transceiver,
}

/// Which request hands an ESME a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverBy {
    /// deliver_sm.
    #[default]
    DeliverSm,
    /// data_sm; to peers below 3.4, which have none, deliver_sm.
    DataSm,
}

/// The receipts of a concatenated message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptsForParts {
    /// One for each part that asks for it.
    #[default]
    Each,
    /// One for all parts.
    One,
}

/// `[[account.distribution_list]]`: what a dest_flag of 2 in a submit_multi names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistributionListConfig {
    /// dl_name, 1 to 20 characters, unique in its account.
    pub name: String,
    /// Addresses of at most 20 characters; digits are taken for international numbers.
    pub members: Vec<String>,
}

impl DistributionListConfig {
    fn validate(&self, key: &str, findings: &mut Findings) {
        if let Err(what) = check_c_octet_string(&self.name, 20) {
            findings.add(format!("{key}.name"), what);
        }
        let count = (1, limits::MULTI_DESTINATIONS_MAX as u64);
        findings.in_range(format!("{key}.members"), self.members.len() as u64, count);
        for (i, member) in self.members.iter().enumerate() {
            if let Err(what) = check_c_octet_string(member, 20) {
                findings.add(format!("{key}.members[{i}]"), what);
            }
        }
    }
}

/// One account. Several sessions may bind with its system_id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountConfig {
    /// system_id of its binds, 1 to 15 characters, unique.
    pub system_id: String,
    /// Password in the clear; either this or `password_hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// argon2id PHC string, as `smscd hash-password` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<Secret>,
    /// Whether it may bind at all.
    pub enabled: bool,
    /// Bind types that it may use.
    pub bind: Vec<BindType>,
    /// Sessions bound at once. Beyond: ESME_RALYBND.
    pub sessions_max: u32,
    /// Requests of one session that may await our response. Beyond: its socket is not read.
    pub window: u32,
    /// deliver_sm towards one session that may await its response. Beyond: they wait.
    pub deliver_window: u32,
    /// Addresses it owns: messages to them are delivered to its receiving sessions.
    pub addresses: Vec<String>,
    /// Leading digits of addresses it owns; the longest match decides, an exact address before any.
    pub prefixes: Vec<String>,
    /// Whether the address_range of a receiving bind makes addresses this account's too, after all configured ones.
    pub claims_by_address_range: bool,
    /// What data_coding 0 means in its messages, wherever their text is read or shown.
    pub default_alphabet: AlphabetName,
    /// Whether the parts of a concatenated message have a receipt each, or one together.
    pub receipts_for_parts: ReceiptsForParts,
    /// How long the one receipt waits for the other parts, in milliseconds from the first final one on.
    pub receipt_parts_wait_ms: u64,
    /// What its accepted messages survive; as `store.durability` says when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// validity_period of its messages that give none; 0 = `store.validity_default_s`.
    pub validity_default_s: u64,
    /// Its longest validity_period and farthest schedule; 0 = `store.validity_max_s`.
    pub validity_max_s: u64,
    /// A submit_sm that repeats one of the last so many milliseconds gets its answer; 0 = off.
    pub duplicate_window_ms: u64,
    /// Messages per second over all its sessions. Beyond: ESME_RTHROTTLED. 0 = unlimited.
    pub rate_per_s: u32,
    /// Messages that may come at once before `rate_per_s` holds them back; 0 = as many as one second allows.
    pub burst: u32,
    /// Messages per day (UTC) over all its sessions, whatever restarts. Beyond: ESME_RSUBMITFAIL. 0 = unlimited.
    pub messages_per_day: u64,
    /// Peers that it may bind from; none named: any. From elsewhere: ESME_RBINDFAIL, as for a wrong password.
    pub allow_from: Vec<IpRange>,
    /// Source addresses that it may use: whole ones, and leading digits with a `*` behind. With these or `source_names`
    /// any other one is answered ESME_RINVSRCADR.
    pub source_addresses: Vec<String>,
    /// Alphanumeric source addresses (source_addr_ton 5) that it may use.
    pub source_names: Vec<String>,
    /// Leading digits of destinations that it may send to; none named: any. Others: ESME_RINVDSTADR.
    pub destination_prefixes: Vec<String>,
    /// Octets of short_message or message_payload. Beyond: ESME_RINVMSGLEN. 0 = as many as a PDU can carry.
    pub message_bytes_max: u32,
    /// It was in an earlier configuration and is in this one no more: it keeps its number, so that what it has sent goes on.
    #[serde(skip)]
    pub removed: bool,
    /// Whether a receipt tells the end of each of its broadcasts: broadcast_sm has no registered_delivery to ask for one.
    pub broadcast_receipts: bool,
    /// Its counts, sent to it as messages.
    pub statistics: StatisticsConfig,
    /// The ESME to call when messages wait for it and none of its sessions receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbind: Option<OutbindConfig>,
    /// How it is spoken to.
    pub compat: CompatConfig,
    /// Lists that it may submit to.
    #[serde(rename = "distribution_list", skip_serializing_if = "Vec::is_empty")]
    pub distribution_lists: Vec<DistributionListConfig>,
}

impl Default for AccountConfig {
    /// An account without a name: what a key left out of `[[account]]` means.
    fn default() -> Self {
        Self {
            system_id: String::new(),
            password: None,
            password_hash: None,
            enabled: true,
            bind: vec![BindType::Transmitter, BindType::Receiver, BindType::Transceiver],
            sessions_max: 10_000,
            window: 1_000,
            deliver_window: 1_000,
            addresses: Vec::new(),
            prefixes: Vec::new(),
            claims_by_address_range: false,
            default_alphabet: AlphabetName::Gsm,
            receipts_for_parts: ReceiptsForParts::Each,
            receipt_parts_wait_ms: 60_000,
            durability: None,
            validity_default_s: 0,
            validity_max_s: 0,
            duplicate_window_ms: 0,
            rate_per_s: 0,
            burst: 0,
            messages_per_day: 0,
            allow_from: Vec::new(),
            source_addresses: Vec::new(),
            source_names: Vec::new(),
            destination_prefixes: Vec::new(),
            message_bytes_max: 0,
            removed: false,
            broadcast_receipts: false,
            outbind: None,
            statistics: StatisticsConfig::default(),
            compat: CompatConfig::default(),
            distribution_lists: Vec::new(),
        }
    }
}

impl AccountConfig {
    /// What is left of an account that the configuration has no more.
    pub fn removed(system_id: &str) -> Self {
        Self { system_id: system_id.to_owned(), enabled: false, removed: true, ..Self::default() }
    }

    /// The account of the default configuration: demo, demo. It owns an address, so that MO works at once.
    pub fn demo() -> Self {
        Self {
            system_id: "demo".to_owned(),
            password: Some(Secret::new("demo")),
            addresses: vec!["12345".to_owned()],
            claims_by_address_range: true,
            ..Self::default()
        }
    }

    /// Whether anyone who has read the manual can bind with it.
    fn is_public(&self) -> bool {
        self.enabled
            && self.system_id == "demo"
            && self.password.as_ref().is_some_and(|password| password.expose() == "demo")
    }

    /// Whether `password` is this account's. Takes as long for a wrong one as for the right one; with a
    /// `password_hash` it costs tens of milliseconds and 19 MiB, so it must not run on a worker.
    pub fn accepts(&self, password: &[u8]) -> bool {
        match (&self.password, &self.password_hash) {
            (Some(plain), None) => password::same(plain.expose().as_bytes(), password),
            (None, Some(hash)) => password::matches_hash(hash.expose(), password),
            _ => false,
        }
    }

    /// Whether it may use this bind type.
    pub fn may_bind(&self, bind: BindType) -> bool {
        self.bind.contains(&bind)
    }

    fn validate(&self, key: &str, store: &StoreConfig, findings: &mut Findings) {
        if let Err(what) = check_c_octet_string(&self.system_id, 15) {
            findings.add(format!("{key}.system_id"), what);
        }
        match (&self.password, &self.password_hash) {
            (Some(_), Some(_)) => {
                findings
                    .add(format!("{key}.password_hash"), "give either password or password_hash, not both");
            }
            (None, None) => findings.add(format!("{key}.password"), "give password or password_hash"),
            (Some(plain), None) => {
                let octets_max = usize::from(self.compat.settings().password_octets_max);
                if let Err(what) = check_c_octet_string(plain.expose(), octets_max) {
                    findings.add(format!("{key}.password"), what);
                }
            }
            (None, Some(hash)) => {
                if let Err(what) = password::check_hash(hash.expose()) {
                    findings.add(format!("{key}.password_hash"), what);
                }
            }
        }
        if self.bind.is_empty() {
            findings.add(
                format!("{key}.bind"),
                "needs at least one bind type; to shut an account out, set enabled = false",
            );
        }
        findings.in_range(format!("{key}.sessions_max"), u64::from(self.sessions_max), (1, 1 << 20));
        let window = (1, limits::WINDOW_MAX as u64);
        findings.in_range(format!("{key}.window"), u64::from(self.window), window);
        findings.in_range(format!("{key}.deliver_window"), u64::from(self.deliver_window), window);
        if self.addresses.len() + self.prefixes.len() > ADDRESSES_MAX {
            findings
                .add(format!("{key}.addresses"), format!("more than {ADDRESSES_MAX} addresses and prefixes"));
        }
        for (name, list) in [("addresses", &self.addresses), ("prefixes", &self.prefixes)] {
            for (i, address) in list.iter().enumerate() {
                if let Err(what) = check_c_octet_string(address, 20) {
                    findings.add(format!("{key}.{name}[{i}]"), what);
                }
            }
        }
        findings.in_range(
            format!("{key}.receipt_parts_wait_ms"),
            self.receipt_parts_wait_ms,
            (100, RECEIPT_PARTS_WAIT_MS_MAX),
        );
        self.compat.validate(&format!("{key}.compat"), findings);
        let on_disk = self.durability.filter(|&durability| durability != Durability::None);
        if let Some(durability) = on_disk.filter(|_| store.durability == Durability::None) {
            let what =
                format!("\"{}\" needs a store on disk: store.durability is \"none\"", durability.name());
            findings.add(format!("{key}.durability"), what);
        }
        findings.in_range(format!("{key}.validity_max_s"), self.validity_max_s, (0, VALIDITY_S_MAX));
        let validity_max_s =
            if self.validity_max_s == 0 { store.validity_max_s } else { self.validity_max_s };
        findings.in_range(format!("{key}.validity_default_s"), self.validity_default_s, (0, validity_max_s));
        findings.in_range(
            format!("{key}.duplicate_window_ms"),
            self.duplicate_window_ms,
            (0, DUPLICATE_WINDOW_MS_MAX),
        );
        let lists = (0, limits::DISTRIBUTION_LISTS_MAX as u64);
        findings.in_range(format!("{key}.distribution_list"), self.distribution_lists.len() as u64, lists);
        for (i, list) in self.distribution_lists.iter().enumerate() {
            let key = format!("{key}.distribution_list[{i}]");
            list.validate(&key, findings);
            if self.distribution_lists.iter().take(i).any(|earlier| earlier.name == list.name) {
                findings.add(format!("{key}.name"), format!("\"{}\" is another list already", list.name));
            }
        }
        if let Some(outbind) = &self.outbind {
            outbind.validate(&format!("{key}.outbind"), findings);
        }
        if self.burst != 0 && self.rate_per_s == 0 {
            findings.add(format!("{key}.burst"), "has no effect without rate_per_s");
        }
        self.statistics.validate(&format!("{key}.statistics"), &self.bind, findings);
        self.validate_policy(key, findings);
    }
}

/// Checks every account, and that no two of them claim the same thing.
pub(super) fn validate(
    accounts: &[AccountConfig],
    store: &StoreConfig,
    session_init_timeout_ms: u64,
    exposed: bool,
    findings: &mut Findings,
) {
    if accounts.len() > limits::ACCOUNTS_MAX {
        findings.add("account", format!("more than {} accounts", limits::ACCOUNTS_MAX));
        return;
    }
    let mut system_ids = HashMap::new();
    let mut owned = HashMap::new();
    for (i, account) in accounts.iter().enumerate().filter(|(_, account)| !account.removed) {
        let key = format!("account[{i}]");
        account.validate(&key, store, findings);
        account.compat.validate_timers(&format!("{key}.compat"), session_init_timeout_ms, findings);
        if exposed && account.is_public() {
            findings.add(
                format!("{key}.password"),
                "a listener is reachable from other machines while account demo has the password demo: change the \
                 password, set enabled = false, or listen on loopback",
            );
        }
        if let Some(first) = system_ids.insert(account.system_id.as_str(), i) {
            findings.add(
                format!("{key}.system_id"),
                format!("\"{}\" is account[{first}] already", account.system_id),
            );
        }
        for (name, list) in [("addresses", &account.addresses), ("prefixes", &account.prefixes)] {
            for (j, address) in list.iter().enumerate() {
                if let Some(first) = owned.insert((name, address.as_str()), i) {
                    findings.add(
                        format!("{key}.{name}[{j}]"),
                        format!("\"{address}\" is owned by account[{first}] already"),
                    );
                }
            }
        }
    }
}
