//! Whom an address stands for, wherever peers are counted.

use std::net::IpAddr;

/// An IPv4 host, also by its address mapped into IPv6; or the /64 of an IPv6 address, for one host has all of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerHost {
    /// An IPv4 address.
    V4(u32),
    /// The upper half of an IPv6 address.
    V6(u64),
}

impl From<IpAddr> for PeerHost {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_host_can_not_escape_within_its_network_and_mapped_addresses_are_what_they_are() {
        let of = |text: &str| PeerHost::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    }
}
