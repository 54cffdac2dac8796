//! message_state: where a message is in its life (3.4 section 5.2.28, 5.0 section 4.7.15).

/// The state of a message, with the values of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageState {
    /// Waiting for its schedule (5.0).
    Scheduled = 0,
    /// On its way.
    Enroute = 1,
    /// Delivered.
    Delivered = 2,
    /// Validity ran out.
    Expired = 3,
    /// Cancelled or deleted.
    Deleted = 4,
    /// Can't be delivered.
    Undeliverable = 5,
    /// Read on the subscriber's behalf by customer service.
    Accepted = 6,
    /// In an invalid state; should not be reported.
    Unknown = 7,
    /// Rejected.
    Rejected = 8,
    /// Accepted but deliberately not sent (5.0).
    Skipped = 9,
}

impl MessageState {
    /// Every state, by value.
    pub const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Enroute,
        Self::Delivered,
        Self::Expired,
        Self::Deleted,
        Self::Undeliverable,
        Self::Accepted,
        Self::Unknown,
        Self::Rejected,
        Self::Skipped,
    ];

    /// The value on the wire.
    #[inline]
    pub const fn octet(self) -> u8 {
        self as u8
    }

    /// The state with this value.
    pub fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.get(usize::from(octet)).copied()
    }

    /// The seven-character word after `stat:` in a receipt.
    pub const fn stat(self) -> &'static [u8; 7] {
        match self {
            // The text of 3.4 has no word for a scheduled message; it is not there yet.
            Self::Scheduled | Self::Enroute => b"ENROUTE",
            Self::Delivered => b"DELIVRD",
            Self::Expired => b"EXPIRED",
            Self::Deleted => b"DELETED",
            Self::Undeliverable => b"UNDELIV",
            Self::Accepted => b"ACCEPTD",
            Self::Unknown => b"UNKNOWN",
            Self::Rejected => b"REJECTD",
            Self::Skipped => b"SKIPPED",
        }
    }

    /// The state that a receipt's stat word means: the words of [`MessageState::stat`] and those that operators use
    /// beside them, in either case.
    pub fn from_stat(word: &[u8]) -> Option<Self> {
        const VENDOR_WORDS: [(&[u8], MessageState); 7] = [
            (b"FAILED", MessageState::Undeliverable),
            (b"DELIVERED", MessageState::Delivered),
            (b"DELIVERD", MessageState::Delivered),
            (b"UNDELIVERABLE", MessageState::Undeliverable),
            (b"ACCEPTED", MessageState::Accepted),
            (b"REJECTED", MessageState::Rejected),
            (b"BUFFERED", MessageState::Enroute),
        ];
        let standard =
            Self::ALL.iter().skip(1).copied().find(|state| word.eq_ignore_ascii_case(state.stat()));
        standard.or_else(|| {
            VENDOR_WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|&(_, state)| state)
        })
    }

    /// Whether nothing can follow it.
    #[inline]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Enroute | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_words_round_trip() {
        for state in MessageState::ALL {
            assert_eq!(MessageState::from_octet(state.octet()), Some(state));
            if state != MessageState::Scheduled {
                assert_eq!(MessageState::from_stat(state.stat()), Some(state));
            }
        }
        assert_eq!(MessageState::from_octet(10), None);
        assert_eq!(MessageState::from_stat(b"delivrd"), Some(MessageState::Delivered));
        assert_eq!(MessageState::from_stat(b"FAILED"), Some(MessageState::Undeliverable));
        assert_eq!(MessageState::from_stat(b""), None);
    }

    #[test]
    fn seven_states_are_final() {
        assert_eq!(MessageState::ALL.iter().filter(|state| state.is_final()).count(), 7);
        assert!(!MessageState::Enroute.is_final() && MessageState::Skipped.is_final());
    }
}
