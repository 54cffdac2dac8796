//! `[http]`: the operators' side.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::error::Findings;
use super::secret::Secret;

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Bearer token of requests that change state; needed when `listen` is not a loopback address.
    pub admin_token: Secret,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 2780)), admin_token: Secret::default() }
    }
}

impl HttpConfig {
    /// Whether anyone but this machine can reach the listener.
    pub fn is_exposed(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }

    pub(super) fn validate(&self, findings: &mut Findings) {
        if self.is_exposed() && self.admin_token.is_empty() {
            findings.add(
                "http.listen",
                format!(
                    "{} is reachable from other machines, set http.admin_token or listen on loopback",
                    self.listen
                ),
            );
        }
        // A header value has to carry it.
        if !self.admin_token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            findings.add("http.admin_token", "may hold printable ASCII characters without spaces only");
        }
    }
}
