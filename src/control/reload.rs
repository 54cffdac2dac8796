//! Reloading the configuration on request: SIGHUP and POST /reload do the same, and say the same in log and answer.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::signal::unix::Signal;
use tracing::{error, info, warn};

use super::Shared;
use crate::config::{Applied, Change, Config, Problem};

/// Whoever can read the configuration again and apply what has changed.
pub trait Reload: Send + Sync {
    /// Reads the configuration again, and applies it if `apply` says so. May take seconds: not for the control thread.
    ///
    /// # Errors
    /// Why nothing, or in the case of [`ReloadError::Failed`] not all, has changed.
    fn reload(&self, apply: bool) -> Result<Reloaded, ReloadError>;
}

/// What a reload has found.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The configuration in effect.
    pub config: Arc<Config>,
    /// What differed.
    pub changes: Vec<Change>,
}

/// Why a reload has failed.
#[derive(Clone, Debug)]
pub enum ReloadError {
    /// The configuration is wrong. Nothing has changed.
    Config(Vec<Problem>),
    /// Something that it names can't be used. Nothing has changed.
    Refused(String),
    /// It could not be applied everywhere.
    Failed(String),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => {
                for (i, problem) in problems.iter().enumerate() {
                    write!(f, "{}{problem}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Refused(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

/// Reloads, and takes note of what is in effect then.
pub(super) async fn reload(shared: &Arc<Shared>, apply: bool) -> Result<Reloaded, ReloadError> {
    let reload = Arc::clone(&shared.reload);
    // It reads files and waits for threads: beside the one that serves.
    let result = tokio::task::spawn_blocking(move || reload.reload(apply)).await;
    let result = result.unwrap_or_else(|error| Err(ReloadError::Failed(error.to_string())));
    match &result {
        Ok(reloaded) if apply => {
            *shared.config.write() = Arc::clone(&reloaded.config);
            shared.reconfigured.notify_one();
            for change in &reloaded.changes {
                match change.applied() {
                    Applied::AtRestart => warn!("configuration: {change}"),
                    Applied::Now | Applied::NextBind => info!("configuration: {change}"),
                }
            }
            info!(changes = reloaded.changes.len(), "configuration reloaded");
        }
        Ok(_) => {}
        Err(error @ ReloadError::Failed(_)) => {
            error!("the configuration was not taken over everywhere: {error}")
        }
        Err(error) => error!("the configuration stays as it is: {error}"),
    }
    result
}

/// Reloads at each signal, for ever.
pub(super) async fn at_each(hangup: Option<Signal>, shared: Arc<Shared>) {
    let Some(mut hangup) = hangup else { return };
    while hangup.recv().await.is_some() {
        info!("SIGHUP: reloading the configuration");
        // Said in the log, either way.
        let _ = reload(&shared, true).await;
    }
}

/// The answer to POST /reload.
pub(super) fn answer(result: Result<Reloaded, ReloadError>, applied: bool) -> Response {
    match result {
        Ok(reloaded) => {
            let changes: Vec<Value> = reloaded.changes.iter().map(change).collect();
            Json(json!({ "applied": applied, "changes": changes })).into_response()
        }
        Err(error) => {
            let (status, problems) = match &error {
                ReloadError::Config(problems) => (StatusCode::UNPROCESSABLE_ENTITY, problems.as_slice()),
                ReloadError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, &[][..]),
                ReloadError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, &[][..]),
            };
            let problems: Vec<Value> = problems
                .iter()
                .map(|it| json!({ "place": it.place, "key": it.key, "what": it.what }))
                .collect();
            (status, Json(json!({ "error": error.to_string(), "problems": problems }))).into_response()
        }
    }
}

fn change(change: &Change) -> Value {
    json!({
        "change": change.kind(),
        "account": change.account(),
        "key": change.key(),
        "takes_effect": change.applied().name(),
    })
}
