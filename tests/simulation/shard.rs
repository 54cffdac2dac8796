//! The shell of one routing shard: what the runtime's does, with lanes of one value and nothing else between.

use std::collections::BTreeMap;

use smscd::base::{AccountId, DeliveryToken, MessageId, Now, SessionHandle};
use smscd::network::Network;
use smscd::routing::{
    self, Asker, EventKind, Fact, MessageEvent, Mo, MoOutcome, Multi, OperationOutcome, OperationRequest,
    Shard, ShardOutput, SubmitOutcome,
};
use smscd::session::{DeliveryResult, Origin};
use smscd::smpp::{
    AlertNotification, BroadcastSm, CommandId, CommandStatus, DeliverSm, InterfaceVersion, Operation,
    OperationAnswer, PduBody, SubmitSm, TlvTag,
};
use smscd::store::Journal;

use super::lane::Lane;
use super::link::SimLink;
use super::message::{Broadcast, Kind, Wrong};
use super::model::Model;
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
    Operate {
        session: SessionHandle,
        ticket: u32,
        account: AccountId,
        version: InterfaceVersion,
        command_id: CommandId,
        body: Vec<u8>,
    },
    SubmitMulti {
        origin: Origin,
        account: AccountId,
        version: InterfaceVersion,
        message_id: MessageId,
        names_first: bool,
        batch: Vec<u8>,
        /// The messages of the batch as the model knows them, by their place in the request.
        parts: Vec<(u16, u32)>,
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
    OperationResult { session: SessionHandle, ticket: u32, answer: OperationAnswer },
    OperationBody { session: SessionHandle, ticket: u32, body: Vec<u8> },
    MultiAccepted { request: u32, count: u16 },
    MultiRefused { request: u32, index: u16, status: CommandStatus },
    Deliver { session: SessionHandle, token: DeliveryToken, body: Vec<u8> },
    Alert { session: SessionHandle, body: Vec<u8> },
    PauseHeard { session: SessionHandle },
}

/// A shard, its journal and what stands behind that.
pub(crate) struct Host {
    pub(crate) shard: Shard<Journal<SimLink>, Network>,
    pub(crate) backend: Backend,
    /// MO messages whose sender waits until they are held, by id.
    pub(crate) mo_waiting: BTreeMap<String, u32>,
}

/// Where a shard's outputs go.
pub(crate) struct Output<'a> {
    pub(crate) to_workers: &'a mut [Lane<ToWorker>],
    pub(crate) model: &'a mut Model,
    pub(crate) shard: u16,
    /// MO messages whose sender waits until they are held, by id.
    pub(crate) mo_waiting: &'a mut BTreeMap<String, u32>,
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

    fn operation_result(&mut self, asker: Asker, answer: OperationAnswer) {
        let Asker { session, ticket } = asker;
        let lane = &mut self.to_workers[usize::from(session.worker)];
        lane.push_reply(ToWorker::OperationResult { session, ticket, answer });
    }

    fn operation_body(&mut self, asker: Asker, body: &[u8]) -> bool {
        let Asker { session, ticket } = asker;
        let lane = &mut self.to_workers[usize::from(session.worker)];
        lane.push_request(ToWorker::OperationBody { session, ticket, body: body.to_vec() })
    }

    fn mo_held(&mut self, id: MessageId) {
        let number = self.mo_waiting.remove(&id.to_string()).expect("one that was not held before");
        self.model.answered(number, 0, &id.to_string());
    }

    fn deliver(&mut self, to: SessionHandle, token: DeliveryToken, deliver_sm: &DeliverSm<'_>) -> bool {
        let lane = &mut self.to_workers[usize::from(to.worker)];
        if !self.may_deliver || !lane.has_room() {
            return false;
        }
        let (kind, subscriber) = match deliver_sm.esm_class {
            of if of.is_receipt() => (Kind::Receipt, deliver_sm.source_addr),
            of if of.is_intermediate() => (Kind::Notification, deliver_sm.source_addr),
            _ => (Kind::Message, deliver_sm.destination_addr),
        };
        let named = self.model.find(deliver_sm.user_data(), kind, subscriber);
        self.model.hands_out(to, token, named, kind);
        let mut body = Vec::new();
        deliver_sm.encode_body(&mut body);
        lane.push_request(ToWorker::Deliver { session: to, token, body })
    }

    fn alert(&mut self, to: SessionHandle, alert: &AlertNotification<'_>) -> bool {
        let lane = &mut self.to_workers[usize::from(to.worker)];
        if !self.may_deliver || !lane.has_room() {
            return false;
        }
        self.model.alerts(self.shard, to, alert.source_addr);
        let mut body = Vec::new();
        alert.encode_body(&mut body);
        lane.push_request(ToWorker::Alert { session: to, body })
    }

    fn message_event(&mut self, event: &MessageEvent<'_>) {
        let named = self.model.find(event.sm.user_data(), Kind::Message, event.sm.destination_addr);
        match event.kind {
            EventKind::Accepted => self.model.holds(named.0),
            EventKind::Attempt => self.model.attempt_failed(named.0),
            EventKind::Final => self.model.ends(self.shard, named, event.state.octet()),
        }
    }

    fn fact(&mut self, fact: Fact) {
        match fact {
            Fact::BodyMissing { message_id } | Fact::Unrecoverable { message_id } => {
                panic!("the store has lost what {message_id} was");
            }
            Fact::Recovered { .. } => self.model.seen.recovered += 1,
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
        to_workers: &mut [Lane<ToWorker>],
        model: &mut Model,
    ) {
        let mut mo_waiting = std::mem::take(&mut self.mo_waiting);
        let shard = self.shard.index();
        let output =
            &mut Output { to_workers, model, shard, mo_waiting: &mut mo_waiting, may_deliver: false };
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
        self.mo_waiting = mo_waiting;
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
                let (number, _) = output.model.find(sm.user_data(), Kind::Message, sm.destination_addr);
                let submit = routing::Submit { origin: to_routing, account, version, sm: &sm, body: &body };
                let result = if output.model.message(number).is_taken() {
                    self.take_again(number, &submit, now, output)
                } else {
                    let wrong = output.model.taken(index, number);
                    let pending = self.shard.pending();
                    let outcome = self.shard.submit(&submit, now, output);
                    let result = match outcome {
                        SubmitOutcome::Accepted(id) => Some(Ok(id)),
                        SubmitOutcome::Refused(status) => Some(Err(status)),
                        SubmitOutcome::Later => None,
                    };
                    check_refusal(wrong, result.and_then(Result::err));
                    if !matches!(outcome, SubmitOutcome::Refused(_)) {
                        let is_in_place = self.shard.pending() == pending;
                        output.model.taken_in_chain(number, is_in_place);
                        output.model.remembers(index, number);
                    }
                    result
                };
                if let Some(result) = result {
                    let worker = usize::from(origin.session.worker);
                    output.to_workers[worker].push_reply(ToWorker::SubmitResult { origin, result });
                }
            }
            ToShard::Operate { session, ticket, account, version, command_id, body } => {
                let operation = Operation::decode(command_id, &body, version);
                let operation = operation.and_then(Result::ok).expect("the worker has decoded it");
                let asker = Asker { session, ticket };
                let request = OperationRequest { asker, account, version, operation };
                let outcome = match &operation {
                    Operation::Broadcast(sm) => self.take_broadcast(&request, sm, now, output),
                    _ => self.shard.operate(&request, now, output),
                };
                if let OperationOutcome::Answered(answer) = outcome {
                    output.operation_result(asker, answer);
                }
            }
            multi @ ToShard::SubmitMulti { .. } => self.take_multi(multi, now, output),
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
                output.model.bound(index, session, credit, account.index());
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

    /// A submit_sm comes again. Where the shard need not know it any more it is turned away here, for what came of it
    /// would be a second message of the same name.
    fn take_again(
        &mut self,
        number: u32,
        submit: &routing::Submit<'_>,
        now: Now,
        output: &mut Output<'_>,
    ) -> Option<Result<MessageId, CommandStatus>> {
        if !output.model.is_remembered(self.shard.index(), number) {
            return Some(Err(CommandStatus::ESME_RTHROTTLED));
        }
        let pending = self.shard.pending();
        let outcome = self.shard.submit(submit, now, output);
        assert_eq!(self.shard.pending(), pending, "promise 3: m{number} was taken in twice");
        match outcome {
            SubmitOutcome::Accepted(id) => Some(Ok(id)),
            SubmitOutcome::Later => None,
            // Its times are past by now.
            SubmitOutcome::Refused(
                status @ (CommandStatus::ESME_RINVEXPIRY | CommandStatus::ESME_RINVSCHED),
            ) => Some(Err(status)),
            SubmitOutcome::Refused(status) => panic!("m{number} comes again and is refused with {status}"),
        }
    }

    /// A broadcast comes: a new one, or one for every shard, of which the one that has what it replaces takes it.
    fn take_broadcast(
        &mut self,
        request: &OperationRequest<'_>,
        sm: &BroadcastSm<'_>,
        now: Now,
        output: &mut Output<'_>,
    ) -> OperationOutcome {
        let text = sm.tlvs.find(TlvTag::MESSAGE_PAYLOAD).expect("a text");
        let (number, _) = output.model.find(text, Kind::Message, b"");
        let index = self.shard.index();
        let outcome = self.shard.operate(request, now, output);
        let is_taken = outcome == OperationOutcome::Later;
        if sm.replace_if_present_flag != 0 {
            if is_taken {
                assert_eq!(output.model.taken(index, number), None, "m{number} is wrong");
                output.model.taken_in_chain(number, true);
            }
            return outcome;
        }
        let wrong = output.model.taken(index, number);
        let is_known = output.model.message(number).asked.broadcast.is_some_and(Broadcast::is_served);
        match outcome {
            OperationOutcome::Answered(OperationAnswer::Refused(status)) if !is_known => {
                assert_eq!(status, CommandStatus::ESME_RINVBCASTALIAS_NAME, "the network has no such area");
            }
            OperationOutcome::Answered(OperationAnswer::Refused(status)) => {
                check_refusal(wrong, Some(status))
            }
            OperationOutcome::Later => {
                assert!(is_known, "the network has no such area");
                check_refusal(wrong, None);
            }
            OperationOutcome::Answered(other) => panic!("a broadcast_sm is answered {other:?}"),
        }
        outcome
    }

    fn take_multi(&mut self, message: ToShard, now: Now, output: &mut Output<'_>) {
        let ToShard::SubmitMulti { origin, account, version, message_id, names_first, batch, parts } =
            message
        else {
            return;
        };
        let batch = &batch;
        let shard = self.shard.index();
        let (worker, request) = (usize::from(origin.session.worker), origin.sequence_number);
        let origin = routing::Origin {
            session: origin.session,
            sequence_number: request,
            operation: origin.operation,
            received_at: origin.received_at,
        };
        let wrong: Vec<(u16, Option<Wrong>)> =
            parts.iter().map(|&(index, number)| (index, output.model.taken(shard, number))).collect();
        let mut refusals = Vec::new();
        let multi = Multi { origin, account, version, message_id, names_first, batch };
        let count =
            self.shard.submit_multi(&multi, now, output, |index, status| refusals.push((index, status)));
        for (index, wrong) in wrong {
            let refusal = refusals.iter().find(|refusal| refusal.0 == index);
            check_refusal(wrong, refusal.map(|&(_, status)| status));
        }
        for (index, status) in refusals {
            output.to_workers[worker].push_reply(ToWorker::MultiRefused { request, index, status });
        }
        if count > 0 {
            output.to_workers[worker].push_reply(ToWorker::MultiAccepted { request, count });
        }
    }
}

/// A shard refuses what is wrong, for that reason, and nothing else unless it is full.
fn check_refusal(wrong: Option<Wrong>, refusal: Option<CommandStatus>) {
    let expected = match wrong {
        None if refusal == Some(CommandStatus::ESME_RMSGQFUL) => return,
        None => None,
        Some(Wrong::Schedule) => Some(CommandStatus::ESME_RINVSCHED),
        Some(Wrong::Validity) => Some(CommandStatus::ESME_RINVEXPIRY),
    };
    assert_eq!(refusal, expected, "a message that is wrong about {wrong:?}");
}

/// The network brings a message for an application.
pub(crate) fn bring(
    shard: &mut Shard<Journal<SimLink>, Network>,
    number: u32,
    to: &str,
    now: Now,
    output: &mut Output<'_>,
) {
    let text = format!("m{number:06}");
    let mo = Mo {
        source_addr: b"447700900009",
        destination_addr: to.as_bytes(),
        data_coding: 0,
        esm_class: 0,
        short_message: text.as_bytes(),
    };
    output.model.taken(shard.index(), number);
    let has_owner = output.model.message(number).owner().is_some();
    match shard.inject_mo(&mo, now, output) {
        Ok(MoOutcome::Accepted(id)) => output.model.answered(number, 0, &id.to_string()),
        Ok(MoOutcome::Later(id)) => {
            output.mo_waiting.insert(id.to_string(), number);
        }
        Err(routing::MoRefused::NoOwner) => {
            assert!(!has_owner, "somebody owns {to}");
            output.model.answered(number, CommandStatus::ESME_RINVDSTADR.0, "");
        }
        Err(routing::MoRefused::NobodyReceives) => panic!("that is asked of no MO message"),
        Err(routing::MoRefused::Full) => {
            output.model.answered(number, CommandStatus::ESME_RMSGQFUL.0, "");
        }
    }
}
