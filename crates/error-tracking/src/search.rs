//! Search: which issues and events match a query, what their tags say, and searches worth keeping.

mod text;
mod words;

pub(crate) use text::EventText;
pub(crate) use words::words_of;
