//! Whether the peer is still there: when it was last heard, the enquire_link that awaits its answer, and the
//! inactivity timer (3.4 section 7.2). The same in both roles.

use super::port::StallReason;
use super::received::{Received, Stop};
use crate::base::Time;

/// The timers of a link, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkTimers {
    /// Silence after which we send enquire_link; 0 = never.
    pub(super) enquire_link_interval_ms: u64,
    /// Silence after which the peer counts as gone; 0 = never.
    pub(super) inactivity_timeout_ms: u64,
    /// From our enquire_link to any PDU of the peer.
    pub(super) response_timeout_ms: u64,
}

/// What a look at the timers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The peer is there, or may be.
    Fine,
    /// Ask it.
    Enquire,
    /// It is not there any more.
    Gone,
}

#[derive(Debug)]
pub(super) struct Link {
    last_received_at: Time,
    /// sequence_number and time of the enquire_link that awaits its answer.
    enquired: Option<(u32, Time)>,
    /// A PDU of the peer waits unread, since we can't take it.
    stalled: bool,
}

impl Link {
    pub(super) const fn new(now: Time) -> Self {
        Self { last_received_at: now, enquired: None, stalled: false }
    }

    /// When the peer was last heard.
    pub(super) const fn last_received_at(&self) -> Time {
        self.last_received_at
    }

    /// Whether the peer has sent anything since, or waits for us to read it.
    pub(super) fn is_heard_since(&self, at: Time) -> bool {
        self.last_received_at > at || self.stalled
    }

    /// Whether an enquire_link awaits its answer.
    pub(super) const fn is_asked(&self) -> bool {
        self.enquired.is_some()
    }

    /// Octets of the peer have been looked at.
    #[inline]
    pub(super) const fn note(&mut self, received: &Received, now: Time) {
        if received.consumed > 0 {
            self.last_received_at = now;
        }
        // The other stalls don't say that a PDU waits.
        self.stalled = matches!(
            received.stop,
            Stop::Stalled(StallReason::Window | StallReason::Lane | StallReason::Rate)
        );
    }

    /// An enquire_link with this number has been sent.
    pub(super) const fn enquired(&mut self, sequence_number: u32, now: Time) {
        self.enquired = Some((sequence_number, now));
    }

    /// A response with this number came. Whether it answers our enquire_link.
    pub(super) fn answered(&mut self, sequence_number: u32) -> bool {
        self.enquired.take_if(|(asked, _)| *asked == sequence_number).is_some()
    }

    /// The first of these timers that can fire.
    pub(super) fn next_deadline(&self, timers: &LinkTimers) -> Time {
        let ask = match self.enquired {
            Some((_, sent_at)) => sent_at.plus_millis(timers.response_timeout_ms),
            None => self.after_silence(timers.enquire_link_interval_ms),
        };
        ask.min(self.after_silence(timers.inactivity_timeout_ms))
    }

    /// Looks at the timers.
    pub(super) fn check(&mut self, now: Time, timers: &LinkTimers) -> Verdict {
        if self.stalled {
            // Its answer may be behind what we don't take: the silence is ours.
            self.last_received_at = now;
            self.enquired = None;
            return Verdict::Fine;
        }
        if now >= self.after_silence(timers.inactivity_timeout_ms) {
            return Verdict::Gone;
        }
        match self.enquired {
            Some((_, sent_at)) if now >= sent_at.plus_millis(timers.response_timeout_ms) => {
                // Any valid PDU since then answers for it (3.4 section 4.11).
                if self.last_received_at <= sent_at {
                    return Verdict::Gone;
                }
                self.enquired = None;
                Verdict::Fine
            }
            None if now >= self.after_silence(timers.enquire_link_interval_ms) => Verdict::Enquire,
            _ => Verdict::Fine,
        }
    }

    const fn after_silence(&self, ms: u64) -> Time {
        if ms == 0 { Time::NEVER } else { self.last_received_at.plus_millis(ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: LinkTimers = LinkTimers {
        enquire_link_interval_ms: 30_000,
        inactivity_timeout_ms: 100_000,
        response_timeout_ms: 10_000,
    };

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn heard(link: &mut Link, now: Time, stop: Stop) {
        link.note(&Received { consumed: 16, pdus: 1, stop }, now);
    }

    #[test]
    fn silence_is_asked_about_once_and_then_ends_the_link() {
        let mut link = Link::new(at(0));
        assert_eq!(link.next_deadline(&TIMERS), at(30));
        assert_eq!(link.check(at(29), &TIMERS), Verdict::Fine);
        assert_eq!(link.check(at(30), &TIMERS), Verdict::Enquire);
        link.enquired(7, at(30));
        assert_eq!(link.next_deadline(&TIMERS), at(40));
        assert_eq!(link.check(at(39), &TIMERS), Verdict::Fine);
        assert_eq!(link.check(at(40), &TIMERS), Verdict::Gone);
    }

    #[test]
    fn any_pdu_answers_for_the_enquire_link() {
        let mut link = Link::new(at(0));
        link.enquired(7, at(30));
        assert!(!link.answered(8));
        heard(&mut link, at(35), Stop::NeedMore(4));
        assert_eq!(link.check(at(40), &TIMERS), Verdict::Fine);
        assert!(!link.answered(7), "it is settled");
        assert_eq!(link.next_deadline(&TIMERS), at(65));
    }

    #[test]
    fn zero_switches_off() {
        let off = LinkTimers { enquire_link_interval_ms: 0, inactivity_timeout_ms: 0, ..TIMERS };
        let mut link = Link::new(at(0));
        assert_eq!(link.next_deadline(&off), Time::NEVER);
        assert_eq!(link.check(at(1_000_000), &off), Verdict::Fine);
        let inactivity_only = LinkTimers { enquire_link_interval_ms: 0, ..TIMERS };
        assert_eq!(link.next_deadline(&inactivity_only), at(100));
        assert_eq!(link.check(at(100), &inactivity_only), Verdict::Gone);
    }

    #[test]
    fn a_peer_whose_pdu_we_leave_unread_is_not_silent() {
        let mut link = Link::new(at(0));
        link.enquired(7, at(30));
        heard(&mut link, at(30), Stop::Stalled(StallReason::Window));
        assert_eq!(link.check(at(500), &TIMERS), Verdict::Fine);
        assert!(link.next_deadline(&TIMERS) > at(500), "and the timers move on");
        heard(&mut link, at(501), Stop::NeedMore(4));
        assert_eq!(link.check(at(600), &TIMERS), Verdict::Enquire);
    }
}
