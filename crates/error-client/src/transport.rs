//! Delivery of everything that the client sends: what matters is written to the queue first, one thread delivers, and
//! what cannot be delivered waits.
//!
//! Errors and whatever else must arrive are appended to the queue's file before the call that captured them returns, so
//! that a killed process loses none; fatal ones are synced as well. Transactions and counts wait in memory and move into
//! the queue when the memory is full or the process ends. Without a queue directory everything waits in memory.
//!
//! Memory: at most 4 MiB and 1,000 envelopes beside the one that is being sent, and the queue's index.

mod limits;
pub(crate) mod pace;
mod send;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::limits::{Limits, category};
use self::pace::Pace;
use self::send::{Advice, Outcome, Sender};
use crate::last_resort::last_resort;
use crate::queue::{Importance, Queue, Ticket};
use crate::scrub::scrub_transaction;
use crate::{ClientConfig, ClientError, Destination};
use sentry::client_report::{Reason, Recorder};
use sentry::protocol::{EnvelopeFilterCallbacks, EnvelopeItem, Level};
use sentry::types::Dsn;
use sentry::{Envelope, Transport};

const MEMORY_BYTES_MAX: usize = 4 << 20;
const MEMORY_ENVELOPES_MAX: usize = 1_000;
/// A record on which the server fails is given up when others have passed this often in between.
const OTHERS_PASSED_MAX: u32 = 5;
/// How often an idle thread looks for queues of processes that are no more.
const ADOPT_EVERY: Duration = Duration::from_secs(300);

thread_local! {
    /// Whether this thread is inside the transport: what it logs there must not come back as a report.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread as inside until it is dropped.
struct Inside;

impl Inside {
    fn enter() -> Option<Self> {
        (!INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// An envelope that waits in memory.
struct Held {
    importance: Importance,
    bytes: Vec<u8>,
}

/// A record of the queue on which the server failed. If others pass and this one fails again and again, it is the
/// record's fault and not an outage.
struct Suspect {
    ticket: Ticket,
    /// Whether it was the last that was tried.
    was_last: bool,
    /// How often another one passed.
    others_passed: u32,
}

struct State {
    queue: Option<Queue>,
    memory: VecDeque<Held>,
    memory_bytes: usize,
    pace: Pace,
    limits: Limits,
    suspect: Option<Suspect>,
    is_sending: bool,
    stops: bool,
    has_stopped: bool,
}

/// What the callers and the thread share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    config: Arc<ClientConfig>,
    recorder: Recorder,
}

/// The client's transport.
pub(crate) struct QueueTransport {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is sent next.
enum Next {
    Queued(Ticket),
    Held(Held),
    /// Nothing, for so long.
    Pause(Duration),
    Stop,
}

impl QueueTransport {
    /// Opens the queue and starts the thread. A queue that cannot be opened is logged; everything then waits in memory.
    pub(crate) fn start(config: Arc<ClientConfig>, recorder: Recorder) -> Result<Self, ClientError> {
        let sender = Sender::new(&config)?;
        let queue = config.queue_of_destination().and_then(|queue| match Queue::open(queue) {
            Ok(queue) => Some(queue),
            Err(error) => {
                tracing::warn!(%error, "undelivered reports cannot be kept in files");
                None
            }
        });
        let state = State {
            queue,
            memory: VecDeque::new(),
            memory_bytes: 0,
            pace: Pace::default(),
            limits: Limits::default(),
            suspect: None,
            is_sending: false,
            stops: false,
            has_stopped: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), config, recorder });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("error reports".to_owned())
            .spawn(move || {
                let _inside = Inside::enter();
                worker.run(&sender);
            })
            .map_err(ClientError::Thread)?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }
}

impl Transport for QueueTransport {
    fn send_envelope(&self, envelope: Envelope) {
        let Some(_inside) = Inside::enter() else { return };
        let envelope = scrubbed(envelope, self.shared.config.is_production());
        let importance = importance_of(&envelope);
        let mut bytes = Vec::with_capacity(4 << 10);
        if let Err(error) = envelope.to_writer(&mut bytes) {
            self.shared.give_up(&envelope, Reason::InternalError, &error.to_string());
            return;
        }
        let mut state = self.shared.lock();
        if importance != Importance::Other && state.queue.is_some() {
            match self.shared.enqueue(&mut state, importance, &bytes) {
                Ok(()) => return self.shared.changed.notify_all(),
                Err(error) => {
                    tracing::warn!(%error, "a report cannot be kept in the queue, it waits in memory");
                }
            }
        }
        self.shared.hold(&mut state, Held { importance, bytes });
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until everything is delivered, at most `timeout`; `false` as soon as a delivery fails or the server wants
    /// nothing more for now.
    fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        let failures = state.pace.failures();
        state.pace.hurry();
        self.shared.changed.notify_all();
        loop {
            if !state.is_sending && state.is_empty() {
                return true;
            }
            let now = Instant::now();
            let is_limited = !state.is_sending && state.is_limited(now);
            if state.pace.failures() > failures || is_limited || state.has_stopped || now >= deadline {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Like a flush; what is left moves into the queue for the next start.
    fn shutdown(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let is_flushed = timeout.is_zero() || self.flush(timeout);
        let _inside = Inside::enter();
        let mut state = self.shared.lock();
        state.stops = true;
        self.shared.spill(&mut state);
        self.shared.changed.notify_all();
        // A thread in the middle of a delivery ends with it, and what it delivers stays in the queue until then.
        let grace = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let waited = self.shared.changed.wait_timeout_while(state, grace, |state| !state.has_stopped);
        let has_stopped = waited.unwrap_or_else(PoisonError::into_inner).0.has_stopped;
        if has_stopped && let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // A panic of the thread was already printed.
            let _ = thread.join();
        }
        is_flushed && has_stopped
    }
}

impl Drop for QueueTransport {
    fn drop(&mut self) {
        self.shared.lock().stops = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.queue.as_ref().is_none_or(|queue| queue.len() == 0)
    }

    /// Whether the server wants nothing of what waits.
    fn is_limited(&self, now: Instant) -> bool {
        self.limits.pause("error", now).is_some()
            && self.memory.iter().all(|held| held.importance != Importance::Other)
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.stops {
            return Next::Stop;
        }
        if let Some(pause) = self.pace.pause(now) {
            return Next::Pause(pause);
        }
        let limited = self.limits.pause("error", now);
        let wanted = if limited.is_some() { &Importance::ALL[2..] } else { &Importance::ALL };
        let suspect = self.suspect.as_ref().filter(|suspect| suspect.was_last).map(|suspect| suspect.ticket);
        let in_queue = self
            .queue
            .as_ref()
            .and_then(|queue| queue.first(wanted, suspect).or_else(|| queue.first(wanted, None)));
        let in_memory = self.memory.iter().position(|held| wanted.contains(&held.importance));
        match (in_queue, in_memory) {
            (Some(ticket), at) if at.is_none() || ticket.importance != Importance::Other => {
                Next::Queued(ticket)
            }
            (_, Some(at)) => match self.memory.remove(at) {
                Some(held) => {
                    self.memory_bytes -= held.bytes.len();
                    Next::Held(held)
                }
                None => Next::Pause(ADOPT_EVERY),
            },
            _ => Next::Pause(limited.unwrap_or(ADOPT_EVERY).min(ADOPT_EVERY)),
        }
    }
}

impl State {
    /// Notes that a record passed.
    fn passed(&mut self, ticket: Option<Ticket>) {
        let is_suspect = self.suspect.as_ref().is_some_and(|suspect| Some(suspect.ticket) == ticket);
        if is_suspect {
            self.suspect = None;
        } else if let Some(suspect) = &mut self.suspect {
            suspect.was_last = false;
            suspect.others_passed += 1;
        }
    }

    /// Notes that a record failed; whether it is to be given up.
    fn failed(&mut self, ticket: Option<Ticket>) -> bool {
        match (&mut self.suspect, ticket) {
            (Some(suspect), Some(ticket)) if suspect.ticket == ticket => {
                suspect.was_last = true;
                let is_guilty = suspect.others_passed >= OTHERS_PASSED_MAX;
                if is_guilty {
                    self.suspect = None;
                }
                is_guilty
            }
            (Some(suspect), _) => {
                // An outage: nothing is said about the suspect.
                suspect.was_last = false;
                false
            }
            (None, Some(ticket)) => {
                self.suspect = Some(Suspect { ticket, was_last: true, others_passed: 0 });
                false
            }
            (None, None) => false,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, sender: &Sender) {
        let mut state = self.lock();
        loop {
            match state.next(Instant::now()) {
                Next::Stop => break,
                Next::Pause(pause) => {
                    let waited = self.changed.wait_timeout(state, pause);
                    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    if timeout.timed_out()
                        && let Some(queue) = &mut state.queue
                        && let Err(error) = queue.adopt()
                    {
                        tracing::debug!(%error, "left queues of reports cannot be taken over yet");
                    }
                }
                Next::Queued(ticket) => {
                    let payload = state.queue.as_mut().map_or(Ok(None), |queue| queue.read(ticket));
                    let Ok(Some(payload)) = payload else {
                        tracing::warn!("an undelivered report in the queue is damaged and is left out");
                        if let Some(queue) = &mut state.queue {
                            queue.remove(ticket);
                        }
                        continue;
                    };
                    state = self.deliver(
                        sender,
                        state,
                        Some(ticket),
                        Held { importance: ticket.importance, bytes: payload },
                    );
                }
                Next::Held(held) => state = self.deliver(sender, state, None, held),
            }
        }
        self.spill(&mut state);
        // Closes the files and gives the folder back.
        state.queue = None;
        state.has_stopped = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Sends what was chosen without holding the lock, and notes what became of it.
    fn deliver<'a>(
        &'a self,
        sender: &Sender,
        mut state: MutexGuard<'a, State>,
        ticket: Option<Ticket>,
        mut held: Held,
    ) -> MutexGuard<'a, State> {
        if state.limits.is_any(Instant::now()) {
            match self.without_limited(&state.limits, held.bytes) {
                Some(bytes) => held.bytes = bytes,
                None => {
                    if let (Some(ticket), Some(queue)) = (ticket, &mut state.queue) {
                        queue.remove(ticket);
                    }
                    self.changed.notify_all();
                    return state;
                }
            }
        }
        state.is_sending = true;
        drop(state);
        let outcome = match self.destination() {
            Ok(dsn) => sender.send(&dsn, &held.bytes),
            Err(why) => Outcome::Failed { why, retry_after: None, has_answered: false },
        };
        let mut state = self.lock();
        state.is_sending = false;
        self.settle(&mut state, ticket, held, outcome);
        self.changed.notify_all();
        state
    }

    fn settle(&self, state: &mut State, ticket: Option<Ticket>, held: Held, outcome: Outcome) {
        let now = Instant::now();
        let learn = |state: &mut State, is_429, advice: &Advice| {
            state.limits.learn(is_429, advice.rate_limits.as_deref(), advice.retry_after, now);
        };
        let keeps = match outcome {
            Outcome::Delivered(advice) => {
                if state.pace.failures() > 0 {
                    tracing::info!("reports are delivered again");
                }
                state.pace.succeeded();
                state.passed(ticket);
                learn(state, false, &advice);
                false
            }
            Outcome::Limited(advice) => {
                learn(state, true, &advice);
                let keeps = held.importance != Importance::Other;
                if !keeps {
                    self.record_lost(&held.bytes, Reason::RatelimitBackoff);
                } else if state.limits.pause("error", now).is_none() {
                    state.pace.failed(&self.config.retry, advice.retry_after, jitter(), now);
                }
                keeps
            }
            Outcome::Refused(status) => {
                self.give_up_bytes(
                    &held.bytes,
                    Reason::SendError,
                    &format!("the server refuses it with {status}"),
                );
                false
            }
            Outcome::Failed { why, retry_after, has_answered } => {
                if state.pace.failures() == 0 && state.suspect.is_none() {
                    tracing::warn!(why, "reports cannot be delivered, trying on");
                }
                state.pace.failed(&self.config.retry, retry_after, jitter(), now);
                let keeps = !(has_answered && state.failed(ticket));
                if !keeps {
                    self.give_up_bytes(&held.bytes, Reason::SendError, &format!("{why}, though others pass"));
                }
                keeps
            }
        };
        match (keeps, ticket) {
            (true, Some(_)) => {}
            (true, None) => {
                state.memory_bytes += held.bytes.len();
                // Behind the others: one that the server cannot take must not stop them.
                state.memory.push_back(held);
            }
            (false, Some(ticket)) => {
                if let Some(queue) = &mut state.queue {
                    queue.remove(ticket);
                }
            }
            (false, None) => {}
        }
    }

    /// The envelope without the items that the server does not want now; `None` if nothing is left.
    fn without_limited(&self, limits: &Limits, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let Ok(envelope) = Envelope::from_slice(&bytes) else { return Some(bytes) };
        let now = Instant::now();
        let is_wanted = |item: &EnvelopeItem| limits.pause(category(item), now).is_none();
        if envelope.items().all(is_wanted) {
            return Some(bytes);
        }
        let headers = envelope.headers().clone();
        let lose = |item: EnvelopeItem| self.recorder.record_lost_data(&item, Reason::RatelimitBackoff);
        let left = envelope.filter(EnvelopeFilterCallbacks::new(is_wanted, lose))?.with_headers(headers);
        let mut bytes = Vec::new();
        left.to_writer(&mut bytes).ok().map(|()| bytes)
    }

    fn destination(&self) -> Result<Dsn, String> {
        match &self.config.destination {
            Destination::Dsn(dsn) => dsn.parse().map_err(|error| format!("the DSN is no DSN: {error}")),
            Destination::Later(find) => {
                find().and_then(|dsn| dsn.parse().map_err(|error| format!("the DSN is no DSN: {error}")))
            }
        }
    }

    fn enqueue(&self, state: &mut State, importance: Importance, bytes: &[u8]) -> Result<(), String> {
        let Some(queue) = &mut state.queue else { return Err("there is no queue".to_owned()) };
        let dropped =
            |payload: &[u8]| self.give_up_bytes(payload, Reason::QueueOverflow, "the queue is full");
        queue.append(importance, bytes, dropped).map_err(|error| error.to_string())
    }

    /// Keeps an envelope in memory; when that is full, in the queue; when that fails too, gives up what matters least.
    fn hold(&self, state: &mut State, held: Held) {
        state.memory_bytes += held.bytes.len();
        state.memory.push_back(held);
        while state.memory_bytes > MEMORY_BYTES_MAX || state.memory.len() > MEMORY_ENVELOPES_MAX {
            let least = state.memory.iter().map(|held| held.importance).max();
            let Some(at) = state.memory.iter().position(|held| Some(held.importance) == least) else {
                return;
            };
            let Some(held) = state.memory.remove(at) else { return };
            state.memory_bytes -= held.bytes.len();
            if let Err(why) = self.enqueue(state, held.importance, &held.bytes) {
                self.give_up_bytes(&held.bytes, Reason::QueueOverflow, &why);
            }
        }
    }

    /// Moves what waits in memory into the queue.
    fn spill(&self, state: &mut State) {
        while let Some(held) = state.memory.pop_front() {
            state.memory_bytes -= held.bytes.len();
            if let Err(why) = self.enqueue(state, held.importance, &held.bytes) {
                self.give_up_bytes(&held.bytes, Reason::NetworkError, &why);
            }
        }
    }

    fn record_lost(&self, bytes: &[u8], reason: Reason) {
        if let Ok(envelope) = Envelope::from_slice(bytes) {
            self.recorder.record_lost_data(&envelope, reason);
        }
    }

    fn give_up_bytes(&self, bytes: &[u8], reason: Reason, why: &str) {
        match Envelope::from_slice(bytes) {
            Ok(envelope) => self.give_up(&envelope, reason, why),
            Err(error) => tracing::debug!(%error, "what is given up cannot be read"),
        }
    }

    /// Counts an envelope as lost; an event leaves a line in the local log.
    fn give_up(&self, envelope: &Envelope, reason: Reason, why: &str) {
        self.recorder.record_lost_data(envelope, reason);
        if let Some(event) = envelope.event() {
            last_resort(event, why);
        }
    }
}

/// A random number for the spread of retries.
fn jitter() -> u8 {
    let mut random = [128];
    // Without randomness the pauses are merely not spread.
    let _ = getrandom::fill(&mut random);
    random[0]
}

fn importance_of(envelope: &Envelope) -> Importance {
    let of_item = |item: &EnvelopeItem| match item {
        EnvelopeItem::Event(event) if event.level == Level::Fatal => Importance::Fatal,
        EnvelopeItem::Event(_)
        | EnvelopeItem::SessionUpdate(_)
        | EnvelopeItem::SessionAggregates(_)
        | EnvelopeItem::MonitorCheckIn(_)
        | EnvelopeItem::Attachment(_) => Importance::Error,
        _ => Importance::Other,
    };
    envelope.items().map(of_item).min().unwrap_or(Importance::Other)
}

/// Transactions pass no other hook on their way.
fn scrubbed(envelope: Envelope, is_production: bool) -> Envelope {
    if !envelope.items().any(|item| matches!(item, EnvelopeItem::Transaction(_))) {
        return envelope;
    }
    let mut scrubbed = Envelope::new().with_headers(envelope.headers().clone());
    for mut item in envelope.into_items() {
        if let EnvelopeItem::Transaction(transaction) = &mut item {
            scrub_transaction(transaction, is_production);
        }
        scrubbed.add_item(item);
    }
    scrubbed
}
