use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::{Clock, ProjectId, Tasks};
use belvedere_storage::{Database, StorageError};

use super::project::{Limited, ProjectQuota, month_start};
use super::spike::threshold;
use super::store::{self, Usage};
use crate::limits::{Category, LimitsBook, ProjectLimits};

/// How often counts are written and read.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3);

/// A project that nobody asked for in so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// How many projects are known at a time; further ones are let in uncounted.
const PROJECTS_MAX: usize = 20_000;

/// What the quotas work with.
#[derive(Clone)]
pub struct QuotaParts {
    /// Where settings and counts are.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The quotas of all projects, as one process knows them.
pub struct QuotaBook {
    parts: QuotaParts,
    limits: LimitsBook,
    projects: Mutex<HashMap<ProjectId, ProjectQuota>>,
}

impl QuotaBook {
    /// A book with empty pages. [`QuotaBook::run`] must run beside it for limits to be known.
    #[must_use]
    pub fn new(parts: QuotaParts) -> Self {
        Self { parts, limits: LimitsBook::default(), projects: Mutex::default() }
    }

    /// Lets in what a request brings, by category, and counts it; the categories that are not let in. Costs a lock
    /// and a few additions.
    #[must_use]
    pub fn admit(&self, project: ProjectId, demand: &BTreeMap<Category, u64>) -> Vec<Limited> {
        let now = self.parts.clock.now();
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if projects.len() >= PROJECTS_MAX && !projects.contains_key(&project) {
            return Vec::new();
        }
        let quota = projects.entry(project).or_default();
        demand
            .iter()
            .filter_map(|(category, quantity)| quota.admit(*category, *quantity, now).err())
            .collect()
    }

    /// Refreshes every 3 s, and writes once more when `tasks` are told to stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = tasks.stopped() => {}
                () = tokio::time::sleep(REFRESH_INTERVAL) => {}
            }
            let is_last = tasks.is_stopped();
            let refreshed = self.refresh().await;
            if is_failing != refreshed.is_err() {
                is_failing = refreshed.is_err();
                match refreshed {
                    Err(error) => tracing::warn!(%error, "quotas cannot be refreshed, the last ones hold"),
                    Ok(()) => tracing::info!("quotas are refreshed again"),
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// Writes what was let in since the last time, and reads settings and sums of the projects that are active.
    ///
    /// # Errors
    /// The storage error; what could not be written waits for the next time.
    pub async fn refresh(&self) -> Result<(), StorageError> {
        let now = self.parts.clock.now();
        self.write().await?;
        let active: Vec<(ProjectId, i64)> = {
            let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
            projects.retain(|_, quota| {
                !quota.unwritten.is_empty() || now.since(quota.last_asked) < FORGOTTEN_AFTER
            });
            projects.iter().map(|(project, quota)| (*project, quota.hour)).collect()
        };
        if active.is_empty() {
            return Ok(());
        }
        let ids: Vec<ProjectId> = active.iter().map(|(project, _)| *project).collect();
        let db = self.parts.db.read();
        let limits = self.limits.load(db, &ids, now).await?;
        let (month, hour) = (month_start(now), now.as_seconds().div_euclid(3_600));
        let has_month =
            |limits: &ProjectLimits| limits.quotas.values().any(|quota| quota.per_month.is_some());
        let of_month: Vec<ProjectId> =
            ids.iter().copied().filter(|id| limits.get(id).is_some_and(|limits| has_month(limits))).collect();
        let months = store::sum_usage(db, &of_month, month.as_seconds().div_euclid(3_600)).await?;
        let hours = store::sum_usage(db, &ids, hour).await?;
        let mut thresholds = HashMap::new();
        // The usual changes with the hour only.
        for (project, _) in active.iter().filter(|(_, known)| *known != hour) {
            let hourly = store::list_hourly_errors(db, *project, hour).await?;
            thresholds.insert(*project, hourly);
        }
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        for project in ids {
            let (Some(quota), Some(limits)) = (projects.get_mut(&project), limits.get(&project)) else {
                continue;
            };
            let multiplier = limits.spike_protection.multiplier;
            if quota.limits.spike_protection.multiplier != multiplier && !thresholds.contains_key(&project) {
                // Learned anew at the next refresh.
                quota.hour = 0;
            } else if let Some(hourly) = thresholds.get(&project) {
                quota.threshold = threshold(hourly, multiplier);
                quota.hour = hour;
            }
            quota.limits = Arc::clone(limits);
            quota.month = month;
            for category in Category::ALL {
                quota.of_month[category as usize] = months.get(&(project, category)).copied().unwrap_or(0);
            }
            quota.errors_of_hour = hours.get(&(project, Category::Error)).copied().unwrap_or(0);
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), StorageError> {
        let mut usage = Usage::new();
        {
            let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
            for (project, quota) in projects.iter_mut() {
                for ((category, hour), quantity) in std::mem::take(&mut quota.unwritten) {
                    usage.insert((*project, category, hour), quantity);
                }
            }
        }
        if usage.is_empty() {
            return Ok(());
        }
        let written: Result<(), StorageError> =
            self.parts.db.write(async |tx| store::add_usage_in(tx, &usage).await).await;
        if written.is_err() {
            let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
            for ((project, category, hour), quantity) in usage {
                let quota = projects.entry(project).or_default();
                *quota.unwritten.entry((category, hour)).or_default() += quantity;
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::ManualClock;
    use belvedere_storage::testing::TestDatabase;
    use belvedere_storage::{Timestamp, database_tests};

    use super::*;

    database_tests!(
        what_two_processes_let_in_counts_together,
        a_spike_is_recognised_by_the_weeks_busy_hours,
        what_could_not_be_written_is_written_later,
    );

    const PROJECT: ProjectId = ProjectId(1);

    fn start() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn books<const N: usize>(db: &TestDatabase) -> (Arc<ManualClock>, [QuotaBook; N]) {
        let clock = Arc::new(ManualClock::new(start()));
        let parts = QuotaParts { db: db.database(), clock: clock.clone() };
        (clock, std::array::from_fn(|_| QuotaBook::new(parts.clone())))
    }

    fn send(book: &QuotaBook, category: Category, quantity: u64) -> Option<&'static str> {
        let limited = book.admit(PROJECT, &BTreeMap::from([(category, quantity)]));
        limited.first().map(|limited| limited.reason.as_str())
    }

    async fn set(db: &TestDatabase, settings: &str) {
        let sql = "INSERT INTO error_limits (project_id, settings, changed_at) VALUES ($1, $2, 0)";
        let values = [PROJECT.0.into(), settings.into()];
        db.write(async |tx| belvedere_storage::execute_sql(tx, sql, values).await).await.unwrap();
    }

    async fn what_two_processes_let_in_counts_together(db: TestDatabase) {
        set(&db, "{\"quotas\":{\"log\":{\"per_month\":10}}}").await;
        let (_, [left, right]) = books(&db);
        // Not known yet: let in.
        assert_eq!(send(&left, Category::Log, 4), None);
        assert_eq!(send(&right, Category::Log, 4), None);
        left.refresh().await.unwrap();
        right.refresh().await.unwrap();
        left.refresh().await.unwrap();
        assert_eq!(send(&left, Category::Log, 1), None);
        assert_eq!(send(&left, Category::Log, 1), None);
        assert_eq!(send(&left, Category::Log, 1), Some("quota"));
        left.refresh().await.unwrap();
        right.refresh().await.unwrap();
        assert_eq!(send(&right, Category::Log, 1), Some("quota"));
        assert_eq!(send(&right, Category::Error, 1), None);
    }

    async fn a_spike_is_recognised_by_the_weeks_busy_hours(db: TestDatabase) {
        let (clock, [book]) = books(&db);
        for _ in 0..30 {
            assert_eq!(send(&book, Category::Error, 200), None);
            book.refresh().await.unwrap();
            clock.advance(Duration::from_secs(3_600));
        }
        assert_eq!(send(&book, Category::Error, 1_500), None);
        book.refresh().await.unwrap();
        assert_eq!(send(&book, Category::Error, 499), None);
        assert_eq!(send(&book, Category::Error, 1), None);
        assert_eq!(send(&book, Category::Error, 1), Some("spike_protection"));
        assert_eq!(send(&book, Category::Session, 1), None);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(send(&book, Category::Error, 1), None);
    }

    async fn what_could_not_be_written_is_written_later(db: TestDatabase) {
        let (_, [book]) = books(&db);
        assert_eq!(send(&book, Category::Error, 3), None);
        db.faults().fail_after(0);
        assert!(book.refresh().await.is_err());
        assert_eq!(send(&book, Category::Error, 4), None);
        book.refresh().await.unwrap();
        book.refresh().await.unwrap();
        let rows = belvedere_storage::query_sql(db.read(), "SELECT quantity FROM error_usage_hour", [])
            .await
            .unwrap();
        let quantities: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(quantities, [7]);
    }
}
