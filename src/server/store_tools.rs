//! `smscd store`: looks at the store of a data folder that no daemon uses, and changes nothing in it.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::data_dir::{DataDir, Manifest};
use crate::base::AccountId;
use crate::config::Config;
use crate::runtime::segment_folder::{SegmentFolder, SegmentOnDisk};
use crate::smpp::text::DefaultAlphabet;
use crate::smpp::{PduBody, SmFields};
use crate::store::Record;
use crate::store::journal::{self, Access, AccountNumbers, JournalSettings, Recovered, RecoveryReport};

/// What a record is, by its stage.
const KINDS: [&str; 6] = ["mt", "mo", "receipt", "notification", "alert", "broadcast"];
/// message_state (3.4 section 5.2.28), as far as the store keeps it.
const STATES: [&str; 10] = [
    "scheduled",
    "enroute",
    "delivered",
    "expired",
    "deleted",
    "undeliverable",
    "accepted",
    "unknown",
    "rejected",
    "skipped",
];

/// A store, opened to be read.
struct Opened {
    /// Held while it is read.
    _data: DataDir,
    manifest: Manifest,
    shards: Vec<Recovered<SegmentOnDisk>>,
}

fn open(path: &Path) -> anyhow::Result<Opened> {
    let data = DataDir::take_to_read(path)?;
    let manifest = data.manifest()?.with_context(|| format!("{} holds no store", path.display()))?;
    let shards = (0..manifest.shards)
        .map(|shard| {
            let folder = data.shard(manifest.layout, shard);
            let settings = JournalSettings {
                messages_max: manifest.messages_max,
                ..JournalSettings::new(manifest.segment_id(shard))
            };
            journal::open(&mut SegmentFolder::read_only(&folder), &settings, Access::ReadOnly)
                .with_context(|| format!("the store in {}", folder.display()))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Opened { _data: data, manifest, shards })
}

/// Verifies every segment in use, prints what is pending by kind and state, and every damage. False: there is damage.
///
/// # Errors
/// When the store can't be opened or the output not written.
pub(super) fn check(path: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let opened = open(path)?;
    let mut counts = [[0_u64; STATES.len()]; KINDS.len()];
    let mut damaged = 0;
    for (shard, recovered) in opened.shards.iter().enumerate() {
        recovered.visit(&AccountNumbers::default(), &mut |_, record, _| {
            let kind = usize::from(record.stage).min(KINDS.len() - 1);
            let state = usize::from(record.state).min(STATES.len() - 1);
            counts[kind][state] += 1;
        });
        let report = recovered.report();
        damaged += report.damaged;
        tell_shard(out, shard, report)?;
    }
    for (kind, states) in KINDS.iter().zip(counts) {
        for (state, count) in STATES.iter().zip(states).filter(|(_, count)| *count > 0) {
            writeln!(out, "pending {kind} {state}: {count}")?;
        }
    }
    let total: u64 = counts.iter().flatten().sum();
    writeln!(out, "pending in all: {total}")?;
    writeln!(out, "{}", if damaged == 0 { "no damage" } else { "the store is damaged" })?;
    Ok(damaged == 0)
}

fn tell_shard(out: &mut impl Write, shard: usize, report: &RecoveryReport) -> anyhow::Result<()> {
    writeln!(
        out,
        "shard {shard}: {} messages, {} segments, {} frames, {} octets, {}",
        report.messages,
        report.segments,
        report.frames,
        report.bytes,
        if report.is_clean_stop { "stopped in order" } else { "cut off or new" }
    )?;
    if let Some((file, offset)) = report.torn_tail {
        writeln!(
            out,
            "shard {shard}: segment-{file:08} ends in a half-written frame at {offset}: nothing is lost"
        )?;
    }
    for damage in &report.damage {
        writeln!(
            out,
            "shard {shard}: DAMAGE in segment-{:08} (segment {}) at {}: {} entries lost",
            damage.file, damage.segment, damage.offset, damage.lost_entries
        )?;
    }
    if report.damaged > report.damage.len() as u64 {
        writeln!(out, "shard {shard}: DAMAGE in {} places in all", report.damaged)?;
    }
    Ok(())
}

/// One pending message. Times are Unix milliseconds.
#[derive(Serialize)]
struct Line<'a> {
    shard: usize,
    message_id: String,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    kind: &'static str,
    state: &'static str,
    interface_version: u8,
    error: u16,
    attempts: u16,
    accepted_ms: u64,
    due_ms: u64,
    expires_ms: u64,
    finished_ms: u64,
    #[serde(flatten)]
    body: Option<Body>,
}

#[derive(Serialize)]
struct Body {
    source_addr: Option<String>,
    destination_addr: Option<String>,
    data_coding: Option<u8>,
    /// The user data without its UDH, where data_coding says that it is text.
    text: Option<String>,
    /// The PDU's body in hexadecimal.
    body: String,
}

/// Prints every pending message as a line of JSON, oldest first in each shard. With bodies, their text is read as the
/// accounts of `config` mean it.
///
/// # Errors
/// When the store can't be opened or the output not written.
pub(super) fn dump(
    path: &Path,
    with_bodies: bool,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let opened = open(path)?;
    let alphabet = |account: AccountId| {
        let name = opened.manifest.accounts.get(account.index());
        let account = config.accounts.iter().find(|account| Some(&account.system_id) == name);
        account.map_or_else(DefaultAlphabet::default, |account| account.default_alphabet.alphabet())
    };
    for (shard, recovered) in opened.shards.iter().enumerate() {
        let mut result = Ok(());
        recovered.visit(&AccountNumbers::default(), &mut |_, record, body| {
            if result.is_ok() {
                let line = line(
                    &opened.manifest,
                    shard,
                    record,
                    with_bodies.then(|| describe(body, alphabet(record.account))),
                );
                result = serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from);
                result = std::mem::replace(&mut result, Ok(())).and_then(|()| out.write_all(b"\n"));
            }
        });
        result?;
    }
    Ok(())
}

fn line<'a>(manifest: &'a Manifest, shard: usize, record: &Record, body: Option<Body>) -> Line<'a> {
    let account = |account: AccountId| manifest.accounts.get(account.index()).map_or("?", String::as_str);
    Line {
        shard,
        message_id: record.id.to_string(),
        account: account(record.account),
        target: record.target.map(account),
        kind: KINDS.get(usize::from(record.stage)).copied().unwrap_or("?"),
        state: STATES.get(usize::from(record.state)).copied().unwrap_or("?"),
        interface_version: record.version,
        error: record.error,
        attempts: record.attempts,
        accepted_ms: record.accepted.unix_millis(),
        due_ms: record.due.unix_millis(),
        expires_ms: record.expires.unix_millis(),
        finished_ms: record.finished.unix_millis(),
        body,
    }
}

fn describe(body: &[u8], alphabet: DefaultAlphabet) -> Body {
    let text = |address: &[u8]| String::from_utf8_lossy(address).into_owned();
    let sm = SmFields::decode(body).ok();
    Body {
        source_addr: sm.as_ref().map(|sm| text(sm.source_addr)),
        destination_addr: sm.as_ref().map(|sm| text(sm.destination_addr)),
        data_coding: sm.as_ref().map(|sm| sm.data_coding),
        text: sm.as_ref().and_then(|sm| alphabet.text_of(sm.user_data(), sm.data_coding, sm.esm_class)),
        body: body.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

/// Prints the sizes of the store.
///
/// # Errors
/// When the store can't be opened or the output not written.
pub(super) fn stats(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let opened = open(path)?;
    writeln!(out, "shards: {}", opened.shards.len())?;
    for (shard, recovered) in opened.shards.iter().enumerate() {
        let sizes = recovered.sizes();
        writeln!(
            out,
            "shard {shard}: {} messages in {} octets; {} segments in use and {} spare, {} octets of files; \
             last entry {}",
            recovered.report().messages,
            sizes.live_bytes,
            sizes.segments,
            sizes.spares,
            sizes.file_bytes,
            recovered.lsn()
        )?;
    }
    Ok(())
}
