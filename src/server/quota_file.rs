//! Keeps the accounts' daily quotas over a restart: a small file in the data folder, written anew each second in which a count
//! has moved, and at the end. So a daemon that is killed gives back what was sent in its last second, and one that is stopped
//! gives back nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tracing::{error, warn};

use crate::base::WallTime;
use crate::limits::ACCOUNTS_MAX;
use crate::runtime::daily_counts::{CountedDay, DailyCounts};
use crate::runtime::segment_folder::sync_folder;

/// Its name in the data folder.
pub(super) const FILE: &str = "daily-counts";
/// The name of the one that is being written.
pub(super) const NEW_FILE: &str = "daily-counts.new";
const INTERVAL: Duration = Duration::from_secs(1);
const MILLIS_PER_DAY: u64 = 86_400_000;

/// What earlier runs on this data folder have counted and may still matter. A line that makes no sense counts as nothing: no
/// reason not to serve.
///
/// # Errors
/// When there is such a file and it can't be read at all.
pub(super) fn load(data_dir: &Path, now: WallTime) -> anyhow::Result<DailyCounts> {
    let path = data_dir.join(FILE);
    let octets = match fs::read(&path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let text = String::from_utf8_lossy(&octets);
    let lines = text.lines().map(parse);
    if lines.clone().any(|counted| counted.is_none()) {
        warn!(file = %path.display(), "a line makes no sense: that account's daily quota begins anew");
    }
    let today = now.unix_millis() / MILLIS_PER_DAY;
    // The day before too, in case the clock was set back; anything older would only be kept for ever.
    let recent = lines.flatten().filter(|counted| counted.day + 1 >= today);
    Ok(DailyCounts::resumed(recent.take(ACCOUNTS_MAX)))
}

/// A line: the day, its messages, and the system_id, which may have spaces in it.
fn parse(line: &str) -> Option<CountedDay> {
    let (day, rest) = line.split_once(' ')?;
    let (messages, system_id) = rest.split_once(' ')?;
    // A day beyond 2^24 would not be a day of any clock.
    let day = day.parse().ok().filter(|&day| day < 1 << 24)?;
    Some(CountedDay { system_id: system_id.to_owned(), day, messages: messages.parse().ok()? })
}

/// The thread that writes, as its starter sees it.
#[derive(Debug)]
pub(super) struct Recorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Starts to write `counts` to the data folder.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub(super) fn start(data_dir: &Path, counts: Arc<DailyCounts>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let data_dir = data_dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("smscd-quota".into())
            .spawn(move || run(&data_dir, &counts, &told))?;
        Ok(Self { stop, thread })
    }

    /// Writes the last counts, which nothing may change any more, and ends.
    pub(super) fn finish(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // Its panic has been said on stderr.
        drop(self.thread.join());
    }
}

fn run(data_dir: &Path, counts: &DailyCounts, stop: &AtomicBool) {
    let (mut written, mut is_there) = (None, false);
    loop {
        let is_last = stop.load(Ordering::Acquire);
        let mark = Some(counts.mark());
        if mark != written || is_last && is_there {
            let counted = counts.counted();
            // Without a quota there is no file.
            let result = if counted.is_empty() && !is_there {
                Ok(false)
            } else {
                write(data_dir, &counted, is_last).map(|()| true)
            };
            match result {
                Ok(wrote) => (written, is_there) = (mark, is_there || wrote),
                Err(error) => {
                    error!(%error, "the daily counts can't be written: a restart would begin the daily quotas anew");
                }
            }
        }
        if is_last {
            return;
        }
        std::thread::park_timeout(INTERVAL);
    }
}

/// Writes the file so that a crash of the process leaves either the one before or this one; `synced`, one of the machine too.
fn write(data_dir: &Path, counted: &[CountedDay], synced: bool) -> io::Result<()> {
    let new: PathBuf = data_dir.join(NEW_FILE);
    let mut text = String::new();
    for CountedDay { system_id, day, messages } in counted {
        text.push_str(&format!("{day} {messages} {system_id}\n"));
    }
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    if synced {
        file.sync_all()?;
    }
    fs::rename(&new, data_dir.join(FILE))?;
    if synced { sync_folder(data_dir) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon(day: u64) -> WallTime {
        WallTime::from_unix_millis(day * MILLIS_PER_DAY + MILLIS_PER_DAY / 2)
    }

    #[test]
    fn what_is_written_is_read_again_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let load = |day| load(folder.path(), noon(day)).unwrap().counted();
        assert_eq!(load(20_000), []);
        let counted =
            |system_id: &str, messages| CountedDay { system_id: system_id.into(), day: 20_000, messages };
        let all = [counted("a", 3), counted("an ESME", u64::MAX >> 24)];
        write(folder.path(), &all, true).unwrap();
        assert_eq!((load(20_000), load(20_001)), (all.to_vec(), all.to_vec()));
        assert_eq!(load(20_002), []);
        fs::write(folder.path().join(FILE), b"20000 4 b\n\xFF\xFE\n1 2\n99999999999 1 c\nx 1 d\n").unwrap();
        assert_eq!(load(20_000), [counted("b", 4)]);
    }

    #[test]
    fn the_last_counts_are_written_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let counts = Arc::new(DailyCounts::default());
        let recorder = Recorder::start(folder.path(), Arc::clone(&counts)).unwrap();
        assert!(counts.of("a").take(2, 10, noon(20_000)));
        recorder.finish();
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), "20000 2 a\n");
    }
}
