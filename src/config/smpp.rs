//! `[smpp]`: listeners, the announced identity, and the session timers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::compat::BindStatus;
use super::error::Findings;
use crate::limits;

/// Longest timer that makes sense, in milliseconds: a day.
const TIMER_MS_MAX: u64 = 24 * 3600 * 1000;

/// The SMPP side as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmppConfig {
    /// Addresses to listen on without TLS; port 0 picks a free one. None: only over TLS.
    pub listen: Vec<SocketAddr>,
    /// system_id of bind responses (3.4 section 5.2.1), 1 to 15 characters.
    pub system_id: String,
    /// Highest interface_version, announced as sc_interface_version: 0x34 or 0x50.
    pub interface_version: u8,
    /// From connect to bind (3.4 section 7.2, session_init_timer).
    pub session_init_timeout_ms: u64,
    /// Silence after which we send enquire_link; 0 = never.
    pub enquire_link_interval_ms: u64,
    /// Silence after which a session is closed; 0 = never.
    pub inactivity_timeout_ms: u64,
    /// How long a request of ours may stay unanswered.
    pub response_timeout_ms: u64,
    /// How long a PDU may stay half-read.
    pub pdu_timeout_ms: u64,
    /// How long a peer may take nothing of what is queued for it.
    pub write_timeout_ms: u64,
    /// How long an unbind of ours waits for outstanding responses and for unbind_resp.
    pub unbind_timeout_ms: u64,
    /// Largest command_length accepted from a bound peer.
    pub pdu_bytes_max: u32,
    /// Whether responses tell 5.0 peers the congestion_state.
    pub congestion_state: bool,
    /// Whether an enquire_link before the bind is answered, or has ESME_RINVBNDSTS.
    pub enquire_link_before_bind: bool,
    /// The status of a bind with a system_id that is no account's.
    pub unknown_system_id_status: BindStatus,
}

impl Default for SmppConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2775))],
            system_id: "smscd".to_owned(),
            interface_version: 0x50,
            session_init_timeout_ms: 10_000,
            enquire_link_interval_ms: 30_000,
            inactivity_timeout_ms: 120_000,
            response_timeout_ms: 30_000,
            pdu_timeout_ms: 30_000,
            write_timeout_ms: 60_000,
            unbind_timeout_ms: 5_000,
            pdu_bytes_max: limits::PDU_BYTES_MAX as u32,
            congestion_state: false,
            enquire_link_before_bind: true,
            unknown_system_id_status: BindStatus::BindFailed,
        }
    }
}

impl SmppConfig {
    pub(super) fn validate(&self, has_tls: bool, findings: &mut Findings) {
        if self.listen.is_empty() && !has_tls {
            findings.add("smpp.listen", "needs at least one address, unless there is a tls.certificate");
        }
        for (i, addr) in self.listen.iter().enumerate() {
            if addr.port() != 0 && self.listen[..i].contains(addr) {
                findings.add(format!("smpp.listen[{i}]"), format!("{addr} is listed twice"));
            }
        }
        if let Err(what) = check_c_octet_string(&self.system_id, 15) {
            findings.add("smpp.system_id", what);
        }
        if ![0x34, 0x50].contains(&self.interface_version) {
            findings.add(
                "smpp.interface_version",
                format!(
                    "0x{:02X} is not a version that can be announced, use 0x34 or 0x50",
                    self.interface_version
                ),
            );
        }
        for (key, value, least) in [
            ("session_init_timeout_ms", self.session_init_timeout_ms, 100),
            ("enquire_link_interval_ms", self.enquire_link_interval_ms, 0),
            ("inactivity_timeout_ms", self.inactivity_timeout_ms, 0),
            ("response_timeout_ms", self.response_timeout_ms, 100),
            ("pdu_timeout_ms", self.pdu_timeout_ms, 100),
            ("write_timeout_ms", self.write_timeout_ms, 100),
            ("unbind_timeout_ms", self.unbind_timeout_ms, 0),
        ] {
            findings.in_range(format!("smpp.{key}"), value, (least, TIMER_MS_MAX));
        }
        if self.inactivity_timeout_ms != 0 && self.enquire_link_interval_ms >= self.inactivity_timeout_ms {
            findings.add(
                "smpp.enquire_link_interval_ms",
                format!(
                    "{} is not below inactivity_timeout_ms = {}: quiet sessions would be closed before they are asked",
                    self.enquire_link_interval_ms, self.inactivity_timeout_ms
                ),
            );
        }
        let pdu_bytes = (limits::PDU_BYTES_MAX_UNBOUND as u64, limits::PDU_BYTES_MAX as u64);
        findings.in_range("smpp.pdu_bytes_max", u64::from(self.pdu_bytes_max), pdu_bytes);
    }
}

/// Whether `text` can travel as a C-Octet String of at most `octets_max` octets before its NUL (3.4 section 3.1).
pub(super) fn check_c_octet_string(text: &str, octets_max: usize) -> Result<(), String> {
    if text.is_empty() || text.len() > octets_max {
        return Err(format!("has {} characters, it must have 1 to {octets_max}", text.len()));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err("may hold printable ASCII characters only".to_owned());
    }
    Ok(())
}
