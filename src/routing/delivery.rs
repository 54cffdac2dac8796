//! Deliveries to sessions: who gets what, what waits for credit, what came of each.
//!
//! A receipt goes to the session that submitted as long as that is bound and receives, and waits for its credit if
//! need be: one slow reader holds up only itself. Everything else goes to the account's receiving sessions in turn, and
//! waits in the account's queue while none can take it. In each queue, what is of higher priority goes first.

use super::list::{IN_FRONT, Lanes, Places};
use super::message::{Message, NONE, PRIORITY_MAX, Queue, Role, Stage};
use super::outgoing;
use super::sessions::Session;
use super::{DeliveryResult, Fact, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, DeliveryToken, Now, Time};
use crate::smpp::{CommandStatus, MessageState, PduBody, SmFields, TlvWriter};
use crate::store::MessageStore;

/// What came of an attempt to hand a message to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandOut {
    /// It is on its way.
    Sent,
    /// The lane towards that worker is full; the message is where it was.
    NoRoom,
    /// It can't be delivered in any form, and has been given up.
    GivenUp,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// The outcome of a delivery. One that is no longer open (late, doubled, or of an earlier tenant of the slot) is
    /// stated as [`Fact::StaleToken`] and changes nothing.
    pub fn delivery_result(
        &mut self,
        token: DeliveryToken,
        result: DeliveryResult,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        let slot = token.slot;
        let open = self.messages.get(slot).and_then(|message| match message.stage {
            Stage::HandedOut { session, delivery, parts_after } if delivery == token.generation => {
                Some((session, parts_after, *message))
            }
            _ => None,
        });
        let Some((entry, parts_after, message)) = open.filter(|_| token.shard == self.settings.shard) else {
            if !self.answered_late(token, result, now, out) {
                out.fact(Fact::StaleToken);
            }
            return;
        };
        if let Some(session) = self.sessions.entries.get_mut(entry) {
            session.in_flight.remove(&mut self.messages, slot);
            if !session.is_lost {
                session.credit += 1;
            }
        }
        self.hold(slot);
        if result == DeliveryResult::SessionLost {
            self.stop_serving(entry);
        }
        match result {
            DeliveryResult::Answered(CommandStatus::ESME_ROK) if parts_after > 0 => {
                self.next_part(slot, entry, now, out);
            }
            DeliveryResult::Answered(status) => self.answered(slot, &message, status, now, out),
            DeliveryResult::TimedOut => {
                self.retry(slot, message.error, Time::NEVER, self.settings.retry_refused, now, out);
                // The answer to one of several parts would be to the others too.
                if parts_after == 0
                    && let Some(message) = self.messages.get_mut(slot)
                    && message.stage == Stage::Waiting
                {
                    message.first_delivery = token.generation;
                }
            }
            DeliveryResult::SessionLost | DeliveryResult::NotSent => self.requeue(slot),
        }
        self.sessions.credit_returned(entry);
    }

    /// The ESME has answered a delivery that is in hand again.
    #[inline]
    fn answered(
        &mut self,
        slot: u32,
        message: &Message,
        status: CommandStatus,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        let schedule = match status {
            CommandStatus::ESME_ROK => return self.settled(slot, message, now, out),
            CommandStatus::ESME_RX_P_APPN | CommandStatus::ESME_RX_R_APPN => {
                return self.abandon(slot, MessageState::Rejected, now, out);
            }
            CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL => self.settings.retry_congestion,
            _ => self.settings.retry_refused,
        };
        self.retry(slot, message.error, Time::NEVER, schedule, now, out);
    }

    /// An answer to a delivery whose time was over: it counts while the delivery waits to be repeated. `false`: it does
    /// not.
    #[cold]
    fn answered_late(
        &mut self,
        token: DeliveryToken,
        result: DeliveryResult,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> bool {
        let slot = token.slot;
        let is_it = |message: &&Message| {
            message.stage == Stage::Waiting
                && message.first_delivery == token.generation
                && token.shard == self.settings.shard
        };
        let (Some(&message), DeliveryResult::Answered(status)) =
            (self.messages.get(slot).filter(is_it), result)
        else {
            return false;
        };
        self.wheel.cancel(slot);
        self.hold(slot);
        self.answered(slot, &message, status, now, out);
        true
    }

    /// The ESME has accepted a part of a message, and is to get the next: on the same session if that can take it now, else
    /// before all that was never handed out.
    #[cold]
    fn next_part(&mut self, slot: u32, entry: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        message.parts_settled = message.parts_settled.saturating_add(1);
        let session = self.sessions.entries.get(entry);
        if session.is_some_and(|session| !session.is_lost && self.sessions.can_take(session)) {
            // Each part has as many attempts as a message.
            message.attempts = message.attempts.saturating_sub(1);
            if self.hand_out(slot, entry, now, out) != HandOut::NoRoom {
                return;
            }
            if let Some(message) = self.messages.get_mut(slot) {
                message.attempts = message.attempts.saturating_add(1);
            }
        }
        self.requeue(slot);
    }

    /// The ESME has accepted a delivery.
    fn settled(&mut self, slot: u32, message: &Message, now: Now, out: &mut impl ShardOutput) {
        let account = message.account;
        match message.role {
            Role::Mt => self.finish(slot, MessageState::Delivered, 0, now, out),
            Role::Mo => {
                self.end_mo(slot, MessageState::Delivered, 0, now);
                out.fact(Fact::MoDelivered { account, nanos: now.mono.nanos_since(message.accepted) });
                self.state_end(slot, MessageState::Delivered, 0, now, out);
                self.release(slot);
            }
            // One has no outcome, and the other is handed to nobody.
            Role::Alert | Role::Broadcast => self.release(slot),
            Role::Receipt | Role::Notification => {
                out.fact(Fact::ReceiptSettled { account, nanos: now.mono.nanos_since(message.milestone) });
                self.release(slot);
            }
        }
    }

    /// Hands a message in hand to a session at once if one can take it, else queues it.
    #[inline]
    pub(super) fn offer(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let queue = self.queue_of(slot);
        match queue {
            Queue::Session(entry) => {
                let can_take = self
                    .sessions
                    .entries
                    .get(entry)
                    .is_some_and(|session| session.queue.is_empty() && self.sessions.can_take(session));
                if can_take && self.hand_out(slot, entry, now, out) != HandOut::NoRoom {
                    return;
                }
            }
            Queue::Account(account) => {
                let nobody_waits = self
                    .sessions
                    .accounts
                    .get(account.index())
                    .is_some_and(|account| account.queue.is_empty());
                while let Some(entry) = nobody_waits.then(|| self.next_session(slot, account)).flatten() {
                    if self.hand_out(slot, entry, now, out) != HandOut::NoRoom {
                        return;
                    }
                }
            }
        }
        let priority = self.messages.get(slot).map_or(0, |message| message.priority);
        let (tail, len) = self
            .sessions
            .queue_mut(queue)
            .map_or((NONE, 0), |lanes| (lanes.lane(priority).tail(), lanes.lane(priority).len));
        self.enqueue_after(slot, queue, tail);
        if len >= self.settings.queued_at_hand && matches!(queue, Queue::Account(_)) {
            self.park(slot, now);
        }
    }

    /// The session of an account that is to get this message next.
    #[inline]
    fn next_session(&mut self, slot: u32, account: AccountId) -> Option<u32> {
        if self.sessions.chooses_by_range(account) {
            self.next_in_range(slot, account)
        } else {
            self.sessions.next_available(account)
        }
    }

    /// The same by the address of the ESME that the message is for.
    #[cold]
    fn next_in_range(&mut self, slot: u32, account: AccountId) -> Option<u32> {
        let message = self.messages.get(slot)?;
        let stored = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        let address = stored.map_or(&b""[..], |sm| match message.role {
            Role::Receipt | Role::Notification | Role::Alert => sm.source_addr,
            Role::Mt | Role::Mo | Role::Broadcast => sm.destination_addr,
        });
        self.sessions.next_in_range(account, address)
    }

    /// Where a message waits: a receipt for the session that submitted while that can ever take it; all else for any
    /// session of the account.
    #[inline]
    fn queue_of(&self, slot: u32) -> Queue {
        let Some(message) = self.messages.get(slot) else { return Queue::Session(NONE) };
        let serves =
            |session: &Session| session.receives && !session.is_lost && session.account == message.account;
        if matches!(message.role, Role::Receipt | Role::Notification | Role::Alert)
            && let Some(entry) = self.sessions.find(message.submitter)
            && self.sessions.entries.get(entry).is_some_and(serves)
        {
            return Queue::Session(entry);
        }
        Queue::Account(message.target)
    }

    /// Queues a message in hand behind `previous`, a member of its priority in that queue, or in front of all those.
    fn enqueue_after(&mut self, slot: u32, queue: Queue, previous: u32) {
        let Some(lanes) = self.sessions.queue_mut(queue) else { return };
        lanes.insert_after(&mut self.messages, previous, slot);
        if let Some(message) = self.messages.get_mut(slot) {
            message.stage = Stage::Queued { queue };
            let expires = message.expires;
            self.wheel.schedule(slot, expires);
        }
        match queue {
            Queue::Session(entry) => self.sessions.credit_returned(entry),
            Queue::Account(account) => self.sessions.account_queued(account),
        }
    }

    /// Queues a message in hand behind `places` of its priority, and makes it that place.
    fn enqueue_behind(&mut self, slot: u32, queue: Queue, places: &mut Places) {
        let Some(priority) = self.messages.get(slot).map(|message| message.priority) else { return };
        let place = &mut places[usize::from(priority.min(PRIORITY_MAX))];
        let previous = std::mem::replace(place, slot);
        self.enqueue_after(slot, queue, previous);
    }

    /// Puts a message in hand that came back unseen in front of all of its priority that were never handed out, behind
    /// those that were handed out before it.
    fn requeue(&mut self, slot: u32) {
        let queue = self.queue_of(slot);
        let Some(message) = self.messages.get_mut(slot) else { return };
        message.attempts = message.attempts.saturating_sub(1);
        let Message { first_delivery, priority, .. } = *message;
        let is_before = |message: &Message| {
            message.first_delivery != 0 && (first_delivery.wrapping_sub(message.first_delivery) as i32) > 0
        };
        // They mostly come back in the order in which they went out: start at the last one, if it is there.
        let mut previous = NONE;
        let mut next = self.sessions.queue_mut(queue).map_or(NONE, |lanes| lanes.lane(priority).head);
        if let Some(last) = self.messages.get(self.last_requeued)
            && last.stage == (Stage::Queued { queue })
            && last.priority == priority
            && is_before(last)
        {
            (previous, next) = (self.last_requeued, last.next);
        }
        while let Some(message) = self.messages.get(next).filter(|message| is_before(message)) {
            (previous, next) = (next, message.next);
        }
        self.enqueue_after(slot, queue, previous);
        self.last_requeued = slot;
    }

    /// Hands a session nothing more; what waited for it goes in front of its account's queue.
    pub(super) fn stop_serving(&mut self, entry: u32) {
        let Some(session) = self.sessions.entries.get_mut(entry) else { return };
        session.is_lost = true;
        session.credit = 0;
        let queue = Queue::Account(session.account);
        let mut waiting = std::mem::replace(&mut session.queue, Lanes::EMPTY);
        let mut places = IN_FRONT;
        while let Some(slot) = waiting.pop_front(&mut self.messages) {
            self.enqueue_behind(slot, queue, &mut places);
        }
    }

    /// Takes a session out of the tables; what it had in flight, then what waited for it, goes in front of its account's
    /// queue.
    pub(super) fn return_to_account(&mut self, entry: u32) {
        let Some(mut session) = self.sessions.remove(entry) else { return };
        let queue = Queue::Account(session.account);
        let mut places = IN_FRONT;
        while let Some(slot) = session.in_flight.pop_front(&mut self.messages) {
            self.enqueue_behind(slot, queue, &mut places);
        }
        while let Some(slot) = session.queue.pop_front(&mut self.messages) {
            self.enqueue_behind(slot, queue, &mut places);
        }
    }

    /// Hands a message, in hand or queued, to a session with credit.
    fn hand_out(&mut self, slot: u32, entry: u32, now: Now, out: &mut impl ShardOutput) -> HandOut {
        let Some(message) = self.messages.get(slot) else { return HandOut::GivenUp };
        if message.role == Role::Alert {
            return self.hand_alert(slot, entry, out);
        }
        let Some(session) = self.sessions.entries.get(entry) else { return HandOut::NoRoom };
        let delivery = self.deliveries.wrapping_add(1).max(1);
        let token = DeliveryToken { slot, generation: delivery, shard: self.settings.shard };
        let (text, tlvs) = self.scratch.parts();
        let mut tlvs = TlvWriter::new(tlvs);
        let policy = self.accounts.get(message.account);
        let is_whole = message.role == Role::Receipt && message.parts_settled != 0;
        let mut form = outgoing::ReceiptForm {
            dates: policy.receipt_dates,
            ids: policy.ids.receipt,
            alphabet: policy.default_alphabet,
            whole: if is_whole { self.parts.whole(slot) } else { None },
            dpf_result: None,
        };
        let stored = self.store.body(message.location).map(SmFields::decode);
        let Some(Ok(stored)) = stored else {
            out.fact(Fact::BodyMissing { message_id: message.id });
            self.take(slot);
            self.abandon(slot, MessageState::Undeliverable, now, out);
            return HandOut::GivenUp;
        };
        form.dpf_result = self.flags.dpf_result(message, &stored);
        let deliver_sm = outgoing::deliver_sm(message, &stored, session.version, form, text, &mut tlvs);
        let Ok((deliver_sm, parts_after)) = deliver_sm else {
            self.take(slot);
            self.abandon(slot, MessageState::Undeliverable, now, out);
            return HandOut::GivenUp;
        };
        let handle = session.handle;
        if !out.deliver(handle, token, &deliver_sm) {
            self.sessions.block(handle.worker);
            return HandOut::NoRoom;
        }
        out.fact(Fact::Attempt);
        self.deliveries = delivery;
        self.take(slot);
        let (Some(session), Some(message)) =
            (self.sessions.entries.get_mut(entry), self.messages.get_mut(slot))
        else {
            return HandOut::GivenUp;
        };
        session.credit -= 1;
        if message.first_delivery == 0 {
            message.first_delivery = delivery;
        }
        message.attempts = message.attempts.saturating_add(1);
        message.stage = Stage::HandedOut { session: entry, delivery, parts_after };
        session.in_flight.push_back(&mut self.messages, slot);
        if out.is_full(handle) {
            self.sessions.pause(entry);
        }
        HandOut::Sent
    }

    /// Takes a message that is in hand or queued into hand.
    #[inline]
    pub(super) fn take(&mut self, slot: u32) {
        if let Some(&Message { stage: Stage::Queued { queue }, .. }) = self.messages.get(slot) {
            self.sessions.leave_queue(&mut self.messages, queue, slot);
            self.wheel.cancel(slot);
            self.hold(slot);
        }
    }

    /// Marks a message as in hand.
    #[inline]
    pub(super) fn hold(&mut self, slot: u32) {
        if let Some(message) = self.messages.get_mut(slot) {
            message.stage = Stage::Held;
        }
    }

    /// Hands out what waits, as far as credit and lanes allow; at most `budget` messages. `true`: the budget ended it.
    pub(super) fn pump(&mut self, now: Now, budget: usize, out: &mut impl ShardOutput) -> bool {
        let mut left = budget;
        for _ in 0..self.sessions.ready.len() {
            let Some(entry) = self.sessions.ready.pop_front() else { break };
            if self.pump_session(entry, &mut left, now, out) {
                self.sessions.ready.push_back(entry);
            } else if let Some(session) = self.sessions.entries.get_mut(entry) {
                session.is_ready = false;
            }
        }
        for _ in 0..self.sessions.ready_accounts.len() {
            let Some(account) = self.sessions.ready_accounts.pop_front() else { break };
            if self.pump_account(account, &mut left, now, out) {
                self.sessions.ready_accounts.push_back(account);
            } else if let Some(account) = self.sessions.accounts.get_mut(account.index()) {
                account.is_ready = false;
            }
        }
        left == 0
    }

    /// Hands a session what waits for it. `true`: it could take more.
    fn pump_session(&mut self, entry: u32, left: &mut usize, now: Now, out: &mut impl ShardOutput) -> bool {
        while let Some(session) = self.sessions.entries.get(entry) {
            if session.queue.is_empty() || !session.has_room() {
                return false;
            }
            if *left == 0 || !self.sessions.can_take(session) {
                return true;
            }
            *left -= 1;
            if self.hand_out(session.queue.head(), entry, now, out) == HandOut::NoRoom {
                return true;
            }
        }
        false
    }

    /// Hands an account's sessions what waits for any of them. `true`: they could take more.
    fn pump_account(
        &mut self,
        account: AccountId,
        left: &mut usize,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> bool {
        while let Some(entry) = self.sessions.accounts.get(account.index()) {
            if entry.queue.is_empty() {
                return false;
            }
            let head = entry.queue.head();
            if *left == 0 {
                return self.sessions.has_available(account);
            }
            let Some(head) = self.awake(head) else { return false };
            let Some(session) = self.next_session(head, account) else {
                // Those that have credit are behind full lanes.
                return self.sessions.has_available(account);
            };
            *left -= 1;
            self.hand_out(head, session, now, out);
        }
        false
    }
}
