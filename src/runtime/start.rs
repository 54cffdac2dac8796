//! Builds every thread's parts on the calling thread, then starts them: nothing that can fail is left to a thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, bounded};
use mio::Poll;
use tracing::{error, warn};

use super::acceptor::{self, AcceptorParts, AcceptorStop, WorkerDoor};
use super::accounts::AccountTable;
use super::admission::{Admission, Load};
use super::authenticator::{self, BindPort};
use super::clock::Clock;
use super::committer::StoreThreads;
use super::congestion::Congestion;
use super::daily_counts::DailyCounts;
use super::events::{self, EventWriter};
use super::lane::{self, LaneReceiver};
use super::lookout::Lookout;
use super::outbind::Boards;
use super::reconfigure::{Reconfigurer, workers_change};
use super::shard_host::{HostedShard, ShardHost, ToWorkerLane};
use super::thread::{Leaving, RuntimeThread, ThreadStats, ThreadWaker};
use super::tls::{Callees, ServerTls};
use super::values::{ToShard, ToWorker};
use super::worker::{ShardLink, ShardLinks, Worker, WorkerParts};
use crate::base::{MessageIdSource, ShortIds};
use crate::config::{Config, EnginePlan};
use crate::control_lane::{ControlEnd, ControlPort, ControlReply, Wake};
use crate::limits::{ARRIVALS_MAX, LANE_BLOCKS, REQUESTS_OPEN_MAX};
use crate::session::SessionSettings;
use crate::smpp::InterfaceVersion;
use crate::stats::{LatencySet, ThreadCounters};

/// What the engine is started with.
pub struct EngineParts<'a> {
    /// The configuration in effect.
    pub config: &'a Config,
    /// Which thread hosts what.
    pub plan: &'a EnginePlan,
    /// Bound and listening, non-blocking.
    pub listeners: Vec<TcpListener>,
    /// The same for TLS, and what handshakes there go by.
    pub tls: Option<(Vec<TcpListener>, Arc<ServerTls>)>,
    /// How those ESMEs are called that are called over TLS.
    pub callees: Arc<Callees>,
    /// The routing cores, by shard index.
    pub shards: Vec<HostedShard>,
    /// The threads of their stores.
    pub store_threads: Vec<StoreThreads>,
    /// The highest id counter that an earlier run may have used; 0 if none.
    pub id_high_water: u64,
    /// The 8-digit ids of all shards and workers.
    pub short_ids: ShortIds,
    /// What counts against daily quotas already.
    pub daily_counts: Arc<DailyCounts>,
    /// The process's clock.
    pub clock: Clock,
    /// Called after every reply on the control lane.
    pub notify: Arc<dyn Fn() + Send + Sync>,
}

/// The running engine, as control sees it.
pub struct Engine {
    /// Lanes to the runtime threads.
    pub ports: Vec<ControlPort>,
    /// Their replies.
    pub replies: Receiver<ControlReply>,
    /// Every thread's counters: the runtime threads' in order, then the acceptor's.
    pub counters: Vec<Arc<ThreadCounters>>,
    /// Stops accepting.
    pub acceptor: AcceptorStop,
    /// Takes changed configurations to the threads, once: whoever has it applies them.
    pub reconfigurer: Option<Reconfigurer>,
    acceptor_thread: JoinHandle<()>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    store_threads: Vec<StoreThreads>,
    event_writer: Option<EventWriter>,
}

impl Engine {
    /// Waits for every thread to end, after control has told them to.
    ///
    /// # Errors
    /// The first thread that failed.
    pub fn join(self) -> anyhow::Result<()> {
        for (index, thread) in self.threads.into_iter().enumerate() {
            match thread.join() {
                Ok(result) => result.with_context(|| format!("runtime thread {index}"))?,
                Err(_) => anyhow::bail!("runtime thread {index} panicked"),
            }
        }
        if let Some(events) = self.event_writer {
            events.finish();
        }
        for threads in self.store_threads {
            threads.join().map_err(anyhow::Error::msg)?;
        }
        if self.acceptor_thread.join().is_err() {
            anyhow::bail!("the acceptor panicked");
        }
        Ok(())
    }
}

/// Starts the engine.
///
/// # Errors
/// When a poll, a waker or a thread can't be made.
pub fn start(parts: EngineParts<'_>) -> anyhow::Result<Engine> {
    let EngineParts {
        config,
        plan,
        listeners,
        tls,
        callees,
        shards,
        store_threads,
        id_high_water,
        short_ids,
        daily_counts,
        clock,
        notify,
    } = parts;
    let threads = plan.threads.len();
    let accounts = Arc::new(AccountTable::new(config, daily_counts).map_err(anyhow::Error::msg)?);
    let congestion = config.smpp.congestion_state.then(|| Arc::new(Congestion::new(plan.shards)));
    let admission =
        Arc::new(Admission::new(config.limits.connections_max, config.limits.connections_per_address_max));

    let mut polls = Vec::with_capacity(threads);
    let mut wakers = Vec::with_capacity(threads);
    for _ in 0..threads {
        let poll = Poll::new().context("creating a poll")?;
        wakers.push(Arc::new(ThreadWaker::new(&poll).context("creating a waker")?));
        polls.push(poll);
    }
    let leaving = Arc::new(Leaving::new(usize::from(plan.workers), wakers.clone()));
    let mut lanes = Lanes::new(plan, &wakers);

    // Doors and verdicts, by worker.
    let (mut doors, mut bind_ports, mut worker_ends) = (Vec::new(), Vec::new(), Vec::new());
    for thread in plan.worker_threads() {
        let (arrivals_tx, arrivals) = bounded(ARRIVALS_MAX);
        let (words_tx, words) = bounded(ARRIVALS_MAX);
        let load = Arc::new(Load::new(Arc::clone(&admission)));
        let waker = wakers.get(thread).context("a worker without a thread")?;
        doors.push(WorkerDoor { arrivals: arrivals_tx, waker: Arc::clone(waker), load: Arc::clone(&load) });
        bind_ports.push(BindPort { words: words_tx, waker: Arc::clone(waker) as Arc<dyn Wake> });
        worker_ends.push(Some((arrivals, words, load)));
    }
    let questions = authenticator::start(plan.authenticators, clock, &bind_ports)
        .context("starting the authenticators")?;

    let (replies_tx, replies) = bounded((REQUESTS_OPEN_MAX + 1) * threads);
    let mut shards: Vec<Option<HostedShard>> = shards.into_iter().map(Some).collect();
    let mut counters: Vec<Arc<ThreadCounters>> =
        plan.threads.iter().map(|_| Arc::new(ThreadCounters::new(accounts.len()))).collect();
    let boards = Boards::new(config, callees);
    let (reconfigurer, step_ends) = Reconfigurer::new(
        &wakers,
        Arc::clone(&accounts),
        Arc::clone(&admission),
        counters.clone(),
        boards.clone(),
        plan.workers,
    );
    let mut event_counters = None;
    let mut event_lanes = Vec::new();
    let mut event_writer = None;
    if config.edr.is_on() {
        let counters = Arc::new(ThreadCounters::new(0));
        let labels = reconfigurer.account_labels(config);
        let (writer, lanes) = events::start(&config.edr, plan.shards, clock, labels, Arc::clone(&counters))
            .context("opening edr.path")?;
        (event_counters, event_writer) = (Some(counters), Some(writer));
        event_lanes = lanes.into_iter().map(Some).collect();
    }
    let mut ports = Vec::new();
    let mut runtime_threads = Vec::new();
    for (index, ((placed, poll), reconfigure)) in plan.threads.iter().zip(polls).zip(step_ends).enumerate() {
        let thread_counters = counters.get(index).map(Arc::clone).context("a thread without counters")?;
        let waker = wakers.get(index).context("a thread without a waker")?;
        let (requests_tx, requests) = bounded(REQUESTS_OPEN_MAX + 1);
        ports.push(ControlPort { requests: requests_tx, waker: Arc::clone(waker) as Arc<dyn Wake> });
        let worker = match placed.worker {
            None => None,
            Some(worker) => {
                let ends = worker_ends.get_mut(usize::from(worker)).and_then(Option::take);
                let (arrivals, words, load) = ends.context("a worker on two threads")?;
                let (links, from_shards) = lanes.take_worker(worker);
                Some(Worker::new(WorkerParts {
                    index: worker,
                    registry: poll.registry().try_clone().context("cloning a registry")?,
                    clock,
                    reconfigurable: workers_change(config, Arc::clone(&accounts), plan.workers),
                    turn_pdus_max: config.engine.turn_pdus_max,
                    turn_bytes_max: config.engine.turn_bytes_max as usize,
                    questions: questions.clone(),
                    words,
                    bind_ports: bind_ports.clone(),
                    arrivals,
                    tls: tls.as_ref().map(|(_, tls)| Arc::clone(tls)),
                    load,
                    ids: MessageIdSource::for_worker(
                        config.engine.node,
                        worker,
                        short_ids.clone(),
                        clock.now().wall,
                        id_high_water,
                    ),
                    links,
                    from_shards,
                    congestion: congestion.clone(),
                }))
            }
        };
        let events = placed.shard.and_then(|shard| event_lanes.get_mut(usize::from(shard))?.take());
        let latencies = Box::new(LatencySet::new());
        let stats = ThreadStats { counters: thread_counters, latencies, events };
        let shard = match placed.shard {
            None => None,
            Some(shard) => {
                let core = shards.get_mut(usize::from(shard)).and_then(Option::take);
                let mut core = core.context("a shard without a core")?;
                core.store_mut().set_waker(Arc::clone(waker) as Arc<dyn Wake>);
                let (to_workers, from_workers) = lanes.take_shard(shard);
                Some(
                    ShardHost::new(core, to_workers, from_workers)
                        .with_congestion(congestion.clone())
                        .with_board(&boards.current()),
                )
            }
        };
        runtime_threads.push(RuntimeThread {
            index,
            poll,
            waker: Arc::clone(waker),
            clock,
            worker,
            shard,
            stats,
            reconfigure,
            control: ControlEnd { requests, replies: replies_tx.clone(), notify: Arc::clone(&notify) },
            lookout: Lookout::new(config.engine.spin_us * 1_000),
            stop_timeout_ms: config.smpp.unbind_timeout_ms,
            leaving: Arc::clone(&leaving),
        });
    }

    recover(&mut runtime_threads, clock)?;

    let acceptor_counters = Arc::new(ThreadCounters::new(0));
    counters.push(Arc::clone(&acceptor_counters));
    counters.extend(event_counters);
    let (acceptor, acceptor_thread) = acceptor::start(AcceptorParts {
        listeners,
        tls,
        doors,
        admission,
        boards,
        counters: acceptor_counters,
    })
    .context("starting the acceptor")?;
    let threads = runtime_threads
        .into_iter()
        .map(|thread| spawn(thread, config.engine.pin))
        .collect::<io::Result<Vec<_>>>()
        .context("starting a runtime thread")?;
    Ok(Engine {
        ports,
        replies,
        counters,
        acceptor,
        reconfigurer: Some(reconfigurer),
        acceptor_thread,
        threads,
        store_threads,
        event_writer,
    })
}

/// Has every shard take up what is in its store, all at once.
fn recover(threads: &mut [RuntimeThread], clock: Clock) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let shards: Vec<_> = threads
            .iter_mut()
            .filter_map(|RuntimeThread { shard, stats, .. }| {
                let shard = shard.as_mut()?;
                Some(scope.spawn(move || shard.recover(clock.now(), stats)))
            })
            .collect();
        for (index, shard) in shards.into_iter().enumerate() {
            let recovered = shard.join().map_err(|_| anyhow!("taking up a store panicked"))?;
            recovered.with_context(|| format!("taking up what is in the store of shard {index}"))?;
        }
        Ok(())
    })
}

fn spawn(thread: RuntimeThread, pin: bool) -> io::Result<JoinHandle<io::Result<()>>> {
    let index = thread.index;
    thread::Builder::new().name(format!("smscd-{index}")).spawn(move || {
        if pin {
            pin_to_core(index);
        }
        // A thread that fails takes its sessions with it; a daemon that goes on half-dead is worse than none.
        thread.run().inspect_err(|error| error!(%error, index, "a runtime thread failed"))
    })
}

/// Pins to the core after the thread's index: the first core is left to the kernel and the control thread when there
/// are cores enough.
fn pin_to_core(index: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = if cores.is_empty() { None } else { cores.get((index + 1) % cores.len()) };
    if !core.is_some_and(|core| core_affinity::set_for_current(*core)) {
        warn!(index, "a runtime thread could not be pinned to a core");
    }
}

pub(super) fn session_settings(config: &Config) -> SessionSettings {
    let smpp = &config.smpp;
    SessionSettings {
        system_id: smpp.system_id.clone().into_bytes(),
        version_max: InterfaceVersion::from_octet(smpp.interface_version),
        session_init_timeout_ms: smpp.session_init_timeout_ms,
        enquire_link_interval_ms: smpp.enquire_link_interval_ms,
        inactivity_timeout_ms: smpp.inactivity_timeout_ms,
        response_timeout_ms: smpp.response_timeout_ms,
        unbind_timeout_ms: smpp.unbind_timeout_ms,
        pdu_bytes_max: smpp.pdu_bytes_max as usize,
        enquire_link_before_bind: smpp.enquire_link_before_bind,
    }
}

/// The lane ends of every worker and shard, until their threads take them.
struct Lanes {
    worker_links: Vec<Vec<Option<ShardLink>>>,
    worker_receivers: Vec<Vec<LaneReceiver<ToWorker>>>,
    shard_lanes: Vec<Vec<ToWorkerLane>>,
    shard_receivers: Vec<Vec<(u16, LaneReceiver<ToShard>)>>,
}

impl Lanes {
    /// A lane in each direction between every worker and every shard that are not on the same thread.
    fn new(plan: &EnginePlan, wakers: &[Arc<ThreadWaker>]) -> Self {
        let (worker_threads, shard_threads) = (plan.worker_threads(), plan.shard_threads());
        let mut lanes = Self {
            worker_links: Vec::new(),
            worker_receivers: Vec::new(),
            shard_lanes: shard_threads.iter().map(|_| Vec::new()).collect(),
            shard_receivers: shard_threads.iter().map(|_| Vec::new()).collect(),
        };
        for (&worker_thread, worker) in worker_threads.iter().zip(0u16..) {
            let (mut links, mut receivers) = (Vec::new(), Vec::new());
            let shard_ends = lanes.shard_lanes.iter_mut().zip(&mut lanes.shard_receivers);
            for (&shard_thread, (shard_lanes, shard_receivers)) in shard_threads.iter().zip(shard_ends) {
                let ends = (wakers.get(worker_thread), wakers.get(shard_thread));
                let (Some(worker_waker), Some(shard_waker)) = ends else { continue };
                if worker_thread == shard_thread {
                    links.push(None);
                    shard_lanes.push(None);
                    continue;
                }
                let (to_shard, from_worker) = lane::lane(LANE_BLOCKS);
                let (to_worker, from_shard) = lane::lane(LANE_BLOCKS);
                links.push(Some((to_shard, Arc::clone(shard_waker))));
                receivers.push(from_shard);
                shard_lanes.push(Some((to_worker, Arc::clone(worker_waker))));
                shard_receivers.push((worker, from_worker));
            }
            lanes.worker_links.push(links);
            lanes.worker_receivers.push(receivers);
        }
        lanes
    }

    fn take_worker(&mut self, worker: u16) -> (ShardLinks, Vec<LaneReceiver<ToWorker>>) {
        let index = usize::from(worker);
        let links = self.worker_links.get_mut(index).map(std::mem::take).unwrap_or_default();
        let receivers = self.worker_receivers.get_mut(index).map(std::mem::take).unwrap_or_default();
        (ShardLinks::new(links), receivers)
    }

    fn take_shard(&mut self, shard: u16) -> (Vec<ToWorkerLane>, Vec<(u16, LaneReceiver<ToShard>)>) {
        let index = usize::from(shard);
        let lanes = self.shard_lanes.get_mut(index).map(std::mem::take).unwrap_or_default();
        let receivers = self.shard_receivers.get_mut(index).map(std::mem::take).unwrap_or_default();
        (lanes, receivers)
    }
}
