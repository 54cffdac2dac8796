//! What each PDU of the SMSC leads to.

use super::port::{BoundTo, DeliverDisposition, DeliverRequest, EsmePort, EsmeSettings, SubmitOutcome};
use super::{EsmeSession, State};
use crate::base::{SubmitOperation, Time};
use crate::limits::HEADER_LEN;
use crate::session::port::{BindMode, CloseReason, Fact, Origin, Output, StallReason};
use crate::session::received::Flow;
use crate::session::window::Window;
use crate::session::wire::{header, respond, send_header};
use crate::smpp::{BindResp, CommandId, CommandStatus, DeliverSm, Frame, Header, PduBody, SubmitSmResp};

impl EsmeSession {
    pub(super) fn pdu(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        match frame.header.command_id {
            CommandId::SUBMIT_SM_RESP => return self.submit_resp(frame, now, settings, port),
            CommandId::DELIVER_SM => return self.deliver_sm(frame, now, settings, port),
            CommandId::ENQUIRE_LINK => respond(frame, CommandStatus::ESME_ROK, port),
            CommandId::ENQUIRE_LINK_RESP if self.link.answered(frame.header.sequence_number) => {
                self.deadline_moved = true;
            }
            CommandId::GENERIC_NACK => return self.generic_nack(&frame.header, now, settings, port),
            // Any of the three: some SMSCs answer a bind_receiver with a bind_transmitter_resp.
            CommandId::BIND_TRANSMITTER_RESP
            | CommandId::BIND_RECEIVER_RESP
            | CommandId::BIND_TRANSCEIVER_RESP => {
                return self.bind_resp(frame, settings, port);
            }
            CommandId::UNBIND => return self.peer_unbind(frame, now, settings, port),
            CommandId::UNBIND_RESP if matches!(self.state, State::Unbinding { .. }) => {
                return Flow::Close(CloseReason::Unbound);
            }
            // Without a response, and nothing waits for it.
            CommandId::ALERT_NOTIFICATION if self.takes_deliveries() => (),
            CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => port.fact(Fact::WrongState),
            id if id.is_response() => port.fact(Fact::UnmatchedResponse),
            id if !id.is_known() => {
                port.fact(Fact::UnknownCommand);
                let sequence_number = frame.header.sequence_number;
                send_header(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, sequence_number, port);
            }
            CommandId::DATA_SM if self.takes_deliveries() => {
                port.fact(Fact::UnknownCommand);
                respond(frame, CommandStatus::ESME_RINVCMDID, port);
            }
            _ => wrong_state(frame, port),
        }
        Flow::Next
    }

    fn bind_resp(&mut self, frame: &Frame<'_>, settings: &EsmeSettings, port: &mut impl EsmePort) -> Flow {
        let State::Binding { mode, sequence_number, .. } = self.state else { return unmatched(port) };
        if frame.header.sequence_number != sequence_number {
            return unmatched(port);
        }
        if !frame.header.command_status.is_ok() {
            port.fact(Fact::BindRefused(frame.header.command_status));
            return Flow::Close(CloseReason::BindRefused);
        }
        // We are let in: a body that can't be read costs its name and its version only.
        let resp = BindResp::decode(frame.body).unwrap_or_else(|_| {
            port.fact(Fact::MalformedPdu);
            BindResp::default()
        });
        self.version = settings.version.min(resp.sc_interface_version());
        self.enter(State::Bound);
        self.mode = Some(mode);
        self.window = Window::new(settings.window);
        port.fact(Fact::Bound(mode));
        port.bound(&BoundTo { system_id: resp.system_id, mode, version: self.version });
        Flow::Next
    }

    fn submit_resp(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let resp = SubmitSmResp::decode(frame.body).unwrap_or_else(|_| {
            port.fact(Fact::MalformedPdu);
            SubmitSmResp::default()
        });
        self.submission_answered(&frame.header, resp.message_id, now, settings, port)
    }

    fn submission_answered(
        &mut self,
        header: &Header,
        message_id: &[u8],
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let Some(open) = self.window.remove(header.sequence_number) else { return unmatched(port) };
        let nanos = now.nanos_since(open.sent_at);
        let outcome = SubmitOutcome::Answered { status: header.command_status, message_id, nanos };
        port.submit_outcome(open.token, outcome);
        self.finish_drain(now, settings, port).map_or(Flow::Next, Flow::Close)
    }

    fn generic_nack(
        &mut self,
        header: &Header,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let status =
            if header.command_status.is_ok() { CommandStatus::ESME_RSYSERR } else { header.command_status };
        match self.state {
            // Nothing else of ours is open, so a number of 0 means the bind too.
            State::Binding { sequence_number, .. }
                if [0, sequence_number].contains(&header.sequence_number) =>
            {
                port.fact(Fact::BindRefused(status));
                Flow::Close(CloseReason::BindRefused)
            }
            _ if self.link.answered(header.sequence_number) => {
                self.deadline_moved = true;
                Flow::Next
            }
            _ => {
                let header = Header { command_status: status, ..*header };
                self.submission_answered(&header, &[], now, settings, port)
            }
        }
    }

    fn deliver_sm(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        if !self.takes_deliveries() {
            wrong_state(frame, port);
            return Flow::Next;
        }
        if self.delivering >= settings.deliver_window {
            return Flow::Stall(StallReason::Window);
        }
        let sequence_number = frame.header.sequence_number;
        let sm = match DeliverSm::decode(frame.body) {
            Ok(sm) => sm,
            Err(error) => {
                port.fact(Fact::MalformedPdu);
                self.answer_deliver(sequence_number, error.status, port);
                return Flow::Next;
            }
        };
        let origin = Origin {
            session: self.handle,
            sequence_number,
            operation: SubmitOperation::SubmitSm,
            received_at: now,
        };
        let request = DeliverRequest { origin, version: self.version, sm: &sm, body: frame.body };
        match port.deliver(&request) {
            DeliverDisposition::Answered(status) => self.answer_deliver(sequence_number, status, port),
            DeliverDisposition::InFlight => self.delivering += 1,
            DeliverDisposition::Stall(reason) => return Flow::Stall(reason),
        }
        Flow::Next
    }

    pub(super) fn answer_deliver(&self, sequence_number: u32, status: CommandStatus, port: &mut impl Output) {
        if !status.is_ok() {
            let status = status.for_version(self.version);
            return send_header(CommandId::DELIVER_SM_RESP, status, sequence_number, port);
        }
        // message_id is one NUL: some SMSCs drop the link over anything else.
        let len = HEADER_LEN + 1;
        port.send(len, |out| {
            let header = header(CommandId::DELIVER_SM_RESP, CommandStatus::ESME_ROK, sequence_number, len);
            out.extend_from_slice(&header.encode());
            out.push(0);
        });
    }

    fn peer_unbind(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &EsmeSettings,
        port: &mut impl EsmePort,
    ) -> Flow {
        let sequence_number = frame.header.sequence_number;
        let deadline = now.plus_millis(settings.unbind_timeout_ms);
        match self.state {
            State::Bound => port.submissions_off(),
            State::Draining { unbind: None, .. } => (),
            State::Unbinding { .. } => {
                // Both asked at once: ours still gets its answer.
                send_header(CommandId::UNBIND_RESP, CommandStatus::ESME_ROK, sequence_number, port);
                return Flow::Next;
            }
            _ => {
                wrong_state(frame, port);
                return Flow::Next;
            }
        }
        self.enter(State::Draining { unbind: Some(sequence_number), deadline });
        self.finish_drain(now, settings, port).map_or(Flow::Next, Flow::Close)
    }

    /// Whether deliver_sm is expected: the SMSC's own unbind ends that, ours does not until it is answered.
    fn takes_deliveries(&self) -> bool {
        let state = matches!(
            self.state,
            State::Bound | State::Draining { unbind: None, .. } | State::Unbinding { .. }
        );
        state && self.mode.is_some_and(BindMode::receives)
    }
}

fn wrong_state(frame: &Frame<'_>, port: &mut impl Output) {
    port.fact(Fact::WrongState);
    respond(frame, CommandStatus::ESME_RINVBNDSTS, port);
}

fn unmatched(port: &mut impl Output) -> Flow {
    port.fact(Fact::UnmatchedResponse);
    Flow::Next
}
