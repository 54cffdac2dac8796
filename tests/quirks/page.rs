//! Holds docs/quirks.md to the tests: every number is there once, and every test that it names exists.

use std::collections::BTreeSet;
use std::path::Path;

const QUIRKS: usize = 37;
const COMPLAINTS: usize = 34;

/// The names of all test functions under `folder`.
fn tests_under(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_under(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let functions = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            names.extend(functions.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn the_page_lists_every_number_and_only_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/quirks.md")).expect("docs/quirks.md");
    let mut names = BTreeSet::new();
    tests_under(&root.join("tests"), &mut names);
    tests_under(&root.join("src"), &mut names);
    tests_under(&root.join("loadgen"), &mut names);
    let mut listed = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| Q") || line.starts_with("| C")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, what, evidence] = cells[..] else { panic!("not three columns: {line}") };
        assert!(!what.is_empty() && !evidence.is_empty(), "{line}");
        listed.push(number.to_owned());
        for name in evidence.split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
            assert!(names.contains(name), "{number}: no test is called {name}");
        }
    }
    let wanted: Vec<String> = (1..=QUIRKS)
        .map(|n| format!("Q{n:02}"))
        .chain((1..=COMPLAINTS).map(|n| format!("C{n:02}")))
        .collect();
    assert_eq!(listed, wanted);
    // And the other way: a test that carries a number is on the page.
    for name in names.iter().filter(|name| name.starts_with("quirk_") || name.starts_with("complaint_")) {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
}
