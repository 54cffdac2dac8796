//! A raw ESME: PDUs put together and taken apart octet by octet from the specification's tables, so that a mistake in
//! the daemon's codec can't hide itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use super::DEADLINE;
use super::tls::{Endpoint, Octets};

pub const BIND_RECEIVER: u32 = 0x01;
pub const BIND_TRANSMITTER: u32 = 0x02;
pub const QUERY_SM: u32 = 0x03;
pub const SUBMIT_SM: u32 = 0x04;
pub const DELIVER_SM: u32 = 0x05;
pub const UNBIND: u32 = 0x06;
pub const REPLACE_SM: u32 = 0x07;
pub const CANCEL_SM: u32 = 0x08;
pub const BIND_TRANSCEIVER: u32 = 0x09;
pub const OUTBIND: u32 = 0x0B;
pub const ENQUIRE_LINK: u32 = 0x15;
pub const SUBMIT_MULTI: u32 = 0x21;
pub const ALERT_NOTIFICATION: u32 = 0x102;
pub const DATA_SM: u32 = 0x103;
pub const BROADCAST_SM: u32 = 0x111;
pub const QUERY_BROADCAST_SM: u32 = 0x112;
pub const CANCEL_BROADCAST_SM: u32 = 0x113;
pub const GENERIC_NACK: u32 = 0x8000_0000;
/// The bit that makes a response's command_id of its request's.
pub const RESP: u32 = 0x8000_0000;

pub const ESME_ROK: u32 = 0x00;
pub const ESME_RINVMSGLEN: u32 = 0x01;
pub const ESME_RINVCMDLEN: u32 = 0x02;
pub const ESME_RINVCMDID: u32 = 0x03;
pub const ESME_RINVBNDSTS: u32 = 0x04;
pub const ESME_RALYBND: u32 = 0x05;
pub const ESME_RINVSRCADR: u32 = 0x0A;
pub const ESME_RINVDSTADR: u32 = 0x0B;
pub const ESME_RINVMSGID: u32 = 0x0C;
pub const ESME_RBINDFAIL: u32 = 0x0D;
pub const ESME_RCANCELFAIL: u32 = 0x11;
pub const ESME_RREPLACEFAIL: u32 = 0x13;
pub const ESME_RMSGQFUL: u32 = 0x14;
pub const ESME_RSUBMITFAIL: u32 = 0x45;
pub const ESME_RTHROTTLED: u32 = 0x58;
pub const ESME_RX_T_APPN: u32 = 0x64;
pub const ESME_RX_P_APPN: u32 = 0x65;

/// TLV tags.
pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
pub const NETWORK_ERROR_CODE: u16 = 0x0423;
pub const MESSAGE_PAYLOAD: u16 = 0x0424;
pub const MESSAGE_STATE: u16 = 0x0427;
pub const SC_INTERFACE_VERSION: u16 = 0x0210;
pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;

/// How to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Transmitter,
    Receiver,
    Transceiver,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Transmitter, Self::Receiver, Self::Transceiver];

    pub const fn command_id(self) -> u32 {
        match self {
            Self::Transmitter => BIND_TRANSMITTER,
            Self::Receiver => BIND_RECEIVER,
            Self::Transceiver => BIND_TRANSCEIVER,
        }
    }
}

/// A PDU as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu {
    pub id: u32,
    pub status: u32,
    pub sequence: u32,
    pub body: Vec<u8>,
}

/// The octets of a PDU.
pub fn pdu(id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(16 + body.len());
    octets.extend((16 + body.len() as u32).to_be_bytes());
    octets.extend(id.to_be_bytes());
    octets.extend(status.to_be_bytes());
    octets.extend(sequence.to_be_bytes());
    octets.extend(body);
    octets
}

/// The body of a bind.
pub fn bind_body(system_id: &str, password: &str, version: u8, address_range: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for text in [system_id, password, "test"] {
        c_octets(&mut body, text.as_bytes());
    }
    body.extend([version, 0, 0]);
    c_octets(&mut body, address_range.as_bytes());
    body
}

fn c_octets(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text);
    out.push(0);
}

/// A TLV by its tag.
pub type Tlv = (u16, Vec<u8>);

/// The fields of a submit_sm or deliver_sm, in their order on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sm {
    pub service_type: String,
    pub source_ton: u8,
    pub source_npi: u8,
    pub source: String,
    pub dest_ton: u8,
    pub dest_npi: u8,
    pub dest: String,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority: u8,
    pub schedule: String,
    pub validity: String,
    pub registered_delivery: u8,
    pub replace_if_present: u8,
    pub data_coding: u8,
    pub default_msg_id: u8,
    pub text: Vec<u8>,
    pub tlvs: Vec<Tlv>,
}

impl Sm {
    /// A message in international ISDN numbers.
    pub fn new(source: &str, dest: &str, text: &str) -> Self {
        Self {
            source_ton: 1,
            source_npi: 1,
            source: source.to_owned(),
            dest_ton: 1,
            dest_npi: 1,
            dest: dest.to_owned(),
            text: text.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    /// The same, with a final receipt on success and failure.
    pub fn with_receipt(source: &str, dest: &str, text: &str) -> Self {
        Self { registered_delivery: 1, ..Self::new(source, dest, text) }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        c_octets(&mut body, self.service_type.as_bytes());
        body.extend([self.source_ton, self.source_npi]);
        c_octets(&mut body, self.source.as_bytes());
        body.extend([self.dest_ton, self.dest_npi]);
        c_octets(&mut body, self.dest.as_bytes());
        body.extend([self.esm_class, self.protocol_id, self.priority]);
        c_octets(&mut body, self.schedule.as_bytes());
        c_octets(&mut body, self.validity.as_bytes());
        body.extend([
            self.registered_delivery,
            self.replace_if_present,
            self.data_coding,
            self.default_msg_id,
        ]);
        body.push(u8::try_from(self.text.len()).expect("at most 255 octets"));
        body.extend(&self.text);
        for (tag, value) in &self.tlvs {
            body.extend(tag.to_be_bytes());
            body.extend(u16::try_from(value.len()).expect("a TLV's length").to_be_bytes());
            body.extend(value);
        }
        body
    }

    pub fn decode(body: &[u8]) -> Self {
        let mut fields = Fields(body);
        let mut sm = Self {
            service_type: fields.text(),
            source_ton: fields.octet(),
            source_npi: fields.octet(),
            source: fields.text(),
            dest_ton: fields.octet(),
            dest_npi: fields.octet(),
            dest: fields.text(),
            esm_class: fields.octet(),
            protocol_id: fields.octet(),
            priority: fields.octet(),
            schedule: fields.text(),
            validity: fields.text(),
            registered_delivery: fields.octet(),
            replace_if_present: fields.octet(),
            data_coding: fields.octet(),
            default_msg_id: fields.octet(),
            ..Self::default()
        };
        let len = usize::from(fields.octet());
        sm.text = fields.take(len).to_vec();
        sm.tlvs = fields.tlvs();
        sm
    }

    /// The value of a TLV.
    pub fn tlv(&self, tag: u16) -> Option<&[u8]> {
        self.tlvs.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.as_slice())
    }

    /// The text as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text).expect("ASCII")
    }

    /// The message id that a receipt is about.
    pub fn receipted_id(&self) -> String {
        self.text().strip_prefix("id:").and_then(|rest| rest.split(' ').next()).expect("a receipt").to_owned()
    }
}

/// Reads a body field by field; panics where it ends early.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    pub fn octet(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub fn text(&mut self) -> String {
        let end = self.0.iter().position(|&octet| octet == 0).expect("a NUL");
        let text = String::from_utf8(self.take(end).to_vec()).expect("ASCII");
        self.take(1);
        text
    }

    pub fn tlvs(&mut self) -> Vec<Tlv> {
        let mut tlvs = Vec::new();
        while !self.0.is_empty() {
            let head = self.take(4);
            let tag = u16::from_be_bytes([head[0], head[1]]);
            let len = u16::from_be_bytes([head[2], head[3]]);
            tlvs.push((tag, self.take(usize::from(len)).to_vec()));
        }
        tlvs
    }
}

/// No connection of a test waits for ever, or for more to send.
pub fn set_up(stream: &TcpStream) {
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
}

/// A connection to the daemon's SMPP port.
pub struct RawEsme {
    stream: Octets,
    unread: Vec<u8>,
    next_sequence: u32,
}

impl RawEsme {
    /// Connects, over TLS if that is the way there, and says nothing.
    pub fn connect(endpoint: impl Into<Endpoint>) -> Self {
        let Endpoint { addr, tls } = endpoint.into();
        let stream = TcpStream::connect_timeout(&addr, DEADLINE).expect("SMPP listens");
        set_up(&stream);
        Self::over(Octets::new(stream, tls))
    }

    /// On a connection that is up.
    pub fn over(stream: Octets) -> Self {
        Self { stream, unread: Vec::new(), next_sequence: 1 }
    }

    /// Connects with a small receive buffer, so that what is not read here is soon felt at the other end.
    pub fn connect_deaf(endpoint: impl Into<Endpoint>) -> Self {
        let Endpoint { addr, tls } = endpoint.into();
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a size");
        socket.connect_timeout(&addr.into(), DEADLINE).expect("SMPP listens");
        let stream = socket.into();
        set_up(&stream);
        Self::over(Octets::new(stream, tls))
    }

    /// Connects and binds with interface_version 0x34.
    pub fn bind(endpoint: impl Into<Endpoint>, mode: Mode, system_id: &str, password: &str) -> Self {
        let mut esme = Self::connect(endpoint);
        let response = esme.try_bind(mode, system_id, password, 0x34, "");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, ESME_ROK), "{response:?}");
        esme
    }

    /// Sends a bind and returns the response, whatever it says.
    pub fn try_bind(
        &mut self,
        mode: Mode,
        system_id: &str,
        password: &str,
        version: u8,
        address_range: &str,
    ) -> Pdu {
        let body = bind_body(system_id, password, version, address_range);
        let sequence = self.request(mode.command_id(), &body);
        let response = self.receive();
        assert_eq!(response.sequence, sequence, "{response:?}");
        response
    }

    /// The octets of the connection.
    pub const fn octets(&mut self) -> &mut Octets {
        &mut self.stream
    }

    /// Our end of the connection.
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.socket().local_addr().expect("connected")
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the daemon takes octets");
    }

    /// Sends as much of `octets` as is taken without waiting; false once nothing is.
    pub fn send_some(&mut self, octets: &[u8]) -> bool {
        self.stream.socket().set_nonblocking(true).expect("a mode");
        let sent = self.stream.write(octets);
        self.stream.socket().set_nonblocking(false).expect("a mode");
        sent.is_ok_and(|sent| sent == octets.len())
    }

    /// A sequence_number not used before.
    pub fn sequence(&mut self) -> u32 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    /// Sends a request; its sequence_number.
    pub fn request(&mut self, id: u32, body: &[u8]) -> u32 {
        let sequence = self.sequence();
        self.send(&pdu(id, 0, sequence, body));
        sequence
    }

    /// Answers a request.
    pub fn respond(&mut self, to: &Pdu, status: u32) {
        let body: &[u8] = if to.id == DELIVER_SM { &[0] } else { &[] };
        self.send(&pdu(to.id | RESP, status, to.sequence, body));
    }

    /// The next PDU; `None` at the end of the stream or after a reset.
    pub fn receive_or_end(&mut self) -> Option<Pdu> {
        let start = Instant::now();
        loop {
            if let Some(pdu) = self.take_pdu() {
                return Some(pdu);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.unread.is_empty(), "the stream ends within a PDU: {:02x?}", self.unread);
                    return None;
                }
                Ok(len) => self.unread.extend(&chunk[..len]),
                // The latter: without close_notify.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) =>
                {
                    return None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => panic!("no PDU within {:?}: {error}", start.elapsed()),
            }
        }
    }

    /// The next PDU.
    pub fn receive(&mut self) -> Pdu {
        self.receive_or_end().expect("the daemon has closed the connection")
    }

    /// The next PDU, which must be this one; of the body only its being there is left to the caller.
    pub fn expect(&mut self, id: u32, status: u32) -> Pdu {
        let pdu = self.receive();
        assert_eq!((pdu.id, pdu.status), (id, status), "{pdu:02x?}");
        pdu
    }

    /// The daemon closes the connection, without a further PDU.
    pub fn expect_end(&mut self) {
        assert_eq!(self.receive_or_end(), None);
    }

    /// Submits, and the next PDU is the response: the message id.
    pub fn submit(&mut self, sm: &Sm) -> String {
        let sequence = self.request(SUBMIT_SM, &sm.encode());
        let response = self.expect(SUBMIT_SM | RESP, ESME_ROK);
        assert_eq!(response.sequence, sequence);
        message_id(&response)
    }

    /// Submits, and the next PDU is the refusal: its status.
    pub fn submit_refused(&mut self, sm: &Sm) -> u32 {
        let sequence = self.request(SUBMIT_SM, &sm.encode());
        let response = self.receive();
        assert_eq!((response.id, response.sequence), (SUBMIT_SM | RESP, sequence), "{response:?}");
        assert_eq!(response.body, b"", "a refusal has no body");
        assert_ne!(response.status, ESME_ROK);
        response.status
    }

    /// The next PDU, a deliver_sm, unanswered.
    pub fn delivery(&mut self) -> (Pdu, Sm) {
        let pdu = self.expect(DELIVER_SM, 0);
        let sm = Sm::decode(&pdu.body);
        (pdu, sm)
    }

    /// The next PDU, a deliver_sm, answered with ESME_ROK.
    pub fn take_delivery(&mut self) -> Sm {
        let (pdu, sm) = self.delivery();
        self.respond(&pdu, ESME_ROK);
        sm
    }

    /// An enquire_link is answered, and nothing else has come.
    pub fn enquire(&mut self) {
        let sequence = self.request(ENQUIRE_LINK, &[]);
        let answer = self.expect(ENQUIRE_LINK | RESP, ESME_ROK);
        assert_eq!((answer.sequence, answer.body.len()), (sequence, 0));
    }

    /// Unbinds: unbind_resp, then the end of the stream.
    pub fn unbind(mut self) {
        let sequence = self.request(UNBIND, &[]);
        let answer = self.expect(UNBIND | RESP, ESME_ROK);
        assert_eq!(answer.sequence, sequence);
        self.expect_end();
    }

    /// Closes our sending direction only.
    pub fn finish_sending(&mut self) {
        self.stream.finish_sending();
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = Socket::from(self.stream.into_socket());
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("a linger");
    }

    /// Drops the connection without a word.
    pub fn vanish(self) {
        drop(self);
    }

    fn take_pdu(&mut self) -> Option<Pdu> {
        let word = |at: usize| {
            let octets = self.unread.get(at..at + 4)?;
            Some(u32::from_be_bytes(octets.try_into().ok()?))
        };
        let len = word(0)? as usize;
        assert!((16..=70_000).contains(&len), "the daemon sent a command_length of {len}");
        if self.unread.len() < len {
            return None;
        }
        let (id, status, sequence) = (word(4)?, word(8)?, word(12)?);
        let body = self.unread.drain(..len).skip(16).collect();
        Some(Pdu { id, status, sequence, body })
    }
}

/// The id of a submit_sm_resp; nothing follows it.
pub fn message_id(response: &Pdu) -> String {
    let mut fields = Fields(&response.body);
    let id = fields.text();
    assert!(fields.0.is_empty(), "{response:02x?}");
    id
}
