//! From raw people to subjects, in bulk: the hot path of the intake.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use belvedere_kernel::{Admitted, Identity, KeyOwner, ProjectId, RawPerson, SubjectId, VaultError};
use belvedere_storage::{StorageError, Timestamp, Tx};

use sea_orm::ConnectionTrait;

use crate::MasterKey;
use crate::cache::Cache;
use crate::consent::{Consents, Said};
use crate::identity::{self, Fingerprint, IdentityHasher, Lookup};
use crate::salts::DailySalts;
use crate::sealing::{self, KeyBytes, Purpose};
use crate::settings::{Loaded, SettingsCache};
use crate::store::{self, Found, NewSubject};
use crate::vault::VaultService;

/// How many subjects are remembered, some 10 MB.
const REMEMBERED_MAX: usize = 60_000;

/// How long an anonymous id may be remembered that is not linked: so long may a link by another process go unnoticed.
const UNLINKED_MAX: Duration = Duration::from_secs(5);

/// How long what leads to somebody by a link may be remembered: so long may another process's erasure of the link go
/// unnoticed.
const LINKED_MAX: Duration = Duration::from_secs(60);

/// What is remembered of a subject.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) subject: SubjectId,
    fingerprint: Fingerprint,
    /// Whether an anonymous id leads to somebody with a user id, or a user id to who was anonymous.
    pub(crate) is_linked: bool,
    /// When it is to be looked up again, if ever.
    until: Option<Timestamp>,
}

impl Known {
    fn new(subject: SubjectId, fingerprint: Fingerprint, is_linked: bool) -> Self {
        Self { subject, fingerprint, is_linked, until: None }
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Subjects by their look-ups. A clone is the same memory.
#[derive(Clone)]
pub(crate) struct Remembered(Arc<Cache<Lookup, Known>>);

impl Remembered {
    /// Forgets look-ups at once, and again after the commit, as others may have looked meanwhile.
    pub(crate) fn forget_in(&self, tx: &Tx, lookups: Vec<Lookup>) {
        let remembered = Arc::clone(&self.0);
        lookups.iter().for_each(|lookup| remembered.remove(lookup));
        tx.after_commit(move || lookups.iter().for_each(|lookup| remembered.remove(lookup)));
    }
}

/// Who gets a subject that lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Who consents to analytics.
    ByConsent,
    /// Everybody.
    Always,
}

/// A person on the way through the gate.
struct Person {
    project: ProjectId,
    lookup: Lookup,
    /// What is to be stored; `None` for a subject of one day.
    identity: Option<Identity>,
    fingerprint: Fingerprint,
    is_anonymous: bool,
    known: Option<Known>,
}

pub(crate) struct Gate {
    vault: VaultService,
    pub(crate) settings: Arc<SettingsCache>,
    pub(crate) hasher: IdentityHasher,
    salts: DailySalts,
    pub(crate) remembered: Remembered,
    pub(crate) consents: Arc<Consents>,
}

impl Gate {
    pub(crate) fn new(vault: VaultService, settings: Arc<SettingsCache>, master_key: &MasterKey) -> Self {
        Self {
            vault,
            settings,
            hasher: IdentityHasher::new(master_key),
            salts: DailySalts::new(master_key),
            remembered: Remembered(Arc::new(Cache::new(REMEMBERED_MAX))),
            consents: Arc::default(),
        }
    }

    pub(crate) fn salts(&self) -> &DailySalts {
        &self.salts
    }

    /// See [`belvedere_kernel::ConsentGate::admit`].
    ///
    /// A handful of statements for each project that has people unknown to this process, none for the others.
    pub(crate) async fn admit(
        &self,
        tx: &Tx,
        raw: &[RawPerson],
        now: Timestamp,
    ) -> Result<Vec<Admitted>, VaultError> {
        self.resolve(tx, raw, now, Lasting::ByConsent).await
    }

    /// See [`belvedere_kernel::PersonRegister::register`].
    pub(crate) async fn register(
        &self,
        tx: &Tx,
        raw: &[RawPerson],
        now: Timestamp,
    ) -> Result<Vec<Option<SubjectId>>, VaultError> {
        let admitted = self.resolve(tx, raw, now, Lasting::Always).await?;
        Ok(admitted.into_iter().map(|admitted| admitted.subject).collect())
    }

    /// See [`belvedere_kernel::PersonRegister::find`]; one query for each project with people unknown to this process.
    pub(crate) async fn find(
        &self,
        connection: &impl ConnectionTrait,
        raw: &[RawPerson],
        now: Timestamp,
    ) -> Result<Vec<Option<SubjectId>>, StorageError> {
        let lookup = |person: &RawPerson| {
            let identity = identity::canonical(&person.identity);
            let (kind, value) = identity.key()?;
            Some(self.hasher.lookup(person.project, kind, value))
        };
        let lookups: Vec<Option<Lookup>> = raw.iter().map(lookup).collect();
        let mut found: HashMap<Lookup, SubjectId> = HashMap::new();
        let mut unknown: BTreeMap<ProjectId, Vec<Lookup>> = BTreeMap::new();
        for (person, lookup) in raw.iter().zip(&lookups) {
            let Some(lookup) = lookup else { continue };
            match self.recall(lookup, now) {
                Some(known) => drop(found.insert(*lookup, known.subject)),
                None => unknown.entry(person.project).or_default().push(*lookup),
            }
        }
        for (project, lookups) in unknown {
            let rows = store::find_subjects_by_lookup(connection, project, &lookups).await?;
            found.extend(rows.into_iter().map(|row| (row.lookup, row.subject)));
        }
        Ok(lookups.into_iter().map(|lookup| found.get(&lookup?).copied()).collect())
    }

    pub(crate) async fn resolve(
        &self,
        tx: &Tx,
        raw: &[RawPerson],
        now: Timestamp,
        lasting: Lasting,
    ) -> Result<Vec<Admitted>, VaultError> {
        let (mut admitted, mut people, places) = self.recognise(tx, raw, now, lasting).await?;

        let mut unknown: BTreeMap<ProjectId, Vec<usize>> = BTreeMap::new();
        for (index, person) in people.iter_mut().enumerate() {
            person.known = self.recall(&person.lookup, now);
            if person.known.is_none() {
                unknown.entry(person.project).or_default().push(index);
            }
        }
        let mut learned: Vec<usize> = unknown.values().flatten().copied().collect();
        // In the order of projects, so that two transactions wait for each other rather than lock each other out.
        for (project, indices) in unknown {
            self.find_or_make(tx, project, &mut people, indices, now).await?;
        }
        learned.extend(self.take_over_news(tx, &mut people).await?);

        let hits = learned.into_iter().filter_map(|index| {
            let person = people.get(index)?;
            let known = person.known?;
            let longest = match known.is_linked {
                true => Some(LINKED_MAX),
                false => person.is_anonymous.then_some(UNLINKED_MAX),
            };
            let until = longest.map(|longest| now.plus(longest));
            Some((person.lookup, Known { until, ..known }))
        });
        let (hits, remembered) = (hits.collect::<Vec<_>>(), Arc::clone(&self.remembered.0));
        if !hits.is_empty() {
            tx.after_commit(move || {
                hits.into_iter().for_each(|(lookup, known)| remembered.insert(lookup, known))
            });
        }
        for (admitted, place) in admitted.iter_mut().zip(places) {
            let person = place.and_then(|place| people.get(place));
            admitted.subject = person.and_then(|person| person.known).map(|known| known.subject);
        }
        Ok(admitted)
    }

    /// What is remembered of a look-up and still holds.
    pub(crate) fn recall(&self, lookup: &Lookup, now: Timestamp) -> Option<Known> {
        self.remembered.0.get(lookup).filter(|known| known.is_fresh(now))
    }

    /// Decides what each person's project allows, and brings spellings of the same person together. Returns for each
    /// raw person what is allowed, the distinct people, and where among them the raw person is.
    async fn recognise(
        &self,
        tx: &Tx,
        raw: &[RawPerson],
        now: Timestamp,
        lasting: Lasting,
    ) -> Result<(Vec<Admitted>, Vec<Person>, Vec<Option<usize>>), VaultError> {
        let mut projects: Vec<ProjectId> = raw.iter().map(|person| person.project).collect();
        projects.sort_unstable();
        projects.dedup();
        let settings = self.settings.load(tx, &projects, now).await?;
        let said = self.find_said(tx, raw, &settings, now).await?;

        let mut salted = None;
        let mut people: Vec<Person> = Vec::new();
        let mut by_lookup: HashMap<Lookup, usize> = HashMap::new();
        let mut by_spelling: HashMap<&RawPerson, Option<usize>> = HashMap::with_capacity(raw.len());
        let (mut admitted, mut places) = (Vec::with_capacity(raw.len()), Vec::with_capacity(raw.len()));
        for person in raw {
            let consent = settings.get(&person.project).map(|loaded| loaded.settings.consent_default);
            let consent = said.get(person).copied().unwrap_or_default().over(consent.unwrap_or_default());
            let consent = Some(consent).filter(|_| !person.refuses_analytics).unwrap_or_default();
            let is_lasting = consent.analytics || lasting == Lasting::Always;
            admitted.push(Admitted {
                subject: None,
                analytics: consent.analytics,
                detailed: consent.detailed,
                location: consent.location,
            });
            if let Some(place) = by_spelling.get(person) {
                places.push(*place);
                continue;
            }
            let mut identity = identity::canonical(&person.identity);
            let lookup = match identity.key() {
                None => None,
                Some((kind, value)) if is_lasting => {
                    Some((kind, self.hasher.lookup(person.project, kind, value)))
                }
                Some((kind, value)) => {
                    if salted.is_none() {
                        salted = Some(self.salts.hash_in(tx, now).await?);
                    }
                    salted
                        .as_ref()
                        .map(|salted| (kind, identity::hash_of(salted, person.project, kind, value)))
                }
            };
            let place = lookup.map(|(kind, lookup)| {
                let is_anonymous = is_lasting && kind == Identity::ANONYMOUS;
                // An address says where somebody is; it is kept without consent to that only where it is all there is.
                if !consent.location && kind != "ip" {
                    identity.ip_address = None;
                }
                let index = *by_lookup.entry(lookup).or_insert_with(|| {
                    let identity = is_lasting.then(Identity::default);
                    let fingerprint = Fingerprint::default();
                    people.push(Person {
                        project: person.project,
                        lookup,
                        identity,
                        fingerprint,
                        is_anonymous,
                        known: None,
                    });
                    people.len() - 1
                });
                if let Some(known) = &mut people[index].identity {
                    identity::merge(known, &identity);
                }
                index
            });
            by_spelling.insert(person, place);
            places.push(place);
        }
        for person in &mut people {
            if let Some(identity) = &person.identity {
                person.fingerprint = self.hasher.fingerprint(person.project, identity);
            }
        }
        Ok((admitted, people, places))
    }

    /// What people with a user id said they consent to; empty where nobody of their project said anything.
    async fn find_said<'a>(
        &self,
        tx: &Tx,
        raw: &'a [RawPerson],
        settings: &HashMap<ProjectId, Arc<Loaded>>,
        now: Timestamp,
    ) -> Result<HashMap<&'a RawPerson, Said>, StorageError> {
        let mut lookups: BTreeMap<ProjectId, HashMap<&RawPerson, Lookup>> = BTreeMap::new();
        for person in raw {
            if settings.get(&person.project).is_some_and(|loaded| loaded.has_consents)
                && let Some(("id", value)) = identity::canonical(&person.identity).key()
            {
                let lookup = self.hasher.lookup(person.project, "id", value);
                lookups.entry(person.project).or_default().insert(person, lookup);
            }
        }
        let mut all = HashMap::new();
        for (project, people) in lookups {
            let mut subjects: HashMap<Lookup, SubjectId> = HashMap::new();
            let mut unknown = Vec::new();
            for lookup in people.values() {
                match self.recall(lookup, now) {
                    Some(known) => drop(subjects.insert(*lookup, known.subject)),
                    None => unknown.push(*lookup),
                }
            }
            let found = store::find_subjects_by_lookup(tx, project, &unknown).await?;
            subjects.extend(found.into_iter().map(|found| (found.lookup, found.subject)));
            let known: Vec<SubjectId> = subjects.values().copied().collect();
            let said = self.consents.load(tx, project, &known, now).await?;
            all.extend(
                people
                    .into_iter()
                    .filter_map(|(person, lookup)| Some((person, *said.get(subjects.get(&lookup)?)?))),
            );
        }
        Ok(all)
    }

    /// Sets `known` of the people at `indices`, who belong to `project` and are not remembered.
    async fn find_or_make(
        &self,
        tx: &Tx,
        project: ProjectId,
        people: &mut [Person],
        indices: Vec<usize>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let unknown = find(tx, project, people, indices).await?;
        if unknown.is_empty() {
            return Ok(());
        }
        let count = store::lock_counter(tx, project).await?;
        let unknown =
            if store::others_may_write(tx) { find(tx, project, people, unknown).await? } else { unknown };
        let subjects = (count + 1..).map(SubjectId);
        for (index, subject) in unknown.iter().zip(subjects) {
            let fingerprint = people[*index].fingerprint;
            people[*index].known = Some(Known::new(subject, fingerprint, false));
        }
        let made: Vec<(&Person, SubjectId)> = unknown
            .iter()
            .filter_map(|index| Some((&people[*index], people[*index].known?.subject)))
            .collect();
        let Some((_, last)) = made.last().copied() else { return Ok(()) };
        let identified =
            made.iter().filter(|(person, _)| person.identity.is_some()).map(|(_, subject)| *subject);
        let keys = self.vault.make_keys_in(tx, project, identified).await?;
        let rows = made.into_iter().map(|(person, subject)| {
            let identity = match (&person.identity, keys.get(&subject)) {
                (Some(identity), Some(key)) => Some(seal(key, project, subject, identity)?),
                _ => None,
            };
            Ok(NewSubject { subject, lookup: person.lookup, identity, fingerprint: person.fingerprint })
        });
        let rows = rows.collect::<Result<Vec<_>, VaultError>>()?;
        Ok(store::insert_subjects(tx, project, rows, last, now).await?)
    }

    /// Rewrites the stored identity of those of whom something new was said, and returns who they are.
    async fn take_over_news(&self, tx: &Tx, people: &mut [Person]) -> Result<Vec<usize>, VaultError> {
        let mut changed: BTreeMap<ProjectId, BTreeMap<i64, usize>> = BTreeMap::new();
        for (index, person) in people.iter().enumerate() {
            if let (Some(known), Some(_)) = (person.known, &person.identity)
                && known.fingerprint.lacks(person.fingerprint)
                // One of the visits of somebody who is known: news of it would replace those of another.
                && !(person.is_anonymous && known.is_linked)
            {
                changed.entry(person.project).or_default().insert(known.subject.0, index);
            }
        }
        for (project, changed) in &changed {
            let subjects: Vec<SubjectId> = changed.keys().map(|subject| SubjectId(*subject)).collect();
            let keys = self.vault.subject_keys_in(tx, *project, &subjects).await?;
            let mut rows = store::list_subjects(tx, *project, &subjects).await?;
            rows.sort_unstable_by_key(|row| row.subject_id);
            let mut written = Vec::with_capacity(rows.len());
            for mut row in rows {
                let subject = SubjectId(row.subject_id);
                let Some(person) = changed.get(&row.subject_id).and_then(|index| people.get_mut(*index))
                else {
                    continue;
                };
                // Whoever's key was destroyed stays forgotten; what was altered stays as evidence.
                let is_linked = person.known.is_some_and(|known| known.is_linked);
                person.known = Some(Known::new(subject, person.fingerprint, is_linked));
                let (Some(key), Some(news)) = (keys.get(&subject), &person.identity) else { continue };
                let mut identity =
                    match row.identity.as_ref().map(|sealed| open(key, *project, subject, sealed)) {
                        Some(Ok(identity)) => identity,
                        Some(Err(error)) => {
                            tracing::error!(%project, %subject, %error, "stored identity cannot be read");
                            continue;
                        }
                        None => Identity::default(),
                    };
                identity::merge(&mut identity, news);
                let fingerprint = self.hasher.fingerprint(*project, &identity);
                row.identity = Some(seal(key, *project, subject, &identity)?);
                row.fingerprint = Some(fingerprint.to_bytes());
                person.known = Some(Known::new(subject, fingerprint, is_linked));
                written.push(row);
            }
            store::update_identities(tx, written).await?;
        }
        Ok(changed.into_values().flat_map(BTreeMap::into_values).collect())
    }
}

/// Sets `known` of those at `indices` that are stored, and returns the others.
async fn find(
    tx: &Tx,
    project: ProjectId,
    people: &mut [Person],
    indices: Vec<usize>,
) -> Result<Vec<usize>, StorageError> {
    let lookups: Vec<Lookup> = indices.iter().map(|index| people[*index].lookup).collect();
    let found: HashMap<Lookup, Known> = store::find_subjects_by_lookup(tx, project, &lookups)
        .await?
        .into_iter()
        .map(|Found { lookup, subject, fingerprint, is_linked }| {
            (lookup, Known::new(subject, fingerprint, is_linked))
        })
        .collect();
    Ok(indices
        .into_iter()
        .filter(|index| {
            let person = &mut people[*index];
            person.known = found.get(&person.lookup).copied();
            person.known.is_none()
        })
        .collect())
}

fn seal(
    key: &KeyBytes,
    project: ProjectId,
    subject: SubjectId,
    identity: &Identity,
) -> Result<Vec<u8>, VaultError> {
    let json = identity::to_json(identity).map_err(|error| StorageError::corrupt(error.to_string()))?;
    sealing::seal(key, &sealing::associated_data(Purpose::Value, KeyOwner::Subject(project, subject)), &json)
}

fn open(
    key: &KeyBytes,
    project: ProjectId,
    subject: SubjectId,
    sealed: &[u8],
) -> Result<Identity, VaultError> {
    let owner = KeyOwner::Subject(project, subject);
    let json = sealing::open(key, &sealing::associated_data(Purpose::Value, owner), sealed)?;
    parse(&json)
}

/// The identity in opened bytes.
pub(crate) fn parse(json: &[u8]) -> Result<Identity, VaultError> {
    Ok(identity::from_json(json)
        .map_err(|error| StorageError::corrupt(format!("stored identity: {error}")))?)
}
