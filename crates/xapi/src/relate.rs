//! What new statements are found by: their own terms at once, and through references those of the statements that they
//! are about, whichever comes first. And which of them are voided.

use std::collections::{BTreeSet, HashMap, HashSet};

use belvedere_kernel::SubjectId;
use belvedere_storage::{Id, Sql, StorageError, bulk, query_sql};

use crate::XapiError;
use crate::commit::{Accepted, IS_VOIDED, IS_VOIDING, ProjectWork, by_id, id_value};
use crate::posting::{self, Term, late};
use crate::recent;
use crate::statement::Ifi;
use crate::statement::references::References;

/// How long a chain of references is followed, and how many statements refer through one.
const CHAIN_MAX: usize = 32;
const REFERRERS_MAX: usize = 1_000;

/// The keys under which a statement itself is found, but for those of people.
pub(crate) fn keys_without_people(references: &References) -> Vec<i64> {
    let activity = references.activity.iter().map(|id| Term::Activity(id).key());
    let related = references.related_activities.iter().map(|id| Term::RelatedActivity(id).key());
    let registration = references.registration.map(|id| Term::Registration(id).key());
    let verb = Term::Verb(&references.verb).key();
    activity.chain(related).chain(registration).chain([verb]).collect()
}

/// All keys under which a statement itself is found, each once.
fn keys_of(references: &References, mut keys: Vec<i64>, subjects: &HashMap<Ifi, SubjectId>) -> Vec<i64> {
    for subject in references.people.iter().filter_map(|ifi| subjects.get(ifi)) {
        keys.push(Term::Agent(*subject).key());
        keys.push(Term::AgentVerb(*subject, &references.verb).key());
    }
    for subject in references.related_people.iter().filter_map(|ifi| subjects.get(ifi)) {
        keys.push(Term::RelatedAgent(*subject).key());
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What is voided from now on.
#[derive(Default)]
pub(crate) struct Voided {
    pub(crate) new: HashSet<[u8; 16]>,
    /// Statements of earlier transactions.
    pub(crate) earlier: Vec<[u8; 16]>,
}

impl ProjectWork<'_> {
    /// Writes postings and targets; what is voided by the new statements, or of them.
    pub(crate) async fn relate(
        &self,
        accepted: &[Accepted<'_>],
        subjects: &HashMap<Ifi, SubjectId>,
    ) -> Result<Voided, XapiError> {
        let own = accepted.iter().map(|it| it.statement);
        let own = own.map(|it| keys_of(&it.references, it.keys_without_people.clone(), subjects));
        let own: Vec<Vec<i64>> = own.collect();
        let postings =
            accepted.iter().zip(&own).flat_map(|(it, keys)| keys.iter().map(|key| (*key, it.stored)));
        let first = accepted.first().map_or(0, |it| it.stored);
        recent::insert(self.tx, self.project, (first, accepted.len()), postings.collect()).await?;
        let mut targets = Vec::new();
        for it in accepted {
            if let Some(target) = it.statement.references.target {
                let is_voiding = it.statement.references.is_voiding;
                targets.push([self.project.0.into(), id_value(target), it.stored.into(), is_voiding.into()]);
            }
        }
        // Only an id that a client gave can have been referred to before.
        let given = accepted.iter().filter(|it| it.statement.is_given_id).map(|it| it.statement.id).collect();
        let waiting = self.referrers(given).await?;
        let voided = self.void(accepted, &waiting).await?;
        if targets.is_empty() && waiting.is_empty() {
            return Ok(voided);
        }
        let head = "INSERT INTO xapi_target (project_id, target_id, stored, is_voiding) VALUES ";
        bulk(self.tx, head, targets, "").await?;
        self.inherit(accepted, &own, &waiting).await?;
        Ok(voided)
    }

    /// Which statements are about these: target, when it was stored, whether it voids.
    async fn referrers(
        &self,
        ids: Vec<[u8; 16]>,
    ) -> Result<HashMap<[u8; 16], HashMap<i64, bool>>, XapiError> {
        let mut sql =
            Sql::new(self.tx, "SELECT target_id, stored, is_voiding FROM xapi_target WHERE project_id = ");
        sql.bind(self.project.0).push(" AND target_id");
        let values: Vec<_> = ids.into_iter().map(id_value).collect();
        let mut found: HashMap<[u8; 16], HashMap<i64, bool>> = HashMap::new();
        for row in sql.fetch_in(self.tx, &values).await? {
            let read = || -> Result<(Id<()>, i64, bool), sea_orm::DbErr> {
                Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?))
            };
            let (target, stored, is_voiding) = read().map_err(StorageError::from)?;
            found.entry(target.to_bytes()).or_default().insert(stored, is_voiding);
        }
        Ok(found)
    }

    /// Voids what new statements void, and what earlier ones have voided before it came. What voids cannot be voided.
    async fn void(
        &self,
        accepted: &[Accepted<'_>],
        waiting: &HashMap<[u8; 16], HashMap<i64, bool>>,
    ) -> Result<Voided, XapiError> {
        let mut voided = Voided::default();
        let voiding = accepted.iter().filter(|it| it.statement.references.is_voiding);
        let targets: Vec<[u8; 16]> = voiding.filter_map(|it| it.statement.references.target).collect();
        if !targets.is_empty() {
            let valid = format!("flags & {} = 0 AND project_id = ", IS_VOIDED | IS_VOIDING);
            let table = by_id(self.tx);
            let mut sql = Sql::new(self.tx, &format!("SELECT statement_id FROM {table} WHERE {valid}"));
            sql.bind(self.project.0).push(" AND statement_id");
            let values: Vec<_> = targets.iter().copied().map(id_value).collect();
            for row in sql.fetch_in(self.tx, &values).await? {
                let id: Id<()> = row.try_get_by_index(0).map_err(StorageError::from)?;
                voided.earlier.push(id.to_bytes());
            }
            let set = format!("UPDATE {table} SET flags = flags | {IS_VOIDED} WHERE {valid}");
            let mut sql = Sql::new(self.tx, &set);
            sql.bind(self.project.0).push(" AND statement_id");
            sql.execute_in(self.tx, &values).await?;
        }
        let was_voided =
            |id: &[u8; 16]| waiting.get(id).is_some_and(|them| them.values().any(|voids| *voids));
        let new = accepted.iter().filter(|it| !it.statement.references.is_voiding).map(|it| it.statement.id);
        voided.new = new.filter(|id| targets.contains(id) || was_voided(id)).collect();
        Ok(voided)
    }

    /// Lets statements be found by what those are found by that they are about.
    async fn inherit(
        &self,
        accepted: &[Accepted<'_>],
        own: &[Vec<i64>],
        waiting: &HashMap<[u8; 16], HashMap<i64, bool>>,
    ) -> Result<(), XapiError> {
        let new: HashMap<[u8; 16], usize> =
            accepted.iter().enumerate().map(|(index, it)| (it.statement.id, index)).collect();
        let mut found: BTreeSet<(i64, i64)> = BTreeSet::new();
        for (index, it) in accepted.iter().enumerate() {
            let mut keys = HashSet::new();
            if let Some(target) = it.statement.references.target {
                keys = self.keys_of_chain(target, accepted, own, &new).await?;
                let others = keys.iter().filter(|key| !own[index].contains(key));
                found.extend(others.map(|key| (late(*key), it.stored)));
            }
            if let Some(waiting) = waiting.get(&it.statement.id) {
                keys.extend(&own[index]);
                for stored in self.all_referrers(waiting.keys().copied().collect()).await? {
                    found.extend(keys.iter().map(|key| (late(*key), stored)));
                }
            }
        }
        Ok(posting::insert_ones(self.tx, self.project, found).await?)
    }

    /// The keys of a statement and of those that it is about in turn.
    async fn keys_of_chain(
        &self,
        first: [u8; 16],
        accepted: &[Accepted<'_>],
        own: &[Vec<i64>],
        new: &HashMap<[u8; 16], usize>,
    ) -> Result<HashSet<i64>, XapiError> {
        let (mut keys, mut seen, mut next) = (HashSet::new(), HashSet::new(), Some(first));
        while let Some(id) = next.filter(|id| seen.len() < CHAIN_MAX && seen.insert(*id)) {
            next = match new.get(&id) {
                Some(index) => {
                    keys.extend(&own[*index]);
                    accepted[*index].statement.references.target
                }
                None => {
                    let Some(json) = self.core.find_json(self.tx, self.project, id).await? else { break };
                    let references = References::of(&json);
                    let ifis: Vec<&Ifi> =
                        references.people.iter().chain(&references.related_people).collect();
                    let subjects = self.subjects_of(&ifis).await?;
                    keys.extend(keys_of(&references, keys_without_people(&references), &subjects));
                    references.target
                }
            };
        }
        Ok(keys)
    }

    /// Those that were stored at these instants, and all that are about them in turn.
    async fn all_referrers(&self, first: Vec<i64>) -> Result<HashSet<i64>, XapiError> {
        let (mut seen, mut open) = (HashSet::new(), first);
        while let Some(stored) = open.pop().filter(|_| seen.len() < REFERRERS_MAX) {
            if !seen.insert(stored) {
                continue;
            }
            let sql = "SELECT t.stored FROM xapi_statement s JOIN xapi_target t \
                       ON t.project_id = s.project_id AND t.target_id = s.statement_id \
                       WHERE s.project_id = $1 AND s.stored = $2 LIMIT 1000";
            for row in query_sql(self.tx, sql, [self.project.0.into(), stored.into()]).await? {
                open.push(row.try_get_by_index(0).map_err(StorageError::from)?);
            }
        }
        Ok(seen)
    }
}
