//! The shard itself: its tables, its turn, and look-up by id.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::alert::PendingFlags;
use super::broadcast::{BodyAnswers, Broadcasts};
use super::duplicates::Duplicates;
use super::history::{FinalHistory, FinalRecord};
use super::index::IdIndex;
use super::list::{Lanes, List};
use super::message::{NONE, Role, Stage, wall_of};
use super::messages::Messages;
use super::operations::Answers;
use super::outgoing::Scratch;
use super::parts::PartGroups;
use super::policy::Policies;
use super::sessions::Sessions;
use super::settings::AccountRouting;
use super::subscriber_names::SubscriberNames;
use super::subscribers::Subscribers;
use super::transaction::{Transactions, origin_of};
use super::{Bound, Fact, HeldMessage, MessageView, SettingsError, ShardOutput, ShardSettings};
use crate::base::mobile::MobileNetwork;
use crate::base::{
    AccountId, MessageId, MessageIdSource, Now, PrefixMap, SessionHandle, Time, WallTime, Wheel,
};
use crate::smpp::{PduBody, SmFields};
use crate::store::{Durability, Ended, Lsn, MessageStore};

/// How many messages ahead of its turn the memory of a message that is due is fetched.
const PREFETCHED: usize = 16;

/// How far that has come. All of it only hints: what happens meanwhile may have made it wrong.
#[derive(Debug)]
struct DueAhead {
    /// The one fetched last; [`NONE`]: the next is the first on the wheel.
    last: u32,
    /// Those fetched lately, from `at` on.
    slots: [u32; PREFETCHED / 2],
    at: usize,
    /// So many turns until there is more to fetch.
    pause: usize,
}

impl Default for DueAhead {
    fn default() -> Self {
        Self { last: NONE, slots: [NONE; PREFETCHED / 2], at: 0, pause: 0 }
    }
}

/// A routing shard over a store and a mobile network. All memory is bounded by the settings; nothing is allocated
/// per message once the tables have reached the size that the traffic needs.
#[derive(Debug)]
pub struct Shard<S, N> {
    pub(super) settings: ShardSettings,
    pub(super) accounts: Policies,
    pub(super) store: S,
    pub(super) network: N,
    pub(super) ids: MessageIdSource,
    pub(super) messages: Messages,
    pub(super) index: IdIndex,
    pub(super) history: FinalHistory,
    pub(super) duplicates: Duplicates,
    pub(super) parts: PartGroups,
    pub(super) wheel: Wheel,
    pub(super) names: SubscriberNames,
    pub(super) subscribers: Subscribers,
    /// Messages to act on in the next turn.
    pub(super) work: Lanes,
    /// Messages whose log entry has not reached the kernel yet, and those for which that is not enough and it is not on
    /// disk yet; each in log order.
    pub(super) not_written: List,
    pub(super) not_synced: List,
    /// What the submitters of messages in transaction mode are to be told.
    pub(super) transactions: Transactions,
    /// Answers to operations that wait for their log entries.
    pub(super) answers: Answers,
    pub(super) sessions: Sessions,
    /// Absent subscribers that ESMEs want to be told of.
    pub(super) flags: PendingFlags,
    pub(super) broadcasts: Broadcasts,
    /// Answers with a body that are not given yet.
    pub(super) bodies: BodyAnswers,
    /// Who owns which addresses by configuration.
    pub(super) owners: PrefixMap<AccountId>,
    pub(super) rng: Xoshiro256PlusPlus,
    /// Number of the last hand-out to a session.
    pub(super) deliveries: u32,
    /// The message that last went back to a queue from a session.
    pub(super) last_requeued: u32,
    pub(super) scratch: Scratch,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// An empty shard. `wall` is the wall clock now: message ids start from it.
    ///
    /// # Errors
    /// [`SettingsError`] when two accounts own the same address, or there are too many accounts.
    ///
    /// # Panics
    /// When `node`, `shard` or `shards` exceed what a message id can hold: configuration is checked before.
    pub fn new(settings: ShardSettings, store: S, network: N, wall: WallTime) -> Result<Self, SettingsError> {
        let accounts = Policies::new(&settings)?;
        let owners = super::reconfigure::owners(&settings.accounts)?;
        Ok(Self {
            ids: MessageIdSource::new(
                settings.node,
                settings.shard,
                settings.short_ids.clone(),
                wall,
                settings.id_high_water,
            ),
            messages: Messages::new(settings.messages_max),
            index: IdIndex::new(settings.messages_max),
            history: FinalHistory::new(settings.final_history_records, settings.final_history_s),
            duplicates: Duplicates::new(accounts.any_duplicate_window()),
            parts: PartGroups::new(),
            wheel: Wheel::new(),
            names: SubscriberNames::new(settings.hash_key),
            subscribers: Subscribers::new(settings.messages_max),
            work: Lanes::EMPTY,
            not_written: List::EMPTY,
            not_synced: List::EMPTY,
            transactions: Transactions::default(),
            answers: Answers::default(),
            sessions: Sessions::new(settings.accounts.iter().map(AccountRouting::range_use)),
            flags: PendingFlags::default(),
            broadcasts: Broadcasts::default(),
            bodies: BodyAnswers::default(),
            owners,
            rng: Xoshiro256PlusPlus::seed_from_u64(settings.seed ^ (u64::from(settings.shard) << 48)),
            deliveries: 0,
            last_requeued: NONE,
            scratch: Scratch::new(),
            accounts,
            settings,
            store,
            network,
        })
    }

    /// A session has bound: it may be handed deliveries from now on.
    pub fn session_bound(&mut self, bound: &Bound<'_>, out: &mut impl ShardOutput) {
        if let Some(earlier) = self.sessions.tenant(bound.session) {
            // The slot has a new tenant, so the earlier one must have ended.
            self.session_unbound(earlier);
        }
        if !self.sessions.insert(bound) {
            out.fact(Fact::BadAddressRange { account: bound.account });
        }
    }

    /// A session takes no more deliveries, but may still settle those that it has: an unbind is under way. What waits
    /// for it goes to its account's queue.
    pub fn session_closing(&mut self, session: SessionHandle) {
        if let Some(entry) = self.sessions.find(session) {
            self.stop_serving(entry);
        }
    }

    /// A session's peer does not read: nothing more is handed to it for now. What waits for it waits on.
    pub fn session_paused(&mut self, session: SessionHandle) {
        if let Some(entry) = self.sessions.find(session) {
            self.sessions.pause(entry);
        }
    }

    /// A session's peer reads again.
    pub fn session_resumed(&mut self, session: SessionHandle) {
        if let Some(entry) = self.sessions.find(session) {
            self.sessions.resume(entry);
        }
    }

    /// A session has ended or unbound. What it held unsettled goes back, in order, to the front of its account's queue.
    pub fn session_unbound(&mut self, session: SessionHandle) {
        if let Some(entry) = self.sessions.find(session) {
            self.return_to_account(entry);
        }
    }

    /// One turn: everything that is due, at most `budget` steps of each kind. `true`: more is ready now.
    pub fn turn(&mut self, now: Now, budget: usize, out: &mut impl ShardOutput) -> bool {
        self.sessions.unblock_all();
        let mut more = self.release_durable(now, budget, out);
        more |= self.run_work(now, budget, out);
        more |= self.wake_due(now, budget);
        more |= self.run_timers(now, budget, out);
        more |= self.take_mo(now, budget, out);
        more |= self.pump(now, budget, out);
        self.store.commit();
        more || self.has_work()
    }

    fn has_work(&self) -> bool {
        !self.work.is_empty() || self.sessions.any_ready() || !self.transactions.is_empty()
    }

    /// When to call [`Shard::turn`] next, if nothing else happens before; `None`: nothing is due ever. Anything put in
    /// from outside, and a log entry that becomes durable, calls for a turn of its own.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.has_work() {
            return Some(Time::ZERO);
        }
        let deadlines =
            [self.wheel.next_deadline(), self.messages.parked.next_deadline(), self.network.next_mo()];
        deadlines.into_iter().flatten().min()
    }

    /// Messages held: pending, or final with a receipt owed, and MO messages.
    pub const fn pending(&self) -> u32 {
        self.messages.len()
    }

    /// Messages held, and the most that may be.
    pub const fn fill(&self) -> (u32, u32) {
        (self.messages.len(), self.messages.maximum())
    }

    /// Its index among the shards.
    pub const fn index(&self) -> u16 {
        self.settings.shard
    }

    /// The store, for its figures.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, for the shell that carries its batches.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The store, and what is remembered of messages that are no longer in it.
    pub fn store_and_endings(&mut self, now: Now) -> (&mut S, impl Iterator<Item = Ended>) {
        (&mut self.store, self.history.iter(now).map(FinalRecord::ended))
    }

    /// The counter that the next id will carry at least; what a restart gives as `id_high_water`.
    pub const fn id_counter(&self) -> u64 {
        self.ids.next_counter()
    }

    /// Whether anything waits here for an account of whose sessions none receives.
    pub fn waits_for_receiver(&self, account: AccountId) -> bool {
        self.sessions.waits_for_receiver(account)
    }

    /// What is known of a message: held, or remembered as final.
    pub fn query(&mut self, id: MessageId, now: Now) -> Option<MessageView> {
        let Some(link) = self.find(id) else {
            let record = self.history.find(id, now)?;
            return Some(MessageView {
                message_id: id,
                state: record.state,
                error: record.error,
                finished: Some(wall_of(record.finished_s)),
                held: None,
            });
        };
        let message = self.look_at(link)?;
        let sm = self.store.body(message.location).and_then(|body| SmFields::decode(body).ok());
        let waits_until = (!message.state.is_final() && message.milestone > now.mono)
            .then(|| now.wall_at(message.milestone));
        let is_scheduled = message.attempts == 0;
        Some(MessageView {
            message_id: id,
            state: message.state,
            error: message.error,
            finished: message.state.is_final().then_some(wall_of(message.finished_s)),
            held: Some(HeldMessage {
                account: message.account,
                role: message.role.name(),
                waits_for: message.stage.name(),
                priority: message.priority,
                attempts: u32::from(message.attempts),
                accepted: wall_of(message.accepted_s),
                scheduled: waits_until.filter(|_| is_scheduled),
                next_attempt: waits_until.filter(|_| !is_scheduled),
                expires: now.wall_at(message.expires),
                addresses: sm.map(|sm| (sm.source_addr.to_vec(), sm.destination_addr.to_vec())),
            }),
        })
    }

    /// Acts on the messages that wait for this turn.
    fn run_work(&mut self, now: Now, budget: usize, out: &mut impl ShardOutput) -> bool {
        // What the work itself adds waits for the next turn.
        for _ in 0..budget.min(self.work.len() as usize) {
            let Some(slot) = self.work.pop_front(&mut self.messages) else { break };
            self.act(slot, now, out);
        }
        !self.work.is_empty()
    }

    /// Acts on the messages whose time has come.
    fn run_timers(&mut self, now: Now, budget: usize, out: &mut impl ShardOutput) -> bool {
        let mut ahead = DueAhead::default();
        for _ in 0..budget {
            self.prefetch_due(&mut ahead);
            let Some(slot) = self.wheel.pop_due(now.mono) else { return false };
            self.act(slot, now, out);
        }
        true
    }

    /// Has memory fetched that the messages next on the wheel need: they lie anywhere, and it has left the caches while they
    /// waited. First the message and what leads to the one after it, and halfway to its turn what it leads to.
    #[inline]
    fn prefetch_due(&self, ahead: &mut DueAhead) {
        let steps = if ahead.pause == 0 && ahead.last == NONE { PREFETCHED } else { 1 };
        for _ in 0..steps {
            let next = match ahead.last {
                _ if ahead.pause > 0 => None,
                NONE => self.wheel.first(),
                last => self.wheel.after(last),
            };
            match next {
                Some(slot) => {
                    self.wheel.prefetch(slot);
                    self.messages.prefetch(slot);
                }
                None if ahead.pause > 0 => ahead.pause -= 1,
                // Those fetched have their turn before anything else is first.
                None => ahead.pause = PREFETCHED - 1,
            }
            ahead.last = next.unwrap_or(NONE);
            let halfway = std::mem::replace(&mut ahead.slots[ahead.at], ahead.last);
            ahead.at = (ahead.at + 1) % ahead.slots.len();
            if let Some(message) = self.messages.get(halfway) {
                self.history.prefetch(message.id);
                self.subscribers.prefetch(message.subscriber);
            }
        }
    }

    /// Goes on with a message that was taken off the work list or the wheel.
    #[inline]
    fn act(&mut self, slot: u32, now: Now, out: &mut impl ShardOutput) {
        let Some(message) = self.messages.get_mut(slot) else { return };
        let expired = now.mono >= message.expires;
        let stage = std::mem::replace(&mut message.stage, Stage::Held);
        if stage == Stage::Scheduled {
            self.subscribers.unschedule(&mut self.messages, slot);
        }
        match stage {
            Stage::Attempting { outcome } => self.reported(slot, outcome, now, out),
            Stage::Queued { queue } => {
                self.sessions.leave_queue(&mut self.messages, queue, slot);
                self.expire(slot, now, out);
            }
            Stage::Gathering { group } => self.waited_for_parts(slot, group, now, out),
            Stage::Behind if !self.woke_in_line(slot, now) => {}
            Stage::Behind => self.expire(slot, now, out),
            Stage::Ready | Stage::Scheduled | Stage::Waiting if expired => self.expire(slot, now, out),
            Stage::Ready | Stage::Scheduled | Stage::Waiting => self.start(slot, now, out),
            stage @ (Stage::Held
            | Stage::AwaitingDurable { .. }
            | Stage::AwaitingReplacement { .. }
            | Stage::HandedOut { .. }) => {
                debug_assert!(false, "a message in stage {stage:?} was due");
            }
        }
    }

    /// Whether a log entry has reached what `durability` names.
    #[inline]
    pub(super) fn is_held(&self, durability: Durability, lsn: Lsn) -> bool {
        durability == Durability::None || lsn <= self.store.lsn_at(durability)
    }

    /// Lets a message in hand wait until its log entry has reached what `durability` names.
    #[cold]
    pub(super) fn await_durable(&mut self, slot: u32, durability: Durability, lsn: Lsn) {
        if let Some(message) = self.messages.get_mut(slot) {
            message.stage = Stage::AwaitingDurable { lsn };
            let list = match durability {
                Durability::None | Durability::Buffered => &mut self.not_written,
                Durability::Sync => &mut self.not_synced,
            };
            list.push_back(&mut self.messages, slot);
        }
    }

    /// Opens the way of messages whose log entry has become durable, and answers their submits.
    fn release_durable(&mut self, now: Now, budget: usize, out: &mut impl ShardOutput) -> bool {
        let mut more = false;
        // A receipt of what was cancelled is behind the answer.
        if self.has_answers() {
            self.release_answers(out);
            self.release_replacements(now);
        }
        if !self.bodies.is_empty() {
            more |= self.release_bodies(out);
        }
        if !self.not_written.is_empty() {
            let written = self.store.lsn_at(Durability::Buffered);
            more |= self.release_up_to(Durability::Buffered, written, now, budget, out);
        }
        if !self.not_synced.is_empty() {
            let synced = self.store.lsn_at(Durability::Sync);
            more |= self.release_up_to(Durability::Sync, synced, now, budget, out);
        }
        more
    }

    fn release_up_to(
        &mut self,
        durability: Durability,
        durable: Lsn,
        now: Now,
        budget: usize,
        out: &mut impl ShardOutput,
    ) -> bool {
        let mut no_room = false;
        for _ in 0..budget {
            let list =
                if durability == Durability::Sync { &mut self.not_synced } else { &mut self.not_written };
            let slot = list.head;
            let Some(&message) = self.messages.get(slot) else { return no_room };
            match message.stage {
                Stage::AwaitingDurable { lsn } if lsn <= durable => {}
                _ => return no_room,
            }
            list.remove(&mut self.messages, slot);
            self.hold(slot);
            if matches!(message.role, Role::Mt | Role::Mo | Role::Broadcast) {
                self.state_acceptance(slot, now, out);
            }
            match message.role {
                Role::Mt => {
                    if !message.on_failure.is_awaited() {
                        out.submit_result(origin_of(&message), Ok(message.id));
                        self.duplicates.answer(message.id, out);
                    }
                    self.open(slot, now);
                }
                Role::Mo => {
                    out.mo_held(message.id);
                    self.offer(slot, now, out);
                }
                Role::Broadcast => {
                    self.bodies.released(message.id);
                    no_room |= self.release_bodies(out);
                    self.open_broadcast(slot, now);
                }
                Role::Receipt => self.receipt_due(slot, now, out),
                Role::Notification | Role::Alert => self.offer(slot, now, out),
            }
        }
        true
    }

    /// Takes in what the network has brought.
    fn take_mo(&mut self, now: Now, budget: usize, out: &mut impl ShardOutput) -> bool {
        for _ in 0..budget {
            if !self.take_one_mo(now, out) {
                return false;
            }
        }
        true
    }
}
