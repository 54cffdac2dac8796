//! What query_sm, cancel_sm and replace_sm may be answered.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::super::ids::Place;
use super::super::message::{Answer, DELETED, Message, SOURCE, Text};
use super::Model;

/// A question about a message, as things stood when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) number: u32,
    /// The account that asks.
    pub(super) account: usize,
    pub(super) had_ended: bool,
    pub(super) crashes: u32,
    pub(super) asked_ms: u64,
}

impl Model {
    /// A message of this account that was accepted, not long ago. `is_open`: one that has not ended.
    pub(crate) fn recent(
        &self,
        account: usize,
        is_open: bool,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<(u32, String)> {
        // Mostly a recent one, and now and then one of any age.
        let len = self.messages.len() as u64;
        let before = if rng.next_u64().is_multiple_of(4) { len.max(1) } else { 4 };
        let newest = len.saturating_sub(rng.next_u64() % before) as usize;
        let is_own = |message: &Message| {
            message.asked.account == account
                && message.answer == Answer::Accepted
                && !message.lost_its_id
                && !message.asked.is_mo
                && message.became.is_none()
                && message.asked.broadcast.is_none()
                && (!is_open || message.ended_ever.is_none())
        };
        let recent = self.messages[..newest].iter().enumerate().rev().take(40);
        let (number, message) = recent.into_iter().find(|(_, message)| is_own(message))?;
        Some((number as u32, self.name(message, rng)?))
    }

    /// An ESME of `account` asks about a message.
    pub(crate) fn asks(&mut self, account: usize, number: u32) -> Question {
        let (crashes, asked_ms) = (self.crashes, self.now_ms);
        let had_ended = self.message(number).ended.is_some();
        Question { number, account, had_ended, crashes, asked_ms }
    }

    /// Whether "there is no such message" is an answer to this.
    pub(super) fn may_be_unknown(&self, question: Question) -> bool {
        let crashes = self.crashes;
        let message = &self.messages[question.number as usize];
        // Of a submit_multi, a refused part may have had the id.
        let is_forgotten = message.ended_ever.is_some() && !self.is_kept(message);
        message.asked.account != question.account
            || message.lost_its_id
            || message.parts > 1
            || is_forgotten
            || question.crashes != crashes
    }

    /// The answer to a query_sm: id and state, or `None` where there is no such message.
    pub(crate) fn queried(&mut self, question: Question, answer: Option<(&str, u8)>) {
        let state = answer.map(|(_, state)| state);
        self.seen.queried += 1;
        self.note(&[8, u64::from(question.number), u64::from(state.unwrap_or(0))]);
        let (number, crashes) = (question.number, self.crashes);
        let Some(state) = state else {
            assert!(self.may_be_unknown(question), "promise 2: nobody knows {:?}", self.message(number));
            return;
        };
        let message = self.message(number);
        assert_eq!(
            message.asked.account, question.account,
            "promise 10: another account's message was shown"
        );
        if let Some((id, _)) = answer {
            self.has_id(number, id, Place::Response);
        }
        let message = self.message(number);
        if message.parts > 1 || message.lost_its_id || question.crashes != crashes {
            return;
        }
        match state {
            // Scheduled, as 5.0 says it, or on its way.
            0 | 1 => assert!(!question.had_ended, "promise 3: m{number} had ended, and is on its way again"),
            _ => {
                assert_eq!(message.ended_ever, Some(state), "promise 3: m{number} was shown in another state")
            }
        }
    }

    /// Somebody asks to cancel a message.
    pub(crate) fn cancels(&mut self, account: usize, number: u32) -> Question {
        let question = self.asks(account, number);
        let group = self.message(number).group;
        for part in group..group + self.message(number).parts {
            let message = self.message(part);
            message.may_be_deleted |= message.asked.account == account;
        }
        question
    }

    /// Somebody asks to cancel all that an account has sent to an address.
    pub(crate) fn cancels_all(&mut self, account: usize, to: &'static str) {
        self.cancelled_groups.insert((account, to));
        let of_group = |message: &&mut Message| {
            message.asked.account == account && message.asked.to == to && message.asked.source == SOURCE
        };
        self.messages.iter_mut().filter(of_group).for_each(|message| message.may_be_deleted = true);
    }

    /// The answer to a cancel_sm.
    pub(crate) fn cancelled(&mut self, question: Question, status: u32, unknown: u32) {
        self.note(&[9, u64::from(question.number), u64::from(status)]);
        let number = question.number;
        if status == unknown {
            assert!(self.may_be_unknown(question), "promise 2: nobody knows {:?}", self.message(number));
        }
        if status != 0 {
            return;
        }
        self.seen.cancelled += 1;
        let message = self.message(number);
        assert_eq!(
            message.asked.account, question.account,
            "promise 10: another account's message was cancelled"
        );
        // Of several with one id, it may have been another one.
        if message.parts == 1 && !message.lost_its_id {
            assert_eq!(
                message.ended_ever,
                Some(DELETED),
                "promise 3: cancelled, but m{number} is {message:?}"
            );
            assert!(message.told.is_none_or(|told| told == DELETED), "m{number} was told two final states");
            message.told = Some(DELETED);
        }
    }

    /// Somebody asks to replace the text of a message: the new one, unless an earlier replacement is not decided.
    pub(crate) fn replaces(&mut self, account: usize, number: u32) -> Option<(Question, u8, String)> {
        let question = self.asks(account, number);
        let message = self.message(number);
        if message.maybe.is_some() || message.parts > 1 || message.asked.account != account {
            return None;
        }
        let Text { number, revision } = message.text;
        let text = Text { number, revision: revision + 1 };
        message.maybe = Some(text);
        Some((question, message.asked.registered_delivery, format!("m{number:06}r{}", text.revision)))
    }

    /// The answer to a replace_sm.
    pub(crate) fn replaced(&mut self, question: Question, status: u32, unknown: u32) {
        self.note(&[10, u64::from(question.number), u64::from(status)]);
        if status == unknown {
            let message = self.message(question.number);
            let is_known = message.ended_ever.is_none();
            assert!(
                !is_known || self.may_be_unknown(question),
                "promise 2: nobody knows m{}",
                question.number
            );
        }
        self.seen.replaced += u64::from(status == 0);
        let message = self.message(question.number);
        assert!(message.maybe.is_some(), "one replacement at a time");
        message.decide(status == 0);
    }
}
