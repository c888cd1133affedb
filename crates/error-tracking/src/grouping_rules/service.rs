use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, Target};
use serde_json::json;

use super::parse::parse;
use super::preview::{Outcome, judge, sum_up};
use super::{ChangeRules, GroupingRules, Preview, StoredRules, store};
use crate::{ErrorTrackingError, ErrorTrackingService, IssueId};

/// How many events a preview looks at.
const PREVIEWED_MAX: usize = 500;

/// How many of them are in memory at once.
const PREVIEWED_AT_ONCE: i64 = 50;

#[async_trait]
impl GroupingRules for ErrorTrackingService {
    async fn find_rules(&self, project: ProjectId) -> Result<StoredRules, ErrorTrackingError> {
        Ok(store::find_rules(self.db.read(), &[project]).await?.remove(&project).unwrap_or_default())
    }

    async fn change_rules(&self, change: ChangeRules) -> Result<StoredRules, ErrorTrackingError> {
        parse(&change.rules)?;
        let rules = change.rules.replace("\r\n", "\n").trim_end().to_owned();
        let now = self.clock.now();
        self.db
            .write(async |tx| {
                let former = store::find_rules(tx, &[change.project])
                    .await?
                    .remove(&change.project)
                    .unwrap_or_default();
                if change.revision.is_some_and(|seen| seen != former.revision) {
                    return Err(ErrorTrackingError::RulesChanged);
                }
                if former.rules == rules {
                    return Ok(former);
                }
                if !store::set_rules_in(tx, change.project, &rules, former.revision, now).await? {
                    return Err(ErrorTrackingError::RulesChanged);
                }
                let entry = Entry {
                    organisation: Some(change.organisation),
                    project: Some(change.project),
                    target: Some(Target { kind: "project", id: change.project.to_string() }),
                    request_id: change.request_id.clone(),
                    detail: json!({ "from": former.rules, "to": rules }),
                    ..Entry::new(change.actor, "grouping_rules_changed")
                };
                self.audit.record(tx, entry).await?;
                let (book, project) = (Arc::clone(&self.grouping), change.project);
                tx.after_commit(move || book.forget(project));
                Ok(StoredRules { rules: rules.clone(), revision: former.revision + 1, changed_at: Some(now) })
            })
            .await
    }

    async fn preview_rules(&self, project: ProjectId, rules: &str) -> Result<Preview, ErrorTrackingError> {
        let draft = Arc::new(parse(rules)?);
        let context = self.grouping.load(self.db.read(), &[project], self.clock.now()).await?;
        let holding = context.rules.get(&project).cloned().unwrap_or_default();
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut before = None;
        while outcomes.len() < PREVIEWED_MAX {
            let events =
                store::list_newest_events(self.db.read(), project, before, PREVIEWED_AT_ONCE).await?;
            let Some(last) = events.last() else { break };
            before = Some(last.id);
            let (holding, draft) = (Arc::clone(&holding), Arc::clone(&draft));
            let judged = tokio::task::spawn_blocking(move || judge(events, &holding, &draft)).await;
            outcomes.extend(judged.map_err(|error| ErrorTrackingError::Internal(error.to_string()))??);
        }
        let mut hashes: Vec<[u8; 16]> = outcomes.iter().filter_map(|outcome| outcome.then).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let known = store::find_issues_of_hashes(self.db.read(), project, &hashes).await?;
        let mut issues: Vec<IssueId> =
            outcomes.iter().map(|outcome| outcome.issue).chain(known.values().copied()).collect();
        issues.sort_unstable();
        issues.dedup();
        let titles = store::list_titles(self.db.read(), project, &issues).await?;
        Ok(sum_up(&outcomes, &known, &titles))
    }
}
