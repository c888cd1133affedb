use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Tx};
use serde_json::{Value, json};

use super::Cohorts;
use super::cohort::{
    Cohort, CohortChange, CohortId, CohortSize, MEMBERS_MAX, NewCohort, Rule, SIZE_MIN, WEEKS,
};
use super::insights::{check_name, check_room, user};
use crate::calendar::PeriodUnit;
use crate::kept::Pace;
use crate::store::{self, cohorts as rows, insights};
use crate::{BusinessError, BusinessService, ChangedBy};

/// The most cohorts of a project.
pub const COHORTS_MAX: usize = 100;

const MICRO: Duration = Duration::from_micros(1);

fn detail(cohort: &Cohort) -> Value {
    json!({ "name": cohort.name, "rule": cohort.rule, "is_static": cohort.is_static })
}

async fn find_in(tx: &Tx, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError> {
    let found = rows::list_cohorts(tx, project, Some(id)).await?.pop();
    found.ok_or(BusinessError::NotFound("cohort"))
}

impl BusinessService {
    async fn check_rule(&self, project: ProjectId, rule: &Rule) -> Result<Arc<SubjectSet>, BusinessError> {
        rule.check()?;
        self.check_text(project, "rule", json!(rule)).await?;
        let now = self.parts.clock.now();
        Ok(Arc::new(rule.find_people(&*self.parts.queries, project, now).await?))
    }

    async fn record_cohort(
        &self,
        tx: &Tx,
        project: ProjectId,
        by: &ChangedBy,
        (action, cohort): (&'static str, &Cohort),
    ) -> Result<(), StorageError> {
        let act = (action, "cohort", cohort.id.to_string());
        self.record_act(tx, project, by, act, detail(cohort)).await
    }
}

#[async_trait]
impl Cohorts for BusinessService {
    async fn list_cohorts(&self, project: ProjectId) -> Result<Vec<Cohort>, BusinessError> {
        Ok(rows::list_cohorts(self.parts.db.read(), project, None).await?)
    }

    async fn find_cohort(&self, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError> {
        let found = rows::list_cohorts(self.parts.db.read(), project, Some(id)).await?.pop();
        found.ok_or(BusinessError::NotFound("cohort"))
    }

    async fn create_cohort(
        &self,
        project: ProjectId,
        new: NewCohort,
        by: &ChangedBy,
    ) -> Result<Cohort, BusinessError> {
        let name = check_name(&new.name)?;
        self.check_text(project, "name", json!({ "name": name })).await?;
        let people = self.check_rule(project, &new.rule).await?;
        let size = people.len();
        if new.is_static && size > MEMBERS_MAX {
            let why = format!("holds for {size} people; a static cohort has at most {MEMBERS_MAX}");
            return Err(BusinessError::invalid("rule", why));
        }
        let now = self.parts.clock.now();
        let cohort = Cohort {
            id: CohortId::generate(now),
            name,
            rule: new.rule,
            is_static: new.is_static,
            size,
            counted_at: now,
            created_by: user(by),
            created_at: now,
            changed_at: now,
        };
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                check_room(tx, project, ("bi_cohort", COHORTS_MAX), &cohort.name, None).await?;
                let members = cohort.is_static.then_some(&*people);
                rows::insert_cohort(tx, project, &cohort, members).await?;
                self.record_cohort(tx, project, by, ("cohort_created", &cohort)).await?;
                Ok::<_, BusinessError>(())
            })
            .await?;
        Ok(cohort)
    }

    async fn change_cohort(
        &self,
        project: ProjectId,
        id: CohortId,
        change: CohortChange,
        by: &ChangedBy,
    ) -> Result<Cohort, BusinessError> {
        let name = change.name.as_deref().map(check_name).transpose()?;
        self.check_text(project, "name", json!({ "name": name })).await?;
        let is_static = self.find_cohort(project, id).await?.is_static;
        let people = match &change.rule {
            Some(_) if is_static => {
                let why = "cannot be changed: a static cohort keeps its people; make another one";
                return Err(BusinessError::invalid("rule", why));
            }
            Some(rule) => Some(self.check_rule(project, rule).await?),
            None => None,
        };
        let now = self.parts.clock.now();
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let mut cohort = find_in(tx, project, id).await?;
                if let Some(name) = &name {
                    check_room(tx, project, ("bi_cohort", COHORTS_MAX), name, Some(id.cast())).await?;
                    cohort.name.clone_from(name);
                }
                if let (Some(rule), Some(people)) = (&change.rule, &people) {
                    cohort.rule.clone_from(rule);
                    (cohort.size, cohort.counted_at) = (people.len(), now);
                }
                cohort.changed_at = now;
                rows::update_cohort(tx, project, &cohort).await?;
                self.record_cohort(tx, project, by, ("cohort_changed", &cohort)).await?;
                Ok(cohort)
            })
            .await
    }

    async fn delete_cohort(
        &self,
        project: ProjectId,
        id: CohortId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let cohort = find_in(tx, project, id).await?;
                insights::delete_row(tx, project, "bi_cohort", id.cast()).await?;
                self.record_cohort(tx, project, by, ("cohort_deleted", &cohort)).await?;
                Ok(())
            })
            .await
    }

    async fn count_cohort(&self, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError> {
        let mut cohort = self.find_cohort(project, id).await?;
        if !cohort.is_static {
            let now = self.parts.clock.now();
            let people = cohort.rule.find_people(&*self.parts.queries, project, now).await?;
            (cohort.size, cohort.counted_at) = (people.len(), now);
            let size = cohort.size;
            self.parts.db.write(async |tx| rows::update_size(tx, project, id, size, now).await).await?;
        }
        Ok(cohort)
    }

    async fn list_sizes(&self, project: ProjectId, id: CohortId) -> Result<Vec<CohortSize>, BusinessError> {
        let cohort = self.find_cohort(project, id).await?;
        if cohort.is_static {
            return Ok(Vec::new());
        }
        let (queries, clock) = (&*self.parts.queries, &*self.parts.clock);
        let version = Some(queries.version(project).await?);
        let made = async {
            let now = clock.now();
            let mut cuts = self.calendar(project).await?.last(PeriodUnit::Week, now, WEEKS)?;
            if let Some(last) = cuts.last_mut() {
                *last = now.plus(MICRO);
            }
            let mut sizes = Vec::with_capacity(WEEKS);
            for (week, until) in cuts.iter().zip(cuts.iter().skip(1)) {
                let people = cohort.rule.find_people(queries, project, until.minus(MICRO)).await?;
                let size = Some(people.len()).filter(|size| *size >= SIZE_MIN);
                sizes.push(CohortSize { week: *week, until: *until, size });
            }
            Ok::<_, BusinessError>(sizes)
        };
        let key = (project, id, cohort.changed_at);
        self.answers.sizes.find((&key, Pace::Now), version, clock, made).await
    }

    async fn find_people(&self, project: ProjectId, id: CohortId) -> Result<Arc<SubjectSet>, BusinessError> {
        if let Some(members) = rows::find_members(self.parts.db.read(), project, id).await? {
            return Ok(Arc::new(members));
        }
        let cohort = self.find_cohort(project, id).await?;
        let now = self.parts.clock.now();
        Ok(Arc::new(cohort.rule.find_people(&*self.parts.queries, project, now).await?))
    }
}
