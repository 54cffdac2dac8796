//! Taking in what a submit_multi has for this shard: each destination becomes a message of its own, with its own fate and
//! its own receipt.
//!
//! The request has one id, made by its worker. One message of it goes by that id itself, so that it is found; each other
//! has an id of its own, and the request's at the end of its body: its receipts name that, for it is all that the ESME
//! knows. What the destinations share comes once.

use super::accept::{Times, owner_of, times};
use super::attempt::Fresh;
use super::message::{Message, NAMES_MULTI, NETWORK, PART_OF_MULTI, Role, Stage};
use super::{Origin, Shard, ShardOutput};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, MessageId, Now};
use crate::smpp::{CommandStatus, InterfaceVersion, PduBody, SmFields, SubmitMulti, TlvTag, Tlvs, push_tlv};
use crate::store::MessageStore;

/// Names the id of the request at the end of a body. In the range that the specification reserves; it never leaves the
/// shard, and one that an ESME sends means nothing.
const REQUEST_ID: TlvTag = TlvTag(0xFFFF);
/// Octets of that TLV.
const REQUEST_ID_LEN: usize = 12;

/// What one shard gets of a submit_multi.
#[derive(Clone, Copy, Debug)]
pub struct Multi<'a> {
    /// Where it came from; `sequence_number` is the worker's name for the request.
    pub origin: Origin,
    /// Whose it is.
    pub account: AccountId,
    /// What the submitting bind speaks.
    pub version: InterfaceVersion,
    /// The id that the request is answered with.
    pub message_id: MessageId,
    /// Whether the first destination here goes by that id.
    pub names_first: bool,
    /// As [`MultiBatch`] has written it.
    pub batch: &'a [u8],
}

/// Writes the destinations of a submit_multi that belong to one shard, and before them what they share.
#[derive(Debug, Default)]
pub struct MultiBatch {
    octets: Vec<u8>,
}

impl MultiBatch {
    /// Whether it has no destination.
    pub const fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// What is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// Forgets what is written; memory above `keep` octets goes back.
    pub fn clear(&mut self, keep: usize) {
        self.octets.clear();
        self.octets.shrink_to(keep);
    }

    /// Adds a destination, the one that the request's answer knows as number `index`. At most 20 octets of address.
    pub fn push(&mut self, sm: &SubmitMulti<'_>, index: u16, ton: u8, npi: u8, destination_addr: &[u8]) {
        if self.octets.is_empty() {
            let shared = shared_of(sm);
            self.octets.extend_from_slice(&[0; 4]);
            shared.encode_body(&mut self.octets);
            let len = (self.octets.len() - 4) as u32;
            for (to, from) in self.octets.iter_mut().zip(len.to_be_bytes()) {
                *to = from;
            }
        }
        let [high, low] = index.to_be_bytes();
        self.octets.extend_from_slice(&[high, low, ton, npi, destination_addr.len() as u8]);
        self.octets.extend_from_slice(destination_addr);
    }
}

/// The submit_sm that every destination gets, without a destination.
const fn shared_of<'a>(sm: &SubmitMulti<'a>) -> SmFields<'a> {
    SmFields {
        service_type: sm.service_type,
        source_addr_ton: sm.source_addr_ton,
        source_addr_npi: sm.source_addr_npi,
        source_addr: sm.source_addr,
        dest_addr_ton: 0,
        dest_addr_npi: 0,
        destination_addr: b"",
        esm_class: sm.esm_class,
        protocol_id: sm.protocol_id,
        priority_flag: sm.priority_flag,
        schedule_delivery_time: sm.schedule_delivery_time,
        validity_period: sm.validity_period,
        registered_delivery: sm.registered_delivery,
        replace_if_present_flag: sm.replace_if_present_flag,
        data_coding: sm.data_coding,
        sm_default_msg_id: sm.sm_default_msg_id,
        short_message: sm.short_message,
        tlvs: sm.tlvs,
    }
}

/// One destination as it stands in a batch, and what follows it.
struct Destination<'a> {
    index: u16,
    ton_npi: [u8; 2],
    address: &'a [u8],
}

impl<'a> Destination<'a> {
    fn split_first(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[high, low, ton, npi, len], rest) = octets.split_first_chunk()?;
        let (address, rest) = rest.split_at_checked(usize::from(len))?;
        Some((Self { index: u16::from_be_bytes([high, low]), ton_npi: [ton, npi], address }, rest))
    }
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Takes in a submit_multi's destinations. How many are held now; for those that will be, [`super::ShardOutput`]'s
    /// `submit_result` tells of each; and `refused` is told of the others, by index.
    pub fn submit_multi(
        &mut self,
        multi: &Multi<'_>,
        now: Now,
        out: &mut impl ShardOutput,
        mut refused: impl FnMut(u16, CommandStatus),
    ) -> u16 {
        let split = multi
            .batch
            .split_first_chunk()
            .and_then(|(len, rest)| rest.split_at_checked(u32::from_be_bytes(*len) as usize));
        let Some((shared, mut rest)) = split else { return 0 };
        let prepared = SmFields::decode(shared).map_err(|error| error.status).and_then(|sm| {
            if !self.accounts.is_configured(multi.account) {
                return Err(CommandStatus::ESME_RSYSERR);
            }
            Ok((sm, times(&sm, self.accounts.get(multi.account), now)?))
        });
        let mut trailer = Vec::new();
        std::mem::swap(&mut trailer, &mut self.scratch.trailer);
        trailer.clear();
        push_tlv(&mut trailer, REQUEST_ID, &multi.message_id.as_u64().to_be_bytes());
        let mut body = std::mem::take(&mut self.scratch.body);
        let mut takes_id = multi.names_first;
        let mut held = 0;
        while let Some((destination, after)) = Destination::split_first(rest) {
            rest = after;
            let outcome = prepared.and_then(|(sm, times)| {
                let sm = SmFields {
                    dest_addr_ton: destination.ton_npi[0],
                    dest_addr_npi: destination.ton_npi[1],
                    destination_addr: destination.address,
                    ..sm
                };
                body.clear();
                sm.encode_body(&mut body);
                let id = std::mem::take(&mut takes_id).then_some(multi.message_id);
                if id.is_none() {
                    body.extend_from_slice(&trailer);
                }
                let part = self.take_part(multi, &sm, id, times, &body, now)?;
                Ok((part, times))
            });
            match outcome {
                Ok(((slot, true), times)) => {
                    self.state_acceptance(slot, now, out);
                    let network = self.messages.get(slot).filter(|message| message.target == NETWORK);
                    match (times.schedule, network.map(|message| message.subscriber)) {
                        (None, Some(subscriber)) => {
                            let fresh = Fresh { destination_addr: destination.address, subscriber };
                            self.attempt(slot, Some(fresh), now);
                        }
                        _ => self.open(slot, now),
                    }
                    held += 1;
                }
                Ok(((_, false), _)) => {}
                Err(status) => refused(destination.index, status),
            }
        }
        self.scratch.body = body;
        self.scratch.trailer = trailer;
        held
    }

    /// Takes one destination's message in. Its slot, and whether it is held now; else it will be.
    #[inline]
    fn take_part(
        &mut self,
        multi: &Multi<'_>,
        sm: &SmFields<'_>,
        id: Option<MessageId>,
        times: Times,
        body: &[u8],
        now: Now,
    ) -> Result<(u32, bool), CommandStatus> {
        const FULL: CommandStatus = CommandStatus::ESME_RMSGQFUL;
        if self.messages.is_full() {
            return Err(FULL);
        }
        let part = if id.is_some() { NAMES_MULTI } else { PART_OF_MULTI };
        let id = match id {
            // A short one comes round again, and may still name a pending message.
            Some(id) if id.is_short() && self.find(id).is_some() => return Err(FULL),
            Some(id) => id,
            None => self.new_id(multi.version).ok_or(FULL)?,
        };
        let target = owner_of(&self.owners, &mut self.sessions, sm.destination_addr).unwrap_or(NETWORK);
        let mut message = Message {
            stage: Stage::Held,
            milestone: times.schedule.unwrap_or(crate::base::Time::ZERO),
            expires: times.expires,
            submitter: multi.origin.session,
            sequence_number: multi.origin.sequence_number,
            target,
            version: multi.version.octet() | part,
            ..Message::blank(id, multi.account, Role::Mt, now)
        };
        message.set_fields(sm, self.names);
        let due = times.schedule.unwrap_or(now.mono);
        let (slot, is_durable) = self.enter(message, due, body, now).ok_or(FULL)?;
        if self.accounts.get(multi.account).parts_wait_ms > 0 {
            self.join_parts(slot, multi.account, sm, now);
        }
        Ok((slot, is_durable))
    }
}

/// The id by which the submitter knows a message, and the TLVs of its body that are the submitter's own.
pub(super) fn known_as<'a>(message: &Message, stored: &SmFields<'a>) -> (MessageId, Tlvs<'a>) {
    if !message.is_part_of_multi() {
        return (message.id, stored.tlvs);
    }
    let octets = stored.tlvs.as_bytes();
    let (own, trailer) = octets.split_at(octets.len().saturating_sub(REQUEST_ID_LEN));
    let id = trailer.last_chunk().map_or(message.id, |id| MessageId::from_u64(u64::from_be_bytes(*id)));
    (id, Tlvs::decode(own).unwrap_or_default())
}
