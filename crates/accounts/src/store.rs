//! Every query of this slice. A function that writes takes the caller's [`belvedere_storage::Tx`].

pub(crate) mod api_tokens;
pub(crate) mod guesses;
pub(crate) mod ingest_keys;
pub(crate) mod links;
pub(crate) mod organisations;
pub(crate) mod people;
pub(crate) mod sessions;
pub(crate) mod xapi_keys;

use std::str::FromStr;

use belvedere_storage::{Cursor, Id, Page, PageRequest, StorageError};

use crate::{AccountsError, Role};

/// The id after which a page begins.
fn after<T>(page: &PageRequest) -> Result<Option<Id<T>>, AccountsError> {
    let Some(cursor) = &page.after else { return Ok(None) };
    let id = cursor.parts::<1>().and_then(|[id]| Id::from_str(id).ok());
    id.map(Some).ok_or_else(|| AccountsError::invalid("after", "is not a place in this list"))
}

/// One row more than a page holds, to see whether another page follows.
fn rows_wanted(page: &PageRequest) -> u64 {
    page.limit() as u64 + 1
}

/// Cuts `rows` into a page that continues after the last row's id.
fn page_by_id<R, T>(rows: Vec<R>, page: &PageRequest, id: impl Fn(&R) -> Id<T>) -> Page<R> {
    Page::from_rows(rows, page.limit(), |row| Cursor::of(&[&id(row)]))
}

/// A role as it is stored.
pub(crate) fn role(text: &str) -> Result<Role, StorageError> {
    Role::from_str(text).map_err(|_| StorageError::corrupt(format!("unknown role {text:?}")))
}
