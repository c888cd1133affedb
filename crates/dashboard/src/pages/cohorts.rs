//! Cohorts: people with something in common, to ask about by themselves.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use belvedere_accounts::Permission;
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{
    CONDITIONS_MAX, Cohort, CohortChange, CohortId, CohortSize, Condition, DidCondition, DidNotCondition,
    Matching, NewCohort, Often, PropertyCondition, PropertyOp, Rule,
};
use belvedere_event_store::columns::Dimension;

use super::insights::Ground;
use super::insights::keep::{by, open};
use crate::charts::FlowChart;
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::pages::done;
use crate::pages::settings::with_status_of;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::business::levels;
use crate::wording::{Ago, Count};

/// Conditions of an empty form.
const BLANK: usize = 3;

/// Kinds of conditions as a form offers them: the word of the form, and what stands before the name of an event or
/// property.
const TESTS: [(&str, &str); 10] = [
    ("at_least", "did at least so often"),
    ("at_most", "did at most so often"),
    ("did_not", "did not do"),
    ("is", "has a property that is"),
    ("is_not", "has a property that is not"),
    ("contains", "has a property that contains"),
    ("greater", "has a property greater than"),
    ("less", "has a property less than"),
    ("set", "has the property"),
    ("not_set", "lacks the property"),
];

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/cohorts", get(list).post(create))
        .route("/cohorts/{id}", get(show).post(change))
        .route("/cohorts/{id}/delete", post(delete))
}

/// A cohort as pages show it.
struct CohortRow {
    href: String,
    name: String,
    is_static: bool,
    size: String,
    counted_at: Ago,
    /// What its people have in common, in words.
    conditions: Vec<String>,
    is_any: bool,
}

/// A condition as a form shows it.
#[derive(Default)]
struct Line {
    number: usize,
    tests: Vec<Choice>,
    what: String,
    value: String,
    days: String,
}

/// What a form for a cohort begins with.
struct Form {
    name: String,
    is_any: bool,
    is_static: bool,
    lines: Vec<Line>,
    /// Names of events and properties to choose from.
    known: Vec<String>,
}

#[derive(Template)]
#[template(path = "cohorts/list.html")]
struct ListPage {
    layout: Layout,
    base: String,
    rows: Vec<CohortRow>,
    may_manage: bool,
    error: String,
    form: Form,
}

#[derive(Template)]
#[template(path = "cohorts/cohort.html")]
struct CohortPage {
    layout: Layout,
    base: String,
    id: String,
    row: CohortRow,
    /// None of a static one, and where the weeks cannot be counted.
    sizes: Option<FlowChart>,
    may_manage: bool,
    error: String,
    form: Form,
}

fn days_text(days: u16) -> String {
    if days == 1 { "day".to_owned() } else { format!("{days} days") }
}

/// A condition in words.
fn sentence(condition: &Condition) -> String {
    match condition {
        Condition::Did(did) => {
            let what = if did.event.is_empty() { "anything" } else { &did.event };
            let often = match did.op {
                Often::AtLeast => "at least",
                Often::AtMost => "at most",
            };
            let times = if did.times == 1 { "once".to_owned() } else { format!("{} times", did.times) };
            format!("did {what} {often} {times} in the last {}", days_text(did.days))
        }
        Condition::DidNot(did_not) => {
            format!(
                "did not do {} in the last {}, but something else",
                did_not.event,
                days_text(did_not.days)
            )
        }
        Condition::Property(property) => {
            let value = property.value.as_deref().unwrap_or_default();
            let is = match property.op {
                PropertyOp::Is => format!("is {value}"),
                PropertyOp::IsNot => format!("is not {value}"),
                PropertyOp::Contains => format!("contains {value}"),
                PropertyOp::Greater => format!("is greater than {value}"),
                PropertyOp::Less => format!("is less than {value}"),
                PropertyOp::Set => "is set".to_owned(),
                PropertyOp::NotSet => "is not set".to_owned(),
            };
            let days = days_text(property.days);
            format!("has an event of the last {days} whose {} {is}", property.property)
        }
    }
}

/// A size that tells of nobody: `<5`, or the number.
fn size_text(size: Option<u64>) -> String {
    size.map_or_else(|| "<5".to_owned(), |size| Count(size).to_string())
}

/// How many there were at the end of each week.
fn size_chart(sizes: &[CohortSize], calendar: &Calendar) -> Option<FlowChart> {
    let point = |size: &CohortSize| {
        let week = calendar.show(size.week).unwrap_or_default();
        (week, size.size.unwrap_or(0), size_text(size.size))
    };
    let about = format!("People in the cohort at the end of each of {} weeks", sizes.len());
    (!sizes.is_empty()).then(|| levels(&about, "People", "Week of", sizes.iter().map(point)))
}

impl CohortRow {
    fn of(scene: &Scene, cohort: &Cohort) -> Self {
        Self {
            href: format!("{}/cohorts/{}", scene.base(), cohort.id),
            name: cohort.name.clone(),
            is_static: cohort.is_static,
            size: size_text(cohort.shown_size()),
            counted_at: Ago { at: cohort.counted_at, now: scene.now },
            conditions: cohort.rule.conditions.iter().map(sentence).collect(),
            is_any: cohort.rule.matching == Matching::Any,
        }
    }
}

/// The word, what it is about, what it is compared with, and the days of a condition.
fn written(condition: &Condition) -> (&'static str, &str, String, u16) {
    match condition {
        Condition::Did(did) => (did.op.as_str(), &did.event, did.times.to_string(), did.days),
        Condition::DidNot(did_not) => ("did_not", &did_not.event, String::new(), did_not.days),
        Condition::Property(property) => {
            let value = property.value.clone().unwrap_or_default();
            (property.op.as_str(), &property.property, value, property.days)
        }
    }
}

fn line(number: usize, (test, what, value, days): (&str, &str, String, String)) -> Line {
    let choice = |(word, name): &(&str, &str)| Choice {
        value: (*word).to_owned(),
        name: (*name).to_owned(),
        is_chosen: *word == test,
    };
    Line { number, tests: TESTS.iter().map(choice).collect(), what: what.to_owned(), value, days }
}

fn blank(number: usize) -> Line {
    line(number, ("at_least", "", String::new(), "30".to_owned()))
}

impl Form {
    async fn of(scene: &Scene, name: &str, mut lines: Vec<Line>) -> Result<Self, Refusal> {
        let wanted = (lines.len() + 1).clamp(BLANK, CONDITIONS_MAX);
        lines.extend((lines.len()..wanted).map(|place| blank(place + 1)));
        let mut known = Ground::of(scene).await?.names;
        known.extend(Dimension::ALL.map(|dimension| dimension.as_str().to_owned()));
        Ok(Self { name: name.to_owned(), is_any: false, is_static: false, lines, known })
    }

    /// The form of a cohort's rule.
    async fn of_cohort(scene: &Scene, cohort: &Cohort) -> Result<Self, Refusal> {
        let lines = cohort.rule.conditions.iter().enumerate().map(|(place, condition)| {
            let (test, what, value, days) = written(condition);
            line(place + 1, (test, what, value, days.to_string()))
        });
        let form = Self::of(scene, &cohort.name, lines.collect()).await?;
        Ok(Self { is_any: cohort.rule.matching == Matching::Any, is_static: cohort.is_static, ..form })
    }

    /// The form as it was sent.
    async fn again(scene: &Scene, pairs: &Pairs) -> Result<Self, Refusal> {
        let lines = (1..=CONDITIONS_MAX).filter_map(|number| {
            let text = |name: &str| pairs.text(&format!("{name}{number}")).to_owned();
            let (test, what, value) = (text("test"), text("what"), text("value"));
            let is_used = !what.is_empty() || !value.is_empty();
            is_used.then(|| line(number, (test.as_str(), what.as_str(), value, text("days"))))
        });
        let form = Self::of(scene, pairs.text("name"), lines.collect()).await?;
        let (is_any, is_static) = (pairs.text("match") == "any", pairs.is_ticked("static"));
        Ok(Self { is_any, is_static, ..form })
    }
}

/// The rule of a form; lines without a name and a value are left out.
fn rule(pairs: &Pairs) -> Result<Rule, Refusal> {
    let mut conditions = Vec::new();
    for number in 1..=CONDITIONS_MAX {
        let text = |name: &str| pairs.text(&format!("{name}{number}")).to_owned();
        let (test, what, value) = (text("test"), text("what"), text("value"));
        if what.is_empty() && value.is_empty() {
            continue;
        }
        let wrong = |field: &str, why: &str| {
            Refusal::Invalid(format!("condition {}: {field}: {why}", conditions.len() + 1))
        };
        let days = text("days").parse().map_err(|_| wrong("days", "must be a number from 1 to 365"))?;
        let condition = match (Often::find(&test), PropertyOp::find(&test)) {
            (Some(op), _) => {
                let times = if value.is_empty() { Ok(1) } else { value.parse() };
                let times = times.map_err(|_| wrong("times", "must be a number from 1 on"))?;
                Condition::Did(DidCondition { event: what, op, times, days })
            }
            (_, Some(op)) => {
                let value = Some(value).filter(|value| !value.is_empty());
                Condition::Property(PropertyCondition { property: what, op, value, days })
            }
            _ if test == "did_not" => Condition::DidNot(DidNotCondition { event: what, days }),
            _ => return Err(wrong("kind", "is none of those that there are")),
        };
        conditions.push(condition);
    }
    let matching = Matching::find(pairs.text("match")).unwrap_or(Matching::All);
    Ok(Rule { matching, conditions })
}

/// `GET /projects/{project}/cohorts`: for those who may see analytics.
async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    scene.business()?;
    let form = Form::of(&scene, "", Vec::new()).await?;
    list_page(&scene, &pairs, form, String::new()).await
}

async fn list_page(scene: &Scene, pairs: &Pairs, form: Form, error: String) -> Result<Response, Refusal> {
    let cohorts = scene.state.cohorts.list_cohorts(scene.id()).await?;
    let has_error = !error.is_empty();
    let page = ListPage {
        layout: scene.layout(Section::Cohorts, pairs).await?,
        base: scene.base(),
        rows: cohorts.iter().map(|cohort| CohortRow::of(scene, cohort)).collect(),
        may_manage: scene.may(Permission::ManageInsights),
        error,
        form,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

/// `POST /projects/{project}/cohorts`
async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let made = match rule(&form) {
        Ok(rule) => {
            let name = form.text("name").to_owned();
            let new = NewCohort { name, rule, is_static: form.is_ticked("static") };
            scene.state.cohorts.create_cohort(scene.id(), new, &by(&scene)).await.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(cohort) => Ok(done(&format!("{}/cohorts/{}", scene.base(), cohort.id), "saved")),
        Err(refusal) => {
            let error = refusal.into_form_error()?;
            let form = Form::again(&scene, &form).await?;
            list_page(&scene, &Pairs::default(), form, error).await
        }
    }
}

fn parse(id: &str) -> Result<CohortId, Refusal> {
    id.parse().map_err(|_| Refusal::NotFound)
}

/// `GET /projects/{project}/cohorts/{id}`: for those who may see analytics; a live cohort is counted.
async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    scene.business()?;
    let id = parse(&id)?;
    // A rule about an event that is gone cannot be counted, but can be changed.
    let counted = async {
        let cohort = scene.state.cohorts.count_cohort(scene.id(), id).await?;
        Ok::<_, Refusal>((cohort, scene.state.cohorts.list_sizes(scene.id(), id).await?))
    };
    let (cohort, sizes, error) = match counted.await {
        Ok((cohort, sizes)) => (cohort, sizes, String::new()),
        Err(refusal) => {
            let error = refusal.into_form_error()?;
            (scene.state.cohorts.find_cohort(scene.id(), id).await?, Vec::new(), error)
        }
    };
    let form = Form::of_cohort(&scene, &cohort).await?;
    page(&scene, (&cohort, &sizes), &pairs, form, error).await
}

async fn page(
    scene: &Scene,
    (cohort, sizes): (&Cohort, &[CohortSize]),
    pairs: &Pairs,
    form: Form,
    error: String,
) -> Result<Response, Refusal> {
    let calendar = Calendar::find(&scene.project.time_zone).unwrap_or_default();
    Ok(respond::page(&CohortPage {
        layout: scene.layout(Section::Cohorts, pairs).await?,
        base: scene.base(),
        id: cohort.id.to_string(),
        row: CohortRow::of(scene, cohort),
        sizes: size_chart(sizes, &calendar),
        may_manage: scene.may(Permission::ManageInsights),
        error,
        form,
    }))
}

/// `POST /projects/{project}/cohorts/{id}`: its name, and the rule of a live one.
async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let id = parse(&id)?;
    let cohort = scene.state.cohorts.find_cohort(scene.id(), id).await?;
    let rule = if cohort.is_static { Ok(None) } else { rule(&form).map(Some) };
    let changed = match rule {
        Ok(rule) => {
            let change = CohortChange { name: Some(form.text("name").to_owned()), rule };
            scene
                .state
                .cohorts
                .change_cohort(scene.id(), id, change, &by(&scene))
                .await
                .map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(_) => Ok(done(&format!("{}/cohorts/{id}", scene.base()), "saved")),
        Err(refusal) => {
            let error = refusal.into_form_error()?;
            let form = Form::again(&scene, &form).await?;
            Ok(with_status_of(true, page(&scene, (&cohort, &[]), &Pairs::default(), form, error).await?))
        }
    }
}

/// `POST /projects/{project}/cohorts/{id}/delete`
async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    scene.state.cohorts.delete_cohort(scene.id(), parse(&id)?, &by(&scene)).await?;
    Ok(done(&format!("{}/cohorts", scene.base()), "gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Pairs {
        Pairs::of_query(query).unwrap()
    }

    #[test]
    fn a_rule_survives_its_form() {
        let form = "match=any&test1=at_least&what1=Signed+Up&value1=3&days1=30&test2=did_not&what2=paid&value2=&days2=7\
                    &test3=at_most&what3=&value3=&days3=30&test4=is&what4=plan&value4=pro&days4=365\
                    &test5=set&what5=team&value5=&days5=1";
        let rule = rule(&pairs(form)).unwrap();
        assert_eq!(rule.matching, Matching::Any);
        let lines: Vec<_> = rule.conditions.iter().map(written).collect();
        assert_eq!(
            lines,
            [
                ("at_least", "Signed Up", "3".to_owned(), 30),
                ("did_not", "paid", String::new(), 7),
                ("is", "plan", "pro".to_owned(), 365),
                ("set", "team", String::new(), 1),
            ]
        );
        let sentences: Vec<_> = rule.conditions.iter().map(sentence).collect();
        assert_eq!(
            sentences,
            [
                "did Signed Up at least 3 times in the last 30 days",
                "did not do paid in the last 7 days, but something else",
                "has an event of the last 365 days whose plan is pro",
                "has an event of the last day whose team is set",
            ]
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let why = |form: &str| match rule(&pairs(form)) {
            Err(Refusal::Invalid(why)) => why,
            other => panic!("{other:?}"),
        };
        let first = "test1=set&what1=team&days1=30";
        assert_eq!(
            why(&format!("{first}&test2=at_least&what2=a&value2=often&days2=30")),
            "condition 2: times: must be a number from 1 on"
        );
        assert_eq!(
            why(&format!("{first}&test3=is&what3=a&value3=b&days3=")),
            "condition 2: days: must be a number from 1 to 365"
        );
        assert_eq!(why("test1=odd&what1=a&days1=1"), "condition 1: kind: is none of those that there are");
    }
}
