//! Comparing and hashing passwords, argon2id only, and remembering that one was right.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{KeyInit, Mac};
use subtle::ConstantTimeEq;

/// Whether two secrets are the same, in a time that tells nothing about where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// KiB of memory that OWASP's recommendation for argon2id has, with [`PASSES`].
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over it.
pub const PASSES: u32 = 2;

/// The argon2id PHC string of `password`, with a random salt: so many KiB of memory, and passes over it.
///
/// # Errors
/// When the operating system has no randomness to give, the password is too long for argon2, or argon2id does not take the
/// parameters.
pub fn hash(password: &[u8], memory_kib: u32, passes: u32) -> Result<String, String> {
    let params = argon2::Params::new(memory_kib, passes, 1, None).map_err(|error| error.to_string())?;
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon2.hash_password(password).map(|hash| hash.to_string()).map_err(|error| error.to_string())
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
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes over it.
pub const PASSES_MAX: u32 = 16;

/// Whether `password` is the one that `hash` was made of. An unreadable hash matches nothing.
pub fn matches_hash(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// What checking against `hash` costs: KiB of memory times passes.
pub fn cost(hash: &str) -> u64 {
    let params = PasswordHash::new(hash).ok().and_then(|hash| argon2::Params::try_from(&hash).ok());
    params.map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()))
}

/// Marks passwords that were found right, so that the next bind with the same one need not pay for argon2id. What it
/// remembers is a digest under a secret of this process, which is in no file and no message.
pub struct Sealer {
    secret: [u8; 64],
}

/// That a certain password was right for a certain hash.
#[derive(Clone, Copy)]
pub struct Seal([u8; 32]);

impl Sealer {
    /// A sealer with a new random secret.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new() -> Result<Self, String> {
        let mut secret = [0; 64];
        getrandom::fill(&mut secret).map_err(|error| error.to_string())?;
        Ok(Self { secret })
    }

    /// The seal that `password` has if it is right for `hash`. With another hash, it is another one.
    pub fn seal(&self, hash: &str, password: &[u8]) -> Seal {
        let mut mac = <Blake2bMac<U32> as KeyInit>::new(&self.secret.into());
        mac.update(&(hash.len() as u64).to_be_bytes());
        mac.update(hash.as_bytes());
        mac.update(password);
        Seal(mac.finalize().into_bytes().into())
    }
}

impl Seal {
    /// Whether both are the same, in a time that tells nothing about where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_own_password_only() {
        let made = hash(b"correct horse", MEMORY_KIB, PASSES).unwrap();
        assert_eq!(check_hash(&made), Ok(()));
        assert!(matches_hash(&made, b"correct horse"));
        assert!(!matches_hash(&made, b"correct horsf"));
        assert_ne!(made, hash(b"correct horse", MEMORY_KIB, PASSES).unwrap(), "salted");
    }

    #[test]
    fn what_can_not_be_checked_is_refused() {
        let made = hash(b"x", MEMORY_KIB, PASSES).unwrap();
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

    #[test]
    fn a_seal_is_of_one_password_one_hash_and_one_process() {
        let sealer = Sealer::new().unwrap();
        let seal = sealer.seal("hash", b"password");
        assert!(seal.matches(&sealer.seal("hash", b"password")));
        for (hash, password) in [("hash", "passwore"), ("hasi", "password"), ("hashp", "assword")] {
            assert!(!seal.matches(&sealer.seal(hash, password.as_bytes())), "{hash} {password}");
        }
        assert!(!seal.matches(&Sealer::new().unwrap().seal("hash", b"password")));
        assert_eq!(format!("{seal:?} {sealer:?}"), "Seal { .. } Sealer { .. }");
    }

    #[test]
    fn cost_is_of_the_parameters() {
        assert_eq!(cost(&hash(b"x", MEMORY_KIB, PASSES).unwrap()), 19_456 * 2);
        assert_eq!(cost("nonsense"), 0);
    }
}
