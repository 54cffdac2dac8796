//! Broadcasts (5.0 section 4.4): one message to everybody in some areas, repeated as asked.
//!
//! A broadcast is a message in slab and store like any other, and its body a submit_sm without a destination: so a restart
//! takes it up, and its receipt is made as every receipt is. It is always on the wheel: for its schedule, then for its next
//! round. What it is found by, and what its areas have come to, is kept beside it, for a while after its end too.
//!
//! | part | owns |
//! |---|---|
//! | this file | what is known of each |
//! | `accept` | broadcast_sm: a new one, or one that takes the place of another |
//! | `rounds` | each round in each area, and the end |
//! | `operations` | query_broadcast_sm, cancel_broadcast_sm |
//! | `answers` | answers that have a body |

mod accept;
mod answers;
mod operations;
mod rounds;

use std::collections::{HashMap, VecDeque};

pub(super) use answers::BodyAnswers;

use crate::base::{AccountId, MessageId};
use crate::limits::BROADCASTS_REMEMBERED;
use crate::smpp::{CommandStatus, MessageState, SmFields, TlvTag};

/// priority_flag of an immediate broadcast, which is not repeated (5.0 section 4.7.19).
const IMMEDIATE: u8 = 1;
/// "As frequently as possible": how long a message takes on the basic channel of a GSM cell (3GPP TS 45.002), rounded up.
const SHORTEST_INTERVAL_MS: u64 = 1_890;
/// broadcast_area_success where nothing is known.
const SUCCESS_UNKNOWN: u8 = 255;

/// One area of a broadcast, and how many cells it was to reach there and has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Area {
    /// The value of broadcast_area_identifier.
    identifier: Box<[u8]>,
    cells: u64,
    reached: u64,
}

impl Area {
    /// Percent of the cells reached, over all rounds.
    fn success(&self) -> u8 {
        let percent = (self.reached * 100).checked_div(self.cells);
        percent.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(SUCCESS_UNKNOWN)
    }
}

/// What is known of a broadcast beside its message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Broadcast {
    account: AccountId,
    source_addr: Box<[u8]>,
    service_type: Box<[u8]>,
    content_type: Option<Box<[u8]>>,
    user_message_reference: Option<u16>,
    areas: Vec<Area>,
    /// 0: until its validity ends.
    rounds: u16,
    interval_ms: u64,
    /// Its final state, and when it was reached, in Unix seconds.
    end: Option<(MessageState, u32)>,
}

impl Broadcast {
    /// What a stored body says of one.
    ///
    /// # Errors
    /// The status for the broadcast_sm_resp.
    fn of(account: AccountId, sm: &SmFields<'_>) -> Result<Self, CommandStatus> {
        let tlvs = sm.tlvs;
        let rounds = tlvs.u16(TlvTag::BROADCAST_REP_NUM).ok_or(CommandStatus::ESME_RINVBCAST_REP)?;
        let areas = tlvs.iter().filter(|tlv| tlv.tag == TlvTag::BROADCAST_AREA_IDENTIFIER);
        Ok(Self {
            account,
            source_addr: sm.source_addr.into(),
            service_type: sm.service_type.into(),
            content_type: tlvs.find(TlvTag::BROADCAST_CONTENT_TYPE).map(Into::into),
            user_message_reference: tlvs.u16(TlvTag::USER_MESSAGE_REFERENCE),
            areas: areas.map(|tlv| Area { identifier: tlv.value.into(), cells: 0, reached: 0 }).collect(),
            rounds: if sm.priority_flag == IMMEDIATE { 1 } else { rounds },
            interval_ms: interval_ms(tlvs.find(TlvTag::BROADCAST_FREQUENCY_INTERVAL).unwrap_or_default())?,
            end: None,
        })
    }

    /// Whether it has got anywhere at all.
    fn has_reached_any(&self) -> bool {
        self.areas.iter().any(|area| area.reached > 0)
    }
}

/// broadcast_frequency_interval in milliseconds; a month counts 30 days, a year 365.
fn interval_ms(value: &[u8]) -> Result<u64, CommandStatus> {
    const REFUSED: CommandStatus = CommandStatus::ESME_RINVBCASTFREQINT;
    const DAY_S: u64 = 86_400;
    let &[unit, high, low] = value else { return Err(REFUSED) };
    let unit_s = match unit {
        0x00 => return Ok(SHORTEST_INTERVAL_MS),
        0x08 => 1,
        0x09 => 60,
        0x0A => 3_600,
        0x0B => DAY_S,
        0x0C => 7 * DAY_S,
        0x0D => 30 * DAY_S,
        0x0E => 365 * DAY_S,
        _ => return Err(REFUSED),
    };
    match u64::from(u16::from_be_bytes([high, low])) {
        0 => Err(REFUSED),
        // No cell sends one faster.
        count => Ok((count * unit_s * 1_000).max(SHORTEST_INTERVAL_MS)),
    }
}

/// All broadcasts of a shard: those under way, and those that have ended lately.
#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    known: HashMap<MessageId, Broadcast>,
    /// Those that have ended, the oldest end first.
    ended: VecDeque<MessageId>,
}

impl Broadcasts {
    /// Those that have not ended.
    fn pending(&self) -> usize {
        self.known.len() - self.ended.len()
    }

    /// Notes the final state of one. The one that ended longest ago may be forgotten for it.
    fn end(&mut self, id: MessageId, state: MessageState, finished_s: u32) {
        let Some(broadcast) = self.known.get_mut(&id) else { return };
        broadcast.end = Some((state, finished_s));
        self.ended.push_back(id);
        if self.ended.len() > BROADCASTS_REMEMBERED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units_and_a_shortest() {
        assert_eq!(interval_ms(&[0x00, 0, 0]), Ok(SHORTEST_INTERVAL_MS));
        assert_eq!(interval_ms(&[0x08, 0, 1]), Ok(SHORTEST_INTERVAL_MS));
        assert_eq!(interval_ms(&[0x08, 0, 30]), Ok(30_000));
        assert_eq!(interval_ms(&[0x09, 0, 31]), Ok(31 * 60_000));
        assert_eq!(interval_ms(&[0x0C, 0, 1]), Ok(604_800_000));
        assert_eq!(interval_ms(&[0x0E, 0xFF, 0xFF]), Ok(65_535 * 365 * 86_400_000));
        for refused in [&[0x01, 0, 1][..], &[0x0F, 0, 1], &[0x09, 0, 0], &[0x09, 1]] {
            assert_eq!(interval_ms(refused), Err(CommandStatus::ESME_RINVBCASTFREQINT));
        }
    }

    #[test]
    fn success_is_unknown_before_the_first_round() {
        let area = |cells, reached| Area { identifier: Box::default(), cells, reached }.success();
        assert_eq!([area(0, 0), area(200, 0), area(200, 199), area(200, 200)], [255, 0, 99, 100]);
    }
}
