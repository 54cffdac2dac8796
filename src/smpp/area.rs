//! broadcast_area_identifier (5.0 section 4.8.4.4): the name of an area, or a shape on the map as 3GPP 23.032 encodes it, its
//! type of shape in front.

use std::f64::consts::TAU;

use super::command_status::CommandStatus;

/// Mean radius of the earth, in metres: areas are compared by their centres, so a sphere is as good as an ellipsoid.
const EARTH_RADIUS_M: f64 = 6_371_000.0;
/// Points of a polygon (23.032 section 6.6).
const POLYGON_POINTS: std::ops::RangeInclusive<usize> = 3..=15;
/// Types of shape, in the upper half of the first octet (23.032 section 7.1).
const TYPE_ARC: u8 = 0b1010;
const TYPE_POLYGON: u8 = 0b0101;

/// A point on the map, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// North is positive; -90 to 90.
    pub latitude: f64,
    /// East is positive; -180 to 180.
    pub longitude: f64,
}

/// What a broadcast_area_identifier names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AreaIdentifier<'a> {
    /// Format 0: an area by its name.
    Alias(&'a [u8]),
    /// Format 1: a ring or a piece of it (23.032 section 7.3.7).
    Arc(Arc),
    /// Format 2 (23.032 section 7.3.3).
    Polygon(Polygon<'a>),
}

/// Everything between two distances from a point, in some directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arc {
    origin: Point,
    /// In metres.
    from_m: f64,
    to_m: f64,
    /// In degrees from North, clockwise.
    offset: f64,
    included: f64,
}

/// Everything within some points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polygon<'a> {
    /// 3 to 15 points of six octets.
    points: &'a [u8],
}

impl<'a> AreaIdentifier<'a> {
    /// Reads the value of the TLV.
    ///
    /// # Errors
    /// ESME_RINVBCASTAREAFMT: no format that there is, or a shape that is none.
    pub fn decode(value: &'a [u8]) -> Result<Self, CommandStatus> {
        match value.split_first() {
            Some((0, name)) => Some(Self::Alias(name)),
            Some((1, shape)) => Arc::decode(shape).map(Self::Arc),
            Some((2, shape)) => Polygon::decode(shape).map(Self::Polygon),
            _ => None,
        }
        .ok_or(CommandStatus::ESME_RINVBCASTAREAFMT)
    }

    /// Whether an area of this name, which lies around this point, is meant.
    pub fn means(&self, name: &[u8], centre: Option<Point>) -> bool {
        match (self, centre) {
            (Self::Alias(alias), _) => *alias == name,
            (Self::Arc(arc), Some(centre)) => arc.contains(centre),
            (Self::Polygon(polygon), Some(centre)) => polygon.contains(centre),
            (_, None) => false,
        }
    }
}

impl Arc {
    fn decode(shape: &[u8]) -> Option<Self> {
        let &[kind, a, b, c, d, e, f, r1, r0, uncertainty, offset, included, confidence] = shape else {
            return None;
        };
        let is_one =
            kind >> 4 == TYPE_ARC && uncertainty < 128 && offset < 180 && included < 180 && confidence < 128;
        let from_m = f64::from(u16::from_be_bytes([r1, r0])) * 5.0;
        is_one.then(|| Self {
            origin: point([a, b, c, d, e, f]),
            from_m,
            // 23.032 section 6.2.
            to_m: from_m + 10.0 * (1.1_f64.powi(i32::from(uncertainty)) - 1.0),
            offset: f64::from(offset) * 2.0,
            included: (f64::from(included) + 1.0) * 2.0,
        })
    }

    fn contains(&self, point: Point) -> bool {
        let (from, to) = (self.origin.latitude.to_radians(), point.latitude.to_radians());
        let east = (point.longitude - self.origin.longitude).to_radians();
        let chord = ((to - from) / 2.0).sin().powi(2) + from.cos() * to.cos() * (east / 2.0).sin().powi(2);
        let distance_m = 2.0 * EARTH_RADIUS_M * chord.min(1.0).sqrt().asin();
        let bearing =
            (east.sin() * to.cos()).atan2(from.cos() * to.sin() - from.sin() * to.cos() * east.cos());
        let beyond = (bearing.rem_euclid(TAU).to_degrees() - self.offset).rem_euclid(360.0);
        (self.from_m..=self.to_m).contains(&distance_m) && beyond <= self.included
    }
}

impl<'a> Polygon<'a> {
    fn decode(shape: &'a [u8]) -> Option<Self> {
        let (&head, points) = shape.split_first()?;
        let count = usize::from(head & 0x0F);
        let is_one =
            head >> 4 == TYPE_POLYGON && POLYGON_POINTS.contains(&count) && points.len() == count * 6;
        is_one.then_some(Self { points })
    }

    /// A line from the point to the East crosses the edge of what it is in once, or another odd number of times.
    fn contains(&self, point: Point) -> bool {
        let corners = || self.points.as_chunks::<6>().0.iter().map(|octets| point_from(*octets, point));
        let edges = corners().zip(corners().cycle().skip(1));
        let crossed = edges.filter(|(a, b)| {
            (a.1 > 0.0) != (b.1 > 0.0) && a.0 + (b.0 - a.0) * (0.0 - a.1) / (b.1 - a.1) > 0.0
        });
        crossed.count() % 2 == 1
    }
}

/// How far East and North of another a point lies, the short way round.
fn point_from(octets: [u8; 6], origin: Point) -> (f64, f64) {
    let Point { latitude, longitude } = point(octets);
    let east = (longitude - origin.longitude + 180.0).rem_euclid(360.0) - 180.0;
    (east, latitude - origin.latitude)
}

/// The coordinates of a point: a sign and 23 bits of latitude, 24 bits of longitude (23.032 section 6.1).
fn point([a, b, c, d, e, f]: [u8; 6]) -> Point {
    let degrees = f64::from(u32::from_be_bytes([0, a & 0x7F, b, c])) * 90.0 / f64::from(1 << 23);
    let longitude = i32::from_be_bytes([d, e, f, 0]) >> 8;
    Point {
        latitude: if a & 0x80 == 0 { degrees } else { -degrees },
        longitude: f64::from(longitude) * 360.0 / f64::from(1 << 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DUBLIN: Point = Point { latitude: 53.349_8, longitude: -6.260_3 };
    const CORK: Point = Point { latitude: 51.898_5, longitude: -8.475_6 };
    const SUVA: Point = Point { latitude: -18.141_6, longitude: 178.441_9 };
    const APIA: Point = Point { latitude: -13.833_3, longitude: -171.766_7 };

    /// By 23.032 section 6.1, written the other way round.
    fn octets(Point { latitude, longitude }: Point) -> [u8; 6] {
        let north = (latitude.abs() / 90.0 * 8_388_608.0) as u32 | if latitude < 0.0 { 1 << 23 } else { 0 };
        let east = (longitude / 360.0 * 16_777_216.0).floor() as i32;
        let ([_, a, b, c], [_, d, e, f]) = (north.to_be_bytes(), east.to_be_bytes());
        [a, b, c, d, e, f]
    }

    fn arc(origin: Point, inner: u16, uncertainty: u8, offset: u8, included: u8) -> Vec<u8> {
        [&[1, 0xA0][..], &octets(origin), &inner.to_be_bytes(), &[uncertainty, offset, included, 0]].concat()
    }

    fn polygon(points: &[Point]) -> Vec<u8> {
        let points: Vec<u8> = points.iter().flat_map(|&point| octets(point)).collect();
        [&[2, 0x50 | (points.len() / 6) as u8][..], &points].concat()
    }

    fn has(value: &[u8], point: Point) -> bool {
        AreaIdentifier::decode(value).unwrap().means(b"x", Some(point))
    }

    #[test]
    fn a_point_is_what_its_octets_say() {
        for at in [DUBLIN, CORK, SUVA, APIA] {
            let read = point(octets(at));
            assert!(
                (read.latitude - at.latitude).abs() < 1e-4 && (read.longitude - at.longitude).abs() < 1e-4
            );
        }
        assert_eq!(point([0x80, 0, 0, 0xC0, 0, 0]), Point { latitude: -0.0, longitude: -90.0 });
    }

    #[test]
    fn an_arc_has_distances_and_directions() {
        // From Dublin to Cork it is 219 km, to the South-West (223 degrees from North).
        let km = |inner: u16| inner * 200;
        for (inner, uncertainty, offset, included, inside) in [
            (km(0), 127, 0, 179, true),
            (km(200), 82, 0, 179, true),
            (km(200), 70, 0, 179, false),
            (km(230), 127, 0, 179, false),
            (km(0), 127, 100, 20, true),
            (km(0), 127, 112, 20, false),
            (km(0), 127, 170, 130, true),
            (km(0), 127, 170, 100, false),
            (km(0), 127, 0, 100, false),
        ] {
            let arc = arc(DUBLIN, inner, uncertainty, offset, included);
            assert_eq!(has(&arc, CORK), inside, "{inner} {uncertainty} {offset} {included}");
        }
    }

    #[test]
    fn a_polygon_has_what_is_within_its_points_also_over_the_date_line() {
        let at = |latitude, longitude| Point { latitude, longitude };
        let ireland =
            polygon(&[at(55.5, -8.0), at(54.5, -5.5), at(52.0, -6.0), at(51.4, -9.8), at(54.0, -10.3)]);
        let north = polygon(&[at(55.5, -8.0), at(54.5, -5.5), at(52.8, -5.9), at(52.8, -10.0)]);
        let pacific = polygon(&[at(-10.0, 175.0), at(-10.0, -170.0), at(-20.0, -170.0), at(-20.0, 175.0)]);
        assert_eq!([DUBLIN, CORK, SUVA].map(|point| has(&ireland, point)), [true, true, false]);
        assert_eq!([DUBLIN, CORK].map(|point| has(&north, point)), [true, false]);
        assert_eq!([SUVA, APIA, DUBLIN].map(|point| has(&pacific, point)), [true, true, false]);
    }

    #[test]
    fn names_are_compared_and_what_is_no_shape_is_refused() {
        let alias = AreaIdentifier::decode(b"\0Dublin").unwrap();
        assert!(alias.means(b"Dublin", None) && !alias.means(b"Cork", Some(DUBLIN)));
        let good = arc(DUBLIN, 1, 127, 0, 179);
        assert!(!AreaIdentifier::decode(&good).unwrap().means(b"Dublin", None), "it lies nowhere");
        let mut other = good.clone();
        other[1] = 0x50;
        let mut turned = good.clone();
        turned[11] = 180;
        let two = polygon(&[DUBLIN, CORK]);
        for value in [&b""[..], b"\x03x", &good[..13], &other, &turned, &two, b"\x02\x53abc"] {
            assert_eq!(
                AreaIdentifier::decode(value),
                Err(CommandStatus::ESME_RINVBCASTAREAFMT),
                "{value:02x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_harm(
            value in prop::collection::vec(any::<u8>(), 0..110),
            latitude in -90.0..90.0, longitude in -180.0..180.0,
        ) {
            if let Ok(area) = AreaIdentifier::decode(&value) {
                area.means(b"x", Some(Point { latitude, longitude }));
            }
        }
    }
}
