//! Counts of tags of issues that become one, or two.

use std::collections::{BTreeMap, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp, Tx};
use sea_orm::Value;

use crate::IssueId;
use crate::store::sql::{Sql, bulk};
use crate::tags::unpack_tags;

/// How many values of a key are counted one by one in an issue: says that anew for all keys of the issue. (Of issues
/// that became one these may be more than an issue counts by itself; it then counts no further ones.)
pub(super) async fn recount_values(tx: &Tx, project: ProjectId, issue: IssueId) -> Result<(), StorageError> {
    let mut sql = Sql::new(
        tx,
        "UPDATE error_issue_tag SET value_count = (SELECT COUNT(*) FROM error_tag k JOIN error_tag t \
         ON t.project_id = k.project_id AND t.key = k.key AND t.value <> '' JOIN error_issue_tag o \
         ON o.project_id = t.project_id AND o.tag_id = t.id WHERE k.id = error_issue_tag.tag_id AND o.issue_id = ",
    );
    sql.bind(issue).push(") WHERE project_id = ").bind(project.0).push(" AND issue_id = ").bind(issue);
    sql.push(" AND tag_id IN (SELECT id FROM error_tag WHERE value = '' AND project_id = ").bind(project.0);
    sql.push(")");
    sql.run(tx).await
}

/// Takes the tags of events, packed, from the counts of one issue and adds them to those of another one, as far as the
/// first one counts them one by one.
pub(super) async fn split_tags<'a>(
    tx: &Tx,
    project: ProjectId,
    from: IssueId,
    to: IssueId,
    events: impl Iterator<Item = (&'a str, Timestamp)>,
) -> Result<(), StorageError> {
    let mut counted: BTreeMap<(&str, &str), (i64, Timestamp, Timestamp)> = BTreeMap::new();
    for (packed, at) in events {
        for (key, value) in unpack_tags(packed) {
            for value in ["", value] {
                let tally = counted.entry((key, value)).or_insert((0, at, at));
                *tally = (tally.0 + 1, tally.1.min(at), tally.2.max(at));
            }
        }
    }
    let by_text: HashMap<(String, String), (i64, Timestamp, Timestamp)> = counted
        .iter()
        .map(|((key, value), tally)| (((*key).to_owned(), (*value).to_owned()), *tally))
        .collect();
    let rows =
        counted.keys().map(|(key, value)| [project.0.into(), from.into(), (*key).into(), (*value).into()]);
    let head = "SELECT t.key, t.value, t.id FROM (VALUES ";
    let tail = ") AS v JOIN error_tag t ON t.project_id = v.column1 AND t.key = v.column3 AND t.value = v.column4 \
                JOIN error_issue_tag o ON o.project_id = v.column1 AND o.issue_id = v.column2 AND o.tag_id = t.id";
    let mut added: Vec<[Value; 6]> = Vec::new();
    let mut taken: Vec<[Value; 4]> = Vec::new();
    for row in bulk(tx, head, rows.collect(), tail).await? {
        let tag: i64 = row.try_get_by_index(2)?;
        let Some((events, first, last)) = by_text.get(&(row.try_get_by_index(0)?, row.try_get_by_index(1)?))
        else {
            continue;
        };
        added.push([
            project.0.into(),
            to.into(),
            tag.into(),
            (*events).into(),
            (*first).into(),
            (*last).into(),
        ]);
        taken.push([project.0.into(), from.into(), tag.into(), (*events).into()]);
    }
    let head = "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, first_seen, last_seen, \
                value_count) SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, 0 FROM (VALUES ";
    let tail = ") AS v WHERE true ON CONFLICT (project_id, issue_id, tag_id) DO UPDATE SET \
                event_count = error_issue_tag.event_count + excluded.event_count, \
                first_seen = CASE WHEN excluded.first_seen < error_issue_tag.first_seen THEN excluded.first_seen \
                ELSE error_issue_tag.first_seen END, \
                last_seen = CASE WHEN excluded.last_seen > error_issue_tag.last_seen THEN excluded.last_seen \
                ELSE error_issue_tag.last_seen END";
    bulk(tx, head, added, tail).await?;
    let head = "UPDATE error_issue_tag SET event_count = event_count - v.column4 FROM (VALUES ";
    let tail = ") AS v WHERE error_issue_tag.project_id = v.column1 AND error_issue_tag.issue_id = v.column2 \
                AND error_issue_tag.tag_id = v.column3";
    bulk(tx, head, taken, tail).await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_issue_tag WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(from).push(" AND event_count <= 0");
    sql.run(tx).await
}
