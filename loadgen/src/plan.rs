//! What a run is to do, checked: the command line turned into values that the threads can use as they are.

use std::net::SocketAddr;
use std::time::Duration;

use crate::link::Tls;
use crate::schedule::Arrivals;
use crate::template::Shape;

/// How sessions are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BindMode {
    /// One transceiver a session.
    Trx,
    /// A transmitter and a receiver a session, on two connections of one thread.
    #[value(name = "tx+rx")]
    TxRx,
}

/// What drives the sending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// As fast as responses come, `window` submit_sm unanswered a session.
    Closed {
        /// submit_sm unanswered a session.
        window: u32,
    },
    /// By the clock.
    Open {
        /// Messages a second in all.
        rate: f64,
        /// Their distances.
        arrivals: Arrivals,
        /// submit_sm unanswered a session, if limited.
        window: Option<u32>,
    },
    /// Sessions are bound and held, nothing is sent.
    Idle,
}

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The SMSC's address as given.
    pub(crate) target: String,
    /// The same, resolved.
    pub(crate) address: SocketAddr,
    /// What its connections go by over TLS; `None`: without.
    pub(crate) tls: Option<Tls>,
    pub(crate) system_id: String,
    pub(crate) password: String,
    pub(crate) bind: BindMode,
    /// Sessions in all; in `tx+rx` mode each is two connections.
    pub(crate) sessions: usize,
    pub(crate) threads: usize,
    pub(crate) load: Load,
    /// Messages in all, if limited.
    pub(crate) count: Option<u64>,
    /// How long to send, if limited.
    pub(crate) duration: Option<Duration>,
    /// Time at the beginning that is not measured.
    pub(crate) warmup: Duration,
    pub(crate) shape: Shape,
    pub(crate) verify: bool,
    pub(crate) retry_throttled: bool,
    /// How long nothing may arrive before what is missing is given up.
    pub(crate) drain_timeout: Duration,
    /// The core of the first thread; the next threads take the next cores.
    pub(crate) pin: Option<usize>,
    /// Never sleep in the poll.
    pub(crate) spin: bool,
}

impl Plan {
    /// submit_sm that one session may have open at once: the window, or a bound where there is none.
    pub(crate) fn flight_capacity(&self) -> usize {
        /// Of all sessions of a run without window: 8 octets each.
        const OPEN_MAX: usize = 1 << 22;
        match self.load {
            // Four windows: one late response does not hold up the ring at once.
            Load::Closed { window } => window as usize * 4,
            Load::Open { .. } => (OPEN_MAX / self.sessions).clamp(1 << 10, 1 << 16),
            Load::Idle => 1,
        }
    }

    /// The most submit_sm one session may have unanswered.
    pub(crate) fn window(&self) -> u64 {
        match self.load {
            Load::Closed { window } => u64::from(window),
            Load::Open { window, .. } => window.map_or(u64::MAX, u64::from),
            Load::Idle => 0,
        }
    }

    /// Connections of the whole run.
    pub(crate) const fn connections(&self) -> usize {
        match self.bind {
            BindMode::Trx => self.sessions,
            BindMode::TxRx => self.sessions * 2,
        }
    }

    /// The share of `total` that is thread `thread`'s.
    pub(crate) const fn share(&self, total: u64, thread: usize) -> u64 {
        let threads = self.threads as u64;
        total / threads + if (thread as u64) < total % threads { 1 } else { 0 }
    }
}
