//! From anonymous to known: which subject a linked visitor has from then on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    AuditSink, Entry, Identity, IdentityLink, ProjectId, RawPerson, SubjectData, SubjectDataError, SubjectId,
    SubjectRecords, VaultError,
};
use belvedere_storage::{Database, StorageError, Timestamp, Tx};
use serde_json::json;

use crate::gate::{Gate, Lasting, Remembered};
use crate::identity::{self, Lookup};
use crate::store;

/// A link whose ids are looked up.
struct Pair {
    anonymous: Lookup,
    user: Lookup,
    user_id: String,
}

/// Whom a link leads to.
#[derive(Clone, Copy)]
enum Target {
    Known(SubjectId),
    /// Somebody who is made by this transaction, by their place among those.
    New(usize),
}

/// What links of a project amount to.
#[derive(Default)]
struct Plan {
    strangers: Vec<RawPerson>,
    links: Vec<(Lookup, Target)>,
}

impl Gate {
    /// See [`belvedere_kernel::IdentityLinks::link_in`].
    ///
    /// No statement for links that this process knows, and a handful for each project that has others.
    pub(crate) async fn link(
        &self,
        tx: &Tx,
        links: &[IdentityLink],
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let mut by_project: BTreeMap<ProjectId, Vec<Pair>> = BTreeMap::new();
        for link in links {
            if let Some(pair) = self.pair(link)
                && !self.recall(&pair.anonymous, now).is_some_and(|known| known.is_linked)
            {
                by_project.entry(link.project).or_default().push(pair);
            }
        }
        let projects: Vec<ProjectId> = by_project.keys().copied().collect();
        let settings = self.settings.load(tx, &projects, now).await?;
        by_project.retain(|project, _| {
            settings.get(project).is_some_and(|loaded| loaded.settings.consent_default.analytics)
        });
        for (project, pairs) in by_project {
            self.link_project(tx, project, pairs, now).await?;
        }
        Ok(())
    }

    /// The look-ups of a link, as the gate makes them of people.
    fn pair(&self, link: &IdentityLink) -> Option<Pair> {
        let lookup = |identity: Identity| {
            let identity = identity::canonical(&identity);
            identity.key().map(|(kind, value)| self.hasher.lookup(link.project, kind, value))
        };
        let anonymous_id = Some(link.anonymous_id.clone());
        Some(Pair {
            anonymous: lookup(Identity { anonymous_id, ..Identity::default() })?,
            user: lookup(of_user(&link.user_id))?,
            user_id: link.user_id.clone(),
        })
    }

    async fn link_project(
        &self,
        tx: &Tx,
        project: ProjectId,
        pairs: Vec<Pair>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        // Nobody else makes or links people of the project until the transaction ends.
        store::lock_counter(tx, project).await?;
        let mut lookups: Vec<Lookup> = pairs.iter().flat_map(|pair| [pair.anonymous, pair.user]).collect();
        lookups.sort_unstable();
        lookups.dedup();
        let found = store::find_subjects_by_lookup(tx, project, &lookups).await?;
        let known = found.into_iter().map(|found| (found.lookup, (found.subject, found.is_linked))).collect();
        let plan = plan(project, pairs, &known);
        let made = self.resolve(tx, &plan.strangers, now, Lasting::ByConsent).await?;
        let subject_of = |target| match target {
            Target::Known(subject) => Some(subject),
            Target::New(place) => made.get(place).and_then(|admitted| admitted.subject),
        };
        let links: Vec<(Lookup, SubjectId)> = plan
            .links
            .into_iter()
            .filter_map(|(lookup, target)| Some((lookup, subject_of(target)?)))
            .collect();
        self.remembered.forget_in(tx, links.iter().map(|(lookup, _)| *lookup).collect());
        Ok(store::insert_links(tx, project, links, now).await?)
    }
}

fn of_user(user_id: &str) -> Identity {
    Identity { id: Some(user_id.to_owned()), ..Identity::default() }
}

/// Goes through links in their order; `known` has the subject of each known look-up and whether it is linked.
fn plan(project: ProjectId, pairs: Vec<Pair>, known: &HashMap<Lookup, (SubjectId, bool)>) -> Plan {
    let mut plan = Plan::default();
    let mut users: HashMap<Lookup, Target> = HashMap::new();
    let mut linked: HashSet<Lookup> = HashSet::new();
    for pair in pairs {
        let visitor = known.get(&pair.anonymous).copied();
        if visitor.is_some_and(|(_, is_linked)| is_linked) || !linked.insert(pair.anonymous) {
            continue;
        }
        let user = known.get(&pair.user).map(|(subject, _)| Target::Known(*subject));
        let user = users.get(&pair.user).copied().or(user);
        let target = match (user, visitor) {
            (Some(target), _) => target,
            (None, Some((subject, _))) => {
                plan.links.push((pair.user, Target::Known(subject)));
                Target::Known(subject)
            }
            (None, None) => {
                plan.strangers.push(RawPerson::new(project, of_user(&pair.user_id)));
                Target::New(plan.strangers.len() - 1)
            }
        };
        users.insert(pair.user, target);
        plan.links.push((pair.anonymous, target));
    }
    plan
}

const NAME: &str = "links";

/// Which ids lead to a subject by a link, for whoever exports and erases it. An id that led there is a stranger's from
/// then on.
pub(crate) struct LinkData {
    pub(crate) db: Database,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) remembered: Remembered,
}

fn failed(error: &StorageError) -> SubjectDataError {
    SubjectDataError { what: NAME, why: error.to_string(), is_transient: error.is_transient() }
}

#[async_trait]
impl SubjectData for LinkData {
    fn name(&self) -> &'static str {
        NAME
    }

    /// When each id was linked; the ids themselves are kept as keyed hashes only.
    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let after = after.map(|place| place.parse().map_err(|_| StorageError::corrupt("place in links")));
        let after = after.transpose().map_err(|error| failed(&error))?.unwrap_or(0);
        let page = store::list_links(self.db.read(), project, subject, after).await;
        let page = page.map_err(|error| failed(&error))?;
        let next = (page.len() == store::LINKS_PAGE).then(|| (after + page.len() as u64).to_string());
        let records = page.into_iter().map(|linked_at| json!({ "linked_at": linked_at })).collect();
        Ok(SubjectRecords { records, next })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let erased = self.db.write(async |tx| {
            // Nobody links somebody to the subject until the transaction ends.
            store::lock_counter(tx, project).await?;
            let lookups = store::delete_links(tx, project, subject).await?;
            let deleted = lookups.len() as u64;
            if deleted > 0 {
                let (of, detail) = (("privacy", "links_erased"), json!({ "rows_deleted": deleted }));
                self.audit.record(tx, Entry::of_erasure(of, project, subject, detail)).await?;
                self.remembered.forget_in(tx, lookups);
            }
            Ok::<u64, StorageError>(deleted)
        });
        erased.await.map_err(|error| failed(&error))
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        store::count_links(self.db.read(), project, subject).await.map_err(|error| failed(&error))
    }
}
