//! A whole run: binds, starts the threads, adds up what they found.

use std::io::IsTerminal;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::matching::{Log, reconcile};
use crate::plan::{Load, Plan};
use crate::progress::Progress;
use crate::report::Report;
use crate::tally::Tally;
use crate::worker::{Bound, Worker, bind_share};

/// Carries out `plan`. An error means that it never began; what went wrong later is in the report.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<(Report, Tally)> {
    let bound = bind_all(plan)?;
    if plan.load == Load::Idle {
        println!("idle ready sessions={}", plan.sessions);
    }
    let progress = Arc::new(Progress::new(plan.threads));
    let start = Instant::now();
    let outcomes: Vec<anyhow::Result<(Tally, Option<Log>)>> = thread::scope(|scope| {
        let line = std::io::stderr().is_terminal().then(|| scope.spawn(|| progress.draw(plan, start)));
        // Collected: every thread must run before the first is waited for.
        let workers: Vec<_> = bound
            .into_iter()
            .enumerate()
            .map(|(index, bound)| {
                let progress = Arc::clone(&progress);
                scope.spawn(move || {
                    if let Some(core) = plan.pin {
                        pin(core + index)?;
                    }
                    let worker = Worker::new(plan, index, progress, bound, start)?;
                    worker.run().context("the generator's event loop failed")
                })
            })
            .collect();
        let outcomes = workers.into_iter().map(join).collect();
        progress.finish();
        if let Some(line) = line {
            line.thread().unpark();
        }
        outcomes
    });
    let mut tally = Tally::new();
    let mut logs = Vec::new();
    for outcome in outcomes {
        let (part, log) = outcome?;
        tally.add(&part);
        logs.extend(log);
    }
    let measure_from = plan.warmup.as_nanos() as u64;
    let reconciled = plan
        .verify
        .then(|| reconcile(logs, plan.shape.receipts, |sent, at| tally.matched(sent, at, measure_from)));
    Ok((Report::new(plan, &tally, reconciled.as_ref()), tally))
}

/// Binds every session, each thread's share at the same time as the others'.
fn bind_all(plan: &Plan) -> anyhow::Result<Vec<Vec<Bound>>> {
    thread::scope(|scope| {
        #[expect(clippy::needless_collect, reason = "every thread must run before the first is waited for")]
        let threads: Vec<_> =
            (0..plan.threads).map(|index| scope.spawn(move || bind_share(plan, index))).collect();
        threads.into_iter().map(join).collect()
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the generator panicked")))
}

/// Moves this thread to `core`.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    if core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        Ok(())
    } else {
        anyhow::bail!("--pin: this thread can't run on core {core}")
    }
}

/// Lets this process have as many sockets as the system allows it.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused: then the first connection too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
