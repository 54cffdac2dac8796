//! What the world ought to know of each message, and the promises checked against it as things happen. A message is
//! known by its number, which its text says (`m000123`), so that the model needs nothing from the code it checks.

use std::collections::BTreeMap;

use smscd::base::{DeliveryToken, SessionHandle};
use smscd::session::DeliveryResult;
use smscd::smpp::CommandStatus;

/// What a delivery is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Message,
    Receipt,
}

/// What an ESME knows of its submit_sm.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Accepted,
    Refused,
    /// The connection was gone first: it may be held, or not.
    Lost,
}

/// One submit_sm and all that came of it.
#[derive(Debug)]
struct Message {
    account: usize,
    /// The connection that submitted it.
    connection: u32,
    registered_delivery: u8,
    answer: Answer,
    id: Option<String>,
    /// Its final state in this run of the process, and in any.
    ended: Option<u8>,
    ended_ever: Option<u8>,
    /// What its receipt said.
    told: Option<u8>,
    /// Its receipt was answered for good, in this run and in any.
    settled: bool,
    settled_ever: bool,
    /// Times that each kind was handed out and has arrived.
    handed: [u32; 2],
    seen: [u32; 2],
}

/// message_state DELIVERED (3.4 section 5.2.28).
const DELIVERED: u8 = 2;

impl Message {
    /// 3.4 section 5.2.17, bits 1 and 0.
    const fn wants_receipt(&self, state: u8) -> bool {
        match self.registered_delivery & 3 {
            0 => false,
            1 => true,
            2 => state != DELIVERED,
            _ => state == DELIVERED,
        }
    }

    /// Whether somebody is still owed something.
    fn is_owed(&self) -> bool {
        match self.ended_ever {
            None => true,
            Some(state) => self.wants_receipt(state) && !self.settled_ever,
        }
    }
}

/// A delivery that a shard has handed out and whose outcome is due.
#[derive(Debug)]
struct Handed {
    to: SessionHandle,
    number: u32,
    kind: Kind,
}

/// The shadow of everything.
#[derive(Debug, Default)]
pub(crate) struct Model {
    messages: Vec<Message>,
    ids: BTreeMap<String, u32>,
    /// By shard, slot and generation.
    open: BTreeMap<(u16, u32, u32), Handed>,
    /// Sessions as each shard knows them: their credit.
    bound: BTreeMap<(u16, u32, u16, u32), u32>,
    /// Connections whose sessions take deliveries.
    takes_deliveries: BTreeMap<u32, bool>,
    pub(crate) trace: u64,
    /// What was seen, to show that a run does something.
    pub(crate) receipts: u64,
    pub(crate) forwarded: u64,
    pub(crate) stale: u64,
    pub(crate) refused: u64,
    pub(crate) recovered: u64,
    pub(crate) paused: u64,
    pub(crate) timed_out: u64,
}

fn key(shard: u16, session: SessionHandle) -> (u16, u32, u16, u32) {
    (shard, session.slot, session.worker, session.generation)
}

/// The number that a text names.
pub(crate) fn number_in(text: &[u8]) -> u32 {
    let text = std::str::from_utf8(text).expect("ASCII");
    text.strip_prefix('m').and_then(|digits| digits.get(..6)?.parse().ok()).expect("a text of ours")
}

/// The number that the text at the end of a receipt names.
pub(crate) fn number_in_receipt(text: &[u8]) -> u32 {
    let at = text.windows(5).position(|five| five.eq_ignore_ascii_case(b"text:")).expect("a receipt");
    number_in(&text[at + 5..])
}

impl Model {
    pub(crate) fn note(&mut self, values: &[u64]) {
        for value in values {
            self.trace = (self.trace ^ value).wrapping_mul(0x0100_0000_01B3).rotate_left(7);
        }
    }

    fn message(&mut self, number: u32) -> &mut Message {
        self.messages.get_mut(number as usize).expect("a message of ours")
    }

    /// An ESME submits: the number of its message.
    pub(crate) fn submits(&mut self, account: usize, connection: u32, registered_delivery: u8) -> u32 {
        self.messages.push(Message {
            account,
            connection,
            registered_delivery,
            answer: Answer::Awaited,
            id: None,
            ended: None,
            ended_ever: None,
            told: None,
            settled: false,
            settled_ever: false,
            handed: [0; 2],
            seen: [0; 2],
        });
        self.messages.len() as u32 - 1
    }

    /// An ESME has the answer to its submit_sm.
    pub(crate) fn answered(&mut self, number: u32, status: u32, id: &str) {
        self.note(&[1, u64::from(number), u64::from(status)]);
        let message = self.message(number);
        assert_eq!(message.answer, Answer::Awaited, "promise 1: m{number} is answered once");
        if status != 0 {
            message.answer = Answer::Refused;
            assert!(message.ended_ever.is_none() && message.handed == [0; 2], "a refused message lives");
            self.refused += 1;
            return;
        }
        message.answer = Answer::Accepted;
        self.has_id(number, id);
    }

    fn has_id(&mut self, number: u32, id: &str) {
        let known = self.message(number).id.get_or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "m{number} has two ids");
        let other = *self.ids.entry(id.to_owned()).or_insert(number);
        assert_eq!(other, number, "the id {id} was given twice");
    }

    /// An ESME's connection is gone with the answer due.
    pub(crate) fn answer_lost(&mut self, number: u32) {
        let message = self.message(number);
        assert_eq!(message.answer, Answer::Awaited);
        message.answer = Answer::Lost;
    }

    /// A shard takes a session in.
    pub(crate) fn bound(&mut self, shard: u16, session: SessionHandle, credit: u32) {
        assert!(self.bound.insert(key(shard, session), credit).is_none(), "bound twice");
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
    pub(crate) fn hands_out(&mut self, to: SessionHandle, token: DeliveryToken, number: u32, kind: Kind) {
        self.note(&[2, u64::from(number), u64::from(token.slot), u64::from(to.slot), kind as u64]);
        let credit =
            *self.bound.get(&key(token.shard, to)).expect("promise 10: a stale handle got a delivery");
        let open = self.open.iter().filter(|(at, handed)| at.0 == token.shard && handed.to == to).count();
        assert!(open < credit as usize, "promise 6: more deliveries than the session has credit for");
        let is_open = self.open.values().any(|handed| handed.number == number && handed.kind == kind);
        assert!(!is_open, "m{number} was handed out twice at once ({kind:?})");
        let message = self.message(number);
        assert_ne!(message.answer, Answer::Refused, "promise 3: m{number} was refused");
        message.handed[kind as usize] += 1;
        match kind {
            Kind::Message => assert!(message.ended.is_none(), "m{number} was delivered after its end"),
            Kind::Receipt => {
                assert!(
                    !message.settled,
                    "promise 5: the receipt of m{number} was sent again after its answer"
                );
                if let Some(state) = message.ended_ever {
                    assert!(
                        message.wants_receipt(state),
                        "promise 3: nobody asked for a receipt of m{number}"
                    );
                } else {
                    panic!("a receipt of m{number}, which has not ended");
                }
            }
        }
        let handed = Handed { to, number, kind };
        let before = self.open.insert((token.shard, token.slot, token.generation), handed);
        assert!(before.is_none(), "a delivery token was used twice");
    }

    /// A shard takes the outcome of a delivery.
    pub(crate) fn outcome(&mut self, token: DeliveryToken, result: DeliveryResult) {
        let Some(handed) = self.open.remove(&(token.shard, token.slot, token.generation)) else {
            self.stale += 1;
            return;
        };
        self.note(&[3, u64::from(handed.number)]);
        self.timed_out += u64::from(result == DeliveryResult::TimedOut);
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
    pub(crate) fn ends(&mut self, number: u32, state: u8) {
        self.note(&[4, u64::from(number), u64::from(state)]);
        let message = self.message(number);
        assert!(message.ended.is_none(), "promise 3: m{number} has a second final state");
        assert_ne!(message.answer, Answer::Refused, "promise 3: m{number} was refused");
        assert!(message.told.is_none_or(|told| told == state), "m{number} has another state than was told");
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
            self.forwarded += 1;
            return;
        }
        self.receipts += 1;
        assert_eq!(account, message.account, "promise 10: the receipt of m{number} went to another account");
        if connection == message.connection {
            assert_eq!(
                message.answer,
                Answer::Accepted,
                "promise 4: the receipt of m{number} overtook its response"
            );
        } else if takes_deliveries.get(&message.connection).copied().unwrap_or(false) {
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
        self.open.clear();
        self.bound.clear();
        self.takes_deliveries.clear();
        for message in &mut self.messages {
            (message.ended, message.settled) = (None, false);
        }
    }

    /// The ids of messages that were acknowledged and of which something is owed: a restart must know them.
    pub(crate) fn owed(&self) -> Vec<&str> {
        let owed =
            self.messages.iter().filter(|message| message.answer == Answer::Accepted && message.is_owed());
        owed.filter_map(|message| message.id.as_deref()).collect()
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
            if message.registered_delivery & 3 == 0 {
                assert_eq!(message.handed[Kind::Receipt as usize], 0, "promise 3: {message:?}");
            }
        }
    }

    pub(crate) fn submitted(&self) -> usize {
        self.messages.len()
    }
}
