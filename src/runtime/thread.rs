//! A runtime thread: one mio poll, and on it a worker, a routing shard, or both.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use super::clock::Clock;
use super::events::EventLane;
use super::lookout::{Handled, Lookout};
use super::reconfigure::{Step, StepEnd};
use super::shard_host::ShardHost;
use super::sleeper::Sleeper;
use super::worker::{Peek, Worker};
use crate::base::{Now, Time};
use crate::control_lane::{ControlEnd, ControlReply, ControlRequest, MoRefused, Wake};
use crate::limits::{
    LANE_RETRY_MS, LONG_TURN_NANOS, POLL_EVENTS, SHARD_SHARE_ITEMS_MAX, SHARD_TURN_ITEMS_MAX,
};
use crate::stats::{Counter, LatencySet, ThreadCounters};

/// The waker's token; no session slot reaches it.
pub const WAKER: Token = Token(usize::MAX);

/// What the thread's cores have to report. Written by this thread only.
pub struct ThreadStats {
    /// Read by control at any time.
    pub counters: Arc<ThreadCounters>,
    /// Handed to control on request.
    pub latencies: Box<LatencySet>,
    /// Where the shard's event records go, if any are kept.
    pub events: Option<EventLane>,
}

/// Wakes a runtime thread if it sleeps.
#[derive(Debug)]
pub struct ThreadWaker {
    sleeper: Sleeper,
    waker: Waker,
}

impl ThreadWaker {
    /// A waker for the thread that polls `poll`.
    ///
    /// # Errors
    /// When the system gives no event descriptor.
    pub fn new(poll: &Poll) -> io::Result<Self> {
        Ok(Self { sleeper: Sleeper::new(), waker: Waker::new(poll.registry(), WAKER)? })
    }
}

impl Wake for ThreadWaker {
    fn wake(&self) {
        if self.sleeper.take_wake() {
            self.rouse();
        }
    }

    fn rouse(&self) {
        // A failed wake-up delays, until the next timer, and loses nothing.
        let woken = self.waker.wake();
        debug_assert!(woken.is_ok(), "{woken:?}");
    }
}

/// What tells the threads of one process when all workers have left, so that the shards may.
#[derive(Debug)]
pub struct Leaving {
    workers: AtomicUsize,
    wakers: Vec<Arc<ThreadWaker>>,
}

impl Leaving {
    /// `workers` are running; `wakers` wake every thread.
    pub const fn new(workers: usize, wakers: Vec<Arc<ThreadWaker>>) -> Self {
        Self { workers: AtomicUsize::new(workers), wakers }
    }

    fn worker_left(&self) {
        self.workers.fetch_sub(1, Ordering::AcqRel);
        for waker in &self.wakers {
            waker.rouse();
        }
    }

    fn all_left(&self) -> bool {
        self.workers.load(Ordering::Acquire) == 0
    }
}

/// A runtime thread, ready to run.
pub struct RuntimeThread {
    /// Its index among the runtime threads.
    pub index: usize,
    /// Its poll.
    pub poll: Poll,
    /// Its own waker, for the announcement of sleep.
    pub waker: Arc<ThreadWaker>,
    /// The process's clock.
    pub clock: Clock,
    /// The worker here, if any.
    pub worker: Option<Worker>,
    /// The shard here, if any.
    pub shard: Option<ShardHost>,
    /// Its counters and latencies.
    pub stats: ThreadStats,
    /// Its end of the control lane.
    pub control: ControlEnd,
    /// Its end of what carries changed configurations.
    pub reconfigure: StepEnd,
    /// Whether it looks for work before it sleeps.
    pub lookout: Lookout,
    /// From the start of a shutdown until connections are dropped, in milliseconds.
    pub stop_timeout_ms: u64,
    /// Which workers are still here.
    pub leaving: Arc<Leaving>,
}

/// Where a shutdown of the thread stands.
enum Stop {
    No,
    /// Sessions are unbinding.
    Draining {
        deadline: Time,
    },
    /// The worker has left; a shard stays while any worker does.
    WorkerLeft,
}

impl RuntimeThread {
    /// Runs until control says to shut down and all has drained.
    ///
    /// # Errors
    /// When the poll or the shard's store fails: nothing can be served after that. Control is told.
    pub fn run(mut self) -> io::Result<()> {
        let result = self.run_turns();
        if let Err(error) = &result {
            self.control.reply(ControlReply::Failed { thread: self.index, why: error.to_string() });
        }
        result
    }

    fn run_turns(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(POLL_EVENTS);
        let mut peeked = Events::with_capacity(POLL_EVENTS);
        let mut stop = Stop::No;
        let mut more = false;
        let mut stalled = false;
        loop {
            let timeout = if more { Some(Duration::ZERO) } else { self.timeout(stalled, &stop) };
            let slept = self.poll(&mut events, timeout)?;
            let now = self.clock.now();
            self.stats.counters.add(Counter::Turns, 1);
            self.stats.counters.add(Counter::Sleeps, u64::from(slept));
            if let Some(shard) = &mut self.shard {
                shard.begin_turn(now, &mut self.stats);
            }
            self.take_steps();
            self.take_requests(now, &mut stop);
            if let Some(worker) = &mut self.worker {
                worker.take_events(&events, WAKER);
                let mut peek = Peek { poll: &mut self.poll, events: &mut peeked, last: now.mono };
                worker.take_in(&mut peek, &mut self.shard, &mut self.stats);
            }
            more = self.run_shard(now, &mut peeked);
            if let Some(failure) = self.shard.as_ref().and_then(ShardHost::failure) {
                return Err(io::Error::other(failure.clone()));
            }
            stalled = self.shard.as_ref().is_some_and(ShardHost::is_stalled);
            if let Some(worker) = &mut self.worker {
                let left = worker.put_out(&mut self.shard, &mut self.stats);
                more |= left.more;
                stalled |= left.stalled;
            }
            if let Some(shard) = &mut self.shard {
                shard.publish(&self.stats);
                if let Some(events) = &mut self.stats.events {
                    stalled |= !events.publish();
                }
            }
            self.lookout.turned(now.mono, self.handled());
            if self.clock.time().nanos_since(now.mono) > LONG_TURN_NANOS {
                self.stats.counters.add(Counter::LongTurns, 1);
            }
            let is_idle = !more && !stalled && !self.has_input();
            more |= self.shard.as_mut().is_some_and(|shard| shard.send_off(is_idle));
            if self.leave(&mut stop) {
                if let Some(shard) = self.shard.take() {
                    shard.close(now);
                }
                self.control.reply(ControlReply::Left { thread: self.index });
                return Ok(());
            }
        }
    }

    /// Runs what is due in the shard, in shares, with a look for light sessions after each. True: more is ready now.
    fn run_shard(&mut self, now: Now, peeked: &mut Events) -> bool {
        let Some(shard) = &mut self.shard else { return false };
        shard.drain_lanes(now, &mut self.stats);
        let mut more = true;
        let mut peek = Peek { poll: &mut self.poll, events: peeked, last: now.mono };
        for _ in 0..SHARD_TURN_ITEMS_MAX / SHARD_SHARE_ITEMS_MAX {
            let Some(shard) = &mut self.shard else { return false };
            more = shard.turn(&mut self.worker, now, &mut self.stats);
            if !more {
                break;
            }
            if let Some(worker) = &mut self.worker {
                worker.look_for_light(&mut peek, &mut self.shard, &mut self.stats);
            }
        }
        if let Some(shard) = &mut self.shard {
            for (message_id, request) in shard.held_mo() {
                self.control.reply(ControlReply::InjectMo { request, result: Ok(message_id) });
            }
        }
        more
    }

    /// What has been taken in and given out so far.
    fn handled(&self) -> Handled {
        let counters = &self.stats.counters;
        Handled {
            received: counters.get(Counter::PdusReceived),
            sent: counters.get(Counter::PdusSent),
            requests: self.shard.as_ref().map_or(0, ShardHost::requests),
        }
    }

    /// Polls, asleep only if nothing has come in since the announcement. True: it may have slept.
    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<bool> {
        let mut timeout = timeout;
        let sleeps = timeout != Some(Duration::ZERO);
        if sleeps {
            self.waker.sleeper.announce();
            if self.has_input() {
                timeout = Some(Duration::ZERO);
            }
        }
        let polled = self.poll.poll(events, timeout);
        if sleeps {
            self.waker.sleeper.awake();
        }
        match polled {
            Ok(()) => Ok(sleeps),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(sleeps),
            Err(error) => Err(error),
        }
    }

    /// How long the poll may sleep. `None`: until something comes.
    fn timeout(&self, stalled: bool, stop: &Stop) -> Option<Duration> {
        let now = self.clock.time();
        if self.lookout.looks(now) {
            // The work may be behind somebody who waits for this core.
            std::thread::yield_now();
            return Some(Duration::ZERO);
        }
        let worker = self.worker.as_ref().and_then(Worker::next_deadline);
        let shard = self.shard.as_ref().and_then(ShardHost::next_deadline);
        let retry = stalled.then(|| now.plus_millis(LANE_RETRY_MS));
        let stop = match stop {
            Stop::Draining { deadline } => Some(*deadline),
            _ => None,
        };
        let first = [worker, shard, retry, stop].into_iter().flatten().min()?;
        Some(first - now)
    }

    fn has_input(&self) -> bool {
        !self.control.requests.is_empty()
            || !self.reconfigure.steps.is_empty()
            || self.worker.as_ref().is_some_and(Worker::has_input)
            || self.shard.as_ref().is_some_and(ShardHost::has_input)
    }

    /// Takes over what a reload has changed.
    fn take_steps(&mut self) {
        while let Ok(step) = self.reconfigure.steps.try_recv() {
            match (step, &mut self.worker) {
                (Step::Shards(change), _) => {
                    if let Some(shard) = &mut self.shard {
                        shard.reconfigure(&change);
                    }
                }
                (Step::Workers(change), Some(worker)) => {
                    worker.reconfigure(&change, &mut self.shard, &mut self.stats);
                }
                (Step::Workers(_), None) => {}
            }
            // Full only of steps that nobody waits for any more.
            let _ = self.reconfigure.applied.try_send(());
        }
    }

    fn take_requests(&mut self, now: Now, stop: &mut Stop) {
        while let Ok(request) = self.control.requests.try_recv() {
            match request {
                ControlRequest::Snapshot { request, spare } => {
                    let latencies = std::mem::replace(&mut self.stats.latencies, spare);
                    let store = self.shard.as_ref().and_then(ShardHost::store_stats).map(Box::new);
                    let reply = ControlReply::Snapshot { request, thread: self.index, latencies, store };
                    self.control.reply(reply);
                }
                ControlRequest::Sessions { request } => {
                    let sessions = self.worker.as_ref().map(Worker::sessions).unwrap_or_default();
                    self.control.reply(ControlReply::Sessions { request, thread: self.index, sessions });
                }
                ControlRequest::InjectMo { request, message } => {
                    let result = match (&mut self.shard, &stop) {
                        (Some(shard), Stop::No) => shard.inject_mo(request, &message, now, &mut self.stats),
                        _ => Err(MoRefused::ShuttingDown),
                    };
                    if let Some(result) = result.transpose() {
                        self.control.reply(ControlReply::InjectMo { request, result });
                    }
                }
                ControlRequest::Notify { request, account, validity_ms, message } => {
                    let to = (account, validity_ms);
                    let result = match (&mut self.shard, &stop) {
                        (Some(shard), Stop::No) => {
                            shard.notify_account(request, to, &message, now, &mut self.stats)
                        }
                        _ => Err(MoRefused::ShuttingDown),
                    };
                    if let Some(result) = result.transpose() {
                        self.control.reply(ControlReply::InjectMo { request, result });
                    }
                }
                ControlRequest::QueryMessage { request, message_id } => {
                    let message = self.shard.as_mut().and_then(|shard| shard.message(message_id, now));
                    self.control.reply(ControlReply::Message { request, thread: self.index, message });
                }
                ControlRequest::Shutdown => {
                    if matches!(stop, Stop::No) {
                        *stop = Stop::Draining { deadline: now.mono.plus_millis(self.stop_timeout_ms) };
                        if let Some(worker) = &mut self.worker {
                            worker.begin_stop(&mut self.shard, &mut self.stats);
                        }
                    }
                }
            }
        }
    }

    /// Moves a shutdown on. True: this thread is done.
    fn leave(&self, stop: &mut Stop) -> bool {
        if let Stop::Draining { deadline } = stop {
            let open = self.worker.as_ref().map_or(0, Worker::connections);
            if open > 0 && self.clock.time() < *deadline {
                return false;
            }
            if self.worker.is_some() {
                self.leaving.worker_left();
            }
            *stop = Stop::WorkerLeft;
        }
        matches!(stop, Stop::WorkerLeft) && (self.shard.is_none() || self.leaving.all_left())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_worker_that_leaves_just_before_a_shards_thread_sleeps_is_noticed() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Arc::new(ThreadWaker::new(&poll).expect("a waker"));
        let leaving = Leaving::new(1, vec![Arc::clone(&waker)]);
        assert!(!leaving.all_left(), "so the thread is about to sleep");
        leaving.worker_left();
        waker.sleeper.announce();
        let started = Instant::now();
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
        assert!(leaving.all_left() && started.elapsed() < Duration::from_secs(30));
    }
}
