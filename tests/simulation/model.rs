//! What the world ought to know of each message, and the promises checked against it as things happen. A message is
//! known by the number in its text (`m000123`, with a revision behind if replace_sm has replaced it: `m000123r2`) and, where a
//! submit_multi has several of one text, by its destination; so that the model needs nothing from the code it checks.

mod broadcasts;
mod deliveries;
mod history;
mod ids;
mod operations;
mod replacements;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::ids::Place;
use super::message::{Answer, Asked, Kind, Message, SOURCE, Text, Wrong};
use super::reload::Routes;
use deliveries::Handed;
pub(crate) use operations::Question;
pub(crate) use seen::Seen;

/// One that takes no deliveries.
const NO_CONNECTION: u32 = 0;

/// The shadow of everything.
#[derive(Debug, Default)]
pub(crate) struct Model {
    seed: u64,
    messages: Vec<Message>,
    ids: BTreeMap<String, u32>,
    /// By shard, slot and generation.
    open: BTreeMap<(u16, u32, u32), Handed>,
    /// Sessions as each shard knows them: their credit and account.
    bound: BTreeMap<(u16, u32, u16, u32), (u32, usize)>,
    /// Connections whose sessions take deliveries.
    takes_deliveries: BTreeMap<u32, bool>,
    /// What each shard goes by.
    pub(crate) routes: Vec<Routes>,
    /// Accounts and destinations of which everything may be cancelled at once.
    cancelled_groups: BTreeSet<(usize, &'static str)>,
    /// The same of broadcasts, by account and source.
    cancelled_sources: BTreeSet<(usize, u32)>,
    /// Alerts that were handed out and that have arrived, by account and subscriber.
    alerts: BTreeMap<(usize, String), [u32; 2]>,
    /// How many messages have ended, and up to which of those, by shard, a final state may have been displaced.
    ends: u64,
    displaced: BTreeMap<u16, u64>,
    /// Sessions bound, by account.
    pub(crate) sessions: [u32; 2],
    /// Since the world began, whatever its clocks say.
    pub(crate) now_ms: u64,
    pub(crate) wall_ms: u64,
    pub(crate) crashes: u32,
    pub(crate) trace: u64,
    pub(crate) seen: Seen,
}

/// What a text of ours says.
fn parse(text: &[u8]) -> Text {
    let text = std::str::from_utf8(text).expect("ASCII");
    let digits = text.strip_prefix('m').expect("a text of ours");
    let (number, revision) = digits.split_at(6);
    let revision =
        revision.strip_prefix('r').map_or(0, |digits| digits.trim_end().parse().expect("a revision"));
    Text { number: number.parse().expect("a number"), revision }
}

/// The text at the end of a receipt.
fn excerpt(text: &[u8]) -> &[u8] {
    let at = text.windows(5).position(|five| five.eq_ignore_ascii_case(b"text:")).expect("a receipt");
    &text[at + 5..]
}

impl Model {
    /// Of the world with this seed, at this time by the wall clock.
    pub(crate) fn new(seed: u64, wall_ms: u64) -> Self {
        Self { seed, wall_ms, ..Self::default() }
    }

    pub(crate) fn note(&mut self, values: &[u64]) {
        for value in values {
            self.trace = (self.trace ^ value).wrapping_mul(0x0100_0000_01B3).rotate_left(7);
        }
    }

    pub(crate) fn message(&mut self, number: u32) -> &mut Message {
        self.messages.get_mut(number as usize).expect("a message of ours")
    }

    /// The message that a text and its destination name.
    pub(crate) fn find(&self, text: &[u8], kind: Kind, to: &[u8]) -> (u32, Text) {
        let text = if kind == Kind::Message { text } else { excerpt(text) };
        let Text { number: first, revision } = parse(text);
        let parts = self.messages.get(first as usize).expect("a message of ours").parts;
        let number =
            (first..first + parts).find(|&part| self.messages[part as usize].asked.to.as_bytes() == to);
        let number = number.unwrap_or_else(|| panic!("m{first} was never sent to {to:?}"));
        (self.messages[number as usize].became.unwrap_or(number), Text { number, revision })
    }

    /// Somebody sends the same message to so many destinations: the number of the first.
    pub(crate) fn submits(&mut self, asked: Asked, to: &[&'static str]) -> u32 {
        let (first, parts) = (self.messages.len() as u32, to.len() as u32);
        self.seen.submitted += u64::from(parts);
        for to in to {
            let number = self.messages.len() as u32;
            let mut message = Message::new(Asked { to, ..asked }, number, first, parts);
            message.may_be_deleted = match asked.broadcast {
                Some(_) => self.cancelled_sources.contains(&(asked.account, asked.source)),
                None => asked.source == SOURCE && self.cancelled_groups.contains(&(asked.account, *to)),
            };
            self.messages.push(message);
        }
        first
    }

    /// Whoever has sent a message has the answer.
    pub(crate) fn answered(&mut self, number: u32, status: u32, id: &str) {
        self.note(&[1, u64::from(number), u64::from(status)]);
        let message = self.message(number);
        assert_eq!(message.answer, Answer::Awaited, "promise 1: m{number} is answered once");
        if status != 0 {
            message.answer = Answer::Refused;
            assert!(message.ended_ever.is_none() && message.handed == [0; 3], "a refused message lives");
            self.seen.refused += 1;
            self.is_decided(number, false);
            return;
        }
        message.answer = Answer::Accepted;
        if let Some(replaced) = message.became {
            self.seen.replaced_by_submit += 1;
            self.is_decided(number, true);
            return self.has_id(replaced, id, Place::Response);
        }
        // A broadcast may be held in the turn that answers it, and stated in the next.
        let is_held = message.held_ever || message.asked.broadcast.is_some();
        assert!(is_held, "promise 2: m{number} is acknowledged and not held");
        self.is_decided(number, false);
        self.has_id(number, id, Place::Response);
    }

    /// Whoever has sent a message again has the answer: what the first one has got, or would have.
    pub(crate) fn answered_again(&mut self, number: u32, id: &str) {
        self.note(&[12, u64::from(number)]);
        self.seen.repeated += 1;
        self.has_id(number, id, Place::Response);
    }

    /// A shard states that it holds a message: no more than once, whatever happens.
    pub(crate) fn holds(&mut self, number: u32) {
        self.note(&[11, u64::from(number)]);
        let message = self.message(number);
        assert!(!message.held_ever, "promise 3: m{number} was taken in twice");
        assert!(
            message.ended_ever.is_none() && message.handed == [0; 3],
            "{message:?} was on its way before"
        );
        message.held_ever = true;
    }

    /// A submit_sm of this account, not long ago, that is answered or whose answer is lost.
    pub(crate) fn repeatable(&self, account: usize, rng: &mut Xoshiro256PlusPlus) -> Option<(u32, Vec<u8>)> {
        let newest = self.messages.len().saturating_sub((rng.next_u64() % 8) as usize);
        let may_come_again = |message: &Message| {
            message.asked.account == account && matches!(message.answer, Answer::Accepted | Answer::Lost)
        };
        let recent = self.messages[..newest].iter().enumerate().rev().take(40);
        let (number, message) =
            recent.into_iter().find(|(_, message)| may_come_again(message) && message.request.is_some())?;
        Some((number as u32, message.request.clone()?))
    }

    /// A message that was taken in comes again. Whether its shard has to know it: it may have forgotten it, or go by a
    /// configuration that does not ask for that.
    pub(crate) fn is_remembered(&mut self, shard: u16, number: u32) -> bool {
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        let account = self.message(number).asked.account;
        let is_on = self.routes[usize::from(shard)].duplicate_window_ms[account] > 0;
        let remembered = self.message(number).remembered;
        is_on && remembered.is_some_and(|(until_ms, run)| now_ms < until_ms && run == crashes)
    }

    /// A shard has taken a message in, or will have when it is durable: it knows it if it comes again.
    pub(crate) fn remembers(&mut self, shard: u16, number: u32) {
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        let account = self.message(number).asked.account;
        let window_ms = self.routes[usize::from(shard)].duplicate_window_ms[account];
        self.message(number).remembered = Some((now_ms + window_ms, crashes));
    }

    /// An attempt has failed for now.
    pub(crate) fn attempt_failed(&mut self, number: u32) {
        self.message(number).failures += 1;
    }

    /// The connection is gone with the answer due.
    pub(crate) fn answer_lost(&mut self, number: u32) {
        let message = self.message(number);
        assert_eq!(message.answer, Answer::Awaited);
        message.answer = Answer::Lost;
    }

    /// A shard takes a message in. What it must be refused for, if anything.
    pub(crate) fn taken(&mut self, shard: u16, number: u32) -> Option<Wrong> {
        let Self { messages, routes, wall_ms, now_ms, crashes, .. } = self;
        let message = messages.get_mut(number as usize).expect("a message of ours");
        if message.answer == Answer::Lost {
            // It may be what was sent again on another connection, before what is left of the first has been read.
            message.asked.connection = NO_CONNECTION;
        }
        message.taken(&routes[usize::from(shard)], *wall_ms, *now_ms, *crashes)
    }

    /// A shard states the end of a message.
    pub(crate) fn ends(&mut self, shard: u16, (number, text): (u32, Text), state: u8) {
        self.note(&[4, u64::from(number), u64::from(state)]);
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        self.seen.expired += u64::from(state == super::message::EXPIRED);
        let message = self.message(number);
        assert!(message.ended.is_none(), "promise 3: m{number} has a second final state");
        assert_ne!(message.answer, Answer::Refused, "promise 3: m{number} was refused");
        assert!(message.told.is_none_or(|told| told == state), "m{number} has another state than was told");
        message.check_text(text);
        message.check_end(state, now_ms, crashes);
        (message.ended, message.ended_ever) = (Some(state), Some(state));
        let message = &self.messages[number as usize];
        if message.asked.broadcast.is_some() {
            self.check_broadcast_end(message, state);
            self.seen.broadcasts += 1;
        }
        self.note_end(shard, number);
    }

    /// The process is gone, and with it everything but the disk.
    pub(crate) fn crash(&mut self) {
        self.note(&[6]);
        self.crashes += 1;
        self.seen.crashes += 1;
        self.open.clear();
        self.bound.clear();
        self.takes_deliveries.clear();
        self.sessions = [0; 2];
        for message in &mut self.messages {
            (message.ended, message.settled) = (None, false);
            if message.asked.is_mo && message.answer == Answer::Awaited {
                message.answer = Answer::Lost;
            }
        }
    }

    /// The ids of messages that were acknowledged and of which something is owed: a restart must know them. Of a
    /// submit_multi only one goes by the id of all.
    pub(crate) fn owed(&self) -> Vec<&str> {
        let is_owed = |message: &&Message| {
            message.answer == Answer::Accepted && message.parts == 1 && message.is_owed()
        };
        self.messages.iter().filter(is_owed).filter_map(|message| message.id.as_deref()).collect()
    }

    /// Everything has come to its end.
    pub(crate) fn check_end(&self) {
        assert!(self.open.is_empty(), "deliveries without an outcome: {:?}", self.open);
        for (number, message) in self.messages.iter().enumerate() {
            assert_ne!(message.answer, Answer::Awaited, "promise 1: m{number} was never answered");
            match message.answer {
                Answer::Accepted => {
                    assert!(!message.is_owed(), "promises 2 and 3: m{number} is lost: {message:?}")
                }
                Answer::Refused => assert!(message.ended_ever.is_none(), "promise 3: {message:?}"),
                Answer::Awaited | Answer::Lost => {}
            }
            if message.asked.registered_delivery & 3 == 0 {
                assert_eq!(message.handed[Kind::Receipt as usize], 0, "promise 3: {message:?}");
            }
        }
    }
}
