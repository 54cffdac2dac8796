//! Asking the processor for memory that is about to be used, without waiting for it: the only unsafe code of this crate. What
//! it gains is in tuning.md; `.ci/run` has Miri over it and over the slab that uses it.

/// Octets that are fetched together.
pub const CACHE_LINE_BYTES: usize = 64;

/// Has the cache line of `value`'s first octet fetched. Nothing is read, and nothing else happens.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the standard library has no stable safe call for it")
)]
pub fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint. It changes neither memory nor registers and never faults, whatever the address; and this
    // address is that of a live reference. SSE, which has the instruction, is part of every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whatever_has_an_address_and_leaves_it_as_it_is() {
        let octets = [7u8; 3 * CACHE_LINE_BYTES];
        prefetch(&octets);
        prefetch(&octets[2 * CACHE_LINE_BYTES..]);
        prefetch(&octets[octets.len()..]);
        prefetch(&());
        prefetch("text");
        let mut boxed = vec![1u64, 2].into_boxed_slice();
        prefetch(&*boxed);
        boxed[1] = 3;
        prefetch(&boxed[1]);
        assert_eq!((octets, &*boxed), ([7; 3 * CACHE_LINE_BYTES], &[1, 3][..]));
    }
}
