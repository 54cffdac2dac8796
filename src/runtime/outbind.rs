//! Calls to ESMEs (outbind; 3.4 sections 2.2.1 and 4.1.7): when messages wait for an account and none of its sessions
//! receives, the ESME that its configuration names is called, and expected to bind on that connection.
//!
//! The shards say on a [`Board`] for whom messages wait. The acceptor, which has the doors to the workers, makes the calls
//! ([`Caller`]); a worker sends the outbind, and from then on the connection is like any other. There is one call to an
//! account at a time, and the next one waits: first for as long as configured, then twice as long each time up to a most,
//! until nothing waits any more.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::Waker;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::tls::{CalleeTls, Callees};
use crate::base::AccountId;
use crate::config::Config;

/// Shards that one word has bits for.
const SHARDS_PER_WORD: u16 = 64;

/// What an outbind says.
#[derive(Clone)]
pub struct Outbind {
    /// Who calls.
    pub system_id: Vec<u8>,
    /// The proof. Never logged.
    pub password: Vec<u8>,
    /// Held by the connection: while any is, the call is not over.
    pub line: Arc<()>,
    /// Over TLS, and then how.
    pub tls: Option<Arc<CalleeTls>>,
}

impl std::fmt::Debug for Outbind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbind").finish_non_exhaustive()
    }
}

/// One account's ESME.
#[derive(Debug)]
struct Callee {
    account: AccountId,
    name: String,
    address: SocketAddr,
    outbind: Outbind,
    /// Never called without.
    is_tls: bool,
    retry_first: Duration,
    retry_max: Duration,
    /// A bit for each shard in which messages wait for it.
    waiting: [AtomicU64; 2],
}

/// All ESMEs that may have to be called, under one configuration.
#[derive(Debug)]
pub struct Board {
    callees: Vec<Callee>,
    bell: Arc<Bell>,
}

/// Rouses the caller.
#[derive(Debug, Default)]
struct Bell {
    waker: Mutex<Option<Arc<Waker>>>,
}

impl Bell {
    fn ring(&self) {
        if let Some(waker) = &*self.waker.lock()
            && let Err(error) = waker.wake()
        {
            warn!(%error, "the acceptor could not be woken");
        }
    }
}

impl Board {
    /// Whether there is nobody to call.
    pub const fn is_empty(&self) -> bool {
        self.callees.is_empty()
    }

    /// A shard says for which of these accounts messages wait there that no session can get.
    pub fn note(&self, shard: u16, waits: impl Fn(AccountId) -> bool) {
        let bit = 1 << (shard % SHARDS_PER_WORD);
        for callee in &self.callees {
            let Some(word) = callee.waiting.get(usize::from(shard / SHARDS_PER_WORD)) else { return };
            let (is_set, waits) = (word.load(Ordering::Relaxed) & bit != 0, waits(callee.account));
            if waits && !is_set {
                word.fetch_or(bit, Ordering::Release);
                self.bell.ring();
            } else if is_set && !waits {
                word.fetch_and(!bit, Ordering::Release);
            }
        }
    }
}

impl Callee {
    fn is_awaited(&self) -> bool {
        self.waiting.iter().any(|word| word.load(Ordering::Acquire) != 0)
    }
}

/// The board in effect, for whoever changes it and whoever goes by it.
#[derive(Clone, Debug)]
pub struct Boards {
    current: Arc<Mutex<Arc<Board>>>,
    bell: Arc<Bell>,
    callees: Arc<Callees>,
}

impl Boards {
    /// The board of a configuration; `callees`: how those are called that are called over TLS.
    pub fn new(config: &Config, callees: Arc<Callees>) -> Self {
        let bell = Arc::new(Bell::default());
        let board = Arc::new(board(config, Arc::clone(&bell)));
        Self { current: Arc::new(Mutex::new(board)), bell, callees }
    }

    /// The board in effect.
    pub fn current(&self) -> Arc<Board> {
        Arc::clone(&self.current.lock())
    }

    /// The board of a changed configuration, from now on in effect. What waits is to be noted on it anew.
    pub fn change(&self, config: &Config) -> Arc<Board> {
        let board = Arc::new(board(config, Arc::clone(&self.bell)));
        *self.current.lock() = Arc::clone(&board);
        self.bell.ring();
        board
    }
}

fn board(config: &Config, bell: Arc<Bell>) -> Board {
    let callees = (0..).map(AccountId).zip(&config.accounts).filter_map(|(account, configured)| {
        let outbind = configured.outbind.as_ref().filter(|_| configured.enabled)?;
        let system_id = outbind.system_id.as_ref().unwrap_or(&config.smpp.system_id);
        Some(Callee {
            account,
            name: configured.system_id.clone(),
            address: outbind.address,
            outbind: Outbind {
                system_id: system_id.clone().into_bytes(),
                password: outbind.password.expose().as_bytes().to_vec(),
                line: Arc::new(()),
                tls: None,
            },
            is_tls: outbind.tls,
            retry_first: Duration::from_millis(outbind.retry_first_ms),
            retry_max: Duration::from_millis(outbind.retry_max_ms),
            waiting: Default::default(),
        })
    });
    Board { callees: callees.collect(), bell }
}

/// How it stands with one callee.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    /// Not to be called before; `None`: at once.
    not_before: Option<Instant>,
    /// How long the next call waits after the last one.
    wait: Duration,
}

/// Makes the calls, on the acceptor's thread.
#[derive(Debug)]
pub struct Caller {
    boards: Boards,
    board: Arc<Board>,
    calls: Vec<Call>,
}

impl Caller {
    /// For these boards; `waker` wakes the thread that it is on.
    pub fn new(boards: Boards, waker: Arc<Waker>) -> Self {
        *boards.bell.waker.lock() = Some(waker);
        let board = boards.current();
        let calls = vec![Call::default(); board.callees.len()];
        Self { boards, board, calls }
    }

    /// Calls whoever is due now: `place` finds the connection a worker. How long to wait for the next; `None`: until woken.
    pub fn call(
        &mut self,
        now: Instant,
        mut place: impl FnMut(TcpStream, SocketAddr, Outbind),
    ) -> Option<Duration> {
        let current = self.boards.current();
        if !Arc::ptr_eq(&current, &self.board) {
            self.calls = vec![Call::default(); current.callees.len()];
            self.board = current;
        }
        let mut next = None;
        for (callee, call) in self.board.callees.iter().zip(&mut self.calls) {
            if !callee.is_awaited() {
                *call = Call::default();
                continue;
            }
            if call.not_before.is_none_or(|at| at <= now) {
                // A call that is under way, or a session that came of one and does not receive, is let be.
                let is_free = Arc::strong_count(&callee.outbind.line) == 1;
                call.wait = match call.wait {
                    wait if !is_free => wait.max(callee.retry_first),
                    Duration::ZERO => callee.retry_first,
                    wait => (wait * 2).min(callee.retry_max),
                };
                call.not_before = Some(now + call.wait);
                if is_free {
                    dial(callee, &self.boards.callees, &mut place);
                }
            }
            let wait = call.not_before.map(|at| at.saturating_duration_since(now));
            next = next.into_iter().chain(wait).min();
        }
        next
    }
}

/// Begins a connection. Whether it comes about is the worker's to see.
fn dial(callee: &Callee, callees: &Callees, place: &mut impl FnMut(TcpStream, SocketAddr, Outbind)) {
    let tls = if callee.is_tls { callees.of(&callee.name) } else { None };
    if callee.is_tls && tls.is_none() {
        // Between two configurations: the next call goes by the new one.
        return;
    }
    match mio::net::TcpStream::connect(callee.address) {
        Ok(stream) => {
            info!(account = callee.name, address = %callee.address, "messages wait: calling the ESME");
            place(stream.into(), callee.address, Outbind { tls, ..callee.outbind.clone() });
        }
        Err(error) => {
            warn!(account = callee.name, address = %callee.address, %error, "the ESME can't be called");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tls::CalleeSettings;

    fn boards(address: SocketAddr) -> Boards {
        let text = format!(
            "[[account]]\nsystem_id = \"a\"\npassword = \"a\"\n[[account]]\nsystem_id = \"b\"\npassword = \"b\"\n\
             [account.outbind]\naddress = \"{address}\"\nretry_first_ms = 1000\nretry_max_ms = 3000\n"
        );
        let config = Config::from_toml(&text, "test").expect("valid");
        let callees = CalleeSettings::load(&config).expect("no files");
        Boards::new(&config, Arc::new(Callees::new(callees)))
    }

    /// Called at these seconds from the start, one call being over at once.
    #[test]
    fn calls_are_made_while_messages_wait_and_ever_more_rarely() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let boards = boards(address);
        let poll = mio::Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).expect("a waker"));
        let mut caller = Caller::new(boards.clone(), waker);
        let start = Instant::now();
        let mut called = |second: u64, lines: &mut Vec<Outbind>| {
            let mut calls = 0;
            let next = caller.call(start + Duration::from_secs(second), |_, peer, outbind| {
                assert_eq!((peer, outbind.system_id.as_slice()), (address, b"smscd".as_slice()));
                lines.push(outbind);
                calls += 1;
            });
            (calls, next.map(|next| next.as_secs()))
        };
        let none = &mut Vec::new();
        assert_eq!(called(0, none), (0, None));
        boards.current().note(70, |account| account == AccountId(1));
        let mut made = Vec::new();
        for second in 0..12 {
            let (calls, next) = called(second, none);
            none.clear();
            assert!(next.is_some());
            made.extend((calls > 0).then_some(second));
        }
        assert_eq!(made, [0, 1, 3, 6, 9], "after 1, 2, 3 and 3 seconds");
        // Another account's messages change nothing; once none wait, it begins anew.
        boards.current().note(70, |_| false);
        assert_eq!(called(20, none), (0, None));
        boards.current().note(0, |account| account == AccountId(0));
        assert_eq!(called(21, none), (0, None));
        boards.current().note(0, |account| account == AccountId(1));
        let mut open = Vec::new();
        assert_eq!(called(22, &mut open), (1, Some(1)));
        assert_eq!(called(23, none), (0, Some(1)), "the line is not free");
        open.clear();
        assert_eq!(called(24, none), (1, Some(2)));
    }
}
