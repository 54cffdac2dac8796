//! The cheapest possible responder: one thread, no decode, no store. Whatever it reaches is what this machine and its
//! kernel allow, so that any SMSC's figure can be given as a ratio to it.
//!
//! A submit_sm gets a canned submit_sm_resp of 33 octets; its 16-digit message id is made of the connection's number and
//! the sequence_number, so that ids are unique while a client's sequence numbers are.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use smscd::base::MessageId;
use smscd::smpp::CommandStatus;

use crate::wire::{
    BIND_RECEIVER, BIND_TRANSCEIVER, BIND_TRANSMITTER, DELIVER_SM, ENQUIRE_LINK, Frames, GENERIC_NACK,
    HEADER_LEN, READ_BYTES, RESPONSE, SUBMIT_SM, SUBMIT_SM_RESP, UNBIND, header,
};

const LISTENER: Token = Token(usize::MAX);
const RESPONSE_LEN: usize = 33;
/// Octets waiting for a socket above which it is not read.
const PENDING_MAX: usize = 1024 * 1024;

/// How to run the floor.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) listen: SocketAddr,
    /// Send a receipt for every message, after its response.
    pub(crate) receipts: bool,
    /// Stop after this long.
    pub(crate) max: Duration,
    /// Never sleep in the poll.
    pub(crate) spin: bool,
}

/// One client.
struct Connection {
    stream: TcpStream,
    number: u32,
    half_read: Vec<u8>,
    pending: Vec<u8>,
    deliver_sequence: u32,
    readable: bool,
    bound: bool,
}

impl Floor {
    /// Answers until the time is over. Prints the ready line once the port is open.
    pub(crate) fn run(&self) -> io::Result<()> {
        let deadline = Instant::now() + self.max;
        let mut poll = Poll::new()?;
        let mut listener = TcpListener::bind(self.listen)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        println!("floor ready smpp={}", listener.local_addr()?);
        let mut events = Events::with_capacity(1024);
        let mut connections: Vec<Option<Connection>> = Vec::new();
        let mut opened = 0;
        let mut scratch = vec![0; READ_BYTES].into_boxed_slice();
        let mut out = Vec::with_capacity(PENDING_MAX);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let timeout = if self.spin { Duration::ZERO } else { left.min(Duration::from_secs(1)) };
            match poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    accept(&listener, &poll, &mut connections, &mut opened)?;
                } else if let Some(slot) = connections.get_mut(event.token().0)
                    && let Some(connection) = slot
                    && connection.turn(event, &mut scratch, &mut out, self.receipts).is_err()
                {
                    *slot = None;
                }
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Vec<Option<Connection>>,
    opened: &mut u32,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        let index = connections.iter().position(Option::is_none).unwrap_or(connections.len());
        if index == connections.len() {
            connections.push(None);
        }
        *opened += 1;
        stream.set_nodelay(true)?;
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        connections[index] = Some(Connection {
            stream,
            number: *opened,
            half_read: Vec::new(),
            pending: Vec::new(),
            deliver_sequence: 0,
            readable: false,
            bound: false,
        });
    }
}

impl Connection {
    /// Writes what waited, then reads and answers until the socket is empty or does not take the answers.
    fn turn(
        &mut self,
        event: &Event,
        scratch: &mut [u8],
        out: &mut Vec<u8>,
        receipts: bool,
    ) -> io::Result<()> {
        self.readable |= event.is_readable();
        if event.is_writable() && !self.pending.is_empty() {
            let waited = std::mem::take(&mut self.pending);
            self.write(&waited)?;
        }
        while self.readable && self.pending.len() < PENDING_MAX {
            let kept = self.half_read.len();
            scratch[..kept].copy_from_slice(&self.half_read);
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // A stream that gave less than was asked for is empty: the next octet makes a new event.
            self.readable = kept + read == scratch.len();
            self.half_read.clear();
            out.clear();
            self.answer(&scratch[..kept + read], out, receipts)?;
            if self.pending.is_empty() {
                self.write(out)?;
            } else {
                self.pending.extend_from_slice(out);
            }
        }
        Ok(())
    }

    fn answer(&mut self, bytes: &[u8], out: &mut Vec<u8>, receipts: bool) -> io::Result<()> {
        let mut frames = Frames::new(bytes);
        for pdu in frames.by_ref() {
            let pdu = pdu.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            match pdu.command_id {
                SUBMIT_SM => {
                    let id = (u64::from(self.number) << 32) | u64::from(pdu.sequence);
                    let id = MessageId::from_u64(id).text();
                    let mut response = [0; RESPONSE_LEN];
                    response[..HEADER_LEN].copy_from_slice(&header(
                        RESPONSE_LEN,
                        SUBMIT_SM_RESP,
                        0,
                        pdu.sequence,
                    ));
                    response[HEADER_LEN..RESPONSE_LEN - 1].copy_from_slice(id.as_bytes());
                    out.extend_from_slice(&response);
                    if receipts {
                        self.deliver_sequence = (self.deliver_sequence & 0x3FFF_FFFF) + 1;
                        push_receipt(out, self.deliver_sequence, id.as_bytes());
                    }
                }
                BIND_RECEIVER | BIND_TRANSMITTER | BIND_TRANSCEIVER if !self.bound => {
                    self.bound = true;
                    out.extend_from_slice(&header(22, pdu.command_id | RESPONSE, 0, pdu.sequence));
                    out.extend_from_slice(b"floor\0");
                }
                ENQUIRE_LINK | UNBIND => {
                    out.extend_from_slice(&header(HEADER_LEN, pdu.command_id | RESPONSE, 0, pdu.sequence));
                }
                id if id & RESPONSE != 0 => {}
                _ => out.extend_from_slice(&header(
                    HEADER_LEN,
                    GENERIC_NACK,
                    CommandStatus::ESME_RINVCMDID.0,
                    pdu.sequence,
                )),
            }
        }
        self.half_read.extend_from_slice(frames.rest());
        Ok(())
    }

    /// Writes once, and keeps what the socket did not take.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            match self.stream.write(&bytes[at..]) {
                Ok(written) => at += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.extend_from_slice(&bytes[at..]);
        Ok(())
    }
}

/// A delivery receipt (esm_class 0x04) with its text and the TLVs receipted_message_id and message_state.
fn push_receipt(out: &mut Vec<u8>, sequence: u32, id: &[u8]) {
    /// service_type to sm_default_msg_id: from 447700900000 to 12345, esm_class 0x04.
    const ENVELOPE: &[u8] = b"\0\x01\x01447700900000\0\x03\x0112345\0\x04\0\0\0\0\0\0\0\0";
    const BEFORE: &[u8] = b"id:";
    const AFTER: &[u8] =
        b" sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:";
    const STATE: &[u8] = b"\x04\x27\x00\x01\x02";
    let text_len = BEFORE.len() + id.len() + AFTER.len();
    let length = HEADER_LEN + ENVELOPE.len() + 1 + text_len + STATE.len() + 4 + id.len() + 1;
    out.extend_from_slice(&header(length, DELIVER_SM, 0, sequence));
    out.extend_from_slice(ENVELOPE);
    out.push(text_len as u8);
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(id);
    out.extend_from_slice(AFTER);
    out.extend_from_slice(STATE);
    out.extend_from_slice(&[0x00, 0x1E, 0, id.len() as u8 + 1]);
    out.extend_from_slice(id);
    out.push(0);
}
