//! The daemon put together: command line, assembly, shutdown order.

pub mod cli;
pub mod run;
