//! Statistics in band: an account that wants them gets its counts as a message, at its interval, on one of its receiving
//! sessions. docs/statistics-message.md is what an ESME goes by.
//!
//! They are the figures of `/stats`, taken when the message is made. At most one waits for each account: none is made while
//! no session of the account receives, or while the last one is still held; and none outlives its interval.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::exchange::{Answer, NoAnswer};
use crate::base::{AccountId, MessageId, WallTime};
use crate::config::{AccountConfig, Config};
use crate::control_lane::{ControlRequest, MoMessage, MoRefused};
use crate::smpp::{DateDigits, format_receipt_date};
use crate::stats::{AccountCounter, AccountTotals, CounterTotals};

/// Names the text and its version, which changes when a key goes or means something else.
const HEAD: &str = "smscd-stats:1";

/// Sends what falls due, for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut accounts = Accounts::default();
    loop {
        accounts.adopt(&shared.config(), Instant::now());
        let next = accounts.next();
        tokio::select! {
            () = shared.reconfigured.notified() => continue,
            () = until(next) => {}
        }
        let config = shared.config();
        for (index, due) in accounts.take_due(Instant::now()) {
            let Some(account) = config.accounts.get(index) else { continue };
            if !shared.is_ready() {
                return;
            }
            match send(&shared, index, account, due.last).await {
                Ok(Sent::AnotherWaits) => {}
                Ok(Sent::Result(Ok(id))) => due.last = Some(id),
                Ok(Sent::Result(Err(refused))) => {
                    due.last = None;
                    tracing::debug!(system_id = account.system_id, ?refused, "no statistics sent");
                }
                Err(error) => tracing::debug!(system_id = account.system_id, "no statistics sent: {error}"),
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// An account that wants statistics.
#[derive(Clone, Debug)]
struct Due {
    interval: Duration,
    at: Instant,
    /// The one that was sent last.
    last: Option<MessageId>,
}

/// When each account's next message falls due, by account number.
#[derive(Debug, Default)]
struct Accounts(Vec<Option<Due>>);

impl Accounts {
    /// Goes by this configuration from now on. An account whose interval has changed begins a new one.
    fn adopt(&mut self, config: &Config, now: Instant) {
        self.0.resize(config.accounts.len(), None);
        for (place, account) in self.0.iter_mut().zip(&config.accounts) {
            let interval = Duration::from_millis(account.statistics.interval_ms);
            if interval.is_zero() || !account.enabled {
                *place = None;
            } else if place.as_ref().is_none_or(|due| due.interval != interval) {
                let last = place.take().and_then(|due| due.last);
                *place = Some(Due { interval, at: now + interval, last });
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().map(|due| due.at).min()
    }

    /// Those that are due, by number, each set to its next time. What was missed is not made up for.
    fn take_due(&mut self, now: Instant) -> impl Iterator<Item = (usize, &mut Due)> {
        let due = self.0.iter_mut().enumerate().filter_map(|(index, due)| Some((index, due.as_mut()?)));
        due.filter(move |(_, due)| due.at <= now).map(move |(index, due)| {
            let missed = (now - due.at).as_nanos() / due.interval.as_nanos().max(1);
            due.at += due.interval * u32::try_from(missed + 1).unwrap_or(u32::MAX);
            (index, due)
        })
    }
}

enum Sent {
    AnotherWaits,
    Result(Result<MessageId, MoRefused>),
}

/// Sends an account its counts, unless the `last` message is still held.
async fn send(
    shared: &Shared,
    index: usize,
    account: &AccountConfig,
    last: Option<MessageId>,
) -> Result<Sent, NoAnswer> {
    let message = message(account, &totals(shared, index), wall_time());
    let shard = (shared.shard_of)(&message.destination_addr, shared.shards);
    let thread = shared.shard_ports.get(usize::from(shard)).copied().ok_or(NoAnswer)?;
    if let Some(message_id) = last {
        let question = |request| ControlRequest::QueryMessage { request, message_id };
        let answers = shared.exchange.ask([thread], question).await?;
        let is_held = |answer: &Answer| matches!(answer, Answer::Message(Some(info)) if info.held.is_some());
        if answers.iter().any(is_held) {
            return Ok(Sent::AnotherWaits);
        }
    }
    let mut message = Some(Box::new(message));
    let notify = |request| ControlRequest::Notify {
        request,
        account: AccountId(u16::try_from(index).unwrap_or(u16::MAX)),
        validity_ms: account.statistics.interval_ms,
        message: message.take().unwrap_or_default(),
    };
    match shared.exchange.ask([thread], notify).await?.into_iter().next() {
        Some(Answer::InjectMo(result)) => Ok(Sent::Result(result)),
        _ => Err(NoAnswer),
    }
}

fn totals(shared: &Shared, index: usize) -> AccountTotals {
    let totals = CounterTotals::of(&shared.counters, shared.config().accounts.len());
    totals.accounts().get(index).copied().unwrap_or_default()
}

fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn message(account: &AccountConfig, totals: &AccountTotals, at: WallTime) -> MoMessage {
    let statistics = &account.statistics;
    let destination = match (statistics.destination_addr.as_str(), account.addresses.first()) {
        ("", Some(own)) => own,
        ("", None) => &account.system_id,
        (stated, _) => stated,
    };
    let text = text(totals, at);
    // Of characters that every alphabet has.
    let (data_coding, short_message) = account.default_alphabet.alphabet().encode_or_ucs2(&text);
    MoMessage {
        source_addr: statistics.source_addr.clone().into_bytes(),
        destination_addr: destination.as_bytes().to_vec(),
        data_coding,
        esm_class: 0,
        short_message,
    }
}

/// The text: only characters that ASCII, Latin-1 and the GSM 7-bit alphabet have at the same place.
fn text(totals: &AccountTotals, at: WallTime) -> String {
    let at = format_receipt_date(at, DateDigits::Twelve);
    let at = std::str::from_utf8(at.as_bytes()).unwrap_or_default();
    let ratio = totals.success_ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.4}"));
    format!(
        "{HEAD} at:{at} submitted:{} accepted:{} refused:{} delivered:{} failed:{} pending:{} ratio:{ratio}",
        totals.get(AccountCounter::Submitted),
        totals.get(AccountCounter::Accepted),
        totals.get(AccountCounter::Rejected) + totals.get(AccountCounter::Throttled),
        totals.get(AccountCounter::Delivered),
        totals.finals() - totals.get(AccountCounter::Delivered),
        totals.pending(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::text::{encode_latin1, gsm};
    use crate::stats::ThreadCounters;

    fn totals(counts: &[(AccountCounter, u64)]) -> AccountTotals {
        let thread = Arc::new(ThreadCounters::new(1));
        for &(counter, count) in counts {
            thread.add_account(AccountId(0), counter, count);
        }
        CounterTotals::of(&[thread], 1).accounts()[0]
    }

    fn page() -> String {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(root.join("docs/statistics-message.md")).expect("the page")
    }

    #[test]
    fn the_text_is_that_of_the_page_and_every_key_is_on_it() {
        let at = WallTime::from_unix_millis(1_795_440_495_000);
        let nothing = text(&totals(&[]), at);
        assert_eq!(
            nothing,
            "smscd-stats:1 at:261123132815 submitted:0 accepted:0 refused:0 delivered:0 failed:0 pending:0 ratio:-"
        );
        let some = totals(&[
            (AccountCounter::Submitted, 1_042),
            (AccountCounter::Accepted, 1_000),
            (AccountCounter::Rejected, 2),
            (AccountCounter::Throttled, 40),
            (AccountCounter::Delivered, 931),
            (AccountCounter::Undeliverable, 40),
            (AccountCounter::Expired, 3),
            (AccountCounter::RejectedByNetwork, 6),
            (AccountCounter::Deleted, 1),
        ]);
        let page = page();
        assert!(page.contains(&format!("```\n{}\n```", text(&some, at))), "{}", text(&some, at));
        for word in nothing.split(' ') {
            let (key, _) = word.split_once(':').expect("a key and a value");
            assert!(page.contains(&format!("\n| `{key}` |")), "{key} is not on the page");
        }
    }

    #[test]
    fn the_largest_counts_fit_and_every_alphabet_has_the_characters() {
        let most: Vec<_> = AccountCounter::ALL.iter().map(|&counter| (counter, u64::MAX / 16)).collect();
        let text = text(&totals(&most), WallTime::from_unix_millis(0));
        assert!(text.len() <= 254, "{}", text.len());
        assert_eq!(gsm::encode(&text).as_deref(), Some(text.as_bytes()));
        assert_eq!(encode_latin1(&text).as_deref(), Some(text.as_bytes()));
    }

    #[test]
    fn intervals_are_kept_missed_ones_left_out_and_changed_ones_begun_anew() {
        let (mut accounts, begin) = (Accounts::default(), Instant::now());
        let after = |ms| begin + Duration::from_millis(ms);
        let mut config = Config::default();
        let due =
            |accounts: &mut Accounts, ms| accounts.take_due(after(ms)).map(|(i, _)| i).collect::<Vec<_>>();
        accounts.adopt(&config, begin);
        assert_eq!(accounts.next(), None);
        config.accounts.push(config.accounts[0].clone());
        config.accounts[1].statistics.interval_ms = 1_000;
        accounts.adopt(&config, begin);
        assert_eq!(accounts.next(), Some(after(1_000)));
        assert_eq!((due(&mut accounts, 999), due(&mut accounts, 1_000)), (vec![], vec![1]));
        assert_eq!(due(&mut accounts, 4_500), [1]);
        assert_eq!(accounts.next(), Some(after(5_000)));
        // The same again changes nothing.
        accounts.adopt(&config, after(4_600));
        assert_eq!(accounts.next(), Some(after(5_000)));
        config.accounts[1].statistics.interval_ms = 300;
        accounts.adopt(&config, after(4_600));
        assert_eq!(accounts.next(), Some(after(4_900)));
        config.accounts[1].enabled = false;
        accounts.adopt(&config, after(4_700));
        assert_eq!(accounts.next(), None);
    }

    #[test]
    fn it_goes_to_the_accounts_address_or_its_name() {
        let mut account = AccountConfig::demo();
        let to = |account: &AccountConfig| {
            String::from_utf8(message(account, &totals(&[]), WallTime::default()).destination_addr)
                .expect("text")
        };
        assert_eq!(to(&account), "12345");
        account.statistics.destination_addr = "ops".to_owned();
        assert_eq!(to(&account), "ops");
        account.statistics.destination_addr = String::new();
        account.addresses.clear();
        assert_eq!(to(&account), "demo");
    }
}
