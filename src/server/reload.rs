//! Reloading the configuration: reads the file again, says what differs, and hands what needs no restart to the threads.
//! A file that is wrong in any way changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use super::data_dir::DataDir;
use super::{shards, stores};
use crate::config::{Applied, Config, ConfigError, Origin, Overrides};
use crate::control::{Reload, ReloadError, Reloaded};
use crate::runtime::reconfigure::{Reconfigurer, ShardsChange};
use crate::runtime::tls::{self, CalleeSettings, Callees, ServerTls, TlsError};

/// Where the configuration comes from: the file, and what the command line sets on top of it.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    /// `--config`; `None`: the defaults.
    pub path: Option<PathBuf>,
    /// The other flags.
    pub overrides: Overrides,
}

impl ConfigSource {
    /// Reads and validates it, with the certificates that it names.
    ///
    /// # Errors
    /// As [`Config::load`], and when a certificate, a key or an authority can't be used.
    pub fn load(&self) -> Result<(Config, Origin), ConfigError> {
        let (config, origin) = Config::load_with_origin(self.path.as_deref(), &self.overrides)?;
        let loaded = tls::Settings::load(&config.tls).and_then(|_| CalleeSettings::load(&config));
        if let Err(TlsError { key, what }) = loaded {
            return Err(ConfigError::at(&origin, &key, what));
        }
        Ok((config, origin))
    }
}

/// Something beside the hot threads that goes by the configuration. It looks at the new one, and may refuse it; only when
/// nobody has, what it returned is called to take it over.
pub type Hook = Box<dyn Fn(&Config) -> Result<TakeOver, String> + Send>;
/// See [`Hook`].
pub type TakeOver = Box<dyn FnOnce() + Send>;

/// Takes over certificates and all else that TLS handshakes go by; the files are read again at every reload. Sessions that
/// stand are not touched. `None`: there are no TLS listeners in this run.
pub(super) fn tls_hook(server: Option<Arc<ServerTls>>) -> Hook {
    Box::new(move |config| {
        let settings = tls::Settings::load(&config.tls).map_err(|error| error.to_string())?;
        let server = server.clone();
        Ok(Box::new(move || match (server, settings) {
            (Some(server), Some(settings)) => server.take_over(settings),
            (None, None) => {}
            (None, Some(_)) => warn!("tls.certificate: TLS is switched on at the next start"),
            (Some(_), None) => {
                warn!("tls.certificate: TLS is switched off at the next start, the certificates in use stay");
            }
        }))
    })
}

/// Takes over what ESMEs that are called over TLS must prove to be; the files are read again at every reload.
pub(super) fn callees_hook(callees: Arc<Callees>) -> Hook {
    Box::new(move |config| {
        let settings = CalleeSettings::load(config).map_err(|error| error.to_string())?;
        let callees = Arc::clone(&callees);
        Ok(Box::new(move || callees.take_over(settings)))
    })
}

/// Reloads, one at a time.
pub(super) struct Reloader {
    source: ConfigSource,
    state: Mutex<State>,
}

struct State {
    config: Arc<Config>,
    data_dir: Arc<DataDir>,
    reconfigurer: Reconfigurer,
    hooks: Vec<Hook>,
}

impl Reloader {
    /// `config` is in effect.
    pub(super) fn new(
        source: ConfigSource,
        config: Arc<Config>,
        data_dir: Arc<DataDir>,
        reconfigurer: Reconfigurer,
        hooks: Vec<Hook>,
    ) -> Self {
        Self { source, state: Mutex::new(State { config, data_dir, reconfigurer, hooks }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reload for Reloader {
    fn reload(&self, apply: bool) -> Result<Reloaded, ReloadError> {
        let mut state = self.state();
        let wrong = |error: ConfigError| ReloadError::Config(error.problems);
        let (new, origin) = self.source.load().map_err(wrong)?;
        let changes = state.config.diff(&new);
        let after = Arc::new(state.config.after(&new, &origin).map_err(wrong)?);
        let take_overs = state
            .hooks
            .iter()
            .map(|hook| hook(&after))
            .collect::<Result<Vec<_>, String>>()
            .map_err(ReloadError::Refused)?;
        let any_live = changes.iter().any(|change| change.applied() != Applied::AtRestart);
        if !apply {
            return Ok(Reloaded { config: Arc::clone(&state.config), changes });
        }
        // A certificate may have changed where the configuration has not.
        for take_over in take_overs {
            take_over();
        }
        if any_live {
            state.apply(after)?;
        }
        Ok(Reloaded { config: Arc::clone(&state.config), changes })
    }
}

impl State {
    fn apply(&mut self, after: Arc<Config>) -> Result<(), ReloadError> {
        super::run::raise_descriptor_limit(&after);
        // Before any message of a new account can be: a restart must know whose it is.
        let numbers = stores::renumber(&after, &self.data_dir)
            .map_err(|error| ReloadError::Failed(format!("{error:#}")))?;
        let change = ShardsChange {
            routing: shards::routing(&after),
            profiles: shards::profiles(&after),
            areas: shards::areas(&after),
            board: None,
            numbers,
        };
        let applied = self.reconfigurer.apply(&after, change);
        // Also when a thread is stuck: the others go by it.
        self.config = after;
        applied.map_err(|stuck| ReloadError::Failed(stuck.to_string()))
    }
}
