//! Reading: every ready session gets its go, of a bounded share, one after the other (promise 7), and a light one comes before
//! those that flood; what a session can't take now stays where it is, and its socket unread.
//!
//! Octets are read into one scratch that all sessions share and parsed in place. Only what is left over, a fragment
//! of a PDU or what a stall leaves, is copied to a buffer of the connection.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll};

use super::super::connection::Connection;
use super::super::shard_host::ShardHost;
use super::super::thread::{ThreadStats, WAKER};
use super::Worker;
use crate::base::{Now, Time};
use crate::limits::{
    GOES_PER_TURN_MAX, IDLE_PEEK_INTERVAL_NANOS, LIGHT_MEMORY_NANOS, LIGHT_PDUS_MAX, OUT_QUEUE_BYTES_MAX,
    PEEK_INTERVAL_NANOS, READ_TURN_NANOS, SHARE_BYTES,
};
use crate::session::{CloseReason, Received, StallReason, Stop};
use crate::stats::Counter;

/// How one session's go ended.
enum Left {
    /// Nothing to do until the socket has more, or a stall ends.
    Idle,
    /// There is more, once the others have had their go.
    More,
    /// There is more, and a turn takes no more of its kind.
    NextTurn,
    /// A lane is full: try again next turn.
    LaneFull,
    Close(CloseReason),
}

/// A look at the sockets in the middle of a turn.
#[derive(Debug)]
pub struct Peek<'a> {
    /// The thread's poll.
    pub poll: &'a mut Poll,
    /// Room for what it says.
    pub events: &'a mut Events,
    /// When it was last asked.
    pub last: Time,
}

/// What one session may still take of its go.
struct Budget {
    pdus: u32,
    bytes: usize,
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
    /// Gives ready sessions their go, in small shares, for as long as a turn may read: light ones first, and again whenever one
    /// has become ready meanwhile. What is left keeps its place in line.
    pub(super) fn read_ready(
        &mut self,
        peek: &mut Peek<'_>,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        self.multis.begin_turn();
        self.renew_handshake_budget();
        self.lane_stalled = 0;
        let mut waiting = std::mem::take(&mut self.next_turn);
        for slot in waiting.drain(..) {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.in_ready = false;
                self.mark_ready(slot);
            }
        }
        self.next_turn = waiting;
        if self.ready.is_empty() {
            return;
        }
        let start = self.clock.time();
        self.read_light(start, shard, stats);
        // Those that become ready meanwhile have their go in the next turn, when there is more to read and to write.
        let rest = self.ready.rest();
        if rest > 0 {
            // Their answers need not wait for the others'.
            self.flush_light(shard, stats);
        }
        for _ in 0..rest {
            let Some(slot) = self.ready.pop_rest() else { break };
            self.popped(slot);
            let mut more = true;
            for _ in 0..GOES_PER_TURN_MAX {
                more = self.give_go(slot, self.turn_pdus_max, shard, stats);
                self.look_for_light(peek, shard, stats);
                if !more {
                    break;
                }
            }
            if more {
                self.mark_ready(slot);
            }
            if self.clock.time().nanos_since(start) >= READ_TURN_NANOS {
                break;
            }
        }
    }

    /// Serves light sessions that have become ready since the last look, in the middle of a turn that has much to do for others:
    /// what they ask is answered and written at once. No more often than is worth it.
    pub fn look_for_light(
        &mut self,
        peek: &mut Peek<'_>,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let now = self.clock.time();
        let is_expected = now.nanos_since(self.light_at) < LIGHT_MEMORY_NANOS;
        if now.nanos_since(peek.last)
            < if is_expected { PEEK_INTERVAL_NANOS } else { IDLE_PEEK_INTERVAL_NANOS }
        {
            return;
        }
        peek.last = now;
        // What is wrong with the poll, the turn's own poll will say. A wake-up may be swallowed: before the thread sleeps it looks
        // at its lanes once more.
        if peek.poll.poll(peek.events, Some(Duration::ZERO)).is_err() {
            return;
        }
        self.take_events(peek.events, WAKER);
        self.drain_lanes(shard, stats);
        self.read_light(now, shard, stats);
        self.flush_light(shard, stats);
    }

    /// Puts a slot aside until the next turn.
    pub(super) fn wait_for_next_turn(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.in_ready
        {
            connection.in_ready = true;
            self.next_turn.push(slot);
        }
    }

    /// Gives light sessions their go, for as long as a turn may read from `start` on.
    fn read_light(&mut self, start: Time, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        while let Some(slot) = self.ready.pop_light() {
            self.popped(slot);
            if self.give_go(slot, self.turn_pdus_max.min(LIGHT_PDUS_MAX), shard, stats) {
                self.mark_ready(slot);
            }
            if self.clock.time().nanos_since(start) >= READ_TURN_NANOS {
                break;
            }
        }
    }

    /// A slot has left the line.
    fn popped(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.in_ready = false;
        }
    }

    /// One go of a session. True: it has more that could be handled at once.
    fn give_go(
        &mut self,
        slot: u32,
        pdus_max: u32,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(slot) else { return false };
        if connection.closing.is_some() {
            self.discard(slot, shard, stats);
            return false;
        }
        let mut budget = Budget { pdus: pdus_max, bytes: self.turn_bytes_max };
        let left = self.read_session(slot, &mut budget, shard, stats);
        if let Some(connection) = self.connections.get_mut(slot) {
            let (pdus, bytes) = (pdus_max - budget.pdus, self.turn_bytes_max - budget.bytes);
            let now = self.clock.time();
            let is_light = connection.demand.note(pdus, bytes, now) && connection.session.is_bound();
            connection.goes_last = !is_light;
            if is_light {
                self.light_at = now;
            }
        }
        match left {
            Left::More => return true,
            Left::Idle => (),
            Left::NextTurn => self.wait_for_next_turn(slot),
            Left::LaneFull => {
                self.lane_stalled += 1;
                self.wait_for_next_turn(slot);
            }
            Left::Close(reason) => {
                let now = self.clock.now();
                self.close(slot, reason, now, shard, stats);
            }
        }
        false
    }

    fn read_session(
        &mut self,
        slot: u32,
        budget: &mut Budget,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) -> Left {
        loop {
            if let Some(left) = self.take_unread(slot, &mut budget.pdus, shard, stats) {
                return left;
            }
            let Some(connection) = self.connections.get_mut(slot) else { return Left::Idle };
            if !connection.readable {
                return Left::Idle;
            }
            if budget.pdus == 0 || budget.bytes == 0 {
                return Left::More;
            }
            let filled = if connection.tls.is_none() {
                self.fill(slot, &mut budget.bytes, stats)
            } else {
                self.fill_by_tls(slot, &mut budget.bytes, stats)
            };
            match filled {
                Filled::Octets(0) => (),
                Filled::Octets(len) => {
                    if let Some(left) = self.take_scratch(slot, len, &mut budget.pdus, shard, stats) {
                        return left;
                    }
                }
                Filled::Later => return Left::NextTurn,
                Filled::Close(reason) => return Left::Close(reason),
            }
        }
    }

    /// Reads a socket into the scratch.
    fn fill(&mut self, slot: u32, bytes_left: &mut usize, stats: &ThreadStats) -> Filled {
        let Some(connection) = self.connections.get_mut(slot) else { return Filled::Octets(0) };
        let room = SHARE_BYTES.min(*bytes_left);
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
            if connection.stalled.replace(StallReason::PeerNotReading) != Some(StallReason::PeerNotReading) {
                stats.counters.add(Counter::ReadsPaused, 1);
            }
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
        self.after(slot, &received, stats)
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
        self.after(slot, &received, stats)
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
    fn after(&mut self, slot: u32, received: &Received, stats: &ThreadStats) -> Option<Left> {
        let connection = self.connections.get_mut(slot)?;
        match received.stop {
            Stop::NeedMore(_) => {
                connection.stalled = None;
                if connection.fragment_since != Time::NEVER {
                    let at = connection.fragment_since.plus_millis(self.pdu_timeout_ms);
                    self.arm_timer_by(slot, at);
                }
                None
            }
            Stop::Budget => Some(Left::More),
            Stop::Stalled(StallReason::Turn) => {
                connection.stalled = None;
                Some(Left::NextTurn)
            }
            Stop::Stalled(reason) => {
                let before = connection.stalled.replace(reason);
                if reason == StallReason::Window && before != Some(reason) {
                    stats.counters.add(Counter::WindowsFull, 1);
                }
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
            self.fragment_since = Time::NEVER;
        } else if received.consumed > 0 || self.fragment_since == Time::NEVER {
            self.fragment_since = now.mono;
        }
    }
}
