//! Made-up events.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::active::ActiveAnswer;
use belvedere_event_store::kernel::adoption::AdoptionAnswer;
use belvedere_event_store::kernel::filter::{Filter, PropTest, TextTest};
use belvedere_event_store::kernel::funnel::{FunnelGroup, FunnelStep};
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::kernel::interval::IntervalAnswer;
use belvedere_event_store::kernel::path::{PathAnswer, PathEdge};
use belvedere_event_store::kernel::retention::Cohort;
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_event_store::kernel::top::TopItem;
use belvedere_event_store::kernel::trend::{Point, Series};
use belvedere_event_store::query::{
    AskActive, AskAdoption, AskCohort, AskFormula, AskFunnel, AskInterval, AskLifecycle, AskPath,
    AskPercentile, AskRetention, AskSession, AskTop, AskTrend, Explore, FormulaAnswer, FunnelAnswer,
    LifecycleAnswer, ListNames, ListProperties, ListSubjects, ListValues, NameVolume, PropertyVolume,
    Queries, QueriesError, ReadTimeline, RetentionTable, SessionTable, Span, SubjectPage, TimelineEvent,
    TrendAnswer, Unit, ValueVolume,
};
use belvedere_event_store::{EventStoreError, RollupCheck, RollupChecks, RollupDifference, StoreVersion};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Cursor, Page};

use super::watched::HOSTILE;
use super::{Fake, PROJECT, issue_id};

const NAMES: [&str; 9] = [
    "lesson_opened",
    "exercise_submitted",
    "error",
    "lesson_completed",
    "hint_used",
    "signup",
    "plan_changed",
    "course_completed",
    "\"><script>alert(1)</script>",
];

/// A filter in few words.
fn words(filter: &Filter) -> String {
    let test = |test: &TextTest| match test {
        TextTest::Is(text) => text.clone(),
        other => format!("{other:?}"),
    };
    match filter {
        Filter::And(all) => all.iter().map(words).filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" "),
        Filter::Name(name) => format!("name={}", test(name)),
        Filter::Dimension(dimension, value) => format!("{}={}", dimension.as_str(), test(value)),
        Filter::Prop(name, PropTest::Text(value)) => format!("{}={}", name.as_str(), test(value)),
        Filter::Subjects(set) => format!("number={:?}", (0..100).find(|number| set.contains(*number))),
        other => format!("{other:?}"),
    }
}

/// What the store says of a name that it does not know.
fn check_name(filter: &Filter) -> Result<(), QueriesError> {
    let words = words(filter);
    let why = if words.contains("name=ghost") {
        format!("no event is named \"ghost\" {HOSTILE}")
    } else if words.contains("shoe=") {
        "no recent event has a property \"shoe\"".to_owned()
    } else {
        return Ok(());
    };
    Err(QueriesError::Invalid { field: "events", why })
}

impl Fake {
    fn happening(&self, number: u64, subject: Option<SubjectId>) -> TimelineEvent {
        let name = NAMES[usize::try_from(number).unwrap() % NAMES.len()];
        let issue = issue_id(1);
        TimelineEvent {
            id: u128::from(number).to_be_bytes(),
            at: self.ago(40 + 5_400 * number),
            name: name.to_owned(),
            subject,
            subject_number: (number != 4).then_some(5),
            value: (number % 3 == 1).then_some(number as f64 + 0.5),
            texts: vec![
                ("session", format!("s-{number}")),
                ("course", "rust-101".to_owned()),
                ("lesson", format!("lesson-4 {HOSTILE}")),
                ("browser", "Chrome".to_owned()),
                ("os", "Windows".to_owned()),
                ("country", "NL".to_owned()),
                ("plan", "pro".to_owned()),
            ],
            props: match name {
                "error" => format!(r#"{{"issue":"{issue}","level":"error","platform":"javascript"}}"#),
                "signup" => String::new(),
                "hint_used" => format!("not JSON {HOSTILE}"),
                _ => serde_json::json!({format!("key {HOSTILE}"): HOSTILE, "attempt": number}).to_string(),
            },
        }
    }
}

#[async_trait]
impl Queries for Fake {
    async fn trend(&self, ask: AskTrend) -> Result<TrendAnswer, QueriesError> {
        self.note(format!("trend {:?} {} {}", ask.unit, ask.span.from, words(&ask.filter)));
        check_name(&ask.filter)?;
        let seconds = if ask.unit == Unit::Hour { 3_600 } else { 86_400 };
        let count = ask.span.until.since(ask.span.from).as_secs() / seconds;
        let events = |index: u64| if ask.span.project.0 == PROJECT { 40 + index * 37 % 90 } else { 0 };
        let point = |index: u64| Point {
            events: events(index),
            subjects: events(index) / 2,
            values: if ask.measures.values { events(index) } else { 0 },
            sum: if ask.measures.values { events(index) as f64 * 1.25 } else { 0.0 },
            min: None,
            max: None,
            percentiles: None,
        };
        let series = |group| Series {
            group,
            events: (0..count).map(events).sum(),
            subjects: 77,
            points: (0..count).map(point).collect(),
        };
        Ok(TrendAnswer {
            starts: (0..count)
                .map(|index| ask.span.from.plus(std::time::Duration::from_secs(index * seconds)))
                .collect(),
            series: match &ask.breakdown {
                None => vec![series(Group::All)],
                Some(_) => [Group::Text(HOSTILE.to_owned()), Group::NotSet].map(series).to_vec(),
            },
        })
    }

    async fn active(&self, _: AskActive) -> Result<ActiveAnswer, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn funnel(&self, ask: AskFunnel) -> Result<FunnelAnswer, QueriesError> {
        let steps: Vec<String> = ask.steps.iter().map(words).collect();
        self.note(format!("funnel {} {} {}", ask.span.from, ask.window_ms, steps.join(" > ")));
        let step =
            |index: usize| FunnelStep { subjects: 800 >> index, median_ms: (index > 0).then_some(240_000) };
        let group = |group| FunnelGroup { group, steps: (0..steps.len()).map(step).collect() };
        let parts = ask.breakdown.iter().map(|_| group(Group::Text(HOSTILE.to_owned())));
        Ok(FunnelAnswer { groups: std::iter::once(group(Group::All)).chain(parts).collect() })
    }
    async fn retention(&self, ask: AskRetention) -> Result<RetentionTable, QueriesError> {
        let cohort = |weeks: u64| Cohort {
            start_micros: self.ago(weeks * 7 * 86_400).as_micros(),
            subjects: if ask.span.project.0 == PROJECT { 200 } else { 0 },
            returned: (0..=weeks).map(|week| 200 / (week + 1)).collect(),
        };
        Ok(RetentionTable { cohorts: (0..8).rev().map(cohort).collect(), average: Vec::new() })
    }
    async fn lifecycle(&self, _: AskLifecycle) -> Result<LifecycleAnswer, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn path(&self, ask: AskPath) -> Result<PathAnswer, QueriesError> {
        self.note(format!("path {:?} {} {}", ask.direction, ask.span.from, words(&ask.anchor)));
        check_name(&ask.anchor)?;
        let edge = |step, from: &str, to: Option<&str>, paths| PathEdge {
            step,
            from: from.to_owned(),
            to: to.map(str::to_owned),
            paths,
            subjects: paths / 2,
        };
        let edges = vec![
            edge(1, "error", Some("hint_used"), 30),
            edge(1, "error", None, 10),
            edge(2, "hint_used", Some(HOSTILE), 20),
        ];
        Ok(PathAnswer { paths: 40, subjects: 20, edges })
    }
    async fn session(&self, _: AskSession) -> Result<SessionTable, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn percentile(&self, _: AskPercentile) -> Result<TrendAnswer, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn top(&self, _: AskTop) -> Result<Vec<TopItem>, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn formula(&self, ask: AskFormula) -> Result<FormulaAnswer, QueriesError> {
        let series = ask.series.iter().map(|one| format!("{:?} {}", one.measure, words(&one.filter)));
        self.note(format!("formula {} {}", ask.formula, series.collect::<Vec<_>>().join(" > ")));
        ask.series.iter().try_for_each(|one| check_name(&one.filter))?;
        Ok(FormulaAnswer {
            starts: vec![ask.span.from],
            points: vec![Some(0.375)],
            series: vec![vec![Some(3.0)], vec![Some(8_000.5)]],
        })
    }
    async fn interval(&self, _: AskInterval) -> Result<IntervalAnswer, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn adoption(&self, _: AskAdoption) -> Result<AdoptionAnswer, QueriesError> {
        Err(QueriesError::Cancelled)
    }
}

#[async_trait]
impl Explore for Fake {
    async fn read_ahead(&self, _: &Span, _: &[Field]) -> Result<(), QueriesError> {
        Ok(())
    }

    async fn version(&self, _: ProjectId) -> Result<StoreVersion, QueriesError> {
        Ok(StoreVersion::default())
    }

    async fn cohort(&self, _: AskCohort) -> Result<Arc<SubjectSet>, QueriesError> {
        Err(QueriesError::Cancelled)
    }
    async fn list_subjects(&self, _: ListSubjects) -> Result<SubjectPage, QueriesError> {
        Err(QueriesError::Cancelled)
    }

    async fn list_properties(&self, list: ListProperties) -> Result<Vec<PropertyVolume>, QueriesError> {
        let volume = |property: &str, is_column, events| PropertyVolume {
            property: property.to_owned(),
            is_column,
            events,
        };
        let is_ours = list.project == ProjectId(PROJECT);
        let all =
            [volume("course", true, 12_000), volume("plan.tier", false, 900), volume(HOSTILE, false, 3)];
        Ok(if is_ours { all.to_vec() } else { Vec::new() })
    }

    async fn list_names(&self, list: ListNames) -> Result<Vec<NameVolume>, QueriesError> {
        let volume = |(index, name): (usize, &str)| NameVolume {
            name: name.to_owned(),
            events: 12_904 / (index as u64 * index as u64 + 1),
            subjects: 904 / (index as u64 + 1),
        };
        let is_ours = list.project == ProjectId(PROJECT);
        Ok(if is_ours { NAMES.into_iter().enumerate().map(volume).collect() } else { Vec::new() })
    }

    async fn list_values(&self, list: ListValues) -> Result<Vec<ValueVolume>, QueriesError> {
        let property = match &list.property {
            Field::Name => "name",
            Field::Dimension(dimension) => dimension.as_str(),
            Field::Prop(name) => name.as_str(),
        };
        self.note(format!("list_values {property} {:?}", list.name));
        if property == "shoe" {
            let why = "no recent event has a property \"shoe\"".to_owned();
            return Err(QueriesError::Invalid { field: "property", why });
        }
        let text = if list.property == Field::Dimension(Dimension::Course) { "rust-101" } else { HOSTILE };
        let value =
            |value: Option<&str>| ValueVolume { value: value.map(str::to_owned), events: 10, subjects: 2 };
        Ok(vec![value(Some(text)), value(None), value(Some("go & friends"))])
    }

    async fn timeline(&self, read: ReadTimeline) -> Result<Page<TimelineEvent>, QueriesError> {
        self.note(format!("timeline {:?} {} {}", read.subject, read.from, words(&read.filter)));
        if let Some(after) = &read.page.after
            && after.parts::<2>().is_none()
        {
            return Err(QueriesError::Invalid {
                field: "cursor",
                why: "is not one that a page gave".to_owned(),
            });
        }
        let is_ours = read.project == ProjectId(PROJECT) && !words(&read.filter).contains("country=XX");
        let events = 0..if is_ours { 24 } else { 0 };
        Ok(Page {
            items: events.map(|number| self.happening(number, read.subject)).collect(),
            next: is_ours.then(|| Cursor::of(&[&1, &2])),
        })
    }
}

#[async_trait]
impl RollupChecks for Fake {
    async fn find_rollup_check(&self, _: ProjectId) -> Result<Option<RollupCheck>, EventStoreError> {
        let difference = |day_micros, name: &str, text: &str| RollupDifference {
            segment: "01KB2A3B4C5D6E7F8G9H0JKMNP".to_owned(),
            day_micros,
            name: Some(name.to_owned()),
            dimension: Some("course".to_owned()),
            text: Some(text.to_owned()),
            what: "41 events of 12 subjects instead of 42 of 12".to_owned(),
        };
        Ok(Some(RollupCheck {
            checked_at: self.clock.now(),
            is_complete: true,
            segments: 6,
            without: 1,
            days: 180,
            events: 10_000_000,
            difference_count: 2,
            differences: vec![
                difference(Some(1_795_388_400_000_000), "lesson_opened", "algebra"),
                difference(None, HOSTILE, HOSTILE),
            ],
            rebuilt: 1,
        }))
    }
}
