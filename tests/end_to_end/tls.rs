//! What only sessions over TLS have: certificates by name, identities, reloads of both, and their row in `/sessions`.

use std::net::TcpStream;
use std::path::Path;

use rustls::pki_types::CertificateDer;

use crate::support::esme::*;
use crate::support::tls::{AUTHORITY, Authority, Certified, Endpoint, Octets, Valid, Version};
use crate::support::{DEADLINE, Daemon, Layout};

fn connect(daemon: &Daemon, version: Version, own: Option<&Certified>, name: &str) -> RawEsme {
    let addr = daemon.tls.expect("a TLS listener");
    let stream = TcpStream::connect_timeout(&addr, DEADLINE).expect("TLS listens");
    set_up(&stream);
    let config = AUTHORITY.client_config(version, own);
    RawEsme::over(Octets::tls(stream, &config, name).expect("a handshake"))
}

/// The certificate that a peer gets who asks for this name.
fn certificate_for(daemon: &Daemon, name: &str) -> CertificateDer<'static> {
    let mut esme = connect(daemon, Version::V13, None, name);
    esme.octets().client().peer_certificates().expect("a certificate")[0].clone().into_owned()
}

#[test]
fn a_session_over_tls_is_shown_as_one() {
    for (layout, version, cipher) in [
        (Layout::TLS_AUTOMATIC, "TLSv1.3", "TLS13_AES_"),
        (Layout::TLS_TWO_BY_TWO, "TLSv1.2", "TLS_ECDHE_ECDSA_"),
    ] {
        let daemon = Daemon::start("", layout);
        let _esme = daemon.bind(Mode::Transceiver);
        let row = &daemon.get("/sessions").json()["sessions"][0];
        assert_eq!(row["tls"]["version"], version, "{row}");
        assert!(row["tls"]["cipher"].as_str().is_some_and(|found| found.starts_with(cipher)), "{row}");
        assert!(row["tls"]["identity"].is_null(), "{row}");
        assert!(daemon.get("/metrics").body.contains("smscd_tls_handshakes_total 1\n"));
    }
    let daemon = Daemon::start("", Layout::AUTOMATIC);
    let _esme = daemon.bind(Mode::Transceiver);
    assert!(daemon.get("/sessions").json()["sessions"][0]["tls"].is_null());
}

#[test]
fn a_peer_may_take_up_its_session_again() {
    for layout in [Layout::TLS_AUTOMATIC, Layout::TLS_TWO_BY_TWO] {
        let daemon = Daemon::start("", layout);
        let config = AUTHORITY.client_config(layout.1.expect("TLS"), None);
        for count in 0..3 {
            let stream = TcpStream::connect_timeout(&daemon.smpp.addr, DEADLINE).expect("TLS listens");
            set_up(&stream);
            let mut esme = RawEsme::over(Octets::tls(stream, &config, "localhost").expect("a handshake"));
            esme.try_bind(Mode::Transceiver, "demo", "demo", 0x34, "");
            esme.unbind();
            daemon.await_stats(&[
                ("/counters/tls_handshakes", count + 1),
                ("/counters/tls_resumptions", count),
            ]);
        }
    }
}

#[test]
fn plain_connections_can_be_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = AUTHORITY.server(&["localhost"]).write(dir.path(), "own");
    let file = dir.path().join("smscd.toml");
    for (text, code) in [
        (format!("[smpp]\nlisten = []\n[[tls.certificate]]\n{files}"), 0),
        ("[smpp]\nlisten = []\n".to_owned(), 2),
    ] {
        std::fs::write(&file, text).expect("written");
        let found = crate::support::run(&["check", "--config", file.to_str().expect("a name")]);
        assert_eq!(found.0, Some(code), "{}", found.2);
    }
}

/// A second certificate, by name, in the configuration.
fn second(dir: &Path, certified: &Certified) -> String {
    format!("[[tls.certificate]]\n{}", certified.write(dir, "second"))
}

#[test]
fn each_name_gets_its_certificate_before_and_after_a_reload() {
    let daemon = Daemon::start_tls("", "", Layout::TLS_TWO_BY_TWO);
    let (a, b) =
        (AUTHORITY.server(&["a.example.com"]), AUTHORITY.server(&["*.example.com", "b.example.org"]));
    let mut esme = daemon.bind(Mode::Transceiver);
    let localhost = certificate_for(&daemon, "localhost");

    // One more certificate; the session that is up notices nothing.
    daemon.append_config(&second(daemon.dir(), &a));
    assert_eq!(daemon.post("/reload", &[], "").status, 200);
    esme.submit(&Sm::new("12345", "4470", "before"));
    assert_eq!(certificate_for(&daemon, "a.example.com"), a.der());
    assert_eq!(certificate_for(&daemon, "localhost"), localhost);

    // Other files under the same names: no key of the configuration differs, and they are read all the same.
    b.write(daemon.dir(), "second");
    assert_eq!(daemon.post("/reload?dry_run=true", &[], "").status, 200);
    assert_eq!(certificate_for(&daemon, "a.example.com"), a.der());
    assert_eq!(daemon.post("/reload", &[], "").status, 200);
    for name in ["a.example.com", "b.example.org"] {
        assert_eq!(certificate_for(&daemon, name), b.der(), "{name}");
    }

    // A key that does not belong to its certificate changes nothing and is named.
    std::fs::write(daemon.dir().join("second.key"), &a.key).expect("written");
    let response = daemon.post("/reload", &[], "");
    assert_eq!(response.status, 422, "{response:?}");
    let problem = &response.json()["problems"][0];
    assert_eq!(problem["key"], "tls.certificate[1].key", "{problem}");
    assert!(problem["what"].as_str().is_some_and(|what| what.contains("is not the key of")), "{problem}");
    assert_eq!(certificate_for(&daemon, "b.example.org"), b.der());
    esme.submit(&Sm::new("12345", "4470", "after"));
    esme.unbind();
}

const ACCOUNTS: &str = "[[account]]\nsystem_id = \"bank\"\npassword = \"secret\"\n\
                        [[account]]\nsystem_id = \"shop\"\npassword = \"secret\"\n";

#[test]
fn a_certificate_binds_as_what_its_names_allow() {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = dir.path().join("clients.pem");
    let clients = Authority::new("Clients");
    std::fs::write(&ca, &clients.pem).expect("written");
    let keys = format!("client_auth = \"optional\"\nclient_ca = [{ca:?}]");
    let identity =
        |name: &str, id: &str| format!("[[tls.identity]]\nname = \"{name}\"\nsystem_id = \"{id}\"\n");
    for (layout, version) in [(Layout::TLS_AUTOMATIC, Version::V13), (Layout::TLS_TWO_BY_TWO, Version::V12)] {
        let daemon = Daemon::start_tls(ACCOUNTS, &keys, layout);
        daemon.append_config(&identity("esme7.example.com", "bank"));
        assert_eq!(daemon.post("/reload", &[], "").status, 200);

        let mapped = clients.client("Esme 7", Some("esme7.example.com"), Valid::Now);
        let named = clients.client("shop", None, Valid::Now);
        let nobody = clients.client("nobody", None, Valid::Now);
        for (own, system_id, status) in [
            (Some(&mapped), "bank", ESME_ROK),
            (Some(&mapped), "shop", ESME_RBINDFAIL),
            (Some(&named), "shop", ESME_ROK),
            (Some(&named), "bank", ESME_RBINDFAIL),
            (Some(&nobody), "bank", ESME_RBINDFAIL),
            // Without a certificate the password alone decides.
            (None, "shop", ESME_ROK),
        ] {
            let mut esme = connect(&daemon, version, own, "localhost");
            let answer = esme.try_bind(Mode::Transceiver, system_id, "secret", 0x34, "");
            assert_eq!(answer.status, status, "{system_id}");
        }
        daemon.await_stats(&[("/counters/tls_identities_refused", 3)]);
        daemon.await_log("bind refused: the peer's certificate does not allow this system_id");
        // The password is needed all the same.
        let mut esme = connect(&daemon, version, Some(&named), "localhost");
        assert_eq!(esme.try_bind(Mode::Transceiver, "shop", "guess", 0x34, "").status, ESME_RBINDFAIL);

        // A name that may bind as something else now: its session is unbound, the others stay.
        let mut bank = connect(&daemon, version, Some(&mapped), "localhost");
        let mut shop = connect(&daemon, version, Some(&named), "localhost");
        for (esme, system_id) in [(&mut bank, "bank"), (&mut shop, "shop")] {
            assert_eq!(esme.try_bind(Mode::Transceiver, system_id, "secret", 0x34, "").status, ESME_ROK);
        }
        let rows = daemon.get("/sessions").json();
        let rows = rows["sessions"].as_array().expect("a list");
        assert!(
            rows.iter().any(|row| row["tls"]["identity"] == "Esme 7" && row["account"] == "bank"),
            "{rows:?}"
        );
        daemon.append_config(&identity("Esme 7", "shop").replace("[[", "\n[["));
        daemon.replace_in_config("esme7.example.com", "esme8.example.com");
        assert_eq!(daemon.post("/reload", &[], "").status, 200);
        let unbind = bank.expect(UNBIND, 0);
        bank.respond(&unbind, ESME_ROK);
        bank.expect_end();
        shop.submit(&Sm::new("1", "4470", "stays"));
    }
}

#[test]
fn both_ports_serve_the_same_account() {
    let daemon = Daemon::start("", Layout::TLS_TWO_BY_TWO);
    let mut with = daemon.bind(Mode::Transmitter);
    let mut without = RawEsme::bind(Endpoint::from(daemon.plain), Mode::Receiver, "demo", "demo");
    let id = with.submit(&Sm::with_receipt("12345", "4470", "across"));
    assert_eq!(without.take_delivery().receipted_id(), id);
}
