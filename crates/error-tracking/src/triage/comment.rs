//! What people write on the timeline of an issue.

use belvedere_kernel::{Actor, ProjectId};
use belvedere_storage::{Id, Page, PageRequest, Timestamp};
use serde_json::{Value, json};

use super::{Activity, ActivityKey, ActivityKind, ChangeComment, NewComment, TriageService};
use crate::store::{self, NewActivity};
use crate::{ErrorTrackingError, IssueId};

/// The longest comment, in bytes.
const COMMENT_BYTES_MAX: usize = 4_096;

/// The most comments of an issue.
const COMMENTS_MAX: i64 = 1_000;

impl TriageService {
    pub(super) async fn add_comment(&self, new: NewComment) -> Result<Activity, ErrorTrackingError> {
        let text = self.clean_comment(new.act.project, &new.text).await?;
        let (act, issue, now) = (&new.act, new.issue, self.clock.now());
        self.db
            .write(async |tx| {
                if store::find_states_in(tx, act.project, &[issue]).await?.is_empty() {
                    return Err(ErrorTrackingError::NotFound("issue"));
                }
                if store::count_comments(tx, act.project, issue).await? >= COMMENTS_MAX {
                    let why = format!("the issue has {COMMENTS_MAX} comments already");
                    return Err(ErrorTrackingError::InvalidQuery(why));
                }
                let entry = NewActivity::new(act.project, issue, ActivityKind::Comment, act.actor);
                let entry = NewActivity { comment: Some(text.clone()), ..entry };
                let ids = store::insert_activities(tx, vec![entry], now).await?;
                let id = ids.first().copied();
                self.record(tx, act, "issue_commented", issue, json!({ "comment": id })).await?;
                self.announce(tx, act.project, &[issue]);
                Ok(entry_of(id, act.actor, text.clone(), now))
            })
            .await
    }

    pub(super) async fn alter_comment(&self, change: ChangeComment) -> Result<(), ErrorTrackingError> {
        let (act, now) = (&change.act, self.clock.now());
        let text = match &change.text {
            Some(text) => Some(self.clean_comment(act.project, text).await?),
            None => None,
        };
        let place = (change.issue, change.comment);
        self.db
            .write(async |tx| {
                let found = store::find_comment_in(tx, act.project, change.issue, change.comment).await?;
                let is_own = |found: &Activity| {
                    (found.actor_kind.as_str(), &found.actor_id) == (act.actor.kind(), &act.actor.id())
                };
                if !found.as_ref().is_some_and(is_own) {
                    return Err(ErrorTrackingError::NotFound("comment of yours"));
                }
                store::change_comment_in(tx, act.project, place, text.as_deref(), now).await?;
                let action = if text.is_some() { "issue_comment_changed" } else { "issue_comment_deleted" };
                self.record(tx, act, action, change.issue, json!({ "comment": change.comment })).await?;
                self.announce(tx, act.project, &[change.issue]);
                Ok(())
            })
            .await
    }

    pub(super) async fn timeline(
        &self,
        project: ProjectId,
        issue: IssueId,
        page: PageRequest,
    ) -> Result<Page<Activity>, ErrorTrackingError> {
        let connection = self.db.read();
        let now = self.clock.now();
        let Some(detail) = store::find_issue(connection, project, issue, now).await? else {
            return Err(ErrorTrackingError::NotFound("issue"));
        };
        let mut entries = store::list_activities(connection, project, issue, &page).await?;
        if entries.next.is_none() {
            entries.items.push(Activity {
                id: None,
                at: detail.summary.first_seen,
                kind: ActivityKind::FirstSeen,
                actor_kind: "system".to_owned(),
                actor_id: None,
                detail: json!({ "release": detail.first_release }),
                comment: None,
                edited_at: None,
            });
        }
        Ok(entries)
    }

    /// A comment as it is stored.
    async fn clean_comment(&self, project: ProjectId, text: &str) -> Result<String, ErrorTrackingError> {
        let text = text.trim().replace("\r\n", "\n");
        let text: String =
            text.chars().filter(|letter| matches!(letter, '\n' | '\t') || !letter.is_control()).collect();
        if text.is_empty() || text.len() > COMMENT_BYTES_MAX {
            let why = format!("text: must have 1 to {COMMENT_BYTES_MAX} bytes");
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        let rules = self.scrubber.load(&[project]).await?;
        let mut wrapped = json!({ "comment": text });
        rules.scrub(project, &mut wrapped);
        Ok(wrapped.get("comment").and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

fn entry_of(id: Option<Id<ActivityKey>>, actor: Actor, text: String, now: Timestamp) -> Activity {
    Activity {
        id,
        at: now,
        kind: ActivityKind::Comment,
        actor_kind: actor.kind().to_owned(),
        actor_id: actor.id(),
        detail: Value::Null,
        comment: Some(text),
        edited_at: None,
    }
}
