//! The events of a subject, to be exported and erased.

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, SubjectData, SubjectDataError, SubjectId, SubjectRecords};
use belvedere_storage::{Cursor, PageRequest};
use serde_json::{Map, Value, json};

use super::{Explore, QueriesError, QueryService, ReadTimeline, TimelineEvent};
use crate::kernel::filter::Filter;
use crate::{EventStoreError, Fields, Select, TIME_END, TIME_MIN};

const NAME: &str = "events";

#[async_trait]
impl SubjectData for QueryService {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let read = ReadTimeline {
            project,
            subject: Some(subject),
            filter: Filter::all(),
            from: TIME_MIN,
            until: TIME_END,
            page: PageRequest::new(PageRequest::LIMIT_MAX, after.map(Cursor::from)),
        };
        let page = self.timeline(read).await.map_err(failure)?;
        Ok(SubjectRecords {
            records: page.items.into_iter().map(record).collect(),
            next: page.next.map(|next| next.as_str().to_owned()),
        })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        // The store tells its watchers, of which the caches are one, what went away.
        let erased = self.store.erase_subject(project, subject).await.map_err(store_failure)?;
        Ok(erased.events)
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let select = Select { subject: Some(subject), fields: Fields::ID, ..Select::all(project) };
        let batches = self.store.load(select).await.map_err(store_failure)?;
        Ok(batches.iter().map(|batch| batch.count as u64).sum())
    }
}

/// An event as a JSON object: what is not set is left out.
fn record(event: TimelineEvent) -> Value {
    let mut record = Map::new();
    let id = format!("{:032x}", u128::from_be_bytes(event.id));
    for (key, value) in [("id", json!(id)), ("at", json!(event.at)), ("name", json!(event.name))] {
        record.insert(key.to_owned(), value);
    }
    record.extend(event.texts.into_iter().map(|(key, text)| (key.to_owned(), text.into())));
    record.extend(event.value.map(|value| ("value".to_owned(), json!(value))));
    record.extend(serde_json::from_str(&event.props).ok().map(|props: Value| ("props".to_owned(), props)));
    Value::Object(record)
}

fn failure(error: QueriesError) -> SubjectDataError {
    SubjectDataError { what: NAME, is_transient: error.is_transient(), why: error.to_string() }
}

fn store_failure(error: EventStoreError) -> SubjectDataError {
    failure(error.into())
}
