//! Who a peer is by its certificate, and what that lets it bind as.

use std::collections::{HashMap, HashSet};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::config::IdentityConfig;

/// The names in a client certificate that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    names: Vec<String>,
}

impl ClientIdentity {
    /// The identity of a verified certificate. One that can't be read has no name, and so allows nothing.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let names = X509Certificate::from_der(certificate).map(|(_, parsed)| names_of(&parsed));
        Self { names: names.unwrap_or_default() }
    }

    /// The name that it goes by in logs and in `/sessions`: the common name, or the first other one.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Common names of the subject, then DNS names, e-mail addresses and URIs among its alternative names.
pub(super) fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<String> = common.map(str::to_owned).collect();
    let alternative = certificate.subject_alternative_name().ok().flatten();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) = name
            && !names.iter().any(|known| known == name)
        {
            names.push((*name).to_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What the names in client certificates may bind as.
#[derive(Debug, Default)]
pub struct Identities {
    by_name: HashMap<String, HashSet<Vec<u8>>>,
}

impl Identities {
    /// As `[[tls.identity]]` has it.
    pub fn new(configs: &[IdentityConfig]) -> Self {
        let mut by_name = HashMap::<String, HashSet<Vec<u8>>>::new();
        for config in configs {
            let system_ids = by_name.entry(config.name.clone()).or_default();
            system_ids.insert(config.system_id.clone().into_bytes());
        }
        Self { by_name }
    }

    /// Whether a peer with these names may bind as `system_id`: as its names are mapped, or, when none of them is, as a
    /// system_id that is one of them.
    pub fn allow(&self, identity: &ClientIdentity, system_id: &[u8]) -> bool {
        let mut mapped = identity.names.iter().filter_map(|name| self.by_name.get(name)).peekable();
        if mapped.peek().is_some() {
            return mapped.any(|system_ids| system_ids.contains(system_id));
        }
        identity.names.iter().any(|name| name.as_bytes() == system_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(names: &[&str]) -> ClientIdentity {
        ClientIdentity { names: names.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn a_name_that_is_mapped_allows_what_it_is_mapped_to_and_no_more() {
        let entry = |name: &str, id: &str| IdentityConfig { name: name.to_owned(), system_id: id.to_owned() };
        let identities = Identities::new(&[
            entry("esme7.example.com", "bank"),
            entry("esme7.example.com", "shop"),
            entry("mail", "post"),
        ]);
        let esme = identity(&["Esme 7", "esme7.example.com"]);
        assert!(identities.allow(&esme, b"bank") && identities.allow(&esme, b"shop"));
        assert!(!identities.allow(&esme, b"post") && !identities.allow(&esme, b"Esme 7"));
        let both = identity(&["mail", "esme7.example.com"]);
        assert!(identities.allow(&both, b"post") && identities.allow(&both, b"bank"));
    }

    #[test]
    fn names_that_are_not_mapped_stand_for_themselves() {
        let identities = Identities::default();
        assert!(identities.allow(&identity(&["bank"]), b"bank"));
        assert!(!identities.allow(&identity(&["bank"]), b"shop"));
        assert!(!identities.allow(&identity(&[]), b"") && !identities.allow(&identity(&[]), b"bank"));
    }
}
