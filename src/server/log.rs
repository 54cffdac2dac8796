//! The log on stderr: its level, which a reload may change, its limit, and the thread that writes it, so that a stderr
//! which nobody reads stops no other thread. Each place in the code that logs may do so a few
//! times at once and then once a second; what is left out is counted and told with its next line. So no peer can fill a
//! disk or slow a thread down by making smscd complain, and no cause is lost among many lines of another.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Event;
use tracing::callsite::Identifier;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::reload::Hook;
use crate::config::LogLevel;
use crate::limits::{LOG_LINE_INTERVAL_MS, LOG_LINES_AT_ONCE, LOG_LINES_QUEUED};

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts logging. The hook that it returns sets the level at a reload; what has been logged is written before the end of
/// the other.
pub(super) fn init(level: LogLevel) -> (Hook, Flush) {
    let from_env = EnvFilter::try_from_default_env().ok();
    let is_overridden = from_env.is_some();
    let filter = from_env.unwrap_or_else(|| EnvFilter::new(level.name()));
    let format = Format::default().with_target(false).with_ansi(io::stderr().is_terminal());
    let (filter, handle) = reload::Layer::new(filter);
    let (writer, flush) = start_writer();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal())
        .event_format(Limited { format, limits: Mutex::default() });
    tracing_subscriber::registry().with(filter).with(lines).init();
    (level_hook(handle, is_overridden), flush)
}

fn level_hook(handle: reload::Handle<EnvFilter, Registry>, is_overridden: bool) -> Hook {
    Box::new(move |config| {
        let (handle, level) = (handle.clone(), config.log.level);
        Ok(Box::new(move || {
            if !is_overridden && let Err(error) = handle.reload(EnvFilter::new(level.name())) {
                tracing::error!(%error, "the log level could not be set");
            }
        }))
    })
}

/// The way to the thread that writes.
#[derive(Clone)]
struct Lines(SyncSender<Vec<u8>>);

/// Where a line goes.
enum Line {
    /// To the thread that writes, unless that is so far behind that the line is lost.
    Queued(SyncSender<Vec<u8>>),
    /// To stderr at once: an error may be the last thing that the process does.
    Direct,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::Queued(self.0.clone())
    }

    fn make_writer_for(&'a self, metadata: &tracing::Metadata<'_>) -> Line {
        if *metadata.level() == tracing::Level::ERROR { Line::Direct } else { self.make_writer() }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Queued(_) if line.is_empty() => {}
            Self::Queued(lines) => {
                if let Err(TrySendError::Disconnected(line)) = lines.try_send(line.to_vec()) {
                    // There is no such thread: better slow than silent.
                    io::stderr().write_all(&line)?;
                }
            }
            Self::Direct => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits at its end until what has been logged is written, but not for a stderr that takes nothing.
pub(super) struct Flush {
    lines: SyncSender<Vec<u8>>,
    /// Told for every empty line: everything before it is written.
    written: Receiver<()>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        if self.lines.try_send(Vec::new()).is_ok() {
            let _ = self.written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Starts the thread that writes. It lives as long as the process.
fn start_writer() -> (Lines, Flush) {
    let (lines, queue) = mpsc::sync_channel::<Vec<u8>>(LOG_LINES_QUEUED);
    let (told, written) = mpsc::channel();
    let write = move || {
        for line in queue {
            if line.is_empty() {
                let _ = told.send(());
                continue;
            }
            // Nobody is left to be told.
            let _ = io::stderr().write_all(&line);
        }
    };
    // Should it not start, its end of the queue is gone, and every line is written where it is logged.
    let _ = std::thread::Builder::new().name("smscd-log".into()).spawn(write);
    (Lines(lines.clone()), Flush { lines, written })
}

/// Formats the lines that are within their limit.
struct Limited {
    format: Format<Full>,
    limits: Mutex<Limits>,
}

impl<S, N> FormatEvent<S, N> for Limited
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let cause = event.metadata().callsite();
        let admitted =
            self.limits.lock().unwrap_or_else(PoisonError::into_inner).admit(cause, Instant::now());
        match admitted {
            None => Ok(()),
            Some(0) => self.format.format_event(context, writer, event),
            Some(left_out) => {
                let mut line = String::new();
                self.format.format_event(context, Writer::new(&mut line), event)?;
                writeln!(writer, "{} left_out={left_out}", line.trim_end())
            }
        }
    }
}

/// How much each place has logged. As many entries as the program has such places.
#[derive(Debug, Default)]
struct Limits(HashMap<Identifier, Limit>);

#[derive(Debug)]
struct Limit {
    /// Lines that may be written now.
    left: u32,
    /// Since when `left` is what it is.
    since: Instant,
    left_out: u64,
}

impl Limits {
    /// Whether a line may be written, and how many like it were left out since the last one.
    fn admit(&mut self, cause: Identifier, now: Instant) -> Option<u64> {
        let limit = self.0.entry(cause).or_insert(Limit { left: LOG_LINES_AT_ONCE, since: now, left_out: 0 });
        let interval = Duration::from_millis(LOG_LINE_INTERVAL_MS);
        let earned = now.saturating_duration_since(limit.since).as_millis() / interval.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            limit.left = limit.left.saturating_add(earned).min(LOG_LINES_AT_ONCE);
            limit.since = now;
        }
        if limit.left == 0 {
            limit.left_out += 1;
            return None;
        }
        limit.left -= 1;
        Some(std::mem::take(&mut limit.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tracing::info;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_cause_that_repeats_is_limited_and_another_is_not() {
        let lines = Kept::default();
        let format = Format::default().with_target(false).with_ansi(false);
        let limited = Limited { format, limits: Mutex::default() };
        let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).event_format(limited).finish();
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..1_000 {
                info!(n, "over and over");
            }
            info!("once");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let repeated = text.lines().filter(|line| line.contains("over and over")).count();
        // A slow machine may have earned another line meanwhile.
        assert!((20..=40).contains(&repeated), "{text}");
        assert!(text.lines().last().unwrap().ends_with("once"), "{text}");
    }

    #[test]
    fn what_is_left_out_is_counted_and_told() {
        let mut limits = Limits::default();
        let cause = Identifier(&TEST_CALLSITE);
        let start = Instant::now();
        for _ in 0..LOG_LINES_AT_ONCE {
            assert_eq!(limits.admit(cause.clone(), start), Some(0));
        }
        for _ in 0..500 {
            assert_eq!(limits.admit(cause.clone(), start), None);
        }
        let later = start + Duration::from_millis(LOG_LINE_INTERVAL_MS);
        assert_eq!(limits.admit(cause.clone(), later), Some(500));
        assert_eq!(limits.admit(cause.clone(), later), None);
        let much_later = later + Duration::from_secs(3_600);
        assert_eq!(limits.admit(cause.clone(), much_later), Some(1));
        assert_eq!(limits.admit(cause, much_later), Some(0));
        assert_eq!(limits.0.len(), 1);
    }

    struct TestCallsite;

    static TEST_CALLSITE: TestCallsite = TestCallsite;

    impl tracing::Callsite for TestCallsite {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &tracing::Metadata<'_> {
            unreachable!("an identifier is the callsite's address")
        }
    }
}
