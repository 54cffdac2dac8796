//! Binds of which the account has one already (`compat.duplicate_bind`): the older session is told that it has lost its
//! place, or asked whether it is still there. It may be another worker's, so the two talk to each other; that is once per
//! such bind, and never on the path of a message.

use std::collections::VecDeque;

use crossbeam_channel::TrySendError;

use super::super::accounts::{Attempt, Settled};
use super::super::authenticator::{BindPort, BindWord};
use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::intake::ARRIVALS_PER_TURN;
use super::{Worker, log};
use crate::base::{Now, SessionHandle, Time};
use crate::session::{CloseReason, StallReason};
use crate::smpp::CommandStatus;
use crate::stats::Counter;

/// An older session that has been asked, for a bind that waits.
#[derive(Clone, Copy, Debug)]
struct Probe {
    older: SessionHandle,
    attempt: Attempt,
    asked_at: Time,
    deadline: Time,
}

/// What one worker has under way of this.
pub(super) struct Duplicates {
    /// The way to each worker.
    ports: Vec<BindPort>,
    /// What a full way has not taken yet: no more than one for each bind that waits and each session that was replaced.
    unsent: VecDeque<(u16, BindWord)>,
    /// No more than binds that wait.
    probes: Vec<Probe>,
}

impl Duplicates {
    pub(super) const fn new(ports: Vec<BindPort>) -> Self {
        Self { ports, unsent: VecDeque::new(), probes: Vec::new() }
    }

    /// Tells sessions that they have lost their place.
    pub(super) fn tell_replaced(&mut self, replaced: &[SessionHandle]) {
        self.unsent.extend(replaced.iter().map(|&older| (older.worker, BindWord::Replaced(older))));
    }

    /// Has an older session asked whether it is still there. The bind waits.
    pub(super) fn ask(&mut self, older: SessionHandle, attempt: Attempt) {
        self.unsent.push_back((older.worker, BindWord::Ask { older, attempt }));
    }

    fn answer(&mut self, attempt: Attempt, is_there: bool) {
        self.unsent.push_back((attempt.session.worker, BindWord::Asked { attempt, is_there }));
    }

    /// Sends what there is to say. True: something is left.
    pub(super) fn send(&mut self) -> bool {
        while let Some((worker, word)) = self.unsent.pop_front() {
            let Some(port) = self.ports.get(usize::from(worker)) else { continue };
            match port.words.try_send(word) {
                Ok(()) => port.waker.wake(),
                Err(TrySendError::Full(word)) => {
                    self.unsent.push_front((worker, word));
                    return true;
                }
                // That worker has ended, and its sessions with it.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
        false
    }

    /// When the first that was asked must have answered.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.probes.iter().map(|probe| probe.deadline).min()
    }
}

impl Worker {
    /// Takes in what the authenticators and other workers have to say about binds.
    pub(super) fn take_bind_words(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        for _ in 0..ARRIVALS_PER_TURN {
            let Ok(word) = self.words.try_recv() else { return };
            match word {
                BindWord::Verdict { attempt, right } => self.settle_bind(&attempt, right, shard, stats),
                BindWord::Ask { older, attempt } => self.ask_older(older, attempt, shard, stats),
                BindWord::Asked { attempt, is_there: false } => {
                    self.settle_bind(&attempt, true, shard, stats);
                }
                BindWord::Asked { attempt, is_there: true } => {
                    let account = attempt.account.and_then(|id| self.accounts.get(id));
                    let status = account.map(|account| account.too_many_status());
                    let status = status.unwrap_or(CommandStatus::ESME_RALYBND);
                    self.finish_bind(&attempt, Settled::Refused(status), shard, stats);
                }
                BindWord::Replaced(older) => self.unbind_replaced(older, shard, stats),
            }
        }
    }

    fn settle_bind(
        &mut self,
        attempt: &Attempt,
        right: bool,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        if !self.awaits_verdict(attempt.session) {
            // It left meanwhile.
            stats.counters.add(Counter::StaleSessionHandles, 1);
            return;
        }
        let settled = self.accounts.settle(attempt, right, self.clock.time());
        self.finish_bind(attempt, settled, shard, stats);
    }

    /// Whether this session waits for the verdict on its bind.
    fn awaits_verdict(&mut self, session: SessionHandle) -> bool {
        let found = self.connections.get_mut(session.slot).filter(|found| found.handle == session);
        found.is_some_and(|found| found.closing.is_none() && found.session.is_authenticating())
    }

    fn finish_bind(
        &mut self,
        attempt: &Attempt,
        settled: Settled,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let session = attempt.session;
        if !self.awaits_verdict(session) {
            stats.counters.add(Counter::StaleSessionHandles, 1);
            return;
        }
        let slot = session.slot;
        let verdict = match settled {
            Settled::Granted { grant, replaced } => {
                self.duplicates.tell_replaced(&replaced);
                Ok(grant)
            }
            Settled::Ask(older) => return self.duplicates.ask(older, *attempt),
            Settled::Refused(status) => {
                if let Some(connection) = self.connections.get(slot) {
                    log::bind_refused(attempt.system_id(), status, connection.peer);
                }
                Err(status)
            }
        };
        let now = self.clock.now();
        let settings = std::sync::Arc::clone(&self.settings);
        let close = self.with_port(slot, now, shard, stats, |session, port| {
            session.authenticated(verdict, now.mono, &settings, port)
        });
        if let Some(Some(reason)) = close {
            self.close(slot, reason, now, shard, stats);
            return;
        }
        if let Some(connection) = self.connections.get_mut(slot)
            && connection.stalled == Some(StallReason::Authentication)
        {
            connection.stalled = None;
        }
        self.arm_timer(slot, now.mono);
        self.mark_ready(slot);
    }

    /// Asks a session whether it is still there.
    fn ask_older(
        &mut self,
        older: SessionHandle,
        attempt: Attempt,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let now = self.clock.now();
        let found = self.connections.get(older.slot).filter(|found| found.handle == older);
        if found.is_none_or(|found| found.closing.is_some()) {
            return self.duplicates.answer(attempt, false);
        }
        self.with_port(older.slot, now, shard, stats, |session, port| session.enquire(now.mono, port));
        let account = attempt.account.and_then(|id| self.accounts.get(id));
        let wait_ms = account.map_or(0, |account| account.settings().duplicate_bind_probe_ms);
        let deadline = now.mono.plus_millis(wait_ms);
        self.duplicates.probes.push(Probe { older, attempt, asked_at: now.mono, deadline });
    }

    /// Looks at the sessions that were asked: anything that one has sent since is an answer. One that has sent nothing in time
    /// is closed.
    pub(super) fn check_older(&mut self, shard: &mut Option<ShardHost>, stats: &mut ThreadStats) {
        if self.duplicates.probes.is_empty() {
            return;
        }
        let now = self.clock.now();
        for probe in std::mem::take(&mut self.duplicates.probes) {
            let Probe { older, attempt, asked_at, deadline } = probe;
            let found = self.connections.get(older.slot).filter(|found| found.handle == older);
            let heard = found
                .filter(|found| found.closing.is_none())
                .map(|found| found.session.is_heard_since(asked_at));
            match heard {
                Some(true) => self.duplicates.answer(attempt, true),
                Some(false) if now.mono < deadline => self.duplicates.probes.push(probe),
                Some(false) => {
                    self.close(older.slot, CloseReason::Replaced, now, shard, stats);
                    self.duplicates.answer(attempt, false);
                }
                None => self.duplicates.answer(attempt, false),
            }
        }
    }

    /// Another session has the place of this one: it is unbound in order.
    fn unbind_replaced(
        &mut self,
        older: SessionHandle,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let now: Now = self.clock.now();
        let found = self.connections.get(older.slot).filter(|found| found.handle == older);
        let Some(peer) = found.filter(|found| found.closing.is_none()).map(|found| found.peer) else {
            return;
        };
        log::replaced(peer);
        let settings = std::sync::Arc::clone(&self.settings);
        let close = self.with_port(older.slot, now, shard, stats, |session, port| {
            session.unbind(now.mono, &settings, port)
        });
        if let Some(Some(reason)) = close {
            self.close(older.slot, reason, now, shard, stats);
        } else {
            self.arm_timer(older.slot, now.mono);
        }
    }
}
