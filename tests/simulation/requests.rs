//! What the simulated ESMEs ask for, as octets, and what they make of the answers.

use rand_xoshiro::Xoshiro256PlusPlus;
use time::OffsetDateTime;

use super::broadcasts::Named;
use super::esme::{Connection, Manner, below};
use super::message::{Asked, Kind, SOURCE, When};
use super::model::{Model, Question};
use super::reload::{ACCOUNTS, PASSWORD};
use super::support::esme as raw;

const UNKNOWN_COMMAND: u32 = 0x0000_00F0;

pub(crate) const ESME_RINVSCHED: u32 = 0x61;
pub(crate) const ESME_RINVEXPIRY: u32 = 0x62;
/// What a submission may be answered with.
const SUBMIT_STATUSES: [u32; 5] =
    [raw::ESME_ROK, raw::ESME_RMSGQFUL, raw::ESME_RTHROTTLED, ESME_RINVSCHED, ESME_RINVEXPIRY];

/// Subscribers, then addresses that alice or bob own in some configurations.
const DESTINATIONS: [&str; 9] =
    ["447700900001", "447700900002", "447700900003", "331", "332", "8001", "8002", "8101", "7001"];
/// The members of the one distribution list of every account.
pub(crate) const LIST: [&str; 3] = ["447700900002", "331", "8001"];
pub(crate) const LIST_NAME: &str = "staff";
const SET_DPF: u16 = 0x0421;
/// Where everything may be cancelled at once.
const CANCELLED_TO: &str = "447700900003";

/// What awaits its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Bind {
        is_right: bool,
    },
    /// submit_sm or data_sm, by the command_id of its answer.
    Submit {
        answer: u32,
        number: u32,
    },
    /// A submit_sm that was sent before.
    Repeat(u32),
    Multi {
        first: u32,
        parts: u32,
    },
    Query(Question),
    Cancel(Question),
    CancelAll,
    Replace(Question),
    /// With the status that says that there is nothing to replace, where it replaces.
    Broadcast {
        number: u32,
        not_found: Option<u32>,
    },
    QueryBroadcast(Question, Named),
    CancelBroadcast(Question),
    CancelBroadcasts,
    /// To be answered with this command_id and status.
    Known(u32, u32),
    /// A submit_sm that ends in the middle of a field.
    Malformed,
}

pub(crate) fn c_octets(body: &mut Vec<u8>, text: &str) {
    body.extend(text.as_bytes());
    body.push(0);
}

pub(crate) fn address(body: &mut Vec<u8>, text: &str) {
    body.extend([1, 1]);
    c_octets(body, text);
}

/// A time as its field says it (3.4 section 7.1.1), by a calendar written elsewhere.
pub(crate) fn time_text(when: When) -> String {
    match when {
        When::Unsaid => String::new(),
        When::In { seconds } => format!("00000000{:02}{:02}000R", seconds / 60, seconds % 60),
        When::At { unix_ms } => {
            let at = OffsetDateTime::from_unix_timestamp((unix_ms / 1_000) as i64).expect("in range");
            let (year, month, day) = at.to_calendar_date();
            let (hour, minute, second) = at.to_hms();
            let (month, tenths) = (u8::from(month), unix_ms % 1_000 / 100);
            format!("{:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}{tenths}00+", year % 100)
        }
    }
}

/// Mostly nothing; else so many seconds at most, from now or as a point in time.
pub(crate) fn any_time(seconds: u64, wall_ms: u64, rng: &mut Xoshiro256PlusPlus) -> When {
    match below(rng, 12) {
        0 => When::In { seconds: below(rng, seconds) },
        1 => When::At { unix_ms: (wall_ms + below(rng, seconds * 10) * 100) / 100 * 100 },
        _ => When::Unsaid,
    }
}

impl Connection {
    /// Sends a request, mostly a submission.
    pub(crate) fn ask(
        &mut self,
        manner: Manner,
        account: usize,
        model: &mut Model,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        match below(rng, 60) {
            0 | 1 => {
                let pending = Pending::Known(raw::ENQUIRE_LINK | raw::RESP, raw::ESME_ROK);
                self.request(raw::ENQUIRE_LINK, &[], pending);
            }
            2 => {
                let pending = Pending::Known(raw::GENERIC_NACK, raw::ESME_RINVCMDID);
                self.request(UNKNOWN_COMMAND, b"what is this", pending);
            }
            3 => {
                let pending = Pending::Known(raw::BIND_TRANSCEIVER | raw::RESP, raw::ESME_RALYBND);
                let body = raw::bind_body(ACCOUNTS[account], PASSWORD, 0x34, "");
                self.request(raw::BIND_TRANSCEIVER, &body, pending);
            }
            // A response to what was never asked is not answered.
            4 => self.unsent.extend(raw::pdu(raw::DELIVER_SM | raw::RESP, 0, 0x7000_0000, &[0])),
            7 if self.may_submit => {
                let body = raw::Sm::new(&SOURCE.to_string(), DESTINATIONS[0], "cut off").encode();
                let len = below(rng, body.len() as u64) as usize;
                self.request(raw::SUBMIT_SM, &body[..len], Pending::Malformed);
            }
            5 | 6 if manner == Manner::Rebinding => {
                self.is_unbinding = true;
                let pending = Pending::Known(raw::UNBIND | raw::RESP, raw::ESME_ROK);
                self.request(raw::UNBIND, &[], pending);
            }
            _ if !self.may_submit => {
                let body = raw::Sm::new(&SOURCE.to_string(), DESTINATIONS[0], "wrong state").encode();
                let pending = Pending::Known(raw::SUBMIT_SM | raw::RESP, raw::ESME_RINVBNDSTS);
                self.request(raw::SUBMIT_SM, &body, pending);
            }
            8..=17 => self.operate(account, model, rng),
            22 | 23 if self.version >= 0x34 => self.repeat(account, model, rng),
            27..=36 if self.version >= 0x50 => self.broadcast(account, model, rng),
            18..=21 => self.submit_multi(account, model, rng),
            number => self.submit(number < 27, account, model, rng),
        }
    }

    fn asked(&self, account: usize, model: &Model, rng: &mut Xoshiro256PlusPlus) -> Asked {
        Asked {
            account,
            version: self.version,
            connection: self.number,
            source: SOURCE,
            registered_delivery: [1, 1, 0, 2, 0x11, 0x10][below(rng, 6) as usize],
            schedule: any_time(20, model.wall_ms, rng),
            validity: any_time(40, model.wall_ms, rng),
            ..Asked::default()
        }
    }

    fn submit(&mut self, by_data_sm: bool, account: usize, model: &mut Model, rng: &mut Xoshiro256PlusPlus) {
        let mut asked = self.asked(account, model, rng);
        let to = DESTINATIONS[below(rng, DESTINATIONS.len() as u64) as usize];
        // Only these can, by these.
        let by_data_sm = by_data_sm && self.version >= 0x34;
        asked.wants_alert = (by_data_sm || self.version >= 0x50) && below(rng, 2) == 0;
        if by_data_sm {
            (asked.schedule, asked.validity) = (When::Unsaid, When::Unsaid);
        }
        let replaces = !by_data_sm && below(rng, 5) == 0;
        if replaces && below(rng, 2) == 0 {
            // Else few are there long enough to be replaced.
            asked.schedule = When::In { seconds: 10 + below(rng, 50) };
            asked.validity = When::Unsaid;
        }
        let (asked, to) = if replaces { model.next_of_chain(asked, to, rng) } else { (asked, to) };
        let number = model.submits(asked, &[to]);
        let text = format!("m{number:06}");
        let source = asked.source.to_string();
        if by_data_sm {
            let mut body = vec![0];
            address(&mut body, &source);
            address(&mut body, to);
            body.extend([0, asked.registered_delivery, 0]);
            body.extend(raw::MESSAGE_PAYLOAD.to_be_bytes());
            body.extend((text.len() as u16).to_be_bytes());
            body.extend(text.as_bytes());
            if asked.wants_alert {
                body.extend(SET_DPF.to_be_bytes());
                body.extend([0, 1, 1]);
            }
            return self.request(
                raw::DATA_SM,
                &body,
                Pending::Submit { answer: raw::DATA_SM | raw::RESP, number },
            );
        }
        let mut sm = raw::Sm {
            registered_delivery: asked.registered_delivery,
            priority: below(rng, 4) as u8,
            schedule: time_text(asked.schedule),
            validity: time_text(asked.validity),
            replace_if_present: u8::from(replaces),
            ..raw::Sm::new(&source, to, &text)
        };
        if self.version >= 0x34 {
            sm.tlvs.push((raw::USER_MESSAGE_REFERENCE, (number as u16).to_be_bytes().to_vec()));
        }
        if asked.wants_alert {
            sm.tlvs.push((SET_DPF, vec![1]));
        }
        let body = sm.encode();
        let answer = raw::SUBMIT_SM | raw::RESP;
        self.request(raw::SUBMIT_SM, &body, Pending::Submit { answer, number });
        if replaces {
            model.sends_in_chain(number);
        } else if self.version >= 0x34 {
            model.message(number).request = Some(body);
        }
    }

    /// Sends a submit_sm once more, as one does that has lost its response.
    fn repeat(&mut self, account: usize, model: &Model, rng: &mut Xoshiro256PlusPlus) {
        if let Some((number, body)) = model.repeatable(account, rng) {
            self.request(raw::SUBMIT_SM, &body, Pending::Repeat(number));
        }
    }

    fn submit_multi(&mut self, account: usize, model: &mut Model, rng: &mut Xoshiro256PlusPlus) {
        let asked = self.asked(account, model, rng);
        let at = below(rng, DESTINATIONS.len() as u64) as usize;
        let parts = 1 + below(rng, 4) as usize;
        let by_list = below(rng, 4) == 0;
        let to: Vec<&'static str> = match by_list {
            true => LIST.to_vec(),
            false => (at..at + parts).map(|at| DESTINATIONS[at % DESTINATIONS.len()]).collect(),
        };
        let parts = to.len();
        let first = model.submits(asked, &to);
        let mut body = vec![0];
        address(&mut body, &SOURCE.to_string());
        if by_list {
            model.seen.lists += 1;
            body.extend([1, 2]);
            c_octets(&mut body, LIST_NAME);
        } else {
            body.push(parts as u8);
            for to in to {
                body.push(1);
                address(&mut body, to);
            }
        }
        body.extend([0, 0, below(rng, 4) as u8]);
        c_octets(&mut body, &time_text(asked.schedule));
        c_octets(&mut body, &time_text(asked.validity));
        body.extend([asked.registered_delivery, 0, 0, 0]);
        let text = format!("m{first:06}");
        body.push(text.len() as u8);
        body.extend(text.as_bytes());
        self.request(raw::SUBMIT_MULTI, &body, Pending::Multi { first, parts: parts as u32 });
    }

    /// query_sm, cancel_sm or replace_sm, mostly about a message of the account's own.
    fn operate(&mut self, account: usize, model: &mut Model, rng: &mut Xoshiro256PlusPlus) {
        let about = if below(rng, 8) == 0 { 1 - account } else { account };
        let is_open = below(rng, 4) != 0;
        let Some((number, id)) = model.recent(about, is_open, rng) else { return };
        let mut body = Vec::new();
        let source = model.message(number).asked.source.to_string();
        match below(rng, 9) {
            0..=2 => {
                c_octets(&mut body, &id);
                address(&mut body, &source);
                self.request(raw::QUERY_SM, &body, Pending::Query(model.asks(account, number)));
            }
            3 => {
                model.cancels_all(account, CANCELLED_TO);
                body.extend([0, 0]);
                address(&mut body, &SOURCE.to_string());
                address(&mut body, CANCELLED_TO);
                self.request(raw::CANCEL_SM, &body, Pending::CancelAll);
            }
            4 | 5 => {
                body.push(0);
                c_octets(&mut body, &id);
                address(&mut body, &source);
                address(&mut body, "");
                self.request(raw::CANCEL_SM, &body, Pending::Cancel(model.cancels(account, number)));
            }
            _ => {
                let Some((question, registered_delivery, text)) = model.replaces(account, number) else {
                    return;
                };
                c_octets(&mut body, &id);
                address(&mut body, &source);
                body.extend([0, 0, registered_delivery, 0, text.len() as u8]);
                body.extend(text.as_bytes());
                self.request(raw::REPLACE_SM, &body, Pending::Replace(question));
            }
        }
    }

    /// An answer to one of our requests.
    pub(crate) fn answered(&mut self, pdu: &raw::Pdu, model: &mut Model) {
        let pending = self.pending.remove(&pdu.sequence);
        let pending = pending.unwrap_or_else(|| panic!("promise 1: an answer to no request: {pdu:?}"));
        let mut fields = raw::Fields(&pdu.body);
        match pending {
            Pending::Bind { is_right } => {
                assert!(is_right || pdu.status != raw::ESME_ROK, "{pdu:?}");
                self.is_bound = pdu.status == raw::ESME_ROK;
            }
            Pending::Submit { answer, number } => {
                assert_eq!(pdu.id, answer);
                assert!(SUBMIT_STATUSES.contains(&pdu.status), "{pdu:?}");
                model.seen.throttled += u64::from(pdu.status == raw::ESME_RTHROTTLED);
                let id = if pdu.body.is_empty() { String::new() } else { fields.text() };
                model.answered(number, pdu.status, &id);
            }
            Pending::Repeat(number) => {
                assert_eq!(pdu.id, raw::SUBMIT_SM | raw::RESP);
                assert!(SUBMIT_STATUSES.contains(&pdu.status), "{pdu:?}");
                if pdu.status == raw::ESME_ROK {
                    model.answered_again(number, &fields.text());
                }
            }
            Pending::Multi { first, parts } => {
                assert_eq!(pdu.id, raw::SUBMIT_MULTI | raw::RESP);
                assert!(SUBMIT_STATUSES.contains(&pdu.status), "{pdu:?}");
                let mut refused = Vec::new();
                let mut id = String::new();
                if pdu.status == raw::ESME_ROK {
                    id = fields.text();
                    for _ in 0..fields.octet() {
                        fields.take(2);
                        let to = fields.text();
                        let status = u32::from_be_bytes(fields.take(4).try_into().expect("4 octets"));
                        assert!(SUBMIT_STATUSES[1..].contains(&status), "{pdu:?}");
                        let text = format!("m{first:06}");
                        refused.push((model.find(text.as_bytes(), Kind::Message, to.as_bytes()).0, status));
                    }
                }
                for number in first..first + parts {
                    let status = refused.iter().find(|refused| refused.0 == number);
                    model.answered(number, status.map_or(pdu.status, |refused| refused.1), &id);
                }
            }
            Pending::Query(question) => {
                assert_eq!(pdu.id, raw::QUERY_SM | raw::RESP);
                let answer = (pdu.status == raw::ESME_ROK).then(|| {
                    let id = fields.text();
                    fields.text();
                    (id, fields.octet())
                });
                assert!(answer.is_some() || pdu.status == raw::ESME_RINVMSGID, "{pdu:?}");
                let answer = answer.as_ref().map(|(id, state)| (id.as_str(), *state));
                let is_scheduled = answer.is_some_and(|(_, state)| state == 0);
                assert!(!is_scheduled || self.version >= 0x50, "only 5.0 has SCHEDULED: {pdu:?}");
                model.queried(question, answer);
            }
            Pending::Cancel(question) => {
                assert_eq!(pdu.id, raw::CANCEL_SM | raw::RESP);
                assert!(
                    [raw::ESME_ROK, raw::ESME_RCANCELFAIL, raw::ESME_RINVMSGID].contains(&pdu.status),
                    "{pdu:?}"
                );
                model.cancelled(question, pdu.status, raw::ESME_RINVMSGID);
            }
            Pending::CancelAll => {
                assert_eq!(pdu.id, raw::CANCEL_SM | raw::RESP);
                assert!([raw::ESME_ROK, raw::ESME_RCANCELFAIL].contains(&pdu.status), "{pdu:?}");
            }
            Pending::Replace(question) => {
                let statuses = [
                    raw::ESME_ROK,
                    raw::ESME_RREPLACEFAIL,
                    raw::ESME_RINVMSGID,
                    ESME_RINVEXPIRY,
                    raw::ESME_RMSGQFUL,
                ];
                assert_eq!(pdu.id, raw::REPLACE_SM | raw::RESP);
                assert!(statuses.contains(&pdu.status), "{pdu:?}");
                model.replaced(question, pdu.status, raw::ESME_RINVMSGID);
            }
            Pending::Broadcast { .. }
            | Pending::QueryBroadcast(..)
            | Pending::CancelBroadcast(_)
            | Pending::CancelBroadcasts => self.broadcast_answered(pdu, pending, model),
            Pending::Malformed => {
                assert_eq!(pdu.id, raw::SUBMIT_SM | raw::RESP);
                assert_ne!(pdu.status, raw::ESME_ROK, "{pdu:?}");
            }
            Pending::Known(id, status) => {
                assert_eq!((pdu.id, pdu.status), (id, status), "{pdu:?}");
                if pdu.id == raw::UNBIND | raw::RESP {
                    assert!(self.pending.is_empty(), "promise 1: unbound with {:?}", self.pending);
                }
            }
        }
    }

    /// Some answers will not come any more.
    pub(crate) fn forget(&self, model: &mut Model) {
        for pending in self.pending.values() {
            match *pending {
                Pending::Submit { number, .. } | Pending::Broadcast { number, .. } => {
                    model.answer_lost(number)
                }
                Pending::Multi { first, parts } => {
                    (first..first + parts).for_each(|part| model.answer_lost(part))
                }
                _ => {}
            }
        }
    }
}
