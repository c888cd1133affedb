//! What arrives through the durable doors: the events that they have checked, as a JSON array.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::{APPEND_EVENTS_MAX, Event};
use belvedere_kernel::{
    Admitted, ConsentPurpose, ConsentStatement, Delivery, HandlerError, Identity, IdentityLink,
    IntakeHandler, ItemOutcome, LiveMessage, Prepared, PreparedBatch, ProjectId, RawPerson, Rejected, Stored,
    Tally, browser_address,
};
use belvedere_storage::{StorageError, Tx};
use serde_json::json;

use super::agent::Agents;
use super::clean::{clean, identity_of};
use super::event::{AnalyticsEvent, EventKind};
use super::service::TrackParts;
use super::stored::{to_revenue, to_stored};
use crate::revenue::tells_of_revenue;

/// What deliveries of product events are called.
pub const DELIVERY_KIND: &str = "track.events";

/// What an event is counted as.
pub const ITEM: &str = "product_event";

/// What an event is counted as besides where it tells of revenue.
const REVENUE_ITEM: &str = "revenue_event";

/// By what users say what they consent to.
const CONSENT_SOURCE: &str = "context.consent";

/// The topic of the message that tells how many events of a project were stored.
const TOPIC: &str = "track.events";

/// Reads deliveries of product events.
pub(crate) struct EventsHandler(pub(crate) Arc<TrackParts>);

#[async_trait]
impl IntakeHandler for EventsHandler {
    fn kind(&self) -> &'static str {
        DELIVERY_KIND
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        let (mut events, mut rejected) = (Vec::new(), Vec::new());
        for (index, delivery) in deliveries.into_iter().enumerate() {
            match serde_json::from_slice::<Vec<AnalyticsEvent>>(&delivery.body) {
                Ok(read) => {
                    let sender =
                        Arc::new(Sender { user_agent: delivery.user_agent, address: delivery.remote_ip });
                    let project = delivery.project;
                    events.extend(read.into_iter().map(|event| Incoming {
                        project,
                        event,
                        sender: Arc::clone(&sender),
                    }));
                }
                Err(error) => rejected.push(Rejected { index, reason: format!("product events: {error}") }),
            }
        }
        let batch = Batch::prepare(Arc::clone(&self.0), events).await?;
        Ok(Prepared { batch: Box::new(batch), rejected })
    }
}

/// An event on its way in.
pub(crate) struct Incoming {
    pub(crate) project: ProjectId,
    pub(crate) event: AnalyticsEvent,
    pub(crate) sender: Arc<Sender>,
}

/// What brought events here.
#[derive(Default)]
pub(crate) struct Sender {
    /// The User-Agent header of the request.
    user_agent: Option<String>,
    /// Where the request came from.
    address: Option<String>,
}

/// A cleaned event, and who it is about.
struct Ready {
    event: AnalyticsEvent,
    identity: Identity,
    sender: Arc<Sender>,
}

/// Events of some projects, without what says who somebody is.
pub(crate) struct Batch {
    parts: Arc<TrackParts>,
    projects: BTreeMap<ProjectId, Vec<Ready>>,
}

impl Batch {
    /// Takes personal data out of events.
    pub(crate) async fn prepare(
        parts: Arc<TrackParts>,
        incoming: Vec<Incoming>,
    ) -> Result<Self, StorageError> {
        let ids: BTreeSet<ProjectId> = incoming.iter().map(|it| it.project).collect();
        let ids: Vec<ProjectId> = ids.into_iter().collect();
        let rules = parts.scrubber.load(&ids).await?;
        let mut projects: BTreeMap<ProjectId, Vec<Ready>> = BTreeMap::new();
        for Incoming { project, mut event, sender } in incoming {
            let identity = identity_of(&event, sender.address.as_deref());
            clean(&mut event, &identity, project, &*rules);
            projects.entry(project).or_default().push(Ready { event, identity, sender });
        }
        Ok(Self { parts, projects })
    }

    /// Links visitors to users, and finds out whom each event is about.
    async fn admit(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Ready],
    ) -> Result<Vec<Admitted>, StorageError> {
        let links: Vec<IdentityLink> = events.iter().filter_map(|it| link_of(project, &it.event)).collect();
        if !links.is_empty() {
            self.parts.links.link_in(tx, &links).await?;
        }
        let people: Vec<RawPerson> = events
            .iter()
            .map(|it| RawPerson {
                refuses_analytics: it.event.refuses_analytics(),
                ..RawPerson::new(project, it.identity.clone())
            })
            .collect();
        let mut admitted = self.parts.gate.admit(tx, &people).await?;
        for (it, admitted) in events.iter().zip(&mut admitted) {
            admitted.detailed &= !it.event.refuses(ConsentPurpose::Detailed);
            admitted.location &= !it.event.refuses(ConsentPurpose::Location);
        }
        Ok(admitted)
    }

    /// What users say in events they consent to. They are subjects that last, so that it holds for what they do later.
    async fn read_consents(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Ready],
    ) -> Result<Vec<ConsentStatement>, StorageError> {
        let told: Vec<&AnalyticsEvent> =
            events.iter().map(|it| &it.event).filter(|it| it.consents().next().is_some()).collect();
        let users = told.into_iter().filter_map(|event| {
            let identity = Identity { id: Some(event.user_id.clone()?), ..Identity::default() };
            Some((event, RawPerson::new(project, identity)))
        });
        let (told, users): (Vec<&AnalyticsEvent>, Vec<RawPerson>) = users.unzip();
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let subjects = self.parts.register.register(tx, &users).await?;
        let mut statements = Vec::new();
        for (event, subject) in told.iter().zip(subjects) {
            let Some(subject) = subject else { continue };
            statements.extend(event.consents().map(|(purpose, is_granted)| ConsentStatement {
                project,
                subject,
                purpose,
                is_granted,
                at: event.timestamp,
                source: CONSENT_SOURCE,
            }));
        }
        statements.sort_by_key(|statement| statement.at);
        Ok(statements)
    }

    /// Takes from events what they tell of revenue. Their customers last, like the contracts that they have.
    async fn record_revenue(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Ready],
        admitted: &[Admitted],
    ) -> Result<Vec<Tally>, StorageError> {
        let Some(revenue) = &self.parts.revenue else { return Ok(Vec::new()) };
        let is_told = |it: &Ready| it.event.kind == EventKind::Track && tells_of_revenue(&it.event.name);
        let told: Vec<(&Ready, &Admitted)> =
            events.iter().zip(admitted).filter(|(it, _)| is_told(it)).collect();
        if told.is_empty() {
            return Ok(Vec::new());
        }
        let users = told.iter().filter_map(|(it, _)| it.event.user_id.clone());
        let users: Vec<RawPerson> = users
            .map(|id| RawPerson::new(project, Identity { id: Some(id), ..Identity::default() }))
            .collect();
        let mut lasting = self.parts.register.register(tx, &users).await?.into_iter();
        let mut read = Vec::with_capacity(told.len());
        for (it, admitted) in &told {
            let customer = match it.event.user_id {
                Some(_) => lasting.next().flatten(),
                // Nobody is followed from day to day without consent.
                None => admitted.subject.filter(|_| admitted.analytics),
            };
            read.extend(customer.and_then(|customer| to_revenue(&it.event, customer)));
        }
        let tracked = revenue.record_tracked_in(tx, project, &read).await?;
        let tally = |outcome, reason, quantity| Tally {
            project,
            item: REVENUE_ITEM.to_owned(),
            outcome,
            reason,
            quantity,
        };
        let mut tallies = vec![
            tally(ItemOutcome::Stored, "", tracked.taken),
            tally(ItemOutcome::Dropped, "duplicate", tracked.repeated),
            tally(ItemOutcome::Dropped, "no_customer", (told.len() - read.len()) as u64),
        ];
        for (place, error) in tracked.refused {
            let name = read.get(place).map_or("", |event| event.name.as_str());
            tracing::debug!(%project, name, %error, "an event tells nothing of revenue");
            tallies.push(tally(ItemOutcome::Dropped, error.field, 1));
        }
        tallies.retain(|tally| tally.quantity > 0);
        Ok(tallies)
    }

    async fn append(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Ready],
        admitted: &[Admitted],
    ) -> Result<Stored, StorageError> {
        let mut agents = Agents::default();
        let aliases = events.iter().filter(|it| it.event.kind == EventKind::Alias).count();
        let stored: Vec<Event> = events
            .iter()
            .zip(admitted)
            .filter_map(|(it, admitted)| {
                let is_told = admitted.analytics && admitted.location;
                let place = self
                    .parts
                    .places
                    .as_ref()
                    .filter(|_| is_told)
                    .and_then(|places| places.find(client_address(&it.event, &it.sender)?));
                to_stored(&it.event, *admitted, (it.sender.user_agent.as_deref(), place), &mut agents)
            })
            .collect();
        let invalid = events.len() - aliases - stored.len();
        let (mut new, mut duplicates) = (0, 0);
        for some in stored.chunks(APPEND_EVENTS_MAX) {
            let appended = self.parts.events.append_in(tx, project, some).await?;
            new += appended.stored;
            duplicates += appended.duplicates;
        }
        let tally =
            |outcome, reason, quantity| Tally { project, item: ITEM.to_owned(), outcome, reason, quantity };
        let tallies = [
            // An alias is no event; what it says is kept.
            tally(ItemOutcome::Stored, "", new + aliases as u64),
            tally(ItemOutcome::Dropped, "duplicate", duplicates),
            tally(ItemOutcome::Dropped, "invalid", invalid as u64),
        ];
        let message =
            LiveMessage { project: Some(project), topic: TOPIC.to_owned(), data: json!({ "events": new }) };
        Ok(Stored {
            tallies: tallies.into_iter().filter(|tally| tally.quantity > 0).collect(),
            messages: if new > 0 { vec![message] } else { Vec::new() },
        })
    }
}

/// Where the user is: the address that the client tells, else that of a request by a browser.
fn client_address(event: &AnalyticsEvent, sender: &Sender) -> Option<IpAddr> {
    match &event.context.ip {
        Some(told) => told.parse().ok(),
        None => browser_address(sender.user_agent.as_deref(), sender.address.as_deref()),
    }
}

/// What an event says of a visitor and a user. Whoever refuses analytics is linked to nobody.
fn link_of(project: ProjectId, event: &AnalyticsEvent) -> Option<IdentityLink> {
    let visitor = match event.kind {
        EventKind::Identify => &event.anonymous_id,
        EventKind::Alias => &event.previous_id,
        _ => &None,
    };
    let (visitor, user) = (visitor.as_ref()?, event.user_id.as_ref()?);
    (!event.refuses_analytics()).then(|| IdentityLink {
        project,
        anonymous_id: visitor.clone(),
        user_id: user.clone(),
    })
}

#[async_trait]
impl PreparedBatch for Batch {
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError> {
        // People of all projects before revenue of any, that before the audit log, and that before events of any, each in
        // the order of ids, as every other batch does it: two transactions then never wait for each other in a circle.
        let (mut admitted, mut consents) = (Vec::with_capacity(self.projects.len()), Vec::new());
        for (project, events) in &self.projects {
            admitted.push(self.admit(tx, *project, events).await?);
            consents.extend(self.read_consents(tx, *project, events).await?);
        }
        let mut all = Stored::default();
        for ((project, events), admitted) in self.projects.iter().zip(&admitted) {
            all.tallies.extend(self.record_revenue(tx, *project, events, admitted).await?);
        }
        if !consents.is_empty() {
            self.parts.consents.record_consents_in(tx, &consents).await?;
        }
        for ((project, events), admitted) in self.projects.iter().zip(&admitted) {
            let stored = self.append(tx, *project, events, admitted).await?;
            all.tallies.extend(stored.tallies);
            all.messages.extend(stored.messages);
        }
        Ok(all)
    }
}
