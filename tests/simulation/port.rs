//! What a simulated session asks of its worker: binds judged by the real accounts, requests put on the lanes to the shards.

use std::collections::VecDeque;
use std::sync::Arc;

use smscd::base::{AccountId, DeliveryToken, Now, SessionHandle};
use smscd::routing::{MultiBatch, shard_of};
use smscd::runtime::accounts::{Judgement, Settled};
use smscd::session::{
    Authentication, BindMode, BindRequest, DeliveryResult, Disposition, Fact, Grant, MultiRequest,
    OperationDisposition, OperationRequest, Origin, Output, Port, StallReason, SubmitRequest,
};
use smscd::smpp::{CommandStatus, DestAddress, InterfaceVersion, OperationAnswer, PduBody, SubmitSm};

use super::lane::Lane;
use super::message::Kind;
use super::model::Model;
use super::multi::OpenMultis;
use super::reload::{ACCOUNTS, InEffect, PASSWORD};
use super::shard::ToShard;
use super::worker::{Judging, OUT_BYTES_MAX, PEER};

/// What the answers to a full window and one round of deliveries may add to a full out-queue.
const OUT_BYTES_SLACK: usize = 2_500;

pub(crate) struct SimPort<'a> {
    pub(crate) number: u32,
    pub(crate) handle: SessionHandle,
    pub(crate) out: &'a mut VecDeque<u8>,
    pub(crate) to_shards: &'a mut [Lane<ToShard>],
    pub(crate) judging: &'a mut VecDeque<Judging>,
    pub(crate) multis: &'a mut OpenMultis,
    pub(crate) in_effect: &'a InEffect,
    pub(crate) now: Now,
    pub(crate) model: &'a mut Model,
}

impl SimPort<'_> {
    pub(crate) fn tell_all(&mut self, message: &ToShard) {
        for lane in &mut *self.to_shards {
            lane.push_reply(message.clone());
        }
    }

    fn account(system_id: &[u8]) -> usize {
        ACCOUNTS.iter().position(|name| name.as_bytes() == system_id).expect("one of ours")
    }

    /// Compares the verdict on a bind with what it has to be. `was_enabled`: its account, when the bind came.
    pub(crate) fn check_verdict(
        &mut self,
        system_id: &[u8],
        password: &[u8],
        was_enabled: bool,
        refused: Option<CommandStatus>,
    ) {
        let account = Self::account(system_id);
        let is_right = was_enabled && password == PASSWORD.as_bytes();
        let expected = self.in_effect.verdict(account, is_right, self.model.sessions[account]);
        assert_eq!(refused.unwrap_or(CommandStatus::ESME_ROK), expected, "a bind of {}", ACCOUNTS[account]);
        match refused {
            None => self.model.sessions[account] += 1,
            Some(_) => self.model.seen.binds_refused += 1,
        }
    }
}

/// What became of a bind. No account here has anything against duplicates.
pub(crate) fn verdict_of(settled: Settled) -> Result<Grant, CommandStatus> {
    match settled {
        Settled::Granted { grant, replaced } => {
            assert_eq!(replaced, [], "nobody loses a place");
            Ok(grant)
        }
        Settled::Refused(status) => Err(status),
        Settled::Ask(older) => panic!("{older:?} is asked for nothing"),
    }
}

impl Output for SimPort<'_> {
    fn send(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut pdu = Vec::new();
        write(&mut pdu);
        assert_eq!(pdu.len(), len, "a PDU has the length that was said");
        self.out.extend(pdu);
        assert!(self.out.len() <= OUT_BYTES_MAX + OUT_BYTES_SLACK, "promise 6: an out-queue has no bound");
    }

    fn fact(&mut self, _: Fact) {}
}

impl Port for SimPort<'_> {
    fn authenticate(&mut self, bind: &BindRequest<'_>) -> Authentication {
        let was_enabled = self.in_effect.config.accounts[Self::account(bind.system_id)].enabled;
        match self.in_effect.table.judge(bind, self.handle, PEER, self.now.mono) {
            Judgement::Now(_, settled) => {
                let verdict = verdict_of(settled);
                self.check_verdict(bind.system_id, bind.password, was_enabled, verdict.err());
                verdict.map_or_else(Authentication::Refused, Authentication::Accepted)
            }
            Judgement::Limited => panic!("binds are not limited here"),
            Judgement::Verify(attempt) => {
                let (session, password) = (self.handle, bind.password.to_vec());
                let table = Arc::clone(&self.in_effect.table);
                self.judging.push_back(Judging { session, table, attempt, password, was_enabled });
                Authentication::Pending
            }
        }
    }

    fn bound(&mut self, grant: &Grant, mode: BindMode, version: InterfaceVersion, _: &[u8]) {
        self.model.set_takes_deliveries(self.number, mode.receives());
        self.tell_all(&ToShard::Bound {
            session: self.handle,
            account: grant.account,
            version,
            receives: mode.receives(),
            credit: grant.deliver_window,
        });
    }

    fn submit(&mut self, submit: &SubmitRequest<'_>) -> Disposition {
        let shard = usize::from(shard_of(submit.sm.destination_addr, self.to_shards.len() as u16));
        if !self.to_shards[shard].has_room() {
            return Disposition::Stall(StallReason::Lane);
        }
        let charged =
            self.in_effect.table.get(submit.account).map(|account| account.charge(submit.sm, self.now));
        if let Some(Err(status)) = charged {
            return match status {
                CommandStatus::ESME_RTHROTTLED => Disposition::OverRate { until: self.now.mono },
                status => Disposition::Answered(Err(status)),
            };
        }
        let SubmitRequest { origin, account, version, body, .. } = *submit;
        let message = ToShard::Submit { origin, account, version, body: body.to_vec() };
        assert!(self.to_shards[shard].push_request(message));
        Disposition::InFlight
    }

    fn operate(&mut self, request: &OperationRequest<'_>) -> OperationDisposition {
        let shards = match request.operation.only_at() {
            Some(destination) => {
                let shard = usize::from(shard_of(destination, self.to_shards.len() as u16));
                shard..shard + 1
            }
            None => 0..self.to_shards.len(),
        };
        let lanes = &mut self.to_shards[shards];
        if !lanes.iter().all(Lane::has_room) {
            return OperationDisposition::Stall(StallReason::Lane);
        }
        let OperationRequest { session, ticket, account, version, command_id, body, .. } = *request;
        for lane in &mut *lanes {
            let body = body.to_vec();
            lane.push_request(ToShard::Operate { session, ticket, account, version, command_id, body });
        }
        OperationDisposition::Asked { awaited: lanes.len() as u16, answer: OperationAnswer::NotFound }
    }

    fn submit_fields(
        &mut self,
        origin: Origin,
        account: AccountId,
        version: InterfaceVersion,
        sm: &SubmitSm<'_>,
    ) -> Disposition {
        let mut body = Vec::new();
        sm.encode_body(&mut body);
        let sm = SubmitSm::decode(&body).expect("it was just encoded");
        self.submit(&SubmitRequest { origin, account, version, sm: &sm, body: &body })
    }

    fn submit_multi(&mut self, multi: &MultiRequest<'_>) -> Disposition {
        let shards = self.to_shards.len();
        let mut batches: Vec<(MultiBatch, Vec<(u16, u32)>)> =
            (0..shards).map(|_| Default::default()).collect();
        if !self.to_shards.iter().all(Lane::has_room) {
            return Disposition::Stall(StallReason::Lane);
        }
        let account = self.in_effect.table.get(multi.account).expect("a bound session's");
        let (mut destinations, mut refused) = (Vec::new(), Vec::new());
        let mut beyond = None;
        let mut members = Vec::new();
        for destination in multi.sm.dest_address {
            match destination {
                DestAddress::Sme { dest_addr_ton, dest_addr_npi, destination_addr } => {
                    members.push((dest_addr_ton, dest_addr_npi, destination_addr.to_vec()));
                }
                DestAddress::DistributionList { dl_name } => {
                    members.extend_from_slice(account.distribution_list(dl_name).expect("one that it has"));
                }
            }
        }
        for (index, (ton, npi, destination_addr)) in (0..).zip(&members) {
            destinations.push(destination_addr.clone());
            beyond = beyond.or_else(|| account.charge_one(self.now).err());
            if let Some(status) = beyond {
                refused.push((index, status));
                continue;
            }
            let (batch, parts) = &mut batches[usize::from(shard_of(destination_addr, shards as u16))];
            batch.push(multi.sm, index, *ton, *npi, destination_addr);
            let (number, _) = self.model.find(multi.sm.user_data(), Kind::Message, destination_addr);
            parts.push((index, number));
        }
        let ids = &mut self.multis.ids;
        let message_id = if multi.version.has_tlvs() { ids.next_long() } else { ids.next_short() };
        let request = self.multis.begin(multi.origin, message_id, destinations, refused);
        let origin = Origin { sequence_number: request, ..multi.origin };
        let mut names_first = true;
        for (lane, (batch, parts)) in self.to_shards.iter_mut().zip(batches) {
            if !batch.is_empty() {
                let names_first = std::mem::take(&mut names_first);
                let (account, version, batch) = (multi.account, multi.version, batch.as_bytes().to_vec());
                lane.push_request(ToShard::SubmitMulti {
                    origin,
                    account,
                    version,
                    message_id,
                    names_first,
                    batch,
                    parts,
                });
            }
        }
        Disposition::InFlight
    }

    fn delivery_result(&mut self, token: DeliveryToken, result: DeliveryResult) {
        self.to_shards[usize::from(token.shard)].push_reply(ToShard::DeliveryResult { token, result });
    }

    fn deliveries_off(&mut self) {
        self.model.set_takes_deliveries(self.number, false);
        self.tell_all(&ToShard::DeliveriesOff { session: self.handle });
    }
}
