//! What a shard says: its facts are counted, its answers and deliveries go to the workers.

use tracing::warn;

use super::super::thread::ThreadStats;
use super::super::values::ToWorker;
use super::super::worker::Worker;
use super::{ToWorkerLane, lane_to, to_session};
use crate::base::{DeliveryToken, MessageId, Now, SessionHandle};
use crate::routing::{self, Asker, MessageEvent, RecoveredAs, ShardOutput};
use crate::smpp::{
    AlertNotification, CommandStatus, DeliverSm, DeliveryOutcome, MessageState, OperationAnswer, PduBody,
};
use crate::stats::{AccountCounter, Counter, Latency};

/// Counts what a shard says has happened.
fn count(fact: routing::Fact, stats: &mut ThreadStats) {
    use routing::Fact;
    let (account, counter) = match fact {
        Fact::Finished { account, state, nanos } => {
            stats.latencies.record(Latency::EndToEnd, nanos);
            let counter = match state {
                MessageState::Delivered => AccountCounter::Delivered,
                MessageState::Expired => AccountCounter::Expired,
                MessageState::Deleted => AccountCounter::Deleted,
                MessageState::Rejected => AccountCounter::RejectedByNetwork,
                _ => AccountCounter::Undeliverable,
            };
            (account, counter)
        }
        // It was accepted, and will never be delivered.
        Fact::Replaced { account } => (account, AccountCounter::Deleted),
        Fact::TransactionAccepted { account } => (account, AccountCounter::Accepted),
        Fact::ReceiptCreated { account } => (account, AccountCounter::ReceiptsCreated),
        Fact::ReceiptSettled { account, nanos } => {
            stats.latencies.record(Latency::Receipt, nanos);
            (account, AccountCounter::ReceiptsSent)
        }
        Fact::ReceiptFailed { account } => (account, AccountCounter::ReceiptsFailed),
        Fact::AlertSent { .. } => return stats.counters.add(Counter::AlertsSent, 1),
        Fact::AlertDropped { .. } => return stats.counters.add(Counter::AlertsDropped, 1),
        Fact::MoAccepted { account } => (account, AccountCounter::MoAccepted),
        Fact::MoDelivered { account, .. } => (account, AccountCounter::MoDelivered),
        Fact::MoFailed { account } => (account, AccountCounter::MoFailed),
        Fact::Attempt => return stats.counters.add(Counter::DeliveryAttempts, 1),
        Fact::Retry => return stats.counters.add(Counter::DeliveryRetries, 1),
        Fact::StaleToken => return stats.counters.add(Counter::StaleDeliveryTokens, 1),
        Fact::NotificationSkipped { .. } => return stats.counters.add(Counter::NotificationsSkipped, 1),
        Fact::MoRefused(_) => return stats.counters.add(Counter::MoRefused, 1),
        Fact::BadAddressRange { .. } => return stats.counters.add(Counter::BadAddressRanges, 1),
        Fact::Recovered { account, recovered_as } => match recovered_as {
            RecoveredAs::Mt => (account, AccountCounter::Recovered),
            RecoveredAs::Mo => (account, AccountCounter::MoRecovered),
            RecoveredAs::Receipt => (account, AccountCounter::ReceiptsRecovered),
            RecoveredAs::Alert => return,
        },
        Fact::Unrecoverable { message_id } => {
            return warn!(%message_id, "the store holds a message that makes no sense; it is left there");
        }
        Fact::BodyMissing { message_id } => return warn!(%message_id, "the store has lost a message's body"),
    };
    stats.counters.add_account(account, counter, 1);
}

/// Puts what has happened to a message on record.
fn record(event: &MessageEvent<'_>, stats: &mut ThreadStats) {
    if let Some(events) = &mut stats.events
        && !events.record(event)
    {
        stats.counters.add(Counter::EventRecordsLost, 1);
    }
}

/// The output while a worker's session core is busy on this thread: only facts. Deliveries wait for the turn.
pub(super) struct FactsOnly<'a> {
    pub(super) stats: &'a mut ThreadStats,
}

impl ShardOutput for FactsOnly<'_> {
    fn submit_result(&mut self, origin: routing::Origin, result: Result<MessageId, CommandStatus>) {
        debug_assert!(false, "a late answer outside of a turn: {origin:?} {result:?}");
    }

    fn operation_result(&mut self, asker: Asker, answer: OperationAnswer) {
        debug_assert!(false, "a late answer outside of a turn: {asker:?} {answer:?}");
    }

    fn mo_held(&mut self, message_id: MessageId) {
        debug_assert!(false, "held outside of a turn: {message_id}");
    }

    fn deliver(&mut self, _: SessionHandle, _: DeliveryToken, _: &DeliverSm<'_>) -> bool {
        false
    }

    fn alert(&mut self, _: SessionHandle, _: &AlertNotification<'_>) -> bool {
        false
    }

    fn message_event(&mut self, event: &MessageEvent<'_>) {
        record(event, self.stats);
    }

    #[inline]
    fn fact(&mut self, fact: routing::Fact) {
        count(fact, self.stats);
    }
}

/// The output of a turn: to the worker on this thread directly, to the others by lane.
pub(super) struct TurnOutput<'a> {
    pub(super) to_workers: &'a mut [ToWorkerLane],
    pub(super) worker: &'a mut Option<Worker>,
    pub(super) now: Now,
    pub(super) stats: &'a mut ThreadStats,
    pub(super) mo_waiting: &'a mut Vec<(MessageId, u64)>,
    pub(super) mo_held: &'a mut Vec<(MessageId, u64)>,
}

impl ShardOutput for TurnOutput<'_> {
    fn submit_result(&mut self, origin: routing::Origin, result: Result<MessageId, CommandStatus>) {
        let origin = to_session(origin);
        match (lane_to(self.to_workers, origin.session.worker), &mut self.worker) {
            (Some(lane), _) => lane.push_reply(ToWorker::SubmitResult { origin, result }),
            (None, Some(worker)) => worker.submit_result(origin, result, self.stats),
            (None, None) => debug_assert!(false, "a session of no worker"),
        }
    }

    fn outcome(&mut self, origin: routing::Origin, outcome: &DeliveryOutcome) {
        let (origin, outcome) = (to_session(origin), *outcome);
        match (lane_to(self.to_workers, origin.session.worker), &mut self.worker) {
            (Some(lane), _) => lane.push_reply(ToWorker::Outcome { origin, outcome }),
            (None, Some(worker)) => worker.outcome(origin, &outcome, self.stats),
            (None, None) => debug_assert!(false, "a session of no worker"),
        }
    }

    fn operation_result(&mut self, asker: Asker, answer: OperationAnswer) {
        let Asker { session, ticket } = asker;
        match (lane_to(self.to_workers, session.worker), &mut self.worker) {
            (Some(lane), _) => lane.push_reply(ToWorker::OperationResult { session, ticket, answer }),
            (None, Some(worker)) => worker.operation_result(session, ticket, answer, self.stats),
            (None, None) => debug_assert!(false, "a session of no worker"),
        }
    }

    fn operation_body(&mut self, asker: Asker, body: &[u8]) -> bool {
        let Asker { session, ticket } = asker;
        match (lane_to(self.to_workers, session.worker), &mut self.worker) {
            (Some(lane), _) => {
                let message = ToWorker::OperationBody { session, ticket };
                lane.push_request(message, body.len(), |out| out.extend_from_slice(body))
            }
            (None, Some(worker)) => {
                worker.operation_body(session, ticket, body, self.stats);
                true
            }
            (None, None) => true,
        }
    }

    fn mo_held(&mut self, message_id: MessageId) {
        // One that the network brought is nobody's request.
        if let Some(index) = self.mo_waiting.iter().position(|waiting| waiting.0 == message_id) {
            self.mo_held.push(self.mo_waiting.remove(index));
        }
    }

    #[inline]
    fn deliver(&mut self, to: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool {
        match (lane_to(self.to_workers, to.worker), &mut self.worker) {
            (Some(lane), _) => {
                let message = ToWorker::Deliver { session: to, token };
                lane.push_request(message, deliver_sm.body_len(), |out| deliver_sm.encode_body(out))
            }
            (None, Some(worker)) => worker.deliver(to, token, deliver_sm, self.now, self.stats),
            (None, None) => false,
        }
    }

    fn alert(&mut self, to: SessionHandle, alert: &AlertNotification<'_>) -> bool {
        match (lane_to(self.to_workers, to.worker), &mut self.worker) {
            (Some(lane), _) => {
                let message = ToWorker::Alert { session: to };
                lane.push_request(message, alert.body_len(), |out| alert.encode_body(out))
            }
            (None, Some(worker)) => {
                let write = |out: &mut Vec<u8>| alert.encode_body(out);
                worker.alert(to, alert.body_len(), self.now, self.stats, write)
            }
            (None, None) => false,
        }
    }

    #[inline]
    fn is_full(&mut self, session: SessionHandle) -> bool {
        match (lane_to(self.to_workers, session.worker), &self.worker) {
            (None, Some(worker)) => worker.is_paused(session),
            _ => false,
        }
    }

    fn message_event(&mut self, event: &MessageEvent<'_>) {
        record(event, self.stats);
    }

    #[inline]
    fn fact(&mut self, fact: routing::Fact) {
        count(fact, self.stats);
    }
}
