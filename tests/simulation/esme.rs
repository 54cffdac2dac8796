//! The simulated ESMEs. They make their octets themselves, read what comes as any other SMSC's, and know what they are
//! owed: one answer per request, and deliveries in the order of their sequence_numbers.

use std::collections::{BTreeMap, VecDeque};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::ids::Place;
use super::message::Kind;
use super::model::Model;
use super::reload::{ACCOUNTS, PASSWORD};
use super::requests::Pending;
use super::support::esme as raw;
use super::worker::{Leaving, Pipe};

/// How an ESME behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Keeps to its window, reads everything, answers at once.
    Good,
    /// Sends whatever the connection takes.
    WindowAbuser,
    /// Reads a few octets now and then, and answers late or never.
    SlowReader,
    /// Sends an octet or three at a time.
    Dribbler,
    /// Is gone without a word.
    Vanishing,
    /// Unbinds in order and binds again, as something else.
    Rebinding,
}

/// A connection as its ESME sees it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) number: u32,
    pub(crate) is_bound: bool,
    pub(crate) may_submit: bool,
    /// interface_version of its bind.
    pub(crate) version: u8,
    next_sequence: u32,
    pub(crate) pending: BTreeMap<u32, Pending>,
    pub(crate) is_unbinding: bool,
    pub(crate) unsent: VecDeque<u8>,
    unread: Vec<u8>,
    /// Deliveries not answered yet: command_id and sequence_number.
    owed: VecDeque<(u32, u32)>,
    /// sequence_number of the SMSC's last request.
    last_heard: u32,
}

/// An ESME.
pub(crate) struct Esme {
    manner: Manner,
    account: usize,
    connection: Option<Connection>,
}

/// Requests that one that keeps to its window has open.
const WINDOW: usize = 3;
const SUBMITS_UNSENT_MAX: usize = 300;

pub(crate) fn below(rng: &mut Xoshiro256PlusPlus, n: u64) -> u64 {
    rng.next_u64() % n
}

impl Esme {
    pub(crate) const fn new(manner: Manner, account: usize) -> Self {
        Self { manner, account, connection: None }
    }

    /// Whether nothing is owed to it and it owes nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        self.connection.as_ref().is_some_and(|it| it.is_bound && it.pending.is_empty() && it.owed.is_empty())
    }

    /// Connects as `number` and binds.
    fn connect(&mut self, number: u32, calm: bool, rng: &mut Xoshiro256PlusPlus) {
        let mode = match below(rng, 6) {
            0 if self.manner == Manner::Rebinding && !calm => raw::Mode::Receiver,
            0 | 1 if self.manner == Manner::Vanishing && !calm => raw::Mode::Transmitter,
            _ => raw::Mode::Transceiver,
        };
        let is_right = calm || below(rng, 12) != 0;
        let may_submit = mode != raw::Mode::Receiver;
        // Numbers of different connections differ, so that an answer that goes astray is seen.
        let next_sequence = number * 10_000 + 1;
        // One of each account always speaks a version that has everything.
        let version = match self.manner {
            Manner::Good => 0x34,
            Manner::Dribbler => 0x50,
            _ => [0x33, 0x34, 0x50][below(rng, 3) as usize],
        };
        let mut connection =
            Connection { number, may_submit, version, next_sequence, ..Connection::default() };
        let password = if is_right { PASSWORD } else { "guess" };
        let body = raw::bind_body(ACCOUNTS[self.account], password, version, "");
        connection.request(mode.command_id(), &body, Pending::Bind { is_right });
        self.connection = Some(connection);
    }

    /// The connection is gone: no answer comes any more.
    fn gone(&mut self, model: &mut Model) {
        if let Some(connection) = self.connection.take() {
            connection.forget(model);
        }
    }

    /// Does something. `calm`: it only finishes what is open. Returns the connection it has opened, if any.
    pub(crate) fn act(
        &mut self,
        pipes: &mut BTreeMap<u32, Pipe>,
        next_number: u32,
        calm: bool,
        model: &mut Model,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<u32> {
        let Some(connection) = &mut self.connection else {
            if !calm && below(rng, 3) != 0 {
                return None;
            }
            self.connect(next_number, calm, rng);
            pipes.insert(next_number, Pipe::new());
            return Some(next_number);
        };
        let pipe = pipes.get_mut(&connection.number).expect("a pipe");
        let (manner, account) = (self.manner, self.account);
        if !calm {
            let leaves = match manner {
                Manner::Vanishing => below(rng, 25) == 0,
                Manner::Rebinding => false,
                _ => below(rng, 400) == 0,
            };
            if leaves {
                pipe.leaving = if below(rng, 2) == 0 { Leaving::Closed } else { Leaving::Reset };
                self.gone(model);
                return None;
            }
            let may_ask = connection.is_bound
                && !connection.is_unbinding
                && (manner == Manner::WindowAbuser || connection.pending.len() < WINDOW)
                && connection.unsent.len() <= SUBMITS_UNSENT_MAX;
            if may_ask && below(rng, 2) != 0 {
                connection.ask(manner, account, model, rng);
            }
        }
        connection.read(pipe, manner, account, calm, model, rng);
        connection.respond(manner, calm, rng);
        let len = match manner {
            Manner::Dribbler if !calm => 1 + below(rng, 3) as usize,
            _ => usize::MAX,
        };
        let len = len.min(pipe.room_up()).min(connection.unsent.len());
        pipe.up.extend(connection.unsent.drain(..len));
        if pipe.is_over && pipe.down.is_empty() {
            self.gone(model);
        }
        None
    }
}

/// The message_state that a receipt's text says.
fn state_of(text: &str) -> u8 {
    let word = text.split_once(" stat:").and_then(|(_, rest)| rest.split(' ').next());
    match word {
        Some("ENROUTE") => 1,
        Some("DELIVRD") => 2,
        Some("EXPIRED") => 3,
        Some("DELETED") => 4,
        Some("UNDELIV") => 5,
        Some("REJECTD") => 8,
        other => panic!("stat:{other:?}"),
    }
}

impl Connection {
    pub(crate) fn request(&mut self, id: u32, body: &[u8], pending: Pending) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.pending.insert(sequence, pending);
        self.unsent.extend(raw::pdu(id, 0, sequence, body));
    }

    fn read(
        &mut self,
        pipe: &mut Pipe,
        manner: Manner,
        account: usize,
        calm: bool,
        model: &mut Model,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let len = match manner {
            Manner::SlowReader if !calm => [0, 0, 0, 5, 90][below(rng, 5) as usize],
            _ => usize::MAX,
        };
        let len = len.min(pipe.down.len());
        self.unread.extend(pipe.down.drain(..len));
        while let Some(len) = self.unread.first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            assert!((16..2_000).contains(&len), "a command_length of {len}");
            if self.unread.len() < len {
                break;
            }
            let octets: Vec<u8> = self.unread.drain(..len).collect();
            let word = |at: usize| u32::from_be_bytes(octets[at..at + 4].try_into().expect("4 octets"));
            let pdu =
                raw::Pdu { id: word(4), status: word(8), sequence: word(12), body: octets[16..].to_vec() };
            model.note(&[7, u64::from(pdu.id), u64::from(pdu.sequence), u64::from(pdu.status)]);
            if pdu.id & raw::RESP != 0 {
                self.answered(&pdu, model);
            } else {
                self.asked_by_smsc(&pdu, account, model);
            }
        }
    }

    fn asked_by_smsc(&mut self, pdu: &raw::Pdu, account: usize, model: &mut Model) {
        assert_eq!(pdu.sequence, self.last_heard + 1, "the SMSC's requests are numbered in order");
        self.last_heard = pdu.sequence;
        match pdu.id {
            raw::ENQUIRE_LINK | raw::UNBIND => {
                // It asks for nothing after it has agreed to unbind.
                self.is_unbinding |= pdu.id == raw::UNBIND;
                self.unsent.extend(raw::pdu(pdu.id | raw::RESP, 0, pdu.sequence, &[]));
            }
            raw::DELIVER_SM => {
                self.owed.push_back((pdu.id, pdu.sequence));
                let sm = raw::Sm::decode(&pdu.body);
                if sm.esm_class & 0x3C != 0 {
                    let state = self.tells(account, sm.esm_class, &sm.source, &sm.text, model);
                    // Below 3.4 nothing is sent that it does not have.
                    let in_tlv = sm.tlv(raw::MESSAGE_STATE).map(|value| value[0]);
                    assert_eq!(in_tlv, (self.version >= 0x34).then_some(state), "{sm:?}");
                } else {
                    assert!(self.version >= 0x34 || sm.tlvs.is_empty(), "{sm:?}");
                    let text = sm.tlv(raw::MESSAGE_PAYLOAD).unwrap_or(&sm.text);
                    let named = model.find(text, Kind::Message, sm.dest.as_bytes());
                    model.receives(account, self.number, named, Kind::Message);
                }
            }
            raw::DATA_SM => {
                assert!(self.version >= 0x34, "3.3 has no data_sm");
                self.owed.push_back((pdu.id, pdu.sequence));
                let mut fields = raw::Fields(&pdu.body);
                fields.text();
                fields.take(2);
                let source = fields.text();
                fields.take(2);
                let dest = fields.text();
                let esm_class = fields.octet();
                fields.take(2);
                let tlvs = fields.tlvs();
                let (_, text) =
                    tlvs.iter().find(|(tag, _)| *tag == raw::MESSAGE_PAYLOAD).expect("message_payload");
                if esm_class & 0x3C != 0 {
                    self.tells(account, esm_class, &source, text, model);
                    return;
                }
                let named = model.find(text, Kind::Message, dest.as_bytes());
                model.receives(account, self.number, named, Kind::Message);
            }
            raw::ALERT_NOTIFICATION => {
                assert!(self.version >= 0x34, "3.3 has no alert_notification");
                let mut fields = raw::Fields(&pdu.body);
                fields.take(2);
                let subscriber = fields.text();
                model.alerted(account, &subscriber);
            }
            id => panic!("an unexpected request {id:#x}"),
        }
    }

    /// A receipt or an intermediate notification has come: the state that it tells.
    fn tells(&self, account: usize, esm_class: u8, source: &str, text: &[u8], model: &mut Model) -> u8 {
        let kind = if esm_class & 0x3C == 0x04 { Kind::Receipt } else { Kind::Notification };
        let named = model.find(text, kind, source.as_bytes());
        let (number, _) = named;
        model.receives(account, self.number, named, kind);
        let sm = raw::Sm { text: text.to_vec(), ..raw::Sm::default() };
        let state = state_of(sm.text());
        let id = sm.receipted_id();
        if kind == Kind::Receipt {
            model.told(number, &id, state);
        } else {
            assert_eq!(state, 1, "a notification of an end: {}", sm.text());
            model.has_id(number, &id, Place::Receipt);
        }
        state
    }

    /// Answers deliveries, in any order.
    fn respond(&mut self, manner: Manner, calm: bool, rng: &mut Xoshiro256PlusPlus) {
        while !self.owed.is_empty() {
            if !calm && manner == Manner::SlowReader && below(rng, 4) != 0 {
                return;
            }
            let at = below(rng, self.owed.len() as u64) as usize;
            let (id, sequence) = self.owed.remove(at).expect("in range");
            let status = match below(rng, 20) {
                _ if calm => raw::ESME_ROK,
                // Never answered.
                0 if manner == Manner::SlowReader => continue,
                1 => raw::ESME_RX_T_APPN,
                2 => raw::ESME_RX_P_APPN,
                3 => raw::ESME_RMSGQFUL,
                _ => raw::ESME_ROK,
            };
            self.unsent.extend(raw::pdu(id | raw::RESP, status, sequence, &[0]));
        }
    }
}
