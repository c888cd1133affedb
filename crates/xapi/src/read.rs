//! Statements out of the database: which ones, and in which form.

use std::collections::{BTreeMap, HashMap, HashSet};

use belvedere_kernel::{ProjectId, XapiKey};
use belvedere_storage::{Id, Sql, StorageError, Timestamp, query_sql};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::XapiError;
use crate::commit::{IS_COMPRESSED, IS_TIMED_BY_STORE, IS_VOIDED, id_value};
use crate::core::Core;
use crate::json::{Json, write_text};
use crate::model::{File, FoundStatements, OneStatement, Reader, StatementQuery};
use crate::more::Plan;
use crate::packing::{unpack, varints};
use crate::posting::{Range, Term, Union, late, next_common};
use crate::statement::format::{Languages, to_canonical, to_ids};
use crate::statement::people::restore;
use crate::statement::{Format, Ifi, activity};

/// Instants that are looked up at once.
const CHUNK: usize = 128;

/// How deep stored statements can be nested.
const DEPTH_MAX: usize = 512;

const COLUMNS: &str = "stored, statement_id, key_id, flags, people, body";

/// A row of `xapi_statement`.
struct Row {
    stored: i64,
    key: Id<XapiKey>,
    flags: i64,
    people: Vec<i64>,
    body: Vec<u8>,
}

fn row_of(row: &QueryResult) -> Result<Row, StorageError> {
    let people: Vec<u8> = row.try_get_by_index(4)?;
    let people = varints(&people).ok_or_else(|| StorageError::corrupt("xapi_statement.people"))?;
    Ok(Row {
        stored: row.try_get_by_index(0)?,
        key: row.try_get_by_index(2)?,
        flags: row.try_get_by_index(3)?,
        people: people.into_iter().map(|number| i64::try_from(number).unwrap_or(0)).collect(),
        body: row.try_get_by_index(5)?,
    })
}

/// The statements that were stored at these instants, in any order.
async fn rows_at(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    instants: &[i64],
) -> Result<Vec<Row>, StorageError> {
    let mut sql = Sql::new(connection, &format!("SELECT {COLUMNS} FROM xapi_statement WHERE project_id = "));
    sql.bind(project.0).push(" AND stored");
    sql.fetch_in(connection, instants).await?.iter().map(row_of).collect()
}

impl Core {
    /// The plan of a question; none if nothing can fit.
    pub(crate) async fn plan(
        &self,
        reader: &Reader,
        query: &StatementQuery,
    ) -> Result<Option<Plan>, XapiError> {
        let project = reader.client.project;
        let (mut conditions, mut authorities) = (Vec::new(), Vec::new());
        let with_late = |keys: Vec<i64>| keys.iter().flat_map(|key| [*key, late(*key)]).collect::<Vec<i64>>();
        let mut verb = query.verb.as_deref();
        if let Some(agent) = &query.agent {
            if query.related_agents {
                authorities = self.keys_named(project, agent).await?;
            }
            if authorities.is_empty() {
                let Some(subject) = self.find_subject(project, agent).await? else { return Ok(None) };
                if query.related_agents {
                    conditions
                        .push(with_late(vec![Term::Agent(subject).key(), Term::RelatedAgent(subject).key()]));
                } else if let Some(verb) = verb.take() {
                    conditions.push(with_late(vec![Term::AgentVerb(subject, verb).key()]));
                } else {
                    conditions.push(with_late(vec![Term::Agent(subject).key()]));
                }
            }
        }
        if let Some(id) = query.registration {
            conditions.push(with_late(vec![Term::Registration(id).key()]));
        }
        if let Some(id) = &query.activity {
            let mut keys = vec![Term::Activity(id).key()];
            if query.related_activities {
                keys.push(Term::RelatedActivity(id).key());
            }
            conditions.push(with_late(keys));
        }
        if let Some(verb) = verb {
            conditions.push(with_late(vec![Term::Verb(verb).key()]));
        }
        if reader.only_mine {
            let is_other = !authorities.is_empty() && !authorities.contains(&reader.client.key);
            if is_other {
                return Ok(None);
            }
            authorities = vec![reader.client.key];
        }
        let page_max = self.parts.limits.page_max;
        Ok(Some(Plan {
            conditions,
            authorities,
            first: query.since.map_or(i64::MIN, |at| at.as_micros().saturating_add(1)),
            last: query.until.map_or(i64::MAX, Timestamp::as_micros),
            ascending: query.ascending,
            limit: query.limit.filter(|limit| *limit > 0).unwrap_or(page_max).min(page_max),
            format: query.format,
            attachments: query.attachments,
        }))
    }

    /// The keys whose authority an agent is.
    async fn keys_named(&self, project: ProjectId, agent: &Ifi) -> Result<Vec<Id<XapiKey>>, XapiError> {
        let Ifi::Account { home_page, name } = agent else { return Ok(Vec::new()) };
        if *home_page != self.parts.home_page {
            return Ok(Vec::new());
        }
        let sql = "SELECT key_id FROM xapi_authority WHERE project_id = $1 AND name = $2 LIMIT 200";
        let rows = query_sql(self.parts.db.read(), sql, [project.0.into(), name.as_str().into()]).await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()
            .map_err(StorageError::from)?)
    }

    /// The statements of a plan, with what their rest is asked for.
    pub(crate) async fn list(&self, reader: &Reader, mut plan: Plan) -> Result<FoundStatements, XapiError> {
        let project = reader.client.project;
        let mut rows = self.rows(project, &plan).await?;
        let has_more = rows.len() > plan.limit;
        rows.truncate(plan.limit);
        let more = match rows.last() {
            Some(last) if has_more => {
                if plan.ascending {
                    plan.first = last.stored + 1;
                } else {
                    plan.last = last.stored - 1;
                }
                Some(plan.seal(&self.secrets, reader.client.key))
            }
            _ => None,
        };
        let found = self.render(reader, rows, plan.format, plan.attachments).await?;
        Ok(FoundStatements { more, ..found })
    }

    /// The first rows that fit, one more than the limit if there are as many.
    async fn rows(&self, project: ProjectId, plan: &Plan) -> Result<Vec<Row>, XapiError> {
        let db = self.parts.db.read();
        let wanted = plan.limit + 1;
        let fits = |row: &Row| {
            row.flags & IS_VOIDED == 0 && (plan.authorities.is_empty() || plan.authorities.contains(&row.key))
        };
        let range = Range { project, ascending: plan.ascending };
        let mut from = if plan.ascending { plan.first } else { plan.last };
        if !plan.conditions.is_empty() {
            self.recents.renew(db, project).await?;
        }
        let union = |keys: &Vec<i64>| Union::new(range, keys, from, &self.recents);
        let mut conditions: Vec<Union> = plan.conditions.iter().map(union).collect();
        let mut rows: Vec<Row> = Vec::new();
        let is_inside = |at: i64| at >= plan.first && at <= plan.last;
        while rows.len() < wanted && is_inside(from) {
            let chunk = if conditions.is_empty() {
                self.next_rows(project, plan, from, wanted - rows.len()).await?
            } else {
                let mut instants: Vec<i64> = Vec::new();
                while instants.len() < CHUNK.min(wanted - rows.len()) && is_inside(from) {
                    let Some(at) = next_common(db, range, &mut conditions, from).await? else { break };
                    if !is_inside(at) {
                        break;
                    }
                    instants.push(at);
                    from = if plan.ascending { at.saturating_add(1) } else { at.saturating_sub(1) };
                }
                let mut found = rows_at(db, project, &instants).await?;
                found.sort_by_key(|row| if plan.ascending { row.stored } else { -row.stored });
                found
            };
            let Some(last) = chunk.last() else { break };
            from = if plan.ascending { last.stored + 1 } else { last.stored - 1 };
            rows.extend(chunk.into_iter().filter(fits));
        }
        rows.truncate(wanted);
        Ok(rows)
    }

    async fn next_rows(
        &self,
        project: ProjectId,
        plan: &Plan,
        from: i64,
        wanted: usize,
    ) -> Result<Vec<Row>, XapiError> {
        let (bounds, order) =
            if plan.ascending { ((from, plan.last), "") } else { ((plan.first, from), " DESC") };
        let sql = format!(
            "SELECT {COLUMNS} FROM xapi_statement WHERE project_id = $1 AND stored >= $2 AND stored <= $3 \
             ORDER BY stored{order} LIMIT $4"
        );
        let limit = i64::try_from(wanted.max(16)).unwrap_or(i64::MAX);
        let values = [project.0.into(), bounds.0.into(), bounds.1.into(), limit.into()];
        let rows = query_sql(self.parts.db.read(), &sql, values).await?;
        Ok(rows.iter().map(row_of).collect::<Result<_, _>>()?)
    }

    /// See [`crate::RecordStore::find_statement`].
    pub(crate) async fn find(
        &self,
        reader: &Reader,
        one: OneStatement,
    ) -> Result<Option<FoundStatements>, XapiError> {
        let row = self.find_row(self.parts.db.read(), reader.client.project, one.id).await?;
        let is_mine = |row: &Row| !reader.only_mine || row.key == reader.client.key;
        let row = row.filter(|row| (row.flags & IS_VOIDED != 0) == one.is_voided && is_mine(row));
        match row {
            Some(row) => Ok(Some(self.render(reader, vec![row], one.format, one.attachments).await?)),
            None => Ok(None),
        }
    }

    async fn find_row(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
        id: [u8; 16],
    ) -> Result<Option<Row>, XapiError> {
        let sql = format!("SELECT {COLUMNS} FROM xapi_statement WHERE project_id = $1 AND statement_id = $2");
        let rows = query_sql(connection, &sql, [project.0.into(), id_value(id)]).await?;
        Ok(rows.first().map(row_of).transpose()?)
    }

    /// A stored statement as JSON, as far as its people are known.
    pub(crate) async fn find_json(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
        id: [u8; 16],
    ) -> Result<Option<Json>, XapiError> {
        let Some(row) = self.find_row(connection, project, id).await? else { return Ok(None) };
        let wordings = self.wordings(connection, project, row.people.clone()).await?;
        Ok(Some(parse(&text_of(&row, &wordings)?)?))
    }

    /// The statements that were stored at these instants, as they are kept.
    pub(crate) async fn texts_at(
        &self,
        project: ProjectId,
        instants: Vec<i64>,
    ) -> Result<Vec<(i64, String)>, XapiError> {
        let db = self.parts.db.read();
        let mut rows = rows_at(db, project, &instants).await?;
        rows.sort_by_key(|row| row.stored);
        let agents = rows.iter().flat_map(|row| row.people.iter().copied()).collect::<HashSet<_>>();
        let wordings = self.wordings(db, project, agents.into_iter().collect()).await?;
        rows.iter().map(|row| Ok((row.stored, text_of(row, &wordings)?))).collect()
    }

    async fn render(
        &self,
        reader: &Reader,
        rows: Vec<Row>,
        format: Format,
        attachments: bool,
    ) -> Result<FoundStatements, XapiError> {
        let (db, project) = (self.parts.db.read(), reader.client.project);
        let agents: HashSet<i64> = rows.iter().flat_map(|row| row.people.iter().copied()).collect();
        let wordings = self.wordings(db, project, agents.into_iter().collect()).await?;
        let authorities = self.authorities(project, &rows).await?;
        let mut statements = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut text = text_of(row, &wordings)?;
            let at = Timestamp::from_micros(row.stored).to_string();
            text.pop();
            if row.flags & IS_TIMED_BY_STORE != 0 {
                text.push_str(",\"timestamp\":");
                write_text(&at, &mut text);
            }
            text.push_str(",\"stored\":");
            write_text(&at, &mut text);
            text.push_str(",\"authority\":");
            text.push_str(authorities.get(&row.key).map_or("{}", String::as_str));
            text.push('}');
            statements.push(text);
        }
        let files = if attachments { self.files(project, &statements).await? } else { Vec::new() };
        if format != Format::Exact {
            statements = self.reformat(reader, statements, format).await?;
        }
        let last_stored = rows.iter().map(|row| row.stored).max().map(Timestamp::from_micros);
        Ok(FoundStatements { statements, more: None, files, attachments, last_stored })
    }

    async fn authorities(
        &self,
        project: ProjectId,
        rows: &[Row],
    ) -> Result<HashMap<Id<XapiKey>, String>, XapiError> {
        let keys: HashSet<Id<XapiKey>> = rows.iter().map(|row| row.key).collect();
        let mut texts = HashMap::new();
        let mut unknown = Vec::new();
        {
            let memory = self.memory();
            for key in keys {
                match memory.authorities.get(&(project, key)) {
                    Some(name) => drop(texts.insert(key, self.authority(name))),
                    None => unknown.push(key),
                }
            }
        }
        let db = self.parts.db.read();
        let mut sql = Sql::new(db, "SELECT key_id, name FROM xapi_authority WHERE project_id = ");
        sql.bind(project.0).push(" AND key_id");
        for row in sql.fetch_in(db, &unknown).await? {
            let key: Id<XapiKey> = row.try_get_by_index(0).map_err(StorageError::from)?;
            let name: String = row.try_get_by_index(1).map_err(StorageError::from)?;
            texts.insert(key, self.authority(&name));
            self.memory().authorities.insert((project, key), name.into());
        }
        Ok(texts)
    }

    async fn reformat(
        &self,
        reader: &Reader,
        statements: Vec<String>,
        format: Format,
    ) -> Result<Vec<String>, XapiError> {
        let mut parsed = statements.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        if format == Format::Ids {
            parsed.iter_mut().for_each(to_ids);
        } else {
            let mut ids = HashSet::new();
            for statement in &parsed {
                activity::each(statement, &mut |activity| {
                    ids.extend(activity.text_of("id").map(str::to_owned))
                });
            }
            let ids = ids.into_iter().collect();
            let definitions = self.definitions(self.parts.db.read(), reader.client.project, ids).await?;
            let languages = Languages::parse(&reader.languages);
            parsed.iter_mut().for_each(|statement| to_canonical(statement, &definitions, &languages));
        }
        Ok(parsed.iter().map(ToString::to_string).collect())
    }

    /// The files that statements claim and that were sent.
    async fn files(&self, project: ProjectId, statements: &[String]) -> Result<Vec<File>, XapiError> {
        let mut types: BTreeMap<String, String> = BTreeMap::new();
        for text in statements {
            for claim in (crate::statement::Statement { json: parse(text)?, id: None }).claims() {
                types.entry(claim.sha2).or_insert(claim.content_type);
            }
        }
        let mut files = Vec::new();
        for (sha2, content_type) in types {
            let sql = "SELECT content FROM xapi_attachment WHERE project_id = $1 AND sha2 = $2";
            let rows = query_sql(self.parts.db.read(), sql, [project.0.into(), sha2.as_str().into()]).await?;
            if let Some(row) = rows.first() {
                let content: Vec<u8> = row.try_get_by_index(0).map_err(StorageError::from)?;
                files.push(File { sha2, content_type, content: content.into() });
            }
        }
        Ok(files)
    }
}

fn text_of(row: &Row, wordings: &HashMap<i64, String>) -> Result<String, XapiError> {
    let template = unpack(row.body.clone(), row.flags & IS_COMPRESSED != 0)?;
    let person =
        |number: usize| row.people.get(number).and_then(|agent| wordings.get(agent)).map(String::as_str);
    Ok(restore(&template, person).ok_or_else(|| StorageError::corrupt("xapi_statement.body"))?)
}

fn parse(text: &str) -> Result<Json, XapiError> {
    let corrupt = |error| StorageError::corrupt(format!("xapi_statement.body: {error}"));
    Ok(Json::parse(text.as_bytes(), DEPTH_MAX).map_err(corrupt)?)
}
