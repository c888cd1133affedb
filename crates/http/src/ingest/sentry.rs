//! Envelopes and legacy events of Sentry's SDKs: authenticated, checked to decode, put on disk, answered.
//!
//! An SDK does not send again what was refused, so the answer waits for the disk and nothing that can be judged
//! later is judged here: unknown item types and damaged items are the digestion's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_accounts::IngestKeyInfo;
use belvedere_error_tracking::envelope::{
    EnvelopeError, EventId, Item, find_event_id, has_event_id, keep_items, parse_outline,
};
use belvedere_error_tracking::limits::Category;
use belvedere_error_tracking::quota::Limited;
use belvedere_kernel::{Delivery, ItemOutcome, ProjectId, Tally};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, ORIGIN, USER_AGENT};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Refusal, accepted, empty, tell};
use super::credentials::{key_of_head, parse_dsn};
use crate::address::ClientAddress;
use crate::decode::Encoding;
use crate::state::Shared;

/// How much of a User-Agent header is kept, in bytes.
const USER_AGENT_BYTES_MAX: usize = 512;

/// The largest body with reports, in bytes: a list of them is a few kilobytes.
const REPORTS_BYTES_MAX: usize = 256 << 10;

/// What the address of a report says beside the key.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportAddress {
    sentry_release: Option<String>,
    sentry_environment: Option<String>,
}

/// Different item types that one refused envelope is counted under; the rest count as `other`.
const REFUSED_KINDS_MAX: usize = 20;

/// The most things that one container counts for.
const CONTAINED_MAX: u64 = 10_000;

/// Items that do not count against a key's limit of requests.
const UNLIMITED: [&str; 3] = ["session", "sessions", "client_report"];

/// A request on its way through the door.
pub(super) struct Door<'a> {
    shared: &'a Shared,
    pub(super) parts: Parts,
    /// The project in the path: `None` where the path names none, an error where it is no number.
    project: Option<Result<ProjectId, ()>>,
    claimed_key: Option<String>,
    /// The key, once it is known to be good.
    pub(super) key: Option<Arc<IngestKeyInfo>>,
}

/// What the door looks up in a decoded body.
#[derive(Default)]
pub(super) struct Look {
    pub(super) dsn: Option<String>,
    pub(super) event_id: Option<EventId>,
    /// Whether something in it needs an id.
    pub(super) needs_id: bool,
    /// Whether it counts against the key's limit of requests.
    pub(super) is_limited: bool,
    /// How many items of which type, as far as the start of a large body shows.
    pub(super) items: BTreeMap<String, u64>,
    /// What counts against the project's quotas, as far as the start of a large body shows.
    pub(super) demand: BTreeMap<Category, u64>,
}

/// What the door has taken.
pub(super) struct Taken {
    /// The id to be answered.
    pub(super) id: Option<EventId>,
    /// The categories that were left out.
    pub(super) limited: Vec<Limited>,
}

/// Envelopes; without a project those that a page sends to its own server, with the key nowhere but in their first line.
pub(super) async fn envelope(
    State(shared): State<Arc<Shared>>,
    project: Option<Path<String>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, project.as_ref().map(|Path(project)| project.as_str()));
    let taken = door.take_envelope(body).await;
    door.answer(taken, "envelope")
}

/// Single events; without a project in the oldest form, in which the key alone names it.
pub(super) async fn store(
    State(shared): State<Arc<Shared>>,
    project: Option<Path<String>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, project.as_ref().map(|Path(project)| project.as_str()));
    let taken = door.take_event(body).await;
    door.answer(taken, "event")
}

/// Reports of browsers about policies of a page, whose key, release and environment stand in the address.
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, Some(&project));
    match door.take_report(body).await {
        Ok(taken) => tell(empty(StatusCode::OK), &taken.limited),
        Err(refusal) => refuse(&door, refusal, "raw_security"),
    }
}

/// Counts a refusal and answers it.
pub(super) fn refuse(door: &Door<'_>, refusal: Refusal, item: &str) -> Response {
    let (reason, _) = refusal.class();
    door.shared.metrics.count_refused(reason);
    // The limit is counted by item type, where the body is known.
    if !matches!(refusal, Refusal::RateLimited { .. } | Refusal::Limited(_)) {
        door.note(item, reason.as_str(), 1);
    }
    refusal.into_response()
}

impl<'a> Door<'a> {
    pub(super) fn new(shared: &'a Shared, parts: Parts, project: Option<&str>) -> Self {
        let claimed_key = key_of_head(&parts.headers, &parts.uri);
        let project = project.map(|project| project.parse().map_err(|_| ()));
        Self { shared, parts, project, claimed_key, key: None }
    }

    /// Takes the key that stands in the path or elsewhere, where the head has none.
    pub(super) fn key_in_path(&mut self, key: &str) {
        if self.claimed_key.is_none() {
            self.claimed_key = Some(key.to_owned());
        }
    }

    /// Whether the head or the path has a key.
    pub(super) fn has_key(&self) -> bool {
        self.claimed_key.is_some()
    }

    /// Finds out whose request it is, for error tracking; `dsn` is the last resort.
    pub(super) async fn authenticate(&mut self, dsn: Option<&str>) -> Result<Arc<IngestKeyInfo>, Refusal> {
        let key = self.identify(dsn).await?;
        if !self.shared.features.error_tracking {
            return Err(Refusal::SwitchedOff("error tracking"));
        }
        Ok(key)
    }

    /// The same for learning analytics, where the head has the key.
    pub(super) async fn authenticate_learning(&mut self) -> Result<Arc<IngestKeyInfo>, Refusal> {
        let key = self.identify(None).await?;
        if !self.shared.features.learning {
            return Err(Refusal::SwitchedOff("learning analytics"));
        }
        Ok(key)
    }

    /// The same for product events, whose key may stand in the body.
    pub(super) async fn authenticate_track(
        &mut self,
        in_body: Option<&str>,
    ) -> Result<Arc<IngestKeyInfo>, Refusal> {
        // Jitsu's clients have a secret behind a colon.
        if let Some(key) = in_body.and_then(|key| key.split(':').next()) {
            self.key_in_path(key);
        }
        let key = match self.identify(None).await {
            Err(Refusal::NoKey) => return Err(Refusal::NoWriteKey),
            key => key?,
        };
        if !self.shared.features.business_intelligence {
            return Err(Refusal::SwitchedOff("business intelligence"));
        }
        Ok(key)
    }

    async fn identify(&mut self, dsn: Option<&str>) -> Result<Arc<IngestKeyInfo>, Refusal> {
        let dsn = dsn.and_then(parse_dsn);
        let claimed = self.claimed_key.as_deref().or(dsn.map(|(key, _)| key)).ok_or(Refusal::NoKey)?;
        let key = self.shared.ingest_keys.find_ingest_key(claimed).await?.ok_or(Refusal::UnknownKey)?;
        let project = self.project.unwrap_or_else(|| Ok(dsn.map_or(key.project, |(_, project)| project)));
        if project != Ok(key.project) {
            return Err(Refusal::WrongProject);
        }
        let origin = self.parts.headers.get(ORIGIN);
        // An origin that is no text is none of the allowed ones.
        if !origin.is_none_or(|origin| key.allows_origin(origin.to_str().unwrap_or("invalid"))) {
            return Err(Refusal::Origin);
        }
        self.key = Some(Arc::clone(&key));
        Ok(key)
    }

    async fn take_envelope(&mut self, body: axum::body::Body) -> Result<Taken, Refusal> {
        if self.claimed_key.is_some() {
            self.authenticate(None).await?;
        }
        let shared = self.shared;
        let body = shared.bodies.read(body, shared.limits.body_bytes_max).await?;
        if self.key.is_none() && body.bytes.is_empty() {
            return Err(Refusal::NoKey);
        }
        let encoding = self.encoding();
        let look = shared.bodies.decode(encoding, &body.bytes, look_into_envelope).await??;
        let key = match self.key.clone() {
            Some(key) => key,
            None => self.authenticate(look.dsn.as_deref()).await?,
        };
        self.accept("sentry.envelope", &key, look, encoding, body.bytes.clone()).await
    }

    async fn take_event(&mut self, body: axum::body::Body) -> Result<Taken, Refusal> {
        let key = self.authenticate(None).await?;
        let shared = self.shared;
        let body = shared.bodies.read(body, shared.limits.body_bytes_max).await?;
        let (bytes, encoding) = match self.encoding() {
            Some(encoding) => (body.bytes.clone(), Some(encoding)),
            None => plain_or_base64(&body.bytes),
        };
        let look = shared.bodies.decode(encoding, &bytes, look_into_event).await?;
        let look = look.map_err(Refusal::Event)?;
        self.accept("sentry.store", &key, look, encoding, bytes).await
    }

    /// Puts reports into an envelope of their own, as clients send them.
    async fn take_report(&mut self, body: axum::body::Body) -> Result<Taken, Refusal> {
        let key = self.authenticate(None).await?;
        let shared = self.shared;
        let body = shared.bodies.read(body, shared.limits.body_bytes_max.min(REPORTS_BYTES_MAX)).await?;
        let whole = |report: &[u8], is_whole: bool| is_whole.then(|| report.to_vec());
        let report = shared.bodies.decode(self.encoding(), &body.bytes, whole).await?;
        let address = Query::<ReportAddress>::try_from_uri(&self.parts.uri).map(|Query(address)| address);
        let address = address.unwrap_or_default();
        let item = json!({
            "type": "raw_security",
            "length": report.len(),
            "sentry_release": address.sentry_release,
            "sentry_environment": address.sentry_environment,
        });
        let mut envelope = format!("{{}}\n{item}\n").into_bytes();
        envelope.extend_from_slice(&report);
        let look = Look {
            is_limited: true,
            items: BTreeMap::from([("raw_security".to_owned(), 1)]),
            demand: BTreeMap::from([(Category::Default, 1)]),
            ..Look::default()
        };
        self.accept("sentry.envelope", &key, look, None, envelope.into()).await
    }

    /// Puts events on disk that the door has read, as a JSON array.
    pub(super) async fn accept_events(
        &self,
        (kind, item): (&str, &str),
        key: &IngestKeyInfo,
        events: &[impl Serialize],
    ) -> Result<(), Refusal> {
        let body = serde_json::to_vec(events).map_err(|error| Refusal::Event(error.to_string()))?;
        let count = events.len() as u64;
        let look = Look {
            is_limited: true,
            items: BTreeMap::from([(item.to_owned(), count)]),
            demand: BTreeMap::from([(Category::Default, count)]),
            ..Look::default()
        };
        self.accept(kind, key, look, None, body.into()).await.map(drop)
    }

    /// Puts a body on disk, without the items that the key's or the project's limits keep out.
    pub(super) async fn accept(
        &self,
        kind: &str,
        key: &IngestKeyInfo,
        look: Look,
        encoding: Option<Encoding>,
        body: Bytes,
    ) -> Result<Taken, Refusal> {
        let now = self.shared.clock.now();
        if let Some(limit) = key.rate_limit_per_minute
            && look.is_limited
            && let Err(retry_after_seconds) = self.shared.ingest_rates.admit(key.id, limit, now)
        {
            self.note_items(&look.items, "rate_limited");
            return Err(Refusal::RateLimited { retry_after_seconds });
        }
        let limited = self.shared.quotas.admit(key.project, &look.demand);
        let (encoding, body) = if limited.is_empty() {
            (encoding, body)
        } else {
            self.note_limited(&look.items, &limited);
            let is_empty = look.items.keys().all(|kind| find_limit(kind, &look.items, &limited).is_some());
            if is_empty && look.items.contains_key("check_in") {
                // Programs that check in are never refused: they would take it for a failure of their own.
                return Ok(Taken { id: look.event_id, limited });
            }
            if is_empty {
                return Err(Refusal::Limited(limited));
            }
            (None, self.without(encoding, &body, &look.items, &limited).await?)
        };
        let assigned = (look.needs_id && look.event_id.is_none()).then(|| EventId::generate(now));
        self.shared
            .intake
            .accept(Delivery {
                kind: kind.to_owned(),
                project: key.project,
                key: key.id,
                received_at: now,
                encoding: encoding.map(|encoding| encoding.as_str().to_owned()),
                remote_ip: self.parts.extensions.get::<ClientAddress>().map(|client| client.0.to_string()),
                user_agent: self.user_agent(),
                assigned_id: assigned.map(|id| id.to_string()),
                body,
            })
            .await?;
        Ok(Taken { id: look.event_id.or(assigned), limited })
    }

    /// The envelope decoded and without the items that are limited.
    async fn without(
        &self,
        encoding: Option<Encoding>,
        body: &Bytes,
        items: &BTreeMap<String, u64>,
        limited: &[Limited],
    ) -> Result<Bytes, Refusal> {
        let (items, limited) = (items.clone(), limited.to_vec());
        let strip = move |body: &[u8], is_whole: bool| {
            is_whole.then(|| {
                let outline = parse_outline(body)?;
                Ok(keep_items(body, &outline, |item| find_limit(&item.kind, &items, &limited).is_none()))
            })
        };
        let stripped: Result<Vec<u8>, EnvelopeError> =
            self.shared.bodies.decode(encoding, body, strip).await?;
        Ok(stripped?.into())
    }

    fn note_limited(&self, items: &BTreeMap<String, u64>, limited: &[Limited]) {
        for (kind, quantity) in items {
            if let Some(limited) = find_limit(kind, items, limited) {
                self.note(kind, limited.reason.as_str(), *quantity);
            }
        }
    }

    /// Accepts items of one type from another door.
    pub(super) async fn accept_limited(
        &self,
        key: &IngestKeyInfo,
        kind: &str,
        (item, category): (&str, Category),
        body: Bytes,
        encoding: Option<Encoding>,
    ) -> Result<(), Refusal> {
        let items = BTreeMap::from([(item.to_owned(), 1)]);
        let demand = BTreeMap::from([(category, 1)]);
        let look = Look { is_limited: true, items, demand, ..Look::default() };
        self.accept(kind, key, look, encoding, body).await.map(drop)
    }

    /// Accepts an envelope that another door made of a request; never refused for the key's limit of requests.
    pub(super) async fn accept_made(
        &self,
        key: &IngestKeyInfo,
        (item, category): (&str, Category),
        envelope: Bytes,
    ) -> Result<(), Refusal> {
        let items = BTreeMap::from([(item.to_owned(), 1)]);
        let demand = BTreeMap::from([(category, 1)]);
        let look = Look { items, demand, ..Look::default() };
        self.accept("sentry.envelope", key, look, None, envelope).await.map(drop)
    }

    fn answer(&self, taken: Result<Taken, Refusal>, item: &str) -> Response {
        match taken {
            Ok(taken) => accepted(taken.id, &taken.limited),
            Err(refusal) => refuse(self, refusal, item),
        }
    }

    pub(super) fn encoding(&self) -> Option<Encoding> {
        Encoding::parse(self.parts.headers.get(CONTENT_ENCODING)?.to_str().ok()?)
    }

    fn user_agent(&self) -> Option<String> {
        let agent = self.parts.headers.get(USER_AGENT)?.to_str().ok()?;
        Some(agent[..agent.floor_char_boundary(USER_AGENT_BYTES_MAX)].to_owned())
    }

    /// Counts items that end here; only for a key that is known to be good, so that nobody can fill another's page.
    pub(super) fn note(&self, item: &str, reason: &'static str, quantity: u64) {
        if let Some(key) = &self.key {
            let item = item.to_owned();
            self.shared.intake.note(Tally {
                project: key.project,
                item,
                outcome: ItemOutcome::Dropped,
                reason,
                quantity,
            });
        }
    }

    fn note_items(&self, items: &BTreeMap<String, u64>, reason: &'static str) {
        for (kind, quantity) in items.iter().take(REFUSED_KINDS_MAX) {
            self.note(if kind.is_empty() { "invalid" } else { kind }, reason, *quantity);
        }
        let others = items.values().skip(REFUSED_KINDS_MAX).sum();
        if others > 0 {
            self.note("other", reason, others);
        }
    }
}

/// What keeps items of this type out. Attachments stay out with the event or feedback that they belong to.
fn find_limit<'a>(kind: &str, items: &BTreeMap<String, u64>, limited: &'a [Limited]) -> Option<&'a Limited> {
    let of = |category| limited.iter().find(|limited| limited.category == category);
    let own = Category::of_item(kind).and_then(of);
    own.or_else(|| {
        let owner = ["event", "feedback"].into_iter().find(|owner| items.contains_key(*owner))?;
        (kind == "attachment").then(|| Category::of_item(owner).and_then(of)).flatten()
    })
}

/// What an item counts against quotas: attachments by their bytes, containers by what they say that they hold.
fn quantity_of(item: &Item) -> u64 {
    match item.kind.as_str() {
        "attachment" => item.payload.len() as u64,
        _ => item.item_count.unwrap_or(1).clamp(1, CONTAINED_MAX),
    }
}

/// What is needed of an envelope, if its start tells that.
fn look_into_envelope(body: &[u8], is_whole: bool) -> Option<Result<Look, EnvelopeError>> {
    let outline = match parse_outline(body) {
        Ok(outline) => outline,
        Err(error) => return Some(Err(error)),
    };
    let needs_id = outline.items.iter().any(|item| has_event_id(&item.kind));
    // An item whose end is missing is the last; an event may follow it.
    if !is_whole && outline.event_id.is_none() {
        return None;
    }
    let event_id = find_event_id(body, &outline);
    let mut items: BTreeMap<String, u64> = BTreeMap::new();
    let mut demand: BTreeMap<Category, u64> = BTreeMap::new();
    for item in outline.items {
        if let Some(category) = Category::of_item(&item.kind) {
            *demand.entry(category).or_insert(0) += quantity_of(&item);
        }
        *items.entry(item.kind).or_insert(0) += 1;
    }
    let is_unlimited =
        is_whole && !items.is_empty() && items.keys().all(|kind| UNLIMITED.contains(&kind.as_str()));
    Some(Ok(Look { dsn: outline.dsn, event_id, needs_id, is_limited: !is_unlimited, items, demand }))
}

fn look_into_event(body: &[u8], is_whole: bool) -> Option<Result<Look, String>> {
    #[derive(Deserialize)]
    struct OnlyId {
        event_id: Option<Value>,
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Some(Err("not a JSON object".to_owned()));
    }
    if !is_whole {
        return None;
    }
    let event: OnlyId = match serde_json::from_slice(body) {
        Ok(event) => event,
        Err(error) => return Some(Err(error.to_string())),
    };
    let event_id = event.event_id.as_ref().and_then(Value::as_str).and_then(|id| id.parse().ok());
    let items = BTreeMap::from([("event".to_owned(), 1)]);
    let demand = BTreeMap::from([(Category::Error, 1)]);
    Some(Ok(Look { dsn: None, event_id, needs_id: true, is_limited: true, items, demand }))
}

/// A legacy event's body: JSON as it is, or base64 of zlib-compressed JSON, as old SDKs sent without saying so.
fn plain_or_base64(body: &Bytes) -> (Bytes, Option<Encoding>) {
    let text = body.trim_ascii();
    if text.first() == Some(&b'{') {
        return (body.clone(), None);
    }
    match BASE64_STANDARD.decode(text) {
        Ok(json) if json.first() == Some(&b'{') => (json.into(), None),
        Ok(compressed) => (compressed.into(), Some(Encoding::Deflate)),
        Err(_) => (body.clone(), None),
    }
}
