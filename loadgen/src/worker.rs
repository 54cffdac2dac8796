//! One thread of the generator: an event loop over its sessions, through the phases of a run.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::link::{Buffers, Link};
use crate::matching::{LOG_MAX, Log, Matching, Table};
use crate::plan::{BindMode, Load, Plan};
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::session::{Clock, Lost, Session, Shared, State};
use crate::tally::Tally;
use crate::template::Template;
use crate::wire::READ_BYTES;

const TIMER: Token = Token(usize::MAX);
/// Open loop: the shortest sleep between two sends. What falls due meanwhile goes out together.
const TICK_NS: u64 = 50_000;
/// How long a verified run listens for what should not come, once all has come that should.
const LINGER: Duration = Duration::from_millis(200);
/// How long the target has to answer unbind.
const UNBIND_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest sleep while some condition is watched that no event announces.
const WATCH: Duration = Duration::from_millis(5);
/// The longest sleep otherwise.
const SLEEP: Duration = Duration::from_millis(100);

/// A connection that [`crate::bind`] bound, and whether it sends.
pub(crate) struct Bound {
    pub(crate) link: Link<std::net::TcpStream>,
    /// What came behind the bind's response.
    pub(crate) early: Vec<u8>,
    pub(crate) sends: bool,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sending,
    /// Waiting for responses and receipts.
    Draining,
    /// Listening for surplus until this time.
    Lingering(u64),
    /// Waiting for unbind_resp until this time.
    Unbinding(u64),
}

/// One thread's sessions and the state of its run.
pub(crate) struct Worker<'a> {
    plan: &'a Plan,
    index: usize,
    progress: Arc<Progress>,
    poll: Poll,
    sessions: Vec<Session>,
    shared: Shared,
    phase: Phase,
    /// When sending stops.
    end: u64,
    pace: Option<Pace>,
}

/// Open loop: the schedule, and whose turn it is.
struct Pace {
    schedule: Schedule,
    timer: OwnedFd,
    /// What the timer is set to.
    armed: u64,
    /// The session that gets the next message, and how many more it gets in a row.
    turn: usize,
    block_left: u64,
    block: u64,
    /// Sessions to flush.
    dirty: Vec<usize>,
    /// No session had room: what is late now is the target's doing.
    stalled: bool,
}

impl<'a> Worker<'a> {
    /// Takes over the bound connections of thread `index`.
    pub(crate) fn new(
        plan: &'a Plan,
        index: usize,
        progress: Arc<Progress>,
        bound: Vec<Bound>,
        start: Instant,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let clock = Clock(start);
        let receipts = plan.shape.receipts;
        let quota = match (plan.load, plan.count) {
            (Load::Idle, _) => 0,
            (_, Some(count)) => plan.share(count, index),
            (_, None) if plan.verify => LOG_MAX / plan.threads as u64,
            (_, None) => u64::MAX,
        };
        let matching = match (plan.verify, receipts) {
            (true, _) => Matching::Log(Log::with_capacity(quota, receipts)),
            (false, true) => Matching::Table(Table::default()),
            (false, false) => Matching::Off,
        };
        let measure_from = plan.warmup.as_nanos() as u64;
        let run_template = usize::try_from(plan.window()).unwrap_or(usize::MAX);
        let shared = Shared {
            clock,
            template: Template::new(&plan.shape, run_template),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            buffers: Buffers::new(plan.tls.is_some()),
            tally: Tally::new(),
            matching,
            measure_from,
            window: plan.window(),
            closed_loop: matches!(plan.load, Load::Closed { .. }),
            quota,
            retry_throttled: plan.retry_throttled,
            last_progress: 0,
        };
        let mut sessions = Vec::with_capacity(bound.len());
        for (ordinal, connection) in bound.into_iter().enumerate() {
            connection.link.stream.set_nonblocking(true)?;
            let mut link = connection.link.map(TcpStream::from_std);
            poll.registry().register(
                &mut link.stream,
                Token(ordinal),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            // Sessions begin at different destinations.
            let place = (index + ordinal * plan.threads) as u64;
            let offset = place * plan.shape.destinations / plan.connections() as u64;
            sessions.push(Session::new(
                link,
                connection.early,
                connection.sends,
                plan.flight_capacity(),
                offset,
            ));
        }
        let pace = match plan.load {
            Load::Open { rate, arrivals, .. } => {
                let (thread, threads) = (index as u64, plan.threads as u64);
                let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
                poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
                Some(Pace {
                    schedule: Schedule::new(1, rate, arrivals, thread, threads),
                    timer,
                    armed: 0,
                    turn: 0,
                    block_left: 0,
                    // What falls due in one tick goes to one session: a write each, not a write a message.
                    block: ((rate / threads as f64 * TICK_NS as f64 / 1e9) as u64).max(1),
                    dirty: Vec::new(),
                    stalled: false,
                })
            }
            Load::Closed { .. } | Load::Idle => None,
        };
        let end = plan.duration.map_or(u64::MAX, |duration| measure_from + duration.as_nanos() as u64);
        Ok(Self { plan, index, progress, poll, sessions, shared, phase: Phase::Sending, end, pace })
    }

    /// Runs to the end. What the thread counted, and its log if the run is to be verified.
    pub(crate) fn run(mut self) -> io::Result<(Tally, Option<Log>)> {
        let mut events = Events::with_capacity(1024);
        let cpu_before = thread_cpu_ns();
        for session in 0..self.sessions.len() {
            self.serve(session, true);
        }
        loop {
            let now = self.shared.clock.now();
            if self.step(now) {
                break;
            }
            let timeout = self.timeout(now)?;
            self.shared.tally.system_calls += 1;
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let index = event.token().0;
                if let Some(session) = self.sessions.get_mut(index) {
                    if event.is_writable() {
                        session.set_writable();
                    }
                    self.serve(index, event.is_readable());
                }
            }
            if self.pace.is_some() {
                self.pace_out();
            }
            self.resume_paused();
            self.publish();
        }
        let mut tally = self.shared.tally;
        tally.unanswered = self.sessions.iter().map(|session| session.flight.open()).sum();
        tally.cpu_ns = thread_cpu_ns() - cpu_before;
        let log = match self.shared.matching {
            Matching::Log(log) => Some(log),
            Matching::Table(_) | Matching::Off => None,
        };
        Ok((tally, log))
    }

    /// One session's turn: read, refill the window, write.
    fn serve(&mut self, index: usize, readable: bool) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.state == State::Ended {
            return;
        }
        let mut readable = readable;
        loop {
            let done = if readable { session.read(&mut self.shared) } else { Ok(()) };
            let done = done.and_then(|()| {
                if self.phase == Phase::Sending {
                    let now = self.shared.clock.now();
                    session.refill(&mut self.shared, now);
                }
                session.flush(&mut self.shared)
            });
            if let Err(lost) = done {
                // Ended: its end comes with the unbind_resp.
                let expected = matches!(session.state, State::Unbinding | State::Ended)
                    && matches!(lost, Lost::Closed | Lost::Unbound);
                session.state = State::Ended;
                if !expected {
                    self.shared.tally.lose_session(lost.to_string());
                }
                // A closed socket would stay readable for ever.
                let _ = self.poll.registry().deregister(&mut session.link.stream);
                return;
            }
            readable = session.take_held();
            if !readable {
                return;
            }
        }
    }

    /// Open loop: assigns what has fallen due and writes it.
    fn pace_out(&mut self) {
        let Some(pace) = &mut self.pace else { return };
        if self.phase != Phase::Sending {
            return;
        }
        let now = self.shared.clock.now();
        if now < pace.armed && !pace.stalled {
            // Woken by a response: what is due by now waits for the tick, and goes out in fewer writes.
            return;
        }
        let due = pace.schedule.next();
        if due <= now && !pace.stalled {
            self.shared.tally.lag.saturating_record(now - due);
        }
        pace.stalled = false;
        let mut refused = 0;
        while pace.schedule.next() <= now.min(self.end) && self.shared.quota > 0 {
            let session = &mut self.sessions[pace.turn];
            if pace.block_left > 0
                && session.available(now)
                && session.flight.assign(1, pace.schedule.next()) == 1
            {
                if !session.dirty {
                    session.dirty = true;
                    pace.dirty.push(pace.turn);
                }
                pace.schedule.advance();
                pace.block_left -= 1;
                self.shared.quota -= 1;
                refused = 0;
            } else {
                refused += u64::from(pace.block_left > 0);
                pace.turn = (pace.turn + 1) % self.sessions.len();
                pace.block_left = pace.block;
                if refused > self.sessions.len() as u64 {
                    pace.stalled = true;
                    break;
                }
            }
        }
        let mut dirty = std::mem::take(&mut pace.dirty);
        for index in dirty.drain(..) {
            self.sessions[index].dirty = false;
            self.serve(index, false);
        }
        if let Some(pace) = &mut self.pace {
            pace.dirty = dirty;
        }
    }

    /// Sessions whose pause after throttling is over go on.
    fn resume_paused(&mut self) {
        if !self.plan.retry_throttled || self.phase != Phase::Sending {
            return;
        }
        let now = self.shared.clock.now();
        for index in 0..self.sessions.len() {
            let session = &mut self.sessions[index];
            if session.paused_until != 0 && session.paused_until <= now {
                if self.pace.is_some() {
                    session.resume_retries(&mut self.shared, now);
                }
                if session.retries.is_empty() {
                    session.paused_until = 0;
                }
                self.serve(index, false);
            }
        }
    }

    /// Moves on to the phase that is due. Whether the run is over.
    fn step(&mut self, now: u64) -> bool {
        let given_up = now.saturating_sub(self.shared.last_progress.max(self.shared.tally.sending_ended))
            > self.plan.drain_timeout.as_nanos() as u64;
        match self.phase {
            Phase::Sending => {
                let idle = self.plan.load == Load::Idle;
                // A message in flight may yet come back to be sent again.
                let again =
                    |s: &Session| !s.retries.is_empty() || self.plan.retry_throttled && s.flight.open() > 0;
                let sent = !idle && self.shared.quota == 0 && !self.sessions.iter().any(again);
                let stuck =
                    !idle && given_up && self.sessions.iter().any(|session| session.flight.open() > 0);
                let alone = self.sessions.iter().all(|s| s.state == State::Ended || !s.sends);
                if now >= self.end || sent || stuck || alone {
                    if let Some(pace) = &mut self.pace {
                        // What was meant to be sent before the end is sent, however late.
                        pace.armed = 0;
                        self.pace_out();
                    }
                    self.shared.tally.sending_ended = now;
                    self.phase = Phase::Draining;
                    self.publish();
                    return self.step(now);
                }
            }
            Phase::Draining => {
                let alone = self.sessions.iter().all(|session| session.state == State::Ended);
                if given_up || alone || self.drained() {
                    let linger = if self.plan.verify && !alone { LINGER } else { Duration::ZERO };
                    self.phase = Phase::Lingering(now + linger.as_nanos() as u64);
                }
            }
            Phase::Lingering(until) if now >= until => {
                self.phase = Phase::Unbinding(now + UNBIND_TIMEOUT.as_nanos() as u64);
                for index in 0..self.sessions.len() {
                    self.sessions[index].unbind();
                    self.serve(index, false);
                }
            }
            Phase::Unbinding(until) => {
                return now >= until || self.sessions.iter().all(|session| session.state == State::Ended);
            }
            Phase::Lingering(_) => {}
        }
        false
    }

    /// Whether all has come that should. Receipts may come to any thread, so this is asked of all threads together.
    fn drained(&self) -> bool {
        if self.plan.shape.receipts {
            self.progress.all_drained()
        } else {
            self.sessions.iter().all(|session| session.flight.open() == 0 || session.state == State::Ended)
        }
    }

    /// How long the poll may sleep; sets the timer for what is to be sent sooner than that.
    fn timeout(&mut self, now: u64) -> io::Result<Duration> {
        let until = match self.phase {
            Phase::Sending => self.end,
            Phase::Draining => return Ok(WATCH),
            Phase::Lingering(until) | Phase::Unbinding(until) => until,
        };
        if self.plan.spin && self.phase == Phase::Sending {
            return Ok(Duration::ZERO);
        }
        let sleep = Duration::from_nanos(until.saturating_sub(now)).min(SLEEP);
        if self.phase != Phase::Sending {
            return Ok(sleep);
        }
        if let Some(pace) = &mut self.pace {
            pace.arm(now)?;
        }
        // A pause ends between two events; mio counts whole milliseconds, so does the pause.
        if self.plan.retry_throttled && self.sessions.iter().any(|session| session.paused_until != 0) {
            return Ok(sleep.min(WATCH));
        }
        Ok(sleep)
    }

    /// Shows the main thread and the other workers where this one stands.
    fn publish(&self) {
        let open = if self.phase == Phase::Sending {
            u64::MAX
        } else {
            self.sessions.iter().filter(|s| s.state != State::Ended).map(|s| s.flight.open()).sum()
        };
        self.progress.publish(self.index, &self.shared.tally, open);
    }
}

impl Pace {
    /// Sets the timer to the next message, but not nearer than one tick.
    fn arm(&mut self, now: u64) -> io::Result<()> {
        if self.armed > now {
            return Ok(());
        }
        let sleep = self.schedule.next().saturating_sub(now).max(TICK_NS);
        let value =
            Timespec { tv_sec: (sleep / 1_000_000_000) as i64, tv_nsec: (sleep % 1_000_000_000) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed = now + sleep;
        Ok(())
    }
}

/// User and system time of this thread.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Binds the connections of thread `index`: its sessions are `index`, `index + threads` and so on.
pub(crate) fn bind_share(plan: &Plan, index: usize) -> anyhow::Result<Vec<Bound>> {
    use crate::bind::{Role, bind};
    let mut bound = Vec::new();
    let mut buffers = Buffers::new(plan.tls.is_some());
    let mut open = |role, sends| -> anyhow::Result<Bound> {
        let (link, early) = bind(plan, role, &mut buffers)?;
        Ok(Bound { link, early, sends })
    };
    for _ in 0..plan.share(plan.sessions as u64, index) {
        match plan.bind {
            BindMode::Trx => bound.push(open(Role::Transceiver, true)?),
            BindMode::TxRx => {
                // The receiver first: no receipt finds its account without one.
                bound.push(open(Role::Receiver, false)?);
                bound.push(open(Role::Transmitter, true)?);
            }
        }
    }
    Ok(bound)
}
