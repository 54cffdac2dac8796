//! What a session core sees of its worker: the out-queue, the shards, the accounts, the counters.

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::super::accounts::{AccountTable, Judgement, Settled};
use super::super::authenticator::Question;
use super::super::connection::{Connection, ResponseRuns};
use super::super::lane::LaneSender;
use super::super::out_queue::OutQueue;
use super::super::pool::ChunkPool;
use super::super::shard_host::ShardHost;
use super::super::thread::{ThreadStats, ThreadWaker};
use super::super::tls::{ClientIdentity, ServerTls, TlsSession};
use super::super::values::{AddressRange, ToShard};
use super::duplicates::Duplicates;
use super::multi::OpenMultis;
use super::operations::ask_shards;
use super::{Worker, log};
use crate::base::{AccountId, DeliveryToken, Now, SessionHandle, Time};
use crate::control_lane::Wake;
use crate::routing::shard_of;
use crate::session::{
    Authentication, BindMode, BindRequest, DeliveryResult, Disposition, Fact, Grant, MultiRequest,
    OperationDisposition, OperationRequest, Origin, Output, Port, Session, StallReason, SubmitRequest,
};
use crate::smpp::{CommandStatus, InterfaceVersion, Operation, PduBody, SubmitSm};
use crate::stats::{AccountCounter, Counter, Latency};

/// The lane to one shard on another thread, and how to wake it.
pub type ShardLink = (LaneSender<ToShard>, Arc<ThreadWaker>);

/// A worker's ends of the lanes to all shards.
pub struct ShardLinks {
    /// By shard index; `None` is the shard on this thread.
    lanes: Vec<Option<ShardLink>>,
}

impl ShardLinks {
    /// Lanes by shard index.
    pub const fn new(lanes: Vec<Option<ShardLink>>) -> Self {
        Self { lanes }
    }

    /// Publishes what the turn has added, and wakes the threads that sleep.
    pub fn publish(&mut self, stats: &ThreadStats) {
        for (lane, waker) in self.lanes.iter_mut().flatten() {
            if lane.publish() {
                waker.wake();
                stats.counters.add(Counter::Wakes, 1);
            }
        }
    }

    /// Whether nothing waits for a free block.
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().flatten().all(|(lane, _)| lane.is_idle())
    }

    /// Sends the same reply to every shard on another thread; how many those are.
    pub(super) fn reply_all(&mut self, message: ToShard) -> u16 {
        let mut told = 0;
        for (lane, _) in self.lanes.iter_mut().flatten() {
            lane.push_reply(message);
            told += 1;
        }
        told
    }

    /// Sends a reply to a shard on another thread.
    pub(super) fn reply(&mut self, message: ToShard, shard: u16) {
        if let Some(lane) = self.lane(shard) {
            lane.push_reply(message);
        }
    }

    pub(super) const fn shards(&self) -> u16 {
        self.lanes.len() as u16
    }

    pub(super) fn lane(&mut self, shard: u16) -> Option<&mut LaneSender<ToShard>> {
        self.lanes.get_mut(usize::from(shard))?.as_mut().map(|(lane, _)| lane)
    }
}

/// The out-queue of one session and the counters: all that a delivery or a late answer needs.
pub(super) struct SessionOutput<'a> {
    out: &'a mut OutQueue,
    runs: ResponseRuns<'a>,
    pool: &'a mut ChunkPool,
    pub(super) stats: &'a mut ThreadStats,
    account: Option<AccountId>,
    /// When the request was read that is being answered.
    received_at: Time,
    congestion_state: Option<u8>,
}

impl SessionOutput<'_> {
    fn count(&self, counter: AccountCounter) {
        if let Some(account) = self.account {
            self.stats.counters.add_account(account, counter, 1);
        }
    }
}

impl Output for SessionOutput<'_> {
    #[inline]
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.append(len, self.pool, write);
        self.stats.counters.add(Counter::PdusSent, 1);
    }

    #[inline]
    fn congestion_state(&self) -> Option<u8> {
        self.congestion_state
    }

    #[inline]
    fn fact(&mut self, fact: Fact) {
        let counter = match fact {
            Fact::Submitted => return self.count(AccountCounter::Submitted),
            Fact::SubmitAnswered(status) => {
                Connection::note_response(&mut self.runs, self.received_at);
                return self.count(match status {
                    CommandStatus::ESME_ROK => AccountCounter::Accepted,
                    CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL => {
                        AccountCounter::Throttled
                    }
                    _ => AccountCounter::Rejected,
                });
            }
            Fact::BroadcastAnswered(status) => {
                return self.count(match status {
                    CommandStatus::ESME_ROK => AccountCounter::Accepted,
                    CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL => {
                        AccountCounter::Throttled
                    }
                    _ => AccountCounter::Rejected,
                });
            }
            Fact::MultiAnswered => return Connection::note_response(&mut self.runs, self.received_at),
            Fact::DeliverAnswered { nanos } => {
                return self.stats.latencies.record(Latency::DeliverResp, nanos);
            }
            Fact::Bound(mode) => {
                self.count(AccountCounter::SessionsOpened);
                match mode {
                    BindMode::Transmitter => Counter::BoundTransmitter,
                    BindMode::Receiver => Counter::BoundReceiver,
                    BindMode::Transceiver => Counter::BoundTransceiver,
                }
            }
            Fact::Unbound(mode) => {
                self.count(AccountCounter::SessionsClosed);
                match mode {
                    BindMode::Transmitter => Counter::UnboundTransmitter,
                    BindMode::Receiver => Counter::UnboundReceiver,
                    BindMode::Transceiver => Counter::UnboundTransceiver,
                }
            }
            Fact::BindRefused(_) => Counter::BindsRefused,
            Fact::WrongState => Counter::WrongState,
            Fact::UnknownCommand => Counter::UnknownCommands,
            Fact::MalformedPdu => Counter::MalformedPdus,
            Fact::UnknownMessage => Counter::UnknownMessages,
            Fact::UnmatchedResponse => Counter::UnmatchedResponses,
            Fact::ResponseTimeout => Counter::ResponseTimeouts,
        };
        self.stats.counters.add(counter, 1);
    }
}

/// Everything a session may ask for.
pub(super) struct SessionPort<'a> {
    pub(super) output: SessionOutput<'a>,
    handle: SessionHandle,
    pub(super) now: Now,
    pub(super) links: &'a mut ShardLinks,
    pub(super) shard: Option<&'a mut ShardHost>,
    pub(super) accounts: &'a Arc<AccountTable>,
    questions: &'a Sender<Question>,
    peer: SocketAddr,
    pub(super) multis: &'a mut OpenMultis,
    duplicates: &'a mut Duplicates,
    body_scratch: &'a mut Vec<u8>,
    certified: Option<Certified<'a>>,
}

/// A peer that has shown a certificate, and what certificates may bind as.
#[derive(Clone, Copy)]
struct Certified<'a> {
    identity: &'a ClientIdentity,
    tls: &'a ServerTls,
}

impl Output for SessionPort<'_> {
    #[inline]
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.output.send(len, write);
    }

    #[inline]
    fn congestion_state(&self) -> Option<u8> {
        self.output.congestion_state
    }

    #[inline]
    fn fact(&mut self, fact: Fact) {
        self.output.fact(fact);
    }
}

impl SessionPort<'_> {
    /// Tells every shard, in the order of the calls.
    pub(super) fn tell_all(&mut self, message: ToShard) {
        for shard in 0..self.links.shards() {
            match (self.links.lane(shard), &mut self.shard) {
                (Some(lane), _) => lane.push_reply(message),
                (None, Some(host)) => host.take(message, &[], self.now, self.output.stats),
                (None, None) => debug_assert!(false, "a shard without lane or host"),
            }
        }
    }
}

impl Port for SessionPort<'_> {
    fn authenticate(&mut self, bind: &BindRequest<'_>) -> Authentication {
        let refused = Authentication::Refused(CommandStatus::ESME_RBINDFAIL);
        if let Some(Certified { identity, tls }) = self.certified
            && !tls.current().identities.allow(identity, bind.system_id)
        {
            log::identity_refused(bind.system_id, identity.name(), self.peer);
            self.output.stats.counters.add(Counter::TlsIdentitiesRefused, 1);
            return refused;
        }
        match self.accounts.judge(bind, self.handle, self.peer.ip(), self.now.mono) {
            Judgement::Now(_, Settled::Granted { grant, replaced }) => {
                self.duplicates.tell_replaced(&replaced);
                Authentication::Accepted(grant)
            }
            Judgement::Now(attempt, Settled::Ask(older)) => {
                self.duplicates.ask(older, attempt);
                Authentication::Pending
            }
            Judgement::Now(_, Settled::Refused(status)) => {
                log::bind_refused(bind.system_id, status, self.peer);
                Authentication::Refused(status)
            }
            Judgement::Limited => {
                log::bind_limited(bind.system_id, self.peer);
                self.output.stats.counters.add(Counter::BindsLimited, 1);
                refused
            }
            Judgement::Verify(attempt) => {
                let accounts = Arc::clone(self.accounts);
                let question = Question { accounts, attempt, password: bind.password.into() };
                match self.questions.try_send(question) {
                    Ok(()) => Authentication::Pending,
                    Err(_) => {
                        log::bind_refused(bind.system_id, CommandStatus::ESME_RTHROTTLED, self.peer);
                        Authentication::Refused(CommandStatus::ESME_RTHROTTLED)
                    }
                }
            }
        }
    }

    fn bound(&mut self, grant: &Grant, mode: BindMode, version: InterfaceVersion, address_range: &[u8]) {
        self.output.account = Some(grant.account);
        if let Some(account) = self.accounts.get(grant.account) {
            log::bound(&account.config().system_id, mode, self.peer);
        }
        let shards = u32::from(self.links.shards());
        // Shares of the window; a little over it when there are more shards than window (the session holds those).
        let deliver_credit = grant.deliver_window.div_ceil(shards.max(1)).max(grant.deliver_window.min(8));
        self.tell_all(ToShard::Bound {
            session: self.handle,
            account: grant.account,
            version,
            receives: mode.receives(),
            deliver_credit,
            address_range: AddressRange::new(address_range),
        });
    }

    #[inline]
    fn submit(&mut self, submit: &SubmitRequest<'_>) -> Disposition {
        let shard = shard_of(submit.sm.destination_addr, self.links.shards());
        let mut lane = self.links.lane(shard);
        // Before the rate is charged: a request that stalls comes again.
        if let Some(lane) = &mut lane
            && !lane.has_room(submit.body.len())
        {
            self.output.stats.counters.add(Counter::LaneStalls, 1);
            return Disposition::Stall(StallReason::Lane);
        }
        let account = self.accounts.get(submit.account);
        if let Some(account) = account
            && let Err(status) = account.charge(submit.sm, self.now)
        {
            return match status {
                CommandStatus::ESME_RTHROTTLED => {
                    Disposition::OverRate { until: account.rate_allows_at(1, self.now.mono) }
                }
                status => Disposition::Answered(Err(status)),
            };
        }
        let Some(lane) = lane else {
            let Some(host) = &mut self.shard else {
                return Disposition::Answered(Err(CommandStatus::ESME_RSYSERR));
            };
            let disposition = host.submit(submit, self.now, self.output.stats);
            if let (Disposition::Answered(Err(_)), Some(account)) = (disposition, account) {
                account.refused(1);
            }
            return disposition;
        };
        let message =
            ToShard::Submit { origin: submit.origin, account: submit.account, version: submit.version };
        let pushed = lane.push_request(message, submit.body.len(), |out| out.extend_from_slice(submit.body));
        if pushed { Disposition::InFlight } else { Disposition::Stall(StallReason::Lane) }
    }

    fn operate(&mut self, request: &OperationRequest<'_>) -> OperationDisposition {
        let now = self.now;
        let account = self.accounts.get(request.account);
        let mut charged = None;
        let admit = || {
            if let (Operation::Broadcast(sm), Some(account)) = (request.operation, account) {
                account.charge_broadcast(sm, now)?;
                charged = Some(account);
            }
            Ok(())
        };
        let asked = ask_shards(request, self.links, &mut self.shard, now, self.output.stats, admit);
        // A broadcast that is accepted is answered later.
        if let (Some(account), OperationDisposition::Asked { awaited: 0, .. }) = (charged, asked) {
            account.refused(1);
        }
        asked
    }

    fn submit_fields(
        &mut self,
        origin: Origin,
        account: AccountId,
        version: InterfaceVersion,
        sm: &SubmitSm<'_>,
    ) -> Disposition {
        let mut body = std::mem::take(self.body_scratch);
        body.clear();
        sm.encode_body(&mut body);
        let disposition = match SubmitSm::decode(&body) {
            Ok(sm) => self.submit(&SubmitRequest { origin, account, version, sm: &sm, body: &body }),
            Err(error) => Disposition::Answered(Err(error.status)),
        };
        *self.body_scratch = body;
        disposition
    }

    fn submit_multi(&mut self, multi: &MultiRequest<'_>) -> Disposition {
        self.spread(multi)
    }

    #[inline]
    fn delivery_result(&mut self, token: DeliveryToken, result: DeliveryResult) {
        let message = ToShard::DeliveryResult { token, result };
        match (self.links.lane(token.shard), &mut self.shard) {
            (Some(lane), _) => lane.push_reply(message),
            (None, Some(host)) => host.take(message, &[], self.now, self.output.stats),
            (None, None) => debug_assert!(false, "a token of no shard"),
        }
    }

    fn deliveries_off(&mut self) {
        self.tell_all(ToShard::DeliveriesOff { session: self.handle });
    }
}

impl SessionPort<'_> {
    /// The session is gone: every shard puts back what it had there.
    pub(super) fn unbound(&mut self) {
        self.tell_all(ToShard::Unbound { session: self.handle });
    }
}

impl Worker {
    /// Runs `f` on the session in `slot` with everything it may ask for. `None`: no such connection.
    pub(super) fn with_port<R>(
        &mut self,
        slot: u32,
        now: Now,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
        f: impl FnOnce(&mut Session, &mut SessionPort<'_>) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(slot)?;
        let (handle, peer) = (connection.handle, connection.peer);
        let (session, out, runs, tls) = connection.parts();
        let account = session.account();
        let congestion_state = self.congestion_state;
        let (pool, received_at) = (&mut self.pool, now.mono);
        let identity = tls.and_then(TlsSession::identity);
        let certified = identity.zip(self.tls.as_ref().and_then(|tls| tls.server()));
        let certified = certified.map(|(identity, tls)| Certified { identity, tls });
        let mut port = SessionPort {
            output: SessionOutput { out, runs, pool, stats, account, received_at, congestion_state },
            handle,
            now,
            links: &mut self.links,
            shard: shard.as_mut(),
            accounts: &self.accounts,
            questions: &self.questions,
            peer,
            multis: &mut self.multis,
            duplicates: &mut self.duplicates,
            body_scratch: &mut self.body_scratch,
            certified,
        };
        let result = f(session, &mut port);
        if !connection.out.is_empty() && !connection.in_dirty {
            connection.in_dirty = true;
            self.dirty.push(slot);
        }
        if connection.session.take_deadline_moved() {
            self.arm_timer(slot, now.mono);
        }
        Some(result)
    }

    /// Runs `f` on the session that `handle` names with its output alone. `None`: the handle is stale.
    pub(super) fn with_output<R>(
        &mut self,
        handle: SessionHandle,
        received_at: Time,
        stats: &mut ThreadStats,
        f: impl FnOnce(&mut Session, &mut SessionOutput<'_>) -> R,
    ) -> Option<R> {
        let Some(connection) = self.connections.get_mut(handle.slot).filter(|found| found.handle == handle)
        else {
            stats.counters.add(Counter::StaleSessionHandles, 1);
            return None;
        };
        let (session, out, runs, _) = connection.parts();
        let account = session.account();
        let (pool, congestion_state) = (&mut self.pool, self.congestion_state);
        let mut output = SessionOutput { out, runs, pool, stats, account, received_at, congestion_state };
        let result = f(session, &mut output);
        if !connection.out.is_empty() && !connection.in_dirty {
            connection.in_dirty = true;
            self.dirty.push(handle.slot);
        }
        Some(result)
    }
}
