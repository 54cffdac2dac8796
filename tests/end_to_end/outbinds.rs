//! outbind: an ESME for which messages wait is called, binds on that connection, and gets them.

use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use crate::support::esme::*;
use crate::support::tls::Octets;
use crate::support::{DEADLINE, Daemon, Layout};

/// The ESME's own listener.
fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a mode");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

fn config(address: SocketAddr) -> String {
    let outbind = format!(
        "addresses = [\"12345\"]\n[account.outbind]\naddress = \"{address}\"\nsystem_id = \"center\"\n\
         password = \"knock\"\nretry_first_ms = 100\nretry_max_ms = 400\n"
    );
    crate::CONFIG.replacen("addresses = [\"12345\"]\n", "", 1).replacen(
        "prefixes = [\"555\"]\n",
        &format!("prefixes = [\"555\"]\n{outbind}"),
        1,
    )
}

fn try_call(listener: &TcpListener) -> Option<RawEsme> {
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(false).expect("a mode");
    set_up(&stream);
    Some(RawEsme::over(Octets::new(stream, None)))
}

/// The next call of the daemon, by hand from the table of 3.4 section 4.1.7.1.
fn called(listener: &TcpListener) -> RawEsme {
    let start = Instant::now();
    loop {
        if let Some(mut esme) = try_call(listener) {
            assert_eq!(esme.expect(OUTBIND, 0).body, b"center\0knock\0");
            return esme;
        }
        assert!(start.elapsed() < DEADLINE, "nobody calls");
        std::thread::yield_now();
    }
}

#[test]
fn who_is_called_binds_and_gets_what_waits() {
    for (layout, mode) in Layout::WITHOUT_TLS.into_iter().zip(Mode::ALL.into_iter().rev().cycle()) {
        if mode == Mode::Transmitter {
            continue;
        }
        let (listener, address) = listen();
        let daemon = Daemon::start(&config(address), layout);
        daemon.inject_mo("491701", "12345", "wake up");
        let mut esme = called(&listener);
        let response = esme.try_bind(mode, "demo", "demo", 0x34, "");
        assert_eq!((response.id, response.status), (mode.command_id() | RESP, ESME_ROK));
        assert_eq!(esme.take_delivery().text(), "wake up");
        // An ordinary session from here on: what comes next comes here, without a call.
        daemon.inject_mo("491701", "12345", "again");
        assert_eq!(esme.take_delivery().text(), "again");
        assert!(try_call(&listener).is_none());
        daemon.await_stats(&[("/counters/outbinds_sent", 1), ("/messages/pending", 0)]);
        esme.unbind();
    }
}

#[test]
fn a_call_that_comes_to_nothing_is_repeated() {
    let (listener, address) = listen();
    let daemon = Daemon::start(&config(address), Layout::TWO_BY_TWO);
    daemon.inject_mo("491701", "12345", "wake up");
    // Closed at once, then with a wrong password, then nobody listens for a while.
    called(&listener).vanish();
    let mut wrong = called(&listener);
    assert_eq!(wrong.try_bind(Mode::Receiver, "demo", "wrong", 0x34, "").status, ESME_RBINDFAIL);
    wrong.expect_end();
    drop(listener);
    daemon.await_log("calling the ESME");
    let listener = TcpListener::bind(address).expect("the same port");
    listener.set_nonblocking(true).expect("a mode");
    let mut esme = called(&listener);
    assert_eq!(esme.try_bind(Mode::Receiver, "demo", "demo", 0x34, "").status, ESME_ROK);
    assert_eq!(esme.take_delivery().text(), "wake up");
    esme.enquire();
}

#[test]
fn nobody_is_called_while_a_session_receives_or_nothing_waits() {
    let (listener, address) = listen();
    let daemon = Daemon::start(&config(address), Layout::AUTOMATIC);
    let mut bound = daemon.bind(Mode::Receiver);
    daemon.inject_mo("491701", "12345", "one");
    assert_eq!(bound.take_delivery().text(), "one");
    daemon.await_stats(&[("/messages/pending", 0)]);
    assert!(try_call(&listener).is_none());
    bound.unbind();
    // A transmitter gets nothing: the receipt of its message waits, and so its ESME is called.
    let mut transmitter = daemon.bind(Mode::Transmitter);
    transmitter.submit(&Sm::with_receipt("12345", "4470001", "hi"));
    let mut esme = called(&listener);
    assert_eq!(esme.try_bind(Mode::Receiver, "demo", "demo", 0x34, "").status, ESME_ROK);
    assert!(esme.take_delivery().text().contains("stat:DELIVRD"));
    esme.enquire();
    transmitter.enquire();
}

#[test]
fn a_reload_changes_whom_to_call() {
    let (_first, address) = listen();
    let daemon = Daemon::start(&config(address), Layout::TWO_BY_TWO);
    let (listener, address) = listen();
    daemon.reload(&config(address));
    daemon.inject_mo("491701", "12345", "wake up");
    let mut esme = called(&listener);
    assert_eq!(esme.try_bind(Mode::Transceiver, "demo", "demo", 0x50, "").status, ESME_ROK);
    assert_eq!(esme.take_delivery().text(), "wake up");
}
