//! What is handed to sessions and arrives at ESMEs: messages, receipts, notifications and alerts.

use smscd::base::{DeliveryToken, SessionHandle};
use smscd::session::DeliveryResult;
use smscd::smpp::CommandStatus;

use super::super::ids::Place;
use super::super::message::{Answer, DELETED, Kind, Message, Text};
use super::Model;

/// A delivery that a shard has handed out and whose outcome is due.
#[derive(Debug)]
pub(super) struct Handed {
    to: SessionHandle,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

const fn key(shard: u16, session: SessionHandle) -> (u16, u32, u16, u32) {
    (shard, session.slot, session.worker, session.generation)
}

impl Model {
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
        (number, text): (u32, Text),
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
            message.check_text(text);
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

    /// An ESME of `account` has read a delivery on `connection`.
    pub(crate) fn receives(
        &mut self,
        account: usize,
        connection: u32,
        (number, text): (u32, Text),
        kind: Kind,
    ) {
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
        // It is that of whoever has sent this text.
        let Message { asked, answer, .. } = &self.messages[text.number as usize];
        let is_first = asked.broadcast.is_none() || text.number == number;
        if connection == asked.connection && is_first {
            assert_eq!(
                *answer,
                Answer::Accepted,
                "promise 4: the receipt of m{number} overtook its response"
            );
        } else if asked.broadcast.is_none()
            && takes_deliveries.get(&asked.connection).copied().unwrap_or(false)
        {
            panic!("promise 5: the receipt of m{number} went past the session that submitted it");
        }
    }

    /// What a receipt says.
    pub(crate) fn told(&mut self, number: u32, id: &str, state: u8) {
        self.has_id(number, id, Place::Receipt);
        let message = self.message(number);
        let told = *message.told.get_or_insert(state);
        assert_eq!(told, state, "m{number} was told two final states");
        assert!(message.ended.is_none_or(|ended| ended == state), "the receipt of m{number} lies");
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
}
