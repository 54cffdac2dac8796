//! Operations on stored messages: put to the shards that may have the message, and their answers.

use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::super::values::ToShard;
use super::Worker;
use super::ports::ShardLinks;
use crate::base::{Now, SessionHandle};
use crate::routing::{self, Asker, shard_of};
use crate::session::{OperationDisposition, OperationRequest, StallReason};
use crate::smpp::{CommandStatus, OperationAnswer};
use crate::stats::Counter;

/// Puts an operation to every shard that may have the message. That is every one for an id: a change of their number
/// moves messages to other shards than those that their ids name. `admit` has the last word before that.
pub(super) fn ask_shards(
    request: &OperationRequest<'_>,
    links: &mut ShardLinks,
    host: &mut Option<&mut ShardHost>,
    now: Now,
    stats: &mut ThreadStats,
    admit: impl FnOnce() -> Result<(), CommandStatus>,
) -> OperationDisposition {
    let shards = match request.operation.only_at() {
        Some(address) => {
            let shard = shard_of(address, links.shards());
            shard..shard + 1
        }
        None => 0..links.shards(),
    };
    let OperationRequest { session, ticket, account, version, command_id, operation, body, .. } = *request;
    // All or none: a request that stalls comes again.
    for shard in shards.clone() {
        if links.lane(shard).is_some_and(|lane| !lane.has_room(body.len())) {
            stats.counters.add(Counter::LaneStalls, 1);
            return OperationDisposition::Stall(StallReason::Lane);
        }
    }
    if let Err(status) = admit() {
        return OperationDisposition::Asked { awaited: 0, answer: OperationAnswer::Refused(status) };
    }
    let (mut awaited, mut answer) = (0, OperationAnswer::NotFound);
    for shard in shards {
        if let Some(lane) = links.lane(shard) {
            let message = ToShard::Operate { session, ticket, account, version, command_id };
            let pushed = lane.push_request(message, body.len(), |out| out.extend_from_slice(body));
            debug_assert!(pushed, "there was room");
            awaited += u16::from(pushed);
        } else if let Some(host) = host {
            let asker = Asker { session, ticket };
            let request = routing::OperationRequest { asker, account, version, operation: *operation };
            match host.operate(&request, now, stats) {
                Some(given) => answer = answer.or(given),
                None => awaited += 1,
            }
        }
    }
    OperationDisposition::Asked { awaited, answer }
}

impl Worker {
    /// An operation has been answered by a shard.
    pub fn operation_result(
        &mut self,
        session: SessionHandle,
        ticket: u32,
        answer: OperationAnswer,
        stats: &mut ThreadStats,
    ) {
        let now = self.clock.time();
        let mut refused = None;
        let close = self.with_output(session, now, stats, |session, output| {
            // One that is accepted is answered by a body.
            refused = session.account().filter(|_| session.is_broadcast(ticket));
            session.operation_result(ticket, answer, output)
        });
        if let Some(account) = refused.and_then(|account| self.accounts.get(account)) {
            account.refused(1);
        }
        self.after_answer(session, close.flatten());
    }

    /// An operation has been answered by a shard with the response's body.
    pub fn operation_body(
        &mut self,
        session: SessionHandle,
        ticket: u32,
        body: &[u8],
        stats: &mut ThreadStats,
    ) {
        let now = self.clock.time();
        let close = self
            .with_output(session, now, stats, |session, output| session.operation_body(ticket, body, output));
        self.after_answer(session, close.flatten());
    }
}
