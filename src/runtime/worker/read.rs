//! Reading: every ready session gets its budget per turn (promise 7); what a session can't take now stays where it
//! is, and its socket unread.
//!
//! Octets are read into one scratch that all sessions share and parsed in place. Only what is left over, a fragment
//! of a PDU or what a stall leaves, is copied to a buffer of the connection.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use super::super::connection::Connection;
use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::Worker;
use crate::base::Now;
use crate::limits::OUT_QUEUE_BYTES_MAX;
use crate::session::{CloseReason, Received, StallReason, Stop};
use crate::stats::Counter;

/// How one session's go ended.
enum Left {
    /// Nothing to do until the socket has more, or a stall ends.
    Idle,
    /// There is more, for the next turn.
    More,
    /// A lane is full: try again next turn.
    LaneFull,
    Close(CloseReason),
}

/// What a read has put into the scratch.
pub(super) enum Filled {
    /// So many octets for the session; none need not mean that there are none to come.
    Octets(usize),
    /// Nothing in this turn.
    Later,
    /// Nothing any more.
    Close(CloseReason),
}

impl Worker {
    /// Gives every ready session its go.
    pub(super) fn read_ready(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        self.lane_stalled = 0;
        self.multis.begin_turn();
        self.renew_handshake_budget();
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else { break };
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            connection.in_ready = false;
            if connection.closing.is_some() {
                self.discard(slot, shard, stats);
                continue;
            }
            match self.read_session(slot, shard, stats) {
                Left::Idle => (),
                Left::More => self.mark_ready(slot),
                Left::LaneFull => {
                    self.lane_stalled += 1;
                    self.mark_ready(slot);
                }
                Left::Close(reason) => {
                    let now = self.clock.now();
                    self.close(slot, reason, now, shard, stats);
                }
            }
        }
    }

    fn read_session(&mut self, slot: u32, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) -> Left {
        let mut pdus_left = self.turn_pdus_max;
        let mut bytes_left = self.turn_bytes_max;
        loop {
            if let Some(left) = self.take_unread(slot, &mut pdus_left, shard, stats) {
                return left;
            }
            let Some(connection) = self.connections.get_mut(slot) else { return Left::Idle };
            if !connection.readable {
                return Left::Idle;
            }
            if pdus_left == 0 || bytes_left == 0 {
                return Left::More;
            }
            let filled = if connection.tls.is_none() {
                self.fill(slot, &mut bytes_left, stats)
            } else {
                self.fill_by_tls(slot, &mut bytes_left, stats)
            };
            match filled {
                Filled::Octets(0) => (),
                Filled::Octets(len) => {
                    if let Some(left) = self.take_scratch(slot, len, &mut pdus_left, shard, stats) {
                        return left;
                    }
                }
                Filled::Later => return Left::More,
                Filled::Close(reason) => return Left::Close(reason),
            }
        }
    }

    /// Reads a socket into the scratch.
    fn fill(&mut self, slot: u32, bytes_left: &mut usize, stats: &ThreadStats) -> Filled {
        let Some(connection) = self.connections.get_mut(slot) else { return Filled::Octets(0) };
        let room = self.scratch.len().min(*bytes_left);
        let read = connection.stream.read(self.scratch.get_mut(..room).unwrap_or_default());
        connection.note_read(read, room, bytes_left, stats)
    }

    /// Hands over what was left unread earlier. `None`: go on reading.
    fn take_unread(
        &mut self,
        slot: u32,
        pdus_left: &mut u32,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) -> Option<Left> {
        let connection = self.connections.get_mut(slot)?;
        if connection.out.len() > OUT_QUEUE_BYTES_MAX {
            connection.stalled = Some(StallReason::PeerNotReading);
            return Some(Left::Idle);
        }
        if connection.unread.is_empty() || connection.unread.missing() > 0 {
            connection.stalled = None;
            return None;
        }
        let now = self.clock.now();
        let unread = std::mem::take(&mut connection.unread);
        let received = self.receive(slot, unread.as_slice(), *pdus_left, now, shard, stats);
        let connection = self.connections.get_mut(slot)?;
        connection.unread = unread;
        *pdus_left -= received.pdus.min(*pdus_left);
        let needed = if let Stop::NeedMore(needed) = received.stop { needed } else { 0 };
        connection.unread.consume(received.consumed, needed, &mut self.pool);
        connection.note_fragment(&received, now);
        self.after(slot, &received)
    }

    /// Hands over `len` octets just read. `None`: go on reading.
    fn take_scratch(
        &mut self,
        slot: u32,
        len: usize,
        pdus_left: &mut u32,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) -> Option<Left> {
        let mut from = 0;
        // Complete the fragment first, with no more octets than it needs.
        loop {
            let connection = self.connections.get_mut(slot)?;
            if connection.unread.is_empty() {
                break;
            }
            let missing = connection.unread.missing();
            if missing > 0 {
                let take = missing.min(len - from);
                let octets = self.scratch.get(from..from + take).unwrap_or_default();
                connection.unread.append(octets, 0, &mut self.pool);
                from += take;
                if take < missing {
                    return None;
                }
            }
            if let Some(left) = self.take_unread(slot, pdus_left, shard, stats) {
                // Stalled or out of budget with octets in hand: they queue up behind.
                let connection = self.connections.get_mut(slot)?;
                let octets = self.scratch.get(from..len).unwrap_or_default();
                connection.unread.append(octets, 0, &mut self.pool);
                return Some(left);
            }
        }
        if from == len {
            return None;
        }
        let now = self.clock.now();
        let scratch = std::mem::take(&mut self.scratch);
        let octets = scratch.get(from..len).unwrap_or_default();
        let received = self.receive(slot, octets, *pdus_left, now, shard, stats);
        *pdus_left -= received.pdus.min(*pdus_left);
        if let Some(connection) = self.connections.get_mut(slot) {
            let needed = if let Stop::NeedMore(needed) = received.stop { needed } else { 0 };
            let rest = octets.get(received.consumed..).unwrap_or_default();
            connection.unread.append(rest, needed, &mut self.pool);
            connection.note_fragment(&received, now);
        }
        self.scratch = scratch;
        self.after(slot, &received)
    }

    fn receive(
        &mut self,
        slot: u32,
        octets: &[u8],
        pdus_max: u32,
        now: Now,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) -> Received {
        let settings = Arc::clone(&self.settings);
        let received = self.with_port(slot, now, shard, stats, |session, port| {
            session.receive(octets, pdus_max, now.mono, &settings, port)
        });
        let received = received.unwrap_or(Received {
            consumed: octets.len(),
            pdus: 0,
            stop: Stop::Close(CloseReason::PeerGone),
        });
        stats.counters.add(Counter::PdusReceived, u64::from(received.pdus));
        received
    }

    /// What a stop means for the session's go. `None`: go on reading.
    fn after(&mut self, slot: u32, received: &Received) -> Option<Left> {
        let connection = self.connections.get_mut(slot)?;
        match received.stop {
            Stop::NeedMore(_) => {
                connection.stalled = None;
                if connection.fragment_since != crate::base::Time::NEVER {
                    let at = connection.fragment_since.plus_millis(self.pdu_timeout_ms);
                    self.arm_timer_by(slot, at);
                }
                None
            }
            Stop::Budget => Some(Left::More),
            Stop::Stalled(StallReason::Turn) => {
                connection.stalled = None;
                Some(Left::More)
            }
            Stop::Stalled(reason) => {
                connection.stalled = Some(reason);
                Some(if reason == StallReason::Lane { Left::LaneFull } else { Left::Idle })
            }
            Stop::Close(reason) => Some(Left::Close(reason)),
        }
    }
}

impl Connection {
    /// Draws the conclusions from a read of at most `room` octets.
    pub(super) fn note_read(
        &mut self,
        read: io::Result<usize>,
        room: usize,
        bytes_left: &mut usize,
        stats: &ThreadStats,
    ) -> Filled {
        match read {
            Ok(0) => return Filled::Close(CloseReason::PeerGone),
            Ok(len) => {
                self.heard = true;
                // A short read means that the socket is empty; a new octet makes a new event. The end of the
                // stream does not if it was already announced, so then read on.
                self.readable = len == room || self.read_closed;
                *bytes_left -= len;
                stats.counters.add(Counter::BytesReceived, len as u64);
                return Filled::Octets(len);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(_) => return Filled::Close(CloseReason::PeerGone),
        }
        Filled::Octets(0)
    }

    /// Starts or stops the clock of a half-read PDU.
    fn note_fragment(&mut self, received: &Received, now: Now) {
        let fragment = matches!(received.stop, Stop::NeedMore(_)) && !self.unread.is_empty();
        if !fragment {
            self.fragment_since = crate::base::Time::NEVER;
        } else if received.consumed > 0 || self.fragment_since == crate::base::Time::NEVER {
            self.fragment_since = now.mono;
        }
    }
}
