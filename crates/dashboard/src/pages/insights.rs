//! Questions that people put together themselves: trends, funnels, retention and paths. Each is an address, so that it
//! can be kept and passed on.

mod funnels;
pub(super) mod keep;
mod paths;
pub(super) mod question;
mod retention;
mod trends;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use belvedere_accounts::Permission;
use belvedere_business_intelligence::BusinessError;
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{Answer, Asking, Cohort, CohortId, DAYS, Question};
use belvedere_business_intelligence::table::Table;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_event_store::query::ListNames;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use self::question::Kind;
use crate::form::Pairs;
use crate::layout::Scene;
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::insights::InsightView;
use crate::wording::shorten;

/// The most names of events to choose from, those with the most events in the last 30 days.
const NAMES_MAX: usize = 200;

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/insights/{kind}", get(show))
        .route("/insights/{kind}/table", get(download))
        .route("/insights/saved", post(keep::create))
        .route("/insights/saved/{id}", post(keep::change))
        .route("/insights/saved/{id}/delete", post(keep::delete))
        .route("/insights/saved/{id}/pin", post(keep::pin))
}

/// `GET /projects/{project}/insights/{kind}`: for those who may see analytics.
async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, kind)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    page(&scene, Kind::find(&kind).ok_or(Refusal::NotFound)?, &pairs, String::new()).await
}

/// The page of a kind of question, with why something could not be kept.
async fn page(scene: &Scene, kind: Kind, pairs: &Pairs, error: String) -> Result<Response, Refusal> {
    let ground = Ground::of(scene).await?;
    match kind {
        Kind::Trends => trends::page(scene, &ground, pairs, error).await,
        Kind::Funnels => funnels::page(scene, &ground, pairs, error).await,
        Kind::Retention => retention::page(scene, &ground, pairs, error).await,
        Kind::Paths => paths::page(scene, &ground, pairs, error).await,
    }
}

/// `GET /projects/{project}/insights/{kind}/table`: the numbers as a file, for those who may see analytics.
async fn download(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, kind)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let kind = Kind::find(&kind).ok_or(Refusal::NotFound)?;
    let calendar = Calendar::find(&scene.project.time_zone).unwrap_or_default();
    let question = question::read(kind, &pairs)?;
    let answer = Asker::of(&scene, &calendar).answer(&question).await?;
    let table = answer.table(&question, &calendar);
    file(&table, pairs.text("format"), kind.word())
}

/// A table as a file: `json` or `parquet`, else CSV.
pub(super) fn file(table: &Table, format: &str, name: &str) -> Result<Response, Refusal> {
    let (body, content_type, ending) = match format {
        "json" => (table.json().to_string().into_bytes(), "application/json", "json"),
        "parquet" => {
            let bytes = table.parquet().map_err(|error| Refusal::Failed(error.to_string()))?;
            (bytes, "application/vnd.apache.parquet", "parquet")
        }
        _ => (table.csv().into_bytes(), "text/csv; charset=utf-8; header=present", "csv"),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let name = format!("attachment; filename=\"{name}.{ending}\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Who asks questions, about which project, and when.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) state: &'a DashboardState,
    pub(super) project: ProjectId,
    pub(super) calendar: &'a Calendar,
    pub(super) now: Timestamp,
    /// Whether it is somebody with a link.
    pub(super) is_public: bool,
}

impl<'a> Asker<'a> {
    pub(super) fn of(scene: &'a Scene, calendar: &'a Calendar) -> Self {
        Self { state: &scene.state, project: scene.id(), calendar, now: scene.now, is_public: false }
    }

    pub(super) async fn answer(&self, question: &Question) -> Result<Answer, Refusal> {
        let people = match question.cohort() {
            Some(cohort) => Some(self.people(cohort).await?),
            None => None,
        };
        let asking = Asking {
            queries: &*self.state.queries,
            project: self.project,
            calendar: self.calendar,
            now: self.now,
            people,
            is_public: self.is_public,
        };
        Ok(asking.answer(question).await?)
    }

    /// A cohort that is gone is the question's fault, not the address's.
    async fn people(&self, cohort: CohortId) -> Result<Arc<SubjectSet>, Refusal> {
        match self.state.cohorts.find_people(self.project, cohort).await {
            Err(BusinessError::NotFound(_)) => {
                Err(Refusal::Invalid("The cohort that this asks about does not exist any more".to_owned()))
            }
            people => Ok(people?),
        }
    }
}

/// A project's calendar, and what there is to ask about.
pub(super) struct Ground {
    pub(super) calendar: Calendar,
    pub(super) names: Vec<String>,
    cohorts: Vec<Cohort>,
}

impl Ground {
    pub(super) async fn of(scene: &Scene) -> Result<Self, Refusal> {
        let calendar = Calendar::find(&scene.project.time_zone).unwrap_or_default();
        let list = ListNames { project: scene.id(), until: scene.now, limit: NAMES_MAX };
        let names = scene.state.queries.list_names(list).await?;
        let cohorts = match scene.state.business {
            Some(_) => scene.state.cohorts.list_cohorts(scene.id()).await?,
            None => Vec::new(),
        };
        Ok(Self { calendar, names: names.into_iter().map(|it| it.name).collect(), cohorts })
    }

    /// The names as options, the one that is asked for among them even where it is not among the greatest.
    fn events(&self, chosen: &str, none: &str) -> Vec<Choice> {
        let known = self.names.iter().map(String::as_str);
        let strange = Some(chosen).filter(|it| !it.is_empty() && !self.names.iter().any(|name| name == it));
        let option = |value: &str, name: &str| Choice {
            value: value.to_owned(),
            name: name.to_owned(),
            is_chosen: value == chosen,
        };
        let all = known.chain(strange).map(|name| option(name, &shorten(name, 60)));
        std::iter::once(option("", none)).chain(all).collect()
    }

    /// Everybody, and the cohorts; one that does not exist any more stays chosen.
    fn people(&self, chosen: Option<CohortId>) -> Vec<Choice> {
        let option = |id: CohortId, name: &str| Choice {
            value: id.to_string(),
            name: shorten(name, 60),
            is_chosen: Some(id) == chosen,
        };
        let strange = chosen.filter(|id| !self.cohorts.iter().any(|cohort| cohort.id == *id));
        let everybody =
            Choice { value: String::new(), name: "Everybody".to_owned(), is_chosen: chosen.is_none() };
        let known = self.cohorts.iter().map(|cohort| option(cohort.id, &cohort.name));
        let strange = strange.map(|id| option(id, "A cohort that is deleted"));
        std::iter::once(everybody).chain(known).chain(strange).collect()
    }

    /// What the page shows; none while the question does not say enough.
    async fn view(&self, scene: &Scene, question: &Question) -> Result<Option<InsightView>, Refusal> {
        if !question.is_complete() {
            return Ok(None);
        }
        let answer = Asker::of(scene, &self.calendar).answer(question).await?;
        Ok(InsightView::new(question, &answer, &self.calendar, false))
    }
}

fn periods(chosen: u16) -> Vec<Choice> {
    let mut days = DAYS;
    days.sort_unstable();
    let period = |days: u16| Choice {
        value: days.to_string(),
        name: format!("Last {days} days"),
        is_chosen: days == chosen,
    };
    days.map(period).into_iter().collect()
}

/// Options of fixed words.
fn words(options: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    let option = |(value, name): &(&str, &str)| Choice {
        value: (*value).to_owned(),
        name: (*name).to_owned(),
        is_chosen: *value == chosen,
    };
    options.iter().map(option).collect()
}

/// The columns that can be divided by without knowing the names of properties.
fn dimensions() -> Vec<&'static str> {
    Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect()
}
