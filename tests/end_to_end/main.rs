//! Scripted conversations of ESMEs with the running daemon, octet by octet, each on every layout of its threads, with
//! and without TLS: what an ESME sees must not depend on that.

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod alerts;
mod alphabets;
mod binds;
mod broadcasts;
mod deliveries;
mod disk_failure;
mod events;
mod links;
mod mo;
mod multi;
mod operations;
mod outbinds;
mod outbinds_tls;
mod outcomes;
mod overload;
mod parts;
mod payloads;
mod receipts;
mod reload;
mod restart;
mod shutdown;
mod statistics;
mod tls;
mod transactions;
mod windows;

/// What the scripts' daemons are configured with: small tables, fast retries, and destinations of every kind.
const CONFIG: &str = concat!(
    include_str!("../support/network.toml"),
    r#"
[smpp]
unbind_timeout_ms = 5000

[store]
messages_max = 20000
final_history_records = 10000

[retry.absent]
first_ms = 20
factor = 2
max_ms = 100

[retry.refused]
first_ms = 20
factor = 2
max_ms = 100

# Absent for a while, then there.
[[network.profile]]
prefix = "444"
delay = { distribution = "fixed", mean_ms = 2, max_ms = 2 }
delivered_per_mille = 0
absent_per_mille = 1000
absent_ms = 150

# Absent for longer than any test takes.
[[network.profile]]
prefix = "445"
delay = { distribution = "fixed", mean_ms = 2, max_ms = 2 }
delivered_per_mille = 0
absent_per_mille = 1000
absent_ms = 3600000

# Delivered, but late.
[[network.profile]]
prefix = "449"
delay = { distribution = "fixed", mean_ms = 400, max_ms = 400 }

# One where all cells send, and one where none does.
[[network.area]]
name = "Dublin"
latitude = 53.35
longitude = -6.26
cells = 20

[[network.area]]
name = "Cork"
latitude = 51.9
longitude = -8.475
cells = 20
success_per_mille = 0

[[account]]
system_id = "demo"
password = "demo"
addresses = ["12345"]
prefixes = ["555"]

[[account.distribution_list]]
name = "staff"
members = ["4470101", "4470102", "4470103"]

[[account]]
system_id = "bank"
password = "secret"
broadcast_receipts = true
addresses = ["777"]

[[account]]
system_id = "data"
password = "secret"
addresses = ["666"]
compat.deliver_by = "data_sm"

[[account]]
system_id = "single"
password = "secret"
sessions_max = 1
addresses = ["888"]

[[account]]
system_id = "narrow"
password = "secret"
deliver_window = 1
prefixes = ["999"]

[[account]]
system_id = "sender"
password = "secret"
bind = ["transmitter"]

[[account]]
system_id = "limited"
password = "secret"
rate_per_s = 1
burst = 3

[[account]]
system_id = "claimer"
password = "secret"
claims_by_address_range = true

[[account]]
system_id = "closed"
password = "secret"
enabled = false
"#
);

/// Makes a test of each script on each layout.
macro_rules! on_every_layout {
    ($($script:ident),+ $(,)?) => {
        on_every_layout!(@ automatic AUTOMATIC $($script)+);
        on_every_layout!(@ one_by_one ONE_BY_ONE $($script)+);
        on_every_layout!(@ two_by_two TWO_BY_TWO $($script)+);
        on_every_layout!(@ one_by_three ONE_BY_THREE $($script)+);
        on_every_layout!(@ tls_automatic TLS_AUTOMATIC $($script)+);
        on_every_layout!(@ tls_two_by_two TLS_TWO_BY_TWO $($script)+);
    };
    (@ $layout:ident $constant:ident $($script:ident)+) => {
        mod $layout {
            $(#[test]
            fn $script() {
                super::$script(&super::Daemon::start(crate::CONFIG, crate::support::Layout::$constant));
            })+
        }
    };
}
use on_every_layout;
