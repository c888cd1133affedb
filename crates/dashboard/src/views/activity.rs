//! What happened, as rows, days and a chart.

use std::sync::Arc;

use belvedere_error_tracking::IssueId;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::filter::Filter;
use belvedere_event_store::query::{NameVolume, TimelineEvent, TrendAnswer};
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;
use serde_json::Value;

use crate::charts::{Bar, BarChart, Caption};
use crate::form::address;
use crate::views::monitors::Snippet;
use crate::wording::{Count, clock, day, hour, shorten};

/// The name of what the errors of a project are among its events.
const ERROR: &str = "error";

/// The longest line that stands for properties which are folded.
const SUMMARY_CHARS: usize = 48;

/// The longest text of properties.
const JSON_CHARS: usize = 8_000;

/// The greatest number of a subject within the store that is looked for: a set of one takes a bit for each below.
const NUMBER_MAX: u32 = 50_000_000;

/// Whose events they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A subject as every other page knows it.
    Subject(SubjectId),
    /// A subject by its number among events, where no more of it is known.
    Number(u32),
}

impl Who {
    /// Of an event, unless it is nobody's.
    fn of(event: &TimelineEvent) -> Option<Self> {
        event.subject.map(Self::Subject).or(event.subject_number.map(Self::Number))
    }

    /// `318`, or `n5` for a number among events.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str| {
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        match text.strip_prefix('n') {
            Some(digits) => {
                let number = number(digits).and_then(|number| u32::try_from(number).ok());
                number.filter(|number| *number <= NUMBER_MAX).map(Self::Number)
            }
            None => number(text).map(|number| Self::Subject(SubjectId(number))),
        }
    }

    /// The same as the last part of an address.
    pub(crate) fn key(self) -> String {
        match self {
            Self::Subject(subject) => subject.to_string(),
            Self::Number(number) => format!("n{number}"),
        }
    }

    pub(crate) fn subject(self) -> Option<SubjectId> {
        match self {
            Self::Subject(subject) => Some(subject),
            Self::Number(_) => None,
        }
    }

    /// What holds for events of this subject besides [`Who::subject`].
    pub(crate) fn filter(self) -> Filter {
        match self {
            Self::Subject(_) => Filter::all(),
            Self::Number(number) => Filter::Subjects(Arc::new([number].into_iter().collect())),
        }
    }
}

/// A text of an event and the address of the events with the same.
pub(crate) struct Cell {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) href: String,
}

/// Where rows lead to.
pub(crate) struct Links {
    /// The address of the project's pages.
    pub(crate) base: String,
    /// The word of the span of time to keep.
    pub(crate) span: String,
    /// Whether issues have pages.
    pub(crate) has_issues: bool,
}

impl Links {
    /// The events of a name; of all names if it is empty.
    pub(crate) fn name(&self, name: &str) -> String {
        address(&format!("{}/events", self.base), &[("name", name), ("span", &self.span)])
    }

    fn value(&self, dimension: &str, value: &str) -> String {
        let pairs = [("dimension", dimension), ("value", value), ("span", &self.span)];
        address(&format!("{}/events", self.base), &pairs)
    }

    fn who(&self, who: Who) -> String {
        format!("{}/events/subjects/{}", self.base, who.key())
    }
}

/// An event in a list.
pub(crate) struct ActivityRow {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) day: String,
    pub(crate) clock: String,
    pub(crate) name: String,
    /// The issue of an error, else the events of the same name.
    pub(crate) href: String,
    pub(crate) title: &'static str,
    pub(crate) is_error: bool,
    /// The subject and the address of its timeline.
    pub(crate) who: Option<(String, String)>,
    pub(crate) place: Vec<Cell>,
    pub(crate) client: Vec<Cell>,
    pub(crate) plan: Vec<Cell>,
    pub(crate) value: String,
    /// The texts that have no column of their own.
    pub(crate) more: Vec<Cell>,
    /// What stands for the properties while they are folded; empty without any.
    pub(crate) summary: String,
    pub(crate) json: String,
}

impl ActivityRow {
    pub(crate) fn new(links: &Links, event: &TimelineEvent) -> Self {
        let props = serde_json::from_str::<Value>(&event.props).ok();
        let issue = props.as_ref().filter(|_| event.name == ERROR && links.has_issues).and_then(issue_of);
        let cells = |wanted: &[&str]| -> Vec<Cell> {
            let found = wanted.iter().filter_map(|key| event.texts.iter().find(|(column, _)| column == key));
            found.map(|(key, text)| cell(links, key, text)).collect()
        };
        let more = cells(&["session", "country", "device", "referrer", "utm_source"]);
        let json = match &props {
            Some(props) => serde_json::to_string_pretty(props).unwrap_or_default(),
            None => event.props.clone(),
        };
        Self {
            id: event.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            at: event.at,
            day: day(event.at),
            clock: clock(event.at),
            name: event.name.clone(),
            title: if issue.is_some() { "The issue of this error" } else { "Events of this name" },
            href: match issue {
                Some(issue) => format!("{}/issues/{issue}", links.base),
                None => links.name(&event.name),
            },
            is_error: event.name == ERROR,
            who: Who::of(event).map(|who| (format!("Subject {}", who.key()), links.who(who))),
            place: cells(&["course", "lesson", "exercise"]),
            client: cells(&["browser", "os"]),
            plan: cells(&["plan"]),
            value: event.value.map(|value| value.to_string()).unwrap_or_default(),
            summary: summary(props.as_ref(), &event.props, &more),
            more,
            json: shorten(&json, JSON_CHARS),
        }
    }
}

fn cell(links: &Links, key: &'static str, text: &str) -> Cell {
    let href = Dimension::find(key).map(|_| links.value(key, text)).unwrap_or_default();
    Cell { key, text: text.to_owned(), href }
}

/// The issue that the properties of an error name.
fn issue_of(props: &Value) -> Option<IssueId> {
    props.get("issue")?.as_str()?.parse().ok()
}

/// The first properties in a line.
fn summary(props: Option<&Value>, raw: &str, more: &[Cell]) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(Value::Object(entries)) = props {
        parts.extend(entries.iter().filter(|(key, _)| *key != "issue").take(3).map(
            |(key, value)| match value {
                Value::String(text) => format!("{key}: {text}"),
                Value::Object(_) | Value::Array(_) => format!("{key}: …"),
                other => format!("{key}: {other}"),
            },
        ));
    }
    parts.extend(
        more.iter().take(3_usize.saturating_sub(parts.len())).map(|it| format!("{}: {}", it.key, it.text)),
    );
    let has_props = props.map_or(!raw.is_empty(), |props| *props != Value::Object(serde_json::Map::new()));
    match parts.is_empty() {
        true if has_props => "Properties".to_owned(),
        _ => shorten(&parts.join(", "), SUMMARY_CHARS),
    }
}

/// The events of one day, in UTC.
pub(crate) struct ActivityDay {
    pub(crate) label: String,
    pub(crate) rows: Vec<ActivityRow>,
}

/// Rows, newest first, under their days.
pub(crate) fn days_of(rows: Vec<ActivityRow>) -> Vec<ActivityDay> {
    let mut days: Vec<ActivityDay> = Vec::new();
    for row in rows {
        let label = format!("{} {}", row.day, row.at.to_datetime().year());
        match days.last_mut().filter(|day| day.label == label) {
            Some(day) => day.rows.push(row),
            None => days.push(ActivityDay { label, rows: vec![row] }),
        }
    }
    days
}

/// A name with how often it occurred.
pub(crate) struct NameRow {
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) is_chosen: bool,
    pub(crate) events: Count,
    pub(crate) subjects: Count,
}

/// The names of events, the chosen one marked.
pub(crate) fn names_of(links: &Links, volumes: &[NameVolume], chosen: &str) -> Vec<NameRow> {
    let row = |volume: &NameVolume| NameRow {
        name: volume.name.clone(),
        href: links.name(&volume.name),
        is_chosen: volume.name == chosen,
        events: Count(volume.events),
        subjects: Count(volume.subjects),
    };
    volumes.iter().map(row).collect()
}

/// A chart of a trend without breakdown, and how many events it is of.
pub(crate) fn chart_of(trend: &TrendAnswer, is_hourly: bool, period: &str) -> (BarChart, Count) {
    let points = trend.series.first().map(|series| series.points.as_slice()).unwrap_or_default();
    let bars: Vec<Bar> = trend
        .starts
        .iter()
        .enumerate()
        .map(|(index, start)| Bar {
            label: if is_hourly { format!("{} {}", day(*start), hour(*start)) } else { day(*start) },
            quantity: points.get(index).map_or(0, |point| point.events),
        })
        .collect();
    let total = bars.iter().map(|bar| bar.quantity).sum();
    let (per, column) = if is_hourly { ("hour", "Hour (UTC)") } else { ("day", "Day (UTC)") };
    let about = format!("Events per {per} in the {period}");
    (BarChart::new(bars, &Caption { about: &about, unit: "events", column, is_small: false }), Count(total))
}

/// How programs send errors that come with whose they are and where they happened.
pub(crate) fn event_snippets(dsn: &str) -> Vec<Snippet> {
    let snippet = |language, id, code: String| Snippet { language, id, code };
    vec![
        snippet(
            "Python",
            "snippet-event-python",
            format!(
                "# pip install sentry-sdk\nimport sentry_sdk\n\nsentry_sdk.init(dsn=\"{dsn}\")\n\
                 sentry_sdk.set_user({{\"id\": \"42\"}})\nsentry_sdk.set_tag(\"course\", \"rust-101\")\n\
                 sentry_sdk.set_tag(\"lesson\", \"lesson-4\")\nsentry_sdk.set_tag(\"plan\", \"pro\")\n\n1 / 0"
            ),
        ),
        snippet(
            "JavaScript (browser)",
            "snippet-event-browser",
            format!(
                "// npm install @sentry/browser\nimport * as Sentry from \"@sentry/browser\";\n\n\
                 Sentry.init({{ dsn: \"{dsn}\" }});\nSentry.setUser({{ id: \"42\" }});\n\
                 Sentry.setTags({{ course: \"rust-101\", lesson: \"lesson-4\", plan: \"pro\" }});\n\n\
                 Sentry.captureException(new Error(\"first event\"));"
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use belvedere_event_store::kernel::group::Group;
    use belvedere_event_store::kernel::trend::{Point, Series};

    use super::*;

    fn links(has_issues: bool) -> Links {
        Links { base: "/projects/7".to_owned(), span: "7d".to_owned(), has_issues }
    }

    fn event(name: &str, props: &str) -> TimelineEvent {
        TimelineEvent {
            id: [171; 16],
            at: "2026-11-23T10:20:07Z".parse().unwrap(),
            name: name.to_owned(),
            subject: None,
            subject_number: Some(5),
            value: Some(4.5),
            texts: vec![("session", "s1".to_owned()), ("course", "rust & co".to_owned())],
            props: props.to_owned(),
        }
    }

    #[test]
    fn an_error_leads_to_its_issue_and_anything_else_to_events_of_its_name() {
        let issue = IssueId::from_bytes([3; 16]);
        let props = format!(r#"{{"issue":"{issue}","level":"error"}}"#);
        let row = ActivityRow::new(&links(true), &event("error", &props));
        assert_eq!(row.href, format!("/projects/7/issues/{issue}"));
        assert_eq!(row.summary, "level: error, session: s1");
        let by_name = "/projects/7/events?name=error&span=7d";
        assert_eq!(ActivityRow::new(&links(false), &event("error", &props)).href, by_name);
        let odd = ActivityRow::new(&links(true), &event("error", r#"{"issue":"//evil.example"}"#));
        assert_eq!(odd.href, by_name);
        let named = ActivityRow::new(&links(true), &event("signup", &props));
        assert_eq!(named.href, "/projects/7/events?name=signup&span=7d");
        assert_eq!(named.id, "ab".repeat(16));
    }

    #[test]
    fn texts_lead_to_events_with_the_same_and_sessions_nowhere() {
        let row = ActivityRow::new(&links(true), &event("signup", "not JSON"));
        assert_eq!(row.place[0].href, "/projects/7/events?dimension=course&value=rust%20%26%20co&span=7d");
        assert_eq!((row.more[0].key, row.more[0].href.as_str()), ("session", ""));
        assert_eq!((row.json.as_str(), row.value.as_str()), ("not JSON", "4.5"));
        let (label, href) = row.who.unwrap();
        assert_eq!((label.as_str(), href.as_str()), ("Subject n5", "/projects/7/events/subjects/n5"));
        let bare = TimelineEvent { texts: Vec::new(), ..event("signup", "{}") };
        assert_eq!(ActivityRow::new(&links(true), &bare).summary, "");
    }

    #[test]
    fn subjects_are_read_from_addresses_within_limits() {
        assert_eq!(Who::parse("318"), Some(Who::Subject(SubjectId(318))));
        assert_eq!(Who::parse("n5"), Some(Who::Number(5)));
        for odd in ["", "n", "-1", "+1", "n4294967295", "n99999999999", "99999999999999999999", "<script>"] {
            assert_eq!(Who::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn rows_stand_under_their_days() {
        let at = |at: &str| TimelineEvent { at: at.parse().unwrap(), ..event("a", "") };
        let events = ["2026-11-23T00:00:00Z", "2026-11-22T23:59:59Z", "2025-11-22T23:59:59Z"].map(at);
        let rows = events.iter().map(|event| ActivityRow::new(&links(true), event)).collect();
        let days: Vec<(String, usize)> =
            days_of(rows).into_iter().map(|day| (day.label, day.rows.len())).collect();
        let expected = [("23 Nov 2026", 1), ("22 Nov 2026", 1), ("22 Nov 2025", 1)];
        assert_eq!(days, expected.map(|(label, rows)| (label.to_owned(), rows)));
    }

    #[test]
    fn a_chart_has_a_bar_for_every_bucket() {
        let point = |events| Point {
            events,
            subjects: 0,
            values: 0,
            sum: 0.0,
            min: None,
            max: None,
            percentiles: None,
        };
        let series = Series { group: Group::All, events: 1_500, subjects: 0, points: vec![point(1_500)] };
        let starts = ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"].map(|at| at.parse().unwrap());
        let trend = TrendAnswer { starts: starts.into(), series: vec![series] };
        let (chart, total) = chart_of(&trend, false, "last 7 days");
        assert_eq!(total, Count(1_500));
        let html = chart.to_string();
        assert!(
            html.contains("Events per day in the last 7 days: 1,500 events in all, at most 1,500"),
            "{html}"
        );
        assert!(html.contains(r#"<td>23 Nov</td><td class="n">0</td>"#), "{html}");
        let nothing =
            chart_of(&TrendAnswer { starts: Vec::new(), series: Vec::new() }, true, "last 24 hours");
        assert_eq!(nothing.1, Count(0));
    }
}
