//! The shell of one worker: the sessions on its connections, what it has read and not handled, what it has queued and
//! not sent. It mirrors the runtime's, without sockets.

use std::collections::{BTreeMap, VecDeque};

use smscd::base::{AccountId, DeliveryToken, Now, SessionHandle};
use smscd::routing::shard_of;
use smscd::session::{
    Authentication, BindMode, BindRequest, CloseReason, Compat, DeliveryResult, Disposition, Fact, Grant,
    MultiRequest, OperationDisposition, OperationRequest, Origin, Output, Port, Session, SessionSettings,
    StallReason, Stop, SubmitRequest,
};
use smscd::smpp::{CommandId, CommandStatus, InterfaceVersion, SubmitSm};

use super::lane::Lane;
use super::model::Model;
use super::shard::{ToShard, ToWorker};

/// Octets queued for a peer beyond which nothing more is delivered to it or read from it.
const OUT_BYTES_MAX: usize = 400;
/// What the answers to a full window and one round of deliveries may add to that.
const OUT_BYTES_SLACK: usize = 2_000;
const PIPE_BYTES: usize = 500;
pub(crate) const WINDOW: u32 = 3;
const DELIVER_WINDOW: u32 = 2;

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

/// A worker.
#[derive(Default)]
pub(crate) struct Worker {
    index: u16,
    slots: Vec<(u32, Option<Connection>)>,
    /// Binds being judged.
    judging: VecDeque<(SessionHandle, Result<Grant, CommandStatus>)>,
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

struct SimPort<'a> {
    number: u32,
    handle: SessionHandle,
    out: &'a mut VecDeque<u8>,
    to_shards: &'a mut [Lane<ToShard>],
    judging: &'a mut VecDeque<(SessionHandle, Result<Grant, CommandStatus>)>,
    model: &'a mut Model,
}

impl SimPort<'_> {
    fn tell_all(&mut self, message: &ToShard) {
        for lane in &mut *self.to_shards {
            lane.push_reply(message.clone());
        }
    }
}

impl Output for SimPort<'_> {
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut pdu = Vec::new();
        write(&mut pdu);
        assert_eq!(pdu.len(), len, "a PDU has the length that was said");
        self.out.extend(pdu);
        assert!(self.out.len() <= OUT_BYTES_MAX + OUT_BYTES_SLACK, "promise 6: an out-queue has no bound");
    }

    fn fact(&mut self, _: Fact) {}
}

impl Port for SimPort<'_> {
    fn authenticate(&mut self, bind: &BindRequest<'_>) -> Authentication {
        let account = match bind.system_id {
            b"alice" => AccountId(0),
            b"bob" => AccountId(1),
            _ => return Authentication::Refused(CommandStatus::ESME_RBINDFAIL),
        };
        let grant =
            Grant { account, window: WINDOW, deliver_window: DELIVER_WINDOW, compat: Compat::default() };
        let is_right = bind.password == b"secret";
        let verdict = if is_right { Ok(grant) } else { Err(CommandStatus::ESME_RBINDFAIL) };
        self.judging.push_back((self.handle, verdict));
        Authentication::Pending
    }

    fn bound(&mut self, grant: &Grant, mode: BindMode, version: InterfaceVersion, _: &[u8]) {
        self.model.set_takes_deliveries(self.number, mode.receives());
        self.tell_all(&ToShard::Bound {
            session: self.handle,
            account: grant.account,
            version,
            receives: mode.receives(),
            credit: grant.deliver_window,
        });
    }

    fn submit(&mut self, submit: &SubmitRequest<'_>) -> Disposition {
        let shard = shard_of(submit.sm.destination_addr, self.to_shards.len() as u16);
        let SubmitRequest { origin, account, version, body, .. } = *submit;
        let message = ToShard::Submit { origin, account, version, body: body.to_vec() };
        match self.to_shards[usize::from(shard)].push_request(message) {
            true => Disposition::InFlight,
            false => Disposition::Stall(StallReason::Lane),
        }
    }

    fn operate(&mut self, _: &OperationRequest<'_>) -> OperationDisposition {
        panic!("no ESME here asks for operations");
    }

    fn submit_fields(
        &mut self,
        _: Origin,
        _: AccountId,
        _: InterfaceVersion,
        _: &SubmitSm<'_>,
    ) -> Disposition {
        panic!("no ESME here sends data_sm");
    }

    fn submit_multi(&mut self, _: &MultiRequest<'_>) -> Disposition {
        panic!("no ESME here sends submit_multi");
    }

    fn delivery_result(&mut self, token: DeliveryToken, result: DeliveryResult) {
        self.to_shards[usize::from(token.shard)].push_reply(ToShard::DeliveryResult { token, result });
    }

    fn deliveries_off(&mut self) {
        self.model.set_takes_deliveries(self.number, false);
        self.tell_all(&ToShard::DeliveriesOff { session: self.handle });
    }
}

impl Worker {
    pub(crate) fn new(index: u16) -> Self {
        Self { index, ..Self::default() }
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
        if let Some((handle, verdict)) = self.judging.pop_front() {
            let now = around.now.mono;
            let settings = around.settings;
            let close = self
                .with(handle, around, |session, port| session.authenticated(verdict, now, settings, port))
                .flatten();
            self.end(handle, close, around);
        }
        let handles: Vec<SessionHandle> =
            self.slots.iter().filter_map(|(_, place)| place.as_ref().map(|found| found.handle)).collect();
        for handle in handles {
            self.read(handle, pdus_max, around);
            self.timers(handle, around);
            self.flush(handle, around);
            self.resume(handle, around);
        }
    }

    fn drain_lanes(&mut self, around: &mut Around<'_>) {
        for shard in 0..around.from_shards.len() {
            let Some(message) = around.from_shards[shard].take() else { continue };
            match message {
                ToWorker::SubmitResult { origin, result } => {
                    let close = self.with(origin.session, around, |session, port| {
                        session.submit_result(origin.operation, origin.sequence_number, result, port)
                    });
                    self.end(origin.session, close.flatten(), around);
                }
                ToWorker::PauseHeard { session } => {
                    if let Some(connection) = self.connection(session) {
                        connection.unheard -= 1;
                    }
                }
                ToWorker::Deliver { session: to, token, body } => {
                    let is_paused = self.connection(to).is_some_and(|connection| connection.is_paused);
                    let now = around.now.mono;
                    let taken = !is_paused
                        && self
                            .with(to, around, |session, port| {
                                session.deliver(token, CommandId::DELIVER_SM, body.len(), now, port, |out| {
                                    out.extend_from_slice(&body);
                                })
                            })
                            .unwrap_or(false);
                    if !taken {
                        let result = DeliveryResult::NotSent;
                        around.to_shards[shard].push_reply(ToShard::DeliveryResult { token, result });
                        continue;
                    }
                    let shards = around.to_shards.len();
                    if let Some(connection) = self.connection(to)
                        && connection.out.len() > OUT_BYTES_MAX
                        && !connection.is_paused
                    {
                        (connection.is_paused, connection.unheard) = (true, shards);
                        around.model.paused += 1;
                        for lane in &mut *around.to_shards {
                            lane.push_reply(ToShard::Paused { session: to });
                        }
                    }
                }
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
        let was_bound = connection.session.account().is_some();
        self.with(handle, around, |session, port| {
            session.closed(reason, port);
            port.model.set_takes_deliveries(port.number, false);
            if was_bound {
                port.tell_all(&ToShard::Unbound { session: port.handle });
            }
        });
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
