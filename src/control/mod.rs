//! The control thread: HTTP for operators (stats, metrics, sessions, MO injection), signals, orderly shutdown. The
//! only async code; it reads the hot threads' counters and asks them through the control lane, nothing else.

mod api;
mod exchange;
mod latencies;
mod listener;
mod metrics;
mod mo;
mod reload;
mod statistics;
mod stats;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::Receiver;
use parking_lot::{Mutex, RwLock};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::config::Config;
use crate::control_lane::{ControlPort, ControlReply, StoreStats};
use crate::stats::ThreadCounters;

use exchange::Exchange;
use latencies::Latencies;
pub use reload::{Reload, ReloadError, Reloaded};

/// How much longer than `smpp.unbind_timeout_ms` the threads may take to leave.
const LEAVE_GRACE: Duration = Duration::from_secs(5);

/// What the control thread works with. Built before any thread starts, moved into it.
pub struct ControlSetup {
    /// Bound and listening.
    pub http: std::net::TcpListener,
    /// The configuration in effect.
    pub config: Arc<Config>,
    /// Lanes to the hot threads, by thread index. Each takes at least
    /// [`REQUESTS_OPEN_MAX`](crate::limits::REQUESTS_OPEN_MAX) + 1 requests.
    pub ports: Vec<ControlPort>,
    /// The lane that all hot threads reply on; takes at least
    /// [`REQUESTS_OPEN_MAX`](crate::limits::REQUESTS_OPEN_MAX) + 1 replies per thread.
    pub replies: Receiver<ControlReply>,
    /// Notified (`notify_one`) after every reply.
    pub reply_notify: Arc<Notify>,
    /// The hot threads' counters, by thread index.
    pub counters: Vec<Arc<ThreadCounters>>,
    /// Index of the thread that hosts each shard.
    pub shard_ports: Vec<usize>,
    /// The shard of a destination address, of so many shards.
    pub shard_of: fn(&[u8], u16) -> u16,
    /// Number of shards.
    pub shards: u16,
    /// When the process started.
    pub started: Instant,
    /// Reloads the configuration.
    pub reload: Arc<dyn Reload>,
    /// Makes the SMPP listeners stop accepting.
    pub stop_accepting: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for ControlSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlSetup").field("http", &self.http).finish_non_exhaustive()
    }
}

/// What every HTTP request can see.
struct Shared {
    /// In effect; replaced by a reload.
    config: RwLock<Arc<Config>>,
    /// Notified after each replacement.
    reconfigured: Notify,
    reload: Arc<dyn Reload>,
    counters: Vec<Arc<ThreadCounters>>,
    /// Its own, the last of those.
    own_counters: Arc<ThreadCounters>,
    shard_ports: Vec<usize>,
    shard_of: fn(&[u8], u16) -> u16,
    shards: u16,
    started: Instant,
    /// Whether binds are accepted.
    ready: AtomicBool,
    exchange: Exchange,
    latencies: Latencies,
    /// The figures of each thread's store, as of the last snapshot.
    stores: Mutex<Vec<Option<Box<StoreStats>>>>,
}

impl Shared {
    /// The figures of all stores on disk; `None`: messages are in memory.
    fn store(&self) -> Option<StoreStats> {
        self.stores.lock().iter().flatten().fold(None, |sum: Option<StoreStats>, store| {
            let mut sum = sum.unwrap_or_default();
            sum.add(store);
            Some(sum)
        })
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// Serves HTTP on the calling thread until SIGTERM or SIGINT, then shuts the hot threads down and waits for them.
/// Calls `ready` once the signals are taken: whoever is told of it may send one at once.
///
/// # Errors
/// When the runtime or the signal handlers can't be set up, or a hot thread has not left in time.
pub fn run(setup: ControlSetup, ready: impl FnOnce()) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the control thread's runtime")?;
    runtime.block_on(async {
        let stop = stop_signal().context("installing the signal handlers")?;
        let hangup = signal(SignalKind::hangup()).context("installing the signal handlers")?;
        ready();
        serve(setup, stop, Some(hangup), LEAVE_GRACE).await
    })
}

/// Completes at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: shutting down"),
            _ = interrupt.recv() => tracing::info!("SIGINT: shutting down"),
        }
    })
}

/// [`run`] until `stop` completes, reloading at each `hangup`; the threads may take `grace` longer than their unbinds to
/// leave.
async fn serve(
    setup: ControlSetup,
    stop: impl Future<Output = ()>,
    hangup: Option<Signal>,
    grace: Duration,
) -> anyhow::Result<()> {
    setup.http.set_nonblocking(true).context("preparing the HTTP listener")?;
    let listener = tokio::net::TcpListener::from_std(setup.http).context("preparing the HTTP listener")?;
    let threads = setup.ports.len();
    let unbind_timeout = Duration::from_millis(setup.config.smpp.unbind_timeout_ms);
    let own_counters = Arc::new(ThreadCounters::new(0));
    let shared = Arc::new(Shared {
        config: RwLock::new(setup.config),
        reconfigured: Notify::new(),
        reload: setup.reload,
        counters: setup.counters.into_iter().chain([Arc::clone(&own_counters)]).collect(),
        own_counters,
        shard_ports: setup.shard_ports,
        shard_of: setup.shard_of,
        shards: setup.shards,
        started: setup.started,
        ready: AtomicBool::new(true),
        exchange: Exchange::new(setup.ports),
        latencies: Latencies::new(threads),
        stores: Mutex::new((0..threads).map(|_| None).collect()),
    });
    let collector = tokio::spawn(collect(Arc::clone(&shared), setup.replies, setup.reply_notify));
    let statistics = tokio::spawn(statistics::run(Arc::clone(&shared)));
    let router = api::router(Arc::clone(&shared));
    let server = tokio::spawn(async move { axum::serve(listener::Bounded::new(listener), router).await });

    let reloads = tokio::spawn(reload::at_each(hangup, Arc::clone(&shared)));
    tokio::select! {
        () = stop => {}
        why = shared.exchange.failure() => {
            // Nothing may be promised any more, and the other threads can't be left in order without that one.
            shared.ready.store(false, Ordering::Relaxed);
            (setup.stop_accepting)();
            anyhow::bail!("stopping: {why}");
        }
    }
    reloads.abort();
    statistics.abort();
    shared.ready.store(false, Ordering::Relaxed);
    (setup.stop_accepting)();
    let left = tokio::select! {
        left = shared.exchange.shutdown(unbind_timeout + grace) => left,
        why = shared.exchange.failure() => anyhow::bail!("stopping: {why}"),
    };
    server.abort();
    collector.abort();
    let staying: Vec<usize> = left.iter().enumerate().filter_map(|(i, left)| (!left).then_some(i)).collect();
    anyhow::ensure!(staying.is_empty(), "threads {staying:?} did not leave in time");
    Ok(())
}

/// Hands every reply of the hot threads to whoever waits for it.
async fn collect(shared: Arc<Shared>, replies: Receiver<ControlReply>, notify: Arc<Notify>) {
    loop {
        while let Ok(reply) = replies.try_recv() {
            match reply {
                // Kept even when the request has given up waiting: no latency is lost.
                ControlReply::Snapshot { request, thread, latencies, store } => {
                    shared.latencies.absorb(latencies);
                    if let Some(place) = shared.stores.lock().get_mut(thread) {
                        *place = store;
                    }
                    shared.exchange.answered(request, exchange::Answer::Snapshot);
                }
                reply => shared.exchange.take(reply),
            }
        }
        notify.notified().await;
    }
}

#[cfg(test)]
mod tests;
