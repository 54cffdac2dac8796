//! Builds the routing shards, their stores and their simulated network from the configuration.

use std::hash::{BuildHasher, Hasher, RandomState};

use anyhow::Context;

use super::id_lease::IdLease;
use super::stores::messages_max;
use crate::base::Now;
use crate::config::{
    self, AccountConfig, Config, Delay, Distribution, EdrConfig, EdrEvent, EnginePlan, MoConfig,
    NetworkProfile, ReceiptsForParts,
};
use crate::limits::QUEUED_AT_HAND;
use crate::network::{self, MoSource, MoSourceSettings, Network};
use crate::routing::{
    AccountRouting, EventKinds, RetrySettings, Shard, ShardChange, ShardSettings, shard_of,
};
use crate::runtime::hosted_store::HostedStore;
use crate::runtime::shard_host::HostedShard;
use crate::smpp::text::gsm;
use crate::smpp::time_format::DateDigits;
use crate::store::Durability;

/// All shards, by index.
///
/// # Errors
/// When the network's profiles or the accounts' addresses contradict each other.
pub(super) fn build(
    config: &Config,
    plan: &EnginePlan,
    stores: Vec<HostedStore>,
    ids: &IdLease,
    now: Now,
) -> anyhow::Result<Vec<HostedShard>> {
    let profiles = profiles(config);
    let routing = routing(config);
    let share = |total: u64| u32::try_from(total.div_ceil(u64::from(plan.shards))).unwrap_or(u32::MAX - 1);
    // The standard library's own source of random keys.
    let hash_key = RandomState::new().build_hasher().finish();
    (0..plan.shards)
        .zip(stores)
        .map(|(shard, store)| {
            let settings = ShardSettings {
                shard,
                shards: plan.shards,
                short_ids: ids.short_ids(),
                node: config.engine.node,
                seed: config.network.seed,
                hash_key,
                messages_max: messages_max(config, plan.shards),
                final_history_records: share(config.store.final_history_records),
                final_history_s: u32::try_from(config.store.final_history_s).unwrap_or(u32::MAX),
                durability: durability(config.store.durability),
                validity_default_s: routing.validity_default_s,
                validity_max_s: routing.validity_max_s,
                receipt_validity_s: routing.receipt_validity_s,
                transaction_validity_s: routing.transaction_validity_s,
                retry_absent: routing.retry_absent,
                retry_congestion: routing.retry_congestion,
                retry_refused: routing.retry_refused,
                id_high_water: ids.high_water(),
                queued_at_hand: QUEUED_AT_HAND,
                events: event_kinds(&config.edr),
                accounts: routing.accounts.clone(),
            };
            let mut network = Network::new(config.network.seed, shard, &profiles)
                .context("[[network.profile]]")?
                .with_areas(config.network.seed, shard, areas(config));
            if let Some(source) = mo_source(&config.network.mo, shard, plan.shards, now) {
                network = network.with_mo_source(source);
            }
            Shard::new(settings, store, network, now.wall).context("[[account]]")
        })
        .collect()
}

fn event_kinds(edr: &EdrConfig) -> EventKinds {
    EventKinds {
        accepted: edr.records(EdrEvent::Accepted),
        attempt: edr.records(EdrEvent::Attempt),
        end: edr.records(EdrEvent::Final),
    }
}

/// How destinations behave.
pub(super) fn profiles(config: &Config) -> Vec<network::NetworkProfile> {
    config.network.profiles.iter().map(profile).collect()
}

/// Where broadcasts can be sent to.
pub(super) fn areas(config: &Config) -> Vec<network::BroadcastArea> {
    let area = |area: &config::BroadcastArea| network::BroadcastArea {
        name: area.name.clone().into_bytes(),
        centre: area.centre(),
        cells: area.cells,
        success_permille: u16::try_from(area.success_per_mille).unwrap_or(u16::MAX),
    };
    config.network.areas.iter().map(area).collect()
}

/// What of a shard's settings a reload may change.
pub(super) fn routing(config: &Config) -> ShardChange {
    ShardChange {
        accounts: config.accounts.iter().map(account).collect(),
        validity_default_s: config.store.validity_default_s,
        validity_max_s: config.store.validity_max_s,
        receipt_validity_s: config.store.receipt_validity_s,
        transaction_validity_s: config.store.transaction_validity_s,
        retry_absent: retry(&config.retry.absent),
        retry_congestion: retry(&config.retry.congestion),
        retry_refused: retry(&config.retry.refused),
    }
}

fn account(account: &AccountConfig) -> AccountRouting {
    let compat = account.compat.settings();
    AccountRouting {
        durability: account.durability.map(durability),
        validity_default_s: (account.validity_default_s > 0).then_some(account.validity_default_s),
        validity_max_s: (account.validity_max_s > 0).then_some(account.validity_max_s),
        duplicate_window_ms: account.duplicate_window_ms,
        addresses: account.addresses.iter().map(|address| address.clone().into_bytes()).collect(),
        prefixes: account.prefixes.iter().map(|prefix| prefix.clone().into_bytes()).collect(),
        claims_by_address_range: account.claims_by_address_range,
        delivers_by_address_range: compat.deliver_by_address_range,
        receipt_dates: match compat.receipt_date_digits {
            12 => DateDigits::Twelve,
            14 => DateDigits::Fourteen,
            _ => DateDigits::Ten,
        },
        ids: compat.id_forms(),
        broadcast_receipts: account.broadcast_receipts,
        default_alphabet: account.default_alphabet.alphabet(),
        parts_wait_ms: match account.receipts_for_parts {
            ReceiptsForParts::Each => 0,
            ReceiptsForParts::One => account.receipt_parts_wait_ms,
        },
    }
}

const fn durability(durability: config::Durability) -> Durability {
    match durability {
        config::Durability::None => Durability::None,
        config::Durability::Buffered => Durability::Buffered,
        config::Durability::Sync => Durability::Sync,
    }
}

fn retry(schedule: &config::RetrySchedule) -> RetrySettings {
    RetrySettings {
        first_ms: schedule.first_ms,
        factor: schedule.factor,
        max_ms: schedule.max_ms,
        jitter_percent: schedule.jitter_percent,
    }
}

fn profile(profile: &NetworkProfile) -> network::NetworkProfile {
    // The configuration is validated: shares are at most 1000, times at most a day.
    let permille = |share: u32| u16::try_from(share).unwrap_or(u16::MAX);
    network::NetworkProfile {
        prefix: profile.prefix.clone().into_bytes(),
        delay: delay(&profile.delay),
        delivered_permille: permille(profile.delivered_per_mille),
        undeliverable_permille: permille(profile.undeliverable_per_mille),
        undeliverable_error: profile.undeliverable_error,
        absent_permille: permille(profile.absent_per_mille),
        absent_ms: u32::try_from(profile.absent_ms).unwrap_or(u32::MAX),
        congested_permille: permille(profile.congested_per_mille),
        rejected_permille: permille(profile.rejected_per_mille),
        expired_permille: permille(profile.expired_per_mille),
        ..network::NetworkProfile::default()
    }
}

fn delay(delay: &Delay) -> network::Delay {
    let us = |ms: u64| u32::try_from(ms.saturating_mul(1_000)).unwrap_or(u32::MAX);
    let (mean_us, max_us) = (us(delay.mean_ms), us(delay.max_ms));
    match delay.distribution {
        Distribution::Fixed => network::Delay::Fixed { us: mean_us },
        Distribution::Uniform => {
            network::Delay::Uniform { min_us: 0, max_us: mean_us.saturating_mul(2).min(max_us) }
        }
        Distribution::Exponential => network::Delay::Exponential { mean_us, max_us },
        Distribution::Lognormal => network::Delay::LogNormal { mean_us, sigma_percent: 100, max_us },
    }
}

/// The MO source, on the one shard that its destination address belongs to.
fn mo_source(config: &MoConfig, shard: u16, shards: u16, now: Now) -> Option<MoSource> {
    let here = shard_of(config.destination_addr.as_bytes(), shards) == shard;
    (config.messages_per_s > 0 && here).then(|| {
        let settings = MoSourceSettings {
            rate_per_s: config.messages_per_s,
            source_addr_first: config.source_addr.parse().unwrap_or(0),
            source_addr_count: config.source_addr_count,
            destination_addr: config.destination_addr.clone().into_bytes(),
            text: gsm::encode(&config.text).unwrap_or_default(),
        };
        MoSource::new(settings, now.mono)
    })
}
