//! Places: whatever mix of binds, refusals, unbinds, drops, broken frames, failed TLS handshakes and reloads there was, the
//! daemon counts exactly the sessions, connections and handshakes that live. Where a count shows nowhere (places of an
//! account, places for handshakes), it is tried out: as many as may be fit, and not one more.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustls::ClientConnection;
use support::esme::*;
use support::tls::{AUTHORITY, Authority, Octets, Version};
use support::{DEADLINE, Daemon, Layout};

const ACCOUNTS: [&str; 2] = ["alice", "bob"];
const SESSIONS_MAX: [usize; 2] = [2, 3];
/// More than `Step`s leave open.
const CONNECTIONS_MAX: usize = 40;
const HANDSHAKES_MAX: usize = 4;

fn config(is_enabled: [bool; 2]) -> String {
    let mut config = format!(
        "[limits]\nconnections_max = {CONNECTIONS_MAX}\nfailed_binds_per_address = 0\nfailed_binds_per_system_id = 0\n"
    );
    for ((name, sessions_max), enabled) in ACCOUNTS.iter().zip(SESSIONS_MAX).zip(is_enabled) {
        config += &format!(
            "[[account]]\nsystem_id = \"{name}\"\npassword = \"right\"\nsessions_max = {sessions_max}\nenabled = {enabled}\n"
        );
    }
    config
}

#[derive(Clone, Copy, Debug)]
enum Handshake {
    /// The peer leaves before it has said a word.
    Silent,
    /// In the middle of its hello.
    Half,
    /// It does not speak TLS.
    NotTls,
    /// It does not trust the daemon.
    Untrusting,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Bind {
        account: usize,
        is_right: bool,
        is_tls: bool,
        mode: usize,
    },
    BindUnknown,
    BindTwice {
        which: usize,
    },
    Unbind {
        which: usize,
    },
    Vanish {
        which: usize,
    },
    Reset {
        which: usize,
    },
    BreakFrame {
        which: usize,
    },
    /// A connection that never binds, and is held.
    Idle,
    DropIdle {
        which: usize,
    },
    Handshake(Handshake),
    /// The accounts that are enabled from here on.
    Reload {
        is_enabled: [bool; 2],
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<usize>;
    let handshake = prop_oneof![
        Just(Handshake::Silent),
        Just(Handshake::Half),
        Just(Handshake::NotTls),
        Just(Handshake::Untrusting)
    ];
    let step = prop_oneof![
        8 => (0..2usize, prop::bool::weighted(0.8), any::<bool>(), 0..3usize)
            .prop_map(|(account, is_right, is_tls, mode)| Step::Bind { account, is_right, is_tls, mode }),
        1 => Just(Step::BindUnknown),
        1 => which().prop_map(|which| Step::BindTwice { which }),
        2 => which().prop_map(|which| Step::Unbind { which }),
        2 => which().prop_map(|which| Step::Vanish { which }),
        1 => which().prop_map(|which| Step::Reset { which }),
        1 => which().prop_map(|which| Step::BreakFrame { which }),
        1 => Just(Step::Idle),
        1 => which().prop_map(|which| Step::DropIdle { which }),
        3 => handshake.prop_map(Step::Handshake),
        1 => any::<[bool; 2]>().prop_map(|is_enabled| Step::Reload { is_enabled }),
    ];
    prop::collection::vec(step, 1..60)
}

/// A daemon, and what ought to live there.
struct World {
    daemon: Daemon,
    is_enabled: [bool; 2],
    sessions: Vec<(usize, RawEsme)>,
    idle: Vec<TcpStream>,
    /// Connections that there were and are no more.
    gone: u64,
    handshakes_failed: u64,
}

impl World {
    fn live(&self, account: usize) -> usize {
        self.sessions.iter().filter(|(owner, _)| *owner == account).count()
    }

    /// One of the sessions, if there is any.
    fn take(&mut self, which: usize) -> Option<RawEsme> {
        let index = which.checked_rem(self.sessions.len())?;
        self.gone += 1;
        Some(self.sessions.swap_remove(index).1)
    }

    fn tls_stream(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.daemon.smpp.addr, DEADLINE).expect("TLS listens");
        set_up(&stream);
        stream
    }

    /// The status of a bind, and the session if it is one.
    fn try_bind(&self, name: &str, password: &str, is_tls: bool, mode: Mode) -> (u32, RawEsme) {
        let mut esme =
            if is_tls { RawEsme::connect(self.daemon.smpp) } else { RawEsme::connect(self.daemon.plain) };
        let status = esme.try_bind(mode, name, password, 0x34, "").status;
        (status, esme)
    }

    fn bind(&mut self, account: usize, is_right: bool, is_tls: bool, mode: Mode) {
        let password = if is_right { "right" } else { "wrong" };
        let expected = if !is_right || !self.is_enabled[account] {
            ESME_RBINDFAIL
        } else if self.live(account) == SESSIONS_MAX[account] {
            ESME_RALYBND
        } else {
            ESME_ROK
        };
        let (status, mut esme) = self.try_bind(ACCOUNTS[account], password, is_tls, mode);
        assert_eq!(status, expected, "{:?} live, enabled: {:?}", self.sessions.len(), self.is_enabled);
        if status == ESME_ROK {
            self.sessions.push((account, esme));
        } else {
            esme.expect_end();
            self.gone += 1;
        }
    }

    fn fail_handshake(&mut self, handshake: Handshake) {
        let mut stream = self.tls_stream();
        match handshake {
            Handshake::Silent => {}
            Handshake::Half => {
                let config = AUTHORITY.client_config(Version::V13, None);
                let name = "localhost".try_into().expect("a name");
                let mut hello = Vec::new();
                let mut client = ClientConnection::new(config, name).expect("a client");
                client.write_tls(&mut hello).expect("memory");
                stream.write_all(&hello[..hello.len() / 2]).expect("taken");
            }
            Handshake::NotTls => {
                let body = bind_body("alice", "right", 0x34, "");
                stream.write_all(&pdu(BIND_TRANSCEIVER, 0, 1, &body)).expect("taken");
            }
            Handshake::Untrusting => {
                let stranger = Authority::new("Stranger").client_config(Version::V12, None);
                assert!(Octets::tls(stream, &stranger, "localhost").is_err());
            }
        }
        self.gone += 1;
        self.handshakes_failed += 1;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Bind { account, is_right, is_tls, mode } => {
                self.bind(account, is_right, is_tls, Mode::ALL[mode]);
            }
            Step::BindUnknown => {
                let (status, mut esme) = self.try_bind("nobody", "right", false, Mode::Transceiver);
                assert_eq!(status, ESME_RBINDFAIL);
                esme.expect_end();
                self.gone += 1;
            }
            Step::BindTwice { which } => {
                if let Some(index) = which.checked_rem(self.sessions.len()) {
                    let again = self.sessions[index].1.try_bind(Mode::Receiver, "bob", "right", 0x34, "");
                    assert_eq!(again.status, ESME_RALYBND);
                }
            }
            Step::Unbind { which } => self.take(which).into_iter().for_each(RawEsme::unbind),
            Step::Vanish { which } => self.take(which).into_iter().for_each(RawEsme::vanish),
            Step::Reset { which } => self.take(which).into_iter().for_each(RawEsme::reset),
            Step::BreakFrame { which } => {
                if let Some(mut esme) = self.take(which) {
                    esme.send(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    esme.expect(GENERIC_NACK, ESME_RINVCMDLEN);
                    esme.expect_end();
                }
            }
            Step::Idle => {
                let stream = TcpStream::connect_timeout(&self.daemon.plain, DEADLINE).expect("SMPP listens");
                self.idle.push(stream);
            }
            Step::DropIdle { which } => {
                if let Some(index) = which.checked_rem(self.idle.len()) {
                    self.idle.swap_remove(index);
                    self.gone += 1;
                }
            }
            Step::Handshake(handshake) => self.fail_handshake(handshake),
            Step::Reload { is_enabled } => {
                self.is_enabled = is_enabled;
                self.daemon.reload(&config(is_enabled));
                let mut at = 0;
                while let Some((account, _)) = self.sessions.get(at) {
                    if is_enabled[*account] {
                        at += 1;
                        continue;
                    }
                    let (_, mut esme) = self.sessions.swap_remove(at);
                    let request = esme.expect(UNBIND, ESME_ROK);
                    esme.respond(&request, ESME_ROK);
                    esme.expect_end();
                    self.gone += 1;
                }
            }
        }
    }

    /// Waits until what is counted is what lives.
    fn settle(&self) {
        let (bound, open) = (self.sessions.len() as u64, (self.sessions.len() + self.idle.len()) as u64);
        self.daemon.await_stats(&[
            ("/sessions/bound", bound),
            ("/counters/connections_closed", self.gone),
            ("/counters/connections_accepted", self.gone + open),
        ]);
    }

    /// Fills every place that ought to be free.
    fn fill(&mut self) {
        for (account, sessions_max) in SESSIONS_MAX.into_iter().enumerate() {
            while self.is_enabled[account] && self.live(account) < sessions_max {
                self.bind(account, true, true, Mode::Transceiver);
            }
            self.bind(account, true, false, Mode::Transceiver);
        }
        self.settle();
        // All places for handshakes are free: that many may be under way, and one more is closed unheard.
        let refused = self.daemon.stat("/counters/tls_handshakes_refused");
        let under_way: Vec<TcpStream> = (0..HANDSHAKES_MAX).map(|_| self.tls_stream()).collect();
        let open = (self.sessions.len() + self.idle.len() + HANDSHAKES_MAX) as u64;
        self.daemon.await_stats(&[
            ("/counters/connections_accepted", self.gone + open),
            ("/counters/tls_handshakes_refused", refused),
        ]);
        assert!(RawEsme::over(Octets::Plain(self.tls_stream())).receive_or_end().is_none());
        self.daemon.await_stats(&[("/counters/tls_handshakes_refused", refused + 1)]);
        drop(under_way);
        self.gone += HANDSHAKES_MAX as u64;
        self.settle();
        // And for connections.
        let free = CONNECTIONS_MAX - self.sessions.len() - self.idle.len();
        let more: Vec<RawEsme> = (0..free).map(|_| RawEsme::connect(self.daemon.plain)).collect();
        let refused = self.daemon.stat("/counters/connections_refused");
        RawEsme::connect(self.daemon.plain).expect_end();
        self.daemon.await_stats(&[
            ("/counters/connections_accepted", self.gone + CONNECTIONS_MAX as u64),
            ("/counters/connections_refused", refused + 1),
        ]);
        drop(more);
        self.gone += free as u64;
        self.settle();
    }

    /// Everybody leaves, and the accounts are all enabled again.
    fn clear(&mut self) {
        self.gone += (self.sessions.len() + self.idle.len()) as u64;
        self.sessions.clear();
        self.idle.clear();
        self.settle();
        self.is_enabled = [true; 2];
        self.daemon.reload(&config(self.is_enabled));
    }
}

#[test]
fn counters_equal_what_lives_whatever_happens() {
    let keys = format!("handshakes_max = {HANDSHAKES_MAX}");
    let daemon = Daemon::start_tls(&config([true; 2]), &keys, Layout::TLS_TWO_BY_TWO);
    let world = World {
        daemon,
        is_enabled: [true; 2],
        sessions: Vec::new(),
        idle: Vec::new(),
        gone: 0,
        handshakes_failed: 0,
    };
    let world = std::cell::RefCell::new(world);
    let start = Instant::now();
    // One daemon for all cases, so none is shrunk: what is left behind by one shows in the next.
    let settings = ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() };
    let checked = TestRunner::new(settings).run(&steps(), |steps| {
        let mut world = world.borrow_mut();
        for step in steps {
            world.step(step);
            world.settle();
        }
        world.fill();
        world.clear();
        Ok(())
    });
    checked.expect("every case");
    let world = world.into_inner();
    assert!(world.handshakes_failed > 0 && world.gone > 100, "after {:?}: {}", start.elapsed(), world.gone);
}
