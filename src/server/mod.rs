//! The daemon put together: command line, assembly, shutdown order.

pub mod cli;
mod data_dir;
mod id_lease;
mod log;
mod quota_file;
pub mod reload;
pub mod run;
mod shards;
mod store_tools;
mod stores;
