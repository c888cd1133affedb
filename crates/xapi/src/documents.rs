//! Documents: the state of a person in an activity, and profiles of activities and of people.

use std::collections::HashMap;

use belvedere_kernel::{KeyOwner, ProjectId, SubjectId};
use belvedere_storage::{StorageError, Timestamp, execute_sql, query_sql};
use bytes::Bytes;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use sha1::{Digest, Sha1};

use crate::commit::ProjectWork;
use crate::core::Core;
use crate::json::Json;
use crate::model::{ChangeDocument, Condition, ConditionRule, Document, DocumentChange, DocumentOwner};
use crate::statement::Ifi;
use crate::{XapiError, value};

/// The most documents of one list.
const LISTED_MAX: i64 = 10_000;

pub(crate) const STATE: i64 = 1;
const ACTIVITY_PROFILE: i64 = 2;
pub(crate) const AGENT_PROFILE: i64 = 3;

/// Where a document lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    kind: i64,
    /// 0 for an activity's.
    subject: i64,
    activity: String,
    registration: String,
    id: String,
}

/// Documents that the same transaction has written: what they are sealed with cannot be asked for before its commit.
#[derive(Default)]
pub(crate) struct Overlay(HashMap<Place, Option<Document>>);

/// The entity tag of a content: SHA-1 in hexadecimal digits, as 1.0.3 wants it.
pub(crate) fn etag(content: &[u8]) -> String {
    let mut text = String::with_capacity(40);
    for byte in Sha1::digest(content) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

impl Condition {
    fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    fn check(&self, document: Option<&Document>) -> Result<(), XapiError> {
        let is_among =
            |tags: &[String]| document.is_some_and(|it| tags.iter().any(|tag| tag == "*" || *tag == it.etag));
        let fails = self.if_match.as_deref().is_some_and(|tags| !is_among(tags))
            || self.if_none_match.as_deref().is_some_and(is_among);
        if fails { Err(XapiError::PreconditionFailed) } else { Ok(()) }
    }
}

impl DocumentOwner {
    /// Whose they are, if a person's.
    pub(crate) fn person(&self) -> Option<&Ifi> {
        match self {
            Self::State { agent, .. } | Self::Agent(agent) => Some(agent),
            Self::Activity(_) => None,
        }
    }

    fn place(&self, subject: Option<SubjectId>, id: &str) -> Place {
        let subject = subject.map_or(0, |subject| subject.0);
        let (kind, activity, registration) = match self {
            Self::State { activity, registration, .. } => {
                (STATE, activity.clone(), registration.map(|it| value::uuid_text(&it)).unwrap_or_default())
            }
            Self::Activity(activity) => (ACTIVITY_PROFILE, activity.clone(), String::new()),
            Self::Agent(_) => (AGENT_PROFILE, String::new(), String::new()),
        };
        Place { kind, subject, activity, registration, id: id.to_owned() }
    }
}

impl Place {
    fn values(&self, project: ProjectId) -> [Value; 6] {
        [
            project.0.into(),
            self.kind.into(),
            self.subject.into(),
            self.activity.as_str().into(),
            self.registration.as_str().into(),
            self.id.as_str().into(),
        ]
    }

    fn key(&self, project: ProjectId) -> Option<KeyOwner> {
        (self.kind != ACTIVITY_PROFILE).then_some(KeyOwner::Subject(project, SubjectId(self.subject)))
    }
}

/// The places of all registrations and ids.
const OF_ACTIVITY: &str = "project_id = $1 AND kind = $2 AND subject_id = $3 AND activity_id = $4";

const AT_PLACE: &str = "project_id = $1 AND kind = $2 AND subject_id = $3 AND activity_id = $4 AND registration = $5 \
                        AND document_id = $6";

impl ProjectWork<'_> {
    /// Changes one document, or all states that are meant.
    pub(crate) async fn change_document(
        &self,
        change: &ChangeDocument,
        overlay: &mut Overlay,
        now: Timestamp,
    ) -> Result<(), XapiError> {
        let subject = match change.owner.person() {
            Some(ifi) => self.subjects_of(&[ifi]).await?.remove(ifi),
            None => None,
        };
        let place = change.owner.place(subject, &change.id);
        let is_list = change.id.is_empty();
        if is_list && change.change == DocumentChange::Delete {
            return self.delete_states(&change.owner, &place, overlay).await;
        }
        let old = match overlay.0.get(&place) {
            Some(written) => written.clone(),
            None => self.core.load_document(self.tx, self.project, &place).await?,
        };
        change.condition.check(old.as_ref())?;
        let (content_type, content) = match &change.change {
            DocumentChange::Delete => {
                let sql = format!("DELETE FROM xapi_document WHERE {AT_PLACE}");
                execute_sql(self.tx, &sql, place.values(self.project)).await?;
                overlay.0.insert(place, None);
                return Ok(());
            }
            DocumentChange::Put { content_type, content, needs_condition } => {
                if change.condition.is_none() && *needs_condition != ConditionRule::Optional {
                    if old.is_some() {
                        return Err(XapiError::Unconditional);
                    }
                    if *needs_condition == ConditionRule::Always {
                        let why = "is required here, or If-None-Match where there is no document yet";
                        return Err(XapiError::invalid("If-Match", why));
                    }
                }
                (content_type.clone(), content.clone())
            }
            DocumentChange::Merge { content_type, content } => match &old {
                None => {
                    Json::parse(content, self.core.parts.limits.depth_max)?;
                    (content_type.clone(), content.clone())
                }
                Some(old) => {
                    (old.content_type.clone(), merged(old, content, self.core.parts.limits.depth_max)?)
                }
            },
        };
        if content.len() > self.core.parts.limits.document_bytes_max {
            return Err(XapiError::TooLarge {
                what: "bytes of a document",
                max: self.core.parts.limits.document_bytes_max,
            });
        }
        let stored = match place.key(self.project) {
            Some(owner) => self.core.parts.vault.seal_in(self.tx, owner, &content).await?,
            None => content.to_vec(),
        };
        let sql = "INSERT INTO xapi_document (project_id, kind, subject_id, activity_id, registration, document_id, \
                   content_type, content, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                   ON CONFLICT (project_id, kind, subject_id, activity_id, registration, document_id) DO UPDATE SET \
                   content_type = excluded.content_type, content = excluded.content, updated_at = excluded.updated_at";
        let more = [content_type.as_str().into(), stored.into(), now.into()];
        execute_sql(self.tx, sql, place.values(self.project).into_iter().chain(more)).await?;
        let etag = etag(&content);
        overlay.0.insert(place, Some(Document { content_type, content, updated_at: now, etag }));
        Ok(())
    }

    async fn delete_states(
        &self,
        owner: &DocumentOwner,
        place: &Place,
        overlay: &mut Overlay,
    ) -> Result<(), XapiError> {
        let of_one = matches!(owner, DocumentOwner::State { registration: Some(_), .. });
        let mut sql = format!("DELETE FROM xapi_document WHERE {OF_ACTIVITY}");
        let mut values = place.values(self.project).into_iter().take(4).collect::<Vec<_>>();
        if of_one {
            sql.push_str(" AND registration = $5");
            values.push(place.registration.as_str().into());
        }
        execute_sql(self.tx, &sql, values).await?;
        for (written, document) in &mut overlay.0 {
            let is_meant = (written.kind, written.subject) == (place.kind, place.subject)
                && written.activity == place.activity
                && (!of_one || written.registration == place.registration);
            if is_meant {
                *document = None;
            }
        }
        Ok(())
    }
}

/// Both must be JSON objects; members of the news take the place of those of the same names.
fn merged(old: &Document, news: &[u8], depth_max: usize) -> Result<Bytes, XapiError> {
    let refuse =
        || XapiError::invalid("document", "what exists is no JSON object, so nothing can be added to it");
    if !is_json(&old.content_type) {
        return Err(refuse());
    }
    let mut known = Json::parse(&old.content, depth_max).map_err(|_| refuse())?;
    if known.members().is_none() {
        return Err(refuse());
    }
    let Json::Object(news) = Json::parse(news, depth_max)? else {
        return Err(XapiError::invalid("document", "must be a JSON object"));
    };
    for (key, value) in news {
        known.set(&key, value);
    }
    Ok(known.to_string().into())
}

/// Whether a media type is that of JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn read(row: &QueryResult) -> Result<(String, Vec<u8>, Timestamp), StorageError> {
    Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?))
}

impl Core {
    async fn load_document(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
        place: &Place,
    ) -> Result<Option<Document>, XapiError> {
        let sql = format!("SELECT content_type, content, updated_at FROM xapi_document WHERE {AT_PLACE}");
        let rows = query_sql(connection, &sql, place.values(project)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (content_type, content, updated_at) = read(row)?;
        let content: Bytes = match place.key(project) {
            Some(owner) => self.parts.vault.open(owner, &content).await?.into(),
            None => content.into(),
        };
        let etag = etag(&content);
        Ok(Some(Document { content_type, content, updated_at, etag }))
    }

    /// See [`crate::RecordStore::find_document`].
    pub(crate) async fn find_document(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
        id: &str,
    ) -> Result<Option<Document>, XapiError> {
        let Some(subject) = self.subject_of(project, owner).await? else { return Ok(None) };
        self.load_document(self.parts.db.read(), project, &owner.place(subject, id)).await
    }

    /// `None` where the owner is a person whom nobody knows.
    async fn subject_of(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
    ) -> Result<Option<Option<SubjectId>>, XapiError> {
        match owner.person() {
            None => Ok(Some(None)),
            Some(ifi) => Ok(self.find_subject(project, ifi).await?.map(Some)),
        }
    }

    /// See [`crate::RecordStore::list_documents`].
    pub(crate) async fn list_documents(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
        since: Option<Timestamp>,
    ) -> Result<(Vec<String>, Option<Timestamp>), XapiError> {
        let Some(subject) = self.subject_of(project, owner).await? else { return Ok((Vec::new(), None)) };
        let place = owner.place(subject, "");
        let mut sql = format!(
            "SELECT document_id, updated_at FROM xapi_document WHERE {OF_ACTIVITY} AND updated_at > $5"
        );
        let mut values = place.values(project).into_iter().take(4).collect::<Vec<_>>();
        values.push(since.map_or(i64::MIN, Timestamp::as_micros).into());
        if matches!(owner, DocumentOwner::State { registration: Some(_), .. }) {
            sql.push_str(" AND registration = $6");
            values.push(place.registration.as_str().into());
        }
        sql.push_str(&format!(" ORDER BY document_id LIMIT {LISTED_MAX}"));
        let (mut ids, mut last) = (Vec::new(), None);
        for row in query_sql(self.parts.db.read(), &sql, values).await? {
            ids.push(row.try_get_by_index(0).map_err(StorageError::from)?);
            last = last.max(Some(row.try_get_by_index(1).map_err(StorageError::from)?));
        }
        ids.dedup();
        Ok((ids, last))
    }
}
