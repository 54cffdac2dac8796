//! The bind: who it is, as what, in which version; and the judgement of it (3.4 section 4.1).

use super::{Session, SessionSettings, State};
use crate::base::Time;
use crate::limits::HEADER_LEN;
use crate::session::port::{Authentication, BindMode, BindRequest, CloseReason, Fact, Grant, Output, Port};
use crate::session::received::Flow;
use crate::session::window::Window;
use crate::session::wire::{header, respond, send_header};
use crate::smpp::frame::Frame;
use crate::smpp::{Bind, CommandStatus, InterfaceVersion, PduBody};

impl Session {
    pub(super) fn peer_bind(
        &mut self,
        frame: &Frame<'_>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Flow {
        let Some(mode) = BindMode::of_command(frame.header.command_id) else { return Flow::Next };
        if self.state != State::Open {
            port.fact(Fact::WrongState);
            respond(frame, CommandStatus::ESME_RALYBND, port);
            return Flow::Next;
        }
        let sequence_number = frame.header.sequence_number;
        let bind = match Bind::decode(frame.body) {
            Ok(bind) => bind,
            Err(error) => {
                port.fact(Fact::MalformedPdu);
                self.refuse_bind(mode, sequence_number, error.status, port);
                return Flow::Close(CloseReason::BindRefused);
            }
        };
        self.mode = mode;
        self.interface_version = bind.interface_version;
        self.version = InterfaceVersion::from_octet(bind.interface_version).min(settings.version_max);
        self.address_range = bind.address_range.into();
        let request = BindRequest {
            system_id: bind.system_id,
            password: bind.password,
            mode,
            address_range: bind.address_range,
            interface_version: bind.interface_version,
        };
        match port.authenticate(&request) {
            Authentication::Accepted(grant) => {
                self.bind(&grant, mode, sequence_number, now, settings, port);
                Flow::Next
            }
            Authentication::Refused(status) => {
                self.refuse_bind(mode, sequence_number, status, port);
                Flow::Close(CloseReason::BindRefused)
            }
            Authentication::Pending => {
                self.state = State::Authenticating { mode, sequence_number };
                Flow::Next
            }
        }
    }

    /// A pending bind has been judged. Returns why to close, if it was refused.
    pub fn authenticated(
        &mut self,
        verdict: Result<Grant, CommandStatus>,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) -> Option<CloseReason> {
        let State::Authenticating { mode, sequence_number } = self.state else { return None };
        match verdict {
            Ok(grant) => {
                self.bind(&grant, mode, sequence_number, now, settings, port);
                None
            }
            Err(status) => {
                self.refuse_bind(mode, sequence_number, status, port);
                self.state = State::Closing(CloseReason::BindRefused);
                Some(CloseReason::BindRefused)
            }
        }
    }

    pub(super) fn bind(
        &mut self,
        grant: &Grant,
        mode: BindMode,
        sequence_number: u32,
        now: Time,
        settings: &SessionSettings,
        port: &mut impl Port,
    ) {
        self.state = State::Bound;
        self.account = grant.account;
        self.in_flight_max = grant.window;
        self.window = Window::new(grant.deliver_window);
        self.compat = grant.compat;
        self.bound_at = now;
        self.deadline_moved = true;
        // Below 3.4 no TLV may be sent; from there on sc_interface_version says what was agreed.
        let tlv: &[u8] =
            if self.version.has_tlvs() { &[0x02, 0x10, 0x00, 0x01, self.version.octet()] } else { &[] };
        let len = HEADER_LEN + settings.system_id.len() + 1 + tlv.len();
        port.send(len, |out| {
            let command_id = mode.command_id().response();
            out.extend_from_slice(
                &header(command_id, CommandStatus::ESME_ROK, sequence_number, len).encode(),
            );
            out.extend_from_slice(&settings.system_id);
            out.push(0);
            out.extend_from_slice(tlv);
        });
        let address_range = std::mem::take(&mut self.address_range);
        port.bound(grant, mode, self.version, &address_range);
        self.address_range = address_range;
        // After the port knows whose session it is: it counts this for the account too.
        port.fact(Fact::Bound(mode));
    }

    pub(super) fn refuse_bind(
        &self,
        mode: BindMode,
        sequence_number: u32,
        status: CommandStatus,
        port: &mut impl Output,
    ) {
        send_header(mode.command_id().response(), status, sequence_number, port);
        port.fact(Fact::BindRefused(status));
    }
}
