//! Names of command_status values.

use smscd::smpp::CommandStatus;

/// Name and number: `ESME_RTHROTTLED (0x00000058)`.
pub(crate) fn describe(status: CommandStatus) -> String {
    format!("{} (0x{:08X})", status.name(), status.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_known_and_vendor_codes() {
        assert_eq!(describe(CommandStatus::ESME_RTHROTTLED), "ESME_RTHROTTLED (0x00000058)");
        assert_eq!(describe(CommandStatus(0x0400)), "unknown (0x00000400)");
    }
}
