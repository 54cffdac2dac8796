//! Hosts one routing shard on a runtime thread: its lanes from and to the workers, its store, its turns.

mod control;
mod output;

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use self::output::{FactsOnly, TurnOutput};
use super::congestion::Congestion;
use super::hosted_store::HostedStore;
use super::lane::{LaneReceiver, LaneSender};
use super::outbind::Board;
use super::reconfigure::ShardsChange;
use super::thread::{ThreadStats, ThreadWaker};
use super::values::{ToShard, ToWorker};
use super::worker::Worker;
use crate::base::{MessageId, Now, Time};
use crate::control_lane::{StoreStats, Wake};
use crate::limits::{LANE_BLOCKS_PER_TURN, SHARD_SHARE_ITEMS_MAX, SHARD_TURN_MESSAGES_MAX};
use crate::network::Network;
use crate::routing::{self, Asker, Multi, OperationOutcome, Shard, SubmitOutcome, TooManyMessages};
use crate::session::{DeliveryResult, Disposition, Origin, SubmitRequest};
use crate::smpp::{CommandStatus, Operation, OperationAnswer, PduBody, SubmitSm};
use crate::stats::{Counter, Latency};
use crate::store::journal::{Damage, Failure};

/// Between two looks at a committer that is busy, when everything is to be handed to it.
const CLOSE_WAIT: Duration = Duration::from_millis(1);

/// The routing core as this runtime hosts it.
pub type HostedShard = Shard<HostedStore, Network>;

/// The lane to one worker on another thread, and how to wake it.
pub type ToWorkerLane = Option<(LaneSender<ToWorker>, Arc<ThreadWaker>)>;

/// A shard and its surroundings.
pub struct ShardHost {
    shard: HostedShard,
    /// By worker index; `None` is the worker on this thread.
    to_workers: Vec<ToWorkerLane>,
    /// With the index of the worker that sends.
    from_workers: Vec<(u16, LaneReceiver<ToShard>)>,
    /// Which lane has the first go; rotates.
    first_lane: usize,
    /// Taken from the lanes so far.
    requests: u64,
    /// Control's MO messages that are not held yet, with the requests that they came in; few, as those are bounded.
    mo_waiting: Vec<(MessageId, u64)>,
    /// The same once they are.
    mo_held: Vec<(MessageId, u64)>,
    /// Where it says how full it is, if peers are told.
    congestion: Option<Arc<Congestion>>,
    /// Where it says for which accounts messages wait, if ESMEs are to be called.
    board: Option<Arc<Board>>,
}

impl ShardHost {
    /// Hosts `shard`.
    pub const fn new(
        shard: HostedShard,
        to_workers: Vec<ToWorkerLane>,
        from_workers: Vec<(u16, LaneReceiver<ToShard>)>,
    ) -> Self {
        Self {
            shard,
            to_workers,
            from_workers,
            first_lane: 0,
            requests: 0,
            mo_waiting: Vec::new(),
            mo_held: Vec::new(),
            congestion: None,
            board: None,
        }
    }

    /// From now on it says there how full it is.
    #[must_use]
    pub fn with_congestion(mut self, congestion: Option<Arc<Congestion>>) -> Self {
        self.congestion = congestion;
        self
    }

    /// From now on it says there for which accounts messages wait.
    #[must_use]
    pub fn with_board(mut self, board: &Arc<Board>) -> Self {
        self.board = (!board.is_empty()).then(|| Arc::clone(board));
        self
    }

    /// Decides a submission of the worker on this thread.
    #[inline]
    pub fn submit(&mut self, submit: &SubmitRequest<'_>, now: Now, stats: &mut ThreadStats) -> Disposition {
        let submit = routing::Submit {
            origin: to_routing(submit.origin),
            account: submit.account,
            version: submit.version,
            sm: submit.sm,
            body: submit.body,
        };
        match self.shard.submit(&submit, now, &mut FactsOnly { stats }) {
            SubmitOutcome::Accepted(message_id) => Disposition::Answered(Ok(message_id)),
            SubmitOutcome::Refused(status) => Disposition::Answered(Err(status)),
            SubmitOutcome::Later => Disposition::InFlight,
        }
    }

    /// Carries out an operation. `None`: the answer comes later.
    pub fn operate(
        &mut self,
        request: &routing::OperationRequest<'_>,
        now: Now,
        stats: &mut ThreadStats,
    ) -> Option<OperationAnswer> {
        match self.shard.operate(request, now, &mut FactsOnly { stats }) {
            OperationOutcome::Answered(answer) => Some(answer),
            OperationOutcome::Later => None,
        }
    }

    /// Takes in what a submit_multi of the worker on this thread has for the shard. How many are held now.
    pub fn submit_multi(
        &mut self,
        message: &ToShard,
        batch: &[u8],
        now: Now,
        stats: &mut ThreadStats,
        refused: impl FnMut(u16, CommandStatus),
    ) -> u16 {
        take_multi(&mut self.shard, message, batch, now, stats, refused)
    }

    /// Takes a message from a worker in, other than a submission of the worker on this thread.
    pub fn take(&mut self, message: ToShard, body: &[u8], now: Now, stats: &mut ThreadStats) {
        match message {
            ToShard::Submit { origin, account, version } => {
                let result = match &SubmitSm::decode(body) {
                    Ok(sm) => {
                        let submit =
                            routing::Submit { origin: to_routing(origin), account, version, sm, body };
                        match self.shard.submit(&submit, now, &mut FactsOnly { stats }) {
                            SubmitOutcome::Accepted(message_id) => Ok(message_id),
                            SubmitOutcome::Refused(status) => Err(status),
                            SubmitOutcome::Later => return,
                        }
                    }
                    // The worker decoded the same octets; to answer is still better than to assume so.
                    Err(error) => Err(error.status),
                };
                if let Some(lane) = lane_to(&mut self.to_workers, origin.session.worker) {
                    lane.push_reply(ToWorker::SubmitResult { origin, result });
                }
            }
            ToShard::Operate { session, ticket, account, version, command_id } => {
                let operation = Operation::decode(command_id, body, version);
                let answer = match operation {
                    Some(Ok(operation)) => {
                        let asker = Asker { session, ticket };
                        let request = routing::OperationRequest { asker, account, version, operation };
                        self.operate(&request, now, stats)
                    }
                    Some(Err(error)) => Some(OperationAnswer::Refused(error.status)),
                    None => Some(OperationAnswer::NotFound),
                };
                if let (Some(answer), Some(lane)) = (answer, lane_to(&mut self.to_workers, session.worker)) {
                    lane.push_reply(ToWorker::OperationResult { session, ticket, answer });
                }
            }
            ToShard::SubmitMulti { origin, .. } => {
                let Self { shard, to_workers, .. } = self;
                let request = origin.sequence_number;
                let Some(lane) = lane_to(to_workers, origin.session.worker) else { return };
                let count = take_multi(shard, &message, body, now, stats, |index, status| {
                    lane.push_reply(ToWorker::MultiRefused { request, index, status });
                });
                if count > 0 {
                    lane.push_reply(ToWorker::MultiAccepted { request, count });
                }
            }
            ToShard::DeliveryResult { token, result } => {
                let result = match result {
                    DeliveryResult::Answered(status) => routing::DeliveryResult::Answered(status),
                    DeliveryResult::TimedOut => routing::DeliveryResult::TimedOut,
                    DeliveryResult::NotSent => routing::DeliveryResult::NotSent,
                };
                self.shard.delivery_result(token, result, now, &mut FactsOnly { stats });
            }
            ToShard::Bound { address_range, session, account, version, receives, deliver_credit } => {
                let bound = routing::Bound {
                    session,
                    account,
                    version,
                    receives,
                    deliver_credit,
                    address_range: address_range.as_bytes(),
                };
                self.shard.session_bound(&bound, &mut FactsOnly { stats });
            }
            ToShard::DeliveriesOff { session } => self.shard.session_closing(session),
            ToShard::Paused { session } => {
                self.shard.session_paused(session);
                if let Some(lane) = lane_to(&mut self.to_workers, session.worker) {
                    lane.push_reply(ToWorker::PauseHeard { session });
                }
            }
            ToShard::Resumed { session } => self.shard.session_resumed(session),
            ToShard::Unbound { session } => self.shard.session_unbound(session),
        }
    }

    /// Takes a bounded batch from every lane, starting with another one each turn. A worker that does not take its
    /// answers is not served until it does.
    pub fn drain_lanes(&mut self, now: Now, stats: &mut ThreadStats) {
        let lanes = self.from_workers.len();
        if lanes == 0 {
            return;
        }
        self.first_lane = (self.first_lane + 1) % lanes;
        // One item may be many messages, and what a turn takes in it should be able to handle.
        let filled = self.shard.pending().saturating_add(SHARD_TURN_MESSAGES_MAX as u32);
        for offset in 0..lanes {
            let index = (self.first_lane + offset) % lanes;
            for _ in 0..LANE_BLOCKS_PER_TURN {
                if self.shard.pending() >= filled {
                    return;
                }
                let Some((worker, lane)) = self.from_workers.get(index) else { break };
                if lane_to(&mut self.to_workers, *worker).is_some_and(|lane| lane.backlog() > 0) {
                    break;
                }
                let Some(mut block) = lane.take() else { break };
                for (message, body) in block.drain() {
                    self.take(message, body, now, stats);
                    self.requests += 1;
                }
                if let Some((_, lane)) = self.from_workers.get(index) {
                    lane.give_back(block);
                }
            }
        }
    }

    /// Requests of workers on other threads, all in all.
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Takes up what an earlier run has left in the store. How many messages; to be called once, before anything else.
    ///
    /// # Errors
    /// When there are more than the shard may hold.
    pub fn recover(&mut self, now: Now, stats: &mut ThreadStats) -> Result<u64, TooManyMessages> {
        self.shard.recover(now, &mut FactsOnly { stats })
    }

    /// Takes over what a reload has changed.
    pub fn reconfigure(&mut self, change: &ShardsChange) {
        if let Some(numbers) = &change.numbers {
            self.shard.store_mut().set_account_numbers(numbers.clone());
        }
        // The configuration was checked as a whole; what can't be here would be a mistake of ours.
        if let Err(error) = self.shard.reconfigure(change.routing.clone()) {
            error!(%error, "the accounts could not be taken over");
        }
        if let Some(board) = &change.board {
            self.board = (!board.is_empty()).then(|| Arc::clone(board));
        }
        self.shard.network_mut().set_areas(change.areas.clone());
        if let Err(error) = self.shard.network_mut().set_profiles(&change.profiles) {
            error!(%error, "the network's profiles could not be taken over");
        }
    }

    /// Begins a turn: takes in what has become durable since the last one.
    #[inline]
    pub fn begin_turn(&mut self, now: Now, stats: &mut ThreadStats) {
        let latencies = &mut stats.latencies;
        self.shard.store_mut().poll(now.mono, |nanos, messages| {
            latencies.record_n(Latency::Commit, nanos, u64::from(messages));
        });
        if let Some(damage) = self.shard.store_mut().take_damage() {
            let (shard, Damage { file, segment, offset, .. }) = (self.shard.index(), damage);
            error!(
                shard,
                file,
                segment,
                offset,
                "the store is damaged: a message here could not be read back, and ends as undeliverable"
            );
        }
    }

    /// The figures of its store on disk, if it has one.
    pub fn store_stats(&self) -> Option<StoreStats> {
        self.shard.store().stats()
    }

    /// Hands the last log entries to the store's threads and lets go of them.
    pub fn close(mut self, now: Now) {
        let (store, mut endings) = self.shard.store_and_endings(now);
        store.close(&mut endings, || std::thread::sleep(CLOSE_WAIT));
    }

    /// Runs a share of what is due: verdicts, retries, expiries, deliveries. `worker` is the one on this thread, if any. True:
    /// more is ready now.
    pub fn turn(&mut self, worker: &mut Option<Worker>, now: Now, stats: &mut ThreadStats) -> bool {
        let mut output = TurnOutput {
            to_workers: &mut self.to_workers,
            worker,
            now,
            stats,
            mo_waiting: &mut self.mo_waiting,
            mo_held: &mut self.mo_held,
        };
        let more = self.shard.turn(now, SHARD_SHARE_ITEMS_MAX, &mut output);
        if let Some(congestion) = &self.congestion {
            let (held, maximum) = self.shard.fill();
            congestion.note(self.shard.index(), held, maximum);
        }
        if let Some(board) = &self.board {
            board.note(self.shard.index(), |account| self.shard.waits_for_receiver(account));
        }
        more
    }

    /// Why nothing becomes durable any more, if so; then nothing may be promised any more either.
    pub fn failure(&self) -> Option<&Failure> {
        self.shard.store().failure()
    }

    /// Publishes what the turn has added, and wakes the threads that sleep.
    pub fn publish(&mut self, stats: &ThreadStats) {
        for (lane, waker) in self.to_workers.iter_mut().flatten() {
            if lane.publish() {
                waker.wake();
                stats.counters.add(Counter::Wakes, 1);
            }
        }
    }

    /// Ends a turn, with nothing else to do if this thread `is_idle`. True: what the turn has entered is durable.
    pub fn send_off(&mut self, is_idle: bool) -> bool {
        self.shard.store_mut().send_off(is_idle)
    }

    /// Whether anything came in, to decide on sleeping.
    pub fn has_input(&self) -> bool {
        self.shard.store().has_news() || self.from_workers.iter().any(|(_, lane)| !lane.is_empty())
    }

    /// Whether answers wait for room in a lane.
    pub fn is_stalled(&self) -> bool {
        self.to_workers.iter().flatten().any(|(lane, _)| !lane.is_idle())
    }

    /// When something falls due.
    pub fn next_deadline(&self) -> Option<Time> {
        self.shard.next_deadline()
    }
}

fn take_multi(
    shard: &mut HostedShard,
    message: &ToShard,
    batch: &[u8],
    now: Now,
    stats: &mut ThreadStats,
    refused: impl FnMut(u16, CommandStatus),
) -> u16 {
    let ToShard::SubmitMulti { origin, account, version, message_id, names_first } = *message else {
        return 0;
    };
    let origin = to_routing(origin);
    let multi = Multi { origin, account, version, message_id, names_first, batch };
    shard.submit_multi(&multi, now, &mut FactsOnly { stats }, refused)
}

fn lane_to(lanes: &mut [ToWorkerLane], worker: u16) -> Option<&mut LaneSender<ToWorker>> {
    lanes.get_mut(usize::from(worker))?.as_mut().map(|(lane, _)| lane)
}

const fn to_routing(origin: Origin) -> routing::Origin {
    routing::Origin {
        session: origin.session,
        sequence_number: origin.sequence_number,
        operation: origin.operation,
        received_at: origin.received_at,
    }
}

const fn to_session(origin: routing::Origin) -> Origin {
    Origin {
        session: origin.session,
        sequence_number: origin.sequence_number,
        operation: origin.operation,
        received_at: origin.received_at,
    }
}
