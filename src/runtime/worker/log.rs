//! What a worker logs of its sessions, and how loud: info for what an operator wants to know of an ESME, debug for what any
//! port on the internet sees all day. Nothing here is per message, and every line is limited where it is written.

use std::net::SocketAddr;

use tracing::{debug, info, trace, warn};

use super::super::tls::Failure;
use crate::session::{BindMode, CloseReason};
use crate::smpp::CommandStatus;
use crate::stats::Counter;

/// An ESME has bound.
pub(super) fn bound(system_id: &str, mode: BindMode, peer: SocketAddr) {
    info!(system_id, bind = mode.name(), %peer, "bound");
}

/// A bind was refused. `system_id`: as the peer gave it.
pub(super) fn bind_refused(system_id: &[u8], status: CommandStatus, peer: SocketAddr) {
    // Quoted and escaped: they are the peer's octets, at most 15.
    let system_id = String::from_utf8_lossy(system_id);
    info!(?system_id, ?status, %peer, "bind refused");
}

/// A bind was refused without a look at its password, since too many have failed.
pub(super) fn bind_limited(system_id: &[u8], peer: SocketAddr) {
    let system_id = String::from_utf8_lossy(system_id);
    info!(?system_id, %peer, "bind refused unseen: too many from that address or for that system_id have failed");
}

/// A session has lost its place.
pub(super) fn replaced(peer: SocketAddr) {
    info!(%peer, "a session is unbound: another bind has taken its place");
}

/// A connection has ended. `system_id`: if it was bound.
pub(super) fn closed(system_id: Option<&str>, reason: CloseReason, heard: bool, peer: SocketAddr) {
    match (system_id, reason) {
        (Some(system_id), _) => info!(system_id, ?reason, %peer, "session ended"),
        // Health checks and scans.
        (None, CloseReason::PeerGone) if !heard => trace!(%peer, "connection ended without an octet"),
        (None, _) => debug!(?reason, %peer, "connection ended without a bind"),
    }
}

/// A bind under a system_id that the peer's certificate does not allow.
pub(super) fn identity_refused(system_id: &[u8], identity: &str, peer: SocketAddr) {
    let system_id = String::from_utf8_lossy(system_id);
    info!(?system_id, ?identity, %peer, "bind refused: the peer's certificate does not allow this system_id");
}

/// TLS can't go on.
pub(super) fn tls_failed(failure: &Failure, is_handshaking: bool, peer: SocketAddr) {
    let error = &failure.error;
    match failure.counter {
        // Of another protocol: said when the connection ends.
        Counter::ForeignProtocols => (),
        // Somebody who means us, with a certificate that has run out or is not the right one.
        Counter::TlsCertificatesRefused if failure.is_call => {
            warn!(%error, %peer, "outbind: the certificate of the ESME that was called is refused");
        }
        _ if failure.is_call && is_handshaking => {
            warn!(%error, %peer, "outbind: no TLS with the ESME that was called");
        }
        Counter::TlsCertificatesRefused => info!(%error, %peer, "client certificate refused"),
        Counter::TlsTruncations => cut_off(peer),
        _ if is_handshaking => debug!(%error, %peer, "TLS handshake failed"),
        _ => info!(%error, %peer, "TLS record refused"),
    }
}

/// A peer has asked for a renegotiation.
pub(super) fn renegotiation_refused(peer: SocketAddr) {
    info!(%peer, "TLS renegotiation refused");
}

/// The stream has ended without a close_notify.
pub(super) fn cut_off(peer: SocketAddr) {
    debug!(%peer, "TLS session ended without close_notify");
}
