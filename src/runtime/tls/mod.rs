//! TLS on the listeners: what handshakes go by, and how many there are at once; and towards ESMEs that are called
//! ([`Callees`]).
//!
//! The configuration in effect is swapped as a whole ([`ServerTls::take_over`]): handshakes that begin afterwards go by the
//! new one, sessions that stand keep their keys and notice nothing.

mod callees;
mod certificates;
mod ends;
mod identity;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;

pub use callees::{CalleeSettings, CalleeTls, Callees};
pub use certificates::TlsError;
pub use identity::{ClientIdentity, Identities};
pub use session::{Failure, TlsSession};

use crate::config::TlsConfig;

/// What handshakes go by.
#[derive(Debug)]
pub struct Settings {
    server: Arc<ServerConfig>,
    /// What client certificates may bind as.
    pub identities: Identities,
    /// From connect to the end of the handshake.
    pub handshake_timeout_ms: u64,
    handshakes_max: u32,
}

impl Settings {
    /// Reads the files that `config` names. Keys must match their certificates; a certificate that has expired is logged.
    /// `None`: TLS is off.
    ///
    /// # Errors
    /// Which key of the configuration can't be used, and why.
    pub fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        if !config.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            server: Arc::new(certificates::server_config(config)?),
            identities: Identities::new(&config.identities),
            handshake_timeout_ms: config.handshake_timeout_ms,
            handshakes_max: config.handshakes_max,
        }))
    }

    /// The server's side of a connection that has just been accepted.
    ///
    /// # Errors
    /// Whatever rustls has against it.
    pub fn accept(&self) -> Result<UnbufferedServerConnection, rustls::Error> {
        UnbufferedServerConnection::new(Arc::clone(&self.server))
    }
}

/// The TLS side of the listeners, shared by acceptor and workers.
#[derive(Debug)]
pub struct ServerTls {
    /// Read once per connection.
    current: RwLock<Arc<Settings>>,
    handshakes: Arc<Handshakes>,
}

impl ServerTls {
    /// Goes by `settings`.
    pub fn new(settings: Settings) -> Self {
        let handshakes = Handshakes { open: AtomicU32::new(0), max: AtomicU32::new(settings.handshakes_max) };
        Self { current: RwLock::new(Arc::new(settings)), handshakes: Arc::new(handshakes) }
    }

    /// What handshakes go by now.
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.current.read())
    }

    /// Goes by `settings` from now on. No session is touched.
    pub fn take_over(&self, settings: Settings) {
        self.handshakes.max.store(settings.handshakes_max, Ordering::Release);
        *self.current.write() = Arc::new(settings);
    }

    /// A place for one more handshake; `None`: there are as many as there may be.
    pub fn begin_handshake(&self) -> Option<HandshakePlace> {
        let handshakes = &self.handshakes;
        let max = handshakes.max.load(Ordering::Acquire);
        let more = |open| (open < max).then_some(open + 1);
        let begun = handshakes.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        begun.is_ok().then(|| HandshakePlace(Arc::clone(handshakes)))
    }
}

/// How many handshakes there are.
#[derive(Debug)]
struct Handshakes {
    open: AtomicU32,
    max: AtomicU32,
}

/// One of the handshakes there may be; given back when dropped.
#[derive(Debug)]
pub struct HandshakePlace(Arc<Handshakes>);

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
