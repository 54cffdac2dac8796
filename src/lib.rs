//! smscd: a thread-per-core SMSC engine.
//!
//! The crate is layered; a module imports only from the ones listed before it (a test checks this from the sources):
//!
//! | module | owns |
//! |---|---|
//! | [`base`], [`limits`] | handles, time as a value, slab, wheel, prefix map; every bound in one file |
//! | [`smpp`] | the wire: framing, PDUs, TLVs, receipts, text |
//! | [`stats`] | counters, HDR histograms, snapshots |
//! | `tls` | TLS records between octets and rustls; sans-IO |
//! | `config` | the TOML file, its validation and its defaults |
//! | `session` | sans-IO session state machine, SMSC and ESME roles |
//! | `store` | the message store |
//! | `routing` | sans-IO routing shard: accept, route, schedule, deliver, receipts |
//! | `network` | the seeded simulated mobile network |
//! | `control_lane` | the values that the control thread and the hot threads exchange |
//! | `runtime` | the only place with mio, certificates, channels, pinning and clocks |
//! | `control` | HTTP: stats, metrics, admin |
//! | `server` | assembly, shutdown order, CLI |
//!
//! Without the `server` feature only `base`, `limits`, `smpp`, `stats` and, with its own feature, `tls` are built: that is
//! what the load generator uses.

pub mod base;
pub mod limits;
pub mod smpp;
pub mod stats;

#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "server")]
pub mod control;
#[cfg(feature = "server")]
pub mod control_lane;
#[cfg(feature = "server")]
pub mod network;
#[cfg(feature = "server")]
pub mod routing;
#[cfg(feature = "server")]
pub mod runtime;
#[cfg(feature = "server")]
pub mod server;
// The fuzz targets build without the `server` feature.
#[cfg(any(feature = "server", fuzzing))]
pub mod session;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "tls")]
pub mod tls;
