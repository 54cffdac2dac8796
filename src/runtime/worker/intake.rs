//! New connections, and the sessions as operators see them.

use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::super::connection::Connection;
use super::super::outbind::Outbind;
use super::super::thread::ThreadStats;
use super::Worker;
use crate::base::{SessionHandle, Time};
use crate::control_lane::SessionInfo;
use crate::session::StallReason;
use crate::stats::Counter;

/// New connections, and words on binds, taken per turn: a storm of them must not hold up those that are bound.
pub(super) const ARRIVALS_PER_TURN: usize = 16;

impl Worker {
    /// Takes new connections in.
    pub(super) fn take_arrivals(&mut self, stats: &mut ThreadStats) {
        for _ in 0..ARRIVALS_PER_TURN {
            let Ok(arrival) = self.arrivals.try_recv() else { return };
            let now = self.clock.time();
            let worker = self.index;
            let (mut stream, peer) = (TcpStream::from_std(arrival.stream), arrival.peer);
            let (mut side, mut outbind) = (None, arrival.outbind);
            let begun = match (arrival.handshake, &mut outbind) {
                (Some(place), _) => Some(self.begin_handshake(place, now)),
                (None, Some(Outbind { tls: Some(callee), .. })) => {
                    let callee = Arc::clone(callee);
                    outbind.take().map(|outbind| self.begin_call(&callee, outbind, now))
                }
                (None, _) => None,
            };
            if let Some(begun) = begun {
                if begun.is_none() {
                    stats.counters.add(Counter::TlsHandshakesBroken, 1);
                    self.load.release(peer.ip());
                    continue;
                }
                side = begun;
            }
            let registry = &self.registry;
            let slot = self.connections.insert_with(|slot, generation| {
                let handle = SessionHandle { slot, generation, worker };
                let interest = Interest::READABLE | Interest::WRITABLE;
                // A failure shows as a connection that never has anything to say; the init timer ends it.
                let registered = registry.register(&mut stream, Token(slot as usize), interest);
                debug_assert!(registered.is_ok(), "{registered:?}");
                let mut connection = Connection::new(stream, peer, handle, now);
                connection.tls = side.take();
                connection
            });
            let Some(slot) = slot else {
                // The acceptor knows the bound; this is a second lock on the same door.
                stats.counters.add(Counter::ConnectionsRefused, 1);
                self.load.release(peer.ip());
                continue;
            };
            stats.counters.add(Counter::ConnectionsAccepted, 1);
            self.arm_timer(slot, now);
            if let Some(outbind) = outbind {
                self.send_outbind(slot, outbind, now, stats);
            }
            // Of a call over TLS the hello goes out first.
            self.mark_dirty(slot);
            // What came with the handshake made its event before the registration.
            self.mark_ready(slot);
        }
    }

    /// Says on a connection of ours what it is for; it is sent once the connection is up.
    pub(super) fn send_outbind(&mut self, slot: u32, outbind: Outbind, now: Time, stats: &mut ThreadStats) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.line = Some(outbind.line);
        let handle = connection.handle;
        self.with_output(handle, now, stats, |session, output| {
            session.outbind(&outbind.system_id, &outbind.password, output);
        });
        stats.counters.add(Counter::OutbindsSent, 1);
    }
}

/// One bound session as GET /sessions shows it.
pub(super) fn session_info(connection: &Connection, worker: u16, now: Time) -> Option<SessionInfo> {
    let session = &connection.session;
    let (bound_at, last_received_at) = session.times();
    let (submitted, delivered) = session.totals();
    Some(SessionInfo {
        account: session.account()?,
        bind: session.mode().name(),
        peer: connection.peer,
        interface_version: session.interface_version(),
        worker,
        bound_for_ms: now.nanos_since(bound_at) / 1_000_000,
        idle_ms: now.nanos_since(last_received_at) / 1_000_000,
        window: session.in_flight(),
        deliver_window: session.deliver_window(),
        submitted,
        delivered,
        queued_bytes: connection.unsent_bytes() as u64,
        throttled_by: connection.stalled.map(StallReason::name),
        tls: connection.tls.as_ref().map(|tls| tls.info()),
    })
}
