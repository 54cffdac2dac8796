//! Checks passwords against argon2id hashes on a thread of its own: a hash takes tens of milliseconds, which no
//! worker has. Its queue is bounded; a bind that finds it full is refused.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::accounts::AccountTable;
use crate::base::{AccountId, SessionHandle};
use crate::control_lane::Wake;
use crate::session::{BindMode, Grant};
use crate::smpp::CommandStatus;

/// Binds that may wait for their verdict.
const QUEUE: usize = 1_024;

/// A password to check.
#[derive(Debug)]
pub struct Question {
    /// Whose bind.
    pub session: SessionHandle,
    /// Against which account.
    pub account: AccountId,
    /// As what it binds.
    pub mode: BindMode,
    /// The password. Never logged.
    pub password: Box<[u8]>,
}

/// The verdict.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Whose bind.
    pub session: SessionHandle,
    /// Let in, or the status to refuse with.
    pub verdict: Result<Grant, CommandStatus>,
}

/// Where the verdicts for one worker's sessions go.
pub struct AnswerPort {
    /// The worker's lane.
    pub answers: Sender<Answer>,
    /// Wakes it.
    pub waker: Arc<dyn Wake>,
}

/// Starts the thread. It ends when every sender of questions is gone.
///
/// # Errors
/// When the thread can't be started.
pub fn start(accounts: Arc<AccountTable>, ports: Vec<AnswerPort>) -> std::io::Result<Sender<Question>> {
    let (sender, questions) = bounded(QUEUE);
    std::thread::Builder::new()
        .name("smscd-auth".into())
        .spawn(move || run(&accounts, &ports, &questions))?;
    Ok(sender)
}

fn run(accounts: &AccountTable, ports: &[AnswerPort], questions: &Receiver<Question>) {
    for question in questions {
        let verdict = judge(accounts, &question);
        let Some(port) = ports.get(usize::from(question.session.worker)) else { continue };
        let answer = Answer { session: question.session, verdict };
        if port.answers.send(answer).is_ok() {
            port.waker.wake();
        } else if verdict.is_ok() {
            accounts.release_session(question.account);
        }
    }
}

fn judge(accounts: &AccountTable, question: &Question) -> Result<Grant, CommandStatus> {
    let account = accounts.get(question.account).ok_or(CommandStatus::ESME_RBINDFAIL)?;
    if !account.accepts(&question.password) {
        return Err(CommandStatus::ESME_RBINDFAIL);
    }
    accounts.admit(question.account, question.mode)
}
