//! Keeps message ids from repeating over a restart: a file in the data folder says up to where the last run may have
//! counted. Long ids begin at the clock, so for them it matters only when that has stepped back; short ones go on where it
//! says, and it is written anew, ahead of them, by a thread that looks how far they have come.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tracing::error;

use crate::base::message_id::{COUNTERS_PER_MS, clock_counter};
use crate::base::{ShortIds, WallTime};

const FILE: &str = "message-ids";
/// What one run may use up without writing again, beyond what its clock reserves: a day of the clock's share, which
/// is 177 thousand million ids for each shard.
const LEASE: u64 = COUNTERS_PER_MS * 24 * 3600 * 1000;
/// Short ids that may be used without writing again. After a crash as many at most are left out: one in 64 of all there are.
const SHORT_LEASE: u32 = 1 << 21;
/// How often it is looked whether half of that is used up, which takes far longer.
const INTERVAL: Duration = Duration::from_millis(250);

/// Up to where ids may have been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    long: u64,
    /// `None`: nothing has said so yet.
    short: Option<u32>,
}

/// The lease of this run.
#[derive(Debug)]
pub(super) struct IdLease {
    high_water: u64,
    /// What the file says of long ids.
    until: u64,
    /// The same of short ones.
    short_until: u32,
    short_ids: ShortIds,
}

impl IdLease {
    /// Reads what earlier runs may have used, and writes what this one may.
    ///
    /// # Errors
    /// When the folder can't be made, or the file can't be read or written, or does not hold what we write.
    pub(super) fn take(data_dir: &Path, now: WallTime) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir).with_context(|| format!("creating {}", data_dir.display()))?;
        let path = data_dir.join(FILE);
        let used = read(&path)?;
        let until = used.long.max(clock_counter(now)).saturating_add(LEASE);
        let short_ids = used.short.map_or_else(|| ShortIds::starting_by(now), ShortIds::starting_at);
        let short_until = short_ids.counter().wrapping_add(SHORT_LEASE);
        let lease = Used { long: until, short: Some(short_until) };
        write(data_dir, lease).with_context(|| format!("writing {}", path.display()))?;
        // Within the lease of a run that ended less than a day ago the clock alone tells the runs apart, as long as it
        // has not stepped back; so only what is beyond the clock counts.
        let high_water = if used.long.saturating_sub(LEASE) > clock_counter(now) { used.long } else { 0 };
        Ok(Self { high_water, until, short_until, short_ids })
    }

    /// The highest id counter that an earlier run may have used and the clock does not rule out; 0 if none.
    pub(super) const fn high_water(&self) -> u64 {
        self.high_water
    }

    /// The short ids of this run.
    pub(super) fn short_ids(&self) -> ShortIds {
        self.short_ids.clone()
    }

    /// Starts the thread that keeps the file ahead of the short ids.
    ///
    /// # Errors
    /// When it can't be started.
    pub(super) fn keep_up(self, data_dir: &Path) -> io::Result<Keeper> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let data_dir = data_dir.to_owned();
        let thread =
            std::thread::Builder::new().name("smscd-ids".into()).spawn(move || self.run(&data_dir, &told))?;
        Ok(Keeper { stop, thread })
    }

    fn run(&self, data_dir: &Path, stop: &AtomicBool) {
        let mut until = self.short_until;
        loop {
            std::thread::park_timeout(INTERVAL);
            let is_last = stop.load(Ordering::Acquire);
            let counter = self.short_ids.counter();
            let left = until.wrapping_sub(counter);
            if is_last || !(SHORT_LEASE / 2..=SHORT_LEASE).contains(&left) {
                let next = if is_last { counter } else { counter.wrapping_add(SHORT_LEASE) };
                match write(data_dir, Used { long: self.until, short: Some(next) }) {
                    Ok(()) => until = next,
                    Err(error) => {
                        error!(%error, "how far message ids have come can't be written: a restart may repeat 8-digit ids");
                    }
                }
            }
            if is_last {
                return;
            }
        }
    }
}

/// The thread that writes, as its starter sees it.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Writes how far ids have come, which nothing may change any more, and ends.
    pub(super) fn finish(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // Its panic has been said on stderr.
        drop(self.thread.join());
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Used> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Used { long: 0, short: None }),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let not_ours = || {
        format!("{}: not what smscd writes; this is no data folder of it, or it is damaged", path.display())
    };
    let mut lines = text.lines();
    let long = lines.next().unwrap_or_default().trim().parse().with_context(not_ours)?;
    let short = lines.next().map(|line| line.trim().parse()).transpose().with_context(not_ours)?;
    Ok(Used { long, short })
}

/// Writes it so that a crash leaves either what was there or this.
fn write(data_dir: &Path, used: Used) -> io::Result<()> {
    let path = data_dir.join(FILE);
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    writeln!(file, "{}\n{}", used.long, used.short.unwrap_or(0))?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MessageIdSource;

    const NOW: WallTime = WallTime::from_unix_millis(1_763_900_000_000);

    #[test]
    fn short_ids_go_on_where_the_last_run_may_have_come_to() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        // In the same moment, by the clock.
        let lease = IdLease::take(data, NOW).unwrap();
        let first = lease.short_ids().counter();
        assert_eq!(first, ShortIds::starting_by(NOW).counter());
        // It is killed at once: nobody knows what it has used.
        let lease = IdLease::take(data, NOW).unwrap();
        let (short_ids, begun) = (lease.short_ids(), lease.short_ids().counter());
        assert_eq!(begun.wrapping_sub(first), SHORT_LEASE);
        let mut source = MessageIdSource::new(0, 0, short_ids.clone(), NOW, 0);
        let keeper = lease.keep_up(data).unwrap();
        // It keeps ahead.
        while short_ids.counter().wrapping_sub(begun) < SHORT_LEASE / 2 + 64 {
            source.next_short();
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let written = || read(&data.join(FILE)).unwrap().short.unwrap();
        while written().wrapping_sub(begun) <= SHORT_LEASE {
            assert!(std::time::Instant::now() < deadline, "never written");
            std::thread::yield_now();
        }
        // It is stopped: what has not been used is used by the next.
        keeper.finish();
        assert_eq!(written(), short_ids.counter());
        assert_eq!(IdLease::take(data, NOW).unwrap().short_ids().counter(), short_ids.counter());
    }

    #[test]
    fn a_file_of_before_and_one_that_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "12345\n").unwrap();
        assert_eq!(read(&path).unwrap(), Used { long: 12_345, short: None });
        for text in ["", "hello\n", "1\nhello\n", "1\n-1\n", "1\n4294967296\n"] {
            fs::write(&path, text).unwrap();
            assert!(IdLease::take(folder.path(), NOW).is_err(), "{text:?}");
        }
    }
}
