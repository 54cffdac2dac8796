//! Assembly of the daemon.

use crate::config::Config;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Always: the assembly is not part of this branch.
pub fn run(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("the engine is not part of this build")
}
