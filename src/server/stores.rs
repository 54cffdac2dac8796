//! Opens the shards' stores: in memory, or the journals in the data folder, which may have been written with another
//! number of shards.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tracing::{info, warn};

use super::data_dir::{DataDir, Manifest};
use crate::config::{Config, Durability};
use crate::limits::STORE_BYTES_PER_MESSAGE;
use crate::routing::shard_of;
use crate::runtime::clock::Clock;
use crate::runtime::committer::{self, ChannelLink, LateWaker, StoreThreads};
use crate::runtime::hosted_store::HostedStore;
use crate::runtime::segment_folder::{SegmentFolder, SegmentOnDisk};
use crate::smpp::{PduBody, SmFields};
use crate::store::journal::{
    self, Access, AccountNumbers, JournalSettings, Progress, Recovered, RecoveryReport,
};
use crate::store::{self, Journal, MemoryStore, MessageStore};

/// Segment files that a shard may have however small the budget is.
const SEGMENTS_MIN: u64 = 8;
/// Segments, over all shards, below which nothing is copied forward while there is traffic.
const SEGMENTS_KEPT: u32 = 6;
/// Of these each shard has at least so many: a message should be final before its turn comes.
const SEGMENTS_KEPT_MIN: u32 = 3;
/// Between two tries to put a message while the committer is busy with those before.
const BUSY_WAIT: Duration = Duration::from_millis(1);

/// A shard's store, and the threads behind it if it is on disk.
pub(super) type OpenStore = (HostedStore, Option<StoreThreads>);

/// Most messages of each of `shards` shards.
pub(super) fn messages_max(config: &Config, shards: u16) -> u32 {
    u32::try_from(config.store.messages_max.div_ceil(u64::from(shards))).unwrap_or(u32::MAX - 1)
}

/// Opens the store of every shard.
///
/// # Errors
/// When the data folder or what is in it can't be used.
pub(super) fn open(
    config: &Config,
    shards: u16,
    data: &DataDir,
    clock: Clock,
) -> anyhow::Result<Vec<OpenStore>> {
    let messages_max = messages_max(config, shards);
    let durability = match config.store.durability {
        Durability::None => {
            if data.manifest()?.is_some() {
                warn!("durability is none: the store in the data folder stays as it is, its messages wait");
            }
            let store = || MemoryStore::new(messages_max, u64::from(messages_max) * STORE_BYTES_PER_MESSAGE);
            return Ok((0..shards).map(|_| (HostedStore::Memory(store()), None)).collect());
        }
        Durability::Buffered => store::Durability::Buffered,
        Durability::Sync => store::Durability::Sync,
    };
    let mut manifest = data.manifest()?.unwrap_or_else(|| Manifest::new(shards));
    let accounts = config.accounts.iter().map(|account| account.system_id.as_str());
    let accounts = AccountNumbers::new(manifest.number_accounts(accounts));
    manifest.messages_max = manifest.messages_max.max(messages_max);
    let opening = Opening { config, data, clock, durability, accounts };
    if manifest.shards != shards {
        manifest = opening.spread(&manifest, shards)?;
    }
    data.write_manifest(&manifest)?;
    data.remove_other_layouts(manifest.layout)?;
    let (opening, manifest) = (&opening, &manifest);
    thread::scope(|scope| {
        #[allow(clippy::needless_collect, reason = "all are under way before one is waited for")]
        let shards: Vec<_> =
            (0..shards).map(|shard| scope.spawn(move || opening.open_shard(manifest, shard))).collect();
        let opened = |shard: thread::ScopedJoinHandle<'_, _>| {
            shard.join().map_err(|_| anyhow!("opening a store panicked")).and_then(|opened| opened)
        };
        shards.into_iter().map(opened).collect()
    })
}

/// The numbers on disk of a changed configuration's accounts, which the manifest knows once this has returned. `None`:
/// messages are in memory.
///
/// # Errors
/// The data folder's.
pub(super) fn renumber(config: &Config, data: &DataDir) -> anyhow::Result<Option<AccountNumbers>> {
    if config.store.durability == Durability::None {
        return Ok(None);
    }
    let Some(before) = data.manifest()? else { return Ok(None) };
    let mut manifest = before.clone();
    let accounts = config.accounts.iter().map(|account| account.system_id.as_str());
    let numbers = AccountNumbers::new(manifest.number_accounts(accounts));
    if manifest != before {
        data.write_manifest(&manifest)?;
    }
    Ok(Some(numbers))
}

struct Opening<'a> {
    config: &'a Config,
    data: &'a DataDir,
    clock: Clock,
    durability: store::Durability,
    accounts: AccountNumbers,
}

impl Opening<'_> {
    fn settings(&self, manifest: &Manifest, shard: u16) -> JournalSettings {
        let store = &self.config.store;
        let shards = u64::from(manifest.shards);
        let segments_max = (store.disk_bytes_max / shards / store.segment_bytes).max(SEGMENTS_MIN);
        JournalSettings {
            durability: self.durability,
            messages_max: manifest.messages_max,
            // The configuration is validated: at most 1 GiB.
            segment_bytes: store.segment_bytes as u32,
            segments_max: u32::try_from(segments_max).unwrap_or(u32::MAX),
            segments_kept: (SEGMENTS_KEPT / u32::from(manifest.shards)).max(SEGMENTS_KEPT_MIN),
            memory_bytes: usize::try_from(store.body_cache_bytes / shards).unwrap_or(usize::MAX),
            endings_max: u32::try_from(store.final_history_records.div_ceil(shards)).unwrap_or(u32::MAX),
            accounts: self.accounts.clone(),
            ..JournalSettings::new(manifest.segment_id(shard))
        }
    }

    fn recover(
        &self,
        manifest: &Manifest,
        shard: u16,
        access: Access,
    ) -> anyhow::Result<(SegmentFolder, Recovered<SegmentOnDisk>)> {
        let path = self.data.shard(manifest.layout, shard);
        let context = || format!("the store in {}", path.display());
        let mut folder = SegmentFolder::create(&path).with_context(context)?;
        let started = Instant::now();
        let recovered =
            journal::open(&mut folder, &self.settings(manifest, shard), access).with_context(context)?;
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let recovered = recovered.took(nanos);
        tell(shard, recovered.report());
        Ok((folder, recovered))
    }

    fn open_shard(&self, manifest: &Manifest, shard: u16) -> anyhow::Result<OpenStore> {
        let (folder, recovered) = self.recover(manifest, shard, Access::Write)?;
        let settings = self.settings(manifest, shard);
        let progress = Arc::new(Progress::from(recovered.lsn()));
        let waker = LateWaker::default();
        let (link, threads) =
            committer::start(shard, folder, settings.store_id, &progress, self.clock, waker.clone())
                .context("starting the threads of a store")?;
        let journal = Journal::new(settings, recovered, link, progress);
        Ok((HostedStore::Journal(Box::new(journal), waker), Some(threads)))
    }

    /// Spreads a store over another number of shards: every message goes to the shard of its destination in a new
    /// layout, and when all of it is on disk the manifest names that one. A crash on the way leaves the old layout.
    fn spread(&self, from: &Manifest, shards: u16) -> anyhow::Result<Manifest> {
        info!(from = from.shards, to = shards, "the number of shards has changed: spreading the store");
        let mut to = from.clone();
        (to.layout, to.shards) = (from.layout + 1, shards);
        // Of an attempt that was cut off.
        self.data.remove_other_layouts(from.layout)?;
        let mut stores =
            (0..shards).map(|shard| self.open_shard(&to, shard)).collect::<anyhow::Result<Vec<_>>>()?;
        for shard in 0..from.shards {
            let (_, recovered) = self.recover(from, shard, Access::ReadOnly)?;
            let mut result = Ok(());
            recovered.visit(&self.accounts, &mut |_, record, body| {
                if result.is_err() {
                    return;
                }
                let destination = SmFields::decode(body).map(|sm| sm.destination_addr).unwrap_or_default();
                let store = stores.get_mut(usize::from(shard_of(destination, shards)));
                result = match store {
                    Some((HostedStore::Journal(journal, _), _)) => put(journal, self.clock, record, body),
                    _ => Err(store::StoreFull),
                };
            });
            result.context(
                "store.disk_bytes_max or store.messages_max is too small for the new number of shards",
            )?;
        }
        for (mut store, threads) in stores {
            store.close(&mut std::iter::empty(), || thread::sleep(BUSY_WAIT));
            drop(store);
            if let Some(threads) = threads {
                threads.join().map_err(anyhow::Error::msg)?;
            }
        }
        Ok(to)
    }
}

/// Puts a message, waiting for the disk while it is behind.
fn put(
    journal: &mut Journal<ChannelLink>,
    clock: Clock,
    record: &store::Record,
    body: &[u8],
) -> Result<(), store::StoreFull> {
    let mut left_for_disk = 10_000;
    loop {
        match journal.put(record, body) {
            Ok(_) => return Ok(()),
            Err(full) if left_for_disk == 0 => return Err(full),
            Err(_) => {
                journal.commit();
                thread::sleep(BUSY_WAIT);
                journal.poll(clock.time(), |_, _| {});
                left_for_disk -= 1;
            }
        }
    }
}

fn tell(shard: u16, report: &RecoveryReport) {
    let RecoveryReport { messages, segments, bytes, is_clean_stop, is_from_index, .. } = *report;
    let millis = report.nanos / 1_000_000;
    info!(shard, messages, segments, bytes, is_clean_stop, is_from_index, millis, "store opened");
    if let Some((file, offset)) = report.torn_tail {
        info!(
            shard,
            file, offset, "the last run was cut off while it wrote: nothing of that was acknowledged"
        );
    }
    for damage in &report.damage {
        let journal::Damage { file, segment, offset, lost_entries } = damage;
        tracing::error!(
            shard,
            file,
            segment,
            offset,
            lost_entries,
            "the store is damaged: this could not be read; everything else is kept"
        );
    }
    if report.damaged > 0 {
        tracing::error!(
            shard,
            places = report.damaged,
            entries = report.lost_entries,
            "the store is damaged: messages may be lost, or delivered again"
        );
    }
}
