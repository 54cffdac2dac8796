//! Assembly: builds the layers from the configuration, starts them, and takes them down in order.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::id_lease::IdLease;
use super::shards;
use crate::config::{Config, EnginePlan};
use crate::control::{self, ControlSetup};
use crate::routing::shard_of;
use crate::runtime::clock::Clock;
use crate::runtime::start::{self, EngineParts};

/// Connections that the kernel may hold for a listener before the acceptor takes them.
const BACKLOG: i32 = 4_096;
/// File descriptors beside the connections: listeners, polls, wakers, files, HTTP.
const DESCRIPTORS_BESIDE: u64 = 512;

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When an address can't be listened on, the data folder can't be used, or a thread can't be started or fails.
pub fn run(config: Config) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let started = Instant::now();
    let clock = Clock::start();
    let plan = EnginePlan::for_cores(cores(), &config.engine);
    raise_descriptor_limit(u64::from(config.limits.connections_max) + DESCRIPTORS_BESIDE);

    let listeners = config.smpp.listen.iter().map(|address| listen(*address)).collect::<anyhow::Result<Vec<_>>>()?;
    let smpp_addresses: Vec<String> = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect::<std::io::Result<_>>()?;
    let http = listen(config.http.listen)?;
    let http_address = http.local_addr()?;

    let lease = IdLease::take(&config.store.data_dir, clock.now().wall)?;
    let cores = shards::build(&config, &plan, lease.high_water(), clock.now())?;
    let reply_notify = Arc::new(Notify::new());
    let notify = Arc::clone(&reply_notify);
    let engine = start::start(EngineParts {
        config: &config,
        plan: &plan,
        listeners,
        shards: cores,
        clock,
        notify: Arc::new(move || notify.notify_one()),
    })?;

    info!(workers = plan.workers, shards = plan.shards, threads = plan.threads.len(), "engine started");
    let mut stdout = std::io::stdout().lock();
    // Scripts wait for this line; nobody reading it is no reason to stop.
    drop(writeln!(stdout, "smscd ready smpp={} http={http_address}", smpp_addresses.join(",")));
    drop(stdout.flush());
    drop(stdout);

    let acceptor = engine.acceptor.clone();
    let served = control::run(ControlSetup {
        http,
        config: Arc::clone(&config),
        ports: engine.ports.clone(),
        replies: engine.replies.clone(),
        reply_notify,
        counters: engine.counters.clone(),
        shard_ports: plan.shard_threads(),
        shard_of,
        shards: plan.shards,
        started,
        stop_accepting: Box::new(move || acceptor.stop()),
    });
    // Without its control thread the daemon can't be stopped in order: leave at once.
    served.context("control")?;
    engine.join()?;
    info!("stopped");
    Ok(())
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the last run's connections to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    socket().with_context(|| format!("listening on {address}"))
}

/// Raises the soft limit on file descriptors as far as is needed and allowed.
fn raise_descriptor_limit(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    let current = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    if raised.is_err() || current < needed {
        warn!(needed, allowed = current, "fewer file descriptors than limits.connections_max may need");
    }
}
