//! Conversations as a pcap file: each a TCP connection to port 2775 over IPv4, without link headers. The format is that
//! of the libpcap file version 2.4, link type 101 (raw IP).

use crate::talk::{Said, Talk};

const LINKTYPE_RAW: u32 = 101;
/// Octets of SMPP in one segment.
const SEGMENT: usize = 1_400;
const ESME: [u8; 4] = [192, 0, 2, 1];
const DAEMON: [u8; 4] = [192, 0, 2, 2];
const SYN: u8 = 0x02;
const PSH_ACK: u8 = 0x18;
const ACK: u8 = 0x10;

/// The file's octets. Times are a counter: nothing in it depends on the clock.
pub(crate) fn pcap(talks: &[Talk]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xA1B2_C3D4_u32.to_be_bytes());
    file.extend([0, 2, 0, 4]);
    file.extend([0; 8]);
    file.extend(65_535_u32.to_be_bytes());
    file.extend(LINKTYPE_RAW.to_be_bytes());
    let mut packets = 0;
    for (talk, port) in talks.iter().zip(10_000_u16..) {
        let mut connection = Connection { file: &mut file, packets: &mut packets, port, sent: [0, 0] };
        connection.segment(0, SYN, &[]);
        connection.segment(1, SYN | ACK, &[]);
        connection.segment(0, ACK, &[]);
        for said in &talk.said {
            let (from, octets) = match said {
                Said::Esme(octets) => (0, octets),
                Said::Daemon(octets) => (1, octets),
            };
            octets.chunks(SEGMENT).for_each(|part| connection.segment(from, PSH_ACK, part));
        }
    }
    file
}

struct Connection<'a> {
    file: &'a mut Vec<u8>,
    packets: &'a mut u32,
    port: u16,
    /// What each end has sent so far, in sequence numbers: first the ESME's, then the daemon's.
    sent: [u32; 2],
}

impl Connection<'_> {
    fn segment(&mut self, from: usize, flags: u8, payload: &[u8]) {
        let len = (40 + payload.len()) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        let ends = if from == 0 { [ESME, DAEMON] } else { [DAEMON, ESME] };
        packet.extend(ends.concat());
        let ports = if from == 0 { [self.port, 2775] } else { [2775, self.port] };
        packet.extend(ports.map(u16::to_be_bytes).concat());
        packet.extend(self.sent[from].to_be_bytes());
        let acknowledged = if flags & ACK == 0 { 0 } else { self.sent[1 - from] };
        packet.extend(acknowledged.to_be_bytes());
        packet.extend([0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
        packet.extend(payload);
        self.sent[from] += payload.len() as u32 + u32::from(flags & SYN != 0);

        *self.packets += 1;
        self.file.extend((*self.packets / 1_000).to_be_bytes());
        self.file.extend((*self.packets % 1_000 * 1_000).to_be_bytes());
        self.file.extend(u32::from(len).to_be_bytes());
        self.file.extend(u32::from(len).to_be_bytes());
        self.file.extend(packet);
    }
}
