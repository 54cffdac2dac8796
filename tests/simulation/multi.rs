//! submit_multi under way at a simulated worker: spread over the shards of its destinations, answered when all of those
//! have answered. As the runtime does it, without pools.

use std::collections::BTreeMap;

use smscd::base::{MessageId, MessageIdSource};
use smscd::session::Origin;
use smscd::smpp::pdu::push_unsuccess_sme;
use smscd::smpp::{CommandStatus, UnsuccessSme, UnsuccessSmes};

/// A request that not all of its shards have answered.
#[derive(Debug)]
struct Open {
    origin: Origin,
    message_id: MessageId,
    destinations: Vec<Vec<u8>>,
    undecided: usize,
    refused: Vec<(u16, CommandStatus)>,
}

/// Every submit_multi under way at one worker, by the name that shards know it by.
#[derive(Debug)]
pub(crate) struct OpenMultis {
    pub(crate) ids: MessageIdSource,
    open: BTreeMap<u32, Open>,
    next: u32,
}

/// A request that is decided.
pub(crate) struct Decided {
    pub(crate) origin: Origin,
    message_id: MessageId,
    /// Those that failed, as the response lists them.
    unsuccess: Vec<u8>,
    count: u8,
    status: Option<CommandStatus>,
}

impl Decided {
    /// What the session answers.
    pub(crate) fn result(&self) -> Result<(MessageId, UnsuccessSmes<'_>), CommandStatus> {
        match self.status {
            Some(status) => Err(status),
            None => {
                Ok((self.message_id, UnsuccessSmes::decode(self.count, &self.unsuccess).expect("a list")))
            }
        }
    }
}

impl OpenMultis {
    pub(crate) const fn new(ids: MessageIdSource) -> Self {
        Self { ids, open: BTreeMap::new(), next: 0 }
    }

    /// A request begins; destinations in `refused` are decided already. Its name.
    pub(crate) fn begin(
        &mut self,
        origin: Origin,
        message_id: MessageId,
        destinations: Vec<Vec<u8>>,
        refused: Vec<(u16, CommandStatus)>,
    ) -> u32 {
        let name = self.next;
        self.next += 1;
        let undecided = destinations.len() - refused.len();
        self.open.insert(name, Open { origin, message_id, destinations, undecided, refused });
        name
    }

    pub(crate) fn accepted(&mut self, name: u32, count: u16) {
        let open = self.open.get_mut(&name).expect("promise 10: a submit_multi that is open");
        open.undecided =
            open.undecided.checked_sub(usize::from(count)).expect("no destination is decided twice");
    }

    pub(crate) fn refused(&mut self, name: u32, index: u16, status: CommandStatus) {
        self.accepted(name, 1);
        if let Some(open) = self.open.get_mut(&name) {
            open.refused.push((index, status));
        }
    }

    /// One that is decided.
    pub(crate) fn pop_decided(&mut self) -> Option<Decided> {
        let (&name, _) = self.open.iter().find(|(_, open)| open.undecided == 0)?;
        let Open { origin, message_id, destinations, refused, .. } = self.open.remove(&name)?;
        let mut unsuccess = Vec::new();
        for &(index, error_status_code) in &refused {
            let sme = UnsuccessSme {
                dest_addr_ton: 1,
                dest_addr_npi: 1,
                destination_addr: &destinations[usize::from(index)],
                error_status_code,
            };
            push_unsuccess_sme(&mut unsuccess, &sme);
        }
        let status = (refused.len() == destinations.len()).then(|| refused[0].1);
        Some(Decided { origin, message_id, unsuccess, count: refused.len() as u8, status })
    }
}
