use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::query::Queries;
use belvedere_event_store::{Event, EventStore, ProjectZones};
use belvedere_kernel::{
    AuditSink, Clock, Entry as AuditEntry, Identity, LearningNumbers, PersonRegister, ProjectId, RawPerson,
    Scrubber, SubjectData, SubjectId, Target,
};
use belvedere_storage::{Database, StorageError, Tx};
use serde_json::json;

use crate::answers::Answers;
use crate::insight::CohortData;
use crate::model::{ChangedBy, Recorded};
use crate::revenue::csv::{self, Refused};
use crate::revenue::currency::Currency;
use crate::revenue::entry::{ENTRIES_MAX, Entry, What};
use crate::revenue::ledger::{LedgerRules, fold};
use crate::revenue::metrics::ChargeKind;
use crate::revenue::rates::Rate;
use crate::revenue::subscription::{Key, SubscriptionEvent};
use crate::revenue::{OneOff, ReadRevenueError, Tracked, read_event};
use crate::store::{self, EVENTS_OF_CUSTOMER_MAX, Settings};
use crate::subject::CustomerData;
use crate::{BusinessError, RevenueRecords};

/// The most rates of one call.
pub const RATES_MAX: usize = 10_000;
/// The most currencies of a project.
pub const CURRENCIES_MAX: usize = 40;

/// How many customers are folded at once where all are.
const CUSTOMERS_AT_ONCE: u64 = 256;

/// Everything that business intelligence needs from the rest of Belvedere.
#[derive(Clone)]
pub struct BusinessParts {
    /// State.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Lasting customers: a contract is kept with somebody, whatever they consent to.
    pub register: Arc<dyn PersonRegister>,
    /// Who did what.
    pub audit: Arc<dyn AuditSink>,
    /// Questions to the events.
    pub queries: Arc<dyn Queries>,
    /// Which number of its stands for a subject.
    pub events: Arc<dyn EventStore>,
    /// What is personal data and not kept in names and questions.
    pub scrubber: Arc<dyn Scrubber>,
    /// By whose days periods are cut; UTC where nobody says.
    pub zones: Option<Arc<dyn ProjectZones>>,
    /// What is known of learners; none where nobody learns.
    pub learning: Option<Arc<dyn LearningNumbers>>,
}

/// What became of tracked events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackedRevenue {
    /// How many told of revenue and are new.
    pub taken: u64,
    /// How many were known.
    pub repeated: u64,
    /// Those that tell of revenue and cannot be read as such, by their place; they stay events.
    pub refused: Vec<(usize, ReadRevenueError)>,
}

/// Business intelligence on a database and an event store. A clone is the same service.
#[derive(Clone)]
pub struct BusinessService {
    pub(crate) parts: Arc<BusinessParts>,
    pub(crate) answers: Arc<Answers>,
}

impl std::fmt::Debug for BusinessService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BusinessService")
    }
}

/// What was stored.
#[derive(Debug, Default)]
struct Stored {
    taken: u64,
    repeated: u64,
    /// Customers who have so many events that theirs were not taken.
    full: BTreeSet<SubjectId>,
}

fn too_many_currencies() -> String {
    format!("the project has revenue in {CURRENCIES_MAX} others")
}

fn too_many() -> String {
    format!("has more than {EVENTS_OF_CUSTOMER_MAX} events of subscriptions")
}

impl BusinessService {
    /// The service over a migrated database.
    #[must_use]
    pub fn new(parts: BusinessParts) -> Self {
        Self { parts: Arc::new(parts), answers: Arc::default() }
    }

    /// What is kept of customers.
    #[must_use]
    pub fn subject_data(&self) -> Arc<dyn SubjectData> {
        Arc::new(CustomerData(Arc::clone(&self.parts)))
    }

    /// Who is in static cohorts; to be erased from before the event store is.
    #[must_use]
    pub fn cohort_data(&self) -> Arc<dyn SubjectData> {
        Arc::new(CohortData(Arc::clone(&self.parts)))
    }

    /// Takes from events of the event store what they tell of subscriptions, orders and refunds, in the transaction that
    /// appends them and before they are appended: the project's row is locked before the audit log and the event store.
    /// Repeated ones change nothing.
    ///
    /// # Errors
    /// A storage error.
    pub async fn record_tracked_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Event],
    ) -> Result<TrackedRevenue, StorageError> {
        let (mut told, mut tracked) = (Vec::new(), TrackedRevenue::default());
        for (place, event) in events.iter().enumerate() {
            match read_event(project, event) {
                Ok(Some(read)) => told.push((place, read)),
                Ok(None) => {}
                Err(error) => tracked.refused.push((place, error)),
            }
        }
        if told.is_empty() {
            return Ok(tracked);
        }
        let settings = store::lock_project(tx, project).await?;
        let mut currencies = settings.currencies.clone();
        let (mut subscriptions, mut places, mut charges) = (Vec::new(), Vec::new(), Vec::new());
        for (place, read) in told {
            let currency = match &read {
                Tracked::Subscription(event) => event.terms.currency,
                Tracked::Charge(charge) => Some(charge.currency),
            };
            currencies.extend(currency.filter(|_| currencies.len() < CURRENCIES_MAX));
            if currency.is_some_and(|currency| !currencies.contains(&currency)) {
                tracked.refused.push((place, ("currency", too_many_currencies()).into()));
                continue;
            }
            match read {
                Tracked::Subscription(event) => {
                    subscriptions.push(*event);
                    places.push(place);
                }
                Tracked::Charge(charge) => charges.push(charge),
            }
        }
        let stored = self.store(tx, project, &settings, &mut subscriptions, &charges).await?;
        for (event, place) in subscriptions.iter().zip(places) {
            if stored.full.contains(&event.customer) {
                tracked.refused.push((place, ("subscription_id", too_many()).into()));
            }
        }
        (tracked.taken, tracked.repeated) = (stored.taken, stored.repeated);
        Ok(tracked)
    }

    /// Stores events and charges, and writes the ledgers of whom they touch anew. A subscription stays with the customer
    /// that it was first told of.
    async fn store(
        &self,
        tx: &Tx,
        project: ProjectId,
        settings: &Settings,
        subscriptions: &mut [SubscriptionEvent],
        charges: &[OneOff],
    ) -> Result<Stored, StorageError> {
        let keys: BTreeSet<Key> = subscriptions.iter().map(|event| event.subscription).collect();
        let mut customers = store::find_customers(tx, project, &keys.into_iter().collect::<Vec<_>>()).await?;
        for event in subscriptions.iter_mut() {
            event.customer = *customers.entry(event.subscription).or_insert(event.customer);
        }
        let mut arriving: BTreeMap<SubjectId, u64> = BTreeMap::new();
        for event in subscriptions.iter() {
            *arriving.entry(event.customer).or_default() += 1;
        }
        let all: Vec<SubjectId> = arriving.keys().copied().collect();
        let counts = store::count_events(tx, project, &all).await?;
        let is_full = |customer: &SubjectId, count: u64| {
            counts.get(customer).copied().unwrap_or(0) + count > EVENTS_OF_CUSTOMER_MAX
        };
        let full: BTreeSet<SubjectId> =
            arriving.iter().filter(|(customer, count)| is_full(customer, **count)).map(|it| *it.0).collect();
        let taken: Vec<SubscriptionEvent> =
            subscriptions.iter().filter(|event| !full.contains(&event.customer)).cloned().collect();
        let new = store::insert_events(tx, project, &taken).await?;
        let touched: BTreeSet<SubjectId> =
            taken.iter().filter(|event| new.contains(&event.id)).map(|event| event.customer).collect();
        self.refold(tx, project, &settings.rules, &touched.into_iter().collect::<Vec<_>>()).await?;
        let new_charges = store::insert_charges(tx, project, charges).await?;
        let of_events = taken.iter().filter_map(|event| event.terms.currency);
        let currencies = of_events.chain(charges.iter().map(|charge| charge.currency)).collect();
        store::add_currencies(tx, project, &settings.currencies, &currencies).await?;
        let (told, new) = ((taken.len() + charges.len()) as u64, new.len() as u64 + new_charges);
        Ok(Stored { taken: new, repeated: told.saturating_sub(new), full })
    }

    async fn refold(
        &self,
        tx: &Tx,
        project: ProjectId,
        rules: &LedgerRules,
        customers: &[SubjectId],
    ) -> Result<(), StorageError> {
        let events = store::load_events(tx, project, customers).await?;
        let ledgers: Vec<_> =
            events.iter().map(|(customer, events)| (*customer, fold(events, rules))).collect();
        store::replace_ledgers(tx, project, &ledgers).await
    }

    /// Stores entries, each with its line; those that are wrong are refused and the others taken.
    async fn record(
        &self,
        project: ProjectId,
        entries: Vec<(usize, Entry)>,
        mut refused: Vec<Refused>,
        (action, by): (&'static str, &ChangedBy),
    ) -> Result<Recorded, BusinessError> {
        let mut good = Vec::with_capacity(entries.len());
        for (line, entry) in entries {
            match entry.check() {
                Ok(()) => good.push((line, entry)),
                Err((field, why)) => refused.push(Refused { line, field, why }),
            }
        }
        let mut people: Vec<RawPerson> = Vec::new();
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, entry) in &good {
            known.entry(&entry.customer).or_insert_with(|| {
                let identity = Identity { id: Some(entry.customer.clone()), ..Identity::default() };
                people.push(RawPerson::new(project, identity));
                people.len() - 1
            });
        }
        let mut recorded = self
            .parts
            .db
            .write(async |tx| {
                let customers = self.parts.register.register(tx, &people).await?;
                let settings = store::lock_project(tx, project).await?;
                let mut currencies = settings.currencies.clone();
                let (mut subscriptions, mut charges, mut lines) = (Vec::new(), Vec::new(), Vec::new());
                let mut refused = Vec::new();
                for (line, entry) in &good {
                    let place = known.get(entry.customer.as_str()).copied();
                    let Some(customer) = place.and_then(|place| customers.get(place).copied().flatten())
                    else {
                        let why = "identifies nobody".to_owned();
                        refused.push(Refused { line: *line, field: "customer", why });
                        continue;
                    };
                    currencies.extend(currency_of(entry));
                    if currencies.len() > CURRENCIES_MAX {
                        return Err(BusinessError::invalid("currency", too_many_currencies()));
                    }
                    match resolve(project, entry, customer) {
                        Tracked::Subscription(event) => {
                            subscriptions.push(*event);
                            lines.push(*line);
                        }
                        Tracked::Charge(charge) => charges.push(charge),
                    }
                }
                let stored = self.store(tx, project, &settings, &mut subscriptions, &charges).await?;
                for (event, line) in subscriptions.iter().zip(lines) {
                    if stored.full.contains(&event.customer) {
                        refused.push(Refused { line, field: "customer", why: too_many() });
                    }
                }
                let detail = json!({ "taken": stored.taken, "repeated": stored.repeated });
                self.audit(tx, project, by, (action, "revenue", detail)).await?;
                Ok(Recorded { taken: stored.taken, repeated: stored.repeated, refused })
            })
            .await?;
        recorded.refused.append(&mut refused);
        recorded.refused.sort_by_key(|refused| refused.line);
        Ok(recorded)
    }

    async fn audit(
        &self,
        tx: &Tx,
        project: ProjectId,
        by: &ChangedBy,
        (action, kind, detail): (&'static str, &'static str, serde_json::Value),
    ) -> Result<(), StorageError> {
        let entry = AuditEntry {
            project: Some(project),
            target: Some(Target { kind, id: project.to_string() }),
            request_id: by.request_id.clone(),
            detail,
            ..AuditEntry::new(by.actor, action)
        };
        self.parts.audit.record(tx, entry).await
    }
}

pub(crate) fn within(field: &'static str, number: usize, most: usize) -> Result<(), BusinessError> {
    if (1..=most).contains(&number) {
        return Ok(());
    }
    Err(BusinessError::invalid(field, format!("must be from 1 to {most}")))
}

fn currency_of(entry: &Entry) -> Option<Currency> {
    match &entry.what {
        What::Subscription { terms, .. } => terms.currency,
        What::Order { currency, .. } | What::Refund { currency, .. } => Some(*currency),
    }
}

/// What an entry tells, of whom.
fn resolve(project: ProjectId, entry: &Entry, customer: SubjectId) -> Tracked {
    let (id, at) = (Key::of(project, "entry", &entry.id).0, entry.at);
    let charge = |kind, amount_minor, currency| {
        Tracked::Charge(OneOff { id, customer, at, kind, currency, amount_minor })
    };
    match &entry.what {
        What::Subscription { subscription, kind, terms, is_trial, ends_at } => {
            Tracked::Subscription(Box::new(SubscriptionEvent {
                id,
                customer,
                subscription: Key::of(project, "subscription", subscription),
                at,
                kind: *kind,
                terms: terms.clone(),
                is_trial: *is_trial,
                ends_at: *ends_at,
            }))
        }
        What::Order { amount_minor, currency } => charge(ChargeKind::Order, *amount_minor, *currency),
        What::Refund { amount_minor, currency } => charge(ChargeKind::Refund, *amount_minor, *currency),
    }
}

#[async_trait]
impl RevenueRecords for BusinessService {
    async fn record_entries(
        &self,
        project: ProjectId,
        entries: Vec<Entry>,
        by: &ChangedBy,
    ) -> Result<Recorded, BusinessError> {
        if entries.len() > ENTRIES_MAX {
            return Err(BusinessError::invalid("entries", format!("must be at most {ENTRIES_MAX}")));
        }
        let numbered = (1..).zip(entries).collect();
        self.record(project, numbered, Vec::new(), ("business_revenue_recorded", by)).await
    }

    async fn import_csv(
        &self,
        project: ProjectId,
        text: &str,
        by: &ChangedBy,
    ) -> Result<Recorded, BusinessError> {
        let file = csv::read(text).map_err(|why| BusinessError::invalid("file", why))?;
        self.record(project, file.entries, file.refused, ("business_revenue_imported", by)).await
    }

    async fn set_rates(
        &self,
        project: ProjectId,
        rates: Vec<Rate>,
        by: &ChangedBy,
    ) -> Result<u64, BusinessError> {
        within("rates", rates.len(), RATES_MAX)?;
        if rates.iter().any(|rate| rate.from == rate.to) {
            return Err(BusinessError::invalid("from", "must be another currency than to"));
        }
        // The last of a day and pair counts; a statement must not meet one twice.
        let unique: BTreeMap<_, Rate> =
            rates.iter().map(|rate| ((rate.to, rate.day, rate.from), *rate)).collect();
        let unique: Vec<Rate> = unique.into_values().collect();
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                store::save_rates(tx, project, &unique).await?;
                let detail = json!({ "rates": unique.len() });
                self.audit(tx, project, by, ("business_rates_changed", "rates", detail)).await?;
                Ok::<_, BusinessError>(())
            })
            .await?;
        Ok(unique.len() as u64)
    }

    async fn find_rules(&self, project: ProjectId) -> Result<LedgerRules, BusinessError> {
        Ok(store::find_settings(self.parts.db.read(), project).await?.rules)
    }

    async fn set_rules(
        &self,
        project: ProjectId,
        rules: LedgerRules,
        by: &ChangedBy,
    ) -> Result<(), BusinessError> {
        rules.check().map_err(|(field, why)| BusinessError::invalid(field, why))?;
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                store::save_rules(tx, project, &rules).await?;
                let mut after = SubjectId(i64::MIN);
                loop {
                    let some = store::list_customers(tx, project, after, CUSTOMERS_AT_ONCE).await?;
                    let Some(last) = some.last().copied() else { break };
                    self.refold(tx, project, &rules, &some).await?;
                    after = last;
                }
                let detail = json!({ "rules": rules });
                self.audit(tx, project, by, ("business_rules_changed", "revenue", detail)).await?;
                Ok::<_, BusinessError>(())
            })
            .await?;
        Ok(())
    }
}
