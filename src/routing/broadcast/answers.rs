//! Answers that have a body: it may be long, so it goes as deliveries go, and waits where there is no room.

use std::collections::VecDeque;

use super::super::{Asker, Shard, ShardOutput};
use crate::base::MessageId;
use crate::base::mobile::MobileNetwork;
use crate::store::{Durability, Lsn, MessageStore};

/// What an answer waits for beside room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    Nothing,
    /// For this log entry to be as durable as that.
    Entry(Durability, Lsn),
    /// For the broadcast that it is about to be on its way: who has the answer may ask for it at once.
    Release(MessageId),
}

#[derive(Debug)]
struct Answer {
    asker: Asker,
    awaits: Awaits,
    body: Vec<u8>,
}

/// Those not given yet. The windows of the sessions that wait bound them.
#[derive(Debug, Default)]
pub(in super::super) struct BodyAnswers {
    waiting: VecDeque<Answer>,
}

impl BodyAnswers {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, asker: Asker, awaits: Awaits, body: Vec<u8>) {
        self.waiting.push_back(Answer { asker, awaits, body });
    }

    /// A broadcast is on its way.
    pub(in super::super) fn released(&mut self, id: MessageId) {
        for answer in &mut self.waiting {
            if answer.awaits == Awaits::Release(id) {
                answer.awaits = Awaits::Nothing;
            }
        }
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Gives the answers that need not wait any longer. `true`: one of those found no room.
    pub(in super::super) fn release_bodies(&mut self, out: &mut impl ShardOutput) -> bool {
        let mut waiting = std::mem::take(&mut self.bodies.waiting);
        let mut no_room = false;
        waiting.retain(|answer| {
            let is_due = match answer.awaits {
                Awaits::Nothing => true,
                Awaits::Entry(durability, lsn) => self.is_held(durability, lsn),
                Awaits::Release(_) => false,
            };
            let is_given = is_due && out.operation_body(answer.asker, &answer.body);
            no_room |= is_due && !is_given;
            !is_given
        });
        self.bodies.waiting = waiting;
        no_room
    }
}
