//! What holds between any two calls on a shard, checked in full: for tests and simulations, not for live traffic.

use super::Shard;
use super::list::{Lanes, List};
use super::message::{Message, NETWORK, NONE, PRIORITY_MAX, Queue, Role, Stage, Turn};
use super::messages::link_to;
use super::traits::Waits;
use crate::base::mobile::MobileNetwork;
use crate::store::MessageStore;

/// How many messages are parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedMessages {
    /// Wherever they wait.
    pub all: u32,
    /// In the queues of accounts.
    pub in_queues: u32,
    /// In line for their subscribers.
    pub in_line: u32,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Checks every message, list and table against each other.
    ///
    /// # Panics
    /// When one disagrees: that is a bug in the shard.
    pub fn check_invariants(&self) {
        let mut listed = 0;
        for list in [&self.not_written, &self.not_synced] {
            listed += self.check_list(list, |stage| matches!(stage, Stage::AwaitingDurable { .. }));
        }
        let replaced = &self.answers.replacements;
        listed += self.check_list(replaced, |stage| matches!(stage, Stage::AwaitingReplacement { .. }));
        listed +=
            self.check_lanes(&self.work, |stage| matches!(stage, Stage::Ready | Stage::Attempting { .. }));
        self.check_lines(&mut listed);
        for list in self.subscribers.scheduled() {
            assert!(!list.is_empty(), "an empty list was left");
            listed += self.check_list(list, |stage| stage == Stage::Scheduled);
        }
        self.parts.check();
        for (at, group) in self.parts.groups.iter() {
            listed += self.check_list(&group.kept, |stage| stage == Stage::Gathering { group: at });
            let carrier = self.messages.get(group.carrier);
            assert!(
                group.carrier == NONE
                    || carrier.is_some_and(|it| it.role == Role::Receipt && it.parts_settled != 0)
            );
        }
        self.check_sessions(&mut listed);
        self.check_accounts(&mut listed);

        let (mut members, mut timers, mut turns) = (0, 0, 0);
        for (slot, message) in self.messages.iter() {
            let scheduled = self.wheel.is_scheduled(slot);
            let (in_list, on_wheel) = match message.stage {
                Stage::Held => panic!("message {} was left in hand", message.id),
                Stage::AwaitingDurable { .. }
                | Stage::AwaitingReplacement { .. }
                | Stage::Ready
                | Stage::HandedOut { .. } => (true, false),
                Stage::Attempting { .. } => (!scheduled, scheduled),
                Stage::Waiting => (false, true),
                Stage::Scheduled | Stage::Queued { .. } | Stage::Behind => (true, true),
                Stage::Gathering { group: NONE } => (false, true),
                Stage::Gathering { group } => {
                    (true, self.parts.groups.get(group).is_some_and(|group| group.carrier == NONE))
                }
            };
            assert_eq!(scheduled, on_wheel, "message {} in stage {:?}", message.id, message.stage);
            members += u32::from(in_list);
            timers += u32::from(on_wheel);
            turns += u32::from(message.turn != Turn::No);
            self.check_message(slot, message);
        }
        let (in_table, in_list) = self.check_parked();
        turns += in_table;
        members += in_list;
        assert_eq!(members, listed, "a message stands in a list that its stage does not say, or the reverse");
        assert_eq!(timers, self.wheel.len(), "the wheel has timers of messages that are gone");
        assert_eq!(turns, self.subscribers.len(), "a message has a turn that the table does not know of");
    }

    /// How many parked messages are in the subscribers' table, and how many in lists.
    fn check_parked(&self) -> (u32, u32) {
        let (mut in_table, mut in_list) = (0, 0);
        for (place, entry) in self.messages.parked.iter() {
            let Some(message) = self.parked_message(place) else {
                panic!("a parked message is not in the store")
            };
            let link = link_to(place);
            if message.role.has_own_id() {
                assert_eq!(self.find(message.id), Some(link));
            } else {
                assert_ne!(self.find(message.id), Some(link));
            }
            match entry.waits() {
                Waits::Schedule => in_table += 1,
                Waits::Attempt { .. } => {
                    let holder = self.subscribers.holder(&self.messages, message.subscriber);
                    assert_eq!(holder, Some(link), "two messages have the turn of one subscriber");
                    in_table += 1;
                }
                // That it stands in its list was seen there.
                Waits::InList => in_list += 1,
            }
        }
        self.messages.parked.check();
        (in_table, in_list)
    }

    /// How many messages are parked, and of them how many in queues and how many in line.
    pub fn parked_messages(&self) -> ParkedMessages {
        let mut count = ParkedMessages { all: self.messages.parked.len(), ..ParkedMessages::default() };
        for (place, entry) in self.messages.parked.iter() {
            let is_in_line = self.parked_message(place).is_some_and(|it| it.stage == Stage::Behind);
            count.in_line += u32::from(is_in_line);
            count.in_queues += u32::from(entry.waits() == Waits::InList && !is_in_line);
        }
        count
    }

    fn check_message(&self, slot: u32, message: &Message) {
        if !message.role.has_own_id() {
            assert_ne!(self.find(message.id), Some(slot));
        } else {
            assert_eq!(self.find(message.id), Some(slot));
        }
        let holder = self.subscribers.holder(&self.messages, message.subscriber);
        if message.turn != Turn::No {
            assert_eq!(holder, Some(slot), "two messages have the turn of one subscriber");
            assert!(message.role == Role::Mt && message.target == NETWORK);
        } else {
            assert_ne!(holder, Some(slot));
            assert_eq!(message.peer, NONE, "a message that stands in no place has a neighbour there");
            let is_attempted = matches!(message.stage, Stage::Attempting { .. });
            assert!(!is_attempted, "message {} is attempted out of turn", message.id);
        }
        let is_final = message.state.is_final();
        assert_eq!(is_final, message.role == Role::Receipt, "only receipts outlive the final state");
        match message.role {
            Role::Receipt | Role::Notification | Role::Mo | Role::Alert => {
                assert_eq!(message.target, message.account)
            }
            Role::Broadcast => assert!(message.target == NETWORK && self.knows_broadcast(message.id)),
            Role::Mt => {
                assert!(message.target == NETWORK || message.target.index() < self.sessions.accounts.len())
            }
        }
    }

    fn check_lines(&self, listed: &mut u32) {
        let is_behind = |stage| stage == Stage::Behind;
        for (subscriber, line) in self.subscribers.lines.plain() {
            assert!(!line.is_empty(), "an empty line was left");
            *listed += self.check_list(line, is_behind);
            let mut members = Vec::new();
            line.collect(&self.messages, &mut members);
            let priority = |&link: &u32| self.messages.priority(link);
            assert!(members.iter().all(|link| priority(link) == priority(&members[0])));
            self.check_line(subscriber, &members);
        }
        for (subscriber, line) in self.subscribers.lines.mixed() {
            assert!(!line.is_empty(), "an empty line was left");
            *listed += self.check_lanes(line, is_behind);
            let mut members = Vec::new();
            line.collect(&self.messages, &mut members);
            self.check_line(subscriber, &members);
        }
    }

    fn check_line(&self, subscriber: u32, members: &[u32]) {
        let holder = self.subscribers.holder(&self.messages, subscriber);
        let holder = holder.and_then(|link| self.look_at(link));
        assert_eq!(holder.map(|m| m.turn), Some(Turn::Followed), "a line that nobody will call");
        for message in members.iter().filter_map(|&link| self.messages.get(link)) {
            assert_eq!(message.subscriber, subscriber, "message {} is in the wrong line", message.id);
        }
    }

    fn check_sessions(&self, listed: &mut u32) {
        for (entry, session) in self.sessions.entries.iter() {
            assert_eq!(self.sessions.find(session.handle), Some(entry));
            *listed += self.check_list(
                &session.in_flight,
                |stage| matches!(stage, Stage::HandedOut { session, .. } if session == entry),
            );
            let queue = Queue::Session(entry);
            *listed += self.check_lanes(&session.queue, |stage| stage == Stage::Queued { queue });
            let could_go_on = !session.queue.is_empty() && session.has_room();
            assert!(session.is_ready || !could_go_on, "a session with credit and a queue was forgotten");
            assert_eq!(session.is_ready, self.sessions.ready.contains(&entry));
        }
    }

    fn check_accounts(&self, listed: &mut u32) {
        for (account, entry) in (0..).map(crate::base::AccountId).zip(&self.sessions.accounts) {
            let queue = Queue::Account(account);
            *listed += self.check_lanes(&entry.queue, |stage| stage == Stage::Queued { queue });
            let has_credit =
                |session: &super::sessions::Session| session.account == account && session.has_room();
            let could_go_on = !entry.queue.is_empty()
                && self.sessions.entries.iter().any(|(_, session)| has_credit(session));
            assert!(
                entry.is_ready || !could_go_on,
                "an account with a free session and a queue was forgotten"
            );
        }
    }

    /// As [`Self::check_list`] for all priorities, each of which must be in its lane.
    fn check_lanes(&self, lanes: &Lanes, fits: impl Fn(Stage) -> bool) -> u32 {
        let mut count = 0;
        let mut highest = NONE;
        for priority in 0..=PRIORITY_MAX {
            let lane = lanes.lane(priority);
            count += self.check_list(lane, &fits);
            let mut at = lane.head;
            while let Some(message) = self.look_at(at) {
                assert_eq!(message.priority, priority, "message {} is in the wrong lane", message.id);
                at = self.messages.neighbours(at).map_or(NONE, |(_, behind)| behind);
            }
            highest = if lane.is_empty() { highest } else { lane.head };
        }
        assert_eq!((lanes.head(), lanes.is_empty(), lanes.len()), (highest, count == 0, count));
        count
    }

    /// Walks a list; every member must be in a fitting stage. How many there are.
    fn check_list(&self, list: &List, fits: impl Fn(Stage) -> bool) -> u32 {
        let (mut count, mut previous, mut at) = (0, NONE, list.head);
        while at != NONE {
            let (Some(message), Some((before, behind))) = (self.look_at(at), self.messages.neighbours(at))
            else {
                panic!("a list leads to the free slot {at}")
            };
            assert!(
                fits(message.stage),
                "message {} in stage {:?} is in the wrong list",
                message.id,
                message.stage
            );
            assert_eq!(before, previous);
            (previous, at) = (at, behind);
            count += 1;
        }
        assert_eq!((count, previous), (list.len, list.tail()));
        count
    }
}
