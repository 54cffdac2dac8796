//! The timers of a session (3.4 section 7.2): each state has its own.

use super::{Session, SessionSettings, State};
use crate::base::Time;
use crate::session::link::Verdict;
use crate::session::port::{CloseReason, DeliveryResult, Fact, Output, Port};
use crate::smpp::CommandId;

impl Session {
    /// The first timer that can fire.
    pub fn next_deadline(&mut self, settings: &SessionSettings) -> Time {
        match self.state {
            State::Open | State::Authenticating { .. } => {
                self.opened_at.plus_millis(settings.session_init_timeout_ms)
            }
            State::Unbinding { deadline } => deadline.min(self.throttle.retry_at()),
            State::Draining { deadline, .. } => deadline,
            State::Closing(_) => Time::NEVER,
            State::Bound => {
                let mut first = self.link.next_deadline(&settings.link_timers());
                first = first.min(self.throttle.retry_at());
                if let Some(open) = self.window.oldest() {
                    first = first.min(open.sent_at.plus_millis(settings.response_timeout_ms));
                }
                first
            }
        }
    }

    /// Whether a deadline has come nearer since this was asked last: the shell's timer may be set too late. One that
    /// has only moved away is found out when that timer fires.
    pub const fn take_deadline_moved(&mut self) -> bool {
        std::mem::replace(&mut self.deadline_moved, false)
    }

    /// Runs the timers that are due. Returns why to close, if one says so.
    pub fn on_timer(
        &mut self,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        self.throttle.run_timer(now);
        match self.state {
            State::Open | State::Authenticating { .. } => (now
                >= self.opened_at.plus_millis(settings.session_init_timeout_ms))
            .then_some(CloseReason::SessionInitTimeout),
            State::Unbinding { deadline } => (now >= deadline).then_some(CloseReason::UnbindTimeout),
            State::Draining { deadline, .. } => {
                if now >= deadline {
                    // What is still open has an unknown outcome for the ESME, but it gets its unbind_resp.
                    self.in_flight = 0;
                    self.operations.clear();
                }
                self.finish_drain(port)
            }
            State::Closing(reason) => Some(reason),
            State::Bound => self.bound_timers(now, settings, port),
        }
    }

    pub(super) fn bound_timers(
        &mut self,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        let verdict = self.link.check(now, &settings.link_timers());
        if verdict == Verdict::Gone {
            return Some(CloseReason::Inactive);
        }
        while let Some(open) = self.window.oldest() {
            if now < open.sent_at.plus_millis(settings.response_timeout_ms) {
                break;
            }
            port.fact(Fact::ResponseTimeout);
            if self.compat.closes_unanswered {
                return Some(CloseReason::Unanswered);
            }
            self.window.remove(open.sequence_number);
            port.delivery_result(open.token, DeliveryResult::TimedOut);
        }
        self.send_held(now, port);
        if verdict == Verdict::Enquire {
            self.enquire(now, port);
            self.window.release_if_idle();
        }
        None
    }

    /// Asks the ESME whether it is still there, unless it has been asked already.
    pub fn enquire(&mut self, now: Time, port: &mut impl Output) {
        if self.state == State::Bound && !self.link.is_asked() {
            let sequence_number = self.send_request(CommandId::ENQUIRE_LINK, 0, port, |_| ());
            self.link.enquired(sequence_number, now);
            self.deadline_moved = true;
        }
    }

    /// Whether the ESME has sent anything since then, or waits for us to read what it has sent.
    pub fn is_heard_since(&self, at: Time) -> bool {
        self.link.is_heard_since(at)
    }
}
