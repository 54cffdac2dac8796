//! congestion_state on the responses to 5.0 peers (5.0 section 4.8.4.18), where the shell tells one.

use super::Session;
use crate::session::port::Output;
use crate::smpp::InterfaceVersion;

/// The TLV, or nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct CongestionTlv {
    octets: [u8; 5],
    len: u8,
}

impl CongestionTlv {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Session {
    /// What follows the fields of a response to this peer.
    #[inline]
    pub(super) fn congestion_tlv(&self, port: &impl Output) -> CongestionTlv {
        let state = if self.version >= InterfaceVersion::V50 { port.congestion_state() } else { None };
        match state {
            Some(state) => CongestionTlv { octets: [0x04, 0x28, 0x00, 0x01, state], len: 5 },
            None => CongestionTlv { octets: [0; 5], len: 0 },
        }
    }
}
