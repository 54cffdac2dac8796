//! Keeps message ids from repeating when the wall clock has stepped back between two runs: a file in the data folder
//! says up to where the last run may have counted.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::WallTime;
use crate::base::message_id::{COUNTERS_PER_MS, clock_counter};

const FILE: &str = "message-ids";
/// What one run may use up without writing again, beyond what its clock reserves: a day of the clock's share, which
/// is 177 thousand million ids for each shard.
const LEASE: u64 = COUNTERS_PER_MS * 24 * 3600 * 1000;

/// The lease of this run.
#[derive(Debug)]
pub(super) struct IdLease {
    high_water: u64,
}

impl IdLease {
    /// Reads what earlier runs may have used, and writes what this one may.
    ///
    /// # Errors
    /// When the folder can't be made, or the file can't be read or written, or does not hold what we write.
    pub(super) fn take(data_dir: &Path, now: WallTime) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir).with_context(|| format!("creating {}", data_dir.display()))?;
        let path = data_dir.join(FILE);
        let high_water = read(&path)?;
        let until = high_water.max(clock_counter(now)).saturating_add(LEASE);
        write(data_dir, &path, until).with_context(|| format!("writing {}", path.display()))?;
        // Within the lease of a run that ended less than a day ago the clock alone tells the runs apart, as long as it
        // has not stepped back; so only what is beyond the clock counts.
        let high_water = if high_water.saturating_sub(LEASE) > clock_counter(now) { high_water } else { 0 };
        Ok(Self { high_water })
    }

    /// The highest id counter that an earlier run may have used and the clock does not rule out; 0 if none.
    pub(super) const fn high_water(&self) -> u64 {
        self.high_water
    }
}

fn read(path: &PathBuf) -> anyhow::Result<u64> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().with_context(|| {
            format!("{}: not a number; this is no data folder of smscd, or it is damaged", path.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Writes the number so that a crash leaves either the old one or the new one.
fn write(data_dir: &Path, path: &Path, until: u64) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    writeln!(file, "{until}")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(data_dir)?.sync_all()
}
