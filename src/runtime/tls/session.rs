//! The TLS side of one connection. Like the connection itself it owns no buffer while nothing is under way.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{Error, HandshakeKind, PeerMisbehaved, ProtocolVersion};

use super::super::connection::Unread;
use super::super::out_queue::OutQueue;
use super::super::outbind::Outbind;
use super::super::pool::ChunkPool;
use super::ends::End;
use super::{ClientIdentity, HandshakePlace};
use crate::base::Time;
use crate::control_lane::TlsInfo;
use crate::limits::TLS_PENDING_BYTES_MAX;
use crate::session::CloseReason;
use crate::stats::Counter;
use crate::tls::{HANDSHAKE_RECORD, Opened, Records, Unsealable, record_len};

/// A handshake under way.
#[derive(Debug)]
struct Handshake {
    deadline: Time,
    purpose: Purpose,
}

/// What a handshake is for.
#[derive(Debug)]
enum Purpose {
    /// A peer has connected, and has one of the places there are.
    Accept { _place: HandshakePlace },
    /// An ESME was called, to say this to it.
    Call(Outbind),
}

/// The TLS side of a connection.
#[derive(Debug)]
pub struct TlsSession {
    /// What comes and goes.
    records: End,
    /// Sealed, and not yet taken by the socket.
    pub sealed: OutQueue,
    /// Received, and not yet a whole record.
    pending: Unread,
    /// Since when a record is half-read.
    pub record_since: Time,
    handshake: Option<Handshake>,
    /// The first octet was seen to be TLS.
    is_tls: bool,
    identity: Option<ClientIdentity>,
    /// Nothing more can be read: why.
    pub ended: Option<CloseReason>,
    /// Our end has been said, as close_notify or as an alert, or can't be.
    pub notified: bool,
}

/// A connection that TLS has given up.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it is counted as.
    pub counter: Counter,
    /// What ends the connection.
    pub reason: CloseReason,
    /// What is said about it.
    pub error: Error,
    /// It was a call of ours.
    pub is_call: bool,
}

/// What became of octets received.
#[derive(Debug, Default)]
pub struct Received {
    /// Octets of plaintext.
    pub plain: usize,
    /// The handshake is over with these.
    pub is_established: bool,
    /// The call has come about, and this is to be said.
    pub outbind: Option<Outbind>,
    /// A renegotiation was asked for and refused.
    pub is_renegotiation: bool,
    /// It can't go on.
    pub failure: Option<Failure>,
}

impl TlsSession {
    /// A connection just accepted.
    pub fn accept(connection: UnbufferedServerConnection, deadline: Time, place: HandshakePlace) -> Self {
        Self::new(End::Server(Records::new(connection)), deadline, Purpose::Accept { _place: place })
    }

    /// A call to an ESME, with our hello to be sent.
    pub fn call(
        connection: UnbufferedClientConnection,
        deadline: Time,
        outbind: Outbind,
        pool: &mut ChunkPool,
    ) -> Self {
        let mut call = Self::new(End::Client(Records::new(connection)), deadline, Purpose::Call(outbind));
        let mut hello = Vec::new();
        call.records.begin(&mut hello);
        call.sealed.extend(&hello, pool);
        call
    }

    fn new(records: End, deadline: Time, purpose: Purpose) -> Self {
        Self {
            records,
            sealed: OutQueue::default(),
            pending: Unread::default(),
            record_since: Time::NEVER,
            handshake: Some(Handshake { deadline, purpose }),
            is_tls: false,
            identity: None,
            ended: None,
            notified: false,
        }
    }

    /// Whether the handshake is still to be finished.
    pub const fn is_handshaking(&self) -> bool {
        self.handshake.is_some()
    }

    /// When the handshake is given up.
    pub fn handshake_deadline(&self) -> Time {
        self.handshake.as_ref().map_or(Time::NEVER, |handshake| handshake.deadline)
    }

    /// Who the peer is by its certificate, if it showed one.
    pub const fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_ref()
    }

    /// Octets that wait for the rest of their record. The next ones are read behind them.
    pub fn pending_len(&self) -> usize {
        self.pending.as_slice().len()
    }

    /// Takes what was read: `octets` end with it, and have room for what was pending before it. Plaintext goes to the
    /// front of `plain`, what is to be sent in return is appended to `answer`.
    pub fn receive(
        &mut self,
        octets: &mut [u8],
        plain: &mut [u8],
        answer: &mut Vec<u8>,
        now: Time,
        pool: &mut ChunkPool,
    ) -> Received {
        let waiting = self.pending_len();
        let mut received = Received::default();
        let (front, read) = octets.split_at_mut_checked(waiting).unwrap_or_default();
        // What we have called is TLS or an error of its own.
        if !self.is_tls
            && !self.records.is_client()
            && read.first().is_some_and(|&first| first != HANDSHAKE_RECORD)
        {
            received.failure = Some(Failure {
                counter: Counter::ForeignProtocols,
                reason: CloseReason::ForeignProtocol,
                error: Error::General("the first octet begins no handshake".to_owned()),
                is_call: false,
            });
            return received;
        }
        self.is_tls = true;
        if self.pending.missing() > read.len() {
            // Of a record that comes in small pieces each piece is touched once.
            self.pending.append(read, 0, pool);
            return received;
        }
        front.copy_from_slice(self.pending.as_slice());
        self.pending.clear(pool);
        let Opened { consumed, plain, is_closed, error } = self.records.open(octets, plain, answer);
        received.plain = plain;
        let rest = octets.get(consumed..).unwrap_or_default();
        if rest.is_empty() {
            self.record_since = Time::NEVER;
        } else if consumed > 0 || self.record_since == Time::NEVER {
            self.record_since = now;
        }
        if is_closed {
            let reason = if self.is_handshaking() { CloseReason::TlsFailed } else { CloseReason::PeerGone };
            self.ended = Some(reason);
        }
        received.failure = match error {
            Some(error) => Some(self.failure(error)),
            None if rest.len() > TLS_PENDING_BYTES_MAX => {
                Some(self.failure(Error::General("a handshake message of too many octets".to_owned())))
            }
            None => None,
        };
        if received.failure.is_some() {
            self.records.give_up();
            self.record_since = Time::NEVER;
            return received;
        }
        self.pending.append(rest, record_len(rest).unwrap_or_default(), pool);
        if !self.is_handshaking() {
            // The one thing that TLS 1.2 says on its own once it is up.
            received.is_renegotiation = !answer.is_empty()
                && self.records.state().protocol_version() == Some(ProtocolVersion::TLSv1_2);
        } else if !self.records.state().is_handshaking() {
            received.is_established = true;
            match self.handshake.take().map(|handshake| handshake.purpose) {
                // Its certificate says what it is as a server, and nothing of what it may bind as.
                Some(Purpose::Call(outbind)) => received.outbind = Some(outbind),
                Some(Purpose::Accept { .. }) | None => {
                    let certificates = self.records.state().peer_certificates();
                    self.identity = certificates.and_then(<[_]>::first).map(ClientIdentity::of);
                }
            }
        }
        received
    }

    /// As [`Records::seal`].
    ///
    /// # Errors
    /// As there.
    pub fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Unsealable> {
        self.records.seal(plain, sealed, self.pending.as_mut_slice())
    }

    /// As [`Records::close_notify`].
    ///
    /// # Errors
    /// As there.
    pub fn close_notify(&mut self, sealed: &mut [u8]) -> Result<usize, Unsealable> {
        self.records.close_notify(sealed, self.pending.as_mut_slice())
    }

    /// The end of the stream has come without close_notify.
    pub fn cut_off(&mut self, heard: bool) -> Option<Counter> {
        if self.is_handshaking() {
            return heard.then_some(Counter::TlsHandshakesAborted);
        }
        (self.ended.is_none()).then_some(Counter::TlsTruncations)
    }

    /// Whether the session goes on where an earlier one left off.
    pub fn is_resumed(&self) -> bool {
        self.records.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What GET /sessions shows of it.
    pub fn info(&self) -> TlsInfo {
        let side = self.records.state();
        TlsInfo {
            version: match side.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: side
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or_default(),
            identity: self.identity.as_ref().map(|identity| identity.name().to_owned()),
        }
    }

    /// Gives every buffer back.
    pub fn release(&mut self, pool: &mut ChunkPool) {
        self.sealed.clear(pool);
        self.pending.clear(pool);
    }

    fn failure(&mut self, error: Error) -> Failure {
        // The alert for it is in what is to be sent.
        self.notified = true;
        let counter = match &error {
            Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests) => {
                Counter::TlsRenegotiationsRefused
            }
            Error::AlertReceived(_) if !self.is_handshaking() => Counter::TlsTruncations,
            _ if !self.is_handshaking() => Counter::TlsRecordsBroken,
            Error::AlertReceived(_) => Counter::TlsHandshakesAborted,
            Error::PeerIncompatible(_) => Counter::TlsNothingInCommon,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Counter::TlsCertificatesRefused,
            _ => Counter::TlsHandshakesBroken,
        };
        let is_call = self.records.is_client();
        Failure { counter, reason: CloseReason::TlsFailed, error, is_call }
    }
}
