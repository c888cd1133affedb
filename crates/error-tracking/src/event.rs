//! Events as one shape: whatever dialect of Sentry's event JSON arrives, what is stored looks the same.
//!
//! Source: <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/>. The stored shape differs from
//! what SDKs may send in these points:
//! - `exception`, `threads` and `breadcrumbs` are objects with a `values` array of objects; frames are objects whose
//!   `in_app` is always set, outermost first.
//! - `logentry` holds every message (`formatted`, and `message` and `params` where they came apart); there is no
//!   `message`. `tags` and `request.headers` are arrays of pairs of strings.
//! - `level` is one of five words, `timestamp` the corrected time as RFC 3339, `event_id` 32 digits.
//! - `user` is gone, and so are the addresses and the user agent of the request.

mod browser;
mod limits;
mod parse;
mod person;
mod shape;
mod title;

use belvedere_kernel::{Identity, Removal};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value};

use crate::Level;
use crate::event_id::EventId;
use crate::timestamp::{correct, parse_timestamp};

pub(crate) use limits::clean;
pub(crate) use parse::{Extent, parse_event, parse_measured};
pub(crate) use title::{describe, main_exception};

/// The longest title, in characters.
pub(crate) const TITLE_CHARS_MAX: usize = 512;

/// The longest culprit, in characters.
pub(crate) const CULPRIT_CHARS_MAX: usize = 256;

/// Why JSON is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidEvent {
    /// It is not JSON.
    #[error("not JSON (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It is JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// It has an id that is none.
    #[error("event_id is not 32 hexadecimal digits")]
    EventId,
    /// It is larger than an event may be.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The most bytes of one event.
        limit: usize,
    },
    /// It is a feedback without a message.
    #[error("nothing is said in it")]
    NothingSaid,
    /// A rule of the project says that it is not wanted.
    #[error("left out by the project's grouping rule `{0}`")]
    IgnoredByRule(String),
    /// It cannot be written out again.
    #[error("cannot be packed: {0}")]
    Unwritable(String),
}

impl InvalidEvent {
    /// Under which reason such an event is counted.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::IgnoredByRule(_) => "ignored_by_rule",
            _ => "invalid",
        }
    }

    pub(crate) fn unwritable(error: impl std::fmt::Display) -> Self {
        Self::Unwritable(error.to_string())
    }
}

/// What is known of an event beside its payload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival<'a> {
    /// When it was received.
    pub(crate) received_at: Timestamp,
    /// The client's clock at sending.
    pub(crate) sent_at: Option<Timestamp>,
    /// The id in the envelope's headers, which goes before the payload's own.
    pub(crate) event_id: Option<EventId>,
    /// The id that was answered for an event that has none.
    pub(crate) assigned_id: Option<EventId>,
    /// The sender's address.
    pub(crate) remote_ip: Option<&'a str>,
    /// The event as it was received, where that is at hand: it tells quickly which identifiers occur at all.
    pub(crate) raw: Option<&'a [u8]>,
    /// How large its parts were as it was received, where that is known: it tells quickly whether anything is too large.
    pub(crate) extent: Option<Extent>,
}

/// An event in the stored shape, still with the person it happened to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Normalised {
    pub(crate) event_id: EventId,
    pub(crate) occurred_at: Timestamp,
    pub(crate) time_was_clamped: bool,
    pub(crate) level: Level,
    pub(crate) platform: String,
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) removals: Vec<Removal>,
    pub(crate) payload: Value,
}

/// Brings an event into the stored shape, within limits, and takes the person out of it.
///
/// # Errors
/// [`InvalidEvent`] if it is not an object, or its id is none and no other is known.
pub(crate) fn normalise(payload: Value, arrival: &Arrival<'_>) -> Result<Normalised, InvalidEvent> {
    let Value::Object(mut event) = payload else { return Err(InvalidEvent::NotAnObject) };
    let event_id = event_id_of(&event, arrival)?;
    let occurrence =
        correct(event.get("timestamp").and_then(parse_timestamp), arrival.sent_at, arrival.received_at);

    shape::unify(&mut event);
    let level = shape::take_level(&mut event);
    let platform = shape::take_platform(&mut event);
    let mut removals = Vec::new();
    limits::cut_lists(&mut event, &mut removals);
    shape::mark_in_app(&mut event, &platform);
    if occurrence.correction_micros != 0 {
        shape::correct_breadcrumbs(&mut event, occurrence.correction_micros);
    }
    let mut taken = person::Taken::default();
    let identity = person::take_identity(&mut event, &platform, arrival.remote_ip, &mut taken, &mut removals);
    person::take_client_traces(&mut event, &mut taken, &mut removals);
    let needles = person::Needles::new(&identity, arrival.raw, &taken);
    limits::trim(&mut event, &needles, &mut removals, arrival.extent.as_ref());

    let release = shape::text_of(&event, "release", 250);
    let environment = shape::text_of(&event, "environment", 64);
    event.insert("event_id".to_owned(), event_id.to_string().into());
    event.insert("timestamp".to_owned(), occurrence.at.to_string().into());
    event.insert("level".to_owned(), level.as_str().into());
    event.insert("platform".to_owned(), platform.as_str().into());
    Ok(Normalised {
        event_id,
        occurred_at: occurrence.at,
        time_was_clamped: occurrence.was_clamped,
        level,
        platform,
        release,
        environment,
        identity,
        removals,
        payload: Value::Object(event),
    })
}

fn event_id_of(event: &Map<String, Value>, arrival: &Arrival<'_>) -> Result<EventId, InvalidEvent> {
    let own = match event.get("event_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.parse().map_err(|_| InvalidEvent::EventId)),
        Some(_) => Some(Err(InvalidEvent::EventId)),
    };
    match (arrival.event_id, own, arrival.assigned_id) {
        (Some(id), _, _) | (None, Some(Ok(id)), _) | (None, _, Some(id)) => Ok(id),
        (None, Some(Err(error)), None) => Err(error),
        (None, None, None) => Ok(EventId::generate(arrival.received_at)),
    }
}

#[cfg(test)]
mod tests;
