//! What is wrong with a configuration, and where: file, line and key, or the flag that set it.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File and line (`smscd.toml:12`), flag (`--http`), or nothing for a built-in default.
    pub place: Option<String>,
    /// Path of the key (`account[0].system_id`); empty when the text is not TOML at all.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Everything that is wrong with a configuration, one problem a line; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// The problems, in the order of the sections.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// `key` of a configuration that comes from `origin` is wrong because of `what`.
    pub fn at(origin: &Origin, key: &str, what: String) -> Self {
        Self::one(origin.place_of(key), key.to_owned(), what)
    }

    pub(super) fn one(place: Option<String>, key: String, what: String) -> Self {
        Self { problems: vec![Problem { place, key, what }] }
    }
}

/// Collects what validation finds.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<(String, String)>);

impl Findings {
    /// Notes that `key` is wrong because of `what`.
    pub(super) fn add(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.0.push((key.into(), what.into()));
    }

    /// Notes `key` unless `value` lies in `range` (both ends included).
    pub(super) fn in_range(&mut self, key: impl Into<String>, value: u64, range: (u64, u64)) {
        if !(range.0..=range.1).contains(&value) {
            self.add(key, format!("{value} is out of range, it must be from {} to {}", range.0, range.1));
        }
    }

    /// The findings with their places, or nothing when there are none.
    pub(super) fn into_result(self, origin: &Origin) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let problems = self
            .0
            .into_iter()
            .map(|(key, what)| Problem { place: origin.place_of(&key), key, what })
            .collect();
        Err(ConfigError { problems })
    }
}

/// Where the values of a configuration come from, so that an error can name the place.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Name and text of the file; `None` for the built-in default.
    file: Option<(String, String)>,
    /// Keys that a command line flag has set, with the flag.
    flags: Vec<(&'static str, &'static str)>,
}

impl Origin {
    /// A file called `name` that holds `text`.
    pub fn file(name: &str, text: &str) -> Self {
        Self { file: Some((name.to_owned(), text.to_owned())), flags: Vec::new() }
    }

    /// Notes that `flag` has set `key`.
    pub(super) fn set_by_flag(&mut self, key: &'static str, flag: &'static str) {
        self.flags.push((key, flag));
    }

    /// The flag or line that set `key`; of a key that is not in the file, the nearest table around it.
    fn place_of(&self, key: &str) -> Option<String> {
        if let Some((_, flag)) =
            self.flags.iter().find(|(set, _)| key == *set || key.starts_with(&format!("{set}[")))
        {
            return Some((*flag).to_owned());
        }
        let (name, text) = self.file.as_ref()?;
        Some(locate(text, key).map_or_else(|| name.clone(), |at| format!("{name}:{}", line_of(text, at))))
    }
}

/// The error of a text that does not parse or does not fit the types, with its line and key.
pub(super) fn parse_error(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let what =
        error.message().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    let Some(span) = error.span() else {
        return ConfigError::one(Some(name.to_owned()), String::new(), what);
    };
    let place = format!("{name}:{}", line_of(text, span.start));
    ConfigError::one(Some(place), key_at(text, &span).unwrap_or_default(), what)
}

/// Line (from 1) of the octet at `at`.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count()
}

/// Every key and value of a text with its span and path, outer before inner.
fn spans(text: &str) -> Vec<(Range<usize>, String)> {
    fn walk_value(value: &Spanned<DeValue<'_>>, path: &str, out: &mut Vec<(Range<usize>, String)>) {
        out.push((value.span(), path.to_owned()));
        match value.get_ref() {
            DeValue::Table(table) => walk_table(table, path, out),
            DeValue::Array(array) => {
                for (i, item) in array.iter().enumerate() {
                    walk_value(item, &format!("{path}[{i}]"), out);
                }
            }
            _ => {}
        }
    }
    fn walk_table(table: &DeTable<'_>, path: &str, out: &mut Vec<(Range<usize>, String)>) {
        for (key, value) in table {
            let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            let name = key.get_ref().as_ref();
            // As it must be written in the file.
            let name = if !name.is_empty() && name.bytes().all(is_bare) {
                name.to_owned()
            } else {
                format!("{name:?}")
            };
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            out.push((key.span(), path.clone()));
            walk_value(value, &path, out);
        }
    }
    let (table, _errors) = DeTable::parse_recoverable(text);
    let mut out = Vec::new();
    walk_table(table.get_ref(), "", &mut out);
    out
}

/// Offset of `key`, or of the innermost table or array around it that the text has.
fn locate(text: &str, key: &str) -> Option<usize> {
    let spans = spans(text);
    let mut path = key;
    loop {
        // An element of an array of tables is at its own header, the array as a whole at its first one.
        if let Some((span, _)) = spans.iter().find(|(_, found)| found == path) {
            return Some(span.start);
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}

/// The path of the innermost key whose name or value lies around `span`.
fn key_at(text: &str, span: &Range<usize>) -> Option<String> {
    spans(text)
        .into_iter()
        .filter(|(found, _)| found.start <= span.start && span.end <= found.end)
        .min_by_key(|(found, _)| found.len())
        .map(|(_, path)| path)
}
