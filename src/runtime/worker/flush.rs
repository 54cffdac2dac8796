//! Writing and closing: one vectored write per session and turn, and an orderly end of connections.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;

use super::super::connection::Closing;
use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::{Worker, log};
use crate::base::Now;
use crate::limits::{LINGER_MS, OUT_QUEUE_BYTES_MAX};
use crate::session::{CloseReason, StallReason};
use crate::stats::Counter;

impl Worker {
    /// Writes what every dirty session has queued.
    pub(super) fn flush_dirty(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        // Closing one session can dirty another, so take them one by one.
        while let Some(slot) = self.dirty.pop() {
            self.flush_slot(slot, shard, stats);
        }
    }

    /// Writes what light sessions have queued; the others wait for the end of the turn, when they have more.
    pub(super) fn flush_light(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        let mut place = 0;
        while let Some(&slot) = self.dirty.get(place) {
            if self.connections.get(slot).is_some_and(|connection| connection.goes_last) {
                place += 1;
            } else {
                self.dirty.swap_remove(place);
                self.flush_slot(slot, shard, stats);
            }
        }
    }

    fn flush_slot(&mut self, slot: u32, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        if let Some(reason) = self.flush(slot, stats) {
            let now = self.clock.now();
            self.close_now(slot, reason, now, shard, stats);
        }
        self.resume_if_read(slot, shard, stats);
    }

    /// Writes one session's queue. `Some`: the connection is finished.
    fn flush(&mut self, slot: u32, stats: &mut ThreadStats) -> Option<CloseReason> {
        let connection = self.connections.get_mut(slot)?;
        connection.in_dirty = false;
        let written = if connection.tls.is_none() {
            connection.out.flush(&mut connection.stream, &mut self.pool)
        } else {
            self.flush_by_tls(slot)
        };
        let Ok(written) = written else {
            return Some(CloseReason::PeerGone);
        };
        stats.counters.add(Counter::BytesSent, written as u64);
        let now = self.clock.time();
        let connection = self.connections.get_mut(slot)?;
        let left = connection.unsent_bytes();
        if connection.backlog.note(written, left, now) {
            let at = now.plus_millis(self.write_timeout_ms);
            self.arm_timer_by(slot, at);
        }
        let connection = self.connections.get_mut(slot)?;
        if left == 0 {
            connection.record_responses(now, &mut stats.latencies);
            if let Some(closing) = &mut connection.closing
                && !closing.shut
            {
                closing.shut = true;
                // Our end says that all has been said; the peer's end, or the linger, ends the connection.
                if connection.stream.shutdown(Shutdown::Write).is_err() || connection.read_closed {
                    return Some(closing.reason);
                }
            }
        }
        if connection.stalled == Some(StallReason::PeerNotReading)
            && connection.out.len() <= OUT_QUEUE_BYTES_MAX / 2
        {
            connection.stalled = None;
            self.mark_ready(slot);
        }
        None
    }

    /// Ends a session in order: what is queued still goes out.
    pub(super) fn close(
        &mut self,
        slot: u32,
        reason: CloseReason,
        now: Now,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        self.end_session(slot, reason, now, shard, stats);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.closing.is_none() {
            let deadline = now.mono.plus_millis(LINGER_MS);
            connection.closing = Some(Closing { reason, deadline, shut: false });
            connection.goes_last = true;
            connection.read_closed |= reason == CloseReason::PeerGone;
            connection.unread.clear(&mut self.pool);
            self.arm_timer(slot, now.mono);
            self.mark_ready(slot);
        }
        self.mark_dirty(slot);
    }

    /// Ends a session and drops its connection at once.
    pub(super) fn close_now(
        &mut self,
        slot: u32,
        reason: CloseReason,
        now: Now,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        self.end_session(slot, reason, now, shard, stats);
        self.timers.cancel(slot);
        let Some(mut connection) = self.connections.remove(slot) else { return };
        connection.release(&mut self.pool);
        self.count_close(reason, connection.heard, stats);
        // Dropping the stream closes it; deregistering first keeps a reused descriptor's events apart.
        drop(self.registry.deregister(&mut connection.stream));
        stats.counters.add(Counter::ConnectionsClosed, 1);
        self.load.release(connection.peer.ip());
    }

    /// Frees what the session holds elsewhere: its place in the account, its queues in the shards.
    fn end_session(
        &mut self,
        slot: u32,
        reason: CloseReason,
        now: Now,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.closing.is_some() {
            return;
        }
        let (account, handle) = (connection.session.account(), connection.handle);
        let system_id = account.and_then(|account| self.accounts.get(account));
        let system_id = system_id.map(|account| account.config().system_id.as_str());
        log::closed(system_id, reason, connection.heard, connection.peer);
        self.with_port(slot, now, shard, stats, |session, port| {
            session.closed(reason, port);
            if account.is_some() {
                port.unbound();
            }
        });
        if let Some(account) = account {
            self.accounts.release_session(account, handle);
        }
    }

    /// Reads and drops what still comes on a connection that is on its way out, up to one scratch per turn.
    pub(super) fn discard(&mut self, slot: u32, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let gone = match connection.stream.read(&mut self.scratch) {
            Ok(0) => true,
            Ok(_) => {
                self.wait_for_next_turn(slot);
                return;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.wait_for_next_turn(slot);
                return;
            }
            Err(_) => true,
        };
        if !gone {
            return;
        }
        connection.read_closed = true;
        let closing = connection.closing;
        if let Some(closing) =
            closing.filter(|closing| closing.shut || closing.reason == CloseReason::PeerGone)
        {
            let now = self.clock.now();
            // A peer that closed after its last request still gets the answers that are queued, if it can.
            self.flush(slot, stats);
            self.close_now(slot, closing.reason, now, shard, stats);
        }
    }
}
