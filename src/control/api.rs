//! The HTTP routes: what each answers, who may ask, and the errors.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::info;

use super::Shared;
use super::exchange::{Answer, NoAnswer};
use super::metrics::{self, Scrape};
use super::mo;
use super::stats;
use crate::base::{AccountId, IdForm};
use crate::config::password;
use crate::control_lane::{ControlRequest, HeldInfo, MessageInfo, MoRefused, SessionInfo};
use crate::smpp::MessageState;
use crate::stats::{Counter, CounterTotals, Latency};

/// Largest request body.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Characters of a refused request's path that are logged.
const LOGGED_PATH_MAX: usize = 64;
/// `/stats` lists the sessions to say what throttles them while there are at most so many.
const LISTED_SESSIONS_MAX: u64 = 256;
/// The page may load nothing from elsewhere, and talks to this server only.
const PAGE_POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";

type Reply = Result<Response, ApiError>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/stats", get(stats))
        .route("/stats/latency/{name}", get(latency))
        .route("/metrics", get(metrics))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/sessions", get(sessions))
        .route("/config", get(config))
        .route("/reload", post(reload))
        .route("/mo", post(inject_mo))
        .route("/messages/{id}", get(message))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "no such path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// What went wrong, as JSON: `{"error", "field"}`, the field where one is to blame.
#[derive(Debug, Serialize)]
pub(super) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), field: None }
    }

    /// 400 because of one field of the body.
    pub(super) fn field(field: &'static str, what: impl std::fmt::Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: format!("{field}: {what}"), field: Some(field) }
    }

    /// 400 because of the body as a whole.
    pub(super) fn body(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }
}

impl From<NoAnswer> for ApiError {
    fn from(error: NoAnswer) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("page.html"))
}

async fn stats(State(shared): State<Arc<Shared>>) -> Reply {
    refresh_latencies(&shared).await?;
    let totals = totals(&shared);
    let sessions = if shared.is_ready() && totals.all_accounts().sessions() <= LISTED_SESSIONS_MAX {
        Some(list_sessions(&shared).await?)
    } else {
        None
    };
    let config = shared.config();
    Ok(Json(stats::collect(&shared, &config, &totals, sessions.as_deref())).into_response())
}

async fn latency(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Reply {
    let Some(latency) = Latency::from_name(&name) else {
        let names: Vec<&str> = Latency::ALL.iter().map(|latency| latency.name()).collect();
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("no such latency, there are {}", names.join(", ")),
        ));
    };
    refresh_latencies(&shared).await?;
    let text =
        shared.latencies.read(|set| crate::stats::hgrm::percentile_distribution(set.histogram(latency)));
    Ok(text.into_response())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Reply {
    refresh_latencies(&shared).await?;
    let scrape = Scrape {
        ready: shared.is_ready(),
        uptime_s: stats::uptime_s(&shared),
        totals: totals(&shared),
        accounts: shared.config().accounts.iter().map(|account| account.system_id.clone()).collect(),
        latencies: shared.latencies.read(Clone::clone),
        store: shared.store(),
    };
    let text = scrape.into_text().map_err(|_| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written as text")
    })?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn ready(State(shared): State<Arc<Shared>>) -> Reply {
    if shared.is_ready() {
        Ok("ready\n".into_response())
    } else {
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down"))
    }
}

async fn sessions(State(shared): State<Arc<Shared>>) -> Reply {
    let sessions = list_sessions(&shared).await?;
    let rows: Vec<Value> = sessions.iter().map(|session| session_row(&shared, session)).collect();
    Ok(Json(json!({ "sessions": rows })).into_response())
}

/// The configuration in effect, secrets redacted. It still tells who may bind from where, so it is not for everybody.
async fn config(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Reply {
    authorize(&shared, &headers)?;
    Ok(([(header::CONTENT_TYPE, "application/toml")], shared.config().to_toml()).into_response())
}

/// Reloads the configuration file; with `?dry_run=true` only says what that would change.
async fn reload(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Reply {
    same_origin(&headers)?;
    authorize(&shared, &headers)?;
    let apply = match query.as_deref() {
        None | Some("" | "dry_run=false") => true,
        Some("dry_run=true") => false,
        Some(_) => {
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "takes dry_run=true, and nothing else"));
        }
    };
    Ok(super::reload::answer(super::reload::reload(&shared, apply).await, apply))
}

async fn inject_mo(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Reply {
    same_origin(&headers)?;
    authorize(&shared, &headers)?;
    let message = mo::parse(&body, |destination| shared.config().alphabet_for(destination))?;
    let shard = (shared.shard_of)(&message.destination_addr, shared.shards);
    let thread = shared.shard_ports.get(usize::from(shard)).copied().ok_or(NoAnswer)?;
    let mut message = Some(Box::new(message));
    let answers = shared
        .exchange
        .ask([thread], |request| ControlRequest::InjectMo {
            request,
            message: message.take().unwrap_or_default(),
        })
        .await?;
    let Some(Answer::InjectMo(result)) = answers.into_iter().next() else {
        return Err(NoAnswer.into());
    };
    match result {
        Ok(id) => Ok((StatusCode::ACCEPTED, Json(json!({ "message_id": id.to_string() }))).into_response()),
        Err(MoRefused::NoOwner | MoRefused::NobodyReceives) => {
            let mut error =
                ApiError::new(StatusCode::NOT_FOUND, "destination_addr: no account owns this address");
            error.field = Some("destination_addr");
            Err(error)
        }
        Err(MoRefused::Full) => {
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the message store is full"))
        }
        Err(MoRefused::ShuttingDown) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down")),
    }
}

async fn message(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Reply {
    let mut threads = shared.shard_ports.clone();
    threads.sort_unstable();
    threads.dedup();
    let mut is_an_id = false;
    for message_id in IdForm::meanings(id.as_bytes()) {
        is_an_id = true;
        let question = |request| ControlRequest::QueryMessage { request, message_id };
        let answers = shared.exchange.ask(threads.clone(), question).await?;
        let known = answers.into_iter().find_map(|answer| match answer {
            Answer::Message(message) => message,
            _ => None,
        });
        if let Some(message) = known {
            return Ok(Json(message_row(&shared, &message)).into_response());
        }
    }
    if is_an_id {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "no such message, or it is forgotten already"));
    }
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "not a message id in any form: 8 or 16 hex digits, a decimal number, one padded to 20 digits, or a UUID of ours",
    ))
}

/// Answers a request unless it is one of a page that has no business here; counts and logs what is refused.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match own_name_only(&shared, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let status = response.status();
    let counter = match status {
        StatusCode::UNAUTHORIZED => Counter::HttpUnauthorized,
        StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE => Counter::HttpRefused,
        _ => return response,
    };
    shared.own_counters.add(counter, 1);
    let path: String = path.chars().take(LOGGED_PATH_MAX).collect();
    info!(status = status.as_u16(), %method, ?path, "HTTP request refused");
    response
}

/// Where loopback is all that keeps strangers out, a request has to name this machine by address, or as localhost: a page of
/// another site whose name has come to mean 127.0.0.1 carries that name (DNS rebinding), and is of the same origin to its browser.
fn own_name_only(shared: &Shared, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    if shared.config().http.admin_token.is_empty() && !host.is_none_or(is_own_name) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "names another host than this machine's address or localhost; set http.admin_token to be asked by name",
        ));
    }
    Ok(())
}

/// Whether a Host header has an address, or localhost, and maybe a port.
fn is_own_name(host: &str) -> bool {
    let is_address = host.parse::<SocketAddr>().is_ok()
        || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    is_address || name.eq_ignore_ascii_case("localhost")
}

/// Refuses a request that a page of another site makes through the operator's browser: those carry their own Origin.
fn same_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (origin, host) = (text(header::ORIGIN), text(header::HOST).unwrap_or_default());
    match origin.map(|origin| origin.split_once("://").map_or("", |(_, authority)| authority)) {
        Some(authority) if authority != host => {
            Err(ApiError::new(StatusCode::FORBIDDEN, "comes from another origin"))
        }
        _ => Ok(()),
    }
}

/// Lets a request that changes something through if it carries the token, where there is one. Without a token HTTP
/// listens on loopback only: the configuration makes sure.
fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), ApiError> {
    let config = shared.config();
    let token = &config.http.admin_token;
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let granted = if token.is_empty() {
        !config.http.is_exposed()
    } else {
        given.is_some_and(|given| password::same(given.as_bytes(), token.expose().as_bytes()))
    };
    if granted {
        Ok(())
    } else {
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "needs `Authorization: Bearer` with the admin token"))
    }
}

/// Brings the latencies up to date. Threads that are about to leave are not asked any more.
async fn refresh_latencies(shared: &Shared) -> Result<(), NoAnswer> {
    if shared.is_ready() { shared.latencies.refresh(&shared.exchange).await } else { Ok(()) }
}

fn totals(shared: &Shared) -> CounterTotals {
    CounterTotals::of(&shared.counters, shared.config().accounts.len())
}

async fn list_sessions(shared: &Shared) -> Result<Vec<SessionInfo>, NoAnswer> {
    let question = |request| ControlRequest::Sessions { request };
    let answers = shared.exchange.ask(shared.exchange.threads(), question).await?;
    let mut sessions: Vec<SessionInfo> = answers
        .into_iter()
        .flat_map(|answer| match answer {
            Answer::Sessions(sessions) => sessions,
            _ => Vec::new(),
        })
        .collect();
    sessions.sort_by_key(|session| (session.account, session.worker, session.peer));
    Ok(sessions)
}

fn system_id(shared: &Shared, account: AccountId) -> String {
    shared.config().accounts.get(account.index()).map_or_else(String::new, |it| it.system_id.clone())
}

fn session_row(shared: &Shared, session: &SessionInfo) -> Value {
    json!({
        "account": system_id(shared, session.account),
        "bind": session.bind,
        "peer": session.peer,
        "interface_version": format!("0x{:02X}", session.interface_version),
        "worker": session.worker,
        "bound_for_ms": session.bound_for_ms,
        "idle_ms": session.idle_ms,
        "window": { "used": session.window.0, "max": session.window.1 },
        "deliver_window": { "used": session.deliver_window.0, "max": session.deliver_window.1 },
        "submitted": session.submitted,
        "delivered": session.delivered,
        "queued_bytes": session.queued_bytes,
        "throttled_by": session.throttled_by,
        "tls": session.tls.as_ref().map(|tls| json!({
            "version": tls.version, "cipher": tls.cipher, "identity": tls.identity
        })),
    })
}

/// A message and its history. What is not known, or does not apply, is null.
fn message_row(shared: &Shared, message: &MessageInfo) -> BTreeMap<&'static str, Value> {
    let at = |unix_ms: u64| if unix_ms == 0 { Value::Null } else { unix_ms.into() };
    let state = MessageState::from_octet(message.message_state).unwrap_or(MessageState::Unknown);
    let mut row = BTreeMap::from([
        ("message_id", message.message_id.to_string().into()),
        ("message_state", format!("{state:?}").to_uppercase().into()),
        ("error_code", message.error_code.into()),
        ("final_unix_ms", at(message.final_unix_ms)),
    ]);
    let held = message.held.as_ref();
    let of_held = |value: &dyn Fn(&HeldInfo) -> Value| held.map_or(Value::Null, value);
    row.extend([
        ("account", of_held(&|held| system_id(shared, held.account).into())),
        ("role", of_held(&|held| held.role.into())),
        ("waits_for", of_held(&|held| held.waits_for.into())),
        ("priority_flag", of_held(&|held| held.priority.into())),
        ("attempts", of_held(&|held| held.attempts.into())),
        ("accepted_unix_ms", of_held(&|held| at(held.accepted_unix_ms))),
        ("scheduled_unix_ms", of_held(&|held| at(held.scheduled_unix_ms))),
        ("next_attempt_unix_ms", of_held(&|held| at(held.next_attempt_unix_ms))),
        ("expires_unix_ms", of_held(&|held| at(held.expires_unix_ms))),
    ]);
    let addresses = held.and_then(|held| held.addresses.as_ref());
    row.extend([
        ("source_addr", addresses.map(|addresses| addresses.0.as_str()).into()),
        ("destination_addr", addresses.map(|addresses| addresses.1.as_str()).into()),
    ]);
    row
}
