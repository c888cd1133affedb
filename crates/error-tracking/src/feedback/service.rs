use async_trait::async_trait;
use belvedere_kernel::{Entry, KeyOwner, ProjectId, Target, VaultError};
use belvedere_storage::{Id, Page, StorageError};
use serde_json::{Value, json};

use super::{
    ChangeFeedback, Contact, Feedback, FeedbackAct, FeedbackDetail, FeedbackId, FeedbackStatus,
    FeedbackSummary, ListFeedback, RevealContact, store,
};
use crate::digest::unpack;
use crate::limits::StorageChange;
use crate::{ErrorTrackingError, ErrorTrackingService};

/// The longest text to look for, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// The most feedback of one change.
const CHANGED_MAX: usize = 200;

#[async_trait]
impl Feedback for ErrorTrackingService {
    async fn list_feedback(&self, query: ListFeedback) -> Result<Page<FeedbackSummary>, ErrorTrackingError> {
        if query.text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let why = format!("the text to look for is longer than {TEXT_CHARS_MAX} characters");
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        // PostgreSQL has no text with NUL, so nothing contains it.
        if query.text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        store::list(self.db.read(), &query).await
    }

    async fn count_feedback(
        &self,
        project: ProjectId,
        status: FeedbackStatus,
    ) -> Result<u64, ErrorTrackingError> {
        Ok(store::count(self.db.read(), project, status).await?)
    }

    async fn find_feedback(
        &self,
        project: ProjectId,
        feedback: FeedbackId,
    ) -> Result<Option<FeedbackDetail>, ErrorTrackingError> {
        let Some((summary, replay_id, payload)) = store::find(self.db.read(), project, feedback).await?
        else {
            return Ok(None);
        };
        let unpacked = unpack(&payload)?;
        Ok(Some(FeedbackDetail { summary, replay_id, payload: unpacked.event, removals: unpacked.removals }))
    }

    async fn change_feedback(&self, change: ChangeFeedback) -> Result<u64, ErrorTrackingError> {
        if change.feedback.len() > CHANGED_MAX {
            return Err(ErrorTrackingError::InvalidQuery(format!("more than {CHANGED_MAX} at once")));
        }
        self.db
            .write(async |tx| {
                let mut rows = store::lock_in(tx, change.project, &change.feedback).await?;
                match change.act {
                    FeedbackAct::SetStatus(status) => rows.retain(|row| row.status != status),
                    FeedbackAct::Assign(assignee) => rows.retain(|row| row.assignee != assignee),
                    FeedbackAct::Delete => {}
                }
                let ids: Vec<FeedbackId> = rows.iter().map(|row| row.id).collect();
                match change.act {
                    FeedbackAct::SetStatus(status) => {
                        store::set_status_in(tx, change.project, &ids, status).await?;
                    }
                    FeedbackAct::Assign(assignee) => {
                        store::assign_in(tx, change.project, &ids, assignee).await?;
                    }
                    FeedbackAct::Delete => {
                        let mut storage = StorageChange::default();
                        store::delete_in(tx, change.project, &rows, &mut storage).await?;
                        storage.store_in(tx).await?;
                    }
                }
                for row in &rows {
                    let (action, detail) = describe(change.act, row.status, row.assignee);
                    let entry = Entry {
                        organisation: Some(change.organisation),
                        project: Some(change.project),
                        target: Some(Target { kind: "feedback", id: row.id.to_string() }),
                        request_id: change.request_id.clone(),
                        detail,
                        ..Entry::new(change.actor, action)
                    };
                    self.audit.record(tx, entry).await?;
                }
                Ok(rows.len() as u64)
            })
            .await
    }

    async fn reveal_contact(&self, reveal: RevealContact) -> Result<Option<Contact>, ErrorTrackingError> {
        let Some(sealed) = store::find_contact(self.db.read(), reveal.project, reveal.feedback).await? else {
            return Ok(None);
        };
        // The entry first: nobody sees anything without one.
        let entry = Entry {
            organisation: Some(reveal.organisation),
            project: Some(reveal.project),
            target: Some(Target { kind: "feedback", id: reveal.feedback.to_string() }),
            request_id: reveal.request_id.clone(),
            detail: json!({ "read": "contact" }),
            ..Entry::new(reveal.actor, "sensitive_read")
        };
        self.db.write(async |tx| self.audit.record(tx, entry).await).await?;
        let (Some((subject, sealed)), Some(vault)) = (sealed, &self.vault) else { return Ok(None) };
        match vault.open(KeyOwner::Subject(reveal.project, subject), &sealed).await {
            Ok(plain) => {
                let contact = serde_json::from_slice(&plain);
                Ok(Some(contact.map_err(|error| StorageError::corrupt(format!("contact: {error}")))?))
            }
            Err(VaultError::Destroyed) => Ok(None),
            Err(VaultError::Storage(error)) => Err(error.into()),
            Err(error) => Err(StorageError::corrupt(format!("contact: {error}")).into()),
        }
    }
}

/// The action and its detail for the audit log.
fn describe(
    act: FeedbackAct,
    status: FeedbackStatus,
    assignee: Option<Id<belvedere_kernel::User>>,
) -> (&'static str, Value) {
    match act {
        FeedbackAct::SetStatus(to) => {
            ("feedback_status_changed", json!({ "from": status.as_str(), "to": to.as_str() }))
        }
        FeedbackAct::Assign(to) => ("feedback_assigned", json!({ "from": assignee, "to": to })),
        FeedbackAct::Delete => ("feedback_deleted", Value::Null),
    }
}
