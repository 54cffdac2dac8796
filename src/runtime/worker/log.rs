//! What a worker logs of its sessions, and how loud: info for what an operator wants to know of an ESME, debug for what any
//! port on the internet sees all day. Nothing here is per message, and every line is limited where it is written.

use std::net::SocketAddr;

use tracing::{debug, info, trace};

use crate::session::{BindMode, CloseReason};
use crate::smpp::CommandStatus;

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

/// A connection has ended. `system_id`: if it was bound.
pub(super) fn closed(system_id: Option<&str>, reason: CloseReason, heard: bool, peer: SocketAddr) {
    match (system_id, reason) {
        (Some(system_id), _) => info!(system_id, ?reason, %peer, "session ended"),
        // Health checks and scans.
        (None, CloseReason::PeerGone) if !heard => trace!(%peer, "connection ended without an octet"),
        (None, _) => debug!(?reason, %peer, "connection ended without a bind"),
    }
}
