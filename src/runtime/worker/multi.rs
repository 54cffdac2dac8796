//! submit_multi at the worker: the request is spread over the shards of its destinations, one batch for each, and their
//! answers are collected here until all are in. What is under way is held in a bounded pool whose memory is used again
//! and again.

use super::super::accounts::Account;
use super::super::thread::ThreadStats;
use super::super::values::ToShard;
use super::Worker;
use super::ports::SessionPort;
use crate::base::{MessageId, MessageIdSource, SubmitOperation};
use crate::limits::{LANE_BLOCK_BYTES, MULTI_DESTINATIONS_MAX, MULTI_OPEN_MAX, MULTI_TURN_DESTINATIONS_MAX};
use crate::routing::{MultiBatch, shard_of};
use crate::session::{Disposition, MultiRequest, Origin, StallReason};
use crate::smpp::pdu::push_unsuccess_sme;
use crate::smpp::{CommandStatus, DestAddress, InterfaceVersion, SubmitMulti, UnsuccessSme, UnsuccessSmes};
use crate::stats::{AccountCounter, Counter};

/// A destination of a request: TON, NPI and where its address ends in the octets of all.
#[derive(Clone, Copy, Debug)]
struct Destination {
    ton: u8,
    npi: u8,
    end: u32,
}

/// A request that has not been answered by all of its shards.
#[derive(Debug)]
struct Open {
    generation: u16,
    origin: Origin,
    account: crate::base::AccountId,
    version: InterfaceVersion,
    message_id: MessageId,
    /// Destinations that are not decided.
    undecided: u16,
    /// Destinations that were charged to the account.
    charged: u16,
    accepted: u16,
    destinations: Vec<Destination>,
    addresses: Vec<u8>,
    refused: Vec<(u16, CommandStatus)>,
}

impl Open {
    fn push(&mut self, ton: u8, npi: u8, address: &[u8]) {
        self.addresses.extend_from_slice(address);
        self.destinations.push(Destination { ton, npi, end: self.addresses.len() as u32 });
    }

    fn get(&self, index: usize) -> Option<(u8, u8, &[u8])> {
        let &Destination { ton, npi, end } = self.destinations.get(index)?;
        let start =
            index.checked_sub(1).and_then(|before| self.destinations.get(before)).map_or(0, |d| d.end);
        Some((ton, npi, self.addresses.get(start as usize..end as usize)?))
    }

    fn refuse(&mut self, index: usize, status: CommandStatus) {
        self.refused.push((index as u16, status));
    }
}

/// Every submit_multi under way at one worker.
#[derive(Debug)]
pub(super) struct OpenMultis {
    ids: MessageIdSource,
    open: Vec<Open>,
    free: Vec<u16>,
    /// Those that all shards have answered.
    decided: Vec<u16>,
    /// Destinations taken in this turn.
    taken: usize,
    /// By shard.
    batches: Vec<MultiBatch>,
    unsuccess: Vec<u8>,
}

impl OpenMultis {
    pub(super) fn new(ids: MessageIdSource, shards: usize) -> Self {
        Self {
            ids,
            open: Vec::new(),
            free: Vec::new(),
            decided: Vec::new(),
            taken: 0,
            batches: (0..shards).map(|_| MultiBatch::default()).collect(),
            unsuccess: Vec::new(),
        }
    }

    /// The sessions have their next go. A shard handles a bounded number of messages in a turn; if more came in, they
    /// would pile up.
    pub(super) const fn begin_turn(&mut self) {
        self.taken = 0;
    }

    /// A place for a request. `None`: as many as may be are under way.
    fn begin(&mut self, multi: &MultiRequest<'_>) -> Option<u16> {
        let has_tlvs = multi.version.has_tlvs();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.open.len() < MULTI_OPEN_MAX => {
                self.open.push(Open {
                    generation: 0,
                    origin: multi.origin,
                    account: multi.account,
                    version: multi.version,
                    message_id: MessageId::from_u64(0),
                    undecided: 0,
                    charged: 0,
                    accepted: 0,
                    destinations: Vec::new(),
                    addresses: Vec::new(),
                    refused: Vec::new(),
                });
                (self.open.len() - 1) as u16
            }
            None => return None,
        };
        let message_id = if has_tlvs { self.ids.next_long() } else { self.ids.next_short() };
        let open = self.open.get_mut(usize::from(slot))?;
        open.generation = open.generation.wrapping_add(1);
        (open.origin, open.account, open.version) = (multi.origin, multi.account, multi.version);
        (open.message_id, open.undecided, open.charged, open.accepted) = (message_id, 0, 0, 0);
        open.destinations.clear();
        open.addresses.clear();
        open.refused.clear();
        Some(slot)
    }

    /// What shards call the request in `slot`.
    fn name(&self, slot: u16) -> u32 {
        let generation = self.open.get(usize::from(slot)).map_or(0, |open| open.generation);
        u32::from(slot) << 16 | u32::from(generation)
    }

    fn named(&mut self, name: u32) -> Option<(u16, &mut Open)> {
        let (slot, generation) = ((name >> 16) as u16, name as u16);
        let open = self.open.get_mut(usize::from(slot))?;
        (open.generation == generation && open.undecided > 0).then_some((slot, open))
    }

    /// So many destinations of a request have been accepted.
    pub(super) fn accepted(&mut self, name: u32, count: u16) {
        let Some((slot, open)) = self.named(name) else { return };
        open.accepted += count;
        open.undecided = open.undecided.saturating_sub(count);
        if count > 0 && open.undecided == 0 {
            self.decided.push(slot);
        }
    }

    /// A destination of a request has been refused.
    pub(super) fn refused(&mut self, name: u32, index: u16, status: CommandStatus) {
        let Some((slot, open)) = self.named(name) else { return };
        open.refused.push((index, status));
        open.undecided -= 1;
        if open.undecided == 0 {
            self.decided.push(slot);
        }
    }

    /// Writes the batches of the request in `slot`, of its first `allowed` destinations; the others are refused with
    /// `beyond`.
    fn write_batches(&mut self, slot: u16, sm: &SubmitMulti<'_>, allowed: usize, beyond: CommandStatus) {
        for batch in &mut self.batches {
            batch.clear(LANE_BLOCK_BYTES);
        }
        let shards = self.batches.len() as u16;
        let Some(open) = self.open.get_mut(usize::from(slot)) else { return };
        open.undecided = 0;
        let mut spent = 0;
        // What is refused already is in the order of the destinations; what is refused here is added behind it.
        let (mut next, known) = (0, open.refused.len());
        for index in 0..open.destinations.len() {
            if next < known && open.refused.get(next).is_some_and(|refused| usize::from(refused.0) == index) {
                next += 1;
            } else if spent == allowed {
                open.refuse(index, beyond);
            } else {
                let Some((ton, npi, address)) = open.get(index) else { break };
                let Some(batch) = self.batches.get_mut(usize::from(shard_of(address, shards))) else { break };
                batch.push(sm, index as u16, ton, npi, address);
                spent += 1;
            }
        }
        (open.undecided, open.charged) = (spent as u16, spent as u16);
    }

    fn release(&mut self, slot: u16) {
        self.free.push(slot);
    }
}

impl SessionPort<'_> {
    /// Spreads a submit_multi over its shards.
    pub(super) fn spread(&mut self, multi: &MultiRequest<'_>) -> Disposition {
        if self.multis.taken >= MULTI_TURN_DESTINATIONS_MAX {
            return Disposition::Stall(StallReason::Turn);
        }
        let Some(slot) = self.multis.begin(multi) else {
            self.output.stats.counters.add(Counter::LaneStalls, 1);
            return Disposition::Stall(StallReason::Lane);
        };
        match self.try_spread(slot, multi) {
            Disposition::InFlight => Disposition::InFlight,
            other => {
                self.multis.release(slot);
                other
            }
        }
    }

    fn try_spread(&mut self, slot: u16, multi: &MultiRequest<'_>) -> Disposition {
        let account = self.accounts.get(multi.account);
        let Some(open) = self.multis.open.get_mut(usize::from(slot)) else {
            return Disposition::Answered(Err(CommandStatus::ESME_RSYSERR));
        };
        let policy = account.and_then(|account| account.policy());
        if let Some(policy) = policy
            && let Err(status) = policy
                .check_source(multi.sm.source_addr_ton, multi.sm.source_addr)
                .and_then(|()| policy.check_size(multi.sm.user_data().len()))
        {
            return Disposition::Answered(Err(status));
        }
        let judge = |address: &[u8]| match policy {
            _ if address.is_empty() => Err(CommandStatus::ESME_RINVDSTADR),
            Some(policy) => policy.check_destination(address),
            None => Ok(()),
        };
        for destination in multi.sm.dest_address {
            match destination {
                DestAddress::Sme { dest_addr_ton, dest_addr_npi, destination_addr } => {
                    open.push(dest_addr_ton, dest_addr_npi, destination_addr);
                    if let Err(status) = judge(destination_addr) {
                        open.refuse(open.destinations.len() - 1, status);
                    }
                }
                DestAddress::DistributionList { dl_name } => {
                    match account.map(|account| account.distribution_list(dl_name)) {
                        Some(Ok(members)) => {
                            for (ton, npi, address) in members {
                                open.push(*ton, *npi, address);
                                if let Err(status) = judge(address) {
                                    open.refuse(open.destinations.len() - 1, status);
                                }
                            }
                        }
                        Some(Err(status)) => {
                            open.push(0, 0, dl_name);
                            open.refuse(open.destinations.len() - 1, status);
                        }
                        None => return Disposition::Answered(Err(CommandStatus::ESME_RSYSERR)),
                    }
                }
            }
            if open.destinations.len() > MULTI_DESTINATIONS_MAX {
                return Disposition::Answered(Err(CommandStatus::ESME_RINVNUMDESTS));
            }
        }
        self.multis.write_batches(slot, multi.sm, usize::MAX, CommandStatus::ESME_RTHROTTLED);
        for shard in 0..self.multis.batches.len() {
            let len = self.multis.batches.get(shard).map_or(0, |batch| batch.as_bytes().len());
            if len > 0
                && let Some(lane) = self.links.lane(shard as u16)
                && !lane.has_room(len)
            {
                self.output.stats.counters.add(Counter::LaneStalls, 1);
                return Disposition::Stall(StallReason::Lane);
            }
        }
        let asked = self.multis.open.get(usize::from(slot)).map_or(0, |open| open.undecided);
        if let Some(account) = account.filter(|account| account.is_limited()) {
            // Each destination is a message. Nothing stalls behind the charge, so none is charged twice.
            let charge_one = if multi.may_wait {
                if account.charge_rate(u64::from(asked), self.now.mono).is_err() {
                    return Disposition::OverRate { until: account.rate_allows_at(asked, self.now.mono) };
                }
                Account::charge_quota
            } else {
                Account::charge_one
            };
            let charged = (0..asked).map(|_| charge_one(account, self.now)).enumerate();
            if let Some((allowed, Err(beyond))) = charged.into_iter().find(|(_, result)| result.is_err()) {
                self.multis.write_batches(slot, multi.sm, allowed, beyond);
            }
        }
        self.dispatch(slot, multi);
        Disposition::InFlight
    }

    /// Hands the batches over; nothing can be refused any more.
    fn dispatch(&mut self, slot: u16, multi: &MultiRequest<'_>) {
        let name = self.multis.name(slot);
        let Some(open) = self.multis.open.get(usize::from(slot)) else { return };
        let message_id = open.message_id;
        self.multis.taken += open.destinations.len();
        let destinations = open.destinations.len() as u64;
        if open.undecided == 0 {
            self.multis.decided.push(slot);
        }
        self.output.stats.counters.add_account(multi.account, AccountCounter::Submitted, destinations);
        let origin =
            Origin { sequence_number: name, operation: SubmitOperation::SubmitMulti, ..multi.origin };
        let mut names_first = true;
        let batches = std::mem::take(&mut self.multis.batches);
        for (shard, batch) in (0u16..).zip(&batches).filter(|(_, batch)| !batch.is_empty()) {
            let octets = batch.as_bytes();
            let names_first = std::mem::take(&mut names_first);
            let message = ToShard::SubmitMulti {
                origin,
                account: multi.account,
                version: multi.version,
                message_id,
                names_first,
            };
            match (self.links.lane(shard), &mut self.shard) {
                (Some(lane), _) => {
                    let pushed =
                        lane.push_request(message, octets.len(), |out| out.extend_from_slice(octets));
                    debug_assert!(pushed, "the lane had room");
                }
                (None, Some(host)) => {
                    let multis = &mut *self.multis;
                    let stats = &mut *self.output.stats;
                    let held = host.submit_multi(&message, octets, self.now, stats, |index, status| {
                        multis.refused(name, index, status);
                    });
                    multis.accepted(name, held);
                }
                (None, None) => debug_assert!(false, "a shard that is nowhere"),
            }
        }
        self.multis.batches = batches;
    }
}

impl Worker {
    /// Answers every submit_multi that all of its shards have decided.
    pub(super) fn answer_multis(&mut self, stats: &mut ThreadStats) {
        while let Some(slot) = self.multis.decided.pop() {
            let Some(open) = self.multis.open.get(usize::from(slot)) else { continue };
            let (origin, account) = (open.origin, open.account);
            if let Some(account) = self.accounts.get(account) {
                account.refused(u64::from(open.charged - open.accepted));
            }
            let mut unsuccess = std::mem::take(&mut self.multis.unsuccess);
            unsuccess.clear();
            let mut listed = 0u8;
            let mut throttled = 0;
            for &(index, status) in &open.refused {
                throttled += u64::from(matches!(
                    status,
                    CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL
                ));
                // The count is one octet: of more than 255, from lists, the first are named.
                let Some((dest_addr_ton, dest_addr_npi, destination_addr)) =
                    open.get(usize::from(index)).filter(|_| listed < u8::MAX)
                else {
                    continue;
                };
                listed += 1;
                let error_status_code = status.for_version(open.version);
                let sme = UnsuccessSme { dest_addr_ton, dest_addr_npi, destination_addr, error_status_code };
                push_unsuccess_sme(&mut unsuccess, &sme);
            }
            let refused = open.refused.len() as u64;
            let result = if open.accepted > 0 {
                UnsuccessSmes::decode(listed, &unsuccess)
                    .map(|list| (open.message_id, list))
                    .map_err(|error| error.status)
            } else {
                // None was taken: the reason that all share, if they do.
                let first = open.refused.first().map_or(CommandStatus::ESME_RSUBMITFAIL, |refused| refused.1);
                let shared = open.refused.iter().all(|refused| refused.1 == first);
                Err(if shared { first } else { CommandStatus::ESME_RSUBMITFAIL })
            };
            let accepted = u64::from(open.accepted);
            stats.counters.add_account(account, AccountCounter::Accepted, accepted);
            stats.counters.add_account(account, AccountCounter::Throttled, throttled);
            stats.counters.add_account(account, AccountCounter::Rejected, refused - throttled);
            let now = self.clock.time();
            let close = self.with_output(origin.session, origin.received_at, stats, |session, output| {
                session.multi_result(origin.sequence_number, &result, now, output)
            });
            self.multis.unsuccess = unsuccess;
            self.multis.release(slot);
            self.after_answer(origin.session, close.flatten());
        }
    }
}
