//! What happened: the events of a project by name, over time and one by one, and those of one subject.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::filter::{Filter, PropTest, TextTest};
use belvedere_event_store::kernel::group::Field;
use belvedere_event_store::kernel::trend::Measures;
use belvedere_event_store::query::{
    AskTrend, ListNames, ListProperties, ListValues, QueriesError, ReadTimeline, Span, TimelineEvent,
    TrendAnswer, Unit,
};
use belvedere_event_store::{TEXT_BYTES_MAX, TIME_MIN};
use belvedere_kernel::SubjectId;
use belvedere_storage::{Page, Timestamp};

use crate::charts::BarChart;
use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::overview::find_dsn;
use crate::pages::page_request;
use crate::pages::settings::with_status_of;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::activity::{
    ActivityDay, ActivityRow, Links, NameRow, Who, chart_of, days_of, event_snippets, names_of,
};
use crate::views::monitors::Snippet;
use crate::wording::{Count, shorten};

const ROWS_PER_PAGE: u16 = 50;

/// How many names are listed, and how many of them without being asked.
const NAMES_MAX: usize = 100;
const NAMES_OPEN: usize = 5;

/// How many values are suggested.
const VALUES_MAX: usize = 50;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The spans of time to choose from: word, name, days.
const SPANS: [(&str, &str, u32); 3] =
    [("24h", "Last 24 hours", 1), ("7d", "Last 7 days", 7), ("30d", "Last 30 days", 30)];

/// A span of time that ends with the present hour or day.
#[derive(Debug, Clone, Copy)]
struct Period {
    word: &'static str,
    name: &'static str,
    from: Timestamp,
    until: Timestamp,
    is_hourly: bool,
}

impl Period {
    /// The one that an address asks for; a day unless it does.
    fn read(pairs: &Pairs, now: Timestamp) -> Self {
        let [day, ..] = SPANS;
        let chosen = SPANS.into_iter().find(|(word, ..)| *word == pairs.text("span"));
        let (word, name, days) = chosen.unwrap_or(day);
        let is_hourly = days == 1;
        let until = if is_hourly { now.start_of_hour().plus(HOUR) } else { now.start_of_day().plus(DAY) };
        Self { word, name, from: until.minus(DAY * days), until, is_hourly }
    }

    /// Its name within a sentence.
    fn in_words(&self) -> String {
        self.name.to_lowercase()
    }
}

/// Which events an address asks for.
#[derive(Debug, Clone, Default)]
struct Wanted {
    name: String,
    /// What it is called, and what that is; empty for none.
    property: String,
    field: Option<Field>,
    value: String,
}

impl Wanted {
    fn read(pairs: &Pairs) -> Result<Self, String> {
        let (name, value) = (pairs.text("name").to_owned(), pairs.text("value").to_owned());
        let property = pairs.text("dimension").to_owned();
        let field = match property.as_str() {
            "" if value.is_empty() => None,
            "" => return Err(format!("Choose what \u{201c}{}\u{201d} is a value of", shorten(&value, 40))),
            word => Some(field_of(word)?),
        };
        for (field, text) in [("name", &name), ("value", &value)] {
            if text.len() > TEXT_BYTES_MAX {
                return Err(format!("The {field} has more than {TEXT_BYTES_MAX} bytes"));
            }
        }
        Ok(Self { name, property, field, value })
    }

    fn is_filtered(&self) -> bool {
        !self.name.is_empty() || !self.value.is_empty()
    }

    fn filter(&self) -> Filter {
        let name = Some(&self.name).filter(|name| !name.is_empty()).map(Filter::name);
        let test = TextTest::Is(self.value.clone());
        let property = match self.field.as_ref().filter(|_| !self.value.is_empty()) {
            None => None,
            Some(Field::Name) => Some(Filter::Name(test)),
            Some(Field::Dimension(dimension)) => Some(Filter::Dimension(*dimension, test)),
            Some(Field::Prop(name)) => Some(Filter::Prop(name.clone(), PropTest::Text(test))),
        };
        Filter::And(name.into_iter().chain(property).collect())
    }

    fn href(&self, path: &str, period: &Period, after: &str) -> String {
        let pairs = [
            ("name", self.name.as_str()),
            ("dimension", self.property.as_str()),
            ("value", &self.value),
            ("span", period.word),
            ("after", after),
        ];
        address(path, &pairs)
    }
}

/// The dimension or property of a name.
pub(crate) fn field_of(word: &str) -> Result<Field, String> {
    let found = Field::find(word).filter(|field| *field != Field::Name && word != "value");
    found.ok_or_else(|| format!("{} is no name of a property", shorten(word, 40)))
}

/// An option of a select.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) name: String,
    pub(crate) is_chosen: bool,
}

/// The changing parts of the list.
struct Activity {
    /// Whether nothing happened in the last 30 days.
    is_empty: bool,
    is_filtered: bool,
    names: Vec<NameRow>,
    more_names: Vec<NameRow>,
    all_href: String,
    per: &'static str,
    period: String,
    total: Count,
    /// None where it took too long.
    chart: Option<BarChart>,
    rows: Vec<ActivityRow>,
    next_href: Option<String>,
    unresolved: Count,
    dsn: Option<String>,
    snippets: Vec<Snippet>,
    keys_href: Option<String>,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    layout: Layout,
    view: Activity,
    error: Option<String>,
    names: Vec<Choice>,
    spans: Vec<Choice>,
    dimensions: Vec<Choice>,
    /// What the property that is chosen is called.
    dimension: String,
    value: String,
    suggestions: Vec<String>,
    properties_href: String,
    first_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_activity.html")]
struct ActivityFragment {
    view: Activity,
}

/// `GET /projects/{project}/events`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let period = Period::read(&pairs, scene.now);
    let (wanted, mut error) = match Wanted::read(&pairs) {
        Ok(wanted) => (wanted, None),
        Err(why) => (Wanted::default(), Some(why)),
    };
    let (wanted, view) = match read(&scene, &pairs, &wanted, &period).await {
        Err(Refusal::Invalid(why)) if wanted.is_filtered() => {
            error = Some(why);
            let all = Wanted::default();
            let view = read(&scene, &pairs, &all, &period).await?;
            (all, view)
        }
        view => (wanted, view?),
    };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&ActivityFragment { view }));
    }
    let has_error = error.is_some();
    let path = format!("{}/events", scene.base());
    let mut layout = scene.layout(Section::Events, &pairs).await?;
    layout.live_topic = if pairs.some("after").is_none() { "event.appended" } else { "" };
    let page = ActivityPage {
        layout,
        error,
        names: name_choices(&view, &wanted),
        spans: spans(&period),
        dimensions: dimensions(&scene, &wanted).await,
        dimension: if wanted.property.is_empty() { "value".to_owned() } else { wanted.property.clone() },
        suggestions: suggestions(&scene, &wanted).await,
        properties_href: format!("{path}/properties"),
        first_href: pairs.some("after").map(|_| wanted.href(&path, &period, "")),
        value: wanted.value,
        view,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

async fn read(scene: &Scene, pairs: &Pairs, wanted: &Wanted, period: &Period) -> Result<Activity, Refusal> {
    let queries = &scene.state.queries;
    let names = ListNames { project: scene.id(), until: scene.now, limit: NAMES_MAX };
    let timeline = ReadTimeline {
        project: scene.id(),
        subject: None,
        filter: wanted.filter(),
        from: period.from,
        until: period.until,
        page: page_request(pairs, ROWS_PER_PAGE),
    };
    let (names, trend, found, unresolved) = tokio::join!(
        queries.list_names(names),
        queries.trend(trend_of(scene, wanted, period)),
        queries.timeline(timeline),
        scene.count_unresolved(),
    );
    let (names, found) = (names?, found?);
    let links = links(scene, period.word);
    let (chart, total) = chart(trend, period)?;
    let mut rows = names_of(&links, &names, &wanted.name);
    let more_names = rows.split_off(rows.len().min(NAMES_OPEN));
    let path = format!("{}/events", scene.base());
    let is_empty = names.is_empty() && found.items.is_empty() && !wanted.is_filtered();
    let dsn = if is_empty { find_dsn(scene).await? } else { None };
    Ok(Activity {
        is_empty,
        is_filtered: wanted.is_filtered(),
        names: rows,
        more_names,
        all_href: links.name(""),
        per: if period.is_hourly { "hour" } else { "day" },
        period: period.in_words(),
        total,
        chart,
        rows: rows_of(&links, &found),
        next_href: found.next.map(|next| wanted.href(&path, period, next.as_str())),
        unresolved: Count(unresolved?.unwrap_or(0)),
        snippets: dsn.as_deref().map(event_snippets).unwrap_or_default(),
        keys_href: scene.may(Permission::ManageKeys).then(|| format!("{}/settings/keys", scene.base())),
        dsn,
    })
}

fn trend_of(scene: &Scene, wanted: &Wanted, period: &Period) -> AskTrend {
    AskTrend {
        span: Span {
            project: scene.id(),
            from: period.from,
            until: period.until,
            // As every chart of these pages.
            time_zone: "UTC".to_owned(),
        },
        unit: if period.is_hourly { Unit::Hour } else { Unit::Day },
        filter: wanted.filter(),
        measures: Measures::default(),
        values_of: None,
        breakdown: None,
    }
}

/// A chart that took too long is left out, the rest of the page is not.
fn chart(
    trend: Result<TrendAnswer, QueriesError>,
    period: &Period,
) -> Result<(Option<BarChart>, Count), Refusal> {
    match trend {
        Ok(trend) => {
            let (chart, total) = chart_of(&trend, period.is_hourly, &period.in_words());
            Ok((Some(chart), total))
        }
        Err(QueriesError::TooSlow { .. }) => Ok((None, Count(0))),
        Err(error) => Err(error.into()),
    }
}

fn links(scene: &Scene, span: &str) -> Links {
    Links { base: scene.base(), span: span.to_owned(), has_issues: scene.state.errors.is_some() }
}

fn rows_of(links: &Links, page: &Page<TimelineEvent>) -> Vec<ActivityRow> {
    page.items.iter().map(|event| ActivityRow::new(links, event)).collect()
}

/// The values that there are of the chosen property; without them it is a text box.
async fn suggestions(scene: &Scene, wanted: &Wanted) -> Vec<String> {
    let Some(property) = wanted.field.clone() else { return Vec::new() };
    let list = ListValues {
        project: scene.id(),
        name: Some(wanted.name.clone()).filter(|name| !name.is_empty()),
        property,
        until: scene.now,
        limit: VALUES_MAX,
    };
    let found = scene.state.queries.list_values(list).await.unwrap_or_default();
    found.into_iter().filter_map(|volume| volume.value).collect()
}

fn name_choices(view: &Activity, wanted: &Wanted) -> Vec<Choice> {
    let all =
        Choice { value: String::new(), name: "All events".to_owned(), is_chosen: wanted.name.is_empty() };
    let known = view.names.iter().chain(&view.more_names).map(|row| row.name.as_str());
    // The chosen one may be rarer than those that are listed, or older.
    let is_listed = wanted.name.is_empty() || known.clone().any(|name| name == wanted.name);
    let chosen = Some(wanted.name.as_str()).filter(|_| !is_listed);
    let choice =
        |name: &str| Choice { value: name.to_owned(), name: name.to_owned(), is_chosen: name == wanted.name };
    std::iter::once(all).chain(chosen.into_iter().chain(known).map(choice)).collect()
}

fn spans(period: &Period) -> Vec<Choice> {
    let choice = |(word, name, _): (&str, &str, u32)| Choice {
        value: word.to_owned(),
        name: name.to_owned(),
        is_chosen: word == period.word,
    };
    SPANS.into_iter().map(choice).collect()
}

/// The dimensions, and the commonest properties besides.
async fn dimensions(scene: &Scene, wanted: &Wanted) -> Vec<Choice> {
    let list = ListProperties {
        project: scene.id(),
        name: Some(wanted.name.clone()).filter(|name| !name.is_empty()),
        until: scene.now,
        limit: VALUES_MAX,
    };
    let found = scene.state.queries.list_properties(list).await.unwrap_or_default();
    let props = found.into_iter().filter(|it| !it.is_column).map(|it| it.property);
    let mut known: Vec<String> = Dimension::ALL.map(|it| it.as_str().to_owned()).into();
    known.extend(props);
    if !wanted.property.is_empty() && !known.contains(&wanted.property) {
        known.push(wanted.property.clone());
    }
    let choice = |name: String| Choice { is_chosen: name == wanted.property, value: name.clone(), name };
    let any = Choice {
        value: String::new(),
        name: "Any property".to_owned(),
        is_chosen: wanted.property.is_empty(),
    };
    std::iter::once(any).chain(known.into_iter().map(choice)).collect()
}

/// The changing parts of a subject's timeline.
struct SubjectActivity {
    days: Vec<ActivityDay>,
    next_href: Option<String>,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "activity_subject.html")]
struct SubjectPage {
    layout: Layout,
    view: SubjectActivity,
    base: String,
    who: String,
    /// The subject as other pages know it.
    subject: Option<SubjectId>,
    may_reveal: bool,
    first_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_activity_subject.html")]
struct SubjectFragment {
    view: SubjectActivity,
}

/// `GET /projects/{project}/events/subjects/{subject}`
pub(crate) async fn show_subject(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, subject)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let who = Who::parse(&subject).ok_or(Refusal::NotFound)?;
    let path = format!("{}/events/subjects/{}", scene.base(), who.key());
    let timeline = ReadTimeline {
        project: scene.id(),
        subject: who.subject(),
        filter: who.filter(),
        from: TIME_MIN,
        until: scene.now.start_of_day().plus(DAY),
        page: page_request(&pairs, ROWS_PER_PAGE),
    };
    let (found, unresolved) = tokio::join!(scene.state.queries.timeline(timeline), scene.count_unresolved());
    let found = found?;
    let links = links(&scene, "30d");
    let view = SubjectActivity {
        days: days_of(rows_of(&links, &found)),
        next_href: found.next.map(|next| address(&path, &[("after", next.as_str())])),
        unresolved: Count(unresolved?.unwrap_or(0)),
    };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&SubjectFragment { view }));
    }
    Ok(respond::page(&SubjectPage {
        layout: scene.layout(Section::Events, &pairs).await?,
        view,
        base: scene.base(),
        who: who.key(),
        subject: who.subject(),
        may_reveal: scene.may(Permission::RevealSubjects),
        first_href: pairs.some("after").map(|_| path),
    }))
}
