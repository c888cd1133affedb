//! What people look at, so that it is ready when they look again.
//!
//! A page of numbers is looked at again and again, and after a restart by those who looked before it. Its numbers are made
//! anew before they are too old to be given, for as long as somebody looked not long ago.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::calendar::PeriodUnit;
use crate::kept::Pace;
use crate::model::{AskMetrics, AskPeriod, AskRevenue, AskSeries};
use crate::revenue::currency::Currency;
use crate::{BusinessError, BusinessService, store};

/// For how long after somebody looked their numbers are kept ready.
const WATCHED: Duration = Duration::from_secs(300);
/// The most looks that are kept in mind.
const LOOKS_MAX: usize = 64;
/// How often it is written down that a project is looked at.
const NOTED_EVERY: Duration = Duration::from_secs(3_600);
/// After a restart the numbers of so many projects are made, of those that were looked at within so long a time.
const PROJECTS_MAX: u64 = 8;
const LOOKED_AT: Duration = Duration::from_secs(7 * 86_400);
/// Months of the charts of revenue.
const MONTHS: usize = 12;

/// Numbers that somebody looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    Metrics(AskMetrics),
    Changes(ProjectId, Option<Currency>),
    Revenue(AskRevenue),
    Series(AskSeries),
    Plans(ProjectId, Option<Currency>),
    Cohorts(AskSeries),
}

impl Look {
    fn project(&self) -> ProjectId {
        match self {
            Self::Metrics(ask) => ask.project,
            Self::Revenue(ask) => ask.project,
            Self::Series(ask) | Self::Cohorts(ask) => ask.project,
            Self::Changes(project, _) | Self::Plans(project, _) => *project,
        }
    }
}

#[derive(Default)]
struct Noted {
    looks: Vec<(Look, Timestamp)>,
    projects: Vec<(ProjectId, Timestamp)>,
}

/// What was looked at not long ago.
#[derive(Default)]
pub(crate) struct Looks(Mutex<Noted>);

impl Looks {
    /// Takes note of a look; whether it is to be written down.
    fn note(&self, look: Look, now: Timestamp) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let project = look.project();
        noted.looks.retain(|(other, _)| *other != look);
        if noted.looks.len() == LOOKS_MAX {
            noted.looks.remove(0);
        }
        noted.looks.push((look, now));
        let is_written =
            |(of, at): &(ProjectId, Timestamp)| *of == project && now >= *at && now.since(*at) < NOTED_EVERY;
        if noted.projects.iter().any(is_written) {
            return false;
        }
        noted.projects.retain(|(of, at)| *of != project && now >= *at && now.since(*at) < NOTED_EVERY);
        noted.projects.push((project, now));
        true
    }

    fn list(&self, now: Timestamp) -> Vec<Look> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.looks.retain(|(_, at)| now >= *at && now.since(*at) < WATCHED);
        noted.looks.iter().map(|(look, _)| look.clone()).collect()
    }
}

impl BusinessService {
    /// Keeps in mind that somebody looks.
    pub(crate) async fn look(&self, look: Look) {
        let (now, project) = (self.parts.clock.now(), look.project());
        if self.answers.looks.note(look, now)
            && let Err(error) = self.parts.db.write(async |tx| store::note_look(tx, project, now).await).await
        {
            // Whoever looks sees the numbers all the same.
            tracing::warn!(%project, %error, "it was not written down that somebody looks");
        }
    }

    /// Keeps in mind what those who looked in the last week see first; to be called once, when a process begins.
    ///
    /// # Errors
    /// A storage error.
    pub async fn recall_looks(&self) -> Result<(), BusinessError> {
        let now = self.parts.clock.now();
        let since = now.minus(LOOKED_AT);
        for project in store::list_looked_at(self.parts.db.read(), since, PROJECTS_MAX).await? {
            let period = AskPeriod::Current(PeriodUnit::Month);
            let series = AskSeries { project, unit: PeriodUnit::Month, periods: MONTHS, currency: None };
            let metrics = AskMetrics { project, period, goal: None, currency: None, has_revenue: false };
            let looks = [
                Look::Revenue(AskRevenue { project, period, currency: None }),
                Look::Series(series),
                Look::Metrics(metrics),
                Look::Changes(project, None),
            ];
            for look in looks {
                self.answers.looks.note(look, now);
            }
        }
        Ok(())
    }

    /// Makes anew what was looked at in the last five minutes and is soon too old to be given again; to be called about
    /// once a second, and nearly nothing if nobody looks.
    ///
    /// # Errors
    /// What stands in the way of one of the answers; the others are made all the same.
    pub async fn keep_ready(&self) -> Result<(), BusinessError> {
        let mut failed = Ok(());
        for look in self.answers.looks.list(self.parts.clock.now()) {
            let pace = Pace::Ahead;
            let made = match look {
                Look::Metrics(ask) => self.metrics(ask, pace).await.map(drop),
                Look::Changes(project, currency) => self.changes(project, currency, pace).await.map(drop),
                Look::Revenue(ask) => self.revenue(&ask, pace).await.map(drop),
                Look::Series(ask) => self.series(&ask, pace).await.map(drop),
                Look::Plans(project, currency) => self.plans(project, currency, pace).await.map(drop),
                Look::Cohorts(ask) => self.cohorts(&ask, pace).await.map(drop),
            };
            failed = failed.and(made);
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_kept_in_mind_for_five_minutes_and_written_down_once_an_hour() {
        let (looks, start) = (Looks::default(), "2026-11-29T10:00:00Z".parse::<Timestamp>().unwrap());
        let at = |seconds: u64| start.plus(Duration::from_secs(seconds));
        let look = |project: i64| Look::Plans(ProjectId(project), None);
        assert!(looks.note(look(1), at(0)));
        assert!(looks.note(look(2), at(1)));
        assert!(!looks.note(look(1), at(200)));
        assert_eq!(looks.list(at(300)), [look(2), look(1)]);
        assert_eq!(looks.list(at(301)), [look(1)]);
        assert_eq!(looks.list(at(500)), []);
        assert!(!looks.note(look(1), at(3_599)));
        assert!(looks.note(look(1), at(3_600)));
    }

    #[test]
    fn so_many_looks_are_kept_in_mind() {
        let (looks, now) = (Looks::default(), "2026-11-29T10:00:00Z".parse::<Timestamp>().unwrap());
        for project in 0..=LOOKS_MAX as i64 {
            looks.note(Look::Plans(ProjectId(project), None), now);
        }
        let listed = looks.list(now);
        assert_eq!(listed.len(), LOOKS_MAX);
        assert_eq!(listed[0], Look::Plans(ProjectId(1), None));
    }
}
