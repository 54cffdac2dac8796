//! What the world ought to know of each message, and the promises checked against it as things happen. A message is
//! known by the number in its text (`m000123`, with a revision behind if it was replaced: `m000123r2`) and, where a
//! submit_multi has several of one text, by its destination; so that the model needs nothing from the code it checks.

use std::collections::{BTreeMap, BTreeSet};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;
use smscd::base::{DeliveryToken, SessionHandle};
use smscd::session::DeliveryResult;
use smscd::smpp::CommandStatus;

use super::message::{Answer, Asked, DELETED, Kind, Message, Wrong};
use super::reload::Routes;

/// A delivery that a shard has handed out and whose outcome is due.
#[derive(Debug)]
struct Handed {
    to: SessionHandle,
    number: u32,
    kind: Kind,
}

/// One that takes no deliveries.
const NO_CONNECTION: u32 = 0;

/// What was seen, to show that a run does something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) submitted: u64,
    pub(crate) receipts: u64,
    pub(crate) forwarded: u64,
    pub(crate) mo: u64,
    pub(crate) stale: u64,
    pub(crate) refused: u64,
    pub(crate) throttled: u64,
    pub(crate) expired: u64,
    pub(crate) recovered: u64,
    pub(crate) paused: u64,
    pub(crate) timed_out: u64,
    pub(crate) queried: u64,
    pub(crate) cancelled: u64,
    pub(crate) replaced: u64,
    pub(crate) multis: u64,
    pub(crate) lists: u64,
    pub(crate) repeated: u64,
    pub(crate) alerts: u64,
    pub(crate) notifications: u64,
    pub(crate) binds_refused: u64,
    pub(crate) asked_to_unbind: u64,
    pub(crate) changes: u64,
    pub(crate) crashes: u64,
}

impl Seen {
    /// Adds what was seen in another run.
    pub(crate) fn add(&mut self, other: &Self) {
        for ((_, total), (_, seen)) in self.counts_mut().into_iter().zip(other.counts()) {
            *total += seen;
        }
    }

    /// Each by its name.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut copy = *self;
        copy.counts_mut().into_iter().map(|(name, count)| (name, *count)).collect()
    }

    fn counts_mut(&mut self) -> [(&'static str, &mut u64); 23] {
        [
            ("submitted", &mut self.submitted),
            ("receipts", &mut self.receipts),
            ("forwarded", &mut self.forwarded),
            ("mo", &mut self.mo),
            ("stale outcomes", &mut self.stale),
            ("refused", &mut self.refused),
            ("throttled", &mut self.throttled),
            ("expired", &mut self.expired),
            ("recovered", &mut self.recovered),
            ("paused", &mut self.paused),
            ("timed out", &mut self.timed_out),
            ("queried", &mut self.queried),
            ("cancelled", &mut self.cancelled),
            ("replaced", &mut self.replaced),
            ("submit_multi", &mut self.multis),
            ("distribution lists", &mut self.lists),
            ("repeated", &mut self.repeated),
            ("alerts", &mut self.alerts),
            ("notifications", &mut self.notifications),
            ("binds refused", &mut self.binds_refused),
            ("asked to unbind", &mut self.asked_to_unbind),
            ("changes", &mut self.changes),
            ("crashes", &mut self.crashes),
        ]
    }
}

/// A question about a message, as things stood when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) number: u32,
    /// The account that asks.
    account: usize,
    had_ended: bool,
    crashes: u32,
}

/// The shadow of everything.
#[derive(Debug, Default)]
pub(crate) struct Model {
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
    /// Alerts that were handed out and that have arrived, by account and subscriber.
    alerts: BTreeMap<(usize, String), [u32; 2]>,
    /// Sessions bound, by account.
    pub(crate) sessions: [u32; 2],
    /// Since the world began, whatever its clocks say.
    pub(crate) now_ms: u64,
    pub(crate) wall_ms: u64,
    pub(crate) crashes: u32,
    pub(crate) trace: u64,
    pub(crate) seen: Seen,
}

const fn key(shard: u16, session: SessionHandle) -> (u16, u32, u16, u32) {
    (shard, session.slot, session.worker, session.generation)
}

/// What a text of ours says: the number, and the revision.
fn parse(text: &[u8]) -> (u32, u32) {
    let text = std::str::from_utf8(text).expect("ASCII");
    let digits = text.strip_prefix('m').expect("a text of ours");
    let (number, revision) = digits.split_at(6);
    let revision =
        revision.strip_prefix('r').map_or(0, |digits| digits.trim_end().parse().expect("a revision"));
    (number.parse().expect("a number"), revision)
}

/// The text at the end of a receipt.
fn excerpt(text: &[u8]) -> &[u8] {
    let at = text.windows(5).position(|five| five.eq_ignore_ascii_case(b"text:")).expect("a receipt");
    &text[at + 5..]
}

impl Model {
    /// At this time by the wall clock.
    pub(crate) fn new(wall_ms: u64) -> Self {
        Self { wall_ms, ..Self::default() }
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
    pub(crate) fn find(&self, text: &[u8], kind: Kind, to: &[u8]) -> (u32, u32) {
        let text = if kind == Kind::Message { text } else { excerpt(text) };
        let (first, revision) = parse(text);
        let parts = self.messages.get(first as usize).expect("a message of ours").parts;
        let number =
            (first..first + parts).find(|&part| self.messages[part as usize].asked.to.as_bytes() == to);
        (number.unwrap_or_else(|| panic!("m{first} was never sent to {to:?}")), revision)
    }

    /// Somebody sends the same message to so many destinations: the number of the first.
    pub(crate) fn submits(&mut self, asked: Asked, to: &[&'static str]) -> u32 {
        let (first, parts) = (self.messages.len() as u32, to.len() as u32);
        self.seen.submitted += u64::from(parts);
        for to in to {
            let mut message = Message::new(Asked { to, ..asked }, first, parts);
            message.may_be_deleted = self.cancelled_groups.contains(&(asked.account, *to));
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
            return;
        }
        message.answer = Answer::Accepted;
        assert!(message.held_ever, "promise 2: m{number} is acknowledged and not held");
        self.has_id(number, id);
    }

    /// Whoever has sent a message again has the answer: what the first one has got, or would have.
    pub(crate) fn answered_again(&mut self, number: u32, id: &str) {
        self.note(&[12, u64::from(number)]);
        self.seen.repeated += 1;
        self.has_id(number, id);
    }

    fn has_id(&mut self, number: u32, id: &str) {
        let message = self.message(number);
        if message.lost_its_id {
            return;
        }
        let group = message.group;
        let digits = if message.asked.version == 0x33 { 8 } else { 16 };
        assert_eq!(id.len(), digits, "m{number} has the id {id}");
        let known = message.id.get_or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "m{number} has two ids");
        let other = *self.ids.entry(id.to_owned()).or_insert(group);
        if other == group {
            return;
        }
        // A short one comes round, the sooner for a restart, once it names nothing that is pending.
        let parts = self.message(other).parts;
        for part in other..other + parts {
            let other = self.message(part);
            assert!(digits == 8 && !other.is_owed(), "the id {id} was given twice: {other:?}");
            other.lost_its_id = true;
        }
        self.ids.insert(id.to_owned(), group);
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

    /// A shard tells a session that a subscriber is back: to the account that has asked, and no more often than it met
    /// an absence, or told so before a crash.
    pub(crate) fn alerts(&mut self, shard: u16, to: SessionHandle, subscriber: &[u8]) {
        self.note(&[13, u64::from(to.slot)]);
        let session = self.bound.get(&key(shard, to));
        let &(_, account) = session.expect("promise 10: a stale handle got an alert");
        let has_asked = |message: &&Message| {
            message.asked.account == account
                && message.asked.wants_alert
                && message.asked.to.as_bytes() == subscriber
        };
        let failures: u32 = self.messages.iter().filter(has_asked).map(|message| message.failures).sum();
        let subscriber = String::from_utf8_lossy(subscriber).into_owned();
        let [handed, _] = self.alerts.entry((account, subscriber)).or_default();
        *handed += 1;
        assert!(*handed <= failures + self.crashes, "nobody has asked to be told so often");
    }

    /// An ESME of `account` has read an alert.
    pub(crate) fn alerted(&mut self, account: usize, subscriber: &str) {
        self.seen.alerts += 1;
        let [handed, arrived] = self.alerts.entry((account, subscriber.to_owned())).or_default();
        *arrived += 1;
        assert!(arrived <= handed, "promise 10: an alert for another account");
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

    /// A message of this account that was accepted, not long ago. `is_open`: one that has not ended.
    pub(crate) fn recent(
        &self,
        account: usize,
        is_open: bool,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<(u32, String)> {
        let newest = self.messages.len().saturating_sub((rng.next_u64() % 4) as usize);
        let is_own = |message: &Message| {
            message.asked.account == account
                && message.answer == Answer::Accepted
                && !message.lost_its_id
                && !message.asked.is_mo
                && (!is_open || message.ended_ever.is_none())
        };
        let recent = self.messages[..newest].iter().enumerate().rev().take(40);
        let (number, message) = recent.into_iter().find(|(_, message)| is_own(message))?;
        Some((number as u32, message.id.clone()?))
    }

    /// An ESME of `account` asks about a message.
    pub(crate) fn asks(&mut self, account: usize, number: u32) -> Question {
        let crashes = self.crashes;
        let had_ended = self.message(number).ended.is_some();
        Question { number, account, had_ended, crashes }
    }

    /// Whether "there is no such message" is an answer to this.
    fn may_be_unknown(&mut self, question: Question) -> bool {
        let crashes = self.crashes;
        let message = self.message(question.number);
        // What has ended in an earlier run is forgotten, and what that run has left may displace what is remembered of this
        // one; of a submit_multi, a refused part may have had the id.
        let is_forgotten = message.ended_ever.is_some() && crashes > 0;
        message.asked.account != question.account
            || message.lost_its_id
            || message.parts > 1
            || is_forgotten
            || question.crashes != crashes
    }

    /// The answer to a query_sm: the state, or `None` where there is no such message.
    pub(crate) fn queried(&mut self, question: Question, state: Option<u8>) {
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
        let of_group = |message: &&mut Message| message.asked.account == account && message.asked.to == to;
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
        let revision = message.revision + 1;
        message.maybe = Some(revision);
        Some((question, message.asked.registered_delivery, format!("m{number:06}r{revision}")))
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
        let revision = message.maybe.take().expect("one replacement at a time");
        if status == 0 {
            message.revision = revision;
        }
    }

    /// A shard takes a session in.
    pub(crate) fn bound(&mut self, shard: u16, session: SessionHandle, credit: u32, account: usize) {
        assert!(self.bound.insert(key(shard, session), (credit, account)).is_none(), "bound twice");
    }

    /// A shard has let a session go: what it had there goes elsewhere.
    pub(crate) fn unbound(&mut self, shard: u16, session: SessionHandle) {
        self.bound.remove(&key(shard, session));
        self.open.retain(|token, handed| token.0 != shard || handed.to != session);
    }

    /// Whether the session of this connection takes deliveries.
    pub(crate) fn set_takes_deliveries(&mut self, connection: u32, takes: bool) {
        self.takes_deliveries.insert(connection, takes);
    }

    /// A shard hands out a delivery.
    pub(crate) fn hands_out(
        &mut self,
        to: SessionHandle,
        token: DeliveryToken,
        (number, revision): (u32, u32),
        kind: Kind,
    ) {
        self.note(&[2, u64::from(number), u64::from(token.slot), u64::from(to.slot), kind as u64]);
        let session = self.bound.get(&key(token.shard, to));
        let &(credit, account) = session.expect("promise 10: a stale handle got a delivery");
        let open = self.open.iter().filter(|(at, handed)| at.0 == token.shard && handed.to == to).count();
        assert!(open < credit as usize, "promise 6: more deliveries than the session has credit for");
        let is_open = self.open.values().any(|handed| handed.number == number && handed.kind == kind);
        // Of several attempts in several runs, each may have been the first.
        assert!(!is_open || kind == Kind::Notification, "m{number} was handed out twice at once ({kind:?})");
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        let message = self.message(number);
        assert_ne!(message.answer, Answer::Refused, "promise 3: m{number} was refused");
        message.handed[kind as usize] += 1;
        if kind != Kind::Notification {
            // A notification has the text of its time.
            message.check_revision(revision);
        }
        match kind {
            Kind::Message => {
                assert!(message.ended.is_none(), "m{number} was delivered after its end");
                assert_ne!(message.told, Some(DELETED), "promise 3: m{number} was cancelled");
                assert_eq!(
                    message.owner(),
                    Some(account),
                    "promise 10: m{number} is not theirs: {message:?}"
                );
                message.check_schedule(now_ms, crashes);
            }
            Kind::Notification => {
                assert_eq!(message.asked.account, account, "promise 10: told of another account's m{number}");
                assert!(
                    message.wants_notification() && message.failures > 0,
                    "nobody asked to be told: {message:?}"
                );
            }
            Kind::Receipt => {
                assert!(
                    !message.settled,
                    "promise 5: the receipt of m{number} was sent again after its answer"
                );
                assert_eq!(
                    message.asked.account, account,
                    "promise 10: the receipt of m{number} is not theirs"
                );
                let state = message.ended_ever.expect("a receipt of what has not ended");
                assert!(message.wants_receipt(state), "promise 3: nobody asked for a receipt of m{number}");
            }
        }
        let handed = Handed { to, number, kind };
        let before = self.open.insert((token.shard, token.slot, token.generation), handed);
        assert!(before.is_none(), "a delivery token was used twice");
    }

    /// A shard takes the outcome of a delivery.
    pub(crate) fn outcome(&mut self, token: DeliveryToken, result: DeliveryResult) {
        let Some(handed) = self.open.remove(&(token.shard, token.slot, token.generation)) else {
            self.seen.stale += 1;
            return;
        };
        self.note(&[3, u64::from(handed.number)]);
        self.seen.timed_out += u64::from(result == DeliveryResult::TimedOut);
        let is_final = matches!(
            result,
            DeliveryResult::Answered(CommandStatus::ESME_ROK | CommandStatus::ESME_RX_P_APPN)
        );
        if is_final && handed.kind == Kind::Receipt {
            let message = self.message(handed.number);
            (message.settled, message.settled_ever) = (true, true);
        }
    }

    /// A shard states the end of a message.
    pub(crate) fn ends(&mut self, (number, revision): (u32, u32), state: u8) {
        self.note(&[4, u64::from(number), u64::from(state)]);
        let (now_ms, crashes) = (self.now_ms, self.crashes);
        self.seen.expired += u64::from(state == super::message::EXPIRED);
        let message = self.message(number);
        assert!(message.ended.is_none(), "promise 3: m{number} has a second final state");
        assert_ne!(message.answer, Answer::Refused, "promise 3: m{number} was refused");
        assert!(message.told.is_none_or(|told| told == state), "m{number} has another state than was told");
        message.check_revision(revision);
        message.check_end(state, now_ms, crashes);
        (message.ended, message.ended_ever) = (Some(state), Some(state));
    }

    /// An ESME of `account` has read a delivery on `connection`.
    pub(crate) fn receives(&mut self, account: usize, connection: u32, number: u32, kind: Kind) {
        self.note(&[5, u64::from(number), u64::from(connection)]);
        let takes_deliveries = &self.takes_deliveries;
        let message = self.messages.get_mut(number as usize).expect("a message of ours");
        message.seen[kind as usize] += 1;
        let at = kind as usize;
        assert!(
            message.seen[at] <= message.handed[at],
            "m{number} arrived more often than it was handed out"
        );
        if kind == Kind::Message {
            assert_eq!(message.owner(), Some(account), "promise 10: m{number} went to another account");
            self.seen.forwarded += 1;
            self.seen.mo += u64::from(message.asked.is_mo);
            return;
        }
        self.seen.receipts += u64::from(kind == Kind::Receipt);
        self.seen.notifications += u64::from(kind == Kind::Notification);
        let asked = message.asked;
        assert_eq!(account, asked.account, "promise 10: the receipt of m{number} went to another account");
        if connection == asked.connection {
            assert_eq!(
                message.answer,
                Answer::Accepted,
                "promise 4: the receipt of m{number} overtook its response"
            );
        } else if takes_deliveries.get(&asked.connection).copied().unwrap_or(false) {
            panic!("promise 5: the receipt of m{number} went past the session that submitted it");
        }
    }

    /// What a receipt says.
    pub(crate) fn told(&mut self, number: u32, id: &str, state: u8) {
        self.has_id(number, id);
        let message = self.message(number);
        let told = *message.told.get_or_insert(state);
        assert_eq!(told, state, "m{number} was told two final states");
        assert!(message.ended.is_none_or(|ended| ended == state), "the receipt of m{number} lies");
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
