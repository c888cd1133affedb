//! What others see of learners as numbers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_event_store::{EventStoreError, Select};
use belvedere_kernel::{Estimated, LearningNumbers, ProjectId, StrugglingNumbers, TutorNumbers};
use belvedere_storage::{StorageError, Timestamp};

use crate::event::EventType;
use crate::store;
use crate::suppress::GROUP_MIN;
use crate::tutor::{
    DAYS_MAX, Effect, HoldOut, Mean, Outcome, Period, SOLVE_MINUTES, Share, TutorReport, history_from,
    read_acts, report,
};
use crate::{LearningError, LearningService};

/// The most acts that numbers are made of: fewer than those of a report, as they stand on a page among others.
const ACTS_MAX: usize = 100_000;

#[async_trait]
impl LearningNumbers for LearningService {
    async fn find_struggling(&self, project: ProjectId) -> Result<StrugglingNumbers, StorageError> {
        store::count_struggling(self.core.parts.db.read(), project).await
    }

    async fn find_tutor(
        &self,
        project: ProjectId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<TutorNumbers>, StorageError> {
        let longest = Duration::from_secs(u64::from(DAYS_MAX) * 86_400);
        let from = from.max(until.minus(longest));
        match self.tutor_between(project, from, until).await {
            Ok(report) => Ok(report.map(|report| numbers_of(&report))),
            // More events than a report goes through.
            Err(LearningError::Invalid { .. }) => Ok(None),
            Err(LearningError::Storage(error)) => {
                Err(Arc::try_unwrap(error).unwrap_or_else(|error| StorageError::corrupt(error.to_string())))
            }
            Err(error) => Err(StorageError::corrupt(error.to_string())),
        }
    }
}

impl LearningService {
    /// None where the tutor said nothing around the period.
    async fn tutor_between(
        &self,
        project: ProjectId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<TutorReport>, LearningError> {
        let core = &self.core;
        let names = vec![EventType::TutorMessage.as_str().to_owned()];
        let said = Select { from, until, names, ..Select::all(project) };
        if core.parts.events.snapshot(said).await?.parts.is_empty() {
            return Ok(None);
        }
        let _alone = core.reports.acquire().await;
        let range = (history_from(from), until);
        let acts = read_acts(&*core.parts.events, project, range, ACTS_MAX).await?;
        let period = Period::between(from, until, SOLVE_MINUTES);
        let made = tokio::task::spawn_blocking(move || report(&acts, &period)).await;
        let report = made.map_err(|error| EventStoreError::Internal(error.to_string()))?;
        Ok((report.conversations > 0).then_some(report))
    }
}

fn numbers_of(report: &TutorReport) -> TutorNumbers {
    let solved = |hold_out: &HoldOut| {
        let is_off = hold_out.ratio.is_some_and(|ratio| ratio.is_off);
        let of = hold_out.effects.iter().find(|effect| effect.outcome == Outcome::Solved);
        of.filter(|_| !is_off).and_then(effect_of)
    };
    TutorNumbers {
        one_of: report.one_of,
        conversations: report.conversations,
        interactions_per_learner: mean_of(&report.per_learner),
        resolution_rate: share_of(&report.resolution),
        satisfaction: share_of(&report.satisfaction),
        effect: report.hold_out.as_ref().and_then(solved),
    }
}

fn of(value: Option<f64>, interval: Option<(f64, f64)>, (count, learners): (u64, u64)) -> Option<Estimated> {
    let value = value.filter(|_| learners >= GROUP_MIN)?;
    Some(Estimated { value, interval, count, learners })
}

fn mean_of(mean: &Mean) -> Option<Estimated> {
    of(mean.value, mean.low.zip(mean.high), (mean.count, mean.learners))
}

fn share_of(share: &Share) -> Option<Estimated> {
    of(share.rate, share.low.zip(share.high), (share.whole, share.learners))
}

fn effect_of(effect: &Effect) -> Option<Estimated> {
    let found = effect.effect?;
    let (given, withheld) = (&effect.given, &effect.withheld);
    // Who was drawn for both counts in each.
    let sizes = (given.whole + withheld.whole, given.learners.min(withheld.learners));
    of(Some(found.value), Some((found.low, found.high)), sizes)
}
