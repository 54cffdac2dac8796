//! Certificates and keys from their files, checked before anything goes by them; and which certificate a peer gets.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tracing::warn;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::identity::names_of;
use crate::config::{CertificateConfig, ClientAuth, TlsConfig, TlsVersion};
use crate::limits::TLS_SESSIONS_REMEMBERED;

/// A key of the configuration that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct TlsError {
    /// Its path, such as `tls.certificate[0].key`.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl TlsError {
    pub(super) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

/// What rustls needs to know of a server.
pub(super) fn server_config(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    // ring: as fast as aws-lc-rs in records of a turn's size, and built in a sixth of the time.
    let provider = Arc::new(ring::default_provider());
    let resolver = Resolver::load(&config.certificates, &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(config))
        .map_err(|error| TlsError::new("tls.min_version", error.to_string()))?;
    let builder = match config.client_auth {
        ClientAuth::Off => builder.with_no_client_auth(),
        auth => {
            let roots = Arc::new(authorities(&config.client_ca, "tls.client_ca")?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier =
                if auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier =
                verifier.build().map_err(|error| TlsError::new("tls.client_ca", error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_cert_resolver(Arc::new(resolver));
    if config.client_auth == ClientAuth::Off {
        server.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS_REMEMBERED);
        server.send_tls13_tickets = 1;
    } else {
        // A session taken up again would not have its certificate looked at again, though it may have expired.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(server)
}

/// The versions that are spoken.
pub(super) const fn versions(config: &TlsConfig) -> &'static [&'static SupportedProtocolVersion] {
    static NEWEST_FIRST: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match config.min_version {
        TlsVersion::V12 => &NEWEST_FIRST,
        TlsVersion::V13 => NEWEST_FIRST.split_at(1).0,
    }
}

/// The authorities in these files, which are those of `key`.
pub(super) fn authorities(files: &[impl AsRef<Path>], key: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (i, file) in files.iter().enumerate() {
        let key = format!("{key}[{i}]");
        for certificate in chain(file.as_ref(), &key)? {
            let added = roots.add(certificate);
            added.map_err(|error| TlsError::new(&key, format!("{}: {error}", file.as_ref().display())))?;
        }
    }
    Ok(roots)
}

/// The certificates in a PEM file; at least one.
fn chain(file: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: String| TlsError::new(key, format!("{}: {what}", file.display()));
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("has no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Our certificates, and which of them a peer gets.
#[derive(Debug)]
struct Resolver {
    keys: Vec<Arc<CertifiedKey>>,
    /// Indices into `keys` by name, in lower case; `*.` before what a wildcard stands for.
    by_name: HashMap<String, Vec<usize>>,
}

impl Resolver {
    fn load(configs: &[CertificateConfig], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let mut resolver = Self { keys: Vec::new(), by_name: HashMap::new() };
        for (i, config) in configs.iter().enumerate() {
            let chain_key = format!("tls.certificate[{i}].chain");
            let chain = chain(&config.chain, &chain_key)?;
            let names = chain
                .first()
                .ok_or_else(|| "has no certificate".to_owned())
                .and_then(|certificate| inspect(certificate, &config.chain))
                .map_err(|what| TlsError::new(chain_key, format!("{}: {what}", config.chain.display())))?;
            let wrong = |what: String| {
                TlsError::new(
                    format!("tls.certificate[{i}].key"),
                    format!("{}: {what}", config.key.display()),
                )
            };
            let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| wrong(error.to_string()))?;
            let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    wrong(format!("is not the key of {}", config.chain.display()))
                }
                error => wrong(error.to_string()),
            })?;
            resolver.keys.push(Arc::new(certified));
            for name in names {
                resolver.by_name.entry(name.to_ascii_lowercase()).or_default().push(i);
            }
        }
        Ok(resolver)
    }

    /// Indices of the certificates for a name that a peer asks for.
    fn candidates(&self, name: &str) -> &[usize] {
        let name = name.to_ascii_lowercase();
        let exact = self.by_name.get(&name);
        let wildcard = || self.by_name.get(&format!("*{}", name.get(name.find('.')?..)?));
        exact.or_else(wildcard).map(Vec::as_slice).unwrap_or_default()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().map(|name| self.candidates(name)).unwrap_or_default();
        let named = named.iter().filter_map(|&i| self.keys.get(i));
        // One may have keys of several kinds for the same name.
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        named.chain(&self.keys).find(fits).cloned()
    }
}

/// The DNS names of a certificate. One that is not valid at present is logged: peers will say no to it, but that is theirs.
fn inspect(certificate: &CertificateDer<'_>, file: &Path) -> Result<Vec<String>, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let validity = parsed.validity();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if now > validity.not_after.timestamp() || now < validity.not_before.timestamp() {
        warn!(file = %file.display(), from = %validity.not_before, to = %validity.not_after, "certificate is not valid at present");
    }
    Ok(names_of(&parsed))
}

#[cfg(test)]
mod tests;
