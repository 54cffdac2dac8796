//! Checks passwords against argon2id hashes on threads of their own: a hash takes tens of milliseconds, which no worker
//! has. Their queue is bounded; a bind that finds it full is answered ESME_RTHROTTLED.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::debug;

use super::accounts::{AccountTable, Attempt};
use super::clock::Clock;
use crate::base::SessionHandle;
use crate::control_lane::Wake;

/// Binds that may wait for their verdict.
const QUEUE: usize = 1_024;
/// Steps below the workers on the scheduler's scale: a storm of binds takes what the traffic leaves, and at least a share.
const NICENESS: i32 = 10;

/// A password to check.
#[derive(Debug)]
pub struct Question {
    /// By the accounts as they were then.
    pub accounts: Arc<AccountTable>,
    /// What is attempted.
    pub attempt: Attempt,
    /// The password. Never logged.
    pub password: Box<[u8]>,
}

/// What a worker is told about a bind.
#[derive(Clone, Copy, Debug)]
pub enum BindWord {
    /// Its password was found right or wrong. The worker that hosts the session settles the attempt with that.
    Verdict {
        /// What was attempted.
        attempt: Attempt,
        /// Whether the password was right.
        right: bool,
    },
    /// This session of the worker's has lost its place to another one.
    Replaced(SessionHandle),
    /// A bind waits to hear whether this session of the worker's is still there.
    Ask {
        /// The session.
        older: SessionHandle,
        /// The bind.
        attempt: Attempt,
    },
    /// The answer to that.
    Asked {
        /// The bind.
        attempt: Attempt,
        /// Whether the older session is still there.
        is_there: bool,
    },
}

/// The way to one worker for all that is about binds.
#[derive(Clone)]
pub struct BindPort {
    /// The worker's lane.
    pub words: Sender<BindWord>,
    /// Wakes it.
    pub waker: Arc<dyn Wake>,
}

/// Starts so many threads. They end when every sender of questions is gone.
///
/// # Errors
/// When a thread can't be started.
pub fn start(threads: u16, clock: Clock, ports: &[BindPort]) -> std::io::Result<Sender<Question>> {
    let (sender, questions) = bounded(QUEUE);
    for index in 0..threads {
        let (questions, ports) = (questions.clone(), ports.to_vec());
        std::thread::Builder::new().name(format!("smscd-auth-{index}")).spawn(move || {
            // On Linux this is the calling thread's alone. Without it only the latency under a storm of binds differs.
            if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                debug!(%error, "the authenticator runs at normal priority");
            }
            run(clock, &ports, &questions);
        })?;
    }
    Ok(sender)
}

fn run(clock: Clock, ports: &[BindPort], questions: &Receiver<Question>) {
    for Question { accounts, attempt, password } in questions {
        // Those that came before it in the queue may have been guesses of the same peer.
        let right = !accounts.is_limited(&attempt, clock.time()) && accounts.verify(&attempt, &password);
        let Some(port) = ports.get(usize::from(attempt.session.worker)) else { continue };
        if port.words.send(BindWord::Verdict { attempt, right }).is_ok() {
            port.waker.wake();
        }
    }
}
