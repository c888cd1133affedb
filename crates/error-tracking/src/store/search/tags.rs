use std::collections::BTreeMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::IssueId;
use crate::search::{TagDistribution, TagKey, TagValue};
use crate::store::tags::{EVENT_COUNT, SEEN, VALUES_PER_ISSUE_MAX};

/// How many keys of a project are listed.
const KEYS_MAX: i64 = 500;

/// How many values are suggested.
const VALUES_MAX: i64 = 100;

/// How many keys of an issue are summarised, and how many values of each.
const ISSUE_KEYS_MAX: usize = 60;
const SUMMARISED_VALUES: i64 = 5;

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

/// How often each value of a key is among an issue's events, the commonest first.
pub(crate) async fn summarise_tags(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<Vec<TagDistribution>, StorageError> {
    let mut sql = Sql::new(
        connection,
        &format!(
            "SELECT k.key, t.value, r.events, r.first_seen, r.last_seen, r.total, r.known FROM (SELECT n.*, \
             CAST(SUM(n.events) OVER (PARTITION BY n.key_id) AS bigint) AS total, \
             COUNT(CASE WHEN n.tag_id <> n.key_id THEN 1 END) OVER (PARTITION BY n.key_id) AS known, \
             ROW_NUMBER() OVER (PARTITION BY n.key_id ORDER BY CASE WHEN n.tag_id = n.key_id THEN 1 ELSE 0 END, \
             n.events DESC, n.tag_id) AS place FROM (SELECT c.key_id, c.tag_id, {EVENT_COUNT} AS events, {SEEN} \
             FROM error_issue_tag c JOIN error_issue i ON i.id = c.issue_id WHERE c.project_id = "
        ),
    );
    sql.bind(project.0).push(" AND c.issue_id = ").bind(issue);
    sql.push(") AS n) AS r JOIN error_tag k ON k.id = r.key_id JOIN error_tag t ON t.id = r.tag_id WHERE r.place <= ");
    sql.bind(SUMMARISED_VALUES);
    let mut distributions = distributions(&sql.fetch(connection).await?)?;
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
        &format!(
            "SELECT k.key, t.value, {EVENT_COUNT}, {SEEN}, \
             CAST(SUM({EVENT_COUNT}) OVER () AS bigint), COUNT(CASE WHEN c.tag_id <> c.key_id THEN 1 END) OVER () \
             FROM error_tag k JOIN error_issue_tag c ON c.project_id = k.project_id AND c.key_id = k.id \
             JOIN error_issue i ON i.id = c.issue_id JOIN error_tag t ON t.id = c.tag_id WHERE k.value = '' AND k.project_id = "
        ),
    );
    sql.bind(project.0).push(" AND k.key = ").bind(key).push(" AND c.issue_id = ").bind(issue);
    let distribution = distributions(&sql.fetch(connection).await?)?.pop();
    Ok(distribution.map(|mut distribution| {
        distribution.values.truncate(VALUES_PER_ISSUE_MAX);
        distribution
    }))
}

/// From rows of `key, value, events, first_seen, last_seen, events of the key, values of the key`, in any order; the row
/// without a value is that of the others.
fn distributions(rows: &[QueryResult]) -> Result<Vec<TagDistribution>, StorageError> {
    let mut found: BTreeMap<String, TagDistribution> = BTreeMap::new();
    for row in rows {
        let (key, tag): (String, TagValue) = (row.try_get_by_index(0)?, value(row, 1)?);
        let (events, values_known) = (quantity(row, 5)?, quantity(row, 6)?);
        let of_key = found.entry(key.clone()).or_insert_with(|| TagDistribution {
            key,
            events,
            values: Vec::new(),
            values_known,
            others: events,
        });
        if !tag.value.is_empty() {
            of_key.others = of_key.others.saturating_sub(tag.events);
            of_key.values.push(tag);
        }
    }
    let mut found: Vec<TagDistribution> = found.into_values().collect();
    for of_key in &mut found {
        of_key.values.sort_by(|left, right| (right.events, &left.value).cmp(&(left.events, &right.value)));
    }
    found.sort_by(|left, right| (right.events, &left.key).cmp(&(left.events, &right.key)));
    Ok(found)
}
