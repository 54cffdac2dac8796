//! TLS towards ESMEs that are called (outbind): what each must prove to be. There smscd is the client.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ClientConfig;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;

use super::certificates::{TlsError, authorities, versions};
use crate::config::{Config, OutbindConfig};

/// How one ESME is called over TLS.
#[derive(Debug)]
pub struct CalleeTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// From the call to the end of the handshake.
    pub handshake_timeout_ms: u64,
}

impl CalleeTls {
    /// Our side of a call.
    ///
    /// # Errors
    /// Whatever rustls has against it.
    pub fn call(&self) -> Result<UnbufferedClientConnection, rustls::Error> {
        UnbufferedClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

/// All ESMEs that are called over TLS under one configuration, by their accounts' system_ids.
#[derive(Debug)]
pub struct CalleeSettings(HashMap<String, Arc<CalleeTls>>);

impl CalleeSettings {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// Which key of the configuration can't be used, and why.
    pub fn load(config: &Config) -> Result<Self, TlsError> {
        let mut by_account = HashMap::new();
        for (i, account) in config.accounts.iter().enumerate() {
            let Some(outbind) = account.outbind.as_ref().filter(|outbind| outbind.tls) else { continue };
            let callee = callee(config, outbind, &format!("account[{i}].outbind"))?;
            by_account.insert(account.system_id.clone(), Arc::new(callee));
        }
        Ok(Self(by_account))
    }
}

fn callee(config: &Config, outbind: &OutbindConfig, key: &str) -> Result<CalleeTls, TlsError> {
    let name = match &outbind.tls_server_name {
        Some(name) => ServerName::try_from(name.clone())
            .map_err(|error| TlsError::new(format!("{key}.tls_server_name"), error.to_string()))?,
        None => ServerName::IpAddress(outbind.address.ip().into()),
    };
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions(&config.tls))
        .map_err(|error| TlsError::new("tls.min_version", error.to_string()))?
        .with_root_certificates(authorities(&outbind.tls_ca, &format!("{key}.tls_ca"))?)
        .with_no_client_auth();
    // A session taken up again would not have its certificate looked at again, and calls are rare.
    client.resumption = Resumption::disabled();
    Ok(CalleeTls { config: Arc::new(client), name, handshake_timeout_ms: config.tls.handshake_timeout_ms })
}

/// The settings in effect, for whoever changes them and whoever calls by them.
#[derive(Debug)]
pub struct Callees(RwLock<CalleeSettings>);

impl Callees {
    /// Goes by `settings`.
    pub const fn new(settings: CalleeSettings) -> Self {
        Self(RwLock::new(settings))
    }

    /// How the ESME of the account with this system_id is called; `None`: not over TLS.
    pub fn of(&self, system_id: &str) -> Option<Arc<CalleeTls>> {
        self.0.read().0.get(system_id).map(Arc::clone)
    }

    /// Goes by `settings` from the next call on.
    pub fn take_over(&self, settings: CalleeSettings) {
        *self.0.write() = settings;
    }
}
