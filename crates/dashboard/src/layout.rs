//! The frame around every page of a project: sections, switchers, the live light.

use std::sync::Arc;

use belvedere_accounts::{ClientInfo, OrganisationInfo, Permission, Principal, Project};
use belvedere_business_intelligence::Business;
use belvedere_error_tracking::feedback::FeedbackStatus;
use belvedere_error_tracking::{ErrorTracking, IssueStatus};
use belvedere_kernel::{Actor, ProjectId, User};
use belvedere_learning_analytics::Learning;
use belvedere_storage::{Id, Timestamp};

use crate::assets::{self, AssetPaths};
use crate::csrf;
use crate::form::Pairs;
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::Count;

/// A section of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Issues,
    Releases,
    Feedback,
    Crons,
    Logs,
    Events,
    Trends,
    Funnels,
    Retention,
    Paths,
    Cohorts,
    FeatureFlags,
    Dashboards,
    Courses,
    Learners,
    Struggling,
    Tutor,
    LearningNow,
    Executive,
    Revenue,
    Pipeline,
    Settings,
    Audit,
    /// A page that no section leads to.
    Elsewhere,
}

/// What a page's frame shows.
pub(crate) struct Layout {
    pub(crate) assets: &'static AssetPaths,
    pub(crate) now_ms: i64,
    pub(crate) project_name: String,
    pub(crate) is_demo: bool,
    pub(crate) projects: Vec<ProjectLink>,
    pub(crate) may_create_projects: bool,
    pub(crate) organisations: Vec<OrganisationLink>,
    pub(crate) nav: Vec<NavGroup>,
    pub(crate) user: String,
    pub(crate) account_href: String,
    pub(crate) csrf: String,
    pub(crate) notice: Option<Notice>,
    pub(crate) live: Option<String>,
    pub(crate) live_issue: Option<String>,
    /// The topic of messages that the page follows besides those about issues; empty for none.
    pub(crate) live_topic: &'static str,
}

/// A project in the switcher.
pub(crate) struct ProjectLink {
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) is_demo: bool,
    pub(crate) is_current: bool,
}

/// An organisation in the switcher.
pub(crate) struct OrganisationLink {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) is_current: bool,
}

/// Sections under a heading.
pub(crate) struct NavGroup {
    pub(crate) title: &'static str,
    pub(crate) links: Vec<NavLink>,
}

/// One section.
pub(crate) struct NavLink {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
    pub(crate) count: Option<Count>,
    /// The name by which live updates find the count.
    pub(crate) part: &'static str,
}

/// A sentence about what was just done.
pub(crate) struct Notice {
    pub(crate) tone: &'static str,
    pub(crate) text: &'static str,
}

/// The words after `?done=`, so that no address can put words of its own on a page.
pub(crate) fn notice(pairs: &Pairs) -> Option<Notice> {
    let text = match pairs.text("done") {
        "saved" => "Saved.",
        "deleted_search" => "The saved search is deleted.",
        "resolved" => "Resolved. A new event reopens the issue.",
        "resolved-release" => "Resolved. An event of a later release reopens the issue.",
        "ignored" => "Ignored. It stays out of the list of unresolved issues.",
        "unresolved" => "Reopened.",
        "archived" => "Archived. It comes back if it becomes far more frequent than before.",
        "assigned" => "Assigned.",
        "merged" => "Merged. The counts are those of all of them; their events follow within moments.",
        "unmerged" => "Split off. This is the new issue; its events follow within moments.",
        "deleted" => "Deleted. Events and counts follow within moments.",
        "commented" => "The comment is on the timeline.",
        "comment-gone" => "The comment is deleted.",
        "lifted" => "Lifted. The next event of this kind becomes an issue again.",
        "gone" => "Deleted.",
        "replayed" => "Handed to digestion once more. If it fails again it comes back.",
        "pinned" => "Pinned. It is the last tile.",
        "judged" => "Noted. The precision of flags counts it.",
        "discarded" => "Discarded.",
        "bundle_deleted" => "The bundle is deleted. Events that it has resolved stay as they are.",
        "pinged" => "A test is on its way. It is among the deliveries.",
        "resent" => "Sent again, within moments and under the same id.",
        "key" => "The key works from now on.",
        "revoked" => "Revoked.",
        "withdrawn" => "The invitation is withdrawn.",
        "removed" => "Removed from the organisation.",
        "role" => "The role is set. The member has to sign in again.",
        "password" => "The password is set. Your other sessions have ended.",
        "project" => "The project is made. Send a first event with its DSN.",
        _ => return None,
    };
    Some(Notice { tone: "good", text })
}

/// A visitor in one of their projects: what every page of a project begins with.
pub(crate) struct Scene {
    pub(crate) state: Arc<DashboardState>,
    pub(crate) visitor: Visitor,
    pub(crate) project: Project,
    pub(crate) now: Timestamp,
}

impl Scene {
    /// Opens the project with this number for somebody who has `permission`.
    pub(crate) async fn open(
        state: Arc<DashboardState>,
        visitor: Visitor,
        project: &str,
        permission: Permission,
    ) -> Result<Self, Refusal> {
        let id: ProjectId = project.parse().map_err(|_| Refusal::NotFound)?;
        let project = state.accounts.find_project(&visitor.principal, id).await?.ok_or(Refusal::NotFound)?;
        visitor.principal.require(permission)?;
        let now = state.clock.now();
        Ok(Self { state, visitor, project, now })
    }

    pub(crate) fn id(&self) -> ProjectId {
        self.project.id
    }

    /// The beginning of the addresses of the project's pages.
    pub(crate) fn base(&self) -> String {
        format!("/projects/{}", self.project.id)
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.visitor.principal
    }

    /// The visitor, if it is a person.
    pub(crate) fn user(&self) -> Option<Id<User>> {
        match self.visitor.principal.actor {
            Actor::User(user) => Some(user),
            _ => None,
        }
    }

    pub(crate) fn client(&self) -> &ClientInfo {
        &self.visitor.client
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.visitor.principal.rights.allows(permission)
    }

    /// Error tracking, whose pages do not exist while it is switched off.
    pub(crate) fn errors(&self) -> Result<&dyn ErrorTracking, Refusal> {
        self.state.errors.as_deref().ok_or(Refusal::NotFound)
    }

    /// Learning analytics, whose pages do not exist while it is switched off.
    pub(crate) fn learning(&self) -> Result<&dyn Learning, Refusal> {
        self.state.learning.as_deref().ok_or(Refusal::NotFound)
    }

    /// Business intelligence, whose pages do not exist while it is switched off.
    pub(crate) fn business(&self) -> Result<&dyn Business, Refusal> {
        self.state.business.as_deref().ok_or(Refusal::NotFound)
    }

    /// How many issues are unresolved, for those who may know.
    pub(crate) async fn count_unresolved(&self) -> Result<Option<u64>, Refusal> {
        match &self.state.errors {
            Some(errors) if self.may(Permission::ViewIssues) => {
                Ok(Some(errors.count_issues(self.id(), IssueStatus::Unresolved).await?))
            }
            _ => Ok(None),
        }
    }

    /// How much of what people said is unresolved, for those who may know.
    async fn count_said(&self) -> Result<Option<u64>, Refusal> {
        if self.state.errors.is_none() || !self.may(Permission::ViewIssues) {
            return Ok(None);
        }
        Ok(Some(self.state.feedback.count_feedback(self.id(), FeedbackStatus::Unresolved).await?))
    }

    /// The frame of a page in `section`.
    pub(crate) async fn layout(&self, section: Section, pairs: &Pairs) -> Result<Layout, Refusal> {
        let accounts = &self.state.accounts;
        let (projects, organisations, unresolved, said) = tokio::join!(
            accounts.list_projects(self.principal()),
            accounts.list_organisations(self.principal()),
            self.count_unresolved(),
            self.count_said(),
        );
        let mut layout = frame(&self.visitor, self.now, &projects?, &organisations?, Some(&self.project));
        layout.nav = self.nav(section, unresolved?, said?);
        layout.notice = notice(pairs);
        let state = &self.state;
        let is_told = state.errors.is_some() || state.learning.is_some() || state.business.is_some();
        let has_live = is_told && self.may(Permission::ViewIssues);
        layout.live = has_live.then(|| format!("/live/{}", self.project.id));
        Ok(layout)
    }

    fn nav(&self, section: Section, unresolved: Option<u64>, said: Option<u64>) -> Vec<NavGroup> {
        let base = self.base();
        let link = |label, path: &str, of| NavLink {
            label,
            href: format!("{base}{path}"),
            is_current: section == of,
            count: None,
            part: "",
        };
        let mut groups = Vec::new();
        if self.may(Permission::ViewIssues) {
            groups.push(NavGroup { title: "", links: vec![link("Overview", "", Section::Overview)] });
            if self.state.errors.is_some() {
                let count = unresolved.map(Count);
                let issues =
                    NavLink { count, part: "nav-issues", ..link("Issues", "/issues", Section::Issues) };
                let mut links = vec![issues];
                if self.may(Permission::ViewReleases) {
                    links.push(link("Releases", "/releases", Section::Releases));
                }
                links.push(NavLink {
                    count: said.filter(|said| *said > 0).map(Count),
                    part: "nav-feedback",
                    ..link("Feedback", "/feedback", Section::Feedback)
                });
                links.push(link("Crons", "/crons", Section::Crons));
                links.push(link("Logs", "/logs", Section::Logs));
                groups.push(NavGroup { title: "Errors", links });
            }
            let events = link("Events", "/events", Section::Events);
            let mut links = vec![events];
            if self.may(Permission::ViewAnalytics) {
                links.push(link("Trends", "/insights/trends", Section::Trends));
                links.push(link("Funnels", "/insights/funnels", Section::Funnels));
                links.push(link("Retention", "/insights/retention", Section::Retention));
                links.push(link("Paths", "/insights/paths", Section::Paths));
                if self.state.business.is_some() {
                    links.push(link("Cohorts", "/cohorts", Section::Cohorts));
                    links.push(link("Dashboards", "/dashboards", Section::Dashboards));
                    links.push(link("Feature flags", "/feature-flags", Section::FeatureFlags));
                }
            }
            groups.push(NavGroup { title: "Activity", links });
        }
        if self.state.learning.is_some() && self.may(Permission::ViewAnalytics) {
            let links = vec![
                link("Courses", "/learning/courses", Section::Courses),
                link("Learners", "/learning/learners", Section::Learners),
                link("Struggling", "/learning/struggling", Section::Struggling),
                link("Tutor", "/learning/tutor", Section::Tutor),
                link("Live", "/learning/live", Section::LearningNow),
            ];
            groups.push(NavGroup { title: "Learning", links });
        }
        if self.state.business.is_some() && self.may(Permission::ViewAnalytics) {
            let links = vec![
                link("Executive", "/business", Section::Executive),
                link("Revenue", "/business/revenue", Section::Revenue),
            ];
            groups.push(NavGroup { title: "Business", links });
        }
        if self.may(Permission::ViewAudit) {
            groups
                .push(NavGroup { title: "Trust", links: vec![link("Audit log", "/audit", Section::Audit)] });
        }
        let mut links = Vec::new();
        if self.may(Permission::ViewIssues) {
            links.push(link("Pipeline", "/pipeline", Section::Pipeline));
        }
        links.push(link("Settings", "/settings", Section::Settings));
        groups.push(NavGroup { title: "Project", links });
        groups
    }
}

/// The frame without sections, also for pages outside any project.
pub(crate) fn frame(
    visitor: &Visitor,
    now: Timestamp,
    projects: &[Project],
    organisations: &[OrganisationInfo],
    current: Option<&Project>,
) -> Layout {
    let principal = &visitor.principal;
    let account_base =
        current.or(projects.first()).map(|project| format!("/projects/{}/settings/account", project.id));
    Layout {
        assets: assets::paths(),
        now_ms: now.as_millis(),
        project_name: current.map_or_else(|| "Projects".to_owned(), |project| project.name.clone()),
        is_demo: current.is_some_and(|project| project.is_demo),
        projects: projects
            .iter()
            .map(|project| ProjectLink {
                name: project.name.clone(),
                href: format!("/projects/{}", project.id),
                is_demo: project.is_demo,
                is_current: current.is_some_and(|current| current.id == project.id),
            })
            .collect(),
        may_create_projects: principal.rights.allows(Permission::ManageProjects),
        organisations: organisations
            .iter()
            .map(|organisation| OrganisationLink {
                id: organisation.id.to_string(),
                name: organisation.name.clone(),
                is_current: organisation.id == principal.organisation,
            })
            .collect(),
        nav: Vec::new(),
        user: principal.name.clone(),
        account_href: account_base.unwrap_or_else(|| "/".to_owned()),
        csrf: principal.csrf.as_deref().map(csrf::mask).unwrap_or_default(),
        notice: None,
        live: None,
        live_issue: None,
        live_topic: "",
    }
}
