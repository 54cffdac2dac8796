//! `[network]`: the simulated mobile network behind the SMSC.

use serde::{Deserialize, Serialize};

use super::error::Findings;
use super::smpp::check_c_octet_string;
use crate::smpp::area::Point;
use crate::smpp::text;

/// Longest delay in milliseconds: an hour.
const DELAY_MS_MAX: u64 = 3_600_000;
/// Longest absence in milliseconds: a day.
const ABSENT_MS_MAX: u64 = 86_400_000;
/// Most broadcast areas, and most cells of one.
const AREAS_MAX: usize = 1_024;
const CELLS_MAX: u64 = 10_000;
/// Most profiles; they are looked up by longest prefix.
const PROFILES_MAX: usize = 1_024;
/// Longest text of a simulated MO message, in septets: what fits one short message on the air.
const MO_TEXT_SEPTETS_MAX: usize = text::septets_max(0);

/// The network as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Seed of everything random in it: the same seed and input give the same outcomes.
    pub seed: u64,
    /// Messages that subscribers send by themselves.
    pub mo: MoConfig,
    /// How destinations behave; the longest matching prefix decides.
    #[serde(rename = "profile")]
    pub profiles: Vec<NetworkProfile>,
    /// Where broadcast_sm can be sent to.
    #[serde(rename = "area")]
    pub areas: Vec<BroadcastArea>,
}

/// `[[network.area]]`: an area to broadcast in, by the name that broadcast_area_identifier has for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BroadcastArea {
    /// 1 to 100 characters, unique.
    pub name: String,
    /// Degrees North of its centre, by which an arc or a polygon has it; with `longitude`, or neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<Degrees>,
    /// Degrees East.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<Degrees>,
    /// How many cells it has.
    pub cells: u32,
    /// Share of them that send a message in each round.
    pub success_per_mille: u32,
}

impl Default for BroadcastArea {
    fn default() -> Self {
        Self {
            name: "everywhere".to_owned(),
            latitude: None,
            longitude: None,
            cells: 100,
            success_per_mille: 1_000,
        }
    }
}

impl BroadcastArea {
    /// Its centre, if it is on the map.
    pub fn centre(&self) -> Option<Point> {
        let (latitude, longitude) = (self.latitude?.0, self.longitude?.0);
        Some(Point { latitude, longitude })
    }
}

/// An angle in degrees; never NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Degrees(f64);

impl Eq for Degrees {}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            mo: MoConfig::default(),
            profiles: vec![NetworkProfile::default()],
            areas: vec![BroadcastArea::default()],
        }
    }
}

/// How the destinations under one prefix behave. The shares are per mille and sum to 1000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkProfile {
    /// Leading digits of the destination address; "" matches every one.
    pub prefix: String,
    /// Time to the network's verdict.
    pub delay: Delay,
    /// Share that is delivered.
    pub delivered_per_mille: u32,
    /// Share that fails for good.
    pub undeliverable_per_mille: u32,
    /// Share whose subscriber is absent for `absent_ms` at first.
    pub absent_per_mille: u32,
    /// Share that meets congestion in the network, and is tried again.
    pub congested_per_mille: u32,
    /// Share that the network rejects.
    pub rejected_per_mille: u32,
    /// Share whose subscriber never appears before the validity ends.
    pub expired_per_mille: u32,
    /// network_error_code of what is undeliverable, also `err:` in the receipt.
    pub undeliverable_error: u16,
    /// How long an absent subscriber stays away.
    pub absent_ms: u64,
}

impl Default for NetworkProfile {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            delay: Delay::default(),
            delivered_per_mille: 1_000,
            undeliverable_per_mille: 0,
            absent_per_mille: 0,
            congested_per_mille: 0,
            rejected_per_mille: 0,
            expired_per_mille: 0,
            undeliverable_error: 1,
            absent_ms: 10_000,
        }
    }
}

/// A distribution of delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delay {
    /// Its shape.
    pub distribution: Distribution,
    /// Its mean.
    pub mean_ms: u64,
    /// No delay is longer.
    pub max_ms: u64,
}

impl Default for Delay {
    fn default() -> Self {
        Self { distribution: Distribution::Exponential, mean_ms: 5, max_ms: 100 }
    }
}

/// The shape of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Always the mean.
    Fixed,
    /// Anything from 0 to twice the mean.
    Uniform,
    /// Exponential with the mean.
    Exponential,
    /// Log-normal with the mean, the logarithm's standard deviation being 1: most are short, a few very long.
    Lognormal,
}

/// A source of MO messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MoConfig {
    /// Messages per second over the whole daemon; 0 = off.
    pub messages_per_s: u32,
    /// The first subscriber that sends them, a number of up to 18 digits.
    pub source_addr: String,
    /// How many numbers from `source_addr` on take turns.
    pub source_addr_count: u32,
    /// The application's address, which some account must own.
    pub destination_addr: String,
    /// Their text, in GSM 7-bit: one short message.
    pub text: String,
}

impl Default for MoConfig {
    fn default() -> Self {
        Self {
            messages_per_s: 0,
            source_addr: "491700000001".to_owned(),
            source_addr_count: 1_000,
            destination_addr: "12345".to_owned(),
            text: "Hello from the simulated network".to_owned(),
        }
    }
}

impl NetworkConfig {
    pub(super) fn validate(&self, findings: &mut Findings) {
        self.mo.validate(findings);
        self.validate_areas(findings);
        if self.profiles.len() > PROFILES_MAX {
            findings.add("network.profile", format!("more than {PROFILES_MAX} profiles"));
        }
        if !self.profiles.iter().any(|profile| profile.prefix.is_empty()) {
            findings
                .add("network.profile", "one profile needs prefix \"\", for what no other prefix matches");
        }
        for (i, profile) in self.profiles.iter().enumerate() {
            profile.validate(&format!("network.profile[{i}]"), findings);
            if self.profiles[..i].iter().any(|earlier| earlier.prefix == profile.prefix) {
                findings.add(
                    format!("network.profile[{i}].prefix"),
                    format!("\"{}\" is given twice", profile.prefix),
                );
            }
        }
    }
}

impl NetworkConfig {
    fn validate_areas(&self, findings: &mut Findings) {
        if self.areas.len() > AREAS_MAX {
            findings.add("network.area", format!("more than {AREAS_MAX} areas"));
        }
        for (i, area) in self.areas.iter().enumerate() {
            let key = format!("network.area[{i}]");
            if let Err(what) = check_c_octet_string(&area.name, 100) {
                findings.add(format!("{key}.name"), what);
            }
            if self.areas.iter().take(i).any(|earlier| earlier.name == area.name) {
                findings.add(format!("{key}.name"), format!("\"{}\" is given twice", area.name));
            }
            for (name, angle, most) in
                [("latitude", area.latitude, 90.0), ("longitude", area.longitude, 180.0)]
            {
                if angle.is_some_and(|Degrees(angle)| !(-most..=most).contains(&angle)) {
                    findings.add(format!("{key}.{name}"), format!("must be -{most} to {most}"));
                }
            }
            if area.latitude.is_some() != area.longitude.is_some() {
                findings.add(format!("{key}.latitude"), "needs a longitude, and that a latitude");
            }
            findings.in_range(format!("{key}.cells"), u64::from(area.cells), (1, CELLS_MAX));
            findings.in_range(
                format!("{key}.success_per_mille"),
                u64::from(area.success_per_mille),
                (0, 1_000),
            );
        }
    }
}

impl NetworkProfile {
    fn validate(&self, key: &str, findings: &mut Findings) {
        if self.prefix.len() > 20 || !self.prefix.bytes().all(|b| b.is_ascii_digit()) {
            findings.add(format!("{key}.prefix"), "must be 0 to 20 digits");
        }
        findings.in_range(format!("{key}.delay.max_ms"), self.delay.max_ms, (0, DELAY_MS_MAX));
        findings.in_range(format!("{key}.delay.mean_ms"), self.delay.mean_ms, (0, self.delay.max_ms));
        let shares = [
            self.delivered_per_mille,
            self.undeliverable_per_mille,
            self.absent_per_mille,
            self.congested_per_mille,
            self.rejected_per_mille,
            self.expired_per_mille,
        ];
        let sum: u64 = shares.into_iter().map(u64::from).sum();
        if sum != 1_000 {
            findings.add(
                format!("{key}.delivered_per_mille"),
                format!(
                    "delivered, undeliverable, absent, congested, rejected and expired sum to {sum} per mille, \
                     not 1000"
                ),
            );
        }
        findings.in_range(
            format!("{key}.undeliverable_error"),
            u64::from(self.undeliverable_error),
            (0, 999),
        );
        findings.in_range(format!("{key}.absent_ms"), self.absent_ms, (0, ABSENT_MS_MAX));
    }
}

impl MoConfig {
    fn validate(&self, findings: &mut Findings) {
        findings.in_range("network.mo.messages_per_s", u64::from(self.messages_per_s), (0, 1_000_000));
        let source_addr = self.source_addr.as_bytes();
        if !(1..=18).contains(&source_addr.len()) || !source_addr.iter().all(u8::is_ascii_digit) {
            findings.add("network.mo.source_addr", "must be 1 to 18 digits");
        }
        let count = u64::from(self.source_addr_count);
        findings.in_range("network.mo.source_addr_count", count, (1, 1_000_000_000));
        if let Err(what) = check_c_octet_string(&self.destination_addr, 20) {
            findings.add("network.mo.destination_addr", what);
        }
        match text::gsm::encode(&self.text) {
            None => findings.add("network.mo.text", "has characters that GSM 7-bit has not"),
            Some(septets) if (1..=MO_TEXT_SEPTETS_MAX).contains(&septets.len()) => {}
            Some(septets) => findings.add(
                "network.mo.text",
                format!("has {} septets, it must have 1 to {MO_TEXT_SEPTETS_MAX}", septets.len()),
            ),
        }
    }
}
