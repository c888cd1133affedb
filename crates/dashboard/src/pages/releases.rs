//! The list of releases, a release's page, and two releases side by side.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::{
    HealthQuery, HealthStep, ListReleases, ReleaseIssuesKind, ReleaseSort, ReleaseSummary, Releases,
};
use belvedere_storage::PageRequest;

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::issue_list::Choice;
use crate::pages::page_request;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::releases::{
    CommitView, ComparedRow, DeployView, HealthCharts, IssueSection, ReleaseRow, compared_rows, is_web,
    release_href,
};
use crate::wording::{At, Count, percent};

const ROWS_PER_PAGE: u16 = 25;

/// How many releases a comparison can be chosen from.
const CHOICES_MAX: u16 = 50;

/// The most characters of a search.
const TEXT_CHARS_MAX: usize = 200;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    layout: Layout,
    rows: Vec<ReleaseRow>,
    text: String,
    environments: Vec<Choice>,
    sorts: Vec<Choice>,
    is_filtered: bool,
    plain_href: String,
    api_url: String,
    organisation: String,
    project: String,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// A link among others of which one is chosen.
struct Tab {
    label: &'static str,
    href: String,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    layout: Layout,
    base: String,
    row: ReleaseRow,
    sessions_today: Count,
    users_today: Count,
    has_sessions: bool,
    ranges: Vec<Tab>,
    range_label: &'static str,
    charts: HealthCharts,
    crash_free_users: String,
    users: Count,
    environments: Vec<Choice>,
    range: &'static str,
    others: Vec<Choice>,
    sections: Vec<IssueSection>,
    deploys: Vec<DeployView>,
    commits: Vec<CommitView>,
    commits_more: usize,
    reference: Option<String>,
    url: Option<String>,
    created_at: At,
    started_at: Option<At>,
    released_at: Option<At>,
    first_event_at: Option<At>,
    last_event_at: Option<At>,
}

#[derive(Template)]
#[template(path = "release_comparison.html")]
struct ComparisonPage {
    layout: Layout,
    base: String,
    base_version: String,
    base_href: String,
    other_version: String,
    other_href: String,
    swapped_href: String,
    rows: Vec<ComparedRow>,
    sections: Vec<IssueSection>,
}

impl Scene {
    /// Releases, whose pages do not exist while error tracking is switched off.
    fn releases(&self) -> Result<&dyn Releases, Refusal> {
        self.state.releases.as_deref().ok_or(Refusal::NotFound)
    }
}

/// The environments to choose from, with the chosen one even if it is no longer among them.
async fn environments(scene: &Scene, chosen: &str) -> Result<Vec<Choice>, Refusal> {
    let known = scene.errors()?.list_environments(scene.id()).await?;
    let mut choices: Vec<Choice> =
        known.into_iter().map(|name| Choice { value: "", is_chosen: name == chosen, name }).collect();
    if !chosen.is_empty() && choices.iter().all(|choice| !choice.is_chosen) {
        choices.push(Choice { value: "", name: chosen.to_owned(), is_chosen: true });
    }
    Ok(choices)
}

/// `GET /projects/{project}/releases`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    const SORTS: [(&str, &str, ReleaseSort); 2] =
        [("first_seen", "Newest", ReleaseSort::FirstSeen), ("last_seen", "Last seen", ReleaseSort::LastSeen)];
    let scene = Scene::open(state, visitor, &project, Permission::ViewReleases).await?;
    let (sort_param, _, sort) =
        SORTS.into_iter().find(|(name, ..)| *name == pairs.text("sort")).unwrap_or(SORTS[0]);
    let text: String = pairs.text("q").chars().take(TEXT_CHARS_MAX).collect();
    let chosen = pairs.some("environment").unwrap_or_default();
    let query = ListReleases {
        project: scene.id(),
        text: Some(text.clone()).filter(|text| !text.is_empty()),
        environment: Some(chosen.clone()).filter(|chosen| !chosen.is_empty()),
        sort,
        page: page_request(&pairs, ROWS_PER_PAGE),
    };
    let page = scene.releases()?.list_releases(query).await?;
    let path = format!("{}/releases", scene.base());
    let href = |after: &str| {
        let sort = if sort_param == "first_seen" { "" } else { sort_param };
        address(&path, &[("q", &text), ("environment", &chosen), ("sort", sort), ("after", after)])
    };
    let organisation = scene.state.accounts.find_organisation(scene.principal()).await?;
    let view = ReleasesPage {
        layout: scene.layout(Section::Releases, &pairs).await?,
        rows: page.items.iter().map(|release| ReleaseRow::new(scene.id(), release, scene.now)).collect(),
        environments: environments(&scene, &chosen).await?,
        sorts: SORTS
            .iter()
            .map(|(value, name, _)| Choice {
                value,
                name: (*name).to_owned(),
                is_chosen: *value == sort_param,
            })
            .collect(),
        is_filtered: !text.is_empty() || !chosen.is_empty(),
        plain_href: path.clone(),
        api_url: scene.state.public_url.clone(),
        organisation: organisation.map(|organisation| organisation.slug).unwrap_or_default(),
        project: scene.project.slug.clone(),
        first_href: pairs.some("after").map(|_| href("")),
        next_href: page.next.as_ref().map(|next| href(next.as_str())),
        text,
    };
    Ok(respond::page(&view))
}

/// A range of time that a release's page can show.
struct Range {
    name: &'static str,
    label: &'static str,
    days: u32,
    step: HealthStep,
}

const RANGES: [Range; 4] = [
    Range { name: "24h", label: "24 h", days: 1, step: HealthStep::Hour },
    Range { name: "14d", label: "14 d", days: 14, step: HealthStep::Day },
    Range { name: "30d", label: "30 d", days: 30, step: HealthStep::Day },
    Range { name: "90d", label: "90 d", days: 90, step: HealthStep::Day },
];

/// How many commits a page shows.
const COMMITS_SHOWN: usize = 50;

/// `GET /projects/{project}/releases/{version}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, version)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewReleases).await?;
    let releases = scene.releases()?;
    let found = releases.find_release(scene.id(), &version).await?.ok_or(Refusal::NotFound)?;
    let range = RANGES.iter().find(|range| range.name == pairs.text("range")).unwrap_or(&RANGES[1]);
    let chosen = pairs.some("environment").unwrap_or_default();
    let from = match range.step {
        HealthStep::Hour => scene.now.minus(Duration::from_secs(23 * 3_600)),
        HealthStep::Day => scene.now.minus(DAY * (range.days - 1)),
    };
    let health = releases
        .release_health(HealthQuery {
            project: scene.id(),
            version: Some(version.clone()),
            environment: Some(chosen.clone()).filter(|chosen| !chosen.is_empty()),
            from,
            to: scene.now,
            step: range.step,
        })
        .await?;
    let path = release_href(scene.id(), &version);
    let ranges = RANGES.iter().map(|other| Tab {
        label: other.label,
        href: address(&path, &[("range", other.name), ("environment", &chosen)]),
        is_current: other.name == range.name,
    });
    let commits = releases.list_commits(scene.id(), &version).await?;
    let deploys = releases.list_deploys(scene.id(), Some(&version)).await?;
    let release = &found.release;
    let page = ReleasePage {
        layout: scene.layout(Section::Releases, &pairs).await?,
        base: scene.base(),
        row: ReleaseRow::new(scene.id(), &found, scene.now),
        sessions_today: Count(found.health.sessions),
        users_today: Count(found.health.users),
        has_sessions: health.total.sessions > 0,
        ranges: ranges.collect(),
        range_label: range.label,
        charts: HealthCharts::new(&health.points, range.step),
        crash_free_users: percent(health.total.crash_free_users(), health.total.users),
        users: Count(health.total.users),
        environments: environments(&scene, &chosen).await?,
        range: range.name,
        others: others(&scene, &found).await?,
        sections: sections(&scene, &version).await?,
        deploys: deploys.iter().map(|deploy| DeployView::new(deploy, scene.now)).collect(),
        commits: commits.iter().take(COMMITS_SHOWN).map(CommitView::new).collect(),
        commits_more: commits.len().saturating_sub(COMMITS_SHOWN),
        reference: release.reference.clone(),
        url: release.url.clone().filter(|url| is_web(url)),
        created_at: At(release.created_at),
        started_at: release.started_at.map(At),
        released_at: release.released_at.map(At),
        first_event_at: release.first_event_at.map(At),
        last_event_at: release.last_event_at.map(At),
    };
    Ok(respond::page(&page))
}

/// The releases that this one can be compared with, the newest first; the one before it is chosen.
async fn others(scene: &Scene, this: &ReleaseSummary) -> Result<Vec<Choice>, Refusal> {
    let query = ListReleases {
        project: scene.id(),
        text: None,
        environment: None,
        sort: ReleaseSort::FirstSeen,
        page: PageRequest::first(CHOICES_MAX),
    };
    let page = scene.releases()?.list_releases(query).await?;
    let place = |release: &ReleaseSummary| (release.release.first_seen, release.release.version.clone());
    let before = page.items.iter().map(place).find(|other| *other < place(this));
    let others = page.items.iter().filter(|other| other.release.version != this.release.version);
    Ok(others
        .map(|other| Choice {
            value: "",
            is_chosen: before.as_ref() == Some(&place(other)),
            name: other.release.version.clone(),
        })
        .collect())
}

async fn sections(scene: &Scene, version: &str) -> Result<Vec<IssueSection>, Refusal> {
    const KINDS: [(&str, &str, ReleaseIssuesKind); 3] = [
        ("New issues", "No issue had its first event in this release.", ReleaseIssuesKind::New),
        ("Regressed issues", "No resolved issue came back in this release.", ReleaseIssuesKind::Regressed),
        ("All issues", "No event of this release has arrived.", ReleaseIssuesKind::All),
    ];
    let mut sections = Vec::new();
    for (title, nothing, kind) in KINDS {
        let issues = scene.releases()?.list_release_issues(scene.id(), version, kind).await?;
        sections.push(IssueSection::new(scene.id(), (title, nothing), &issues, false, scene.now));
    }
    Ok(sections)
}

/// `GET /projects/{project}/releases/{version}/compare`
pub(crate) async fn compare(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, version)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewReleases).await?;
    let base = pairs.raw("base");
    let found = scene.releases()?.compare_releases(scene.id(), base, &version, None).await?;
    let found = found.ok_or(Refusal::NotFound)?;
    let section = |words, issues| IssueSection::new(scene.id(), words, issues, true, scene.now);
    let (base_href, other_href) = (release_href(scene.id(), base), release_href(scene.id(), &version));
    let page = ComparisonPage {
        layout: scene.layout(Section::Releases, &pairs).await?,
        base: scene.base(),
        swapped_href: address(&format!("{base_href}/compare"), &[("base", &version)]),
        base_version: base.to_owned(),
        base_href,
        other_href,
        rows: compared_rows(&found),
        sections: vec![
            section(("Only in this one", "Every issue occurred in the other release as well."), &found.new),
            section(("Not any more", "Every issue of the other release occurred here as well."), &found.gone),
            section(("In both", "The two have no issue in common."), &found.common),
        ],
        other_version: version,
    };
    Ok(respond::page(&page))
}
