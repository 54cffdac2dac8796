//! User data headers (3GPP 23.040 section 9.2.3.24) and the three ways to say "part 2 of 3".

use super::flags::EsmClass;
use super::pdu::SmFields;
use super::tlv::Tlvs;
use super::tlv_tag::TlvTag;

/// Concatenation with an 8-bit reference.
const IE_CONCATENATION_8: u8 = 0x00;
/// Concatenation with a 16-bit reference.
const IE_CONCATENATION_16: u8 = 0x08;
/// Application ports of 8 bits.
const IE_PORTS_8: u8 = 0x04;
/// Application ports of 16 bits.
const IE_PORTS_16: u8 = 0x05;

/// One information element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InformationElement<'a> {
    /// Which one (IEI).
    pub identifier: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// A UDH at the front of user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udh<'a> {
    elements: &'a [u8],
}

impl<'a> Udh<'a> {
    /// Splits user data that starts with a UDH (esm_class bit 6) into the UDH and what follows it. `None` when UDHL runs
    /// past the end.
    pub fn split(user_data: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&udhl, rest) = user_data.split_first()?;
        let (elements, text) = rest.split_at_checked(usize::from(udhl))?;
        Some((Self { elements }, text))
    }

    /// Octets of the UDH, its length octet included.
    pub const fn octets(self) -> usize {
        self.elements.len() + 1
    }

    /// Its elements in their order, up to the first that runs past the end.
    pub fn iter(self) -> impl Iterator<Item = InformationElement<'a>> {
        let mut rest = self.elements;
        std::iter::from_fn(move || {
            let (&[identifier, len], after) = rest.split_first_chunk::<2>()?;
            let (data, after) = after.split_at_checked(usize::from(len))?;
            rest = after;
            Some(InformationElement { identifier, data })
        })
    }

    /// The concatenation element, if one makes sense: part 0, or beyond the total, is as good as none. The last one
    /// counts.
    pub fn concatenation(self) -> Option<Concatenation> {
        self.iter()
            .filter_map(|element| match (element.identifier, element.data) {
                (IE_CONCATENATION_8, &[reference, total, part]) => {
                    Concatenation::new(ReferenceKind::Udh8, reference.into(), total, part)
                }
                (IE_CONCATENATION_16, &[r1, r0, total, part]) => {
                    Concatenation::new(ReferenceKind::Udh16, u16::from_be_bytes([r1, r0]), total, part)
                }
                _ => None,
            })
            .last()
    }

    /// The application ports, if given.
    pub fn ports(self) -> Option<Ports> {
        self.iter()
            .filter_map(|element| match (element.identifier, element.data) {
                (IE_PORTS_8, &[destination, originator]) => {
                    Some(Ports { destination: destination.into(), originator: originator.into() })
                }
                (IE_PORTS_16, &[d1, d0, o1, o0]) => Some(Ports {
                    destination: u16::from_be_bytes([d1, d0]),
                    originator: u16::from_be_bytes([o1, o0]),
                }),
                _ => None,
            })
            .last()
    }
}

/// Application ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Where to.
    pub destination: u16,
    /// Where from.
    pub originator: u16,
}

/// Where the reference of a concatenation came from; part of the key of reassembly, since the number spaces differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReferenceKind {
    /// UDH with 8 bits.
    Udh8,
    /// UDH with 16 bits.
    Udh16,
    /// The three SAR TLVs.
    Sar,
}

/// Which part of which message this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Concatenation {
    /// Where the reference came from.
    pub kind: ReferenceKind,
    /// The same in all parts; below 256 for [`ReferenceKind::Udh8`].
    pub reference: u16,
    /// 1 to 255.
    pub total: u8,
    /// 1 to total.
    pub part: u8,
}

impl Concatenation {
    /// `None` when part is 0 or beyond total.
    pub fn new(kind: ReferenceKind, reference: u16, total: u8, part: u8) -> Option<Self> {
        (1..=total).contains(&part).then_some(Self { kind, reference, total, part })
    }

    /// What the SAR TLVs say: all three in order, or nothing.
    pub fn from_sar(tlvs: Tlvs<'_>) -> Option<Self> {
        let reference = tlvs.u16(TlvTag::SAR_MSG_REF_NUM)?;
        let total = tlvs.u8(TlvTag::SAR_TOTAL_SEGMENTS)?;
        let part = tlvs.u8(TlvTag::SAR_SEGMENT_SEQNUM)?;
        Self::new(ReferenceKind::Sar, reference, total, part)
    }

    /// What a message says, by its UDH if esm_class announces one, else by its SAR TLVs.
    pub fn of(sm: &SmFields<'_>) -> Option<Self> {
        if sm.esm_class.has_udh() {
            Udh::split(sm.user_data())?.0.concatenation()
        } else {
            Self::from_sar(sm.tlvs)
        }
    }
}

/// Writes a UDH: its length octet, the concatenation (8-bit reference for [`ReferenceKind::Udh8`], else 16-bit), then
/// 16-bit ports. Returns nothing at all when there is neither.
pub fn build(concatenation: Option<Concatenation>, ports: Option<Ports>) -> Vec<u8> {
    let mut udh = vec![0];
    if let Some(Concatenation { kind, reference, total, part }) = concatenation {
        let [high, low] = reference.to_be_bytes();
        match kind {
            ReferenceKind::Udh8 => udh.extend([IE_CONCATENATION_8, 3, low, total, part]),
            ReferenceKind::Udh16 | ReferenceKind::Sar => {
                udh.extend([IE_CONCATENATION_16, 4, high, low, total, part]);
            }
        }
    }
    if let Some(Ports { destination, originator }) = ports {
        let ([d1, d0], [o1, o0]) = (destination.to_be_bytes(), originator.to_be_bytes());
        udh.extend([IE_PORTS_16, 4, d1, d0, o1, o0]);
    }
    let udhl = udh.len() - 1;
    match udh.first_mut() {
        Some(first) if udhl > 0 => *first = udhl as u8,
        _ => udh.clear(),
    }
    udh
}

/// The text of a message without its UDH, if esm_class announces one that is whole.
pub fn text_octets(user_data: &[u8], esm_class: EsmClass) -> &[u8] {
    match Udh::split(user_data) {
        Some((_, text)) if esm_class.has_udh() => text,
        _ => user_data,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tlv::TlvWriter;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn concatenation_and_ports_of_real_headers() {
        let (udh, text) = Udh::split(b"\x05\x00\x03\xA7\x02\x01part one").expect("whole");
        assert_eq!((udh.octets(), text), (6, &b"part one"[..]));
        assert_eq!(udh.concatenation(), Concatenation::new(ReferenceKind::Udh8, 0xA7, 2, 1));
        assert_eq!(udh.ports(), None);
        let (udh, _) =
            Udh::split(b"\x0C\x08\x04\x12\x34\x03\x02\x05\x04\x0B\x84\x23\xF0\xDE\xAD").expect("whole");
        assert_eq!(udh.concatenation(), Concatenation::new(ReferenceKind::Udh16, 0x1234, 3, 2));
        assert_eq!(udh.ports(), Some(Ports { destination: 2948, originator: 9200 }));
        let (udh, _) = Udh::split(b"\x04\x04\x02\xF0\xF5").expect("whole");
        assert_eq!(udh.ports(), Some(Ports { destination: 240, originator: 245 }));
    }

    #[test]
    fn nonsense_is_no_concatenation() {
        let concatenation = |udh| Udh::split(udh).and_then(|(udh, _)| udh.concatenation());
        assert_eq!(concatenation(b"\x05\x00\x03\x01\x02\x00"), None);
        assert_eq!(concatenation(b"\x05\x00\x03\x01\x02\x03"), None);
        assert_eq!(concatenation(b"\x05\x00\x02\x01\x02\x01"), None);
        assert_eq!(concatenation(b"\x05\x00\x09\x01\x02\x01"), None);
        assert_eq!(Udh::split(b"\x05\x00\x03"), None);
        assert_eq!(Udh::split(b""), None);
    }

    #[test]
    fn sar_needs_all_three_and_yields_to_a_udh() {
        let mut octets = [0; 64];
        let mut writer = TlvWriter::new(&mut octets);
        writer.push(TlvTag::SAR_MSG_REF_NUM, &[0x00, 0x99]);
        writer.push(TlvTag::SAR_TOTAL_SEGMENTS, &[2]);
        writer.push(TlvTag::SAR_SEGMENT_SEQNUM, &[1]);
        let sar = Concatenation::new(ReferenceKind::Sar, 0x99, 2, 1).expect("part 1 of 2");
        let tlvs = writer.tlvs();
        assert_eq!(Concatenation::from_sar(tlvs), Some(sar));
        assert_eq!(Concatenation::of(&SmFields { tlvs, ..SmFields::default() }), Some(sar));
        let with_udh =
            SmFields { tlvs, esm_class: EsmClass::UDHI, short_message: b"\0x", ..SmFields::default() };
        assert_eq!(Concatenation::of(&with_udh), None);
        let (two, _) = tlvs.as_bytes().split_at(11);
        assert_eq!(Concatenation::from_sar(Tlvs::decode(two).expect("two TLVs")), None);
    }

    #[test]
    fn text_is_found_behind_the_header() {
        assert_eq!(text_octets(b"\x02\x24\x00abc", EsmClass::UDHI), b"abc");
        assert_eq!(text_octets(b"\x02\x24\x00abc", EsmClass::default()), b"\x02\x24\x00abc");
        assert_eq!(text_octets(b"\xFFabc", EsmClass::UDHI), b"\xFFabc");
        assert_eq!(build(None, None), b"");
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            wide in any::<bool>(), reference in any::<u16>(), total in 1u8..=255, part in 1u8..=255,
            ports in proptest::option::of((any::<u16>(), any::<u16>())),
        ) {
            let (kind, reference) =
                if wide { (ReferenceKind::Udh16, reference) } else { (ReferenceKind::Udh8, reference & 0xFF) };
            let concatenation = Concatenation::new(kind, reference, total, part);
            let ports = ports.map(|(destination, originator)| Ports { destination, originator });
            let mut user_data = build(concatenation, ports);
            prop_assume!(!user_data.is_empty());
            prop_assert_eq!(user_data.len(), [0, 5, 6][usize::from(concatenation.is_some()) * (1 + usize::from(wide))]
                + usize::from(ports.is_some()) * 6 + 1);
            user_data.extend(b"text");
            let (udh, text) = Udh::split(&user_data).expect("whole");
            prop_assert_eq!((udh.concatenation(), udh.ports(), text), (concatenation, ports, &b"text"[..]));
        }

        #[test]
        fn any_octets_are_read_without_harm(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some((udh, _)) = Udh::split(&octets) {
                let _ = (udh.concatenation(), udh.ports());
            }
        }
    }
}
