//! Duplicate suppression: a submit_sm that repeats another of its account within the account's window is not taken in; it
//! gets the other's message id. So an ESME that has lost a response, with its connection say, may just ask again.
//!
//! Two are the same when source, destination, user data and their kind are, and user_message_reference, or where there
//! is none sequence_number. They are compared by a hash of 64 bits, and remembered in a table of fixed size, in which
//! the newest displaces the oldest of its set: under a load that overruns the table within the window, a late duplicate
//! is a message like any other.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::message::{Message, Role, Stage};
use super::transaction::is_transaction;
use super::{Origin, Shard, ShardOutput, Submit, SubmitOutcome};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, Time};
use crate::limits::{DUPLICATES_REMEMBERED, DUPLICATES_WAITING_MAX};
use crate::smpp::{CommandStatus, SmFields, TlvTag};
use crate::store::MessageStore;

/// Places that one fingerprint may take.
const WAYS: usize = 4;
const SETS: usize = DUPLICATES_REMEMBERED / WAYS;

/// Stands for everything that two duplicates have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of a submit_sm that came with this sequence_number. `None`: it names no user_message_reference, and the
    /// sequence_number is not known.
    pub(super) fn of(account: AccountId, sm: &SmFields<'_>, sequence_number: Option<u32>) -> Option<Self> {
        let mut hasher = DefaultHasher::new();
        match sm.tlvs.find(TlvTag::USER_MESSAGE_REFERENCE) {
            Some(reference) => (1u8, reference).hash(&mut hasher),
            None => (0u8, sequence_number?).hash(&mut hasher),
        }
        account.hash(&mut hasher);
        (sm.source_addr_ton, sm.source_addr_npi, sm.source_addr).hash(&mut hasher);
        (sm.dest_addr_ton, sm.dest_addr_npi, sm.destination_addr).hash(&mut hasher);
        (sm.esm_class.0, sm.data_coding, sm.user_data()).hash(&mut hasher);
        Some(Self(hasher.finish()))
    }
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    fingerprint: Fingerprint,
    id: MessageId,
    /// End of its window.
    until: Time,
}

/// Nothing: it has ended.
const VACANT: Remembered =
    Remembered { fingerprint: Fingerprint(0), id: MessageId::from_u64(0), until: Time::ZERO };

/// The messages that may yet be repeated.
#[derive(Debug)]
pub(super) struct Duplicates {
    /// Empty where no account suppresses duplicates.
    sets: Vec<[Remembered; WAYS]>,
    /// Duplicates of messages that are not durable yet, and so not answered either.
    waiting: Vec<(MessageId, Origin)>,
}

impl Duplicates {
    pub(super) fn new(any_window: bool) -> Self {
        Self { sets: vec![[VACANT; WAYS]; if any_window { SETS } else { 0 }], waiting: Vec::new() }
    }

    /// An account suppresses duplicates from now on, or did before.
    pub(super) fn make_room(&mut self) {
        if self.sets.is_empty() {
            self.sets = vec![[VACANT; WAYS]; SETS];
        }
    }

    fn find(&self, fingerprint: Fingerprint, now: Now) -> Option<MessageId> {
        let set = self.sets.get(fingerprint.0 as usize % SETS)?;
        let is_it = |place: &&Remembered| place.fingerprint == fingerprint && now.mono < place.until;
        set.iter().find(is_it).map(|place| place.id)
    }

    /// Remembers a message until the end of its window.
    pub(super) fn remember(&mut self, fingerprint: Fingerprint, id: MessageId, until: Time) {
        let Some(set) = self.sets.get_mut(fingerprint.0 as usize % SETS) else { return };
        if let Some(oldest) = set.iter_mut().min_by_key(|place| place.until) {
            *oldest = Remembered { fingerprint, id, until };
        }
    }

    /// Lets a duplicate wait for the answer that the message has. `false`: too many wait.
    pub(super) fn wait(&mut self, id: MessageId, origin: Origin) -> bool {
        let has_room = self.waiting.len() < DUPLICATES_WAITING_MAX;
        if has_room {
            self.waiting.push((id, origin));
        }
        has_room
    }

    /// Those that wait for the answer that this message has, which is given now.
    pub(super) fn take_waiting(&mut self, id: MessageId) -> impl Iterator<Item = Origin> {
        self.waiting.extract_if(.., move |waiting| waiting.0 == id).map(|(_, origin)| origin)
    }

    /// Answers the duplicates of a message that is answered itself.
    #[inline]
    pub(super) fn answer(&mut self, id: MessageId, out: &mut impl ShardOutput) {
        if !self.waiting.is_empty() {
            self.waiting.retain(|&(of, origin)| {
                if of == id {
                    out.submit_result(origin, Ok(id));
                }
                of != id
            });
        }
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// What a submit is told if it is a duplicate.
    pub(super) fn as_duplicate(
        &mut self,
        submit: &Submit<'_>,
        fingerprint: Fingerprint,
        now: Now,
    ) -> Option<SubmitOutcome> {
        let id = self.duplicates.find(fingerprint, now)?;
        if is_transaction(submit.sm, submit.origin.operation, submit.version) {
            return self.as_repeated(submit, id, now);
        }
        let message = self.find(id).and_then(|slot| self.messages.get(slot));
        if !matches!(message, Some(Message { role: Role::Mt, stage: Stage::AwaitingDurable { .. }, .. })) {
            return Some(SubmitOutcome::Accepted(id));
        }
        Some(if self.duplicates.wait(id, submit.origin) {
            SubmitOutcome::Later
        } else {
            SubmitOutcome::Refused(CommandStatus::ESME_RTHROTTLED)
        })
    }
}
