//! `[tls]`: the listeners for SMPP over TLS, their certificates, and whom client certificates allow to bind as what.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Findings;
use super::smpp::check_c_octet_string;

/// Longest handshake that makes sense, in milliseconds.
const HANDSHAKE_MS_MAX: u64 = 120_000;
/// Most handshakes at once that can be asked for: each may hold some tens of kilobytes.
const HANDSHAKES_MAX: u64 = 65_536;
/// Most certificates, each with a name of its own.
const CERTIFICATES_MAX: usize = 1_024;
/// Most names in `[[tls.identity]]`.
const IDENTITIES_MAX: usize = 16_384;

/// SMPP over TLS. Without a certificate there is none, whatever else is said here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Addresses to listen on; port 0 picks a free one.
    pub listen: Vec<SocketAddr>,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether a peer must show a certificate.
    pub client_auth: ClientAuth,
    /// PEM files with the authorities that sign client certificates.
    pub client_ca: Vec<PathBuf>,
    /// From connect to the end of the handshake; then the connection is closed.
    pub handshake_timeout_ms: u64,
    /// Handshakes at once. Beyond: closed at accept.
    pub handshakes_max: u32,
    /// Ours. The first one is for peers that name no server, or none that we have.
    #[serde(rename = "certificate", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateConfig>,
    /// What client certificates may bind as.
    #[serde(rename = "identity", skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<IdentityConfig>,
}

/// A certificate of ours and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateConfig {
    /// PEM file: the certificate, then those that lead to its authority.
    pub chain: PathBuf,
    /// PEM file: its private key (PKCS #8, PKCS #1 or SEC 1), not encrypted.
    pub key: PathBuf,
}

/// A name in a client certificate, and an account that it may bind as. A name may stand in several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// The subject's common name, or a DNS name, e-mail address or URI among the subject's alternative names.
    pub name: String,
    /// The account's system_id.
    pub system_id: String,
}

/// The versions of TLS that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

/// Whether a peer must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    Off,
    /// One that is shown must be good, and holds the peer to its names.
    Optional,
    /// No handshake without.
    Required,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 3550))],
            min_version: TlsVersion::V12,
            client_auth: ClientAuth::Off,
            client_ca: Vec::new(),
            handshake_timeout_ms: 5_000,
            handshakes_max: 2_048,
            certificates: Vec::new(),
            identities: Vec::new(),
        }
    }
}

impl TlsConfig {
    /// Whether TLS is spoken at all.
    pub const fn is_on(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// The addresses that are listened on: none while TLS is off.
    pub fn listeners(&self) -> &[SocketAddr] {
        if self.is_on() { &self.listen } else { &[] }
    }

    /// Checks the values. That the files are there and fit is found out by whoever reads them.
    pub(super) fn validate(&self, plain: &[SocketAddr], findings: &mut Findings) {
        if self.listen.is_empty() && self.is_on() {
            findings.add("tls.listen", "needs at least one address while there is a certificate");
        }
        for (i, addr) in self.listeners().iter().enumerate() {
            if addr.port() != 0 && (self.listen[..i].contains(addr) || plain.contains(addr)) {
                findings.add(format!("tls.listen[{i}]"), format!("{addr} is listened on already"));
            }
        }
        findings.in_range("tls.handshake_timeout_ms", self.handshake_timeout_ms, (100, HANDSHAKE_MS_MAX));
        findings.in_range("tls.handshakes_max", u64::from(self.handshakes_max), (1, HANDSHAKES_MAX));
        if self.certificates.len() > CERTIFICATES_MAX {
            findings.add("tls.certificate", format!("more than {CERTIFICATES_MAX}"));
        }
        for (i, certificate) in self.certificates.iter().enumerate() {
            for (key, path) in [("chain", &certificate.chain), ("key", &certificate.key)] {
                if path.as_os_str().is_empty() {
                    findings.add(format!("tls.certificate[{i}].{key}"), "needs a file");
                }
            }
        }
        if self.client_auth != ClientAuth::Off && self.client_ca.is_empty() {
            findings.add("tls.client_auth", "needs the authorities in tls.client_ca");
        }
        if self.client_auth == ClientAuth::Off && !self.identities.is_empty() {
            findings.add("tls.identity", "has no effect while tls.client_auth is \"off\"");
        }
        if self.identities.len() > IDENTITIES_MAX {
            findings.add("tls.identity", format!("more than {IDENTITIES_MAX}"));
        }
        for (i, identity) in self.identities.iter().enumerate() {
            if identity.name.is_empty() {
                findings.add(format!("tls.identity[{i}].name"), "needs a name");
            }
            if let Err(what) = check_c_octet_string(&identity.system_id, 15) {
                findings.add(format!("tls.identity[{i}].system_id"), what);
            }
        }
    }
}
