//! Certificates made on the spot: what is refused before anything goes by it, and who gets which.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// Writes a certificate for these names and its key.
fn certificate(dir: &TempDir, file: &str, names: &[&str]) -> CertificateConfig {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().expect("a key");
    let made = CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
    let path = |end: &str| dir.path().join(format!("{file}.{end}"));
    std::fs::write(path("pem"), made.pem()).expect("written");
    std::fs::write(path("key"), key.serialize_pem()).expect("written");
    CertificateConfig { chain: path("pem"), key: path("key") }
}

fn load(certificates: Vec<CertificateConfig>) -> Result<ServerConfig, TlsError> {
    server_config(&TlsConfig { certificates, ..TlsConfig::default() })
}

#[test]
fn each_name_gets_its_certificate_and_others_the_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let configs = [
        certificate(&dir, "a", &["a.example.com"]),
        certificate(&dir, "b", &["b.example.com", "*.example.org"]),
        certificate(&dir, "b2", &["b.example.com"]),
    ];
    let resolver = Resolver::load(&configs, &ring::default_provider()).expect("usable");
    assert_eq!(resolver.candidates("a.example.com"), [0]);
    assert_eq!(resolver.candidates("B.example.COM"), [1, 2]);
    assert_eq!(resolver.candidates("x.example.org"), [1]);
    for none in ["example.org", "y.x.example.org", "", ".", "c.example.com"] {
        assert_eq!(resolver.candidates(none), [0_usize; 0], "{none}");
    }
}

#[test]
fn what_can_not_be_used_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (a, b) = (certificate(&dir, "a", &["a"]), certificate(&dir, "b", &["b"]));
    let missing = || PathBuf::from("/nowhere/x.pem");
    let swapped = CertificateConfig { key: b.key.clone(), ..a.clone() };
    let is_a_key = CertificateConfig { chain: a.key.clone(), ..a.clone() };
    let no_chain = CertificateConfig { chain: missing(), ..a.clone() };
    let no_key = CertificateConfig { key: missing(), ..a.clone() };
    let not_a_key = CertificateConfig { key: a.chain.clone(), ..a.clone() };
    for (wrong, key, what) in [
        (swapped, "tls.certificate[1].key", "is not the key of"),
        (is_a_key, "tls.certificate[1].chain", "has no certificate"),
        (no_chain, "tls.certificate[1].chain", "/nowhere/x.pem: "),
        (no_key, "tls.certificate[1].key", "/nowhere/x.pem: "),
        (not_a_key, "tls.certificate[1].key", "a.pem: "),
    ] {
        let error = load(vec![a.clone(), wrong]).expect_err(what);
        assert_eq!(error.key, key);
        assert!(error.what.contains(what), "{error}");
    }
    load(vec![a, b]).expect("usable");
}

#[test]
fn authorities_must_be_certificates() {
    let dir = tempfile::tempdir().expect("a folder");
    let a = certificate(&dir, "a", &["a"]);
    let with_ca = |client_ca: PathBuf| {
        server_config(&TlsConfig {
            client_auth: ClientAuth::Required,
            client_ca: vec![client_ca],
            certificates: vec![a.clone()],
            ..TlsConfig::default()
        })
    };
    with_ca(a.chain.clone()).expect("a certificate can be an authority");
    assert_eq!(with_ca(a.key.clone()).expect_err("a key").key, "tls.client_ca[0]");
}
