//! A conversation that remembers the octets both ways.

use std::net::{SocketAddr, TcpStream};

use crate::support::esme::*;
use crate::support::tls::Octets;

/// Who sent what.
pub(crate) enum Said {
    Esme(Vec<u8>),
    Daemon(Vec<u8>),
}

pub(crate) struct Talk {
    esme: RawEsme,
    pub(crate) said: Vec<Said>,
}

impl Talk {
    pub(crate) fn connect(smpp: SocketAddr) -> Self {
        Self { esme: RawEsme::connect(smpp), said: Vec::new() }
    }

    /// On a connection that the daemon has made.
    pub(crate) fn over(stream: TcpStream) -> Self {
        set_up(&stream);
        Self { esme: RawEsme::over(Octets::new(stream, None)), said: Vec::new() }
    }

    /// As the account demo, which must be let in.
    pub(crate) fn bind(smpp: SocketAddr, mode: Mode, version: u8) -> Self {
        let mut talk = Self::connect(smpp);
        talk.send(mode.command_id(), &bind_body("demo", "demo", version, ""));
        let response = talk.receive().expect("an answer");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, ESME_ROK));
        talk
    }

    /// Sends a PDU; its sequence_number.
    pub(crate) fn send(&mut self, id: u32, body: &[u8]) -> u32 {
        let sequence = self.esme.sequence();
        let octets = pdu(id, 0, sequence, body);
        self.esme.send(&octets);
        self.said.push(Said::Esme(octets));
        sequence
    }

    /// Answers a deliver_sm with ESME_ROK.
    pub(crate) fn respond(&mut self, to: &Pdu) {
        assert_eq!(to.id, DELIVER_SM);
        let octets = pdu(DELIVER_SM | RESP, ESME_ROK, to.sequence, &[0]);
        self.esme.send(&octets);
        self.said.push(Said::Esme(octets));
    }

    /// The next PDU; `None` once the daemon has closed.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        let received = self.esme.receive_or_end()?;
        self.said.push(Said::Daemon(pdu(received.id, received.status, received.sequence, &received.body)));
        Some(received)
    }
}
