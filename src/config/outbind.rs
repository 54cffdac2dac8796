//! `[account.outbind]`: the ESME to call when messages wait for the account and none of its sessions receives.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Findings;
use super::secret::Secret;
use super::smpp::check_c_octet_string;

/// Longest time between two calls, in milliseconds: a day.
const RETRY_MS_MAX: u64 = 86_400_000;

/// Whom to call, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutbindConfig {
    /// Where the ESME listens.
    pub address: SocketAddr,
    /// system_id in the outbind; that of `smpp.system_id` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_id: Option<String>,
    /// Password in the outbind, at most 8 characters (3.4 section 4.1.7).
    #[serde(default)]
    pub password: Secret,
    /// Over TLS, where smscd is the client.
    #[serde(default)]
    pub tls: bool,
    /// The name or IP address that its certificate must have; the address's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// PEM files with the authorities that may have signed its certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_ca: Vec<PathBuf>,
    /// From one call to the next.
    #[serde(default = "retry_first_ms")]
    pub retry_first_ms: u64,
    /// The time between calls doubles up to this.
    #[serde(default = "retry_max_ms")]
    pub retry_max_ms: u64,
}

const fn retry_first_ms() -> u64 {
    5_000
}

const fn retry_max_ms() -> u64 {
    300_000
}

impl OutbindConfig {
    /// Checks the values. That the files are there and fit is found out by whoever reads them.
    pub(super) fn validate(&self, key: &str, findings: &mut Findings) {
        if self.tls && self.tls_ca.is_empty() {
            findings.add(format!("{key}.tls"), "needs the authorities in tls_ca");
        }
        let unused =
            [("tls_server_name", self.tls_server_name.is_some()), ("tls_ca", !self.tls_ca.is_empty())];
        for (name, _) in unused.into_iter().filter(|(_, is_given)| *is_given && !self.tls) {
            findings.add(format!("{key}.{name}"), "has no effect while tls is false");
        }
        if self.address.port() == 0 {
            findings.add(format!("{key}.address"), "needs a port");
        }
        if let Some(Err(what)) = self.system_id.as_ref().map(|text| check_c_octet_string(text, 15)) {
            findings.add(format!("{key}.system_id"), what);
        }
        if !self.password.is_empty()
            && let Err(what) = check_c_octet_string(self.password.expose(), 8)
        {
            findings.add(format!("{key}.password"), what);
        }
        findings.in_range(format!("{key}.retry_max_ms"), self.retry_max_ms, (100, RETRY_MS_MAX));
        findings.in_range(format!("{key}.retry_first_ms"), self.retry_first_ms, (100, self.retry_max_ms));
    }
}
