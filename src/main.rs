//! The smscd binary.

fn main() {}
