//! A learner's events of the log, read as statements.

use std::cmp::Reverse;

use belvedere_event_store::{Fields, Select, TIME_END, TextField};
use belvedere_storage::{Cursor, Page, Timestamp};
use serde_json::Value;

use crate::LearningError;
use crate::history::EventKey;
use crate::log::{parts_of, select_log};
use crate::model::ListStatements;
use crate::service::Core;
use crate::statement::statement_of;

/// A page, the latest first; it reads what the learner has done up to its first event.
pub(crate) async fn list(core: &Core, query: ListStatements) -> Result<Page<Value>, LearningError> {
    let after = query.page.after.as_ref().and_then(place_of);
    let all = select_log(query.home.project, query.subject);
    let until = after.map_or(TIME_END, |(at, _)| Timestamp::from_micros(at.saturating_add(1)));
    let fields = all.fields.and(Fields::text(TextField::Session));
    let batches = core.parts.events.load(Select { until, fields, ..all }).await?;
    let rows = batches.iter().flat_map(|batch| (0..batch.count).map(move |row| (batch, row)));
    let mut events: Vec<_> = rows
        .filter_map(|(batch, row)| Some((parts_of(batch, row)?, batch.text(TextField::Session, row))))
        .map(|(event, session)| ((event.at_micros, EventKey(u128::from_be_bytes(event.id))), event, session))
        .filter(|(place, ..)| after.is_none_or(|after| *place < after))
        .collect();
    events.sort_unstable_by_key(|(place, ..)| Reverse(*place));
    let told = events.iter().filter_map(|(place, event, session)| {
        Some((*place, statement_of(event, (query.subject, *session), &query.home)?))
    });
    let limit = query.page.limit();
    let page =
        Page::from_rows(told.take(limit + 1).collect(), limit, |((at, key), _)| Cursor::of(&[at, key]));
    Ok(Page { items: page.items.into_iter().map(|(_, statement)| statement).collect(), next: page.next })
}

fn place_of(cursor: &Cursor) -> Option<(i64, EventKey)> {
    let [at, key] = cursor.parts()?;
    Some((at.parse().ok()?, key.parse().ok()?))
}
