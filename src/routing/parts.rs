//! One receipt for all parts of a concatenated message, for accounts that ask for that instead of one for each part.
//!
//! The parts of a message to one subscriber have source, destination, reference and total in common, and so does their
//! *group* here. A part is accepted, answered, sent and brought to its final state by itself; only its receipt waits in the
//! group, for as long as the account says from the first final state on. When all parts are final, or the wait is over, one of
//! the receipts goes out for all: it is the *carrier*. The others stay in the store until that one is settled, so a restart at
//! any time finds a receipt for each part, and sends them as such.
//!
//! There is a bound to the groups. A part without one (there was no room, it came late, or a new message has taken the
//! reference over) has a receipt of its own.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::list::List;
use super::message::{Message, NONE, Role, Stage};
use super::{Fact, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, Now, Slab, Time};
use crate::limits::PART_GROUPS_MAX;
use crate::smpp::udh::Concatenation;
use crate::smpp::{MessageState, PduBody, SmFields};
use crate::store::MessageStore;

/// What became of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// Its final parts, and those of them that were delivered.
    pub(super) sub: u8,
    pub(super) dlvrd: u8,
    /// The worst final state of a part, and the error code that belongs to it.
    pub(super) state: MessageState,
    pub(super) error: u16,
    /// When the last of them became final: Unix time in seconds.
    pub(super) finished_s: u32,
}

impl Whole {
    const fn is_delivered(&self) -> bool {
        matches!(self.state, MessageState::Delivered)
    }

    fn add(&mut self, state: MessageState, error: u16, finished_s: u32) {
        self.sub += 1;
        self.dlvrd += u8::from(state == MessageState::Delivered);
        self.finished_s = self.finished_s.max(finished_s);
        if badness(state) > badness(self.state) {
            (self.state, self.error) = (state, error);
        }
    }
}

/// A message of which one part is undeliverable is that, whatever became of the others.
const fn badness(state: MessageState) -> u8 {
    match state {
        MessageState::Delivered => 0,
        MessageState::Deleted => 1,
        MessageState::Expired => 2,
        MessageState::Undeliverable => 3,
        _ => 4,
    }
}

/// The parts of one message.
#[derive(Debug)]
pub(super) struct Group {
    key: u64,
    /// Distinguishes it from earlier ones with that key; its parts carry it. Not 0.
    number: u8,
    total: u8,
    /// Which parts have arrived.
    seen: [u64; 4],
    /// Final ones whose receipt is here, or that have none.
    settled: u8,
    whole: Whole,
    /// When it goes out at the latest; `None`: no part is final yet.
    until: Option<Time>,
    /// Receipts that wait, but for the carrier.
    pub(super) kept: List,
    /// The receipt that goes out for all.
    pub(super) carrier: u32,
}

impl Group {
    /// False: that part has arrived before.
    fn arrive(&mut self, part: u8) -> bool {
        let Some(word) = self.seen.get_mut(usize::from(part / 64)) else { return false };
        let bit = 1 << (part % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// All groups of a shard.
#[derive(Debug)]
pub(super) struct PartGroups {
    pub(super) groups: Slab<Group>,
    /// Those that are still gathering.
    by_key: HashMap<u64, u32>,
    /// The others, by the slot of their carrier.
    by_carrier: HashMap<u32, u32>,
    /// Key and number of the last ones begun: they are all that can be gathering.
    begun: VecDeque<(u64, u8)>,
    last_number: u8,
}

impl PartGroups {
    pub(super) fn new() -> Self {
        Self {
            groups: Slab::new(PART_GROUPS_MAX),
            by_key: HashMap::new(),
            by_carrier: HashMap::new(),
            begun: VecDeque::new(),
            last_number: 0,
        }
    }

    /// What became of the whole message whose receipt this carries, if it carries more than its own.
    pub(super) fn whole(&self, carrier: u32) -> Option<Whole> {
        let group = self.by_carrier.get(&carrier)?;
        self.groups.get(*group).map(|group| group.whole)
    }

    /// A group that gathers.
    fn find(&self, key: u64) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// Begins a group; the one begun longest ago must give way if there is no room, and its receipts are the caller's to
    /// send. `None`: all room is taken by receipts that are on their way.
    fn begin(&mut self, key: u64, total: u8) -> (Option<u32>, Option<Group>) {
        let displaced =
            (self.begun.len() >= PART_GROUPS_MAX as usize).then(|| self.begun.pop_front()).flatten();
        let displaced = displaced.and_then(|(key, number)| {
            let found = self.find(key)?;
            self.groups.get(found).filter(|group| group.number == number)?;
            self.end(found)
        });
        self.last_number = self.last_number.checked_add(1).unwrap_or(1);
        let whole = Whole { sub: 0, dlvrd: 0, state: MessageState::Delivered, error: 0, finished_s: 0 };
        let group = self.groups.insert(Group {
            key,
            number: self.last_number,
            total,
            seen: [0; 4],
            settled: 0,
            whole,
            until: None,
            kept: List::EMPTY,
            carrier: NONE,
        });
        if let Some(group) = group {
            self.by_key.insert(key, group);
            self.begun.push_back((key, self.last_number));
        }
        (group, displaced)
    }

    /// Takes a group that gathers out of the tables.
    fn end(&mut self, group: u32) -> Option<Group> {
        let ended = self.groups.remove(group)?;
        self.by_key.remove(&ended.key);
        Some(ended)
    }

    /// Checks the tables against each other.
    ///
    /// # Panics
    /// When they disagree.
    pub(super) fn check(&self) {
        assert_eq!(self.by_key.len() + self.by_carrier.len(), self.groups.len() as usize);
        for (key, group) in &self.by_key {
            let group = self.groups.get(*group).expect("a group");
            assert_eq!((group.key, group.carrier), (*key, NONE));
            assert!(self.begun.contains(&(group.key, group.number)), "a group that will never give way");
        }
        for (carrier, group) in &self.by_carrier {
            assert_eq!(self.groups.get(*group).map(|group| group.carrier), Some(*carrier));
        }
    }
}

/// What the parts of one message have in common. `None`: it is no part, or the only one.
fn key_of(account: AccountId, sm: &SmFields<'_>) -> Option<(u64, Concatenation)> {
    let concatenation = Concatenation::of(sm).filter(|concatenation| concatenation.total > 1)?;
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    (sm.source_addr_ton, sm.source_addr_npi, sm.source_addr).hash(&mut hasher);
    (sm.dest_addr_ton, sm.dest_addr_npi, sm.destination_addr).hash(&mut hasher);
    (concatenation.kind, concatenation.reference, concatenation.total).hash(&mut hasher);
    Some((hasher.finish(), concatenation))
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Puts a message that was just taken in into its group, if it is a part.
    #[cold]
    pub(super) fn join_parts(&mut self, slot: u32, account: AccountId, sm: &SmFields<'_>, now: Now) {
        let Some((key, Concatenation { total, part, .. })) = key_of(account, sm) else { return };
        let mut found = self.parts.find(key);
        if let Some(group) = found
            && self.parts.groups.get_mut(group).is_some_and(|group| !group.arrive(part))
        {
            // The reference is taken for another message already.
            let earlier = self.parts.end(group);
            self.dissolve(earlier, now);
            found = None;
        }
        let group = found.or_else(|| {
            let (group, displaced) = self.parts.begin(key, total);
            self.dissolve(displaced, now);
            self.parts.groups.get_mut(group?)?.arrive(part);
            group
        });
        let number = group.and_then(|group| self.parts.groups.get(group)).map_or(0, |group| group.number);
        if let Some(message) = self.messages.get_mut(slot) {
            message.parts_settled = number;
        }
    }

    /// The group of a message, if that still gathers.
    #[cold]
    pub(super) fn group_of(&mut self, slot: u32) -> Option<u32> {
        let message = *self.messages.get(slot)?;
        let sm = SmFields::decode(self.store.body(message.location)?).ok()?;
        let (key, _) = key_of(message.account, &sm)?;
        let found = self.parts.find(key)?;
        self.parts.groups.get(found).filter(|group| group.number == message.parts_settled)?;
        Some(found)
    }

    /// Notes a part of a group that is final and wants no receipt.
    pub(super) fn part_without_receipt(
        &mut self,
        slot: u32,
        group: u32,
        now: Now,
        out: &mut impl ShardOutput,
    ) {
        self.note_part(slot, group, now);
        self.go_out_if_whole(group, now, out);
    }

    /// Lets a receipt in hand go: at once, or, if it is that of a part, with those of the other parts.
    #[inline]
    pub(super) fn receipt_due(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        if self.messages.get(slot).is_some_and(|message| message.parts_settled != 0) {
            self.gather(slot, now, out);
        } else {
            self.offer(slot, now, out);
        }
    }

    #[cold]
    fn gather(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(group) = self.group_of(slot) else {
            self.send_alone(slot, now, out);
            return;
        };
        let until = self.note_part(slot, group, now);
        if let Some(found) = self.parts.groups.get_mut(group) {
            found.kept.push_back(&mut self.messages, slot);
            self.wheel.schedule(slot, until);
            if let Some(message) = self.messages.get_mut(slot) {
                message.stage = Stage::Gathering { group };
            }
        }
        self.go_out_if_whole(group, now, out);
    }

    /// Counts a final part. When its group goes out at the latest.
    fn note_part(&mut self, slot: u32, group: u32, now: Now) -> Time {
        let Some(&Message { account, state, error, finished_s, .. }) = self.messages.get(slot) else {
            return now.mono;
        };
        let wait_ms = self.accounts.get(account).parts_wait_ms;
        let Some(group) = self.parts.groups.get_mut(group) else { return now.mono };
        group.settled += 1;
        group.whole.add(state, error, finished_s);
        *group.until.get_or_insert_with(|| now.mono.plus_millis(wait_ms))
    }

    fn go_out_if_whole(&mut self, group: u32, now: Now, out: &mut impl ShardOutput) {
        if self.parts.groups.get(group).is_some_and(|group| group.settled == group.total) {
            self.go_out(group, now, out);
        }
    }

    /// The wait of a receipt's group is over, or it has none any more.
    #[cold]
    pub(super) fn waited_for_parts(&mut self, slot: u32, group: u32, now: Now, out: &mut impl ShardOutput) {
        if group == NONE {
            self.send_alone(slot, now, out);
            return;
        }
        // Back to the others, whose list it is still in.
        if let Some(message) = self.messages.get_mut(slot) {
            message.stage = Stage::Gathering { group };
        }
        self.go_out(group, now, out);
    }

    /// Sends one receipt for all parts of a group: of those that ask for one, given how the whole came out, that of the part
    /// that was accepted first. The others are kept until it is settled.
    fn go_out(&mut self, group: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(found) = self.parts.groups.get(group) else { return };
        let (key, whole, mut kept) = (found.key, found.whole, found.kept);
        let mut carrier: Option<(Time, crate::base::MessageId, u32)> = None;
        let mut at = kept.head;
        while let Some(message) = self.messages.get(at) {
            let this = (message.accepted, message.id, at);
            let asks = message.registered_delivery.wants_receipt(whole.is_delivered());
            if asks
                && carrier.is_none_or(|carrier| (this.0, this.1.as_u64()) < (carrier.0, carrier.1.as_u64()))
            {
                carrier = Some(this);
            }
            let next = message.next;
            self.wheel.cancel(at);
            at = next;
        }
        let Some((_, _, carrier)) = carrier else {
            self.parts.end(group);
            self.release_kept(kept);
            return;
        };
        kept.remove(&mut self.messages, carrier);
        self.parts.by_key.remove(&key);
        self.parts.by_carrier.insert(carrier, group);
        if let Some(group) = self.parts.groups.get_mut(group) {
            (group.kept, group.carrier) = (kept, carrier);
        }
        self.hold(carrier);
        if let Some(message) = self.messages.get(carrier) {
            out.fact(Fact::ReceiptCreated { account: message.account });
        }
        self.offer(carrier, now, out);
    }

    /// Sends the receipt of a part by itself, if it asks for one given its own state.
    fn send_alone(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        message.parts_settled = 0;
        let account = message.account;
        if message.registered_delivery.wants_receipt(message.state == MessageState::Delivered) {
            out.fact(Fact::ReceiptCreated { account });
            self.offer(slot, now, out);
        } else {
            self.release(slot);
        }
    }

    /// Sends what a group that is no more had gathered as receipts of the single parts, in the next turn.
    fn dissolve(&mut self, group: Option<Group>, now: Now) {
        let Some(mut group) = group else { return };
        while let Some(slot) = group.kept.pop_front(&mut self.messages) {
            if let Some(message) = self.messages.get_mut(slot) {
                message.stage = Stage::Gathering { group: NONE };
            }
            self.wheel.schedule(slot, now.mono);
        }
    }

    /// A receipt is settled or given up: if others were kept for it, so are they.
    #[cold]
    pub(super) fn carrier_released(&mut self, slot: u32) {
        let Some(group) = self.parts.by_carrier.remove(&slot) else { return };
        if let Some(group) = self.parts.groups.remove(group) {
            self.release_kept(group.kept);
        }
    }

    fn release_kept(&mut self, mut kept: List) {
        while let Some(slot) = kept.pop_front(&mut self.messages) {
            if let Some(message) = self.messages.get_mut(slot) {
                debug_assert_eq!(message.role, Role::Receipt);
                (message.stage, message.parts_settled) = (Stage::Held, 0);
            }
            self.release(slot);
        }
    }
}
