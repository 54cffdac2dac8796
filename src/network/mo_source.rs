//! A steady source of MO messages: subscribers of a range write, one after the other, to one application.

use crate::base::Time;
use crate::base::mobile::MoArrival;

/// Longest address that fits a PDU.
const ADDRESS_LEN_MAX: usize = 20;

/// What a [`MoSource`] sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoSourceSettings {
    /// Messages per second; 0: none.
    pub rate_per_s: u32,
    /// The first subscriber's number: at most 20 digits.
    pub source_addr_first: u64,
    /// How many numbers from the first on take turns; 0 counts as 1.
    pub source_addr_count: u32,
    /// Where they write to; at most 20 octets, more are cut.
    pub destination_addr: Vec<u8>,
    /// What they write, in the default alphabet; at most 254 octets, more are cut.
    pub text: Vec<u8>,
}

/// A source of MO messages at a steady rate. Message `n` arrives exactly `n / rate` after the start, however late it
/// is polled.
#[derive(Debug)]
pub struct MoSource {
    settings: MoSourceSettings,
    start: Time,
    sent: u64,
    source_addr: [u8; ADDRESS_LEN_MAX],
}

impl MoSource {
    /// A source whose first message arrives at `start`.
    pub fn new(mut settings: MoSourceSettings, start: Time) -> Self {
        settings.destination_addr.truncate(ADDRESS_LEN_MAX);
        settings.text.truncate(254);
        Self { settings, start, sent: 0, source_addr: [0; ADDRESS_LEN_MAX] }
    }

    /// When the next message arrives; `None`: never.
    pub fn next(&self) -> Option<Time> {
        if self.settings.rate_per_s == 0 {
            return None;
        }
        let after = u128::from(self.sent) * 1_000_000_000 / u128::from(self.settings.rate_per_s);
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        Some(Time::from_nanos(self.start.as_nanos().saturating_add(after)))
    }

    /// The next message that has arrived by `now`.
    pub fn poll(&mut self, now: Time) -> Option<MoArrival<'_>> {
        if self.next()? > now {
            return None;
        }
        let count = u64::from(self.settings.source_addr_count.max(1));
        let number = self.settings.source_addr_first.saturating_add(self.sent % count);
        self.sent += 1;
        Some(MoArrival {
            source_addr: write_digits(&mut self.source_addr, number),
            destination_addr: &self.settings.destination_addr,
            short_message: &self.settings.text,
        })
    }
}

/// `number` in decimal, at the end of `buffer`.
fn write_digits(buffer: &mut [u8; ADDRESS_LEN_MAX], mut number: u64) -> &[u8] {
    let mut start = buffer.len();
    for (index, place) in buffer.iter_mut().enumerate().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        start = index;
        if number == 0 {
            break;
        }
    }
    &buffer[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(rate_per_s: u32) -> MoSource {
        let settings = MoSourceSettings {
            rate_per_s,
            source_addr_first: 447_700_900_000,
            source_addr_count: 2,
            destination_addr: b"7000".to_vec(),
            text: b"hello".to_vec(),
        };
        MoSource::new(settings, Time::from_millis(1_000))
    }

    #[test]
    fn keeps_its_rate_and_goes_round_its_range() {
        let mut source = source(3);
        assert!(source.poll(Time::from_millis(999)).is_none());
        let mut sources = Vec::new();
        while let Some(arrival) = source.poll(Time::from_millis(2_000)) {
            assert_eq!((arrival.destination_addr, arrival.short_message), (&b"7000"[..], &b"hello"[..]));
            sources.push(String::from_utf8(arrival.source_addr.to_vec()).unwrap());
        }
        assert_eq!(sources, ["447700900000", "447700900001", "447700900000", "447700900001"]);
        assert_eq!(source.next(), Some(Time::from_nanos(2_333_333_333)));
    }

    #[test]
    fn rate_zero_is_silence() {
        assert_eq!(source(0).next(), None);
        assert!(source(0).poll(Time::NEVER).is_none());
    }

    #[test]
    fn digits_of_the_smallest_and_largest_number() {
        let mut buffer = [0; ADDRESS_LEN_MAX];
        assert_eq!(write_digits(&mut buffer, 0), b"0");
        assert_eq!(write_digits(&mut buffer, u64::MAX), b"18446744073709551615");
    }
}
