//! What people said they consent to: a log to which is only added, and what it comes to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{
    Actor, AuditSink, ConsentPurpose, ConsentStatement, Entry, ProjectId, SubjectData, SubjectDataError,
    SubjectId, SubjectRecords,
};
use belvedere_storage::{Database, StorageError, Timestamp, Tx};
use serde_json::json;

use crate::ConsentDefault;
use crate::cache::Cache;
use crate::store::consent as rows;

/// How many subjects are remembered.
const REMEMBERED_MAX: usize = 60_000;

/// How old what is remembered may be: so long may a word by another process go unnoticed.
const MAX_AGE: Duration = Duration::from_secs(5);

const NAME: &str = "consents";

/// What somebody said last about each purpose; none where they said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said([Option<bool>; ConsentPurpose::ALL.len()]);

impl Said {
    fn say(&mut self, purpose: ConsentPurpose, is_granted: bool) {
        self.0[purpose as usize] = Some(is_granted);
    }

    /// What holds for them, of a project where `default` holds for who has not been asked.
    pub(crate) fn over(self, default: ConsentDefault) -> ConsentDefault {
        let of = |purpose: ConsentPurpose, default: bool| self.0[purpose as usize].unwrap_or(default);
        ConsentDefault {
            analytics: of(ConsentPurpose::Analytics, default.analytics),
            marketing: of(ConsentPurpose::Marketing, default.marketing),
            detailed: of(ConsentPurpose::Detailed, default.detailed),
            location: of(ConsentPurpose::Location, default.location),
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consent {
    pub(crate) subject: SubjectId,
    pub(crate) purpose: ConsentPurpose,
    pub(crate) at: Timestamp,
    pub(crate) state: State,
    /// By what they said it.
    pub(crate) source: String,
}

/// What an entry says (ISO/IEC TS 27560, consent state).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Given,
    Refused,
    /// Refused after it was given.
    Withdrawn,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub(crate) fn find(word: &str) -> Option<Self> {
        [Self::Given, Self::Refused, Self::Withdrawn].into_iter().find(|state| state.as_str() == word)
    }
}

/// What the people of a project said, remembered for a few seconds.
pub(crate) struct Consents {
    remembered: Arc<Cache<(ProjectId, SubjectId), (Said, Timestamp)>>,
}

impl Default for Consents {
    fn default() -> Self {
        Self { remembered: Arc::new(Cache::new(REMEMBERED_MAX)) }
    }
}

impl Consents {
    /// What each of `subjects` said; those who said nothing are among them.
    pub(crate) async fn load(
        &self,
        tx: &Tx,
        project: ProjectId,
        subjects: &[SubjectId],
        now: Timestamp,
    ) -> Result<HashMap<SubjectId, Said>, StorageError> {
        let mut all = HashMap::with_capacity(subjects.len());
        let mut missing = Vec::new();
        for subject in subjects {
            match self.remembered.get(&(project, *subject)) {
                Some((said, at)) if at <= now && now.since(at) < MAX_AGE => drop(all.insert(*subject, said)),
                _ => missing.push(*subject),
            }
        }
        if missing.is_empty() {
            return Ok(all);
        }
        let mut loaded: HashMap<SubjectId, Said> = missing.iter().map(|it| (*it, Said::default())).collect();
        for consent in rows::list_last(tx, project, &missing).await? {
            let said = loaded.entry(consent.subject).or_default();
            said.say(consent.purpose, consent.state == State::Given);
        }
        all.extend(loaded.iter().map(|(subject, said)| (*subject, *said)));
        let remembered = Arc::clone(&self.remembered);
        // What this transaction wrote itself is not there before it is committed.
        tx.after_commit(move || {
            for (subject, said) in loaded {
                remembered.insert((project, subject), (said, now));
            }
        });
        Ok(all)
    }

    /// Adds to the log what is new: another word than the last one about a purpose, and a later one. How many entries.
    pub(crate) async fn record_in(
        &self,
        tx: &Tx,
        statements: &[ConsentStatement],
        (audit, now): (&dyn AuditSink, Timestamp),
    ) -> Result<u64, StorageError> {
        let mut projects: BTreeMap<ProjectId, Vec<&ConsentStatement>> = BTreeMap::new();
        for statement in statements {
            projects.entry(statement.project).or_default().push(statement);
        }
        let mut recorded = 0;
        for (project, statements) in projects {
            let mut subjects: Vec<SubjectId> = statements.iter().map(|statement| statement.subject).collect();
            subjects.sort_unstable();
            subjects.dedup();
            let last = rows::list_last(tx, project, &subjects).await?;
            let mut last: HashMap<(SubjectId, ConsentPurpose), (State, Timestamp)> =
                last.into_iter().map(|it| ((it.subject, it.purpose), (it.state, it.at))).collect();
            let mut new = Vec::new();
            for statement in statements {
                let key = (statement.subject, statement.purpose);
                let before = last.get(&key).copied();
                let at = match before {
                    Some((state, _)) if (state == State::Given) == statement.is_granted => continue,
                    // Of two words at once the refusal counts.
                    Some((_, at)) if at == statement.at && !statement.is_granted => {
                        at.plus(Duration::from_micros(1))
                    }
                    Some((_, at)) if statement.at <= at => continue,
                    _ => statement.at,
                };
                let state = match (statement.is_granted, before) {
                    (true, _) => State::Given,
                    (false, Some((State::Given, _))) => State::Withdrawn,
                    (false, _) => State::Refused,
                };
                last.insert(key, (state, at));
                let (subject, purpose) = (statement.subject, statement.purpose);
                new.push(Consent { subject, purpose, at, state, source: statement.source.to_owned() });
            }
            if new.is_empty() {
                continue;
            }
            let count = |state| new.iter().filter(|it| it.state == state).count();
            let detail = json!({
                "given": count(State::Given), "refused": count(State::Refused),
                "withdrawn": count(State::Withdrawn),
            });
            let entry = Entry {
                project: Some(project),
                detail,
                ..Entry::new(Actor::System("privacy"), "consents_recorded")
            };
            rows::insert(tx, project, &new, now).await?;
            audit.record(tx, entry).await?;
            recorded += new.len() as u64;
            let remembered = Arc::clone(&self.remembered);
            let said: Vec<SubjectId> = new.iter().map(|it| it.subject).collect();
            tx.after_commit(move || said.iter().for_each(|subject| remembered.remove(&(project, *subject))));
        }
        Ok(recorded)
    }
}

/// What is kept of what subjects said, for whoever exports and erases it.
pub(crate) struct ConsentData {
    pub(crate) db: Database,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) consents: Arc<Consents>,
}

fn failed(error: &StorageError) -> SubjectDataError {
    SubjectDataError { what: NAME, why: error.to_string(), is_transient: error.is_transient() }
}

#[async_trait]
impl SubjectData for ConsentData {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let after = after.unwrap_or_default();
        let (at, purpose) = after.split_once(' ').unwrap_or_default();
        let after = (at.parse().unwrap_or(i64::MIN), purpose);
        let page =
            rows::list(self.db.read(), project, subject, after).await.map_err(|error| failed(&error))?;
        let place = |(consent, _): &(Consent, Timestamp)| {
            format!("{} {}", consent.at.as_micros(), consent.purpose.as_str())
        };
        let next = page.last().filter(|_| page.len() == rows::PAGE).map(place);
        let records = page.into_iter().map(|(consent, recorded_at)| {
            json!({
                "purpose": consent.purpose.as_str(), "state": consent.state.as_str(), "at": consent.at,
                "source": consent.source, "recorded_at": recorded_at,
            })
        });
        Ok(SubjectRecords { records: records.collect(), next })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let erased = self.db.write(async |tx| {
            let deleted = rows::delete(tx, project, subject).await?;
            if deleted > 0 {
                let (of, detail) = (("privacy", "consents_erased"), json!({ "rows_deleted": deleted }));
                self.audit.record(tx, Entry::of_erasure(of, project, subject, detail)).await?;
                let remembered = Arc::clone(&self.consents.remembered);
                tx.after_commit(move || remembered.remove(&(project, subject)));
            }
            Ok::<u64, StorageError>(deleted)
        });
        erased.await.map_err(|error| failed(&error))
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        rows::count(self.db.read(), project, subject).await.map_err(|error| failed(&error))
    }
}
