//! submit_sm with replace_if_present_flag. Messages of one account, source and destination make a chain: each takes the place
//! of the one before if that is still pending, and is a message of its own if it is not. Nobody sends one before the one
//! before is answered, so there is one at most that may be replaced.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::super::message::{Answer, Asked, Kind, Message, SOURCE};
use super::Model;

impl Model {
    /// What the next message of a chain of this account asks for, mostly of one whose latest is pending; the rest of
    /// it by `asked`.
    pub(crate) fn next_of_chain(
        &self,
        asked: Asked,
        to: &'static str,
        rng: &mut Xoshiro256PlusPlus,
    ) -> (Asked, &'static str) {
        // Who is told that a subscriber is back is not what is looked at here.
        let asked = Asked { wants_alert: false, ..asked };
        let fresh = Asked { source: SOURCE + 1 + self.messages.len() as u32, ..asked };
        let goes_on = |message: &&Message| {
            let Asked { account, source, .. } = message.asked;
            let chain = || self.messages.iter().filter(|message| message.asked.source == source);
            let is_decided =
                |it: &Message| matches!(it.answer, Answer::Accepted | Answer::Refused) && it.maybe.is_none();
            account == asked.account
                && source > SOURCE
                && chain().all(is_decided)
                && chain().filter(|it| it.is_pending()).count() == 1
        };
        if rng.next_u64().is_multiple_of(4) {
            return (fresh, to);
        }
        let Some(latest) = self.messages.iter().rev().take(60).find(goes_on) else { return (fresh, to) };
        let Asked { source, to: same, registered_delivery, .. } = latest.asked;
        // Which of two texts goes on after a crash may not be known; whether it is receipted is.
        (Asked { source, registered_delivery, ..asked }, same)
    }

    /// A message of a chain is sent: the text of the one before may be its own, once a shard has it.
    pub(crate) fn sends_in_chain(&mut self, number: u32) {
        let source = self.message(number).asked.source;
        let is_before = |message: &Message| message.asked.source == source && message.is_pending();
        let before = self.messages[..number as usize].iter().position(is_before);
        if let Some(before) = before {
            self.sends_in_place(number, before as u32);
        }
    }

    /// A message is sent that is to take the place of that one.
    pub(crate) fn sends_in_place(&mut self, number: u32, before: u32) {
        self.message(number).may_replace = Some(before);
        self.message(before).may_be(number, None);
    }

    /// A shard has taken such a message in, `in_place` of another one or beside it.
    pub(crate) fn taken_in_chain(&mut self, number: u32, in_place: bool) {
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        let Some(before) = self.message(number).may_replace else {
            assert!(!in_place, "m{number} has replaced what was not there");
            return;
        };
        let is_handed =
            self.open.values().any(|handed| handed.number == before && handed.kind == Kind::Message);
        let replaced = self.message(before);
        if !in_place {
            let is_scheduled = replaced.held_ever && !replaced.is_time(now_ms, crashes);
            assert!(replaced.ended.is_some() || !is_scheduled, "m{number} has not replaced {replaced:?}");
            return;
        }
        assert!(replaced.ended.is_none() && !is_handed, "m{number} has replaced what is sent: {replaced:?}");
        let times = self.message(number).times();
        self.message(before).may_be(number, times);
        self.message(number).became = Some(before);
    }

    /// Such a message is answered.
    pub(super) fn is_decided(&mut self, number: u32, is_replaced: bool) {
        if let Some(before) = self.message(number).may_replace {
            self.message(before).decide(is_replaced);
        }
    }
}
