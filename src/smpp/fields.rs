//! The C-Octet Strings of all PDUs: name, greatest size with the NUL, and the status that a bad one is answered with.

use super::command_status::CommandStatus;

/// The rule for one C-Octet String field.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Greatest size in octets, the closing NUL included.
    pub(super) octets_max: usize,
    pub(super) status: CommandStatus,
}

const fn field(name: &'static str, octets_max: usize, status: CommandStatus) -> Field {
    Field { name, octets_max, status }
}

pub(super) const SYSTEM_ID: Field = field("system_id", 16, CommandStatus::ESME_RINVSYSID);
/// 9 by the specification, but deployed passwords are longer; what is legal is up to the account.
pub(super) const PASSWORD: Field = field("password", 65, CommandStatus::ESME_RINVPASWD);
pub(super) const SYSTEM_TYPE: Field = field("system_type", 13, CommandStatus::ESME_RINVSYSTYP);
pub(super) const ADDRESS_RANGE: Field = field("address_range", 41, CommandStatus::ESME_RBINDFAIL);
pub(super) const SERVICE_TYPE: Field = field("service_type", 6, CommandStatus::ESME_RINVSERTYP);
pub(super) const SOURCE_ADDR: Field = field("source_addr", 21, CommandStatus::ESME_RINVSRCADR);
pub(super) const DESTINATION_ADDR: Field = field("destination_addr", 21, CommandStatus::ESME_RINVDSTADR);
pub(super) const SOURCE_ADDR_LONG: Field = field("source_addr", 65, CommandStatus::ESME_RINVSRCADR);
pub(super) const DESTINATION_ADDR_LONG: Field = field("destination_addr", 65, CommandStatus::ESME_RINVDSTADR);
pub(super) const ESME_ADDR: Field = field("esme_addr", 65, CommandStatus::ESME_RINVDSTADR);
pub(super) const DL_NAME: Field = field("dl_name", 21, CommandStatus::ESME_RINVDLNAME);
pub(super) const SCHEDULE_DELIVERY_TIME: Field =
    field("schedule_delivery_time", 17, CommandStatus::ESME_RINVSCHED);
pub(super) const VALIDITY_PERIOD: Field = field("validity_period", 17, CommandStatus::ESME_RINVEXPIRY);
pub(super) const FINAL_DATE: Field = field("final_date", 17, CommandStatus::ESME_RINVEXPIRY);
pub(super) const MESSAGE_ID: Field = field("message_id", 65, CommandStatus::ESME_RINVMSGID);
