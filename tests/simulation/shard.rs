//! The shell of one routing shard: what the runtime's does, with lanes of one value and nothing else between.

use smscd::base::{AccountId, DeliveryToken, MessageId, Now, SessionHandle};
use smscd::network::Network;
use smscd::routing::{self, Asker, Fact, MessageEnd, Shard, ShardOutput, SubmitOutcome};
use smscd::session::{DeliveryResult, Origin};
use smscd::smpp::{CommandStatus, DeliverSm, InterfaceVersion, OperationAnswer, PduBody, SubmitSm};
use smscd::store::Journal;

use super::lane::Lane;
use super::link::SimLink;
use super::model::{Kind, Model, number_in, number_in_receipt};
use super::store::Backend;

/// From a worker to a shard.
#[derive(Clone, Debug)]
pub(crate) enum ToShard {
    Submit {
        origin: Origin,
        account: AccountId,
        version: InterfaceVersion,
        body: Vec<u8>,
    },
    DeliveryResult {
        token: DeliveryToken,
        result: DeliveryResult,
    },
    Bound {
        session: SessionHandle,
        account: AccountId,
        version: InterfaceVersion,
        receives: bool,
        credit: u32,
    },
    DeliveriesOff {
        session: SessionHandle,
    },
    Paused {
        session: SessionHandle,
    },
    Resumed {
        session: SessionHandle,
    },
    Unbound {
        session: SessionHandle,
    },
}

/// From a shard to a worker.
#[derive(Clone, Debug)]
pub(crate) enum ToWorker {
    SubmitResult { origin: Origin, result: Result<MessageId, CommandStatus> },
    Deliver { session: SessionHandle, token: DeliveryToken, body: Vec<u8> },
    PauseHeard { session: SessionHandle },
}

/// A shard, its journal and what stands behind that.
pub(crate) struct Host {
    pub(crate) shard: Shard<Journal<SimLink>, Network>,
    pub(crate) backend: Backend,
}

/// Where a shard's outputs go.
pub(crate) struct Output<'a> {
    pub(crate) to_workers: &'a mut [Lane<ToWorker>],
    pub(crate) model: &'a mut Model,
    /// Deliveries go out in turns only.
    pub(crate) may_deliver: bool,
}

impl ShardOutput for Output<'_> {
    fn submit_result(&mut self, origin: routing::Origin, result: Result<MessageId, CommandStatus>) {
        let origin = Origin {
            session: origin.session,
            sequence_number: origin.sequence_number,
            operation: origin.operation,
            received_at: origin.received_at,
        };
        let worker = usize::from(origin.session.worker);
        self.to_workers[worker].push_reply(ToWorker::SubmitResult { origin, result });
    }

    fn operation_result(&mut self, _: Asker, _: OperationAnswer) {
        panic!("nobody has asked");
    }

    fn mo_held(&mut self, _: MessageId) {
        panic!("no subscriber sends");
    }

    fn deliver(&mut self, to: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool {
        let lane = &mut self.to_workers[usize::from(to.worker)];
        if !self.may_deliver || !lane.has_room() {
            return false;
        }
        let text = deliver_sm.short_message;
        let (number, kind) = match deliver_sm.esm_class.is_receipt() {
            true => (number_in_receipt(text), Kind::Receipt),
            false => (number_in(text), Kind::Message),
        };
        self.model.hands_out(to, token, number, kind);
        let mut body = Vec::new();
        deliver_sm.encode_body(&mut body);
        lane.push_request(ToWorker::Deliver { session: to, token, body })
    }

    fn message_end(&mut self, end: &MessageEnd<'_>) {
        self.model.ends(number_in(end.sm.short_message), end.state.octet());
    }

    fn fact(&mut self, fact: Fact) {
        match fact {
            Fact::BodyMissing { message_id } | Fact::Unrecoverable { message_id } => {
                panic!("the store has lost what {message_id} was");
            }
            Fact::Recovered { .. } => self.model.recovered += 1,
            _ => {}
        }
    }
}

impl Host {
    /// One turn: a value from each worker that takes its answers, then the shard's own.
    pub(crate) fn turn(
        &mut self,
        now: Now,
        budget: usize,
        from_workers: Vec<&mut Lane<ToShard>>,
        output: &mut Output<'_>,
    ) {
        self.shard.store_mut().poll(now.mono, |_, _| {});
        for (worker, lane) in from_workers.into_iter().enumerate() {
            if output.to_workers[worker].backlog() == 0
                && let Some(message) = lane.take()
            {
                output.may_deliver = false;
                self.take(message, now, output);
            }
        }
        output.may_deliver = true;
        self.shard.turn(now, budget, output);
    }

    fn take(&mut self, message: ToShard, now: Now, output: &mut Output<'_>) {
        let index = self.shard.index();
        match message {
            ToShard::Submit { origin, account, version, body } => {
                let sm = SubmitSm::decode(&body).expect("the worker has decoded it");
                let to_routing = routing::Origin {
                    session: origin.session,
                    sequence_number: origin.sequence_number,
                    operation: origin.operation,
                    received_at: origin.received_at,
                };
                let submit = routing::Submit { origin: to_routing, account, version, sm, body: &body };
                let result = match self.shard.submit(&submit, now) {
                    SubmitOutcome::Accepted(id) => Ok(id),
                    SubmitOutcome::Refused(status) => Err(status),
                    SubmitOutcome::Later => return,
                };
                let worker = usize::from(origin.session.worker);
                output.to_workers[worker].push_reply(ToWorker::SubmitResult { origin, result });
            }
            ToShard::DeliveryResult { token, result } => {
                output.model.outcome(token, result);
                let result = match result {
                    DeliveryResult::Answered(status) => routing::DeliveryResult::Answered(status),
                    DeliveryResult::TimedOut => routing::DeliveryResult::TimedOut,
                    DeliveryResult::NotSent => routing::DeliveryResult::NotSent,
                };
                self.shard.delivery_result(token, result, now, output);
            }
            ToShard::Bound { session, account, version, receives, credit } => {
                output.model.bound(index, session, credit);
                let bound = routing::Bound {
                    session,
                    account,
                    version,
                    receives,
                    deliver_credit: credit,
                    address_range: b"",
                };
                self.shard.session_bound(&bound, output);
            }
            ToShard::DeliveriesOff { session } => self.shard.session_closing(session),
            ToShard::Paused { session } => {
                self.shard.session_paused(session);
                output.to_workers[usize::from(session.worker)].push_reply(ToWorker::PauseHeard { session });
            }
            ToShard::Resumed { session } => self.shard.session_resumed(session),
            ToShard::Unbound { session } => {
                output.model.unbound(index, session);
                self.shard.session_unbound(session);
            }
        }
    }
}
