//! What an event's page shows beside its stack trace.

use belvedere_error_tracking::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

use crate::views::payload::{Field, Marks, Node, followable};
use crate::views::stack::{self, Trace};
use crate::wording::{At, clock, counted, shorten};

const CRUMBS_MAX: usize = 100;
const CONTEXTS_MAX: usize = 30;
const TAGS_MAX: usize = 60;
const REMOVALS_MAX: usize = 100;

/// An event as its page shows it.
#[derive(Debug)]
pub(crate) struct EventView {
    pub(crate) id: String,
    /// The trace it belongs to.
    pub(crate) trace_id: Option<String>,
    pub(crate) occurred_at: At,
    pub(crate) received_at: At,
    pub(crate) time_was_clamped: bool,
    /// The message, where it says more than the exceptions do.
    pub(crate) message: Option<String>,
    pub(crate) traces: Vec<Trace>,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) crumbs_summary: String,
    pub(crate) tags: Vec<Tag>,
    /// Release, environment, SDK and the like.
    pub(crate) facts: Vec<Field>,
    pub(crate) subject: Option<SubjectId>,
    /// The trace in which it happened: 32 hexadecimal digits.
    pub(crate) trace: Option<String>,
    pub(crate) request: Option<RequestView>,
    pub(crate) contexts: Vec<Group>,
    pub(crate) extra: Vec<Field>,
    pub(crate) modules: Vec<Field>,
    pub(crate) removals: Vec<(String, String)>,
    pub(crate) removals_left_out: usize,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
}

/// Something that happened before the event.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Crumb {
    pub(crate) clock: String,
    /// How long before the event: `-15 s`.
    pub(crate) before: String,
    pub(crate) category: String,
    pub(crate) level: Option<String>,
    pub(crate) is_bad: bool,
    pub(crate) message: String,
    pub(crate) data: Vec<Field>,
}

/// A tag and where it leads.
#[derive(Debug, PartialEq)]
pub(crate) struct Tag {
    pub(crate) field: Field,
    pub(crate) href: Option<String>,
}

/// A context such as `browser`, with its attributes.
#[derive(Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) fields: Vec<Field>,
}

/// The HTTP request in which it happened.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct RequestView {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) href: Option<String>,
    pub(crate) removed: Option<String>,
    pub(crate) parts: Vec<Group>,
}

impl EventView {
    pub(crate) fn new(event: &Event) -> Self {
        let marks = Marks::new(&event.removals);
        let root = Node::root(&event.payload, &marks);
        let traces = stack::traces(&root);
        let crumbs = crumbs(&root, event.summary.occurred_at);
        let group = |key: &str| root.get(key).map(|node| node.fields()).unwrap_or_default();
        Self {
            id: event.summary.event_id.clone(),
            trace_id: root
                .get("contexts")
                .and_then(|contexts| contexts.get("trace")?.text_of("trace_id"))
                .filter(|trace| trace.bytes().all(|byte| byte.is_ascii_hexdigit())),
            occurred_at: At(event.summary.occurred_at),
            received_at: At(event.summary.received_at),
            time_was_clamped: event.time_was_clamped,
            message: message(&root, &traces).filter(|said| traces.is_empty() || *said != event.summary.title),
            crumbs_summary: match crumbs.len() {
                CRUMBS_MAX => format!("the last {CRUMBS_MAX}, newest last"),
                count => format!("{}, newest last", counted(count, "step", "steps")),
            },
            traces,
            crumbs,
            tags: tags_of(&root),
            facts: facts(event, &root),
            subject: event.summary.subject,
            trace: trace(&root),
            request: root.get("request").and_then(|request| read_request(&request)),
            contexts: contexts_of(&root),
            extra: group("extra"),
            modules: group("modules"),
            removals: event
                .removals
                .iter()
                .take(REMOVALS_MAX)
                .map(|removal| (shorten(&removal.path, 200), shorten(&removal.rule, 80)))
                .collect(),
            removals_left_out: event.removals.len().saturating_sub(REMOVALS_MAX),
            previous: event.previous.clone(),
            next: event.next.clone(),
        }
    }
}

fn trace(root: &Node<'_>) -> Option<String> {
    let id = root.get("contexts")?.get("trace")?.text_of("trace_id")?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_ascii_lowercase())
}

/// The event's own message, unless an exception says the same.
fn message(root: &Node<'_>, traces: &[Trace]) -> Option<String> {
    let entry = root.get("logentry").or_else(|| root.get("message"))?;
    let text = entry.text().or_else(|| entry.text_of("formatted")).or_else(|| entry.text_of("message"))?;
    let is_said = traces.iter().any(|trace| trace.value == text);
    (!is_said).then_some(text)
}

fn crumbs(root: &Node<'_>, occurred_at: Timestamp) -> Vec<Crumb> {
    let list = root.get("breadcrumbs").map(|crumbs| crumbs.list()).unwrap_or_default();
    let newest = &list[list.len().saturating_sub(CRUMBS_MAX)..];
    newest.iter().filter(|crumb| crumb.is_object()).map(|crumb| read_crumb(crumb, occurred_at)).collect()
}

fn read_crumb(crumb: &Node<'_>, occurred_at: Timestamp) -> Crumb {
    let at = crumb.get("timestamp").and_then(|at| read_instant(&at));
    let level = crumb.text_of("level").filter(|level| level != "info");
    let category = crumb.text_of("category").or_else(|| crumb.text_of("type")).unwrap_or_default();
    Crumb {
        clock: at.map(clock).unwrap_or_default(),
        before: at.map(|at| before(at, occurred_at)).unwrap_or_default(),
        is_bad: level.as_deref().is_some_and(|level| matches!(level, "error" | "fatal" | "critical")),
        level: level.map(|level| shorten(&level, 20)),
        category: shorten(&category, 80),
        message: crumb.text_of("message").unwrap_or_default(),
        data: crumb.get("data").map(|data| data.fields()).unwrap_or_default(),
    }
}

/// Seconds since the epoch or RFC 3339, with or without a zone: all are sent.
fn read_instant(node: &Node<'_>) -> Option<Timestamp> {
    if let Some(seconds) = node.as_f64() {
        let in_range = seconds.is_finite() && seconds.abs() < 1e11;
        return in_range.then(|| Timestamp::from_micros((seconds * 1e6) as i64));
    }
    let text = node.text()?;
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

fn before(at: Timestamp, occurred_at: Timestamp) -> String {
    let gap = occurred_at.since(at);
    match gap.as_millis() {
        0 => String::new(),
        1..1_000 => format!("\u{2212}{} ms", gap.as_millis()),
        _ if gap.as_secs() < 120 => format!("\u{2212}{} s", gap.as_secs()),
        _ if gap.as_secs() < 7_200 => format!("\u{2212}{} min", gap.as_secs() / 60),
        _ => format!("\u{2212}{} h", gap.as_secs() / 3_600),
    }
}

pub(crate) fn tags_of(root: &Node<'_>) -> Vec<Tag> {
    let fields = root.get("tags").map(|tags| tags.fields()).unwrap_or_default();
    let tag = |field: Field| Tag { href: followable(&field.text), field };
    fields.into_iter().take(TAGS_MAX).map(tag).collect()
}

fn facts(event: &Event, root: &Node<'_>) -> Vec<Field> {
    let summary = &event.summary;
    let own = [
        ("Environment", summary.environment.clone()),
        ("Release", summary.release.clone()),
        ("Build", root.text_of("dist")),
        ("Handled", event.handled.map(|handled| if handled { "yes" } else { "no" }.to_owned())),
        ("Transaction", root.text_of("transaction")),
        ("Logger", root.text_of("logger")),
        ("Server", root.text_of("server_name")),
        ("Platform", Some(event.platform.clone()).filter(|platform| !platform.is_empty())),
        ("SDK", event.sdk.clone()),
    ];
    let mut facts: Vec<Field> = own
        .into_iter()
        .filter_map(|(key, text)| text.map(|text| Field::plain(key, shorten(&text, 300))))
        .collect();
    if let Some(fingerprint) = root.get("fingerprint") {
        facts.push(Field { key: "Fingerprint".to_owned(), ..fingerprint.field("") });
    }
    facts
}

fn read_request(request: &Node<'_>) -> Option<RequestView> {
    let url = request.get("url").map(|url| url.field("url")).unwrap_or_default();
    let named = [
        ("Query", "query_string"),
        ("Headers", "headers"),
        ("Cookies", "cookies"),
        ("Body", "data"),
        ("Environment", "env"),
        ("Fragment", "fragment"),
    ];
    let parts = named
        .iter()
        .filter_map(|(title, key)| {
            let fields = request.get(key)?.fields();
            (!fields.is_empty()).then(|| Group { title: (*title).to_owned(), fields })
        })
        .collect();
    let view = RequestView {
        method: request.text_of("method").map(|method| shorten(&method, 20)).unwrap_or_default(),
        href: url.href,
        url: url.text,
        removed: url.removed,
        parts,
    };
    (view != RequestView::default()).then_some(view)
}

/// The contexts with what people look for first at the top; those without attributes are left out.
pub(crate) fn contexts_of(root: &Node<'_>) -> Vec<Group> {
    const FIRST: [&str; 7] = ["trace", "browser", "os", "device", "runtime", "app", "gpu"];
    let Some(contexts) = root.get("contexts").filter(|contexts| contexts.is_object()) else {
        return Vec::new();
    };
    let mut names: Vec<String> = contexts.fields().into_iter().map(|field| field.key).collect();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let group = |name: String| {
        let context = contexts.get(&name)?;
        let mut fields = context.fields();
        fields.retain(|field| field.key != "type" || field.text != name);
        let title = name.replace('_', " ");
        (!fields.is_empty()).then_some(Group { title, fields })
    };
    names.into_iter().take(CONTEXTS_MAX).filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_root<T>(payload: &Value, read: impl FnOnce(&Node<'_>) -> T) -> T {
        read(&Node::root(payload, &Marks::default()))
    }

    #[test]
    fn breadcrumbs_are_read_from_both_list_forms_and_both_kinds_of_time() {
        let at: Timestamp = "2026-11-23T10:00:30Z".parse().unwrap();
        let items = json!([
            {"timestamp": 1_795_428_015.5, "category": "ui.click", "message": "button", "level": "info"},
            {"timestamp": "2026-11-23T10:00:29.900", "type": "http", "level": "error", "data": {"status_code": 500}},
            "not a crumb",
        ]);
        for payload in [json!({"breadcrumbs": items}), json!({"breadcrumbs": {"values": items}})] {
            let crumbs = with_root(&payload, |root| crumbs(root, at));
            let read: Vec<_> = crumbs
                .iter()
                .map(|c| (c.clock.as_str(), c.before.as_str(), c.category.as_str(), c.is_bad))
                .collect();
            assert_eq!(
                read,
                [
                    ("10:00:15", "\u{2212}14 s", "ui.click", false),
                    ("10:00:29", "\u{2212}100 ms", "http", true)
                ]
            );
            assert_eq!(crumbs[0].level, None);
            assert_eq!(crumbs[1].data, [Field::plain("status_code", "500")]);
        }
    }

    #[test]
    fn times_out_of_range_are_left_out() {
        for odd in [json!(1e300), json!("soon"), json!({}), json!(-1e12)] {
            let payload = json!({"breadcrumbs": [{"timestamp": odd, "message": "m"}]});
            let crumbs = with_root(&payload, |root| crumbs(root, Timestamp::EPOCH));
            assert_eq!((crumbs[0].clock.as_str(), crumbs[0].message.as_str()), ("", "m"));
        }
    }

    #[test]
    fn only_web_addresses_become_links() {
        let payload = json!({"request": {"url": "javascript:alert(1)", "method": "GET", "headers": [["Host", "a.example"]]},
            "tags": {"docs": "https://docs.example/x", "bad": "javascript:alert(1)"}});
        let request = with_root(&payload, |root| read_request(&root.get("request").unwrap()).unwrap());
        assert_eq!((request.href, request.url.as_str()), (None, "javascript:alert(1)"));
        assert_eq!(request.parts[0].fields, [Field::plain("Host", "a.example")]);
        let links: Vec<_> = with_root(&payload, tags_of).into_iter().filter_map(|tag| tag.href).collect();
        assert_eq!(links, ["https://docs.example/x"]);
    }

    #[test]
    fn contexts_come_in_a_useful_order_without_empty_ones() {
        let payload = json!({"contexts": {"zeta": {"a": 1}, "os": {"type": "os", "name": "Windows"}, "trace": {"trace_id": "1"}, "device": {}, "app": null, "runtime": {"type": "runtime"}}});
        let titles: Vec<_> = with_root(&payload, contexts_of)
            .into_iter()
            .map(|group| (group.title, group.fields.len()))
            .collect();
        assert_eq!(titles, [("trace".to_owned(), 1), ("os".to_owned(), 1), ("zeta".to_owned(), 1)]);
    }

    #[test]
    fn a_message_is_not_repeated_when_an_exception_says_it() {
        let trace = Trace { value: "it broke".to_owned(), ..Trace::default() };
        let said = with_root(&json!({"message": "it broke"}), |root| message(root, &[trace]));
        assert_eq!(said, None);
        let formatted =
            with_root(&json!({"logentry": {"message": "user %s", "formatted": "user 7"}}), |root| {
                message(root, &[])
            });
        assert_eq!(formatted.as_deref(), Some("user 7"));
    }
}
