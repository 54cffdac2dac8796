//! A worker: hosts sessions for their whole life, on one thread.
//!
//! Its turn: take in what the shards sent (`lanes`), read the sockets that have something (`read`), run the
//! timers that are due, write what has been queued and close what has ended (`flush`). `ports` is what a session
//! core sees of all this.

mod duplicates;
mod flush;
mod intake;
mod lanes;
mod log;
mod multi;
mod operations;
mod pauses;
mod ports;
mod read;
mod ready;
mod reconfigure;
mod tls;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use mio::{Events, Registry, Token};

use duplicates::Duplicates;
use intake::session_info;
use multi::OpenMultis;
pub use ports::{ShardLink, ShardLinks};
pub use read::Peek;
pub use ready::Demand;
use ready::Ready;
use tls::TlsWorker;

use super::accounts::AccountTable;
use super::authenticator::{BindPort, BindWord, Question};
use super::congestion::Congestion;
use super::connection::Connection;
use super::pool::ChunkPool;
use super::reconfigure::WorkersChange;
use super::shard_host::ShardHost;
use super::tls::ServerTls;
use super::values::ToWorker;
use super::{acceptor::Arrival, admission::Load, clock::Clock, lane::LaneReceiver, thread::ThreadStats};
use crate::base::slab::Slab;
use crate::base::wheel::Wheel;
use crate::base::{MessageIdSource, SessionHandle, Time};
use crate::control_lane::SessionInfo;
use crate::limits::{CONNECTIONS_MAX, POOL_CHUNKS_KEPT, POOL_CHUNKS_PREALLOCATED, READ_BYTES};
use crate::session::{CloseReason, SessionSettings, StallReason};
use crate::stats::Counter;

/// Session timers run per turn: many at once, as after a broken link, must not hold up the others.
const TIMERS_PER_TURN: usize = 64;

/// What a worker is built from.
pub struct WorkerParts {
    /// Its index.
    pub index: u16,
    /// Where its sockets are registered.
    pub registry: Registry,
    /// The process's clock.
    pub clock: Clock,
    /// What a reload may change.
    pub reconfigurable: WorkersChange,
    /// PDUs per session and turn.
    pub turn_pdus_max: u32,
    /// Octets per session and turn.
    pub turn_bytes_max: usize,
    /// Passwords to check elsewhere.
    pub questions: Sender<Question>,
    /// Their verdicts, and what other workers say about binds.
    pub words: Receiver<BindWord>,
    /// The way to each worker, this one too.
    pub bind_ports: Vec<BindPort>,
    /// New connections.
    pub arrivals: Receiver<Arrival>,
    /// What handshakes on TLS listeners go by, if there are any.
    pub tls: Option<Arc<ServerTls>>,
    /// Where their end is noted.
    pub load: Arc<Load>,
    /// Ids for submit_multi.
    pub ids: MessageIdSource,
    /// Lanes to every shard on another thread.
    pub links: ShardLinks,
    /// Lanes from every shard on another thread.
    pub from_shards: Vec<LaneReceiver<ToWorker>>,
    /// How full the shards are, if peers are told.
    pub congestion: Option<Arc<Congestion>>,
}

/// The worker.
pub struct Worker {
    index: u16,
    registry: Registry,
    clock: Clock,
    settings: Arc<SessionSettings>,
    pdu_timeout_ms: u64,
    write_timeout_ms: u64,
    buffer_bytes_max: u64,
    turn_pdus_max: u32,
    turn_bytes_max: usize,
    accounts: Arc<AccountTable>,
    questions: Sender<Question>,
    words: Receiver<BindWord>,
    duplicates: Duplicates,
    arrivals: Receiver<Arrival>,
    links: ShardLinks,
    from_shards: Vec<LaneReceiver<ToWorker>>,
    /// Which lane from a shard has the first go; rotates.
    first_lane: usize,
    multis: OpenMultis,
    /// A body that is made before it is stored.
    body_scratch: Vec<u8>,
    connections: Slab<Connection>,
    timers: Wheel,
    pool: ChunkPool,
    scratch: Box<[u8]>,
    tls: Option<TlsWorker>,
    /// Sessions paused since the shard on this thread was last told.
    paused: Vec<SessionHandle>,
    /// Slots with something to read or take.
    ready: Ready,
    /// Slots with something to write, or on their way out.
    dirty: Vec<u32>,
    /// Slots whose session has said that it is done, and why.
    ending: Vec<(u32, CloseReason)>,
    /// This worker's share of the connections, known to the acceptor.
    load: Arc<Load>,
    /// When a light session last had its go.
    light_at: Time,
    /// Slots that are ready and have to wait for the next turn.
    next_turn: Vec<u32>,
    /// How many of those wait for room in a lane.
    lane_stalled: usize,
    congestion: Option<Arc<Congestion>>,
    /// What peers are told in this turn.
    congestion_state: Option<u8>,
}

/// What a worker's turn left undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLeft {
    /// Something is ready now.
    pub more: bool,
    /// Something waits for room in a lane: look again soon.
    pub stalled: bool,
}

impl Worker {
    /// A worker without sessions.
    pub fn new(parts: WorkerParts) -> Self {
        Self {
            index: parts.index,
            registry: parts.registry,
            clock: parts.clock,
            settings: parts.reconfigurable.settings,
            pdu_timeout_ms: parts.reconfigurable.pdu_timeout_ms,
            write_timeout_ms: parts.reconfigurable.write_timeout_ms,
            buffer_bytes_max: parts.reconfigurable.buffer_bytes_max,
            turn_pdus_max: parts.turn_pdus_max,
            turn_bytes_max: parts.turn_bytes_max,
            accounts: parts.reconfigurable.accounts,
            questions: parts.questions,
            words: parts.words,
            duplicates: Duplicates::new(parts.bind_ports),
            arrivals: parts.arrivals,
            multis: OpenMultis::new(parts.ids, usize::from(parts.links.shards())),
            body_scratch: Vec::new(),
            links: parts.links,
            from_shards: parts.from_shards,
            first_lane: 0,
            connections: Slab::new(CONNECTIONS_MAX),
            timers: Wheel::new(),
            pool: ChunkPool::new(POOL_CHUNKS_PREALLOCATED, POOL_CHUNKS_KEPT),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            tls: parts.tls.map(|server| TlsWorker::new(Some(server))),
            paused: Vec::new(),
            ready: Ready::default(),
            dirty: Vec::new(),
            ending: Vec::new(),
            load: parts.load,
            light_at: Time::ZERO,
            next_turn: Vec::new(),
            lane_stalled: 0,
            congestion: parts.congestion,
            congestion_state: None,
        }
    }

    /// This worker's index.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// Notes what the poll saw.
    pub fn take_events(&mut self, events: &Events, waker: Token) {
        for event in events {
            if event.token() == waker {
                continue;
            }
            let slot = event.token().0 as u32;
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                connection.readable = true;
                connection.read_closed |= event.is_read_closed() || event.is_error();
                if !connection.in_ready {
                    connection.in_ready = true;
                    self.ready.push(slot, connection.goes_last);
                }
            }
            if event.is_writable() && connection.unsent_bytes() > 0 && !connection.in_dirty {
                connection.in_dirty = true;
                self.dirty.push(slot);
            }
        }
    }

    /// First half of a turn: everything that comes in. `shard` is the routing shard on the same thread, if any.
    pub fn take_in(&mut self, peek: &mut Peek<'_>, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        self.congestion_state = self.congestion.as_ref().map(|congestion| congestion.state());
        self.take_arrivals(stats);
        self.take_bind_words(shard, stats);
        self.drain_lanes(shard, stats);
        self.read_ready(peek, shard, stats);
        self.answer_multis(stats);
        self.run_timers(shard, stats);
        self.check_older(shard, stats);
    }

    /// Second half: everything that goes out.
    pub fn put_out(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) -> TurnLeft {
        self.answer_multis(stats);
        while let Some((slot, reason)) = self.ending.pop() {
            let now = self.clock.now();
            self.close(slot, reason, now, shard, stats);
        }
        self.flush_dirty(shard, stats);
        self.evict_while_short(shard, stats);
        self.links.publish(stats);
        let unsent = self.duplicates.send();
        let stalled = self.lane_stalled > 0 || !self.links.is_idle() || unsent;
        TurnLeft { more: !self.ready.is_empty() || self.next_turn.len() > self.lane_stalled, stalled }
    }

    /// Whether anything came in since the last turn, to decide on sleeping.
    pub fn has_input(&self) -> bool {
        !self.arrivals.is_empty()
            || !self.words.is_empty()
            || self.from_shards.iter().any(|lane| !lane.is_empty())
    }

    /// When the first session timer may fire.
    pub fn next_deadline(&self) -> Option<Time> {
        [self.timers.next_deadline(), self.duplicates.next_deadline()].into_iter().flatten().min()
    }

    /// Sessions that are not closed yet.
    pub const fn connections(&self) -> u32 {
        self.connections.len()
    }

    /// Starts to shut down: every bound session is asked to unbind, every other one is closed.
    pub fn begin_stop(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        let slots: Vec<u32> = self.connections.iter().map(|(slot, _)| slot).collect();
        let now = self.clock.now();
        for slot in slots {
            let settings = Arc::clone(&self.settings);
            let close = self.with_port(slot, now, shard, stats, |session, port| {
                session.unbind(now.mono, &settings, port)
            });
            if let Some(Some(reason)) = close {
                self.close(slot, reason, now, shard, stats);
            }
            self.arm_timer(slot, now.mono);
        }
    }

    /// The bound sessions, for GET /sessions.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let now = self.clock.time();
        let bound = self.connections.iter().filter(|(_, connection)| connection.session.is_bound());
        bound.filter_map(|(_, connection)| session_info(connection, self.index, now)).collect()
    }

    fn mark_ready(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.in_ready
        {
            connection.in_ready = true;
            self.ready.push(slot, connection.goes_last);
        }
    }

    fn mark_dirty(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.in_dirty
        {
            connection.in_dirty = true;
            self.dirty.push(slot);
        }
    }

    fn run_timers(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        let now = self.clock.now();
        for _ in 0..TIMERS_PER_TURN {
            let Some(slot) = self.timers.pop_due(now.mono) else { return };
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            if let Some(reason) = connection.overdue(now.mono, self.pdu_timeout_ms, self.write_timeout_ms) {
                self.close_now(slot, reason, now, shard, stats);
                continue;
            }
            let settings = Arc::clone(&self.settings);
            let close = self.with_port(slot, now, shard, stats, |session, port| {
                session.on_timer(now.mono, &settings, port)
            });
            match close.flatten() {
                Some(reason) => self.close(slot, reason, now, shard, stats),
                None => {
                    self.retry_throttled(slot);
                    self.arm_timer(slot, now.mono);
                }
            }
        }
    }

    /// Reads on where a submission waits for its account's rate.
    fn retry_throttled(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot)
            && connection.stalled == Some(StallReason::Rate)
        {
            connection.stalled = None;
            self.mark_ready(slot);
        }
    }

    /// Schedules the connection's one timer entry for its first deadline. It is re-armed lazily: activity moves
    /// the true deadline, and the entry finds that out when it fires.
    fn arm_timer(&mut self, slot: u32, now: Time) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let at =
            connection.next_deadline(&self.settings, self.pdu_timeout_ms, self.write_timeout_ms).max(now);
        connection.armed_for = at;
        if at == Time::NEVER {
            self.timers.cancel(slot);
        } else {
            self.timers.schedule(slot, at);
        }
    }

    /// Makes sure that the timer entry fires no later than `at`.
    fn arm_timer_by(&mut self, slot: u32, at: Time) {
        if let Some(connection) = self.connections.get_mut(slot)
            && at < connection.armed_for
        {
            connection.armed_for = at;
            self.timers.schedule(slot, at);
        }
    }

    fn count_close(&self, reason: CloseReason, heard: bool, stats: &ThreadStats) {
        let counter = match reason {
            CloseReason::BrokenFrame => Counter::FramesBroken,
            CloseReason::ForeignProtocol => Counter::ForeignProtocols,
            CloseReason::TooManyErrors => Counter::UnboundFloods,
            CloseReason::SessionInitTimeout => Counter::SessionInitTimeouts,
            CloseReason::Inactive => Counter::InactivityTimeouts,
            CloseReason::PduTimeout => Counter::PduTimeouts,
            CloseReason::WriteTimeout => Counter::WriteTimeouts,
            CloseReason::TlsHandshakeTimeout => Counter::TlsHandshakeTimeouts,
            CloseReason::OverMemory => Counter::MemoryEvictions,
            CloseReason::PeerGone if !heard => Counter::ConnectionsEmpty,
            _ => return,
        };
        stats.counters.add(counter, 1);
    }
}
