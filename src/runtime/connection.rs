//! One ESME connection: socket, session core, and the octets under way in both directions. Held by value in its
//! worker's table; an idle one owns no buffer.

use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;

use super::out_queue::OutQueue;
use super::pool::ChunkPool;
use super::tls::TlsSession;
use super::worker::Demand;
use crate::base::{SessionHandle, Time};
use crate::limits::RESPONSE_RUNS_MAX;
use crate::session::{CloseReason, Session, SessionSettings, StallReason};
use crate::stats::{Latency, LatencySet};

/// Responses queued together, for the latency from read to written.
#[derive(Clone, Copy, Debug)]
struct Run {
    received_at: Time,
    responses: u32,
}

/// How long octets have waited for a socket to take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Since when the socket takes nothing.
    pub blocked_since: Time,
    /// Since when there has been something to take, even if the socket has taken some now and then. By this it is decided who
    /// goes when memory is short: a sip keeps no place.
    pub since: Time,
}

impl Backlog {
    /// There is nothing to take.
    pub const NONE: Self = Self { blocked_since: Time::NEVER, since: Time::NEVER };

    /// The socket has taken so many octets, and so many are left. True: it is blocked from now on.
    pub fn note(&mut self, taken: usize, left: usize, now: Time) -> bool {
        if left == 0 {
            *self = Self::NONE;
            return false;
        }
        self.since = self.since.min(now);
        let is_new = taken > 0 || self.blocked_since == Time::NEVER;
        if is_new {
            self.blocked_since = now;
        }
        is_new
    }
}

/// A connection and all that its worker knows of it.
#[derive(Debug)]
pub struct Connection {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// The peer.
    pub peer: SocketAddr,
    /// The protocol state.
    pub session: Session,
    /// Its handle.
    pub handle: SessionHandle,
    /// Queued for the socket.
    pub out: OutQueue,
    /// Read and not yet taken by the session: a fragment, or what a stall left.
    pub unread: Unread,
    /// Readiness as the poll last told, kept until the socket says that it would block.
    pub readable: bool,
    /// The peer will send no more; set by the poll, read on to the end of the stream.
    pub read_closed: bool,
    /// Why nothing is taken from it.
    pub stalled: Option<StallReason>,
    /// Whether its peer reads what is delivered to it.
    pub pause: Pause,
    /// In the worker's list of connections with something to do.
    pub in_ready: bool,
    /// Whether light sessions come before it: it asks for more than they do, or is not bound.
    pub goes_last: bool,
    /// What it has asked for lately.
    pub demand: Demand,
    /// In the worker's list of connections with something to write.
    pub in_dirty: bool,
    /// Set once the session has ended: flush, shut down, wait for the peer's end until then.
    pub closing: Option<Closing>,
    /// Since when a PDU is half-read.
    pub fragment_since: Time,
    /// Octets that the socket has not taken.
    pub backlog: Backlog,
    /// Whether any octet was ever received.
    pub heard: bool,
    /// What its entry in the timer wheel is set to.
    pub armed_for: Time,
    /// Its TLS side, on a TLS listener. Looked at once per read and write.
    pub tls: Option<Box<TlsSession>>,
    /// Keeps the line busy, if we have called.
    pub line: Option<Arc<()>>,
    runs: Vec<Run>,
}

/// The pause of deliveries to a session whose peer does not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// The shards have been told to hand it nothing more; what was on its way is sent back.
    pub is_on: bool,
    /// Shards on other threads that have not heard of it yet.
    pub unheard: u16,
}

/// A connection on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// Why.
    pub reason: CloseReason,
    /// When it is dropped, whatever the peer does.
    pub deadline: Time,
    /// Whether our direction is shut down already.
    pub shut: bool,
}

impl Connection {
    /// A connection just accepted.
    pub fn new(stream: TcpStream, peer: SocketAddr, handle: SessionHandle, now: Time) -> Self {
        Self {
            stream,
            peer,
            session: Session::new(handle, now),
            handle,
            out: OutQueue::default(),
            unread: Unread::default(),
            readable: true,
            read_closed: false,
            stalled: None,
            pause: Pause::default(),
            in_ready: false,
            goes_last: true,
            demand: Demand::default(),
            in_dirty: false,
            closing: None,
            fragment_since: Time::NEVER,
            backlog: Backlog::NONE,
            heard: false,
            armed_for: Time::NEVER,
            tls: None,
            line: None,
            runs: Vec::new(),
        }
    }

    /// Notes a response queued for a request that was read at `received_at`.
    #[inline]
    pub fn note_response(runs: &mut ResponseRuns<'_>, received_at: Time) {
        let is_full = runs.0.len() >= RESPONSE_RUNS_MAX;
        match runs.0.last_mut() {
            Some(run) if run.received_at == received_at => run.responses += 1,
            Some(run) if is_full => run.responses = run.responses.saturating_add(1),
            _ => runs.0.push(Run { received_at, responses: 1 }),
        }
    }

    /// Splits off what a session's output needs.
    pub fn parts(&mut self) -> (&mut Session, &mut OutQueue, ResponseRuns<'_>, Option<&TlsSession>) {
        (&mut self.session, &mut self.out, ResponseRuns(&mut self.runs), self.tls.as_deref())
    }

    /// Records the latency of every response noted, now that the queue has been written.
    pub fn record_responses(&mut self, now: Time, latencies: &mut LatencySet) {
        for run in self.runs.drain(..) {
            latencies.record_n(
                Latency::SubmitResp,
                now.nanos_since(run.received_at),
                u64::from(run.responses),
            );
        }
    }

    /// The first deadline of all: the session's timers, a half-read PDU, a socket that takes nothing, the linger.
    pub fn next_deadline(
        &mut self,
        settings: &SessionSettings,
        pdu_timeout_ms: u64,
        write_timeout_ms: u64,
    ) -> Time {
        if let Some(closing) = &self.closing {
            return closing.deadline;
        }
        self.session
            .next_deadline(settings)
            .min(self.handshake_deadline())
            .min(self.half_read_since().plus_millis(pdu_timeout_ms))
            .min(self.backlog.blocked_since.plus_millis(write_timeout_ms))
    }

    /// Why the connection must be dropped at once, if a deadline of its own has passed.
    pub fn overdue(&self, now: Time, pdu_timeout_ms: u64, write_timeout_ms: u64) -> Option<CloseReason> {
        if let Some(closing) = &self.closing {
            return (now >= closing.deadline).then_some(closing.reason);
        }
        if now >= self.backlog.blocked_since.plus_millis(write_timeout_ms) {
            return Some(CloseReason::WriteTimeout);
        }
        if now >= self.handshake_deadline() {
            return Some(CloseReason::TlsHandshakeTimeout);
        }
        (now >= self.half_read_since().plus_millis(pdu_timeout_ms)).then_some(CloseReason::PduTimeout)
    }

    /// Since when a PDU, or the TLS record that it is in, is half-read.
    pub fn half_read_since(&self) -> Time {
        self.tls.as_ref().map_or(self.fragment_since, |tls| tls.record_since.min(self.fragment_since))
    }

    fn handshake_deadline(&self) -> Time {
        self.tls.as_ref().map_or(Time::NEVER, |tls| tls.handshake_deadline())
    }

    /// Octets that its socket has not taken.
    pub fn unsent_bytes(&self) -> usize {
        self.out.len() + self.tls.as_ref().map_or(0, |tls| tls.sealed.len())
    }

    /// Gives every buffer back.
    pub fn release(&mut self, pool: &mut ChunkPool) {
        self.out.clear(pool);
        self.unread.clear(pool);
        if let Some(tls) = &mut self.tls {
            tls.release(pool);
        }
    }
}

/// The runs of responses of one connection.
#[derive(Debug)]
pub struct ResponseRuns<'a>(&'a mut Vec<Run>);

/// Octets read from a socket that its session has not taken. The buffer is a pool chunk, held only while needed.
#[derive(Debug, Default)]
pub struct Unread {
    bytes: Vec<u8>,
    start: usize,
    /// Octets that make the first PDU whole, as far as is known.
    needed: usize,
}

impl Unread {
    /// What waits.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// What waits.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Octets still missing for the first PDU; 0 when it is whole.
    pub fn missing(&self) -> usize {
        self.needed.saturating_sub(self.bytes.len() - self.start)
    }

    /// The session took `consumed` octets, and `needed` octets (0: unknown or whole) make the next PDU whole.
    pub fn consume(&mut self, consumed: usize, needed: usize, pool: &mut ChunkPool) {
        self.start += consumed;
        self.needed = needed;
        if self.is_empty() {
            self.clear(pool);
        }
    }

    /// Appends octets just read.
    pub fn append(&mut self, octets: &[u8], needed: usize, pool: &mut ChunkPool) {
        if octets.is_empty() {
            return;
        }
        let waiting = self.bytes.len() - self.start;
        if self.bytes.capacity() - self.bytes.len() < octets.len() {
            // Grows only with octets that are here, never with a claimed length; by doubling, so that a peer
            // that sends octet by octet costs no more than it carries.
            let mut larger = pool.take((waiting + octets.len()).next_power_of_two());
            larger.extend_from_slice(self.as_slice());
            pool.give_back(std::mem::replace(&mut self.bytes, larger));
            self.start = 0;
        }
        self.bytes.extend_from_slice(octets);
        self.needed = self.needed.max(needed);
    }

    /// Drops what waits and gives the buffer back.
    pub fn clear(&mut self, pool: &mut ChunkPool) {
        if self.bytes.capacity() > 0 {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
        self.start = 0;
        self.needed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_keeps_order_over_growth_and_returns_its_buffer() {
        let mut pool = ChunkPool::new(0, 4);
        let mut unread = Unread::default();
        let mut expected = Vec::new();
        for i in 0..200_000u32 {
            let octets = i.to_be_bytes();
            unread.append(&octets, 0, &mut pool);
            expected.extend_from_slice(&octets);
            if i % 3 == 0 {
                let taken = 5.min(expected.len());
                unread.consume(taken, 0, &mut pool);
                expected.drain(..taken);
            }
            if expected.len() > 60_000 {
                break;
            }
        }
        assert_eq!(unread.as_slice(), expected);
        let len = unread.as_slice().len();
        unread.consume(len, 0, &mut pool);
        assert!(unread.is_empty() && unread.bytes.capacity() == 0);
    }

    #[test]
    fn a_socket_that_takes_a_sip_is_not_blocked_and_has_kept_octets_waiting_all_the_same() {
        let at = Time::from_millis;
        let mut backlog = Backlog::NONE;
        assert!(backlog.note(10, 90, at(1)));
        assert!(!backlog.note(0, 90, at(2)), "it was blocked before");
        assert!(backlog.note(1, 89, at(3)));
        assert_eq!(backlog, Backlog { blocked_since: at(3), since: at(1) });
        assert!(!backlog.note(89, 0, at(4)));
        assert_eq!(backlog, Backlog::NONE);
    }

    #[test]
    fn a_peer_that_never_lets_its_queue_empty_has_no_more_than_so_many_runs() {
        let mut runs = Vec::new();
        for ms in 0..100_000 {
            Connection::note_response(&mut ResponseRuns(&mut runs), Time::from_millis(ms));
        }
        assert_eq!(runs.len(), RESPONSE_RUNS_MAX);
        assert_eq!(runs.iter().map(|run| run.responses).sum::<u32>(), 100_000, "and none is forgotten");
    }

    #[test]
    fn missing_counts_down() {
        let mut pool = ChunkPool::new(0, 4);
        let mut unread = Unread::default();
        unread.append(&[0, 0, 0], 4, &mut pool);
        assert_eq!(unread.missing(), 1);
        unread.append(&[62], 0, &mut pool);
        assert_eq!(unread.missing(), 0);
        unread.consume(0, 62, &mut pool);
        assert_eq!(unread.missing(), 58);
    }
}
