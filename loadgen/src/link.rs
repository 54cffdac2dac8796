//! The octets of one connection: as they are, or within TLS.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, IoSlice, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use smscd::tls::{FRAGMENT_BYTES_MAX, Opened, Records, sealed_bytes_max};

use crate::wire::READ_BYTES;

/// Octets of plaintext sealed before they are written.
const SEAL_BYTES: usize = 3 * FRAGMENT_BYTES_MAX;

/// Whom a TLS run trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The authorities in this PEM file.
    Authorities(PathBuf),
    /// Anybody.
    Anybody,
}

/// What the TLS connections of a run go by.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// For the server at `host`.
    pub(crate) fn new(host: &str, trust: &Trust) -> anyhow::Result<Self> {
        let name = ServerName::try_from(host.to_owned())
            .with_context(|| format!("--target: {host} can't be a server's name"))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        let config = match trust {
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NoVerifier(provider)))
                .with_no_client_auth(),
            Trust::Authorities(path) => {
                let named = || format!("--tls-ca {}", path.display());
                let mut roots = RootCertStore::empty();
                let file = BufReader::new(File::open(path).with_context(named)?);
                for certificate in CertificateDer::pem_reader_iter(file) {
                    roots.add(certificate.with_context(named)?).with_context(named)?;
                }
                if roots.is_empty() {
                    anyhow::bail!("{}: has no certificate", named());
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        Ok(Self { config: Arc::new(config), name })
    }
}

/// Takes any certificate for good; that the peer has its key is looked at all the same.
#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Buffers that the TLS connections of one thread share. Empty in a run without TLS.
#[derive(Default)]
pub(crate) struct Buffers {
    octets: Vec<u8>,
    answer: Vec<u8>,
}

impl Buffers {
    /// For a run with or without TLS.
    pub(crate) fn new(has_tls: bool) -> Self {
        Self { octets: vec![0; if has_tls { READ_BYTES } else { 0 }], answer: Vec::new() }
    }
}

/// A connection's octets.
pub(crate) struct Link<S> {
    pub(crate) stream: S,
    tls: Option<Box<TlsSide>>,
}

struct TlsSide {
    records: Records<UnbufferedClientConnection>,
    /// Received, and not yet a whole record.
    pending: Vec<u8>,
    /// Sealed, and not yet taken by the socket.
    sealed: Vec<u8>,
    is_closed: bool,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    /// Octets.
    pub(crate) len: usize,
    /// The socket may have more.
    pub(crate) more: bool,
}

impl<S: Read + Write> Link<S> {
    /// Without TLS.
    pub(crate) const fn plain(stream: S) -> Self {
        Self { stream, tls: None }
    }

    /// Within TLS; does the handshake, on a blocking stream. What came after it is at hand.
    pub(crate) fn connect(stream: S, tls: &Tls, buffers: &mut Buffers) -> io::Result<Self> {
        let client = UnbufferedClientConnection::new(Arc::clone(&tls.config), tls.name.clone());
        let mut side = Box::new(TlsSide {
            records: Records::new(client.map_err(io::Error::other)?),
            pending: Vec::new(),
            sealed: Vec::new(),
            is_closed: false,
        });
        side.records.begin(&mut side.sealed);
        let mut link = Self { stream, tls: Some(side) };
        link.flush_sealed()?;
        let mut nothing = vec![0; READ_BYTES];
        while link.tls.as_ref().is_some_and(|tls| tls.records.is_handshaking()) {
            let got = link.read_once(&mut nothing, buffers)?;
            if got.is_some_and(|got| got.len == 0) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(link)
    }

    /// The same connection on another kind of stream.
    pub(crate) fn map<T>(self, f: impl FnOnce(S) -> T) -> Link<T> {
        Link { stream: f(self.stream), tls: self.tls }
    }

    /// Reads octets, none at the end of the stream. `buffer` takes at least [`READ_BYTES`] within TLS.
    pub(crate) fn read(&mut self, buffer: &mut [u8], buffers: &mut Buffers) -> io::Result<Got> {
        loop {
            if let Some(got) = self.read_once(buffer, buffers)? {
                return Ok(got);
            }
        }
    }

    /// As [`Link::read`], once. `None`: what came was TLS's own.
    fn read_once(&mut self, buffer: &mut [u8], buffers: &mut Buffers) -> io::Result<Option<Got>> {
        let Some(tls) = &mut self.tls else {
            let len = self.stream.read(buffer)?;
            return Ok(Some(Got { len, more: len == buffer.len() }));
        };
        if tls.is_closed {
            return Ok(Some(Got { len: 0, more: false }));
        }
        let waiting = tls.pending.len();
        let room = buffers.octets.len().min(buffer.len());
        let read = self.stream.read(&mut buffers.octets[waiting..room])?;
        if read == 0 {
            return Ok(Some(Got { len: 0, more: false }));
        }
        buffers.octets[..waiting].copy_from_slice(&tls.pending);
        buffers.answer.clear();
        let octets = &mut buffers.octets[..waiting + read];
        let Opened { consumed, plain, is_closed, error } =
            tls.records.open(octets, buffer, &mut buffers.answer);
        tls.pending.clear();
        tls.pending.extend_from_slice(&octets[consumed..]);
        tls.sealed.extend_from_slice(&buffers.answer);
        tls.is_closed = is_closed;
        self.flush_sealed()?;
        if let Some(error) = error {
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok((plain > 0 || is_closed).then_some(Got { len: plain, more: waiting + read == room || is_closed }))
    }

    /// Writes as much of both as is taken at once.
    pub(crate) fn write(&mut self, first: &[u8], second: &[u8], buffers: &mut Buffers) -> io::Result<usize> {
        if self.tls.is_none() {
            return if first.is_empty() {
                self.stream.write(second)
            } else {
                self.stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
            };
        }
        if !self.flush_sealed()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let (mut taken, mut used) = (0, 0);
        for part in [first, second] {
            let part = &part[..part.len().min(SEAL_BYTES - taken)];
            if !part.is_empty() {
                let room = &mut buffers.octets[used..];
                used += tls.records.seal(part, room, &mut tls.pending).map_err(io::Error::other)?;
                taken += part.len();
            }
        }
        let sealed = &buffers.octets[..used];
        let written = match self.stream.write(sealed) {
            Ok(written) => written,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error),
        };
        tls.sealed.extend_from_slice(&sealed[written..]);
        Ok(taken)
    }

    /// Writes what is sealed already. False: the socket takes no more.
    pub(crate) fn flush_sealed(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while !tls.sealed.is_empty() {
            match self.stream.write(&tls.sealed) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(tls.sealed.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

const _: () = assert!(sealed_bytes_max(SEAL_BYTES) + sealed_bytes_max(0) <= READ_BYTES);

impl<S: fmt::Debug> fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("stream", &self.stream).finish_non_exhaustive()
    }
}
