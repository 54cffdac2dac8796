//! A packed text (eight septets in seven octets) in parts: cut between septets, and packed anew behind the UDH of each part, from
//! the next septet boundary on, so that each part can be read by itself.

use super::ESCAPE;
use crate::smpp::text::packing::{CARRIAGE_RETURN, fill_bits, pack_to, septet_at, text_septets};

/// A text as it is packed in the whole message.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedText<'a> {
    octets: &'a [u8],
    /// Octets of the UDH in front of it there; 0 = none.
    own_udh_octets: usize,
    /// Octets of the UDH in front of each part.
    udh_octets: usize,
}

impl<'a> PackedText<'a> {
    pub(super) const fn new(octets: &'a [u8], own_udh_octets: usize, udh_octets: usize) -> Self {
        Self { octets, own_udh_octets, udh_octets }
    }

    /// How many septets it has.
    pub(super) fn len(&self) -> usize {
        text_septets(self.octets, self.own_udh_octets)
    }

    fn at(&self, number: usize) -> u8 {
        septet_at(self.octets, self.own_udh_octets, number)
    }

    /// Where the part ends that begins at septet `start`, if at most `most` fit one.
    pub(super) fn cut(&self, start: usize, most: usize) -> usize {
        let len = self.len();
        let mut end = len.min(start + most);
        while end < len && end > start + 1 && self.is_bad_end(end - start, self.at(end - 1)) {
            end -= 1;
        }
        end
    }

    /// Whether a part of so many septets can't end in this one: an escape belongs to what follows it, and what fills up the last
    /// octet and looks like padding is read as that.
    fn is_bad_end(&self, septets: usize, last: u8) -> bool {
        let fills_up = (fill_bits(self.udh_octets) + septets * 7).is_multiple_of(8);
        last == ESCAPE || (fills_up && matches!(last, 0 | CARRIAGE_RETURN))
    }

    /// Packs the septets from `start` to `end` into `buffer`; how many octets that takes. `None`: more than there are.
    pub(super) fn pack(&self, start: usize, end: usize, buffer: &mut [u8]) -> Option<usize> {
        // Seven bits left over would read as one more character.
        let bits = fill_bits(self.udh_octets) + (end - start) * 7;
        let padding = (bits % 8 == 1).then_some(CARRIAGE_RETURN);
        let mut len = 0;
        let mut fits = true;
        pack_to((start..end).map(|number| self.at(number)).chain(padding), self.udh_octets, |octet| {
            match buffer.get_mut(len) {
                Some(place) => *place = octet,
                None => fits = false,
            }
            len += 1;
        });
        fits.then_some(len)
    }
}
