//! What real ESMEs depend on and what their users have complained of elsewhere, each as a test of the daemon that
//! carries its number in docs/quirks.md; [`page`] holds that page to the tests, [`compatibility_page`] the page of the
//! settings that some of them need.

mod compatibility;
mod compatibility_binds;
mod compatibility_page;
mod complaints;
mod identifiers;
mod links;
mod page;
mod requests;
#[path = "../support/mod.rs"]
mod support;

use support::esme::*;
use support::{Daemon, Layout};

/// Messages in memory, and certain verdicts.
const CONFIG: &str = concat!(
    include_str!("../support/network.toml"),
    r#"
[store]
durability = "none"

[retry.refused]
first_ms = 20
factor = 2
max_ms = 100
"#
);

/// A daemon whose one account, demo, has these keys beside, and these further sections before it.
fn daemon_with(sections: &str, account: &str) -> Daemon {
    let demo = "[[account]]\nsystem_id = \"demo\"\npassword = \"demo\"\naddresses = [\"12345\"]\n";
    Daemon::start(&format!("{sections}\n{CONFIG}\n{demo}{account}\n"), Layout::AUTOMATIC)
}

/// A daemon as it comes.
fn daemon() -> Daemon {
    daemon_with("", "")
}

/// A transceiver of account demo that announces this interface_version.
fn bind_as(daemon: &Daemon, version: u8) -> RawEsme {
    let mut esme = RawEsme::connect(daemon.smpp);
    let response = esme.try_bind(Mode::Transceiver, "demo", "demo", version, "");
    assert_eq!(response.status, ESME_ROK, "{version:#x}");
    esme
}
