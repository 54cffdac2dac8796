//! What the shards on other threads sent: answers to submissions, and deliveries.

use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::super::values::{ToShard, ToWorker};
use super::Worker;
use crate::base::{DeliveryToken, MessageId, Now, SessionHandle, SubmitOperation};
use crate::limits::LANE_BLOCKS_PER_TURN;
use crate::session::{CloseReason, DeliveryResult, Origin, StallReason};
use crate::smpp::{AsDataSm, CommandId, CommandStatus, DeliverSm, DeliveryOutcome, PduBody};

impl Worker {
    /// Takes a bounded batch from every lane, starting with another one each turn.
    pub(super) fn drain_lanes(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        let lanes = self.from_shards.len();
        if lanes == 0 {
            return;
        }
        self.first_lane = (self.first_lane + 1) % lanes;
        for offset in 0..lanes {
            let index = (self.first_lane + offset) % lanes;
            for _ in 0..LANE_BLOCKS_PER_TURN {
                let Some(mut block) = self.from_shards.get(index).and_then(|lane| lane.take()) else { break };
                let now = self.clock.now();
                for (message, body) in block.drain() {
                    match message {
                        ToWorker::SubmitResult { origin, result } => {
                            self.submit_result(origin, result, stats)
                        }
                        ToWorker::Outcome { origin, outcome } => self.outcome(origin, &outcome, stats),
                        ToWorker::PauseHeard { session } => self.pause_heard(session),
                        ToWorker::OperationResult { session, ticket, answer } => {
                            self.operation_result(session, ticket, answer, stats)
                        }
                        ToWorker::OperationBody { session, ticket } => {
                            self.operation_body(session, ticket, body, stats);
                        }
                        ToWorker::MultiAccepted { request, count } => self.multis.accepted(request, count),
                        ToWorker::MultiRefused { request, index, status } => {
                            self.multis.refused(request, index, status);
                        }
                        ToWorker::Alert { session } => {
                            let write = |out: &mut Vec<u8>| out.extend_from_slice(body);
                            self.alert(session, body.len(), now, stats, write);
                        }
                        ToWorker::Deliver { session, token } => {
                            self.deliver_body(session, token, body, now, stats)
                        }
                    }
                }
                if let Some(lane) = self.from_shards.get(index) {
                    lane.give_back(block);
                }
            }
        }
        self.tell_of_pauses(shard, stats);
    }

    /// A submission has been decided.
    pub fn submit_result(
        &mut self,
        origin: Origin,
        result: Result<MessageId, CommandStatus>,
        stats: &mut ThreadStats,
    ) {
        if origin.operation == SubmitOperation::SubmitMulti {
            // Late answers are all good ones: a shard refuses at once or never.
            debug_assert!(result.is_ok());
            return self.multis.accepted(origin.sequence_number, 1);
        }
        let close = self.with_output(origin.session, origin.received_at, stats, |session, output| {
            session.submit_result(origin.operation, origin.sequence_number, result, output)
        });
        let slot = origin.session.slot;
        if result.is_err()
            && close.is_some()
            && let Some(account) = self.connections.get_mut(slot).and_then(|it| it.session.account())
            && let Some(account) = self.accounts.get(account)
        {
            account.refused(1);
        }
        self.after_answer(origin.session, close.flatten());
    }

    /// The message of a submission in transaction mode is final.
    pub fn outcome(&mut self, origin: Origin, outcome: &DeliveryOutcome, stats: &mut ThreadStats) {
        let Origin { session, operation, sequence_number, received_at } = origin;
        let close = self.with_output(session, received_at, stats, |session, output| {
            session.outcome(operation, sequence_number, outcome, output)
        });
        self.after_answer(session, close.flatten());
    }

    /// A request of a session has been answered: there is room in its window, or it was all that a drain waited for.
    pub(super) fn after_answer(&mut self, session: SessionHandle, close: Option<CloseReason>) {
        let slot = session.slot;
        if let Some(reason) = close {
            self.ending.push((slot, reason));
        }
        self.window_moved(slot);
    }

    /// A request of a session has been answered: what its window held back may go on.
    #[inline]
    pub(super) fn window_moved(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot)
            && connection.stalled == Some(StallReason::Window)
        {
            connection.stalled = None;
            self.mark_ready(slot);
        }
    }

    /// A shard on this thread hands over a delivery. False: the session takes none.
    pub fn deliver(
        &mut self,
        to: SessionHandle,
        token: DeliveryToken,
        deliver_sm: &DeliverSm<'_>,
        now: Now,
        stats: &mut ThreadStats,
    ) -> bool {
        match self.delivers_by(to, deliver_sm) {
            CommandId::DATA_SM => {
                let len = AsDataSm(deliver_sm).body_len();
                let write = |out: &mut Vec<u8>| AsDataSm(deliver_sm).encode_body(out);
                self.hand_over(to, token, CommandId::DATA_SM, len, now, stats, write)
            }
            by => {
                let len = deliver_sm.body_len();
                self.hand_over(to, token, by, len, now, stats, |out| deliver_sm.encode_body(out))
            }
        }
    }

    /// A shard has an alert_notification for a session. False: it takes none.
    pub fn alert(
        &mut self,
        to: SessionHandle,
        len: usize,
        now: Now,
        stats: &mut ThreadStats,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let sent = self.with_output(to, now.mono, stats, |session, output| session.alert(len, output, write));
        sent.unwrap_or(false)
    }

    /// By which request the session gets this; deliver_sm where there is no such session.
    #[inline]
    fn delivers_by(&mut self, to: SessionHandle, deliver_sm: &DeliverSm<'_>) -> CommandId {
        let found = self.connections.get_mut(to.slot).filter(|found| found.handle == to);
        found.map_or(CommandId::DELIVER_SM, |connection| {
            connection
                .session
                .delivers_by(deliver_sm.esm_class.is_receipt() || deliver_sm.esm_class.is_intermediate())
        })
    }

    fn deliver_body(
        &mut self,
        to: SessionHandle,
        token: DeliveryToken,
        body: &[u8],
        now: Now,
        stats: &mut ThreadStats,
    ) {
        let uses_data_sm = self
            .connections
            .get_mut(to.slot)
            .is_some_and(|connection| connection.handle == to && connection.session.uses_data_sm());
        let taken = !self.is_paused(to)
            && match if uses_data_sm { DeliverSm::decode(body).ok() } else { None } {
                Some(deliver_sm) => self.deliver(to, token, &deliver_sm, now, stats),
                None => {
                    let by = CommandId::DELIVER_SM;
                    self.hand_over(to, token, by, body.len(), now, stats, |out| out.extend_from_slice(body))
                }
            };
        if !taken {
            self.links.reply(ToShard::DeliveryResult { token, result: DeliveryResult::NotSent }, token.shard);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what the two ways of a delivery have in common")]
    fn hand_over(
        &mut self,
        to: SessionHandle,
        token: DeliveryToken,
        by: CommandId,
        len: usize,
        now: Now,
        stats: &mut ThreadStats,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let taken = self.with_output(to, now.mono, stats, |session, output| {
            session.deliver(token, by, len, now.mono, output, write)
        });
        let taken = taken.unwrap_or(false);
        if taken {
            let at = now.mono.plus_millis(self.settings.response_timeout_ms);
            self.arm_timer_by(to.slot, at);
            self.pause_if_full(to, stats);
        }
        taken
    }
}
