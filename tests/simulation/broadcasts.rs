//! What the simulated ESMEs do with broadcasts (5.0 sections 4.4 and 4.6): the requests as octets, and their answers.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::esme::{Connection, below};
use super::message::{Asked, Broadcast, When};
use super::model::Model;
use super::requests::{ESME_RINVEXPIRY, ESME_RINVSCHED, Pending, address, any_time, c_octets, time_text};
use super::support::esme as raw;

/// The areas that broadcasts name, with the share of its cells that send a round in per mille; the last the network has not.
pub(crate) const AREAS: [(&str, Option<u16>); 4] =
    [("all", Some(1_000)), ("none", Some(0)), ("half", Some(500)), ("atlantis", None)];
/// Where broadcasts come from. Accounts share them.
const SOURCES: [u32; 2] = [90, 91];

pub(crate) const ESME_RINVBCASTALIAS_NAME: u32 = 0x108;
const ESME_RBCASTFAIL: u32 = 0x10D;
const ESME_RBCASTQUERYFAIL: u32 = 0x10E;
const ESME_RBCASTCANCELFAIL: u32 = 0x10F;
const CONTENT_TYPE: u16 = 0x0601;
const REP_NUM: u16 = 0x0604;
const FREQUENCY_INTERVAL: u16 = 0x0605;
const AREA_IDENTIFIER: u16 = 0x0606;
const ERROR_STATUS: u16 = 0x0607;
const AREA_SUCCESS: u16 = 0x0608;
const END_TIME: u16 = 0x0609;
/// priority_flag of one that is not repeated.
const IMMEDIATE: u8 = 1;

/// How a request names a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Id(String),
    Reference(u16),
}

/// What query_broadcast_sm_resp says.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) state: u8,
    /// Each area with its success in percent; 255: nothing is known.
    pub(crate) areas: Vec<(String, u8)>,
    pub(crate) has_ended: bool,
    pub(crate) reference: Option<u16>,
}

fn tlv(body: &mut Vec<u8>, tag: u16, value: &[u8]) {
    body.extend(tag.to_be_bytes());
    body.extend((value.len() as u16).to_be_bytes());
    body.extend(value);
}

fn name_of(identifier: &[u8]) -> String {
    let (format, name) = identifier.split_first().expect("a format");
    assert_eq!(*format, 0, "an area by its name");
    String::from_utf8(name.to_vec()).expect("ASCII")
}

impl Connection {
    /// Begins a broadcast, or asks about one.
    pub(crate) fn broadcast(&mut self, account: usize, model: &mut Model, rng: &mut Xoshiro256PlusPlus) {
        let about = if below(rng, 8) == 0 { 1 - account } else { account };
        let known = if below(rng, 3) == 0 { None } else { model.recent_broadcast(about, rng) };
        let Some((number, named)) = known else { return self.begin(account, None, model, rng) };
        let mut body = Vec::new();
        let source = model.message(number).asked.source;
        let id = if let Named::Id(id) = &named { id.clone() } else { String::new() };
        match below(rng, 5) {
            0 if about == account => self.begin(account, Some((number, named)), model, rng),
            1 | 2 => {
                c_octets(&mut body, &id);
                address(&mut body, &source.to_string());
                if let Named::Reference(reference) = named {
                    tlv(&mut body, raw::USER_MESSAGE_REFERENCE, &reference.to_be_bytes());
                }
                let pending = Pending::QueryBroadcast(model.asks(account, number), named);
                self.request(raw::QUERY_BROADCAST_SM, &body, pending);
            }
            3 if below(rng, 3) == 0 => {
                model.cancels_broadcasts(account, source);
                body.extend([0, 0]);
                address(&mut body, &source.to_string());
                self.request(raw::CANCEL_BROADCAST_SM, &body, Pending::CancelBroadcasts);
            }
            _ => {
                let Named::Id(id) = named else { return };
                body.push(0);
                c_octets(&mut body, &id);
                address(&mut body, &source.to_string());
                let pending = Pending::CancelBroadcast(model.cancels(account, number));
                self.request(raw::CANCEL_BROADCAST_SM, &body, pending);
            }
        }
    }

    /// Sends a broadcast_sm, of its own or in the place of another one.
    fn begin(
        &mut self,
        account: usize,
        replaced: Option<(u32, Named)>,
        model: &mut Model,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let source = match &replaced {
            Some((number, _)) => model.message(*number).asked.source,
            None => SOURCES[below(rng, 2) as usize],
        };
        let reference = match &replaced {
            Some((_, Named::Id(_))) => None,
            Some((_, Named::Reference(reference))) => Some(*reference),
            None => Some(model.next_number() as u16),
        };
        let priority = [0, 0, IMMEDIATE, 4][below(rng, 4) as usize];
        let rounds = below(rng, 4) as u16;
        let seconds = [0, 1, 5, 20][below(rng, 4) as usize];
        let broadcast = Broadcast {
            areas: 1 + below(rng, 15) as u8,
            rounds: if priority == IMMEDIATE { 1 } else { rounds },
            // No cell sends faster.
            interval_ms: (u64::from(seconds) * 1_000).max(1_890),
            reference,
        };
        let asked = Asked {
            account,
            source,
            version: self.version,
            connection: self.number,
            registered_delivery: u8::from(model.receipts_of_broadcasts(account)),
            schedule: any_time(20, model.wall_ms, rng),
            validity: match any_time(40, model.wall_ms, rng) {
                When::Unsaid if broadcast.rounds == 0 => When::In { seconds: 30 },
                validity => validity,
            },
            broadcast: Some(broadcast),
            ..Asked::default()
        };
        let number = model.submits(asked, &[""]);
        let mut body = vec![0];
        address(&mut body, &source.to_string());
        c_octets(&mut body, if let Some((_, Named::Id(id))) = &replaced { id } else { "" });
        body.push(priority);
        c_octets(&mut body, &time_text(asked.schedule));
        c_octets(&mut body, &time_text(asked.validity));
        body.extend([u8::from(replaced.is_some()), 0, 0]);
        for area in broadcast.names() {
            tlv(&mut body, AREA_IDENTIFIER, &[b"\0", area.as_bytes()].concat());
        }
        tlv(&mut body, CONTENT_TYPE, &[0, 0, 0x30]);
        tlv(&mut body, REP_NUM, &rounds.to_be_bytes());
        let interval = if seconds == 0 { [0, 0, 0] } else { [0x08, 0, seconds] };
        tlv(&mut body, FREQUENCY_INTERVAL, &interval);
        tlv(&mut body, raw::MESSAGE_PAYLOAD, format!("m{number:06}").as_bytes());
        if let Some(reference) = reference {
            tlv(&mut body, raw::USER_MESSAGE_REFERENCE, &reference.to_be_bytes());
        }
        if let Some((before, _)) = &replaced {
            model.sends_in_place(number, *before);
        }
        let not_found = replaced.as_ref().map(|(_, named)| match named {
            Named::Id(_) => raw::ESME_RINVMSGID,
            Named::Reference(_) => ESME_RBCASTFAIL,
        });
        self.request(raw::BROADCAST_SM, &body, Pending::Broadcast { number, not_found });
    }

    /// An answer to one of these.
    pub(crate) fn broadcast_answered(&self, pdu: &raw::Pdu, pending: Pending, model: &mut Model) {
        let mut fields = raw::Fields(&pdu.body);
        match pending {
            Pending::Broadcast { number, not_found } => {
                assert_eq!(pdu.id, raw::BROADCAST_SM | raw::RESP);
                if pdu.status != raw::ESME_ROK {
                    if Some(pdu.status) == not_found {
                        model.not_replaced(number);
                    } else {
                        let statuses =
                            [raw::ESME_RMSGQFUL, ESME_RINVSCHED, ESME_RINVEXPIRY, ESME_RINVBCASTALIAS_NAME];
                        assert!(statuses.contains(&pdu.status), "{pdu:?}");
                    }
                    return model.answered(number, pdu.status, "");
                }
                let id = fields.text();
                let tlvs = fields.tlvs();
                let of = |wanted| tlvs.iter().filter(move |(tag, _)| *tag == wanted).map(|(_, value)| value);
                let failed: Vec<String> = of(AREA_IDENTIFIER).map(|value| name_of(value)).collect();
                let expected = model.message(number).asked.broadcast.expect("a broadcast").unknown();
                assert_eq!(failed, expected, "{pdu:?}");
                let status = ESME_RINVBCASTALIAS_NAME.to_be_bytes();
                assert!(of(ERROR_STATUS).all(|value| *value == status), "{pdu:?}");
                model.answered(number, 0, &id);
            }
            Pending::QueryBroadcast(question, named) => {
                assert_eq!(pdu.id, raw::QUERY_BROADCAST_SM | raw::RESP);
                if pdu.status != raw::ESME_ROK {
                    let not_found = match named {
                        Named::Id(_) => raw::ESME_RINVMSGID,
                        Named::Reference(_) => ESME_RBCASTQUERYFAIL,
                    };
                    assert_eq!(pdu.status, not_found, "{pdu:?}");
                    return model.broadcast_queried(question, None);
                }
                model.broadcast_queried(question, Some(&shown(&mut fields)));
            }
            Pending::CancelBroadcast(question) => {
                assert_eq!(pdu.id, raw::CANCEL_BROADCAST_SM | raw::RESP);
                let statuses = [raw::ESME_ROK, ESME_RBCASTCANCELFAIL, raw::ESME_RINVMSGID];
                assert!(statuses.contains(&pdu.status), "{pdu:?}");
                model.cancelled(question, pdu.status, raw::ESME_RINVMSGID);
            }
            Pending::CancelBroadcasts => {
                assert_eq!(pdu.id, raw::CANCEL_BROADCAST_SM | raw::RESP);
                assert!([raw::ESME_ROK, ESME_RBCASTCANCELFAIL].contains(&pdu.status), "{pdu:?}");
            }
            other => panic!("no matter of broadcasts: {other:?}"),
        }
    }
}

fn shown(fields: &mut raw::Fields<'_>) -> Shown {
    let id = fields.text();
    let mut shown = Shown { id, state: u8::MAX, areas: Vec::new(), has_ended: false, reference: None };
    for (tag, value) in fields.tlvs() {
        match tag {
            raw::MESSAGE_STATE => shown.state = value[0],
            AREA_IDENTIFIER => shown.areas.push((name_of(&value), u8::MAX)),
            AREA_SUCCESS => shown.areas.last_mut().expect("an area before its success").1 = value[0],
            END_TIME => shown.has_ended = true,
            raw::USER_MESSAGE_REFERENCE => shown.reference = Some(u16::from_be_bytes([value[0], value[1]])),
            _ => {}
        }
    }
    shown
}
