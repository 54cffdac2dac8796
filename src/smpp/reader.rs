//! A cursor over the octets of one body. Every read is checked; an error names the field and the answer.

use super::error::DecodeError;
use super::fields::Field;

/// What is left of a body.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Everything not read yet.
    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// `N` octets; `field` is the first of them.
    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((octets, rest)) => {
                self.rest = rest;
                Ok(*octets)
            }
            None => Err(DecodeError::too_short(field)),
        }
    }

    /// One octet.
    #[inline]
    pub(super) fn octet(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let [octet] = self.array::<1>(field)?;
        Ok(octet)
    }

    /// `len` octets.
    #[inline]
    pub(super) fn octets(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((octets, rest)) => {
                self.rest = rest;
                Ok(octets)
            }
            None => Err(DecodeError::too_short(field)),
        }
    }

    /// A C-Octet String without its NUL.
    #[inline(always)]
    pub(super) fn c_octets(&mut self, field: &Field) -> Result<&'a [u8], DecodeError> {
        // Most of these fields are empty in most messages.
        if let Some((&0, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(&[]);
        }
        match find_nul(self.rest, field.octets_max).and_then(|len| split_at_nul(self.rest, len)) {
            Some((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            None => Err(self.no_nul(field)),
        }
    }

    #[cold]
    const fn no_nul(&self, field: &Field) -> DecodeError {
        if self.rest.len() < field.octets_max {
            DecodeError::too_short(field.name)
        } else {
            DecodeError::new(field.status, field.name)
        }
    }

    /// As [`Reader::c_octets`], but the end of the body may stand for the NUL and for the whole field: some peers'
    /// responses need it.
    #[inline]
    pub(super) fn c_octets_lenient(&mut self, field: &Field) -> Result<&'a [u8], DecodeError> {
        match find_nul(self.rest, field.octets_max).and_then(|len| split_at_nul(self.rest, len)) {
            Some((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            None if self.rest.len() < field.octets_max => Ok(std::mem::take(&mut self.rest)),
            None => Err(self.no_nul(field)),
        }
    }
}

/// What stands before and after the NUL at `len`.
#[inline(always)]
fn split_at_nul(octets: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let (value, with_nul) = octets.split_at_checked(len)?;
    Some((value, with_nul.get(1..)?))
}

/// The index of the first NUL within the first `octets_max` octets, eight at a time.
#[inline(always)]
fn find_nul(octets: &[u8], octets_max: usize) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while at < octets_max {
        let rest = octets.get(at..)?;
        let Some(chunk) = rest.first_chunk::<8>() else {
            return rest.iter().position(|&octet| octet == 0).map(|i| at + i).filter(|&i| i < octets_max);
        };
        // The lowest set bit marks the first zero octet; those above it may be false, and are not looked at.
        let word = u64::from_le_bytes(*chunk);
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8).filter(|&i| i < octets_max);
        }
        at += 8;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::command_status::CommandStatus;
    use crate::smpp::fields::{SERVICE_TYPE, SOURCE_ADDR};
    use proptest::prelude::*;

    #[test]
    fn limits_of_a_c_octet_string() {
        let mut reader = Reader::new(b"12345\0rest");
        assert_eq!(reader.c_octets(&SERVICE_TYPE), Ok(&b"12345"[..]));
        assert_eq!(reader.rest(), b"rest");
        let too_long = Reader::new(b"123456\0").c_octets(&SERVICE_TYPE);
        assert_eq!(too_long, Err(DecodeError::new(CommandStatus::ESME_RINVSERTYP, "service_type")));
        let cut = Reader::new(b"12345").c_octets(&SERVICE_TYPE);
        assert_eq!(cut, Err(DecodeError::new(CommandStatus::ESME_RINVCMDLEN, "service_type")));
        assert_eq!(Reader::new(b"").c_octets(&SOURCE_ADDR), Err(DecodeError::too_short("source_addr")));
    }

    proptest! {
        #[test]
        fn find_nul_is_the_naive_search(
            octets in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0x80), any::<u8>()], 0..40),
            octets_max in 1usize..40,
        ) {
            let naive = octets.iter().take(octets_max).position(|&octet| octet == 0);
            prop_assert_eq!(find_nul(&octets, octets_max), naive);
        }
    }
}
