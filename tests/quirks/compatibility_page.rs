//! Holds docs/compatibility.md to the configuration: every key is there with its values and its default, and every preset
//! with what it sets.

use std::collections::BTreeMap;
use std::path::Path;

use smscd::config::{CompatConfig, Config, DEFAULT_TOML, Preset};
use toml::{Table, Value};

/// Keys of `[smpp]` that a client's habits may ask for too, since no account is known yet when they are needed.
const OF_ALL: [&str; 2] = ["smpp.enquire_link_before_bind", "smpp.unknown_system_id_status"];

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("docs/compatibility.md")).expect("docs/compatibility.md")
}

/// The rows of the table under a heading, without its head.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).expect(heading);
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    lines.map(cells).collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn table(config: &CompatConfig) -> Table {
    Table::try_from(config).expect("TOML")
}

fn value(text: &str) -> Value {
    let table: Table = format!("value = {text}").parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    table["value"].clone()
}

/// Whether the configuration takes a line in its account.
fn is_taken(line: &str) -> bool {
    let text = format!("[[account]]\nsystem_id = \"a\"\npassword = \"p\"\n{line}\n");
    Config::from_toml(&text, "f.toml").is_ok()
}

#[test]
fn the_page_has_every_key_with_its_values_and_its_default() {
    let defaults = table(&CompatConfig::default().in_full());
    let page = page();
    let mut listed = BTreeMap::new();
    let mut others = Vec::new();
    for row in rows(&page, "Settings") {
        let [key, values, default, effect, who, quirk] = &row[..] else { panic!("not six columns: {row:?}") };
        assert!(!effect.is_empty() && !who.is_empty(), "{row:?}");
        assert!(quirk.split(", ").all(|it| it.starts_with('Q') || it.starts_with('C')), "{row:?}");
        let key = quoted(key)[0];
        let default = value(quoted(default)[0]);
        let Some(key) = key.strip_prefix("compat.") else {
            others.push((key.to_owned(), default));
            continue;
        };
        let values = quoted(values);
        assert!(values.len() > 1, "{row:?}");
        for value in values {
            assert!(is_taken(&format!("compat.{key} = {value}")), "{key} = {value} is refused");
        }
        assert!(!is_taken(&format!("compat.{key} = \"nonsense\"")), "{key}");
        listed.insert(key.to_owned(), default);
    }
    assert_eq!(listed, defaults.into_iter().collect());
    let config = Table::try_from(Config::default()).expect("TOML");
    assert_eq!(others.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), OF_ALL);
    for (key, default) in others {
        assert_eq!(config["smpp"][key.strip_prefix("smpp.").expect("a key of [smpp]")], default, "{key}");
    }
}

#[test]
fn the_page_has_every_preset_with_what_it_sets() {
    let page = page();
    let mut listed = Vec::new();
    for row in rows(&page, "Presets") {
        let [name, whom, sets] = &row[..] else { panic!("not three columns: {row:?}") };
        assert!(!whom.is_empty(), "{row:?}");
        let mut settings = Table::new();
        for setting in quoted(sets) {
            let (key, text) = setting.split_once(" = ").expect("key = value");
            settings.insert(key.to_owned(), value(text));
        }
        settings.insert("preset".to_owned(), Value::String(quoted(name)[0].to_owned()));
        listed.push(settings);
    }
    let wanted: Vec<Table> = Preset::ALL.iter().map(|preset| table(&preset.settings())).collect();
    assert_eq!(listed, wanted);
}

#[test]
fn the_default_file_shows_the_defaults() {
    let (_, section) = DEFAULT_TOML.split_once("# [account.compat]\n").expect("the section");
    let lines = section.lines().filter_map(|line| line.strip_prefix("# "));
    let shown: String = lines
        .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let shown: CompatConfig = toml::from_str(&shown).expect("keys that there are");
    assert_eq!(shown, CompatConfig::default().in_full());
}
