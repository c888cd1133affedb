//! Releases, row by row and number by number.

use belvedere_error_tracking::{
    Commit, Comparison, Deploy, Health, HealthPoint, HealthStep, ReleaseIssue, ReleaseIssues, ReleaseSummary,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::charts::{Part, ShareChart, SharePoint, Stack, StackChart, Svg, sparkline_of};
use crate::form::segment;
use crate::views::issues::{issue_href, level_word, split_title, status_word};
use crate::wording::{Ago, At, Count, day, hour, percent, points};

/// The states of sessions from good to bad, as the charts name and colour them.
pub(crate) const STATES: [Part; 5] = [
    Part { name: "healthy", class: "good" },
    Part { name: "errored", class: "errored" },
    Part { name: "abnormal", class: "abnormal" },
    Part { name: "unhandled", class: "unhandled" },
    Part { name: "crashed", class: "crashed" },
];

pub(crate) fn release_href(project: ProjectId, version: &str) -> String {
    format!("/projects/{project}/releases/{}", segment(version))
}

/// A share in words with how it has changed, and whether that is good.
#[derive(Debug)]
pub(crate) struct ShareView {
    pub(crate) now: String,
    pub(crate) change: Option<String>,
    pub(crate) tone: &'static str,
}

impl ShareView {
    fn new(now: (u64, u64), before: (u64, u64)) -> Self {
        let change = points(before, now);
        let tone = match change.as_deref() {
            Some(change) if change.starts_with('+') => "up",
            Some(change) if change.starts_with('\u{2212}') => "down",
            _ => "",
        };
        Self { now: percent(now.0, now.1), change, tone }
    }

    pub(crate) fn of_sessions(now: &Health, before: &Health) -> Self {
        Self::new((now.crash_free_sessions(), now.sessions), (before.crash_free_sessions(), before.sessions))
    }

    pub(crate) fn of_users(now: &Health, before: &Health) -> Self {
        Self::new((now.crash_free_users(), now.users), (before.crash_free_users(), before.users))
    }
}

/// A deploy in words.
#[derive(Debug)]
pub(crate) struct DeployView {
    pub(crate) environment: String,
    pub(crate) name: String,
    pub(crate) url: Option<String>,
    pub(crate) finished: Ago,
    pub(crate) finished_at: At,
}

impl DeployView {
    pub(crate) fn new(deploy: &Deploy, now: Timestamp) -> Self {
        Self {
            environment: deploy.environment.clone(),
            name: deploy.name.clone().unwrap_or_default(),
            url: deploy.url.clone().filter(|url| is_web(url)),
            finished: Ago { at: deploy.finished_at, now },
            finished_at: At(deploy.finished_at),
        }
    }
}

/// Only such addresses become links.
pub(crate) fn is_web(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// A row of the list of releases.
#[derive(Debug)]
pub(crate) struct ReleaseRow {
    pub(crate) href: String,
    pub(crate) version: String,
    pub(crate) meta: String,
    pub(crate) trend: Svg,
    pub(crate) adoption: String,
    pub(crate) adoption_users: String,
    pub(crate) sessions: ShareView,
    pub(crate) users: ShareView,
    pub(crate) new_issues: Count,
    pub(crate) regressed_issues: Count,
    pub(crate) events: Count,
    pub(crate) first_seen: Ago,
    pub(crate) last_seen: Ago,
}

impl ReleaseRow {
    pub(crate) fn new(project: ProjectId, summary: &ReleaseSummary, now: Timestamp) -> Self {
        let health = &summary.health;
        let mut meta: Vec<String> = summary
            .deploys
            .iter()
            .take(3)
            .map(|deploy| format!("deployed to {}", deploy.environment))
            .collect();
        if summary.commits > 0 {
            meta.push(format!(
                "{} {}",
                Count(summary.commits),
                if summary.commits == 1 { "commit" } else { "commits" }
            ));
        }
        if health.sessions > 0 {
            meta.push(format!("{} sessions in 24 h", Count(health.sessions)));
        }
        let unit = if health.sessions > 0 { "sessions" } else { "events" };
        Self {
            href: release_href(project, &summary.release.version),
            version: summary.release.version.clone(),
            meta: meta.join(" · "),
            trend: sparkline_of(&summary.hourly, unit),
            adoption: percent(health.sessions, summary.sessions_of_all),
            adoption_users: percent(health.users, summary.users_of_all),
            sessions: ShareView::of_sessions(health, &summary.health_before),
            users: ShareView::of_users(health, &summary.health_before),
            new_issues: Count(summary.new_issues),
            regressed_issues: Count(summary.regressed_issues),
            events: Count(summary.events),
            first_seen: Ago { at: summary.release.first_seen, now },
            last_seen: Ago { at: summary.release.last_seen, now },
        }
    }
}

/// A commit in words.
#[derive(Debug)]
pub(crate) struct CommitView {
    pub(crate) revision: String,
    pub(crate) message: String,
    pub(crate) repository: String,
    pub(crate) author: String,
    pub(crate) committed_at: Option<At>,
}

impl CommitView {
    pub(crate) fn new(commit: &Commit) -> Self {
        Self {
            revision: commit.revision.chars().take(12).collect(),
            message: commit.message.clone().unwrap_or_default(),
            repository: commit.repository.clone().unwrap_or_default(),
            author: commit.author.map(|author| format!("Subject {author}")).unwrap_or_default(),
            committed_at: commit.committed_at.map(At),
        }
    }
}

/// A row of a list of a release's issues.
#[derive(Debug)]
pub(crate) struct ReleaseIssueRow {
    pub(crate) href: String,
    pub(crate) number: i64,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) level: &'static str,
    pub(crate) status: &'static str,
    pub(crate) events: Count,
    pub(crate) events_in_base: Count,
    pub(crate) last_seen: Ago,
}

/// A list of a release's issues under its heading.
#[derive(Debug)]
pub(crate) struct IssueSection {
    pub(crate) title: &'static str,
    pub(crate) note: String,
    pub(crate) nothing: &'static str,
    /// Whether there are events of two releases to be shown.
    pub(crate) is_pair: bool,
    pub(crate) rows: Vec<ReleaseIssueRow>,
}

impl IssueSection {
    pub(crate) fn new(
        project: ProjectId,
        (title, nothing): (&'static str, &'static str),
        issues: &ReleaseIssues,
        is_pair: bool,
        now: Timestamp,
    ) -> Self {
        let rows: Vec<ReleaseIssueRow> =
            issues.items.iter().map(|issue| issue_row(project, issue, now)).collect();
        let note = if issues.total > rows.len() as u64 {
            format!("{} of {}, most events first", rows.len(), Count(issues.total))
        } else {
            format!("{}", Count(issues.total))
        };
        Self { title, note, nothing, is_pair, rows }
    }
}

fn issue_row(project: ProjectId, issue: &ReleaseIssue, now: Timestamp) -> ReleaseIssueRow {
    let (kind, title) = split_title(&issue.title);
    ReleaseIssueRow {
        href: issue_href(project, &issue.id.to_string()),
        number: issue.number,
        kind: kind.to_owned(),
        title: title.to_owned(),
        culprit: issue.culprit.clone(),
        level: level_word(issue.level),
        status: status_word(issue.status),
        events: Count(issue.events),
        events_in_base: Count(issue.events_in_base),
        last_seen: Ago { at: issue.last_seen, now },
    }
}

/// The charts of a release's page.
pub(crate) struct HealthCharts {
    pub(crate) crash_free: ShareChart,
    pub(crate) adoption: ShareChart,
    pub(crate) sessions: StackChart,
}

impl HealthCharts {
    pub(crate) fn new(points: &[HealthPoint], step: HealthStep) -> Self {
        let (column, each) = match step {
            HealthStep::Hour => ("Hour (UTC)", "per hour"),
            HealthStep::Day => ("Day (UTC)", "per day"),
        };
        let label =
            |point: &HealthPoint| if step == HealthStep::Hour { hour(point.at) } else { day(point.at) };
        let shares = |parts: fn(&HealthPoint) -> (u64, u64)| {
            points
                .iter()
                .map(|point| {
                    let (part, whole) = parts(point);
                    SharePoint { label: label(point), part, whole }
                })
                .collect::<Vec<_>>()
        };
        let stacks = points.iter().map(|point| {
            let health = &point.health;
            let parts =
                vec![health.healthy, health.errored, health.abnormal, health.unhandled, health.crashed];
            Stack { label: label(point), parts }
        });
        Self {
            crash_free: ShareChart::new(
                shares(|point| (point.health.crash_free_sessions(), point.health.sessions)),
                &format!("Crash-free sessions {each}"),
                column,
                "crash-free",
            ),
            adoption: ShareChart::new(
                shares(|point| (point.health.sessions, point.sessions_of_all)),
                &format!("Share of all sessions {each}"),
                column,
                "sessions",
            ),
            sessions: StackChart::new(stacks.collect(), &STATES, &format!("Sessions {each}"), column),
        }
    }
}

/// A line of a comparison.
#[derive(Debug, PartialEq)]
pub(crate) struct ComparedRow {
    pub(crate) name: &'static str,
    pub(crate) base: String,
    pub(crate) other: String,
    pub(crate) change: String,
    /// `up` for better, `down` for worse, else nothing.
    pub(crate) tone: &'static str,
}

/// The lines of a comparison.
pub(crate) fn compared_rows(comparison: &Comparison) -> Vec<ComparedRow> {
    let (base, other) = (&comparison.base, &comparison.other);
    let share = |name, base: (u64, u64), other: (u64, u64), is_better_high: bool| {
        let change = points(base, other).unwrap_or_default();
        let tone = match (change.chars().next(), is_better_high) {
            (Some('+'), true) => "up",
            (Some('\u{2212}'), true) => "down",
            _ => "",
        };
        ComparedRow { name, base: percent(base.0, base.1), other: percent(other.0, other.1), change, tone }
    };
    let number = |name, base: u64, other: u64| ComparedRow {
        name,
        base: Count(base).to_string(),
        other: Count(other).to_string(),
        change: crate::wording::change(base, other).unwrap_or_default(),
        tone: "",
    };
    let rate = |events: u64, sessions: u64| (sessions > 0).then(|| events * 1_000 / sessions);
    let (base_rate, other_rate) =
        (rate(base.events, base.health.sessions), rate(other.events, other.health.sessions));
    let rate_word =
        |rate: Option<u64>| rate.map_or_else(|| "none".to_owned(), |rate| Count(rate).to_string());
    let rate_tone = match (base_rate, other_rate) {
        (Some(base), Some(other)) if other < base => "up",
        (Some(base), Some(other)) if other > base => "down",
        _ => "",
    };
    vec![
        share(
            "Crash-free sessions",
            (base.health.crash_free_sessions(), base.health.sessions),
            (other.health.crash_free_sessions(), other.health.sessions),
            true,
        ),
        share(
            "Crash-free users",
            (base.health.crash_free_users(), base.health.users),
            (other.health.crash_free_users(), other.health.users),
            true,
        ),
        share(
            "Share of all sessions",
            (base.health.sessions, base.sessions_of_all),
            (other.health.sessions, other.sessions_of_all),
            false,
        ),
        number("Sessions", base.health.sessions, other.health.sessions),
        number("Users", base.health.users, other.health.users),
        number("Events", base.events, other.events),
        ComparedRow {
            name: "Events per 1,000 sessions",
            base: rate_word(base_rate),
            other: rate_word(other_rate),
            change: base_rate
                .zip(other_rate)
                .and_then(|(base, other)| crate::wording::change(base, other))
                .unwrap_or_default(),
            tone: rate_tone,
        },
        number("Issues, ever", base.issues, other.issues),
    ]
}

#[cfg(test)]
mod tests {
    use belvedere_error_tracking::{ComparedRelease, Release, ReleaseIssues};

    use super::*;

    fn side(health: Health, events: u64) -> ComparedRelease {
        let at = Timestamp::EPOCH;
        let release = Release {
            version: "a".to_owned(),
            created_at: at,
            first_seen: at,
            last_seen: at,
            first_event_at: None,
            last_event_at: None,
            started_at: None,
            released_at: None,
            reference: None,
            url: None,
        };
        ComparedRelease { release, health, events, sessions_of_all: 400, issues: 2 }
    }

    #[test]
    fn a_comparison_says_what_is_better_and_what_is_worse() {
        let health = |sessions, crashed| Health {
            sessions,
            crashed,
            healthy: sessions - crashed,
            ..Health::default()
        };
        let comparison = Comparison {
            base: side(health(100, 10), 50),
            other: side(health(200, 10), 200),
            new: ReleaseIssues::default(),
            gone: ReleaseIssues::default(),
            common: ReleaseIssues::default(),
        };
        let rows = compared_rows(&comparison);
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        let sessions = row("Crash-free sessions");
        assert_eq!((sessions.base.as_str(), sessions.other.as_str()), ("90 %", "95 %"));
        assert_eq!((sessions.change.as_str(), sessions.tone), ("+5 points", "up"));
        assert_eq!(row("Crash-free users").base, "none");
        let rate = row("Events per 1,000 sessions");
        assert_eq!((rate.base.as_str(), rate.other.as_str(), rate.tone), ("500", "1,000", "down"));
        assert_eq!(row("Share of all sessions").change, "+25 points");
    }

    #[test]
    fn names_of_releases_are_one_part_of_an_address() {
        assert_eq!(
            release_href(ProjectId(7), "@a/b@1.0?x#é"),
            "/projects/7/releases/%40a%2Fb%401.0%3Fx%23%C3%A9"
        );
    }
}
