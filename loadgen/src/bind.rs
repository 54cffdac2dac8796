//! Connects and binds, blocking: the one part of a session that is not fast.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use smscd::smpp::{Bind, CommandId, CommandStatus, InterfaceVersion, encode_pdu};

use crate::link::{Buffers, Link};
use crate::plan::Plan;
use crate::status;
use crate::wire::{BadLength, Frames, HEADER_LEN, READ_BYTES, be32};

/// How long to wait for a connection, and then for the bind's response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The bind's sequence_number. Messages use others, see [`crate::template::sequence_of`].
const SEQUENCE: u32 = 0x7FFF_FFFF;

/// The three binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Transmitter,
    Receiver,
    Transceiver,
}

impl Role {
    const fn command_id(self) -> CommandId {
        match self {
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command_id().name())
    }
}

/// Opens one bound connection; with it, what came behind the bind's response. Errors say what a person can do about them.
pub(crate) fn bind(
    plan: &Plan,
    role: Role,
    buffers: &mut Buffers,
) -> anyhow::Result<(Link<TcpStream>, Vec<u8>)> {
    let target = &plan.target;
    let stream = TcpStream::connect_timeout(&plan.address, TIMEOUT).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!("{target}: connection refused; nothing listens there")
        }
        io::ErrorKind::TimedOut => {
            anyhow::anyhow!("{target}: no connection within {} s", TIMEOUT.as_secs())
        }
        _ => anyhow::anyhow!("{target}: cannot connect: {error}"),
    })?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut link = match &plan.tls {
        None => Link::plain(stream),
        Some(tls) => Link::connect(stream, tls, buffers)
            .map_err(|error| anyhow::anyhow!("{target}: no TLS connection: {error}"))?,
    };
    write_all(&mut link, &request(plan, role), buffers)?;
    let (pdu, rest) = read_pdu(&mut link, buffers).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            anyhow::anyhow!(
                "{target}: no answer to {role} within {} s; is it an SMPP port?",
                TIMEOUT.as_secs()
            )
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            anyhow::anyhow!(
                "{target}: closed the connection instead of answering {role}; is it an SMPP port?"
            )
        }
        io::ErrorKind::InvalidData => anyhow::anyhow!("{target} does not speak SMPP: {error}"),
        _ => anyhow::anyhow!("{target}: {error} while waiting for the answer to {role}"),
    })?;
    let (command_id, command_status) = (CommandId(be32(&pdu, 4)), CommandStatus(be32(&pdu, 8)));
    let nack = command_id == CommandId::GENERIC_NACK;
    if command_id != role.command_id().response() && !nack {
        anyhow::bail!("{target} does not behave as an SMSC: it answered {role} with {command_id:?}");
    }
    if nack || !command_status.is_ok() {
        let status = status::describe(command_status);
        anyhow::bail!("{target} refused {role} as \"{}\": {status}", plan.system_id);
    }
    link.stream.set_read_timeout(None)?;
    Ok((link, rest))
}

fn request(plan: &Plan, role: Role) -> Vec<u8> {
    let bind = Bind {
        system_id: plan.system_id.as_bytes(),
        password: plan.password.as_bytes(),
        system_type: b"LOADGEN",
        interface_version: InterfaceVersion::V34.octet(),
        ..Bind::default()
    };
    let mut pdu = Vec::new();
    encode_pdu(&mut pdu, role.command_id(), CommandStatus::ESME_ROK, SEQUENCE, &bind);
    pdu
}

fn write_all(link: &mut Link<TcpStream>, octets: &[u8], buffers: &mut Buffers) -> io::Result<()> {
    let mut written = 0;
    while written < octets.len() {
        written += link.write(&[], &octets[written..], buffers)?;
    }
    link.flush_sealed()?;
    Ok(())
}

/// Reads one PDU, and whatever comes with it.
fn read_pdu(link: &mut Link<TcpStream>, buffers: &mut Buffers) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut octets = Vec::new();
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match Frames::new(&octets).next() {
            Some(Ok(_)) => {
                let rest = octets.split_off(be32(&octets, 0) as usize);
                return Ok((octets, rest));
            }
            Some(Err(BadLength(_))) => {
                let start = octets[..octets.len().min(HEADER_LEN)].escape_ascii();
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it answered \"{start}\"")));
            }
            None => {}
        }
        match link.read(&mut chunk, buffers)?.len {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => octets.extend_from_slice(&chunk[..len]),
        }
    }
}
