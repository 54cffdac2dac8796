//! Operations on stored messages: query_sm, cancel_sm, replace_sm, and submit_sm with replace_if_present_flag. An account
//! sees its own messages only; another's are as unknown as those that never were.
//!
//! A message can be changed while nobody has it: not during an attempt, not in the hands of an ESME, and not once it is
//! final. What was changed is answered when its log entry has become what the account's durability asks for.

mod cancel;
mod find;
mod query;
mod replace;

use std::collections::VecDeque;

use super::list::List;
use super::message::{Message, Role, Stage, Turn};
use super::{Fact, Origin, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, SessionHandle};
use crate::smpp::{InterfaceVersion, Operation, OperationAnswer};
use crate::store::{Durability, Lsn, MessageStore};

/// Who waits for the answer to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The session.
    pub session: SessionHandle,
    /// Its own name for the operation.
    pub ticket: u32,
}

/// An operation that its session has found sound.
#[derive(Clone, Copy, Debug)]
pub struct OperationRequest<'a> {
    /// Who waits for the answer.
    pub asker: Asker,
    /// Whose messages it is about.
    pub account: AccountId,
    /// What the session speaks.
    pub version: InterfaceVersion,
    /// The operation.
    pub operation: Operation<'a>,
}

/// What became of an operation at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationOutcome {
    /// That is the answer.
    Answered(OperationAnswer),
    /// [`ShardOutput::operation_result`] or [`ShardOutput::operation_body`] tells once it is durable.
    Later,
}

/// An answer that waits for its log entry.
#[derive(Clone, Copy, Debug)]
enum Unanswered {
    Operation(Asker, OperationAnswer),
    /// A submit_sm that has replaced this message.
    Submit(Origin, MessageId),
}

/// Answers that wait for their log entries, in log order. The windows of the sessions that wait bound them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    not_written: VecDeque<(Lsn, Unanswered)>,
    not_synced: VecDeque<(Lsn, Unanswered)>,
    /// Whose messages a submit has replaced, not stated yet.
    replaced: Vec<AccountId>,
    /// Messages whose replacement is not durable yet, in log order: nothing that follows from it may overtake its answer.
    pub(super) replacements: List,
}

/// The answer to an operation, and the log entry that it must wait for, if any.
pub(super) type Decided = (OperationAnswer, Option<Lsn>);

impl Answers {
    /// A submission has taken the place of one of the account's messages, which is to be stated.
    pub(super) fn note_replaced(&mut self, account: AccountId) {
        self.replaced.push(account);
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Carries out an operation. Nothing is handed to anybody before the next turn.
    pub fn operate(
        &mut self,
        request: &OperationRequest<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> OperationOutcome {
        let (answer, lsn) = match &request.operation {
            Operation::Query(query) => (self.query_sm(request, query, now), None),
            Operation::Cancel(cancel) => self.cancel_sm(request.account, cancel, now, out),
            Operation::Replace(replace) => self.replace_sm(request.account, replace, now),
            Operation::CancelBroadcast(cancel) => self.cancel_broadcast_sm(request.account, cancel, now, out),
            Operation::Broadcast(sm) => match self.broadcast_sm(request, sm, now, out) {
                Ok(()) => return OperationOutcome::Later,
                Err(answer) => (answer, None),
            },
            Operation::QueryBroadcast(query) => match self.query_broadcast_sm(request, query, now) {
                Ok(()) => return OperationOutcome::Later,
                Err(answer) => (answer, None),
            },
        };
        let durability = self.accounts.get(request.account).durability;
        match lsn {
            Some(lsn) if !self.is_held(durability, lsn) => {
                self.answer_later(durability, lsn, Unanswered::Operation(request.asker, answer));
                OperationOutcome::Later
            }
            _ => OperationOutcome::Answered(answer),
        }
    }

    fn answer_later(&mut self, durability: Durability, lsn: Lsn, answer: Unanswered) {
        let queue = match durability {
            Durability::None | Durability::Buffered => &mut self.answers.not_written,
            Durability::Sync => &mut self.answers.not_synced,
        };
        queue.push_back((lsn, answer));
    }

    /// Gives the answers whose log entries are durable now.
    pub(super) fn release_answers(&mut self, out: &mut impl ShardOutput) {
        self.release_outcomes(out);
        for account in self.answers.replaced.drain(..) {
            out.fact(Fact::Replaced { account });
        }
        for durability in [Durability::Buffered, Durability::Sync] {
            let reached = self.store.lsn_at(durability);
            let queue = match durability {
                Durability::Sync => &mut self.answers.not_synced,
                _ => &mut self.answers.not_written,
            };
            while let Some(&(lsn, answer)) = queue.front()
                && lsn <= reached
            {
                queue.pop_front();
                match answer {
                    Unanswered::Operation(asker, answer) => out.operation_result(asker, answer),
                    Unanswered::Submit(origin, id) => out.submit_result(origin, Ok(id)),
                }
            }
        }
    }

    /// Sends messages on their way whose replacement is durable now. What it is answered with is on its way already.
    pub(super) fn release_replacements(&mut self, now: Now) {
        while let slot = self.answers.replacements.head
            && let Some(&Message { stage: Stage::AwaitingReplacement { lsn }, account, .. }) =
                self.messages.get(slot)
            && self.is_held(self.accounts.get(account).durability, lsn)
        {
            self.take_out(slot);
            self.open(slot, now);
        }
    }

    /// Whether any answer waits for its log entry.
    pub(super) fn has_answers(&self) -> bool {
        !self.transactions.is_empty()
            || !self.answers.replaced.is_empty()
            || !self.answers.replacements.is_empty()
            || !self.answers.not_written.is_empty()
            || !self.answers.not_synced.is_empty()
    }

    /// Takes a message that can be changed into hand, out of whatever list it stands in and off the wheel; its turn with
    /// the subscriber stays its own.
    pub(super) fn take_out(&mut self, slot: u32) {
        let Some(&Message { stage, .. }) = self.messages.get(slot) else { return };
        match stage {
            Stage::Scheduled => self.subscribers.unschedule(&mut self.messages, slot),
            Stage::Behind => {
                self.subscribers.leave_line(&mut self.messages, slot);
            }
            Stage::Queued { queue } => self.sessions.leave_queue(&mut self.messages, queue, slot),
            Stage::Ready => self.work.remove(&mut self.messages, slot),
            Stage::AwaitingReplacement { .. } => self.answers.replacements.remove(&mut self.messages, slot),
            _ => {}
        }
        self.wheel.cancel(slot);
        self.hold(slot);
    }

    /// Gives up the turn that a message in hand may have.
    fn give_up_turn(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let (turn, subscriber) = (std::mem::replace(&mut message.turn, Turn::No), message.subscriber);
        self.end_turn(slot, turn, subscriber, now);
    }
}

/// Whether a message can be changed: it is not final, and nobody has it.
const fn can_be_changed(message: &Message) -> bool {
    matches!(message.role, Role::Mt)
        && matches!(
            message.stage,
            Stage::Scheduled
                | Stage::Waiting
                | Stage::Behind
                | Stage::Queued { .. }
                | Stage::Ready
                | Stage::AwaitingReplacement { .. }
        )
}
