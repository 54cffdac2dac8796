//! Two workers, two shards with their journals, the lanes between them and the ESMEs outside, one step at a time.

use std::collections::BTreeMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use smscd::base::{MessageId, Now, Time, WallTime};
use smscd::network::{Delay, Network, NetworkProfile};
use smscd::routing::{AccountRouting, RetrySettings, Shard, ShardSettings};
use smscd::session::SessionSettings;
use smscd::smpp::InterfaceVersion;
use smscd::store::Durability;

use super::disk::{Faults, SimDisk};
use super::esme::{Esme, Manner};
use super::lane::Lane;
use super::model::Model;
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
    esmes: Vec<Esme>,
    session_settings: SessionSettings,
    durability: Durability,
    pub(crate) crashes: u32,
    pub(crate) model: Model,
}

fn lanes<T>(from: usize, to: usize) -> Vec<Vec<Lane<T>>> {
    (0..from).map(|_| (0..to).map(|_| Lane::default()).collect()).collect()
}

fn shard_settings(shard: usize, seed: u64, durability: Durability, id_high_water: u64) -> ShardSettings {
    let retry = RetrySettings { first_ms: 200, factor: 2, max_ms: 5_000, jitter_percent: 10 };
    let bob = AccountRouting { prefixes: vec![b"80".to_vec()], ..AccountRouting::default() };
    ShardSettings {
        shard: shard as u16,
        shards: SHARDS as u16,
        id_stripes: SHARDS as u16,
        seed,
        messages_max: MESSAGES_MAX,
        durability,
        validity_default_s: 60,
        receipt_validity_s: 1_000_000_000,
        retry_absent: retry,
        retry_congestion: retry,
        retry_refused: retry,
        id_high_water,
        event_records: true,
        accounts: vec![AccountRouting::default(), bob],
        ..ShardSettings::default()
    }
}

fn network(seed: u64, shard: usize) -> Network {
    let mixed = NetworkProfile {
        delay: Delay::Uniform { min_us: 0, max_us: 50_000 },
        delivered_permille: 500,
        undeliverable_permille: 100,
        absent_permille: 150,
        absent_ms: 3_000,
        congested_permille: 100,
        rejected_permille: 100,
        expired_permille: 50,
        ..NetworkProfile::default()
    };
    let at_once = NetworkProfile { prefix: b"33".to_vec(), ..NetworkProfile::default() };
    Network::new(seed, shard as u16, &[mixed, at_once]).expect("sound profiles")
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
                version_max: InterfaceVersion::V34,
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
            crashes: 0,
            model: Model::default(),
        };
        let disks = (0..SHARDS).map(|shard| SimDisk::new(seed ^ 0xD15C << 8 ^ shard as u64)).collect();
        world.start(disks, &[0; SHARDS]);
        world
    }

    /// The process starts on what is on the disks.
    fn start(&mut self, disks: Vec<SimDisk>, id_high_water: &[u64]) {
        self.workers = (0..WORKERS).map(|index| Worker::new(index as u16)).collect();
        self.to_shards = lanes(WORKERS, SHARDS);
        self.to_workers = lanes(SHARDS, WORKERS);
        self.hosts = Vec::new();
        for (index, disk) in disks.into_iter().enumerate() {
            let (backend, journal) = Backend::open(disk, index, self.durability);
            let settings = shard_settings(index, self.seed, self.durability, id_high_water[index]);
            let network = network(self.rng.next_u64(), index);
            let mut shard = Shard::new(settings, journal, network, self.now.wall).expect("sound settings");
            let to_workers = &mut self.to_workers[index];
            let mut output = Output { to_workers, model: &mut self.model, may_deliver: false };
            shard.recover(self.now, &mut output).expect("no more than there were");
            self.hosts.push(Host { shard, backend });
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
                    full: 0,
                };
                self.hosts[index].backend.disk.set_faults(faults);
            }
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
        self.workers[index].turn(pdus_max, &mut around);
    }

    fn shard(&mut self, index: usize, budget: usize) {
        let from_workers = self.to_shards.iter_mut().map(|lanes| &mut lanes[index]).collect();
        let mut output =
            Output { to_workers: &mut self.to_workers[index], model: &mut self.model, may_deliver: false };
        self.hosts[index].turn(self.now, budget, from_workers, &mut output);
        self.hosts[index].shard.check_invariants();
        assert!(self.hosts[index].shard.pending() <= MESSAGES_MAX, "promise 6: the shard holds too much");
    }

    /// The process is killed, or the machine loses its power; then it starts again.
    fn crash(&mut self) {
        self.crashes += 1;
        let is_power_cut = self.durability == Durability::Sync && self.below(2) == 0;
        let id_high_water: Vec<u64> = self.hosts.iter().map(|host| host.shard.id_counter()).collect();
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
        let wall_ms = [wall_ms, wall_ms + 5_000, wall_ms - 5_000][self.below(3) as usize];
        self.now = Now { mono: Time::from_millis(2), wall: WallTime::from_unix_millis(wall_ms) };
        self.start(disks, &id_high_water);
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
        for host in &self.hosts {
            host.backend.disk.set_faults(Faults::default());
        }
        for round in 0.. {
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
            let is_quiet = self.esmes.iter().all(Esme::is_quiet)
                && self.to_shards.iter().flatten().all(Lane::has_room)
                && self.to_workers.iter().flatten().all(Lane::has_room);
            if is_quiet && self.pending() == 0 {
                break;
            }
            self.pass(1_000);
        }
        self.model.check_end();
    }

    fn pending(&self) -> u32 {
        self.hosts.iter().map(|host| host.shard.pending()).sum()
    }
}
