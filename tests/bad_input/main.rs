//! Input that no well-behaved peer or operator sends, against the running daemon: each has its stated answer, is
//! counted, and costs the others nothing. A healthy session beside it stays up and fast.

#[path = "../support/mod.rs"]
mod support;

mod configuration;
mod deaf;
mod documented;
mod fields;
mod guessing;
mod peers;
mod requests;
mod tls;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::Daemon;
use support::esme::*;

/// No round of a healthy session may take longer. Far more than it takes, since the tests share few cores.
const ROUND_MAX: Duration = Duration::from_secs(2);

/// A session that submits and takes its receipts, one after the other, as long as the test goes on.
struct Healthy {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Duration)>,
}

impl Healthy {
    fn beside(daemon: &Daemon) -> Self {
        let mut esme = daemon.bind(Mode::Transceiver);
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut rounds, mut slowest) = (0, Duration::ZERO);
            while !told.load(Ordering::Relaxed) || rounds == 0 {
                let start = Instant::now();
                let id = esme.submit(&Sm::with_receipt("12345", &format!("4470{rounds}"), "healthy"));
                assert_eq!(esme.take_delivery().receipted_id(), id);
                esme.enquire();
                slowest = slowest.max(start.elapsed());
                rounds += 1;
            }
            esme.unbind();
            (rounds, slowest)
        });
        Self { stop, thread }
    }

    /// It has worked all along.
    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (rounds, slowest) = self.thread.join().expect("the healthy session was disturbed");
        assert!(rounds > 0 && slowest < ROUND_MAX, "{rounds} rounds, the slowest took {slowest:?}");
    }
}
