//! Live messages of a project as server-sent events (WHATWG HTML, section 9.2).
//!
//! The stream only says that something changed; the page fetches what it shows. Under load messages are gathered, so
//! that a browser gets at most ten a second, the first one at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use belvedere_accounts::Permission;
use belvedere_kernel::{LiveMessage, ProjectId};
use futures_util::stream;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use crate::layout::Scene;
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;

/// The most streams of this process.
const STREAMS_MAX: usize = 1_000;

/// The most streams of one session: a browser opens at most six.
const STREAMS_PER_SESSION_MAX: usize = 8;

/// Between two messages to a browser.
const GATHER: Duration = Duration::from_millis(100);

const HEARTBEAT: Duration = Duration::from_secs(15);

/// How often a stream makes sure that its session still holds.
const RECHECK: Duration = Duration::from_secs(60);

/// From so many issues on a message stands for any: senders name at most as many, so there may be more.
const ISSUES_MAX: usize = 50;

/// How topics begin that say nothing about issues and come often: only pages that ask for one are told more.
const QUIET: [&str; 4] = ["log.", "monitor.", "event.", "learning."];

/// How many streams are open, in all and per session (by hash of its secret).
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<[u8; 32], usize>>);

/// One open stream; counts until it is dropped.
struct Seat {
    streams: Arc<Streams>,
    session: [u8; 32],
}

impl Streams {
    fn sit(self: &Arc<Self>, secret: &str) -> Option<Seat> {
        let session: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&session).copied().unwrap_or(0);
        if all >= STREAMS_MAX || own >= STREAMS_PER_SESSION_MAX {
            return None;
        }
        open.insert(session, own + 1);
        Some(Seat { streams: Arc::clone(self), session })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.session) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.session);
            }
        }
    }
}

/// `GET /live/{project}`
pub(crate) async fn stream(
    State(state): State<Arc<DashboardState>>,
    axum::Extension(streams): axum::Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(project): Path<String>,
) -> Result<Response, Refusal> {
    let secret = visitor.secret.clone();
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let seat = streams.sit(&secret).ok_or(Refusal::TooMany(10))?;
    let follower = Follower {
        project: scene.id(),
        messages: scene.state.bus.subscribe(),
        state: Arc::clone(&scene.state),
        secret,
        sent_at: None,
        checked_at: Instant::now(),
        _seat: seat,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let data = follower.next().await?;
        let event = Event::default().retry(Duration::from_secs(2)).data(data.to_string());
        Some((Ok::<_, Infallible>(event), follower))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A buffering reverse proxy would hold messages back.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The messages of one project on their way to one browser.
struct Follower {
    project: ProjectId,
    messages: Receiver<LiveMessage>,
    state: Arc<DashboardState>,
    secret: String,
    sent_at: Option<Instant>,
    checked_at: Instant,
    _seat: Seat,
}

impl Follower {
    /// What to tell the browser next; `None` when the stream is over.
    async fn next(&mut self) -> Option<Value> {
        let mut gathered = Gathered::default();
        while gathered.is_empty() {
            let recheck_at = self.checked_at + RECHECK;
            tokio::select! {
                message = self.messages.recv() => match message {
                    Ok(message) => gathered.add(self.project, message),
                    Err(RecvError::Lagged(_)) => gathered.anything(),
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(recheck_at) => self.recheck().await?,
                () = self.state.tasks.stopped() => return None,
            }
        }
        if let Some(sent_at) = self.sent_at {
            tokio::time::sleep_until(sent_at + GATHER).await;
        }
        loop {
            match self.messages.try_recv() {
                Ok(message) => gathered.add(self.project, message),
                Err(TryRecvError::Lagged(_)) => gathered.anything(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.sent_at = Some(Instant::now());
        Some(gathered.into_json())
    }

    /// Goes on only while the session still holds and still may; a database that is away ends nothing.
    async fn recheck(&mut self) -> Option<()> {
        self.checked_at = Instant::now();
        match self.state.sign_in.authenticate_session(&self.secret).await {
            Ok(Some(principal)) => principal.require(Permission::ViewIssues).ok(),
            Ok(None) => None,
            Err(_) => Some(()),
        }
    }
}

/// Several messages as one.
#[derive(Debug, Default)]
struct Gathered {
    topics: Vec<String>,
    issues: Vec<String>,
    /// Whether something else than the named issues may have changed.
    is_broader: bool,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Takes a message of `project` in; others are passed over.
    fn add(&mut self, project: ProjectId, message: LiveMessage) {
        if message.topic == LiveMessage::MISSED {
            return self.anything();
        }
        if message.project != Some(project) {
            return;
        }
        let is_quiet = QUIET.iter().any(|prefix| message.topic.starts_with(prefix));
        if !self.topics.contains(&message.topic) {
            self.topics.push(message.topic);
        }
        if is_quiet {
            return;
        }
        let issues = issues_of(&message.data);
        if issues.is_empty() || self.issues.len() + issues.len() >= ISSUES_MAX {
            self.is_broader = true;
        } else {
            self.issues.extend(issues);
            self.issues.sort();
            self.issues.dedup();
        }
    }

    /// Messages were missed: anything may have changed.
    fn anything(&mut self) {
        self.is_broader = true;
        if self.topics.is_empty() {
            self.topics.push("missed".to_owned());
        }
    }

    fn into_json(self) -> Value {
        let data = if self.is_broader { json!({}) } else { json!({ "issues": self.issues }) };
        json!({ "topics": self.topics, "data": data })
    }
}

/// The ids that a message names under `issue` or `issues`, bare or as `{id}`.
fn issues_of(data: &Value) -> Vec<String> {
    let id = |value: &Value| value.as_str().or_else(|| value.get("id")?.as_str()).map(str::to_owned);
    let many = data.get("issues").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    many.iter().chain(data.get("issue")).filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(project: i64, topic: &str, data: Value) -> LiveMessage {
        LiveMessage { project: Some(ProjectId(project)), topic: topic.to_owned(), data }
    }

    #[test]
    fn messages_are_gathered_and_other_projects_left_out() {
        let mut gathered = Gathered::default();
        gathered.add(ProjectId(7), message(8, "issue.event", json!({"issue": "a"})));
        assert!(gathered.is_empty());
        gathered.add(ProjectId(7), message(7, "issue.events", json!({"issues": [{"id": "b", "events": 3}]})));
        gathered.add(ProjectId(7), message(7, "issue.events", json!({"issues": ["a", "b"]})));
        assert_eq!(gathered.into_json(), json!({"topics": ["issue.events"], "data": {"issues": ["a", "b"]}}));
    }

    #[test]
    fn a_message_that_names_no_issue_stands_for_any() {
        let mut gathered = Gathered::default();
        gathered.add(ProjectId(7), message(7, "issue.event", json!({"issue": "a"})));
        gathered.add(ProjectId(7), message(7, "intake.tallies", json!({})));
        assert_eq!(gathered.into_json(), json!({"topics": ["issue.event", "intake.tallies"], "data": {}}));
        let mut gathered = Gathered::default();
        gathered.add(ProjectId(7), LiveMessage::missed());
        assert_eq!(gathered.into_json(), json!({"topics": ["missed"], "data": {}}));
    }

    #[test]
    fn runs_of_jobs_and_logs_say_nothing_about_issues() {
        let mut gathered = Gathered::default();
        gathered.add(ProjectId(7), message(7, "issue.events", json!({"issues": ["a"]})));
        gathered.add(ProjectId(7), message(7, "monitor.runs", json!({})));
        gathered.add(ProjectId(7), message(7, "log.records", json!({"records": 9})));
        assert_eq!(
            gathered.into_json(),
            json!({"topics": ["issue.events", "monitor.runs", "log.records"], "data": {"issues": ["a"]}})
        );
    }

    #[test]
    fn streams_are_limited_per_session_and_seats_are_given_back() {
        let streams = Arc::new(Streams::default());
        let seats: Vec<_> = (0..8).map(|_| streams.sit("a").unwrap()).collect();
        assert!(streams.sit("a").is_none());
        assert!(streams.sit("b").is_some());
        drop(seats);
        assert!(streams.sit("a").is_some());
    }
}
