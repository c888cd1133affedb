//! An event as the event store keeps it, as far as the person consents. No I/O.

use belvedere_event_store::{Event, PROPS_BYTES_MAX, TEXT_BYTES_MAX};
use belvedere_kernel::{Admitted, Place, SubjectId};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::address::host_of;
use super::agent::{Agent, Agents, device_class, os_family};
use super::event::{AnalyticsEvent, EventKind, cut};

/// Properties that are the event's amount; the first that is a number.
const AMOUNTS: [&str; 3] = ["revenue", "total", "value"];

/// Ends of names of properties that lead to the person or the visit.
const LINKING: [&str; 11] =
    ["id", "ids", "uuid", "guid", "key", "token", "session", "hash", "fingerprint", "code", "ref"];

/// The property that says how many were left out because all together were too large.
const LEFT_OUT: &str = "properties_left_out";

/// The stored form of a cleaned event; none if it is beyond a limit of the event store, or an alias, which is none.
///
/// Without consent to analytics the subject is one of a day, and there is neither session nor user agent nor the client's
/// own id, no address of the referrer, no campaign, no group, no library and no language; of the properties those are left
/// that are plain values and whose names are neither those of ids nor of campaigns. Without consent to location there is neither country nor
/// time zone, and a region only with consent to details too. `sender` is the user agent of the request, and where the user is.
pub(crate) fn to_stored(
    event: &AnalyticsEvent,
    admitted: Admitted,
    (sender, place): (Option<&str>, Option<Place>),
    agents: &mut Agents,
) -> Option<Event> {
    if event.kind == EventKind::Alias {
        return None;
    }
    let (context, properties) = (&event.context, &event.properties);
    let text = |names: &[&str]| names.iter().find_map(|name| text_of(properties.get(*name)?));
    let plan = [properties, &event.traits].into_iter().find_map(|it| it.get("plan")?.as_str()).map(short);
    let user_agent = context.user_agent.as_deref().or(sender).filter(|_| admitted.analytics);
    let agent = user_agent.map(|user_agent| agents.read(user_agent).clone()).unwrap_or_default();
    let agent = if admitted.analytics { told(event, agent) } else { agent };
    let is_located = admitted.analytics && admitted.location;
    let place = place.filter(|_| is_located);
    let told_country = context.country.as_deref().filter(|_| is_located);
    // What the client tells of the country need not be where its request came from.
    let region = place.as_ref().filter(|_| admitted.detailed && told_country.is_none());
    let region = region.and_then(|place| place.region.as_deref());
    let key = if admitted.analytics { "track.event" } else { "track.anonymous" };
    let stored = Event {
        subject: admitted.subject,
        session: event.session_id.as_deref().filter(|_| admitted.analytics).map(short),
        course: text(&["course_id", "courseId"]),
        lesson: text(&["lesson_id", "lessonId"]),
        exercise: text(&["exercise_id", "exerciseId"]),
        value: AMOUNTS.iter().find_map(|name| number_of(properties.get(*name)?)),
        country: told_country.or(place.as_ref().map(|place| place.country.as_str())).map(short),
        browser: agent.browser,
        os: agent.os,
        device: agent.device,
        referrer: referrer(event).map(|host| short(&host)),
        utm_source: context.campaign.source.as_deref().filter(|_| admitted.analytics).map(short),
        plan,
        props: to_text(props(event, admitted, region))?,
        ..Event::new(hashed(&[key, &event.message_id]), event.timestamp, event.stored_name())
    };
    stored.check(0).is_ok().then_some(stored)
}

/// What an event tells of revenue, with all of its properties: whoever pays has a contract, which is kept whatever its
/// customer consents to, apart from the events.
pub(crate) fn to_revenue(event: &AnalyticsEvent, customer: SubjectId) -> Option<Event> {
    let told = Event {
        subject: Some(customer),
        value: AMOUNTS.iter().find_map(|name| number_of(event.properties.get(*name)?)),
        props: to_text(event.properties.clone())?,
        ..Event::new(hashed(&["track.revenue", &event.message_id]), event.timestamp, event.name.clone())
    };
    told.check(0).is_ok().then_some(told)
}

/// What the client itself tells of browser and device counts before what is read from the user agent.
fn told(event: &AnalyticsEvent, agent: Agent) -> Agent {
    let context = &event.context;
    Agent {
        browser: context.browser.as_deref().map(short).or(agent.browser),
        os: context.os.as_deref().map(|os| short(&os_family(os))).or(agent.os),
        device: context.device.as_deref().map(|device| short(&device_class(device))).or(agent.device),
    }
}

/// The host that led here, unless it is the page's own.
fn referrer(event: &AnalyticsEvent) -> Option<String> {
    let page = &event.context.page;
    let host = host_of(page.referrer.as_deref()?)?;
    let own = page.url.as_deref().and_then(host_of);
    (own.as_ref() != Some(&host)).then_some(host)
}

fn props(event: &AnalyticsEvent, admitted: Admitted, region: Option<&str>) -> Map<String, Value> {
    let mut props = event.properties.clone();
    if matches!(event.kind, EventKind::Identify | EventKind::Group) {
        props.extend(event.traits.clone());
    }
    for column in ["course_id", "courseId", "lesson_id", "lessonId", "exercise_id", "exerciseId"] {
        props.remove(column);
    }
    if !admitted.analytics {
        props.retain(|name, value| !matches!(value, Value::Array(_) | Value::Object(_)) && !is_linking(name));
    }
    let context = &event.context;
    let mut add = |name: &str, text: Option<&str>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            props.entry(name).or_insert_with(|| text.into());
        }
    };
    match event.kind {
        EventKind::Page => add("page", Some(&event.name)),
        EventKind::Screen => add("screen", Some(&event.name)),
        _ => {}
    }
    add("path", context.page.path.as_deref());
    add("title", context.page.title.as_deref());
    add("host", context.page.url.as_deref().and_then(host_of).as_deref());
    if admitted.analytics {
        add("referrer", context.page.referrer.as_deref());
        add("utm_medium", context.campaign.medium.as_deref());
        add("utm_campaign", context.campaign.name.as_deref());
        add("utm_term", context.campaign.term.as_deref());
        add("utm_content", context.campaign.content.as_deref());
        add("group_id", event.group_id.as_deref());
        add("locale", context.locale.as_deref());
        add("library", context.library.as_deref());
    }
    if admitted.analytics && admitted.location {
        add("timezone", context.timezone.as_deref());
        add("region", region);
    }
    props
}

/// Whether a property's name is that of an id, as its last word is, or of a campaign.
fn is_linking(name: &str) -> bool {
    let mut start = 0;
    let bytes = name.as_bytes();
    for place in 1..bytes.len() {
        let is_new_word = !bytes[place - 1].is_ascii_alphanumeric()
            || bytes[place].is_ascii_uppercase() && bytes[place - 1].is_ascii_lowercase();
        if is_new_word {
            start = place;
        }
    }
    let last = String::from_utf8_lossy(&bytes[start..]).to_ascii_lowercase();
    // Ids of clicks end with these letters: gclid, fbclid, msclkid.
    let is_click = last.ends_with("clid") || last.ends_with("clkid");
    is_click || name.starts_with("utm_") || LINKING.contains(&last.as_str())
}

fn to_text(props: Map<String, Value>) -> Option<String> {
    let text = serde_json::to_string(&props).ok()?;
    if text.len() <= PROPS_BYTES_MAX { Some(text) } else { serde_json::to_string(&bounded(props)).ok() }
}

/// Properties within the event store's limit: the largest are left out first.
fn bounded(mut props: Map<String, Value>) -> Map<String, Value> {
    let size = |name: &str, value: &Value| name.len() + value.to_string().len() + 8;
    let mut sizes: Vec<(usize, String)> =
        props.iter().map(|(name, value)| (size(name, value), name.clone())).collect();
    let mut bytes: usize = sizes.iter().map(|(size, _)| size).sum::<usize>() + 64;
    if bytes <= PROPS_BYTES_MAX {
        return props;
    }
    sizes.sort_unstable();
    let mut left_out = 0;
    while bytes > PROPS_BYTES_MAX
        && let Some((size, name)) = sizes.pop()
    {
        props.remove(&name);
        bytes -= size;
        left_out += 1;
    }
    props.insert(LEFT_OUT.to_owned(), left_out.into());
    props
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(short(text)).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number; some clients send amounts as texts.
fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    number.filter(|number| number.is_finite())
}

fn short(text: &str) -> String {
    cut(text, TEXT_BYTES_MAX)
}

/// Something that only these texts in this order have.
fn hashed(parts: &[&str]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    id
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::SubjectId;
    use belvedere_storage::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::track::event::{Campaign, Context, Page};

    const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 \
                          Safari/537.36";

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn event() -> AnalyticsEvent {
        let mut event =
            AnalyticsEvent::track("ada", "Order Completed", Timestamp::from_micros(1_795_867_200_000_000));
        event.message_id = "m1".to_owned();
        event.session_id = text("s1");
        event.group_id = text("acme");
        event.properties = json!({
            "revenue": "19.50", "currency": "EUR", "course_id": 12, "lessonId": "loops", "plan": "pro", "order_id": "o1",
            "products": [{"sku": "x"}], "couponCode": "c",
        })
        .as_object()
        .unwrap()
        .clone();
        event.context = Context {
            user_agent: text(CHROME),
            country: text("AT"),
            page: Page {
                url: text("https://shop.example/pay"),
                path: text("/pay"),
                title: text("Pay"),
                referrer: text("https://www.search.example/results"),
            },
            campaign: Campaign { source: text("news"), name: text("autumn"), ..Campaign::default() },
            locale: text("de"),
            timezone: text("Europe/Vienna"),
            library: text("analytics.js/1"),
            ..Context::default()
        };
        event
    }

    fn stored(event: &AnalyticsEvent, analytics: bool, location: bool) -> Event {
        let admitted = Admitted { subject: Some(SubjectId(4)), analytics, detailed: false, location };
        to_stored(event, admitted, (None, None), &mut Agents::default()).unwrap()
    }

    fn props(stored: &Event) -> Value {
        serde_json::from_str(&stored.props).unwrap()
    }

    #[test]
    fn well_known_properties_have_columns_and_all_else_stays_beside_them() {
        let stored = stored(&event(), true, true);
        let columns = [
            &stored.session,
            &stored.course,
            &stored.lesson,
            &stored.exercise,
            &stored.country,
            &stored.browser,
            &stored.os,
            &stored.device,
            &stored.referrer,
            &stored.utm_source,
            &stored.plan,
        ];
        let columns = columns.map(|column| column.as_deref().unwrap_or_default());
        assert_eq!(
            columns,
            ["s1", "12", "loops", "", "AT", "Chrome", "Linux", "desktop", "search.example", "news", "pro"]
        );
        assert_eq!((stored.name.as_str(), stored.value), ("Order Completed", Some(19.5)));
        assert_eq!(
            props(&stored),
            json!({"revenue": "19.50", "currency": "EUR", "plan": "pro", "order_id": "o1", "products": [{"sku": "x"}],
                "couponCode": "c", "path": "/pay", "title": "Pay", "host": "shop.example",
                "referrer": "https://www.search.example/results", "utm_campaign": "autumn", "group_id": "acme",
                "locale": "de", "timezone": "Europe/Vienna", "library": "analytics.js/1"})
        );
    }

    #[test]
    fn consent_decides_what_is_stored() {
        let (all, here, nothing) =
            (stored(&event(), true, true), stored(&event(), true, false), stored(&event(), false, true));
        assert_eq!((here.country.clone(), here.id), (None, all.id));
        assert!(!here.props.contains("Vienna") && here.props.contains("autumn"));
        assert_ne!(nothing.id, all.id);
        let columns = [
            &nothing.session,
            &nothing.country,
            &nothing.browser,
            &nothing.os,
            &nothing.device,
            &nothing.utm_source,
        ];
        assert!(columns.iter().all(|column| column.is_none()), "{nothing:?}");
        assert_eq!(nothing.referrer.as_deref(), Some("search.example"));
        assert_eq!(
            props(&nothing),
            json!({"revenue": "19.50", "currency": "EUR", "plan": "pro", "path": "/pay", "title": "Pay",
                "host": "shop.example"})
        );
    }

    #[test]
    fn calls_have_names_of_their_own_and_an_alias_is_no_event() {
        let name = |kind| {
            let event = AnalyticsEvent { kind, name: "Pricing".to_owned(), ..event() };
            let admitted = Admitted { subject: None, analytics: true, detailed: true, location: true };
            to_stored(&event, admitted, (None, None), &mut Agents::default()).map(|stored| stored.name)
        };
        let names = [
            EventKind::Track,
            EventKind::Page,
            EventKind::Screen,
            EventKind::Identify,
            EventKind::Group,
            EventKind::Alias,
        ];
        assert_eq!(
            names.map(name),
            [text("Pricing"), text("page_view"), text("screen_view"), text("identify"), text("group"), None]
        );
        let page = AnalyticsEvent { kind: EventKind::Page, name: "Pricing".to_owned(), ..event() };
        assert_eq!(props(&stored(&page, true, true))["page"], "Pricing");
    }

    #[test]
    fn a_page_of_the_same_host_did_not_lead_here_and_the_sender_counts_where_no_agent_is_told() {
        let mut event = event();
        event.context.page.referrer = text("https://shop.example/cart");
        event.context.user_agent = None;
        assert_eq!(stored(&event, true, true).referrer, None);
        let admitted = Admitted { subject: None, analytics: true, detailed: true, location: true };
        let of = |event: &AnalyticsEvent, sender| {
            to_stored(event, admitted, (Some(sender), None), &mut Agents::default()).unwrap().browser
        };
        assert_eq!(of(&event, CHROME), text("Chrome"));
        assert_eq!(of(&event, "analytics-python/2.4.0"), None);
        event.context.browser = text("Brave");
        assert_eq!(of(&event, CHROME), text("Brave"));
    }

    #[test]
    fn names_of_ids_are_told_by_their_last_word() {
        for name in
            ["id", "order_id", "orderId", "cart-token", "UUID", "utm ref", "couponCode", "gclid", "utm_term"]
        {
            assert!(is_linking(name), "{name}");
        }
        for name in ["paid", "grid", "valid", "idle", "revenue", "keyword", "", "é"] {
            assert!(!is_linking(name), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn properties_of_any_size_fit_and_say_what_is_missing(
            lengths in proptest::collection::vec(0..20_000_usize, 0..12),
        ) {
            let props: Map<String, Value> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| (format!("p{number}"), "\"".repeat(*length / 2).into()))
                .collect();
            let kept = bounded(props.clone());
            proptest::prop_assert!(Value::Object(kept.clone()).to_string().len() <= PROPS_BYTES_MAX);
            let missing = kept.get(LEFT_OUT).and_then(Value::as_u64).unwrap_or(0) as usize;
            let others = kept.len() - usize::from(missing > 0);
            proptest::prop_assert_eq!(others + missing, props.len());
        }
    }
}
