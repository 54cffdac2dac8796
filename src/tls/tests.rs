//! Both sides against each other over octets in memory: cut anywhere, changed anywhere, kept back.

use std::sync::Arc;

use proptest::prelude::*;
use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::*;

const ROOM: usize = 1 << 18;

/// One end, with what it has not yet opened.
struct End<S> {
    records: Records<S>,
    pending: Vec<u8>,
    opened: Vec<u8>,
    to_send: Vec<u8>,
    error: Option<rustls::Error>,
    is_closed: bool,
}

impl<S: Side> End<S> {
    fn new(side: S) -> Self {
        Self {
            records: Records::new(side),
            pending: Vec::new(),
            opened: Vec::new(),
            to_send: Vec::new(),
            error: None,
            is_closed: false,
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        if self.error.is_some() || octets.is_empty() {
            return;
        }
        self.pending.extend_from_slice(octets);
        let mut plain = vec![0; self.pending.len()];
        let opened = self.records.open(&mut self.pending, &mut plain, &mut self.to_send);
        self.opened.extend_from_slice(&plain[..opened.plain]);
        self.pending.drain(..opened.consumed);
        self.is_closed |= opened.is_closed;
        self.error = opened.error;
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), Unsealable> {
        let mut sealed = vec![0; sealed_bytes_max(plain.len())];
        let len = self.records.seal(plain, &mut sealed, &mut self.pending)?;
        self.to_send.extend_from_slice(&sealed[..len]);
        Ok(())
    }

    fn close(&mut self) {
        let mut sealed = vec![0; sealed_bytes_max(0)];
        if let Ok(len) = self.records.close_notify(&mut sealed, &mut self.pending) {
            self.to_send.extend_from_slice(&sealed[..len]);
        }
    }
}

type Client = End<UnbufferedClientConnection>;
type Server = End<UnbufferedServerConnection>;

fn pair(version: &'static SupportedProtocolVersion) -> (Client, Server) {
    thread_local! {
        static MADE: rcgen::CertifiedKey<rcgen::KeyPair> =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    }
    let (der, key) = MADE.with(|made| (made.cert.der().clone(), made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let server = ServerConfig::builder_with_protocol_versions(&[version])
        .with_no_client_auth()
        .with_single_cert(vec![der], PrivateKeyDer::Pkcs8(key.into()))
        .unwrap();
    let client = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = End::new(UnbufferedClientConnection::new(Arc::new(client), name).unwrap());
    client.records.begin(&mut client.to_send);
    (client, End::new(UnbufferedServerConnection::new(Arc::new(server)).unwrap()))
}

/// Carries octets both ways in pieces of sizes that `next` gives, until there are none.
fn exchange(client: &mut Client, server: &mut Server, mut next: impl FnMut() -> usize) {
    while !client.to_send.is_empty() || !server.to_send.is_empty() {
        let len = next().clamp(1, ROOM).min(client.to_send.len());
        let octets: Vec<u8> = client.to_send.drain(..len).collect();
        server.receive(&octets);
        let len = next().clamp(1, ROOM).min(server.to_send.len());
        let octets: Vec<u8> = server.to_send.drain(..len).collect();
        client.receive(&octets);
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

#[test]
fn octets_come_through_however_they_are_cut() {
    for version in VERSIONS {
        for step in [1, 2, 5, 17, 1_000, 16_384, ROOM] {
            let (mut client, mut server) = pair(version);
            exchange(&mut client, &mut server, || step);
            assert!(!client.records.is_handshaking() && !server.records.is_handshaking());
            let message: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
            client.send(&message).unwrap();
            server.send(&message[..50_000]).unwrap();
            exchange(&mut client, &mut server, || step);
            client.close();
            exchange(&mut client, &mut server, || step);
            assert_eq!((server.opened == message, client.opened == message[..50_000]), (true, true));
            assert!(
                server.is_closed && server.error.is_none() && client.error.is_none(),
                "{version:?} {step}"
            );
        }
    }
}

#[test]
fn records_are_of_full_size() {
    let (mut client, mut server) = pair(&TLS13);
    exchange(&mut client, &mut server, || ROOM);
    client.send(&vec![7; 3 * FRAGMENT_BYTES_MAX]).unwrap();
    let mut rest = client.to_send.as_slice();
    let mut lens = Vec::new();
    while let Some(len) = record_len(rest) {
        lens.push(len);
        rest = &rest[len..];
    }
    assert_eq!((lens.len(), rest.len()), (3, 0), "{lens:?}");
}

#[test]
fn only_a_whole_header_tells_a_length() {
    assert_eq!(record_len(&[23, 3, 3, 1, 0]), Some(261));
    for none in [
        &[23, 3, 3, 1][..],
        &[24, 3, 3, 1, 0],
        &[23, 2, 3, 1, 0],
        &[23, 3, 3, 0xFF, 0xFF],
        // The front of a KeyUpdate and of a ClientHello that rustls has opened.
        &[24, 0, 0, 1, 0],
        &[1, 0, 2, 0, 3],
    ] {
        assert_eq!(record_len(none), None, "{none:?}");
    }
}

#[test]
fn an_error_tells_the_peer_and_ends_it() {
    let (mut client, mut server) = pair(&TLS13);
    exchange(&mut client, &mut server, || ROOM);
    server.receive(&[23, 3, 3, 0, 40, 0]);
    server.receive(&[0; 39]);
    assert!(matches!(server.error, Some(rustls::Error::DecryptError)), "{:?}", server.error);
    assert!(!server.to_send.is_empty());
    assert_eq!(server.send(b"more"), Err(Unsealable));
    let alert = std::mem::take(&mut server.to_send);
    client.receive(&alert);
    assert!(matches!(client.error, Some(rustls::Error::AlertReceived(_))), "{:?}", client.error);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// No octets, whenever they come, do more than end the connection; least of all do they panic.
    #[test]
    fn hostile_octets_never_panic(seed: u64, v13: bool, flips in 0_u32..6, is_early: bool) {
        let mut rng = Xoshiro256StarStar::seed_from_u64(seed);
        let (mut client, mut server) = pair(VERSIONS[usize::from(v13)]);
        if !is_early {
            exchange(&mut client, &mut server, || ROOM);
            client.send(b"hello").unwrap();
        }
        for _ in 0..40 {
            let mut octets = std::mem::take(&mut client.to_send);
            for _ in 0..flips {
                if !octets.is_empty() {
                    let at = rng.next_u64() as usize % octets.len().min(200);
                    octets[at] ^= 1 << (rng.next_u64() % 8);
                }
            }
            if rng.next_u64() % 4 == 0 {
                // A record of any type, plain.
                let len = rng.next_u64() as usize % 64;
                octets.extend([20 + (rng.next_u64() % 5) as u8, 3, 3, 0, len as u8]);
                octets.extend((0..len).map(|_| rng.next_u64() as u8));
            }
            for piece in octets.chunks(1 + rng.next_u64() as usize % 700) {
                server.receive(piece);
                let _ = server.send(b"answer");
            }
            let answer = std::mem::take(&mut server.to_send);
            client.receive(&answer);
            let _ = client.send(b"request");
            if rng.next_u64() % 16 == 0 {
                server.close();
            }
        }
    }
}
