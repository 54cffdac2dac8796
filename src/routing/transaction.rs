//! Transaction mode (esm_class mode 10; 3.4 section 5.2.12 has it for data_sm, 5.0 for submit_sm too): one attempt, and the
//! response to the submission waits for what comes of it.
//!
//! Nothing is kept for that beside the message: it knows its session and sequence_number, and that it is awaited. Its
//! validity ends after [`super::ShardSettings::transaction_validity_s`] at the latest, so that the place in its session's
//! window comes back. If the session ends before, the message takes its course, and the outcome finds nobody.
//!
//! A message in this mode is no stored message to the ESME: it has no schedule, replaces none, and no submission replaces it.

use super::alert::{asks_for_flag, flag_of};
use super::message::{Message, Role};
use super::{Origin, Shard, ShardOutput, Submit, SubmitOutcome};
use crate::base::mobile::MobileNetwork;
use crate::base::{MessageId, Now, SubmitOperation};
use crate::limits::DUPLICATES_WAITING_MAX;
use crate::smpp::{CommandStatus, DeliveryOutcome, InterfaceVersion, PduBody, SmFields};
use crate::store::MessageStore;

/// What is to be told in the next turn. A turn's budget and the windows of the sessions bound it.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    outcomes: Vec<(Origin, DeliveryOutcome)>,
}

impl Transactions {
    pub(super) const fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }
}

/// Whether this is the mode of a message that came in so.
#[inline]
pub(super) fn is_transaction(
    sm: &SmFields<'_>,
    operation: SubmitOperation,
    version: InterfaceVersion,
) -> bool {
    sm.esm_class.is_transaction()
        && match operation {
            SubmitOperation::DataSm => true,
            SubmitOperation::SubmitSm => version >= InterfaceVersion::V50,
            SubmitOperation::SubmitMulti => false,
        }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// A message in hand, whose submitter waits for it, has just become final.
    #[cold]
    pub(super) fn note_outcome(&mut self, slot: u32) {
        let Some(message) = self.messages.get(slot) else { return };
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        let asks = stored.filter(|sm| asks_for_flag(message, sm));
        let outcome = DeliveryOutcome {
            message_id: message.id,
            state: message.state,
            error: message.error,
            is_temporary: message.on_failure.was_temporary(),
            dpf_result: asks.map(|sm| self.flags.is_set(&flag_of(message.account, &sm))),
        };
        // After a restart there is nobody to tell.
        if !message.submitter.is_none() {
            self.transactions.outcomes.push((origin_of(message), outcome));
        }
        for origin in self.duplicates.take_waiting(outcome.message_id) {
            self.transactions.outcomes.push((origin, outcome));
        }
    }

    /// What a submission in this mode is told that repeats the message `id`: what that one is, or was. `None`: that is
    /// forgotten.
    #[cold]
    pub(super) fn as_repeated(
        &mut self,
        submit: &Submit<'_>,
        id: MessageId,
        now: Now,
    ) -> Option<SubmitOutcome> {
        let link = self.find(id);
        if link.and_then(|slot| self.messages.get(slot)).is_some_and(|message| message.role == Role::Mt) {
            return Some(if self.duplicates.wait(id, submit.origin) {
                SubmitOutcome::Later
            } else {
                SubmitOutcome::Refused(CommandStatus::ESME_RTHROTTLED)
            });
        }
        if self.transactions.outcomes.len() >= DUPLICATES_WAITING_MAX {
            return Some(SubmitOutcome::Refused(CommandStatus::ESME_RTHROTTLED));
        }
        let record = self.history.find(id, now)?;
        let outcome = DeliveryOutcome {
            message_id: id,
            state: record.state,
            error: record.error,
            is_temporary: false,
            dpf_result: None,
        };
        self.transactions.outcomes.push((submit.origin, outcome));
        Some(SubmitOutcome::Later)
    }

    /// Tells what there is to tell.
    pub(super) fn release_outcomes(&mut self, out: &mut impl ShardOutput) {
        for (origin, outcome) in self.transactions.outcomes.drain(..) {
            out.outcome(origin, &outcome);
        }
    }
}

/// The submission that a message came in with.
#[inline]
pub(super) const fn origin_of(message: &Message) -> Origin {
    Origin {
        session: message.submitter,
        sequence_number: message.sequence_number,
        operation: message.operation(),
        received_at: message.accepted,
    }
}
