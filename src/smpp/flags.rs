//! The bits of esm_class and registered_delivery (3.4 sections 5.2.12 and 5.2.17; 5.0 sections 4.7.12 and 4.7.21).

/// esm_class as on the wire: mode (bits 1-0), message type (bits 5-2), GSM features (bits 7-6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EsmClass(pub u8);

impl EsmClass {
    /// Message type: delivery receipt of the MC.
    pub const RECEIPT: Self = Self(0x04);
    /// Message type: intermediate notification.
    pub const INTERMEDIATE: Self = Self(0x20);
    /// Feature: the user data starts with a UDH.
    pub const UDHI: Self = Self(0x40);

    const MODE_MASK: u8 = 0x03;
    const TYPE_MASK: u8 = 0x3C;

    /// Datagram mode: one attempt, no receipt, no schedule.
    pub const fn is_datagram(self) -> bool {
        self.0 & Self::MODE_MASK == 0x01
    }

    /// Transaction (forward) mode: the response waits for the outcome.
    pub const fn is_transaction(self) -> bool {
        self.0 & Self::MODE_MASK == 0x02
    }

    /// Whether the type is a delivery receipt of the MC.
    pub const fn is_receipt(self) -> bool {
        self.0 & Self::TYPE_MASK == Self::RECEIPT.0
    }

    /// Whether the type is an intermediate notification.
    pub const fn is_intermediate(self) -> bool {
        self.0 & Self::TYPE_MASK == Self::INTERMEDIATE.0
    }

    /// Whether the type is one that the specifications define: normal, receipt, delivery or user acknowledgement,
    /// conversation abort, intermediate notification.
    pub const fn has_known_type(self) -> bool {
        matches!(self.0 & Self::TYPE_MASK, 0x00 | 0x04 | 0x08 | 0x10 | 0x18 | 0x20)
    }

    /// Whether the user data starts with a UDH.
    pub const fn has_udh(self) -> bool {
        self.0 & Self::UDHI.0 != 0
    }
}

/// registered_delivery as on the wire. Always test its bits, never the whole value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RegisteredDelivery(pub u8);

impl RegisteredDelivery {
    /// Nothing asked for.
    pub const NONE: Self = Self(0);
    /// A receipt whatever the outcome.
    pub const FINAL: Self = Self(0x01);
    /// A receipt on success only (5.0; reserved in 3.4).
    pub const ON_SUCCESS: Self = Self(0x03);
    /// Intermediate notifications.
    pub const INTERMEDIATE: Self = Self(0x10);

    const RECEIPT_MASK: u8 = 0x03;
    const RESERVED_MASK: u8 = 0xE0;

    /// Whether the final outcome calls for a receipt; `delivered`: it was a success. Cancelled counts as a failure.
    #[inline]
    pub const fn wants_receipt(self, delivered: bool) -> bool {
        match self.0 & Self::RECEIPT_MASK {
            0 => false,
            1 => true,
            2 => !delivered,
            _ => delivered,
        }
    }

    /// Whether some final outcome calls for a receipt.
    #[inline]
    pub const fn wants_any_receipt(self) -> bool {
        self.0 & Self::RECEIPT_MASK != 0
    }

    /// Whether intermediate notifications are asked for (bit 4, which 3.4 labels bit 5).
    #[inline]
    pub const fn intermediate(self) -> bool {
        self.0 & Self::INTERMEDIATE.0 != 0
    }

    /// Whether only a success is to be reported: the value that 3.4 reserves.
    pub const fn is_success_only(self) -> bool {
        self.0 & Self::RECEIPT_MASK == Self::ON_SUCCESS.0
    }

    /// Whether a bit is set that both versions reserve.
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & Self::RESERVED_MASK != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_by_outcome() {
        let wants = |value: u8| {
            let flag = RegisteredDelivery(value);
            (flag.wants_receipt(true), flag.wants_receipt(false), flag.intermediate())
        };
        assert_eq!(wants(0x00), (false, false, false));
        assert_eq!(wants(0x01), (true, true, false));
        assert_eq!(wants(0x02), (false, true, false));
        assert_eq!(wants(0x03), (true, false, false));
        assert_eq!(wants(0x11), (true, true, true));
        assert_eq!(wants(0x1C), (false, false, true));
    }

    #[test]
    fn message_types_are_compared_under_their_mask() {
        assert!(EsmClass(0x04 | 0x40 | 0x03).is_receipt());
        assert!(!EsmClass(0x24).is_receipt() && !EsmClass(0x24).has_known_type());
        assert!(EsmClass(0x20).is_intermediate() && EsmClass(0xC0).has_udh());
        assert!(
            EsmClass(0x01).is_datagram() && EsmClass(0x42).is_transaction() && !EsmClass(0x03).is_datagram()
        );
    }
}
