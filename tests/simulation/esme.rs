//! The simulated ESMEs. They make their octets themselves, read what comes as any other SMSC's, and know what they are
//! owed: one answer per request, and deliveries in the order of their sequence_numbers.

use std::collections::{BTreeMap, VecDeque};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::model::{Kind, Model, number_in, number_in_receipt};
use super::support::esme as raw;
use super::worker::{Leaving, Pipe, WINDOW};

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

/// What awaits its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Bind {
        is_right: bool,
    },
    Submit(u32),
    /// To be answered with this command_id and status.
    Known(u32, u32),
    /// A submit_sm that ends in the middle of a field.
    Malformed,
}

#[derive(Debug, Default)]
struct Connection {
    number: u32,
    is_bound: bool,
    may_submit: bool,
    next_sequence: u32,
    asked: BTreeMap<u32, Asked>,
    is_unbinding: bool,
    unsent: VecDeque<u8>,
    unread: Vec<u8>,
    /// Deliveries not answered yet.
    owed: VecDeque<u32>,
    /// sequence_number of the SMSC's last request.
    last_heard: u32,
}

/// An ESME.
pub(crate) struct Esme {
    manner: Manner,
    account: usize,
    connection: Option<Connection>,
}

const ACCOUNTS: [&str; 2] = ["alice", "bob"];
const SUBMITS_UNSENT_MAX: usize = 300;
const UNKNOWN_COMMAND: u32 = 0x0000_00F0;

fn below(rng: &mut Xoshiro256PlusPlus, n: u64) -> u64 {
    rng.next_u64() % n
}

impl Connection {
    fn request(&mut self, id: u32, body: &[u8], asked: Asked) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.asked.insert(sequence, asked);
        self.unsent.extend(raw::pdu(id, 0, sequence, body));
    }
}

impl Esme {
    pub(crate) const fn new(manner: Manner, account: usize) -> Self {
        Self { manner, account, connection: None }
    }

    /// Whether nothing is owed to it and it owes nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        self.connection.as_ref().is_some_and(|it| it.is_bound && it.asked.is_empty() && it.owed.is_empty())
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
        let mut connection = Connection { number, may_submit, next_sequence, ..Connection::default() };
        let password = if is_right { "secret" } else { "guess" };
        let body = raw::bind_body(ACCOUNTS[self.account], password, 0x34, "");
        connection.request(mode.command_id(), &body, Asked::Bind { is_right });
        self.connection = Some(connection);
    }

    /// The connection is gone: no answer comes any more.
    pub(crate) fn gone(&mut self, model: &mut Model) {
        let Some(connection) = self.connection.take() else { return };
        for asked in connection.asked.values() {
            if let Asked::Submit(number) = asked {
                model.answer_lost(*number);
            }
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
            if connection.is_bound && !connection.is_unbinding {
                Self::ask(connection, manner, account, model, rng);
            }
        }
        Self::read(connection, pipe, manner, account, calm, model, rng);
        Self::answer(connection, manner, calm, rng);
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

    /// Sends a request, mostly a submit_sm.
    fn ask(
        connection: &mut Connection,
        manner: Manner,
        account: usize,
        model: &mut Model,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let is_full = match manner {
            Manner::WindowAbuser => false,
            _ => connection.asked.len() >= WINDOW as usize,
        };
        if is_full || connection.unsent.len() > SUBMITS_UNSENT_MAX || below(rng, 2) == 0 {
            return;
        }
        match below(rng, 40) {
            0 | 1 => {
                let asked = Asked::Known(raw::ENQUIRE_LINK | raw::RESP, raw::ESME_ROK);
                connection.request(raw::ENQUIRE_LINK, &[], asked);
            }
            2 => {
                let asked = Asked::Known(raw::GENERIC_NACK, raw::ESME_RINVCMDID);
                connection.request(UNKNOWN_COMMAND, b"what is this", asked);
            }
            3 => {
                let asked = Asked::Known(raw::BIND_TRANSCEIVER | raw::RESP, raw::ESME_RALYBND);
                let body = raw::bind_body(ACCOUNTS[account], "secret", 0x34, "");
                connection.request(raw::BIND_TRANSCEIVER, &body, asked);
            }
            // A response to what was never asked is not answered.
            4 => connection.unsent.extend(raw::pdu(raw::DELIVER_SM | raw::RESP, 0, 0x7000_0000, &[0])),
            7 if connection.may_submit => {
                let body = raw::Sm::new("100", "447700900001", "cut off").encode();
                let len = below(rng, body.len() as u64) as usize;
                connection.request(raw::SUBMIT_SM, &body[..len], Asked::Malformed);
            }
            5 | 6 if manner == Manner::Rebinding => {
                connection.is_unbinding = true;
                let asked = Asked::Known(raw::UNBIND | raw::RESP, raw::ESME_ROK);
                connection.request(raw::UNBIND, &[], asked);
            }
            _ if !connection.may_submit => {
                let body = raw::Sm::new("100", "447700900001", "wrong state").encode();
                let asked = Asked::Known(raw::SUBMIT_SM | raw::RESP, raw::ESME_RINVBNDSTS);
                connection.request(raw::SUBMIT_SM, &body, asked);
            }
            _ => {
                let registered_delivery = [1, 1, 0, 2][below(rng, 4) as usize];
                let number = model.submits(account, connection.number, registered_delivery);
                let to = ["447700900001", "447700900002", "447700900003", "331", "332", "8001", "8002"]
                    [below(rng, 7) as usize];
                let sm = raw::Sm {
                    registered_delivery,
                    priority: below(rng, 4) as u8,
                    ..raw::Sm::new("100", to, &format!("m{number:06}"))
                };
                connection.request(raw::SUBMIT_SM, &sm.encode(), Asked::Submit(number));
            }
        }
    }

    fn read(
        connection: &mut Connection,
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
        connection.unread.extend(pipe.down.drain(..len));
        while let Some(len) = connection.unread.first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            assert!((16..2_000).contains(&len), "a command_length of {len}");
            if connection.unread.len() < len {
                break;
            }
            let octets: Vec<u8> = connection.unread.drain(..len).collect();
            let word = |at: usize| u32::from_be_bytes(octets[at..at + 4].try_into().expect("4 octets"));
            let pdu =
                raw::Pdu { id: word(4), status: word(8), sequence: word(12), body: octets[16..].to_vec() };
            Self::handle(connection, &pdu, account, model);
        }
    }

    fn handle(connection: &mut Connection, pdu: &raw::Pdu, account: usize, model: &mut Model) {
        model.note(&[7, u64::from(pdu.id), u64::from(pdu.sequence), u64::from(pdu.status)]);
        if pdu.id & raw::RESP != 0 {
            let asked = connection.asked.remove(&pdu.sequence);
            return match asked.unwrap_or_else(|| panic!("promise 1: an answer to no request: {pdu:?}")) {
                Asked::Bind { is_right } => {
                    assert_eq!(pdu.status == raw::ESME_ROK, is_right, "{pdu:?}");
                    connection.is_bound = is_right;
                }
                Asked::Submit(number) => {
                    assert_eq!(pdu.id, raw::SUBMIT_SM | raw::RESP);
                    assert!([raw::ESME_ROK, raw::ESME_RMSGQFUL].contains(&pdu.status), "{pdu:?}");
                    let id = if pdu.body.is_empty() { String::new() } else { raw::Fields(&pdu.body).text() };
                    model.answered(number, pdu.status, &id);
                }
                Asked::Malformed => {
                    assert_eq!(pdu.id, raw::SUBMIT_SM | raw::RESP);
                    assert_ne!(pdu.status, raw::ESME_ROK, "{pdu:?}");
                }
                Asked::Known(id, status) => {
                    assert_eq!((pdu.id, pdu.status), (id, status), "{pdu:?}");
                    if pdu.id == raw::UNBIND | raw::RESP {
                        assert!(
                            connection.asked.is_empty(),
                            "promise 1: unbound with {:?}",
                            connection.asked
                        );
                    }
                }
            };
        }
        assert_eq!(pdu.sequence, connection.last_heard + 1, "our requests are numbered in order");
        connection.last_heard = pdu.sequence;
        match pdu.id {
            raw::ENQUIRE_LINK => {
                connection.unsent.extend(raw::pdu(raw::ENQUIRE_LINK | raw::RESP, 0, pdu.sequence, &[]));
            }
            raw::DELIVER_SM => {
                connection.owed.push_back(pdu.sequence);
                let sm = raw::Sm::decode(&pdu.body);
                if sm.esm_class & 0x3C == 0x04 {
                    let number = number_in_receipt(&sm.text);
                    model.receives(account, connection.number, number, Kind::Receipt);
                    let state = sm.tlv(raw::MESSAGE_STATE).expect("a state")[0];
                    model.told(number, &sm.receipted_id(), state);
                } else {
                    assert_eq!(account, 1, "promise 10: only bob owns addresses");
                    model.receives(account, connection.number, number_in(&sm.text), Kind::Message);
                }
            }
            id => panic!("an unexpected request {id:#x}"),
        }
    }

    /// Answers deliveries, in any order.
    fn answer(connection: &mut Connection, manner: Manner, calm: bool, rng: &mut Xoshiro256PlusPlus) {
        while !connection.owed.is_empty() {
            if !calm && manner == Manner::SlowReader && below(rng, 4) != 0 {
                return;
            }
            let at = below(rng, connection.owed.len() as u64) as usize;
            let sequence = connection.owed.remove(at).expect("in range");
            let status = match below(rng, 20) {
                _ if calm => raw::ESME_ROK,
                // Never answered.
                0 if manner == Manner::SlowReader => continue,
                1 => raw::ESME_RX_T_APPN,
                2 => raw::ESME_RX_P_APPN,
                3 => raw::ESME_RMSGQFUL,
                _ => raw::ESME_ROK,
            };
            connection.unsent.extend(raw::pdu(raw::DELIVER_SM | raw::RESP, status, sequence, &[0]));
        }
    }
}
