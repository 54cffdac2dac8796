//! Broadcasts: messages without a subscriber, with rounds and areas. What they have in common with others is checked as it is
//! for those.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::super::broadcasts::{Named, Shown};
use super::super::ids::Place;
use super::super::message::{Answer, Broadcast, DELETED, DELIVERED, EXPIRED, Message};
use super::{Model, Question};

const SCHEDULED: u8 = 0;
const ENROUTE: u8 = 1;
const UNDELIVERABLE: u8 = 5;

impl Model {
    /// The number of the next message.
    pub(crate) const fn next_number(&self) -> u32 {
        self.messages.len() as u32
    }

    /// Whether the ends of an account's broadcasts are told by receipts.
    pub(crate) const fn receipts_of_broadcasts(&self, account: usize) -> bool {
        super::super::reload::receipts_of_broadcasts(self.seed, account)
    }

    /// A broadcast of this account that was accepted, not long ago, and how its ESME may name it.
    pub(crate) fn recent_broadcast(
        &self,
        account: usize,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<(u32, Named)> {
        let is_own = |message: &Message| {
            message.asked.broadcast.is_some()
                && message.asked.account == account
                && message.answer == Answer::Accepted
                && message.became.is_none()
                && message.maybe.is_none()
        };
        let mut recent = self.messages.iter().enumerate().rev().filter(|(_, message)| is_own(message));
        let (number, message) = recent.nth((rng.next_u64() % 3) as usize)?;
        let reference = self.broadcast(message.text.number).reference;
        let named = match reference.filter(|_| rng.next_u64().is_multiple_of(3)) {
            Some(reference) => Named::Reference(reference),
            None => Named::Id(self.name(message, rng)?),
        };
        Some((number as u32, named))
    }

    fn broadcast(&self, number: u32) -> Broadcast {
        self.messages[number as usize].asked.broadcast.expect("a broadcast")
    }

    /// What one may be by now: by its text, and by that of a request without an answer.
    fn forms(&self, message: &Message) -> Vec<Broadcast> {
        [Some(message.text), message.maybe]
            .into_iter()
            .flatten()
            .map(|text| self.broadcast(text.number))
            .collect()
    }

    /// Somebody asks to cancel all broadcasts of an account from a source.
    pub(crate) fn cancels_broadcasts(&mut self, account: usize, source: u32) {
        self.cancelled_sources.insert((account, source));
        let of_group = |message: &&mut Message| {
            let asked = &message.asked;
            asked.broadcast.is_some() && asked.account == account && asked.source == source
        };
        self.messages.iter_mut().filter(of_group).for_each(|message| message.may_be_deleted = true);
    }

    /// A broadcast has come to its end: by its rounds, its age, or somebody's wish.
    pub(super) fn check_broadcast_end(&self, message: &Message, state: u8) {
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        let slack = message.slack_ms(crashes);
        let has_restarted = message.times().is_some_and(|times| times.crashes != crashes);
        let is_possible = |form: Broadcast| {
            let (may, must) = form.reach();
            match state {
                DELETED | EXPIRED => true,
                DELIVERED => may,
                // How areas have fared is not known over a restart.
                UNDELIVERABLE => !must || has_restarted,
                _ => false,
            }
        };
        let forms = self.forms(message);
        assert!(forms.iter().copied().any(is_possible), "a broadcast's state is {state}: {message:?}");
        if state == DELIVERED || state == UNDELIVERABLE {
            let is_time = message.all_times().any(|times| {
                forms.iter().any(|form| {
                    let at = match form.rounds {
                        0 => times.expires_ms,
                        rounds => times.not_before_ms + u64::from(rounds - 1) * form.interval_ms,
                    };
                    now_ms + slack >= at
                })
            });
            assert!(is_time, "not all rounds can have been made at {now_ms}: {message:?}");
        }
    }

    /// The answer to a query_broadcast_sm; `None`: there is no such broadcast.
    pub(crate) fn broadcast_queried(&mut self, question: Question, shown: Option<&Shown>) {
        self.note(&[14, u64::from(question.number), shown.map_or(99, |shown| u64::from(shown.state))]);
        self.seen.broadcasts_queried += 1;
        let Some(shown) = shown else {
            let message = &self.messages[question.number as usize];
            // By a reference that a replacement has not taken over it is not known any more.
            let is_replaced =
                self.broadcast(message.text.number).reference.is_none() || message.maybe.is_some();
            assert!(
                self.may_be_unknown(question) || is_replaced,
                "promise 2: nobody knows the broadcast {message:?}"
            );
            return;
        };
        let Question { number, account, crashes, .. } = question;
        assert_eq!(
            self.message(number).asked.account,
            account,
            "promise 10: another account's broadcast was shown"
        );
        self.has_id(number, &shown.id, Place::Response);
        let message = &self.messages[number as usize];
        let forms = self.forms(message);
        let names: Vec<&str> = shown.areas.iter().map(|(name, _)| name.as_str()).collect();
        let is_like =
            |form: &Broadcast| form.names().eq(names.iter().copied()) && form.reference == shown.reference;
        // It may have been replaced since it was asked about.
        let before = self.broadcast(number);
        assert!(forms.iter().chain([&before]).any(is_like), "{shown:?} is not {message:?}");
        for (name, success) in &shown.areas {
            let is_possible = match (name.as_str(), success) {
                (_, 255) | ("all", 100) | ("none" | "atlantis", 0) => true,
                ("half", success) => *success <= 100,
                _ => false,
            };
            assert!(is_possible, "{shown:?}");
        }
        assert_eq!(shown.has_ended, shown.state > ENROUTE, "{shown:?}");
        if crashes != self.crashes {
            return;
        }
        match shown.state {
            SCHEDULED | ENROUTE => {
                assert!(!question.had_ended, "promise 3: the broadcast m{number} goes on after its end");
                let is_scheduled = message
                    .all_times()
                    .any(|times| times.not_before_ms + message.slack_ms(crashes) > question.asked_ms);
                assert!(shown.state == ENROUTE || is_scheduled, "{shown:?} is due: {message:?}");
            }
            state => {
                assert_eq!(
                    message.ended_ever,
                    Some(state),
                    "promise 3: m{number} was shown in another state"
                );
            }
        }
    }

    /// A broadcast was told that what it was to replace is not there.
    pub(crate) fn not_replaced(&mut self, number: u32) {
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        let Some(before) = self.message(number).may_replace else { panic!("m{number} replaces nothing") };
        let before = self.message(before);
        let is_there = before.ended_ever.is_none() && before.held_ever && !before.is_time(now_ms, crashes);
        assert!(!is_there, "m{number} was to replace {before:?}, which waits for its time");
    }
}
