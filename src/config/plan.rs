//! Which thread hosts which worker and which shard, and how many threads there are beside those, from the configuration and
//! the number of cores.

use std::fmt;

use super::engine::EngineConfig;
use crate::limits::THREADS_MAX;

/// What one runtime thread hosts; at least one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadPlan {
    /// Index of its worker.
    pub worker: Option<u16>,
    /// Index of its shard.
    pub shard: Option<u16>,
}

/// The runtime threads. Worker and shard indices are dense from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnginePlan {
    /// One per thread, in the order of their indices.
    pub threads: Vec<ThreadPlan>,
    /// Number of workers.
    pub workers: u16,
    /// Number of shards.
    pub shards: u16,
    /// Number of threads that check passwords against hashes; never 0.
    pub authenticators: u16,
}

/// The most authenticators that are started unasked: more would help only in a storm of binds, and each takes the memory of
/// a check for its own.
const AUTHENTICATORS_AUTOMATIC_MAX: usize = 8;

impl EnginePlan {
    /// The plan for `cores` cores.
    ///
    /// Up to 8 cores a thread hosts both a worker and a shard, above that they stand apart, two workers for each
    /// shard. From 3 cores on one is left to the kernel's network work, HTTP and, on the same machine, the ESMEs; of two
    /// cores both are used, since one thread alone leaves much of the other idle.
    /// Explicit numbers win; threads that would outnumber the cores are joined where the numbers allow.
    pub fn for_cores(cores: usize, engine: &EngineConfig) -> Self {
        let spared = usize::from(cores > 2);
        let usable = (cores.max(1) - spared).clamp(1, 2 * THREADS_MAX) as u16;
        let joined = cores <= 8;
        let (auto_workers, auto_shards) =
            if joined { (usable, usable) } else { (usable - usable / 3, usable / 3) };
        let pick = |given: u16, auto: u16| if given == 0 { auto } else { given }.min(THREADS_MAX as u16);
        let workers = pick(engine.workers, auto_workers);
        let shards = pick(engine.shards, auto_shards);
        let both_given = engine.workers != 0 && engine.shards != 0;
        let threads = if (joined && !both_given) || usize::from(workers) + usize::from(shards) > cores {
            Self::joined(workers, shards)
        } else {
            Self::apart(workers, shards)
        };
        let authenticators = match engine.authenticators {
            0 => (cores / 2).clamp(1, AUTHENTICATORS_AUTOMATIC_MAX) as u16,
            given => given,
        };
        Self { threads, workers, shards, authenticators }
    }

    /// Index of the thread that hosts each worker.
    pub fn worker_threads(&self) -> Vec<usize> {
        self.hosts(self.workers, |thread| thread.worker)
    }

    /// Index of the thread that hosts each shard.
    pub fn shard_threads(&self) -> Vec<usize> {
        self.hosts(self.shards, |thread| thread.shard)
    }

    fn hosts(&self, count: u16, hosted: impl Fn(&ThreadPlan) -> Option<u16>) -> Vec<usize> {
        (0..count).filter_map(|i| self.threads.iter().position(|thread| hosted(thread) == Some(i))).collect()
    }

    fn joined(workers: u16, shards: u16) -> Vec<ThreadPlan> {
        (0..workers.max(shards))
            .map(|i| ThreadPlan { worker: (i < workers).then_some(i), shard: (i < shards).then_some(i) })
            .collect()
    }

    fn apart(workers: u16, shards: u16) -> Vec<ThreadPlan> {
        (0..workers)
            .map(|i| ThreadPlan { worker: Some(i), shard: None })
            .chain((0..shards).map(|i| ThreadPlan { worker: None, shard: Some(i) }))
            .collect()
    }
}

impl fmt::Display for EnginePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, workers, shards, authenticators } = self;
        let threads = threads.len();
        write!(f, "{threads} threads, {workers} workers, {shards} shards, {authenticators} authenticators")?;
        for (i, thread) in self.threads.iter().enumerate() {
            write!(f, "\nthread {i}:")?;
            if let Some(worker) = thread.worker {
                write!(f, " worker {worker}")?;
            }
            if let Some(shard) = thread.shard {
                write!(f, " shard {shard}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cores: usize, workers: u16, shards: u16) -> EnginePlan {
        let plan = EnginePlan::for_cores(cores, &EngineConfig { workers, shards, ..EngineConfig::default() });
        assert_eq!(plan.worker_threads().len(), usize::from(plan.workers), "every worker is hosted");
        assert_eq!(plan.shard_threads().len(), usize::from(plan.shards), "every shard is hosted");
        assert!(plan.threads.iter().all(|thread| thread.worker.is_some() || thread.shard.is_some()));
        plan
    }

    #[test]
    fn automatic_plans_by_cores() {
        for (cores, threads, workers, shards) in
            [(1, 1, 1, 1), (2, 2, 2, 2), (4, 3, 3, 3), (8, 7, 7, 7), (16, 15, 10, 5), (64, 63, 42, 21)]
        {
            let plan = plan(cores, 0, 0);
            assert_eq!(
                (plan.threads.len(), plan.workers, plan.shards),
                (threads, workers, shards),
                "{cores} cores"
            );
        }
    }

    #[test]
    fn half_of_the_cores_may_check_passwords() {
        let authenticators = |cores, authenticators| {
            EnginePlan::for_cores(cores, &EngineConfig { authenticators, ..EngineConfig::default() })
                .authenticators
        };
        for (cores, automatic) in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (16, 8), (128, 8)] {
            assert_eq!(authenticators(cores, 0), automatic, "{cores} cores");
        }
        assert_eq!((authenticators(2, 64), authenticators(64, 1)), (64, 1), "an explicit number wins");
    }

    #[test]
    fn more_cores_than_threads_may_be() {
        let plan = plan(1024, 0, 0);
        assert!(usize::from(plan.workers) <= THREADS_MAX && usize::from(plan.shards) <= THREADS_MAX);
        assert_eq!(EnginePlan::for_cores(0, &EngineConfig::default()).threads.len(), 1);
    }

    #[test]
    fn explicit_numbers_win() {
        assert_eq!(plan(2, 1, 1).threads.len(), 2, "both fit: apart");
        assert_eq!(plan(2, 2, 2).threads.len(), 2, "more than cores: joined");
        assert_eq!(plan(1, 1, 1).threads.len(), 1);
        let uneven = plan(2, 3, 2);
        assert_eq!(
            (uneven.threads.len(), uneven.worker_threads(), uneven.shard_threads()),
            (3, vec![0, 1, 2], vec![0, 1])
        );
        let one_given = plan(4, 0, 1);
        assert_eq!((one_given.workers, one_given.shards, one_given.threads.len()), (3, 1, 3));
        assert_eq!(plan(16, 4, 4).shard_threads(), vec![4, 5, 6, 7]);
    }
}
