//! What must hold for any text whatever as a configuration: the body of a fuzz target, and of a property test here.

use super::{Config, EnginePlan, Origin};

/// A text is taken or refused, never more. What is wrong has a key and a line of the text, unless it is not TOML at all.
/// What is taken can be shown, compared, reloaded to and laid out on threads.
///
/// # Panics
/// When that does not hold.
pub fn check_config(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match Config::from_toml(text, "f.toml") {
        Ok(config) => check_taken(&config, text),
        Err(error) => {
            assert!(!error.problems.is_empty());
            let is_toml = text.parse::<toml::Table>().is_ok();
            for problem in &error.problems {
                assert!(!problem.what.is_empty(), "says nothing: {problem:?}");
                assert!(!is_toml || !problem.key.is_empty(), "names no key: {problem:?}");
                let place = problem.place.as_deref().unwrap_or_default();
                let line = place.strip_prefix("f.toml:").and_then(|line| line.parse().ok());
                let lines = 1 + text.matches('\n').count();
                let has_line = line.is_some_and(|line: usize| (1..=lines).contains(&line));
                // A default that does not go with the rest is on no line.
                assert!(has_line || place == "f.toml", "names no line: {problem:?}");
                assert!(is_toml || has_line, "names no line: {problem:?}");
            }
        }
    }
}

fn check_taken(config: &Config, text: &str) {
    let shown = config.to_toml();
    toml::from_str::<Config>(&shown)
        .unwrap_or_else(|error| panic!("shown as what is no configuration: {error}"));
    assert_eq!(config.diff(config), [], "differs from itself");
    let plan = EnginePlan::for_cores(2, &config.engine);
    assert!(!plan.threads.is_empty() && plan.workers > 0 && plan.shards > 0);
    let default = Config::default();
    let origin = Origin::file("f.toml", text);
    match default.after(config, &origin) {
        // What is left to change is what needs a restart.
        Ok(after) => {
            let left = after.diff(config);
            assert!(
                left.iter().all(|change| change.applied() == super::Applied::AtRestart),
                "left: {left:?}"
            );
        }
        Err(error) => assert!(error.problems.iter().all(|problem| !problem.key.is_empty()), "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::DEFAULT_TOML;

    proptest! {
        /// The default with one line replaced or left out, its comments taken off as they may be.
        #[test]
        fn any_text_is_taken_or_refused_with_its_key(
            line in any::<prop::sample::Index>(),
            uncommented in any::<bool>(),
            value in "(-?[0-9]{1,20}|\"[ -~]{0,20}\"|\\[\\]|\\[\"\"\\]|\\{\\}|true|\\PC{0,8})",
        ) {
            let mut lines: Vec<String> = DEFAULT_TOML.lines().map(str::to_owned).collect();
            let chosen = line.get(&lines).clone();
            let at = lines.iter().position(|line| *line == chosen).unwrap();
            let line = if uncommented { chosen.trim_start_matches("# ") } else { &chosen };
            lines[at] = match line.split_once(" = ") {
                Some((key, _)) => format!("{key} = {value}"),
                None => value,
            };
            check_config(lines.join("\n").as_bytes());
        }
    }
}
