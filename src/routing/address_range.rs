//! address_range of a bind: which addresses an ESME says are its own (3.4 section 5.2.7 and appendix A).

use regex_lite::{Regex, RegexBuilder};

/// Compiled form of the longest pattern that fits the field may not exceed this.
const COMPILED_BYTES_MAX: usize = 64 * 1024;

/// A bind's address_range.
#[derive(Debug)]
pub(super) enum AddressRange {
    /// Empty, or not to be understood.
    None,
    /// Plain digits, with or without a `^` in front: all addresses that start with them.
    Prefix(Vec<u8>),
    /// Anything else. Matching takes linear time, so a hostile pattern costs no more than its length.
    Pattern(Box<Regex>),
}

impl AddressRange {
    /// Reads the field. `None`: neither digits nor a regular expression of reasonable size.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        let digits = text.strip_prefix(b"^").unwrap_or(text);
        if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
            return Some(Self::Prefix(digits.to_vec()));
        }
        let pattern = std::str::from_utf8(text).ok()?;
        let regex = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).nest_limit(20).build().ok()?;
        Some(Self::Pattern(Box::new(regex)))
    }

    /// Whether `address` lies in the range.
    pub(super) fn contains(&self, address: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Prefix(prefix) => address.starts_with(prefix),
            Self::Pattern(regex) => std::str::from_utf8(address).is_ok_and(|address| regex.is_match(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_prefix_and_the_rest_is_a_pattern() {
        for (range, inside, outside) in [
            ("1234", "12345", "01234"),
            ("^1234", "12345", "01234"),
            ("5678$", "95678", "56789"),
            ("^123456$", "123456", "1234567"),
            ("[13579]$", "7001", "7002"),
            ("^(700|800)", "8001", "9001"),
        ] {
            let parsed = AddressRange::parse(range.as_bytes()).unwrap();
            assert!(parsed.contains(inside.as_bytes()), "{range} {inside}");
            assert!(!parsed.contains(outside.as_bytes()), "{range} {outside}");
        }
        assert!(!AddressRange::parse(b"").unwrap().contains(b"1"));
    }

    #[test]
    fn what_is_no_pattern_or_too_large_a_one_is_refused() {
        for range in [&b"*"[..], b"(", b"\xFF", b"((((a{1000}){1000}){1000}){1000}){1000}"] {
            assert!(AddressRange::parse(range).is_none(), "{range:?}");
        }
    }
}
