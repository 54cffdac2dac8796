//! The only place with mio, sockets, certificates, channels, pinning and clocks. It hosts the sans-IO cores.
//!
//! ```text
//!                     ┌───────────┐  sockets   ┌──────────────────────────┐
//!   ESMEs ──TCP/TLS─▶│ acceptor  │───────────▶│ worker 0..W-1            │  sessions, buffers, windows, timers
//!                     └───────────┘            └─────▲──────────────┬─────┘
//!                        responses, receipts, MO     │  lanes        │ MT
//!                                              ┌─────┴──────────────▼─────┐
//!                                              │ routing shard 0..S-1      │  accept, route, store, retry
//!                                              └─────▲──────────────┬─────┘
//!                                        durable      │              │ batches
//!                                              ┌─────┴──────────────▼─────┐
//!                                              │ committer of the shard    │  write, sync
//!                                              └──────────────────────────┘
//! ```
//!
//! A runtime [`thread`] hosts a worker, a shard, or both. A worker and a shard on one thread call each other
//! directly; every other pair has a [`lane`] in each direction. The cores can't tell.

pub mod acceptor;
pub mod accounts;
pub mod admission;
pub mod authenticator;
pub mod clock;
pub mod committer;
pub mod congestion;
pub mod connection;
pub mod daily_counts;
pub mod events;
pub mod failed_binds;
pub mod hosted_store;
pub mod lane;
pub mod lookout;
pub mod message_policy;
pub mod out_queue;
pub mod outbind;
pub mod peer_host;
pub mod pool;
pub mod reconfigure;
pub mod segment_folder;
pub mod shard_host;
pub mod sleeper;
pub mod start;
pub mod thread;
pub mod tls;
pub mod values;
pub mod worker;
