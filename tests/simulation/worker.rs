//! The shell of one worker: the sessions on its connections, what it has read and not handled, what it has queued and
//! not sent. It mirrors the runtime's, without sockets.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use smscd::base::{DeliveryToken, MessageIdSource, Now, SessionHandle, SubmitOperation};
use smscd::runtime::accounts::{AccountTable, Attempt};
use smscd::session::{CloseReason, DeliveryResult, Session, SessionSettings, Stop};
use smscd::smpp::pdu::AsDataSm;
use smscd::smpp::{CommandId, DeliverSm, PduBody};

use super::lane::Lane;
use super::model::Model;
use super::multi::OpenMultis;
use super::port::{SimPort, verdict_of};
use super::reload::InEffect;
use super::shard::{ToShard, ToWorker};

/// Octets queued for a peer beyond which nothing more is delivered to it or read from it.
pub(crate) const OUT_BYTES_MAX: usize = 400;
const PIPE_BYTES: usize = 500;

/// Where all ESMEs are.
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How an ESME has left its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    Not,
    /// What it has written still arrives.
    Closed,
    Reset,
}

/// The octets under way between an ESME and its session.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) up: VecDeque<u8>,
    pub(crate) down: VecDeque<u8>,
    pub(crate) leaving: Leaving,
    /// The session is gone; what is in `down` still arrives.
    pub(crate) is_over: bool,
}

impl Pipe {
    pub(crate) const fn new() -> Self {
        Self { up: VecDeque::new(), down: VecDeque::new(), leaving: Leaving::Not, is_over: false }
    }

    pub(crate) fn room_up(&self) -> usize {
        PIPE_BYTES.saturating_sub(self.up.len())
    }
}

struct Connection {
    number: u32,
    handle: SessionHandle,
    session: Session,
    unread: Vec<u8>,
    out: VecDeque<u8>,
    is_paused: bool,
    /// Shards that have not heard of the pause.
    unheard: usize,
    closing: Option<CloseReason>,
}

/// A bind whose password is being checked, by the accounts as they were then.
pub(crate) struct Judging {
    pub(crate) session: SessionHandle,
    pub(crate) table: Arc<AccountTable>,
    pub(crate) attempt: Attempt,
    pub(crate) password: Vec<u8>,
    /// Whether the account could bind then.
    pub(crate) was_enabled: bool,
}

/// A worker.
pub(crate) struct Worker {
    index: u16,
    slots: Vec<(u32, Option<Connection>)>,
    judging: VecDeque<Judging>,
    pub(crate) multis: OpenMultis,
    pub(crate) in_effect: InEffect,
}

/// What a turn of a worker may touch.
pub(crate) struct Around<'a> {
    pub(crate) now: Now,
    pub(crate) settings: &'a SessionSettings,
    pub(crate) pipes: &'a mut BTreeMap<u32, Pipe>,
    pub(crate) to_shards: &'a mut [Lane<ToShard>],
    pub(crate) from_shards: &'a mut [&'a mut Lane<ToWorker>],
    pub(crate) model: &'a mut Model,
}

impl Worker {
    pub(crate) fn new(index: u16, ids: MessageIdSource, in_effect: InEffect) -> Self {
        let multis = OpenMultis::new(ids);
        Self { index, slots: Vec::new(), judging: VecDeque::new(), multis, in_effect }
    }

    /// Goes by another configuration from now on: sessions that may not stay are asked to unbind.
    pub(crate) fn reconfigure(&mut self, in_effect: InEffect, around: &mut Around<'_>) {
        self.in_effect = in_effect;
        let (now, settings) = (around.now.mono, around.settings);
        for handle in self.handles() {
            let table = Arc::clone(&self.in_effect.table);
            let close = self.with(handle, around, |session, port| {
                let account = table.get(session.account()?)?;
                if account.may_stay(session.mode(), PEER) {
                    return None;
                }
                port.model.seen.asked_to_unbind += u64::from(session.takes_deliveries());
                session.unbind(now, settings, port)
            });
            self.end(handle, close.flatten(), around);
        }
    }

    fn handles(&self) -> Vec<SessionHandle> {
        self.slots.iter().filter_map(|(_, place)| place.as_ref().map(|found| found.handle)).collect()
    }

    /// Its sessions, by account.
    pub(crate) fn sessions(&self) -> [u32; 2] {
        let mut sessions = [0; 2];
        let live = self.slots.iter().filter_map(|(_, place)| place.as_ref());
        live.filter_map(|found| found.session.account()).for_each(|account| sessions[account.index()] += 1);
        sessions
    }

    /// Takes in a connection. Slots are used again at once, so that handles grow stale early.
    pub(crate) fn accept(&mut self, number: u32, now: Now) {
        let free = self.slots.iter().position(|(_, connection)| connection.is_none());
        let slot = free.unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() - 1
        });
        let (generation, place) = &mut self.slots[slot];
        *generation += 1;
        let handle = SessionHandle { slot: slot as u32, generation: *generation, worker: self.index };
        *place = Some(Connection {
            number,
            handle,
            session: Session::new(handle, now.mono),
            unread: Vec::new(),
            out: VecDeque::new(),
            is_paused: false,
            unheard: 0,
            closing: None,
        });
    }

    /// Runs `f` on the session that `handle` names; `None`: it is stale.
    fn with<R>(
        &mut self,
        handle: SessionHandle,
        around: &mut Around<'_>,
        f: impl FnOnce(&mut Session, &mut SimPort<'_>) -> R,
    ) -> Option<R> {
        let (_, place) = self.slots.get_mut(handle.slot as usize)?;
        let connection = place.as_mut().filter(|found| found.handle == handle)?;
        let mut port = SimPort {
            number: connection.number,
            handle,
            out: &mut connection.out,
            to_shards: &mut *around.to_shards,
            judging: &mut self.judging,
            multis: &mut self.multis,
            in_effect: &self.in_effect,
            now: around.now,
            model: &mut *around.model,
        };
        Some(f(&mut connection.session, &mut port))
    }

    fn connection(&mut self, handle: SessionHandle) -> Option<&mut Connection> {
        self.slots.get_mut(handle.slot as usize)?.1.as_mut().filter(|found| found.handle == handle)
    }

    /// One turn. `pdus_max` for each session.
    pub(crate) fn turn(&mut self, pdus_max: u32, around: &mut Around<'_>) {
        self.drain_lanes(around);
        self.settle_bind(around);
        for handle in self.handles() {
            self.read(handle, pdus_max, around);
            self.timers(handle, around);
            self.flush(handle, around);
            self.resume(handle, around);
        }
    }

    /// A password has been checked.
    fn settle_bind(&mut self, around: &mut Around<'_>) {
        let Some(Judging { session: handle, table, attempt, password, was_enabled }) =
            self.judging.pop_front()
        else {
            return;
        };
        let is_waiting = self.connection(handle).is_some_and(|found| found.session.is_authenticating());
        if !is_waiting {
            return;
        }
        let right = table.verify(&attempt, &password);
        let (now, settings) = (around.now.mono, around.settings);
        let verdict = verdict_of(self.in_effect.table.settle(&attempt, right, now));
        let close = self.with(handle, around, |session, port| {
            port.check_verdict(attempt.system_id(), &password, was_enabled, verdict.err());
            session.authenticated(verdict, now, settings, port)
        });
        self.end(handle, close.flatten(), around);
    }

    fn answer_multis(&mut self, around: &mut Around<'_>) {
        while let Some(decided) = self.multis.pop_decided() {
            around.model.seen.multis += 1;
            let (origin, now) = (decided.origin, around.now.mono);
            let close = self.with(origin.session, around, |session, port| {
                session.multi_result(origin.sequence_number, &decided.result(), now, port)
            });
            self.end(origin.session, close.flatten(), around);
        }
    }

    fn drain_lanes(&mut self, around: &mut Around<'_>) {
        for shard in 0..around.from_shards.len() {
            let Some(message) = around.from_shards[shard].take() else { continue };
            match message {
                ToWorker::SubmitResult { origin, .. } if origin.operation == SubmitOperation::SubmitMulti => {
                    self.multis.accepted(origin.sequence_number, 1);
                }
                ToWorker::SubmitResult { origin, result } => {
                    let close = self.with(origin.session, around, |session, port| {
                        session.submit_result(origin.operation, origin.sequence_number, result, port)
                    });
                    self.end(origin.session, close.flatten(), around);
                }
                ToWorker::MultiAccepted { request, count } => self.multis.accepted(request, count),
                ToWorker::MultiRefused { request, index, status } => {
                    self.multis.refused(request, index, status);
                }
                ToWorker::OperationResult { session: to, ticket, answer } => {
                    let close =
                        self.with(to, around, |session, port| session.operation_result(ticket, answer, port));
                    self.end(to, close.flatten(), around);
                }
                ToWorker::OperationBody { session: to, ticket, body } => {
                    let close =
                        self.with(to, around, |session, port| session.operation_body(ticket, &body, port));
                    self.end(to, close.flatten(), around);
                }
                ToWorker::PauseHeard { session } => {
                    if let Some(connection) = self.connection(session) {
                        connection.unheard -= 1;
                    }
                }
                ToWorker::Deliver { session, token, body } => {
                    self.deliver(session, token, &body, shard, around);
                }
                ToWorker::Alert { session: to, body } => {
                    self.with(to, around, |session, port| {
                        session.alert(body.len(), port, |out| out.extend_from_slice(&body))
                    });
                }
            }
        }
        self.answer_multis(around);
    }

    fn deliver(
        &mut self,
        to: SessionHandle,
        token: DeliveryToken,
        body: &[u8],
        shard: usize,
        around: &mut Around<'_>,
    ) {
        let is_paused = self.connection(to).is_some_and(|connection| connection.is_paused);
        let now = around.now.mono;
        let deliver_sm = DeliverSm::decode(body).expect("the shard has encoded it");
        let tells_of_another = deliver_sm.esm_class.is_receipt() || deliver_sm.esm_class.is_intermediate();
        let taken = self.with(to, around, |session, port| {
            if is_paused {
                return false;
            }
            let by = session.delivers_by(tells_of_another);
            let mut octets = Vec::new();
            match by {
                CommandId::DATA_SM => AsDataSm(&deliver_sm).encode_body(&mut octets),
                _ => octets.extend_from_slice(body),
            }
            session.deliver(token, by, octets.len(), now, port, |out| out.extend_from_slice(&octets))
        });
        if taken != Some(true) {
            let result = DeliveryResult::NotSent;
            around.to_shards[shard].push_reply(ToShard::DeliveryResult { token, result });
            return;
        }
        let shards = around.to_shards.len();
        if let Some(connection) = self.connection(to)
            && connection.out.len() > OUT_BYTES_MAX
            && !connection.is_paused
        {
            (connection.is_paused, connection.unheard) = (true, shards);
            around.model.seen.paused += 1;
            for lane in &mut *around.to_shards {
                lane.push_reply(ToShard::Paused { session: to });
            }
        }
    }

    fn read(&mut self, handle: SessionHandle, pdus_max: u32, around: &mut Around<'_>) {
        let (now, settings) = (around.now.mono, around.settings);
        let Some(connection) = self.connection(handle) else { return };
        if connection.closing.is_some() {
            return;
        }
        let pipe = around.pipes.get_mut(&connection.number).expect("a pipe");
        if pipe.leaving == Leaving::Reset {
            return self.end(handle, Some(CloseReason::PeerGone), around);
        }
        if connection.unread.len() < PIPE_BYTES {
            connection.unread.extend(pipe.up.drain(..));
        }
        let has_ended = pipe.leaving == Leaving::Closed && pipe.up.is_empty();
        if connection.out.len() > OUT_BYTES_MAX && !has_ended {
            return;
        }
        let unread = std::mem::take(&mut connection.unread);
        let received = self
            .with(handle, around, |session, port| {
                let received = session.receive(&unread, pdus_max, now, settings, port);
                let (in_flight, window) = session.in_flight();
                let (open, deliver_window) = session.deliver_window();
                assert!(in_flight <= window && open <= deliver_window, "promise 6: a window is exceeded");
                received
            })
            .expect("it is there");
        let Some(connection) = self.connection(handle) else { return };
        connection.unread = unread[received.consumed..].to_vec();
        match received.stop {
            Stop::Close(reason) => self.end(handle, Some(reason), around),
            Stop::NeedMore(_) if has_ended => self.end(handle, Some(CloseReason::PeerGone), around),
            Stop::NeedMore(_) | Stop::Budget | Stop::Stalled(_) => {}
        }
    }

    fn timers(&mut self, handle: SessionHandle, around: &mut Around<'_>) {
        let (now, settings) = (around.now.mono, around.settings);
        let close = self.with(handle, around, |session, port| {
            if session.next_deadline(settings) > now {
                return None;
            }
            session.on_timer(now, settings, port)
        });
        self.end(handle, close.flatten(), around);
    }

    /// The session is over, if there is a reason: the shards learn of it, and what is queued still goes out.
    fn end(&mut self, handle: SessionHandle, reason: Option<CloseReason>, around: &mut Around<'_>) {
        let Some(reason) = reason else { return };
        let is_due = matches!(
            reason,
            CloseReason::PeerGone
                | CloseReason::Unbound
                | CloseReason::BindRefused
                | CloseReason::Inactive
                | CloseReason::SessionInitTimeout
        );
        assert!(is_due, "promise 8: a session was closed for {reason:?}");
        let Some(connection) = self.connection(handle) else { return };
        if connection.closing.replace(reason).is_some() {
            return;
        }
        let account = connection.session.account();
        self.with(handle, around, |session, port| {
            session.closed(reason, port);
            port.model.set_takes_deliveries(port.number, false);
            if let Some(account) = account {
                port.model.sessions[account.index()] -= 1;
                port.tell_all(&ToShard::Unbound { session: port.handle });
            }
        });
        if let Some(account) = account {
            self.in_effect.table.release_session(account, handle);
        }
    }

    fn flush(&mut self, handle: SessionHandle, around: &mut Around<'_>) {
        let Some(connection) = self.connection(handle) else { return };
        let pipe = around.pipes.get_mut(&connection.number).expect("a pipe");
        let room = PIPE_BYTES.saturating_sub(pipe.down.len());
        let len = room.min(connection.out.len());
        if pipe.leaving == Leaving::Not {
            pipe.down.extend(connection.out.drain(..len));
        } else {
            connection.out.clear();
        }
        if connection.closing.is_some() && connection.out.is_empty() {
            pipe.is_over = true;
            self.slots[handle.slot as usize].1 = None;
        }
    }

    /// Deliveries go on once half of the queue is read and every shard has heard of the pause.
    fn resume(&mut self, handle: SessionHandle, around: &mut Around<'_>) {
        let Some(connection) = self.connection(handle) else { return };
        if connection.is_paused
            && connection.unheard == 0
            && connection.out.len() <= OUT_BYTES_MAX / 2
            && connection.closing.is_none()
        {
            connection.is_paused = false;
            self.with(handle, around, |_, port| port.tell_all(&ToShard::Resumed { session: port.handle }));
        }
    }
}
