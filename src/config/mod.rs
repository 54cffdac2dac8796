//! The configuration: the TOML file's sections with their defaults, their validation, and what follows from them.
//! Values only; nothing here opens a socket or starts a thread.

mod account;
mod alphabet;
#[cfg(any(test, fuzzing))]
pub mod checks;
mod compat;
mod diff;
mod edr;
mod engine;
mod error;
mod http;
mod ip_range;
mod limits;
mod log;
mod network;
mod outbind;
pub mod password;
mod plan;
mod policy;
mod retry;
mod secret;
mod smpp;
mod statistics;
mod store;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use account::{AccountConfig, BindType, DeliverBy, DistributionListConfig, ReceiptsForParts};
pub use alphabet::AlphabetName;
pub use compat::{
    AddressRangeRule, BindStatus, CompatConfig, CompatSettings, DuplicateBind, IdNotation, Preset,
    ReceiptIdNotation, Unanswered,
};
pub use diff::{Applied, Change};
pub use edr::{EdrConfig, EdrEvent, EdrFormat};
pub use engine::EngineConfig;
pub use error::{ConfigError, Origin, Problem};
pub use http::HttpConfig;
pub use ip_range::{IpRange, IpRangeError};
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogLevel};
pub use network::{BroadcastArea, Delay, Distribution, MoConfig, NetworkConfig, NetworkProfile};
pub use outbind::OutbindConfig;
pub use plan::{EnginePlan, ThreadPlan};
pub use retry::{RetryConfig, RetrySchedule};
pub use secret::Secret;
pub use smpp::SmppConfig;
pub use statistics::StatisticsConfig;
pub use store::{Durability, StoreConfig};
pub use tls::{CertificateConfig, ClientAuth, IdentityConfig, TlsConfig, TlsVersion};

/// The commented default configuration, as `smscd default-config` prints it.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[smpp]`
    pub smpp: SmppConfig,
    /// `[tls]`
    pub tls: TlsConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[engine]`
    pub engine: EngineConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[retry]`
    pub retry: RetryConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[edr]`
    pub edr: EdrConfig,
    /// `[network]`
    pub network: NetworkConfig,
    /// `[[account]]`; an [`AccountId`](crate::base::AccountId) is an index into it.
    #[serde(rename = "account")]
    pub accounts: Vec<AccountConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            smpp: SmppConfig::default(),
            tls: TlsConfig::default(),
            http: HttpConfig::default(),
            engine: EngineConfig::default(),
            store: StoreConfig::default(),
            retry: RetryConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            edr: EdrConfig::default(),
            network: NetworkConfig::default(),
            accounts: vec![AccountConfig::demo()],
        }
    }
}

/// What the command line sets on top of the file; `None` leaves the file's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`, replaces the whole list; empty leaves it.
    pub listen: Vec<SocketAddr>,
    /// `--http`
    pub http: Option<SocketAddr>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--workers`
    pub workers: Option<u16>,
    /// `--shards`
    pub shards: Option<u16>,
    /// `--durability`
    pub durability: Option<Durability>,
    /// `--no-pin`
    pub no_pin: bool,
}

impl Config {
    /// The configuration that the file at `path` (without one: the default) and the command line ask for.
    ///
    /// # Errors
    /// When the file can't be read, is not TOML of this shape, or asks for something that can't be.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load_with_origin(path, overrides).map(|(config, _)| config)
    }

    /// [`Config::load`], and where its values come from.
    ///
    /// # Errors
    /// As there.
    pub fn load_with_origin(
        path: Option<&Path>,
        overrides: &Overrides,
    ) -> Result<(Self, Origin), ConfigError> {
        let (mut config, mut origin) = match path {
            None => (Self::default(), Origin::default()),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|error| {
                    ConfigError::one(Some(name.clone()), String::new(), error.to_string())
                })?;
                (Self::parse(&text, &name)?, Origin::file(&name, &text))
            }
        };
        overrides.apply(&mut config, &mut origin);
        config.validate(&origin)?;
        Ok((config, origin))
    }

    /// The configuration in `text`, validated; errors call it `name`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(text: &str, name: &str) -> Result<Self, ConfigError> {
        let config = Self::parse(text, name)?;
        config.validate(&Origin::file(name, text))?;
        Ok(config)
    }

    /// Parses without validating.
    fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| error::parse_error(name, text, &error))
    }

    /// Checks every value against its range and against the others.
    ///
    /// # Errors
    /// Names every key that is wrong, with its place as `origin` knows it.
    pub fn validate(&self, origin: &Origin) -> Result<(), ConfigError> {
        let mut findings = error::Findings::default();
        self.smpp.validate(self.tls.is_on(), &mut findings);
        self.tls.validate(&self.smpp.listen, &mut findings);
        self.http.validate(&mut findings);
        self.engine.validate(&mut findings);
        self.store.validate(&mut findings);
        self.retry.validate(&mut findings);
        self.limits.validate(&mut findings);
        self.edr.validate(&mut findings);
        self.network.validate(&mut findings);
        let mut listeners = self.smpp.listen.iter().chain(self.tls.listeners());
        let exposed = listeners.any(|addr| !addr.ip().to_canonical().is_loopback());
        let init_timeout_ms = self.smpp.session_init_timeout_ms;
        account::validate(&self.accounts, &self.store, init_timeout_ms, exposed, &mut findings);
        findings.into_result(origin)
    }

    /// The configuration as it takes effect, as TOML; secrets are redacted.
    ///
    /// # Panics
    /// Never: every value of the configuration has a TOML form.
    pub fn to_toml(&self) -> String {
        let mut shown = self.clone();
        shown.accounts.retain(|account| !account.removed);
        for account in &mut shown.accounts {
            account.compat = account.compat.in_full();
        }
        toml::to_string(&shown).unwrap_or_else(|error| unreachable!("configuration as TOML: {error}"))
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config, origin: &mut Origin) {
        fn set<T: Clone>(
            origin: &mut Origin,
            value: Option<&T>,
            target: &mut T,
            key: &'static str,
            flag: &'static str,
        ) {
            if let Some(value) = value {
                target.clone_from(value);
                origin.set_by_flag(key, flag);
            }
        }
        let listen = (!self.listen.is_empty()).then_some(&self.listen);
        set(origin, listen, &mut config.smpp.listen, "smpp.listen", "--listen");
        set(origin, self.http.as_ref(), &mut config.http.listen, "http.listen", "--http");
        set(origin, self.data_dir.as_ref(), &mut config.store.data_dir, "store.data_dir", "--data-dir");
        set(origin, self.workers.as_ref(), &mut config.engine.workers, "engine.workers", "--workers");
        set(origin, self.shards.as_ref(), &mut config.engine.shards, "engine.shards", "--shards");
        set(
            origin,
            self.durability.as_ref(),
            &mut config.store.durability,
            "store.durability",
            "--durability",
        );
        let unpinned = self.no_pin.then_some(&false);
        set(origin, unpinned, &mut config.engine.pin, "engine.pin", "--no-pin");
    }
}

#[cfg(test)]
mod tests;
