//! `[account.compat]`: how smscd speaks to clients that were written for another SMSC, or for a gateway's habits.
//! docs/compatibility.md lists every key, who needs it, and what the presets set.

use serde::{Deserialize, Serialize};

use super::account::{DeliverBy, PASSWORD_OCTETS_MAX};
use super::error::Findings;
use crate::base::{IdForm, IdForms};
use crate::smpp::CommandStatus;

/// Longest that a submission over its rate may wait, in milliseconds: its client may give it up sooner.
const THROTTLE_DELAY_MS_MAX: u64 = 10_000;
/// How long an older session may have to answer, in milliseconds.
const PROBE_MS_MIN: u64 = 10;
const PROBE_MS_MAX: u64 = 30_000;

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

/// What becomes of a bind of which the account has one of the same type already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateBind {
    /// It is a bind like any other, within `sessions_max`.
    Allow,
    /// It is refused.
    Refuse,
    /// It takes the place of the older one, which is unbound.
    Replace,
    /// The older one is asked whether it is still there; it is closed if it is not, else the bind is refused.
    Probe,
}

/// A status that a bind can be refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindStatus {
    /// ESME_RBINDFAIL.
    #[serde(rename = "ESME_RBINDFAIL")]
    BindFailed,
    /// ESME_RINVPASWD.
    #[serde(rename = "ESME_RINVPASWD")]
    InvalidPassword,
    /// ESME_RINVSYSID.
    #[serde(rename = "ESME_RINVSYSID")]
    InvalidSystemId,
    /// ESME_RALYBND.
    #[serde(rename = "ESME_RALYBND")]
    AlreadyBound,
}

impl BindStatus {
    /// The status on the wire.
    pub const fn status(self) -> CommandStatus {
        match self {
            Self::BindFailed => CommandStatus::ESME_RBINDFAIL,
            Self::InvalidPassword => CommandStatus::ESME_RINVPASWD,
            Self::InvalidSystemId => CommandStatus::ESME_RINVSYSID,
            Self::AlreadyBound => CommandStatus::ESME_RALYBND,
        }
    }
}

/// What the address_range of a bind may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressRangeRule {
    /// Anything.
    Any,
    /// Empty, or one of the account's addresses and prefixes.
    Own,
}

/// What becomes of a session that leaves a delivery unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// It stays, and the delivery is repeated; a late response is ignored.
    Repeat,
    /// It is closed, and what it had goes to the account's other sessions.
    Close,
}

/// A name for several settings at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Nothing but the defaults.
    #[default]
    Standard,
    /// The client is a Kannel gateway: it sleeps when it is throttled, and redials after a drop.
    Kannel,
    /// The client is a Jasmin gateway: it strips leading zeros off ids, folds their letters, and has no long passwords.
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
    pub const ALL: [Self; 10] = [
        Self::Standard,
        Self::Kannel,
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
            Self::Kannel => CompatConfig {
                duplicate_bind: Some(DuplicateBind::Probe),
                throttle_delay_ms: Some(1_000),
                ..base
            },
            Self::Jasmin => {
                CompatConfig { message_id: Some(IdNotation::Decimal), password_octets_max: Some(8), ..base }
            }
            Self::Jsmpp | Self::LikeSmppsim => CompatConfig { message_id: Some(IdNotation::Decimal), ..base },
            Self::LikeOpensmppbox => CompatConfig { message_id: Some(IdNotation::Uuid), ..base },
            Self::LikeJasmin => CompatConfig {
                message_id: Some(IdNotation::Uuid),
                wrong_password_status: Some(BindStatus::InvalidPassword),
                too_many_sessions_status: Some(BindStatus::BindFailed),
                ..base
            },
            Self::LikeKsmppd => CompatConfig {
                message_id: Some(IdNotation::Uuid),
                too_many_sessions_status: Some(BindStatus::BindFailed),
                ..base
            },
            Self::LikeRestcomm => CompatConfig {
                message_id: Some(IdNotation::Padded),
                address_range: Some(AddressRangeRule::Own),
                ..base
            },
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
    /// What becomes of a bind of which the account has one of the same type already.
    duplicate_bind: DuplicateBind = DuplicateBind::Allow;
    /// With `probe`: how long the older session has to answer, in milliseconds.
    duplicate_bind_probe_ms: u64 = 2_000;
    /// The status of a bind with a wrong password, from a wrong address, or while the account is disabled.
    wrong_password_status: BindStatus = BindStatus::BindFailed;
    /// The status of a bind beyond `sessions_max`, or that is refused as a duplicate.
    too_many_sessions_status: BindStatus = BindStatus::AlreadyBound;
    /// Longest password that a bind may carry; a longer one is a wrong one.
    password_octets_max: u8 = 64;
    /// What the address_range of a bind may be; another one has ESME_RBINDFAIL.
    address_range: AddressRangeRule = AddressRangeRule::Any;
    /// How long a submit_sm, data_sm or submit_multi over the rate waits, unread, before ESME_RTHROTTLED, in milliseconds.
    throttle_delay_ms: u32 = 0;
    /// What becomes of a session that leaves a delivery unanswered for `response_timeout_ms`.
    unanswered_delivery: Unanswered = Unanswered::Repeat;
}

impl CompatConfig {
    /// `session_init_timeout_ms` is how long a bind can wait.
    pub(super) fn validate_timers(&self, key: &str, session_init_timeout_ms: u64, findings: &mut Findings) {
        let settings = self.settings();
        if settings.duplicate_bind == DuplicateBind::Probe
            && settings.duplicate_bind_probe_ms >= session_init_timeout_ms
        {
            let what = format!(
                "{} is not below smpp.session_init_timeout_ms = {session_init_timeout_ms}: the bind would not live to its answer",
                settings.duplicate_bind_probe_ms
            );
            findings.add(format!("{key}.duplicate_bind_probe_ms"), what);
        }
    }

    pub(super) fn validate(&self, key: &str, findings: &mut Findings) {
        let settings = self.settings();
        if !matches!(settings.receipt_date_digits, 10 | 12 | 14) {
            findings.add(format!("{key}.receipt_date_digits"), "must be 10, 12 or 14");
        }
        let password_octets = (1, PASSWORD_OCTETS_MAX as u64);
        findings.in_range(
            format!("{key}.password_octets_max"),
            u64::from(settings.password_octets_max),
            password_octets,
        );
        let delay = (0, THROTTLE_DELAY_MS_MAX);
        findings.in_range(format!("{key}.throttle_delay_ms"), u64::from(settings.throttle_delay_ms), delay);
        let probe = (PROBE_MS_MIN, PROBE_MS_MAX);
        findings.in_range(format!("{key}.duplicate_bind_probe_ms"), settings.duplicate_bind_probe_ms, probe);
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
