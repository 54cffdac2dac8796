//! Taking messages in: room, validity and schedule, owner, id, and the first step on their way.

use super::attempt::Fresh;
use super::duplicates::Fingerprint;
use super::message::{Message, NETWORK, NONE, Role, Stage, Turn, seconds_of, version_of};
use super::policy::Policy;
use super::sessions::Sessions;
use super::transaction::is_transaction;
use super::{Fact, Mo, MoOutcome, MoRefused, Shard, ShardOutput, Submit, SubmitOutcome};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now, PrefixMap, Time};
use crate::smpp::time_format::SmppTime;
use crate::smpp::{CommandStatus, DeliverSm, EsmClass, InterfaceVersion, PduBody, SmFields, TlvTag};
use crate::store::MessageStore;

/// Octets of an address in a PDU, and of a short_message.
const ADDRESS_LEN_MAX: usize = 20;
const SHORT_MESSAGE_MAX: usize = 254;
/// Short ids tried before giving up: so many in a row that still name pending messages mean that the shard is full.
const SHORT_ID_TRIES: u32 = 1_024;

/// When a message is to be sent and when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// `None`: at once.
    pub(super) schedule: Option<Time>,
    pub(super) expires: Time,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Takes in a submit_sm. Nothing is handed to anybody before the next turn, so the shell has until then to queue
    /// the response in front of all that follows from it.
    #[inline]
    pub fn submit(&mut self, submit: &Submit<'_>, now: Now, out: &mut impl ShardOutput) -> SubmitOutcome {
        let sm = &submit.sm;
        if !self.accounts.is_configured(submit.account) {
            return SubmitOutcome::Refused(CommandStatus::ESME_RSYSERR);
        }
        let policy = *self.accounts.get(submit.account);
        let mut times = match times(sm, &policy, now) {
            Ok(times) => times,
            Err(status) => return SubmitOutcome::Refused(status),
        };
        let is_awaited = is_transaction(sm, submit.origin.operation, submit.version);
        if is_awaited {
            let limit_ms = self.settings.transaction_validity_s.saturating_mul(1_000);
            times = Times { schedule: None, expires: times.expires.min(now.mono.plus_millis(limit_ms)) };
        }
        let fingerprint = (policy.duplicate_window_ms > 0)
            .then(|| Fingerprint::of(submit.account, sm, Some(submit.origin.sequence_number)))
            .flatten();
        if let Some(fingerprint) = fingerprint
            && let Some(outcome) = self.as_duplicate(submit, fingerprint, now)
        {
            return outcome;
        }
        if sm.replace_if_present_flag != 0
            && !is_awaited
            && let Some(outcome) = self.submit_in_place(submit, times, now)
        {
            return outcome;
        }
        if self.messages.is_full() {
            return SubmitOutcome::Refused(CommandStatus::ESME_RMSGQFUL);
        }
        let Some(id) = self.new_id(submit.version) else {
            return SubmitOutcome::Refused(CommandStatus::ESME_RMSGQFUL);
        };
        let mut message = Message {
            stage: Stage::Held,
            milestone: times.schedule.unwrap_or(Time::ZERO),
            expires: times.expires,
            submitter: submit.origin.session,
            sequence_number: submit.origin.sequence_number,
            target: owner_of(&self.owners, &mut self.sessions, sm.destination_addr).unwrap_or(NETWORK),
            version: version_of(submit.version, submit.origin.operation),
            ..Message::blank(id, submit.account, Role::Mt, now)
        };
        message.set_fields(sm, self.names);
        let (target, subscriber) = (message.target, message.subscriber);
        self.subscribers.prefetch(subscriber);
        let due = times.schedule.unwrap_or(now.mono);
        let Some((slot, is_durable)) = self.enter(message, due, submit.body, now) else {
            return SubmitOutcome::Refused(CommandStatus::ESME_RMSGQFUL);
        };
        if policy.parts_wait_ms > 0 && !is_awaited {
            self.join_parts(slot, submit.account, sm, now);
        }
        if is_awaited {
            out.fact(Fact::TransactionAccepted { account: submit.account });
        }
        if let Some(fingerprint) = fingerprint {
            self.duplicates.remember(fingerprint, id, now.mono.plus_millis(policy.duplicate_window_ms));
        }
        if !is_durable {
            return SubmitOutcome::Later;
        }
        self.state_acceptance(slot, now, out);
        match times.schedule {
            None if target == NETWORK => {
                let fresh = Fresh { destination_addr: sm.destination_addr, subscriber };
                self.attempt(slot, Some(fresh), now);
            }
            _ => self.open(slot, now),
        }
        if is_awaited { SubmitOutcome::Later } else { SubmitOutcome::Accepted(id) }
    }

    /// Takes in an MO message.
    ///
    /// # Errors
    /// [`MoRefused`]: nobody to give it to, or no room.
    pub fn inject_mo(
        &mut self,
        mo: &Mo<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Result<MoOutcome, MoRefused> {
        let owner =
            owner_of(&self.owners, &mut self.sessions, mo.destination_addr).ok_or(MoRefused::NoOwner)?;
        encode_mo(mo, &mut self.scratch.body);
        self.enter_mo(owner, u64::MAX, now, out)
    }

    /// Takes in a message from the MC itself for an account's receiving sessions, whoever owns its destination address. It
    /// is valid for `validity_ms` at most.
    ///
    /// # Errors
    /// [`MoRefused`]: no session of the account receives, or no room.
    pub fn notify_account(
        &mut self,
        account: AccountId,
        validity_ms: u64,
        mo: &Mo<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Result<MoOutcome, MoRefused> {
        if !self.sessions.any_receives(account) {
            return Err(MoRefused::NobodyReceives);
        }
        encode_mo(mo, &mut self.scratch.body);
        self.enter_mo(account, validity_ms, now, out)
    }

    /// Takes in the next MO message that the network has, if any.
    pub(super) fn take_one_mo(&mut self, now: Now, out: &mut impl ShardOutput) -> bool {
        let Some(arrival) = self.network.poll_mo(now.mono) else { return false };
        let mo = Mo {
            source_addr: arrival.source_addr,
            destination_addr: arrival.destination_addr,
            data_coding: 0,
            esm_class: 0,
            short_message: arrival.short_message,
        };
        let result = match owner_of(&self.owners, &mut self.sessions, mo.destination_addr) {
            Some(owner) => {
                encode_mo(&mo, &mut self.scratch.body);
                self.enter_mo(owner, u64::MAX, now, out)
            }
            None => Err(MoRefused::NoOwner),
        };
        if let Err(refused) = result {
            out.fact(Fact::MoRefused(refused));
        }
        true
    }

    /// Stores the MO message in the scratch body. It is valid for its account's default time, and `validity_max_ms` at most.
    fn enter_mo(
        &mut self,
        owner: AccountId,
        validity_max_ms: u64,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Result<MoOutcome, MoRefused> {
        if self.messages.is_full() {
            return Err(MoRefused::Full);
        }
        let id = self.ids.next_long();
        let validity_ms = self.accounts.get(owner).validity_default_ms.min(validity_max_ms);
        let message = Message {
            target: owner,
            expires: now.mono.plus_millis(validity_ms),
            ..Message::blank(id, owner, Role::Mo, now)
        };
        let body = std::mem::take(&mut self.scratch.body);
        let entered = self.enter(message, now.mono, &body, now);
        self.scratch.body = body;
        let (slot, is_durable) = entered.ok_or(MoRefused::Full)?;
        out.fact(Fact::MoAccepted { account: owner });
        if !is_durable {
            return Ok(MoOutcome::Later(id));
        }
        self.state_acceptance(slot, now, out);
        self.open(slot, now);
        Ok(MoOutcome::Accepted(id))
    }

    /// Puts a message into store, slab and index; `None`: one of them is full. Its slot, and whether it is durable
    /// already; if not, it is in the list of those.
    #[inline(always)]
    pub(super) fn enter(
        &mut self,
        message: Message,
        due: Time,
        body: &[u8],
        now: Now,
    ) -> Option<(u32, bool)> {
        let durability = self.accounts.get(message.account).durability;
        // First of all: the copy waits for every store before it, and those of the body are slow.
        let slot = self.messages.insert(message)?;
        self.wheel.prefetch(slot);
        let Ok(stored) = self.store.put_with(|| message.record(due, now), body, durability) else {
            self.messages.remove(slot);
            return None;
        };
        if let Some(message) = self.messages.get_mut(slot) {
            message.location = stored.location;
        }
        let is_durable = self.is_held(durability, stored.lsn);
        if message.role.has_own_id() {
            self.index.insert(&mut self.messages, slot);
        }
        if !is_durable {
            self.await_durable(slot, durability, stored.lsn);
        }
        Some((slot, is_durable))
    }

    /// Sends a message that has become durable on its way: onto the wheel for its schedule, else into the next turn.
    pub(super) fn open(&mut self, slot: u32, now: Now) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        if message.milestone > now.mono {
            message.stage = Stage::Scheduled;
            let at = message.milestone;
            self.wheel.schedule(slot, at);
            self.subscribers.schedule(&mut self.messages, slot);
            self.park(slot, now);
        } else {
            message.stage = Stage::Ready;
            self.work.push_back(&mut self.messages, slot);
        }
    }

    /// Makes an intermediate notification for a message whose attempt has failed: a message of its own, since it may
    /// well outlive the one it tells of. Without room there is none.
    pub(super) fn notify(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(&original) = self.messages.get(slot) else { return };
        let account = original.account;
        let mut body = std::mem::take(&mut self.scratch.body);
        body.clear();
        body.extend_from_slice(self.store.body(original.location).unwrap_or_default());
        let notification = Message {
            stage: Stage::Held,
            role: Role::Notification,
            target: account,
            milestone: now.mono,
            finished_s: seconds_of(now.wall),
            attempts: 0,
            next: NONE,
            previous: NONE,
            chain: NONE,
            peer: NONE,
            turn: Turn::No,
            first_delivery: 0,
            parts_settled: 0,
            ..original
        };
        let entered =
            if self.messages.is_full() { None } else { self.enter(notification, now.mono, &body, now) };
        self.scratch.body = body;
        let Some((slot, is_durable)) = entered else {
            out.fact(Fact::NotificationSkipped { account });
            return;
        };
        out.fact(Fact::ReceiptCreated { account });
        if is_durable {
            self.offer(slot, now, out);
        }
    }

    /// The id for a message from a bind that speaks `version`.
    #[inline]
    pub(super) fn new_id(&mut self, version: InterfaceVersion) -> Option<MessageId> {
        if version.has_tlvs() {
            return Some(self.ids.next_long());
        }
        // Short ids come round again; one that still names a pending message is passed over.
        for _ in 0..SHORT_ID_TRIES {
            let id = self.ids.next_short();
            if self.find(id).is_none() {
                return Some(id);
            }
        }
        None
    }
}

/// Schedule and expiry by the fields of a submit_sm (3.4 sections 5.2.15 and 5.2.16, 7.1.1).
#[inline]
pub(super) fn times(sm: &SmFields<'_>, account: &Policy, now: Now) -> Result<Times, CommandStatus> {
    if sm.schedule_delivery_time.is_empty() && sm.validity_period.is_empty() && sm.tlvs.is_empty() {
        return Ok(Times { schedule: None, expires: now.mono.plus_millis(account.validity_default_ms) });
    }
    stated_times(sm, account, now)
}

/// Milliseconds from now to a stated time, at most `max_ms`; 0 for a point that is past.
pub(super) fn ahead_ms(
    text: &[u8],
    max_ms: u64,
    now: Now,
    refusal: CommandStatus,
) -> Result<u64, CommandStatus> {
    let at = SmppTime::parse(text).ok_or(refusal)?.resolve(now.wall);
    let ahead = at.unix_millis().saturating_sub(now.wall.unix_millis());
    if ahead > max_ms { Err(refusal) } else { Ok(ahead) }
}

fn stated_times(sm: &SmFields<'_>, account: &Policy, now: Now) -> Result<Times, CommandStatus> {
    let ahead_ms = |text, refusal| ahead_ms(text, account.validity_max_ms, now, refusal);
    let schedule_ms = match sm.schedule_delivery_time {
        b"" => 0,
        text => ahead_ms(text, CommandStatus::ESME_RINVSCHED)?,
    };
    let expires_ms = match (sm.tlvs.u32(TlvTag::QOS_TIME_TO_LIVE), sm.validity_period) {
        // It overrides validity_period (5.0 section 4.8.4.49).
        (Some(seconds), _) if u64::from(seconds) * 1_000 > account.validity_max_ms => {
            return Err(CommandStatus::ESME_RINVEXPIRY);
        }
        (Some(seconds), _) => u64::from(seconds) * 1_000,
        // Without a period of its own, the message is valid for the default time from when it is first tried.
        (None, b"") => schedule_ms.saturating_add(account.validity_default_ms),
        (None, text) => ahead_ms(text, CommandStatus::ESME_RINVEXPIRY)?,
    };
    if expires_ms == 0 {
        return Err(CommandStatus::ESME_RINVEXPIRY);
    }
    if schedule_ms >= expires_ms {
        return Err(CommandStatus::ESME_RINVSCHED);
    }
    // Datagram mode has no schedule (5.0 section 4.2.10.4): it is now or never.
    let scheduled = schedule_ms > 0 && !sm.esm_class.is_datagram();
    Ok(Times {
        schedule: scheduled.then(|| now.mono.plus_millis(schedule_ms)),
        expires: now.mono.plus_millis(expires_ms),
    })
}

/// The account that owns an address: by configuration, the whole address before the longest prefix; else by the
/// address_range of a bound session.
#[inline]
pub(super) fn owner_of(
    owners: &PrefixMap<AccountId>,
    sessions: &mut Sessions,
    address: &[u8],
) -> Option<AccountId> {
    owners.find(address).copied().or_else(|| sessions.claimant(address))
}

/// Writes an MO message as the deliver_sm body that is stored for it.
fn encode_mo(mo: &Mo<'_>, body: &mut Vec<u8>) {
    let cut = |text, max| <[u8]>::get(text, ..max).unwrap_or(text);
    let source_addr = cut(mo.source_addr, ADDRESS_LEN_MAX);
    let destination_addr = cut(mo.destination_addr, ADDRESS_LEN_MAX);
    let (source_addr_ton, source_addr_npi) = type_of_number(source_addr);
    let (dest_addr_ton, dest_addr_npi) = type_of_number(destination_addr);
    let deliver_sm = DeliverSm {
        source_addr_ton,
        source_addr_npi,
        source_addr,
        dest_addr_ton,
        dest_addr_npi,
        destination_addr,
        esm_class: EsmClass(mo.esm_class),
        data_coding: mo.data_coding,
        short_message: cut(mo.short_message, SHORT_MESSAGE_MAX),
        ..DeliverSm::default()
    };
    body.clear();
    deliver_sm.encode_body(body);
}

/// TON and NPI of an address that comes without: a number is international ISDN, anything else alphanumeric.
fn type_of_number(address: &[u8]) -> (u8, u8) {
    if address.iter().all(u8::is_ascii_digit) { (1, 1) } else { (5, 0) }
}
