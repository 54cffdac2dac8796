//! number_of_dests held against the destinations behind it. A list that is one longer or shorter than it says shifts all
//! that follows, so that the field that fails is any but the one at fault.

use super::submit_multi::DestAddress;
use crate::smpp::fields::{SCHEDULE_DELIVERY_TIME, SERVICE_TYPE, SOURCE_ADDR, VALIDITY_PERIOD};
use crate::smpp::reader::Reader;
use crate::smpp::time_format::SmppTime;

/// Whether the body of a submit_multi, which could not be taken as it is, makes sense with another number_of_dests than it
/// states: then that is what the sender got wrong.
pub fn is_miscounted(body: &[u8]) -> bool {
    miscounted(body).unwrap_or(false)
}

/// `None`: not even the fields before the destinations can be read.
fn miscounted(body: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(body);
    reader.c_octets(&SERVICE_TYPE).ok()?;
    reader.array::<2>("source_addr_ton").ok()?;
    reader.c_octets(&SOURCE_ADDR).ok()?;
    let stated = reader.octet("number_of_dests").ok()?;
    for count in 1..=u8::MAX {
        if DestAddress::read(&mut reader).is_err() {
            return Some(false);
        }
        if count != stated && ends_well(Reader::new(reader.rest())).is_some() {
            return Some(true);
        }
    }
    Some(false)
}

/// Whether what follows the destinations could be the rest of a submit_multi. TLVs are looked at no further than the first
/// one: this is tried for each destination.
fn ends_well(mut reader: Reader<'_>) -> Option<()> {
    reader.array::<3>("esm_class").ok()?;
    for field in [&SCHEDULE_DELIVERY_TIME, &VALIDITY_PERIOD] {
        let time = reader.c_octets(field).ok()?;
        (time.is_empty() || SmppTime::parse(time).is_some()).then_some(())?;
    }
    let [_, _, _, _, sm_length] = reader.array("registered_delivery").ok()?;
    reader.octets(usize::from(sm_length), "short_message").ok()?;
    if reader.rest().is_empty() {
        return Some(());
    }
    let [_, _, high, low] = reader.array("tlv").ok()?;
    reader.octets(usize::from(u16::from_be_bytes([high, low])), "tlv").ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::pdu::{DestAddresses, PduBody, SubmitMulti, push_dest_address};

    fn body(dests: u8, validity_period: &[u8]) -> Vec<u8> {
        let mut list = Vec::new();
        for i in 0..dests {
            let destination_addr = [b"44770090012".as_slice(), &[b'0' + i % 10]].concat();
            let sme =
                DestAddress::Sme { dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: &destination_addr };
            let list_name = DestAddress::DistributionList { dl_name: b"staff" };
            push_dest_address(&mut list, if i % 3 == 2 { &list_name } else { &sme });
        }
        let dest_address = DestAddresses::decode(dests, &list).expect("destinations");
        let sm =
            SubmitMulti { dest_address, validity_period, short_message: b"Hello", ..SubmitMulti::default() };
        let mut body = Vec::new();
        sm.encode_body(&mut body);
        body
    }

    #[test]
    fn any_other_number_is_found_out_and_the_right_one_is_not_blamed() {
        for dests in [1, 2, 3, 7, 254] {
            let mut body = body(dests, b"");
            // service_type, two octets, source_addr, then the number.
            assert_eq!(body[4], dests);
            assert!(!is_miscounted(&body));
            for stated in (0..=u8::MAX).filter(|&stated| stated != dests) {
                body[4] = stated;
                let taken = SubmitMulti::decode(&body).and_then(|sm| {
                    crate::smpp::validate::validate_submit_multi(&sm, crate::smpp::InterfaceVersion::V50)
                });
                assert!(taken.is_err() && is_miscounted(&body), "{stated} for {dests}");
            }
        }
        // Another mistake stays another mistake.
        assert!(!is_miscounted(&body(3, b"261324083000000+")));
    }

    #[test]
    fn no_cut_of_a_body_panics() {
        let body = body(5, b"000002000000000R");
        for len in 0..body.len() {
            is_miscounted(&body[..len]);
        }
    }
}
