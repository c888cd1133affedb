//! Counts of tags of issues that become one, or two.

use std::collections::{BTreeMap, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk};

use crate::IssueId;
use crate::store::tags::{Place, Tally, add, add_counts};
use crate::tags::unpack_tags;

/// Counts one by one the tags that all events of the issues have, because their events are about to change otherwise
/// than by new ones.
pub(super) async fn count_common_tags(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
) -> Result<(), StorageError> {
    let mut sql = Sql::new(
        tx,
        "UPDATE error_issue_tag SET event_count = i.event_count, first_seen = i.first_seen, last_seen = i.last_seen \
         FROM error_issue i WHERE i.id = error_issue_tag.issue_id AND error_issue_tag.event_count IS NULL \
         AND error_issue_tag.project_id = ",
    );
    sql.bind(project.0).push(" AND error_issue_tag.issue_id IN ").bind_set(issues);
    sql.run(tx).await?;
    let mut sql = Sql::new(tx, "UPDATE error_issue SET common_tags = '' WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN ").bind_set(issues);
    sql.run(tx).await
}

/// Takes the tags of events, packed, from the counts of one issue and adds them to those of another one; what the first
/// one does not count one by one is among the others of both.
pub(super) async fn split_tags<'a>(
    tx: &Tx,
    project: ProjectId,
    from: IssueId,
    to: IssueId,
    events: impl Iterator<Item = (&'a str, Timestamp)>,
) -> Result<(), StorageError> {
    let mut counted: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
    for (packed, at) in events {
        for tag in unpack_tags(packed) {
            add(&mut counted, tag, Tally::at(at));
        }
    }
    let by_text: HashMap<(String, String), Tally> = counted
        .iter()
        .map(|((key, value), tally)| (((*key).to_owned(), (*value).to_owned()), *tally))
        .collect();
    let rows =
        counted.keys().map(|(key, value)| [project.0.into(), from.into(), (*key).into(), (*value).into()]);
    let head = "SELECT k.key, v.column4, k.id, o.tag_id FROM (VALUES ";
    let tail = ") AS v JOIN error_tag k ON k.project_id = v.column1 AND k.key = v.column3 AND k.value = '' \
                LEFT JOIN error_tag t ON t.project_id = v.column1 AND t.key = v.column3 AND t.value = v.column4 \
                LEFT JOIN error_issue_tag o ON o.project_id = v.column1 AND o.issue_id = v.column2 \
                AND o.key_id = k.id AND o.tag_id = t.id";
    let mut added: BTreeMap<Place, Tally> = BTreeMap::new();
    for row in bulk(tx, head, rows.collect(), tail).await? {
        let (key, tag): (i64, Option<i64>) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        if let Some(tally) = by_text.get(&(row.try_get_by_index(0)?, row.try_get_by_index(1)?)) {
            add(&mut added, (project, to, key, tag.unwrap_or(key)), *tally);
        }
    }
    add_counts(tx, &added).await?;
    let taken = added
        .iter()
        .map(|((_, _, key, tag), tally)| {
            [project.0.into(), from.into(), (*key).into(), (*tag).into(), tally.events.into()]
        })
        .collect();
    let head = "UPDATE error_issue_tag SET event_count = event_count - v.column5 FROM (VALUES ";
    let tail = ") AS v WHERE error_issue_tag.project_id = v.column1 AND error_issue_tag.issue_id = v.column2 \
                AND error_issue_tag.key_id = v.column3 AND error_issue_tag.tag_id = v.column4";
    bulk(tx, head, taken, tail).await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_issue_tag WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(from).push(" AND event_count <= 0");
    sql.run(tx).await
}
