//! Triage of the made-up issues.

use async_trait::async_trait;
use belvedere_error_tracking::{
    Activity, ActivityKind, ChangeComment, ChangeIssues, Discard, ErrorTrackingError, IssueChange, IssueHash,
    IssueId, IssueStatus, LiftDiscard, MergeIssues, NewComment, Ownership, SetOwnership, StatusCounts,
    Substatus, Triage, UnmergeIssue,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Id, Page, PageRequest};
use serde_json::{Value, json};

use super::{Fake, PROJECT, ada, issue_id};

impl Fake {
    fn activity(&self, number: u8, kind: ActivityKind, detail: Value) -> Activity {
        Activity {
            id: Some(Id::from_bytes([number; 16])),
            at: self.ago(u64::from(number) * 700),
            kind,
            actor_kind: "user".to_owned(),
            actor_id: Some(ada().to_string()),
            detail,
            comment: None,
            edited_at: None,
        }
    }

    fn timeline(&self) -> Vec<Activity> {
        let comment = self.comment.lock().unwrap().clone();
        let system = |entry: Activity| Activity { actor_kind: "system".to_owned(), actor_id: None, ..entry };
        let resolved = json!({"from": "unresolved", "to": "resolved", "condition": {"kind": "after_release",
            "version": "shop@4.12.1", "first_seen": "2026-11-20T08:00:00Z"}});
        let regression = json!({"release": "shop@4.12.3", "event_id": super::EVENT});
        let rule = json!({"user": ada(), "rule": "path:src/lesson/**", "is_suggestion": false});
        vec![
            Activity { comment: Some(comment), ..self.activity(1, ActivityKind::Comment, Value::Null) },
            system(self.activity(2, ActivityKind::Regression, regression)),
            self.activity(3, ActivityKind::Status, resolved),
            system(self.activity(4, ActivityKind::Assignment, rule)),
            system(Activity {
                id: None,
                ..self.activity(90, ActivityKind::FirstSeen, json!({"release": "shop@4.12.0"}))
            }),
        ]
    }
}

#[async_trait]
impl Triage for Fake {
    async fn change_issues(&self, change: ChangeIssues) -> Result<u64, ErrorTrackingError> {
        self.note(format!("change_issues {} {:?}", change.issues.len(), change.change));
        let status = match change.change {
            IssueChange::Resolve(_) => IssueStatus::Resolved,
            IssueChange::Ignore(_) => IssueStatus::Ignored,
            IssueChange::Archive => IssueStatus::Archived,
            _ => IssueStatus::Unresolved,
        };
        let mut issues = self.issues.lock().unwrap();
        for issue in issues.iter_mut().filter(|issue| change.issues.contains(&issue.summary.id)) {
            issue.summary.status = status;
        }
        Ok(1)
    }
    async fn merge_issues(&self, merge: MergeIssues) -> Result<IssueId, ErrorTrackingError> {
        self.note(format!("merge_issues {}", merge.issues.len()));
        Ok(issue_id(1))
    }
    async fn unmerge_issue(&self, unmerge: UnmergeIssue) -> Result<IssueId, ErrorTrackingError> {
        self.note(format!("unmerge_issue {:?}", unmerge.hashes));
        Ok(issue_id(2))
    }
    async fn list_hashes(&self, _: ProjectId, _: IssueId) -> Result<Vec<IssueHash>, ErrorTrackingError> {
        let hash = |digit: &str, title: Option<&str>, recent_events| IssueHash {
            hash: digit.repeat(32),
            recent_events,
            title: title.map(str::to_owned),
        };
        let title = self.issues.lock().unwrap()[0].summary.title.clone();
        Ok(vec![hash("a", Some(&title), 1_204), hash("b", None, 0)])
    }
    async fn list_activity(
        &self,
        _: ProjectId,
        _: IssueId,
        _: PageRequest,
    ) -> Result<Page<Activity>, ErrorTrackingError> {
        Ok(Page { items: self.timeline(), next: Some(Cursor::of(&[&"older"])) })
    }
    async fn comment(&self, new: NewComment) -> Result<Activity, ErrorTrackingError> {
        self.note(format!("comment {}", new.text));
        Ok(self.timeline().remove(0))
    }
    async fn change_comment(&self, change: ChangeComment) -> Result<(), ErrorTrackingError> {
        self.note(format!("change_comment {:?}", change.text));
        Ok(())
    }
    async fn count_by_status(&self, project: ProjectId) -> Result<StatusCounts, ErrorTrackingError> {
        if project.0 != PROJECT {
            return Ok(StatusCounts::default());
        }
        let issues = self.issues.lock().unwrap();
        let count = |status| issues.iter().filter(|issue| issue.summary.status == status).count() as u64;
        let regressed = issues.iter().filter(|issue| issue.summary.substatus == Substatus::Regressed).count();
        Ok(StatusCounts {
            unresolved: count(IssueStatus::Unresolved),
            regressed: regressed as u64,
            resolved: count(IssueStatus::Resolved),
            ignored: count(IssueStatus::Ignored),
            archived: count(IssueStatus::Archived),
        })
    }
    async fn find_ownership(&self, _: ProjectId) -> Result<Ownership, ErrorTrackingError> {
        let rules =
            format!("# lessons\npath:src/lesson/** {}\nurl:*/pay/* {}", ada(), Id::<()>::from_bytes([4; 16]));
        Ok(Ownership { rules, assigns: true })
    }
    async fn set_ownership(&self, set: SetOwnership) -> Result<Ownership, ErrorTrackingError> {
        if set.rules.contains("nobody@") {
            let why = "rules: line 1, column 8: nobody of the organisation has this address";
            return Err(ErrorTrackingError::InvalidQuery(why.to_owned()));
        }
        self.note(format!("set_ownership {:?} {}", set.rules, set.assigns));
        Ok(Ownership::default())
    }
    async fn list_discards(&self, _: ProjectId, _: PageRequest) -> Result<Page<Discard>, ErrorTrackingError> {
        let issue = self.issues.lock().unwrap()[4].summary.clone();
        let discard = Discard {
            id: Id::from_bytes([0x85; 16]),
            title: issue.title,
            culprit: issue.culprit,
            created_at: self.ago(90_000),
        };
        Ok(Page { items: vec![discard], next: None })
    }
    async fn lift_discard(&self, lift: LiftDiscard) -> Result<(), ErrorTrackingError> {
        self.note(format!("lift_discard {}", lift.discard));
        Ok(())
    }
}
