//! The layers, checked from the sources: who may import whom and which crates, who may touch the world outside, and
//! the few rules that every file keeps. A rule that does not hold names the file and line.

use std::fs;
use std::path::{Path, PathBuf};

/// What a module of `src/lib.rs` may import: other modules, and crates beside std and [`ANYWHERE`].
struct Layer {
    name: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
}

const fn layer(
    name: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
) -> Layer {
    Layer { name, modules, crates }
}

/// Crates that only derive or name things.
const ANYWHERE: &[&str] = &["thiserror"];

/// From the bottom up: a module may only import ones above it in this list.
const LAYERS: &[Layer] = &[
    layer("base", &[], &[]),
    layer("limits", &[], &[]),
    layer("smpp", &["base", "limits"], &["bytes"]),
    layer("stats", &["base"], &["hdrhistogram"]),
    layer("tls", &[], &["rustls"]),
    layer(
        "config",
        &["base", "limits", "smpp"],
        &["argon2", "blake2", "getrandom", "serde", "subtle", "toml"],
    ),
    layer("session", &["base", "limits", "smpp"], &[]),
    layer("store", &["base", "limits"], &["crc32c"]),
    layer("routing", &["base", "limits", "smpp", "store"], &["rand_xoshiro", "regex_lite"]),
    layer("network", &["base", "smpp"], &["rand_xoshiro"]),
    layer("control_lane", &["base", "stats", "store"], &["crossbeam_channel"]),
    layer(
        "runtime",
        &[
            "base",
            "limits",
            "smpp",
            "stats",
            "tls",
            "config",
            "session",
            "store",
            "routing",
            "network",
            "control_lane",
        ],
        &[
            "anyhow",
            "core_affinity",
            "crossbeam_channel",
            "mio",
            "parking_lot",
            "rustix",
            "rustls",
            "tracing",
            "x509_parser",
        ],
    ),
    layer(
        "control",
        &["base", "limits", "smpp", "stats", "config", "control_lane"],
        &[
            "anyhow",
            "axum",
            "crossbeam_channel",
            "hdrhistogram",
            "parking_lot",
            "prometheus_client",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
        ],
    ),
    layer(
        "server",
        &[
            "base",
            "limits",
            "smpp",
            "stats",
            "config",
            "session",
            "store",
            "routing",
            "network",
            "control_lane",
            "runtime",
            "control",
        ],
        &[
            "anyhow",
            "clap",
            "rustix",
            "serde",
            "serde_json",
            "socket2",
            "tokio",
            "toml",
            "tracing",
            "tracing_subscriber",
        ],
    ),
];

/// Words that name the world outside, and the modules that may use them. The rest get `now` and octets as values.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("Instant", &["runtime", "control", "server"]),
    ("SystemTime", &["runtime", "control", "server"]),
    ("mio::", &["runtime"]),
    ("TcpStream", &["runtime", "control", "server"]),
    ("TcpListener", &["runtime", "control", "server"]),
    ("UdpSocket", &["runtime", "control", "server"]),
    ("std::thread", &["runtime", "control", "server"]),
    ("std::process", &["runtime", "control", "server", "main"]),
    ("std::env", &["server"]),
    ("std::fs", &["config", "runtime", "server"]),
    ("println!", &["server"]),
];

/// What no file may contain.
const NOWHERE: &[&str] = &["todo!", "unimplemented!", "dbg!"];

const FILE_LINES_MAX: usize = 1_000;

/// One source file: its lines without comments, and from where on it is test code.
struct Source {
    path: PathBuf,
    /// `base`, `session`, ... or `main`, `lib`.
    module: String,
    /// Modules from the crate's root to this file.
    depth: usize,
    text: String,
    lines: Vec<String>,
    tests_from: usize,
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let inside = path.strip_prefix(root).expect("a file of src");
        let parts: Vec<&str> = inside.iter().map(|part| part.to_str().expect("UTF-8")).collect();
        let module = parts[0].trim_end_matches(".rs").to_owned();
        let depth = if path.ends_with("mod.rs") { parts.len() - 1 } else { parts.len() };
        let text = fs::read_to_string(path).expect("a readable file");
        let is_test = parts.iter().any(|part| matches!(*part, "tests" | "tests.rs"));
        Self::parse(path.to_owned(), module, depth, text, is_test)
    }

    fn parse(path: PathBuf, module: String, depth: usize, text: String, is_test: bool) -> Self {
        let lines: Vec<String> = text.lines().map(|line| without_comment(line).to_owned()).collect();
        let inline_tests = lines
            .windows(2)
            .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].ends_with('{'))
            .unwrap_or(lines.len());
        Self { path, module, depth, text, lines, tests_from: if is_test { 0 } else { inline_tests } }
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{}", self.path.display(), line + 1)
    }

    /// Top-level modules that the file names, with the line.
    fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            for (start, _) in line.match_indices("crate::") {
                if !ends_in_word(&line[..start]) {
                    let rest = &line[start + "crate::".len()..];
                    found.extend(names_of(rest).into_iter().map(|name| (at, name)));
                }
            }
            // `super::super::x` that climbs to the crate's root (test modules are one deeper).
            let climb = "super::".repeat(self.depth);
            for (start, _) in line.match_indices(&climb) {
                let name = first_word(line[start..].trim_start_matches("super::"));
                if LAYERS.iter().any(|layer| layer.name == name) {
                    found.push((at, name.to_owned()));
                }
            }
        }
        found
    }
}

fn without_comment(line: &str) -> &str {
    match line.find("//") {
        // Not the `//` of a URL in a string.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    }
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The names after `crate::`: one, or all of a group.
fn names_of(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![first_word(rest).to_owned()] };
    let mut depth = 0;
    let items = group.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => (),
        }
        c == ',' && depth == 0
    });
    items.map(|item| first_word(item.trim()).to_owned()).filter(|name| !name.is_empty()).collect()
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        let open_end =
            word.ends_with([':', '!']) || !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        open_end && !ends_in_word(&line[..at])
    })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn sources() -> Vec<Source> {
    let root = root().join("src");
    let sources: Vec<Source> = rust_files(&root).iter().map(|path| Source::read(&root, path)).collect();
    assert!(sources.len() > 50, "the sources are not where they are looked for");
    sources
}

/// Crates under `[dependencies]`, as they are named in code.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("dependencies");
    let section = section.split("\n[").next().unwrap_or(section);
    let names = section.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    names.map(|name| name.replace('-', "_")).collect()
}

fn layer_of(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

fn import_breaches(source: &Source) -> Vec<String> {
    // lib.rs declares the modules, main.rs starts the server.
    let Some(layer) = layer_of(&source.module) else { return Vec::new() };
    let imports = source.imports().into_iter();
    let known = imports.filter(|(_, name)| layer_of(name).is_some() && *name != source.module);
    let breaches = known.filter(|(_, name)| !layer.modules.contains(&name.as_str()));
    breaches.map(|(at, name)| format!("{}: {} imports {name}", source.at(at), source.module)).collect()
}

fn crate_breaches(source: &Source, dependencies: &[String]) -> Vec<String> {
    let Some(layer) = layer_of(&source.module) else { return Vec::new() };
    let mut breaches = Vec::new();
    for (at, line) in source.lines[..source.tests_from].iter().enumerate() {
        let allowed = |name: &str| layer.crates.contains(&name) || ANYWHERE.contains(&name);
        for name in dependencies.iter().filter(|name| !allowed(name)) {
            if contains_word(line, &format!("{name}::")) {
                breaches.push(format!("{}: {} uses the crate {name}", source.at(at), source.module));
            }
        }
    }
    breaches
}

fn outside_breaches(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for (at, line) in source.lines[..source.tests_from].iter().enumerate() {
        for (word, allowed) in OUTSIDE {
            if contains_word(line, word) && !allowed.contains(&source.module.as_str()) {
                breaches.push(format!("{}: {} names {word}", source.at(at), source.module));
            }
        }
    }
    breaches
}

fn file_breaches(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    if !source.text.starts_with("//!") {
        breaches.push(format!("{}: does not say what it owns (//!)", source.at(0)));
    }
    if source.lines.len() > FILE_LINES_MAX {
        breaches.push(format!("{}: longer than {FILE_LINES_MAX} lines", source.at(source.lines.len())));
    }
    for (at, line) in source.lines.iter().enumerate() {
        for word in NOWHERE.iter().filter(|word| contains_word(line, word)) {
            breaches.push(format!("{}: {word}", source.at(at)));
        }
    }
    breaches
}

fn expect_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn modules_import_only_from_below() {
    expect_none(&sources().iter().flat_map(import_breaches).collect::<Vec<_>>());
}

#[test]
fn crates_stay_in_their_layers() {
    let dependencies = dependencies();
    assert!(dependencies.iter().any(|name| name == "crossbeam_channel"), "{dependencies:?}");
    expect_none(
        &sources().iter().flat_map(|source| crate_breaches(source, &dependencies)).collect::<Vec<_>>(),
    );
}

#[test]
fn only_the_shells_touch_the_world_outside() {
    expect_none(&sources().iter().flat_map(outside_breaches).collect::<Vec<_>>());
}

#[test]
fn every_file_keeps_the_house_rules() {
    let mut breaches: Vec<String> = sources().iter().flat_map(file_breaches).collect();
    let loadgen = root().join("loadgen/src");
    let files = rust_files(&loadgen);
    breaches.extend(files.iter().flat_map(|path| file_breaches(&Source::read(&loadgen, path))));
    expect_none(&breaches);
}

#[test]
fn the_load_generator_takes_only_what_every_build_has() {
    let folder = root().join("loadgen/src");
    let mut breaches = Vec::new();
    for path in rust_files(&folder) {
        let source = Source::read(&folder, &path);
        for (at, line) in source.lines.iter().enumerate() {
            for (start, _) in line.match_indices("smscd::") {
                let names = names_of(&line[start + "smscd::".len()..]);
                let above = names.iter().filter(|name| {
                    layer_of(name).is_some()
                        && !["base", "limits", "smpp", "stats", "tls"].contains(&name.as_str())
                });
                breaches.extend(above.map(|name| format!("{}: loadgen uses {name}", source.at(at))));
            }
        }
    }
    expect_none(&breaches);
}

#[test]
fn the_table_is_the_crate() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let mut declared: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    let mut listed: Vec<&str> = LAYERS.iter().map(|layer| layer.name).collect();
    declared.sort_unstable();
    listed.sort_unstable();
    assert_eq!(declared, listed);
    let sources = sources();
    for (at, layer) in LAYERS.iter().enumerate() {
        for name in layer.crates {
            let of_layer = sources.iter().filter(|source| source.module == layer.name);
            let mut lines = of_layer.flat_map(|source| &source.lines);
            assert!(lines.any(|line| contains_word(line, name)), "{} does not use {name}", layer.name);
        }
        for module in layer.modules {
            assert!(
                LAYERS[..at].iter().any(|below| below.name == *module),
                "{} is above {module}",
                layer.name
            );
        }
    }
}

#[test]
fn a_broken_rule_is_seen() {
    let parse = |module: &str, depth: usize, text: &str| {
        Source::parse(PathBuf::from("x.rs"), module.to_owned(), depth, text.to_owned(), false)
    };
    let imports = |module, depth, text| import_breaches(&parse(module, depth, text)).len();
    assert_eq!(imports("smpp", 2, "use crate::session::Session;"), 1);
    assert_eq!(imports("smpp", 2, "    let x = crate::routing::shard_of(b\"\", 1);"), 1);
    assert_eq!(imports("smpp", 2, "use crate::{base::Time, store::{A, B}, runtime};"), 2);
    assert_eq!(imports("session", 2, "use super::super::routing::Shard;"), 1);
    assert_eq!(imports("session", 1, "use super::store::Store;"), 1);
    assert_eq!(imports("session", 2, "use super::port::Port; // crate::routing"), 0);
    assert_eq!(imports("session", 2, "use crate::base::Time;\n//! crate::runtime"), 0);
    assert_eq!(imports("runtime", 3, "use crate::control::api;"), 1);

    let crates = ["mio".to_owned(), "serde".to_owned()];
    let uses = |module, text| crate_breaches(&parse(module, 2, text), &crates).len();
    assert_eq!(uses("session", "use serde::Serialize;"), 1);
    assert_eq!(uses("config", "use serde::Serialize;"), 0);
    assert_eq!(uses("session", "use mymio::X;\n#[cfg(test)]\nmod tests {\n    use serde::X;\n}"), 0);

    let outside = |module, text| outside_breaches(&parse(module, 2, text)).len();
    assert_eq!(outside("routing", "let now = std::time::Instant::now();"), 1);
    assert_eq!(outside("runtime", "let now = Instant::now();"), 0);
    assert_eq!(outside("control", "use mio::Poll;"), 1);
    assert_eq!(outside("session", "struct InstantAnswer;"), 0);

    let files = |text: &str| file_breaches(&parse("base", 2, text)).len();
    assert_eq!(files("//! What.\nfn f() {}\n"), 0);
    assert_eq!(files("fn f() {}\n"), 1);
    assert_eq!(files("//! What.\nfn f() { todo!() }\n"), 1);
    assert_eq!(files(&format!("//! What.\n{}", "\n".repeat(FILE_LINES_MAX))), 1);
}
