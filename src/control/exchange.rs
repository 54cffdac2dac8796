//! Questions to the hot threads and their answers: one question to some threads, one answer from each of them or none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use crate::base::MessageId;
use crate::control_lane::{ControlPort, ControlReply, ControlRequest, MessageInfo, MoRefused, SessionInfo};
use crate::limits::REQUESTS_OPEN_MAX;

/// How long the threads have to answer, and how long a question may wait for its turn.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// One thread's answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its latencies have been taken in.
    Snapshot,
    Sessions(Vec<SessionInfo>),
    InjectMo(Result<MessageId, MoRefused>),
    Message(Option<MessageInfo>),
}

/// A thread has left, is stuck, or took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine did not answer in time")]
pub(super) struct NoAnswer;

/// Control's ends of all lanes.
pub(super) struct Exchange {
    ports: Vec<ControlPort>,
    open: Semaphore,
    waiting: Mutex<HashMap<u64, mpsc::UnboundedSender<Answer>>>,
    next_request: AtomicU64,
    left: watch::Sender<Vec<bool>>,
    /// The first thread that could not go on, and why.
    failed: watch::Sender<Option<String>>,
}

impl Exchange {
    pub(super) fn new(ports: Vec<ControlPort>) -> Self {
        let left = watch::Sender::new(vec![false; ports.len()]);
        Self {
            ports,
            open: Semaphore::new(REQUESTS_OPEN_MAX),
            waiting: Mutex::default(),
            next_request: AtomicU64::new(1),
            left,
            failed: watch::Sender::new(None),
        }
    }

    /// Completes when a thread could not go on: which, and why.
    pub(super) async fn failure(&self) -> String {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // Never: the sender lives as long as this.
            Err(_) => std::future::pending().await,
        }
    }

    /// Indices of all threads.
    pub(super) fn threads(&self) -> std::ops::Range<usize> {
        0..self.ports.len()
    }

    /// Asks `threads` what `question` makes of the request's number; their answers in the order of arrival.
    pub(super) async fn ask(
        &self,
        threads: impl IntoIterator<Item = usize>,
        question: impl FnMut(u64) -> ControlRequest,
    ) -> Result<Vec<Answer>, NoAnswer> {
        timeout(ANSWER_TIMEOUT, self.ask_untimed(threads, question)).await.unwrap_or(Err(NoAnswer))
    }

    async fn ask_untimed(
        &self,
        threads: impl IntoIterator<Item = usize>,
        mut question: impl FnMut(u64) -> ControlRequest,
    ) -> Result<Vec<Answer>, NoAnswer> {
        let _permit = self.open.acquire().await.map_err(|_| NoAnswer)?;
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        // As many answers as threads are asked, so the channel needs no bound of its own.
        let (sender, mut receiver) = mpsc::unbounded_channel();
        self.waiting.lock().insert(request, sender);
        let _forget = Forget { exchange: self, request };
        let mut asked = 0;
        for thread in threads {
            let port = self.ports.get(thread).ok_or(NoAnswer)?;
            port.send(question(request)).map_err(|_| NoAnswer)?;
            asked += 1;
        }
        let mut answers = Vec::with_capacity(asked);
        while answers.len() < asked {
            answers.push(receiver.recv().await.ok_or(NoAnswer)?);
        }
        Ok(answers)
    }

    /// Takes in a reply from the lane.
    pub(super) fn take(&self, reply: ControlReply) {
        match reply {
            ControlReply::Snapshot { request, .. } => self.answered(request, Answer::Snapshot),
            ControlReply::Sessions { request, sessions, .. } => {
                self.answered(request, Answer::Sessions(sessions));
            }
            ControlReply::InjectMo { request, result } => self.answered(request, Answer::InjectMo(result)),
            ControlReply::Message { request, message, .. } => {
                self.answered(request, Answer::Message(message));
            }
            ControlReply::Failed { thread, why } => {
                self.failed.send_modify(|failed| {
                    failed.get_or_insert_with(|| format!("runtime thread {thread}: {why}"));
                });
            }
            ControlReply::Left { thread } => self.left.send_modify(|left| {
                if let Some(left) = left.get_mut(thread) {
                    *left = true;
                }
            }),
        }
    }

    /// Hands one answer to its question, if that still waits.
    pub(super) fn answered(&self, request: u64, answer: Answer) {
        if let Some(sender) = self.waiting.lock().get(&request) {
            let _ = sender.send(answer);
        }
    }

    /// Tells every thread to shut down and waits until all have left, at most for `limit`. Which have.
    pub(super) async fn shutdown(&self, limit: Duration) -> Vec<bool> {
        for (thread, port) in self.ports.iter().enumerate() {
            if port.send(ControlRequest::Shutdown).is_err() {
                tracing::error!("thread {thread} takes no requests");
            }
        }
        let mut left = self.left.subscribe();
        let _ = timeout(limit, left.wait_for(|left| left.iter().all(|&left| left))).await;
        self.left.borrow().clone()
    }
}

/// Stops waiting for answers, however the question ends.
struct Forget<'a> {
    exchange: &'a Exchange,
    request: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.exchange.waiting.lock().remove(&self.request);
    }
}
