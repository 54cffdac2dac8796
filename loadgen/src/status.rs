//! Names of command_status values.

/// `NAME (0x000000NN)`.
pub(crate) fn describe(status: u32) -> String {
    format!("0x{status:08X}")
}
