//! Certificates made on the spot, and the client's side of TLS by rustls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::ClientConnection;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ServerConnection;
use rustls::{ClientConfig, RootCertStore, ServerConfig, StreamOwned, SupportedProtocolVersion};

/// Where ESMEs connect to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub addr: SocketAddr,
    pub tls: Option<Version>,
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, tls: None }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V12,
    V13,
}

impl Version {
    const fn of_rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V12 => &rustls::version::TLS12,
            Self::V13 => &rustls::version::TLS13,
        }
    }
}

/// A certificate and its key, in PEM.
pub struct Certified {
    pub chain: String,
    pub key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Certified {
    /// The certificate as it goes over the wire.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Writes both; the keys of the configuration that name them.
    pub fn write(&self, dir: &Path, name: &str) -> String {
        let (chain, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        std::fs::write(&chain, &self.chain).expect("written");
        std::fs::write(&key, &self.key).expect("written");
        format!("chain = {chain:?}\nkey = {key:?}\n")
    }
}

/// An authority, known to nobody else.
pub struct Authority {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    Now,
    LongAgo,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let made = params.self_signed(&key).expect("signed");
        Self { pem: made.pem(), der: made.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server of these names.
    pub fn server(&self, names: &[&str]) -> Certified {
        let alternative = names.iter().map(|&name| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into().expect("a name")),
        });
        self.issue(None, alternative.collect(), ExtendedKeyUsagePurpose::ServerAuth, Valid::Now)
    }

    /// A certificate for a client with this common name and, as a DNS name, the other one.
    pub fn client(&self, common: &str, dns: Option<&str>, valid: Valid) -> Certified {
        let alternative = dns.map(|name| SanType::DnsName(name.try_into().expect("a name")));
        let alternative = alternative.into_iter().collect();
        self.issue(Some(common), alternative, ExtendedKeyUsagePurpose::ClientAuth, valid)
    }

    fn issue(
        &self,
        common: Option<&str>,
        alternative: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        valid: Valid,
    ) -> Certified {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = alternative;
        params.extended_key_usages = vec![usage];
        if valid == Valid::LongAgo {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        }
        let made = params.signed_by(&key, &self.issuer).expect("signed");
        Certified {
            chain: made.pem(),
            key: key.serialize_pem(),
            der: made.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// What a client that trusts this authority goes by.
    pub fn client_config(&self, version: Version, own: Option<&Certified>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_protocol_versions(&[version.of_rustls()])
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::Pkcs8(own.key_der.clone().into());
                builder.with_client_auth_cert(vec![own.der.clone()], key).expect("a key that fits")
            }
        };
        Arc::new(config)
    }
}

/// What all daemons with a TLS layout have, and all clients of theirs trust.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("Test authority"));
static LOCALHOST: LazyLock<Certified> = LazyLock::new(|| AUTHORITY.server(&["localhost", "127.0.0.1"]));

/// The `[tls]` section of a daemon with a TLS layout, with further keys; its files go into `dir`.
pub fn section(dir: &Path, keys: &str) -> String {
    let files = LOCALHOST.write(dir, "localhost");
    format!("\n[tls]\nlisten = [\"127.0.0.1:0\"]\n{keys}\n[[tls.certificate]]\n{files}")
}

/// The octets of a connection, as they are or within TLS.
pub enum Octets {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// As the server.
    Served(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Octets {
    /// Speaks TLS on `stream`, handshake done.
    ///
    /// # Errors
    /// The handshake's.
    pub fn tls(mut stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::clone(config), name).expect("a client");
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(client, stream))))
    }

    /// Speaks TLS as the server on `stream`, handshake done.
    ///
    /// # Errors
    /// The handshake's.
    pub fn serve(mut stream: TcpStream, own: &Certified, version: Version) -> io::Result<Self> {
        let key = PrivateKeyDer::Pkcs8(own.key_der.clone().into());
        let config = ServerConfig::builder_with_protocol_versions(&[version.of_rustls()])
            .with_no_client_auth()
            .with_single_cert(vec![own.der.clone()], key)
            .expect("a key that fits");
        let mut server = ServerConnection::new(Arc::new(config)).expect("a server");
        while server.is_handshaking() {
            server.complete_io(&mut stream)?;
        }
        Ok(Self::Served(Box::new(StreamOwned::new(server, stream))))
    }

    /// Over the endpoint's version of TLS, or none.
    pub fn new(stream: TcpStream, tls: Option<Version>) -> Self {
        match tls {
            None => Self::Plain(stream),
            Some(version) => {
                let config = AUTHORITY.client_config(version, None);
                Self::tls(stream, &config, "localhost").expect("a handshake")
            }
        }
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
            Self::Served(stream) => &stream.sock,
        }
    }

    pub fn into_socket(self) -> TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.sock,
            Self::Served(stream) => stream.sock,
        }
    }

    /// Says that nothing more will come: with TLS, by close_notify.
    pub fn finish_sending(&mut self) {
        match self {
            Self::Plain(stream) => stream.shutdown(std::net::Shutdown::Write).expect("shut down"),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().expect("the daemon takes octets");
            }
            Self::Served(stream) => {
                stream.conn.send_close_notify();
                stream.flush().expect("the daemon takes octets");
            }
        }
    }

    /// The TLS side.
    pub fn client(&mut self) -> &mut ClientConnection {
        match self {
            Self::Plain(_) | Self::Served(_) => panic!("not a client's connection over TLS"),
            Self::Tls(stream) => &mut stream.conn,
        }
    }
}

impl Read for Octets {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Served(stream) => stream.read(buffer),
        }
    }
}

impl Write for Octets {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
            Self::Served(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::Served(stream) => stream.flush(),
        }
    }
}
