//! Peers that do not read. Deliveries to one of them pause once its queue is full, so it holds up only itself and no more
//! octets than that queue; and when all queues together take more memory than they may, the one that has waited longest
//! is closed.

use super::super::connection::Pause;
use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::super::values::ToShard;
use super::Worker;
use crate::base::{SessionHandle, Time};
use crate::limits::OUT_QUEUE_BYTES_MAX;
use crate::session::CloseReason;
use crate::stats::Counter;

impl Worker {
    /// Whether deliveries to the session have paused.
    #[inline]
    pub fn is_paused(&self, session: SessionHandle) -> bool {
        self.connections.get(session.slot).is_some_and(|found| found.handle == session && found.pause.is_on)
    }

    /// Whether a delivery of a shard on another thread has to go back: the session takes nothing now, or another one that
    /// was to come before it has gone back.
    #[inline]
    pub(super) fn refuses(&mut self, session: SessionHandle, shard: u16) -> bool {
        let Some(connection) = self.connections.get_mut(session.slot) else { return false };
        let Pause { is_on, refused, .. } = &mut connection.pause;
        if !*is_on && *refused == 0 {
            return false;
        }
        let bit = 1 << (shard % 128);
        if connection.handle != session || (!*is_on && *refused & bit == 0) {
            return false;
        }
        *refused |= bit;
        true
    }

    /// A shard on another thread has heard of a resume.
    pub(super) fn resume_heard(&mut self, session: SessionHandle, resumes: u32, shard: u16) {
        if let Some(connection) = self.connections.get_mut(session.slot)
            && connection.handle == session
            && connection.pause.resumes == resumes
        {
            connection.pause.refused &= !(1 << (shard % 128));
        }
    }

    /// Pauses deliveries to a session whose queue is full. The shard on this thread learns of it by
    /// [`Worker::is_paused`] if it is what filled the queue, else by [`Worker::tell_of_pauses`].
    #[inline]
    pub(super) fn pause_if_full(&mut self, session: SessionHandle, stats: &ThreadStats) {
        let Some(connection) = self.connections.get_mut(session.slot) else { return };
        if connection.out.len() > OUT_QUEUE_BYTES_MAX && !connection.pause.is_on {
            connection.pause.is_on = true;
            stats.counters.add(Counter::DeliveriesPaused, 1);
            self.links.reply_all(ToShard::Paused { session });
            self.paused.push(session);
        }
    }

    /// Tells the shard on this thread of the sessions paused since the last call. It may know already; but none of them
    /// has been resumed, since that comes later in the turn.
    pub(super) fn tell_of_pauses(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        if self.paused.is_empty() {
            return;
        }
        let now = self.clock.now();
        while let Some(session) = self.paused.pop() {
            if let Some(host) = shard
                && self.is_paused(session)
            {
                host.take(ToShard::Paused { session }, &[], now, stats);
            }
        }
    }

    /// Resumes deliveries to a session that has read half of what it had.
    pub(super) fn resume_if_read(
        &mut self,
        slot: u32,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if !connection.pause.is_on || connection.out.len() > OUT_QUEUE_BYTES_MAX / 2 {
            return;
        }
        connection.pause.is_on = false;
        connection.pause.resumes = connection.pause.resumes.wrapping_add(1);
        let (session, resumes) = (connection.handle, connection.pause.resumes);
        let now = self.clock.now();
        self.with_port(slot, now, shard, stats, |_, port| {
            port.tell_all(ToShard::Resumed { session, resumes })
        });
    }

    /// Closes connections, the one that has waited longest for its peer first, while buffers take more memory than they may.
    pub(super) fn evict_while_short(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        while self.pool.lent_bytes() > self.buffer_bytes_max {
            let waiting = self
                .connections
                .iter()
                .map(|(slot, connection)| (connection.blocked_since.min(connection.fragment_since), slot));
            let longest = waiting.filter(|(since, _)| *since != Time::NEVER).min();
            // Without any, what is lent is on its way.
            let Some((_, slot)) = longest else { return };
            let now = self.clock.now();
            self.close_now(slot, CloseReason::OverMemory, now, shard, stats);
        }
    }
}
