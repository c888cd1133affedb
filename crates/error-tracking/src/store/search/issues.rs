use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Dialect, Page, PageRequest, Sql, StorageError, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult};

use super::condition::{Scope, push_environment, push_term};
use crate::search::{Matching, Term};
use crate::store::read::{IssueRow, fill_hours, foreign_cursor, limit_of, parse_issue_cursor};
use crate::store::tags::EVENT_COUNT;
use crate::store::write::hour_of;
use crate::{ErrorTrackingError, IssueSort, IssueSummary};

/// Up to how many matching issues are counted.
const COUNTED_MAX: u64 = 10_000;

/// How many of the largest issues are looked at to bound a list by a part of their events.
const LARGEST: i64 = 500;

/// Which issues are wanted, resolved as far as the database is concerned.
#[derive(Debug)]
pub(crate) struct IssueSearch<'a> {
    pub(crate) project: ProjectId,
    pub(crate) terms: &'a [Term],
    pub(crate) environment: Option<&'a str>,
    /// Only issues with an event since the start of this hour.
    pub(crate) since: Option<Timestamp>,
    pub(crate) sort: IssueSort,
    pub(crate) events_of: EventsOf<'a>,
    pub(crate) now: Timestamp,
}

/// A tag and its key by their numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TagId {
    key: i64,
    id: i64,
    /// How many events of the project have it.
    events: i64,
}

/// Which of its events an issue's number of events counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EventsOf<'a> {
    /// All of them.
    Issue,
    /// None.
    Nothing,
    /// Those in this environment.
    Environment(&'a str),
    /// Those with this tag.
    Tag(TagId),
    /// Those since the search's hour, in its environment if it names one.
    Since,
}

impl IssueSearch<'_> {
    fn scope(&self) -> Scope {
        Scope { project: self.project, now: self.now }
    }

    fn first_hour(&self) -> Option<i64> {
        self.since.map(hour_of)
    }

    /// ` FROM error_issue i .. WHERE ..`, without issues that have fewer than `least_events` altogether.
    fn push_from(&self, sql: &mut Sql, least_events: i64) {
        sql.push(" FROM error_issue i");
        if sql.dialect() == Dialect::Sqlite {
            // It holds all that conditions and orders read; the planner would rather look every row up.
            sql.push(" INDEXED BY error_issue_last_seen");
        }
        sql.push(" WHERE i.project_id = ").bind(self.project.0);
        if let Some(since) = self.since {
            sql.push(" AND i.last_seen >= ").bind(since.start_of_hour());
        }
        if least_events > 0 {
            sql.push(" AND i.event_count >= ").bind(least_events);
        }
        if let Some(environment) = self.environment {
            push_environment(sql, self.scope(), environment, self.first_hour());
        }
        for term in self.terms {
            push_term(sql, self.scope(), term);
        }
    }

    /// Whether the order counts a part of each issue's events, which must be counted before they can be sorted.
    fn sorts_by_part(&self) -> bool {
        self.sort == IssueSort::Events
            && match self.events_of {
                EventsOf::Issue | EventsOf::Nothing => false,
                // Of few events no issue has many: nothing would be left out.
                EventsOf::Tag(tag) => tag.events >= 50 * LARGEST,
                EventsOf::Environment(_) | EventsOf::Since => true,
            }
    }

    /// Adds the part of the list behind a page's cursor.
    fn push_after(&self, sql: &mut Sql, page: &PageRequest) -> Result<(), ErrorTrackingError> {
        if let Some(after) = &page.after {
            let (key, id) = parse_issue_cursor(after, self.sort_word()).map_err(|_| foreign_cursor())?;
            sql.push(" WHERE (k.sort_key, k.id) < (").bind(key).push(", ").bind(id).push(")");
        }
        Ok(())
    }

    /// The number by which the list is sorted, the largest first.
    fn push_sort_key(&self, sql: &mut Sql) {
        match self.sort {
            IssueSort::LastSeen => sql.push("i.last_seen"),
            IssueSort::FirstSeen => sql.push("i.first_seen"),
            IssueSort::Subjects => sql.push("i.subject_count"),
            IssueSort::Events => self.push_events(sql),
            IssueSort::Trend => sql.push("i.trend"),
        };
    }

    /// An issue's number of events.
    fn push_events<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        match self.events_of {
            EventsOf::Issue => sql.push("i.event_count"),
            EventsOf::Nothing => sql.push("CAST(0 AS bigint)"),
            EventsOf::Environment(name) => {
                sql.push(
                    "COALESCE((SELECT n.event_count FROM error_issue_environment n WHERE n.project_id = ",
                );
                sql.bind(self.project.0).push(" AND n.environment = ").bind(name);
                sql.push(" AND n.issue_id = i.id), 0)")
            }
            EventsOf::Tag(tag) => {
                sql.push("COALESCE((SELECT ").push(EVENT_COUNT);
                sql.push(" FROM error_issue_tag c WHERE c.project_id = ").bind(self.project.0);
                sql.push(" AND c.issue_id = i.id AND c.key_id = ").bind(tag.key);
                sql.push(" AND c.tag_id = ").bind(tag.id).push("), 0)")
            }
            EventsOf::Since => {
                sql.push("COALESCE((SELECT CAST(SUM(h.event_count) AS bigint) FROM error_issue_hour h ");
                sql.push("WHERE h.project_id = ").bind(self.project.0).push(" AND h.issue_id = i.id");
                sql.push(" AND h.hour >= ").bind(self.first_hour().unwrap_or(0));
                if let Some(environment) = self.environment {
                    sql.push(" AND h.environment = ").bind(environment);
                }
                sql.push("), 0)")
            }
        }
    }

    fn sort_word(&self) -> &'static str {
        match self.sort {
            IssueSort::LastSeen => "last",
            IssueSort::FirstSeen => "first",
            IssueSort::Events => "events",
            IssueSort::Subjects => "subjects",
            IssueSort::Trend => "trend",
        }
    }
}

/// A page of the issues that match, with their events of the last 24 hours.
pub(crate) async fn search_issues(
    connection: &impl ConnectionTrait,
    search: &IssueSearch<'_>,
    page: &PageRequest,
) -> Result<Page<IssueSummary>, ErrorTrackingError> {
    let mut sql = Sql::new(
        connection,
        "SELECT i.id, i.number, i.title, i.culprit, i.level, i.status, i.substatus, i.assigned_to, i.platform, i.subject_count, i.first_seen, \
         i.last_seen, ",
    );
    search.push_events(&mut sql);
    sql.push(" AS events, p.sort_key FROM (SELECT k.id, k.sort_key FROM (SELECT i.id, ");
    search.push_sort_key(&mut sql);
    sql.push(" AS sort_key");
    let least_events =
        if search.sorts_by_part() { find_least_events(connection, search, page).await? } else { 0 };
    search.push_from(&mut sql, least_events);
    sql.push(") AS k");
    search.push_after(&mut sql, page)?;
    sql.push(" ORDER BY k.sort_key DESC, k.id DESC LIMIT ").bind(limit_of(page) + 1);
    sql.push(") AS p JOIN error_issue i ON i.id = p.id ORDER BY p.sort_key DESC, p.id DESC");
    let mut rows = Vec::new();
    for row in sql.fetch(connection).await? {
        let key: i64 = row.try_get("", "sort_key").map_err(StorageError::from)?;
        let issue = IssueRow::from_query_result(&row, "").map_err(StorageError::from)?;
        rows.push((issue.into_summary()?, key));
    }
    let page = Page::from_rows(rows, page.limit(), |(issue, key)| {
        Cursor::of(&[&search.sort_word(), key, &issue.id])
    });
    let mut items: Vec<IssueSummary> = page.items.into_iter().map(|(issue, _)| issue).collect();
    fill_hours(connection, search.project, &mut items, search.environment, search.now).await?;
    Ok(Page { items, next: page.next })
}

/// How many events an issue must have at least to be on the page, when that is sorted by a part of them.
///
/// No part is larger than the whole: if so many of the issues with the most events have that part or more as fill the
/// page, an issue with fewer events altogether is not on it. Only the others are counted then.
async fn find_least_events(
    connection: &impl ConnectionTrait,
    search: &IssueSearch<'_>,
    page: &PageRequest,
) -> Result<i64, ErrorTrackingError> {
    let mut sql =
        Sql::new(connection, "SELECT COUNT(*), MIN(sort_key) FROM (SELECT k.sort_key FROM (SELECT i.id, ");
    search.push_sort_key(&mut sql);
    sql.push(" AS sort_key FROM (SELECT i.id");
    search.push_from(&mut sql, 0);
    sql.push(" ORDER BY i.event_count DESC LIMIT ").bind(LARGEST);
    sql.push(") AS l JOIN error_issue i ON i.id = l.id) AS k");
    search.push_after(&mut sql, page)?;
    sql.push(" ORDER BY k.sort_key DESC LIMIT ").bind(limit_of(page) + 1).push(") AS best");
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok(0) };
    let read = || Ok::<_, sea_orm::DbErr>((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    let (found, least): (i64, Option<i64>) = read().map_err(StorageError::from)?;
    Ok(least.filter(|_| found > limit_of(page)).unwrap_or(0))
}

/// How many issues match.
pub(crate) async fn count_matching(
    connection: &impl ConnectionTrait,
    search: &IssueSearch<'_>,
) -> Result<Matching, StorageError> {
    let mut sql = Sql::new(connection, "SELECT COUNT(*) FROM (SELECT 1 AS one");
    search.push_from(&mut sql, 0);
    sql.push(" LIMIT ").bind(i64::try_from(COUNTED_MAX).unwrap_or(i64::MAX) + 1).push(") AS found");
    let rows = sql.fetch(connection).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    let count = u64::try_from(count).unwrap_or(0);
    Ok(Matching { count: count.min(COUNTED_MAX), is_exact: count <= COUNTED_MAX })
}

/// The numbers of a tag, if the project has an event with it.
pub(crate) async fn find_tag_id(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    key: &str,
    value: &str,
) -> Result<Option<TagId>, StorageError> {
    let text = "SELECT k.id, t.id, t.event_count FROM error_tag t JOIN error_tag k ON k.project_id = t.project_id AND k.key = t.key \
                AND k.value = '' WHERE t.project_id = ";
    let mut sql = Sql::new(connection, text);
    sql.bind(project.0).push(" AND t.key = ").bind(key).push(" AND t.value = ").bind(value);
    let rows = sql.fetch(connection).await?;
    let read = |row: &QueryResult| {
        Ok::<_, StorageError>(TagId {
            key: row.try_get_by_index(0)?,
            id: row.try_get_by_index(1)?,
            events: row.try_get_by_index(2)?,
        })
    };
    rows.first().map(read).transpose()
}
