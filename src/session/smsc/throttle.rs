//! What becomes of a submission that is over its account's rate. An account may ask that it waits first, unread, so that TCP
//! slows the client down, since a client that is told ESME_RTHROTTLED may stop for longer than it needs to, or take it for a
//! failure.

use super::Session;
use crate::base::Time;
use crate::session::port::{Disposition, StallReason};
use crate::smpp::CommandStatus;

/// The submission that waits for the rate to allow it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throttle {
    /// Since when; [`Time::NEVER`]: none waits.
    since: Time,
    /// When to try it again.
    retry_at: Time,
}

impl Throttle {
    pub(super) const fn new() -> Self {
        Self { since: Time::NEVER, retry_at: Time::NEVER }
    }

    /// When to try again.
    pub(super) const fn retry_at(&self) -> Time {
        self.retry_at
    }

    /// That time has come.
    pub(super) fn run_timer(&mut self, now: Time) {
        if now >= self.retry_at {
            self.retry_at = Time::NEVER;
        }
    }
}

impl Session {
    /// Since when the submission at hand waits for the rate, and until when it may.
    fn waits_from_to(&self, now: Time) -> (Time, Time) {
        let since = self.throttle.since.min(now);
        (since, since.plus_millis(u64::from(self.compat.throttle_delay_ms)))
    }

    /// Whether the submission at hand may wait for the rate, still.
    pub(super) fn may_wait(&self, now: Time) -> bool {
        now < self.waits_from_to(now).1
    }

    /// Makes of a submission that is over its rate one that waits, or that is refused once it has waited for long enough.
    #[inline]
    pub(super) fn throttled(&mut self, disposition: &mut Disposition, now: Time) {
        let Disposition::OverRate { until } = *disposition else {
            if self.throttle.since != Time::NEVER {
                self.throttle = Throttle::new();
            }
            return;
        };
        let (since, last) = self.waits_from_to(now);
        if now >= last {
            self.throttle = Throttle::new();
            *disposition = Disposition::Answered(Err(CommandStatus::ESME_RTHROTTLED));
            return;
        }
        self.throttle = Throttle { since, retry_at: until.min(last) };
        self.deadline_moved = true;
        *disposition = Disposition::Stall(StallReason::Rate);
    }
}
