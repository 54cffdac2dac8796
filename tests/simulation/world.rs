//! Two workers, two shards with their journals, the lanes between them and the ESMEs outside, one step at a time.

use std::collections::BTreeMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use smscd::base::{AccountId, MessageId, MessageIdSource, Now, ShortIds, Time, WallTime};
use smscd::network::{BroadcastArea, Delay, Network, NetworkProfile};
use smscd::routing::{EventKinds, Shard, ShardSettings, shard_of};
use smscd::session::SessionSettings;
use smscd::smpp::InterfaceVersion;
use smscd::store::Durability;

use super::broadcasts::AREAS;
use super::disk::{Faults, SimDisk};
use super::esme::{Esme, Manner};
use super::lane::Lane;
use super::message::{Asked, CLOCK_JUMP_MS};
use super::model::Model;
use super::reload::{InEffect, RECEIPT_VALIDITY_S, RETRY, VALIDITY_MAX_S};
use super::shard::{Host, Output, ToShard, ToWorker};
use super::store::Backend;
use super::worker::{Around, Pipe, Worker};

const WORKERS: usize = 2;
const SHARDS: usize = 2;
/// 2026-01-01 12:00 UTC.
const NOON_MS: u64 = 1_767_268_800_000;
/// Messages that a shard may hold: few, so that it is full at times.
const MESSAGES_MAX: u32 = 40;
/// Rounds of a second within which everything must have come to its end.
const ROUNDS_MAX: u32 = 3_000;

pub(crate) struct World {
    seed: u64,
    rng: Xoshiro256PlusPlus,
    now: Now,
    workers: Vec<Worker>,
    hosts: Vec<Host>,
    /// By worker, then shard.
    to_shards: Vec<Vec<Lane<ToShard>>>,
    /// By shard, then worker.
    to_workers: Vec<Vec<Lane<ToWorker>>>,
    pipes: BTreeMap<u32, Pipe>,
    connections: u32,
    /// They go on over a crash.
    short_ids: ShortIds,
    esmes: Vec<Esme>,
    session_settings: SessionSettings,
    durability: Durability,
    /// What the configuration's file says, and whether threads have yet to take it over.
    in_effect: InEffect,
    reload: Option<Reload>,
    pub(crate) model: Model,
}

/// Who has taken over a changed configuration: all shards before the first worker.
struct Reload {
    shards: [bool; SHARDS],
    workers: [bool; WORKERS],
}

fn lanes<T>(from: usize, to: usize) -> Vec<Vec<Lane<T>>> {
    (0..from).map(|_| (0..to).map(|_| Lane::default()).collect()).collect()
}

fn shard_settings(
    shard: usize,
    seed: u64,
    durability: Durability,
    id_high_water: u64,
    short_ids: ShortIds,
    in_effect: &InEffect,
) -> ShardSettings {
    ShardSettings {
        shard: shard as u16,
        shards: SHARDS as u16,
        short_ids,
        seed,
        messages_max: MESSAGES_MAX,
        durability,
        validity_default_s: in_effect.config.store.validity_default_s,
        validity_max_s: VALIDITY_MAX_S,
        receipt_validity_s: RECEIPT_VALIDITY_S,
        retry_absent: RETRY,
        retry_congestion: RETRY,
        retry_refused: RETRY,
        id_high_water,
        queued_at_hand: (seed % 3) as u32,
        final_history_records: 1 << 16,
        final_history_s: u32::MAX,
        events: EventKinds { accepted: true, attempt: true, end: true },
        accounts: in_effect.account_routing(),
        ..ShardSettings::default()
    }
}

fn network(seed: u64, shard: usize) -> Network {
    let mixed = NetworkProfile {
        delay: Delay::Uniform { min_us: 0, max_us: 50_000 },
        delivered_permille: 550,
        undeliverable_permille: 100,
        absent_permille: 150,
        absent_ms: 3_000,
        congested_permille: 100,
        rejected_permille: 100,
        ..NetworkProfile::default()
    };
    let at_once = NetworkProfile { prefix: b"33".to_vec(), ..NetworkProfile::default() };
    // None expires there: what is EXPIRED is so by its validity.
    let network = Network::new(seed, shard as u16, &[mixed, at_once]).expect("sound profiles");
    let area = |(name, share): (&str, Option<u16>)| {
        Some(BroadcastArea {
            name: name.as_bytes().to_vec(),
            centre: None,
            cells: 20,
            success_permille: share?,
        })
    };
    network.with_areas(seed, shard as u16, AREAS.into_iter().filter_map(area).collect())
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let durability = if seed.is_multiple_of(3) { Durability::Buffered } else { Durability::Sync };
        let now = Now { mono: Time::from_millis(5), wall: WallTime::from_unix_millis(NOON_MS) };
        let mut world = Self {
            seed,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            now,
            workers: Vec::new(),
            hosts: Vec::new(),
            to_shards: Vec::new(),
            to_workers: Vec::new(),
            pipes: BTreeMap::new(),
            connections: 0,
            short_ids: ShortIds::default(),
            esmes: vec![
                Esme::new(Manner::Good, 0),
                Esme::new(Manner::WindowAbuser, 0),
                Esme::new(Manner::SlowReader, 0),
                Esme::new(Manner::Vanishing, 0),
                Esme::new(Manner::Dribbler, 1),
                Esme::new(Manner::Rebinding, 1),
            ],
            session_settings: SessionSettings {
                system_id: b"smscd".to_vec(),
                version_max: InterfaceVersion::V50,
                session_init_timeout_ms: 20_000,
                enquire_link_interval_ms: 30_000,
                inactivity_timeout_ms: 100_000,
                response_timeout_ms: 5_000,
                // A drain that gives up leaves requests unanswered, which is not what is looked at here.
                unbind_timeout_ms: 1_000_000_000,
                pdu_bytes_max: 70_000,
                enquire_link_before_bind: true,
            },
            durability,
            in_effect: InEffect::new(seed),
            reload: None,
            model: Model::new(seed, NOON_MS),
        };
        let disks = (0..SHARDS).map(|shard| SimDisk::new(seed ^ 0xD15C << 8 ^ shard as u64)).collect();
        world.start(disks, &[0; SHARDS], &[0; WORKERS]);
        world
    }

    /// The process starts on what is on the disks.
    fn start(&mut self, disks: Vec<SimDisk>, id_high_water: &[u64], worker_id_high_water: &[u64]) {
        self.reload = None;
        self.in_effect = self.in_effect.restarted();
        self.model.routes = vec![self.in_effect.routes(); SHARDS];
        let worker = |index: usize| {
            let (short_ids, high_water) = (self.short_ids.clone(), worker_id_high_water[index]);
            let ids = MessageIdSource::for_worker(0, index as u16, short_ids, self.now.wall, high_water);
            Worker::new(index as u16, ids, self.in_effect.clone())
        };
        self.workers = (0..WORKERS).map(worker).collect();
        self.to_shards = lanes(WORKERS, SHARDS);
        self.to_workers = lanes(SHARDS, WORKERS);
        self.hosts = Vec::new();
        for (index, disk) in disks.into_iter().enumerate() {
            let (backend, journal) = Backend::open(disk, index, self.durability);
            let short_ids = self.short_ids.clone();
            let settings = shard_settings(
                index,
                self.seed,
                self.durability,
                id_high_water[index],
                short_ids,
                &self.in_effect,
            );
            let network = network(self.rng.next_u64(), index);
            let mut shard = Shard::new(settings, journal, network, self.now.wall).expect("sound settings");
            let to_workers = &mut self.to_workers[index];
            let mut mo_waiting = BTreeMap::new();
            let mut output = Output {
                to_workers,
                model: &mut self.model,
                shard: index as u16,
                mo_waiting: &mut mo_waiting,
                may_deliver: false,
            };
            shard.recover(self.now, &mut output).expect("no more than there were");
            self.hosts.push(Host { shard, backend, mo_waiting });
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n
    }

    /// One random step.
    pub(crate) fn step(&mut self) {
        match self.below(100) {
            0..=39 => {
                let index = self.below(self.esmes.len() as u64) as usize;
                self.esme(index, false);
            }
            40..=59 => {
                let (index, pdus_max) = (self.below(WORKERS as u64) as usize, 1 + self.below(4) as u32);
                self.worker(index, pdus_max);
            }
            60..=79 => {
                let (index, budget) = (self.below(SHARDS as u64) as usize, self.below(4) as usize);
                self.shard(index, budget);
            }
            80..=89 => {
                let index = self.below(SHARDS as u64) as usize;
                self.hosts[index].backend.commit_step(self.now.mono);
            }
            90..=92 => {
                let index = self.below(SHARDS as u64) as usize;
                self.hosts[index].backend.keep_step();
            }
            93 => {
                let index = self.below(SHARDS as u64) as usize;
                let faults = Faults {
                    short_write: self.below(2) * 100,
                    failed_write: self.below(8) / 7 * 5,
                    failed_sync: self.below(8) / 7 * 5,
                    full: self.below(8) / 7 * 100,
                };
                let hangs_ms = self.below(6) / 5 * 15_000;
                let backend = &mut self.hosts[index].backend;
                backend.disk.set_faults(faults);
                backend.hangs_until = self.now.mono.plus_millis(hangs_ms);
            }
            94 if self.below(8) == 0 => self.start_reload(false),
            94 if self.below(2) == 0 => self.bring_mo(),
            94..=98 => {
                let ms = [1, 20, 300, 2_000, 6_000][self.below(5) as usize];
                self.pass(ms);
            }
            _ if !self.seed.is_multiple_of(4) && self.below(6) == 0 => self.crash(),
            _ => {}
        }
        if self.hosts.iter().any(|host| host.backend.has_failed || host.shard.store().failure().is_some()) {
            self.crash();
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_millis(ms);
        self.now.wall = WallTime::from_unix_millis(self.now.wall.unix_millis() + ms);
        self.model.now_ms += ms;
        self.model.wall_ms = self.now.wall.unix_millis();
    }

    /// The configuration's file has changed, and is read again.
    fn start_reload(&mut self, calm: bool) {
        if self.reload.is_none() {
            let (in_effect, changes) = self.in_effect.reloaded(calm, &mut self.rng);
            self.model.seen.changes += changes.len() as u64;
            self.in_effect = in_effect;
            self.reload = Some(Reload { shards: [false; SHARDS], workers: [false; WORKERS] });
        }
    }

    /// A subscriber sends a message, to an address that somebody may own.
    fn bring_mo(&mut self) {
        let to = ["8001", "8101", "7001", "7101", "331"][self.below(5) as usize];
        let index = usize::from(shard_of(to.as_bytes(), SHARDS as u16));
        let number =
            self.model.submits(Asked { account: usize::MAX, is_mo: true, ..Asked::default() }, &[to]);
        let Host { shard, mo_waiting, .. } = &mut self.hosts[index];
        let to_workers = &mut self.to_workers[index];
        let mut output = Output {
            to_workers,
            model: &mut self.model,
            shard: index as u16,
            mo_waiting,
            may_deliver: false,
        };
        super::shard::bring(shard, number, to, self.now, &mut output);
    }

    fn esme(&mut self, index: usize, calm: bool) {
        let next = self.connections + 1;
        let Self { esmes, pipes, model, rng, .. } = self;
        if let Some(number) = esmes[index].act(pipes, next, calm, model, rng) {
            self.connections = number;
            self.workers[number as usize % WORKERS].accept(number, self.now);
        }
    }

    fn worker(&mut self, index: usize, pdus_max: u32) {
        let mut from_shards: Vec<&mut Lane<ToWorker>> =
            self.to_workers.iter_mut().map(|lanes| &mut lanes[index]).collect();
        let mut around = Around {
            now: self.now,
            settings: &self.session_settings,
            pipes: &mut self.pipes,
            to_shards: &mut self.to_shards[index],
            from_shards: &mut from_shards,
            model: &mut self.model,
        };
        if let Some(reload) = self.reload.as_mut().filter(|reload| reload.shards == [true; SHARDS])
            && !std::mem::replace(&mut reload.workers[index], true)
        {
            self.workers[index].reconfigure(self.in_effect.clone(), &mut around);
            if reload.workers == [true; WORKERS] {
                self.reload = None;
            }
        }
        self.workers[index].turn(pdus_max, &mut around);
        self.check_sessions();
    }

    /// The places taken are the sessions that are bound.
    fn check_sessions(&self) {
        let mut bound = [0; 2];
        for sessions in self.workers.iter().map(Worker::sessions) {
            bound.iter_mut().zip(sessions).for_each(|(bound, sessions)| *bound += sessions);
        }
        let table = &self.in_effect.table;
        for (account, bound) in (0..).map(AccountId).zip(bound) {
            assert_eq!(table.sessions(account).1, bound, "promise 6: places of {account:?}");
            assert_eq!(self.model.sessions[account.index()], bound, "sessions of {account:?}");
        }
    }

    fn shard(&mut self, index: usize, budget: usize) {
        if let Some(reload) = &mut self.reload
            && !std::mem::replace(&mut reload.shards[index], true)
        {
            self.model.routes[index] = self.in_effect.routes();
            let changed = self.hosts[index].shard.reconfigure(self.in_effect.shard_change());
            changed.expect("sound settings");
        }
        let from_workers = self.to_shards.iter_mut().map(|lanes| &mut lanes[index]).collect();
        self.hosts[index].turn(self.now, budget, from_workers, &mut self.to_workers[index], &mut self.model);
        self.hosts[index].shard.check_invariants();
        let parked = self.hosts[index].shard.parked_messages();
        self.model.seen.parked += u64::from(parked.all);
        self.model.seen.queued += u64::from(parked.in_queues);
        self.model.seen.in_line += u64::from(parked.in_line);
        assert!(self.hosts[index].shard.pending() <= MESSAGES_MAX, "promise 6: the shard holds too much");
    }

    /// What has ended and was not displaced is known, as what it ended as.
    fn check_history(&mut self) {
        let now = self.now;
        for (id, state) in self.model.kept() {
            let parsed = MessageId::parse(id.as_bytes()).expect("an id");
            let known = self.hosts.iter_mut().find_map(|host| host.shard.query(parsed, now));
            let known = known.map(|message| message.state.octet());
            assert_eq!(known, Some(state), "promise 2: the end of {id} is forgotten");
        }
    }

    /// The process is killed, or the machine loses its power; then it starts again.
    fn crash(&mut self) {
        self.check_history();
        let is_power_cut = self.durability == Durability::Sync && self.below(2) == 0;
        let id_high_water: Vec<u64> = self.hosts.iter().map(|host| host.shard.id_counter()).collect();
        let worker_id_high_water: Vec<u64> =
            self.workers.iter().map(|worker| worker.multis.ids.next_counter()).collect();
        let mut disks = Vec::new();
        for host in self.hosts.drain(..) {
            let disk = host.backend.disk;
            if is_power_cut {
                disk.cut_power();
            } else {
                disk.kill();
            }
            disk.set_faults(Faults::default());
            disks.push(disk);
        }
        // What the kernel had may still arrive.
        for pipe in self.pipes.values_mut() {
            pipe.is_over = true;
            if is_power_cut || self.rng.next_u64().is_multiple_of(2) {
                pipe.down.clear();
            }
        }
        self.model.crash();
        let wall_ms = self.now.wall.unix_millis();
        let wall_ms = [wall_ms, wall_ms + CLOCK_JUMP_MS, wall_ms - CLOCK_JUMP_MS][self.below(3) as usize];
        self.model.wall_ms = wall_ms;
        self.now = Now { mono: Time::from_millis(2), wall: WallTime::from_unix_millis(wall_ms) };
        self.start(disks, &id_high_water, &worker_id_high_water);
        for id in self.model.owed() {
            let parsed = MessageId::parse(id.as_bytes()).expect("an id");
            let is_held = self
                .hosts
                .iter_mut()
                .any(|host| host.shard.query(parsed, self.now).is_some_and(|message| message.held.is_some()));
            assert!(is_held, "promise 2: {id} was acknowledged and is lost in a crash");
        }
    }

    /// The faults stop, and everybody finishes what is open.
    pub(crate) fn finish(&mut self) {
        for host in &mut self.hosts {
            host.backend.disk.set_faults(Faults::default());
            host.backend.hangs_until = Time::ZERO;
        }
        let mut is_calm = false;
        for round in 0.. {
            // What a reload has taken from anybody, another one gives back.
            if !is_calm && self.reload.is_none() {
                self.start_reload(true);
                is_calm = true;
            }
            assert!(round < ROUNDS_MAX, "{} messages never end", self.pending());
            for _ in 0..8 {
                for index in 0..self.esmes.len() {
                    self.esme(index, true);
                }
                for index in 0..WORKERS {
                    self.worker(index, 100);
                }
                for index in 0..SHARDS {
                    self.shard(index, 100);
                    let Host { backend, .. } = &mut self.hosts[index];
                    backend.commit_step(self.now.mono);
                    backend.keep_step();
                }
            }
            let is_quiet = is_calm
                && self.reload.is_none()
                && self.esmes.iter().all(Esme::is_quiet)
                && self.to_shards.iter().flatten().all(Lane::has_room)
                && self.to_workers.iter().flatten().all(Lane::has_room);
            if is_quiet && self.pending() == 0 {
                break;
            }
            self.pass(1_000);
        }
        self.check_history();
        self.model.check_end();
    }

    fn pending(&self) -> u32 {
        self.hosts.iter().map(|host| host.shard.pending()).sum()
    }
}
