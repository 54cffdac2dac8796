//! The simulated mobile network: what becomes of an attempt to reach a subscriber, and when, by destination prefix.
//! Seeded and without a clock of its own: the nth attempt on a shard gets the nth draw, so a run repeats exactly.

mod absent;
mod area;
mod delay;
mod mo_source;
mod profile;

pub use area::BroadcastArea;
pub use delay::Delay;
pub use mo_source::{MoSource, MoSourceSettings};
pub use profile::{NetworkProfile, ProfileError};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::base::mobile::{MoArrival, MobileNetwork, Outcome, Reach, Verdict};
use crate::base::{PrefixMap, Time};
use absent::AbsentSubscribers;
use area::Areas;
use profile::PreparedProfile;

/// The simulated network as one routing shard uses it.
#[derive(Debug)]
pub struct Network {
    rng: Xoshiro256PlusPlus,
    profiles: Vec<PreparedProfile>,
    by_prefix: PrefixMap<u16>,
    absent: Option<AbsentSubscribers>,
    mo_source: Option<MoSource>,
    areas: Areas,
}

impl Network {
    /// The network for shard `shard`. A destination follows the profile with the longest prefix that it starts with;
    /// one without any is delivered at once.
    ///
    /// # Errors
    /// [`ProfileError`] names the profile and what is wrong with it.
    pub fn new(seed: u64, shard: u16, profiles: &[NetworkProfile]) -> Result<Self, ProfileError> {
        let (prepared, by_prefix) = prepare(profiles)?;
        let anyone_absent = prepared.iter().any(PreparedProfile::has_absent);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        for _ in 0..shard {
            // Each shard draws from its own stretch of the sequence, 2^128 steps apart.
            rng.jump();
        }
        Ok(Self {
            rng,
            profiles: prepared,
            by_prefix,
            absent: anyone_absent.then(AbsentSubscribers::new),
            mo_source: None,
            areas: Areas::new(seed, shard, Vec::new()),
        })
    }

    /// Destinations behave like this from now on. Subscribers that are absent stay so for as long as they were to.
    ///
    /// # Errors
    /// As for [`Network::new`], and nothing has changed.
    pub fn set_profiles(&mut self, profiles: &[NetworkProfile]) -> Result<(), ProfileError> {
        (self.profiles, self.by_prefix) = prepare(profiles)?;
        if self.absent.is_none() && self.profiles.iter().any(PreparedProfile::has_absent) {
            self.absent = Some(AbsentSubscribers::new());
        }
        Ok(())
    }

    /// Gives it areas to broadcast in.
    #[must_use]
    pub fn with_areas(mut self, seed: u64, shard: u16, areas: Vec<BroadcastArea>) -> Self {
        self.areas = Areas::new(seed, shard, areas);
        self
    }

    /// It has these areas from now on.
    pub fn set_areas(&mut self, areas: Vec<BroadcastArea>) {
        self.areas.set(areas);
    }

    /// Adds a source of MO messages. It belongs on the shard that its destination address hashes to.
    #[must_use]
    pub fn with_mo_source(mut self, source: MoSource) -> Self {
        self.mo_source = Some(source);
        self
    }
}

fn prepare(profiles: &[NetworkProfile]) -> Result<(Vec<PreparedProfile>, PrefixMap<u16>), ProfileError> {
    let mut by_prefix = PrefixMap::new();
    let mut prepared = Vec::with_capacity(profiles.len());
    for (index, profile) in profiles.iter().enumerate() {
        prepared.push(profile.prepare()?);
        let index = u16::try_from(index).map_err(|_| ProfileError::TooMany)?;
        if *by_prefix.insert_prefix(&profile.prefix, index) != index {
            return Err(ProfileError::PrefixTwice(profile.prefix_text()));
        }
    }
    Ok((prepared, by_prefix))
}

impl MobileNetwork for Network {
    #[inline]
    fn attempt(&mut self, destination_addr: &[u8], attempt: u32, now: Time) -> Verdict {
        let draw = self.rng.next_u64();
        let profile =
            self.by_prefix.find(destination_addr).and_then(|&index| self.profiles.get(usize::from(index)));
        let Some(profile) = profile else { return Verdict { after_nanos: 0, outcome: Outcome::Delivered } };
        let after_nanos = profile.delay_nanos(draw);
        let fate = profile.fate(draw);
        let outcome = match &mut self.absent {
            Some(absent) if profile.has_absent() => {
                absent.outcome(profile, fate, destination_addr, attempt, now, after_nanos)
            }
            _ => profile.outcome(fate),
        };
        Verdict { after_nanos, outcome }
    }

    fn has_area(&self, identifier: &[u8]) -> bool {
        self.areas.has(identifier)
    }

    fn broadcast(&mut self, identifier: &[u8]) -> Option<Reach> {
        self.areas.broadcast(identifier)
    }

    fn next_mo(&self) -> Option<Time> {
        self.mo_source.as_ref().and_then(MoSource::next)
    }

    fn poll_mo(&mut self, now: Time) -> Option<MoArrival<'_>> {
        self.mo_source.as_mut()?.poll(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(prefix: &str) -> NetworkProfile {
        NetworkProfile { prefix: prefix.as_bytes().to_vec(), ..NetworkProfile::default() }
    }

    fn network(seed: u64, shard: u16, profiles: &[NetworkProfile]) -> Network {
        Network::new(seed, shard, profiles).unwrap()
    }

    #[test]
    fn the_longest_prefix_decides() {
        let mut reject = profile("4477");
        (reject.delivered_permille, reject.rejected_permille, reject.rejected_error) = (0, 1_000, 9);
        let mut lose = profile("44");
        (lose.delivered_permille, lose.undeliverable_permille, lose.undeliverable_error) = (0, 1_000, 27);
        let mut network = network(1, 0, &[lose, reject]);
        let mut outcome = |address: &[u8]| network.attempt(address, 1, Time::ZERO).outcome;
        assert_eq!(outcome(b"447700900123"), Outcome::Rejected { error: 9 });
        assert_eq!(outcome(b"441"), Outcome::Undeliverable { error: 27 });
        assert_eq!(outcome(b"33"), Outcome::Delivered);
    }

    #[test]
    fn the_same_seed_and_shard_give_the_same_run() {
        let mut mixed = profile("");
        (mixed.delivered_permille, mixed.undeliverable_permille, mixed.expired_permille) = (500, 300, 200);
        mixed.delay = Delay::Exponential { mean_us: 5_000, max_us: 100_000 };
        let run = |seed, shard| {
            let mut network = network(seed, shard, std::slice::from_ref(&mixed));
            (0..1_000).map(|_| network.attempt(b"1", 1, Time::ZERO)).collect::<Vec<_>>()
        };
        assert_eq!(run(7, 0), run(7, 0));
        assert_ne!(run(7, 0), run(8, 0));
        assert_ne!(run(7, 0), run(7, 1));
    }

    #[test]
    fn shares_come_out_as_configured() {
        let mut mixed = profile("");
        (mixed.delivered_permille, mixed.undeliverable_permille, mixed.congested_permille) = (550, 100, 50);
        (mixed.rejected_permille, mixed.expired_permille) = (200, 100);
        let mut network = network(3, 0, &[mixed]);
        let mut counts = [0u32; 5];
        for _ in 0..100_000 {
            let kind = match network.attempt(b"1", 1, Time::ZERO).outcome {
                Outcome::Delivered => 0,
                Outcome::Undeliverable { .. } => 1,
                Outcome::Rejected { .. } => 2,
                Outcome::Expired => 3,
                Outcome::Congested { error } => {
                    assert_eq!(error, 42);
                    4
                }
                Outcome::Absent { .. } => unreachable!("no share of absent subscribers"),
            };
            counts[kind] += 1;
        }
        for (count, expected) in counts.into_iter().zip([55_000, 10_000, 20_000, 10_000, 5_000u32]) {
            assert!(count.abs_diff(expected) < 1_000, "{counts:?}");
        }
    }

    #[test]
    fn an_absent_subscriber_stays_absent_and_is_then_reached() {
        let mut away = profile("");
        (away.delivered_permille, away.absent_permille) = (0, 1_000);
        (away.absent_ms, away.absent_error) = (10_000, 6);
        let mut network = network(1, 0, &[away]);
        let at = Time::from_millis;
        let absent = |after_ms: u64| Outcome::Absent { back_after_nanos: after_ms * 1_000_000, error: 6 };
        assert_eq!(network.attempt(b"447", 1, at(1_000)).outcome, absent(10_000));
        assert_eq!(network.attempt(b"447", 2, at(4_000)).outcome, absent(7_000));
        // Another message to the same subscriber meets the same absence.
        assert_eq!(network.attempt(b"447", 1, at(5_000)).outcome, absent(6_000));
        assert_eq!(network.attempt(b"447", 3, at(11_000)).outcome, Outcome::Delivered);
        // A message that was told to wait is never sent away twice by chance.
        assert_eq!(network.attempt(b"448", 2, at(11_000)).outcome, Outcome::Delivered);
    }
}
