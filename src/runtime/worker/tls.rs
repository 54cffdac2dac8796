//! Sessions over TLS, and calls over TLS to ESMEs. They differ from plain ones in two places: where octets are read ([`Worker::fill_by_tls`]) and where
//! they are written ([`Worker::flush_by_tls`]). Between those everything is the same.
//!
//! Records are opened and sealed in buffers that all sessions of the worker share: what one read has brought is opened at
//! once, and what a turn has queued goes out in records of full size.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use super::super::outbind::Outbind;
use super::super::thread::ThreadStats;
use super::super::tls::{CalleeTls, HandshakePlace, ServerTls, TlsSession};
use super::read::Filled;
use super::{Worker, log};
use crate::base::Time;
use crate::limits::{OUT_CHUNK_BYTES, READ_BYTES, TLS_HANDSHAKE_TURN_NANOS, TLS_PENDING_BYTES_MAX};
use crate::stats::Counter;
use crate::tls::sealed_bytes_max;

const _: () = assert!(TLS_PENDING_BYTES_MAX <= READ_BYTES / 2);

/// Sealed octets that are written at once.
const SEALED_BYTES: usize = READ_BYTES;

/// What a worker with TLS listeners has beside the others, or one that has made a call over TLS.
pub(super) struct TlsWorker {
    /// `None`: there are no TLS listeners.
    server: Option<Arc<ServerTls>>,
    /// Octets as they come and as they go.
    octets: Box<[u8]>,
    /// What TLS itself has to say.
    answer: Vec<u8>,
    /// How much of this turn is left for handshakes.
    handshake_nanos: u64,
}

impl TlsWorker {
    pub(super) fn new(server: Option<Arc<ServerTls>>) -> Self {
        let octets = vec![0; SEALED_BYTES].into_boxed_slice();
        Self { server, octets, answer: Vec::new(), handshake_nanos: TLS_HANDSHAKE_TURN_NANOS }
    }

    /// What handshakes go by, where there are TLS listeners.
    pub(super) fn server(&self) -> Option<&ServerTls> {
        self.server.as_deref()
    }
}

impl Worker {
    /// A new turn: handshakes may take time again.
    pub(super) const fn renew_handshake_budget(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.handshake_nanos = TLS_HANDSHAKE_TURN_NANOS;
        }
    }

    /// The TLS side of a connection that has just arrived. `None`: it can't be had.
    pub(super) fn begin_handshake(&self, place: HandshakePlace, now: Time) -> Option<Box<TlsSession>> {
        let settings = self.tls.as_ref()?.server()?.current();
        let connection = settings.accept().ok()?;
        let deadline = now.plus_millis(settings.handshake_timeout_ms);
        Some(Box::new(TlsSession::accept(connection, deadline, place)))
    }

    /// The TLS side of a call to an ESME, with what is to be said to it once the handshake is over. `None`: it can't be had.
    pub(super) fn begin_call(
        &mut self,
        callee: &CalleeTls,
        outbind: Outbind,
        now: Time,
    ) -> Option<Box<TlsSession>> {
        let connection = callee.call().ok()?;
        let deadline = now.plus_millis(callee.handshake_timeout_ms);
        self.tls.get_or_insert_with(|| TlsWorker::new(None));
        Some(Box::new(TlsSession::call(connection, deadline, outbind, &mut self.pool)))
    }

    /// Reads a socket and opens what came, into the scratch. What TLS itself has to answer is queued.
    pub(super) fn fill_by_tls(
        &mut self,
        slot: u32,
        bytes_left: &mut usize,
        stats: &mut ThreadStats,
    ) -> Filled {
        let nothing = Filled::Octets(0);
        let Some(connection) = self.connections.get_mut(slot) else { return nothing };
        let (Some(tls), Some(worker)) = (&mut connection.tls, &mut self.tls) else { return nothing };
        if let Some(reason) = tls.ended {
            return Filled::Close(reason);
        }
        let is_handshake = tls.is_handshaking();
        if is_handshake && worker.handshake_nanos == 0 {
            return Filled::Later;
        }
        let waiting = tls.pending_len();
        let room = (worker.octets.len() - waiting).min(*bytes_left);
        let read = connection.stream.read(worker.octets.get_mut(waiting..waiting + room).unwrap_or_default());
        let is_over = match &read {
            Ok(len) => *len == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        let filled = connection.note_read(read, room, bytes_left, stats);
        let Some(tls) = &mut connection.tls else { return nothing };
        if is_over && let Some(counter) = tls.cut_off(connection.heard) {
            stats.counters.add(counter, 1);
            log::cut_off(connection.peer);
        }
        let Filled::Octets(len @ 1..) = filled else { return filled };

        let now = self.clock.time();
        worker.answer.clear();
        let octets = worker.octets.get_mut(..waiting + len).unwrap_or_default();
        let received = tls.receive(octets, &mut self.scratch, &mut worker.answer, now, &mut self.pool);
        if received.is_established {
            stats.counters.add(Counter::TlsHandshakes, 1);
            stats.counters.add(Counter::TlsResumptions, u64::from(tls.is_resumed()));
        }
        if received.is_renegotiation {
            stats.counters.add(Counter::TlsRenegotiationsRefused, 1);
            log::renegotiation_refused(connection.peer);
        }
        if let Some(failure) = &received.failure {
            if failure.counter != Counter::ForeignProtocols {
                stats.counters.add(failure.counter, 1);
            }
            log::tls_failed(failure, is_handshake, connection.peer);
            tls.ended = Some(failure.reason);
        }
        if is_handshake && tls.ended.is_some() && received.failure.is_none() {
            stats.counters.add(Counter::TlsHandshakesAborted, 1);
        }
        // To be looked at again, once what came before it has been taken.
        connection.readable |= tls.ended.is_some();
        let half_read_since = if is_handshake { Time::NEVER } else { tls.record_since };
        let has_answer = !worker.answer.is_empty();
        if has_answer {
            tls.sealed.extend(&worker.answer, &mut self.pool);
        }
        if is_handshake {
            let spent = self.clock.time().nanos_since(now);
            worker.handshake_nanos = worker.handshake_nanos.saturating_sub(spent);
        }
        if has_answer {
            self.mark_dirty(slot);
        }
        if let Some(outbind) = received.outbind {
            self.send_outbind(slot, outbind, now, stats);
        }
        if half_read_since != Time::NEVER {
            self.arm_timer_by(slot, half_read_since.plus_millis(self.pdu_timeout_ms));
        }
        Filled::Octets(received.plain)
    }

    /// Seals what is queued and writes it, as much as the socket takes; the octets written. Says close_notify once a
    /// connection on its way out has nothing else to say.
    pub(super) fn flush_by_tls(&mut self, slot: u32) -> io::Result<usize> {
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(0) };
        let (Some(tls), Some(worker)) = (&mut connection.tls, &mut self.tls) else { return Ok(0) };
        let mut total = 0;
        loop {
            total += tls.sealed.flush(&mut connection.stream, &mut self.pool)?;
            if !tls.sealed.is_empty() {
                return Ok(total);
            }
            let mut used = 0;
            while let front @ [_, ..] = connection.out.front() {
                let plain = front.get(..OUT_CHUNK_BYTES).unwrap_or(front);
                let room = worker.octets.get_mut(used..).unwrap_or_default();
                if room.len() < sealed_bytes_max(plain.len()) {
                    break;
                }
                let len = plain.len();
                let Ok(sealed) = tls.seal(plain, room) else {
                    // Nobody can be told any more.
                    connection.out.clear(&mut self.pool);
                    tls.notified = true;
                    if connection.closing.is_none() {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                    break;
                };
                used += sealed;
                connection.out.consume(len, &mut self.pool);
            }
            if connection.out.is_empty() && connection.closing.is_some() && !tls.notified {
                let room = worker.octets.get_mut(used..).unwrap_or_default();
                if room.len() >= sealed_bytes_max(0) {
                    tls.notified = true;
                    used += tls.close_notify(room).unwrap_or_default();
                }
            }
            if used == 0 {
                return Ok(total);
            }
            let sealed = worker.octets.get(..used).unwrap_or_default();
            let written = match connection.stream.write(sealed) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
                Err(error) => return Err(error),
            };
            total += written;
            tls.sealed.extend(sealed.get(written..).unwrap_or_default(), &mut self.pool);
        }
    }
}
