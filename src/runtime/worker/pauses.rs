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

    /// A shard on another thread has heard of the pause: nothing of it is on its way any more.
    pub(super) fn pause_heard(&mut self, session: SessionHandle) {
        let found = self.connections.get_mut(session.slot).filter(|found| found.handle == session);
        if let Some(connection) = found {
            connection.pause.unheard = connection.pause.unheard.saturating_sub(1);
            // Its queue may have emptied meanwhile.
            self.mark_dirty(session.slot);
        }
    }

    /// Pauses deliveries to a session whose queue is full. The shard on this thread learns of it by
    /// [`Worker::is_paused`] if it is what filled the queue, else by [`Worker::tell_of_pauses`].
    #[inline]
    pub(super) fn pause_if_full(&mut self, session: SessionHandle, stats: &ThreadStats) {
        let Some(connection) = self.connections.get_mut(session.slot) else { return };
        if connection.out.len() > OUT_QUEUE_BYTES_MAX && !connection.pause.is_on {
            let unheard = self.links.reply_all(ToShard::Paused { session });
            connection.pause = Pause { is_on: true, unheard };
            stats.counters.add(Counter::DeliveriesPaused, 1);
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

    /// Resumes deliveries to a session that has read half of what it had. Not before every shard has heard of the pause, and
    /// has so been sent back whatever was on its way: what it hands out after the resume must not overtake that.
    pub(super) fn resume_if_read(
        &mut self,
        slot: u32,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let Pause { is_on, unheard } = connection.pause;
        if !is_on || unheard > 0 || connection.out.len() > OUT_QUEUE_BYTES_MAX / 2 {
            return;
        }
        connection.pause = Pause::default();
        let session = connection.handle;
        let now = self.clock.now();
        self.with_port(slot, now, shard, stats, |_, port| port.tell_all(ToShard::Resumed { session }));
    }

    /// Closes connections, the one that has waited longest for its peer first, while buffers take more memory than they may.
    pub(super) fn evict_while_short(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        while self.pool.lent_bytes() > self.buffer_bytes_max {
            let waiting = self
                .connections
                .iter()
                .map(|(slot, connection)| (connection.backlog.since.min(connection.half_read_since()), slot));
            let longest = waiting.filter(|(since, _)| *since != Time::NEVER).min();
            // Without any, what is lent is on its way.
            let Some((_, slot)) = longest else { return };
            let now = self.clock.now();
            self.close_now(slot, CloseReason::OverMemory, now, shard, stats);
        }
    }
}
