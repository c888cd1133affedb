use async_trait::async_trait;
use belvedere_kernel::{Actor, Entry, ProjectId, Target, User};
use belvedere_storage::{Id, StorageError, Tx};
use serde_json::{Value, json};

use super::model::{Insight, InsightChange, InsightId, NewInsight};
use super::question::Question;
use super::{Cohorts, Insights};
use crate::store::{self, insights as rows};
use crate::{BusinessError, BusinessService, ChangedBy};

/// The most insights of a project.
pub const INSIGHTS_MAX: usize = 200;

/// The longest name of an insight, board or cohort, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Whoever is a person.
pub(crate) fn user(by: &ChangedBy) -> Option<Id<User>> {
    match by.actor {
        Actor::User(user) => Some(user),
        _ => None,
    }
}

/// A name without surrounding white space.
pub(super) fn check_name(name: &str) -> Result<String, BusinessError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let why = format!("must have 1 to {NAME_CHARS_MAX} characters on one line");
        return Err(BusinessError::invalid("name", why));
    }
    Ok(name.to_owned())
}

/// Refuses a name that another row of `table` has, and one more row than there may be; `own` is the row that is to have
/// it, unless it is new.
pub(super) async fn check_room(
    tx: &Tx,
    project: ProjectId,
    (table, most): (&'static str, usize),
    name: &str,
    own: Option<Id<()>>,
) -> Result<(), BusinessError> {
    let taken = rows::list_names(tx, project, table).await?;
    if taken.iter().any(|(id, other)| other == name && Some(id) != own.as_ref()) {
        return Err(BusinessError::invalid("name", format!("there is one called {name:?} already")));
    }
    if own.is_none() && taken.len() >= most {
        return Err(BusinessError::invalid("name", format!("there are {most} already; delete one first")));
    }
    Ok(())
}

impl BusinessService {
    /// Nothing that a project's rules call personal data is kept in the clear.
    pub(crate) async fn check_text(
        &self,
        project: ProjectId,
        field: &'static str,
        mut text: Value,
    ) -> Result<(), BusinessError> {
        let rules = self.parts.scrubber.load(&[project]).await?;
        if rules.scrub(project, &mut text).is_empty() {
            return Ok(());
        }
        let why = "holds what the project's rules call personal data; it is not kept";
        Err(BusinessError::invalid(field, why))
    }

    pub(crate) async fn record_act(
        &self,
        tx: &Tx,
        project: ProjectId,
        by: &ChangedBy,
        (action, kind, id): (&'static str, &'static str, String),
        detail: Value,
    ) -> Result<(), StorageError> {
        let entry = Entry {
            project: Some(project),
            target: Some(Target { kind, id }),
            request_id: by.request_id.clone(),
            detail,
            ..Entry::new(by.actor, action)
        };
        self.parts.audit.record(tx, entry).await
    }

    async fn check_question(&self, project: ProjectId, question: &Question) -> Result<(), BusinessError> {
        question.check()?;
        if let Some(cohort) = question.cohort() {
            self.find_cohort(project, cohort).await.map_err(|error| match error {
                BusinessError::NotFound(_) => {
                    BusinessError::invalid("cohort", "there is no such cohort here")
                }
                error => error,
            })?;
        }
        self.check_text(project, "question", json!(question)).await
    }
}

fn detail(insight: &Insight) -> Value {
    json!({ "name": insight.name, "question": insight.question })
}

#[async_trait]
impl Insights for BusinessService {
    async fn list_insights(&self, project: ProjectId) -> Result<Vec<Insight>, BusinessError> {
        Ok(rows::list_insights(self.parts.db.read(), project).await?)
    }

    async fn find_insight(&self, project: ProjectId, id: InsightId) -> Result<Insight, BusinessError> {
        let found = rows::find_insight(self.parts.db.read(), project, id).await?;
        found.ok_or(BusinessError::NotFound("insight"))
    }

    async fn create_insight(
        &self,
        project: ProjectId,
        new: NewInsight,
        by: &ChangedBy,
    ) -> Result<Insight, BusinessError> {
        let name = check_name(&new.name)?;
        self.check_question(project, &new.question).await?;
        self.check_text(project, "name", json!({ "name": name })).await?;
        let now = self.parts.clock.now();
        let insight = Insight {
            id: InsightId::generate(now),
            name,
            question: new.question,
            created_by: user(by),
            created_at: now,
            changed_at: now,
        };
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                check_room(tx, project, ("bi_insight", INSIGHTS_MAX), &insight.name, None).await?;
                rows::insert_insight(tx, project, &insight).await?;
                let act = ("insight_created", "insight", insight.id.to_string());
                self.record_act(tx, project, by, act, detail(&insight)).await?;
                Ok::<_, BusinessError>(())
            })
            .await?;
        Ok(insight)
    }

    async fn change_insight(
        &self,
        project: ProjectId,
        id: InsightId,
        change: InsightChange,
        by: &ChangedBy,
    ) -> Result<Insight, BusinessError> {
        let name = change.name.as_deref().map(check_name).transpose()?;
        if let Some(question) = &change.question {
            self.check_question(project, question).await?;
        }
        self.check_text(project, "name", json!({ "name": name })).await?;
        let now = self.parts.clock.now();
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let found = rows::find_insight(tx, project, id).await?;
                let mut insight = found.ok_or(BusinessError::NotFound("insight"))?;
                if let Some(name) = &name {
                    check_room(tx, project, ("bi_insight", INSIGHTS_MAX), name, Some(id.cast())).await?;
                    insight.name.clone_from(name);
                }
                if let Some(question) = &change.question {
                    insight.question.clone_from(question);
                }
                insight.changed_at = now;
                rows::update_insight(tx, project, &insight).await?;
                let act = ("insight_changed", "insight", id.to_string());
                self.record_act(tx, project, by, act, detail(&insight)).await?;
                Ok(insight)
            })
            .await
    }

    async fn delete_insight(
        &self,
        project: ProjectId,
        id: InsightId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let found = rows::find_insight(tx, project, id).await?;
                let insight = found.ok_or(BusinessError::NotFound("insight"))?;
                rows::delete_row(tx, project, "bi_insight", id.cast()).await?;
                let act = ("insight_deleted", "insight", id.to_string());
                self.record_act(tx, project, by, act, detail(&insight)).await?;
                Ok(())
            })
            .await
    }
}
