//! The records of one connection, whichever end of TLS we are there: the server's for a peer that has connected, the client's
//! for an ESME that was called.

use std::ops::Deref;

use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

use crate::tls::{Opened, Records, Unsealable};

/// The records of our end.
#[derive(Debug)]
pub(super) enum End {
    /// The peer has connected.
    Server(Records<UnbufferedServerConnection>),
    /// We have.
    Client(Records<UnbufferedClientConnection>),
}

/// The same for either end.
macro_rules! of_either {
    ($end:expr, $records:ident => $result:expr) => {
        match $end {
            End::Server($records) => $result,
            End::Client($records) => $result,
        }
    };
}

impl End {
    /// Whether we have connected.
    pub(super) const fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    /// What rustls knows of the connection.
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Self::Server(records) => records.side().deref().deref(),
            Self::Client(records) => records.side().deref().deref(),
        }
    }

    /// As [`Records::begin`].
    pub(super) fn begin(&mut self, answer: &mut Vec<u8>) {
        of_either!(self, records => records.begin(answer));
    }

    /// As [`Records::open`].
    pub(super) fn open(&mut self, incoming: &mut [u8], plain: &mut [u8], answer: &mut Vec<u8>) -> Opened {
        of_either!(self, records => records.open(incoming, plain, answer))
    }

    /// As [`Records::give_up`].
    pub(super) const fn give_up(&mut self) {
        of_either!(self, records => records.give_up());
    }

    /// As [`Records::seal`].
    pub(super) fn seal(
        &mut self,
        plain: &[u8],
        sealed: &mut [u8],
        pending: &mut [u8],
    ) -> Result<usize, Unsealable> {
        of_either!(self, records => records.seal(plain, sealed, pending))
    }

    /// As [`Records::close_notify`].
    pub(super) fn close_notify(
        &mut self,
        sealed: &mut [u8],
        pending: &mut [u8],
    ) -> Result<usize, Unsealable> {
        of_either!(self, records => records.close_notify(sealed, pending))
    }
}
