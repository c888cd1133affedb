//! Business intelligence: from what people do in a product, and pay for it, to acquisition, engagement and revenue.
//!
//! Invariants:
//! - Money is an integer of minor units with its currency; amounts of other currencies are converted at imported rates or
//!   not at all.
//! - The movements of a customer follow from the events of their subscriptions, in whatever order and however often these
//!   come, and their sum up to any instant is what the customer pays each month then.
//! - Customers are subjects that last, whatever they consent to: a contract is kept with somebody. What people do is kept
//!   as the consent gate says.
//!
//! ```
//! use belvedere_business_intelligence::revenue::currency::Currency;
//! use belvedere_business_intelligence::revenue::ledger::{LedgerRules, MovementKind, fold};
//! use belvedere_business_intelligence::revenue::subscription::{
//!     Interval, IntervalUnit, Key, SubscriptionEvent, SubscriptionKind, Terms,
//! };
//! use belvedere_kernel::{ProjectId, SubjectId};
//!
//! let started = SubscriptionEvent {
//!     id: [1; 16],
//!     customer: SubjectId(7),
//!     subscription: Key::of(ProjectId(1), "subscription", "sub_1"),
//!     at: "2026-11-29T10:00:00Z".parse().unwrap(),
//!     kind: SubscriptionKind::Started,
//!     terms: Terms {
//!         amount_minor: Some(12_000),
//!         currency: Currency::find("EUR"),
//!         interval: Some(Interval { unit: IntervalUnit::Year, count: 1 }),
//!         ..Terms::default()
//!     },
//!     is_trial: None,
//!     ends_at: None,
//! };
//! let ledger = fold(&[started.clone(), started], &LedgerRules::default());
//! assert_eq!(ledger.movements.len(), 1);
//! assert_eq!((ledger.movements[0].kind, ledger.movements[0].delta_minor), (MovementKind::New, 1_000));
//! ```

mod answers;
pub mod calendar;
mod error;
pub mod feature_flag;
pub mod insight;
mod kept;
mod looks;
pub mod metrics;
mod model;
pub mod revenue;
mod service;
mod store;
mod subject;
pub mod table;
mod tables;
#[cfg(test)]
mod tests;
pub mod track;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;

pub use answers::PRESENT_MINUTES;
pub use error::BusinessError;
pub use model::{
    Acquisition, ActivePoint, AdoptionCohort, AskMetrics, AskPeriod, AskRevenue, AskSeries, BusinessMetrics,
    COHORTS_MAX, Change, ChangeBy, ChangedBy, Changes, Channel, CohortTable, Compared, ConversionFunnel,
    CourseMetrics, EngagementMetrics, Feature, LearningMetrics, Number, PERIODS_MAX, PlanRevenue, PlanTable,
    Recorded, RevenueCohort, RevenueReport, RevenueSeries, SegmentChange,
};
pub use service::{BusinessParts, BusinessService, CURRENCIES_MAX, RATES_MAX, TrackedRevenue};
pub use tables::METRICS_TABLES;

use revenue::currency::Currency;
use revenue::entry::Entry;
use revenue::ledger::LedgerRules;
use revenue::rates::Rate;

/// How the business does.
///
/// # Errors
/// Every call: [`BusinessError::Invalid`] beyond a limit, [`BusinessError::Currencies`] where a currency must be named,
/// [`BusinessError::MissingRate`] where one was not imported, or a storage error.
#[async_trait]
pub trait Business: Send + Sync {
    /// All numbers about a period, compared with the one before. They are at most a minute old, and the answer says up to
    /// when they are.
    async fn find_metrics(&self, ask: AskMetrics) -> Result<BusinessMetrics, BusinessError>;

    /// What changed most in the last 7 days, at most ten minutes old; revenue is left out where it cannot be told in one
    /// currency.
    async fn find_changes(
        &self,
        project: ProjectId,
        currency: Option<Currency>,
    ) -> Result<Changes, BusinessError>;

    /// How many people were active in the last [`PRESENT_MINUTES`].
    async fn count_present(&self, project: ProjectId) -> Result<u64, BusinessError>;

    /// What revenue did in a period and the one before; none where there is no revenue.
    async fn find_revenue(&self, ask: AskRevenue) -> Result<Option<RevenueReport>, BusinessError>;

    /// What revenue did in the last periods.
    async fn list_revenue(&self, ask: AskSeries) -> Result<RevenueSeries, BusinessError>;

    /// What is paid for each plan at this moment.
    async fn list_plans(
        &self,
        project: ProjectId,
        currency: Option<Currency>,
    ) -> Result<PlanTable, BusinessError>;

    /// What customers who began together pay later.
    async fn list_cohorts(&self, ask: AskSeries) -> Result<CohortTable, BusinessError>;
}

/// What is told of revenue. Every change is an audit entry.
#[async_trait]
pub trait RevenueRecords: Send + Sync {
    /// Takes entries; those that are wrong are refused by their place from 1, and the others taken. Repeated ones change
    /// nothing.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] beyond a limit, or a storage error; then nothing was taken.
    async fn record_entries(
        &self,
        project: ProjectId,
        entries: Vec<Entry>,
        by: &ChangedBy,
    ) -> Result<Recorded, BusinessError>;

    /// The same from a CSV file, see [`revenue::csv`].
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] for a file that is wrong as a whole, or a storage error; then nothing was taken.
    async fn import_csv(
        &self,
        project: ProjectId,
        text: &str,
        by: &ChangedBy,
    ) -> Result<Recorded, BusinessError>;

    /// Takes rates of exchange, in place of others of the same days and pairs; how many.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] beyond a limit, or a storage error; then nothing was taken.
    async fn set_rates(
        &self,
        project: ProjectId,
        rates: Vec<Rate>,
        by: &ChangedBy,
    ) -> Result<u64, BusinessError>;

    /// The rules of the ledger: the usual ones where none are set.
    ///
    /// # Errors
    /// A storage error.
    async fn find_rules(&self, project: ProjectId) -> Result<LedgerRules, BusinessError>;

    /// Sets the rules of the ledger, and writes it anew by them.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] beyond a limit, or a storage error; then nothing was changed.
    async fn set_rules(
        &self,
        project: ProjectId,
        rules: LedgerRules,
        by: &ChangedBy,
    ) -> Result<(), BusinessError>;
}
