//! The table of bad input in the documentation: the counters that it names are there, and the lines that it quotes are what
//! the code logs.

use std::path::{Path, PathBuf};

use crate::support::{Daemon, Layout};

/// The rows of all tables, by column.
fn rows() -> Vec<[String; 4]> {
    let text = std::fs::read_to_string(root().join("docs/bad-input.md")).expect("the page");
    let rows: Vec<[String; 4]> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| input "))
        .map(|line| {
            let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
            let [_, cells @ .., _] = cells.as_slice() else { panic!("{line}") };
            cells.to_vec().try_into().unwrap_or_else(|_| panic!("not four columns: {line}"))
        })
        .collect();
    assert!(rows.len() > 40, "{}", rows.len());
    rows
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_row_has_its_answer_and_every_counter_is_in_the_metrics() {
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let metrics = daemon.get("/metrics").body;
    let stats = daemon.stats();
    let mut counters = 0;
    for [input, answer, counted, _] in rows() {
        assert!(!input.is_empty() && !answer.is_empty(), "{input}: {answer}");
        for name in quoted(&counted) {
            assert!(metrics.contains(&format!("\n# TYPE smscd_{name} counter\n")), "no {name} in /metrics");
            let is_of_an_account = counted.contains(&format!("per account `{name}`"));
            let is_of_the_store = name.starts_with("store_");
            if !is_of_an_account && !is_of_the_store {
                assert!(stats["counters"][name].is_u64(), "no {name} in /stats");
            }
            counters += 1;
        }
    }
    assert!(counters > 30, "{counters}");
}

#[test]
fn every_line_that_is_quoted_is_one_that_is_logged() {
    fn sources(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|it| it == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    let mut code = String::new();
    sources(&root().join("src"), &mut code);
    let mut lines = 0;
    for [input, _, _, logged] in rows() {
        for line in quoted(&logged) {
            let level = logged.split(':').next().expect("a level");
            assert!(["error", "warn", "info", "debug", "trace"].contains(&level), "{input}: {logged}");
            assert!(code.contains(&format!("\"{line}")), "{input}: nothing logs {line:?}");
            lines += 1;
        }
    }
    assert!(lines > 15, "{lines}");
}
