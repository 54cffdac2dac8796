//! An engine that is stuck, a shutdown, and a thread that stays.

use super::*;

#[test]
fn a_stuck_engine_is_a_503_and_not_a_hang() {
    let mut config = Config::default();
    config.accounts.push(AccountConfig { system_id: "other".to_owned(), ..AccountConfig::default() });
    let control = Control::start_with(config, false);
    std::thread::scope(|scope| {
        for path in ["/stats", "/metrics", "/sessions", "/messages/0123456789ABCDEF"] {
            scope.spawn(|| assert_eq!(control.get(path).0, 503));
        }
        scope.spawn(|| assert_eq!(control.get("/health").0, 200));
    });
}

#[test]
fn shutdown_stops_accepting_then_waits_for_the_threads() {
    let mut control = Control::start(Config::default());
    assert!(control.accepting.load(Ordering::SeqCst));
    control.stop();
    let deadline = Instant::now() + Duration::from_secs(10);
    while control.get("/ready").0 != 503 {
        assert!(Instant::now() < deadline);
    }
    assert!(!control.accepting.load(Ordering::SeqCst));
    // Thread 1 still drains: the figures stay readable, nothing new is taken in.
    assert_eq!(control.json("/stats")["ready"], false);
    assert!(!control.thread.as_ref().unwrap().is_finished());
    control.leave.send(()).unwrap();
    control.join().unwrap();
    assert!(TcpStream::connect(control.http).is_err(), "HTTP is closed");
}

#[test]
fn a_thread_that_stays_is_named() {
    let mut config = Config::default();
    config.smpp.unbind_timeout_ms = 50;
    let mut control = Control::start(config);
    control.stop();
    let error = control.join().unwrap_err().to_string();
    assert!(error.contains("[1]"), "{error}");
}
