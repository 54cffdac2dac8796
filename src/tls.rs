//! TLS records between the octets of a connection and rustls: opens what has come, seals what is to go. Sans-IO, and
//! without a buffer of its own: the caller's are decrypted and encrypted in place of one, many records at a time.

use std::fmt;
use std::ops::{Deref, DerefMut};

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus,
};

/// Octets of the largest record on the wire: its header, and a fragment with the expansion that TLS 1.2 allows
/// (RFC 5246 section 6.2.3).
pub const RECORD_BYTES_MAX: usize = 5 + (1 << 14) + 2048;

/// Octets of plaintext that go into one record at most (RFC 8446 section 5.1).
pub const FRAGMENT_BYTES_MAX: usize = 1 << 14;

/// What one record takes beside its plaintext, generously.
const RECORD_OVERHEAD: usize = 64;

/// Content type of a handshake record, the first octet of any TLS peer (RFC 8446 section 5.1).
pub const HANDSHAKE_RECORD: u8 = 22;

/// One side of a TLS connection.
pub trait Side: DerefMut + Deref<Target = UnbufferedConnectionCommon<Self::Data>> {
    /// What rustls keeps for this side.
    type Data;
    /// [`UnbufferedConnectionCommon`]'s method of this name, which it has for each side apart.
    fn process_tls_records<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process_tls_records<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        (**self).process_tls_records(incoming)
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process_tls_records<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        (**self).process_tls_records(incoming)
    }
}

/// What [`Records::open`] made of the octets that it was given.
#[derive(Debug)]
pub struct Opened {
    /// Octets of them that are done with. The rest must come first in the next call, as this one has left it.
    pub consumed: usize,
    /// Octets of plaintext.
    pub plain: usize,
    /// The peer has closed in order: nothing comes after that plaintext.
    pub is_closed: bool,
    /// Why the connection can't go on. What is to be sent says so to the peer.
    pub error: Option<rustls::Error>,
}

/// The records of one connection.
///
/// rustls notes where in the octets that it has left a message begins that has not come to its end, and panics when it finds
/// others there, or none: so they are asked for in every call, counted, and no call is made after an error or the end.
pub struct Records<S> {
    side: S,
    /// Octets that [`Records::open`] has left.
    left: usize,
    is_over: bool,
}

impl<S: Side> Records<S> {
    /// Nothing has been exchanged yet.
    pub const fn new(side: S) -> Self {
        Self { side, left: 0, is_over: false }
    }

    /// What rustls knows of the connection.
    pub const fn side(&self) -> &S {
        &self.side
    }

    /// Whether the handshake is still to be finished.
    pub fn is_handshaking(&self) -> bool {
        self.side.is_handshaking()
    }

    /// Opens the whole records at the front of `incoming`. Their plaintext goes to the front of `plain`, which is at least
    /// as large; whatever is to be sent in return is appended to `answer`.
    pub fn open(&mut self, incoming: &mut [u8], plain: &mut [u8], answer: &mut Vec<u8>) -> Opened {
        let mut opened = Opened { consumed: 0, plain: 0, is_closed: false, error: None };
        if self.is_over || incoming.len() < self.left {
            debug_assert!(self.is_over, "octets that were left are missing");
            self.is_over = true;
            opened.error = Some(rustls::Error::General("the connection is over".to_owned()));
            return opened;
        }
        loop {
            let rest = incoming.get_mut(opened.consumed..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.side.process_tls_records(rest);
            let mut is_done = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let Ok(record) = record else { break };
                        discard += record.discard;
                        let end = opened.plain + record.payload.len();
                        if let Some(room) = plain.get_mut(opened.plain..end) {
                            room.copy_from_slice(record.payload);
                            opened.plain = end;
                        } else {
                            debug_assert!(false, "more plaintext than there were octets");
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, answer),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => opened.is_closed = true,
                // Nothing more to do without more octets; early data is never allowed.
                Ok(_) => is_done = true,
                Err(error) => {
                    opened.error = Some(error);
                    is_done = true;
                }
            }
            opened.consumed += discard;
            if is_done {
                break;
            }
        }
        self.left = incoming.len() - opened.consumed.min(incoming.len());
        if opened.error.is_some() {
            self.is_over = true;
            self.take_alert(answer);
        }
        opened
    }

    /// Nothing more can be opened or sealed.
    pub const fn give_up(&mut self) {
        self.is_over = true;
    }

    /// Whatever rustls has to say to the peer before anything was received: a client's hello.
    pub fn begin(&mut self, answer: &mut Vec<u8>) {
        self.open(&mut [], &mut [], answer);
    }

    /// Seals `plain` as records of full size at the front of `sealed`; returns their octets. `sealed` has room for
    /// [`sealed_bytes_max`] of them. `pending`: what [`Records::open`] has left.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn seal(&mut self, plain: &[u8], sealed: &mut [u8], pending: &mut [u8]) -> Result<usize, Unsealable> {
        self.write(sealed, pending, |traffic, room| traffic.encrypt(plain, room))
    }

    /// Says in order that this is the end: puts a close_notify at the front of `sealed`, returns its octets. Nothing is
    /// opened or sealed after it. `pending`: as above.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn close_notify(&mut self, sealed: &mut [u8], pending: &mut [u8]) -> Result<usize, Unsealable> {
        let written = self.write(sealed, pending, |traffic, room| traffic.queue_close_notify(room));
        self.is_over = true;
        written
    }

    fn write(
        &mut self,
        sealed: &mut [u8],
        pending: &mut [u8],
        write: impl FnOnce(
            &mut rustls::unbuffered::WriteTraffic<'_, S::Data>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<usize, Unsealable> {
        let mut used = 0;
        if self.is_over || pending.len() < self.left {
            debug_assert!(self.is_over, "octets that were left are missing");
            return Err(Unsealable);
        }
        loop {
            let room = sealed.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.side.process_tls_records(pending);
            if discard > 0 {
                debug_assert!(false, "something was left that could be opened");
                self.is_over = true;
                return Err(Unsealable);
            }
            match state {
                // A key update goes out before what is sealed by the new keys.
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    used += data.encode(room).map_err(|_| Unsealable)?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => (),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return write(&mut traffic, room).map(|len| used + len).map_err(|_| Unsealable);
                }
                Ok(_) | Err(_) => return Err(Unsealable),
            }
        }
    }

    /// After an error: the alert that tells the peer. While there is something to be sent, rustls looks no further.
    fn take_alert(&mut self, answer: &mut Vec<u8>) {
        while self.side.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) = self.side.process_tls_records(&mut []).state
        {
            encode(&mut data, answer);
        }
    }
}

impl<S> fmt::Debug for Records<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest is keys.
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

/// Nothing can be sent: there are no keys yet, or they have worn out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TLS connection can't send")]
pub struct Unsealable;

/// Octets that `plain` octets take at most once they are sealed together.
pub const fn sealed_bytes_max(plain: usize) -> usize {
    // A key update may go before them.
    plain + (plain / FRAGMENT_BYTES_MAX + 2) * RECORD_OVERHEAD
}

/// Octets of the record at the front of `octets`, header and all; `None` while that is unknown, or if what is there is no
/// header (it may be a message that rustls has opened in place and waits for the rest of).
pub fn record_len(octets: &[u8]) -> Option<usize> {
    let [content_type @ 20..=23, 3, 0..=4, high, low, ..] = octets else { return None };
    let _ = content_type;
    let len = 5 + usize::from(u16::from_be_bytes([*high, *low]));
    (len <= RECORD_BYTES_MAX).then_some(len)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, answer: &mut Vec<u8>) {
    let start = answer.len();
    // Told by the first try how much room it takes.
    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else { return };
    answer.resize(start + needed.required_size, 0);
    let encoded = data.encode(answer.get_mut(start..).unwrap_or_default());
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

#[cfg(test)]
mod tests;
