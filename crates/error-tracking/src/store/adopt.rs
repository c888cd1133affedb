use std::collections::{BTreeMap, BTreeSet, HashMap};

use belvedere_storage::{Id, StorageError, Tx, bulk};

use super::write::{HashKey, find_issues_of_hashes, key_of};
use crate::IssueId;
use crate::digest::DigestedEvent;
use crate::grouping::OLDER_VERSION;

/// Finds the issues of the grouping rules before for hashes that lead nowhere yet, adds them to `issues` and records
/// the new hashes for them: an upgrade of the rules never splits an issue. (Where the older rules told apart what the
/// new ones do not, the first to come decides.)
///
/// On PostgreSQL the caller holds the counters of the projects, so that no other worker records the same hash.
pub(super) async fn adopt_issues_in(
    tx: &Tx,
    events: &[DigestedEvent],
    issues: &mut HashMap<HashKey, IssueId>,
) -> Result<(), StorageError> {
    let mut older_of: BTreeMap<HashKey, Vec<HashKey>> = BTreeMap::new();
    for event in events {
        let Some(hash) = event.grouping.older_hash else { continue };
        let key = key_of(event);
        if !issues.contains_key(&key) {
            let older = (event.project, OLDER_VERSION, hash);
            let known = older_of.entry(key).or_default();
            if !known.contains(&older) {
                known.push(older);
            }
        }
    }
    let keys: BTreeSet<HashKey> = older_of.values().flatten().copied().collect();
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<HashKey> = keys.into_iter().collect();
    let found = find_issues_of_hashes(tx, &keys).await?;
    let mut rows = Vec::new();
    for (key, older) in older_of {
        let Some(issue) = older.iter().find_map(|older| found.get(older)).copied() else { continue };
        let (project, version, hash) = key;
        rows.push([
            project.0.into(),
            i64::from(version).into(),
            Id::<()>::from_bytes(hash).into(),
            issue.into(),
        ]);
        issues.insert(key, issue);
    }
    bulk(tx, "INSERT INTO error_issue_hash (project_id, version, hash, issue_id) VALUES ", rows, "").await?;
    Ok(())
}
