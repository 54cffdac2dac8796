//! Comparing and hashing passwords; argon2id only.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use subtle::ConstantTimeEq;

/// Whether two secrets are the same, in a time that tells nothing about where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The argon2id PHC string of `password`, with a random salt and the parameters OWASP recommends.
///
/// # Errors
/// When the operating system has no randomness to give, or the password is too long for argon2.
pub fn hash(password: &[u8]) -> Result<String, String> {
    Argon2::default().hash_password(password).map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Whether `hash` can be checked against.
pub(super) fn check_hash(hash: &str) -> Result<(), String> {
    let parsed = PasswordHash::new(hash)
        .map_err(|_| "is not a PHC string, make one with `smscd hash-password`".to_owned())?;
    if parsed.algorithm.as_str() != "argon2id" {
        return Err(format!("is of algorithm {}, only argon2id is accepted", parsed.algorithm.as_str()));
    }
    if parsed.salt.is_none() || parsed.hash.is_none() {
        return Err("lacks its salt or its hash, make one with `smscd hash-password`".to_owned());
    }
    // The parameters come from the file: a huge memory cost must fail here, not at the first bind.
    match argon2::Params::try_from(&parsed) {
        Ok(params) if params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX => Ok(()),
        Ok(_) => Err(format!("asks for more than {MEMORY_KIB_MAX} KiB or {PASSES_MAX} passes")),
        Err(_) => Err("has parameters that argon2id does not take".to_owned()),
    }
}

/// Most memory that checking one password may take.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes over it.
const PASSES_MAX: u32 = 16;

/// Whether `password` is the one that `hash` was made of. An unreadable hash matches nothing.
pub(super) fn matches_hash(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_own_password_only() {
        let made = hash(b"correct horse").unwrap();
        assert_eq!(check_hash(&made), Ok(()));
        assert!(matches_hash(&made, b"correct horse"));
        assert!(!matches_hash(&made, b"correct horsf"));
        assert_ne!(made, hash(b"correct horse").unwrap(), "salted");
    }

    #[test]
    fn what_can_not_be_checked_is_refused() {
        let made = hash(b"x").unwrap();
        assert!(check_hash("demo").unwrap_err().contains("PHC"));
        assert!(check_hash(&made.replacen("argon2id", "argon2d", 1)).unwrap_err().contains("argon2d"));
        assert!(check_hash(&made.replacen("m=19456", "m=4000000", 1)).unwrap_err().contains("KiB"));
        assert!(check_hash("$argon2id$v=19$m=19456,t=2,p=1").unwrap_err().contains("lacks"));
        assert!(!matches_hash("demo", b"demo"));
    }

    #[test]
    fn comparison_wants_equal_length_and_content() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"));
    }
}
