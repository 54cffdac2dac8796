//! The default file against the code, and the errors of bad ones.

use super::*;

#[test]
fn the_default_file_is_the_default() {
    assert_eq!(Config::from_toml(DEFAULT_TOML, "default.toml").unwrap(), Config::default());
    assert_eq!(Config::from_toml("", "empty.toml").unwrap(), Config::default());
}
