//! Carries a changed configuration to the hot threads: first to every shard, then to every worker, so that no worker lets
//! a session in whose account a shard does not know. Each thread swaps what it goes by between two turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::accounts::AccountTable;
use super::admission::Admission;
use super::events::{AccountLabel, AccountLabels};
use super::outbind::{Board, Boards};
use super::thread::ThreadWaker;
use crate::config::{AccountConfig, Config};
use crate::control_lane::Wake;
use crate::network::{BroadcastArea, NetworkProfile};
use crate::routing::ShardChange;
use crate::session::SessionSettings;
use crate::stats::ThreadCounters;
use crate::store::journal::AccountNumbers;

/// How long all threads may take to apply one step.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Steps that a thread may have before it: a thread that has not taken the one before is stuck.
const STEPS_MAX: usize = 2;

/// What shards go by.
#[derive(Debug)]
pub struct ShardsChange {
    /// Accounts, times and retries.
    pub routing: ShardChange,
    /// How destinations behave.
    pub profiles: Vec<NetworkProfile>,
    /// Where broadcasts can be sent to.
    pub areas: Vec<BroadcastArea>,
    /// Which ESMEs may have to be called; set by [`Reconfigurer::apply`].
    pub board: Option<Arc<Board>>,
    /// How the accounts are numbered on disk; `None`: messages are in memory.
    pub numbers: Option<AccountNumbers>,
}

/// What workers go by.
#[derive(Debug)]
pub struct WorkersChange {
    /// Who may bind.
    pub accounts: Arc<AccountTable>,
    /// Session timers and names.
    pub settings: Arc<SessionSettings>,
    /// Half-read PDUs are given up after this.
    pub pdu_timeout_ms: u64,
    /// A peer that reads nothing is given up after this.
    pub write_timeout_ms: u64,
    /// Octets that one worker may hold in buffers.
    pub buffer_bytes_max: u64,
}

/// One step of a change.
#[derive(Clone, Debug)]
pub enum Step {
    /// For the shard here, if there is one.
    Shards(Arc<ShardsChange>),
    /// For the worker here, if there is one.
    Workers(Arc<WorkersChange>),
}

/// A runtime thread's end.
#[derive(Debug)]
pub struct StepEnd {
    /// What to apply.
    pub steps: Receiver<Step>,
    /// Told once it is applied.
    pub applied: Sender<()>,
}

/// The way to one thread.
struct Way {
    steps: Sender<Step>,
    waker: Arc<ThreadWaker>,
}

/// Applies changes, one at a time.
pub struct Reconfigurer {
    ways: Vec<Way>,
    applied: Receiver<()>,
    accounts: Arc<AccountTable>,
    admission: Arc<Admission>,
    counters: Vec<Arc<ThreadCounters>>,
    /// For the writer of event records.
    labels: AccountLabels,
    boards: Boards,
    workers: u16,
}

/// A thread has not applied a change in time. Those that have go by the new configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thread did not take over the configuration in time")]
pub struct Stuck;

impl Reconfigurer {
    /// For the threads that `wakers` wake, and their ends in the same order.
    pub(super) fn new(
        wakers: &[Arc<ThreadWaker>],
        accounts: Arc<AccountTable>,
        admission: Arc<Admission>,
        counters: Vec<Arc<ThreadCounters>>,
        boards: Boards,
        workers: u16,
    ) -> (Self, Vec<StepEnd>) {
        let (applied_tx, applied) = bounded(STEPS_MAX * wakers.len());
        let (ways, ends) = wakers
            .iter()
            .map(|waker| {
                let (steps_tx, steps) = bounded(STEPS_MAX);
                let way = Way { steps: steps_tx, waker: Arc::clone(waker) };
                (way, StepEnd { steps, applied: applied_tx.clone() })
            })
            .unzip();
        let labels = AccountLabels::default();
        (Self { ways, applied, accounts, admission, counters, labels, boards, workers }, ends)
    }

    /// What event records say of the accounts of `config`, kept up to date.
    pub(super) fn account_labels(&self, config: &Config) -> AccountLabels {
        *self.labels.write() = labels(config);
        Arc::clone(&self.labels)
    }

    /// Makes `config`, with what follows from it for the shards, the configuration that all threads go by.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn apply(&mut self, config: &Config, mut shards: ShardsChange) -> Result<(), Stuck> {
        for counters in &self.counters {
            counters.make_room(config.accounts.len());
        }
        self.accounts = Arc::new(self.accounts.after(config));
        *self.labels.write() = labels(config);
        shards.board = Some(self.boards.change(config));
        self.step(&Step::Shards(Arc::new(shards)))?;
        self.admission.set_limits(config.limits.connections_max, config.limits.connections_per_address_max);
        let change = workers_change(config, Arc::clone(&self.accounts), self.workers);
        self.step(&Step::Workers(Arc::new(change)))
    }

    fn step(&self, step: &Step) -> Result<(), Stuck> {
        // Of a change that took too long.
        while self.applied.try_recv().is_ok() {}
        for way in &self.ways {
            way.steps.try_send(step.clone()).map_err(|_| Stuck)?;
            way.waker.wake();
        }
        let deadline = Instant::now() + APPLY_TIMEOUT;
        self.ways.iter().try_for_each(|_| self.applied.recv_deadline(deadline).map_err(|_| Stuck))
    }
}

fn labels(config: &Config) -> Vec<AccountLabel> {
    let label = |account: &AccountConfig| AccountLabel {
        system_id: account.system_id.clone(),
        default_alphabet: account.default_alphabet.alphabet(),
    };
    config.accounts.iter().map(label).collect()
}

impl std::fmt::Debug for Reconfigurer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconfigurer").field("threads", &self.ways.len()).finish_non_exhaustive()
    }
}

/// What `workers` workers go by under a configuration.
pub(super) fn workers_change(config: &Config, accounts: Arc<AccountTable>, workers: u16) -> WorkersChange {
    WorkersChange {
        accounts,
        settings: Arc::new(super::start::session_settings(config)),
        pdu_timeout_ms: config.smpp.pdu_timeout_ms,
        write_timeout_ms: config.smpp.write_timeout_ms,
        buffer_bytes_max: config.limits.buffer_bytes_max / u64::from(workers.max(1)),
    }
}
