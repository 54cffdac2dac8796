//! Where the threads stand while they run: what the progress line shows, and how they learn that all is done.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::plan::{Load, Plan};
use crate::report::grouped;
use crate::tally::Tally;

/// How often the line is drawn.
const INTERVAL: Duration = Duration::from_millis(200);

/// One thread's figures, alone on their cache lines. One writer each.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Figures {
    submitted: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    receipts: AtomicU64,
    /// submit_sm without response; `u64::MAX` while sending.
    open: AtomicU64,
}

/// The figures of all threads.
#[derive(Debug)]
pub(crate) struct Progress {
    threads: Vec<Figures>,
    finished: AtomicBool,
}

impl Progress {
    /// For `threads` threads that all still send.
    pub(crate) fn new(threads: usize) -> Self {
        let threads: Vec<Figures> = std::iter::repeat_with(Figures::default).take(threads).collect();
        for figures in &threads {
            figures.open.store(u64::MAX, Ordering::Relaxed);
        }
        Self { threads, finished: AtomicBool::new(false) }
    }

    /// Shows what a thread has done. Called once a turn.
    pub(crate) fn publish(&self, thread: usize, tally: &Tally, open: u64) {
        let Some(figures) = self.threads.get(thread) else { return };
        figures.submitted.store(tally.submitted, Ordering::Relaxed);
        figures.accepted.store(tally.accepted, Ordering::Relaxed);
        if !tally.refused.is_empty() {
            figures.refused.store(tally.refused_total(), Ordering::Relaxed);
        }
        figures.receipts.store(tally.receipts, Ordering::Relaxed);
        // Whoever sees this thread done must see its final count of accepted messages.
        figures.open.store(open, Ordering::Release);
    }

    /// Whether every thread has stopped sending, has all its responses, and as many receipts came as messages
    /// were accepted.
    pub(crate) fn all_drained(&self) -> bool {
        self.threads.iter().all(|figures| figures.open.load(Ordering::Acquire) == 0)
            && self.sum(|figures| &figures.receipts) >= self.sum(|figures| &figures.accepted)
    }

    /// The run is over: the line ends.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    /// Draws the line on stderr until [`Progress::finish`]; draws nothing where stderr is no terminal.
    pub(crate) fn draw(&self, plan: &Plan, start: Instant) {
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            line.set_style(style);
        }
        let (mut before, mut seen_at) = (Seen::default(), start);
        while !self.finished.load(Ordering::Relaxed) {
            std::thread::park_timeout(INTERVAL);
            let seen = Seen {
                submitted: self.sum(|figures| &figures.submitted),
                accepted: self.sum(|figures| &figures.accepted),
                refused: self.sum(|figures| &figures.refused),
                receipts: self.sum(|figures| &figures.receipts),
            };
            let now = Instant::now();
            let elapsed = now.duration_since(seen_at).as_secs_f64().max(1e-3);
            line.set_message(seen.line(&before, elapsed, now.duration_since(start), plan));
            (before, seen_at) = (seen, now);
        }
        line.finish_and_clear();
    }

    fn sum(&self, figure: impl Fn(&Figures) -> &AtomicU64) -> u64 {
        self.threads.iter().map(|figures| figure(figures).load(Ordering::Relaxed)).sum()
    }
}

/// What the line was drawn from.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    submitted: u64,
    accepted: u64,
    refused: u64,
    receipts: u64,
}

impl Seen {
    fn line(&self, before: &Self, elapsed: f64, run: Duration, plan: &Plan) -> String {
        let mut line = format!("{:.1} s", run.as_secs_f64());
        if plan.load == Load::Idle {
            return format!("{line}  {} sessions held", plan.sessions);
        }
        let per_second = |now: u64, then: u64| grouped((now - then) as f64 / elapsed);
        line += &format!(
            "  {} submitted  {}/s answered",
            grouped(self.submitted as f64),
            per_second(self.accepted + self.refused, before.accepted + before.refused),
        );
        if plan.shape.receipts {
            line += &format!(
                "  {:.0}/s receipts ({})",
                per_second(self.receipts, before.receipts),
                self.receipts
            );
        }
        if self.refused > 0 {
            line += &format!("  {} refused", grouped(self.refused as f64));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drained_only_when_every_thread_is_and_receipts_are_level() {
        let progress = Progress::new(2);
        let mut tally = Tally::new();
        tally.accepted = 3;
        progress.publish(0, &tally, 0);
        assert!(!progress.all_drained(), "the other thread still sends");
        tally.accepted = 1;
        tally.receipts = 3;
        progress.publish(1, &tally, 1);
        assert!(!progress.all_drained(), "one response is missing");
        tally.accepted = 2;
        progress.publish(1, &tally, 0);
        assert!(!progress.all_drained(), "two receipts are missing");
        tally.receipts = 5;
        progress.publish(1, &tally, 0);
        assert!(progress.all_drained());
    }
}
