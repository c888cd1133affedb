//! Concurrent requests share commits: while one is written, the next ones gather. Between commits, postings are merged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use belvedere_kernel::{Tasks, error_chain};
use belvedere_storage::StorageError;
use tokio::sync::mpsc;

use crate::XapiError;
use crate::commit::{Command, Work};
use crate::core::Core;
use crate::recent::Merge;

/// The most requests that wait; further ones wait for their turn to wait.
pub(crate) const WAITING_MAX: usize = 1_024;

/// The most requests of one transaction, and about how many statements it has.
const COMMANDS_MAX: usize = 256;
const STATEMENTS_MAX: usize = 4_000;

/// How long those are waited for who were answered last and may ask again, and how long when nobody comes: what many requests
/// share of a commit costs more than that.
const GATHER_MAX: Duration = Duration::from_micros(500);
const GATHER_QUIET: Duration = Duration::from_micros(100);

/// How many statements nobody is waited for besides.
const ENOUGH: usize = 16;

/// How long after the word to stop a quiet queue is still listened to, for requests that are being read.
const QUIET: Duration = Duration::from_millis(300);

/// Writes what arrives until `tasks` are told to stop and nothing arrives any more.
pub(crate) async fn run(core: Arc<Core>, mut receiver: mpsc::Receiver<Command>, tasks: Tasks) {
    let mut answered = 0;
    let mut merge: Option<Merge> = None;
    loop {
        let expected = receiver.len() + answered;
        let first = if merge.is_some() && !tasks.is_stopped() {
            receiver.try_recv().ok()
        } else {
            merge = None;
            let first = tokio::select! {
                first = receiver.recv() => first,
                () = stopped_for(&tasks) => None,
            };
            let Some(first) = first else { break };
            Some(first)
        };
        if let Some(first) = first {
            let commands = gather(&mut receiver, first, expected).await;
            answered = commands.len();
            write(&core, commands).await;
        }
        merge = go_on(&core, merge).await.unwrap_or_else(|error| {
            tracing::warn!(
                error = error_chain(&error),
                "postings of statements are not merged, that is tried again"
            );
            None
        });
    }
}

/// `first`, what waits, and what comes at once until there are as many as `expected`.
async fn gather(receiver: &mut mpsc::Receiver<Command>, first: Command, expected: usize) -> Vec<Command> {
    let mut statements = weight(&first);
    let mut commands = vec![first];
    let begun = Instant::now();
    let mut came = begun;
    while commands.len() < COMMANDS_MAX && statements < STATEMENTS_MAX {
        if let Ok(next) = receiver.try_recv() {
            statements += weight(&next);
            commands.push(next);
            came = Instant::now();
        } else if commands.len() >= expected
            || statements >= ENOUGH
            || begun.elapsed() > GATHER_MAX
            || came.elapsed() > GATHER_QUIET
        {
            break;
        } else {
            tokio::task::yield_now().await;
        }
    }
    commands
}

/// Merges some postings; what is left to be merged.
async fn go_on(core: &Core, merge: Option<Merge>) -> Result<Option<Merge>, StorageError> {
    let merge = match merge {
        None => Merge::begin(&core.parts.db, &core.recents).await?,
        merge => merge,
    };
    let Some(mut merge) = merge else { return Ok(None) };
    let is_done = merge.go_on(&core.parts.db).await?;
    Ok((!is_done).then_some(merge))
}

async fn stopped_for(tasks: &Tasks) {
    tasks.stopped().await;
    tokio::time::sleep(QUIET).await;
}

fn weight(command: &Command) -> usize {
    match &command.work {
        Work::Statements { prepared, .. } => prepared.len(),
        Work::Document(_) => 1,
    }
}

async fn write(core: &Core, commands: Vec<Command>) {
    match core.commit(&commands).await {
        Ok(answers) => {
            for (command, answer) in commands.into_iter().zip(answers) {
                // Who does not wait any more has gone.
                let _ = command.reply.send(answer);
            }
        }
        // Something in one of them that the database refuses is no reason to refuse the others.
        Err(error) if !error.is_transient() && commands.len() > 1 => {
            for command in commands {
                let alone = [command];
                let answer = core.commit(&alone).await;
                let [command] = alone;
                let _ = command
                    .reply
                    .send(answer.and_then(|mut answers| answers.pop().unwrap_or(Err(XapiError::Closed))));
            }
        }
        Err(error) => {
            tracing::debug!(
                error = error_chain(&error),
                requests = commands.len(),
                "xAPI records were not written"
            );
            for command in commands {
                let _ = command.reply.send(Err(error.clone()));
            }
        }
    }
}
