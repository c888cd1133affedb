use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Lately, ProjectId};
use belvedere_storage::{StorageError, Tx};
use serde_json::{Value, json};

use super::FeatureFlags;
use super::model::{FLAGS_MAX, FeatureFlag, FlagChange, NewFlag};
use crate::insight::user;
use crate::store::{self, flags as rows};
use crate::{BusinessError, BusinessService, ChangedBy};

/// How old what is remembered may be: so long may a change by another process go unnoticed.
const MAX_AGE: Duration = Duration::from_secs(5);
/// The most projects whose flags are remembered.
const PROJECTS_MAX: usize = 1_000;

/// The flags of projects, as they were read last.
pub(crate) type Remembered = Lately<ProjectId, Arc<[FeatureFlag]>>;

pub(crate) fn remembered() -> Remembered {
    Lately::new(MAX_AGE, PROJECTS_MAX)
}

fn detail(flag: &FeatureFlag) -> Value {
    json!({
        "is_active": flag.is_active, "share_percent": flag.share_percent, "conditions": flag.conditions,
        "has_payload": flag.payload.is_some(), "version": flag.version,
    })
}

async fn find_in(tx: &Tx, project: ProjectId, key: &str) -> Result<FeatureFlag, BusinessError> {
    let found = rows::list_flags(tx, project, Some(key)).await?.pop();
    found.ok_or(BusinessError::NotFound("feature flag"))
}

impl BusinessService {
    async fn record_flag(
        &self,
        tx: &Tx,
        project: ProjectId,
        by: &ChangedBy,
        (action, flag): (&'static str, &FeatureFlag),
    ) -> Result<(), StorageError> {
        let act = (action, "feature_flag", flag.key.clone());
        self.record_act(tx, project, by, act, detail(flag)).await?;
        let answers = Arc::clone(&self.answers);
        tx.after_commit(move || answers.flags.forget(&project));
        Ok(())
    }
}

#[async_trait]
impl FeatureFlags for BusinessService {
    async fn list_flags(&self, project: ProjectId) -> Result<Vec<FeatureFlag>, BusinessError> {
        Ok(rows::list_flags(self.parts.db.read(), project, None).await?)
    }

    async fn find_flag(&self, project: ProjectId, key: &str) -> Result<FeatureFlag, BusinessError> {
        let found = rows::list_flags(self.parts.db.read(), project, Some(key)).await?.pop();
        found.ok_or(BusinessError::NotFound("feature flag"))
    }

    async fn create_flag(
        &self,
        project: ProjectId,
        new: NewFlag,
        by: &ChangedBy,
    ) -> Result<FeatureFlag, BusinessError> {
        new.check()?;
        let text = json!({ "key": new.key, "note": new.note, "payload": new.payload });
        self.check_text(project, "note", text).await?;
        self.check_text(project, "conditions", json!(new.conditions)).await?;
        let now = self.parts.clock.now();
        let mut flag = FeatureFlag {
            key: new.key,
            number: 0,
            note: new.note,
            is_active: new.is_active,
            share_percent: new.share_percent,
            conditions: new.conditions,
            payload: new.payload,
            version: 1,
            created_by: user(by),
            created_at: now,
            changed_at: now,
        };
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let taken = rows::list_flags(tx, project, None).await?;
                if taken.iter().any(|other| other.key == flag.key) {
                    return Err(BusinessError::invalid("key", "there is a flag with this one already"));
                }
                if taken.len() >= FLAGS_MAX {
                    let why = format!("there are {FLAGS_MAX} flags already; delete one first");
                    return Err(BusinessError::invalid("key", why));
                }
                flag.number = taken.iter().map(|other| other.number).max().unwrap_or(0) + 1;
                rows::insert_flag(tx, project, &flag).await?;
                self.record_flag(tx, project, by, ("feature_flag_created", &flag)).await?;
                Ok(flag)
            })
            .await
    }

    async fn change_flag(
        &self,
        project: ProjectId,
        key: &str,
        change: FlagChange,
        by: &ChangedBy,
    ) -> Result<FeatureFlag, BusinessError> {
        change.check()?;
        self.check_text(project, "note", json!({ "note": change.note, "payload": change.payload })).await?;
        self.check_text(project, "conditions", json!(change.conditions)).await?;
        let now = self.parts.clock.now();
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let mut flag = find_in(tx, project, key).await?;
                if change.make(&mut flag) {
                    (flag.version, flag.changed_at) = (flag.version + 1, now);
                    rows::update_flag(tx, project, &flag).await?;
                    self.record_flag(tx, project, by, ("feature_flag_changed", &flag)).await?;
                }
                Ok(flag)
            })
            .await
    }

    async fn delete_flag(&self, project: ProjectId, key: &str, by: &ChangedBy) -> Result<(), BusinessError> {
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let flag = find_in(tx, project, key).await?;
                rows::delete_flag(tx, project, key).await?;
                self.record_flag(tx, project, by, ("feature_flag_deleted", &flag)).await?;
                Ok(())
            })
            .await
    }

    async fn flags_now(&self, project: ProjectId) -> Result<Arc<[FeatureFlag]>, BusinessError> {
        let now = self.parts.clock.now();
        if let Some(flags) = self.answers.flags.find(&project, now) {
            return Ok(flags);
        }
        let flags: Arc<[FeatureFlag]> = rows::list_flags(self.parts.db.read(), project, None).await?.into();
        self.answers.flags.keep(project, now, Arc::clone(&flags));
        Ok(flags)
    }
}
