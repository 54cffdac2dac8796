//! `[account.compat]`: how smscd speaks to clients that were written for another SMSC, or for a gateway's habits.
//! docs/compatibility.md lists every key, who needs it, and what the presets set.

use serde::{Deserialize, Serialize};

use super::account::DeliverBy;
use super::error::Findings;
use crate::base::{IdForm, IdForms};

/// How message ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdNotation {
    /// 16 hex digits.
    Hex,
    /// Decimal, without leading zeros.
    Decimal,
    /// Decimal, 20 digits with leading zeros.
    Padded,
    /// A UUID.
    Uuid,
}

impl IdNotation {
    /// The form that it names.
    pub const fn form(self) -> IdForm {
        match self {
            Self::Hex => IdForm::Hex,
            Self::Decimal => IdForm::Decimal,
            Self::Padded => IdForm::Padded,
            Self::Uuid => IdForm::Uuid,
        }
    }
}

/// How receipts write message ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptIdNotation {
    /// As the response did.
    Same,
    /// 16 hex digits.
    Hex,
    /// Decimal, without leading zeros.
    Decimal,
    /// Decimal, 20 digits with leading zeros.
    Padded,
    /// A UUID.
    Uuid,
}

/// A name for several settings at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Nothing but the defaults.
    #[default]
    Standard,
    /// The client is a Jasmin gateway: it strips leading zeros off ids and folds their letters.
    Jasmin,
    /// The client follows jSMPP's examples: ids are read as decimal numbers.
    Jsmpp,
    /// The client knows opensmppbox as its server: UUIDs.
    LikeOpensmppbox,
    /// The client knows Jasmin as its server: UUIDs.
    LikeJasmin,
    /// The client knows KSMPPD as its server: UUIDs.
    LikeKsmppd,
    /// The client knows Restcomm's SMSC as its server: decimal ids with leading zeros.
    LikeRestcomm,
    /// The client knows SMPPSim as its server: decimal ids.
    LikeSmppsim,
    /// The client knows Vonage (Nexmo) as its server: hex ids in responses, decimal ones in receipts.
    LikeVonage,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Standard,
        Self::Jasmin,
        Self::Jsmpp,
        Self::LikeOpensmppbox,
        Self::LikeJasmin,
        Self::LikeKsmppd,
        Self::LikeRestcomm,
        Self::LikeSmppsim,
        Self::LikeVonage,
    ];

    /// What it sets; all else is left to the defaults.
    pub fn settings(self) -> CompatConfig {
        let base = CompatConfig { preset: self, ..CompatConfig::default() };
        match self {
            Self::Standard => base,
            Self::Jasmin | Self::Jsmpp | Self::LikeSmppsim => {
                CompatConfig { message_id: Some(IdNotation::Decimal), ..base }
            }
            Self::LikeOpensmppbox | Self::LikeJasmin | Self::LikeKsmppd => {
                CompatConfig { message_id: Some(IdNotation::Uuid), ..base }
            }
            Self::LikeRestcomm => CompatConfig { message_id: Some(IdNotation::Padded), ..base },
            Self::LikeVonage => CompatConfig {
                message_id: Some(IdNotation::Hex),
                receipt_id: Some(ReceiptIdNotation::Decimal),
                ..base
            },
        }
    }
}

/// Declares every setting once: as it is configured, where what is left out is the preset's or the default, and as it takes
/// effect.
macro_rules! settings {
    ($($(#[$doc:meta])* $key:ident: $kind:ty = $default:expr;)*) => {
        /// The settings as configured.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct CompatConfig {
            /// What the keys left out are set to.
            pub preset: Preset,
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $key: Option<$kind>,)*
        }

        /// The settings as they take effect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct CompatSettings {
            $($(#[$doc])* pub $key: $kind,)*
        }

        impl CompatConfig {
            /// What takes effect.
            pub fn settings(&self) -> CompatSettings {
                let preset = self.preset.settings();
                CompatSettings { $($key: self.$key.or(preset.$key).unwrap_or($default),)* }
            }

            /// The same settings with no key left out.
            #[must_use]
            pub fn in_full(&self) -> Self {
                let settings = self.settings();
                Self { preset: self.preset, $($key: Some(settings.$key),)* }
            }
        }
    };
}

settings! {
    /// How responses write message ids.
    message_id: IdNotation = IdNotation::Hex;
    /// How receipts write them.
    receipt_id: ReceiptIdNotation = ReceiptIdNotation::Same;
    /// Digits of the dates in a receipt's text: 10, 12 or 14.
    receipt_date_digits: u8 = 10;
    /// Which request hands its sessions a message.
    deliver_by: DeliverBy = DeliverBy::DeliverSm;
    /// Which request hands its sessions a receipt or an intermediate notification.
    receipts_by: DeliverBy = DeliverBy::DeliverSm;
    /// Whether the response that refuses a submission or a query has a body, with empty fields.
    error_response_body: bool = false;
}

impl CompatConfig {
    pub(super) fn validate(&self, key: &str, findings: &mut Findings) {
        let settings = self.settings();
        if !matches!(settings.receipt_date_digits, 10 | 12 | 14) {
            findings.add(format!("{key}.receipt_date_digits"), "must be 10, 12 or 14");
        }
    }
}

impl CompatSettings {
    /// The forms of its message ids.
    pub const fn id_forms(&self) -> IdForms {
        let response = self.message_id.form();
        let receipt = match self.receipt_id {
            ReceiptIdNotation::Same => response,
            ReceiptIdNotation::Hex => IdForm::Hex,
            ReceiptIdNotation::Decimal => IdForm::Decimal,
            ReceiptIdNotation::Padded => IdForm::Padded,
            ReceiptIdNotation::Uuid => IdForm::Uuid,
        };
        IdForms { response, receipt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_comes_before_the_preset_and_that_before_the_default() {
        let standard = CompatConfig::default().settings();
        assert_eq!(standard.id_forms(), IdForms::default());
        let preset = CompatConfig { preset: Preset::LikeVonage, ..CompatConfig::default() };
        let forms = IdForms { response: IdForm::Hex, receipt: IdForm::Decimal };
        assert_eq!(preset.settings().id_forms(), forms);
        let own = CompatConfig { receipt_id: Some(ReceiptIdNotation::Uuid), ..preset };
        assert_eq!(own.settings().id_forms().receipt, IdForm::Uuid);
        assert_eq!(own.settings().receipt_date_digits, standard.receipt_date_digits);
        assert_eq!(own.in_full().settings(), own.settings());
    }
}
