use std::collections::{BTreeSet, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Tx, bulk};
use sea_orm::{ConnectionTrait, Value};

use super::moves::hash_text;
use crate::IssueId;
use crate::entity::issue;
use crate::event_id::EventKey;
use crate::grouping::Grouping;
use crate::store::text::insert_split_text;
use crate::store::write::take_numbers;
use crate::triage::IssueHash;

/// How many hashes of an issue are listed.
pub(crate) const HASHES_MAX: i64 = 200;

/// How many of an issue's newest events are looked at to say how frequent its hashes are.
const RECENT_EVENTS: i64 = 2_000;

/// The hashes that lead to the issue, at most 200, the most frequent ones first.
pub(crate) async fn list_hashes(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<Vec<IssueHash>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT DISTINCT hash FROM error_issue_hash WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue).push(" ORDER BY hash LIMIT ").bind(HASHES_MAX);
    let mut hashes: Vec<Id<()>> = Vec::new();
    for row in sql.fetch(connection).await? {
        hashes.push(row.try_get_by_index(0)?);
    }
    let mut recent: HashMap<Id<()>, (i64, String)> = HashMap::new();
    if hashes.len() > 1 {
        let mut sql = Sql::new(
            connection,
            "SELECT n.hash, n.events, e.title FROM (SELECT hash, COUNT(*) AS events, MAX(id) AS newest FROM \
             (SELECT id, hash FROM error_event WHERE project_id = ",
        );
        sql.bind(project.0).push(" AND issue_id = ").bind(issue);
        sql.push(" ORDER BY occurred_at DESC, id DESC LIMIT ").bind(RECENT_EVENTS);
        sql.push(") AS r WHERE hash IS NOT NULL GROUP BY hash) AS n JOIN error_event e ON e.id = n.newest");
        for row in sql.fetch(connection).await? {
            recent.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
        }
    }
    let mut listed: Vec<IssueHash> = hashes
        .into_iter()
        .map(|hash| {
            let (events, title) =
                recent.remove(&hash).map_or((0, None), |(events, title)| (events, Some(title)));
            let recent_events = u64::try_from(events).unwrap_or(0);
            IssueHash { hash: hash_text(hash.to_bytes()), recent_events, title }
        })
        .collect();
    listed.sort_by(|left, right| (right.recent_events, &left.hash).cmp(&(left.recent_events, &right.hash)));
    Ok(listed)
}

/// All hashes that lead to the issue.
pub(crate) async fn find_hashes(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<BTreeSet<[u8; 16]>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT hash FROM error_issue_hash WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    let mut hashes = BTreeSet::new();
    for row in sql.fetch(connection).await? {
        let hash: Id<()> = row.try_get_by_index(0)?;
        hashes.insert(hash.to_bytes());
    }
    Ok(hashes)
}

/// Title, platform, id and packed payload of the newest stored event of one of the hashes.
pub(crate) async fn find_newest_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    hashes: &[[u8; 16]],
) -> Result<Option<(Id<EventKey>, String, Vec<u8>)>, StorageError> {
    let hashes: Vec<Id<()>> = hashes.iter().map(|hash| Id::from_bytes(*hash)).collect();
    let mut sql =
        Sql::new(connection, "SELECT event_id, title, payload FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue).push(" AND hash IN ").bind_set(&hashes);
    sql.push(" ORDER BY occurred_at DESC, id DESC LIMIT 1");
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?)))
}

/// An issue to be made of a part of another one.
pub(crate) struct SplitOff {
    pub(crate) id: IssueId,
    pub(crate) latest: Id<EventKey>,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) grouping: Grouping,
    pub(crate) hashes: Vec<[u8; 16]>,
}

/// Makes the issue, without events yet, and lets the hashes lead to it; its number.
pub(crate) async fn insert_split_in(tx: &Tx, of: &issue::Model, new: &SplitOff) -> Result<i64, StorageError> {
    let project = ProjectId(of.project_id);
    let numbers = take_numbers(tx, vec![(project, 1)]).await?;
    let number = numbers.get(&project).copied().unwrap_or(0);
    let row: [Value; 19] = [
        new.id.into(),
        project.0.into(),
        number.into(),
        0_i64.into(),
        0_i64.into(),
        0_i64.into(),
        0_i64.into(),
        of.last_seen.into(),
        of.last_seen.into(),
        new.latest.into(),
        new.title.clone().into(),
        new.culprit.clone().into(),
        of.platform.clone().into(),
        Option::<String>::None.into(),
        Option::<String>::None.into(),
        i64::from(new.grouping.version).into(),
        new.grouping.reason.clone().into(),
        new.grouping.values.join("\n").into(),
        new.grouping.explanation.to_json().into(),
    ];
    let head = "INSERT INTO error_issue (id, project_id, number, status, level, event_count, subject_count, first_seen, \
                last_seen, latest_event_id, title, culprit, platform, first_release, last_release, \
                grouping_version, grouping_reason, grouping_values, grouping_explanation) VALUES ";
    bulk(tx, head, vec![row], "").await?;
    insert_split_text(tx, project, number, [&new.title, &new.culprit]).await?;
    let hashes: Vec<Id<()>> = new.hashes.iter().map(|hash| Id::from_bytes(*hash)).collect();
    let mut sql = Sql::new(tx, "UPDATE error_issue_hash SET issue_id = ");
    sql.bind(new.id).push(" WHERE project_id = ").bind(project.0).push(" AND issue_id = ").bind(of.id);
    sql.push(" AND hash IN ").bind_set(&hashes);
    sql.run(tx).await?;
    Ok(number)
}
