//! Accepts connections, and makes those to ESMEs that are to be called ([`super::outbind`]); gives each to the least-loaded
//! worker, where it stays for its whole life.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use tracing::{info, warn};

use super::admission::{Admission, Load};
use super::outbind::{Boards, Caller, Outbind};
use super::thread::ThreadWaker;
use super::tls::{HandshakePlace, ServerTls};
use crate::control_lane::Wake;
use crate::stats::{Counter, ThreadCounters};

/// A connection on its way to a worker.
#[derive(Debug)]
pub struct Arrival {
    /// The socket, non-blocking, without Nagle's delay.
    pub stream: TcpStream,
    /// The peer.
    pub peer: SocketAddr,
    /// On a TLS listener: the place of its handshake.
    pub handshake: Option<HandshakePlace>,
    /// On a connection of ours: what to say first.
    pub outbind: Option<Outbind>,
}

/// The way to one worker.
pub struct WorkerDoor {
    /// Its arrivals.
    pub arrivals: Sender<Arrival>,
    /// Wakes it.
    pub waker: Arc<ThreadWaker>,
    /// How many it hosts.
    pub load: Arc<Load>,
}

/// Stops the acceptor from another thread.
#[derive(Clone)]
pub struct AcceptorStop {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl AcceptorStop {
    /// No connection is accepted after the acceptor has seen this; the listeners close.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            warn!(%error, "the acceptor could not be woken");
        }
    }
}

/// What the acceptor is built from.
pub struct AcceptorParts {
    /// Bound and listening, non-blocking.
    pub listeners: Vec<std::net::TcpListener>,
    /// The same for TLS, and what handshakes there go by.
    pub tls: Option<(Vec<std::net::TcpListener>, Arc<ServerTls>)>,
    /// The workers.
    pub doors: Vec<WorkerDoor>,
    /// The limits.
    pub admission: Arc<Admission>,
    /// Which ESMEs may have to be called.
    pub boards: Boards,
    /// Its own counters.
    pub counters: Arc<ThreadCounters>,
}

const WAKER: Token = Token(usize::MAX);
/// After the system refuses a descriptor (too many open files), the pause before the next try.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Starts the acceptor's thread.
///
/// # Errors
/// When its poll or its thread can't be made.
pub fn start(parts: AcceptorParts) -> io::Result<(AcceptorStop, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (tls_listeners, tls) = parts.tls.unzip();
    let plain = parts.listeners.into_iter().map(|listener| (listener, None));
    let with_tls = tls_listeners.into_iter().flatten().map(|listener| (listener, tls.clone()));
    let mut listeners = Vec::new();
    for (index, (listener, tls)) in plain.chain(with_tls).enumerate() {
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, Token(index), Interest::READABLE)?;
        listeners.push(Listener { listener, tls });
    }
    let caller = Caller::new(parts.boards, Arc::clone(&waker));
    let stop = AcceptorStop { stop: Arc::new(AtomicBool::new(false)), waker };
    let acceptor = Acceptor {
        listeners,
        doors: parts.doors,
        admission: parts.admission,
        counters: parts.counters,
        stop: Arc::clone(&stop.stop),
    };
    let thread =
        std::thread::Builder::new().name("smscd-accept".into()).spawn(move || acceptor.run(poll, caller))?;
    Ok((stop, thread))
}

struct Listener {
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
}

struct Acceptor {
    listeners: Vec<Listener>,
    doors: Vec<WorkerDoor>,
    admission: Arc<Admission>,
    counters: Arc<ThreadCounters>,
    stop: Arc<AtomicBool>,
}

impl Acceptor {
    fn run(&self, mut poll: Poll, mut caller: Caller) {
        let mut events = Events::with_capacity(64);
        let mut exhausted = false;
        while !self.stop.load(Ordering::Acquire) {
            let next_call = caller.call(Instant::now(), |stream, peer, outbind| {
                if self.admit(peer) {
                    self.hand_over(Arrival { stream, peer, handshake: None, outbind: Some(outbind) });
                }
            });
            let pause = exhausted.then_some(EXHAUSTED_PAUSE);
            let timeout = pause.into_iter().chain(next_call).min();
            if let Err(error) = poll.poll(&mut events, timeout) {
                if error.kind() != io::ErrorKind::Interrupted {
                    warn!(%error, "the acceptor's poll failed");
                }
                continue;
            }
            exhausted = false;
            for index in 0..self.listeners.len() {
                exhausted |= self.accept_all(index);
            }
        }
    }

    /// Accepts all that wait. True: the system had no descriptor left, so connections may still wait.
    fn accept_all(&self, index: usize) -> bool {
        let Some(listener) = self.listeners.get(index) else { return false };
        loop {
            match listener.listener.accept() {
                Ok((stream, peer)) => self.place(stream.into(), peer, listener.tls.as_deref()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The peer was gone before we took it, or a signal came: the next one may be fine.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    return true;
                }
            }
        }
    }

    fn place(&self, stream: TcpStream, peer: SocketAddr, tls: Option<&ServerTls>) {
        let handshake = tls.map(ServerTls::begin_handshake);
        if let Some(None) = handshake {
            info!(%peer, "connection refused: as many TLS handshakes are under way as may be");
            self.counters.add(Counter::TlsHandshakesRefused, 1);
            return;
        }
        // Dropping the stream closes it.
        if self.admit(peer) {
            self.hand_over(Arrival { stream, peer, handshake: handshake.flatten(), outbind: None });
        }
    }

    /// Whether there is room for one more connection with this peer; then it is counted.
    fn admit(&self, peer: SocketAddr) -> bool {
        let admitted = self.admission.admit(peer.ip());
        if let Err(limit) = admitted {
            info!(?limit, %peer, "connection refused");
            self.counters.add(Counter::ConnectionsRefused, 1);
        }
        admitted.is_ok()
    }

    /// Gives a connection to the worker with the fewest.
    fn hand_over(&self, arrival: Arrival) {
        let peer = arrival.peer;
        let door = self.doors.iter().min_by_key(|door| door.load.connections());
        let taken = door.is_some_and(|door| {
            // Each response must leave at once (field-notes quirk 27); writes are batched per turn anyway.
            drop(arrival.stream.set_nodelay(true));
            door.load.take();
            let taken = door.arrivals.send(arrival).is_ok();
            if taken {
                door.waker.wake();
            } else {
                door.load.release(peer.ip());
            }
            taken
        });
        if !taken {
            self.counters.add(Counter::ConnectionsRefused, 1);
        }
    }
}
