use std::net::IpAddr;
use std::time::Duration;

use belvedere_kernel::{Identity, ProjectId};
use belvedere_storage::{Id, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::row::SessionState;
use crate::event::{Arrival, clean};
use crate::event_id::EventId;
use crate::timestamp::{correct, parse_timestamp};

/// How long before its arrival a session may have started.
const AGE_MAX: Duration = Duration::from_secs(5 * 24 * 3_600);

/// The most entries of one item of counts: an hour of minutes for some users.
const ENTRIES_MAX: usize = 1_000;

/// The most sessions that one entry may count.
const QUANTITY_MAX: u64 = 1_000_000;

/// The longest release and environment, in characters, as for events.
const RELEASE_CHARS_MAX: usize = 250;
const ENVIRONMENT_CHARS_MAX: usize = 64;

/// The longest identifier of a user, in characters.
const USER_CHARS_MAX: usize = 256;

/// Marks ids of sessions.
#[derive(Debug)]
pub(crate) enum SessionKey {}

/// What one update says of a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionUpdate {
    pub(crate) project: ProjectId,
    pub(crate) session: Id<SessionKey>,
    pub(crate) version: String,
    /// Empty for none.
    pub(crate) environment: String,
    pub(crate) started: Timestamp,
    pub(crate) state: SessionState,
    pub(crate) identity: Identity,
}

/// Sessions that a server has counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionCounts {
    pub(crate) project: ProjectId,
    pub(crate) version: String,
    /// Empty for none.
    pub(crate) environment: String,
    pub(crate) started: Timestamp,
    /// How many ended in each state, in the order of [`SessionState::ALL`].
    pub(crate) quantities: [i64; 5],
    pub(crate) identity: Identity,
}

/// Why an item of sessions is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not what the protocol says.
    Invalid,
    /// It names no release, and sessions are counted for releases.
    NoRelease,
    /// It started longer ago than sessions are remembered.
    TooOld,
}

impl Unusable {
    /// The reason as a word, for what is counted of dropped items.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NoRelease => "no_release",
            Self::TooOld => "too_old",
        }
    }
}

#[derive(Deserialize)]
struct Attributes {
    release: Option<String>,
    environment: Option<String>,
}

#[derive(Deserialize)]
struct Update {
    sid: String,
    did: Option<Value>,
    started: Value,
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Option<u64>,
    attrs: Attributes,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    aggregates: Vec<Entry>,
    attrs: Attributes,
}

#[derive(Deserialize)]
struct Entry {
    started: Value,
    did: Option<Value>,
    #[serde(default)]
    exited: u64,
    #[serde(default)]
    errored: u64,
    #[serde(default)]
    unhandled: u64,
    #[serde(default)]
    abnormal: u64,
    #[serde(default)]
    crashed: u64,
}

/// Reads an item of type `session`.
///
/// # Errors
/// [`Unusable`] if it is not to be counted.
pub(crate) fn parse_session(
    project: ProjectId,
    payload: &[u8],
    arrival: &Arrival<'_>,
) -> Result<SessionUpdate, Unusable> {
    let update: Update = serde_json::from_slice(payload).map_err(|_| Unusable::Invalid)?;
    let id: EventId = update.sid.parse().map_err(|_| Unusable::Invalid)?;
    let (version, environment) = place(&update.attrs)?;
    let has_errors = update.errors.is_some_and(|errors| errors > 0);
    Ok(SessionUpdate {
        project,
        session: id.to_key().cast(),
        version,
        environment,
        started: start(&update.started, arrival)?,
        state: SessionState::of_status(&update.status, has_errors),
        identity: identity(update.did.as_ref()),
    })
}

/// Reads an item of type `sessions`; at most 1,000 of its entries, those that are too old left out.
///
/// # Errors
/// [`Unusable`] if none of it is to be counted.
pub(crate) fn parse_sessions(
    project: ProjectId,
    payload: &[u8],
    arrival: &Arrival<'_>,
) -> Result<Vec<SessionCounts>, Unusable> {
    let counts: Counts = serde_json::from_slice(payload).map_err(|_| Unusable::Invalid)?;
    let (version, environment) = place(&counts.attrs)?;
    let mut read = Vec::new();
    let mut refused = Unusable::Invalid;
    for entry in counts.aggregates.iter().take(ENTRIES_MAX) {
        let started = match start(&entry.started, arrival) {
            Ok(started) => started,
            Err(unusable) => {
                refused = unusable;
                continue;
            }
        };
        let quantities = [entry.exited, entry.errored, entry.abnormal, entry.unhandled, entry.crashed]
            .map(|quantity| i64::try_from(quantity.min(QUANTITY_MAX)).unwrap_or(0));
        if quantities.iter().all(|quantity| *quantity == 0) {
            continue;
        }
        read.push(SessionCounts {
            project,
            version: version.clone(),
            environment: environment.clone(),
            started,
            quantities,
            identity: identity(entry.did.as_ref()),
        });
    }
    if read.is_empty() { Err(refused) } else { Ok(read) }
}

fn place(attributes: &Attributes) -> Result<(String, String), Unusable> {
    let text = |text: &Option<String>, chars| text.as_deref().map(|text| clean(text, chars));
    let version = text(&attributes.release, RELEASE_CHARS_MAX).filter(|version| !version.is_empty());
    let environment = text(&attributes.environment, ENVIRONMENT_CHARS_MAX).unwrap_or_default();
    Ok((version.ok_or(Unusable::NoRelease)?, environment))
}

fn start(told: &Value, arrival: &Arrival<'_>) -> Result<Timestamp, Unusable> {
    let told = parse_timestamp(told).ok_or(Unusable::Invalid)?;
    let at = correct(Some(told), arrival.sent_at, arrival.received_at).at;
    if arrival.received_at.since(at) > AGE_MAX { Err(Unusable::TooOld) } else { Ok(at) }
}

/// SDKs take the first of a user's id, e-mail address and name for `did`; an address of a computer only where that
/// is all there is.
fn identity(did: Option<&Value>) -> Identity {
    let text = match did {
        Some(Value::String(text)) => clean(text, USER_CHARS_MAX),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Identity::default(),
    };
    let is_nobody = text.bytes().all(|byte| matches!(byte, b'0' | b'-'))
        || matches!(text.as_str(), "null" | "undefined" | "None" | "[Filtered]");
    match text {
        _ if is_nobody => Identity::default(),
        text if text.parse::<IpAddr>().is_ok() => Identity { ip_address: Some(text), ..Identity::default() },
        text if text.contains('@') => Identity { email: Some(text), ..Identity::default() },
        text => Identity { id: Some(text), ..Identity::default() },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn arrival() -> Arrival<'static> {
        Arrival { received_at: "2026-11-23T12:34:56Z".parse().unwrap(), ..Arrival::default() }
    }

    fn update(change: impl FnOnce(&mut Value)) -> Result<SessionUpdate, Unusable> {
        let mut payload = json!({
            "sid": "63654ca4-7c61-4a54-95c9-71c79b959893", "did": "20117", "started": "2026-11-23T12:27:01.586Z",
            "status": "ok", "errors": 0, "attrs": {"release": "shop@1.0.0", "environment": "production"},
        });
        change(&mut payload);
        parse_session(ProjectId(1), payload.to_string().as_bytes(), &arrival())
    }

    #[test]
    fn an_update_is_read_with_the_worst_that_it_says() {
        let read = update(|_| ()).unwrap();
        assert_eq!((read.version.as_str(), read.environment.as_str()), ("shop@1.0.0", "production"));
        assert_eq!(read.started, "2026-11-23T12:27:01.586Z".parse().unwrap());
        assert_eq!(read.identity.id.as_deref(), Some("20117"));
        for (status, errors, state) in [
            ("ok", 0, SessionState::Healthy),
            ("exited", 0, SessionState::Healthy),
            ("exited", 2, SessionState::Errored),
            ("errored", 0, SessionState::Errored),
            ("unhandled", 1, SessionState::Unhandled),
            ("abnormal", 0, SessionState::Abnormal),
            ("crashed", 1, SessionState::Crashed),
            ("word of the future", 0, SessionState::Healthy),
        ] {
            let read = update(|payload| {
                payload["status"] = status.into();
                payload["errors"] = errors.into();
            });
            assert_eq!(read.unwrap().state, state, "{status} {errors}");
        }
    }

    #[test]
    fn what_cannot_be_counted_says_why() {
        type Change = fn(&mut Value);
        let cases: [(Change, Unusable); 6] = [
            (|payload| payload["sid"] = "none".into(), Unusable::Invalid),
            (|payload| payload["started"] = Value::Null, Unusable::Invalid),
            (|payload| payload["attrs"] = Value::Null, Unusable::Invalid),
            (|payload| payload["attrs"] = json!({}), Unusable::NoRelease),
            (|payload| payload["attrs"]["release"] = " ".into(), Unusable::NoRelease),
            (|payload| payload["started"] = "2026-11-18T12:34:55Z".into(), Unusable::TooOld),
        ];
        for (index, (change, reason)) in cases.into_iter().enumerate() {
            assert_eq!(update(change), Err(reason), "{index}");
        }
        assert!(update(|payload| payload["started"] = "2026-11-18T12:34:57Z".into()).is_ok());
        assert_eq!(
            parse_sessions(ProjectId(1), b"{\"attrs\":{\"release\":\"a\"}}", &arrival()),
            Err(Unusable::Invalid)
        );
    }

    #[test]
    fn users_are_told_by_what_their_identifier_is() {
        let of = |did: Value| update(|payload| payload["did"] = did).unwrap().identity;
        assert_eq!(of(json!("m@example.org")).email.as_deref(), Some("m@example.org"));
        assert_eq!(of(json!("203.0.113.9")).ip_address.as_deref(), Some("203.0.113.9"));
        assert_eq!(of(json!(7)).id.as_deref(), Some("7"));
        for nobody in [
            json!(null),
            json!(""),
            json!("00000000-0000-0000-0000-000000000000"),
            json!([]),
            json!("undefined"),
        ] {
            assert!(of(nobody.clone()).is_empty(), "{nobody}");
        }
    }

    #[test]
    fn counts_are_read_entry_by_entry() {
        let payload = json!({"attrs": {"release": "shop@1.0.0"}, "aggregates": [
            {"started": "2026-11-23T12:25:00Z", "exited": 4, "errored": 3, "unhandled": 2, "abnormal": 1, "crashed": 5},
            {"started": "2026-11-23T12:26:00Z", "did": "a", "exited": 1},
            {"started": "2026-11-23T12:26:00Z"},
            {"started": "2026-11-01T12:26:00Z", "exited": 9},
        ]});
        let read = parse_sessions(ProjectId(1), payload.to_string().as_bytes(), &arrival()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].quantities, read[0].environment.as_str()), ([4, 3, 1, 2, 5], ""));
        assert_eq!((read[1].quantities, read[1].identity.id.as_deref()), ([1, 0, 0, 0, 0], Some("a")));
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_session(ProjectId(1), &payload, &arrival());
            let _ = parse_sessions(ProjectId(1), &payload, &arrival());
        }
    }
}
