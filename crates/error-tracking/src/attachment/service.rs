use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, Target};
use belvedere_storage::StorageError;

use super::{
    ATTACHMENT_BYTES_MAX, AttachmentContent, AttachmentId, AttachmentInfo, Attachments, DeleteAttachment,
    store,
};
use crate::event_id::EventId;
use crate::limits::StorageChange;
use crate::{ErrorTrackingError, ErrorTrackingService};

/// A scrubbed file can be a little larger than the one that was sent.
const STORED_BYTES_MAX: usize = ATTACHMENT_BYTES_MAX + (8 << 20);

#[async_trait]
impl Attachments for ErrorTrackingService {
    async fn list_attachments(
        &self,
        project: ProjectId,
        event_id: &str,
    ) -> Result<Vec<AttachmentInfo>, ErrorTrackingError> {
        let Ok(event) = event_id.parse::<EventId>() else { return Ok(Vec::new()) };
        let rows = store::list(self.db.read(), project, event).await?;
        Ok(rows.into_iter().map(|row| row.info).collect())
    }

    async fn read_attachment(
        &self,
        project: ProjectId,
        attachment: AttachmentId,
    ) -> Result<Option<AttachmentContent>, ErrorTrackingError> {
        let Some(row) = store::find(self.db.read(), project, attachment).await? else { return Ok(None) };
        let stored = store::read_pieces(self.db.read(), attachment).await?;
        let bytes = if row.is_compressed {
            let size = usize::try_from(row.info.size_bytes).unwrap_or(usize::MAX);
            let corrupt = |what: String| StorageError::corrupt(format!("attachment {attachment}: {what}"));
            if size > STORED_BYTES_MAX {
                return Err(corrupt("too large".to_owned()).into());
            }
            let unpacked = tokio::task::spawn_blocking(move || zstd::bulk::decompress(&stored, size)).await;
            unpacked
                .map_err(|error| ErrorTrackingError::Internal(error.to_string()))?
                .map_err(|error| corrupt(error.to_string()))?
        } else {
            stored
        };
        Ok(Some(AttachmentContent { info: row.info, bytes }))
    }

    async fn delete_attachment(&self, delete: DeleteAttachment) -> Result<bool, ErrorTrackingError> {
        self.db
            .write(async |tx| {
                let Some(row) = store::find(tx, delete.project, delete.attachment).await? else {
                    return Ok(false);
                };
                let mut storage = StorageChange::default();
                store::delete_in(tx, delete.project, delete.attachment, &mut storage).await?;
                storage.store_in(tx).await?;
                let entry = Entry {
                    organisation: Some(delete.organisation),
                    project: Some(delete.project),
                    target: Some(Target { kind: "attachment", id: delete.attachment.to_string() }),
                    request_id: delete.request_id.clone(),
                    detail: serde_json::json!({ "event": row.info.event_id, "sha256": row.info.sha256 }),
                    ..Entry::new(delete.actor, "attachment_deleted")
                };
                self.audit.record(tx, entry).await?;
                Ok(true)
            })
            .await
    }
}
