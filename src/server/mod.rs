//! The daemon put together: command line, assembly, shutdown order.

pub mod cli;
mod id_lease;
pub mod run;
mod shards;
