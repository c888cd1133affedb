//! A product event as all protocols are read to it. No I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_event_store::{NAME_BYTES_MAX, TIME_MIN};
use belvedere_kernel::ConsentPurpose;
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most events of one request.
pub const EVENTS_MAX: usize = 10_000;
/// The most bytes of a user's, visitor's or group's id.
pub const ID_BYTES_MAX: usize = 500;
/// The most bytes of a message's or visit's id.
pub const MESSAGE_ID_BYTES_MAX: usize = 200;
/// The most bytes of an address; longer ones are cut.
pub const ADDRESS_BYTES_MAX: usize = 2_000;
/// The most bytes of any other text of the context, the user agent included; longer ones are cut.
pub const WORD_BYTES_MAX: usize = 500;
/// The most categories of consent that are looked at.
pub const CATEGORIES_MAX: usize = 50;
/// A clock may be wrong by a day.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// Categories of consent by the purpose that they cover, as consent tools call them; of OneTrust's, `C0002` are performance
/// cookies and `C0004` those of targeting.
const CATEGORIES: [(ConsentPurpose, &[&str]); 4] = [
    (
        ConsentPurpose::Analytics,
        &["analytics", "performance", "statistics", "statistical", "measurement", "c0002"],
    ),
    (ConsentPurpose::Marketing, &["marketing", "advertising", "targeting", "c0004"]),
    (ConsentPurpose::Detailed, &["detailed"]),
    (ConsentPurpose::Location, &["location", "geolocation"]),
];

/// What kind of call an event came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody did something.
    Track,
    /// Who somebody is.
    Identify,
    /// Somebody saw a page.
    Page,
    /// Somebody saw a screen of an app.
    Screen,
    /// Somebody belongs to a group.
    Group,
    /// An earlier id and a user id are one person.
    Alias,
}

impl EventKind {
    /// The kind that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        Some(match word {
            "track" => Self::Track,
            "identify" => Self::Identify,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }
}

/// One event, checked: what the door puts on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalyticsEvent {
    /// What kind of call it came by.
    pub kind: EventKind,
    /// What happened; of a page or screen its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The client's id, which counts once; one of ours where the client gave none.
    #[serde(default)]
    pub message_id: String,
    /// The product's id of the user. Personal data until the consent gate, as are all ids and traits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The id that the client made for the visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_id: Option<String>,
    /// The group that the user belongs to: an account, a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// Of an alias, the id that was used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_id: Option<String>,
    /// Whether the protocol knows no ids: it is then about whoever sends from the request's address, for a day.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_by_address: bool,
    /// The visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What goes with the event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
    /// What is said of the user or the group.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub traits: Map<String, Value>,
    /// Where it happened.
    #[serde(default)]
    pub context: Context,
}

/// Where an event happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The user's address, where the client tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The user's browser as it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The family of the browser, where the client tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// The family of the operating system, where the client tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The class of the device, where the client tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The country, where the client tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The page.
    #[serde(skip_serializing_if = "Page::is_empty")]
    pub page: Page,
    /// What brought the user here.
    #[serde(skip_serializing_if = "Campaign::is_empty")]
    pub campaign: Campaign,
    /// The user's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The user's time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What sent the event, and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// What the user consented to, by category.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub consent: BTreeMap<String, bool>,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The path of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The address that led here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
}

impl Page {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What brought somebody here, as `utm_` parameters say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Campaign {
    /// `utm_source`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `utm_medium`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// `utm_campaign`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `utm_term`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// `utm_content`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Campaign {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) reason: String,
}

pub(crate) fn wrong(field: &'static str, reason: impl Into<String>) -> Wrong {
    Wrong { field, reason: reason.into() }
}

impl AnalyticsEvent {
    /// An event with nothing but its kind and time.
    #[must_use]
    pub fn new(kind: EventKind, timestamp: Timestamp) -> Self {
        Self {
            kind,
            name: String::new(),
            message_id: String::new(),
            user_id: None,
            anonymous_id: None,
            group_id: None,
            previous_id: None,
            is_by_address: false,
            session_id: None,
            timestamp,
            properties: Map::new(),
            traits: Map::new(),
            context: Context::default(),
        }
    }

    /// Somebody with a user id did something.
    #[must_use]
    pub fn track(user_id: &str, name: &str, timestamp: Timestamp) -> Self {
        let user_id = Some(user_id.to_owned());
        Self { name: name.to_owned(), user_id, ..Self::new(EventKind::Track, timestamp) }
    }

    /// Who a visitor is who has signed in.
    #[must_use]
    pub fn identify(user_id: &str, anonymous_id: Option<&str>, timestamp: Timestamp) -> Self {
        Self {
            user_id: Some(user_id.to_owned()),
            anonymous_id: anonymous_id.map(str::to_owned),
            ..Self::new(EventKind::Identify, timestamp)
        }
    }

    /// The same event with a property more.
    #[must_use]
    pub fn with(mut self, property: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(property.to_owned(), value.into());
        self
    }

    /// What the event is called in the event store.
    #[must_use]
    pub fn stored_name(&self) -> &str {
        match self.kind {
            EventKind::Track => &self.name,
            EventKind::Identify => "identify",
            EventKind::Page => "page_view",
            EventKind::Screen => "screen_view",
            EventKind::Group => "group",
            EventKind::Alias => "alias",
        }
    }

    /// What the user says they consent to, by purpose; refused if one of the categories that cover it is.
    pub fn consents(&self) -> impl Iterator<Item = (ConsentPurpose, bool)> {
        CATEGORIES.into_iter().filter_map(|(purpose, names)| {
            let covers = |category: &str| names.contains(&category.to_ascii_lowercase().as_str());
            let said = self.context.consent.iter().filter(|(category, _)| covers(category));
            said.map(|(_, is_granted)| *is_granted).reduce(|all, one| all && one).map(|said| (purpose, said))
        })
    }

    /// Whether the user refuses a purpose, as far as the event tells.
    #[must_use]
    pub fn refuses(&self, purpose: ConsentPurpose) -> bool {
        self.consents().any(|said| said == (purpose, false))
    }

    /// Whether the user refuses analytics, as far as the event tells. Who is known by their address alone is never
    /// followed beyond a day.
    #[must_use]
    pub fn refuses_analytics(&self) -> bool {
        self.is_by_address || self.refuses(ConsentPurpose::Analytics)
    }

    /// Whether the event has what its kind is of no use without, within all limits.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Wrong> {
        id("messageId", &Some(self.message_id.clone()), MESSAGE_ID_BYTES_MAX)?;
        id("userId", &self.user_id, ID_BYTES_MAX)?;
        id("anonymousId", &self.anonymous_id, ID_BYTES_MAX)?;
        id("groupId", &self.group_id, ID_BYTES_MAX)?;
        id("previousId", &self.previous_id, ID_BYTES_MAX)?;
        id("sessionId", &self.session_id, MESSAGE_ID_BYTES_MAX)?;
        if self.kind == EventKind::Alias && self.user_id.is_none() {
            return Err(wrong("userId", "is missing"));
        }
        // What is said of a group can be said by a program, for nobody.
        let may_be_nobody = self.kind == EventKind::Group || self.is_by_address;
        if !may_be_nobody && self.user_id.is_none() && self.anonymous_id.is_none() {
            return Err(wrong("userId", "is missing, and so is anonymousId"));
        }
        match self.kind {
            EventKind::Track if self.name.is_empty() => return Err(wrong("event", "is missing")),
            EventKind::Group if self.group_id.is_none() => return Err(wrong("groupId", "is missing")),
            EventKind::Alias if self.previous_id.is_none() => return Err(wrong("previousId", "is missing")),
            _ => {}
        }
        let field = if self.kind == EventKind::Track { "event" } else { "name" };
        if self.name.len() > NAME_BYTES_MAX {
            return Err(wrong(field, too_long(self.name.len(), NAME_BYTES_MAX)));
        }
        if self.name.chars().any(char::is_control) {
            return Err(wrong(field, "has control characters"));
        }
        if self.timestamp < TIME_MIN {
            return Err(wrong("timestamp", "is before 2000"));
        }
        if self.timestamp > now.plus(AHEAD_MAX) {
            return Err(wrong("timestamp", "is more than a day ahead"));
        }
        Ok(())
    }
}

/// Gives an id to events that have none.
pub fn name_events(events: &mut [AnalyticsEvent], now: Timestamp) {
    for event in events.iter_mut().filter(|event| event.message_id.is_empty()) {
        event.message_id = Id::<AnalyticsEvent>::generate(now).to_string();
    }
}

/// When something happened, by the receiver's clock: `received - (sent - original)`, as the client's clock may be
/// wrong but its differences are right (Segment's HTTP tracking API, "timestamps").
pub(crate) fn corrected(received: Timestamp, sent: Option<Timestamp>, original: Timestamp) -> Timestamp {
    let Some(sent) = sent else { return original };
    let ago = sent.as_micros().saturating_sub(original.as_micros());
    Timestamp::from_micros(received.as_micros().saturating_sub(ago))
}

fn id(field: &'static str, text: &Option<String>, bytes_max: usize) -> Result<(), Wrong> {
    let Some(text) = text else { return Ok(()) };
    if text.len() > bytes_max {
        return Err(wrong(field, too_long(text.len(), bytes_max)));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(field, "has control characters"));
    }
    Ok(())
}

pub(crate) fn too_long(length: usize, most: usize) -> String {
    format!("has {length} bytes, at most {most} are allowed")
}

/// At most so many bytes of a text.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    fn refusal(change: impl FnOnce(&mut AnalyticsEvent)) -> String {
        let mut event = AnalyticsEvent::track("ada", "Signed Up", NOW);
        event.check(NOW).unwrap();
        change(&mut event);
        let Wrong { field, reason } = event.check(NOW).unwrap_err();
        format!("{field} {reason}")
    }

    #[test]
    fn what_an_event_is_of_no_use_without_is_named() {
        assert_eq!(refusal(|event| event.name.clear()), "event is missing");
        assert_eq!(refusal(|event| event.user_id = None), "userId is missing, and so is anonymousId");
        assert_eq!(refusal(|event| event.kind = EventKind::Group), "groupId is missing");
        assert_eq!(refusal(|event| event.kind = EventKind::Alias), "previousId is missing");
        assert_eq!(
            refusal(|event| event.name = "x".repeat(201)),
            "event has 201 bytes, at most 200 are allowed"
        );
        assert_eq!(
            refusal(|event| event.message_id = "x".repeat(201)),
            "messageId has 201 bytes, at most 200 are allowed"
        );
        assert_eq!(refusal(|event| event.user_id = Some("a\nb".to_owned())), "userId has control characters");
        assert_eq!(refusal(|event| event.timestamp = Timestamp::EPOCH), "timestamp is before 2000");
        let late = NOW.plus(Duration::from_secs(86_401));
        assert_eq!(refusal(|event| event.timestamp = late), "timestamp is more than a day ahead");
    }

    #[test]
    fn a_wrong_clock_is_corrected_by_when_it_sent() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        // An hour behind: it happened 5 s before it was sent.
        assert_eq!(corrected(at(10_000), Some(at(6_405)), at(6_400)), at(9_995));
        assert_eq!(corrected(at(10_000), Some(at(20_000)), at(20_000)), at(10_000));
        assert_eq!(corrected(at(10_000), None, at(9_000)), at(9_000));
        let extreme = corrected(at(10_000), Some(Timestamp::from_micros(i64::MAX)), at(-10_000));
        assert_eq!(extreme.as_micros(), 10_000_000_000 - i64::MAX);
    }

    #[test]
    fn a_refused_category_that_covers_analytics_is_a_refusal() {
        let refuses = |categories: &[(&str, bool)]| {
            let mut event = AnalyticsEvent::track("ada", "Signed Up", NOW);
            event.context.consent = categories
                .iter()
                .map(|(category, is_granted)| ((*category).to_owned(), *is_granted))
                .collect();
            event.refuses_analytics()
        };
        assert!(!refuses(&[]));
        assert!(!refuses(&[("Advertising", false), ("Analytics", true)]));
        assert!(refuses(&[("Analytics", false)]));
        assert!(refuses(&[("C0002", false), ("Analytics", true)]));
        let mut event = AnalyticsEvent::track("ada", "Signed Up", NOW);
        let said = [("ANALYTICS", true), ("C0004", false), ("Location", true), ("Essential", true)];
        event.context.consent = said.map(|(category, said)| (category.to_owned(), said)).into();
        assert_eq!(
            event.consents().collect::<Vec<_>>(),
            [
                (ConsentPurpose::Analytics, true),
                (ConsentPurpose::Marketing, false),
                (ConsentPurpose::Location, true)
            ]
        );
    }
}
