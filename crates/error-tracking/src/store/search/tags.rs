use belvedere_kernel::ProjectId;
use belvedere_storage::StorageError;
use sea_orm::{ConnectionTrait, QueryResult};

use crate::IssueId;
use crate::search::{TagDistribution, TagKey, TagValue};
use crate::store::sql::Sql;
use crate::store::tags::VALUES_PER_ISSUE_MAX;

/// How many keys of a project are listed.
const KEYS_MAX: i64 = 500;

/// How many values are suggested.
const VALUES_MAX: i64 = 100;

/// How many keys of an issue are summarised, and how many values of each.
const ISSUE_KEYS_MAX: usize = 60;
const SUMMARISED_VALUES: i64 = 5;

/// How many counts of an issue are read for its summary: its keys and the commonest values of each.
const SUMMARY_ROWS_MAX: i64 = 500 * (SUMMARISED_VALUES + 1);

fn quantity(row: &QueryResult, index: usize) -> Result<u64, StorageError> {
    Ok(u64::try_from(row.try_get_by_index::<i64>(index)?).unwrap_or(0))
}

/// A value from columns in the order of `value, event_count, first_seen, last_seen`, from `index` on.
fn value(row: &QueryResult, index: usize) -> Result<TagValue, StorageError> {
    Ok(TagValue {
        value: row.try_get_by_index(index)?,
        events: quantity(row, index + 1)?,
        first_seen: row.try_get_by_index(index + 2)?,
        last_seen: row.try_get_by_index(index + 3)?,
    })
}

pub(crate) async fn list_tag_keys(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<TagKey>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT key, event_count, value_count FROM error_tag WHERE value = '' AND project_id = ",
    );
    sql.bind(project.0).push(" ORDER BY event_count DESC, key LIMIT ").bind(KEYS_MAX);
    let mut keys = Vec::new();
    for row in sql.fetch(connection).await? {
        let key = row.try_get_by_index(0)?;
        keys.push(TagKey { key, events: quantity(&row, 1)?, values: quantity(&row, 2)? });
    }
    Ok(keys)
}

pub(crate) async fn list_tag_values(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    key: &str,
    prefix: &str,
) -> Result<Vec<TagValue>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT t.value, t.event_count, t.first_seen, t.last_seen FROM error_tag t WHERE t.project_id = ",
    );
    sql.bind(project.0).push(" AND t.key = ").bind(key).push(" AND ");
    super::condition::push_glob(&mut sql, &[prefix.to_owned(), String::new()]);
    sql.push(" ORDER BY t.event_count DESC, t.value LIMIT ").bind(VALUES_MAX);
    sql.fetch(connection).await?.iter().map(|row| value(row, 0)).collect()
}

pub(crate) async fn summarise_tags(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<Vec<TagDistribution>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT key, value, event_count, first_seen, last_seen, value_count FROM (SELECT t.key, t.value, c.event_count, \
         c.first_seen, c.last_seen, c.value_count, ROW_NUMBER() OVER (PARTITION BY t.key ORDER BY \
         CASE WHEN t.value = '' THEN 0 ELSE 1 END, c.event_count DESC, t.value) AS place \
         FROM error_issue_tag c JOIN error_tag t ON t.id = c.tag_id WHERE c.project_id = ",
    );
    sql.bind(project.0).push(" AND c.issue_id = ").bind(issue);
    sql.push(") AS counted WHERE place <= ").bind(SUMMARISED_VALUES + 1);
    sql.push(" ORDER BY key, place LIMIT ").bind(SUMMARY_ROWS_MAX);
    let mut distributions = distributions(&sql.fetch(connection).await?)?;
    distributions.sort_by(|left, right| (right.events, &left.key).cmp(&(left.events, &right.key)));
    distributions.truncate(ISSUE_KEYS_MAX);
    Ok(distributions)
}

pub(crate) async fn find_issue_tag(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    key: &str,
) -> Result<Option<TagDistribution>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT t.key, t.value, c.event_count, c.first_seen, c.last_seen, c.value_count FROM error_issue_tag c \
         JOIN error_tag t ON t.id = c.tag_id WHERE c.project_id = ",
    );
    sql.bind(project.0).push(" AND c.issue_id = ").bind(issue).push(" AND t.key = ").bind(key);
    sql.push(" ORDER BY CASE WHEN t.value = '' THEN 0 ELSE 1 END, c.event_count DESC, t.value LIMIT ");
    sql.bind(VALUES_PER_ISSUE_MAX + 1);
    Ok(distributions(&sql.fetch(connection).await?)?.pop())
}

/// Rows of keys and values, the row of each key before those of its values.
fn distributions(rows: &[QueryResult]) -> Result<Vec<TagDistribution>, StorageError> {
    let mut found: Vec<TagDistribution> = Vec::new();
    for row in rows {
        let (key, tag): (String, TagValue) = (row.try_get_by_index(0)?, value(row, 1)?);
        if tag.value.is_empty() {
            let (events, values_known) = (tag.events, quantity(row, 5)?);
            found.push(TagDistribution { key, events, values: Vec::new(), values_known, others: events });
        } else if let Some(last) = found.last_mut().filter(|last| last.key == key) {
            last.others = last.others.saturating_sub(tag.events);
            last.values.push(tag);
        }
    }
    Ok(found)
}
