use std::collections::HashMap;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Cursor, Page, Sql, StorageError, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::numbers::{Window, health_by_version, health_of_window, hours_by_version};
use crate::ErrorTrackingError;
use crate::releases::{Commit, Deploy, Health, ListReleases, Release, ReleaseSort, ReleaseSummary};

/// How many deploys are listed.
const DEPLOYS_MAX: i64 = 100;

/// How many deploys a release shows in a list.
const SHOWN_DEPLOYS_MAX: usize = 10;

/// How many deploys of a page of releases are read to find the newest of each environment.
const DEPLOYS_OF_PAGE_MAX: i64 = 2_000;

const COLUMNS: &str = "r.version, r.created_at, r.first_seen, r.last_seen, r.first_event_at, r.last_event_at, \
                       r.started_at, r.released_at, r.ref_name, r.url";

#[derive(FromQueryResult)]
struct ReleaseRow {
    version: String,
    created_at: Timestamp,
    first_seen: Timestamp,
    last_seen: Timestamp,
    first_event_at: Option<Timestamp>,
    last_event_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    released_at: Option<Timestamp>,
    ref_name: Option<String>,
    url: Option<String>,
}

impl From<ReleaseRow> for Release {
    fn from(row: ReleaseRow) -> Self {
        Self {
            version: row.version,
            created_at: row.created_at,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            first_event_at: row.first_event_at,
            last_event_at: row.last_event_at,
            started_at: row.started_at,
            released_at: row.released_at,
            reference: row.ref_name,
            url: row.url,
        }
    }
}

async fn fetch_releases(connection: &impl ConnectionTrait, sql: Sql) -> Result<Vec<Release>, StorageError> {
    let rows = sql.fetch(connection).await?;
    rows.iter().map(|row| Ok(ReleaseRow::from_query_result(row, "")?.into())).collect()
}

pub(crate) async fn find_release(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: &str,
) -> Result<Option<Release>, StorageError> {
    let mut sql =
        Sql::new(connection, &format!("SELECT {COLUMNS} FROM error_release r WHERE r.project_id = "));
    sql.bind(project.0).push(" AND r.version = ").bind(version);
    Ok(fetch_releases(connection, sql).await?.pop())
}

pub(crate) async fn list_releases(
    connection: &impl ConnectionTrait,
    query: &ListReleases,
    now: Timestamp,
) -> Result<Page<ReleaseSummary>, ErrorTrackingError> {
    let (word, key) = match query.sort {
        ReleaseSort::LastSeen => ("last", "r.last_seen"),
        ReleaseSort::FirstSeen => ("first", "r.first_seen"),
    };
    let mut sql =
        Sql::new(connection, &format!("SELECT {COLUMNS} FROM error_release r WHERE r.project_id = "));
    sql.bind(query.project.0);
    if let Some(text) = &query.text {
        let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        sql.push(" AND LOWER(r.version) LIKE ").bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
    }
    if let Some(environment) = &query.environment {
        sql.push(" AND EXISTS (SELECT 1 FROM error_release_hour h WHERE h.project_id = r.project_id AND h.version = ");
        sql.push("r.version AND h.environment = ").bind(environment.as_str()).push(")");
    }
    if let Some(after) = &query.page.after {
        let (at, version) = parse_cursor(after, word).ok_or_else(|| {
            ErrorTrackingError::InvalidQuery("the cursor does not belong to this list".to_owned())
        })?;
        sql.push(&format!(" AND ({key}, r.version) < (")).bind(at).push(", ").bind(version).push(")");
    }
    let limit = i64::try_from(query.page.limit()).unwrap_or(1) + 1;
    sql.push(&format!(" ORDER BY {key} DESC, r.version DESC LIMIT ")).bind(limit);
    let page = Page::from_rows(fetch_releases(connection, sql).await?, query.page.limit(), |last| {
        let at = match query.sort {
            ReleaseSort::LastSeen => last.last_seen,
            ReleaseSort::FirstSeen => last.first_seen,
        };
        Cursor::of(&[&word, &at.as_micros(), &to_hex(&last.version)])
    });
    let items = summarise(connection, query.project, query.environment.as_deref(), page.items, now).await?;
    Ok(Page { items, next: page.next })
}

/// Names of releases may hold any sign.
fn to_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_cursor(cursor: &Cursor, word: &str) -> Option<(i64, String)> {
    let [told, at, hex]: [&str; 3] = cursor.parts()?;
    let digits: Vec<u8> =
        hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit)).collect();
    Some((at.parse().ok()?, String::from_utf8(bytes).ok()?)).filter(|_| told == word)
}

/// Adds to each release how it fares.
pub(crate) async fn summarise(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    environment: Option<&str>,
    releases: Vec<Release>,
    now: Timestamp,
) -> Result<Vec<ReleaseSummary>, StorageError> {
    if releases.is_empty() {
        return Ok(Vec::new());
    }
    let hour = now.as_seconds().div_euclid(3_600);
    let today = Window { project, environment, from: hour - 23, to: hour + 1 };
    let before = Window { from: hour - 47, to: hour - 23, ..today };
    let versions: Vec<String> = releases.iter().map(|release| release.version.clone()).collect();
    let (_, of_all) = health_of_window(connection, today, None).await?;
    let health = health_by_version(connection, today, &versions).await?;
    let health_before = health_by_version(connection, before, &versions).await?;
    let events = count_events(connection, project, environment, &versions).await?;
    let of_issues = |column: &str| format!("SELECT {column}, COUNT(*) FROM error_issue WHERE project_id = ");
    let new_issues =
        count_by(connection, &of_issues("first_release"), project, "first_release", &versions).await?;
    let regressed = of_issues("regressed_in");
    let regressed = count_by(connection, &regressed, project, "regressed_in", &versions).await?;
    let commits = "SELECT version, COUNT(*) FROM error_release_commit WHERE project_id = ";
    let commits = count_by(connection, commits, project, "version", &versions).await?;
    let deploys = newest_deploys(connection, project, &versions).await?;
    let mut hourly: HashMap<String, ([u64; 24], [u64; 24])> = HashMap::new();
    for (version, at, events, sessions) in hours_by_version(connection, today, &versions).await? {
        let Some(index) = usize::try_from(at - today.from).ok().filter(|index| *index < 24) else { continue };
        let of_version = hourly.entry(version).or_default();
        of_version.0[index] = sessions;
        of_version.1[index] = events;
    }
    let number = |of: &HashMap<String, u64>, version: &str| of.get(version).copied().unwrap_or(0);
    Ok(releases
        .into_iter()
        .map(|release| {
            let health: Health = health.get(&release.version).copied().unwrap_or_default();
            let (sessions, of_events) = hourly.get(&release.version).copied().unwrap_or_default();
            ReleaseSummary {
                events: number(&events, &release.version),
                new_issues: number(&new_issues, &release.version),
                regressed_issues: number(&regressed, &release.version),
                health_before: health_before.get(&release.version).copied().unwrap_or_default(),
                sessions_of_all: of_all.sessions,
                users_of_all: of_all.users,
                hourly: if health.sessions > 0 { sessions.to_vec() } else { of_events.to_vec() },
                deploys: deploys.get(&release.version).cloned().unwrap_or_default(),
                commits: number(&commits, &release.version),
                health,
                release,
            }
        })
        .collect())
}

/// Rows by release, of a query that begins with the release and the count.
async fn count_by(
    connection: &impl ConnectionTrait,
    head: &str,
    project: ProjectId,
    column: &str,
    versions: &[String],
) -> Result<HashMap<String, u64>, StorageError> {
    let mut sql = Sql::new(connection, head);
    sql.bind(project.0).push(" AND ").push(column).push(" IN ").bind_set(versions);
    sql.push(" GROUP BY ").push(column);
    let mut found = HashMap::new();
    for row in sql.fetch(connection).await? {
        let count: i64 = row.try_get_by_index(1)?;
        found.insert(row.try_get_by_index(0)?, u64::try_from(count).unwrap_or(0));
    }
    Ok(found)
}

async fn count_events(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    environment: Option<&str>,
    versions: &[String],
) -> Result<HashMap<String, u64>, StorageError> {
    let Some(environment) = environment else {
        let head =
            "SELECT version, CAST(SUM(event_count) AS bigint) FROM error_issue_release WHERE project_id = ";
        return count_by(connection, head, project, "version", versions).await;
    };
    let mut sql = Sql::new(
        connection,
        "SELECT version, CAST(SUM(event_count) AS bigint) FROM error_release_hour WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND version IN ").bind_set(versions);
    sql.push(" AND environment = ").bind(environment).push(" GROUP BY version");
    let mut found = HashMap::new();
    for row in sql.fetch(connection).await? {
        let count: i64 = row.try_get_by_index(1)?;
        found.insert(row.try_get_by_index(0)?, u64::try_from(count).unwrap_or(0));
    }
    Ok(found)
}

const DEPLOY_COLUMNS: &str = "SELECT id, version, environment, name, url, started_at, finished_at FROM error_deploy WHERE project_id = ";

async fn fetch_deploys(connection: &impl ConnectionTrait, sql: Sql) -> Result<Vec<Deploy>, StorageError> {
    let rows = sql.fetch(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Deploy {
                id: row.try_get_by_index(0)?,
                version: row.try_get_by_index(1)?,
                environment: row.try_get_by_index(2)?,
                name: row.try_get_by_index(3)?,
                url: row.try_get_by_index(4)?,
                started_at: row.try_get_by_index(5)?,
                finished_at: row.try_get_by_index(6)?,
            })
        })
        .collect()
}

pub(crate) async fn list_deploys(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: Option<&str>,
) -> Result<Vec<Deploy>, StorageError> {
    let mut sql = Sql::new(connection, DEPLOY_COLUMNS);
    sql.bind(project.0);
    if let Some(version) = version {
        sql.push(" AND version = ").bind(version);
    }
    sql.push(" ORDER BY finished_at DESC, id DESC LIMIT ").bind(DEPLOYS_MAX);
    fetch_deploys(connection, sql).await
}

/// By release the newest deploy to each environment, newest first.
async fn newest_deploys(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    versions: &[String],
) -> Result<HashMap<String, Vec<Deploy>>, StorageError> {
    let mut sql = Sql::new(connection, DEPLOY_COLUMNS);
    sql.bind(project.0).push(" AND version IN ").bind_set(versions);
    sql.push(" ORDER BY finished_at DESC, id DESC LIMIT ").bind(DEPLOYS_OF_PAGE_MAX);
    let mut newest: HashMap<String, Vec<Deploy>> = HashMap::new();
    for deploy in fetch_deploys(connection, sql).await? {
        let of_version = newest.entry(deploy.version.clone()).or_default();
        let is_older = of_version.iter().any(|other| other.environment == deploy.environment);
        if !is_older && of_version.len() < SHOWN_DEPLOYS_MAX {
            of_version.push(deploy);
        }
    }
    Ok(newest)
}

pub(crate) async fn list_commits(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: &str,
) -> Result<Vec<Commit>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT revision, repository, message, committed_at, author_subject_id FROM error_release_commit \
         WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND version = ").bind(version).push(" ORDER BY position LIMIT 1000");
    let rows = sql.fetch(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Commit {
                revision: row.try_get_by_index(0)?,
                repository: row.try_get_by_index(1)?,
                message: row.try_get_by_index(2)?,
                committed_at: row.try_get_by_index(3)?,
                author: row.try_get_by_index::<Option<i64>>(4)?.map(SubjectId),
            })
        })
        .collect()
}
