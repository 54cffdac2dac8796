//! The bound sessions as one shard knows them, and the accounts they belong to: who can take a delivery now, and what
//! waits for whom. Look-up by handle is two array accesses; tables grow when a session binds, never per message.

use std::collections::VecDeque;

use super::Bound;
use super::address_range::AddressRange;
use super::list::{Lanes, List};
use super::message::Queue;
use super::messages::Messages;
use super::settings::RangeUse;
use crate::base::{AccountId, PrefixMap, SessionHandle, Slab};
use crate::limits::THREADS_MAX;
use crate::smpp::InterfaceVersion;

/// Sessions that one worker may name, and sessions bound over all workers. Beyond: a bind is not known here, so its
/// session gets nothing delivered.
const SESSIONS_MAX: u32 = 1 << 20;
const NONE: u32 = u32::MAX;

/// One bound session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) handle: SessionHandle,
    pub(super) account: AccountId,
    pub(super) version: InterfaceVersion,
    pub(super) receives: bool,
    /// Deliveries that may be handed to it now.
    pub(super) credit: u32,
    /// Handed out and not settled, oldest first.
    pub(super) in_flight: List,
    /// Receipts for messages it submitted, for which it has no credit.
    pub(super) queue: Lanes,
    /// It is closing, or has been reported lost: nothing more goes to it, and its unbinding will follow.
    pub(super) is_lost: bool,
    /// Its peer does not read: nothing more goes to it until that does.
    is_paused: bool,
    /// It is in [`Sessions::ready`].
    pub(super) is_ready: bool,
    /// It is in its account's [`Account::available`].
    is_available: bool,
    range: AddressRange,
}

impl Session {
    /// Whether it can be handed a delivery, given that its lane has room.
    #[inline]
    pub(super) const fn has_room(&self) -> bool {
        self.credit > 0 && !self.is_paused
    }
}

/// What a shard keeps per account.
#[derive(Debug)]
pub(super) struct Account {
    /// Deliveries for any of its receiving sessions.
    pub(super) queue: Lanes,
    /// Receiving sessions that have credit, the next to serve first. One whose credit went elsewhere meanwhile is
    /// dropped when its turn comes.
    available: VecDeque<u32>,
    receiving: u32,
    /// It is in [`Sessions::ready_accounts`].
    pub(super) is_ready: bool,
    range_use: RangeUse,
    /// Receiving sessions with an address_range.
    ranges: u32,
}

impl Account {
    const fn new(range_use: RangeUse) -> Self {
        Self {
            queue: Lanes::EMPTY,
            available: VecDeque::new(),
            receiving: 0,
            is_ready: false,
            range_use,
            ranges: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Worker {
    /// Entry by the worker's own slot.
    by_slot: Vec<u32>,
    /// Its lane was full this turn.
    is_blocked: bool,
}

/// The session and account tables of a shard.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) entries: Slab<Session>,
    pub(super) accounts: Vec<Account>,
    workers: Vec<Worker>,
    /// Sessions that have both a queue and credit.
    pub(super) ready: VecDeque<u32>,
    /// Accounts that have both a queue and a session with credit.
    pub(super) ready_accounts: VecDeque<AccountId>,
    any_blocked: bool,
    /// Receiving sessions with an address_range.
    ranges: u32,
    /// The literal ones by prefix, rebuilt when a bind or unbind has changed them.
    range_prefixes: PrefixMap<AccountId>,
    /// The others.
    range_patterns: Vec<u32>,
    ranges_changed: bool,
}

impl Sessions {
    pub(super) fn new(range_uses: impl Iterator<Item = RangeUse>) -> Self {
        let accounts: Vec<Account> = range_uses.map(Account::new).collect();
        Self {
            entries: Slab::new(SESSIONS_MAX),
            ready_accounts: VecDeque::with_capacity(accounts.len()),
            accounts,
            workers: Vec::new(),
            ready: VecDeque::new(),
            any_blocked: false,
            ranges: 0,
            range_prefixes: PrefixMap::new(),
            range_patterns: Vec::new(),
            ranges_changed: false,
        }
    }

    /// Makes room for accounts up to this many; the new ones claim nothing.
    pub(super) fn extend_accounts(&mut self, accounts: usize) {
        while self.accounts.len() < accounts {
            self.accounts.push(Account::new(RangeUse::default()));
        }
        self.ready_accounts.reserve(accounts);
    }

    /// Goes by these accounts from now on; there may be more than before, never less.
    pub(super) fn reconfigure(&mut self, range_uses: impl Iterator<Item = RangeUse>) {
        for (index, range_use) in range_uses.enumerate() {
            match self.accounts.get_mut(index) {
                Some(account) => account.range_use = range_use,
                None => self.accounts.push(Account::new(range_use)),
            }
        }
        self.ready_accounts.reserve(self.accounts.len());
        let ranges = self.entries.iter().filter(|(_, session)| self.claims(session)).count();
        self.ranges = u32::try_from(ranges).unwrap_or(u32::MAX);
        self.ranges_changed = true;
    }

    /// The entry of a session, if it is bound.
    #[inline]
    pub(super) fn find(&self, handle: SessionHandle) -> Option<u32> {
        let entry = *self.workers.get(usize::from(handle.worker))?.by_slot.get(handle.slot as usize)?;
        (self.entries.get(entry)?.handle == handle).then_some(entry)
    }

    /// The entry of whatever tenancy the handle's place has at present.
    pub(super) fn tenant(&self, handle: SessionHandle) -> Option<SessionHandle> {
        let entry = *self.workers.get(usize::from(handle.worker))?.by_slot.get(handle.slot as usize)?;
        self.entries.get(entry).map(|session| session.handle)
    }

    /// Enters a session, whose place must be vacant. One of an unknown account, or with a handle beyond all bounds, is
    /// left out. `false`: its address_range can't be used.
    pub(super) fn insert(&mut self, bound: &Bound<'_>) -> bool {
        let handle = bound.session;
        let known = bound.account.index() < self.accounts.len();
        if !known || usize::from(handle.worker) >= THREADS_MAX || handle.slot >= SESSIONS_MAX {
            return true;
        }
        let range = AddressRange::parse(bound.address_range);
        let good_range = range.is_some();
        let session = Session {
            handle,
            account: bound.account,
            version: bound.version,
            receives: bound.receives,
            credit: if bound.receives { bound.deliver_credit } else { 0 },
            in_flight: List::EMPTY,
            queue: Lanes::EMPTY,
            is_lost: false,
            is_paused: false,
            is_ready: false,
            is_available: false,
            range: range.unwrap_or(AddressRange::None),
        };
        let claims = self.claims(&session);
        let has_range = !matches!(session.range, AddressRange::None);
        let Some(entry) = self.entries.insert(session) else { return good_range };
        let (worker, slot) = (usize::from(handle.worker), handle.slot as usize);
        if self.workers.len() <= worker {
            self.workers.resize_with(worker + 1, Worker::default);
        }
        let by_slot = &mut self.workers[worker].by_slot;
        if by_slot.len() <= slot {
            by_slot.resize(slot + 1, NONE);
        }
        by_slot[slot] = entry;
        self.ready.reserve(self.entries.len() as usize);
        self.ranges += u32::from(claims);
        self.ranges_changed |= claims;
        if bound.receives {
            let account = &mut self.accounts[bound.account.index()];
            account.receiving += 1;
            account.ranges += u32::from(has_range);
            account.available.reserve(account.receiving as usize);
            self.credit_returned(entry);
        }
        good_range
    }

    /// Takes a session out of all tables. Its lists are the caller's to place elsewhere.
    pub(super) fn remove(&mut self, entry: u32) -> Option<Session> {
        let session = self.entries.remove(entry)?;
        let handle = session.handle;
        let worker = self.workers.get_mut(usize::from(handle.worker));
        if let Some(place) = worker.and_then(|worker| worker.by_slot.get_mut(handle.slot as usize)) {
            *place = NONE;
        }
        if session.is_ready {
            self.ready.retain(|&other| other != entry);
        }
        let claims = self.claims(&session);
        self.ranges -= u32::from(claims);
        self.ranges_changed |= claims;
        if session.receives {
            let account = &mut self.accounts[session.account.index()];
            account.receiving -= 1;
            account.ranges -= u32::from(!matches!(session.range, AddressRange::None));
            if session.is_available {
                account.available.retain(|&other| other != entry);
            }
        }
        Some(session)
    }

    fn claims(&self, session: &Session) -> bool {
        session.receives
            && !matches!(session.range, AddressRange::None)
            && self.accounts.get(session.account.index()).is_some_and(|a| a.range_use.claims)
    }

    /// Notes that a session has credit: what waits for it or for its account can go on.
    #[inline]
    pub(super) fn credit_returned(&mut self, entry: u32) {
        let Some(session) = self.entries.get_mut(entry) else { return };
        if session.credit == 0 || session.is_paused {
            return;
        }
        if !session.queue.is_empty() && !session.is_ready {
            session.is_ready = true;
            self.ready.push_back(entry);
        }
        let account = &mut self.accounts[session.account.index()];
        if !session.is_available {
            session.is_available = true;
            account.available.push_back(entry);
        }
        if !account.queue.is_empty() && !account.is_ready {
            account.is_ready = true;
            self.ready_accounts.push_back(session.account);
        }
    }

    /// Hands a session nothing more until it is resumed. Its credit stays as it is.
    pub(super) fn pause(&mut self, entry: u32) {
        if let Some(session) = self.entries.get_mut(entry) {
            session.is_paused = true;
        }
    }

    /// A session takes deliveries again.
    pub(super) fn resume(&mut self, entry: u32) {
        if let Some(session) = self.entries.get_mut(entry) {
            session.is_paused = false;
        }
        self.credit_returned(entry);
    }

    /// Notes that something was put into an account's queue.
    pub(super) fn account_queued(&mut self, account: AccountId) {
        let Some(entry) = self.accounts.get_mut(account.index()) else { return };
        if !entry.is_ready && !entry.available.is_empty() {
            entry.is_ready = true;
            self.ready_accounts.push_back(account);
        }
    }

    /// A session of the account that can take a delivery now, each in turn. The caller hands it one or none.
    #[inline]
    pub(super) fn next_available(&mut self, account: AccountId) -> Option<u32> {
        let account = self.accounts.get_mut(account.index())?;
        for _ in 0..account.available.len() {
            let entry = account.available.pop_front()?;
            let Some(session) = self.entries.get_mut(entry) else { continue };
            if session.credit == 0 || session.is_paused {
                session.is_available = false;
                continue;
            }
            account.available.push_back(entry);
            if !self.any_blocked || !self.workers[usize::from(session.handle.worker)].is_blocked {
                return Some(entry);
            }
        }
        None
    }

    /// Whether the account's sessions are chosen by their address_ranges: [`Sessions::next_in_range`].
    #[inline]
    pub(super) fn chooses_by_range(&self, account: AccountId) -> bool {
        self.accounts
            .get(account.index())
            .is_some_and(|account| account.ranges > 0 && account.range_use.chooses)
    }

    /// As [`Sessions::next_available`]: of those whose address_range has the address if one of them can take it, else of those
    /// without a range, else of all.
    #[cold]
    pub(super) fn next_in_range(&mut self, account: AccountId, address: &[u8]) -> Option<u32> {
        let Self { accounts, entries, workers, any_blocked, .. } = self;
        let account = accounts.get_mut(account.index())?;
        account.available.retain(|&entry| {
            let Some(session) = entries.get_mut(entry) else { return false };
            session.is_available = session.has_room();
            session.is_available
        });
        let rank = |entry: u32| {
            let session = entries.get(entry)?;
            if *any_blocked && workers[usize::from(session.handle.worker)].is_blocked {
                return None;
            }
            Some(match &session.range {
                AddressRange::None => 1,
                range if range.contains(address) => 0,
                _ => 2,
            })
        };
        let ranked = account.available.iter().enumerate();
        let (at, _) =
            ranked.filter_map(|(at, &entry)| Some((at, rank(entry)?))).min_by_key(|&(_, rank)| rank)?;
        let entry = account.available.remove(at)?;
        account.available.push_back(entry);
        Some(entry)
    }

    /// A session of the account that speaks this version or a later one and can take a delivery now.
    pub(super) fn receiving(&self, account: AccountId, version: InterfaceVersion) -> Option<SessionHandle> {
        let fits = |session: &Session| {
            session.account == account && session.version >= version && self.can_take(session)
        };
        self.entries.iter().map(|(_, session)| session).find(|session| fits(session)).map(|it| it.handle)
    }

    /// Whether any session of the account receives.
    pub(super) fn any_receives(&self, account: AccountId) -> bool {
        self.accounts.get(account.index()).is_some_and(|account| account.receiving > 0)
    }

    /// Whether anything waits for the account while none of its sessions receives.
    pub(super) fn waits_for_receiver(&self, account: AccountId) -> bool {
        self.accounts.get(account.index()).is_some_and(|it| it.receiving == 0 && !it.queue.is_empty())
    }

    /// Whether the account has a session with credit, be its lane full or not.
    pub(super) fn has_available(&self, account: AccountId) -> bool {
        self.accounts.get(account.index()).is_some_and(|account| !account.available.is_empty())
    }

    /// Whether this session can be handed a delivery now.
    #[inline]
    pub(super) fn can_take(&self, session: &Session) -> bool {
        session.has_room()
            && (!self.any_blocked || !self.workers[usize::from(session.handle.worker)].is_blocked)
    }

    /// Notes that the lane towards a worker is full: nothing more goes there this turn.
    pub(super) fn block(&mut self, worker: u16) {
        if let Some(worker) = self.workers.get_mut(usize::from(worker)) {
            worker.is_blocked = true;
            self.any_blocked = true;
        }
    }

    /// A new turn: every lane may have room again.
    pub(super) fn unblock_all(&mut self) {
        if self.any_blocked {
            self.any_blocked = false;
            for worker in &mut self.workers {
                worker.is_blocked = false;
            }
        }
    }

    /// The account whose bound session claims this address by its address_range: literal ranges first, the longest
    /// winning, then patterns.
    pub(super) fn claimant(&mut self, address: &[u8]) -> Option<AccountId> {
        if self.ranges == 0 {
            return None;
        }
        if self.ranges_changed {
            self.rebuild_ranges();
        }
        if let Some(&account) = self.range_prefixes.find(address) {
            return Some(account);
        }
        let pattern = |&&entry: &&u32| self.entries.get(entry).is_some_and(|s| s.range.contains(address));
        let entry = self.range_patterns.iter().find(pattern)?;
        self.entries.get(*entry).map(|session| session.account)
    }

    fn rebuild_ranges(&mut self) {
        self.ranges_changed = false;
        self.range_prefixes = PrefixMap::new();
        self.range_patterns.clear();
        for (entry, session) in self.entries.iter() {
            if !self.claims(session) {
                continue;
            }
            match &session.range {
                AddressRange::None => {}
                // The first to have claimed a prefix keeps it.
                AddressRange::Prefix(prefix) => {
                    self.range_prefixes.insert_prefix(prefix, session.account);
                }
                AddressRange::Pattern(_) => self.range_patterns.push(entry),
            }
        }
    }

    /// The list behind a queue; `None` for one that is no more.
    #[inline]
    pub(super) fn queue_mut(&mut self, queue: Queue) -> Option<&mut Lanes> {
        match queue {
            Queue::Account(account) => {
                self.accounts.get_mut(account.index()).map(|account| &mut account.queue)
            }
            Queue::Session(entry) => self.entries.get_mut(entry).map(|session| &mut session.queue),
        }
    }

    /// Takes a message out of the queue it stands in.
    pub(super) fn leave_queue(&mut self, messages: &mut Messages, queue: Queue, slot: u32) {
        if let Some(lanes) = self.queue_mut(queue) {
            lanes.remove(messages, slot);
        }
    }

    /// Whether anything can be handed out, given that lanes have room.
    pub(super) fn any_ready(&self) -> bool {
        !self.ready.is_empty() || !self.ready_accounts.is_empty()
    }
}
