//! A disk that refuses in the middle of a run: the daemon leaves with exit code 1 and says why; what it has acknowledged
//! is there at the next start.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::CONFIG;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

#[test]
fn a_failed_write_ends_the_daemon_and_nothing_is_acknowledged_after_it() {
    for layout in [Layout::AUTOMATIC, Layout::TWO_BY_TWO] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A write beyond the limit on file sizes fails; the signal that says the same is ignored.
        let shell = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
        let mut daemon = Daemon::start_under(&shell, folder.path(), CONFIG, layout);
        let mut esme = daemon.bind(Mode::Transmitter);
        let scheduled =
            |to: &str| Sm { schedule: "000000010000000R".to_owned(), ..Sm::with_receipt("12345", to, "hi") };
        let held = esme.submit(&scheduled("447700900001"));

        let pid = Pid::from_raw(daemon.pid().cast_signed());
        prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: None })
            .expect("a limit of its own");
        let sequence = esme.sequence();
        esme.send(&pdu(SUBMIT_SM, 0, sequence, &scheduled("447700900002").encode()));
        while let Some(pdu) = esme.receive_or_end() {
            assert!(pdu.sequence != sequence || pdu.status != ESME_ROK, "acknowledged: {pdu:?}");
        }
        assert_eq!(daemon.wait().code(), Some(1), "{layout:?}: {}", daemon.stderr());
        let said = daemon.stderr();
        assert!(said.contains("writing to the store failed: File too large"), "{layout:?}: {said}");

        let daemon = Daemon::start_on(Some(folder.path()), CONFIG, layout);
        assert_eq!(daemon.get(&format!("/messages/{held}")).status, 200, "{layout:?}");
        daemon.await_stats(&[("/messages/pending", 1)]);
    }
}
