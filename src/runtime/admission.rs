//! How many connections there are: in all, per address (of IPv6: per /64), and per worker. Shared by the acceptor and the workers.
//! Every connection admitted is released exactly once, when its worker drops it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::peer_host::PeerHost;

/// The book over all workers.
#[derive(Debug)]
pub struct Admission {
    connections_max: AtomicU32,
    per_address_max: AtomicU32,
    connections: AtomicU32,
    /// Touched once per connection's start and end, never per PDU.
    hosts: Mutex<HashMap<PeerHost, u32>>,
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The daemon has as many as it may.
    Connections,
    /// That address has as many as one may.
    PerAddress,
}

impl Admission {
    /// An empty book; 0 connections per address means no limit for one address.
    pub fn new(connections_max: u32, per_address_max: u32) -> Self {
        Self {
            connections_max: AtomicU32::new(connections_max),
            per_address_max: AtomicU32::new(per_address_max),
            connections: AtomicU32::new(0),
            hosts: Mutex::new(HashMap::new()),
        }
    }

    /// Goes by these limits from now on. Connections that are over them stay.
    pub fn set_limits(&self, connections_max: u32, per_address_max: u32) {
        self.connections_max.store(connections_max, Ordering::Release);
        self.per_address_max.store(per_address_max, Ordering::Release);
    }

    /// Admits one connection from `address`.
    ///
    /// # Errors
    /// Which limit it would break.
    pub fn admit(&self, address: IpAddr) -> Result<(), Refused> {
        if self.connections.load(Ordering::Acquire) >= self.connections_max.load(Ordering::Acquire) {
            return Err(Refused::Connections);
        }
        let per_address_max = self.per_address_max.load(Ordering::Acquire);
        let mut hosts = self.hosts.lock();
        let count = hosts.entry(address.into()).or_insert(0);
        if per_address_max > 0 && *count >= per_address_max {
            return Err(Refused::PerAddress);
        }
        *count += 1;
        drop(hosts);
        self.connections.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// A connection from `address` has ended.
    pub fn release(&self, address: IpAddr) {
        let (mut hosts, host) = (self.hosts.lock(), address.into());
        if let Some(count) = hosts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(&host);
            }
        }
        drop(hosts);
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// Connections admitted and not released.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Acquire)
    }
}

/// One worker's share.
#[derive(Debug)]
pub struct Load {
    admission: Arc<Admission>,
    connections: AtomicU32,
}

impl Load {
    /// No connections yet.
    pub const fn new(admission: Arc<Admission>) -> Self {
        Self { admission, connections: AtomicU32::new(0) }
    }

    /// The worker is given a connection that was admitted.
    pub fn take(&self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    /// A connection of the worker has ended.
    pub fn release(&self, address: IpAddr) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
        self.admission.release(address);
    }

    /// Connections of the worker.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn limits_hold_and_places_come_back() {
        let (a, b) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        let book = Arc::new(Admission::new(3, 2));
        let load = Load::new(Arc::clone(&book));
        for _ in 0..2 {
            book.admit(a).expect("below both limits");
            load.take();
        }
        assert_eq!(book.admit(a), Err(Refused::PerAddress));
        assert_eq!(book.admit(b), Ok(()));
        assert_eq!(book.admit(b), Err(Refused::Connections));
        load.release(a);
        assert_eq!((book.connections(), load.connections()), (2, 1));
        assert_eq!(book.admit(b), Ok(()));
        load.take();
        load.release(a);
        assert_eq!(book.hosts.lock().get(&a.into()), None, "an address without connections is forgotten");
    }

    #[test]
    fn a_host_with_a_whole_ipv6_network_has_no_more_than_another() {
        let book = Admission::new(10, 2);
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(book.admit(of("2001:db8::1")), Ok(()));
        assert_eq!(book.admit(of("2001:db8::2")), Ok(()));
        assert_eq!(book.admit(of("2001:db8::3")), Err(Refused::PerAddress));
        assert_eq!(book.admit(of("2001:db8:0:1::1")), Ok(()));
        book.release(of("2001:db8::2"));
        assert_eq!(book.admit(of("2001:db8::3")), Ok(()));
    }
}
