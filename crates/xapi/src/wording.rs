//! How statements word people: each wording once, sealed under the key of the person; and what they say of activities.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::PoisonError;

use belvedere_kernel::{KeyOwner, ProjectId, SubjectId};
use belvedere_storage::{Sql, StorageError, bulk};
use sea_orm::ConnectionTrait;

use crate::XapiError;
use crate::commit::{Accepted, ProjectRow, ProjectWork};
use crate::core::Core;
use crate::json::Json;
use crate::packing::{bytes16, put_varint};
use crate::statement::people::Person;
use crate::statement::{Ifi, activity};
use crate::value::random_uuid;

/// How deep a stored definition can be nested.
const DEPTH_MAX: usize = 512;

impl ProjectWork<'_> {
    /// The numbers of the people of each statement, as its row has them.
    pub(crate) async fn number_people(
        &self,
        accepted: &[Accepted<'_>],
        subjects: &HashMap<Ifi, SubjectId>,
        row: &mut ProjectRow,
    ) -> Result<Vec<Vec<u8>>, XapiError> {
        let mut people: HashMap<&Person, [u8; 16]> = HashMap::new();
        for person in accepted.iter().flat_map(|it| &it.statement.people) {
            people.entry(person).or_insert_with(|| self.core.secrets.form(self.project.0, &person.text));
        }
        let mut numbers: HashMap<[u8; 16], i64> = {
            let memory = self.core.memory();
            people.values().filter_map(|form| Some((*form, *memory.agents.get(form)?))).collect()
        };
        let unknown = people.values().filter(|form| !numbers.contains_key(*form));
        let unknown: Vec<Vec<u8>> = unknown.map(|form| form.to_vec()).collect();
        let mut sql = Sql::new(self.tx, "SELECT form, agent_id FROM xapi_agent WHERE project_id = ");
        sql.bind(self.project.0).push(" AND form");
        let mut learned: HashMap<[u8; 16], i64> = HashMap::new();
        for row in sql.fetch_in(self.tx, &unknown).await? {
            let form: Vec<u8> = row.try_get_by_index(0).map_err(StorageError::from)?;
            let number: i64 = row.try_get_by_index(1).map_err(StorageError::from)?;
            learned.insert(bytes16(form, "xapi_agent.form")?, number);
        }
        let new =
            people.iter().filter(|(_, form)| !numbers.contains_key(*form) && !learned.contains_key(*form));
        let new: Vec<(&Person, [u8; 16])> = new.map(|(person, form)| (*person, *form)).collect();
        let mut texts = Vec::with_capacity(new.len());
        for (person, _) in &new {
            let subject =
                subjects.get(&person.ifi).ok_or_else(|| StorageError::corrupt("a person has no subject"))?;
            texts.push((KeyOwner::Subject(self.project, *subject), person.text.as_bytes()));
        }
        let sealed = self.core.parts.vault.seal_all_in(self.tx, &texts).await?;
        let mut rows = Vec::new();
        for ((person, form), sealed) in new.into_iter().zip(sealed) {
            let Some(subject) = subjects.get(&person.ifi) else { continue };
            // Whoever was erased stays forgotten.
            let form_stored = if sealed.is_some() { form } else { random_uuid() };
            let number = row.next_agent;
            row.next_agent += 1;
            if sealed.is_some() {
                learned.insert(form, number);
            } else {
                numbers.insert(form, number);
            }
            rows.push([
                self.project.0.into(),
                number.into(),
                subject.0.into(),
                person.is_group.into(),
                form_stored.to_vec().into(),
                sealed.into(),
            ]);
        }
        let head =
            "INSERT INTO xapi_agent (project_id, agent_id, subject_id, is_group, form, sealed) VALUES ";
        bulk(self.tx, head, rows, "").await?;
        numbers.extend(&learned);
        if !learned.is_empty() {
            let memory = self.core.memory.clone();
            self.tx.after_commit(move || {
                memory.lock().unwrap_or_else(PoisonError::into_inner).agents.extend(learned);
            });
        }
        let of_statement = |it: &Accepted<'_>| {
            let mut bytes = Vec::new();
            for person in &it.statement.people {
                let number = people.get(person).and_then(|form| numbers.get(form)).copied().unwrap_or(0);
                put_varint(number.unsigned_abs(), &mut bytes);
            }
            bytes
        };
        Ok(accepted.iter().map(of_statement).collect())
    }

    /// Takes over what the statements say of activities.
    pub(crate) async fn merge_definitions(
        &self,
        accepted: &[Accepted<'_>],
        row: &mut ProjectRow,
    ) -> Result<(), XapiError> {
        let said: Vec<&(String, Json)> = accepted.iter().flat_map(|it| &it.statement.definitions).collect();
        let ids: HashSet<&str> = said.iter().map(|(id, _)| id.as_str()).collect();
        let mut known: HashMap<String, Json> = {
            let memory = self.core.memory();
            let known = |id: &&str| {
                Some(((*id).to_owned(), memory.definitions.get(&(self.project, (*id).to_owned()))?.clone()))
            };
            ids.iter().filter_map(known).collect()
        };
        let unknown: Vec<String> =
            ids.iter().filter(|id| !known.contains_key(**id)).map(|id| (*id).to_owned()).collect();
        let mut learned: HashSet<String> = unknown.iter().cloned().collect();
        known.extend(self.core.definitions(self.tx, self.project, unknown).await?);
        let mut changed: BTreeMap<&str, ()> = BTreeMap::new();
        for (id, definition) in said {
            let known = known.entry(id.clone()).or_insert_with(|| {
                changed.insert(id, ());
                Json::Object(Vec::new())
            });
            if activity::merge(known, definition) {
                changed.insert(id, ());
            }
        }
        let rows = changed
            .keys()
            .filter_map(|id| Some([self.project.0.into(), (*id).into(), known.get(*id)?.to_string().into()]));
        let head = "INSERT INTO xapi_activity (project_id, activity_id, definition) VALUES ";
        let tail = " ON CONFLICT (project_id, activity_id) DO UPDATE SET definition = excluded.definition";
        bulk(self.tx, head, rows.collect(), tail).await?;
        if !changed.is_empty() {
            row.generation += 1;
        }
        learned.extend(changed.keys().map(|id| (*id).to_owned()));
        if !learned.is_empty() {
            known.retain(|id, _| learned.contains(id));
            let (memory, project, generation) = (self.core.memory.clone(), self.project, row.generation);
            self.tx.after_commit(move || {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.generations.insert(project, generation);
                memory
                    .definitions
                    .extend(known.into_iter().map(|(id, definition)| ((project, id), definition)));
            });
        }
        Ok(())
    }
}

impl Core {
    /// What is known of these activities.
    pub(crate) async fn definitions(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
        ids: Vec<String>,
    ) -> Result<HashMap<String, Json>, XapiError> {
        let mut sql =
            Sql::new(connection, "SELECT activity_id, definition FROM xapi_activity WHERE project_id = ");
        sql.bind(project.0).push(" AND activity_id");
        let mut known = HashMap::new();
        for row in sql.fetch_in(connection, &ids).await? {
            let id: String = row.try_get_by_index(0).map_err(StorageError::from)?;
            let definition: String = row.try_get_by_index(1).map_err(StorageError::from)?;
            let definition = Json::parse(definition.as_bytes(), DEPTH_MAX)
                .map_err(|error| StorageError::corrupt(format!("xapi_activity.definition: {error}")))?;
            known.insert(id, definition);
        }
        Ok(known)
    }
}
