//! How a session ends: by the unbind of either side, after what is open has been answered, or because its connection has.

use super::{Session, SessionSettings, State};
use crate::base::{AccountId, Time};
use crate::session::port::{CloseReason, Fact, Output, Port};
use crate::session::received::Flow;
use crate::session::wire::send_header;
use crate::smpp::frame::Frame;
use crate::smpp::{CommandId, CommandStatus};

impl Session {
    /// Asks the ESME to unbind (shutdown, or an administrator). Returns why to close at once if it isn't bound.
    pub fn unbind(
        &mut self,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        match self.state {
            State::Bound => {
                self.state = State::Unbinding { deadline: now.plus_millis(settings.unbind_timeout_ms) };
                self.send_request(CommandId::UNBIND, 0, port, |_| ());
                self.stop_deliveries(port);
                None
            }
            State::Unbinding { .. } | State::Draining { .. } => None,
            State::Open | State::Authenticating { .. } => {
                self.state = State::Closing(CloseReason::Unbound);
                Some(CloseReason::Unbound)
            }
            State::Closing(reason) => Some(reason),
        }
    }

    pub(super) fn peer_unbind(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Flow {
        match self.state {
            State::Bound | State::Unbinding { .. } => {
                self.stop_deliveries(port);
                let deadline = now.plus_millis(settings.unbind_timeout_ms);
                self.state = State::Draining { unbind: Some(frame.header.sequence_number), deadline };
                self.deadline_moved = true;
                self.finish_drain(port).map_or(Flow::Next, Flow::Close)
            }
            _ => self.wrong_state(frame, port),
        }
    }

    /// Ends a drain once every submission is answered.
    pub(super) fn finish_drain(&mut self, port: &mut impl Output) -> Option<CloseReason> {
        let State::Draining { unbind, .. } = self.state else { return None };
        if self.in_flight > 0 {
            return None;
        }
        if let Some(sequence_number) = unbind {
            send_header(CommandId::UNBIND_RESP, CommandStatus::ESME_ROK, sequence_number, port);
        }
        self.state = State::Closing(CloseReason::Unbound);
        Some(CloseReason::Unbound)
    }

    /// The connection is gone or given up: tells the port that the bind has ended. What was delivered and not
    /// answered is the shards' to redeliver once they learn of it.
    pub fn closed(&mut self, reason: CloseReason, port: &mut impl Port) {
        self.return_held(port);
        // Not the state: a session that has unbound in order is on its way out already.
        if self.account().is_some() {
            port.fact(Fact::Unbound(self.mode));
        }
        self.account = AccountId(u16::MAX);
        self.state = State::Closing(reason);
    }
}
