//! Answers that have a body: it may be long, so it goes as deliveries go, and waits where there is no room.

use std::collections::VecDeque;

use super::super::{Asker, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::store::{Durability, Lsn, MessageStore};

#[derive(Debug)]
struct Answer {
    asker: Asker,
    /// What its log entry must have reached first.
    durability: Durability,
    lsn: Lsn,
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

    pub(super) fn push(&mut self, asker: Asker, durability: Durability, lsn: Lsn, body: Vec<u8>) {
        self.waiting.push_back(Answer { asker, durability, lsn, body });
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Gives the answers whose log entries are durable, and what they are about released. `true`: one of those found no room.
    pub(in super::super) fn release_bodies(&mut self, out: &mut impl ShardOutput) -> bool {
        let mut waiting = std::mem::take(&mut self.bodies.waiting);
        let mut no_room = false;
        waiting.retain(|answer| {
            let Answer { durability, lsn, .. } = *answer;
            if !self.is_held(durability, lsn) || !self.is_released(durability, lsn) {
                return true;
            }
            let is_given = out.operation_body(answer.asker, &answer.body);
            no_room |= !is_given;
            !is_given
        });
        self.bodies.waiting = waiting;
        no_room
    }
}
