//! Ranges of IP addresses as an allow-list names them: one address, or a network in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network in CIDR notation; a single address is one with a full prefix. An IPv4 address that comes mapped into IPv6
/// counts as the IPv4 address that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct IpRange {
    network: IpAddr,
    prefix_bits: u8,
}

impl IpRange {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                let of = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                let of = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            _ => false,
        }
    }

    const fn bits_max(network: IpAddr) -> u8 {
        match network {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpRangeError {
    /// Neither an address nor a network.
    #[error("\"{0}\" is neither an IP address nor a network such as 192.0.2.0/24")]
    NotARange(String),
    /// Bits behind the prefix are set: one of the two is a mistake, and to guess which would let the wrong peers in.
    #[error("\"{0}\" has bits set behind its prefix")]
    HostBits(String),
}

impl FromStr for IpRange {
    type Err = IpRangeError;

    fn from_str(text: &str) -> Result<Self, IpRangeError> {
        let not_a_range = || IpRangeError::NotARange(text.to_owned());
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| not_a_range())?;
        let prefix_bits = match bits {
            // Not what `u8` would parse besides: a sign, or leading zeros.
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_| not_a_range())?
            }
            Some(_) => return Err(not_a_range()),
            None => Self::bits_max(network),
        };
        if prefix_bits > Self::bits_max(network) {
            return Err(not_a_range());
        }
        let host_bits = match network {
            IpAddr::V4(network) => network.to_bits().checked_shl(u32::from(prefix_bits)).unwrap_or(0) != 0,
            IpAddr::V6(network) => network.to_bits().checked_shl(u32::from(prefix_bits)).unwrap_or(0) != 0,
        };
        if host_bits {
            return Err(IpRangeError::HostBits(text.to_owned()));
        }
        if network.to_canonical() != network {
            // It would match nothing: peers are compared in their canonical form.
            return Err(not_a_range());
        }
        Ok(Self { network, prefix_bits })
    }
}

impl TryFrom<String> for IpRange {
    type Error = IpRangeError;

    fn try_from(text: String) -> Result<Self, IpRangeError> {
        text.parse()
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix_bits == Self::bits_max(self.network) {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.prefix_bits)
        }
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpRange {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_their_addresses_only() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            assert!(range(network).contains(ip(inside)), "{network} {inside}");
            assert!(!range(network).contains(ip(outside)), "{network} {outside}");
            assert_eq!(range(network).to_string(), network);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "10.0.0.1/8", "::1/64"]
        {
            assert!(text.parse::<IpRange>().is_err(), "{text}");
        }
        assert!("::ffff:10.0.0.0/104".parse::<IpRange>().is_err(), "it would match nothing");
    }
}
