//! The default file against the code, and the errors of bad ones.

use super::network::Degrees;
use super::*;

#[test]
fn the_default_file_is_the_default() {
    assert_eq!(Config::from_toml(DEFAULT_TOML, "default.toml").unwrap(), Config::default());
    assert_eq!(Config::from_toml("", "empty.toml").unwrap(), Config::default());
}

#[test]
fn the_default_file_shows_every_key_with_a_comment() {
    let mut config = Config::default();
    config.accounts[0].password_hash = Some(Secret::new("x"));
    config.accounts[0].durability = Some(Durability::None);
    config.accounts[0].compat = config.accounts[0].compat.in_full();
    config.accounts[0].distribution_lists.push(DistributionListConfig::default());
    config.accounts[0].outbind = Some(OutbindConfig {
        address: "192.0.2.10:2775".parse().unwrap(),
        system_id: Some("smscd".to_owned()),
        password: Secret::default(),
        retry_first_ms: 1,
        retry_max_ms: 1,
    });
    config.network.areas[0].latitude = Some(Degrees::default());
    config.network.areas[0].longitude = Some(Degrees::default());
    config.tls.certificates.push(CertificateConfig::default());
    config.tls.identities.push(IdentityConfig::default());
    let value = toml::Table::try_from(&config).unwrap();
    let mut section = String::new();
    let mut shown = Vec::new();
    let mut commented = false;
    for line in DEFAULT_TOML.lines() {
        // A section may be shown as a comment too.
        let header = line.strip_prefix("# ").unwrap_or(line).strip_prefix('[');
        if let Some(header) = header.filter(|_| line.ends_with(']')) {
            section = header.trim_matches(['[', ']']).to_owned() + ".";
        } else if let Some((key, _)) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")
            && !key.contains(' ')
        {
            assert!(commented, "{section}{key} has no comment above it");
            shown.push(format!("{section}{key}"));
        } else {
            commented = line.starts_with('#') || (commented && !line.is_empty());
        }
        // A section's comment may stand above its header.
        commented |= line.starts_with('#');
    }
    fn keys(table: &toml::Table, path: &str, out: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                // Inline in the file: shown by its outer key.
                toml::Value::Table(inner) if key != "delay" => keys(inner, &format!("{path}{key}."), out),
                toml::Value::Array(items) if items.first().is_some_and(toml::Value::is_table) => {
                    keys(items[0].as_table().unwrap(), &format!("{path}{key}."), out);
                }
                _ => out.push(format!("{path}{key}")),
            }
        }
    }
    let mut wanted = Vec::new();
    keys(&value, "", &mut wanted);
    assert!(wanted.len() > 60);
    shown.sort();
    wanted.sort();
    assert_eq!(shown, wanted);
}

/// The problems of `text`, one a line.
fn problems(text: &str) -> String {
    Config::from_toml(text, "f.toml").expect_err(text).to_string()
}

#[test]
fn errors_name_file_line_and_key() {
    let account = |body: &str| format!("\n[[account]]\nsystem_id = \"a\"\npassword = \"p\"\n{body}\n");
    let profile = |body: &str| format!("[network]\nseed = 2\n[[network.profile]]\n{body}\n");
    for (text, wanted) in [
        ("[smpp]\nlisten = \"127.0.0.1:1\"".to_owned(), "f.toml:2: smpp.listen: "),
        (
            "[smpp]\n\nlisten = [\"localhost:1\"]".to_owned(),
            "f.toml:3: smpp.listen[0]: invalid socket address",
        ),
        ("[smpp]\nlisten = []".to_owned(), "f.toml:2: smpp.listen: needs at least one"),
        ("[smpp]\nlissen = []".to_owned(), "f.toml:2: smpp.lissen: unknown field"),
        ("[sms]\nlisten = []".to_owned(), "f.toml:1: sms: unknown field"),
        ("\"\" = [\"\"]".to_owned(), "f.toml:1: \"\": unknown field"),
        ("[smpp]\n\"a.b\" = 1".to_owned(), "f.toml:2: smpp.\"a.b\": unknown field"),
        ("[smpp]\nlisten = [\"127.0.0.1:1\",\n\"127.0.0.1:1\"]".to_owned(), "f.toml:3: smpp.listen[1]: "),
        (
            "[smpp]\nsystem_id = \"0123456789abcdef\"".to_owned(),
            "f.toml:2: smpp.system_id: has 16 characters",
        ),
        (
            "[smpp]\nsystem_id = \"sm\u{e4}c\"".to_owned(),
            "f.toml:2: smpp.system_id: may hold printable ASCII",
        ),
        ("[smpp]\ninterface_version = 0x33".to_owned(), "f.toml:2: smpp.interface_version: 0x33"),
        ("[smpp]\ninterface_version = 300".to_owned(), "f.toml:2: smpp.interface_version: "),
        ("[smpp]\nresponse_timeout_ms = -1".to_owned(), "f.toml:2: smpp.response_timeout_ms: "),
        ("[smpp]\npdu_bytes_max = 70001".to_owned(), "f.toml:2: smpp.pdu_bytes_max: 70001 is out of range"),
        (
            "[smpp]\ninactivity_timeout_ms = 5".to_owned(),
            "f.toml:1: smpp.enquire_link_interval_ms: 30000 is not below",
        ),
        ("[http]\nlisten = \"0.0.0.0:2780\"".to_owned(), "f.toml:2: http.listen: 0.0.0.0:2780 is reachable"),
        ("[http]\nadmin_token = \"a b\"".to_owned(), "f.toml:2: http.admin_token: "),
        ("[engine]\nworkers = 129".to_owned(), "f.toml:2: engine.workers: 129 is out of range"),
        ("[engine]\nnode = 32".to_owned(), "f.toml:2: engine.node: 32"),
        ("[engine]\npin = 1".to_owned(), "f.toml:2: engine.pin: invalid type"),
        ("[store]\nsegment_bytes = 5000000".to_owned(), "f.toml:2: store.segment_bytes: needs a multiple"),
        ("[store]\nsegment_bytes = 4096".to_owned(), "f.toml:2: store.segment_bytes: 4096 is out of range"),
        ("[store]\ndurability = \"disk\"".to_owned(), "f.toml:2: store.durability: unknown variant"),
        ("[store]\nvalidity_default_s = 700000".to_owned(), "f.toml:2: store.validity_default_s: "),
        (
            "[retry.absent]\nfirst_ms = 1\nfactor = 2\nmax_ms = 1\njitter_percent = 0".to_owned(),
            "f.toml:2: retry.absent.first_ms: ",
        ),
        ("[retry.absent]\nfirst = 10".to_owned(), "f.toml:2: retry.absent.first: unknown field `first`"),
        ("[limits]\nsessions_max = 0".to_owned(), "f.toml:2: limits.sessions_max: 0 is out of range"),
        ("[log]\nlevel = \"loud\"".to_owned(), "f.toml:2: log.level: unknown variant"),
        (
            account("[account.outbind]\npassword = \"p\""),
            "f.toml:5: account[0].outbind: missing field `address`",
        ),
        (
            account("[account.outbind]\naddress = \"[::1]:0\""),
            "f.toml:6: account[0].outbind.address: needs a port",
        ),
        (
            account("[account.outbind]\naddress = \"[::1]:1\"\npassword = \"123456789\""),
            "f.toml:7: account[0].outbind.password: has 9 characters",
        ),
        (
            account("[account.outbind]\naddress = \"[::1]:1\"\nretry_first_ms = 400000"),
            "f.toml:7: account[0].outbind.retry_first_ms: 400000 is out of range",
        ),
        ("[[network.area]]\nname = \"\"".to_owned(), "f.toml:2: network.area[0].name: "),
        ("[[network.area]]\ncells = 0".to_owned(), "f.toml:2: network.area[0].cells: 0 is out of range"),
        (profile("prefix = \"49\""), "f.toml:3: network.profile: one profile needs prefix"),
        (profile("prefix = \"4a\""), "f.toml:4: network.profile[0].prefix: must be"),
        (profile("delivered_per_mille = 900"), "f.toml:4: network.profile[0].delivered_per_mille: "),
        (
            profile("delay = { mean_ms = 200 }"),
            "f.toml:4: network.profile[0].delay.mean_ms: 200 is out of range",
        ),
        (profile("[[network.profile]]"), "f.toml:4: network.profile[1].prefix: \"\" is given twice"),
        ("[network.mo]\ntext = \"\"".to_owned(), "f.toml:2: network.mo.text: has 0 septets"),
        ("[network.mo]\ntext = \"\u{416}\"".to_owned(), "f.toml:2: network.mo.text: has characters"),
        (
            "[network.mo]\nsource_addr = \"012345678901234567890\"".to_owned(),
            "f.toml:2: network.mo.source_addr: must be 1 to 18 digits",
        ),
        ("\n[[account]]\nsystem_id = \"a\"".to_owned(), "f.toml:2: account[0].password: give password"),
        ("\n[[account]]\npassword = \"a\"".to_owned(), "f.toml:2: account[0].system_id: has 0 characters"),
        (account("password_hash = \"x\""), "f.toml:5: account[0].password_hash: give either"),
        (account("bind = []"), "f.toml:5: account[0].bind: needs at least one"),
        (account("bind = [\"trx\"]"), "f.toml:5: account[0].bind[0]: unknown variant"),
        (account("window = 16385"), "f.toml:5: account[0].window: 16385"),
        (
            "[store]\ndurability = \"none\"".to_owned() + &account("durability = \"buffered\""),
            "f.toml:6: account[0].durability: \"buffered\" needs a store on disk",
        ),
        (account("validity_default_s = 604801"), "f.toml:5: account[0].validity_default_s: 604801"),
        (
            account("validity_max_s = 60\nvalidity_default_s = 61"),
            "f.toml:6: account[0].validity_default_s: 61 is out of range",
        ),
        (account("duplicate_window_ms = 600001"), "f.toml:5: account[0].duplicate_window_ms: 600001"),
        ("[store]\nfinal_history_s = -1".to_owned(), "f.toml:2: store.final_history_s: "),
        (
            "[[network.area]]\nlatitude = 91.0\nlongitude = 0".to_owned(),
            "f.toml:2: network.area[0].latitude: must be -90 to 90",
        ),
        (
            "[[network.area]]\nname = \"x\"\nlatitude = 9".to_owned(),
            "f.toml:3: network.area[0].latitude: needs a longitude",
        ),
        ("[store]\ntransaction_validity_s = 0".to_owned(), "f.toml:2: store.transaction_validity_s: 0"),
        ("[retry.congestion]\nfirst_ms = 1".to_owned(), "f.toml:2: retry.congestion.first_ms: "),
        (account("burst = 5"), "f.toml:5: account[0].burst: has no effect"),
        (account("compat.message_id = \"octal\""), "f.toml:5: account[0].compat.message_id: unknown variant"),
        (account("compat.hex = true"), "f.toml:5: account[0].compat.hex: unknown field"),
        (account("compat.receipt_date_digits = 11"), "f.toml:5: account[0].compat.receipt_date_digits: must"),
        (account("compat.throttle_delay_ms = 10001"), "f.toml:5: account[0].compat.throttle_delay_ms: 10001"),
        (
            account("[account.compat]\nduplicate_bind = \"probe\"\nduplicate_bind_probe_ms = 10000"),
            "f.toml:7: account[0].compat.duplicate_bind_probe_ms: 10000 is not below smpp.session_init_timeout_ms",
        ),
        (
            "[[account]]\nsystem_id = \"a\"\npassword = \"123456789\"\ncompat.preset = \"jasmin\"".to_owned(),
            "f.toml:3: account[0].password: has 9 characters, it must have 1 to 8",
        ),
        (
            account("prefixes = [\"1\", \"1\"]"),
            "f.toml:5: account[0].prefixes[1]: \"1\" is owned by account[0]",
        ),
        (
            account("[account.statistics]\ninterval_ms = 99"),
            "f.toml:6: account[0].statistics.interval_ms: 99 is out of range",
        ),
        (
            account("bind = [\"transmitter\"]\n[account.statistics]\ninterval_ms = 100"),
            "f.toml:7: account[0].statistics.interval_ms: the account may bind as transmitter only",
        ),
        (
            account("[account.statistics]\nsource_addr = \"\""),
            "f.toml:6: account[0].statistics.source_addr: has 0 characters",
        ),
        (
            account("[account.statistics]\ndestination_addr = \"012345678901234567890\""),
            "f.toml:6: account[0].statistics.destination_addr: has 21 characters",
        ),
        (
            account("[account.statistics]\ninterval_s = 1"),
            "f.toml:6: account[0].statistics.interval_s: unknown",
        ),
        (account("default_alphabet = \"utf8\""), "f.toml:5: account[0].default_alphabet: unknown variant"),
        (
            account("receipt_parts_wait_ms = 99"),
            "f.toml:5: account[0].receipt_parts_wait_ms: 99 is out of range",
        ),
        (
            account("receipts_for_parts = \"last\""),
            "f.toml:5: account[0].receipts_for_parts: unknown variant",
        ),
        (account("addresses = [\"\"]"), "f.toml:5: account[0].addresses[0]: "),
        (account("") + &account(""), "f.toml:8: account[1].system_id: \"a\" is account[0] already"),
        (
            "[[account]]\nsystem_id = \"a\"\npassword_hash = \"x\"".to_owned(),
            "f.toml:3: account[0].password_hash: is not a PHC",
        ),
        ("[smpp\n".to_owned(), "f.toml:1: "),
        ("[smpp]\nlisten =".to_owned(), "f.toml:2: "),
        ("[smpp]\n[smpp]".to_owned(), "f.toml:2: "),
    ] {
        let found = problems(&text);
        assert!(
            found.lines().any(|line| line.starts_with(wanted)),
            "{text}\nwanted {wanted}\nfound  {found}"
        );
    }
}

#[test]
fn every_problem_is_named_at_once_and_no_secret_with_it() {
    let found = problems(
        "[engine]\nnode = 40\n[[account]]\nsystem_id = \"a\"\npassword = \"hunter2\\u0001\"\nwindow = 0",
    );
    assert_eq!(found.lines().count(), 3, "{found}");
    assert!(!found.contains("hunter2"), "{found}");
    let found = problems("[[account]]\nsystem_id = \"a\"\npassword = 12345");
    assert_eq!(found, "f.toml:3: account[0].password: invalid type: integer, expected a string");
}

#[test]
fn the_demo_account_stays_on_loopback() {
    let found = problems("[smpp]\nlisten = [\"127.0.0.1:2775\", \"0.0.0.0:2776\"]");
    assert!(found.contains("account[0].password: a listener is reachable"), "{found}");
    let other = "[smpp]\nlisten = [\"[::]:0\"]\n[[account]]\nsystem_id = \"demo\"\npassword = ";
    assert!(problems(&format!("{other}\"demo\"")).contains("f.toml:5: account[0].password: "));
    assert!(Config::from_toml(&format!("{other}\"else\""), "f").is_ok());
    assert!(Config::from_toml(&format!("{other}\"demo\"\nenabled = false"), "f").is_ok());
    assert!(
        Config::from_toml("[smpp]\nlisten = [\"[::1]:0\", \"127.9.9.9:0\", \"[::ffff:127.0.0.1]:0\"]", "f")
            .is_ok()
    );
}

#[test]
fn flags_override_the_file_and_are_named_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smscd.toml");
    std::fs::write(&path, "[store]\ndurability = \"sync\"\n[engine]\nworkers = 4\n").unwrap();
    let overrides = Overrides {
        durability: Some(Durability::None),
        listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
        shards: Some(2),
        no_pin: true,
        ..Overrides::default()
    };
    let config = Config::load(Some(&path), &overrides).unwrap();
    assert_eq!((config.engine.workers, config.engine.shards, config.engine.pin), (4, 2, false));
    assert_eq!(config.smpp.listen.len(), 2);

    let wrong = |overrides: Overrides| Config::load(None, &overrides).unwrap_err().to_string();
    let exposed = Some("0.0.0.0:1".parse().unwrap());
    assert!(wrong(Overrides { http: exposed, ..Overrides::default() }).starts_with("--http: http.listen: "));
    assert!(
        wrong(Overrides { workers: Some(500), ..Overrides::default() })
            .starts_with("--workers: engine.workers: ")
    );
    let twice = vec!["127.0.0.1:1".parse().unwrap(); 2];
    assert!(
        wrong(Overrides { listen: twice, ..Overrides::default() }).starts_with("--listen: smpp.listen[1]: ")
    );
    let missing =
        Config::load(Some(&dir.path().join("nope.toml")), &Overrides::default()).unwrap_err().to_string();
    assert!(missing.contains("nope.toml: "), "{missing}");
}

#[test]
fn the_printed_configuration_reads_back_without_its_secrets() {
    let mut config = Config::default();
    config.http.admin_token = Secret::new("t0ken");
    let text = config.to_toml();
    assert!(!text.contains("t0ken") && text.contains("password = \"(redacted)\""), "{text}");
    let back = Config::from_toml(&text, "printed").unwrap();
    assert_eq!(back.smpp, config.smpp);
    assert_eq!(back.network, config.network);
    assert!(!format!("{config:?}").contains("t0ken"));
}

#[test]
fn accounts_accept_their_password_only() {
    let demo = AccountConfig::demo();
    assert!(demo.accepts(b"demo") && !demo.accepts(b"demo1") && !demo.accepts(b""));
    let hash = password::hash(b"s3cret", 8, 1).unwrap();
    let hashed = AccountConfig { password_hash: Some(Secret::new(hash)), ..AccountConfig::default() };
    assert!(hashed.accepts(b"s3cret") && !hashed.accepts(b"demo"));
    assert!(!AccountConfig::default().accepts(b""));
}

#[test]
fn the_samples_are_accepted() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if let Err(error) = Config::load(Some(&path), &Overrides::default()) {
            panic!("{error}");
        }
        seen += 1;
    }
    assert!(seen >= 3);
}
