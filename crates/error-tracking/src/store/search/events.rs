use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Dialect, Id, Page, PageRequest, Sql, StorageError, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::event_id::{EventId, EventKey};
use crate::search::{EventFacts, EventFilter, EventsFound, TaggedEvent};
use crate::store::read::{foreign_cursor, limit_of};
use crate::store::write::level_of;
use crate::tags::unpack_tags;
use crate::{ErrorTrackingError, EventSummary, IssueId};

/// How many events are read at once while looking for those that match.
const CHUNK: i64 = 1_000;

/// How many events one page looks through.
const LOOKED_THROUGH_MAX: u64 = 5_000;

/// An event of the list, with its place in it.
struct Row {
    id: i64,
    event: TaggedEvent,
    event_id: EventId,
    trace: Option<Id<()>>,
    tags: String,
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, StorageError> {
        let event_id = EventId::from(row.try_get_by_index::<Id<EventKey>>(1)?);
        let trace: Option<Id<()>> = row.try_get_by_index(9)?;
        let summary = EventSummary {
            event_id: event_id.to_string(),
            occurred_at: row.try_get_by_index(2)?,
            received_at: row.try_get_by_index(3)?,
            level: level_of(row.try_get_by_index(4)?)?,
            subject: row.try_get_by_index::<Option<i64>>(5)?.map(belvedere_kernel::SubjectId),
            release: row.try_get_by_index(6)?,
            environment: row.try_get_by_index(7)?,
            title: row.try_get_by_index(8)?,
        };
        let tags: Option<String> = row.try_get_by_index(10)?;
        let trace_text = trace.map(|trace| format!("{:032x}", u128::from_be_bytes(trace.to_bytes())));
        let event = TaggedEvent { summary, trace: trace_text, tags: Vec::new() };
        Ok(Self { id: row.try_get_by_index(0)?, event, event_id, trace, tags: tags.unwrap_or_default() })
    }

    fn facts(&self) -> EventFacts<'_> {
        let summary = &self.event.summary;
        EventFacts {
            event_id: self.event_id,
            level: summary.level,
            title: &summary.title,
            release: summary.release.as_deref(),
            environment: summary.environment.as_deref(),
            trace: self.trace.map(Id::to_bytes),
            tags: &self.tags,
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor::of(&[&self.event.summary.occurred_at.as_micros(), &self.id])
    }

    fn into_event(self) -> TaggedEvent {
        let tags = unpack_tags(&self.tags).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        TaggedEvent { tags, ..self.event }
    }
}

/// The newest events of an issue that pass the filter, looking through at most 5,000.
pub(crate) async fn search_events(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    filter: &EventFilter,
    page: &PageRequest,
) -> Result<EventsFound, ErrorTrackingError> {
    let mut place = page.after.as_ref().map(parse_cursor).transpose()?;
    let wanted = page.limit() + 1;
    let limit = if filter.is_open() { limit_of(page) + 1 } else { CHUNK };
    let needle = filter.needle();
    let mut found: Vec<Row> = Vec::new();
    let mut looked_through = 0;
    let mut more = None;
    loop {
        let chunk = Chunk { project, issue, after: place, limit };
        let Some((count, end)) = chunk.extent(connection).await? else { break };
        for row in chunk.read(connection, end, needle.as_deref()).await? {
            if found.len() < wanted && filter.matches(&row.facts()) {
                found.push(row);
            }
        }
        looked_through += count;
        place = Some(end);
        if count < u64::try_from(limit).unwrap_or(0) || found.len() >= wanted {
            break;
        }
        if looked_through >= LOOKED_THROUGH_MAX {
            more = place.map(|(at, id)| Cursor::of(&[&at.as_micros(), &id]));
            break;
        }
    }
    let found = Page::from_rows(found, page.limit(), Row::cursor);
    let items = found.items.into_iter().map(Row::into_event).collect();
    Ok(EventsFound { page: Page { items, next: found.next.or(more) }, looked_through })
}

fn parse_cursor(cursor: &Cursor) -> Result<(Timestamp, i64), ErrorTrackingError> {
    let [micros, id] = cursor.parts().ok_or_else(foreign_cursor)?;
    let micros = micros.parse().map_err(|_| foreign_cursor())?;
    Ok((Timestamp::from_micros(micros), id.parse().map_err(|_| foreign_cursor())?))
}

/// The place of an event among those of its issue.
type Place = (Timestamp, i64);

/// The next events of an issue, the newest first.
struct Chunk {
    project: ProjectId,
    issue: IssueId,
    after: Option<Place>,
    limit: i64,
}

impl Chunk {
    fn push_where(&self, sql: &mut Sql) {
        sql.push(" FROM error_event WHERE project_id = ").bind(self.project.0);
        sql.push(" AND issue_id = ").bind(self.issue);
        if let Some((at, id)) = self.after {
            sql.push(" AND (occurred_at, id) < (").bind(at).push(", ").bind(id).push(")");
        }
    }

    /// How many events it has, and the place of the last one; none if there is no event.
    async fn extent(&self, connection: &impl ConnectionTrait) -> Result<Option<(u64, Place)>, StorageError> {
        let order = "ORDER BY occurred_at DESC, id DESC";
        let text = format!(
            "SELECT place, occurred_at, id FROM (SELECT occurred_at, id, ROW_NUMBER() OVER ({order}) AS place \
             FROM (SELECT occurred_at, id"
        );
        let mut sql = Sql::new(connection, &text);
        self.push_where(&mut sql);
        sql.push(&format!(" {order} LIMIT ")).bind(self.limit);
        sql.push(") AS e) AS n ORDER BY place DESC LIMIT 1");
        let rows = sql.fetch(connection).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let count: i64 = row.try_get_by_index(0)?;
        let place = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        Ok(Some((u64::try_from(count).unwrap_or(0), place)))
    }

    /// Its events up to the last one, or only those whose packed tags contain the needle.
    async fn read(
        &self,
        connection: &impl ConnectionTrait,
        (at, id): Place,
        needle: Option<&str>,
    ) -> Result<Vec<Row>, StorageError> {
        let text = "SELECT id, event_id, occurred_at, received_at, level, subject_id, release, environment, title, \
                    trace_id, tags";
        let mut sql = Sql::new(connection, text);
        self.push_where(&mut sql);
        sql.push(" AND (occurred_at, id) >= (").bind(at).push(", ").bind(id).push(")");
        if let Some(needle) = needle {
            let function = match sql.dialect() {
                Dialect::Sqlite => "instr",
                Dialect::Postgres => "strpos",
            };
            sql.push(&format!(" AND {function}(tags, ")).bind(needle).push(") > 0");
        }
        sql.push(" ORDER BY occurred_at DESC, id DESC");
        sql.fetch(connection).await?.iter().map(Row::read).collect()
    }
}
