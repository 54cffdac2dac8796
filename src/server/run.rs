//! Assembly: builds the layers from the configuration, starts them, and takes them down in order.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::data_dir::DataDir;
use super::id_lease::{self, IdLease};
use super::reload::{ConfigSource, Hook, Reloader, callees_hook, tls_hook};
use super::{quota_file, shards, stores};
use crate::config::{Config, Durability, EnginePlan};
use crate::control::{self, ControlSetup};
use crate::routing::shard_of;
use crate::runtime::clock::Clock;
use crate::runtime::start::{self, Engine, EngineParts};
use crate::runtime::tls::{self, CalleeSettings, Callees, ServerTls};

/// Connections that the kernel may hold for a listener before the acceptor takes them.
const BACKLOG: i32 = 4_096;
/// File descriptors beside the connections: listeners, polls, wakers, files, HTTP.
const DESCRIPTORS_BESIDE: u64 = 512;

/// The daemon, running.
pub struct Daemon {
    config: Arc<Config>,
    plan: EnginePlan,
    started: Instant,
    http: TcpListener,
    smpp_addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    reply_notify: Arc<Notify>,
    engine: Engine,
    ids: id_lease::Keeper,
    quotas: quota_file::Recorder,
    reloader: Arc<Reloader>,
    /// Ours until the last thread has left.
    _data_dir: Arc<DataDir>,
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When an address can't be listened on, the data folder can't be used, or a thread can't be started or fails.
pub fn run(config: Config, source: ConfigSource, hooks: Vec<Hook>) -> anyhow::Result<()> {
    let daemon = Daemon::start(config, source, hooks)?;
    let list = |addresses: &[SocketAddr]| -> String {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let (smpp, mut tls) = (list(&daemon.smpp_addresses), list(&daemon.tls_addresses));
    if !tls.is_empty() {
        tls.insert_str(0, " tls=");
    }
    let http = daemon.http.local_addr()?;
    daemon.serve(|| {
        let mut stdout = std::io::stdout().lock();
        // Scripts wait for this line; nobody reading it is no reason to stop.
        drop(writeln!(stdout, "smscd ready smpp={smpp} http={http}{tls}"));
        drop(stdout.flush());
    })
}

impl Daemon {
    /// Binds the listeners and starts the engine: from here on ESMEs are served.
    ///
    /// # Errors
    /// When an address can't be listened on, the data folder can't be used, or a thread can't be started.
    pub fn start(config: Config, source: ConfigSource, mut hooks: Vec<Hook>) -> anyhow::Result<Self> {
        let started = Instant::now();
        let clock = Clock::start();
        let plan = EnginePlan::for_cores(cores(), &config.engine);
        raise_descriptor_limit(&config);

        let (listeners, smpp_addresses) = listen_all(&config.smpp.listen)?;
        let tls = tls::Settings::load(&config.tls)?.map(|settings| Arc::new(ServerTls::new(settings)));
        let (tls_listeners, tls_addresses) = listen_all(config.tls.listeners())?;
        hooks.push(tls_hook(tls.clone()));
        let callees = Arc::new(Callees::new(CalleeSettings::load(&config)?));
        hooks.push(callees_hook(Arc::clone(&callees)));
        let http = listen(config.http.listen)?;

        let data_dir = Arc::new(DataDir::take(&config.store.data_dir)?);
        let former = match config.store.durability {
            Durability::None => None,
            Durability::Buffered | Durability::Sync => data_dir.manifest()?,
        };
        let former = former.iter().flat_map(|manifest| &manifest.accounts);
        let config = Arc::new(config.with_former_accounts(former.map(String::as_str)));
        let (stores, store_threads): (Vec<_>, Vec<_>) =
            stores::open(&config, plan.shards, &data_dir, clock)?.into_iter().unzip();
        let lease = IdLease::take(&config.store.data_dir, clock.now().wall)?;
        let shards = shards::build(&config, &plan, stores, &lease, clock.now())?;
        let daily_counts = Arc::new(quota_file::load(&config.store.data_dir, clock.now().wall)?);
        let reply_notify = Arc::new(Notify::new());
        let notify = Arc::clone(&reply_notify);
        let mut engine = start::start(EngineParts {
            config: &config,
            plan: &plan,
            listeners,
            tls: tls.map(|tls| (tls_listeners, tls)),
            callees,
            shards,
            store_threads: store_threads.into_iter().flatten().collect(),
            id_high_water: lease.high_water(),
            short_ids: lease.short_ids(),
            daily_counts: Arc::clone(&daily_counts),
            clock,
            notify: Arc::new(move || notify.notify_one()),
        })?;
        let ids = lease.keep_up(&config.store.data_dir).context("starting to write how far ids have come")?;
        let quotas = quota_file::Recorder::start(&config.store.data_dir, daily_counts)
            .context("starting to write the daily counts")?;
        info!(workers = plan.workers, shards = plan.shards, threads = plan.threads.len(), "engine started");
        let reconfigurer = engine.reconfigurer.take().context("an engine that can't be reconfigured")?;
        let reloader = Reloader::new(source, Arc::clone(&config), Arc::clone(&data_dir), reconfigurer, hooks);
        Ok(Self {
            config,
            plan,
            started,
            http,
            smpp_addresses,
            tls_addresses,
            reply_notify,
            engine,
            ids,
            quotas,
            reloader: Arc::new(reloader),
            _data_dir: data_dir,
        })
    }

    /// Where it listens for ESMEs.
    pub fn smpp_addresses(&self) -> &[SocketAddr] {
        &self.smpp_addresses
    }

    /// The same over TLS.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// Serves HTTP on the calling thread until SIGTERM or SIGINT, then takes everything down in order.
    /// `ready` is called when signals are taken.
    ///
    /// # Errors
    /// When control can't be started, or a thread fails or does not leave in time.
    pub fn serve(self, ready: impl FnOnce()) -> anyhow::Result<()> {
        let acceptor = self.engine.acceptor.clone();
        let setup = ControlSetup {
            http: self.http,
            config: self.config,
            ports: self.engine.ports.clone(),
            replies: self.engine.replies.clone(),
            reply_notify: self.reply_notify,
            counters: self.engine.counters.clone(),
            shard_ports: self.plan.shard_threads(),
            shard_of,
            shards: self.plan.shards,
            started: self.started,
            reload: self.reloader,
            stop_accepting: Box::new(move || acceptor.stop()),
        };
        control::run(setup, ready)
            // Without its control thread the daemon can't be stopped in order: leave at once.
            .context("control")?;
        let ended = self.engine.join();
        self.quotas.finish();
        self.ids.finish();
        ended?;
        info!("stopped");
        Ok(())
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Listens on all of them; where, since a port may have been picked.
fn listen_all(addresses: &[SocketAddr]) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let listeners: Vec<TcpListener> =
        addresses.iter().map(|&address| listen(address)).collect::<anyhow::Result<_>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<std::io::Result<_>>()?;
    Ok((listeners, addresses))
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
pub(super) fn raise_descriptor_limit(config: &Config) {
    let needed = u64::from(config.limits.connections_max) + DESCRIPTORS_BESIDE;
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
