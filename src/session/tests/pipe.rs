//! Both cores joined in memory: what one sends the other receives, until neither has more to say.

use super::esme_host::{EsmeHost, Outcome};
use super::*;
use crate::session::esme::{DeliverDisposition, SubmitRefusal};

/// An ESME and an SMSC with nothing between them but octets.
struct Pipe {
    esme: EsmeHost,
    smsc: Host,
    /// Octets handed over at a time.
    chunk: usize,
    ended: (Option<CloseReason>, Option<CloseReason>),
}

impl Pipe {
    fn bound(mode: BindMode, version: InterfaceVersion) -> Self {
        Self::with_window(3, mode, version)
    }

    /// With so many submissions on the ESME's side; the SMSC grants 4.
    fn with_window(window: u32, mode: BindMode, version: InterfaceVersion) -> Self {
        let mut pipe = Self { esme: EsmeHost::open(), smsc: Host::open(), chunk: 7, ended: (None, None) };
        pipe.esme.settings.version = version;
        pipe.esme.settings.window = window;
        assert!(pipe.esme.bind(mode));
        pipe.until_quiet();
        assert_eq!(pipe.esme.session.mode(), Some(mode));
        assert_eq!((pipe.smsc.session.mode(), pipe.smsc.session.version()), (mode, version));
        assert_eq!(pipe.esme.session.version(), version, "both sides agree");
        pipe
    }

    fn until_quiet(&mut self) {
        loop {
            let to_smsc = std::mem::take(&mut self.esme.port.sent);
            let to_esme = std::mem::take(&mut self.smsc.port.sent);
            if to_smsc.is_empty() && to_esme.is_empty() {
                break;
            }
            for octets in to_smsc.chunks(self.chunk) {
                if let Stop::Close(reason) = self.smsc.feed(octets) {
                    self.ended.1 = Some(reason);
                }
            }
            for octets in to_esme.chunks(self.chunk) {
                if let Stop::Close(reason) = self.esme.feed(octets) {
                    self.ended.0 = Some(reason);
                }
            }
        }
        assert!(!self.esme.port.facts.contains(&Fact::WrongState), "{:?}", self.esme.port.facts);
        assert!(!self.smsc.port.facts.contains(&Fact::UnmatchedResponse), "{:?}", self.smsc.port.facts);
    }

    fn ended_in_order(&mut self) {
        self.until_quiet();
        assert_eq!(self.ended, (Some(CloseReason::Unbound), Some(CloseReason::Unbound)));
        self.esme.closed(CloseReason::Unbound);
        self.smsc.closed(CloseReason::Unbound);
    }
}

#[test]
fn every_mode_and_version_binds_and_unbinds() {
    for mode in [BindMode::Transmitter, BindMode::Receiver, BindMode::Transceiver] {
        for version in [InterfaceVersion::V33, InterfaceVersion::V34, InterfaceVersion::V50] {
            let mut esme_leaves = Pipe::bound(mode, version);
            assert_eq!(esme_leaves.esme.unbind(), None);
            esme_leaves.ended_in_order();
            let mut smsc_leaves = Pipe::bound(mode, version);
            assert_eq!(smsc_leaves.smsc.unbind(), None);
            smsc_leaves.ended_in_order();
        }
    }
}

#[test]
fn a_thousand_submissions_through_the_window() {
    let mut pipe = Pipe::bound(BindMode::Transmitter, InterfaceVersion::V34);
    let (mut next, mut full) = (0, 0);
    while next < 1_000 {
        match pipe.esme.submit(next) {
            Ok(()) => next += 1,
            Err(SubmitRefusal::WindowFull) => {
                full += 1;
                pipe.until_quiet();
            }
            Err(SubmitRefusal::NotBound) => panic!("it is bound"),
        }
    }
    pipe.until_quiet();
    let slots: Vec<u32> = pipe.esme.port.outcomes.iter().map(|(token, _)| token.slot).collect();
    assert_eq!(slots, (0..1_000).collect::<Vec<_>>(), "one outcome each, in order");
    assert!(full >= 300, "the window of 3 was felt: {full}");
    let ok = Outcome::Answered(OK, b"0123456789ABCDEF".to_vec(), 0);
    assert!(pipe.esme.port.outcomes.iter().all(|(_, outcome)| *outcome == ok));
}

#[test]
fn a_smaller_window_on_the_smscs_side_only_delays() {
    let mut pipe = Pipe::with_window(10, BindMode::Transceiver, InterfaceVersion::V34);
    pipe.smsc.port.disposition = Disposition::InFlight;
    for slot in 0..10 {
        pipe.esme.submit(slot).expect("room");
    }
    pipe.until_quiet();
    assert_eq!(pipe.smsc.session.in_flight(), (4, 4));
    assert_eq!(pipe.smsc.unread.len(), 6 * submit(1).len(), "the rest stays unread");
    for _ in 0..10 {
        let sequence_number = pipe.smsc.port.in_flight.remove(0);
        pipe.smsc.result(sequence_number, Err(CommandStatus::ESME_RTHROTTLED));
        pipe.smsc.feed(&[]);
    }
    pipe.until_quiet();
    let throttled = Outcome::Answered(CommandStatus::ESME_RTHROTTLED, Vec::new(), 0);
    let expected: Vec<_> = (0..10).map(|slot| (token(slot), throttled.clone())).collect();
    assert_eq!(pipe.esme.port.outcomes, expected);
}

#[test]
fn receipts_come_back_and_are_answered() {
    let mut pipe = Pipe::bound(BindMode::Transceiver, InterfaceVersion::V34);
    pipe.esme.port.disposition = DeliverDisposition::InFlight;
    for slot in 0..5 {
        assert!(pipe.smsc.deliver(slot));
    }
    let mut answered = 0;
    while answered < 5 {
        pipe.until_quiet();
        let waiting = pipe.esme.port.delivered.split_off(0);
        assert!(!waiting.is_empty(), "stuck after {answered}");
        for (sequence_number, short_message) in waiting {
            assert_eq!(short_message, b"Hello");
            pipe.esme.result(sequence_number, OK);
            answered += 1;
        }
    }
    pipe.until_quiet();
    let expected: Vec<_> = (0..5).map(|slot| (token(slot), DeliveryResult::Answered(OK))).collect();
    assert_eq!(pipe.smsc.port.results, expected);
}

#[test]
fn the_esme_leaves_with_messages_in_flight_and_loses_none() {
    let mut pipe = Pipe::bound(BindMode::Transceiver, InterfaceVersion::V34);
    pipe.smsc.port.disposition = Disposition::InFlight;
    pipe.esme.submit(1).expect("room");
    pipe.esme.submit(2).expect("room");
    pipe.smsc.deliver(20);
    pipe.until_quiet();
    assert_eq!(pipe.esme.unbind(), None);
    pipe.until_quiet();
    assert_eq!(pipe.ended, (None, None), "both wait");
    for sequence_number in pipe.smsc.port.submitted.clone() {
        pipe.smsc.result(sequence_number, Ok(MESSAGE_ID));
    }
    pipe.ended_in_order();
    assert_eq!(pipe.esme.port.outcomes.len(), 2);
    assert!(pipe.esme.port.outcomes.iter().all(|(_, outcome)| *outcome != Outcome::Unknown));
    assert_eq!(pipe.smsc.port.results, [(token(20), DeliveryResult::Answered(OK))]);
}

#[test]
fn the_smsc_leaves_with_messages_in_flight_and_loses_none() {
    let mut pipe = Pipe::bound(BindMode::Transceiver, InterfaceVersion::V34);
    pipe.smsc.port.disposition = Disposition::InFlight;
    pipe.esme.submit(1).expect("room");
    pipe.until_quiet();
    // This one crosses the SMSC's unbind.
    pipe.esme.submit(2).expect("room");
    assert_eq!(pipe.smsc.unbind(), None);
    pipe.until_quiet();
    assert_eq!((pipe.esme.port.submissions_off, pipe.ended), (1, (None, None)));
    assert_eq!(pipe.smsc.session.in_flight().0, 2);
    for sequence_number in pipe.smsc.port.submitted.clone() {
        assert_eq!(pipe.smsc.result(sequence_number, Ok(MESSAGE_ID)), None);
        pipe.until_quiet();
    }
    pipe.ended_in_order();
    assert_eq!(pipe.esme.port.outcomes.len(), 2);
    assert!(pipe.esme.port.outcomes.iter().all(|(_, outcome)| *outcome != Outcome::Unknown));
}

#[test]
fn both_leave_at_once() {
    let mut pipe = Pipe::bound(BindMode::Transceiver, InterfaceVersion::V34);
    pipe.smsc.unbind();
    pipe.esme.unbind();
    pipe.until_quiet();
    assert_eq!(pipe.ended.0.or(pipe.ended.1), Some(CloseReason::Unbound));
    assert_eq!(pipe.ended.1, Some(CloseReason::Unbound));
}

#[test]
fn idle_sessions_keep_each_other_alive() {
    let mut pipe = Pipe::bound(BindMode::Receiver, InterfaceVersion::V34);
    for _ in 0..100 {
        assert_eq!((pipe.esme.pass_ms(15_000), pipe.smsc.pass_ms(15_000)), (None, None));
        pipe.until_quiet();
    }
    assert!(pipe.smsc.session.is_bound());
}
